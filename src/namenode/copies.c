/* SPDX-License-Identifier: MIT */
/*
 * Copies under way: an array with the block ids apart, because they are looked through for each report;
 * a thousand are 8 KiB.  What each node has to do is counted beside it.
 */
#include "namenode/copies.h"

#include <stdlib.h>

enum state { SETTLED, OPENED, CLOSED, UNDONE }; // UNDONE: opened and closed in one transaction

/* What one node has to do, counted per direction. */
struct load {
    uint32_t node;
    unsigned count;
    uint64_t bytes;
};

struct loads {
    size_t count;
    struct load loads[COPIES_MAX];
};

/* How long after a copy has failed another one may be ordered, milliseconds: what was wrong may be so yet. */
enum { PAUSE_MS = 2000, PAUSE_MAX_MS = 60000 };

/* How far ahead of its bandwidth a node may be, milliseconds. */
enum { AHEAD_MS = 500 };

/* A source that could not make copies of a block. */
struct failure {
    uint64_t block;
    uint32_t source;
    unsigned count;
};

/* Until when a node has had its bytes, in one direction. */
struct pace {
    uint32_t node;
    int64_t until_ms;
};

struct paces {
    size_t count;
    struct pace paces[COPIES_MAX];
};

struct copies {
    struct copies_limits limits;
    int64_t now_ms;
    struct paces sent;
    struct paces taken;
    size_t count;
    uint64_t blocks[COPIES_MAX]; // 0: closed; no block has this id
    struct copy copies[COPIES_MAX];
    enum state states[COPIES_MAX];
    struct loads from;
    struct loads to;
    size_t failures_count;
    size_t failures_next; // place of the oldest, when there is no room for another
    struct failure failures[COPIES_MAX];
};

struct copies *
copies_new (void)
{
    struct copies *self = calloc (1, sizeof *self);

    if (self)
        self->limits.streams = COPIES_NODE_MAX;
    return self;
}

void
copies_destroy (struct copies **self)
{
    free (*self);
    *self = NULL;
}

struct copies *
copies_clone (const struct copies *self)
{
    struct copies *clone = malloc (sizeof *clone);

    if (clone)
        *clone = *self;
    return clone;
}

static const struct load *
find_load (const struct loads *loads, uint32_t node)
{
    for (size_t i = 0; i < loads->count; i++)
        if (loads->loads[i].node == node)
            return &loads->loads[i];
    return NULL;
}

/* There is room: a node with a load has a copy, and there are as many copies as loads at most. */
static void
add_load (struct loads *loads, uint32_t node, uint64_t bytes)
{
    struct load *load = (struct load *) (uintptr_t) find_load (loads, node);

    if (!load) {
        load = &loads->loads[loads->count++];
        *load = (struct load){.node = node};
    }
    load->count++;
    load->bytes += bytes;
}

static void
drop_load (struct loads *loads, uint32_t node, uint64_t bytes)
{
    struct load *load = (struct load *) (uintptr_t) find_load (loads, node);

    load->count--;
    load->bytes -= bytes;
    if (load->count == 0)
        *load = loads->loads[--loads->count];
}

static void
enter (struct copies *self, size_t at)
{
    const struct copy *copy = &self->copies[at];

    self->blocks[at] = copy->block;
    add_load (&self->from, copy->source, copy->size);
    add_load (&self->to, copy->target, copy->size);
}

static void
leave (struct copies *self, size_t at)
{
    const struct copy *copy = &self->copies[at];

    self->blocks[at] = 0;
    drop_load (&self->from, copy->source, copy->size);
    drop_load (&self->to, copy->target, copy->size);
}

/* ---- pace ---------------------------------------------------------------------------------------- */

void
copies_set_limits (struct copies *self, struct copies_limits limits, int64_t now_ms)
{
    self->limits = limits;
    self->now_ms = now_ms;
}

/* Those whose time is over need not be remembered. */
static void
forget_paces (struct paces *paces, int64_t now_ms)
{
    for (size_t i = paces->count; i-- > 0;)
        if (paces->paces[i].until_ms <= now_ms)
            paces->paces[i] = paces->paces[--paces->count];
}

/* The node has got so many bytes more.  More nodes than there is room for are not paced: copies at a time
 * are limited all the same. */
static void
add_pace (struct copies *self, struct paces *paces, uint32_t node, uint64_t bytes)
{
    int64_t took_ms, start_ms = self->now_ms;
    size_t at = 0;

    if (self->limits.bandwidth == 0)
        return;
    forget_paces (paces, self->now_ms);
    while (at < paces->count && paces->paces[at].node != node)
        at++;
    if (at == COPIES_MAX)
        return;
    if (at < paces->count)
        start_ms = paces->paces[at].until_ms;
    else
        paces->count++;
    took_ms = (int64_t) ((double) bytes * 1000 / (double) self->limits.bandwidth);
    paces->paces[at] = (struct pace){.node = node, .until_ms = start_ms + took_ms};
}

static bool
has_its_bytes (const struct copies *self, const struct paces *paces, uint32_t node)
{
    for (size_t i = 0; i < paces->count; i++)
        if (paces->paces[i].node == node)
            return paces->paces[i].until_ms > self->now_ms + AHEAD_MS;
    return false;
}

int64_t
copies_pace_ms (const struct copies *self)
{
    const struct paces *directions[] = {&self->sent, &self->taken};
    int64_t soonest_ms = INT64_MAX;

    for (size_t d = 0; d < 2; d++)
        for (size_t i = 0; i < directions[d]->count; i++) {
            int64_t ready_ms = directions[d]->paces[i].until_ms - AHEAD_MS;
            if (ready_ms > self->now_ms && ready_ms < soonest_ms)
                soonest_ms = ready_ms;
        }
    return soonest_ms;
}

/* ---- copies -------------------------------------------------------------------------------------- */

bool
copies_open (struct copies *self, const struct copy *copy)
{
    if (self->count == COPIES_MAX)
        return false;
    size_t at = self->count++;
    self->copies[at] = *copy;
    self->states[at] = OPENED;
    enter (self, at);
    add_pace (self, &self->sent, copy->source, copy->size);
    add_pace (self, &self->taken, copy->target, copy->size);
    return true;
}

void
copies_close (struct copies *self, size_t at)
{
    if (self->blocks[at] == 0)
        return;
    leave (self, at);
    self->states[at] = self->states[at] == OPENED ? UNDONE : CLOSED;
}

size_t
copies_find (const struct copies *self, uint64_t block, size_t from)
{
    for (size_t at = from; at < self->count; at++)
        if (self->blocks[at] == block)
            return at;
    return SIZE_MAX;
}

const struct copy *
copies_at (const struct copies *self, size_t at)
{
    return self->blocks[at] != 0 ? &self->copies[at] : NULL;
}

static struct failure *
find_failure (struct copies *self, uint64_t block, uint32_t source)
{
    for (size_t i = 0; i < self->failures_count; i++)
        if (self->failures[i].block == block && self->failures[i].source == source)
            return &self->failures[i];
    return NULL;
}

/* A place for one more: the oldest has to go if there is no room. */
static struct failure *
add_failure (struct copies *self, uint64_t block, uint32_t source)
{
    size_t at = self->failures_count;

    if (at < COPIES_MAX) {
        self->failures_count++;
    } else {
        at = self->failures_next;
        self->failures_next = (at + 1) % COPIES_MAX;
    }
    self->failures[at] = (struct failure){.block = block, .source = source};
    return &self->failures[at];
}

void
copies_fail (struct copies *self, size_t at, int64_t now_ms)
{
    struct copy *copy = &self->copies[at];
    struct failure *failure = find_failure (self, copy->block, copy->source);
    int64_t pause_ms = PAUSE_MS;

    if (!failure)
        failure = add_failure (self, copy->block, copy->source);
    for (unsigned i = 0; i < failure->count && pause_ms < PAUSE_MAX_MS; i++)
        pause_ms *= 2;
    failure->count++;
    if (pause_ms > PAUSE_MAX_MS)
        pause_ms = PAUSE_MAX_MS;
    if (now_ms + pause_ms < copy->deadline_ms)
        copy->deadline_ms = now_ms + pause_ms;
}

unsigned
copies_failures (const struct copies *self, uint64_t block, uint32_t source)
{
    const struct failure *failure =
        find_failure ((struct copies *) (uintptr_t) self, block, source);

    return failure ? failure->count : 0;
}

void
copies_forget_failures (struct copies *self, uint64_t block)
{
    for (size_t i = self->failures_count; i-- > 0;)
        if (self->failures[i].block == block)
            self->failures[i] = self->failures[--self->failures_count];
}

size_t
copies_count (const struct copies *self)
{
    return self->count;
}

static bool
may_have (const struct copies *self, const struct loads *loads, const struct paces *paces,
          uint32_t node, uint64_t size)
{
    const struct load *load = find_load (loads, node);

    if (self->count == COPIES_MAX || has_its_bytes (self, paces, node))
        return false;
    return !load ||
           (load->count < self->limits.streams && load->bytes + size <= COPIES_NODE_BYTES);
}

bool
copies_may_send (const struct copies *self, uint32_t node, uint64_t size)
{
    return may_have (self, &self->from, &self->sent, node, size);
}

bool
copies_may_take (const struct copies *self, uint32_t node, uint64_t size)
{
    return may_have (self, &self->to, &self->taken, node, size);
}

uint64_t
copies_bytes_from (const struct copies *self, uint32_t node)
{
    const struct load *load = find_load (&self->from, node);

    return load ? load->bytes : 0;
}

uint64_t
copies_bytes_to (const struct copies *self, uint32_t node)
{
    const struct load *load = find_load (&self->to, node);

    return load ? load->bytes : 0;
}

void
copies_settle (struct copies *self, bool committed)
{
    size_t kept = 0;

    for (size_t at = 0; at < self->count; at++) {
        if (!committed && self->states[at] == OPENED)
            leave (self, at);
        if (!committed && self->states[at] == CLOSED)
            enter (self, at);
        if (self->blocks[at] == 0)
            continue;
        self->blocks[kept] = self->blocks[at];
        self->copies[kept] = self->copies[at];
        self->states[kept++] = SETTLED;
    }
    self->count = kept;
}
