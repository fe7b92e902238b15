/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_SURVEY_H
#define LITEDFS_NAMENODE_SURVEY_H

/*
 * The survey of nodes that drain: all blocks that such a node has are looked at, round after round, one
 * node after the other.  Blocks of which it still is a holder are marked, so that repair copies them
 * off, and counted; what a round came to is written into the node's row, if it is news.  When nothing is
 * left the node may go.  What it has, or was promised, of files that are not to be seen yet is counted apart:
 * no block comes to be there during a round that was not counted as one or the other.
 *
 * Slices read from snapshots that are short; a round remembers where it was.  After a start it begins
 * anew.
 */

#include "namenode/nodes.h"
#include "namenode/records.h"

/* The most blocks that a slice finds. */
#define SURVEY_FOUND_MAX 512

/* Zero-initialised it begins with the first node. */
struct survey {
    uint32_t node; // the one that is looked at; 0: none
    uint32_t last; // the one that was looked at last
    uint32_t bucket;
    uint64_t block; // where it goes on in that bucket
    bool ended;     // the round is over; it shall be written
    int64_t begun_ms;
    int64_t next_ms; // not before
    struct duty_survey counts;
    size_t found_count; // to be marked; the survey waits until that is done
    struct repair_row found[SURVEY_FOUND_MAX];
};

/* Look at some blocks of a snapshot, if it is time to.  Whether survey_step has something to write. */
bool survey_slice (struct survey *self, struct metastore *store, const struct nodes_view *view,
                   int64_t now_ms, litedfs_error_t *error);

/* Write what was found.  *node is the one whose row has changed; 0: none.  Errors: those of
 * metastore.h. */
int survey_step (const struct survey *self, struct txn *txn, uint32_t *node,
                 litedfs_error_t *error);

/* The transaction of the last step has ended. */
void survey_settle (struct survey *self, bool committed, int64_t now_ms);

/* When to call survey_slice again if nothing happens: of the monotonic clock; INT64_MAX if no node
 * drains. */
int64_t survey_next_ms (const struct survey *self, const struct nodes_view *view);

#endif
