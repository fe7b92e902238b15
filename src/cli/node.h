/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLI_NODE_H
#define LITEDFS_CLI_NODE_H

/*
 * A data node as `cluster info` and `node list` show it.
 */

#include "base/buf.h"
#include "litedfs.h"

#include <jansson.h>

/* "online" or "offline". */
const char *node_status (const litedfs_node_t *node);

/* Append the same and whatever else there is to say, such as "online, full, drains: 12 blocks left". */
void node_put_state (const litedfs_node_t *node, struct buf *out);

/* An object with all that is known of it.  NULL when memory is short. */
json_t *node_json (const litedfs_node_t *node);

#endif
