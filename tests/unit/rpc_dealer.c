/* SPDX-License-Identifier: MIT */
/*
 * rpc/dealer: requests, their answers and their deadlines.
 */
#include "rpc/dealer.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "rpc_dealer_fixture.h"

START_TEST (a_call_gets_its_answer)
{
    server_start (&server, 0);
    open_dealer (server.port, 0);
    ck_assert_int_eq (call_info ("/some/path", WAIT_MS, -1), 0);
    ck_assert_int_eq (call_info ("/another", WAIT_MS, -1), 0);
    ck_assert (dealer_idle (dealer));
    server_free (&server);
}
END_TEST

START_TEST (an_error_of_the_peer_is_the_error_of_the_call)
{
    struct file_delete_request fields = {.path = slice_str ("/x")};

    server_start (&server, 0);
    open_dealer (server.port, 0);
    ck_assert_int_eq (dealer_call (dealer, TYPE (file_delete), &fields, NULL, NULL, NULL,
                                   WAIT_MS, -1, &error),
                      LITEDFS_NOT_FOUND);
    ck_assert_str_eq (error.text, "file[/x]: there is none");
    server_free (&server);
}
END_TEST

START_TEST (a_thousand_in_flight_are_answered_once_each)
{
    server_start (&server, 0);
    open_dealer (server.port, 0);
    for (int i = 0; i < 1000; i++)
        send_info (WAIT_MS);
    ck_assert_uint_eq (dealer_pending (dealer), 1000);
    pump (is_idle);
    ck_assert_int_eq (answers, 1000);
    ck_assert_int_eq (failures, 0);
    server_stop (&server);
    ck_assert_int_eq (server.requests, 1000);
    server_free (&server);
}
END_TEST

START_TEST (the_span_is_from_the_oldest_that_is_pending)
{
    server_start (&server, 0);
    open_dealer (server.port, 0);
    ck_assert_uint_eq (dealer_span (dealer), 0);
    int64_t first = send_info (WAIT_MS);
    int64_t second = send_info (WAIT_MS);
    send_info (WAIT_MS);
    dealer_cancel (dealer, second);
    ck_assert_uint_eq (dealer_span (dealer), 3);
    dealer_cancel (dealer, first);
    ck_assert_uint_eq (dealer_span (dealer), 1);
    pump (is_idle);
    ck_assert_uint_eq (dealer_span (dealer), 0);
    server_stop (&server);
    server_free (&server);
}
END_TEST

START_TEST (a_reader_with_a_window_is_never_told_to_wait)
{
    struct block_read_request fields;
    int sent = 0;

    server_start (&server, 0);
    open_dealer (server.port, 0);
    message_request_init (TYPE (block_read), &fields);
    fields.block = fields.node = 1;
    fields.size = 1 << 20;
    while (answers + failures < 300) {
        for (; sent < 300 && dealer_pending (dealer) < 12; sent++)
            dealer_send (dealer, TYPE (block_read), &fields, NULL, WAIT_MS, on_end, &answers,
                         &error);
        int before = answers + failures;
        while (answers + failures == before) {
            zmq_pollitem_t items[DEALER_POLL_ITEMS];
            size_t count = dealer_poll_items (dealer, items);
            zmq_poll (items, (int) count, dealer_timeout_ms (dealer));
            dealer_process (dealer);
        }
    }
    ck_assert_msg (failures == 0, "%s", last.text);
    ck_assert_uint_eq (payload_bytes, (size_t) 300 << 20);
    server_free (&server);
}
END_TEST

START_TEST (who_was_never_reached_is_named)
{
    char expected[64];
    int port, fd = dead_port (&port);

    open_dealer (port, 0);
    ck_assert_int_eq (call_info ("/a", 300, -1), LITEDFS_UNREACHABLE);
    snprintf (expected, sizeof expected, "cannot reach 127.0.0.1:%d: ", port);
    ck_assert_ptr_nonnull (strstr (error.text, expected));
    close (fd);
}
END_TEST

START_TEST (the_outcome_of_a_change_without_an_answer_is_not_known)
{
    server_start (&server, 0);
    server.mute = true;
    open_dealer (server.port, 0);
    send_create (300);
    pump (is_idle);
    ck_assert_int_eq (last.number, LITEDFS_TIMEOUT);
    ck_assert_ptr_nonnull (strstr (last.text, "whether it was carried out is not known"));
    ck_assert_int_eq (call_info ("/a", 300, -1), LITEDFS_TIMEOUT);
    ck_assert_ptr_null (strstr (error.text, "carried out"));
    server_free (&server);
}
END_TEST

START_TEST (a_descriptor_cancels_a_call)
{
    int fd = eventfd (1, EFD_CLOEXEC);

    server_start (&server, 0);
    server.mute = true;
    open_dealer (server.port, 0);
    ck_assert_int_eq (call_info ("/a", WAIT_MS, fd), LITEDFS_CANCELLED);
    ck_assert (dealer_idle (dealer));
    close (fd);
    server_free (&server);
}
END_TEST

START_TEST (all_can_be_cancelled_and_one_forgotten)
{
    server_start (&server, 0);
    server.mute = true;
    open_dealer (server.port, 0);
    int64_t first = send_create (WAIT_MS);
    send_create (WAIT_MS);
    send_info (WAIT_MS);
    pump (server_has_two);
    ck_assert (dealer_cancel (dealer, first));
    ck_assert (!dealer_cancel (dealer, first));
    ck_assert (!dealer_cancel (dealer, 4711));
    ck_assert_int_eq (failures, 0);
    dealer_cancel_all (dealer);
    ck_assert_int_eq (failures, 2);
    ck_assert_int_eq (last.number, LITEDFS_CANCELLED);
    ck_assert (dealer_idle (dealer));
    server_free (&server);
}
END_TEST

START_TEST (requests_carry_client_and_seen)
{
    struct message *message;
    uint64_t id;

    server_start (&server, 0);
    server.mute = true;
    open_dealer (server.port, 0);
    send_create (WAIT_MS);
    send_info (WAIT_MS);
    pump (server_has_two);
    ck_assert_int_eq (
        message_parse_request (buf_slice (&server.headers[0]), &message, &id, &error), 0);
    ck_assert_uint_eq (message->envelope.id, 1);
    ck_assert_uint_eq (message->envelope.seen, 0);
    ck_assert (slice_equal (message->envelope.client, slice_of ("0123456789abcdef", 16)));
    message_destroy (&message);
    ck_assert_int_eq (
        message_parse_request (buf_slice (&server.headers[1]), &message, &id, &error), 0);
    ck_assert_uint_eq (message->envelope.id, 2);
    ck_assert_uint_eq (message->envelope.seen, 0);
    ck_assert_ptr_null (message->envelope.client.data);
    message_destroy (&message);
    server_free (&server);
}
END_TEST

START_TEST (deadlines_are_those_of_the_clock_that_was_given)
{
    struct fake_clock fake;

    fake_clock_init (&fake, 1000, 0);
    struct dealer_options options = options_for ("tcp://127.0.0.1:29999");
    options.clock = &fake.clock;
    ck_assert_int_eq (dealer_new (&dealer, &options, &error), 0);
    ck_assert_int_eq (dealer_timeout_ms (dealer), -1);
    send_info (60000);
    send_info (-1);
    dealer_process (dealer);
    ck_assert_int_eq (dealer_timeout_ms (dealer), 60000);
    fake_clock_advance (&fake, 59999);
    dealer_process (dealer);
    ck_assert_int_eq (failures, 0);
    fake_clock_advance (&fake, 1);
    dealer_process (dealer);
    ck_assert_int_eq (failures, 1);
    ck_assert_int_eq (last.number, LITEDFS_UNREACHABLE);
    ck_assert_uint_eq (dealer_pending (dealer), 1);
    dealer_cancel_all (dealer);
}
END_TEST

static bool
has_an_answer (void)
{
    return answers > 0;
}

START_TEST (silence_is_what_passes_while_the_peer_owes_an_answer_and_nothing_comes)
{
    struct fake_clock fake;
    char endpoint[64];

    server_start (&server, 0);
    server.mute = true;
    fake_clock_init (&fake, 1000, 0);
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", server.port);
    struct dealer_options options = options_for (endpoint);
    options.clock = &fake.clock;
    ck_assert_int_eq (dealer_new (&dealer, &options, &error), 0);
    fake_clock_advance (&fake, 4000);
    ck_assert_int_eq (dealer_silent_ms (dealer), 0);
    send_info (-1);
    pump (server_has_one);
    fake_clock_advance (&fake, 3000);
    send_info (-1);
    ck_assert_int_eq (dealer_silent_ms (dealer), 3000);
    pump (server_has_two);
    server.mute = false;
    send_info (-1);
    pump (has_an_answer);
    ck_assert_int_eq (dealer_silent_ms (dealer), 0);
    fake_clock_advance (&fake, 500);
    ck_assert_int_eq (dealer_silent_ms (dealer), 500);
    dealer_cancel_all (dealer);
    ck_assert_int_eq (dealer_silent_ms (dealer), 0);
    server_free (&server);
}
END_TEST

START_TEST (a_field_out_of_bounds_is_not_sent)
{
    struct path_info_request fields = {.path = slice_str ("")};

    open_dealer (29999, 0);
    ck_assert_int_eq (
        dealer_send (dealer, TYPE (path_info), &fields, NULL, 100, on_end, &answers, &error),
        LITEDFS_INVALID);
    ck_assert (dealer_idle (dealer));
}
END_TEST

START_TEST (threads_of_a_process_are_served_over_inproc)
{
    struct router *router;
    struct request *request;
    struct router_options options = {.role = SOCKET_NAME_ROUTER,
                                     .domain = "test",
                                     .inproc = "inproc://litedfs-test",
                                     .clock = clock_system ()};

    ck_assert_int_eq (router_new (&router, &options, &error), 0);
    ck_assert_int_eq (router_port (router), 0);
    struct dealer_options dealer_options = options_for ("inproc://litedfs-test");
    ck_assert_int_eq (dealer_new (&dealer, &dealer_options, &error), 0);
    ck_assert (dealer_connected (dealer));
    send_info (WAIT_MS);
    ck_assert (readable (router_socket (router), WAIT_MS));
    ck_assert_int_eq (router_receive (router, &request), 1);
    ck_assert_int_eq (request->fd, -1);
    ck_assert_str_eq (request->peer, "");
    answer_path_info (router, request);
    request_destroy (&request);
    pump (is_idle);
    ck_assert_int_eq (answers, 1);
    router_destroy (&router);
}
END_TEST

START_TEST (what_is_no_answer_is_dropped)
{
    int port;
    void *socket = rude_server (&port);
    zmq_msg_t id;
    struct buf frame = {0};

    open_dealer (port, 0);
    pump (is_connected);
    send_info (WAIT_MS);
    take_request (socket, &id);
    say (socket, &id, "", 0, 0);
    say (socket, &id, "", 0, 5);
    say (socket, &id, "garbage", 7, 0);
    say (socket, &id, "garbage", 7, 50);
    message_encode_error (&frame, 77, LITEDFS_FAILED, "an id that nobody waits for");
    say (socket, &id, frame.data, frame.size, 0);
    buf_clear (&frame);
    message_encode_error (&frame, 1, LITEDFS_LOCKED, "the answer");
    say (socket, &id, frame.data, frame.size, 0);
    say (socket, &id, frame.data, frame.size, 0);
    pump (is_idle);
    ck_assert_int_eq (failures, 1);
    ck_assert_int_eq (last.number, LITEDFS_LOCKED);
    zmq_msg_close (&id);
    buf_free (&frame);
    zmq_close (socket);
}
END_TEST

START_TEST (an_answer_with_wrong_fields_is_an_error)
{
    struct path_info_request fields = {.path = slice_str ("/a")};
    struct path_info_reply reply_fields;
    struct directory_create_reply other = {.created = true};
    struct buf frame = {0};
    struct router *router;
    struct request *request;
    struct router_options options = {.role = SOCKET_NAME_ROUTER,
                                     .domain = "test",
                                     .inproc = "inproc://litedfs-test",
                                     .clock = clock_system ()};

    ck_assert_int_eq (router_new (&router, &options, &error), 0);
    struct dealer_options dealer_options = options_for ("inproc://litedfs-test");
    ck_assert_int_eq (dealer_new (&dealer, &dealer_options, &error), 0);
    // The second request's answer is there before it is asked; the call sends it as id 2.
    send_info (WAIT_MS);
    ck_assert (readable (router_socket (router), WAIT_MS));
    ck_assert_int_eq (router_receive (router, &request), 1);
    struct route route = request->route;
    request_destroy (&request);
    struct dealer_reply *reply;
    ck_assert_int_eq (dealer_call (dealer, TYPE (path_info), &fields, NULL, &reply_fields,
                                   &reply, 50, -1, &error),
                      LITEDFS_TIMEOUT);
    ck_assert_int_eq (message_encode_reply (&frame, TYPE (directory_create), &other, 3, &error),
                      0);
    ck_assert_int_eq (router_reply_encoded (router, &route, 3, 0, frame.data, frame.size), 0);
    ck_assert_int_eq (dealer_call (dealer, TYPE (path_info), &fields, NULL, &reply_fields,
                                   &reply, WAIT_MS, -1, &error),
                      LITEDFS_INVALID);
    buf_free (&frame);
    router_destroy (&router);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "rpc_dealer", rpc_setup, teardown, a_call_gets_its_answer,
    an_error_of_the_peer_is_the_error_of_the_call, a_thousand_in_flight_are_answered_once_each,
    the_span_is_from_the_oldest_that_is_pending, a_reader_with_a_window_is_never_told_to_wait,
    who_was_never_reached_is_named, the_outcome_of_a_change_without_an_answer_is_not_known,
    a_descriptor_cancels_a_call, all_can_be_cancelled_and_one_forgotten,
    requests_carry_client_and_seen, deadlines_are_those_of_the_clock_that_was_given,
    silence_is_what_passes_while_the_peer_owes_an_answer_and_nothing_comes,
    a_field_out_of_bounds_is_not_sent, threads_of_a_process_are_served_over_inproc,
    what_is_no_answer_is_dropped, an_answer_with_wrong_fields_is_an_error)
