/* SPDX-License-Identifier: MIT */
/*
 * Transactions, rows and cursors of the metastore.
 *
 * A value on disk is the CRC-32 of (table number, key, value) and then the value.  A cursor in a write
 * transaction remembers the key that it gave last and finds its place again after rows were written; that
 * LMDB moves its cursors along with a write is not relied upon.
 */
#include "namenode/metastore_lmdb.h"

#include "base/crc.h"
#include "base/fault.h"
#include "namenode/row.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- transactions -------------------------------------------------------------------------------- */

void
metastore_leave (struct metastore *self)
{
    pthread_mutex_lock (&self->mutex);
    self->readers--;
    if (self->readers == 0)
        pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->mutex);
}

void
metastore_enter (struct metastore *self)
{
    pthread_mutex_lock (&self->mutex);
    while (self->growing)
        pthread_cond_wait (&self->changed, &self->mutex);
    self->readers++;
    pthread_mutex_unlock (&self->mutex);
}

void
txn_release (struct txn **txn)
{
    struct txn *self = *txn;

    if (self->state)
        self->state->destroy (self->state);
    if (!self->write)
        metastore_leave (self->store);
    free (self);
    *txn = NULL;
}

int
txn_begin_read (struct metastore *self, struct txn **out, litedfs_error_t *error)
{
    struct txn *txn = calloc (1, sizeof *txn);

    if (!txn)
        return err_set (error, LITEDFS_MEMORY, "metadata[%s]: out of memory", self->directory);
    txn->store = self;
    metastore_enter (self);
    int rc;
    do
        rc = mdb_txn_begin (self->env, NULL, MDB_RDONLY, &txn->handle);
    while (metastore_follow_map (self, rc));
    if (rc) {
        txn_release (&txn);
        return metastore_error (self, rc, "begin a snapshot", error);
    }
    *out = txn;
    return 0;
}

int
txn_begin_write (struct metastore *self, const struct txn_frame *frame, struct txn **out,
                 litedfs_error_t *error)
{
    struct txn *txn = calloc (1, sizeof *txn);

    if (!txn)
        return err_set (error, LITEDFS_MEMORY, "metadata[%s]: out of memory", self->directory);
    txn->store = self;
    txn->write = true;
    txn->frame = *frame;
    int rc = mdb_txn_begin (self->env, NULL, 0, &txn->handle);
    if (rc) {
        txn_release (&txn);
        return metastore_error (self, rc, "begin a transaction", error);
    }
    *out = txn;
    return 0;
}

/* Show how much there is, as of this transaction, which is about to be committed. */
static void
count_rows (const struct txn *self)
{
    struct metastore *store = self->store;
    MDB_stat stat = {0};
    MDB_envinfo info;

    if (!store->metrics)
        return;
    for (size_t table = 0; table < TABLE_COUNT; table++)
        if (mdb_stat (self->handle, store->tables[table], &stat) == 0)
            metric_set (store->metrics, METRIC_STORE_ROWS, table, stat.ms_entries);
    if (mdb_env_info (store->env, &info) < 0)
        return;
    metric_set (store->metrics, METRIC_STORE_USED, 0,
                ((uint64_t) info.me_last_pgno + 1) * stat.ms_psize);
    metric_set (store->metrics, METRIC_STORE_MAP, 0, info.me_mapsize);
}

void
metastore_set_metrics (struct metastore *self, struct metrics *metrics)
{
    struct txn *txn;

    self->metrics = metrics;
    if (metrics && txn_begin_read (self, &txn, NULL) == 0) {
        count_rows (txn);
        txn_abort (&txn);
    }
}

int
txn_commit (struct txn **txn, litedfs_error_t *error)
{
    struct txn *self = *txn;
    struct metastore *store = self->store;

    assert (self->write);
    if (self->state) {
        int rc = self->state->flush (self, self->state, error);
        if (rc < 0) {
            txn_abort (txn);
            return rc;
        }
    }
    FAULT ("metastore_before_commit");
    uint64_t number = txn_number (self);
    bool written = self->written > 0;
    count_rows (self);
    int64_t began_us = metric_now_us (store->metrics);
    int rc = FAULT_ERROR ("metastore_commit") ? EIO : 0;
    if (rc)
        mdb_txn_abort (self->handle);
    else
        rc = mdb_txn_commit (self->handle);
    txn_release (txn);
    if (rc)
        return metastore_error (store, rc, "commit", error);
    FAULT ("metastore_after_commit");
    if (written) {
        metric_observe (store->metrics, METRIC_COMMIT_DURATION, 0,
                        metric_now_us (store->metrics) - began_us);
        pthread_mutex_lock (&store->mutex);
        store->transaction = number;
        pthread_mutex_unlock (&store->mutex);
    }
    return 0;
}

void
txn_abort (struct txn **txn)
{
    if (!*txn)
        return;
    mdb_txn_abort ((*txn)->handle);
    txn_release (txn);
}

const struct txn_frame *
txn_frame (const struct txn *txn)
{
    return &txn->frame;
}

uint64_t
txn_number (const struct txn *txn)
{
    return mdb_txn_id (txn->handle);
}

uint64_t
txn_written (const struct txn *txn)
{
    return txn->written;
}

void
txn_set_state (struct txn *txn, struct txn_state *state)
{
    assert (txn->write && !txn->state);
    txn->state = state;
}

struct txn_state *
txn_state (const struct txn *txn)
{
    return txn->state;
}

/* ---- rows ---------------------------------------------------------------------------------------- */

static MDB_val
lmdb_value (struct slice bytes)
{
    MDB_val value = {bytes.size, (void *) bytes.data};

    return value;
}

static uint32_t
row_crc (enum metastore_table table, MDB_val key, struct slice value)
{
    uint8_t number = (uint8_t) table;
    uint32_t crc = crc32_of (0, &number, 1);

    crc = crc32_of (crc, key.mv_data, key.mv_size);
    return value.size > 0 ? crc32_of (crc, value.data, value.size) : crc;
}

/* Check a stored value and cut its CRC off. */
static int
open_value (enum metastore_table table, MDB_val key, MDB_val stored, struct slice *value,
            litedfs_error_t *error)
{
    struct reader reader = reader_of (slice_of (stored.mv_data, stored.mv_size));
    uint32_t crc = reader_u32 (&reader);

    if (!reader.failed) {
        *value = slice_of (reader.data + reader.at, reader_left (&reader));
        if (crc == row_crc (table, key, *value))
            return 0;
    }
    return row_corrupt (table, slice_of (key.mv_data, key.mv_size), error);
}

int
txn_get (struct txn *txn, enum metastore_table table, struct slice key, struct slice *value,
         litedfs_error_t *error)
{
    MDB_val k = lmdb_value (key);
    MDB_val stored;

    int rc = mdb_get (txn->handle, txn->store->tables[table], &k, &stored);
    if (rc == MDB_NOTFOUND)
        return LITEDFS_NOT_FOUND;
    if (rc)
        return metastore_error (txn->store, rc, metastore_table_name (table), error);
    return open_value (table, k, stored, value, error);
}

int
txn_put (struct txn *txn, enum metastore_table table, struct slice key, struct slice value,
         litedfs_error_t *error)
{
    MDB_val k = lmdb_value (key);
    MDB_val room = {METASTORE_CRC_SIZE + value.size, NULL};

    assert (txn->write && key.size > 0 && key.size <= METASTORE_KEY_MAX);
    int rc = mdb_put (txn->handle, txn->store->tables[table], &k, &room, MDB_RESERVE);
    if (rc)
        return metastore_error (txn->store, rc, metastore_table_name (table), error);
    uint32_t crc = row_crc (table, k, value);
    uint8_t *bytes = room.mv_data;
    for (size_t i = 0; i < METASTORE_CRC_SIZE; i++)
        bytes[i] = (uint8_t) (crc >> (8 * i));
    if (value.size > 0)
        memcpy (bytes + METASTORE_CRC_SIZE, value.data, value.size);
    txn->written++;
    return 0;
}

int
txn_del (struct txn *txn, enum metastore_table table, struct slice key, litedfs_error_t *error)
{
    MDB_val k = lmdb_value (key);

    assert (txn->write);
    int rc = mdb_del (txn->handle, txn->store->tables[table], &k, NULL);
    if (rc == MDB_NOTFOUND)
        return LITEDFS_NOT_FOUND;
    if (rc)
        return metastore_error (txn->store, rc, metastore_table_name (table), error);
    txn->written++;
    return 0;
}

/* ---- cursors ------------------------------------------------------------------------------------- */

int
cursor_open (struct cursor *self, struct txn *txn, enum metastore_table table,
             struct slice prefix, struct slice start, litedfs_error_t *error)
{
    MDB_cursor *handle;

    assert (prefix.size <= METASTORE_KEY_MAX && start.size <= METASTORE_KEY_MAX);
    int rc = mdb_cursor_open (txn->handle, txn->store->tables[table], &handle);
    if (rc)
        return metastore_error (txn->store, rc, metastore_table_name (table), error);
    self->txn = txn;
    self->table = table;
    self->handle = handle;
    self->started = false;
    self->prefix_size = prefix.size;
    if (prefix.size > 0)
        memcpy (self->prefix, prefix.data, prefix.size);

    // The later of the two in the order of keys.
    size_t common = prefix.size < start.size ? prefix.size : start.size;
    int order = common > 0 ? memcmp (start.data, prefix.data, common) : 0;
    struct slice at = order > 0 || (order == 0 && start.size > prefix.size) ? start : prefix;
    self->at_size = at.size;
    if (at.size > 0)
        memcpy (self->at, at.data, at.size);
    return 0;
}

/* Put the handle on the row after the one given last, wherever writes have left it. */
static int
cursor_step (struct cursor *self, MDB_val *key, MDB_val *stored)
{
    MDB_val at = {self->at_size, self->at};
    int rc;

    if (self->started && self->written == self->txn->written)
        return mdb_cursor_get (self->handle, key, stored, MDB_NEXT);
    if (self->at_size == 0)
        return mdb_cursor_get (self->handle, key, stored, MDB_FIRST);
    *key = at;
    rc = mdb_cursor_get (self->handle, key, stored, MDB_SET_RANGE);
    if (rc || !self->started)
        return rc;
    if (key->mv_size == at.mv_size && memcmp (key->mv_data, at.mv_data, at.mv_size) == 0)
        rc = mdb_cursor_get (self->handle, key, stored, MDB_NEXT);
    return rc;
}

/* Give the row on which the handle is, if it is one of the walk's. */
static int
give_row (struct cursor *self, int rc, MDB_val k, MDB_val stored, struct slice *key,
          struct slice *value, litedfs_error_t *error)
{
    struct slice bytes;

    if (rc == MDB_NOTFOUND)
        return LITEDFS_NOT_FOUND;
    if (rc)
        return metastore_error (self->txn->store, rc, metastore_table_name (self->table),
                                error);
    if (k.mv_size < self->prefix_size ||
        memcmp (k.mv_data, self->prefix, self->prefix_size) != 0)
        return LITEDFS_NOT_FOUND;
    self->started = true;
    self->written = self->txn->written;
    if (self->txn->write) {
        self->at_size = k.mv_size;
        memcpy (self->at, k.mv_data, k.mv_size);
    }
    if (key)
        *key = slice_of (k.mv_data, k.mv_size);
    rc = open_value (self->table, k, stored, &bytes, error);
    if (rc < 0)
        return rc;
    if (value)
        *value = bytes;
    return 0;
}

int
cursor_next (struct cursor *self, struct slice *key, struct slice *value,
             litedfs_error_t *error)
{
    MDB_val k;
    MDB_val stored;

    int rc = cursor_step (self, &k, &stored);
    return give_row (self, rc, k, stored, key, value, error);
}

int
cursor_floor (struct cursor *self, struct slice key, struct slice *found, struct slice *value,
              litedfs_error_t *error)
{
    MDB_val k = lmdb_value (key);
    MDB_val stored;

    int rc = mdb_cursor_get (self->handle, &k, &stored, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND)
        rc = mdb_cursor_get (self->handle, &k, &stored, MDB_LAST);
    else if (rc == 0 && (k.mv_size != key.size || memcmp (k.mv_data, key.data, key.size) != 0))
        rc = mdb_cursor_get (self->handle, &k, &stored, MDB_PREV);
    return give_row (self, rc, k, stored, found, value, error);
}

void
cursor_close (struct cursor *self)
{
    if (self->handle)
        mdb_cursor_close (self->handle);
    self->handle = NULL;
}
