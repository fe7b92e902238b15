/* SPDX-License-Identifier: MIT */
/*
 * Surveys: a walk over the rows of `held` of one node, which stand together.
 *
 * A round is good for a decision only if nobody came or went meanwhile: it carries the version of the
 * node table, and is begun anew when that has changed.
 */
#include "namenode/survey.h"

#include "namenode/held.h"
#include "namenode/mark.h"

#include <string.h>

/* Rows a slice, and milliseconds: between rounds; after an error. */
enum { SLICE_ROWS = 512, ROUND_MS = 500, ERROR_MS = 5000 };

/* ---- which node ---------------------------------------------------------------------------------- */

static bool
drains (const struct nodes_view *view, uint32_t number)
{
    const struct node *node = nodes_view_find (view, number);

    return node && node->duty.duty == DUTY_DRAIN;
}

/* The next node that drains after this one, in a circle; 0 if there is none. */
static uint32_t
next_node (const struct nodes_view *view, uint32_t after)
{
    uint32_t first = 0;

    for (size_t i = 0; i < view->count; i++) {
        uint32_t number = view->nodes[i].number;
        if (view->nodes[i].duty.duty != DUTY_DRAIN)
            continue;
        if (number > after)
            return number;
        if (first == 0)
            first = number;
    }
    return first;
}

/* Begin a round of this node. */
static void
begin (struct survey *self, const struct nodes_view *view, uint32_t number)
{
    self->node = number;
    self->last = number;
    self->bucket = 0;
    self->block = 0;
    self->counts = (struct duty_survey){.table = view->table};
}

/* ---- one block ----------------------------------------------------------------------------------- */

/* Whether a holder is one to rely on: it has confirmed the block, is online and stays. */
static int
stays (struct txn *txn, const struct nodes_view *view, uint32_t number, uint64_t block,
       bool *out, litedfs_error_t *error)
{
    const struct node *node = nodes_view_find (view, number);
    struct held_row held;

    *out = false;
    if (!node || !node->online || node->duty.duty != DUTY_SERVE)
        return 0;
    int rc = held_row_get (txn, number, block, &held, error);
    *out = rc == 0 && held.state == HELD_CONFIRMED && held.order == HELD_KEPT;
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

static size_t
count_serving (const struct nodes_view *view)
{
    size_t count = 0;

    for (size_t i = 0; i < view->count; i++)
        count += view->nodes[i].online && node_takes_blocks (&view->nodes[i]);
    return count;
}

/* The copies that are wanted of a block; 0 if its file is not to be seen yet, or freed. */
static int
find_wanted (struct txn *txn, const struct block_row *row, uint32_t *out,
             litedfs_error_t *error)
{
    struct inode_row file;
    int rc = inode_row_get (txn, row->inode, &file, error);

    *out = rc == 0 ? file.replica : 0;
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* Remember that the block is to be marked; false if there is no room. */
static bool
add_found (struct survey *self, const struct block_row *row)
{
    if (self->found_count == SURVEY_FOUND_MAX)
        return false;
    self->found[self->found_count++] = (struct repair_row){
        .inode = row->inode, .first = row->index, .end = (uint64_t) row->index + 1};
    return true;
}

static int
count_block (struct survey *self, struct txn *txn, const struct nodes_view *view,
             const struct block_row *row, uint32_t wanted, litedfs_error_t *error)
{
    struct duty_survey *counts = &self->counts;
    bool any = false;
    int rc = 0;

    for (size_t i = 0; i < row->nodes_count && rc == 0 && !any; i++)
        rc = stays (txn, view, row->nodes[i], row->block, &any, error);
    counts->blocks++;
    counts->bytes += row->size;
    counts->sole += !any;
    counts->sole_bytes += any ? 0 : row->size;
    counts->stuck += wanted > count_serving (view);
    return rc;
}

/* Look at what the node has of one block.  *room: there was room for it; else it comes again. */
static int
look_at (struct survey *self, struct txn *txn, const struct nodes_view *view, uint64_t block,
         bool *room, litedfs_error_t *error)
{
    struct block_row row;
    uint32_t wanted = 0;
    int rc = held_find_block (txn, block, &row, error);

    *room = true;
    if (rc == LITEDFS_NOT_FOUND)
        return 0;
    if (rc < 0 || row.state != BLOCK_FINISHED || !block_row_has_node (&row, self->node))
        return rc;
    rc = find_wanted (txn, &row, &wanted, error);
    if (rc == 0 && wanted > 0)
        *room = add_found (self, &row);
    return rc == 0 && *room ? count_block (self, txn, view, &row, wanted, error) : rc;
}

/* ---- slices -------------------------------------------------------------------------------------- */

static int
slice (struct survey *self, struct txn *txn, const struct nodes_view *view,
       litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct held_row held;
    struct slice key, value;
    uint8_t prefix[4], start[14];
    bool room = true;

    key_be32 (prefix, self->node);
    key_be32 (start, self->node);
    start[4] = (uint8_t) (self->bucket >> 8);
    start[5] = (uint8_t) self->bucket;
    key_be64 (start + 6, self->block);
    int rc = cursor_open (&cursor, txn, TABLE_HELD, slice_of (prefix, sizeof prefix),
                          slice_of (start, sizeof start), error);
    for (int i = 0; i < SLICE_ROWS && rc == 0 && room; i++) {
        rc = cursor_next (&cursor, &key, &value, error);
        self->ended = rc == LITEDFS_NOT_FOUND;
        if (rc == 0)
            rc = held_row_decode (key, value, &held, error);
        if (rc == 0)
            rc = look_at (self, txn, view, held.block, &room, error);
        if (rc < 0)
            break;
        self->bucket = held_bucket (held.block);
        self->block = held.block + room;
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* Go on with the node that is looked at, or begin with the next one; false if none drains. */
static bool
go_on (struct survey *self, const struct nodes_view *view)
{
    bool going = self->node != 0 && drains (view, self->node);
    uint32_t number = going ? self->node : next_node (view, self->last);

    if (number != 0 && !(going && self->counts.table == view->table))
        begin (self, view, number);
    return number != 0;
}

bool
survey_slice (struct survey *self, struct metastore *store, const struct nodes_view *view,
              int64_t now_ms, litedfs_error_t *error)
{
    struct txn *txn;

    if (self->found_count > 0 || self->ended)
        return true;
    if (now_ms < self->next_ms || view->settling || !go_on (self, view))
        return false;
    int rc = txn_begin_read (store, &txn, error);
    if (rc == 0) {
        rc = slice (self, txn, view, error);
        txn_abort (&txn);
    }
    if (rc < 0) {
        self->node = 0;
        self->next_ms = now_ms + ERROR_MS;
    }
    return rc == 0;
}

/* The round is over: have what it came to in the row of the node, if it was something else before. */
static int
write_counts (const struct survey *self, struct txn *txn, uint32_t *node,
              litedfs_error_t *error)
{
    struct duty_survey counts = self->counts;
    struct node_row row;
    int rc = node_row_get (txn, self->node, &row, error);

    if (rc == LITEDFS_NOT_FOUND || (rc == 0 && row.duty.duty != DUTY_DRAIN))
        return 0;
    if (rc < 0)
        return rc;
    counts.writing = row.reserved;
    counts.time = row.duty.survey.time;
    if (counts.time > 0 && memcmp (&counts, &row.duty.survey, sizeof counts) == 0)
        return 0;
    counts.time = (uint64_t) txn_frame (txn)->wall_ms;
    row.duty.survey = counts;
    *node = self->node;
    return node_row_put (txn, &row, error);
}

int
survey_step (const struct survey *self, struct txn *txn, uint32_t *node, litedfs_error_t *error)
{
    int rc = 0;

    *node = 0;
    for (size_t i = 0; i < self->found_count && rc == 0; i++)
        rc = mark_blocks_found (txn, self->found[i].inode, self->found[i].first,
                                self->found[i].end, error);
    return rc == 0 && self->ended ? write_counts (self, txn, node, error) : rc;
}

void
survey_settle (struct survey *self, bool committed, int64_t now_ms)
{
    if (!committed)
        return;
    self->found_count = 0;
    if (!self->ended)
        return;
    self->ended = false;
    self->node = 0;
    self->next_ms = now_ms + ROUND_MS;
}

int64_t
survey_next_ms (const struct survey *self, const struct nodes_view *view)
{
    return !view->settling && next_node (view, self->last) != 0 ? self->next_ms : INT64_MAX;
}
