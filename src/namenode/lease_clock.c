/* SPDX-License-Identifier: MIT */
/*
 * Deadlines of leases: a hash table of entries by token, and a heap of the same entries by the time at
 * which they have been expired for as long as their ttl.  Tokens are random, so their first bytes are the
 * hash.  Tokens to be forgotten wait in a list until the transaction that said so has ended.
 */
#include "namenode/lease_clock.h"

#include <stdlib.h>
#include <string.h>

/* Buckets of the first table; a power of 2. */
#define BUCKETS_MIN 64

struct entry {
    uint8_t token[TOKEN_SIZE];
    int64_t deadline_ms;
    int64_t end_ms;     // deadline + ttl
    size_t heap_at;     // its place in the heap
    struct entry *next; // in the bucket
};

struct lease_clock {
    struct entry **buckets;
    size_t buckets_count;
    struct entry **heap; // the earliest end first
    size_t count;
    size_t heap_capacity;
    uint8_t (*dropped)[TOKEN_SIZE];
    size_t dropped_count;
    size_t dropped_capacity;
};

struct lease_clock *
lease_clock_new (void)
{
    struct lease_clock *self = calloc (1, sizeof *self);

    if (!self)
        return NULL;
    self->buckets_count = BUCKETS_MIN;
    self->buckets = calloc (self->buckets_count, sizeof *self->buckets);
    if (!self->buckets) {
        free (self);
        return NULL;
    }
    return self;
}

void
lease_clock_destroy (struct lease_clock **self)
{
    struct lease_clock *clock = *self;

    if (!clock)
        return;
    for (size_t i = 0; i < clock->count; i++)
        free (clock->heap[i]);
    free (clock->heap);
    free (clock->buckets);
    free (clock->dropped);
    free (clock);
    *self = NULL;
}

/* ---- the table ----------------------------------------------------------------------------------- */

static struct entry **
bucket_of (const struct lease_clock *self, const uint8_t token[TOKEN_SIZE])
{
    uint64_t hash;

    memcpy (&hash, token, sizeof hash);
    return &self->buckets[(size_t) block_id_hash (hash) & (self->buckets_count - 1)];
}

static struct entry *
find (const struct lease_clock *self, const uint8_t token[TOKEN_SIZE])
{
    struct entry *entry = *bucket_of (self, token);

    while (entry && memcmp (entry->token, token, TOKEN_SIZE) != 0)
        entry = entry->next;
    return entry;
}

/* Double the buckets when there are more entries; without memory the chains just get longer. */
static void
widen (struct lease_clock *self)
{
    if (self->count <= self->buckets_count)
        return;
    struct entry **buckets = calloc (self->buckets_count * 2, sizeof *buckets);
    if (!buckets)
        return;
    free (self->buckets);
    self->buckets = buckets;
    self->buckets_count *= 2;
    for (size_t i = 0; i < self->count; i++) {
        struct entry **bucket = bucket_of (self, self->heap[i]->token);
        self->heap[i]->next = *bucket;
        *bucket = self->heap[i];
    }
}

/* ---- the heap ------------------------------------------------------------------------------------ */

static void
place (struct lease_clock *self, struct entry *entry, size_t at)
{
    self->heap[at] = entry;
    entry->heap_at = at;
}

/* Move an entry, whose end has changed, to where it belongs. */
static void
settle_entry (struct lease_clock *self, struct entry *entry)
{
    size_t at = entry->heap_at;

    while (at > 0 && self->heap[(at - 1) / 2]->end_ms > entry->end_ms) {
        place (self, self->heap[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    for (size_t child; (child = 2 * at + 1) < self->count; at = child) {
        if (child + 1 < self->count &&
            self->heap[child + 1]->end_ms < self->heap[child]->end_ms)
            child++;
        if (self->heap[child]->end_ms >= entry->end_ms)
            break;
        place (self, self->heap[child], at);
    }
    place (self, entry, at);
}

static struct entry *
insert (struct lease_clock *self, const uint8_t token[TOKEN_SIZE])
{
    if (self->count == self->heap_capacity) {
        size_t capacity = self->heap_capacity > 0 ? self->heap_capacity * 2 : BUCKETS_MIN;
        struct entry **heap = realloc (self->heap, capacity * sizeof *heap);
        if (!heap)
            return NULL;
        self->heap = heap;
        self->heap_capacity = capacity;
    }
    struct entry *entry = calloc (1, sizeof *entry);
    if (!entry)
        return NULL;
    memcpy (entry->token, token, TOKEN_SIZE);
    struct entry **bucket = bucket_of (self, token);
    entry->next = *bucket;
    *bucket = entry;
    place (self, entry, self->count++);
    widen (self);
    return entry;
}

static void
forget (struct lease_clock *self, const uint8_t token[TOKEN_SIZE])
{
    struct entry **link = bucket_of (self, token);

    while (*link && memcmp ((*link)->token, token, TOKEN_SIZE) != 0)
        link = &(*link)->next;
    struct entry *entry = *link;
    if (!entry)
        return;
    *link = entry->next;
    struct entry *last = self->heap[--self->count];
    if (last != entry) {
        place (self, last, entry->heap_at);
        settle_entry (self, last);
    }
    free (entry);
}

/* ---- what others call ---------------------------------------------------------------------------- */

int
lease_clock_set (struct lease_clock *self, const uint8_t token[TOKEN_SIZE], int64_t ttl_ms,
                 int64_t now_ms, litedfs_error_t *error)
{
    struct entry *entry = find (self, token);

    if (!entry)
        entry = insert (self, token);
    if (!entry)
        return err_set (error, LITEDFS_MEMORY, "lease: out of memory");
    entry->deadline_ms = now_ms + ttl_ms;
    entry->end_ms = entry->deadline_ms + ttl_ms;
    settle_entry (self, entry);
    return 0;
}

int
lease_clock_load (struct lease_clock *self, struct txn *txn, int64_t now_ms,
                  litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct slice none = {0};
    struct slice key;
    struct slice value;
    struct lease_row row;

    int rc = cursor_open (&cursor, txn, TABLE_LEASE, none, none, error);
    while (rc == 0 && (rc = cursor_next (&cursor, &key, &value, error)) == 0) {
        rc = lease_row_decode (key, value, &row, error);
        if (rc == 0)
            rc = lease_clock_set (self, row.token, (int64_t) row.ttl * 1000, now_ms, error);
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

int64_t
lease_clock_remaining (const struct lease_clock *self, const uint8_t token[TOKEN_SIZE],
                       int64_t now_ms)
{
    const struct entry *entry = find (self, token);

    return entry && entry->deadline_ms > now_ms ? entry->deadline_ms - now_ms : 0;
}

int
lease_clock_drop (struct lease_clock *self, const uint8_t token[TOKEN_SIZE],
                  litedfs_error_t *error)
{
    if (self->dropped_count == self->dropped_capacity) {
        size_t capacity = self->dropped_capacity > 0 ? self->dropped_capacity * 2 : BUCKETS_MIN;
        void *dropped = realloc (self->dropped, capacity * sizeof *self->dropped);
        if (!dropped)
            return err_set (error, LITEDFS_MEMORY, "lease: out of memory");
        self->dropped = dropped;
        self->dropped_capacity = capacity;
    }
    memcpy (self->dropped[self->dropped_count++], token, TOKEN_SIZE);
    return 0;
}

void
lease_clock_settle (struct lease_clock *self, bool committed)
{
    for (size_t i = 0; committed && i < self->dropped_count; i++)
        forget (self, self->dropped[i]);
    self->dropped_count = 0;
}

size_t
lease_clock_ended (const struct lease_clock *self, int64_t now_ms,
                   uint8_t (*tokens)[TOKEN_SIZE], size_t max)
{
    size_t at[64];
    size_t waiting = 0;
    size_t count = 0;

    // Walk down the heap from its root, through entries that have ended only.
    if (self->count > 0)
        at[waiting++] = 0;
    while (waiting > 0 && count < max) {
        size_t here = at[--waiting];
        if (self->heap[here]->end_ms > now_ms)
            continue;
        memcpy (tokens[count++], self->heap[here]->token, TOKEN_SIZE);
        if (2 * here + 2 < self->count)
            at[waiting++] = 2 * here + 2;
        if (2 * here + 1 < self->count)
            at[waiting++] = 2 * here + 1;
    }
    return count;
}

int64_t
lease_clock_next (const struct lease_clock *self)
{
    return self->count > 0 ? self->heap[0]->end_ms : INT64_MAX;
}

size_t
lease_clock_count (const struct lease_clock *self)
{
    return self->count;
}
