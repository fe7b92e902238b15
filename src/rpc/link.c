/* SPDX-License-Identifier: MIT */
/*
 * One socket for one connection.
 *
 * A connection's end is what the monitor tells: every one is a ZMQ_EVENT_DISCONNECTED, those of
 * attempts that failed in the handshake too.  Attempts that found nobody are no event; libzmq
 * goes on by itself.  A socket is replaced by opening the new one first: when that cannot be
 * had (no descriptor left) the old one stays, dead, so that there is always one to poll.
 */
#include "rpc/link.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 5000
#define REFUSED_PAUSE_MS 2000

#define EVENTS                                                                                 \
    (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |                         \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_DISCONNECTED)

/* A new socket in place of none. */
static int
connect_socket (struct link *self, litedfs_error_t *error)
{
    void *monitor = NULL;
    void *socket =
        socket_new (self->inproc ? SOCKET_INPROC_DEALER : SOCKET_DEALER, NULL, error);

    if (!socket)
        return error->number;
    if (!self->inproc)
        monitor = socket_monitor (socket, EVENTS, error);
    if ((!monitor && !self->inproc) ||
        socket_connect_endpoint (socket, self->endpoint, error) < 0) {
        socket_monitor_close (socket, &monitor);
        socket_close (&socket);
        return error->number;
    }
    self->socket = socket;
    self->monitor = monitor;
    self->connected = self->inproc;
    self->broken = false;
    self->heard_ms = clock_mono (self->clock);
    return 0;
}

int
link_open (struct link *self, const char *endpoint, const char *peer, const struct clock *clock,
           struct log *log, litedfs_error_t *error)
{
    *self = (struct link){.peer = peer, .clock = clock, .log = log};
    self->inproc = strncmp (endpoint, "inproc://", 9) == 0;
    self->endpoint = strdup (endpoint);
    if (!self->endpoint)
        return err_set (error, LITEDFS_MEMORY, "connect[%s]: no memory", endpoint);
    int rc = connect_socket (self, error);
    if (rc < 0)
        link_close (self);
    return rc;
}

void
link_close (struct link *self)
{
    if (self->socket)
        socket_monitor_close (self->socket, &self->monitor);
    socket_close (&self->socket);
    free (self->endpoint);
    self->endpoint = NULL;
}

void
link_give_up (struct link *self, int64_t pause_ms)
{
    self->connected = false;
    if (self->broken)
        return;
    self->broken = true;
    self->replace_ms = clock_mono (self->clock) + pause_ms;
    self->pause_ms = self->pause_ms == 0 ? PAUSE_FIRST_MS : self->pause_ms * 2;
    if (self->pause_ms > PAUSE_MAX_MS)
        self->pause_ms = PAUSE_MAX_MS;
}

bool
link_renew (struct link *self)
{
    litedfs_error_t error;
    void *socket = self->socket, *monitor = self->monitor;

    if (!self->broken || clock_mono (self->clock) < self->replace_ms)
        return false;
    if (connect_socket (self, &error) < 0) {
        log_warning (self->log, "%s: cannot connect again: %s", self->peer, error.text);
        self->replace_ms = clock_mono (self->clock) + PAUSE_MAX_MS;
        return false;
    }
    socket_monitor_close (socket, &monitor);
    socket_close (&socket);
    return true;
}

void
link_is_good (struct link *self)
{
    self->pause_ms = 0;
}

bool
link_hear (struct link *self)
{
    struct socket_event event;
    bool refused = false;

    while (self->monitor && socket_monitor_next (self->monitor, &event))
        switch (event.event) {
        case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
            self->connected = !self->broken;
            self->refused = self->wrong_peer = false;
            self->heard_ms = clock_mono (self->clock);
            break;
        case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
            self->refused = refused = true;
            link_give_up (self, REFUSED_PAUSE_MS);
            break;
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
            self->wrong_peer = true;
            link_give_up (self, PAUSE_MAX_MS);
            break;
        default: // ZMQ_EVENT_DISCONNECTED
            log_debug (self->log, "%s: the connection has ended", self->peer);
            link_give_up (self, self->pause_ms);
        }
    return refused;
}

static int
send_copy (void *socket, zmq_msg_t *frame, bool more)
{
    zmq_msg_t copy;

    zmq_msg_init (&copy);
    if (zmq_msg_copy (&copy, frame) < 0)
        return errno;
    int errnum = socket_send_frame (socket, &copy, more);
    zmq_msg_close (&copy);
    return errnum;
}

int
link_send (struct link *self, zmq_msg_t *header, zmq_msg_t *payload)
{
    if (self->broken)
        return EAGAIN;
    int errnum = send_copy (self->socket, header, payload != NULL);
    if (errnum == 0 && payload)
        errnum =
            send_copy (self->socket, payload, false); // if it fails, libzmq takes both back
    return errnum;
}

bool
link_receive (struct link *self, struct socket_body *out)
{
    if (socket_receive_body (self->socket, out) != 0)
        return false;
    self->heard_ms = clock_mono (self->clock);
    return true;
}
