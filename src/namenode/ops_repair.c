/* SPDX-License-Identifier: MIT */
/*
 * cluster.repair: how much there is to repair, what is under way, and whom a name node awaits that has
 * just started.
 */
#include "namenode/ops.h"

/* The most nodes that are named, as messages.def has it. */
enum { AWAITED_MAX = 4096 };

/* The nodes that were not heard since our start. */
static int
fill_awaited (struct op *op, struct cluster_repair_reply *reply)
{
    reply->awaited = ops_array (op, op->nodes->count, sizeof *reply->awaited);
    if (!reply->awaited)
        return op->error->number;
    if (!op->nodes->settling)
        return 0;
    reply->settling = op->settling_ms > 0 ? (uint64_t) op->settling_ms : 1;
    for (size_t i = 0; i < op->nodes->count && reply->awaited_count < AWAITED_MAX; i++)
        if (op->nodes->nodes[i].heard_wall_ms == 0 &&
            op->nodes->nodes[i].duty.duty != DUTY_REMOVED)
            reply->awaited[reply->awaited_count++] = op->nodes->nodes[i].number;
    return 0;
}

static void
fill_copies (const struct copies *copies, struct cluster_repair_reply *reply)
{
    for (size_t at = 0; at < copies_count (copies); at++) {
        const struct copy *copy = copies_at (copies, at);
        if (!copy)
            continue;
        reply->copies++;
        reply->copying += copy->size;
    }
}

int
op_cluster_repair (struct op *op)
{
    struct cluster_repair_reply *reply = op->reply;
    const struct repair_view *view = op->repair;

    if (view) {
        reply->counted = view->counted;
        reply->missing = view->queue.missing;
        reply->last = view->queue.last;
        reply->few = view->queue.few;
        reply->move = view->queue.move;
        reply->surplus = view->queue.surplus;
        reply->bytes = view->queue.bytes;
        reply->rate = view->rate;
        fill_copies (view->copies, reply);
    }
    return fill_awaited (op, reply);
}
