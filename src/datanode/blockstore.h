/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_BLOCKSTORE_H
#define LITEDFS_DATANODE_BLOCKSTORE_H

/*
 * The blocks of a data node: the only code that touches block files.  data_path holds
 *
 *   VERSION            layout, cluster id, node UUID, node number; text, replaced atomically
 *   lock               held by flock while a process uses the data
 *   index/             which blocks are here, what changed, which orders ran (LMDB)
 *   index/unsynced     there while `sync: false` and in use: the machine's boot id
 *   writing/<id>       blocks that are being written; <id> is 16 hex digits
 *   blocks/xx/<id>     finished blocks, immutable; xx is the id's last two digits
 *   damaged/<id>       files of blocks that were found to be damaged, as they are; a new copy or an order
 *                      of the name node takes them away
 *
 * The model.  A block is written through a struct writing from offset 0 on, finished, read, deleted by
 * order.  The index alone says whether a block is finished.  One that is found to be damaged, by a reader or
 * by blockstore_verify, is set aside: out of the index, not read any more, kept in damaged/.  Each change of it gets a number (seq, from
 * 1, without gaps) in the same transaction and stays listed until it is confirmed.
 *
 * Crashes.  When blockstore_finish has returned 0 with sync, the block survives kill -9 and power loss;
 * before, a crash leaves the block or nothing.  blockstore.c says how.
 *
 * Threads.  All calls may come from any thread, except that a struct writing is used by one thread at a
 * time, and blockstore_close by the last.  Calls block for as long as the disk does, unless said
 * otherwise.
 *
 * Errors that any call may give besides its own: LITEDFS_IO (the disk or the index failed),
 * LITEDFS_NO_SPACE, LITEDFS_MEMORY, LITEDFS_CORRUPT (a row of the index is damaged).  The store stays
 * usable after them.  One exception: if the index cannot know what it has written (EIO from a commit),
 * every change from then on is refused with LITEDFS_IO until the process is started again, and
 * blockstore_failed is true.
 *
 * Fault points, in the order of their passage (base/fault.h; _error ones fail the call instead):
 *
 *   blockstore_before_join         the name node has given a number that is not on the disk yet
 *   blockstore_pwrite_error        a write of data gives EIO
 *   blockstore_full_error          a write of data gives ENOSPC
 *   blockstore_after_data          data is written, not its trailer
 *   blockstore_after_trailer       the trailer is written, nothing is synced
 *   blockstore_sync_error          fdatasync of the file gives EIO
 *   blockstore_after_file_sync     files are synced, the directory writing/ is not
 *   blockstore_before_commit       all is synced, the index knows nothing yet
 *   blockstore_commit_error        the commit of the index fails, and nothing of it is there
 *   blockstore_finish_error        the same, where a block is finished
 *   blockstore_after_commit        the index knows the blocks, their files are still in writing/
 *   blockstore_after_rename        one file is in its place
 *   blockstore_before_damage        a block was found damaged, nothing has changed
 *   blockstore_after_damage         the index has it as damaged, its file is still in its place
 *   blockstore_after_aside          the file is in damaged/
 *   blockstore_before_execute      orders are read, nothing has changed
 *   blockstore_after_execute       orders are committed, the files are still there
 *   blockstore_after_unlink        one file is gone
 *   blockstore_after_version       a new store has its VERSION and nothing else
 *   blockstore_in_rebuild          the index is being rebuilt, half done
 */

#include "base/buf.h"
#include "base/clock.h"
#include "base/crc.h"
#include "base/id.h"
#include "base/log.h"
#include "litedfs.h"
#include "wire/message.h"

/* The most blocks that one blockstore_finish takes. */
#define BLOCKSTORE_FINISH_MAX 64

/* The most orders that one blockstore_execute takes. */
#define BLOCKSTORE_ORDERS_MAX 4096

struct blockstore;
struct writing;

struct blockstore_options {
    const char *path;  // data_path, absolute
    bool sync;         // survive power loss
    uint64_t preserve; // bytes of the file system that are left free
    uint64_t
        index_map; // address space that the index starts with, bytes; 0: 1 GiB (32 bits: 256 MiB)
    size_t cache_files;        // open files kept for readers; 0: 256
    size_t cache_bytes;        // memory for their unit CRCs; 0: 4 MiB
    int64_t tombstone_ms;      // how long a deleted id is refused; 0: an hour
    const struct clock *clock; // NULL: the machine's
    struct log *log;           // NULL: silent
};

/* Open the store, or make it if path is missing or empty; resolve what a crash left; rebuild the index
 * if it is missing or damaged (that takes as long as reading every trailer).  The options are copied,
 * path too; clock and log are borrowed until blockstore_close.  Besides the errors above:
 *
 *   LITEDFS_CONFIG   path is not empty and has no VERSION, or is not a data node's
 *   LITEDFS_LAYOUT   a newer version wrote it
 *   LITEDFS_IN_USE   another process uses it
 *   LITEDFS_CORRUPT  VERSION cannot be read
 *   LITEDFS_IO       path cannot be written, with the reason */
int blockstore_open (struct blockstore **out, const struct blockstore_options *options,
                     litedfs_error_t *error);

/* Abandon nothing, sync what sync asks for, unlock, free.  Takes NULL, sets it to NULL, keeps errno.
 * Every writing must have been finished or abandoned. */
void blockstore_close (struct blockstore **self);

/* Whether changes are refused because of a failed commit: the process should end and be started again.
 * Does not block. */
bool blockstore_failed (const struct blockstore *self);

/* ---- who this is ------------------------------------------------------------------------------- */

/* uuid was drawn when the store was made.  cluster is nil and node 0 until blockstore_join. */
struct blockstore_identity {
    struct uuid uuid;
    struct uuid cluster;
    uint32_t node;
};

/* Does not block on the disk. */
void blockstore_identity (struct blockstore *self, struct blockstore_identity *out);

/* Remember, durably, the cluster and the number that it gave to this node.  The same again is fine and
 * writes nothing.  LITEDFS_WRONG_CLUSTER if the data belongs to another cluster or has another number,
 * LITEDFS_INVALID for a nil cluster or node 0. */
int blockstore_join (struct blockstore *self, const struct uuid *cluster, uint32_t node,
                     litedfs_error_t *error);

/* ---- space ------------------------------------------------------------------------------------- */

/* Bytes; blocks are finished ones.  used: of finished blocks and of those in writing, without trailers;
 * free: what may still be written, preserve taken off; total: used + free; full: free is 0. */
struct blockstore_space {
    uint64_t blocks;
    uint64_t used;
    uint64_t free;
    uint64_t total;
    bool full;
};

int blockstore_space (struct blockstore *self, struct blockstore_space *out,
                      litedfs_error_t *error);

/* ---- writing ----------------------------------------------------------------------------------- */

/* A block as the index has it. */
struct blockstore_block {
    uint64_t block;
    struct uuid file;
    uint64_t index;
    uint64_t size;
    int64_t ctime_ms;
    uint64_t seq;
    uint32_t crc;
};

/* What is known of a block: 0 and *out if it is finished here; LITEDFS_LEASE_LOST if it was deleted by
 * order; LITEDFS_NOT_FOUND (also while it is being written). */
int blockstore_stat (struct blockstore *self, uint64_t block, struct blockstore_block *out,
                     litedfs_error_t *error);

/* Start to write a block.  path has up to 4096 bytes, for the trailer; it is copied.  *out is ended by
 * blockstore_finish or blockstore_abandon.
 *
 *   LITEDFS_EXISTS      it is finished here; *existing (may be NULL) says its size and CRC
 *   LITEDFS_LEASE_LOST  it was deleted by order
 *   LITEDFS_LOCKED      it is being written
 *   LITEDFS_NO_SPACE    the disk is full, preserve taken off
 *   LITEDFS_INVALID     block 0, or a path too long */
int blockstore_begin (struct blockstore *self, uint64_t block, const struct uuid *file,
                      uint64_t index, const char *path, size_t path_size, struct writing **out,
                      struct blockstore_block *existing, litedfs_error_t *error);

/* The same by an order of the name node: an id that was deleted may be written again.  Its tombstone goes
 * with the finish, in one transaction; until then it is as deleted as before. */
int blockstore_begin_copy (struct blockstore *self, uint64_t block, const struct uuid *file,
                           uint64_t index, const char *path, size_t path_size,
                           struct writing **out, struct blockstore_block *existing,
                           litedfs_error_t *error);

/* Write bytes.  offset, and size unless these are the last bytes, are multiples of CRC_UNIT.  units are
 * the CRCs of the bytes' units (crc_units gives them), or NULL: then they are computed.  Bytes below
 * writing_offset were written already and are compared by their CRCs instead.
 *
 *   LITEDFS_GAP         offset is above writing_offset; nothing is written
 *   LITEDFS_DIFFERENT   bytes that were written already were others
 *   LITEDFS_INVALID     not a multiple, behind the last bytes, or over 4 GiB
 *   LITEDFS_LEASE_LOST  it was deleted by order meanwhile; only blockstore_abandon is left to do
 *   LITEDFS_IO, LITEDFS_NO_SPACE   writing_offset is as before and the same bytes may be tried again,
 *                       unless write-back of earlier bytes failed: then it says so each time */
int blockstore_append (struct writing *self, uint64_t offset, const void *data, size_t size,
                       const uint32_t *units, litedfs_error_t *error);

/* How many bytes are written without a gap; the block's id; whether it was deleted by order meanwhile.  Do
 * not block. */
uint64_t writing_offset (const struct writing *self);
uint64_t writing_block (const struct writing *self);
bool writing_buried (const struct writing *self);

/* Have the kernel start to write what is left, so that a blockstore_finish soon after is short.  Does not
 * fail and seldom blocks. */
void writing_hurry (struct writing *self);

/* One block to finish, and what became of it.  count: the file's number of blocks, 0 if this is not its
 * last.  On success error.number is 0, writing is NULL, and size, crc and seq are the block's; else
 * error says why (LITEDFS_LEASE_LOST, IO, NO_SPACE, MEMORY), and writing can only be abandoned. */
struct blockstore_finish {
    struct writing *writing;
    uint64_t count;
    uint64_t size;
    uint32_t crc;
    uint64_t seq;
    litedfs_error_t error;
};

/* Make n blocks (1 to BLOCKSTORE_FINISH_MAX) durable with shared syncs, and finished.  Returns 0 if all
 * of them are, else the number of the first that is not, with its text in error. */
int blockstore_finish (struct blockstore *self, struct blockstore_finish *items, size_t n,
                       litedfs_error_t *error);

/* Remove what was written.  Takes NULL, sets it to NULL.  Does not fail: what cannot be removed now is
 * removed at the next start. */
void blockstore_abandon (struct writing **self);

/* ---- reading ----------------------------------------------------------------------------------- */

/* Bytes of room that a read needs: of the whole units that the range touches. */
size_t blockstore_read_room (uint64_t offset, size_t size);

/* Read a range of a finished block, cut at the block's end, with every unit that it touches checked.
 * room has blockstore_read_room (offset, size) bytes; *out is the range within room, *out_crc the CRC
 * of exactly these bytes.
 *
 *   LITEDFS_NOT_FOUND  no such block here
 *   LITEDFS_CORRUPT    the file is damaged or gone: the text names the block and the unit.  The block has
 *                      been set aside
 *   LITEDFS_INVALID    offset is beyond the block's end */
int blockstore_read (struct blockstore *self, uint64_t block, uint64_t offset, size_t size,
                     void *room, struct slice *out, uint32_t *out_crc, litedfs_error_t *error);

/* What the trailer of a finished block says.  path is the caller's to free; it has a NUL behind its last
 * byte, which path_size does not count. */
struct blockstore_description {
    struct uuid file;
    uint64_t index;
    uint64_t count;
    uint64_t size;
    uint32_t crc;
    char *path;
    size_t path_size;
};

/* Describe a finished block.  Errors as blockstore_read. */
int blockstore_describe (struct blockstore *self, uint64_t block,
                         struct blockstore_description *out, litedfs_error_t *error);

/* ---- rot ----------------------------------------------------------------------------------------- */

/* The first finished block with an id of `from` or above; LITEDFS_NOT_FOUND. */
int blockstore_next (struct blockstore *self, uint64_t from, struct blockstore_block *out,
                     litedfs_error_t *error);

/* Look whether a range of a finished block, cut at its end, is as it was written, from the disk rather than
 * from memory.  room has blockstore_read_room (offset, size) bytes.  LITEDFS_CORRUPT: it is not, and the block has been
 * set aside; LITEDFS_NOT_FOUND; LITEDFS_INVALID: as blockstore_read. */
int blockstore_verify (struct blockstore *self, uint64_t block, uint64_t offset, size_t size,
                       void *room, litedfs_error_t *error);

/* How many blocks were set aside since the store was opened.  Does not block. */
uint64_t blockstore_damaged (const struct blockstore *self);

/* A number that grows with what is read and written for others (not by blockstore_verify).  Does not
 * block. */
uint64_t blockstore_traffic (const struct blockstore *self);

/* ---- orders and reports ------------------------------------------------------------------------ */

/* Delete a block, or copy it to the node `target`.  Numbers rise within a call. */
struct blockstore_order {
    uint64_t number;
    uint64_t block;
    enum order_kind kind;
    uint32_t target; // ORDER_COPY
};

/* Run orders of an epoch, some hundred in a transaction.  Delete: a finished block goes, or one that was set
 * aside, a block in
 * writing can only be abandoned, and the id is refused for tombstone_ms.  Copy: nothing happens here but
 * that its number is stored; the caller sees to it.  Orders up to the last number that ran of this
 * epoch are skipped.  LITEDFS_STALE for an epoch below any that was seen (the text says both),
 * LITEDFS_INVALID for numbers that do not rise. */
int blockstore_execute (struct blockstore *self, uint32_t epoch,
                        const struct blockstore_order *orders, size_t n,
                        litedfs_error_t *error);

/* The last order that ran; both 0 if none did. */
void blockstore_last_order (struct blockstore *self, uint32_t *out_epoch, uint64_t *out_number);

/* Remember the highest (epoch, transaction) of the name node that was seen.  A new epoch is durable when
 * this returns 0; a new transaction of the same epoch with the next change of the index, or at close. */
int blockstore_saw (struct blockstore *self, uint32_t epoch, uint64_t transaction,
                    litedfs_error_t *error);
void blockstore_seen (struct blockstore *self, uint32_t *out_epoch, uint64_t *out_transaction);

/* A change of the index: a block added (size and crc are its own), removed (both 0) or set aside (size is
 * its own). */
struct blockstore_change {
    uint64_t seq;
    uint64_t block;
    uint64_t size;
    uint32_t crc;
    enum change_kind kind;
    bool
        beside; // it was not in the index before: what is removed was set aside, or the reverse
};

/* The highest number given to a change, and the highest that was confirmed (every change above it is
 * still listed).  Do not block on the disk. */
uint64_t blockstore_seq (struct blockstore *self);
uint64_t blockstore_confirmed (struct blockstore *self);

/* List unconfirmed changes with a number above `after`, in order, up to max of them. */
int blockstore_changes (struct blockstore *self, uint64_t after, size_t max,
                        struct blockstore_change *out, size_t *out_count,
                        litedfs_error_t *error);

/* Changes up to seq are known elsewhere and are forgotten.  A seq that is not above the one confirmed
 * before does nothing.  LITEDFS_INVALID for one that was not given yet. */
int blockstore_confirm (struct blockstore *self, uint64_t seq, litedfs_error_t *error);

/* Forget the changes that are listed, list those that were set aside anew, and number the next ones above both `above` and blockstore_seq.  For
 * when the reporter's other side knows a higher number than blockstore_seq (the index was rebuilt, or the
 * disk is an old copy), or a lower one than blockstore_confirmed (the other side is an old copy): then
 * numbers say nothing, and inventories are to be compared. */
int blockstore_resume (struct blockstore *self, uint64_t above, litedfs_error_t *error);

/* ---- inventories ------------------------------------------------------------------------------- */

/* What is here of the ids of a bucket (block_id_bucket): XOR of block_id_hash, and how many. */
struct blockstore_digest {
    uint64_t hash;
    uint64_t count;
};

/* The digests of all BLOCK_ID_BUCKETS buckets as of the change confirmed last, *out_seq: what is listed as
 * a change is taken back.  Whoever confirms calls it. */
int blockstore_digests (struct blockstore *self, struct blockstore_digest *out,
                        uint64_t *out_seq, litedfs_error_t *error);

/* The most blocks of which a listing keeps the ids: 8 MiB. */
#define BLOCKSTORE_LISTING_MAX ((uint64_t) 1 << 20)

/* A list of the blocks of some buckets, in order of bucket, then id, to be had in pages.  Blocks that are
 * added after it was made may be in it or not, those that are removed are not in later pages. */
struct blockstore_listing;

/* Make one of as many of the buckets (a bit each, bit b % 8 of byte b / 8), the first ones, as have
 * BLOCKSTORE_LISTING_MAX blocks together, but of one at least; their bits are cleared.  Reads every id.
 * Every block of these buckets that is here now is in it.  LITEDFS_MEMORY. */
int blockstore_listing_new (struct blockstore_listing **out, struct blockstore *store,
                            uint8_t buckets[BLOCK_ID_BUCKETS / 8], litedfs_error_t *error);
void blockstore_listing_destroy (struct blockstore_listing **self);

/* The change as of which it is complete.  Does not block. */
uint64_t blockstore_listing_seq (const struct blockstore_listing *self);

/* What one message takes of it. */
struct blockstore_page {
    uint64_t seq; // the last change when the blocks were looked up
    struct wire_range ranges[BLOCK_ID_BUCKETS]; // that it covers
    size_t ranges_count;                        // 0: the listing is at its end
    struct wire_present *blocks;                // room for `max`
    size_t count;
    size_t max;
};

/* Fill a page with what comes after the position; then, when it is known how much of it was taken, move the
 * position behind (bucket, block). */
int blockstore_listing_page (struct blockstore_listing *self, struct blockstore_page *page,
                             litedfs_error_t *error);
void blockstore_listing_advance (struct blockstore_listing *self, uint32_t bucket,
                                 uint64_t block);

/* ---- upkeep ------------------------------------------------------------------------------------ */

/* Forget tombstones that are due, and keep the index in shape.  Every minute or so. */
int blockstore_expire (struct blockstore *self, litedfs_error_t *error);

#endif
