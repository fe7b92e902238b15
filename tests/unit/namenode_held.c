/* SPDX-License-Identifier: MIT */
/*
 * namenode/held: claims and reports, and a digest that is always that of the confirmed rows.
 */
#include "namenode/held.h"

#include "namenode/garbage.h"

#include "namenode_store.h"

static struct wire_change
change (uint64_t seq, unsigned kind, uint64_t block, uint64_t size, uint32_t crc)
{
    return (struct wire_change){seq, kind, block, size, crc};
}

static struct held_report
apply (struct txn *txn, const struct wire_change *changes, size_t count)
{
    struct held_report report;

    ck_ok (held_apply (txn, 1, changes, count, &report, E));
    return report;
}

/* A block of inode 50 on one node, with a new id, which is returned. */
static uint64_t
own_block (struct txn *txn, uint32_t index, enum block_state state, uint32_t node)
{
    struct block_row row = {.inode = 50,
                            .index = index,
                            .state = state,
                            .size = 100,
                            .crc = 5,
                            .nodes = {node},
                            .nodes_count = 1};

    ck_ok (meta_next_block (txn, &row.block, E));
    struct owner_row owner = {.block = row.block, .inode = 50, .index = index};
    ck_ok (block_row_put (txn, &row, E));
    ck_ok (owner_row_put (txn, &owner, E));
    return row.block;
}

static struct block_row
block_at (struct txn *txn, uint32_t index)
{
    struct block_row row;

    ck_ok (block_row_get (txn, 50, index, &row, E));
    return row;
}

/* Recount the digests and the node's counts from the held rows. */
static void
check_digests (struct txn *txn, uint32_t node)
{
    static struct digest_row expected[BLOCK_ID_BUCKETS];
    struct cursor cursor = {0};
    struct slice key;
    struct slice value;
    struct held_row row;
    struct node_row counts;
    struct digest_row digest;
    uint8_t prefix[4];
    uint64_t blocks = 0;
    uint64_t bytes = 0;

    memset (expected, 0, sizeof expected);
    struct slice none = {0};
    ck_ok (cursor_open (&cursor, txn, TABLE_HELD, key_be32 (prefix, node), none, E));
    while (cursor_next (&cursor, &key, &value, E) == 0) {
        ck_ok (held_row_decode (key, value, &row, E));
        if (row.state == HELD_CLAIMED)
            continue;
        expected[block_id_bucket (row.block)].hash ^= block_id_hash (row.block);
        expected[block_id_bucket (row.block)].count++;
        blocks++;
        bytes += row.size;
    }
    cursor_close (&cursor);
    for (uint32_t i = 0; i < BLOCK_ID_BUCKETS; i++) {
        ck_ok (digest_row_get (txn, node, i, &digest, E));
        ck_assert_uint_eq (digest.hash, expected[i].hash);
        ck_assert_uint_eq (digest.count, expected[i].count);
    }
    ck_ok (node_row_get (txn, node, &counts, E));
    ck_assert_uint_eq (counts.blocks, blocks);
    ck_assert_uint_eq (counts.bytes, bytes);
}

START_TEST (a_claim_is_confirmed_by_the_report_and_stays_so)
{
    struct held_row row;
    struct txn *txn = begin ();

    add_node (txn, 1);
    uint64_t block = own_block (txn, 0, BLOCK_FINISHED, 1);
    ck_ok (held_claim (txn, 1, block, 100, E));
    ck_ok (held_row_get (txn, 1, block, &row, E));
    ck_assert_int_eq (row.state, HELD_CLAIMED);
    check_digests (txn, 1);
    struct wire_change added = change (1, CHANGE_ADDED, block, 100, 5);
    struct held_report report = apply (txn, &added, 1);
    ck_assert_uint_eq (report.seq, 1);
    ck_assert_uint_eq (report.added, 1);
    ck_assert_uint_eq (report.ordered + report.unknown + report.missed + report.lost, 0);
    ck_ok (held_row_get (txn, 1, block, &row, E));
    ck_assert_int_eq (row.state, HELD_CONFIRMED);
    ck_assert_uint_eq (row.seq, 1);
    ck_ok (held_claim (txn, 1, block, 100, E));
    ck_ok (held_unclaim (txn, 1, block, E));
    ck_ok (held_row_get (txn, 1, block, &row, E));
    ck_assert_int_eq (row.state, HELD_CONFIRMED);
    check_digests (txn, 1);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_report_that_comes_again_changes_nothing)
{
    struct txn *txn = begin ();
    add_node (txn, 1);
    struct wire_change changes[] = {
        change (1, CHANGE_ADDED, own_block (txn, 0, BLOCK_FINISHED, 1), 100, 5),
        change (2, CHANGE_ADDED, own_block (txn, 1, BLOCK_FINISHED, 1), 100, 5),
        change (3, CHANGE_REMOVED, block_at (txn, 0).block, 0, 0)};
    apply (txn, changes, 2);
    commit (&txn);
    txn = begin ();
    struct held_report report = apply (txn, changes, 2);
    ck_assert_uint_eq (report.seq, 2);
    ck_assert_uint_eq (report.added, 0);
    ck_assert_uint_eq (txn_written (txn), 0);
    report = apply (txn, changes, 3);
    ck_assert_uint_eq (report.seq, 3);
    ck_assert_uint_eq (report.removed, 1);
    check_digests (txn, 1);
    report = apply (txn, NULL, 0);
    ck_assert_uint_eq (report.seq, 3);
    txn_abort (&txn);
}
END_TEST

START_TEST (numbers_that_are_missing_are_counted_and_ones_that_fall_refused)
{
    struct held_report report;
    struct txn *txn = begin ();

    add_node (txn, 1);
    struct wire_change changes[] = {
        change (5, CHANGE_ADDED, own_block (txn, 0, BLOCK_FINISHED, 1), 100, 5),
        change (7, CHANGE_ADDED, own_block (txn, 1, BLOCK_FINISHED, 1), 100, 5)};
    report = apply (txn, changes, 2);
    ck_assert_uint_eq (report.missed, 5);
    ck_assert_uint_eq (report.seq, 7);
    changes[1].seq = 5;
    ck_fails (LITEDFS_INVALID, held_apply (txn, 1, changes, 2, &report, E));
    ck_fails (LITEDFS_NOT_FOUND, held_apply (txn, 2, changes, 1, &report, E));
    txn_abort (&txn);
}
END_TEST

START_TEST (nobody_can_use_a_nodes_numbers_up)
{
    struct wire_change change = {.seq = WIRE_MAX, .kind = CHANGE_REMOVED, .block = 1};
    struct held_report report;
    struct txn *txn = begin ();

    add_node (txn, 1);
    ck_fails (LITEDFS_INVALID, held_apply (txn, 1, &change, 1, &report, E));
    change.seq = WIRE_MAX / 2;
    ck_ok (held_apply (txn, 1, &change, 1, &report, E));
    ck_assert_uint_eq (report.seq, WIRE_MAX / 2);
    txn_abort (&txn);
}
END_TEST

START_TEST (holders_of_a_block_follow_the_reports)
{
    struct txn *txn = begin ();
    add_node (txn, 1);
    uint64_t block = own_block (txn, 0, BLOCK_FINISHED, 9);
    struct wire_change changes[] = {change (1, CHANGE_ADDED, block, 100, 5),
                                    change (2, CHANGE_REMOVED, block, 100, 5)};
    apply (txn, changes, 1);
    ck_assert_uint_eq (block_at (txn, 0).nodes_count, 2);
    struct held_report report = apply (txn, changes, 2);
    ck_assert_uint_eq (report.lost, 0);
    ck_assert_uint_eq (block_at (txn, 0).nodes_count, 1);
    ck_assert_uint_eq (block_at (txn, 0).nodes[0], 9);
    txn_abort (&txn);
}
END_TEST

START_TEST (the_last_copy_that_goes_is_said_to_be_lost)
{
    struct txn *txn = begin ();
    add_node (txn, 1);
    uint64_t block = own_block (txn, 0, BLOCK_FINISHED, 1);
    struct wire_change changes[] = {change (1, CHANGE_ADDED, block, 100, 5),
                                    change (2, CHANGE_REMOVED, block, 100, 5)};
    struct held_report report = apply (txn, changes, 2);
    ck_assert_uint_eq (report.lost, 1);
    ck_assert_uint_eq (report.block, block);
    ck_assert_uint_eq (block_at (txn, 0).nodes_count, 0);
    check_digests (txn, 1);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_block_that_is_not_committed_yet_keeps_its_nodes)
{
    struct held_row row;
    struct txn *txn = begin ();

    add_node (txn, 1);
    uint64_t block = own_block (txn, 0, BLOCK_ALLOCATED, 1);
    struct wire_change changes[] = {change (1, CHANGE_ADDED, block, 77, 6),
                                    change (2, CHANGE_REMOVED, block, 77, 6)};
    struct held_report report = apply (txn, changes, 1);
    ck_assert_uint_eq (report.ordered, 0);
    ck_assert_int_eq (block_at (txn, 0).state, BLOCK_ALLOCATED);
    ck_ok (held_row_get (txn, 1, block, &row, E));
    ck_assert_int_eq (row.state, HELD_CONFIRMED);
    apply (txn, changes, 2);
    ck_assert_uint_eq (block_at (txn, 0).nodes_count, 1);
    txn_abort (&txn);
}
END_TEST

START_TEST (blocks_that_nobody_owns_are_ordered_away_if_they_are_sure_to_be_dead)
{
    struct order_row orders[4];
    size_t count;
    uint64_t drawn;
    struct txn *txn = begin ();

    add_node (txn, 1);
    ck_ok (meta_set_epoch (txn, 3, E));
    ck_ok (meta_next_block (txn, &drawn, E));
    struct wire_change changes[] = {change (1, CHANGE_ADDED, drawn, 1, 1),
                                    change (2, CHANGE_ADDED, drawn + 1, 1, 1),
                                    change (3, CHANGE_ADDED, block_id (2, 1), 1, 1),
                                    change (4, CHANGE_ADDED, block_id (4, 1), 1, 1)};
    struct held_report report = apply (txn, changes, 4);
    ck_assert_uint_eq (report.ordered, 1);
    ck_assert_uint_eq (report.unknown, 3);
    check_digests (txn, 1);
    ck_ok (orders_after (txn, 1, 0, orders, 4, &count, E));
    ck_assert_uint_eq (count, 1);
    ck_assert_uint_eq (orders[0].block, drawn);
    txn_abort (&txn);
}
END_TEST

START_TEST (blocks_with_other_content_than_committed_are_ordered_away)
{
    struct txn *txn = begin ();
    add_node (txn, 1);
    struct wire_change changes[] = {
        change (1, CHANGE_ADDED, own_block (txn, 0, BLOCK_FINISHED, 9), 99, 5),
        change (2, CHANGE_ADDED, own_block (txn, 1, BLOCK_FINISHED, 9), 100, 6),
        change (3, CHANGE_ADDED, own_block (txn, 2, BLOCK_FINISHED, 9), 100, 5)};
    struct held_report report = apply (txn, changes, 3);
    ck_assert_uint_eq (report.ordered, 2);
    ck_assert_uint_eq (block_at (txn, 0).nodes_count, 1);
    ck_assert_uint_eq (block_at (txn, 2).nodes_count, 2);
    txn_abort (&txn);
}
END_TEST

START_TEST (the_digest_is_that_of_the_rows_after_any_reports)
{
    struct wire_change changes[50];
    struct rng rng;
    uint64_t seq = 0;
    struct txn *txn = begin ();

    rng_seed (&rng, 3);
    add_node (txn, 1);
    add_node (txn, 2);
    commit (&txn);
    for (int batch = 0; batch < 60; batch++) {
        txn = begin ();
        for (size_t i = 0; i < 50; i++)
            changes[i] =
                change (++seq, rng_below (&rng, 3) == 0 ? CHANGE_REMOVED : CHANGE_ADDED,
                        block_id (9, rng_below (&rng, 300) + 1), rng_below (&rng, 99), 0);
        apply (txn, changes, 50);
        ck_ok (held_claim (txn, 1, block_id (9, rng_below (&rng, 300) + 1), 5, E));
        commit (&txn);
        txn = begin_read ();
        check_digests (txn, 1);
        check_digests (txn, 2);
        txn_abort (&txn);
    }
}
END_TEST

/* ---- delete orders of blocks that somebody owns -------------------------------------------------- */

static struct held_row
held_of (struct txn *txn, uint64_t block)
{
    struct held_row row;

    ck_ok (held_row_get (txn, 1, block, &row, E));
    return row;
}

START_TEST (a_node_that_is_told_to_delete_is_no_holder_whatever_it_reports)
{
    struct txn *txn = begin ();
    add_node (txn, 1);
    uint64_t block = own_block (txn, 0, BLOCK_FINISHED, 9);
    struct wire_change changes[] = {change (1, CHANGE_ADDED, block, 100, 5),
                                    change (2, CHANGE_ADDED, block, 100, 5)};
    apply (txn, changes, 1);
    ck_assert_uint_eq (block_at (txn, 0).nodes_count, 2);
    struct block_row row = block_at (txn, 0);
    row.nodes_count = 1; // as repair does
    ck_ok (block_row_put (txn, &row, E));
    ck_ok (held_order (txn, 1, block, E));
    apply (txn, changes, 2);
    ck_ok (held_adopt (txn, 1, block, E));
    ck_assert_uint_eq (block_at (txn, 0).nodes_count, 1);
    check_digests (txn, 1);

    // It is confirmed, and the node reports what it has done.
    ck_ok (held_order_done (txn, 1, block, E));
    ck_assert_int_eq (held_of (txn, block).order, HELD_DELETED);
    ck_ok (held_adopt (txn, 1, block, E));
    ck_assert_uint_eq (block_at (txn, 0).nodes_count, 1);
    struct wire_change removed = change (3, CHANGE_REMOVED, block, 100, 5);
    apply (txn, &removed, 1);
    struct held_row held;
    ck_fails (LITEDFS_NOT_FOUND, held_row_get (txn, 1, block, &held, E));
    check_digests (txn, 1);
    txn_abort (&txn);
}
END_TEST

START_TEST (while_an_order_is_out_the_row_stays_though_the_block_is_gone)
{
    struct held_row held;
    struct txn *txn = begin ();
    add_node (txn, 1);
    uint64_t block = own_block (txn, 0, BLOCK_FINISHED, 9);
    struct wire_change changes[] = {change (1, CHANGE_ADDED, block, 100, 5),
                                    change (2, CHANGE_REMOVED, block, 100, 5)};
    apply (txn, changes, 1);
    ck_ok (held_order (txn, 1, block, E));
    apply (txn, changes, 2);
    ck_assert_int_eq (held_of (txn, block).order, HELD_ORDERED);
    ck_assert_int_eq (held_of (txn, block).state, HELD_CLAIMED);
    check_digests (txn, 1);
    ck_ok (held_unclaim (txn, 1, block, E));
    ck_assert_int_eq (held_of (txn, block).order, HELD_ORDERED);
    ck_ok (held_order_done (txn, 1, block, E));
    ck_fails (LITEDFS_NOT_FOUND, held_row_get (txn, 1, block, &held, E));
    ck_ok (held_order_done (txn, 1, block, E));
    txn_abort (&txn);
}
END_TEST

START_TEST (a_block_that_comes_anew_while_an_order_is_out_counts_when_that_is_done)
{
    struct txn *txn = begin ();
    add_node (txn, 1);
    uint64_t block = own_block (txn, 0, BLOCK_FINISHED, 9);
    ck_ok (held_order (txn, 1, block, E));
    struct wire_change added = change (1, CHANGE_ADDED, block, 100, 5);
    apply (txn, &added, 1);
    ck_assert_uint_eq (block_at (txn, 0).nodes_count, 1);
    ck_assert_int_eq (held_of (txn, block).order, HELD_RETAKEN);
    ck_ok (held_order_done (txn, 1, block, E));
    ck_assert_int_eq (held_of (txn, block).order, HELD_KEPT);
    ck_assert_uint_eq (block_at (txn, 0).nodes_count, 2);
    check_digests (txn, 1);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_holder_with_other_content_than_committed_is_none_any_more)
{
    struct order_row orders[4];
    size_t count;
    struct txn *txn = begin ();
    add_node (txn, 1);
    uint64_t block = own_block (txn, 0, BLOCK_FINISHED, 1);
    ck_ok (held_claim (txn, 1, block, 100, E));
    struct wire_change changes[] = {change (1, CHANGE_ADDED, block, 100, 6),
                                    change (2, CHANGE_ADDED, block, 100, 6)};
    struct held_report report = apply (txn, changes, 1);
    ck_assert_uint_eq (report.lost, 1);
    ck_assert_uint_eq (block_at (txn, 0).nodes_count, 0);
    apply (txn, changes, 2); // the order is out already
    ck_ok (orders_after (txn, 1, 0, orders, 4, &count, E));
    ck_assert_uint_eq (count, 1);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_node_takes_its_block_back_only_if_it_has_it_as_committed)
{
    struct txn *txn = begin ();
    add_node (txn, 1);
    uint64_t block = own_block (txn, 0, BLOCK_FINISHED, 9);
    ck_ok (held_adopt (txn, 1, block, E)); // it has nothing
    ck_ok (held_claim (txn, 1, block, 100, E));
    ck_ok (held_adopt (txn, 1, block, E)); // it has not confirmed it
    ck_assert_uint_eq (block_at (txn, 0).nodes_count, 1);
    struct held_row held = {
        .node = 1, .block = block, .state = HELD_CONFIRMED, .seq = 1, .size = 100};
    ck_ok (held_row_put (txn, &held, E));
    ck_ok (held_adopt (txn, 1, block, E));
    ck_ok (held_adopt (txn, 1, block, E));
    ck_assert_uint_eq (block_at (txn, 0).nodes_count, 2);
    held.block = 4711; // nobody's
    ck_ok (held_row_put (txn, &held, E));
    ck_ok (held_adopt (txn, 1, held.block, E));
    txn_abort (&txn);
}
END_TEST

START_TEST (a_visible_file_is_marked_when_holders_go_or_are_too_many)
{
    struct inode_row file;
    struct repair_row mark;
    struct txn *txn = begin ();

    add_node (txn, 1);
    add_node (txn, 2);
    uint64_t inode = add_file (txn, "/f", 100), block;
    struct block_row row;
    ck_ok (block_row_get (txn, inode, 0, &row, E));
    block = row.block;
    struct wire_change changes[] = {change (1, CHANGE_ADDED, block, 100, row.crc),
                                    change (2, CHANGE_REMOVED, block, 100, row.crc)};
    struct held_report report;
    ck_ok (held_apply (txn, 1, changes, 1, &report, E));
    ck_fails (LITEDFS_NOT_FOUND, repair_row_get (txn, inode, 0, &mark, E));
    ck_ok (held_apply (txn, 2, changes, 1, &report, E));
    ck_ok (repair_row_get (txn, inode, 0, &mark, E)); // two, and one is wanted
    ck_assert_uint_eq (mark.end, 1);
    ck_ok (repair_row_del (txn, inode, 0, E));
    ck_ok (inode_row_get (txn, inode, &file, E));
    file.replica = 2;
    ck_ok (inode_row_put (txn, &file, E));
    ck_ok (held_apply (txn, 2, changes, 2, &report, E));
    ck_ok (repair_row_get (txn, inode, 0, &mark, E)); // one, and two are wanted
    txn_abort (&txn);
}
END_TEST

START_TEST (a_damaged_copy_is_none_and_is_remembered_until_it_is_replaced_or_gone)
{
    struct damaged_row row;
    struct held_row held;
    uint32_t nodes[ROW_NODES_MAX];
    size_t count;
    struct txn *txn = begin ();

    add_node (txn, 1);
    uint64_t block = own_block (txn, 0, BLOCK_FINISHED, 1);
    struct wire_change changes[] = {
        change (1, CHANGE_ADDED, block, 100, 5), change (2, CHANGE_DAMAGED, block, 100, 0),
        change (3, CHANGE_ADDED, block, 100, 5), change (4, CHANGE_DAMAGED, block, 100, 0),
        change (5, CHANGE_REMOVED, block, 0, 0)};
    apply (txn, changes, 1);
    for (size_t round = 0; round < 2; round++) {
        struct held_report report = apply (txn, changes, 2 + 2 * round);
        ck_assert (report.damaged == 1 && report.lost == 1 && report.block == block);
        ck_assert_uint_eq (block_at (txn, 0).nodes_count, 0);
        ck_fails (LITEDFS_NOT_FOUND, held_row_get (txn, 1, block, &held, E));
        ck_ok (damaged_row_get (txn, block, 1, &row, E));
        ck_assert_uint_eq (row.size, 100);
        ck_ok (held_damaged (txn, block, nodes, ROW_NODES_MAX, &count, E));
        ck_assert (count == 1 && nodes[0] == 1);
        check_digests (txn, 1);
        apply (txn, changes, 3 + 2 * round);
        ck_ok (held_damaged (txn, block, nodes, ROW_NODES_MAX, &count, E));
        ck_assert_uint_eq (count, 0);
        ck_assert_uint_eq (block_at (txn, 0).nodes_count, round == 0);
        check_digests (txn, 1);
    }
    txn_abort (&txn);
}
END_TEST

START_TEST (a_damaged_copy_of_what_nobody_owns_is_ordered_away_if_it_is_dead)
{
    struct txn *txn = begin ();
    uint64_t block;

    add_node (txn, 1);
    ck_ok (meta_next_block (txn, &block, E));
    struct wire_change changes[] = {change (1, CHANGE_DAMAGED, block, 100, 0),
                                    change (2, CHANGE_DAMAGED, block + 1000, 100, 0)};
    struct held_report report = apply (txn, changes, 2);
    ck_assert (report.ordered == 1 && report.unknown == 0 && report.damaged == 2);
    txn_abort (&txn);
}
END_TEST

START_TEST (damage_of_a_block_that_is_to_be_deleted_changes_nothing_of_the_order)
{
    struct held_row held;
    struct txn *txn = begin ();

    add_node (txn, 1);
    uint64_t block = own_block (txn, 0, BLOCK_FINISHED, 2);
    struct wire_change changes[] = {change (1, CHANGE_ADDED, block, 100, 5),
                                    change (2, CHANGE_DAMAGED, block, 100, 0),
                                    change (3, CHANGE_REMOVED, block, 0, 0)};
    apply (txn, changes, 1);
    ck_ok (held_order (txn, 1, block, E));
    apply (txn, changes, 2);
    ck_ok (held_row_get (txn, 1, block, &held, E));
    ck_assert (held.order == HELD_ORDERED && held.state == HELD_CLAIMED);
    apply (txn, changes, 3);
    ck_ok (held_order_done (txn, 1, block, E));
    ck_fails (LITEDFS_NOT_FOUND, held_row_get (txn, 1, block, &held, E));
    check_digests (txn, 1);
    // A node that has nothing of it any more reports nothing when it deletes it.
    struct damaged_row old = {.block = block, .node = 1};
    ck_ok (damaged_row_put (txn, &old, E));
    ck_ok (held_order (txn, 1, block, E));
    ck_ok (held_order_done (txn, 1, block, E));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_DAMAGED), 0);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_held", store_setup, store_teardown,
                   a_claim_is_confirmed_by_the_report_and_stays_so,
                   a_report_that_comes_again_changes_nothing,
                   numbers_that_are_missing_are_counted_and_ones_that_fall_refused,
                   nobody_can_use_a_nodes_numbers_up, holders_of_a_block_follow_the_reports,
                   the_last_copy_that_goes_is_said_to_be_lost,
                   a_block_that_is_not_committed_yet_keeps_its_nodes,
                   blocks_that_nobody_owns_are_ordered_away_if_they_are_sure_to_be_dead,
                   blocks_with_other_content_than_committed_are_ordered_away,
                   the_digest_is_that_of_the_rows_after_any_reports,
                   a_node_that_is_told_to_delete_is_no_holder_whatever_it_reports,
                   while_an_order_is_out_the_row_stays_though_the_block_is_gone,
                   a_block_that_comes_anew_while_an_order_is_out_counts_when_that_is_done,
                   a_holder_with_other_content_than_committed_is_none_any_more,
                   a_node_takes_its_block_back_only_if_it_has_it_as_committed,
                   a_visible_file_is_marked_when_holders_go_or_are_too_many,
                   a_damaged_copy_is_none_and_is_remembered_until_it_is_replaced_or_gone,
                   a_damaged_copy_of_what_nobody_owns_is_ordered_away_if_it_is_dead,
                   damage_of_a_block_that_is_to_be_deleted_changes_nothing_of_the_order)
