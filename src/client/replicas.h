/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLIENT_REPLICAS_H
#define LITEDFS_CLIENT_REPLICAS_H

/*
 * The nodes that are to have a block, and how far each is, as their replies say it.
 *
 * The first one is the one that the client writes to; it speaks for the others.  A node that was durable
 * stays so.  A node that has failed, or only passes chunks on, may come back: the first one was
 * restarted and has tried it again.  Pure: no socket, no clock.
 */

#include "wire/message.h"

#define REPLICAS_MAX 64

struct replica {
    uint32_t node;
    enum replica_state state;
    uint64_t offset;   // it has the bytes before
    uint64_t furthest; // the highest offset that it had
    unsigned states;   // bits of those that it was in
};

struct replicas {
    struct replica list[REPLICAS_MAX];
    size_t count;
};

/* A block that no node has anything of: the first node, then those of the chain, up to
 * REPLICAS_MAX - 1 of them. */
void replicas_start (struct replicas *self, uint32_t first, const uint64_t *chain,
                     size_t chain_count);

/* Take in what a reply says; nodes that are not the block's are passed over.  Whether any has got
 * further than ever, or into a state in which it was not before: this cannot go on for ever. */
bool replicas_take (struct replicas *self, const struct wire_replica *list, size_t count);

/* What is known of a node, or NULL. */
const struct replica *replicas_find (const struct replicas *self, uint32_t node);

/* Whether a node will have no copy, as far as is known. */
bool replica_has_failed (const struct replica *replica);

/* The numbers of the nodes that are durable with exactly `size` bytes: up to REPLICAS_MAX in out,
 * which may be NULL.  How many they are. */
size_t replicas_durable (const struct replicas *self, uint64_t size, uint64_t *out);

#endif
