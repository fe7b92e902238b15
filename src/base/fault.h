/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_FAULT_H
#define LITEDFS_BASE_FAULT_H

/*
 * Named fault points, for tests that want a process to die, stall or fail at an exact place.
 *
 *   FAULT ("commit_before_sync");                        a place to die or stall at
 *   if (FAULT_ERROR ("pwrite")) return err_set (...);    a place to fail at
 *
 * They cost nothing in an ordinary build: only `configure --enable-fault` defines
 * LITEDFS_FAULT.  Then the environment says what happens:
 *
 *   LITEDFS_FAULT="name=action[:n],..."
 *
 *   exit       end at once with status 99, as kill -9 would: no buffers, no locks, no goodbyes
 *   stop       SIGSTOP to the own process
 *   delay=MS   sleep, 1 to 600,000 ms
 *   error      FAULT_ERROR gives true
 *
 * with :n only at the n-th passage (1 is the first), without it at every one.  Names are
 * letters, digits and underscores, up to 47.  At most FAULT_MAX of them.
 */

#include "litedfs.h"

#define FAULT_MAX 32

/* The exit status of the action `exit`. */
#define FAULT_EXIT_STATUS 99

#ifdef LITEDFS_FAULT
#define FAULT(name) ((void) fault_hit (name))
#define FAULT_ERROR(name) (fault_hit (name))
#define FAULT_INIT(error) (fault_init (error))
#else
#define FAULT(name) ((void) 0)
#define FAULT_ERROR(name) (false)
#define FAULT_INIT(error) (0)
#endif

/* Read the environment; main calls FAULT_INIT before it starts a thread.  LITEDFS_USAGE, and no
 * fault is set, if it cannot be read. */
int fault_init (litedfs_error_t *error);

/* Set the faults from a text of the form above, in place of those set before; NULL or "" for
 * none.  Not while another thread may pass a point.  Errors as fault_init. */
int fault_set (const char *text, litedfs_error_t *error);

/* Pass the point: do what was asked for it.  True if it shall fail.  Any thread. */
bool fault_hit (const char *name);

#endif
