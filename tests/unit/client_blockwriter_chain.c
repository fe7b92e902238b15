/* SPDX-License-Identifier: MIT */
/*
 * client/blockwriter: a block that several nodes shall have, and nodes that fall silent.
 */
#include "client_node_fixture.h"

#define STEP_MS 100

static void
say (size_t place, uint64_t node, enum replica_state state, uint64_t offset)
{
    said[place] = (struct wire_replica){.node = node, .state = state, .offset = offset};
    if (place >= said_count)
        said_count = place + 1;
}

static void
begin_chain (uint64_t size)
{
    chain[0] = 8;
    chain[1] = 9;
    chain_count = 2;
    start_file (size, 8 * MIB);
}

/* Turn until the condition holds. */
static void
turn_until (bool (*holds) (void), int64_t limit_ms)
{
    int64_t end_ms = clock_mono (&fake.clock) + limit_ms;

    while (!holds ()) {
        ck_assert_int_eq (turn (STEP_MS), 0);
        ck_assert (clock_mono (&fake.clock) < end_ms);
    }
}

static bool
node_has_all (void)
{
    return node_complete;
}

static bool
one_chunk_is_acked (void)
{
    return writer.acked >= MIB;
}

/* Turn for so long, and expect that the block does not fail. */
static void
turn_on (int64_t ms)
{
    for (int64_t at = 0; at < ms; at += STEP_MS) {
        ck_assert_int_eq (turn (STEP_MS), 0);
        ck_assert_msg (writer.state == BLOCKWRITER_WRITING ||
                           writer.state == BLOCKWRITER_WAITING,
                       "after %lld ms: %s", (long long) at, writer.error.text);
    }
}

START_TEST (every_chunk_names_the_nodes_that_follow_and_the_durable_ones_are_known)
{
    uint64_t nodes[REPLICAS_MAX];

    begin_chain (3 * MIB); // the node checks the chain of each chunk
    node_syncs = true;
    turn_until (node_has_all, 10000);
    say (0, NODE, REPLICA_DURABLE, 3 * MIB);
    say (1, 8, REPLICA_DURABLE, 3 * MIB);
    say (2, 9, REPLICA_FAILED, MIB);
    node_syncs = false;
    ck_assert_int_eq (run_to_end (STEP_MS, 10000), 0);
    check_block (3 * MIB);
    ck_assert_int_eq (writer.error.number, 0);
    ck_assert_uint_eq (replicas_durable (&writer.replicas, writer.size, nodes), 2);
    ck_assert_uint_eq (nodes[0], NODE);
    ck_assert_uint_eq (nodes[1], 8);
    ck_assert (replica_has_failed (replicas_find (&writer.replicas, 9)));
}
END_TEST

START_TEST (a_first_node_that_only_passes_on_is_not_among_the_durable_ones)
{
    uint64_t nodes[REPLICAS_MAX];

    begin_chain (3 * MIB);
    say (0, NODE, REPLICA_RELAY, MIB);
    say (1, 8, REPLICA_DURABLE, 3 * MIB);
    ck_assert_int_eq (run_to_end (STEP_MS, 10000), 0);
    check_block (3 * MIB);
    ck_assert_uint_eq (replicas_durable (&writer.replicas, writer.size, nodes), 1);
    ck_assert_uint_eq (nodes[0], 8);
}
END_TEST

START_TEST (a_block_that_is_finished_and_that_nobody_has_has_failed)
{
    begin_chain (3 * MIB);
    say (0, NODE, REPLICA_FAILED, MIB);
    say (1, 8, REPLICA_DURABLE, 2 * MIB); // too little
    ck_assert_int_eq (run_to_end (STEP_MS, 10000), 0);
    ck_assert_int_eq (writer.state, BLOCKWRITER_FAILED);
    ck_assert_int_eq (writer.error.number, LITEDFS_INVALID);
}
END_TEST

START_TEST (a_silent_node_is_given_up_after_five_seconds)
{
    start_file (6 * MIB, 8 * MIB);
    turn_until (one_chunk_is_acked, 10000);
    node_mute = true;
    int64_t begin_ms = clock_mono (&fake.clock);
    ck_assert_int_eq (run_to_end (STEP_MS, 10000), 0);
    ck_assert_int_eq (writer.state, BLOCKWRITER_FAILED);
    ck_assert (writer.lost);
    ck_assert_int_eq (writer.error.number, LITEDFS_UNREACHABLE);
    ck_assert_int_le (clock_mono (&fake.clock) - begin_ms, 5500);
    ck_assert_int_ge (clock_mono (&fake.clock) - begin_ms, 4500);
    ck_assert_uint_ge (name_requests, 2);
}
END_TEST

START_TEST (with_nobody_to_be_heard_the_node_is_not_given_up)
{
    start_file (6 * MIB, 8 * MIB);
    turn_until (one_chunk_is_acked, 10000);
    node_mute = name_mute = true;
    turn_on (15000);
    ck_assert_uint_ge (name_requests, 1);
    node_mute = name_mute = false;
    ck_assert_int_eq (run_to_end (STEP_MS, 60000), 0);
    check_block (6 * MIB);
}
END_TEST

START_TEST (after_our_own_network_was_away_the_node_may_be_heard_later_than_the_name_node)
{
    start_file (6 * MIB, 8 * MIB);
    turn_until (one_chunk_is_acked, 10000);
    node_mute = name_mute = true;
    turn_on (15000);
    unmute_name ();
    turn_on (1000);
    ck_assert_int_ne (writer.state, BLOCKWRITER_FAILED);
    unmute_node ();
    ck_assert_int_eq (run_to_end (STEP_MS, 60000), 0);
    check_block (6 * MIB);
}
END_TEST

START_TEST (it_is_given_up_all_the_same_when_that_lasts_for_a_minute)
{
    start_file (6 * MIB, 8 * MIB);
    node_mute = name_mute = true;
    ck_assert_int_eq (run_to_end (1000, 70000), 0);
    ck_assert_int_eq (writer.state, BLOCKWRITER_FAILED);
}
END_TEST

START_TEST (a_node_that_needs_long_is_asked_each_second_and_not_given_up)
{
    start_file (3 * MIB, 4 * MIB);
    always = LOSE; // it has them, and answers late
    turn_on (4000);
    ck_assert_uint_ge (stats, 2);
    ck_assert_uint_le (stats, 4);
    turn_on (10000);
    ck_assert_uint_eq (name_requests, 0);
    always = TAKE;
    ck_assert_int_eq (run_to_end (STEP_MS, 60000), 0);
    check_block (3 * MIB);
}
END_TEST

START_TEST (a_sync_of_a_minute_is_waited_for)
{
    begin_chain (3 * MIB);
    node_syncs = true;
    turn_until (node_has_all, 10000);
    unsigned sent = writes;
    turn_on (60000);
    node_syncs = false;
    ck_assert_int_eq (run_to_end (STEP_MS, 10000), 0);
    check_block (3 * MIB);
    ck_assert_uint_eq (writes, sent);
}
END_TEST

START_TEST (another_node_that_advances_is_progress)
{
    begin_chain (3 * MIB);
    node_syncs = true;
    turn_until (node_has_all, 10000);
    for (uint64_t i = 1; i <= 3; i++) {
        say (0, NODE, REPLICA_DURABLE, 3 * MIB);
        say (1, 8, REPLICA_RECEIVING, i * MIB);
        turn_on (50000);
    }
    node_syncs = false;
    ck_assert_int_eq (run_to_end (STEP_MS, 10000), 0);
    check_block (3 * MIB);
}
END_TEST

START_TEST (when_the_first_node_falls_silent_what_others_have_is_enough)
{
    uint64_t nodes[REPLICAS_MAX];

    begin_chain (3 * MIB);
    node_syncs = true;
    turn_until (node_has_all, 10000);
    say (0, NODE, REPLICA_SYNCING, 3 * MIB);
    say (1, 8, REPLICA_DURABLE, 3 * MIB);
    say (2, 9, REPLICA_SYNCING, 3 * MIB);
    turn_on (3000);
    node_mute = true;
    ck_assert_int_eq (run_to_end (STEP_MS, 10000), 0);
    check_block (3 * MIB);
    ck_assert (writer.lost); // and is known to be
    ck_assert_int_eq (writer.error.number, LITEDFS_UNREACHABLE);
    ck_assert_uint_eq (replicas_durable (&writer.replicas, writer.size, nodes), 1);
    ck_assert_uint_eq (nodes[0], 8);
}
END_TEST

static enum deed
give_the_block_up (unsigned n)
{
    return n >= 3 && n < 12 ? REFUSE_TIMEOUT : n == 12 ? FORGET : TAKE;
}

START_TEST (a_block_that_the_node_gave_up_because_we_were_silent_is_begun_anew)
{
    deed_of = give_the_block_up;
    start_file (6 * MIB, 8 * MIB);
    ck_assert_int_eq (run_to_end (STEP_MS, 60000), 0);
    check_block (6 * MIB);
    ck_assert_int_eq (writer.error.number, 0);
}
END_TEST

START_TEST (that_is_tried_for_75_seconds)
{
    always = REFUSE_TIMEOUT;
    start_file (6 * MIB, 8 * MIB);
    int64_t begin_ms = clock_mono (&fake.clock);
    ck_assert_int_eq (run_to_end (500, 90000), 0);
    ck_assert_int_eq (writer.state, BLOCKWRITER_FAILED);
    ck_assert_int_ge (clock_mono (&fake.clock) - begin_ms, 70000);
}
END_TEST

START_TEST (what_is_silent_while_we_do_not_run_is_forgiven)
{
    struct patient_clock patient;

    patient_clock_init (&patient, &fake.clock);
    session.clock = &patient.clock;
    // the DEALER was given the other clock, as nothing of this test needs it
    start_file (6 * MIB, 8 * MIB);
    for (int i = 0; i < 20 && writer.acked < MIB; i++)
        turn (STEP_MS);
    int64_t before_ms = clock_mono (&patient.clock);
    fake_clock_advance (&fake, 600000);
    ck_assert_int_eq (clock_mono (&patient.clock), before_ms);
    ck_assert_int_eq (blockwriter_push (&writer, &error), 0);
    ck_assert (writer.state == BLOCKWRITER_WRITING || writer.state == BLOCKWRITER_WAITING);
    ck_assert_int_lt (blockwriter_stalled_ms (&writer), 5000);
    ck_assert_int_eq (run_to_end (STEP_MS, 60000), 0);
    check_block (6 * MIB);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "client_blockwriter_chain", setup, teardown,
    every_chunk_names_the_nodes_that_follow_and_the_durable_ones_are_known,
    a_first_node_that_only_passes_on_is_not_among_the_durable_ones,
    a_block_that_is_finished_and_that_nobody_has_has_failed,
    a_silent_node_is_given_up_after_five_seconds,
    with_nobody_to_be_heard_the_node_is_not_given_up,
    after_our_own_network_was_away_the_node_may_be_heard_later_than_the_name_node,
    it_is_given_up_all_the_same_when_that_lasts_for_a_minute,
    a_node_that_needs_long_is_asked_each_second_and_not_given_up,
    a_sync_of_a_minute_is_waited_for, another_node_that_advances_is_progress,
    when_the_first_node_falls_silent_what_others_have_is_enough,
    a_block_that_the_node_gave_up_because_we_were_silent_is_begun_anew,
    that_is_tried_for_75_seconds, what_is_silent_while_we_do_not_run_is_forgiven)
