/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_PEERS_H
#define LITEDFS_DATANODE_PEERS_H

/*
 * The other data nodes: where each one is, and what is sent to it.
 *
 * The model.  Each node that is written to has two connections, made when something is sent and closed
 * after a minute without: one for chunks, and one that overtakes it, for acks and for blocks of one small
 * chunk.  Nothing here waits: what libzmq does not take at once lies in the connection's queue until it
 * does, and bytes that nobody needs any more are taken out of it again, so that the queues hold no more
 * than the pipeline keeps.
 *
 * A node is lost when nobody listens there or its connection has ended and stays away.  Then its queues
 * are dropped and its connections closed, with what is still in libzmq's hands; what is sent to it
 * afterwards is tried anew.  That a message was sent says nothing: only acks do.
 *
 * The owner's loop polls peers_poll_items and calls peers_process in every turn.  No call blocks; all
 * belongs to one thread.
 */

#include "base/clock.h"
#include "base/log.h"
#include "datanode/lane.h"

struct peers;

/* The most poll items that are ever asked for. */
#define PEERS_POLL_MAX 32

/* log may be NULL; both must outlive it.  NULL when memory is short. */
struct peers *peers_new (const struct clock *clock, struct log *log);

/* Free it, and drop what waits.  Takes NULL, sets it to NULL. */
void peers_destroy (struct peers **self);

/* A node is reached at this numeric address from now on; port 0: nobody knows where.  Connections to
 * another address are closed, and what waits for it goes to the new one.  LITEDFS_INVALID,
 * LITEDFS_MEMORY. */
int peers_set (struct peers *self, uint32_t node, const char *host, int port,
               litedfs_error_t *error);

/* Whether it is known where a node is. */
bool peers_know (const struct peers *self, uint32_t node);

/* Send a message to a node, or let it wait; for one of which nobody knows where it is, too.
 * LITEDFS_BUSY, LITEDFS_MEMORY: it was dropped. */
int peers_send (struct peers *self, uint32_t node, const struct parcel *parcel,
                litedfs_error_t *error);

/* Nobody needs the bytes of this owner any more; this node needs no chunks of this block any more. */
void peers_forget (struct peers *self, const void *owner);
void peers_pass_over (struct peers *self, uint32_t node, uint64_t block);

/* Send what has waited, hear how the connections do, close what is idle. */
void peers_process (struct peers *self);

/* The next node that was lost: true, and its number. */
bool peers_lost (struct peers *self, uint32_t *out_node);

/* We did not run for ms: connections that ended have so much more time to come back. */
void peers_forgive (struct peers *self, int64_t ms);

/* For zmq_poll: the connections that messages wait for.  How many there are, at most PEERS_POLL_MAX. */
size_t peers_poll_items (struct peers *self, zmq_pollitem_t *items);

/* How long peers_process has nothing to do if none of them is ready, in ms. */
long peers_idle_ms (const struct peers *self);

/* How many messages wait, for all nodes. */
size_t peers_waiting (const struct peers *self);

#endif
