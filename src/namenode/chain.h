/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_CHAIN_H
#define LITEDFS_NAMENODE_CHAIN_H

/*
 * The way from a directory up to the root, and what changes along it.  Part of the namespace's rules.
 * Errors: those of metastore.h, and as listed.
 */

#include "namenode/namespace.h"
#include "namenode/totals.h"

/* A directory and those above it, up to the root.  32 KiB. */
struct chain {
    size_t count;
    uint64_t numbers[NAMESPACE_DEPTH_MAX];
};

/* Collect a directory and all above it.  LITEDFS_NOT_FOUND if it is in a tree that was deleted,
 * LITEDFS_INVALID if it is deeper than NAMESPACE_DEPTH_MAX. */
int chain_climb (struct txn *txn, uint64_t directory, struct chain *out,
                 litedfs_error_t *error);

bool chain_has (const struct chain *chain, uint64_t inode);

/* Give every directory its share of a change: `below` is what changes below it, and the first one has
 * so many more children and a new mtime. */
int chain_spread (struct txn *txn, const struct chain *chain, const struct totals_delta *below,
                  int64_t child_directories, int64_t child_files, litedfs_error_t *error);

/* Put an inode with all that is below it on a chain (sign 1), or take it off (-1).  row is as stored,
 * without what is pending. */
int chain_weigh (struct txn *txn, const struct chain *chain, const struct inode_row *row,
                 int sign, litedfs_error_t *error);

#endif
