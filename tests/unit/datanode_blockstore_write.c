/* SPDX-License-Identifier: MIT */
/*
 * datanode/blockstore_write: what is appended in order is finished, alone or with others, or abandoned; and
 * a process that dies at any step leaves a block or nothing.
 */
#include "datanode_store.h"

#include <signal.h>
#include <sys/mount.h>

#define UNIT ((size_t) CRC_UNIT)

static int
begin (uint64_t block, struct writing **out)
{
    struct uuid file = store_file (block);
    return blockstore_begin (store, block, &file, 0, "/p", 2, out, NULL, &error);
}

START_TEST (blocks_of_every_size_are_written_and_read_back)
{
    size_t sizes[] = {0,
                      1,
                      4096,
                      UNIT - 1,
                      UNIT,
                      UNIT + 1,
                      2 * UNIT,
                      16 * UNIT,
                      16 * UNIT + 1,
                      16 * UNIT - 1,
                      (size_t) 20 << 20};
    size_t count = sizeof sizes / sizeof *sizes;
    for (size_t i = 0; i < count; i++) {
        store_put (i + 1, sizes[i]);
        store_check (i + 1, sizes[i]);
    }
    store_reopen ();
    for (size_t i = 0; i < count; i++)
        store_check (i + 1, sizes[i]);
}
END_TEST

START_TEST (chunks_are_appended_in_order_and_repeats_are_recognised)
{
    struct writing *writing;
    size_t size = 5 * UNIT + 100;
    uint8_t *bytes = store_bytes (9, size);
    expect (0, begin (9, &writing));
    expect (LITEDFS_GAP, blockstore_append (writing, UNIT, bytes, UNIT, NULL, &error));
    expect (LITEDFS_INVALID, blockstore_append (writing, 1, bytes, UNIT, NULL, &error));
    expect (0, blockstore_append (writing, 0, bytes, 2 * UNIT, NULL, &error));
    ck_assert_uint_eq (writing_offset (writing), 2 * UNIT);
    expect (0, blockstore_append (writing, 0, bytes, UNIT, NULL, &error));
    expect (0, blockstore_append (writing, UNIT, bytes + UNIT, UNIT, NULL, &error));
    expect (LITEDFS_DIFFERENT, blockstore_append (writing, UNIT, bytes, UNIT, NULL, &error));
    expect (LITEDFS_DIFFERENT, blockstore_append (writing, 0, bytes, 100, NULL, &error));
    // Half of it is there already.
    expect (0, blockstore_append (writing, UNIT, bytes + UNIT, 3 * UNIT, NULL, &error));
    ck_assert_uint_eq (writing_offset (writing), 4 * UNIT);
    expect (0,
            blockstore_append (writing, 4 * UNIT, bytes + 4 * UNIT, UNIT + 100, NULL, &error));
    expect (0, blockstore_append (writing, 5 * UNIT, bytes + 5 * UNIT, 100, NULL, &error));
    expect (LITEDFS_DIFFERENT,
            blockstore_append (writing, 5 * UNIT, bytes + 5 * UNIT, 99, NULL, &error));
    expect (LITEDFS_INVALID, blockstore_append (writing, 5 * UNIT, bytes, 200, NULL, &error));
    expect (LITEDFS_INVALID, blockstore_append (writing, 6 * UNIT, bytes, 1, NULL, &error));
    expect (0, blockstore_append (writing, 0, NULL, 0, NULL, &error));
    ck_assert_uint_eq (writing_offset (writing), size);
    struct blockstore_finish item = {.writing = writing};
    expect (0, blockstore_finish (store, &item, 1, &error));
    store_check (9, size);
    free (bytes);
}
END_TEST

START_TEST (more_than_a_block_may_have_is_refused)
{
    struct writing *writing;
    expect (0, begin (1, &writing));
    expect (LITEDFS_INVALID,
            blockstore_append (writing, UINT64_MAX - 65535, "x", 1, NULL, &error));
    expect (LITEDFS_INVALID,
            blockstore_append (writing, (uint64_t) 4 << 30, "x", 1, NULL, &error));
    blockstore_abandon (&writing);
    expect (LITEDFS_INVALID, begin (0, &writing));
}
END_TEST

START_TEST (an_id_is_written_once)
{
    struct writing *writing;
    struct writing *second;
    struct blockstore_block existing;
    struct uuid file = store_file (5);
    expect (0, begin (5, &writing));
    expect (LITEDFS_LOCKED, begin (5, &second));
    blockstore_abandon (&writing);
    ck_assert (!store_has_file ("writing", 5));
    store_put (5, 1000);
    expect (LITEDFS_EXISTS,
            blockstore_begin (store, 5, &file, 0, "", 0, &second, &existing, &error));
    ck_assert_uint_eq (existing.size, 1000);
    ck_assert_uint_eq (existing.block, 5);
    store_check (5, 1000);
}
END_TEST

START_TEST (a_stat_says_what_was_written_and_when)
{
    struct blockstore_block row;
    fake_clock_set_wall (&store_clock, 1711111111111);
    uint64_t seq = store_put (300, 77);
    expect (0, blockstore_stat (store, 300, &row, &error));
    struct uuid file = store_file (300);
    ck_assert (uuid_equal (&row.file, &file));
    ck_assert_uint_eq (row.index, 300 % 7);
    ck_assert_uint_eq (row.seq, seq);
    ck_assert_int_eq (row.ctime_ms, 1711111111111);
    expect (LITEDFS_NOT_FOUND, store_stat (301));
}
END_TEST

START_TEST (many_blocks_are_finished_with_one_call)
{
    struct blockstore_finish items[BLOCKSTORE_FINISH_MAX];
    for (size_t i = 0; i < BLOCKSTORE_FINISH_MAX; i++)
        items[i] = (struct blockstore_finish){.writing = store_write (i + 1, i * 1000)};
    expect (0, blockstore_finish (store, items, BLOCKSTORE_FINISH_MAX, &error));
    for (size_t i = 0; i < BLOCKSTORE_FINISH_MAX; i++) {
        ck_assert_uint_eq (items[i].seq, i + 1);
        ck_assert (store_has_file ("blocks", i + 1));
        ck_assert (!store_has_file ("writing", i + 1));
        store_check (i + 1, i * 1000);
    }
}
END_TEST

START_TEST (without_sync_blocks_are_finished_too)
{
    struct blockstore_options options = store_options ();
    blockstore_close (&store);
    options.sync = false;
    expect (0, blockstore_open (&store, &options, &error));
    store_put (1, (size_t) 9 << 20);
    blockstore_close (&store);
    expect (0, blockstore_open (&store, &options, &error));
    store_check (1, (size_t) 9 << 20);
    store_reopen ();
    store_check (1, (size_t) 9 << 20);
}
END_TEST

/* A child that writes blocks 1, 2, 3 ... and says on a pipe which ones are durable. */
static int child_pipe[2];

static void
write_for_ever (void)
{
    struct blockstore_options options = store_options ();
    if (blockstore_open (&store, &options, &error) < 0)
        _exit (1);
    for (uint64_t block = 1;; block++) {
        size_t size = (size_t) (block * 7919 % 200000);
        store_put (block, size);
        if (write (child_pipe[1], &block, sizeof block) != sizeof block)
            _exit (1);
    }
}

static size_t
child_size (uint64_t block)
{
    return (size_t) (block * 7919 % 200000);
}

START_TEST (what_was_reported_durable_survives_kill_9_at_any_moment)
{
    struct rng rng;
    rng_seed (&rng, 4);
    for (int round = 0; round < 12; round++) {
        uint64_t last = 0;
        uint64_t wanted = 1 + rng_below (&rng, 12);
        blockstore_close (&store);
        nftw (store_data, store_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        ck_assert_int_eq (pipe (child_pipe), 0);
        pid_t pid = fork ();
        if (pid == 0)
            write_for_ever ();
        close (child_pipe[1]);
        while (last < wanted)
            ck_assert_int_eq (read (child_pipe[0], &last, sizeof last), sizeof last);
        usleep ((useconds_t) rng_below (&rng, 3000)); // to hit another step each time
        kill (pid, SIGKILL);
        ck_assert_int_eq (waitpid (pid, NULL, 0), pid);
        while (read (child_pipe[0], &last, sizeof last) > 0)
            ;
        close (child_pipe[0]);
        store_open ();
        for (uint64_t block = 1; block <= last; block++)
            store_check (block, child_size (block));
        // The one after may be there, whole, or not at all.
        if (store_stat (last + 1) == 0)
            store_check (last + 1, child_size (last + 1));
        ck_assert (!store_has_file ("writing", last + 1));
    }
}
END_TEST

#ifdef LITEDFS_FAULT

/* Finish block 1 and end; then two more together with a fault on the way. */
static const char *child_fault;

static void
finish_with_fault (void)
{
    struct blockstore_options options = store_options ();
    if (blockstore_open (&store, &options, &error) < 0)
        _exit (1);
    store_put (1, 70000);
    if (fault_set (child_fault, &error) < 0)
        _exit (2);
    struct blockstore_finish items[2] = {{.writing = store_write (2, 150000)},
                                         {.writing = store_write (3, 1)}};
    _exit (blockstore_finish (store, items, 2, &error) < 0 ? 3 : 0);
}

static void
die_at (const char *fault, bool there)
{
    blockstore_close (&store);
    nftw (store_data, store_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    child_fault = fault;
    int status = store_run_child (finish_with_fault);
    ck_assert_msg (WIFEXITED (status) && WEXITSTATUS (status) == FAULT_EXIT_STATUS, "%s: %d",
                   fault, status);
    store_open ();
    store_check (1, 70000);
    for (uint64_t block = 2; block <= 3; block++) {
        ck_assert_msg (store_stat (block) == (there ? 0 : LITEDFS_NOT_FOUND), "%s", fault);
        ck_assert (!store_has_file ("writing", block));
        ck_assert (store_has_file ("blocks", block) == there);
        if (there)
            store_check (block, block == 2 ? 150000 : 1);
        else
            store_put (block, 5);
    }
}

START_TEST (a_process_that_dies_before_the_commit_leaves_nothing)
{
    die_at ("blockstore_after_data=exit", false);
    die_at ("blockstore_after_data=exit:2", false);
    die_at ("blockstore_after_trailer=exit", false);
    die_at ("blockstore_after_trailer=exit:2", false);
    die_at ("blockstore_after_file_sync=exit", false);
    die_at ("blockstore_before_commit=exit", false);
}
END_TEST

START_TEST (a_process_that_dies_after_the_commit_leaves_all_of_it)
{
    die_at ("blockstore_after_commit=exit", true);
    die_at ("blockstore_after_rename=exit", true);
    die_at ("blockstore_after_rename=exit:2", true);
}
END_TEST

START_TEST (a_failed_write_may_be_tried_again)
{
    static const struct {
        const char *fault;
        int number;
    } cases[] = {{"blockstore_pwrite_error=error:1", LITEDFS_IO},
                 {"blockstore_full_error=error:1", LITEDFS_NO_SPACE}};
    for (uint64_t i = 0; i < 2; i++) {
        struct writing *writing;
        uint8_t *bytes = store_bytes (i + 1, 100);
        expect (0, begin (i + 1, &writing));
        expect (0, fault_set (cases[i].fault, &error));
        expect (cases[i].number, blockstore_append (writing, 0, bytes, 100, NULL, &error));
        ck_assert_uint_eq (writing_offset (writing), 0);
        expect (0, blockstore_append (writing, 0, bytes, 100, NULL, &error));
        struct blockstore_finish item = {.writing = writing};
        expect (0, blockstore_finish (store, &item, 1, &error));
        store_check (i + 1, 100);
        free (bytes);
    }
}
END_TEST

START_TEST (a_failed_sync_loses_its_block_and_no_other)
{
    struct blockstore_finish items[3];
    for (size_t i = 0; i < 3; i++)
        items[i] = (struct blockstore_finish){.writing = store_write (i + 1, 1000)};
    expect (0, fault_set ("blockstore_sync_error=error:2", &error));
    expect (LITEDFS_IO, blockstore_finish (store, items, 3, &error));
    expect (0, fault_set (NULL, &error));
    ck_assert (!items[0].writing && items[1].writing && !items[2].writing);
    ck_assert_int_eq (items[1].error.number, LITEDFS_IO);
    // It cannot be finished by asking again.
    expect (LITEDFS_IO, blockstore_finish (store, &items[1], 1, &error));
    expect (LITEDFS_IO, blockstore_append (items[1].writing, 0, "x", 1, NULL, &error));
    blockstore_abandon (&items[1].writing);
    store_check (1, 1000);
    store_check (3, 1000);
    expect (LITEDFS_NOT_FOUND, store_stat (2));
    store_put (2, 1000);
}
END_TEST

START_TEST (a_failed_commit_finishes_nothing_and_the_store_goes_on)
{
    struct blockstore_finish items[2] = {{.writing = store_write (1, 10)},
                                         {.writing = store_write (2, 20)}};
    expect (0, fault_set ("blockstore_commit_error=error:1", &error));
    expect (LITEDFS_IO, blockstore_finish (store, items, 2, &error));
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq (items[i].error.number, LITEDFS_IO);
        expect (LITEDFS_NOT_FOUND, store_stat (i + 1));
        blockstore_abandon (&items[i].writing);
    }
    ck_assert (!blockstore_failed (store));
    ck_assert_uint_eq (blockstore_seq (store), 0);
    ck_assert_uint_eq (store_put (1, 10), 1);
}
END_TEST

#define FAULT_CASES                                                                            \
    , a_process_that_dies_before_the_commit_leaves_nothing,                                    \
        a_process_that_dies_after_the_commit_leaves_all_of_it,                                 \
        a_failed_write_may_be_tried_again, a_failed_sync_loses_its_block_and_no_other,         \
        a_failed_commit_finishes_nothing_and_the_store_goes_on
#else
#define FAULT_CASES
#endif

START_TEST (a_full_disk_refuses_writes_and_takes_deletes)
{
    char options[] = "size=24m";
    uint64_t block = 0;
    int rc = 0;
    blockstore_close (&store);
    if (mount ("none", store_data, "tmpfs", 0, options) < 0) {
        fprintf (stderr, "# skipped: no tmpfs can be mounted: %s\n", strerror (errno));
        store_open ();
        return;
    }
    store_open ();
    uint8_t *bytes = store_bytes (1, 1 << 20);
    while (rc == 0 && block < 100) {
        struct writing *writing;
        rc = begin (++block, &writing);
        if (rc < 0)
            break;
        rc = blockstore_append (writing, 0, bytes, 1 << 20, NULL, &error);
        struct blockstore_finish item = {.writing = writing};
        if (rc == 0)
            rc = blockstore_finish (store, &item, 1, &error);
        if (rc < 0)
            blockstore_abandon (&writing);
    }
    expect (LITEDFS_NO_SPACE, rc);
    ck_assert_uint_gt (block, 5);
    ck_assert_uint_lt (block, 24);
    // Fill what is left to the last byte: deletes work still, and make room.
    char path[160];
    snprintf (path, sizeof path, "%s/filler", store_data);
    int fd = open (path, O_WRONLY | O_CREAT, 0644);
    while (write (fd, bytes, 4096) > 0)
        ;
    close (fd);
    struct blockstore_order orders[3] = {
        {.number = 1, .block = 1}, {.number = 2, .block = 2}, {.number = 3, .block = 3}};
    expect (0, blockstore_execute (store, 1, orders, 3, &error));
    expect (LITEDFS_LEASE_LOST, store_stat (1));
    store_put (1000, 1 << 20);
    store_reopen ();
    store_check (1000, 1 << 20);
    expect (0, store_stat (4));
    blockstore_close (&store);
    umount (store_data);
    free (bytes);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_blockstore_write", store_setup, store_teardown,
                   blocks_of_every_size_are_written_and_read_back,
                   chunks_are_appended_in_order_and_repeats_are_recognised,
                   more_than_a_block_may_have_is_refused, an_id_is_written_once,
                   a_stat_says_what_was_written_and_when,
                   many_blocks_are_finished_with_one_call, without_sync_blocks_are_finished_too,
                   what_was_reported_durable_survives_kill_9_at_any_moment,
                   a_full_disk_refuses_writes_and_takes_deletes FAULT_CASES)
