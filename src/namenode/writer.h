/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_WRITER_H
#define LITEDFS_NAMENODE_WRITER_H

/*
 * The actor that changes the store: the only one that does.
 *
 * The namenode actor hands requests over and polls writer_socket for what came of them.  While one
 * batch commits the next collects, up to WRITER_BATCH_MAX requests; a reply is handed back when what
 * it says is durable.  Between batches the writer keeps house (upkeep.h).
 *
 * All calls belong to the thread that started it and do not block.
 */

#include "base/actor.h"
#include "namenode/batch.h"
#include "namenode/upkeep.h"

/* The most requests in a transaction. */
#define WRITER_BATCH_MAX 1024

/* What may wait for the writer: requests, and bytes of their frames.  More is `busy`. */
#define WRITER_REQUESTS_MAX 16384
#define WRITER_BYTES_MAX ((size_t) 64 << 20)

struct writer;

struct writer_options {
    struct storedir *dir;
    const struct op_settings *settings;
    const struct clock *clock;
    struct log *log;         // may be NULL
    struct metrics *metrics; // may be NULL
};

/* Start it with this view of the nodes.  What the options point to must outlive it.  Errors of
 * actor_start and of reading the leases. */
int writer_start (struct writer **out, const struct writer_options *options,
                  struct nodes_view *nodes, litedfs_error_t *error);

/* Stop it: the batch under way is finished, what has not begun is dropped unanswered.  Takes NULL,
 * sets it to NULL. */
void writer_stop (struct writer **self);

/* Hand a request over: its frame is moved out of it, and the request itself stays the caller's.
 * token comes back with the result.  LITEDFS_BUSY when too much waits already; then the frame is
 * where it was. */
int writer_submit (struct writer *self, struct request *request, const struct op_sender *sender,
                   uint64_t token, litedfs_error_t *error);

/* Hand a new view of the nodes over, for the requests after it.  One reference is taken. */
void writer_update_nodes (struct writer *self, struct nodes_view *nodes);

/* Something that the writer tells. */
enum writer_event { WRITER_REPLY, WRITER_ORDERS, WRITER_NODE, WRITER_REPAIR };

struct writer_result {
    enum writer_event event;
    uint32_t node; // WRITER_ORDERS: this node has new orders; WRITER_NODE: its duty has changed
    struct repair_view *repair; // WRITER_REPAIR: the caller owns this reference now

    // WRITER_REPLY
    struct route route;
    uint64_t id;
    enum message_number number;
    uint64_t token;
    size_t frame_size; // of the request
    bool ok;
    int error; // of err.def if it is not ok, else 0
    struct op_effects effects;
};

/* The next result: 1, and the encoded reply in *frame, an initialised message that the caller closes
 * (empty for all but WRITER_REPLY); or 0. */
int writer_next (struct writer *self, struct writer_result *out, zmq_msg_t *frame);

/* For zmq_poll, with ZMQ_POLLIN. */
void *writer_socket (struct writer *self);
void *writer_end_socket (struct writer *self); // readable when it has ended by itself

/* Whether it has ended by itself, because the disk failed. */
bool writer_ended (const struct writer *self);

#endif
