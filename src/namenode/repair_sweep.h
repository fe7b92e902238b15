/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_REPAIR_SWEEP_H
#define LITEDFS_NAMENODE_REPAIR_SWEEP_H

/*
 * The sweep: rounds over all marks, begun at the start, when the nodes changed, and a while after the last
 * one if any mark is left.
 *
 * A round is one pass after the other, the first for the most urgent blocks only, each with a pause after
 * every slice, in terms of its length.  While a round lasts, what comes from elsewhere and is less urgent
 * than its pass waits for a later pass too.  When so many files wait for busy data nodes that no more can
 * be remembered, the sweep waits.
 */

#include "namenode/repair_block.h"

/* Zero-initialised but for `again` it begins with its first round. */
struct repair_sweep {
    bool running;
    bool again; // from the start, when this round is over
    bool any;   // there are marks
    enum repair_urgency pass;
    enum repair_urgency waits; // the most urgent that was passed over; REPAIR_URGENCIES: none
    uint64_t inode;            // where it goes on
    uint32_t index;
    int64_t next_ms; // not before
    int64_t spent_ms;
    int64_t retry_ms; // a new round if any mark was left
};

/* What is less urgent than this waits. */
enum repair_urgency repair_sweep_upto (const struct repair_sweep *self);

/* What was passed over in this run since this was called last comes in a later pass. */
void repair_sweep_take_waits (struct repair_sweep *self, struct repair_run *run);

/* Do some of it in run's transaction, if it is due.  Errors: those of metastore.h. */
int repair_sweep_step (struct repair_sweep *self, struct repair_run *run,
                       litedfs_error_t *error);

/* Whether a step has something to do now; when it will have, if nothing happens: of the monotonic clock,
 * INT64_MAX for never. */
bool repair_sweep_is_due (const struct repair_sweep *self, const struct agenda *agenda,
                          int64_t now_ms);
int64_t repair_sweep_next_ms (const struct repair_sweep *self, const struct agenda *agenda);

#endif
