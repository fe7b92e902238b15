/* SPDX-License-Identifier: MIT */
/*
 * Repair of one block: look at the holders, then act on the counts.  The row of the block is changed in
 * memory and put once.
 */
#include "namenode/repair_block_impl.h"

#include "namenode/garbage.h"
#include "namenode/held.h"
#include "namenode/placement.h"
#include "namenode/repair_damaged.h"

#include <inttypes.h>
#include <string.h>

/* A copy should have arrived after this time and what its bytes take at this speed. */
enum { COPY_MS = 60000, COPY_BYTES_A_MS = (1 << 20) / 1000 };

/* A file's copies that never arrive are tried with other nodes, by turns of this length. */
enum { TURN_MS = 60000 };

/* ---- looking ------------------------------------------------------------------------------------- */

/* A node that was not there all the time may have had no chance to report.  A claim of a time to come is
 * of before the clock was set back. */
static bool
is_claim_over (const struct repair_run *run, uint32_t number, const struct held_row *held)
{
    int64_t age_ms = run->wall_ms - (int64_t) held->time;

    return presence_online_ms (run->presence, number, run->now_ms) >= REPAIR_CLAIM_MS &&
           (age_ms < 0 || age_ms >= REPAIR_CLAIM_MS);
}

static int
look_at_holder (struct repair_run *run, uint32_t number, uint64_t block, enum standing *out,
                litedfs_error_t *error)
{
    struct held_row held = {.state = HELD_CLAIMED};

    const struct node *node = nodes_view_find (run->nodes, number);
    bool drains = node && node->duty.duty == DUTY_DRAIN;
    if (!presence_counts (run->presence, number) || (drains && !node->online)) {
        *out = drains ? LEFT : GONE;
        return 0;
    }
    int rc = held_row_get (run->txn, number, block, &held, error);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    if ((rc == 0 && held.order != HELD_KEPT) ||
        (held.state == HELD_CLAIMED && is_claim_over (run, number, &held)))
        *out = STALE;
    else if (held.state == HELD_CLAIMED)
        *out = YOUNG;
    else if (drains)
        *out = LEAVING;
    else if (node && node->online)
        *out = LIVE;
    else
        *out = node && node->excused ? EXCUSED : AWAY;
    return 0;
}

int
repair_block_find (struct repair_run *run, const struct block_row *row, struct findings *out,
                   litedfs_error_t *error)
{
    int rc = 0;

    memset (out->counts, 0, sizeof out->counts);
    for (size_t i = 0; i < row->nodes_count && rc == 0; i++) {
        rc = look_at_holder (run, row->nodes[i], row->block, &out->holders[i], error);
        out->counts[out->holders[i]] += rc == 0;
    }
    return rc;
}

/* How many holders count.  The last one that is there is not left alone for the time in which others are
 * expected back: one of them does not count, so that one more copy is made at once. */
static uint32_t
good (const struct findings *findings, uint32_t wanted)
{
    uint32_t there =
        findings->counts[LIVE] + findings->counts[EXCUSED] + findings->counts[YOUNG];
    uint32_t all = there + findings->counts[AWAY];

    return there == 1 && wanted > 1 && all >= wanted ? wanted - 1 : all;
}

/* How many holders shall be none, as soon as there are enough others. */
static uint32_t
leavers (const struct findings *findings)
{
    return findings->counts[LEAVING] + findings->counts[LEFT];
}

int
repair_block_look (struct repair_run *run, const struct block_row *row, uint32_t wanted,
                   struct repair_look *out, litedfs_error_t *error)
{
    struct findings findings;
    int rc = repair_block_find (run, row, &findings, error);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < row->nodes_count; i++)
        out->holders[i] = (enum repair_standing) findings.holders[i];
    memcpy (out->counts, findings.counts, sizeof out->counts);
    out->there = findings.counts[LIVE] + findings.counts[YOUNG] + findings.counts[LEAVING];
    out->expected = findings.counts[AWAY] + findings.counts[EXCUSED];
    out->good = good (&findings, wanted);
    return 0;
}

int
repair_block_is_fine (struct repair_run *run, const struct block_row *row, uint32_t wanted,
                      bool *out, litedfs_error_t *error)
{
    uint32_t useless[ROW_NODES_MAX];
    size_t useless_count = 0;
    struct findings findings;
    int rc = repair_block_find (run, row, &findings, error);

    if (rc == 0 && findings.counts[LIVE] >= wanted)
        rc = repair_useless (run, row->block, useless, &useless_count, error);
    *out = rc == 0 && useless_count == 0 && findings.counts[STALE] + leavers (&findings) == 0 &&
           good (&findings, wanted) >= wanted && findings.counts[LIVE] <= wanted;
    return rc;
}

/* ---- holders that go ----------------------------------------------------------------------------- */

/* Take the holder with this place off the row. */
static void
remove_holder (struct block_row *row, struct findings *findings, size_t at)
{
    size_t after = row->nodes_count - at - 1;

    findings->counts[findings->holders[at]]--;
    memmove (&row->nodes[at], &row->nodes[at + 1], after * sizeof *row->nodes);
    memmove (&findings->holders[at], &findings->holders[at + 1],
             after * sizeof *findings->holders);
    row->nodes_count--;
}

/* Claims whose time is over are no holders any more. */
static int
drop_stale (struct repair_run *run, struct block_row *row, struct findings *findings,
            litedfs_error_t *error)
{
    char block[BLOCK_ID_TEXT_SIZE];
    int rc = 0;

    if (findings->counts[STALE] == 0)
        return 0;
    for (size_t i = row->nodes_count; i-- > 0 && rc == 0;)
        if (findings->holders[i] == STALE) {
            rc = held_unclaim (run->txn, row->nodes[i], row->block, error);
            remove_holder (row, findings, i);
        }
    if (row->nodes_count == 0)
        log_warning (run->log,
                     "block %s: no data node that was said to have it has reported it; its "
                     "file (inode %" PRIu64 ") cannot be read",
                     block_id_print (row->block, block), row->inode);
    return rc;
}

/* Whether another live holder is in the zone of this one. */
static bool
shares_zone (const struct repair_run *run, const struct block_row *row,
             const struct findings *findings, const struct node *node)
{
    for (size_t i = 0; i < row->nodes_count; i++) {
        const struct node *other = nodes_view_find (run->nodes, row->nodes[i]);
        if (findings->holders[i] == LIVE && other && other != node &&
            placement_same_zone (other, node))
            return true;
    }
    return false;
}

size_t
repair_block_surplus (const struct repair_run *run, const struct block_row *row,
                      const struct findings *findings)
{
    const struct node *best = NULL;
    bool best_shares = false;
    size_t chosen = 0;

    for (size_t i = 0; i < row->nodes_count; i++) {
        const struct node *node = nodes_view_find (run->nodes, row->nodes[i]);
        if (findings->holders[i] != LIVE || !node)
            continue;
        bool shares = shares_zone (run, row, findings, node);
        if (!best || (shares && !best_shares) ||
            (shares == best_shares && node_use (node) > node_use (best))) {
            best = node;
            best_shares = shares;
            chosen = i;
        }
    }
    return chosen;
}

/* What the holder with this place has is garbage from now on. */
static int
discard (struct repair_run *run, struct block_row *row, struct findings *findings, size_t at,
         litedfs_error_t *error)
{
    struct garbage_row part = {.node = row->nodes[at],
                               .due = (uint64_t) run->wall_ms + run->delete_delay_ms,
                               .block = row->block};

    remove_holder (row, findings, at);
    return garbage_row_put (run->txn, &part, error);
}

static int
drop_surplus (struct repair_run *run, struct block_row *row, uint32_t wanted,
              struct findings *findings, litedfs_error_t *error)
{
    int rc = 0;

    while (rc == 0 && findings->counts[LIVE] > wanted)
        rc = discard (run, row, findings, repair_block_surplus (run, row, findings), error);
    if (findings->counts[LIVE] < wanted)
        return rc;
    for (size_t i = row->nodes_count; i-- > 0 && rc == 0;)
        if (findings->holders[i] == LEAVING || findings->holders[i] == LEFT)
            rc = discard (run, row, findings, i, error);
    return rc;
}

/* ---- holders that come --------------------------------------------------------------------------- */

/* Targets of the copies of a block that are under way. */
struct targets {
    uint32_t nodes[ROW_NODES_MAX];
    size_t count;
};

static void
find_targets (const struct repair_run *run, uint64_t block, struct targets *out)
{
    out->count = 0;
    for (size_t at = copies_find (run->copies, block, 0);
         at != SIZE_MAX && out->count < ROW_NODES_MAX;
         at = copies_find (run->copies, block, at + 1))
        out->nodes[out->count++] = copies_at (run->copies, at)->target;
}

static bool
is_target (const struct targets *targets, uint32_t number)
{
    for (size_t i = 0; i < targets->count; i++)
        if (targets->nodes[i] == number)
            return true;
    return false;
}

/* See what the nodes that are no holders have of the block: those that have it become holders again, up
 * to need; those that have it and must not, or are said to have it, are barred. */
static int
adopt (struct repair_run *run, struct block_row *row, struct findings *findings,
       const struct targets *targets, uint32_t need, litedfs_error_t *error)
{
    struct held_row held;

    for (size_t i = 0; i < run->nodes->count; i++) {
        const struct node *node = &run->nodes->nodes[i];
        run->barred[i] = !node->online || !node_takes_blocks (node) ||
                         is_target (targets, node->number) ||
                         block_row_has_node (row, node->number);
        if (run->barred[i])
            continue;
        int rc = held_row_get (run->txn, node->number, row->block, &held, error);
        if (rc == LITEDFS_NOT_FOUND)
            continue;
        if (rc < 0)
            return rc;
        run->barred[i] = true;
        if (need > 0 && held.state == HELD_CONFIRMED && held.order == HELD_KEPT &&
            held.size == row->size && row->nodes_count < ROW_NODES_MAX) {
            findings->holders[row->nodes_count] = LIVE;
            findings->counts[LIVE]++;
            row->nodes[row->nodes_count++] = node->number;
            need--;
        }
    }
    return 0;
}

/* What placement asks about a target. */
struct question {
    struct repair_run *run;
    uint64_t size;
    bool busy; // somebody was left out because it has enough to do
    int rc;
    litedfs_error_t error;
};

static bool
is_barred (void *arg, uint32_t number)
{
    struct question *question = arg;
    const struct nodes_view *nodes = question->run->nodes;
    const struct node *node = nodes_view_find (nodes, number);

    if (!node || question->run->barred[node - nodes->nodes])
        return true;
    if (copies_may_take (question->run->copies, number, question->size))
        return false;
    question->busy = true;
    return true;
}

static uint64_t
promised_to (void *arg, uint32_t number)
{
    struct question *question = arg;
    struct node_row row;
    int rc = node_row_get (question->run->txn, number, &row, &question->error);

    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        question->rc = rc;
    return (rc == 0 ? row.reserved : 0) + copies_bytes_to (question->run->copies, number);
}

/* Choose up to *count nodes; *count is how many there are, *busy whether there will be more. */
static int
choose_targets (struct repair_run *run, const struct block_row *row,
                const struct findings *findings, const struct targets *under_way, uint32_t *out,
                size_t *count, bool *busy, litedfs_error_t *error)
{
    uint32_t taken[2 * ROW_NODES_MAX];
    struct question ask = {.run = run, .size = row->size};
    struct placement_question question = {
        .seed = row->block,
        .index = (uint64_t) (run->now_ms / TURN_MS),
        .size = row->size,
        .count = *count,
        .taken = taken,
        .reserved = promised_to,
        .barred = is_barred,
        .arg = &ask,
    };

    for (size_t i = 0; i < row->nodes_count; i++)
        if (findings->holders[i] < LEAVING)
            taken[question.taken_count++] = row->nodes[i];
    for (size_t i = 0; i < under_way->count; i++)
        taken[question.taken_count++] = under_way->nodes[i];
    int rc = placement_choose (run->nodes, &question, out, count, NULL);
    *busy = ask.busy && *count < question.count;
    if (ask.rc < 0 && error)
        *error = ask.error;
    if (ask.rc < 0)
        return ask.rc;
    return rc == LITEDFS_MEMORY ? err_set (error, rc, "repair: out of memory") : 0;
}

/* Whether the holder with this place can send the block. */
static bool
is_source (const struct findings *findings, size_t at)
{
    return findings->holders[at] == LIVE || findings->holders[at] == LEAVING;
}

uint32_t
repair_block_source (const struct repair_run *run, const struct block_row *row,
                     const struct findings *findings)
{
    uint32_t best = 0;
    unsigned best_failures = 0;

    for (size_t i = 0; i < row->nodes_count; i++) {
        uint32_t number = row->nodes[i];
        if (!is_source (findings, i) || !copies_may_send (run->copies, number, row->size))
            continue;
        unsigned failures = copies_failures (run->copies, row->block, number);
        if (best == 0 || failures < best_failures ||
            (failures == best_failures &&
             copies_bytes_from (run->copies, number) < copies_bytes_from (run->copies, best))) {
            best = number;
            best_failures = failures;
        }
    }
    return best;
}

bool
repair_block_touch (struct repair_run *run, uint32_t number)
{
    for (size_t i = 0; i < run->touched_count; i++)
        if (run->touched[i] == number)
            return true;
    if (run->touched_count == REPAIR_TOUCHED_MAX)
        return false;
    run->touched[run->touched_count++] = number;
    return true;
}

int
repair_block_order (struct repair_run *run, const struct block_row *row, uint32_t source,
                    uint32_t target, bool spare, litedfs_error_t *error)
{
    const struct node *from = nodes_view_find (run->nodes, source);
    const struct node *to = nodes_view_find (run->nodes, target);
    uint64_t to_send = copies_bytes_from (run->copies, source);
    uint64_t to_take = copies_bytes_to (run->copies, target);
    uint64_t bytes = (to_send > to_take ? to_send : to_take) + row->size;
    char block[BLOCK_ID_TEXT_SIZE];
    struct copy copy = {.block = row->block,
                        .inode = row->inode,
                        .index = row->index,
                        .source = source,
                        .target = target,
                        .size = row->size,
                        .spare = spare,
                        .source_table = from ? from->table : 0,
                        .target_table = to ? to->table : 0,
                        .deadline_ms =
                            run->now_ms + COPY_MS + (int64_t) (bytes / COPY_BYTES_A_MS)};

    int rc = orders_add (run->txn, source, ORDER_COPY, row->block, target, &copy.order, error);
    if (rc < 0)
        return rc;
    copies_open (run->copies, &copy); // there is room: its source may send
    run->ordered++;
    log_debug (run->log, "block %s is to be copied from node %u to node %u",
               block_id_print (row->block, block), source, target);
    return 0;
}

/* Order copies, up to need; *ordered is how many, *busy whether more could be ordered later. */
static int
order_copies (struct repair_run *run, const struct block_row *row,
              const struct findings *findings, const struct targets *under_way, size_t need,
              size_t *ordered, bool *busy, litedfs_error_t *error)
{
    uint32_t targets[ROW_NODES_MAX];
    size_t room = ROW_NODES_MAX - row->nodes_count;

    *ordered = 0;
    room = room > under_way->count ? room - under_way->count : 0;
    if (need > room)
        need = room;
    if (need == 0)
        return 0;
    int rc = choose_targets (run, row, findings, under_way, targets, &need, busy, error);
    for (size_t i = 0; i < need && rc == 0; i++) {
        uint32_t source = repair_block_source (run, row, findings);
        if (source == 0 || !repair_block_touch (run, source)) {
            *busy = true;
            return 0;
        }
        rc = repair_block_order (run, row, source, targets[i], false, error);
        *ordered += rc == 0;
    }
    return rc;
}

/* ---- one block ----------------------------------------------------------------------------------- */

void
repair_block_close (struct repair_run *run, const struct block_row *row)
{
    for (size_t at = copies_find (run->copies, row->block, 0); at != SIZE_MAX;
         at = copies_find (run->copies, row->block, at + 1))
        if (block_row_has_node (row, copies_at (run->copies, at)->target)) {
            run->arrived++;
            run->arrived_bytes += copies_at (run->copies, at)->size;
            copies_forget_failures (run->copies, row->block);
            copies_close (run->copies, at);
            run->closed++;
        }
}

/* How urgent what the block needs is. */
static enum repair_urgency
urgency_of (const struct findings *findings, uint32_t wanted)
{
    const uint32_t *counts = findings->counts;
    uint32_t there = counts[LIVE] + counts[EXCUSED] + counts[YOUNG] + counts[LEAVING];
    uint32_t missing = wanted - good (findings, wanted);

    if (good (findings, wanted) >= wanted || missing <= counts[LEAVING])
        return REPAIR_MOVE;
    if (there == 1 && wanted > 1)
        return REPAIR_LAST;
    return missing > 1 ? REPAIR_FEW : REPAIR_SHORT;
}

/* Whether it is the turn of what the block needs. */
static bool
has_its_turn (struct repair_run *run, const struct findings *findings, uint32_t wanted)
{
    run->level = urgency_of (findings, wanted);
    if (run->level <= run->upto)
        return true;
    if (run->level < run->waits)
        run->waits = run->level;
    return false;
}

/* Fewer holders count than are wanted. */
static int
add_holders (struct repair_run *run, struct block_row *row, uint32_t wanted,
             struct findings *findings, enum repair_verdict *out, litedfs_error_t *error)
{
    struct targets under_way;
    size_t ordered = 0;
    bool busy = false;

    find_targets (run, row->block, &under_way);
    int rc = adopt (run, row, findings, &under_way, wanted - good (findings, wanted), error);
    if (rc < 0)
        return rc;
    uint32_t expected = good (findings, wanted) + (uint32_t) under_way.count;
    bool turn = has_its_turn (run, findings, wanted);
    if (turn && expected < wanted && findings->counts[LIVE] + findings->counts[LEAVING] > 0)
        rc = order_copies (run, row, findings, &under_way, wanted - expected, &ordered, &busy,
                           error);
    if (good (findings, wanted) >= wanted)
        *out = REPAIR_FINE;
    else if (!turn)
        *out = REPAIR_WAITS;
    else if (busy)
        *out = REPAIR_BUSY;
    else if (ordered + under_way.count > 0)
        *out = REPAIR_COPYING;
    else
        *out = findings->counts[YOUNG] > 0 ? REPAIR_SOON : REPAIR_STUCK;
    return rc;
}

int
repair_block_mend (struct repair_run *run, struct block_row *row, uint32_t wanted,
                   enum repair_verdict *out, litedfs_error_t *error)
{
    uint32_t before[ROW_NODES_MAX];
    size_t before_count = row->nodes_count;
    struct findings findings;

    run->blocks++;
    memcpy (before, row->nodes, before_count * sizeof *before);
    repair_block_close (run, row);
    int rc = repair_block_find (run, row, &findings, error);
    if (rc == 0)
        rc = drop_stale (run, row, &findings, error);
    *out = REPAIR_FINE;
    if (rc == 0 && good (&findings, wanted) < wanted)
        rc = add_holders (run, row, wanted, &findings, out, error);
    else if (rc == 0 && findings.counts[LIVE] <= wanted && leavers (&findings) == 0)
        ; // nothing is too much
    else if (rc == 0 && has_its_turn (run, &findings, wanted))
        rc = drop_surplus (run, row, wanted, &findings, error);
    else
        *out = REPAIR_WAITS;
    if (rc == 0 && findings.counts[LIVE] >= wanted)
        rc = repair_drop_useless (run, row->block, error);
    if (rc < 0)
        return rc;
    if (*out == REPAIR_FINE && (good (&findings, wanted) > wanted || leavers (&findings) > 0))
        *out = findings.counts[YOUNG] > 0 ? REPAIR_SOON : REPAIR_STUCK;
    if (row->nodes_count == before_count &&
        memcmp (before, row->nodes, before_count * sizeof *before) == 0)
        return 0;
    return block_row_put (run->txn, row, error);
}
