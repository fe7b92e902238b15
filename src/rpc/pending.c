/* SPDX-License-Identifier: MIT */
/*
 * Requests by id, in a ring of pointers that doubles when first_id and next_id are too far
 * apart. Taking out the lowest one moves first_id on to the next that is pending: it is what
 * `seen` is made of.
 */
#include "rpc/pending.h"

#include "base/err.h"

#include <stdlib.h>

#define SLOTS_AT_FIRST 16

int
pending_ring_init (struct pending_ring *self, uint64_t first_id)
{
    *self = (struct pending_ring){
        .slot_count = SLOTS_AT_FIRST, .first_id = first_id, .next_id = first_id};
    self->slots = calloc (self->slot_count, sizeof *self->slots);
    return self->slots ? 0 : LITEDFS_MEMORY;
}

void
pending_ring_free (struct pending_ring *self)
{
    for (size_t i = 0; self->slots && i < self->slot_count; i++)
        if (self->slots[i])
            pending_free (self->slots[i]);
    free (self->slots);
    *self = (struct pending_ring){.slots = NULL};
}

static bool
reserve (struct pending_ring *self)
{
    if (self->next_id - self->first_id < self->slot_count)
        return true;
    size_t count = self->slot_count * 2;
    struct pending **slots = calloc (count, sizeof *slots);
    if (!slots)
        return false;
    for (uint64_t id = self->first_id; id < self->next_id; id++)
        slots[id & (count - 1)] = self->slots[id & (self->slot_count - 1)];
    free (self->slots);
    self->slots = slots;
    self->slot_count = count;
    return true;
}

struct pending *
pending_new (struct pending_ring *ring)
{
    struct pending *self = reserve (ring) ? calloc (1, sizeof *self) : NULL;

    if (self) {
        self->id = ring->next_id;
        zmq_msg_init (&self->header);
        zmq_msg_init (&self->payload);
    }
    return self;
}

void
pending_free (struct pending *self)
{
    zmq_msg_close (&self->header);
    zmq_msg_close (&self->payload);
    free (self);
}

void
pending_ring_add (struct pending_ring *self, struct pending *pending)
{
    self->slots[pending->id & (self->slot_count - 1)] = pending;
    self->count++;
    self->next_id++;
}

void
pending_ring_take (struct pending_ring *self, struct pending *pending)
{
    self->slots[pending->id & (self->slot_count - 1)] = NULL;
    self->count--;
    while (self->first_id < self->next_id && !pending_ring_find (self, self->first_id))
        self->first_id++;
}

struct pending *
pending_ring_find (const struct pending_ring *self, uint64_t id)
{
    if (id < self->first_id || id >= self->next_id)
        return NULL;
    return self->slots[id & (self->slot_count - 1)];
}
