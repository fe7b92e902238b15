/* SPDX-License-Identifier: MIT */
/*
 * datanode/ports: a port that was chosen is the port of the next start too, if it can be had.
 */
#include "datanode/ports.h"

#include "base/file.h"
#include "rpc_fixture.h"

#include <unistd.h>

static char directory[] = "/tmp/litedfs-ports-XXXXXX";
static char path[64];
static struct router *router;
static struct router *other;
static void *pull;

static void
setup (void)
{
    rpc_setup ();
    ck_assert_ptr_nonnull (mkdtemp (directory));
    snprintf (path, sizeof path, "%s/port", directory);
}

static void
teardown (void)
{
    router_destroy (&router);
    router_destroy (&other);
    socket_close (&pull);
    rpc_teardown ();
    unlink (path);
    rmdir (directory);
}

static int
bind_to (struct router **out, int port)
{
    struct router_options options = {.role = SOCKET_DATA_ROUTER,
                                     .domain = "test",
                                     .host = "127.0.0.1",
                                     .port = 1, // not looked at
                                     .clock = clock_system ()};

    return ports_bind (out, &options, port, path, &error);
}

static int
kept (void)
{
    struct buf text = {0};

    if (file_read_all (path, 64, &text, &error) < 0)
        return 0;
    int port = atoi (buf_text (&text));
    buf_free (&text);
    return port;
}

static void
keep (const char *text)
{
    ck_assert_int_eq (file_write_atomic (path, text, strlen (text), 0644, &error), 0);
}

/* What a router has left is free when libzmq's thread has closed it. */
static void
bind_again (int port, int expected)
{
    int64_t end_ms = now_ms () + WAIT_MS;
    char text[16];

    do {
        router_destroy (&router);
        snprintf (text, sizeof text, "%d\n", expected);
        keep (text);
        ck_assert_msg (bind_to (&router, port) == 0, "%s", error.text);
    } while (router_port (router) != expected && now_ms () < end_ms);
    ck_assert_int_eq (router_port (router), expected);
}

START_TEST (a_port_that_is_chosen_is_kept)
{
    ck_assert_msg (bind_to (&router, 0) == 0, "%s", error.text);
    int port = router_port (router);
    ck_assert_int_ge (port, SOCKET_PORT_FIRST);
    ck_assert_int_eq (kept (), port);
    bind_again (0, port);
    ck_assert_int_eq (kept (), port);
}
END_TEST

START_TEST (a_kept_port_that_is_taken_gives_way_to_another)
{
    ck_assert_msg (bind_to (&other, 0) == 0, "%s", error.text);
    ck_assert_msg (bind_to (&router, 0) == 0, "%s", error.text);
    ck_assert_int_ne (router_port (router), router_port (other));
    ck_assert_int_eq (kept (), router_port (router));
}
END_TEST

START_TEST (a_port_of_the_configuration_is_bound_or_refused_and_not_kept)
{
    ck_assert_msg (bind_to (&other, 0) == 0, "%s", error.text);
    int port = router_port (other);
    unlink (path);
    ck_assert_int_eq (bind_to (&router, port), LITEDFS_IN_USE);
    ck_assert_ptr_null (router);
    ck_assert_int_eq (kept (), 0);
}
END_TEST

START_TEST (a_file_that_holds_no_port_is_as_good_as_none)
{
    static const char *const wrong[] = {"",     "\n",    "0\n",     "65536\n",
                                        "-1\n", "abc\n", "20000 \n"};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        keep (wrong[i]);
        ck_assert_msg (bind_to (&router, 0) == 0, "%s", error.text);
        ck_assert_int_eq (kept (), router_port (router));
        router_destroy (&router);
    }
}
END_TEST

/* Bind a PULL; what it got, or the error. */
static int
bind_pull (int port)
{
    const struct socket_options options = {.zap_domain = "test"};
    int bound = -1;

    socket_close (&pull);
    pull = socket_new (SOCKET_PULL_PEER, &options, &error);
    ck_assert_msg (pull != NULL, "%s", error.text);
    int rc = ports_bind_socket (pull, "127.0.0.1", port, path, &bound, NULL, &error);
    return rc < 0 ? rc : bound;
}

START_TEST (a_plain_socket_keeps_its_port_by_the_same_rules)
{
    int64_t end_ms = now_ms () + WAIT_MS;
    char text[16];

    int port = bind_pull (0);
    ck_assert_msg (port >= SOCKET_PORT_FIRST, "%s", error.text);
    ck_assert_int_eq (kept (), port);
    snprintf (text, sizeof text, "%d\n", port);
    do
        keep (text);
    while (bind_pull (0) != port && now_ms () < end_ms);
    ck_assert_int_eq (kept (), port);
    socket_close (&pull);

    ck_assert_msg (bind_to (&other, 0) == 0, "%s", error.text);
    int taken = router_port (other);
    port = bind_pull (0); // the other's was kept
    ck_assert (port >= SOCKET_PORT_FIRST && port != taken);
    ck_assert_int_eq (kept (), port);
    unlink (path);
    ck_assert_int_eq (bind_pull (taken), LITEDFS_IN_USE);
    ck_assert_int_eq (kept (), 0);
    snprintf (path, sizeof path, "%s/none/port", directory);
    ck_assert_int_lt (bind_pull (0), 0);
}
END_TEST

START_TEST (a_port_that_cannot_be_kept_is_an_error)
{
    snprintf (path, sizeof path, "%s/none/port", directory);
    ck_assert_int_lt (bind_to (&router, 0), 0);
    ck_assert_ptr_null (router);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_ports", setup, teardown, a_port_that_is_chosen_is_kept,
                   a_kept_port_that_is_taken_gives_way_to_another,
                   a_port_of_the_configuration_is_bound_or_refused_and_not_kept,
                   a_file_that_holds_no_port_is_as_good_as_none,
                   a_plain_socket_keeps_its_port_by_the_same_rules,
                   a_port_that_cannot_be_kept_is_an_error)
