/* SPDX-License-Identifier: MIT */
/*
 * Held rows, digests, reports.
 *
 * A node's report is applied change by change; the node's own row (seq, counts, orders) is read once and
 * written once.  The digest counts confirmed rows only, so that it equals what the node computes of its
 * index as of the change reported last.  An added block must be one that somebody owns, with the size
 * and CRC that were committed; else the node is told to delete it, if it is sure to be dead.
 */
#include "namenode/held.h"

#include "namenode/garbage.h"

#include <string.h>

/* A node's numbers end here: one who lies about them leaves as many for the node itself, which has to go
 * on above what was said in its name. */
#define HELD_SEQ_MAX ((uint64_t) WIRE_MAX / 2)

int
held_claim (struct txn *txn, uint32_t node, uint64_t block, uint64_t size,
            litedfs_error_t *error)
{
    struct held_row row;

    int rc = held_row_get (txn, node, block, &row, error);
    if (rc != LITEDFS_NOT_FOUND)
        return rc;
    row = (struct held_row){.node = node,
                            .block = block,
                            .state = HELD_CLAIMED,
                            .size = size,
                            .time = (uint64_t) txn_frame (txn)->wall_ms};
    return held_row_put (txn, &row, error);
}

int
held_unclaim (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error)
{
    struct held_row row;

    int rc = held_row_get (txn, node, block, &row, error);
    if (rc == 0 && row.state == HELD_CLAIMED)
        rc = held_row_del (txn, node, block, error);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* Bring the digest in step with a confirmed row that comes (1) or goes (-1). */
static int
change_digest (struct txn *txn, uint32_t node, uint64_t block, int sign, litedfs_error_t *error)
{
    struct digest_row digest;

    int rc = digest_row_get (txn, node, held_bucket (block), &digest, error);
    if (rc < 0)
        return rc;
    digest.hash ^= held_hash (block);
    digest.count = sign > 0 ? digest.count + 1 : digest.count - (digest.count > 0);
    return digest_row_put (txn, &digest, error);
}

/* The node says that it has the block. */
static int
confirm (struct txn *txn, struct node_row *node, const struct wire_change *change,
         litedfs_error_t *error)
{
    struct held_row row;

    int rc = held_row_get (txn, node->number, change->block, &row, error);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    bool known = rc == 0 && row.state == HELD_CONFIRMED;
    if (known)
        node->bytes -= row.size < node->bytes ? row.size : node->bytes;
    else
        node->blocks++;
    row = (struct held_row){.node = node->number,
                            .block = change->block,
                            .state = HELD_CONFIRMED,
                            .seq = change->seq,
                            .size = change->size};
    node->bytes += row.size;
    rc = held_row_put (txn, &row, error);
    return rc == 0 && !known ? change_digest (txn, node->number, change->block, 1, error) : rc;
}

/* The block's row, if it is owned; LITEDFS_NOT_FOUND. */
static int
find_block (struct txn *txn, uint64_t block, struct block_row *out, litedfs_error_t *error)
{
    struct owner_row owner;

    int rc = owner_row_get (txn, block, &owner, error);
    if (rc == 0)
        rc = block_row_get (txn, owner.inode, owner.index, out, error);
    if (rc == 0 && out->block != block)
        rc = LITEDFS_NOT_FOUND;
    return rc;
}

/* Whether a block that nobody owns was drawn in this epoch, and so has been given up. */
static int
is_dead (struct txn *txn, uint64_t block, bool *out, litedfs_error_t *error)
{
    uint64_t epoch;
    uint64_t counter;

    int rc = meta_get (txn, META_EPOCH, &epoch, error);
    if (rc == 0)
        rc = meta_get (txn, META_BLOCK, &counter, error);
    if (rc == 0)
        *out = block_id_epoch (block) == epoch && block_id_counter (block) <= counter;
    return rc;
}

static int
order_deletion (struct txn *txn, struct node_row *node, uint64_t block,
                struct held_report *report, litedfs_error_t *error)
{
    report->ordered++;
    report->block = block;
    return orders_write (txn, node, block, error);
}

static int
apply_added (struct txn *txn, struct node_row *node, const struct wire_change *change,
             struct held_report *report, litedfs_error_t *error)
{
    struct block_row row;
    bool dead = false;

    report->added++;
    int rc = confirm (txn, node, change, error);
    if (rc < 0)
        return rc;
    rc = find_block (txn, change->block, &row, error);
    if (rc == LITEDFS_NOT_FOUND) {
        rc = is_dead (txn, change->block, &dead, error);
        if (rc < 0)
            return rc;
        if (dead)
            return order_deletion (txn, node, change->block, report, error);
        report->unknown++;
        report->block = change->block;
        return 0;
    }
    if (rc < 0 || row.state == BLOCK_ALLOCATED)
        return rc;
    if (row.size != change->size || row.crc != change->crc32)
        return order_deletion (txn, node, change->block, report, error);
    if (block_row_has_node (&row, node->number) || row.nodes_count == ROW_NODES_MAX)
        return 0;
    row.nodes[row.nodes_count++] = node->number;
    return block_row_put (txn, &row, error);
}

/* Take a node off the holders of a finished block. */
static int
remove_holder (struct txn *txn, uint32_t node, uint64_t block, struct held_report *report,
               litedfs_error_t *error)
{
    struct block_row row;

    int rc = find_block (txn, block, &row, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    if (row.state == BLOCK_ALLOCATED || !block_row_has_node (&row, node))
        return 0;
    size_t kept = 0;
    for (size_t i = 0; i < row.nodes_count; i++)
        if (row.nodes[i] != node)
            row.nodes[kept++] = row.nodes[i];
    row.nodes_count = kept;
    if (kept == 0) {
        report->lost++;
        report->block = block;
    }
    return block_row_put (txn, &row, error);
}

static int
apply_removed (struct txn *txn, struct node_row *node, const struct wire_change *change,
               struct held_report *report, litedfs_error_t *error)
{
    struct held_row row;

    report->removed++;
    int rc = held_row_get (txn, node->number, change->block, &row, error);
    if (rc == 0) {
        if (row.state == HELD_CONFIRMED) {
            node->blocks -= node->blocks > 0;
            node->bytes -= row.size < node->bytes ? row.size : node->bytes;
            rc = change_digest (txn, node->number, change->block, -1, error);
        }
        if (rc == 0)
            rc = held_row_del (txn, node->number, change->block, error);
    }
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    return remove_holder (txn, node->number, change->block, report, error);
}

int
held_apply (struct txn *txn, uint32_t node, const struct wire_change *changes, size_t count,
            struct held_report *out, litedfs_error_t *error)
{
    struct node_row row;

    memset (out, 0, sizeof *out);
    for (size_t i = 1; i < count; i++)
        if (changes[i].seq <= changes[i - 1].seq)
            return err_set (error, LITEDFS_INVALID, "changes: their numbers do not ascend");
    if (count > 0 && changes[count - 1].seq > HELD_SEQ_MAX)
        return err_set (error, LITEDFS_INVALID, "changes: no node has made so many");
    int rc = node_row_get (txn, node, &row, error);
    if (rc == LITEDFS_NOT_FOUND)
        return err_set (error, rc, "node[%u]: no node has this number", node);
    if (rc < 0)
        return rc;
    uint64_t before = row.seq;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (changes[i].seq <= row.seq)
            continue;
        out->missed += changes[i].seq - row.seq - 1;
        if (changes[i].kind == CHANGE_ADDED)
            rc = apply_added (txn, &row, &changes[i], out, error);
        else
            rc = apply_removed (txn, &row, &changes[i], out, error);
        row.seq = changes[i].seq;
    }
    out->seq = row.seq;
    return rc == 0 && row.seq != before ? node_row_put (txn, &row, error) : rc;
}
