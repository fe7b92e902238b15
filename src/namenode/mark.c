/* SPDX-License-Identifier: MIT */
/*
 * Marks are ranges of blocks, a row each.  Ranges that overlap do no harm, their blocks are looked at
 * twice; so nothing is joined here.
 */
#include "namenode/mark.h"

#include "namenode/agenda.h"

/* How many marks of a file go with it at once. */
enum { DROP_MAX = 64 };

/* The mark that begins at a block or before, the nearest one. */
static int
find_before (struct cursor *cursor, uint64_t inode, uint32_t index, struct repair_row *out,
             litedfs_error_t *error)
{
    uint8_t room[12];
    struct slice key;
    struct slice value;

    key_be64 (room, inode);
    key_be32 (room + 8, index);
    int rc = cursor_floor (cursor, slice_of (room, sizeof room), &key, &value, error);
    return rc < 0 ? rc : repair_row_decode (key, value, out, error);
}

/* *added is whether it was not marked before. */
static int
add_mark (struct txn *txn, uint64_t inode, uint32_t first, uint64_t end, bool *added,
          litedfs_error_t *error)
{
    struct repair_row row = {.inode = inode, .first = first, .end = end};
    struct repair_row before;
    struct cursor cursor = {0};
    struct slice none = {0};
    uint8_t prefix[8];

    int rc = cursor_open (&cursor, txn, TABLE_REPAIR, key_be64 (prefix, inode), none, error);
    if (rc == 0)
        rc = find_before (&cursor, inode, first, &before, error);
    cursor_close (&cursor);
    *added = rc == LITEDFS_NOT_FOUND || (rc == 0 && before.end < end);
    return *added ? repair_row_put (txn, &row, error) : rc;
}

int
mark_blocks (struct txn *txn, uint64_t inode, uint32_t first, uint64_t end,
             litedfs_error_t *error)
{
    bool added;

    agenda_add (txn_frame (txn)->agenda, (struct agenda_item){inode, first, end});
    return add_mark (txn, inode, first, end, &added, error);
}

int
mark_blocks_found (struct txn *txn, uint64_t inode, uint32_t first, uint64_t end,
                   litedfs_error_t *error)
{
    bool added;

    int rc = add_mark (txn, inode, first, end, &added, error);
    if (rc == 0 && added)
        agenda_add (txn_frame (txn)->agenda, (struct agenda_item){inode, first, end});
    return rc;
}

int
mark_find (struct txn *txn, uint64_t inode, uint32_t index, struct repair_row *out,
           litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct slice none = {0};
    struct slice key;
    struct slice value;
    uint8_t start[12];

    struct slice prefix = key_be64 (start, inode);
    int rc = cursor_open (&cursor, txn, TABLE_REPAIR, prefix, none, error);
    if (rc == 0)
        rc = find_before (&cursor, inode, index, out, error);
    if (rc == 0 && out->end <= index)
        rc = LITEDFS_NOT_FOUND;
    cursor_close (&cursor);
    if (rc != LITEDFS_NOT_FOUND)
        return rc;
    key_be32 (start + 8, index);
    rc =
        cursor_open (&cursor, txn, TABLE_REPAIR, prefix, slice_of (start, sizeof start), error);
    if (rc == 0)
        rc = cursor_next (&cursor, &key, &value, error);
    if (rc == 0)
        rc = repair_row_decode (key, value, out, error);
    cursor_close (&cursor);
    return rc;
}

int
mark_drop (struct txn *txn, uint64_t inode, litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct repair_row row;
    struct slice none = {0};
    struct slice key;
    struct slice value;
    uint8_t prefix[8];

    int rc = cursor_open (&cursor, txn, TABLE_REPAIR, key_be64 (prefix, inode), none, error);
    for (int i = 0; rc == 0 && i < DROP_MAX; i++) {
        rc = cursor_next (&cursor, &key, &value, error);
        if (rc == 0)
            rc = repair_row_decode (key, value, &row, error);
        if (rc == 0)
            rc = repair_row_del (txn, inode, row.first, error);
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}
