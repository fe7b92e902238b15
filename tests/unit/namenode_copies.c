/* SPDX-License-Identifier: MIT */
/*
 * namenode/copies: what is under way is found by its block, nodes have so much to do at a time, and a
 * transaction that comes to nothing leaves everything as it was.
 */
#include "namenode/copies.h"

#include "base/id.h"

#include "unit.h"

#define MIB ((uint64_t) 1 << 20)

static struct copies *copies;

static void
setup (void)
{
    copies = copies_new ();
    ck_assert_ptr_nonnull (copies);
}

static void
teardown (void)
{
    copies_destroy (&copies);
}

static bool
open_one (uint64_t block, uint32_t source, uint32_t target, uint64_t size)
{
    const struct copy copy = {
        .block = block, .source = source, .target = target, .size = size, .inode = block};

    return copies_open (copies, &copy);
}

START_TEST (copies_are_found_by_their_block)
{
    ck_assert (open_one (7, 1, 2, 10));
    ck_assert (open_one (8, 1, 3, 10));
    ck_assert (open_one (7, 1, 3, 10));
    size_t at = copies_find (copies, 7, 0);
    ck_assert_uint_eq (copies_at (copies, at)->target, 2);
    at = copies_find (copies, 7, at + 1);
    ck_assert_uint_eq (copies_at (copies, at)->target, 3);
    ck_assert_uint_eq (copies_find (copies, 7, at + 1), SIZE_MAX);
    ck_assert_uint_eq (copies_find (copies, 9, 0), SIZE_MAX);
    copies_close (copies, at);
    copies_close (copies, at);
    ck_assert_ptr_null (copies_at (copies, at));
    ck_assert_uint_eq (copies_count (copies), 3);
    copies_settle (copies, true);
    ck_assert_uint_eq (copies_count (copies), 2);
    ck_assert_uint_eq (copies_bytes_from (copies, 1), 20);
    ck_assert_uint_eq (copies_bytes_to (copies, 3), 10);
}
END_TEST

START_TEST (a_node_has_so_many_copies_and_bytes_at_a_time)
{
    for (uint64_t block = 1; block <= COPIES_NODE_MAX; block++) {
        ck_assert (copies_may_send (copies, 1, 10));
        ck_assert (copies_may_take (copies, 2, 10));
        ck_assert (open_one (block, 1, 2, 10));
    }
    ck_assert (!copies_may_send (copies, 1, 10));
    ck_assert (!copies_may_take (copies, 2, 10));
    ck_assert (copies_may_send (copies, 2, 10));
    ck_assert (copies_may_take (copies, 1, 10));
    ck_assert (copies_may_send (copies, 3, 100 * COPIES_NODE_BYTES)); // one is always allowed
    ck_assert (open_one (1000, 3, 4, COPIES_NODE_BYTES - 64 * MIB));
    ck_assert (copies_may_send (copies, 3, 64 * MIB));
    ck_assert (!copies_may_send (copies, 3, 64 * MIB + 1));
    ck_assert (!copies_may_take (copies, 4, 64 * MIB + 1));
}
END_TEST

START_TEST (a_node_may_have_fewer_copies_at_a_time)
{
    copies_set_limits (copies, (struct copies_limits){.streams = 2}, 0);
    ck_assert (open_one (1, 1, 2, 10));
    ck_assert (copies_may_send (copies, 1, 10));
    ck_assert (open_one (2, 1, 3, 10));
    ck_assert (!copies_may_send (copies, 1, 10));
    ck_assert (copies_may_take (copies, 2, 10));
    ck_assert_int_eq (copies_pace_ms (copies), INT64_MAX);
}
END_TEST

START_TEST (a_node_has_so_many_bytes_a_second)
{
    struct copies_limits limits = {.streams = COPIES_NODE_MAX, .bandwidth = MIB};
    int64_t second;
    unsigned sent = 0;

    copies_set_limits (copies, limits, 1000);
    for (uint64_t block = 1; copies_may_send (copies, 1, MIB); block++)
        ck_assert (open_one (block, 1, 2, MIB));
    ck_assert_uint_eq (copies_bytes_from (copies, 1), MIB);
    ck_assert (!copies_may_take (copies, 2, 1));
    ck_assert (copies_may_take (copies, 1, MIB)); // directions are apart
    ck_assert (copies_may_send (copies, 3, MIB));

    second = copies_pace_ms (copies);
    ck_assert_int_eq (second, 1500);
    copies_set_limits (copies, limits, second - 1);
    ck_assert (!copies_may_send (copies, 1, 1));
    copies_set_limits (copies, limits, second);
    ck_assert (copies_may_send (copies, 1, 1));
    ck_assert_int_eq (copies_pace_ms (copies), INT64_MAX);
    for (int64_t now_ms = second; now_ms < second + 60000; now_ms += 100) {
        copies_set_limits (copies, limits, now_ms);
        if (!copies_may_send (copies, 1, MIB / 4))
            continue;
        ck_assert (open_one ((uint64_t) now_ms, 1, (uint32_t) now_ms, MIB / 4));
        copies_close (copies, copies_find (copies, (uint64_t) now_ms, 0));
        copies_settle (copies, true);
        sent++;
    }
    ck_assert_uint_ge (sent, 4 * 60);
    ck_assert_uint_le (sent, 4 * 62);
}
END_TEST

START_TEST (there_are_so_many_copies_in_all)
{
    for (uint64_t block = 1; block <= COPIES_MAX; block++)
        ck_assert (open_one (block, (uint32_t) block, (uint32_t) block + 10000, 1));
    ck_assert (!open_one (5000, 1, 2, 1));
    ck_assert (!copies_may_send (copies, 50000, 1));
    ck_assert (!copies_may_take (copies, 50000, 1));
}
END_TEST

START_TEST (what_comes_to_nothing_is_taken_back)
{
    open_one (1, 1, 2, 10);
    open_one (2, 1, 2, 10);
    copies_settle (copies, true);
    copies_close (copies, copies_find (copies, 1, 0));
    open_one (3, 1, 3, 5);
    open_one (4, 4, 3, 5);
    copies_close (copies, copies_find (copies, 4, 0));
    ck_assert_uint_eq (copies_bytes_from (copies, 1), 15);
    copies_settle (copies, false);
    ck_assert_uint_eq (copies_count (copies), 2);
    ck_assert_uint_ne (copies_find (copies, 1, 0), SIZE_MAX);
    ck_assert_uint_eq (copies_find (copies, 3, 0), SIZE_MAX);
    ck_assert_uint_eq (copies_bytes_from (copies, 1), 20);
    ck_assert_uint_eq (copies_bytes_to (copies, 2), 20);
    ck_assert_uint_eq (copies_bytes_to (copies, 3), 0);
    copies_settle (copies, false);
    ck_assert_uint_eq (copies_count (copies), 2);
}
END_TEST

/* What was kept, recounted. */
static void
check_loads (void)
{
    for (uint32_t node = 1; node <= 9; node++) {
        uint64_t from = 0, to = 0;
        for (size_t at = 0; at < copies_count (copies); at++) {
            const struct copy *copy = copies_at (copies, at);
            from += copy && copy->source == node ? copy->size : 0;
            to += copy && copy->target == node ? copy->size : 0;
        }
        ck_assert_uint_eq (copies_bytes_from (copies, node), from);
        ck_assert_uint_eq (copies_bytes_to (copies, node), to);
    }
}

START_TEST (the_loads_are_those_of_the_copies_after_anything)
{
    struct rng rng;

    rng_seed (&rng, 5);
    for (int round = 0; round < 3000; round++) {
        uint64_t what = rng_below (&rng, 10);
        if (what < 6)
            open_one (1 + rng_below (&rng, 50), 1 + (uint32_t) rng_below (&rng, 9),
                      1 + (uint32_t) rng_below (&rng, 9), rng_below (&rng, 100));
        else if (what < 9 && copies_count (copies) > 0)
            copies_close (copies, (size_t) rng_below (&rng, copies_count (copies)));
        else
            copies_settle (copies, rng_below (&rng, 2) == 0);
        check_loads ();
    }
}
END_TEST

/* Open a copy of the block and let it fail: how long after it another one may be ordered. */
static int64_t
pause_after (uint64_t block, uint32_t source)
{
    const struct copy copy = {
        .block = block, .source = source, .target = 9, .deadline_ms = INT64_MAX};

    ck_assert (copies_open (copies, &copy));
    size_t at = copies_find (copies, block, 0);
    copies_fail (copies, at, 1000);
    int64_t pause_ms = copies_at (copies, at)->deadline_ms - 1000;
    copies_close (copies, at);
    copies_settle (copies, true);
    return pause_ms;
}

START_TEST (the_pause_after_a_failure_grows_with_each_of_the_same_source)
{
    static const int64_t pauses[] = {2000, 4000, 8000, 16000, 32000, 60000, 60000};

    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        ck_assert_uint_eq (copies_failures (copies, 7, 1), i);
        ck_assert_int_eq (pause_after (7, 1), pauses[i]);
    }
    ck_assert_int_eq (pause_after (7, 2), 2000);
    ck_assert_int_eq (pause_after (8, 1), 2000);
    copies_forget_failures (copies, 7);
    ck_assert_uint_eq (copies_failures (copies, 7, 1) + copies_failures (copies, 7, 2), 0);
    ck_assert_uint_eq (copies_failures (copies, 8, 1), 1);
}
END_TEST

START_TEST (a_failure_does_not_put_a_deadline_off_and_the_oldest_are_forgotten)
{
    ck_assert (open_one (7, 1, 2, 10)); // its deadline is 0
    copies_fail (copies, 0, 1000);
    ck_assert_int_eq (copies_at (copies, 0)->deadline_ms, 0);
    for (uint64_t block = 100; block < 100 + COPIES_MAX; block++)
        pause_after (block, 1);
    ck_assert_uint_eq (copies_failures (copies, 7, 1), 0);
    ck_assert_uint_eq (copies_failures (copies, 100, 1), 1);
    ck_assert_uint_eq (copies_failures (copies, 99 + COPIES_MAX, 1), 1);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_copies", setup, teardown, copies_are_found_by_their_block,
                   a_node_has_so_many_copies_and_bytes_at_a_time,
                   a_node_may_have_fewer_copies_at_a_time, a_node_has_so_many_bytes_a_second,
                   there_are_so_many_copies_in_all, what_comes_to_nothing_is_taken_back,
                   the_loads_are_those_of_the_copies_after_anything,
                   the_pause_after_a_failure_grows_with_each_of_the_same_source,
                   a_failure_does_not_put_a_deadline_off_and_the_oldest_are_forgotten)
