/* SPDX-License-Identifier: MIT */
/*
 * cli/progress: the bar says what is true, fits, comes after a second and leaves a clean line.
 */
#include "cli/progress.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#define MIB ((uint64_t) 1 << 20)

/* ---- text --------------------------------------------------------------------------------------- */

static struct buf text;

static const char *
formatted (size_t columns, uint64_t done, uint64_t total, double rate, int64_t elapsed_ms)
{
    buf_clear (&text);
    progress_format (&text, columns, NULL, done, total, rate, elapsed_ms);
    ck_assert_uint_le (text.size, columns);
    return buf_text (&text);
}

START_TEST (a_bar_tells_part_bytes_rate_and_time_left)
{
    ck_assert_str_eq (
        formatted (79, 50 * MIB, 100 * MIB, (double) (10 * MIB), 5000),
        " 50% [=============>             ] 50.0 MiB of 100.0 MiB, 10.0 MiB/s, 0:05 left");
}
END_TEST

START_TEST (a_bar_counts_other_things_than_bytes)
{
    buf_clear (&text);
    progress_format (&text, 79, "files", 2000, 4000, 100, 5000);
    ck_assert_str_eq (
        buf_text (&text),
        " 50% [==============>              ] 2000 of 4000 files, 100 files/s, 0:20 left");
}
END_TEST

START_TEST (a_bar_is_full_at_the_end)
{
    const char *line = formatted (79, 100 * MIB, 100 * MIB, (double) (10 * MIB), 5000);
    ck_assert_str_eq (
        line,
        "100% [==========================] 100.0 MiB of 100.0 MiB, 10.0 MiB/s, 0:00 left");
}
END_TEST

START_TEST (a_narrow_terminal_has_no_bar_and_then_less_text)
{
    ck_assert_str_eq (formatted (50, 50 * MIB, 100 * MIB, (double) (10 * MIB), 5000),
                      " 50% 50.0 MiB of 100.0 MiB, 10.0 MiB/s, 0:05 left");
    ck_assert_str_eq (formatted (19, 50 * MIB, 100 * MIB, (double) (10 * MIB), 5000),
                      " 50% 50.0 MiB of 10");
}
END_TEST

START_TEST (without_a_total_there_is_the_time_so_far)
{
    ck_assert_str_eq (formatted (79, 5 * MIB, UINT64_MAX, (double) MIB, 65000),
                      "5.0 MiB, 1.0 MiB/s, 1:05");
}
END_TEST

START_TEST (a_stalled_transfer_names_no_time)
{
    ck_assert_str_eq (formatted (40, 5, 10, 0, 65000), " 50% 5 B of 10 B, 0 B/s, -:-- left");
}
END_TEST

START_TEST (long_times_have_hours)
{
    ck_assert_str_eq (formatted (50, 0, 7325, 1, 1000),
                      "  0% 0 B of 7.2 KiB, 1 B/s, 2:02:05 left");
}
END_TEST

START_TEST (no_numbers_break_it)
{
    formatted (79, UINT64_MAX, UINT64_MAX, 1e300, INT64_MAX);
    formatted (79, UINT64_MAX - 1, UINT64_MAX - 1, 1e-300, 0);
    formatted (79, 0, UINT64_MAX - 1, 1e-300, 0);
    ck_assert_str_eq (formatted (40, 0, 0, 0, 0), "100% 0 B of 0 B, 0 B/s, -:-- left");
    formatted (79, 20, 10, 1, 1); // more than there is
}
END_TEST

/* ---- on a terminal ------------------------------------------------------------------------------ */

static int pipe_fds[2];
static struct fake_clock now;
static struct progress progress;

static void
setup (void)
{
    ck_assert_int_eq (pipe2 (pipe_fds, O_NONBLOCK), 0);
    fake_clock_init (&now, 5000, 0);
    progress_start (&progress, pipe_fds[1], 60, &now.clock);
}

static void
teardown (void)
{
    close (pipe_fds[0]);
    close (pipe_fds[1]);
    buf_free (&text);
}

// What was drawn since the last call.
static const char *
drawn (void)
{
    char bytes[4096];
    ssize_t size = read (pipe_fds[0], bytes, sizeof bytes);
    buf_clear (&text);
    buf_put (&text, bytes, size > 0 ? (size_t) size : 0);
    return buf_text (&text);
}

START_TEST (a_transfer_under_a_second_has_no_bar)
{
    fake_clock_advance (&now, 999);
    progress_update (&progress, 1, 2);
    progress_end (&progress);
    ck_assert_str_eq (drawn (), "");
}
END_TEST

START_TEST (after_a_second_there_is_one_and_at_the_end_a_clean_line)
{
    fake_clock_advance (&now, 1000);
    progress_update (&progress, 1000, 2000);
    const char *line = drawn ();
    ck_assert_int_eq (line[0], '\r');
    ck_assert_ptr_nonnull (strstr (line, " 50% "));
    ck_assert_ptr_nonnull (strstr (line, "0:01 left"));
    size_t cells = strlen (line) - 1;
    ck_assert_uint_lt (cells, 60);

    progress_end (&progress);
    line = drawn ();
    ck_assert_uint_eq (strlen (line), cells + 2);
    ck_assert_int_eq (line[0], '\r');
    ck_assert_uint_eq (strspn (line + 1, " "), cells);
    ck_assert_int_eq (line[cells + 1], '\r');
    progress_update (&progress, 2000, 2000);
    progress_end (&progress);
    ck_assert_str_eq (drawn (), "");
}
END_TEST

START_TEST (it_is_not_drawn_more_often_than_it_is_seen)
{
    fake_clock_advance (&now, 1000);
    progress_update (&progress, 1000, 9000);
    drawn ();
    fake_clock_advance (&now, 99);
    progress_update (&progress, 2000, 9000);
    ck_assert_str_eq (drawn (), "");
    fake_clock_advance (&now, 1);
    progress_update (&progress, 2000, 9000);
    ck_assert_str_ne (drawn (), "");
}
END_TEST

START_TEST (a_shorter_line_wipes_out_a_longer_one)
{
    fake_clock_advance (&now, 1000);
    progress_update (&progress, 1, UINT64_MAX);
    size_t longer = strlen (drawn ());
    fake_clock_advance (&now, 200000);
    progress_update (&progress, 2, UINT64_MAX);
    ck_assert_uint_ge (strlen (drawn ()), longer);
}
END_TEST

START_TEST (the_rate_follows_what_happens_now)
{
    for (int i = 0; i < 100; i++) {
        fake_clock_advance (&now, 1000);
        progress_update (&progress, (uint64_t) (i + 1) * 1000, 1000000);
        drawn ();
    }
    ck_assert (progress.rate > 999 && progress.rate < 1001);
    for (int i = 0; i < 30; i++) {
        fake_clock_advance (&now, 1000);
        progress_update (&progress, 100000, 1000000);
        drawn ();
    }
    ck_assert (progress.rate < 1);
}
END_TEST

START_TEST (what_is_no_terminal_gets_nothing)
{
    ck_assert_uint_eq (progress_columns (pipe_fds[1]), 0);
    progress_start (&progress, pipe_fds[1], 0, &now.clock);
    fake_clock_advance (&now, 10000);
    progress_update (&progress, 1, 2);
    progress_end (&progress);
    ck_assert_str_eq (drawn (), "");
}
END_TEST

START_TEST (a_terminal_that_is_gone_ends_no_transfer)
{
    progress_start (&progress, -1, 60, &now.clock);
    fake_clock_advance (&now, 10000);
    progress_update (&progress, 1, 2);
    progress_end (&progress);
    ck_assert_uint_eq (progress.columns, 0);
}
END_TEST

UNIT_MAIN_FIXTURE ("cli_progress", setup, teardown, a_bar_tells_part_bytes_rate_and_time_left,
                   a_bar_counts_other_things_than_bytes, a_bar_is_full_at_the_end,
                   a_narrow_terminal_has_no_bar_and_then_less_text,
                   without_a_total_there_is_the_time_so_far, a_stalled_transfer_names_no_time,
                   long_times_have_hours, no_numbers_break_it,
                   a_transfer_under_a_second_has_no_bar,
                   after_a_second_there_is_one_and_at_the_end_a_clean_line,
                   it_is_not_drawn_more_often_than_it_is_seen,
                   a_shorter_line_wipes_out_a_longer_one, the_rate_follows_what_happens_now,
                   what_is_no_terminal_gets_nothing, a_terminal_that_is_gone_ends_no_transfer)
