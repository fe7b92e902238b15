/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_RPC_SOCKET_H
#define LITEDFS_RPC_SOCKET_H

/*
 * ZeroMQ sockets with every option set.  A socket is libzmq's handle (void *), made for a role;
 * the table of roles in socket.c is the only place where options are set, always before bind or
 * connect.
 *
 * No call blocks, except that a host name (instead of a numeric address) is resolved by libzmq
 * in its I/O thread, where it holds up every connection: resolve names with net_resolve first.
 * A socket belongs to the thread that uses it; it may be made in one and handed to another
 * before its first use.
 *
 * None of the roles sets ZMQ_HEARTBEAT_*: libzmq aborts the process when a heartbeat fails
 * while a receive queue is full.  For the same reason nothing that a network peer sends to has
 * a RCVHWM.
 */

#include "litedfs.h"

#include <zmq.h>

enum socket_role {
    SOCKET_NAME_ROUTER, // bound, network: requests to the name node; frames up to 1 MiB
    SOCKET_DATA_ROUTER, // bound, network: requests to a data node; a chunk + 64 KiB
    SOCKET_PULL_PEER,   // bound, network: chunks and acks from other data nodes
    SOCKET_DEALER,      // connects: requests to one peer
    SOCKET_PUSH_PEER,   // connects: chunks and acks to one other data node
    SOCKET_INPROC_PUSH, // the others join threads of one process
    SOCKET_INPROC_PULL,
    SOCKET_INPROC_PAIR,
    SOCKET_INPROC_DEALER,
    SOCKET_INPROC_ROUTER,
    SOCKET_ROLE_COUNT
};

struct socket_options {
    const char *zap_domain; // who may connect (zap.h); for roles that are bound on the network
    int send_hwm;           // 0: what the role has
};

/* Ports that are chosen by us: below those that the kernel gives to connections, so that nobody
 * connects to himself, above those that services have. */
#define SOCKET_PORT_FIRST 20000
#define SOCKET_PORT_LAST 29999

/* A socket with its role's options, or NULL: LITEDFS_FAILED with the reason (too many sockets
 * or open files: refused before libzmq or CZMQ would abort), LITEDFS_INVALID for a network role
 * without domain. options may be NULL for roles that do not bind on the network. */
void *socket_new (enum socket_role role, const struct socket_options *options,
                  litedfs_error_t *error);

/* Bind to tcp://host:port.  host is a numeric address or a name of this machine; "0.0.0.0" and
 * "::" are all addresses ("*" too, both families).  port 0 chooses a free one from
 * SOCKET_PORT_FIRST to SOCKET_PORT_LAST.  *out_port (may be NULL) is the port that it got.
 * LITEDFS_IN_USE if the port is taken, LITEDFS_INVALID if the host is not an address of this
 * machine, LITEDFS_FAILED; the text says what to do. */
int socket_bind (void *socket, const char *host, int port, int *out_port,
                 litedfs_error_t *error);

/* Connect to tcp://host:port; or bind or connect any endpoint, as inproc://name.  A connection
 * is made in the background: success says nothing about the peer.  LITEDFS_INVALID for an
 * endpoint that cannot be one, LITEDFS_IN_USE for an inproc name that is taken, LITEDFS_FAILED.
 * */
int socket_connect (void *socket, const char *host, int port, litedfs_error_t *error);
int socket_connect_endpoint (void *socket, const char *endpoint, litedfs_error_t *error);
int socket_bind_endpoint (void *socket, const char *endpoint, litedfs_error_t *error);

/* Undo socket_bind_endpoint of an inproc name, which can be bound by another socket from then on;
 * after socket_close alone that takes libzmq a moment. */
void socket_unbind_endpoint (void *socket, const char *endpoint);

/* Close it and set it to NULL.  What was not sent is dropped.  Takes NULL; keeps errno. */
void socket_close (void **socket);

/* Memory goes to another thread in a frame, or by a pointer in one; or came from one.  libzmq orders
 * the two threads, but the thread sanitizer does not see how, so it is told: the sender before it
 * sends, the receiver before it looks.  socket_send_frame and socket_receive_frame do it themselves. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define SOCKET_TSAN
#endif
#endif
#if defined SOCKET_TSAN || defined __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define socket_hand_over(memory) __tsan_release (memory)
#define socket_take_over(memory) __tsan_acquire (memory)
#else
#define socket_hand_over(memory) ((void) (memory))
#define socket_take_over(memory) ((void) (memory))
#endif

/* Send a frame; the caller closes it, it is empty afterwards in any case.  0 or an errno. */
int socket_send_frame (void *socket, zmq_msg_t *frame, bool more);

/* Receive a frame into an initialised message.  0 or an errno: EAGAIN if there is none. */
int socket_receive_frame (void *socket, zmq_msg_t *frame);

/* A request or a reply as it came: an empty frame (delimiter) or not, header, payload, and what
 * is after them and means nothing yet, which is dropped. */
struct socket_body {
    zmq_msg_t header;
    zmq_msg_t payload;
    unsigned frames; // without the delimiter: 0 no header, 1 no payload
    bool delimiter;
};

/* The most frames that a request or a reply may have. */
#define SOCKET_FRAMES_MAX 8

/* Receive what is left of a message (all of it, but for a routing id): 0, and the caller closes
 * it; or an errno, and there is nothing to close. */
int socket_receive_body (void *socket, struct socket_body *out);
void socket_body_close (struct socket_body *self);

/* What happens to a socket's connections. */
struct socket_event {
    int event; // one of ZMQ_EVENT_*
    int fd; // the connection's descriptor, as ZMQ_SRCFD of its frames; -1 if the event has none
    uint32_t value; // as libzmq gives it: the descriptor, an errno, ZAP's status, ...
};

/* Begin to report the events (an OR of ZMQ_EVENT_*) of a socket, before its first bind or
 * connect.  Gives a PAIR to poll and to read with socket_monitor_next, or NULL and error.  End
 * it with socket_monitor_close before the socket itself is closed. */
void *socket_monitor (void *socket, int events, litedfs_error_t *error);

/* The next event: 1, or 0 if there is none now.  Never blocks. */
int socket_monitor_next (void *monitor, struct socket_event *out);

/* Stop reporting, close the PAIR, set it to NULL.  Takes NULL. */
void socket_monitor_close (void *socket, void **monitor);

/* How many sockets of this module are open in the process. */
int socket_count (void);

#endif
