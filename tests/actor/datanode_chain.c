/* SPDX-License-Identifier: MIT */
/*
 * Data nodes in a chain: blocks go down it, members are silent, dead, unknown, stopped, and strangers send
 * what they like.
 */
#include "datanode_chain_world.h"

#include "datanode/pipeline.h"

/* The thread sanitizer takes each message that libzmq sends for a race, and is long in finding out that it
 * is to say nothing of it. */
#if defined SOCKET_TSAN || defined __SANITIZE_THREAD__
#define ROUNDS 10
#else
#define ROUNDS 100
#endif

#define CHAIN(...)                                                                             \
    .block = BLOCK, .chain = (const uint64_t[]){__VA_ARGS__},                                  \
    .count = sizeof (uint64_t[]){__VA_ARGS__} / sizeof (uint64_t)

START_TEST (a_block_arrives_at_all_three_byte_for_byte)
{
    struct writing writing = {CHAIN (1, 2, 3)};
    const size_t size = 40 * CHUNK + 12345; // more than a window of the smallest credit

    ck_assert_int_eq (put_range (&writing, 0, size, true), REPLICA_DURABLE);
    ck_assert_uint_eq (writing.reply.nodes_count, 3);
    for (uint32_t i = 1; i <= NODES; i++) {
        ck_assert_uint_eq (writing.nodes[i - 1].node, i);
        ck_assert_int_eq (state_of (&writing, i), REPLICA_DURABLE);
        ck_assert_int_eq (check_block (i, BLOCK, size), 0);
        WAIT_FOR (has_reported (i, BLOCK));
    }
}
END_TEST

START_TEST (the_last_byte_is_acknowledged_when_all_have_it)
{
    struct writing writing = {CHAIN (3, 1, 2)};

    for (uint64_t i = 0; i < 20; i++) {
        ck_assert_int_eq (put (&writing, i * CHUNK, CHUNK, false), 0);
        ck_assert_uint_eq (writing.reply.offset, (i + 1) * CHUNK);
        for (uint32_t k = 1; k <= NODES; k++) {
            ck_assert_int_eq (state_of (&writing, k), REPLICA_RECEIVING);
            ck_assert_uint_ge (writing.nodes[k - 1].offset, (i + 1) * CHUNK);
        }
    }
}
END_TEST

START_TEST (many_small_blocks_go_down_the_chain)
{
    for (unsigned i = 0; i < 100; i++) {
        struct writing writing = {CHAIN (1 + i % 3, 1 + (i + 1) % 3, 1 + (i + 2) % 3)};
        writing.block += i;
        ck_assert_int_eq (put_range (&writing, 0, 1 + i * 100, true), REPLICA_DURABLE);
        for (uint32_t k = 1; k <= NODES; k++)
            ck_assert_int_eq (state_of (&writing, k), REPLICA_DURABLE);
    }
    for (unsigned i = 0; i < 100; i++)
        for (uint32_t k = 1; k <= NODES; k++)
            ck_assert_int_eq (check_block (k, BLOCK + i, 1 + i * 100), 0);
}
END_TEST

START_TEST (a_silent_node_is_passed_over)
{
    struct writing writing = {CHAIN (1, SILENT, 3)};

    int64_t begun_ms = clock_mono (clock_system ());
    ck_assert_int_eq (put_range (&writing, 0, 10 * CHUNK, true), REPLICA_DURABLE);
    ck_assert_int_lt (clock_mono (clock_system ()) - begun_ms, 15000); // not write_timeout
    ck_assert_int_eq (state_of (&writing, 1), REPLICA_DURABLE);
    ck_assert_int_eq (state_of (&writing, SILENT), REPLICA_FAILED);
    ck_assert_int_eq (state_of (&writing, 3), REPLICA_DURABLE);
    ck_assert_int_eq (check_block (1, BLOCK, 10 * CHUNK), 0);
    ck_assert_int_eq (check_block (3, BLOCK, 10 * CHUNK), 0);
}
END_TEST

START_TEST (a_node_where_nobody_listens_is_passed_over_at_once)
{
    struct writing writing = {CHAIN (1, DEAD, 3)};

    stop_node (1);
    set (1, "pipeline_timeout", "50");
    start_node (1);
    int64_t begun_ms = clock_mono (clock_system ());
    ck_assert_int_eq (put_range (&writing, 0, 10 * CHUNK, true), REPLICA_DURABLE);
    ck_assert_int_lt (clock_mono (clock_system ()) - begun_ms, 15000); // not pipeline_timeout
    ck_assert_int_eq (state_of (&writing, DEAD), REPLICA_FAILED);
    ck_assert_int_eq (state_of (&writing, 3), REPLICA_DURABLE);
    ck_assert_int_eq (check_block (3, BLOCK, 10 * CHUNK), 0);
}
END_TEST

START_TEST (a_node_that_nobody_knows_is_asked_for_and_passed_over)
{
    struct writing writing = {CHAIN (1, 2, UNKNOWN)};
    unsigned before = nodes[2].lists;

    ck_assert_int_eq (put_range (&writing, 0, 3 * CHUNK, true), REPLICA_DURABLE);
    ck_assert_uint_gt (nodes[2].lists, before);
    ck_assert_int_eq (state_of (&writing, 2), REPLICA_DURABLE);
    ck_assert_int_eq (state_of (&writing, UNKNOWN), REPLICA_FAILED);
}
END_TEST

START_TEST (a_node_that_becomes_known_in_time_takes_part)
{
    struct writing writing = {CHAIN (1, UNKNOWN, 3)};
    struct wire_endpoint entry = table[2];

    // Number 6 is not told with the heartbeats: it must be asked for.
    entry.node = UNKNOWN;
    entry.chain_port = table[SILENT].chain_port;
    table[UNKNOWN] = entry;
    ck_assert_int_eq (put_range (&writing, 0, CHUNK, false), REPLICA_RECEIVING);
    zmq_pollitem_t item = {silent, 0, ZMQ_POLLIN, 0};
    ck_assert_int_eq (zmq_poll (&item, 1, WAIT_MS), 1);
    WAIT_FOR (nodes[1].lists > 0);
}
END_TEST

START_TEST (a_node_that_stops_in_mid_write_is_passed_over)
{
    struct writing writing = {CHAIN (1, 2, 3)};

    put_range (&writing, 0, 5 * CHUNK, false);
    ck_assert_int_eq (state_of (&writing, 2), REPLICA_RECEIVING);
    stop_node (2);
    ck_assert_int_eq (put_range (&writing, 5 * CHUNK, 10 * CHUNK, true), REPLICA_DURABLE);
    ck_assert_int_eq (state_of (&writing, 2), REPLICA_FAILED);
    ck_assert_int_eq (check_block (1, BLOCK, 10 * CHUNK), 0);
    ck_assert_int_eq (check_block (3, BLOCK, 10 * CHUNK), 0);
}
END_TEST

START_TEST (the_end_of_a_chain_that_stops_is_passed_over_and_comes_back_for_the_next_block)
{
    struct writing writing = {CHAIN (1, 2, 3)};

    put_range (&writing, 0, 5 * CHUNK, false);
    stop_node (3);
    ck_assert_int_eq (put_range (&writing, 5 * CHUNK, 8 * CHUNK, true), REPLICA_DURABLE);
    ck_assert_int_eq (state_of (&writing, 3), REPLICA_FAILED);
    ck_assert_int_eq (check_block (2, BLOCK, 8 * CHUNK), 0);
    start_node (3);
    WAIT_FOR (nodes[3].session != 0);
    writing.block++;
    ck_assert_int_eq (put_range (&writing, 0, 3 * CHUNK, true), REPLICA_DURABLE);
    ck_assert_int_eq (state_of (&writing, 3), REPLICA_DURABLE);
    ck_assert_int_eq (check_block (3, BLOCK + 1, 3 * CHUNK), 0);
}
END_TEST

START_TEST (chains_work_while_the_name_node_is_away_and_after_restarts)
{
    struct writing writing = {CHAIN (2, 3, 1)};

    stop_name ();
    for (uint32_t i = 1; i <= NODES; i++) {
        stop_node (i);
        start_node (i); // with the table and the ports of before
    }
    ck_assert_int_eq (put_range (&writing, 0, 3 * CHUNK, true), REPLICA_DURABLE);
    for (uint32_t i = 1; i <= NODES; i++) {
        ck_assert_int_eq (state_of (&writing, i), REPLICA_DURABLE);
        ck_assert_int_eq (check_block (i, BLOCK, 3 * CHUNK), 0);
    }
}
END_TEST

START_TEST (a_block_is_copied_by_order)
{
    struct writing writing = {CHAIN (1)};
    const size_t size = 8 * CHUNK + 77; // more than one read

    ck_assert_int_eq (put_range (&writing, 0, size, true), REPLICA_DURABLE);
    order_copy (1, 1, BLOCK, 3);
    WAIT_FOR (has_reported (3, BLOCK));
    ck_assert_int_eq (check_block (3, BLOCK, size), 0);
    WAIT_FOR (nodes[1].confirmed == 1);
    order_copy (1, 2, BLOCK, DEAD); // nobody is there; what follows works
    WAIT_FOR (nodes[1].failed.block == BLOCK);
    ck_assert_uint_eq (nodes[1].failed.target, DEAD);
    ck_assert_int_ne (nodes[1].failed_word, 0);
    order_copy (1, 3, BLOCK, 2);
    WAIT_FOR (has_reported (2, BLOCK));
    ck_assert_int_eq (check_block (2, BLOCK, size), 0);
}
END_TEST

/* ---- strangers ---------------------------------------------------------------------------------- */

static void *
stranger_of (uint32_t number)
{
    char endpoint[64];
    void *push = socket_new (SOCKET_PUSH_PEER, NULL, &error);
    zmq_pollitem_t item = {push, 0, ZMQ_POLLOUT, 0};

    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d",
              datanode_chain_port (nodes[number].node));
    ck_assert_int_eq (socket_connect_endpoint (push, endpoint, &error), 0);
    ck_assert_int_eq (zmq_poll (&item, 1, WAIT_MS), 1);
    return push;
}

static void
push_message (void *push, enum message_number number, const void *fields, size_t size)
{
    struct envelope envelope = {.id = 1, .seen = WIRE_UNKNOWN};
    struct buf header = {0};
    zmq_pollitem_t item = {push, 0, ZMQ_POLLOUT, 0};

    ck_assert_msg (message_encode_request (&header, &message_types[number], fields, &envelope,
                                           &error) == 0,
                   "%s", error.text);
    ck_assert_int_eq (zmq_poll (&item, 1, WAIT_MS), 1);
    ck_assert_int_ge (
        zmq_send (push, header.data, header.size, ZMQ_DONTWAIT | (size > 0 ? ZMQ_SNDMORE : 0)),
        0);
    if (size > 0)
        ck_assert_int_ge (zmq_send (push, bytes, size, ZMQ_DONTWAIT), 0);
    buf_free (&header);
}

static struct chain_write_request
write_of (uint64_t block, uint64_t node, uint64_t from)
{
    struct chain_write_request out;

    message_request_init (&message_types[MESSAGE_chain_write], &out);
    out.block = block;
    out.node = node;
    out.from = from;
    out.crc32 = crc32_of (0, bytes, CHUNK);
    out.file.bytes[0] = 1;
    out.path = slice_str ("/hostile");
    return out;
}

START_TEST (messages_from_nobody_and_for_nobody_leave_no_trace)
{
    struct writing writing = {CHAIN (1, 2, 3)};
    struct chain_write_request request;
    void *push = stranger_of (2);

    put_range (&writing, 0, 3 * CHUNK, false);
    for (int i = 0; i < 300; i++)
        zmq_send (push, bytes, (size_t) i, i % 20 == 19 ? ZMQ_DONTWAIT : ZMQ_SNDMORE);
    zmq_send (push, "", 0, ZMQ_DONTWAIT);
    request = write_of (BLOCK + 1, 2, 4711); // from a number that is not in the table
    request.last = true;
    push_message (push, MESSAGE_chain_write, &request, CHUNK);
    request = write_of (BLOCK + 2, 3, 1); // for another node
    push_message (push, MESSAGE_chain_write, &request, CHUNK);
    request = write_of (BLOCK + 3, 2, 2); // from itself
    push_message (push, MESSAGE_chain_write, &request, CHUNK);
    put_range (&writing, 3 * CHUNK, 6 * CHUNK, true);
    for (uint32_t i = 1; i <= NODES; i++)
        ck_assert_int_eq (check_block (i, BLOCK, 6 * CHUNK), 0);
    for (uint64_t i = 1; i <= 3; i++)
        ck_assert_int_eq (check_block (2, BLOCK + i, CHUNK), LITEDFS_NOT_FOUND);
    socket_close (&push);
    ck_assert (!datanode_failed (nodes[2].node, &error));
}
END_TEST

START_TEST (wrong_chunks_and_acks_in_the_name_of_a_member_do_no_harm)
{
    struct writing writing = {CHAIN (1, 2, 3)};
    void *push = stranger_of (2);
    uint64_t itself[] = {2, 2, 1, 2};
    struct wire_replica replicas[3] = {
        {.node = 3, .state = REPLICA_DURABLE, .offset = WIRE_MAX},
        {.node = 3, .state = REPLICA_RELAY, .awaits = 2},
        {.node = 77, .state = REPLICA_UNKNOWN}};

    put_range (&writing, 0, 3 * CHUNK, false);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct chain_write_request request = write_of (BLOCK + i % 5, 2, 1 + i % 2 * 2);
        static const uint64_t offsets[] = {0, 1, CRC_UNIT, 100 * CHUNK, WIRE_MAX, 3 * CHUNK};
        request.offset = offsets[i % 6];
        request.last = i % 3 == 0;
        request.count = i % 4 == 0 ? 0xffffffff : 0;
        if (i % 2 == 0) {
            request.chain = itself;
            request.chain_count = 4;
        }
        request.crc32 ^= 1; // the bytes are never right
        push_message (push, MESSAGE_chain_write, &request,
                      i % 7 == 0    ? 0
                      : i % 10 == 1 ? CHUNK - i % 2
                                    : 1000 * i);
        struct chain_ack_request acked;
        message_request_init (&message_types[MESSAGE_chain_ack], &acked);
        acked.block = BLOCK + i % 9;
        acked.node = 2;
        acked.from = i % 2 == 0 ? 1 : SILENT;
        acked.credit = WIRE_MAX;
        acked.nodes = replicas + i % 3;
        acked.nodes_count = 3 - i % 3;
        if (i % 5 == 0)
            acked.failure = slice_str (i % 2 == 0 ? "gap" : "no such word");
        push_message (push, MESSAGE_chain_ack, &acked, 0);
    }
    put_range (&writing, 3 * CHUNK, 6 * CHUNK, true);
    ck_assert_int_eq (writing.reply.state, REPLICA_DURABLE);
    for (uint32_t i = 1; i <= NODES; i++)
        if (state_of (&writing, i) == REPLICA_DURABLE)
            ck_assert_int_eq (check_block (i, BLOCK, 6 * CHUNK), 0);
    socket_close (&push);
    for (uint32_t i = 1; i <= NODES; i++)
        ck_assert (!datanode_failed (nodes[i].node, &error));
}
END_TEST

START_TEST (it_stops_at_once_with_chunks_on_their_way)
{
    struct writing writing = {CHAIN (1, SILENT, 3)};
    struct writing other = {CHAIN (2, DEAD, UNKNOWN)};

    put_range (&writing, 0, CHUNK, false);
    other.block++;
    put_range (&other, 0, CHUNK, false);
    for (uint32_t i = 1; i <= NODES; i++) {
        int64_t begun_ms = clock_mono (clock_system ());
        stop_node (i);
        ck_assert_int_lt (clock_mono (clock_system ()) - begun_ms, 4000);
    }
}
END_TEST

UNIT_MAIN_FIXTURE (
    "datanode_chain", setup, teardown, a_block_arrives_at_all_three_byte_for_byte,
    the_last_byte_is_acknowledged_when_all_have_it, many_small_blocks_go_down_the_chain,
    a_silent_node_is_passed_over, a_node_where_nobody_listens_is_passed_over_at_once,
    a_node_that_nobody_knows_is_asked_for_and_passed_over,
    a_node_that_becomes_known_in_time_takes_part, a_node_that_stops_in_mid_write_is_passed_over,
    the_end_of_a_chain_that_stops_is_passed_over_and_comes_back_for_the_next_block,
    chains_work_while_the_name_node_is_away_and_after_restarts, a_block_is_copied_by_order,
    messages_from_nobody_and_for_nobody_leave_no_trace,
    wrong_chunks_and_acks_in_the_name_of_a_member_do_no_harm,
    it_stops_at_once_with_chunks_on_their_way)
