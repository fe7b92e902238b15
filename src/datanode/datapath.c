/* SPDX-License-Identifier: MIT */
/*
 * A start decides in this order: a directory with a VERSION is ours if it says so; one without is taken
 * only when nothing is in it.  Then the lock, then VERSION (atomically), then the sub-directories, which a
 * later start completes.  So a process that dies in between leaves either nothing that counts or a VERSION.
 *
 * The 256 directories of blocks/ are made here and never removed: a block's rename finds its target, and
 * no directory has to be made durable when a block is finished.
 */

#include "datanode/datapath.h"

#include "base/err.h"
#include "base/file.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TITLE "LiteDFS data node"
#define LAYOUT 1
#define VERSION_LIMIT 4096 // bytes; a longer one is not ours
#define FANOUT 256

static int
path_join (const char *path, const char *name, char out[PATH_MAX], litedfs_error_t *error)
{
    int size = snprintf (out, PATH_MAX, "%s/%s", path, name);
    if (size < 0 || size >= PATH_MAX)
        return err_set (error, LITEDFS_INVALID, "data_path[%s]: the path is too long", path);
    return 0;
}

/* ---- VERSION ------------------------------------------------------------------------------------ */

int
datapath_write_version (const char *path, const struct blockstore_identity *identity,
                        litedfs_error_t *error)
{
    char file[PATH_MAX];
    char uuid[UUID_TEXT_SIZE];
    struct buf text = {0};
    int rc = path_join (path, "VERSION", file, error);
    if (rc < 0)
        return rc;
    buf_printf (&text, TITLE "\nlayout %d\nuuid %s\n", LAYOUT,
                uuid_print (&identity->uuid, uuid));
    if (!uuid_is_nil (&identity->cluster))
        buf_printf (&text, "cluster %s\nnode %" PRIu32 "\n",
                    uuid_print (&identity->cluster, uuid), identity->node);
    if (text.failed)
        rc = err_set (error, LITEDFS_MEMORY, "data_path[%s]: out of memory", path);
    else
        rc = file_write_atomic (file, text.data, text.size, 0644, error);
    buf_free (&text);
    return rc;
}

/* Take one "word value" line; false if it cannot be. */
static bool
parse_line (const char *line, int64_t *layout, struct blockstore_identity *identity)
{
    int64_t number;
    const char *value = strchr (line, ' ');
    if (!value)
        return false;
    size_t word = (size_t) (value++ - line);
    if (word == 6 && memcmp (line, "layout", 6) == 0)
        return text_parse_int (value, 1, INT32_MAX, layout);
    if (word == 4 && memcmp (line, "uuid", 4) == 0)
        return uuid_parse (&identity->uuid, value, strlen (value));
    if (word == 7 && memcmp (line, "cluster", 7) == 0)
        return uuid_parse (&identity->cluster, value, strlen (value));
    if (word == 4 && memcmp (line, "node", 4) == 0) {
        if (!text_parse_int (value, 1, UINT32_MAX, &number))
            return false;
        identity->node = (uint32_t) number;
        return true;
    }
    return false;
}

/* The text is changed. */
static int
parse_version (char *text, const char *file, struct blockstore_identity *out,
               litedfs_error_t *error)
{
    int64_t layout = 0;
    char *rest = text;
    const char *title = strsep (&rest, "\n");
    *out = (struct blockstore_identity){0};
    if (strcmp (title, TITLE) != 0)
        return err_set (
            error, LITEDFS_INVALID,
            "%s: it is not that of a data node; set data_path to a directory of its "
            "own",
            file);
    for (char *line; (line = strsep (&rest, "\n"));)
        if (*line && !parse_line (line, &layout, out) && layout <= LAYOUT)
            return err_set (error, LITEDFS_CORRUPT, "%s: cannot be read at \"%s\"; restore it",
                            file, line);
    if (layout > LAYOUT)
        return err_set (error, LITEDFS_LAYOUT,
                        "%s: written by a newer LiteDFS (layout %" PRId64
                        ", known here: up to %d); install that version or a newer one",
                        file, layout, LAYOUT);
    if (layout == 0 || uuid_is_nil (&out->uuid) ||
        uuid_is_nil (&out->cluster) != (out->node == 0))
        return err_set (error, LITEDFS_CORRUPT, "%s: a line is missing; restore it", file);
    return 0;
}

/* LITEDFS_NOT_FOUND if there is none. */
static int
read_version (const char *path, struct blockstore_identity *out, litedfs_error_t *error)
{
    char file[PATH_MAX];
    struct buf text = {0};
    int rc = path_join (path, "VERSION", file, error);
    if (rc == 0)
        rc = file_read_all (file, VERSION_LIMIT, &text, error);
    if (rc == 0) {
        buf_put_u8 (&text, 0);
        if (text.failed)
            rc = err_set (error, LITEDFS_MEMORY, "%s: out of memory", file);
        else
            rc = parse_version ((char *) text.data, file, out, error);
    } else if (rc == LITEDFS_INVALID)
        rc = err_set (error, LITEDFS_CORRUPT, "%s: cannot be read; restore it", file);
    buf_free (&text);
    return rc;
}

int
datapath_identity (const char *path, struct blockstore_identity *out, litedfs_error_t *error)
{
    return read_version (path, out, error);
}

/* ---- the directory ------------------------------------------------------------------------------ */

/* Whether an entry does not count: what a start that was interrupted may leave, and what a file system
 * brings along. */
static bool
is_nothing (const char *name)
{
    return strcmp (name, ".") == 0 || strcmp (name, "..") == 0 ||
           strcmp (name, "lost+found") == 0 || strcmp (name, "lock") == 0 ||
           strncmp (name, "VERSION.", 8) == 0;
}

static int
check_empty (const char *path, litedfs_error_t *error)
{
    DIR *dir = opendir (path);
    if (!dir)
        return err_set_errno (error, LITEDFS_IO, errno, "data_path[%s]", path);
    const struct dirent *entry = NULL;
    int rc = 0;
    while ((entry = readdir (dir)) && is_nothing (entry->d_name))
        ;
    if (entry)
        rc = err_set (error, LITEDFS_INVALID,
                      "data_path[%s]: it has no VERSION but other things in it, as '%s'; set "
                      "data_path to an empty directory",
                      path, entry->d_name);
    closedir (dir);
    return rc;
}

static int
make_directories (const char *path, litedfs_error_t *error)
{
    static const char *const names[] = {"index", "writing", "blocks", "damaged"};
    char directory[PATH_MAX];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof *names; i++) {
        rc = path_join (path, names[i], directory, error);
        if (rc == 0 && mkdir (directory, 0755) < 0 && errno != EEXIST)
            rc = err_set_errno (error, LITEDFS_IO, errno, "%s", directory);
    }
    bool made = false;
    for (unsigned i = 0; rc == 0 && i < FANOUT; i++) {
        char name[16];
        snprintf (name, sizeof name, "blocks/%02x", i);
        rc = path_join (path, name, directory, error);
        if (rc < 0)
            break;
        if (mkdir (directory, 0755) == 0)
            made = true;
        else if (errno != EEXIST)
            rc = err_set_errno (error, LITEDFS_IO, errno, "%s", directory);
    }
    if (rc == 0 && made) {
        rc = path_join (path, "blocks", directory, error);
        if (rc == 0)
            rc = file_sync_directory (directory, error);
    }
    return rc == 0 ? file_sync_directory (path, error) : rc;
}

/* With the lock held, make sure of VERSION. */
static int
take_locked (const char *path, struct blockstore_identity *identity, bool *out_fresh,
             litedfs_error_t *error)
{
    *out_fresh = false;
    int rc = read_version (path, identity, error);
    if (rc != LITEDFS_NOT_FOUND)
        return rc;
    rc = check_empty (path, error);
    if (rc == 0)
        rc = uuid_random (&identity->uuid, error);
    if (rc == 0)
        rc = datapath_write_version (path, identity, error);
    *out_fresh = rc == 0;
    return rc;
}

int
datapath_take (const char *path, struct blockstore_identity *identity, int *out_lock,
               bool *out_fresh, litedfs_error_t *error)
{
    char file[PATH_MAX];
    *identity = (struct blockstore_identity){0};
    *out_lock = -1;
    if (file_make_directories (path, 0755, error) < 0)
        return err_prefix (error, "data_path");
    int rc = path_join (path, "lock", file, error);
    if (rc < 0)
        return rc;
    // Nothing is put into a directory that is not ours, not even the lock.
    struct blockstore_identity seen;
    rc = read_version (path, &seen, error);
    if (rc == LITEDFS_NOT_FOUND)
        rc = check_empty (path, error);
    if (rc < 0)
        return rc;
    if (file_lock (file, out_lock, error) < 0)
        return err_prefix (error, "data_path[%s]", path);
    rc = take_locked (path, identity, out_fresh, error);
    if (rc == 0)
        rc = make_directories (path, error);
    if (rc < 0) {
        close (*out_lock);
        *out_lock = -1;
    }
    return rc;
}
