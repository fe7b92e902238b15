/* SPDX-License-Identifier: MIT */
/*
 * namenode/repair: copies are ordered where they are missing, surplus goes after its time and is taken
 * back before, nodes that are away for a while count, and what cannot be helped costs nothing.
 */
#include "namenode_cluster.h"

#include <stdio.h>

static const uint32_t one[] = {1}, three[] = {1, 2, 3};

static bool
holds (uint64_t inode, uint32_t node)
{
    struct block_row row = block_of (inode, 0);

    return block_row_has_node (&row, node);
}

/* ---- up and down --------------------------------------------------------------------------------- */

START_TEST (a_file_with_all_its_holders_is_not_marked)
{
    write_file ("/f", 3, 5, three, 3, 3);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
    write_file ("/g", 3, 5, three, 3, 2);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 1);
}
END_TEST

START_TEST (copies_that_are_missing_are_ordered_from_who_has_confirmed)
{
    struct order_row orders[16];
    uint64_t inode = write_file ("/f", 3, 1, one, 1, 1);

    keep_house ();
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0); // it is only claimed
    report (1, 1);
    pass (1000);
    keep_house ();
    ck_assert_uint_eq (orders_of (1, orders), 2);
    ck_assert_int_eq (orders[0].kind, ORDER_COPY);
    ck_assert_int_eq (orders[1].kind, ORDER_COPY);
    ck_assert_uint_ne (orders[0].target, orders[1].target);
    ck_assert_uint_ne (orders[0].target, 1);
    ck_assert_uint_ne (orders[1].target, 1);
    keep_house ();
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 2); // they are under way
    work_all ();
    ck_assert_uint_eq (holders_of (inode), 3);
    keep_house ();
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0);
}
END_TEST

START_TEST (an_update_up_copies_every_block)
{
    uint64_t inode = write_file ("/f", 1, 8, one, 1, 1);

    report (1, THINGS_MAX);
    set_replica ("/f", 2);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 1);
    live_on (2000);
    for (uint32_t i = 0; i < 8; i++) {
        ck_assert_uint_eq (block_of (inode, i).nodes_count, 2);
        ck_assert_uint_eq (copies_of (block_of (inode, i).block), 2);
    }
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
}
END_TEST

START_TEST (an_update_down_takes_holders_off_at_once_and_their_copies_after_the_delay)
{
    uint64_t inode = settled_file ("/f", 3, three, 3);
    uint64_t block = block_of (inode, 0).block;

    set_replica ("/f", 1);
    keep_house ();
    ck_assert_uint_eq (holders_of (inode), 1);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 2);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
    live_on (DELAY_MS - 2000);
    ck_assert_uint_eq (copies_of (block), 3);
    live_on (4000);
    ck_assert_uint_eq (copies_of (block), 1);
    ck_assert (has (block_of (inode, 0).nodes[0], block));
    ck_assert_uint_eq (rows_of (TABLE_HELD), 1);
}
END_TEST

START_TEST (down_and_up_takes_back_the_copies_that_are_still_there)
{
    uint64_t inode = settled_file ("/f", 3, three, 3);

    set_replica ("/f", 1);
    keep_house ();
    pass (30000);
    set_replica ("/f", 3);
    keep_house ();
    ck_assert_uint_eq (holders_of (inode), 3);
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0);
    live_on (3 * DELAY_MS);
    ck_assert_uint_eq (holders_of (inode), 3);
    ck_assert_uint_eq (copies_of (block_of (inode, 0).block), 3);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 0);
}
END_TEST

START_TEST (a_node_that_is_told_to_delete_gets_no_copy_before_it_has_done_so)
{
    struct order_row orders[16];
    uint64_t inode = settled_file ("/f", 3, three, 3);

    for (uint32_t node = 4; node <= NODES; node++)
        leave (node);
    set_replica ("/f", 1);
    keep_house ();
    pass (DELAY_MS);
    keep_house ();
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 2);
    set_replica ("/f", 3);
    keep_house ();
    uint32_t kept = block_of (inode, 0).nodes[0];
    ck_assert_uint_eq (orders_of (kept, orders), 0);
    live_on (5000);
    ck_assert_uint_eq (holders_of (inode), 3);
    ck_assert_uint_eq (copies_of (block_of (inode, 0).block), 3);
}
END_TEST

START_TEST (a_copy_that_comes_when_it_is_not_wanted_any_more_goes_again)
{
    uint64_t inode = settled_file ("/f", 1, one, 1);

    set_replica ("/f", 2);
    keep_house ();
    fetch (1);
    ck_assert (carry_out (1));
    set_replica ("/f", 1);
    keep_house ();
    ck_assert_uint_eq (cluster.flights_count, 1);
    land (0, true);
    live_on (2 * DELAY_MS);
    ck_assert_uint_eq (holders_of (inode), 1);
    ck_assert_uint_eq (copies_of (block_of (inode, 0).block), 1);
}
END_TEST

/* ---- nodes that are away ------------------------------------------------------------------------- */

START_TEST (a_holder_that_is_away_for_a_short_while_is_not_replaced)
{
    uint64_t inode = settled_file ("/f", 3, three, 3);
    uint64_t alone = settled_file ("/g", 1, three, 1);

    keep_house ();
    leave (1);
    live_on (50000);
    ck_assert_uint_eq (holders_of (inode), 3);
    ck_assert_uint_eq (copies_of (block_of (inode, 0).block), 3);
    come (1);
    live_on (120000);
    ck_assert_uint_eq (copies_of (block_of (inode, 0).block), 3);
    ck_assert (holds (inode, 1));
    ck_assert_uint_eq (holders_of (alone), 1);
}
END_TEST

START_TEST (the_last_of_several_copies_gets_another_one_at_once)
{
    uint64_t two = settled_file ("/f", 2, three, 2);
    uint64_t of_three = settled_file ("/g", 3, three, 3);

    keep_house ();
    leave (2);
    live_on (1000);
    ck_assert_uint_eq (copies_of (block_of (two, 0).block), 3);
    ck_assert_uint_eq (copies_of (block_of (of_three, 0).block), 3); // it has two
    leave (3);
    live_on (1000);
    ck_assert_uint_eq (copies_of (block_of (of_three, 0).block), 4);
    come (2);
    come (3);
    live_on (2 * DELAY_MS);
    ck_assert_uint_eq (copies_of (block_of (two, 0).block), 2);
    ck_assert_uint_eq (copies_of (block_of (of_three, 0).block), 3);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
}
END_TEST

START_TEST (a_holder_that_is_gone_is_replaced_and_too_many_when_it_comes_back)
{
    uint64_t inode = settled_file ("/f", 2, three, 2);

    keep_house ();
    leave (2);
    live_on (65000);
    ck_assert_uint_eq (copies_of (block_of (inode, 0).block), 3);
    ck_assert_uint_eq (holders_of (inode), 3);
    ck_assert (holds (inode, 2)); // its copy is not forgotten
    come (2);
    live_on (2000);
    ck_assert_uint_eq (holders_of (inode), 2);
    live_on (2 * DELAY_MS);
    ck_assert_uint_eq (copies_of (block_of (inode, 0).block), 2);
}
END_TEST

START_TEST (never_are_fewer_than_wanted_left_among_those_that_are_online_and_have_confirmed)
{
    uint64_t inode = write_file ("/f", 1, 1, three, 3, 3);

    report (1, THINGS_MAX);
    keep_house ();
    ck_assert_uint_eq (holders_of (inode), 3); // two are claims
    leave (1);
    report (2, THINGS_MAX);
    pass (1000);
    keep_house ();
    ck_assert_uint_eq (holders_of (inode), 3); // one is away, one is a claim
    report (3, THINGS_MAX);
    pass (1000);
    keep_house ();
    ck_assert_uint_eq (holders_of (inode), 2); // 1 is away, and 2 or 3 is enough
    ck_assert (holds (inode, 1));
    come (1);
    live_on (1000);
    ck_assert_uint_eq (holders_of (inode), 1);
}
END_TEST

START_TEST (surplus_becomes_a_holder_again_when_the_others_are_away_in_the_moment_of_the_order)
{
    uint64_t inode = settled_file ("/f", 2, three, 2);

    set_replica ("/f", 1);
    keep_house ();
    uint32_t kept = block_of (inode, 0).nodes[0];
    uint32_t left = kept == 1 ? 2 : 1;
    pass (DELAY_MS - 1000);
    leave (kept);
    pass (1000);
    keep_house ();
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0);
    ck_assert (holds (inode, left));
    come (kept);
    live_on (3 * DELAY_MS);
    ck_assert_uint_eq (holders_of (inode), 1);
    ck_assert_uint_eq (copies_of (block_of (inode, 0).block), 1);
}
END_TEST

START_TEST (garbage_of_a_node_that_is_away_waits_for_it)
{
    uint64_t inode = settled_file ("/f", 2, three, 2);
    struct order_row orders[16];

    set_replica ("/f", 1);
    keep_house ();
    uint32_t left = block_of (inode, 0).nodes[0] == 1 ? 2 : 1;
    leave (left);
    uint64_t before = metastore_transaction (fixture.store);
    live_on (5 * DELAY_MS);
    ck_assert_uint_eq (metastore_transaction (fixture.store), before);
    ck_assert_uint_eq (orders_of (left, orders), 0);
    come (left);
    live_on (2000);
    ck_assert_uint_eq (copies_of (block_of (inode, 0).block), 1);
}
END_TEST

/* ---- what cannot be helped ------------------------------------------------------------------------- */

START_TEST (what_no_node_can_take_waits_for_one_and_writes_nothing)
{
    uint64_t inode = settled_file ("/f", 3, one, 1);

    for (uint32_t node = 2; node <= NODES; node++)
        leave (node);
    live_on (2000);
    uint64_t before = metastore_transaction (fixture.store);
    live_on (10 * 60000);
    ck_assert_uint_eq (metastore_transaction (fixture.store), before);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 1);
    come (4);
    live_on (1000);
    ck_assert_uint_eq (holders_of (inode), 2);
    come (5);
    live_on (1000);
    ck_assert_uint_eq (holders_of (inode), 3);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
}
END_TEST

START_TEST (a_lost_block_does_not_keep_the_rest_of_its_file_marked)
{
    uint64_t inode = write_file ("/f", 1, 8, one, 1, 1);

    report (1, THINGS_MAX);
    lose_block (1, block_of (inode, 3).block);
    report (1, THINGS_MAX);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 1);
    set_replica ("/f", 2);
    live_on (70000);
    for (uint32_t i = 0; i < 8; i++)
        ck_assert_uint_eq (block_of (inode, i).nodes_count, i == 3 ? 0 : 2);
    uint64_t before = metastore_transaction (fixture.store);
    live_on (10 * 60000);
    ck_assert_uint_eq (metastore_transaction (fixture.store), before);
}
END_TEST

START_TEST (nothing_is_ordered_while_nodes_may_come_back)
{
    settled_file ("/f", 1, one, 1);
    set_replica ("/f", 2);
    struct node old = {.number = 99, .uuid.bytes = {99}};
    ck_ok (nodes_load (cluster.nodes, &old, E));
    nodes_settle (cluster.nodes, true);
    look_at_nodes ();
    ck_assert (cluster.view->settling);
    ck_assert (!repair_once (true));
    pass (10000);
    ck_assert (!repair_once (true));
    ck_assert_int_eq (repair_next_ms (cluster.repair), INT64_MAX);
    nodes_settle (cluster.nodes, false);
    look_at_nodes ();
    keep_house ();
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 1);
}
END_TEST

START_TEST (marks_of_files_that_are_gone_go)
{
    settled_file ("/f", 3, one, 1);
    struct txn *txn = begin ();
    ck_ok (namespace_delete (txn, KIND_FILE, S ("/f"), E));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
    txn = begin ();
    ck_ok (mark_blocks (txn, 4711, 0, REPAIR_END, E));
    commit (&txn);
    keep_house ();
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
}
END_TEST

START_TEST (the_rest_of_a_mark_is_found_again_behind_another_one)
{
    enum { FILLERS = 25 };
    struct repair_row mark;
    uint64_t fillers[FILLERS];
    char path[32];

    for (int i = 0; i < FILLERS; i++) {
        snprintf (path, sizeof path, "/f%d", i);
        fillers[i] = write_file (path, 1, 8, one, 1, 1);
    }
    uint64_t inode = write_file ("/t", 1, 8, one, 1, 1);
    report (1, THINGS_MAX);
    keep_house ();
    struct txn *txn = begin ();
    for (int i = 0; i < FILLERS; i++)
        ck_ok (mark_blocks (txn, fillers[i], 0, 8, E));
    ck_ok (mark_blocks (txn, inode, 3, 4, E));
    commit (&txn);
    set_replica ("/t", 6);
    ck_assert (repair_once (true)); // too much for one step: it stops in the middle of /t
    txn = begin_read ();
    ck_ok (mark_find (txn, inode, 7, &mark, E));
    ck_assert_uint_gt (mark.first, 3);
    ck_assert_uint_lt (mark.first, 7);
    txn_abort (&txn);
}
END_TEST

/* ---- claims and the walk --------------------------------------------------------------------------- */

START_TEST (a_claim_that_is_not_confirmed_in_a_minute_is_no_holder_any_more)
{
    uint64_t inode = write_file ("/f", 2, 1, three, 2, 2);

    report (1, THINGS_MAX);
    lose_block (2, block_of (inode, 0).block); // and nobody is told
    cluster.disks[2].changes_count = 0;
    cluster.disks[2].seq = 0;
    live_on (55000);
    ck_assert (holds (inode, 2));
    live_on (20000);
    ck_assert_uint_eq (holders_of (inode), 2);
    ck_assert_uint_eq (copies_of (block_of (inode, 0).block), 2);
}
END_TEST

START_TEST (a_claim_of_a_node_that_was_away_has_its_minute_after_it_came_back)
{
    uint64_t inode = write_file ("/f", 2, 1, three, 2, 2);

    report (1, THINGS_MAX);
    leave (2);
    for (int i = 0; i < 40; i++) {
        pass (1000);
        keep_house ();
    }
    come (2);
    for (int i = 0; i < 50; i++) {
        pass (1000);
        keep_house ();
    }
    ck_assert (holds (inode, 2));
    report (2, THINGS_MAX);
    live_on (120000);
    ck_assert_uint_eq (holders_of (inode), 2);
    ck_assert (holds (inode, 2));
}
END_TEST

START_TEST (the_walk_finds_what_nobody_has_marked)
{
    uint64_t inode = settled_file ("/f", 2, three, 2);

    keep_house ();
    struct block_row row = block_of (inode, 0);
    row.nodes_count = 1;
    struct txn *txn = begin ();
    ck_ok (block_row_put (txn, &row, E));
    commit (&txn);
    live_on (15000);
    ck_assert_uint_eq (holders_of (inode), 2);
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0); // it was there all the time
}
END_TEST

/* ---- zones ------------------------------------------------------------------------------------------- */

static void
zone_setup (void)
{
    static const char *const zones[] = {NULL, "a", "a", "b", "b", "c", "c"};

    cluster_prepare ();
    memcpy (cluster.zones, zones, sizeof zones);
    for (uint32_t node = 1; node <= NODES; node++)
        come (node);
}

START_TEST (copies_go_to_zones_that_have_none_and_surplus_leaves_those_that_have_two)
{
    cluster_teardown ();
    zone_setup ();
    for (int i = 0; i < 10; i++) {
        static const uint32_t pair[] = {1, 3};
        char path[16];
        snprintf (path, sizeof path, "/f%d", i);
        uint64_t inode = settled_file (path, 2, pair, 2);
        set_replica (path, 3);
        live_on (1000);
        ck_assert_uint_eq (holders_of (inode), 3);
        ck_assert (holds (inode, 5) || holds (inode, 6));
        static const uint32_t crowd[] = {1, 2, 4};
        snprintf (path, sizeof path, "/g%d", i);
        inode = settled_file (path, 3, crowd, 3);
        set_replica (path, 2);
        live_on (1000);
        ck_assert_uint_eq (holders_of (inode), 2);
        ck_assert (holds (inode, 4));
    }
}
END_TEST

START_TEST (surplus_leaves_the_node_with_the_least_room)
{
    cluster.free_bytes[2] = 1 << 20;
    come (2);
    uint64_t inode = settled_file ("/f", 3, three, 3);
    set_replica ("/f", 2);
    keep_house ();
    ck_assert (!holds (inode, 2));
}
END_TEST

UNIT_MAIN_FIXTURE (
    "namenode_repair", cluster_setup, cluster_teardown,
    a_file_with_all_its_holders_is_not_marked,
    copies_that_are_missing_are_ordered_from_who_has_confirmed, an_update_up_copies_every_block,
    an_update_down_takes_holders_off_at_once_and_their_copies_after_the_delay,
    down_and_up_takes_back_the_copies_that_are_still_there,
    a_node_that_is_told_to_delete_gets_no_copy_before_it_has_done_so,
    a_copy_that_comes_when_it_is_not_wanted_any_more_goes_again,
    a_holder_that_is_away_for_a_short_while_is_not_replaced,
    the_last_of_several_copies_gets_another_one_at_once,
    a_holder_that_is_gone_is_replaced_and_too_many_when_it_comes_back,
    never_are_fewer_than_wanted_left_among_those_that_are_online_and_have_confirmed,
    surplus_becomes_a_holder_again_when_the_others_are_away_in_the_moment_of_the_order,
    garbage_of_a_node_that_is_away_waits_for_it,
    what_no_node_can_take_waits_for_one_and_writes_nothing,
    a_lost_block_does_not_keep_the_rest_of_its_file_marked,
    the_rest_of_a_mark_is_found_again_behind_another_one,
    nothing_is_ordered_while_nodes_may_come_back, marks_of_files_that_are_gone_go,
    a_claim_that_is_not_confirmed_in_a_minute_is_no_holder_any_more,
    a_claim_of_a_node_that_was_away_has_its_minute_after_it_came_back,
    the_walk_finds_what_nobody_has_marked,
    copies_go_to_zones_that_have_none_and_surplus_leaves_those_that_have_two,
    surplus_leaves_the_node_with_the_least_room)
