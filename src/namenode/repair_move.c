/* SPDX-License-Identifier: MIT */
/*
 * Moves of single blocks.
 */
#include "namenode/repair_move.h"

#include "namenode/repair_block_impl.h"

/* Whether the node could take the block as far as its disk is concerned, with what it was promised. */
static int
has_room (struct repair_run *run, const struct node *node, uint64_t size, bool *out,
          litedfs_error_t *error)
{
    struct node_row row;
    int rc = node_row_get (run->txn, node->number, &row, error);

    if (rc < 0) {
        *out = false;
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    }
    uint64_t promised = row.reserved + copies_bytes_to (run->copies, node->number);
    *out = node->storage_free > promised && node->storage_free - promised >= size;
    return 0;
}

/* Whether nothing is known of the block at the node: no copy, no claim, no order. */
static int
is_free_of (struct repair_run *run, uint32_t node, uint64_t block, bool *out,
            litedfs_error_t *error)
{
    struct held_row held;
    int rc = held_row_get (run->txn, node, block, &held, error);

    *out = rc == LITEDFS_NOT_FOUND;
    return *out ? 0 : rc;
}

/* Whether `from` is the one that goes when `to` has the block too. */
static bool
would_leave (const struct repair_run *run, const struct block_row *row,
             const struct findings *findings, uint32_t from, uint32_t to)
{
    struct block_row then = *row;
    struct findings them = *findings;

    them.holders[then.nodes_count] = LIVE;
    them.counts[LIVE]++;
    then.nodes[then.nodes_count++] = to;
    return then.nodes[repair_block_surplus (run, &then, &them)] == from;
}

/* Look at all that matters; findings are those of the holders, if it fits. */
static int
look (struct repair_run *run, const struct block_row *row, uint32_t wanted, uint32_t from,
      uint32_t to, struct findings *findings, bool *out, litedfs_error_t *error)
{
    const struct node *target = nodes_view_find (run->nodes, to);

    *out = false;
    if (!target || !target->online || !node_takes_blocks (target) || target->suspect ||
        target->storage_full || row->state != BLOCK_FINISHED || row->nodes_count != wanted ||
        row->nodes_count == ROW_NODES_MAX || !block_row_has_node (row, from) ||
        block_row_has_node (row, to) || copies_find (run->copies, row->block, 0) != SIZE_MAX)
        return 0;
    int rc = is_free_of (run, to, row->block, out, error);
    if (rc == 0 && *out)
        rc = repair_block_find (run, row, findings, error);
    if (rc < 0 || !*out)
        return rc;
    *out = findings->counts[LIVE] == wanted && would_leave (run, row, findings, from, to);
    return *out ? has_room (run, target, row->size, out, error) : 0;
}

int
repair_move_fits (struct repair_run *run, const struct block_row *row, uint32_t wanted,
                  uint32_t from, uint32_t to, bool *out, litedfs_error_t *error)
{
    struct findings findings;

    return look (run, row, wanted, from, to, &findings, out, error);
}

int
repair_move_order (struct repair_run *run, const struct block_row *row, uint32_t wanted,
                   uint32_t from, uint32_t to, bool *ordered, litedfs_error_t *error)
{
    struct findings findings;
    bool fits;
    int rc = look (run, row, wanted, from, to, &findings, &fits, error);

    *ordered = false;
    if (rc < 0 || !fits || !copies_may_take (run->copies, to, row->size))
        return rc;
    uint32_t source = repair_block_source (run, row, &findings);
    // What could not be copied of late is left to the next round.
    if (source == 0 || copies_failures (run->copies, row->block, source) > 0 ||
        !repair_block_touch (run, source))
        return 0;
    rc = repair_block_order (run, row, source, to, true, error);
    *ordered = rc == 0;
    return rc;
}
