/* SPDX-License-Identifier: MIT */
/*
 * A list in the order in which connections were accepted or have had their last request.
 */
#include "web/connections.h"

#include <stdlib.h>
#include <sys/socket.h>

static void
link_last (struct connections *self, struct connection *connection)
{
    connection->next = NULL;
    connection->previous = self->last;
    *(self->last ? &self->last->next : &self->first) = connection;
    self->last = connection;
}

static void
unlink_from (struct connections *self, struct connection *connection)
{
    *(connection->next ? &connection->next->previous : &self->last) = connection->previous;
    *(connection->previous ? &connection->previous->next : &self->first) = connection->next;
}

/* Shut the oldest ones down that are not busy, until the rest is within the limit. */
static void
make_room (struct connections *self)
{
    struct connection *at = self->first;

    for (; at && self->limit > 0 && self->count > self->limit; at = at->next)
        if (!at->busy && !at->shut) {
            shutdown (at->fd, SHUT_RDWR);
            at->shut = true;
            self->count--;
        }
}

struct connection *
connections_add (struct connections *self, int fd)
{
    struct connection *connection = calloc (1, sizeof *connection);

    if (!connection)
        return NULL;
    connection->fd = fd;
    link_last (self, connection);
    self->count++;
    make_room (self);
    return connection;
}

void
connections_set_busy (struct connections *self, struct connection *connection, bool busy)
{
    if (!connection)
        return;
    connection->busy = busy;
    unlink_from (self, connection);
    link_last (self, connection);
}

void
connections_remove (struct connections *self, struct connection *connection)
{
    if (!connection)
        return;
    unlink_from (self, connection);
    self->count -= !connection->shut;
    free (connection);
}
