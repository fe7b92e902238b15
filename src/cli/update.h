/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLI_UPDATE_H
#define LITEDFS_CLI_UPDATE_H

/*
 * file update: how many copies are wanted, of a file or of all files below a directory.
 */

#include "cli/cmd.h"

int update_run (struct cmd_call *call, litedfs_error_t *error);

#endif
