/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_REPAIR_H
#define LITEDFS_NAMENODE_REPAIR_H

/*
 * Repair: brings who holds what nearer to what is wanted, a little at a time.
 *
 * What is to be done stands in the table `repair` (mark.h), written by whoever made a file's holders
 * differ from what is wanted, and by the walk that finds what nobody saw.  Repair looks at marks when they
 * are made, when something happened to their blocks (the agenda), and at all of them when data nodes come
 * or go, and now and then; it acts on their blocks (repair_block.h) and takes away the marks of those that
 * are fine.  Marks of blocks for which nobody can do anything stay as they are, and cost nothing.
 *
 * Nothing is done while the view of the nodes is settling.  What is in memory can be lost: after a start
 * all marks are looked at.
 *
 * When it has nothing to do, balance (balance.h) moves blocks from full nodes to empty ones.
 *
 * What is most urgent comes first (enum repair_urgency): each round over all marks is made of passes, and
 * one does nothing that is less urgent than its own level.
 */

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "namenode/metastore.h"
#include "namenode/nodes.h"
#include "namenode/repair_view.h"

struct repair;
struct balance;

/* What repair is told with each call. */
struct repair_frame {
    const struct nodes_view *nodes;
    const struct clock *clock;
    struct log *log;         // may be NULL
    struct metrics *metrics; // may be NULL
    uint64_t delete_delay_ms;
    int64_t repair_delay_ms; // a node that is offline for so long is gone
    unsigned streams;        // copies.h: limits of a node
    uint64_t bandwidth;
    int64_t walk_interval_ms;   // between two walks over all blocks
    unsigned balance_threshold; // balance_plan.h
};

struct repair *repair_new (void); // NULL: out of memory
void repair_destroy (struct repair **self);

/* For the frames of write transactions. */
struct agenda *repair_agenda (struct repair *self);

/* For requests that ask about it. */
const struct balance *repair_balance (const struct repair *self);

/* Whether repair_step would have something to do now.  Takes a snapshot now and then. */
bool repair_wanted (struct repair *self, struct metastore *store,
                    const struct repair_frame *frame);

/* When to ask again, if repair_wanted said no and nothing happens: of the monotonic clock. */
int64_t repair_next_ms (const struct repair *self);

/* Do some of it in this transaction: some milliseconds' worth.  It may be run again if the transaction
 * comes to nothing.  Errors: those of metastore.h. */
int repair_step (struct repair *self, const struct repair_frame *frame, struct txn *txn,
                 litedfs_error_t *error);

/* The transaction of the last step has ended. */
void repair_settle (struct repair *self, bool committed);

/* The nodes that have new orders by the last step. */
const uint32_t *repair_touched (const struct repair *self, size_t *count);

/* What is to be shown of it, if that is news: the caller owns one reference.  Else NULL. */
struct repair_view *repair_publish (struct repair *self, const struct clock *clock);

#endif
