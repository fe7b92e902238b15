/* SPDX-License-Identifier: MIT */
/*
 * The plan of what is moved between data nodes.
 */
#include "namenode/balance_plan.h"

size_t
balance_uses (const struct nodes_view *view, struct balance_use *out)
{
    size_t count = 0;

    for (size_t i = 0; i < view->count; i++) {
        const struct node *node = &view->nodes[i];
        if (node->online && node_takes_blocks (node) && !node->suspect &&
            node->storage_total > 0)
            out[count++] = (struct balance_use){
                .node = node->number, .total = node->storage_total, .used = node->storage_used};
    }
    return count;
}

/* 0 to 1, and more if a node has more than it says that it can hold. */
static double
share (const struct balance_use *use)
{
    return (double) use->used / (double) use->total;
}

static double
mean_of (const struct balance_use *uses, size_t count)
{
    double used = 0, total = 0;

    for (size_t i = 0; i < count; i++) {
        used += (double) uses[i].used;
        total += (double) uses[i].total;
    }
    return used / total;
}

/* The fullest and the emptiest of them; there are some. */
static void
find_ends (struct balance_use *uses, size_t count, struct balance_use **fullest,
           struct balance_use **emptiest)
{
    *fullest = *emptiest = &uses[0];
    for (size_t i = 1; i < count; i++) {
        if (share (&uses[i]) > share (*fullest))
            *fullest = &uses[i];
        if (share (&uses[i]) < share (*emptiest))
            *emptiest = &uses[i];
    }
}

/* How many bytes bring the first of the two to the mean. */
static uint64_t
bytes_to_mean (const struct balance_use *from, const struct balance_use *to, double mean)
{
    double over = (share (from) - mean) * (double) from->total;
    double under = (mean - share (to)) * (double) to->total;
    double bytes = over < under ? over : under;

    return bytes > 0 ? (uint64_t) bytes : 0;
}

size_t
balance_plan (struct balance_use *uses, size_t count, unsigned threshold, bool going,
              struct balance_move *out)
{
    double limit = threshold / 100.0, goal = limit / 2;
    struct balance_use *from, *to;
    size_t moves = 0;

    if (threshold == 0 || count < 2)
        return 0;
    double mean = mean_of (uses, count);
    for (double most = going ? goal : limit; moves + 1 < count; most = goal) {
        find_ends (uses, count, &from, &to);
        if (share (from) - share (to) <= most)
            break;
        uint64_t bytes = bytes_to_mean (from, to, mean);
        if (bytes == 0)
            break;
        from->used -= bytes;
        to->used += bytes;
        out[moves++] =
            (struct balance_move){.from = from->node, .to = to->node, .bytes = bytes};
    }
    return moves;
}
