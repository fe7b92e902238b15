/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_BALANCE_H
#define LITEDFS_NAMENODE_BALANCE_H

/*
 * Balance: copies blocks from full data nodes to empty ones, a few at a time, when repair has nothing to do.
 *
 * The plan (balance_plan.h) says from which node to which other how much shall go.  A walk over what the
 * first of them holds looks for blocks that may (repair_move.h) and orders the copies; repair does the rest.
 * What was ordered counts as moved (balance_ledger.h).  That is in memory: so after a start nothing is moved
 * for a while, until what a balance before it moved is gone where it was.
 *
 * Slices read from snapshots that are short.  Whether balance is on stands in the store (META_BALANCE).
 */

#include "namenode/balance_ledger.h"

/* The most blocks that a slice finds; pairs of nodes at a time. */
#define BALANCE_FOUND_MAX 64
#define BALANCE_PAIRS_MAX 64

/* Where the walk over what a node holds goes on. */
struct balance_place {
    uint32_t node; // 0: the place is free
    uint32_t bucket;
    uint64_t block;
    bool found;      // something, since the round began
    bool stuck;      // the last round found nothing
    int64_t rest_ms; // no walk before
};

/* Zero-initialised. */
struct balance {
    bool begun;
    bool going;      // the plan was not empty
    int64_t next_ms; // not before
    size_t turn;     // whose turn it is, of the moves of the plan
    size_t found_count;
    struct balance_entry found[BALANCE_FOUND_MAX]; // to be ordered; the walk waits for that
    size_t ordered_count;
    struct balance_entry ordered[BALANCE_FOUND_MAX]; // by the last step
    struct balance_ledger ledger;
    struct balance_place places[BALANCE_PAIRS_MAX];
};

/* Whether an operator has not switched it off. */
int balance_is_on (struct txn *txn, bool *out, litedfs_error_t *error);
int balance_switch (struct txn *txn, bool on, litedfs_error_t *error);

/* What is to move yet, on or off: as balance_plan, for the nodes of a view and what the store says that they
 * hold.  self may be NULL: nothing is under way.  *out is an array, to be freed.  LITEDFS_MEMORY, and those
 * of metastore.h. */
int balance_moves (const struct balance *self, struct txn *txn, const struct nodes_view *view,
                   unsigned threshold, struct balance_move **out, size_t *count,
                   litedfs_error_t *error);

/* Whether in the last round over what a node holds nothing was found that may go where it should. */
bool balance_is_stuck (const struct balance *self, uint32_t from);

/* Look for blocks to move, if it is time to; idle: repair has nothing to do.  run has everything but a
 * transaction.  Errors: those of metastore.h. */
int balance_slice (struct balance *self, struct metastore *store, struct repair_run *run,
                   unsigned threshold, bool idle, litedfs_error_t *error);

/* Order what was found, if balance is on.  Errors: those of metastore.h. */
int balance_step (struct balance *self, struct repair_run *run, litedfs_error_t *error);

/* The transaction of the last step has ended. */
void balance_settle (struct balance *self, bool committed);

#endif
