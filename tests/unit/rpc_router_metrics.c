/* SPDX-License-Identifier: MIT */
/*
 * rpc/router: what it counts of requests and answers.
 */
#include "rpc/router.h"

#include <string.h>

#include "rpc_fixture.h"

static const char *ops[MESSAGE_COUNT];
static struct metrics *metrics;
static struct router *router;

static int
handle_info (void *context, struct request *request, litedfs_error_t *failed)
{
    (void) context;
    (void) failed;
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

static const struct router_row rows[] = {
    {MESSAGE_path_info, handle_info, PEER_ANY},
    {MESSAGE_directory_create, handle_create, PEER_CLIENT},
};

static void
setup (void)
{
    const struct metrics_options counting = {
        .where = METRIC_NAME, .version = "1", .ops = {ops, MESSAGE_COUNT}};
    struct router_options options = {.role = SOCKET_NAME_ROUTER,
                                     .domain = "test",
                                     .host = "127.0.0.1",
                                     .clock = clock_system ()};

    rpc_setup ();
    router_words (rows, sizeof rows / sizeof *rows, ops);
    options.metrics = metrics = metrics_new (&counting);
    ck_assert_msg (router_new (&router, &options, &error) == 0, "%s", error.text);
}

static void
teardown (void)
{
    router_destroy (&router);
    metrics_destroy (&metrics);
    rpc_teardown ();
}

/* The next answer of a stranger's socket: 0 for ok or its error; the id in *id. */
static int
take_answer (void *socket, uint64_t *id)
{
    struct message *message;
    zmq_msg_t frame;

    ck_assert (readable (socket, WAIT_MS));
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

/* Take a request in and answer it; the number of the answer's error. */
static int
serve (void *socket)
{
    struct request *request;

    ck_assert (readable (router_socket (router), WAIT_MS));
    if (router_receive (router, &request) == 1)
        router_dispatch (router, rows, sizeof rows / sizeof *rows, NULL, PEER_CLIENT, &request);
    return take_answer (socket, NULL);
}

static int
ask_for (void *socket, const struct message_type *type, const void *fields)
{
    struct buf frame = encode_request (type, fields, 1, -1);

    send_buf (socket, &frame, 0);
    return serve (socket);
}

/* The number of a sample, by its name and labels; -1 if it is not there. */
static double
number_of (const char *sample)
{
    struct buf out = {0};
    double number = -1;

    metrics_render (metrics, NULL, &out);
    const char *at = strstr (buf_text (&out), sample);
    if (at)
        number = strtod (at + strlen (sample), NULL);
    buf_free (&out);
    return number;
}

START_TEST (answers_are_counted_by_op_outcome_and_error)
{
    struct path_info_request info = {.path = slice_str ("/a")};
    struct directory_create_request create = {.path = slice_str ("/a")};
    struct file_delete_request delete = {.path = slice_str ("/a")};
    void *socket = stranger (ZMQ_DEALER, router_port (router));

    ck_assert_int_eq (ask_for (socket, TYPE (path_info), &info), 0);
    ck_assert_int_eq (ask_for (socket, TYPE (path_info), &info), 0);
    ck_assert_int_eq (ask_for (socket, TYPE (directory_create), &create), LITEDFS_EXISTS);
    ck_assert_int_eq (ask_for (socket, TYPE (file_delete), &delete), LITEDFS_UNSUPPORTED);
    ck_assert (number_of ("requests_total{op=\"path.info\",outcome=\"ok\"} ") == 2);
    ck_assert (number_of ("requests_total{op=\"path.info\",outcome=\"error\"} ") == 0);
    ck_assert (number_of ("requests_total{op=\"directory.create\",outcome=\"error\"} ") == 1);
    ck_assert (number_of ("requests_total{op=\"file.delete\",outcome=\"error\"} ") == -1);
    ck_assert (number_of ("errors_total{error=\"exists\"} ") == 1);
    ck_assert (number_of ("errors_total{error=\"unsupported\"} ") == 1);
    ck_assert (number_of ("request_duration_seconds_count{op=\"path.info\"} ") == 2);
    ck_assert (number_of ("\nlitedfs_received_bytes_total ") > 4 * 20);
    ck_assert (number_of ("\nlitedfs_sent_bytes_total ") > 4 * 20);
    zmq_close (socket);
}
END_TEST

START_TEST (the_time_of_an_answer_is_counted_from_when_the_request_was_taken)
{
    struct path_info_request info = {.path = slice_str ("/a")};
    void *socket = stranger (ZMQ_DEALER, router_port (router));
    struct buf frame = encode_request (TYPE (path_info), &info, 1, -1);
    struct request *request;

    send_buf (socket, &frame, 0);
    ck_assert (readable (router_socket (router), WAIT_MS));
    ck_assert_int_eq (router_receive (router, &request), 1);
    zmq_poll (NULL, 0, 60);
    struct route route = request->route; // the request itself need not live on
    request_destroy (&request);
    router_reply_error (router, &route, 1, LITEDFS_BUSY, "later");
    ck_assert_int_eq (take_answer (socket, NULL), LITEDFS_BUSY);
    ck_assert (number_of ("request_duration_seconds_bucket{op=\"path.info\",le=\"0.05\"} ") ==
               0);
    ck_assert (number_of ("request_duration_seconds_sum{op=\"path.info\"} ") > 0.05);
    zmq_close (socket);
}
END_TEST

START_TEST (what_is_no_request_counts_as_its_error_alone)
{
    void *socket = stranger (ZMQ_DEALER, router_port (router));

    zmq_send (socket, "garbage", 7, 0);
    ck_assert_int_eq (serve (socket), LITEDFS_INVALID);
    ck_assert (number_of ("errors_total{error=\"invalid\"} ") == 1);
    ck_assert (number_of ("\nlitedfs_received_bytes_total ") == 7);
    ck_assert (number_of ("requests_total{op=\"path.info\",outcome=\"error\"} ") == 0);
    zmq_close (socket);
}
END_TEST

UNIT_MAIN_FIXTURE ("rpc_router_metrics", setup, teardown,
                   answers_are_counted_by_op_outcome_and_error,
                   the_time_of_an_answer_is_counted_from_when_the_request_was_taken,
                   what_is_no_request_counts_as_its_error_alone)
