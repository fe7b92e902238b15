/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_PRESENCE_H
#define LITEDFS_NAMENODE_PRESENCE_H

/*
 * For how long each data node has been online or offline, as repair sees it: a node that is away for a
 * short while is expected back, and what it holds counts; one that is away for longer is gone.
 *
 * In memory, and by the monotonic clock: after a start of the name node everybody's time begins anew.
 */

#include "namenode/nodes.h"

struct presence;

struct presence *presence_new (void); // NULL: out of memory
void presence_destroy (struct presence **self);

/* A copy that goes its own way; NULL: out of memory. */
struct presence *presence_clone (const struct presence *self);

/* Take notice of who is there now; who is offline for delay_ms and not in maintenance is gone, and who
 * was removed is gone at once.  True if since the last time somebody came or went, or is gone now. */
bool presence_update (struct presence *self, const struct nodes_view *view, int64_t now_ms,
                      int64_t delay_ms);

/* Whether what the node holds counts: it is not gone.  Nodes that nobody knows are. */
bool presence_counts (const struct presence *self, uint32_t number);

/* For how long the node has been online, milliseconds; -1 if it is not. */
int64_t presence_online_ms (const struct presence *self, uint32_t number, int64_t now_ms);

/* For how long the node will still be waited for, milliseconds; -1 if it is online, 0 if it is gone. */
int64_t presence_left_ms (const struct presence *self, uint32_t number, int64_t now_ms,
                          int64_t delay_ms);

#endif
