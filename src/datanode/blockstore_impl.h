/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_BLOCKSTORE_IMPL_H
#define LITEDFS_DATANODE_BLOCKSTORE_IMPL_H

/*
 * What the files of the block store share: blockstore.c (open, identity, space, index), blockstore_write.c
 * (writing and finishing), blockstore_read.c, blockstore_damage.c (rot), blockstore_orders.c (deletes,
 * reports), blockstore_start.c (what a crash left, rebuild).
 *
 * Locks.  `commit` is held while the index changes and while what follows from the change and must not be
 * overtaken is done (the renames of finished blocks).  `removal` is held by who removes files of ids with a
 * tombstone, from before the tombstone is written or looked at until the files are gone.  `lock` guards
 * identity, state and the table of writings for a few instructions, never over the disk.  removal before
 * commit before lock.
 */

#include "datanode/blockcache.h"
#include "datanode/blockstore.h"
#include "datanode/blockstore_index.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOCKSTORE_BUCKETS 256 // of the table of writings, a power of two

/* Room for "blocks/xx/<16 hex>" and the longest of the other names below data_path, with a NUL. */
#define BLOCKSTORE_NAME_SIZE 64

struct blockstore {
    char *path;
    int root;    // data_path, for the calls that end in "at"
    int writing; // data_path/writing
    int lock_fd;
    bool sync;
    uint64_t index_map;
    uint64_t preserve;
    int64_t tombstone_ms;
    const struct clock *clock;
    struct log *log;
    struct blockstore_index *index;
    struct blockcache *cache;
    pthread_mutex_t removal;
    pthread_mutex_t commit;
    pthread_mutex_t lock;
    struct blockstore_identity identity;
    struct index_state state; // as of the last commit, except seen_*, which may be ahead of it
    struct writing *writings[BLOCKSTORE_BUCKETS];
    _Atomic int64_t writing_bytes;
    _Atomic uint64_t bad_block; // the last one that could not be read
    _Atomic uint64_t traffic;   // bytes read and written for others
    _Atomic uint64_t damaged;   // blocks set aside
};

/* A block that is being written.  The table of writings holds it until it is finished or abandoned; who
 * began it owns the rest. */
struct writing {
    struct blockstore *store;
    struct writing *next; // in its bucket
    uint64_t block;
    struct uuid file;
    uint64_t index;
    char *path;
    size_t path_size;
    int fd;
    bool copy;            // by order: a tombstone from before it began does not refuse it
    bool sealed;          // its last bytes are there
    litedfs_error_t lost; // number not 0: its file cannot be trusted any more, and why
    atomic_bool buried;   // deleted by order since it began; changes under `commit`
    uint64_t offset;
    uint64_t started; // write-back was started up to here
    uint32_t *units;
    size_t unit_room;
};

/* Names below data_path; return out. */
char *blockstore_name (uint64_t block, char out[BLOCKSTORE_NAME_SIZE]);
char *blockstore_writing_name (uint64_t block, char out[BLOCKSTORE_NAME_SIZE]);
char *blockstore_damaged_name (uint64_t block, char out[BLOCKSTORE_NAME_SIZE]);

/* Begin to change the index: takes `commit` and begins a transaction.  blockstore_change_end commits it if
 * rc is 0, else aborts it, publishes the state and returns rc or what the commit gave; then, after what
 * must not be overtaken, blockstore_change_done.  If the begin fails nothing is held. */
int blockstore_change_begin (struct blockstore *self, struct index_txn *txn,
                             litedfs_error_t *error);
int blockstore_change_end (struct blockstore *self, struct index_txn *txn, int rc,
                           litedfs_error_t *error);
void blockstore_change_done (struct blockstore *self);

/* Bytes that may be written. */
int blockstore_free (struct blockstore *self, uint64_t *out, litedfs_error_t *error);

/* Tell the writing of this id, if there is one, that it was buried (under `commit`); say whether a block
 * is being written. */
void blockstore_bury_writing (struct blockstore *self, uint64_t block);
bool blockstore_is_writing (struct blockstore *self, uint64_t block);

/* Remove the files of a block that the index does not have.  0 if they are gone. */
int blockstore_unlink (struct blockstore *self, uint64_t block, litedfs_error_t *error);

/* The row of a block that is here.  LITEDFS_NOT_FOUND, LITEDFS_CORRUPT if it was set aside. */
int blockstore_find_row (struct blockstore *self, uint64_t block, struct blockstore_block *out,
                         litedfs_error_t *error);

/* Open the file of a row and read its trailer, which is to be freed with blockfile_free.  LITEDFS_CORRUPT
 * also if there is no file, or one that is not the row's. */
int blockstore_open_file (struct blockstore *self, const struct blockstore_block *row,
                          char name[BLOCKSTORE_NAME_SIZE], int *out_fd, struct blockfile *out,
                          litedfs_error_t *error);

/* A read found damage: read the range again, without the cache.  As blockstore_read; with LITEDFS_CORRUPT
 * the block was set aside. */
int blockstore_examine (struct blockstore *self, uint64_t block, uint64_t offset, size_t size,
                        void *room, struct slice *out, uint32_t *out_crc,
                        litedfs_error_t *error);

/* A block cannot be read: said once, not for each try of each reader. */
void blockstore_complain (struct blockstore *self, uint64_t block, const litedfs_error_t *why);

/* Visit the files of a directory below data_path whose names are blocks' ids; those of other names are
 * logged and left. */
typedef int (blockstore_visit_fn) (struct blockstore *self, const char *name, uint64_t block,
                                   void *arg, litedfs_error_t *error);
int blockstore_visit (struct blockstore *self, const char *directory,
                      blockstore_visit_fn *visit, void *arg, litedfs_error_t *error);

/* At the start: bring damaged/ and the index in step. */
int blockstore_resolve_damaged (struct blockstore *self, litedfs_error_t *error);

/* At the start: open or rebuild the index, and resolve what a crash left. */
int blockstore_start (struct blockstore *self, bool fresh, litedfs_error_t *error);

/* At the end: what blockstore_start of the next process would like to find. */
void blockstore_leave (struct blockstore *self);

#endif
