/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_REPAIR_CENSUS_H
#define LITEDFS_NAMENODE_REPAIR_CENSUS_H

/*
 * How much there is to repair: the blocks that are marked, counted by how urgent they are.  A round over
 * all marks, slice by slice in snapshots that are short, again and again with pauses; so the counts of
 * many marks are as old as a round takes, and those of a few are new.
 */

#include "namenode/repair_block.h"

/* Blocks, by priority.  Each counts once. */
struct repair_queue {
    uint64_t missing; // nobody has it that is there or expected back
    uint64_t last;    // there is one copy, and more are wanted
    uint64_t few;     // fewer copies than wanted, but more than one
    uint64_t move;    // as many as wanted, but some on nodes that drain
    uint64_t surplus; // more than wanted
    uint64_t bytes;   // that copies will take
};

/* Zero-initialised it begins with the first mark. */
struct repair_census {
    uint64_t inode; // where it goes on
    uint64_t index;
    int64_t next_ms; // not before
    int64_t spent_ms;
    struct repair_queue round; // so far
    struct repair_queue last;  // what the last whole round has found
    bool counted;              // there was a whole round
};

/* Do a slice if it is time for one.  run has everything but a transaction.  *news: the numbers of
 * repair_census_queue have changed. */
int repair_census_slice (struct repair_census *self, struct metastore *store,
                         struct repair_run *run, bool *news, litedfs_error_t *error);

/* There are other marks now: begin anew; what was counted is not whole until that is done, or, with
 * forget, nothing at all. */
void repair_census_restart (struct repair_census *self, bool forget);

/* What is known of the queue: of the last whole round, or of the one under way where that has found more
 * already.  False if it is not whole: there is at least as much. */
bool repair_census_queue (const struct repair_census *self, struct repair_queue *out);

#endif
