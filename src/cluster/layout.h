/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLUSTER_LAYOUT_H
#define LITEDFS_CLUSTER_LAYOUT_H

/*
 * The directory of a cluster in one process:
 *
 *   DIR/name/      as `litename -g` makes it
 *   DIR/data-1/    as `litedata -g` makes it, and so on up to data-16
 *
 * What is there is used as it is; what is missing is made, with HTTP ports that follow the name node's
 * and all other ports free ones, which each daemon chooses at its first start and keeps.
 */

#include "litedfs.h"

#define LAYOUT_NODES_MAX 16
#define LAYOUT_NODES_DEFAULT 3
#define LAYOUT_HTTP_PORT_DEFAULT 9000

/* A daemon of the cluster. */
struct layout_part {
    char *directory;   // absolute
    char *config_path; // of its configuration.yml
    bool exists;       // whether that is there
};

/* The name node is part 0, data node k part k. */
struct layout {
    char *directory; // absolute
    struct layout_part parts[1 + LAYOUT_NODES_MAX];
    size_t nodes; // data nodes
};

/* Look what is there.  nodes is how many data nodes are wanted, 0: as many as there are, or the default.
 * Writes nothing.  LITEDFS_USAGE if there are more than are wanted, or if the directory belongs to
 * something else; LITEDFS_IO, LITEDFS_MEMORY.  *self need not be initialised; layout_free after failure
 * too. */
int layout_look (struct layout *self, const char *directory, size_t nodes,
                 litedfs_error_t *error);

/* Make what is missing, for a name node whose HTTP port is http_port.  Before anything is written the
 * ports are tried: LITEDFS_IN_USE names the one that is taken, LITEDFS_USAGE if they would be over 65535;
 * else as daemon_generate. */
int layout_make (struct layout *self, int http_port, litedfs_error_t *error);

void layout_free (struct layout *self);

#endif
