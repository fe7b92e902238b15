/* SPDX-License-Identifier: MIT */
/*
 * The mark is a row of meta, so it outlives restarts.  Who writes delete orders asks for it in the same
 * transaction (upkeep.c: garbage; held.c: blocks that are not as they should be).
 */
#include "namenode/restored.h"

#include "namenode/held.h"

static int
take_back (struct txn *txn, const struct order_row *order, litedfs_error_t *error)
{
    const struct garbage_row part = {
        .node = order->node, .due = (uint64_t) txn_frame (txn)->wall_ms, .block = order->block};

    int rc = order_row_del (txn, order->node, order->number, error);
    if (rc < 0 || order->kind != ORDER_DELETE)
        return rc;
    rc = held_order_revoked (txn, order->node, order->block, error);
    return rc == 0 ? garbage_row_put (txn, &part, error) : rc;
}

static int
take_orders_back (struct txn *txn, litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct slice none = {0}, key, value;
    struct order_row order;

    int rc = cursor_open (&cursor, txn, TABLE_ORDER, none, none, error);
    while (rc == 0 && (rc = cursor_next (&cursor, &key, &value, error)) == 0) {
        rc = order_row_decode (key, value, &order, error);
        if (rc == 0)
            rc = take_back (txn, &order, error);
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

int
restored_enter (struct txn *txn, uint64_t seen, uint64_t *epoch, litedfs_error_t *error)
{
    uint64_t own;
    int rc = meta_get (txn, META_EPOCH, &own, error);

    *epoch = (seen > own ? seen : own) + 1;
    if (rc == 0)
        rc = meta_set_epoch (txn, (uint32_t) *epoch, error);
    if (rc == 0)
        rc = meta_put (txn, META_RESTORED, (uint64_t) txn_frame (txn)->wall_ms, error);
    return rc == 0 ? take_orders_back (txn, error) : rc;
}

int
restored_since (struct txn *txn, uint64_t *since, litedfs_error_t *error)
{
    return meta_get (txn, META_RESTORED, since, error);
}

int
restored_accept (struct txn *txn, litedfs_error_t *error)
{
    return meta_put (txn, META_RESTORED, 0, error);
}
