/* SPDX-License-Identifier: MIT */
/*
 * namenode/mark: what is marked is found by each of its blocks, and marking it again writes nothing.
 */
#include "namenode/mark.h"

#include "namenode/agenda.h"

#include "namenode_store.h"

static void
setup (void)
{
    store_setup ();
    fixture.frame.agenda = agenda_new ();
    ck_assert_ptr_nonnull (fixture.frame.agenda);
}

static void
teardown (void)
{
    agenda_destroy (&fixture.frame.agenda);
    store_teardown ();
}

/* The mark that has the block, or is the next one, as its first block; -1: there is none. */
static int
mark_at (struct txn *txn, uint64_t inode, uint32_t index)
{
    struct repair_row row;
    int rc = mark_find (txn, inode, index, &row, E);

    ck_assert (rc == 0 || rc == LITEDFS_NOT_FOUND);
    ck_assert (rc != 0 || row.inode == inode);
    return rc == 0 ? (int) row.first : -1;
}

START_TEST (a_mark_is_found_by_each_of_its_blocks_and_by_those_before_it)
{
    struct txn *txn = begin ();

    ck_ok (mark_blocks (txn, 5, 10, 20, E));
    ck_ok (mark_blocks (txn, 5, 30, REPAIR_END, E));
    ck_ok (mark_blocks (txn, 6, 0, 1, E));
    ck_assert_int_eq (mark_at (txn, 5, 0), 10);
    ck_assert_int_eq (mark_at (txn, 5, 10), 10);
    ck_assert_int_eq (mark_at (txn, 5, 19), 10);
    ck_assert_int_eq (mark_at (txn, 5, 20), 30);
    ck_assert_int_eq (mark_at (txn, 5, UINT32_MAX), 30);
    ck_assert_int_eq (mark_at (txn, 6, 0), 0);
    ck_assert_int_eq (mark_at (txn, 6, 1), -1);
    ck_assert_int_eq (mark_at (txn, 4, 0), -1);
    ck_assert_int_eq (mark_at (txn, 7, 0), -1);
    txn_abort (&txn);
}
END_TEST

START_TEST (what_is_marked_is_not_written_again)
{
    struct txn *txn = begin ();

    ck_ok (mark_blocks (txn, 5, 0, 100, E));
    uint64_t written = txn_written (txn);
    ck_ok (mark_blocks (txn, 5, 0, 100, E));
    ck_ok (mark_blocks (txn, 5, 7, 100, E));
    ck_ok (mark_blocks (txn, 5, 99, 100, E));
    ck_ok (mark_blocks_found (txn, 5, 20, 30, E));
    ck_assert_uint_eq (txn_written (txn), written);
    ck_ok (mark_blocks (txn, 5, 0, 101, E)); // longer
    ck_assert_uint_eq (txn_written (txn), written + 1);
    ck_ok (mark_blocks (txn, 5, 200, 201, E));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 2);
}
END_TEST

START_TEST (marks_are_on_the_agenda_and_what_was_only_found_if_it_is_new)
{
    struct agenda_item item;
    struct txn *txn = begin ();

    ck_ok (mark_blocks (txn, 5, 0, 10, E));
    ck_assert (agenda_next (fixture.frame.agenda, 0, &item));
    ck_assert_uint_eq (item.inode, 5);
    ck_assert_uint_eq (item.end, 10);
    ck_ok (mark_blocks (txn, 5, 3, 4, E));
    ck_assert (agenda_next (fixture.frame.agenda, 0, &item));
    ck_assert_uint_eq (item.first, 3);
    ck_ok (mark_blocks_found (txn, 5, 3, 4, E));
    ck_assert (!agenda_next (fixture.frame.agenda, 0, &item));
    ck_ok (mark_blocks_found (txn, 5, 10, 11, E));
    ck_assert (agenda_next (fixture.frame.agenda, 0, &item));
    txn_abort (&txn);
}
END_TEST

START_TEST (a_files_marks_go_with_it_and_no_others)
{
    struct txn *txn = begin ();

    for (uint32_t i = 0; i < 20; i++)
        ck_ok (mark_blocks (txn, 5, 10 * i, 10 * i + 1, E));
    ck_ok (mark_blocks (txn, 4, 0, 1, E));
    ck_ok (mark_blocks (txn, 6, 0, 1, E));
    ck_ok (mark_drop (txn, 5, E));
    ck_ok (mark_drop (txn, 5, E));
    ck_assert_int_eq (mark_at (txn, 5, 0), -1);
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 2);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_mark", setup, teardown,
                   a_mark_is_found_by_each_of_its_blocks_and_by_those_before_it,
                   what_is_marked_is_not_written_again,
                   marks_are_on_the_agenda_and_what_was_only_found_if_it_is_new,
                   a_files_marks_go_with_it_and_no_others)
