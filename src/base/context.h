/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_CONTEXT_H
#define LITEDFS_BASE_CONTEXT_H

/*
 * The ZeroMQ context of the process, to which all its sockets belong: one for all, since inproc
 * addresses are known within a context only.  It is made here with libzmq alone, which is what a short
 * command wants (CZMQ brings nine more libraries, and 3 ms of loading them), or taken over from CZMQ.
 */

#include "litedfs.h"

/* Make it, with so many I/O threads (1 to 16) and room for PROCESS_MAX_SOCKETS sockets; nothing happens if
 * there is one.  Threads may call it at the same time.  LITEDFS_FAILED with the reason. */
int context_start (int io_threads, litedfs_error_t *error);

/* Use this one, made by somebody else, whom `end` tells to end it.  Before context_start. */
void context_adopt (void *context, void (*end) (void));

/* The context; NULL before one of the above. */
void *context_get (void);

/* End it, once every socket is closed; blocks until its threads have ended.  Nothing happens if there is
 * none. */
void context_end (void);

#endif
