/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing a session, and the one poll loop that every call of the library uses.
 *
 * HOST:PORT is the name node's HTTP address: its message port is asked for there once, and the first
 * request then shows that the cluster answers.  A session that was cancelled stays so.
 */
#include "client/session.h"

#include "base/err.h"
#include "base/process.h"
#include "rpc/endpoint.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 5000
#define REQUEST_TIMEOUT_MS 60000
#define HTTP_PORT 9000   // of an address without a port
#define WITNESS_MS 1000  // between two requests that ask whether anybody is there
#define FRESH_MS 2500    // for so long an answer shows that somebody is,
#define PROOF_MS 1500    // and after so long others that were asked, too, would have answered
#define PING_MS 1000     // between two signs of life that a peer is asked for
#define HANDSHAKE_MS 500 // a connection that takes longer is in trouble

static const char tcp_scheme[] = "tcp://";

/* ---- open and close ---------------------------------------------------------------------------------- */

/* tcp://HOST:PORT goes straight to the ROUTER. */
static int
use_tcp_address (litedfs_t *self, const char *address, litedfs_error_t *error)
{
    char host[NET_HOST_SIZE];
    int port;

    int rc = net_split_host_port (address + strlen (tcp_scheme), 0, host, &port, error);
    if (rc == 0)
        rc = net_resolve (host, self->name_host, error);
    if (rc < 0)
        return err_prefix (error, "address[%s]", address);
    char joined[NET_HOST_SIZE + 16];
    snprintf (self->name_endpoint, sizeof self->name_endpoint, "tcp://%s",
              net_join_host_port (self->name_host, port, joined, sizeof joined));
    return 0;
}

static int
use_http_address (litedfs_t *self, const char *address, int64_t timeout_ms,
                  litedfs_error_t *error)
{
    char host[NET_HOST_SIZE];
    int port;
    struct endpoint_info info;

    int rc = net_split_host_port (address, HTTP_PORT, host, &port, error);
    if (rc < 0)
        return rc;
    rc = endpoint_lookup (host, port, (int) timeout_ms, self->cancel_fd, &info, error);
    if (rc < 0)
        return rc;
    char joined[NET_HOST_SIZE + 16];
    snprintf (self->name_host, sizeof self->name_host, "%s", info.host);
    snprintf (self->name_endpoint, sizeof self->name_endpoint, "tcp://%s",
              net_join_host_port (info.host, info.port, joined, sizeof joined));
    return 0;
}

int
session_name_dealer (const litedfs_t *self, const struct clock *clock, struct dealer **out,
                     litedfs_error_t *error)
{
    char peer[sizeof self->address + 32];
    snprintf (peer, sizeof peer, "the name node at %s", self->address);
    const struct dealer_options options = {
        .endpoint = self->name_endpoint,
        .peer = peer,
        .client = self->client,
        .clock = clock,
    };
    return dealer_new (out, &options, error);
}

/* The first request, so that whoever has a session has a cluster behind it. */
static int
greet (litedfs_t *self, int64_t timeout_ms, litedfs_error_t *error)
{
    const struct node_list_request request = {0};
    int rc = dealer_call (self->name, &message_types[MESSAGE_node_list], &request, NULL, NULL,
                          NULL, timeout_ms, self->cancel_fd, error);
    if (rc == LITEDFS_UNSUPPORTED) // such as a data node
        return err_set (error, LITEDFS_INVALID, "%s is not the address of a LiteDFS name node",
                        self->address);
    return rc;
}

static int
open_session (litedfs_t *self, const char *address, int64_t timeout_ms, litedfs_error_t *error)
{
    int64_t end_ms = clock_mono (self->clock) + timeout_ms;
    bool straight = strncmp (address, tcp_scheme, strlen (tcp_scheme)) == 0;

    self->cancel_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->cancel_fd < 0)
        return err_set_errno (error, LITEDFS_FAILED, errno, "eventfd");
    int rc = process_join (error);
    if (rc == 0)
        rc = random_bytes (self->client, sizeof self->client, error);
    if (rc == 0)
        rc = straight ? use_tcp_address (self, address, error)
                      : use_http_address (self, address, timeout_ms, error);
    if (rc == 0)
        rc = session_name_dealer (self, self->clock, &self->name, error);
    if (rc == 0 && straight) {
        int64_t left_ms = end_ms - clock_mono (self->clock);
        rc = greet (self, left_ms > 1 ? left_ms : 1, error);
    }
    return rc;
}

int
litedfs_open (litedfs_t **out, const char *address, const litedfs_options_t *options,
              litedfs_error_t *error)
{
    litedfs_t *self = calloc (1, sizeof *self);
    if (!self)
        return err_set (error, LITEDFS_MEMORY, "out of memory");

    int64_t connect_ms = options ? options->connect_timeout_ms : 0;
    int64_t request_ms = options ? options->request_timeout_ms : 0;
    patient_clock_init (&self->patient, clock_system ());
    self->clock = &self->patient.clock;
    self->cancel_fd = -1;
    self->request_timeout_ms = request_ms > 0 ? request_ms : REQUEST_TIMEOUT_MS;
    snprintf (self->address, sizeof self->address, "%s", address);

    int rc =
        open_session (self, address, connect_ms > 0 ? connect_ms : CONNECT_TIMEOUT_MS, error);
    if (rc < 0) {
        litedfs_close (&self);
        return rc;
    }
    *out = self;
    return 0;
}

void
litedfs_close (litedfs_t **session)
{
    litedfs_t *self = *session;
    int saved = errno;

    if (!self)
        return;
    *session = NULL;
    while (self->peers) {
        struct peer *peer = self->peers;
        self->peers = peer->next;
        dealer_destroy (&peer->dealer);
        free (peer);
    }
    dealer_destroy (&self->name);
    if (self->cancel_fd >= 0)
        close (self->cancel_fd);
    free (self);
    errno = saved;
}

void
litedfs_cancel (litedfs_t *session)
{
    int saved = errno;
    const uint64_t one = 1;
    ssize_t unused =
        write (session->cancel_fd, &one, sizeof one); // fails only when it is full: cancelled
    (void) unused;
    errno = saved;
}

bool
session_cancelled (const litedfs_t *self)
{
    struct pollfd fd = {.fd = self->cancel_fd, .events = POLLIN};
    return poll (&fd, 1, 0) > 0;
}

/* ---- requests ------------------------------------------------------------------------------------------ */

int
session_call (litedfs_t *self, enum message_number number, const void *fields,
              void *reply_fields, struct dealer_reply **reply, litedfs_error_t *error)
{
    return dealer_call (self->name, &message_types[number], fields, NULL, reply_fields, reply,
                        self->request_timeout_ms, self->cancel_fd, error);
}

static struct peer *
find_peer (litedfs_t *self, uint64_t node)
{
    for (struct peer *peer = self->peers; peer; peer = peer->next)
        if (peer->node == node)
            return peer;
    return NULL;
}

/* Where the peer is from now on. */
static void
set_address (struct peer *peer, const char *host, int port)
{
    char joined[NET_HOST_SIZE + 16];

    if (peer->port == port && strcmp (peer->host, host) == 0)
        return;
    if (peer->dealer)
        dealer_cancel_all (peer->dealer);
    dealer_destroy (&peer->dealer);
    snprintf (peer->host, sizeof peer->host, "%s", host);
    peer->port = port;
    net_join_host_port (host, port, joined, sizeof joined);
    snprintf (peer->name, sizeof peer->name, "data node %u at %s", (unsigned) peer->node,
              joined);
}

int
session_peer (litedfs_t *self, const struct wire_endpoint *endpoint, struct peer **out,
              litedfs_error_t *error)
{
    char host[NET_HOST_SIZE];
    struct peer *peer = find_peer (self, endpoint->node);

    if (!peer) {
        peer = calloc (1, sizeof *peer);
        if (!peer)
            return err_set (error, LITEDFS_MEMORY, "out of memory");
        peer->node = (uint32_t) endpoint->node;
        peer->next = self->peers;
        self->peers = peer;
    }
    if (endpoint->host.size == 0)
        snprintf (host, sizeof host, "%s", self->name_host);
    else
        snprintf (host, sizeof host, "%.*s", (int) endpoint->host.size,
                  (const char *) endpoint->host.data);
    set_address (peer, host, (int) endpoint->tcp_port);
    *out = peer;
    return 0;
}

int
session_connect (const litedfs_t *self, struct peer *peer, litedfs_error_t *error)
{
    char joined[NET_HOST_SIZE + 16];
    char endpoint[NET_HOST_SIZE + 32];

    if (peer->dealer)
        return 0;
    snprintf (endpoint, sizeof endpoint, "tcp://%s",
              net_join_host_port (peer->host, peer->port, joined, sizeof joined));
    const struct dealer_options options = {
        .endpoint = endpoint, .peer = peer->name, .client = self->client, .clock = self->clock};
    peer->connecting_ms = clock_mono (self->clock);
    return dealer_new (&peer->dealer, &options, error);
}

int64_t
session_silent_ms (const struct peer *peer)
{
    return peer->dealer ? dealer_silent_ms (peer->dealer) : 0;
}

static void
on_ping (void *arg, struct message *message, zmq_msg_t *payload, const litedfs_error_t *failure)
{
    struct peer *peer = arg;
    (void) message;
    (void) payload;
    (void) failure; // it lives

    peer->ping_id = 0;
}

void
session_ping (const litedfs_t *self, struct peer *peer, uint64_t block)
{
    const struct block_stat_request request = {.block = block, .node = peer->node};
    int64_t now_ms = clock_mono (self->clock);
    litedfs_error_t error;

    if (session_silent_ms (peer) < SESSION_DOUBT_MS || peer->ping_id > 0 ||
        now_ms - peer->pinged_ms < PING_MS)
        return;
    int64_t id = dealer_send (peer->dealer, &message_types[MESSAGE_block_stat], &request, NULL,
                              -1, on_ping, peer, &error);
    peer->ping_id = id > 0 ? id : 0; // without memory it is asked for the next time
    peer->pinged_ms = now_ms;
}

void
session_stop_pings (litedfs_t *self)
{
    for (struct peer *peer = self->peers; peer; peer = peer->next) {
        if (peer->ping_id > 0)
            dealer_cancel (peer->dealer, peer->ping_id);
        peer->ping_id = 0;
    }
}

int
session_peer_trouble (const litedfs_t *self, const struct peer *peer)
{
    if (session_silent_ms (peer) >= SESSION_DOUBT_MS)
        return 2;
    return peer->dealer && !dealer_connected (peer->dealer) &&
           clock_mono (self->clock) - peer->connecting_ms >= HANDSHAKE_MS;
}

bool
session_peer_silent (const struct peer *peer, litedfs_error_t *error)
{
    if (session_silent_ms (peer) < SESSION_SILENCE_MS)
        return false;
    err_set (error, LITEDFS_UNREACHABLE, "no %s for %d s",
             dealer_connected (peer->dealer) ? "answer" : "connection",
             SESSION_SILENCE_MS / 1000);
    return true;
}

static void
on_witness (void *arg, struct message *message, zmq_msg_t *payload,
            const litedfs_error_t *failure)
{
    litedfs_t *self = arg;
    (void) message;
    (void) payload;

    self->witness_id = 0;
    if (failure && failure->number == LITEDFS_CANCELLED)
        return;
    int64_t now_ms = clock_mono (self->clock);
    if (self->answered_ms == 0 || now_ms - self->answered_ms >= FRESH_MS)
        self->answering_ms = now_ms;
    self->answered_ms = now_ms;
}

/* Whether the name node was heard of late, and for a while.  It is asked for next to nothing. */
static bool
has_witness (litedfs_t *self)
{
    const struct node_list_request request = {.cursor = UINT32_MAX};
    int64_t now_ms = clock_mono (self->clock);
    litedfs_error_t error;

    if (self->witness_id == 0 && now_ms - self->asked_ms >= WITNESS_MS) {
        int64_t id = dealer_send (self->name, &message_types[MESSAGE_node_list], &request, NULL,
                                  -1, on_witness, self, &error);
        self->witness_id = id > 0 ? id : 0;
        self->asked_ms = now_ms;
    }
    return self->answered_ms > 0 && now_ms - self->answered_ms < FRESH_MS &&
           now_ms - self->answering_ms >= PROOF_MS;
}

bool
session_peer_lost (litedfs_t *self, const struct peer *peer, litedfs_error_t *error)
{
    int64_t silent_ms = session_silent_ms (peer);

    if (silent_ms < 2 * SESSION_DOUBT_MS ||
        (!has_witness (self) && silent_ms < SESSION_ALONE_MS))
        return false;
    return session_peer_silent (peer, error);
}

/* ---- the loop ------------------------------------------------------------------------------------------- */

/* The earlier of a time to sleep (-1: none) and a DEALER's. */
static long
sooner (long ms, const struct dealer *dealer)
{
    long own_ms = dealer_timeout_ms ((struct dealer *) (uintptr_t) dealer);
    return own_ms >= 0 && (ms < 0 || own_ms < ms) ? own_ms : ms;
}

int
session_poll (litedfs_t *self, zmq_pollitem_t *extra, size_t count, long timeout_ms,
              litedfs_error_t *error)
{
    size_t peers = 1;
    for (struct peer *peer = self->peers; peer; peer = peer->next)
        peers++;

    zmq_pollitem_t *items = calloc (1 + count + peers * DEALER_POLL_ITEMS, sizeof *items);
    if (!items)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    size_t n = 0;
    items[n++] = (zmq_pollitem_t){NULL, self->cancel_fd, ZMQ_POLLIN, 0};
    if (count)
        memcpy (items + n, extra, count * sizeof *items);
    n += count;
    n += dealer_poll_items (self->name, items + n);
    timeout_ms = sooner (timeout_ms, self->name);
    for (struct peer *peer = self->peers; peer; peer = peer->next) {
        if (!peer->dealer)
            continue;
        n += dealer_poll_items (peer->dealer, items + n);
        timeout_ms = sooner (timeout_ms, peer->dealer);
    }

    zmq_poll (items, (int) n, timeout_ms < PATIENT_SLEEP_MS ? timeout_ms : PATIENT_SLEEP_MS);
    bool cancelled = items[0].revents != 0;
    if (count)
        memcpy (extra, items + 1, count * sizeof *items);
    free (items);
    if (cancelled)
        return err_set (error, LITEDFS_CANCELLED, "cancelled");
    dealer_process (self->name);
    for (struct peer *peer = self->peers; peer; peer = peer->next)
        if (peer->dealer)
            dealer_process (peer->dealer);
    return 0;
}

char *
session_text (struct slice text)
{
    return strndup (text.data ? text.data : "", text.size);
}
