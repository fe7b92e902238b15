/* SPDX-License-Identifier: MIT */
/*
 * rpc/endpoint against hand-made HTTP servers, good and bad.
 */
#include "rpc/endpoint.h"

#include "base/clock.h"
#include "base/err.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resolver.h"
#include "unit.h"

#define CLUSTER "12345678-1234-4234-8234-123456789abc"
#define GOOD                                                                                   \
    "{\"host\": \"\", \"port\": 19000, \"cluster\": \"" CLUSTER "\", \"versions\": [1, 1]}"

static int listener;
static int port;
static pthread_t thread;
static bool running;
static const char *answer; // NULL: says nothing until the client hangs up
static size_t answer_size;
static bool hangs_up;
static char question[1024];

static struct endpoint_info info;
static litedfs_error_t error;

static void *
serve (void *arg)
{
    char bytes[256];
    int fd = accept (listener, NULL, NULL);

    (void) arg;
    ssize_t size = 0, n = 1;
    while (n > 0 && !strstr (question, "\r\n\r\n")) {
        n = read (fd, question + size, sizeof question - 1 - (size_t) size);
        size += n > 0 ? n : 0;
        question[size] = '\0';
    }
    for (size_t sent = 0; answer && sent < answer_size;) { // in small pieces
        size_t piece = answer_size - sent < 40 ? answer_size - sent : 40;
        if (send (fd, answer + sent, piece, MSG_NOSIGNAL) < 0)
            break;
        sent += piece;
    }
    if (!hangs_up)
        while (read (fd, bytes, sizeof bytes) > 0)
            ;
    close (fd);
    return NULL;
}

/* A listener at an address; port 0: any. */
static int
listen_at (const char *host, int at_port, int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons ((uint16_t) at_port),
                                  .sin_addr = {inet_addr (host)}};
    int fd = socket (AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq (bind (fd, (struct sockaddr *) &address, sizeof address), 0);
    ck_assert_int_eq (listen (fd, backlog), 0);
    return fd;
}

static void
setup (void)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;

    listener = listen_at ("127.0.0.1", 0, 8);
    ck_assert_int_eq (getsockname (listener, (struct sockaddr *) &address, &size), 0);
    port = ntohs (address.sin_port);
}

/* Wait for the server's end. */
static void
join (void)
{
    if (running)
        pthread_join (thread, NULL);
    running = false;
    question[0] = '\0';
}

static void
teardown (void)
{
    join ();
    close (listener);
}

static int
look_up_host (const char *host, const char *text, int timeout_ms)
{
    answer = text;
    answer_size = text ? strlen (text) : 0;
    ck_assert_int_eq (pthread_create (&thread, NULL, serve, NULL), 0);
    running = true;
    return endpoint_lookup (host, port, timeout_ms, -1, &info, &error);
}

static int
look_up (const char *text, int timeout_ms)
{
    return look_up_host ("127.0.0.1", text, timeout_ms);
}

/* A whole answer with this body, and the server hangs up. */
static int
look_up_body (const char *status, const char *body)
{
    static char text[8192];

    snprintf (text, sizeof text, "HTTP/1.1 %s\r\nContent-Type: application/json\r\n\r\n%s",
              status, body);
    hangs_up = true;
    return look_up (text, 5000);
}

START_TEST (a_good_answer_gives_the_endpoint)
{
    char text[UUID_TEXT_SIZE];

    ck_assert_int_eq (look_up_body ("200 OK", GOOD), 0);
    ck_assert_str_eq (info.host, "127.0.0.1");
    ck_assert_int_eq (info.port, 19000);
    ck_assert_str_eq (uuid_print (&info.cluster, text), CLUSTER);
    ck_assert_int_eq (info.version_min, 1);
    ck_assert_int_eq (info.version_max, 1);
    ck_assert_ptr_eq (strstr (question, "GET /cluster/endpoint HTTP/1.0\r\nHost: 127.0.0.1:"),
                      question);
}
END_TEST

START_TEST (a_connection_that_stays_open_is_not_waited_for)
{
    static char text[1024];
    int64_t start_ms = clock_mono (clock_system ());

    snprintf (text, sizeof text,
              "HTTP/1.0 200 OK\r\nDate: now\r\ncontent-length: %zu\r\n\r\n%s", strlen (GOOD),
              GOOD);
    ck_assert_int_eq (look_up (text, 5000), 0);
    ck_assert_int_lt (clock_mono (clock_system ()) - start_ms, 2000);
}
END_TEST

START_TEST (a_host_in_the_answer_is_taken)
{
    ck_assert_int_eq (look_up_body ("200 OK",
                                    "{\"host\": \"10.0.0.7\", \"port\": 1, \"cluster\": "
                                    "\"" CLUSTER "\", \"versions\": [1, 9]}"),
                      0);
    ck_assert_str_eq (info.host, "10.0.0.7");
    ck_assert_int_eq (info.version_max, 9);
}
END_TEST

START_TEST (a_refusal_says_what_the_name_node_says)
{
    ck_assert_int_eq (look_up_body ("403 Forbidden",
                                    "{\"message\": \"10.1.2.3: not in allow: of /etc/x.yml\"}"),
                      LITEDFS_REFUSED);
    ck_assert_ptr_nonnull (strstr (error.text, "10.1.2.3: not in allow: of /etc/x.yml"));
}
END_TEST

START_TEST (a_refusal_without_a_line_has_one_of_ours)
{
    ck_assert_int_eq (look_up_body ("403 Forbidden", "no"), LITEDFS_REFUSED);
    ck_assert_ptr_nonnull (strstr (error.text, "allow:"));
}
END_TEST

START_TEST (a_refusal_cannot_drive_a_terminal)
{
    ck_assert_int_eq (look_up_body ("403 Forbidden", "{\"message\": \"a\\u001b[2Jb\\nc\"}"),
                      LITEDFS_REFUSED);
    ck_assert_ptr_null (strchr (error.text, '\033'));
    ck_assert_ptr_null (strchr (error.text, '\n'));
}
END_TEST

START_TEST (other_answers_are_not_those_of_a_name_node)
{
    static const struct {
        const char *status;
        const char *body;
    } cases[] = {
        {"404 Not Found", GOOD},
        {"200 OK", ""},
        {"200 OK", "[]"},
        {"200 OK", "{}"},
        {"200 OK", "{\"message\": \"hello\"}"},
        {"200 OK", GOOD "x"},
        {"200 OK",
         "{\"host\": \"\", \"port\": 0, \"cluster\": \"" CLUSTER "\", \"versions\": [1, 1]}"},
        {"200 OK", "{\"host\": \"\", \"port\": \"1\", \"cluster\": \"" CLUSTER
                   "\", \"versions\": [1, 1]}"},
        {"200 OK", "{\"host\": \"a;b\", \"port\": 1, \"cluster\": \"" CLUSTER
                   "\", \"versions\": [1, 1]}"},
        {"200 OK", "{\"host\": \"\", \"port\": 1, \"cluster\": \"x\", \"versions\": [1, 1]}"},
        {"200 OK",
         "{\"host\": \"\", \"port\": 1, \"cluster\": \"" CLUSTER "\", \"versions\": [2, 1]}"},
        {"200 OK",
         "{\"host\": \"\", \"port\": 1, \"cluster\": \"" CLUSTER "\", \"versions\": [1]}"},
        {"200 OK", "{\"host\": \"\", \"port\": 99999999999999999999, \"cluster\": \"" CLUSTER
                   "\", \"versions\": [1, 1]}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq (look_up_body (cases[i].status, cases[i].body), LITEDFS_INVALID);
        ck_assert_ptr_nonnull (
            strstr (error.text, "not the HTTP address of a LiteDFS name node"));
        join ();
    }
}
END_TEST

START_TEST (what_is_not_http_is_said_so)
{
    static const char *const cases[] = {
        "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f",
        "SSH-2.0-x\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nx",
    };

    hangs_up = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq (look_up (cases[i], 5000), LITEDFS_INVALID);
        join ();
    }
}
END_TEST

START_TEST (who_hangs_up_before_the_end_of_the_answer_cannot_be_reached)
{
    static const char *const cases[] = {
        "",
        "H",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"host\": ",
    };

    hangs_up = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq (look_up (cases[i], 5000), LITEDFS_UNREACHABLE);
        ck_assert_ptr_nonnull (strstr (error.text, i > 0 ? "in the middle" : "tcp://"));
        join ();
    }
}
END_TEST

START_TEST (other_versions_are_named)
{
    ck_assert_int_eq (look_up_body ("200 OK", "{\"host\": \"\", \"port\": 1, \"cluster\": "
                                              "\"" CLUSTER "\", \"versions\": [7, 9]}"),
                      LITEDFS_UNSUPPORTED_VERSION);
    ck_assert_ptr_nonnull (strstr (error.text, "7 to 9"));
}
END_TEST

START_TEST (who_answers_without_end_is_cut_off)
{
    static char text[200000];

    memset (text, 'x', sizeof text - 1);
    ck_assert_int_eq (look_up (text, 5000), LITEDFS_INVALID);
}
END_TEST

START_TEST (who_says_nothing_is_given_up_in_time)
{
    int64_t start_ms = clock_mono (clock_system ());

    ck_assert_int_eq (look_up (NULL, 300), LITEDFS_TIMEOUT);
    int64_t took_ms = clock_mono (clock_system ()) - start_ms;
    ck_assert_int_ge (took_ms, 290);
    ck_assert_int_lt (took_ms, 2000);
    ck_assert_ptr_nonnull (strstr (error.text, "127.0.0.1:"));
}
END_TEST

START_TEST (who_is_not_there_is_named)
{
    char expected[128];

    close (listener);
    listener = -1;
    ck_assert_int_eq (endpoint_lookup ("127.0.0.1", port, 5000, -1, &info, &error),
                      LITEDFS_UNREACHABLE);
    snprintf (expected, sizeof expected,
              "cannot reach the name node at 127.0.0.1:%d: Connection refused", port);
    ck_assert_str_eq (error.text, expected);
}
END_TEST

/* The answer of a name node. */
static const char good_answer[] = "HTTP/1.0 200 OK\r\n\r\n" GOOD;

/* Connect to a listener that accepts nobody until the kernel keeps no more for it: *fds are count
 * connections. */
static void
fill_queue (const char *host, int *fds, size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons ((uint16_t) port),
                                  .sin_addr = {inet_addr (host)}};

    for (size_t i = 0; i < count; i++) {
        fds[i] = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void) connect (fds[i], (struct sockaddr *) &address, sizeof address);
    }
}

START_TEST (the_addresses_of_a_name_are_tried_until_one_takes_the_connection)
{
    hangs_up = true;
    ck_assert_int_eq (look_up_host ("four.test", good_answer, 5000), 0);
    ck_assert_str_eq (info.host, "127.0.0.1");
    ck_assert_ptr_nonnull (strstr (question, "\r\nHost: four.test:"));
    join ();
    ck_assert_int_eq (look_up_host ("both.test", good_answer, 5000), 0);
    ck_assert_str_eq (info.host, "127.0.0.1");
}
END_TEST

START_TEST (of_a_name_whose_addresses_all_fail_the_first_ones_reason_is_said)
{
    char expected[128];

    ck_assert_int_eq (endpoint_lookup ("away.test", port, 5000, -1, &info, &error),
                      LITEDFS_UNREACHABLE);
    snprintf (expected, sizeof expected,
              "cannot reach the name node at away.test:%d: Connection refused", port);
    ck_assert_str_eq (error.text, expected);
}
END_TEST

START_TEST (an_address_that_is_silent_leaves_time_for_the_next)
{
    int64_t start_ms = clock_mono (clock_system ());
    int silent = listen_at ("127.0.0.2", port, 0);
    int queued[16];

    fill_queue ("127.0.0.2", queued, 16);
    hangs_up = true;
    ck_assert_int_eq (look_up_host ("both.test", good_answer, 900), 0);
    ck_assert_str_eq (info.host, "127.0.0.1");
    ck_assert_int_ge (clock_mono (clock_system ()) - start_ms, 290);
    for (size_t i = 0; i < 16; i++)
        close (queued[i]);
    close (silent);
}
END_TEST

START_TEST (a_lookup_can_be_cancelled)
{
    int fd = eventfd (1, EFD_CLOEXEC);

    ck_assert_int_eq (pthread_create (&thread, NULL, serve, NULL), 0);
    running = true;
    ck_assert_int_eq (endpoint_lookup ("127.0.0.1", port, 5000, fd, &info, &error),
                      LITEDFS_CANCELLED);
    close (fd);
}
END_TEST

START_TEST (what_is_no_address_is_refused)
{
    ck_assert_int_eq (endpoint_lookup ("127.0.0.1", 0, 100, -1, &info, &error),
                      LITEDFS_INVALID);
    ck_assert_int_eq (endpoint_lookup ("127.0.0.1", 65536, 100, -1, &info, &error),
                      LITEDFS_INVALID);
    ck_assert_int_eq (endpoint_lookup ("no such host", 1, 100, -1, &info, &error),
                      LITEDFS_UNREACHABLE);
}
END_TEST

UNIT_MAIN_FIXTURE ("rpc_endpoint", setup, teardown, a_good_answer_gives_the_endpoint,
                   a_connection_that_stays_open_is_not_waited_for,
                   a_host_in_the_answer_is_taken, a_refusal_says_what_the_name_node_says,
                   a_refusal_without_a_line_has_one_of_ours, a_refusal_cannot_drive_a_terminal,
                   other_answers_are_not_those_of_a_name_node, what_is_not_http_is_said_so,
                   who_hangs_up_before_the_end_of_the_answer_cannot_be_reached,
                   other_versions_are_named, who_answers_without_end_is_cut_off,
                   who_says_nothing_is_given_up_in_time, who_is_not_there_is_named,
                   the_addresses_of_a_name_are_tried_until_one_takes_the_connection,
                   of_a_name_whose_addresses_all_fail_the_first_ones_reason_is_said,
                   an_address_that_is_silent_leaves_time_for_the_next,
                   a_lookup_can_be_cancelled, what_is_no_address_is_refused)
