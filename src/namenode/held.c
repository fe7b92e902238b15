/* SPDX-License-Identifier: MIT */
/*
 * Held rows, digests, reports.
 *
 * A node's report is applied change by change; the node's own row (seq, counts, orders) is read once and
 * written once.  The digest counts what the node says that it has, so that it equals what the node computes
 * of its index as of the change reported last.  An added block must be one that somebody owns, with the size
 * and CRC that were committed; else the node is told to delete it, if it is sure to be dead.
 *
 * A delete order may be carried out at any moment until it is confirmed.  So long the row says that it is
 * out, also when the block itself is gone already, and the node is no holder.
 */
#include "namenode/held.h"

#include "namenode/agenda.h"
#include "namenode/garbage.h"
#include "namenode/mark.h"
#include "namenode/quarantine.h"
#include "namenode/restored.h"

#include <string.h>

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
    if (rc == 0 && row.state == HELD_CLAIMED && row.order == HELD_KEPT)
        rc = held_row_del (txn, node, block, error);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* Bring the digest in step with a confirmed row that comes (1) or goes (-1). */
static int
change_digest (struct txn *txn, uint32_t node, uint64_t block, int sign, litedfs_error_t *error)
{
    struct digest_row digest;

    int rc = digest_row_get (txn, node, block_id_bucket (block), &digest, error);
    if (rc < 0)
        return rc;
    digest.hash ^= block_id_hash (block);
    digest.count = sign > 0 ? digest.count + 1 : digest.count - (digest.count > 0);
    return digest_row_put (txn, &digest, error);
}

/* What a delete order that is out becomes when the node says that it has the block: if it had none, the
 * order may have been carried out before, and when it is confirmed the block may stay.  If it is carried
 * out after this, the node will say so. */
static enum held_order
order_after_added (const struct held_row *row)
{
    if (row->order == HELD_ORDERED && row->state == HELD_CLAIMED)
        return HELD_RETAKEN;
    return row->order == HELD_DELETED ? HELD_KEPT : row->order;
}

/* A row that was in quarantine is there no more; its time stays, for if it is put there again. */
static int
leave_quarantine (struct txn *txn, const struct held_row *row, litedfs_error_t *error)
{
    return row->state == HELD_UNKNOWN
               ? quarantine_del (txn, row->node, row->time, row->block, error)
               : 0;
}

/* What the node had set aside of the block is gone. */
static int
forget_damage (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error)
{
    int rc = damaged_row_del (txn, block, node, error);

    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

int
held_damaged (struct txn *txn, uint64_t block, uint32_t *out, size_t max, size_t *count,
              litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct damaged_row row;
    struct slice none = {0};
    struct slice key;
    struct slice value;
    uint8_t prefix[8];

    *count = 0;
    int rc = cursor_open (&cursor, txn, TABLE_DAMAGED, key_be64 (prefix, block), none, error);
    while (rc == 0 && *count < max && (rc = cursor_next (&cursor, &key, &value, error)) == 0) {
        rc = damaged_row_decode (key, value, &row, error);
        if (rc == 0)
            out[(*count)++] = row.node;
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* The node says that it has the block; *out is its row now. */
static int
confirm (struct txn *txn, struct node_row *node, const struct wire_change *change,
         struct held_row *out, litedfs_error_t *error)
{
    struct held_row row;

    int rc = held_row_get (txn, node->number, change->block, &row, error);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    bool known = rc == 0 && row.state != HELD_CLAIMED;
    uint64_t since = known && row.state == HELD_UNKNOWN ? row.time : 0;
    if (known && (rc = leave_quarantine (txn, &row, error)) < 0)
        return rc;
    enum held_order order = rc == 0 ? order_after_added (&row) : HELD_KEPT;
    if (known)
        node->bytes -= row.size < node->bytes ? row.size : node->bytes;
    else
        node->blocks++;
    row = (struct held_row){.node = node->number,
                            .block = change->block,
                            .state = HELD_CONFIRMED,
                            .order = order,
                            .seq = change->seq,
                            .size = change->size,
                            .time = since};
    node->bytes += row.size;
    *out = row;
    rc = held_row_put (txn, &row, error);
    if (rc == 0)
        rc = forget_damage (txn, node->number, change->block, error);
    return rc == 0 && !known ? change_digest (txn, node->number, change->block, 1, error) : rc;
}

int
held_find_block (struct txn *txn, uint64_t block, struct block_row *out, litedfs_error_t *error)
{
    struct owner_row owner;

    int rc = owner_row_get (txn, block, &owner, error);
    if (rc == 0)
        rc = block_row_get (txn, owner.inode, owner.index, out, error);
    if (rc == 0 && out->block != block)
        rc = LITEDFS_NOT_FOUND;
    return rc;
}

/* ---- holders ------------------------------------------------------------------------------------- */

/* Add a holder to a finished block.  If there are too many now that is to be seen to; if there are not,
 * repair may have waited for this one. */
static int
add_holder (struct txn *txn, struct block_row *row, uint32_t node, litedfs_error_t *error)
{
    struct inode_row file;

    if (block_row_has_node (row, node) || row->nodes_count == ROW_NODES_MAX)
        return 0;
    row->nodes[row->nodes_count++] = node;
    int rc = block_row_put (txn, row, error);
    if (rc == 0)
        rc = inode_row_get (txn, row->inode, &file, error);
    if (rc == LITEDFS_NOT_FOUND)
        return 0; // not visible yet
    if (rc == 0 && row->nodes_count > file.replica)
        return mark_blocks (txn, row->inode, row->index, (uint64_t) row->index + 1, error);
    agenda_add_block (txn_frame (txn)->agenda, row->inode, row->index);
    return rc;
}

/* Take a node off the holders of a finished block. */
static int
drop_holder (struct txn *txn, struct block_row *row, uint32_t node, struct held_report *report,
             litedfs_error_t *error)
{
    struct inode_row file;
    size_t kept = 0;

    if (row->state == BLOCK_ALLOCATED || !block_row_has_node (row, node))
        return 0;
    for (size_t i = 0; i < row->nodes_count; i++)
        if (row->nodes[i] != node)
            row->nodes[kept++] = row->nodes[i];
    row->nodes_count = kept;
    if (kept == 0) {
        report->lost++;
        report->block = row->block;
    }
    int rc = block_row_put (txn, row, error);
    if (rc == 0)
        rc = inode_row_get (txn, row->inode, &file, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    return mark_blocks (txn, row->inode, row->index, (uint64_t) row->index + 1, error);
}

int
held_adopt (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error)
{
    struct block_row row;
    struct held_row held;

    int rc = held_row_get (txn, node, block, &held, error);
    if (rc == 0 && (held.state != HELD_CONFIRMED || held.order != HELD_KEPT))
        return 0;
    if (rc == 0)
        rc = held_find_block (txn, block, &row, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    if (row.state == BLOCK_ALLOCATED || row.size != held.size)
        return 0;
    return add_holder (txn, &row, node, error);
}

int
held_order (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error)
{
    struct held_row row;

    int rc = held_row_get (txn, node, block, &row, error);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    if (rc == LITEDFS_NOT_FOUND)
        row = (struct held_row){.node = node, .block = block, .state = HELD_CLAIMED};
    row.order = HELD_ORDERED;
    return held_row_put (txn, &row, error);
}

/* A node may take the block again: somebody may have waited for that. */
static int
tell_free (struct txn *txn, uint64_t block, litedfs_error_t *error)
{
    struct owner_row owner;

    int rc = owner_row_get (txn, block, &owner, error);
    if (rc == 0)
        agenda_add_block (txn_frame (txn)->agenda, owner.inode, owner.index);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

int
held_order_done (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error)
{
    struct held_row row;

    // The node reports that, too, but not if it had nothing any more, as after a restore of ours.
    int rc = forget_damage (txn, node, block, error);
    if (rc == 0)
        rc = held_row_get (txn, node, block, &row, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    if (row.state == HELD_CLAIMED) {
        rc = held_row_del (txn, node, block, error);
        return rc == 0 ? tell_free (txn, block, error) : rc;
    }
    switch (row.order) {
    case HELD_ORDERED:
        row.order = HELD_DELETED;
        return held_row_put (txn, &row, error);
    case HELD_RETAKEN:
        row.order = HELD_KEPT;
        rc = held_row_put (txn, &row, error);
        return rc == 0 ? held_adopt (txn, node, block, error) : rc;
    default:
        return 0;
    }
}

int
held_order_revoked (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error)
{
    struct held_row row;

    int rc = held_row_get (txn, node, block, &row, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    if (row.state == HELD_CLAIMED)
        return held_row_del (txn, node, block, error);
    if (row.order != HELD_ORDERED && row.order != HELD_RETAKEN)
        return 0;
    row.order = HELD_KEPT;
    return held_row_put (txn, &row, error);
}

/* ---- reports ------------------------------------------------------------------------------------- */

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
    const struct garbage_row part = {
        .node = node->number, .due = (uint64_t) txn_frame (txn)->wall_ms, .block = block};
    uint64_t restored;
    int rc = restored_since (txn, &restored, error);

    if (rc < 0)
        return rc;
    if (restored > 0)
        return garbage_row_put (txn, &part, error); // until deletes are ordered again
    report->ordered++;
    report->block = block;
    return orders_write (txn, node, ORDER_DELETE, block, 0, error);
}

/* The node has something else under the id of a block: that is no copy, and must go. */
static int
refuse_content (struct txn *txn, struct node_row *node, struct block_row *row,
                const struct held_row *held, struct held_report *report, litedfs_error_t *error)
{
    uint64_t restored;
    int rc = restored_since (txn, &restored, error);

    if (rc == 0)
        rc = drop_holder (txn, row, node->number, report, error);
    if (rc < 0 || held->order == HELD_ORDERED)
        return rc;
    if (restored > 0) {
        report->unknown++; // it may be of what the copy does not know
        report->block = row->block;
        return 0;
    }
    rc = order_deletion (txn, node, row->block, report, error);
    return rc == 0 ? held_order (txn, node->number, row->block, error) : rc;
}

/* Nobody owns a block that the node has: it goes if it is dead, else into quarantine. */
static int
refuse_unowned (struct txn *txn, struct node_row *node, const struct wire_change *change,
                struct held_row *held, struct held_report *report, litedfs_error_t *error)
{
    bool dead = false;

    int rc = is_dead (txn, change->block, &dead, error);
    if (rc < 0)
        return rc;
    if (dead)
        return order_deletion (txn, node, change->block, report, error);
    if (held->order == HELD_ORDERED)
        return 0; // its grace was over
    report->unknown++;
    report->block = change->block;
    held->state = HELD_UNKNOWN;
    if (held->time == 0)
        held->time = (uint64_t) txn_frame (txn)->wall_ms;
    const struct quarantine_row row = {.node = node->number,
                                       .since = held->time,
                                       .block = change->block,
                                       .size = change->size,
                                       .crc = (uint32_t) change->crc32};
    rc = held_row_put (txn, held, error);
    return rc == 0 ? quarantine_put (txn, &row, error) : rc;
}

/* What follows from a row that is confirmed now. */
static int
settle_added (struct txn *txn, struct node_row *node, const struct wire_change *change,
              struct held_row *held, struct held_report *report, litedfs_error_t *error)
{
    struct block_row row;

    int rc = held_find_block (txn, change->block, &row, error);
    if (rc == LITEDFS_NOT_FOUND)
        return refuse_unowned (txn, node, change, held, report, error);
    if (rc < 0 || row.state == BLOCK_ALLOCATED)
        return rc;
    if (row.size != change->size || row.crc != change->crc32)
        return refuse_content (txn, node, &row, held, report, error);
    return held->order == HELD_KEPT ? add_holder (txn, &row, node->number, error) : 0;
}

int
held_add (struct txn *txn, struct node_row *node, const struct wire_change *change,
          struct held_report *report, litedfs_error_t *error)
{
    struct held_row held;

    report->added++;
    int rc = confirm (txn, node, change, &held, error);
    return rc < 0 ? rc : settle_added (txn, node, change, &held, report, error);
}

int
held_add_new (struct txn *txn, struct node_row *node, const struct wire_change *change,
              struct held_report *report, litedfs_error_t *error)
{
    struct held_row held = {.node = node->number,
                            .block = change->block,
                            .state = HELD_CONFIRMED,
                            .seq = change->seq,
                            .size = change->size};

    report->added++;
    node->blocks++;
    node->bytes += change->size;
    int rc = held_row_put (txn, &held, error);
    if (rc == 0)
        rc = forget_damage (txn, node->number, change->block, error);
    return rc < 0 ? rc : settle_added (txn, node, change, &held, report, error);
}

/* The node has the block no longer.  The row stays while a delete order is out. */
static int
drop_row (struct txn *txn, struct node_row *node, const struct wire_change *change,
          struct held_row *row, litedfs_error_t *error)
{
    int rc = leave_quarantine (txn, row, error);

    if (rc == 0 && row->state != HELD_CLAIMED) {
        node->blocks -= node->blocks > 0;
        node->bytes -= row->size < node->bytes ? row->size : node->bytes;
        rc = change_digest (txn, node->number, change->block, -1, error);
    }
    if (rc < 0)
        return rc;
    if (row->order != HELD_ORDERED && row->order != HELD_RETAKEN)
        return held_row_del (txn, node->number, change->block, error);
    row->state = HELD_CLAIMED;
    row->order = HELD_ORDERED;
    row->seq = 0;
    return held_row_put (txn, row, error);
}

int
held_remove (struct txn *txn, struct node_row *node, const struct wire_change *change,
             struct held_report *report, litedfs_error_t *error)
{
    struct held_row held;
    struct block_row row;

    report->removed++;
    int rc = forget_damage (txn, node->number, change->block, error);
    if (rc == 0)
        rc = held_row_get (txn, node->number, change->block, &held, error);
    if (rc == 0)
        rc = drop_row (txn, node, change, &held, error);
    if (rc == 0 || rc == LITEDFS_NOT_FOUND)
        rc = held_find_block (txn, change->block, &row, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    if (!block_row_has_node (&row, node->number))
        agenda_add_block (txn_frame (txn)->agenda, row.inode,
                          row.index); // it may take a copy now
    return drop_holder (txn, &row, node->number, report, error);
}

/* The blocks of a visible file are to be seen to, whoever holds them. */
static int
mark_block (struct txn *txn, const struct block_row *row, litedfs_error_t *error)
{
    struct inode_row file;

    int rc = inode_row_get (txn, row->inode, &file, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    return mark_blocks (txn, row->inode, row->index, (uint64_t) row->index + 1, error);
}

/* Nobody owns a block of which the node has a damaged copy: it goes if it is dead, else it is left alone. */
static int
refuse_damaged (struct txn *txn, struct node_row *node, uint64_t block,
                struct held_report *report, litedfs_error_t *error)
{
    bool dead = false;
    int rc = is_dead (txn, block, &dead, error);

    return rc == 0 && dead ? order_deletion (txn, node, block, report, error) : rc;
}

/* The node has set the block aside, which it holds no longer. */
static int
apply_damaged (struct txn *txn, struct node_row *node, const struct wire_change *change,
               struct held_report *report, litedfs_error_t *error)
{
    struct damaged_row damaged = {.block = change->block,
                                  .node = node->number,
                                  .size = change->size,
                                  .time = (uint64_t) txn_frame (txn)->wall_ms};
    struct held_row held;
    struct block_row row;

    report->damaged++;
    int rc = held_row_get (txn, node->number, change->block, &held, error);
    if (rc == 0)
        rc = drop_row (txn, node, change, &held, error);
    if (rc == 0 || rc == LITEDFS_NOT_FOUND)
        rc = damaged_row_put (txn, &damaged, error);
    if (rc == 0)
        rc = held_find_block (txn, change->block, &row, error);
    if (rc == LITEDFS_NOT_FOUND)
        return refuse_damaged (txn, node, change->block, report, error);
    if (rc < 0 || row.state == BLOCK_ALLOCATED)
        return rc;
    rc = drop_holder (txn, &row, node->number, report, error);
    return rc == 0 ? mark_block (txn, &row, error) : rc;
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
            rc = held_add (txn, &row, &changes[i], out, error);
        else if (changes[i].kind == CHANGE_DAMAGED)
            rc = apply_damaged (txn, &row, &changes[i], out, error);
        else
            rc = held_remove (txn, &row, &changes[i], out, error);
        row.seq = changes[i].seq;
    }
    out->seq = row.seq;
    return rc == 0 && row.seq != before ? node_row_put (txn, &row, error) : rc;
}
