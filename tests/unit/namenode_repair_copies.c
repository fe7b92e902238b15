/* SPDX-License-Identifier: MIT */
/*
 * namenode/repair, the copies under way: one that is lost, has failed or is late is ordered again, none is
 * ordered twice, and no node gets too many.
 */
#include "namenode/copies.h"

#include "namenode_cluster.h"

#include <stdio.h>

static const uint32_t one[] = {1};

/* The only copy of a new file is to become two: it was begun, and will not arrive. */
static struct order_row
lost_copy (void)
{
    struct order_row orders[16];

    settled_file ("/f", 1, one, 1);
    set_replica ("/f", 2);
    keep_house ();
    ck_assert_uint_eq (orders_of (1, orders), 1);
    fetch (1);
    ck_assert (carry_out (1));
    confirm_orders (1);
    land (0, false);
    return orders[0];
}

/* The node says that its copy has failed. */
static void
say_failed (uint32_t source, const struct order_row *order)
{
    agenda_add_failure (fixture.frame.agenda, (struct agenda_failure){.block = order->block,
                                                                      .source = source,
                                                                      .target = order->target});
}

/* Its source is ordered to make another one, which arrives. */
static void
check_ordered_again (const struct order_row *before)
{
    struct order_row orders[16];

    ck_assert_uint_eq (orders_of (1, orders), 1);
    ck_assert_uint_gt (orders[0].number, before->number);
    live_on (2000);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
}

START_TEST (a_copy_that_does_not_arrive_is_ordered_again_with_another_node)
{
    struct order_row first = lost_copy (), second[16];

    pass (59000);
    keep_house ();
    ck_assert_uint_eq (orders_of (1, second), 0);
    for (int i = 0; i < 10 && orders_of (1, second) == 0; i++) {
        pass (1000);
        keep_house ();
    }
    check_ordered_again (&first);
}
END_TEST

START_TEST (a_copy_to_a_node_that_was_away_meanwhile_is_ordered_again_at_once)
{
    struct order_row first = lost_copy ();

    leave (first.target);
    come (first.target);
    pass (1000);
    keep_house ();
    check_ordered_again (&first);
}
END_TEST

START_TEST (a_copy_that_has_failed_is_ordered_again_after_a_moment)
{
    struct order_row first = lost_copy (), second[16];

    say_failed (1, &first);
    pass (1000);
    keep_house ();
    ck_assert_uint_eq (orders_of (1, second), 0);
    pass (2000);
    keep_house ();
    check_ordered_again (&first);
}
END_TEST

START_TEST (after_a_failure_another_source_is_tried)
{
    static const uint32_t two[] = {1, 2};
    struct order_row orders[16];

    settled_file ("/f", 2, two, 2);
    set_replica ("/f", 3);
    keep_house ();
    uint32_t source = orders_of (1, orders) == 1 ? 1 : 2;
    ck_assert_uint_eq (orders_of (source, orders), 1);
    fetch (source);
    ck_assert (carry_out (source));
    confirm_orders (source);
    land (0, false);
    say_failed (source, &orders[0]);
    keep_house ();
    pass (3000);
    keep_house ();
    ck_assert_uint_eq (orders_of (source, orders), 0);
    ck_assert_uint_eq (orders_of (3 - source, orders), 1);
    live_on (2000);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
}
END_TEST

START_TEST (failures_of_what_was_not_ordered_change_nothing)
{
    struct order_row first = lost_copy (), second[16];
    struct order_row other = first;

    say_failed (2, &first);
    other.target = first.target + 1;
    say_failed (1, &other);
    other = first;
    other.block++;
    say_failed (1, &other);
    pass (5000);
    keep_house ();
    ck_assert_uint_eq (orders_of (1, second), 0);
}
END_TEST

START_TEST (an_order_to_copy_is_taken_back_when_its_source_goes_before_it_begins)
{
    static const uint32_t two[] = {1, 2};
    struct order_row orders[16];
    uint64_t inode = settled_file ("/f", 2, two, 2);

    set_replica ("/f", 3);
    keep_house ();
    uint32_t source = orders_of (1, orders) == 1 ? 1 : 2;
    leave (source);
    pass (1000);
    keep_house ();
    ck_assert_uint_eq (orders_of (source, orders), 0);
    ck_assert_uint_eq (orders_of (3 - source, orders), 1);
    come (source);
    live_on (5000);
    ck_assert_uint_eq (holders_of (inode), 3);
    ck_assert_uint_eq (copies_of (block_of (inode, 0).block), 3);
}
END_TEST

START_TEST (after_a_restart_orders_that_are_out_are_not_given_twice)
{
    settled_file ("/f", 1, one, 1);
    set_replica ("/f", 3);
    keep_house ();
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 2);
    new_repair ();
    keep_house ();
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 2);
    live_on (2000);
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
}
END_TEST

START_TEST (a_transaction_that_comes_to_nothing_is_done_again)
{
    struct order_row orders[16];

    settled_file ("/f", 1, one, 1);
    set_replica ("/f", 2);
    ck_assert (repair_once (false));
    ck_assert_uint_eq (orders_of (1, orders), 0);
    keep_house ();
    ck_assert_uint_eq (orders_of (1, orders), 1);
}
END_TEST

START_TEST (a_step_may_be_run_again_in_another_transaction)
{
    struct order_row orders[16];
    const struct repair_frame frame = repair_frame_now ();

    settled_file ("/f", 1, one, 1);
    set_replica ("/f", 2);
    ck_assert (repair_wanted (cluster.repair, fixture.store, &frame));
    struct txn *txn = begin ();
    ck_ok (repair_step (cluster.repair, &frame, txn, E));
    rollback (&txn);
    txn = begin ();
    ck_ok (repair_step (cluster.repair, &frame, txn, E));
    commit (&txn);
    repair_settle (cluster.repair, true);
    keep_house ();
    ck_assert_uint_eq (orders_of (1, orders), 1);
}
END_TEST

START_TEST (a_node_sends_so_many_copies_at_a_time_and_the_others_follow)
{
    char path[32];
    struct order_row orders[16];

    for (int i = 0; i < 40; i++) {
        snprintf (path, sizeof path, "/f%d", i);
        write_file (path, 2, 8, one, 1, 1);
    }
    report (1, THINGS_MAX);
    pass (1000);
    keep_house ();
    ck_assert_uint_eq (rows_of (TABLE_ORDER), COPIES_NODE_MAX);
    ck_assert_uint_eq (orders_of (1, orders), 16);
    live_on (30000);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
    ck_assert_uint_eq (rows_of (TABLE_HELD), 2 * 40 * 8);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_repair_copies", cluster_setup, cluster_teardown,
                   a_copy_that_does_not_arrive_is_ordered_again_with_another_node,
                   a_copy_to_a_node_that_was_away_meanwhile_is_ordered_again_at_once,
                   a_copy_that_has_failed_is_ordered_again_after_a_moment,
                   after_a_failure_another_source_is_tried,
                   failures_of_what_was_not_ordered_change_nothing,
                   an_order_to_copy_is_taken_back_when_its_source_goes_before_it_begins,
                   after_a_restart_orders_that_are_out_are_not_given_twice,
                   a_transaction_that_comes_to_nothing_is_done_again,
                   a_step_may_be_run_again_in_another_transaction,
                   a_node_sends_so_many_copies_at_a_time_and_the_others_follow)
