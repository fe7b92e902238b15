/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_PIPELINE_H
#define LITEDFS_DATANODE_PIPELINE_H

/*
 * The write path: what becomes of the chunks of blocks that are being written, here and down the chain.
 *
 * The model.  Events go in (a chunk came, the disk wrote, the next node acked, time passed), actions come
 * out (answer this request, write these bytes, pass them on, ack), and nothing else happens: no socket,
 * thread or clock is known here.  State belongs to the block's id, whoever sends.  Chunks are taken in
 * order only, so what is missing is always one offset.
 *
 * A copy.  The node's own copy of a block is receiving until its chunk with `last` was written, then
 * syncing, then durable; or it failed.  A node whose copy failed and that has others after it goes on as
 * a relay.
 *
 * The chain.  The chunk says which nodes shall follow.  The first of them that was not passed over is the
 * next hop: it gets every chunk, as far as its credit reaches, and acks for itself and everybody after
 * it.  A chunk is kept until all who shall have it have it, so that when a hop is silent for
 * pipeline_timeout while it owes an ack (or is lost, or says that it takes no part) the node after it
 * becomes the hop and is sent what it lacks.  A hop is judged by its own silence only, never by how fast
 * it or anybody after it is; no advance for write_timeout ends a node's part too.
 *
 * The end.  A block is final when the copy here and all others are durable or given up.  Every request
 * has exactly one answer, a PIPELINE_REPLY with its token: for a chunk when it is written everywhere it
 * will be, for the last one when the block is final, or after PIPELINE_LAST_WAIT_MS with the state so
 * far.  Whoever came before in the chain is sent a PIPELINE_ACK when something changes, and each
 * PIPELINE_ACK_MS until the block is final.  A final block of a chain is remembered for
 * PIPELINE_LINGER_MS, so that a lost ack can be had again.
 *
 * Between nodes a chunk may come twice, late or never.  An empty one that is not the last carries
 * nothing: it says that its sender is there, and is acked.
 *
 * Memory.  Each block holds what it keeps and what it may receive beyond that: its credit.  The sum stays
 * under memory_limit.  A block's credit never falls below the chunk that it was admitted with, so what
 * has started goes on; when nothing is left, new blocks are answered `busy`.  A block of which nobody was
 * heard for PIPELINE_IDLE_MS keeps one unit: its writer may be dead, and if it is only slow its next chunk
 * is taken when there is room, else answered `busy`.  A block with nodes after it must leave a part of the
 * memory and of PIPELINE_BLOCKS_MAX to those with fewer, so that nodes that write to each other in a ring
 * never wait for one another.
 *
 * Copies by order are the same chain with the disk in place of a client: PIPELINE_READ asks for the bytes.
 *
 * Caveats.  The caller drains pipeline_next after each event.  Payloads are opaque here: one that was
 * taken is lent in WRITE and FORWARD, and given back in exactly one PIPELINE_RELEASE; all others stay the
 * caller's.
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
#define PIPELINE_NODES_MAX 64                // of a block: this one and its chain
#define PIPELINE_LAST_WAIT_MS 1000
#define PIPELINE_IDLE_MS 5000
#define PIPELINE_ACK_MS 1000
#define PIPELINE_LINGER_MS 10000
#define PIPELINE_LINGER_MAX 4096 // final blocks that are remembered
#define PIPELINE_BLOCK_SIZE_MAX ((uint64_t) 4 << 30)
#define PIPELINE_PATH_MAX 4096

struct pipeline;

struct pipeline_limits {
    uint64_t memory;              // bytes of all blocks together
    uint64_t write_timeout_ms;    // a copy that does not advance for so long is given up
    uint64_t pipeline_timeout_ms; // a hop that owes an ack and is silent so long is passed over
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
    const uint64_t *chain; // nodes that shall follow, the next one first
    size_t chain_count;
    uint32_t from; // the node that sent it and is sent acks; 0: a client, who waits for `token`
    bool copy;     // by order: taken although the block is buried
    void *payload; // what owns the data
};

/* How far the copy of one node is. */
struct pipeline_replica {
    uint32_t node;
    enum replica_state state;
    uint64_t offset; // bytes written without a gap
    uint32_t awaits; // the node that it waits for, its own part being done; 0: none
};

/* How far a block is, all copies together: durable when it is final and somebody has it, failed when
 * nobody has. */
struct pipeline_state {
    enum replica_state state;
    uint64_t offset; // bytes written without a gap by all who shall have them
    uint64_t credit; // bytes beyond offset (ACK: beyond this node's own) that may be on the way
    uint64_t size;   // durable blocks only, else 0
    uint32_t crc32;
};

/* What comes from the node after us. */
struct pipeline_ack {
    uint64_t block;
    uint32_t from;
    uint64_t credit;                         // bytes past its own offset that it may be sent
    const struct pipeline_replica *replicas; // its own first, then those after it
    size_t replica_count;
    int failure; // of err.def: what it says of itself; 0: nothing
    const char *why;
};

/* A copy by order: this finished block is to be sent to `target`. */
struct pipeline_copy {
    uint64_t block;
    uint64_t size;
    uint32_t crc32;
    struct uuid file;
    uint64_t index;
    struct slice path;
    uint64_t count;
    uint32_t target;
};

/* What is to be done.
 *
 *   REPLY     answer the request `token`: with `error` if not 0, else with `state` and `replicas`
 *   WRITE     write the payload, then call pipeline_written; after the last one, when the block is
 *             durable or cannot be, pipeline_durable
 *   FORWARD   send the chunk to `node` as chain.write; it may have no bytes, with and without `last`
 *   ACK       send `node` a chain.ack: state.credit, `replicas`, and `error` with `text` if not 0
 *   RELEASE   the payload is the caller's again
 *   COMPARE   compare a range of a finished block with crc32, for the request `token`; then call
 *             pipeline_compared
 *   ABANDON   remove what was written of the block
 *   READ      read a range of a block that is copied; then call pipeline_was_read
 *   COPIED    the copy to `node` has ended: `error` is 0 if it has the block
 *   PASSED    `node` is passed over in this block from now on; for the log: `error` and `text` say why
 */
enum pipeline_action_kind {
    PIPELINE_REPLY = 1,
    PIPELINE_WRITE,
    PIPELINE_FORWARD,
    PIPELINE_ACK,
    PIPELINE_RELEASE,
    PIPELINE_COMPARE,
    PIPELINE_ABANDON,
    PIPELINE_READ,
    PIPELINE_COPIED,
    PIPELINE_PASSED
};

/* One action; members that its kind does not name are 0.  The pointers are valid until the next call,
 * payloads until their RELEASE. */
struct pipeline_action {
    enum pipeline_action_kind kind;
    uint64_t block;
    uint32_t node;                           // FORWARD, ACK, COPIED, PASSED
    uint64_t token;                          // REPLY, COMPARE
    int error;                               // REPLY, ACK, COPIED, PASSED: of err.def, or 0
    const char *text;                        // with error, up to 255 bytes
    struct pipeline_state state;             // REPLY, ACK
    const struct pipeline_replica *replicas; // REPLY, ACK: this node's own first
    size_t replica_count;
    uint64_t offset;       // WRITE, FORWARD, COMPARE, READ
    size_t size;           // WRITE, FORWARD, COMPARE, READ
    void *payload;         // WRITE, FORWARD: lent, NULL if size is 0; RELEASE: given back
    const uint32_t *units; // WRITE: CRC of each 64 KiB unit of the payload
    size_t unit_count;     // WRITE
    bool last;             // WRITE, FORWARD: these are the block's last bytes
    uint64_t count;        // WRITE, FORWARD with last
    struct uuid file;      // WRITE, FORWARD: whose block this is
    uint64_t index;        // WRITE, FORWARD
    struct slice path;     // WRITE, FORWARD
    uint32_t crc32;        // FORWARD, COMPARE
    const uint64_t *chain; // FORWARD: who comes after `node`
    size_t chain_count;    // FORWARD
    bool copy;             // WRITE, FORWARD: by order
};

/* NULL when memory is short. */
struct pipeline *pipeline_new (const struct pipeline_limits *limits);

/* This node's number, for `replicas`; 0 until it has one, and then no chunk may come. */
void pipeline_set_node (struct pipeline *self, uint32_t node);

/* Give everything up, before pipeline_destroy: the actions that follow are the RELEASE of every payload. */
void pipeline_stop (struct pipeline *self);

/* Free it, after pipeline_stop and the last action; requests that still wait are not answered.  Takes
 * NULL, sets it to NULL. */
void pipeline_destroy (struct pipeline **self);

/* Whether the block is in write here.  If not, pipeline_write and pipeline_stat want to know what the
 * block store says. */
bool pipeline_has (const struct pipeline *self, uint64_t block);

/* Whether the disk is full: new blocks are then refused, those in write go on. */
void pipeline_set_full (struct pipeline *self, bool full);

/* A chunk came.  known may be NULL when pipeline_has is true.  Returns whether the payload was taken.
 * Errors that the reply (of a node's chunk: the ack) may carry: INVALID, CORRUPT, GAP, EXISTS, BUSY,
 * NO_SPACE, IO, LEASE_LOST, TIMEOUT, MEMORY. */
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

/* The finished block is not here any more, because it was damaged: it is not remembered as finished, and may
 * come anew.  One that is in write stays. */
void pipeline_lost (struct pipeline *self, uint64_t block);

/* The next node says how far the block is.  One that is not expected, or that cannot be, changes
 * nothing. */
void pipeline_acked (struct pipeline *self, int64_t now_ms, const struct pipeline_ack *ack);

/* A node has no connection any more and none can be made: it is passed over in every block whose hop it
 * is, and is sent no acks until it sends again. */
void pipeline_node_lost (struct pipeline *self, int64_t now_ms, uint32_t node);

/* Send a finished block to a node; the actions READ, FORWARD and in the end COPIED follow.  LITEDFS_BUSY
 * if the block is in write or copied here already, or too much is under way; LITEDFS_INVALID if the
 * target cannot be, LITEDFS_MEMORY. */
int pipeline_start_copy (struct pipeline *self, int64_t now_ms,
                         const struct pipeline_copy *copy, litedfs_error_t *error);

/* The end of a PIPELINE_READ, of which a block has one at a time: its bytes, or an error.  Returns whether
 * the payload was taken. */
bool pipeline_was_read (struct pipeline *self, int64_t now_ms, uint64_t block, uint64_t offset,
                        const void *data, size_t size, void *payload,
                        const litedfs_error_t *error);

/* We did not run for the last ms: nobody's silence in that time counts.  To be called after what came
 * meanwhile was taken, before pipeline_tick. */
void pipeline_forgive (struct pipeline *self, int64_t now_ms, int64_t ms);

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
