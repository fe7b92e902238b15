/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_REPAIR_LOAD_H
#define LITEDFS_NAMENODE_REPAIR_LOAD_H

/*
 * The start of repair: the copies that were ordered before it and are not begun yet, as far as we know, are
 * under way.
 */

#include "namenode/copies.h"
#include "namenode/repair.h"

/* Zero-initialised it begins with the first order. */
struct repair_load {
    bool done;
    uint8_t key[12]; // where it goes on
};

/* Read some of the orders that are out; true when all are read.  Errors are logged, and then it is done. */
bool repair_load_some (struct repair_load *self, struct metastore *store, struct copies *copies,
                       const struct repair_frame *frame);

#endif
