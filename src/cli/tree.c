/* SPDX-License-Identifier: MIT */
/*
 * The verbs that files and directories share.  Each one opens the session, makes its call, and says
 * what it has done: "move file[/a/f] to /b success".
 */
#include "cli/tree.h"

#include "cli/print.h"

#include <string.h>

static litedfs_kind_t
kind_of (const struct cmd_call *call)
{
    return strcmp (call->cmd->object, "file") == 0 ? LITEDFS_FILE : LITEDFS_DIRECTORY;
}

/* "delete file": the operation and the object of the row. */
static void
say_done (const struct cmd_call *call, const char *path, const char *to)
{
    char done[64];
    snprintf (done, sizeof done, "%s %s", call->cmd->operation, call->cmd->object);
    print_success (stdout, done, path, to);
}

int
tree_delete (struct cmd_call *call, litedfs_error_t *error)
{
    const char *path = call->text[CMD_REMOTE_PATH];
    int rc = cmd_open (call, error);
    if (rc == 0)
        rc = litedfs_delete (call->session, kind_of (call), path, error);
    if (rc == 0)
        say_done (call, path, NULL);
    return rc;
}

int
tree_move (struct cmd_call *call, litedfs_error_t *error)
{
    const char *source = call->text[CMD_SOURCE];
    const char *target = call->text[CMD_TARGET];
    int rc = cmd_open (call, error);
    if (rc == 0)
        rc = litedfs_move (call->session, kind_of (call), source, target, error);
    if (rc == 0)
        say_done (call, source, target);
    return rc;
}

int
tree_rename (struct cmd_call *call, litedfs_error_t *error)
{
    const char *path = call->text[CMD_REMOTE_PATH];
    const char *name = call->text[CMD_NAME];
    int rc = cmd_open (call, error);
    if (rc == 0)
        rc = litedfs_rename (call->session, kind_of (call), path, name, error);
    if (rc == 0)
        say_done (call, path, name);
    return rc;
}
