/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLI_WHY_H
#define LITEDFS_CLI_WHY_H

/*
 * file why: why a file is not where it should be, and what is under way.
 */

#include "cli/cmd.h"

int why_run (struct cmd_call *call, litedfs_error_t *error);

#endif
