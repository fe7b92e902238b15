/* SPDX-License-Identifier: MIT */
/*
 * base/process: what every main begins with holds in every thread, and signals arrive where
 * they are awaited.
 */
#include "base/process.h"

#include "base/clock.h"
#include "base/context.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>
#include <zmq.h>

#include "unit.h"

START_TEST (the_signals_of_a_daemon_are_blocked_and_sigpipe_is_ignored)
{
    sigset_t blocked;
    struct sigaction action;

    ck_assert_int_eq (process_init (2, NULL), 0);
    ck_assert_int_eq (pthread_sigmask (SIG_BLOCK, NULL, &blocked), 0);
    ck_assert_int_eq (sigismember (&blocked, SIGINT), 1);
    ck_assert_int_eq (sigismember (&blocked, SIGTERM), 1);
    ck_assert_int_eq (sigismember (&blocked, SIGHUP), 1);
    ck_assert_int_eq (sigismember (&blocked, SIGUSR1), 1);
    ck_assert_int_eq (sigismember (&blocked, SIGCHLD), 0);
    ck_assert_int_eq (sigaction (SIGPIPE, NULL, &action), 0);
    ck_assert (action.sa_handler == SIG_IGN);
    process_end ();
}
END_TEST

START_TEST (open_files_are_raised_as_far_as_allowed)
{
    struct rlimit limit;

    ck_assert_int_eq (getrlimit (RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 256 ? limit.rlim_max : 256;
    ck_assert_int_eq (setrlimit (RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq (process_init (1, NULL), 0);
    ck_assert_int_eq (getrlimit (RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_eq (limit.rlim_cur, limit.rlim_max);
    process_end ();
}
END_TEST

START_TEST (a_library_that_joins_leaves_the_signals_of_its_host_alone)
{
    struct sigaction before;
    struct sigaction after;
    sigset_t blocked;

    ck_assert_int_eq (sigaction (SIGINT, NULL, &before), 0);
    ck_assert_int_eq (process_join (NULL), 0);
    ck_assert_int_eq (process_join (NULL), 0);
    void *socket = zmq_socket (context_get (), ZMQ_DEALER);
    ck_assert_ptr_nonnull (socket);
    ck_assert_int_eq (sigaction (SIGINT, NULL, &after), 0);
    ck_assert (before.sa_handler == after.sa_handler);
    ck_assert_int_eq (pthread_sigmask (SIG_BLOCK, NULL, &blocked), 0);
    ck_assert_int_eq (sigismember (&blocked, SIGINT), 0);
    ck_assert_int_eq (zmq_close (socket), 0);
    process_end ();
}
END_TEST

START_TEST (io_threads_have_a_range)
{
    litedfs_error_t error;

    ck_assert_int_eq (process_init (0, &error), LITEDFS_FAILED);
    ck_assert_str_eq (error.text, "io_threads[0]: 1 to 16 are allowed");
    ck_assert_int_eq (process_init (17, NULL), LITEDFS_FAILED);
    ck_assert_int_eq (process_init (16, NULL), 0);
    process_end ();
}
END_TEST

START_TEST (a_signal_is_waited_for_and_read_once)
{
    ck_assert_int_eq (process_init (1, NULL), 0);
    ck_assert_int_eq (process_wait_signal (0), 0);
    kill (getpid (), SIGHUP);
    ck_assert_int_eq (process_wait_signal (-1), SIGHUP);
    kill (getpid (), SIGTERM);
    ck_assert_int_eq (process_wait_signal (10000), SIGTERM);
    ck_assert_int_eq (process_wait_signal (0), 0);
    process_end ();
}
END_TEST

START_TEST (waiting_ends_when_the_time_is_over)
{
    ck_assert_int_eq (process_init (1, NULL), 0);
    int64_t before = clock_mono (clock_system ());
    ck_assert_int_eq (process_wait_signal (50), 0);
    ck_assert_int_ge (clock_mono (clock_system ()) - before, 49);
    process_end ();
}
END_TEST

static void
on_alarm (int number)
{
    (void) number;
}

START_TEST (another_signal_does_not_shorten_the_wait)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval timer = {{0, 10000}, {0, 10000}};

    ck_assert_int_eq (process_init (1, NULL), 0);
    ck_assert_int_eq (sigaction (SIGALRM, &action, NULL), 0);
    int64_t before = clock_mono (clock_system ());
    ck_assert_int_eq (setitimer (ITIMER_REAL, &timer, NULL), 0);
    ck_assert_int_eq (process_wait_signal (100), 0);
    timer = (struct itimerval){{0, 0}, {0, 0}};
    ck_assert_int_eq (setitimer (ITIMER_REAL, &timer, NULL), 0);
    ck_assert_int_ge (clock_mono (clock_system ()) - before, 99);
    process_end ();
}
END_TEST

START_TEST (a_signal_wakes_who_polls_its_descriptor)
{
    int fd = -1;

    ck_assert_int_eq (process_init (1, NULL), 0);
    ck_assert_int_eq (process_signal_fd (&fd, NULL), 0);
    struct pollfd item = {fd, POLLIN, 0};
    ck_assert_int_eq (poll (&item, 1, 0), 0);
    kill (getpid (), SIGUSR1);
    ck_assert_int_eq (poll (&item, 1, 10000), 1);
    ck_assert_int_eq (process_wait_signal (0), SIGUSR1);
    ck_assert_int_eq (poll (&item, 1, 0), 0);
    close (fd);
    process_end ();
}
END_TEST

START_TEST (what_it_uses_is_told)
{
    struct process_usage before, after;
    int fds[2];

    process_usage (&before);
    ck_assert_int_eq (pipe (fds), 0);
    process_usage (&after);
    ck_assert_uint_eq (after.open_fds, before.open_fds + 2);
    ck_assert_uint_ge (before.open_fds, 3);
    ck_assert_uint_ge (before.max_fds, before.open_fds);
    ck_assert_uint_ge (before.resident_bytes, 1 << 16);
    ck_assert_uint_ge (after.cpu_us, before.cpu_us);
    close (fds[0]);
    close (fds[1]);
}
END_TEST

UNIT_MAIN ("base_process", what_it_uses_is_told,
           the_signals_of_a_daemon_are_blocked_and_sigpipe_is_ignored,
           open_files_are_raised_as_far_as_allowed,
           a_library_that_joins_leaves_the_signals_of_its_host_alone, io_threads_have_a_range,
           a_signal_is_waited_for_and_read_once, waiting_ends_when_the_time_is_over,
           another_signal_does_not_shorten_the_wait, a_signal_wakes_who_polls_its_descriptor)
