/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLIENT_BLOCKWRITER_H
#define LITEDFS_CLIENT_BLOCKWRITER_H

/*
 * One block on its way to its nodes: chunks go out to the first of them as far as its credit reaches, it
 * passes them on to the others, replies come back, and at the end it says which of them are durable.
 *
 * The bytes come from a source, so that everything can be sent again: from the node's offset when the
 * node has lost count (it restarted, was busy, a chunk was damaged), from the start when the node has
 * given the block up because we were silent, or when the writer gives the block to another node.  A node
 * that is busy is waited for, up to ten minutes: it lives.  A node whose writer waits for its source is
 * asked for the block's state now and then, so that it does not give the block up.
 *
 * What the first node owes may take long, because it waits for others or for its disk.  When it has said
 * nothing of the block for SESSION_DOUBT_MS it is asked where it is, each second; when it has said nothing
 * of anything for SESSION_SILENCE_MS it has failed.  One that answers is given up only when nothing at
 * all has moved for longer than a node itself waits for another (write_timeout).  A block that fails when
 * some of its nodes are durable is done with those.
 *
 * The owner calls blockwriter_push whenever something may have changed and looks at `state` and at
 * `replicas`, whose failed nodes it may want to avoid.
 */

#include "client/replicas.h"
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
    BLOCKWRITER_DURABLE, // done: size and crc32 are known, and at least one node has it
    BLOCKWRITER_FAILED   // no node will have it this way: error says why
};

struct blockwriter {
    litedfs_t *session;
    struct source *source;
    const char *path;
    struct uuid file;
    uint64_t index;
    uint64_t block;
    struct peer *peer; // the first node
    uint64_t chain[REPLICAS_MAX - 1];
    size_t chain_count;
    struct replicas replicas;
    enum blockwriter_state state;
    litedfs_error_t error; // of the first node, also when the block is durable elsewhere
    bool lost;             // the first node was silent for too long

    uint64_t next;        // offset of the chunk to send next
    uint64_t acked;       // all nodes that shall have it have everything before this
    uint64_t limit;       // credit: nothing at or past this may be sent
    uint64_t size;        // of the block once its end was sent, else WIRE_UNKNOWN
    uint32_t *chunk_crcs; // by offset / BLOCKWRITER_CHUNK, room for `chunks` of them
    uint64_t chunks;
    uint64_t chunks_sent; // so many of them are known
    struct blockwriter_request requests[BLOCKWRITER_PENDING];
    struct blockwriter_request ping;
    unsigned under_way;    // of requests
    bool asking;           // a block.stat is among them
    bool known;            // the node has had something of the block
    bool rewind;           // ask the node where it is, and go on from there
    bool anew;             // with rewind: do not ask, begin at the start
    unsigned rewinds;      // without progress since
    unsigned restarts;     // how often the node had forgotten the block
    unsigned busy_answers; // without progress since
    int64_t busy_since_ms; // monotonic, as all here; of the first of them
    int64_t
        anew_since_ms; // since the node has said that it has given the block up; 0: it has not
    int64_t resume_ms; // nothing is sent before
    int64_t heard_ms;  // when the node answered last, or was asked while it owed nothing
    int64_t pinged_ms;
    int64_t progress_ms; // when anything moved last
    uint32_t crc32;
};

/* What to write, and where. */
struct blockwriter_job {
    uint64_t index;
    uint64_t block;
    uint64_t block_size;
    struct peer *peer;     // the first node; stays the session's
    const uint64_t *chain; // numbers of those after it, copied
    size_t chain_count;    // up to REPLICAS_MAX - 1
};

/* Begin with a block; the blockwriter must be idle.  LITEDFS_MEMORY. */
int blockwriter_start (struct blockwriter *self, const struct blockwriter_job *job,
                       litedfs_error_t *error);

/* Send what may be sent now, and see whether the node has failed.  A local file that cannot be read, or
 * has other bytes when they are sent again, is no fault of the node: that is returned, as LITEDFS_IO. */
int blockwriter_push (struct blockwriter *self, litedfs_error_t *error);

/* The first node of a block that is under way has failed, as others have shown: the block is durable if
 * others have it, else it has failed. */
void blockwriter_give_up (struct blockwriter *self);

/* For how long, in ms, nothing has moved of a block that is under way; 0 while we ourselves wait. */
int64_t blockwriter_stalled_ms (const struct blockwriter *self);

/* Give the block up, or be done with it: idle again.  No callback comes any more. */
void blockwriter_stop (struct blockwriter *self);

/* When blockwriter_push should be called again if nothing happens, in ms; -1: no need. */
long blockwriter_timeout_ms (const struct blockwriter *self);

#endif
