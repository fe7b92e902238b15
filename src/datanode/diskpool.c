/* SPDX-License-Identifier: MIT */
/*
 * The owner's side of the disk's threads: jobs go out by one PUSH a worker, results come in by one PULL.
 *
 * The sockets are inproc and unbounded, so a send never waits; what is under way is bounded by those who
 * submit.  A block's writer follows from its id, so that its jobs keep their order without a lock.  Readers
 * are picked by how many results they still owe.
 *
 * When orders were run, the writers are told which blocks are gone, so that what was written of them does
 * not stay until somebody sends the next chunk.
 */

#include "datanode/diskpool.h"

#include "base/actor.h"
#include "base/err.h"
#include "datanode/blockfile.h"
#include "datanode/diskworker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES ((size_t) 4 << 20)      // of buffers for reads that are not used now
#define KEEP_COPY_BYTES ((size_t) 2 << 20) // the same for reads of copies

/* A worker as the owner sees it. */
struct pool_worker {
    struct diskworker args;
    struct actor *actor;
    zsock_t *jobs;
    size_t owed; // results
};

struct diskpool {
    char endpoint[64]; // of results
    zsock_t *results;
    struct readbuf_pool *buffers;
    struct readbuf_pool *copy_buffers;
    unsigned writers;
    unsigned readers;
    size_t pending;
    unsigned worker_count;
    struct pool_worker *workers; // the writers, the readers, the one for orders
};

/* ---- start and stop ----------------------------------------------------------------------------- */

static int
start_worker (struct diskpool *self, unsigned number, struct blockstore *store, struct log *log,
              struct metrics *metrics, litedfs_error_t *error)
{
    struct pool_worker *worker = &self->workers[number];
    actor_run_fn *run = diskworker_execute;
    char name[16];
    if (number < self->writers) {
        run = diskworker_write;
        snprintf (name, sizeof name, "write%u", number);
    } else if (number < self->writers + self->readers) {
        run = diskworker_read;
        snprintf (name, sizeof name, "read%u", number - self->writers);
    } else
        snprintf (name, sizeof name, "orders");

    struct diskworker *args = &worker->args;
    args->store = store;
    args->log = log;
    args->metrics = metrics;
    args->buffers = self->buffers;
    args->copy_buffers = self->copy_buffers;
    args->number = number;
    snprintf (args->jobs, sizeof args->jobs, "inproc://disk-%p-%u", (void *) self, number);
    snprintf (args->results, sizeof args->results, "%s", self->endpoint);
    worker->jobs = zsock_new (ZMQ_PUSH);
    zsock_set_sndhwm (worker->jobs, 0);
    if (zsock_bind (worker->jobs, "%s", args->jobs) < 0)
        return err_set_errno (error, LITEDFS_FAILED, errno, "disk worker: %s", args->jobs);
    return actor_start (&worker->actor, name, run, args, error);
}

static int
start_all (struct diskpool *self, struct blockstore *store, struct log *log,
           struct metrics *metrics, litedfs_error_t *error)
{
    self->buffers = readbuf_pool_new (KEEP_BYTES);
    self->copy_buffers = readbuf_pool_new (KEEP_COPY_BYTES);
    self->workers = calloc (self->worker_count, sizeof *self->workers);
    if (!self->buffers || !self->copy_buffers || !self->workers)
        return err_set (error, LITEDFS_MEMORY, "disk workers: out of memory");
    self->results = zsock_new (ZMQ_PULL);
    zsock_set_rcvhwm (self->results, 0);
    snprintf (self->endpoint, sizeof self->endpoint, "inproc://disk-%p", (void *) self);
    if (zsock_bind (self->results, "%s", self->endpoint) < 0)
        return err_set_errno (error, LITEDFS_FAILED, errno, "disk workers: results");
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < self->worker_count; i++)
        rc = start_worker (self, i, store, log, metrics, error);
    return rc;
}

int
diskpool_start (struct diskpool **out, struct blockstore *store, unsigned writers,
                unsigned readers, struct log *log, struct metrics *metrics,
                litedfs_error_t *error)
{
    *out = NULL;
    if (writers == 0 || writers > DISK_WORKERS_MAX || readers == 0 ||
        readers > DISK_WORKERS_MAX)
        return err_set (error, LITEDFS_INVALID, "disk workers: 1 to %d of each kind",
                        DISK_WORKERS_MAX);
    struct diskpool *self = calloc (1, sizeof *self);
    if (!self)
        return err_set (error, LITEDFS_MEMORY, "disk workers: out of memory");
    self->writers = writers;
    self->readers = readers;
    self->worker_count = writers + readers + 1;
    int rc = start_all (self, store, log, metrics, error);
    if (rc < 0)
        diskpool_stop (&self);
    *out = self;
    return rc;
}

/* Close a socket and free its name at once: libzmq frees it some time later, and the next pool may be
 * at this one's address. */
static void
close_bound (zsock_t **socket, const char *endpoint)
{
    if (*socket)
        zsock_unbind (*socket, "%s", endpoint);
    zsock_destroy (socket);
}

void
diskpool_stop (struct diskpool **self)
{
    int saved = errno;
    struct diskpool *pool = *self;
    if (!pool)
        return;
    unsigned count = pool->workers ? pool->worker_count : 0;
    for (unsigned i = 0; i < count; i++)
        if (pool->workers[i].actor)
            actor_ask_to_stop (pool->workers[i].actor);
    for (unsigned i = 0; i < count; i++) {
        actor_stop (&pool->workers[i].actor);
        close_bound (&pool->workers[i].jobs, pool->workers[i].args.jobs);
    }
    close_bound (&pool->results, pool->endpoint);
    readbuf_pool_destroy (&pool->buffers);
    readbuf_pool_destroy (&pool->copy_buffers);
    free (pool->workers);
    free (pool);
    *self = NULL;
    errno = saved;
}

/* ---- jobs --------------------------------------------------------------------------------------- */

static int
check_job (const struct disk_job *job, size_t payload_size, litedfs_error_t *error)
{
    const char *wrong = NULL;
    switch (job->kind) {
    case DISK_WRITE:
        if (job->path.size > BLOCKFILE_PATH_MAX)
            wrong = "path";
        else if (job->units && (job->unit_count > DISK_UNITS_MAX ||
                                job->unit_count != crc_unit_count (payload_size)))
            wrong = "units";
        break;
    case DISK_READ:
        if (job->size > DISK_READ_MAX || job->offset > BLOCKFILE_SIZE_MAX)
            wrong = "range";
        break;
    case DISK_EXECUTE:
        if (job->order_count > BLOCKSTORE_ORDERS_MAX)
            wrong = "orders";
        break;
    case DISK_ABANDON:
    case DISK_DESCRIBE:
        break;
    default:
        wrong = "kind";
    }
    if (wrong)
        return err_set (error, LITEDFS_INVALID, "disk job: %s out of bounds", wrong);
    return 0;
}

/* The writer that a block belongs to: ids count up, so they are mixed first. */
static struct pool_worker *
writer_of (struct diskpool *self, uint64_t block)
{
    uint64_t mixed = (block ^ block >> 33) * UINT64_C (0xff51afd7ed558ccd);
    return &self->workers[(mixed >> 33) % self->writers];
}

static struct pool_worker *
least_busy_reader (struct diskpool *self)
{
    struct pool_worker *best = &self->workers[self->writers];
    for (unsigned i = 1; i < self->readers; i++)
        if (self->workers[self->writers + i].owed < best->owed)
            best = &self->workers[self->writers + i];
    return best;
}

/* Put a job and what it points at into one frame. */
static int
pack_job (zmq_msg_t *out, const struct disk_job *job, litedfs_error_t *error)
{
    bool writes = job->kind == DISK_WRITE;
    struct disk_frame frame = {
        .token = job->token,
        .block = job->block,
        .offset = job->offset,
        .index = job->index,
        .count = job->count,
        .file = job->file,
        .kind = job->kind,
        .epoch = job->epoch,
        .last = job->last,
        .copy = job->copy,
        .size = job->size,
        .order_count = job->kind == DISK_EXECUTE ? job->order_count : 0,
        .unit_count = writes && job->units ? job->unit_count : 0,
        .path_size = writes ? job->path.size : 0,
    };
    size_t orders = frame.order_count * sizeof *job->orders;
    size_t units = frame.unit_count * sizeof *job->units;
    if (zmq_msg_init_size (out, sizeof frame + orders + units + frame.path_size) < 0)
        return err_set (error, LITEDFS_MEMORY, "disk job: out of memory");
    uint8_t *at = zmq_msg_data (out);
    memcpy (at, &frame, sizeof frame);
    at += sizeof frame;
    if (orders)
        memcpy (at, job->orders, orders);
    at += orders;
    if (units)
        memcpy (at, job->units, units);
    at += units;
    if (frame.path_size)
        memcpy (at, job->path.data, frame.path_size);
    return 0;
}

/* Send both frames; they are empty afterwards. */
static int
send_job (struct pool_worker *worker, zmq_msg_t *head, zmq_msg_t *payload,
          litedfs_error_t *error)
{
    void *jobs = zsock_resolve (worker->jobs);
    int rc = 0;
    diskworker_hand_over (head);
    diskworker_hand_over (payload);
    if (zmq_msg_send (head, jobs, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0 ||
        zmq_msg_send (payload, jobs, ZMQ_DONTWAIT) < 0)
        rc = err_set_errno (error, LITEDFS_FAILED, errno, "disk job: cannot be sent");
    zmq_msg_close (head);
    zmq_msg_close (payload);
    return rc;
}

int
diskpool_submit (struct diskpool *self, const struct disk_job *job, zmq_msg_t *payload,
                 litedfs_error_t *error)
{
    zmq_msg_t head;
    zmq_msg_t body;
    zmq_msg_init (&body);
    if (payload)
        zmq_msg_move (&body, payload);
    int rc = check_job (job, zmq_msg_size (&body), error);
    if (rc == 0)
        rc = pack_job (&head, job, error);
    if (rc < 0) {
        zmq_msg_close (&body);
        return rc;
    }
    struct pool_worker *worker = &self->workers[self->worker_count - 1];
    if (job->kind == DISK_READ || job->kind == DISK_DESCRIBE)
        worker = least_busy_reader (self);
    else if (job->kind != DISK_EXECUTE)
        worker = writer_of (self, job->block);
    rc = send_job (worker, &head, &body, error);
    if (rc == 0) {
        worker->owed++;
        self->pending++;
    }
    return rc;
}

/* ---- results ------------------------------------------------------------------------------------ */

zsock_t *
diskpool_socket (struct diskpool *self)
{
    return self->results;
}

size_t
diskpool_read_bytes (struct diskpool *self)
{
    return readbuf_out (self->buffers);
}

size_t
diskpool_pending (const struct diskpool *self)
{
    return self->pending;
}

/* Hand the orders that were run to every writer. */
static void
sweep (struct diskpool *self, zmq_msg_t *orders)
{
    struct disk_frame frame = {.kind = DISK_SWEEP};
    for (unsigned i = 0; i < self->writers; i++) {
        zmq_msg_t head;
        zmq_msg_t copy;
        if (zmq_msg_init_size (&head, sizeof frame) < 0)
            return; // what it would free goes with the next chunk or ABANDON
        memcpy (zmq_msg_data (&head), &frame, sizeof frame);
        zmq_msg_init (&copy);
        zmq_msg_copy (&copy, orders);
        send_job (&self->workers[i], &head, &copy, NULL);
    }
}

bool
diskpool_result (struct diskpool *self, struct disk_result *out, zmq_msg_t *payload)
{
    struct disk_result_frame frame;
    void *results = zsock_resolve (self->results);
    zmq_msg_init (payload);
    if (zmq_recv (results, &frame, sizeof frame, ZMQ_DONTWAIT) < 0)
        return false;
    zmq_msg_recv (payload, results, ZMQ_DONTWAIT);
    diskworker_take_over (payload);
    *out = frame.result;
    if (out->kind == DISK_WRITTEN && frame.owes)
        return true;
    self->workers[frame.worker].owed--;
    self->pending--;
    if (out->kind == DISK_EXECUTED && zmq_msg_size (payload) > 0)
        sweep (self, payload);
    return true;
}
