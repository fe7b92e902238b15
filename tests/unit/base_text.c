/* SPDX-License-Identifier: MIT */
/*
 * base/text: numbers and UTF-8 are read strictly, escapes keep text on its line, near misses
 * are found.
 */
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define COUNT(array) (sizeof (array) / sizeof *(array))

START_TEST (valid_utf8_of_every_length_is_taken)
{
    ck_assert_uint_eq (text_utf8_next ("a", 1), 1);
    ck_assert_uint_eq (text_utf8_next ("\0", 1), 1);
    ck_assert_uint_eq (text_utf8_next ("\xc2\x80", 2), 2);
    ck_assert_uint_eq (text_utf8_next ("\xe0\xa0\x80", 3), 3);
    ck_assert_uint_eq (text_utf8_next ("\xed\x9f\xbf", 3), 3);
    ck_assert_uint_eq (text_utf8_next ("\xef\xbf\xbf", 3), 3);
    ck_assert_uint_eq (text_utf8_next ("\xf0\x90\x80\x80", 4), 4);
    ck_assert_uint_eq (text_utf8_next ("\xf4\x8f\xbf\xbf", 4), 4);
    ck_assert (text_utf8_valid ("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", 15));
    ck_assert (text_utf8_valid (NULL, 0));
}
END_TEST

START_TEST (broken_utf8_is_refused)
{
    static const char *const wrong[] = {
        "\x80",             // a continuation alone
        "\xc3",             // cut off
        "\xe2\x82",         // cut off
        "\xf0\x9f\x98",     // cut off
        "\xc3(",            // no continuation
        "\xe2(\xac",        // no continuation
        "\xc0\xaf",         // overlong '/'
        "\xc1\xbf",         // overlong
        "\xe0\x80\xaf",     // overlong
        "\xe0\x9f\xbf",     // overlong
        "\xf0\x80\x80\xaf", // overlong
        "\xf0\x8f\xbf\xbf", // overlong
        "\xed\xa0\x80",     // surrogate
        "\xed\xbf\xbf",     // surrogate
        "\xf4\x90\x80\x80", // above U+10FFFF
        "\xf5\x80\x80\x80", // never
        "\xff",             // never
    };

    for (size_t i = 0; i < COUNT (wrong); i++) {
        ck_assert_msg (text_utf8_next (wrong[i], strlen (wrong[i])) == 0, "number %zu", i);
        ck_assert_msg (!text_utf8_valid (wrong[i], strlen (wrong[i])), "number %zu", i);
    }
    ck_assert_uint_eq (text_utf8_next ("", 0), 0);
}
END_TEST

static void
check_escape (const char *text, size_t size, const char *expected)
{
    struct buf buf = {0};
    char fixed[128];

    text_put_escaped (&buf, text, size);
    ck_assert_str_eq (buf_text (&buf), expected);
    ck_assert_str_eq (text_escape (text, size, fixed, sizeof fixed), expected);
    buf_free (&buf);
}

START_TEST (control_characters_and_broken_bytes_are_escaped)
{
    check_escape ("plain \\ text", 12, "plain \\ text");
    check_escape ("a\nb\tc\rd", 7, "a\\nb\\tc\\rd");
    check_escape ("\0\x1b[2J\x7f", 6, "\\x00\\x1b[2J\\x7f");
    check_escape ("\xc2\x9b"
                  "31m",
                  5, "\\xc2\\x9b31m");
    check_escape ("gr\xc3\xbc\xc3\x9f\xff\xe2\x82", 9, "gr\xc3\xbc\xc3\x9f\\xff\\xe2\\x82");
    check_escape ("", 0, "");
}
END_TEST

START_TEST (an_escaped_text_that_does_not_fit_is_cut_at_a_character)
{
    char out[12];

    ck_assert_str_eq (text_escape ("0123456789a", 11, out, sizeof out), "0123456789a");
    ck_assert_str_eq (text_escape ("0123456789ab", 12, out, sizeof out), "01234567...");
    ck_assert_str_eq (text_escape ("0123456\xc3\xbc\xc3\xbc\xc3\xbc", 13, out, sizeof out),
                      "0123456...");
    ck_assert_str_eq (text_escape ("012345\n\n\n\n", 10, out, sizeof out), "012345\\n...");
    ck_assert_str_eq (text_escape ("0123456\n\n\n\n", 11, out, sizeof out), "0123456...");
}
END_TEST

START_TEST (the_smallest_rooms_for_an_escaped_text_hold)
{
    char out[5] = "xxxx";

    text_escape ("abc", 3, out, 0);
    ck_assert_int_eq (out[0], 'x');
    ck_assert_str_eq (text_escape ("abc", 3, out, 1), "");
    ck_assert_str_eq (text_escape ("abc", 3, out, 2), ".");
    ck_assert_str_eq (text_escape ("abcd", 4, out, 4), "...");
    ck_assert_str_eq (text_escape ("abc", 3, out, 4), "abc");
}
END_TEST

START_TEST (whole_numbers_are_read_to_their_limits)
{
    int64_t number = 0;

    ck_assert (text_parse_int ("0", 0, 0, &number) && number == 0);
    ck_assert (text_parse_int ("-5", -5, 5, &number) && number == -5);
    ck_assert (text_parse_int ("9223372036854775807", INT64_MIN, INT64_MAX, &number));
    ck_assert (number == INT64_MAX);
    ck_assert (text_parse_int ("-9223372036854775808", INT64_MIN, INT64_MAX, &number));
    ck_assert (number == INT64_MIN);
}
END_TEST

START_TEST (what_is_no_whole_number_is_refused)
{
    static const char *const wrong[] = {
        "",
        "-",
        "+1",
        " 1",
        "1 ",
        "01",
        "-01",
        "00",
        "0x10",
        "1.0",
        "1e3",
        "1_000",
        "--1",
        "a",
        "1a",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999999999",
    };
    int64_t number = 77;

    for (size_t i = 0; i < COUNT (wrong); i++)
        ck_assert_msg (!text_parse_int (wrong[i], INT64_MIN, INT64_MAX, &number), "%s",
                       wrong[i]);
    ck_assert (!text_parse_int ("6", 0, 5, &number));
    ck_assert (!text_parse_int ("-1", 0, 5, &number));
    ck_assert_int_eq (number, 77);
}
END_TEST

START_TEST (sizes_are_read_with_their_units)
{
    static const struct {
        const char *text;
        int64_t expected;
    } cases[] = {
        {"0", 0},
        {"67108864", 67108864},
        {"64M", 67108864},
        {"64m", 67108864},
        {"64MB", 67108864},
        {"64MiB", 67108864},
        {"64 mib", 67108864},
        {"1K", 1024},
        {"1G", (int64_t) 1 << 30},
        {"2T", (int64_t) 2 << 40},
        {"5B", 5},
        {"9223372036854775807", INT64_MAX},
        {"8388607T", (int64_t) 8388607 << 40},
    };

    for (size_t i = 0; i < COUNT (cases); i++) {
        int64_t bytes = -1;
        ck_assert_msg (text_parse_size (cases[i].text, &bytes), "%s", cases[i].text);
        ck_assert_int_eq (bytes, cases[i].expected);
    }
}
END_TEST

START_TEST (what_is_no_size_is_refused)
{
    static const char *const wrong[] = {
        "",
        "-1",
        "M",
        "64X",
        "64Mi",
        "64iB",
        "1.5G",
        "064M",
        "64  M",
        "64M ",
        "64 ",
        " 64M",
        "64MM",
        "64MBB",
        "8388608T",
        "9007199254740992K",
        "9223372036854775808",
    };
    int64_t bytes = 77;

    for (size_t i = 0; i < COUNT (wrong); i++)
        ck_assert_msg (!text_parse_size (wrong[i], &bytes), "%s", wrong[i]);
    ck_assert_int_eq (bytes, 77);
}
END_TEST

START_TEST (seconds_are_read_with_their_fraction)
{
    double seconds = -1;

    ck_assert (text_parse_seconds ("0", &seconds) && seconds == 0);
    ck_assert (text_parse_seconds ("30", &seconds) && seconds == 30);
    ck_assert (text_parse_seconds ("0.5", &seconds) && seconds == 0.5);
    ck_assert (text_parse_seconds ("0.25", &seconds) && seconds == 0.25);
    ck_assert (text_parse_seconds ("1.000000000", &seconds) && seconds == 1);
    ck_assert (text_parse_seconds ("1000000000000", &seconds) && seconds == 1e12);
}
END_TEST

START_TEST (what_is_no_number_of_seconds_is_refused)
{
    static const char *const wrong[] = {
        "",   "-1", "1.", ".5", "1,5",  "1e3",   "nan",          "inf",           "0x1p3",
        "1s", " 1", "1 ", "01", "1..5", "1.5.5", "1.0000000000", "1000000000001",
    };
    double seconds = 77;

    for (size_t i = 0; i < COUNT (wrong); i++)
        ck_assert_msg (!text_parse_seconds (wrong[i], &seconds), "%s", wrong[i]);
    ck_assert (seconds == 77);
}
END_TEST

START_TEST (distances_count_each_kind_of_slip_once)
{
    char long_text[66];

    ck_assert_uint_eq (text_distance ("", ""), 0);
    ck_assert_uint_eq (text_distance ("", "abc"), 3);
    ck_assert_uint_eq (text_distance ("abc", ""), 3);
    ck_assert_uint_eq (text_distance ("http_port", "http_port"), 0);
    ck_assert_uint_eq (text_distance ("HTTP_port", "http_PORT"), 0);
    ck_assert_uint_eq (text_distance ("htp_port", "http_port"), 1);
    ck_assert_uint_eq (text_distance ("htttp_port", "http_port"), 1);
    ck_assert_uint_eq (text_distance ("hxtp_port", "http_port"), 1);
    ck_assert_uint_eq (text_distance ("htpt_port", "http_port"), 1);
    ck_assert_uint_eq (text_distance ("kitten", "sitting"), 3);

    memset (long_text, 'a', 65);
    long_text[65] = 0;
    ck_assert_uint_eq (text_distance (long_text, "a"), SIZE_MAX);
    ck_assert_uint_eq (text_distance ("a", long_text), SIZE_MAX);
    ck_assert_uint_eq (text_distance (long_text + 1, "a"), 63);
}
END_TEST

START_TEST (the_nearest_is_found_only_if_it_is_near)
{
    static const char *const keys[] = {"log_level", NULL, "log_path", "http_port"};

    ck_assert_str_eq (text_nearest ("log_levle", keys, 4), "log_level");
    ck_assert_str_eq (text_nearest ("http-port", keys, 4), "http_port");
    ck_assert_str_eq (text_nearest ("logpath", keys, 4), "log_path");
    ck_assert_ptr_null (text_nearest ("zone", keys, 4));
    ck_assert_ptr_null (text_nearest ("x", keys, 4));
    ck_assert_ptr_null (text_nearest ("", keys, 4));
    ck_assert_ptr_null (text_nearest ("log_level", keys, 0));
}
END_TEST

UNIT_MAIN ("base_text", valid_utf8_of_every_length_is_taken, broken_utf8_is_refused,
           control_characters_and_broken_bytes_are_escaped,
           an_escaped_text_that_does_not_fit_is_cut_at_a_character,
           the_smallest_rooms_for_an_escaped_text_hold, whole_numbers_are_read_to_their_limits,
           what_is_no_whole_number_is_refused, sizes_are_read_with_their_units,
           what_is_no_size_is_refused, seconds_are_read_with_their_fraction,
           what_is_no_number_of_seconds_is_refused, distances_count_each_kind_of_slip_once,
           the_nearest_is_found_only_if_it_is_near)
