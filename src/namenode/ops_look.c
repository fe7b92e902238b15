/* SPDX-License-Identifier: MIT */
/*
 * What the handlers that show blocks have in common.  Repair's own view of who is there is a moment old
 * and says nothing while the name node settles: it is copied and brought up to now, and nobody whom repair
 * has not seen go is taken for gone.
 */
#include "namenode/ops_look.h"

#include "base/err.h"
#include "namenode/namespace.h"

int
ops_look_begin (struct ops_look *self, struct op *op)
{
    int64_t now_ms = clock_mono (op->clock);

    *self = (struct ops_look){.op = op};
    self->presence = op->repair ? presence_clone (op->repair->presence) : presence_new ();
    if (!self->presence)
        return err_set (op->error, LITEDFS_MEMORY, "out of memory");
    presence_update (self->presence, op->nodes, now_ms, op->settings->repair_delay_ms);
    self->run = (struct repair_run){
        .txn = op->txn,
        .nodes = op->nodes,
        .presence = self->presence,
        .copies = op->repair ? op->repair->copies : NULL,
        .clock = op->clock,
        .now_ms = now_ms,
        .wall_ms = clock_wall (op->clock),
    };
    return 0;
}

void
ops_look_end (struct ops_look *self)
{
    presence_destroy (&self->presence);
}

bool
ops_look_goes_on (struct ops_look *self)
{
    return ++self->rows % OPS_LOOK_ROWS != 0 ||
           clock_mono (self->run.clock) - self->run.now_ms < OPS_LOOK_MS;
}

int
ops_look_path (struct op *op, const struct inode_row *file, struct slice *out)
{
    struct buf path = {0};
    int rc = namespace_path_of (op->txn, file->parent, inode_row_name (file), &path, op->error);

    if (rc == 0)
        rc = ops_copy (op, buf_slice (&path), out);
    else if (rc == LITEDFS_INVALID)
        rc = ops_copy (op, inode_row_name (file), out);
    buf_free (&path);
    return rc;
}
