/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_REPAIR_DAMAGED_H
#define LITEDFS_NAMENODE_REPAIR_DAMAGED_H

/*
 * Damaged copies that data nodes keep aside, once as many good ones as wanted are online and confirmed (the
 * caller knows): they are of no use any more.
 *
 * Errors: those of metastore.h.
 */

#include "namenode/repair_block.h"

/* The nodes that keep one of the block, are online and have no order for it; room for ROW_NODES_MAX.
 * Writes nothing. */
int repair_useless (struct repair_run *run, uint64_t block, uint32_t *out, size_t *count,
                    litedfs_error_t *error);

/* Make these copies garbage, due at once. */
int repair_drop_useless (struct repair_run *run, uint64_t block, litedfs_error_t *error);

#endif
