/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_DATANODE_IMPL_H
#define LITEDFS_DATANODE_DATANODE_IMPL_H

/*
 * The datanode actor's state, for datanode.c (the actor's loop and life), intake.c (what comes in) and
 * actions.c (what goes out) alone.
 */

#include "datanode/chain.h"
#include "datanode/copy.h"
#include "datanode/datanode.h"
#include "datanode/diskpool.h"
#include "datanode/note.h"
#include "datanode/parking.h"
#include "datanode/peers.h"
#include "datanode/pipeline.h"
#include "datanode/scrub.h"
#include "datanode/serve.h"
#include "datanode/uplink.h"

struct datanode {
    struct datanode_options options;
    struct blockstore *store;
    struct metrics *metrics;
    const char *ops[MESSAGE_COUNT]; // that it serves, for the metrics
    struct actor *actor;
    struct uplink *uplink;
    int tcp_port;
    int chain_port;
    char domain[ZAP_DOMAIN_SIZE];
    char notes_endpoint[64];

    // Of the actor's thread from here on.
    struct router *router;
    struct chain *chain;
    struct peers *peers;
    struct diskpool *pool;
    struct pipeline *pipeline;
    struct serve *serve;
    struct copy *copy;
    struct scrub *scrub;
    uint64_t told_seq; // of the index, that the uplink was told of last
    void *notes;
    uint32_t node;          // 0 until the name node has given a number
    struct parking parking; // requests that wait in the pipeline
    int64_t unknown_ms;     // when the uplink may be asked again where a node is
};

/* The time now, monotonic. */
int64_t datanode_now (const struct datanode *self);

/* Take what has come, a bounded part of it, and do what follows.  Whether that was all that nodes have
 * sent. */
bool intake_turn (struct datanode *self);

/* The names of the ops that are served, as router_words gives them. */
void intake_words (const char *words[MESSAGE_COUNT]);

/* Ask the uplink where a node is, unless it was asked something just now. */
void intake_ask_for (struct datanode *self, uint32_t node);

/* Do all that the pipeline wants, after an event. */
void actions_run (struct datanode *self);

/* The bytes of a message as the pipeline holds them, until PIPELINE_RELEASE: *from is moved and empty.
 * NULL when memory is short, and *from stays.  actions_release frees what was not taken; takes NULL. */
zmq_msg_t *actions_hold (zmq_msg_t *from);
void actions_release (struct datanode *self, zmq_msg_t *payload);

/* Tell a node that this one takes no part in a block. */
void actions_refuse (struct datanode *self, uint32_t node, uint64_t block,
                     const litedfs_error_t *error);

/* What the block store knows of a block.  Errors of blockstore_stat. */
int actions_look_up (struct datanode *self, uint64_t block, struct pipeline_known *out,
                     litedfs_error_t *error);

/* For serve: the end of a PIPELINE_COMPARE.  For copy: the calls that it needs. */
void actions_compared (void *context, uint64_t block, uint64_t token, bool equal,
                       const litedfs_error_t *problem);
struct copy_calls actions_copy_calls (struct datanode *self);

#endif
