/* SPDX-License-Identifier: MIT */
/*
 * Removal: the tables in which a node's rows stand together, one after the other.
 */
#include "namenode/removal.h"

#include "namenode/held.h"
#include "namenode/mark.h"

#include <string.h>

static const enum metastore_table tables[] = {TABLE_HELD, TABLE_DIGEST, TABLE_ORDER,
                                              TABLE_GARBAGE, TABLE_QUARANTINE};

#define TABLES (sizeof tables / sizeof *tables)

/* Room for the key of a row of these tables: node, and at most bucket and block, or due and block. */
enum { KEY_SIZE = 32 };

/* The node is no holder of the block any more. */
static int
forget_holder (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error)
{
    struct block_row row;
    size_t kept = 0;
    int rc = held_find_block (txn, block, &row, error);

    if (rc == LITEDFS_NOT_FOUND)
        return 0;
    if (rc < 0 || row.state != BLOCK_FINISHED || !block_row_has_node (&row, node))
        return rc;
    for (size_t i = 0; i < row.nodes_count; i++)
        if (row.nodes[i] != node)
            row.nodes[kept++] = row.nodes[i];
    row.nodes_count = kept;
    rc = block_row_put (txn, &row, error);
    return rc < 0 ? rc : mark_blocks (txn, row.inode, row.index, row.index + 1ull, error);
}

/* The first row of the node in a table: its key, copied; LITEDFS_NOT_FOUND. */
static int
first_row (struct txn *txn, enum metastore_table table, uint32_t node, uint8_t room[KEY_SIZE],
           struct slice *key, struct slice *value, litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct slice none = {0};
    uint8_t prefix[4];

    int rc = cursor_open (&cursor, txn, table, key_be32 (prefix, node), none, error);
    if (rc == 0)
        rc = cursor_next (&cursor, key, value, error);
    if (rc == 0 && key->size <= KEY_SIZE) {
        memcpy (room, key->data, key->size);
        key->data = room;
    }
    cursor_close (&cursor);
    return rc;
}

/* Damaged copies of the node; with max 0 none goes, and *count is whether there is one.  Their table is by
 * block, and short. */
static int
forget_damaged (struct txn *txn, uint32_t node, size_t max, size_t *count,
                litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct damaged_row row;
    struct slice none = {0};
    struct slice key, value;
    int rc = cursor_open (&cursor, txn, TABLE_DAMAGED, none, none, error);

    for (bool more = rc == 0; more;) {
        rc = cursor_next (&cursor, &key, &value, error);
        if (rc == 0)
            rc = damaged_row_decode (key, value, &row, error);
        more = rc == 0;
        if (!more || row.node != node)
            continue;
        if (max > 0)
            rc = damaged_row_del (txn, row.block, node, error);
        *count += rc == 0;
        more = rc == 0 && *count < max;
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

int
removal_slice (struct txn *txn, uint32_t node, size_t max, size_t *count,
               litedfs_error_t *error)
{
    struct held_row held;
    struct slice key, value;
    uint8_t room[KEY_SIZE];
    size_t at = 0;
    int rc = 0;

    for (*count = 0; *count < max && at < TABLES && rc == 0;) {
        rc = first_row (txn, tables[at], node, room, &key, &value, error);
        if (rc == LITEDFS_NOT_FOUND) {
            at++;
            rc = 0;
            continue;
        }
        if (rc == 0 && tables[at] == TABLE_HELD) {
            rc = held_row_decode (key, value, &held, error);
            if (rc == 0)
                rc = forget_holder (txn, node, held.block, error);
        }
        if (rc == 0)
            rc = txn_del (txn, tables[at], key, error);
        *count += rc == 0;
    }
    return rc == 0 && *count < max ? forget_damaged (txn, node, max, count, error) : rc;
}

int
removal_wanted (struct txn *txn, uint32_t node, bool *out, litedfs_error_t *error)
{
    struct slice key, value;
    uint8_t room[KEY_SIZE];
    size_t damaged = 0;
    int rc = LITEDFS_NOT_FOUND;

    for (size_t at = 0; at < TABLES && rc == LITEDFS_NOT_FOUND; at++)
        rc = first_row (txn, tables[at], node, room, &key, &value, error);
    *out = rc == 0;
    if (rc == LITEDFS_NOT_FOUND)
        rc = forget_damaged (txn, node, 0, &damaged, error);
    *out = *out || damaged > 0;
    return rc;
}
