/* SPDX-License-Identifier: MIT */
/*
 * datanode/blockstore_index: rows come back as they were put, transactions are all or nothing, damage is
 * told.  What the store does with it is in its own tests.
 */
#include "datanode/blockstore_index.h"

#include "datanode_store.h"

#include <pthread.h>
#include <stdatomic.h>

#define MAP ((uint64_t) 4 << 20)

static struct blockstore_index *table;
static struct index_txn txn;

static void
setup (void)
{
    store_make_root ();
    expect (LITEDFS_NOT_FOUND, blockstore_index_open (&table, store_root, MAP, true, &error));
    expect (0, blockstore_index_create (&table, store_root, MAP, true, &error));
    expect (0, blockstore_index_complete (table, &error));
}

static void
teardown (void)
{
    blockstore_index_close (&table);
    nftw (store_root, store_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void
reopen (void)
{
    blockstore_index_close (&table);
    expect (0, blockstore_index_open (&table, store_root, MAP, true, &error));
}

static int
add (uint64_t block)
{
    struct blockstore_block row = {.block = block,
                                   .file = store_file (block),
                                   .index = block + 1,
                                   .size = block + 2,
                                   .ctime_ms = (int64_t) block + 3,
                                   .crc = (uint32_t) block + 4};
    return index_add (&txn, &row, &error);
}

START_TEST (a_row_comes_back_as_it_was_put)
{
    struct blockstore_block row;
    struct uuid file = store_file (UINT64_MAX - 9);
    expect (0, index_begin (table, true, &txn, &error));
    expect (0, add (UINT64_MAX - 9));
    expect (LITEDFS_EXISTS, add (UINT64_MAX - 9));
    expect (0, index_commit (&txn, &error));
    reopen ();
    expect (0, index_begin (table, false, &txn, &error));
    expect (0, index_block (&txn, UINT64_MAX - 9, &row, &error));
    index_abort (&txn);
    ck_assert_uint_eq (row.block, UINT64_MAX - 9);
    ck_assert_uint_eq (row.index, UINT64_MAX - 8);
    ck_assert_uint_eq (row.size, UINT64_MAX - 7);
    ck_assert_int_eq (row.ctime_ms, (int64_t) (UINT64_MAX - 6));
    ck_assert_uint_eq (row.crc, UINT32_MAX - 5);
    ck_assert_uint_eq (row.seq, 1);
    ck_assert (uuid_equal (&row.file, &file));
}
END_TEST

START_TEST (an_aborted_transaction_leaves_nothing)
{
    struct blockstore_block row;
    expect (0, index_begin (table, true, &txn, &error));
    expect (0, add (1));
    expect (0, index_bury (&txn, 2, 100, &error));
    ck_assert_uint_eq (txn.state.seq, 1);
    index_abort (&txn);
    expect (0, index_begin (table, true, &txn, &error));
    ck_assert_uint_eq (txn.state.seq, 0);
    ck_assert_uint_eq (txn.state.blocks, 0);
    expect (LITEDFS_NOT_FOUND, index_block (&txn, 1, &row, &error));
    expect (LITEDFS_NOT_FOUND, index_buried (&txn, 2, &error));
    index_abort (&txn);
}
END_TEST

START_TEST (counts_follow_the_rows)
{
    expect (0, index_begin (table, true, &txn, &error));
    expect (0, add (10));
    expect (0, add (20));
    expect (0, index_remove (&txn, 10, &error));
    expect (LITEDFS_NOT_FOUND, index_remove (&txn, 10, &error));
    ck_assert_uint_eq (txn.state.blocks, 1);
    ck_assert_uint_eq (txn.state.bytes, 22);
    ck_assert_uint_eq (txn.state.seq, 3);
    expect (0, index_commit (&txn, &error));
}
END_TEST

START_TEST (tombstones_are_listed_from_an_id_on)
{
    struct index_tombstone list[3];
    size_t count;
    expect (0, index_begin (table, true, &txn, &error));
    for (uint64_t block = 1; block <= 5; block++)
        expect (0, index_bury (&txn, block << 32, (int64_t) block, &error));
    expect (0, index_bury (&txn, (uint64_t) 3 << 32, 33, &error));
    expect (0, index_unbury (&txn, (uint64_t) 4 << 32, &error));
    expect (0, index_unbury (&txn, 99, &error));
    expect (0, index_tombstones (&txn, ((uint64_t) 1 << 32) + 1, 3, list, &count, &error));
    ck_assert_uint_eq (count, 3);
    ck_assert (list[0].block == (uint64_t) 2 << 32 && list[0].until_ms == 2);
    ck_assert (list[1].block == (uint64_t) 3 << 32 && list[1].until_ms == 33);
    ck_assert (list[2].block == (uint64_t) 5 << 32 && list[2].until_ms == 5);
    index_abort (&txn);
}
END_TEST

/* A reader that is always there, while the map moves. */
static atomic_bool reading;

static void *
read_rows (void *arg)
{
    struct index_txn mine;
    struct blockstore_block row;
    (void) arg;
    while (atomic_load (&reading)) {
        ck_assert_int_eq (index_begin (table, false, &mine, NULL), 0);
        ck_assert_int_eq (index_block (&mine, 1, &row, NULL), 0);
        index_abort (&mine);
    }
    return NULL;
}

START_TEST (an_index_grows_beyond_the_address_space_it_began_with)
{
    enum { ROWS = 220000, BATCH = 5000 };
    pthread_t thread;
    struct stat st;
    char path[128];
    struct blockstore_block row;
    blockstore_index_close (&table);
    expect (0, blockstore_index_open (&table, store_root, MAP, false, &error));
    expect (0, index_begin (table, true, &txn, &error));
    expect (0, add (1));
    expect (0, index_commit (&txn, &error));
    atomic_store (&reading, true);
    ck_assert_int_eq (pthread_create (&thread, NULL, read_rows, NULL), 0);
    for (uint64_t block = 2; block <= ROWS;) {
        expect (0, index_begin (table, true, &txn, &error));
        for (int i = 0; i < BATCH && block <= ROWS; i++)
            expect (0, add (block++));
        expect (0, index_commit (&txn, &error));
    }
    expect (0, index_begin (table, true, &txn, &error));
    expect (0, index_resume (&txn, 3 * ROWS, &error));
    expect (0, index_commit (&txn, &error));
    atomic_store (&reading, false);
    pthread_join (thread, NULL);
    snprintf (path, sizeof path, "%s/data.mdb", store_root);
    ck_assert_int_eq (stat (path, &st), 0);
    ck_assert_int_gt (st.st_size, 26 << 20); // what the map was when it was new
    reopen ();
    expect (0, index_begin (table, false, &txn, &error));
    expect (0, index_block (&txn, ROWS, &row, &error));
    ck_assert_uint_eq (row.seq, ROWS);
    index_abort (&txn);
}
END_TEST

/* Flip bytes of the data file that follow a text. */
START_TEST (a_damaged_row_is_told_and_never_believed)
{
    struct blockstore_block row;
    char path[128];
    struct buf bytes = {0};
    expect (0, index_begin (table, true, &txn, &error));
    expect (0, add (0x1122334455667788));
    expect (0, index_commit (&txn, &error));
    blockstore_index_close (&table);
    snprintf (path, sizeof path, "%s/data.mdb", store_root);
    expect (0, file_read_all (path, 1 << 24, &bytes, &error));
    // The key is stored big endian; its value follows.
    const uint8_t key[] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
    for (const uint8_t *at = bytes.data;
         (at = memmem (at, (size_t) (bytes.data + bytes.size - at), key, 8)); at++)
        store_flip (path, at - bytes.data + 20, 1);
    buf_free (&bytes);
    expect (0, blockstore_index_open (&table, store_root, MAP, true, &error));
    expect (0, index_begin (table, false, &txn, &error));
    expect (LITEDFS_CORRUPT, index_block (&txn, 0x1122334455667788, &row, &error));
    index_abort (&txn);
}
END_TEST

START_TEST (an_index_that_was_not_completed_is_not_taken_for_one)
{
    blockstore_index_close (&table);
    expect (0, blockstore_index_create (&table, store_root, MAP, true, &error));
    blockstore_index_close (&table);
    expect (LITEDFS_CORRUPT, blockstore_index_open (&table, store_root, MAP, true, &error));
    ck_assert_ptr_null (table);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_blockstore_index", setup, teardown, a_row_comes_back_as_it_was_put,
                   an_aborted_transaction_leaves_nothing, counts_follow_the_rows,
                   tombstones_are_listed_from_an_id_on,
                   an_index_grows_beyond_the_address_space_it_began_with,
                   a_damaged_row_is_told_and_never_believed,
                   an_index_that_was_not_completed_is_not_taken_for_one)
