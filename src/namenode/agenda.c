/* SPDX-License-Identifier: MIT */
/*
 * The agenda: rings of a fixed size.  That a range touches another one costs a walk over the list,
 * 24 KiB at most; the lists are short unless much is amiss, and then the disk is what takes time.
 */
#include "namenode/agenda.h"

#include <stdlib.h>

struct ring {
    size_t first;
    size_t count;
    struct agenda_item items[AGENDA_MAX];
};

struct agenda {
    struct ring released; // before all others
    struct ring now;
    struct ring later;
    int64_t times[AGENDA_MAX]; // of the items in `later`, by the same place
    int64_t soonest_ms;        // of these; INT64_MAX: none
    struct ring busy[AGENDA_LEVELS];
    size_t failures_count;
    struct agenda_failure failures[AGENDA_MAX];
    bool missed;
};

struct agenda *
agenda_new (void)
{
    struct agenda *self = calloc (1, sizeof *self);

    if (self)
        self->soonest_ms = INT64_MAX;
    return self;
}

void
agenda_destroy (struct agenda **self)
{
    free (*self);
    *self = NULL;
}

/* Where the item number i of a ring is. */
static size_t
place (const struct ring *ring, size_t i)
{
    return (ring->first + i) % AGENDA_MAX;
}

/* Put an item at the end, or make it one with one that it touches; its place, AGENDA_MAX if the ring is
 * full.  *joined: the item was there. */
static size_t
enter (struct ring *ring, struct agenda_item item, bool *joined)
{
    for (size_t i = 0; i < ring->count; i++) {
        struct agenda_item *there = &ring->items[place (ring, i)];
        if (there->inode != item.inode || item.first > there->end || there->first > item.end)
            continue;
        if (item.first < there->first)
            there->first = item.first;
        if (item.end > there->end)
            there->end = item.end;
        *joined = true;
        return place (ring, i);
    }
    *joined = false;
    if (ring->count == AGENDA_MAX)
        return AGENDA_MAX;
    size_t at = place (ring, ring->count++);
    ring->items[at] = item;
    return at;
}

static struct agenda_item
take_first (struct ring *ring)
{
    struct agenda_item item = ring->items[ring->first];

    ring->first = place (ring, 1);
    ring->count--;
    return item;
}

void
agenda_add (struct agenda *self, struct agenda_item item)
{
    bool joined;

    if (self && enter (&self->now, item, &joined) == AGENDA_MAX)
        self->missed = true;
}

void
agenda_add_block (struct agenda *self, uint64_t inode, uint32_t index)
{
    agenda_add (self, (struct agenda_item){inode, index, (uint64_t) index + 1});
}

void
agenda_add_later (struct agenda *self, struct agenda_item item, int64_t when_ms)
{
    bool joined;
    size_t at = enter (&self->later, item, &joined);

    if (at == AGENDA_MAX) {
        self->missed = true;
        return;
    }
    if (!joined || when_ms < self->times[at])
        self->times[at] = when_ms;
    if (when_ms < self->soonest_ms)
        self->soonest_ms = when_ms;
}

void
agenda_add_busy (struct agenda *self, struct agenda_item item, unsigned level)
{
    bool joined;

    if (enter (&self->busy[level], item, &joined) == AGENDA_MAX)
        self->missed = true;
}

void
agenda_release (struct agenda *self, size_t count)
{
    bool joined;

    for (unsigned level = 0; level < AGENDA_LEVELS; level++) {
        struct ring *busy = &self->busy[level];
        for (size_t i = 0; i < count && busy->count > 0 && self->released.count < AGENDA_MAX;
             i++)
            enter (&self->released, take_first (busy), &joined);
    }
}

void
agenda_add_failure (struct agenda *self, struct agenda_failure failure)
{
    if (self && self->failures_count < AGENDA_MAX)
        self->failures[self->failures_count++] = failure;
}

bool
agenda_next_failure (struct agenda *self, struct agenda_failure *out)
{
    if (self->failures_count == 0)
        return false;
    *out = self->failures[--self->failures_count];
    return true;
}

bool
agenda_is_choked (const struct agenda *self, unsigned level)
{
    return self->busy[level].count == AGENDA_MAX;
}

bool
agenda_any_busy (const struct agenda *self)
{
    bool any = false;

    for (unsigned level = 0; level < AGENDA_LEVELS; level++)
        any = any || self->busy[level].count > 0;
    return any;
}

/* What is due now joins those that are looked at now. */
static void
take_due (struct agenda *self, int64_t now_ms)
{
    struct ring *later = &self->later;
    size_t count = later->count;

    self->soonest_ms = INT64_MAX;
    while (count-- > 0) {
        int64_t when_ms = self->times[later->first];
        struct agenda_item item = take_first (later);
        if (when_ms <= now_ms)
            agenda_add (self, item);
        else
            agenda_add_later (self, item, when_ms);
    }
}

bool
agenda_next (struct agenda *self, int64_t now_ms, struct agenda_item *out)
{
    if (now_ms >= self->soonest_ms)
        take_due (self, now_ms);
    struct ring *ring = self->released.count > 0 ? &self->released : &self->now;
    if (ring->count == 0)
        return false;
    *out = take_first (ring);
    return true;
}

int64_t
agenda_next_ms (const struct agenda *self)
{
    return self->released.count + self->now.count > 0 ? 0 : self->soonest_ms;
}

bool
agenda_missed (struct agenda *self)
{
    bool missed = self->missed;

    self->missed = false;
    return missed;
}

void
agenda_clear (struct agenda *self)
{
    self->released.count = self->now.count = self->later.count = 0;
    for (unsigned level = 0; level < AGENDA_LEVELS; level++)
        self->busy[level].count = 0;
    self->soonest_ms = INT64_MAX;
    self->failures_count = 0;
    self->missed = false;
}
