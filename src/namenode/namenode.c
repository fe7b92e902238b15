/* SPDX-License-Identifier: MIT */
/*
 * The actor behind the name node's ROUTER: read this first.  The table `rows` says what happens
 * to each request.  There are three ways:
 *
 *   reads      are answered at once, all of one turn from one snapshot of the store
 *   changes    go to the writer (writer.h) and are answered when they are durable
 *   nodes      heartbeats and registrations concern the registry (nodes.h): server_nodes.c;
 *              node.orders is parked until there is something to do
 *
 * A turn: what the writer has done, connections that have ended, requests (up to TURN_MAX, or as many as
 * TURN_MS allow), parked requests, and who was silent for too long.  Time in which this actor did not
 * listen (the process was stopped, the machine slept) is nobody's silence, nor is time in which a
 * heartbeat waits for its turn in a socket that is never empty.
 */
#include "namenode/namenode.h"

#include "base/actor.h"
#include "base/err.h"
#include "namenode/server.h"
#include "rpc/socket.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Requests, and results of the writer, in a turn; milliseconds after which no more requests are taken,
 * because some walk over a large directory and the results of others wait. */
enum { TURN_MAX = 256, RESULTS_MAX = 2048, TURN_MS = 50 };

/* Milliseconds: how long a turn waits at most; what it may be late before that counts as a stall. */
enum { TICK_MS = 250, STALL_MS = 1000 };

/* How long, in milliseconds, a message may wait in a socket that is not drained.  Connections take turns
 * in it, so it is not for long, whoever floods it. */
enum { QUEUE_MS = 10000 };

/* How often, and after how many milliseconds, a chosen port is tried again. */
enum { BIND_TRIES = 25, BIND_PAUSE_MS = 20 };

struct namenode {
    const struct namenode_config *config;
    struct log *log;
    const struct clock *clock;
    struct metrics *metrics;
    struct actor *actor;
    int port;
    struct uuid cluster;
    char inproc[64];
    const char *ops[MESSAGE_COUNT];
    const char *tables[TABLE_COUNT];
};

/* ---- what happens to each request -------------------------------------------------------------------------- */

static const struct router_row rows[] = {
    {MESSAGE_directory_create, server_on_change, PEER_CLIENT},
    {MESSAGE_directory_list, server_on_read, PEER_CLIENT},
    {MESSAGE_directory_delete, server_on_change, PEER_CLIENT},
    {MESSAGE_directory_move, server_on_change, PEER_CLIENT},
    {MESSAGE_directory_rename, server_on_change, PEER_CLIENT},
    {MESSAGE_file_create, server_on_change, PEER_CLIENT},
    {MESSAGE_file_allocate, server_on_change, PEER_CLIENT},
    {MESSAGE_file_renew, server_on_change, PEER_CLIENT},
    {MESSAGE_file_commit, server_on_change, PEER_CLIENT},
    {MESSAGE_file_abandon, server_on_change, PEER_CLIENT},
    {MESSAGE_file_info, server_on_read, PEER_CLIENT},
    {MESSAGE_file_why, server_on_read, PEER_CLIENT},
    {MESSAGE_file_update, server_on_change, PEER_CLIENT},
    {MESSAGE_file_delete, server_on_change, PEER_CLIENT},
    {MESSAGE_file_move, server_on_change, PEER_CLIENT},
    {MESSAGE_file_rename, server_on_change, PEER_CLIENT},
    {MESSAGE_path_info, server_on_read, PEER_CLIENT},
    {MESSAGE_lock_list, server_on_change, PEER_CLIENT}, // the writer knows what is left of each
    {MESSAGE_cluster_info, server_on_read, PEER_CLIENT},
    {MESSAGE_cluster_repair, server_on_read, PEER_CLIENT},
    {MESSAGE_cluster_check, server_on_read, PEER_CLIENT},
    {MESSAGE_cluster_balance, server_on_change, PEER_CLIENT},
    {MESSAGE_node_register, server_on_register, PEER_CLIENT | PEER_NODE},
    {MESSAGE_node_heartbeat, server_on_heartbeat, PEER_NODE},
    {MESSAGE_node_report, server_on_change, PEER_NODE},
    {MESSAGE_node_inventory, server_on_change, PEER_NODE},
    {MESSAGE_node_listing, server_on_change, PEER_NODE},
    {MESSAGE_node_orders, server_on_orders, PEER_NODE},
    {MESSAGE_node_failed, server_on_change, PEER_NODE},
    {MESSAGE_node_list, server_on_read, PEER_CLIENT | PEER_NODE},
    {MESSAGE_node_drain, server_on_change, PEER_CLIENT},
    {MESSAGE_node_maintenance, server_on_change, PEER_CLIENT},
    {MESSAGE_node_remove, server_on_change, PEER_CLIENT},
};

/* ---- a turn -------------------------------------------------------------------------------------------- */

static void
take_result (struct server *self, const struct writer_result *result, zmq_msg_t *frame)
{
    if (result->event == WRITER_ORDERS) {
        server_orders_ready (self, result->node);
        return;
    }
    if (result->event == WRITER_NODE) {
        server_load_duty (self, result->node);
        return;
    }
    if (result->event == WRITER_REPAIR) {
        repair_view_release (&self->repair);
        self->repair = result->repair;
        return;
    }
    for (size_t i = 0; i < OP_SUSPECTS_MAX && result->effects.suspects[i] != 0; i++)
        server_suspect (self, result->effects.suspects[i], result->effects.reporter);
    if (result->number == MESSAGE_node_orders)
        return; // it was confirmed; the request itself is parked or answered
    if (result->number == MESSAGE_node_register &&
        !server_finish_register (self, result, frame))
        return;
    server_send (self, &result->route, result->id, result->error, zmq_msg_data (frame),
                 zmq_msg_size (frame));
}

static void
take_results (struct server *self)
{
    struct writer_result result;
    zmq_msg_t frame;

    for (int i = 0; i < RESULTS_MAX && writer_next (self->writer, &result, &frame); i++) {
        take_result (self, &result, &frame);
        zmq_msg_close (&frame);
    }
    server_end_snapshot (self); // who reads now sees what was answered above
}

static void
take_closed (struct server *self)
{
    uint64_t session;

    while (router_closed (self->router, &session))
        server_forget_session (self, session);
}

/* True when there is nothing left to receive. */
static bool
take_requests (struct server *self, int64_t began_ms)
{
    struct request *request;

    for (int count = 0; router_receive (self->router, &request);) {
        take_closed (self); // what ended before this request came
        uint32_t node = nodes_of_session (self->nodes, request->route.session);
        enum message_peer peer = PEER_CLIENT;
        if (node != 0) {
            peer |= PEER_NODE;
            nodes_heard (self->nodes, node, NULL, clock_mono (self->clock),
                         clock_wall (self->clock));
        }
        router_dispatch (self->router, rows, sizeof rows / sizeof *rows, self, peer, &request);
        if (++count == TURN_MAX || clock_mono (self->clock) - began_ms >= TURN_MS)
            return false;
    }
    return true;
}

/* Time since we listened last, beyond what a turn takes, is our own silence. */
static void
forgive_stall (struct server *self, int64_t now)
{
    int64_t late = now - self->listened_ms - TICK_MS;

    if (late < STALL_MS)
        return;
    nodes_forgive (self->nodes, late);
    self->stalled_ms = now;
    log_warning (self->log, "this name node did not run for %" PRId64 ".%03d s", late / 1000,
                 (int) (late % 1000));
}

/* All of a turn judges by the time at which it began: if the process is stopped in the middle of it,
 * that shows at the beginning of the next one. */
static void
turn (struct server *self)
{
    int64_t now = clock_mono (self->clock);

    forgive_stall (self, now);
    take_results (self);
    take_closed (self);
    self->listened_ms = now;
    bool drained = take_requests (self, now);
    take_closed (self);
    server_hand_out (self);
    server_judge (self, now, drained ? 0 : QUEUE_MS);
    server_update_writer (self, false);
    server_end_snapshot (self);
}

static void
loop (struct server *self, struct actor_pipe *pipe)
{
    struct metric_loop lag = {.metrics = self->metrics, .at = NAMENODE_LOOP_NAMENODE};

    while (!actor_stopping (pipe)) {
        zmq_pollitem_t items[] = {
            {actor_pipe_socket (pipe), 0, ZMQ_POLLIN, 0},
            {router_socket (self->router), 0, ZMQ_POLLIN, 0},
            {router_monitor_socket (self->router), 0, ZMQ_POLLIN, 0},
            {writer_socket (self->writer), 0, ZMQ_POLLIN, 0},
            {writer_end_socket (self->writer), 0, ZMQ_POLLIN, 0},
        };
        metric_loop_sleep (&lag, TICK_MS);
        zmq_poll (items, 5, TICK_MS);
        metric_loop_wake (&lag);
        while (actor_recv_command (pipe))
            ;
        if (writer_ended (self->writer))
            return;
        turn (self);
    }
}

/* ---- start and stop -------------------------------------------------------------------------------------- */

static int
open_store (struct server *self, const struct namenode_config *config, litedfs_error_t *error)
{
    const struct storedir_options options = {
        .path = config->data_path,
        .map_size = (uint64_t) config->map_size,
        .ballast_size = (uint64_t) config->ballast_size,
        .reserve = (uint64_t) config->storage_preserve_space,
        .sync = config->sync,
        .log = self->log,
        .metrics = self->metrics,
    };
    int rc = storedir_open (&self->dir, &options, clock_wall (self->clock), error);

    if (rc < 0)
        return rc;
    self->settings = (struct op_settings){
        .cluster = *storedir_cluster (self->dir),
        .block_size = (uint64_t) config->block_size,
        .delete_delay_ms = (uint64_t) (config->delete_delay * 1000),
        .repair_delay_ms = (int64_t) (config->repair_delay * 1000),
        .repair_streams = (unsigned) config->repair_streams,
        .repair_bandwidth = (uint64_t) config->repair_bandwidth,
        .walk_interval_ms = (int64_t) (config->repair_walk_interval * 1000),
        .quarantine_grace_ms = (uint64_t) (config->quarantine_grace * 1000),
        .balance_threshold = (unsigned) config->balance_threshold,
        .log = self->log,
    };
    return 0;
}

static int
start_writer (struct server *self, litedfs_error_t *error)
{
    const struct writer_options options = {.dir = self->dir,
                                           .settings = &self->settings,
                                           .clock = self->clock,
                                           .log = self->log,
                                           .metrics = self->metrics};
    int rc = server_take_view (self, true, error);

    if (rc == 0)
        rc = writer_start (&self->writer, &options, self->view, error);
    self->written_table = nodes_table (self->nodes);
    self->written_ms = clock_mono (self->clock);
    return rc;
}

/* Bind under a name of its own within the process: libzmq may know an endpoint for a while after its
 * socket was closed, so a name is not used twice. */
static int
bind_to (struct server *self, struct namenode *parent, int port, litedfs_error_t *error)
{
    struct router_options options = {
        .role = SOCKET_NAME_ROUTER,
        .domain = NAMENODE_DOMAIN,
        .host = parent->config->tcp_host,
        .port = port,
        .inproc = parent->inproc,
        .log = self->log,
        .metrics = self->metrics,
        .clock = self->clock,
    };
    char name[UUID_TEXT_SIZE];
    struct uuid own;

    if (uuid_random (&own, error) < 0)
        return error->number;
    snprintf (parent->inproc, sizeof parent->inproc, "inproc://namenode-%s",
              uuid_print (&own, name));
    return router_new (&self->router, &options, error);
}

/* The configured port; or, if that is 0, the one that was chosen before, or a new one if that is taken
 * for longer than a name node that was stopped just now in this process takes to let go of it. */
static int
bind_router (struct server *self, struct namenode *parent, litedfs_error_t *error)
{
    if (parent->config->tcp_port != 0)
        return bind_to (self, parent, (int) parent->config->tcp_port, error);

    int chosen = storedir_port (self->dir), rc = LITEDFS_IN_USE;
    for (int i = 0; chosen != 0 && rc == LITEDFS_IN_USE && i < BIND_TRIES; i++) {
        if (i > 0)
            zmq_poll (NULL, 0, BIND_PAUSE_MS);
        rc = bind_to (self, parent, chosen, error);
    }
    if (rc != LITEDFS_IN_USE)
        return rc;
    if (chosen != 0)
        log_warning (self->log, "tcp_port: %d, which was chosen before, is taken", chosen);
    rc = bind_to (self, parent, 0, error);
    return rc < 0 ? rc : storedir_set_port (self->dir, router_port (self->router), error);
}

static int
set_up (struct server *self, struct namenode *parent, litedfs_error_t *error)
{
    int rc = open_store (self, parent->config, error);

    if (rc == 0)
        rc = server_load_nodes (self, error);
    if (rc == 0)
        rc = start_writer (self, error);
    if (rc == 0)
        rc = bind_router (self, parent, error);
    if (rc < 0)
        return rc;
    parent->port = router_port (self->router);
    parent->cluster = self->settings.cluster;
    self->listened_ms = clock_mono (self->clock);
    return 0;
}

static void
tear_down (struct server *self)
{
    if (self->writer) {
        bool broken = writer_ended (self->writer);
        writer_stop (&self->writer);
        if (broken)
            log_critical (self->log, "the name node has ended");
    }
    server_free_nodes (self);
    router_destroy (&self->router);
    server_end_snapshot (self);
    nodes_view_release (&self->view);
    repair_view_release (&self->repair);
    nodes_destroy (&self->nodes);
    storedir_close (&self->dir);
}

static void
run (struct actor_pipe *pipe, void *args)
{
    struct namenode *parent = args;
    struct server self = {
        .log = parent->log, .metrics = parent->metrics, .clock = parent->clock};
    litedfs_error_t error;

    if (set_up (&self, parent, &error) < 0)
        actor_failed (pipe, &error);
    else {
        actor_ready (pipe);
        loop (&self, pipe);
    }
    tear_down (&self);
}

/* The words that metrics are labelled with; those of ops and tables are in the object. */
static int
make_metrics (struct namenode *self, litedfs_error_t *error)
{
    static const char *const loops[] = {
        [NAMENODE_LOOP_NAMENODE] = "namenode", [NAMENODE_LOOP_WRITER] = "writer"};
    const struct metrics_options options = {
        .where = METRIC_NAME,
        .version = PACKAGE_VERSION,
        .ops = {self->ops, MESSAGE_COUNT},
        .tables = {self->tables, TABLE_COUNT},
        .loops = {loops, sizeof loops / sizeof *loops},
    };

    router_words (rows, sizeof rows / sizeof *rows, self->ops);
    for (size_t table = 0; table < TABLE_COUNT; table++)
        self->tables[table] = metastore_table_name ((enum metastore_table) table);
    self->metrics = metrics_new (&options);
    return self->metrics ? 0 : err_set (error, LITEDFS_MEMORY, "out of memory");
}

static void
destroy (struct namenode *self)
{
    metrics_destroy (&self->metrics);
    free (self);
}

int
namenode_start (struct namenode **out, const struct namenode_config *config, struct log *log,
                const struct clock *clock, litedfs_error_t *error)
{
    struct namenode *self = calloc (1, sizeof *self);

    if (!self)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    self->config = config;
    self->log = log;
    self->clock = clock;
    int rc = make_metrics (self, error);
    if (rc == 0)
        rc = actor_start (&self->actor, "namenode", run, self, error);
    if (rc < 0)
        destroy (self);
    else
        *out = self;
    return rc;
}

void
namenode_stop (struct namenode **self)
{
    if (!*self)
        return;
    actor_stop (&(*self)->actor);
    destroy (*self);
    *self = NULL;
}

bool
namenode_ended (const struct namenode *self)
{
    return actor_ended (self->actor);
}

int
namenode_port (const struct namenode *self)
{
    return self->port;
}

const char *
namenode_inproc (const struct namenode *self)
{
    return self->inproc;
}

const struct uuid *
namenode_cluster (const struct namenode *self)
{
    return &self->cluster;
}

struct metrics *
namenode_metrics (const struct namenode *self)
{
    return self->metrics;
}
