/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_PIPELINE_BLOCK_H
#define LITEDFS_DATANODE_PIPELINE_BLOCK_H

/*
 * What the pipeline is made of, for its own files alone: the blocks with their numbers, the chunks that
 * are kept, the requests that wait, and the queue of actions.
 *
 * How the files share the work.  An event (pipeline.c, pipeline_chain.c, pipeline_copy.c) notes in the
 * block what it says and then calls pipeline_settle, the one place that draws the conclusions: who is
 * the next hop and what it is sent, what need not be kept any more, whether the block is final, who is
 * answered.  pipeline_block.c has the mechanics below.
 *
 * The queue always has room for an answer to every waiter, for the release of every kept chunk and for
 * three more actions of every block, so that none of these is lost for want of memory: room is made before
 * a waiter, a chunk or a block is taken.  What is sent to other nodes needs no such care: it is as good
 * as lost on the way.
 */

#include "datanode/pipeline.h"

#define PIPELINE_BUCKETS 1024
#define PIPELINE_TEXT_SIZE 256
#define PIPELINE_UPSTREAMS_MAX 4 // nodes that are sent acks of a block
#define PIPELINE_SHARES 8 // of memory and blocks: one is for blocks with fewer nodes after them
#define PIPELINE_SHARES_LEFT 4 // and so many at most

/* What a waiter waits for: so many bytes written; the block final, or a while; the same, of somebody
 * who only asks. */
enum pipeline_wait { PIPELINE_WAIT_WRITTEN, PIPELINE_WAIT_FINAL, PIPELINE_WAIT_STAT };

struct pipeline_waiter {
    uint64_t token;
    enum pipeline_wait what;
    uint64_t until;      // WRITTEN: answered when so much is written
    int64_t deadline_ms; // the others: answered then with the state so far
};

/* A chunk that the disk or somebody in the chain does not have yet. */
struct pipeline_kept {
    struct pipeline_kept *next; // that is behind it in the block
    uint64_t offset;
    size_t size;
    uint32_t crc32;
    bool at_disk; // the disk was given it and has not said that it is done
    void *payload;
    size_t unit_count;
    uint32_t units[]; // for the disk
};

/* What we know of a node of the chain besides its copy. */
struct pipeline_member {
    int64_t advanced_ms; // when its copy last advanced
    uint64_t finished; // it says that it has finished the block with so many bytes; 0: not yet
};

/* In write; final; failed, everywhere. */
enum pipeline_stage { PIPELINE_OPEN, PIPELINE_FINAL, PIPELINE_FAILED, PIPELINE_STAGES };

struct pipeline_block {
    struct pipeline_block *bucket_next;
    struct pipeline_block *previous; // of its stage, the oldest first
    struct pipeline_block *next;
    enum pipeline_stage stage;
    int64_t ended_ms;    // FINAL, FAILED: since when
    int64_t deadline_ms; // OPEN: when it wants the next tick

    uint64_t id;
    struct uuid file;
    uint64_t index;
    uint64_t count; // of the file's blocks, if this is the last
    struct slice path;
    bool copy; // it comes by order

    // What came, and the own copy.
    uint32_t crc;      // of the bytes received
    uint64_t received; // bytes taken, all in order
    uint64_t written;  // bytes that the disk has
    uint64_t chunk;    // its largest chunk
    uint64_t hold;     // bytes of the memory that it has reserved
    uint64_t stuck;    // bytes that a disk has which did not come back for write_timeout
    unsigned writes;   // given to the disk that did not come back
    bool complete;     // the last chunk has come
    bool disk_last;    // the disk was given the block's end
    bool syncing;      // and has written it: pipeline_durable is to follow
    bool durable;
    bool abandoned;      // the disk was told to remove it
    int error;           // 0, or what made the own copy fail (of a copy by order: all of it)
    int64_t own_ms;      // when the disk began, or last came back
    int64_t advanced_ms; // when its writer was last heard, or could go on
    char text[PIPELINE_TEXT_SIZE]; // with error
    struct pipeline_kept *kept;    // in order
    struct pipeline_kept **kept_end;
    uint64_t kept_bytes;
    struct pipeline_waiter *waiters;
    size_t waiter_count;
    size_t waiter_room;

    // Who came before.
    uint32_t upstreams[PIPELINE_UPSTREAMS_MAX];
    size_t upstream_count;
    int64_t acked_ms; // when they were last told
    bool changed;     // they are to be told

    // Who comes after.
    size_t chain_count;
    struct pipeline_replica *replicas; // the own copy, then those of the chain
    struct pipeline_member *members;   // of each of the chain
    uint64_t *after;                   // the nodes after the hop
    size_t after_count;
    size_t skip;    // so many of the chain, the first ones, need nobody to serve them
    size_t hop;     // of the chain: the one that we serve; chain_count: none
    uint64_t sent;  // bytes sent to it
    bool sent_last; // and the block's end
    uint64_t limit; // up to which it may be sent bytes
    bool owes;      // an ack, since owes_ms
    bool retry;     // from its offset, at retry_ms
    bool forgot;    // it said at forgot_ms that it lacks what is not kept
    int64_t owes_ms;
    int64_t heard_ms; // its last ack
    int64_t asked_ms; // when it was last asked
    int64_t retry_ms;
    int64_t rewound_ms; // when it was last sent anew
    int64_t forgot_ms;
    int64_t forwarded_ms; // when it was last sent anything

    // A copy by order from here.
    bool source;
    bool reading;
    uint64_t size;
    uint32_t whole_crc; // of all its bytes
};

/* An action with room for what it points at. */
struct pipeline_queued {
    struct pipeline_action action;
    char text[PIPELINE_TEXT_SIZE];
    struct pipeline_replica own;  // the replicas of a block that is not here
    struct pipeline_block *block; // whose replicas are told as they are then
};

struct pipeline_list {
    struct pipeline_block *first;
    struct pipeline_block *last;
    size_t count;
};

struct pipeline {
    struct pipeline_limits limits;
    uint32_t node;
    struct pipeline_block *buckets[PIPELINE_BUCKETS];
    struct pipeline_list lists[PIPELINE_STAGES];
    struct pipeline_block *removed; // freed when no action can name them
    struct pipeline_kept *released;
    size_t waiter_count;
    size_t kept_count;
    uint64_t reserved; // sum of the blocks' holds
    bool full;
    int64_t deadline_ms;
    struct pipeline_queued *queue;
    size_t queue_head;
    size_t queue_size;
    size_t queue_room;
};

/* ---- pipeline_block.c: blocks ----------------------------------------------------------------- */

/* The block, or NULL. */
struct pipeline_block *pipeline_find (const struct pipeline *self, uint64_t id);

/* A new block for its first chunk, with nothing received yet.  NULL when memory is short. */
struct pipeline_block *pipeline_add (struct pipeline *self, const struct pipeline_chunk *chunk,
                                     int64_t now_ms);

/* Drop a block that nobody waits for, that keeps nothing and that the disk does not work at.  It can be
 * read until the actions that there are have been fetched. */
void pipeline_remove (struct pipeline *self, struct pipeline_block *block);

/* Put the block at the end of the list of a stage. */
void pipeline_enter (struct pipeline *self, struct pipeline_block *block,
                     enum pipeline_stage stage);

/* Whether the disk still has work of this block. */
bool pipeline_disk_busy (const struct pipeline_block *block);

/* Let the block hold so many bytes of the memory. */
void pipeline_hold (struct pipeline *self, struct pipeline_block *block, uint64_t hold);

/* How much of the memory, and how many blocks, a block with so many nodes after it may see taken. */
uint64_t pipeline_share (uint64_t whole, size_t chain_count);

/* Have the next tick no later than this. */
void pipeline_tick_until (struct pipeline *self, int64_t deadline_ms);

/* ---- what is kept ----------------------------------------------------------------------------- */

/* Keep a chunk that is next in its block.  NULL when memory is short. */
struct pipeline_kept *pipeline_keep (struct pipeline *self, struct pipeline_block *block,
                                     const struct pipeline_chunk *chunk, const uint32_t *units);

/* Take back the last chunk that was kept: its payload stays the caller's. */
void pipeline_unkeep (struct pipeline *self, struct pipeline_block *block,
                      struct pipeline_kept *kept);

/* The chunk that holds the byte at this offset; NULL if it is not kept. */
struct pipeline_kept *pipeline_kept_at (const struct pipeline_block *block, uint64_t offset);

/* Give back what neither the disk nor anybody up to `low` needs; returns how many bytes. */
uint64_t pipeline_release (struct pipeline *self, struct pipeline_block *block, uint64_t low);

/* ---- what a block says of itself -------------------------------------------------------------- */

/* A copy that will not change any more; one that may become or is durable. */
bool pipeline_is_final (const struct pipeline_replica *replica);
bool pipeline_is_copy (const struct pipeline_replica *replica);

/* Whether anybody in the chain has a copy or may still have one. */
bool pipeline_chain_lives (const struct pipeline_block *block);

/* Bytes written without a gap by all who shall have them and have not finished the block. */
uint64_t pipeline_low (const struct pipeline_block *block);

struct pipeline_state pipeline_state_of (const struct pipeline_block *block);

/* ---- actions ---------------------------------------------------------------------------------- */

/* Make sure of the room that is promised above, with `more` actions to come.  False when memory is
 * short. */
bool pipeline_reserve (struct pipeline *self, size_t more);

/* The next free action, with its kind and block set and the rest zero.  The second is for what may be
 * lost: NULL when memory is short. */
struct pipeline_queued *pipeline_push (struct pipeline *self, enum pipeline_action_kind kind,
                                       uint64_t block);
struct pipeline_queued *pipeline_try_push (struct pipeline *self,
                                           enum pipeline_action_kind kind, uint64_t block);

/* Answer a request: with an error whose text names the block; with what the store says of a finished
 * block; with the block's state. */
void pipeline_reply_error (struct pipeline *self, uint64_t id, uint64_t token, int number,
                           const char *text);
void pipeline_reply_known (struct pipeline *self, uint64_t id, uint64_t token,
                           const struct pipeline_known *known);
void pipeline_reply_block (struct pipeline *self, struct pipeline_block *block, uint64_t token);

/* Ack a block to a node: one that is here, with an error or 0; one that is not. */
void pipeline_ack_block (struct pipeline *self, struct pipeline_block *block, uint32_t node,
                         int number, const char *text);
void pipeline_ack_known (struct pipeline *self, uint64_t id, uint32_t node,
                         enum replica_state state, uint64_t offset, int number,
                         const char *text);

/* Refuse a chunk: the request, or the node.  text is given the block's name. */
void pipeline_refuse (struct pipeline *self, const struct pipeline_chunk *chunk, uint64_t token,
                      int number, const char *text);

/* Let a request wait; it is answered at once if it need not.  False if it cannot wait: then it has been
 * told so. */
bool pipeline_wait (struct pipeline *self, struct pipeline_block *block,
                    const struct pipeline_waiter *waiter, int64_t now_ms);

/* Answer the waiters of a block that have waited enough; the others stay in their order. */
void pipeline_wake (struct pipeline *self, struct pipeline_block *block, int64_t now_ms);

/* ---- pipeline_settle.c ------------------------------------------------------------------------ */

/* Draw the conclusions from whatever happened to a block.  It may be removed here. */
void pipeline_settle (struct pipeline *self, struct pipeline_block *block, int64_t now_ms);

/* The own copy failed: the block goes on as a relay if it can.  text names the block. */
void pipeline_fail_own (struct pipeline *self, struct pipeline_block *block, int64_t now_ms,
                        int number, const char *text);

/* The block failed, whoever else may have it: to be settled afterwards.  text is given the block's
 * name. */
void pipeline_give_up (struct pipeline *self, struct pipeline_block *block, int64_t now_ms,
                       int number, const char *text);

/* Whether the block's writer could send and does not. */
bool pipeline_awaits_writer (const struct pipeline_block *block);

/* ---- pipeline_chain.c ------------------------------------------------------------------------- */

/* Choose the hop, send it what may be sent, see whether it owes an ack. */
void pipeline_chain_settle (struct pipeline *self, struct pipeline_block *block,
                            int64_t now_ms);

/* Pass over whoever is silent or stands still, ask a hop that is silent, let one that waits for its
 * writer know that we are there. */
void pipeline_chain_tick (struct pipeline *self, struct pipeline_block *block, int64_t now_ms);

/* When the chain wants the next tick. */
int64_t pipeline_chain_deadline (const struct pipeline *self,
                                 const struct pipeline_block *block);

/* ---- pipeline_copy.c -------------------------------------------------------------------------- */

/* Of a block that is copied from here: ask for the bytes that may be sent next. */
void pipeline_copy_settle (struct pipeline *self, struct pipeline_block *block, int64_t now_ms);

/* It is final: say so, and drop it. */
void pipeline_copy_end (struct pipeline *self, struct pipeline_block *block);

#endif
