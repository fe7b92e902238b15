/* SPDX-License-Identifier: MIT */
/*
 * client/blockwriter: a block arrives whole, whatever its node does meanwhile.
 */
#include "client_node_fixture.h"

START_TEST (a_block_of_any_size_arrives_whole)
{
    static const uint64_t sizes[] = {1,       65535,       65536,   65537,      MIB - 1,    MIB,
                                     MIB + 1, MIB + 65536, 2 * MIB, 17 * 65536, 5 * MIB + 7};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        write_block (sizes[i], (sizes[i] + 65535) / 65536 * 65536, TURN_MS);
        clear ();
    }
}
END_TEST

static enum deed
lose_the_fourth (unsigned n)
{
    return n == 3 ? LOSE : TAKE;
}

static enum deed
lose_the_fourth_answer (unsigned n)
{
    return n == 3 ? LOSE_ANSWER : TAKE;
}

static enum deed
lose_the_last_answer (unsigned n)
{
    return n == 5 ? LOSE_ANSWER : TAKE;
}

START_TEST (a_lost_chunk_or_answer_is_made_up_for)
{
    enum deed (*const losses[]) (unsigned) = {lose_the_fourth, lose_the_fourth_answer,
                                              lose_the_last_answer};
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        deed_of = losses[i];
        write_block (6 * MIB, 8 * MIB, 200);
        clear ();
    }
}
END_TEST

START_TEST (answers_that_come_twice_do_no_harm)
{
    always = ANSWER_TWICE;
    write_block (7 * MIB, 8 * MIB, TURN_MS);
}
END_TEST

static enum deed
change_one_on_the_way (unsigned n)
{
    return n == 2 || n == 7 ? REFUSE_CORRUPT : TAKE;
}

START_TEST (a_chunk_that_was_damaged_on_the_way_is_sent_again)
{
    deed_of = change_one_on_the_way;
    write_block (7 * MIB, 8 * MIB, TURN_MS);
    ck_assert_uint_ge (stats, 1);
}
END_TEST

static enum deed
be_busy_for_long (unsigned n)
{
    return n < 50 || (n > 52 && n < 100) ? REFUSE_BUSY : TAKE;
}

START_TEST (a_node_that_is_busy_is_waited_for)
{
    deed_of = be_busy_for_long;
    start_file (5 * MIB, 8 * MIB);
    ck_assert_int_eq (run_to_end (500, 900000), 0);
    check_block (5 * MIB);
    ck_assert_uint_eq (writer.restarts, 0);
}
END_TEST

START_TEST (a_node_that_is_busy_for_ten_minutes_is_given_up)
{
    always = REFUSE_BUSY;
    start_file (5 * MIB, 8 * MIB);
    int64_t begin_ms = clock_mono (&fake.clock);
    ck_assert_int_eq (run_to_end (2000, 700000), 0);
    ck_assert_int_eq (writer.state, BLOCKWRITER_FAILED);
    ck_assert_int_eq (writer.error.number, LITEDFS_BUSY);
    ck_assert_int_ge (clock_mono (&fake.clock) - begin_ms, 600000);
    ck_assert_uint_ge (writes, 50); // and was asked now and then
}
END_TEST

static enum deed
forget_now_and_then (unsigned n)
{
    return n == 3 || n == 8 ? FORGET : TAKE;
}

START_TEST (a_node_that_was_restarted_gets_it_all_again)
{
    deed_of = forget_now_and_then;
    write_block (6 * MIB, 8 * MIB, TURN_MS);
}
END_TEST

static enum deed
forget_always (unsigned n)
{
    return n % 3 == 2 ? FORGET : TAKE;
}

START_TEST (a_node_that_forgets_again_and_again_is_given_up)
{
    deed_of = forget_always;
    start_file (6 * MIB, 8 * MIB);
    ck_assert_int_eq (run_to_end (TURN_MS, 120000), 0);
    ck_assert_int_eq (writer.state, BLOCKWRITER_FAILED);
}
END_TEST

static enum deed
fail_at_the_third (unsigned n)
{
    return n == 2 ? REFUSE_IO : TAKE;
}

START_TEST (a_node_whose_disk_fails_is_given_up_at_once)
{
    deed_of = fail_at_the_third;
    start_file (6 * MIB, 8 * MIB);
    ck_assert_int_eq (run_to_end (TURN_MS, 1000), 0);
    ck_assert_int_eq (writer.state, BLOCKWRITER_FAILED);
    ck_assert_int_eq (writer.error.number, LITEDFS_IO);
}
END_TEST

START_TEST (a_node_that_lives_and_takes_nothing_is_given_up_after_75_seconds)
{
    always = LOSE;
    start_file (6 * MIB, 8 * MIB);
    int64_t begin_ms = clock_mono (&fake.clock);
    ck_assert_int_eq (run_to_end (1000, 90000), 0);
    ck_assert_int_eq (writer.state, BLOCKWRITER_FAILED);
    ck_assert_int_eq (writer.error.number, LITEDFS_TIMEOUT);
    ck_assert (!writer.lost);
    ck_assert_int_ge (clock_mono (&fake.clock) - begin_ms, 75000);
}
END_TEST

START_TEST (a_long_sync_is_waited_for_and_nothing_sent_again)
{
    start_file (3 * MIB, 4 * MIB);
    node_syncs = true;
    while (!node_complete)
        turn (TURN_MS);
    unsigned sent = writes;
    for (int i = 0; i < 100; i++)
        turn (TURN_MS);
    node_syncs = false;
    ck_assert_int_eq (run_to_end (TURN_MS, 10000), 0);
    check_block (3 * MIB);
    ck_assert_uint_eq (writes, sent);
}
END_TEST

START_TEST (a_node_that_has_all_and_writes_slowly_gets_nothing_again)
{
    start_file (3 * MIB, 4 * MIB);
    node_slow = true;
    node_credit = 8 * MIB;
    while (!node_complete)
        turn (TURN_MS);
    unsigned sent = writes;
    for (int i = 0; i < 100; i++)
        turn (TURN_MS);
    node_slow = false;
    ck_assert_int_eq (run_to_end (TURN_MS, 10000), 0);
    check_block (3 * MIB);
    ck_assert_uint_eq (writes, sent);
}
END_TEST

START_TEST (a_node_that_finished_fewer_bytes_is_not_believed)
{
    node_lies = 65536;
    start_file (3 * MIB, 4 * MIB);
    ck_assert_int_eq (run_to_end (TURN_MS, 10000), 0);
    ck_assert_int_eq (writer.state, BLOCKWRITER_FAILED);
    ck_assert_int_eq (writer.error.number, LITEDFS_DIFFERENT);
}
END_TEST

START_TEST (a_file_that_changes_between_two_sendings_is_an_error)
{
    deed_of = forget_now_and_then;
    start_file (6 * MIB, 8 * MIB);
    while (writes < 3)
        turn (TURN_MS);
    ck_assert_int_eq (pwrite (file_fd, "changed", 7, 10), 7);
    ck_assert_int_eq (run_to_end (TURN_MS, 10000), LITEDFS_IO);
    ck_assert_ptr_nonnull (strstr (error.text, "changed"));
}
END_TEST

START_TEST (a_node_hears_of_a_writer_whose_source_is_slow)
{
    ck_assert_int_eq (source_open (&source, stream[0], true, &error), 0);
    source_set_block_size (source, 4 * MIB);
    writer.source = source;
    start_block (4 * MIB);
    fcntl (stream[1], F_SETPIPE_SZ, 1 << 20);
    for (uint64_t at = 0; at < 2 * MIB; at += 65536) {
        fill (stream[1], at, at + 65536);
        ck_assert_int_eq (source_fill (source, &error), 0);
        turn (TURN_MS);
    }
    while (writer.acked < MIB)
        turn (TURN_MS);
    for (int i = 0; i < 60; i++)
        turn (1000);
    ck_assert_uint_ge (stats, 8);
    ck_assert_uint_le (stats, 16);
    close (stream[1]);
    stream[1] = -1;
    ck_assert_int_eq (source_fill (source, &error), 0);
    ck_assert_int_eq (run_to_end (TURN_MS, 10000), 0);
    check_block (2 * MIB);
}
END_TEST

START_TEST (no_callback_comes_after_a_stop)
{
    start_file (6 * MIB, 8 * MIB);
    while (writes < 2)
        turn (TURN_MS);
    blockwriter_stop (&writer);
    ck_assert_int_eq (writer.state, BLOCKWRITER_IDLE);
    for (int i = 0; i < 20; i++)
        turn (TURN_MS);
    ck_assert_uint_eq (writer.under_way, 0);
    ck_assert_uint_eq (dealer_pending (peer->dealer), 0);
}
END_TEST

START_TEST (a_node_that_cannot_be_connected_to_leaves_the_session_usable)
{
    struct wire_endpoint where = {
        .node = NODE + 1, .host = slice_str ("not an address"), .tcp_port = 1};
    struct peer *other;

    ck_assert_int_eq (session_peer (&session, &where, &other, &error), 0);
    ck_assert_int_lt (session_connect (&session, other, &error), 0);
    write_block (3 * MIB, 4 * MIB, TURN_MS);
}
END_TEST

UNIT_MAIN_FIXTURE ("client_blockwriter", setup, teardown, a_block_of_any_size_arrives_whole,
                   a_lost_chunk_or_answer_is_made_up_for, answers_that_come_twice_do_no_harm,
                   a_chunk_that_was_damaged_on_the_way_is_sent_again,
                   a_node_that_is_busy_is_waited_for,
                   a_node_that_is_busy_for_ten_minutes_is_given_up,
                   a_node_that_was_restarted_gets_it_all_again,
                   a_node_that_forgets_again_and_again_is_given_up,
                   a_node_whose_disk_fails_is_given_up_at_once,
                   a_node_that_lives_and_takes_nothing_is_given_up_after_75_seconds,
                   a_long_sync_is_waited_for_and_nothing_sent_again,
                   a_node_that_has_all_and_writes_slowly_gets_nothing_again,
                   a_node_that_finished_fewer_bytes_is_not_believed,
                   a_file_that_changes_between_two_sendings_is_an_error,
                   a_node_hears_of_a_writer_whose_source_is_slow,
                   no_callback_comes_after_a_stop,
                   a_node_that_cannot_be_connected_to_leaves_the_session_usable)
