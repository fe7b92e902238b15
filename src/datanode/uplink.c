/* SPDX-License-Identifier: MIT */
/*
 * The uplink's loop, and how the name node is found.
 *
 *   AWAY         no dealer; when an attempt is due: look the ROUTER up, make a dealer, ask to register
 *   REGISTERING  node.register is under way
 *   REGISTERED   heartbeats, reports and orders run
 *
 * Whatever goes wrong with the connection ends in AWAY, and the next attempt begins retry_interval after
 * the one before.  What is wrong is logged when it begins and once a minute while it lasts.  The one thing
 * that ends the actor, and the process with it, is a name node of another cluster at the first contact:
 * then the disk or the address is the wrong one.
 */
#include "datanode/uplink.h"

#include "base/err.h"
#include "base/net.h"
#include "datanode/uplink_impl.h"
#include "rpc/endpoint.h"
#include "rpc/socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOKUP_TIMEOUT_MS 2000     // of a GET /cluster/endpoint
#define SILENCE_MS 5000            // after which the dealer connects anew, at least
#define EXECUTION_TIMEOUT_MS 60000 // after which orders are asked for again
#define EXPIRE_INTERVAL_MS 60000   // of blockstore_expire

/* ---- finding the name node ---------------------------------------------------------------------- */

/* Where the ROUTER of the name node is.  May block for a while. */
static int
locate (struct uplink *self, char host[NET_HOST_SIZE], int *port, litedfs_error_t *error)
{
    const struct datanode_config *config = self->options.config;
    const char *tcp_host =
        *config->name_tcp_host != '\0' ? config->name_tcp_host : config->name_http_host;
    struct endpoint_info info;
    int cancel_fd = -1;
    size_t size = sizeof cancel_fd;

    *port = (int) config->name_tcp_port;
    if (*port != 0)
        return net_resolve (tcp_host, host, error);
    zmq_getsockopt (actor_pipe_socket (self->pipe), ZMQ_FD, &cancel_fd, &size);
    if (endpoint_lookup (config->name_http_host, (int) config->name_http_port,
                         LOOKUP_TIMEOUT_MS, cancel_fd, &info, error) < 0)
        return error->number;
    *port = info.port;
    if (*config->name_tcp_host != '\0')
        return net_resolve (tcp_host, host, error);
    memcpy (host, info.host, sizeof info.host);
    return 0;
}

/* Begin anew: find the name node, connect, ask to register. */
static void
attempt (struct uplink *self)
{
    const struct datanode_config *config = self->options.config;
    char host[NET_HOST_SIZE];
    char address[NET_HOST_SIZE + 16];
    char endpoint[NET_HOST_SIZE + 32];
    int port;
    litedfs_error_t error;
    int64_t silence_ms = 3 * uplink_ms (config->heartbeat_interval);

    self->attempt_ms = uplink_now (self) + uplink_ms (config->retry_interval);
    if (locate (self, host, &port, &error) < 0) {
        if (error.number != LITEDFS_CANCELLED)
            uplink_lose (self, &error);
        return;
    }
    snprintf (self->name_host, sizeof self->name_host, "%s", host);
    net_join_host_port (host, port, address, sizeof address);
    snprintf (endpoint, sizeof endpoint, "tcp://%s", address);
    snprintf (self->peer, sizeof self->peer, "the name node at %s", address);
    struct dealer_options options = {.endpoint = endpoint,
                                     .peer = self->peer,
                                     .attempt_ms =
                                         silence_ms > SILENCE_MS ? silence_ms : SILENCE_MS,
                                     .clock = self->options.clock,
                                     .log = self->options.log};
    if (dealer_new (&self->dealer, &options, &error) < 0) {
        uplink_lose (self, &error);
        return;
    }
    self->connected_ms = uplink_now (self);
    uplink_register (self);
}

/* A connection that stays away has perhaps another address by now. */
static void
watch_connection (struct uplink *self)
{
    int64_t now_ms = uplink_now (self);
    litedfs_error_t error;

    if (dealer_connected (self->dealer)) {
        self->connected_ms = now_ms;
    } else if (self->stage == UPLINK_REGISTERED &&
               now_ms - self->connected_ms > uplink_ms (self->options.config->retry_interval)) {
        err_set (&error, LITEDFS_UNREACHABLE, "%s is away", self->peer);
        uplink_lose (self, &error);
    }
}

/* Drop the connection, after it was lost. */
static void
go_away (struct uplink *self)
{
    dealer_destroy (&self->dealer);
    if (self->stage == UPLINK_REGISTERED)
        log_warning (self->options.log, "lost %s", self->peer);
    self->stage = UPLINK_AWAY;
    self->lost = false;
    self->heartbeat_pending = self->report_pending = self->orders_pending = false;
    self->list_pending = self->failed_pending = false;
    self->list_cursor = 0;
    uplink_inventory_begin (self, 0);
}

/* ---- the actor ---------------------------------------------------------------------------------- */

static void
take_notes (struct uplink *self)
{
    struct note note;
    void *more;

    while (note_receive (self->notes, &note, &more)) {
        if (note.kind == NOTE_EXECUTED)
            uplink_executed (self, &note);
        else if (note.kind == NOTE_UNKNOWN)
            uplink_find_node (self, note.node);
        else if (note.kind == NOTE_FAILED)
            uplink_note_failed (self, &note);
        else if (note.kind == NOTE_CHANGED && self->report_ms > uplink_now (self) &&
                 self->trouble == 0)
            self->report_ms = uplink_now (self);
        free (more);
    }
}

/* Whether orders may be confirmed and asked for.  What the last ones changed is reported first, so that the
 * name node never takes for carried out what it has not heard the end of. */
static bool
may_ask_for_orders (const struct uplink *self, int64_t now_ms)
{
    bool asking =
        self->orders_pending ||
        (self->orders_executing && now_ms - self->orders_sent_ms < EXECUTION_TIMEOUT_MS);

    return self->stage == UPLINK_REGISTERED && !asking &&
           blockstore_confirmed (self->options.store) >= self->orders_seq;
}

/* Do what is due. */
static void
run_timers (struct uplink *self)
{
    int64_t now_ms = uplink_now (self);
    litedfs_error_t error;

    if (self->dealer != NULL)
        watch_connection (self);
    if (self->lost)
        go_away (self);
    if (now_ms >= self->beat_ms)
        uplink_beat (self);
    if (self->dealer == NULL && now_ms >= self->attempt_ms)
        attempt (self);
    uplink_tend_inventory (self); // before a report that would make it wait
    if (self->stage == UPLINK_REGISTERED && !self->report_pending &&
        now_ms >= self->report_ms &&
        blockstore_seq (self->options.store) > blockstore_confirmed (self->options.store))
        uplink_report (self);
    if (self->stage == UPLINK_REGISTERED && !self->failed_pending && self->failed_count > 0 &&
        now_ms >= self->failed_ms)
        uplink_tell_failed (self);
    if (may_ask_for_orders (self, now_ms) && now_ms >= self->orders_ms)
        uplink_ask_for_orders (self);
    uplink_tend_nodes (self);
    if (now_ms >= self->expire_ms) {
        self->expire_ms = now_ms + EXPIRE_INTERVAL_MS;
        if (blockstore_expire (self->options.store, &error) < 0)
            uplink_complain (self, &error);
    }
    if (self->lost)
        go_away (self);
}

/* How long there is nothing to do, in ms. */
static long
idle_ms (struct uplink *self)
{
    int64_t now_ms = uplink_now (self);
    int64_t next_ms = self->beat_ms;

    if (self->dealer == NULL && self->attempt_ms < next_ms)
        next_ms = self->attempt_ms;
    if (self->stage == UPLINK_REGISTERED && !self->report_pending && self->report_ms > now_ms &&
        self->report_ms < next_ms)
        next_ms = self->report_ms;
    if (self->stage == UPLINK_REGISTERED && !self->failed_pending && self->failed_count > 0 &&
        self->failed_ms < next_ms)
        next_ms = self->failed_ms;
    if (may_ask_for_orders (self, now_ms) && self->orders_ms < next_ms)
        next_ms = self->orders_ms;
    if (uplink_nodes_ms (self) < next_ms)
        next_ms = uplink_nodes_ms (self);
    if (uplink_inventory_ms (self) < next_ms)
        next_ms = uplink_inventory_ms (self);
    if (self->dealer != NULL) {
        long dealer_ms = dealer_timeout_ms (self->dealer);
        if (dealer_ms >= 0 && now_ms + dealer_ms < next_ms)
            next_ms = now_ms + dealer_ms;
    }
    return next_ms > now_ms ? (long) (next_ms - now_ms) : 0;
}

static void
loop (struct uplink *self)
{
    while (!actor_stopping (self->pipe) && self->fatal.number == 0) {
        zmq_pollitem_t items[2 + DEALER_POLL_ITEMS] = {
            {actor_pipe_socket (self->pipe), 0, ZMQ_POLLIN, 0},
            {self->notes, 0, ZMQ_POLLIN, 0}};
        size_t count = 2;
        if (self->dealer != NULL)
            count += dealer_poll_items (self->dealer, items + 2);
        zmq_poll (items, (int) count, idle_ms (self));
        while (actor_recv_command (self->pipe) != NULL)
            continue;
        take_notes (self);
        if (self->dealer != NULL)
            dealer_process (self->dealer);
        run_timers (self);
    }
}

static void
run (struct actor_pipe *pipe, void *args)
{
    struct uplink *self = args;
    litedfs_error_t error;

    self->pipe = pipe;
    self->notes = socket_new (SOCKET_INPROC_PAIR, NULL, &error);
    if (self->notes == NULL || uplink_load_nodes (self, &error) < 0 ||
        socket_connect_endpoint (self->notes, self->options.notes, &error) < 0) {
        socket_close (&self->notes);
        actor_failed (pipe, &error);
        return;
    }
    self->attempt_ms = self->beat_ms = uplink_now (self);
    self->expire_ms = uplink_now (self) + EXPIRE_INTERVAL_MS;
    actor_ready (pipe);
    loop (self);
    dealer_destroy (&self->dealer);
    socket_close (&self->notes);
}

int
uplink_start (struct uplink **out, const struct uplink_options *options, litedfs_error_t *error)
{
    struct uplink *self = calloc (1, sizeof *self);
    int rc;

    if (self == NULL)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    self->options = *options;
    self->changes = calloc (UPLINK_REPORT_PAGE, sizeof *self->changes);
    self->page = calloc (UPLINK_REPORT_PAGE, sizeof *self->page);
    if (self->changes == NULL || self->page == NULL)
        rc = err_set (error, LITEDFS_MEMORY, "out of memory");
    else
        rc = random_bytes (&self->incarnation, sizeof self->incarnation, error);
    if (rc == 0)
        rc = uplink_inventory_new (self, error);
    self->incarnation &= WIRE_MAX;
    if (rc == 0)
        rc = actor_start (&self->actor, "uplink", run, self, error);
    if (rc < 0)
        uplink_stop (&self);
    else
        *out = self;
    return rc;
}

void
uplink_stop (struct uplink **self_p)
{
    struct uplink *self = *self_p;

    if (self == NULL)
        return;
    *self_p = NULL;
    actor_stop (&self->actor);
    uplink_inventory_free (self);
    nodetable_destroy (&self->nodes);
    free (self->nodes_path);
    free (self->changes);
    free (self->page);
    free (self);
}

bool
uplink_ended (const struct uplink *self, litedfs_error_t *why)
{
    if (!actor_ended (self->actor))
        return false;
    if (self->fatal.number != 0)
        *why = self->fatal;
    return true;
}
