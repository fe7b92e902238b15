/* SPDX-License-Identifier: MIT */
/*
 * namenode/config: the original's file is taken, what is missing has its default, and what cannot be
 * is refused with a line that says where.
 */
#include "namenode/config.h"

#include "base/listen.h"

#include <string.h>

#include "unit.h"

static struct namenode_config config;
static struct arena arena;
static litedfs_error_t error;

static void
teardown (void)
{
    arena_free (&arena);
}

static int
load (const char *text)
{
    int rc = conf_load_text ("/etc/litename.yml", slice_str (text), namenode_options, &config,
                             &arena, &error);

    return rc < 0 ? rc : namenode_config_check ("/etc/litename.yml", &config, &error);
}

START_TEST (the_file_of_the_original_is_taken_as_it_is)
{
    ck_assert_msg (
        load (
            "log_level: NOSET                        # NOSET, DEBUG, INFO, WARNING, ERROR\n"
            "log_path: /home/pi/litename_data/logs   # log file directory, can auto generate\n"
            "http_host: 0.0.0.0                      # name node's http host\n"
            "http_port: 9000                         # name node's http port\n"
            "tcp_host: 0.0.0.0                       # name node's tcp host\n"
            "tcp_port: 6061                          # name node's tcp port\n"
            "block_size: 67108864                    # 67108864 = 64M, file block size\n"
            "data_path: /home/pi/litename_data/data  # name node data store directory\n") == 0,
        "%s", error.text);
    ck_assert_int_eq (config.log_level, LOG_LEVEL_NOSET);
    ck_assert_int_eq (config.tcp_port, 6061);
    ck_assert_str_eq (config.data_path, "/home/pi/litename_data/data");
}
END_TEST

START_TEST (defaults_are_those_of_the_manual)
{
    struct net_list allowed;

    ck_assert_int_eq (load ("log_level: INFO\n"), 0);
    ck_assert_int_eq (config.http_port, 9000);
    ck_assert_int_eq (config.tcp_port, 19000);
    ck_assert_int_eq (config.block_size, 67108864);
    ck_assert (config.sync);
    ck_assert_int_eq (config.ballast_size, 16 << 20);
    ck_assert (config.delete_delay == 60);
    ck_assert (config.repair_delay == 60);
    ck_assert (config.backup_interval == 6 * 3600);
    ck_assert_int_eq (config.backup_keep, 3);
    ck_assert_str_eq (config.backup_path, "");
    ck_assert (config.quarantine_grace == 86400);
    ck_assert_str_eq (config.data_path, "/etc/data");
    ck_assert_int_eq (listen_allowed ("f", &config.allow, &allowed, &error), 0);
    ck_assert (net_list_matches (&allowed, "127.0.0.1"));
    ck_assert (!net_list_matches (&allowed, "10.0.0.1"));
}
END_TEST

START_TEST (the_tcp_port_follows_the_http_port_unless_it_is_set)
{
    ck_assert_int_eq (load ("http_port: 8000\n"), 0);
    ck_assert_int_eq (config.tcp_port, 18000);
    ck_assert_int_eq (load ("http_port: 8000\ntcp_port: 0\n"), 0);
    ck_assert_int_eq (config.tcp_port, 0);
    ck_assert_int_eq (load ("http_port: 60000\n"), LITEDFS_CONFIG);
    ck_assert_ptr_nonnull (strstr (error.text, "/etc/litename.yml: tcp_port"));
    ck_assert_ptr_nonnull (strstr (error.text, "65535"));
    ck_assert_int_eq (load ("http_port: 60000\ntcp_port: 6061\n"), 0);
    ck_assert_int_eq (load ("http_port: 6061\ntcp_port: 6061\n"), LITEDFS_CONFIG);
}
END_TEST

START_TEST (block_sizes_are_multiples_of_64_kib)
{
    ck_assert_int_eq (load ("block_size: 64K\n"), 0);
    ck_assert_int_eq (load ("block_size: 4G\n"), 0);
    ck_assert_int_eq (load ("block_size: 65537\n"), LITEDFS_CONFIG);
    ck_assert_ptr_nonnull (strstr (error.text, "block_size"));
    ck_assert_int_eq (load ("block_size: 1K\n"), LITEDFS_CONFIG);
    ck_assert_int_eq (load ("block_size: 8G\n"), LITEDFS_CONFIG);
}
END_TEST

START_TEST (networks_are_checked_where_they_are_read)
{
    struct net_list allowed;

    ck_assert_int_eq (load ("allow: [10.0.0.0/8, 'fd00::/8']\n"), 0);
    ck_assert_int_eq (listen_allowed ("f", &config.allow, &allowed, &error), 0);
    ck_assert (net_list_matches (&allowed, "10.1.2.3"));
    ck_assert (net_list_matches (&allowed, "127.0.0.1"));
    ck_assert_int_eq (load ("allow: [10.0.0.1/8]\n"), LITEDFS_CONFIG);
    ck_assert_ptr_nonnull (strstr (error.text, "/etc/litename.yml: allow: "));
}
END_TEST

START_TEST (an_unknown_key_is_refused_with_its_line)
{
    ck_assert_int_eq (load ("http_port: 9000\nblok_size: 1M\n"), LITEDFS_CONFIG);
    ck_assert_ptr_nonnull (strstr (error.text, "/etc/litename.yml:2: blok_size"));
    ck_assert_ptr_nonnull (strstr (error.text, "block_size"));
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_config", NULL, teardown,
                   the_file_of_the_original_is_taken_as_it_is, defaults_are_those_of_the_manual,
                   the_tcp_port_follows_the_http_port_unless_it_is_set,
                   block_sizes_are_multiples_of_64_kib,
                   networks_are_checked_where_they_are_read,
                   an_unknown_key_is_refused_with_its_line)
