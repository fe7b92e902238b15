/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_DATANODE_H
#define LITEDFS_DATANODE_DATANODE_H

/*
 * A data node: takes blocks, keeps them, gives them out, deletes them by order.
 *
 * It is the block store with three kinds of threads over it: the datanode actor with the ROUTER, which
 * serves block.write, block.read and block.stat and never waits for the disk; the disk pool; and the
 * uplink to the name node.  It serves from the moment that it has a number, whether or not the name node
 * is there.
 *
 * Several may run in one process.  A data node belongs to the thread that started it.
 */

#include "base/clock.h"
#include "base/log.h"
#include "datanode/config.h"
#include "rpc/zap.h"

struct datanode;
struct metrics;

struct datanode_options {
    const struct datanode_config *config; // checked (datanode_config_check)
    const char *config_path;              // for texts that name it; NULL if there is no file
    const char *version;                  // of the program
    struct zap *zap;                      // the process's
    struct log *log;                      // may be NULL
    const struct clock *clock;
};

/* Open the block store, bind, start the actors.  Blocks until requests are served, which takes long if
 * the index must be rebuilt; it does not wait for the name node.  All that options points at must
 * outlive it.  Errors: those of blockstore_open, of socket_bind (port in use), of actor_start. */
int datanode_start (struct datanode **out, const struct datanode_options *options,
                    litedfs_error_t *error);

/* Stop it: chunks on their way are dropped, blocks that are not durable are given up.  Takes NULL, sets
 * it to NULL. */
void datanode_stop (struct datanode **self);

/* Take `allow` of the configuration over, after it has changed.  LITEDFS_CONFIG. */
int datanode_allow (struct datanode *self, litedfs_error_t *error);

/* The port of the ROUTER, that for other data nodes; the domain of the ZAP handler, which HTTP applies
 * too. */
int datanode_tcp_port (const struct datanode *self);
int datanode_chain_port (const struct datanode *self);
const char *datanode_domain (const struct datanode *self);

/* What it has counted; it is the data node's, and may be rendered from any thread until it stops.
 * datanode_measure, from any thread too, first sets what is not counted but looked up: how much it holds. */
struct metrics *datanode_metrics (const struct datanode *self);
void datanode_measure (struct datanode *self);

/* Whether it has ended by itself, or cannot go on: the process should end.  The log says why; why is
 * set if there is one line that does. */
bool datanode_failed (const struct datanode *self, litedfs_error_t *why);

#endif
