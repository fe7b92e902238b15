/* SPDX-License-Identifier: MIT */
/*
 * The blocks of an inode.  A block row, its owner row and the bytes reserved on nodes change together,
 * here and nowhere else (held.c changes the holders of a finished one).
 */
#include "namenode/blocks.h"

#include "namenode/held.h"

int
blocks_open (struct blocks_walk *self, struct txn *txn, uint64_t inode, uint32_t first,
             litedfs_error_t *error)
{
    uint8_t start[12];

    self->at.handle = NULL;
    struct slice prefix = key_be64 (start, inode);
    key_be32 (start + 8, first);
    return cursor_open (&self->at, txn, TABLE_BLOCK, prefix, slice_of (start, sizeof start),
                        error);
}

int
blocks_next (struct blocks_walk *self, struct block_row *out, litedfs_error_t *error)
{
    struct slice key;
    struct slice value;

    int rc = cursor_next (&self->at, &key, &value, error);
    return rc < 0 ? rc : block_row_decode (key, value, out, error);
}

void
blocks_close (struct blocks_walk *self)
{
    cursor_close (&self->at);
}

int
blocks_current_replica (struct txn *txn, const struct inode_row *file,
                        bool (*counts) (void *arg, uint32_t node), void *arg, uint32_t *out,
                        litedfs_error_t *error)
{
    struct blocks_walk walk;
    struct block_row row;
    uint32_t least = file->size == 0 ? file->replica : UINT32_MAX;

    int rc = blocks_open (&walk, txn, file->number, 0, error);
    while (rc == 0 && (rc = blocks_next (&walk, &row, error)) == 0) {
        uint32_t copies = 0;
        for (size_t i = 0; i < row.nodes_count; i++)
            copies += !counts || counts (arg, row.nodes[i]);
        if (copies < least)
            least = copies;
    }
    blocks_close (&walk);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    *out = least == UINT32_MAX ? 0 : least;
    return 0;
}

/* Add to (or take from) what is reserved on a node; one that is not there any more has nothing. */
static int
reserve (struct txn *txn, uint32_t node, int64_t bytes, litedfs_error_t *error)
{
    struct node_row row;

    int rc = node_row_get (txn, node, &row, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    if (bytes < 0 && row.reserved < (uint64_t) -bytes)
        row.reserved = 0;
    else
        row.reserved += (uint64_t) bytes;
    return node_row_put (txn, &row, error);
}

int
blocks_allocate (struct txn *txn, const struct block_row *row, litedfs_error_t *error)
{
    struct owner_row owner = {.block = row->block, .inode = row->inode, .index = row->index};

    int rc = block_row_put (txn, row, error);
    if (rc == 0)
        rc = owner_row_put (txn, &owner, error);
    for (size_t i = 0; rc == 0 && i < row->nodes_count; i++)
        rc = reserve (txn, row->nodes[i], (int64_t) row->size, error);
    return rc;
}

/* Whether a node that the client does not name has reported the block all the same: its last word to the
 * client was lost. */
static int
has_reported (struct txn *txn, uint32_t node, uint64_t block, uint64_t size, bool *out,
              litedfs_error_t *error)
{
    struct held_row held;

    int rc = held_row_get (txn, node, block, &held, error);
    *out =
        rc == 0 && held.state == HELD_CONFIRMED && held.order == HELD_KEPT && held.size == size;
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* A node was to take the block and is not among those that the client says have it. */
static int
settle_missing (struct txn *txn, struct block_row *finished, uint32_t node, uint64_t due,
                litedfs_error_t *error)
{
    struct garbage_row part = {.node = node, .due = due, .block = finished->block};
    bool has;

    int rc = has_reported (txn, node, finished->block, finished->size, &has, error);
    if (rc < 0)
        return rc;
    if (!has)
        return garbage_row_put (txn, &part, error);
    finished->nodes[finished->nodes_count++] = node;
    return 0;
}

int
blocks_finish (struct txn *txn, struct block_row *row, uint64_t size, uint32_t crc,
               const uint32_t *nodes, size_t nodes_count, uint64_t due, litedfs_error_t *error)
{
    struct block_row finished = *row;
    int rc = 0;

    finished.state = BLOCK_FINISHED;
    finished.size = size;
    finished.crc = crc;
    finished.nodes_count = nodes_count;
    for (size_t i = 0; rc == 0 && i < nodes_count; i++) {
        finished.nodes[i] = nodes[i];
        rc = held_claim (txn, nodes[i], row->block, size, error);
    }
    for (size_t i = 0; rc == 0 && i < row->nodes_count; i++) {
        rc = reserve (txn, row->nodes[i], -(int64_t) row->size, error);
        if (rc == 0 && !block_row_has_node (&finished, row->nodes[i]))
            rc = settle_missing (txn, &finished, row->nodes[i], due, error);
    }
    if (rc == 0)
        rc = block_row_put (txn, &finished, error);
    if (rc == 0)
        *row = finished;
    return rc;
}

/* Damaged copies go with the others. */
static int
free_damaged (struct txn *txn, uint64_t block, uint64_t due, litedfs_error_t *error)
{
    uint32_t nodes[ROW_NODES_MAX];
    size_t count;

    int rc = held_damaged (txn, block, nodes, ROW_NODES_MAX, &count, error);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct garbage_row part = {.node = nodes[i], .due = due, .block = block};
        rc = garbage_row_put (txn, &part, error);
    }
    return rc;
}

int
blocks_free (struct txn *txn, const struct block_row *row, uint64_t due, litedfs_error_t *error)
{
    int rc = block_row_del (txn, row->inode, row->index, error);

    if (rc == 0)
        rc = owner_row_del (txn, row->block, error);
    if (rc == LITEDFS_NOT_FOUND)
        rc =
            err_set (error, LITEDFS_CORRUPT, "metadata row[block %llu %u]: it has no owner row",
                     (unsigned long long) row->inode, row->index);
    for (size_t i = 0; rc == 0 && i < row->nodes_count; i++) {
        struct garbage_row part = {.node = row->nodes[i], .due = due, .block = row->block};
        rc = garbage_row_put (txn, &part, error);
        if (rc == 0 && row->state == BLOCK_ALLOCATED)
            rc = reserve (txn, row->nodes[i], -(int64_t) row->size, error);
    }
    return rc == 0 ? free_damaged (txn, row->block, due, error) : rc;
}
