/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_UPLINK_H
#define LITEDFS_DATANODE_UPLINK_H

/*
 * The data node's line to the name node: an actor that registers, sends heartbeats, reports what
 * changed, and fetches orders.
 *
 * The model.  It finds the name node (over its HTTP port, unless the configuration has the other one),
 * registers, and stays registered: whatever breaks, it begins anew every retry_interval for as long as
 * it takes.  It gets the node's number once and keeps it in the block store, so that the node serves
 * with it whether or not the name node is there.  Changes of the index are reported as soon as they are
 * there, in pages, again until they are confirmed.  Orders are handed to the datanode actor, which has
 * them carried out, and confirmed by the number that the block store keeps.
 *
 * It keeps the node table (nodetable.h): what heartbeats say has changed, and all of it when the datanode
 * actor asks for a number that is not in it.  The table is in data_path/nodes, so that the next start has
 * it before the name node is found.  The datanode actor is told all of it at first, and then what changes.
 *
 * It talks to the datanode actor by notes (note.h).
 */

#include "base/clock.h"
#include "base/log.h"
#include "datanode/blockstore.h"
#include "datanode/config.h"

struct uplink;

struct uplink_options {
    const struct datanode_config *config; // borrowed
    struct blockstore *store;             // borrowed
    const char *notes;                    // inproc endpoint of the datanode actor
    int tcp_port;                         // where the datanode actor listens
    int chain_port;                       // and where it does for other data nodes; 0: nowhere
    const char *version;                  // of the program
    struct log *log;                      // may be NULL
    const struct clock *clock;
};

/* Start it; it returns without waiting for the name node.  What options points at must outlive it.
 * Errors as actor_start, LITEDFS_INVALID for an advertise_host that cannot be resolved. */
int uplink_start (struct uplink **out, const struct uplink_options *options,
                  litedfs_error_t *error);

/* Stop it.  Takes NULL, sets it to NULL.  May block for a few seconds while it looks for the name
 * node. */
void uplink_stop (struct uplink **self);

/* Whether it has ended by itself; why is set if there is one line that says it. */
bool uplink_ended (const struct uplink *self, litedfs_error_t *why);

#endif
