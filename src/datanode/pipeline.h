/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_PIPELINE_H
#define LITEDFS_DATANODE_PIPELINE_H

/*
 * The write path: what becomes of the chunks of blocks that are being written.
 *
 * The model.  Events go in (a chunk came, the disk wrote, time passed), actions come out (answer this
 * request, write these bytes, make this block durable), and nothing else happens: no socket, thread
 * or clock is known here.  State belongs to the block's id, whoever sends.  A block is receiving until
 * its chunk with `last` was written, then syncing, then durable; it then leaves, because from there on
 * the block store knows it.  Chunks are taken in order only, so what is missing is always one offset.
 *
 * Every request has exactly one answer, a PIPELINE_REPLY with its token: for a chunk when it is
 * written, for the last one when the block is durable, or after PIPELINE_LAST_WAIT_MS with the state
 * so far.
 *
 * Memory.  Each block holds what it may receive beyond what is written: its credit.  The sum stays
 * under memory_limit.  A block's credit never falls below the chunk that it was admitted with, so what
 * has started goes on; when nothing is left, new blocks are answered `busy`.  A block of which nobody was
 * heard for PIPELINE_IDLE_MS keeps one unit: its writer may be dead, and if it is only slow its next chunk
 * is taken when there is room, else answered `busy`.
 *
 * Caveats.  The caller drains pipeline_next after each event.  Payloads are opaque here: one that was
 * taken comes out again in a PIPELINE_WRITE, all others stay the caller's.
 */

#include "base/buf.h"
#include "base/crc.h"
#include "base/id.h"
#include "litedfs.h"
#include "wire/message.h"

#define PIPELINE_UNITS_MAX (WIRE_CHUNK_MAX / CRC_UNIT)
#define PIPELINE_WINDOW ((uint64_t) 8 << 20) // most credit of a block, in bytes
#define PIPELINE_BLOCKS_MAX 256              // blocks in write at a time: each is an open file
#define PIPELINE_WAITERS_MAX 256             // unanswered requests for one block
#define PIPELINE_LAST_WAIT_MS 1000
#define PIPELINE_IDLE_MS 5000
#define PIPELINE_BLOCK_SIZE_MAX ((uint64_t) 4 << 30)
#define PIPELINE_PATH_MAX 4096

struct pipeline;

struct pipeline_limits {
    uint64_t memory;           // bytes of all blocks together
    uint64_t write_timeout_ms; // a block of which nobody was heard for longer is given up
};

/* What the block store says about a block that the pipeline does not have. */
struct pipeline_known {
    bool finished; // it is here, with this size and CRC
    uint64_t size;
    uint32_t crc32;
    bool buried; // it was deleted by order a while ago
};

/* A chunk as it came.  Slices are borrowed for the call. */
struct pipeline_chunk {
    uint64_t block;
    uint64_t offset;
    const void *data;
    size_t size;
    uint32_t crc32;
    bool last;
    struct uuid file; // first chunk: file, index, path
    uint64_t index;
    struct slice path;
    uint64_t count; // last chunk of a file's last block: how many blocks the file has; else 0
    size_t chain_count; // nodes that shall follow
    void *payload;      // what owns the data
};

/* How far a block is. */
struct pipeline_state {
    enum replica_state state;
    uint64_t offset; // bytes written without a gap
    uint64_t credit; // bytes beyond offset that may be on the way
    uint64_t size;   // durable blocks only, else 0
    uint32_t crc32;
};

enum pipeline_action_kind {
    PIPELINE_REPLY = 1, // answer the request `token`: with `error` if not 0, else with `state`
    PIPELINE_WRITE, // write the payload, then call pipeline_written; after the last one, when the
                    // block is durable or cannot be, pipeline_durable
    PIPELINE_COMPARE, // compare a range of a finished block with crc32; then pipeline_compared
    PIPELINE_ABANDON  // remove what was written of the block
};

/* One action; members that its kind does not name are 0.  The pointers are valid until the next
 * event. */
struct pipeline_action {
    enum pipeline_action_kind kind;
    uint64_t block;
    uint64_t token;              // REPLY, COMPARE
    int error;                   // REPLY: a number of err.def, or 0
    const char *text;            // REPLY with error
    struct pipeline_state state; // REPLY
    uint64_t offset;             // WRITE, COMPARE
    size_t size;                 // WRITE, COMPARE
    void *payload;               // WRITE: now the caller's again; NULL if size is 0
    const uint32_t *units;       // WRITE: CRC of each 64 KiB unit of the payload
    size_t unit_count;           // WRITE
    bool last;                   // WRITE: these are the block's last bytes
    uint64_t count;              // WRITE with last
    struct uuid file;            // WRITE: whose block this is
    uint64_t index;              // WRITE
    struct slice path;           // WRITE
    uint32_t crc32;              // COMPARE
};

/* NULL when memory is short. */
struct pipeline *pipeline_new (const struct pipeline_limits *limits);

/* Free it.  All actions have been fetched before; requests that still wait are not answered.  Takes
 * NULL, sets it to NULL. */
void pipeline_destroy (struct pipeline **self);

/* Whether the block is in write here.  If not, pipeline_write and pipeline_stat want to know what the
 * block store says. */
bool pipeline_has (const struct pipeline *self, uint64_t block);

/* Whether the disk is full: new blocks are then refused, those in write go on. */
void pipeline_set_full (struct pipeline *self, bool full);

/* A chunk came.  known may be NULL when pipeline_has is true.  Returns whether the payload was taken.
 * Errors that the reply may carry: INVALID, CORRUPT, GAP, EXISTS, BUSY, NO_SPACE, IO, LEASE_LOST,
 * UNSUPPORTED, TIMEOUT, MEMORY. */
bool pipeline_write (struct pipeline *self, int64_t now_ms, const struct pipeline_chunk *chunk,
                     const struct pipeline_known *known, uint64_t token);

/* Somebody asks how far a block is, and waits up to wait_ms for it to be durable or to fail. */
void pipeline_stat (struct pipeline *self, int64_t now_ms, uint64_t block, uint64_t wait_ms,
                    const struct pipeline_known *known, uint64_t token);

/* The disk has done what a PIPELINE_WRITE of `size` bytes asked for, or failed to (error with its
 * text).  Those of a block come back in their order. */
void pipeline_written (struct pipeline *self, int64_t now_ms, uint64_t block, size_t size,
                       const litedfs_error_t *error);

/* The block whose last PIPELINE_WRITE was done is durable, or cannot be and is gone. */
void pipeline_durable (struct pipeline *self, int64_t now_ms, uint64_t block,
                       const litedfs_error_t *error);

/* The same for a PIPELINE_COMPARE.  equal says whether the range has that CRC; state is the finished
 * block's. */
void pipeline_compared (struct pipeline *self, uint64_t block, uint64_t token, bool equal,
                        const struct pipeline_known *known, const litedfs_error_t *error);

/* The block is to be deleted: its writer is told so, and nothing more of it is taken. */
void pipeline_forget (struct pipeline *self, int64_t now_ms, uint64_t block);

/* Time passed: answers what has waited long enough, gives up what does not advance. */
void pipeline_tick (struct pipeline *self, int64_t now_ms);

/* When pipeline_tick has something to do next; INT64_MAX if nothing waits. */
int64_t pipeline_next_deadline (const struct pipeline *self);

/* The next action, in order; false when there is none.  */
bool pipeline_next (struct pipeline *self, struct pipeline_action *out);

/* For the status: blocks in write, bytes that they hold. */
size_t pipeline_block_count (const struct pipeline *self);
uint64_t pipeline_reserved (const struct pipeline *self);

#endif
