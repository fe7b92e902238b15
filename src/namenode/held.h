/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_HELD_H
#define LITEDFS_NAMENODE_HELD_H

/*
 * Who holds what: rows (node, block), claimed by a client or confirmed by the node, and a digest of the
 * latter in step with them.  Blocks that the node has and nobody owns are in quarantine (quarantine.h).  A node's changes are numbered without gaps; each is applied once
 * and in order.  Who holds a finished block stands in the block's row too: those are its holders, and a
 * node that has more than that, or has been told to delete it, is none.  A copy that the node found damaged
 * has a damaged row in place of its held one: it is as good as none, until the node has a new one.  Where holders of a visible file
 * come or go, its blocks are marked (mark.h).  Errors: those of metastore.h, and as listed.
 */

#include "namenode/records.h"

/* A node's numbers end here: one who lies about them leaves as many for the node itself, which has to go
 * on above what was said in its name. */
#define HELD_SEQ_MAX ((uint64_t) WIRE_MAX / 2)

/* A client says that the node holds the block; a confirmed row stays as it is. */
int held_claim (struct txn *txn, uint32_t node, uint64_t block, uint64_t size,
                litedfs_error_t *error);

/* Forget a claim that was not confirmed; fine if there is none. */
int held_unclaim (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error);

/* A node that has the block confirmed becomes one of its holders again.  Nothing happens if it has not,
 * if a delete order is out, or if the block is nobody's or not finished. */
int held_adopt (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error);

/* A delete order for the block, which somebody owns, is out; it was carried out, the node says. */
int held_order (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error);
int held_order_done (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error);

/* A delete order that is out is taken back, before the node has heard of it, as far as we know. */
int held_order_revoked (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error);

/* The row of a block by its id, finished or not; LITEDFS_NOT_FOUND if nobody owns it. */
int held_find_block (struct txn *txn, uint64_t block, struct block_row *out,
                     litedfs_error_t *error);

/* The nodes that have set aside a damaged copy of the block: up to max of them, *count. */
int held_damaged (struct txn *txn, uint64_t block, uint32_t *out, size_t max, size_t *count,
                  litedfs_error_t *error);

/* What a report came to, for log and metrics. */
struct held_report {
    uint64_t seq;   // the highest one stored now
    uint64_t added; // changes that were new
    uint64_t removed;
    uint64_t damaged;
    uint64_t missed; // numbers that were passed over: inventories are to be compared
    uint64_t
        ordered; // blocks that nobody owns, or that are not as written: a delete order is out
    uint64_t unknown; // blocks that nobody owns and that this epoch did not draw: in quarantine
    uint64_t lost;    // blocks of files that have no holder any more
    uint64_t block;   // the last one of those three kinds
};

/* Apply a node's changes in order.  Those up to the node's seq were applied before and are passed over.
 * Numbers that are missing can only be had by comparing inventories; they are counted and passed too.
 * LITEDFS_NOT_FOUND: no such node; LITEDFS_INVALID: the numbers do not ascend, or no node can
 * have come so far. */
int held_apply (struct txn *txn, uint32_t node, const struct wire_change *changes, size_t count,
                struct held_report *out, litedfs_error_t *error);

/* One change of a node whose row the caller puts after it; report is added to.  Numbers are the caller's
 * affair. */
int held_add (struct txn *txn, struct node_row *node, const struct wire_change *change,
              struct held_report *report, litedfs_error_t *error);
int held_remove (struct txn *txn, struct node_row *node, const struct wire_change *change,
                 struct held_report *report, litedfs_error_t *error);

/* The same for a block of which we have no row; its digest is the caller's affair, too. */
int held_add_new (struct txn *txn, struct node_row *node, const struct wire_change *change,
                  struct held_report *report, litedfs_error_t *error);

#endif
