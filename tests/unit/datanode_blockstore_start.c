/* SPDX-License-Identifier: MIT */
/*
 * datanode/blockstore_start: the index is built anew from the files when it is lost, and nothing that was
 * finished is lost with it.
 */
#include "datanode_store.h"

enum { BLOCKS = 40 };

static size_t
size_of (uint64_t block)
{
    return (size_t) (block * 12345 % 300000);
}

static void
put_blocks (void)
{
    for (uint64_t block = 1; block <= BLOCKS; block++)
        store_put (block * 0x0101010101, size_of (block));
}

static void
remove_index (const char *name)
{
    char path[200];
    snprintf (path, sizeof path, "%s/index/%s", store_data, name);
    ck_assert_int_eq (unlink (path), 0);
}

static void
check_blocks (const struct blockstore_block *rows)
{
    struct blockstore_space space;
    uint64_t bytes = 0;
    for (uint64_t block = 1; block <= BLOCKS; block++) {
        struct blockstore_block row;
        uint64_t id = block * 0x0101010101;
        expect (0, blockstore_stat (store, id, &row, &error));
        ck_assert_uint_eq (row.size, rows[block].size);
        ck_assert_uint_eq (row.crc, rows[block].crc);
        ck_assert_uint_eq (row.index, rows[block].index);
        ck_assert_int_eq (row.ctime_ms, rows[block].ctime_ms);
        ck_assert (uuid_equal (&row.file, &rows[block].file));
        store_check (id, size_of (block));
        bytes += row.size;
    }
    expect (0, blockstore_space (store, &space, &error));
    ck_assert_uint_eq (space.blocks, BLOCKS);
    ck_assert_uint_eq (space.used, bytes);
}

static void
remember (struct blockstore_block *rows)
{
    for (uint64_t block = 1; block <= BLOCKS; block++)
        expect (0, blockstore_stat (store, block * 0x0101010101, &rows[block], &error));
}

START_TEST (a_removed_index_is_built_anew_and_equal)
{
    struct blockstore_block rows[BLOCKS + 1];
    struct blockstore_change changes[BLOCKS + 1];
    size_t count;
    put_blocks ();
    remember (rows);
    expect (0, blockstore_confirm (store, BLOCKS, &error));
    blockstore_close (&store);
    remove_index ("data.mdb");
    remove_index ("lock.mdb");
    store_open ();
    check_blocks (rows);
    // Its numbers say nothing to the name node, so no change is listed; inventories are compared.
    expect (0, blockstore_changes (store, 0, BLOCKS + 1, changes, &count, &error));
    ck_assert_uint_eq (count, 0);
    ck_assert_uint_eq (blockstore_confirmed (store), blockstore_seq (store));
    store_reopen ();
    check_blocks (rows);
}
END_TEST

START_TEST (a_damaged_index_is_built_anew)
{
    char path[200];
    struct stat st;
    struct blockstore_block rows[BLOCKS + 1];
    put_blocks ();
    remember (rows);
    snprintf (path, sizeof path, "%s/index/data.mdb", store_data);
    ck_assert_int_eq (stat (path, &st), 0);
    off_t sizes[] = {0, 100, 4096, st.st_size / 2 / 4096 * 4096, st.st_size - 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        blockstore_close (&store);
        ck_assert_int_eq (truncate (path, sizes[i]), 0);
        store_open ();
        check_blocks (rows);
    }
    blockstore_close (&store);
    expect (0, file_write_atomic (path, "no index at all", 15, 0644, &error));
    store_open ();
    check_blocks (rows);
}
END_TEST

START_TEST (files_that_are_damaged_are_set_aside_and_not_deleted)
{
    for (uint64_t block = 1; block <= 4; block++)
        store_put (block, 1000);
    blockstore_close (&store);
    store_flip (store_path ("blocks", 2), -20, 1);
    char path[300];
    strcpy (path, store_path ("blocks", 3));
    ck_assert_int_eq (rename (path, store_path ("blocks", 5)), 0); // says block 3
    remove_index ("data.mdb");
    store_open ();
    store_check (1, 1000);
    store_check (4, 1000);
    expect (LITEDFS_NOT_FOUND, store_stat (2));
    expect (LITEDFS_NOT_FOUND, store_stat (5));
    ck_assert (store_has_file ("damaged", 2));
    ck_assert (store_has_file ("damaged", 5));
    // A second one of the same name finds its place too.
    store_put (2, 2000);
    ck_assert (!store_has_file ("damaged", 2));
    blockstore_close (&store);
    store_flip (store_path ("blocks", 2), -20, 1);
    strcpy (path, store_path ("damaged", 5));
    ck_assert_int_eq (link (path, store_path ("damaged", 2)), 0);
    remove_index ("data.mdb");
    store_open ();
    ck_assert (store_has_file ("damaged", 2));
    snprintf (path, sizeof path, "%s.1", store_path ("damaged", 2));
    ck_assert_int_eq (access (path, F_OK), 0);
}
END_TEST

START_TEST (a_finished_file_that_was_not_renamed_survives_the_loss_of_the_index)
{
    char path[256];
    store_put (1, 100000);
    store_put (2, 100000);
    struct writing *writing = store_write (3, 500);
    ck_assert (writing != NULL);
    blockstore_abandon (&writing);
    blockstore_close (&store);
    for (uint64_t block = 1; block <= 2; block++) {
        strcpy (path, store_path ("blocks", block));
        ck_assert_int_eq (rename (path, store_path ("writing", block)), 0);
    }
    store_flip (store_path ("writing", 2), 99999, 1); // a trailer, but not the bytes
    expect (0, file_write_atomic (store_path ("writing", 3), "half", 4, 0644, &error));
    remove_index ("data.mdb");
    store_open ();
    store_check (1, 100000);
    ck_assert (store_has_file ("blocks", 1));
    for (uint64_t block = 2; block <= 3; block++) {
        expect (LITEDFS_NOT_FOUND, store_stat (block));
        ck_assert (!store_has_file ("writing", block));
    }
}
END_TEST

START_TEST (files_of_other_names_are_left_alone)
{
    char path[200];
    static const char *const names[] = {"writing/x", "blocks/01/0000000000000001.bak"};
    for (size_t i = 0; i < 2; i++) {
        snprintf (path, sizeof path, "%s/%s", store_data, names[i]);
        expect (0, file_write_atomic (path, "mine", 4, 0644, &error));
    }
    blockstore_close (&store);
    remove_index ("data.mdb");
    store_open ();
    for (size_t i = 0; i < 2; i++) {
        snprintf (path, sizeof path, "%s/%s", store_data, names[i]);
        ck_assert_int_eq (access (path, F_OK), 0);
    }
}
END_TEST

START_TEST (an_index_that_was_in_use_without_sync_when_the_machine_went_down_is_built_anew)
{
    char path[200];
    struct blockstore_block rows[BLOCKS + 1];
    struct blockstore_options options = store_options ();
    options.sync = false;
    put_blocks ();
    remember (rows);
    expect (0, blockstore_confirm (store, BLOCKS, &error));
    blockstore_close (&store);
    snprintf (path, sizeof path, "%s/index/unsynced", store_data);
    expect (0, blockstore_open (&store, &options, &error));
    ck_assert_int_eq (access (path, F_OK), 0);
    blockstore_close (&store);
    ck_assert_int_ne (access (path, F_OK), 0);
    expect (0, file_write_atomic (path, "an earlier boot\n", 16, 0644, &error));
    store_open ();
    ck_assert_uint_eq (blockstore_confirmed (store), 0); // the old index is not believed
    ck_assert_int_ne (access (path, F_OK), 0);
    check_blocks (rows);
}
END_TEST

#ifdef LITEDFS_FAULT

static void
open_with_fault (void)
{
    struct blockstore_options options = store_options ();
    if (fault_set ("blockstore_in_rebuild=exit", &error) < 0)
        _exit (1);
    blockstore_open (&store, &options, &error);
}

static void
make_with_fault (void)
{
    struct blockstore_options options = store_options ();
    if (fault_set ("blockstore_after_version=exit", &error) < 0)
        _exit (1);
    blockstore_open (&store, &options, &error);
}

START_TEST (a_rebuild_that_was_interrupted_begins_again)
{
    struct blockstore_block rows[BLOCKS + 1];
    put_blocks ();
    remember (rows);
    blockstore_close (&store);
    remove_index ("data.mdb");
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq (WEXITSTATUS (store_run_child (open_with_fault)), FAULT_EXIT_STATUS);
    store_open ();
    check_blocks (rows);
}
END_TEST

START_TEST (a_first_start_that_was_interrupted_is_completed)
{
    blockstore_close (&store);
    nftw (store_data, store_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    ck_assert_int_eq (WEXITSTATUS (store_run_child (make_with_fault)), FAULT_EXIT_STATUS);
    store_open ();
    store_put (1, 10);
}
END_TEST

#define FAULT_CASES                                                                            \
    , a_rebuild_that_was_interrupted_begins_again,                                             \
        a_first_start_that_was_interrupted_is_completed
#else
#define FAULT_CASES
#endif

UNIT_MAIN_FIXTURE (
    "datanode_blockstore_start", store_setup, store_teardown,
    a_removed_index_is_built_anew_and_equal, a_damaged_index_is_built_anew,
    files_that_are_damaged_are_set_aside_and_not_deleted,
    a_finished_file_that_was_not_renamed_survives_the_loss_of_the_index,
    files_of_other_names_are_left_alone,
    an_index_that_was_in_use_without_sync_when_the_machine_went_down_is_built_anew FAULT_CASES)
