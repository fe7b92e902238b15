/* SPDX-License-Identifier: MIT */
/*
 * Comparing digests is a walk over the node's rows of the table.  Taking a listing is a merge: in a range both
 * what is listed and our rows come in order of their ids.
 */
#include "namenode/inventory.h"

#include <string.h>

/* What a listing may cost before the rest has to be sent again: a row that is looked at is one, one that is
 * changed as many as it takes longer.  About five milliseconds. */
enum { COST_MAX = 8000, COST_OF_ADDED = 8, COST_OF_REMOVED = 24 };

/* ---- digests ------------------------------------------------------------------------------------- */

/* Mark the buckets whose digest is other than ours. */
static int
compare_digests (struct txn *txn, uint32_t node, struct slice digests, uint8_t *differ,
                 litedfs_error_t *error)
{
    struct reader reader = reader_of (digests);
    struct digest_row ours;
    int rc = 0;

    for (uint32_t bucket = 0; bucket < BLOCK_ID_BUCKETS && rc == 0; bucket++) {
        uint64_t hash = reader_be64 (&reader);
        uint64_t count = reader_be64 (&reader);
        rc = digest_row_get (txn, node, bucket, &ours, error);
        if (rc == 0 && (ours.hash != hash || ours.count != count))
            differ[bucket / 8] |= (uint8_t) (1u << bucket % 8);
    }
    return rc;
}

static int
node_of (struct txn *txn, uint32_t node, uint64_t seq, struct node_row *out,
         litedfs_error_t *error)
{
    if (seq > HELD_SEQ_MAX)
        return err_set (error, LITEDFS_INVALID, "seq: no node has made so many changes");
    int rc = node_row_get (txn, node, out, error);
    if (rc == LITEDFS_NOT_FOUND)
        return err_set (error, rc, "node[%u]: no node has this number", node);
    return rc;
}

int
inventory_compare (struct txn *txn, uint32_t node, uint64_t seq, struct slice digests,
                   uint8_t differ[BLOCK_ID_BUCKETS / 8], uint64_t *known, bool *compared,
                   litedfs_error_t *error)
{
    struct node_row row;

    memset (differ, 0, BLOCK_ID_BUCKETS / 8);
    *compared = false;
    if (digests.size != BLOCK_ID_BUCKETS * INVENTORY_DIGEST_SIZE)
        return err_set (error, LITEDFS_INVALID, "digests: they have %zu bytes, not %d",
                        digests.size, BLOCK_ID_BUCKETS * INVENTORY_DIGEST_SIZE);
    int rc = node_of (txn, node, seq, &row, error);
    if (rc < 0)
        return rc;
    *known = row.seq;
    if (row.seq > seq)
        return 0;
    rc = compare_digests (txn, node, digests, differ, error);
    if (rc == 0 && row.seq < seq) {
        row.seq = *known = seq;
        rc = node_row_put (txn, &row, error);
    }
    *compared = rc == 0;
    return rc;
}

/* ---- listings ------------------------------------------------------------------------------------ */

/* A listing that is being taken. */
struct merge {
    struct txn *txn;
    const struct node_listing_request *listing;
    struct inventory_taken *out;
    struct node_row node;
    size_t next; // of listing->blocks
    uint32_t cost;
    uint64_t hash; // of what was added to the range that is at hand
    uint64_t count;
};

static bool
in_range (const struct wire_range *range, uint64_t block)
{
    return block_id_bucket (block) == range->bucket && block > range->after &&
           block <= range->last;
}

/* Whether ranges and blocks are in order, and each block in a range. */
static int
check_order (const struct node_listing_request *listing, litedfs_error_t *error)
{
    size_t at = 0;

    for (size_t i = 0; i < listing->ranges_count; i++) {
        const struct wire_range *range = &listing->ranges[i];
        uint64_t last = range->after;
        if (range->last <= range->after ||
            (i > 0 && range->bucket <= listing->ranges[i - 1].bucket))
            return err_set (error, LITEDFS_INVALID, "ranges: they are empty or not in order");
        for (; at < listing->blocks_count && in_range (range, listing->blocks[at].block) &&
               listing->blocks[at].block > last;
             at++)
            last = listing->blocks[at].block;
    }
    if (at < listing->blocks_count)
        return err_set (error, LITEDFS_INVALID,
                        "blocks: they are not in order, or in none of the ranges");
    return 0;
}

static struct wire_change
change_of (const struct merge *merge, const struct wire_present *present)
{
    uint64_t complete = merge->listing->complete;

    return (struct wire_change){.seq = complete < merge->node.seq ? complete : merge->node.seq,
                                .kind = CHANGE_ADDED,
                                .block = present->block,
                                .size = present->size,
                                .crc32 = present->crc32};
}

/* The node has a block, of which row (NULL: none) is what we think. */
static int
take_present (struct merge *merge, const struct wire_present *present,
              const struct held_row *row, litedfs_error_t *error)
{
    const struct wire_change change = change_of (merge, present);

    merge->cost++;
    if (row && (row->seq > merge->listing->complete ||
                (row->state != HELD_CLAIMED && row->order != HELD_DELETED &&
                 row->size == present->size)))
        return 0;
    merge->cost += COST_OF_ADDED;
    merge->out->added++;
    if (!row) {
        merge->hash ^= block_id_hash (present->block);
        merge->count++;
        return held_add_new (merge->txn, &merge->node, &change, &merge->out->report, error);
    }
    return held_add (merge->txn, &merge->node, &change, &merge->out->report, error);
}

/* The node does not list what we think that it has. */
static int
take_absent (struct merge *merge, const struct held_row *row, litedfs_error_t *error)
{
    const struct wire_change change = {
        .seq = merge->listing->complete, .kind = CHANGE_REMOVED, .block = row->block};

    merge->cost++;
    if (row->state == HELD_CLAIMED || row->seq > change.seq)
        return 0;
    merge->cost += COST_OF_REMOVED;
    merge->out->removed++;
    return held_remove (merge->txn, &merge->node, &change, &merge->out->report, error);
}

/* All up to this block of the bucket is done. */
static void
reach (struct merge *merge, uint32_t bucket, uint64_t block)
{
    merge->out->bucket = bucket;
    merge->out->block = block;
}

/* Take what is listed before a block of ours, or before the end of the range.  *found is the block of ours, if
 * it is listed. */
static int
take_listed (struct merge *merge, const struct wire_range *range, uint64_t before,
             const struct wire_present **found, litedfs_error_t *error)
{
    const struct node_listing_request *listing = merge->listing;
    int rc = 0;

    *found = NULL;
    while (rc == 0 && merge->next < listing->blocks_count && merge->cost < COST_MAX) {
        const struct wire_present *present = &listing->blocks[merge->next];
        if (!in_range (range, present->block) || present->block > before)
            break;
        if (present->block == before) {
            *found = present;
            break;
        }
        rc = take_present (merge, present, NULL, error);
        reach (merge, range->bucket, present->block);
        merge->next++;
    }
    return rc;
}

/* One row of ours, and what is listed before it. */
static int
take_row (struct merge *merge, const struct wire_range *range, const struct held_row *row,
          litedfs_error_t *error)
{
    const struct wire_present *found;

    int rc = take_listed (merge, range, row->block, &found, error);
    if (rc < 0 || merge->cost >= COST_MAX)
        return rc;
    if (found) {
        rc = take_present (merge, found, row, error);
        merge->next++;
    } else {
        rc = take_absent (merge, row, error);
    }
    reach (merge, range->bucket, row->block);
    return rc;
}

/* Bring the digest in step with what was added to a range. */
static int
count_added (struct merge *merge, uint32_t bucket, litedfs_error_t *error)
{
    struct digest_row digest;

    if (merge->count == 0)
        return 0;
    int rc = digest_row_get (merge->txn, merge->node.number, bucket, &digest, error);
    digest.hash ^= merge->hash;
    digest.count += merge->count;
    merge->hash = merge->count = 0;
    return rc == 0 ? digest_row_put (merge->txn, &digest, error) : rc;
}

static int
take_range (struct merge *merge, const struct wire_range *range, litedfs_error_t *error)
{
    const struct wire_present *found;
    struct cursor cursor = {0};
    struct held_row row;
    struct slice key;
    struct slice value;

    int rc = held_rows_open (&cursor, merge->txn, merge->node.number, range->bucket,
                             range->after + 1, error);
    while (rc == 0 && merge->cost < COST_MAX &&
           (rc = cursor_next (&cursor, &key, &value, error)) == 0) {
        rc = held_row_decode (key, value, &row, error);
        if (rc < 0 || row.block > range->last)
            break;
        rc = take_row (merge, range, &row, error);
    }
    cursor_close (&cursor);
    if (rc == LITEDFS_NOT_FOUND)
        rc = 0;
    if (rc == 0)
        rc = take_listed (merge, range, UINT64_MAX, &found, error);
    if (rc == 0 && merge->cost < COST_MAX) {
        merge->cost++;
        reach (merge, range->bucket, range->last);
    }
    return rc == 0 ? count_added (merge, range->bucket, error) : rc;
}

int
inventory_take (struct txn *txn, const struct node_listing_request *listing,
                struct inventory_taken *out, litedfs_error_t *error)
{
    struct merge merge = {.txn = txn, .listing = listing, .out = out};

    memset (out, 0, sizeof *out);
    int rc = check_order (listing, error);
    if (rc == 0)
        rc = node_of (txn, (uint32_t) listing->node, listing->seq, &merge.node, error);
    if (rc == 0 && listing->complete > listing->seq)
        rc = err_set (error, LITEDFS_INVALID, "complete: it is above seq");
    if (rc < 0 || merge.node.seq > listing->seq)
        return rc;
    out->taken = true;
    for (size_t i = 0; i < listing->ranges_count && rc == 0 && merge.cost < COST_MAX; i++)
        rc = take_range (&merge, &listing->ranges[i], error);
    if (rc == 0 && out->added + out->removed > 0)
        rc = node_row_put (txn, &merge.node, error);
    return rc;
}
