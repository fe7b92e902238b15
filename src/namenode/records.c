/* SPDX-License-Identifier: MIT */
/*
 * The rows of the tree: meta, dirent, inode, block, owner.  Those of nodes and leases are in
 * records_node.c and records_lease.c.
 *
 * Layouts stand in the put functions, field by field; the decoders read the same in the same order and
 * refuse a row with a byte too few or too many, a count over its bound, a word out of its range.
 */
#include "namenode/records.h"

#include "namenode/row.h"

#include <assert.h>
#include <string.h>

static const struct {
    const char *name;
    uint64_t max;
} meta_keys[META_COUNT] = {
    [META_EPOCH] = {"epoch", BLOCK_EPOCH_MAX},   [META_INODE] = {"inode", UUID_V8_NUMBER_MAX},
    [META_BLOCK] = {"block", BLOCK_COUNTER_MAX}, [META_NODE] = {"node", UINT32_MAX},
    [META_RESTORED] = {"restored", UINT64_MAX},  [META_BALANCE] = {"balance", 1},
};

struct slice
key_be32 (uint8_t room[4], uint32_t number)
{
    for (int i = 0; i < 4; i++)
        room[i] = (uint8_t) (number >> (8 * (3 - i)));
    return slice_of (room, 4);
}

struct slice
key_be64 (uint8_t room[8], uint64_t number)
{
    key_be32 (room, (uint32_t) (number >> 32));
    key_be32 (room + 4, (uint32_t) number);
    return slice_of (room, 8);
}

/* ---- meta ---------------------------------------------------------------------------------------- */

int
meta_get (struct txn *txn, enum meta_key key, uint64_t *out, litedfs_error_t *error)
{
    struct slice name = slice_str (meta_keys[key].name);
    struct slice value;
    struct reader reader;

    int rc = txn_get (txn, TABLE_META, name, &value, error);
    if (rc == LITEDFS_NOT_FOUND) {
        *out = 0;
        return 0;
    }
    if (rc == 0)
        rc = row_open (TABLE_META, name, value, &reader, error);
    if (rc < 0)
        return rc;
    uint64_t number = reader_u64 (&reader);
    if (!reader_done (&reader) || number > meta_keys[key].max)
        return row_corrupt (TABLE_META, name, error);
    *out = number;
    return 0;
}

int
meta_put (struct txn *txn, enum meta_key key, uint64_t value, litedfs_error_t *error)
{
    struct buf name = {0};
    struct buf row = {0};

    assert (value <= meta_keys[key].max);
    buf_put (&name, meta_keys[key].name, strlen (meta_keys[key].name));
    row_begin (&row);
    buf_put_u64 (&row, value);
    return row_put (txn, TABLE_META, &name, &row, error);
}

int
meta_next (struct txn *txn, enum meta_key key, uint64_t *out, litedfs_error_t *error)
{
    uint64_t number;

    int rc = meta_get (txn, key, &number, error);
    if (rc < 0)
        return rc;
    if (number == meta_keys[key].max)
        return err_set (error, LITEDFS_NO_SPACE, "metadata: no %s number is left",
                        meta_keys[key].name);
    rc = meta_put (txn, key, number + 1, error);
    if (rc == 0)
        *out = number + 1;
    return rc;
}

int
meta_next_block (struct txn *txn, uint64_t *out, litedfs_error_t *error)
{
    uint64_t epoch;
    uint64_t counter;

    int rc = meta_get (txn, META_EPOCH, &epoch, error);
    if (rc == 0)
        rc = meta_next (txn, META_BLOCK, &counter, error);
    if (rc == 0)
        *out = block_id ((uint32_t) epoch, counter);
    return rc;
}

int
meta_set_epoch (struct txn *txn, uint32_t epoch, litedfs_error_t *error)
{
    uint64_t now;

    int rc = meta_get (txn, META_EPOCH, &now, error);
    if (rc < 0)
        return rc;
    if (epoch <= now || epoch > BLOCK_EPOCH_MAX)
        return err_set (error, LITEDFS_INVALID, "metadata: epoch %u cannot follow epoch %llu",
                        epoch, (unsigned long long) now);
    rc = meta_put (txn, META_BLOCK, 0, error);
    return rc == 0 ? meta_put (txn, META_EPOCH, epoch, error) : rc;
}

int
meta_get_cluster (struct txn *txn, struct uuid *out, litedfs_error_t *error)
{
    struct slice name = slice_str ("cluster");
    struct slice value;
    struct reader reader;

    int rc = txn_get (txn, TABLE_META, name, &value, error);
    if (rc == 0)
        rc = row_open (TABLE_META, name, value, &reader, error);
    if (rc < 0)
        return rc;
    const uint8_t *bytes = reader_bytes (&reader, sizeof out->bytes);
    if (!bytes || !reader_done (&reader))
        return row_corrupt (TABLE_META, name, error);
    memcpy (out->bytes, bytes, sizeof out->bytes);
    return 0;
}

int
meta_put_cluster (struct txn *txn, const struct uuid *cluster, litedfs_error_t *error)
{
    struct buf name = {0};
    struct buf row = {0};

    buf_put (&name, "cluster", strlen ("cluster"));
    row_begin (&row);
    buf_put (&row, cluster->bytes, sizeof cluster->bytes);
    return row_put (txn, TABLE_META, &name, &row, error);
}

/* ---- dirent -------------------------------------------------------------------------------------- */

void
dirent_row_key (struct buf *out, uint64_t parent, enum kind kind, struct slice name)
{
    buf_put_be64 (out, parent);
    buf_put_u8 (out, kind == KIND_DIRECTORY ? 0 : 1);
    if (name.data)
        buf_put (out, name.data, name.size);
}

int
dirent_row_get (struct txn *txn, uint64_t parent, enum kind kind, struct slice name,
                uint64_t *inode, litedfs_error_t *error)
{
    struct buf key = {0};
    struct slice value;
    struct reader reader;
    int rc;

    dirent_row_key (&key, parent, kind, name);
    if (key.failed)
        rc = err_set (error, LITEDFS_MEMORY, "metadata table[dirent]: out of memory");
    else
        rc = txn_get (txn, TABLE_DIRENT, buf_slice (&key), &value, error);
    if (rc == 0)
        rc = row_open (TABLE_DIRENT, buf_slice (&key), value, &reader, error);
    if (rc == 0) {
        uint64_t number = reader_u64 (&reader);
        if (reader_done (&reader) && number > ROOT_INODE)
            *inode = number;
        else
            rc = row_corrupt (TABLE_DIRENT, buf_slice (&key), error);
    }
    buf_free (&key);
    return rc;
}

int
dirent_row_put (struct txn *txn, uint64_t parent, enum kind kind, struct slice name,
                uint64_t inode, litedfs_error_t *error)
{
    struct buf key = {0};
    struct buf row = {0};

    assert (name.size >= 1 && name.size <= NAME_BYTES_MAX);
    dirent_row_key (&key, parent, kind, name);
    row_begin (&row);
    buf_put_u64 (&row, inode);
    return row_put (txn, TABLE_DIRENT, &key, &row, error);
}

int
dirent_row_del (struct txn *txn, uint64_t parent, enum kind kind, struct slice name,
                litedfs_error_t *error)
{
    struct buf key = {0};

    dirent_row_key (&key, parent, kind, name);
    return row_del (txn, TABLE_DIRENT, &key, error);
}

int
dirent_row_decode (struct slice key, struct slice value, struct dirent_row *out,
                   litedfs_error_t *error)
{
    struct reader at = reader_of (key);
    struct reader reader;

    int rc = row_open (TABLE_DIRENT, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->parent = reader_be64 (&at);
    uint8_t kind = reader_u8 (&at);
    out->kind = kind == 0 ? KIND_DIRECTORY : KIND_FILE;
    out->name_size = reader_left (&at);
    out->inode = reader_u64 (&reader);
    if (at.failed || kind > 1 || out->name_size < 1 || out->name_size > NAME_BYTES_MAX ||
        !reader_done (&reader) || out->inode <= ROOT_INODE)
        return row_corrupt (TABLE_DIRENT, key, error);
    memcpy (out->name, reader_bytes (&at, out->name_size), out->name_size);
    out->name[out->name_size] = '\0';
    return 0;
}

/* ---- inode --------------------------------------------------------------------------------------- */

struct slice
inode_row_name (const struct inode_row *row)
{
    return slice_of (row->name, row->name_size);
}

void
inode_row_set_name (struct inode_row *row, struct slice name)
{
    assert (name.size <= NAME_BYTES_MAX);
    memcpy (row->name, name.data, name.size);
    row->name[name.size] = '\0';
    row->name_size = name.size;
}

void
inode_row_id (const struct inode_row *row, struct uuid *out)
{
    uuid_v8 (out, row->number, row->bits);
}

uint64_t
block_count_of (uint64_t size, uint64_t block_size)
{
    return size / block_size + (size % block_size != 0);
}

static void
read_file_part (struct reader *reader, struct inode_row *out)
{
    out->bits = reader_u64 (reader);
    out->size = reader_u64 (reader);
    out->replica = reader_u32 (reader);
    out->replica_min = reader_u32 (reader);
    out->replica_max = reader_u32 (reader);
    out->block_size = reader_u64 (reader);
    out->atime = reader_u64 (reader);
    out->expires = reader_u64 (reader);
    out->crc = reader_u32 (reader);
    if (out->block_size == 0)
        reader->failed = true;
}

static void
read_directory_part (struct reader *reader, struct inode_row *out)
{
    out->child_directories = reader_u64 (reader);
    out->child_files = reader_u64 (reader);
    out->directories = reader_u64 (reader);
    out->files = reader_u64 (reader);
    out->bytes = reader_u64 (reader);
}

int
inode_row_get (struct txn *txn, uint64_t number, struct inode_row *out, litedfs_error_t *error)
{
    uint8_t room[8];
    struct slice key = key_be64 (room, number);
    struct slice value;
    struct reader reader;

    int rc = txn_get (txn, TABLE_INODE, key, &value, error);
    if (rc == 0)
        rc = row_open (TABLE_INODE, key, value, &reader, error);
    if (rc < 0)
        return rc;
    memset (out, 0, sizeof *out);
    uint8_t kind = reader_u8 (&reader);
    out->number = number;
    out->kind = kind == 0 ? KIND_DIRECTORY : KIND_FILE;
    out->flags = reader_u32 (&reader);
    out->parent = reader_u64 (&reader);
    out->ctime = reader_u64 (&reader);
    out->mtime = reader_u64 (&reader);
    if (kind == 0)
        read_directory_part (&reader, out);
    else
        read_file_part (&reader, out);
    struct slice name = reader_str (&reader);
    if (!reader_done (&reader) || kind > 1 || name.size > NAME_BYTES_MAX ||
        (name.size == 0) != (number == ROOT_INODE))
        return row_corrupt (TABLE_INODE, key, error);
    if (name.size > 0)
        inode_row_set_name (out, name);
    return 0;
}

int
inode_row_put (struct txn *txn, const struct inode_row *row, litedfs_error_t *error)
{
    struct buf key = {0};
    struct buf value = {0};

    buf_put_be64 (&key, row->number);
    row_begin (&value);
    buf_put_u8 (&value, row->kind == KIND_DIRECTORY ? 0 : 1);
    buf_put_u32 (&value, row->flags);
    buf_put_u64 (&value, row->parent);
    buf_put_u64 (&value, row->ctime);
    buf_put_u64 (&value, row->mtime);
    if (row->kind == KIND_DIRECTORY) {
        buf_put_u64 (&value, row->child_directories);
        buf_put_u64 (&value, row->child_files);
        buf_put_u64 (&value, row->directories);
        buf_put_u64 (&value, row->files);
        buf_put_u64 (&value, row->bytes);
    } else {
        buf_put_u64 (&value, row->bits);
        buf_put_u64 (&value, row->size);
        buf_put_u32 (&value, row->replica);
        buf_put_u32 (&value, row->replica_min);
        buf_put_u32 (&value, row->replica_max);
        buf_put_u64 (&value, row->block_size);
        buf_put_u64 (&value, row->atime);
        buf_put_u64 (&value, row->expires);
        buf_put_u32 (&value, row->crc);
    }
    buf_put_str (&value, inode_row_name (row));
    return row_put (txn, TABLE_INODE, &key, &value, error);
}

int
inode_row_del (struct txn *txn, uint64_t number, litedfs_error_t *error)
{
    struct buf key = {0};

    buf_put_be64 (&key, number);
    return row_del (txn, TABLE_INODE, &key, error);
}

/* ---- block and owner ----------------------------------------------------------------------------- */

static void
put_block_key (struct buf *key, uint64_t inode, uint32_t index)
{
    buf_put_be64 (key, inode);
    buf_put_be32 (key, index);
}

int
block_row_decode (struct slice key, struct slice value, struct block_row *out,
                  litedfs_error_t *error)
{
    struct reader at = reader_of (key);
    struct reader reader;

    int rc = row_open (TABLE_BLOCK, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->inode = reader_be64 (&at);
    out->index = reader_be32 (&at);
    uint8_t state = reader_u8 (&reader);
    out->state = state == 0 ? BLOCK_ALLOCATED : BLOCK_FINISHED;
    out->block = reader_u64 (&reader);
    out->size = reader_u64 (&reader);
    out->crc = reader_u32 (&reader);
    out->nodes_count = reader_u8 (&reader);
    if (out->nodes_count > ROW_NODES_MAX)
        return row_corrupt (TABLE_BLOCK, key, error);
    for (size_t i = 0; i < out->nodes_count; i++)
        out->nodes[i] = reader_u32 (&reader);
    if (!reader_done (&at) || !reader_done (&reader) || state > 1 || out->block == 0)
        return row_corrupt (TABLE_BLOCK, key, error);
    return 0;
}

int
block_row_get (struct txn *txn, uint64_t inode, uint32_t index, struct block_row *out,
               litedfs_error_t *error)
{
    uint8_t key[12];
    struct slice value;

    key_be64 (key, inode);
    key_be32 (key + 8, index);
    int rc = txn_get (txn, TABLE_BLOCK, slice_of (key, sizeof key), &value, error);
    return rc < 0 ? rc : block_row_decode (slice_of (key, sizeof key), value, out, error);
}

int
block_row_put (struct txn *txn, const struct block_row *row, litedfs_error_t *error)
{
    struct buf key = {0};
    struct buf value = {0};

    assert (row->block != 0 && row->nodes_count <= ROW_NODES_MAX);
    put_block_key (&key, row->inode, row->index);
    row_begin (&value);
    buf_put_u8 (&value, row->state == BLOCK_ALLOCATED ? 0 : 1);
    buf_put_u64 (&value, row->block);
    buf_put_u64 (&value, row->size);
    buf_put_u32 (&value, row->crc);
    buf_put_u8 (&value, (uint8_t) row->nodes_count);
    for (size_t i = 0; i < row->nodes_count; i++)
        buf_put_u32 (&value, row->nodes[i]);
    return row_put (txn, TABLE_BLOCK, &key, &value, error);
}

int
block_row_del (struct txn *txn, uint64_t inode, uint32_t index, litedfs_error_t *error)
{
    struct buf key = {0};

    put_block_key (&key, inode, index);
    return row_del (txn, TABLE_BLOCK, &key, error);
}

bool
block_row_has_node (const struct block_row *row, uint32_t node)
{
    for (size_t i = 0; i < row->nodes_count; i++)
        if (row->nodes[i] == node)
            return true;
    return false;
}

int
owner_row_get (struct txn *txn, uint64_t block, struct owner_row *out, litedfs_error_t *error)
{
    uint8_t room[8];
    struct slice key = key_be64 (room, block);
    struct slice value;
    struct reader reader;

    int rc = txn_get (txn, TABLE_OWNER, key, &value, error);
    if (rc == 0)
        rc = row_open (TABLE_OWNER, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->block = block;
    out->inode = reader_u64 (&reader);
    out->index = reader_u32 (&reader);
    return reader_done (&reader) ? 0 : row_corrupt (TABLE_OWNER, key, error);
}

int
owner_row_put (struct txn *txn, const struct owner_row *row, litedfs_error_t *error)
{
    struct buf key = {0};
    struct buf value = {0};

    buf_put_be64 (&key, row->block);
    row_begin (&value);
    buf_put_u64 (&value, row->inode);
    buf_put_u32 (&value, row->index);
    return row_put (txn, TABLE_OWNER, &key, &value, error);
}

int
owner_row_del (struct txn *txn, uint64_t block, litedfs_error_t *error)
{
    struct buf key = {0};

    buf_put_be64 (&key, block);
    return row_del (txn, TABLE_OWNER, &key, error);
}
