/* SPDX-License-Identifier: MIT */
/*
 * What is said to the name node: node.register, node.heartbeat, node.report, node.failed, node.orders, each
 * with one request at a time, and what follows from the answers and from their absence.  node.list is
 * uplink_nodes.c's, node.inventory and node.listing are uplink_inventory.c's.
 *
 * A dealer sends what is pending again over a new connection by itself; the name node then answers
 * `register_first`, and the node registers and goes on.  An answer that says no is complained of, and the
 * request is made again after retry_interval; if there is no answer the connection is lost.
 */
#include "datanode/uplink_impl.h"

#include "base/err.h"
#include "base/net.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMPLAIN_AGAIN_MS 60000  // how often a trouble that lasts is logged
#define ORDERS_PARKED_MS 30000   // how long the name node keeps a node.orders
#define ORDERS_SLACK_MS 15000    // and how much later its reply may come
#define ORDERS_PAUSE_MS 1000     // after an empty reply that came too soon to have been parked
#define REGISTER_TIMEOUT_MS 5000 // of node.register, at least; else retry_interval

int64_t
uplink_now (const struct uplink *self)
{
    return clock_mono (self->options.clock);
}

int64_t
uplink_ms (double seconds)
{
    return (int64_t) (seconds * 1000.0 + 0.5);
}

/* ---- trouble ------------------------------------------------------------------------------------ */

void
uplink_complain (struct uplink *self, const litedfs_error_t *error)
{
    int64_t now_ms = uplink_now (self);

    if (self->trouble == error->number && now_ms - self->complained_ms < COMPLAIN_AGAIN_MS)
        return;
    self->trouble = error->number;
    self->complained_ms = now_ms;
    log_warning (self->options.log, "%s; trying again every %g s", error->text,
                 self->options.config->retry_interval);
}

void
uplink_lose (struct uplink *self, const litedfs_error_t *error)
{
    if (error->number == LITEDFS_NODE_REMOVED ||
        (error->number == LITEDFS_WRONG_CLUSTER && !self->was_registered)) {
        self->fatal = *error; // said when the process ends
        err_prefix (&self->fatal, "data_path[%s]: %s", self->options.config->data_path,
                    self->peer);
    } else {
        uplink_complain (self, error);
    }
    self->lost = true;
}

/* A request failed whose timer is *next_ms: if the connection did, it is lost; if the name node
 * answered so, it is asked again later. */
static void
on_failure (struct uplink *self, const litedfs_error_t *error, int64_t *next_ms)
{
    switch (error->number) {
    case LITEDFS_REGISTER_FIRST:
        if (self->stage == UPLINK_REGISTERED) {
            log_info (self->options.log, "%s does not know this connection", self->peer);
            uplink_register (self);
        }
        break;
    case LITEDFS_UNREACHABLE:
    case LITEDFS_TIMEOUT:
    case LITEDFS_REFUSED:
    case LITEDFS_INVALID:
    case LITEDFS_WRONG_CLUSTER:
    case LITEDFS_NODE_EXISTS:
    case LITEDFS_NODE_REMOVED:
        uplink_lose (self, error);
        break;
    default:
        uplink_complain (self, error);
        *next_ms = uplink_now (self) + uplink_ms (self->options.config->retry_interval);
        break;
    }
}

bool
uplink_take_reply (struct uplink *self, enum message_number number, struct message *reply,
                   const litedfs_error_t *error, void *fields, int64_t *next_ms)
{
    litedfs_error_t problem;

    if (error == NULL &&
        message_reply_fields (reply, &message_types[number], fields, &problem) < 0) {
        err_prefix (&problem, "%s: %s", self->peer, message_types[number].op);
        error = &problem;
    }
    if (error != NULL)
        on_failure (self, error, next_ms);
    return error == NULL;
}

bool
uplink_ask (struct uplink *self, enum message_number number, const void *fields,
            int64_t timeout_ms, dealer_fn *fn, int64_t *out_id)
{
    litedfs_error_t error;
    int64_t id = dealer_send (self->dealer, &message_types[number], fields, NULL, timeout_ms,
                              fn, self, &error);

    if (id < 0) {
        err_prefix (&error, "%s", message_types[number].op);
        uplink_lose (self, &error);
        return false;
    }
    if (out_id != NULL)
        *out_id = id;
    return true;
}

/* Tell the datanode actor who it is and whether it may take new blocks. */
static void
tell_state (struct uplink *self)
{
    struct blockstore_identity identity;
    struct note note = {.kind = NOTE_STATE, .full = self->space.full};

    blockstore_identity (self->options.store, &identity);
    note.node = identity.node;
    note_send (self->notes, &note, NULL, 0);
}

/* ---- register ----------------------------------------------------------------------------------- */

/* Bring what is reported and what the name node has together: it has stored changes up to seq. */
static int
align_reports (struct uplink *self, uint64_t seq, litedfs_error_t *error)
{
    struct blockstore *store = self->options.store;

    if (seq > blockstore_seq (store) || seq < blockstore_confirmed (store)) {
        log_warning (self->options.log,
                     "the name node has this node's changes up to %" PRIu64
                     ", the index those from %" PRIu64 " to %" PRIu64
                     "; inventories are compared instead",
                     seq, blockstore_confirmed (store), blockstore_seq (store));
        return blockstore_resume (store, seq, error);
    }
    return blockstore_confirm (store, seq, error);
}

static void
on_register (void *arg, struct message *message, zmq_msg_t *payload,
             const litedfs_error_t *problem)
{
    struct uplink *self = arg;
    struct node_register_reply reply;
    struct blockstore *store = self->options.store;
    char cluster[UUID_TEXT_SIZE];
    litedfs_error_t error;
    (void) payload;

    if (!uplink_take_reply (self, MESSAGE_node_register, message, problem, &reply,
                            &self->attempt_ms)) {
        self->lost = true;
        return;
    }
    if (blockstore_join (store, &reply.cluster, (uint32_t) reply.node, &error) < 0 ||
        blockstore_saw (store, (uint32_t) reply.epoch, reply.transaction, &error) < 0 ||
        align_reports (self, reply.seq, &error) < 0) {
        uplink_lose (self, &error);
        return;
    }
    self->stage = UPLINK_REGISTERED;
    self->was_registered = true;
    self->node = (uint32_t) reply.node;
    self->trouble = 0;
    self->nodes_version = 0; // all of it: the name node may be another machine's now
    self->beat_ms = self->report_ms = self->orders_ms = uplink_now (self);
    self->orders_seq = blockstore_seq (store);
    uplink_inventory_begin (self, self->beat_ms);
    tell_state (self);
    log_info (self->options.log, "registered with %s as node %" PRIu32 " of cluster %s",
              self->peer, self->node, uuid_print (&reply.cluster, cluster));
}

/* The address that others reach this node at; "" lets the name node take the one that it sees. */
static int
advertised_host (const struct datanode_config *config, char out[NET_ADDRESS_SIZE],
                 litedfs_error_t *error)
{
    const char *host = config->advertise_host;

    if (*host == '\0' && strcmp (config->tcp_host, "*") != 0)
        host = config->tcp_host;
    out[0] = '\0';
    if (*host == '\0' || net_is_any (host))
        return 0;
    if (net_resolve (host, out, error) < 0)
        return err_prefix (error, "advertise_host");
    if (net_is_loopback (out))
        out[0] = '\0';
    return 0;
}

void
uplink_register (struct uplink *self)
{
    const struct datanode_config *config = self->options.config;
    struct blockstore_identity identity;
    struct node_register_request request;
    char host[NET_ADDRESS_SIZE];
    uint32_t epoch;
    litedfs_error_t error;

    self->stage = UPLINK_REGISTERING;
    if (advertised_host (config, host, &error) < 0) {
        uplink_lose (self, &error);
        return;
    }
    message_request_init (&message_types[MESSAGE_node_register], &request);
    blockstore_identity (self->options.store, &identity);
    request.uuid = identity.uuid;
    request.cluster = identity.cluster;
    request.node = identity.node;
    request.incarnation = self->incarnation;
    request.version = slice_str (self->options.version);
    request.host = slice_str (host);
    request.http_port = (uint64_t) config->http_port;
    request.tcp_port = (uint64_t) self->options.tcp_port;
    request.chain_port = (uint64_t) self->options.chain_port;
    if (*config->zone != '\0')
        request.zone = slice_str (config->zone);
    request.heartbeat_interval = (uint64_t) uplink_ms (config->heartbeat_interval);
    request.heartbeat_timeout = (uint64_t) uplink_ms (config->heartbeat_timeout);
    blockstore_seen (self->options.store, &epoch, &request.transaction);
    request.epoch = epoch;
    request.seq = blockstore_seq (self->options.store);
    request.confirmed = blockstore_confirmed (self->options.store);
    request.storage_total = self->space.total;
    request.storage_used = self->space.used;
    request.storage_free = self->space.free;
    request.storage_full = self->space.full;
    request.blocks = self->space.blocks;
    int64_t timeout_ms = uplink_ms (config->retry_interval);
    uplink_ask (self, MESSAGE_node_register, &request,
                timeout_ms > REGISTER_TIMEOUT_MS ? timeout_ms : REGISTER_TIMEOUT_MS,
                on_register, NULL);
}

/* ---- heartbeats --------------------------------------------------------------------------------- */

static void
on_heartbeat (void *arg, struct message *message, zmq_msg_t *payload,
              const litedfs_error_t *problem)
{
    struct uplink *self = arg;
    struct node_heartbeat_reply reply;
    litedfs_error_t error;
    (void) payload;

    self->heartbeat_pending = false;
    if (!uplink_take_reply (self, MESSAGE_node_heartbeat, message, problem, &reply,
                            &self->beat_ms))
        return;
    uplink_take_nodes (self, reply.nodes, reply.nodes_count);
    self->nodes_version = reply.table;
    if (blockstore_saw (self->options.store, (uint32_t) reply.epoch, reply.transaction,
                        &error) < 0)
        uplink_complain (self, &error);
}

void
uplink_beat (struct uplink *self)
{
    struct node_heartbeat_request request;
    litedfs_error_t error;

    self->beat_ms = uplink_now (self) + uplink_ms (self->options.config->heartbeat_interval);
    if (blockstore_space (self->options.store, &self->space, &error) < 0) {
        uplink_complain (self, &error);
        self->space.full = true;
        self->space.free = 0;
    }
    if (self->space.full != self->full_noted)
        log_warning (self->options.log, "%s",
                     self->space.full ? "the disk is full: no new blocks are taken"
                                      : "the disk has room again: new blocks are taken");
    tell_state (self);
    uplink_tell_nodes (self);
    self->full_noted = self->space.full;
    if (self->stage != UPLINK_REGISTERED || self->heartbeat_pending)
        return;
    message_request_init (&message_types[MESSAGE_node_heartbeat], &request);
    request.node = self->node;
    request.table = self->nodes_version;
    request.storage_total = self->space.total;
    request.storage_used = self->space.used;
    request.storage_free = self->space.free;
    request.storage_full = self->space.full;
    request.blocks = self->space.blocks;
    self->heartbeat_pending =
        uplink_ask (self, MESSAGE_node_heartbeat, &request,
                    uplink_ms (self->options.config->heartbeat_timeout), on_heartbeat, NULL);
}

/* ---- reports ------------------------------------------------------------------------------------ */

static void
on_report (void *arg, struct message *message, zmq_msg_t *payload,
           const litedfs_error_t *problem)
{
    struct uplink *self = arg;
    struct blockstore *store = self->options.store;
    struct node_report_reply reply;
    litedfs_error_t error = {.number = 0};
    (void) payload;

    self->report_pending = false;
    if (!uplink_take_reply (self, MESSAGE_node_report, message, problem, &reply,
                            &self->report_ms))
        return;
    if (reply.seq <= blockstore_confirmed (store)) {
        err_set (&error, LITEDFS_FAILED,
                 "%s has this node's changes up to %" PRIu64 " only and takes none above",
                 self->peer, reply.seq);
        on_failure (self, &error, &self->report_ms);
    } else if (blockstore_confirm (store, reply.seq, &error) < 0) {
        on_failure (self, &error, &self->report_ms);
    } else if (reply.compare) {
        uplink_inventory_begin (self, uplink_now (self));
    }
}

void
uplink_report (struct uplink *self)
{
    struct blockstore *store = self->options.store;
    struct node_report_request request;
    litedfs_error_t error;
    size_t count = 0;

    if (blockstore_changes (store, blockstore_confirmed (store), UPLINK_REPORT_PAGE,
                            self->changes, &count, &error) < 0) {
        on_failure (self, &error, &self->report_ms);
        return;
    }
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        const struct blockstore_change *change = &self->changes[i];
        self->page[i] = (struct wire_change){.seq = change->seq,
                                             .kind = change->kind,
                                             .block = change->block,
                                             .size = change->size,
                                             .crc32 = change->crc};
    }
    message_request_init (&message_types[MESSAGE_node_report], &request);
    request.node = self->node;
    request.changes = self->page;
    request.changes_count = count;
    self->report_pending =
        uplink_ask (self, MESSAGE_node_report, &request,
                    uplink_ms (self->options.config->heartbeat_timeout), on_report, NULL);
}

/* ---- copies that failed ------------------------------------------------------------------------- */

void
uplink_note_failed (struct uplink *self, const struct note *note)
{
    if (self->failed_count == UPLINK_FAILED_MAX)
        return; // the name node finds out when the copy's time is over
    self->failed[self->failed_count++] =
        (struct wire_failed){.block = note->block,
                             .target = note->node,
                             .error = slice_str (err_word (note->error.number))};
}

static void
on_failed (void *arg, struct message *message, zmq_msg_t *payload,
           const litedfs_error_t *problem)
{
    struct uplink *self = arg;
    struct node_failed_reply reply;
    (void) payload;

    self->failed_pending = false;
    if (!uplink_take_reply (self, MESSAGE_node_failed, message, problem, &reply,
                            &self->failed_ms))
        return;
    self->failed_count -= self->failed_sent;
    memmove (self->failed, self->failed + self->failed_sent,
             self->failed_count * sizeof *self->failed);
}

void
uplink_tell_failed (struct uplink *self)
{
    struct node_failed_request request;

    message_request_init (&message_types[MESSAGE_node_failed], &request);
    request.node = self->node;
    request.copies = self->failed;
    request.copies_count = self->failed_sent = self->failed_count;
    self->failed_pending =
        uplink_ask (self, MESSAGE_node_failed, &request,
                    uplink_ms (self->options.config->heartbeat_timeout), on_failed, NULL);
}

/* ---- orders ------------------------------------------------------------------------------------- */

/* An order as the block store has it.  One to copy a block to ourselves names nobody. */
static struct blockstore_order
order_of (const struct uplink *self, const struct wire_order *order)
{
    return (struct blockstore_order){
        .number = order->number,
        .block = order->block,
        .kind = (enum order_kind) order->kind,
        .target = order->target != self->node ? (uint32_t) order->target : 0};
}

/* Hand orders to the datanode actor; NOTE_EXECUTED comes back. */
static void
execute (struct uplink *self, const struct node_orders_reply *reply)
{
    struct note note = {
        .kind = NOTE_ORDERS, .epoch = (uint32_t) reply->epoch, .count = reply->orders_count};
    struct blockstore_order *orders = calloc (reply->orders_count, sizeof *orders);

    for (size_t i = 0; orders != NULL && i < reply->orders_count; i++)
        orders[i] = order_of (self, &reply->orders[i]);
    self->orders_executing = orders != NULL && note_send (self->notes, &note, orders,
                                                          reply->orders_count * sizeof *orders);
    if (!self->orders_executing) {
        log_warning (self->options.log, "%zu orders wait: out of memory, or too much to do",
                     reply->orders_count);
        self->orders_ms = uplink_now (self) + ORDERS_PAUSE_MS;
    }
    free (orders);
}

static void
on_orders (void *arg, struct message *message, zmq_msg_t *payload,
           const litedfs_error_t *problem)
{
    struct uplink *self = arg;
    struct node_orders_reply reply;
    litedfs_error_t error;
    int64_t now_ms = uplink_now (self);
    (void) payload;

    self->orders_pending = false;
    self->orders_ms = now_ms;
    if (!uplink_take_reply (self, MESSAGE_node_orders, message, problem, &reply,
                            &self->orders_ms))
        return;
    if (blockstore_saw (self->options.store, (uint32_t) reply.epoch, reply.transaction,
                        &error) < 0) {
        on_failure (self, &error, &self->orders_ms);
        return;
    }
    if (reply.orders_count > 0)
        execute (self, &reply);
    else if (now_ms - self->orders_sent_ms < ORDERS_PAUSE_MS)
        self->orders_ms = now_ms + ORDERS_PAUSE_MS;
}

void
uplink_executed (struct uplink *self, const struct note *note)
{
    litedfs_error_t error;

    self->orders_executing = false;
    self->orders_ms = uplink_now (self);
    self->orders_seq = blockstore_seq (self->options.store);
    if (note->error.number != 0) {
        error = note->error;
        err_prefix (&error, "orders of the name node were not carried out");
        uplink_complain (self, &error);
        self->orders_ms = uplink_now (self) + uplink_ms (self->options.config->retry_interval);
    }
}

void
uplink_ask_for_orders (struct uplink *self)
{
    struct node_orders_request request;
    uint32_t epoch;
    int64_t id;

    message_request_init (&message_types[MESSAGE_node_orders], &request);
    request.node = self->node;
    blockstore_last_order (self->options.store, &epoch, &request.after);
    request.epoch = epoch;
    self->orders_executing = false;
    self->orders_sent_ms = uplink_now (self);
    self->orders_pending = uplink_ask (self, MESSAGE_node_orders, &request,
                                       ORDERS_PARKED_MS + ORDERS_SLACK_MS, on_orders, &id);
    if (self->orders_pending)
        dealer_patience (self->dealer, id, ORDERS_PARKED_MS);
}
