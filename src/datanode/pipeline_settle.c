/* SPDX-License-Identifier: MIT */
/*
 * What follows from an event: what need not be kept any more and how much credit that gives, whether the
 * block is final or has failed, who is answered and acked; and what follows from time alone.
 *
 * Credit is the memory that a block holds.  It begins with the first chunk; each time bytes were
 * released the block gets what is fair then, and never less than what it was promised before.
 *
 * A block that ended is remembered: one of a chain for PIPELINE_LINGER_MS, one that failed for
 * write_timeout, so that whoever comes back for it hears why.
 */
#include "datanode/pipeline_block.h"

#include "base/err.h"

#include <stdio.h>

#define FAIR_SHARE 4 // a block may hold one part in so many of what the others leave

/* ---- memory ----------------------------------------------------------------------------------- */

/* Give the block as much credit as is fair: a part of what others leave, at least the chunk that it was
 * admitted with, at most the window.  What was promised before is never taken back. */
static void
grant (struct pipeline *self, struct pipeline_block *block, uint64_t promised)
{
    uint64_t others = self->reserved - block->hold;
    uint64_t share = pipeline_share (self->limits.memory, block->chain_count);
    uint64_t available = share > others ? share - others : 0;
    uint64_t target = available / FAIR_SHARE;

    if (target < block->chunk)
        target = block->chunk;
    if (target > PIPELINE_WINDOW + block->stuck)
        target = PIPELINE_WINDOW + block->stuck;
    if (target > available)
        target = available;
    target -= target % CRC_UNIT;
    if (target < block->chunk && block->chunk <= block->hold)
        target = block->chunk;
    if (target < block->kept_bytes)
        target = block->kept_bytes;
    pipeline_hold (self, block, target > promised ? target : promised);
}

/* Give back what nobody needs, and let the writer have the room. */
static void
release (struct pipeline *self, struct pipeline_block *block, int64_t now_ms)
{
    bool failed = block->stage == PIPELINE_FAILED;
    uint64_t low = failed ? block->received : pipeline_low (block);
    uint64_t bytes = pipeline_release (self, block, low);

    if (failed || block->complete) {
        pipeline_hold (self, block, block->kept_bytes);
    } else if (bytes > 0) {
        block->advanced_ms = now_ms;
        grant (self, block, block->hold > bytes ? block->hold - bytes : 0);
    }
}

/* ---- ends ------------------------------------------------------------------------------------- */

static void
end (struct pipeline *self, struct pipeline_block *block, enum pipeline_stage stage,
     int64_t now_ms)
{
    pipeline_enter (self, block, stage);
    block->ended_ms = now_ms;
    block->changed = true;
}

void
pipeline_fail_own (struct pipeline *self, struct pipeline_block *block, int64_t now_ms,
                   int number, const char *text)
{
    block->error = number;
    snprintf (block->text, sizeof block->text, "%s", text);
    block->changed = true;
    if (!pipeline_chain_lives (block))
        end (self, block, PIPELINE_FAILED, now_ms);
}

void
pipeline_give_up (struct pipeline *self, struct pipeline_block *block, int64_t now_ms,
                  int number, const char *text)
{
    char name[BLOCK_ID_TEXT_SIZE];

    if (block->stage == PIPELINE_FAILED)
        return;
    block->error = number;
    snprintf (block->text, sizeof block->text, "block[%s]: %s",
              block_id_print (block->id, name), text);
    end (self, block, PIPELINE_FAILED, now_ms);
}

/* Whether everybody is done. */
static bool
is_final (const struct pipeline_block *block)
{
    if (!block->durable && block->error == 0)
        return false;
    for (size_t i = 1; i <= block->chain_count; i++)
        if (!pipeline_is_final (&block->replicas[i]))
            return false;
    return true;
}

/* See whether an open block has ended.  A relay of which nobody after it has a copy has failed. */
static void
find_end (struct pipeline *self, struct pipeline_block *block, int64_t now_ms)
{
    if (block->error != 0 && !pipeline_chain_lives (block))
        end (self, block, PIPELINE_FAILED, now_ms);
    else if (is_final (block))
        end (self, block, PIPELINE_FINAL, now_ms);
}

/* Remove what was written, if that came to nothing and the disk is done with it. */
static void
abandon (struct pipeline *self, struct pipeline_block *block)
{
    if (block->error == 0 || block->durable || block->abandoned || pipeline_disk_busy (block))
        return;
    block->abandoned = true;
    pipeline_push (self, PIPELINE_ABANDON, block->id);
}

/* Tell those before us how far the block is. */
static void
tell (struct pipeline *self, struct pipeline_block *block, int64_t now_ms)
{
    bool failed = block->stage == PIPELINE_FAILED;

    for (size_t i = 0; i < block->upstream_count; i++)
        pipeline_ack_block (self, block, block->upstreams[i], failed ? block->error : 0,
                            failed ? block->text : "");
    block->changed = false;
    block->acked_ms = now_ms;
}

/* Forget the block that ended first of a stage; one that the disk is busy with stays and counts as the
 * last. */
static void
drop_first (struct pipeline *self, enum pipeline_stage stage, int64_t now_ms)
{
    struct pipeline_block *block = self->lists[stage].first;

    if (pipeline_disk_busy (block)) {
        block->ended_ms = now_ms;
        pipeline_enter (self, block, stage);
    } else {
        pipeline_remove (self, block);
    }
}

/* What becomes of a block that has ended and been told. */
static void
settle_ended (struct pipeline *self, struct pipeline_block *block, int64_t now_ms)
{
    bool final = block->stage == PIPELINE_FINAL;

    if (block->source) {
        pipeline_copy_end (self, block);
        return;
    }
    if (final && block->chain_count == 0 && block->upstream_count == 0) {
        pipeline_remove (self, block); // the block store knows it
        return;
    }
    pipeline_tick_until (
        self, now_ms + (final ? PIPELINE_LINGER_MS : (int64_t) self->limits.write_timeout_ms));
    if (self->lists[PIPELINE_FINAL].count + self->lists[PIPELINE_FAILED].count >
        PIPELINE_LINGER_MAX)
        drop_first (self,
                    self->lists[PIPELINE_FINAL].count > 0 ? PIPELINE_FINAL : PIPELINE_FAILED,
                    now_ms);
}

/* ---- time ------------------------------------------------------------------------------------- */

bool
pipeline_awaits_writer (const struct pipeline_block *block)
{
    return block->stage == PIPELINE_OPEN && !block->source && !block->complete &&
           block->kept == NULL && !pipeline_disk_busy (block);
}

/* Whether the own disk keeps others waiting, who could go on with a relay. */
static bool
disk_keeps_waiting (const struct pipeline_block *block)
{
    return block->reading ||
           (block->error == 0 && pipeline_disk_busy (block) && pipeline_chain_lives (block));
}

static int64_t
earlier (int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* When an open block wants the next tick. */
static int64_t
next_deadline (const struct pipeline *self, const struct pipeline_block *block)
{
    int64_t write_timeout_ms = (int64_t) self->limits.write_timeout_ms;
    int64_t deadline_ms = pipeline_chain_deadline (self, block);

    if (pipeline_awaits_writer (block)) {
        deadline_ms = earlier (deadline_ms, block->advanced_ms + write_timeout_ms);
        if (block->hold > CRC_UNIT)
            deadline_ms = earlier (deadline_ms, block->advanced_ms + PIPELINE_IDLE_MS);
    }
    if (disk_keeps_waiting (block))
        deadline_ms = earlier (deadline_ms, block->own_ms + write_timeout_ms);
    if (block->upstream_count > 0)
        deadline_ms = earlier (deadline_ms, block->acked_ms + PIPELINE_ACK_MS);
    for (size_t i = 0; i < block->waiter_count; i++)
        if (block->waiters[i].what != PIPELINE_WAIT_WRITTEN)
            deadline_ms = earlier (deadline_ms, block->waiters[i].deadline_ms);
    return deadline_ms;
}

/* What the time alone changes of an open block. */
static void
tick_block (struct pipeline *self, struct pipeline_block *block, int64_t now_ms)
{
    int64_t write_timeout_ms = (int64_t) self->limits.write_timeout_ms;

    if (pipeline_awaits_writer (block)) {
        int64_t silent_ms = now_ms - block->advanced_ms;
        if (silent_ms >= write_timeout_ms)
            pipeline_give_up (self, block, now_ms, LITEDFS_TIMEOUT,
                              "no chunk came for write_timeout, so the block was given up; ask "
                              "for another block");
        else if (silent_ms >= PIPELINE_IDLE_MS && block->hold > CRC_UNIT)
            pipeline_hold (self, block, CRC_UNIT);
    } else if (disk_keeps_waiting (block) && now_ms - block->own_ms >= write_timeout_ms) {
        if (block->source) {
            pipeline_give_up (self, block, now_ms, LITEDFS_TIMEOUT,
                              "the disk did not read for write_timeout");
        } else {
            block->stuck = block->kept_bytes;
            pipeline_fail_own (self, block, now_ms, LITEDFS_TIMEOUT,
                               "the disk did not answer for write_timeout");
        }
    }
    if (block->stage == PIPELINE_OPEN)
        pipeline_chain_tick (self, block, now_ms);
    if (block->upstream_count > 0 && now_ms - block->acked_ms >= PIPELINE_ACK_MS)
        block->changed = true;
}

/* Forget those of a stage that ended so long ago. */
static void
expire (struct pipeline *self, enum pipeline_stage stage, int64_t keep_ms, int64_t now_ms)
{
    while (self->lists[stage].first != NULL &&
           now_ms - self->lists[stage].first->ended_ms >= keep_ms)
        drop_first (self, stage, now_ms);
    if (self->lists[stage].first != NULL)
        pipeline_tick_until (self, self->lists[stage].first->ended_ms + keep_ms);
}

void
pipeline_tick (struct pipeline *self, int64_t now_ms)
{
    struct pipeline_block *next;

    if (now_ms < self->deadline_ms)
        return;
    self->deadline_ms = INT64_MAX;
    for (struct pipeline_block *block = self->lists[PIPELINE_OPEN].first; block != NULL;
         block = next) {
        next = block->next;
        if (now_ms < block->deadline_ms) {
            pipeline_tick_until (self, block->deadline_ms);
            continue;
        }
        tick_block (self, block, now_ms);
        pipeline_settle (self, block, now_ms);
    }
    expire (self, PIPELINE_FINAL, PIPELINE_LINGER_MS, now_ms);
    expire (self, PIPELINE_FAILED, (int64_t) self->limits.write_timeout_ms, now_ms);
}

int64_t
pipeline_next_deadline (const struct pipeline *self)
{
    return self->deadline_ms;
}

/* ---- all together ----------------------------------------------------------------------------- */

void
pipeline_settle (struct pipeline *self, struct pipeline_block *block, int64_t now_ms)
{
    if (block->stage == PIPELINE_OPEN)
        pipeline_chain_settle (self, block, now_ms);
    if (block->stage == PIPELINE_OPEN)
        find_end (self, block, now_ms);
    release (self, block, now_ms);
    if (block->source && block->stage == PIPELINE_OPEN)
        pipeline_copy_settle (self, block, now_ms);
    abandon (self, block);
    pipeline_wake (self, block, now_ms);
    if (block->changed)
        tell (self, block, now_ms);
    if (block->stage != PIPELINE_OPEN) {
        settle_ended (self, block, now_ms);
        return;
    }
    block->deadline_ms = next_deadline (self, block);
    pipeline_tick_until (self, block->deadline_ms);
}
