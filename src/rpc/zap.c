/* SPDX-License-Identifier: MIT */
/*
 * The ZAP handler: an actor with a ROUTER at the address that libzmq knows.
 *
 * libzmq sends it one message a handshake: delimiter, version "1.0", request id, domain,
 * address, routing id, mechanism, credentials; the answer is delimiter, version, request id,
 * status, text, user id, metadata.  200 lets the peer in.  Everything else that can be said is
 * 400: an address that is not in the domain's list, a domain without list, a message that is
 * not as it should be.
 *
 * Lists are kept under a mutex that is held for a look into one of them, so that daemons may
 * replace theirs from their own threads and HTTP may ask.  What was refused is logged once an
 * address a minute, by a small table; when that is full of others, refusals are counted and
 * told with the next line.
 */
#include "rpc/zap.h"

#include "base/actor.h"
#include "base/err.h"
#include "rpc/socket.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ENDPOINT "inproc://zeromq.zap.01"

/* The most frames that we look at; libzmq sends 8, or 9 with CURVE and PLAIN. */
#define FRAMES_MAX 12

/* Refused addresses that are remembered, and for how long each is not logged again, in ms. */
#define REFUSED_MAX 64
#define REFUSED_QUIET_MS 60000

struct domain {
    char name[ZAP_DOMAIN_SIZE];
    char *source;
    struct net_list list;
    struct domain *next;
};

struct refused {
    char address[NET_ADDRESS_SIZE];
    int64_t logged_ms;
};

struct zap {
    struct actor *actor;
    struct log *log;
    const struct clock *clock;
    pthread_mutex_t mutex; // over all that follows
    struct domain *domains;
    struct refused recent[REFUSED_MAX];
    size_t recent_count;
    uint64_t refused_count;
    uint64_t not_logged;
};

/* ---- lists ---- */

static struct domain **
find_domain (struct zap *self, const char *name)
{
    struct domain **at = &self->domains;

    while (*at && strcmp ((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

static void
domain_free (struct domain *self)
{
    if (self)
        free (self->source);
    free (self);
}

int
zap_allow (struct zap *self, const char *name, const struct net_list *list, const char *source,
           litedfs_error_t *error)
{
    size_t size = strlen (name);

    if (size == 0 || size >= ZAP_DOMAIN_SIZE)
        return err_set (error, LITEDFS_INVALID, "domain[%.64s]: its name has 1 to %d letters",
                        name, ZAP_DOMAIN_SIZE - 1);
    struct domain *domain = calloc (1, sizeof *domain);
    char *copy = source ? strdup (source) : NULL;
    if (!domain || (source && !copy)) {
        free (domain);
        free (copy);
        return err_set (error, LITEDFS_MEMORY, "domain[%s]: no memory", name);
    }
    memcpy (domain->name, name, size + 1);
    domain->list = *list;
    domain->source = copy;
    pthread_mutex_lock (&self->mutex);
    struct domain **at = find_domain (self, name);
    struct domain *old = *at;
    domain->next = old ? old->next : NULL;
    *at = domain;
    pthread_mutex_unlock (&self->mutex);
    domain_free (old);
    return 0;
}

void
zap_forget (struct zap *self, const char *name)
{
    pthread_mutex_lock (&self->mutex);
    struct domain **at = find_domain (self, name);
    struct domain *old = *at;
    if (old)
        *at = old->next;
    pthread_mutex_unlock (&self->mutex);
    domain_free (old);
}

/* Whether the address is to be logged: it was not, a minute long.  Under the mutex. */
static bool
is_news (struct zap *self, const char *address)
{
    int64_t now_ms = clock_mono (self->clock);
    struct refused *oldest = &self->recent[0];

    for (size_t i = 0; i < self->recent_count; i++) {
        struct refused *entry = &self->recent[i];
        if (strcmp (entry->address, address) == 0) {
            if (now_ms - entry->logged_ms < REFUSED_QUIET_MS)
                return false;
            entry->logged_ms = now_ms;
            return true;
        }
        if (entry->logged_ms < oldest->logged_ms)
            oldest = entry;
    }
    if (self->recent_count < REFUSED_MAX)
        oldest = &self->recent[self->recent_count++];
    else if (now_ms - oldest->logged_ms < REFUSED_QUIET_MS)
        return false;
    snprintf (oldest->address, sizeof oldest->address, "%s", address);
    oldest->logged_ms = now_ms;
    return true;
}

/* Count and log a refusal.  Under the mutex; the log itself blocks for a line at most. */
static void
note_refusal (struct zap *self, const struct domain *domain, const char *name,
              const char *address)
{
    char others[80] = "";

    self->refused_count++;
    if (!is_news (self, address)) {
        self->not_logged++;
        return;
    }
    if (self->not_logged > 0)
        snprintf (others, sizeof others, " (and %llu refusals before that were not logged)",
                  (unsigned long long) self->not_logged);
    self->not_logged = 0;
    if (!domain)
        log_warning (self->log, "refused %s: nobody may connect to %s now%s", address, name,
                     others);
    else if (domain->source)
        log_warning (self->log, "refused %s: not in allow: of %s%s", address, domain->source,
                     others);
    else
        log_warning (self->log, "refused %s: not in the list of %s%s", address, name, others);
}

bool
zap_allows (struct zap *self, const char *name, const char *address)
{
    if (strncmp (address, "::ffff:", 7) == 0 && strchr (address, '.'))
        address += 7; // an IPv4 address, as IPv6 sockets name it
    pthread_mutex_lock (&self->mutex);
    const struct domain *domain = *find_domain (self, name);
    bool allowed = domain && net_list_matches (&domain->list, address);
    if (!allowed)
        note_refusal (self, domain, name, address);
    pthread_mutex_unlock (&self->mutex);
    return allowed;
}

uint64_t
zap_refused (struct zap *self)
{
    pthread_mutex_lock (&self->mutex);
    uint64_t count = self->refused_count;
    pthread_mutex_unlock (&self->mutex);
    return count;
}

/* ---- the actor ---- */

/* One question: its frames after the routing id. */
struct question {
    zmq_msg_t peer;
    zmq_msg_t frames[FRAMES_MAX];
    size_t count;
};

enum { DELIMITER, VERSION, REQUEST_ID, DOMAIN, ADDRESS, ROUTING_ID, MECHANISM, FRAMES_MIN };

static bool
receive_question (void *socket, struct question *out)
{
    out->count = 0;
    zmq_msg_init (&out->peer);
    if (zmq_msg_recv (&out->peer, socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close (&out->peer);
        return false;
    }
    bool more = zmq_msg_more (&out->peer);
    while (more) {
        zmq_msg_t frame;
        zmq_msg_init (&frame);
        if (zmq_msg_recv (&frame, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close (&frame);
            break;
        }
        more = zmq_msg_more (&frame);
        if (out->count < FRAMES_MAX) {
            zmq_msg_init (&out->frames[out->count]);
            zmq_msg_move (&out->frames[out->count++], &frame);
        }
        zmq_msg_close (&frame);
    }
    return true;
}

static void
question_close (struct question *self)
{
    zmq_msg_close (&self->peer);
    for (size_t i = 0; i < self->count; i++)
        zmq_msg_close (&self->frames[i]);
}

static bool
frame_is (struct question *self, size_t index, const char *text)
{
    size_t size = strlen (text);

    return index < self->count && zmq_msg_size (&self->frames[index]) == size &&
           memcmp (zmq_msg_data (&self->frames[index]), text, size) == 0;
}

/* Copy a frame as text; false if it does not fit or holds a NUL. */
static bool
frame_text (struct question *self, size_t index, char *out, size_t size)
{
    size_t length = zmq_msg_size (&self->frames[index]);

    if (length >= size || memchr (zmq_msg_data (&self->frames[index]), '\0', length))
        return false;
    memcpy (out, zmq_msg_data (&self->frames[index]), length);
    out[length] = '\0';
    return true;
}

static bool
is_allowed (struct zap *self, struct question *question)
{
    char domain[ZAP_DOMAIN_SIZE];
    char address[NET_ADDRESS_SIZE];

    return question->count >= FRAMES_MIN && frame_is (question, DELIMITER, "") &&
           frame_is (question, VERSION, "1.0") && frame_is (question, MECHANISM, "NULL") &&
           frame_text (question, DOMAIN, domain, sizeof domain) &&
           frame_text (question, ADDRESS, address, sizeof address) &&
           zap_allows (self, domain, address);
}

/* Send the answer.  A peer that went away meanwhile is no error. */
static void
answer (void *socket, struct question *question, bool allowed)
{
    const char *code = allowed ? "200" : "400";
    const char *text = allowed ? "OK" : "not allowed to connect";
    bool has_id = question->count > REQUEST_ID;

    if (zmq_msg_send (&question->peer, socket, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        return;
    zmq_msg_init (&question->peer);
    zmq_send (socket, "", 0, ZMQ_DONTWAIT | ZMQ_SNDMORE);
    zmq_send (socket, "1.0", 3, ZMQ_DONTWAIT | ZMQ_SNDMORE);
    zmq_send (socket, has_id ? zmq_msg_data (&question->frames[REQUEST_ID]) : "",
              has_id ? zmq_msg_size (&question->frames[REQUEST_ID]) : 0,
              ZMQ_DONTWAIT | ZMQ_SNDMORE);
    zmq_send (socket, code, 3, ZMQ_DONTWAIT | ZMQ_SNDMORE);
    zmq_send (socket, text, strlen (text), ZMQ_DONTWAIT | ZMQ_SNDMORE);
    zmq_send (socket, "", 0, ZMQ_DONTWAIT | ZMQ_SNDMORE); // user id
    zmq_send (socket, "", 0, ZMQ_DONTWAIT);               // metadata
}

static void
serve (struct zap *self, struct actor_pipe *pipe, void *socket)
{
    struct question question;
    zmq_pollitem_t items[] = {{actor_pipe_socket (pipe), 0, ZMQ_POLLIN, 0},
                              {socket, 0, ZMQ_POLLIN, 0}};

    while (!actor_stopping (pipe)) {
        zmq_poll (items, 2, -1);
        while (actor_recv_command (pipe))
            ;
        while (receive_question (socket, &question)) {
            answer (socket, &question, is_allowed (self, &question));
            question_close (&question);
        }
    }
}

static void
run (struct actor_pipe *pipe, void *args)
{
    struct zap *self = args;
    litedfs_error_t error;

    void *socket = socket_new (SOCKET_INPROC_ROUTER, NULL, &error);
    if (!socket || socket_bind_endpoint (socket, ENDPOINT, &error) < 0) {
        if (error.number == LITEDFS_IN_USE)
            err_set (&error, LITEDFS_IN_USE, "zap: this process has a ZAP handler already");
        socket_close (&socket);
        actor_failed (pipe, &error);
        return;
    }
    actor_ready (pipe);
    serve (self, pipe, socket);
    socket_unbind_endpoint (socket, ENDPOINT);
    socket_close (&socket);
}

int
zap_start (struct zap **out, struct log *log, const struct clock *clock, litedfs_error_t *error)
{
    struct zap *self = calloc (1, sizeof *self);

    if (!self)
        return err_set (error, LITEDFS_MEMORY, "zap: no memory");
    self->log = log;
    self->clock = clock;
    pthread_mutex_init (&self->mutex, NULL);
    int rc = actor_start (&self->actor, "zap", run, self, error);
    if (rc < 0) {
        zap_stop (&self);
        return rc;
    }
    *out = self;
    return 0;
}

void
zap_stop (struct zap **self)
{
    int saved = errno;

    if (*self) {
        actor_stop (&(*self)->actor);
        while ((*self)->domains) {
            struct domain *domain = (*self)->domains;
            (*self)->domains = domain->next;
            domain_free (domain);
        }
        pthread_mutex_destroy (&(*self)->mutex);
        free (*self);
        *self = NULL;
    }
    errno = saved;
}
