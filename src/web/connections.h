/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_WEB_CONNECTIONS_H
#define LITEDFS_WEB_CONNECTIONS_H

/*
 * The open connections of the HTTP actor, so that idle and slow ones hold nobody out: when there are
 * too many, the one that has been without a request for the longest is shut down.  A connection whose
 * request is being answered stays.
 *
 * Shut down means that both directions end; the descriptor stays its owner's, who sees the end and
 * closes it.
 */

#include <stdbool.h>
#include <stddef.h>

struct connection {
    struct connection *next; // heard later
    struct connection *previous;
    int fd;
    bool busy; // a request of it is being answered
    bool shut;
};

/* All zero is an empty list without a limit. */
struct connections {
    struct connection *first; // without a request for the longest
    struct connection *last;
    size_t count; // that are not shut
    size_t limit;
};

/* A connection was accepted.  NULL when memory is short: it is then not in the list. */
struct connection *connections_add (struct connections *self, int fd);

/* A request of it begins (busy) or is answered.  Takes NULL. */
void connections_set_busy (struct connections *self, struct connection *connection, bool busy);

/* It is closed.  Takes NULL. */
void connections_remove (struct connections *self, struct connection *connection);

#endif
