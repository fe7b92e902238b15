/* SPDX-License-Identifier: MIT */
/*
 * datanode/blockstore_damage: what is rotten is set aside once, whoever finds it, and goes when it is replaced
 * or deleted; and a process that dies on the way leaves nothing that the next start does not resolve.
 */
#include "datanode_store.h"

#include <pthread.h>

#define SIZE 200000
#define PAGE 4096

static uint8_t room[4 * CRC_UNIT];

static int
read_block (uint64_t block)
{
    struct slice range;
    uint32_t crc;
    return blockstore_read (store, block, 0, SIZE, room, &range, &crc, &error);
}

static int
verify (uint64_t block, uint64_t offset)
{
    return blockstore_verify (store, block, offset, SIZE, room, &error);
}

static struct blockstore_change
last_change (void)
{
    struct blockstore_change change;
    size_t count;
    expect (0,
            blockstore_changes (store, blockstore_seq (store) - 1, 1, &change, &count, &error));
    ck_assert_uint_eq (count, 1);
    return change;
}

/* The block is out of the index, reported once, and not read any more. */
static void
check_aside (uint64_t block, uint64_t seq)
{
    struct blockstore_space space;
    struct blockstore_change change = last_change ();
    ck_assert_uint_eq (blockstore_seq (store), seq);
    ck_assert (change.seq == seq && change.block == block && change.kind == CHANGE_DAMAGED);
    ck_assert_uint_eq (change.size, SIZE);
    expect (LITEDFS_NOT_FOUND, store_stat (block));
    expect (LITEDFS_CORRUPT, read_block (block));
    ck_assert_ptr_nonnull (strstr (error.text, "set aside"));
    expect (LITEDFS_CORRUPT, verify (block, 0));
    ck_assert_uint_eq (blockstore_seq (store), seq);
    ck_assert (!store_has_file ("blocks", block) && !store_has_file ("writing", block));
    expect (0, blockstore_space (store, &space, &error));
    ck_assert_uint_eq (space.blocks, 0);
}

/* A new copy comes, as by order. */
static void
replace (uint64_t block)
{
    struct blockstore_finish item = {.writing = NULL};
    struct uuid file = store_file (block);
    uint8_t *bytes = store_bytes (block, SIZE);
    expect (0, blockstore_begin_copy (store, block, &file, 0, "/a/path", 7, &item.writing, NULL,
                                      &error));
    expect (0, blockstore_append (item.writing, 0, bytes, SIZE, NULL, &error));
    expect (0, blockstore_finish (store, &item, 1, &error));
    free (bytes);
}

/* As of the last confirmed change there are so many blocks. */
static void
check_digests (uint64_t blocks)
{
    static struct blockstore_digest digests[BLOCK_ID_BUCKETS];
    uint64_t seq, sum = 0;
    expect (0, blockstore_digests (store, digests, &seq, &error));
    ck_assert_uint_eq (seq, blockstore_confirmed (store));
    for (size_t i = 0; i < BLOCK_ID_BUCKETS; i++) {
        sum += digests[i].count;
        ck_assert ((digests[i].hash == 0) == (digests[i].count == 0));
    }
    ck_assert_uint_eq (sum, blocks);
}

START_TEST (digests_follow_what_is_set_aside_replaced_and_deleted)
{
    struct blockstore_order order = {1, 1, ORDER_DELETE, 0};
    uint64_t seq = store_put (1, SIZE);
    check_digests (0);
    expect (0, blockstore_confirm (store, seq, &error));
    check_digests (1);
    store_flip (store_path ("blocks", 1), 70000, 1);
    expect (LITEDFS_CORRUPT, read_block (1));
    check_digests (1);
    replace (1);
    check_digests (1);
    expect (0, blockstore_confirm (store, seq + 1, &error));
    check_digests (0);
    expect (0, blockstore_confirm (store, seq + 2, &error));
    check_digests (1);
    store_flip (store_path ("blocks", 1), 70000, 1);
    expect (LITEDFS_CORRUPT, read_block (1));
    expect (0, blockstore_execute (store, 1, &order, 1, &error));
    check_digests (1);
    expect (0, blockstore_confirm (store, seq + 3, &error));
    check_digests (0);
    expect (0, blockstore_confirm (store, seq + 4, &error));
    check_digests (0);
    store_reopen ();
    check_digests (0);
}
END_TEST

enum harm { FLIP, ZERO, CUT, EMPTY, GONE, TRAILER, HARMS };

static void
do_harm (enum harm harm, uint64_t block)
{
    static const uint8_t zeros[PAGE];
    const char *path = store_path ("blocks", block);
    int fd = open (path, O_RDWR);
    ck_assert_int_ge (fd, 0);
    switch (harm) {
    case FLIP:
        store_flip (path, 70000, 1);
        break;
    case ZERO:
        ck_assert_int_eq (pwrite (fd, zeros, PAGE, 2 * PAGE), PAGE);
        break;
    case CUT:
        ck_assert_int_eq (ftruncate (fd, SIZE / 2), 0);
        break;
    case EMPTY:
        ck_assert_int_eq (ftruncate (fd, 0), 0);
        break;
    case GONE:
        ck_assert_int_eq (unlink (path), 0);
        break;
    default:
        store_flip (path, -20, 1);
    }
    close (fd);
}

START_TEST (harm_is_found_by_a_read_and_set_aside_once_and_replaced)
{
    for (enum harm harm = 0; harm < HARMS; harm++) {
        uint64_t seq = store_put (1, SIZE);
        do_harm (harm, 1);
        expect (LITEDFS_CORRUPT, read_block (1));
        check_aside (1, seq + 1);
        ck_assert (store_has_file ("damaged", 1) == (harm != GONE));
        store_reopen ();
        check_aside (1, seq + 1);
        replace (1);
        ck_assert_uint_eq (blockstore_seq (store), seq + 2);
        ck_assert_int_eq (last_change ().kind, CHANGE_ADDED);
        ck_assert (!store_has_file ("damaged", 1));
        store_check (1, SIZE);
        struct blockstore_order order = {seq, 1, ORDER_DELETE, 0};
        expect (0, blockstore_execute (store, 1, &order, 1, &error));
        fake_clock_advance (&store_clock, 7200000);
        expect (0, blockstore_expire (store, &error));
    }
}
END_TEST

START_TEST (verifying_finds_what_a_cached_file_hides_and_leaves_what_is_good)
{
    for (enum harm harm = 0; harm < HARMS; harm++) {
        store_put (1, SIZE);
        store_check (1, SIZE); // its file is open now, its trailer in memory
        uint64_t seq = blockstore_seq (store);
        expect (0, verify (1, 0));
        expect (0, verify (1, 2 * CRC_UNIT));
        ck_assert_uint_eq (blockstore_seq (store), seq);
        do_harm (harm, 1);
        if (harm == FLIP || harm == ZERO) // it is elsewhere
            expect (0, verify (1, 2 * CRC_UNIT));
        expect (LITEDFS_CORRUPT, verify (1, 0));
        check_aside (1, seq + 1);
        replace (1);
        store_check (1, SIZE);
        expect (0, verify (1, 0));
        struct blockstore_order order = {seq, 1, ORDER_DELETE, 0};
        expect (0, blockstore_execute (store, 1, &order, 1, &error));
        fake_clock_advance (&store_clock, 7200000);
        expect (0, blockstore_expire (store, &error));
    }
    expect (LITEDFS_NOT_FOUND, verify (1, 0));
    expect (LITEDFS_NOT_FOUND, verify (7, 0));
}
END_TEST

START_TEST (describing_a_block_whose_file_is_gone_sets_it_aside)
{
    struct blockstore_description found;
    uint64_t seq = store_put (1, SIZE);
    do_harm (GONE, 1);
    expect (LITEDFS_CORRUPT, blockstore_describe (store, 1, &found, &error));
    check_aside (1, seq + 1);
}
END_TEST

START_TEST (a_delete_order_takes_what_was_set_aside_and_says_so)
{
    uint64_t seq = store_put (1, SIZE);
    do_harm (FLIP, 1);
    expect (LITEDFS_CORRUPT, read_block (1));
    struct blockstore_order order = {1, 1, ORDER_DELETE, 0};
    expect (0, blockstore_execute (store, 1, &order, 1, &error));
    ck_assert (!store_has_file ("damaged", 1));
    struct blockstore_change change = last_change ();
    ck_assert (change.seq == seq + 2 && change.block == 1 && change.kind == CHANGE_REMOVED);
    expect (LITEDFS_LEASE_LOST, store_stat (1));
    order.number = 2; // nothing is there any more
    expect (0, blockstore_execute (store, 1, &order, 1, &error));
    ck_assert_uint_eq (blockstore_seq (store), seq + 2);
}
END_TEST

START_TEST (what_was_set_aside_is_listed_anew_when_numbers_are)
{
    struct blockstore_change changes[4];
    size_t count;
    store_put (1, SIZE);
    store_put (2, SIZE);
    do_harm (FLIP, 2);
    expect (LITEDFS_CORRUPT, read_block (2));
    expect (0, blockstore_resume (store, 100, &error));
    ck_assert_uint_eq (blockstore_confirmed (store), 100);
    expect (0, blockstore_changes (store, 0, 4, changes, &count, &error));
    ck_assert_uint_eq (count, 1);
    ck_assert (changes[0].seq == 101 && changes[0].block == 2 && changes[0].size == SIZE);
    ck_assert (changes[0].kind == CHANGE_DAMAGED && changes[0].beside);
    check_digests (1);
}
END_TEST

START_TEST (a_file_in_damaged_that_nobody_knows_is_listed_at_the_start)
{
    char path[256];
    store_put (1, SIZE);
    blockstore_close (&store);
    strcpy (path, store_path ("blocks", 1));
    ck_assert_int_eq (link (path, store_path ("damaged", 2)), 0);
    ck_assert_int_eq (link (path, store_path ("damaged", 1)), 0); // which is here as well
    store_open ();
    struct blockstore_change change = last_change ();
    ck_assert (change.block == 2 && change.kind == CHANGE_DAMAGED && change.size > SIZE);
    ck_assert (store_has_file ("damaged", 2) && !store_has_file ("damaged", 1));
    uint64_t seq = blockstore_seq (store);
    store_reopen ();
    ck_assert_uint_eq (blockstore_seq (store), seq);
    store_check (1, SIZE);
}
END_TEST

START_TEST (blocks_are_found_in_the_order_of_their_ids)
{
    struct blockstore_block row;
    store_put (30, 100);
    store_put (10, 200);
    expect (0, blockstore_next (store, 0, &row, &error));
    ck_assert (row.block == 10 && row.size == 200);
    expect (0, blockstore_next (store, 11, &row, &error));
    ck_assert (row.block == 30 && row.size == 100);
    expect (LITEDFS_NOT_FOUND, blockstore_next (store, 31, &row, &error));
}
END_TEST

#ifdef LITEDFS_FAULT

START_TEST (a_disk_that_cannot_give_the_bytes_has_lost_them)
{
    uint64_t seq = store_put (1, SIZE);
    expect (0, fault_set ("blockfile_read_error=error", &error));
    expect (LITEDFS_CORRUPT, read_block (1));
    ck_assert_ptr_nonnull (strstr (error.text, strerror (EIO)));
    expect (0, fault_set (NULL, &error));
    check_aside (1, seq + 1);
}
END_TEST

START_TEST (what_is_wrong_once_and_right_when_it_is_looked_at_again_stays)
{
    uint64_t seq = store_put (1, SIZE);
    expect (0, fault_set ("blockfile_read_error=error:1", &error));
    expect (0, read_block (1));
    ck_assert_uint_eq (blockstore_seq (store), seq);
    store_check (1, SIZE);
}
END_TEST

static void *
read_corrupt (void *arg)
{
    struct slice range;
    uint32_t crc;
    litedfs_error_t why;
    uint8_t *own = malloc (blockstore_read_room (0, SIZE));
    *(int *) arg = blockstore_read (store, 1, 0, SIZE, own, &range, &crc, &why);
    free (own);
    return NULL;
}

START_TEST (readers_that_find_it_at_the_same_time_set_it_aside_once)
{
    pthread_t threads[4];
    int results[4];
    uint64_t seq = store_put (1, SIZE);
    do_harm (FLIP, 1);
    expect (0, fault_set ("blockstore_before_damage=delay=300", &error));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq (pthread_create (&threads[i], NULL, read_corrupt, &results[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join (threads[i], NULL);
        ck_assert_int_eq (results[i], LITEDFS_CORRUPT);
    }
    check_aside (1, seq + 1);
    ck_assert_uint_eq (blockstore_damaged (store), 1);
}
END_TEST

START_TEST (a_commit_that_fails_leaves_the_block_for_the_next_time)
{
    uint64_t seq = store_put (1, SIZE);
    do_harm (FLIP, 1);
    expect (0, fault_set ("blockstore_commit_error=error:1", &error));
    expect (LITEDFS_CORRUPT, read_block (1));
    ck_assert (store_has_file ("blocks", 1) && blockstore_seq (store) == seq);
    expect (LITEDFS_CORRUPT, read_block (1));
    check_aside (1, seq + 1);
}
END_TEST

static const char *child_fault;
static int child_part;

static void
rot_with_fault (void)
{
    struct blockstore_options options = store_options ();
    if (blockstore_open (&store, &options, &error) < 0)
        _exit (1);
    store_put (1, SIZE);
    do_harm (FLIP, 1);
    if (child_part > 0)
        read_block (1);
    if (fault_set (child_fault, &error) < 0)
        _exit (2);
    struct blockstore_order order = {1, 1, ORDER_DELETE, 0};
    if (child_part == 0)
        read_block (1);
    else if (child_part == 1)
        replace (1);
    else
        blockstore_execute (store, 1, &order, 1, &error);
    _exit (0);
}

static void
die_at (int part, const char *fault)
{
    blockstore_close (&store);
    nftw (store_data, store_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    child_fault = fault;
    child_part = part;
    ck_assert_int_eq (WEXITSTATUS (store_run_child (rot_with_fault)), FAULT_EXIT_STATUS);
    store_open ();
}

START_TEST (a_process_that_dies_while_it_sets_aside_has_done_so_or_not)
{
    die_at (0, "blockstore_before_damage=exit");
    ck_assert (store_has_file ("blocks", 1) && blockstore_seq (store) == 1);
    expect (LITEDFS_CORRUPT, read_block (1));
    check_aside (1, 2);
    die_at (0, "blockstore_after_damage=exit");
    check_aside (1, 2);
    ck_assert (store_has_file ("damaged", 1));
    die_at (0, "blockstore_after_aside=exit");
    check_aside (1, 2);
    ck_assert (store_has_file ("damaged", 1));
    replace (1);
    store_check (1, SIZE);
}
END_TEST

START_TEST (a_process_that_dies_while_it_replaces_has_done_so_or_not)
{
    die_at (1, "blockstore_before_commit=exit");
    check_aside (1, 2);
    ck_assert (store_has_file ("damaged", 1));
    die_at (1, "blockstore_after_commit=exit");
    ck_assert (!store_has_file ("damaged", 1));
    store_check (1, SIZE);
    die_at (1, "blockstore_after_rename=exit");
    ck_assert (!store_has_file ("damaged", 1));
    store_check (1, SIZE);
}
END_TEST

START_TEST (a_process_that_dies_while_it_deletes_has_done_so_or_not)
{
    die_at (2, "blockstore_before_execute=exit");
    check_aside (1, 2);
    ck_assert (store_has_file ("damaged", 1));
    die_at (2, "blockstore_after_execute=exit");
    expect (LITEDFS_LEASE_LOST, store_stat (1));
    ck_assert (!store_has_file ("damaged", 1) && !store_has_file ("blocks", 1));
    ck_assert_uint_eq (blockstore_seq (store), 3);
}
END_TEST

#define FAULT_CASES                                                                            \
    , a_disk_that_cannot_give_the_bytes_has_lost_them,                                         \
        what_is_wrong_once_and_right_when_it_is_looked_at_again_stays,                         \
        readers_that_find_it_at_the_same_time_set_it_aside_once,                               \
        a_commit_that_fails_leaves_the_block_for_the_next_time,                                \
        a_process_that_dies_while_it_sets_aside_has_done_so_or_not,                            \
        a_process_that_dies_while_it_replaces_has_done_so_or_not,                              \
        a_process_that_dies_while_it_deletes_has_done_so_or_not
#else
#define FAULT_CASES
#endif

UNIT_MAIN_FIXTURE ("datanode_blockstore_damage", store_setup, store_teardown,
                   harm_is_found_by_a_read_and_set_aside_once_and_replaced,
                   verifying_finds_what_a_cached_file_hides_and_leaves_what_is_good,
                   digests_follow_what_is_set_aside_replaced_and_deleted,
                   describing_a_block_whose_file_is_gone_sets_it_aside,
                   a_delete_order_takes_what_was_set_aside_and_says_so,
                   what_was_set_aside_is_listed_anew_when_numbers_are,
                   a_file_in_damaged_that_nobody_knows_is_listed_at_the_start,
                   blocks_are_found_in_the_order_of_their_ids FAULT_CASES)
