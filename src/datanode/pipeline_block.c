/* SPDX-License-Identifier: MIT */
/*
 * Blocks, what is kept of them, who waits for them, and the actions that follow: the mechanics below
 * the rules of the write path.
 *
 * A block is found by its id and stands in the list of its stage.  What was removed or released is freed
 * when the actions have been fetched, because they may point at it.
 */
#include "datanode/pipeline_block.h"

#include "base/err.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTION_SPARE 8      // actions of an event besides those that room was made for, at most
#define BLOCK_ACTIONS_MAX 3 // of one block that must not be lost: ABANDON, READ, COPIED

/* ---- blocks ----------------------------------------------------------------------------------- */

static struct pipeline_block **
bucket_of (struct pipeline *self, uint64_t id)
{
    return &self->buckets[(id * UINT64_C (0x9e3779b97f4a7c15) >> 32) % PIPELINE_BUCKETS];
}

struct pipeline_block *
pipeline_find (const struct pipeline *self, uint64_t id)
{
    struct pipeline_block *block = *bucket_of ((struct pipeline *) self, id);

    while (block != NULL && block->id != id)
        block = block->bucket_next;
    return block;
}

static void
leave_list (struct pipeline *self, struct pipeline_block *block)
{
    struct pipeline_list *list = &self->lists[block->stage];

    *(block->previous != NULL ? &block->previous->next : &list->first) = block->next;
    *(block->next != NULL ? &block->next->previous : &list->last) = block->previous;
    list->count--;
}

static void
join_list (struct pipeline *self, struct pipeline_block *block, enum pipeline_stage stage)
{
    struct pipeline_list *list = &self->lists[stage];

    block->stage = stage;
    block->previous = list->last;
    block->next = NULL;
    *(list->last != NULL ? &list->last->next : &list->first) = block;
    list->last = block;
    list->count++;
}

void
pipeline_enter (struct pipeline *self, struct pipeline_block *block, enum pipeline_stage stage)
{
    leave_list (self, block);
    join_list (self, block, stage);
}

/* A block with room for its chain and its path. */
static struct pipeline_block *
allocate (size_t chain_count, struct slice path)
{
    struct pipeline_block *block;
    size_t size = sizeof *block + (chain_count + 1) * sizeof *block->replicas +
                  chain_count * (sizeof *block->members + sizeof *block->after) + path.size;
    char *rest;

    block = calloc (1, size);
    if (block == NULL)
        return NULL;
    rest = (char *) (block + 1);
    block->replicas = (struct pipeline_replica *) rest;
    rest += (chain_count + 1) * sizeof *block->replicas;
    block->members = (struct pipeline_member *) rest;
    rest += chain_count * sizeof *block->members;
    block->after = (uint64_t *) rest;
    rest += chain_count * sizeof *block->after;
    if (path.size > 0)
        memcpy (rest, path.data, path.size);
    block->path = slice_of (rest, path.size);
    block->chain_count = chain_count;
    block->kept_end = &block->kept;
    return block;
}

struct pipeline_block *
pipeline_add (struct pipeline *self, const struct pipeline_chunk *chunk, int64_t now_ms)
{
    struct pipeline_block *block = NULL;

    if (pipeline_reserve (self, BLOCK_ACTIONS_MAX))
        block = allocate (chunk->chain_count, chunk->path);
    if (block == NULL)
        return NULL;
    block->id = chunk->block;
    block->file = chunk->file;
    block->index = chunk->index;
    block->copy = chunk->copy;
    block->own_ms = block->advanced_ms = block->acked_ms = now_ms;
    for (size_t i = 0; i < chunk->chain_count; i++) {
        block->replicas[i + 1].node = (uint32_t) chunk->chain[i];
        block->replicas[i + 1].state = REPLICA_UNKNOWN;
    }
    block->hop = block->chain_count;
    block->bucket_next = *bucket_of (self, block->id);
    *bucket_of (self, block->id) = block;
    join_list (self, block, PIPELINE_OPEN);
    return block;
}

void
pipeline_remove (struct pipeline *self, struct pipeline_block *block)
{
    struct pipeline_block **link = bucket_of (self, block->id);

    assert (!pipeline_disk_busy (block) && block->waiter_count == 0 && block->kept == NULL);
    while (*link != block)
        link = &(*link)->bucket_next;
    *link = block->bucket_next;
    leave_list (self, block);
    pipeline_hold (self, block, 0);
    block->next = self->removed;
    self->removed = block;
}

bool
pipeline_disk_busy (const struct pipeline_block *block)
{
    return block->writes > 0 || block->syncing;
}

void
pipeline_hold (struct pipeline *self, struct pipeline_block *block, uint64_t hold)
{
    self->reserved = self->reserved - block->hold + hold;
    block->hold = hold;
}

uint64_t
pipeline_share (uint64_t whole, size_t chain_count)
{
    size_t left = chain_count < PIPELINE_SHARES_LEFT ? chain_count : PIPELINE_SHARES_LEFT;

    return whole - whole / PIPELINE_SHARES * left;
}

void
pipeline_tick_until (struct pipeline *self, int64_t deadline_ms)
{
    if (deadline_ms < self->deadline_ms)
        self->deadline_ms = deadline_ms;
}

/* ---- what is kept ----------------------------------------------------------------------------- */

struct pipeline_kept *
pipeline_keep (struct pipeline *self, struct pipeline_block *block,
               const struct pipeline_chunk *chunk, const uint32_t *units)
{
    size_t count = (size_t) crc_unit_count (chunk->size);
    struct pipeline_kept *kept = NULL;

    if (pipeline_reserve (self, 1))
        kept = malloc (sizeof *kept + count * sizeof *units);
    if (kept == NULL)
        return NULL;
    *kept = (struct pipeline_kept){.offset = chunk->offset,
                                   .size = chunk->size,
                                   .crc32 = chunk->crc32,
                                   .payload = chunk->payload,
                                   .unit_count = count};
    memcpy (kept->units, units, count * sizeof *units);
    *block->kept_end = kept;
    block->kept_end = &kept->next;
    block->kept_bytes += kept->size;
    self->kept_count++;
    return kept;
}

void
pipeline_unkeep (struct pipeline *self, struct pipeline_block *block,
                 struct pipeline_kept *kept)
{
    struct pipeline_kept **link = &block->kept;

    while (*link != kept)
        link = &(*link)->next;
    assert (kept->next == NULL);
    *link = NULL;
    block->kept_end = link;
    block->kept_bytes -= kept->size;
    self->kept_count--;
    free (kept);
}

struct pipeline_kept *
pipeline_kept_at (const struct pipeline_block *block, uint64_t offset)
{
    struct pipeline_kept *kept = block->kept;

    while (kept != NULL && kept->offset + kept->size <= offset)
        kept = kept->next;
    return kept != NULL && kept->offset <= offset ? kept : NULL;
}

uint64_t
pipeline_release (struct pipeline *self, struct pipeline_block *block, uint64_t low)
{
    struct pipeline_kept **link = &block->kept;
    uint64_t bytes = 0;

    while (*link != NULL && (*link)->offset + (*link)->size <= low) {
        struct pipeline_kept *kept = *link;
        if (kept->at_disk) {
            link = &kept->next;
            continue;
        }
        pipeline_push (self, PIPELINE_RELEASE, block->id)->action.payload = kept->payload;
        bytes += kept->size;
        self->kept_count--;
        *link = kept->next;
        kept->next = self->released;
        self->released = kept;
    }
    if (*link == NULL)
        block->kept_end = link;
    block->kept_bytes -= bytes;
    return bytes;
}

/* ---- what a block says of itself -------------------------------------------------------------- */

bool
pipeline_is_final (const struct pipeline_replica *replica)
{
    return replica->state == REPLICA_DURABLE || !pipeline_is_copy (replica);
}

bool
pipeline_is_copy (const struct pipeline_replica *replica)
{
    return replica->state != REPLICA_FAILED && replica->state != REPLICA_RELAY;
}

bool
pipeline_chain_lives (const struct pipeline_block *block)
{
    for (size_t i = 1; i <= block->chain_count; i++)
        if (pipeline_is_copy (&block->replicas[i]))
            return true;
    return false;
}

uint64_t
pipeline_low (const struct pipeline_block *block)
{
    uint64_t low = block->error == 0 ? block->written : block->received;

    for (size_t i = 1; i <= block->chain_count; i++)
        if (pipeline_is_copy (&block->replicas[i]) && block->members[i - 1].finished == 0 &&
            block->replicas[i].offset < low)
            low = block->replicas[i].offset;
    return low;
}

/* The own copy, as the others are told. */
static struct pipeline_replica
own_replica (const struct pipeline *self, const struct pipeline_block *block)
{
    struct pipeline_replica own = {
        .node = self->node, .state = REPLICA_RECEIVING, .offset = block->written};

    if (block->stage == PIPELINE_FAILED) {
        own.state = REPLICA_FAILED;
    } else if (block->durable) {
        own.state = REPLICA_DURABLE;
    } else if (block->error != 0) {
        own.state = REPLICA_RELAY;
        own.offset = block->received;
    } else if (block->syncing) {
        own.state = REPLICA_SYNCING;
    }
    if (block->stage == PIPELINE_OPEN && block->hop < block->chain_count &&
        (block->durable || block->error != 0))
        own.awaits = block->replicas[block->hop + 1].node;
    return own;
}

struct pipeline_state
pipeline_state_of (const struct pipeline_block *block)
{
    struct pipeline_state state = {.state = REPLICA_RECEIVING, .offset = pipeline_low (block)};

    if (block->stage == PIPELINE_FAILED) {
        state.state = REPLICA_FAILED;
        state.offset = block->written;
    } else if (block->stage == PIPELINE_FINAL || block->source) {
        state.state = REPLICA_DURABLE;
        state.offset = state.size = block->source ? block->size : block->received;
        state.crc32 = block->source ? block->whole_crc : block->crc;
    } else if (!block->complete) {
        state.credit = block->received + block->hold - block->kept_bytes - state.offset;
    } else if (state.offset == block->received) {
        state.state = REPLICA_SYNCING;
    }
    return state;
}

/* ---- actions ---------------------------------------------------------------------------------- */

bool
pipeline_reserve (struct pipeline *self, size_t more)
{
    size_t needed = self->queue_size + self->waiter_count + self->kept_count +
                    BLOCK_ACTIONS_MAX * self->lists[PIPELINE_OPEN].count + more + ACTION_SPARE;

    if (needed <= self->queue_room)
        return true;
    size_t room = self->queue_room * 2 > needed ? self->queue_room * 2 : needed;
    struct pipeline_queued *queue = realloc (self->queue, room * sizeof *queue);
    if (queue == NULL)
        return false;
    self->queue = queue;
    self->queue_room = room;
    return true;
}

struct pipeline_queued *
pipeline_push (struct pipeline *self, enum pipeline_action_kind kind, uint64_t block)
{
    assert (self->queue_size < self->queue_room);
    struct pipeline_queued *queued = &self->queue[self->queue_size++];
    queued->action = (struct pipeline_action){.kind = kind, .block = block};
    queued->text[0] = '\0';
    queued->block = NULL;
    return queued;
}

struct pipeline_queued *
pipeline_try_push (struct pipeline *self, enum pipeline_action_kind kind, uint64_t block)
{
    return pipeline_reserve (self, 1) ? pipeline_push (self, kind, block) : NULL;
}

/* What was taken out may be pointed at no longer. */
static void
free_dropped (struct pipeline *self)
{
    for (struct pipeline_kept *kept = self->released, *next; kept != NULL; kept = next) {
        next = kept->next;
        free (kept);
    }
    for (struct pipeline_block *block = self->removed, *next; block != NULL; block = next) {
        next = block->next;
        free (block->waiters);
        free (block);
    }
    self->released = NULL;
    self->removed = NULL;
}

bool
pipeline_next (struct pipeline *self, struct pipeline_action *out)
{
    if (self->queue_head == self->queue_size) {
        self->queue_head = self->queue_size = 0;
        free_dropped (self);
        return false;
    }
    struct pipeline_queued *queued = &self->queue[self->queue_head++];
    struct pipeline_block *block = queued->block;
    *out = queued->action;
    out->text = queued->text;
    if (block != NULL) {
        block->replicas[0] = own_replica (self, block);
        out->replicas = block->replicas;
        out->replica_count = block->chain_count + 1;
    } else if (out->replica_count > 0) {
        out->replicas = &queued->own;
    }
    return true;
}

void
pipeline_reply_error (struct pipeline *self, uint64_t id, uint64_t token, int number,
                      const char *text)
{
    struct pipeline_queued *queued = pipeline_push (self, PIPELINE_REPLY, id);

    queued->action.token = token;
    queued->action.error = number;
    snprintf (queued->text, sizeof queued->text, "%s", text);
}

void
pipeline_reply_known (struct pipeline *self, uint64_t id, uint64_t token,
                      const struct pipeline_known *known)
{
    struct pipeline_queued *queued = pipeline_push (self, PIPELINE_REPLY, id);
    struct pipeline_state *state = &queued->action.state;

    state->state = REPLICA_UNKNOWN;
    if (known->finished)
        *state = (struct pipeline_state){.state = REPLICA_DURABLE,
                                         .offset = known->size,
                                         .size = known->size,
                                         .crc32 = known->crc32};
    queued->action.token = token;
    queued->action.replica_count = 1;
    queued->own = (struct pipeline_replica){
        .node = self->node, .state = state->state, .offset = state->offset};
}

void
pipeline_reply_block (struct pipeline *self, struct pipeline_block *block, uint64_t token)
{
    struct pipeline_queued *queued = pipeline_push (self, PIPELINE_REPLY, block->id);

    queued->action.token = token;
    queued->action.state = pipeline_state_of (block);
    queued->block = block;
}

void
pipeline_ack_block (struct pipeline *self, struct pipeline_block *block, uint32_t node,
                    int number, const char *text)
{
    struct pipeline_queued *queued = pipeline_try_push (self, PIPELINE_ACK, block->id);

    if (queued == NULL)
        return;
    uint64_t own = own_replica (self, block).offset;
    queued->action.node = node;
    queued->action.state = pipeline_state_of (block);
    queued->action.state.credit = block->stage == PIPELINE_OPEN && !block->complete
                                      ? block->received + block->hold - block->kept_bytes - own
                                      : 0;
    queued->action.error = number;
    snprintf (queued->text, sizeof queued->text, "%s", text);
    queued->block = block;
}

void
pipeline_ack_known (struct pipeline *self, uint64_t id, uint32_t node, enum replica_state state,
                    uint64_t offset, int number, const char *text)
{
    struct pipeline_queued *queued = pipeline_try_push (self, PIPELINE_ACK, id);

    if (queued == NULL)
        return;
    queued->action.node = node;
    queued->action.state = (struct pipeline_state){.state = state, .offset = offset};
    queued->action.error = number;
    queued->action.replica_count = 1;
    snprintf (queued->text, sizeof queued->text, "%s", text);
    queued->own =
        (struct pipeline_replica){.node = self->node, .state = state, .offset = offset};
}

/* Errors after which a chunk may come again: they say nothing of the copy. */
static bool
is_passing (int number)
{
    return number == LITEDFS_GAP || number == LITEDFS_BUSY || number == LITEDFS_CORRUPT;
}

void
pipeline_refuse (struct pipeline *self, const struct pipeline_chunk *chunk, uint64_t token,
                 int number, const char *text)
{
    struct pipeline_block *block = pipeline_find (self, chunk->block);
    char whole[PIPELINE_TEXT_SIZE];
    char name[BLOCK_ID_TEXT_SIZE];

    snprintf (whole, sizeof whole, "block[%s]: %s", block_id_print (chunk->block, name), text);
    if (chunk->from == 0)
        pipeline_reply_error (self, chunk->block, token, number, whole);
    else if (block != NULL)
        pipeline_ack_block (self, block, chunk->from, number, whole);
    else
        pipeline_ack_known (self, chunk->block, chunk->from,
                            is_passing (number) ? REPLICA_UNKNOWN : REPLICA_FAILED, 0, number,
                            whole);
}

/* ---- waiters ---------------------------------------------------------------------------------- */

/* Whether a waiter is to be answered now; does so if it is. */
static bool
answer (struct pipeline *self, struct pipeline_block *block,
        const struct pipeline_waiter *waiter, int64_t now_ms)
{
    bool failed = block->stage == PIPELINE_FAILED;

    if (failed && waiter->what != PIPELINE_WAIT_STAT) {
        pipeline_reply_error (self, block->id, waiter->token, block->error, block->text);
        return true;
    }
    bool done = block->stage != PIPELINE_OPEN || block->source || now_ms >= waiter->deadline_ms;
    if (waiter->what == PIPELINE_WAIT_WRITTEN)
        done = pipeline_low (block) >= waiter->until;
    if (done)
        pipeline_reply_block (self, block, waiter->token);
    return done;
}

bool
pipeline_wait (struct pipeline *self, struct pipeline_block *block,
               const struct pipeline_waiter *waiter, int64_t now_ms)
{
    if (answer (self, block, waiter, now_ms))
        return true;
    if (block->waiter_count == block->waiter_room) {
        size_t room = block->waiter_room > 0 ? block->waiter_room * 2 : 4;
        struct pipeline_waiter *waiters = NULL;
        if (room <= PIPELINE_WAITERS_MAX)
            waiters = realloc (block->waiters, room * sizeof *waiters);
        if (waiters == NULL) {
            pipeline_refuse (self, &(struct pipeline_chunk){.block = block->id}, waiter->token,
                             LITEDFS_BUSY,
                             "too many requests wait for this block; wait for replies");
            return false;
        }
        block->waiters = waiters;
        block->waiter_room = room;
    }
    if (!pipeline_reserve (self, 1)) {
        pipeline_refuse (self, &(struct pipeline_chunk){.block = block->id}, waiter->token,
                         LITEDFS_BUSY, "out of memory; try again");
        return false;
    }
    block->waiters[block->waiter_count++] = *waiter;
    self->waiter_count++;
    return true;
}

void
pipeline_wake (struct pipeline *self, struct pipeline_block *block, int64_t now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < block->waiter_count; i++) {
        struct pipeline_waiter waiter = block->waiters[i];
        if (answer (self, block, &waiter, now_ms))
            self->waiter_count--;
        else
            block->waiters[kept++] = waiter;
    }
    block->waiter_count = kept;
}
