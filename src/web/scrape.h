/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_WEB_SCRAPE_H
#define LITEDFS_WEB_SCRAPE_H

/*
 * The metrics that the name node's state is asked for: what cluster.info says, kept until it is shown.
 * They are those with GIVEN labels in metric.def.  Pure.
 *
 * Prometheus wants all samples of a metric together, so the nodes of all pages are kept first.
 */

#include "base/metric.h"
#include "wire/message.h"

/* Valid when zero-initialised. */
struct scrape {
    struct arena strings; // of the nodes
    struct wire_node *nodes;
    size_t count;
    size_t room;
    uint64_t files;
    uint64_t directories;
    uint64_t bytes;
};

/* Add a page of cluster.info.  LITEDFS_MEMORY. */
int scrape_add (struct scrape *self, const struct cluster_info_reply *page,
                litedfs_error_t *error);

/* For struct metrics_given; context is a struct scrape. */
void scrape_put (void *context, enum metric_id id, struct buf *out);

void scrape_free (struct scrape *self);

#endif
