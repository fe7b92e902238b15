/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_QUARANTINE_H
#define LITEDFS_NAMENODE_QUARANTINE_H

/*
 * Blocks that a data node has and nobody owns, and of which nothing says that they are dead: of another
 * epoch, or drawn after these metadata were copied away.  They may be all that is left of a file, so nothing
 * happens to them for a grace; what gets an owner meanwhile, because metadata were restored or rebuilt, is
 * an ordinary copy then.  The others are ordered to be deleted, but not by a store that was put back from a copy
 * and is not accepted yet (restored.h).
 *
 * A block in quarantine is a held row in state HELD_UNKNOWN and a row of the table `quarantine`, in order of
 * when it was first seen.  Errors: those of metastore.h.
 */

#include "namenode/nodes.h"
#include "namenode/records.h"

struct quarantine_row {
    uint32_t node;
    uint64_t since; // wall clock, ms: first seen
    uint64_t block;
    uint64_t size;
    uint32_t crc;
};

/* Add a row, remove one; the node's totals are in step. */
int quarantine_put (struct txn *txn, const struct quarantine_row *row, litedfs_error_t *error);
int quarantine_del (struct txn *txn, uint32_t node, uint64_t since, uint64_t block,
                    litedfs_error_t *error);

/* Whether the row with this key of the table has the sums of a node; else quarantine_row_decode is for
 * it. */
bool quarantine_is_sum (struct slice key);

int quarantine_row_decode (struct slice key, struct slice value, struct quarantine_row *out,
                           litedfs_error_t *error);

/* What a node has in quarantine; all zero if nothing. */
struct quarantine_totals {
    uint64_t blocks;
    uint64_t bytes;
    uint64_t oldest; // when the oldest was first seen
};

int quarantine_totals (struct txn *txn, uint32_t node, struct quarantine_totals *out,
                       litedfs_error_t *error);

/* The row of a block whose held row says HELD_UNKNOWN since then; LITEDFS_NOT_FOUND. */
int quarantine_get (struct txn *txn, uint32_t node, uint64_t since, uint64_t block,
                    struct quarantine_row *out, litedfs_error_t *error);

/* When the first block of a node that is online is to be deleted, its grace being over; UINT64_MAX: there is
 * none. */
int quarantine_next_due (struct txn *txn, const struct nodes_view *view, uint64_t grace_ms,
                         uint64_t *out, litedfs_error_t *error);

/* What was done with blocks. */
struct quarantine_done {
    size_t looked;
    size_t adopted;
    size_t ordered;
};

/* Order blocks whose grace is over to be deleted, at most max, on nodes that are online; adopt those that
 * somebody owns by now.  *out is added to; less than max looked at (and only then) means that nothing more is
 * due.  touched (room for touched_max, of which touched_count are taken) gets the nodes with new orders. */
int quarantine_due (struct txn *txn, const struct nodes_view *view, uint64_t grace_ms,
                    size_t max, struct quarantine_done *out, uint32_t *touched,
                    size_t touched_max, size_t *touched_count, litedfs_error_t *error);

/* A walk over damaged copies: those of blocks that nobody owns are garbage, too, when they have been known
 * for the grace.  Zero-initialised it begins with the first. */
struct quarantine_damaged {
    uint64_t block;
    uint32_t node;
};

/* Look at max rows at most, *looked; less (and only then) means that the walk is at its end, and begins
 * anew. */
int quarantine_damaged (struct txn *txn, struct quarantine_damaged *walk, uint64_t grace_ms,
                        size_t max, size_t *looked, litedfs_error_t *error);

/* A walk over all of it, that adopts what somebody owns by now, and brings back what was seen after now: the
 * clock was set back.  Zero-initialised it begins with the first. */
struct quarantine_walk {
    uint32_t node;
    uint64_t since;
    uint64_t block;
};

/* Look at max rows at most; less (and only then) means that the walk is at its end, and begins anew. */
int quarantine_adopt (struct txn *txn, struct quarantine_walk *walk, size_t max,
                      struct quarantine_done *out, litedfs_error_t *error);

#endif
