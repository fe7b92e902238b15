/* SPDX-License-Identifier: MIT */
/*
 * rpc/link, under a dealer: connections that come late and end in every way.
 */
#include "rpc/link.h"

#include "rpc_dealer_fixture.h"

static void *rude;

static bool
rude_has_one (void)
{
    return readable (rude, 0);
}

START_TEST (requests_wait_for_a_server_that_comes_later)
{
    int port, fd = dead_port (&port);

    open_dealer (port, 0);
    send_info (WAIT_MS);
    dealer_process (dealer);
    ck_assert (!dealer_connected (dealer));
    close (fd);
    server_start (&server, port);
    pump (is_idle);
    ck_assert_int_eq (answers, 1);
    ck_assert (dealer_connected (dealer));
    server_free (&server);
}
END_TEST

START_TEST (after_the_servers_death_the_same_bytes_go_to_the_next_one)
{
    struct server second;

    server_start (&server, 0);
    server.mute = true;
    open_dealer (server.port, 60000);
    send_create (WAIT_MS);
    pump (server_has_one);
    server_stop (&server);
    server_start (&second, server.port);
    pump (is_idle);
    ck_assert_int_eq (answers, 1);
    server_stop (&second);
    ck_assert_int_eq (second.created, 1);
    ck_assert (slice_equal (buf_slice (&server.headers[0]), buf_slice (&second.headers[0])));
    server_free (&server);
    server_free (&second);
}
END_TEST

START_TEST (a_silent_server_is_asked_again_with_the_same_bytes)
{
    server_start (&server, 0);
    server.mute = true;
    open_dealer (server.port, 200);
    send_create (WAIT_MS);
    pump (server_has_two);
    server.mute = false;
    pump (is_idle);
    ck_assert_int_eq (answers, 1);
    ck_assert_int_ge (server.closed, 1);
    ck_assert (slice_equal (buf_slice (&server.headers[0]), buf_slice (&server.headers[1])));
    server_free (&server);
}
END_TEST

START_TEST (a_parked_request_is_not_asked_again_while_it_may_be_parked)
{
    server_start (&server, 0);
    server.mute = true;
    open_dealer (server.port, 100);
    dealer_patience (dealer, send_info (600), 5000);
    pump (is_idle);
    ck_assert_int_eq (failures, 1);
    ck_assert_int_eq (server.requests, 1);
    server_free (&server);
}
END_TEST

START_TEST (who_is_not_let_in_is_told_so_at_once)
{
    int64_t start_ms = now_ms ();

    rpc_allow ("10.0.0.0/8");
    server_start (&server, 0);
    open_dealer (server.port, 0);
    ck_assert_int_eq (call_info ("/a", WAIT_MS, -1), LITEDFS_REFUSED);
    ck_assert_int_lt (now_ms () - start_ms, 2500);
    ck_assert_ptr_nonnull (strstr (error.text, "add it to allow: in the configuration.yml"));
    ck_assert_int_eq (server.requests, 0);
    ck_assert_uint_ge (zap_refused (zap), 1);
    server_free (&server);
}
END_TEST

START_TEST (who_is_let_in_later_gets_in)
{
    rpc_allow ("10.0.0.0/8");
    server_start (&server, 0);
    open_dealer (server.port, 0);
    ck_assert_int_eq (call_info ("/a", WAIT_MS, -1), LITEDFS_REFUSED);
    rpc_allow (NULL);
    ck_assert_int_eq (call_info ("/a", WAIT_MS, -1), 0);
    server_free (&server);
}
END_TEST

START_TEST (an_oversize_frame_costs_a_connection_and_nothing_else)
{
    int port;
    zmq_msg_t id;
    struct buf frame = {0};
    size_t size = (size_t) 17 << 20;
    void *huge = calloc (1, size);

    rude = rude_server (&port);
    open_dealer (port, 60000);
    pump (is_connected);
    send_info (WAIT_MS);
    take_request (rude, &id);
    say (rude, &id, huge, size, 0);
    zmq_msg_close (&id);
    pump (rude_has_one); // libzmq by itself would never come back
    take_request (rude, &id);
    message_encode_error (&frame, 1, LITEDFS_LOCKED, "the answer");
    say (rude, &id, frame.data, frame.size, 0);
    pump (is_idle);
    ck_assert_int_eq (last.number, LITEDFS_LOCKED);
    zmq_msg_close (&id);
    buf_free (&frame);
    free (huge);
    zmq_close (rude);
}
END_TEST

START_TEST (a_server_that_hangs_up_at_once_is_not_called_in_a_loop)
{
    int port;
    int64_t end_ms = now_ms () + 1500;
    int connections = 0;

    rude = rude_server (&port);
    open_dealer (port, 0);
    send_info (WAIT_MS);
    while (now_ms () < end_ms) {
        zmq_pollitem_t items[DEALER_POLL_ITEMS];
        size_t count = dealer_poll_items (dealer, items);
        zmq_poll (items, (int) count, 10);
        dealer_process (dealer);
        if (readable (rude, 0)) {
            connections++;
            zmq_close (rude);
            char endpoint[64];
            int linger = 0;
            rude = zmq_socket (context_get (), ZMQ_ROUTER);
            zmq_setsockopt (rude, ZMQ_LINGER, &linger, sizeof linger);
            snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", port);
            while (zmq_bind (rude, endpoint) < 0)
                ck_assert_int_lt (now_ms (), end_ms + WAIT_MS);
        }
    }
    ck_assert_int_ge (connections, 2);
    ck_assert_int_le (connections, 8);
    zmq_close (rude);
}
END_TEST

UNIT_MAIN_FIXTURE ("rpc_link", rpc_setup, teardown, requests_wait_for_a_server_that_comes_later,
                   after_the_servers_death_the_same_bytes_go_to_the_next_one,
                   a_silent_server_is_asked_again_with_the_same_bytes,
                   a_parked_request_is_not_asked_again_while_it_may_be_parked,
                   who_is_not_let_in_is_told_so_at_once, who_is_let_in_later_gets_in,
                   an_oversize_frame_costs_a_connection_and_nothing_else,
                   a_server_that_hangs_up_at_once_is_not_called_in_a_loop)
