/* SPDX-License-Identifier: MIT */
/*
 * What is known of a block belongs to its id, not to a connection: the node's replies alone say how far
 * the block is.  A chunk that was refused because of what came before it (gap) or of the moment (busy)
 * stops the sending; when nothing is under way any more, block.stat tells the node's offset and the
 * sending goes on from there.  What is about the node itself (its disk, its identity) ends its part.
 *
 * Requests have no time limit of their own: whether the node is alive, and whether anything moves, is
 * judged here, when what has come was taken in.
 */
#include "client/blockwriter_impl.h"

#include "base/crc.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define STAT_WAIT_MS 1000 // block.stat is parked this long
#define PING_MS 1000      // between two pings
#define KEEP_MS 5000      // a node whose writer waits for its source hears of it this often
#define LOOK_MS 250       // how often a node that should answer is looked after
#define DROP_MS                                                                                \
    15000 // a chunk, or its answer, is taken for lost when none was answered for so long

static const struct message_type *const write_type = &message_types[MESSAGE_block_write];
static const struct message_type *const stat_type = &message_types[MESSAGE_block_stat];

/* ---- requests ------------------------------------------------------------------------------------------ */

static struct blockwriter_request *
free_request (struct blockwriter *self)
{
    for (int i = 0; i < BLOCKWRITER_PENDING; i++)
        if (self->requests[i].id == 0)
            return &self->requests[i];
    return NULL; // callers look at under_way first
}

/* Send to the node; the answer comes to fn with the request as its argument. */
static bool
send_request (struct blockwriter *self, struct blockwriter_request *request,
              const struct message_type *type, const void *fields, zmq_msg_t *payload,
              dealer_fn *fn)
{
    litedfs_error_t error;

    request->owner = self;
    request->id = session_connect (self->session, self->peer, &error);
    if (request->id == 0)
        request->id =
            dealer_send (self->peer->dealer, type, fields, payload, -1, fn, request, &error);
    if (request->id > 0)
        return true;
    request->id = 0;
    blockwriter_fail (self, &error);
    return false;
}

static void
cancel (const struct blockwriter *self, struct blockwriter_request *request)
{
    if (request->id > 0)
        dealer_cancel (self->peer->dealer, request->id);
    request->id = 0;
}

/* The same for what the block waits for; a request is free. */
static void
send_counted (struct blockwriter *self, const struct message_type *type, const void *fields,
              zmq_msg_t *payload, dealer_fn *fn)
{
    if (!send_request (self, free_request (self), type, fields, payload, fn))
        return;
    if (self->under_way++ == 0)
        self->heard_ms = clock_mono (self->session->clock);
}

static void
ask_state (struct blockwriter *self, uint64_t wait_ms)
{
    const struct block_stat_request request = {
        .block = self->block, .node = self->peer->node, .wait = wait_ms};
    self->asking = true;
    send_counted (self, stat_type, &request, NULL, blockwriter_on_stat);
}

/* A node that owes an answer for a while is asked for a sign of life. */
static void
ping (struct blockwriter *self)
{
    const struct block_stat_request request = {.block = self->block, .node = self->peer->node};
    int64_t now_ms = clock_mono (self->session->clock);

    if (self->under_way == 0 || self->ping.id > 0 ||
        now_ms - self->heard_ms < SESSION_DOUBT_MS || now_ms - self->pinged_ms < PING_MS)
        return;
    self->pinged_ms = now_ms;
    send_request (self, &self->ping, stat_type, &request, NULL, blockwriter_on_ping);
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
        .block = self->block,
        .node = self->peer->node,
        .offset = self->next,
        .last = last,
        .chain = self->chain,
        .chain_count = self->chain_count,
    };
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
        send_counted (self, write_type, &request, &payload, blockwriter_on_write);
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

/* The node lives, and answers nothing of what it owes: something was lost on the way.  What was not is
 * found by its offset; a chunk that comes twice does no harm. */
static void
drop_requests (struct blockwriter *self)
{
    int64_t now_ms = clock_mono (self->session->clock);

    if (now_ms - self->heard_ms < (self->rewind ? SESSION_DOUBT_MS : DROP_MS))
        return;
    for (int i = 0; i < BLOCKWRITER_PENDING; i++)
        cancel (self, &self->requests[i]);
    self->under_way = 0;
    self->asking = false;
    self->rewind = true;
}

/* See whether the node has gone, or stands still. */
static void
watch_node (struct blockwriter *self)
{
    litedfs_error_t error;

    if (self->under_way == 0)
        return;
    if (session_peer_lost (self->session, self->peer, &error)) {
        self->lost = true;
        blockwriter_fail (self, &error);
    } else if (blockwriter_stalled_ms (self) > BLOCKWRITER_STALL_MS &&
               session_silent_ms (self->peer) < SESSION_DOUBT_MS) {
        err_set (&error, LITEDFS_TIMEOUT, "no progress for %d s", BLOCKWRITER_STALL_MS / 1000);
        blockwriter_fail (self, &error);
    } else {
        ping (self);
        drop_requests (self);
    }
}

int64_t
blockwriter_stalled_ms (const struct blockwriter *self)
{
    return self->under_way > 0 ? clock_mono (self->session->clock) - self->progress_ms : 0;
}

/* Nothing is under way any more: ask the node where it is, or begin at the start. */
static void
resume (struct blockwriter *self)
{
    self->rewind = false;
    if (!self->anew) {
        ask_state (self, 0);
        return;
    }
    self->anew = false;
    self->known = false;
    blockwriter_go_back (self, 0, 0);
}

static int
send_chunks (struct blockwriter *self, litedfs_error_t *error)
{
    size_t size;
    bool last;
    int rc = 0;

    while (rc == 0 && self->state == BLOCKWRITER_WRITING &&
           self->under_way < BLOCKWRITER_PENDING && next_chunk (self, &size, &last)) {
        if (self->under_way == 0 && self->next / BLOCKWRITER_CHUNK >= self->chunks_sent)
            self->progress_ms = clock_mono (self->session->clock); // the source was waited for
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
    if (!blockwriter_is_open (self))
        return 0;
    watch_node (self);
    if (!blockwriter_is_open (self))
        return 0;
    if (self->rewind &&
        (self->under_way > 0 || clock_mono (self->session->clock) < self->resume_ms))
        return 0;
    if (self->rewind)
        resume (self);
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
    if (!blockwriter_is_open (self))
        return -1;
    if (!self->rewind || self->under_way > 0)
        return LOOK_MS;
    int64_t left_ms = self->resume_ms - clock_mono (self->session->clock);
    return left_ms > 0 ? (long) left_ms : 0;
}

/* ---- start and stop ------------------------------------------------------------------------------------- */

int
blockwriter_start (struct blockwriter *self, const struct blockwriter_job *job,
                   litedfs_error_t *error)
{
    uint64_t chunks = (job->block_size + BLOCKWRITER_CHUNK - 1) / BLOCKWRITER_CHUNK;

    if (chunks > self->chunks) {
        uint32_t *grown = realloc (self->chunk_crcs, chunks * sizeof *grown);
        if (!grown)
            return err_set (error, LITEDFS_MEMORY, "out of memory");
        self->chunk_crcs = grown;
        self->chunks = chunks;
    }
    const struct blockwriter fresh = {
        .session = self->session,
        .source = self->source,
        .path = self->path,
        .file = self->file,
        .index = job->index,
        .block = job->block,
        .peer = job->peer,
        .chain_count = job->chain_count,
        .state = BLOCKWRITER_WRITING,
        .limit = BLOCKWRITER_CHUNK, // one chunk before the first reply
        .size = WIRE_UNKNOWN,
        .chunk_crcs = self->chunk_crcs,
        .chunks = self->chunks,
        .heard_ms = clock_mono (self->session->clock),
        .progress_ms = clock_mono (self->session->clock),
    };
    *self = fresh;
    for (size_t i = 0; i < job->chain_count; i++)
        self->chain[i] = job->chain[i];
    replicas_start (&self->replicas, job->peer->node, job->chain, job->chain_count);
    return 0;
}

void
blockwriter_stop (struct blockwriter *self)
{
    for (int i = 0; i < BLOCKWRITER_PENDING; i++)
        cancel (self, &self->requests[i]);
    cancel (self, &self->ping);
    self->under_way = 0;
    self->state = BLOCKWRITER_IDLE;
}
