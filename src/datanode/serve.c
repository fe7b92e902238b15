/* SPDX-License-Identifier: MIT */
/*
 * Reads wait in slots.  A slot is free, or queued behind its session, or at the disk pool, whose token
 * is then the slot's number.  Sessions that wait stand in a ring; each turn takes one read of the first
 * and moves that session to the end.  A session without a waiting read is not kept.
 */
#include "datanode/serve.h"

#include "base/err.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MAX 16384  // reads that wait or run
#define IN_FLIGHT_MAX 64 // reads at the pool
#define RESUME_MS 5      // how often it is looked whether readers have taken what they got
#define NONE SIZE_MAX

enum what { READ_FREE, READ_REPLY, READ_COMPARE };

struct slot {
    enum what what;
    uint64_t session;
    uint64_t block;
    uint64_t offset;
    size_t size;
    struct route route; // REPLY
    uint64_t id;        // REPLY
    uint32_t crc;       // COMPARE
    uint64_t token;     // COMPARE
    size_t next;        // free, or behind it in its session's queue
};

/* A session that waits. */
struct waiting {
    struct waiting *next; // in the ring
    uint64_t session;
    int fd; // of its connection, -1: none
    size_t first;
    size_t last;
};

struct serve {
    struct router *router;
    struct diskpool *pool;
    uint64_t memory;
    serve_compared_fn *compared;
    void *context;
    struct slot *slots;
    size_t slot_count;
    size_t free_slot;
    struct waiting *ring; // the last one in turn; its next is the first
    bool blocked;         // those in the ring have not taken what they got
    uint64_t in_flight_bytes;
    size_t in_flight;
};

static size_t
take_slot (struct serve *self)
{
    if (self->free_slot == NONE && self->slot_count < SLOTS_MAX) {
        size_t count = self->slot_count > 0 ? self->slot_count * 2 : 64;
        struct slot *slots = realloc (self->slots, count * sizeof *slots);
        if (slots == NULL)
            return NONE;
        for (size_t i = self->slot_count; i < count; i++)
            slots[i] = (struct slot){.next = i + 1 < count ? i + 1 : NONE};
        self->free_slot = self->slot_count;
        self->slots = slots;
        self->slot_count = count;
    }
    size_t index = self->free_slot;
    if (index != NONE)
        self->free_slot = self->slots[index].next;
    return index;
}

static void
free_slot (struct serve *self, size_t index)
{
    self->slots[index] = (struct slot){.next = self->free_slot};
    self->free_slot = index;
}

/* Tell whoever asked that it failed. */
static void
failed (struct serve *self, const struct slot *slot, const litedfs_error_t *error)
{
    if (slot->what == READ_REPLY)
        router_reply_error (self->router, &slot->route, slot->id, error->number, error->text);
    else
        self->compared (self->context, slot->block, slot->token, false, error);
}

static size_t
room_of (const struct slot *slot)
{
    return blockstore_read_room (slot->offset, slot->size);
}

static void
submit (struct serve *self, size_t index)
{
    struct slot slot = self->slots[index];
    struct disk_job job = {.kind = DISK_READ,
                           .token = index,
                           .block = slot.block,
                           .offset = slot.offset,
                           .size = slot.size};
    litedfs_error_t error;

    if (diskpool_submit (self->pool, &job, NULL, &error) < 0) {
        free_slot (self, index);
        failed (self, &slot, &error);
        return;
    }
    self->in_flight++;
    self->in_flight_bytes += room_of (&slot);
}

/* Take the first session out of the ring. */
static struct waiting *
unlink_first (struct serve *self)
{
    struct waiting *first = self->ring->next;

    if (first == self->ring)
        self->ring = NULL;
    else
        self->ring->next = first->next;
    return first;
}

static void
link_last (struct serve *self, struct waiting *waiting)
{
    if (self->ring == NULL) {
        waiting->next = waiting;
    } else {
        waiting->next = self->ring->next;
        self->ring->next = waiting;
    }
    self->ring = waiting;
}

/* Whether the first session in turn may be read for, turning the ring to one that may: any, as long as what
 * was read and not taken is within the limit, then those that have taken all of theirs. */
static bool
find_turn (struct serve *self)
{
    const struct waiting *last = self->ring;

    if (diskpool_read_bytes (self->pool) < self->memory)
        return true;
    do {
        if (router_unread (self->ring->next->fd) == 0)
            return true;
        self->ring = self->ring->next;
    } while (self->ring != last);
    self->blocked = true;
    return false;
}

/* Give the pool what it may have, one read of each session in turn. */
static void
pump (struct serve *self)
{
    self->blocked = false;
    while (self->ring != NULL && self->in_flight < IN_FLIGHT_MAX && find_turn (self)) {
        size_t index = self->ring->next->first;
        size_t room = room_of (&self->slots[index]);
        if (self->in_flight > 0 && self->in_flight_bytes + room > self->memory)
            return;
        struct waiting *waiting = unlink_first (self);
        waiting->first = self->slots[index].next;
        if (waiting->first == NONE)
            free (waiting);
        else
            link_last (self, waiting);
        submit (self, index);
    }
}

static struct waiting *
find_waiting (const struct serve *self, uint64_t session)
{
    struct waiting *waiting = self->ring;

    if (waiting == NULL)
        return NULL;
    do {
        if (waiting->session == session)
            return waiting;
        waiting = waiting->next;
    } while (waiting != self->ring);
    return NULL;
}

/* Put a read at the end of its session's queue. */
static int
enqueue (struct serve *self, const struct slot *slot, int fd, litedfs_error_t *error)
{
    struct waiting *waiting = find_waiting (self, slot->session);
    size_t index = take_slot (self);

    if (index == NONE)
        return err_set (error, LITEDFS_BUSY, "%d reads wait here; try again", SLOTS_MAX);
    self->slots[index] = *slot;
    self->slots[index].next = NONE;
    if (waiting != NULL) {
        self->slots[waiting->last].next = index;
        waiting->last = index;
    } else {
        waiting = malloc (sizeof *waiting);
        if (waiting == NULL) {
            free_slot (self, index);
            return err_set (error, LITEDFS_MEMORY, "out of memory");
        }
        *waiting =
            (struct waiting){.session = slot->session, .fd = fd, .first = index, .last = index};
        link_last (self, waiting);
    }
    pump (self);
    return 0;
}

int
serve_read (struct serve *self, const struct request *request,
            const struct block_read_request *fields, litedfs_error_t *error)
{
    struct slot slot = {.what = READ_REPLY,
                        .session = request->route.session,
                        .block = fields->block,
                        .offset = fields->offset,
                        .size = (size_t) fields->size,
                        .route = request->route,
                        .id = request->message->envelope.id};

    return enqueue (self, &slot, request->fd, error);
}

int
serve_compare (struct serve *self, uint64_t session, uint64_t block, uint64_t offset,
               size_t size, uint32_t crc, uint64_t token, litedfs_error_t *error)
{
    struct slot slot = {.what = READ_COMPARE,
                        .session = session,
                        .block = block,
                        .offset = offset,
                        .size = size,
                        .crc = crc,
                        .token = token};

    return enqueue (self, &slot, -1, error);
}

void
serve_result (struct serve *self, const struct disk_result *result, zmq_msg_t *payload)
{
    struct slot slot = self->slots[result->token];

    self->in_flight--;
    self->in_flight_bytes -= room_of (&slot);
    free_slot (self, result->token);
    if (result->error.number != 0) {
        failed (self, &slot, &result->error);
    } else if (slot.what == READ_REPLY) {
        struct block_read_reply reply = {
            .offset = result->offset, .size = result->size, .crc32 = result->crc};
        router_reply (self->router, &slot.route, slot.id, &message_types[MESSAGE_block_read],
                      &reply, payload);
    } else {
        bool equal = result->size == slot.size && result->crc == slot.crc;
        self->compared (self->context, slot.block, slot.token, equal, NULL);
    }
    zmq_msg_close (payload);
    pump (self);
}

long
serve_resume (struct serve *self, long most_ms)
{
    if (self->blocked)
        pump (self);
    return self->blocked && RESUME_MS < most_ms ? RESUME_MS : most_ms;
}

void
serve_forget (struct serve *self, uint64_t session)
{
    struct waiting *gone = find_waiting (self, session);
    litedfs_error_t error;

    if (gone == NULL)
        return;
    struct waiting *before = gone;
    while (before->next != gone)
        before = before->next;
    self->ring = before;
    unlink_first (self);
    err_set (&error, LITEDFS_CANCELLED, "the connection has ended");
    for (size_t index = gone->first, next; index != NONE; index = next) {
        struct slot slot = self->slots[index];
        next = slot.next;
        free_slot (self, index);
        if (slot.what == READ_COMPARE)
            failed (self, &slot, &error);
    }
    free (gone);
}

struct serve *
serve_new (struct router *router, struct diskpool *pool, uint64_t memory,
           serve_compared_fn *compared, void *context)
{
    struct serve *self = calloc (1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->router = router;
    self->pool = pool;
    self->memory = memory;
    self->compared = compared;
    self->context = context;
    self->free_slot = NONE;
    return self;
}

void
serve_destroy (struct serve **self_p)
{
    struct serve *self = *self_p;

    if (self == NULL)
        return;
    *self_p = NULL;
    while (self->ring != NULL)
        free (unlink_first (self));
    free (self->slots);
    free (self);
}
