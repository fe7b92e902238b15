/* SPDX-License-Identifier: MIT */
/*
 * datanode/blockstore_orders: deletes happen once and for good, changes are listed until they are known.
 */
#include "datanode_store.h"

static int
execute (uint32_t epoch, uint64_t number, uint64_t block)
{
    struct blockstore_order order = {.number = number, .block = block};
    return blockstore_execute (store, epoch, &order, 1, &error);
}

static void
check_last (uint32_t epoch, uint64_t number)
{
    uint32_t last_epoch;
    uint64_t last_number;
    blockstore_last_order (store, &last_epoch, &last_number);
    ck_assert_uint_eq (last_epoch, epoch);
    ck_assert_uint_eq (last_number, number);
}

static int
begin (uint64_t block)
{
    struct uuid file = store_file (block);
    struct writing *writing = NULL;
    int rc = blockstore_begin (store, block, &file, 0, "", 0, &writing, NULL, &error);
    blockstore_abandon (&writing);
    return rc;
}

START_TEST (a_deleted_block_is_gone_and_its_id_is_refused)
{
    store_put (1, 100000);
    store_put (2, 100);
    store_check (1, 100000); // so that it is in the cache
    expect (0, execute (1, 1, 1));
    for (int round = 0; round < 2; round++) {
        uint8_t room[CRC_UNIT];
        struct slice range;
        uint32_t crc;
        struct blockstore_space space;
        ck_assert (!store_has_file ("blocks", 1));
        expect (LITEDFS_LEASE_LOST, store_stat (1));
        expect (LITEDFS_LEASE_LOST, begin (1));
        expect (LITEDFS_NOT_FOUND,
                blockstore_read (store, 1, 0, 1, room, &range, &crc, &error));
        expect (0, blockstore_space (store, &space, &error));
        ck_assert_uint_eq (space.blocks, 1);
        ck_assert_uint_eq (space.used, 100);
        store_check (2, 100);
        check_last (1, 1);
        store_reopen ();
    }
}
END_TEST

START_TEST (an_id_that_was_never_here_is_refused_after_its_delete)
{
    expect (0, execute (1, 1, 77));
    expect (LITEDFS_LEASE_LOST, begin (77));
    ck_assert_uint_eq (blockstore_seq (store),
                       0); // nothing changed that anybody would want to know
}
END_TEST

START_TEST (a_block_that_is_being_written_can_only_be_abandoned)
{
    struct writing *writing = store_write (1, CRC_UNIT);
    struct blockstore_finish item = {.writing = writing};
    expect (0, execute (1, 1, 1));
    expect (LITEDFS_LEASE_LOST, blockstore_append (writing, CRC_UNIT, "x", 1, NULL, &error));
    expect (LITEDFS_LEASE_LOST, blockstore_finish (store, &item, 1, &error));
    ck_assert_ptr_eq (item.writing, writing);
    blockstore_abandon (&writing);
    ck_assert (!store_has_file ("writing", 1));
    expect (LITEDFS_LEASE_LOST, begin (1));
}
END_TEST

START_TEST (of_many_that_are_finished_only_the_deleted_one_is_not)
{
    struct blockstore_finish items[3];
    for (size_t i = 0; i < 3; i++)
        items[i] = (struct blockstore_finish){.writing = store_write (i + 1, 10)};
    expect (0, execute (1, 1, 2));
    expect (LITEDFS_LEASE_LOST, blockstore_finish (store, items, 3, &error));
    ck_assert (!items[0].writing && items[1].writing && !items[2].writing);
    blockstore_abandon (&items[1].writing);
    store_check (1, 10);
    store_check (3, 10);
}
END_TEST

START_TEST (orders_run_once_and_old_ones_are_skipped)
{
    struct blockstore_order orders[] = {
        {.number = 5, .block = 1}, {.number = 6, .block = 2}, {.number = 9, .block = 3}};
    for (uint64_t block = 1; block <= 4; block++)
        store_put (block, 10);
    expect (0, blockstore_execute (store, 3, orders, 3, &error));
    uint64_t seq = blockstore_seq (store);
    expect (0, blockstore_execute (store, 3, orders, 3, &error));
    ck_assert_uint_eq (blockstore_seq (store), seq);
    check_last (3, 9);
    expect (0, execute (3, 9, 4)); // 9 has run, whatever it was
    store_check (4, 10);
    expect (0, execute (3, 10, 4));
    expect (LITEDFS_LEASE_LOST, store_stat (4));
    expect (0, blockstore_execute (store, 3, NULL, 0, &error));
    check_last (3, 10);
}
END_TEST

START_TEST (numbers_begin_again_with_an_epoch_and_old_epochs_are_refused)
{
    store_put (1, 10);
    expect (0, execute (3, 100, 50));
    expect (0, execute (4, 1, 1));
    expect (LITEDFS_LEASE_LOST, store_stat (1));
    store_put (2, 10);
    expect (LITEDFS_STALE, execute (3, 101, 2));
    store_check (2, 10);
    check_last (4, 1);
    expect (0, blockstore_saw (store, 6, 1, &error));
    expect (LITEDFS_STALE, execute (5, 1, 2));
    store_reopen ();
    expect (LITEDFS_STALE, execute (5, 1, 2));
    store_check (2, 10);
}
END_TEST

START_TEST (orders_whose_numbers_do_not_rise_are_refused_as_a_whole)
{
    struct blockstore_order orders[] = {
        {.number = 1, .block = 1}, {.number = 3, .block = 2}, {.number = 3, .block = 3}};
    store_put (1, 10);
    expect (LITEDFS_INVALID, blockstore_execute (store, 1, orders, 3, &error));
    expect (LITEDFS_INVALID, execute (1, 0, 1));
    store_check (1, 10);
}
END_TEST

START_TEST (a_thousand_orders_run_at_once)
{
    enum { N = 1000 };
    struct blockstore_order orders[N];
    for (uint64_t i = 0; i < N; i++)
        orders[i] = (struct blockstore_order){.number = i + 1, .block = i + 1};
    store_put (999, 10);
    store_put (1001, 10);
    expect (0, blockstore_execute (store, 1, orders, N, &error));
    expect (LITEDFS_LEASE_LOST, store_stat (999));
    expect (0, store_stat (1001));
    check_last (1, N);
}
END_TEST

START_TEST (tombstones_leave_after_their_time_and_not_before)
{
    store_put (1, 10);
    expect (0, execute (1, 1, 1));
    fake_clock_advance (&store_clock, 3599000);
    expect (0, blockstore_expire (store, &error));
    expect (LITEDFS_LEASE_LOST, begin (1));
    fake_clock_advance (&store_clock, 1000);
    expect (0, blockstore_expire (store, &error));
    expect (LITEDFS_NOT_FOUND, store_stat (1));
    store_put (1, 20);
    store_check (1, 20);
    fake_clock_advance (&store_clock, 7200000);
    expect (0, blockstore_expire (store, &error));
    store_reopen ();
    store_check (1, 20);
}
END_TEST

START_TEST (many_tombstones_leave_at_once)
{
    enum { N = 2000 };
    struct blockstore_order orders[N];
    for (uint64_t i = 0; i < N; i++)
        orders[i] = (struct blockstore_order){.number = i + 1, .block = i + 1};
    expect (0, blockstore_execute (store, 1, orders, N, &error));
    fake_clock_advance (&store_clock, 3600000);
    expect (0, blockstore_expire (store, &error));
    for (uint64_t i = 0; i < N; i++)
        expect (LITEDFS_NOT_FOUND, store_stat (i + 1));
}
END_TEST

START_TEST (changes_are_listed_in_order_until_they_are_confirmed)
{
    struct blockstore_change changes[10];
    size_t count;
    ck_assert_uint_eq (store_put (10, 100), 1);
    ck_assert_uint_eq (store_put (20, 200), 2);
    expect (0, execute (1, 1, 10));
    expect (0, execute (1, 2, 999));
    for (int round = 0; round < 2; round++) {
        expect (0, blockstore_changes (store, 0, 10, changes, &count, &error));
        ck_assert_uint_eq (count, 3);
        ck_assert (changes[0].seq == 1 && changes[0].block == 10 &&
                   changes[0].kind == CHANGE_ADDED);
        ck_assert (changes[0].size == 100 && changes[0].crc != 0);
        ck_assert (changes[1].seq == 2 && changes[1].block == 20 &&
                   changes[1].kind == CHANGE_ADDED);
        ck_assert (changes[2].seq == 3 && changes[2].block == 10 &&
                   changes[2].kind == CHANGE_REMOVED);
        store_reopen ();
    }
    expect (0, blockstore_changes (store, 1, 1, changes, &count, &error));
    ck_assert (count == 1 && changes[0].seq == 2);
    expect (0, blockstore_changes (store, UINT64_MAX, 1, changes, &count, &error));
    ck_assert_uint_eq (count, 0);

    expect (LITEDFS_INVALID, blockstore_confirm (store, 4, &error));
    expect (0, blockstore_confirm (store, 2, &error));
    expect (0, blockstore_confirm (store, 1, &error));
    store_reopen ();
    ck_assert_uint_eq (blockstore_confirmed (store), 2);
    ck_assert_uint_eq (blockstore_seq (store), 3);
    expect (0, blockstore_changes (store, 0, 10, changes, &count, &error));
    ck_assert (count == 1 && changes[0].seq == 3);
    expect (0, blockstore_confirm (store, 3, &error));
    expect (0, blockstore_changes (store, 0, 10, changes, &count, &error));
    ck_assert_uint_eq (count, 0);
    ck_assert_uint_eq (store_put (30, 1), 4);
}
END_TEST

START_TEST (numbers_go_on_above_what_the_other_side_knows)
{
    struct blockstore_change changes[10];
    struct blockstore_block row;
    size_t count;
    for (uint64_t block = 1; block <= 4; block++)
        store_put (block, block * 10);
    expect (0, execute (1, 1, 2));
    expect (0, blockstore_confirm (store, 3, &error));
    expect (0, blockstore_resume (store, 1000, &error));
    ck_assert_uint_eq (blockstore_seq (store), 1000);
    ck_assert_uint_eq (blockstore_confirmed (store), 1000);
    expect (0, blockstore_changes (store, 0, 10, changes, &count, &error));
    ck_assert_uint_eq (count, 0);
    expect (0, blockstore_stat (store, 4, &row, &error));
    ck_assert_uint_eq (row.seq, 4);
    store_check (4, 40);
    expect (0, blockstore_resume (store, 0, &error)); // never below what was given
    ck_assert_uint_eq (store_put (5, 1), 1001);
    store_reopen ();
    ck_assert_uint_eq (blockstore_confirmed (store), 1000);
    expect (0, blockstore_changes (store, 1000, 10, changes, &count, &error));
    ck_assert (count == 1 && changes[0].seq == 1001 && changes[0].block == 5);
}
END_TEST

START_TEST (what_was_seen_of_the_name_node_only_rises)
{
    uint32_t epoch;
    uint64_t transaction;
    expect (0, blockstore_saw (store, 2, 100, &error));
    expect (0, blockstore_saw (store, 2, 90, &error));
    expect (0, blockstore_saw (store, 1, 1000, &error));
    expect (0, blockstore_saw (store, 2, 110, &error));
    for (int round = 0; round < 2; round++) {
        blockstore_seen (store, &epoch, &transaction);
        ck_assert_uint_eq (epoch, 2);
        ck_assert_uint_eq (transaction, 110);
        store_reopen ();
    }
    expect (0, blockstore_saw (store, 3, 1, &error));
    blockstore_seen (store, &epoch, &transaction);
    ck_assert_uint_eq (epoch, 3);
    ck_assert_uint_eq (transaction, 1);
}
END_TEST

#ifdef LITEDFS_FAULT

static const char *child_fault;

static void
delete_with_fault (void)
{
    struct blockstore_options options = store_options ();
    struct blockstore_order orders[] = {{.number = 1, .block = 1}, {.number = 2, .block = 2}};
    if (blockstore_open (&store, &options, &error) < 0)
        _exit (1);
    for (uint64_t block = 1; block <= 3; block++)
        store_put (block, 1000);
    if (fault_set (child_fault, &error) < 0)
        _exit (2);
    blockstore_execute (store, 1, orders, 2, &error);
    _exit (0);
}

static void
die_at (const char *fault, bool gone)
{
    blockstore_close (&store);
    nftw (store_data, store_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    child_fault = fault;
    ck_assert_int_eq (WEXITSTATUS (store_run_child (delete_with_fault)), FAULT_EXIT_STATUS);
    store_open ();
    for (uint64_t block = 1; block <= 2; block++) {
        ck_assert_msg (store_stat (block) == (gone ? LITEDFS_LEASE_LOST : 0), "%s", fault);
        ck_assert (store_has_file ("blocks", block) == !gone);
        if (!gone)
            store_check (block, 1000);
    }
    check_last (gone ? 1 : 0, gone ? 2 : 0);
    store_check (3, 1000);
    ck_assert_uint_eq (blockstore_seq (store), gone ? 5 : 3);
}

START_TEST (a_process_that_dies_in_a_delete_leaves_all_blocks_or_none)
{
    die_at ("blockstore_before_execute=exit", false);
    die_at ("blockstore_after_execute=exit", true);
    die_at ("blockstore_after_unlink=exit", true);
}
END_TEST

START_TEST (a_delete_whose_commit_fails_deletes_nothing_and_runs_later)
{
    store_put (1, 1000);
    expect (0, fault_set ("blockstore_commit_error=error:1", &error));
    expect (LITEDFS_IO, execute (1, 1, 1));
    store_check (1, 1000);
    check_last (0, 0);
    expect (0, execute (1, 1, 1));
    expect (LITEDFS_LEASE_LOST, store_stat (1));
}
END_TEST

#define FAULT_CASES                                                                            \
    , a_process_that_dies_in_a_delete_leaves_all_blocks_or_none,                               \
        a_delete_whose_commit_fails_deletes_nothing_and_runs_later
#else
#define FAULT_CASES
#endif

UNIT_MAIN_FIXTURE ("datanode_blockstore_orders", store_setup, store_teardown,
                   a_deleted_block_is_gone_and_its_id_is_refused,
                   an_id_that_was_never_here_is_refused_after_its_delete,
                   a_block_that_is_being_written_can_only_be_abandoned,
                   of_many_that_are_finished_only_the_deleted_one_is_not,
                   orders_run_once_and_old_ones_are_skipped,
                   numbers_begin_again_with_an_epoch_and_old_epochs_are_refused,
                   orders_whose_numbers_do_not_rise_are_refused_as_a_whole,
                   a_thousand_orders_run_at_once,
                   tombstones_leave_after_their_time_and_not_before,
                   many_tombstones_leave_at_once,
                   changes_are_listed_in_order_until_they_are_confirmed,
                   numbers_go_on_above_what_the_other_side_knows,
                   what_was_seen_of_the_name_node_only_rises FAULT_CASES)
