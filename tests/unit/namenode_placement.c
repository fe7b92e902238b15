/* SPDX-License-Identifier: MIT */
/*
 * namenode/placement: blocks of a file go round, full and silent nodes get none, and who is refused
 * learns why.
 */
#include "namenode/placement.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

#define GIB ((uint64_t) 1 << 30)
#define MIB ((uint64_t) 1 << 20)

enum { ROW_NODES = 64 };

static struct nodes_view *view;
static litedfs_error_t error;
static size_t chosen;

/* Nodes 1 to count, online, 10 GiB free. */
static void
make_view (size_t count)
{
    free (view);
    view = calloc (1, sizeof *view + count * sizeof view->nodes[0]);
    ck_assert_ptr_nonnull (view);
    view->count = count;
    for (size_t i = 0; i < count; i++) {
        view->nodes[i].number = (uint32_t) i + 1;
        view->nodes[i].online = true;
        view->nodes[i].storage_total = 20 * GIB;
        view->nodes[i].storage_free = 10 * GIB;
        snprintf (view->nodes[i].host, sizeof view->nodes[i].host, "10.0.0.%zu", i + 1);
    }
}

static void
teardown (void)
{
    free (view);
    view = NULL;
}

static uint32_t
choose (uint64_t seed, uint64_t index)
{
    struct placement_question question = {
        .seed = seed, .index = index, .size = 16 * MIB, .count = 1};
    uint32_t node = 0;

    ck_assert_int_eq (placement_choose (view, &question, &node, &chosen, &error), 0);
    ck_assert_uint_eq (chosen, 1);
    return node;
}

START_TEST (seven_blocks_over_three_nodes_are_three_two_and_two)
{
    make_view (3);
    for (uint64_t seed = 0; seed < 500; seed++) {
        unsigned got[4] = {0}, threes = 0;
        for (uint64_t index = 0; index < 7; index++)
            got[choose (seed, index)]++;
        for (int i = 1; i <= 3; i++) {
            ck_assert_uint_ge (got[i], 2);
            threes += got[i] == 3;
        }
        ck_assert_uint_eq (threes, 1);
    }
}
END_TEST

START_TEST (a_long_file_spreads_evenly)
{
    unsigned got[8] = {0};

    make_view (7);
    for (uint64_t index = 0; index < 7000; index++)
        got[choose (42, index)]++;
    for (int i = 1; i <= 7; i++)
        ck_assert_uint_eq (got[i], 1000);
}
END_TEST

START_TEST (files_of_one_block_spread_evenly)
{
    unsigned got[5] = {0};

    make_view (4);
    for (uint64_t seed = 0; seed < 8000; seed++)
        got[choose (seed * 977, 0)]++;
    for (int i = 1; i <= 4; i++) {
        ck_assert_uint_gt (got[i], 1800);
        ck_assert_uint_lt (got[i], 2200);
    }
}
END_TEST

START_TEST (a_node_with_less_room_gets_less)
{
    unsigned whole[4] = {0}, single[4] = {0};

    make_view (3);
    view->nodes[0].storage_free = 10 * GIB;
    view->nodes[1].storage_free = 4 * GIB;
    view->nodes[2].storage_free = 1 * GIB;
    for (uint64_t index = 0; index < 5200; index++)
        whole[choose (7, index)]++;
    ck_assert_uint_eq (whole[1], 2 * whole[2]);
    ck_assert_uint_eq (whole[1], 8 * whole[3]);
    for (uint64_t seed = 0; seed < 8000; seed++)
        single[choose (seed, 0)]++;
    ck_assert_uint_gt (single[1], single[2] * 3 / 2);
    ck_assert_uint_gt (single[2], single[3] * 2);
    ck_assert_uint_gt (single[3], 100);
}
END_TEST

START_TEST (the_same_question_has_the_same_answer)
{
    make_view (5);
    for (uint64_t index = 0; index < 50; index++)
        ck_assert_uint_eq (choose (3, index), choose (3, index));
}
END_TEST

START_TEST (an_index_near_its_end_is_fine)
{
    make_view (3);
    ck_assert_uint_ne (choose (3, UINT64_MAX), 0);
}
END_TEST

static uint64_t
reserve_all_of_2 (void *arg, uint32_t node)
{
    (void) arg;
    return node == 2 ? 10 * GIB - MIB : 0;
}

START_TEST (offline_full_suspected_and_promised_nodes_get_none)
{
    uint32_t suspects[] = {3}, node;
    struct placement_question question = {.count = 1,
                                          .size = 16 * MIB,
                                          .suspects = suspects,
                                          .suspects_count = 1,
                                          .reserved = reserve_all_of_2};

    make_view (6);
    view->nodes[0].online = false;
    view->nodes[3].storage_full = true;
    view->nodes[4].storage_free = 16 * MIB - 1;
    for (question.index = 0; question.index < 100; question.index++) {
        ck_assert_int_eq (placement_choose (view, &question, &node, &chosen, &error), 0);
        ck_assert_uint_eq (node, 6);
    }
}
END_TEST

START_TEST (nodes_that_drain_are_in_maintenance_or_were_removed_get_none)
{
    struct placement_question question = {.count = 3, .size = MIB};
    uint32_t several[3];

    make_view (5);
    view->nodes[0].duty.duty = DUTY_DRAIN;
    view->nodes[1].excused = true;
    view->nodes[2].online = false;
    view->nodes[2].duty.duty = DUTY_REMOVED;
    view->nodes[3].online = false;
    view->removed = 1;
    for (question.index = 0; question.index < 100; question.index++) {
        ck_assert_int_eq (placement_choose (view, &question, several, &chosen, &error), 0);
        ck_assert_uint_eq (chosen, 1);
        ck_assert_uint_eq (several[0], 5);
    }
    view->nodes[4].duty.duty = DUTY_DRAIN;
    ck_assert_int_eq (placement_choose (view, &question, several, &chosen, &error),
                      LITEDFS_NO_NODE);
    ck_assert_str_eq (error.text,
                      "no data node can take this block: node 1 (10.0.0.1): it drains; "
                      "node 2 (10.0.0.2): it is in maintenance; node 4 (10.0.0.4): offline, "
                      "not seen since the name node started; node 5 (10.0.0.5): it drains");
    for (size_t i = 0; i < 5; i++)
        view->nodes[i].duty.duty = DUTY_REMOVED;
    view->removed = 5;
    ck_assert_int_eq (placement_choose (view, &question, several, &chosen, &error),
                      LITEDFS_NO_NODE);
    ck_assert (strstr (error.text, "all were removed; start litedata") != NULL);
}
END_TEST

START_TEST (a_refusal_names_every_node_with_its_reason)
{
    uint32_t suspects[] = {3}, node = 77;
    struct placement_question question = {.count = 1,
                                          .size = 16 * MIB,
                                          .suspects = suspects,
                                          .suspects_count = 1,
                                          .reserved = reserve_all_of_2};

    make_view (4);
    view->nodes[0].online = false;
    view->nodes[0].changed_wall_ms = 1700000000000;
    view->nodes[3].online = false;
    ck_assert_int_eq (placement_choose (view, &question, &node, &chosen, &error),
                      LITEDFS_NO_NODE);
    ck_assert_uint_eq (node, 77);
    ck_assert_int_eq (strncmp (error.text,
                               "no data node can take this block: node 1 (10.0.0.1): "
                               "offline since 2023-11-1",
                               76),
                      0);
    ck_assert_ptr_nonnull (strstr (error.text,
                                   "node 2 (10.0.0.2): full: 10737418240 bytes free of "
                                   "21474836480, 10736369664 of them promised"));
    ck_assert_ptr_nonnull (strstr (error.text, "node 3 (10.0.0.3): this upload could not"));
    ck_assert_ptr_nonnull (strstr (error.text, "node 4 (10.0.0.4): offline, not seen since"));
}
END_TEST

START_TEST (a_refusal_with_many_nodes_says_how_many_more)
{
    struct placement_question question = {.count = 1, .size = 16 * MIB};
    uint32_t node;
    unsigned more = 0, named = 0;

    make_view (200);
    for (size_t i = 0; i < view->count; i++)
        view->nodes[i].online = false;
    ck_assert_int_eq (placement_choose (view, &question, &node, &chosen, &error),
                      LITEDFS_NO_NODE);
    const char *tail = strstr (error.text, "; and ");
    ck_assert_ptr_nonnull (tail);
    ck_assert_int_eq (sscanf (tail, "; and %u more", &more), 1);
    for (const char *at = error.text; (at = strstr (at, "node ")); at++)
        named += at[5] >= '0' && at[5] <= '9';
    ck_assert_uint_eq (named + more, 200);
}
END_TEST

START_TEST (without_any_node_it_says_what_to_start)
{
    struct placement_question question = {.count = 1, .size = 16 * MIB};
    uint32_t node;

    make_view (0);
    ck_assert_int_eq (placement_choose (view, &question, &node, &chosen, &error),
                      LITEDFS_NO_NODE);
    ck_assert_ptr_nonnull (strstr (error.text, "litedata"));
    ck_assert_int_eq (placement_choose (view, &question, &node, &chosen, NULL),
                      LITEDFS_NO_NODE);
}
END_TEST

START_TEST (while_nodes_may_come_back_the_answer_is_to_ask_again)
{
    struct placement_question question = {.count = 1, .size = 16 * MIB};
    uint32_t node;

    make_view (1);
    view->nodes[0].online = false;
    view->settling = true;
    ck_assert_int_eq (placement_choose (view, &question, &node, &chosen, &error), LITEDFS_BUSY);
    ck_assert_ptr_nonnull (strstr (error.text, "node 1"));
    view->nodes[0].online = true;
    ck_assert_int_eq (placement_choose (view, &question, &node, &chosen, &error), 0);
}
END_TEST

/* Choose for a block that shall have so many copies; "1 2 3". */
static const char *
choose_several (struct placement_question *question, size_t count)
{
    static char text[64];
    uint32_t nodes[ROW_NODES] = {0};

    question->count = count;
    question->size = 16 * MIB;
    text[0] = '\0';
    ck_assert_int_eq (placement_choose (view, question, nodes, &chosen, &error), 0);
    for (size_t i = 0; i < chosen; i++) {
        snprintf (text + strlen (text), 8, "%s%u", i ? " " : "", nodes[i]);
        for (size_t other = 0; other < i; other++)
            ck_assert_uint_ne (nodes[other], nodes[i]);
    }
    return text;
}

START_TEST (several_copies_go_to_different_nodes_and_evenly)
{
    unsigned got[6] = {0}, first[6] = {0};

    make_view (5);
    for (uint64_t index = 0; index < 5000; index++) {
        struct placement_question question = {.seed = 3, .index = index};
        const char *nodes = choose_several (&question, 3);
        ck_assert_uint_eq (chosen, 3);
        first[nodes[0] - '0']++;
        for (int i = 0; i < 3; i++)
            got[nodes[2 * i] - '0']++;
    }
    for (int i = 1; i <= 5; i++) {
        ck_assert_uint_eq (first[i], 1000);
        ck_assert_uint_eq (got[i], 3000);
    }
}
END_TEST

START_TEST (fewer_nodes_than_wanted_give_fewer)
{
    struct placement_question question = {.seed = 3};

    make_view (3);
    view->nodes[1].online = false;
    choose_several (&question, 5);
    ck_assert_uint_eq (chosen, 2);
}
END_TEST

START_TEST (a_node_that_sits_a_round_out_is_taken_when_there_is_no_other)
{
    make_view (3);
    view->nodes[2].storage_free = 1 * GIB;
    for (uint64_t index = 0; index < 100; index++) {
        struct placement_question question = {.seed = 3, .index = index};
        choose_several (&question, 3);
        ck_assert_uint_eq (chosen, 3);
    }
}
END_TEST

START_TEST (the_first_copy_is_on_the_clients_own_host_if_there_are_several)
{
    unsigned others = 0;

    make_view (4);
    for (uint64_t index = 0; index < 100; index++) {
        struct placement_question question = {.index = index, .client = "10.0.0.3"};
        ck_assert_int_eq (choose_several (&question, 2)[0], '3');
        others += choose_several (&question, 1)[0] != '3';
    }
    ck_assert_uint_eq (others, 75); // with one copy the blocks go round
    view->nodes[2].storage_full = true;
    struct placement_question question = {.client = "10.0.0.3"};
    choose_several (&question, 2);
    ck_assert_uint_eq (chosen, 2);
}
END_TEST

START_TEST (a_client_on_this_machine_is_where_nodes_without_a_host_are)
{
    static const char *const clients[] = {"", "127.0.0.1", "::1"};

    make_view (4);
    view->nodes[1].host[0] = '\0';
    for (size_t i = 0; i < sizeof clients / sizeof *clients; i++)
        for (uint64_t index = 0; index < 20; index++) {
            struct placement_question question = {.index = index, .client = clients[i]};
            ck_assert_int_eq (choose_several (&question, 2)[0], '2');
        }
}
END_TEST

START_TEST (copies_are_in_different_zones_as_long_as_there_are_some)
{
    static const char *const zones[] = {"a", "a", "b", "b", "c", "c"};

    make_view (6);
    for (size_t i = 0; i < 6; i++)
        snprintf (view->nodes[i].zone, sizeof view->nodes[i].zone, "%s", zones[i]);
    for (uint64_t index = 0; index < 200; index++) {
        struct placement_question question = {.seed = 9, .index = index};
        const char *nodes = choose_several (&question, 4);
        ck_assert_uint_eq (chosen, 4);
        unsigned used = 0;
        for (int i = 0; i < 3; i++)
            used |= 1u << ((nodes[2 * i] - '1') / 2);
        ck_assert_uint_eq (used, 7);
    }
}
END_TEST

START_TEST (without_a_zone_the_host_is_the_zone)
{
    make_view (4);
    for (size_t i = 0; i < 4; i++) // two machines of two nodes each
        snprintf (view->nodes[i].host, sizeof view->nodes[i].host, "10.0.0.%zu", i / 2);
    for (uint64_t index = 0; index < 100; index++) {
        struct placement_question question = {.seed = 9, .index = index};
        const char *nodes = choose_several (&question, 2);
        ck_assert_int_ne ((nodes[0] - '1') / 2, (nodes[2] - '1') / 2);
    }
    ck_assert (placement_same_zone (&view->nodes[0], &view->nodes[1]));
    ck_assert (!placement_same_zone (&view->nodes[1], &view->nodes[2]));
}
END_TEST

static bool
bar_5 (void *arg, uint32_t node)
{
    (void) arg;
    return node == 5;
}

START_TEST (who_has_the_block_is_not_chosen_and_its_zone_comes_last)
{
    static const uint32_t taken[] = {1, 3};

    make_view (5);
    snprintf (view->nodes[0].zone, sizeof view->nodes[0].zone, "a");
    snprintf (view->nodes[1].zone, sizeof view->nodes[1].zone, "a");
    for (uint64_t index = 0; index < 50; index++) {
        struct placement_question question = {
            .index = index, .taken = taken, .taken_count = 2, .barred = bar_5};
        ck_assert_str_eq (choose_several (&question, 1), "4");
        ck_assert_str_eq (choose_several (&question, 5), "4 2");
    }
}
END_TEST

START_TEST (nodes_that_several_uploads_suspect_are_left_out_while_there_are_others)
{
    struct placement_question question = {.seed = 1};

    make_view (3);
    view->nodes[0].suspect = view->nodes[2].suspect = true;
    ck_assert_str_eq (choose_several (&question, 3), "2");
    view->nodes[1].online = false;
    choose_several (&question, 3);
    ck_assert_uint_eq (chosen, 2);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "namenode_placement", NULL, teardown, seven_blocks_over_three_nodes_are_three_two_and_two,
    a_long_file_spreads_evenly, files_of_one_block_spread_evenly,
    a_node_with_less_room_gets_less, the_same_question_has_the_same_answer,
    an_index_near_its_end_is_fine, offline_full_suspected_and_promised_nodes_get_none,
    nodes_that_drain_are_in_maintenance_or_were_removed_get_none,
    a_refusal_names_every_node_with_its_reason, a_refusal_with_many_nodes_says_how_many_more,
    without_any_node_it_says_what_to_start,
    while_nodes_may_come_back_the_answer_is_to_ask_again,
    several_copies_go_to_different_nodes_and_evenly, fewer_nodes_than_wanted_give_fewer,
    a_node_that_sits_a_round_out_is_taken_when_there_is_no_other,
    the_first_copy_is_on_the_clients_own_host_if_there_are_several,
    a_client_on_this_machine_is_where_nodes_without_a_host_are,
    copies_are_in_different_zones_as_long_as_there_are_some,
    without_a_zone_the_host_is_the_zone,
    who_has_the_block_is_not_chosen_and_its_zone_comes_last,
    nodes_that_several_uploads_suspect_are_left_out_while_there_are_others)
