/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_TOTALS_H
#define LITEDFS_NAMENODE_TOTALS_H

/*
 * What directories count: their children, and the files, directories and bytes below them.
 *
 * A change below a directory changes every directory above it.  Within a write transaction these
 * changes are summed in memory, a record a directory, and written once each when it commits; so a batch
 * of a thousand files in one directory writes the root's row once.  Whoever reads a directory's row
 * inside a write transaction adds what is pending with totals_pending.
 */

#include "namenode/records.h"

struct totals_delta {
    int64_t child_directories;
    int64_t child_files;
    int64_t directories;
    int64_t files;
    int64_t bytes;
    uint64_t mtime; // 0: as it was
};

/* Add to what is pending for one directory.  LITEDFS_MEMORY. */
int totals_add (struct txn *txn, uint64_t directory, const struct totals_delta *delta,
                litedfs_error_t *error);

/* Make room for count more directories, so that as many totals_add cannot fail. */
int totals_reserve (struct txn *txn, size_t count, litedfs_error_t *error);

/* Add what is pending to a row that was read in this transaction; nothing in a snapshot. */
void totals_pending (struct txn *txn, struct inode_row *row);

#endif
