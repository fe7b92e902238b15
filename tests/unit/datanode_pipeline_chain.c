/* SPDX-License-Identifier: MIT */
/*
 * A block with nodes after this one, as long as all goes well: what is passed on and when, what acks
 * release and promise, what those before are told, who is waited for at the end; and acks that come
 * twice, late, in another order, or that cannot be true.  This is node 1; the chain is 2, 3 or 2 alone.
 */
#include "datanode_pipeline_fixture.h"

static const uint64_t none[] = {0};
static const uint64_t two[] = {2, 0};
static const uint64_t two_three[] = {2, 3, 0};

/* ---- forward ---------------------------------------------------------------------------------- */

START_TEST (a_chunk_is_written_and_passed_on_at_once)
{
    put_chain (two_three, 0, MIB, false);
    ck_assert_uint_eq (write_count, 1);
    assert_forward (1, 2, 0, MIB, false);
    ck_assert_uint_eq (forwards[0].action.chain_count, 1);
    ck_assert_uint_eq (forwards[0].chain[0], 3);
    ck_assert_uint_eq (forwards[0].action.crc32, crc32_of (0, bytes, MIB));
    ck_assert_uint_eq (forwards[0].action.path.size, 2);
    disk_writes (0);
}
END_TEST

START_TEST (before_the_first_ack_one_chunk_is_under_way)
{
    put_chain (two, 0, MIB, false);
    put_chain (two, MIB, MIB, false);
    put_chain (two, 2 * MIB, MIB, false);
    ck_assert_uint_eq (forward_count, 1);
    disk_writes (0);
    disk_writes (0);
    disk_writes (0);
    ck_assert_uint_eq (forward_count, 1);
    ACKED (MIB, LINE (2, RECEIVING, MIB));
    assert_forward (2, 2, MIB, 2 * MIB, false);
    ACKED (4 * MIB, LINE (2, RECEIVING, MIB));
    assert_forward (3, 2, 2 * MIB, 3 * MIB, false);
}
END_TEST

START_TEST (a_chunk_is_answered_when_all_have_written_it)
{
    uint64_t token = put_chain (two_three, 0, MIB, false);

    ACKED (MIB, LINE (2, RECEIVING, MIB), LINE (3, RECEIVING, 0));
    disk_writes (0);
    ck_assert_uint_eq (answers[token], 0);
    ACKED (MIB, LINE (2, RECEIVING, MIB), LINE (3, RECEIVING, MIB));
    assert_state (token, REPLICA_RECEIVING, MIB);
    assert_line (token, 0, SELF, REPLICA_RECEIVING, MIB);
    assert_line (token, 1, 2, REPLICA_RECEIVING, MIB);
    assert_line (token, 2, 3, REPLICA_RECEIVING, MIB);
    ck_assert_uint_gt (answer_state[token].credit, 4 * MIB);
}
END_TEST

START_TEST (a_chunk_is_answered_when_the_own_disk_comes_last)
{
    uint64_t token = put_chain (two, 0, MIB, false);

    ACKED (MIB, LINE (2, RECEIVING, MIB));
    ck_assert_uint_eq (answers[token], 0);
    disk_writes (0);
    assert_state (token, REPLICA_RECEIVING, MIB);
}
END_TEST

START_TEST (the_last_chunk_is_passed_on_as_such)
{
    uint64_t token = put_chain (two, 0, 100, true);

    assert_forward (1, 2, 0, 100, true);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    ck_assert_uint_eq (answers[token], 0);
    ACKED (0, LINE (2, SYNCING, 100));
    ck_assert_uint_eq (answers[token], 0);
    ACKED (0, LINE (2, DURABLE, 100));
    assert_state (token, REPLICA_DURABLE, 100);
    ck_assert_uint_eq (answer_state[token].size, 100);
    assert_line (token, 1, 2, REPLICA_DURABLE, 100);
}
END_TEST

START_TEST (an_empty_end_is_passed_on_besides_the_credit)
{
    put_chain (two, 0, MIB, false);
    put_chain (two, MIB, 0, true);
    assert_forward (2, 2, MIB, MIB, true);
    disk_writes (0);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
}
END_TEST

START_TEST (an_empty_end_goes_with_the_chunk_that_was_not_sent_yet)
{
    put_chain (two, 0, MIB, false);
    put_chain (two, MIB, MIB, false);
    put_chain (two, 2 * MIB, 0, true);
    ck_assert_uint_eq (forward_count, 1);
    ACKED (MIB, LINE (2, RECEIVING, MIB));
    assert_forward (2, 2, MIB, 2 * MIB, true);
    for (int i = 0; i < 3; i++)
        disk_writes (0);
    disk_is_durable (BLOCK, 0);
}
END_TEST

START_TEST (the_end_is_waited_for_a_second_at_a_time)
{
    uint64_t token = put_chain (two_three, 0, MIB, true);

    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    ACKED (0, LINE (2, SYNCING, MIB), LINE (3, RECEIVING, 0));
    tick (1000);
    assert_state (token, REPLICA_RECEIVING, 0);
    assert_line (token, 0, SELF, REPLICA_DURABLE, MIB);
    ck_assert_uint_eq (answer_lines[token][0].awaits, 2);
    ACKED (0, LINE (2, DURABLE, MIB), LINE (3, SYNCING, MIB));
    uint64_t stat = stat_block (BLOCK, 0);
    assert_state (stat, REPLICA_SYNCING, MIB);
    stat = stat_block (BLOCK, 1000);
    ck_assert_uint_eq (answers[stat], 0);
    ACKED (0, LINE (2, DURABLE, MIB), LINE (3, DURABLE, MIB));
    assert_state (stat, REPLICA_DURABLE, MIB);
    ck_assert_uint_eq (answer_lines[stat][0].awaits, 0);
}
END_TEST

START_TEST (a_healthy_node_that_needs_long_for_its_sync_is_waited_for)
{
    put_chain (two, 0, MIB, true);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    for (int i = 0; i < 30; i++) {
        tick (1000);
        ACKED (0, LINE (2, SYNCING, MIB));
    }
    ck_assert_uint_eq (passed_count, 0);
    ck_assert_uint_eq (forward_count, 1); // nor was it sent anything again
    ACKED (0, LINE (2, DURABLE, MIB));
    assert_state (stat_block (BLOCK, 0), REPLICA_DURABLE, MIB);
}
END_TEST

/* ---- what is kept, and credit ----------------------------------------------------------------- */

START_TEST (a_chunk_is_kept_until_everybody_has_it)
{
    put_chain (two_three, 0, MIB, false);
    put_chain (two_three, MIB, MIB, false);
    disk_writes (0);
    disk_writes (0);
    ck_assert_uint_eq (pipeline_reserved (pipeline), 2 * MIB);
    ACKED (MIB, LINE (2, RECEIVING, MIB), LINE (3, RECEIVING, 0));
    uint64_t stat = stat_block (BLOCK, 0);
    assert_state (stat, REPLICA_RECEIVING, 0);
    ck_assert_uint_eq (answer_state[stat].credit, 2 * MIB);
    ACKED (MIB, LINE (2, RECEIVING, 2 * MIB), LINE (3, RECEIVING, 2 * MIB));
    stat = stat_block (BLOCK, 0);
    assert_state (stat, REPLICA_RECEIVING, 2 * MIB);
    ck_assert_uint_gt (answer_state[stat].credit, MIB);
}
END_TEST

START_TEST (a_slow_hop_ends_the_credit)
{
    uint64_t offset = 0;

    for (; offset < PIPELINE_WINDOW; offset += MIB) {
        put_chain (two, offset, MIB, false);
        disk_writes (0);
    }
    assert_answer (put_chain (two, offset, MIB, false), LITEDFS_BUSY);
    ACKED (MIB, LINE (2, RECEIVING, MIB));
    put_chain (two, offset, MIB, false);
    disk_writes (0);
    ACKED (PIPELINE_WINDOW, LINE (2, RECEIVING, PIPELINE_WINDOW + MIB));
    ck_assert (pipeline_has (pipeline, BLOCK));
}
END_TEST

START_TEST (blocks_with_nodes_after_them_leave_room_for_those_without)
{
    make_pipeline (16 * MIB);
    uint64_t blocks = 0;
    for (bool busy = false; !busy; blocks++) {
        struct pipeline_chunk chunk = chunk_of (100 + blocks, 0, MIB, false);
        chunk.chain = two;
        chunk.chain_count = 1;
        uint64_t token = send_chunk (&chunk, &unknown);
        busy = answers[token] == 1;
        if (!busy)
            disk_writes (0);
    }
    ck_assert_uint_eq (blocks - 1, 14);
    uint64_t token = put (BLOCK, 0, MIB, false);
    disk_writes (0);
    assert_state (token, REPLICA_RECEIVING, MIB);
    tick (PIPELINE_TIMEOUT_MS);
}
END_TEST

/* ---- those before us -------------------------------------------------------------------------- */

START_TEST (a_node_is_sent_an_ack_for_what_was_written)
{
    put_from (9, none, 0, MIB, false);
    ck_assert_uint_eq (ack_count, 0);
    disk_writes (0);
    ck_assert_uint_eq (ack_count, 1);
    ck_assert_uint_eq (last_ack ()->action.node, 9);
    ck_assert_uint_eq (last_ack ()->action.replica_count, 1);
    ck_assert_uint_eq (last_ack ()->replicas[0].offset, MIB);
    ck_assert_uint_eq (last_ack ()->action.state.credit, PIPELINE_WINDOW);
}
END_TEST

START_TEST (a_small_block_costs_one_ack)
{
    put_from (9, none, 0, 100, true);
    disk_writes (0);
    ck_assert_uint_eq (ack_count, 0);
    disk_is_durable (BLOCK, 0);
    ck_assert_uint_eq (ack_count, 1);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_DURABLE);
}
END_TEST

START_TEST (acks_say_for_everybody_after_us_how_far_it_is)
{
    put_from (9, two_three, 0, MIB, true);
    ACKED (0, LINE (2, SYNCING, MIB), LINE (3, RECEIVING, 0));
    ck_assert_uint_eq (ack_count, 1);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    ck_assert_uint_eq (last_ack ()->action.replica_count, 3);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_DURABLE);
    ck_assert_uint_eq (last_ack ()->replicas[0].awaits, 2);
    ck_assert_int_eq (last_ack ()->replicas[1].state, REPLICA_SYNCING);
    ck_assert_uint_eq (last_ack ()->replicas[2].offset, 0);
    ACKED (0, LINE (2, DURABLE, MIB), LINE (3, DURABLE, MIB));
    ck_assert_int_eq (last_ack ()->replicas[2].state, REPLICA_DURABLE);
}
END_TEST

START_TEST (the_credit_of_an_ack_counts_from_the_own_offset)
{
    put_from (9, two, 0, MIB, false);
    put_from (9, two, MIB, MIB, false);
    disk_writes (0);
    disk_writes (0);
    ck_assert_uint_eq (last_ack ()->replicas[0].offset, 2 * MIB);
    ck_assert_uint_eq (last_ack ()->action.state.credit, 0); // node 2 keeps all of it here
    ACKED (MIB, LINE (2, RECEIVING, MIB));
    uint64_t credit = last_ack ()->action.state.credit;
    ck_assert_uint_ge (credit, MIB);
    uint64_t stat = stat_block (BLOCK, 0);
    ck_assert_uint_eq (MIB + answer_state[stat].credit, 2 * MIB + credit);
}
END_TEST

START_TEST (acks_come_each_second_until_the_block_is_final)
{
    put_from (9, none, 0, MIB, true);
    for (int i = 1; i <= 20; i++) {
        ck_assert_int_le (pipeline_next_deadline (pipeline), now_ms + PIPELINE_ACK_MS);
        tick (PIPELINE_ACK_MS);
        ck_assert_uint_eq (ack_count, i);
    }
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    size_t before = ack_count;
    tick (5000);
    ck_assert_uint_eq (ack_count, before);
}
END_TEST

START_TEST (a_doubled_chunk_of_a_node_is_acked_again)
{
    put_from (9, none, 0, MIB, true);
    put_from (9, none, 0, MIB, true);
    ck_assert_uint_eq (write_count, 1);
    ck_assert_uint_eq (ack_count, 1);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    size_t before = ack_count;
    put_from (9, none, 0, MIB, true); // its ack was lost
    ck_assert_uint_eq (ack_count, before + 1);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_DURABLE);
    put_from (9, none, MIB, 0, true); // or it only asks
    ck_assert_uint_eq (ack_count, before + 2);
    tick (PIPELINE_LINGER_MS);
    ck_assert (!pipeline_has (pipeline, BLOCK));
}
END_TEST

START_TEST (a_block_that_the_store_has_is_acked_as_durable)
{
    struct pipeline_chunk chunk = chunk_of (BLOCK, MIB, MIB, false);
    struct pipeline_known known = {.finished = true, .size = 3 * MIB, .crc32 = 5};

    chunk.from = 9;
    send_chunk (&chunk, &known);
    ck_assert_uint_eq (ack_count, 1);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_DURABLE);
    ck_assert_uint_eq (last_ack ()->replicas[0].offset, 3 * MIB);
    chunk.last = true; // the block ends elsewhere here
    send_chunk (&chunk, &known);
    ck_assert_int_eq (last_ack ()->action.error, LITEDFS_EXISTS);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_FAILED);
}
END_TEST

START_TEST (a_chunk_that_comes_too_early_is_acked_as_a_gap)
{
    put_from (9, none, MIB, MIB, false);
    ck_assert_int_eq (last_ack ()->action.error, LITEDFS_GAP);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_UNKNOWN);
    ck_assert_uint_eq (last_ack ()->replicas[0].offset, 0);
    put_from (9, none, 0, MIB, false);
    disk_writes (0);
    put_from (9, none, 2 * MIB, MIB, false);
    ck_assert_int_eq (last_ack ()->action.error, LITEDFS_GAP);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_RECEIVING);
    ck_assert_uint_eq (last_ack ()->replicas[0].offset, MIB);
}
END_TEST

START_TEST (a_node_that_says_it_is_there_is_acked)
{
    put_from (9, two, 0, MIB, false);
    disk_writes (0);
    size_t before = ack_count;
    put_from (9, two, MIB, 0, false);
    ck_assert_uint_eq (ack_count, before + 1);
    ck_assert_int_eq (last_ack ()->action.error, 0);
    ck_assert_uint_eq (write_count, 1);
    pipeline_forget (pipeline, now_ms, BLOCK);
    drain ();
    put_from (9, two, MIB, 0, false);
    ck_assert_int_eq (last_ack ()->action.error, LITEDFS_LEASE_LOST);
    ck_assert_int_eq (last_ack ()->replicas[0].state, REPLICA_FAILED);
}
END_TEST

START_TEST (another_node_may_go_on_with_a_block)
{
    put_from (9, none, 0, MIB, false);
    disk_writes (0);
    put_from (8, none, 0, MIB, false);
    put_from (8, none, MIB, MIB, true);
    size_t before = ack_count;
    disk_writes (0);
    ck_assert_uint_eq (ack_count, before + 2); // both are told
    disk_is_durable (BLOCK, 0);
    lose (9);
    before = ack_count;
    put_from (8, none, MIB, MIB, true);
    ck_assert_uint_ge (ack_count, before + 1);
    for (uint32_t node = 20; node < 30; node++)
        put_from (node, none, MIB, MIB, true);
    before = ack_count;
    put_from (29, none, MIB, MIB, true);
    ck_assert_uint_le (ack_count, before + 4); // but not everybody who ever sent
}
END_TEST

/* ---- who may be in a chain -------------------------------------------------------------------- */

START_TEST (a_chain_that_cannot_be_is_refused)
{
    uint64_t many[65];

    for (size_t i = 0; i < 64; i++)
        many[i] = i + 2;
    many[64] = 0;
    assert_answer (put_chain (many, 0, MIB, false), LITEDFS_INVALID);
    assert_answer (put_chain ((uint64_t[]){2, SELF, 0}, 0, MIB, false), LITEDFS_INVALID);
    assert_answer (put_chain ((uint64_t[]){2, 3, 2, 0}, 0, MIB, false), LITEDFS_INVALID);
    assert_answer (put_chain ((uint64_t[]){UINT64_MAX, 0}, 0, MIB, false), LITEDFS_INVALID);
    struct pipeline_chunk chunk = chunk_of (BLOCK, 0, MIB, false);
    chunk.chain = none;
    chunk.chain_count = 1; // node 0
    assert_answer (send_chunk (&chunk, &unknown), LITEDFS_INVALID);
    put_from (2, two, 0, MIB, false); // back to where it comes from
    ck_assert_int_eq (last_ack ()->action.error, LITEDFS_INVALID);
    put_from (SELF, none, 0, MIB, false);
    ck_assert_int_eq (last_ack ()->action.error, LITEDFS_INVALID);
    ck_assert_uint_eq (pipeline_block_count (pipeline), 0);
    many[63] = 0;
    put_chain (many, 0, MIB, false);
    ck_assert_uint_eq (pipeline_block_count (pipeline), 1);
    ck_assert_uint_eq (forwards[0].action.chain_count, 62);
    disk_writes (0);
}
END_TEST

/* ---- acks twice, late, in another order, or lies ----------------------------------------------- */

START_TEST (old_and_doubled_acks_take_nothing_back)
{
    put_chain (two_three, 0, MIB, false);
    put_chain (two_three, MIB, MIB, false);
    disk_writes (0);
    disk_writes (0);
    ACKED (MIB, LINE (2, RECEIVING, MIB), LINE (3, RECEIVING, MIB));
    ACKED (MIB, LINE (2, RECEIVING, 2 * MIB), LINE (3, RECEIVING, MIB));
    ACKED (MIB, LINE (2, RECEIVING, MIB), LINE (3, RECEIVING, 0));
    ACKED (MIB, LINE (2, RECEIVING, 0), LINE (3, UNKNOWN, 0));
    uint64_t stat = stat_block (BLOCK, 0);
    assert_line (stat, 1, 2, REPLICA_RECEIVING, 2 * MIB);
    assert_line (stat, 2, 3, REPLICA_RECEIVING, MIB);
    ck_assert_uint_eq (forward_count, 2);
}
END_TEST

START_TEST (what_is_durable_stays_so)
{
    put_chain (two_three, 0, MIB, true);
    ACKED (0, LINE (2, DURABLE, MIB), LINE (3, SYNCING, MIB));
    ACKED (0, LINE (2, SYNCING, MIB), LINE (3, SYNCING, MIB));
    ACKED (0, LINE (2, RECEIVING, 0), LINE (3, SYNCING, MIB));
    REFUSED (LITEDFS_GAP, LINE (2, UNKNOWN, 0));
    assert_line (stat_block (BLOCK, 0), 1, 2, REPLICA_DURABLE, MIB);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    ACKED (0, LINE (2, DURABLE, MIB), LINE (3, DURABLE, MIB));
    assert_state (stat_block (BLOCK, 0), REPLICA_DURABLE, MIB);
    ck_assert_uint_eq (passed_count, 0);
}
END_TEST

START_TEST (acks_that_nobody_expects_change_nothing)
{
    ACKED (MIB, LINE (2, RECEIVING, MIB)); // no block
    put_chain (two, 0, MIB, true);
    ACKED (MIB, LINE (3, DURABLE, MIB));                         // not the hop
    ACKED (MIB, LINE (77, RECEIVING, MIB), LINE (2, FAILED, 0)); // nobody
    struct pipeline_ack ack = {.block = BLOCK, .from = 2};
    pipeline_acked (pipeline, now_ms, &ack); // no lines
    struct pipeline_replica line = LINE (3, DURABLE, MIB);
    ack.replicas = &line;
    ack.replica_count = 1;
    pipeline_acked (pipeline, now_ms, &ack); // not of itself
    drain ();
    assert_line (stat_block (BLOCK, 0), 1, 2, REPLICA_UNKNOWN, 0);
    ACKED (MIB, LINE (2, SYNCING, MIB), LINE (77, RECEIVING, 5), LINE (2, FAILED, 0));
    assert_line (stat_block (BLOCK, 0), 1, 2, REPLICA_SYNCING, MIB);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
}
END_TEST

START_TEST (an_offset_beyond_what_is_here_counts_up_to_it)
{
    uint64_t token = put_chain (two, 0, MIB, false);

    disk_writes (0);
    ACKED (UINT64_MAX, LINE (2, RECEIVING, WIRE_MAX));
    assert_state (token, REPLICA_RECEIVING, MIB);
    assert_line (token, 1, 2, REPLICA_RECEIVING, MIB);
}
END_TEST

START_TEST (a_lying_credit_has_no_more_sent_than_a_window)
{
    make_pipeline ((uint64_t) 64 * MIB);
    put_chain (two, 0, MIB, false);
    ACKED (UINT64_MAX, LINE (2, RECEIVING, 0));
    for (uint64_t offset = MIB; offset < PIPELINE_WINDOW; offset += MIB)
        put_chain (two, offset, MIB, false);
    ck_assert_uint_eq (forward_count, 8);
    assert_answer (put_chain (two, PIPELINE_WINDOW, MIB, false), LITEDFS_BUSY);
    while (write_done < write_count)
        disk_writes (0);
}
END_TEST

START_TEST (nobody_is_durable_before_the_end_has_come)
{
    put_chain (two, 0, MIB, false);
    disk_writes (0);
    ACKED (0, LINE (2, DURABLE, 2 * MIB)); // from an earlier writer that is forgotten here
    assert_line (stat_block (BLOCK, 0), 1, 2, REPLICA_RECEIVING, MIB);
    uint64_t token = put_chain (two, MIB, MIB, true);
    ck_assert_uint_eq (forward_count, 1); // it has that
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    assert_state (token, REPLICA_DURABLE, 2 * MIB);
    assert_line (token, 1, 2, REPLICA_DURABLE, 2 * MIB);
}
END_TEST

START_TEST (a_hop_that_says_that_it_is_done_with_nothing_stays_the_hop)
{
    put_chain (two_three, 0, MIB, true);
    ACKED (0, LINE (2, DURABLE, 0));
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    ACKED (0, LINE (2, DURABLE, MIB), LINE (3, DURABLE, MIB));
    assert_state (stat_block (BLOCK, 0), REPLICA_DURABLE, MIB);
    ck_assert_uint_eq (pipeline_reserved (pipeline), 0);
}
END_TEST

START_TEST (a_node_that_finished_another_size_takes_no_part)
{
    put_chain (two, 0, MIB, false);
    ACKED (0, LINE (2, DURABLE, 3 * MIB));
    uint64_t token = put_chain (two, MIB, MIB, true);
    disk_writes (0);
    disk_writes (0);
    disk_is_durable (BLOCK, 0);
    assert_state (token, REPLICA_DURABLE, 2 * MIB);
    assert_line (token, 1, 2, REPLICA_FAILED, MIB);
    ck_assert_int_eq (passed_error[0], LITEDFS_EXISTS);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "datanode_pipeline_chain", setup, teardown, a_chunk_is_written_and_passed_on_at_once,
    before_the_first_ack_one_chunk_is_under_way, a_chunk_is_answered_when_all_have_written_it,
    a_chunk_is_answered_when_the_own_disk_comes_last, the_last_chunk_is_passed_on_as_such,
    an_empty_end_is_passed_on_besides_the_credit,
    an_empty_end_goes_with_the_chunk_that_was_not_sent_yet,
    the_end_is_waited_for_a_second_at_a_time,
    a_healthy_node_that_needs_long_for_its_sync_is_waited_for,
    a_chunk_is_kept_until_everybody_has_it, a_slow_hop_ends_the_credit,
    blocks_with_nodes_after_them_leave_room_for_those_without,
    a_node_is_sent_an_ack_for_what_was_written, a_small_block_costs_one_ack,
    acks_say_for_everybody_after_us_how_far_it_is,
    the_credit_of_an_ack_counts_from_the_own_offset,
    acks_come_each_second_until_the_block_is_final, a_doubled_chunk_of_a_node_is_acked_again,
    a_block_that_the_store_has_is_acked_as_durable,
    a_chunk_that_comes_too_early_is_acked_as_a_gap, a_node_that_says_it_is_there_is_acked,
    another_node_may_go_on_with_a_block, a_chain_that_cannot_be_is_refused,
    old_and_doubled_acks_take_nothing_back, what_is_durable_stays_so,
    acks_that_nobody_expects_change_nothing, an_offset_beyond_what_is_here_counts_up_to_it,
    a_lying_credit_has_no_more_sent_than_a_window, nobody_is_durable_before_the_end_has_come,
    a_hop_that_says_that_it_is_done_with_nothing_stays_the_hop,
    a_node_that_finished_another_size_takes_no_part)
