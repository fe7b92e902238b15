/* SPDX-License-Identifier: MIT */
/*
 * base/listen: ports follow, differ and fit; loopback may always come in.
 */
#include "base/listen.h"

#include <string.h>

#include "unit.h"

static litedfs_error_t error;

START_TEST (a_port_that_is_not_set_follows_and_one_that_is_stays)
{
    int64_t port = LISTEN_PORT_FOLLOWS;
    ck_assert_int_eq (listen_follow_port ("f", "tcp_port", 9000, 10000, &port, &error), 0);
    ck_assert_int_eq (port, 19000);
    ck_assert_int_eq (listen_follow_port ("f", "tcp_port", 8000, 10000, &port, &error), 0);
    ck_assert_int_eq (port, 19000);
    port = 0;
    ck_assert_int_eq (listen_follow_port ("f", "tcp_port", 9000, 10000, &port, &error), 0);
    ck_assert_int_eq (port, 0);
}
END_TEST

START_TEST (a_port_that_would_be_too_high_is_refused_and_stays)
{
    int64_t port = LISTEN_PORT_FOLLOWS;
    ck_assert_int_eq (listen_follow_port ("f", "tcp_port", 55536, 10000, &port, &error),
                      LITEDFS_CONFIG);
    ck_assert_int_eq (port, LISTEN_PORT_FOLLOWS);
    ck_assert_int_eq (strncmp (error.text, "f: tcp_port: ", 13), 0);
    ck_assert_ptr_nonnull (strstr (error.text, "65536"));
    ck_assert_int_eq (listen_follow_port ("f", "tcp_port", 55535, 10000, &port, &error), 0);
    ck_assert_int_eq (port, 65535);
}
END_TEST

START_TEST (two_keys_may_not_have_one_port_unless_it_is_chosen)
{
    ck_assert_int_eq (listen_ports_differ ("f", "http_port", 1, "tcp_port", 2, &error), 0);
    ck_assert_int_eq (listen_ports_differ ("f", "http_port", 0, "tcp_port", 0, &error), 0);
    ck_assert_int_eq (listen_ports_differ ("f", "http_port", 7, "tcp_port", 7, &error),
                      LITEDFS_CONFIG);
    ck_assert_str_eq (error.text, "f: tcp_port: 7 is http_port already; allowed: another port");
}
END_TEST

START_TEST (loopback_may_come_in_beside_what_is_named)
{
    char *items[] = {"10.0.0.0/8", "fd00::/8"};
    struct option_list allow = {items, 2};
    struct net_list list;
    ck_assert_int_eq (listen_allowed ("f", &allow, &list, &error), 0);
    ck_assert (net_list_matches (&list, "127.0.0.1"));
    ck_assert (net_list_matches (&list, "::1"));
    ck_assert (net_list_matches (&list, "10.1.2.3"));
    ck_assert (!net_list_matches (&list, "192.168.1.1"));
}
END_TEST

START_TEST (a_network_that_is_none_is_named)
{
    char *items[] = {"10.0.0.0/8", "my network"};
    struct option_list allow = {items, 2};
    struct net_list list;
    ck_assert_int_eq (listen_allowed ("f", &allow, &list, &error), LITEDFS_CONFIG);
    ck_assert_int_eq (strncmp (error.text, "f: allow: ", 10), 0);
    ck_assert_ptr_nonnull (strstr (error.text, "my network"));
}
END_TEST

UNIT_MAIN ("base_listen", a_port_that_is_not_set_follows_and_one_that_is_stays,
           a_port_that_would_be_too_high_is_refused_and_stays,
           two_keys_may_not_have_one_port_unless_it_is_chosen,
           loopback_may_come_in_beside_what_is_named, a_network_that_is_none_is_named)
