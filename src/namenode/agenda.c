/* SPDX-License-Identifier: MIT */
/*
 * The agenda: three rings of a fixed size.  That an item is in a list once costs a walk over the list,
 * 16 KiB at most; the lists are short unless much is amiss, and then the disk is what takes time.
 */
#include "namenode/agenda.h"

#include <stdlib.h>

struct item {
    uint64_t inode;
    uint32_t index;
};

struct ring {
    size_t first;
    size_t count;
    struct item items[AGENDA_MAX];
};

struct agenda {
    struct ring now;
    struct ring later;
    int64_t times[AGENDA_MAX]; // of the items in `later`, by the same place
    int64_t soonest_ms;        // of these; INT64_MAX: none
    struct ring busy;
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

/* Where it is in the ring; AGENDA_MAX if it is not. */
static size_t
find (const struct ring *ring, uint64_t inode, uint32_t index)
{
    for (size_t i = 0; i < ring->count; i++) {
        const struct item *item = &ring->items[place (ring, i)];
        if (item->inode == inode && item->index == index)
            return place (ring, i);
    }
    return AGENDA_MAX;
}

/* Put it at the end; AGENDA_MAX if the ring is full, else its place. */
static size_t
append (struct ring *ring, uint64_t inode, uint32_t index)
{
    if (ring->count == AGENDA_MAX)
        return AGENDA_MAX;
    size_t at = place (ring, ring->count++);
    ring->items[at] = (struct item){inode, index};
    return at;
}

static struct item
take_first (struct ring *ring)
{
    struct item item = ring->items[ring->first];

    ring->first = place (ring, 1);
    ring->count--;
    return item;
}

static void
add_once (struct agenda *self, struct ring *ring, uint64_t inode, uint32_t index)
{
    if (find (ring, inode, index) == AGENDA_MAX && append (ring, inode, index) == AGENDA_MAX)
        self->missed = true;
}

void
agenda_add (struct agenda *self, uint64_t inode, uint32_t index)
{
    if (self)
        add_once (self, &self->now, inode, index);
}

void
agenda_add_later (struct agenda *self, uint64_t inode, uint32_t index, int64_t when_ms)
{
    size_t at = find (&self->later, inode, index);

    if (at == AGENDA_MAX) {
        at = append (&self->later, inode, index);
        if (at == AGENDA_MAX) {
            self->missed = true;
            return;
        }
        self->times[at] = when_ms;
    } else if (when_ms < self->times[at]) {
        self->times[at] = when_ms;
    }
    if (when_ms < self->soonest_ms)
        self->soonest_ms = when_ms;
}

void
agenda_add_busy (struct agenda *self, uint64_t inode, uint32_t index)
{
    add_once (self, &self->busy, inode, index);
}

void
agenda_release (struct agenda *self, size_t count)
{
    for (; count > 0 && self->busy.count > 0; count--) {
        struct item item = take_first (&self->busy);
        agenda_add (self, item.inode, item.index);
    }
}

bool
agenda_is_choked (const struct agenda *self)
{
    return self->busy.count == AGENDA_MAX;
}

size_t
agenda_count_busy (const struct agenda *self)
{
    return self->busy.count;
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
        struct item item = take_first (later);
        if (when_ms <= now_ms)
            agenda_add (self, item.inode, item.index);
        else
            agenda_add_later (self, item.inode, item.index, when_ms);
    }
}

bool
agenda_next (struct agenda *self, int64_t now_ms, uint64_t *inode, uint32_t *index)
{
    if (now_ms >= self->soonest_ms)
        take_due (self, now_ms);
    if (self->now.count == 0)
        return false;
    struct item item = take_first (&self->now);
    *inode = item.inode;
    *index = item.index;
    return true;
}

int64_t
agenda_next_ms (const struct agenda *self)
{
    return self->now.count > 0 ? 0 : self->soonest_ms;
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
    self->now.count = self->later.count = self->busy.count = 0;
    self->soonest_ms = INT64_MAX;
    self->missed = false;
}
