/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_GARBAGE_H
#define LITEDFS_NAMENODE_GARBAGE_H

/*
 * What was deleted goes away in slices: doomed inode -> garbage (node, due, block) -> numbered delete
 * orders (node, number), which go when the node confirms them.  Every call is bounded by a number of
 * rows, so that a large tree never makes a large batch.  Errors: those of metastore.h, and as listed.
 */

#include "namenode/nodes.h"
#include "namenode/records.h"

/* Free doomed files and trees: at most max rows (entries and blocks; 1 or more).  Blocks become garbage
 * due at wall + delay_ms.  *freed is how many rows; less than max (and only then) means that nothing is
 * doomed any more. */
int garbage_free_slice (struct txn *txn, size_t max, uint64_t delay_ms, size_t *freed,
                        litedfs_error_t *error);

/* Whether anything is doomed. */
int garbage_any_doomed (struct txn *txn, bool *out, litedfs_error_t *error);

/* Turn garbage that is due into delete orders, at most max rows, for one node (0: all of them).  until is
 * a wall clock: the frame's wall_ms, or UINT64_MAX for everything (space is short).  touched (NULL, or
 * room for touched_max) gets the nodes that have new orders.
 *
 * While deletes wait for an acceptance (restored.h) nothing is done.  Garbage of a node that is offline
 * stays: an order that is carried out long after it was given might
 * take a copy that is needed by then.  A node that is a holder of the block again keeps it, and one that
 * has a copy becomes a holder again if fewer others than wanted are online and have confirmed it.  One
 * that has reported nothing of the block is left alone while copies lack: one may be on its way to it. */
int garbage_due (struct txn *txn, const struct nodes_view *view, uint32_t node, uint64_t until,
                 size_t max, size_t *done, uint32_t *touched, size_t touched_max,
                 size_t *touched_count, litedfs_error_t *error);

/* Bring garbage that is due later than delay_ms from now back to that, at most max rows: it was written
 * before the wall clock was set back, and would stay until the clock is there again. */
int garbage_pull_in (struct txn *txn, uint64_t delay_ms, size_t max, size_t *moved,
                     litedfs_error_t *error);

/* When the first garbage of any node that is not offline is due; UINT64_MAX if there is none. */
int garbage_next_due (struct txn *txn, const struct nodes_view *view, uint64_t *out,
                      litedfs_error_t *error);

/* Write one order and count it in node->order; the caller puts the node's row.  target: of a copy. */
int orders_write (struct txn *txn, struct node_row *node, enum order_kind kind, uint64_t block,
                  uint32_t target, litedfs_error_t *error);

/* Write one order; *number (may be NULL) is its number.  LITEDFS_NOT_FOUND: no such node. */
int orders_add (struct txn *txn, uint32_t node, enum order_kind kind, uint64_t block,
                uint32_t target, uint64_t *number, litedfs_error_t *error);

/* The node's orders above `after`, by number; at most max. */
int orders_after (struct txn *txn, uint32_t node, uint64_t after, struct order_row *out,
                  size_t max, size_t *count, litedfs_error_t *error);

/* The node has carried out all orders up to `after`, or begun them if they are copies: their rows go, at
 * most max of them; *confirmed is how many.  Claims on blocks that it deleted go too. */
int orders_confirm (struct txn *txn, uint32_t node, uint64_t after, size_t max,
                    size_t *confirmed, litedfs_error_t *error);

/* Take delete orders of blocks that somebody owns back from a node that is offline: they are garbage again,
 * due now, and are decided on anew when it is back.  Looks at max orders after *after at most; *after is
 * where to go on, UINT64_MAX when all were looked at.  *revoked is how many were taken back. */
int orders_revoke (struct txn *txn, uint32_t node, uint64_t *after, size_t max, size_t *revoked,
                   litedfs_error_t *error);

#endif
