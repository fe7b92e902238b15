/* SPDX-License-Identifier: MIT */
/*
 * datanode/diskpool: jobs go in, results come out, in the order that a block needs, and nothing is lost at
 * the end.  Runs the bodies of datanode/diskworker.
 */
#include "datanode_store.h"

#include "base/process.h"
#include "datanode/diskpool.h"

#define CHUNK ((size_t) 1 << 20)

static struct diskpool *pool;

static void
setup (void)
{
    expect (0, process_init_czmq (1, &error));
    store_setup ();
    expect (0, diskpool_start (&pool, store, 3, 2, NULL, NULL, &error));
}

static void
teardown (void)
{
    diskpool_stop (&pool);
    store_teardown ();
    process_end ();
}

/* Submit a part of a block. */
static void
submit_write (uint64_t block, uint64_t offset, size_t size, bool last, uint64_t token)
{
    zmq_msg_t payload;
    uint32_t units[DISK_UNITS_MAX];
    uint8_t *bytes = store_bytes (block, (size_t) offset + size);
    struct disk_job job = {.kind = DISK_WRITE,
                           .token = token,
                           .block = block,
                           .offset = offset,
                           .last = last,
                           .count = 1,
                           .file = store_file (block),
                           .index = block % 7,
                           .path = slice_str ("/a/path"),
                           .units = units,
                           .unit_count = crc_units (bytes + offset, size, units)};
    zmq_msg_init_size (&payload, size);
    if (size)
        memcpy (zmq_msg_data (&payload), bytes + offset, size);
    expect (0, diskpool_submit (pool, &job, &payload, &error));
    ck_assert_uint_eq (zmq_msg_size (&payload), 0);
    free (bytes);
}

static void
submit_block (uint64_t block, size_t size, uint64_t token)
{
    size_t at = 0;
    for (; at + CHUNK < size; at += CHUNK)
        submit_write (block, at, CHUNK, false, token);
    submit_write (block, at, size - at, true, token);
}

static void
submit (enum disk_job_kind kind, uint64_t block, uint64_t offset, size_t size, uint64_t token)
{
    struct disk_job job = {
        .kind = kind, .token = token, .block = block, .offset = offset, .size = size};
    expect (0, diskpool_submit (pool, &job, NULL, &error));
}

/* Wait for the next result; its payload is the caller's. */
static struct disk_result
next_with_payload (zmq_msg_t *payload)
{
    struct disk_result result;
    while (!diskpool_result (pool, &result, payload)) {
        zmq_pollitem_t item = {zsock_resolve (diskpool_socket (pool)), 0, ZMQ_POLLIN, 0};
        ck_assert_int_eq (zmq_poll (&item, 1, 20000), 1);
    }
    return result;
}

static struct disk_result
next (void)
{
    zmq_msg_t payload;
    struct disk_result result = next_with_payload (&payload);
    zmq_msg_close (&payload);
    return result;
}

/* Read a range through the pool and compare it. */
static void
check_read (uint64_t block, size_t block_size, uint64_t offset, size_t size)
{
    zmq_msg_t payload;
    size_t expected = offset + size > block_size ? block_size - offset : size;
    uint8_t *bytes = store_bytes (block, block_size);
    submit (DISK_READ, block, offset, size, 99);
    struct disk_result result = next_with_payload (&payload);
    ck_assert_int_eq (result.kind, DISK_READ_DONE);
    ck_assert_msg (result.error.number == 0, "%s", result.error.text);
    ck_assert_uint_eq (result.token, 99);
    ck_assert_uint_eq (result.block, block);
    ck_assert_uint_eq (result.offset, offset);
    ck_assert_uint_eq (result.size, expected);
    ck_assert_uint_eq (zmq_msg_size (&payload), expected);
    ck_assert (memcmp (zmq_msg_data (&payload), bytes + offset, expected) == 0);
    ck_assert_uint_eq (result.crc, crc32_of (0, bytes + offset, expected));
    zmq_msg_close (&payload);
    free (bytes);
}

START_TEST (a_block_is_written_made_durable_and_read)
{
    size_t sizes[] = {0, 1, 65535, 65536, 65537, CHUNK, CHUNK + 1, 3 * CHUNK + 5};
    for (uint64_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t at = 0;
        submit_block (i + 1, sizes[i], 50 + i);
        struct disk_result result = next ();
        for (; result.kind == DISK_WRITTEN; result = next ()) {
            ck_assert_msg (result.error.number == 0, "%s", result.error.text);
            at = at + CHUNK > sizes[i] ? sizes[i] : at + CHUNK;
            ck_assert_uint_eq (result.offset, at);
        }
        ck_assert_int_eq (result.kind, DISK_DURABLE);
        ck_assert_int_eq (result.error.number, 0);
        ck_assert_uint_eq (result.token, 50 + i);
        ck_assert_uint_eq (result.size, sizes[i]);
        ck_assert_uint_eq (result.seq, i + 1);
        store_check (i + 1, sizes[i]);
        check_read (i + 1, sizes[i], 0, DISK_READ_MAX);
        check_read (i + 1, sizes[i], sizes[i] / 2, 70000);
        ck_assert_uint_eq (diskpool_pending (pool), 0);
    }
}
END_TEST

START_TEST (many_blocks_at_once_are_all_finished)
{
    enum { BLOCKS = 300 };
    bool durable[BLOCKS + 1] = {false};
    size_t written = 0;
    for (uint64_t block = 1; block <= BLOCKS; block++)
        submit_block (block, (size_t) (block * 7919 % 150000), block);
    for (size_t i = 0; i < 2 * BLOCKS; i++) {
        struct disk_result result = next ();
        ck_assert_msg (result.error.number == 0, "%s", result.error.text);
        if (result.kind == DISK_WRITTEN)
            written++;
        else
            durable[result.block] = true;
    }
    ck_assert_uint_eq (written, BLOCKS);
    ck_assert_uint_eq (diskpool_pending (pool), 0);
    for (uint64_t block = 1; block <= BLOCKS; block++) {
        ck_assert (durable[block]);
        store_check (block, (size_t) (block * 7919 % 150000));
    }
}
END_TEST

START_TEST (chunks_out_of_order_and_of_finished_blocks_are_told_where_it_stands)
{
    submit_write (1, CHUNK, CHUNK, false, 1);
    struct disk_result result = next ();
    ck_assert_int_eq (result.error.number, LITEDFS_GAP);
    ck_assert_uint_eq (result.offset, 0);
    submit_write (1, 0, CHUNK, false, 2);
    ck_assert_int_eq (next ().error.number, 0);
    submit_write (1, 2 * CHUNK, CHUNK, false, 3);
    result = next ();
    ck_assert_int_eq (result.error.number, LITEDFS_GAP);
    ck_assert_uint_eq (result.offset, CHUNK);
    submit_write (1, 0, CHUNK, false, 4); // again
    result = next ();
    ck_assert_int_eq (result.error.number, 0);
    ck_assert_uint_eq (result.offset, CHUNK);
    submit_write (1, CHUNK, 100, true, 5);
    submit_write (1, CHUNK, 100, true, 6); // again, while the first may wait for its sync
    ck_assert_int_eq (next ().kind, DISK_WRITTEN);
    ck_assert_int_eq (next ().kind, DISK_DURABLE);
    result = next ();
    ck_assert_int_eq (result.kind, DISK_WRITTEN);
    ck_assert_int_eq (result.error.number, LITEDFS_EXISTS);
    ck_assert_uint_eq (result.size, CHUNK + 100);
    submit_write (1, 0, CHUNK, false, 7);
    result = next ();
    ck_assert_int_eq (result.error.number, LITEDFS_EXISTS);
    ck_assert_uint_eq (result.size, CHUNK + 100);
    ck_assert_uint_eq (diskpool_pending (pool), 0);
    store_check (1, CHUNK + 100);
}
END_TEST

START_TEST (a_last_chunk_that_comes_twice_at_once_finishes_its_block_once)
{
    diskpool_stop (&pool);
    expect (0, diskpool_start (&pool, store, 1, 1, NULL, NULL, &error));
    // Something to do first, so that the others wait together.
    submit_write (1, 0, 4 * CHUNK, false, 1);
    submit_write (2, 0, 100, true, 2);
    submit_write (2, 0, 100, true, 3);
    ck_assert_uint_eq (next ().token, 1);
    struct disk_result result = next ();
    ck_assert (result.kind == DISK_WRITTEN && result.token == 2 && !result.error.number);
    result = next ();
    ck_assert (result.kind == DISK_DURABLE && result.token == 2 && !result.error.number);
    result = next ();
    ck_assert (result.kind == DISK_WRITTEN && result.token == 3);
    ck_assert_int_eq (result.error.number, LITEDFS_EXISTS);
    ck_assert_uint_eq (result.size, 100);
}
END_TEST

START_TEST (a_block_cannot_end_before_its_end)
{
    submit_write (1, 0, CHUNK, false, 1);
    submit_write (1, 0, CRC_UNIT, true, 2);
    ck_assert_int_eq (next ().error.number, 0);
    ck_assert_int_eq (next ().error.number, LITEDFS_DIFFERENT);
    ck_assert_uint_eq (diskpool_pending (pool), 0);
}
END_TEST

START_TEST (an_abandoned_block_is_gone_and_may_be_written_again)
{
    submit_write (1, 0, CHUNK, false, 1);
    submit (DISK_ABANDON, 1, 0, 0, 2);
    submit (DISK_ABANDON, 2, 0, 0, 3);
    submit_write (1, CHUNK, CHUNK, false, 4);
    for (int i = 0; i < 4; i++) {
        struct disk_result result = next ();
        ck_assert_int_eq (result.error.number, result.token == 4 ? LITEDFS_GAP : 0);
        ck_assert (result.kind ==
                   (result.token == 1 || result.token == 4 ? DISK_WRITTEN : DISK_ABANDONED));
    }
    ck_assert (!store_has_file ("writing", 1));
    submit_block (1, 500, 5);
    next ();
    ck_assert_int_eq (next ().kind, DISK_DURABLE);
    store_check (1, 500);
}
END_TEST

START_TEST (orders_remove_finished_blocks_and_those_being_written)
{
    struct blockstore_order orders[] = {
        {.number = 1, .block = 1}, {.number = 2, .block = 2}, {.number = 3, .block = 3}};
    struct disk_job job = {
        .kind = DISK_EXECUTE, .token = 7, .epoch = 4, .orders = orders, .order_count = 3};
    submit_block (1, 1000, 1);
    next ();
    next ();
    submit_write (2, 0, CHUNK, false, 2);
    next ();
    expect (0, diskpool_submit (pool, &job, NULL, &error));
    struct disk_result result = next ();
    ck_assert_int_eq (result.kind, DISK_EXECUTED);
    ck_assert_int_eq (result.error.number, 0);
    ck_assert_uint_eq (result.token, 7);
    ck_assert_uint_eq (result.epoch, 4);
    ck_assert_uint_eq (result.number, 3);
    submit (DISK_READ, 1, 0, 10, 3);
    ck_assert_int_eq (next ().error.number, LITEDFS_NOT_FOUND);
    submit_write (2, CHUNK, 1, true, 4);
    result = next ();
    ck_assert_int_eq (result.error.number, LITEDFS_LEASE_LOST);
    ck_assert (!store_has_file ("writing", 2)); // it went without that chunk, or with it
    submit_write (3, 0, 10, true, 5);
    ck_assert_int_eq (next ().error.number, LITEDFS_LEASE_LOST);
    job.epoch = 3;
    expect (0, diskpool_submit (pool, &job, NULL, &error));
    ck_assert_int_eq (next ().error.number, LITEDFS_STALE);
    ck_assert_uint_eq (diskpool_pending (pool), 0);
}
END_TEST

/* Submit a part of a copy by order. */
static void
submit_copy (uint64_t block, uint64_t offset, size_t size, bool last)
{
    zmq_msg_t payload;
    uint8_t *bytes = store_bytes (block, (size_t) offset + size);
    struct disk_job job = {.kind = DISK_WRITE,
                           .block = block,
                           .offset = offset,
                           .last = last,
                           .copy = true,
                           .file = store_file (block),
                           .path = slice_str ("/a/path")};
    zmq_msg_init_size (&payload, size);
    memcpy (zmq_msg_data (&payload), bytes + offset, size);
    expect (0, diskpool_submit (pool, &job, &payload, &error));
    free (bytes);
}

/* Delete a block; the payload of the result is the caller's. */
static void
delete_block (uint64_t number, uint64_t block, zmq_msg_t *payload)
{
    struct blockstore_order orders[] = {
        {.number = number, .block = block},
        {.number = number + 1, .block = 99, .kind = ORDER_COPY, .target = 5}};
    struct disk_job job = {
        .kind = DISK_EXECUTE, .epoch = 1, .orders = orders, .order_count = 2};
    expect (0, diskpool_submit (pool, &job, NULL, &error));
    struct disk_result result = next_with_payload (payload);
    ck_assert (result.kind == DISK_EXECUTED && result.error.number == 0);
}

START_TEST (orders_that_were_run_come_back_with_the_result)
{
    zmq_msg_t payload;
    delete_block (7, 1, &payload);
    const struct blockstore_order *orders = zmq_msg_data (&payload);
    ck_assert_uint_eq (zmq_msg_size (&payload), 2 * sizeof *orders);
    ck_assert (orders[0].number == 7 && orders[0].kind == ORDER_DELETE);
    ck_assert (orders[1].number == 8 && orders[1].kind == ORDER_COPY);
    ck_assert (orders[1].block == 99 && orders[1].target == 5);
    zmq_msg_close (&payload);
}
END_TEST

START_TEST (a_copy_by_order_writes_a_deleted_block_again)
{
    zmq_msg_t payload;
    submit_block (1, 1000, 1);
    next ();
    next ();
    delete_block (1, 1, &payload);
    zmq_msg_close (&payload);
    submit_copy (1, CHUNK, 10, true); // without its beginning
    ck_assert_int_eq (next ().error.number, LITEDFS_GAP);
    submit_copy (1, 0, CHUNK, false);
    ck_assert_int_eq (next ().error.number, 0);
    submit_copy (1, CHUNK, 10, true);
    ck_assert_int_eq (next ().error.number, 0);
    struct disk_result result = next ();
    ck_assert (result.kind == DISK_DURABLE && result.error.number == 0);
    store_check (1, CHUNK + 10);
}
END_TEST

START_TEST (a_sweep_that_comes_late_leaves_a_copy_that_was_begun_after_its_delete_alone)
{
    zmq_msg_t payload;
    struct blockstore_order order = {.number = 1, .block = 1};
    struct disk_job job = {
        .kind = DISK_EXECUTE, .epoch = 1, .orders = &order, .order_count = 1};
    uint64_t number = 0;
    uint32_t epoch;
    expect (0, diskpool_submit (pool, &job, NULL, &error));
    do
        blockstore_last_order (store, &epoch, &number);
    while (number == 0);
    submit_copy (1, 0, CHUNK, false);
    while (!store_has_file ("writing", 1))
        continue;
    struct disk_result results[2] = {next_with_payload (&payload)}; // the sweep is sent with it
    zmq_msg_close (&payload);
    results[1] = next ();
    ck_assert (results[0].error.number == 0 && results[1].error.number == 0);
    submit_copy (1, CHUNK, 10, true);
    ck_assert_int_eq (next ().error.number, 0);
    ck_assert_int_eq (next ().kind, DISK_DURABLE);
    store_check (1, CHUNK + 10);
}
END_TEST

START_TEST (a_block_is_described_or_it_is_said_why_not)
{
    zmq_msg_t payload;
    struct uuid file = store_file (10);
    submit_block (10, 1000, 1);
    next ();
    next ();
    submit (DISK_DESCRIBE, 10, 0, 0, 5);
    struct disk_result result = next_with_payload (&payload);
    ck_assert (result.kind == DISK_DESCRIBED && result.token == 5 && result.block == 10);
    ck_assert_int_eq (result.error.number, 0);
    ck_assert (uuid_equal (&result.file, &file) && result.index == 10 % 7 && result.count == 1);
    ck_assert_uint_eq (result.size, 1000);
    ck_assert (slice_equal (slice_of (zmq_msg_data (&payload), zmq_msg_size (&payload)),
                            slice_str ("/a/path")));
    zmq_msg_close (&payload);
    submit (DISK_DESCRIBE, 11, 0, 0, 6);
    result = next_with_payload (&payload);
    ck_assert (result.kind == DISK_DESCRIBED && result.error.number == LITEDFS_NOT_FOUND);
    ck_assert_uint_eq (zmq_msg_size (&payload), 0);
    zmq_msg_close (&payload);
    ck_assert_uint_eq (diskpool_pending (pool), 0);
}
END_TEST

START_TEST (reads_of_copies_do_not_count_among_those_that_are_served)
{
    zmq_msg_t payloads[2];
    struct disk_job job = {.kind = DISK_READ, .block = 1, .size = CHUNK, .copy = true};
    uint8_t *bytes = store_bytes (1, CHUNK);
    submit_block (1, CHUNK, 1);
    next ();
    next ();
    expect (0, diskpool_submit (pool, &job, NULL, &error));
    ck_assert_int_eq (next_with_payload (&payloads[0]).error.number, 0);
    ck_assert_uint_eq (diskpool_read_bytes (pool), 0);
    submit (DISK_READ, 1, 0, CHUNK, 3);
    next_with_payload (&payloads[1]);
    ck_assert_uint_ge (diskpool_read_bytes (pool), CHUNK);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq (zmq_msg_size (&payloads[i]), CHUNK);
        ck_assert (memcmp (zmq_msg_data (&payloads[i]), bytes, CHUNK) == 0);
        zmq_msg_close (&payloads[i]);
    }
    free (bytes);
}
END_TEST

START_TEST (reads_that_fail_say_why_and_carry_nothing)
{
    zmq_msg_t payload;
    submit_block (1, 1000, 1);
    next ();
    next ();
    submit (DISK_READ, 2, 0, 10, 2);
    struct disk_result result = next_with_payload (&payload);
    ck_assert_int_eq (result.error.number, LITEDFS_NOT_FOUND);
    ck_assert_uint_eq (zmq_msg_size (&payload), 0);
    zmq_msg_close (&payload);
    submit (DISK_READ, 1, 1001, 10, 3);
    ck_assert_int_eq (next ().error.number, LITEDFS_INVALID);
    store_flip (store_path ("blocks", 1), 500, 1);
    submit (DISK_READ, 1, 0, 10, 4);
    ck_assert_int_eq (next ().error.number, LITEDFS_CORRUPT);
}
END_TEST

START_TEST (jobs_out_of_bounds_are_refused_at_once)
{
    struct blockstore_order orders[1];
    uint32_t units[1] = {0};
    zmq_msg_t payload;
    struct disk_job jobs[] = {
        {.kind = 0},
        {.kind = DISK_READ, .block = 1, .size = DISK_READ_MAX + 1},
        {.kind = DISK_READ, .block = 1, .offset = UINT64_MAX, .size = 1},
        {.kind = DISK_WRITE, .block = 1, .path = {"x", 4097}},
        {.kind = DISK_WRITE, .block = 1, .units = units, .unit_count = 1},
        {.kind = DISK_EXECUTE, .orders = orders, .order_count = BLOCKSTORE_ORDERS_MAX + 1},
    };
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        zmq_msg_init (&payload);
        expect (LITEDFS_INVALID, diskpool_submit (pool, &jobs[i], &payload, &error));
    }
    ck_assert_uint_eq (diskpool_pending (pool), 0);
    struct diskpool *other;
    expect (LITEDFS_INVALID, diskpool_start (&other, store, 0, 1, NULL, NULL, &error));
    expect (LITEDFS_INVALID, diskpool_start (&other, store, 1, 33, NULL, NULL, &error));
}
END_TEST

START_TEST (a_payload_outlives_the_pool_it_came_from)
{
    zmq_msg_t payload;
    uint8_t *bytes = store_bytes (1, CHUNK);
    submit_block (1, CHUNK, 1);
    next ();
    next ();
    submit (DISK_READ, 1, 0, CHUNK, 2);
    next_with_payload (&payload);
    diskpool_stop (&pool);
    ck_assert_uint_eq (zmq_msg_size (&payload), CHUNK);
    ck_assert (memcmp (zmq_msg_data (&payload), bytes, CHUNK) == 0);
    zmq_msg_close (&payload);
    free (bytes);
}
END_TEST

START_TEST (a_stop_abandons_what_is_not_finished)
{
    for (uint64_t block = 1; block <= 40; block++)
        submit_write (block, 0, CHUNK, block % 2 == 0, block);
    next ();
    diskpool_stop (&pool);
    store_reopen ();
    for (uint64_t block = 1; block <= 40; block++) {
        ck_assert (!store_has_file ("writing", block));
        if (store_stat (block) == 0) {
            ck_assert (block % 2 == 0);
            store_check (block, CHUNK);
        }
    }
}
END_TEST

UNIT_MAIN_FIXTURE (
    "datanode_diskpool", setup, teardown, a_block_is_written_made_durable_and_read,
    many_blocks_at_once_are_all_finished,
    chunks_out_of_order_and_of_finished_blocks_are_told_where_it_stands,
    a_last_chunk_that_comes_twice_at_once_finishes_its_block_once,
    a_block_cannot_end_before_its_end, an_abandoned_block_is_gone_and_may_be_written_again,
    orders_remove_finished_blocks_and_those_being_written,
    orders_that_were_run_come_back_with_the_result,
    a_copy_by_order_writes_a_deleted_block_again,
    a_sweep_that_comes_late_leaves_a_copy_that_was_begun_after_its_delete_alone,
    a_block_is_described_or_it_is_said_why_not,
    reads_of_copies_do_not_count_among_those_that_are_served,
    reads_that_fail_say_why_and_carry_nothing, jobs_out_of_bounds_are_refused_at_once,
    a_payload_outlives_the_pool_it_came_from, a_stop_abandons_what_is_not_finished)
