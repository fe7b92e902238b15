/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_REPAIR_MOVE_H
#define LITEDFS_NAMENODE_REPAIR_MOVE_H

/*
 * One block that is as it shall be goes from one holder to another node.
 *
 * It is copied to the new one first.  When that has confirmed it, there is one holder too many, and
 * repair_block.h takes one off: the one that is needed least.  So a block is moved only if that will be the
 * one that it shall leave, which keeps zones apart too.
 *
 * Errors: those of metastore.h.
 */

#include "namenode/repair_block.h"

/* Whether a finished block of a visible file, of which so many copies are wanted, may go from the holder
 * `from` to the node `to`: all its holders are live and as many as wanted, no copy is under way, `to` is
 * online, takes blocks, has room, and neither has the block nor is said to, nor was told to delete it.
 * Whether anybody has time for it does not matter.  A snapshot is enough. */
int repair_move_fits (struct repair_run *run, const struct block_row *row, uint32_t wanted,
                      uint32_t from, uint32_t to, bool *out, litedfs_error_t *error);

/* Order the copy, if it fits and the nodes have time; *ordered is whether. */
int repair_move_order (struct repair_run *run, const struct block_row *row, uint32_t wanted,
                       uint32_t from, uint32_t to, bool *ordered, litedfs_error_t *error);

#endif
