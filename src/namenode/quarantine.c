/* SPDX-License-Identifier: MIT */
/*
 * Rows: node, since, block -> size, crc; and node alone -> how many blocks and bytes that are.  The latter
 * sorts before the node's others.
 */
#include "namenode/quarantine.h"

#include "namenode/garbage.h"
#include "namenode/held.h"
#include "namenode/restored.h"
#include "namenode/row.h"

#include <string.h>

enum { KEY_SIZE = 20, SUM_KEY_SIZE = 4 };

static struct slice
row_key (uint8_t room[KEY_SIZE], uint32_t node, uint64_t since, uint64_t block)
{
    key_be32 (room, node);
    key_be64 (room + 4, since);
    key_be64 (room + 12, block);
    return slice_of (room, KEY_SIZE);
}

bool
quarantine_is_sum (struct slice key)
{
    return key.size == SUM_KEY_SIZE;
}

int
quarantine_row_decode (struct slice key, struct slice value, struct quarantine_row *out,
                       litedfs_error_t *error)
{
    struct reader at = reader_of (key);
    struct reader reader;

    int rc = row_open (TABLE_QUARANTINE, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->node = reader_be32 (&at);
    out->since = reader_be64 (&at);
    out->block = reader_be64 (&at);
    out->size = reader_u64 (&reader);
    out->crc = reader_u32 (&reader);
    if (!reader_done (&at) || !reader_done (&reader))
        return row_corrupt (TABLE_QUARANTINE, key, error);
    return 0;
}

/* ---- totals -------------------------------------------------------------------------------------- */

static int
counts_get (struct txn *txn, uint32_t node, struct quarantine_totals *out,
            litedfs_error_t *error)
{
    uint8_t room[4];
    struct slice key = key_be32 (room, node);
    struct slice value;
    struct reader reader;

    memset (out, 0, sizeof *out);
    int rc = txn_get (txn, TABLE_QUARANTINE, key, &value, error);
    if (rc == LITEDFS_NOT_FOUND)
        return 0;
    if (rc == 0)
        rc = row_open (TABLE_QUARANTINE, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->blocks = reader_u64 (&reader);
    out->bytes = reader_u64 (&reader);
    return reader_done (&reader) ? 0 : row_corrupt (TABLE_QUARANTINE, key, error);
}

/* One block of this size more (1) or less (-1). */
static int
count (struct txn *txn, uint32_t node, uint64_t size, int sign, litedfs_error_t *error)
{
    struct quarantine_totals totals;
    struct buf key = {0};
    struct buf value = {0};

    int rc = counts_get (txn, node, &totals, error);
    if (rc < 0)
        return rc;
    totals.blocks = sign > 0 ? totals.blocks + 1 : totals.blocks - (totals.blocks > 0);
    totals.bytes = sign > 0 ? totals.bytes + size
                            : totals.bytes - (size < totals.bytes ? size : totals.bytes);
    buf_put_be32 (&key, node);
    if (totals.blocks == 0)
        return row_del (txn, TABLE_QUARANTINE, &key, error);
    row_begin (&value);
    buf_put_u64 (&value, totals.blocks);
    buf_put_u64 (&value, totals.bytes);
    return row_put (txn, TABLE_QUARANTINE, &key, &value, error);
}

/* ---- rows ---------------------------------------------------------------------------------------- */

int
quarantine_put (struct txn *txn, const struct quarantine_row *row, litedfs_error_t *error)
{
    uint8_t room[KEY_SIZE];
    struct buf key = {0};
    struct buf value = {0};

    row_key (room, row->node, row->since, row->block);
    buf_put (&key, room, sizeof room);
    row_begin (&value);
    buf_put_u64 (&value, row->size);
    buf_put_u32 (&value, row->crc);
    int rc = row_put (txn, TABLE_QUARANTINE, &key, &value, error);
    return rc == 0 ? count (txn, row->node, row->size, 1, error) : rc;
}

int
quarantine_get (struct txn *txn, uint32_t node, uint64_t since, uint64_t block,
                struct quarantine_row *out, litedfs_error_t *error)
{
    uint8_t room[KEY_SIZE];
    struct slice key = row_key (room, node, since, block);
    struct slice value;

    int rc = txn_get (txn, TABLE_QUARANTINE, key, &value, error);
    return rc < 0 ? rc : quarantine_row_decode (key, value, out, error);
}

int
quarantine_del (struct txn *txn, uint32_t node, uint64_t since, uint64_t block,
                litedfs_error_t *error)
{
    struct quarantine_row row;
    uint8_t room[KEY_SIZE];

    int rc = quarantine_get (txn, node, since, block, &row, error);
    if (rc == 0)
        rc = txn_del (txn, TABLE_QUARANTINE, row_key (room, node, since, block), error);
    if (rc == 0)
        rc = count (txn, node, row.size, -1, error);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* The first row of a node that is not before a place; LITEDFS_NOT_FOUND. */
static int
first_row (struct txn *txn, uint32_t node, uint64_t since, uint64_t block,
           struct quarantine_row *out, litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct slice key;
    struct slice value;
    uint8_t start[KEY_SIZE];

    row_key (start, node, since, block);
    int rc = cursor_open (&cursor, txn, TABLE_QUARANTINE, slice_of (start, 4),
                          slice_of (start, sizeof start), error);
    if (rc == 0)
        rc = cursor_next (&cursor, &key, &value, error);
    if (rc == 0)
        rc = quarantine_row_decode (key, value, out, error);
    cursor_close (&cursor);
    return rc;
}

int
quarantine_totals (struct txn *txn, uint32_t node, struct quarantine_totals *out,
                   litedfs_error_t *error)
{
    struct quarantine_row first;

    int rc = counts_get (txn, node, out, error);
    if (rc < 0 || out->blocks == 0)
        return rc;
    rc = first_row (txn, node, 0, 0, &first, error);
    if (rc == 0)
        out->oldest = first.since;
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* ---- what becomes of them ------------------------------------------------------------------------ */

/* A block leaves the quarantine: *out is its held row, which is a confirmed one now; LITEDFS_NOT_FOUND if it
 * has none. */
static int
release (struct txn *txn, const struct quarantine_row *row, struct held_row *out,
         litedfs_error_t *error)
{
    int rc = quarantine_del (txn, row->node, row->since, row->block, error);

    if (rc == 0)
        rc = held_row_get (txn, row->node, row->block, out, error);
    if (rc < 0 || out->state != HELD_UNKNOWN)
        return rc < 0 ? rc : LITEDFS_NOT_FOUND;
    out->state = HELD_CONFIRMED;
    out->time = 0;
    return held_row_put (txn, out, error);
}

/* A block that somebody owns is no stranger, if it is the one that was written. */
static int
adopt (struct txn *txn, const struct quarantine_row *row, bool *adopted, litedfs_error_t *error)
{
    struct block_row owned;
    struct held_row held;

    *adopted = false;
    int rc = held_find_block (txn, row->block, &owned, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    if (owned.state == BLOCK_FINISHED && (owned.size != row->size || owned.crc != row->crc))
        return 0;
    *adopted = true;
    rc = release (txn, row, &held, error);
    if (rc == 0)
        rc = held_adopt (txn, row->node, row->block, error);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* The grace is over. */
static int
expel (struct txn *txn, const struct quarantine_row *row, struct node_row *node,
       struct quarantine_done *out, litedfs_error_t *error)
{
    struct held_row held;
    bool adopted;

    int rc = adopt (txn, row, &adopted, error);
    out->adopted += adopted;
    if (rc < 0 || adopted)
        return rc;
    rc = release (txn, row, &held, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    if (held.order == HELD_ORDERED)
        return 0; // one is out
    rc = orders_write (txn, node, ORDER_DELETE, row->block, 0, error);
    if (rc == 0)
        rc = held_order (txn, row->node, row->block, error);
    out->ordered++;
    return rc;
}

/* The same for one node's. */
static int
expel_due (struct txn *txn, uint32_t number, uint64_t latest, size_t max,
           struct quarantine_done *out, litedfs_error_t *error)
{
    struct quarantine_row row;
    struct node_row node;
    size_t before = out->ordered;

    int rc = node_row_get (txn, number, &node, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    while (rc == 0 && out->looked < max) {
        rc = first_row (txn, number, 0, 0, &row, error);
        if (rc < 0 || row.since > latest)
            break;
        out->looked++;
        rc = expel (txn, &row, &node, out, error);
    }
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    return out->ordered > before ? node_row_put (txn, &node, error) : 0;
}

int
quarantine_due (struct txn *txn, const struct nodes_view *view, uint64_t grace_ms, size_t max,
                struct quarantine_done *out, uint32_t *touched, size_t touched_max,
                size_t *touched_count, litedfs_error_t *error)
{
    uint64_t now = (uint64_t) txn_frame (txn)->wall_ms, restored;

    int rc = restored_since (txn, &restored, error);
    if (rc < 0 || restored > 0 || now < grace_ms)
        return rc;
    for (size_t i = 0; i < view->count && rc == 0 && *touched_count < touched_max; i++) {
        size_t before = out->ordered;
        if (!view->nodes[i].online || out->looked >= max)
            continue;
        rc = expel_due (txn, view->nodes[i].number, now - grace_ms, max, out, error);
        if (rc == 0 && out->ordered > before)
            touched[(*touched_count)++] = view->nodes[i].number;
    }
    return rc;
}

int
quarantine_next_due (struct txn *txn, const struct nodes_view *view, uint64_t grace_ms,
                     uint64_t *out, litedfs_error_t *error)
{
    struct cursor any = {0};
    struct slice none = {0};
    struct quarantine_row row;
    uint64_t restored;

    *out = UINT64_MAX;
    int rc = restored_since (txn, &restored, error);
    if (rc < 0 || restored > 0)
        return rc;
    rc = cursor_open (&any, txn, TABLE_QUARANTINE, none, none, error);
    if (rc == 0)
        rc = cursor_next (&any, NULL, NULL, error);
    cursor_close (&any);
    for (size_t i = 0; i < view->count && rc == 0; i++) {
        if (!view->nodes[i].online)
            continue;
        rc = first_row (txn, view->nodes[i].number, 0, 0, &row, error);
        if (rc == 0 && row.since + grace_ms < *out)
            *out = row.since + grace_ms;
        if (rc == LITEDFS_NOT_FOUND)
            rc = 0;
    }
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* ---- the walk ------------------------------------------------------------------------------------ */

/* A row of a time to come begins anew. */
static int
pull_in (struct txn *txn, struct quarantine_row *row, litedfs_error_t *error)
{
    struct held_row held;

    int rc = quarantine_del (txn, row->node, row->since, row->block, error);
    if (rc == 0)
        rc = held_row_get (txn, row->node, row->block, &held, error);
    if (rc < 0 || held.state != HELD_UNKNOWN)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    held.time = row->since = (uint64_t) txn_frame (txn)->wall_ms;
    rc = held_row_put (txn, &held, error);
    return rc == 0 ? quarantine_put (txn, row, error) : rc;
}

static int
look_at (struct txn *txn, struct quarantine_row *row, struct quarantine_done *out,
         litedfs_error_t *error)
{
    bool adopted;

    out->looked++;
    int rc = adopt (txn, row, &adopted, error);
    out->adopted += adopted;
    if (rc == 0 && !adopted && row->since > (uint64_t) txn_frame (txn)->wall_ms)
        rc = pull_in (txn, row, error);
    return rc;
}

int
quarantine_adopt (struct txn *txn, struct quarantine_walk *walk, size_t max,
                  struct quarantine_done *out, litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct quarantine_row row;
    struct slice none = {0};
    struct slice key;
    struct slice value;
    uint8_t start[KEY_SIZE];

    row_key (start, walk->node, walk->since, walk->block);
    int rc = cursor_open (&cursor, txn, TABLE_QUARANTINE, none, slice_of (start, sizeof start),
                          error);
    while (rc == 0 && out->looked < max &&
           (rc = cursor_next (&cursor, &key, &value, error)) == 0) {
        if (key.size < KEY_SIZE)
            continue; // a node's totals
        rc = quarantine_row_decode (key, value, &row, error);
        *walk = (struct quarantine_walk){row.node, row.since, row.block + 1};
        if (rc == 0)
            rc = look_at (txn, &row, out, error);
    }
    cursor_close (&cursor);
    if (rc == LITEDFS_NOT_FOUND)
        *walk = (struct quarantine_walk){0};
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* ---- damaged copies ------------------------------------------------------------------------------ */

/* The first damaged copy that is not before the walk's place; LITEDFS_NOT_FOUND. */
static int
next_damaged (struct txn *txn, const struct quarantine_damaged *walk, struct damaged_row *out,
              litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct slice none = {0};
    struct slice key, value;
    uint8_t start[12];

    key_be64 (start, walk->block);
    key_be32 (start + 8, walk->node);
    int rc =
        cursor_open (&cursor, txn, TABLE_DAMAGED, none, slice_of (start, sizeof start), error);
    if (rc == 0)
        rc = cursor_next (&cursor, &key, &value, error);
    if (rc == 0)
        rc = damaged_row_decode (key, value, out, error);
    cursor_close (&cursor);
    return rc;
}

/* What nobody owns and was known for the grace is garbage. */
static int
expel_damaged (struct txn *txn, const struct damaged_row *row, uint64_t grace_ms,
               litedfs_error_t *error)
{
    const struct garbage_row part = {.node = row->node, .due = row->time, .block = row->block};
    uint64_t now_ms = (uint64_t) txn_frame (txn)->wall_ms;
    struct owner_row owner;

    int rc = owner_row_get (txn, row->block, &owner, error);
    if (rc != LITEDFS_NOT_FOUND || row->time > now_ms || now_ms - row->time < grace_ms)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    return garbage_row_put (txn, &part, error);
}

int
quarantine_damaged (struct txn *txn, struct quarantine_damaged *walk, uint64_t grace_ms,
                    size_t max, size_t *looked, litedfs_error_t *error)
{
    struct damaged_row row;
    uint64_t restored = 0;
    int rc = restored_since (txn, &restored, error);

    for (*looked = 0; rc == 0 && restored == 0 && *looked < max; (*looked)++) {
        rc = next_damaged (txn, walk, &row, error);
        if (rc < 0)
            break;
        walk->block = row.node == UINT32_MAX ? row.block + 1 : row.block;
        walk->node = row.node + 1;
        rc = expel_damaged (txn, &row, grace_ms, error);
    }
    if (rc == LITEDFS_NOT_FOUND || restored != 0)
        *walk = (struct quarantine_damaged){.block = 0};
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}
