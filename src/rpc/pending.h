/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_RPC_PENDING_H
#define LITEDFS_RPC_PENDING_H

/*
 * The requests of a dealer that have no answer yet, by id.  Ids ascend without gaps, so they
 * stand in a ring; a request that stays pending for long makes it as large as the number of
 * requests since.  For dealer.c alone.
 */

#include "rpc/dealer.h"

struct pending {
    uint64_t id;
    const struct message_type *type;
    zmq_msg_t header;
    zmq_msg_t payload;
    bool has_payload;
    bool was_sent; // on this socket or one before
    int64_t timeout_ms;
    int64_t deadline_ms;
    int64_t patience_ms;
    int64_t due_ms; // when it was sent, and patience_ms; silence before does not count
    dealer_fn *fn;
    void *arg;
};

struct pending_ring {
    struct pending **slots; // by id modulo slot_count, a power of two
    size_t slot_count;
    size_t count;
    uint64_t first_id; // none below is pending
    uint64_t next_id;  // of the next request
};

/* Make it empty.  LITEDFS_MEMORY, without a text, if there is none; pending_ring_free is fine
 * then. */
int pending_ring_init (struct pending_ring *self, uint64_t first_id);

/* Free it and what is in it. */
void pending_ring_free (struct pending_ring *self);

/* A request with the next id, its frames initialised, not in the ring yet; NULL if memory is
 * short.  There is room for it until the next one. */
struct pending *pending_new (struct pending_ring *ring);
void pending_free (struct pending *self);

/* Put it in: its id counts as given out. */
void pending_ring_add (struct pending_ring *self, struct pending *pending);

/* Take it out; it is the caller's. */
void pending_ring_take (struct pending_ring *self, struct pending *pending);

/* The request with this id, or NULL. */
struct pending *pending_ring_find (const struct pending_ring *self, uint64_t id);

#endif
