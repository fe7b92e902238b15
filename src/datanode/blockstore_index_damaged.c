/* SPDX-License-Identifier: MIT */
/*
 * The table of damaged blocks: what was found to be rotten, and waits for a copy or for an order.
 *
 * It was not there from the beginning: an index of before gets it, empty, when it is opened.
 */

#include "datanode/blockstore_index_impl.h"

#include "base/err.h"

#define DAMAGED_SIZE 28

int
index_damage (struct index_txn *txn, uint64_t block, uint64_t size, int64_t now_ms,
              litedfs_error_t *error)
{
    uint8_t room[8];
    struct index_row row = {.size = 0};
    int rc = index_take_out (txn, block, error);
    if (rc == 0 || rc == LITEDFS_NOT_FOUND)
        rc = index_put_change (txn, CHANGE_DAMAGED, block, size, 0, rc < 0, error);
    if (rc < 0)
        return rc;
    index_row_number (&row, size, 8);
    index_row_number (&row, (uint64_t) now_ms, 8);
    index_row_number (&row, txn->state.seq, 8);
    return index_row_put (txn, txn->index->damaged, index_key (block, room), &row, error);
}

int
index_damaged (struct index_txn *txn, uint64_t block, litedfs_error_t *error)
{
    uint8_t room[8];
    struct reader in;
    return index_row_get (txn, txn->index->damaged, index_key (block, room), DAMAGED_SIZE, &in,
                          error);
}

int
index_undamage (struct index_txn *txn, uint64_t block, litedfs_error_t *error)
{
    int rc = index_damaged (txn, block, error);
    return rc == 0 ? index_row_del (txn, txn->index->damaged, block, error) : rc;
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
    struct reader in;
    if (list->count == list->max)
        return 1;
    int rc = index_row_open (key, value, DAMAGED_SIZE, &in, error);
    if (rc == 0)
        list->out[list->count++] = index_key_number (key);
    return rc;
}

int
index_damaged_blocks (struct index_txn *txn, uint64_t from, size_t max, uint64_t *out,
                      size_t *out_count, litedfs_error_t *error)
{
    struct id_list list = {out, 0, max};
    int rc = index_walk (txn, txn->index->damaged, from, take_id, &list, error);
    *out_count = rc == 0 ? list.count : 0;
    return rc;
}

static int
renumber_row (const MDB_val *key, const MDB_val *value, void *arg, litedfs_error_t *error)
{
    struct reader in;
    int rc = index_row_open (key, value, DAMAGED_SIZE, &in, error);
    return rc == 0 ? index_put_change (arg, CHANGE_DAMAGED, index_key_number (key),
                                       reader_u64 (&in), 0, true, error)
                   : rc;
}

int
index_renumber_damaged (struct index_txn *txn, litedfs_error_t *error)
{
    return index_walk (txn, txn->index->damaged, 0, renumber_row, txn, error);
}
