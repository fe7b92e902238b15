/* SPDX-License-Identifier: MIT */
/*
 * namenode/restored: a store that was put back from a copy draws ids of a new epoch and orders no delete
 * until that was accepted.
 */
#include "namenode/restored.h"

#include "namenode/blocks.h"
#include "namenode/check.h"
#include "namenode/garbage.h"
#include "namenode/held.h"

#include "namenode_store.h"

static uint64_t file;
static struct block_row block; // of the file, held by node 1 and, too much, by node 2

static void
report_added (struct txn *txn, uint32_t node, uint64_t id, uint64_t seq,
              struct held_report *report)
{
    const struct wire_change change = {
        .seq = seq, .kind = CHANGE_ADDED, .block = id, .size = 100};

    ck_ok (held_apply (txn, node, &change, 1, report, E));
}

static void
setup (void)
{
    static const struct uuid cluster = {{1}};
    struct held_report report;

    store_setup ();
    struct txn *txn = begin ();
    add_node (txn, 1);
    add_node (txn, 2);
    ck_ok (meta_put (txn, META_NODE, 2, E));
    ck_ok (meta_put_cluster (txn, &cluster, E));
    file = add_file (txn, "/file", 100);
    ck_ok (block_row_get (txn, file, 0, &block, E));
    report_added (txn, 1, block.block, 1, &report);
    report_added (txn, 2, block.block, 1, &report);
    ck_ok (block_row_get (txn, file, 0, &block, E));
    block.nodes_count = 1;
    ck_ok (block_row_put (txn, &block, E));
    ck_ok (orders_add (txn, 2, ORDER_DELETE, block.block, 0, NULL, E));
    ck_ok (held_order (txn, 2, block.block, E));
    ck_ok (orders_add (txn, 1, ORDER_COPY, block.block, 2, NULL, E));
    commit (&txn);
}

static uint64_t
enter (struct txn *txn, uint64_t seen)
{
    uint64_t epoch = 0;

    ck_ok (restored_enter (txn, seen, &epoch, E));
    return epoch;
}

static void
is_consistent (void)
{
    struct check_report report = {0};

    ck_ok (check_store (fixture.store, &report, E));
    ck_assert_uint_eq (report.findings, 0);
}

START_TEST (ids_are_of_an_epoch_above_all_that_are_known)
{
    uint64_t id, since;
    struct txn *txn = begin ();

    ck_ok (restored_since (txn, &since, E));
    ck_assert_uint_eq (since, 0);
    ck_assert_uint_eq (enter (txn, 0), 1);
    ck_ok (meta_next_block (txn, &id, E));
    ck_assert_uint_eq (id, block_id (1, 1));
    ck_assert_uint_eq (enter (txn, 7), 8);
    ck_assert_uint_eq (enter (txn, 3), 9);
    ck_ok (restored_since (txn, &since, E));
    ck_assert_uint_eq (since, (uint64_t) fixture.frame.wall_ms);
    commit (&txn);
    is_consistent ();
}
END_TEST

START_TEST (orders_are_taken_back_and_what_was_to_be_deleted_is_garbage)
{
    struct held_row held;
    struct txn *txn = begin ();

    enter (txn, 0);
    ck_ok (held_row_get (txn, 2, block.block, &held, E));
    ck_assert_int_eq (held.order, HELD_KEPT);
    ck_assert_int_eq (held.state, HELD_CONFIRMED);
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 1);
    is_consistent ();
}
END_TEST

/* How many delete orders all garbage makes. */
static size_t
order_deletes (void)
{
    struct nodes_view *view = calloc (1, sizeof *view + 2 * sizeof *view->nodes);
    uint64_t before = rows_of (TABLE_ORDER);
    size_t done;
    struct txn *txn = begin ();

    ck_assert_ptr_nonnull (view);
    for (uint32_t number = 1; number <= 2; number++) {
        view->nodes[view->count].number = number;
        view->nodes[view->count++].online = true;
    }
    ck_ok (garbage_due (txn, view, 0, UINT64_MAX, 100, &done, NULL, 0, NULL, E));
    commit (&txn);
    free (view);
    return (size_t) (rows_of (TABLE_ORDER) - before);
}

START_TEST (garbage_waits_until_it_was_accepted)
{
    struct txn *txn = begin ();

    enter (txn, 0);
    commit (&txn);
    ck_assert_uint_eq (order_deletes (), 0);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 1);
    txn = begin ();
    ck_ok (restored_accept (txn, E));
    commit (&txn);
    ck_assert_uint_eq (order_deletes (), 1);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 0);
    is_consistent ();
}
END_TEST

START_TEST (reported_blocks_that_nobody_knows_are_not_deleted)
{
    struct held_report report;
    uint64_t late = block_id (0, 500), dead;
    struct txn *txn = begin ();

    enter (txn, 0);
    ck_ok (meta_next_block (txn, &dead, E));
    report_added (txn, 1, late, 2, &report);
    ck_assert_uint_eq (report.unknown, 1);
    ck_assert_uint_eq (report.ordered, 0);
    report_added (txn, 1, dead, 3, &report); // of an upload that was given up: later
    ck_assert_uint_eq (report.ordered, 0);
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0);
    ck_assert_uint_eq (order_deletes (), 0);
    txn = begin ();
    ck_ok (restored_accept (txn, E));
    commit (&txn);
    ck_assert_uint_eq (order_deletes (), 2); // the dead one, and the one too much
}
END_TEST

START_TEST (a_copy_of_other_content_is_no_holder_and_stays)
{
    struct held_report report;
    struct block_row row;
    const struct wire_change change = {
        .seq = 2, .kind = CHANGE_ADDED, .block = block.block, .size = 100, .crc32 = 77};
    struct txn *txn = begin ();

    enter (txn, 0);
    ck_ok (held_apply (txn, 1, &change, 1, &report, E));
    ck_assert_uint_eq (report.ordered, 0);
    ck_assert_uint_eq (report.unknown, 1);
    ck_ok (block_row_get (txn, file, 0, &row, E));
    ck_assert_uint_eq (row.nodes_count, 0);
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_restored", setup, store_teardown,
                   ids_are_of_an_epoch_above_all_that_are_known,
                   orders_are_taken_back_and_what_was_to_be_deleted_is_garbage,
                   garbage_waits_until_it_was_accepted,
                   reported_blocks_that_nobody_knows_are_not_deleted,
                   a_copy_of_other_content_is_no_holder_and_stays)
