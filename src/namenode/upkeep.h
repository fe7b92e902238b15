/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_UPKEEP_H
#define LITEDFS_NAMENODE_UPKEEP_H

/*
 * What the writer does unasked, a little at a time: leases that have ended, trees that were deleted,
 * garbage that is due, blocks whose quarantine is over, blocks whose holders are not those that are wanted,
 * nodes that drain or were removed,
 * replies that nobody will ask for again.
 */

#include "namenode/batch.h"
#include "namenode/quarantine.h"
#include "namenode/repair.h"
#include "namenode/survey.h"

/* The most nodes that one step names as having new orders. */
enum { UPKEEP_TOUCHED_MAX = 256 };

/* Delete orders of nodes that are offline are taken back. */
struct upkeep_revocation {
    bool running;
    uint32_t node;  // where it is: this node,
    uint64_t after; // after this order
};

/* Zero-initialised but for doomed and adopting, which are true at the start, and repair, which upkeep_free destroys. */
struct upkeep {
    struct repair *repair; // NULL: nothing is repaired
    bool doomed;           // something may be doomed
    bool garbage;          // something may be due
    bool expelling;        // blocks in quarantine may be due
    bool adopting;         // blocks in quarantine are being looked at
    bool repairing;        // repair has something to do
    bool sweeping;         // replies are being swept
    uint64_t seen_table;   // version of the node table that was seen last
    struct upkeep_revocation revocation;
    struct quarantine_walk quarantine;
    bool sifting; // damaged copies are being looked at
    struct quarantine_damaged damaged;
    struct survey survey;
    bool surveying;    // the survey has something to write
    uint32_t surveyed; // the last step wrote what the survey of this node came to; 0: of none
    bool removing;     // a node that was removed has something left
    int64_t pause_ms;  // monotonic: no step before it, because one failed
    int64_t look_ms;   // monotonic: when to look for garbage next
    int64_t sweep_ms;  // monotonic: when to sweep replies and readers next
    struct buf sweep_cursor; // where the sweep is
    size_t touched_count;    // nodes that have new orders after the last step
    uint32_t touched[UPKEEP_TOUCHED_MAX];
};

/* Whether a step would have something to do now.  Reads a snapshot now and then. */
bool upkeep_wanted (struct upkeep *self, struct batch_context *context);

/* For how long upkeep_wanted need not be asked again if it said no and nothing happens, milliseconds. */
int64_t upkeep_idle_ms (const struct upkeep *self, const struct batch_context *context);

/* Do some of it in a transaction of its own.  Errors as batch_work; after one it pauses. */
int upkeep_step (struct upkeep *self, struct batch_context *context, litedfs_error_t *error);

void upkeep_free (struct upkeep *self);

#endif
