/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_BALANCE_PLAN_H
#define LITEDFS_NAMENODE_BALANCE_PLAN_H

/*
 * What would have to move so that the data nodes are about equally full.
 *
 * A node's use is what its blocks take, in percent of what it can hold.  The plan is empty unless the uses
 * of two nodes differ by more than a threshold, in points; then it brings all of them to within half of it
 * of each other, so that not every upload begins it anew.  The fullest gives to the emptiest, until one of
 * them is at the mean of all; and again.
 *
 * Pure.
 */

#include "namenode/nodes.h"

struct balance_use {
    uint32_t node;
    uint64_t total; // bytes, more than 0
    uint64_t used;
};

struct balance_move {
    uint32_t from;
    uint32_t to;
    uint64_t bytes;
};

/* The nodes that take part, in order of their numbers: those that are online, get new blocks, are not
 * suspect, and have said how much they hold.  out has room for view->count; how many they are. */
size_t balance_uses (const struct nodes_view *view, struct balance_use *out);

/* Make the plan: moves, of which there are fewer than nodes; out has room for count.  threshold: points;
 * 0: nothing moves.  going: it was begun, and goes on to its end although uses do not differ by the
 * threshold any more.  uses is as it would be after it. */
size_t balance_plan (struct balance_use *uses, size_t count, unsigned threshold, bool going,
                     struct balance_move *out);

#endif
