/* SPDX-License-Identifier: MIT */
/*
 * The datanode actor: read it first, and the table at its end before the rest.
 *
 * It is a thin shell.  Requests come from the router; writes and stats become events of the pipeline,
 * whose actions are carried out here; reads go to serve; what the disk pool did becomes events again.
 * Requests that wait in the pipeline are parked here, by route, under a token.  The uplink's notes bring
 * the node's number, whether the disk is full, and orders.
 *
 * Nothing here waits but zmq_poll.  A turn of the loop takes a bounded number of messages and of bytes,
 * so that results, orders and the end of a session are never far away.
 */
#include "datanode/datanode.h"

#include "base/actor.h"
#include "base/err.h"
#include "base/listen.h"
#include "datanode/diskpool.h"
#include "datanode/note.h"
#include "datanode/parking.h"
#include "datanode/pipeline.h"
#include "datanode/ports.h"
#include "datanode/serve.h"
#include "datanode/uplink.h"
#include "rpc/socket.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURN_MESSAGES 256              // taken from the router in a turn
#define TURN_BYTES ((size_t) 16 << 20) // and of payload
#define TICK_MS 1000                   // longest sleep
#define READ_SHARE 4                   // one part in so many of memory_limit is for reads

struct datanode {
    struct datanode_options options;
    struct blockstore *store;
    struct actor *actor;
    struct uplink *uplink;
    int tcp_port;
    char domain[ZAP_DOMAIN_SIZE];
    char notes_endpoint[64];

    // Of the actor's thread from here on.
    struct router *router;
    struct diskpool *pool;
    struct pipeline *pipeline;
    struct serve *serve;
    void *notes;
    uint32_t node;          // 0 until the name node has given a number
    struct parking parking; // requests that wait in the pipeline
};

static int64_t
now_of (const struct datanode *self)
{
    return clock_mono (self->options.clock);
}

/* ---- the pipeline's actions --------------------------------------------------------------------- */

/* What the block store knows of a block. */
static int
look_up (struct datanode *self, uint64_t block, struct pipeline_known *out,
         litedfs_error_t *error)
{
    struct blockstore_block found;
    int rc = blockstore_stat (self->store, block, &found, error);

    *out = (struct pipeline_known){.finished = false};
    if (rc == 0)
        *out =
            (struct pipeline_known){.finished = true, .size = found.size, .crc32 = found.crc};
    else if (rc == LITEDFS_LEASE_LOST)
        out->buried = true;
    else if (rc != LITEDFS_NOT_FOUND)
        return rc;
    return 0;
}

static void
reply_action (struct datanode *self, const struct pipeline_action *action)
{
    struct parked parked = parking_leave (&self->parking, action->token);

    if (action->error == 0)
        parked_reply (&parked, self->router, self->node, &action->state);
    else
        router_reply_error (self->router, &parked.route, parked.id, action->error,
                            action->text);
}

/* Give bytes to the disk.  The job's token is their number, for pipeline_written. */
static void
write_action (struct datanode *self, const struct pipeline_action *action)
{
    struct request *request = action->payload;
    struct disk_job job = {.kind = DISK_WRITE,
                           .token = action->size,
                           .block = action->block,
                           .offset = action->offset,
                           .last = action->last,
                           .count = action->count,
                           .file = action->file,
                           .index = action->index,
                           .path = action->path,
                           .units = action->size > 0 ? action->units : NULL,
                           .unit_count = action->unit_count};
    litedfs_error_t error;
    int rc =
        diskpool_submit (self->pool, &job, request != NULL ? &request->payload : NULL, &error);

    request_destroy (&request);
    if (rc < 0)
        pipeline_written (self->pipeline, now_of (self), action->block, action->size, &error);
}

static void
compare_action (struct datanode *self, const struct pipeline_action *action)
{
    litedfs_error_t error;

    if (serve_compare (self->serve, parking_session (&self->parking, action->token),
                       action->block, action->offset, action->size, action->crc32,
                       action->token, &error) < 0)
        pipeline_compared (self->pipeline, action->block, action->token, false, NULL, &error);
}

static void
abandon_action (struct datanode *self, const struct pipeline_action *action)
{
    struct disk_job job = {.kind = DISK_ABANDON, .block = action->block};
    litedfs_error_t error;

    if (diskpool_submit (self->pool, &job, NULL, &error) < 0)
        log_warning (self->options.log, "block %016" PRIx64 " keeps its space: %s",
                     action->block, error.text);
}

/* Do what the pipeline wants, after each of its events. */
static void
run_actions (struct datanode *self)
{
    struct pipeline_action action;

    while (pipeline_next (self->pipeline, &action)) {
        switch (action.kind) {
        case PIPELINE_REPLY:
            reply_action (self, &action);
            break;
        case PIPELINE_WRITE:
            write_action (self, &action);
            break;
        case PIPELINE_COMPARE:
            compare_action (self, &action);
            break;
        case PIPELINE_ABANDON:
            abandon_action (self, &action);
            break;
        }
    }
}

/* The end of a PIPELINE_COMPARE. */
static void
on_compared (void *context, uint64_t block, uint64_t token, bool equal,
             const litedfs_error_t *problem)
{
    struct datanode *self = context;
    struct pipeline_known known = {.finished = false};
    litedfs_error_t error;

    if (problem == NULL && look_up (self, block, &known, &error) < 0)
        problem = &error;
    pipeline_compared (self->pipeline, block, token, equal, &known, problem);
    run_actions (self);
}

/* ---- requests ----------------------------------------------------------------------------------- */

/* A node answers only what is meant for it: its port may have been another's yesterday. */
static int
check_node (const struct datanode *self, uint64_t node, litedfs_error_t *error)
{
    if (self->node == 0)
        return err_set (error, LITEDFS_BUSY,
                        "this node has no number yet; it waits for the name node");
    if (node != self->node)
        return err_set (error, LITEDFS_WRONG_NODE,
                        "the request is for node %" PRIu64 "; this is node %" PRIu32, node,
                        self->node);
    return 0;
}

/* Park a request for the pipeline, and say what the store knows of a block that the pipeline does not
 * have. */
static int
prepare (struct datanode *self, const struct request *request, uint64_t block,
         struct pipeline_known *known, uint64_t *out_token, litedfs_error_t *error)
{
    *known = (struct pipeline_known){.finished = false};
    if (!pipeline_has (self->pipeline, block) && look_up (self, block, known, error) < 0)
        return error->number;
    return parking_enter (&self->parking, request, out_token, error);
}

static int
on_block_write (void *context, struct request *request, litedfs_error_t *error)
{
    struct datanode *self = context;
    struct block_write_request fields;
    struct pipeline_known known;
    uint64_t token;

    if (message_request_fields (request->message, &fields, error) < 0 ||
        check_node (self, fields.node, error) < 0 ||
        prepare (self, request, fields.block, &known, &token, error) < 0)
        return error->number;
    struct pipeline_chunk chunk = {.block = fields.block,
                                   .offset = fields.offset,
                                   .crc32 = (uint32_t) fields.crc32,
                                   .last = fields.last,
                                   .file = fields.file,
                                   .index = fields.index,
                                   .path = fields.path,
                                   .count = fields.count,
                                   .chain_count = fields.chain_count,
                                   .payload = request};
    if (request->has_payload) {
        chunk.data = zmq_msg_data (&request->payload);
        chunk.size = zmq_msg_size (&request->payload);
    }
    if (!pipeline_write (self->pipeline, now_of (self), &chunk, &known, token))
        request_destroy (&request);
    run_actions (self);
    return 0;
}

static int
on_block_stat (void *context, struct request *request, litedfs_error_t *error)
{
    struct datanode *self = context;
    struct block_stat_request fields;
    struct pipeline_known known;
    uint64_t token;

    if (message_request_fields (request->message, &fields, error) < 0 ||
        check_node (self, fields.node, error) < 0 ||
        prepare (self, request, fields.block, &known, &token, error) < 0)
        return error->number;
    pipeline_stat (self->pipeline, now_of (self), fields.block, fields.wait, &known, token);
    request_destroy (&request);
    run_actions (self);
    return 0;
}

static int
on_block_read (void *context, struct request *request, litedfs_error_t *error)
{
    struct datanode *self = context;
    struct block_read_request fields;

    if (message_request_fields (request->message, &fields, error) < 0 ||
        check_node (self, fields.node, error) < 0 ||
        serve_read (self->serve, request, &fields, error) < 0)
        return error->number;
    request_destroy (&request);
    return 0;
}

/* What this node serves. */
static const struct router_row rows[] = {
    {MESSAGE_block_write, on_block_write, PEER_CLIENT},
    {MESSAGE_block_read, on_block_read, PEER_CLIENT},
    {MESSAGE_block_stat, on_block_stat, PEER_CLIENT},
};

static void
take_requests (struct datanode *self)
{
    struct request *request;
    uint64_t session;
    size_t bytes = 0;

    for (int i = 0;
         i < TURN_MESSAGES && bytes < TURN_BYTES && router_receive (self->router, &request);
         i++) {
        if (request->has_payload)
            bytes += zmq_msg_size (&request->payload);
        router_dispatch (self->router, rows, sizeof rows / sizeof *rows, self, PEER_CLIENT,
                         &request);
    }
    while (router_closed (self->router, &session))
        serve_forget (self->serve, session);
}

/* ---- the disk and the uplink ----------------------------------------------------------------------- */

static void
on_disk_result (struct datanode *self, const struct disk_result *result, zmq_msg_t *payload)
{
    const litedfs_error_t *error = result->error.number != 0 ? &result->error : NULL;
    struct note note = {.kind = NOTE_CHANGED};

    switch (result->kind) {
    case DISK_WRITTEN:
        pipeline_written (self->pipeline, now_of (self), result->block, (size_t) result->token,
                          error);
        break;
    case DISK_DURABLE:
        pipeline_durable (self->pipeline, now_of (self), result->block, error);
        note_send (self->notes, &note, NULL, 0);
        break;
    case DISK_READ_DONE:
        serve_result (self->serve, result, payload);
        return; // the payload was taken
    case DISK_EXECUTED:
        note.kind = NOTE_EXECUTED;
        note.error = result->error;
        note_send (self->notes, &note, NULL, 0);
        note_send (self->notes, &(struct note){.kind = NOTE_CHANGED}, NULL, 0);
        break;
    case DISK_ABANDONED:
        break;
    }
    zmq_msg_close (payload);
}

static void
take_results (struct datanode *self)
{
    struct disk_result result;
    zmq_msg_t payload;

    for (int i = 0; i < TURN_MESSAGES && diskpool_result (self->pool, &result, &payload); i++) {
        on_disk_result (self, &result, &payload);
        run_actions (self);
    }
}

/* Orders: nobody may write these blocks any more, and the disk pool deletes them. */
static void
execute (struct datanode *self, const struct note *orders, const struct blockstore_order *list)
{
    struct note done = {.kind = NOTE_EXECUTED};
    struct disk_job job = {.kind = DISK_EXECUTE,
                           .epoch = orders->epoch,
                           .orders = list,
                           .order_count = orders->count};

    for (size_t i = 0; i < orders->count; i++) {
        pipeline_forget (self->pipeline, now_of (self), list[i].block);
        run_actions (self);
    }
    if (diskpool_submit (self->pool, &job, NULL, &done.error) < 0)
        note_send (self->notes, &done, NULL, 0);
}

static void
take_notes (struct datanode *self)
{
    struct note note;
    void *more;

    while (note_receive (self->notes, &note, &more)) {
        if (note.kind == NOTE_STATE) {
            self->node = note.node;
            pipeline_set_full (self->pipeline, note.full);
        } else if (note.kind == NOTE_ORDERS) {
            execute (self, &note, more);
        }
        free (more);
    }
}

/* ---- the actor ---------------------------------------------------------------------------------- */

static long
idle_ms (const struct datanode *self)
{
    int64_t left_ms = pipeline_next_deadline (self->pipeline) - now_of (self);
    long most_ms = serve_resume (self->serve, TICK_MS);

    return left_ms < 0 ? 0 : left_ms < most_ms ? (long) left_ms : most_ms;
}

static void
loop (struct datanode *self, struct actor_pipe *pipe)
{
    zmq_pollitem_t items[] = {
        {actor_pipe_socket (pipe), 0, ZMQ_POLLIN, 0},
        {router_socket (self->router), 0, ZMQ_POLLIN, 0},
        {router_monitor_socket (self->router), 0, ZMQ_POLLIN, 0},
        {zsock_resolve (diskpool_socket (self->pool)), 0, ZMQ_POLLIN, 0},
        {self->notes, 0, ZMQ_POLLIN, 0},
    };

    while (!actor_stopping (pipe)) {
        zmq_poll (items, sizeof items / sizeof *items, idle_ms (self));
        while (actor_recv_command (pipe) != NULL)
            continue;
        take_results (self);
        take_notes (self);
        take_requests (self);
        pipeline_tick (self->pipeline, now_of (self));
        run_actions (self);
    }
}

static int
bind_router (struct datanode *self, litedfs_error_t *error)
{
    struct router_options options = {.role = SOCKET_DATA_ROUTER,
                                     .domain = self->domain,
                                     .host = self->options.config->tcp_host,
                                     .log = self->options.log,
                                     .clock = self->options.clock};
    char path[4096];

    snprintf (path, sizeof path, "%s/tcp_port", self->options.config->data_path);
    return ports_bind (&self->router, &options, (int) self->options.config->tcp_port, path,
                       error);
}

static int
set_up (struct datanode *self, litedfs_error_t *error)
{
    const struct datanode_config *config = self->options.config;
    uint64_t memory = (uint64_t) config->memory_limit;
    struct pipeline_limits limits = {.memory = memory - memory / READ_SHARE,
                                     .write_timeout_ms =
                                         (uint64_t) (config->write_timeout * 1000.0)};
    struct blockstore_identity identity;

    self->notes = socket_new (SOCKET_INPROC_PAIR, NULL, error);
    if (self->notes == NULL ||
        socket_bind_endpoint (self->notes, self->notes_endpoint, error) < 0 ||
        diskpool_start (&self->pool, self->store, (unsigned) config->disk_workers,
                        (unsigned) config->read_workers, self->options.log, error) < 0 ||
        bind_router (self, error) < 0)
        return error->number;
    self->pipeline = pipeline_new (&limits);
    self->serve = serve_new (self->router, self->pool, memory / READ_SHARE, on_compared, self);
    if (self->pipeline == NULL || self->serve == NULL)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    blockstore_identity (self->store, &identity);
    self->node = identity.node;
    self->tcp_port = router_port (self->router);
    return 0;
}

/* The pool first: what it still has is dropped, and nothing may come back to what is freed next. */
static void
tear_down (struct datanode *self)
{
    diskpool_stop (&self->pool);
    serve_destroy (&self->serve);
    pipeline_destroy (&self->pipeline);
    router_destroy (&self->router);
    if (self->notes != NULL)
        socket_unbind_endpoint (self->notes, self->notes_endpoint);
    socket_close (&self->notes);
    parking_free (&self->parking);
}

static void
run (struct actor_pipe *pipe, void *args)
{
    struct datanode *self = args;
    litedfs_error_t error;

    if (set_up (self, &error) < 0) {
        tear_down (self);
        actor_failed (pipe, &error);
        return;
    }
    actor_ready (pipe);
    loop (self, pipe);
    tear_down (self);
}

int
datanode_allow (struct datanode *self, litedfs_error_t *error)
{
    const struct datanode_options *options = &self->options;
    struct net_list list;
    struct buf text = {0};

    if (listen_allowed (options->config_path, &options->config->allow, &list, error) < 0 ||
        zap_allow (options->zap, self->domain, &list, options->config_path, error) < 0)
        return error->number;
    net_list_print (&list, &text);
    log_info (options->log, "who may connect: %s (allow: in %s)", buf_text (&text),
              options->config_path != NULL ? options->config_path : "the configuration");
    buf_free (&text);
    return 0;
}

static int
open_store (struct datanode *self, litedfs_error_t *error)
{
    const struct datanode_config *config = self->options.config;
    struct blockstore_options options = {.path = config->data_path,
                                         .sync = config->sync,
                                         .preserve = (uint64_t) config->storage_preserve_space,
                                         .clock = self->options.clock,
                                         .log = self->options.log};

    return blockstore_open (&self->store, &options, error);
}

static int
start_uplink (struct datanode *self, litedfs_error_t *error)
{
    struct uplink_options options = {.config = self->options.config,
                                     .store = self->store,
                                     .notes = self->notes_endpoint,
                                     .tcp_port = self->tcp_port,
                                     .version = self->options.version,
                                     .log = self->options.log,
                                     .clock = self->options.clock};

    return uplink_start (&self->uplink, &options, error);
}

/* Names that no other data node of this process has. */
static void
name_itself (struct datanode *self)
{
    struct blockstore_identity identity;
    char uuid[UUID_TEXT_SIZE];

    blockstore_identity (self->store, &identity);
    uuid_print (&identity.uuid, uuid);
    snprintf (self->domain, sizeof self->domain, "litedata-%s", uuid);
    snprintf (self->notes_endpoint, sizeof self->notes_endpoint, "inproc://notes-%s", uuid);
}

int
datanode_start (struct datanode **out, const struct datanode_options *options,
                litedfs_error_t *error)
{
    struct datanode *self = calloc (1, sizeof *self);

    if (self == NULL)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    self->options = *options;
    int rc = open_store (self, error);
    if (rc == 0)
        name_itself (self);
    if (rc < 0 || datanode_allow (self, error) < 0 ||
        actor_start (&self->actor, "datanode", run, self, error) < 0 ||
        start_uplink (self, error) < 0) {
        datanode_stop (&self);
        return error->number;
    }
    log_info (options->log, "serving blocks at tcp://%s:%d", options->config->tcp_host,
              self->tcp_port);
    *out = self;
    return 0;
}

void
datanode_stop (struct datanode **self_p)
{
    struct datanode *self = *self_p;

    if (self == NULL)
        return;
    *self_p = NULL;
    uplink_stop (&self->uplink);
    actor_stop (&self->actor);
    if (self->domain[0] != '\0')
        zap_forget (self->options.zap, self->domain);
    blockstore_close (&self->store);
    free (self);
}

int
datanode_tcp_port (const struct datanode *self)
{
    return self->tcp_port;
}

const char *
datanode_domain (const struct datanode *self)
{
    return self->domain;
}

bool
datanode_failed (const struct datanode *self, litedfs_error_t *why)
{
    return uplink_ended (self->uplink, why) || actor_ended (self->actor) ||
           blockstore_failed (self->store);
}
