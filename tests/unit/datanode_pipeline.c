/* SPDX-License-Identifier: MIT */
/*
 * The write path's rules, event by event.  Answers are collected by token; each case ends with a look at
 * them all: every request has exactly one.
 */
#include "datanode/pipeline.h"

#include "base/err.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define UNIT CRC_UNIT
#define MIB ((size_t) 1 << 20)
#define BLOCK 7
#define TOKENS 4096
#define WRITES 4096

static struct pipeline *pipeline;
static int64_t now_ms;
static uint8_t bytes[WIRE_CHUNK_MAX];
static uint64_t next_token;
static const struct pipeline_known unknown;

/* What came out. */
static unsigned answers[TOKENS];
static int answer_error[TOKENS];
static struct pipeline_state answer_state[TOKENS];
static char answer_text[TOKENS][128];
static struct pipeline_action writes[WRITES];
static size_t write_count;
static size_t write_done;
static struct pipeline_action compared;
static unsigned abandoned;

static void
make (uint64_t memory)
{
    struct pipeline_limits limits = {.memory = memory, .write_timeout_ms = 60000};

    pipeline_destroy (&pipeline);
    pipeline = pipeline_new (&limits);
    ck_assert_ptr_nonnull (pipeline);
}

static void
setup (void)
{
    make (36 * MIB);
    now_ms = 1000000;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) (i * 131 >> 3);
}

static void
drain (void)
{
    struct pipeline_action action;

    while (pipeline_next (pipeline, &action)) {
        switch (action.kind) {
        case PIPELINE_REPLY:
            ck_assert_uint_lt (action.token, next_token);
            answers[action.token]++;
            answer_error[action.token] = action.error;
            answer_state[action.token] = action.state;
            snprintf (answer_text[action.token], sizeof answer_text[0], "%s",
                      action.error != 0 ? action.text : "");
            break;
        case PIPELINE_WRITE:
            ck_assert_uint_lt (write_count, WRITES);
            writes[write_count++] = action;
            break;
        case PIPELINE_COMPARE:
            compared = action;
            break;
        case PIPELINE_ABANDON:
            abandoned++;
            break;
        }
    }
}

/* Every request so far has exactly one answer. */
static void
teardown (void)
{
    for (uint64_t i = 0; i < next_token; i++)
        ck_assert_msg (answers[i] == 1, "request %u has %u answers", (unsigned) i, answers[i]);
    pipeline_destroy (&pipeline);
}

static struct pipeline_chunk
chunk_of (uint64_t block, uint64_t offset, size_t size, bool last)
{
    struct pipeline_chunk chunk = {.block = block,
                                   .offset = offset,
                                   .data = bytes,
                                   .size = size,
                                   .crc32 = crc32_of (0, bytes, size),
                                   .last = last,
                                   .payload = bytes};

    if (offset == 0) {
        chunk.file.bytes[0] = 1;
        chunk.path = slice_str ("/a");
    }
    return chunk;
}

static uint64_t
send_chunk (const struct pipeline_chunk *chunk, const struct pipeline_known *known)
{
    uint64_t token = next_token++;
    size_t before = write_count;
    bool taken = pipeline_write (pipeline, now_ms, chunk, known, token);

    drain ();
    bool wrote = write_count > before && writes[before].payload != NULL;
    ck_assert_int_eq (taken, wrote);
    return token;
}

static uint64_t
put (uint64_t block, uint64_t offset, size_t size, bool last)
{
    struct pipeline_chunk chunk = chunk_of (block, offset, size, last);

    return send_chunk (&chunk, &unknown);
}

static uint64_t
stat_block (uint64_t block, uint64_t wait_ms)
{
    uint64_t token = next_token++;

    pipeline_stat (pipeline, now_ms, block, wait_ms, &unknown, token);
    drain ();
    return token;
}

/* The disk does the next write, with or without an error. */
static void
disk_writes (int number)
{
    litedfs_error_t error = {.number = number, .text = "the disk says no"};
    struct pipeline_action *action = &writes[write_done++];

    ck_assert_uint_le (write_done, write_count);
    pipeline_written (pipeline, now_ms, action->block, action->size,
                      number != 0 ? &error : NULL);
    drain ();
}

static void
disk_is_durable (uint64_t block, int number)
{
    litedfs_error_t error = {.number = number, .text = "the disk says no"};

    pipeline_durable (pipeline, now_ms, block, number != 0 ? &error : NULL);
    drain ();
}

static void
tick (int64_t ms)
{
    now_ms += ms;
    pipeline_tick (pipeline, now_ms);
    drain ();
}

static void
assert_answer (uint64_t token, int error)
{
    ck_assert_uint_eq (answers[token], 1);
    ck_assert_msg (answer_error[token] == error, "%s: %s", err_word (answer_error[token]),
                   answer_text[token]);
}

static void
assert_state (uint64_t token, enum replica_state state, uint64_t offset)
{
    assert_answer (token, 0);
    ck_assert_int_eq (answer_state[token].state, state);
    ck_assert_uint_eq (answer_state[token].offset, offset);
}

START_TEST (a_small_block_is_one_chunk_and_is_answered_when_durable)
{
    uint64_t token = put (BLOCK, 0, 100, true);

    ck_assert_uint_eq (write_count, 1);
    ck_assert (writes[0].last);
    ck_assert_uint_eq (writes[0].unit_count, 1);
    disk_writes (0);
    ck_assert_uint_eq (answers[token], 0);
    disk_is_durable (BLOCK, 0);
    assert_state (token, REPLICA_DURABLE, 100);
    ck_assert_uint_eq (answer_state[token].size, 100);
    ck_assert_uint_eq (answer_state[token].crc32, crc32_of (0, bytes, 100));
    ck_assert (!pipeline_has (pipeline, BLOCK));
    ck_assert_uint_eq (pipeline_reserved (pipeline), 0);
}
END_TEST

START_TEST (chunks_in_order_are_answered_when_written_with_credit)
{
    uint64_t first = put (BLOCK, 0, MIB, false);
    ck_assert_uint_eq (answers[first], 0);
    disk_writes (0);
    assert_state (first, REPLICA_RECEIVING, MIB);
    ck_assert_uint_eq (answer_state[first].credit, PIPELINE_WINDOW);

    uint64_t second = put (BLOCK, MIB, MIB, false);
    uint64_t third = put (BLOCK, 2 * MIB, 10, true);
    disk_writes (0);
    assert_state (second, REPLICA_RECEIVING, 2 * MIB);
    ck_assert_uint_eq (answer_state[second].credit, 0); // the last one has come
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    assert_state (third, REPLICA_DURABLE, 2 * MIB + 10);
    uint32_t crc = crc32_of (0, bytes, MIB);
    crc = crc32_join (crc, crc32_of (0, bytes, MIB), MIB);
    crc = crc32_join (crc, crc32_of (0, bytes, 10), 10);
    ck_assert_uint_eq (answer_state[third].crc32, crc);
}
END_TEST

START_TEST (a_last_chunk_may_be_empty)
{
    put (BLOCK, 0, MIB, false);
    uint64_t token = put (BLOCK, MIB, 0, true);

    ck_assert_uint_eq (write_count, 2);
    ck_assert (writes[1].last && writes[1].size == 0 && writes[1].payload == NULL);
    disk_writes (0);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    assert_state (token, REPLICA_DURABLE, MIB);
}
END_TEST

START_TEST (a_chunk_above_the_next_offset_is_a_gap_that_names_it)
{
    put (BLOCK, 0, MIB, false);
    uint64_t token = put (BLOCK, 2 * MIB, MIB, false);
    assert_answer (token, LITEDFS_GAP);
    ck_assert_ptr_nonnull (strstr (answer_text[token], "offset 1048576 is next"));
    assert_answer (put (BLOCK + 1, MIB, MIB, false), LITEDFS_GAP);
    disk_writes (0);
}
END_TEST

START_TEST (a_chunk_that_overlaps_the_next_offset_is_a_gap)
{
    put (BLOCK, 0, MIB, false);
    assert_answer (put (BLOCK, 0, 2 * MIB, false), LITEDFS_GAP);
    disk_writes (0);
}
END_TEST

START_TEST (a_doubled_chunk_is_written_once_and_answered_twice)
{
    uint64_t first = put (BLOCK, 0, MIB, false);
    uint64_t again = put (BLOCK, 0, MIB, false);

    ck_assert_uint_eq (write_count, 1);
    ck_assert_uint_eq (answers[again], 0);
    disk_writes (0);
    assert_state (first, REPLICA_RECEIVING, MIB);
    assert_state (again, REPLICA_RECEIVING, MIB);
    assert_state (put (BLOCK, 0, MIB, false), REPLICA_RECEIVING, MIB);
    ck_assert_uint_eq (write_count, 1);
}
END_TEST

START_TEST (a_doubled_last_chunk_is_answered_when_durable)
{
    uint64_t first = put (BLOCK, 0, 100, true);
    uint64_t again = put (BLOCK, 0, 100, true);

    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    assert_state (first, REPLICA_DURABLE, 100);
    assert_state (again, REPLICA_DURABLE, 100);
    ck_assert_uint_eq (write_count, 1);
}
END_TEST

START_TEST (a_chunk_sent_again_with_last_completes_the_block)
{
    put (BLOCK, 0, MIB, false);
    uint64_t token = put (BLOCK, 0, MIB, true);

    disk_writes (0);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    assert_state (token, REPLICA_DURABLE, MIB);
}
END_TEST

START_TEST (a_complete_block_takes_no_other_size)
{
    put (BLOCK, 0, MIB, true);
    assert_answer (put (BLOCK, MIB, MIB, false), LITEDFS_EXISTS);
    assert_answer (put (BLOCK, 2 * MIB, MIB, false), LITEDFS_GAP);
    assert_answer (put (BLOCK, 0, UNIT, true), LITEDFS_EXISTS);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
}
END_TEST

START_TEST (a_finished_block_answers_the_same_content_and_refuses_another)
{
    struct pipeline_chunk whole = chunk_of (BLOCK, 0, 100, true);
    struct pipeline_known known = {.finished = true, .size = 100, .crc32 = whole.crc32};

    uint64_t token = send_chunk (&whole, &known);
    assert_state (token, REPLICA_DURABLE, 100);
    known.crc32++;
    assert_answer (send_chunk (&whole, &known), LITEDFS_EXISTS);
    known.size = 200;
    assert_answer (send_chunk (&whole, &known), LITEDFS_EXISTS);
    ck_assert_uint_eq (write_count, 0);
}
END_TEST

START_TEST (a_part_of_a_finished_block_is_compared)
{
    struct pipeline_chunk part = chunk_of (BLOCK, MIB, MIB, false);
    struct pipeline_known known = {.finished = true, .size = 4 * MIB, .crc32 = 5};
    litedfs_error_t error = {.number = LITEDFS_IO, .text = "no"};

    for (int i = 0; i < 3; i++) {
        uint64_t token = send_chunk (&part, &known);
        ck_assert_int_eq (compared.kind, PIPELINE_COMPARE);
        ck_assert_uint_eq (compared.token, token);
        ck_assert_uint_eq (compared.offset, MIB);
        ck_assert_uint_eq (compared.size, MIB);
        ck_assert_uint_eq (compared.crc32, part.crc32);
        pipeline_compared (pipeline, BLOCK, token, i == 0, &known, i == 2 ? &error : NULL);
        drain ();
        if (i == 0)
            assert_state (token, REPLICA_DURABLE, 4 * MIB);
        else
            assert_answer (token, i == 1 ? LITEDFS_EXISTS : LITEDFS_IO);
    }
}
END_TEST

START_TEST (a_buried_block_is_refused)
{
    struct pipeline_chunk chunk = chunk_of (BLOCK, 0, 100, true);
    struct pipeline_known known = {.buried = true};

    assert_answer (send_chunk (&chunk, &known), LITEDFS_LEASE_LOST);
}
END_TEST

START_TEST (a_chunk_with_a_wrong_crc_changes_nothing)
{
    struct pipeline_chunk chunk = chunk_of (BLOCK, 0, MIB, false);

    chunk.crc32 ^= 1;
    assert_answer (send_chunk (&chunk, &unknown), LITEDFS_CORRUPT);
    ck_assert (!pipeline_has (pipeline, BLOCK));
    put (BLOCK, 0, MIB, false);
    disk_writes (0);
    chunk = chunk_of (BLOCK, MIB, MIB, false);
    chunk.crc32 ^= 1;
    assert_answer (send_chunk (&chunk, &unknown), LITEDFS_CORRUPT);
    uint64_t token = put (BLOCK, MIB, MIB, false);
    disk_writes (0);
    assert_state (token, REPLICA_RECEIVING, 2 * MIB);
}
END_TEST

START_TEST (sizes_and_offsets_that_are_no_multiples_are_refused)
{
    assert_answer (put (BLOCK, 0, UNIT + 1, false), LITEDFS_INVALID);
    assert_answer (put (BLOCK, 0, 0, false), LITEDFS_INVALID);
    assert_answer (put (BLOCK, 0, 0, true), LITEDFS_INVALID);
    assert_answer (put (BLOCK, 1, UNIT, false), LITEDFS_INVALID);
    assert_answer (put (BLOCK, WIRE_MAX - UNIT + 1, UNIT, false), LITEDFS_INVALID);
    struct pipeline_chunk chunk = chunk_of (BLOCK, 0, UNIT, false);
    chunk.chain_count = 1;
    assert_answer (send_chunk (&chunk, &unknown), LITEDFS_UNSUPPORTED);
    chunk = chunk_of (BLOCK, 0, UNIT, false);
    chunk.path = slice_of (NULL, 0);
    assert_answer (send_chunk (&chunk, &unknown), LITEDFS_INVALID);
    ck_assert_uint_eq (pipeline_block_count (pipeline), 0);
}
END_TEST

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
    ck_assert_int_eq (pipeline_next_deadline (pipeline), now_ms + 60000);
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
    make (12 * MIB);
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
    make ((uint64_t) 1 << 40);
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
    make (8 * MIB);
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
    "datanode_pipeline", setup, teardown,
    a_small_block_is_one_chunk_and_is_answered_when_durable,
    chunks_in_order_are_answered_when_written_with_credit, a_last_chunk_may_be_empty,
    a_chunk_above_the_next_offset_is_a_gap_that_names_it,
    a_chunk_that_overlaps_the_next_offset_is_a_gap,
    a_doubled_chunk_is_written_once_and_answered_twice,
    a_doubled_last_chunk_is_answered_when_durable,
    a_chunk_sent_again_with_last_completes_the_block, a_complete_block_takes_no_other_size,
    a_finished_block_answers_the_same_content_and_refuses_another,
    a_part_of_a_finished_block_is_compared, a_buried_block_is_refused,
    a_chunk_with_a_wrong_crc_changes_nothing,
    sizes_and_offsets_that_are_no_multiples_are_refused,
    a_last_chunk_is_answered_after_a_second_with_the_state_so_far,
    stat_without_wait_is_answered_at_once, a_disk_error_fails_the_block_and_everybody_who_waits,
    a_block_that_cannot_be_made_durable_fails, a_silent_writer_loses_its_block,
    a_slow_disk_is_no_silent_writer, an_order_to_delete_ends_a_block_in_write,
    an_order_to_delete_may_come_while_the_block_is_synced,
    a_full_disk_takes_no_new_blocks_and_finishes_those_in_write,
    memory_stays_under_its_limit_and_what_has_started_goes_on,
    chunks_beyond_the_window_are_answered_busy, too_many_requests_for_a_block_are_answered_busy,
    too_many_blocks_are_answered_busy, whatever_comes_every_request_has_one_answer)
