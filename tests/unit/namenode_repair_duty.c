/* SPDX-License-Identifier: MIT */
/*
 * namenode/repair of what nodes have that drain or are in maintenance: copied off and only then dropped, or
 * left alone.
 */
#include "namenode_cluster.h"

static const uint32_t one[] = {1}, two[] = {1, 2}, all_but_one[] = {1, 2, 3, 4, 5};

static bool
holds (uint64_t inode, uint32_t node)
{
    struct block_row row = block_of (inode, 0);

    return block_row_has_node (&row, node);
}

/* Mark the file as a survey does. */
static void
mark (uint64_t inode)
{
    struct txn *txn = begin ();

    ck_ok (mark_blocks_found (txn, inode, 0, 1, E));
    commit (&txn);
}

static void
drain (uint32_t node, uint64_t inode)
{
    want (node, DUTY_DRAIN, 0);
    mark (inode);
}

/* ---- drain --------------------------------------------------------------------------------------- */

START_TEST (a_holder_that_drains_is_copied_off_and_dropped_only_when_the_copy_is_confirmed)
{
    uint64_t inode = settled_file ("/f", 2, two, 2);
    uint64_t block = block_of (inode, 0).block;

    keep_house ();
    drain (1, inode);
    keep_house ();
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 1);
    ck_assert (holds (inode, 1));
    for (uint32_t node = 1; node <= NODES; node++) {
        fetch (node);
        carry_out (node);
    }
    ck_assert_uint_eq (cluster.flights_count, 1);
    uint32_t target = cluster.flights[0].target;
    ck_assert_uint_gt (target, 2);
    land (0, true);
    keep_house ();
    ck_assert (holds (inode, 1)); // it has not been reported
    report (target, THINGS_MAX);
    keep_house ();
    ck_assert (!holds (inode, 1));
    ck_assert (holds (inode, 2) && holds (inode, target));
    ck_assert (has (1, block));
    live_on (2 * DELAY_MS);
    ck_assert (!has (1, block));
    ck_assert_uint_eq (copies_of (block), 2);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
}
END_TEST

START_TEST (the_only_holder_is_the_source)
{
    struct order_row orders[16];
    uint64_t inode = settled_file ("/f", 1, one, 1);

    keep_house ();
    drain (1, inode);
    keep_house ();
    ck_assert_uint_eq (orders_of (1, orders), 1);
    ck_assert_int_eq (orders[0].kind, ORDER_COPY);
    live_on (2000);
    ck_assert_uint_eq (holders_of (inode), 1);
    ck_assert (!holds (inode, 1));
}
END_TEST

START_TEST (where_nobody_can_take_it_the_node_stays_a_holder_and_nothing_is_written)
{
    uint64_t inode = settled_file ("/f", 5, all_but_one, 5);

    leave (6);
    keep_house ();
    drain (1, inode);
    live_on (2000);
    uint64_t before = metastore_transaction (fixture.store);
    live_on (10 * 60000);
    ck_assert_uint_eq (metastore_transaction (fixture.store), before);
    ck_assert_uint_eq (holders_of (inode), 5);
    come (6);
    live_on (2000);
    ck_assert_uint_eq (holders_of (inode), 5);
    ck_assert (!holds (inode, 1) && holds (inode, 6));
}
END_TEST

START_TEST (a_holder_that_drains_and_is_away_is_no_source_and_costs_nothing)
{
    uint64_t inode = settled_file ("/f", 1, one, 1);

    keep_house ();
    drain (1, inode);
    leave (1);
    keep_house (); // which does not go on for ever
    uint64_t before = metastore_transaction (fixture.store);
    for (int i = 0; i < 30; i++) {
        pass (1000);
        keep_house ();
    }
    ck_assert_uint_eq (metastore_transaction (fixture.store), before);
    ck_assert (holds (inode, 1));
    come (1);
    live_on (2000);
    ck_assert_uint_eq (holders_of (inode), 1);
    ck_assert (!holds (inode, 1));
}
END_TEST

START_TEST (a_dead_one_that_drains_is_no_holder_any_more_when_there_are_enough_others)
{
    uint64_t inode = settled_file ("/f", 2, two, 2);

    keep_house ();
    leave (1);
    live_on (GONE_MS + 5000);
    ck_assert_uint_eq (holders_of (inode), 3);
    drain (1, inode);
    live_on (2000);
    ck_assert_uint_eq (holders_of (inode), 2);
    ck_assert (!holds (inode, 1));
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
}
END_TEST

START_TEST (a_node_that_serves_again_while_copies_are_under_way_leaves_no_surplus)
{
    uint64_t inode = settled_file ("/f", 2, two, 2);

    keep_house ();
    drain (1, inode);
    keep_house ();
    for (uint32_t node = 1; node <= NODES; node++) {
        fetch (node);
        carry_out (node);
    }
    ck_assert_uint_eq (cluster.flights_count, 1);
    want (1, DUTY_SERVE, 0);
    live_on (3 * DELAY_MS);
    ck_assert_uint_eq (holders_of (inode), 2);
    ck_assert_uint_eq (copies_of (block_of (inode, 0).block), 2);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
}
END_TEST

START_TEST (what_was_dropped_and_is_still_there_is_a_source_if_the_others_go)
{
    uint64_t inode = settled_file ("/f", 1, one, 1);

    keep_house ();
    drain (1, inode);
    live_on (1000);
    ck_assert (!holds (inode, 1));
    uint32_t heir = block_of (inode, 0).nodes[0];
    leave (heir);
    live_on (2 * DELAY_MS);
    bool saved = false;
    for (uint32_t node = 2; node <= NODES; node++)
        saved = saved || (node != heir && holds (inode, node));
    ck_assert (saved);
}
END_TEST

/* ---- maintenance --------------------------------------------------------------------------------- */

START_TEST (in_maintenance_nothing_of_a_node_is_copied_and_after_it_all_is)
{
    uint64_t inode = settled_file ("/f", 2, two, 2);
    uint64_t block = block_of (inode, 0).block;

    keep_house ();
    want (1, DUTY_SERVE, (uint64_t) fixture.frame.wall_ms + 600000);
    leave (1);
    live_on (5 * GONE_MS);
    ck_assert_uint_eq (copies_of (block), 2);
    ck_assert (holds (inode, 1));
    pass (300000);
    nodes_excuse (cluster.nodes, fixture.frame.wall_ms);
    look_at_nodes ();
    live_on (2000);
    ck_assert_uint_eq (copies_of (block), 3);
}
END_TEST

START_TEST (a_node_in_maintenance_gets_no_copies_and_gives_them)
{
    uint64_t inode = settled_file ("/f", 1, one, 1);

    want (1, DUTY_SERVE, UINT64_MAX);
    for (uint32_t node = 2; node < NODES; node++)
        want (node, DUTY_SERVE, UINT64_MAX);
    set_replica ("/f", 3);
    live_on (2000);
    ck_assert_uint_eq (holders_of (inode), 2);
    ck_assert (holds (inode, 1) && holds (inode, NODES));
}
END_TEST

START_TEST (a_node_that_drains_and_is_away_for_maintenance_costs_nothing)
{
    uint64_t inode = settled_file ("/f", 1, one, 1);

    keep_house ();
    want (1, DUTY_DRAIN, UINT64_MAX);
    mark (inode);
    leave (1);
    live_on (2000);
    uint64_t before = metastore_transaction (fixture.store);
    live_on (10 * 60000);
    ck_assert_uint_eq (metastore_transaction (fixture.store), before);
    come (1);
    live_on (2000);
    ck_assert (!holds (inode, 1));
    ck_assert_uint_eq (holders_of (inode), 1);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "namenode_repair_duty", cluster_setup, cluster_teardown,
    a_holder_that_drains_is_copied_off_and_dropped_only_when_the_copy_is_confirmed,
    the_only_holder_is_the_source,
    where_nobody_can_take_it_the_node_stays_a_holder_and_nothing_is_written,
    a_holder_that_drains_and_is_away_is_no_source_and_costs_nothing,
    a_dead_one_that_drains_is_no_holder_any_more_when_there_are_enough_others,
    a_node_that_serves_again_while_copies_are_under_way_leaves_no_surplus,
    what_was_dropped_and_is_still_there_is_a_source_if_the_others_go,
    in_maintenance_nothing_of_a_node_is_copied_and_after_it_all_is,
    a_node_in_maintenance_gets_no_copies_and_gives_them,
    a_node_that_drains_and_is_away_for_maintenance_costs_nothing)
