/* SPDX-License-Identifier: MIT */
/*
 * base/conf: what is written, byte for byte, and what is changed after the file was read.
 */
#include <stdio.h>

#include "base_conf_fixture.h"

START_TEST (the_generated_file_is_aligned_and_complete)
{
    struct buf out = {0};

    ck_assert_int_eq (conf_defaults (table, &settings, &arena, &error), 0);
    ck_assert_int_eq (conf_set (table, &settings, "log_path", "/var/log", &arena, &error), 0);
    ck_assert_int_eq (conf_set (table, &settings, "allow", "10.0.0.0/8, ::1", &arena, &error),
                      0);
    conf_write (table, &settings, &out);
    ck_assert_str_eq (buf_text (&out),
                      "log_level: INFO             # NOSET, DEBUG, INFO, WARNING, ERROR, "
                      "CRITICAL\n"
                      "log_path: /var/log\n"
                      "http_host: 0.0.0.0          # http host\n"
                      "http_port: 9000             # http port\n"
                      "name_http_host: 127.0.0.1\n"
                      "block_size: 67108864        # 67108864 = 64M, file block size\n"
                      "interval: 1\n"
                      "sync: true\n"
                      "allow: [10.0.0.0/8, \"::1\"]\n");
    buf_free (&out);
}
END_TEST

START_TEST (the_generated_file_reads_back_to_the_same)
{
    struct settings again;
    struct buf out = {0};
    static const char *const odd[] = {"",     "::",   "null", "a # b", "'",
                                      "\"\\", "-",    "[x]",  "~",     "gr\xc3\xbc\xc3\x9f",
                                      "%",    "a: b", "x,y"};

    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        ck_assert_int_eq (conf_defaults (table, &settings, &arena, &error), 0);
        ck_assert_int_eq (conf_set (table, &settings, "log_path", "/x y", &arena, &error), 0);
        ck_assert_int_eq (conf_set (table, &settings, "http_host", odd[i], &arena, &error), 0);
        ck_assert_int_eq (conf_set (table, &settings, "interval", "0.1", &arena, &error), 0);
        if (odd[i][0])
            ck_assert_int_eq (conf_set (table, &settings, "allow", odd[i], &arena, &error), 0);
        buf_clear (&out);
        conf_write (table, &settings, &out);
        ck_assert (!out.failed);
        int rc = conf_load_text ("/c.yml", buf_slice (&out), table, &again, &arena, &error);
        ck_assert_msg (rc == 0, "%s", error.text);
        for (const struct option_row *row = table; row->key; row++) {
            union option_value a = option_get (row, &settings);
            union option_value b = option_get (row, &again);
            ck_assert_msg (option_equal (row, &a, &b), "%s", row->key);
        }
    }
    buf_free (&out);
}
END_TEST

START_TEST (the_file_that_users_of_the_original_have_is_written_byte_for_byte)
{
    static const char original[] =
        "log_level: NOSET                        # NOSET, DEBUG, INFO, WARNING, ERROR, "
        "CRITICAL\n"
        "log_path: /home/pi/litename_data/logs   # log file directory, can auto generate by "
        "litename\n"
        "http_port: 9000                         # name node's http port\n"
        "block_size: 67108864                    # 67108864 = 64M, file block size\n"
        "data_path: /home/pi/litename_data/data  # name node data store directory, can auto "
        "generate by litename\n";
#define ROW(name, kind, place, words)                                                          \
    {                                                                                          \
        .key = name, .type = kind, PLACE (place), .help = words                                \
    }
    static const struct option_row rows[] = {
        ROW ("log_level", OPTION_LEVEL, log_level,
             "NOSET, DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ROW ("log_path", OPTION_PATH, log_path,
             "log file directory, can auto generate by litename"),
        ROW ("http_port", OPTION_INT, http_port, "name node's http port"),
        ROW ("block_size", OPTION_SIZE, block_size, "file block size"),
        ROW ("data_path", OPTION_PATH, http_host,
             "name node data store directory, can auto generate by litename"),
        {.key = NULL},
    };
    struct buf out = {0};

    int rc = conf_load_text ("c.yml", slice_str (original), rows, &settings, &arena, &error);
    ck_assert_msg (rc == 0, "%s", error.text);
    conf_write (rows, &settings, &out);
    ck_assert_str_eq (buf_text (&out), original);
    buf_free (&out);
}
END_TEST

START_TEST (one_option_can_be_set_with_the_same_checks)
{
    ck_assert_int_eq (conf_defaults (table, &settings, &arena, &error), 0);
    ck_assert_int_eq (conf_set (table, &settings, "manager_http_host", "x", &arena, NULL), 0);
    ck_assert_str_eq (settings.name_host, "x");
    ck_assert_int_eq (conf_set (table, &settings, "http_port", "0", &arena, &error),
                      LITEDFS_CONFIG);
    ck_assert_str_eq (error.text, "http_port: '0' is out of range; allowed: 1 to 65535");
    ck_assert_int_eq (settings.http_port, 9000);
    ck_assert_int_eq (conf_set (table, &settings, "no", "0", &arena, &error), LITEDFS_CONFIG);
    ck_assert_str_eq (error.text, "no: there is no such key");
}
END_TEST

START_TEST (a_reload_takes_what_can_be_reloaded_and_names_the_rest)
{
    struct settings loaded;
    struct arena other = {0};
    struct buf not_taken = {0};

    ck_assert_int_eq (load ("log_path: /a\nhttp_port: 1\nlog_level: INFO\nallow: [a]\n"), 0);
    ck_assert_int_eq (conf_load_text ("c",
                                      slice_str ("log_path: /b\nhttp_port: 2\n"
                                                 "log_level: DEBUG\nallow: [a, b]\n"),
                                      table, &loaded, &other, &error),
                      0);
    ck_assert_uint_eq (conf_reload (table, &settings, &loaded, &not_taken), 2);
    ck_assert_str_eq (buf_text (&not_taken), "log_path, http_port");
    ck_assert_int_eq (settings.log_level, LOG_LEVEL_DEBUG);
    ck_assert_uint_eq (settings.allow.count, 2);
    ck_assert_ptr_eq (settings.allow.items, loaded.allow.items);
    ck_assert_str_eq (settings.log_path, "/a");
    ck_assert_int_eq (settings.http_port, 1);

    buf_clear (&not_taken);
    settings.http_port = 2;
    settings.log_path = loaded.log_path;
    ck_assert_uint_eq (conf_reload (table, &settings, &loaded, &not_taken), 0);
    ck_assert_str_eq (buf_text (&not_taken), "");
    buf_free (&not_taken);
    arena_free (&other);
}
END_TEST

START_TEST (the_table_prints_for_the_man_page)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream (&text, &size);

    conf_table_print (table, stream);
    fclose (stream);
    ck_assert_str_eq (text, "log_level\tINFO\tNOSET, DEBUG, INFO, WARNING, ERROR, CRITICAL\n"
                            "log_path\t\ta path\n"
                            "http_host\t0.0.0.0\ttext\n"
                            "http_port\t9000\t1 to 65535\n"
                            "name_http_host\t127.0.0.1\ttext\n"
                            "block_size\t64M\t64K to 4G\n"
                            "interval\t1\t0 to 60 seconds\n"
                            "sync\ttrue\ttrue or false\n"
                            "allow\t\ta list of texts\n");
    free (text);
}
END_TEST

UNIT_MAIN_FIXTURE ("base_conf_write", NULL, conf_teardown,
                   the_generated_file_is_aligned_and_complete,
                   the_generated_file_reads_back_to_the_same,
                   the_file_that_users_of_the_original_have_is_written_byte_for_byte,
                   one_option_can_be_set_with_the_same_checks,
                   a_reload_takes_what_can_be_reloaded_and_names_the_rest,
                   the_table_prints_for_the_man_page)
