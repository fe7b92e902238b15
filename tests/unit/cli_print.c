/* SPDX-License-Identifier: MIT */
/*
 * cli/print: tables, sentences and JSON come out byte for byte as users know them.
 */
#include "cli/print.h"

#include <locale.h>
#include <string.h>

#include "unit.h"

static char *printed;
static size_t printed_size;
static FILE *out;

static void
setup (void)
{
    ck_assert_ptr_nonnull (setlocale (LC_CTYPE, "C.UTF-8"));
    out = open_memstream (&printed, &printed_size);
    ck_assert_ptr_nonnull (out);
}

static void
teardown (void)
{
    fclose (out);
    free (printed);
}

static void
check_printed (const char *expected)
{
    ck_assert_int_eq (fflush (out), 0);
    ck_assert_uint_eq (printed_size, strlen (expected));
    ck_assert_mem_eq (printed, expected, printed_size);
    rewind (out);
}

/* ---- tables --------------------------------------------------------------------------------------- */

static const char *const list_names[] = {"id", "type", "size", "name", NULL};

// arg: rows of four texts each.
static void
text_cell (const void *arg, size_t row, size_t column, struct buf *cell)
{
    const char *const *texts = arg;
    buf_printf (cell, "%s", texts[4 * row + column]);
}

static void
print_list (const char *const *texts, size_t rows, uint64_t first, uint64_t width)
{
    const struct print_table table = {
        .names = list_names, .first = first, .rows = rows, .cell = text_cell, .arg = texts};
    ck_assert_int_eq (print_table (&table, width, out, NULL), 0);
}

START_TEST (an_empty_list_is_its_header)
{
    print_list (NULL, 0, 1, 0);
    check_printed ("# | id | type | size | name\n");
}
END_TEST

START_TEST (columns_are_padded_to_their_widest_cell)
{
    const char *const texts[] = {"", "directory", "0", "test"};
    print_list (texts, 1, 1, 0);
    check_printed ("# | id | type      | size | name\n"
                   "1 |    | directory | 0    | test\n");
}
END_TEST

START_TEST (the_last_column_is_padded_too)
{
    const char *const texts[] = {"878b17d4-cc11-4bba-88b0-2186b77ef552", "file", "110237727",
                                 "test.tar.gz"};
    print_list (texts, 1, 1, 0);
    check_printed (
        "# | id                                   | type | size      | name       \n"
        "1 | 878b17d4-cc11-4bba-88b0-2186b77ef552 | file | 110237727 | test.tar.gz\n");
}
END_TEST

START_TEST (each_row_is_padded_like_the_header)
{
    const char *const texts[] = {"", "directory", "0", "test", "", "directory", "0", "test2"};
    print_list (texts, 2, 1, 0);
    check_printed ("# | id | type      | size | name \n"
                   "1 |    | directory | 0    | test \n"
                   "2 |    | directory | 0    | test2\n");
}
END_TEST

START_TEST (rows_are_counted_from_where_they_start)
{
    const char *const texts[] = {"", "file", "1", "i", "", "file", "1", "j"};
    print_list (texts, 2, 9, 0);
    check_printed ("#  | id | type | size | name\n"
                   "9  |    | file | 1    | i   \n"
                   "10 |    | file | 1    | j   \n");
}
END_TEST

START_TEST (a_width_cuts_every_column_the_names_too)
{
    const char *const texts[] = {"878b17d4", "file", "110237727", "test.tar.gz"};
    print_list (texts, 1, 100, 3);
    check_printed ("#   | id  | typ | siz | nam\n"
                   "100 | 878 | fil | 110 | tes\n");
    print_list (texts, 1, 1, 1);
    check_printed ("# | i | t | s | n\n"
                   "1 | 8 | f | 1 | t\n");
}
END_TEST

START_TEST (widths_are_cells_and_not_bytes)
{
    const char *const texts[] = {
        "", "file", "1", "\xe6\x97\xa5\xe6\x9c\xac",        // two wide ones
        "", "file", "1", "gr\xc3\xbc\xc3\x9f",              // two bytes each
        "", "file", "1", "e\xcc\x81t\xc3\xa9\xe2\x82\xac"}; // one combines
    print_list (texts, 3, 1, 0);
    check_printed ("# | id | type | size | name\n"
                   "1 |    | file | 1    | \xe6\x97\xa5\xe6\x9c\xac\n"
                   "2 |    | file | 1    | gr\xc3\xbc\xc3\x9f\n"
                   "3 |    | file | 1    | e\xcc\x81t\xc3\xa9\xe2\x82\xac\n");
}
END_TEST

START_TEST (a_wide_character_is_not_cut_in_two)
{
    const char *const texts[] = {"", "file", "1", "\xe6\x97\xa5\xe6\x9c\xac"};
    print_list (texts, 1, 1, 3);
    check_printed ("# | id | typ | siz | nam\n"
                   "1 |    | fil | 1   | \xe6\x97\xa5 \n");
}
END_TEST

START_TEST (control_characters_are_shown_and_measured_as_shown)
{
    const char *const texts[] = {"", "file", "1", "a\nb\x1b[31m\x7f", "", "file", "1", "\xff"};
    print_list (texts, 2, 1, 0);
    check_printed ("# | id | type | size | name            \n"
                   "1 |    | file | 1    | a\\nb\\x1b[31m\\x7f\n"
                   "2 |    | file | 1    | \\xff            \n");
}
END_TEST

START_TEST (cells_are_those_of_a_terminal)
{
    ck_assert_uint_eq (print_cells ("", 0), 0);
    ck_assert_uint_eq (print_cells ("test", 4), 4);
    ck_assert_uint_eq (print_cells ("\xe6\x97\xa5", 3), 2);
    ck_assert_uint_eq (print_cells ("\xf0\x9f\x98\x80", 4), 2);
    ck_assert_uint_eq (print_cells ("e\xcc\x81", 3), 1);
}
END_TEST

/* ---- sentences ------------------------------------------------------------------------------------ */

START_TEST (sentences_are_those_of_the_manual)
{
    print_success (out, "create directory", "/test", NULL);
    check_printed ("create directory[/test] success\n");
    print_success (out, "move file", "/test/test.tar.gz", "/test2");
    check_printed ("move file[/test/test.tar.gz] to /test2 success\n");
    print_success (out, "download file", "/test/test.tar.gz => ./test.tar.gz", NULL);
    check_printed ("download file[/test/test.tar.gz => ./test.tar.gz] success\n");
}
END_TEST

START_TEST (a_sentence_stays_on_its_line)
{
    print_success (out, "rename file", "/a\nb", "c\rd");
    check_printed ("rename file[/a\\nb] to c\\rd success\n");
}
END_TEST

START_TEST (fields_begin_in_one_column)
{
    print_field (out, "id", "%d", 7);
    print_field (out, "current_replica", "%s", "a\nb");
    check_printed ("id:              7\n"
                   "current_replica: a\\nb\n");
}
END_TEST

/* ---- JSON ----------------------------------------------------------------------------------------- */

START_TEST (json_is_one_document_in_the_order_of_its_keys)
{
    ck_assert_int_eq (print_json (json_pack ("{siss}", "z", 1, "a", "\n"), out, NULL), 0);
    check_printed ("{\n  \"z\": 1,\n  \"a\": \"\\n\"\n}\n");
}
END_TEST

START_TEST (a_document_that_could_not_be_made_is_an_error)
{
    litedfs_error_t error;
    ck_assert_int_eq (print_json (NULL, out, &error), LITEDFS_MEMORY);
    check_printed ("");
}
END_TEST

START_TEST (json_text_is_utf8_whatever_comes)
{
    json_t *valid = print_json_text ("gr\xc3\xbc\xc3\x9f\n");
    json_t *broken = print_json_text ("a\xff");
    ck_assert_str_eq (json_string_value (valid), "gr\xc3\xbc\xc3\x9f\n");
    ck_assert_str_eq (json_string_value (broken), "a\\xff");
    json_decref (valid);
    json_decref (broken);
}
END_TEST

START_TEST (json_numbers_are_exact_up_to_the_largest_size)
{
    json_t *number = print_json_number (INT64_MAX);
    ck_assert_int_eq (json_integer_value (number), INT64_MAX);
    json_decref (number);
    number = print_json_number (UINT64_MAX);
    ck_assert_int_eq (json_integer_value (number), INT64_MAX);
    json_decref (number);
}
END_TEST

START_TEST (times_are_utc_with_milliseconds)
{
    char text[PRINT_TIME_SIZE];
    ck_assert_str_eq (print_time (0, text), "1970-01-01T00:00:00.000Z");
    ck_assert_str_eq (print_time (1714566896789, text), "2024-05-01T12:34:56.789Z");
    ck_assert_str_eq (print_time (UINT64_MAX, text), "?");
}
END_TEST

UNIT_MAIN_FIXTURE ("cli_print", setup, teardown, an_empty_list_is_its_header,
                   columns_are_padded_to_their_widest_cell, the_last_column_is_padded_too,
                   each_row_is_padded_like_the_header, rows_are_counted_from_where_they_start,
                   a_width_cuts_every_column_the_names_too, widths_are_cells_and_not_bytes,
                   a_wide_character_is_not_cut_in_two,
                   control_characters_are_shown_and_measured_as_shown,
                   cells_are_those_of_a_terminal, sentences_are_those_of_the_manual,
                   a_sentence_stays_on_its_line, fields_begin_in_one_column,
                   json_is_one_document_in_the_order_of_its_keys,
                   a_document_that_could_not_be_made_is_an_error,
                   json_text_is_utf8_whatever_comes,
                   json_numbers_are_exact_up_to_the_largest_size,
                   times_are_utc_with_milliseconds)
