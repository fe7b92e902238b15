/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLIENT_BLOCKWRITER_IMPL_H
#define LITEDFS_CLIENT_BLOCKWRITER_IMPL_H

/*
 * What blockwriter.c (sending) and blockwriter_reply.c (what answers mean) want of each other.
 */

#include "client/blockwriter.h"

/* Without any progress for so long the first node is given up, in ms; more than a node's write_timeout by
 * default, within which it gives up the nodes after it. */
#define BLOCKWRITER_STALL_MS 75000

/* Whether the block is under way: answers still count. */
bool blockwriter_is_open (const struct blockwriter *self);

/* The first node has no part in it any more: what others have is enough, or another block is needed. */
void blockwriter_fail (struct blockwriter *self, const litedfs_error_t *error);

/* Go on from an offset: the node may know less than it has said before. */
void blockwriter_go_back (struct blockwriter *self, uint64_t offset, uint64_t credit);

/* The ends of requests: of a chunk; of a block.stat that says where to go on; of one while chunks are
 * under way, which only says how far the block is.  arg is the struct blockwriter_request. */
dealer_fn blockwriter_on_write;
dealer_fn blockwriter_on_stat;
dealer_fn blockwriter_on_ping;

#endif
