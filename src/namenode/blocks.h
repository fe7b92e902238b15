/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_BLOCKS_H
#define LITEDFS_NAMENODE_BLOCKS_H

/*
 * The blocks of one inode: rows (inode, index), their owner rows, what they reserve on nodes.
 * Errors: those of metastore.h.
 */

#include "namenode/records.h"

/* A walk over an inode's blocks by index.  On the stack. */
struct blocks_walk {
    struct cursor at;
};
int blocks_open (struct blocks_walk *self, struct txn *txn, uint64_t inode, uint32_t first,
                 litedfs_error_t *error);
int blocks_next (struct blocks_walk *self, struct block_row *out, litedfs_error_t *error);
void blocks_close (struct blocks_walk *self);

/* How many copies every block of a file has at least, counting the holders for which counts (arg, node)
 * is true (NULL: all).  A file without blocks has as many as are wanted.  Reads a row a block. */
int blocks_current_replica (struct txn *txn, const struct inode_row *file,
                            bool (*counts) (void *arg, uint32_t node), void *arg, uint32_t *out,
                            litedfs_error_t *error);

/* Write an allocated block: its row, its owner, and row->size reserved on each of its nodes. */
int blocks_allocate (struct txn *txn, const struct block_row *row, litedfs_error_t *error);

/* An allocated block is finished: nodes (1 or more, all among row's) hold it, claimed until they report.
 * Releases what was reserved; who was to take it and does not hold it gets it as garbage, unless it has
 * reported the block by itself.  *row is what was written. */
int blocks_finish (struct txn *txn, struct block_row *row, uint64_t size, uint32_t crc,
                   const uint32_t *nodes, size_t nodes_count, uint64_t due,
                   litedfs_error_t *error);

/* Free a block: rows gone, reserved bytes released, garbage on each of its nodes, due at that time. */
int blocks_free (struct txn *txn, const struct block_row *row, uint64_t due,
                 litedfs_error_t *error);

#endif
