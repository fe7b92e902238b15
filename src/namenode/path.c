/* SPDX-License-Identifier: MIT */
/*
 * Paths: checked once as a whole, then cut into names without a copy.
 */
#include "namenode/path.h"

#include "base/text.h"
#include "namenode/records.h"

#include <string.h>

char *
path_quote (struct slice path, char out[PATH_QUOTE_SIZE])
{
    return text_escape (path.data, path.size, out, PATH_QUOTE_SIZE);
}

/* Why a name cannot be one, or NULL. */
static const char *
name_fault (struct slice name)
{
    const char *text = name.data;

    if (name.size == 0)
        return "a name is empty";
    if (name.size > NAME_BYTES_MAX)
        return "a name has more than 255 bytes";
    if (memchr (text, '/', name.size))
        return "a name has a slash";
    if (memchr (text, '\0', name.size))
        return "a name has a NUL byte";
    if (text[0] == '.' && (name.size == 1 || (name.size == 2 && text[1] == '.')))
        return "\".\" and \"..\" are no names here";
    if (!text_utf8_valid (text, name.size))
        return "a name is not valid UTF-8";
    return NULL;
}

int
path_check_name (struct slice name, litedfs_error_t *error)
{
    const char *fault = name_fault (name);
    char quoted[PATH_QUOTE_SIZE];

    if (!fault)
        return 0;
    return err_set (error, LITEDFS_INVALID, "name[%s]: %s", path_quote (name, quoted), fault);
}

int
path_check (struct slice path, litedfs_error_t *error)
{
    const char *fault = NULL;
    char quoted[PATH_QUOTE_SIZE];
    struct slice rest = path;
    struct slice name;

    if (path.size == 0)
        fault = "a path cannot be empty";
    else if (path.size > PATH_BYTES_MAX)
        fault = "a path has at most 4096 bytes";
    else if (*(const char *) path.data != '/')
        fault = "a path begins with a slash";
    while (!fault && path_next (&rest, &name))
        fault = name_fault (name);
    if (!fault)
        return 0;
    return err_set (error, LITEDFS_INVALID, "path[%s]: %s", path_quote (path, quoted), fault);
}

bool
path_next (struct slice *rest, struct slice *name)
{
    const char *at = rest->data;
    const char *end = at + rest->size;

    while (at < end && *at == '/')
        at++;
    if (at == end)
        return false;
    const char *slash = memchr (at, '/', (size_t) (end - at));
    const char *stop = slash ? slash : end;
    *name = slice_of (at, (size_t) (stop - at));
    *rest = slice_of (stop, (size_t) (end - stop));
    return true;
}

bool
path_split (struct slice path, struct slice *parent, struct slice *name)
{
    const char *start = path.data;
    size_t end = path.size;

    while (end > 0 && start[end - 1] == '/')
        end--;
    if (end == 0)
        return false;
    size_t slash = end;
    while (slash > 0 && start[slash - 1] != '/')
        slash--;
    *name = slice_of (start + slash, end - slash);
    while (slash > 1 && start[slash - 1] == '/')
        slash--;
    *parent = slice_of (start, slash); // "/" for a child of the root
    return true;
}
