/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_REBUILD_H
#define LITEDFS_NAMENODE_REBUILD_H

/*
 * A store made from what data nodes have, when the metadata are lost and there is no copy: from the lists
 * of `litedata --list-blocks` (datanode/blocklist.h has the form), one after the other.
 *
 * What comes back: files of which every block is in a list, under the path at which they were written, with
 * as many replicas as their block with the most copies has.  What does not: moves and renames, replica
 * counts, files without content, empty directories.  A file that was replaced or deleted and whose blocks
 * are not gone yet comes back, too: of two with one path the one made later has it, the other one is beside
 * it as NAME~INODE; one whose path cannot be made is /rebuilt/INODE.
 *
 * Of files with missing blocks nothing is kept; their blocks stay on the data nodes as those of another
 * epoch.  The store counts as put back from a copy (restored.h): nothing is deleted until that is accepted.
 */

#include "base/id.h"
#include "namenode/metastore.h"

#include <stdio.h>

struct rebuild_result {
    uint64_t nodes;
    uint64_t blocks;     // different ones
    uint64_t files;      // that are there again
    uint64_t renamed;    // of these, those that are not at their path
    uint64_t incomplete; // files that are not there
    struct uuid cluster;
};

struct rebuild_options {
    FILE *lists;
    int64_t wall_ms;
    uint64_t block_size; // of files of one block, from which it cannot be told

    /* Called with a line for each file that is incomplete or not at its path; NULL: nobody. */
    void (*say) (void *arg, const char *line);
    void *arg;
};

/* Fill a store that has nothing but a root.  LITEDFS_INVALID: a list is none, is cut off, or is of another
 * cluster than the one before (the text has the line's number); those of metastore.h.  After a failure the
 * store is of no use. */
int rebuild_store (struct metastore *store, const struct rebuild_options *options,
                   struct rebuild_result *out, litedfs_error_t *error);

#endif
