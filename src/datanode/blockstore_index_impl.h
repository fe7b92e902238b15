/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_BLOCKSTORE_INDEX_IMPL_H
#define LITEDFS_DATANODE_BLOCKSTORE_INDEX_IMPL_H

/*
 * What blockstore_index.c (rows and transactions), blockstore_index_open.c (the environment) and
 * blockstore_digests.c (what is counted beside them) share.
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

/* The layout that the meta table names, LITEDFS_NOT_FOUND if it names none; and write our own. */
int index_layout (struct index_txn *txn, uint64_t *out, litedfs_error_t *error);
int index_put_layout (struct index_txn *txn, litedfs_error_t *error);

/* The layout of this program. */
#define INDEX_LAYOUT 1

#endif
