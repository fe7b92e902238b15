/* SPDX-License-Identifier: MIT */
/*
 * rpc/router against strangers: libzmq sockets without manners, and raw TCP.
 */
#include "rpc/router.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc_fixture.h"

static struct router *router;
static int requests;        // given out
static struct request kept; // of the last one: route, fd, peer
static int last_rc;         // of the last reply
static uint64_t closed[64];
static int closed_count;

static void
open_router (int role, const char *host)
{
    struct router_options options = {
        .role = role, .domain = "test", .host = host, .clock = clock_system ()};

    ck_assert_msg (router_new (&router, &options, &error) == 0, "%s", error.text);
}

static void
setup (void)
{
    rpc_setup ();
    open_router (SOCKET_NAME_ROUTER, "127.0.0.1");
}

static void
teardown (void)
{
    router_destroy (&router);
    rpc_teardown ();
}

/* Serve what is there now. */
static void
serve (bool answer)
{
    struct request *request;
    uint64_t session;

    while (router_receive (router, &request)) {
        while (router_closed (router, &session))
            closed[closed_count++ % 64] = session;
        requests++;
        kept = *request;
        enum message_number number = request->message->type->number;
        if (answer && number == MESSAGE_path_info)
            last_rc = answer_path_info (router, request);
        else if (answer && number == MESSAGE_block_read)
            last_rc = answer_read (router, request);
        request_destroy (&request);
    }
    while (router_closed (router, &session))
        closed[closed_count++ % 64] = session;
}

/* Serve until a stranger's socket has something. */
static void
serve_until (void *socket)
{
    for (int64_t end_ms = now_ms () + WAIT_MS; !readable (socket, 0);) {
        zmq_pollitem_t items[] = {{socket, 0, ZMQ_POLLIN, 0},
                                  {router_socket (router), 0, ZMQ_POLLIN, 0},
                                  {router_monitor_socket (router), 0, ZMQ_POLLIN, 0}};
        zmq_poll (items, 3, 100);
        serve (true);
        ck_assert_msg (now_ms () < end_ms, "no answer");
    }
}

static void
serve_until_requests (int count, bool answer)
{
    for (int64_t end_ms = now_ms () + WAIT_MS; requests < count;) {
        readable (router_socket (router), 100);
        serve (answer);
        ck_assert_msg (now_ms () < end_ms, "%d requests", requests);
    }
}

static void
serve_until_closed (int count)
{
    for (int64_t end_ms = now_ms () + WAIT_MS; closed_count < count;) {
        readable (router_monitor_socket (router), 100);
        serve (true);
        ck_assert_msg (now_ms () < end_ms, "%d closed", closed_count);
    }
}

/* The next answer of a stranger's socket: 0 for ok or its error; the id in *id. */
static int
take_answer (void *socket, uint64_t *id)
{
    struct message *message;
    zmq_msg_t frame;

    serve_until (socket);
    zmq_msg_init (&frame);
    zmq_msg_recv (&frame, socket, 0);
    ck_assert_msg (message_parse_reply (slice_of (zmq_msg_data (&frame), zmq_msg_size (&frame)),
                                        &message, &error) == 0,
                   "%s", error.text);
    int number = message->ok ? 0 : message->error.number;
    error = message->error;
    if (id)
        *id = message->envelope.id;
    message_destroy (&message);
    while (zmq_msg_more (&frame))
        zmq_msg_recv (&frame, socket, 0);
    zmq_msg_close (&frame);
    return number;
}

START_TEST (a_req_socket_gets_its_empty_frame_back)
{
    uint64_t id;
    void *socket = stranger (ZMQ_REQ, router_port (router));

    for (uint64_t i = 1; i < 20; i++) {
        ask (socket, 7, -1);
        ck_assert_int_eq (take_answer (socket, &id), 0);
        ck_assert_uint_eq (id, 7);
    }
    ck_assert (kept.route.delimiter);
    zmq_close (socket);
}
END_TEST

START_TEST (a_dealer_socket_gets_no_empty_frame)
{
    void *socket = stranger (ZMQ_DEALER, router_port (router));

    ask (socket, 1, 0);
    ck_assert_int_eq (take_answer (socket, NULL), 0);
    ck_assert (!kept.route.delimiter);
    zmq_close (socket);
}
END_TEST

START_TEST (what_is_no_request_is_answered_and_not_given_out)
{
    void *socket = stranger (ZMQ_DEALER, router_port (router));
    struct buf frame;
    uint64_t id;

    zmq_send (socket, "", 0, 0);
    ck_assert_int_eq (zmq_send (socket, "garbage", 7, 0), 7);
    zmq_send (socket, "", 0, ZMQ_SNDMORE);
    zmq_send (socket, "", 0, 0);
    for (int i = 0; i < 8; i++)
        zmq_send (socket, "x", 1, ZMQ_SNDMORE);
    zmq_send (socket, "x", 1, 0);
    zmq_send (socket, "\xdf\x02\x00\x00\x00", 5, 0);
    // Delimiters come back: skip them.
    serve_until (socket);
    char bytes[8];
    ck_assert_int_eq (zmq_recv (socket, bytes, sizeof bytes, 0), 0);
    ck_assert_int_eq (take_answer (socket, &id), LITEDFS_INVALID);
    ck_assert_int_eq (take_answer (socket, &id), LITEDFS_INVALID);
    serve_until (socket);
    ck_assert_int_eq (zmq_recv (socket, bytes, sizeof bytes, 0), 0);
    ck_assert_int_eq (take_answer (socket, &id), LITEDFS_INVALID);
    ck_assert_int_eq (take_answer (socket, &id), LITEDFS_INVALID);
    ck_assert_ptr_nonnull (strstr (error.text, "more than 8 frames"));
    ck_assert_int_eq (take_answer (socket, &id), LITEDFS_INVALID);
    ck_assert_int_eq (requests, 0);
    frame = encode_path_info ("/a", 9, -1);
    send_buf (socket, &frame, 0);
    ck_assert_int_eq (take_answer (socket, &id), 0);
    ck_assert_int_eq (requests, 1);
    zmq_close (socket);
}
END_TEST

START_TEST (an_unknown_op_is_unsupported_and_an_unknown_version_too)
{
    static const char unknown[] = "\x82\xa2op\xa7no.such\xa2id\x2a";
    static const char version[] = "\x84\xa2op\xa9path.info\xa2id\x2b\xa1v\x63\xa4path\xa1/";
    void *socket = stranger (ZMQ_DEALER, router_port (router));
    uint64_t id;

    zmq_send (socket, unknown, sizeof unknown - 1, 0);
    ck_assert_int_eq (take_answer (socket, &id), LITEDFS_UNSUPPORTED);
    ck_assert_uint_eq (id, 42);
    ck_assert_ptr_nonnull (strstr (error.text, "no.such"));
    zmq_send (socket, version, sizeof version - 1, 0);
    ck_assert_int_eq (take_answer (socket, &id), LITEDFS_UNSUPPORTED_VERSION);
    ck_assert_uint_eq (id, 43);
    ck_assert_int_eq (requests, 0);
    zmq_close (socket);
}
END_TEST

START_TEST (a_payload_is_the_second_frame_and_more_mean_nothing)
{
    void *socket = stranger (ZMQ_DEALER, router_port (router));
    struct buf frame = encode_path_info ("/a", 1, -1);
    struct request *request;

    send_buf (socket, &frame, ZMQ_SNDMORE);
    zmq_send (socket, "bytes", 5, ZMQ_SNDMORE);
    zmq_send (socket, "more", 4, 0);
    ck_assert (readable (router_socket (router), WAIT_MS));
    ck_assert_int_eq (router_receive (router, &request), 1);
    ck_assert (request->has_payload);
    ck_assert_uint_eq (zmq_msg_size (&request->payload), 5);
    ck_assert_int_ge (request->fd, 0);
    ck_assert_str_eq (request->peer, "127.0.0.1");
    request_destroy (&request);
    ck_assert_ptr_null (request);
    zmq_close (socket);
}
END_TEST

START_TEST (a_long_routing_id_is_refused_and_a_short_one_taken)
{
    char endpoint[64];
    char name[100];
    struct buf frame = encode_path_info ("/a", 1, -1);

    memset (name, 'n', sizeof name);
    for (size_t size = 32; size < 100; size += 60) {
        void *socket = zmq_socket (context_get (), ZMQ_DEALER);
        zmq_setsockopt (socket, ZMQ_ROUTING_ID, name, size);
        snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", router_port (router));
        zmq_connect (socket, endpoint);
        zmq_send (socket, frame.data, frame.size, 0);
        ck_assert_int_eq (take_answer (socket, NULL), size == 32 ? 0 : LITEDFS_INVALID);
        zmq_close (socket);
    }
    buf_free (&frame);
}
END_TEST

START_TEST (two_reads_at_once_need_seen)
{
    void *socket = stranger (ZMQ_DEALER, router_port (router));
    uint64_t id;

    ask (socket, 1, -1);
    ask (socket, 2, -1);
    serve_until_requests (1, false);
    ck_assert_int_eq (take_answer (socket, &id), LITEDFS_BUSY);
    ck_assert_uint_eq (id, 2);
    ck_assert_int_eq (requests, 1);
    ask (socket, 3, 2);
    ask (socket, 4, 2);
    ck_assert_int_eq (take_answer (socket, &id), 0);
    ck_assert_int_eq (take_answer (socket, &id), 0);
    zmq_close (socket);
}
END_TEST

START_TEST (reads_of_a_data_node_are_limited_by_number_and_bytes)
{
    uint64_t id;
    int busy = 0;

    router_destroy (&router);
    open_router (SOCKET_DATA_ROUTER, "127.0.0.1");
    void *socket = stranger (ZMQ_DEALER, router_port (router));
    for (uint64_t i = 1; i <= 5; i++)
        ask_read (socket, 4 << 20, i, 0);
    for (int i = 0; i < 5; i++)
        busy += take_answer (socket, &id) == LITEDFS_BUSY;
    ck_assert_int_eq (busy, 2); // 16 MiB hold three with what goes round them
    for (uint64_t i = 101; i <= 200; i++)
        ask_read (socket, 1, i, 100);
    busy = 0;
    for (int i = 0; i < 100; i++)
        busy += take_answer (socket, &id) == LITEDFS_BUSY;
    ck_assert_int_eq (busy, 36);
    zmq_close (socket);
}
END_TEST

/* Whoever says that it has taken everything and reads nothing. */
static int
greedy (int64_t seen_offset)
{
    int received = 0;
    size_t size = (size_t) 1 << 20;

    router_destroy (&router);
    open_router (SOCKET_DATA_ROUTER, "127.0.0.1");
    void *socket = zmq_socket (context_get (), ZMQ_DEALER);
    int two = 2, none = 0;
    char endpoint[64];
    zmq_setsockopt (socket, ZMQ_RCVHWM, &two, sizeof two);
    zmq_setsockopt (socket, ZMQ_LINGER, &none, sizeof none);
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", router_port (router));
    zmq_connect (socket, endpoint);
    for (uint64_t i = 1; i <= 400; i++) {
        ask_read (socket, size, i, seen_offset < 0 ? -1 : (int64_t) i - seen_offset);
        ck_assert (readable (router_socket (router), WAIT_MS));
        serve (true);
    }
    received = requests;
    // The server lives, and serves others.
    void *other = stranger (ZMQ_REQ, router_port (router));
    ask (other, 1, -1);
    ck_assert_int_eq (take_answer (other, NULL), 0);
    zmq_close (other);
    zmq_close (socket);
    return received;
}

START_TEST (who_lies_about_seen_and_does_not_read_is_stopped)
{
    ck_assert_int_lt (greedy (1), 60);
}
END_TEST

START_TEST (who_sends_no_seen_and_does_not_read_is_stopped)
{
    ck_assert_int_lt (greedy (-1), 60);
}
END_TEST

START_TEST (a_full_queue_is_busy_and_loses_the_reply_only)
{
    void *socket;
    int two = 2, busy = 0;
    char endpoint[64];
    struct directory_create_reply reply = {.created = true};

    socket = zmq_socket (context_get (), ZMQ_DEALER);
    zmq_setsockopt (socket, ZMQ_RCVHWM, &two, sizeof two);
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", router_port (router));
    zmq_connect (socket, endpoint);
    ask (socket, 1, -1);
    serve_until_requests (1, false);
    for (int i = 0; i < 20000 && !busy; i++) {
        zmq_msg_t payload;
        zmq_msg_init_size (&payload, 4096);
        memset (zmq_msg_data (&payload), 0, 4096);
        busy = router_reply (router, &kept.route, 1, TYPE (directory_create), &reply,
                             &payload) == LITEDFS_BUSY;
        ck_assert_uint_eq (zmq_msg_size (&payload), 0);
        zmq_msg_close (&payload);
    }
    ck_assert (busy);
    zmq_close (socket);
    serve_until_closed (1);
}
END_TEST

START_TEST (a_closed_connection_is_named_before_the_next_ones_request)
{
    for (int i = 0; i < 20; i++) {
        void *socket = stranger (ZMQ_DEALER, router_port (router));
        ask (socket, 1, -1);
        serve_until (socket);
        ck_assert_int_eq (closed_count, i);
        uint64_t session = kept.route.session;
        zmq_close (socket);
        serve_until_closed (i + 1);
        ck_assert_uint_eq (closed[i], session);
    }
}
END_TEST

START_TEST (a_reply_to_who_is_gone_finds_nobody)
{
    void *socket = stranger (ZMQ_DEALER, router_port (router));

    ask (socket, 1, -1);
    serve_until_requests (1, false);
    struct route route = kept.route;
    zmq_close (socket);
    serve_until_closed (1);
    ck_assert_int_eq (router_reply_error (router, &route, 1, LITEDFS_FAILED, "late"),
                      LITEDFS_UNREACHABLE);
}
END_TEST

START_TEST (a_request_whose_sender_left_at_once_is_given_out_and_its_session_ends)
{
    for (int i = 0; i < 50; i++) {
        int linger = 1000;
        void *socket = stranger (ZMQ_DEALER, router_port (router));
        zmq_setsockopt (socket, ZMQ_LINGER, &linger, sizeof linger);
        ask (socket, 1, -1);
        zmq_close (socket);
        serve_until_requests (i + 1, true);
        serve_until_closed (i + 1);
        ck_assert_uint_eq (closed[i % 64], kept.route.session);
    }
}
END_TEST

START_TEST (a_peer_that_dies_with_full_queues_takes_nobody_along)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons ((uint16_t) router_port (router)),
                                  .sin_addr = {htonl (INADDR_LOOPBACK)}};
    struct linger hard = {1, 0};
    static const uint8_t greeting[64] = {0xff, 0,    0, 0, 0,   0,   0,   0,
                                         1,    0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    static const uint8_t ready[] = "\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x06"
                                   "DEALER";
    static const uint8_t ping[] = "\x04\x07\x04PING\x00\x0a";
    uint8_t bytes[256];

    int fd = socket (AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq (connect (fd, (struct sockaddr *) &address, sizeof address), 0);
    ck_assert_int_eq (write (fd, greeting, sizeof greeting), sizeof greeting);
    for (size_t got = 0; got < 64;) {
        ssize_t n = read (fd, bytes, 64 - got);
        ck_assert_int_gt (n, 0);
        got += (size_t) n;
    }
    // Length of READY: 1 + 5 + 1 + 11 + 4 + 6 = 28.
    memcpy (bytes, ready, sizeof ready - 1);
    bytes[1] = sizeof ready - 1 - 2;
    ck_assert_int_eq (write (fd, bytes, sizeof ready - 1), sizeof ready - 1);
    ck_assert_int_gt (read (fd, bytes, sizeof bytes), 0);
    for (int i = 0; i < 5000; i++)
        ck_assert_int_eq (write (fd, "\x00\x01x", 3), 3);
    memcpy (bytes, ping, sizeof ping - 1);
    ck_assert_int_eq (write (fd, bytes, sizeof ping - 1), sizeof ping - 1);
    setsockopt (fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close (fd);
    void *socket = stranger (ZMQ_REQ, router_port (router));
    ask (socket, 1, -1);
    ck_assert_int_eq (take_answer (socket, NULL), 0);
    zmq_close (socket);
}
END_TEST

START_TEST (a_taken_port_is_said_so)
{
    struct router *second = NULL;
    struct router_options options = {.role = SOCKET_NAME_ROUTER,
                                     .domain = "test",
                                     .host = "127.0.0.1",
                                     .port = router_port (router),
                                     .clock = clock_system ()};

    ck_assert_int_eq (router_new (&second, &options, &error), LITEDFS_IN_USE);
    ck_assert_ptr_nonnull (strstr (error.text, "the port is taken by another process"));
    ck_assert_ptr_null (second);
}
END_TEST

START_TEST (peers_have_ipv4_addresses_on_both_families)
{
    static const char *const hosts[] = {"0.0.0.0", "::", "*"};

    for (int i = 0; i < 3; i++) {
        router_destroy (&router);
        open_router (SOCKET_NAME_ROUTER, hosts[i]);
        void *socket = stranger (ZMQ_REQ, router_port (router));
        ask (socket, 1, -1);
        ck_assert_int_eq (take_answer (socket, NULL), 0);
        ck_assert_str_eq (kept.peer, "127.0.0.1");
        zmq_close (socket);
    }
}
END_TEST

static int
handle_info (void *context, struct request *request, litedfs_error_t *failed)
{
    (void) failed;
    ck_assert_ptr_eq (context, &requests);
    answer_path_info (router, request);
    request_destroy (&request);
    return 0;
}

static int
handle_create (void *context, struct request *request, litedfs_error_t *failed)
{
    (void) context;
    (void) request;
    return err_set (failed, LITEDFS_EXISTS, "directory[/a]: exists");
}

START_TEST (the_table_says_who_handles_what)
{
    static const struct router_row rows[] = {
        {MESSAGE_path_info, handle_info, PEER_ANY},
        {MESSAGE_directory_create, handle_create, PEER_CLIENT},
        {MESSAGE_node_list, handle_info, PEER_NODE},
        {MESSAGE_lock_list, handle_info, PEER_NAME},
    };
    struct path_info_request info = {.path = slice_str ("/a")};
    struct directory_create_request create = {.path = slice_str ("/a")};
    struct node_list_request list = {.cursor = 0};
    struct lock_list_request locks = {.limit = 0};
    struct file_delete_request delete = {.path = slice_str ("/a")};
    const struct {
        const struct message_type *type;
        const void *fields;
        int expected;
    } cases[] = {
        {TYPE (path_info), &info, 0},
        {TYPE (directory_create), &create, LITEDFS_EXISTS},
        {TYPE (node_list), &list, LITEDFS_REGISTER_FIRST},
        {TYPE (lock_list), &locks, LITEDFS_REFUSED},
        {TYPE (file_delete), &delete, LITEDFS_UNSUPPORTED},
    };
    void *socket = stranger (ZMQ_DEALER, router_port (router));

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct request *request;
        struct buf frame = encode_request (cases[i].type, cases[i].fields, i + 1, (int64_t) i);
        send_buf (socket, &frame, 0);
        ck_assert (readable (router_socket (router), WAIT_MS));
        ck_assert_int_eq (router_receive (router, &request), 1);
        router_dispatch (router, rows, sizeof rows / sizeof *rows, &requests, PEER_CLIENT,
                         &request);
        ck_assert_ptr_null (request);
        ck_assert_int_eq (take_answer (socket, NULL), cases[i].expected);
    }
    zmq_close (socket);
}
END_TEST

START_TEST (a_reply_that_breaks_its_bounds_is_failed_for_the_peer)
{
    struct path_info_reply reply;
    void *socket = stranger (ZMQ_DEALER, router_port (router));

    ask (socket, 1, -1);
    serve_until_requests (1, false);
    message_reply_init (TYPE (path_info), &reply);
    reply.path = slice_str ("");
    ck_assert_int_eq (router_reply (router, &kept.route, 1, TYPE (path_info), &reply, NULL), 0);
    ck_assert_int_eq (take_answer (socket, NULL), LITEDFS_FAILED);
    zmq_close (socket);
}
END_TEST

START_TEST (floods_of_garbage_let_the_owner_have_its_turn)
{
    void *socket = stranger (ZMQ_DEALER, router_port (router));
    struct request *request;
    zmq_msg_t frame;

    for (int i = 0; i < 900; i++)
        zmq_send (socket, "garbage", 7, 0);
    ask (socket, 1, -1);
    ck_assert (readable (router_socket (router), WAIT_MS));
    ck_assert_int_eq (router_receive (router, &request), 0);
    zmq_msg_init (&frame);
    for (int i = 0; i < 900; i++) {
        serve_until (socket);
        zmq_msg_recv (&frame, socket, 0);
    }
    zmq_msg_close (&frame);
    ck_assert_int_eq (take_answer (socket, NULL), 0);
    zmq_close (socket);
}
END_TEST

UNIT_MAIN_FIXTURE ("rpc_router", setup, teardown, a_req_socket_gets_its_empty_frame_back,
                   a_dealer_socket_gets_no_empty_frame,
                   what_is_no_request_is_answered_and_not_given_out,
                   an_unknown_op_is_unsupported_and_an_unknown_version_too,
                   a_payload_is_the_second_frame_and_more_mean_nothing,
                   a_long_routing_id_is_refused_and_a_short_one_taken,
                   two_reads_at_once_need_seen,
                   reads_of_a_data_node_are_limited_by_number_and_bytes,
                   who_lies_about_seen_and_does_not_read_is_stopped,
                   who_sends_no_seen_and_does_not_read_is_stopped,
                   a_full_queue_is_busy_and_loses_the_reply_only,
                   a_closed_connection_is_named_before_the_next_ones_request,
                   a_reply_to_who_is_gone_finds_nobody,
                   a_request_whose_sender_left_at_once_is_given_out_and_its_session_ends,
                   a_peer_that_dies_with_full_queues_takes_nobody_along,
                   a_taken_port_is_said_so, peers_have_ipv4_addresses_on_both_families,
                   the_table_says_who_handles_what,
                   a_reply_that_breaks_its_bounds_is_failed_for_the_peer,
                   floods_of_garbage_let_the_owner_have_its_turn)
