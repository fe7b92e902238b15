/* SPDX-License-Identifier: MIT */
/*
 * The serving side: frames of a ROUTER to parsed requests, replies back.
 *
 * A message is taken from the socket, then what the monitor has said is taken in, then the
 * message's session is looked up: an event about the connection before, on the same descriptor,
 * was sent before the message and has been heard by then (session.h).  Until the next message
 * is taken nothing more is heard, so that the owner can hear of those ends before it looks at
 * the request: a node that was restarted must not register while its former session counts as
 * open, and a session must not be forgotten just before its last request is handled.
 *
 * A reply is sent frame by frame with raw messages.  With ROUTER_MANDATORY the first one, the
 * routing id, tells whether there is a peer and whether its queue has room; after it libzmq
 * takes or drops the rest as a whole.
 */
#include "rpc/router.h"

#include "base/err.h"
#include "base/text.h"
#include "rpc/session.h"
#include "rpc/socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* How many messages in a row are answered here before the owner gets its turn. */
#define ANSWERED_MAX 64

#define SESSION_BYTES ((uint64_t) 16 << 20)
#define NAME_SESSION_REQUESTS 2048
#define DATA_SESSION_REQUESTS 64

/* What a reply is taken to have before it is known, in bytes. */
#define REPLY_BYTES 1024

/* A message as it came. */
struct incoming {
    zmq_msg_t id;
    struct socket_body body;
    int fd;
    char peer[ROUTER_PEER_SIZE];
};

struct router {
    void *socket;
    void *monitor;
    struct session_table *sessions;
    struct session_limits limits;
    bool given;        // the last router_receive gave a request
    struct route last; // of a message whose connection has ended; its session ends at the next
    struct buf encoded;
    char *inproc; // bound to it, or NULL
    struct log *log;
    struct metrics *metrics;
    const struct clock *clock;
    int port;
};

/* ---- life ---- */

static int
open_sockets (struct router *self, const struct router_options *options, litedfs_error_t *error)
{
    struct socket_options socket_options = {.zap_domain = options->domain};

    self->socket = socket_new ((enum socket_role) options->role, &socket_options, error);
    if (!self->socket)
        return error ? error->number : LITEDFS_FAILED;
    self->monitor =
        socket_monitor (self->socket, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED, error);
    if (!self->monitor)
        return error ? error->number : LITEDFS_FAILED;
    if (options->inproc) {
        self->inproc = strdup (options->inproc);
        if (!self->inproc)
            return err_set (error, LITEDFS_MEMORY, "router: no memory");
        int rc = socket_bind_endpoint (self->socket, self->inproc, error);
        if (rc < 0)
            return rc;
    }
    if (options->host)
        return socket_bind (self->socket, options->host, options->port, &self->port, error);
    return 0;
}

int
router_new (struct router **out, const struct router_options *options, litedfs_error_t *error)
{
    struct router *self = calloc (1, sizeof *self);
    litedfs_error_t own;
    bool data = options->role == SOCKET_DATA_ROUTER;

    if (!error)
        error = &own;
    if (self)
        self->sessions = session_table_new ();
    if (!self || !self->sessions) {
        free (self);
        return err_set (error, LITEDFS_MEMORY, "router: no memory");
    }
    self->log = options->log;
    self->metrics = options->metrics;
    self->clock = options->clock;
    self->limits.bytes = options->session_bytes ? options->session_bytes : SESSION_BYTES;
    self->limits.requests = options->session_requests ? options->session_requests
                            : data                    ? DATA_SESSION_REQUESTS
                                                      : NAME_SESSION_REQUESTS;
    int rc = open_sockets (self, options, error);
    if (rc < 0) {
        router_destroy (&self);
        return rc;
    }
    *out = self;
    return 0;
}

void
router_destroy (struct router **self)
{
    int saved = errno;

    if (*self) {
        if ((*self)->socket && (*self)->inproc)
            socket_unbind_endpoint ((*self)->socket, (*self)->inproc);
        if ((*self)->socket)
            socket_monitor_close ((*self)->socket, &(*self)->monitor);
        socket_close (&(*self)->socket);
        session_table_destroy (&(*self)->sessions);
        buf_free (&(*self)->encoded);
        free ((*self)->inproc);
        free (*self);
        *self = NULL;
    }
    errno = saved;
}

int
router_port (const struct router *self)
{
    return self->port;
}

void *
router_socket (struct router *self)
{
    return self->socket;
}

void *
router_monitor_socket (struct router *self)
{
    return self->monitor;
}

void
request_destroy (struct request **self)
{
    int saved = errno;

    if (*self) {
        message_destroy (&(*self)->message);
        zmq_msg_close (&(*self)->header);
        zmq_msg_close (&(*self)->payload);
        free (*self);
        *self = NULL;
    }
    errno = saved;
}

/* ---- replies ---- */

/* Send bytes as a frame: 0 or an errno. */
static int
send_bytes (void *socket, const void *data, size_t size, bool more)
{
    zmq_msg_t frame;

    if (zmq_msg_init_size (&frame, size) < 0)
        return errno;
    if (size > 0)
        memcpy (zmq_msg_data (&frame), data, size);
    int errnum = socket_send_frame (socket, &frame, more);
    zmq_msg_close (&frame);
    return errnum;
}

/* Send a whole reply: 0 or an errno.  payload is taken. */
static int
send_reply (struct router *self, struct slice id, bool delimiter, struct slice header,
            zmq_msg_t *payload)
{
    zmq_msg_t frame; // made before anything is sent: no message without its end

    int errnum = zmq_msg_init_size (&frame, header.size) < 0 ? errno : 0;
    if (errnum == 0) {
        memcpy (zmq_msg_data (&frame), header.data, header.size);
        errnum = send_bytes (self->socket, id.data, id.size, true);
        if (errnum == 0 && delimiter)
            errnum = send_bytes (self->socket, NULL, 0, true);
        if (errnum == 0)
            errnum = socket_send_frame (self->socket, &frame, payload != NULL);
        if (errnum == 0 && payload)
            errnum = socket_send_frame (self->socket, payload, false);
        zmq_msg_close (&frame);
    }
    if (payload) {
        zmq_msg_close (payload);
        zmq_msg_init (payload);
    }
    return errnum;
}

/* Count an answer: how it ended (number: of err.def, or 0), and how long it took. */
static void
count_reply (struct router *self, const struct route *route, int number, size_t bytes)
{
    metric_add (self->metrics, METRIC_SENT_BYTES, 0, bytes);
    if (number != 0)
        metric_error (self->metrics, number);
    if (route->received_us == 0)
        return;
    metric_add (self->metrics, METRIC_REQUESTS,
                (size_t) route->number * METRIC_OUTCOMES +
                    (number != 0 ? METRIC_FAILED : METRIC_OK),
                1);
    metric_observe (self->metrics, METRIC_REQUEST_DURATION, route->number,
                    metric_now_us (self->metrics) - route->received_us);
}

/* Send a reply to a session and account for it; number is its error, or 0.  payload is taken. */
static int
reply (struct router *self, const struct route *route, uint64_t id, int number,
       struct slice header, zmq_msg_t *payload)
{
    size_t bytes = header.size + (payload ? zmq_msg_size (payload) : 0);

    count_reply (self, route, number, bytes);
    struct session *session =
        session_table_find (self->sessions, route->id, route->size, route->session);

    if (!session) {
        if (payload) {
            zmq_msg_close (payload);
            zmq_msg_init (payload);
        }
        return LITEDFS_UNREACHABLE;
    }
    int errnum =
        send_reply (self, slice_of (route->id, route->size), route->delimiter, header, payload);
    session_answered (session, id, errnum == 0 ? bytes : 0);
    if (errnum == 0)
        return 0;
    log_debug (self->log, "session %llu: a reply of %zu bytes is dropped: %s",
               (unsigned long long) route->session, bytes, zmq_strerror (errnum));
    if (errnum == EHOSTUNREACH) {
        session_table_gone (self->sessions, session);
        return LITEDFS_UNREACHABLE;
    }
    return errnum == EAGAIN ? LITEDFS_BUSY : errnum == ENOMEM ? LITEDFS_MEMORY : LITEDFS_FAILED;
}

int
router_reply (struct router *self, const struct route *route, uint64_t id,
              const struct message_type *type, const void *fields, zmq_msg_t *payload)
{
    litedfs_error_t error;

    buf_clear (&self->encoded);
    if (message_encode_reply (&self->encoded, type, fields, id, &error) == 0)
        return reply (self, route, id, 0, buf_slice (&self->encoded), payload);
    log_error (self->log, "a reply to %s cannot be encoded: %s", type->op, error.text);
    if (payload) {
        zmq_msg_close (payload);
        zmq_msg_init (payload);
    }
    return router_reply_error (
        self, route, id, error.number == LITEDFS_MEMORY ? LITEDFS_MEMORY : LITEDFS_FAILED,
        "the reply could not be encoded; the log of the daemon says more");
}

int
router_reply_error (struct router *self, const struct route *route, uint64_t id, int number,
                    const char *text)
{
    buf_clear (&self->encoded);
    message_encode_error (&self->encoded, id, number, text);
    if (self->encoded.failed)
        return LITEDFS_MEMORY;
    return reply (self, route, id, number, buf_slice (&self->encoded), NULL);
}

int
router_reply_encoded (struct router *self, const struct route *route, uint64_t id, int number,
                      const void *frame, size_t size)
{
    return reply (self, route, id, number, slice_of (frame, size), NULL);
}

/* ---- sessions ---- */

static void
hear_monitor (struct router *self)
{
    struct socket_event event;

    while (socket_monitor_next (self->monitor, &event))
        if (event.event == ZMQ_EVENT_ACCEPTED)
            session_table_opened (self->sessions, event.fd);
        else if (event.event == ZMQ_EVENT_DISCONNECTED)
            session_table_closed (self->sessions, event.fd);
}

int
router_closed (struct router *self, uint64_t *out_session)
{
    if (!self->given)
        hear_monitor (self);
    return session_table_next_ended (self->sessions, out_session);
}

uint64_t
router_unread (int fd)
{
    int bytes = 0;

    if (fd < 0 || ioctl (fd, SIOCOUTQ, &bytes) < 0 || bytes < 0)
        return 0;
    return (uint64_t) bytes;
}

/* How many bytes the reply will have, if the request says so.  lock.list is answered by another thread,
 * when many more may have been admitted, so it counts as a whole page until then. */
static uint64_t
expected_bytes (struct message *message)
{
    struct block_read_request fields;

    if (message->type->number == MESSAGE_lock_list)
        return WIRE_PAGE_MAX;
    if (message->type->number != MESSAGE_block_read ||
        message_request_fields (message, &fields, NULL) < 0)
        return REPLY_BYTES;
    return fields.size + REPLY_BYTES;
}

/* ---- requests ---- */

/* Where it comes from, by the header's properties: those of the routing id are lost in libzmq.
 * */
static void
find_origin (struct incoming *in)
{
    const char *address = zmq_msg_gets (&in->body.header, "Peer-Address");

    in->fd = zmq_msg_get (&in->body.header, ZMQ_SRCFD);
    if (!address)
        return;
    if (strncmp (address, "::ffff:", 7) == 0 && strchr (address, '.'))
        address += 7;
    snprintf (in->peer, sizeof in->peer, "%s", address);
}

/* The next message: true, and it is the caller's to be closed. */
static bool
receive (struct router *self, struct incoming *out)
{
    memset (out, 0, sizeof *out);
    zmq_msg_init (&out->id);
    if (socket_receive_frame (self->socket, &out->id) != 0 ||
        socket_receive_body (self->socket, &out->body) != 0) {
        zmq_msg_close (&out->id);
        return false;
    }
    find_origin (out);
    return true;
}

static void
incoming_close (struct incoming *self)
{
    zmq_msg_close (&self->id);
    socket_body_close (&self->body);
}

/* Answer what is no request.  There may be no session. */
static void
refuse (struct router *self, struct incoming *in, const struct route *route, uint64_t id,
        int number, const char *text)
{
    log_debug (self->log, "%s: refused: %s", in->peer[0] ? in->peer : "inproc", text);
    if (route) {
        router_reply_error (self, route, id, number, text);
        return;
    }
    metric_error (self->metrics, number);
    buf_clear (&self->encoded);
    message_encode_error (&self->encoded, id, number, text);
    if (!self->encoded.failed)
        send_reply (self, slice_of (zmq_msg_data (&in->id), zmq_msg_size (&in->id)),
                    in->body.delimiter, buf_slice (&self->encoded), NULL);
}

/* Whether a parsed request may go on to the owner; if not, it is answered. */
static bool
accept_request (struct router *self, struct incoming *in, const struct route *route,
                struct session *session, struct message *message)
{
    const struct envelope *envelope = &message->envelope;
    char op[80], text[160];

    if (!message->type) {
        snprintf (text, sizeof text, "op[%s]: not known here",
                  text_escape (message->op.data, message->op.size, op, sizeof op));
        refuse (self, in, route, envelope->id, LITEDFS_UNSUPPORTED, text);
        return false;
    }
    if (message->type->effect != EFFECT_READS)
        return true;
    bool has_seen = envelope->seen != WIRE_UNKNOWN;
    struct session_claim claim = {.id = envelope->id,
                                  .has_seen = has_seen,
                                  .seen = has_seen ? envelope->seen : 0,
                                  .bytes = expected_bytes (message),
                                  .unread = router_unread (in->fd)};
    if (session_admit (session, &self->limits, &claim))
        return true;
    refuse (self, in, route, envelope->id, LITEDFS_BUSY,
            has_seen
                ? "too many answers are under way to this session; take them, then ask again"
                : "an answer is under way to this session; take it first, or send `seen`");
    return false;
}

/* Make a request of a message whose session is known, or answer it and return NULL. */
static struct request *
make_request (struct router *self, struct incoming *in, const struct route *route,
              struct session *session)
{
    struct request *request = calloc (1, sizeof *request);
    litedfs_error_t error;
    uint64_t id = 0;

    if (!request)
        return NULL;
    request->route = *route;
    request->fd = in->fd;
    memcpy (request->peer, in->peer, sizeof request->peer);
    zmq_msg_init (&request->header);
    zmq_msg_move (&request->header, &in->body.header);
    zmq_msg_init (&request->payload);
    zmq_msg_move (&request->payload, &in->body.payload);
    request->has_payload = in->body.frames > 1;
    struct slice frame =
        slice_of (zmq_msg_data (&request->header), zmq_msg_size (&request->header));
    if (message_parse_request (frame, &request->message, &id, &error) < 0) {
        refuse (self, in, route, id, error.number, error.text);
        request_destroy (&request);
        return NULL;
    }
    if (request->message->type) {
        request->route.number = request->message->type->number;
        request->route.received_us = metric_now_us (self->metrics);
    }
    if (!accept_request (self, in, &request->route, session, request->message))
        request_destroy (&request);
    return request;
}

/* Look a message over: a request, or NULL if it was answered here. */
static struct request *
take_in (struct router *self, struct incoming *in)
{
    struct route route = {.delimiter = in->body.delimiter};
    size_t size = zmq_msg_size (&in->id);

    if (size == 0 || size > sizeof route.id) {
        refuse (self, in, NULL, 0, LITEDFS_INVALID, "routing ids have at most 32 bytes here");
        return NULL;
    }
    memcpy (route.id, zmq_msg_data (&in->id), size);
    route.size = (uint8_t) size;
    struct session *session =
        session_table_get (self->sessions, route.id, size, in->fd, clock_mono (self->clock));
    if (!session)
        return NULL;
    route.session = session->number;
    if (!session_table_is_open (self->sessions, session))
        self->last = route;
    if (in->body.frames > 0 && in->body.frames <= SOCKET_FRAMES_MAX)
        return make_request (self, in, &route, session);
    refuse (self, in, &route, 0, LITEDFS_INVALID,
            in->body.frames == 0 ? "the message is empty"
                                 : "the message has more than 8 frames");
    return NULL;
}

/* End the session of the last message, if its connection had ended before. */
static void
end_last (struct router *self)
{
    struct session *session =
        session_table_find (self->sessions, self->last.id, self->last.size, self->last.session);

    if (session)
        session_table_gone (self->sessions, session);
    self->last = (struct route){.size = 0};
}

int
router_receive (struct router *self, struct request **out)
{
    struct request *request = NULL;

    self->given = false;
    for (int i = 0; i < ANSWERED_MAX && !request; i++) {
        end_last (self);
        struct incoming in;
        if (!receive (self, &in))
            return 0;
        metric_add (self->metrics, METRIC_RECEIVED_BYTES, 0,
                    zmq_msg_size (&in.body.header) + zmq_msg_size (&in.body.payload));
        hear_monitor (self);
        request = take_in (self, &in);
        incoming_close (&in);
    }
    if (!request)
        return 0;
    self->given = true;
    *out = request;
    return 1;
}

/* ---- dispatch ---- */

void
router_words (const struct router_row *rows, size_t count, const char *words[MESSAGE_COUNT])
{
    memset (words, 0, MESSAGE_COUNT * sizeof *words);
    for (size_t i = 0; i < count; i++)
        words[rows[i].number] = message_types[rows[i].number].op;
}

void
router_dispatch (struct router *self, const struct router_row *rows, size_t count,
                 void *context, enum message_peer peer, struct request **request)
{
    struct request *taken = *request;
    const struct router_row *row = NULL;
    struct route route = taken->route;
    uint64_t id = taken->message->envelope.id;
    litedfs_error_t error;
    int rc;

    *request = NULL;
    for (size_t i = 0; i < count && !row; i++)
        if (rows[i].number == taken->message->type->number)
            row = &rows[i];
    if (!row)
        rc = err_set (&error, LITEDFS_UNSUPPORTED, "op[%s]: not served here",
                      taken->message->type->op);
    else if (!(row->from & peer) && row->from == PEER_NODE)
        rc = err_set (&error, LITEDFS_REGISTER_FIRST,
                      "op[%s]: this session has not registered as a data node",
                      taken->message->type->op);
    else if (!(row->from & peer))
        rc = err_set (&error, LITEDFS_REFUSED, "op[%s]: not for you", taken->message->type->op);
    else
        rc = row->handle (context, taken, &error);
    if (rc < 0) {
        router_reply_error (self, &route, id, error.number, error.text);
        request_destroy (&taken);
    }
}
