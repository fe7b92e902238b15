/* SPDX-License-Identifier: MIT */
/*
 * A real data node in this process, between a name node that is played here and a client that speaks to
 * it over TCP.  Time is the machine's; every wait ends with the event or fails after WAIT_MS.
 */
#include "datanode/datanode.h"

#include "../unit/unit.h"
#include "base/crc.h"
#include "base/err.h"
#include "base/process.h"
#include "datanode/pipeline.h"
#include "rpc/dealer.h"
#include "rpc/router.h"
#include "rpc/socket.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 20000
#define CALL_MS 10000
#define NODE 3
#define CHUNK (2 * CRC_UNIT) // small: the thread sanitizer is slow with what libzmq sends
#define BIG ((size_t) WIRE_CHUNK_MAX)
#define BLOCK 0x10000000007
#define CHANGES_MAX 256
#define ORDERS_MAX 16

static struct zap *zap;
static struct log *log_;
static char directory[] = "/tmp/litedfs-datanode-XXXXXX";
static struct arena arena;
static struct datanode_config config;
static struct datanode *node;
static struct dealer *client;
static uint8_t bytes[WIRE_CHUNK_MAX];
static litedfs_error_t error;

/* ---- the name node ------------------------------------------------------------------------------ */

static struct {
    struct router *router;
    struct uuid cluster;
    uint64_t session; // that has registered, 0: none
    unsigned registered;
    unsigned heartbeats;
    struct node_register_request registration;
    struct wire_change changes[CHANGES_MAX];
    size_t change_count;
    uint64_t seq;
    struct wire_order orders[ORDERS_MAX];
    size_t order_count;
    uint64_t confirmed; // orders
    struct request *parked;
} name;

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
    struct node_heartbeat_reply fields = {.epoch = 1, .transaction = 11, .table = 1};
    (void) context;
    if (message_request_fields (request->message, &in, e) < 0)
        return e->number;
    ck_assert_uint_eq (in.node, NODE);
    name.heartbeats++;
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
    struct node_report_reply fields = {.seq = name.seq};
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

static const struct router_row name_rows[] = {
    {MESSAGE_node_register, on_register, PEER_ANY},
    {MESSAGE_node_heartbeat, on_heartbeat, PEER_NODE},
    {MESSAGE_node_report, on_report, PEER_NODE},
    {MESSAGE_node_orders, on_orders, PEER_NODE},
};

static void
start_name (int port)
{
    struct net_list list = {0};
    struct router_options options = {.role = SOCKET_NAME_ROUTER,
                                     .domain = "name",
                                     .host = "127.0.0.1",
                                     .port = port,
                                     .log = log_,
                                     .clock = clock_system ()};

    net_list_add_loopback (&list);
    ck_assert_int_eq (zap_allow (zap, "name", &list, NULL, &error), 0);
    ck_assert_msg (router_new (&name.router, &options, &error) == 0, "%s", error.text);
}

static void
stop_name (void)
{
    request_destroy (&name.parked);
    router_destroy (&name.router);
    name.session = 0;
}

/* Let the name node answer what has come, for up to ms if nothing has. */
static void
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

#define WAIT_FOR(condition)                                                                    \
    for (int64_t until = clock_mono (clock_system ()) + WAIT_MS; !(condition);) {              \
        ck_assert_msg (clock_mono (clock_system ()) < until, "waited in vain: %s",             \
                       #condition);                                                            \
        pump (10);                                                                             \
    }

/* ---- the data node ------------------------------------------------------------------------------ */

static void
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

static void
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

/* Start it and wait until it is registered. */
static void
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

static void
setup (void)
{
    ck_assert_msg (process_init (1, &error) == 0, "%s", error.text);
    ck_assert_ptr_nonnull (mkdtemp (directory));
    ck_assert_int_eq (log_open (&log_, directory, "test", LOG_LEVEL_NOSET, false, &error), 0);
    ck_assert_msg (zap_start (&zap, log_, clock_system (), &error) == 0, "%s", error.text);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) (i * 2654435761u >> 13);
    uuid_random (&name.cluster, &error);
    start_name (0);
    configure ();
}

static void
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

static struct block_write_request
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

static int
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

static int
put (uint64_t block, uint64_t offset, size_t size, bool last, struct block_write_reply *out)
{
    struct block_write_request request = chunk_of (block, offset, size, last);

    return send_chunk (&request, size, out);
}

static int
stat_block (uint64_t block, struct block_stat_reply *out)
{
    struct block_stat_request request = {.block = block, .node = NODE, .wait = 1000};

    return dealer_call (client, &message_types[MESSAGE_block_stat], &request, NULL, out, NULL,
                        CALL_MS, -1, &error);
}

/* Write a whole block, whose bytes are those of `bytes`, in chunks. */
static void
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

/* Read a range and check that it is what put_block wrote. */
static int
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

static void
order_delete (uint64_t number, uint64_t block)
{
    name.orders[name.order_count++] =
        (struct wire_order){.number = number, .kind = ORDER_DELETE, .block = block};
    send_orders ();
}

/* ---- cases -------------------------------------------------------------------------------------- */

START_TEST (a_node_registers_once_and_sends_heartbeats)
{
    start_registered ();
    ck_assert_uint_eq (name.registration.tcp_port, (uint64_t) datanode_tcp_port (node));
    ck_assert_uint_eq (name.registration.node, 0);
    ck_assert_uint_eq (name.registration.host.size, 0);
    ck_assert_uint_gt (name.registration.storage_total, 0);
    WAIT_FOR (name.heartbeats >= 3);
    ck_assert_uint_eq (name.registered, 1);
    ck_assert (!datanode_failed (node, &error));
}
END_TEST

START_TEST (a_block_is_written_read_and_reported)
{
    struct block_read_reply out;

    start_registered ();
    put_block (BLOCK, 3 * CHUNK + 100);
    int64_t durable_ms = clock_mono (clock_system ());
    WAIT_FOR (name.change_count == 1);
    ck_assert_int_lt (clock_mono (clock_system ()) - durable_ms, 1000);
    ck_assert_int_eq (name.changes[0].kind, CHANGE_ADDED);
    ck_assert_uint_eq (name.changes[0].block, BLOCK);
    ck_assert_uint_eq (name.changes[0].size, 3 * CHUNK + 100);

    ck_assert_int_eq (get (BLOCK, 0, CHUNK, &out), 0);
    ck_assert_int_eq (get (BLOCK, 1, 4 * CHUNK - 1, &out), 0);
    ck_assert_uint_eq (out.size, 3 * CHUNK + 99);
    ck_assert_int_eq (get (BLOCK, 3 * CHUNK + 99, 1, &out), 0);
    ck_assert_uint_eq (out.size, 1);
    ck_assert_int_eq (get (BLOCK, 3 * CHUNK + 101, 1, &out), LITEDFS_INVALID);
    ck_assert_int_eq (get (BLOCK + 1, 0, 1, &out), LITEDFS_NOT_FOUND);
}
END_TEST

START_TEST (gaps_and_doubled_chunks_are_answered)
{
    struct block_write_reply out;
    struct block_stat_reply state;

    start_registered ();
    ck_assert_int_eq (put (BLOCK, CHUNK, CHUNK, false, &out), LITEDFS_GAP);
    ck_assert_int_eq (stat_block (BLOCK, &state), 0);
    ck_assert_int_eq (state.state, REPLICA_UNKNOWN);
    ck_assert_int_eq (put (BLOCK, 0, CHUNK, false, &out), 0);
    ck_assert_uint_eq (out.offset, CHUNK);
    ck_assert_uint_ge (out.credit, CHUNK);
    ck_assert_int_eq (put (BLOCK, 0, CHUNK, false, &out), 0);
    ck_assert_uint_eq (out.offset, CHUNK);
    ck_assert_int_eq (put (BLOCK, 3 * CHUNK, CHUNK, false, &out), LITEDFS_GAP);
    ck_assert_ptr_nonnull (strstr (error.text, "131072"));
    ck_assert_int_eq (put (BLOCK, CHUNK, 10, true, &out), 0);
    ck_assert_int_eq (stat_block (BLOCK, &state), 0);
    ck_assert_int_eq (state.state, REPLICA_DURABLE);

    // Finished: each chunk again is fine, other bytes are not.
    ck_assert_int_eq (put (BLOCK, 0, CHUNK, false, &out), 0);
    ck_assert_int_eq (out.state, REPLICA_DURABLE);
    ck_assert_uint_eq (out.offset, CHUNK + 10);
    ck_assert_int_eq (put (BLOCK, CHUNK, 10, true, &out), 0);
    bytes[1000] ^= 1;
    ck_assert_int_eq (put (BLOCK, 0, CHUNK, false, &out), LITEDFS_EXISTS);
}
END_TEST

START_TEST (wrong_bytes_and_wrong_nodes_are_refused)
{
    struct block_write_request request = chunk_of (BLOCK, 0, CHUNK, false);
    struct block_write_reply out;

    start_registered ();
    request.crc32 ^= 1;
    ck_assert_int_eq (send_chunk (&request, CHUNK, &out), LITEDFS_CORRUPT);
    request.crc32 ^= 1;
    request.node = NODE + 1;
    ck_assert_int_eq (send_chunk (&request, CHUNK, &out), LITEDFS_WRONG_NODE);
    request.node = NODE;
    request.offset = 1;
    ck_assert_int_eq (send_chunk (&request, CHUNK, &out), LITEDFS_INVALID);
    put_block (BLOCK, CHUNK);
}
END_TEST

START_TEST (more_than_memory_limit_is_answered_busy)
{
    struct block_write_reply out;
    uint64_t block = BLOCK;

    set ("memory_limit", "16M");
    start_registered ();
    while (put (block, 0, BIG, false, &out) == 0)
        ck_assert_uint_lt (block++ - BLOCK, 8);
    ck_assert_int_eq (error.number, LITEDFS_BUSY);
    ck_assert_uint_gt (block, BLOCK);
    ck_assert_int_eq (put (BLOCK, BIG, 0, true, &out), 0);
    WAIT_FOR (put (block, 0, BIG, false, &out) == 0);
}
END_TEST

START_TEST (a_delete_order_is_carried_out_reported_and_confirmed)
{
    struct block_read_reply out;
    struct block_write_reply written;

    start_registered ();
    put_block (BLOCK, 2 * CHUNK);
    put_block (BLOCK + 1, CHUNK);
    order_delete (5, BLOCK);
    WAIT_FOR (name.confirmed == 5);
    WAIT_FOR (name.change_count == 3);
    ck_assert_int_eq (name.changes[2].kind, CHANGE_REMOVED);
    ck_assert_uint_eq (name.changes[2].block, BLOCK);
    ck_assert_int_eq (get (BLOCK, 0, CHUNK, &out), LITEDFS_NOT_FOUND);
    ck_assert_int_eq (get (BLOCK + 1, 0, CHUNK, &out), 0);
    ck_assert_int_eq (put (BLOCK, 0, CHUNK, false, &written), LITEDFS_LEASE_LOST);
    order_delete (6, BLOCK + 1);
    WAIT_FOR (name.confirmed == 6);
}
END_TEST

START_TEST (a_delete_order_ends_a_block_in_write)
{
    struct block_write_reply out;

    start_registered ();
    ck_assert_int_eq (put (BLOCK, 0, CHUNK, false, &out), 0);
    order_delete (1, BLOCK);
    WAIT_FOR (name.confirmed == 1);
    ck_assert_int_eq (put (BLOCK, CHUNK, CHUNK, false, &out), LITEDFS_LEASE_LOST);
    ck_assert_uint_eq (name.change_count, 0);
}
END_TEST

START_TEST (number_blocks_and_port_outlive_a_restart_and_are_served_without_a_name_node)
{
    struct block_read_reply out;

    start_registered ();
    put_block (BLOCK, 2 * CHUNK);
    WAIT_FOR (name.change_count == 1);
    int port = datanode_tcp_port (node);
    datanode_stop (&node);
    int name_port = router_port (name.router);
    stop_name ();
    start_node ();
    ck_assert_int_eq (datanode_tcp_port (node), port);
    ck_assert_int_eq (get (BLOCK, 0, 2 * CHUNK, &out), 0);
    put_block (BLOCK + 1, CHUNK);

    start_name (name_port);
    WAIT_FOR (name.change_count == 2);
    ck_assert_uint_eq (name.registration.node, NODE);
    ck_assert_uint_eq (name.changes[1].block, BLOCK + 1);
}
END_TEST

START_TEST (a_session_that_the_name_node_forgot_registers_again)
{
    start_registered ();
    name.session = 0;
    WAIT_FOR (name.registered == 2);
    unsigned beats = name.heartbeats;
    WAIT_FOR (name.heartbeats > beats && name.parked != NULL);
}
END_TEST

START_TEST (a_name_node_with_other_changes_gets_every_block_anew)
{
    start_registered ();
    put_block (BLOCK, CHUNK);
    WAIT_FOR (name.change_count == 1);
    name.seq = 100; // it knows more than this index ever had
    name.session = 0;
    WAIT_FOR (name.change_count == 2);
    ck_assert_uint_gt (name.changes[1].seq, 100);
    ck_assert_uint_eq (name.changes[1].block, BLOCK);
}
END_TEST

START_TEST (another_cluster_is_not_joined)
{
    struct block_read_reply out;

    start_registered ();
    put_block (BLOCK, CHUNK);
    datanode_stop (&node);
    name.cluster.bytes[3] ^= 1;
    unsigned before = name.registered;
    start_node ();
    WAIT_FOR (name.registered > before);
    unsigned beats = name.heartbeats;
    for (int i = 0; i < 50; i++)
        pump (10);
    ck_assert_uint_eq (name.heartbeats, beats);
    ck_assert_int_eq (get (BLOCK, 0, CHUNK, &out), 0);
}
END_TEST

START_TEST (a_damaged_unit_is_an_error_and_the_others_are_read)
{
    struct block_read_reply out;
    char path[256];
    uint8_t wrong = 0;

    start_registered ();
    put_block (BLOCK, 8 * CRC_UNIT);
    snprintf (path, sizeof path, "%s/data/blocks/%02x/%016llx", directory,
              (unsigned) (BLOCK & 0xff), (unsigned long long) BLOCK);
    int fd = open (path, O_RDWR);
    ck_assert_int_ge (fd, 0);
    ck_assert_int_eq (pread (fd, &wrong, 1, 3 * CRC_UNIT), 1);
    wrong ^= 0xff;
    ck_assert_int_eq (pwrite (fd, &wrong, 1, 3 * CRC_UNIT), 1);
    close (fd);
    ck_assert_int_eq (get (BLOCK, 0, 3 * CRC_UNIT, &out), 0);
    ck_assert_int_eq (get (BLOCK, 0, 8 * CRC_UNIT, &out), LITEDFS_CORRUPT);
    ck_assert_int_eq (get (BLOCK, 4 * CRC_UNIT, CRC_UNIT, &out), 0);
}
END_TEST

static unsigned reads_done;

static void
on_read (void *arg, struct message *message, zmq_msg_t *payload, const litedfs_error_t *problem)
{
    (void) arg;
    (void) message;
    ck_assert_msg (problem == NULL, "%s", problem != NULL ? problem->text : "");
    ck_assert_uint_eq (zmq_msg_size (payload), CHUNK);
    reads_done++;
}

START_TEST (many_reads_at_once_are_answered)
{
    struct block_read_request request = {.block = BLOCK, .node = NODE, .size = CHUNK};

    start_registered ();
    put_block (BLOCK, 4 * CHUNK);
    for (unsigned i = 0; i < 8; i++) {
        request.offset = i % 4 * CHUNK;
        ck_assert_int_gt (dealer_send (client, &message_types[MESSAGE_block_read], &request,
                                       NULL, CALL_MS, on_read, NULL, &error),
                          0);
    }
    WAIT_FOR ((dealer_process (client), reads_done == 8));
}
END_TEST

START_TEST (hostile_frames_change_nothing)
{
    static const char *const garbage[] = {"", "x", "\xdd\x10\x00\x00\x00", "\x81\xa2op\xc0",
                                          "\x82\xa2op\xab"
                                          "block.write\xa2id\x01"};
    char endpoint[64];
    void *socket = socket_new (SOCKET_DEALER, NULL, &error);

    start_registered ();
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", datanode_tcp_port (node));
    ck_assert_int_eq (socket_connect_endpoint (socket, endpoint, &error), 0);
    zmq_pollitem_t item = {socket, 0, ZMQ_POLLOUT, 0};
    ck_assert_int_eq (zmq_poll (&item, 1, WAIT_MS), 1);
    for (int round = 0; round < 200; round++) {
        const char *frame = garbage[round % 5];
        size_t size = round % 5 == 2 ? 5 : strlen (frame);
        for (int more = round % 20; more > 0; more--)
            zmq_send (socket, frame, size, ZMQ_SNDMORE);
        zmq_send (socket, bytes, (size_t) round * 100, 0);
    }
    put_block (BLOCK, 2 * CHUNK);
    socket_close (&socket);
    ck_assert (!datanode_failed (node, &error));
}
END_TEST

static void
on_chunk (void *arg, struct message *message, zmq_msg_t *payload,
          const litedfs_error_t *problem)
{
    (void) arg;
    (void) message;
    (void) payload;
    (void) problem;
}

START_TEST (it_stops_at_once_in_mid_transfer)
{
    zmq_msg_t payload;

    start_registered ();
    for (unsigned i = 0; i < 8; i++) {
        struct block_write_request request = chunk_of (BLOCK, i * CHUNK, CHUNK, false);
        zmq_msg_init_size (&payload, CHUNK);
        memcpy (zmq_msg_data (&payload), bytes, CHUNK);
        dealer_send (client, &message_types[MESSAGE_block_write], &request, &payload, CALL_MS,
                     on_chunk, NULL, &error);
        zmq_msg_close (&payload);
    }
    for (int i = 0; i < 5; i++) {
        pump (1);
        dealer_process (client);
    }
    int64_t begun_ms = clock_mono (clock_system ());
    datanode_stop (&node);
    ck_assert_int_lt (clock_mono (clock_system ()) - begun_ms, 4000);
    struct block_stat_reply state;
    start_node (); // what was on its way is gone
    ck_assert_int_eq (stat_block (BLOCK, &state), 0);
    ck_assert_int_eq (state.state, REPLICA_UNKNOWN);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "datanode", setup, teardown, a_node_registers_once_and_sends_heartbeats,
    a_block_is_written_read_and_reported, gaps_and_doubled_chunks_are_answered,
    wrong_bytes_and_wrong_nodes_are_refused, more_than_memory_limit_is_answered_busy,
    a_delete_order_is_carried_out_reported_and_confirmed, a_delete_order_ends_a_block_in_write,
    number_blocks_and_port_outlive_a_restart_and_are_served_without_a_name_node,
    a_session_that_the_name_node_forgot_registers_again,
    a_name_node_with_other_changes_gets_every_block_anew, another_cluster_is_not_joined,
    a_damaged_unit_is_an_error_and_the_others_are_read, many_reads_at_once_are_answered,
    hostile_frames_change_nothing, it_stops_at_once_in_mid_transfer)
