/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_RPC_DEALER_FIXTURE_H
#define LITEDFS_TESTS_RPC_DEALER_FIXTURE_H

/*
 * What the tests of dealer and link share: a dealer with callbacks that count, and servers for it,
 * the good one of rpc_fixture.h and a rude one.
 */

#include "rpc/dealer.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc_fixture.h"

static struct server server;
static struct dealer *dealer;

/* What callbacks have seen. */
static int answers;
static int failures;
static size_t payload_bytes;
static litedfs_error_t last;

static inline void
on_end (void *arg, struct message *reply, zmq_msg_t *payload, const litedfs_error_t *failed)
{
    ck_assert ((reply != NULL) != (failed != NULL));
    ck_assert_ptr_eq (arg, &answers);
    answers += reply != NULL;
    failures += failed != NULL;
    payload_bytes += payload ? zmq_msg_size (payload) : 0;
    if (failed)
        last = *failed;
}

static inline struct dealer_options
options_for (const char *endpoint)
{
    static const uint8_t client[WIRE_CLIENT_SIZE] = "0123456789abcdef";

    return (struct dealer_options){
        .endpoint = endpoint, .client = client, .clock = clock_system ()};
}

static inline void
open_dealer (int port, int64_t attempt_ms)
{
    char endpoint[64];

    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", port);
    struct dealer_options options = options_for (endpoint);
    options.attempt_ms = attempt_ms;
    ck_assert_int_eq (dealer_new (&dealer, &options, &error), 0);
}

static inline void
teardown (void)
{
    dealer_destroy (&dealer);
    rpc_teardown ();
}

/* Run the dealer until the condition holds. */
static inline void
pump (bool (*holds) (void))
{
    int64_t end_ms = now_ms () + WAIT_MS;

    while (!holds ()) {
        zmq_pollitem_t items[DEALER_POLL_ITEMS];
        size_t count = dealer_poll_items (dealer, items);
        long ms = dealer_timeout_ms (dealer);
        zmq_poll (items, (int) count, ms < 0 || ms > 10 ? 10 : ms);
        dealer_process (dealer);
        ck_assert_msg (now_ms () < end_ms, "it did not happen: %d answers, %d failures",
                       answers, failures);
    }
}

static inline bool
is_idle (void)
{
    return dealer_idle (dealer);
}

static inline bool
is_connected (void)
{
    return dealer_connected (dealer);
}

static inline bool
server_has_one (void)
{
    return server.requests >= 1;
}

static inline bool
server_has_two (void)
{
    return server.requests >= 2;
}

static inline int64_t
send_create (int64_t timeout_ms)
{
    struct directory_create_request fields = {.path = slice_str ("/a"), .parents = true};
    int64_t id = dealer_send (dealer, TYPE (directory_create), &fields, NULL, timeout_ms,
                              on_end, &answers, &error);

    ck_assert_int_gt (id, 0);
    return id;
}

static inline int64_t
send_info (int64_t timeout_ms)
{
    struct path_info_request fields = {.path = slice_str ("/a")};
    int64_t id = dealer_send (dealer, TYPE (path_info), &fields, NULL, timeout_ms, on_end,
                              &answers, &error);

    ck_assert_int_gt (id, 0);
    return id;
}

static inline int
call_info (const char *path, int64_t timeout_ms, int cancel_fd)
{
    struct path_info_request fields = {.path = slice_str (path)};
    struct path_info_reply reply_fields;
    struct dealer_reply *reply;

    int rc = dealer_call (dealer, TYPE (path_info), &fields, NULL, &reply_fields, &reply,
                          timeout_ms, cancel_fd, &error);
    if (rc == 0) {
        ck_assert (slice_equal (reply_fields.path, slice_str (path)));
        dealer_reply_destroy (&reply);
        ck_assert_ptr_null (reply);
    }
    return rc;
}

/* A port of ours where nobody listens; the descriptor that holds it. */
static inline int
dead_port (int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl (INADDR_LOOPBACK)}};
    int fd = socket (AF_INET, SOCK_STREAM, 0);
    int rc = -1;

    for (*port = SOCKET_PORT_FIRST; rc < 0 && *port < SOCKET_PORT_LAST; *port += rc < 0) {
        address.sin_port = htons ((uint16_t) *port);
        rc = bind (fd, (struct sockaddr *) &address, sizeof address);
    }
    ck_assert_int_eq (rc, 0);
    return fd;
}

/* A ROUTER without manners that the dealer is connected to; its port. */
static inline void *
rude_server (int *port)
{
    char endpoint[64];
    size_t size = sizeof endpoint;
    int linger = 0;
    void *socket = zmq_socket (context_get (), ZMQ_ROUTER);

    zmq_setsockopt (socket, ZMQ_LINGER, &linger, sizeof linger);
    ck_assert_int_eq (zmq_bind (socket, "tcp://127.0.0.1:*"), 0);
    zmq_getsockopt (socket, ZMQ_LAST_ENDPOINT, endpoint, &size);
    *port = atoi (strrchr (endpoint, ':') + 1);
    return socket;
}

/* Take a request from the dealer: its sender in id, which is returned. */
static inline zmq_msg_t *
take_request (void *socket, zmq_msg_t *id)
{
    zmq_msg_t frame;

    ck_assert (readable (socket, WAIT_MS));
    zmq_msg_init (id);
    zmq_msg_recv (id, socket, 0);
    zmq_msg_init (&frame);
    zmq_msg_recv (&frame, socket, 0);
    ck_assert (!zmq_msg_more (&frame));
    zmq_msg_close (&frame);
    return id;
}

static inline void
say (void *socket, zmq_msg_t *to, const void *data, size_t size, int more_frames)
{
    zmq_msg_t id;

    zmq_msg_init (&id);
    zmq_msg_copy (&id, to);
    zmq_msg_send (&id, socket, ZMQ_SNDMORE);
    for (; more_frames > 0; more_frames--)
        zmq_send (socket, data, size, ZMQ_SNDMORE);
    zmq_send (socket, data, size, 0);
}

#endif
