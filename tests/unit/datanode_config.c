/* SPDX-License-Identifier: MIT */
/*
 * The configuration of litedata: the README's file, the ports that follow, what is refused.
 */
#include "datanode/config.h"

#include "base/listen.h"

#include "base/err.h"
#include "unit.h"

#include <string.h>

static struct arena arena;
static struct datanode_config config;
static litedfs_error_t error;

static void
setup (void)
{
    ck_assert_msg (conf_defaults (datanode_options, &config, &arena, &error) == 0, "%s",
                   error.text);
}

static void
teardown (void)
{
    arena_free (&arena);
}

static int
load (const char *text)
{
    memset (&error, 0, sizeof error);
    int rc = conf_load_text ("/etc/x.yml", slice_str (text), datanode_options, &config, &arena,
                             &error);
    return rc < 0 ? rc : datanode_config_check ("/etc/x.yml", &config, &error);
}

static void
assert_refused (const char *text, const char *part)
{
    ck_assert_int_eq (load (text), LITEDFS_CONFIG);
    ck_assert_msg (strstr (error.text, part) != NULL, "'%s' has no '%s'", error.text, part);
}

START_TEST (the_file_of_the_original_readme_is_accepted)
{
    static const char readme[] =
        "log_level: NOSET                        # NOSET, DEBUG, INFO, WARNING, ERROR\n"
        "log_path: /home/pi/litedata_data/logs   # log file directory\n"
        "http_host: 0.0.0.0                      # data node's http host\n"
        "http_port: 8002                         # data node's http port\n"
        "manager_http_host: 127.0.0.1            # name node's http host\n"
        "manager_http_port: 9000                 # name node's http port\n"
        "manager_tcp_host: 127.0.0.1             # name node's tcp host\n"
        "manager_tcp_port: 6061                  # name node's tcp port\n"
        "heartbeat_interval: 1                   # heartbeat interval, 1 seconds\n"
        "heartbeat_timeout: 30                   # heartbeat timeout, 30 seconds\n"
        "retry_interval: 5                       # retry to connect name node interval\n"
        "data_path: /home/pi/litedata_data/data  # data node data store directory\n";

    ck_assert_msg (load (readme) == 0, "%s", error.text);
    ck_assert_int_eq (config.name_tcp_port, 6061);
    ck_assert_str_eq (config.name_tcp_host, "127.0.0.1");
    ck_assert_int_eq (config.name_http_port, 9000);
    ck_assert_int_eq (config.tcp_port, 18002);
    ck_assert_int_eq (config.chain_port, 28002);
    ck_assert_str_eq (config.data_path, "/home/pi/litedata_data/data");
    ck_assert (config.heartbeat_interval > 0.99 && config.heartbeat_interval < 1.01);
}
END_TEST

START_TEST (defaults_are_those_of_the_design)
{
    ck_assert_int_eq (datanode_config_check ("x", &config, &error), 0);
    ck_assert_int_eq (config.http_port, 8002);
    ck_assert_int_eq (config.name_tcp_port, 0);
    ck_assert_int_eq (config.memory_limit, 48 << 20);
    ck_assert_int_eq (config.storage_preserve_space, 1 << 30);
    ck_assert (config.sync);
    ck_assert_uint_eq (config.allow.count, 0);
}
END_TEST

START_TEST (both_names_of_the_name_node_are_accepted)
{
    ck_assert_int_eq (load ("name_http_host: a\nmanager_http_port: 9100\n"), 0);
    ck_assert_str_eq (config.name_http_host, "a");
    ck_assert_int_eq (config.name_http_port, 9100);
}
END_TEST

START_TEST (ports_follow_from_http_port_unless_set)
{
    ck_assert_int_eq (load ("http_port: 8010\ntcp_port: 7000\n"), 0);
    ck_assert_int_eq (config.tcp_port, 7000);
    ck_assert_int_eq (config.chain_port, 28010);
    ck_assert_int_eq (load ("http_port: 60000\ntcp_port: 0\nchain_port: 0\n"), 0);
    ck_assert_int_eq (config.tcp_port, 0);
    assert_refused ("http_port: 56000\n", "tcp_port");
    assert_refused ("http_port: 50000\n", "chain_port");
    assert_refused ("http_port: 65536\n", "http_port");
}
END_TEST

START_TEST (ports_that_are_the_same_are_refused)
{
    assert_refused ("tcp_port: 8002\n", "8002 is http_port already");
    assert_refused ("tcp_port: 7000\nchain_port: 7000\n", "7000 is tcp_port already");
}
END_TEST

START_TEST (what_cannot_work_is_refused_with_its_key)
{
    assert_refused ("heartbeat_interval: 0\n", "heartbeat_interval");
    assert_refused ("retry_interval: 0.01\n", "retry_interval");
    assert_refused ("heartbeat_interval: 5\nheartbeat_timeout: 5\n", "heartbeat_timeout");
    assert_refused ("allow: [10.0.0.1/8]\n", "allow");
    assert_refused ("name_http_host: ''\n", "name_http_host");
    assert_refused ("memory_limit: 1M\n", "memory_limit");
    assert_refused ("manger_http_port: 1\n", "manager_http_port");
}
END_TEST

START_TEST (allow_names_networks_besides_loopback)
{
    struct net_list list;

    ck_assert_int_eq (load ("allow: [10.0.0.0/8, fd00::/8]\n"), 0);
    ck_assert_int_eq (listen_allowed ("f", &config.allow, &list, &error), 0);
    ck_assert (net_list_matches (&list, "127.0.0.1"));
    ck_assert (net_list_matches (&list, "10.1.2.3"));
    ck_assert (net_list_matches (&list, "fd00::1"));
    ck_assert (!net_list_matches (&list, "192.168.1.1"));
}
END_TEST

START_TEST (generate_takes_over_what_the_command_line_says)
{
    ck_assert_int_eq (
        datanode_config_generate (&config, "10.0.0.0/8", "8100", "pi:9100", &arena, &error), 0);
    ck_assert_int_eq (config.http_port, 8100);
    ck_assert_str_eq (config.name_http_host, "pi");
    ck_assert_int_eq (config.name_http_port, 9100);
    ck_assert_uint_eq (config.allow.count, 1);
    ck_assert_int_eq (datanode_config_generate (&config, NULL, NULL, "[::1]", &arena, &error),
                      0);
    ck_assert_str_eq (config.name_http_host, "::1");
    ck_assert_int_eq (config.name_http_port, 9100);
    ck_assert_int_eq (datanode_config_generate (&config, NULL, NULL, "a:99999", &arena, &error),
                      LITEDFS_USAGE);
    ck_assert_int_eq (datanode_config_generate (&config, NULL, "x", NULL, &arena, &error),
                      LITEDFS_CONFIG);
}
END_TEST

START_TEST (what_is_written_is_read_back)
{
    struct buf text = {0};

    ck_assert_int_eq (load ("http_port: 8010\nallow: [10.0.0.0/8]\nzone: 'a: b'\n"), 0);
    conf_write (datanode_options, &config, &text);
    ck_assert_msg (load (buf_text (&text)) == 0, "%s", error.text);
    ck_assert_int_eq (config.tcp_port, 18010);
    ck_assert_str_eq (config.zone, "a: b");
    ck_assert_uint_eq (config.allow.count, 1);
    buf_free (&text);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_config", setup, teardown,
                   the_file_of_the_original_readme_is_accepted,
                   defaults_are_those_of_the_design, both_names_of_the_name_node_are_accepted,
                   ports_follow_from_http_port_unless_set, ports_that_are_the_same_are_refused,
                   what_cannot_work_is_refused_with_its_key,
                   allow_names_networks_besides_loopback,
                   generate_takes_over_what_the_command_line_says, what_is_written_is_read_back)
