/* SPDX-License-Identifier: MIT */
/*
 * A table that grows, with its free places in a list; the token is the place's number.
 */
#include "datanode/parking.h"

#include "base/err.h"

#include <stdlib.h>

#define PLACES_FIRST 64

int
parking_enter (struct parking *self, const struct request *request, uint64_t *out_token,
               litedfs_error_t *error)
{
    if (self->first_free == self->count) {
        size_t count = self->count > 0 ? self->count * 2 : PLACES_FIRST;
        struct parked *places = NULL;
        if (count <= PARKING_MAX)
            places = realloc (self->places, count * sizeof *places);
        if (places == NULL)
            return err_set (error, LITEDFS_BUSY, "%zu requests wait here; try again",
                            self->count);
        for (size_t i = self->count; i < count; i++)
            places[i] = (struct parked){.next_free = i + 1};
        self->places = places;
        self->count = count;
    }
    size_t place = self->first_free;
    self->first_free = self->places[place].next_free;
    self->places[place] = (struct parked){.number = request->message->type->number,
                                          .id = request->message->envelope.id,
                                          .route = request->route};
    *out_token = place;
    return 0;
}

struct parked
parking_leave (struct parking *self, uint64_t token)
{
    struct parked parked = self->places[token];

    self->places[token] = (struct parked){.next_free = self->first_free};
    self->first_free = (size_t) token;
    return parked;
}

uint64_t
parking_session (const struct parking *self, uint64_t token)
{
    return self->places[token].route.session;
}

void
parked_reply (const struct parked *parked, struct router *router,
              const struct pipeline_action *action)
{
    const struct pipeline_state *state = &action->state;
    struct wire_replica nodes[PIPELINE_NODES_MAX];
    size_t count =
        action->replica_count < PIPELINE_NODES_MAX ? action->replica_count : PIPELINE_NODES_MAX;

    for (size_t i = 0; i < count; i++)
        nodes[i] = (struct wire_replica){.node = action->replicas[i].node,
                                         .offset = action->replicas[i].offset,
                                         .state = action->replicas[i].state,
                                         .awaits = action->replicas[i].awaits};
    if (parked->number == MESSAGE_block_write) {
        struct block_write_reply reply = {.offset = state->offset,
                                          .state = state->state,
                                          .credit = state->credit,
                                          .nodes = nodes,
                                          .nodes_count = count};
        router_reply (router, &parked->route, parked->id, &message_types[parked->number],
                      &reply, NULL);
        return;
    }
    struct block_stat_reply reply = {.state = state->state,
                                     .offset = state->offset,
                                     .credit = state->credit,
                                     .size = state->size,
                                     .crc32 = state->crc32,
                                     .nodes = nodes,
                                     .nodes_count = count};
    router_reply (router, &parked->route, parked->id, &message_types[parked->number], &reply,
                  NULL);
}

void
parking_free (struct parking *self)
{
    free (self->places);
    *self = (struct parking){.count = 0};
}
