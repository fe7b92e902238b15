/* SPDX-License-Identifier: MIT */
/*
 * The census.  A slice is followed by a pause of some times its length, so that the writer's thread stays
 * free for others, and a round by a longer one.  Marks of one inode may overlap: the place only moves on,
 * so that no block counts twice.
 */
#include "namenode/repair_census.h"

#include "namenode/blocks.h"
#include "namenode/mark.h"

#include <string.h>

/* Of a slice: rows, milliseconds; pauses after a slice and a round in terms of what they took; the least
 * time from round to round, and after an error, milliseconds. */
enum { ROWS = 512, TIME_MS = 2, PAUSE_TIMES = 4, ROUND_TIMES = 4 };
enum { ROUND_MS = 200, ERROR_MS = 5000 };

void
repair_census_restart (struct repair_census *self, bool forget)
{
    self->inode = 0;
    self->index = 0;
    self->round = (struct repair_queue){0};
    self->spent_ms = 0;
    self->next_ms = 0;
    self->counted = false;
    if (forget)
        self->last = (struct repair_queue){0};
}

static uint64_t
larger (uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

bool
repair_census_queue (const struct repair_census *self, struct repair_queue *out)
{
    const struct repair_queue *a = &self->last, *b = &self->round;

    *out = *a;
    if (!self->counted)
        *out = (struct repair_queue){
            .missing = larger (a->missing, b->missing),
            .last = larger (a->last, b->last),
            .few = larger (a->few, b->few),
            .move = larger (a->move, b->move),
            .surplus = larger (a->surplus, b->surplus),
            .bytes = larger (a->bytes, b->bytes),
        };
    return self->counted;
}

static int
count_block (struct repair_census *self, struct repair_run *run, const struct block_row *row,
             uint32_t wanted, litedfs_error_t *error)
{
    struct repair_queue *queue = &self->round;
    struct repair_look look;
    int rc = repair_block_look (run, row, wanted, &look, error);

    if (rc < 0)
        return rc;
    if (look.there + look.expected == 0)
        queue->missing++;
    else if (look.good < wanted) {
        if (look.good + look.counts[REPAIR_LEAVING] >= wanted)
            queue->move++;
        else if (look.there <= 1)
            queue->last++;
        else
            queue->few++;
        queue->bytes += (wanted - look.good) * row->size;
    } else if (look.counts[REPAIR_LIVE] > wanted)
        queue->surplus++;
    return 0;
}

static bool
has_time (const struct repair_run *run, size_t rows, int64_t began_ms)
{
    return rows < ROWS && clock_mono (run->clock) - began_ms < TIME_MS;
}

/* Count what one mark has from the place on. */
static int
count_mark (struct repair_census *self, struct repair_run *run, const struct repair_row *mark,
            size_t *rows, int64_t began_ms, litedfs_error_t *error)
{
    struct blocks_walk walk;
    struct block_row row;
    struct inode_row file;

    if (self->index < mark->first)
        self->index = mark->first;
    int rc = inode_row_get (run->txn, mark->inode, &file, error);
    if (rc == LITEDFS_NOT_FOUND || (rc == 0 && file.kind != KIND_FILE)) {
        self->index = mark->end;
        return 0;
    }
    if (rc == 0)
        rc = blocks_open (&walk, run->txn, mark->inode, (uint32_t) self->index, error);
    if (rc < 0)
        return rc;
    while (rc == 0 && has_time (run, *rows, began_ms)) {
        rc = blocks_next (&walk, &row, error);
        if (rc == LITEDFS_NOT_FOUND || (rc == 0 && row.index >= mark->end)) {
            self->index = mark->end;
            rc = 0;
            break;
        }
        ++*rows;
        if (rc == 0 && row.state == BLOCK_FINISHED)
            rc = count_block (self, run, &row, file.replica > 0 ? file.replica : 1, error);
        self->index = (uint64_t) row.index + 1;
    }
    blocks_close (&walk);
    return rc;
}

/* The mark that has the place, or the first one after it. */
static int
next_mark (const struct repair_census *self, struct txn *txn, struct repair_row *out,
           litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct slice none = {0};
    struct slice key;
    struct slice value;
    uint8_t start[8];
    int rc = LITEDFS_NOT_FOUND;

    if (self->inode != 0 && self->index < REPAIR_END)
        rc = mark_find (txn, self->inode, (uint32_t) self->index, out, error);
    if (rc != LITEDFS_NOT_FOUND)
        return rc;
    rc = cursor_open (&cursor, txn, TABLE_REPAIR, none, key_be64 (start, self->inode + 1),
                      error);
    if (rc == 0)
        rc = cursor_next (&cursor, &key, &value, error);
    if (rc == 0)
        rc = repair_row_decode (key, value, out, error);
    cursor_close (&cursor);
    return rc;
}

/* LITEDFS_NOT_FOUND: the round is over. */
static int
slice (struct repair_census *self, struct repair_run *run, int64_t began_ms,
       litedfs_error_t *error)
{
    struct repair_row mark;
    size_t rows = 0;
    int rc = 0;

    while (rc == 0 && has_time (run, rows, began_ms)) {
        rc = next_mark (self, run->txn, &mark, error);
        if (rc < 0)
            break;
        rows++;
        if (mark.inode != self->inode) {
            self->inode = mark.inode;
            self->index = 0;
        }
        rc = count_mark (self, run, &mark, &rows, began_ms, error);
    }
    return rc;
}

int
repair_census_slice (struct repair_census *self, struct metastore *store,
                     struct repair_run *run, bool *news, litedfs_error_t *error)
{
    int64_t began_ms = clock_mono (run->clock);
    struct repair_queue before, after;

    if (began_ms < self->next_ms)
        return 0;
    bool whole = repair_census_queue (self, &before);
    int rc = txn_begin_read (store, &run->txn, error);
    if (rc == 0) {
        rc = slice (self, run, began_ms, error);
        txn_abort (&run->txn);
    }
    int64_t now_ms = clock_mono (run->clock);
    self->spent_ms += now_ms - began_ms;
    self->next_ms = now_ms + 1 + PAUSE_TIMES * (now_ms - began_ms);
    if (rc == LITEDFS_NOT_FOUND) {
        int64_t pause_ms = ROUND_TIMES * self->spent_ms;
        self->last = self->round;
        repair_census_restart (self, false);
        self->counted = true;
        self->next_ms = now_ms + (pause_ms > ROUND_MS ? pause_ms : ROUND_MS);
        rc = 0;
    } else if (rc < 0)
        self->next_ms = now_ms + ERROR_MS;
    *news = *news || repair_census_queue (self, &after) != whole ||
            memcmp (&before, &after, sizeof after) != 0;
    return rc;
}
