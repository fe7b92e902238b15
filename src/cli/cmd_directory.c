/* SPDX-License-Identifier: MIT */
/*
 * litedfs ADDRESS directory create|delete|move|rename|list
 */
#include "cli/cmd.h"
#include "cli/entry.h"
#include "cli/print.h"
#include "cli/tree.h"

#include <inttypes.h>

static int
run_create (struct cmd_call *call, litedfs_error_t *error)
{
    const char *path = call->text[CMD_REMOTE_PATH];
    int rc = cmd_open (call, error);
    if (rc == 0)
        rc = litedfs_make_directory (call->session, path, error);
    if (rc == 0)
        print_success (stdout, "create directory", path, NULL);
    return rc;
}

/* ---- list --------------------------------------------------------------------------------------------- */

// A directory has no id, and the size that the table has for it is 0.
static void
entry_cell (const void *arg, size_t row, size_t column, struct buf *out)
{
    const litedfs_list_t *list = arg;
    const litedfs_entry_t *entry = &list->entries[row];

    if (column == 0)
        buf_printf (out, "%s", entry->id);
    else if (column == 1)
        buf_printf (out, "%s", entry_type (entry));
    else if (column == 2)
        buf_printf (out, "%" PRIu64, entry->kind == LITEDFS_FILE ? entry->size : 0);
    else
        buf_printf (out, "%s", entry->name);
}

static json_t *
list_json (const char *path, uint64_t offset, const litedfs_list_t *list)
{
    json_t *entries = json_array ();
    for (size_t i = 0; i < list->count; i++)
        if (json_array_append_new (
                entries, entry_json (&list->entries[i], "name", list->entries[i].name)) < 0) {
            json_decref (entries);
            return NULL;
        }
    return json_pack ("{sosososo}", "path", print_json_text (path), "offset",
                      print_json_number (offset), "total", print_json_number (list->total),
                      "entries", entries);
}

static int
run_list (struct cmd_call *call, litedfs_error_t *error)
{
    static const char *const names[] = {"id", "type", "size", "name", NULL};
    const char *path = call->text[CMD_REMOTE_PATH];
    bool files = call->text[CMD_FILES];
    bool directories = call->text[CMD_DIRECTORIES];
    const litedfs_list_options_t options = {
        .offset = (uint64_t) call->number[CMD_OFFSET],
        .limit = (uint64_t) call->number[CMD_LIMIT],
        .files_only = files && !directories,
        .directories_only = directories && !files,
    };
    litedfs_list_t list;

    int rc = cmd_open (call, error);
    if (rc == 0)
        rc = litedfs_list (call->session, path, &options, &list, error);
    if (rc < 0)
        return rc;
    const struct print_table table = {.names = names,
                                      .first = options.offset + 1,
                                      .rows = list.count,
                                      .cell = entry_cell,
                                      .arg = &list};
    rc = call->text[CMD_JSON]
             ? print_json (list_json (path, options.offset, &list), stdout, error)
             : print_table (&table, (uint64_t) call->number[CMD_WIDTH], stdout, error);
    litedfs_list_free (&list);
    return rc;
}

const struct cmd cmd_directory[] = {
    {"directory", "create", NULL, "Make a directory, and its missing parents",
     CMD_BIT (CMD_REMOTE_PATH), 0, run_create},
    {"directory", "delete", NULL, "Delete a directory and all that is below it",
     CMD_BIT (CMD_REMOTE_PATH), 0, tree_delete},
    {"directory", "move", NULL, "Move a directory into another one",
     CMD_BIT (CMD_SOURCE) | CMD_BIT (CMD_TARGET), 0, tree_move},
    {"directory", "rename", NULL, "Give a directory another name",
     CMD_BIT (CMD_REMOTE_PATH) | CMD_BIT (CMD_NAME), 0, tree_rename},
    {"directory", "list", NULL, "List a directory: directories, then files, by name",
     CMD_BIT (CMD_REMOTE_PATH),
     CMD_BIT (CMD_OFFSET) | CMD_BIT (CMD_LIMIT) | CMD_BIT (CMD_FILES) |
         CMD_BIT (CMD_DIRECTORIES) | CMD_BIT (CMD_JSON),
     run_list},
    {0},
};
