/* SPDX-License-Identifier: MIT */
/*
 * The writer actor: the way in and out of it, and its loop.
 *
 * Two inproc pairs carry frames by value: a job is a struct and the request's own frame, a result is
 * a struct and the reply's frame.  The only pointers that travel are views of the nodes and of repair,
 * which are counted and never change.  Both queues are longer than what writer_submit admits, so neither side
 * ever waits for the other; a result that cannot be sent is one that nobody will read any more.
 *
 * A batch takes all requests that are there, and of what data nodes report a bounded part, in the order in
 * which it came: a client waits for at most that, however many nodes come back at once.
 */
#include "namenode/writer.h"

#include "base/err.h"
#include "rpc/socket.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Messages in each of the two queues. */
enum { QUEUE_MAX = 2 * WRITER_REQUESTS_MAX };

enum job_kind { JOB_REQUEST, JOB_NODES };

/* What data nodes report and list takes long and can wait: so many bytes of it go into a batch, or one that is
 * larger.  Some milliseconds' worth. */
enum { BULK_BYTES = 49152 };

/* The first frame of a job. */
struct job_header {
    enum job_kind kind;
    bool bulk;
    struct route route;
    struct op_sender sender;
    uint64_t token;
    struct nodes_view *nodes; // JOB_NODES: one reference goes with it
};

/* The namenode actor's end. */
struct writer {
    struct writer_options options;
    struct actor *actor;
    void *jobs;    // PUSH
    void *results; // PULL
    char jobs_endpoint[64];
    char results_endpoint[64];
    struct nodes_view *first_nodes; // until the actor has taken it
    size_t waiting;                 // requests handed over and not answered
    size_t waiting_bytes;
};

/* A bulky request that waits for its turn. */
struct bulk {
    struct bulk *next;
    struct job_header header;
    zmq_msg_t frame;
};

/* The actor's end. */
struct body {
    struct actor_pipe *pipe;
    void *jobs;    // PULL
    void *results; // PUSH
    struct batch_context context;
    struct nodes_view *nodes;
    struct upkeep *upkeep;
    struct job *batch;
    size_t batch_count;
    struct bulk *bulk; // in the order in which they came
    struct bulk **bulk_end;
};

/* ---- the actor: jobs in ------------------------------------------------------------------------- */

static void
job_clear (struct job *job)
{
    message_destroy (&job->message);
    zmq_msg_close (&job->frame);
    buf_free (&job->reply);
}

/* The request in a frame, which is taken, becomes one of the batch. */
static void
add_to_batch (struct body *self, const struct job_header *header, zmq_msg_t *frame)
{
    struct job *job = &self->batch[self->batch_count];
    litedfs_error_t error;
    uint64_t id;

    memset (job, 0, sizeof *job);
    job->route = header->route;
    job->sender = header->sender;
    job->token = header->token;
    zmq_msg_init (&job->frame);
    zmq_msg_move (&job->frame, frame);
    struct slice bytes = slice_of (zmq_msg_data (&job->frame), zmq_msg_size (&job->frame));
    if (message_parse_request (bytes, &job->message, &id, &error) < 0) {
        log_error (self->context.log, "a request that the router took cannot be read: %s",
                   error.text);
        job_clear (job);
        return;
    }
    self->batch_count++;
}

/* The request waits; false if there is no memory for that. */
static bool
put_off (struct body *self, const struct job_header *header, zmq_msg_t *frame)
{
    struct bulk *bulk = malloc (sizeof *bulk);

    if (!bulk)
        return false;
    bulk->next = NULL;
    bulk->header = *header;
    zmq_msg_init (&bulk->frame);
    zmq_msg_move (&bulk->frame, frame);
    *self->bulk_end = bulk;
    self->bulk_end = &bulk->next;
    return true;
}

/* The rest of a job that was received. */
static void
take_request (struct body *self, const struct job_header *header)
{
    zmq_msg_t frame;

    zmq_msg_init (&frame);
    if (socket_receive_frame (self->jobs, &frame) == 0 &&
        !(header->bulk && put_off (self, header, &frame)))
        add_to_batch (self, header, &frame);
    zmq_msg_close (&frame);
}

/* Take the first one that waits out of the list. */
static void
take_bulk (struct body *self, struct job_header *header, zmq_msg_t *frame)
{
    struct bulk *bulk = self->bulk;

    *header = bulk->header;
    zmq_msg_move (frame, &bulk->frame);
    zmq_msg_close (&bulk->frame);
    self->bulk = bulk->next;
    if (!self->bulk)
        self->bulk_end = &self->bulk;
    free (bulk);
}

/* Fill the batch up with bulky requests that fit. */
static void
add_bulk (struct body *self)
{
    struct job_header header;
    zmq_msg_t frame;
    size_t bytes = 0;

    while (self->bulk && self->batch_count < WRITER_BATCH_MAX &&
           (bytes == 0 || bytes + zmq_msg_size (&self->bulk->frame) <= BULK_BYTES)) {
        bytes += zmq_msg_size (&self->bulk->frame);
        zmq_msg_init (&frame);
        take_bulk (self, &header, &frame);
        add_to_batch (self, &header, &frame);
        zmq_msg_close (&frame);
    }
}

static bool
receive_header (void *socket, struct job_header *out)
{
    zmq_msg_t frame;

    zmq_msg_init (&frame);
    bool got = zmq_msg_recv (&frame, socket, ZMQ_DONTWAIT) == (int) sizeof *out;
    if (got)
        memcpy (out, zmq_msg_data (&frame), sizeof *out);
    zmq_msg_close (&frame);
    return got;
}

static void
collect (struct body *self)
{
    struct job_header header;

    while (self->batch_count < WRITER_BATCH_MAX && receive_header (self->jobs, &header)) {
        if (header.kind == JOB_REQUEST) {
            take_request (self, &header);
            continue;
        }
        socket_take_over (header.nodes);
        nodes_view_release (&self->nodes);
        self->nodes = header.nodes;
        self->context.nodes = header.nodes;
    }
}

/* ---- the actor: results out ----------------------------------------------------------------------- */

/* False: it will not arrive. */
static bool
send_result (struct body *self, const struct writer_result *result, const struct buf *reply)
{
    zmq_msg_t frame;

    if (zmq_msg_init_size (&frame, reply ? reply->size : 0) < 0) {
        log_error (self->context.log, "a reply is lost: out of memory");
        return false;
    }
    if (reply && reply->size > 0)
        memcpy (zmq_msg_data (&frame), reply->data, reply->size);
    bool sent =
        zmq_send (self->results, result, sizeof *result, ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0;
    if (sent)
        socket_send_frame (self->results, &frame, false);
    zmq_msg_close (&frame);
    return sent;
}

/* Show what repair does, if that is news. */
static void
show_repair (struct body *self)
{
    struct writer_result result = {.event = WRITER_REPAIR};

    if (!(result.repair = repair_publish (self->upkeep->repair, self->context.clock)))
        return;
    socket_hand_over (result.repair);
    if (!send_result (self, &result, NULL))
        repair_view_release (&result.repair);
}

static void
tell_event (struct body *self, enum writer_event event, uint32_t node)
{
    const struct writer_result result = {.event = event, .node = node};

    send_result (self, &result, NULL);
}

static void
answer (struct body *self, struct job *job)
{
    const struct writer_result result = {
        .event = WRITER_REPLY,
        .route = job->route,
        .id = job->message->envelope.id,
        .number = job->message->type->number,
        .token = job->token,
        .frame_size = zmq_msg_size (&job->frame),
        .ok = job->ok,
        .error = job->error,
        .effects = job->effects,
    };

    if (job->effects.note[0])
        log_warning (self->context.log, "%s", job->effects.note);
    if (job->effects.node_changed) // before the reply: who has that sees the change
        tell_event (self, WRITER_NODE, job->effects.node_changed);
    send_result (self, &result, &job->reply);
    if (job->effects.orders_for)
        tell_event (self, WRITER_ORDERS, job->effects.orders_for);
}

/* ---- the actor's loop ------------------------------------------------------------------------------- */

/* 0, or the disk has failed and the actor must end. */
static int
run_batch (struct body *self)
{
    litedfs_error_t error;
    int rc = 0;

    if (self->batch_count == 0)
        return 0;
    metric_observe (self->context.metrics, METRIC_BATCH_SIZE, 0, (int64_t) self->batch_count);
    rc = batch_run (&self->context, self->batch, self->batch_count, &error);
    if (rc < 0)
        log_critical (self->context.log, "the store cannot be written, the name node ends: %s",
                      error.text);
    for (size_t i = 0; i < self->batch_count; i++) {
        if (rc == 0)
            answer (self, &self->batch[i]);
        job_clear (&self->batch[i]);
    }
    self->batch_count = 0;
    self->upkeep->doomed = true;
    return rc;
}

static int
keep_house (struct body *self)
{
    litedfs_error_t error;

    if (!upkeep_wanted (self->upkeep, &self->context))
        return 0;
    int rc = upkeep_step (self->upkeep, &self->context, &error);
    if (rc == LITEDFS_IO)
        log_critical (self->context.log, "the store cannot be written, the name node ends: %s",
                      error.text);
    else if (rc < 0)
        log_error (self->context.log, "upkeep waits a while: %s", error.text);
    for (size_t i = 0; i < self->upkeep->touched_count; i++)
        tell_event (self, WRITER_ORDERS, self->upkeep->touched[i]);
    if (self->upkeep->surveyed)
        tell_event (self, WRITER_NODE, self->upkeep->surveyed);
    return rc == LITEDFS_IO ? rc : 0;
}

static void
loop (struct body *self)
{
    struct metric_loop lag = {.metrics = self->context.metrics, .at = NAMENODE_LOOP_WRITER};

    while (!actor_stopping (self->pipe)) {
        zmq_pollitem_t items[] = {
            {actor_pipe_socket (self->pipe), 0, ZMQ_POLLIN, 0},
            {self->jobs, 0, ZMQ_POLLIN, 0},
        };
        bool wanted = self->bulk || upkeep_wanted (self->upkeep, &self->context);
        long wait_ms = wanted ? 0 : (long) upkeep_idle_ms (self->upkeep, &self->context);
        metric_loop_sleep (&lag, wait_ms);
        zmq_poll (items, 2, wait_ms);
        metric_loop_wake (&lag);
        while (actor_recv_command (self->pipe))
            ;
        collect (self);
        add_bulk (self);
        if (run_batch (self) < 0 || keep_house (self) < 0)
            return;
        show_repair (self);
    }
}

static int
load_leases (struct body *self, litedfs_error_t *error)
{
    struct txn *txn;

    if (!(self->context.leases = lease_clock_new ()))
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    int rc = txn_begin_read (storedir_store (self->context.dir), &txn, error);
    if (rc < 0)
        return rc;
    rc = lease_clock_load (self->context.leases, txn, clock_mono (self->context.clock), error);
    txn_abort (&txn);
    return rc;
}

static int
set_up (struct body *self, const struct writer *parent, litedfs_error_t *error)
{
    const struct socket_options longer = {.send_hwm = QUEUE_MAX};

    self->batch = calloc (WRITER_BATCH_MAX, sizeof *self->batch);
    self->upkeep = calloc (1, sizeof *self->upkeep);
    if (!self->batch || !self->upkeep)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    self->upkeep->doomed = true;
    self->upkeep->adopting = true;
    if (!(self->upkeep->repair = repair_new ()))
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    self->context.agenda = repair_agenda (self->upkeep->repair);
    self->context.balance = repair_balance (self->upkeep->repair);
    if (!(self->jobs = socket_new (SOCKET_INPROC_PULL, NULL, error)) ||
        !(self->results = socket_new (SOCKET_INPROC_PUSH, &longer, error)))
        return error->number;
    if (socket_connect_endpoint (self->jobs, parent->jobs_endpoint, error) < 0 ||
        socket_connect_endpoint (self->results, parent->results_endpoint, error) < 0)
        return error->number;
    return load_leases (self, error);
}

static void
tear_down (struct body *self)
{
    // Views that are still on their way have an owner only here.
    do {
        for (size_t i = 0; i < self->batch_count; i++)
            job_clear (&self->batch[i]);
        self->batch_count = 0;
        if (self->jobs && self->batch)
            collect (self);
    } while (self->batch_count > 0);
    while (self->bulk) {
        struct job_header header;
        zmq_msg_t frame;
        zmq_msg_init (&frame);
        take_bulk (self, &header, &frame);
        zmq_msg_close (&frame);
    }
    socket_close (&self->jobs);
    socket_close (&self->results);
    nodes_view_release (&self->nodes);
    lease_clock_destroy (&self->context.leases);
    if (self->upkeep)
        upkeep_free (self->upkeep);
    free (self->upkeep);
    free (self->batch);
}

static void
run (struct actor_pipe *pipe, void *args)
{
    struct writer *parent = args;
    struct body self = {
        .pipe = pipe,
        .nodes = parent->first_nodes,
        .context =
            {
                .dir = parent->options.dir,
                .settings = parent->options.settings,
                .clock = parent->options.clock,
                .log = parent->options.log,
                .metrics = parent->options.metrics,
                .nodes = parent->first_nodes,
            },
    };
    litedfs_error_t error;

    parent->first_nodes = NULL;
    self.bulk_end = &self.bulk;
    if (set_up (&self, parent, &error) < 0)
        actor_failed (pipe, &error);
    else {
        actor_ready (pipe);
        loop (&self);
    }
    tear_down (&self);
}

/* ---- the namenode actor's end --------------------------------------------------------------------- */

static int
make_sockets (struct writer *self, litedfs_error_t *error)
{
    const struct socket_options longer = {.send_hwm = QUEUE_MAX};
    char name[UUID_TEXT_SIZE];
    struct uuid own;

    if (uuid_random (&own, error) < 0)
        return error->number;
    uuid_print (&own, name);
    snprintf (self->jobs_endpoint, sizeof self->jobs_endpoint, "inproc://jobs-%s", name);
    snprintf (self->results_endpoint, sizeof self->results_endpoint, "inproc://results-%s",
              name);
    if (!(self->jobs = socket_new (SOCKET_INPROC_PUSH, &longer, error)) ||
        !(self->results = socket_new (SOCKET_INPROC_PULL, NULL, error)))
        return error->number;
    if (socket_bind_endpoint (self->jobs, self->jobs_endpoint, error) < 0 ||
        socket_bind_endpoint (self->results, self->results_endpoint, error) < 0)
        return error->number;
    return 0;
}

int
writer_start (struct writer **out, const struct writer_options *options,
              struct nodes_view *nodes, litedfs_error_t *error)
{
    struct writer *self = calloc (1, sizeof *self);

    if (!self)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    self->options = *options;
    int rc = make_sockets (self, error);
    if (rc == 0) {
        self->first_nodes = nodes_view_keep (nodes);
        rc = actor_start (&self->actor, "writer", run, self, error);
    }
    if (rc < 0)
        writer_stop (&self);
    else
        *out = self;
    return rc;
}

/* Views that nobody will look at any more. */
static void
drop_results (struct writer *self)
{
    struct writer_result result;
    zmq_msg_t frame;

    while (self->results && writer_next (self, &result, &frame)) {
        repair_view_release (&result.repair);
        zmq_msg_close (&frame);
    }
}

void
writer_stop (struct writer **self)
{
    if (!*self)
        return;
    actor_stop (&(*self)->actor);
    drop_results (*self);
    socket_close (&(*self)->jobs);
    socket_close (&(*self)->results);
    nodes_view_release (&(*self)->first_nodes);
    free (*self);
    *self = NULL;
}

/* Whether a request may be put off; one that is the actor's own has no message. */
static bool
is_bulk (const struct request *request)
{
    if (!request->message)
        return false;
    enum message_number number = request->message->type->number;
    return number == MESSAGE_node_report || number == MESSAGE_node_inventory ||
           number == MESSAGE_node_listing;
}

int
writer_submit (struct writer *self, struct request *request, const struct op_sender *sender,
               uint64_t token, litedfs_error_t *error)
{
    const struct job_header header = {.kind = JOB_REQUEST,
                                      .bulk = is_bulk (request),
                                      .route = request->route,
                                      .sender = *sender,
                                      .token = token};
    size_t size = zmq_msg_size (&request->header);

    if (self->waiting >= WRITER_REQUESTS_MAX || self->waiting_bytes + size > WRITER_BYTES_MAX)
        return err_set (error, LITEDFS_BUSY, "%zu requests wait for the disk; try again",
                        self->waiting);
    if (zmq_send (self->jobs, &header, sizeof header, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        return err_set (error, LITEDFS_BUSY, "the writer takes nothing now: %s",
                        zmq_strerror (errno));
    int errnum = socket_send_frame (self->jobs, &request->header, false);
    if (errnum != 0)
        return err_set (error, LITEDFS_FAILED, "the writer takes nothing now: %s",
                        zmq_strerror (errnum));
    self->waiting++;
    self->waiting_bytes += size;
    return 0;
}

void
writer_update_nodes (struct writer *self, struct nodes_view *nodes)
{
    const struct job_header header = {.kind = JOB_NODES, .nodes = nodes_view_keep (nodes)};

    socket_hand_over (nodes);
    if (zmq_send (self->jobs, &header, sizeof header, ZMQ_DONTWAIT) < 0)
        nodes_view_release (&nodes);
}

int
writer_next (struct writer *self, struct writer_result *out, zmq_msg_t *frame)
{
    zmq_msg_t header;

    zmq_msg_init (&header);
    bool got = zmq_msg_recv (&header, self->results, ZMQ_DONTWAIT) == (int) sizeof *out;
    if (got)
        memcpy (out, zmq_msg_data (&header), sizeof *out);
    zmq_msg_close (&header);
    if (!got)
        return 0;
    zmq_msg_init (frame);
    socket_receive_frame (self->results, frame);
    if (out->event == WRITER_REPLY) {
        self->waiting--;
        self->waiting_bytes -= out->frame_size;
    }
    if (out->event == WRITER_REPAIR)
        socket_take_over (out->repair);
    return 1;
}

void *
writer_socket (struct writer *self)
{
    return self->results;
}

void *
writer_end_socket (struct writer *self)
{
    return zsock_resolve (actor_socket (self->actor));
}

bool
writer_ended (const struct writer *self)
{
    return actor_ended (self->actor);
}
