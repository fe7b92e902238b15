/* SPDX-License-Identifier: MIT */
/*
 * base/err: the table itself, and texts that are put together, cut and carried on.
 */
#include "base/err.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

#define ERROR(name, number, word, exit_status, http_status, text)                              \
    {number, word, exit_status, http_status, text},
static const struct {
    int number;
    const char *word;
    int exit_status;
    int http_status;
    const char *text;
} table[] = {
#include "base/err.def"
};
#undef ERROR

enum { ROWS = sizeof table / sizeof *table };

START_TEST (each_number_finds_its_own_row)
{
    for (int i = 0; i < ROWS; i++) {
        ck_assert_str_eq (err_word (table[i].number), table[i].word);
        ck_assert_str_eq (err_text (table[i].number), table[i].text);
        ck_assert_int_eq (err_exit_status (table[i].number), table[i].exit_status);
        ck_assert_int_eq (err_http_status (table[i].number), table[i].http_status);
    }
}
END_TEST

START_TEST (each_word_finds_its_own_number)
{
    for (int i = 0; i < ROWS; i++)
        ck_assert_int_eq (err_from_word (table[i].word, strlen (table[i].word)),
                          table[i].number);
}
END_TEST

START_TEST (numbers_and_words_are_unique_and_well_formed)
{
    for (int i = 0; i < ROWS; i++) {
        ck_assert_int_lt (table[i].number, 0);
        ck_assert_int_ne (table[i].exit_status, 0);
        ck_assert_int_ge (table[i].http_status, 400);
        for (const char *at = table[i].word; *at; at++)
            ck_assert (islower ((unsigned char) *at) || *at == '_');
        for (int other = 0; other < i; other++) {
            ck_assert_int_ne (table[i].number, table[other].number);
            ck_assert_str_ne (table[i].word, table[other].word);
        }
    }
}
END_TEST

START_TEST (success_has_exit_status_0_and_http_status_200)
{
    ck_assert_int_eq (err_exit_status (LITEDFS_OK), 0);
    ck_assert_int_eq (err_http_status (LITEDFS_OK), 200);
}
END_TEST

START_TEST (an_unknown_number_counts_as_failed)
{
    ck_assert_str_eq (err_word (-12345), "failed");
    ck_assert_str_eq (err_text (-12345), err_text (LITEDFS_FAILED));
    ck_assert_int_eq (err_exit_status (77), 1);
    ck_assert_int_eq (err_http_status (77), 500);
}
END_TEST

START_TEST (an_unknown_word_counts_as_failed)
{
    static const char nul_inside[] = "io\0x";

    ck_assert_int_eq (err_from_word ("no_such_word", 12), LITEDFS_FAILED);
    ck_assert_int_eq (err_from_word ("", 0), LITEDFS_FAILED);
    ck_assert_int_eq (err_from_word ("not_foun", 8), LITEDFS_FAILED);
    ck_assert_int_eq (err_from_word ("not_found", 8), LITEDFS_FAILED);
    ck_assert_int_eq (err_from_word (nul_inside, 4), LITEDFS_FAILED);
}
END_TEST

START_TEST (a_word_ends_where_its_size_says)
{
    ck_assert_int_eq (err_from_word ("not_found!", 9), LITEDFS_NOT_FOUND);
}
END_TEST

START_TEST (set_fills_number_and_text_and_returns_the_number)
{
    litedfs_error_t error;

    ck_assert_int_eq (err_set (&error, LITEDFS_EXISTS, "directory[%s]: %d", "/a", 7),
                      LITEDFS_EXISTS);
    ck_assert_int_eq (error.number, LITEDFS_EXISTS);
    ck_assert_str_eq (error.text, "directory[/a]: 7");
}
END_TEST

START_TEST (nobody_needs_to_want_the_text)
{
    ck_assert_int_eq (err_set (NULL, LITEDFS_BUSY, "%s", "x"), LITEDFS_BUSY);
    ck_assert_int_eq (err_set_errno (NULL, LITEDFS_IO, EIO, "%s", "x"), LITEDFS_IO);
    ck_assert_int_eq (err_set_errno (NULL, LITEDFS_IO, ENOSPC, "%s", "x"), LITEDFS_NO_SPACE);
    ck_assert_int_eq (err_prefix (NULL, "%s", "x"), LITEDFS_FAILED);
}
END_TEST

START_TEST (system_errors_are_named_after_the_text)
{
    litedfs_error_t error;
    char expected[256];

    ck_assert_int_eq (err_set_errno (&error, LITEDFS_IO, EACCES, "open[%s]", "/x"), LITEDFS_IO);
    snprintf (expected, sizeof expected, "open[/x]: %s", strerror (EACCES));
    ck_assert_str_eq (error.text, expected);
    ck_assert_int_eq (error.number, LITEDFS_IO);
}
END_TEST

START_TEST (full_disks_and_memory_have_numbers_of_their_own)
{
    litedfs_error_t error;

    ck_assert_int_eq (err_set_errno (&error, LITEDFS_IO, ENOSPC, "w"), LITEDFS_NO_SPACE);
    ck_assert_int_eq (error.number, LITEDFS_NO_SPACE);
    ck_assert_int_eq (err_set_errno (&error, LITEDFS_IO, EDQUOT, "w"), LITEDFS_NO_SPACE);
    ck_assert_int_eq (err_set_errno (&error, LITEDFS_IO, ENOMEM, "w"), LITEDFS_MEMORY);
    ck_assert_int_eq (error.number, LITEDFS_MEMORY);
}
END_TEST

START_TEST (a_prefix_goes_before_the_text_and_keeps_the_number)
{
    litedfs_error_t error;

    err_set (&error, LITEDFS_LOCKED, "by another");
    ck_assert_int_eq (err_prefix (&error, "file[%s]", "/a"), LITEDFS_LOCKED);
    ck_assert_int_eq (error.number, LITEDFS_LOCKED);
    ck_assert_str_eq (error.text, "file[/a]: by another");
}
END_TEST

START_TEST (texts_that_are_too_long_are_cut_and_ended)
{
    litedfs_error_t error;
    char text[2 * sizeof error.text];

    memset (text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';

    err_set (&error, LITEDFS_IO, "%s", text);
    ck_assert_uint_eq (strlen (error.text), sizeof error.text - 1);
    err_prefix (&error, "front");
    ck_assert_uint_eq (strlen (error.text), sizeof error.text - 1);
    ck_assert_int_eq (strncmp (error.text, "front: xxx", 10), 0);
    err_prefix (&error, "%s", text);
    ck_assert_uint_eq (strlen (error.text), sizeof error.text - 1);
    err_set_errno (&error, LITEDFS_IO, EIO, "%s", text);
    ck_assert_uint_eq (strlen (error.text), sizeof error.text - 1);
    ck_assert_int_eq (error.text[sizeof error.text - 2], 'x');
}
END_TEST

UNIT_MAIN ("base_err", each_number_finds_its_own_row, each_word_finds_its_own_number,
           numbers_and_words_are_unique_and_well_formed,
           success_has_exit_status_0_and_http_status_200, an_unknown_number_counts_as_failed,
           an_unknown_word_counts_as_failed, a_word_ends_where_its_size_says,
           set_fills_number_and_text_and_returns_the_number, nobody_needs_to_want_the_text,
           system_errors_are_named_after_the_text,
           full_disks_and_memory_have_numbers_of_their_own,
           a_prefix_goes_before_the_text_and_keeps_the_number,
           texts_that_are_too_long_are_cut_and_ended)
