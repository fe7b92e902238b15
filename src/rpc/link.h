/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_RPC_LINK_H
#define LITEDFS_RPC_LINK_H

/*
 * The connection of a dealer: a DEALER socket that stands for one connection and is replaced
 * when that has ended.  libzmq itself tries until there is one; when it ends, for whatever
 * reason, what was under way has no answer any more, and after some ends (a refusal, an
 * oversize frame) libzmq would never connect again.  The first replacement follows at once,
 * others after a growing pause, until the owner says that the link is good.  For dealer.c
 * alone; no call blocks.
 */

#include "base/clock.h"
#include "base/log.h"
#include "rpc/socket.h"

struct link {
    void *socket;
    void *monitor; // NULL for inproc
    char *endpoint;
    const char *peer; // for texts; the owner's
    const struct clock *clock;
    struct log *log;
    bool inproc;
    bool connected;  // the handshake was passed; always, for inproc
    bool broken;     // the connection was given up; the socket is replaced at replace_ms
    bool refused;    // the last connection was refused
    bool wrong_peer; // the last peer did not speak ZMTP
    int64_t replace_ms;
    int64_t pause_ms; // before the next replacement
    int64_t heard_ms; // when something was heard, or the socket made
};

/* Open it and begin to connect.  endpoint is copied; peer, clock and log must outlive it.  On
 * failure it is closed.  Errors as socket_new and socket_connect_endpoint; error is not NULL.
 * */
int link_open (struct link *self, const char *endpoint, const char *peer,
               const struct clock *clock, struct log *log, litedfs_error_t *error);

/* Close it; fine if it was never open (zeroed). */
void link_close (struct link *self);

/* Take in what the monitor says.  True if the peer refused us, since the last call. */
bool link_hear (struct link *self);

/* Send a reference to each frame; payload may be NULL.  0 or an errno: EAGAIN if there is no
 * connection or its queue is full; then nothing was sent. */
int link_send (struct link *self, zmq_msg_t *header, zmq_msg_t *payload);

/* The next message: true, and it is the caller's to be closed. */
bool link_receive (struct link *self, struct socket_body *out);

/* Give the connection up, as when its peer is silent; it is replaced after a pause of ms. */
void link_give_up (struct link *self, int64_t pause_ms);

/* Replace the socket if it is time: true if it was, and everything is to be sent again. */
bool link_renew (struct link *self);

/* The peer answers: the next replacement, if any, needs no pause. */
void link_is_good (struct link *self);

#endif
