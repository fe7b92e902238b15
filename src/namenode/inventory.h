/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_INVENTORY_H
#define LITEDFS_NAMENODE_INVENTORY_H

/*
 * What a node has, compared with what we think that it has.
 *
 * Reports keep both in step; numbers that were passed over, an index that was built anew, metadata that were
 * put back from a copy do not.  The node sends its digests, we say which buckets differ, and it lists those.  A
 * listing is complete as of one change and was read at another, later one: rows with a number above the
 * first are not touched, and a listing that is older than what we know is not taken.  So whatever reports do
 * meanwhile, a row is removed only if the node has the block no longer, and added only if it has it.
 *
 * Errors: those of metastore.h, and as listed.
 */

#include "namenode/held.h"

/* Digests on the wire: 8 bytes of hash and 8 of count, big endian. */
#define INVENTORY_DIGEST_SIZE 16

/* Compare the digests of a node as of change `seq` (BLOCK_ID_BUCKETS of them) with ours: a bit is set in
 * `differ` for each bucket that differs.  *known is the node's change that is known to us.  If that is below
 * `seq`, the node will not report what is between: it becomes `seq`.  *compared is false, and differ all zero,
 * if it is above.  LITEDFS_NOT_FOUND: no such node; LITEDFS_INVALID: not so many bytes, or no node can have
 * come so far. */
int inventory_compare (struct txn *txn, uint32_t node, uint64_t seq, struct slice digests,
                       uint8_t differ[BLOCK_ID_BUCKETS / 8], uint64_t *known, bool *compared,
                       litedfs_error_t *error);

/* How far a listing was taken. */
struct inventory_taken {
    bool taken;      // false: it is older than what is known
    uint32_t bucket; // all up to this place is done
    uint64_t block;
    uint64_t added;
    uint64_t removed;
    struct held_report report;
};

/* Take a listing, as far as some milliseconds reach.  LITEDFS_NOT_FOUND: no such node; LITEDFS_INVALID:
 * ranges or blocks are not in order, or blocks are in no range. */
int inventory_take (struct txn *txn, const struct node_listing_request *listing,
                    struct inventory_taken *out, litedfs_error_t *error);

#endif
