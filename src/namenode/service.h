/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_SERVICE_H
#define LITEDFS_NAMENODE_SERVICE_H

/*
 * Everything that litename runs: the ZAP handler, the name node, HTTP.  The calls are those of
 * base/daemon's struct daemon_program, and its contract is theirs.
 */

#include "base/daemon.h"

int service_start (struct daemon *daemon, void **service, litedfs_error_t *error);
void service_stop (void **service);

/* Takes over who may connect. */
void service_reload (struct daemon *daemon, void *service);

/* Whether the name node has ended, because its disk failed, or HTTP has; the log says why. */
bool service_failed (void *service, litedfs_error_t *why);

#endif
