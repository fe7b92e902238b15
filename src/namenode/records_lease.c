/* SPDX-License-Identifier: MIT */
/*
 * The rows of leases and locks.  A lease's row has everything that its file needs at commit, because
 * the file has no inode row before.  A lock's row is the other way to it: (parent, name) -> token.
 */
#include "namenode/records.h"

#include "namenode/row.h"

#include <assert.h>
#include <string.h>

struct slice
lease_row_name (const struct lease_row *row)
{
    return slice_of (row->name, row->name_size);
}

void
lease_row_id (const struct lease_row *row, struct uuid *out)
{
    uuid_v8 (out, row->inode, row->bits);
}

static void
read_suspects (struct reader *reader, struct lease_row *out)
{
    out->suspects_count = reader_u8 (reader);
    if (out->suspects_count > ROW_NODES_MAX) {
        out->suspects_count = 0;
        reader->failed = true;
    }
    for (size_t i = 0; i < out->suspects_count; i++)
        out->suspects[i] = reader_u32 (reader);
}

int
lease_row_decode (struct slice key, struct slice value, struct lease_row *out,
                  litedfs_error_t *error)
{
    struct reader reader;

    int rc = row_open (TABLE_LEASE, key, value, &reader, error);
    if (rc < 0)
        return rc;
    memset (out, 0, sizeof *out);
    out->parent = reader_u64 (&reader);
    out->inode = reader_u64 (&reader);
    out->bits = reader_u64 (&reader);
    out->size = reader_u64 (&reader);
    out->replica = reader_u32 (&reader);
    out->block_size = reader_u64 (&reader);
    uint8_t replace = reader_u8 (&reader);
    out->ttl = reader_u32 (&reader);
    out->time = reader_u64 (&reader);
    read_suspects (&reader, out);
    struct slice name = reader_str (&reader);
    if (!reader_done (&reader) || key.size != TOKEN_SIZE || replace > 1 || name.size < 1 ||
        name.size > NAME_BYTES_MAX || out->block_size == 0 || out->inode <= ROOT_INODE)
        return row_corrupt (TABLE_LEASE, key, error);
    out->replace = replace;
    out->name_size = name.size;
    memcpy (out->name, name.data, name.size);
    memcpy (out->token, key.data, TOKEN_SIZE);
    return 0;
}

int
lease_row_get (struct txn *txn, const uint8_t token[TOKEN_SIZE], struct lease_row *out,
               litedfs_error_t *error)
{
    struct slice key = slice_of (token, TOKEN_SIZE);
    struct slice value;

    int rc = txn_get (txn, TABLE_LEASE, key, &value, error);
    return rc < 0 ? rc : lease_row_decode (key, value, out, error);
}

int
lease_row_put (struct txn *txn, const struct lease_row *row, litedfs_error_t *error)
{
    struct buf key = {0};
    struct buf value = {0};

    assert (row->suspects_count <= ROW_NODES_MAX && row->block_size > 0);
    buf_put (&key, row->token, TOKEN_SIZE);
    row_begin (&value);
    buf_put_u64 (&value, row->parent);
    buf_put_u64 (&value, row->inode);
    buf_put_u64 (&value, row->bits);
    buf_put_u64 (&value, row->size);
    buf_put_u32 (&value, row->replica);
    buf_put_u64 (&value, row->block_size);
    buf_put_u8 (&value, row->replace);
    buf_put_u32 (&value, row->ttl);
    buf_put_u64 (&value, row->time);
    buf_put_u8 (&value, (uint8_t) row->suspects_count);
    for (size_t i = 0; i < row->suspects_count; i++)
        buf_put_u32 (&value, row->suspects[i]);
    buf_put_str (&value, lease_row_name (row));
    return row_put (txn, TABLE_LEASE, &key, &value, error);
}

int
lease_row_del (struct txn *txn, const uint8_t token[TOKEN_SIZE], litedfs_error_t *error)
{
    return txn_del (txn, TABLE_LEASE, slice_of (token, TOKEN_SIZE), error);
}

static struct slice
lock_key (uint8_t room[8 + NAME_BYTES_MAX], uint64_t parent, struct slice name)
{
    assert (name.size >= 1 && name.size <= NAME_BYTES_MAX);
    key_be64 (room, parent);
    memcpy (room + 8, name.data, name.size);
    return slice_of (room, 8 + name.size);
}

int
lock_row_decode (struct slice key, struct slice value, uint8_t token[TOKEN_SIZE],
                 litedfs_error_t *error)
{
    struct reader reader;

    int rc = row_open (TABLE_LOCK, key, value, &reader, error);
    if (rc < 0)
        return rc;
    const uint8_t *bytes = reader_bytes (&reader, TOKEN_SIZE);
    if (!bytes || !reader_done (&reader))
        return row_corrupt (TABLE_LOCK, key, error);
    memcpy (token, bytes, TOKEN_SIZE);
    return 0;
}

int
lock_row_get (struct txn *txn, uint64_t parent, struct slice name, uint8_t token[TOKEN_SIZE],
              litedfs_error_t *error)
{
    uint8_t room[8 + NAME_BYTES_MAX];
    struct slice key = lock_key (room, parent, name);
    struct slice value;

    int rc = txn_get (txn, TABLE_LOCK, key, &value, error);
    return rc < 0 ? rc : lock_row_decode (key, value, token, error);
}

int
lock_row_put (struct txn *txn, uint64_t parent, struct slice name,
              const uint8_t token[TOKEN_SIZE], litedfs_error_t *error)
{
    uint8_t room[8 + NAME_BYTES_MAX];
    struct slice key = lock_key (room, parent, name);
    uint8_t value[1 + TOKEN_SIZE] = {ROW_VERSION};

    memcpy (value + 1, token, TOKEN_SIZE);
    return txn_put (txn, TABLE_LOCK, key, slice_of (value, sizeof value), error);
}

int
lock_row_del (struct txn *txn, uint64_t parent, struct slice name, litedfs_error_t *error)
{
    uint8_t room[8 + NAME_BYTES_MAX];

    return txn_del (txn, TABLE_LOCK, lock_key (room, parent, name), error);
}
