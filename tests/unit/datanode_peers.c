/* SPDX-License-Identifier: MIT */
/*
 * datanode/peers: sending to nodes, waiting for them, losing them.
 */
#include "datanode/peers.h"

#include "datanode_lane_fixture.h"

#define MANY 300

static struct peers *peers;
static struct fake_clock fake; // moves on when a case says so
static void *pull;
static int port;

static void
setup (void)
{
    rpc_setup ();
    fake_clock_init (&fake, 1000, 1000);
    peers = peers_new (&fake.clock, NULL);
    pull = bind_pull (0, &port);
}

static void
teardown (void)
{
    peers_destroy (&peers);
    socket_close (&pull);
    rpc_teardown ();
}

static void
place (uint32_t node, int at)
{
    ck_assert_msg (peers_set (peers, node, "127.0.0.1", at, &error) == 0, "%s", error.text);
}

static void
send_to (uint32_t node, struct parcel parcel)
{
    ck_assert_msg (peers_send (peers, node, &parcel, &error) == 0, "%s", error.text);
}

/* One turn of an owner's loop, 10 ms after the one before. */
static void
turn (void)
{
    zmq_pollitem_t items[PEERS_POLL_MAX];
    size_t count = peers_poll_items (peers, items);
    long idle_ms = peers_idle_ms (peers);

    ck_assert_int_ge (idle_ms, 0);
    zmq_poll (items, (int) count, idle_ms > 0 ? 1 : 0);
    fake_clock_advance (&fake, 10);
    peers_process (peers);
}

#define ARRIVES(header, size) UNTIL (arrived (pull, header, size), turn ())

/* Turns for so many milliseconds of the fake clock; whether a node was lost in them. */
static bool
lost_within (int64_t ms, uint32_t *node)
{
    bool lost = false;

    for (int64_t end_ms = clock_mono (&fake.clock) + ms;
         !lost && clock_mono (&fake.clock) < end_ms; turn ())
        lost = peers_lost (peers, node);
    return lost;
}

START_TEST (nodes_are_known_by_their_addresses)
{
    for (uint32_t node = MANY; node > 0; node--)
        place (node * 7, 1000 + (int) node);
    for (uint32_t node = 1; node <= MANY; node++) {
        ck_assert (peers_know (peers, node * 7));
        ck_assert (!peers_know (peers, node * 7 + 1));
    }
    ck_assert_int_eq (peers_set (peers, 7, "", 0, &error), 0);
    ck_assert (!peers_know (peers, 7));
    ck_assert_int_eq (peers_set (peers, 8, "", 1, &error), LITEDFS_INVALID);
    ck_assert_int_eq (peers_set (peers, 8, "127.0.0.1", 65536, &error), LITEDFS_INVALID);
    ck_assert_int_eq (peers_set (peers, 8, "127.0.0.1", -1, &error), LITEDFS_INVALID);
    ck_assert (!peers_know (peers, 8));
}
END_TEST

START_TEST (what_is_sent_arrives)
{
    zmq_msg_t bytes = bytes_of ('b', 100000);
    struct parcel parcel = chunk (1, 0, "chunk");

    place (3, port);
    parcel.payload = &bytes;
    send_to (3, parcel);
    zmq_msg_close (&bytes);
    ARRIVES ("chunk", 100000);
    send_to (3, ack (1, "ack"));
    ARRIVES ("ack", 0);
    ck_assert_uint_eq (peers_waiting (peers), 0);
}
END_TEST

START_TEST (what_is_for_a_node_of_unknown_address_waits_until_it_is_known)
{
    send_to (3, chunk (1, 10, "later"));
    send_to (3, chunk (1, 0, "sooner"));
    ck_assert_uint_eq (peers_waiting (peers), 2);
    for (int i = 0; i < 50; i++)
        turn ();
    ck_assert_uint_eq (peers_waiting (peers), 2);
    place (3, port);
    ARRIVES ("sooner", 0);
    ARRIVES ("later", 0);
    ck_assert_uint_eq (peers_waiting (peers), 0);
}
END_TEST

START_TEST (strangers_are_forgotten_after_a_while_and_are_not_too_many)
{
    uint32_t node = 1;
    struct parcel parcel = chunk (1, 0, "chunk");

    while (peers_send (peers, node, &parcel, &error) == 0)
        ck_assert_uint_lt (node++, 10000);
    ck_assert_int_eq (error.number, LITEDFS_BUSY);
    place (node, port); // one that is known is no stranger
    send_to (node, parcel);
    ARRIVES ("chunk", 0);
    fake_clock_advance (&fake, 61000);
    turn ();
    ck_assert_uint_eq (peers_waiting (peers), 0);
    send_to (1, parcel);
    ck_assert (peers_know (peers, node));
}
END_TEST

START_TEST (an_ack_overtakes_chunks_that_are_stuck)
{
    zmq_msg_t bytes = bytes_of ('b', 1 << 20);
    struct parcel parcel = chunk (1, 0, "chunk");
    int one = 1, linger = 0;
    char endpoint[64];

    // A reader that takes one message of each connection and then waits.
    socket_close (&pull);
    void *slow = zmq_socket (context_get (), ZMQ_PULL);
    zmq_setsockopt (slow, ZMQ_RCVHWM, &one, sizeof one);
    zmq_setsockopt (slow, ZMQ_LINGER, &linger, sizeof linger);
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", port);
    UNTIL (zmq_bind (slow, endpoint) == 0, );
    place (3, port);
    parcel.payload = &bytes;
    parcel.owner = &bytes;
    UNTIL (peers_waiting (peers) >= 20, {
        send_to (3, parcel);
        parcel.offset += 1 << 20;
        turn ();
    });
    send_to (3, ack (1, "ack"));
    for (bool came = false; !came;) {
        struct socket_body body;
        UNTIL (socket_receive_body (slow, &body) == 0, turn ());
        came = zmq_msg_size (&body.header) == strlen ("ack");
        socket_body_close (&body);
    }
    peers_pass_over (peers, 4, 1);
    peers_pass_over (peers, 3, 2);
    ck_assert_uint_gt (peers_waiting (peers), 0);
    peers_pass_over (peers, 3, 1);
    ck_assert_uint_eq (peers_waiting (peers), 0);
    zmq_msg_close (&bytes);
    zmq_close (slow);
}
END_TEST

START_TEST (bytes_that_nobody_needs_are_not_sent)
{
    zmq_msg_t bytes = bytes_of ('b', 1000);
    struct parcel parcel = chunk (1, 0, "not needed");

    parcel.payload = &bytes;
    parcel.owner = &bytes;
    send_to (3, parcel);
    send_to (4, parcel);
    send_to (4, chunk (1, 10, "needed"));
    peers_forget (peers, &bytes);
    zmq_msg_close (&bytes);
    ck_assert_uint_eq (peers_waiting (peers), 1);
    place (3, port);
    place (4, port);
    ARRIVES ("needed", 0);
}
END_TEST

START_TEST (a_node_where_nobody_listens_is_lost_once)
{
    uint32_t node;

    socket_close (&pull);
    int before = socket_count ();
    place (3, port);
    send_to (3, chunk (1, 0, "chunk"));
    send_to (3, ack (1, "ack"));
    UNTIL (peers_lost (peers, &node), turn ());
    ck_assert_uint_eq (node, 3);
    ck_assert_uint_eq (peers_waiting (peers), 0);
    ck_assert_int_eq (socket_count (), before);
    ck_assert (!lost_within (1000, &node));

    // It is tried anew when something is sent.
    send_to (3, chunk (1, 0, "again"));
    UNTIL (peers_lost (peers, &node), turn ());
    UNTIL ((pull = socket_new (SOCKET_PULL_PEER, &(struct socket_options){.zap_domain = "test"},
                               &error)) != NULL &&
               socket_bind (pull, "127.0.0.1", port, NULL, &error) == 0,
           socket_close (&pull));
    send_to (3, chunk (1, 0, "there"));
    ARRIVES ("there", 0);
    ck_assert (!lost_within (1000, &node));
}
END_TEST

START_TEST (a_node_that_dies_is_lost)
{
    uint32_t node;

    place (3, port);
    place (4, port);
    send_to (3, chunk (1, 0, "chunk"));
    ARRIVES ("chunk", 0);
    ck_assert (!lost_within (3000, &node));
    socket_close (&pull);
    UNTIL (peers_lost (peers, &node), turn ());
    ck_assert_uint_eq (node, 3);
    ck_assert (!peers_lost (peers, &node));
}
END_TEST

START_TEST (a_node_that_lets_nobody_in_is_lost)
{
    uint32_t node;

    rpc_allow ("10.0.0.0/8");
    place (3, port);
    send_to (3, chunk (1, 0, "chunk"));
    UNTIL (peers_lost (peers, &node), turn ());
    ck_assert_uint_eq (node, 3);
    rpc_allow (NULL);
    send_to (3, chunk (1, 0, "now"));
    ARRIVES ("now", 0);
}
END_TEST

START_TEST (silence_alone_is_no_loss)
{
    uint32_t node;

    place (3, port);
    send_to (3, chunk (1, 0, "chunk"));
    ck_assert (!lost_within (10000, &node)); // nobody takes it
    ARRIVES ("chunk", 0);
}
END_TEST

START_TEST (connections_without_use_are_closed)
{
    place (3, port);
    int before = socket_count ();
    send_to (3, chunk (1, 0, "chunk"));
    send_to (3, ack (1, "ack"));
    ARRIVES ("chunk", 0);
    ARRIVES ("ack", 0);
    ck_assert_int_eq (socket_count (), before + 4);
    fake_clock_advance (&fake, 50000);
    turn ();
    send_to (3, ack (1, "used"));
    fake_clock_advance (&fake, 50000);
    turn ();
    ck_assert_int_eq (socket_count (), before + 4);
    fake_clock_advance (&fake, 11000);
    turn ();
    ck_assert_int_eq (socket_count (), before);
    ARRIVES ("used", 0);
    send_to (3, ack (1, "again"));
    ARRIVES ("again", 0);
}
END_TEST

START_TEST (a_node_that_moves_gets_what_waits_at_its_new_address)
{
    int other_port;
    void *other = pull;

    socket_close (&other);
    pull = bind_pull (0, &other_port);
    place (3, port); // nobody is there
    send_to (3, chunk (1, 0, "chunk"));
    place (3, other_port);
    ARRIVES ("chunk", 0);
    place (3, other_port);
    ck_assert_uint_eq (peers_waiting (peers), 0);
}
END_TEST

START_TEST (without_a_socket_to_be_had_it_waits)
{
    static void *sockets[200000];
    size_t count = 0;

    place (3, port);
    while ((sockets[count] = socket_new (SOCKET_INPROC_PAIR, NULL, &error)) != NULL)
        ck_assert_uint_lt (++count, 200000);
    send_to (3, chunk (1, 0, "chunk"));
    ck_assert_uint_eq (peers_waiting (peers), 1);
    for (int i = 0; i < 200; i++)
        turn ();
    while (count > 0)
        socket_close (&sockets[--count]);
    ARRIVES ("chunk", 0);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_peers", setup, teardown, nodes_are_known_by_their_addresses,
                   what_is_sent_arrives,
                   what_is_for_a_node_of_unknown_address_waits_until_it_is_known,
                   strangers_are_forgotten_after_a_while_and_are_not_too_many,
                   an_ack_overtakes_chunks_that_are_stuck, bytes_that_nobody_needs_are_not_sent,
                   a_node_where_nobody_listens_is_lost_once, a_node_that_dies_is_lost,
                   a_node_that_lets_nobody_in_is_lost, silence_alone_is_no_loss,
                   connections_without_use_are_closed,
                   a_node_that_moves_gets_what_waits_at_its_new_address,
                   without_a_socket_to_be_had_it_waits)
