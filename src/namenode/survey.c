/* SPDX-License-Identifier: MIT */
/*
 * Surveys: a walk over the rows of `held` of one node, which stand together.
 *
 * A round is good for a decision only if nobody went meanwhile who was counted on: it carries the view's
 * word for that, and is begun anew when that has changed.  A node that comes, or is full, changes nothing.
 */
#include "namenode/survey.h"

#include "namenode/held.h"
#include "namenode/mark.h"

#include <string.h>

/* Rows a slice, and milliseconds: between rounds, which pause for as long as one takes if that is more;
 * after an error. */
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

/* Begin a round of this node.  It gets no new blocks, so that uploads can bring it no more than they were
 * promised by now. */
static int
begin (struct survey *self, struct txn *txn, const struct nodes_view *view, uint32_t number,
       int64_t now_ms, litedfs_error_t *error)
{
    struct node_row row;
    int rc = node_row_get (txn, number, &row, error);

    if (rc < 0)
        return rc;
    self->node = number;
    self->last = number;
    self->bucket = 0;
    self->block = 0;
    self->begun_ms = now_ms;
    self->counts = (struct duty_survey){.steady = view->steady, .writing = row.reserved};
    return 0;
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

/* Whether any holder stays. */
static int
any_stays (struct txn *txn, const struct nodes_view *view, const struct block_row *row,
           bool *out, litedfs_error_t *error)
{
    int rc = 0;

    *out = false;
    for (size_t i = 0; i < row->nodes_count && rc == 0 && !*out; i++)
        rc = stays (txn, view, row->nodes[i], row->block, out, error);
    return rc;
}

static void
count_block (struct survey *self, const struct nodes_view *view, const struct block_row *row,
             uint32_t wanted, bool sole)
{
    struct duty_survey *counts = &self->counts;

    counts->blocks++;
    counts->bytes += row->size;
    counts->sole += sole;
    counts->sole_bytes += sole ? row->size : 0;
    counts->stuck += wanted > count_serving (view);
}

/* Look at what the node has of one block.  A copy that shall be deleted is nothing, but it may be the last
 * one if those who were to have the block have gone.  *room: there was room for it; else it comes again. */
static int
look_at (struct survey *self, struct txn *txn, const struct nodes_view *view,
         const struct held_row *held, bool *room, litedfs_error_t *error)
{
    struct block_row row;
    uint32_t wanted = 0;
    bool others = false;
    int rc = held_find_block (txn, held->block, &row, error);

    *room = true;
    if (rc == LITEDFS_NOT_FOUND)
        return 0;
    if (rc < 0 || row.state != BLOCK_FINISHED)
        return rc;
    bool holder = block_row_has_node (&row, self->node);
    if (!holder && (held->state != HELD_CONFIRMED || held->order != HELD_KEPT))
        return 0;
    rc = find_wanted (txn, &row, &wanted, error);
    if (rc == 0 && wanted == 0)
        self->counts.writing += holder ? row.size : 0;
    if (rc == 0 && wanted > 0)
        rc = any_stays (txn, view, &row, &others, error);
    if (rc < 0 || wanted == 0 || (!holder && others))
        return rc;
    *room = !holder || add_found (self, &row);
    if (*room)
        count_block (self, view, &row, wanted, !others);
    return 0;
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
            rc = look_at (self, txn, view, &held, &room, error);
        if (rc < 0)
            break;
        self->bucket = block_id_bucket (held.block);
        self->block = held.block + room;
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

bool
survey_slice (struct survey *self, struct metastore *store, const struct nodes_view *view,
              int64_t now_ms, litedfs_error_t *error)
{
    struct txn *txn;

    if (self->found_count > 0 || self->ended)
        return true;
    if (now_ms < self->next_ms || view->settling)
        return false;
    bool going = self->node != 0 && drains (view, self->node);
    uint32_t number = going ? self->node : next_node (view, self->last);
    if (number == 0)
        return false;
    int rc = txn_begin_read (store, &txn, error);
    if (rc == 0) {
        if (!going || self->counts.steady != view->steady)
            rc = begin (self, txn, view, number, now_ms, error);
        if (rc == 0)
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
    int64_t took_ms = now_ms - self->begun_ms;
    self->ended = false;
    self->node = 0;
    self->next_ms = now_ms + (took_ms > ROUND_MS ? took_ms : ROUND_MS);
}

int64_t
survey_next_ms (const struct survey *self, const struct nodes_view *view)
{
    return !view->settling && next_node (view, self->last) != 0 ? self->next_ms : INT64_MAX;
}
