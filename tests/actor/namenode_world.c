/* SPDX-License-Identifier: MIT */
/*
 * The name node, the clients and the data nodes of the actor tests: see the header.
 */
#include "namenode_world.h"

#include "base/err.h"
#include "base/process.h"
#include "rpc/socket.h"
#include "rpc/zap.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

char directory[64];
struct fake_clock fake;
struct namenode_config config;
static struct zap *zap;
struct namenode *namenode;
litedfs_error_t error;

/* ---- the name node ------------------------------------------------------------------------------ */

void
start_namenode (void)
{
    if (namenode_start (&namenode, &config, NULL, &fake.clock, &error) < 0)
        ck_abort_msg ("%s", error.text);
}

void
restart_namenode (void)
{
    namenode_stop (&namenode);
    start_namenode ();
}

int
remove_one (const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void) status;
    (void) kind;
    (void) at;
    return remove (path);
}

void
setup (void)
{
    struct net_list loopback = {0};

    strcpy (directory, "/tmp/litedfs-namenode-XXXXXX");
    ck_assert_ptr_nonnull (mkdtemp (directory));
    ck_assert_int_eq (process_init_czmq (1, &error), 0);
    fake_clock_init (&fake, 1000000, 1700000000000);
    net_list_add_loopback (&loopback);
    ck_assert_int_eq (zap_start (&zap, NULL, &fake.clock, &error), 0);
    ck_assert_int_eq (zap_allow (zap, NAMENODE_DOMAIN, &loopback, NULL, &error), 0);

    static char host[] = "127.0.0.1", path[128];
    snprintf (path, sizeof path, "%s/data", directory);
    config = (struct namenode_config){
        .tcp_host = host,
        .data_path = path,
        .block_size = 65536,
        .sync = true,
        .map_size = 4 << 20,
        .delete_delay = 60,
        .repair_delay = 60,
        .repair_streams = 64,
        .repair_walk_interval = 10,
        .quarantine_grace = 86400,
    };
    start_namenode ();
}

void
teardown (void)
{
    namenode_stop (&namenode);
    zap_stop (&zap);
    process_end ();
    nftw (directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- a peer --------------------------------------------------------------------------------------- */

struct peer
make_peer (void)
{
    struct peer peer = {.socket = socket_new (SOCKET_DEALER, NULL, &error)};

    ck_assert_ptr_nonnull (peer.socket);
    ck_assert_int_eq (
        socket_connect (peer.socket, "127.0.0.1", namenode_port (namenode), &error), 0);
    zmq_msg_init (&peer.frame);
    return peer;
}

void
end_peer (struct peer *self)
{
    message_destroy (&self->reply);
    zmq_msg_close (&self->frame);
    socket_close (&self->socket);
}

void
send_bytes (struct peer *self, const void *data, size_t size, int flags)
{
    zmq_pollitem_t item = {self->socket, 0, ZMQ_POLLOUT, 0};

    ck_assert_int_eq (zmq_poll (&item, 1, PATIENCE_MS), 1);
    ck_assert_int_eq (zmq_send (self->socket, data, size, flags), (int) size);
}

void
ask_again (struct peer *self, enum message_number number, const void *fields, uint64_t id)
{
    static const uint8_t none[WIRE_CLIENT_SIZE];
    struct envelope envelope = {.id = id, .version = 1, .seen = WIRE_UNKNOWN};
    struct buf out = {0};

    if (memcmp (self->client, none, sizeof none) != 0)
        envelope.client = slice_of (self->client, sizeof self->client);
    if (message_types[number].effect == EFFECT_READS && id > 0)
        envelope.seen = id - 1;
    if (message_encode_request (&out, &message_types[number], fields, &envelope, &error) < 0)
        ck_abort_msg ("%s", error.text);
    send_bytes (self, out.data, out.size, 0);
    buf_free (&out);
}

void
ask (struct peer *self, enum message_number number, const void *fields)
{
    ask_again (self, number, fields, ++self->id);
}

int
get_within (struct peer *self, enum message_number number, void *fields, long wait_ms)
{
    zmq_pollitem_t item = {self->socket, 0, ZMQ_POLLIN, 0};

    if (zmq_poll (&item, 1, wait_ms) != 1)
        return 1;
    message_destroy (&self->reply);
    ck_assert_int_ge (zmq_msg_recv (&self->frame, self->socket, 0), 0);
    struct slice bytes = slice_of (zmq_msg_data (&self->frame), zmq_msg_size (&self->frame));
    ck_assert_int_eq (message_parse_reply (bytes, &self->reply, &error), 0);
    if (!self->reply->ok) {
        error = self->reply->error;
        return error.number;
    }
    if (message_reply_fields (self->reply, &message_types[number], fields, &error) < 0)
        ck_abort_msg ("%s", error.text);
    return 0;
}

int
get (struct peer *self, enum message_number number, void *fields)
{
    int rc = get_within (self, number, fields, PATIENCE_MS);

    ck_assert_msg (rc != 1, "no answer");
    return rc;
}

const void *
fill_directory_create (struct directory_create_request given)
{
    static struct directory_create_request request;

    request = given;
    request.parents = true;
    return &request;
}

const void *
fill_directory_list (struct directory_list_request given)
{
    static struct directory_list_request request;

    request = given;
    request.files = request.directories = true;
    return &request;
}

const void *
fill_file_create (struct file_create_request given)
{
    static struct file_create_request request;

    request = given;
    request.replica = request.replica ? request.replica : 1;
    request.ttl = request.ttl ? request.ttl : 60;
    return &request;
}

const void *
fill_node_orders (struct node_orders_request given)
{
    static struct node_orders_request request;

    request = given;
    return &request;
}

const void *
fill_file_delete (struct file_delete_request given)
{
    static struct file_delete_request request;

    request = given;
    return &request;
}

const void *
fill_file_info (struct file_info_request given)
{
    static struct file_info_request request;

    request = given;
    return &request;
}

const void *
fill_file_update (struct file_update_request given)
{
    static struct file_update_request request;

    request = given;
    return &request;
}

const void *
fill_cluster_info (struct cluster_info_request given)
{
    static struct cluster_info_request request;

    request = given;
    return &request;
}

const void *
fill_node_drain (struct node_drain_request given)
{
    static struct node_drain_request request;

    request = given;
    return &request;
}

const void *
fill_node_maintenance (struct node_maintenance_request given)
{
    static struct node_maintenance_request request;

    request = given;
    return &request;
}

const void *
fill_node_remove (struct node_remove_request given)
{
    static struct node_remove_request request;

    request = given;
    return &request;
}

int
make_directory (struct peer *peer, const char *path)
{
    struct directory_create_reply reply;

    return CALL (peer, directory_create, &reply, .path = slice_str (path));
}

uint64_t
count_entries (struct peer *peer, const char *path)
{
    struct directory_list_reply reply;

    ck_assert_int_eq (CALL (peer, directory_list, &reply, .path = slice_str (path)), 0);
    return reply.total;
}

/* ---- a data node ------------------------------------------------------------------------------------ */

int
enter (struct data_node *self)
{
    struct node_register_reply reply;

    ask (&self->peer, MESSAGE_node_register, &self->identity);
    int rc = get (&self->peer, MESSAGE_node_register, &reply);
    if (rc == 0)
        self->number = (uint32_t) reply.node;
    return rc;
}

struct data_node
make_node (uint8_t which)
{
    struct data_node node = {.peer = make_peer ()};

    message_request_init (&message_types[MESSAGE_node_register], &node.identity);
    node.identity.uuid.bytes[15] = which;
    node.identity.version = slice_str ("1");
    node.identity.host = slice_str ("");
    node.identity.tcp_port = 18002;
    node.identity.heartbeat_interval = 1000;
    node.identity.heartbeat_timeout = 30000;
    node.identity.storage_total = 1 << 30;
    node.identity.storage_free = 1 << 30;
    ck_assert_msg (enter (&node) == 0, "%s", error.text);
    return node;
}

int
beat (struct data_node *self, struct node_heartbeat_reply *reply)
{
    struct node_heartbeat_request request = {
        .node = self->number, .storage_total = 1 << 30, .storage_free = 1 << 30};

    ask (&self->peer, MESSAGE_node_heartbeat, &request);
    return get (&self->peer, MESSAGE_node_heartbeat, reply);
}

uint64_t
online_nodes (struct peer *peer)
{
    struct cluster_info_reply reply;

    ck_assert_int_eq (CALL (peer, cluster_info, &reply, .cursor = 0), 0);
    return reply.number_of_online_nodes;
}

void
pass_time (struct peer *peer, int64_t ms)
{
    for (; ms > 0; ms -= 500) {
        fake_clock_advance (&fake, ms < 500 ? ms : 500);
        online_nodes (peer);
    }
}

void
wait_for_online (struct peer *peer, uint64_t count)
{
    for (int64_t end = clock_mono (clock_system ()) + PATIENCE_MS;
         online_nodes (peer) != count;)
        ck_assert_msg (clock_mono (clock_system ()) < end, "nodes did not come or go");
}

void
report (struct data_node *self, enum change_kind kind, uint64_t block, uint64_t size)
{
    struct wire_change change = {
        .seq = ++self->seq, .kind = kind, .block = block, .size = size, .crc32 = CONTENT_CRC};
    struct node_report_request request = {
        .node = self->number, .changes = &change, .changes_count = 1};
    struct node_report_reply reply;

    ask (&self->peer, MESSAGE_node_report, &request);
    ck_assert_int_eq (get (&self->peer, MESSAGE_node_report, &reply), 0);
    ck_assert_uint_eq (reply.seq, self->seq);
}

uint64_t
upload_to (struct peer *client, struct data_node *const *nodes, size_t count, const char *path,
           uint64_t replica)
{
    struct file_create_reply created;
    struct file_commit_reply committed;
    uint64_t numbers[8];

    ck_assert_msg (CALL (client, file_create, &created, .path = slice_str (path), .size = 100,
                         .replica = replica) == 0,
                   "%s", error.text);
    ck_assert_uint_eq (created.blocks_count, 1);
    for (size_t i = 0; i < count; i++)
        numbers[i] = nodes[i]->number;
    struct wire_finished done = {.block = created.blocks[0].block,
                                 .size = 100,
                                 .crc32 = CONTENT_CRC,
                                 .nodes = numbers,
                                 .nodes_count = count};
    uint8_t lease[WIRE_LEASE_SIZE];
    memcpy (lease, created.lease.data, sizeof lease);
    struct file_commit_request commit = {.file = created.file,
                                         .lease = slice_of (lease, sizeof lease),
                                         .size = 100,
                                         .count = 1,
                                         .done = &done,
                                         .done_count = 1};
    ask (client, MESSAGE_file_commit, &commit);
    ck_assert_msg (get (client, MESSAGE_file_commit, &committed) == 0, "%s", error.text);
    for (size_t i = 0; i < count; i++)
        report (nodes[i], CHANGE_ADDED, done.block, 100);
    return done.block;
}

uint64_t
upload (struct peer *client, struct data_node *node, const char *path)
{
    return upload_to (client, &node, 1, path, 1);
}

size_t
wait_for_orders (struct data_node *self, struct peer *client, uint64_t after,
                 struct node_orders_reply *reply)
{
    struct node_orders_request request = {.node = self->number, .after = after};
    int64_t end = clock_mono (clock_system ()) + PATIENCE_MS;
    int rc = 1;

    ask (&self->peer, MESSAGE_node_orders, &request);
    while (rc == 1) {
        ck_assert_msg (clock_mono (clock_system ()) < end, "no orders");
        rc = get_within (&self->peer, MESSAGE_node_orders, reply, 20);
        if (rc == 0 && reply->orders_count == 0) {
            ask (&self->peer, MESSAGE_node_orders, &request);
            rc = 1;
        }
        pass_time (client, 1000);
    }
    ck_assert_msg (rc == 0, "%s", error.text);
    return reply->orders_count;
}

uint64_t
current_replica (struct peer *client, const char *path)
{
    struct file_info_reply reply;

    ck_assert_msg (CALL (client, file_info, &reply, .path = slice_str (path)) == 0, "%s",
                   error.text);
    return reply.current_replica;
}

void
wait_for_replicas (struct peer *client, const char *path, uint64_t count)
{
    for (int64_t end = clock_mono (clock_system ()) + PATIENCE_MS;
         current_replica (client, path) != count;) {
        ck_assert_msg (clock_mono (clock_system ()) < end, "it has not %d replicas",
                       (int) count);
        // The writer shall have its turn before much time has passed, on a busy machine too.
        zmq_poll (NULL, 0, 20);
        zmq_poll (NULL, 0, 5); // not faster than the disk: much else has its time
        pass_time (client, 20);
    }
}
