/* SPDX-License-Identifier: MIT */
/*
 * datanode/parking: routes of requests that are answered later, and the answers.
 */
#include "datanode/parking.h"

#include "rpc_fixture.h"

#define NODE 3

static struct parking parking;

static void
teardown (void)
{
    parking_free (&parking);
}

/* A request of block.stat with this id, from a session of this number. */
static uint64_t
enter (uint64_t id, uint64_t session)
{
    struct message message = {.type = TYPE (block_stat), .envelope = {.id = id}};
    struct request request = {.message = &message, .route = {.session = session}};
    uint64_t token;

    int rc = parking_enter (&parking, &request, &token, &error);
    ck_assert_msg (rc == 0, "%s", error.text);
    return token;
}

START_TEST (a_token_gives_back_what_was_left)
{
    uint64_t tokens[200];

    for (uint64_t i = 0; i < 200; i++)
        tokens[i] = enter (i, 1000 + i);
    for (uint64_t i = 0; i < 200; i++) {
        ck_assert_uint_eq (parking_session (&parking, tokens[i]), 1000 + i);
        struct parked parked = parking_leave (&parking, tokens[i]);
        ck_assert_uint_eq (parked.id, i);
        ck_assert_uint_eq (parked.route.session, 1000 + i);
        ck_assert_int_eq (parked.number, MESSAGE_block_stat);
    }
}
END_TEST

START_TEST (places_that_were_left_are_taken_again)
{
    for (uint64_t i = 0; i < 10; i++)
        enter (i, i);
    size_t room = parking.count;
    for (uint64_t i = 0; i < 10 * PARKING_MAX; i++) {
        uint64_t token = enter (i, i);
        ck_assert_uint_eq (parking_leave (&parking, token).id, i);
    }
    ck_assert_uint_eq (parking.count, room);
    ck_assert_uint_eq (parking_leave (&parking, 4).id, 4);
}
END_TEST

START_TEST (one_more_than_the_limit_is_told_to_try_again)
{
    struct message message = {.type = TYPE (block_stat)};
    struct request request = {.message = &message};
    uint64_t token;

    for (uint64_t i = 0; i < PARKING_MAX; i++)
        enter (i, i);
    ck_assert_int_eq (parking_enter (&parking, &request, &token, &error), LITEDFS_BUSY);
    ck_assert_str_eq (error.text, "65536 requests wait here; try again");
    parking_leave (&parking, 77);
    ck_assert_uint_eq (enter (5, 5), 77);
}
END_TEST

/* ---- answers ---- */

static struct router *router;
static void *client;
static uint8_t frame[4096];
static struct message *answer; // the last one, for what its fields point to

static void
connect_client (void)
{
    struct router_options options = {.role = SOCKET_DATA_ROUTER,
                                     .domain = "test",
                                     .host = "127.0.0.1",
                                     .clock = clock_system ()};

    rpc_setup ();
    ck_assert_msg (router_new (&router, &options, &error) == 0, "%s", error.text);
    client = stranger (ZMQ_DEALER, router_port (router));
}

static void
disconnect_client (void)
{
    message_destroy (&answer);
    zmq_close (client);
    router_destroy (&router);
    rpc_teardown ();
}

/* Send a request, park it, and answer it with what this says. */
static void
ask_and_answer (const struct message_type *type, const void *fields,
                const struct pipeline_action *action)
{
    struct buf asked = encode_request (type, fields, 42, -1);
    zmq_pollitem_t item = {router_socket (router), 0, ZMQ_POLLIN, 0};
    struct request *request;
    uint64_t token;

    ck_assert_int_ge (zmq_send (client, asked.data, asked.size, ZMQ_SNDMORE), 0);
    ck_assert_int_ge (zmq_send (client, "x", 1, 0), 0);
    buf_free (&asked);
    ck_assert_int_eq (zmq_poll (&item, 1, WAIT_MS), 1);
    ck_assert_int_eq (router_receive (router, &request), 1);
    ck_assert_int_eq (parking_enter (&parking, request, &token, &error), 0);
    request_destroy (&request);
    struct parked parked = parking_leave (&parking, token);
    parked_reply (&parked, router, action);
}

static void
take_answer (const struct message_type *type, void *fields)
{
    ck_assert (readable (client, WAIT_MS));
    int size = zmq_recv (client, frame, sizeof frame, 0);
    ck_assert_int_gt (size, 0);
    message_destroy (&answer);
    int rc = message_parse_reply (slice_of (frame, (size_t) size), &answer, &error);
    ck_assert_msg (rc == 0, "%s", error.text);
    ck_assert_uint_eq (answer->envelope.id, 42);
    ck_assert_msg (answer->ok, "%s", answer->error.text);
    ck_assert_msg (message_reply_fields (answer, type, fields, &error) == 0, "%s", error.text);
}

START_TEST (a_write_and_a_stat_are_answered_with_the_state_of_the_block)
{
    const struct pipeline_replica replicas[] = {
        {.node = NODE, .state = REPLICA_DURABLE, .offset = 3 * CRC_UNIT, .awaits = 5},
        {.node = 5, .state = REPLICA_SYNCING, .offset = 3 * CRC_UNIT}};
    const struct pipeline_action action = {.kind = PIPELINE_REPLY,
                                           .state = {.state = REPLICA_SYNCING,
                                                     .offset = 3 * CRC_UNIT,
                                                     .credit = 7,
                                                     .size = 3 * CRC_UNIT,
                                                     .crc32 = 99},
                                           .replicas = replicas,
                                           .replica_count = 2};
    struct block_stat_request stat = {.block = 1, .node = NODE};
    struct block_stat_reply stated;
    struct block_write_request write;
    struct block_write_reply written;

    connect_client ();
    message_request_init (TYPE (block_write), &write);
    write.block = 1;
    write.node = NODE;
    ask_and_answer (TYPE (block_write), &write, &action);
    take_answer (TYPE (block_write), &written);
    ck_assert_int_eq (written.state, REPLICA_SYNCING);
    ck_assert_uint_eq (written.offset, 3 * CRC_UNIT);
    ck_assert_uint_eq (written.credit, 7);
    ck_assert_uint_eq (written.nodes_count, 2);
    ck_assert_uint_eq (written.nodes[0].node, NODE);
    ck_assert_uint_eq (written.nodes[0].offset, 3 * CRC_UNIT);
    ck_assert_int_eq (written.nodes[0].state, REPLICA_DURABLE);
    ck_assert_uint_eq (written.nodes[0].awaits, 5);
    ck_assert_uint_eq (written.nodes[1].node, 5);
    ck_assert_int_eq (written.nodes[1].state, REPLICA_SYNCING);

    ask_and_answer (TYPE (block_stat), &stat, &action);
    take_answer (TYPE (block_stat), &stated);
    ck_assert_int_eq (stated.state, REPLICA_SYNCING);
    ck_assert_uint_eq (stated.size, 3 * CRC_UNIT);
    ck_assert_uint_eq (stated.crc32, 99);
    ck_assert_uint_eq (stated.nodes_count, 2);
    disconnect_client ();
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_parking", NULL, teardown, a_token_gives_back_what_was_left,
                   places_that_were_left_are_taken_again,
                   one_more_than_the_limit_is_told_to_try_again,
                   a_write_and_a_stat_are_answered_with_the_state_of_the_block)
