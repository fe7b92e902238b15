/* SPDX-License-Identifier: MIT */
/*
 * litedfs ADDRESS path info: whatever a path names, a directory with the totals below it.
 */
#include "cli/cmd.h"
#include "cli/entry.h"
#include "cli/print.h"

#include <inttypes.h>

static void
print_entry (const char *path, const litedfs_entry_t *entry)
{
    char time[PRINT_TIME_SIZE];

    print_field (stdout, "path", "%s", path);
    if (entry->kind == LITEDFS_FILE)
        print_field (stdout, "id", "%s", entry->id);
    print_field (stdout, "type", "%s", entry_type (entry));
    print_field (stdout, "size", "%" PRIu64, entry->size);
    if (entry->kind == LITEDFS_FILE)
        print_field (stdout, "replica", "%" PRIu32, entry->replica);
    print_field (stdout, "ctime", "%s", print_time (entry->ctime_ms, time));
    print_field (stdout, "mtime", "%s", print_time (entry->mtime_ms, time));
    if (entry->kind == LITEDFS_DIRECTORY) {
        print_field (stdout, "files", "%" PRIu64, entry->files);
        print_field (stdout, "directories", "%" PRIu64, entry->directories);
    }
}

static int
run_info (struct cmd_call *call, litedfs_error_t *error)
{
    const char *path = call->text[CMD_REMOTE_PATH];
    litedfs_entry_t entry;

    int rc = cmd_open (call, error);
    if (rc == 0)
        rc = litedfs_stat (call->session, path, &entry, error);
    if (rc < 0)
        return rc;
    if (call->text[CMD_JSON])
        rc = print_json (entry_json (&entry, "path", path), stdout, error);
    else
        print_entry (path, &entry);
    litedfs_entry_free (&entry);
    return rc;
}

const struct cmd cmd_path[] = {
    {"path", "info", NULL, "Show a file or a directory, with the totals below it",
     CMD_BIT (CMD_REMOTE_PATH), CMD_BIT (CMD_JSON), run_info},
    {0},
};
