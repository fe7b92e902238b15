/* SPDX-License-Identifier: MIT */
#include "datanode_chain_world.h"

#include "base/process.h"

#include "free_port.h"

#include <ftw.h>
#include <unistd.h>

struct world_node nodes[NODES + 1];
struct wire_endpoint table[ENTRIES + 1];
uint8_t bytes[WIRE_CHUNK_MAX];
litedfs_error_t error;
void *silent;

static char directory[] = "/tmp/litedfs-chain-XXXXXX";
static struct zap *zap;
static struct log *log_;
static struct arena arena;

static struct {
    struct router *router;
    struct uuid cluster;
    uint64_t version; // of the table
    struct {
        uint32_t node;
        uint64_t block;
    } reports[REPORTS_MAX];
    size_t report_count;
} name;

/* ---- the name node ------------------------------------------------------------------------------ */

static void
reply (struct request **request, const void *fields)
{
    router_reply (name.router, &(*request)->route, (*request)->message->envelope.id,
                  (*request)->message->type, fields, NULL);
    request_destroy (request);
}

static struct world_node *
node_of (const struct request *request)
{
    for (int i = 1; i <= NODES; i++)
        if (nodes[i].session == request->route.session)
            return &nodes[i];
    return NULL;
}

static int
on_register (void *context, struct request *request, litedfs_error_t *e)
{
    struct node_register_request in;
    uint32_t number = 1;
    (void) context;

    if (message_request_fields (request->message, &in, e) < 0)
        return e->number;
    while (!uuid_is_nil (&nodes[number].uuid) && !uuid_equal (&nodes[number].uuid, &in.uuid))
        ck_assert_uint_le (++number, NODES);
    nodes[number].uuid = in.uuid;
    nodes[number].session = request->route.session;
    table[number] = (struct wire_endpoint){.node = number,
                                           .host = slice_str ("127.0.0.1"),
                                           .tcp_port = in.tcp_port,
                                           .chain_port = in.chain_port,
                                           .online = true};
    name.version++;
    struct node_register_reply out = {.cluster = name.cluster,
                                      .node = number,
                                      .epoch = 1,
                                      .transaction = 10,
                                      .seq = in.seq,
                                      .table = name.version};
    reply (&request, &out);
    return 0;
}

/* The entries that there are, without gaps. */
static size_t
list_table (struct wire_endpoint *out)
{
    size_t count = 0;

    for (int i = 1; i <= ENTRIES; i++)
        if (table[i].node != 0)
            out[count++] = table[i];
    return count;
}

static int
on_heartbeat (void *context, struct request *request, litedfs_error_t *e)
{
    struct node_heartbeat_request in;
    struct wire_endpoint list[ENTRIES];
    (void) context;

    if (message_request_fields (request->message, &in, e) < 0)
        return e->number;
    struct node_heartbeat_reply out = {
        .epoch = 1, .transaction = 11, .table = name.version, .nodes = list};
    if (in.table < name.version)
        out.nodes_count = list_table (list);
    reply (&request, &out);
    return 0;
}

static int
on_list (void *context, struct request *request, litedfs_error_t *e)
{
    struct wire_endpoint list[ENTRIES];
    struct node_list_reply out = {.table = name.version, .nodes = list};
    (void) context;
    (void) e;

    if (node_of (request) != NULL)
        node_of (request)->lists++;
    out.nodes_count = list_table (list);
    reply (&request, &out);
    return 0;
}

static int
on_report (void *context, struct request *request, litedfs_error_t *e)
{
    struct node_report_request in;
    struct node_report_reply out = {.seq = 0};
    (void) context;

    if (message_request_fields (request->message, &in, e) < 0)
        return e->number;
    for (size_t i = 0; i < in.changes_count; i++) {
        out.seq = in.changes[i].seq;
        if (in.changes[i].kind != CHANGE_ADDED)
            continue;
        ck_assert_uint_lt (name.report_count, REPORTS_MAX);
        name.reports[name.report_count].node = (uint32_t) in.node;
        name.reports[name.report_count++].block = in.changes[i].block;
    }
    reply (&request, &out);
    return 0;
}

/* Nothing ever differs. */
static int
on_inventory (void *context, struct request *request, litedfs_error_t *e)
{
    static const uint8_t differ[128];
    struct node_inventory_request in;
    (void) context;

    if (message_request_fields (request->message, &in, e) < 0)
        return e->number;
    struct node_inventory_reply out = {.seq = in.seq,
                                       .buckets = slice_of (differ, sizeof differ)};
    reply (&request, &out);
    return 0;
}

static int
on_failed (void *context, struct request *request, litedfs_error_t *e)
{
    struct node_failed_request in;
    struct node_failed_reply out;
    struct world_node *node = node_of (request);
    (void) context;

    if (message_request_fields (request->message, &in, e) < 0)
        return e->number;
    for (size_t i = 0; i < in.copies_count; i++) {
        node->failed = in.copies[i];
        node->failed_word = err_from_word (in.copies[i].error.data, in.copies[i].error.size);
    }
    reply (&request, &out);
    return 0;
}

static void
send_order (struct world_node *node)
{
    struct node_orders_reply out = {
        .epoch = 1, .transaction = 12, .orders = &node->order, .orders_count = 1};

    if (node->parked != NULL && node->order.number > node->confirmed)
        reply (&node->parked, &out);
}

static int
on_orders (void *context, struct request *request, litedfs_error_t *e)
{
    struct node_orders_request in;
    struct world_node *node = node_of (request);
    (void) context;

    if (message_request_fields (request->message, &in, e) < 0)
        return e->number;
    node->confirmed = in.after;
    request_destroy (&node->parked);
    node->parked = request;
    send_order (node);
    return 0;
}

static const struct router_row name_rows[] = {
    {MESSAGE_node_register, on_register, PEER_ANY},
    {MESSAGE_node_heartbeat, on_heartbeat, PEER_NODE},
    {MESSAGE_node_list, on_list, PEER_ANY},
    {MESSAGE_node_report, on_report, PEER_NODE},
    {MESSAGE_node_inventory, on_inventory, PEER_NODE},
    {MESSAGE_node_orders, on_orders, PEER_NODE},
    {MESSAGE_node_failed, on_failed, PEER_NODE},
};

static void
start_name (void)
{
    struct net_list list = {0};
    struct router_options options = {.role = SOCKET_NAME_ROUTER,
                                     .domain = "name",
                                     .host = "127.0.0.1",
                                     .log = log_,
                                     .clock = clock_system ()};

    net_list_add_loopback (&list);
    ck_assert_int_eq (zap_allow (zap, "name", &list, NULL, &error), 0);
    ck_assert_msg (router_new (&name.router, &options, &error) == 0, "%s", error.text);
}

void
stop_name (void)
{
    for (int i = 1; i <= NODES; i++) {
        request_destroy (&nodes[i].parked);
        nodes[i].session = 0;
    }
    router_destroy (&name.router);
}

void
pump (long ms)
{
    struct request *request;
    uint64_t session;

    if (name.router == NULL) {
        zmq_poll (NULL, 0, ms);
        return;
    }
    zmq_pollitem_t items[] = {{router_socket (name.router), 0, ZMQ_POLLIN, 0},
                              {router_monitor_socket (name.router), 0, ZMQ_POLLIN, 0}};
    zmq_poll (items, 2, ms);
    while (router_closed (name.router, &session))
        for (int i = 1; i <= NODES; i++)
            if (nodes[i].session == session)
                nodes[i].session = 0;
    while (router_receive (name.router, &request))
        router_dispatch (name.router, name_rows, sizeof name_rows / sizeof *name_rows, NULL,
                         node_of (request) != NULL ? PEER_NODE : PEER_CLIENT, &request);
}

bool
has_reported (uint32_t number, uint64_t block)
{
    for (size_t i = 0; i < name.report_count; i++)
        if (name.reports[i].node == number && name.reports[i].block == block)
            return true;
    return false;
}

void
order_copy (uint32_t number, uint64_t order, uint64_t block, uint32_t target)
{
    nodes[number].order = (struct wire_order){
        .number = order, .kind = ORDER_COPY, .block = block, .target = target};
    send_order (&nodes[number]);
}

/* ---- the data nodes ----------------------------------------------------------------------------- */

void
set (uint32_t number, const char *key, const char *text)
{
    ck_assert_msg (
        conf_set (datanode_options, &nodes[number].config, key, text, &arena, &error) == 0,
        "%s", error.text);
}

static void
configure (uint32_t number)
{
    char port[16];

    ck_assert_int_eq (conf_defaults (datanode_options, &nodes[number].config, &arena, &error),
                      0);
    snprintf (nodes[number].path, sizeof nodes[number].path, "%s/data%u", directory, number);
    set (number, "data_path", nodes[number].path);
    snprintf (port, sizeof port, "%d", router_port (name.router));
    set (number, "name_tcp_port", port);
    set (number, "tcp_host", "127.0.0.1");
    set (number, "tcp_port", "0");
    set (number, "chain_port", "0");
    set (number, "heartbeat_interval", "0.1");
    set (number, "retry_interval", "0.2");
    set (number, "pipeline_timeout", "2");
    set (number, "storage_preserve_space", "0");
    ck_assert_msg (datanode_config_check ("test", &nodes[number].config, &error) == 0, "%s",
                   error.text);
}

void
start_node (uint32_t number)
{
    struct world_node *node = &nodes[number];
    struct datanode_options options = {.config = &node->config,
                                       .version = "test",
                                       .zap = zap,
                                       .log = log_,
                                       .clock = clock_system ()};
    char endpoint[64];
    struct dealer_options dealer = {.endpoint = endpoint, .clock = clock_system ()};

    ck_assert_msg (datanode_start (&node->node, &options, &error) == 0, "%s", error.text);
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", datanode_tcp_port (node->node));
    ck_assert_msg (dealer_new (&node->client, &dealer, &error) == 0, "%s", error.text);
}

void
stop_node (uint32_t number)
{
    struct datanode **node = &nodes[number].node;

    dealer_destroy (&nodes[number].client);
    if (*node == NULL)
        return;
    int tcp_port = datanode_tcp_port (*node);
    int chain_port = datanode_chain_port (*node);
    datanode_stop (node);
    wait_for_free_port (tcp_port);
    wait_for_free_port (chain_port);
}

/* Somebody who takes what is sent and says nothing. */
static void
start_silent (void)
{
    struct socket_options options = {.zap_domain = "name"};
    int port;

    silent = socket_new (SOCKET_PULL_PEER, &options, &error);
    ck_assert_msg (silent != NULL, "%s", error.text);
    ck_assert_int_eq (socket_bind (silent, "127.0.0.1", 0, &port, &error), 0);
    table[SILENT] = (struct wire_endpoint){.node = SILENT,
                                           .host = slice_str ("127.0.0.1"),
                                           .tcp_port = 1,
                                           .chain_port = (uint64_t) port,
                                           .online = true};
    table[DEAD] = table[SILENT];
    table[DEAD].node = DEAD;
    table[DEAD].chain_port = 1; // tcpmux: nobody has it
}

static int
remove_one (const char *path, const struct stat *info, int flag, struct FTW *ftw)
{
    (void) info;
    (void) flag;
    (void) ftw;
    return remove (path);
}

/* Whether a node knows where all others are: it says so in the file that it keeps. */
static bool
knows_all (uint32_t number)
{
    char path[256];
    char text[4096];

    snprintf (path, sizeof path, "%s/nodes", nodes[number].path);
    FILE *file = fopen (path, "r");
    if (file == NULL)
        return false;
    size_t size = fread (text, 1, sizeof text - 1, file);
    text[size] = '\0';
    fclose (file);
    for (int i = 1; i <= NODES; i++) {
        char port[16];
        snprintf (port, sizeof port, "%u", (unsigned) table[i].chain_port);
        if (table[i].node == 0 || strstr (text, port) == NULL)
            return false;
    }
    return true;
}

void
setup (void)
{
    ck_assert_msg (process_init_czmq (1, &error) == 0, "%s", error.text);
    ck_assert_ptr_nonnull (mkdtemp (directory));
    ck_assert_int_eq (log_open (&log_, directory, "test", LOG_LEVEL_NOSET, false, &error), 0);
    ck_assert_msg (zap_start (&zap, log_, clock_system (), &error) == 0, "%s", error.text);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) (i * 2654435761u >> 13);
    uuid_random (&name.cluster, &error);
    start_name ();
    start_silent ();
    for (uint32_t i = 1; i <= NODES; i++) {
        configure (i);
        start_node (i);
        WAIT_FOR (nodes[i].session != 0);
    }
    for (uint32_t i = 1; i <= NODES; i++)
        WAIT_FOR (knows_all (i) && nodes[i].parked != NULL);
}

void
teardown (void)
{
    for (uint32_t i = 1; i <= NODES; i++)
        stop_node (i);
    stop_name ();
    socket_close (&silent);
    zap_stop (&zap);
    log_close (&log_);
    arena_free (&arena);
    process_end ();
    if (getenv ("KEEP") == NULL)
        nftw (directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- the clients -------------------------------------------------------------------------------- */

/* The name node goes on while a client waits. */
struct answer {
    bool done;
    int rc;
    void *reply;
    enum message_number op;
    struct wire_replica *nodes; // copied to
};

static void
on_answer (void *arg, struct message *message, zmq_msg_t *payload,
           const litedfs_error_t *problem)
{
    struct answer *answer = arg;
    (void) payload;

    answer->done = true;
    if (problem != NULL) {
        error = *problem;
        answer->rc = problem->number;
        return;
    }
    ck_assert_msg (
        message_reply_fields (message, &message_types[answer->op], answer->reply, &error) == 0,
        "%s", error.text);
    if (answer->op == MESSAGE_block_write) {
        struct block_write_reply *out = answer->reply;
        memcpy (answer->nodes, out->nodes, out->nodes_count * sizeof *out->nodes);
        out->nodes = answer->nodes;
    } else if (answer->op == MESSAGE_block_stat) {
        struct block_stat_reply *out = answer->reply;
        memcpy (answer->nodes, out->nodes, out->nodes_count * sizeof *out->nodes);
        out->nodes = answer->nodes;
    }
}

static int
ask (uint32_t number, enum message_number op, const void *request, zmq_msg_t *payload,
     void *out, struct wire_replica *replicas)
{
    struct answer answer = {.op = op, .reply = out, .nodes = replicas};

    memset (&error, 0, sizeof error);
    ck_assert_int_gt (dealer_send (nodes[number].client, &message_types[op], request, payload,
                                   CALL_MS, on_answer, &answer, &error),
                      0);
    for (int64_t until = clock_mono (clock_system ()) + CALL_MS + 1000; !answer.done;) {
        zmq_pollitem_t items[DEALER_POLL_ITEMS];
        ck_assert_int_lt (clock_mono (clock_system ()), until);
        zmq_poll (items, (int) dealer_poll_items (nodes[number].client, items), 5);
        dealer_process (nodes[number].client);
        pump (0);
    }
    return answer.rc;
}

int
put (struct writing *self, uint64_t offset, size_t size, bool last)
{
    struct block_write_request request;
    uint64_t chain[63];
    zmq_msg_t payload;

    message_request_init (&message_types[MESSAGE_block_write], &request);
    request.block = self->block;
    request.node = self->chain[0];
    request.offset = offset;
    request.crc32 = crc32_of (0, bytes + offset % CHUNK, size);
    request.last = last;
    memcpy (chain, self->chain + 1, (self->count - 1) * sizeof *chain);
    request.chain = chain;
    request.chain_count = self->count - 1;
    if (offset == 0) {
        request.file.bytes[0] = 9;
        request.path = slice_str ("/a/b");
    }
    zmq_msg_init_size (&payload, size);
    memcpy (zmq_msg_data (&payload), bytes + offset % CHUNK, size);
    int rc = ask ((uint32_t) self->chain[0], MESSAGE_block_write, &request, &payload,
                  &self->reply, self->nodes);
    zmq_msg_close (&payload);
    return rc;
}

enum replica_state
put_range (struct writing *self, uint64_t from, uint64_t to, bool last)
{
    while (from < to) {
        size_t part = to - from < CHUNK ? (size_t) (to - from) : CHUNK;
        ck_assert_msg (put (self, from, part, last && from + part == to) == 0, "%s",
                       error.text);
        from += part;
    }
    while (last &&
           (self->reply.state == REPLICA_RECEIVING || self->reply.state == REPLICA_SYNCING)) {
        struct block_stat_request request = {
            .block = self->block, .node = self->chain[0], .wait = 1000};
        struct block_stat_reply state;
        ck_assert_msg (ask ((uint32_t) self->chain[0], MESSAGE_block_stat, &request, NULL,
                            &state, self->nodes) == 0,
                       "%s", error.text);
        self->reply.state = state.state;
        self->reply.offset = state.offset;
        self->reply.nodes_count = state.nodes_count;
    }
    return (enum replica_state) self->reply.state;
}

enum replica_state
state_of (const struct writing *self, uint32_t number)
{
    for (size_t i = 0; i < self->reply.nodes_count; i++)
        if (self->nodes[i].node == number)
            return (enum replica_state) self->nodes[i].state;
    return REPLICA_UNKNOWN;
}

int
check_block (uint32_t number, uint64_t block, size_t size)
{
    size_t offset = 0;

    while (offset < size) {
        struct block_read_request request = {
            .block = block, .node = number, .offset = offset, .size = WIRE_CHUNK_MAX};
        struct block_read_reply out;
        struct dealer_reply *kept = NULL;
        int rc = dealer_call (nodes[number].client, &message_types[MESSAGE_block_read],
                              &request, NULL, &out, &kept, CALL_MS, -1, &error);
        if (rc < 0)
            return rc;
        const uint8_t *data = zmq_msg_data (&kept->payload);
        ck_assert_uint_gt (out.size, 0);
        ck_assert_uint_eq (zmq_msg_size (&kept->payload), out.size);
        bool same = true;
        for (size_t i = 0; i < out.size; i++)
            same = same && data[i] == bytes[(offset + i) % CHUNK];
        ck_assert (same);
        offset += out.size;
        dealer_reply_destroy (&kept);
    }
    ck_assert_uint_eq (offset, size);
    return 0;
}
