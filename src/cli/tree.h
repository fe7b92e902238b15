/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLI_TREE_H
#define LITEDFS_CLI_TREE_H

/*
 * What `file` and `directory` do alike: delete, move, rename.  Runs for rows of cmd.h; the object of
 * the row says of which kind the path must be.
 */

#include "cli/cmd.h"

int tree_delete (struct cmd_call *call, litedfs_error_t *error);
int tree_move (struct cmd_call *call, litedfs_error_t *error);
int tree_rename (struct cmd_call *call, litedfs_error_t *error);

#endif
