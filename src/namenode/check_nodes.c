/* SPDX-License-Identifier: MIT */
/*
 * Data nodes: a digest is the XOR of the confirmed held rows of its bucket, a node's counts are the sums
 * of its rows, orders and garbage are of blocks that were drawn.
 */
#include "namenode/check_walk.h"

#include "namenode/quarantine.h"

#include <inttypes.h>
#include <stdio.h>

/* "node block", or "node number". */
static const char *
node_block_key (char room[CHECK_KEY_SIZE], uint32_t node, uint64_t block)
{
    char text[BLOCK_ID_TEXT_SIZE];

    snprintf (room, CHECK_KEY_SIZE, "%" PRIu32 " %s", node, block_id_print (block, text));
    return room;
}

static const char *
node_number_key (char room[CHECK_KEY_SIZE], uint32_t node, uint64_t number)
{
    snprintf (room, CHECK_KEY_SIZE, "%" PRIu32 " %" PRIu64, node, number);
    return room;
}

/* A node that was removed is taken apart: its rows go one after the other, its counts stand still. */
static bool
is_removed (struct check *self, uint32_t number)
{
    const struct check_tally *node = check_node (self, number);

    return node && node->row.duty.duty == DUTY_REMOVED;
}

/* ---- held rows and digests ----------------------------------------------------------------------- */

/* The bucket that was summed up to now is complete. */
int
check_held_end (struct check *self)
{
    const struct digest_row *sum = &self->digest;
    char text[CHECK_KEY_SIZE];
    struct digest_row row;

    if (sum->node == 0 || sum->count == 0 || is_removed (self, sum->node))
        return 0;
    int rc = digest_row_get (self->txn, sum->node, sum->bucket, &row, self->error);
    if (rc == 0 && (row.hash != sum->hash || row.count != sum->count))
        check_find (self, TABLE_DIGEST, node_number_key (text, sum->node, sum->bucket),
                    "it is not that of the %" PRIu64 " blocks that are confirmed there",
                    sum->count);
    return rc == LITEDFS_CORRUPT ? 0 : rc;
}

static int
sum_held (struct check *self, const struct held_row *row)
{
    uint32_t bucket = block_id_bucket (row->block);

    if (self->digest.node != row->node || self->digest.bucket != bucket) {
        int rc = check_held_end (self);
        if (rc < 0)
            return rc;
        self->digest = (struct digest_row){.node = row->node, .bucket = bucket};
    }
    if (row->state != HELD_CLAIMED) {
        self->digest.hash ^= block_id_hash (row->block);
        self->digest.count++;
    }
    return 0;
}

int
check_held (struct check *self, struct slice key, struct slice value)
{
    char text[CHECK_KEY_SIZE];
    struct held_row row;

    int rc = held_row_decode (key, value, &row, self->error);
    if (rc < 0)
        return rc;
    node_block_key (text, row.node, row.block);
    struct check_tally *node = check_node (self, row.node);
    if (!node)
        check_find (self, TABLE_HELD, text, "the node is missing");
    if (node && row.state != HELD_CLAIMED) {
        node->blocks++;
        node->bytes += row.size;
        if (row.seq > node->row.seq)
            check_find (self, TABLE_HELD, text,
                        "it is of change %" PRIu64 ", and the node is at %" PRIu64, row.seq,
                        node->row.seq);
    }
    return sum_held (self, &row);
}

/* Whether anything confirmed is behind a digest; what it is was compared along the held rows. */
int
check_digest (struct check *self, struct slice key, struct slice value)
{
    struct cursor cursor = {0};
    struct slice none = {0}, at, row;
    struct reader reader = reader_of (key);
    struct digest_row digest;
    struct held_row held;
    char text[CHECK_KEY_SIZE];
    uint32_t node = reader_be32 (&reader);
    uint32_t bucket = (uint32_t) reader_u8 (&reader) << 8;
    bool found = false;
    (void) value;

    bucket |= reader_u8 (&reader);
    if (!reader_done (&reader) || bucket >= BLOCK_ID_BUCKETS) {
        check_find (self, TABLE_DIGEST, "?", "a key of %zu bytes that is none", key.size);
        return 0;
    }
    int rc = digest_row_get (self->txn, node, bucket, &digest, self->error);
    if (rc == 0) // a held row's key begins as this one does
        rc = cursor_open (&cursor, self->txn, TABLE_HELD, key, none, self->error);
    while (rc == 0 && !found && (rc = cursor_next (&cursor, &at, &row, self->error)) == 0)
        found = held_row_decode (at, row, &held, self->error) < 0 || held.state != HELD_CLAIMED;
    cursor_close (&cursor);
    if (rc == LITEDFS_NOT_FOUND && !is_removed (self, node))
        check_find (self, TABLE_DIGEST, node_number_key (text, node, bucket),
                    "nothing is confirmed there");
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* ---- orders and garbage -------------------------------------------------------------------------- */

int
check_order (struct check *self, struct slice key, struct slice value)
{
    char text[CHECK_KEY_SIZE];
    struct order_row row;

    int rc = order_row_decode (key, value, &row, self->error);
    if (rc < 0)
        return rc;
    node_number_key (text, row.node, row.number);
    const struct check_tally *node = check_node (self, row.node);
    if (!node)
        check_find (self, TABLE_ORDER, text, "the node is missing");
    else if (row.number == 0 || row.number > node->row.order)
        check_find (self, TABLE_ORDER, text, "the node has orders up to %" PRIu64,
                    node->row.order);
    if (row.kind == ORDER_COPY && (row.target == row.node || !check_node (self, row.target)))
        check_find (self, TABLE_ORDER, text,
                    "a copy to node %" PRIu32 ", which is missing or itself", row.target);
    if (row.kind == ORDER_COPY) // a node may be told to delete what it has from elsewhere
        check_block_id (self, TABLE_ORDER, text, row.block);
    return 0;
}

int
check_garbage (struct check *self, struct slice key, struct slice value)
{
    char text[CHECK_KEY_SIZE];
    struct garbage_row row;

    int rc = garbage_row_decode (key, value, &row, self->error);
    if (rc < 0)
        return rc;
    check_block_id (self, TABLE_GARBAGE, node_block_key (text, row.node, row.block), row.block);
    return 0; // what is of a node that is gone goes by itself
}

/* A row says since when a held row is of a block that nobody knows. */
int
check_quarantine (struct check *self, struct slice key, struct slice value)
{
    char text[CHECK_KEY_SIZE];
    struct quarantine_row row;
    struct held_row held;

    if (quarantine_is_sum (key))
        return 0; // a node's totals
    int rc = quarantine_row_decode (key, value, &row, self->error);
    if (rc == 0)
        rc = held_row_get (self->txn, row.node, row.block, &held, self->error);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    if ((rc < 0 || held.state != HELD_UNKNOWN || held.time != row.since) &&
        !is_removed (self, row.node))
        check_find (self, TABLE_QUARANTINE, node_block_key (text, row.node, row.block),
                    "its held row does not say so");
    return 0;
}

int
check_damaged (struct check *self, struct slice key, struct slice value)
{
    char text[CHECK_KEY_SIZE];
    struct damaged_row row;
    struct held_row held;

    int rc = damaged_row_decode (key, value, &row, self->error);
    if (rc < 0)
        return rc;
    node_block_key (text, row.node, row.block);
    if (!check_node (self, row.node))
        check_find (self, TABLE_DAMAGED, text, "the node is missing");
    rc = held_row_get (self->txn, row.node, row.block, &held, self->error);
    if (rc == 0 && held.state == HELD_CONFIRMED)
        check_find (self, TABLE_DAMAGED, text, "the node has a good copy as well");
    return rc == LITEDFS_NOT_FOUND || rc == LITEDFS_CORRUPT ? 0 : rc;
}

/* ---- counts -------------------------------------------------------------------------------------- */

int
check_nodes_end (struct check *self)
{
    char text[CHECK_KEY_SIZE];

    for (size_t i = 0; i < self->nodes_count; i++) {
        const struct check_tally *node = &self->nodes[i];
        const struct {
            const char *what;
            uint64_t said;
            uint64_t there;
        } counts[] = {
            {"bytes reserved", node->row.reserved, node->reserved},
            {"blocks", node->row.blocks, node->blocks},
            {"bytes", node->row.bytes, node->bytes},
        };
        size_t count = node->row.duty.duty == DUTY_REMOVED ? 1 : sizeof counts / sizeof *counts;
        check_key (text, node->row.number);
        for (size_t n = 0; n < count; n++)
            if (counts[n].said != counts[n].there)
                check_find (self, TABLE_NODE, text,
                            "%s: it says %" PRIu64 ", its rows make %" PRIu64, counts[n].what,
                            counts[n].said, counts[n].there);
    }
    return 0;
}
