/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_CHECK_H
#define LITEDFS_NAMENODE_CHECK_H

/*
 * Whether the tables of a store agree with each other: every row is read, and what it points to is
 * looked up.  Everything is of one snapshot, so it may be a store that is served meanwhile; the snapshot
 * lasts as long as the check, and the store's file grows by what is written in that time.
 *
 * Memory does not grow with files or blocks: there are 8 bytes for each upload that is under way and
 * some for each data node.  What is missing on data nodes is not looked for here: a block that nobody
 * holds is a loss of data, not a contradiction.
 */

#include "namenode/metastore.h"

struct check_report {
    /* Called with a line for each finding, as "block[17 3]: its owner row is missing"; NULL: nobody. */
    void (*say) (void *arg, const char *line);
    void *arg;
    uint64_t say_max; // lines that are said; the rest is counted

    /* Out. */
    uint64_t findings;
    uint64_t rows;
    uint64_t files; // visible ones, and those of a deleted tree that are not freed yet
    uint64_t directories;
    uint64_t blocks;
};

/* Check everything.  0, and report->findings says whether all is well; or an error of metastore.h that
 * kept it from looking, with a report that is not complete. */
int check_store (struct metastore *store, struct check_report *report, litedfs_error_t *error);

#endif
