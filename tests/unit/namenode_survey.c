/* SPDX-License-Identifier: MIT */
/*
 * namenode/survey: what a node that drains still has is counted, marked and written into its row; nothing
 * that is being written is missed; and a round counts on nobody who has gone meanwhile.
 */
#include "namenode/survey.h"

#include "namenode_cluster.h"

static const uint32_t one[] = {1}, two[] = {1, 2}, three[] = {1, 2, 3};

static struct survey survey;

static void
setup (void)
{
    cluster_setup ();
    memset (&survey, 0, sizeof survey);
}

static bool
slice_once (void)
{
    litedfs_error_t error = {0};
    bool wanted =
        survey_slice (&survey, fixture.store, cluster.view, fixture.frame.now_ms, &error);

    ck_assert_msg (error.number == 0, "%s", error.text);
    return wanted;
}

/* Write what the last slice found; the node whose row has changed, or 0. */
static uint32_t
step_once (bool keep)
{
    uint32_t node;
    struct txn *txn = begin ();

    ck_ok (survey_step (&survey, txn, &node, E));
    if (keep)
        commit (&txn);
    else
        rollback (&txn);
    survey_settle (&survey, keep, fixture.frame.now_ms);
    if (keep && node != 0)
        load_duty (node);
    return node;
}

/* Let the survey go on until it pauses; the node whose row changed last. */
static uint32_t
go_on (void)
{
    uint32_t node = 0;

    pass (60000);
    for (int steps = 0; slice_once (); steps++) {
        uint32_t changed = step_once (true);
        node = changed ? changed : node;
        ck_assert_int_lt (steps, 1000);
    }
    return node;
}

static struct duty_survey
survey_of (uint32_t number)
{
    return duty_of (number).survey;
}

static bool
is_drained (uint32_t number)
{
    struct node_duty duty = duty_of (number);

    return duty_is_drained (&duty);
}

static void
drain (uint32_t number)
{
    want (number, DUTY_DRAIN, 0);
}

/* ---- counting ------------------------------------------------------------------------------------ */

START_TEST (what_is_left_is_counted_and_marked_until_it_is_elsewhere)
{
    settled_file ("/f", 1, one, 1);
    settled_file ("/g", 2, two, 2);
    settled_file ("/h", 1, two + 1, 1);
    keep_house ();
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
    ck_assert_uint_eq (go_on (), 0);
    drain (1);
    ck_assert_uint_eq (go_on (), 1);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 2);
    ck_assert_uint_eq (survey_of (1).blocks, 2);
    ck_assert_uint_eq (survey_of (1).bytes, 2 * BLOCK);
    ck_assert_uint_eq (survey_of (1).sole, 1);
    ck_assert_uint_eq (survey_of (1).sole_bytes, BLOCK);
    ck_assert_uint_eq (survey_of (1).stuck, 0);
    ck_assert_uint_eq (survey_of (1).writing, 0);
    ck_assert (!is_drained (1));
    live_on (3000);
    ck_assert_uint_eq (go_on (), 1);
    ck_assert_uint_eq (survey_of (1).blocks, 0);
    ck_assert (is_drained (1));
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
}
END_TEST

START_TEST (only_holders_that_are_online_stay_and_have_confirmed_are_relied_on)
{
    uint64_t inode = settled_file ("/f", 2, two, 2);

    write_file ("/g", 2, 1, two, 2, 2); // 2 has not reported it
    report (1, THINGS_MAX);
    drain (1);
    go_on ();
    ck_assert_uint_eq (survey_of (1).sole, 1);
    report (2, THINGS_MAX);
    go_on ();
    ck_assert_uint_eq (survey_of (1).sole, 0);
    leave (2);
    go_on ();
    ck_assert_uint_eq (survey_of (1).sole, 2);
    come (2);
    go_on ();
    ck_assert_uint_eq (survey_of (1).sole, 0);
    drain (2);
    go_on ();
    go_on (); // the other one's turn
    ck_assert_uint_eq (survey_of (1).sole, 2);
    ck_assert_uint_eq (survey_of (2).sole, 2);
    want (2, DUTY_SERVE, 0);
    lose_block (2, block_of (inode, 0).block); // without having gone
    report (2, THINGS_MAX);
    go_on ();
    ck_assert_uint_eq (survey_of (1).sole, 1);
}
END_TEST

START_TEST (a_copy_that_shall_be_deleted_counts_when_it_is_the_last_one)
{
    uint64_t inode = settled_file ("/f", 1, one, 1);

    drain (1);
    go_on ();
    live_on (1000);
    go_on ();
    ck_assert (is_drained (1));
    uint32_t heir = block_of (inode, 0).nodes[0];
    ck_assert (heir != 1 && has (1, block_of (inode, 0).block));
    leave (heir);
    go_on ();
    ck_assert (!is_drained (1));
    ck_assert_uint_eq (survey_of (1).sole, 1);
    come (heir);
    go_on ();
    ck_assert (is_drained (1));
    ck_assert_uint_eq (survey_of (1).sole, 0);
}
END_TEST

START_TEST (what_more_copies_are_wanted_of_than_nodes_serve_is_stuck)
{
    settled_file ("/f", 3, three, 3);
    settled_file ("/g", 2, two, 2);
    drain (1);
    leave (6);
    leave (5);
    go_on ();
    ck_assert_uint_eq (survey_of (1).stuck, 0);
    want (4, DUTY_SERVE, UINT64_MAX);
    go_on ();
    ck_assert_uint_eq (survey_of (1).stuck, 1);
    ck_assert_uint_eq (survey_of (1).blocks, 2);
    ck_assert_uint_eq (survey_of (1).sole, 0);
}
END_TEST

/* ---- uploads ------------------------------------------------------------------------------------- */

static struct upload_created upload;

static void
begin_upload (void)
{
    struct chain_of chain = {one, 1};
    const struct upload_placer placer = {place_on, &chain};
    struct upload_create ask = {.path = S ("/u"),
                                .size = BLOCK,
                                .replica = 1,
                                .ttl = 60,
                                .block_size = BLOCK,
                                .bits = 1,
                                .token = {1},
                                .first = 1};
    struct txn *txn = begin ();

    ck_ok (upload_create (txn, &ask, &placer, &upload, E));
    commit (&txn);
}

static struct upload_finished
finished_block (void)
{
    static const uint64_t numbers[] = {1};

    return (struct upload_finished){.block = upload.blocks[0].block,
                                    .size = BLOCK,
                                    .crc = 7,
                                    .nodes = numbers,
                                    .nodes_count = 1};
}

/* The client says that the block is there, and the node too. */
static void
finish_block (void)
{
    const struct upload_finished done = finished_block ();
    const struct upload_allocate ask = {
        .file = upload.file, .token = {1}, .index = 1, .done = &done, .done_count = 1};
    struct upload_suspicion suspicion;
    struct txn *txn = begin ();
    size_t count = 0;

    ck_ok (upload_allocate (txn, &ask, NULL, NULL, &count, &suspicion, E));
    commit (&txn);
    put_block (1, (struct disk_block){done.block, done.crc});
    report (1, THINGS_MAX);
}

static void
commit_upload (void)
{
    const struct upload_finished done = finished_block ();
    const struct upload_commit last = {.file = upload.file,
                                       .token = {1},
                                       .size = BLOCK,
                                       .count = 1,
                                       .done = &done,
                                       .done_count = 1};
    struct txn *txn = begin ();
    uint32_t crc;

    ck_ok (upload_commit (txn, &last, &crc, E));
    commit (&txn);
}

START_TEST (what_is_being_written_keeps_a_node_from_being_drained)
{
    begin_upload ();
    drain (1);
    go_on ();
    ck_assert_uint_eq (survey_of (1).writing, BLOCK);
    ck_assert (!is_drained (1));
    finish_block (); // it is promised no more, and not to be seen yet
    go_on ();
    ck_assert_uint_eq (survey_of (1).writing, BLOCK);
    ck_assert_uint_eq (survey_of (1).blocks, 0);
    ck_assert (!is_drained (1));
    commit_upload ();
    go_on ();
    ck_assert_uint_eq (survey_of (1).writing, 0);
    ck_assert_uint_eq (survey_of (1).blocks, 1);
    ck_assert_uint_eq (survey_of (1).sole, 1);
}
END_TEST

START_TEST (a_file_that_is_committed_during_a_round_is_not_missed)
{
    begin_upload ();
    drain (1);
    ck_assert (slice_once ()); // a whole round, and the node has nothing yet
    finish_block ();
    commit_upload ();
    ck_assert_uint_eq (step_once (true), 1);
    ck_assert (!is_drained (1));
    ck_assert_uint_eq (survey_of (1).writing, BLOCK);
}
END_TEST

START_TEST (an_upload_that_is_given_up_holds_nothing_up)
{
    begin_upload ();
    finish_block ();
    drain (1);
    go_on ();
    ck_assert (!is_drained (1));
    struct txn *txn = begin ();
    ck_ok (upload_abandon (txn, &upload.file, (const uint8_t[TOKEN_SIZE]){1}, E));
    commit (&txn);
    keep_house ();
    go_on ();
    ck_assert (is_drained (1));
}
END_TEST

/* ---- rounds -------------------------------------------------------------------------------------- */

/* More than one slice looks at, all on node 1. */
static void
write_many (void)
{
    char path[16];

    for (int i = 0; i < 130; i++) {
        snprintf (path, sizeof path, "/%d", i);
        write_file (path, 1, 8, one, 1, 1);
    }
    report (1, THINGS_MAX);
}

START_TEST (a_round_begins_anew_when_somebody_goes_and_only_then)
{
    const struct node_storage full = {.total = 1, .full = true};

    write_many ();
    drain (1);
    ck_assert (slice_once ());
    step_once (true);
    ck_assert_uint_eq (survey.counts.blocks, 512);
    nodes_heard (cluster.nodes, 3, &full, fixture.frame.now_ms, fixture.frame.wall_ms);
    look_at_nodes ();
    ck_assert (slice_once ());
    step_once (true);
    ck_assert_uint_eq (survey.counts.blocks, 1024);
    leave (3);
    ck_assert (slice_once ());
    step_once (true);
    ck_assert_uint_eq (survey.counts.blocks, 512);
    ck_assert_uint_eq (go_on (), 1);
    ck_assert_uint_eq (survey_of (1).blocks, 1040);
    ck_assert_uint_eq (survey_of (1).steady, cluster.view->steady);
}
END_TEST

START_TEST (a_step_that_comes_to_nothing_is_done_again)
{
    settled_file ("/f", 1, one, 1);
    drain (1);
    ck_assert (slice_once ());
    step_once (false);
    ck_assert (slice_once ());
    ck_assert_uint_eq (step_once (true), 1);
    ck_assert_uint_eq (survey_of (1).blocks, 1);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 1);
}
END_TEST

START_TEST (what_is_no_news_writes_nothing_and_there_are_pauses)
{
    settled_file ("/f", 6, three, 3);
    drain (1);
    go_on ();
    uint64_t before = metastore_transaction (fixture.store);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_gt (survey_next_ms (&survey, cluster.view), fixture.frame.now_ms);
        ck_assert (!slice_once ());
        ck_assert_uint_eq (go_on (), 0);
    }
    ck_assert_uint_eq (metastore_transaction (fixture.store), before);
}
END_TEST

START_TEST (nodes_take_turns_and_one_that_serves_again_is_left_alone)
{
    settled_file ("/f", 3, three, 3);
    drain (2);
    drain (3);
    go_on ();
    go_on ();
    ck_assert_uint_eq (survey_of (2).blocks, 1);
    ck_assert_uint_eq (survey_of (3).blocks, 1);
    ck_assert_uint_eq (survey_of (1).time, 0);
    pass (60000);
    ck_assert (slice_once ());
    want (survey.node, DUTY_SERVE, 0);
    ck_assert_uint_eq (step_once (true), 0);
    want (2, DUTY_SERVE, 0);
    want (3, DUTY_SERVE, 0);
    ck_assert_uint_eq (survey_of (2).time + survey_of (3).time, 0);
    ck_assert_int_eq (survey_next_ms (&survey, cluster.view), INT64_MAX);
    ck_assert_uint_eq (go_on (), 0);
}
END_TEST

START_TEST (nobody_is_judged_while_nodes_may_come_back)
{
    struct node old = {.number = 99, .uuid.bytes = {99}};

    settled_file ("/f", 1, one, 1);
    drain (1);
    ck_ok (nodes_load (cluster.nodes, &old, E));
    nodes_settle (cluster.nodes, true);
    look_at_nodes ();
    pass (60000);
    ck_assert (!slice_once ());
    ck_assert_int_eq (survey_next_ms (&survey, cluster.view), INT64_MAX);
    nodes_settle (cluster.nodes, false);
    look_at_nodes ();
    ck_assert_uint_eq (go_on (), 1);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_survey", setup, cluster_teardown,
                   what_is_left_is_counted_and_marked_until_it_is_elsewhere,
                   only_holders_that_are_online_stay_and_have_confirmed_are_relied_on,
                   a_copy_that_shall_be_deleted_counts_when_it_is_the_last_one,
                   what_more_copies_are_wanted_of_than_nodes_serve_is_stuck,
                   what_is_being_written_keeps_a_node_from_being_drained,
                   a_file_that_is_committed_during_a_round_is_not_missed,
                   an_upload_that_is_given_up_holds_nothing_up,
                   a_round_begins_anew_when_somebody_goes_and_only_then,
                   a_step_that_comes_to_nothing_is_done_again,
                   what_is_no_news_writes_nothing_and_there_are_pauses,
                   nodes_take_turns_and_one_that_serves_again_is_left_alone,
                   nobody_is_judged_while_nodes_may_come_back)
