/* SPDX-License-Identifier: MIT */
/*
 * Copies by order: a finished block of this node is read and sent to node 2, and the end is told once,
 * whatever it is.
 */
#include "datanode_pipeline_fixture.h"

#define SIZE (5 * MIB + 100)

static litedfs_error_t problem;

/* The CRC of a block whose chunks of 1 MiB all hold `bytes`. */
static uint32_t
crc_of (uint64_t size)
{
    uint32_t crc = 0;

    for (uint64_t at = 0; at < size; at += MIB) {
        size_t part = size - at < MIB ? (size_t) (size - at) : MIB;
        crc = crc32_join (crc, crc32_of (0, bytes, part), part);
    }
    return crc;
}

static struct pipeline_copy
copy_of (uint64_t size)
{
    return (struct pipeline_copy){.block = BLOCK,
                                  .size = size,
                                  .crc32 = crc_of (size),
                                  .file.bytes = {1},
                                  .index = 3,
                                  .path = slice_str ("/a"),
                                  .count = 4,
                                  .target = 2};
}

static int
start (uint64_t size)
{
    struct pipeline_copy copy = copy_of (size);
    int rc = pipeline_start_copy (pipeline, now_ms, &copy, &problem);

    drain ();
    return rc;
}

/* The disk reads what was asked for; with an error if number is not 0. */
static bool
disk_reads (int number)
{
    litedfs_error_t error = {.number = number, .text = "the disk says no"};
    struct pipeline_action asked = reading;
    void *payload = new_payload ();

    reading.kind = 0;
    bool taken = pipeline_was_read (pipeline, now_ms, BLOCK, asked.offset, bytes, asked.size,
                                    payload, number != 0 ? &error : NULL);
    payload_taken (payload, taken);
    drain ();
    return taken;
}

START_TEST (a_block_is_read_and_sent_as_far_as_there_is_credit)
{
    ck_assert_int_eq (start (SIZE), 0);
    ck_assert_int_eq (reading.kind, PIPELINE_READ);
    ck_assert_uint_eq (reading.size, MIB);
    ck_assert (disk_reads (0));
    assert_forward (1, 2, 0, MIB, false);
    ck_assert (last_forward ()->copy);
    ck_assert_uint_eq (last_forward ()->index, 3);
    ck_assert_int_eq (reading.kind, 0); // no room before the first ack
    ACKED (8 * MIB, LINE (2, RECEIVING, MIB));
    ck_assert_uint_eq (reading.offset, MIB);
    while (reading.kind == PIPELINE_READ)
        ck_assert (disk_reads (0));
    assert_forward (6, 2, 5 * MIB, SIZE, true);
    ck_assert_uint_eq (last_forward ()->count, 4);
    ACKED (0, LINE (2, SYNCING, SIZE));
    ck_assert_uint_eq (copied_count, 0);
    ck_assert_uint_eq (pipeline_reserved (pipeline), 0);
    ACKED (0, LINE (2, DURABLE, SIZE));
    ck_assert_uint_eq (copied_count, 1);
    ck_assert_int_eq (copied.error, 0);
    ck_assert_uint_eq (copied.node, 2);
    ck_assert (!pipeline_has (pipeline, BLOCK));
    ck_assert_uint_eq (abandoned, 0);
    ck_assert_uint_eq (write_count, 0);
}
END_TEST

START_TEST (a_target_that_has_the_block_ends_the_copy_at_once)
{
    start (SIZE);
    disk_reads (0);
    ACKED (0, LINE (2, DURABLE, SIZE));
    ck_assert_uint_eq (copied_count, 1);
    ck_assert_int_eq (copied.error, 0);
    start (SIZE);
    disk_reads (0);
    ACKED (0, LINE (2, DURABLE, SIZE + 1)); // of another size
    ck_assert_uint_eq (copied_count, 2);
    ck_assert_int_eq (copied.error, LITEDFS_EXISTS);
}
END_TEST

START_TEST (a_target_that_refuses_or_is_silent_ends_the_copy)
{
    start (SIZE);
    disk_reads (0);
    REFUSED (LITEDFS_NO_SPACE, LINE (2, FAILED, 0));
    ck_assert_int_eq (copied.error, LITEDFS_NO_SPACE);
    start (SIZE);
    disk_reads (0);
    tick (PIPELINE_TIMEOUT_MS);
    ck_assert_int_eq (copied.error, LITEDFS_TIMEOUT);
    start (SIZE);
    lose (2);
    ck_assert_int_eq (copied.error, LITEDFS_UNREACHABLE);
    ck_assert (!disk_reads (0)); // too late
    start (SIZE);
    disk_reads (0);
    ACKED (0, LINE (2, RELAY, MIB)); // its disk failed
    ck_assert_int_eq (copied.error, LITEDFS_FAILED);
    ck_assert_uint_eq (copied_count, 4);
    ck_assert_uint_eq (pipeline_reserved (pipeline), 0);
    ck_assert_uint_eq (abandoned, 0);
}
END_TEST

START_TEST (a_disk_that_cannot_read_ends_the_copy)
{
    start (SIZE);
    disk_reads (LITEDFS_CORRUPT);
    ck_assert_int_eq (copied.error, LITEDFS_CORRUPT);
    struct pipeline_copy copy = copy_of (100);
    copy.crc32++;
    ck_assert_int_eq (pipeline_start_copy (pipeline, now_ms, &copy, &problem), 0);
    drain ();
    disk_reads (0); // not what the index says
    ck_assert_int_eq (copied.error, LITEDFS_CORRUPT);
    ck_assert_uint_eq (forward_count, 0);
    start (SIZE);
    reading.size--;
    disk_reads (0);
    ck_assert_int_eq (copied.error, LITEDFS_IO);
    start (SIZE);
    tick (WRITE_TIMEOUT_MS); // it does not answer
    ck_assert_int_eq (copied.error, LITEDFS_TIMEOUT);
    ck_assert_uint_eq (copied_count, 4);
}
END_TEST

START_TEST (an_order_to_delete_ends_the_copy)
{
    start (SIZE);
    disk_reads (0);
    pipeline_forget (pipeline, now_ms, BLOCK);
    drain ();
    ck_assert_uint_eq (copied_count, 1);
    ck_assert_int_eq (copied.error, LITEDFS_LEASE_LOST);
    ck_assert_uint_eq (abandoned, 0);
}
END_TEST

START_TEST (a_block_that_is_copied_is_a_finished_one_to_others)
{
    start (100);
    uint64_t stat = stat_block (BLOCK, 1000);
    assert_state (stat, REPLICA_DURABLE, 100);
    ck_assert_uint_eq (answer_state[stat].crc32, crc_of (100));
    assert_state (put (BLOCK, 0, 100, true), REPLICA_DURABLE, 100);
    assert_answer (put (BLOCK, 0, 50, true), LITEDFS_EXISTS);
    put_from (9, (uint64_t[]){0}, 0, 100, true);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_DURABLE);
    ck_assert_int_eq (start (100), LITEDFS_BUSY);
}
END_TEST

START_TEST (a_copy_that_cannot_be_is_refused)
{
    struct pipeline_copy copy = copy_of (100);

    copy.target = SELF;
    ck_assert_int_eq (pipeline_start_copy (pipeline, now_ms, &copy, &problem), LITEDFS_INVALID);
    copy.target = 0;
    ck_assert_int_eq (pipeline_start_copy (pipeline, now_ms, &copy, &problem), LITEDFS_INVALID);
    copy = copy_of (100);
    copy.size = 0;
    ck_assert_int_eq (pipeline_start_copy (pipeline, now_ms, &copy, &problem), LITEDFS_INVALID);
    copy = copy_of (100);
    copy.path = slice_of (NULL, 0);
    ck_assert_int_eq (pipeline_start_copy (pipeline, now_ms, &copy, &problem), LITEDFS_INVALID);
    put (BLOCK, 0, MIB, false);
    ck_assert_int_eq (start (100), LITEDFS_BUSY); // it is in write
    disk_writes (0);
    make_pipeline (UNIT);
    ck_assert_int_eq (start (SIZE), LITEDFS_BUSY); // no memory
    ck_assert_uint_eq (copied_count, 0);
}
END_TEST

START_TEST (what_is_only_remembered_makes_way_for_a_copy)
{
    put_from (9, (uint64_t[]){0}, 0, 100, true);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    ck_assert (pipeline_has (pipeline, BLOCK)); // it lingers
    ck_assert_int_eq (start (100), 0);
    disk_reads (0);
    ACKED (0, LINE (2, DURABLE, 100));
    ck_assert_int_eq (copied.error, 0);
}
END_TEST

START_TEST (a_copy_that_had_to_wait_for_room_has_its_time_to_read)
{
    make_pipeline (2 * MIB);
    start (3 * MIB);
    disk_reads (0);
    ACKED (8 * MIB, LINE (2, RECEIVING, 0));
    ck_assert_int_eq (reading.kind, 0);
    for (int i = 0; i < 14; i++) {
        tick (4000);
        ACKED (8 * MIB, LINE (2, RECEIVING, 0));
    }
    ACKED (8 * MIB, LINE (2, RECEIVING, MIB));
    ck_assert_int_eq (reading.kind, PIPELINE_READ);
    tick (4000);
    ACKED (8 * MIB, LINE (2, RECEIVING, MIB));
    tick (4000);
    ck_assert_uint_eq (copied_count, 0);
    ck_assert (disk_reads (0));
}
END_TEST

START_TEST (a_copy_goes_on_after_a_gap)
{
    start (3 * MIB);
    disk_reads (0);
    ACKED (8 * MIB, LINE (2, RECEIVING, MIB));
    disk_reads (0);
    disk_reads (0);
    ck_assert_uint_eq (forward_count, 3);
    REFUSED (LITEDFS_GAP, LINE (2, RECEIVING, MIB));
    assert_forward (5, 2, 2 * MIB, 3 * MIB, true);
    ACKED (0, LINE (2, DURABLE, 3 * MIB));
    ck_assert_int_eq (copied.error, 0);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_pipeline_copy", setup, teardown,
                   a_block_is_read_and_sent_as_far_as_there_is_credit,
                   a_target_that_has_the_block_ends_the_copy_at_once,
                   a_target_that_refuses_or_is_silent_ends_the_copy,
                   a_disk_that_cannot_read_ends_the_copy, an_order_to_delete_ends_the_copy,
                   a_block_that_is_copied_is_a_finished_one_to_others,
                   a_copy_that_cannot_be_is_refused,
                   what_is_only_remembered_makes_way_for_a_copy,
                   a_copy_that_had_to_wait_for_room_has_its_time_to_read,
                   a_copy_goes_on_after_a_gap)
