/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_PIPELINE_BLOCK_H
#define LITEDFS_DATANODE_PIPELINE_BLOCK_H

/*
 * What pipeline.c is made of, for it alone: the blocks in write with their numbers, the requests that
 * wait for one, and the queue of actions.
 *
 * The queue always has room for an answer to every waiter and one action for every block, so that
 * nothing is lost for want of memory: room is made before a waiter or a block is taken.
 */

#include "datanode/pipeline.h"

#define PIPELINE_BUCKETS 256
#define PIPELINE_TEXT_SIZE 256

/* What a waiter waits for: so many bytes written; the block durable, or a while; the same, of somebody
 * who only asks. */
enum pipeline_wait { PIPELINE_WAIT_WRITTEN, PIPELINE_WAIT_DURABLE, PIPELINE_WAIT_STAT };

struct pipeline_waiter {
    uint64_t token;
    enum pipeline_wait what;
    uint64_t until;      // WRITTEN: answered when so much is written
    int64_t deadline_ms; // the others: answered then with the state so far
};

struct pipeline_block {
    struct pipeline_block *next; // in its bucket
    uint64_t id;
    struct uuid file;
    uint64_t index;
    uint32_t crc;        // of the bytes received
    uint64_t received;   // bytes taken, all in order
    uint64_t written;    // bytes that the disk has
    uint64_t buffered;   // bytes given to the disk that did not come back
    uint64_t hold;       // bytes of the memory that it has reserved
    uint64_t chunk;      // its largest chunk
    unsigned writes;     // given to the disk that did not come back
    int64_t advanced_ms; // when received or written last grew, or somebody asked
    bool complete;       // the last chunk was given to the disk
    bool syncing;        // and written: pipeline_durable is to follow
    bool durable;
    int error; // 0, or what made it fail
    char text[PIPELINE_TEXT_SIZE];
    struct pipeline_waiter *waiters;
    size_t waiter_count;
    size_t waiter_room;
    struct slice path; // follows the struct
    char path_bytes[];
};

/* An action with room for what it points at. */
struct pipeline_queued {
    struct pipeline_action action;
    char text[PIPELINE_TEXT_SIZE];
    uint32_t units[PIPELINE_UNITS_MAX];
};

struct pipeline {
    struct pipeline_limits limits;
    struct pipeline_block *buckets[PIPELINE_BUCKETS];
    size_t block_count;
    size_t waiter_count;
    uint64_t reserved; // sum of the blocks' holds
    bool full;
    int64_t deadline_ms;
    struct pipeline_queued *queue;
    size_t queue_head;
    size_t queue_size;
    size_t queue_room;
};

/* The block, or NULL. */
struct pipeline_block *pipeline_find (const struct pipeline *self, uint64_t id);

/* A new block for its first chunk, with nothing received yet.  NULL when memory is short. */
struct pipeline_block *pipeline_add (struct pipeline *self, const struct pipeline_chunk *chunk,
                                     int64_t now_ms);

/* Drop a block that nobody waits for and that the disk does not work at. */
void pipeline_remove (struct pipeline *self, struct pipeline_block *block);

/* Whether the disk still has work of this block. */
bool pipeline_disk_busy (const struct pipeline_block *block);

/* Let the block hold so many bytes of the memory. */
void pipeline_hold (struct pipeline *self, struct pipeline_block *block, uint64_t hold);

/* Have the next tick no later than this. */
void pipeline_tick_until (struct pipeline *self, int64_t deadline_ms);

/* Make sure that all waiters can be answered and one thing be done for each block, with `more` of them
 * to come.  False when memory is short. */
bool pipeline_reserve (struct pipeline *self, size_t more);

/* The next free action, with its kind and block set and the rest zero. */
struct pipeline_queued *pipeline_push (struct pipeline *self, enum pipeline_action_kind kind,
                                       uint64_t block);

/* Answer a request: with an error whose text names the block; with one of ours, which is given the
 * block's name; with what the store says of a finished block; with the block's state. */
void pipeline_reply_error (struct pipeline *self, uint64_t id, uint64_t token, int number,
                           const char *text);
void pipeline_refuse (struct pipeline *self, uint64_t id, uint64_t token, int number,
                      const char *text);
void pipeline_reply_known (struct pipeline *self, uint64_t id, uint64_t token,
                           const struct pipeline_known *known);
void pipeline_reply_block (struct pipeline *self, const struct pipeline_block *block,
                           uint64_t token);

/* Let a request wait; it is answered at once if it need not.  False if it cannot wait: then it has been
 * told so. */
bool pipeline_wait (struct pipeline *self, struct pipeline_block *block,
                    const struct pipeline_waiter *waiter, int64_t now_ms);

/* Answer the waiters of a block that have waited enough; the others stay in their order. */
void pipeline_wake (struct pipeline *self, struct pipeline_block *block, int64_t now_ms);

#endif
