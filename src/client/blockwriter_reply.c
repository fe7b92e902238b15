/* SPDX-License-Identifier: MIT */
/*
 * What the answers about a block mean.
 *
 * Each says how far the block is with every node, and moves the block's state on.  Errors are of three
 * kinds: of the moment (busy, gap, a chunk that was damaged on the way), after which the node is asked where
 * it is; of our own silence, after which the block is begun anew; all others are the node's, and end
 * its part.  A node that has forgotten the block too often is given up too.
 */
#include "client/blockwriter_impl.h"

#include "base/crc.h"
#include "base/err.h"

#define BUSY_MS 50         // pause before a node that is busy is asked again, times the tries
#define BUSY_PAUSE_MS 1000 // and at most
#define BUSY_MAX_MS 600000 // a node that is busy for so long is given up
#define REWINDS_MAX 40     // without any progress, before the node is given up
#define RESTARTS_MAX 5     // of the node, or whatever else makes it forget what it had
#define ANEW_MS 1000       // pause before a block that the node has given up is begun again

static const struct message_type *const write_type = &message_types[MESSAGE_block_write];
static const struct message_type *const stat_type = &message_types[MESSAGE_block_stat];

/* At least one node has all of it: what the writer wants to know of the block. */
static void
finish (struct blockwriter *self)
{
    self->crc32 = 0;
    for (uint64_t at = 0; at < self->size; at += BLOCKWRITER_CHUNK) {
        uint64_t left = self->size - at;
        self->crc32 = crc32_join (self->crc32, self->chunk_crcs[at / BLOCKWRITER_CHUNK],
                                  left < BLOCKWRITER_CHUNK ? left : BLOCKWRITER_CHUNK);
    }
    self->state = BLOCKWRITER_DURABLE;
}

void
blockwriter_fail (struct blockwriter *self, const litedfs_error_t *error)
{
    self->error = *error;
    err_prefix (&self->error, "%s", self->peer->name);
    if (self->size != WIRE_UNKNOWN && replicas_durable (&self->replicas, self->size, NULL) > 0)
        finish (self);
    else
        self->state = BLOCKWRITER_FAILED;
}

void
blockwriter_give_up (struct blockwriter *self)
{
    litedfs_error_t error;

    err_set (&error, LITEDFS_UNREACHABLE, "it has failed another block");
    blockwriter_fail (self, &error);
}

/* A request has ended: whose it was. */
static struct blockwriter *
end_request (struct blockwriter_request *request)
{
    struct blockwriter *self = request->owner;

    request->id = 0;
    if (request != &self->ping) {
        self->under_way--;
        self->heard_ms = clock_mono (self->session->clock);
    }
    return self;
}

bool
blockwriter_is_open (const struct blockwriter *self)
{
    return self->state == BLOCKWRITER_WRITING || self->state == BLOCKWRITER_WAITING;
}

/* The node says that it is done: all the bytes must be where it says. */
static void
set_durable (struct blockwriter *self, uint64_t size)
{
    litedfs_error_t error;

    if (size == self->size && replicas_durable (&self->replicas, size, NULL) > 0) {
        finish (self);
        return;
    }
    if (size != self->size)
        err_set (&error, LITEDFS_DIFFERENT,
                 "block %llu: the node finished it with %llu bytes, not %llu",
                 (unsigned long long) self->block, (unsigned long long) size,
                 (unsigned long long) self->size);
    else
        err_set (&error, LITEDFS_INVALID,
                 "block %llu: the node finished it, and names no node that has it",
                 (unsigned long long) self->block);
    blockwriter_fail (self, &error);
}

/* What every answer about the block says. */
static void
take_state (struct blockwriter *self, const struct block_stat_reply *reply)
{
    const struct wire_replica own = {
        .node = self->peer->node, .offset = reply->offset, .state = reply->state};
    bool moved = reply->nodes_count > 0
                     ? replicas_take (&self->replicas, reply->nodes, reply->nodes_count)
                     : replicas_take (&self->replicas, &own, 1);

    self->known = self->known || reply->state != REPLICA_UNKNOWN;
    if (reply->offset > self->acked) {
        self->acked = reply->offset;
        self->rewinds = 0;
        self->busy_answers = 0;
        self->anew_since_ms = 0;
        moved = true;
    }
    if (moved)
        self->progress_ms = clock_mono (self->session->clock);
    if (reply->offset + reply->credit > self->limit)
        self->limit = reply->offset + reply->credit;
    if (reply->state == REPLICA_DURABLE && self->size != WIRE_UNKNOWN)
        set_durable (self, reply->offset);
}

/* Errors after which the node is asked where it is, instead of being given up. */
static bool
can_go_on (const struct blockwriter *self, int number)
{
    if (number == LITEDFS_BUSY)
        return self->busy_answers == 0 ||
               clock_mono (self->session->clock) - self->busy_since_ms < BUSY_MAX_MS;
    return (number == LITEDFS_GAP || number == LITEDFS_CORRUPT) && self->rewinds < REWINDS_MAX;
}

/* The node has no room now: how long it is left alone. */
static int64_t
busy_pause_ms (struct blockwriter *self)
{
    int64_t now_ms = clock_mono (self->session->clock);

    if (self->busy_answers++ == 0)
        self->busy_since_ms = now_ms;
    self->progress_ms = now_ms; // it lives
    int64_t pause_ms = (int64_t) BUSY_MS * self->busy_answers;
    return pause_ms < BUSY_PAUSE_MS ? pause_ms : BUSY_PAUSE_MS;
}

/* The node has given the block up because it heard nothing of it: we were stopped, or cut off.  That is
 * no fault of the node, and it takes the block anew when it has done away with what it had. */
static bool
can_begin_anew (struct blockwriter *self, int number)
{
    int64_t now_ms = clock_mono (self->session->clock);

    if (number != LITEDFS_TIMEOUT)
        return false;
    if (self->anew_since_ms == 0) {
        self->anew_since_ms = now_ms;
        self->restarts++;
    }
    self->progress_ms = now_ms;
    return self->restarts <= RESTARTS_MAX &&
           now_ms - self->anew_since_ms < BLOCKWRITER_STALL_MS;
}

static void
take_error (struct blockwriter *self, const litedfs_error_t *error)
{
    int64_t now_ms = clock_mono (self->session->clock);
    bool anew = can_begin_anew (self, error->number);

    if (!anew && error->number != LITEDFS_CANCELLED && !can_go_on (self, error->number)) {
        blockwriter_fail (self, error);
        return;
    }
    if (self->rewind && (self->anew || !anew))
        return;
    self->rewind = true;
    self->anew = anew;
    self->resume_ms = now_ms + (anew ? ANEW_MS : 0);
    if (error->number == LITEDFS_BUSY)
        self->resume_ms += busy_pause_ms (self);
    else if (!anew && error->number != LITEDFS_CANCELLED) // that is: its node has moved
        self->rewinds++;
}

void
blockwriter_on_write (void *arg, struct message *message, zmq_msg_t *payload,
                      const litedfs_error_t *failure)
{
    struct blockwriter *self = end_request (arg);
    struct block_write_reply reply;
    litedfs_error_t error;
    (void) payload;

    if (!blockwriter_is_open (self))
        return;
    if (failure) {
        take_error (self, failure);
        return;
    }
    if (message_reply_fields (message, write_type, &reply, &error) < 0) {
        blockwriter_fail (self, &error);
        return;
    }
    const struct block_stat_reply state = {.state = reply.state,
                                           .offset = reply.offset,
                                           .credit = reply.credit,
                                           .nodes = reply.nodes,
                                           .nodes_count = reply.nodes_count};
    take_state (self, &state);
}

void
blockwriter_go_back (struct blockwriter *self, uint64_t offset, uint64_t credit)
{
    uint64_t from = offset - offset % BLOCKWRITER_CHUNK;

    self->next = from;
    self->acked = from;
    self->limit = from + (credit > BLOCKWRITER_CHUNK ? credit : BLOCKWRITER_CHUNK);
    self->state = BLOCKWRITER_WRITING;
}

/* Whether the node's state is one to go on from; if not, the block has failed. */
static bool
check_state (struct blockwriter *self, const struct block_stat_reply *reply)
{
    litedfs_error_t error = {.number = 0};

    if (reply->state == REPLICA_FAILED) {
        replicas_take (&self->replicas, reply->nodes, reply->nodes_count);
        err_set (&error, LITEDFS_IO, "block %llu: no node could write it",
                 (unsigned long long) self->block);
    } else if (reply->state == REPLICA_UNKNOWN && self->known) {
        self->known = false;
        if (++self->restarts > RESTARTS_MAX)
            err_set (&error, LITEDFS_IO, "block %llu: the node has forgotten it %u times",
                     (unsigned long long) self->block, self->restarts);
    }
    if (error.number != 0)
        blockwriter_fail (self, &error);
    return error.number == 0;
}

/* Whether the node has the whole block, and only its disk or the other nodes are awaited: it grants
 * nothing any more. */
static bool
has_all (const struct blockwriter *self, const struct block_stat_reply *reply)
{
    const struct replica *own = &self->replicas.list[0];

    return reply->state == REPLICA_SYNCING ||
           (reply->state == REPLICA_RECEIVING &&
            (reply->credit == 0 || own->offset == self->size));
}

void
blockwriter_on_stat (void *arg, struct message *message, zmq_msg_t *payload,
                     const litedfs_error_t *failure)
{
    struct blockwriter *self = end_request (arg);
    struct block_stat_reply reply;
    litedfs_error_t error;
    (void) payload;

    self->asking = false;
    if (!blockwriter_is_open (self))
        return;
    if (failure) {
        take_error (self, failure);
        return;
    }
    if (message_reply_fields (message, stat_type, &reply, &error) < 0) {
        blockwriter_fail (self, &error);
        return;
    }
    if (!check_state (self, &reply))
        return;
    take_state (self, &reply);
    if (blockwriter_is_open (self) &&
        (self->state == BLOCKWRITER_WRITING || !has_all (self, &reply)))
        blockwriter_go_back (self, reply.offset, reply.credit);
}

void
blockwriter_on_ping (void *arg, struct message *message, zmq_msg_t *payload,
                     const litedfs_error_t *failure)
{
    struct blockwriter *self = end_request (arg);
    struct block_stat_reply reply;
    litedfs_error_t error;
    (void) payload;

    if (failure || !blockwriter_is_open (self))
        return; // it lives
    if (message_reply_fields (message, stat_type, &reply, &error) < 0)
        blockwriter_fail (self, &error);
    else if (reply.state != REPLICA_UNKNOWN && check_state (self, &reply))
        take_state (self, &reply);
}
