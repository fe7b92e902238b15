/* SPDX-License-Identifier: MIT */
/*
 * Where in a configuration a key stands, for what is found to be wrong after the file was read: keys
 * that do not go together, values that only a daemon can judge.
 *
 * The file is read again and looked at line by line, not parsed: it was parsed a moment ago, and a
 * wrong number costs nobody more than a look.
 */
#include "base/conf.h"

#include "base/err.h"
#include "base/file.h"

#include <string.h>

static bool
is_word (const char *name, const char *text, size_t size)
{
    return name && strlen (name) == size && memcmp (name, text, size) == 0;
}

// The row whose key or alias starts text and ends at size.
static const struct option_row *
find_row (const struct option_row *table, const char *text, size_t size)
{
    for (; table->key; table++)
        if (is_word (table->key, text, size) || is_word (table->alias, text, size))
            return table;
    return NULL;
}

// The first line that sets a row, 0 if there is none.
static size_t
find_line (const char *text, const struct option_row *row)
{
    for (size_t number = 1; *text; number++) {
        const char *key = text + strspn (text, " \t\"'{");
        size_t size = strcspn (key, " \t\"':\n");
        bool is_key = key[size + strspn (key + size, " \t\"'")] == ':';
        if (is_key && (is_word (row->key, key, size) || is_word (row->alias, key, size)))
            return number;
        text += strcspn (text, "\n");
        text += *text == '\n';
    }
    return 0;
}

void
conf_add_line (const char *path, const struct option_row *table, litedfs_error_t *error)
{
    const litedfs_error_t said = *error;
    size_t skip = strlen (path) + strlen (": ");
    struct buf text = {0};

    if (strlen (said.text) <= skip || strncmp (said.text, path, strlen (path)) != 0)
        return;
    const char *key = said.text + skip;
    const struct option_row *row = find_row (table, key, strcspn (key, ":"));
    if (row && file_read_all (path, CONF_FILE_MAX, &text, NULL) == 0) {
        size_t line = find_line (buf_text (&text), row);
        if (line > 0)
            err_set (error, said.number, "%s:%zu: %s", path, line, key);
    }
    buf_free (&text);
}
