/* SPDX-License-Identifier: MIT */
/*
 * namenode/balance_plan: what would have to move, by figures alone.
 */
#include "namenode/balance_plan.h"

#include <string.h>

#include "unit.h"

#define GIB ((uint64_t) 1 << 30)

enum { USES = 64 };

static struct balance_use uses[USES];
static struct balance_move moves[USES];
static struct nodes_view *view;

/* Nodes 1, 2 and so on that hold 100 GiB, of which so many are used. */
static size_t
plan (unsigned threshold, bool going, size_t count, const unsigned *used)
{
    for (size_t i = 0; i < count; i++)
        uses[i] = (struct balance_use){
            .node = (uint32_t) i + 1, .total = 100 * GIB, .used = used[i] * GIB};
    return balance_plan (uses, count, threshold, going, moves);
}

#define PLAN(threshold, going, ...)                                                            \
    plan (threshold, going, sizeof ((unsigned[]){__VA_ARGS__}) / sizeof (unsigned),            \
          (unsigned[]){__VA_ARGS__})

static double
spread (size_t count)
{
    double most = 0, least = 1000;

    for (size_t i = 0; i < count; i++) {
        double share = 100.0 * (double) uses[i].used / (double) uses[i].total;
        most = share > most ? share : most;
        least = share < least ? share : least;
    }
    return most - least;
}

START_TEST (nothing_moves_where_uses_differ_by_the_threshold_or_less)
{
    ck_assert_uint_eq (PLAN (10, false, 50, 50, 50), 0);
    ck_assert_uint_eq (PLAN (10, false, 50, 55, 60), 0);
    ck_assert_uint_eq (PLAN (10, false, 0, 0, 0), 0);
    ck_assert_uint_eq (PLAN (10, false, 100, 100), 0);
    ck_assert_uint_eq (PLAN (100, false, 0, 100), 0);
}
END_TEST

START_TEST (nothing_moves_with_one_node_with_none_and_with_no_threshold)
{
    ck_assert_uint_eq (PLAN (10, false, 90), 0);
    ck_assert_uint_eq (balance_plan (uses, 0, 10, false, moves), 0);
    ck_assert_uint_eq (PLAN (0, false, 0, 100), 0);
}
END_TEST

START_TEST (the_fuller_of_two_gives_half_of_the_difference)
{
    ck_assert_uint_eq (PLAN (10, false, 80, 20), 1);
    ck_assert_uint_eq (moves[0].from, 1);
    ck_assert_uint_eq (moves[0].to, 2);
    ck_assert_uint_ge (moves[0].bytes, 30 * GIB - 1024);
    ck_assert_uint_le (moves[0].bytes, 30 * GIB);
}
END_TEST

START_TEST (a_new_node_gets_some_of_everybodys)
{
    uint64_t bytes = 0;

    ck_assert_uint_eq (PLAN (10, false, 60, 60, 60, 60, 60, 0), 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_uint_eq (moves[i].to, 6);
        bytes += moves[i].bytes;
    }
    ck_assert_uint_le (bytes, 50 * GIB);
    ck_assert_double_le (spread (6), 5);
}
END_TEST

START_TEST (a_plan_that_was_begun_goes_on_to_half_of_the_threshold)
{
    ck_assert_uint_eq (PLAN (10, false, 50, 58), 0);
    ck_assert_uint_eq (PLAN (10, true, 50, 58), 1);
    ck_assert_uint_eq (PLAN (10, true, 50, 54), 0);
}
END_TEST

START_TEST (what_counts_is_the_share_and_not_the_bytes)
{
    uses[0] = (struct balance_use){.node = 1, .total = 1000 * GIB, .used = 300 * GIB};
    uses[1] = (struct balance_use){.node = 2, .total = 10 * GIB, .used = 9 * GIB};
    ck_assert_uint_eq (balance_plan (uses, 2, 10, false, moves), 1);
    ck_assert_uint_eq (moves[0].from, 2);
    ck_assert_uint_lt (moves[0].bytes, 6 * GIB);
    ck_assert_double_le (spread (2), 5);
}
END_TEST

START_TEST (a_node_with_more_than_it_can_hold_gives)
{
    ck_assert_uint_eq (PLAN (10, false, 120, 60), 1);
    ck_assert_uint_eq (moves[0].from, 1);
    ck_assert_double_le (spread (2), 5);
}
END_TEST

/* Any nodes: the same bytes as before, from who is above the mean to who is below, each pair of nodes
 * close together then. */
START_TEST (every_plan_ends_near_the_mean_and_only_moves_towards_it)
{
    srand (4711);
    for (int round = 0; round < 2000; round++) {
        size_t count = 1 + (size_t) rand () % USES;
        struct balance_use before[USES];
        uint64_t used = 0, total = 0, sum = 0;
        for (size_t i = 0; i < count; i++) {
            uses[i].node = (uint32_t) i + 1;
            uses[i].total = (1 + (uint64_t) rand () % 2000) * GIB;
            uses[i].used = uses[i].total / 100 * ((uint64_t) rand () % 101);
            used += uses[i].used;
            total += uses[i].total;
        }
        memcpy (before, uses, sizeof before);
        size_t moved = balance_plan (uses, count, 10, false, moves);
        ck_assert_uint_lt (moved, count);
        double mean = (double) used / (double) total;
        for (size_t i = 0; i < moved; i++) {
            const struct balance_use *from = &before[moves[i].from - 1];
            const struct balance_use *to = &before[moves[i].to - 1];
            ck_assert_double_gt ((double) from->used, mean * (double) from->total);
            ck_assert_double_lt ((double) to->used, mean * (double) to->total);
            ck_assert_uint_gt (moves[i].bytes, 0);
        }
        for (size_t i = 0; i < count; i++)
            sum += uses[i].used;
        ck_assert_uint_eq (sum, used);
        ck_assert_double_le (spread (count), moved > 0 ? 5.001 : 10);
        ck_assert_uint_eq (balance_plan (uses, count, 10, false, moves), 0);
    }
}
END_TEST

/* ---- who takes part ------------------------------------------------------------------------------ */

static void
setup (void)
{
    view = calloc (1, sizeof *view + 8 * sizeof view->nodes[0]);
    ck_assert_ptr_nonnull (view);
    view->count = 8;
    for (size_t i = 0; i < 8; i++)
        view->nodes[i] = (struct node){.number = (uint32_t) (2 * i + 1),
                                       .online = true,
                                       .storage_total = 100 * GIB,
                                       .storage_used = i * GIB};
}

static void
teardown (void)
{
    free (view);
}

START_TEST (nodes_that_serve_take_part_and_full_ones_too)
{
    view->nodes[1].online = false;
    view->nodes[2].duty.duty = DUTY_DRAIN;
    view->nodes[3].duty.duty = DUTY_REMOVED;
    view->nodes[4].excused = true;
    view->nodes[5].suspect = true;
    view->nodes[6].storage_total = 0;
    view->nodes[7].storage_full = true;
    ck_assert_uint_eq (balance_uses (view, uses), 2);
    ck_assert_uint_eq (uses[0].node, 1);
    ck_assert_uint_eq (uses[1].node, 15);
    ck_assert_uint_eq (uses[1].used, 7 * GIB);
    ck_assert_uint_eq (uses[1].total, 100 * GIB);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_balance_plan", setup, teardown,
                   nothing_moves_where_uses_differ_by_the_threshold_or_less,
                   nothing_moves_with_one_node_with_none_and_with_no_threshold,
                   the_fuller_of_two_gives_half_of_the_difference,
                   a_new_node_gets_some_of_everybodys,
                   a_plan_that_was_begun_goes_on_to_half_of_the_threshold,
                   what_counts_is_the_share_and_not_the_bytes,
                   a_node_with_more_than_it_can_hold_gives,
                   every_plan_ends_near_the_mean_and_only_moves_towards_it,
                   nodes_that_serve_take_part_and_full_ones_too)
