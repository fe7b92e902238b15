/* SPDX-License-Identifier: MIT */
/*
 * Orders are read some thousand rows at a time, each in a snapshot of its own.
 */
#include "namenode/repair_load.h"

#include "namenode/records.h"

/* Rows of orders that are read at a time at the start; how long a copy of then may still take. */
enum { LOAD_ROWS = 4096, LOADED_COPY_MS = 60000 };

/* A copy that was ordered before our start and not begun yet, as far as we know. */
static int
load_copy (struct copies *copies, struct txn *txn, const struct order_row *order,
           int64_t now_ms, litedfs_error_t *error)
{
    struct copy copy = {.block = order->block,
                        .source = order->node,
                        .target = order->target,
                        .order = order->number,
                        .deadline_ms = now_ms + LOADED_COPY_MS};
    struct owner_row owner;
    struct block_row row;

    int rc = owner_row_get (txn, order->block, &owner, error);
    if (rc == 0)
        rc = block_row_get (txn, owner.inode, owner.index, &row, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0
                                       : rc; // it is nobody's any more: the target will hear
    copy.inode = owner.inode;
    copy.index = owner.index;
    copy.size = row.size;
    copies_open (copies,
                 &copy); // if there are too many, it is ordered again in the worst case
    return 0;
}

static int
load_rows (struct repair_load *self, struct txn *txn, struct copies *copies, int64_t now_ms,
           litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct order_row order;
    struct slice none = {0};
    struct slice key;
    struct slice value;
    int rc = cursor_open (&cursor, txn, TABLE_ORDER, none,
                          slice_of (self->key, sizeof self->key), error);

    for (int i = 0; i < LOAD_ROWS && rc == 0; i++) {
        rc = cursor_next (&cursor, &key, &value, error);
        if (rc == 0)
            rc = order_row_decode (key, value, &order, error);
        if (rc == 0 && order.kind == ORDER_COPY)
            rc = load_copy (copies, txn, &order, now_ms, error);
        if (rc == 0) {
            key_be32 (self->key, order.node);
            key_be64 (self->key + 4, order.number + 1);
        }
    }
    cursor_close (&cursor);
    self->done = rc == LITEDFS_NOT_FOUND;
    return self->done ? 0 : rc;
}

bool
repair_load_some (struct repair_load *self, struct metastore *store, struct copies *copies,
                  const struct repair_frame *frame)
{
    litedfs_error_t error;
    struct txn *txn;

    if (self->done)
        return true;
    int rc = txn_begin_read (store, &txn, &error);
    if (rc == 0) {
        rc = load_rows (self, txn, copies, clock_mono (frame->clock), &error);
        txn_abort (&txn);
    }
    copies_settle (copies, true);
    metric_set (frame->metrics, METRIC_REPAIR_COPIES, 0, copies_count (copies));
    if (rc < 0) {
        log_error (frame->log, "repair goes on without the orders that are out: %s",
                   error.text);
        self->done = true;
    }
    return self->done;
}
