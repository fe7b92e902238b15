/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_PROCESS_H
#define LITEDFS_BASE_PROCESS_H

/*
 * The first and the last lines of every main: limits, signals, memory, ZeroMQ.
 *
 * SIGINT, SIGTERM, SIGHUP and SIGUSR1 are blocked in all threads and read by main with
 * process_wait_signal or, together with other things, through process_signal_fd.
 */

#include "litedfs.h"

#include <stdint.h>

/* The most ZeroMQ sockets a process may have; CZMQ aborts above it. */
#define PROCESS_MAX_SOCKETS 8192

/* Prepare the process, before it starts a thread: raise the limit of open files as far as is
 * allowed, block the signals above, ignore SIGPIPE, keep malloc small, and start ZeroMQ (context.h)
 * with io_threads threads (1 to 16).  LITEDFS_FAILED with the reason. */
int process_init (int io_threads, litedfs_error_t *error);

/* The same for a program with actors (actor.h): ZeroMQ's context is CZMQ's, without its signal
 * handlers.  The ZSYS_ variables of the environment are removed: they would change socket options
 * behind our back. */
int process_init_czmq (int io_threads, litedfs_error_t *error);

/* What both do before they start ZeroMQ. */
int process_prepare (int io_threads, litedfs_error_t *error);

/* What a library does instead, in a process that is somebody else's: start ZeroMQ, and change nothing
 * besides.  May be called again, by any thread, and after process_init.  LITEDFS_FAILED with the
 * reason. */
int process_join (litedfs_error_t *error);

/* Wait for one of the signals, up to timeout_ms (-1: for ever; 0: only look).  Its number, or 0
 * when the time is over. */
int process_wait_signal (int timeout_ms);

/* A descriptor that is readable when a signal waits, for poll; process_wait_signal (0) then
 * reads it.  The caller closes it.  LITEDFS_FAILED with the reason; the descriptor is in
 * *out_fd. */
int process_signal_fd (int *out_fd, litedfs_error_t *error);

/* What this process uses.  What the system does not tell is 0. */
struct process_usage {
    uint64_t cpu_us;         // processor time, all threads
    uint64_t resident_bytes; // in RAM, with pages of mapped files
    uint64_t open_fds;
    uint64_t max_fds;
};

void process_usage (struct process_usage *out);

/* Shut ZeroMQ down; the last line of main, when every actor has been stopped. */
void process_end (void);

#endif
