/* SPDX-License-Identifier: MIT */
/*
 * Upkeep comes between batches, in steps of a few hundred rows, so that a deleted tree of a million
 * files holds up nobody.  Looking costs a snapshot, and a write transaction is begun only when there
 * is something to write: an idle name node writes nothing.
 */
#include "namenode/upkeep.h"

#include "base/err.h"
#include "namenode/garbage.h"
#include "namenode/lease.h"
#include "namenode/removal.h"
#include "namenode/repair_block.h"
#include "namenode/restored.h"
#include "namenode/retry.h"

/* Rows a step, and how often it looks, milliseconds. */
enum {
    LEASES_MAX = 64,
    FREE_ROWS = 512,
    DUE_ROWS = 1024,
    REVOKE_ROWS = 512,
    REMOVE_ROWS = 512,
    QUARANTINE_ROWS = 512,
    SWEEP_CLIENTS = 128
};
enum { LOOK_MS = 200, SWEEP_MS = 60000, PAUSE_MS = 5000 };

static struct repair_frame
repair_frame_of (const struct batch_context *context)
{
    return (struct repair_frame){
        .nodes = context->nodes,
        .clock = context->clock,
        .log = context->log,
        .metrics = context->metrics,
        .delete_delay_ms = context->settings->delete_delay_ms,
        .repair_delay_ms = context->settings->repair_delay_ms,
        .streams = context->settings->repair_streams,
        .bandwidth = context->settings->repair_bandwidth,
        .walk_interval_ms = context->settings->walk_interval_ms,
        .balance_threshold = context->settings->balance_threshold,
    };
}

static bool
any_node_full (const struct nodes_view *nodes)
{
    for (size_t i = 0; i < nodes->count; i++)
        if (nodes->nodes[i].online && nodes->nodes[i].storage_full)
            return true;
    return false;
}

/* Whether garbage is due, or a node is full and there is any. */
static bool
look_for_garbage (struct batch_context *context)
{
    struct txn *txn;
    litedfs_error_t error;
    uint64_t due = UINT64_MAX, restored;

    if (context->nodes->settling ||
        txn_begin_read (storedir_store (context->dir), &txn, &error) < 0)
        return false;
    int rc = restored_since (txn, &restored, &error);
    if (rc == 0 && restored == 0)
        rc = garbage_next_due (txn, context->nodes, &due, &error);
    txn_abort (&txn);
    if (rc < 0) {
        log_error (context->log, "garbage: %s", error.text);
        return false;
    }
    return due <= (uint64_t) clock_wall (context->clock) ||
           (due != UINT64_MAX && any_node_full (context->nodes));
}

/* Whether blocks in quarantine are due. */
static bool
look_for_quarantine (struct batch_context *context)
{
    struct txn *txn;
    litedfs_error_t error;
    uint64_t due = UINT64_MAX;

    if (context->nodes->settling ||
        txn_begin_read (storedir_store (context->dir), &txn, &error) < 0)
        return false;
    int rc = quarantine_next_due (txn, context->nodes, context->settings->quarantine_grace_ms,
                                  &due, &error);
    txn_abort (&txn);
    if (rc < 0)
        log_error (context->log, "quarantine: %s", error.text);
    return rc == 0 && due <= (uint64_t) clock_wall (context->clock);
}

/* When nodes came or went: whether one that is offline has orders. */
static void
look_for_orders (struct upkeep *self, struct batch_context *context)
{
    const struct nodes_view *view = context->nodes;
    struct order_row first;
    struct txn *txn;
    litedfs_error_t error;
    size_t count = 0;

    if (self->seen_table == view->table ||
        txn_begin_read (storedir_store (context->dir), &txn, &error) < 0)
        return;
    int rc = 0;
    for (size_t i = 0; i < view->count && rc == 0 && count == 0; i++)
        if (!view->nodes[i].online)
            rc = orders_after (txn, view->nodes[i].number, 0, &first, 1, &count, &error);
    txn_abort (&txn);
    if (rc < 0)
        log_error (context->log, "orders: %s", error.text);
    self->seen_table = view->table;
    self->revocation = (struct upkeep_revocation){.running = count > 0};
}

/* When the nodes changed, and now and then: whether one that was removed has something left. */
static void
look_for_removed (struct upkeep *self, struct batch_context *context)
{
    const struct nodes_view *view = context->nodes;
    litedfs_error_t error;
    struct txn *txn;

    if (view->removed == 0 || txn_begin_read (storedir_store (context->dir), &txn, &error) < 0)
        return;
    int rc = 0;
    for (size_t i = 0; i < view->count && rc == 0 && !self->removing; i++)
        if (view->nodes[i].duty.duty == DUTY_REMOVED)
            rc = removal_wanted (txn, view->nodes[i].number, &self->removing, &error);
    txn_abort (&txn);
    if (rc < 0)
        log_error (context->log, "removed nodes: %s", error.text);
}

/* Look at blocks of nodes that drain. */
static void
look_at_drains (struct upkeep *self, struct batch_context *context)
{
    litedfs_error_t error = {0};

    self->surveying = survey_slice (&self->survey, storedir_store (context->dir),
                                    context->nodes, clock_mono (context->clock), &error);
    if (error.number < 0)
        log_error (context->log, "the survey of a node that drains waits a while: %s",
                   error.text);
}

/* Look whether there is something to repair. */
static void
look_for_repair (struct upkeep *self, struct batch_context *context)
{
    const struct repair_frame frame = repair_frame_of (context);

    self->repairing =
        self->repair && repair_wanted (self->repair, storedir_store (context->dir), &frame);
}

bool
upkeep_wanted (struct upkeep *self, struct batch_context *context)
{
    int64_t now = clock_mono (context->clock);
    litedfs_error_t error;

    if (now < self->pause_ms)
        return false;
    if (now >= self->sweep_ms) {
        self->sweep_ms = now + SWEEP_MS;
        self->sweeping = true;
        self->adopting = true;
        self->sifting = true;
        if (metastore_check_readers (storedir_store (context->dir), &error) < 0)
            log_warning (context->log, "%s", error.text);
        storedir_restore_ballast (context->dir);
        look_for_removed (self, context);
    }
    if (now >= self->look_ms) {
        self->look_ms = now + LOOK_MS;
        self->garbage = self->garbage || look_for_garbage (context);
        self->expelling = self->expelling || look_for_quarantine (context);
    }
    if (self->seen_table != context->nodes->table)
        look_for_removed (self, context);
    look_for_orders (self, context);
    look_at_drains (self, context);
    look_for_repair (self, context);
    return self->doomed || self->garbage || self->expelling || self->adopting ||
           self->sifting || self->sweeping || self->revocation.running || self->repairing ||
           self->surveying || self->removing || lease_clock_next (context->leases) <= now;
}

int64_t
upkeep_idle_ms (const struct upkeep *self, const struct batch_context *context)
{
    int64_t now = clock_mono (context->clock), next = now + LOOK_MS;

    if (self->repair && now >= self->pause_ms && repair_next_ms (self->repair) < next)
        next = repair_next_ms (self->repair);
    if (now >= self->pause_ms && survey_next_ms (&self->survey, context->nodes) < next)
        next = survey_next_ms (&self->survey, context->nodes);
    return next > now ? next - now : 0;
}

static int
end_leases (struct upkeep *self, struct batch_context *context, struct txn *txn,
            litedfs_error_t *error)
{
    uint8_t tokens[LEASES_MAX][TOKEN_SIZE];
    size_t count =
        lease_clock_ended (context->leases, txn_frame (txn)->now_ms, tokens, LEASES_MAX);
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++)
        rc = lease_end (txn, tokens[i], error);
    if (count > 0)
        self->doomed = true;
    return rc;
}

/* What nodes that are offline were to delete is decided on when they are back.  The nodes are few, and in
 * order of their numbers. */
static int
revoke_orders (struct upkeep_revocation *self, const struct nodes_view *view, struct txn *txn,
               litedfs_error_t *error)
{
    size_t revoked;

    for (size_t i = 0; i < view->count; i++) {
        const struct node *node = &view->nodes[i];
        if (node->online || node->number < self->node ||
            (node->number == self->node && self->after == UINT64_MAX))
            continue;
        if (node->number != self->node)
            *self = (struct upkeep_revocation){.running = true, .node = node->number};
        return orders_revoke (txn, node->number, &self->after, REVOKE_ROWS, &revoked, error);
    }
    self->running = false;
    return 0;
}

/* Due garbage of all nodes, then all garbage of nodes that are full. */
static int
order_deletes (struct upkeep *self, struct batch_context *context, struct txn *txn,
               litedfs_error_t *error)
{
    const struct nodes_view *view = context->nodes;
    size_t done = 0, more = 0, touched = 0;

    if (view->settling)
        return 0;
    int rc = garbage_due (txn, view, 0, (uint64_t) txn_frame (txn)->wall_ms, DUE_ROWS, &done,
                          self->touched, UPKEEP_TOUCHED_MAX, &self->touched_count, error);
    for (size_t i = 0; i < view->count && rc == 0; i++) {
        const struct node *node = &view->nodes[i];
        if (!node->online || !node->storage_full || done >= DUE_ROWS ||
            self->touched_count == UPKEEP_TOUCHED_MAX)
            continue;
        rc = garbage_due (txn, view, node->number, UINT64_MAX, DUE_ROWS, &more,
                          self->touched + self->touched_count,
                          UPKEEP_TOUCHED_MAX - self->touched_count, &touched, error);
        self->touched_count += touched;
        done += more;
    }
    self->garbage = done >= DUE_ROWS;
    return rc;
}

/* Blocks whose quarantine is over go, those that somebody owns by now stay. */
static int
tend_quarantine (struct upkeep *self, struct batch_context *context, struct txn *txn,
                 litedfs_error_t *error)
{
    struct quarantine_done done = {0}, walked = {0};
    uint64_t grace_ms = context->settings->quarantine_grace_ms;
    size_t damaged = 0;
    int rc = 0;

    if (self->expelling && !context->nodes->settling) {
        rc = quarantine_due (txn, context->nodes, grace_ms, QUARANTINE_ROWS, &done,
                             self->touched, UPKEEP_TOUCHED_MAX, &self->touched_count, error);
        self->expelling = done.looked >= QUARANTINE_ROWS;
    }
    if (rc == 0 && self->adopting) {
        rc = quarantine_adopt (txn, &self->quarantine, QUARANTINE_ROWS, &walked, error);
        self->adopting = walked.looked >= QUARANTINE_ROWS;
    }
    if (rc == 0 &&
        self->sifting) { // what a step that is run again passes over, the next round finds
        rc = quarantine_damaged (txn, &self->damaged, grace_ms, QUARANTINE_ROWS, &damaged,
                                 error);
        self->sifting = damaged >= QUARANTINE_ROWS;
    }
    if (rc == 0 && done.ordered > 0)
        log_warning (context->log,
                     "%zu blocks that nobody knows are deleted: their quarantine is over",
                     done.ordered);
    if (rc == 0 && done.adopted + walked.adopted > 0)
        log_info (context->log, "%zu blocks left quarantine: they are files' again",
                  done.adopted + walked.adopted);
    return rc;
}

/* Do some repair, and name the nodes that have orders by it. */
static int
repair (struct upkeep *self, struct batch_context *context, struct txn *txn,
        litedfs_error_t *error)
{
    const struct repair_frame frame = repair_frame_of (context);
    size_t count;

    if (!self->repairing || self->touched_count + REPAIR_TOUCHED_MAX > UPKEEP_TOUCHED_MAX)
        return 0;
    int rc = repair_step (self->repair, &frame, txn, error);
    if (rc < 0)
        return rc;
    const uint32_t *nodes = repair_touched (self->repair, &count);
    for (size_t i = 0; i < count; i++)
        self->touched[self->touched_count++] = nodes[i];
    return 0;
}

/* Take away what is left of nodes that were removed. */
static int
clear_removed (struct upkeep *self, const struct nodes_view *view, struct txn *txn,
               litedfs_error_t *error)
{
    size_t done = 0, count;
    int rc = 0;

    for (size_t i = 0; i < view->count && rc == 0 && done < REMOVE_ROWS; i++) {
        if (view->nodes[i].duty.duty != DUTY_REMOVED)
            continue;
        rc = removal_slice (txn, view->nodes[i].number, REMOVE_ROWS - done, &count, error);
        done += count;
    }
    self->removing = rc == 0 && done >= REMOVE_ROWS;
    return rc;
}

struct step {
    struct upkeep *upkeep;
    struct batch_context *context;
    struct upkeep_revocation revocation; // as it was before
    struct quarantine_walk quarantine;   // likewise
};

static int
step (void *arg, struct txn *txn, litedfs_error_t *error)
{
    struct step *this = arg;
    struct upkeep *self = this->upkeep;
    size_t count = 0, moved = 0;

    self->touched_count = 0;
    self->revocation = this->revocation;
    self->quarantine = this->quarantine;
    int rc = end_leases (self, this->context, txn, error);
    if (rc == 0 && self->doomed) {
        rc = garbage_free_slice (txn, FREE_ROWS, this->context->settings->delete_delay_ms,
                                 &count, error);
        self->doomed = rc == 0 && count >= FREE_ROWS;
    }
    if (rc == 0 && self->revocation.running)
        rc = revoke_orders (&self->revocation, this->context->nodes, txn, error);
    if (rc == 0 && self->removing)
        rc = clear_removed (self, this->context->nodes, txn, error);
    self->surveyed = 0;
    if (rc == 0 && self->surveying)
        rc = survey_step (&self->survey, txn, &self->surveyed, error);
    if (rc == 0)
        rc = order_deletes (self, this->context, txn, error);
    if (rc == 0)
        rc = tend_quarantine (self, this->context, txn, error);
    if (rc == 0)
        rc = repair (self, this->context, txn, error);
    if (rc == 0 && self->sweeping) {
        rc = garbage_pull_in (txn, this->context->settings->delete_delay_ms, DUE_ROWS, &moved,
                              error);
        if (rc == 0)
            rc = retry_sweep (txn, &self->sweep_cursor, SWEEP_CLIENTS, &count, error);
        self->sweeping = rc == 0 && (moved == DUE_ROWS || self->sweep_cursor.size > 0);
    }
    return rc;
}

int
upkeep_step (struct upkeep *self, struct batch_context *context, litedfs_error_t *error)
{
    struct step work = {self, context, self->revocation, self->quarantine};
    bool doomed = self->doomed, sweeping = self->sweeping, removing = self->removing;
    int rc = batch_work (context, step, &work, error);

    if (self->repair)
        repair_settle (self->repair, rc == 0);
    if (self->surveying)
        survey_settle (&self->survey, rc == 0, clock_mono (context->clock));
    if (rc < 0) {
        self->surveyed = 0;
        self->removing = removing;
        self->pause_ms = clock_mono (context->clock) + PAUSE_MS;
        self->doomed = doomed;
        self->sweeping = sweeping;
        self->revocation = work.revocation;
        self->quarantine = work.quarantine;
        self->touched_count = 0;
        buf_clear (&self->sweep_cursor);
    }
    return rc;
}

void
upkeep_free (struct upkeep *self)
{
    buf_free (&self->sweep_cursor);
    repair_destroy (&self->repair);
}
