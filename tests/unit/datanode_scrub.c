/* SPDX-License-Identifier: MIT */
/*
 * datanode/scrub: everything is verified once a period, never faster than the bandwidth, behind others' work,
 * and a restart goes on where it was.
 */
#include "datanode/scrub.h"

#include "datanode_store.h"

#define SIZE ((size_t) 1 << 20)
#define BLOCKS 8
#define MIB ((uint64_t) 1 << 20)

static struct scrub *scrub;
static char scrub_path[128];

static void
start (int64_t period_ms, uint64_t bandwidth)
{
    struct scrub_options options = {.store = store,
                                    .path = scrub_path,
                                    .period_ms = period_ms,
                                    .bandwidth = bandwidth,
                                    .clock = &store_clock.clock};
    snprintf (scrub_path, sizeof scrub_path, "%s/scrub", store_data);
    expect (0, scrub_new (&scrub, &options, &error));
}

static void
setup (void)
{
    store_setup ();
}

static void
teardown (void)
{
    scrub_destroy (&scrub);
    store_teardown ();
}

static void
put_blocks (void)
{
    for (uint64_t block = 1; block <= BLOCKS; block++)
        store_put (block, SIZE);
}

static void
harm (uint64_t block)
{
    store_flip (store_path ("blocks", block), (off_t) SIZE - 5, 1);
}

static struct scrub_status
status (void)
{
    struct scrub_status out;
    scrub_status (scrub, &out);
    return out;
}

static int64_t
now_ms (void)
{
    return clock_mono (&store_clock.clock);
}

/* Turn for a while, sleeping as told; no byte more than the bandwidth allows, but for one step. */
static void
run_for (int64_t ms, uint64_t bandwidth)
{
    int64_t end_ms = now_ms () + ms;
    uint64_t before = status ().bytes;
    int64_t begun_ms = now_ms ();
    while (now_ms () < end_ms) {
        int64_t wait_ms = scrub_turn (scrub);
        struct scrub_status pass = status ();
        ck_assert_int_ge (wait_ms, 0);
        if (pass.bytes < before)
            before = 0;
        ck_assert_uint_le (pass.bytes - before,
                           bandwidth * (uint64_t) (now_ms () - begun_ms) / 1000 + SCRUB_STEP);
        fake_clock_advance (&store_clock,
                            wait_ms < end_ms - now_ms () ? wait_ms : end_ms - now_ms ());
    }
}

START_TEST (a_store_without_blocks_costs_nothing)
{
    start (60000, MIB);
    for (int i = 0; i < 10; i++)
        ck_assert_int_ge (scrub_turn (scrub), 1000);
    ck_assert_uint_eq (status ().blocks, 0);
    scrub_destroy (&scrub);
    ck_assert_int_ne (access (scrub_path, F_OK), 0);
}
END_TEST

START_TEST (each_block_is_verified_once_a_period_and_no_faster_than_the_bandwidth)
{
    put_blocks ();
    start (60000, MIB);
    run_for (32000, MIB);
    ck_assert_uint_eq (status ().blocks, BLOCKS);
    ck_assert_uint_eq (status ().bytes, BLOCKS * SIZE);
    ck_assert (!status ().running);
    int64_t first_ms = status ().started_ms;
    run_for (27000, MIB);
    ck_assert_int_eq (status ().started_ms, first_ms);
    run_for (2000, MIB);
    ck_assert_int_ge (status ().started_ms, first_ms + 60000);
    ck_assert (status ().running);
}
END_TEST

START_TEST (a_pass_that_cannot_keep_the_period_keeps_the_bandwidth)
{
    put_blocks ();
    start (1000, MIB);
    run_for (7000, MIB);
    ck_assert (status ().running);
    ck_assert_uint_ge (status ().bytes, 6 * SIZE);
    run_for (3000, MIB);
    ck_assert (status ().running); // the next one
}
END_TEST

START_TEST (damage_is_found_and_counted_and_the_rest_is_left)
{
    struct blockstore_space space;
    put_blocks ();
    harm (3);
    harm (BLOCKS);
    start (60000, MIB);
    run_for (40000, MIB);
    ck_assert_uint_eq (status ().damaged, 2);
    ck_assert_uint_eq (status ().blocks, BLOCKS);
    ck_assert (store_has_file ("damaged", 3) && store_has_file ("damaged", BLOCKS));
    expect (0, blockstore_space (store, &space, &error));
    ck_assert_uint_eq (space.blocks, BLOCKS - 2);
    run_for (58000, MIB);
    ck_assert_uint_eq (status ().damaged, 0);
    ck_assert_uint_eq (status ().blocks, BLOCKS - 2);
}
END_TEST

START_TEST (a_restart_goes_on_where_it_was)
{
    put_blocks ();
    harm (1);
    start (60000, MIB);
    while (status ().blocks < 4)
        run_for (100, MIB);
    struct scrub_status before = status ();
    scrub_destroy (&scrub);
    store_reopen ();
    start (60000, MIB);
    ck_assert (status ().running);
    ck_assert_int_eq (status ().started_ms, before.started_ms);
    ck_assert (status ().blocks == 4 && status ().damaged == 1);
    while (status ().running)
        run_for (100, MIB);
    ck_assert_uint_eq (status ().blocks, BLOCKS);
    scrub_destroy (&scrub);
    start (60000, MIB); // and does not begin anew when all was done
    run_for (1000, MIB);
    ck_assert (!status ().running && status ().blocks == BLOCKS);
}
END_TEST

START_TEST (a_position_is_saved_on_the_way)
{
    put_blocks ();
    start (1000000, 65536); // some 4 KiB/s
    while (access (scrub_path, F_OK) != 0)
        run_for (1000, 65536);
    ck_assert_uint_ge (status ().blocks, 1);
    ck_assert (status ().running);
}
END_TEST

START_TEST (a_position_that_makes_no_sense_begins_anew)
{
    static const char *const texts[] = {
        "", "x",
        ("litedfs-scrub 1 next 0000000000000005 running 1 started 1 blocks 1 bytes 1 "
         "damaged 0 check 00000000\n")};
    put_blocks ();
    snprintf (scrub_path, sizeof scrub_path, "%s/scrub", store_data);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        expect (0, file_write_atomic (scrub_path, texts[i], strlen (texts[i]), 0644, &error));
        start (60000, MIB);
        ck_assert_uint_eq (status ().blocks, 0);
        run_for (30000, MIB);
        ck_assert_uint_eq (status ().blocks, BLOCKS);
        scrub_destroy (&scrub);
    }
}
END_TEST

START_TEST (a_clock_that_was_set_back_does_not_stop_it)
{
    put_blocks ();
    start (60000, MIB);
    run_for (30000, MIB);
    fake_clock_set_wall (&store_clock, 1000000);
    run_for (61000, MIB);
    ck_assert (status ().running);
}
END_TEST

START_TEST (it_waits_while_others_work_until_it_is_behind)
{
    put_blocks ();
    start (1000000, MIB); // 8 KiB/s, when somebody is at work
    scrub_turn (scrub);
    fake_clock_advance (&store_clock, 10000);
    for (int second = 0; second < 20; second++) {
        store_check (1 + (uint64_t) second % BLOCKS, SIZE);
        ck_assert_int_eq (scrub_turn (scrub), SCRUB_YIELD_MS);
    }
    ck_assert_uint_eq (status ().bytes, SCRUB_STEP);
    fake_clock_advance (&store_clock, 500000); // half of it should have been done
    uint64_t before = status ().bytes;
    for (int i = 0; i < 10; i++) {
        store_check (2, SIZE);
        fake_clock_advance (&store_clock, scrub_turn (scrub));
    }
    ck_assert_uint_ge (status ().bytes, before + 4 * SCRUB_STEP);
}
END_TEST

START_TEST (a_doubted_block_is_looked_at_at_once_and_stays_if_it_is_good)
{
    put_blocks ();
    start (0, MIB);
    run_for (10000, MIB);
    ck_assert_uint_eq (status ().blocks, 0); // no passes
    harm (5);
    uint64_t seq = blockstore_seq (store);
    expect (0, scrub_look (scrub, 77, &error)); // not here
    expect (0, scrub_look (scrub, 4, &error));
    expect (0, scrub_look (scrub, 5, &error));
    run_for (5000, MIB);
    ck_assert_uint_eq (blockstore_seq (store), seq + 1);
    expect (0, store_stat (4));
    expect (LITEDFS_NOT_FOUND, store_stat (5));
    ck_assert_uint_eq (status ().blocks, 0);
    for (uint64_t i = 1; i <= SCRUB_LOOKS_MAX; i++)
        expect (0, scrub_look (scrub, 1000 + i, &error));
    expect (0, scrub_look (scrub, 1001, &error)); // it waits already
    expect (LITEDFS_BUSY, scrub_look (scrub, 999, &error));
}
END_TEST

START_TEST (a_pass_that_is_asked_for_begins_now_and_takes_the_bandwidth)
{
    put_blocks ();
    start (0, MIB);
    run_for (1000, MIB);
    scrub_begin (scrub);
    ck_assert (status ().running);
    int64_t started_ms = status ().started_ms;
    run_for (5000, MIB);
    ck_assert_uint_ge (status ().bytes, 4 * SIZE);
    ck_assert_int_eq (status ().started_ms, started_ms);
    run_for (5000, MIB);
    ck_assert (!status ().running && status ().blocks == BLOCKS);
    scrub_begin (scrub);
    run_for (2000, MIB);
    scrub_begin (scrub); // anew
    ck_assert (status ().running && status ().blocks == 0);
    run_for (9000, MIB);
    ck_assert (!status ().running && status ().blocks == BLOCKS);
}
END_TEST

START_TEST (it_runs_as_an_actor_and_tells_what_it_finds)
{
    uint64_t block;
    struct scrub_options options = {.store = store,
                                    .path = scrub_path,
                                    .period_ms = 1000,
                                    .bandwidth = 64 * MIB,
                                    .clock = clock_system ()};
    snprintf (scrub_path, sizeof scrub_path, "%s/scrub", store_data);
    put_blocks ();
    harm (7);
    expect (0, scrub_start (&scrub, &options, &error));
    zmq_pollitem_t items[] = {{zsock_resolve (scrub_socket (scrub)), 0, ZMQ_POLLIN, 0}};
    ck_assert_int_eq (zmq_poll (items, 1, 30000), 1);
    ck_assert (scrub_found (scrub, &block) && block == 7);
    ck_assert (!scrub_found (scrub, &block));
    expect (LITEDFS_NOT_FOUND, store_stat (7));
    harm (2);
    expect (0, scrub_look (scrub, 2, &error));
    ck_assert_int_eq (zmq_poll (items, 1, 30000), 1);
    ck_assert (scrub_found (scrub, &block) && block == 2);
    expect (LITEDFS_NOT_FOUND, store_stat (2));
    scrub_stop (&scrub);
    ck_assert (scrub == NULL);
    scrub_stop (&scrub);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_scrub", setup, teardown, a_store_without_blocks_costs_nothing,
                   each_block_is_verified_once_a_period_and_no_faster_than_the_bandwidth,
                   a_pass_that_cannot_keep_the_period_keeps_the_bandwidth,
                   damage_is_found_and_counted_and_the_rest_is_left,
                   a_restart_goes_on_where_it_was, a_position_is_saved_on_the_way,
                   a_position_that_makes_no_sense_begins_anew,
                   a_clock_that_was_set_back_does_not_stop_it,
                   it_waits_while_others_work_until_it_is_behind,
                   a_doubted_block_is_looked_at_at_once_and_stays_if_it_is_good,
                   a_pass_that_is_asked_for_begins_now_and_takes_the_bandwidth,
                   it_runs_as_an_actor_and_tells_what_it_finds)
