/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_RPC_ENDPOINT_H
#define LITEDFS_RPC_ENDPOINT_H

/*
 * From the address that people know, the name node's HTTP port, to the one that requests go to:
 * a GET of /cluster/endpoint in HTTP/1.0, of our own because the start of litedfs(1) counts.
 */

#include "base/id.h"
#include "base/net.h"
#include "litedfs.h"

struct endpoint_info {
    char host[NET_HOST_SIZE]; // numeric; the address that was asked if the answer names none
    int port;
    struct uuid cluster;
    int version_min; // of the protocol
    int version_max;
};

/* Ask host:http_port, within timeout_ms for connection and answer together.  A host name is
 * resolved first, which blocks as long as the resolver does and is not counted; its addresses
 * are tried until one takes the connection.  cancel_fd: ends the call with LITEDFS_CANCELLED
 * when it becomes readable; -1: none. LITEDFS_UNREACHABLE (no connection, with the reason),
 * LITEDFS_TIMEOUT (no whole answer in time), LITEDFS_REFUSED (403: with the line that the name
 * node says), LITEDFS_INVALID (it is not a LiteDFS name node), LITEDFS_UNSUPPORTED_VERSION,
 * LITEDFS_CANCELLED, LITEDFS_FAILED.  The text names the address. */
int endpoint_lookup (const char *host, int http_port, int timeout_ms, int cancel_fd,
                     struct endpoint_info *out, litedfs_error_t *error);

#endif
