/* SPDX-License-Identifier: MIT */
/*
 * A list of at most 64, looked through from its start.
 */
#include "client/replicas.h"

void
replicas_start (struct replicas *self, uint32_t first, const uint64_t *chain,
                size_t chain_count)
{
    self->list[0] = (struct replica){.node = first, .states = 1u << REPLICA_UNKNOWN};
    self->count = 1;
    for (size_t i = 0; i < chain_count && self->count < REPLICAS_MAX; i++)
        self->list[self->count++] =
            (struct replica){.node = (uint32_t) chain[i], .states = 1u << REPLICA_UNKNOWN};
}

static struct replica *
find (struct replicas *self, uint64_t node)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->list[i].node == node)
            return &self->list[i];
    return NULL;
}

const struct replica *
replicas_find (const struct replicas *self, uint32_t node)
{
    return find ((struct replicas *) (uintptr_t) self, node);
}

bool
replica_has_failed (const struct replica *replica)
{
    return replica->state == REPLICA_FAILED || replica->state == REPLICA_RELAY;
}

/* Take in what is said of one; whether it is more than ever. */
static bool
advance (struct replica *replica, const struct wire_replica *now)
{
    unsigned states = replica->states | 1u << now->state;
    bool moved = now->offset > replica->furthest || states != replica->states;

    replica->state = now->state;
    replica->offset = now->offset;
    replica->states = states;
    if (now->offset > replica->furthest)
        replica->furthest = now->offset;
    return moved;
}

bool
replicas_take (struct replicas *self, const struct wire_replica *list, size_t count)
{
    bool moved = false;

    for (size_t i = 0; i < count; i++) {
        struct replica *replica = find (self, list[i].node);
        if (!replica || replica->state == REPLICA_DURABLE)
            continue;
        moved = advance (replica, &list[i]) || moved;
    }
    return moved;
}

size_t
replicas_durable (const struct replicas *self, uint64_t size, uint64_t *out)
{
    size_t count = 0;

    for (size_t i = 0; i < self->count; i++) {
        const struct replica *replica = &self->list[i];
        if (replica->state != REPLICA_DURABLE || replica->offset != size)
            continue;
        if (out)
            out[count] = replica->node;
        count++;
    }
    return count;
}
