/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_RPC_ROUTER_H
#define LITEDFS_RPC_ROUTER_H

/*
 * The serving side of requests: a ROUTER that gives its owner parsed requests and takes
 * replies.
 *
 * The owner's loop polls router_socket and router_monitor_socket and, when either is ready,
 * takes what there is.  That a session has ended is heard before a request that came after it:
 *
 *   for (int n = 0; n < 256 && router_receive (router, &request); n++) {
 *       while (router_closed (router, &session))
 *           forget (session);
 *       router_dispatch (router, rows, ROWS, context, peer, &request);
 *   }
 *   while (router_closed (router, &session))
 *       forget (session);
 *
 * A request is its owner's from then on: it may be answered at once or be kept (parked) and
 * answered later by its route, a small value that stays good after request_destroy.  What
 * cannot become a request (garbage, an unknown op, a version that we do not speak, too much at
 * once) is answered by the router and not seen by its owner.
 *
 * Sessions.  A connection of a peer is a session and has a number, which is never used again;
 * descriptors and routing ids are, at any moment.  A peer that reconnects has a new session.
 * Nobody may learn another session's routing id: who claims one that libzmq is about to give
 * makes libzmq abort.
 *
 * Admission.  What libzmq has queued for a peer that does not read cannot be seen, so requests
 * that return bytes (EFFECT_READS) are counted: those above `seen`, the id up to which the peer
 * has had its answers.  Over the session's limits they are answered `busy`.  Who sends no
 * `seen` may have one such request in flight: a script that sends and receives in turn is never
 * in the way of this.  Neither claim is taken on trust: a session whose TCP connection holds
 * much more unread than it admits is `busy` too.
 *
 * No call blocks; there is no thread inside; everything belongs to one thread.
 */

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "wire/message.h"

#include <zmq.h>

/* Where a reply goes. */
struct route {
    uint8_t id[32];
    uint8_t size;
    bool delimiter;             // the peer is a REQ: an empty frame goes first
    uint64_t session;           // the number of its session
    enum message_number number; // what was asked,
    int64_t received_us;        // and when, of metric_now_us; 0: that is not counted
};

/* Room for a peer's numeric address with its NUL. */
#define ROUTER_PEER_SIZE 48

struct request {
    struct route route;
    struct message *message; // parsed; message->type is never NULL
    zmq_msg_t header;        // the frame that message points into
    zmq_msg_t payload;       // the second frame; may be moved away with zmq_msg_move
    bool has_payload;
    int fd;                      // its descriptor, for logs; -1 for a peer in this process
    char peer[ROUTER_PEER_SIZE]; // its address; "" for a peer in this process
};

/* Free it and what it has.  Takes NULL, sets it to NULL. */
void request_destroy (struct request **self);

struct router_options {
    int role;                  // SOCKET_NAME_ROUTER or SOCKET_DATA_ROUTER
    const char *domain;        // of the ZAP handler; must have its list before
    const char *host;          // address to bind to, as socket_bind; NULL: not on the network
    int port;                  // 0: choose one
    const char *inproc;        // also bind "inproc://..." for threads of this process, or NULL
    uint64_t session_bytes;    // limits of a session, see above; 0: 16 MiB
    unsigned session_requests; // 0: 2,048 for SOCKET_NAME_ROUTER, 64 for SOCKET_DATA_ROUTER
    struct log *log;           // may be NULL
    struct metrics *metrics; // may be NULL: of requests and answers; their op is message_number
    const struct clock *clock;
};

struct router;

/* Make it and bind it.  The strings need not outlive the call; log and clock must outlive the
 * router.  Errors as socket_new and socket_bind, and LITEDFS_MEMORY. */
int router_new (struct router **out, const struct router_options *options,
                litedfs_error_t *error);

/* Close the sockets and free it.  Takes NULL, sets it to NULL.  Requests that were received
 * stay valid. */
void router_destroy (struct router **self);

/* The port that it is bound to, 0 if none. */
int router_port (const struct router *self);

/* What a connection holds that its peer has not taken, in bytes, by the descriptor of a request of it; 0 for a
 * peer in this process.  The descriptor is libzmq's and may be gone, or another's, by now; then the number
 * is wrong. */
uint64_t router_unread (int fd);

/* For zmq_poll, with ZMQ_POLLIN. */
void *router_socket (struct router *self);
void *router_monitor_socket (struct router *self);

/* The next request: 1 and *out, the caller's.  Or 0: there is none now, or the router has been
 * busy with garbage for a while and wants to be called after the next zmq_poll.  When memory is
 * short the request is dropped. */
int router_receive (struct router *self, struct request **out);

/* The next session that has ended: 1 and its number, or 0.  Each session that anything came
 * from is named once: when its connection is closed, at the latest when a reply finds it gone;
 * a peer in this process (fd -1) also when it was silent for ten minutes.  Between a
 * router_receive that gave a request and the next one, it names those that ended before that
 * request came, never the request's own session. */
int router_closed (struct router *self, uint64_t *out_session);

/* Answer.  payload is the second frame, or NULL; it is taken in any case, and empty
 * afterwards.  Returns 0; LITEDFS_UNREACHABLE if the session is gone, LITEDFS_BUSY if it does
 * not read (the reply is dropped: the peer will ask again), LITEDFS_MEMORY, LITEDFS_FAILED.  If
 * fields break their own bounds, which is a bug, the peer gets `failed` and the log the
 * reason.  0 is no promise that the peer will get it. */
int router_reply (struct router *self, const struct route *route, uint64_t id,
                  const struct message_type *type, const void *fields, zmq_msg_t *payload);

/* Answer that it failed: an error number of err.def and a line of text.  Returns as
 * router_reply. */
int router_reply_error (struct router *self, const struct route *route, uint64_t id, int number,
                        const char *text);

/* Send a first frame that was encoded elsewhere (by message_encode_reply or
 * message_encode_error, for this id); number is the error that it says, or 0.  Returns as
 * router_reply. */
int router_reply_encoded (struct router *self, const struct route *route, uint64_t id,
                          int number, const void *frame, size_t size);

/* One row a message that is served.  handle answers the request, or keeps it for later, and
 * returns 0: the request is its own then, to be destroyed when it is done with it.  Or it
 * returns a negative number and fills error: then it must not have answered or destroyed it,
 * and the dispatcher does both. */
struct router_row {
    enum message_number number;
    int (*handle) (void *context, struct request *request, litedfs_error_t *error);
    enum message_peer from; // who may send it, an OR of PEER_*
};

/* The names of the ops that have a row, each at the place of its number, and NULL at the others: for
 * metrics_options. */
void router_words (const struct router_row *rows, size_t count,
                   const char *words[MESSAGE_COUNT]);

/* Hand the request to its row.  peer says what the sender is known to be, an OR of PEER_* (a
 * registered node is PEER_NODE | PEER_CLIENT; everybody is PEER_CLIENT).  Without a row the
 * answer is `unsupported`; if the row wants PEER_NODE and the peer is not, `register_first`;
 * `refused` for any other mismatch.  Takes the request and sets it to NULL. */
void router_dispatch (struct router *self, const struct router_row *rows, size_t count,
                      void *context, enum message_peer peer, struct request **request);

#endif
