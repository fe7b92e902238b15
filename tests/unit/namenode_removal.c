/* SPDX-License-Identifier: MIT */
/*
 * namenode/removal: of a node that was removed nothing is left but its row, and its blocks are mended.
 */
#include "namenode/removal.h"

#include "namenode/check.h"

#include "namenode_cluster.h"

static const uint32_t one[] = {1}, two[] = {1, 2};

static void
print_line (void *arg, const char *line)
{
    (void) arg;
    printf ("%s\n", line);
}

static bool
is_wanted (uint32_t node)
{
    bool wanted;
    struct txn *txn = begin_read ();

    ck_ok (removal_wanted (txn, node, &wanted, E));
    txn_abort (&txn);
    return wanted;
}

static size_t
slice_once (uint32_t node, size_t max)
{
    size_t count;
    struct txn *txn = begin ();

    ck_ok (removal_slice (txn, node, max, &count, E));
    commit (&txn);
    return count;
}

/* Rows of the node in its tables but its own. */
static size_t
rows_left (uint32_t node)
{
    static const enum metastore_table tables[] = {TABLE_HELD, TABLE_DIGEST, TABLE_ORDER,
                                                  TABLE_GARBAGE};
    struct txn *txn = begin_read ();
    struct slice key, value, none = {0};
    uint8_t prefix[4];
    size_t count = 0;

    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct cursor cursor = {0};
        int rc = cursor_open (&cursor, txn, tables[i], key_be32 (prefix, node), none, E);
        while (rc == 0 && (rc = cursor_next (&cursor, &key, &value, E)) == 0)
            count++;
        ck_assert_int_eq (rc, LITEDFS_NOT_FOUND);
        cursor_close (&cursor);
    }
    txn_abort (&txn);
    return count;
}

/* The tables agree with each other, also in the middle of it. */
static void
is_consistent (void)
{
    struct check_report found = {.say = print_line, .say_max = 9};
    static const struct uuid id = {{1}};
    struct txn *txn = begin ();

    ck_ok (meta_put_cluster (txn, &id, E)); // the fixture leaves these out
    ck_ok (meta_put (txn, META_NODE, NODES, E));
    commit (&txn);
    ck_ok (check_store (fixture.store, &found, E));
    ck_assert_uint_eq (found.findings, 0);
}

START_TEST (it_is_no_holder_any_more_and_its_blocks_are_mended)
{
    struct node_row row;
    uint64_t alone = settled_file ("/f", 1, one, 1);
    uint64_t shared = settled_file ("/g", 2, two, 2);

    keep_house ();
    size_t of_two = rows_left (2);
    want (1, DUTY_REMOVED, 0);
    ck_assert (is_wanted (1));
    ck_assert_uint_gt (slice_once (1, 1000), 0);
    ck_assert (!is_wanted (1));
    ck_assert_uint_eq (rows_left (1), 0);
    ck_assert_uint_eq (rows_left (2), of_two);
    ck_assert_uint_eq (holders_of (alone), 0);
    ck_assert_uint_eq (holders_of (shared), 1);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 2);
    live_on (2000);
    ck_assert_uint_eq (holders_of (shared), 2);
    struct txn *txn = begin_read ();
    ck_ok (node_row_get (txn, 1, &row, E));
    ck_assert_int_eq (row.duty.duty, DUTY_REMOVED);
    txn_abort (&txn);
}
END_TEST

START_TEST (it_goes_in_slices)
{
    uint64_t inode = write_file ("/f", 2, 8, two, 2, 2);
    size_t taken = 0, count;

    report (1, THINGS_MAX);
    report (2, THINGS_MAX);
    want (1, DUTY_REMOVED, 0);
    size_t rows = rows_left (1);
    ck_assert_uint_ge (rows, 16); // held and digests
    while ((count = slice_once (1, 3)) > 0) {
        ck_assert_uint_le (count, 3);
        taken += count;
        ck_assert_uint_eq (rows_left (1), rows - taken);
        is_consistent ();
    }
    ck_assert_uint_eq (rows_left (1), 0);
    for (uint32_t i = 0; i < 8; i++)
        ck_assert_uint_eq (block_of (inode, i).nodes_count, 1);
}
END_TEST

START_TEST (orders_garbage_and_what_comes_later_go_too)
{
    settled_file ("/f", 2, two, 2);
    settled_file ("/g", 1, one, 1);
    set_replica ("/f", 1);
    set_replica ("/g", 3);
    keep_house ();
    ck_assert_uint_gt (rows_of (TABLE_ORDER) + rows_of (TABLE_GARBAGE), 0);
    want (1, DUTY_REMOVED, 0);
    while (slice_once (1, 1000) > 0)
        ;
    ck_assert_uint_eq (rows_left (1), 0);
    struct txn *txn = begin ();
    struct garbage_row late = {.node = 1, .due = 1, .block = 99};
    ck_ok (garbage_row_put (txn, &late, E));
    ck_ok (held_claim (txn, 1, 98, BLOCK, E)); // of a block of nobody
    commit (&txn);
    ck_assert (is_wanted (1));
    ck_assert_uint_eq (slice_once (1, 1000), 2);
    ck_assert (!is_wanted (1));
}
END_TEST

START_TEST (damaged_copies_that_it_kept_are_forgotten_and_those_of_others_are_not)
{
    struct txn *txn = begin ();
    for (uint64_t block = 1; block <= 5; block++)
        for (uint32_t node = 1; node <= 2; node++) {
            struct damaged_row row = {.block = block, .node = node, .size = BLOCK};
            ck_ok (damaged_row_put (txn, &row, E));
        }
    commit (&txn);
    want (1, DUTY_REMOVED, 0);
    ck_assert (is_wanted (1));
    ck_assert_uint_eq (slice_once (1, 3), 3);
    ck_assert (is_wanted (1));
    ck_assert_uint_eq (slice_once (1, 3), 2);
    ck_assert (!is_wanted (1));
    ck_assert_uint_eq (rows_of (TABLE_DAMAGED), 5);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_removal", cluster_setup, cluster_teardown,
                   it_is_no_holder_any_more_and_its_blocks_are_mended, it_goes_in_slices,
                   orders_garbage_and_what_comes_later_go_too,
                   damaged_copies_that_it_kept_are_forgotten_and_those_of_others_are_not)
