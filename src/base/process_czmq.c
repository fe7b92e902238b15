/* SPDX-License-Identifier: MIT */
/*
 * The start of a program with actors, which CZMQ joins by its pipes: its context is everybody's.
 *
 * The order matters.  CZMQ installs handlers for SIGINT and SIGTERM with the first socket, and
 * they stop all its loops at once and in no order; so they are switched off first.  Its limits
 * can only be set before there is a socket.  This file is apart from process.c so that programs
 * without actors are not linked with CZMQ.
 */
#include "base/context.h"
#include "base/err.h"
#include "base/process.h"

#include <czmq.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static void
forget_zsys_environment (void)
{
    for (char **at = environ; at && *at;) {
        char name[64];
        size_t size = strcspn (*at, "=");
        if (strncmp (*at, "ZSYS_", 5) != 0 || size >= sizeof name) {
            at++;
            continue;
        }
        memcpy (name, *at, size);
        name[size] = 0;
        unsetenv (name); // the list moves up by one
    }
}

int
process_init_czmq (int io_threads, litedfs_error_t *error)
{
    int rc = process_prepare (io_threads, error);
    if (rc < 0)
        return rc;
    forget_zsys_environment ();
    zsys_handler_set (NULL);
    void *context = zsys_init ();
    if (!context)
        return err_set (error, LITEDFS_FAILED, "ZeroMQ cannot be started");
    zsys_set_max_sockets (PROCESS_MAX_SOCKETS);
    zsys_set_io_threads ((size_t) io_threads);
    zsys_set_logstream (stderr);
    context_adopt (context, zsys_shutdown);
    return 0;
}
