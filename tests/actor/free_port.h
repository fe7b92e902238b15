/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_FREE_PORT_H
#define LITEDFS_TESTS_FREE_PORT_H

/*
 * Waiting for a port of a socket that was closed in this process: libzmq gives it up a moment later, in a
 * thread of its own.
 */

#include "base/clock.h"

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#define FREE_PORT_WAIT_MS 10000

static inline bool
port_is_free (int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons ((uint16_t) port),
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    int one = 1;
    int fd = socket (AF_INET, SOCK_STREAM, 0);

    ck_assert_int_ge (fd, 0);
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool bound = bind (fd, (struct sockaddr *) &address, sizeof address) == 0;
    close (fd);
    return bound;
}

static inline void
wait_for_free_port (int port)
{
    for (int64_t until = clock_mono (clock_system ()) + FREE_PORT_WAIT_MS;
         !port_is_free (port);) {
        ck_assert_msg (clock_mono (clock_system ()) < until, "port %d stays taken", port);
        poll (NULL, 0, 1);
    }
}

#endif
