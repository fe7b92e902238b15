/* SPDX-License-Identifier: MIT */
/*
 * base/conf: the file that users have is read, each mistake is one line that says where and what, and a
 * hostile file gets no further than that line.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base_conf_fixture.h"

START_TEST (what_is_not_said_has_its_default)
{
    ck_assert_msg (load ("http_port: 8002\n") == 0, "%s", error.text);
    ck_assert_int_eq (settings.http_port, 8002);
    ck_assert_int_eq (settings.log_level, LOG_LEVEL_INFO);
    ck_assert_str_eq (settings.log_path, "");
    ck_assert_str_eq (settings.http_host, "0.0.0.0");
    ck_assert_str_eq (settings.name_host, "127.0.0.1");
    ck_assert_int_eq (settings.block_size, 67108864);
    ck_assert (settings.interval == 1.0);
    ck_assert (settings.sync);
    ck_assert_uint_eq (settings.allow.count, 0);
    ck_assert_str_eq (settings.old, "");
}
END_TEST

START_TEST (every_type_is_read)
{
    ck_assert_msg (load ("---\n"
                         "# a comment\n"
                         "log_level: NOSET   # NOSET, DEBUG\n"
                         "log_path: logs\n"
                         "http_host: '::'\n"
                         "http_port: 1\n"
                         "manager_http_host: \"a \\\"b\\\"\"\n"
                         "block_size: 16 MiB\n"
                         "interval: 0.25\n"
                         "sync: off\n"
                         "allow: [10.0.0.0/8, \"::1\", fd00::/8]\n"
                         "old_key: 12\n") == 0,
                   "%s", error.text);
    ck_assert_int_eq (settings.log_level, LOG_LEVEL_NOSET);
    ck_assert_str_eq (settings.log_path, "/etc/litedfs/logs");
    ck_assert_str_eq (settings.http_host, "::");
    ck_assert_int_eq (settings.http_port, 1);
    ck_assert_str_eq (settings.name_host, "a \"b\"");
    ck_assert_int_eq (settings.block_size, 16 << 20);
    ck_assert (settings.interval == 0.25);
    ck_assert (!settings.sync);
    ck_assert_uint_eq (settings.allow.count, 3);
    ck_assert_str_eq (settings.allow.items[1], "::1");
    ck_assert_str_eq (settings.allow.items[2], "fd00::/8");
    ck_assert_str_eq (settings.old, "12");
}
END_TEST

START_TEST (lists_have_three_forms_and_may_be_empty)
{
    ck_assert_int_eq (load ("allow:\n  - 10.0.0.0/8\n  - '::1'\n"), 0);
    ck_assert_uint_eq (settings.allow.count, 2);
    ck_assert_str_eq (settings.allow.items[1], "::1");
    ck_assert_int_eq (load ("allow: 10.0.0.0/8\n"), 0);
    ck_assert_uint_eq (settings.allow.count, 1);
    static const char *const empty[] = {"allow:\n", "allow: []\n", "allow: ~\n",
                                        "allow: null\n"};
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq (load (empty[i]), 0);
        ck_assert_uint_eq (settings.allow.count, 0);
    }
}
END_TEST

START_TEST (an_empty_value_is_an_empty_text)
{
    ck_assert_int_eq (load ("http_host:\nname_http_host: ~\nold_key: 'null'\n"), 0);
    ck_assert_str_eq (settings.http_host, "");
    ck_assert_str_eq (settings.name_host, "");
    ck_assert_str_eq (settings.old, "null");
}
END_TEST

START_TEST (a_windows_file_with_a_byte_order_mark_is_read)
{
    ck_assert_msg (load ("\xef\xbb\xbfhttp_port: 7\r\nsync: no\r\n") == 0, "%s", error.text);
    ck_assert_int_eq (settings.http_port, 7);
    ck_assert (!settings.sync);
}
END_TEST

START_TEST (an_unknown_key_says_where_and_what_was_meant)
{
    check_refused ("log_level: INFO\nhttp_prot: 1\n",
                   "2: http_prot: there is no such key; did you mean 'http_port'?");
    check_refused (
        "manager_http_hots: x\n",
        "1: manager_http_hots: there is no such key; did you mean 'manager_http_host'?");
    check_refused ("\n\nwhatever: x\n", "3: whatever: there is no such key");
    check_refused ("old_kex: x\n", "1: old_kex: there is no such key");
    check_refused ("'a\\\tb': x\n", "1: a\\\\tb: there is no such key");
    check_refused ("<<: {http_port: 1}\n", "1: <<: there is no such key");
}
END_TEST

START_TEST (a_wrong_value_says_what_is_allowed)
{
    check_refused ("sync: true\n\nhttp_port: 70000 # many\n",
                   "3: http_port: '70000' is out of range; allowed: 1 to 65535");
    check_refused ("http_port: nine\n",
                   "1: http_port: 'nine' is not a whole number; allowed: 1 to 65535");
    check_refused ("http_port: 010\n",
                   "1: http_port: '010' is not a whole number; allowed: 1 to 65535");
    check_refused ("http_port:\n",
                   "1: http_port: '' is not a whole number; allowed: 1 to 65535");
    check_refused ("log_path: ''\n", "1: log_path: '' is empty; allowed: a path");
    check_refused ("log_level: LOUD\n", "1: log_level: 'LOUD' is not a level; allowed: NOSET, "
                                        "DEBUG, INFO, WARNING, ERROR, CRITICAL");
    check_refused ("http_port: \"9000\"\n",
                   "1: http_port: it is text in quotes; write it without them");
    check_refused ("sync: 'true'\n", "1: sync: it is text in quotes; write it without them");
}
END_TEST

START_TEST (a_wrong_shape_says_which)
{
    check_refused ("http_port: [1]\n", "1: http_port: it is a list; one value belongs here");
    check_refused ("http_port:\n  a: 1\n",
                   "2: http_port: it is a mapping; one value belongs here");
    check_refused ("allow:\n- a\n- [b]\n",
                   "3: allow: a text or number belongs here, not a mapping or a list");
    check_refused ("allow: [{a: b}]\n",
                   "1: allow: a text or number belongs here, not a mapping or a list");
    check_refused ("[a, b]: 1\n", "1: a text or number belongs here, not a mapping or a list");
    check_refused ("allow: [a, '']\n",
                   "1: allow: '' is an empty text in the list; allowed: a list of texts");
}
END_TEST

START_TEST (the_top_must_be_one_mapping)
{
    static const char no_mapping[] = "1: the file must be a mapping of lines `key: value`";

    check_refused ("", "1: the file is empty; -g writes one");
    check_refused ("# nothing\n", "2: the file is empty; -g writes one");
    check_refused ("just text\n", no_mapping);
    check_refused ("- a\n- b\n", no_mapping);
    check_refused ("http_port: 1\n---\nhttp_port: 2\n",
                   "2: a second document begins here; one is used");
}
END_TEST

START_TEST (a_key_may_be_given_once_by_one_of_its_names)
{
    check_refused ("http_port: 1\nsync: no\nhttp_port: 1\n",
                   "3: http_port: line 1 has set it already");
    check_refused ("manager_http_host: a\nname_http_host: b\n",
                   "2: name_http_host: line 1 has set it already; another name for it is "
                   "'manager_http_host'");
    check_refused ("name_http_host: a\nmanager_http_host: b\n",
                   "2: manager_http_host: line 1 has set it already; another name for it is "
                   "'name_http_host'");
}
END_TEST

START_TEST (anchors_aliases_and_tags_are_refused)
{
    check_refused ("http_host: &a x\n", "1: http_host: anchors (&name) are not used here");
    check_refused ("http_host: *a\n", "1: http_host: aliases (*name) are not used here");
    check_refused ("*a : x\n", "1: aliases (*name) are not used here");
    check_refused ("allow: [*a]\n", "1: allow: aliases (*name) are not used here");
    check_refused ("allow: &a [x]\n", "1: allow: anchors and tags are not used here");
    check_refused ("allow: !!set [x]\n", "1: allow: anchors and tags are not used here");
    check_refused ("&a {http_port: 1}\n", "1: anchors and tags are not used here");
    check_refused ("http_host: !!python/object x\n",
                   "1: http_host: tags (!name) are not used here");
    check_refused ("!!str http_host: x\n", "1: tags (!name) are not used here");
}
END_TEST

START_TEST (what_is_no_yaml_says_where)
{
    static const char *const wrong[] = {
        "http_port: [1\n",
        "http_host: \"x\n",
        "http_port: 1\n bad indent: 2\n",
        "\thttp_port: 1\n",
        "%YAML 9.9\n---\na: b\n",
        "a: b: c\n",
        "{",
        "}",
        "@",
        "http_host: \"\\q\"\n",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg (load (wrong[i]) == LITEDFS_CONFIG, "%s", wrong[i]);
        ck_assert_msg (strncmp (error.text, "/etc/litedfs/c.yml:", 19) == 0, "%s", error.text);
        ck_assert_ptr_null (strchr (error.text, '\n'));
    }
    check_refused ("sync: no\nhttp_host: \"x\n",
                   "3: this is not YAML: found unexpected end of stream");
}
END_TEST

START_TEST (bytes_that_are_no_text_say_where)
{
    ck_assert_int_eq (load ("sync: no\nhttp_host: \xff\n"), LITEDFS_CONFIG);
    ck_assert_str_eq (error.text, "/etc/litedfs/c.yml:2: this is not text in UTF-8: invalid "
                                  "leading UTF-8 octet");
    ck_assert_int_eq (load_bytes ("http_host: a\0b\n", 15), LITEDFS_CONFIG);
    ck_assert_int_eq (load_bytes ("\0\0\0\0", 4), LITEDFS_CONFIG);
    ck_assert_int_eq (load_bytes ("\xff\xfeh\0t\0", 6), LITEDFS_CONFIG);
    check_refused ("http_host: \"a\\0b\"\n", "1: http_host: the text holds a NUL character");
    check_refused (
        "http_host: \"a\\nb\"\n",
        "1: http_host: 'a\\nb' holds control characters or is not UTF-8; allowed: text");
}
END_TEST

// Repeat a text after a head.
static char *
repeat (const char *head, const char *text, size_t times)
{
    size_t size = strlen (text);
    char *all = malloc (strlen (head) + size * times + 1);
    ck_assert_ptr_nonnull (all);
    char *at = stpcpy (all, head);
    for (size_t i = 0; i < times; i++)
        at = stpcpy (at, text);
    return all;
}

START_TEST (hostile_sizes_get_no_further_than_their_line)
{
    static const struct {
        const char *head;
        const char *text;
        size_t times;
        const char *expected;
    } cases[] = {
        {"http_host: ", "x", 70000, ":1: http_host: the value is longer than 64 KiB"},
        {"", "x", 70000, ""},
        {"http_host: ", "[", 500000, ":1: http_host: it is a list; one value belongs here"},
        {"allow: ", "[", 500000, ":1: allow: a text or number belongs here"},
        {"", "- ", 500000, ":1: the file must be a mapping"},
        {"allow: [", "a,", 400000, ":1: allow: the list is too long"},
        {"allow:\n", "- a\n", 200000, "allow: the list is too long"},
        {"", "{", 500000, ":1: a text or number belongs here"},
        {"http_host: ", "x", 1048570, "it is larger than 1 MiB"},
        {"", "a: b\n", 100000, ":1: a: there is no such key"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = repeat (cases[i].head, cases[i].text, cases[i].times);
        ck_assert_int_eq (load (text), LITEDFS_CONFIG);
        ck_assert_msg (strstr (error.text, cases[i].expected) != NULL, "%s", error.text);
        free (text);
    }
    ck_assert_uint_lt (arena.used, (size_t) 4 << 20);
}
END_TEST

START_TEST (a_file_that_cannot_be_read_says_why)
{
    char directory[] = "/tmp/litedfs-conf-XXXXXX";
    char path[64];
    char expected[160];

    ck_assert_int_eq (conf_load ("/no/such.yml", table, &settings, &arena, &error),
                      LITEDFS_CONFIG);
    ck_assert_int_eq (error.number, LITEDFS_CONFIG);
    ck_assert_str_eq (error.text,
                      "configuration: open[/no/such.yml]: No such file or directory");
    ck_assert_int_eq (conf_load ("/", table, &settings, &arena, &error), LITEDFS_CONFIG);
    ck_assert_str_eq (error.text, "configuration: read[/]: it is not a regular file");
    ck_assert_int_eq (conf_load ("/no/such.yml", table, &settings, &arena, NULL),
                      LITEDFS_CONFIG);

    ck_assert_ptr_nonnull (mkdtemp (directory));
    snprintf (path, sizeof path, "%s/c.yml", directory);
    FILE *file = fopen (path, "w");
    ck_assert_ptr_nonnull (file);
    fputs ("log_path: logs\n", file);
    fclose (file);
    ck_assert_int_eq (conf_load (path, table, &settings, &arena, &error), 0);
    snprintf (expected, sizeof expected, "%s/logs", directory);
    ck_assert_str_eq (settings.log_path, expected);
    unlink (path);
    rmdir (directory);
}
END_TEST

START_TEST (memory_that_is_short_is_told_as_such)
{
    // At whichever allocation it happens, nothing is taken and nothing else is blamed.
    int rc = LITEDFS_MEMORY;
    size_t limit;
    for (limit = 16; rc < 0; limit += 16) {
        struct arena small = {.limit = limit};
        memset (&settings, 0x5a, sizeof settings);
        rc = conf_load_text ("c", slice_str ("allow: [a]\nlog_path: x\n"), table, &settings,
                             &small, &error);
        if (rc < 0) {
            ck_assert_int_eq (rc, LITEDFS_MEMORY);
            ck_assert_int_eq (error.number, LITEDFS_MEMORY);
            ck_assert_int_eq (settings.http_port, 0x5a5a5a5a5a5a5a5a);
        }
        arena_free (&small);
    }
    ck_assert_uint_gt (limit, 400);
    struct arena small = {.limit = 16};
    ck_assert_int_eq (conf_defaults (table, &settings, &small, NULL), LITEDFS_MEMORY);
    arena_free (&small);
}
END_TEST

START_TEST (a_table_with_a_wrong_default_is_told)
{
    static const struct option_row wrong[] = {
        {.key = "n", .type = OPTION_INT, .default_text = "0", .min = 1, .max = 2},
        {.key = NULL}};

    ck_assert_int_eq (conf_defaults (wrong, &settings, &arena, &error), LITEDFS_CONFIG);
    ck_assert_str_eq (error.text, "default of n: '0' is out of range; allowed: 1 to 2");
}
END_TEST

UNIT_MAIN_FIXTURE (
    "base_conf", NULL, conf_teardown, what_is_not_said_has_its_default, every_type_is_read,
    lists_have_three_forms_and_may_be_empty, an_empty_value_is_an_empty_text,
    a_windows_file_with_a_byte_order_mark_is_read, an_unknown_key_says_where_and_what_was_meant,
    a_wrong_value_says_what_is_allowed, a_wrong_shape_says_which, the_top_must_be_one_mapping,
    a_key_may_be_given_once_by_one_of_its_names, anchors_aliases_and_tags_are_refused,
    what_is_no_yaml_says_where, bytes_that_are_no_text_say_where,
    hostile_sizes_get_no_further_than_their_line, a_file_that_cannot_be_read_says_why,
    memory_that_is_short_is_told_as_such, a_table_with_a_wrong_default_is_told)
