/* SPDX-License-Identifier: MIT */
/*
 * Data nodes at the namenode actor: they register, are heard, fall silent, and ask for orders.
 *
 * A registration takes a way round: the writer gives the node its number, and when that is durable the
 * node enters the registry, if its connection is still there and nobody else took its place.
 * node.orders is parked, one a session, until the writer says that there are orders, or its time is
 * over.
 */
#include "namenode/server.h"

#include "base/err.h"
#include "base/net.h"
#include "namenode/garbage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long after our start "no data node" is answered "ask again" while nodes that were here before have
 * not come back: their retry_interval, 5 s unless set, and time to register. */
#define SETTLE_MS 15000

/* How long after a stall of our own connections that end are taken for a consequence of it. */
#define AFTER_STALL_MS 2000

/* A turn does not take so long, nor the wait before it: we were stopped in the middle of it, which is
 * said when the next one begins. */
#define TURN_TOO_LONG_MS 1500

/* ---- nodes come --------------------------------------------------------------------------------------- */

static void *
grown (void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    size_t more = *room ? 2 * *room : 16;
    void *larger = realloc (array, more * size);
    if (larger)
        *room = more;
    return larger;
}

/* Refuse what must not even reach the node's row: an identity that another session has or is about to
 * get, and a second identity of this session. */
static int
check_identity (struct server *self, const struct uuid *uuid, uint64_t session,
                litedfs_error_t *error)
{
    uint32_t number = nodes_of_session (self->nodes, session);
    char text[UUID_TEXT_SIZE];
    int rc = nodes_check_twin (self->nodes, uuid, session, clock_mono (self->clock), error);

    if (rc == 0 && number != 0)
        rc = server_take_view (self, false, error);
    if (rc < 0)
        return rc;
    const struct node *known = number != 0 ? nodes_view_find (self->view, number) : NULL;
    bool second = known && !uuid_equal (&known->uuid, uuid);
    for (size_t i = 0; i < self->pending_count; i++) {
        const struct registration *pending = &self->pending[i];
        bool same = uuid_equal (&pending->uuid, uuid);
        if (pending->session == session && !same)
            second = true;
        else if (pending->session != session && pending->session != 0 && same)
            return err_set (error, LITEDFS_NODE_EXISTS,
                            "node[%s]: another data node with this identity registers now; was "
                            "its disk copied? each data node needs a data_path of its own",
                            uuid_print (uuid, text));
    }
    return second ? err_set (error, LITEDFS_INVALID,
                             "node[%s]: this session has registered as another node",
                             uuid_print (uuid, text))
                  : 0;
}

int
server_on_register (void *context, struct request *request, litedfs_error_t *error)
{
    struct server *self = context;
    struct node_register_request fields;
    const struct op_sender sender = server_sender (self, request);

    int rc = message_request_fields (request->message, &fields, error);
    if (rc == 0)
        rc = check_identity (self, &fields.uuid, request->route.session, error);
    if (rc < 0)
        return rc;
    struct registration *pending =
        grown (self->pending, self->pending_count, &self->pending_room, sizeof *pending);
    if (!pending)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    self->pending = pending;
    pending += self->pending_count;
    *pending = (struct registration){
        .token = ++self->last_token,
        .session = request->route.session,
        .uuid = fields.uuid,
        .incarnation = fields.incarnation,
        .storage = {fields.storage_total, fields.storage_used, fields.storage_free,
                    fields.storage_full, fields.blocks},
        .interval_ms = (int64_t) fields.heartbeat_interval,
        .timeout_ms = (int64_t) fields.heartbeat_timeout,
    };
    server_update_writer (self, false);
    rc = writer_submit (self->writer, request, &sender, pending->token, error);
    if (rc < 0)
        return rc;
    self->pending_count++;
    request_destroy (&request);
    return 0;
}

static void
fill_from_row (struct node *out, const struct node_row *row)
{
    *out = (struct node){
        .number = row->number,
        .uuid = row->uuid,
        .http_port = row->http_port,
        .tcp_port = row->tcp_port,
        .chain_port = row->chain_port,
        .blocks = row->blocks,
        .duty = row->duty,
    };
    memcpy (out->host, row->host, sizeof out->host);
    memcpy (out->zone, row->zone, sizeof out->zone);
    memcpy (out->version, row->version, sizeof out->version);
}

int
server_load_nodes (struct server *self, litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct slice key, value;
    struct node_row row;
    struct node node;

    self->nodes = nodes_new (clock_wall (self->clock));
    if (!self->nodes)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    int rc = server_take_snapshot (self, error);
    if (rc == 0)
        rc = cursor_open (&cursor, self->snapshot, TABLE_NODE, slice_str (NULL),
                          slice_str (NULL), error);
    while (rc == 0 && (rc = cursor_next (&cursor, &key, &value, error)) == 0) {
        rc = node_row_decode (key, value, &row, error);
        if (rc == 0) {
            fill_from_row (&node, &row);
            rc = nodes_load (self->nodes, &node, error);
        }
    }
    cursor_close (&cursor);
    server_end_snapshot (self);
    self->settled_ms = clock_mono (self->clock) + SETTLE_MS;
    nodes_settle (self->nodes, true);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

void
server_load_duty (struct server *self, uint32_t number)
{
    struct node_row row;
    litedfs_error_t error;

    server_end_snapshot (self); // it may be older than what the writer has stored
    int rc = server_take_snapshot (self, &error);
    if (rc == 0)
        rc = node_row_get (self->snapshot, number, &row, &error);
    if (rc < 0) {
        log_error (self->log, "node %u: what is wanted of it cannot be read", number);
        return;
    }
    nodes_set_duty (self->nodes, number, &row.duty, clock_wall (self->clock));
    server_update_writer (self, true);
}

/* The writer has stored who it is: it is online from now on. */
static int
enter_node (struct server *self, const struct registration *pending, uint32_t number,
            litedfs_error_t *error)
{
    struct node_row row;
    struct node node;
    int64_t now = clock_mono (self->clock);

    server_end_snapshot (self); // it may be older than what the writer has stored
    int rc = server_take_snapshot (self, error);
    if (rc == 0)
        rc = node_row_get (self->snapshot, number, &row, error);
    if (rc == LITEDFS_NOT_FOUND)
        rc = err_set (error, LITEDFS_FAILED, "node[%u]: it has no row", number);
    if (rc == 0 && row.duty.duty == DUTY_REMOVED)
        rc = err_set (error, LITEDFS_NODE_REMOVED, "node[%u]: it was removed", number);
    if (rc == 0)
        rc = nodes_check_twin (self->nodes, &row.uuid, pending->session, now, error);
    if (rc < 0)
        return rc;
    fill_from_row (&node, &row);
    node.incarnation = pending->incarnation;
    node.storage_total = pending->storage.total;
    node.storage_used = pending->storage.used;
    node.storage_free = pending->storage.free;
    node.storage_full = pending->storage.full;
    node.blocks = pending->storage.blocks;
    rc = nodes_register (self->nodes, &node, pending->session, pending->interval_ms,
                         pending->timeout_ms, now, clock_wall (self->clock), error);
    if (rc == 0) {
        char address[NET_HOST_SIZE + 16];
        log_info (self->log,
                  "node %u is online, %s, %" PRIu64 " blocks, %" PRIu64 " bytes free", number,
                  net_join_host_port (node.host[0] ? node.host : "localhost", node.tcp_port,
                                      address, sizeof address),
                  node.blocks, node.storage_free);
        server_update_writer (self, true);
    }
    return rc;
}

static int
number_in_reply (zmq_msg_t *frame, uint32_t *number, litedfs_error_t *error)
{
    struct message *reply = NULL;
    struct node_register_reply fields;
    struct slice bytes = slice_of (zmq_msg_data (frame), zmq_msg_size (frame));
    int rc = message_parse_reply (bytes, &reply, error);

    if (rc == 0)
        rc =
            message_reply_fields (reply, &message_types[MESSAGE_node_register], &fields, error);
    if (rc == 0)
        *number = (uint32_t) fields.node;
    message_destroy (&reply);
    return rc;
}

/* Take the pending registration of a token out of the list. */
static bool
take_pending (struct server *self, uint64_t token, struct registration *out)
{
    for (size_t i = 0; i < self->pending_count; i++)
        if (self->pending[i].token == token) {
            *out = self->pending[i];
            self->pending[i] = self->pending[--self->pending_count];
            return true;
        }
    return false;
}

bool
server_finish_register (struct server *self, const struct writer_result *result,
                        zmq_msg_t *frame)
{
    struct registration pending;
    litedfs_error_t error;
    uint32_t number = 0;

    if (!take_pending (self, result->token, &pending) || pending.session == 0)
        return false;
    if (!result->ok)
        return true;
    int rc = number_in_reply (frame, &number, &error);
    if (rc == 0)
        rc = enter_node (self, &pending, number, &error);
    if (rc < 0)
        router_reply_error (self->router, &result->route, result->id, rc, error.text);
    return rc == 0;
}

/* ---- nodes work and go --------------------------------------------------------------------------------- */

int
server_on_heartbeat (void *context, struct request *request, litedfs_error_t *error)
{
    struct server *self = context;
    struct node_heartbeat_request fields;
    uint32_t number = nodes_of_session (self->nodes, request->route.session);

    int rc = message_request_fields (request->message, &fields, error);
    if (rc < 0)
        return rc;
    if (fields.node == number) {
        const struct node_storage storage = {fields.storage_total, fields.storage_used,
                                             fields.storage_free, fields.storage_full,
                                             fields.blocks};
        nodes_heard (self->nodes, number, &storage, clock_mono (self->clock),
                     clock_wall (self->clock));
    }
    rc = server_answer (self, ops_find (MESSAGE_node_heartbeat), request, false, error);
    if (rc == 0)
        request_destroy (&request);
    return rc;
}

static void
log_offline (struct server *self, uint32_t number, const char *why)
{
    if (number != 0)
        log_warning (self->log, "node %u is offline: %s", number, why);
}

static void
unpark (struct server *self, size_t at)
{
    request_destroy (&self->parked[at].request);
    self->parked[at] = self->parked[--self->parked_count];
}

/* A connection has ended.  Soon after a stall of our own, data nodes have closed theirs because we were
 * silent, and come back at once: that is no reason to tell everybody that they are gone. */
static void
node_closed (struct server *self, uint64_t session)
{
    int64_t now_ms = clock_mono (self->clock);
    bool our_fault = (self->stalled_ms != 0 && now_ms - self->stalled_ms < AFTER_STALL_MS) ||
                     now_ms - self->listened_ms >= TURN_TOO_LONG_MS;
    uint32_t number = our_fault ? nodes_detached (self->nodes, session)
                                : nodes_closed (self->nodes, session, clock_wall (self->clock));

    if (number != 0 && our_fault)
        log_info (self->log, "node %u has closed its connection while we did not run", number);
    else
        log_offline (self, number, "its connection has ended");
}

void
server_forget_session (struct server *self, uint64_t session)
{
    node_closed (self, session);
    for (size_t i = 0; i < self->pending_count; i++)
        if (self->pending[i].session == session)
            self->pending[i].session = 0;
    for (size_t i = self->parked_count; i-- > 0;)
        if (self->parked[i].request->route.session == session)
            unpark (self, i);
}

void
server_judge (struct server *self, int64_t now_ms, int64_t waiting_ms)
{
    uint32_t number;
    int64_t silent_ms;
    char why[80];

    while ((number = nodes_expire (self->nodes, now_ms - waiting_ms, clock_wall (self->clock),
                                   &silent_ms))) {
        silent_ms += waiting_ms;
        snprintf (why, sizeof why, "silent for %" PRId64 ".%03d s", silent_ms / 1000,
                  (int) (silent_ms % 1000));
        log_offline (self, number, why);
    }
    nodes_pardon (self->nodes, now_ms);
    nodes_excuse (self->nodes, clock_wall (self->clock));
    nodes_settle (self->nodes, now_ms < self->settled_ms);
}

void
server_suspect (struct server *self, uint32_t node, uint64_t reporter)
{
    if (nodes_suspected (self->nodes, node, reporter, clock_mono (self->clock)))
        log_warning (
            self->log,
            "node %u gets no new blocks for %d s: several uploads could not write to it", node,
            NODES_SUSPECT_MS / 1000);
}

/* ---- node.orders ----------------------------------------------------------------------------------------- */

/* Not in the table of handlers: there stands the one that confirms. */
static const struct op_row orders_row = {MESSAGE_node_orders, op_node_orders, true};

/* Tell the writer what the node has done, if that is news. */
static int
confirm_orders (struct server *self, const struct request *request,
                const struct node_orders_request *fields, litedfs_error_t *error)
{
    const struct op_sender sender = server_sender (self, request);
    struct request copy = {.route = request->route};
    struct order_row first;
    size_t count = 0;

    int rc = server_take_snapshot (self, error);
    if (rc == 0)
        rc =
            orders_after (self->snapshot, (uint32_t) fields->node, 0, &first, 1, &count, error);
    if (rc < 0 || count == 0 || first.number > fields->after)
        return rc;
    zmq_msg_init (&copy.header);
    rc = zmq_msg_copy (&copy.header, (zmq_msg_t *) (uintptr_t) &request->header) < 0
             ? err_set (error, LITEDFS_MEMORY, "out of memory")
             : writer_submit (self->writer, &copy, &sender, 0, error);
    zmq_msg_close (&copy.header);
    return rc;
}

/* Whether there are orders that the request does not confirm: none of another epoch does. */
static int
look_for_orders (struct server *self, const struct node_orders_request *fields, bool *found,
                 litedfs_error_t *error)
{
    struct order_row first;
    uint64_t epoch;
    size_t count = 0;

    int rc = server_take_snapshot (self, error);
    if (rc == 0)
        rc = meta_get (self->snapshot, META_EPOCH, &epoch, error);
    if (rc == 0)
        rc =
            orders_after (self->snapshot, (uint32_t) fields->node,
                          fields->epoch == epoch ? fields->after : 0, &first, 1, &count, error);
    *found = count > 0;
    return rc;
}

/* Answer a parked request if there are orders, or its time is over: true if it was answered. */
static bool
try_orders (struct server *self, struct parked *parked)
{
    litedfs_error_t error;
    bool found = false;
    bool late = clock_mono (self->clock) >= parked->deadline_ms;

    parked->look = false;
    int rc = look_for_orders (self, &parked->fields, &found, &error);
    if (rc == 0 && !found && !late)
        return false;
    if (rc == 0)
        rc = server_answer (self, &orders_row, parked->request, false, &error);
    if (rc < 0)
        router_reply_error (self->router, &parked->request->route,
                            parked->request->message->envelope.id, rc, error.text);
    return true;
}

int
server_on_orders (void *context, struct request *request, litedfs_error_t *error)
{
    struct server *self = context;
    struct node_orders_request fields;
    uint32_t number = nodes_of_session (self->nodes, request->route.session);

    int rc = message_request_fields (request->message, &fields, error);
    if (rc == 0 && fields.node != number)
        rc = err_set (error, LITEDFS_WRONG_NODE,
                      "node[%" PRIu64 "]: this session has registered as node %u", fields.node,
                      number);
    if (rc == 0)
        rc = confirm_orders (self, request, &fields, error);
    if (rc < 0)
        return rc;

    // One a session: a new one takes the place of the one before, which nobody waits for.
    for (size_t i = self->parked_count; i-- > 0;)
        if (self->parked[i].request->route.session == request->route.session)
            unpark (self, i);
    struct parked *parked =
        grown (self->parked, self->parked_count, &self->parked_room, sizeof *parked);
    if (!parked)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    self->parked = parked;
    parked[self->parked_count++] = (struct parked){
        .request = request,
        .fields = fields,
        .node = number,
        .deadline_ms = clock_mono (self->clock) + SERVER_PARK_MS,
        .look = true,
    };
    return 0;
}

void
server_hand_out (struct server *self)
{
    int64_t now = clock_mono (self->clock);

    for (size_t i = self->parked_count; i-- > 0;)
        if ((self->parked[i].look || now >= self->parked[i].deadline_ms) &&
            try_orders (self, &self->parked[i]))
            unpark (self, i);
}

void
server_orders_ready (struct server *self, uint32_t node)
{
    for (size_t i = 0; i < self->parked_count; i++)
        if (self->parked[i].node == node)
            self->parked[i].look = true;
}

void
server_free_nodes (struct server *self)
{
    while (self->parked_count > 0)
        unpark (self, self->parked_count - 1);
    free (self->parked);
    free (self->pending);
}
