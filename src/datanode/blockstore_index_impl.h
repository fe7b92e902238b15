/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_BLOCKSTORE_INDEX_IMPL_H
#define LITEDFS_DATANODE_BLOCKSTORE_INDEX_IMPL_H

/*
 * What blockstore_index.c (rows and transactions), blockstore_index_damaged.c (one of the tables),
 * blockstore_index_open.c (the environment) and blockstore_digests.c (what is counted beside them) share.
 */

#include "datanode/blockstore_index.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

struct blockstore_index {
    MDB_env *env;
    MDB_dbi block;
    MDB_dbi change;
    MDB_dbi tombstone;
    MDB_dbi damaged;
    MDB_dbi meta;
    pthread_rwlock_t
        map; // held for reading by every transaction, for writing while the map grows
    atomic_bool failed; // a commit failed and may be on disk or not

    // What is here: as the transaction that writes will leave it, and as the last commit did.
    struct blockstore_digest working[BLOCK_ID_BUCKETS];
    bool counted; // they differ
    pthread_mutex_t digests_lock;
    struct blockstore_digest digests[BLOCK_ID_BUCKETS];
    uint64_t digests_seq;
};

/* Turn LMDB's number into one of ours, with a text; returns it. */
int index_error (struct blockstore_index *self, int rc, litedfs_error_t *error);

/* A block comes (1) or goes (-1) in the transaction that writes; it is committed, up to this change; it has
 * come to nothing. */
void index_count_block (struct blockstore_index *self, uint64_t block, int sign);
void index_publish_digests (struct blockstore_index *self, uint64_t seq);
void index_restore_digests (struct blockstore_index *self);

/* Before a transaction that writes: have address space for it, as far as the machine has any. */
void index_make_room (struct blockstore_index *self);

/* A row that is being put together in place; and its numbers, little endian, of `size` bytes. */
#define INDEX_ROW_MAX 80
struct index_row {
    uint8_t bytes[INDEX_ROW_MAX];
    size_t size;
};
void index_row_number (struct index_row *row, uint64_t value, size_t size);

/* The key of a number, in room that lives as long; and back. */
MDB_val index_key (uint64_t number, uint8_t room[8]);
uint64_t index_key_number (const MDB_val *key);

/* Put a row, with its check; get one, LITEDFS_NOT_FOUND; delete one, fine if there is none.  A reader is
 * over a value of `size` bytes whose check has matched. */
int index_row_put (struct index_txn *txn, MDB_dbi table, MDB_val key, struct index_row *row,
                   litedfs_error_t *error);
int index_row_open (const MDB_val *key, const MDB_val *value, size_t size, struct reader *out,
                    litedfs_error_t *error);
int index_row_get (struct index_txn *txn, MDB_dbi table, MDB_val key, size_t size,
                   struct reader *out, litedfs_error_t *error);
int index_row_del (struct index_txn *txn, MDB_dbi table, uint64_t number,
                   litedfs_error_t *error);

/* Give the next change its number and list it.  beside: the block was not in the index before either. */
int index_put_change (struct index_txn *txn, enum change_kind kind, uint64_t block,
                      uint64_t size, uint32_t crc, bool beside, litedfs_error_t *error);

/* Remove a block's row and list nothing.  LITEDFS_NOT_FOUND. */
int index_take_out (struct index_txn *txn, uint64_t block, litedfs_error_t *error);

/* List the damaged blocks as changes. */
int index_renumber_damaged (struct index_txn *txn, litedfs_error_t *error);

/* Take a row; a positive number ends the walk, which hands over every row from key `from` on. */
typedef int (index_take_fn) (const MDB_val *key, const MDB_val *value, void *arg,
                             litedfs_error_t *error);
int index_walk (struct index_txn *txn, MDB_dbi table, uint64_t from, index_take_fn *take,
                void *arg, litedfs_error_t *error);

/* The layout that the meta table names, LITEDFS_NOT_FOUND if it names none; and write our own. */
int index_layout (struct index_txn *txn, uint64_t *out, litedfs_error_t *error);
int index_put_layout (struct index_txn *txn, litedfs_error_t *error);

/* The layout of this program. */
#define INDEX_LAYOUT 1

#endif
