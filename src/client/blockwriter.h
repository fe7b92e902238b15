/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLIENT_BLOCKWRITER_H
#define LITEDFS_CLIENT_BLOCKWRITER_H

/*
 * One block on its way to its node: chunks go out as far as the node's credit reaches, replies come
 * back, and at the end the node says that the block is durable.
 *
 * The bytes come from a source, so that everything can be sent again: from the node's offset when the
 * node has lost count (it restarted, was busy, a chunk was damaged), from the start when the writer gives the
 * block to another node.  A node that is busy is waited for, up to ten minutes: it lives.  A node whose
 * writer waits for its source is asked for the block's state now and then, so that it does not give the
 * block up.  The owner calls blockwriter_push whenever something may have changed and looks at `state`.
 */

#include "client/session.h"
#include "client/source.h"

#define BLOCKWRITER_CHUNK ((uint64_t) 1 << 20) // bytes of a chunk
#define BLOCKWRITER_WINDOW                                                                     \
    ((uint64_t) 8 << 20)       // most bytes of a block under way, whatever the credit
#define BLOCKWRITER_PENDING 16 // most requests of a block under way

struct blockwriter;

/* A request under way; id 0: none. */
struct blockwriter_request {
    struct blockwriter *owner;
    int64_t id;
};

enum blockwriter_state {
    BLOCKWRITER_IDLE,    // no block
    BLOCKWRITER_WRITING, // chunks are under way
    BLOCKWRITER_WAITING, // all is sent; waiting for "durable"
    BLOCKWRITER_DURABLE, // done: size and crc32 are known
    BLOCKWRITER_FAILED   // this node will not take it: error says why
};

struct blockwriter {
    litedfs_t *session;
    struct source *source;
    const char *path;
    struct uuid file;
    uint64_t index;
    uint64_t block;
    struct peer *peer;
    enum blockwriter_state state;
    litedfs_error_t error;

    uint64_t next;        // offset of the chunk to send next
    uint64_t acked;       // the node has everything before this
    uint64_t limit;       // credit: nothing at or past this may be sent
    uint64_t size;        // of the block once its end is sent, else WIRE_UNKNOWN
    uint32_t *chunk_crcs; // by offset / BLOCKWRITER_CHUNK, room for `chunks` of them
    uint64_t chunks;
    uint64_t chunks_sent; // so many of them are known
    struct blockwriter_request requests[BLOCKWRITER_PENDING];
    unsigned under_way;
    bool asking;           // a block.stat is under way
    bool known;            // the node has had something of the block
    bool rewind;           // ask the node where it is, and go on from there
    unsigned rewinds;      // without progress since
    unsigned restarts;     // how often the node had forgotten the block
    unsigned busy_answers; // without progress since
    int64_t busy_since_ms; // monotonic; of the first of them
    int64_t resume_ms;     // monotonic; nothing is sent before
    int64_t heard_ms;      // monotonic; when the node answered last
    int64_t progress_ms;   // monotonic; when the node moved last
    uint32_t crc32;
};

/* Begin with a block; the blockwriter must be idle.  The peer stays the session's.  LITEDFS_MEMORY. */
int blockwriter_start (struct blockwriter *self, uint64_t index, uint64_t block,
                       uint64_t block_size, struct peer *peer, litedfs_error_t *error);

/* Send what may be sent now, and see whether the node has failed.  A local file that cannot be read, or
 * has other bytes when they are sent again, is no fault of the node: that is returned, as LITEDFS_IO. */
int blockwriter_push (struct blockwriter *self, litedfs_error_t *error);

/* Give the block up, or be done with it: idle again.  No callback comes any more. */
void blockwriter_stop (struct blockwriter *self);

/* When blockwriter_push should be called again if nothing happens, in ms; -1: no need. */
long blockwriter_timeout_ms (const struct blockwriter *self);

#endif
