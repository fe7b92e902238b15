/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_METASTORE_H
#define LITEDFS_NAMENODE_METASTORE_H

/*
 * The name node's store: tables of keys and values, sorted by key, and transactions over them.  This
 * header is the seam behind which another engine could stand; what rows mean is in records.h.
 *
 * The model.  One process has the store open once.  Any number of threads read, each from a snapshot
 * (txn_begin_read) that never changes and blocks nobody; one thread at a time writes (txn_begin_write).
 * A write transaction sees its own changes; nobody else does before txn_commit.
 *
 * Caveats.
 * - Long snapshots make the file grow: keep them short, resume with a cursor.
 * - A thread has at most one snapshot at a time, and none while it calls metastore_grow: growing waits
 *   until every snapshot has ended and holds back new ones.  A snapshot may end in another thread.
 * - Slices that txn_get and cursor_next give point into the store.  They end with the transaction, and
 *   in a write transaction with its next txn_put, txn_del or commit: copy what must live longer, and
 *   never hand such a slice to txn_put.
 * - After METASTORE_MAP_FULL or any error but LITEDFS_NOT_FOUND from a write, the transaction is good
 *   for txn_abort only.
 * - Each value is stored with a CRC-32 of its key and itself; a row that does not fit is LITEDFS_CORRUPT.
 *
 * Errors of every call that can fail: LITEDFS_NOT_FOUND where said; LITEDFS_NO_SPACE, the disk is full
 * and nothing of the transaction is there; METASTORE_MAP_FULL; LITEDFS_IO, the disk failed: what is on
 * it is not known, the caller ends the process and does not try again; LITEDFS_CORRUPT; LITEDFS_MEMORY;
 * LITEDFS_FAILED for the rest.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/metric.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number of this layout; a store with a higher one is refused. */
#define METASTORE_LAYOUT 1

/* Longest key, in bytes; the empty key is not allowed. */
#define METASTORE_KEY_MAX 511

/* An error number of this header, never seen outside the name node: the map is full.  Abort, let
 * metastore_grow make it larger, run the batch again. */
#define METASTORE_MAP_FULL (-1001)

enum metastore_table {
    TABLE_DIRENT,
    TABLE_INODE,
    TABLE_BLOCK,
    TABLE_OWNER,
    TABLE_HELD,
    TABLE_DIGEST,
    TABLE_LEASE,
    TABLE_LOCK,
    TABLE_NODE,
    TABLE_ORDER,
    TABLE_GARBAGE,
    TABLE_DOOMED,
    TABLE_REPLY,
    TABLE_META,
    TABLE_REPAIR,
    TABLE_QUARANTINE,
    TABLE_DAMAGED, // rows are checked with the number of their table: new ones come last
    TABLE_COUNT
};

struct metastore;
struct txn;
struct lease_clock;
struct agenda;

struct metastore_options {
    const char *directory; // made (0700) if missing; the directory above it exists
    uint64_t map_size;     // bytes of address space; 0: 64 GiB, 1 GiB on 32-bit machines
    bool sync; // false: a commit does not wait for the disk; a power cut may cost the store
    bool read_only; // only snapshots; beside another process that has it open, too
};

struct metastore_statistics {
    uint64_t map_size;   // bytes
    uint64_t page_size;  // bytes
    uint64_t pages_used; // high-water mark: the file's size in pages
    uint64_t pages_free; // of these, how many the next transactions can use again
    uint64_t rows[TABLE_COUNT];
    uint64_t transaction; // number of the last commit
    unsigned readers;     // snapshots open in this process
};

/* Open the store, make it if the directory is empty.  The caller sees to it that no other process has
 * it open, but for read_only: then nothing is made, and another process may write meanwhile.
 * LITEDFS_LAYOUT: written by a newer version, or read_only and by one so old that it has fewer tables;
 * LITEDFS_CORRUPT: not a store of ours, or damaged; LITEDFS_NOT_FOUND: read_only, and there is none. */
int metastore_open (struct metastore **out, const struct metastore_options *options,
                    litedfs_error_t *error);

/* Close it.  Every transaction has ended.  Takes NULL. */
void metastore_close (struct metastore **self);

/* Free the reader slots of processes that died with a snapshot open; at start and each minute. */
int metastore_check_readers (struct metastore *self, litedfs_error_t *error);

/* Double the map, once every snapshot has ended; waits for that.  No write transaction is open.
 * LITEDFS_NO_SPACE if there is no address space for it; then the store is as before. */
int metastore_grow (struct metastore *self, litedfs_error_t *error);

/* The number of the last committed write transaction; it grows by one a commit that changed something. */
uint64_t metastore_transaction (struct metastore *self);

/* Count commits and show the rows of the tables there from now on; metrics (may be NULL) must outlive the
 * store.  Before other threads use the store. */
void metastore_set_metrics (struct metastore *self, struct metrics *metrics);

/* Takes a snapshot of its own. */
int metastore_statistics (struct metastore *self, struct metastore_statistics *out,
                          litedfs_error_t *error);

/* Give a copy of the store, as of now and without unused pages, piece by piece and in order to `take`: up to
 * METASTORE_COPY_PIECE bytes each, until it returns an error, which is returned.  What take is given is, one
 * after the other, the file meta/data.mdb of a store.  A snapshot is open until the end.  Transactions of
 * the copy are numbered from the beginning. */
#define METASTORE_COPY_PIECE ((size_t) 1 << 20)
typedef int metastore_take_fn (void *arg, const void *data, size_t size,
                               litedfs_error_t *error);
int metastore_copy (struct metastore *self, metastore_take_fn *take, void *arg,
                    litedfs_error_t *error);

/* The word for a table: "inode". */
const char *metastore_table_name (enum metastore_table table);

/* What a write transaction is told from outside: rules know no clock. */
struct txn_frame {
    int64_t now_ms;  // monotonic
    int64_t wall_ms; // since 1970
    struct lease_clock
        *leases;           // of lease_clock.h, borrowed; NULL: every lease counts as running
    struct agenda *agenda; // of agenda.h, borrowed; NULL: nobody is told what to look at next
};

/* Start a snapshot; waits only while the map grows. */
int txn_begin_read (struct metastore *self, struct txn **out, litedfs_error_t *error);

/* Start the write transaction; waits for the one before it.  It commits or aborts in this thread.  The
 * frame is copied. */
int txn_begin_write (struct metastore *self, const struct txn_frame *frame, struct txn **out,
                     litedfs_error_t *error);

/* Flush what rules keep in the transaction (txn_state), then make all of it durable (options.sync) and
 * visible.  The transaction has ended, whatever is returned, and *txn is NULL. */
int txn_commit (struct txn **txn, litedfs_error_t *error);

/* End a snapshot, or a write transaction without a trace.  Takes NULL. */
void txn_abort (struct txn **txn);

/* The frame of a write transaction; of a snapshot, one of zeros. */
const struct txn_frame *txn_frame (const struct txn *txn);

/* The number that this write transaction will have, or of what the snapshot shows. */
uint64_t txn_number (const struct txn *txn);

/* How many rows were put or deleted so far.  A rule that failed has written nothing: if this number
 * moved across a failed rule, abort the transaction. */
uint64_t txn_written (const struct txn *txn);

/* State that one rule keeps for the length of a write transaction (totals.h).  flush runs inside
 * txn_commit, destroy at the end of every transaction.  Only one may be set. */
struct txn_state {
    int (*flush) (struct txn *txn, struct txn_state *self, litedfs_error_t *error);
    void (*destroy) (struct txn_state *self);
};
void txn_set_state (struct txn *txn, struct txn_state *state);
struct txn_state *txn_state (const struct txn *txn);

/* The value of a key; LITEDFS_NOT_FOUND, and error untouched, if there is none. */
int txn_get (struct txn *txn, enum metastore_table table, struct slice key, struct slice *value,
             litedfs_error_t *error);

/* Put a row, in place of the one with this key. */
int txn_put (struct txn *txn, enum metastore_table table, struct slice key, struct slice value,
             litedfs_error_t *error);

/* Delete a row; LITEDFS_NOT_FOUND, and error untouched, if there is none. */
int txn_del (struct txn *txn, enum metastore_table table, struct slice key,
             litedfs_error_t *error);

/* A walk over the keys of a table that begin with a prefix, in order.  It may be on the stack, and goes
 * on properly when rows are put and deleted on the way.  Zero-initialised it is closed. */
struct cursor {
    struct txn *txn;
    enum metastore_table table;
    void *handle; // the engine's
    uint64_t written;
    bool started;
    size_t prefix_size;
    size_t at_size;
    uint8_t prefix[METASTORE_KEY_MAX];
    uint8_t at[METASTORE_KEY_MAX];
};

/* Start before the first key that has the prefix (empty: any) and is not below start (empty: the first).
 * Close it before the transaction ends. */
int cursor_open (struct cursor *self, struct txn *txn, enum metastore_table table,
                 struct slice prefix, struct slice start, litedfs_error_t *error);

/* The next row, or LITEDFS_NOT_FOUND, with error untouched, after the last.  key and value may be NULL.
 * After LITEDFS_CORRUPT the walk may go on if *key is set: that one row is damaged; else it is the store
 * (set key->data to NULL before). */
int cursor_next (struct cursor *self, struct slice *key, struct slice *value,
                 litedfs_error_t *error);

/* The last row whose key has the prefix and is not above `key`, as of now, wherever the walk is; a slice
 * into the store as those of cursor_next.  LITEDFS_NOT_FOUND with error untouched.  Within a walk
 * opened with that prefix; the walk goes on after this row. */
int cursor_floor (struct cursor *self, struct slice key, struct slice *found,
                  struct slice *value, litedfs_error_t *error);

void cursor_close (struct cursor *self);

#endif
