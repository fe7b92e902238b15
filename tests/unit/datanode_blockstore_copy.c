/* SPDX-License-Identifier: MIT */
/*
 * datanode/blockstore, copies by order: a deleted block comes back when its copy is finished and not before,
 * a later delete wins, and no crash or race leaves a row without its file.
 */
#include "datanode_store.h"

#include <pthread.h>
#include <stdatomic.h>

#define SIZE ((size_t) 100000)

static int
execute (uint64_t number, enum order_kind kind, uint64_t block)
{
    struct blockstore_order order = {
        .number = number, .block = block, .kind = kind, .target = kind == ORDER_COPY ? 9 : 0};
    return blockstore_execute (store, 1, &order, 1, &error);
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

/* Begin a copy and append its bytes. */
static struct writing *
write_copy (uint64_t block, size_t size)
{
    struct writing *writing;
    struct uuid file = store_file (block);
    uint8_t *bytes = store_bytes (block, size);
    expect (0, blockstore_begin_copy (store, block, &file, 3, "/a/copy", 7, &writing, NULL,
                                      &error));
    expect (0, blockstore_append (writing, 0, bytes, size, NULL, &error));
    free (bytes);
    return writing;
}

static int
finish (struct writing **writing)
{
    struct blockstore_finish item = {.writing = *writing, .count = 4};
    int rc = blockstore_finish (store, &item, 1, &error);
    *writing = item.writing;
    return rc;
}

static void
put_copy (uint64_t block, size_t size)
{
    struct writing *writing = write_copy (block, size);
    expect (0, finish (&writing));
}

static void
put_and_delete (uint64_t block, uint64_t number)
{
    store_put (block, SIZE);
    expect (0, execute (number, ORDER_DELETE, block));
    expect (LITEDFS_LEASE_LOST, store_stat (block));
}

START_TEST (a_deleted_block_comes_back_with_the_finish_of_its_copy)
{
    put_and_delete (1, 1);
    expect (LITEDFS_LEASE_LOST, begin (1));
    struct writing *writing = write_copy (1, SIZE);
    expect (LITEDFS_LEASE_LOST, store_stat (1));
    expect (LITEDFS_LOCKED, begin (1));
    expect (0, finish (&writing));
    for (int round = 0; round < 2; round++) {
        struct blockstore_change changes[4];
        size_t count;
        store_check (1, SIZE);
        ck_assert (store_has_file ("blocks", 1) && !store_has_file ("writing", 1));
        expect (LITEDFS_EXISTS, begin (1));
        expect (0, blockstore_changes (store, 0, 4, changes, &count, &error));
        ck_assert (count == 3 && changes[2].kind == CHANGE_ADDED && changes[2].block == 1);
        store_reopen ();
    }
    expect (0, execute (2, ORDER_DELETE, 1));
    expect (LITEDFS_LEASE_LOST, store_stat (1));
    expect (LITEDFS_LEASE_LOST, begin (1));
    ck_assert (!store_has_file ("blocks", 1));
}
END_TEST

START_TEST (a_copy_needs_no_tombstone_and_is_refused_where_the_block_is)
{
    struct uuid file = store_file (1);
    struct writing *writing = NULL;
    struct blockstore_block there;
    put_copy (1, SIZE);
    store_check (1, SIZE);
    expect (LITEDFS_EXISTS,
            blockstore_begin_copy (store, 1, &file, 0, "", 0, &writing, &there, &error));
    ck_assert (writing == NULL && there.size == SIZE);
    expect (LITEDFS_INVALID,
            blockstore_begin_copy (store, 0, &file, 0, "", 0, &writing, NULL, &error));
}
END_TEST

START_TEST (a_copy_that_is_abandoned_leaves_the_block_deleted)
{
    put_and_delete (1, 1);
    struct writing *writing = write_copy (1, SIZE);
    blockstore_abandon (&writing);
    expect (LITEDFS_LEASE_LOST, begin (1));
    ck_assert (!store_has_file ("writing", 1));
    put_copy (1, SIZE);
    store_check (1, SIZE);
}
END_TEST

START_TEST (a_delete_that_is_ordered_while_the_copy_is_written_wins)
{
    put_and_delete (1, 1);
    struct writing *writing = write_copy (1, SIZE);
    ck_assert (!writing_buried (writing));
    expect (0, execute (2, ORDER_DELETE, 1)); // in the same millisecond
    ck_assert (writing_buried (writing));
    expect (LITEDFS_LEASE_LOST, blockstore_append (writing, CRC_UNIT, "x", 1, NULL, &error));
    expect (LITEDFS_LEASE_LOST, finish (&writing));
    blockstore_abandon (&writing);
    expect (LITEDFS_LEASE_LOST, store_stat (1));
    ck_assert (!store_has_file ("writing", 1) && !store_has_file ("blocks", 1));
    store_reopen ();
    expect (LITEDFS_LEASE_LOST, begin (1));
    put_copy (1, SIZE); // another order
    store_check (1, SIZE);
}
END_TEST

START_TEST (a_tombstone_that_is_due_leaves_a_copy_in_write_alone)
{
    put_and_delete (1, 1);
    struct writing *writing = write_copy (1, SIZE);
    fake_clock_advance (&store_clock, 7200000);
    expect (0, blockstore_expire (store, &error));
    ck_assert (store_has_file ("writing", 1));
    expect (0, finish (&writing));
    expect (0, blockstore_expire (store, &error));
    store_check (1, SIZE);
    store_reopen ();
    store_check (1, SIZE);
}
END_TEST

START_TEST (a_file_of_the_deleted_block_that_stayed_is_replaced)
{
    char path[256];
    put_and_delete (1, 1);
    snprintf (path, sizeof path, "%s", store_path ("blocks", 1));
    expect (0, file_write_atomic (path, "old", 3, 0644, &error));
    put_copy (1, SIZE);
    store_check (1, SIZE);
    store_reopen ();
    store_check (1, SIZE);
}
END_TEST

START_TEST (an_order_to_copy_is_counted_and_changes_nothing)
{
    struct blockstore_order orders[] = {
        {.number = 5, .block = 1, .kind = ORDER_COPY, .target = 9},
        {.number = 6, .block = 2, .kind = ORDER_DELETE},
        {.number = 8, .block = 3, .kind = ORDER_COPY, .target = 9},
        {.number = 9, .block = 77, .kind = ORDER_COPY, .target = 9},
    };
    uint32_t epoch;
    uint64_t number;
    for (uint64_t block = 1; block <= 3; block++)
        store_put (block, SIZE);
    expect (0, blockstore_execute (store, 1, orders, 4, &error));
    for (int round = 0; round < 2; round++) {
        blockstore_last_order (store, &epoch, &number);
        ck_assert (epoch == 1 && number == 9);
        store_check (1, SIZE);
        store_check (3, SIZE);
        expect (LITEDFS_LEASE_LOST, store_stat (2));
        expect (LITEDFS_NOT_FOUND, store_stat (77));
        ck_assert_uint_eq (blockstore_seq (store), 4);
        store_reopen ();
    }
    expect (LITEDFS_STALE, (blockstore_saw (store, 2, 1, &error), execute (10, ORDER_COPY, 1)));
}
END_TEST

START_TEST (an_order_to_copy_does_not_disturb_a_block_in_write)
{
    struct blockstore_finish item = {.writing = store_write (1, SIZE)};
    expect (0, execute (1, ORDER_COPY, 1));
    expect (0, blockstore_finish (store, &item, 1, &error));
    store_check (1, SIZE);
}
END_TEST

/* ---- describe ---- */

START_TEST (a_block_is_described_by_its_trailer)
{
    struct blockstore_description found;
    struct blockstore_block row;
    struct uuid file = store_file (10);
    store_put (10, SIZE);
    for (int round = 0; round < 3; round++) {
        expect (0, blockstore_describe (store, 10, &found, &error));
        expect (0, blockstore_stat (store, 10, &row, &error));
        ck_assert (uuid_equal (&found.file, &file));
        ck_assert (found.index == 10 % 7 && found.count == 3);
        ck_assert (found.size == SIZE && found.crc == row.crc);
        ck_assert (found.path_size == 7 && strcmp (found.path, "/a/path") == 0);
        free (found.path);
        if (round == 1)
            store_reopen ();
    }
}
END_TEST

START_TEST (what_is_not_here_or_damaged_is_not_described)
{
    struct blockstore_description found;
    put_and_delete (1, 1);
    store_put (2, SIZE);
    expect (LITEDFS_NOT_FOUND, blockstore_describe (store, 1, &found, &error));
    expect (LITEDFS_NOT_FOUND, blockstore_describe (store, 7, &found, &error));
    store_flip (store_path ("blocks", 2), -20, 1);
    expect (LITEDFS_CORRUPT, blockstore_describe (store, 2, &found, &error));
    unlink (store_path ("blocks", 2));
    expect (LITEDFS_CORRUPT, blockstore_describe (store, 2, &found, NULL));
}
END_TEST

/* ---- at the same time ---- */

#define RACE_BLOCKS 4
#define RACE_ROUNDS 300

static atomic_bool race_over;

/* Copies of the same blocks, again and again: some are refused, none breaks. */
static void *
race_copies (void *arg)
{
    (void) arg;
    for (unsigned round = 0; round < RACE_ROUNDS; round++) {
        uint64_t block = 1 + round % RACE_BLOCKS;
        struct uuid file = store_file (block);
        struct writing *writing = NULL;
        litedfs_error_t own;
        if (blockstore_begin_copy (store, block, &file, 0, "", 0, &writing, NULL, &own) < 0)
            continue;
        uint8_t *bytes = store_bytes (block, 1000);
        struct blockstore_finish item = {.writing = writing};
        if (blockstore_append (writing, 0, bytes, 1000, NULL, &own) == 0) {
            blockstore_finish (store, &item, 1, &own);
            writing = item.writing;
        }
        blockstore_abandon (&writing);
        free (bytes);
    }
    atomic_store (&race_over, true);
    return NULL;
}

static void *
race_expiries (void *arg)
{
    (void) arg;
    while (!atomic_load (&race_over)) {
        litedfs_error_t own;
        fake_clock_advance (&store_clock, 3600000);
        ck_assert_int_eq (blockstore_expire (store, &own), 0);
    }
    return NULL;
}

START_TEST (deletes_copies_and_expiries_at_once_leave_no_row_without_its_file)
{
    struct blockstore_options options = store_options ();
    pthread_t threads[2];
    uint64_t number = 0;
    blockstore_close (&store);
    options.sync = false;
    expect (0, blockstore_open (&store, &options, &error));
    ck_assert_int_eq (pthread_create (&threads[0], NULL, race_copies, NULL), 0);
    ck_assert_int_eq (pthread_create (&threads[1], NULL, race_expiries, NULL), 0);
    while (!atomic_load (&race_over)) {
        number++;
        expect (0, execute (number, ORDER_DELETE, 1 + number % RACE_BLOCKS));
    }
    for (size_t i = 0; i < 2; i++)
        pthread_join (threads[i], NULL);
    put_copy (100, 1000); // the store is well
    for (uint64_t block = 1; block <= RACE_BLOCKS; block++) {
        int rc = store_stat (block);
        ck_assert_msg (rc == 0 || rc == LITEDFS_LEASE_LOST || rc == LITEDFS_NOT_FOUND, "%d",
                       rc);
        if (rc == 0)
            store_check (block, 1000);
        ck_assert (store_has_file ("blocks", block) == (rc == 0));
        ck_assert (!store_has_file ("writing", block));
    }
}
END_TEST

#ifdef LITEDFS_FAULT

static const char *child_fault;

static void
copy_with_fault (void)
{
    struct blockstore_options options = store_options ();
    if (blockstore_open (&store, &options, &error) < 0)
        _exit (1);
    put_and_delete (1, 1);
    struct writing *writing = write_copy (1, SIZE);
    if (fault_set (child_fault, &error) < 0)
        _exit (2);
    finish (&writing);
    _exit (0);
}

static void
die_at (const char *fault, bool back)
{
    blockstore_close (&store);
    nftw (store_data, store_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    child_fault = fault;
    ck_assert_int_eq (WEXITSTATUS (store_run_child (copy_with_fault)), FAULT_EXIT_STATUS);
    store_open ();
    ck_assert_msg (store_stat (1) == (back ? 0 : LITEDFS_LEASE_LOST), "%s", fault);
    ck_assert_msg (store_has_file ("blocks", 1) == back, "%s", fault);
    ck_assert_msg (!store_has_file ("writing", 1), "%s", fault);
    ck_assert_uint_eq (blockstore_seq (store), back ? 3 : 2);
    if (!back)
        put_copy (1, SIZE);
    store_check (1, SIZE);
    fake_clock_advance (&store_clock, 7200000);
    expect (0, blockstore_expire (store, &error));
    store_check (1, SIZE);
}

START_TEST (a_process_that_dies_leaves_the_block_deleted_or_back)
{
    die_at ("blockstore_after_data=exit", false);
    die_at ("blockstore_after_trailer=exit", false);
    die_at ("blockstore_after_file_sync=exit", false);
    die_at ("blockstore_before_commit=exit", false);
    die_at ("blockstore_after_commit=exit", true);
    die_at ("blockstore_after_rename=exit", true);
}
END_TEST

START_TEST (a_copy_whose_commit_fails_leaves_the_block_deleted)
{
    put_and_delete (1, 1);
    struct writing *writing = write_copy (1, SIZE);
    expect (0, fault_set ("blockstore_commit_error=error:1", &error));
    expect (LITEDFS_IO, finish (&writing));
    blockstore_abandon (&writing);
    expect (LITEDFS_LEASE_LOST, begin (1));
    ck_assert (!store_has_file ("writing", 1));
    put_copy (1, SIZE);
    store_check (1, SIZE);
}
END_TEST

/* Delete block 1; the order is committed at once, and its files go some time later. */
static void *
delete_slowly (void *arg)
{
    struct blockstore_order order = {.number = 2, .block = 1};
    litedfs_error_t *own = arg;
    blockstore_execute (store, 1, &order, 1, own);
    return NULL;
}

START_TEST (a_copy_waits_for_who_removes_the_files_of_the_delete_before_it)
{
    pthread_t thread;
    litedfs_error_t own = {.number = 0};
    uint32_t epoch;
    uint64_t number;
    store_put (1, SIZE);
    expect (0, fault_set ("blockstore_after_execute=delay=300", &error));
    ck_assert_int_eq (pthread_create (&thread, NULL, delete_slowly, &own), 0);
    do
        blockstore_last_order (store, &epoch, &number);
    while (number != 2);
    put_copy (1, SIZE);
    pthread_join (thread, NULL);
    ck_assert_int_eq (own.number, 0);
    store_check (1, SIZE);
    store_reopen ();
    store_check (1, SIZE);
}
END_TEST

#define FAULT_CASES                                                                            \
    , a_copy_waits_for_who_removes_the_files_of_the_delete_before_it,                          \
        a_process_that_dies_leaves_the_block_deleted_or_back,                                  \
        a_copy_whose_commit_fails_leaves_the_block_deleted
#else
#define FAULT_CASES
#endif

UNIT_MAIN_FIXTURE (
    "datanode_blockstore_copy", store_setup, store_teardown,
    a_deleted_block_comes_back_with_the_finish_of_its_copy,
    a_copy_needs_no_tombstone_and_is_refused_where_the_block_is,
    a_copy_that_is_abandoned_leaves_the_block_deleted,
    a_delete_that_is_ordered_while_the_copy_is_written_wins,
    a_tombstone_that_is_due_leaves_a_copy_in_write_alone,
    a_file_of_the_deleted_block_that_stayed_is_replaced,
    an_order_to_copy_is_counted_and_changes_nothing,
    an_order_to_copy_does_not_disturb_a_block_in_write, a_block_is_described_by_its_trailer,
    what_is_not_here_or_damaged_is_not_described,
    deletes_copies_and_expiries_at_once_leave_no_row_without_its_file FAULT_CASES)
