/* SPDX-License-Identifier: MIT */
#include "datanode_pipeline_world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOST_AFTER_MS 1000 // the others know that a node is down
#define LATE_MS 500        // a turn that comes so late forgives

uint8_t world_content[WORLD_CONTENT];

void
world_fail (const struct world *self, const char *file, int line, const char *what,
            const char *format, ...)
{
    va_list args;

    va_start (args, format);
    fprintf (stderr, "%s:%d: %s, seed %" PRIu64 " at %" PRId64 " ms: %s: ", file, line,
             self->name, self->seed, self->now_ms, what);
    vfprintf (stderr, format, args);
    fprintf (stderr, "\n");
    va_end (args);
    abort ();
}

void
world_say (const struct world *self, const char *format, ...)
{
    va_list args;

    if (!self->trace)
        return;
    fprintf (stderr, "%" PRId64 ": ", self->now_ms);
    va_start (args, format);
    vfprintf (stderr, format, args);
    va_end (args);
    fprintf (stderr, "\n");
}

int
world_dice (struct world *self, int below)
{
    return below > 0 ? (int) rng_below (&self->rng, (uint64_t) below) : 0;
}

void
world_note_fault (struct world *self, int64_t at_ms)
{
    if (at_ms > self->last_fault_ms)
        self->last_fault_ms = at_ms;
}

bool
world_percent (struct world *self, int chance)
{
    return chance > 0 && world_dice (self, 100) < chance;
}

/* ---- the network ------------------------------------------------------------------------------ */

/* Letters of one sender to one receiver keep their order, but for late doubles. */
static void
post (struct world *self, const struct letter *letter, int delay_ms)
{
    struct letter *copy = malloc (sizeof *copy);
    struct letter **link = &self->letters;
    int64_t due_ms = self->now_ms + world_dice (self, delay_ms + 1);

    CHECK (self, copy != NULL, "memory");
    *copy = *letter;
    for (struct letter *other = self->letters; !letter->again && other; other = other->next)
        if (other->from == letter->from && other->to == letter->to &&
            other->kind == letter->kind && !other->again && other->due_ms > due_ms)
            due_ms = other->due_ms;
    copy->due_ms = due_ms;
    while (*link != NULL && (*link)->due_ms <= due_ms)
        link = &(*link)->next;
    copy->next = *link;
    *link = copy;
}

void
world_send (struct world *self, const struct letter *letter)
{
    bool bad = self->now_ms < self->faults_end_ms;

    if (letter->to != 0 && self->nodes[letter->to].pipeline == NULL)
        return;
    if (bad && world_percent (self, self->lose_percent)) {
        world_note_fault (self, self->now_ms);
        return;
    }
    post (self, letter, self->delay_ms);
    if (bad && world_percent (self, self->double_percent)) {
        struct letter again = *letter;
        again.again = true;
        post (self, &again, world_percent (self, 20) ? 3000 : self->delay_ms);
    }
}

/* What is under way to a node that is gone, or comes from it, is lost. */
static void
cut (struct world *self, uint32_t node)
{
    for (struct letter **link = &self->letters; *link != NULL;) {
        struct letter *letter = *link;
        if (letter->to == node || (letter->from == node && world_percent (self, 50))) {
            *link = letter->next;
            free (letter);
        } else {
            link = &letter->next;
        }
    }
}

/* ---- clients ---------------------------------------------------------------------------------- */

static size_t
new_request (struct world *self, struct letter *letter)
{
    CHECK (self, self->request_count < WORLD_REQUESTS, "requests");
    letter->request = self->request_count++;
    self->requests[letter->request] =
        (struct request){.node = letter->to,
                         .restarts = self->nodes[letter->to].restarts,
                         .block = letter->block};
    // A doubled request would be two: clients do not double theirs.
    int double_percent = self->double_percent;
    self->double_percent = 0;
    world_send (self, letter);
    self->double_percent = double_percent;
    return letter->request;
}

size_t
world_write (struct world *self, uint32_t node, uint64_t block, uint64_t offset, size_t size,
             bool last, const uint64_t *chain, size_t chain_count)
{
    struct letter letter = {.kind = LETTER_CHUNK,
                            .to = node,
                            .block = block,
                            .offset = offset,
                            .data = world_content + offset,
                            .size = size,
                            .crc32 = crc32_of (0, world_content + offset, size),
                            .last = last,
                            .chain_count = chain_count};

    for (size_t i = 0; i < chain_count; i++)
        letter.chain[i] = chain[i];
    return new_request (self, &letter);
}

size_t
world_stat (struct world *self, uint32_t node, uint64_t block, uint64_t wait_ms)
{
    struct letter letter = {
        .kind = LETTER_STAT, .to = node, .block = block, .wait_ms = wait_ms};

    return new_request (self, &letter);
}

/* Whether a node can do anything now. */
static bool
runs (const struct world *self, uint32_t number)
{
    const struct node *node = &self->nodes[number];

    return number == 0 || (node->pipeline != NULL && node->stalled_ms == 0);
}

/* ---- what befalls nodes ----------------------------------------------------------------------- */

static void
start_node (struct world *self, struct node *node)
{
    struct pipeline_limits limits = {.memory = self->memory,
                                     .write_timeout_ms = WRITE_TIMEOUT_MS,
                                     .pipeline_timeout_ms = PIPELINE_TIMEOUT_MS};

    node->pipeline = pipeline_new (&limits);
    CHECK (self, node->pipeline != NULL, "memory");
    pipeline_set_node (node->pipeline, node->number);
    node->lost = false;
    node->stalled_ms = 0;
}

void
world_crash (struct world *self, uint32_t number)
{
    struct node *node = &self->nodes[number];

    if (node->pipeline == NULL)
        return;
    world_say (self, "%u crashes", number);
    pipeline_stop (node->pipeline);
    world_run_actions (self, node);
    pipeline_destroy (&node->pipeline);
    node->job_count = 0;
    node->restarts++;
    node->down_ms = self->now_ms;
    for (size_t block = 1; block <= WORLD_BLOCKS; block++) {
        node->copied[block] = 0;
        if (!node->stored[block].finished)
            node->stored[block] = (struct stored){.buried = node->stored[block].buried};
    }
    for (size_t i = 0; i < self->request_count; i++)
        if (self->requests[i].node == number)
            self->requests[i].delivered = false; // nobody answers any more
    cut (self, number);
    world_note_fault (self, self->now_ms);
    self->faults++;
}

void
world_restart (struct world *self, uint32_t number)
{
    if (self->nodes[number].pipeline != NULL)
        return;
    world_say (self, "%u is back", number);
    start_node (self, &self->nodes[number]);
    world_note_fault (self, self->now_ms);
}

void
world_stall (struct world *self, uint32_t number, int64_t ms)
{
    struct node *node = &self->nodes[number];

    if (node->pipeline == NULL || node->stalled_ms != 0)
        return;
    world_say (self, "%u stands still for %" PRId64 " ms", number, ms);
    node->stalled_ms = self->now_ms;
    node->resumes_ms = self->now_ms + ms;
    world_note_fault (self, node->resumes_ms);
    self->faults++;
}

void
world_copy (struct world *self, uint32_t number, uint64_t block, uint32_t target)
{
    struct node *node = &self->nodes[number];
    struct pipeline_copy copy = {.block = block,
                                 .size = self->size[block],
                                 .crc32 = self->crc[block],
                                 .file.bytes = {1},
                                 .path = slice_str ("/a"),
                                 .target = target};
    litedfs_error_t error;

    if (!runs (self, number) || !node->stored[block].finished || target == number)
        return;
    if (pipeline_start_copy (node->pipeline, self->now_ms, &copy, &error) == 0) {
        node->copied[block]++;
        self->copies_started++;
        world_run_actions (self, node);
    } else {
        CHECK (self, error.number == LITEDFS_BUSY, "%s", error.text);
    }
}

void
world_forget (struct world *self, uint32_t number, uint64_t block)
{
    struct node *node = &self->nodes[number];

    if (!runs (self, number))
        return;
    world_say (self, "%u forgets %" PRIu64, number, block);
    node->refused++;
    pipeline_forget (node->pipeline, self->now_ms, block);
    world_run_actions (self, node);
}

/* ---- time ------------------------------------------------------------------------------------- */

static int64_t
next_of (const struct node *node)
{
    if (node->pipeline == NULL)
        return node->lost ? INT64_MAX : node->down_ms + LOST_AFTER_MS;
    if (node->stalled_ms != 0)
        return node->resumes_ms;
    int64_t next_ms = pipeline_next_deadline (node->pipeline);
    if (node->job_count > 0 && node->jobs[node->job_first].due_ms < next_ms)
        next_ms = node->jobs[node->job_first].due_ms;
    return next_ms;
}

static void
run_jobs (struct world *self, struct node *node)
{
    while (node->job_count > 0 && node->jobs[node->job_first].due_ms <= self->now_ms) {
        struct job job = node->jobs[node->job_first];
        node->job_first = (node->job_first + 1) % WORLD_JOBS;
        node->job_count--;
        world_run_job (self, node, &job);
    }
}

static void
deliver_due (struct world *self)
{
    for (struct letter **link = &self->letters;
         *link != NULL && (*link)->due_ms <= self->now_ms;) {
        struct letter *letter = *link;
        if (!runs (self, letter->to)) {
            link = &letter->next; // it waits in the socket
            continue;
        }
        *link = letter->next;
        world_deliver (self, letter);
        free (letter);
        link = &self->letters; // others may have been sent meanwhile
    }
}

static void
tell_lost (struct world *self, struct node *node)
{
    node->lost = true;
    for (uint32_t i = 1; i <= self->node_count; i++)
        if (runs (self, i)) {
            pipeline_node_lost (self->nodes[i].pipeline, self->now_ms, node->number);
            world_run_actions (self, &self->nodes[i]);
        }
}

static void
turn (struct world *self, struct node *node, int64_t late_ms)
{
    run_jobs (self, node);
    deliver_due (self);
    if (node->pipeline == NULL)
        return;
    if (late_ms > LATE_MS)
        pipeline_forgive (node->pipeline, self->now_ms, late_ms);
    for (int i = 0; i < 2; i++) { // one tick may bring another, but no third
        pipeline_tick (node->pipeline, self->now_ms);
        world_run_actions (self, node);
    }
    CHECK (self, pipeline_next_deadline (node->pipeline) > self->now_ms, "node %u spins",
           node->number);
}

void
world_step (struct world *self, int64_t until_ms)
{
    int64_t next_ms = until_ms;

    for (uint32_t i = 1; i <= self->node_count; i++)
        if (next_of (&self->nodes[i]) < next_ms)
            next_ms = next_of (&self->nodes[i]);
    for (const struct letter *letter = self->letters; letter != NULL; letter = letter->next)
        if (runs (self, letter->to) && letter->due_ms < next_ms)
            next_ms = letter->due_ms;
    if (next_ms > self->now_ms)
        self->now_ms = next_ms;
    deliver_due (self);
    for (uint32_t i = 1; i <= self->node_count; i++) {
        struct node *node = &self->nodes[i];
        if (node->pipeline == NULL) {
            if (!node->lost && self->now_ms >= node->down_ms + LOST_AFTER_MS)
                tell_lost (self, node);
        } else if (node->stalled_ms == 0) {
            turn (self, node, 0);
        } else if (self->now_ms >= node->resumes_ms) {
            int64_t late_ms = self->now_ms - node->stalled_ms;
            node->stalled_ms = 0;
            turn (self, node, late_ms);
        }
    }
}

/* ---- begin and end ---------------------------------------------------------------------------- */

void
world_init (struct world *self, uint64_t seed, size_t node_count, uint64_t memory)
{
    memset (self, 0, sizeof *self);
    self->seed = seed;
    self->now_ms = 1000000;
    self->memory = memory;
    self->node_count = node_count;
    self->delay_ms = 5;
    rng_seed (&self->rng, seed);
    if (world_content[1] == 0)
        for (size_t i = 0; i < sizeof world_content; i++)
            world_content[i] = (uint8_t) (i * 131 >> 5);
    for (uint32_t i = 1; i <= node_count; i++) {
        self->nodes[i].number = i;
        self->nodes[i].write_ms = 5;
        self->nodes[i].sync_ms = 20;
        start_node (self, &self->nodes[i]);
    }
}

void
world_block (struct world *self, uint64_t block, uint64_t size)
{
    self->size[block] = size;
    self->crc[block] = crc32_of (0, world_content, size);
}

void
world_check_empty (struct world *self)
{
    for (uint32_t i = 1; i <= self->node_count; i++) {
        struct node *node = &self->nodes[i];
        if (node->pipeline == NULL)
            continue;
        CHECK (self, pipeline_reserved (node->pipeline) == 0, "node %u", i);
        CHECK (self, pipeline_block_count (node->pipeline) == 0, "node %u", i);
        CHECK (self, pipeline_next_deadline (node->pipeline) == INT64_MAX, "node %u", i);
        for (size_t block = 1; block <= WORLD_BLOCKS; block++) {
            CHECK (self, !pipeline_has (node->pipeline, block), "node %u", i);
            CHECK (self, node->copied[block] == 0, "node %u", i);
            CHECK (self, node->stored[block].finished || !node->stored[block].started,
                   "node %u keeps half of block %zu", i, block);
        }
    }
    for (size_t i = 0; i < self->request_count; i++)
        CHECK (self, !self->requests[i].delivered || self->requests[i].answers == 1,
               "request %zu", i);
    CHECK (self, self->payloads == 0, "%zu payloads", self->payloads);
}

void
world_free (struct world *self)
{
    for (uint32_t i = 1; i <= self->node_count; i++)
        pipeline_destroy (&self->nodes[i].pipeline);
    while (self->letters != NULL) {
        struct letter *letter = self->letters;
        self->letters = letter->next;
        free (letter);
    }
}
