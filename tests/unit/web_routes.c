/* SPDX-License-Identifier: MIT */
/*
 * web/routes: /metrics of a daemon whose ROUTER does not answer, or that has none; over real HTTP.
 */
#include "base/metric.h"
#include "web/web.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc_fixture.h"

#define TRIES 20

static const char *const loops[] = {"namenode", "writer"};
static struct metrics *metrics;
static struct router *silent; // nobody takes what comes to it
static struct web *web;
static int port;
static char answer[1 << 16];

static void
setup (void)
{
    const struct metrics_options counting = {
        .where = METRIC_NAME, .version = "1", .loops = {loops, 2}};
    const struct router_options options = {.role = SOCKET_NAME_ROUTER,
                                           .domain = "test",
                                           .inproc = "inproc://silent",
                                           .clock = clock_system ()};

    rpc_setup ();
    metrics = metrics_new (&counting);
    ck_assert_msg (router_new (&silent, &options, &error) == 0, "%s", error.text);
}

static void
teardown (void)
{
    web_stop (&web);
    router_destroy (&silent);
    metrics_destroy (&metrics);
    rpc_teardown ();
}

static int
free_port (void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket (AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq (bind (fd, (struct sockaddr *) &address, size), 0);
    ck_assert_int_eq (getsockname (fd, (struct sockaddr *) &address, &size), 0);
    close (fd);
    return ntohs (address.sin_port);
}

static void
measure (void *context)
{
    (void) context;
    metric_set (metrics, METRIC_REPAIR_COPIES, 0, 77);
}

static void
start (const char *router, struct metrics *shown)
{
    struct web_options options = {.greeting = "hello",
                                  .host = "127.0.0.1",
                                  .zap = zap,
                                  .domain = "test",
                                  .allow_file = "x",
                                  .router = router,
                                  .metrics = shown,
                                  .measure = measure,
                                  .clock = clock_system ()};
    int rc = LITEDFS_IN_USE;

    for (int i = 0; rc == LITEDFS_IN_USE && i < TRIES; i++) {
        options.port = port = free_port ();
        rc = web_start (&web, &options, &error);
    }
    ck_assert_msg (rc == 0, "%s", error.text);
}

/* The whole answer, head and body. */
static const char *
get (const char *path)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons ((uint16_t) port),
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    int fd = socket (AF_INET, SOCK_STREAM, 0);
    size_t size = 0;

    ck_assert_int_eq (connect (fd, (struct sockaddr *) &address, sizeof address), 0);
    dprintf (fd, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    for (ssize_t got; (got = read (fd, answer + size, sizeof answer - 1 - size)) > 0;)
        size += (size_t) got;
    answer[size] = '\0';
    close (fd);
    return answer;
}

START_TEST (a_router_that_does_not_answer_leaves_the_rest)
{
    start ("inproc://silent", metrics);
    const char *text = get ("/metrics");
    ck_assert_ptr_nonnull (strstr (text, "HTTP/1.1 200 "));
    ck_assert_ptr_nonnull (strstr (text, "\r\nContent-Type: " METRIC_CONTENT_TYPE "\r\n"));
    ck_assert_ptr_nonnull (strstr (text, "\nlitedfs_build_info{version=\"1\"} 1\n"));
    ck_assert_ptr_nonnull (strstr (text, "\nlitedfs_repair_copies 77\n"));
    ck_assert_ptr_null (strstr (text, "litedfs_namespace_files"));
    ck_assert_ptr_null (strstr (text, "litedfs_nodes"));
}
END_TEST

START_TEST (without_a_router_nobody_is_asked)
{
    start (NULL, metrics);
    const char *text = get ("/metrics");
    ck_assert_ptr_nonnull (strstr (text, "\nlitedfs_repair_copies 77\n"));
    ck_assert_ptr_nonnull (strstr (get ("/cluster/info"), "HTTP/1.1 404 "));
}
END_TEST

START_TEST (without_metrics_there_is_no_such_path)
{
    start (NULL, NULL);
    ck_assert_ptr_nonnull (strstr (get ("/metrics"), "HTTP/1.1 404 "));
    ck_assert_ptr_nonnull (strstr (get ("/"), "{\"message\": \"hello\"}"));
}
END_TEST

UNIT_MAIN_FIXTURE ("web_routes", setup, teardown, a_router_that_does_not_answer_leaves_the_rest,
                   without_a_router_nobody_is_asked, without_metrics_there_is_no_such_path)
