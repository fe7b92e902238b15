/* SPDX-License-Identifier: MIT */
/*
 * The chain behind a block: whom we serve, what it is sent, what it says, and when it is passed over.
 *
 * The hop is the first node of the chain that was not passed over, for as long as it or anybody after it
 * is not final.  It serves those after it and tells us of them; when it is gone, or is done itself and
 * does not know of them, the next one becomes the hop and is sent what it lacks.
 *
 * What a hop says is taken for what it can be: no offset is above what we have, no copy durable before
 * the block is complete here and as long there, final states stay, credit has a bound.  An answer that it lacks bytes which
 * are not kept any more may be an old one, so it must come twice.
 *
 * A hop that acks lives.  It is asked again (sent the first chunk that it has not acked, or the empty
 * last one) when it does not advance, because what it was sent may be lost, or when it is silent.
 */
#include "datanode/pipeline_block.h"

#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>

#define REWIND_MS 200      // between two times that a hop is sent everything anew
#define ASK_AFTER_MS 1500  // a hop that owes is asked after so long,
#define ASK_AGAIN_MS 1000  // and again
#define KEEP_ALIVE_PARTS 4 // of write_timeout, between signs of life to a hop that waits for us

static int64_t
later (int64_t a_ms, int64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

static int64_t
earlier (int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* ---- the hop ---------------------------------------------------------------------------------- */

/* The copy of a node of the chain. */
static struct pipeline_replica *
replica_of (const struct pipeline_block *block, size_t place)
{
    return &block->replicas[place + 1];
}

static bool
has_hop (const struct pipeline_block *block)
{
    return block->hop < block->chain_count;
}

/* Whether the node at this place still has to get something. */
static bool
is_pending (const struct pipeline_block *block, size_t place)
{
    return block->members[place].finished == 0 &&
           !pipeline_is_final (replica_of (block, place));
}

/* Whether anybody is pending from this place of the chain on. */
static bool
are_pending (const struct pipeline_block *block, size_t place)
{
    while (place < block->chain_count && !is_pending (block, place))
        place++;
    return place < block->chain_count;
}

/* What was sent counts from here on, or from the start of the chunk that this is in. */
static void
set_sent (struct pipeline_block *block, uint64_t offset)
{
    const struct pipeline_kept *kept = pipeline_kept_at (block, offset);

    block->sent = kept != NULL ? kept->offset : offset;
    block->sent_last = false;
}

/* The hop is to be sent what it has not acked anew, after a while. */
static void
retry_later (struct pipeline_block *block, int64_t at_ms)
{
    if (!block->retry) {
        block->retry = true;
        block->retry_ms = at_ms;
    }
}

/* Serve the node at this place from what it is known to have. */
static void
link_hop (struct pipeline_block *block, size_t place, int64_t now_ms)
{
    block->hop = place;
    block->owes = block->retry = block->forgot = false;
    block->after_count = 0;
    if (!has_hop (block))
        return;
    set_sent (block, replica_of (block, place)->offset);
    block->limit = 0;
    block->heard_ms = block->asked_ms = block->forwarded_ms = now_ms;
    block->rewound_ms = now_ms - REWIND_MS;
    block->members[place].advanced_ms = now_ms;
    for (size_t i = place + 1; i < block->chain_count; i++)
        if (replica_of (block, i)->state != REPLICA_FAILED)
            block->after[block->after_count++] = replica_of (block, i)->node;
}

static void
choose_hop (struct pipeline_block *block, int64_t now_ms)
{
    size_t place = block->skip;

    while (place < block->chain_count && replica_of (block, place)->state == REPLICA_FAILED)
        place++;
    if (!are_pending (block, place))
        place = block->chain_count;
    if (place != block->hop)
        link_hop (block, place, now_ms);
}

/* The node at this place has no part in the block any more. */
static void
pass_over (struct pipeline *self, struct pipeline_block *block, size_t place, int number,
           const char *text)
{
    struct pipeline_replica *replica = replica_of (block, place);
    struct pipeline_queued *queued = pipeline_try_push (self, PIPELINE_PASSED, block->id);

    replica->state = REPLICA_FAILED;
    replica->awaits = 0;
    block->changed = true;
    if (queued != NULL) {
        queued->action.node = replica->node;
        queued->action.error = number;
        snprintf (queued->text, sizeof queued->text, "%s", text);
    }
    if (block->source && block->error == 0) {
        block->error = number;
        snprintf (block->text, sizeof block->text, "%s", text);
    }
}

/* Nodes that say that they have finished the block, perhaps because they were sent it by a node that has
 * forgotten it since, are durable as soon as we know that it is the same: its end shows its size. */
static void
settle_finished (struct pipeline *self, struct pipeline_block *block, int64_t now_ms)
{
    bool complete = block->complete || block->source;
    uint64_t size = block->source ? block->size : block->received;

    for (size_t place = 0; place < block->chain_count; place++) {
        struct pipeline_replica *replica = replica_of (block, place);
        uint64_t finished = block->members[place].finished;
        if (finished == 0 || pipeline_is_final (replica))
            continue;
        if (finished < size || (complete && finished != size)) {
            pass_over (self, block, place, LITEDFS_EXISTS,
                       "the node has finished the block with another size");
            continue;
        }
        replica->offset = block->received;
        if (complete) {
            replica->state = REPLICA_DURABLE;
            block->members[place].advanced_ms = now_ms;
            block->changed = true;
        }
    }
}

/* The hop is gone.  What is durable there stays so. */
static void
leave_hop (struct pipeline *self, struct pipeline_block *block, int number, const char *text)
{
    if (block->members[block->hop].finished > 0)
        block->skip = block->hop + 1;
    else
        pass_over (self, block, block->hop, number, text);
}

/* ---- sending ---------------------------------------------------------------------------------- */

/* Send the hop a chunk, or with NULL one without bytes; false when memory is short. */
static bool
forward (struct pipeline *self, struct pipeline_block *block, const struct pipeline_kept *kept,
         bool last, int64_t now_ms)
{
    struct pipeline_queued *queued = pipeline_try_push (self, PIPELINE_FORWARD, block->id);

    block->forwarded_ms = now_ms;
    if (queued == NULL) {
        retry_later (block, now_ms + REWIND_MS);
        return false;
    }
    struct pipeline_action *action = &queued->action;
    action->node = replica_of (block, block->hop)->node;
    action->offset = block->received;
    if (kept != NULL) {
        action->offset = kept->offset;
        action->size = kept->size;
        action->payload = kept->payload;
        action->crc32 = kept->crc32;
    }
    action->last = last;
    action->count = last ? block->count : 0;
    action->file = block->file;
    action->index = block->index;
    action->path = block->path;
    action->chain = block->after;
    action->chain_count = block->after_count;
    action->copy = block->copy;
    return true;
}

static bool
is_last (const struct pipeline_block *block, const struct pipeline_kept *kept)
{
    return block->complete && kept->offset + kept->size == block->received;
}

/* Send what the hop may be sent: one chunk always, more as far as its credit reaches. */
static void
send_next (struct pipeline *self, struct pipeline_block *block, int64_t now_ms)
{
    uint64_t acked = replica_of (block, block->hop)->offset;
    uint64_t limit =
        block->limit < acked + PIPELINE_WINDOW ? block->limit : acked + PIPELINE_WINDOW;
    const struct pipeline_kept *kept;

    while ((kept = pipeline_kept_at (block, block->sent)) != NULL) {
        uint64_t end = kept->offset + kept->size;
        if (block->sent > acked && end > limit)
            return;
        if (block->sent == acked) // it had all, and was not standing still
            block->members[block->hop].advanced_ms = now_ms;
        if (!forward (self, block, kept, is_last (block, kept), now_ms))
            return;
        block->sent = end;
        block->sent_last = is_last (block, kept);
    }
    if (block->complete && !block->sent_last && block->sent == block->received)
        block->sent_last = forward (self, block, NULL, true, now_ms);
}

/* Have the hop answer: send again the first thing that it has not acked, or else nothing. */
static void
ask (struct pipeline *self, struct pipeline_block *block, int64_t now_ms)
{
    const struct pipeline_kept *kept =
        pipeline_kept_at (block, replica_of (block, block->hop)->offset);

    block->asked_ms = now_ms;
    if (kept != NULL)
        forward (self, block, kept, is_last (block, kept), now_ms);
    else
        forward (self, block, NULL, block->complete, now_ms);
}

/* Whether the hop or anybody after it has not all that was sent. */
static bool
lacks_sent (const struct pipeline_block *block)
{
    if (block->sent > replica_of (block, block->hop)->offset)
        return true;
    for (size_t place = block->hop + 1; place < block->chain_count; place++)
        if (is_pending (block, place) && block->sent > replica_of (block, place)->offset)
            return true;
    return false;
}

void
pipeline_chain_settle (struct pipeline *self, struct pipeline_block *block, int64_t now_ms)
{
    settle_finished (self, block, now_ms);
    choose_hop (block, now_ms);
    if (!has_hop (block))
        return;
    if (block->retry && now_ms >= block->retry_ms) {
        set_sent (block, replica_of (block, block->hop)->offset);
        block->retry = false;
        block->rewound_ms = block->asked_ms = now_ms;
    }
    if (!block->retry)
        send_next (self, block, now_ms);
    bool owes = block->complete || block->retry || lacks_sent (block);
    if (owes && !block->owes)
        block->owes_ms = now_ms;
    block->owes = owes;
}

/* ---- what the hop says ------------------------------------------------------------------------ */

/* One line of an ack, about the node at this place. */
static void
note_replica (struct pipeline_block *block, size_t place, const struct pipeline_replica *theirs,
              int64_t now_ms)
{
    struct pipeline_replica *ours = replica_of (block, place);
    enum replica_state state = theirs->state;
    uint64_t offset = theirs->offset < block->received ? theirs->offset : block->received;

    if (ours->state == REPLICA_FAILED || ours->state == REPLICA_DURABLE)
        return;
    if (state == REPLICA_DURABLE) {
        block->members[place].finished = theirs->offset;
        state = REPLICA_RECEIVING;
    }
    if (state == REPLICA_UNKNOWN || (ours->state == REPLICA_RELAY && state != REPLICA_FAILED))
        state = ours->state;
    if (offset < ours->offset)
        offset = ours->offset;
    if (offset != ours->offset || state != ours->state) {
        ours->offset = offset;
        ours->state = state;
        block->members[place].advanced_ms = now_ms;
        block->changed = true;
    }
    ours->awaits = pipeline_is_final (ours) && state != REPLICA_FAILED ? theirs->awaits : 0;
}

/* All lines of an ack.  A hop that is done itself, and does not name somebody who is not, will not serve
 * it: then we do. */
static void
note_replicas (struct pipeline_block *block, const struct pipeline_ack *ack, int64_t now_ms)
{
    size_t hop = block->hop;
    bool orphans = false;

    for (size_t place = hop; place < block->chain_count; place++) {
        const struct pipeline_replica *ours = replica_of (block, place);
        const struct pipeline_replica *theirs = NULL;
        for (size_t i = 0; i < ack->replica_count && theirs == NULL; i++)
            if (ack->replicas[i].node == ours->node)
                theirs = &ack->replicas[i];
        if (theirs != NULL)
            note_replica (block, place, theirs, now_ms);
        else if (is_pending (block, place))
            orphans = true;
    }
    if (orphans && pipeline_is_final (&ack->replicas[0]) && !is_pending (block, hop))
        block->skip = hop + 1;
}

static const char *
why_of (const struct pipeline_ack *ack)
{
    return ack->why != NULL ? ack->why : err_text (ack->failure);
}

/* The hop says that it lacks bytes which cannot be sent.  It takes no part, once it has said so again: soon
 * when it does not know the block, later when it does, because somebody else may be sending them. */
static void
note_forgotten (struct pipeline *self, struct pipeline_block *block,
                const struct pipeline_ack *ack, int64_t now_ms)
{
    bool known = ack->replicas[0].state != REPLICA_UNKNOWN;
    int64_t doubt_ms = known ? (int64_t) self->limits.pipeline_timeout_ms : REWIND_MS;

    if (!block->forgot) {
        block->forgot = true;
        block->forgot_ms = now_ms;
    } else if (now_ms - block->forgot_ms >= doubt_ms) {
        pass_over (self, block, block->hop, LITEDFS_GAP, why_of (ack));
        return;
    }
    retry_later (block, now_ms + REWIND_MS);
}

/* The hop lacks bytes: it is sent them again.  One that is durable has all, and this is an old ack. */
static void
note_gap (struct pipeline *self, struct pipeline_block *block, const struct pipeline_ack *ack,
          int64_t now_ms)
{
    struct pipeline_replica *ours = replica_of (block, block->hop);
    uint64_t offset = ack->replicas[0].offset;
    const struct pipeline_kept *kept = pipeline_kept_at (block, offset);

    if (block->members[block->hop].finished > 0)
        return;
    if (offset < block->received && (kept == NULL || kept->offset != offset)) {
        note_forgotten (self, block, ack, now_ms);
        return;
    }
    if (offset < ours->offset) {
        ours->offset = offset;
        block->changed = true;
        block->limit = 0;
    }
    retry_later (block, later (block->rewound_ms + REWIND_MS, now_ms));
}

static void
note_failure (struct pipeline *self, struct pipeline_block *block,
              const struct pipeline_ack *ack, int64_t now_ms)
{
    switch (ack->failure) {
    case LITEDFS_GAP:
        note_gap (self, block, ack, now_ms);
        break;
    case LITEDFS_CORRUPT:
        retry_later (block, later (block->rewound_ms + REWIND_MS, now_ms));
        break;
    case LITEDFS_BUSY:
        block->limit = 0;
        retry_later (block, now_ms + REWIND_MS);
        break;
    default:
        leave_hop (self, block, ack->failure, why_of (ack));
        break;
    }
}

void
pipeline_acked (struct pipeline *self, int64_t now_ms, const struct pipeline_ack *ack)
{
    struct pipeline_block *block = pipeline_find (self, ack->block);

    if (block == NULL || block->stage != PIPELINE_OPEN || !has_hop (block) ||
        ack->replica_count == 0 || ack->replicas[0].node != ack->from ||
        replica_of (block, block->hop)->node != ack->from)
        return;
    size_t hop = block->hop;
    uint64_t credit = ack->credit < PIPELINE_WINDOW ? ack->credit : PIPELINE_WINDOW;
    uint64_t before = replica_of (block, hop)->offset;
    block->heard_ms = now_ms;
    note_replicas (block, ack, now_ms);
    uint64_t offset = replica_of (block, hop)->offset;
    if (ack->replicas[0].offset >= before && ack->failure == 0)
        block->forgot = false;
    if (ack->replicas[0].offset >= before && offset + credit > block->limit)
        block->limit = offset + credit;
    if (block->sent < offset)
        set_sent (block, offset);
    if (ack->failure != 0)
        note_failure (self, block, ack, now_ms);
    else if (replica_of (block, hop)->state == REPLICA_FAILED)
        pass_over (self, block, hop, LITEDFS_FAILED, "the node says that its copy failed");
    pipeline_settle (self, block, now_ms);
}

void
pipeline_node_lost (struct pipeline *self, int64_t now_ms, uint32_t node)
{
    struct pipeline_block *next;

    for (struct pipeline_block *block = self->lists[PIPELINE_OPEN].first; block != NULL;
         block = next) {
        next = block->next;
        size_t kept = 0;
        for (size_t i = 0; i < block->upstream_count; i++)
            if (block->upstreams[i] != node)
                block->upstreams[kept++] = block->upstreams[i];
        block->upstream_count = kept;
        if (has_hop (block) && replica_of (block, block->hop)->node == node)
            leave_hop (self, block, LITEDFS_UNREACHABLE, "there is no connection to the node");
        pipeline_settle (self, block, now_ms);
    }
}

/* ---- time ------------------------------------------------------------------------------------- */

/* When the hop has been silent for too long. */
static int64_t
silence_ends (const struct pipeline *self, const struct pipeline_block *block)
{
    return later (block->heard_ms, block->owes_ms) + (int64_t) self->limits.pipeline_timeout_ms;
}

/* Whether the node at this place has all that was sent, and more is to come: nothing is awaited of it. */
static bool
has_sent (const struct pipeline_block *block, size_t place)
{
    return !block->complete && replica_of (block, place)->offset >= block->sent;
}

/* When somebody in the chain has stood still for too long: the hop itself, or one after it that the hop
 * should have passed over by then.  The more come after us, the longer we wait, so that each is judged by
 * the node before it first.  *out_place says who; INT64_MAX if nobody will. */
static int64_t
patience_ends (const struct pipeline *self, const struct pipeline_block *block,
               size_t *out_place)
{
    int64_t patience_ms =
        (int64_t) (self->limits.write_timeout_ms +
                   (block->chain_count - 1 - block->hop) * self->limits.pipeline_timeout_ms);
    int64_t since_ms = block->owes_ms;
    int64_t first_ms = INT64_MAX;

    for (size_t place = block->hop; place < block->chain_count; place++) {
        since_ms = later (since_ms, block->members[place].advanced_ms);
        int64_t end_ms = since_ms + patience_ms;
        if (is_pending (block, place) && !has_sent (block, place) && end_ms < first_ms) {
            first_ms = end_ms;
            *out_place = place;
        }
    }
    return first_ms;
}

/* When a hop that owes is to be asked.  One that has everything needs its time, for the disk or for those
 * after it, and is asked only when it is silent. */
static int64_t
ask_at (const struct pipeline_block *block)
{
    const struct pipeline_replica *hop = replica_of (block, block->hop);
    bool has_end = hop->state == REPLICA_SYNCING || hop->state == REPLICA_DURABLE;
    bool has_all = hop->offset >= block->sent && (has_end || !block->complete);
    int64_t since_ms = has_all ? block->heard_ms : block->members[block->hop].advanced_ms;

    return later (later (since_ms, block->owes_ms) + ASK_AFTER_MS,
                  block->asked_ms + ASK_AGAIN_MS);
}

/* When a hop that waits for us is to hear that its writer is still there; INT64_MAX if it need not. */
static int64_t
keep_alive_at (const struct pipeline *self, const struct pipeline_block *block)
{
    if (pipeline_awaits_writer (block) && block->advanced_ms <= block->forwarded_ms)
        return INT64_MAX;
    return block->forwarded_ms + (int64_t) self->limits.write_timeout_ms / KEEP_ALIVE_PARTS;
}

int64_t
pipeline_chain_deadline (const struct pipeline *self, const struct pipeline_block *block)
{
    size_t place;

    if (!has_hop (block))
        return INT64_MAX;
    if (!block->owes)
        return keep_alive_at (self, block);
    int64_t deadline_ms =
        earlier (silence_ends (self, block), patience_ends (self, block, &place));
    return earlier (deadline_ms, block->retry ? block->retry_ms : ask_at (block));
}

void
pipeline_chain_tick (struct pipeline *self, struct pipeline_block *block, int64_t now_ms)
{
    size_t place = 0;

    if (!has_hop (block))
        return;
    if (!block->owes) {
        if (now_ms >= keep_alive_at (self, block))
            forward (self, block, NULL, false, now_ms);
    } else if (now_ms >= silence_ends (self, block)) {
        leave_hop (self, block, LITEDFS_TIMEOUT, "the node did not ack for pipeline_timeout");
    } else if (now_ms >= patience_ends (self, block, &place)) {
        pass_over (self, block, place, LITEDFS_TIMEOUT,
                   "the node's copy did not advance for write_timeout");
    } else if (!block->retry && now_ms >= ask_at (block)) {
        ask (self, block, now_ms);
    }
}

/* As if it had been heard so much later, but not later than now. */
static void
shift (int64_t *at_ms, int64_t ms, int64_t now_ms)
{
    *at_ms = earlier (*at_ms + ms, now_ms);
}

void
pipeline_forgive (struct pipeline *self, int64_t now_ms, int64_t ms)
{
    for (struct pipeline_block *block = self->lists[PIPELINE_OPEN].first; block != NULL;
         block = block->next) {
        shift (&block->own_ms, ms, now_ms);
        shift (&block->advanced_ms, ms, now_ms);
        shift (&block->heard_ms, ms, now_ms);
        shift (&block->owes_ms, ms, now_ms);
        shift (&block->asked_ms, ms, now_ms);
        for (size_t place = 0; place < block->chain_count; place++)
            shift (&block->members[place].advanced_ms, ms, now_ms);
    }
}
