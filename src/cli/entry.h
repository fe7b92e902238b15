/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLI_ENTRY_H
#define LITEDFS_CLI_ENTRY_H

/*
 * A file or directory as `directory list` and `path info` show it.
 */

#include "litedfs.h"

#include <jansson.h>

/* "file" or "directory". */
const char *entry_type (const litedfs_entry_t *entry);

/* An object: `key` (such as "name") with `text`, then type, id, size, replica, ctime, mtime, and of a
 * directory files and directories, all that is below it.  NULL when memory is short. */
json_t *entry_json (const litedfs_entry_t *entry, const char *key, const char *text);

#endif
