/* SPDX-License-Identifier: MIT */
/*
 * The write path under time, failures and limits: writers and disks that are slow, silent or broken,
 * orders to delete, memory; and at the end all of that at once.  Each case ends with a look at all
 * answers: every request has exactly one.
 */
#include "datanode_pipeline_fixture.h"

START_TEST (a_last_chunk_is_answered_after_a_second_with_the_state_so_far)
{
    uint64_t token = put (BLOCK, 0, MIB, true);

    ck_assert_int_eq (pipeline_next_deadline (pipeline), now_ms + PIPELINE_LAST_WAIT_MS);
    tick (999);
    ck_assert_uint_eq (answers[token], 0);
    tick (1);
    assert_state (token, REPLICA_RECEIVING, 0);
    disk_writes (0);
    uint64_t stat = stat_block (BLOCK, 1000);
    ck_assert_uint_eq (answers[stat], 0);
    tick (1000);
    assert_state (stat, REPLICA_SYNCING, MIB);
    stat = stat_block (BLOCK, 1000);
    disk_is_durable (BLOCK, 0);
    assert_state (stat, REPLICA_DURABLE, MIB);
}
END_TEST

START_TEST (stat_without_wait_is_answered_at_once)
{
    assert_state (stat_block (BLOCK, 0), REPLICA_UNKNOWN, 0);
    assert_state (stat_block (BLOCK, 1000), REPLICA_UNKNOWN, 0);
    put (BLOCK, 0, MIB, false);
    uint64_t token = stat_block (BLOCK, 0);
    assert_state (token, REPLICA_RECEIVING, 0);
    ck_assert_uint_eq (answer_state[token].credit, MIB);
    disk_writes (0);
}
END_TEST

START_TEST (a_disk_error_fails_the_block_and_everybody_who_waits)
{
    uint64_t first = put (BLOCK, 0, MIB, false);
    uint64_t second = put (BLOCK, MIB, MIB, false);
    uint64_t stat = stat_block (BLOCK, 1000);

    disk_writes (LITEDFS_NO_SPACE);
    assert_answer (first, LITEDFS_NO_SPACE);
    ck_assert_str_eq (answer_text[first], "the disk says no");
    assert_answer (second, LITEDFS_NO_SPACE);
    assert_state (stat, REPLICA_FAILED, 0);
    ck_assert_uint_eq (abandoned, 0); // the disk still has a chunk
    ck_assert_uint_eq (pipeline_reserved (pipeline), MIB);
    disk_writes (LITEDFS_GAP);
    ck_assert_uint_eq (abandoned, 1);
    ck_assert_uint_eq (pipeline_reserved (pipeline), 0);
    assert_answer (put (BLOCK, MIB, MIB, false), LITEDFS_NO_SPACE);
    assert_state (stat_block (BLOCK, 0), REPLICA_FAILED, 0);
    tick (60000);
    ck_assert (!pipeline_has (pipeline, BLOCK));
    ck_assert_uint_eq (abandoned, 1);
}
END_TEST

START_TEST (a_block_that_cannot_be_made_durable_fails)
{
    uint64_t token = put (BLOCK, 0, MIB, true);

    disk_writes (0);
    disk_is_durable (BLOCK, LITEDFS_IO);
    assert_answer (token, LITEDFS_IO);
    assert_answer (put (BLOCK, 0, MIB, true), LITEDFS_IO);
    tick (60000);
    ck_assert (!pipeline_has (pipeline, BLOCK));
}
END_TEST

START_TEST (a_silent_writer_loses_its_block)
{
    put (BLOCK, 0, MIB, false);
    disk_writes (0);
    tick (59999);
    ck_assert_uint_eq (abandoned, 0);
    tick (1);
    ck_assert_uint_eq (abandoned, 1);
    ck_assert_uint_eq (pipeline_reserved (pipeline), 0);
    assert_answer (put (BLOCK, MIB, MIB, false), LITEDFS_TIMEOUT);
    tick (60000);
    ck_assert_uint_eq (pipeline_block_count (pipeline), 0);
    ck_assert_int_eq (pipeline_next_deadline (pipeline), INT64_MAX);
}
END_TEST

START_TEST (a_slow_disk_is_no_silent_writer)
{
    uint64_t token = put (BLOCK, 0, MIB, false);

    tick (600000);
    ck_assert_uint_eq (answers[token], 0);
    disk_writes (0);
    assert_state (token, REPLICA_RECEIVING, MIB);
    ck_assert_int_eq (pipeline_next_deadline (pipeline), now_ms + PIPELINE_IDLE_MS);
}
END_TEST

START_TEST (a_writer_that_asks_for_the_state_is_not_silent)
{
    put (BLOCK, 0, MIB, false);
    disk_writes (0);
    for (int i = 0; i < 5; i++) {
        tick (45000);
        assert_state (stat_block (BLOCK, 0), REPLICA_RECEIVING, MIB);
    }
    uint64_t token = put (BLOCK, MIB, MIB, false);
    disk_writes (0);
    assert_state (token, REPLICA_RECEIVING, 2 * MIB);
}
END_TEST

START_TEST (blocks_of_silent_writers_give_their_memory_back)
{
    make_pipeline (12 * MIB);
    uint64_t blocks = 0;
    for (bool busy = false; !busy; blocks++) {
        uint64_t token = put (100 + blocks, 0, MIB, false);
        busy = answers[token] == 1;
        if (!busy)
            disk_writes (0);
    }
    ck_assert_uint_gt (pipeline_reserved (pipeline), 11 * MIB);
    tick (PIPELINE_IDLE_MS);
    ck_assert_uint_eq (pipeline_reserved (pipeline), (blocks - 1) * UNIT);

    uint64_t others = put (BLOCK, 0, MIB, false); // a new block has room again
    disk_writes (0);
    assert_state (others, REPLICA_RECEIVING, MIB);
    uint64_t late = put (100, MIB, MIB, false); // and so has one that was only slow
    ck_assert_uint_gt (answer_state[stat_block (100, 0)].credit, 0);
    disk_writes (0);
    assert_state (late, REPLICA_RECEIVING, 2 * MIB);
}
END_TEST

START_TEST (an_order_to_delete_ends_a_block_in_write)
{
    uint64_t token = put (BLOCK, 0, MIB, false);

    pipeline_forget (pipeline, now_ms, BLOCK);
    drain ();
    assert_answer (token, LITEDFS_LEASE_LOST);
    disk_writes (LITEDFS_LEASE_LOST);
    ck_assert_uint_eq (abandoned, 1);
    assert_answer (put (BLOCK, 0, MIB, false), LITEDFS_LEASE_LOST);
    pipeline_forget (pipeline, now_ms, BLOCK + 1);
}
END_TEST

START_TEST (an_order_to_delete_may_come_while_the_block_is_synced)
{
    uint64_t token = put (BLOCK, 0, MIB, true);

    pipeline_forget (pipeline, now_ms, BLOCK);
    drain ();
    disk_writes (0);
    tick (120000); // the disk is not done with it: it stays
    ck_assert (pipeline_has (pipeline, BLOCK));
    disk_is_durable (BLOCK, LITEDFS_LEASE_LOST);
    assert_answer (token, LITEDFS_LEASE_LOST);
    tick (120000);
    ck_assert (!pipeline_has (pipeline, BLOCK));
}
END_TEST

START_TEST (a_full_disk_takes_no_new_blocks_and_finishes_those_in_write)
{
    put (BLOCK, 0, MIB, false);
    pipeline_set_full (pipeline, true);
    assert_answer (put (BLOCK + 1, 0, MIB, false), LITEDFS_NO_SPACE);
    uint64_t token = put (BLOCK, MIB, MIB, true);
    disk_writes (0);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    assert_state (token, REPLICA_DURABLE, 2 * MIB);
    pipeline_set_full (pipeline, false);
    put (BLOCK + 1, 0, MIB, false);
    disk_writes (0);
}
END_TEST

START_TEST (memory_stays_under_its_limit_and_what_has_started_goes_on)
{
    make_pipeline (12 * MIB);
    uint64_t blocks = 0;
    uint64_t token;

    do {
        token = put (BLOCK + blocks, 0, MIB, false);
        ck_assert_uint_le (pipeline_reserved (pipeline), 12 * MIB);
        if (answers[token] == 0)
            disk_writes (0);
    } while (answer_error[token] == 0 && ++blocks < 100);
    assert_answer (token, LITEDFS_BUSY);
    ck_assert_uint_ge (blocks, 6);
    for (int round = 1; round < 5; round++) {
        for (uint64_t i = 0; i < blocks; i++) {
            token = put (BLOCK + i, (uint64_t) round * MIB, MIB, round == 4);
            disk_writes (0);
            ck_assert_uint_le (pipeline_reserved (pipeline), 12 * MIB);
            if (round < 4) {
                assert_state (token, REPLICA_RECEIVING, (uint64_t) (round + 1) * MIB);
                ck_assert_uint_ge (answer_state[token].credit, MIB);
            }
        }
    }
    for (uint64_t i = 0; i < blocks; i++)
        disk_is_durable (BLOCK + i, 0);
    ck_assert_uint_eq (pipeline_reserved (pipeline), 0);
    put (BLOCK, 0, MIB, false);
    disk_writes (0);
}
END_TEST

START_TEST (chunks_beyond_the_window_are_answered_busy)
{
    uint64_t offset = 0;

    for (; offset < PIPELINE_WINDOW; offset += MIB)
        put (BLOCK, offset, MIB, false);
    assert_answer (put (BLOCK, offset, MIB, false), LITEDFS_BUSY);
    disk_writes (0);
    uint64_t token = put (BLOCK, offset, MIB, false);
    while (write_done < write_count)
        disk_writes (0);
    assert_state (token, REPLICA_RECEIVING, PIPELINE_WINDOW + MIB);
}
END_TEST

START_TEST (too_many_requests_for_a_block_are_answered_busy)
{
    put (BLOCK, 0, MIB, false);
    unsigned busy = 0;
    for (int i = 0; i < 2 * PIPELINE_WAITERS_MAX; i++)
        busy += answer_error[stat_block (BLOCK, 1000)] == LITEDFS_BUSY;
    ck_assert_uint_ge (busy, PIPELINE_WAITERS_MAX);
    tick (1000);
    disk_writes (0);
}
END_TEST

START_TEST (too_many_blocks_are_answered_busy)
{
    make_pipeline ((uint64_t) 1 << 40);
    for (uint64_t i = 0; i < PIPELINE_BLOCKS_MAX; i++) {
        put (BLOCK + i, 0, UNIT, false);
        disk_writes (0);
    }
    assert_answer (put (BLOCK + PIPELINE_BLOCKS_MAX, 0, UNIT, false), LITEDFS_BUSY);
    tick (60000);
    ck_assert_uint_eq (abandoned, PIPELINE_BLOCKS_MAX);
}
END_TEST

/* A client that loses, doubles, delays and reorders its chunks, and a disk that fails now and then. */
START_TEST (whatever_comes_every_request_has_one_answer)
{
    struct rng rng;

    rng_seed (&rng, 20261123);
    make_pipeline (8 * MIB);
    while (next_token < TOKENS - 600 && write_count < WRITES - 600) {
        uint64_t block = 1 + rng_below (&rng, 12);
        switch (rng_below (&rng, 10)) {
        case 0:
            stat_block (block, rng_below (&rng, 1001));
            break;
        case 1:
            tick ((int64_t) rng_below (&rng, 20000));
            break;
        case 2:
            if (rng_below (&rng, 8) == 0)
                pipeline_forget (pipeline, now_ms, block);
            drain ();
            break;
        case 3:
        case 4:
        case 5:
            if (write_done < write_count) {
                struct pipeline_action done = writes[write_done];
                int number = rng_below (&rng, 16) == 0 ? LITEDFS_IO : 0;
                disk_writes (number);
                if (done.last && number == 0)
                    disk_is_durable (done.block, rng_below (&rng, 8) == 0 ? LITEDFS_IO : 0);
            }
            break;
        default:
            put (block, rng_below (&rng, 6) * UNIT, (size_t) (1 + rng_below (&rng, 2)) * UNIT,
                 rng_below (&rng, 4) == 0);
            break;
        }
        ck_assert_uint_le (pipeline_reserved (pipeline), 8 * MIB);
    }
    while (write_done < write_count) {
        struct pipeline_action done = writes[write_done];
        disk_writes (0);
        if (done.last)
            disk_is_durable (done.block, 0);
    }
    tick (60000);
    tick (60000);
    ck_assert_uint_eq (pipeline_block_count (pipeline), 0);
    ck_assert_uint_eq (pipeline_reserved (pipeline), 0);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "datanode_pipeline_limits", setup, teardown,
    a_last_chunk_is_answered_after_a_second_with_the_state_so_far,
    stat_without_wait_is_answered_at_once, a_disk_error_fails_the_block_and_everybody_who_waits,
    a_block_that_cannot_be_made_durable_fails, a_silent_writer_loses_its_block,
    a_slow_disk_is_no_silent_writer, a_writer_that_asks_for_the_state_is_not_silent,
    blocks_of_silent_writers_give_their_memory_back, an_order_to_delete_ends_a_block_in_write,
    an_order_to_delete_may_come_while_the_block_is_synced,
    a_full_disk_takes_no_new_blocks_and_finishes_those_in_write,
    memory_stays_under_its_limit_and_what_has_started_goes_on,
    chunks_beyond_the_window_are_answered_busy, too_many_requests_for_a_block_are_answered_busy,
    too_many_blocks_are_answered_busy, whatever_comes_every_request_has_one_answer)
