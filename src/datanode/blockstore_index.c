/* SPDX-License-Identifier: MIT */
/*
 * The block store's tables in LMDB: rows and transactions.
 *
 * LMDB never overwrites live pages, so a killed process leaves the last commit and nothing else; what its
 * pages say is not checked by it, so each value carries a CRC.
 *
 * A commit that fails with EIO may or may not be on disk: nothing more is written then (failed is set),
 * and the next start sees what there is.  One that fails for want of space has changed nothing.
 */

#include "datanode/blockstore_index_impl.h"

#include "base/err.h"
#include "base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define BLOCK_SIZE 76
#define CHANGE_SIZE 28
#define TOMBSTONE_SIZE 20
#define STATE_SIZE 68
#define LAYOUT_SIZE 12

int
index_error (struct blockstore_index *self, int rc, litedfs_error_t *error)
{
    switch (rc) {
    case MDB_MAP_FULL:
        return err_set (error, LITEDFS_NO_SPACE, "index: its address space is used up");
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return err_set (error, LITEDFS_CORRUPT, "index: damaged: %s", mdb_strerror (rc));
    case MDB_PANIC:
        atomic_store (&self->failed, true);
        return err_set (error, LITEDFS_IO, "index: a write failed earlier; start again");
    default:
        if (rc > 0)
            return err_set_errno (error, LITEDFS_IO, rc, "index");
        return err_set (error, LITEDFS_IO, "index: %s", mdb_strerror (rc));
    }
}

/* ---- rows --------------------------------------------------------------------------------------- */

void
index_row_number (struct index_row *row, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        row->bytes[row->size++] = (uint8_t) (value >> 8 * i);
}

static void
put_bytes (struct index_row *row, const void *data, size_t size)
{
    memcpy (row->bytes + row->size, data, size);
    row->size += size;
}

static uint32_t
check_of (const MDB_val *key, const void *data, size_t size)
{
    return crc32_of (crc32_of (0, key->mv_data, key->mv_size), data, size);
}

MDB_val
index_key (uint64_t number, uint8_t room[8])
{
    for (int i = 0; i < 8; i++)
        room[i] = (uint8_t) (number >> (56 - 8 * i));
    return (MDB_val){8, room};
}

uint64_t
index_key_number (const MDB_val *key)
{
    struct reader in = reader_of (slice_of (key->mv_data, key->mv_size));
    return reader_be64 (&in);
}

int
index_row_put (struct index_txn *txn, MDB_dbi table, MDB_val key, struct index_row *row,
               litedfs_error_t *error)
{
    index_row_number (row, check_of (&key, row->bytes, row->size), 4);
    MDB_val value = {row->size, row->bytes};
    int rc = mdb_put (txn->handle, table, &key, &value, 0);
    return rc == 0 ? 0 : index_error (txn->index, rc, error);
}

int
index_row_open (const MDB_val *key, const MDB_val *value, size_t size, struct reader *out,
                litedfs_error_t *error)
{
    if (value->mv_size != size)
        return err_set (error, LITEDFS_CORRUPT,
                        "index: a row has %zu bytes and should have %zu", value->mv_size, size);
    const uint8_t *data = value->mv_data;
    struct reader end = reader_of (slice_of (data + size - 4, 4));
    if (reader_u32 (&end) != check_of (key, data, size - 4))
        return err_set (error, LITEDFS_CORRUPT, "index: a row does not match its check");
    *out = reader_of (slice_of (data, size - 4));
    return 0;
}

int
index_row_get (struct index_txn *txn, MDB_dbi table, MDB_val key, size_t size,
               struct reader *out, litedfs_error_t *error)
{
    MDB_val value;
    int rc = mdb_get (txn->handle, table, &key, &value);
    if (rc == MDB_NOTFOUND)
        return err_set (error, LITEDFS_NOT_FOUND, "index: no such row");
    if (rc != 0)
        return index_error (txn->index, rc, error);
    return index_row_open (&key, &value, size, out, error);
}

int
index_row_del (struct index_txn *txn, MDB_dbi table, uint64_t number, litedfs_error_t *error)
{
    uint8_t room[8];
    MDB_val key = index_key (number, room);
    int rc = mdb_del (txn->handle, table, &key, NULL);
    return rc == 0 || rc == MDB_NOTFOUND ? 0 : index_error (txn->index, rc, error);
}

static int
put_block (struct index_txn *txn, const struct blockstore_block *block, litedfs_error_t *error)
{
    uint8_t room[8];
    struct index_row row = {.size = 0};
    index_row_number (&row, 0, 4); // kind and what keeps the rest aligned
    index_row_number (&row, block->crc, 4);
    index_row_number (&row, block->size, 8);
    index_row_number (&row, block->index, 8);
    index_row_number (&row, (uint64_t) block->ctime_ms, 8);
    index_row_number (&row, block->seq, 8);
    put_bytes (&row, block->file.bytes, sizeof block->file.bytes);
    index_row_number (&row, 0, 8);
    index_row_number (&row, 0, 8);
    return index_row_put (txn, txn->index->block, index_key (block->block, room), &row, error);
}

static int
get_block (const MDB_val *key, const MDB_val *value, struct blockstore_block *out,
           litedfs_error_t *error)
{
    struct reader in;
    int rc = index_row_open (key, value, BLOCK_SIZE, &in, error);
    if (rc < 0)
        return rc;
    if (reader_u32 (&in) != 0)
        return err_set (error, LITEDFS_LAYOUT,
                        "index: a block is in a pack; a newer program wrote it");
    out->block = index_key_number (key);
    out->crc = reader_u32 (&in);
    out->size = reader_u64 (&in);
    out->index = reader_u64 (&in);
    out->ctime_ms = (int64_t) reader_u64 (&in);
    out->seq = reader_u64 (&in);
    memcpy (out->file.bytes, reader_bytes (&in, sizeof out->file.bytes),
            sizeof out->file.bytes);
    return 0;
}

int
index_put_change (struct index_txn *txn, enum change_kind kind, uint64_t block, uint64_t size,
                  uint32_t crc, bool beside, litedfs_error_t *error)
{
    uint8_t room[8];
    struct index_row row = {.size = 0};
    index_row_number (&row, block, 8);
    index_row_number (&row, size, 8);
    index_row_number (&row, crc, 4);
    index_row_number (&row, kind, 1);
    index_row_number (&row, beside, 3);
    return index_row_put (txn, txn->index->change, index_key (++txn->state.seq, room), &row,
                          error);
}

static int
get_change (const MDB_val *key, const MDB_val *value, struct blockstore_change *out,
            litedfs_error_t *error)
{
    struct reader in;
    int rc = index_row_open (key, value, CHANGE_SIZE, &in, error);
    if (rc < 0)
        return rc;
    out->seq = index_key_number (key);
    out->block = reader_u64 (&in);
    out->size = reader_u64 (&in);
    out->crc = reader_u32 (&in);
    uint8_t kind = reader_u8 (&in);
    out->beside = reader_u8 (&in) != 0;
    if (kind > CHANGE_DAMAGED)
        return err_set (error, LITEDFS_LAYOUT,
                        "index: a change is of a kind that a newer program made");
    out->kind = (enum change_kind) kind;
    return 0;
}

static MDB_val
name_key (const char *name)
{
    return (MDB_val){strlen (name), (void *) name};
}

static int
put_state (struct index_txn *txn, litedfs_error_t *error)
{
    const struct index_state *state = &txn->state;
    struct index_row row = {.size = 0};
    index_row_number (&row, state->blocks, 8);
    index_row_number (&row, state->bytes, 8);
    index_row_number (&row, state->seq, 8);
    index_row_number (&row, state->confirmed, 8);
    index_row_number (&row, state->seen_epoch, 8);
    index_row_number (&row, state->seen_transaction, 8);
    index_row_number (&row, state->order_epoch, 8);
    index_row_number (&row, state->order_number, 8);
    return index_row_put (txn, txn->index->meta, name_key ("state"), &row, error);
}

static int
get_state (struct index_txn *txn, litedfs_error_t *error)
{
    struct reader in;
    int rc = index_row_get (txn, txn->index->meta, name_key ("state"), STATE_SIZE, &in, error);
    if (rc < 0)
        return rc;
    txn->state.blocks = reader_u64 (&in);
    txn->state.bytes = reader_u64 (&in);
    txn->state.seq = reader_u64 (&in);
    txn->state.confirmed = reader_u64 (&in);
    txn->state.seen_epoch = reader_u64 (&in);
    txn->state.seen_transaction = reader_u64 (&in);
    txn->state.order_epoch = reader_u64 (&in);
    txn->state.order_number = reader_u64 (&in);
    return 0;
}

int
index_layout (struct index_txn *txn, uint64_t *out, litedfs_error_t *error)
{
    struct reader in;
    int rc =
        index_row_get (txn, txn->index->meta, name_key ("layout"), LAYOUT_SIZE, &in, error);
    if (rc == 0)
        *out = reader_u64 (&in);
    return rc;
}

int
index_put_layout (struct index_txn *txn, litedfs_error_t *error)
{
    struct index_row row = {.size = 0};
    index_row_number (&row, INDEX_LAYOUT, 8);
    return index_row_put (txn, txn->index->meta, name_key ("layout"), &row, error);
}

/* ---- transactions ------------------------------------------------------------------------------- */

int
index_begin (struct blockstore_index *self, bool writes, struct index_txn *txn,
             litedfs_error_t *error)
{
    *txn = (struct index_txn){.index = self, .writes = writes};
    if (writes)
        index_make_room (self);
    if (writes && atomic_load (&self->failed))
        return index_error (self, MDB_PANIC, error);
    MDB_txn *handle = NULL;
    pthread_rwlock_rdlock (&self->map);
    int rc = mdb_txn_begin (self->env, NULL, writes ? 0 : MDB_RDONLY, &handle);
    if (rc != 0) {
        pthread_rwlock_unlock (&self->map);
        return index_error (self, rc, error);
    }
    txn->handle = handle;
    if (!writes)
        return 0;
    rc = get_state (txn, error);
    if (rc == LITEDFS_NOT_FOUND) // a new index
        rc = 0;
    if (rc < 0)
        index_abort (txn);
    return rc;
}

int
index_commit (struct index_txn *txn, litedfs_error_t *error)
{
    int rc = put_state (txn, error);
    if (rc == 0 && FAULT_ERROR ("blockstore_commit_error"))
        rc = err_set_errno (error, LITEDFS_IO, EIO, "index: commit");
    if (rc < 0) {
        index_abort (txn);
        return rc;
    }
    rc = mdb_txn_commit (txn->handle);
    txn->handle = NULL;
    pthread_rwlock_unlock (&txn->index->map);
    if (rc == 0) {
        index_publish_digests (txn->index, txn->state.seq);
        return 0;
    }
    index_restore_digests (txn->index);
    if (rc != ENOSPC && rc != ENOMEM && rc != MDB_MAP_FULL)
        atomic_store (&txn->index->failed, true);
    rc = index_error (txn->index, rc, error);
    err_prefix (error, "commit");
    return rc;
}

void
index_abort (struct index_txn *txn)
{
    if (!txn->handle)
        return;
    mdb_txn_abort (txn->handle);
    txn->handle = NULL;
    pthread_rwlock_unlock (&txn->index->map);
    if (txn->writes)
        index_restore_digests (txn->index);
}

int
index_block (struct index_txn *txn, uint64_t block, struct blockstore_block *out,
             litedfs_error_t *error)
{
    uint8_t room[8];
    MDB_val key = index_key (block, room);
    MDB_val value;
    int rc = mdb_get (txn->handle, txn->index->block, &key, &value);
    if (rc == MDB_NOTFOUND)
        return err_set (error, LITEDFS_NOT_FOUND, "block[%016" PRIx64 "]: not here", block);
    if (rc != 0)
        return index_error (txn->index, rc, error);
    return get_block (&key, &value, out, error);
}

int
index_add (struct index_txn *txn, struct blockstore_block *row, litedfs_error_t *error)
{
    struct blockstore_block there;
    int rc = index_block (txn, row->block, &there, error);
    if (rc == 0)
        return err_set (error, LITEDFS_EXISTS, "block[%016" PRIx64 "]: it is finished here",
                        row->block);
    if (rc != LITEDFS_NOT_FOUND)
        return rc;
    rc = index_undamage (txn, row->block, error);
    if (rc == 0 || rc == LITEDFS_NOT_FOUND)
        rc =
            index_put_change (txn, CHANGE_ADDED, row->block, row->size, row->crc, false, error);
    row->seq = txn->state.seq;
    if (rc == 0)
        rc = put_block (txn, row, error);
    txn->state.blocks++;
    txn->state.bytes += row->size;
    index_count_block (txn->index, row->block, 1);
    return rc;
}

int
index_take_out (struct index_txn *txn, uint64_t block, litedfs_error_t *error)
{
    struct blockstore_block row;
    int rc = index_block (txn, block, &row, error);
    if (rc == 0)
        rc = index_row_del (txn, txn->index->block, block, error);
    if (rc < 0)
        return rc;
    txn->state.blocks--;
    txn->state.bytes -= row.size;
    index_count_block (txn->index, block, -1);
    return 0;
}

int
index_remove (struct index_txn *txn, uint64_t block, litedfs_error_t *error)
{
    int rc = index_take_out (txn, block, error);
    bool beside = rc == LITEDFS_NOT_FOUND;
    if (beside)
        rc = index_undamage (txn, block, error);
    return rc == 0 ? index_put_change (txn, CHANGE_REMOVED, block, 0, 0, beside, error) : rc;
}

int
index_buried (struct index_txn *txn, uint64_t block, litedfs_error_t *error)
{
    uint8_t room[8];
    struct reader in;
    return index_row_get (txn, txn->index->tombstone, index_key (block, room), TOMBSTONE_SIZE,
                          &in, error);
}

int
index_bury (struct index_txn *txn, uint64_t block, int64_t until_ms, litedfs_error_t *error)
{
    uint8_t room[8];
    struct index_row row = {.size = 0};
    index_row_number (&row, (uint64_t) until_ms, 8);
    index_row_number (&row, txn->state.seq, 8);
    return index_row_put (txn, txn->index->tombstone, index_key (block, room), &row, error);
}

int
index_unbury (struct index_txn *txn, uint64_t block, litedfs_error_t *error)
{
    return index_row_del (txn, txn->index->tombstone, block, error);
}

/* ---- ranges ------------------------------------------------------------------------------------- */

int
index_walk (struct index_txn *txn, MDB_dbi table, uint64_t from, index_take_fn *take, void *arg,
            litedfs_error_t *error)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open (txn->handle, table, &cursor);
    if (rc != 0)
        return index_error (txn->index, rc, error);

    uint8_t room[8];
    MDB_val key = index_key (from, room);
    MDB_val value;
    int taken = 0;
    rc = mdb_cursor_get (cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && taken == 0) {
        taken = take (&key, &value, arg, error);
        if (taken == 0)
            rc = mdb_cursor_get (cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close (cursor);
    if (taken < 0)
        return taken;
    return rc == 0 || rc == MDB_NOTFOUND ? 0 : index_error (txn->index, rc, error);
}

static int
take_block (const MDB_val *key, const MDB_val *value, void *arg, litedfs_error_t *error)
{
    int rc = get_block (key, value, arg, error);
    return rc == 0 ? 1 : rc;
}

int
index_next_block (struct index_txn *txn, uint64_t from, struct blockstore_block *out,
                  litedfs_error_t *error)
{
    out->block = 0;
    int rc = index_walk (txn, txn->index->block, from, take_block, out, error);
    return rc == 0 && out->block == 0 ? LITEDFS_NOT_FOUND : rc;
}

struct tombstone_list {
    struct index_tombstone *out;
    size_t count;
    size_t max;
};

static int
take_tombstone (const MDB_val *key, const MDB_val *value, void *arg, litedfs_error_t *error)
{
    struct tombstone_list *list = arg;
    struct reader in;
    if (list->count == list->max)
        return 1;
    int rc = index_row_open (key, value, TOMBSTONE_SIZE, &in, error);
    if (rc < 0)
        return rc;
    struct index_tombstone *one = &list->out[list->count++];
    one->block = index_key_number (key);
    one->until_ms = (int64_t) reader_u64 (&in);
    return 0;
}

int
index_tombstones (struct index_txn *txn, uint64_t from, size_t max, struct index_tombstone *out,
                  size_t *out_count, litedfs_error_t *error)
{
    struct tombstone_list list = {out, 0, max};
    int rc = index_walk (txn, txn->index->tombstone, from, take_tombstone, &list, error);
    *out_count = rc == 0 ? list.count : 0;
    return rc;
}

struct change_list {
    struct blockstore_change *out;
    size_t count;
    size_t max;
};

static int
take_change (const MDB_val *key, const MDB_val *value, void *arg, litedfs_error_t *error)
{
    struct change_list *list = arg;
    if (list->count == list->max)
        return 1;
    int rc = get_change (key, value, &list->out[list->count], error);
    if (rc == 0)
        list->count++;
    return rc;
}

int
index_changes (struct index_txn *txn, uint64_t after, size_t max, struct blockstore_change *out,
               size_t *out_count, litedfs_error_t *error)
{
    struct change_list list = {out, 0, max};
    int rc = 0;
    if (after < UINT64_MAX)
        rc = index_walk (txn, txn->index->change, after + 1, take_change, &list, error);
    *out_count = rc == 0 ? list.count : 0;
    return rc;
}

int
index_confirm (struct index_txn *txn, uint64_t seq, litedfs_error_t *error)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open (txn->handle, txn->index->change, &cursor);
    if (rc != 0)
        return index_error (txn->index, rc, error);
    MDB_val key;
    MDB_val value;
    while ((rc = mdb_cursor_get (cursor, &key, &value, MDB_FIRST)) == 0 &&
           index_key_number (&key) <= seq && (rc = mdb_cursor_del (cursor, 0)) == 0)
        ;
    mdb_cursor_close (cursor);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return index_error (txn->index, rc, error);
    txn->state.confirmed = seq;
    return 0;
}

int
index_resume (struct index_txn *txn, uint64_t above, litedfs_error_t *error)
{
    int rc = mdb_drop (txn->handle, txn->index->change, 0);
    if (rc != 0)
        return index_error (txn->index, rc, error);
    if (txn->state.seq < above)
        txn->state.seq = above;
    txn->state.confirmed = txn->state.seq;
    return index_renumber_damaged (txn, error);
}

struct id_list {
    uint64_t *out;
    size_t count;
    size_t max;
};

static int
take_id (const MDB_val *key, const MDB_val *value, void *arg, litedfs_error_t *error)
{
    struct id_list *list = arg;
    (void) value;
    (void) error;
    if (list->count == list->max)
        return 1;
    list->out[list->count++] = index_key_number (key);
    return 0;
}

int
index_ids (struct index_txn *txn, uint64_t from, size_t max, uint64_t *out, size_t *out_count,
           litedfs_error_t *error)
{
    struct id_list list = {out, 0, max};
    int rc = index_walk (txn, txn->index->block, from, take_id, &list, error);
    *out_count = rc == 0 ? list.count : 0;
    return rc;
}

int
index_seq (struct index_txn *txn, uint64_t *out, litedfs_error_t *error)
{
    int rc = txn->writes ? 0 : get_state (txn, error);
    *out = txn->state.seq;
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}
