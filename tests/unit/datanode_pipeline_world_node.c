/* SPDX-License-Identifier: MIT */
/*
 * A node of the world: its disk, what its pipeline wants done, what comes to it.
 */
#include "datanode_pipeline_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- payloads --------------------------------------------------------------------------------- */

static struct payload *
payload_new (struct world *self, const uint8_t *data, size_t size)
{
    struct payload *payload = calloc (1, sizeof *payload);

    CHECK (self, payload != NULL, "memory");
    payload->data = data;
    payload->size = size;
    self->payloads++;
    return payload;
}

static void
payload_free (struct world *self, struct payload *payload)
{
    self->payloads--;
    free (payload);
}

/* ---- the disk --------------------------------------------------------------------------------- */

static void
submit (struct world *self, struct node *node, const struct job *job, int most_ms)
{
    int64_t due_ms = self->now_ms + world_dice (self, most_ms + 1);

    CHECK (self, node->job_count < WORLD_JOBS, "jobs");
    if (node->job_count > 0) {
        size_t last = (node->job_first + node->job_count - 1) % WORLD_JOBS;
        if (node->jobs[last].due_ms > due_ms)
            due_ms = node->jobs[last].due_ms + world_dice (self, most_ms + 1);
    }
    struct job *place = &node->jobs[(node->job_first + node->job_count++) % WORLD_JOBS];
    *place = *job;
    place->due_ms = due_ms;
}

/* Write to the disk; 0 or the error. */
static int
disk_write (struct world *self, struct node *node, const struct job *job)
{
    struct stored *stored = &node->stored[job->block];

    if (stored->finished)
        return LITEDFS_EXISTS;
    if (stored->buried && !job->copy)
        return LITEDFS_LEASE_LOST;
    if (world_percent (self, node->fail_percent))
        return LITEDFS_IO;
    if (job->offset == 0) {
        stored->started = true;
        stored->written = 0;
    }
    if (!stored->started || stored->written != job->offset)
        return LITEDFS_GAP;
    stored->written += job->size;
    return 0;
}

void
world_run_job (struct world *self, struct node *node, struct job *job)
{
    struct stored *stored = &node->stored[job->block];
    litedfs_error_t error = {.number = 0, .text = "the disk says no"};

    if (job->sync) {
        error.number = world_percent (self, node->fail_percent) ? LITEDFS_IO : 0;
        stored->finished = stored->started = error.number == 0;
        stored->buried = stored->buried && !stored->finished;
        CHECK (self, error.number != 0 || stored->written == self->size[job->block], "size");
        pipeline_durable (node->pipeline, self->now_ms, job->block,
                          error.number != 0 ? &error : NULL);
    } else if (job->kind == PIPELINE_WRITE) {
        error.number = disk_write (self, node, job);
        if (job->last && error.number == 0) {
            struct job sync = *job;
            sync.sync = true;
            submit (self, node, &sync, node->sync_ms);
        }
        pipeline_written (node->pipeline, self->now_ms, job->block, job->size,
                          error.number != 0 ? &error : NULL);
    } else if (job->kind == PIPELINE_READ) {
        struct payload *payload = payload_new (self, world_content + job->offset, job->size);
        error.number = world_percent (self, node->fail_percent) ? LITEDFS_IO : 0;
        if (!stored->finished)
            error.number = LITEDFS_NOT_FOUND;
        if (pipeline_was_read (node->pipeline, self->now_ms, job->block, job->offset,
                               payload->data, job->size, payload,
                               error.number != 0 ? &error : NULL))
            payload->owner = node->number;
        else
            payload_free (self, payload);
    } else if (!stored->finished) {
        stored->started = false;
        stored->written = 0;
    }
    world_run_actions (self, node);
}

/* ---- actions ---------------------------------------------------------------------------------- */

/* Whoever is said to be durable has every byte. */
static void
check_durable (struct world *self, uint64_t block, const struct pipeline_replica *replicas,
               size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct node *node = &self->nodes[replicas[i].node];
        CHECK (self, replicas[i].offset <= self->size[block], "node %u", replicas[i].node);
        if (replicas[i].state == REPLICA_DURABLE)
            CHECK (self,
                   node->stored[block].finished &&
                       node->stored[block].written == self->size[block],
                   "node %u, block %" PRIu64, replicas[i].node, block);
    }
}

static void
copy_replicas (struct world *self, struct letter *letter, const struct pipeline_action *action)
{
    CHECK (self, action->replica_count <= WORLD_NODES, "replicas");
    letter->replica_count = action->replica_count;
    for (size_t i = 0; i < action->replica_count; i++)
        letter->replicas[i] = action->replicas[i];
    check_durable (self, action->block, action->replicas, action->replica_count);
}

static void
on_reply (struct world *self, struct node *node, const struct pipeline_action *action)
{
    struct request *request = &self->requests[action->token];
    struct letter letter = {.kind = LETTER_REPLY,
                            .from = node->number,
                            .block = action->block,
                            .request = (size_t) action->token,
                            .error = action->error,
                            .state = action->state};

    CHECK (self, action->token < self->request_count && request->node == node->number, "token");
    CHECK (self, ++request->answers == 1, "request %zu", (size_t) action->token);
    if (action->error == 0)
        copy_replicas (self, &letter, action);
    world_send (self, &letter);
}

static void
on_write (struct world *self, struct node *node, const struct pipeline_action *action)
{
    const struct payload *payload = action->payload;
    struct job job = {.kind = PIPELINE_WRITE,
                      .block = action->block,
                      .offset = action->offset,
                      .size = action->size,
                      .last = action->last,
                      .copy = action->copy};

    if (action->size > 0)
        CHECK (self,
               payload->owner == node->number && payload->size == action->size &&
                   payload->data == world_content + action->offset,
               "offset %" PRIu64, action->offset);
    CHECK (self, action->unit_count == crc_unit_count (action->size), "units");
    submit (self, node, &job, node->write_ms);
}

static void
on_forward (struct world *self, struct node *node, const struct pipeline_action *action)
{
    const struct payload *payload = action->payload;
    struct letter letter = {.kind = LETTER_CHUNK,
                            .from = node->number,
                            .to = action->node,
                            .block = action->block,
                            .offset = action->offset,
                            .size = action->size,
                            .crc32 = action->crc32,
                            .last = action->last,
                            .copy = action->copy,
                            .chain_count = action->chain_count};

    CHECK (self, action->node >= 1 && action->node <= self->node_count, "node");
    if (action->size > 0) {
        CHECK (self, payload->owner == node->number && payload->size == action->size,
               "offset %" PRIu64, action->offset);
        letter.data = payload->data;
    }
    for (size_t i = 0; i < action->chain_count; i++)
        letter.chain[i] = action->chain[i];
    if (action->size > 0 && self->now_ms < self->faults_end_ms &&
        world_percent (self, self->lose_percent / 2)) {
        letter.crc32++; // damaged on the way
        world_note_fault (self, self->now_ms);
    }
    world_send (self, &letter);
}

static void
on_ack (struct world *self, struct node *node, const struct pipeline_action *action)
{
    struct letter letter = {.kind = LETTER_ACK,
                            .from = node->number,
                            .to = action->node,
                            .block = action->block,
                            .credit = action->state.credit,
                            .error = action->error};

    CHECK (self, action->node >= 1 && action->node <= self->node_count, "node");
    CHECK (self, action->state.credit <= PIPELINE_WINDOW, "credit %" PRIu64,
           action->state.credit);
    snprintf (letter.text, sizeof letter.text, "%s", action->text);
    copy_replicas (self, &letter, action);
    if (letter.replicas[0].state == REPLICA_FAILED ||
        (action->error != 0 && action->error != LITEDFS_GAP && action->error != LITEDFS_BUSY &&
         action->error != LITEDFS_CORRUPT))
        node->refused++;
    world_send (self, &letter);
}

/* Somebody is passed over: was that right? */
static void
on_passed (struct world *self, struct node *node, const struct pipeline_action *action)
{
    const struct node *other = &self->nodes[action->node];
    int64_t silent_ms = self->now_ms - other->heard_ms[node->number][action->block];

    self->passed++;
    world_say (self, "%u passes %u over in %" PRIu64 ": %s %s", node->number, action->node,
               action->block, err_word (action->error), action->text);
    if (action->error == LITEDFS_TIMEOUT && strstr (action->text, "pipeline_timeout")) {
        self->passed_silent++;
        CHECK (self, silent_ms >= PIPELINE_TIMEOUT_MS, "node %u was heard %" PRId64 " ms ago",
               action->node, silent_ms);
    } else if (action->error == LITEDFS_GAP) {
        CHECK (self, other->restarts > 0 || other->refused > 0, "node %u forgot nothing",
               action->node);
    } else if (action->error == LITEDFS_UNREACHABLE) {
        CHECK (self, other->restarts > 0 || other->pipeline == NULL, "node %u is there",
               action->node);
    } else if (action->error != LITEDFS_TIMEOUT) {
        CHECK (self, other->refused > 0, "node %u did not refuse: %s", action->node,
               action->text);
    }
}

static void
on_copied (struct world *self, struct node *node, const struct pipeline_action *action)
{
    world_say (self, "copy of %" PRIu64 " from %u to %u has ended: %s %s", action->block,
               node->number, action->node, action->error ? err_word (action->error) : "well",
               action->text);
    CHECK (self, node->copied[action->block]-- > 0, "no copy was under way");
    self->copies_ended++;
    self->copies_good += action->error == 0;
    if (action->error == 0)
        CHECK (self, self->nodes[action->node].stored[action->block].finished, "node %u",
               action->node);
}

static void
on_action (struct world *self, struct node *node, const struct pipeline_action *action)
{
    struct job job = {.kind = action->kind,
                      .block = action->block,
                      .offset = action->offset,
                      .size = action->size};

    switch (action->kind) {
    case PIPELINE_REPLY:
        on_reply (self, node, action);
        break;
    case PIPELINE_WRITE:
        on_write (self, node, action);
        break;
    case PIPELINE_FORWARD:
        on_forward (self, node, action);
        break;
    case PIPELINE_ACK:
        on_ack (self, node, action);
        break;
    case PIPELINE_RELEASE:
        CHECK (self, ((struct payload *) action->payload)->owner == node->number, "release");
        payload_free (self, action->payload);
        break;
    case PIPELINE_COMPARE:
        pipeline_compared (
            node->pipeline, action->block, action->token,
            action->crc32 == crc32_of (0, world_content + action->offset, action->size),
            &(struct pipeline_known){.finished = true, .size = self->size[action->block]},
            NULL);
        break;
    case PIPELINE_ABANDON:
        submit (self, node, &job, 0);
        break;
    case PIPELINE_READ:
        submit (self, node, &job, node->write_ms);
        break;
    case PIPELINE_COPIED:
        on_copied (self, node, action);
        break;
    case PIPELINE_PASSED:
        on_passed (self, node, action);
        break;
    }
}

void
world_run_actions (struct world *self, struct node *node)
{
    struct pipeline_action action;

    while (pipeline_next (node->pipeline, &action))
        on_action (self, node, &action);
    CHECK (self, pipeline_reserved (node->pipeline) <= self->memory, "node %u holds %" PRIu64,
           node->number, pipeline_reserved (node->pipeline));
}

/* ---- letters come ----------------------------------------------------------------------------- */

static struct pipeline_known
known_of (const struct world *self, const struct node *node, uint64_t block)
{
    const struct stored *stored = &node->stored[block];

    return (struct pipeline_known){.finished = stored->finished,
                                   .size = self->size[block],
                                   .crc32 = self->crc[block],
                                   .buried = stored->buried};
}

static void
chunk_comes (struct world *self, struct node *node, const struct letter *letter)
{
    struct pipeline_known known = known_of (self, node, letter->block);
    struct pipeline_chunk chunk = {.block = letter->block,
                                   .offset = letter->offset,
                                   .data = letter->data,
                                   .size = letter->size,
                                   .crc32 = letter->crc32,
                                   .last = letter->last,
                                   .index = 5,
                                   .chain = letter->chain,
                                   .chain_count = letter->chain_count,
                                   .from = letter->from,
                                   .copy = letter->copy,
                                   .payload = payload_new (self, letter->data, letter->size)};
    struct payload *payload = chunk.payload;

    if (letter->offset == 0) {
        chunk.file.bytes[0] = 1;
        chunk.path = slice_str ("/a");
    }
    if (letter->from == 0)
        self->requests[letter->request].delivered = true;
    if (pipeline_write (node->pipeline, self->now_ms, &chunk, &known, letter->request))
        payload->owner = node->number;
    else
        payload_free (self, payload);
}

static void
ack_comes (struct world *self, struct node *node, const struct letter *letter)
{
    struct pipeline_ack ack = {.block = letter->block,
                               .from = letter->from,
                               .credit = letter->credit,
                               .replicas = letter->replicas,
                               .replica_count = letter->replica_count,
                               .failure = letter->error,
                               .why = letter->text};

    self->nodes[letter->from].heard_ms[node->number][letter->block] = self->now_ms;
    pipeline_acked (node->pipeline, self->now_ms, &ack);
}

void
world_deliver (struct world *self, const struct letter *letter)
{
    struct node *node = &self->nodes[letter->to];
    struct pipeline_known known;

    if (letter->kind == LETTER_REPLY) {
        world_reply (self, letter);
        return;
    }
    if (letter->kind == LETTER_CHUNK) {
        chunk_comes (self, node, letter);
    } else if (letter->kind == LETTER_ACK) {
        ack_comes (self, node, letter);
    } else {
        known = known_of (self, node, letter->block);
        self->requests[letter->request].delivered = true;
        pipeline_stat (node->pipeline, self->now_ms, letter->block, letter->wait_ms, &known,
                       letter->request);
    }
    world_run_actions (self, node);
}
