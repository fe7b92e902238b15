/* SPDX-License-Identifier: MIT */
/*
 * A block with nodes after this one, when something goes wrong: the hop is silent, gone, busy, refuses,
 * forgets or stands still; our disk fails or stands still; we stood still ourselves.  This is node 1, the
 * chain 2, 3.
 */
#include "datanode_pipeline_fixture.h"

static const uint64_t two[] = {2, 0};
static const uint64_t two_three[] = {2, 3, 0};

/* ---- silence ---------------------------------------------------------------------------------- */

START_TEST (a_silent_hop_is_asked_and_then_passed_over)
{
    put_chain (two_three, 0, MIB, false);
    disk_writes (0);
    tick (1499);
    ck_assert_uint_eq (forward_count, 1);
    tick (1);
    assert_forward (2, 2, 0, MIB, false); // asked
    tick (1000);
    assert_forward (3, 2, 0, MIB, false);
    tick (1000);
    tick (1000);
    tick (499);
    ck_assert_uint_eq (passed_count, 0);
    size_t before = forward_count;
    tick (1);
    ck_assert_uint_eq (passed_count, 1);
    ck_assert_uint_eq (passed[0], 2);
    ck_assert_int_eq (passed_error[0], LITEDFS_TIMEOUT);
    assert_forward (before + 1, 3, 0, MIB, false);
    ck_assert_uint_eq (last_forward ()->chain_count, 0);
    ACKED (MIB, LINE (3, RECEIVING, MIB));
    uint64_t stat = stat_block (BLOCK, 0);
    assert_state (stat, REPLICA_RECEIVING, MIB);
    assert_line (stat, 1, 2, REPLICA_FAILED, 0);
    assert_line (stat, 2, 3, REPLICA_RECEIVING, MIB);
}
END_TEST

START_TEST (the_next_hop_is_sent_what_it_lacks)
{
    for (uint64_t i = 0; i < 4; i++)
        put_chain (two_three, i * MIB, MIB, i == 3);
    ACKED (8 * MIB, LINE (2, RECEIVING, 0), LINE (3, UNKNOWN, 0));
    ACKED (8 * MIB, LINE (2, RECEIVING, 2 * MIB), LINE (3, RECEIVING, MIB));
    ck_assert_uint_eq (forward_count, 4);
    lose (2);
    assert_forward (5, 3, MIB, 2 * MIB, false); // one, until it gives credit
    ACKED (8 * MIB, LINE (3, RECEIVING, 2 * MIB));
    assert_forward (7, 3, 3 * MIB, 4 * MIB, true);
    ACKED (0, LINE (3, DURABLE, 4 * MIB));
    for (int i = 0; i < 4; i++)
        disk_writes (0);
    disk_is_durable (BLOCK, 0);
    assert_state (stat_block (BLOCK, 0), REPLICA_DURABLE, 4 * MIB);
}
END_TEST

START_TEST (silence_counts_from_when_something_is_owed)
{
    put_chain (two, 0, MIB, false);
    disk_writes (0);
    ACKED (MIB, LINE (2, RECEIVING, MIB));
    tick (30000); // the writer is slow
    ck_assert_uint_eq (passed_count, 0);
    put_chain (two, MIB, MIB, false);
    tick (4999);
    ck_assert_uint_eq (passed_count, 0);
    tick (1);
    ck_assert_uint_eq (passed_count, 1);
}
END_TEST

START_TEST (a_hop_that_waits_for_a_silent_node_is_not_silent)
{
    put_chain (two_three, 0, MIB, false);
    disk_writes (0);
    for (int i = 0; i < 20; i++) {
        tick (1000);
        ACKED (MIB, LINE (2, RECEIVING, MIB), LINE (3, RECEIVING, 0));
    }
    ck_assert_uint_eq (passed_count, 0);
    // It falls silent while node 3 still lacks bytes: nothing is owed by itself, and yet.
    for (int i = 0; i < 5; i++)
        tick (1000);
    ck_assert_uint_eq (passed_count, 1);
    ck_assert_uint_eq (passed[0], 2);
    assert_forward (forward_count, 3, 0, MIB, false);
}
END_TEST

START_TEST (a_hop_that_acks_and_does_not_advance_is_asked_and_in_the_end_passed_over)
{
    put_chain (two, 0, MIB, false);
    disk_writes (0);
    int64_t began_ms = now_ms;
    while (passed_count == 0 && now_ms < began_ms + 100000) {
        tick (500);
        ACKED (MIB, LINE (2, RECEIVING, 0));
    }
    ck_assert_int_ge (now_ms - began_ms, WRITE_TIMEOUT_MS);
    ck_assert_int_le (now_ms - began_ms, WRITE_TIMEOUT_MS + 1000);
    ck_assert_int_eq (passed_error[0], LITEDFS_TIMEOUT);
    ck_assert_uint_ge (forward_count, 30); // what it was sent may have been lost
}
END_TEST

START_TEST (a_hop_that_has_all_is_not_blamed_for_the_node_after_it)
{
    put_chain (two_three, 0, MIB, false);
    disk_writes (0);
    int64_t began_ms = now_ms;
    while (passed_count == 0 && now_ms < began_ms + 100000) {
        tick (500);
        stat_block (BLOCK, 0); // the writer has nothing to write for a long time
        ACKED (8 * MIB, LINE (2, RECEIVING, MIB), LINE (3, RECEIVING, 0));
    }
    ck_assert_uint_eq (passed_count, 1);
    ck_assert_uint_eq (passed[0], 3);
    put_chain (two_three, MIB, MIB, false); // and now it has to do something
    tick (1000);
    ck_assert_uint_eq (passed_count, 1);
}
END_TEST

START_TEST (a_node_that_stands_still_behind_the_hop_is_given_up_a_little_later)
{
    put_chain (two_three, 0, MIB, true);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    ACKED (0, LINE (2, DURABLE, MIB), LINE (3, RECEIVING, 0));
    int64_t began_ms = now_ms;
    while (passed_count == 0 && now_ms < began_ms + 100000) {
        tick (500);
        ACKED (0, LINE (2, DURABLE, MIB), LINE (3, RECEIVING, 0));
    }
    ck_assert_int_ge (now_ms - began_ms, WRITE_TIMEOUT_MS + PIPELINE_TIMEOUT_MS);
    ck_assert_int_le (now_ms - began_ms, WRITE_TIMEOUT_MS + PIPELINE_TIMEOUT_MS + 1000);
    ck_assert_uint_eq (passed[0], 3);
    uint64_t stat = stat_block (BLOCK, 0);
    assert_state (stat, REPLICA_DURABLE, MIB);
    assert_line (stat, 1, 2, REPLICA_DURABLE, MIB);
    assert_line (stat, 2, 3, REPLICA_FAILED, 0);
}
END_TEST

START_TEST (our_own_stop_is_nobody_s_silence)
{
    put_chain (two, 0, MIB, false);
    disk_writes (0);
    tick (2000);
    ACKED (MIB, LINE (2, RECEIVING, 0));
    tick (1000);
    now_ms += 20000; // SIGSTOP
    pipeline_forgive (pipeline, now_ms, 20000);
    tick (0);
    ck_assert_uint_eq (passed_count, 0);
    for (int i = 0; i < 3; i++)
        tick (1000);
    ck_assert_uint_eq (passed_count, 0);
    tick (1000); // five seconds since its ack that we have lived
    ck_assert_uint_eq (passed_count, 1);
}
END_TEST

START_TEST (a_hop_that_waits_for_a_slow_writer_hears_that_we_are_there)
{
    put_chain (two, 0, MIB, false);
    disk_writes (0);
    ACKED (MIB, LINE (2, RECEIVING, MIB));
    size_t before = forward_count;
    for (int i = 0; i < 24; i++) {
        tick (5000);
        stat_block (BLOCK, 0);
    }
    ck_assert_uint_ge (forward_count, before + 6);
    assert_forward (forward_count, 2, MIB, MIB, false); // with nothing in it
    before = forward_count;
    for (int i = 0; i < 12; i++) // and no longer when our own writer is silent
        tick (5000);
    ck_assert_uint_le (forward_count, before + 1);
    ck_assert_uint_eq (abandoned, 1);
}
END_TEST

/* ---- the hop is gone, or refuses --------------------------------------------------------------- */

START_TEST (a_lost_hop_is_passed_over_at_once)
{
    uint64_t token = put_chain (two, 0, 100, true);

    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    lose (3); // not ours
    ck_assert_uint_eq (answers[token], 0);
    lose (2);
    assert_state (token, REPLICA_DURABLE, 100);
    assert_line (token, 1, 2, REPLICA_FAILED, 0);
    ck_assert_int_eq (passed_error[0], LITEDFS_UNREACHABLE);
}
END_TEST

START_TEST (a_lost_hop_that_is_durable_stays_so)
{
    put_chain (two_three, 0, MIB, true);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    ACKED (0, LINE (2, DURABLE, MIB), LINE (3, SYNCING, MIB));
    lose (2);
    assert_forward (2, 3, MIB, MIB, true); // how far is it?
    ACKED (0, LINE (3, DURABLE, MIB));
    uint64_t stat = stat_block (BLOCK, 0);
    assert_state (stat, REPLICA_DURABLE, MIB);
    assert_line (stat, 1, 2, REPLICA_DURABLE, MIB);
    ck_assert_uint_eq (passed_count, 0);
}
END_TEST

START_TEST (a_hop_that_refuses_is_passed_over)
{
    put_chain (two_three, 0, MIB, false);
    REFUSED (LITEDFS_NO_SPACE, LINE (2, FAILED, 0));
    ck_assert_int_eq (passed_error[0], LITEDFS_NO_SPACE);
    assert_forward (2, 3, 0, MIB, false);
    ACKED (0, LINE (3, FAILED, 0)); // without a word
    ck_assert_uint_eq (passed_count, 2);
    uint64_t token = put_chain (two_three, MIB, 0, true);
    disk_writes (0);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    assert_state (token, REPLICA_DURABLE, MIB); // alone
    ck_assert_uint_eq (forward_count, 2);
    ACKED (MIB, LINE (2, RECEIVING, MIB)); // too late
    assert_line (stat_block (BLOCK, 0), 1, 2, REPLICA_FAILED, 0);
}
END_TEST

START_TEST (a_hop_that_is_busy_is_sent_the_chunk_again)
{
    put_chain (two, 0, MIB, false);
    disk_writes (0);
    for (unsigned i = 0; i < 100; i++) {
        REFUSED (LITEDFS_BUSY, LINE (2, UNKNOWN, 0));
        tick (199);
        ck_assert_uint_eq (forward_count, 1 + i);
        tick (1);
        ck_assert_uint_eq (forward_count, 2 + i);
    }
    ck_assert_uint_eq (passed_count, 0);
    ACKED (MIB, LINE (2, RECEIVING, MIB));
    assert_state (stat_block (BLOCK, 0), REPLICA_RECEIVING, MIB);
}
END_TEST

START_TEST (a_node_that_the_hop_gave_up_is_no_longer_waited_for)
{
    uint64_t token = put_chain (two_three, 0, MIB, true);

    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    ACKED (0, LINE (2, DURABLE, MIB), LINE (3, FAILED, 0));
    assert_state (token, REPLICA_DURABLE, MIB);
    assert_line (token, 2, 3, REPLICA_FAILED, 0);
}
END_TEST

/* ---- gaps ------------------------------------------------------------------------------------- */

START_TEST (a_gap_is_filled_at_once_but_not_twice_in_a_moment)
{
    for (uint64_t i = 0; i < 4; i++)
        put_chain (two, i * MIB, MIB, false);
    ACKED (8 * MIB, LINE (2, RECEIVING, MIB));
    ck_assert_uint_eq (forward_count, 4);
    REFUSED (LITEDFS_GAP, LINE (2, RECEIVING, MIB)); // the second one was lost
    assert_forward (7, 2, 3 * MIB, 4 * MIB, false);
    ck_assert_uint_eq (forwards[4].action.offset, MIB);
    REFUSED (LITEDFS_GAP, LINE (2, RECEIVING, MIB));
    REFUSED (LITEDFS_CORRUPT, LINE (2, RECEIVING, MIB));
    ck_assert_uint_eq (forward_count, 7);
    tick (200);
    ck_assert_uint_eq (forward_count, 10);
    while (write_done < write_count)
        disk_writes (0);
}
END_TEST

START_TEST (a_lost_end_is_sent_again)
{
    put_chain (two, 0, MIB, false);
    put_chain (two, MIB, 0, true);
    ck_assert_uint_eq (forward_count, 2);
    ACKED (MIB, LINE (2, RECEIVING, MIB));
    for (int i = 0; i < 4; i++) {
        tick (500);
        ACKED (MIB, LINE (2, RECEIVING, MIB)); // it lives, and waits for us
    }
    assert_forward (3, 2, MIB, MIB, true);
    disk_writes (0);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
}
END_TEST

START_TEST (a_hop_that_forgot_what_is_kept_is_sent_it_again)
{
    put_chain (two_three, 0, MIB, false);
    put_chain (two_three, MIB, MIB, false);
    disk_writes (0);
    disk_writes (0);
    ACKED (8 * MIB, LINE (2, RECEIVING, MIB), LINE (3, RECEIVING, 0));
    ACKED (MIB, LINE (2, RECEIVING, 2 * MIB), LINE (3, RECEIVING, 0));
    ck_assert_uint_eq (forward_count, 2);
    REFUSED (LITEDFS_GAP, LINE (2, UNKNOWN, 0)); // it has started anew
    assert_forward (3, 2, 0, MIB, false);
    assert_line (stat_block (BLOCK, 0), 1, 2, REPLICA_RECEIVING, 0);
    ck_assert_uint_eq (passed_count, 0);
}
END_TEST

START_TEST (a_hop_that_forgot_what_is_gone_is_passed_over_when_it_says_so_again)
{
    put_chain (two, 0, MIB, false);
    disk_writes (0);
    ACKED (MIB, LINE (2, RECEIVING, MIB));
    REFUSED (LITEDFS_GAP, LINE (2, UNKNOWN, 0)); // late, from before the first chunk came
    ACKED (MIB, LINE (2, RECEIVING, MIB));
    tick (200);
    tick (4800);
    REFUSED (LITEDFS_GAP, LINE (2, UNKNOWN, 0)); // again
    ck_assert_uint_eq (passed_count, 0);
    put_chain (two, MIB, MIB, false);
    tick (200);
    assert_forward (2, 2, MIB, 2 * MIB, false);
    REFUSED (LITEDFS_GAP, LINE (2, UNKNOWN, 0));
    ck_assert_uint_eq (passed_count, 1);
    ck_assert_int_eq (passed_error[0], LITEDFS_GAP);
    disk_writes (0);
}
END_TEST

START_TEST (an_offset_inside_a_chunk_cannot_be_served)
{
    put_chain (two, 0, MIB, false);
    disk_writes (0);
    for (int i = 0; i < 40 && passed_count == 0; i++) {
        REFUSED (LITEDFS_GAP, LINE (2, RECEIVING, UNIT));
        tick (200);
    }
    ck_assert_uint_eq (passed_count, 1);
}
END_TEST

START_TEST (a_hop_that_is_done_and_does_not_know_the_others_leaves_them_to_us)
{
    put_chain (two_three, 0, MIB, true);
    ACKED (0, LINE (2, SYNCING, MIB), LINE (3, RECEIVING, 0));
    ACKED (0, LINE (2, DURABLE, MIB)); // it has started anew
    assert_forward (2, 3, 0, MIB, true);
    ACKED (0, LINE (3, DURABLE, MIB));
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    uint64_t stat = stat_block (BLOCK, 0);
    assert_state (stat, REPLICA_DURABLE, MIB);
    assert_line (stat, 1, 2, REPLICA_DURABLE, MIB);
    assert_line (stat, 2, 3, REPLICA_DURABLE, MIB);
}
END_TEST

/* ---- relays ------------------------------------------------------------------------------------ */

START_TEST (a_node_whose_disk_fails_goes_on_as_a_relay)
{
    uint64_t token = put_chain (two, 0, MIB, false);

    ACKED (8 * MIB, LINE (2, RECEIVING, MIB));
    disk_writes (LITEDFS_IO);
    assert_state (token, REPLICA_RECEIVING, MIB);
    assert_line (token, 0, SELF, REPLICA_RELAY, MIB);
    ck_assert_uint_eq (abandoned, 1);
    token = put_chain (two, MIB, MIB, true);
    ck_assert_uint_eq (write_count, 1);
    assert_forward (2, 2, MIB, 2 * MIB, true);
    ACKED (0, LINE (2, DURABLE, 2 * MIB));
    assert_state (token, REPLICA_DURABLE, 2 * MIB);
    assert_line (token, 0, SELF, REPLICA_RELAY, 2 * MIB);
    ck_assert_uint_eq (answer_state[token].size, 2 * MIB);
    tick (PIPELINE_LINGER_MS);
    ck_assert (!pipeline_has (pipeline, BLOCK));
    ck_assert_uint_eq (abandoned, 1);
}
END_TEST

START_TEST (a_sync_that_fails_makes_a_relay_too)
{
    put_from (9, two, 0, MIB, true);
    disk_writes (0);
    disk_is_durable (BLOCK, LITEDFS_IO);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_RELAY);
    ck_assert_int_eq (last_ack ()->action.error, 0);
    ACKED (0, LINE (2, DURABLE, MIB));
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_RELAY);
    ck_assert_int_eq (last_ack ()->replicas[1].state, REPLICA_DURABLE);
}
END_TEST

START_TEST (a_relay_with_nobody_left_has_failed)
{
    uint64_t token = put_chain (two_three, 0, MIB, true);

    disk_writes (LITEDFS_IO);
    ck_assert_uint_eq (answers[token], 0);
    ACKED (0, LINE (2, RELAY, MIB), LINE (3, SYNCING, MIB));
    ck_assert_uint_eq (answers[token], 0);
    ACKED (0, LINE (2, RELAY, MIB), LINE (3, FAILED, MIB));
    assert_answer (token, LITEDFS_IO);
    ck_assert_str_eq (answer_text[token], "the disk says no");
    assert_state (stat_block (BLOCK, 0), REPLICA_FAILED, 0);
    ck_assert_uint_eq (pipeline_reserved (pipeline), 0);
}
END_TEST

START_TEST (a_hop_that_is_a_relay_goes_on_as_hop)
{
    put_chain (two_three, 0, MIB, false);
    disk_writes (0);
    ACKED (8 * MIB, LINE (2, RELAY, MIB), LINE (3, RECEIVING, 0));
    assert_state (stat_block (BLOCK, 0), REPLICA_RECEIVING, 0);
    put_chain (two_three, MIB, MIB, true);
    assert_forward (2, 2, MIB, 2 * MIB, true);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    ACKED (0, LINE (2, RELAY, 2 * MIB), LINE (3, RECEIVING, MIB));
    lose (2); // and node 3 is served from here
    assert_forward (3, 3, MIB, 2 * MIB, true);
    ACKED (0, LINE (3, DURABLE, 2 * MIB));
    uint64_t stat = stat_block (BLOCK, 0);
    assert_state (stat, REPLICA_DURABLE, 2 * MIB);
    assert_line (stat, 1, 2, REPLICA_FAILED, 2 * MIB);
}
END_TEST

START_TEST (an_own_disk_that_stands_still_does_not_keep_the_others)
{
    uint64_t token = put_chain (two, 0, MIB, true);

    ACKED (0, LINE (2, DURABLE, MIB));
    tick (1000);
    assert_state (token, REPLICA_RECEIVING, 0);
    tick (WRITE_TIMEOUT_MS - 1001);
    uint64_t stat = stat_block (BLOCK, 1000);
    ck_assert_uint_eq (answers[stat], 0);
    tick (1);
    assert_state (stat, REPLICA_DURABLE, MIB);
    assert_line (stat, 0, SELF, REPLICA_RELAY, MIB);
    tick (PIPELINE_LINGER_MS); // the disk is not done with it: it stays
    ck_assert (pipeline_has (pipeline, BLOCK));
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    tick (PIPELINE_LINGER_MS);
    ck_assert (!pipeline_has (pipeline, BLOCK));
}
END_TEST

START_TEST (a_disk_that_comes_back_too_late_is_told_to_remove_what_it_has)
{
    put_chain (two, 0, MIB, false);
    ACKED (8 * MIB, LINE (2, RECEIVING, MIB));
    for (int i = 0; i < 12; i++) {
        tick (5000);
        stat_block (BLOCK, 0);
    }
    uint64_t token = put_chain (two, MIB, MIB, true);
    ck_assert_uint_eq (write_count, 1);
    ACKED (0, LINE (2, DURABLE, 2 * MIB));
    assert_state (token, REPLICA_DURABLE, 2 * MIB);
    ck_assert_uint_eq (abandoned, 0);
    disk_writes (0);
    ck_assert_uint_eq (abandoned, 1);
    tick (PIPELINE_LINGER_MS);
    ck_assert (!pipeline_has (pipeline, BLOCK));
}
END_TEST

UNIT_MAIN_FIXTURE (
    "datanode_pipeline_faults", setup, teardown, a_silent_hop_is_asked_and_then_passed_over,
    the_next_hop_is_sent_what_it_lacks, silence_counts_from_when_something_is_owed,
    a_hop_that_waits_for_a_silent_node_is_not_silent,
    a_hop_that_acks_and_does_not_advance_is_asked_and_in_the_end_passed_over,
    a_hop_that_has_all_is_not_blamed_for_the_node_after_it,
    a_node_that_stands_still_behind_the_hop_is_given_up_a_little_later,
    our_own_stop_is_nobody_s_silence,
    a_hop_that_waits_for_a_slow_writer_hears_that_we_are_there,
    a_lost_hop_is_passed_over_at_once, a_lost_hop_that_is_durable_stays_so,
    a_hop_that_refuses_is_passed_over, a_hop_that_is_busy_is_sent_the_chunk_again,
    a_node_that_the_hop_gave_up_is_no_longer_waited_for,
    a_gap_is_filled_at_once_but_not_twice_in_a_moment, a_lost_end_is_sent_again,
    a_hop_that_forgot_what_is_kept_is_sent_it_again,
    a_hop_that_forgot_what_is_gone_is_passed_over_when_it_says_so_again,
    an_offset_inside_a_chunk_cannot_be_served,
    a_hop_that_is_done_and_does_not_know_the_others_leaves_them_to_us,
    a_node_whose_disk_fails_goes_on_as_a_relay, a_sync_that_fails_makes_a_relay_too,
    a_relay_with_nobody_left_has_failed, a_hop_that_is_a_relay_goes_on_as_hop,
    an_own_disk_that_stands_still_does_not_keep_the_others,
    a_disk_that_comes_back_too_late_is_told_to_remove_what_it_has)
