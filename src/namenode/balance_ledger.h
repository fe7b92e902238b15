/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_BALANCE_LEDGER_H
#define LITEDFS_NAMENODE_BALANCE_LEDGER_H

/*
 * The moves that balance has ordered, for as long as a node's bytes do not show them: from the order until
 * the copy where the block was is deleted, which takes a while (delete_delay).
 *
 * What was ordered counts as moved, so that no more moves than was planned.  In memory.
 */

#include "namenode/balance_plan.h"
#include "namenode/repair_block.h"

#define BALANCE_LEDGER_MAX 4096

/* A block on its way. */
struct balance_entry {
    uint64_t block;
    uint64_t inode;
    uint32_t index;
    uint32_t from;
    uint32_t to;
    uint64_t size;
    enum { BALANCE_COPYING, BALANCE_ARRIVED, BALANCE_DROPPED } state;
    int64_t until_ms; // dropped: monotonic, forget it then
};

/* Zero-initialised. */
struct balance_ledger {
    uint64_t moved_bytes; // for the caller to count and to set to 0
    size_t count;
    struct balance_entry entries[BALANCE_LEDGER_MAX];
};

/* Enter a move that was ordered; the caller has seen that there is room. */
void balance_ledger_add (struct balance_ledger *self, const struct balance_entry *entry);

/* See what became of them.  run has a snapshot.  Errors: those of metastore.h. */
int balance_ledger_check (struct balance_ledger *self, struct repair_run *run,
                          litedfs_error_t *error);

/* Count what is on its way as if it were there; uses are in order of their nodes. */
void balance_ledger_apply (const struct balance_ledger *self, struct balance_use *uses,
                           size_t count);

/* What has not arrived: from one node to another; 0 for both: of all. */
void balance_ledger_sum (const struct balance_ledger *self, uint32_t from, uint32_t to,
                         size_t *copies, uint64_t *bytes);

#endif
