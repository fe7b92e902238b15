/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLUSTER_CLUSTER_H
#define LITEDFS_CLUSTER_CLUSTER_H

/*
 * A name node and its data nodes in this process, each as base/daemon runs it, with one ZAP handler for
 * all.
 */

#include "base/daemon.h"
#include "base/net.h"
#include "cluster/layout.h"

struct zap;

struct cluster {
    struct layout layout;
    struct daemon daemons[1 + LAYOUT_NODES_MAX]; // as the layout's parts
    size_t loaded;                               // how many of them daemon_close has to free
    size_t made;                                 // directories that were missing
    struct zap *zap;
    char address[NET_HOST_SIZE + 8]; // of the name node, for litedfs
};

/* Look at the directory, make what is missing, read all configurations.  nodes and http_port as -n and -p
 * say, 0 if they do not.  Errors as layout_look, layout_make, daemon_load; LITEDFS_USAGE if http_port is
 * not the name node's, LITEDFS_CONFIG if a data node has another name node.  cluster_close after failure,
 * too.  *self is zeroes. */
int cluster_open (struct cluster *self, const char *directory, size_t nodes, int http_port,
                  litedfs_error_t *error);

/* Start everything, after process_init_czmq: the name node first.  Blocks until all serve or one has failed;
 * the error then names its directory. */
int cluster_start (struct cluster *self, litedfs_error_t *error);

/* Whether each data node is known to the name node and online, as any client sees it. */
bool cluster_is_complete (const struct cluster *self);

/* Stop everything, the name node last. */
void cluster_stop (struct cluster *self);

/* Free it, after process_end. */
void cluster_close (struct cluster *self);

#endif
