/* SPDX-License-Identifier: MIT */
/*
 * Sessions by routing id (a hash table) and by descriptor (an array), and what is outstanding
 * to them.
 *
 * Descriptors are reused as soon as they are closed, so each has a mark whether its connection
 * is open, kept from the monitor's events.  A session whose descriptor turns up with another
 * routing id has ended, whatever the monitor said; unless that is the id of a connection before
 * it, of which libzmq still has messages: ids that libzmq gives count up, and tell.  Ends are
 * queued; the queue has room for every open session, so that an end never fails for memory.
 *
 * Outstanding requests are kept sorted by id.  Ids of one peer ascend, nearly always, and are
 * confirmed from the front, so that both ends cost nothing; a peer that numbers otherwise costs
 * a memmove.
 */
#include "rpc/session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_AT_FIRST 64

/* What a reply may cost on the connection beside its frames: ZMTP headers, delimiter, in bytes.
 * */
#define REPLY_OVERHEAD 64

/* How much more than it admits a peer may have unread, in bytes. */
#define UNREAD_SLACK 4096

/* A descriptor's connection. */
struct connection {
    struct session *session; // NULL: none, or no request yet
    bool open;
};

struct session_table {
    struct session **buckets;
    size_t bucket_count; // a power of two
    size_t count;
    uint64_t last_number;
    struct connection *connections; // by descriptor
    size_t connection_count;
    uint64_t *ended; // a ring
    size_t ended_first;
    size_t ended_count;
    size_t ended_capacity; // at least ended_count + count
    int64_t pruned_ms;
};

static size_t
hash (const uint8_t *id, size_t size)
{
    uint64_t value = 14695981039346656037u; // FNV-1a

    for (size_t i = 0; i < size; i++)
        value = (value ^ id[i]) * 1099511628211u;
    return (size_t) (value ^ value >> 32);
}

struct session_table *
session_table_new (void)
{
    struct session_table *self = calloc (1, sizeof *self);

    if (!self)
        return NULL;
    self->bucket_count = BUCKETS_AT_FIRST;
    self->buckets = calloc (self->bucket_count, sizeof *self->buckets);
    if (!self->buckets) {
        free (self);
        return NULL;
    }
    return self;
}

static void
session_free (struct session *self)
{
    free (self->items);
    free (self);
}

void
session_table_destroy (struct session_table **self)
{
    int saved = errno;

    if (*self) {
        for (size_t i = 0; i < (*self)->bucket_count; i++)
            while ((*self)->buckets[i]) {
                struct session *session = (*self)->buckets[i];
                (*self)->buckets[i] = session->next;
                session_free (session);
            }
        free ((*self)->buckets);
        free ((*self)->connections);
        free ((*self)->ended);
        free (*self);
        *self = NULL;
    }
    errno = saved;
}

/* The descriptor's place, made if need be; NULL for -1 and when memory is short. */
static struct connection *
connection_of (struct session_table *self, int fd)
{
    if (fd < 0)
        return NULL;
    size_t wanted = (size_t) fd + 1;
    if (wanted > self->connection_count) {
        size_t count = self->connection_count ? self->connection_count : 64;
        while (count < wanted)
            count *= 2;
        struct connection *grown = realloc (self->connections, count * sizeof *grown);
        if (!grown)
            return NULL;
        memset (grown + self->connection_count, 0,
                (count - self->connection_count) * sizeof *grown);
        self->connections = grown;
        self->connection_count = count;
    }
    return &self->connections[fd];
}

/* Take it out of the table, free it, and queue its number. */
static void
end (struct session_table *self, struct session *session)
{
    struct session **at =
        &self->buckets[hash (session->id, session->id_size) & (self->bucket_count - 1)];

    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    self->count--;
    if (session->fd >= 0 && (size_t) session->fd < self->connection_count &&
        self->connections[session->fd].session == session)
        self->connections[session->fd].session = NULL;
    self->ended[(self->ended_first + self->ended_count++) % self->ended_capacity] =
        session->number;
    session_free (session);
}

void
session_table_opened (struct session_table *self, int fd)
{
    struct connection *connection = connection_of (self, fd);

    if (!connection)
        return;
    if (connection->session)
        end (self, connection->session);
    connection->open = true;
}

void
session_table_closed (struct session_table *self, int fd)
{
    struct connection *connection = connection_of (self, fd);

    if (!connection)
        return;
    if (connection->session)
        end (self, connection->session);
    connection->open = false;
}

/* Room in the ring of ended ones for all that are open and one more. */
static bool
reserve_end (struct session_table *self)
{
    size_t wanted = self->ended_count + self->count + 1;

    if (wanted <= self->ended_capacity)
        return true;
    size_t capacity = self->ended_capacity ? self->ended_capacity : 64;
    while (capacity < wanted)
        capacity *= 2;
    uint64_t *ring = malloc (capacity * sizeof *ring);
    if (!ring)
        return false;
    for (size_t i = 0; i < self->ended_count; i++)
        ring[i] = self->ended[(self->ended_first + i) % self->ended_capacity];
    free (self->ended);
    self->ended = ring;
    self->ended_first = 0;
    self->ended_capacity = capacity;
    return true;
}

/* Double the buckets when there are more sessions than buckets; without memory it goes on as it
 * is. */
static void
grow_buckets (struct session_table *self)
{
    if (self->count < self->bucket_count)
        return;
    size_t count = self->bucket_count * 2;
    struct session **buckets = calloc (count, sizeof *buckets);
    if (!buckets)
        return;
    for (size_t i = 0; i < self->bucket_count; i++)
        while (self->buckets[i]) {
            struct session *session = self->buckets[i];
            struct session **at = &buckets[hash (session->id, session->id_size) & (count - 1)];
            self->buckets[i] = session->next;
            session->next = *at;
            *at = session;
        }
    free (self->buckets);
    self->buckets = buckets;
    self->bucket_count = count;
}

static struct session *
look_up (struct session_table *self, const uint8_t *id, size_t size)
{
    struct session *session = self->buckets[hash (id, size) & (self->bucket_count - 1)];

    while (session && (session->id_size != size || memcmp (session->id, id, size) != 0))
        session = session->next;
    return session;
}

/* Forget peers of this process that have been silent for long; looks once a tenth of that time.
 * */
static void
prune (struct session_table *self, int64_t now_ms)
{
    if (now_ms - self->pruned_ms < SESSION_IDLE_MS / 10)
        return;
    self->pruned_ms = now_ms;
    for (size_t i = 0; i < self->bucket_count; i++) {
        struct session *next;
        for (struct session *session = self->buckets[i]; session; session = next) {
            next = session->next;
            if (session->fd < 0 && now_ms - session->used_ms >= SESSION_IDLE_MS)
                end (self, session);
        }
    }
}

static struct session *
add (struct session_table *self, const uint8_t *id, size_t size, int fd)
{
    if (!reserve_end (self))
        return NULL;
    struct session *session = calloc (1, sizeof *session);
    if (!session)
        return NULL;
    grow_buckets (self);
    session->number = ++self->last_number;
    session->fd = fd;
    session->id_size = (uint8_t) size;
    memcpy (session->id, id, size);
    struct session **at = &self->buckets[hash (id, size) & (self->bucket_count - 1)];
    session->next = *at;
    *at = session;
    self->count++;
    return session;
}

/* Whether libzmq gave a its id before it gave b its own: a zero byte and a 32-bit counter.  False
 * for an id that a peer has chosen. */
static bool
is_older (const uint8_t *a, size_t a_size, const struct session *b)
{
    uint32_t numbers[2];

    if (a_size != 5 || b->id_size != 5 || a[0] != 0 || b->id[0] != 0)
        return false;
    memcpy (&numbers[0], a + 1, sizeof numbers[0]);
    memcpy (&numbers[1], b->id + 1, sizeof numbers[1]);
    return (int32_t) (ntohl (numbers[0]) - ntohl (numbers[1])) < 0; // it may wrap
}

struct session *
session_table_get (struct session_table *self, const uint8_t *id, size_t size, int fd,
                   int64_t now_ms)
{
    struct session *session = look_up (self, id, size);

    if (session && session->fd != fd) { // the same name on another connection
        end (self, session);
        session = NULL;
    }
    if (!session) {
        prune (self, now_ms);
        struct connection *connection = connection_of (self, fd);
        if (fd >= 0 && !connection)
            return NULL;
        bool left_over =
            connection && connection->session && is_older (id, size, connection->session);
        if (connection && connection->session && !left_over)
            end (self, connection->session);
        session = add (self, id, size, fd);
        if (!session)
            return NULL;
        session->left_over = left_over;
        if (connection && !left_over)
            connection->session = session;
    }
    session->used_ms = now_ms;
    return session;
}

bool
session_table_is_open (const struct session_table *self, const struct session *session)
{
    return !session->left_over && (session->fd < 0 || self->connections[session->fd].open);
}

struct session *
session_table_find (struct session_table *self, const uint8_t *id, size_t size, uint64_t number)
{
    struct session *session = look_up (self, id, size);

    return session && session->number == number ? session : NULL;
}

void
session_table_gone (struct session_table *self, struct session *session)
{
    end (self, session);
}

bool
session_table_next_ended (struct session_table *self, uint64_t *out_number)
{
    if (self->ended_count == 0)
        return false;
    *out_number = self->ended[self->ended_first];
    self->ended_first = (self->ended_first + 1) % self->ended_capacity;
    self->ended_count--;
    return true;
}

bool
session_table_has_ended (const struct session_table *self)
{
    return self->ended_count > 0;
}

size_t
session_table_count (const struct session_table *self)
{
    return self->count;
}

static struct outstanding *
items_of (struct session *self)
{
    return self->items ? self->items + self->first : NULL;
}

/* Forget an item; those before it, or after it, move up. */
static void
take_out (struct session *self, size_t index)
{
    struct outstanding *items = items_of (self);

    self->bytes -= items[index].bytes;
    if (index == 0)
        self->first++;
    else
        memmove (items + index, items + index + 1, (self->count - index - 1) * sizeof *items);
    if (--self->count == 0)
        self->first = 0;
}

/* Room for one more after the last. */
static bool
reserve_item (struct session *self)
{
    if (self->first + self->count < self->capacity)
        return true;
    if (self->first > self->capacity / 2) {
        memmove (self->items, items_of (self), self->count * sizeof *self->items);
        self->first = 0;
        return true;
    }
    size_t capacity = self->capacity ? self->capacity * 2 : 4;
    struct outstanding *grown = realloc (self->items, capacity * sizeof *grown);
    if (!grown)
        return false;
    self->items = grown;
    self->capacity = capacity;
    return true;
}

/* Forget what the peer has: everything up to `seen`; without it everything that was answered.
 * */
static void
confirm (struct session *self, const struct session_claim *claim)
{
    if (claim->has_seen) {
        while (self->count > 0 && items_of (self)[0].id <= claim->seen)
            take_out (self, 0);
        return;
    }
    for (size_t i = self->count; i-- > 0;)
        if (items_of (self)[i].answered)
            take_out (self, i);
}

bool
session_admit (struct session *self, const struct session_limits *limits,
               const struct session_claim *claim)
{
    confirm (self, claim);
    if (claim->unread == 0)
        self->other_bytes = 0;
    if (claim->unread > self->bytes + self->other_bytes + UNREAD_SLACK)
        return false;
    if (self->count >= (claim->has_seen ? limits->requests : 1))
        return false;
    if (self->count > 0 && self->bytes + claim->bytes > limits->bytes)
        return false;
    if (!reserve_item (self))
        return false;
    struct outstanding *items = items_of (self);
    size_t at = self->count;
    while (at > 0 && items[at - 1].id > claim->id)
        at--;
    memmove (items + at + 1, items + at, (self->count - at) * sizeof *items);
    items[at] = (struct outstanding){.id = claim->id, .bytes = claim->bytes};
    self->bytes += claim->bytes;
    self->count++;
    return true;
}

void
session_answered (struct session *self, uint64_t id, uint64_t bytes)
{
    struct outstanding *items = items_of (self);
    size_t low = 0, high = self->count;

    while (low < high) { // the first with this id
        size_t middle = low + (high - low) / 2;
        if (items[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    while (low < self->count && items[low].id == id && items[low].answered)
        low++;
    bool found = low < self->count && items[low].id == id;
    if (found && bytes == 0) {
        take_out (self, low);
    } else if (found) {
        self->bytes += bytes + REPLY_OVERHEAD - items[low].bytes;
        items[low].bytes = bytes + REPLY_OVERHEAD;
        items[low].answered = true;
    } else if (bytes > 0) {
        self->other_bytes += bytes + REPLY_OVERHEAD;
    }
}
