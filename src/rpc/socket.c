/* SPDX-License-Identifier: MIT */
/*
 * Sockets with every option set, by a table of roles.
 *
 * What the options are for.  Network sockets: keepalive and TCP_USER_TIMEOUT find a dead
 * machine in half a minute; LINGER 0 and SNDTIMEO 0 keep actors from ever blocking; RCVHWM 0
 * because libzmq aborts when a PING arrives while its receive queue is full and the peer then
 * dies; bound ones limit the size of a frame and ask the ZAP handler, failing closed.
 * Connecting ones queue nothing for a peer that is not there (IMMEDIATE).
 *
 * The number of open sockets is the one thing here that belongs to the process and not to a
 * caller: libzmq's context has a limit, and CZMQ aborts at it, so we stop before.
 */
#include "rpc/socket.h"

#include "base/context.h"
#include "base/err.h"
#include "base/id.h"
#include "base/net.h"
#include "wire/message.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

/* Not in zmq.h of Debian (a draft option), but in the library: without a ZAP handler nobody
 * gets in. */
#define ZAP_ENFORCE_DOMAIN 93

/* Sockets that are left for CZMQ's own use. */
#define SOCKETS_IN_RESERVE 64

/* How many ports are tried before we say that none is free. */
#define PORT_TRIES 500

#define KEEPALIVE_IDLE_S 15
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_COUNT 3
#define UNACKED_MS 30000
#define CONNECT_TIMEOUT_MS 5000
#define HANDSHAKE_MS 5000
#define RECONNECT_MS 100
#define RECONNECT_MAX_MS 5000
#define BACKLOG 1024

#define NAME_FRAME_MAX ((int64_t) 1 << 20)
#define DATA_FRAME_MAX ((int64_t) WIRE_CHUNK_MAX + 65536)
#define REPLY_FRAME_MAX ((int64_t) 16 << 20)

#define INPROC_HWM 1000

/* Kinds of roles. */
enum {
    NETWORK = 1,
    BOUND = 2,    // on the network: needs a domain
    IMMEDIATE = 4 // queues nothing for a peer that is not there
};

/* What a role is.  HWMs count messages, 0 is no limit. */
struct role {
    const char *name;
    int type;
    int send_hwm;
    int receive_hwm;
    int64_t frame_max; // bytes; -1: no limit
    unsigned kind;
};

static const struct role roles[SOCKET_ROLE_COUNT] = {
    [SOCKET_NAME_ROUTER] = {"name ROUTER", ZMQ_ROUTER, 4096, 0, NAME_FRAME_MAX,
                            NETWORK | BOUND},
    [SOCKET_DATA_ROUTER] = {"data ROUTER", ZMQ_ROUTER, 256, 0, DATA_FRAME_MAX, NETWORK | BOUND},
    [SOCKET_PULL_PEER] = {"peer PULL", ZMQ_PULL, 0, 0, DATA_FRAME_MAX, NETWORK | BOUND},
    [SOCKET_DEALER] = {"DEALER", ZMQ_DEALER, 100, 0, REPLY_FRAME_MAX, NETWORK | IMMEDIATE},
    [SOCKET_PUSH_PEER] = {"peer PUSH", ZMQ_PUSH, 64, 0, -1, NETWORK | IMMEDIATE},
    [SOCKET_INPROC_PUSH] = {"inproc PUSH", ZMQ_PUSH, INPROC_HWM, INPROC_HWM, -1, 0},
    [SOCKET_INPROC_PULL] = {"inproc PULL", ZMQ_PULL, INPROC_HWM, INPROC_HWM, -1, 0},
    [SOCKET_INPROC_PAIR] = {"inproc PAIR", ZMQ_PAIR, INPROC_HWM, INPROC_HWM, -1, 0},
    [SOCKET_INPROC_DEALER] = {"inproc DEALER", ZMQ_DEALER, INPROC_HWM, INPROC_HWM, -1, 0},
    [SOCKET_INPROC_ROUTER] = {"inproc ROUTER", ZMQ_ROUTER, INPROC_HWM, INPROC_HWM, -1, 0},
};

static atomic_int sockets_open;

static bool
set_int (void *socket, int option, int value)
{
    return zmq_setsockopt (socket, option, &value, sizeof value) == 0;
}

/* A ROUTER's connections are all served by one I/O thread, the one that accepts them.  libzmq tells the
 * monitor of a connection after it has handed it to its thread; with another thread its first message
 * may be here before that (tried: once in some thousands on a busy machine), and would be taken for one
 * of the connection before it on the same descriptor. */
static bool
set_one_thread (void *socket)
{
    const uint64_t first = 1;

    return zmq_setsockopt (socket, ZMQ_AFFINITY, &first, sizeof first) == 0;
}

/* The options of network roles. */
static bool
set_network_options (void *socket, const struct role *role)
{
    return set_int (socket, ZMQ_IPV6, 1) && set_int (socket, ZMQ_TCP_KEEPALIVE, 1) &&
           set_int (socket, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S) &&
           set_int (socket, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_INTERVAL_S) &&
           set_int (socket, ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT) &&
           set_int (socket, ZMQ_TCP_MAXRT, UNACKED_MS) &&
           set_int (socket, ZMQ_CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS) &&
           set_int (socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) &&
           set_int (socket, ZMQ_RECONNECT_IVL, RECONNECT_MS) &&
           set_int (socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) &&
           (!(role->kind & BOUND) || set_int (socket, ZMQ_BACKLOG, BACKLOG));
}

static bool
set_options (void *socket, const struct role *role, const struct socket_options *options)
{
    int send_hwm = options && options->send_hwm > 0 ? options->send_hwm : role->send_hwm;
    const char *domain = (role->kind & BOUND) ? options->zap_domain : NULL;

    return set_int (socket, ZMQ_LINGER, 0) && set_int (socket, ZMQ_SNDTIMEO, 0) &&
           set_int (socket, ZMQ_SNDHWM, send_hwm) &&
           set_int (socket, ZMQ_RCVHWM, role->receive_hwm) &&
           zmq_setsockopt (socket, ZMQ_MAXMSGSIZE, &role->frame_max, sizeof role->frame_max) ==
               0 &&
           (role->type != ZMQ_ROUTER ||
            (set_int (socket, ZMQ_ROUTER_MANDATORY, 1) && set_one_thread (socket))) &&
           (!(role->kind & IMMEDIATE) || set_int (socket, ZMQ_IMMEDIATE, 1)) &&
           (!(role->kind & NETWORK) || set_network_options (socket, role)) &&
           (!domain || (zmq_setsockopt (socket, ZMQ_ZAP_DOMAIN, domain, strlen (domain)) == 0 &&
                        set_int (socket, ZAP_ENFORCE_DOMAIN, 1)));
}

/* A socket that is counted, without options. */
static void *
open_socket (int type, const char *name, litedfs_error_t *error)
{
    void *context = context_get ();
    if (!context) {
        err_set (error, LITEDFS_FAILED, "socket[%s]: ZeroMQ was not started", name);
        return NULL;
    }
    int limit = zmq_ctx_get (context, ZMQ_MAX_SOCKETS) - SOCKETS_IN_RESERVE;
    if (atomic_fetch_add (&sockets_open, 1) >= limit) {
        atomic_fetch_sub (&sockets_open, 1);
        err_set (error, LITEDFS_FAILED,
                 "socket[%s]: this process has %d sockets open, and more are not allowed", name,
                 limit);
        return NULL;
    }
    void *socket = zmq_socket (context, type);
    if (!socket) {
        int errnum = errno;
        atomic_fetch_sub (&sockets_open, 1);
        err_set_errno (
            error, LITEDFS_FAILED, errnum,
            "socket[%s]: cannot open it (raise the limit of open files, LimitNOFILE= or "
            "ulimit -n)",
            name);
    }
    return socket;
}

void *
socket_new (enum socket_role role, const struct socket_options *options, litedfs_error_t *error)
{
    const struct role *row = &roles[role];

    if ((row->kind & BOUND) && (!options || !options->zap_domain || !options->zap_domain[0])) {
        err_set (error, LITEDFS_INVALID,
                 "socket[%s]: it has no domain that says who may connect", row->name);
        return NULL;
    }
    void *socket = open_socket (row->type, row->name, error);
    if (!socket)
        return NULL;
    if (!set_options (socket, row, options)) {
        err_set (error, LITEDFS_FAILED, "socket[%s]: libzmq refuses an option: %s", row->name,
                 zmq_strerror (errno));
        socket_close (&socket);
    }
    return socket;
}

static bool
is_numeric_ipv4 (const char *host)
{
    return host[0] && strspn (host, "0123456789.") == strlen (host);
}

static int
bind_error (const char *where, int port, int errnum, litedfs_error_t *error)
{
    if (errnum == EADDRINUSE)
        return err_set (error, LITEDFS_IN_USE,
                        "bind[%s]: the port is taken by another process; stop it (ss -ltnp "
                        "'sport = :%d' names it) or set another port",
                        where, port);
    if (errnum == EADDRNOTAVAIL || errnum == ENODEV || errnum == EINVAL)
        return err_set (error, LITEDFS_INVALID,
                        "bind[%s]: this machine has no such address; set one that it has, or "
                        "0.0.0.0 for all",
                        where);
    if (errnum == EACCES)
        return err_set (error, LITEDFS_FAILED,
                        "bind[%s]: ports below 1024 are not for everybody; set another port",
                        where);
    return err_set (error, LITEDFS_FAILED, "bind[%s]: %s", where, zmq_strerror (errnum));
}

/* Bind to one port: 0 or an errno; where gets host:port. */
static int
try_bind (void *socket, const char *host, int port, char *where, size_t size)
{
    char endpoint[NET_HOST_SIZE + 16];

    net_join_host_port (host, port, where, size);
    snprintf (endpoint, sizeof endpoint, "tcp://%s", where);
    return zmq_bind (socket, endpoint) == 0 ? 0 : errno;
}

static int
bind_any_port (void *socket, const char *host, int *out_port, litedfs_error_t *error)
{
    char where[NET_HOST_SIZE + 8];
    uint32_t start;
    const uint32_t span = SOCKET_PORT_LAST - SOCKET_PORT_FIRST + 1;

    if (random_bytes (&start, sizeof start, error) < 0)
        return error ? error->number : LITEDFS_FAILED;
    for (uint32_t i = 0; i < PORT_TRIES; i++) {
        int port = (int) (SOCKET_PORT_FIRST + (start % span + i) % span);
        int errnum = try_bind (socket, host, port, where, sizeof where);
        if (errnum == 0) {
            if (out_port)
                *out_port = port;
            return 0;
        }
        if (errnum != EADDRINUSE)
            return bind_error (where, port, errnum, error);
    }
    return err_set (error, LITEDFS_IN_USE,
                    "bind[%s]: no free port found from %d to %d; set one", host,
                    SOCKET_PORT_FIRST, SOCKET_PORT_LAST);
}

int
socket_bind (void *socket, const char *host, int port, int *out_port, litedfs_error_t *error)
{
    char where[NET_HOST_SIZE + 8];

    if (strlen (host) >= NET_HOST_SIZE || port < 0 || port > 65535)
        return err_set (error, LITEDFS_INVALID, "bind[%.64s:%d]: this is no address", host,
                        port);
    // An IPv4 address on an IPv6 socket would work, but name its peers ::ffff:a.b.c.d.
    if (!set_int (socket, ZMQ_IPV6, !is_numeric_ipv4 (host)))
        return err_set (error, LITEDFS_FAILED, "bind[%s]: %s", host, zmq_strerror (errno));
    if (port == 0)
        return bind_any_port (socket, host, out_port, error);
    int errnum = try_bind (socket, host, port, where, sizeof where);
    if (errnum)
        return bind_error (where, port, errnum, error);
    if (out_port)
        *out_port = port;
    return 0;
}

int
socket_connect (void *socket, const char *host, int port, litedfs_error_t *error)
{
    char where[NET_HOST_SIZE + 8];
    char endpoint[NET_HOST_SIZE + 16];

    if (strlen (host) >= NET_HOST_SIZE || port < 1 || port > 65535)
        return err_set (error, LITEDFS_INVALID, "connect[%.64s:%d]: this is no address", host,
                        port);
    net_join_host_port (host, port, where, sizeof where);
    snprintf (endpoint, sizeof endpoint, "tcp://%s", where);
    return socket_connect_endpoint (socket, endpoint, error);
}

int
socket_connect_endpoint (void *socket, const char *endpoint, litedfs_error_t *error)
{
    if (zmq_connect (socket, endpoint) == 0)
        return 0;
    return err_set (error, errno == EINVAL ? LITEDFS_INVALID : LITEDFS_FAILED,
                    "connect[%s]: %s", endpoint, zmq_strerror (errno));
}

int
socket_bind_endpoint (void *socket, const char *endpoint, litedfs_error_t *error)
{
    if (zmq_bind (socket, endpoint) == 0)
        return 0;
    int number = errno == EADDRINUSE ? LITEDFS_IN_USE
                 : errno == EINVAL   ? LITEDFS_INVALID
                                     : LITEDFS_FAILED;
    return err_set (error, number, "bind[%s]: %s", endpoint, zmq_strerror (errno));
}

void
socket_unbind_endpoint (void *socket, const char *endpoint)
{
    zmq_unbind (socket, endpoint);
}

void
socket_close (void **socket)
{
    int saved = errno;

    if (*socket) {
        zmq_close (*socket);
        atomic_fetch_sub (&sockets_open, 1);
        *socket = NULL;
    }
    errno = saved;
}

int
socket_send_frame (void *socket, zmq_msg_t *frame, bool more)
{
    int rc;
    socket_hand_over (zmq_msg_data (frame));
    do
        rc = zmq_msg_send (frame, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    while (rc < 0 && errno == EINTR);
    int errnum = rc < 0 ? errno : 0;
    if (errnum)
        zmq_msg_close (frame);
    zmq_msg_init (frame);
    return errnum;
}

int
socket_receive_frame (void *socket, zmq_msg_t *frame)
{
    int rc;
    do
        rc = zmq_msg_recv (frame, socket, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return errno;
    socket_take_over (zmq_msg_data (frame));
    return 0;
}

int
socket_receive_body (void *socket, struct socket_body *out)
{
    bool more = true;

    out->frames = 0;
    out->delimiter = false;
    zmq_msg_init (&out->header);
    zmq_msg_init (&out->payload);
    while (more) {
        zmq_msg_t frame;
        zmq_msg_init (&frame);
        int errnum = socket_receive_frame (socket, &frame);
        if (errnum) {
            zmq_msg_close (&frame);
            socket_body_close (out);
            return errnum;
        }
        more = zmq_msg_more (&frame);
        if (out->frames == 0 && !out->delimiter && zmq_msg_size (&frame) == 0)
            out->delimiter = true;
        else if (++out->frames <= 2)
            zmq_msg_move (out->frames == 1 ? &out->header : &out->payload, &frame);
        zmq_msg_close (&frame);
    }
    return 0;
}

void
socket_body_close (struct socket_body *self)
{
    zmq_msg_close (&self->header);
    zmq_msg_close (&self->payload);
}

/* libzmq's I/O thread waits when the queue of events is full or its reader gone: the PAIR has
 * no limit, is connected before there can be an event, and is closed after they have been
 * stopped. */
void *
socket_monitor (void *socket, int events, litedfs_error_t *error)
{
    char endpoint[64];

    void *pair = open_socket (ZMQ_PAIR, "monitor", error);
    if (!pair)
        return NULL;
    snprintf (endpoint, sizeof endpoint, "inproc://litedfs-monitor-%p", socket);
    if (!set_int (pair, ZMQ_LINGER, 0) || !set_int (pair, ZMQ_RCVHWM, 0) ||
        zmq_socket_monitor (socket, endpoint, events) < 0) {
        err_set (error, LITEDFS_FAILED, "socket[monitor]: %s", zmq_strerror (errno));
        socket_close (&pair);
    } else if (zmq_connect (pair, endpoint) < 0) {
        err_set (error, LITEDFS_FAILED, "socket[monitor]: %s", zmq_strerror (errno));
        zmq_socket_monitor (socket, NULL, 0);
        socket_close (&pair);
    }
    return pair;
}

/* Whether the event's value is a descriptor. */
static bool
names_descriptor (int event)
{
    return (event & (ZMQ_EVENT_CONNECTED | ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED |
                     ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED)) != 0;
}

int
socket_monitor_next (void *monitor, struct socket_event *out)
{
    uint8_t bytes[6]; // a 16-bit event and a 32-bit value, in the byte order of the machine
    char address[256];
    uint16_t event;

    int size;
    do
        size = zmq_recv (monitor, bytes, sizeof bytes, ZMQ_DONTWAIT);
    while (size < 0 && errno == EINTR);
    if (size != (int) sizeof bytes)
        return 0;
    zmq_recv (monitor, address, sizeof address,
              ZMQ_DONTWAIT); // the rest of the message: it is here
    memcpy (&event, bytes, sizeof event);
    memcpy (&out->value, bytes + sizeof event, sizeof out->value);
    out->event = event;
    out->fd = names_descriptor (event) ? (int) out->value : -1;
    return 1;
}

void
socket_monitor_close (void *socket, void **monitor)
{
    if (*monitor)
        zmq_socket_monitor (socket, NULL, 0);
    socket_close (monitor);
}

int
socket_count (void)
{
    return atomic_load (&sockets_open);
}
