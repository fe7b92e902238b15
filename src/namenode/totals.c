/* SPDX-License-Identifier: MIT */
/*
 * Pending changes of directories: an open-addressing table, inode -> delta, kept as the state of the
 * write transaction and applied to the rows when it commits.
 *
 * A delta is given to every directory on the way to the root when the change is made, not when it is
 * flushed: a directory that is moved later in the same batch takes its sum along.  A directory that has
 * been deleted and freed by then has no row; its delta is dropped.
 */
#include "namenode/totals.h"

#include <stdlib.h>
#include <string.h>

/* Slots of the first table; a power of 2. */
#define SLOTS_MIN 64

struct slot {
    uint64_t directory; // 0: free
    struct totals_delta delta;
};

struct totals {
    struct txn_state state;
    struct slot *slots;
    size_t capacity;
    size_t count;
};

/* The slot of a directory, or the free one where it would stand. */
static struct slot *
find_slot (struct slot *slots, size_t capacity, uint64_t directory)
{
    size_t at = (size_t) block_id_hash (directory) & (capacity - 1);

    while (slots[at].directory != 0 && slots[at].directory != directory)
        at = (at + 1) & (capacity - 1);
    return &slots[at];
}

/* A count is never below zero, whatever a damaged row says. */
static void
add (uint64_t *number, int64_t delta)
{
    if (delta < 0 && *number < 0 - (uint64_t) delta)
        *number = 0;
    else
        *number += (uint64_t) delta;
}

/* The sum of two changes; it wraps, which only a damaged row can bring about. */
static void
sum (int64_t *total, int64_t delta)
{
    *total = (int64_t) ((uint64_t) *total + (uint64_t) delta);
}

static void
apply (struct inode_row *row, const struct totals_delta *delta)
{
    add (&row->child_directories, delta->child_directories);
    add (&row->child_files, delta->child_files);
    add (&row->directories, delta->directories);
    add (&row->files, delta->files);
    add (&row->bytes, delta->bytes);
    if (delta->mtime > 0)
        row->mtime = delta->mtime;
}

static int
flush (struct txn *txn, struct txn_state *state, litedfs_error_t *error)
{
    struct totals *self = (struct totals *) state;
    struct inode_row row;

    for (size_t i = 0; i < self->capacity; i++) {
        if (self->slots[i].directory == 0)
            continue;
        int rc = inode_row_get (txn, self->slots[i].directory, &row, error);
        if (rc == LITEDFS_NOT_FOUND)
            continue;
        if (rc == 0) {
            apply (&row, &self->slots[i].delta);
            rc = inode_row_put (txn, &row, error);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void
destroy (struct txn_state *state)
{
    struct totals *self = (struct totals *) state;

    free (self->slots);
    free (self);
}

static struct totals *
totals_of (struct txn *txn)
{
    struct totals *self = (struct totals *) txn_state (txn);

    if (self)
        return self;
    self = calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->state.flush = flush;
    self->state.destroy = destroy;
    txn_set_state (txn, &self->state);
    return self;
}

int
totals_reserve (struct txn *txn, size_t count, litedfs_error_t *error)
{
    struct totals *self = totals_of (txn);
    size_t capacity = self && self->capacity > 0 ? self->capacity : SLOTS_MIN;

    if (!self)
        return err_set (error, LITEDFS_MEMORY, "totals: out of memory");
    while (capacity / 2 < self->count + count)
        capacity *= 2;
    if (capacity == self->capacity)
        return 0;
    struct slot *slots = calloc (capacity, sizeof *slots);
    if (!slots)
        return err_set (error, LITEDFS_MEMORY, "totals: out of memory");
    for (size_t i = 0; i < self->capacity; i++)
        if (self->slots[i].directory != 0)
            *find_slot (slots, capacity, self->slots[i].directory) = self->slots[i];
    free (self->slots);
    self->slots = slots;
    self->capacity = capacity;
    return 0;
}

int
totals_add (struct txn *txn, uint64_t directory, const struct totals_delta *delta,
            litedfs_error_t *error)
{
    int rc = totals_reserve (txn, 1, error);
    if (rc < 0)
        return rc;
    struct totals *self = totals_of (txn);
    struct slot *slot = find_slot (self->slots, self->capacity, directory);
    if (slot->directory == 0) {
        slot->directory = directory;
        self->count++;
    }
    sum (&slot->delta.child_directories, delta->child_directories);
    sum (&slot->delta.child_files, delta->child_files);
    sum (&slot->delta.directories, delta->directories);
    sum (&slot->delta.files, delta->files);
    sum (&slot->delta.bytes, delta->bytes);
    if (delta->mtime > 0)
        slot->delta.mtime = delta->mtime;
    return 0;
}

void
totals_pending (struct txn *txn, struct inode_row *row)
{
    struct totals *self = (struct totals *) txn_state (txn);

    if (!self || self->capacity == 0 || row->kind != KIND_DIRECTORY)
        return;
    struct slot *slot = find_slot (self->slots, self->capacity, row->number);
    if (slot->directory != 0)
        apply (row, &slot->delta);
}
