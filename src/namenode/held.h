/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_HELD_H
#define LITEDFS_NAMENODE_HELD_H

/*
 * Who holds what: rows (node, block), claimed by a client or confirmed by the node, and a digest of the
 * confirmed ones in step with them.  A node's changes are numbered without gaps; each is applied once
 * and in order.  Errors: those of metastore.h, and as listed.
 */

#include "namenode/records.h"

/* A client says that the node holds the block; a confirmed row stays as it is. */
int held_claim (struct txn *txn, uint32_t node, uint64_t block, uint64_t size,
                litedfs_error_t *error);

/* Forget a claim that was not confirmed; fine if there is none. */
int held_unclaim (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error);

/* What a report came to, for log and metrics. */
struct held_report {
    uint64_t seq;   // the highest one stored now
    uint64_t added; // changes that were new
    uint64_t removed;
    uint64_t missed; // numbers that were passed over: the node's and our counts are apart
    uint64_t
        ordered; // blocks that nobody owns, or that are not as written: a delete order is out
    uint64_t unknown; // blocks that nobody owns and that this epoch did not draw: left alone
    uint64_t lost;    // blocks of files that have no holder any more
    uint64_t block;   // the last one of those three kinds
};

/* Apply a node's changes in order.  Those up to the node's seq were applied before and are passed over.
 * Numbers that are missing can only be had by comparing inventories; they are counted and passed too.
 * LITEDFS_NOT_FOUND: no such node; LITEDFS_INVALID: the numbers do not ascend, or no node can
 * have come so far. */
int held_apply (struct txn *txn, uint32_t node, const struct wire_change *changes, size_t count,
                struct held_report *out, litedfs_error_t *error);

#endif
