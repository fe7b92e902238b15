/* SPDX-License-Identifier: MIT */
#include "datanode_world.h"

#include "base/process.h"

#include "free_port.h"

#include <ftw.h>
#include <unistd.h>

char directory[] = "/tmp/litedfs-datanode-XXXXXX";
struct datanode *node;
struct dealer *client;
uint8_t bytes[WIRE_CHUNK_MAX];
litedfs_error_t error;
struct played_name name;
static struct zap *zap;
static struct log *log_;
static struct arena arena;
static struct datanode_config config;

/* ---- the name node ------------------------------------------------------------------------------ */

static void
reply (struct request *request, const void *fields)
{
    router_reply (name.router, &request->route, request->message->envelope.id,
                  request->message->type, fields, NULL);
}

static int
on_register (void *context, struct request *request, litedfs_error_t *e)
{
    (void) context;
    if (message_request_fields (request->message, &name.registration, e) < 0)
        return e->number;
    struct node_register_reply fields = {.cluster = name.cluster,
                                         .node = NODE,
                                         .epoch = 1,
                                         .transaction = 10,
                                         .seq = name.seq,
                                         .table = 1};
    name.session = request->route.session;
    name.registered++;
    reply (request, &fields);
    request_destroy (&request);
    return 0;
}

static int
on_heartbeat (void *context, struct request *request, litedfs_error_t *e)
{
    struct node_heartbeat_request in;
    struct node_heartbeat_reply fields = {.epoch = 1, .transaction = 11, .table = name.table};
    (void) context;
    if (message_request_fields (request->message, &in, e) < 0)
        return e->number;
    ck_assert_uint_eq (in.node, NODE);
    name.heartbeats++;
    name.heard_table = in.table;
    if (in.table != name.table) {
        fields.nodes = name.nodes;
        fields.nodes_count = name.node_count;
    }
    reply (request, &fields);
    request_destroy (&request);
    return 0;
}

static int
on_report (void *context, struct request *request, litedfs_error_t *e)
{
    struct node_report_request in;
    (void) context;
    if (message_request_fields (request->message, &in, e) < 0)
        return e->number;
    for (size_t i = 0; i < in.changes_count; i++) {
        ck_assert_uint_lt (name.change_count, CHANGES_MAX);
        name.changes[name.change_count++] = in.changes[i];
        name.seq = in.changes[i].seq;
    }
    struct node_report_reply fields = {.seq = name.seq, .compare = name.compare};
    name.compare = false;
    reply (request, &fields);
    request_destroy (&request);
    return 0;
}

static void
send_orders (void)
{
    struct node_orders_reply fields = {
        .epoch = 1, .transaction = 12, .orders = name.orders, .orders_count = name.order_count};

    if (name.parked == NULL || name.order_count == 0)
        return;
    reply (name.parked, &fields);
    request_destroy (&name.parked);
}

static int
on_orders (void *context, struct request *request, litedfs_error_t *e)
{
    struct node_orders_request in;
    (void) context;
    if (message_request_fields (request->message, &in, e) < 0)
        return e->number;
    name.confirmed = in.after;
    while (name.order_count > 0 && name.orders[0].number <= in.after) {
        name.order_count--;
        memmove (name.orders, name.orders + 1, name.order_count * sizeof *name.orders);
    }
    request_destroy (&name.parked);
    name.parked = request;
    send_orders ();
    return 0;
}

static int
on_list (void *context, struct request *request, litedfs_error_t *e)
{
    struct node_list_request in;
    struct node_list_reply fields = {
        .table = name.table, .nodes = name.nodes, .nodes_count = name.node_count};
    (void) context;
    if (message_request_fields (request->message, &in, e) < 0)
        return e->number;
    name.lists++;
    reply (request, &fields);
    request_destroy (&request);
    return 0;
}

static int
on_inventory (void *context, struct request *request, litedfs_error_t *e)
{
    struct node_inventory_request in;
    (void) context;
    if (message_request_fields (request->message, &in, e) < 0)
        return e->number;
    struct node_inventory_reply fields = {
        .seq = in.seq, .buckets = slice_of (name.differ, sizeof name.differ)};
    name.inventories++;
    name.inventory_seq = in.seq;
    memcpy (name.digests, in.digests.data, in.digests.size);
    reply (request, &fields);
    request_destroy (&request);
    return 0;
}

/* Everything is taken. */
static int
on_listing (void *context, struct request *request, litedfs_error_t *e)
{
    struct node_listing_request in;
    (void) context;
    if (message_request_fields (request->message, &in, e) < 0)
        return e->number;
    const struct wire_range *last = &in.ranges[in.ranges_count - 1];
    struct node_listing_reply fields = {
        .taken = !name.refuse_listings, .bucket = last->bucket, .block = last->last};
    name.listings++;
    for (size_t i = 0; i < in.blocks_count && name.listed_count < CHANGES_MAX; i++)
        name.listed[name.listed_count++] = in.blocks[i];
    reply (request, &fields);
    request_destroy (&request);
    return 0;
}

static const struct router_row name_rows[] = {
    {MESSAGE_node_register, on_register, PEER_ANY},
    {MESSAGE_node_heartbeat, on_heartbeat, PEER_NODE},
    {MESSAGE_node_report, on_report, PEER_NODE},
    {MESSAGE_node_inventory, on_inventory, PEER_NODE},
    {MESSAGE_node_listing, on_listing, PEER_NODE},
    {MESSAGE_node_orders, on_orders, PEER_NODE},
    {MESSAGE_node_list, on_list, PEER_NODE},
};

void
start_name (int port)
{
    struct net_list list = {0};
    struct router_options options = {.role = SOCKET_NAME_ROUTER,
                                     .domain = "name",
                                     .host = "127.0.0.1",
                                     .port = port,
                                     .log = log_,
                                     .clock = clock_system ()};

    if (port != 0)
        wait_for_free_port (port);
    net_list_add_loopback (&list);
    ck_assert_int_eq (zap_allow (zap, "name", &list, NULL, &error), 0);
    ck_assert_msg (router_new (&name.router, &options, &error) == 0, "%s", error.text);
}

void
stop_name (void)
{
    request_destroy (&name.parked);
    router_destroy (&name.router);
    name.session = 0;
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
        if (session == name.session)
            name.session = 0;
    while (router_receive (name.router, &request)) {
        bool known = request->route.session == name.session;
        router_dispatch (name.router, name_rows, sizeof name_rows / sizeof *name_rows, NULL,
                         known ? PEER_NODE : PEER_CLIENT, &request);
    }
}

/* ---- the data node ------------------------------------------------------------------------------ */

void
set (const char *key, const char *text)
{
    ck_assert_msg (conf_set (datanode_options, &config, key, text, &arena, &error) == 0, "%s",
                   error.text);
}

static void
configure (void)
{
    char path[128];
    char port[16];

    ck_assert_int_eq (conf_defaults (datanode_options, &config, &arena, &error), 0);
    snprintf (path, sizeof path, "%s/data", directory);
    set ("data_path", path);
    snprintf (port, sizeof port, "%d", router_port (name.router));
    set ("name_tcp_port", port);
    set ("tcp_host", "127.0.0.1");
    set ("tcp_port", "0");
    set ("chain_port", "0");
    set ("heartbeat_interval", "0.1");
    set ("retry_interval", "0.2");
    set ("storage_preserve_space", "0");
    ck_assert_msg (datanode_config_check ("test", &config, &error) == 0, "%s", error.text);
}

static void
connect_client (void)
{
    char endpoint[64];
    struct dealer_options options = {.endpoint = endpoint, .clock = clock_system ()};

    dealer_destroy (&client);
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", datanode_tcp_port (node));
    ck_assert_msg (dealer_new (&client, &options, &error) == 0, "%s", error.text);
}

void
start_node (void)
{
    struct datanode_options options = {.config = &config,
                                       .version = "test",
                                       .zap = zap,
                                       .log = log_,
                                       .clock = clock_system ()};

    ck_assert_msg (datanode_start (&node, &options, &error) == 0, "%s", error.text);
    connect_client ();
}

void
stop_node (void)
{
    int tcp_port = datanode_tcp_port (node);
    int chain_port = datanode_chain_port (node);

    datanode_stop (&node);
    wait_for_free_port (tcp_port);
    wait_for_free_port (chain_port);
}

void
start_registered (void)
{
    unsigned before = name.registered;

    start_node ();
    WAIT_FOR (name.registered > before && name.parked != NULL);
}

static int
remove_one (const char *path, const struct stat *info, int flag, struct FTW *ftw)
{
    (void) info;
    (void) flag;
    (void) ftw;
    return remove (path);
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
    name.table = 1;
    start_name (0);
    configure ();
}

void
teardown (void)
{
    dealer_destroy (&client);
    datanode_stop (&node);
    stop_name ();
    zap_stop (&zap);
    log_close (&log_);
    arena_free (&arena);
    process_end ();
    nftw (directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- the client ---------------------------------------------------------------------------------- */

struct block_write_request
chunk_of (uint64_t block, uint64_t offset, size_t size, bool last)
{
    struct block_write_request request;

    message_request_init (&message_types[MESSAGE_block_write], &request);
    request.block = block;
    request.node = NODE;
    request.offset = offset;
    request.crc32 = crc32_of (0, bytes + offset % CHUNK, size);
    request.last = last;
    if (offset == 0) {
        request.file.bytes[0] = 9;
        request.path = slice_str ("/a/b");
    }
    return request;
}

int
send_chunk (const struct block_write_request *request, size_t size,
            struct block_write_reply *out)
{
    zmq_msg_t payload;

    zmq_msg_init_size (&payload, size);
    memcpy (zmq_msg_data (&payload), bytes + request->offset % CHUNK, size);
    memset (&error, 0, sizeof error);
    int rc = dealer_call (client, &message_types[MESSAGE_block_write], request, &payload, out,
                          NULL, CALL_MS, -1, &error);
    zmq_msg_close (&payload);
    return rc;
}

int
put (uint64_t block, uint64_t offset, size_t size, bool last, struct block_write_reply *out)
{
    struct block_write_request request = chunk_of (block, offset, size, last);

    return send_chunk (&request, size, out);
}

int
stat_block (uint64_t block, struct block_stat_reply *out)
{
    struct block_stat_request request = {.block = block, .node = NODE, .wait = 1000};

    return dealer_call (client, &message_types[MESSAGE_block_stat], &request, NULL, out, NULL,
                        CALL_MS, -1, &error);
}

void
put_block (uint64_t block, size_t size)
{
    struct block_write_reply out = {.offset = 0};
    size_t offset = 0;

    while (offset < size) {
        size_t part = size - offset < CHUNK ? size - offset : CHUNK;
        ck_assert_msg (put (block, offset, part, offset + part == size, &out) == 0, "%s",
                       error.text);
        offset += part;
    }
    struct block_stat_reply state;
    do
        ck_assert_int_eq (stat_block (block, &state), 0);
    while (state.state == REPLICA_RECEIVING || state.state == REPLICA_SYNCING);
    ck_assert_int_eq (state.state, REPLICA_DURABLE);
    ck_assert_uint_eq (state.size, size);
}

int
get (uint64_t block, uint64_t offset, size_t size, struct block_read_reply *out)
{
    struct block_read_request request = {
        .block = block, .node = NODE, .offset = offset, .size = size};
    struct dealer_reply *kept = NULL;

    int rc = dealer_call (client, &message_types[MESSAGE_block_read], &request, NULL, out,
                          &kept, CALL_MS, -1, &error);
    if (rc == 0) {
        const uint8_t *data = zmq_msg_data (&kept->payload);
        ck_assert_uint_eq (zmq_msg_size (&kept->payload), out->size);
        ck_assert_uint_eq (crc32_of (0, data, out->size), out->crc32);
        bool same = true;
        for (size_t i = 0; i < out->size; i++)
            same = same && data[i] == bytes[(offset + i) % CHUNK];
        ck_assert (same);
    }
    dealer_reply_destroy (&kept);
    return rc;
}

void
order_delete (uint64_t number, uint64_t block)
{
    name.orders[name.order_count++] =
        (struct wire_order){.number = number, .kind = ORDER_DELETE, .block = block};
    send_orders ();
}

void
order_copy (uint64_t number, uint64_t block, uint32_t target)
{
    name.orders[name.order_count++] = (struct wire_order){
        .number = number, .kind = ORDER_COPY, .block = block, .target = target};
    send_orders ();
}

void
name_node (uint32_t number, int chain_port, bool told)
{
    size_t at = 0;

    while (at < name.node_count && name.nodes[at].node != number)
        at++;
    ck_assert_uint_lt (at, NODES_MAX);
    name.node_count += at == name.node_count;
    name.nodes[at] = (struct wire_endpoint){
        .node = number, .tcp_port = 1, .chain_port = (uint64_t) chain_port, .online = true};
    name.table += told;
}
