/* SPDX-License-Identifier: MIT */
/*
 * base/net: who is in a network and who is not, and host:port in every form.
 */
#include "base/net.h"

#include <stdio.h>
#include <string.h>

#include "resolver.h"
#include "unit.h"

#define COUNT(array) (sizeof (array) / sizeof *(array))

START_TEST (networks_print_as_they_are_written)
{
    static const char *const texts[] = {"10.0.0.0/8",  "192.168.1.7",  "0.0.0.0/0",
                                        "::1",         "fd00::/8",     "::/0",
                                        "10.0.0.4/30", "2001:db8::/33"};
    for (size_t i = 0; i < COUNT (texts); i++) {
        struct net net;
        char text[NET_TEXT_SIZE];
        ck_assert_msg (net_parse (&net, texts[i], NULL) == 0, "%s", texts[i]);
        ck_assert_str_eq (net_print (&net, text), texts[i]);
    }
}
END_TEST

START_TEST (a_mapped_network_is_the_ipv4_one)
{
    struct net net;
    char text[NET_TEXT_SIZE];

    ck_assert_int_eq (net_parse (&net, "::ffff:10.0.0.1", NULL), 0);
    ck_assert_str_eq (net_print (&net, text), "10.0.0.1");
    ck_assert_int_eq (net_parse (&net, "::ffff:10.0.0.0/104", NULL), 0);
    ck_assert_str_eq (net_print (&net, text), "10.0.0.0/8");
    ck_assert_int_eq (net_parse (&net, "::ffff:0:0/96", NULL), 0);
    ck_assert_str_eq (net_print (&net, text), "0.0.0.0/0");
}
END_TEST

START_TEST (what_is_no_network_is_refused)
{
    static const char *const wrong[] = {
        "",
        "/8",
        "10",
        "10.0.0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "10.0.0.0/08",
        "10.0.0.256",
        "010.0.0.1",
        "0x0a000001",
        "::/129",
        ":::",
        "fe80::1%eth0",
        "localhost",
        "10.0.0.0 /8",
        " 10.0.0.0/8",
        "10.0.0.0/8\n",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee:ffff:0000/8",
    };
    struct net net = {.prefix = 77};

    for (size_t i = 0; i < COUNT (wrong); i++) {
        litedfs_error_t error;
        ck_assert_msg (net_parse (&net, wrong[i], &error) == LITEDFS_INVALID, "%s", wrong[i]);
        ck_assert_int_eq (strncmp (error.text, "network[", 8), 0);
        ck_assert_ptr_null (strchr (error.text, '\n'));
    }
    ck_assert_uint_eq (net.prefix, 77);
}
END_TEST

START_TEST (bits_after_the_prefix_are_refused_with_what_was_meant)
{
    struct net net;
    litedfs_error_t error;

    ck_assert_int_eq (net_parse (&net, "10.1.2.3/8", &error), LITEDFS_INVALID);
    ck_assert_str_eq (error.text, "network[10.1.2.3/8]: bits are set after the prefix; did you "
                                  "mean 10.0.0.0/8?");
    ck_assert_int_eq (net_parse (&net, "fd00::1/64", &error), LITEDFS_INVALID);
    ck_assert_ptr_nonnull (strstr (error.text, "fd00::/64?"));
    ck_assert_int_eq (net_parse (&net, "128.0.0.0/0", &error), LITEDFS_INVALID);
}
END_TEST

START_TEST (an_empty_list_lets_nobody_in)
{
    static const struct net_list list;
    struct buf text = {0};

    ck_assert (!net_list_matches (&list, "127.0.0.1"));
    ck_assert (!net_list_matches (&list, "::1"));
    net_list_print (&list, &text);
    ck_assert_str_eq (buf_text (&text), "nobody");
    buf_free (&text);
}
END_TEST

START_TEST (a_list_matches_at_its_edges)
{
    static struct net_list list;

    ck_assert_int_eq (net_list_add (&list, "10.0.0.4/30, 192.168.1.7,fd00:1::/33", NULL), 0);
    ck_assert_uint_eq (list.count, 3);
    ck_assert (!net_list_matches (&list, "10.0.0.3"));
    ck_assert (net_list_matches (&list, "10.0.0.4"));
    ck_assert (net_list_matches (&list, "10.0.0.7"));
    ck_assert (!net_list_matches (&list, "10.0.0.8"));
    ck_assert (net_list_matches (&list, "192.168.1.7"));
    ck_assert (!net_list_matches (&list, "192.168.1.6"));
    ck_assert (net_list_matches (&list, "fd00:1:7fff::9"));
    ck_assert (!net_list_matches (&list, "fd00:1:8000::9"));
    ck_assert (net_list_matches (&list, "::ffff:10.0.0.5"));
    ck_assert (net_list_matches (&list, "::ffff:a00:5"));
    ck_assert (!net_list_matches (&list, "::ffff:10.0.0.8"));
    ck_assert (net_list_matches (&list, "fd00:1::9%eth0"));
}
END_TEST

START_TEST (everything_of_one_family_is_nothing_of_the_other)
{
    static struct net_list list4;
    static struct net_list list6;

    ck_assert_int_eq (net_list_add (&list4, "0.0.0.0/0", NULL), 0);
    ck_assert_int_eq (net_list_add (&list6, "::/0", NULL), 0);
    ck_assert (net_list_matches (&list4, "255.255.255.255"));
    ck_assert (net_list_matches (&list4, "::ffff:1.2.3.4"));
    ck_assert (!net_list_matches (&list4, "::1"));
    ck_assert (!net_list_matches (&list4, "::1.2.3.4"));
    ck_assert (net_list_matches (&list6, "::1"));
    ck_assert (!net_list_matches (&list6, "1.2.3.4"));
    ck_assert (!net_list_matches (&list6, "::ffff:1.2.3.4"));
}
END_TEST

START_TEST (what_is_no_address_is_not_let_in)
{
    static struct net_list list;

    ck_assert_int_eq (net_list_add (&list, "0.0.0.0/0,::/0", NULL), 0);
    ck_assert (!net_list_matches (&list, ""));
    ck_assert (!net_list_matches (&list, "%eth0"));
    ck_assert (!net_list_matches (&list, "localhost"));
    ck_assert (!net_list_matches (&list, "127.0.0.1:80"));
    ck_assert (!net_list_matches (&list, "0177.0.0.1"));
    ck_assert (!net_list_matches (&list, "1.2.3.4/8"));
    ck_assert (!net_list_matches (&list,
                                  "11111111111111111111111111111111111111111111111111111111111"
                                  "11111111111111111111"));
}
END_TEST

START_TEST (a_list_stays_as_it_was_when_one_of_several_is_wrong)
{
    static struct net_list list;
    litedfs_error_t error;

    ck_assert_int_eq (net_list_add (&list, "10.0.0.1", NULL), 0);
    ck_assert_int_eq (net_list_add (&list, "10.0.0.2,10.0.0.x,10.0.0.3", &error),
                      LITEDFS_INVALID);
    ck_assert_ptr_nonnull (strstr (error.text, "network[10.0.0.x]"));
    ck_assert_uint_eq (list.count, 1);
    ck_assert_int_eq (net_list_add (&list, "10.0.0.2,", NULL), LITEDFS_INVALID);
    ck_assert_int_eq (net_list_add (&list, "", NULL), LITEDFS_INVALID);
    ck_assert_int_eq (net_list_add (&list, " , ", NULL), LITEDFS_INVALID);
    ck_assert_uint_eq (list.count, 1);
}
END_TEST

START_TEST (a_network_is_kept_once_and_a_full_list_says_so)
{
    static struct net_list list;
    litedfs_error_t error;
    char text[32];

    for (int i = 0; i < NET_LIST_MAX; i++) {
        snprintf (text, sizeof text, "10.0.%d.%d", i / 256, i % 256);
        ck_assert_int_eq (net_list_add (&list, text, NULL), 0);
    }
    ck_assert_int_eq (net_list_add (&list, "10.0.0.0", NULL), 0);
    ck_assert_uint_eq (list.count, NET_LIST_MAX);
    ck_assert_int_eq (net_list_add (&list, "10.1.0.0", &error), LITEDFS_INVALID);
    ck_assert_str_eq (error.text, "network[10.1.0.0]: the list is full");
}
END_TEST

START_TEST (loopback_is_both_families_and_prints)
{
    static struct net_list list;
    struct buf text = {0};

    net_list_add_loopback (&list);
    net_list_add_loopback (&list);
    net_list_print (&list, &text);
    ck_assert_str_eq (buf_text (&text), "127.0.0.0/8, ::1");
    buf_free (&text);

    ck_assert (net_is_loopback ("127.1.2.3"));
    ck_assert (net_is_loopback ("::1"));
    ck_assert (net_is_loopback ("::ffff:127.0.0.1"));
    ck_assert (!net_is_loopback ("128.0.0.1"));
    ck_assert (!net_is_loopback ("localhost"));
    ck_assert (net_is_any ("0.0.0.0"));
    ck_assert (net_is_any ("::"));
    ck_assert (!net_is_any ("0.0.0.1"));
    ck_assert (!net_is_any (""));
}
END_TEST

START_TEST (numeric_hosts_resolve_to_themselves)
{
    char address[NET_ADDRESS_SIZE];

    ck_assert_int_eq (net_resolve ("10.1.2.3", address, NULL), 0);
    ck_assert_str_eq (address, "10.1.2.3");
    ck_assert_int_eq (net_resolve ("::1", address, NULL), 0);
    ck_assert_str_eq (address, "::1");
}
END_TEST

START_TEST (hosts_that_cannot_be_resolved_say_so)
{
    char address[NET_ADDRESS_SIZE];
    litedfs_error_t error;

    ck_assert_int_eq (net_resolve ("", address, &error), LITEDFS_UNREACHABLE);
    ck_assert_int_eq (net_resolve ("no\nhost", address, &error), LITEDFS_UNREACHABLE);
    ck_assert_ptr_nonnull (strstr (error.text, "host[no\\nhost]: "));
}
END_TEST

/* The addresses of a host, at most max of them, in a line. */
static const char *
addresses_of (const char *host, size_t max)
{
    static char text[256];
    char found[8][NET_ADDRESS_SIZE];
    size_t count;

    ck_assert_int_eq (net_resolve_all (host, found, max, &count, NULL), 0);
    ck_assert_uint_le (count, max);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        strcat (text, i > 0 ? " " : "");
        strcat (text, found[i]);
    }
    return text;
}

START_TEST (a_name_has_its_ipv4_addresses_first_and_each_once)
{
    ck_assert_str_eq (addresses_of ("both.test", 8), "127.0.0.2 127.0.0.1 ::1");
    ck_assert_str_eq (addresses_of ("six.test", 8), "::1");
    ck_assert_str_eq (addresses_of ("10.1.2.3", 8), "10.1.2.3");
}
END_TEST

START_TEST (of_a_name_with_more_addresses_than_asked_for_the_first_are_given)
{
    char address[NET_ADDRESS_SIZE];

    ck_assert_str_eq (addresses_of ("both.test", 3), "127.0.0.2 127.0.0.1 ::1");
    ck_assert_str_eq (addresses_of ("both.test", 2), "127.0.0.2 127.0.0.1");
    ck_assert_int_eq (net_resolve ("both.test", address, NULL), 0);
    ck_assert_str_eq (address, "127.0.0.2");
    ck_assert_int_eq (net_resolve ("six.test", address, NULL), 0);
    ck_assert_str_eq (address, "::1");
}
END_TEST

START_TEST (host_and_port_are_taken_apart)
{
    static const struct {
        const char *text;
        int default_port;
        const char *host;
        int port;
    } cases[] = {
        {"localhost:9000", 0, "localhost", 9000},
        {"10.0.0.1:1", 0, "10.0.0.1", 1},
        {"[::1]:65535", 0, "::1", 65535},
        {"localhost", 9000, "localhost", 9000},
        {"[::1]", 9000, "::1", 9000},
        {"::1", 9000, "::1", 9000},
        {"fe80::1%eth0", 9000, "fe80::1%eth0", 9000},
        {"h:80", 9000, "h", 80},
    };

    for (size_t i = 0; i < COUNT (cases); i++) {
        char host[NET_HOST_SIZE];
        char joined[NET_HOST_SIZE + 16];
        int port = -1;
        ck_assert_msg (
            net_split_host_port (cases[i].text, cases[i].default_port, host, &port, NULL) == 0,
            "%s", cases[i].text);
        ck_assert_str_eq (host, cases[i].host);
        ck_assert_int_eq (port, cases[i].port);

        net_join_host_port (host, port, joined, sizeof joined);
        ck_assert_int_eq (net_split_host_port (joined, 0, host, &port, NULL), 0);
        ck_assert_str_eq (host, cases[i].host);
        ck_assert_int_eq (port, cases[i].port);
    }
}
END_TEST

START_TEST (what_is_no_host_and_port_is_refused)
{
    static const char *const wrong[] = {
        "",     ":9000", "h:",     "h:0",     "h:65536", "h:-1",         "h:08",  "h:9000x",
        "h: 1", "[::1",  "[::1]x", "[]:9000", "[::1]:",  "tcp://h:9000", "h/x:1",
    };
    char long_text[NET_HOST_SIZE + 8];

    for (size_t i = 0; i < COUNT (wrong); i++) {
        char host[NET_HOST_SIZE];
        int port;
        ck_assert_msg (net_split_host_port (wrong[i], 9000, host, &port, NULL) ==
                           LITEDFS_INVALID,
                       "%s", wrong[i]);
    }

    char host[NET_HOST_SIZE];
    int port;
    litedfs_error_t error;
    memset (long_text, 'h', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    ck_assert_int_eq (net_split_host_port (long_text, 1, host, &port, NULL), LITEDFS_INVALID);
    long_text[NET_HOST_SIZE - 1] = 0;
    ck_assert_int_eq (net_split_host_port (long_text, 1, host, &port, NULL), 0);
    ck_assert_int_eq (net_split_host_port ("h", 0, host, &port, &error), LITEDFS_INVALID);
    ck_assert_str_eq (error.text, "address[h]: the port is missing; write host:port");
}
END_TEST

UNIT_MAIN ("base_net", networks_print_as_they_are_written, a_mapped_network_is_the_ipv4_one,
           what_is_no_network_is_refused, bits_after_the_prefix_are_refused_with_what_was_meant,
           an_empty_list_lets_nobody_in, a_list_matches_at_its_edges,
           everything_of_one_family_is_nothing_of_the_other, what_is_no_address_is_not_let_in,
           a_list_stays_as_it_was_when_one_of_several_is_wrong,
           a_network_is_kept_once_and_a_full_list_says_so, loopback_is_both_families_and_prints,
           numeric_hosts_resolve_to_themselves, hosts_that_cannot_be_resolved_say_so,
           a_name_has_its_ipv4_addresses_first_and_each_once,
           of_a_name_with_more_addresses_than_asked_for_the_first_are_given,
           host_and_port_are_taken_apart, what_is_no_host_and_port_is_refused)
