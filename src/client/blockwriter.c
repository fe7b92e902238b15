/* SPDX-License-Identifier: MIT */
/*
 * What is known of a block belongs to its id, not to a connection: the node's replies alone say how far
 * the block is.  A chunk that was refused because of what came before it (gap) or of the moment (busy)
 * stops the sending; when nothing is under way any more, block.stat tells the node's offset and the
 * sending goes on from there.  What is about the node itself (its disk, its identity) ends its part.
 */
#include "client/blockwriter.h"

#include "base/crc.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define REQUEST_MS 60000   // a node that has a connection may take this long to write a chunk
#define STAT_WAIT_MS 1000  // block.stat is parked this long
#define BUSY_MS 50         // pause before a node that is busy is asked again, times the tries
#define BUSY_PAUSE_MS 1000 // and at most
#define BUSY_MAX_MS 600000 // a node that is busy for so long is given up
#define KEEP_MS 5000       // a node whose writer waits for its source hears of it this often
#define REWINDS_MAX 40     // without any progress, before the node is given up
#define RESTARTS_MAX 5     // of the node, or whatever else makes it forget what it had
#define STALL_MS 60000     // without any progress, connected
#define LOOK_MS 500        // how often a node that should answer is looked after

static const struct message_type *const write_type = &message_types[MESSAGE_block_write];
static const struct message_type *const stat_type = &message_types[MESSAGE_block_stat];

static void
fail (struct blockwriter *self, const litedfs_error_t *error)
{
    self->state = BLOCKWRITER_FAILED;
    self->error = *error;
    err_prefix (&self->error, "%s", self->peer->name);
}

/* ---- replies ----------------------------------------------------------------------------------------- */

/* A request has ended: whose it was. */
static struct blockwriter *
end_request (struct blockwriter_request *request)
{
    struct blockwriter *self = request->owner;

    request->id = 0;
    self->under_way--;
    self->heard_ms = clock_mono (self->session->clock);
    return self;
}

static struct blockwriter_request *
free_request (struct blockwriter *self)
{
    for (int i = 0; i < BLOCKWRITER_PENDING; i++)
        if (self->requests[i].id == 0)
            return &self->requests[i];
    return NULL; // callers look at under_way first
}

/* The node says that it has the whole block, of so many bytes. */
static void
set_durable (struct blockwriter *self, uint64_t size)
{
    litedfs_error_t error;

    if (size != self->size) {
        err_set (&error, LITEDFS_DIFFERENT,
                 "block %llu: the node finished it with %llu bytes, not %llu",
                 (unsigned long long) self->block, (unsigned long long) size,
                 (unsigned long long) self->size);
        fail (self, &error);
        return;
    }
    self->crc32 = 0;
    for (uint64_t at = 0; at < self->size; at += BLOCKWRITER_CHUNK) {
        uint64_t left = self->size - at;
        self->crc32 = crc32_join (self->crc32, self->chunk_crcs[at / BLOCKWRITER_CHUNK],
                                  left < BLOCKWRITER_CHUNK ? left : BLOCKWRITER_CHUNK);
    }
    self->state = BLOCKWRITER_DURABLE;
}

/* What every answer about the block says. */
static void
take_state (struct blockwriter *self, uint64_t offset, uint64_t credit, unsigned state)
{
    self->known = self->known || state != REPLICA_UNKNOWN;
    if (offset > self->acked) {
        self->acked = offset;
        self->rewinds = 0;
        self->busy_answers = 0;
        self->progress_ms = clock_mono (self->session->clock);
    }
    if (offset + credit > self->limit)
        self->limit = offset + credit;
    if (state == REPLICA_DURABLE && self->size != WIRE_UNKNOWN)
        set_durable (self, offset);
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

static void
take_error (struct blockwriter *self, const litedfs_error_t *error)
{
    if (error->number == LITEDFS_CANCELLED)
        return;
    if (!can_go_on (self, error->number)) {
        fail (self, error);
        return;
    }
    if (self->rewind)
        return;
    self->rewind = true;
    self->resume_ms = clock_mono (self->session->clock);
    if (error->number == LITEDFS_BUSY)
        self->resume_ms += busy_pause_ms (self);
    else
        self->rewinds++;
}

static void
on_write (void *arg, struct message *message, zmq_msg_t *payload,
          const litedfs_error_t *failure)
{
    struct blockwriter *self = end_request (arg);
    struct block_write_reply reply;
    litedfs_error_t error;
    (void) payload;

    if (failure)
        take_error (self, failure);
    else if (message_reply_fields (message, write_type, &reply, &error) < 0)
        fail (self, &error);
    else
        take_state (self, reply.offset, reply.credit, reply.state);
}

/* The node may have started anew and know less than it said before: go on from there. */
static void
go_back (struct blockwriter *self, uint64_t offset, uint64_t credit)
{
    uint64_t from = offset - offset % BLOCKWRITER_CHUNK;

    self->next = from;
    self->acked = from;
    self->limit = from + (credit > BLOCKWRITER_CHUNK ? credit : BLOCKWRITER_CHUNK);
    self->size = WIRE_UNKNOWN;
    self->state = BLOCKWRITER_WRITING;
}

/* Whether the node's state is one to go on from; if not, the block has failed. */
static bool
check_state (struct blockwriter *self, const struct block_stat_reply *reply)
{
    litedfs_error_t error = {.number = 0};

    if (reply->state == REPLICA_FAILED)
        err_set (&error, LITEDFS_IO, "block %llu: the node could not write it",
                 (unsigned long long) self->block);
    else if (reply->state == REPLICA_UNKNOWN && self->known) {
        self->known = false;
        if (++self->restarts > RESTARTS_MAX)
            err_set (&error, LITEDFS_IO, "block %llu: the node has forgotten it %u times",
                     (unsigned long long) self->block, self->restarts);
    }
    if (error.number != 0)
        fail (self, &error);
    return error.number == 0;
}

static void
on_stat (void *arg, struct message *message, zmq_msg_t *payload, const litedfs_error_t *failure)
{
    struct blockwriter *self = end_request (arg);
    struct block_stat_reply reply;
    litedfs_error_t error;
    (void) payload;

    self->asking = false;
    if (failure) {
        take_error (self, failure);
        return;
    }
    if (message_reply_fields (message, stat_type, &reply, &error) < 0) {
        fail (self, &error);
        return;
    }
    if (!check_state (self, &reply))
        return;
    take_state (self, reply.offset, reply.credit, reply.state);
    if (self->state != BLOCKWRITER_WRITING && self->state != BLOCKWRITER_WAITING)
        return;
    // A node that is not done and grants nothing has the whole block, and its disk is slow.
    bool has_all = reply.state == REPLICA_SYNCING ||
                   (reply.state == REPLICA_RECEIVING && reply.credit == 0);
    if (self->state == BLOCKWRITER_WRITING || !has_all)
        go_back (self, reply.offset, reply.credit);
}

/* ---- requests ------------------------------------------------------------------------------------------ */

/* Send to the node; the answer comes to fn with the request as its argument. */
static void
send_request (struct blockwriter *self, const struct message_type *type, const void *fields,
              zmq_msg_t *payload, dealer_fn *fn)
{
    struct blockwriter_request *request = free_request (self);
    litedfs_error_t error;

    request->owner = self;
    request->id = dealer_send (self->peer->dealer, type, fields, payload, REQUEST_MS, fn,
                               request, &error);
    if (request->id > 0) {
        self->under_way++;
    } else {
        request->id = 0;
        fail (self, &error);
    }
}

static void
ask_state (struct blockwriter *self, uint64_t wait_ms)
{
    const struct block_stat_request request = {
        .block = self->block, .node = self->peer->node, .wait = wait_ms};
    self->asking = true;
    send_request (self, stat_type, &request, NULL, on_stat);
}

/* Keep the CRC of the chunk at `next`.  A chunk that was sent before must have the same: the node may have
 * kept the bytes that came first. */
static int
note_crc (struct blockwriter *self, uint32_t crc, litedfs_error_t *error)
{
    uint64_t chunk = self->next / BLOCKWRITER_CHUNK;

    if (chunk < self->chunks_sent && self->chunk_crcs[chunk] != crc)
        return err_set (error, LITEDFS_IO, "local file: it has changed while it was read");
    self->chunk_crcs[chunk] = crc;
    if (chunk >= self->chunks_sent)
        self->chunks_sent = chunk + 1;
    return 0;
}

/* Send the chunk at `next`, of `size` bytes. */
static int
send_chunk (struct blockwriter *self, size_t size, bool last, litedfs_error_t *error)
{
    struct block_write_request request = {
        .block = self->block, .node = self->peer->node, .offset = self->next, .last = last};
    zmq_msg_t payload;

    if (zmq_msg_init_size (&payload, size) != 0)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    int rc = size ? source_read (self->source, self->index, self->next, zmq_msg_data (&payload),
                                 size, error)
                  : 0;
    if (rc == 0) {
        request.crc32 = crc32_of (0, zmq_msg_data (&payload), size);
        rc = size ? note_crc (self, (uint32_t) request.crc32, error) : 0;
    }
    if (rc == 0) {
        if (self->next == 0) {
            request.file = self->file;
            request.index = self->index;
            request.path = slice_str (self->path);
        }
        if (last && source_count (self->source) == self->index + 1)
            request.count = self->index + 1;
        send_request (self, write_type, &request, &payload, on_write);
        self->next += size;
    }
    zmq_msg_close (&payload);
    return rc;
}

/* How many bytes the next chunk has, and whether it is the last; false if it must wait. */
static bool
next_chunk (const struct blockwriter *self, size_t *size, bool *last)
{
    bool complete;
    uint64_t available = source_available (self->source, self->index, &complete);
    uint64_t left = available > self->next ? available - self->next : 0;

    if (!complete && left <= BLOCKWRITER_CHUNK)
        return false; // the last chunk must be known as such
    *size = (size_t) (left < BLOCKWRITER_CHUNK ? left : BLOCKWRITER_CHUNK);
    *last = complete && left <= BLOCKWRITER_CHUNK;
    if (self->under_way == 0)
        return true; // one chunk is always welcome
    return self->next + *size <= self->limit &&
           self->next + *size <= self->acked + BLOCKWRITER_WINDOW;
}

/* See whether the node has gone, or stands still. */
static void
watch_node (struct blockwriter *self)
{
    int64_t now_ms = clock_mono (self->session->clock);
    litedfs_error_t error;

    if (self->under_way == 0)
        return;
    if (session_peer_away (self->session, self->peer)) {
        err_set (&error, LITEDFS_UNREACHABLE, "no connection for %d s",
                 SESSION_NODE_AWAY_MS / 1000);
        fail (self, &error);
    } else if (now_ms - self->progress_ms > STALL_MS) {
        err_set (&error, LITEDFS_TIMEOUT, "no progress for %d s", STALL_MS / 1000);
        fail (self, &error);
    }
}

static int
send_chunks (struct blockwriter *self, litedfs_error_t *error)
{
    size_t size;
    bool last;
    int rc = 0;

    while (rc == 0 && self->state == BLOCKWRITER_WRITING &&
           self->under_way < BLOCKWRITER_PENDING && next_chunk (self, &size, &last)) {
        if (self->under_way == 0)
            self->progress_ms =
                clock_mono (self->session->clock); // it was the source that we waited for
        rc = send_chunk (self, size, last, error);
        if (rc == 0 && last && self->state == BLOCKWRITER_WRITING) {
            self->size = self->next;
            self->state = BLOCKWRITER_WAITING;
        }
    }
    return rc;
}

int
blockwriter_push (struct blockwriter *self, litedfs_error_t *error)
{
    if (self->state != BLOCKWRITER_WRITING && self->state != BLOCKWRITER_WAITING)
        return 0;
    watch_node (self);
    if (self->state == BLOCKWRITER_FAILED)
        return 0;
    if (self->rewind) {
        if (self->under_way == 0 && clock_mono (self->session->clock) >= self->resume_ms) {
            self->rewind = false;
            ask_state (self, 0);
        }
        return 0;
    }
    if (self->state == BLOCKWRITER_WAITING && self->under_way == 0)
        ask_state (self, STAT_WAIT_MS);
    if (self->asking)
        return 0;
    int rc = send_chunks (self, error);
    int64_t now_ms = clock_mono (self->session->clock);
    if (rc == 0 && self->state == BLOCKWRITER_WRITING && self->under_way == 0 && self->known &&
        now_ms - self->heard_ms >= KEEP_MS) {
        self->progress_ms = now_ms; // it is not the node that stands still
        ask_state (self, 0);
    }
    return rc;
}

long
blockwriter_timeout_ms (const struct blockwriter *self)
{
    if (self->state != BLOCKWRITER_WRITING && self->state != BLOCKWRITER_WAITING)
        return -1;
    if (!self->rewind || self->under_way > 0)
        return LOOK_MS;
    int64_t left_ms = self->resume_ms - clock_mono (self->session->clock);
    return left_ms > 0 ? (long) left_ms : 0;
}

/* ---- start and stop ------------------------------------------------------------------------------------- */

int
blockwriter_start (struct blockwriter *self, uint64_t index, uint64_t block,
                   uint64_t block_size, struct peer *peer, litedfs_error_t *error)
{
    uint64_t chunks = (block_size + BLOCKWRITER_CHUNK - 1) / BLOCKWRITER_CHUNK;

    if (chunks > self->chunks) {
        uint32_t *grown = realloc (self->chunk_crcs, chunks * sizeof *grown);
        if (!grown)
            return err_set (error, LITEDFS_MEMORY, "out of memory");
        self->chunk_crcs = grown;
        self->chunks = chunks;
    }
    self->index = index;
    self->block = block;
    self->peer = peer;
    self->state = BLOCKWRITER_WRITING;
    self->next = 0;
    self->acked = 0;
    self->limit = BLOCKWRITER_CHUNK; // one chunk before the first reply
    self->size = WIRE_UNKNOWN;
    self->chunks_sent = 0;
    self->under_way = 0;
    self->asking = false;
    self->known = false;
    self->rewind = false;
    self->rewinds = 0;
    self->restarts = 0;
    self->busy_answers = 0;
    self->heard_ms = self->progress_ms = clock_mono (self->session->clock);
    return 0;
}

void
blockwriter_stop (struct blockwriter *self)
{
    for (int i = 0; i < BLOCKWRITER_PENDING; i++) {
        if (self->requests[i].id > 0)
            dealer_cancel (self->peer->dealer, self->requests[i].id);
        self->requests[i].id = 0;
    }
    self->under_way = 0;
    self->state = BLOCKWRITER_IDLE;
}
