/* SPDX-License-Identifier: MIT */
/*
 * What is garbage already is found again until there is an order for it: the row is the same, because it is
 * due since the damage was told.
 */
#include "namenode/repair_damaged.h"

#include "namenode/held.h"

int
repair_useless (struct repair_run *run, uint64_t block, uint32_t *out, size_t *count,
                litedfs_error_t *error)
{
    uint32_t nodes[ROW_NODES_MAX];
    struct held_row held;
    size_t damaged;

    *count = 0;
    int rc = held_damaged (run->txn, block, nodes, ROW_NODES_MAX, &damaged, error);
    for (size_t i = 0; i < damaged && rc == 0; i++) {
        const struct node *node = nodes_view_find (run->nodes, nodes[i]);
        rc = held_row_get (run->txn, nodes[i], block, &held, error);
        if (rc == LITEDFS_NOT_FOUND && node && node->online)
            out[(*count)++] = nodes[i];
        if (rc == LITEDFS_NOT_FOUND)
            rc = 0;
    }
    return rc;
}

int
repair_drop_useless (struct repair_run *run, uint64_t block, litedfs_error_t *error)
{
    uint32_t nodes[ROW_NODES_MAX];
    struct damaged_row damaged;
    size_t count;
    int rc = repair_useless (run, block, nodes, &count, error);

    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = damaged_row_get (run->txn, block, nodes[i], &damaged, error);
        if (rc < 0)
            break;
        struct garbage_row part = {.node = nodes[i], .due = damaged.time, .block = block};
        rc = garbage_row_put (run->txn, &part, error);
    }
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}
