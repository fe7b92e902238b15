/* SPDX-License-Identifier: MIT */
/*
 * rpc/zap: who gets in, who does not, and what the log says of it.
 */
#include "rpc/zap.h"

#include "base/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include "rpc_fixture.h"

/* A router of a domain, with its port. */
static struct router *
open_router (const char *domain)
{
    struct router *router;
    struct router_options options = {.role = SOCKET_NAME_ROUTER,
                                     .domain = domain,
                                     .host = "127.0.0.1",
                                     .clock = clock_system ()};

    ck_assert_int_eq (router_new (&router, &options, &error), 0);
    return router;
}

/* Whether a stranger gets in: its request arrives, or its handshake fails. */
static bool
gets_in (struct router *router)
{
    void *monitor, *socket = zmq_socket (context_get (), ZMQ_DEALER);
    struct buf frame = encode_path_info ("/a", 1, -1);
    char endpoint[64];
    struct socket_event event;
    bool in = false, out = false;

    monitor =
        socket_monitor (socket, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED, &error);
    ck_assert_ptr_nonnull (monitor);
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", router_port (router));
    zmq_connect (socket, endpoint);
    send_buf (socket, &frame, 0);
    while (!in && !out) {
        ck_assert (readable (monitor, WAIT_MS));
        while (socket_monitor_next (monitor, &event))
            if (event.event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
                in = true;
            else
                out = true;
    }
    ck_assert_int_eq (readable (router_socket (router), in ? WAIT_MS : 50), in);
    struct request *request;
    if (router_receive (router, &request))
        request_destroy (&request);
    socket_monitor_close (socket, &monitor);
    int linger = 0;
    zmq_setsockopt (socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close (socket);
    return in;
}

START_TEST (loopback_gets_in_when_its_list_says_so)
{
    struct router *router = open_router ("test");

    ck_assert (gets_in (router));
    rpc_allow ("10.0.0.0/8,192.168.0.0/16");
    ck_assert (!gets_in (router));
    rpc_allow ("127.0.0.1");
    ck_assert (gets_in (router));
    router_destroy (&router);
}
END_TEST

START_TEST (nobody_gets_in_to_a_domain_without_a_list)
{
    struct router *router = open_router ("unknown");

    ck_assert (!gets_in (router));
    router_destroy (&router);
    router = open_router ("test");
    zap_forget (zap, "test");
    zap_forget (zap, "test");
    ck_assert (!gets_in (router));
    router_destroy (&router);
}
END_TEST

START_TEST (nobody_gets_in_when_no_handler_runs)
{
    struct router *router = open_router ("test");

    zap_stop (&zap);
    void *socket = stranger (ZMQ_DEALER, router_port (router));
    zmq_send (socket, "x", 1, 0);
    ck_assert (!readable (router_socket (router), 300)); // the handshake waits, then times out
    zmq_close (socket);
    router_destroy (&router);
}
END_TEST

START_TEST (domains_have_lists_of_their_own)
{
    struct net_list list = {.count = 0};
    struct router *other = open_router ("other"), *test = open_router ("test");

    ck_assert_int_eq (net_list_add (&list, "10.0.0.0/8", &error), 0);
    ck_assert_int_eq (zap_allow (zap, "other", &list, NULL, &error), 0);
    ck_assert (!gets_in (other));
    ck_assert (gets_in (test));
    router_destroy (&other);
    router_destroy (&test);
}
END_TEST

START_TEST (a_process_has_one_handler)
{
    struct zap *second = NULL;

    ck_assert_int_eq (zap_start (&second, NULL, clock_system (), &error), LITEDFS_IN_USE);
    ck_assert_ptr_null (second);
}
END_TEST

START_TEST (a_domain_has_a_name_of_reasonable_length)
{
    struct net_list list = {.count = 0};
    char name[ZAP_DOMAIN_SIZE + 1];

    memset (name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ck_assert_int_eq (zap_allow (zap, name, &list, NULL, &error), LITEDFS_INVALID);
    ck_assert_int_eq (zap_allow (zap, "", &list, NULL, &error), LITEDFS_INVALID);
    name[sizeof name - 2] = '\0';
    ck_assert_int_eq (zap_allow (zap, name, &list, NULL, &error), 0);
}
END_TEST

START_TEST (addresses_may_be_asked_for)
{
    ck_assert (zap_allows (zap, "test", "127.0.0.1"));
    ck_assert (zap_allows (zap, "test", "::ffff:127.0.0.1"));
    ck_assert (zap_allows (zap, "test", "::1"));
    ck_assert_uint_eq (zap_refused (zap), 0);
    ck_assert (!zap_allows (zap, "test", "10.1.2.3"));
    ck_assert (!zap_allows (zap, "none", "127.0.0.1"));
    ck_assert (!zap_allows (zap, "test", "nonsense"));
    ck_assert_uint_eq (zap_refused (zap), 3);
}
END_TEST

START_TEST (what_is_no_question_is_refused)
{
    static const char *const good[] = {"", "1.0", "7", "test", "127.0.0.1", "", "NULL"};
    const struct {
        int index;
        const char *text;
        const char *expected;
    } cases[] = {
        {1, "1.0", "200"},
        {0, "x", "400"},
        {1, "2.0", "400"},
        {3, "", "400"},
        {4, "", "400"},
        {4, "127.0.0.1.127.0.0.1.127.0.0.1.127.0.0.1.127.0.0.1.127.0.0.1.127.0.0.1", "400"},
        {6, "PLAIN", "400"},
    };
    void *socket = zmq_socket (context_get (), ZMQ_DEALER);
    char bytes[64];

    ck_assert_int_eq (zmq_connect (socket, "inproc://zeromq.zap.01"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int f = 0; f < 7; f++) {
            const char *text = f == cases[i].index ? cases[i].text : good[f];
            zmq_send (socket, text, strlen (text), f < 6 ? ZMQ_SNDMORE : 0);
        }
        for (int f = 0; f < 7; f++) {
            ck_assert (readable (socket, WAIT_MS));
            int size = zmq_recv (socket, bytes, sizeof bytes - 1, 0);
            bytes[size] = '\0';
            if (f == 3)
                ck_assert_str_eq (bytes, cases[i].expected);
        }
    }
    zmq_send (socket, "", 0, 0);
    for (int f = 0; f < 7; f++)
        ck_assert (readable (socket, WAIT_MS) && zmq_recv (socket, bytes, 64, 0) >= 0);
    zmq_close (socket);
}
END_TEST

static char directory[] = "/tmp/litedfs-zap-XXXXXX";

/* How many lines of the log have the text. */
static int
lines_with (const char *path, const char *text)
{
    struct buf content = {0};
    int count = 0;

    ck_assert_int_eq (file_read_all (path, 1 << 20, &content, &error), 0);
    for (const char *at = buf_text (&content); (at = strstr (at, text)); at++)
        count++;
    buf_free (&content);
    return count;
}

START_TEST (a_refused_address_is_logged_once_a_minute)
{
    char path[64], address[64];
    struct fake_clock fake;
    struct log *log;
    struct net_list list = {.count = 0};

    ck_assert_ptr_nonnull (mkdtemp (directory));
    snprintf (path, sizeof path, "%s/zap.log", directory);
    ck_assert_int_eq (log_open (&log, directory, "zap", LOG_LEVEL_INFO, false, &error), 0);
    fake_clock_init (&fake, 1000000, 0);
    zap_stop (&zap);
    ck_assert_int_eq (zap_start (&zap, log, &fake.clock, &error), 0);
    ck_assert_int_eq (zap_allow (zap, "test", &list, "/etc/name.yml", &error), 0);
    for (int i = 0; i < 100; i++)
        zap_allows (zap, "test", "10.1.2.3");
    ck_assert_int_eq (lines_with (path, "refused 10.1.2.3: not in allow: of /etc/name.yml"), 1);
    fake_clock_advance (&fake, 59999);
    zap_allows (zap, "test", "10.1.2.3");
    ck_assert_int_eq (lines_with (path, "refused 10.1.2.3"), 1);
    fake_clock_advance (&fake, 1);
    zap_allows (zap, "test", "10.1.2.3");
    ck_assert_int_eq (lines_with (path, "refused 10.1.2.3"), 2);
    ck_assert_int_eq (lines_with (path, "(and 100 refusals before that were not logged)"), 1);
    for (int i = 0; i < 1000; i++) { // a scan does not fill the disk
        snprintf (address, sizeof address, "10.9.%d.%d", i / 250, i % 250);
        zap_allows (zap, "test", address);
    }
    ck_assert_int_le (lines_with (path, "refused"), 66);
    zap_stop (&zap);
    log_close (&log);
    unlink (path);
    rmdir (directory);
}
END_TEST

UNIT_MAIN_FIXTURE ("rpc_zap", rpc_setup, rpc_teardown, loopback_gets_in_when_its_list_says_so,
                   nobody_gets_in_to_a_domain_without_a_list,
                   nobody_gets_in_when_no_handler_runs, domains_have_lists_of_their_own,
                   a_process_has_one_handler, a_domain_has_a_name_of_reasonable_length,
                   addresses_may_be_asked_for, what_is_no_question_is_refused,
                   a_refused_address_is_logged_once_a_minute)
