/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_PORTS_H
#define LITEDFS_DATANODE_PORTS_H

/*
 * A port that is chosen once and kept in a file, so that a node is found where it was.
 */

#include "base/log.h"
#include "rpc/router.h"

/* Make the router (options->port is not looked at).  A port above 0 is bound as it is.  With 0 it is the
 * one in the file at path, or, if that cannot be read or is taken by another, a free one, which the file
 * then names.  Errors as router_new, or those of writing the file. */
int ports_bind (struct router **out, struct router_options *options, int port, const char *path,
                litedfs_error_t *error);

/* The same for a socket that was made and is not bound: to a port of host.  *out_port is the one that it
 * got.  Errors as socket_bind, or those of writing the file; the socket stays the caller's. */
int ports_bind_socket (void *socket, const char *host, int port, const char *path,
                       int *out_port, struct log *log, litedfs_error_t *error);

#endif
