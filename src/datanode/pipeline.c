/* SPDX-License-Identifier: MIT */
/*
 * The rules of the write path.
 *
 * A block's life: its first chunk makes it, chunks in order go to the disk at once (`received` is how
 * far they came, `written` how far the disk is), the one with `last` completes it; when the disk says
 * that it is durable it is answered and dropped.  A failure keeps the block, with its error, until
 * write_timeout has passed, so that whoever comes back for it hears why; its file goes at once.
 *
 * Credit is the memory that a block holds.  It begins with the first chunk; each time bytes were
 * written the block gets what is fair then, and never less than what it was promised before.
 */
#include "datanode/pipeline.h"

#include "base/err.h"
#include "datanode/pipeline_block.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAIR_SHARE 4 // a block may hold one part in so many of what the others leave

static const char other_content[] =
    "the block is finished here with other content; ask for another block";
static const char deleted[] = "the name node had this block deleted; ask for another block";

/* ---- blocks ----------------------------------------------------------------------------------- */

/* The block failed: everybody who waits hears why, and what was written of it goes as soon as the disk
 * is done with the chunks that it has. */
static void
fail (struct pipeline *self, struct pipeline_block *block, int64_t now_ms, int number,
      const char *text)
{
    block->error = number;
    snprintf (block->text, sizeof block->text, "%s", text);
    block->advanced_ms = now_ms;
    pipeline_hold (self, block, block->buffered);
    pipeline_wake (self, block, now_ms);
    pipeline_tick_until (self, now_ms + (int64_t) self->limits.write_timeout_ms);
    if (!pipeline_disk_busy (block))
        pipeline_push (self, PIPELINE_ABANDON, block->id);
}

/* The same for a reason of our own, which does not name the block yet. */
static void
give_up (struct pipeline *self, struct pipeline_block *block, int64_t now_ms, int number,
         const char *text)
{
    char whole[PIPELINE_TEXT_SIZE];
    char name[BLOCK_ID_TEXT_SIZE];

    snprintf (whole, sizeof whole, "block[%s]: %s", block_id_print (block->id, name), text);
    fail (self, block, now_ms, number, whole);
}

/* Give the block as much credit as is fair: a part of what others leave, at least the chunk that it was
 * admitted with, at most the window.  What was promised before is never taken back. */
static void
grant (struct pipeline *self, struct pipeline_block *block, uint64_t promised)
{
    uint64_t available = self->limits.memory - (self->reserved - block->hold);
    uint64_t target = available / FAIR_SHARE;

    if (target < block->chunk)
        target = block->chunk;
    if (target > PIPELINE_WINDOW)
        target = PIPELINE_WINDOW;
    if (target > available)
        target = available;
    target -= target % CRC_UNIT;
    pipeline_hold (self, block, target > promised ? target : promised);
}

/* Whether the block holds memory for a writer that may be silent. */
static bool
holds_for_writer (const struct pipeline_block *block)
{
    return block->error == 0 && !block->complete && block->buffered == 0 &&
           block->hold > CRC_UNIT;
}

/* ---- a chunk comes ---------------------------------------------------------------------------- */

/* What holds for every chunk, whatever the block's state. */
static int
check_chunk (const struct pipeline_chunk *chunk, litedfs_error_t *error)
{
    if (chunk->size > WIRE_CHUNK_MAX)
        return err_set (error, LITEDFS_INVALID, "a chunk has %zu bytes; at most %d are allowed",
                        chunk->size, WIRE_CHUNK_MAX);
    if (chunk->offset % CRC_UNIT != 0)
        return err_set (error, LITEDFS_INVALID, "offset %" PRIu64 " is not a multiple of %zu",
                        chunk->offset, CRC_UNIT);
    if (!chunk->last && (chunk->size == 0 || chunk->size % CRC_UNIT != 0))
        return err_set (error, LITEDFS_INVALID,
                        "a chunk of %zu bytes is not the last; its size must be a multiple of "
                        "%zu",
                        chunk->size, CRC_UNIT);
    if (chunk->offset + chunk->size == 0)
        return err_set (error, LITEDFS_INVALID,
                        "the block is empty; an empty file has no block");
    if (chunk->offset > PIPELINE_BLOCK_SIZE_MAX ||
        chunk->size > PIPELINE_BLOCK_SIZE_MAX - chunk->offset)
        return err_set (error, LITEDFS_INVALID, "offset %" PRIu64 " is beyond any block",
                        chunk->offset);
    if (chunk->path.size > PIPELINE_PATH_MAX)
        return err_set (error, LITEDFS_INVALID, "a path of %zu bytes is too long",
                        chunk->path.size);
    if (chunk->chain_count > 0)
        return err_set (error, LITEDFS_UNSUPPORTED,
                        "this node passes no chunks on; write each copy to its node");
    return 0;
}

/* One text for every chunk that comes too early. */
static int
gap (litedfs_error_t *error, uint64_t wanted, const struct pipeline_chunk *chunk)
{
    return err_set (error, LITEDFS_GAP,
                    "offset %" PRIu64 " is next; the chunk from %" PRIu64 " to %" PRIu64
                    " leaves a gap or overlaps",
                    wanted, chunk->offset, chunk->offset + chunk->size);
}

/* The block is finished here: the same bytes again are fine, others are not. */
static void
write_finished (struct pipeline *self, const struct pipeline_chunk *chunk,
                const struct pipeline_known *known, uint64_t token)
{
    uint64_t end = chunk->offset + chunk->size;
    bool whole = chunk->offset == 0 && end == known->size;

    if (end > known->size || (chunk->last && end != known->size) ||
        (whole && chunk->crc32 != known->crc32)) {
        pipeline_refuse (self, chunk->block, token, LITEDFS_EXISTS, other_content);
    } else if (whole || chunk->size == 0) {
        pipeline_reply_known (self, chunk->block, token, known);
    } else {
        struct pipeline_action *action =
            &pipeline_push (self, PIPELINE_COMPARE, chunk->block)->action;
        action->token = token;
        action->offset = chunk->offset;
        action->size = chunk->size;
        action->crc32 = chunk->crc32;
    }
}

/* Whether a block may begin with this chunk. */
static int
admit_first (const struct pipeline *self, const struct pipeline_chunk *chunk,
             const struct pipeline_known *known, litedfs_error_t *error)
{
    if (known->buried)
        return err_set (error, LITEDFS_LEASE_LOST, "%s", deleted);
    if (chunk->offset > 0)
        return gap (error, 0, chunk);
    if (uuid_is_nil (&chunk->file) || chunk->path.size == 0)
        return err_set (error, LITEDFS_INVALID,
                        "a block's first chunk must name file and path");
    if (self->full)
        return err_set (error, LITEDFS_NO_SPACE,
                        "the disk of this node is full (storage_preserve_space is left free)");
    if (self->block_count >= PIPELINE_BLOCKS_MAX)
        return err_set (error, LITEDFS_BUSY, "%d blocks are being written here; try again",
                        PIPELINE_BLOCKS_MAX);
    if (chunk->size > self->limits.memory - self->reserved)
        return err_set (error, LITEDFS_BUSY,
                        "%" PRIu64 " bytes are under way here (memory_limit); try again",
                        self->reserved);
    return 0;
}

/* Whether a chunk that is next in its block fits: into the credit, or else into what is free. */
static int
admit_next (struct pipeline *self, struct pipeline_block *block,
            const struct pipeline_chunk *chunk, litedfs_error_t *error)
{
    uint64_t needed = block->buffered + chunk->size;
    uint64_t available = self->limits.memory - (self->reserved - block->hold);

    if (needed <= block->hold)
        return 0;
    if (needed > available || needed > PIPELINE_WINDOW)
        return err_set (error, LITEDFS_BUSY,
                        "the chunk is beyond the credit of %" PRIu64
                        " bytes past offset %" PRIu64 "; wait for replies",
                        block->hold, block->written);
    pipeline_hold (self, block, needed);
    return 0;
}

/* Give a chunk that is in order, or the end of the block without bytes, to the disk. */
static void
take (struct pipeline *self, struct pipeline_block *block, const struct pipeline_chunk *chunk,
      const uint32_t *units, int64_t now_ms)
{
    struct pipeline_queued *queued = pipeline_push (self, PIPELINE_WRITE, block->id);
    struct pipeline_action *action = &queued->action;

    action->file = block->file;
    action->index = block->index;
    action->path = block->path;
    action->offset = block->received;
    action->last = chunk->last;
    action->count = chunk->last ? chunk->count : 0;
    if (units != NULL) {
        action->size = chunk->size;
        action->payload = chunk->payload;
        action->unit_count = (size_t) crc_unit_count (chunk->size);
        memcpy (queued->units, units, action->unit_count * sizeof *units);
        block->crc = crc32_join (block->crc, chunk->crc32, chunk->size);
        block->received += chunk->size;
        block->buffered += chunk->size;
        if (chunk->size > block->chunk)
            block->chunk = chunk->size;
    }
    block->writes++;
    block->advanced_ms = now_ms;
    if (chunk->last) {
        block->complete = true;
        pipeline_hold (self, block, block->buffered);
    }
}

/* The waiter that a chunk becomes. */
static struct pipeline_waiter
chunk_waiter (const struct pipeline_chunk *chunk, uint64_t token, int64_t now_ms)
{
    return (struct pipeline_waiter){.token = token,
                                    .what = chunk->last ? PIPELINE_WAIT_DURABLE
                                                        : PIPELINE_WAIT_WRITTEN,
                                    .until = chunk->offset + chunk->size,
                                    .deadline_ms = now_ms + PIPELINE_LAST_WAIT_MS};
}

/* A chunk whose bytes were taken before, or that has none. */
static void
write_again (struct pipeline *self, struct pipeline_block *block,
             const struct pipeline_chunk *chunk, uint64_t token, int64_t now_ms)
{
    uint64_t end = chunk->offset + chunk->size;
    struct pipeline_waiter waiter = chunk_waiter (chunk, token, now_ms);
    litedfs_error_t error;

    if (end > block->received || (chunk->last && end != block->received)) {
        if (block->complete)
            err_set (&error, LITEDFS_EXISTS, "%s", other_content);
        else
            gap (&error, block->received, chunk);
        pipeline_refuse (self, block->id, token, error.number, error.text);
    } else if (pipeline_wait (self, block, &waiter, now_ms) && chunk->last &&
               !block->complete) {
        take (self, block, chunk, NULL, now_ms);
    }
}

/* The chunk that is next, of a block that is new (NULL) or in write: check its bytes, take it. */
static bool
write_next (struct pipeline *self, struct pipeline_block *block,
            const struct pipeline_chunk *chunk, uint64_t token, int64_t now_ms)
{
    uint32_t units[PIPELINE_UNITS_MAX];
    struct pipeline_waiter waiter = chunk_waiter (chunk, token, now_ms);
    litedfs_error_t error = {.number = 0};

    crc_units (chunk->data, chunk->size, units);
    uint32_t crc = crc_units_join (units, chunk->size);
    if (crc != chunk->crc32)
        err_set (&error, LITEDFS_CORRUPT,
                 "the chunk at offset %" PRIu64 " came with CRC-32 %08x instead of %08x; "
                 "send it again",
                 chunk->offset, crc, chunk->crc32);
    else if (block == NULL && (block = pipeline_add (self, chunk, now_ms)) == NULL)
        err_set (&error, LITEDFS_BUSY, "out of memory; try again");
    else
        admit_next (self, block, chunk, &error);
    bool taken = false;
    if (error.number != 0)
        pipeline_refuse (self, chunk->block, token, error.number, error.text);
    else
        taken = pipeline_wait (self, block, &waiter, now_ms);
    if (taken)
        take (self, block, chunk, units, now_ms);
    else if (block != NULL && block->received == 0)
        pipeline_remove (self, block);
    return taken;
}

bool
pipeline_write (struct pipeline *self, int64_t now_ms, const struct pipeline_chunk *chunk,
                const struct pipeline_known *known, uint64_t token)
{
    struct pipeline_block *block = pipeline_find (self, chunk->block);
    litedfs_error_t error = {.number = 0};

    if (check_chunk (chunk, &error) == 0) {
        if (block == NULL && known->finished) {
            write_finished (self, chunk, known, token);
            return false;
        }
        if (block == NULL)
            admit_first (self, chunk, known, &error);
        else if (block->error == 0 && chunk->offset > block->received)
            gap (&error, block->received, chunk);
    }
    if (error.number != 0) {
        pipeline_refuse (self, chunk->block, token, error.number, error.text);
        return false;
    }
    if (block != NULL && block->error != 0) {
        pipeline_reply_error (self, chunk->block, token, block->error, block->text);
        return false;
    }
    if (block != NULL &&
        (block->complete || chunk->offset < block->received || chunk->size == 0)) {
        write_again (self, block, chunk, token, now_ms);
        return false;
    }
    return write_next (self, block, chunk, token, now_ms);
}

void
pipeline_compared (struct pipeline *self, uint64_t block, uint64_t token, bool equal,
                   const struct pipeline_known *known, const litedfs_error_t *error)
{
    if (error != NULL)
        pipeline_reply_error (self, block, token, error->number, error->text);
    else if (equal)
        pipeline_reply_known (self, block, token, known);
    else
        pipeline_refuse (self, block, token, LITEDFS_EXISTS, other_content);
}

void
pipeline_stat (struct pipeline *self, int64_t now_ms, uint64_t id, uint64_t wait_ms,
               const struct pipeline_known *known, uint64_t token)
{
    struct pipeline_block *block = pipeline_find (self, id);

    if (block == NULL) {
        pipeline_reply_known (self, id, token, known);
        return;
    }
    if (block->error == 0)
        block->advanced_ms = now_ms; // a writer whose source is slow is no silent one
    struct pipeline_waiter waiter = {
        .token = token, .what = PIPELINE_WAIT_STAT, .deadline_ms = now_ms + (int64_t) wait_ms};
    pipeline_wait (self, block, &waiter, now_ms);
}

/* ---- the disk ---------------------------------------------------------------------------------- */

void
pipeline_written (struct pipeline *self, int64_t now_ms, uint64_t id, size_t size,
                  const litedfs_error_t *error)
{
    struct pipeline_block *block = pipeline_find (self, id);

    assert (block != NULL && block->writes > 0 && block->buffered >= size);
    block->writes--;
    block->buffered -= size;
    pipeline_tick_until (self, now_ms + (int64_t) self->limits.write_timeout_ms);
    if (block->error == 0 && error != NULL) {
        fail (self, block, now_ms, error->number, error->text);
        return;
    }
    // The disk takes a block's chunks in order, so without writes the last one is among them, and
    // pipeline_durable is to follow.
    block->syncing = block->complete && block->writes == 0 && error == NULL;
    if (block->error != 0) {
        pipeline_hold (self, block, block->buffered);
        if (!pipeline_disk_busy (block) && !block->syncing)
            pipeline_push (self, PIPELINE_ABANDON, block->id);
        return;
    }
    uint64_t promised = block->hold > size ? block->hold - size : 0;
    block->written += size;
    block->advanced_ms = now_ms;
    if (block->complete)
        pipeline_hold (self, block, block->buffered);
    else
        grant (self, block, promised);
    if (holds_for_writer (block))
        pipeline_tick_until (self, now_ms + PIPELINE_IDLE_MS);
    pipeline_wake (self, block, now_ms);
}

void
pipeline_durable (struct pipeline *self, int64_t now_ms, uint64_t id,
                  const litedfs_error_t *error)
{
    struct pipeline_block *block = pipeline_find (self, id);

    assert (block != NULL && block->syncing);
    block->syncing = false;
    pipeline_tick_until (self, now_ms + (int64_t) self->limits.write_timeout_ms);
    if (block->error != 0)
        return; // it was forgotten while it was synced
    if (error != NULL) {
        fail (self, block, now_ms, error->number, error->text);
        return;
    }
    block->durable = true;
    pipeline_wake (self, block, now_ms);
    pipeline_remove (self, block);
}

/* ---- orders and time --------------------------------------------------------------------------- */

void
pipeline_forget (struct pipeline *self, int64_t now_ms, uint64_t id)
{
    struct pipeline_block *block = pipeline_find (self, id);

    if (block != NULL && block->error == 0)
        give_up (self, block, now_ms, LITEDFS_LEASE_LOST, deleted);
}

/* A block whose writer is silent has failed; one that failed so long ago is forgotten.  A block that the
 * disk is busy with waits: a slow card is no silent writer. */
static void
expire (struct pipeline *self, struct pipeline_block *block, int64_t now_ms)
{
    if (block->error != 0)
        pipeline_remove (self, block);
    else
        give_up (self, block, now_ms, LITEDFS_TIMEOUT,
                 "no chunk came for write_timeout, so the block was given up; ask for another "
                 "block");
}

/* When the block wants the next tick. */
static int64_t
next_deadline (const struct pipeline *self, const struct pipeline_block *block)
{
    int64_t deadline_ms = INT64_MAX;

    if (!pipeline_disk_busy (block))
        deadline_ms = block->advanced_ms + (int64_t) self->limits.write_timeout_ms;
    if (holds_for_writer (block) && block->advanced_ms + PIPELINE_IDLE_MS < deadline_ms)
        deadline_ms = block->advanced_ms + PIPELINE_IDLE_MS;
    for (size_t i = 0; i < block->waiter_count; i++)
        if (block->waiters[i].what != PIPELINE_WAIT_WRITTEN &&
            block->waiters[i].deadline_ms < deadline_ms)
            deadline_ms = block->waiters[i].deadline_ms;
    return deadline_ms;
}

void
pipeline_tick (struct pipeline *self, int64_t now_ms)
{
    if (now_ms < self->deadline_ms)
        return;
    self->deadline_ms = INT64_MAX;
    for (size_t i = 0; i < PIPELINE_BUCKETS; i++) {
        for (struct pipeline_block *block = self->buckets[i], *next; block; block = next) {
            next = block->next;
            pipeline_wake (self, block, now_ms);
            if (holds_for_writer (block) && now_ms - block->advanced_ms >= PIPELINE_IDLE_MS)
                pipeline_hold (self, block, CRC_UNIT);
            if (next_deadline (self, block) <= now_ms)
                expire (self, block, now_ms);
            else
                pipeline_tick_until (self, next_deadline (self, block));
        }
    }
}

int64_t
pipeline_next_deadline (const struct pipeline *self)
{
    return self->deadline_ms;
}

/* ---- the object -------------------------------------------------------------------------------- */

bool
pipeline_next (struct pipeline *self, struct pipeline_action *out)
{
    if (self->queue_head == self->queue_size) {
        self->queue_head = self->queue_size = 0;
        return false;
    }
    struct pipeline_queued *queued = &self->queue[self->queue_head++];
    *out = queued->action;
    out->text = queued->text;
    out->units = queued->units;
    return true;
}

bool
pipeline_has (const struct pipeline *self, uint64_t block)
{
    return pipeline_find (self, block) != NULL;
}

void
pipeline_set_full (struct pipeline *self, bool full)
{
    self->full = full;
}

size_t
pipeline_block_count (const struct pipeline *self)
{
    return self->block_count;
}

uint64_t
pipeline_reserved (const struct pipeline *self)
{
    return self->reserved;
}

struct pipeline *
pipeline_new (const struct pipeline_limits *limits)
{
    struct pipeline *self = calloc (1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->limits = *limits;
    self->deadline_ms = INT64_MAX;
    if (!pipeline_reserve (self, 0)) {
        free (self);
        return NULL;
    }
    return self;
}

void
pipeline_destroy (struct pipeline **self_p)
{
    struct pipeline *self = *self_p;

    if (self == NULL)
        return;
    *self_p = NULL;
    for (size_t i = 0; i < PIPELINE_BUCKETS; i++) {
        for (struct pipeline_block *block = self->buckets[i], *next; block; block = next) {
            next = block->next;
            free (block->waiters);
            free (block);
        }
    }
    free (self->queue);
    free (self);
}
