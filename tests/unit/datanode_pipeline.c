/* SPDX-License-Identifier: MIT */
/*
 * The write path's rules, chunk by chunk: which are taken, in which order, and what each is answered.
 * Each case ends with a look at all answers: every request has exactly one.
 */
#include "datanode_pipeline_fixture.h"

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
    chunk.path = slice_of (NULL, 0);
    assert_answer (send_chunk (&chunk, &unknown), LITEDFS_INVALID);
    ck_assert_uint_eq (pipeline_block_count (pipeline), 0);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_pipeline", setup, teardown,
                   a_small_block_is_one_chunk_and_is_answered_when_durable,
                   chunks_in_order_are_answered_when_written_with_credit,
                   a_last_chunk_may_be_empty,
                   a_chunk_above_the_next_offset_is_a_gap_that_names_it,
                   a_chunk_that_overlaps_the_next_offset_is_a_gap,
                   a_doubled_chunk_is_written_once_and_answered_twice,
                   a_doubled_last_chunk_is_answered_when_durable,
                   a_chunk_sent_again_with_last_completes_the_block,
                   a_complete_block_takes_no_other_size,
                   a_finished_block_answers_the_same_content_and_refuses_another,
                   a_part_of_a_finished_block_is_compared, a_buried_block_is_refused,
                   a_chunk_with_a_wrong_crc_changes_nothing,
                   sizes_and_offsets_that_are_no_multiples_are_refused)
