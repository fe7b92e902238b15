/* SPDX-License-Identifier: MIT */
/*
 * datanode/lane: what waits for a node and in which order, and how its connection does.
 */
#include "datanode_lane_fixture.h"

static struct lane lane;
static void *pull;
static int port;

static void
setup (void)
{
    rpc_setup ();
    pull = bind_pull (0, &port);
}

static void
teardown (void)
{
    lane_close (&lane);
    lane_clear (&lane);
    socket_close (&pull);
    rpc_teardown ();
}

static void
send_parcel (struct parcel parcel)
{
    ck_assert_msg (lane_send (&lane, &parcel, &error) == 0, "%s", error.text);
}

static void
open_it (void)
{
    ck_assert_msg (lane_open (&lane, "127.0.0.1", port, 4, &error) == 0, "%s", error.text);
}

#define ARRIVES(header, size) UNTIL (arrived (pull, header, size), lane_flush (&lane))

START_TEST (what_is_sent_while_it_connects_arrives)
{
    zmq_msg_t bytes = bytes_of ('b', 100000);
    struct parcel parcel = chunk (1, 0, "one");

    open_it ();
    parcel.payload = &bytes;
    send_parcel (parcel);
    ck_assert_uint_eq (zmq_msg_size (&bytes), 100000);
    ARRIVES ("one", 100000);
    ck_assert_uint_eq (lane.count, 0);
    send_parcel (chunk (1, 1, "two"));
    ck_assert_uint_eq (lane.count, 0);
    ARRIVES ("two", 0);
    zmq_msg_close (&bytes);
}
END_TEST

START_TEST (chunks_of_a_block_wait_in_order_and_each_once)
{
    send_parcel (chunk (1, 20, "1.20"));
    send_parcel (chunk (2, 0, "2.0"));
    send_parcel (chunk (1, 30, "1.30"));
    send_parcel (chunk (1, 10, "1.10")); // from further back, after a gap
    send_parcel (chunk (1, 20, "1.20 again"));
    send_parcel (chunk (1, 40, "1.40"));
    ck_assert_uint_eq (lane.count, 5);
    open_it ();
    ARRIVES ("1.10", 0);
    ARRIVES ("1.20 again", 0);
    ARRIVES ("2.0", 0);
    ARRIVES ("1.30", 0);
    ARRIVES ("1.40", 0);
    ck_assert (!arrived (pull, "", 0));
}
END_TEST

START_TEST (only_the_newest_ack_of_a_block_waits)
{
    for (int i = 0; i < 1000; i++) {
        send_parcel (ack (1, i < 999 ? "old" : "newest"));
        send_parcel (ack (2, "other"));
        send_parcel (chunk (1, 0, "chunk"));
    }
    ck_assert_uint_eq (lane.count, 3);
    open_it ();
    ARRIVES ("newest", 0);
    ARRIVES ("other", 0);
    ARRIVES ("chunk", 0);
}
END_TEST

START_TEST (a_sign_of_life_waits_only_where_no_chunk_does)
{
    struct parcel sign = {.kind = PARCEL_SIGN, .block = 1, .header = slice_str ("sign")};

    send_parcel (sign);
    send_parcel (sign);
    ck_assert_uint_eq (lane.count, 1);
    send_parcel (chunk (1, 0, "first"));
    send_parcel (sign);
    send_parcel (ack (3, "ack"));
    sign.block = 3;
    send_parcel (sign);
    open_it ();
    ARRIVES ("first", 0);
    ARRIVES ("ack", 0);
    ARRIVES ("sign", 0);
    ck_assert_uint_eq (lane.count, 0);
}
END_TEST

START_TEST (what_nobody_needs_is_taken_back)
{
    zmq_msg_t one = bytes_of ('1', 1000);
    zmq_msg_t two = bytes_of ('2', 2000);
    struct parcel first = chunk (1, 0, "first");
    struct parcel second = chunk (1, 1000, "second");

    first.payload = &one;
    first.owner = &one;
    second.payload = &two;
    second.owner = &two;
    send_parcel (first);
    send_parcel (second);
    send_parcel (chunk (2, 0, "other"));
    send_parcel (ack (2, "ack"));
    lane_forget (&lane, &one);
    ck_assert_uint_eq (lane.count, 3);
    lane_forget_block (&lane, 2);
    ck_assert_uint_eq (lane.count, 2);
    zmq_msg_close (&one);
    zmq_msg_close (&two); // what waits has its own reference
    open_it ();
    ARRIVES ("second", 2000);
    ARRIVES ("ack", 0);
    lane_close (&lane);
    send_parcel (chunk (1, 0, "first"));
    lane_clear (&lane);
    ck_assert_uint_eq (lane.count, 0);
}
END_TEST

START_TEST (what_libzmq_does_not_take_waits_here_and_can_be_taken_back)
{
    zmq_msg_t bytes = bytes_of ('b', 1 << 20);
    struct parcel parcel = chunk (1, 0, "chunk");

    // A reader with a limit that never reads: the kernel's buffers and the queues fill up.
    socket_close (&pull);
    int one = 1;
    int linger = 0;
    char endpoint[64];
    void *slow = zmq_socket (context_get (), ZMQ_PULL);
    zmq_setsockopt (slow, ZMQ_RCVHWM, &one, sizeof one);
    zmq_setsockopt (slow, ZMQ_LINGER, &linger, sizeof linger);
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", port);
    UNTIL (zmq_bind (slow, endpoint) == 0, );
    open_it ();
    UNTIL (lane.connected, lane_hear (&lane, now_ms ()));
    parcel.payload = &bytes;
    parcel.owner = &bytes;
    UNTIL (lane.count >= 20, {
        send_parcel (parcel);
        parcel.offset += 1 << 20;
    });
    ck_assert (lane.connected && lane_health (&lane, now_ms () + 100000) == LANE_WELL);
    lane_forget (&lane, &bytes);
    ck_assert_uint_eq (lane.count, 0);
    zmq_msg_close (&bytes);
    zmq_close (slow);
}
END_TEST

START_TEST (a_node_that_nobody_finds_is_lost_after_two_attempts)
{
    socket_close (&pull);
    open_it ();
    int64_t begun_ms = now_ms ();
    UNTIL (lane_health (&lane, now_ms ()) == LANE_LOST, lane_hear (&lane, now_ms ()));
    ck_assert_int_lt (now_ms () - begun_ms, 1500);
    ck_assert_uint_ge (lane.failures, 2);
}
END_TEST

START_TEST (a_connection_that_ends_and_comes_back_is_well)
{
    open_it ();
    send_parcel (chunk (1, 0, "one"));
    ARRIVES ("one", 0);
    lane_hear (&lane, 5000);
    ck_assert (lane.connected && !lane.ended);

    // Time stands still for it, as it does for a process that does not run.
    socket_close (&pull);
    UNTIL (lane.ended, lane_hear (&lane, 5000));
    ck_assert_int_eq (lane_health (&lane, 6000), lane.failures < 2 ? LANE_WELL : LANE_LOST);
    ck_assert_int_eq (lane_health (&lane, 6001), LANE_LOST);
    UNTIL ((pull = socket_new (SOCKET_PULL_PEER, &(struct socket_options){.zap_domain = "test"},
                               &error)) != NULL &&
               socket_bind (pull, "127.0.0.1", port, NULL, &error) == 0,
           socket_close (&pull));
    UNTIL (lane_hear (&lane, 5500), );
    ck_assert (lane.connected);
    ck_assert_int_eq (lane_health (&lane, 1000000), LANE_WELL);
    send_parcel (chunk (1, 1, "two"));
    ARRIVES ("two", 0);
}
END_TEST

START_TEST (a_refusal_is_told_and_a_new_socket_may_get_in)
{
    rpc_allow ("10.0.0.0/8");
    open_it ();
    UNTIL (lane_health (&lane, now_ms ()) == LANE_REFUSED, lane_hear (&lane, now_ms ()));
    lane_close (&lane);
    rpc_allow (NULL);
    open_it ();
    ck_assert_int_eq (lane_health (&lane, now_ms ()), LANE_WELL);
    send_parcel (chunk (1, 0, "one"));
    ARRIVES ("one", 0);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_lane", setup, teardown, what_is_sent_while_it_connects_arrives,
                   chunks_of_a_block_wait_in_order_and_each_once,
                   only_the_newest_ack_of_a_block_waits,
                   a_sign_of_life_waits_only_where_no_chunk_does,
                   what_nobody_needs_is_taken_back,
                   what_libzmq_does_not_take_waits_here_and_can_be_taken_back,
                   a_node_that_nobody_finds_is_lost_after_two_attempts,
                   a_connection_that_ends_and_comes_back_is_well,
                   a_refusal_is_told_and_a_new_socket_may_get_in)
