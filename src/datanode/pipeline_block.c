/* SPDX-License-Identifier: MIT */
/*
 * Blocks in write, who waits for them, and the actions that follow: the mechanics below pipeline.c,
 * which has the rules.
 */
#include "datanode/pipeline_block.h"

#include "base/err.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTION_SPARE 4 // actions of an event besides those that room was made for, at most

/* ---- blocks ----------------------------------------------------------------------------------- */

static struct pipeline_block **
bucket_of (struct pipeline *self, uint64_t id)
{
    return &self->buckets[(id * UINT64_C (0x9e3779b97f4a7c15)) >> 56];
}

struct pipeline_block *
pipeline_find (const struct pipeline *self, uint64_t id)
{
    struct pipeline_block *block = *bucket_of ((struct pipeline *) self, id);

    while (block != NULL && block->id != id)
        block = block->next;
    return block;
}

struct pipeline_block *
pipeline_add (struct pipeline *self, const struct pipeline_chunk *chunk, int64_t now_ms)
{
    struct pipeline_block *block = NULL;

    if (pipeline_reserve (self, 2))
        block = calloc (1, sizeof *block + chunk->path.size);
    if (block == NULL)
        return NULL;
    block->id = chunk->block;
    block->file = chunk->file;
    block->index = chunk->index;
    memcpy (block->path_bytes, chunk->path.data, chunk->path.size);
    block->path = slice_of (block->path_bytes, chunk->path.size);
    block->advanced_ms = now_ms;
    block->next = *bucket_of (self, block->id);
    *bucket_of (self, block->id) = block;
    self->block_count++;
    return block;
}

void
pipeline_remove (struct pipeline *self, struct pipeline_block *block)
{
    struct pipeline_block **link = bucket_of (self, block->id);

    assert (!pipeline_disk_busy (block) && block->waiter_count == 0);
    while (*link != block)
        link = &(*link)->next;
    *link = block->next;
    pipeline_hold (self, block, 0);
    self->block_count--;
    free (block->waiters);
    free (block);
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

void
pipeline_tick_until (struct pipeline *self, int64_t deadline_ms)
{
    if (deadline_ms < self->deadline_ms)
        self->deadline_ms = deadline_ms;
}

/* ---- actions ---------------------------------------------------------------------------------- */

bool
pipeline_reserve (struct pipeline *self, size_t more)
{
    size_t needed =
        self->queue_size + self->waiter_count + self->block_count + more + ACTION_SPARE;

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
    memset (&queued->action, 0, sizeof queued->action);
    queued->action.kind = kind;
    queued->action.block = block;
    return queued;
}

static void
reply_state (struct pipeline *self, uint64_t id, uint64_t token,
             const struct pipeline_state *state)
{
    struct pipeline_queued *queued = pipeline_push (self, PIPELINE_REPLY, id);

    queued->action.token = token;
    queued->action.state = *state;
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
pipeline_refuse (struct pipeline *self, uint64_t id, uint64_t token, int number,
                 const char *text)
{
    char whole[PIPELINE_TEXT_SIZE];
    char name[BLOCK_ID_TEXT_SIZE];

    snprintf (whole, sizeof whole, "block[%s]: %s", block_id_print (id, name), text);
    pipeline_reply_error (self, id, token, number, whole);
}

void
pipeline_reply_known (struct pipeline *self, uint64_t id, uint64_t token,
                      const struct pipeline_known *known)
{
    struct pipeline_state state = {.state = REPLICA_UNKNOWN};

    if (known->finished)
        state = (struct pipeline_state){.state = REPLICA_DURABLE,
                                        .offset = known->size,
                                        .size = known->size,
                                        .crc32 = known->crc32};
    reply_state (self, id, token, &state);
}

void
pipeline_reply_block (struct pipeline *self, const struct pipeline_block *block, uint64_t token)
{
    struct pipeline_state state = {.state = REPLICA_RECEIVING, .offset = block->written};

    if (block->error != 0) {
        state.state = REPLICA_FAILED;
    } else if (block->durable) {
        state.state = REPLICA_DURABLE;
        state.size = block->written;
        state.crc32 = block->crc;
    } else if (block->syncing) {
        state.state = REPLICA_SYNCING;
    } else if (!block->complete) {
        state.credit = block->hold;
    }
    reply_state (self, block->id, token, &state);
}

/* ---- waiters ---------------------------------------------------------------------------------- */

/* Whether a waiter is to be answered now; does so if it is. */
static bool
answer (struct pipeline *self, const struct pipeline_block *block,
        const struct pipeline_waiter *waiter, int64_t now_ms)
{
    if (block->error != 0 && waiter->what != PIPELINE_WAIT_STAT) {
        pipeline_reply_error (self, block->id, waiter->token, block->error, block->text);
        return true;
    }
    bool done = block->error != 0 || block->durable || now_ms >= waiter->deadline_ms;
    if (waiter->what == PIPELINE_WAIT_WRITTEN)
        done = block->written >= waiter->until;
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
            pipeline_refuse (self, block->id, waiter->token, LITEDFS_BUSY,
                             "too many requests wait for this block; wait for replies");
            return false;
        }
        block->waiters = waiters;
        block->waiter_room = room;
    }
    if (!pipeline_reserve (self, 1)) {
        pipeline_refuse (self, block->id, waiter->token, LITEDFS_BUSY,
                         "out of memory; try again");
        return false;
    }
    block->waiters[block->waiter_count++] = *waiter;
    self->waiter_count++;
    if (waiter->what != PIPELINE_WAIT_WRITTEN)
        pipeline_tick_until (self, waiter->deadline_ms);
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
