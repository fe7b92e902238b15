/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLI_CHECK_H
#define LITEDFS_CLI_CHECK_H

/*
 * cluster check: how the blocks are, and the files that are not as they should be.
 */

#include "cli/cmd.h"

int check_run (struct cmd_call *call, litedfs_error_t *error);

#endif
