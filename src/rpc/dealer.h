/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_RPC_DEALER_H
#define LITEDFS_RPC_DEALER_H

/*
 * The asking side of requests: one peer, many requests in flight, each with a deadline.
 *
 * The model.  dealer_send encodes a request, sends it or queues it until there is a connection,
 * and returns its id; the callback is called once, from dealer_process (or dealer_call), in the
 * caller's thread: with the reply, with the error that the peer answered, or with what went
 * wrong on the way. If the connection ends, or nothing is heard for attempt_ms while an answer
 * is due, the socket is destroyed, made anew, and everything pending is sent again with the
 * same bytes; answers to requests that are no longer pending are dropped.  Ids are numbered
 * from first_id on; mutating requests carry `client` and `seen`, reads carry `seen` (the id
 * below the lowest pending one).
 *
 * A loop looks so:
 *
 *   zmq_pollitem_t items[DEALER_POLL_ITEMS];
 *   size_t count = dealer_poll_items (dealer, items);     (each time: the socket changes)
 *   zmq_poll (items, count, dealer_timeout_ms (dealer));
 *   dealer_process (dealer);
 *
 * No call but dealer_call blocks; there is no thread inside; everything belongs to one thread.
 * Callbacks may send and cancel; they must not call dealer_process, dealer_call or
 * dealer_destroy.
 *
 * Errors of the way:
 *   LITEDFS_UNREACHABLE  it was never sent: nobody was reached; the text has the address tried
 *   LITEDFS_TIMEOUT      it was sent and not answered in time; if it changes things the outcome
 *                        is unknown, and the text says so
 *   LITEDFS_REFUSED      the peer does not let this host in; the text says what to set where
 *   LITEDFS_CANCELLED    cancelled here
 *   LITEDFS_INVALID      the peer answered something that is no answer to this request
 */

#include "base/clock.h"
#include "base/log.h"
#include "wire/message.h"

#include <zmq.h>

struct dealer;

struct dealer_options {
    const char *endpoint; // "tcp://address:port" (numeric: see socket.h) or "inproc://name"
    const char *peer; // what texts call it, as "the name node at h:19000"; NULL: the endpoint
    const uint8_t *client; // WIRE_CLIENT_SIZE random bytes; NULL: nothing is stored for retries
    uint64_t first_id;     // 0 means 1
    int64_t attempt_ms;    // silence after which a connection is given up; 0: 5,000
    const struct clock *clock;
    struct log *log; // may be NULL
};

/* Make it and begin to connect; the peer may be away.  Strings and client are copied; clock and
 * log must outlive it.  Errors as socket_new and socket_connect, and LITEDFS_MEMORY. */
int dealer_new (struct dealer **out, const struct dealer_options *options,
                litedfs_error_t *error);

/* Close it and free it.  Callbacks of pending requests are not called (dealer_cancel_all does
 * that). Takes NULL, sets it to NULL. */
void dealer_destroy (struct dealer **self);

/* The end of a request.  Either reply is set (an answer with `ok`, to be decoded by
 * message_reply_fields; payload is its second frame or NULL) or error is.  All three are the
 * dealer's and end with the callback; the payload may be moved away with zmq_msg_move. */
typedef void (dealer_fn) (void *arg, struct message *reply, zmq_msg_t *payload,
                          const litedfs_error_t *error);

/* Send a request.  fields is the <name>_request struct; payload the second frame or NULL: it is
 * shared by zmq_msg_copy, stays the caller's, and its bytes must not change while the request
 * is pending. timeout_ms counts from now and covers all attempts; -1: none.  Returns the id,
 * above 0; or LITEDFS_INVALID (a field breaks its bounds), LITEDFS_MEMORY: then fn is not
 * called. */
int64_t dealer_send (struct dealer *self, const struct message_type *type, const void *fields,
                     zmq_msg_t *payload, int64_t timeout_ms, dealer_fn *fn, void *arg,
                     litedfs_error_t *error);

/* The peer may rightly keep this request for ms before it answers (a parked one): silence
 * counts against it only after that.  Nothing happens if it is not pending. */
void dealer_patience (struct dealer *self, int64_t id, int64_t ms);

/* Forget a request; its callback is not called.  It may have been carried out.  False if it is
 * not pending. */
bool dealer_cancel (struct dealer *self, int64_t id);

/* End all pending requests with LITEDFS_CANCELLED. */
void dealer_cancel_all (struct dealer *self);

/* What zmq_poll needs, good until the next call on the dealer.  dealer_poll_items fills up to
 * DEALER_POLL_ITEMS and returns how many. */
#define DEALER_POLL_ITEMS 2
size_t dealer_poll_items (struct dealer *self, zmq_pollitem_t items[DEALER_POLL_ITEMS]);

/* How long zmq_poll may sleep: milliseconds, -1 for ever. */
long dealer_timeout_ms (struct dealer *self);

/* Take what came, call callbacks, send what waits; after that judge deadlines and silence. */
void dealer_process (struct dealer *self);

/* Whether there is a connection that has passed its handshake, as far as is known (always true
 * for inproc); whether no request is pending; how many are. */
bool dealer_connected (const struct dealer *self);
bool dealer_idle (const struct dealer *self);
size_t dealer_pending (const struct dealer *self);

/* How many requests there are from the oldest that is pending to the last one.  The peer counts all of
 * them as not taken yet, because `seen` is below them: those that were answered in between too. */
size_t dealer_span (const struct dealer *self);

/* For how long, in ms, the peer has owed an answer and nothing came from it, on this connection or
 * those before; 0 if it owes none. */
int64_t dealer_silent_ms (const struct dealer *self);

/* An answer that is kept. */
struct dealer_reply {
    struct message *message; // its slices, and those of decoded fields, point into frame
    zmq_msg_t frame;
    zmq_msg_t payload;
    bool has_payload;
};

/* Free it and what it has; decoded fields end with it.  Takes NULL, sets it to NULL. */
void dealer_reply_destroy (struct dealer_reply **self);

/* Send a request and wait for its answer; callbacks of other requests are called meanwhile.
 * reply_fields is the <name>_reply struct to fill, or NULL.  *reply is the caller's on success
 * and must live as long as the fields are used; with NULL the fields' slices and lists must not
 * be used.  cancel_fd: when it becomes readable the call ends with LITEDFS_CANCELLED (-1:
 * none); it is not read.  Errors as dealer_send, those of the way above, and what the peer
 * answered. */
int dealer_call (struct dealer *self, const struct message_type *type, const void *fields,
                 zmq_msg_t *payload, void *reply_fields, struct dealer_reply **reply,
                 int64_t timeout_ms, int cancel_fd, litedfs_error_t *error);

#endif
