/* SPDX-License-Identifier: MIT */
/*
 * A file or directory as JSON.
 */
#include "cli/entry.h"

#include "cli/print.h"

const char *
entry_type (const litedfs_entry_t *entry)
{
    return entry->kind == LITEDFS_FILE ? "file" : "directory";
}

json_t *
entry_json (const litedfs_entry_t *entry, const char *key, const char *text)
{
    json_t *object = json_pack (
        "{sosssssosososo}", key, print_json_text (text), "type", entry_type (entry), "id",
        entry->id, "size", print_json_number (entry->size), "replica",
        print_json_number (entry->replica), "ctime", print_json_time (entry->ctime_ms), "mtime",
        print_json_time (entry->mtime_ms));

    if (object && entry->kind == LITEDFS_DIRECTORY &&
        (json_object_set_new (object, "files", print_json_number (entry->files)) < 0 ||
         json_object_set_new (object, "directories", print_json_number (entry->directories)) <
             0)) {
        json_decref (object);
        object = NULL;
    }
    return object;
}
