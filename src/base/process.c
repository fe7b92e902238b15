/* SPDX-License-Identifier: MIT */
/*
 * What a process needs before its first thread and after its last.
 *
 * The order matters: signals are blocked before libzmq starts its threads, which inherit that.
 */
#include "base/process.h"

#include "base/clock.h"
#include "base/context.h"
#include "base/err.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define IO_THREADS_MAX 16

// Chunks of 1 MiB come from the heap and go back to it; with the threshold below them each
// costs an mmap and 256 page faults.
#define MMAP_THRESHOLD (8 << 20)

// The same happens at the heap's end: with malloc's 128 KiB nearly each chunk that is freed there is
// given back, and costs 256 page faults when it is taken again.
#define TRIM_THRESHOLD (32 << 20)

// Each arena keeps what it once had; a Raspberry Pi has 4 cores and little memory.
#define MALLOC_ARENAS 2

static void
signal_set (sigset_t *out)
{
    sigemptyset (out);
    sigaddset (out, SIGINT);
    sigaddset (out, SIGTERM);
    sigaddset (out, SIGHUP);
    sigaddset (out, SIGUSR1);
}

static int
raise_file_limit (litedfs_error_t *error)
{
    struct rlimit limit;
    if (getrlimit (RLIMIT_NOFILE, &limit) < 0)
        return err_set_errno (error, LITEDFS_FAILED, errno, "limit of open files");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit (RLIMIT_NOFILE, &limit) < 0)
        return err_set_errno (error, LITEDFS_FAILED, errno, "limit of open files");
    return 0;
}

static int
prepare_signals (litedfs_error_t *error)
{
    sigset_t set;
    signal_set (&set);
    int errnum = pthread_sigmask (SIG_BLOCK, &set, NULL);
    if (errnum)
        return err_set_errno (error, LITEDFS_FAILED, errnum, "block signals");

    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (sigaction (SIGPIPE, &ignore, NULL) < 0)
        return err_set_errno (error, LITEDFS_FAILED, errno, "ignore SIGPIPE");
    return 0;
}

int
process_prepare (int io_threads, litedfs_error_t *error)
{
    if (io_threads < 1 || io_threads > IO_THREADS_MAX)
        return err_set (error, LITEDFS_FAILED, "io_threads[%d]: 1 to %d are allowed",
                        io_threads, IO_THREADS_MAX);

    mallopt (M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    mallopt (M_TRIM_THRESHOLD, TRIM_THRESHOLD);
    mallopt (M_ARENA_MAX, MALLOC_ARENAS);

    int rc = raise_file_limit (error);
    return rc < 0 ? rc : prepare_signals (error);
}

int
process_init (int io_threads, litedfs_error_t *error)
{
    int rc = process_prepare (io_threads, error);
    return rc < 0 ? rc : context_start (io_threads, error);
}

int
process_join (litedfs_error_t *error)
{
    return context_start (1, error);
}

int
process_wait_signal (int timeout_ms)
{
    sigset_t set;
    signal_set (&set);
    int64_t end_ms = clock_mono (clock_system ()) + timeout_ms;
    int64_t left_ms = timeout_ms;

    for (;;) {
        struct timespec left = {(time_t) (left_ms / 1000), (long) (left_ms % 1000) * 1000000};
        int number = sigtimedwait (&set, NULL, timeout_ms < 0 ? NULL : &left);
        if (number > 0)
            return number;
        if (errno != EINTR)
            return 0;
        // Stopped and continued, for example.
        left_ms = end_ms - clock_mono (clock_system ());
        if (left_ms < 0)
            left_ms = 0;
    }
}

int
process_signal_fd (int *out_fd, litedfs_error_t *error)
{
    sigset_t set;
    signal_set (&set);
    int fd = signalfd (-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_set_errno (error, LITEDFS_FAILED, errno, "descriptor for signals");
    *out_fd = fd;
    return 0;
}

/* ---- what it uses ------------------------------------------------------------------------------- */

static uint64_t
resident_bytes (void)
{
    FILE *file = fopen ("/proc/self/statm", "re");
    uint64_t pages = 0;

    if (!file)
        return 0;
    if (fscanf (file, "%*u %" SCNu64, &pages) != 1)
        pages = 0;
    fclose (file);
    return pages * (uint64_t) sysconf (_SC_PAGESIZE);
}

static uint64_t
open_fds (void)
{
    DIR *dir = opendir ("/proc/self/fd");
    uint64_t count = 0;

    if (!dir)
        return 0;
    for (const struct dirent *entry; (entry = readdir (dir));)
        count += entry->d_name[0] != '.';
    closedir (dir);
    return count > 0 ? count - 1 : 0; // one was ours
}

static uint64_t
time_us (struct timeval time)
{
    return (uint64_t) time.tv_sec * 1000000 + (uint64_t) time.tv_usec;
}

void
process_usage (struct process_usage *out)
{
    struct rusage usage = {0};
    struct rlimit limit = {0};

    getrusage (RUSAGE_SELF, &usage);
    getrlimit (RLIMIT_NOFILE, &limit);
    *out = (struct process_usage){
        .cpu_us = time_us (usage.ru_utime) + time_us (usage.ru_stime),
        .resident_bytes = resident_bytes (),
        .open_fds = open_fds (),
        .max_fds = limit.rlim_cur,
    };
}

void
process_end (void)
{
    context_end ();
}
