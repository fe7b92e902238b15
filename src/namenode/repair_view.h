/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_REPAIR_VIEW_H
#define LITEDFS_NAMENODE_REPAIR_VIEW_H

/*
 * What repair has in its memory, for others to look at: who is there and who is waited for, the copies
 * under way, how much there is to do.  A view never changes and is counted, to be read by any thread; it
 * is a moment old.
 */

#include "namenode/copies.h"
#include "namenode/presence.h"
#include "namenode/rate.h"
#include "namenode/repair_census.h"

struct repair_view {
    _Atomic int references;
    struct presence *presence;
    struct copies *copies;
    struct repair_queue queue;
    bool counted;  // the queue is whole; else there is at least as much
    uint64_t rate; // bytes that arrived, a second
};

/* One more owner; may be NULL. */
struct repair_view *repair_view_keep (struct repair_view *self);

/* One owner less; takes NULL, sets it to NULL. */
void repair_view_release (struct repair_view **self);

/* What makes the views.  Belongs to repair; zero-initialised. */
struct repair_publisher {
    struct repair_census census;
    struct rate rate;
    bool walking;         // the walk was in a hurry: the marks are not all there
    bool news;            // something has changed since the last view
    uint64_t shown_rate;  // of the last view
    int64_t published_ms; // when it was made
};

/* Nodes have come or gone. */
void repair_publisher_nodes (struct repair_publisher *self);

/* The walk over all blocks is in a hurry, or not. */
void repair_publisher_walk (struct repair_publisher *self, bool hurried);

/* Copies were ordered or have ended; those that arrived had so many bytes. */
void repair_publisher_copies (struct repair_publisher *self, int64_t now_ms, uint64_t arrived);

/* Make a view, if anything has changed since the last one and that is a while ago; else NULL.  When memory
 * is short it is made later. */
struct repair_view *repair_publisher_view (struct repair_publisher *self,
                                           const struct presence *presence,
                                           const struct copies *copies, int64_t now_ms);

#endif
