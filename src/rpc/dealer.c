/* SPDX-License-Identifier: MIT */
/*
 * The asking side: requests by id, one connection at a time.
 *
 * Ids ascend and requests are sent in their order, so one number, unsent_id, tells those that
 * are on this socket from those that wait for it.  Header and payload are kept as messages that
 * libzmq shares, and copies (references) of them are sent, so a retry has the same bytes.
 *
 * The connection, and what to do when it ends, is link.c's.  What the link cannot see, a peer
 * that went silent, is told by the clock.
 *
 * dealer_process takes in everything that has come before it looks at the clock.
 */
#include "rpc/dealer.h"

#include "base/err.h"
#include "rpc/link.h"
#include "rpc/pending.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPT_MS 5000
/* How many messages are taken in before the owner gets its turn. */
#define RECEIVE_MAX 1024

#define NEVER INT64_MAX

struct dealer {
    struct link link;
    char *peer;
    uint8_t client[WIRE_CLIENT_SIZE];
    bool has_client;
    const struct clock *clock;
    struct log *log;
    int64_t attempt_ms;

    struct pending_ring ring;
    uint64_t unsent_id; // none below waits to be sent

    int64_t deadline_ms; // none of the requests has one before
    int64_t silence_ms;  // no silence needs to be judged before
    int64_t heard_ms;    // when a message came, or the first request was sent to an idle peer

    struct buf encoded;
    struct dealer_reply *current; // in its callback
    bool processing;
};

/* End a request: with a reply, or with an error. */
static void
finish (struct dealer *self, struct pending *pending, struct message *reply, zmq_msg_t *payload,
        const litedfs_error_t *error)
{
    pending_ring_take (&self->ring, pending);
    pending->fn (pending->arg, reply, payload, error);
    pending_free (pending);
}

/* Send what waits, as long as libzmq takes it. */
static void
flush (struct dealer *self)
{
    for (; self->unsent_id < self->ring.next_id; self->unsent_id++) {
        struct pending *pending = pending_ring_find (&self->ring, self->unsent_id);
        if (!pending)
            continue;
        int errnum = link_send (&self->link, &pending->header,
                                pending->has_payload ? &pending->payload : NULL);
        if (errnum != 0) {
            if (errnum != EAGAIN)
                log_warning (self->log, "%s: cannot send: %s", self->peer,
                             zmq_strerror (errnum));
            return;
        }
        pending->was_sent = true;
        pending->due_ms = clock_mono (self->clock) + pending->patience_ms;
        if (pending->due_ms + self->attempt_ms < self->silence_ms)
            self->silence_ms = pending->due_ms + self->attempt_ms;
    }
}

/* ---- ends without an answer ---- */

static bool
may_change (const struct pending *pending)
{
    return pending->type->effect != EFFECT_READS;
}

static void
refused_error (const struct dealer *self, const struct pending *pending, litedfs_error_t *error)
{
    err_set (error, LITEDFS_REFUSED,
             "%s does not let this host in; add it to allow: in the configuration.yml there%s",
             self->peer,
             pending->was_sent && may_change (pending)
                 ? "; a request that was sent before may have been carried out"
                 : "");
}

static void
expire (struct dealer *self, struct pending *pending)
{
    litedfs_error_t error;
    double seconds = (double) pending->timeout_ms / 1000;

    if (self->link.refused)
        refused_error (self, pending, &error);
    else if (pending->was_sent)
        err_set (&error, LITEDFS_TIMEOUT, "%s: no answer from %s within %.1f s%s",
                 pending->type->op, self->peer, seconds,
                 may_change (pending) ? "; whether it was carried out is not known" : "");
    else if (self->link.connected)
        err_set (&error, LITEDFS_UNREACHABLE,
                 "cannot reach %s: it takes no requests since %.1f s", self->peer, seconds);
    else
        err_set (&error, LITEDFS_UNREACHABLE, "cannot reach %s: %s within %.1f s", self->peer,
                 self->link.wrong_peer
                     ? "what listens there does not speak ZeroMQ; no connection"
                     : "no connection",
                 seconds);
    finish (self, pending, NULL, NULL, &error);
}

static void
refuse_all (struct dealer *self)
{
    litedfs_error_t error;
    uint64_t end = self->ring.next_id;

    for (uint64_t id = self->ring.first_id; id < end; id++) {
        struct pending *pending = pending_ring_find (&self->ring, id);
        if (!pending)
            continue;
        refused_error (self, pending, &error);
        finish (self, pending, NULL, NULL, &error);
    }
}

void
dealer_cancel_all (struct dealer *self)
{
    litedfs_error_t error;
    uint64_t end = self->ring.next_id;

    for (uint64_t id = self->ring.first_id; id < end; id++) {
        struct pending *pending = pending_ring_find (&self->ring, id);
        if (!pending)
            continue;
        err_set (&error, LITEDFS_CANCELLED, "%s: cancelled%s", pending->type->op,
                 pending->was_sent && may_change (pending) ? "; it may have been carried out"
                                                           : "");
        finish (self, pending, NULL, NULL, &error);
    }
}

bool
dealer_cancel (struct dealer *self, int64_t id)
{
    struct pending *pending = id > 0 ? pending_ring_find (&self->ring, (uint64_t) id) : NULL;

    if (!pending)
        return false;
    pending_ring_take (&self->ring, pending);
    pending_free (pending);
    return true;
}

/* ---- what comes in ---- */

void
dealer_reply_destroy (struct dealer_reply **self)
{
    int saved = errno;

    if (*self) {
        message_destroy (&(*self)->message);
        zmq_msg_close (&(*self)->frame);
        zmq_msg_close (&(*self)->payload);
        free (*self);
        *self = NULL;
    }
    errno = saved;
}

/* Take a message: false if there is none.  *out stays NULL if it cannot be a reply. */
static bool
receive (struct dealer *self, struct dealer_reply **out)
{
    struct socket_body body;

    *out = NULL;
    if (!link_receive (&self->link, &body))
        return false;
    struct dealer_reply *reply = NULL;
    if (body.frames > 0 && body.frames <= SOCKET_FRAMES_MAX)
        reply = calloc (1, sizeof *reply);
    if (reply) {
        zmq_msg_init (&reply->frame);
        zmq_msg_move (&reply->frame, &body.header);
        zmq_msg_init (&reply->payload);
        zmq_msg_move (&reply->payload, &body.payload);
        reply->has_payload = body.frames > 1;
    }
    socket_body_close (&body);
    *out = reply;
    return true;
}

/* Give a reply to the request that it answers. */
static void
deliver (struct dealer *self, struct dealer_reply **reply)
{
    litedfs_error_t error;
    struct message *message = NULL;
    struct slice frame =
        slice_of (zmq_msg_data (&(*reply)->frame), zmq_msg_size (&(*reply)->frame));

    if (message_parse_reply (frame, &message, &error) < 0) {
        log_debug (self->log, "%s: a reply that is none: %s", self->peer, error.text);
        return;
    }
    (*reply)->message = message;
    struct pending *pending = pending_ring_find (&self->ring, message->envelope.id);
    if (!pending || pending->id >= self->unsent_id) {
        log_debug (self->log, "%s: a reply to %llu, which waits for none", self->peer,
                   (unsigned long long) message->envelope.id);
        return;
    }
    link_is_good (&self->link);
    self->current = *reply;
    *reply = NULL;
    if (message->ok)
        finish (self, pending, message,
                self->current->has_payload ? &self->current->payload : NULL, NULL);
    else
        finish (self, pending, NULL, NULL, &message->error);
    dealer_reply_destroy (&self->current);
}

/* Take in what has come: true if that was all. */
static bool
receive_all (struct dealer *self)
{
    struct dealer_reply *reply;

    for (int i = 0; i < RECEIVE_MAX; i++) {
        if (!receive (self, &reply))
            return true;
        self->heard_ms = clock_mono (self->clock);
        if (reply)
            deliver (self, &reply);
        else
            log_debug (self->log, "%s: a message that is no reply", self->peer);
        dealer_reply_destroy (&reply);
    }
    return false;
}

/* ---- the clock ---- */

/* End the requests whose time is over. */
static void
judge_deadlines (struct dealer *self, int64_t now_ms)
{
    uint64_t end = self->ring.next_id;

    if (now_ms < self->deadline_ms)
        return;
    self->deadline_ms = NEVER;
    for (uint64_t id = self->ring.first_id; id < end; id++) {
        struct pending *pending = pending_ring_find (&self->ring, id);
        if (pending && pending->deadline_ms <= now_ms)
            expire (self, pending);
        else if (pending && pending->deadline_ms < self->deadline_ms)
            self->deadline_ms = pending->deadline_ms;
    }
}

/* Give the connection up if an answer is due and nothing was heard for attempt_ms. */
static void
judge_silence (struct dealer *self, int64_t now_ms)
{
    if (self->link.broken || now_ms < self->silence_ms)
        return;
    self->silence_ms = NEVER;
    for (uint64_t id = self->ring.first_id; id < self->unsent_id; id++) {
        struct pending *pending = pending_ring_find (&self->ring, id);
        if (!pending)
            continue;
        int64_t from_ms =
            pending->due_ms > self->link.heard_ms ? pending->due_ms : self->link.heard_ms;
        if (from_ms + self->attempt_ms <= now_ms) {
            log_debug (self->log, "%s: silent for %lld ms; connecting again", self->peer,
                       (long long) (now_ms - from_ms));
            link_give_up (&self->link, 0);
            return;
        }
        if (from_ms + self->attempt_ms < self->silence_ms)
            self->silence_ms = from_ms + self->attempt_ms;
    }
}

void
dealer_process (struct dealer *self)
{
    assert (!self->processing);
    self->processing = true;
    bool all = receive_all (self);
    if (link_hear (&self->link))
        refuse_all (self);
    if (all) {
        int64_t now_ms = clock_mono (self->clock);
        judge_deadlines (self, now_ms);
        judge_silence (self, now_ms);
    }
    if (link_renew (&self->link)) {
        self->unsent_id = self->ring.first_id;
        self->silence_ms = NEVER;
    }
    flush (self);
    self->processing = false;
}

long
dealer_timeout_ms (struct dealer *self)
{
    int64_t at_ms = self->deadline_ms;

    if (self->ring.count == 0)
        at_ms = NEVER;
    else if (!self->link.broken && self->silence_ms < at_ms)
        at_ms = self->silence_ms;
    if (self->link.broken && self->link.replace_ms < at_ms)
        at_ms = self->link.replace_ms;
    if (at_ms == NEVER)
        return -1;
    int64_t left_ms = at_ms - clock_mono (self->clock);
    return left_ms <= 0 ? 0 : left_ms > 3600000 ? 3600000 : (long) left_ms;
}

/* ---- requests ---- */

/* Encode into a pending's header. */
static int
encode (struct dealer *self, struct pending *pending, const void *fields,
        litedfs_error_t *error)
{
    struct envelope envelope = {.id = pending->id,
                                .version = WIRE_VERSION_MAX,
                                .client = slice_of (NULL, 0),
                                .seen = WIRE_UNKNOWN};

    if (pending->type->effect == EFFECT_MUTATES && self->has_client)
        envelope.client = slice_of (self->client, sizeof self->client);
    if (pending->type->effect == EFFECT_READS || envelope.client.data)
        envelope.seen = self->ring.first_id - 1;
    buf_clear (&self->encoded);
    int rc = message_encode_request (&self->encoded, pending->type, fields, &envelope, error);
    if (rc < 0)
        return rc;
    zmq_msg_close (&pending->header);
    if (zmq_msg_init_size (&pending->header, self->encoded.size) < 0) {
        zmq_msg_init (&pending->header);
        return err_set (error, LITEDFS_MEMORY, "%s: no memory", pending->type->op);
    }
    memcpy (zmq_msg_data (&pending->header), self->encoded.data, self->encoded.size);
    return 0;
}

int64_t
dealer_send (struct dealer *self, const struct message_type *type, const void *fields,
             zmq_msg_t *payload, int64_t timeout_ms, dealer_fn *fn, void *arg,
             litedfs_error_t *error)
{
    struct pending *pending = pending_new (&self->ring);

    if (!pending)
        return err_set (error, LITEDFS_MEMORY, "%s: no memory", type->op);
    pending->type = type;
    pending->fn = fn;
    pending->arg = arg;
    int rc = encode (self, pending, fields, error);
    if (rc == 0 && payload && zmq_msg_copy (&pending->payload, payload) < 0)
        rc = err_set_errno (error, LITEDFS_FAILED, errno, "%s: payload", type->op);
    if (rc < 0) {
        pending_free (pending);
        return rc;
    }
    pending->has_payload = payload != NULL;
    pending->timeout_ms = timeout_ms;
    pending->deadline_ms = timeout_ms < 0 ? NEVER : clock_mono (self->clock) + timeout_ms;
    if (self->ring.count == 0)
        self->heard_ms = clock_mono (self->clock);
    if (pending->deadline_ms < self->deadline_ms)
        self->deadline_ms = pending->deadline_ms;
    pending_ring_add (&self->ring, pending);
    flush (self);
    return (int64_t) pending->id;
}

void
dealer_patience (struct dealer *self, int64_t id, int64_t ms)
{
    struct pending *pending = id > 0 ? pending_ring_find (&self->ring, (uint64_t) id) : NULL;

    if (!pending)
        return;
    pending->due_ms += ms - pending->patience_ms; // without meaning until it is sent
    pending->patience_ms = ms;
}

/* ---- the blocking form ---- */

struct call {
    struct dealer *dealer;
    struct dealer_reply *reply;
    litedfs_error_t error;
    bool done;
};

static void
on_call_end (void *arg, struct message *reply, zmq_msg_t *payload, const litedfs_error_t *error)
{
    struct call *call = arg;

    (void) payload;
    call->done = true;
    if (reply) {
        call->reply = call->dealer->current;
        call->dealer->current = NULL;
    } else {
        call->error = *error;
    }
}

/* Wait until the call is done: 0, or LITEDFS_CANCELLED, LITEDFS_FAILED. */
static int
wait_for (struct dealer *self, struct call *call, int cancel_fd, litedfs_error_t *error)
{
    while (!call->done) {
        zmq_pollitem_t items[DEALER_POLL_ITEMS + 1];
        size_t count = dealer_poll_items (self, items);
        items[count] = (zmq_pollitem_t){NULL, cancel_fd, ZMQ_POLLIN, 0};
        long ms = dealer_timeout_ms (self);
        int rc = zmq_poll (items, (int) count + (cancel_fd >= 0),
                           ms >= 0 && ms < PATIENT_SLEEP_MS ? ms : PATIENT_SLEEP_MS);
        if (rc < 0 && errno != EINTR)
            return err_set (error, LITEDFS_FAILED, "poll: %s", zmq_strerror (errno));
        if (rc > 0 && cancel_fd >= 0 && items[count].revents)
            return err_set (error, LITEDFS_CANCELLED, "cancelled");
        dealer_process (self);
    }
    return 0;
}

int
dealer_call (struct dealer *self, const struct message_type *type, const void *fields,
             zmq_msg_t *payload, void *reply_fields, struct dealer_reply **reply,
             int64_t timeout_ms, int cancel_fd, litedfs_error_t *error)
{
    struct call call = {.dealer = self};

    int64_t id =
        dealer_send (self, type, fields, payload, timeout_ms, on_call_end, &call, error);
    if (id < 0)
        return (int) id;
    int rc = wait_for (self, &call, cancel_fd, error);
    if (rc < 0) {
        dealer_cancel (self, id);
        return rc;
    }
    if (!call.reply)
        return err_set (error, call.error.number, "%s", call.error.text);
    if (reply_fields) {
        rc = message_reply_fields (call.reply->message, type, reply_fields, error);
        if (rc < 0) {
            dealer_reply_destroy (&call.reply);
            return err_prefix (error, "%s answered %s", self->peer, type->op);
        }
    }
    if (reply) {
        *reply = call.reply;
        return 0;
    }
    dealer_reply_destroy (&call.reply);
    return 0;
}

/* ---- state and life ---- */

size_t
dealer_poll_items (struct dealer *self, zmq_pollitem_t items[DEALER_POLL_ITEMS])
{
    bool waiting = !self->link.broken && self->unsent_id < self->ring.next_id;
    short events = (short) (ZMQ_POLLIN | (waiting ? ZMQ_POLLOUT : 0));

    items[0] = (zmq_pollitem_t){self->link.socket, 0, events, 0};
    if (!self->link.monitor)
        return 1;
    items[1] = (zmq_pollitem_t){self->link.monitor, 0, ZMQ_POLLIN, 0};
    return 2;
}

bool
dealer_connected (const struct dealer *self)
{
    return self->link.connected;
}

bool
dealer_idle (const struct dealer *self)
{
    return self->ring.count == 0;
}

size_t
dealer_pending (const struct dealer *self)
{
    return self->ring.count;
}

size_t
dealer_span (const struct dealer *self)
{
    return (size_t) (self->ring.next_id - self->ring.first_id);
}

int64_t
dealer_silent_ms (const struct dealer *self)
{
    return self->ring.count > 0 ? clock_mono (self->clock) - self->heard_ms : 0;
}

/* Copy the options' strings and make the ring. */
static bool
set_up (struct dealer *self, const struct dealer_options *options)
{
    const char *peer = options->peer ? options->peer : options->endpoint;

    if (strncmp (peer, "tcp://", 6) == 0)
        peer += 6;
    self->peer = strdup (peer);
    self->has_client = options->client != NULL;
    if (options->client)
        memcpy (self->client, options->client, sizeof self->client);
    self->clock = options->clock;
    self->log = options->log;
    self->attempt_ms = options->attempt_ms > 0 ? options->attempt_ms : ATTEMPT_MS;
    self->unsent_id = options->first_id ? options->first_id : 1;
    self->deadline_ms = self->silence_ms = NEVER;
    return pending_ring_init (&self->ring, self->unsent_id) == 0 && self->peer;
}

int
dealer_new (struct dealer **out, const struct dealer_options *options, litedfs_error_t *error)
{
    struct dealer *self = calloc (1, sizeof *self);
    litedfs_error_t own;

    if (!error)
        error = &own;
    if (!self || !set_up (self, options)) {
        dealer_destroy (&self);
        return err_set (error, LITEDFS_MEMORY, "connect[%s]: no memory", options->endpoint);
    }
    int rc =
        link_open (&self->link, options->endpoint, self->peer, self->clock, self->log, error);
    if (rc < 0) {
        dealer_destroy (&self);
        return rc;
    }
    *out = self;
    return 0;
}

void
dealer_destroy (struct dealer **self)
{
    int saved = errno;

    if (*self) {
        pending_ring_free (&(*self)->ring);
        link_close (&(*self)->link);
        free ((*self)->peer);
        buf_free (&(*self)->encoded);
        free (*self);
        *self = NULL;
    }
    errno = saved;
}
