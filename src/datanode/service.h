/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_SERVICE_H
#define LITEDFS_DATANODE_SERVICE_H

/*
 * Everything that litedata runs: the ZAP handler, unless the process has one for all, the data node,
 * HTTP.
 */

#include "base/daemon.h"

/* The program but for its command line (usage, opt_rows, generate), which its main adds. */
extern const struct daemon_program datanode_service;

#endif
