/* SPDX-License-Identifier: MIT */
/*
 * rpc/socket: options, ports, limits, events.
 */
#include "rpc/socket.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <unistd.h>

#include "rpc_fixture.h"

static const struct socket_options in_domain = {.zap_domain = "test"};

static int64_t
option (void *socket, int name)
{
    int number = 0;
    int64_t big = 0;
    size_t size = name == ZMQ_MAXMSGSIZE ? sizeof big : sizeof number;

    ck_assert_int_eq (
        zmq_getsockopt (socket, name, name == ZMQ_MAXMSGSIZE ? (void *) &big : &number, &size),
        0);
    return name == ZMQ_MAXMSGSIZE ? big : number;
}

static void *
open_role (enum socket_role role)
{
    void *socket = socket_new (role, &in_domain, &error);

    ck_assert_ptr_nonnull (socket);
    return socket;
}

START_TEST (no_role_has_heartbeats_or_lingers_or_blocks)
{
    for (int role = 0; role < SOCKET_ROLE_COUNT; role++) {
        void *socket = open_role ((enum socket_role) role);
        ck_assert_int_eq (option (socket, ZMQ_HEARTBEAT_IVL), 0);
        ck_assert_int_eq (option (socket, ZMQ_LINGER), 0);
        ck_assert_int_eq (option (socket, ZMQ_SNDTIMEO), 0);
        socket_close (&socket);
        ck_assert_ptr_null (socket);
        socket_close (&socket);
    }
    ck_assert_int_eq (socket_count (), 1); // the ZAP handler's
}
END_TEST

START_TEST (network_roles_have_what_keeps_them_alive)
{
    for (int role = SOCKET_NAME_ROUTER; role <= SOCKET_PUSH_PEER; role++) {
        void *socket = open_role ((enum socket_role) role);
        ck_assert_int_eq (option (socket, ZMQ_RCVHWM), 0);
        ck_assert_int_eq (option (socket, ZMQ_IPV6), 1);
        ck_assert_int_eq (option (socket, ZMQ_TCP_KEEPALIVE), 1);
        ck_assert_int_eq (option (socket, ZMQ_TCP_KEEPALIVE_IDLE), 15);
        ck_assert_int_eq (option (socket, ZMQ_TCP_KEEPALIVE_INTVL), 5);
        ck_assert_int_eq (option (socket, ZMQ_TCP_KEEPALIVE_CNT), 3);
        ck_assert_int_eq (option (socket, ZMQ_TCP_MAXRT), 30000);
        ck_assert_int_eq (option (socket, ZMQ_CONNECT_TIMEOUT), 5000);
        ck_assert_int_eq (option (socket, ZMQ_HANDSHAKE_IVL), 5000);
        ck_assert_int_eq (option (socket, ZMQ_RECONNECT_IVL), 100);
        ck_assert_int_eq (option (socket, ZMQ_RECONNECT_IVL_MAX), 5000);
        socket_close (&socket);
    }
}
END_TEST

START_TEST (roles_have_their_limits)
{
    const struct {
        enum socket_role role;
        int send_hwm;
        int64_t frame_max;
    } cases[] = {
        {SOCKET_NAME_ROUTER, 4096, 1 << 20},      {SOCKET_DATA_ROUTER, 256, (4 << 20) + 65536},
        {SOCKET_PULL_PEER, 0, (4 << 20) + 65536}, {SOCKET_PUSH_PEER, 64, -1},
        {SOCKET_DEALER, 100, 16 << 20},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void *socket = open_role (cases[i].role);
        ck_assert_int_eq (option (socket, ZMQ_SNDHWM), cases[i].send_hwm);
        ck_assert_int_eq (option (socket, ZMQ_MAXMSGSIZE), cases[i].frame_max);
        socket_close (&socket);
    }
    struct socket_options options = {.zap_domain = "test", .send_hwm = 7};
    void *socket = socket_new (SOCKET_DATA_ROUTER, &options, &error);
    ck_assert_int_eq (option (socket, ZMQ_SNDHWM), 7);
    ck_assert_int_eq (option (socket, ZMQ_BACKLOG), 1024);
    socket_close (&socket);
}
END_TEST

START_TEST (a_bound_role_needs_a_domain)
{
    struct socket_options none = {.zap_domain = ""};

    ck_assert_ptr_null (socket_new (SOCKET_NAME_ROUTER, NULL, &error));
    ck_assert_int_eq (error.number, LITEDFS_INVALID);
    ck_assert_ptr_null (socket_new (SOCKET_PULL_PEER, &none, &error));
    ck_assert_int_eq (error.number, LITEDFS_INVALID);
}
END_TEST

START_TEST (a_port_is_chosen_where_the_kernel_chooses_none)
{
    void *first = open_role (SOCKET_DATA_ROUTER), *second = open_role (SOCKET_DATA_ROUTER);
    int a = 0, b = 0;

    ck_assert_int_eq (socket_bind (first, "127.0.0.1", 0, &a, &error), 0);
    ck_assert_int_eq (socket_bind (second, "::1", 0, &b, &error), 0);
    ck_assert (a >= SOCKET_PORT_FIRST && a <= SOCKET_PORT_LAST);
    ck_assert (b >= SOCKET_PORT_FIRST && b <= SOCKET_PORT_LAST);
    socket_close (&first);
    socket_close (&second);
}
END_TEST

START_TEST (a_bind_that_fails_says_why)
{
    void *first = open_role (SOCKET_DATA_ROUTER), *second = open_role (SOCKET_DATA_ROUTER);
    char expected[64];
    int port;

    ck_assert_int_eq (socket_bind (first, "127.0.0.1", 0, &port, &error), 0);
    ck_assert_int_eq (socket_bind (second, "127.0.0.1", port, NULL, &error), LITEDFS_IN_USE);
    snprintf (expected, sizeof expected, "bind[127.0.0.1:%d]: the port is taken", port);
    ck_assert_ptr_eq (strstr (error.text, expected), error.text);
    ck_assert_int_eq (socket_bind (second, "192.0.2.1", port, NULL, &error), LITEDFS_INVALID);
    ck_assert_ptr_nonnull (strstr (error.text, "no such address"));
    ck_assert_int_eq (socket_bind (second, "192.0.2.1", 0, NULL, &error), LITEDFS_INVALID);
    ck_assert_int_eq (socket_bind (second, "127.0.0.1", 70000, NULL, &error), LITEDFS_INVALID);
    ck_assert_int_eq (socket_bind (second, "127.0.0.1", -1, NULL, &error), LITEDFS_INVALID);
    ck_assert_int_eq (socket_bind (second, "no such host", 20000, NULL, &error),
                      LITEDFS_INVALID);
    socket_close (&first);
    socket_close (&second);
}
END_TEST

START_TEST (a_connect_that_cannot_be_says_so)
{
    void *socket = open_role (SOCKET_DEALER);

    ck_assert_int_eq (socket_connect (socket, "127.0.0.1", 0, &error), LITEDFS_INVALID);
    ck_assert_int_eq (socket_connect (socket, "127.0.0.1", 65536, &error), LITEDFS_INVALID);
    ck_assert_int_eq (socket_connect_endpoint (socket, "nonsense", &error), LITEDFS_INVALID);
    ck_assert_int_eq (socket_connect (socket, "::1", 29999, &error), 0);
    socket_close (&socket);
}
END_TEST

START_TEST (too_many_sockets_are_refused_and_not_aborted)
{
    static void *sockets[PROCESS_MAX_SOCKETS];
    int count = 0;
    struct rlimit limit = {256, 256};

    ck_assert_int_eq (setrlimit (RLIMIT_NOFILE, &limit), 0);
    while (count < PROCESS_MAX_SOCKETS &&
           (sockets[count] = socket_new (SOCKET_INPROC_PUSH, NULL, &error)))
        count++;
    ck_assert_int_lt (count, 256);
    ck_assert_int_gt (count, 100);
    ck_assert_ptr_nonnull (strstr (error.text, "limit of open files"));
    while (count > 0)
        socket_close (&sockets[--count]);
    void *socket = NULL;
    for (int64_t end_ms = now_ms () + WAIT_MS; !socket && now_ms () < end_ms;)
        socket = socket_new (SOCKET_INPROC_PUSH, NULL, &error); // closed in the background
    ck_assert_ptr_nonnull (socket);
    socket_close (&socket);
}
END_TEST

START_TEST (events_tell_of_connections_and_their_descriptors)
{
    void *server = open_role (SOCKET_DATA_ROUTER), *client = open_role (SOCKET_DEALER);
    void *monitor =
        socket_monitor (server, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED, &error);
    struct socket_event event;
    int port;

    ck_assert_ptr_nonnull (monitor);
    ck_assert_int_eq (socket_monitor_next (monitor, &event), 0);
    ck_assert_int_eq (socket_bind (server, "127.0.0.1", 0, &port, &error), 0);
    ck_assert_int_eq (socket_connect (client, "127.0.0.1", port, &error), 0);
    ck_assert (readable (monitor, WAIT_MS));
    ck_assert_int_eq (socket_monitor_next (monitor, &event), 1);
    ck_assert_int_eq (event.event, ZMQ_EVENT_ACCEPTED);
    int fd = event.fd;
    ck_assert_int_ge (fd, 0);
    socket_close (&client);
    ck_assert (readable (monitor, WAIT_MS));
    ck_assert_int_eq (socket_monitor_next (monitor, &event), 1);
    ck_assert_int_eq (event.event, ZMQ_EVENT_DISCONNECTED);
    ck_assert_int_eq (event.fd, fd);
    socket_monitor_close (server, &monitor);
    ck_assert_ptr_null (monitor);
    socket_monitor_close (server, &monitor);
    socket_close (&server);
}
END_TEST

START_TEST (events_that_nobody_reads_hold_nobody_up)
{
    void *server = open_role (SOCKET_DATA_ROUTER);
    void *monitor = socket_monitor (server, ZMQ_EVENT_ALL, &error);
    struct socket_event event;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl (INADDR_LOOPBACK)}};
    int port, events = 0;

    ck_assert_int_eq (socket_bind (server, "127.0.0.1", 0, &port, &error), 0);
    address.sin_port = htons ((uint16_t) port);
    for (int i = 0; i < 1500; i++) { // more events than two default queues hold
        int fd = socket (AF_INET, SOCK_STREAM, 0);
        ck_assert_int_eq (connect (fd, (struct sockaddr *) &address, sizeof address), 0);
        close (fd);
    }
    void *client = stranger (ZMQ_DEALER, port);
    zmq_send (client, "x", 1, 0);
    ck_assert (readable (server, WAIT_MS));
    while (socket_monitor_next (monitor, &event))
        events++;
    ck_assert_int_gt (events, 3000);
    zmq_close (client);
    socket_monitor_close (server, &monitor);
    socket_close (&server);
}
END_TEST

UNIT_MAIN_FIXTURE ("rpc_socket", rpc_setup, rpc_teardown,
                   no_role_has_heartbeats_or_lingers_or_blocks,
                   network_roles_have_what_keeps_them_alive, roles_have_their_limits,
                   a_bound_role_needs_a_domain, a_port_is_chosen_where_the_kernel_chooses_none,
                   a_bind_that_fails_says_why, a_connect_that_cannot_be_says_so,
                   too_many_sockets_are_refused_and_not_aborted,
                   events_tell_of_connections_and_their_descriptors,
                   events_that_nobody_reads_hold_nobody_up)
