/* SPDX-License-Identifier: MIT */
/*
 * namenode/balance with repair and data nodes: blocks go from full nodes to empty ones, and every block has
 * its copies all the while.
 */
#include "namenode/balance.h"

#include "namenode_cluster.h"

#include <stdio.h>

enum { FILES = 24, BLOCKS = 8, ROOM = 100, THRESHOLD = 10 };

static uint64_t inodes[FILES];
static uint32_t wanted[FILES];
static size_t files;

/* Files of 8 blocks each on these nodes. */
static void
fill (size_t count, const uint32_t *nodes, uint32_t replica)
{
    char path[32];

    for (size_t i = 0; i < count; i++) {
        snprintf (path, sizeof path, "/%zu", files);
        wanted[files] = replica;
        inodes[files++] = write_file (path, replica, BLOCKS, nodes, replica, replica);
    }
    for (uint32_t node = 1; node <= NODES; node++)
        report (node, THINGS_MAX);
    heartbeats ();
}

/* Six nodes with room for so many blocks each. */
static void
setup (void)
{
    files = 0;
    cluster_prepare ();
    cluster.balance_threshold = THRESHOLD;
    for (uint32_t node = 1; node <= NODES; node++) {
        cluster.total_bytes[node] = ROOM * BLOCK;
        come (node);
    }
}

/* Every block has as many holders as are wanted, or one more for a moment, on nodes that have it; none gets
 * a copy that has one. */
static void
check_all (void)
{
    struct txn *txn = begin_read ();
    struct block_row row;

    for (size_t i = 0; i < files; i++)
        for (uint32_t index = 0; index < BLOCKS; index++) {
            ck_ok (block_row_get (txn, inodes[i], index, &row, E));
            ck_assert_uint_ge (row.nodes_count, wanted[i]);
            ck_assert_uint_le (row.nodes_count, wanted[i] + 1);
            for (size_t n = 0; n < row.nodes_count; n++)
                ck_assert (has (row.nodes[n], row.block));
        }
    for (size_t i = 0; i < cluster.flights_count; i++)
        ck_assert (!has (cluster.flights[i].target, cluster.flights[i].block.block));
    txn_abort (&txn);
}

static void
carry_out_all (void)
{
    for (uint32_t node = 1; node <= NODES; node++) {
        fetch (node);
        while (carry_out (node))
            ;
    }
}

static void
land_all (void)
{
    while (cluster.flights_count > 0)
        land (0, true);
    for (uint32_t node = 1; node <= NODES; node++) {
        report (node, THINGS_MAX);
        confirm_orders (node);
    }
    check_all ();
}

/* Time passes; each thing that may happen between others does. */
static void
balance_for (int seconds)
{
    for (int i = 0; i < seconds; i++) {
        keep_house ();
        carry_out_all ();
        land_all ();
        keep_house ();
        check_all ();
        pass (1000);
        heartbeats ();
    }
}

static size_t
blocks_on (uint32_t node)
{
    return cluster.disks[node].blocks_count;
}

/* How many changes all nodes have made. */
static uint64_t
changes (void)
{
    uint64_t sum = 0;

    for (uint32_t node = 1; node <= NODES; node++)
        sum += cluster.disks[node].seq;
    return sum;
}

/* By how many points the use of nodes differs that are not `but`. */
static size_t
spread (uint32_t but)
{
    size_t most = 0, least = ROOM;

    for (uint32_t node = 1; node <= NODES; node++) {
        if (node == but)
            continue;
        most = blocks_on (node) > most ? blocks_on (node) : most;
        least = blocks_on (node) < least ? blocks_on (node) : least;
    }
    return most - least;
}

/* Nothing has happened for long, nothing is on its way, no mark is left. */
static void
check_quiet (void)
{
    uint64_t before = changes ();

    balance_for (100);
    ck_assert_uint_eq (changes (), before);
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 0);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
    ck_assert_uint_eq (repair_balance (cluster.repair)->ledger.count, 0);
}

static const uint32_t first_pair[] = {1, 2}, second_pair[] = {3, 4}, third_pair[] = {4, 5},
                      six[] = {6};

START_TEST (a_new_node_gets_its_share_and_then_nothing_moves_any_more)
{
    fill (6, first_pair, 2);
    fill (6, second_pair, 2);
    fill (5, third_pair, 2);
    balance_for (260);
    ck_assert_uint_le (spread (0), THRESHOLD / 2 + 1);
    ck_assert_uint_gt (blocks_on (6), 20);
    check_quiet ();
    ck_assert_uint_le (spread (0), THRESHOLD / 2 + 1);
}
END_TEST

START_TEST (no_more_moves_than_is_needed)
{
    fill (10, six, 1); // 80 blocks on one node
    uint64_t before = changes ();
    balance_for (260);
    ck_assert_uint_le (spread (0), THRESHOLD / 2 + 1);
    ck_assert_uint_le (changes () - before, 2 * 68); // 66.7 that leave, and come
    check_quiet ();
}
END_TEST

START_TEST (after_a_start_nothing_moves_before_what_was_garbage_is_gone)
{
    fill (10, six, 1);
    uint64_t before = changes ();
    balance_for (60);
    ck_assert_uint_eq (changes (), before);
    balance_for (20);
    ck_assert_uint_gt (changes (), before);
}
END_TEST

START_TEST (a_restart_of_the_name_node_amid_it_changes_nothing)
{
    fill (10, six, 1);
    uint64_t before = changes ();
    balance_for (63);
    ck_assert_uint_gt (changes (), before);
    new_repair ();
    balance_for (260);
    ck_assert_uint_le (changes () - before, 2 * 68);
    ck_assert_uint_le (spread (0), THRESHOLD / 2 + 1);
    check_quiet ();
}
END_TEST

START_TEST (uses_that_differ_by_less_than_the_threshold_stay)
{
    fill (6, first_pair, 2);
    fill (6, second_pair, 2);
    fill (5, (const uint32_t[]){5, 6}, 2);
    uint64_t before = changes ();
    balance_for (260);
    ck_assert_uint_eq (changes (), before);
    cluster.balance_threshold = 5;
    balance_for (150);
    ck_assert_uint_gt (changes (), before);
}
END_TEST

static void
switch_balance (bool on)
{
    struct txn *txn = begin ();

    ck_ok (balance_switch (txn, on, E));
    commit (&txn);
}

START_TEST (switched_off_nothing_begins_and_switched_on_it_goes_on)
{
    bool on;

    fill (10, six, 1);
    switch_balance (false);
    struct txn *txn = begin_read ();
    ck_ok (balance_is_on (txn, &on, E));
    ck_assert (!on);
    txn_abort (&txn);
    uint64_t before = changes ();
    balance_for (260);
    ck_assert_uint_eq (changes (), before);
    switch_balance (true);
    balance_for (1);
    ck_assert_uint_gt (changes (), before);
    switch_balance (false);
    balance_for (100); // what was ordered comes to its end
    before = changes ();
    ck_assert_uint_gt (spread (0), THRESHOLD);
    balance_for (100);
    ck_assert_uint_eq (changes (), before);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE) + rows_of (TABLE_ORDER), 0);
}
END_TEST

/* Until blocks were found that may go, and are not ordered. */
static void
find_some (void)
{
    const struct repair_frame frame = repair_frame_now ();

    keep_house ();
    for (int i = 0; i < 200 && repair_balance (cluster.repair)->found_count == 0; i++) {
        pass (1000);
        repair_wanted (cluster.repair, fixture.store, &frame);
    }
    ck_assert_uint_gt (repair_balance (cluster.repair)->found_count, 0);
}

START_TEST (what_was_found_is_not_ordered_when_it_is_switched_off_meanwhile)
{
    fill (10, six, 1);
    find_some ();
    switch_balance (false);
    keep_house ();
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0);
    ck_assert_uint_eq (repair_balance (cluster.repair)->found_count, 0);
}
END_TEST

START_TEST (a_transaction_that_comes_to_nothing_is_no_move)
{
    fill (10, six, 1);
    find_some ();
    ck_assert (repair_once (false));
    ck_assert_uint_eq (repair_balance (cluster.repair)->ledger.count, 0);
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0);
    balance_for (260);
    ck_assert_uint_le (spread (0), THRESHOLD / 2 + 1);
}
END_TEST

/* In how many zones the block is: nodes 1 and 2, 3 and 4, 5 and 6. */
static size_t
zones_of (const struct block_row *row)
{
    bool seen[NODES] = {false};
    size_t count = 0;

    for (size_t i = 0; i < row->nodes_count; i++) {
        size_t zone = (row->nodes[i] - 1) / 2;
        count += !seen[zone];
        seen[zone] = true;
    }
    return count;
}

START_TEST (zones_stay_apart)
{
    static const char *const names[] = {"", "a", "a", "b", "b", "c", "c"};

    for (uint32_t node = 1; node <= NODES; node++) {
        leave (node);
        cluster.zones[node] = names[node];
        come (node);
    }
    fill (10, (const uint32_t[]){1, 3}, 2); // nodes 2, 4, 5 and 6 are empty
    for (int i = 0; i < 260; i++) {
        balance_for (1);
        for (size_t f = 0; f < files; f++) {
            struct block_row row = block_of (inodes[f], (uint32_t) i % BLOCKS);
            ck_assert_uint_ge (zones_of (&row), 2);
        }
    }
    ck_assert_uint_le (spread (0), THRESHOLD / 2 + 1);
    check_quiet ();
}
END_TEST

START_TEST (what_all_nodes_have_stays_and_is_said_to_be_stuck)
{
    fill (5, (const uint32_t[]){1, 2, 3, 4, 5, 6}, 6);
    leave (1);
    cluster.total_bytes[1] = 42 * BLOCK;
    come (1);
    uint64_t before = changes ();
    balance_for (100);
    ck_assert_uint_eq (changes (), before);
    ck_assert (balance_is_stuck (repair_balance (cluster.repair), 1));
    ck_assert (!balance_is_stuck (repair_balance (cluster.repair), 2));
}
END_TEST

START_TEST (a_node_that_drains_or_is_in_maintenance_gets_nothing)
{
    const struct node_duty drain = {.duty = DUTY_DRAIN};
    const struct node_duty away = {.excused = (uint64_t) fixture.frame.wall_ms + 3600000};

    fill (10, six, 1);
    nodes_set_duty (cluster.nodes, 1, &drain, fixture.frame.wall_ms);
    nodes_set_duty (cluster.nodes, 2, &away, fixture.frame.wall_ms);
    leave (3);
    balance_for (260);
    ck_assert_uint_eq (blocks_on (1) + blocks_on (2) + blocks_on (3), 0);
    ck_assert_uint_gt (blocks_on (4), 20);
    ck_assert_uint_gt (blocks_on (5), 20);
}
END_TEST

START_TEST (repair_comes_first)
{
    fill (10, six, 1);
    switch_balance (false);
    balance_for (70);
    set_replica ("/0", 2);
    switch_balance (true);
    for (int i = 0; i < 60; i++) { // the copies do not arrive
        keep_house ();
        pass (500);
        heartbeats ();
        ck_assert_uint_eq (repair_balance (cluster.repair)->ledger.count, 0);
    }
    ck_assert_uint_eq (rows_of (TABLE_ORDER), BLOCKS);
    wanted[0] = 2;
    while (holders_of (inodes[0]) < 2)
        live_on (1000);
    balance_for (10);
    ck_assert_uint_gt (repair_balance (cluster.repair)->ledger.count, 0);
}
END_TEST

START_TEST (copies_that_no_node_can_take_do_not_keep_others_from_moving)
{
    static const uint32_t all[] = {1, 2, 3, 4, 5, 6};

    settled_file ("/much", 8, all, 6);
    fill (10, six, 1);
    balance_for (260);
    ck_assert_uint_gt (rows_of (TABLE_REPAIR), 0);
    ck_assert_uint_le (spread (0), THRESHOLD / 2 + 1);
}
END_TEST

START_TEST (a_block_that_is_more_than_is_to_move_stays)
{
    write_file ("/f", 1, 1, six, 1, 1);
    report (6, THINGS_MAX);
    for (uint32_t node = 1; node <= NODES; node++)
        cluster.total_bytes[node] = 115;
    heartbeats ();
    uint64_t before = changes ();
    balance_for (100); // 87 % and 0 %, and 72 bytes are too much
    ck_assert_uint_eq (changes (), before);
    ck_assert (repair_balance (cluster.repair)->going);
    ck_assert (balance_is_stuck (repair_balance (cluster.repair), 6));
}
END_TEST

START_TEST (a_copy_that_is_lost_is_no_move_and_others_are_made)
{
    fill (10, six, 1);
    balance_for (61);
    for (int i = 0; i < 10; i++) {
        keep_house ();
        carry_out_all ();
        while (cluster.flights_count > 0)
            land (0, false);
        for (uint32_t node = 1; node <= NODES; node++)
            confirm_orders (node);
        pass (1000);
        heartbeats ();
    }
    balance_for (260);
    ck_assert_uint_le (spread (0), THRESHOLD / 2 + 1);
    check_quiet ();
}
END_TEST

START_TEST (a_file_that_is_deleted_meanwhile_goes)
{
    fill (10, six, 1);
    balance_for (63);
    for (size_t i = 0; i < files; i++) {
        char path[32];
        snprintf (path, sizeof path, "/%zu", i);
        struct txn *txn = begin ();
        ck_ok (namespace_delete (txn, KIND_FILE, S (path), E));
        commit (&txn);
    }
    files = 0;
    balance_for (150);
    for (uint32_t node = 1; node <= NODES; node++)
        ck_assert_uint_eq (blocks_on (node), 0);
    check_quiet ();
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_balance", setup, cluster_teardown,
                   a_new_node_gets_its_share_and_then_nothing_moves_any_more,
                   no_more_moves_than_is_needed,
                   after_a_start_nothing_moves_before_what_was_garbage_is_gone,
                   a_restart_of_the_name_node_amid_it_changes_nothing,
                   uses_that_differ_by_less_than_the_threshold_stay,
                   switched_off_nothing_begins_and_switched_on_it_goes_on,
                   what_was_found_is_not_ordered_when_it_is_switched_off_meanwhile,
                   a_transaction_that_comes_to_nothing_is_no_move, zones_stay_apart,
                   what_all_nodes_have_stays_and_is_said_to_be_stuck,
                   a_node_that_drains_or_is_in_maintenance_gets_nothing, repair_comes_first,
                   copies_that_no_node_can_take_do_not_keep_others_from_moving,
                   a_block_that_is_more_than_is_to_move_stays,
                   a_copy_that_is_lost_is_no_move_and_others_are_made,
                   a_file_that_is_deleted_meanwhile_goes)
