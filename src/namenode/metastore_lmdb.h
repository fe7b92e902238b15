/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_METASTORE_LMDB_H
#define LITEDFS_NAMENODE_METASTORE_LMDB_H

/*
 * What metastore.c (the environment) and metastore_txn.c (transactions) share, and nobody else: the only
 * place of the name node that knows LMDB.
 */

#include "namenode/metastore.h"

#include <lmdb.h>
#include <pthread.h>

/* Bytes of CRC before each value. */
#define METASTORE_CRC_SIZE 4

struct metastore {
    MDB_env *env;
    MDB_dbi tables[TABLE_COUNT];
    char *directory;
    struct metrics *metrics;
    uint64_t map_size;
    bool read_only;
    pthread_mutex_t mutex; // guards what is below
    pthread_cond_t changed;
    unsigned readers;
    bool growing;
    uint64_t transaction;
};

struct txn {
    struct metastore *store;
    MDB_txn *handle;
    bool write;
    struct txn_frame frame;
    uint64_t written;
    struct txn_state *state;
};

/* The error of an LMDB return code other than 0. */
int metastore_error (const struct metastore *self, int rc, const char *what,
                     litedfs_error_t *error);

/* A snapshot begins, which waits while the map grows; it has ended. */
void metastore_enter (struct metastore *self);
void metastore_leave (struct metastore *self);

/* Whether rc says that another process has made the map larger, and ours is so now: try again.  Only a store
 * that is read-only has others that write, and its snapshots must have ended. */
bool metastore_follow_map (struct metastore *self, int rc);

/* Free what is ours of a transaction whose handle has ended. */
void txn_release (struct txn **txn);

#endif
