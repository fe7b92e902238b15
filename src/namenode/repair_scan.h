/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_REPAIR_SCAN_H
#define LITEDFS_NAMENODE_REPAIR_SCAN_H

/*
 * One mark: a range of blocks that are looked at and mended one after the other.
 *
 * A scan puts in the place of the mark the ranges of what is not fine yet, so that marks become shorter
 * as work gets done, and one lost block in a long file does not make the rest of it be looked at again
 * and again.  Ranges close to each other are left one.
 */

#include "namenode/repair_block.h"

/* Whether this transaction has time for another block. */
bool repair_has_time (const struct repair_run *run);

/* Look at blocks `from` to `to` - 1 of a mark; the others are taken for not fine.  What there was no time
 * for, and what waits for data nodes that have enough to do, stands on the agenda.  Errors: those of
 * metastore.h. */
int repair_scan (struct repair_run *run, const struct repair_row *mark, uint32_t from,
                 uint64_t to, litedfs_error_t *error);

#endif
