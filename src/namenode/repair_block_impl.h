/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_REPAIR_BLOCK_IMPL_H
#define LITEDFS_NAMENODE_REPAIR_BLOCK_IMPL_H

/*
 * What repair_block.c and repair_move.c share, and nobody else: the holders of a block as they are now, and
 * orders to copy it.
 */

#include "namenode/repair_block.h"

/* What a holder is good for: short names of repair_standing. */
enum standing {
    LIVE = REPAIR_LIVE,
    EXCUSED = REPAIR_EXCUSED,
    AWAY = REPAIR_AWAY,
    YOUNG = REPAIR_YOUNG,
    STALE = REPAIR_STALE,
    LEAVING = REPAIR_LEAVING,
    LEFT = REPAIR_LEFT,
    GONE = REPAIR_GONE,
    STANDINGS = REPAIR_STANDINGS
};

struct findings {
    enum standing holders[ROW_NODES_MAX]; // in the order of the row's
    uint32_t counts[STANDINGS];
};

/* Look at all holders.  A snapshot is enough. */
int repair_block_find (struct repair_run *run, const struct block_row *row,
                       struct findings *out, litedfs_error_t *error);

/* The place of the live holder that is needed least: one that shares its zone with another, the fullest of
 * these. */
size_t repair_block_surplus (const struct repair_run *run, const struct block_row *row,
                             const struct findings *findings);

/* The holder that can send it whose copies of the block failed least, of these the one with the least to
 * send; 0 if all have enough to do. */
uint32_t repair_block_source (const struct repair_run *run, const struct block_row *row,
                              const struct findings *findings);

/* Note that a node has new orders; false if that are too many for one transaction. */
bool repair_block_touch (struct repair_run *run, uint32_t number);

/* Order the source, which may send it, to copy the block to the target.  spare: as in copies.h. */
int repair_block_order (struct repair_run *run, const struct block_row *row, uint32_t source,
                        uint32_t target, bool spare, litedfs_error_t *error);

#endif
