/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_SERVICE_H
#define LITEDFS_NAMENODE_SERVICE_H

/*
 * Everything that litename runs: the ZAP handler, unless the process has one for all, the name node,
 * HTTP.
 */

#include "base/daemon.h"

/* The program but for its command line (usage, opt_rows, generate), which its main adds. */
extern const struct daemon_program namenode_service;

#endif
