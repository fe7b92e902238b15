/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_LISTEN_H
#define LITEDFS_BASE_LISTEN_H

/*
 * Where a daemon listens and who may connect, as both configurations say it: ports that follow from
 * http_port unless they are set, and the networks of `allow:`.  Error texts are those of a
 * configuration: "PATH: KEY: what is wrong; what is allowed".
 */

#include "base/net.h"
#include "base/option.h"

/* The value of a port's key that stands for "http_port and so much". */
#define LISTEN_PORT_FOLLOWS (-1)

/* Set a port that follows from http_port; one that was given stays, 0 (choose a free one) too.
 * LITEDFS_CONFIG if it would be over 65535. */
int listen_follow_port (const char *path, const char *key, int64_t http_port, int64_t offset,
                        int64_t *port, litedfs_error_t *error);

/* Two keys that may not name the same port; 0 is never the same.  LITEDFS_CONFIG. */
int listen_ports_differ (const char *path, const char *key_a, int64_t a, const char *key_b,
                         int64_t b, litedfs_error_t *error);

/* The networks that may come in: loopback and what `allow` names.  LITEDFS_CONFIG "PATH: allow: ...". */
int listen_allowed (const char *path, const struct option_list *allow, struct net_list *out,
                    litedfs_error_t *error);

#endif
