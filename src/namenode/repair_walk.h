/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_REPAIR_WALK_H
#define LITEDFS_NAMENODE_REPAIR_WALK_H

/*
 * The walk over all blocks that finds what nobody has marked: claims that were never confirmed, holders
 * that are gone, copies of nodes that came back.  Slowly, round after round; and once quickly when a node
 * is gone or back.  It reads from snapshots that are short, and remembers where it was.
 */

#include "namenode/repair_block.h"

/* The most ranges of blocks that a slice finds. */
#define REPAIR_FOUND_MAX 1024

/* Zero-initialised it begins with the first block. */
struct repair_walk {
    bool fast;
    bool again;     // quickly, once more from the start
    uint64_t inode; // where it goes on
    uint32_t index;
    int64_t next_ms;     // not before
    int64_t interval_ms; // from the end of a slow round to the next one
    size_t found_count;
    struct repair_row
        found[REPAIR_FOUND_MAX]; // to be marked; the walk waits until that is done
};

/* Go over all blocks quickly, from the start. */
void repair_walk_hurry (struct repair_walk *self);

/* Do a slice if it is time for one.  run has everything but a transaction. */
int repair_walk_slice (struct repair_walk *self, struct metastore *store,
                       struct repair_run *run, litedfs_error_t *error);

#endif
