/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_OPS_LOOK_H
#define LITEDFS_NAMENODE_OPS_LOOK_H

/*
 * For handlers that show blocks as repair sees them.
 */

#include "namenode/ops.h"

/* The most that a request which walks over many rows does, milliseconds: others wait meanwhile.  And how
 * many rows it reads between two looks at the clock. */
enum { OPS_LOOK_MS = 5, OPS_LOOK_ROWS = 32 };

struct ops_look {
    struct op *op;
    struct repair_run run; // as far as repair_block_look needs it
    struct presence *presence;
    size_t rows;
};

/* Begin, with what repair knows of the nodes brought up to now.  LITEDFS_MEMORY. */
int ops_look_begin (struct ops_look *self, struct op *op);
void ops_look_end (struct ops_look *self);

/* Count a row that was read; false when it is time to end the page. */
bool ops_look_goes_on (struct ops_look *self);

/* The path of a file in the arena; LITEDFS_NOT_FOUND if its directory was deleted.  Of one that is too long
 * to be written only the name. */
int ops_look_path (struct op *op, const struct inode_row *file, struct slice *out);

#endif
