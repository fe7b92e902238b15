/* SPDX-License-Identifier: MIT */
/*
 * The rows of data nodes and of what they have and shall do: node, held, digest, order, garbage; of
 * doomed, where garbage comes from, and repair, where orders come from.
 */
#include "namenode/records.h"

#include "namenode/row.h"

#include <assert.h>
#include <string.h>

/* ---- held and digest ----------------------------------------------------------------------------- */

static struct slice
held_key (uint8_t room[14], uint32_t node, uint64_t block)
{
    uint32_t bucket = block_id_bucket (block);

    key_be32 (room, node);
    room[4] = (uint8_t) (bucket >> 8);
    room[5] = (uint8_t) bucket;
    key_be64 (room + 6, block);
    return slice_of (room, 14);
}

int
held_row_decode (struct slice key, struct slice value, struct held_row *out,
                 litedfs_error_t *error)
{
    struct reader at = reader_of (key);
    struct reader reader;

    int rc = row_open (TABLE_HELD, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->node = reader_be32 (&at);
    uint32_t bucket = (uint32_t) reader_u8 (&at) << 8;
    bucket |= reader_u8 (&at);
    out->block = reader_be64 (&at);
    uint8_t state = reader_u8 (&reader);
    out->state = (enum held_state) ((state & 1) | (state >> 3) << 1);
    out->order = (enum held_order) (state >> 1 & 3);
    out->seq = reader_u64 (&reader);
    out->size = reader_u64 (&reader);
    out->time = reader_u64 (&reader);
    if (!reader_done (&at) || !reader_done (&reader) || out->state > HELD_UNKNOWN ||
        bucket != block_id_bucket (out->block))
        return row_corrupt (TABLE_HELD, key, error);
    return 0;
}

int
held_row_get (struct txn *txn, uint32_t node, uint64_t block, struct held_row *out,
              litedfs_error_t *error)
{
    uint8_t room[14];
    struct slice key = held_key (room, node, block);
    struct slice value;

    int rc = txn_get (txn, TABLE_HELD, key, &value, error);
    return rc < 0 ? rc : held_row_decode (key, value, out, error);
}

int
held_row_put (struct txn *txn, const struct held_row *row, litedfs_error_t *error)
{
    uint8_t room[14];
    struct buf key = {0};
    struct buf value = {0};

    held_key (room, row->node, row->block);
    buf_put (&key, room, sizeof room);
    row_begin (&value);
    buf_put_u8 (&value,
                (uint8_t) ((row->state & 1) | row->order << 1 | (row->state >> 1) << 3));
    buf_put_u64 (&value, row->seq);
    buf_put_u64 (&value, row->size);
    buf_put_u64 (&value, row->time);
    return row_put (txn, TABLE_HELD, &key, &value, error);
}

int
held_row_del (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error)
{
    uint8_t room[14];

    return txn_del (txn, TABLE_HELD, held_key (room, node, block), error);
}

int
held_rows_open (struct cursor *cursor, struct txn *txn, uint32_t node, uint32_t bucket,
                uint64_t first, litedfs_error_t *error)
{
    uint8_t start[14];

    key_be32 (start, node);
    start[4] = (uint8_t) (bucket >> 8);
    start[5] = (uint8_t) bucket;
    key_be64 (start + 6, first);
    return cursor_open (cursor, txn, TABLE_HELD, slice_of (start, 6),
                        slice_of (start, sizeof start), error);
}

static struct slice
digest_key (uint8_t room[6], uint32_t node, uint32_t bucket)
{
    assert (bucket < BLOCK_ID_BUCKETS);
    key_be32 (room, node);
    room[4] = (uint8_t) (bucket >> 8);
    room[5] = (uint8_t) bucket;
    return slice_of (room, 6);
}

int
digest_row_get (struct txn *txn, uint32_t node, uint32_t bucket, struct digest_row *out,
                litedfs_error_t *error)
{
    uint8_t room[6];
    struct slice key = digest_key (room, node, bucket);
    struct slice value;
    struct reader reader;

    memset (out, 0, sizeof *out);
    out->node = node;
    out->bucket = bucket;
    int rc = txn_get (txn, TABLE_DIGEST, key, &value, error);
    if (rc == LITEDFS_NOT_FOUND)
        return 0;
    if (rc == 0)
        rc = row_open (TABLE_DIGEST, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->hash = reader_u64 (&reader);
    out->count = reader_u64 (&reader);
    return reader_done (&reader) ? 0 : row_corrupt (TABLE_DIGEST, key, error);
}

int
digest_row_put (struct txn *txn, const struct digest_row *row, litedfs_error_t *error)
{
    uint8_t room[6];
    struct buf key = {0};
    struct buf value = {0};

    digest_key (room, row->node, row->bucket);
    buf_put (&key, room, sizeof room);
    if (row->hash == 0 && row->count == 0) {
        int rc = row_del (txn, TABLE_DIGEST, &key, error);
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    }
    row_begin (&value);
    buf_put_u64 (&value, row->hash);
    buf_put_u64 (&value, row->count);
    return row_put (txn, TABLE_DIGEST, &key, &value, error);
}

/* ---- node ---------------------------------------------------------------------------------------- */

/* Copy a text that must fit, its NUL included, and have no NUL inside. */
static void
read_text (struct reader *reader, char *out, size_t size)
{
    struct slice text = reader_str (reader);

    out[0] = '\0';
    if (reader->failed || text.size == 0)
        return;
    if (text.size >= size || memchr (text.data, '\0', text.size)) {
        reader->failed = true;
        return;
    }
    memcpy (out, text.data, text.size);
    out[text.size] = '\0';
}

/* Rows of before there were duties end without one. */
static void
read_duty (struct reader *reader, struct node_duty *out)
{
    struct duty_survey *survey = &out->survey;

    *out = (struct node_duty){.duty = DUTY_SERVE};
    if (reader_left (reader) == 0)
        return;
    uint8_t duty = reader_u8 (reader);
    if (duty > DUTY_REMOVED)
        reader->failed = true;
    out->duty = (enum duty) duty;
    out->excused = reader_u64 (reader);
    survey->time = reader_u64 (reader);
    survey->steady = reader_u64 (reader);
    survey->blocks = reader_u64 (reader);
    survey->bytes = reader_u64 (reader);
    survey->sole = reader_u64 (reader);
    survey->sole_bytes = reader_u64 (reader);
    survey->stuck = reader_u64 (reader);
    survey->writing = reader_u64 (reader);
}

static void
put_duty (struct buf *value, const struct node_duty *duty)
{
    const struct duty_survey *survey = &duty->survey;

    buf_put_u8 (value, (uint8_t) duty->duty);
    buf_put_u64 (value, duty->excused);
    buf_put_u64 (value, survey->time);
    buf_put_u64 (value, survey->steady);
    buf_put_u64 (value, survey->blocks);
    buf_put_u64 (value, survey->bytes);
    buf_put_u64 (value, survey->sole);
    buf_put_u64 (value, survey->sole_bytes);
    buf_put_u64 (value, survey->stuck);
    buf_put_u64 (value, survey->writing);
}

int
node_row_decode (struct slice key, struct slice value, struct node_row *out,
                 litedfs_error_t *error)
{
    struct reader at = reader_of (key);
    struct reader reader;

    int rc = row_open (TABLE_NODE, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->number = reader_be32 (&at);
    const uint8_t *uuid = reader_bytes (&reader, sizeof out->uuid.bytes);
    if (!reader_done (&at) || !uuid || out->number == 0)
        return row_corrupt (TABLE_NODE, key, error);
    memcpy (out->uuid.bytes, uuid, sizeof out->uuid.bytes);
    out->http_port = reader_u16 (&reader);
    out->tcp_port = reader_u16 (&reader);
    out->chain_port = reader_u16 (&reader);
    out->seq = reader_u64 (&reader);
    out->reserved = reader_u64 (&reader);
    out->blocks = reader_u64 (&reader);
    out->bytes = reader_u64 (&reader);
    out->order = reader_u64 (&reader);
    out->time = reader_u64 (&reader);
    read_text (&reader, out->host, sizeof out->host);
    read_text (&reader, out->zone, sizeof out->zone);
    read_text (&reader, out->version, sizeof out->version);
    read_duty (&reader, &out->duty);
    return reader_done (&reader) ? 0 : row_corrupt (TABLE_NODE, key, error);
}

int
node_row_get (struct txn *txn, uint32_t number, struct node_row *out, litedfs_error_t *error)
{
    uint8_t room[4];
    struct slice key = key_be32 (room, number);
    struct slice value;

    int rc = txn_get (txn, TABLE_NODE, key, &value, error);
    return rc < 0 ? rc : node_row_decode (key, value, out, error);
}

int
node_row_put (struct txn *txn, const struct node_row *row, litedfs_error_t *error)
{
    struct buf key = {0};
    struct buf value = {0};

    assert (row->number > 0);
    buf_put_be32 (&key, row->number);
    row_begin (&value);
    buf_put (&value, row->uuid.bytes, sizeof row->uuid.bytes);
    buf_put_u16 (&value, row->http_port);
    buf_put_u16 (&value, row->tcp_port);
    buf_put_u16 (&value, row->chain_port);
    buf_put_u64 (&value, row->seq);
    buf_put_u64 (&value, row->reserved);
    buf_put_u64 (&value, row->blocks);
    buf_put_u64 (&value, row->bytes);
    buf_put_u64 (&value, row->order);
    buf_put_u64 (&value, row->time);
    buf_put_str (&value, slice_str (row->host));
    buf_put_str (&value, slice_str (row->zone));
    buf_put_str (&value, slice_str (row->version));
    put_duty (&value, &row->duty);
    return row_put (txn, TABLE_NODE, &key, &value, error);
}

int
node_row_del (struct txn *txn, uint32_t number, litedfs_error_t *error)
{
    uint8_t room[4];

    return txn_del (txn, TABLE_NODE, key_be32 (room, number), error);
}

int
node_row_find (struct txn *txn, const struct uuid *uuid, struct node_row *out,
               litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct slice none = {0};
    struct slice key;
    struct slice value;

    int rc = cursor_open (&cursor, txn, TABLE_NODE, none, none, error);
    if (rc < 0)
        return rc;
    while ((rc = cursor_next (&cursor, &key, &value, error)) == 0) {
        rc = node_row_decode (key, value, out, error);
        if (rc < 0 || uuid_equal (&out->uuid, uuid))
            break;
    }
    cursor_close (&cursor);
    return rc;
}

/* ---- order, garbage, doomed ---------------------------------------------------------------------- */

static struct slice
order_key (uint8_t room[12], uint32_t node, uint64_t number)
{
    key_be32 (room, node);
    key_be64 (room + 4, number);
    return slice_of (room, 12);
}

int
order_row_put (struct txn *txn, const struct order_row *row, litedfs_error_t *error)
{
    uint8_t room[12];
    struct buf key = {0};
    struct buf value = {0};

    order_key (room, row->node, row->number);
    buf_put (&key, room, sizeof room);
    row_begin (&value);
    buf_put_u8 (&value, (uint8_t) row->kind);
    buf_put_u64 (&value, row->block);
    if (row->kind == ORDER_COPY)
        buf_put_u32 (&value, row->target);
    return row_put (txn, TABLE_ORDER, &key, &value, error);
}

int
order_row_del (struct txn *txn, uint32_t node, uint64_t number, litedfs_error_t *error)
{
    uint8_t room[12];

    return txn_del (txn, TABLE_ORDER, order_key (room, node, number), error);
}

int
order_row_decode (struct slice key, struct slice value, struct order_row *out,
                  litedfs_error_t *error)
{
    struct reader at = reader_of (key);
    struct reader reader;

    int rc = row_open (TABLE_ORDER, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->node = reader_be32 (&at);
    out->number = reader_be64 (&at);
    uint8_t kind = reader_u8 (&reader);
    out->kind = kind == ORDER_COPY ? ORDER_COPY : ORDER_DELETE;
    out->block = reader_u64 (&reader);
    out->target = kind == ORDER_COPY ? reader_u32 (&reader) : 0;
    if (!reader_done (&at) || !reader_done (&reader) || kind > ORDER_COPY)
        return row_corrupt (TABLE_ORDER, key, error);
    return 0;
}

static struct slice
garbage_key (uint8_t room[20], const struct garbage_row *row)
{
    key_be32 (room, row->node);
    key_be64 (room + 4, row->due);
    key_be64 (room + 12, row->block);
    return slice_of (room, 20);
}

int
garbage_row_put (struct txn *txn, const struct garbage_row *row, litedfs_error_t *error)
{
    uint8_t room[20];
    const uint8_t version = ROW_VERSION;

    return txn_put (txn, TABLE_GARBAGE, garbage_key (room, row), slice_of (&version, 1), error);
}

int
garbage_row_del (struct txn *txn, const struct garbage_row *row, litedfs_error_t *error)
{
    uint8_t room[20];

    return txn_del (txn, TABLE_GARBAGE, garbage_key (room, row), error);
}

int
garbage_row_decode (struct slice key, struct slice value, struct garbage_row *out,
                    litedfs_error_t *error)
{
    struct reader at = reader_of (key);
    struct reader reader;

    int rc = row_open (TABLE_GARBAGE, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->node = reader_be32 (&at);
    out->due = reader_be64 (&at);
    out->block = reader_be64 (&at);
    if (!reader_done (&at) || !reader_done (&reader))
        return row_corrupt (TABLE_GARBAGE, key, error);
    return 0;
}

int
doomed_row_put (struct txn *txn, const struct doomed_row *row, litedfs_error_t *error)
{
    uint8_t room[8];
    uint8_t value[2] = {ROW_VERSION, row->kind == KIND_DIRECTORY ? 0 : 1};

    return txn_put (txn, TABLE_DOOMED, key_be64 (room, row->inode),
                    slice_of (value, sizeof value), error);
}

int
doomed_row_del (struct txn *txn, uint64_t inode, litedfs_error_t *error)
{
    uint8_t room[8];

    return txn_del (txn, TABLE_DOOMED, key_be64 (room, inode), error);
}

int
doomed_row_decode (struct slice key, struct slice value, struct doomed_row *out,
                   litedfs_error_t *error)
{
    struct reader at = reader_of (key);
    struct reader reader;

    int rc = row_open (TABLE_DOOMED, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->inode = reader_be64 (&at);
    uint8_t kind = reader_u8 (&reader);
    out->kind = kind == 0 ? KIND_DIRECTORY : KIND_FILE;
    if (!reader_done (&at) || !reader_done (&reader) || kind > 1)
        return row_corrupt (TABLE_DOOMED, key, error);
    return 0;
}

/* ---- repair -------------------------------------------------------------------------------------- */

static struct slice
repair_key (uint8_t room[12], uint64_t inode, uint32_t first)
{
    key_be64 (room, inode);
    key_be32 (room + 8, first);
    return slice_of (room, 12);
}

int
repair_row_decode (struct slice key, struct slice value, struct repair_row *out,
                   litedfs_error_t *error)
{
    struct reader at = reader_of (key);
    struct reader reader;

    int rc = row_open (TABLE_REPAIR, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->inode = reader_be64 (&at);
    out->first = reader_be32 (&at);
    out->end = reader_u64 (&reader);
    if (!reader_done (&at) || !reader_done (&reader) || out->end <= out->first ||
        out->end > REPAIR_END)
        return row_corrupt (TABLE_REPAIR, key, error);
    return 0;
}

int
repair_row_get (struct txn *txn, uint64_t inode, uint32_t first, struct repair_row *out,
                litedfs_error_t *error)
{
    uint8_t room[12];
    struct slice key = repair_key (room, inode, first);
    struct slice value;

    int rc = txn_get (txn, TABLE_REPAIR, key, &value, error);
    return rc < 0 ? rc : repair_row_decode (key, value, out, error);
}

int
repair_row_put (struct txn *txn, const struct repair_row *row, litedfs_error_t *error)
{
    uint8_t room[12];
    struct buf key = {0};
    struct buf value = {0};

    assert (row->end > row->first && row->end <= REPAIR_END);
    repair_key (room, row->inode, row->first);
    buf_put (&key, room, sizeof room);
    row_begin (&value);
    buf_put_u64 (&value, row->end);
    return row_put (txn, TABLE_REPAIR, &key, &value, error);
}

int
repair_row_del (struct txn *txn, uint64_t inode, uint32_t first, litedfs_error_t *error)
{
    uint8_t room[12];

    return txn_del (txn, TABLE_REPAIR, repair_key (room, inode, first), error);
}

/* ---- damaged ------------------------------------------------------------------------------------- */

static struct slice
damaged_key (uint8_t room[12], uint64_t block, uint32_t node)
{
    key_be64 (room, block);
    key_be32 (room + 8, node);
    return slice_of (room, 12);
}

int
damaged_row_decode (struct slice key, struct slice value, struct damaged_row *out,
                    litedfs_error_t *error)
{
    struct reader at = reader_of (key);
    struct reader reader;

    int rc = row_open (TABLE_DAMAGED, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->block = reader_be64 (&at);
    out->node = reader_be32 (&at);
    out->size = reader_u64 (&reader);
    out->time = reader_u64 (&reader);
    if (!reader_done (&at) || !reader_done (&reader))
        return row_corrupt (TABLE_DAMAGED, key, error);
    return 0;
}

int
damaged_row_get (struct txn *txn, uint64_t block, uint32_t node, struct damaged_row *out,
                 litedfs_error_t *error)
{
    uint8_t room[12];
    struct slice key = damaged_key (room, block, node);
    struct slice value;

    int rc = txn_get (txn, TABLE_DAMAGED, key, &value, error);
    return rc < 0 ? rc : damaged_row_decode (key, value, out, error);
}

int
damaged_row_put (struct txn *txn, const struct damaged_row *row, litedfs_error_t *error)
{
    uint8_t room[12];
    struct buf key = {0};
    struct buf value = {0};

    damaged_key (room, row->block, row->node);
    buf_put (&key, room, sizeof room);
    row_begin (&value);
    buf_put_u64 (&value, row->size);
    buf_put_u64 (&value, row->time);
    return row_put (txn, TABLE_DAMAGED, &key, &value, error);
}

int
damaged_row_del (struct txn *txn, uint64_t block, uint32_t node, litedfs_error_t *error)
{
    uint8_t room[12];

    return txn_del (txn, TABLE_DAMAGED, damaged_key (room, block, node), error);
}
