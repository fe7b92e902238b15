/* SPDX-License-Identifier: MIT */
/*
 * Finished blocks: id, size and holders must be what was allocated, and a block that is recorded stays as
 * it is, so that the same request again finds nothing to do.
 */
#include "namenode/finished.h"

#include "namenode/blocks.h"

uint64_t
finished_block_count (const struct lease_row *lease)
{
    return lease->size == WIRE_UNKNOWN ? (uint64_t) UINT32_MAX + 1
                                       : block_count_of (lease->size, lease->block_size);
}

uint64_t
finished_block_size (const struct lease_row *lease, uint64_t index)
{
    if (lease->size == WIRE_UNKNOWN || index + 1 < finished_block_count (lease))
        return lease->block_size;
    return lease->size - index * lease->block_size;
}

int
finished_error (const struct upload_finished *done, const char *why, litedfs_error_t *error)
{
    return err_set (error, LITEDFS_INVALID, "block[%016llx] of index %llu: %s",
                    (unsigned long long) done->block, (unsigned long long) done->index, why);
}

/* Whether its nodes are some of those that were to take it, each once. */
static bool
nodes_fit (const struct upload_finished *done, const struct block_row *row)
{
    if (done->nodes_count < 1 || done->nodes_count > ROW_NODES_MAX)
        return false;
    for (size_t i = 0; i < done->nodes_count; i++) {
        if (done->nodes[i] > UINT32_MAX || !block_row_has_node (row, (uint32_t) done->nodes[i]))
            return false;
        for (size_t other = 0; other < i; other++)
            if (done->nodes[other] == done->nodes[i])
                return false;
    }
    return true;
}

/* Check one finished block against its row, which is returned. */
static int
check_finished (struct txn *txn, const struct lease_row *lease,
                const struct upload_finished *done, struct block_row *row,
                litedfs_error_t *error)
{
    int rc = LITEDFS_NOT_FOUND;

    if (done->index < finished_block_count (lease))
        rc = block_row_get (txn, lease->inode, (uint32_t) done->index, row, error);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    if (rc == LITEDFS_NOT_FOUND || row->block != done->block)
        return finished_error (done, "it is not the block that was allocated", error);
    if (row->state == BLOCK_FINISHED) {
        if (row->size != done->size || row->crc != done->crc)
            return finished_error (done, "it was finished with other content", error);
        return 0;
    }
    if (done->size < 1 || done->size > lease->block_size)
        return finished_error (done, "its size is not between 1 and the block size", error);
    if (lease->size != WIRE_UNKNOWN && done->size != finished_block_size (lease, done->index))
        return finished_error (done, "its size does not fit the size of the file", error);
    if (!nodes_fit (done, row))
        return finished_error (done, "its nodes are not those that were to take it", error);
    return 0;
}

int
finished_check (struct txn *txn, const struct lease_row *lease,
                const struct upload_finished *done, size_t count, litedfs_error_t *error)
{
    struct block_row row;

    for (size_t i = 0; i < count; i++) {
        for (size_t other = 0; other < i; other++)
            if (done[other].index == done[i].index)
                return finished_error (&done[i], "it is named twice", error);
        int rc = check_finished (txn, lease, &done[i], &row, error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int
finished_write (struct txn *txn, const struct lease_row *lease,
                const struct upload_finished *done, size_t count, uint64_t due,
                litedfs_error_t *error)
{
    uint32_t nodes[ROW_NODES_MAX];
    struct block_row row;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = block_row_get (txn, lease->inode, (uint32_t) done[i].index, &row, error);
        if (rc < 0 || row.state == BLOCK_FINISHED)
            continue;
        for (size_t n = 0; n < done[i].nodes_count; n++)
            nodes[n] = (uint32_t) done[i].nodes[n];
        rc = blocks_finish (txn, &row, done[i].size, done[i].crc, nodes, done[i].nodes_count,
                            due, error);
    }
    return rc;
}
