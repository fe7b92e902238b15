/* SPDX-License-Identifier: MIT */
/*
 * The walk: slices, each in a snapshot of its own.  A slow one has some rows, one in a hurry lasts two
 * milliseconds and is followed by a pause of the same length, so that the writer's thread stays free for others.
 */
#include "namenode/repair_walk.h"

#include "namenode/blocks.h"

/* Rows a slice, and of how many rows the clock is looked at; milliseconds: of a slice, from slice to slice, after
 * an error. */
enum { SLOW_ROWS = 64, FAST_ROWS = 8192, CLOCK_ROWS = 64 };
enum { FAST_MS = 2, SLOW_MS = 200, ERROR_MS = 5000 };

void
repair_walk_hurry (struct repair_walk *self)
{
    if (self->fast && (self->inode != 0 || self->index != 0))
        self->again = true;
    if (!self->fast) {
        self->fast = true;
        self->inode = 0;
        self->index = 0;
    }
    self->next_ms = 0;
}

/* Add a block to what was found; false if there is no room. */
static bool
add_found (struct repair_walk *self, const struct block_row *row)
{
    struct repair_row *last =
        self->found_count > 0 ? &self->found[self->found_count - 1] : NULL;

    if (last && last->inode == row->inode && last->end == row->index) {
        last->end++;
        return true;
    }
    if (self->found_count == REPAIR_FOUND_MAX)
        return false;
    self->found[self->found_count++] = (struct repair_row){
        .inode = row->inode, .first = row->index, .end = (uint64_t) row->index + 1};
    return true;
}

/* Whether too few of the holders are there, or one only, whatever they have confirmed: most blocks of a node
 * that is gone need no closer look. */
static bool
is_short (const struct repair_run *run, const struct block_row *row, uint32_t wanted)
{
    uint32_t counting = 0, there = 0;

    for (size_t i = 0; i < row->nodes_count; i++) {
        const struct node *node = nodes_view_find (run->nodes, row->nodes[i]);
        bool counts = presence_counts (run->presence, row->nodes[i]);
        counting += counts;
        there += counts && node && (node->online || node->excused);
    }
    return counting < wanted || (there == 1 && wanted > 1);
}

/* Look at one block; *file is the inode row of the block before, if it has the same.  False when there is
 * no room for what was found. */
static int
look_at (struct repair_walk *self, struct repair_run *run, const struct block_row *row,
         struct inode_row *file, bool *room, litedfs_error_t *error)
{
    bool fine;
    int rc = 0;

    if (file->number != row->inode) {
        rc = inode_row_get (run->txn, row->inode, file, error);
        if (rc == LITEDFS_NOT_FOUND) {
            *file = (struct inode_row){.number = row->inode, .replica = 0};
            rc = 0;
        }
    }
    if (rc < 0 || file->replica == 0 || row->state == BLOCK_ALLOCATED)
        return rc; // it is being written, or freed
    fine = !is_short (run, row, file->replica);
    if (fine)
        rc = repair_block_is_fine (run, row, file->replica, &fine, error);
    if (rc == 0 && !fine)
        *room = add_found (self, row);
    return rc;
}

static int
slice (struct repair_walk *self, struct repair_run *run, size_t max, int64_t end_ms, bool *end,
       litedfs_error_t *error)
{
    struct inode_row file = {0};
    struct block_row row;
    struct cursor cursor = {0};
    struct slice none = {0};
    struct slice key;
    struct slice value;
    uint8_t start[12];
    bool room = true;

    key_be64 (start, self->inode);
    key_be32 (start + 8, self->index);
    int rc = cursor_open (&cursor, run->txn, TABLE_BLOCK, none, slice_of (start, sizeof start),
                          error);
    for (size_t i = 0; i < max && rc == 0 && room; i++) {
        if (i % CLOCK_ROWS == CLOCK_ROWS - 1 && clock_mono (run->clock) >= end_ms)
            break;
        rc = cursor_next (&cursor, &key, &value, error);
        *end = rc == LITEDFS_NOT_FOUND;
        if (rc == 0)
            rc = block_row_decode (key, value, &row, error);
        if (rc == 0)
            rc = look_at (self, run, &row, &file, &room, error);
        if (rc < 0)
            break;
        self->inode = row.inode + (room && row.index == UINT32_MAX);
        self->index = row.index + room;
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* A round is over. */
static void
begin_again (struct repair_walk *self, int64_t now_ms)
{
    self->inode = 0;
    self->index = 0;
    self->fast = self->again;
    self->again = false;
    if (!self->fast)
        self->next_ms = now_ms + (self->interval_ms > SLOW_MS ? self->interval_ms : SLOW_MS);
}

int
repair_walk_slice (struct repair_walk *self, struct metastore *store, struct repair_run *run,
                   litedfs_error_t *error)
{
    int64_t began_ms = clock_mono (run->clock);
    bool end = false;

    if (began_ms < self->next_ms || self->found_count > 0)
        return 0;
    int rc = txn_begin_read (store, &run->txn, error);
    if (rc == 0) {
        rc = slice (self, run, self->fast ? FAST_ROWS : SLOW_ROWS, began_ms + FAST_MS, &end,
                    error);
        txn_abort (&run->txn);
    }
    int64_t now_ms = clock_mono (run->clock);
    self->next_ms = now_ms + (self->fast ? now_ms - began_ms : SLOW_MS);
    if (rc < 0)
        self->next_ms = now_ms + ERROR_MS;
    else if (end)
        begin_again (self, now_ms);
    return rc;
}
