/* SPDX-License-Identifier: MIT */
/*
 * Handlers of the comparison of inventories.
 */
#include "base/err.h"
#include "namenode/inventory.h"
#include "namenode/ops.h"

int
op_node_inventory (struct op *op)
{
    const struct node_inventory_request *request = op->request;
    struct node_inventory_reply *reply = op->reply;
    uint8_t differ[BLOCK_ID_BUCKETS / 8];
    bool compared = false;
    int rc = ops_check_sender (op, request->node);

    if (rc == 0)
        rc = inventory_compare (op->txn, (uint32_t) request->node, request->seq,
                                request->digests, differ, &reply->seq, &compared, op->error);
    if (rc == 0 && compared)
        rc = ops_copy (op, slice_of (differ, sizeof differ), &reply->buckets);
    return rc;
}

int
op_node_listing (struct op *op)
{
    const struct node_listing_request *request = op->request;
    struct node_listing_reply *reply = op->reply;
    struct inventory_taken taken;
    int rc = ops_check_sender (op, request->node);

    if (rc == 0)
        rc = inventory_take (op->txn, request, &taken, op->error);
    if (rc < 0)
        return rc;
    reply->taken = taken.taken;
    reply->bucket = taken.bucket;
    reply->block = taken.block;
    reply->added = taken.added;
    reply->removed = taken.removed;
    if (taken.report.ordered > 0)
        op->effects->orders_for = (uint32_t) request->node;
    return ops_note_report (op, (uint32_t) request->node, &taken.report);
}
