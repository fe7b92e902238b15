/* SPDX-License-Identifier: MIT */
/*
 * datanode/blockstore_read: readers get the bytes that were written or an error, while blocks come and go.
 */
#include "datanode_store.h"

#include <pthread.h>
#include <stdatomic.h>

static int
read_range (uint64_t block, uint64_t offset, size_t size)
{
    struct slice range;
    uint32_t crc;
    void *room = malloc (blockstore_read_room (offset, size) + 1);
    int rc = blockstore_read (store, block, offset, size, room, &range, &crc, &error);
    free (room);
    return rc;
}

START_TEST (unknown_and_unfinished_blocks_are_not_found)
{
    struct writing *writing = store_write (1, 1000);
    expect (LITEDFS_NOT_FOUND, read_range (1, 0, 10));
    expect (LITEDFS_NOT_FOUND, read_range (2, 0, 10));
    blockstore_abandon (&writing);
}
END_TEST

START_TEST (an_offset_beyond_the_end_is_refused_and_a_size_beyond_it_is_cut)
{
    store_put (1, 100);
    expect (LITEDFS_INVALID, read_range (1, 101, 1));
    expect (0, read_range (1, 100, 1));
    expect (0, read_range (1, 0, 4 << 20));
}
END_TEST

START_TEST (every_flipped_byte_of_a_block_file_is_noticed)
{
    enum { SIZE = 150 };
    struct stat st;
    store_put (1, SIZE);
    const char *path = store_path ("blocks", 1);
    ck_assert_int_eq (stat (path, &st), 0);
    for (off_t at = 0; at < st.st_size; at += 1) {
        store_flip (path, at, 0x10);
        struct blockstore_options options = store_options ();
        blockstore_close (&store); // the cache has what was read before
        expect (0, blockstore_open (&store, &options, &error));
        expect (LITEDFS_CORRUPT, read_range (1, 0, SIZE));
        ck_assert_ptr_nonnull (strstr (error.text, "block[0000000000000001]"));
        ck_assert (store_has_file ("damaged", 1));
        store_put (1, SIZE); // the copy that replaces it
        path = store_path ("blocks", 1);
    }
    store_check (1, SIZE);
}
END_TEST

START_TEST (a_file_that_is_gone_or_another_blocks_is_damage)
{
    char path[256];
    store_put (1, 1000);
    store_put (2, 1000);
    strcpy (path, store_path ("blocks", 2));
    ck_assert_int_eq (unlink (path), 0);
    expect (LITEDFS_CORRUPT, read_range (2, 0, 10));
    store_put (2, 1000);
    ck_assert_int_eq (rename (store_path ("blocks", 1), path), 0);
    expect (LITEDFS_CORRUPT, read_range (2, 0, 10));
    store_put (2, 1000);
    ck_assert_int_eq (truncate (path, 500), 0);
    expect (LITEDFS_CORRUPT, read_range (2, 0, 10));
}
END_TEST

START_TEST (more_blocks_than_the_cache_holds_are_read)
{
    struct blockstore_options options = store_options ();
    blockstore_close (&store);
    options.cache_files = 3;
    expect (0, blockstore_open (&store, &options, &error));
    for (uint64_t block = 1; block <= 20; block++)
        store_put (block, 1000 * block);
    for (int round = 0; round < 3; round++)
        for (uint64_t block = 1; block <= 20; block++)
            store_check (block, 1000 * block);
}
END_TEST

/* Readers read blocks of 1 to BLOCKS; odd ones are deleted meanwhile. */
enum { BLOCKS = 60, SIZE = 200000, READERS = 4 };

static atomic_bool deleting;
static atomic_uint failures;
static atomic_uint reads;

static void *
reader (void *arg)
{
    litedfs_error_t mine;
    struct rng rng;
    uint8_t *room = malloc (blockstore_read_room (0, SIZE));
    rng_seed (&rng, (uint64_t) (uintptr_t) arg);
    for (bool more = true; more;) {
        more = atomic_load (&deleting);
        uint64_t block = 1 + rng_below (&rng, BLOCKS);
        struct slice range;
        uint32_t crc;
        int rc = blockstore_read (store, block, 0, SIZE, room, &range, &crc, &mine);
        if (rc == 0) {
            uint8_t *bytes = store_bytes (block, SIZE);
            if (range.size != SIZE || memcmp (bytes, range.data, SIZE) != 0)
                atomic_fetch_add (&failures, 1);
            free (bytes);
        } else if (rc != LITEDFS_NOT_FOUND || block % 2 == 0) {
            fprintf (stderr, "# block %" PRIu64 ": %s\n", block, mine.text);
            atomic_fetch_add (&failures, 1);
        }
        atomic_fetch_add (&reads, 1);
    }
    free (room);
    return NULL;
}

START_TEST (several_threads_read_while_blocks_are_written_and_deleted)
{
    pthread_t threads[READERS];
    struct blockstore_options options = store_options ();
    blockstore_close (&store);
    options.cache_files = 8;
    expect (0, blockstore_open (&store, &options, &error));
    for (uint64_t block = 1; block <= BLOCKS; block++)
        store_put (block, SIZE);
    atomic_store (&deleting, true);
    for (uintptr_t i = 0; i < READERS; i++)
        ck_assert_int_eq (pthread_create (&threads[i], NULL, reader, (void *) (i + 1)), 0);
    for (uint64_t block = 1; block <= BLOCKS; block += 2) {
        struct blockstore_order order = {.number = block, .block = block};
        unsigned before = atomic_load (&reads);
        while (atomic_load (&reads) < before + 10)
            sched_yield ();
        expect (0, blockstore_execute (store, 1, &order, 1, &error));
        store_put (BLOCKS + block, 1000);
    }
    atomic_store (&deleting, false);
    for (int i = 0; i < READERS; i++)
        pthread_join (threads[i], NULL);
    ck_assert_uint_eq (atomic_load (&failures), 0);

    // Nothing keeps a deleted file open.
    char command[200];
    snprintf (command, sizeof command, "! ls -l /proc/%d/fd | grep -q 'blocks.*(deleted)'",
              (int) getpid ());
    ck_assert_int_eq (system (command), 0);
}
END_TEST

START_TEST (a_block_whose_rename_failed_is_read_where_it_is_and_renamed_at_the_next_start)
{
    char path[256];
    snprintf (path, sizeof path, "%s/blocks/05", store_data);
    ck_assert_int_eq (rmdir (path), 0);
    store_put (5, 100000);
    ck_assert (store_has_file ("writing", 5));
    store_check (5, 100000);
    store_reopen ();
    ck_assert (store_has_file ("blocks", 5) && !store_has_file ("writing", 5));
    store_check (5, 100000);
}
END_TEST

#ifdef LITEDFS_FAULT

static void *
put_slowly (void *arg)
{
    (void) arg;
    store_put (1, 1000);
    return NULL;
}

START_TEST (a_block_is_read_between_its_commit_and_its_rename)
{
    pthread_t thread;
    expect (0, fault_set ("blockstore_after_commit=delay=300", &error));
    ck_assert_int_eq (pthread_create (&thread, NULL, put_slowly, NULL), 0);
    struct blockstore_block row;
    while (blockstore_stat (store, 1, &row, NULL) < 0)
        sched_yield ();
    ck_assert (store_has_file ("writing", 1));
    store_check (1, 1000);
    pthread_join (thread, NULL);
    ck_assert (store_has_file ("blocks", 1));
}
END_TEST

#define FAULT_CASES , a_block_is_read_between_its_commit_and_its_rename
#else
#define FAULT_CASES
#endif

UNIT_MAIN_FIXTURE (
    "datanode_blockstore_read", store_setup, store_teardown,
    unknown_and_unfinished_blocks_are_not_found,
    an_offset_beyond_the_end_is_refused_and_a_size_beyond_it_is_cut,
    every_flipped_byte_of_a_block_file_is_noticed,
    a_file_that_is_gone_or_another_blocks_is_damage, more_blocks_than_the_cache_holds_are_read,
    several_threads_read_while_blocks_are_written_and_deleted,
    a_block_whose_rename_failed_is_read_where_it_is_and_renamed_at_the_next_start FAULT_CASES)
