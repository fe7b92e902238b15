/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLI_CMD_DUTY_H
#define LITEDFS_CLI_CMD_DUTY_H

/*
 * The commands of `node` that change something, for its table in cmd_node.c.  call->operand is the node's
 * number.
 */

#include "cli/cmd.h"

int cmd_node_drain (struct cmd_call *call, litedfs_error_t *error);
int cmd_node_undrain (struct cmd_call *call, litedfs_error_t *error);
int cmd_node_remove (struct cmd_call *call, litedfs_error_t *error);
int cmd_node_maintenance (struct cmd_call *call, litedfs_error_t *error);

#endif
