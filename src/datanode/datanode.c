/* SPDX-License-Identifier: MIT */
/*
 * The datanode actor: read it first.  Its loop and its life are here, what comes in is taken by intake.c,
 * and what follows from it is done by actions.c.
 *
 * It is a thin shell.  Writes and stats of clients, and chunks and acks of other nodes, become events of
 * the pipeline, whose actions go to the router, the disk pool and the peers; reads go to serve; orders to
 * copy go to copy; what the disk pool did becomes events again.  Requests that wait in the pipeline are
 * parked, by route, under a token.  The uplink's notes bring the node's number, whether the disk is full,
 * where the other nodes are, and orders.
 *
 * Nothing here waits but zmq_poll.  A turn of the loop takes a bounded number of messages and of bytes from
 * clients, and as many from nodes, so that neither waits for the other, and results, orders and the end of
 * a session are never far away.
 *
 * Silence is judged after what came was taken.  A turn that comes late (the process was stopped, or the
 * machine) takes all that came meanwhile, and counts nobody's silence in that time.
 */
#include "datanode/datanode.h"

#include "base/actor.h"
#include "base/err.h"
#include "base/listen.h"
#include "datanode/datanode_impl.h"
#include "datanode/ports.h"
#include "rpc/socket.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 1000  // longest sleep
#define LATE_MS 500   // a turn that is later than this was kept from running
#define LATE_TURNS 64 // in which then is taken what came
#define POLL_ITEMS 7  // of the loop itself
#define READ_SHARE 4  // one part in so many of memory_limit is for reads

int64_t
datanode_now (const struct datanode *self)
{
    return clock_mono (self->options.clock);
}

/* ---- the actor ---------------------------------------------------------------------------------- */

static long
idle_ms (struct datanode *self)
{
    int64_t due_ms = pipeline_next_deadline (self->pipeline);
    int64_t copy_ms = copy_next_deadline (self->copy);
    long most_ms = serve_resume (self->serve, TICK_MS);
    long peers_ms = peers_idle_ms (self->peers);

    int64_t left_ms = (copy_ms < due_ms ? copy_ms : due_ms) - datanode_now (self);
    if (peers_ms < most_ms)
        most_ms = peers_ms;
    return left_ms < 0 ? 0 : left_ms < most_ms ? (long) left_ms : most_ms;
}

/* We were kept from running for a while: what came meanwhile is heard before anybody is judged. */
static void
catch_up (struct datanode *self, int64_t late_ms)
{
    for (int i = 0; i < LATE_TURNS && !intake_turn (self); i++)
        continue;
    log_info (self->options.log, "nothing ran here for %" PRId64 " ms", late_ms);
    pipeline_forgive (self->pipeline, datanode_now (self), late_ms);
}

/* Show how much is under way. */
static void
show_load (struct datanode *self)
{
    struct scrub_status scrub;

    scrub_status (self->scrub, &scrub);
    metric_set (self->metrics, METRIC_SCRUB_BYTES, 0, scrub.verified);
    metric_set (self->metrics, METRIC_SCRUB_RUNNING, 0, scrub.running);
    metric_set (self->metrics, METRIC_SCRUB_STARTED, 0, (uint64_t) scrub.started_ms / 1000);
    metric_set (self->metrics, METRIC_DAMAGED, 0, blockstore_damaged (self->store));
    metric_set (self->metrics, METRIC_PIPELINE_BLOCKS, 0,
                pipeline_block_count (self->pipeline));
    metric_set (self->metrics, METRIC_PIPELINE_RESERVED, 0, pipeline_reserved (self->pipeline));
    metric_set (self->metrics, METRIC_COPIES_WAITING, 0, copy_waiting (self->copy));
    metric_set (self->metrics, METRIC_COPIES_RUNNING, 0, copy_running (self->copy));
}

/* Blocks that were found damaged, by whoever it was, are to be reported at once. */
static void
tell_changes (struct datanode *self)
{
    const struct note note = {.kind = NOTE_CHANGED};
    uint64_t seq = blockstore_seq (self->store);

    if (seq != self->told_seq && note_send (self->notes, &note, NULL, 0))
        self->told_seq = seq;
}

static void
loop (struct datanode *self, struct actor_pipe *pipe)
{
    struct metric_loop lag = {.metrics = self->metrics};
    zmq_pollitem_t items[POLL_ITEMS + PEERS_POLL_MAX] = {
        {actor_pipe_socket (pipe), 0, ZMQ_POLLIN, 0},
        {router_socket (self->router), 0, ZMQ_POLLIN, 0},
        {router_monitor_socket (self->router), 0, ZMQ_POLLIN, 0},
        {chain_socket (self->chain), 0, ZMQ_POLLIN, 0},
        {zsock_resolve (diskpool_socket (self->pool)), 0, ZMQ_POLLIN, 0},
        {self->notes, 0, ZMQ_POLLIN, 0},
        {zsock_resolve (scrub_socket (self->scrub)), 0, ZMQ_POLLIN, 0},
    };
    int64_t turn_ms = datanode_now (self);

    while (!actor_stopping (pipe)) {
        size_t count = POLL_ITEMS + peers_poll_items (self->peers, items + POLL_ITEMS);
        long wait_ms = idle_ms (self);
        metric_loop_sleep (&lag, wait_ms);
        zmq_poll (items, (int) count, wait_ms);
        metric_loop_wake (&lag);
        int64_t late_ms = datanode_now (self) - turn_ms - wait_ms;
        turn_ms = datanode_now (self);
        while (actor_recv_command (pipe) != NULL)
            continue;
        if (late_ms > LATE_MS)
            peers_forgive (self->peers, late_ms);
        intake_turn (self);
        if (late_ms > LATE_MS)
            catch_up (self, late_ms);
        copy_tick (self->copy, datanode_now (self));
        pipeline_tick (self->pipeline, datanode_now (self));
        actions_run (self);
        show_load (self);
        tell_changes (self);
    }
}

static int
bind_router (struct datanode *self, litedfs_error_t *error)
{
    struct router_options options = {.role = SOCKET_DATA_ROUTER,
                                     .domain = self->domain,
                                     .host = self->options.config->tcp_host,
                                     .log = self->options.log,
                                     .metrics = self->metrics,
                                     .clock = self->options.clock};
    char path[4096];

    snprintf (path, sizeof path, "%s/tcp_port", self->options.config->data_path);
    return ports_bind (&self->router, &options, (int) self->options.config->tcp_port, path,
                       error);
}

static int
bind_chain (struct datanode *self, litedfs_error_t *error)
{
    char path[4096];
    struct chain_options options = {.domain = self->domain,
                                    .host = self->options.config->tcp_host,
                                    .port = (int) self->options.config->chain_port,
                                    .port_path = path,
                                    .log = self->options.log,
                                    .clock = self->options.clock};

    snprintf (path, sizeof path, "%s/chain_port", self->options.config->data_path);
    return chain_new (&self->chain, &options, error);
}

static int
start_scrub (struct datanode *self, litedfs_error_t *error)
{
    const struct datanode_config *config = self->options.config;
    char path[4096];
    struct scrub_options options = {.store = self->store,
                                    .path = path,
                                    .period_ms = (int64_t) (config->scrub_period * 1000.0),
                                    .bandwidth = (uint64_t) config->scrub_bandwidth,
                                    .clock = self->options.clock,
                                    .log = self->options.log};

    snprintf (path, sizeof path, "%s/scrub", config->data_path);
    return scrub_start (&self->scrub, &options, error);
}

static int
set_up (struct datanode *self, litedfs_error_t *error)
{
    const struct datanode_config *config = self->options.config;
    uint64_t memory = (uint64_t) config->memory_limit;
    struct pipeline_limits limits = {
        .memory = memory - memory / READ_SHARE,
        .write_timeout_ms = (uint64_t) (config->write_timeout * 1000.0),
        .pipeline_timeout_ms = (uint64_t) (config->pipeline_timeout * 1000.0)};
    struct copy_calls copy_calls = actions_copy_calls (self);
    struct blockstore_identity identity;

    self->notes = socket_new (SOCKET_INPROC_PAIR, NULL, error);
    if (self->notes == NULL ||
        socket_bind_endpoint (self->notes, self->notes_endpoint, error) < 0 ||
        diskpool_start (&self->pool, self->store, (unsigned) config->disk_workers,
                        (unsigned) config->read_workers, self->options.log, self->metrics,
                        error) < 0 ||
        bind_router (self, error) < 0 || bind_chain (self, error) < 0)
        return error->number;
    self->pipeline = pipeline_new (&limits);
    self->serve =
        serve_new (self->router, self->pool, memory / READ_SHARE, actions_compared, self);
    self->copy = copy_new (&copy_calls, self->options.log, self->metrics);
    self->peers = peers_new (self->options.clock, self->options.log);
    if (self->pipeline == NULL || self->serve == NULL || self->copy == NULL ||
        self->peers == NULL)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    if (start_scrub (self, error) < 0)
        return error->number;
    blockstore_identity (self->store, &identity);
    self->node = identity.node;
    pipeline_set_node (self->pipeline, identity.node);
    self->tcp_port = router_port (self->router);
    self->chain_port = chain_port (self->chain);
    return 0;
}

/* The pool first: what it still has is dropped, and nothing may come back to what is freed next. */
static void
tear_down (struct datanode *self)
{
    scrub_stop (&self->scrub);
    diskpool_stop (&self->pool);
    serve_destroy (&self->serve);
    copy_destroy (&self->copy);
    if (self->pipeline != NULL) {
        pipeline_stop (self->pipeline);
        actions_run (self); // payloads are given back
    }
    pipeline_destroy (&self->pipeline);
    peers_destroy (&self->peers);
    chain_destroy (&self->chain);
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
                                     .chain_port = self->chain_port,
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

static int
make_metrics (struct datanode *self, litedfs_error_t *error)
{
    static const char *const loops[] = {"datanode"};
    const struct metrics_options options = {
        .where = METRIC_DATA,
        .version = self->options.version,
        .ops = {self->ops, MESSAGE_COUNT},
        .loops = {loops, sizeof loops / sizeof *loops},
    };

    intake_words (self->ops);
    self->metrics = metrics_new (&options);
    return self->metrics ? 0 : err_set (error, LITEDFS_MEMORY, "out of memory");
}

int
datanode_start (struct datanode **out, const struct datanode_options *options,
                litedfs_error_t *error)
{
    struct datanode *self = calloc (1, sizeof *self);

    if (self == NULL)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    self->options = *options;
    int rc = make_metrics (self, error);
    if (rc == 0)
        rc = open_store (self, error);
    if (rc == 0)
        name_itself (self);
    if (rc < 0 || datanode_allow (self, error) < 0 ||
        actor_start (&self->actor, "datanode", run, self, error) < 0 ||
        start_uplink (self, error) < 0) {
        datanode_stop (&self);
        return error->number;
    }
    log_info (options->log, "serving blocks at tcp://%s:%d, other nodes at port %d",
              options->config->tcp_host, self->tcp_port, self->chain_port);
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
    metrics_destroy (&self->metrics);
    free (self);
}

struct metrics *
datanode_metrics (const struct datanode *self)
{
    return self->metrics;
}

void
datanode_measure (struct datanode *self)
{
    struct blockstore_space space;

    if (blockstore_space (self->store, &space, NULL) < 0)
        return; // the uplink says so in the log, with each heartbeat
    metric_set (self->metrics, METRIC_STORAGE_CAPACITY, 0, space.total);
    metric_set (self->metrics, METRIC_STORAGE_USED, 0, space.used);
    metric_set (self->metrics, METRIC_STORAGE_FREE, 0, space.free);
    metric_set (self->metrics, METRIC_STORAGE_FULL, 0, space.full);
    metric_set (self->metrics, METRIC_BLOCKS, 0, space.blocks);
}

int
datanode_tcp_port (const struct datanode *self)
{
    return self->tcp_port;
}

int
datanode_chain_port (const struct datanode *self)
{
    return self->chain_port;
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
