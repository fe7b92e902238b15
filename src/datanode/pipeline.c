/* SPDX-License-Identifier: MIT */
/*
 * The rules of the write path, as far as they are about the chunks that come and about the own disk.
 *
 * A block's life: its first chunk makes it, chunks in order go to the disk and down the chain at once
 * (`received` is how far they came, `written` how far the disk is), the one with `last` completes it; when
 * all who shall have it have it, or have failed, it is answered.  The own copy's failure turns it into a
 * relay, or ends it if nobody comes after.
 *
 * Chunks of clients and of nodes are taken by the same rules; a client's has a waiter, a node's is acked.
 */
#include "datanode/pipeline.h"

#include "base/err.h"
#include "datanode/pipeline_block.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char other_content[] =
    "the block is finished here with other content; ask for another block";
static const char deleted[] = "the name node had this block deleted; ask for another block";

/* ---- whether a chunk may come ----------------------------------------------------------------- */

/* A chain names each node once, and none that it has passed. */
static int
check_chain (const struct pipeline *self, const struct pipeline_chunk *chunk,
             litedfs_error_t *error)
{
    if (chunk->chain_count > PIPELINE_NODES_MAX - 1)
        return err_set (error, LITEDFS_INVALID, "%zu nodes shall follow; at most %d may",
                        chunk->chain_count, PIPELINE_NODES_MAX - 1);
    for (size_t i = 0; i < chunk->chain_count; i++) {
        uint64_t node = chunk->chain[i];
        bool twice = node == self->node || (chunk->from != 0 && node == chunk->from);
        for (size_t j = 0; j < i; j++)
            twice = twice || chunk->chain[j] == node;
        if (node == 0 || node > UINT32_MAX)
            return err_set (error, LITEDFS_INVALID, "the chain names %" PRIu64 ", no node",
                            node);
        if (twice)
            return err_set (error, LITEDFS_INVALID,
                            "node %" PRIu64 " is in the chain more than once", node);
    }
    if (chunk->from != 0 && chunk->from == self->node)
        return err_set (error, LITEDFS_INVALID, "the chunk comes from this node itself");
    return 0;
}

/* Whether it is a node's word that it is there, with nothing in it. */
static bool
is_ping (const struct pipeline_chunk *chunk)
{
    return chunk->from != 0 && chunk->size == 0 && !chunk->last;
}

/* What holds for every chunk, whatever the block's state. */
static int
check_chunk (const struct pipeline *self, const struct pipeline_chunk *chunk,
             litedfs_error_t *error)
{
    if (chunk->size > WIRE_CHUNK_MAX)
        return err_set (error, LITEDFS_INVALID, "a chunk has %zu bytes; at most %d are allowed",
                        chunk->size, WIRE_CHUNK_MAX);
    if (chunk->size > 0 && chunk->offset % CRC_UNIT != 0)
        return err_set (error, LITEDFS_INVALID, "offset %" PRIu64 " is not a multiple of %zu",
                        chunk->offset, CRC_UNIT);
    if (!chunk->last && !is_ping (chunk) && (chunk->size == 0 || chunk->size % CRC_UNIT != 0))
        return err_set (error, LITEDFS_INVALID,
                        "a chunk of %zu bytes is not the last; its size must be a multiple of "
                        "%zu",
                        chunk->size, CRC_UNIT);
    if (chunk->offset + chunk->size == 0 && !is_ping (chunk))
        return err_set (error, LITEDFS_INVALID,
                        "the block is empty; an empty file has no block");
    if (chunk->offset > PIPELINE_BLOCK_SIZE_MAX ||
        chunk->size > PIPELINE_BLOCK_SIZE_MAX - chunk->offset)
        return err_set (error, LITEDFS_INVALID, "offset %" PRIu64 " is beyond any block",
                        chunk->offset);
    if (chunk->path.size > PIPELINE_PATH_MAX)
        return err_set (error, LITEDFS_INVALID, "a path of %zu bytes is too long",
                        chunk->path.size);
    return check_chain (self, chunk, error);
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

/* Whether a block may begin with this chunk. */
static int
admit_first (const struct pipeline *self, const struct pipeline_chunk *chunk,
             const struct pipeline_known *known, litedfs_error_t *error)
{
    uint64_t blocks = pipeline_share (PIPELINE_BLOCKS_MAX, chunk->chain_count);
    uint64_t memory = pipeline_share (self->limits.memory, chunk->chain_count);

    if (known->buried && !chunk->copy)
        return err_set (error, LITEDFS_LEASE_LOST, "%s", deleted);
    if (chunk->offset > 0 || is_ping (chunk))
        return gap (error, 0, chunk);
    if (uuid_is_nil (&chunk->file) || chunk->path.size == 0)
        return err_set (error, LITEDFS_INVALID,
                        "a block's first chunk must name file and path");
    if (self->full)
        return err_set (error, LITEDFS_NO_SPACE,
                        "the disk of this node is full (storage_preserve_space is left free)");
    if (self->lists[PIPELINE_OPEN].count >= blocks)
        return err_set (error, LITEDFS_BUSY, "%zu blocks are being written here; try again",
                        self->lists[PIPELINE_OPEN].count);
    if (self->reserved + chunk->size > memory)
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
    uint64_t needed = block->kept_bytes + chunk->size;
    uint64_t memory = pipeline_share (self->limits.memory, block->chain_count);

    if (needed <= block->hold)
        return 0;
    if (self->reserved - block->hold + needed > memory ||
        needed > PIPELINE_WINDOW + block->stuck)
        return err_set (error, LITEDFS_BUSY,
                        "the chunk is beyond the credit of %" PRIu64
                        " bytes past offset %" PRIu64 "; wait for replies",
                        block->hold - block->kept_bytes, block->received);
    pipeline_hold (self, block, needed);
    return 0;
}

/* ---- a chunk comes ---------------------------------------------------------------------------- */

/* Who sent a chunk of the block is told from now on how far it is, and is not silent. */
static void
note_sender (struct pipeline_block *block, const struct pipeline_chunk *chunk, int64_t now_ms)
{
    block->advanced_ms = now_ms;
    if (chunk->from == 0)
        return;
    for (size_t i = 0; i < block->upstream_count; i++)
        if (block->upstreams[i] == chunk->from)
            return;
    if (block->upstream_count == PIPELINE_UPSTREAMS_MAX)
        memmove (block->upstreams, block->upstreams + 1,
                 --block->upstream_count * sizeof *block->upstreams);
    block->upstreams[block->upstream_count++] = chunk->from;
}

/* The block is finished here: the same bytes again are fine, others are not.  Nodes pass on what they
 * have checked, so only the whole is looked at then. */
static void
write_finished (struct pipeline *self, const struct pipeline_chunk *chunk,
                const struct pipeline_known *known, uint64_t token)
{
    uint64_t end = chunk->offset + chunk->size;
    bool whole = chunk->offset == 0 && end == known->size;

    if (end > known->size || (chunk->last && end != known->size) ||
        (whole && chunk->crc32 != known->crc32)) {
        pipeline_refuse (self, chunk, token, LITEDFS_EXISTS, other_content);
    } else if (chunk->from != 0) {
        pipeline_ack_known (self, chunk->block, chunk->from, REPLICA_DURABLE, known->size, 0,
                            "");
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

/* Let a client wait for its chunk; false if it cannot. */
static bool
wait_for (struct pipeline *self, struct pipeline_block *block,
          const struct pipeline_chunk *chunk, uint64_t token, int64_t now_ms)
{
    struct pipeline_waiter waiter = {.token = token,
                                     .what = chunk->last ? PIPELINE_WAIT_FINAL
                                                         : PIPELINE_WAIT_WRITTEN,
                                     .until = chunk->offset + chunk->size,
                                     .deadline_ms = now_ms + PIPELINE_LAST_WAIT_MS};

    return chunk->from != 0 || pipeline_wait (self, block, &waiter, now_ms);
}

/* Give a chunk that was kept, or with NULL the end of the block without bytes, to the disk. */
static void
write_out (struct pipeline *self, struct pipeline_block *block, struct pipeline_kept *kept,
           int64_t now_ms)
{
    struct pipeline_action *action = &pipeline_push (self, PIPELINE_WRITE, block->id)->action;

    action->offset = block->received;
    if (kept != NULL) {
        kept->at_disk = true;
        action->offset = kept->offset;
        action->size = kept->size;
        action->payload = kept->payload;
        action->units = kept->units;
        action->unit_count = kept->unit_count;
    }
    action->file = block->file;
    action->index = block->index;
    action->path = block->path;
    action->last = block->complete;
    action->count = block->count;
    action->copy = block->copy;
    if (block->writes++ == 0)
        block->own_ms = now_ms;
    block->disk_last = block->complete;
}

/* Take a chunk that is in order: keep it for the chain, and give it to the disk if that still works. */
static void
take (struct pipeline *self, struct pipeline_block *block, const struct pipeline_chunk *chunk,
      struct pipeline_kept *kept, int64_t now_ms)
{
    if (kept != NULL) {
        block->crc = crc32_join (block->crc, chunk->crc32, chunk->size);
        block->received += chunk->size;
        if (chunk->size > block->chunk)
            block->chunk = chunk->size;
    }
    if (chunk->last) {
        block->complete = true;
        block->count = chunk->count;
    }
    if (block->error == 0)
        write_out (self, block, kept, now_ms);
}

/* A chunk whose bytes were taken before, or that has none. */
static void
write_again (struct pipeline *self, struct pipeline_block *block,
             const struct pipeline_chunk *chunk, uint64_t token, int64_t now_ms)
{
    uint64_t end = chunk->offset + chunk->size;
    litedfs_error_t error;

    if (end > block->received || (chunk->last && end != block->received)) {
        if (block->complete)
            err_set (&error, LITEDFS_EXISTS, "%s", other_content);
        else
            gap (&error, block->received, chunk);
        pipeline_refuse (self, chunk, token, error.number, error.text);
    } else if (wait_for (self, block, chunk, token, now_ms)) {
        if (chunk->last && !block->complete)
            take (self, block, chunk, NULL, now_ms);
        block->changed = block->changed || chunk->from != 0;
    }
}

/* The chunk that is next, of a block that is new (NULL) or in write: check its bytes, take it. */
static bool
write_next (struct pipeline *self, struct pipeline_block *block,
            const struct pipeline_chunk *chunk, uint64_t token, int64_t now_ms)
{
    uint32_t units[PIPELINE_UNITS_MAX];
    bool fresh = block == NULL;
    litedfs_error_t error = {.number = 0};

    crc_units (chunk->data, chunk->size, units);
    uint32_t crc = crc_units_join (units, chunk->size);
    if (crc != chunk->crc32)
        err_set (&error, LITEDFS_CORRUPT,
                 "the chunk at offset %" PRIu64 " came with CRC-32 %08x instead of %08x; "
                 "send it again",
                 chunk->offset, crc, chunk->crc32);
    else if (fresh && (block = pipeline_add (self, chunk, now_ms)) == NULL)
        err_set (&error, LITEDFS_BUSY, "out of memory; try again");
    else
        admit_next (self, block, chunk, &error);
    struct pipeline_kept *kept = NULL;
    if (error.number == 0 && (kept = pipeline_keep (self, block, chunk, units)) == NULL)
        err_set (&error, LITEDFS_BUSY, "out of memory; try again");
    if (error.number != 0) {
        pipeline_refuse (self, chunk, token, error.number, error.text);
    } else if (wait_for (self, block, chunk, token, now_ms)) {
        note_sender (block, chunk, now_ms);
        take (self, block, chunk, kept, now_ms);
        pipeline_settle (self, block, now_ms);
        return true;
    } else {
        pipeline_unkeep (self, block, kept);
    }
    if (fresh && block != NULL)
        pipeline_remove (self, block);
    return false;
}

/* A chunk of a block that is in write, or was a moment ago. */
static bool
write_known (struct pipeline *self, struct pipeline_block *block,
             const struct pipeline_chunk *chunk, uint64_t token, int64_t now_ms)
{
    litedfs_error_t error;

    if (block->source) {
        struct pipeline_known known = {
            .finished = true, .size = block->size, .crc32 = block->whole_crc};
        write_finished (self, chunk, &known, token);
        return false;
    }
    note_sender (block, chunk, now_ms);
    if (block->stage == PIPELINE_FAILED) {
        if (chunk->from == 0)
            pipeline_reply_error (self, block->id, token, block->error, block->text);
        else
            pipeline_ack_block (self, block, chunk->from, block->error, block->text);
        return false;
    }
    if (chunk->offset > block->received) {
        gap (&error, block->received, chunk);
        pipeline_refuse (self, chunk, token, error.number, error.text);
    } else if (!block->complete && chunk->offset == block->received && chunk->size > 0) {
        return write_next (self, block, chunk, token, now_ms);
    } else if (is_ping (chunk)) {
        block->changed = true;
    } else {
        write_again (self, block, chunk, token, now_ms);
    }
    pipeline_settle (self, block, now_ms);
    return false;
}

/* Whether a copy by order may take the place of what is remembered of a block that failed here, be it that
 * others have it. */
static bool
makes_way (const struct pipeline_block *block, const struct pipeline_chunk *chunk)
{
    bool failed = block->stage == PIPELINE_FAILED ||
                  (block->stage == PIPELINE_FINAL && block->error != 0);

    return failed && chunk->copy && chunk->offset == 0 && chunk->size > 0 &&
           !pipeline_disk_busy (block);
}

bool
pipeline_write (struct pipeline *self, int64_t now_ms, const struct pipeline_chunk *chunk,
                const struct pipeline_known *known, uint64_t token)
{
    static const struct pipeline_known unknown = {.finished = false};
    struct pipeline_block *block = pipeline_find (self, chunk->block);
    litedfs_error_t error = {.number = 0};

    if (check_chunk (self, chunk, &error) == 0) {
        if (block != NULL && makes_way (block, chunk)) {
            pipeline_remove (self, block);
            block = NULL;
            known = &unknown;
        }
        if (block != NULL)
            return write_known (self, block, chunk, token, now_ms);
        if (known->finished) {
            write_finished (self, chunk, known, token);
            return false;
        }
        admit_first (self, chunk, known, &error);
    }
    if (error.number != 0) {
        pipeline_refuse (self, chunk, token, error.number, error.text);
        return false;
    }
    return write_next (self, NULL, chunk, token, now_ms);
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
        pipeline_refuse (self, &(struct pipeline_chunk){.block = block}, token, LITEDFS_EXISTS,
                         other_content);
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
    block->advanced_ms = now_ms; // a writer whose source is slow is no silent one
    struct pipeline_waiter waiter = {
        .token = token, .what = PIPELINE_WAIT_STAT, .deadline_ms = now_ms + (int64_t) wait_ms};
    pipeline_wait (self, block, &waiter, now_ms);
    pipeline_settle (self, block, now_ms);
}

/* ---- the disk --------------------------------------------------------------------------------- */

/* The disk is done with the block's oldest write. */
static void
end_write (struct pipeline_block *block, size_t size)
{
    struct pipeline_kept *kept = block->kept;

    assert (block->writes > 0);
    block->writes--;
    if (size == 0)
        return;
    while (kept != NULL && !kept->at_disk)
        kept = kept->next;
    assert (kept != NULL && kept->size == size);
    kept->at_disk = false;
}

void
pipeline_written (struct pipeline *self, int64_t now_ms, uint64_t id, size_t size,
                  const litedfs_error_t *error)
{
    struct pipeline_block *block = pipeline_find (self, id);

    assert (block != NULL);
    end_write (block, size);
    block->own_ms = now_ms;
    // The disk takes a block's chunks in order, so without writes the last one is among them, and
    // pipeline_durable is to follow.
    block->syncing = block->disk_last && block->writes == 0 && error == NULL;
    if (block->error == 0 && error != NULL) {
        pipeline_fail_own (self, block, now_ms, error->number, error->text);
    } else if (block->error == 0) {
        block->written += size;
        block->advanced_ms = now_ms;
        // Of a block of one chunk, "durable" is soon to follow.
        block->changed = block->changed || !block->syncing || block->written > size;
    }
    pipeline_settle (self, block, now_ms);
}

void
pipeline_durable (struct pipeline *self, int64_t now_ms, uint64_t id,
                  const litedfs_error_t *error)
{
    struct pipeline_block *block = pipeline_find (self, id);

    assert (block != NULL && block->syncing);
    block->syncing = false;
    if (block->error != 0) {
        block->abandoned = true; // it was given up meanwhile: the disk has it whole, or nothing
    } else if (error != NULL) {
        pipeline_fail_own (self, block, now_ms, error->number, error->text);
    } else {
        block->durable = true;
        block->changed = true;
    }
    pipeline_settle (self, block, now_ms);
}

/* ---- orders ----------------------------------------------------------------------------------- */

void
pipeline_forget (struct pipeline *self, int64_t now_ms, uint64_t id)
{
    struct pipeline_block *block = pipeline_find (self, id);

    if (block == NULL)
        return;
    if (block->stage == PIPELINE_FINAL && !pipeline_disk_busy (block)) {
        pipeline_remove (self, block); // the block store remembers it as buried
        return;
    }
    pipeline_give_up (self, block, now_ms, LITEDFS_LEASE_LOST, deleted);
    pipeline_settle (self, block, now_ms);
}

void
pipeline_lost (struct pipeline *self, uint64_t id)
{
    struct pipeline_block *block = pipeline_find (self, id);

    if (block != NULL && block->stage == PIPELINE_FINAL && !pipeline_disk_busy (block))
        pipeline_remove (self, block);
}

/* ---- the object ------------------------------------------------------------------------------- */

bool
pipeline_has (const struct pipeline *self, uint64_t block)
{
    return pipeline_find (self, block) != NULL;
}

void
pipeline_set_node (struct pipeline *self, uint32_t node)
{
    self->node = node;
}

void
pipeline_set_full (struct pipeline *self, bool full)
{
    self->full = full;
}

size_t
pipeline_block_count (const struct pipeline *self)
{
    return self->lists[PIPELINE_OPEN].count;
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
pipeline_stop (struct pipeline *self)
{
    for (int stage = 0; stage < PIPELINE_STAGES; stage++)
        for (struct pipeline_block *block = self->lists[stage].first; block != NULL;
             block = block->next) {
            for (struct pipeline_kept *kept = block->kept; kept != NULL; kept = kept->next)
                kept->at_disk = false;
            pipeline_release (self, block, block->received);
        }
}

void
pipeline_destroy (struct pipeline **self_p)
{
    struct pipeline *self = *self_p;
    struct pipeline_action rest;

    if (self == NULL)
        return;
    *self_p = NULL;
    for (int stage = 0; stage < PIPELINE_STAGES; stage++)
        for (struct pipeline_block *block = self->lists[stage].first, *next; block != NULL;
             block = next) {
            next = block->next;
            free (block->waiters);
            free (block);
        }
    while (pipeline_next (self, &rest))
        continue;
    free (self->queue);
    free (self);
}
