/* SPDX-License-Identifier: MIT */
/*
 * Two streams and a queue before them.
 *
 * A stream begins with a DESCRIBE at the disk pool, whose result starts the pipeline's part, and is free
 * again when that is over.  The queue is served from its front; an item steps aside while its block is in
 * the other stream (the pipeline has one copy of a block at a time), and for a while after the pipeline was
 * busy with it.
 *
 * A READ that gives way to others stays with its stream until it is its turn; the pipeline waits for it
 * without a limit of its own, and nothing else is pending for that copy.
 *
 * When a node is away all copies to it fail, so failures are logged once a minute, with their number.
 */
#include "datanode/copy.h"

#include "base/err.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMPLAIN_AGAIN_MS 60000
#define QUEUE_FIRST 64 // room that the queue starts with

/* An order that waits. */
struct item {
    uint64_t block;
    uint32_t target;
    bool was_busy;
    int64_t busy_ms;  // since when the pipeline is busy with it
    int64_t again_ms; // not before
};

enum stream_state { STREAM_FREE, STREAM_DESCRIBING, STREAM_RUNNING };

struct stream {
    enum stream_state state;
    struct item item;
    bool deleted;         // while it was described
    bool waits;           // its READ gives way to others
    struct disk_job read; // which is this
};

struct copy {
    struct copy_calls calls;
    struct log *log;
    struct metrics *metrics;
    struct item *queue;
    size_t count;
    size_t room;
    struct stream streams[COPY_STREAMS];
    int64_t yield_ms; // until then others go first
    int64_t read_ms;  // no READ before that, while they do
    bool complained;
    int64_t complained_ms;
    uint64_t unsaid; // failures since then
};

struct copy *
copy_new (const struct copy_calls *calls, struct log *log, struct metrics *metrics)
{
    struct copy *self = calloc (1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->calls = *calls;
    self->log = log;
    self->metrics = metrics;
    return self;
}

void
copy_destroy (struct copy **self_p)
{
    struct copy *self = *self_p;

    if (self == NULL)
        return;
    *self_p = NULL;
    free (self->queue);
    free (self);
}

size_t
copy_waiting (const struct copy *self)
{
    return self->count;
}

size_t
copy_running (const struct copy *self)
{
    size_t running = 0;

    for (size_t i = 0; i < COPY_STREAMS; i++)
        running += self->streams[i].state != STREAM_FREE;
    return running;
}

/* A copy will not be made. */
static void
give_up (struct copy *self, int64_t now_ms, const struct item *item, int number,
         const char *why)
{
    self->calls.failed (self->calls.context, item->block, item->target, number);
    metric_add (self->metrics, METRIC_COPIES, METRIC_FAILED, 1);
    if (self->complained && now_ms - self->complained_ms < COMPLAIN_AGAIN_MS) {
        self->unsaid++;
        return;
    }
    log_warning (self->log,
                 "block %016" PRIx64 " is not copied to node %" PRIu32 ": %s (%" PRIu64
                 " more of such before)",
                 item->block, item->target, why, self->unsaid);
    self->complained = true;
    self->complained_ms = now_ms;
    self->unsaid = 0;
}

/* ---- the queue ---------------------------------------------------------------------------------- */

static bool
is_here (const struct copy *self, uint64_t block, uint32_t target)
{
    for (size_t i = 0; i < COPY_STREAMS; i++) {
        const struct stream *stream = &self->streams[i];
        if (stream->state != STREAM_FREE && !stream->deleted && stream->item.block == block &&
            stream->item.target == target)
            return true;
    }
    for (size_t i = 0; i < self->count; i++)
        if (self->queue[i].block == block && self->queue[i].target == target)
            return true;
    return false;
}

/* Put an item at the end; what does not fit is given up. */
static void
enqueue (struct copy *self, int64_t now_ms, const struct item *item)
{
    if (self->count + copy_running (self) >= COPY_QUEUE_MAX) {
        give_up (self, now_ms, item, LITEDFS_BUSY, "too many copies wait here");
        return;
    }
    if (self->count == self->room) {
        size_t room = self->room > 0 ? self->room * 2 : QUEUE_FIRST;
        struct item *queue = realloc (self->queue, room * sizeof *queue);
        if (queue == NULL) {
            give_up (self, now_ms, item, LITEDFS_MEMORY, "out of memory");
            return;
        }
        self->queue = queue;
        self->room = room;
    }
    self->queue[self->count++] = *item;
}

static void
remove_item (struct copy *self, size_t at)
{
    self->count--;
    memmove (self->queue + at, self->queue + at + 1, (self->count - at) * sizeof *self->queue);
}

/* ---- streams ------------------------------------------------------------------------------------ */

static bool
is_streamed (const struct copy *self, uint64_t block)
{
    for (size_t i = 0; i < COPY_STREAMS; i++)
        if (self->streams[i].state != STREAM_FREE && self->streams[i].item.block == block)
            return true;
    return false;
}

/* A stream in a state, of a block if it is not free; NULL if there is none. */
static struct stream *
find_stream (struct copy *self, enum stream_state state, uint64_t block)
{
    for (size_t i = 0; i < COPY_STREAMS; i++) {
        struct stream *stream = &self->streams[i];
        if (stream->state == state && (state == STREAM_FREE || stream->item.block == block))
            return stream;
    }
    return NULL;
}

/* The first item whose turn it may be; false if there is none now. */
static bool
next_item (const struct copy *self, int64_t now_ms, size_t *out)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->queue[i].again_ms <= now_ms && !is_streamed (self, self->queue[i].block)) {
            *out = i;
            return true;
        }
    return false;
}

/* Begin what there is room for. */
static void
fill (struct copy *self, int64_t now_ms)
{
    struct stream *stream;
    size_t at;

    while ((stream = find_stream (self, STREAM_FREE, 0)) != NULL &&
           next_item (self, now_ms, &at)) {
        struct item item = self->queue[at];
        struct disk_job job = {.kind = DISK_DESCRIBE, .token = COPY_TOKEN, .block = item.block};
        litedfs_error_t error;

        remove_item (self, at);
        if (self->calls.submit (self->calls.context, &job, &error) < 0)
            give_up (self, now_ms, &item, error.number, error.text);
        else
            *stream = (struct stream){.state = STREAM_DESCRIBING, .item = item};
    }
}

/* The pipeline was busy with the block: later, unless that has been so for long. */
static void
put_off (struct copy *self, int64_t now_ms, struct item *item, const char *why)
{
    if (!item->was_busy) {
        item->was_busy = true;
        item->busy_ms = now_ms;
    }
    item->again_ms = now_ms + COPY_AGAIN_MS;
    if (now_ms - item->busy_ms > COPY_PATIENCE_MS)
        give_up (self, now_ms, item, LITEDFS_BUSY, why);
    else
        enqueue (self, now_ms, item);
}

/* The block is described: the pipeline's turn. */
static void
start (struct copy *self, int64_t now_ms, struct stream *stream,
       const struct disk_result *result, zmq_msg_t *path)
{
    struct item item = stream->item;
    struct pipeline_copy copy = {.block = item.block,
                                 .size = result->size,
                                 .crc32 = result->crc,
                                 .file = result->file,
                                 .index = result->index,
                                 .path = slice_of (zmq_msg_data (path), zmq_msg_size (path)),
                                 .count = result->count,
                                 .target = item.target};
    litedfs_error_t error;

    int rc = self->calls.start (self->calls.context, &copy, &error);
    if (rc == 0) {
        stream->state = STREAM_RUNNING;
        return;
    }
    *stream = (struct stream){.state = STREAM_FREE};
    if (rc == LITEDFS_BUSY)
        put_off (self, now_ms, &item, error.text);
    else
        give_up (self, now_ms, &item, error.number, error.text);
}

static void
on_described (struct copy *self, int64_t now_ms, const struct disk_result *result,
              zmq_msg_t *path)
{
    struct stream *stream = find_stream (self, STREAM_DESCRIBING, result->block);

    if (stream == NULL)
        return;
    if (!stream->deleted && result->error.number == 0) {
        start (self, now_ms, stream, result, path);
    } else {
        if (!stream->deleted)
            give_up (self, now_ms, &stream->item, result->error.number, result->error.text);
        *stream = (struct stream){.state = STREAM_FREE};
    }
    fill (self, now_ms);
}

/* ---- events ------------------------------------------------------------------------------------- */

/* A block is gone by order.  The name node hears of copies that so are not made, too: it may count on them
 * by now.  What the pipeline has of it ends by itself. */
static void
forget (struct copy *self, uint64_t block)
{
    struct stream *stream = find_stream (self, STREAM_DESCRIBING, block);

    if (stream != NULL && !stream->deleted) {
        stream->deleted = true;
        self->calls.failed (self->calls.context, block, stream->item.target, LITEDFS_NOT_FOUND);
    }
    for (size_t i = self->count; i > 0; i--)
        if (self->queue[i - 1].block == block) {
            self->calls.failed (self->calls.context, block, self->queue[i - 1].target,
                                LITEDFS_NOT_FOUND);
            remove_item (self, i - 1);
        }
}

void
copy_orders (struct copy *self, int64_t now_ms, const struct blockstore_order *orders,
             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct item item = {.block = orders[i].block, .target = orders[i].target};
        if (orders[i].kind == ORDER_DELETE)
            forget (self, item.block);
        else if (item.target == 0)
            give_up (self, now_ms, &item, LITEDFS_INVALID, "the order names no other node");
        else if (!is_here (self, item.block, item.target))
            enqueue (self, now_ms, &item);
    }
    fill (self, now_ms);
}

void
copy_yield (struct copy *self, int64_t now_ms)
{
    self->yield_ms = now_ms + COPY_YIELD_MS;
}

static void
submit_read (struct copy *self, struct disk_job *job)
{
    litedfs_error_t error;
    zmq_msg_t none;

    if (self->calls.submit (self->calls.context, job, &error) == 0)
        return;
    zmq_msg_init (&none);
    self->calls.was_read (self->calls.context, job->block, job->offset, &none, &error);
    zmq_msg_close (&none);
}

/* When the next READ may go, if one waits. */
static int64_t
turn_ms (const struct copy *self)
{
    return self->read_ms < self->yield_ms ? self->read_ms : self->yield_ms;
}

/* The READs that gave way and whose turn it is. */
static void
read_on (struct copy *self, int64_t now_ms)
{
    for (size_t i = 0; i < COPY_STREAMS && now_ms >= turn_ms (self); i++) {
        struct stream *stream = &self->streams[i];
        if (!stream->waits)
            continue;
        stream->waits = false;
        self->read_ms = now_ms + COPY_PAUSE_MS;
        submit_read (self, &stream->read);
    }
}

void
copy_read (struct copy *self, int64_t now_ms, const struct pipeline_action *action)
{
    struct stream *stream = find_stream (self, STREAM_RUNNING, action->block);
    struct disk_job job = {.kind = DISK_READ,
                           .token = COPY_TOKEN,
                           .block = action->block,
                           .offset = action->offset,
                           .size = action->size,
                           .copy = true};

    if (stream == NULL) {
        submit_read (self, &job);
        return;
    }
    stream->read = job;
    stream->waits = true;
    read_on (self, now_ms);
}

bool
copy_result (struct copy *self, int64_t now_ms, const struct disk_result *result,
             zmq_msg_t *payload)
{
    if ((result->token & COPY_TOKEN) == 0)
        return false;
    if (result->kind == DISK_DESCRIBED)
        on_described (self, now_ms, result, payload);
    else if (result->kind == DISK_READ_DONE) {
        metric_add (self->metrics, METRIC_COPIES_BYTES, 0, zmq_msg_size (payload));
        self->calls.was_read (self->calls.context, result->block, result->offset, payload,
                              result->error.number != 0 ? &result->error : NULL);
    }
    zmq_msg_close (payload);
    return true;
}

void
copy_ended (struct copy *self, int64_t now_ms, const struct pipeline_action *action)
{
    struct stream *stream = find_stream (self, STREAM_RUNNING, action->block);

    if (stream == NULL)
        return;
    if (action->error != 0)
        give_up (self, now_ms, &stream->item, action->error,
                 action->text != NULL ? action->text : "");
    else {
        metric_add (self->metrics, METRIC_COPIES, METRIC_OK, 1);
        log_debug (self->log, "block %016" PRIx64 " is copied to node %" PRIu32,
                   stream->item.block, stream->item.target);
    }
    *stream = (struct stream){.state = STREAM_FREE};
    fill (self, now_ms);
}

void
copy_tick (struct copy *self, int64_t now_ms)
{
    read_on (self, now_ms);
    fill (self, now_ms);
}

int64_t
copy_next_deadline (const struct copy *self)
{
    int64_t next_ms = INT64_MAX;

    for (size_t i = 0; i < COPY_STREAMS; i++)
        if (self->streams[i].waits)
            next_ms = turn_ms (self);
    if (copy_running (self) == COPY_STREAMS)
        return next_ms;
    for (size_t i = 0; i < self->count; i++)
        if (self->queue[i].again_ms < next_ms && !is_streamed (self, self->queue[i].block))
            next_ms = self->queue[i].again_ms;
    return next_ms;
}
