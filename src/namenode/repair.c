/* SPDX-License-Identifier: MIT */
/*
 * Repair: which marks are looked at, when, and what becomes of them.
 *
 * A step looks at what is on the agenda, and then goes on with the sweep over all marks.
 *
 * What a step changes in memory is kept if its transaction commits; else the copies are as before, and
 * the rest begins anew with a sweep.
 */
#include "namenode/repair.h"

#include "namenode/agenda.h"
#include "namenode/balance.h"
#include "namenode/mark.h"
#include "namenode/repair_load.h"
#include "namenode/repair_scan.h"
#include "namenode/repair_sweep.h"
#include "namenode/repair_walk.h"

#include <stdlib.h>
#include <string.h>

/* How often the nodes are looked at when none came or went, milliseconds. */
enum { NOTICE_MS = 100 };

/* Files that waited for busy data nodes are looked at again, so many for each copy that ended. */
enum { RELEASE_TIMES = 4 };

struct repair {
    struct agenda *agenda;
    struct copies *copies;
    struct presence *presence;
    uint64_t table; // the version of the node table that was seen last
    struct repair_load load;
    bool *barred;
    size_t barred_count;
    struct repair_walk walk;
    struct repair_sweep sweep;
    struct repair_publisher publisher;
    struct balance balance;
    bool settling;      // nothing may be done now
    bool under_way;     // a step was run, and its transaction has not ended
    int64_t noticed_ms; // when the nodes were looked at last
    struct metrics *metrics;
    size_t closed; // this and what follows: by the last step
    size_t ordered;
    size_t arrived;
    uint64_t arrived_bytes;
    size_t released;    // for how many that were closed somebody may go on who waited
    int64_t stepped_ms; // when it began
    size_t touched_count;
    uint32_t touched[REPAIR_TOUCHED_MAX];
};

struct repair *
repair_new (void)
{
    struct repair *self = calloc (1, sizeof *self);

    if (!self)
        return NULL;
    self->agenda = agenda_new ();
    self->copies = copies_new ();
    self->presence = presence_new ();
    self->sweep.again = true;
    if (!self->agenda || !self->copies || !self->presence)
        repair_destroy (&self);
    return self;
}

void
repair_destroy (struct repair **self)
{
    if (!*self)
        return;
    agenda_destroy (&(*self)->agenda);
    copies_destroy (&(*self)->copies);
    presence_destroy (&(*self)->presence);
    free ((*self)->barred);
    free (*self);
    *self = NULL;
}

struct agenda *
repair_agenda (struct repair *self)
{
    return self->agenda;
}

const struct balance *
repair_balance (const struct repair *self)
{
    return &self->balance;
}

const uint32_t *
repair_touched (const struct repair *self, size_t *count)
{
    *count = self->touched_count;
    return self->touched;
}

/* See that there is a flag for each node of the view. */
static int
make_barred (struct repair *self, const struct nodes_view *view, litedfs_error_t *error)
{
    if (self->barred && self->barred_count >= view->count)
        return 0;
    bool *barred = realloc (self->barred, (view->count + 1) * sizeof *barred);
    if (!barred)
        return err_set (error, LITEDFS_MEMORY, "repair: out of memory");
    self->barred = barred;
    self->barred_count = view->count;
    return 0;
}

static struct repair_run
make_run (struct repair *self, const struct repair_frame *frame, struct txn *txn)
{
    return (struct repair_run){
        .txn = txn,
        .nodes = frame->nodes,
        .presence = self->presence,
        .copies = self->copies,
        .agenda = self->agenda,
        .clock = frame->clock,
        .log = frame->log,
        .now_ms = clock_mono (frame->clock),
        .wall_ms = clock_wall (frame->clock),
        .delete_delay_ms = frame->delete_delay_ms,
        .upto = repair_sweep_upto (&self->sweep),
        .waits = REPAIR_URGENCIES,
        .barred = self->barred,
    };
}

/* ---- the agenda ---------------------------------------------------------------------------------- */

/* End copies of these blocks that have arrived: their marks may be gone. */
static int
close_arrived (struct repair *self, struct repair_run *run, const struct agenda_item *item,
               litedfs_error_t *error)
{
    struct block_row row;
    int rc = 0;

    for (size_t at = 0; at < copies_count (self->copies) && rc == 0; at++) {
        const struct copy *copy = copies_at (self->copies, at);
        if (!copy || copy->inode != item->inode || copy->index < item->first ||
            copy->index >= item->end)
            continue;
        rc = block_row_get (run->txn, copy->inode, copy->index, &row, error);
        if (rc == 0)
            repair_block_close (run, &row);
        else if (rc == LITEDFS_NOT_FOUND)
            rc = 0;
    }
    return rc;
}

/* Look at what is marked of a range. */
static int
do_item (struct repair *self, struct repair_run *run, struct agenda_item item,
         litedfs_error_t *error)
{
    struct repair_row mark;

    run->blocks++;
    int rc = close_arrived (self, run, &item, error);
    while (rc == 0 && item.first < item.end) {
        if (!repair_has_time (run)) {
            agenda_add (self->agenda, item);
            return 0;
        }
        rc = mark_find (run->txn, item.inode, item.first, &mark, error);
        if (rc < 0 || mark.first >= item.end)
            break;
        rc = repair_scan (run, &mark, item.first, item.end, error);
        if (mark.end >= REPAIR_END)
            break;
        item.first = (uint32_t) mark.end;
    }
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* What waits for a node comes before others as soon as a copy has ended. */
static int
do_agenda (struct repair *self, struct repair_run *run, litedfs_error_t *error)
{
    struct agenda_item item;
    int rc = 0;

    while (rc == 0 && repair_has_time (run)) {
        agenda_release (self->agenda, RELEASE_TIMES * (run->closed - self->released));
        self->released = run->closed;
        if (!agenda_next (self->agenda, run->now_ms, &item))
            break;
        rc = do_item (self, run, item, error);
    }
    return rc;
}

/* ---- a step -------------------------------------------------------------------------------------- */

/* Whether a node is away or has been since: it has forgotten what it had not finished. */
static bool
has_left (const struct node *node, uint64_t table)
{
    return !node || !node->online || (table != 0 && node->table != table);
}

/* Whether a copy will not arrive any more. */
static bool
is_lost (const struct nodes_view *nodes, const struct copy *copy, int64_t now_ms)
{
    return now_ms >= copy->deadline_ms ||
           has_left (nodes_view_find (nodes, copy->source), copy->source_table) ||
           has_left (nodes_view_find (nodes, copy->target), copy->target_table);
}

/* Copies that have failed are over soon. */
static void
take_failures (struct repair *self, int64_t now_ms)
{
    struct agenda_failure failure;

    while (agenda_next_failure (self->agenda, &failure))
        for (size_t at = copies_find (self->copies, failure.block, 0); at != SIZE_MAX;
             at = copies_find (self->copies, failure.block, at + 1)) {
            const struct copy *copy = copies_at (self->copies, at);
            if (copy->source == failure.source && copy->target == failure.target)
                copies_fail (self->copies, at, now_ms);
        }
}

static bool
any_lost (const struct repair *self, const struct nodes_view *nodes, int64_t now_ms)
{
    for (size_t at = 0; at < copies_count (self->copies); at++) {
        const struct copy *copy = copies_at (self->copies, at);
        if (copy && is_lost (nodes, copy, now_ms))
            return true;
    }
    return false;
}

/* Forget copies that will not arrive; who has not begun one will not hear of it any more. */
static int
close_lost (struct repair *self, struct repair_run *run, litedfs_error_t *error)
{
    char block[BLOCK_ID_TEXT_SIZE];
    int rc = 0;

    for (size_t at = 0; at < copies_count (self->copies) && rc == 0; at++) {
        const struct copy *copy = copies_at (self->copies, at);
        if (!copy || !is_lost (run->nodes, copy, run->now_ms))
            continue;
        rc = order_row_del (run->txn, copy->source, copy->order, error);
        if (rc == LITEDFS_NOT_FOUND)
            rc = 0;
        log_debug (run->log, "the copy of block %s from node %u to node %u is given up",
                   block_id_print (copy->block, block), copy->source, copy->target);
        agenda_add_block (self->agenda, copy->inode, copy->index);
        copies_close (self->copies, at);
        run->closed++;
    }
    return rc;
}

static int
mark_found (struct repair *self, struct txn *txn, litedfs_error_t *error)
{
    int rc = 0;

    for (size_t i = 0; i < self->walk.found_count && rc == 0; i++)
        rc = mark_blocks_found (txn, self->walk.found[i].inode, self->walk.found[i].first,
                                self->walk.found[i].end, error);
    return rc;
}

int
repair_step (struct repair *self, const struct repair_frame *frame, struct txn *txn,
             litedfs_error_t *error)
{
    if (self->under_way)
        repair_settle (self, false); // the transaction came to nothing, this is another one
    self->under_way = true;
    self->metrics = frame->metrics;
    self->touched_count = 0;
    self->closed = self->ordered = self->arrived = 0;
    self->released = 0;
    int rc = make_barred (self, frame->nodes, error);
    if (rc < 0)
        return rc;
    struct repair_run run = make_run (self, frame, txn);
    rc = mark_found (self, txn, error);
    if (rc == 0)
        rc = close_lost (self, &run, error);
    if (rc == 0)
        rc = do_agenda (self, &run, error);
    if (rc == 0)
        rc = repair_sweep_step (&self->sweep, &run, error);
    if (rc == 0)
        rc = balance_step (&self->balance, &run, error);
    if (rc < 0)
        return rc;
    repair_sweep_take_waits (&self->sweep, &run);
    self->closed = run.closed;
    self->ordered = run.ordered;
    self->arrived = run.arrived;
    self->arrived_bytes = run.arrived_bytes;
    self->stepped_ms = run.now_ms;
    self->touched_count = run.touched_count;
    memcpy (self->touched, run.touched, sizeof run.touched);
    return 0;
}

/* Count what the last step has done, which is committed. */
static void
count (struct repair *self)
{
    if (self->closed > 0 || self->ordered > 0)
        repair_publisher_copies (&self->publisher, self->stepped_ms,
                                 self->arrived > 0 ? self->arrived_bytes : 0);
    metric_add (self->metrics, METRIC_REPAIR_ORDERED, 0, self->ordered);
    metric_add (self->metrics, METRIC_REPAIR_ARRIVED, 0, self->arrived);
    metric_add (self->metrics, METRIC_REPAIR_FAILED, 0, self->closed - self->arrived);
    metric_add (self->metrics, METRIC_REPAIR_BYTES, 0,
                self->arrived > 0 ? self->arrived_bytes : 0);
    metric_set (self->metrics, METRIC_REPAIR_COPIES, 0, copies_count (self->copies));
}

void
repair_settle (struct repair *self, bool committed)
{
    if (!self->under_way)
        return;
    copies_settle (self->copies, committed);
    balance_settle (&self->balance, committed);
    self->under_way = false;
    if (committed) {
        count (self);
        self->walk.found_count = 0;
        agenda_release (self->agenda, RELEASE_TIMES * (self->closed - self->released));
        if (copies_count (self->copies) == 0 && copies_pace_ms (self->copies) == INT64_MAX)
            agenda_release (self->agenda, SIZE_MAX); // nobody else would
        return;
    }
    self->touched_count = 0;
    self->sweep = (struct repair_sweep){.again = true};
    agenda_clear (self->agenda);
}

/* ---- when ---------------------------------------------------------------------------------------- */

/* See who is there, when somebody came or went, and now and then. */
static void
take_notice (struct repair *self, const struct repair_frame *frame, int64_t now_ms)
{
    bool news = self->table != frame->nodes->table || now_ms - self->noticed_ms >= NOTICE_MS;

    if (agenda_missed (self->agenda))
        self->sweep.again = true;
    if (!news)
        return;
    self->noticed_ms = now_ms;
    if (presence_update (self->presence, frame->nodes, now_ms, frame->repair_delay_ms)) {
        repair_walk_hurry (&self->walk);
        repair_publisher_nodes (&self->publisher);
        self->sweep =
            (struct repair_sweep){.again = true}; // there may be something more urgent now
    }
    if (self->table != frame->nodes->table) {
        repair_publisher_nodes (&self->publisher);
        self->sweep.again = true;
    }
    self->table = frame->nodes->table;
}

/* Nodes that had their bytes may have others now: some of what waits is looked at. */
static void
take_pace (struct repair *self, const struct repair_frame *frame, int64_t now_ms)
{
    const struct copies_limits limits = {frame->streams, frame->bandwidth};
    bool ready = copies_pace_ms (self->copies) <= now_ms;

    copies_set_limits (self->copies, limits, now_ms);
    if (ready)
        agenda_release (self->agenda, RELEASE_TIMES);
}

/* Look a little further at what nobody has told of, and count what there is to do. */
static void
look_round (struct repair *self, struct metastore *store, const struct repair_frame *frame)
{
    struct repair_run run = make_run (self, frame, NULL);
    litedfs_error_t error;

    self->walk.interval_ms = frame->walk_interval_ms;
    if (repair_walk_slice (&self->walk, store, &run, &error) < 0)
        log_error (frame->log, "the walk over all blocks waits a while: %s", error.text);
    repair_publisher_walk (&self->publisher, self->walk.fast || self->walk.found_count > 0);
    if (repair_census_slice (&self->publisher.census, store, &run, &self->publisher.news,
                             &error) < 0)
        log_error (frame->log, "counting what is to be repaired waits a while: %s", error.text);
}

/* Whether there is anything that is more urgent than balance, or copies for that are under way. */
static bool
is_idle (const struct repair *self, int64_t now_ms)
{
    if (self->walk.found_count > 0 || agenda_next_ms (self->agenda) <= now_ms ||
        agenda_any_busy (self->agenda) ||
        repair_sweep_next_ms (&self->sweep, self->agenda) != INT64_MAX)
        return false;
    for (size_t at = 0; at < copies_count (self->copies); at++) {
        const struct copy *copy = copies_at (self->copies, at);
        if (copy && !copy->spare)
            return false;
    }
    return true;
}

/* Look for something to do for balance. */
static void
take_balance (struct repair *self, struct metastore *store, const struct repair_frame *frame)
{
    struct balance *balance = &self->balance;
    struct repair_run run = make_run (self, frame, NULL);
    litedfs_error_t error;

    if (balance_slice (balance, store, &run, frame->balance_threshold,
                       is_idle (self, run.now_ms), &error) < 0)
        log_error (frame->log, "balance waits a while: %s", error.text);
    metric_add (frame->metrics, METRIC_BALANCE_BYTES, 0, balance->ledger.moved_bytes);
    balance->ledger.moved_bytes = 0;
}

bool
repair_wanted (struct repair *self, struct metastore *store, const struct repair_frame *frame)
{
    int64_t now_ms = clock_mono (frame->clock);

    self->settling = frame->nodes->settling;
    if (self->settling)
        return false;
    take_notice (self, frame, now_ms);
    if (!repair_load_some (&self->load, store, self->copies, frame))
        return false;
    take_failures (self, now_ms);
    take_pace (self, frame, now_ms);
    look_round (self, store, frame);
    take_balance (self, store, frame);
    return self->balance.found_count > 0 || self->walk.found_count > 0 ||
           agenda_next_ms (self->agenda) <= now_ms ||
           repair_sweep_is_due (&self->sweep, self->agenda, now_ms) ||
           any_lost (self, frame->nodes, now_ms);
}

int64_t
repair_next_ms (const struct repair *self)
{
    int64_t sweep_ms = repair_sweep_next_ms (&self->sweep, self->agenda);

    if (self->settling)
        return INT64_MAX;
    int64_t next_ms = self->load.done ? self->walk.next_ms : 0;
    if (self->load.done && self->balance.next_ms < next_ms)
        next_ms = self->balance.next_ms;
    if (sweep_ms < next_ms)
        next_ms = sweep_ms;
    if (agenda_next_ms (self->agenda) < next_ms)
        next_ms = agenda_next_ms (self->agenda);
    if (agenda_any_busy (self->agenda) && copies_pace_ms (self->copies) < next_ms)
        next_ms = copies_pace_ms (self->copies);
    if (self->publisher.census.next_ms < next_ms)
        next_ms = self->publisher.census.next_ms;
    return next_ms;
}

struct repair_view *
repair_publish (struct repair *self, const struct clock *clock)
{
    if (self->settling)
        return NULL;
    return repair_publisher_view (&self->publisher, self->presence, self->copies,
                                  clock_mono (clock));
}
