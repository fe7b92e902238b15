/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_BLOCKSTORE_INDEX_H
#define LITEDFS_DATANODE_BLOCKSTORE_INDEX_H

/*
 * The tables of the block store, and the only code of the data node that knows LMDB.  For blockstore
 * alone.  Keys are big endian, so that they sort as their numbers do; values are little endian, and the
 * last four bytes of each are the CRC-32 of key and value before them.
 *
 *   table       key          value
 *   block       u64 block    u8 kind (0: a file of its own; others are for packs), u8[3] 0, u32 crc,
 *                            u64 size, u64 index, u64 ctime (ms), u64 seq, u8[16] file id,
 *                            u64 pack 0, u64 offset 0, u32 check
 *   change      u64 seq      u64 block, u64 size, u32 crc, u8 kind (enum change_kind),
 *                            u8 beside (struct blockstore_change), u8[2] 0, u32 check
 *   tombstone   u64 block    u64 until (ms since 1970), u64 seq of the removal or 0, u32 check
 *   damaged     u64 block    u64 size, u64 since (ms since 1970), u64 seq of the change, u32 check
 *   meta        "state"      u64 blocks, u64 bytes, u64 seq, u64 confirmed, u64 seen epoch,
 *                            u64 seen transaction, u64 order epoch, u64 order number, u32 check
 *   meta        "layout"     u64 1, u32 check; written last, so that an index that was being built
 *                            when its machine went down is not taken for a whole one
 *
 * An id is in at most one of block, tombstone and damaged.
 *
 * Beside the tables stand, in memory, the digests of the blocks that are here.
 *
 * A transaction belongs to the thread that began it; one that writes waits for the one before it, and its
 * caller lets no other begin until its end has returned.  Errors
 * are those of blockstore.h: LITEDFS_NO_SPACE, IO, MEMORY, CORRUPT.
 */

#include "datanode/blockstore.h"

struct blockstore_index;

/* What a writing transaction carries along and its commit stores. */
struct index_state {
    uint64_t blocks;
    uint64_t bytes;
    uint64_t seq;
    uint64_t confirmed;
    uint64_t seen_epoch;
    uint64_t seen_transaction;
    uint64_t order_epoch;
    uint64_t order_number;
};

/* A transaction.  state is as of its begin and changes with it; the caller changes what is not of the
 * calls below (seen, order). */
struct index_txn {
    struct index_state state;
    void *handle;
    struct blockstore_index *index;
    bool writes;
};

/* Open the index in the directory at path.  LITEDFS_NOT_FOUND if there is none, LITEDFS_CORRUPT if it is
 * damaged or was not completed: then blockstore_index_create follows. */
int blockstore_index_open (struct blockstore_index **out, const char *path, uint64_t map_size,
                           bool sync, litedfs_error_t *error);

/* Make a new one, empty and not complete, in place of one that is there (whose data is kept beside it,
 * as data.mdb.damaged). */
int blockstore_index_create (struct blockstore_index **out, const char *path, uint64_t map_size,
                             bool sync, litedfs_error_t *error);

/* Say, durably whatever sync is, that it is complete. */
int blockstore_index_complete (struct blockstore_index *self, litedfs_error_t *error);

/* Have everything that was committed on disk, whatever sync is. */
int blockstore_index_sync (struct blockstore_index *self, litedfs_error_t *error);

/* Close it.  Takes NULL, sets it to NULL, keeps errno. */
void blockstore_index_close (struct blockstore_index **self);

/* Reserve room for its growth on the disk, so that deletes work when the disk is full, and forget readers
 * that died.  Not every file system can reserve: no failure. */
void blockstore_index_maintain (struct blockstore_index *self);

/* Whether a commit failed in a way that leaves open what is on disk. */
bool blockstore_index_failed (const struct blockstore_index *self);

/* Begin a transaction that index_commit or index_abort ends. */
int index_begin (struct blockstore_index *self, bool writes, struct index_txn *txn,
                 litedfs_error_t *error);

/* Store what was changed.  Ends the transaction, on failure too: then nothing has changed. */
int index_commit (struct index_txn *txn, litedfs_error_t *error);
void index_abort (struct index_txn *txn);

/* A block's row; LITEDFS_NOT_FOUND. */
int index_block (struct index_txn *txn, uint64_t block, struct blockstore_block *out,
                 litedfs_error_t *error);

/* The row of the first block from id `from` on; LITEDFS_NOT_FOUND. */
int index_next_block (struct index_txn *txn, uint64_t from, struct blockstore_block *out,
                      litedfs_error_t *error);

/* Add a row and its change; gives row->seq its number.  A damaged row of the same id goes.
 * LITEDFS_EXISTS. */
int index_add (struct index_txn *txn, struct blockstore_block *row, litedfs_error_t *error);

/* Remove a block's row, or its damaged row, and list that as a change.  LITEDFS_NOT_FOUND. */
int index_remove (struct index_txn *txn, uint64_t block, litedfs_error_t *error);

/* A block, which may have a row, is damaged: its row goes, a damaged row and its change come.  size: of
 * the file, if it is known. */
int index_damage (struct index_txn *txn, uint64_t block, uint64_t size, int64_t now_ms,
                  litedfs_error_t *error);

/* Remove a damaged row and list nothing; and whether there is one: 0.  LITEDFS_NOT_FOUND. */
int index_undamage (struct index_txn *txn, uint64_t block, litedfs_error_t *error);
int index_damaged (struct index_txn *txn, uint64_t block, litedfs_error_t *error);

/* The ids of the damaged blocks from `from` on, up to max of them. */
int index_damaged_blocks (struct index_txn *txn, uint64_t from, size_t max, uint64_t *out,
                          size_t *out_count, litedfs_error_t *error);

/* Whether an id is buried: 0, or LITEDFS_NOT_FOUND. */
int index_buried (struct index_txn *txn, uint64_t block, litedfs_error_t *error);

/* Bury an id, anew if it is. */
int index_bury (struct index_txn *txn, uint64_t block, int64_t until_ms,
                litedfs_error_t *error);

/* The tombstones from id `from` on, up to max of them. */
struct index_tombstone {
    uint64_t block;
    int64_t until_ms;
};
int index_tombstones (struct index_txn *txn, uint64_t from, size_t max,
                      struct index_tombstone *out, size_t *out_count, litedfs_error_t *error);

/* Remove a tombstone; fine if there is none. */
int index_unbury (struct index_txn *txn, uint64_t block, litedfs_error_t *error);

/* The changes after a number, up to max of them. */
int index_changes (struct index_txn *txn, uint64_t after, size_t max,
                   struct blockstore_change *out, size_t *out_count, litedfs_error_t *error);

/* Remove the changes up to seq. */
int index_confirm (struct index_txn *txn, uint64_t seq, litedfs_error_t *error);

/* Remove all changes, as if they were confirmed; numbers go on above both `above` and state.seq.  Then list
 * the damaged blocks. */
int index_resume (struct index_txn *txn, uint64_t above, litedfs_error_t *error);

/* The ids from `from` on, up to max of them, without a look at their rows. */
int index_ids (struct index_txn *txn, uint64_t from, size_t max, uint64_t *out,
               size_t *out_count, litedfs_error_t *error);

/* The number of the last change, of a transaction that does not write too. */
int index_seq (struct index_txn *txn, uint64_t *out, litedfs_error_t *error);

/* Count all blocks for the digests, which are in step with every commit from then on.  Nobody else uses the
 * index meanwhile. */
int blockstore_index_count (struct blockstore_index *self, litedfs_error_t *error);

/* The digests of all BLOCK_ID_BUCKETS buckets as of the last commit, and its change number. */
void blockstore_index_digests (struct blockstore_index *self, struct blockstore_digest *out,
                               uint64_t *out_seq);

#endif
