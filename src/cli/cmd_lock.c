/* SPDX-License-Identifier: MIT */
/*
 * litedfs ADDRESS lock list: the files that are being written now.
 */
#include "cli/cmd.h"
#include "cli/print.h"

#include <inttypes.h>

static void
lock_cell (const void *arg, size_t row, size_t column, struct buf *out)
{
    const litedfs_locks_t *locks = arg;
    const litedfs_lock_t *lock = &locks->locks[row];

    if (column == 0)
        buf_printf (out, "%s", lock->id);
    else if (column == 1)
        buf_printf (out, "%" PRIu64, lock->ttl_s);
    else if (column == 2)
        buf_printf (out, "%" PRIu64, lock->remaining_s);
    else if (column == 3)
        buf_printf (out, "%" PRIu32, lock->replica);
    else
        buf_printf (out, "%s", lock->path);
}

static json_t *
locks_json (const litedfs_locks_t *locks)
{
    json_t *list = json_array ();
    for (size_t i = 0; i < locks->count; i++) {
        const litedfs_lock_t *lock = &locks->locks[i];
        json_t *object = json_pack ("{sosssososo}", "path", print_json_text (lock->path), "id",
                                    lock->id, "ttl", print_json_number (lock->ttl_s),
                                    "remaining", print_json_number (lock->remaining_s),
                                    "replica", print_json_number (lock->replica));
        if (json_array_append_new (list, object) < 0) {
            json_decref (list);
            return NULL;
        }
    }
    return json_pack ("{so}", "locks", list);
}

static int
run_list (struct cmd_call *call, litedfs_error_t *error)
{
    static const char *const names[] = {"id", "ttl", "remaining", "replica", "path", NULL};
    litedfs_locks_t locks;

    int rc = cmd_open (call, error);
    if (rc == 0)
        rc = litedfs_locks (call->session, &locks, error);
    if (rc < 0)
        return rc;
    const struct print_table table = {
        .names = names, .first = 1, .rows = locks.count, .cell = lock_cell, .arg = &locks};
    rc = call->text[CMD_JSON]
             ? print_json (locks_json (&locks), stdout, error)
             : print_table (&table, (uint64_t) call->number[CMD_WIDTH], stdout, error);
    litedfs_locks_free (&locks);
    return rc;
}

const struct cmd cmd_lock[] = {
    {"lock", "list", NULL, "List the files that are being written now", 0, CMD_BIT (CMD_JSON),
     run_list},
    {0},
};
