/* SPDX-License-Identifier: MIT */
/*
 * Climbing, and what is told to the directories on the way: each counts everything below it.
 */
#include "namenode/chain.h"

int
chain_climb (struct txn *txn, uint64_t directory, struct chain *out, litedfs_error_t *error)
{
    struct inode_row row;

    out->count = 0;
    for (uint64_t at = directory;; at = row.parent) {
        if (out->count == NAMESPACE_DEPTH_MAX)
            return err_set (error, LITEDFS_INVALID,
                            "directory: it is more than %d levels deep; move it up first",
                            NAMESPACE_DEPTH_MAX);
        int rc = inode_row_get (txn, at, &row, error);
        if (rc == LITEDFS_NOT_FOUND || (rc == 0 && row.flags & INODE_DOOMED))
            return err_set (error, LITEDFS_NOT_FOUND, "directory: it was deleted");
        if (rc < 0)
            return rc;
        out->numbers[out->count++] = at;
        if (at == ROOT_INODE)
            return 0;
    }
}

bool
chain_has (const struct chain *chain, uint64_t inode)
{
    for (size_t i = 0; i < chain->count; i++)
        if (chain->numbers[i] == inode)
            return true;
    return false;
}

int
chain_spread (struct txn *txn, const struct chain *chain, const struct totals_delta *below,
              int64_t child_directories, int64_t child_files, litedfs_error_t *error)
{
    struct totals_delta delta = *below;
    int rc = 0;

    delta.child_directories = child_directories;
    delta.child_files = child_files;
    delta.mtime = (uint64_t) txn_frame (txn)->wall_ms;
    for (size_t i = 0; rc == 0 && i < chain->count; i++) {
        rc = totals_add (txn, chain->numbers[i], &delta, error);
        delta.child_directories = delta.child_files = 0;
        delta.mtime = 0;
    }
    return rc;
}

/* What the directories above an inode count for it, or its negative. */
static struct totals_delta
weight_of (struct txn *txn, const struct inode_row *row, int sign)
{
    struct inode_row full = *row;
    uint64_t factor =
        sign < 0 ? UINT64_MAX : 1; // arithmetic that wraps: a damaged row is no trap

    if (row->kind == KIND_FILE)
        return (struct totals_delta){.files = sign, .bytes = (int64_t) (factor * row->size)};
    totals_pending (txn, &full);
    return (struct totals_delta){.directories = (int64_t) (factor * (full.directories + 1)),
                                 .files = (int64_t) (factor * full.files),
                                 .bytes = (int64_t) (factor * full.bytes)};
}

int
chain_weigh (struct txn *txn, const struct chain *chain, const struct inode_row *row, int sign,
             litedfs_error_t *error)
{
    struct totals_delta weight = weight_of (txn, row, sign);

    return chain_spread (txn, chain, &weight, row->kind == KIND_DIRECTORY ? sign : 0,
                         row->kind == KIND_FILE ? sign : 0, error);
}
