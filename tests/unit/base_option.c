/* SPDX-License-Identifier: MIT */
/*
 * base/option: each type reads what it should, refuses the rest with what is allowed, and
 * prints what reads back to the same.
 */
#include "base/option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#define COUNT(array) (sizeof (array) / sizeof *(array))

static struct arena arena;
static union option_value value;
static litedfs_error_t error;

static void
teardown (void)
{
    arena_free (&arena);
}

static int
read_line (const struct option_row *row, const char *text)
{
    return option_read_line (row, text, NULL, &arena, &value, &error);
}

static void
check_refused (const struct option_row *row, const char *text, const char *expected)
{
    ck_assert_msg (read_line (row, text) == LITEDFS_CONFIG, "%s", text);
    ck_assert_int_eq (error.number, LITEDFS_CONFIG);
    ck_assert_str_eq (error.text, expected);
}

// The printed form of what was read last.
static const char *
printed (const struct option_row *row)
{
    static char text[512];
    struct buf buf = {0};
    option_print (row, &value, &buf);
    snprintf (text, sizeof text, "%s", buf_text (&buf));
    buf_free (&buf);
    return text;
}

START_TEST (truth_has_six_words)
{
    static const struct option_row row = {.key = "sync", .type = OPTION_BOOL};
    static const char *const yes[] = {"true", "True", "YES", "on"};
    static const char *const no[] = {"false", "FALSE", "no", "Off"};

    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq (read_line (&row, yes[i]), 0);
        ck_assert (value.on);
        ck_assert_str_eq (printed (&row), "true");
        ck_assert_int_eq (read_line (&row, no[i]), 0);
        ck_assert (!value.on);
        ck_assert_str_eq (printed (&row), "false");
    }
    check_refused (&row, "1", "'1' is neither true nor false; allowed: true or false");
    check_refused (&row, "", "'' is neither true nor false; allowed: true or false");
}
END_TEST

START_TEST (whole_numbers_keep_their_range)
{
    static const struct option_row port = {
        .key = "p", .type = OPTION_INT, .min = 1, .max = 65535};
    static const struct option_row any = {.key = "n", .type = OPTION_INT};
    static const struct option_row more = {
        .key = "n", .type = OPTION_INT, .min = 2, .max = INT64_MAX};

    ck_assert_int_eq (read_line (&port, "1"), 0);
    ck_assert_int_eq (read_line (&port, "65535"), 0);
    ck_assert_int_eq (value.number, 65535);
    ck_assert_str_eq (printed (&port), "65535");
    check_refused (&port, "0", "'0' is out of range; allowed: 1 to 65535");
    check_refused (&port, "65536", "'65536' is out of range; allowed: 1 to 65535");
    check_refused (&port, "9000x", "'9000x' is not a whole number; allowed: 1 to 65535");
    check_refused (&more, "1", "'1' is out of range; allowed: 2 or more");
    ck_assert_int_eq (read_line (&any, "-9223372036854775808"), 0);
    ck_assert_str_eq (printed (&any), "-9223372036854775808");
    check_refused (&any, "9223372036854775808",
                   "'9223372036854775808' is not a whole number; allowed: a whole number");
}
END_TEST

START_TEST (sizes_take_units_and_print_bytes)
{
    static const struct option_row row = {
        .key = "block_size", .type = OPTION_SIZE, .min = 65536, .max = (int64_t) 1 << 32};
    static const struct option_row any = {.key = "n", .type = OPTION_SIZE};

    ck_assert_int_eq (read_line (&row, "64M"), 0);
    ck_assert_int_eq (value.number, 67108864);
    ck_assert_str_eq (printed (&row), "67108864");
    ck_assert_int_eq (read_line (&row, "4 GiB"), 0);
    check_refused (&row, "64", "'64' is out of range; allowed: 64K to 4G");
    check_refused (&row, "5G", "'5G' is out of range; allowed: 64K to 4G");
    check_refused (&row, "1.5M", "'1.5M' is not a number of bytes; allowed: 64K to 4G");
    check_refused (&any, "-1",
                   "'-1' is not a number of bytes; allowed: a number of bytes, such as 64M");
}
END_TEST

START_TEST (large_numbers_are_compared_exactly)
{
    static const struct option_row row = {
        .key = "n", .type = OPTION_INT, .min = 1, .max = 9007199254740992};

    ck_assert_int_eq (read_line (&row, "9007199254740992"), 0);
    ck_assert_int_eq (read_line (&row, "9007199254740993"), LITEDFS_CONFIG);
}
END_TEST

START_TEST (sizes_print_in_the_largest_unit_that_fits)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } cases[] = {{0, "0"},
                 {1, "1"},
                 {1023, "1023"},
                 {1024, "1K"},
                 {1536, "1536"},
                 {67108864, "64M"},
                 {(int64_t) 3 << 40, "3T"},
                 {(int64_t) 1 << 50, "1024T"}};

    for (size_t i = 0; i < COUNT (cases); i++) {
        struct buf buf = {0};
        option_print_size (cases[i].bytes, &buf);
        ck_assert_str_eq (buf_text (&buf), cases[i].text);
        buf_free (&buf);
    }
}
END_TEST

START_TEST (seconds_print_as_short_as_they_can)
{
    static const struct option_row row = {
        .key = "heartbeat_interval", .type = OPTION_SECONDS, .min = 0, .max = 3600};
    static const char *const texts[] = {"0", "1", "30", "0.5", "0.1", "1.25", "3599.999999999"};

    for (size_t i = 0; i < COUNT (texts); i++) {
        ck_assert_int_eq (read_line (&row, texts[i]), 0);
        ck_assert_str_eq (printed (&row), texts[i]);
    }
    check_refused (&row, "3600.5", "'3600.5' is out of range; allowed: 0 to 3600 seconds");
    check_refused (&row, "1e3", "'1e3' is not a number of seconds; allowed: 0 to 3600 seconds");
    check_refused (&row, "inf", "'inf' is not a number of seconds; allowed: 0 to 3600 seconds");
}
END_TEST

START_TEST (levels_are_words)
{
    static const struct option_row row = {.key = "log_level", .type = OPTION_LEVEL};

    ck_assert_int_eq (read_line (&row, "warning"), 0);
    ck_assert_int_eq (value.level, LOG_LEVEL_WARNING);
    ck_assert_str_eq (printed (&row), "WARNING");
    check_refused (
        &row, "10",
        "'10' is not a level; allowed: NOSET, DEBUG, INFO, WARNING, ERROR, CRITICAL");
}
END_TEST

START_TEST (texts_are_quoted_when_they_must_be)
{
    static const struct option_row row = {.key = "zone", .type = OPTION_STRING};
    static const struct {
        const char *text;
        const char *printed;
    } cases[] = {
        {"rack-1", "rack-1"},
        {"/home/pi/data", "/home/pi/data"},
        {"127.0.0.1", "127.0.0.1"},
        {"a:b", "a:b"},
        {"", "\"\""},
        {"::1", "\"::1\""},
        {"a:", "\"a:\""},
        {"-x", "\"-x\""},
        {"null", "\"null\""},
        {"~", "\"~\""},
        {"a b", "\"a b\""},
        {"a # b", "\"a # b\""},
        {"*x", "\"*x\""},
        {"say \"no\\\"", "\"say \\\"no\\\\\\\"\""},
        {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
    };

    for (size_t i = 0; i < COUNT (cases); i++) {
        ck_assert_int_eq (read_line (&row, cases[i].text), 0);
        ck_assert_str_eq (value.text, cases[i].text);
        ck_assert_str_eq (printed (&row), cases[i].printed);
    }
}
END_TEST

START_TEST (texts_that_could_not_be_printed_are_refused)
{
    static const struct option_row row = {.key = "zone", .type = OPTION_STRING};

    check_refused (&row, "a\nb",
                   "'a\\nb' holds control characters or is not UTF-8; allowed: text");
    check_refused (&row, "\xff",
                   "'\\xff' holds control characters or is not UTF-8; allowed: text");
    check_refused (&row, "\xc2\x85",
                   "'\\xc2\\x85' holds control characters or is not UTF-8; allowed: text");
}
END_TEST

START_TEST (texts_have_a_length)
{
    static const struct option_row row = {
        .key = "zone", .type = OPTION_STRING, .min = 1, .max = 4};
    char *large = malloc (OPTION_VALUE_MAX + 2);

    ck_assert_int_eq (read_line (&row, "abcd"), 0);
    check_refused (&row, "", "'' is empty; allowed: 1 to 4 bytes of text");
    check_refused (&row, "abcde",
                   "'abcde' has not the right length; allowed: 1 to 4 bytes of text");

    static const struct option_row any = {.key = "zone", .type = OPTION_STRING};
    memset (large, 'x', OPTION_VALUE_MAX + 1);
    large[OPTION_VALUE_MAX + 1] = 0;
    ck_assert_int_eq (read_line (&any, large), LITEDFS_CONFIG);
    ck_assert_ptr_nonnull (strstr (error.text, "xxx...' is too long"));
    large[OPTION_VALUE_MAX] = 0;
    ck_assert_int_eq (read_line (&any, large), 0);
    free (large);
}
END_TEST

START_TEST (paths_are_seen_from_the_directory)
{
    static const struct option_row row = {
        .key = "data_path", .type = OPTION_PATH, .min = 1, .max = 4095};
    char *current = getcwd (NULL, 0);
    char expected[512];
    const char *text = "data";

    ck_assert_int_eq (option_read (&row, &text, 1, "/etc/litedfs", &arena, &value, &error), 0);
    ck_assert_str_eq (value.text, "/etc/litedfs/data");
    ck_assert_int_eq (option_read (&row, &text, 1, ".", &arena, &value, &error), 0);
    snprintf (expected, sizeof expected, "%s/data", current);
    ck_assert_str_eq (value.text, expected);
    ck_assert_int_eq (option_read (&row, &text, 1, NULL, &arena, &value, &error), 0);
    ck_assert_str_eq (value.text, "data");
    text = "/x//y";
    ck_assert_int_eq (option_read (&row, &text, 1, "/etc", &arena, &value, &error), 0);
    ck_assert_str_eq (value.text, "/x/y");
    check_refused (&row, "", "'' is empty; allowed: a path");
    free (current);

    char large[5000];
    static const struct option_row any = {.key = "data_path", .type = OPTION_PATH};
    memset (large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    ck_assert_int_eq (option_read_line (&any, large, ".", &arena, &value, &error),
                      LITEDFS_CONFIG);
    ck_assert_int_eq (option_read_line (&any, "", ".", &arena, &value, &error), 0);
    ck_assert_str_eq (value.text, "");
}
END_TEST

START_TEST (lists_are_split_at_commas_and_print_in_brackets)
{
    static const struct option_row row = {.key = "allow", .type = OPTION_LIST};

    ck_assert_int_eq (read_line (&row, " 10.0.0.0/8 ,\t::1,fd00::/8 "), 0);
    ck_assert_uint_eq (value.list.count, 3);
    ck_assert_str_eq (value.list.items[0], "10.0.0.0/8");
    ck_assert_str_eq (value.list.items[1], "::1");
    ck_assert_str_eq (value.list.items[2], "fd00::/8");
    ck_assert_str_eq (printed (&row), "[10.0.0.0/8, \"::1\", fd00::/8]");
    ck_assert_int_eq (read_line (&row, "  "), 0);
    ck_assert_uint_eq (value.list.count, 0);
    ck_assert_str_eq (printed (&row), "[]");
    check_refused (&row, "a,,b", "'' is an empty text in the list; allowed: a list of texts");
    check_refused (&row, "a,", "'' is an empty text in the list; allowed: a list of texts");
}
END_TEST

START_TEST (lists_have_a_number_of_texts)
{
    static const struct option_row row = {
        .key = "allow", .type = OPTION_LIST, .min = 1, .max = 2};

    ck_assert_int_eq (read_line (&row, "a, b"), 0);
    check_refused (&row, "", "'0 texts' is not the right number; allowed: 1 to 2 texts");
    check_refused (&row, "a,b,c", "'3 texts' is not the right number; allowed: 1 to 2 texts");
}
END_TEST

START_TEST (a_table_may_say_what_is_allowed_in_its_own_words)
{
    static const struct option_row row = {
        .key = "p", .type = OPTION_INT, .max = 65535, .allowed = "0 (choose one) to 65535"};

    check_refused (&row, "-1", "'-1' is out of range; allowed: 0 (choose one) to 65535");
}
END_TEST

START_TEST (long_wrong_values_are_shown_cut_and_escaped)
{
    static const struct option_row row = {.key = "n", .type = OPTION_INT};
    char text[4000];

    memset (text, '\x1b', sizeof text - 1);
    text[sizeof text - 1] = 0;
    ck_assert_int_eq (read_line (&row, text), LITEDFS_CONFIG);
    ck_assert_ptr_nonnull (strstr (error.text, "\\x1b..."));
    ck_assert_uint_lt (strlen (error.text), 200);
}
END_TEST

START_TEST (one_value_is_not_a_list)
{
    static const struct option_row row = {.key = "n", .type = OPTION_INT};
    static const char *const texts[] = {"1", "2"};

    ck_assert_int_eq (option_read (&row, texts, 2, NULL, &arena, &value, &error),
                      LITEDFS_CONFIG);
    ck_assert_int_eq (option_read (&row, texts, 0, NULL, &arena, &value, &error),
                      LITEDFS_CONFIG);
}
END_TEST

START_TEST (a_full_arena_is_an_error_of_memory)
{
    static const struct option_row text_row = {.key = "zone", .type = OPTION_STRING};
    static const struct option_row list_row = {.key = "allow", .type = OPTION_LIST};
    struct arena small = {.limit = 16};

    ck_assert_int_eq (
        option_read_line (&text_row, "longer than sixteen", NULL, &small, &value, &error),
        LITEDFS_MEMORY);
    ck_assert_int_eq (option_read_line (&list_row, "a,b", NULL, &small, &value, &error),
                      LITEDFS_MEMORY);
    arena_free (&small);
}
END_TEST

struct all {
    bool on;
    int64_t number;
    double seconds;
    char *text;
    enum log_level level;
    struct option_list list;
};

START_TEST (every_type_comes_out_of_the_struct_as_it_went_in)
{
    static const struct option_row table[] = {
        {.key = "a", .type = OPTION_BOOL, .offset = offsetof (struct all, on)},
        {.key = "b", .type = OPTION_SIZE, .offset = offsetof (struct all, number)},
        {.key = "c", .type = OPTION_SECONDS, .offset = offsetof (struct all, seconds)},
        {.key = "d", .type = OPTION_STRING, .offset = offsetof (struct all, text)},
        {.key = "e", .type = OPTION_LEVEL, .offset = offsetof (struct all, level)},
        {.key = "f", .type = OPTION_LIST, .offset = offsetof (struct all, list)},
    };
    static const char *const texts[] = {"true", "7", "0.5", "x", "ERROR", "p, q"};
    static const char *const others[] = {"false", "8", "0.6", "y", "INFO", "p, r"};
    struct all all = {0};

    for (size_t i = 0; i < COUNT (table); i++) {
        union option_value other;
        ck_assert_int_eq (read_line (&table[i], texts[i]), 0);
        ck_assert_int_eq (option_read_line (&table[i], others[i], NULL, &arena, &other, &error),
                          0);
        option_put (&table[i], &all, &value);
        union option_value back = option_get (&table[i], &all);
        ck_assert (option_equal (&table[i], &back, &value));
        ck_assert (!option_equal (&table[i], &back, &other));
    }
    ck_assert (all.on);
    ck_assert_int_eq (all.number, 7);
    ck_assert (all.seconds == 0.5);
    ck_assert_str_eq (all.text, "x");
    ck_assert_int_eq (all.level, LOG_LEVEL_ERROR);
    ck_assert_str_eq (all.list.items[1], "q");
}
END_TEST

UNIT_MAIN_FIXTURE (
    "base_option", NULL, teardown, truth_has_six_words, whole_numbers_keep_their_range,
    sizes_take_units_and_print_bytes, large_numbers_are_compared_exactly,
    sizes_print_in_the_largest_unit_that_fits, seconds_print_as_short_as_they_can,
    levels_are_words, texts_are_quoted_when_they_must_be,
    texts_that_could_not_be_printed_are_refused, texts_have_a_length,
    paths_are_seen_from_the_directory, lists_are_split_at_commas_and_print_in_brackets,
    lists_have_a_number_of_texts, a_table_may_say_what_is_allowed_in_its_own_words,
    long_wrong_values_are_shown_cut_and_escaped, one_value_is_not_a_list,
    a_full_arena_is_an_error_of_memory, every_type_comes_out_of_the_struct_as_it_went_in)
