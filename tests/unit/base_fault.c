/* SPDX-License-Identifier: MIT */
/*
 * base/fault: points do what was asked at the passage that was asked, and nothing otherwise.
 */
#ifndef LITEDFS_FAULT
#define LITEDFS_FAULT 1 // the points below are there in any build
#endif

#include "base/fault.h"

#include "base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

START_TEST (points_do_nothing_unless_asked)
{
    unsetenv ("LITEDFS_FAULT");
    ck_assert_int_eq (FAULT_INIT (NULL), 0);
    FAULT ("somewhere");
    ck_assert (!FAULT_ERROR ("somewhere"));
    ck_assert_int_eq (fault_set ("", NULL), 0);
    ck_assert (!FAULT_ERROR ("somewhere"));
}
END_TEST

START_TEST (an_error_comes_at_every_passage_of_its_point_only)
{
    setenv ("LITEDFS_FAULT", "here=error", 1);
    ck_assert_int_eq (FAULT_INIT (NULL), 0);
    ck_assert (FAULT_ERROR ("here"));
    ck_assert (FAULT_ERROR ("here"));
    ck_assert (!FAULT_ERROR ("her"));
    ck_assert (!FAULT_ERROR ("here2"));
}
END_TEST

START_TEST (an_error_can_wait_for_its_passage)
{
    ck_assert_int_eq (fault_set ("a=error:3,b=error:1,a=error:5", NULL), 0);
    static const bool expected[] = {false, false, true, false, true, false};
    for (int i = 0; i < 6; i++)
        ck_assert (FAULT_ERROR ("a") == expected[i]);
    ck_assert (FAULT_ERROR ("b"));
    ck_assert (!FAULT_ERROR ("b"));
}
END_TEST

START_TEST (an_exit_is_at_once_and_writes_nothing)
{
    int fds[2];
    char byte;

    ck_assert_int_eq (pipe (fds), 0);
    ck_assert_int_eq (fault_set ("die=exit:2", NULL), 0);
    pid_t child = fork ();
    ck_assert_int_ge (child, 0);
    if (child == 0) {
        FILE *stream = fdopen (fds[1], "w");
        FAULT ("die");
        fputs ("buffered", stream);
        FAULT ("die");
        _exit (1);
    }
    close (fds[1]);
    int status;
    ck_assert_int_eq (waitpid (child, &status, 0), child);
    ck_assert (WIFEXITED (status));
    ck_assert_int_eq (WEXITSTATUS (status), FAULT_EXIT_STATUS);
    ck_assert_int_eq (read (fds[0], &byte, 1), 0);
}
END_TEST

START_TEST (a_stop_stops_the_process_until_it_is_continued)
{
    ck_assert_int_eq (fault_set ("halt=stop", NULL), 0);
    pid_t child = fork ();
    ck_assert_int_ge (child, 0);
    if (child == 0) {
        FAULT ("halt");
        _exit (5);
    }
    int status;
    ck_assert_int_eq (waitpid (child, &status, WUNTRACED), child);
    ck_assert (WIFSTOPPED (status));
    ck_assert_int_eq (kill (child, SIGCONT), 0);
    ck_assert_int_eq (waitpid (child, &status, 0), child);
    ck_assert_int_eq (WEXITSTATUS (status), 5);
}
END_TEST

START_TEST (a_delay_lasts_as_long_as_asked)
{
    ck_assert_int_eq (fault_set ("slow=delay=30", NULL), 0);
    int64_t before = clock_mono (clock_system ());
    ck_assert (!FAULT_ERROR ("slow"));
    ck_assert_int_ge (clock_mono (clock_system ()) - before, 29);
}
END_TEST

START_TEST (what_cannot_be_read_is_refused_and_sets_nothing)
{
    static const char *const wrong[] = {
        "x",
        "x=",
        "=error",
        "x=errors",
        "x=error:",
        "x=error:0",
        "x=error:-1",
        "x=error:1x",
        "x=delay",
        "x=delay=",
        "x=delay=0",
        "x=delay=600001",
        "x=error,",
        ",x=error",
        "x y=error",
        "x=error:4294967296",
        "a23456789012345678901234567890123456789012345678=error",
    };
    litedfs_error_t error;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq (fault_set ("x=error", NULL), 0);
        ck_assert_msg (fault_set (wrong[i], &error) == LITEDFS_USAGE, "%s", wrong[i]);
        ck_assert_ptr_nonnull (strstr (error.text, wrong[i]));
        ck_assert (!FAULT_ERROR ("x"));
    }
}
END_TEST

START_TEST (there_is_room_for_as_many_as_promised)
{
    char text[FAULT_MAX * 16 + 32] = "";

    for (int i = 0; i < FAULT_MAX; i++)
        sprintf (text + strlen (text), "%sp%d=error", i ? "," : "", i);
    ck_assert_int_eq (fault_set (text, NULL), 0);
    ck_assert (FAULT_ERROR ("p0"));
    ck_assert (FAULT_ERROR ("p31"));
    strcat (text, ",more=error");
    ck_assert_int_eq (fault_set (text, NULL), LITEDFS_USAGE);
}
END_TEST

UNIT_MAIN ("base_fault", points_do_nothing_unless_asked,
           an_error_comes_at_every_passage_of_its_point_only, an_error_can_wait_for_its_passage,
           an_exit_is_at_once_and_writes_nothing,
           a_stop_stops_the_process_until_it_is_continued, a_delay_lasts_as_long_as_asked,
           what_cannot_be_read_is_refused_and_sets_nothing,
           there_is_room_for_as_many_as_promised)
