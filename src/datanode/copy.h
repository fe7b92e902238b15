/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_COPY_H
#define LITEDFS_DATANODE_COPY_H

/*
 * Copies by order: this node's blocks, sent to other nodes because the name node says so.
 *
 * The model.  Orders of kind copy wait in a queue, in the order in which they came.  At most COPY_STREAMS
 * of them run at a time: the block is described by the disk pool (what its trailer says is sent along),
 * then given to the pipeline, which asks for its bytes with PIPELINE_READ, sends them down a chain of one
 * node, and says with PIPELINE_COPIED how it ended.  The bytes are read by the disk pool, which checks
 * every unit: a block that is damaged ends its copy.  A block that the pipeline is busy with waits its
 * turn for COPY_PATIENCE_MS.
 *
 * Whoever reads or writes here goes first: within COPY_YIELD_MS of a request of theirs (copy_yield) copies
 * go on with one READ in COPY_PAUSE_MS, for all streams together, some 30 MiB/s.
 *
 * An order is here once: the same block to the same node again is the one that waits or runs.  What is
 * dropped (the queue is full, the block is gone, the target is away) is logged, told, and forgotten; the
 * name node orders what is still missing anew.
 *
 * It belongs to the datanode actor's thread, knows no socket, and reaches pipeline and disk pool by the
 * calls that it is given.  Nothing here blocks.
 *
 * What the owner does:
 *
 *   DISK_EXECUTED      copy_orders with the orders that were run
 *   PIPELINE_READ      copy_read
 *   PIPELINE_COPIED    copy_ended
 *   a disk result      copy_result first: it says whether the result was meant for it
 *   time               copy_tick at copy_next_deadline
 */

#include "base/log.h"
#include "datanode/diskpool.h"
#include "datanode/pipeline.h"

#define COPY_STREAMS 2 // copies that run at a time
#define COPY_QUEUE_MAX 4096
#define COPY_AGAIN_MS 500      // after which a block that was busy is tried again
#define COPY_PATIENCE_MS 60000 // after which it is dropped
#define COPY_YIELD_MS 100      // for which somebody else's request slows copies down,
#define COPY_PAUSE_MS 32       // to one READ in this time

/* The tokens of its disk jobs have this bit; those of nobody else have. */
#define COPY_TOKEN ((uint64_t) 1 << 63)

struct copy;

/* How it reaches the others. */
struct copy_calls {
    void *context;
    /* diskpool_submit of a job without a payload. */
    int (*submit) (void *context, const struct disk_job *job, litedfs_error_t *error);
    /* pipeline_start_copy. */
    int (*start) (void *context, const struct pipeline_copy *copy, litedfs_error_t *error);
    /* pipeline_was_read: the bytes are in *payload, which is to be moved away or left for the caller to
     * close; or error says why there are none. */
    void (*was_read) (void *context, uint64_t block, uint64_t offset, zmq_msg_t *payload,
                      const litedfs_error_t *error);
    /* A copy has failed: the name node is to know, so that it orders another one. */
    void (*failed) (void *context, uint64_t block, uint32_t target, int number);
};

/* calls is copied; log and metrics (both may be NULL) are borrowed.  NULL when memory is short. */
struct copy *copy_new (const struct copy_calls *calls, struct log *log,
                       struct metrics *metrics);

/* Free it; what waits or runs is forgotten.  Takes NULL, sets it to NULL. */
void copy_destroy (struct copy **self);

/* Orders that were run (blockstore_execute): copies are queued, and begun if there is room; a delete
 * takes its block's copies out of the queue. */
void copy_orders (struct copy *self, int64_t now_ms, const struct blockstore_order *orders,
                  size_t count);

/* Somebody has asked for bytes, or sent some. */
void copy_yield (struct copy *self, int64_t now_ms);

/* A PIPELINE_READ. */
void copy_read (struct copy *self, int64_t now_ms, const struct pipeline_action *action);

/* A result of the disk pool.  False if it is not meant for this: then nothing was done.  Else the
 * payload was taken. */
bool copy_result (struct copy *self, int64_t now_ms, const struct disk_result *result,
                  zmq_msg_t *payload);

/* A PIPELINE_COPIED. */
void copy_ended (struct copy *self, int64_t now_ms, const struct pipeline_action *action);

/* Time passed: try again what was busy, go on with what has given way. */
void copy_tick (struct copy *self, int64_t now_ms);

/* When copy_tick has something to do next; INT64_MAX if nothing waits for time. */
int64_t copy_next_deadline (const struct copy *self);

/* How many wait, and how many run. */
size_t copy_waiting (const struct copy *self);
size_t copy_running (const struct copy *self);

#endif
