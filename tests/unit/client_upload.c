/* SPDX-License-Identifier: MIT */
/*
 * client/upload: a file reaches its nodes, whichever of them fail, and the name node is told who has what.
 *
 * One thread plays the name node and three data nodes on one ROUTER.  A node that passes chunks on is
 * believed to do so: what it says of the others is what the test has decided.
 */
#include "litedfs.h"

#include "base/crc.h"

#include <unistd.h>

#include "rpc_fixture.h"

#define MIB ((uint64_t) 1 << 20)
#define SIZE (7 * MIB + 12345)
#define BLOCKS 8
#define NODES 3
#define BLOCK_IDS 64 // ids that the name node gives

/* What a data node does with what it is asked. */
enum deed {
    GOOD,
    SILENT,  // nothing
    STUCK,   // it answers block.stat, and never writes
    REFUSES, // it answers that its disk has failed
};

/* A block that was allocated. */
struct given {
    uint64_t index;
    uint64_t nodes[NODES];
    size_t node_count;
    uint64_t size;       // that its first node has
    uint64_t chain;      // bits of the nodes that were to follow
    unsigned writes;     // that came for it
    bool done;           // the name node was told
    uint64_t done_nodes; // bits
};

static enum deed deeds[NODES + 1]; // by node number
static uint64_t dead;              // bits of nodes of which others say that they have failed
static int64_t dead_after_ms;      // and how long that takes them
static bool wrong_index;           // the name node gives another block than was asked for
static bool no_nodes;              // it gives blocks without a node
static struct given given[BLOCK_IDS];
static size_t given_count;
static uint64_t suspects; // bits, as the name node was told
static int64_t begun_ms;
static atomic_int commits;
static atomic_int abandons;
static atomic_int warnings;
static uint8_t *content;
static struct actor *actor;
static int port;
static litedfs_t *session;
static int file_fd;

#define BIT(node) (1ull << (node))

/* ---- the name node ------------------------------------------------------------------------------ */

static uint64_t
bits_of (const uint64_t *nodes, size_t count)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < count; i++)
        bits |= BIT (nodes[i]);
    return bits;
}

/* A block for an index, the same one again unless one of its nodes is a suspect; nodes take turns. */
static uint64_t
give_block (uint64_t index)
{
    for (size_t i = given_count; i-- > 0;)
        if (given[i].index == index &&
            !(bits_of (given[i].nodes, given[i].node_count) & suspects))
            return i + 1;
    ck_assert_uint_lt (given_count, BLOCK_IDS);
    struct given *block = &given[given_count++];
    *block = (struct given){.index = index};
    for (uint64_t i = 0; i < NODES; i++) {
        uint64_t node = (index + i) % NODES + 1;
        if (!(suspects & BIT (node)))
            block->nodes[block->node_count++] = node;
    }
    return given_count;
}

static size_t
give_blocks (uint64_t first, uint64_t count, struct wire_allocation *out,
             struct wire_endpoint (*nodes)[NODES])
{
    size_t n = 0;

    for (uint64_t index = first; index < BLOCKS && n < count; index++, n++) {
        uint64_t id = give_block (index);
        const struct given *block = &given[id - 1];
        out[n] = (struct wire_allocation){.index = index + wrong_index,
                                          .block = id,
                                          .nodes = nodes[n],
                                          .nodes_count = no_nodes ? 0 : block->node_count};
        for (size_t i = 0; i < block->node_count; i++)
            nodes[n][i] = (struct wire_endpoint){
                .node = block->nodes[i], .host = slice_str (""), .tcp_port = (uint64_t) port};
    }
    return n;
}

static void
take_done (const struct wire_finished *done, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_le (done[i].block, given_count);
        struct given *block = &given[done[i].block - 1];
        ck_assert_uint_eq (block->index, done[i].index);
        ck_assert_uint_eq (block->size, done[i].size);
        ck_assert_uint_eq (done[i].crc32,
                           crc32_of (0, content + done[i].index * MIB, done[i].size));
        block->done = true;
        block->done_nodes = bits_of (done[i].nodes, done[i].nodes_count);
        ck_assert_uint_ge (done[i].nodes_count, 1);
    }
}

static void
on_create (struct router *router, const struct request *request)
{
    struct wire_allocation blocks[4];
    struct wire_endpoint nodes[4][NODES];
    struct file_create_reply reply = {.lease = slice_str ("0123456789abcdef"),
                                      .ttl = 60,
                                      .block_size = MIB,
                                      .blocks = blocks};

    reply.file.bytes[0] = 1;
    reply.blocks_count = give_blocks (0, 4, blocks, nodes);
    router_reply (router, &request->route, request->message->envelope.id, TYPE (file_create),
                  &reply, NULL);
}

static void
on_allocate (struct router *router, const struct request *request)
{
    struct file_allocate_request fields;
    struct wire_allocation blocks[8];
    struct wire_endpoint nodes[8][NODES];
    struct file_allocate_reply reply = {.blocks = blocks};

    ck_assert_int_eq (message_request_fields (request->message, &fields, &error), 0);
    take_done (fields.done, fields.done_count);
    suspects |= bits_of (fields.suspects, fields.suspects_count);
    ck_assert_uint_ne (suspects, BIT (1) | BIT (2) | BIT (3));
    reply.blocks_count = give_blocks (fields.index, fields.count, blocks, nodes);
    router_reply (router, &request->route, request->message->envelope.id, TYPE (file_allocate),
                  &reply, NULL);
}

static void
on_commit (struct router *router, const struct request *request)
{
    struct file_commit_request fields;
    const struct file_commit_reply reply = {.checksum = slice_str ("")};

    ck_assert_int_eq (message_request_fields (request->message, &fields, &error), 0);
    take_done (fields.done, fields.done_count);
    ck_assert_uint_eq (fields.size, SIZE);
    ck_assert_uint_eq (fields.count, BLOCKS);
    atomic_fetch_add (&commits, 1);
    router_reply (router, &request->route, request->message->envelope.id, TYPE (file_commit),
                  &reply, NULL);
}

/* ---- the data nodes ----------------------------------------------------------------------------- */

/* What a first node says of itself and of those that follow. */
static size_t
say (const struct given *block, uint64_t first, enum replica_state state,
     struct wire_replica *out)
{
    size_t count = 1;

    out[0] = (struct wire_replica){.node = first, .offset = block->size, .state = state};
    for (uint64_t node = 1; node <= NODES; node++)
        if (block->chain & BIT (node)) {
            out[count] = out[0];
            out[count].node = node;
            if (dead & BIT (node)) {
                out[count].state = REPLICA_FAILED;
                out[count].offset = 0;
            }
            count++;
        }
    return count;
}

/* Whether the others' silence still holds a block up. */
static bool
waits_for_others (const struct given *block)
{
    return (block->chain & dead) && now_ms () - begun_ms < dead_after_ms;
}

static void
on_write (struct router *router, const struct request *request)
{
    struct block_write_request fields;
    struct wire_replica nodes[NODES];

    ck_assert_int_eq (message_request_fields (request->message, &fields, &error), 0);
    struct given *block = &given[fields.block - 1];
    size_t size = request->has_payload ? zmq_msg_size (&request->payload) : 0;
    ck_assert_uint_eq (fields.offset, 0); // a chunk is a block here
    ck_assert (fields.last);
    block->writes++;
    block->size = size;
    block->chain = bits_of (fields.chain, fields.chain_count);
    if (deeds[fields.node] == SILENT || deeds[fields.node] == STUCK || waits_for_others (block))
        return;
    if (deeds[fields.node] == REFUSES) {
        router_reply_error (router, &request->route, request->message->envelope.id, LITEDFS_IO,
                            "no");
        return;
    }
    struct block_write_reply reply = {.offset = size, .state = REPLICA_DURABLE, .nodes = nodes};
    reply.nodes_count = say (block, fields.node, REPLICA_DURABLE, nodes);
    router_reply (router, &request->route, request->message->envelope.id, TYPE (block_write),
                  &reply, NULL);
}

static void
on_stat (struct router *router, const struct request *request)
{
    struct block_stat_request fields;
    struct wire_replica nodes[NODES];
    struct block_stat_reply reply = {.state = REPLICA_RECEIVING, .nodes = nodes};

    ck_assert_int_eq (message_request_fields (request->message, &fields, &error), 0);
    const struct given *block = &given[fields.block - 1];
    if (deeds[fields.node] == SILENT)
        return;
    if (deeds[fields.node] == GOOD && block->writes > 0 && !waits_for_others (block)) {
        reply.state = REPLICA_DURABLE;
        reply.offset = block->size;
        reply.nodes_count = say (block, fields.node, REPLICA_DURABLE, nodes);
    }
    router_reply (router, &request->route, request->message->envelope.id, TYPE (block_stat),
                  &reply, NULL);
}

/* ---- the cluster -------------------------------------------------------------------------------- */

static void
answer (struct router *router, struct request *request)
{
    const struct node_list_reply list = {.table = 1};
    const struct file_abandon_reply abandoned = {};
    uint64_t id = request->message->envelope.id;

    switch (request->message->type->number) {
    case MESSAGE_file_create:
        on_create (router, request);
        break;
    case MESSAGE_file_allocate:
        on_allocate (router, request);
        break;
    case MESSAGE_file_commit:
        on_commit (router, request);
        break;
    case MESSAGE_file_abandon:
        atomic_fetch_add (&abandons, 1);
        router_reply (router, &request->route, id, TYPE (file_abandon), &abandoned, NULL);
        break;
    case MESSAGE_block_write:
        on_write (router, request);
        break;
    case MESSAGE_block_stat:
        on_stat (router, request);
        break;
    default:
        router_reply (router, &request->route, id, TYPE (node_list), &list, NULL);
    }
    request_destroy (&request);
}

static void
run_cluster (struct actor_pipe *pipe, void *args)
{
    struct router_options options = {.role = SOCKET_DATA_ROUTER,
                                     .domain = "test",
                                     .host = "127.0.0.1",
                                     .clock = clock_system ()};
    struct router *router;
    struct request *request;
    uint64_t ended;
    (void) args;

    ck_assert_int_eq (router_new (&router, &options, &error), 0);
    port = router_port (router);
    actor_ready (pipe);
    while (!actor_stopping (pipe)) {
        zmq_pollitem_t items[] = {{actor_pipe_socket (pipe), 0, ZMQ_POLLIN, 0},
                                  {router_socket (router), 0, ZMQ_POLLIN, 0},
                                  {router_monitor_socket (router), 0, ZMQ_POLLIN, 0}};
        zmq_poll (items, 3, -1);
        while (actor_recv_command (pipe))
            ;
        while (router_receive (router, &request))
            answer (router, request);
        while (router_closed (router, &ended))
            ;
    }
    router_destroy (&router);
}

static void
setup (void)
{
    char address[64];
    char path[] = "/tmp/litedfs-upload-XXXXXX";

    rpc_setup ();
    content = malloc (SIZE);
    for (uint64_t at = 0; at < SIZE; at++)
        content[at] = (uint8_t) (at * 31 + (at >> 16));
    file_fd = mkstemp (path);
    unlink (path);
    ck_assert_int_eq (write (file_fd, content, SIZE), (ssize_t) SIZE);
    ck_assert_int_eq (actor_start (&actor, "cluster", run_cluster, NULL, &error), 0);
    snprintf (address, sizeof address, "tcp://127.0.0.1:%d", port);
    ck_assert_msg (litedfs_open (&session, address, NULL, &error) == 0, "%s", error.text);
    begun_ms = now_ms ();
}

static void
teardown (void)
{
    litedfs_close (&session);
    actor_stop (&actor);
    close (file_fd);
    free (content);
    rpc_teardown ();
}

/* ---- the tests ---------------------------------------------------------------------------------- */

static void
on_warning (void *arg, const char *text)
{
    (void) arg;
    ck_assert_ptr_nonnull (strstr (text, "data node"));
    atomic_fetch_add (&warnings, 1);
}

static int
upload (void)
{
    const litedfs_upload_options_t options = {.replica = NODES, .warning = on_warning};

    return litedfs_upload (session, file_fd, "/f", &options, &error);
}

/* It went well: each block is finished, and those of its holders that the bits name are known. */
static void
check_upload (uint64_t holders)
{
    uint64_t done = 0;

    ck_assert_int_eq (commits, 1);
    ck_assert_int_eq (abandons, 0);
    for (size_t i = 0; i < given_count; i++)
        if (given[i].done) {
            done |= BIT (given[i].index);
            ck_assert_uint_eq (given[i].done_nodes & ~holders, 0);
        }
    ck_assert_uint_eq (done, BIT (BLOCKS) - 1);
}

START_TEST (all_nodes_of_each_block_are_told)
{
    ck_assert_msg (upload () == 0, "%s", error.text);
    check_upload (BIT (1) | BIT (2) | BIT (3));
    ck_assert_uint_eq (given_count, BLOCKS);
    for (size_t i = 0; i < given_count; i++)
        ck_assert_uint_eq (given[i].done_nodes, BIT (1) | BIT (2) | BIT (3));
    ck_assert_int_eq (warnings, 0);
}
END_TEST

START_TEST (a_node_that_others_find_dead_is_left_out_of_what_comes)
{
    dead = BIT (2);
    deeds[2] = SILENT;
    dead_after_ms = 0; // at once
    ck_assert_msg (upload () == 0, "%s", error.text);
    check_upload (BIT (1) | BIT (3));
    ck_assert_int_lt (now_ms () - begun_ms, 4000); // in doubt it is not asked for five seconds
    ck_assert_uint_eq (suspects, BIT (2));
    ck_assert_int_eq (warnings, 1);
    for (size_t i = BLOCKS / 2; i < given_count; i++)
        ck_assert_uint_eq (given[i].chain & BIT (2), 0);
}
END_TEST

START_TEST (all_blocks_of_a_silent_node_are_moved_at_once)
{
    deeds[1] = SILENT;
    dead = BIT (1);
    dead_after_ms = INT64_MAX; // the others never find out
    ck_assert_msg (upload () == 0, "%s", error.text);
    check_upload (BIT (2) | BIT (3));
    ck_assert_int_lt (now_ms () - begun_ms, 7000);
    ck_assert_int_ge (now_ms () - begun_ms, 4500);
    ck_assert_uint_eq (suspects, BIT (1));
    ck_assert_int_eq (warnings, 1);
}
END_TEST

START_TEST (a_node_whose_disk_fails_costs_no_time)
{
    deeds[3] = REFUSES;
    ck_assert_msg (upload () == 0, "%s", error.text);
    ck_assert_int_lt (now_ms () - begun_ms, 4000);
    ck_assert_uint_eq (suspects, BIT (3));
    ck_assert_int_eq (warnings, 1);
    check_upload (BIT (1) | BIT (2) | BIT (3)); // node 3 may have passed-on copies
}
END_TEST

START_TEST (a_name_node_that_gives_another_block_is_not_believed)
{
    wrong_index = true;
    ck_assert_int_eq (upload (), LITEDFS_INVALID);
    ck_assert_int_eq (abandons, 1);
    ck_assert_int_eq (commits, 0);
}
END_TEST

START_TEST (a_name_node_that_gives_blocks_without_nodes_is_not_believed)
{
    no_nodes = true;
    ck_assert_int_eq (upload (), LITEDFS_INVALID);
    ck_assert_int_eq (abandons, 1);
}
END_TEST

START_TEST (a_cancelled_upload_is_given_up)
{
    deeds[1] = deeds[2] = deeds[3] = STUCK;
    litedfs_cancel (session);
    ck_assert_int_eq (upload (), LITEDFS_CANCELLED);
    ck_assert_int_eq (commits, 0);
}
END_TEST

UNIT_MAIN_FIXTURE ("client_upload", setup, teardown, all_nodes_of_each_block_are_told,
                   a_node_that_others_find_dead_is_left_out_of_what_comes,
                   all_blocks_of_a_silent_node_are_moved_at_once,
                   a_node_whose_disk_fails_costs_no_time,
                   a_name_node_that_gives_another_block_is_not_believed,
                   a_name_node_that_gives_blocks_without_nodes_is_not_believed,
                   a_cancelled_upload_is_given_up)
