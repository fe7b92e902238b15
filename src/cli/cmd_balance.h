/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLI_CMD_BALANCE_H
#define LITEDFS_CLI_CMD_BALANCE_H

/*
 * The command `cluster balance`, for the table in cmd_cluster.c.
 */

#include "cli/cmd.h"

int cmd_cluster_balance (struct cmd_call *call, litedfs_error_t *error);

#endif
