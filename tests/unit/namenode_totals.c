/* SPDX-License-Identifier: MIT */
/*
 * namenode/totals: changes that wait for the commit.
 */
#include "namenode/totals.h"

#include "namenode_store.h"

static void
put_directory (struct txn *txn, uint64_t number)
{
    struct inode_row row = {.number = number, .kind = KIND_DIRECTORY, .parent = 1, .files = 10};

    inode_row_set_name (&row, S ("d"));
    ck_ok (inode_row_put (txn, &row, E));
}

START_TEST (changes_are_summed_and_written_once_a_directory)
{
    struct totals_delta delta = {.files = 1, .bytes = 100, .child_files = 1, .mtime = 5};
    struct inode_row row;
    struct txn *txn = begin ();

    put_directory (txn, 2);
    uint64_t before = txn_written (txn);
    for (int i = 0; i < 1000; i++)
        ck_ok (totals_add (txn, 2, &delta, E));
    ck_assert_uint_eq (txn_written (txn), before);
    ck_ok (inode_row_get (txn, 2, &row, E));
    ck_assert_uint_eq (row.files, 10);
    totals_pending (txn, &row);
    ck_assert_uint_eq (row.files, 1010);
    ck_assert_uint_eq (row.bytes, 100000);
    commit (&txn);
    txn = begin_read ();
    ck_ok (inode_row_get (txn, 2, &row, E));
    totals_pending (txn, &row);
    ck_assert_uint_eq (row.files, 1010);
    ck_assert_uint_eq (row.child_files, 1000);
    ck_assert_uint_eq (row.mtime, 5);
    txn_abort (&txn);
}
END_TEST

START_TEST (thousands_of_directories_wait_at_a_time)
{
    struct inode_row row;
    struct txn *txn = begin ();

    for (uint64_t i = 2; i < 3000; i++)
        put_directory (txn, i);
    for (int round = 0; round < 2; round++)
        for (uint64_t i = 2; i < 3000; i++) {
            struct totals_delta delta = {.directories = (int64_t) i};
            ck_ok (totals_add (txn, i, &delta, E));
        }
    commit (&txn);
    txn = begin_read ();
    for (uint64_t i = 2; i < 3000; i++) {
        ck_ok (inode_row_get (txn, i, &row, E));
        ck_assert_uint_eq (row.directories, 2 * i);
    }
    txn_abort (&txn);
}
END_TEST

START_TEST (a_directory_that_is_gone_by_then_is_passed_over)
{
    struct totals_delta delta = {.files = 1};
    struct txn *txn = begin ();

    put_directory (txn, 2);
    ck_ok (totals_add (txn, 2, &delta, E));
    ck_ok (inode_row_del (txn, 2, E));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_INODE), 1);
}
END_TEST

START_TEST (counts_do_not_fall_below_zero)
{
    struct totals_delta delta = {.files = -11, .bytes = INT64_MIN};
    struct inode_row row;
    struct txn *txn = begin ();

    put_directory (txn, 2);
    ck_ok (totals_add (txn, 2, &delta, E));
    commit (&txn);
    txn = begin_read ();
    ck_ok (inode_row_get (txn, 2, &row, E));
    ck_assert_uint_eq (row.files, 0);
    ck_assert_uint_eq (row.bytes, 0);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_damaged_row_fails_the_commit_and_nothing_is_written)
{
    struct totals_delta delta = {.files = 1};
    uint8_t key[8];
    struct txn *txn = begin ();

    put_directory (txn, 2);
    ck_ok (txn_put (txn, TABLE_INODE, key_be64 (key, 3), S ("x"), E));
    ck_ok (totals_add (txn, 3, &delta, E));
    ck_fails (LITEDFS_CORRUPT, txn_commit (&txn, E));
    ck_assert_ptr_null (txn);
    ck_assert_uint_eq (rows_of (TABLE_INODE), 1);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_totals", store_setup, store_teardown,
                   changes_are_summed_and_written_once_a_directory,
                   thousands_of_directories_wait_at_a_time,
                   a_directory_that_is_gone_by_then_is_passed_over,
                   counts_do_not_fall_below_zero,
                   a_damaged_row_fails_the_commit_and_nothing_is_written)
