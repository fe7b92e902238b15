/* SPDX-License-Identifier: MIT */
/*
 * Writers, readers and the one that runs orders: each takes jobs off its socket and calls the block store.
 *
 * A writer takes what waits before it syncs: chunks are written at once, and blocks whose last bytes came
 * are set aside until the queue is empty, or LATE_BYTES of other blocks were written since, or
 * BLOCKSTORE_FINISH_MAX of them wait.  Then all of them share their syncs and one commit.  Their data has
 * been on its way to the disk since it came, so the others do not wait long.
 *
 * A job that touches a block that is set aside first has the set finished, so the order of a block's jobs
 * holds.
 *
 * libzmq itself ends the process when it has no memory for a message; a result that cannot be sent for that
 * reason does the same, because somebody would wait for it for ever.
 */

#include "datanode/diskworker.h"

#include "base/err.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LATE_BYTES ((uint64_t) 16 << 20) // written while finished blocks wait for their sync
#define EXPIRE_MS 60000                  // between two looks at the tombstones
#define PIN_MAX 4 // a read that fills less than a fourth of its buffer is copied out of it

/* What every worker has while it runs. */
struct worker {
    const struct diskworker *args;
    struct actor_pipe *pipe;
    zsock_t *jobs;
    zsock_t *results;
};

/* A job as it came. */
struct job {
    zmq_msg_t head;
    zmq_msg_t payload;
    const struct disk_frame *frame;
    const struct blockstore_order *orders;
    const uint32_t *units; // NULL if none came
    const char *path;
};

/* ---- sockets ------------------------------------------------------------------------------------ */

static int
open_worker (struct worker *self, struct actor_pipe *pipe, const struct diskworker *args)
{
    litedfs_error_t error;
    *self = (struct worker){.args = args, .pipe = pipe};
    self->jobs = zsock_new (ZMQ_PULL);
    self->results = zsock_new (ZMQ_PUSH);
    zsock_set_rcvhwm (self->jobs, 0);
    zsock_set_sndhwm (self->results, 0);
    if (zsock_connect (self->jobs, "%s", args->jobs) < 0 ||
        zsock_connect (self->results, "%s", args->results) < 0) {
        err_set_errno (&error, LITEDFS_FAILED, errno, "disk worker: cannot connect");
        zsock_destroy (&self->jobs);
        zsock_destroy (&self->results);
        actor_failed (pipe, &error);
        return LITEDFS_FAILED;
    }
    actor_ready (pipe);
    return 0;
}

static void
close_worker (struct worker *self)
{
    zsock_destroy (&self->jobs);
    zsock_destroy (&self->results);
}

/* The next job, to be closed with close_job; false if none waits. */
static bool
take_job (struct worker *self, struct job *job)
{
    void *jobs = zsock_resolve (self->jobs);
    zmq_msg_init (&job->head);
    zmq_msg_init (&job->payload);
    if (zmq_msg_recv (&job->head, jobs, ZMQ_DONTWAIT) < 0)
        return false;
    // The frames of a message come together.
    zmq_msg_recv (&job->payload, jobs, ZMQ_DONTWAIT);
    diskworker_take_over (&job->head);
    diskworker_take_over (&job->payload);
    const struct disk_frame *frame = zmq_msg_data (&job->head);
    job->frame = frame;
    job->orders = (const void *) (frame + 1);
    job->units = (const void *) (job->orders + frame->order_count);
    job->path = (const char *) (job->units + frame->unit_count);
    if (frame->unit_count == 0)
        job->units = NULL;
    return true;
}

static void
close_job (struct job *job)
{
    zmq_msg_close (&job->head);
    zmq_msg_close (&job->payload);
}

/* Wait for a job or for the end, up to timeout_ms (-1: for ever). */
static void
wait_for_job (struct worker *self, long timeout_ms)
{
    zmq_pollitem_t items[] = {
        {actor_pipe_socket (self->pipe), 0, ZMQ_POLLIN, 0},
        {zsock_resolve (self->jobs), 0, ZMQ_POLLIN, 0},
    };
    zmq_poll (items, 2, timeout_ms);
}

/* Send a result and move its payload (NULL: none).  owes: another one of the same job follows. */
static void
send_result (struct worker *self, const struct disk_result *result, zmq_msg_t *payload,
             bool owes)
{
    struct disk_result_frame frame = {
        .result = *result, .worker = self->args->number, .owes = owes};
    void *results = zsock_resolve (self->results);
    zmq_msg_t empty;
    zmq_msg_init (&empty);
    if (payload)
        diskworker_hand_over (payload);
    if (zmq_send (results, &frame, sizeof frame, ZMQ_SNDMORE) < 0 ||
        zmq_msg_send (payload ? payload : &empty, results, 0) < 0) {
        log_critical (self->args->log, "disk worker: a result cannot be sent: %s",
                      strerror (errno));
        abort ();
    }
}

/* ---- what it counts ----------------------------------------------------------------------------- */

static int64_t
begin (const struct worker *self)
{
    return metric_now_us (self->args->metrics);
}

static void
count (const struct worker *self, enum metric_access access, int64_t began_us)
{
    metric_observe (self->args->metrics, METRIC_DISK_DURATION, access, begin (self) - began_us);
}

/* ---- writer ------------------------------------------------------------------------------------- */

/* A block that waits for its sync. */
struct finishing {
    uint64_t token;
    uint64_t block;
};

struct writer {
    struct worker worker;
    struct writing **open; // blocks that are being written, in no order
    size_t open_count;
    size_t open_room;
    struct blockstore_finish items[BLOCKSTORE_FINISH_MAX];
    struct finishing finishing[BLOCKSTORE_FINISH_MAX];
    size_t finishing_count;
    uint64_t late_bytes; // written since the first of them waits
};

static struct writing **
find_open (struct writer *self, uint64_t block)
{
    for (size_t i = 0; i < self->open_count; i++)
        if (writing_block (self->open[i]) == block)
            return &self->open[i];
    return NULL;
}

/* Room for one more; LITEDFS_MEMORY. */
static int
reserve_open (struct writer *self, litedfs_error_t *error)
{
    if (self->open_count < self->open_room)
        return 0;
    size_t room = self->open_room ? self->open_room * 2 : 16;
    struct writing **larger = realloc (self->open, room * sizeof *larger);
    if (!larger)
        return err_set (error, LITEDFS_MEMORY, "disk worker: out of memory");
    self->open = larger;
    self->open_room = room;
    return 0;
}

static void
forget_open (struct writer *self, struct writing **at)
{
    *at = self->open[--self->open_count];
}

static void
abandon_open (struct writer *self, struct writing **at)
{
    blockstore_abandon (at);
    forget_open (self, at);
}

/* Finish the blocks that were set aside, and say so. */
static void
finish_all (struct writer *self)
{
    size_t n = self->finishing_count;
    self->finishing_count = 0;
    self->late_bytes = 0;
    if (n == 0)
        return;
    int64_t began_us = begin (&self->worker);
    blockstore_finish (self->worker.args->store, self->items, n,
                       NULL); // errors are in the items
    count (&self->worker, METRIC_SYNC, began_us);
    for (size_t i = 0; i < n; i++) {
        struct blockstore_finish *item = &self->items[i];
        struct disk_result result = {.kind = DISK_DURABLE,
                                     .token = self->finishing[i].token,
                                     .block = self->finishing[i].block,
                                     .offset = item->size,
                                     .size = item->size,
                                     .crc = item->crc,
                                     .seq = item->seq,
                                     .error = item->error};
        blockstore_abandon (&item->writing); // NULL if it was finished
        send_result (&self->worker, &result, NULL, false);
    }
}

static bool
is_finishing (const struct writer *self, uint64_t block)
{
    for (size_t i = 0; i < self->finishing_count; i++)
        if (self->finishing[i].block == block)
            return true;
    return false;
}

/* A chunk of a block that is not open: begin it, or say what is known of it. */
static int
begin_block (struct writer *self, const struct job *job, struct writing ***out,
             struct disk_result *result)
{
    const struct disk_frame *frame = job->frame;
    struct blockstore *store = self->worker.args->store;
    struct blockstore_block row = {.size = 0};
    struct writing *writing;
    int rc;
    if (frame->offset == 0) {
        rc = reserve_open (self, &result->error);
        if (rc == 0 && frame->copy)
            rc = blockstore_begin_copy (store, frame->block, &frame->file, frame->index,
                                        job->path, frame->path_size, &writing, &row,
                                        &result->error);
        else if (rc == 0)
            rc = blockstore_begin (store, frame->block, &frame->file, frame->index, job->path,
                                   frame->path_size, &writing, &row, &result->error);
        if (rc == 0) {
            *out = &self->open[self->open_count++];
            **out = writing;
            return 0;
        }
    } else {
        rc = blockstore_stat (store, frame->block, &row, &result->error);
        if (rc == 0)
            rc = err_set (&result->error, LITEDFS_EXISTS,
                          "block[%016" PRIx64 "]: it is finished here", frame->block);
        else if (rc == LITEDFS_NOT_FOUND || (rc == LITEDFS_LEASE_LOST && frame->copy))
            rc = err_set (&result->error, LITEDFS_GAP,
                          "block[%016" PRIx64 "]: bytes at 0 are missing before %" PRIu64,
                          frame->block, frame->offset);
    }
    result->size = row.size;
    result->crc = row.crc;
    return rc;
}

/* Write the payload; *out is the block if it is still open. */
static int
append_chunk (struct writer *self, struct job *job, struct writing ***out,
              struct disk_result *result)
{
    const struct disk_frame *frame = job->frame;
    size_t size = zmq_msg_size (&job->payload);
    struct writing **at = find_open (self, frame->block);
    *out = NULL;
    if (!at) {
        int rc = begin_block (self, job, &at, result);
        if (rc < 0)
            return rc;
    }
    int64_t began_us = begin (&self->worker);
    int rc = blockstore_append (*at, frame->offset, zmq_msg_data (&job->payload), size,
                                job->units, &result->error);
    count (&self->worker, METRIC_WRITE, began_us);
    if (rc == 0)
        metric_add (self->worker.args->metrics, METRIC_DISK_WRITTEN, 0, size);
    result->offset = writing_offset (*at);
    if (rc == 0 && frame->last && frame->offset + size != result->offset)
        rc = err_set (&result->error, LITEDFS_DIFFERENT,
                      "block[%016" PRIx64 "]: %" PRIu64
                      " bytes were written, it cannot end at %" PRIu64,
                      frame->block, result->offset, frame->offset + size);
    if (rc == LITEDFS_LEASE_LOST) {
        abandon_open (self, at);
        result->offset = 0;
        at = NULL;
    }
    *out = at;
    return rc;
}

static void
run_write (struct writer *self, struct job *job)
{
    const struct disk_frame *frame = job->frame;
    struct disk_result result = {
        .kind = DISK_WRITTEN, .token = frame->token, .block = frame->block};
    struct writing **at;
    int rc = append_chunk (self, job, &at, &result);
    if (rc == 0)
        result.error.number = 0; // a call that succeeded may have left one
    send_result (&self->worker, &result, NULL, rc == 0 && frame->last);
    if (self->finishing_count > 0)
        self->late_bytes += zmq_msg_size (&job->payload);
    if (rc < 0 || !frame->last)
        return;
    writing_hurry (*at);
    size_t i = self->finishing_count++;
    self->items[i] = (struct blockstore_finish){.writing = *at, .count = frame->count};
    self->finishing[i] = (struct finishing){.token = frame->token, .block = frame->block};
    forget_open (self, at);
}

static void
run_abandon (struct writer *self, const struct job *job)
{
    struct disk_result result = {
        .kind = DISK_ABANDONED, .token = job->frame->token, .block = job->frame->block};
    struct writing **at = find_open (self, job->frame->block);
    if (at)
        abandon_open (self, at);
    send_result (&self->worker, &result, NULL, false);
}

/* Blocks that were deleted by order while they were written go now, not with their next chunk. */
static void
run_sweep (struct writer *self, struct job *job)
{
    const struct blockstore_order *orders = zmq_msg_data (&job->payload);
    size_t count = zmq_msg_size (&job->payload) / sizeof *orders;
    for (size_t i = 0; i < count && self->open_count > 0; i++) {
        struct writing **at = find_open (self, orders[i].block);
        if (at && writing_buried (*at)) // not one that was begun anew by order
            abandon_open (self, at);
    }
}

static void
run_writer_job (struct writer *self, struct job *job)
{
    if (is_finishing (self, job->frame->block))
        finish_all (self);
    switch (job->frame->kind) {
    case DISK_WRITE:
        run_write (self, job);
        break;
    case DISK_ABANDON:
        run_abandon (self, job);
        break;
    case DISK_SWEEP:
        run_sweep (self, job);
        break;
    }
    if (self->finishing_count == BLOCKSTORE_FINISH_MAX || self->late_bytes >= LATE_BYTES)
        finish_all (self);
}

void
diskworker_write (struct actor_pipe *pipe, void *args)
{
    struct writer *self = calloc (1, sizeof *self);
    if (!self) {
        litedfs_error_t error;
        err_set (&error, LITEDFS_MEMORY, "disk worker: out of memory");
        actor_failed (pipe, &error);
        return;
    }
    if (open_worker (&self->worker, pipe, args) < 0) {
        free (self);
        return;
    }
    while (!actor_stopping (pipe)) {
        struct job job;
        if (take_job (&self->worker, &job))
            run_writer_job (self, &job);
        else if (self->finishing_count > 0)
            finish_all (self);
        else
            wait_for_job (&self->worker, -1);
        close_job (&job);
    }
    finish_all (self);
    while (self->open_count > 0)
        abandon_open (self, &self->open[0]);
    close_worker (&self->worker);
    free (self->open);
    free (self);
}

/* ---- reader ------------------------------------------------------------------------------------- */

/* Make a message of a range within a buffer: the message then owns the buffer, or is a copy if it would
 * hold much memory for few bytes. */
static int
wrap_range (zmq_msg_t *payload, struct slice range, struct readbuf *buffer,
            litedfs_error_t *error)
{
    if (range.size < buffer->capacity / PIN_MAX) {
        if (zmq_msg_init_size (payload, range.size) == 0) {
            if (range.size > 0)
                memcpy (zmq_msg_data (payload), range.data, range.size);
            readbuf_release (NULL, buffer);
            return 0;
        }
    } else if (zmq_msg_init_data (payload, (void *) range.data, range.size, readbuf_release,
                                  buffer) == 0)
        return 0;
    zmq_msg_init (payload);
    return err_set (error, LITEDFS_MEMORY, "disk worker: out of memory");
}

static void
run_read (struct worker *self, const struct job *job)
{
    const struct disk_frame *frame = job->frame;
    struct disk_result result = {.kind = DISK_READ_DONE,
                                 .token = frame->token,
                                 .block = frame->block,
                                 .offset = frame->offset};
    zmq_msg_t payload;
    struct slice range = {NULL, 0};
    struct readbuf *buffer =
        readbuf_get (frame->copy ? self->args->copy_buffers : self->args->buffers,
                     blockstore_read_room (frame->offset, frame->size));
    zmq_msg_init (&payload);
    int64_t began_us = begin (self);
    int rc;
    if (!buffer)
        rc = err_set (&result.error, LITEDFS_MEMORY, "disk worker: out of memory");
    else
        rc = blockstore_read (self->args->store, frame->block, frame->offset, frame->size,
                              buffer->data, &range, &result.crc, &result.error);
    count (self, METRIC_READ, began_us);
    metric_add (self->args->metrics, METRIC_DISK_READ, 0, rc == 0 ? range.size : 0);
    if (rc == 0)
        rc = wrap_range (&payload, range, buffer, &result.error);
    if (rc == 0)
        result.size = range.size;
    else if (buffer)
        readbuf_release (NULL, buffer);
    if (rc == 0)
        result.error.number = 0; // a call that succeeded may have left one
    send_result (self, &result, &payload, false);
}

/* What a copy of the block is sent along with; the path is the payload. */
static void
run_describe (struct worker *self, const struct job *job)
{
    struct blockstore_description found = {.path = NULL};
    struct disk_result result = {
        .kind = DISK_DESCRIBED, .token = job->frame->token, .block = job->frame->block};
    zmq_msg_t payload;
    int rc = blockstore_describe (self->args->store, job->frame->block, &found, &result.error);
    if (rc == 0 && zmq_msg_init_size (&payload, found.path_size) < 0)
        rc = err_set (&result.error, LITEDFS_MEMORY, "disk worker: out of memory");
    else if (rc == 0 && found.path_size > 0)
        memcpy (zmq_msg_data (&payload), found.path, found.path_size);
    if (rc == 0) {
        result.file = found.file;
        result.index = found.index;
        result.count = found.count;
        result.size = found.size;
        result.crc = found.crc;
        result.error.number = 0; // a call that succeeded may have left one
    } else
        zmq_msg_init (&payload);
    free (found.path);
    send_result (self, &result, &payload, false);
}

void
diskworker_read (struct actor_pipe *pipe, void *args)
{
    struct worker self;
    if (open_worker (&self, pipe, args) < 0)
        return;
    while (!actor_stopping (pipe)) {
        struct job job;
        if (!take_job (&self, &job))
            wait_for_job (&self, -1);
        else if (job.frame->kind == DISK_DESCRIBE)
            run_describe (&self, &job);
        else
            run_read (&self, &job);
        close_job (&job);
    }
    close_worker (&self);
}

/* ---- orders ------------------------------------------------------------------------------------- */

/* The orders go back with the result, for the sweep and for who carries the rest of them out. */
static void
run_execute (struct worker *self, const struct job *job)
{
    const struct disk_frame *frame = job->frame;
    size_t count = frame->order_count;
    struct disk_result result = {.kind = DISK_EXECUTED,
                                 .token = frame->token,
                                 .epoch = frame->epoch,
                                 .number = count > 0 ? job->orders[count - 1].number : 0};
    zmq_msg_t payload;
    int rc =
        blockstore_execute (self->args->store, frame->epoch, job->orders, count, &result.error);
    if (rc < 0 || zmq_msg_init_size (&payload, count * sizeof *job->orders) < 0)
        zmq_msg_init (&payload);
    else if (count > 0)
        memcpy (zmq_msg_data (&payload), job->orders, count * sizeof *job->orders);
    if (rc == 0)
        result.error.number = 0; // a call that succeeded may have left one
    send_result (self, &result, &payload, false);
}

void
diskworker_execute (struct actor_pipe *pipe, void *args)
{
    struct worker self;
    const struct clock *clock = clock_system ();
    int64_t expire_at_ms = clock_mono (clock) + EXPIRE_MS;
    if (open_worker (&self, pipe, args) < 0)
        return;
    while (!actor_stopping (pipe)) {
        struct job job;
        litedfs_error_t error;
        int64_t left_ms = expire_at_ms - clock_mono (clock);
        if (take_job (&self, &job))
            run_execute (&self, &job);
        else if (left_ms > 0)
            wait_for_job (&self, (long) left_ms);
        close_job (&job);
        if (left_ms > 0)
            continue;
        if (blockstore_expire (self.args->store, &error) < 0)
            log_warning (self.args->log, "data_path: tombstones: %s", error.text);
        expire_at_ms = clock_mono (clock) + EXPIRE_MS;
    }
    close_worker (&self);
}
