/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLIENT_SESSION_H
#define LITEDFS_CLIENT_SESSION_H

/*
 * A session: the connection to the name node, one to each data node that was needed so far, and the
 * descriptor through which it is cancelled.
 *
 * Everything belongs to the caller's thread but litedfs_cancel and the descriptor.  Data nodes are
 * peers, known by number; a transfer drives them in its own loop (upload.c, download.c).
 */

#include "base/clock.h"
#include "base/net.h"
#include "rpc/dealer.h"

#include <stdatomic.h>

/* How long a data node may be away before a transfer turns to another. */
#define SESSION_NODE_AWAY_MS 5000

/* A data node. */
struct peer {
    struct peer *next;
    uint32_t node;
    char name[NET_HOST_SIZE + 64]; // for texts: "data node 3 at host:port"
    struct dealer *dealer;
    int64_t away_since_ms; // monotonic; -1: it is connected
};

struct litedfs {
    const struct clock *clock;
    char address[NET_HOST_SIZE + 64];       // as the caller gave it, for texts
    char name_endpoint[NET_HOST_SIZE + 32]; // "tcp://10.0.0.1:19000"
    char name_host[NET_HOST_SIZE];          // numeric: stands for an empty host in an endpoint
    uint8_t client[WIRE_CLIENT_SIZE];
    int64_t request_timeout_ms;
    int cancel_fd; // eventfd: readable for ever once litedfs_cancel was called
    struct dealer *name;
    struct peer *peers;
};

/* Ask the name node and wait; as dealer_call, with the session's timeout and cancellation. */
int session_call (litedfs_t *session, enum message_number number, const void *fields,
                  void *reply_fields, struct dealer_reply **reply, litedfs_error_t *error);

/* A DEALER of its own to the name node, for another thread of a transfer. */
int session_name_dealer (const litedfs_t *session, struct dealer **out, litedfs_error_t *error);

/* The peer of an endpoint, connected to when it is new or has moved.  Stays the session's.  Errors as
 * dealer_new. */
int session_peer (litedfs_t *session, const struct wire_endpoint *endpoint, struct peer **out,
                  litedfs_error_t *error);

/* Whether a peer that owes answers has had no connection for SESSION_NODE_AWAY_MS. */
bool session_peer_away (const litedfs_t *session, struct peer *peer);

/* Poll the name node's DEALER, all peers, the cancellation and `extra` (count of them, filled by the
 * caller; revents are set) for at most timeout_ms, and let the DEALERs call their callbacks.
 * LITEDFS_CANCELLED; LITEDFS_MEMORY. */
int session_poll (litedfs_t *session, zmq_pollitem_t *extra, size_t count, long timeout_ms,
                  litedfs_error_t *error);

/* Whether the session was cancelled. */
bool session_cancelled (const litedfs_t *session);

/* Forget what peers are asked: no callback comes any more. */
void session_forget_requests (litedfs_t *session);

/* The slice as a C string that the caller frees, or NULL. */
char *session_text (struct slice text);

#endif
