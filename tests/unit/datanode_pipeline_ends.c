/* SPDX-License-Identifier: MIT */
/*
 * How a block ends here while others are in its chain: it is refused, forgotten by order, given up; and
 * the events of a good end in every order.  This is node 1, the chain 2, 3.
 */
#include "datanode_pipeline_fixture.h"

static const uint64_t none[] = {0};
static const uint64_t two[] = {2, 0};
static const uint64_t two_three[] = {2, 3, 0};

/* ---- we refuse, or end it ----------------------------------------------------------------------- */

START_TEST (a_node_that_cannot_take_a_block_says_so)
{
    pipeline_set_full (pipeline, true);
    put_from (9, two, 0, MIB, false);
    ck_assert_int_eq (last_ack ()->action.error, LITEDFS_NO_SPACE);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_FAILED);
    pipeline_set_full (pipeline, false);
    struct pipeline_chunk chunk = chunk_of (BLOCK, 0, MIB, false);
    chunk.from = 9;
    chunk.crc32 ^= 1;
    send_chunk (&chunk, &unknown);
    ck_assert_int_eq (last_ack ()->action.error, LITEDFS_CORRUPT);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_UNKNOWN);
    make_pipeline (UNIT);
    put_from (9, two, 0, MIB, false);
    ck_assert_int_eq (last_ack ()->action.error, LITEDFS_BUSY);
}
END_TEST

START_TEST (a_buried_block_is_taken_by_order_only)
{
    struct pipeline_chunk chunk = chunk_of (BLOCK, 0, MIB, true);
    struct pipeline_known known = {.buried = true};

    chunk.from = 9;
    send_chunk (&chunk, &known);
    ck_assert_int_eq (last_ack ()->action.error, LITEDFS_LEASE_LOST);
    chunk = chunk_of (BLOCK, 0, MIB, true);
    chunk.from = 9;
    chunk.copy = true;
    chunk.chain = two;
    chunk.chain_count = 1;
    send_chunk (&chunk, &known);
    ck_assert_uint_eq (write_count, 1);
    ck_assert (writes[0].copy);
    ck_assert (last_forward ()->copy);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
}
END_TEST

START_TEST (an_order_to_delete_is_told_to_those_before_us)
{
    put_from (9, two, 0, MIB, false);
    pipeline_forget (pipeline, now_ms, BLOCK);
    drain ();
    ck_assert_int_eq (last_ack ()->action.error, LITEDFS_LEASE_LOST);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_FAILED);
    put_from (9, two, MIB, MIB, false);
    ck_assert_int_eq (last_ack ()->action.error, LITEDFS_LEASE_LOST);
    ck_assert_uint_eq (forward_count, 1);
    disk_writes (0);
    struct pipeline_chunk chunk = chunk_of (BLOCK, 0, MIB, true);
    chunk.from = 9;
    chunk.copy = true; // the name node has changed its mind
    send_chunk (&chunk, NULL);
    ck_assert_uint_eq (write_count, 2);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    pipeline_forget (pipeline, now_ms, BLOCK); // final, and only remembered
    ck_assert (!pipeline_has (pipeline, BLOCK));
}
END_TEST

START_TEST (a_finished_block_that_was_damaged_may_come_anew_and_one_in_write_stays)
{
    put_from (9, two, 0, MIB, true);
    pipeline_lost (pipeline, BLOCK);
    ck_assert (pipeline_has (pipeline, BLOCK));
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    ACKED (0, LINE (2, DURABLE, MIB));
    ck_assert (pipeline_has (pipeline, BLOCK));
    pipeline_lost (pipeline, BLOCK);
    ck_assert (!pipeline_has (pipeline, BLOCK));
    pipeline_lost (pipeline, BLOCK);
    struct pipeline_chunk chunk = chunk_of (BLOCK, 0, MIB, true);
    chunk.from = 2;
    chunk.copy = true;
    send_chunk (&chunk, &unknown);
    ck_assert_uint_eq (write_count, 2);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_DURABLE);
}
END_TEST

START_TEST (a_relay_that_is_final_makes_way_for_a_copy_by_order)
{
    struct pipeline_chunk chunk = chunk_of (BLOCK, 0, MIB, true);

    put_from (9, two, 0, MIB, true);
    disk_writes (LITEDFS_IO);
    ACKED (0, LINE (2, DURABLE, MIB));
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_RELAY);
    ck_assert (pipeline_has (pipeline, BLOCK));
    chunk.from = 2;
    chunk.copy = true;
    send_chunk (&chunk, NULL);
    ck_assert_uint_eq (write_count, 2);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_DURABLE);
}
END_TEST

START_TEST (a_silent_node_before_us_loses_the_block)
{
    put_from (9, none, 0, MIB, false);
    disk_writes (0);
    for (int i = 0; i < 60; i++)
        tick (1000);
    ck_assert_int_eq (last_ack ()->action.error, LITEDFS_TIMEOUT);
    ck_assert_uint_eq (abandoned, 1);
    size_t before = ack_count;
    tick (10000);
    ck_assert_uint_eq (ack_count, before);
    tick (WRITE_TIMEOUT_MS);
    ck_assert (!pipeline_has (pipeline, BLOCK));
    ck_assert_int_eq (pipeline_next_deadline (pipeline), INT64_MAX);
}
END_TEST

/* ---- every order -------------------------------------------------------------------------------- */

enum { WRITTEN, SYNCED, RECEIVED, SYNCING, DURABLE, OLD_GAP, AGAIN, EVENTS };

/* One event of the end of a block of one chunk; the disk's second one only after its first. */
static void
happen (int event, bool *written, bool *synced_early)
{
    if (event == WRITTEN) {
        disk_writes (0);
        *written = true;
        if (*synced_early)
            disk_is_durable (BLOCK, 0);
    } else if (event == SYNCED && *written) {
        disk_is_durable (BLOCK, 0);
    } else if (event == SYNCED) {
        *synced_early = true;
    } else if (event == RECEIVED) {
        ACKED (MIB, LINE (2, RECEIVING, 0), LINE (3, UNKNOWN, 0));
    } else if (event == SYNCING) {
        ACKED (0, LINE (2, SYNCING, UNIT), LINE (3, RECEIVING, UNIT));
    } else if (event == DURABLE) {
        ACKED (0, LINE (2, DURABLE, UNIT), LINE (3, DURABLE, UNIT));
    } else if (event == OLD_GAP) {
        REFUSED (LITEDFS_GAP, LINE (2, UNKNOWN, 0));
    } else {
        put_chain (two_three, 0, UNIT, true);
    }
}

static void
try_good_order (const int *order)
{
    bool written = false;
    bool synced_early = false;

    make_pipeline (36 * MIB);
    put_chain (two_three, 0, UNIT, true);
    for (int i = 0; i < EVENTS; i++)
        happen (order[i], &written, &synced_early);
    for (uint64_t token = 0; token < next_token; token++) {
        assert_state (token, REPLICA_DURABLE, UNIT);
        assert_line (token, 0, SELF, REPLICA_DURABLE, UNIT);
        assert_line (token, 1, 2, REPLICA_DURABLE, UNIT);
        assert_line (token, 2, 3, REPLICA_DURABLE, UNIT);
    }
    ck_assert_uint_eq (pipeline_reserved (pipeline), 0);
    ck_assert_uint_eq (write_count, 1);
    ck_assert_uint_eq (passed_count, 0);
    forget_all ();
}

/* What may happen when our disk fails and the next node dies. */
enum { OWN_FAILS, LOST, LATE, FORGOT, TWICE, LOOK, WAIT };

static void
happen_badly (int event)
{
    if (event == OWN_FAILS)
        disk_writes (LITEDFS_IO);
    else if (event == LOST)
        lose (2);
    else if (event == LATE)
        ACKED (0, LINE (2, RECEIVING, UNIT), LINE (3, RECEIVING, 0));
    else if (event == FORGOT)
        REFUSED (LITEDFS_GAP, LINE (2, UNKNOWN, 0));
    else if (event == TWICE)
        put_chain (two_three, 0, UNIT, true);
    else if (event == LOOK)
        stat_block (BLOCK, 500);
    else
        tick (600);
}

static void
try_bad_order (const int *order)
{
    make_pipeline (36 * MIB);
    put_chain (two_three, 0, UNIT, true);
    for (int i = 0; i < EVENTS; i++)
        happen_badly (order[i]);
    ACKED (0, LINE (3, DURABLE, UNIT));
    uint64_t last = stat_block (BLOCK, 0);
    assert_state (last, REPLICA_DURABLE, UNIT);
    assert_line (last, 0, SELF, REPLICA_RELAY, UNIT);
    ck_assert_int_eq (answer_lines[last][1].state, REPLICA_FAILED);
    assert_line (last, 2, 3, REPLICA_DURABLE, UNIT);
    for (uint64_t token = 0; token < next_token; token++)
        ck_assert_uint_eq (answers[token], 1);
    ck_assert_uint_eq (pipeline_reserved (pipeline), 0);
    ck_assert_uint_eq (passed_count, 1);
    ck_assert_uint_eq (abandoned, 1);
    forget_all ();
}

static void
permute (int *order, int from, void (*try_order) (const int *order))
{
    if (from == EVENTS)
        try_order (order);
    for (int i = from; i < EVENTS; i++) {
        int other = order[i];
        order[i] = order[from];
        order[from] = other;
        permute (order, from + 1, try_order);
        order[from] = order[i];
        order[i] = other;
    }
}

START_TEST (the_events_of_the_end_may_come_in_any_order)
{
    int order[EVENTS];

    for (int i = 0; i < EVENTS; i++)
        order[i] = i;
    permute (order, 0, try_good_order);
}
END_TEST

START_TEST (so_may_those_of_an_end_with_a_disk_that_fails_and_a_node_that_dies)
{
    int order[EVENTS];

    for (int i = 0; i < EVENTS; i++)
        order[i] = i;
    permute (order, 0, try_bad_order);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_pipeline_ends", setup, teardown,
                   a_node_that_cannot_take_a_block_says_so,
                   a_buried_block_is_taken_by_order_only,
                   an_order_to_delete_is_told_to_those_before_us,
                   a_finished_block_that_was_damaged_may_come_anew_and_one_in_write_stays,
                   a_relay_that_is_final_makes_way_for_a_copy_by_order,
                   a_silent_node_before_us_loses_the_block,
                   the_events_of_the_end_may_come_in_any_order,
                   so_may_those_of_an_end_with_a_disk_that_fails_and_a_node_that_dies)
