/* SPDX-License-Identifier: MIT */
/*
 * A sorted table of nodes, each with two lanes that are opened when something is sent.
 *
 * What the monitors say is looked up a few times a second, and only of nodes that something was sent to
 * lately: a loss that is found a tenth of a second later costs nobody anything, while polling every
 * monitor in every turn would cost each message.
 *
 * libzmq's own queue cannot be taken back, so it is kept short for chunks: it is what a node that has
 * stopped holds of our memory, beyond what the pipeline counts, until its connection is closed.
 */
#include "datanode/peers.h"

#include "base/err.h"
#include "base/net.h"

#include <stdlib.h>
#include <string.h>

#define BULK_HWM 8         // messages of up to 4 MiB
#define URGENT_HWM 64      // of up to some 100 KiB
#define HEAR_MS 100        // between looks at the monitors
#define IDLE_MS 60000      // after which connections are closed
#define REOPEN_MS 1000     // after a socket could not be had
#define STRANGERS_MAX 1024 // nodes of which nobody knows where they are

enum { BULK, URGENT, LANES };

struct peer {
    uint32_t node;
    int port; // 0: nobody knows where it is
    char host[NET_ADDRESS_SIZE];
    struct lane lanes[LANES];
    int64_t used_ms;   // when something was sent to it
    int64_t reopen_ms; // not before this
    bool lost;         // peers_lost is to say so
    bool away;         // it was lost and was not reached since
};

struct peers {
    const struct clock *clock;
    struct log *log;
    struct peer **items; // by number
    size_t count;
    size_t room;
    size_t strangers;
    size_t open;    // peers with a socket or something that waits
    size_t waiting; // messages
    int64_t hear_ms;
};

static int64_t
now_of (const struct peers *self)
{
    return clock_mono (self->clock);
}

/* ---- the table ---------------------------------------------------------------------------------- */

/* Where a node is in the table, or would be. */
static size_t
place_of (const struct peers *self, uint32_t node)
{
    size_t low = 0;
    size_t high = self->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->items[middle]->node < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct peer *
find (const struct peers *self, uint32_t node)
{
    size_t place = place_of (self, node);

    return place < self->count && self->items[place]->node == node ? self->items[place] : NULL;
}

/* A node that is not in the table yet. */
static struct peer *
add (struct peers *self, uint32_t node)
{
    size_t place = place_of (self, node);

    if (self->count == self->room) {
        size_t room = self->room > 0 ? self->room * 2 : 16;
        struct peer **items = realloc (self->items, room * sizeof *items);
        if (items == NULL)
            return NULL;
        self->items = items;
        self->room = room;
    }
    struct peer *peer = calloc (1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    peer->node = node;
    memmove (self->items + place + 1, self->items + place,
             (self->count - place) * sizeof *self->items);
    self->items[place] = peer;
    self->count++;
    self->strangers++;
    return peer;
}

static size_t
waiting_for (const struct peer *peer)
{
    return peer->lanes[BULK].count + peer->lanes[URGENT].count;
}

static bool
is_open (const struct peer *peer)
{
    return peer->lanes[BULK].socket != NULL || peer->lanes[URGENT].socket != NULL ||
           waiting_for (peer) > 0;
}

static void
close_lanes (struct peer *peer)
{
    for (int i = 0; i < LANES; i++)
        lane_close (&peer->lanes[i]);
}

/* Drop what waits for it and what libzmq has. */
static void
drop_all (struct peer *peer)
{
    close_lanes (peer);
    for (int i = 0; i < LANES; i++)
        lane_clear (&peer->lanes[i]);
}

/* Count what the other functions change. */
static void
count_open (struct peers *self)
{
    self->open = self->waiting = 0;
    for (size_t i = 0; i < self->count; i++) {
        self->open += is_open (self->items[i]);
        self->waiting += waiting_for (self->items[i]);
    }
}

int
peers_set (struct peers *self, uint32_t node, const char *host, int port,
           litedfs_error_t *error)
{
    struct peer *peer = find (self, node);

    if (port < 0 || port > 65535 || (port > 0 && *host == '\0') ||
        strlen (host) >= sizeof peer->host)
        return err_set (error, LITEDFS_INVALID, "node %u: %s:%d is no address", node, host,
                        port);
    if (peer == NULL && port == 0)
        return 0;
    if (peer == NULL)
        peer = add (self, node);
    if (peer == NULL)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    if (peer->port == port && (port == 0 || strcmp (peer->host, host) == 0))
        return 0;
    close_lanes (peer);
    self->strangers += (port == 0);
    self->strangers -= (peer->port == 0);
    peer->port = port;
    peer->reopen_ms = now_of (self);
    memcpy (peer->host, host, strlen (host) + 1);
    count_open (self);
    return 0;
}

bool
peers_know (const struct peers *self, uint32_t node)
{
    const struct peer *peer = find (self, node);

    return peer != NULL && peer->port != 0;
}

/* ---- sending ------------------------------------------------------------------------------------ */

/* Have a lane's socket, if it may be tried. */
static void
open_lane (struct peers *self, struct peer *peer, int which)
{
    struct lane *lane = &peer->lanes[which];
    litedfs_error_t error;

    if (lane->socket != NULL || peer->port == 0 || now_of (self) < peer->reopen_ms)
        return;
    if (lane_open (lane, peer->host, peer->port, which == BULK ? BULK_HWM : URGENT_HWM,
                   &error) < 0) {
        log_warning (self->log, "node %u at %s:%d: %s", peer->node, peer->host, peer->port,
                     error.text);
        peer->reopen_ms = now_of (self) + REOPEN_MS;
    }
}

int
peers_send (struct peers *self, uint32_t node, const struct parcel *parcel,
            litedfs_error_t *error)
{
    struct peer *peer = find (self, node);
    int which = parcel->urgent ? URGENT : BULK;

    if (peer == NULL) {
        if (self->strangers >= STRANGERS_MAX)
            return err_set (error, LITEDFS_BUSY, "too many nodes that are not known");
        peer = add (self, node);
    }
    if (peer == NULL)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    size_t before = waiting_for (peer);
    bool was_open = is_open (peer);
    if (!was_open)
        self->hear_ms = now_of (self) + HEAR_MS;
    peer->used_ms = now_of (self);
    open_lane (self, peer, which);
    int rc = lane_send (&peer->lanes[which], parcel, error);
    self->waiting += waiting_for (peer) - before;
    self->open += is_open (peer) && !was_open;
    return rc;
}

void
peers_forget (struct peers *self, const void *owner)
{
    if (self->waiting == 0)
        return;
    for (size_t i = 0; i < self->count; i++)
        for (int which = 0; which < LANES; which++)
            lane_forget (&self->items[i]->lanes[which], owner);
    count_open (self);
}

void
peers_pass_over (struct peers *self, uint32_t node, uint64_t block)
{
    struct peer *peer = find (self, node);

    if (peer == NULL)
        return;
    for (int which = 0; which < LANES; which++)
        lane_forget_block (&peer->lanes[which], block);
    count_open (self);
}

/* ---- how they do -------------------------------------------------------------------------------- */

static void
lose (struct peers *self, struct peer *peer, enum lane_health health)
{
    if (!peer->away) {
        if (health == LANE_REFUSED)
            log_warning (
                self->log,
                "node %u at %s:%d does not let this node in; add its address to allow: "
                "of that node",
                peer->node, peer->host, peer->port);
        else
            log_warning (
                self->log, "node %u at %s:%d is away%s", peer->node, peer->host, peer->port,
                health == LANE_FOREIGN ? ": whoever listens there is no data node" : "");
    }
    peer->away = peer->lost = true;
    drop_all (peer);
}

/* Hear how a node's connections do. */
static void
hear (struct peers *self, struct peer *peer)
{
    int64_t now_ms = now_of (self);
    enum lane_health health = LANE_WELL;
    bool made = false;

    for (int i = 0; i < LANES; i++) {
        made = lane_hear (&peer->lanes[i], now_ms) || made;
        if (peer->lanes[i].socket != NULL && health == LANE_WELL)
            health = lane_health (&peer->lanes[i], now_ms);
    }
    if (health != LANE_WELL) {
        lose (self, peer, health);
    } else if (made && peer->away) {
        peer->away = false;
        log_info (self->log, "node %u at %s:%d is there again", peer->node, peer->host,
                  peer->port);
    }
    if (now_ms - peer->used_ms > IDLE_MS)
        drop_all (peer);
}

/* Take those out of the table that were not found in all the time. */
static void
remove_strangers (struct peers *self)
{
    size_t kept = 0;

    for (size_t i = 0; i < self->count; i++) {
        struct peer *peer = self->items[i];
        if (peer->port == 0 && !is_open (peer) && !peer->lost) {
            self->strangers--;
            free (peer);
        } else {
            self->items[kept++] = peer;
        }
    }
    self->count = kept;
}

void
peers_process (struct peers *self)
{
    if (self->open == 0)
        return;
    bool listen = now_of (self) >= self->hear_ms;
    if (!listen && self->waiting == 0)
        return;
    for (size_t i = 0; i < self->count; i++) {
        struct peer *peer = self->items[i];
        if (!is_open (peer))
            continue;
        for (int which = 0; which < LANES; which++) {
            if (peer->lanes[which].count == 0)
                continue;
            open_lane (self, peer, which);
            lane_flush (&peer->lanes[which]);
        }
        if (listen)
            hear (self, peer);
    }
    if (listen) {
        self->hear_ms = now_of (self) + HEAR_MS;
        if (self->strangers > 0)
            remove_strangers (self);
    }
    count_open (self);
}

bool
peers_lost (struct peers *self, uint32_t *out_node)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->items[i]->lost) {
            self->items[i]->lost = false;
            *out_node = self->items[i]->node;
            return true;
        }
    return false;
}

void
peers_forgive (struct peers *self, int64_t ms)
{
    for (size_t i = 0; i < self->count; i++)
        for (int which = 0; which < LANES; which++)
            self->items[i]->lanes[which].ended_ms += ms;
}

/* ---- for the owner's loop ----------------------------------------------------------------------- */

size_t
peers_poll_items (struct peers *self, zmq_pollitem_t *items)
{
    size_t count = 0;

    if (self->waiting == 0)
        return 0;
    for (size_t i = 0; i < self->count; i++)
        for (int which = 0; which < LANES && count < PEERS_POLL_MAX; which++) {
            const struct lane *lane = &self->items[i]->lanes[which];
            if (lane->count > 0 && lane->socket != NULL)
                items[count++] = (zmq_pollitem_t){lane->socket, 0, ZMQ_POLLOUT, 0};
        }
    return count;
}

long
peers_idle_ms (const struct peers *self)
{
    int64_t left_ms = self->hear_ms - now_of (self);

    return self->open == 0 ? HEAR_MS * 10 : left_ms > 0 ? (long) left_ms : 0;
}

size_t
peers_waiting (const struct peers *self)
{
    return self->waiting;
}

struct peers *
peers_new (const struct clock *clock, struct log *log)
{
    struct peers *self = calloc (1, sizeof *self);

    if (self != NULL) {
        self->clock = clock;
        self->log = log;
    }
    return self;
}

void
peers_destroy (struct peers **self_p)
{
    struct peers *self = *self_p;

    if (self == NULL)
        return;
    *self_p = NULL;
    for (size_t i = 0; i < self->count; i++) {
        drop_all (self->items[i]);
        free (self->items[i]);
    }
    free (self->items);
    free (self);
}
