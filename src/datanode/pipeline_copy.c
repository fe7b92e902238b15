/* SPDX-License-Identifier: MIT */
/*
 * Copies by order: a finished block goes down a chain of one, with the disk in place of a client.
 *
 * The block is open here while it lasts, its own copy durable from the start.  One READ at a time brings
 * its bytes, as far as they fit into what the block holds of the memory; from there on they are chunks
 * like any others.  What is read is checked as a whole against the CRC of the index before its end is
 * sent.
 */
#include "datanode/pipeline_block.h"

#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>

#define READ_SIZE ((size_t) 1 << 20) // bytes of one READ

/* The bytes of the next READ. */
static size_t
next_size (const struct pipeline_block *block)
{
    uint64_t left = block->size - block->received;

    return left < READ_SIZE ? (size_t) left : READ_SIZE;
}

static int
check_copy (const struct pipeline *self, const struct pipeline_copy *copy,
            litedfs_error_t *error)
{
    if (copy->target == 0 || copy->target == self->node)
        return err_set (error, LITEDFS_INVALID, "node %" PRIu32 " cannot be the target",
                        copy->target);
    if (copy->size == 0 || copy->size > PIPELINE_BLOCK_SIZE_MAX)
        return err_set (error, LITEDFS_INVALID, "%" PRIu64 " bytes are no block's size",
                        copy->size);
    if (copy->path.size == 0 || copy->path.size > PIPELINE_PATH_MAX ||
        uuid_is_nil (&copy->file))
        return err_set (error, LITEDFS_INVALID, "file and path must be known");
    return 0;
}

/* Whether there is room for a copy.  What is only remembered of the block makes way. */
static int
admit_copy (struct pipeline *self, const struct pipeline_copy *copy, litedfs_error_t *error)
{
    struct pipeline_block *block = pipeline_find (self, copy->block);
    uint64_t first = copy->size < READ_SIZE ? copy->size : READ_SIZE;

    if (block != NULL && (block->stage == PIPELINE_OPEN || pipeline_disk_busy (block)))
        return err_set (error, LITEDFS_BUSY, "the block is written or copied here already");
    if (self->lists[PIPELINE_OPEN].count >= pipeline_share (PIPELINE_BLOCKS_MAX, 1) ||
        self->reserved + first > pipeline_share (self->limits.memory, 1))
        return err_set (error, LITEDFS_BUSY,
                        "%zu blocks and %" PRIu64 " bytes are under way here (memory_limit)",
                        self->lists[PIPELINE_OPEN].count, self->reserved);
    if (block != NULL)
        pipeline_remove (self, block);
    return 0;
}

int
pipeline_start_copy (struct pipeline *self, int64_t now_ms, const struct pipeline_copy *copy,
                     litedfs_error_t *error)
{
    uint64_t target = copy->target;
    struct pipeline_chunk chunk = {.block = copy->block,
                                   .file = copy->file,
                                   .index = copy->index,
                                   .path = copy->path,
                                   .chain = &target,
                                   .chain_count = 1,
                                   .copy = true};
    struct pipeline_block *block = NULL;
    char name[BLOCK_ID_TEXT_SIZE];

    block_id_print (copy->block, name);
    if (check_copy (self, copy, error) < 0 || admit_copy (self, copy, error) < 0)
        return err_prefix (error, "block[%s]", name);
    block = pipeline_add (self, &chunk, now_ms);
    if (block == NULL)
        return err_set (error, LITEDFS_MEMORY, "block[%s]: out of memory", name);
    block->source = true;
    block->durable = true;
    block->size = copy->size;
    block->whole_crc = copy->crc32;
    block->count = copy->count;
    block->chunk = next_size (block);
    pipeline_hold (self, block, block->chunk);
    pipeline_settle (self, block, now_ms);
    return 0;
}

void
pipeline_copy_settle (struct pipeline *self, struct pipeline_block *block, int64_t now_ms)
{
    size_t size = next_size (block);

    if (block->reading || block->complete || block->kept_bytes + size > block->hold)
        return;
    struct pipeline_action *action = &pipeline_push (self, PIPELINE_READ, block->id)->action;
    action->offset = block->received;
    action->size = size;
    block->reading = true;
    block->own_ms = now_ms;
}

/* Take what was read as the next chunk. */
static void
take (struct pipeline *self, struct pipeline_block *block, const void *data, size_t size,
      void *payload, litedfs_error_t *error)
{
    uint32_t units[PIPELINE_UNITS_MAX];
    struct pipeline_chunk chunk = {
        .block = block->id, .offset = block->received, .size = size, .payload = payload};

    if (size != next_size (block)) {
        err_set (error, LITEDFS_IO, "%zu bytes were read at offset %" PRIu64 " instead of %zu",
                 size, block->received, next_size (block));
        return;
    }
    crc_units (data, size, units);
    chunk.crc32 = crc_units_join (units, size);
    uint32_t crc = crc32_join (block->crc, chunk.crc32, size);
    bool complete = block->received + size == block->size;
    if (complete && crc != block->whole_crc) {
        err_set (error, LITEDFS_CORRUPT, "its CRC-32 is %08x instead of %08x", crc,
                 block->whole_crc);
    } else if (pipeline_keep (self, block, &chunk, units) == NULL) {
        err_set (error, LITEDFS_MEMORY, "out of memory");
    } else {
        block->crc = crc;
        block->received += size;
        block->written = block->received;
        block->complete = complete;
    }
}

bool
pipeline_was_read (struct pipeline *self, int64_t now_ms, uint64_t id, uint64_t offset,
                   const void *data, size_t size, void *payload, const litedfs_error_t *error)
{
    struct pipeline_block *block = pipeline_find (self, id);
    litedfs_error_t problem = {.number = 0};

    if (block == NULL || !block->reading || block->stage != PIPELINE_OPEN ||
        offset != block->received)
        return false; // of a copy that has ended
    block->reading = false;
    block->own_ms = block->advanced_ms = now_ms;
    if (error == NULL)
        take (self, block, data, size, payload, &problem);
    if (error != NULL || problem.number != 0)
        pipeline_give_up (self, block, now_ms, error != NULL ? error->number : problem.number,
                          error != NULL ? error->text : problem.text);
    pipeline_settle (self, block, now_ms);
    return error == NULL && problem.number == 0;
}

void
pipeline_copy_end (struct pipeline *self, struct pipeline_block *block)
{
    struct pipeline_queued *queued = pipeline_push (self, PIPELINE_COPIED, block->id);

    queued->action.node = block->replicas[1].node;
    if (block->error != 0) {
        queued->action.error = block->error;
        snprintf (queued->text, sizeof queued->text, "%s", block->text);
    } else if (block->replicas[1].state != REPLICA_DURABLE) {
        queued->action.error = LITEDFS_FAILED;
        snprintf (queued->text, sizeof queued->text, "the node has no copy");
    }
    pipeline_remove (self, block);
}
