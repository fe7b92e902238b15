/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLIENT_SESSION_H
#define LITEDFS_CLIENT_SESSION_H

/*
 * A session: the connection to the name node, one to each data node that was needed so far, and the
 * descriptor through which it is cancelled.
 *
 * Everything belongs to the caller's thread but litedfs_cancel and the descriptor.  Data nodes are
 * peers, known by number, and connected to when something is to be asked of them; a transfer drives them
 * in its own loop (upload.c, download.c).  The session's clock leaves out the time in which the
 * session did not run: what did not come in then is nobody's fault.
 */

#include "base/clock.h"
#include "base/net.h"
#include "rpc/dealer.h"

#include <stdatomic.h>

/* A data node that owes an answer and has said nothing for so long is given up by a transfer that has
 * another.  After the shorter time it is asked for a sign of life: what it owes may rightly take long. */
#define SESSION_SILENCE_MS 5000
#define SESSION_DOUBT_MS 1500
/* With nobody to be heard at all it is our network that is silent: that is waited out for so long. */
#define SESSION_ALONE_MS 60000

/* A data node. */
struct peer {
    struct peer *next;
    uint32_t node;
    char host[NET_HOST_SIZE]; // numeric
    int port;
    char name[NET_HOST_SIZE + 64]; // for texts: "data node 3 at host:port"
    struct dealer *dealer;         // NULL until something is to be asked of it
    int64_t connecting_ms;         // monotonic; when that was
    int64_t ping_id;               // of a sign of life that it was asked for; 0: none
    int64_t pinged_ms;             // monotonic; when it was asked for the last one
};

struct litedfs {
    const struct clock *clock; // the patient one; a test's own
    struct patient_clock patient;
    char address[NET_HOST_SIZE + 64];       // as the caller gave it, for texts
    char name_endpoint[NET_HOST_SIZE + 32]; // "tcp://10.0.0.1:19000"
    char name_host[NET_HOST_SIZE];          // numeric: stands for an empty host in an endpoint
    uint8_t client[WIRE_CLIENT_SIZE];
    int64_t request_timeout_ms;
    int cancel_fd; // eventfd: readable for ever once litedfs_cancel was called
    struct dealer *name;
    struct peer *peers;
    int64_t witness_id; // of a request to the name node: is anybody there?  0: none
    int64_t asked_ms;   // monotonic; when it was sent
    int64_t answered_ms;
    int64_t answering_ms; // since when it answers without a gap
};

/* Ask the name node and wait; as dealer_call, with the session's timeout and cancellation. */
int session_call (litedfs_t *session, enum message_number number, const void *fields,
                  void *reply_fields, struct dealer_reply **reply, litedfs_error_t *error);

/* A DEALER to the name node, with a clock that must outlive it: the session's, or that of another
 * thread. */
int session_name_dealer (const litedfs_t *session, const struct clock *clock,
                         struct dealer **out, litedfs_error_t *error);

/* The peer of an endpoint; what it was asked before is cancelled if it has moved.  Stays the session's.
 * LITEDFS_MEMORY. */
int session_peer (litedfs_t *session, const struct wire_endpoint *endpoint, struct peer **out,
                  litedfs_error_t *error);

/* Begin to connect to a peer, if that was not done.  Errors as dealer_new. */
int session_connect (const litedfs_t *session, struct peer *peer, litedfs_error_t *error);

/* For how long, in ms, a peer has owed an answer and said nothing; 0 if it owes none. */
int64_t session_silent_ms (const struct peer *peer);

/* Ask a peer that is in doubt for a sign of life, by the state of a block: one at a time, each second. */
void session_ping (const litedfs_t *session, struct peer *peer, uint64_t block);
void session_stop_pings (litedfs_t *session);

/* How much speaks against asking a peer: 0 nothing, 1 that it has no connection yet, 2 that it is in
 * doubt. */
int session_peer_trouble (const litedfs_t *session, const struct peer *peer);

/* Whether it has been silent for SESSION_SILENCE_MS, and the error that says so. */
bool session_peer_silent (const struct peer *peer, litedfs_error_t *error);

/* The same for who must be sure, to be called again and again: the name node is asked meanwhile, and must
 * have answered of late and for a while, or nobody was to be heard for SESSION_ALONE_MS.  When our own
 * network was away the first answer is no proof: the peer's may be on its way, too. */
bool session_peer_lost (litedfs_t *session, const struct peer *peer, litedfs_error_t *error);

/* Poll the name node's DEALER, all peers, the cancellation and `extra` (count of them, filled by the
 * caller; revents are set) for at most timeout_ms (-1: for ever, if nobody owes an answer), and let the
 * DEALERs call their callbacks.  LITEDFS_CANCELLED; LITEDFS_MEMORY. */
int session_poll (litedfs_t *session, zmq_pollitem_t *extra, size_t count, long timeout_ms,
                  litedfs_error_t *error);

/* Whether the session was cancelled. */
bool session_cancelled (const litedfs_t *session);

/* The slice as a C string that the caller frees, or NULL. */
char *session_text (struct slice text);

#endif
