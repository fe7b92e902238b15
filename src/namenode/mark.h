/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_MARK_H
#define LITEDFS_NAMENODE_MARK_H

/*
 * Marks: blocks of visible files whose holders may not be those that are wanted.  Whoever changes who
 * holds a block, or how many shall, marks it in the same transaction; repair.h looks at what is marked
 * and takes the mark away when all is well.  Errors: those of metastore.h.
 */

#include "namenode/records.h"

/* Mark blocks first to end - 1 of an inode (end at most REPAIR_END), and put them on the frame's agenda.
 * What is marked already writes nothing. */
int mark_blocks (struct txn *txn, uint64_t inode, uint32_t first, uint64_t end,
                 litedfs_error_t *error);

/* The same for what somebody saw who does not know of any change: what is marked already is not put on the
 * agenda. */
int mark_blocks_found (struct txn *txn, uint64_t inode, uint32_t first, uint64_t end,
                       litedfs_error_t *error);

/* The mark that has this block, or else the first one after it, of the same inode; LITEDFS_NOT_FOUND. */
int mark_find (struct txn *txn, uint64_t inode, uint32_t index, struct repair_row *out,
               litedfs_error_t *error);

/* The file is gone: take its marks away, as many as a transaction should; repair finds the rest. */
int mark_drop (struct txn *txn, uint64_t inode, litedfs_error_t *error);

#endif
