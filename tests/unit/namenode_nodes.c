/* SPDX-License-Identifier: MIT */
/*
 * namenode/nodes: who is online, whose session is whose, what a view and the node table show.
 */
#include "namenode/nodes.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

static struct nodes *nodes;
static litedfs_error_t error;

static void
setup (void)
{
    nodes = nodes_new (1000000);
    ck_assert_ptr_nonnull (nodes);
}

static void
teardown (void)
{
    nodes_destroy (&nodes);
}

static struct node
make_node (uint32_t number)
{
    struct node node = {.number = number, .tcp_port = 18002, .storage_free = 1 << 30};

    node.uuid.bytes[0] = (uint8_t) number;
    snprintf (node.host, sizeof node.host, "10.0.0.%u", number);
    return node;
}

/* Heartbeats each 1 s, timeout 30 s. */
static void
enter (uint32_t number, uint64_t session, int64_t now)
{
    struct node node = make_node (number);

    ck_assert_int_eq (
        nodes_register (nodes, &node, session, 1000, 30000, now, 1000000 + now, &error), 0);
}

static bool
is_online (uint32_t number)
{
    struct nodes_view *view = nodes_view (nodes);
    const struct node *node = nodes_view_find (view, number);
    bool online = node && node->online;

    nodes_view_release (&view);
    return online;
}

static uint64_t
table_version (void)
{
    struct nodes_view *view = nodes_view (nodes);
    uint64_t table = view->table;

    nodes_view_release (&view);
    return table;
}

START_TEST (a_loaded_node_is_offline_until_it_registers)
{
    struct node node = make_node (4);

    node.online = true;
    ck_assert_int_eq (nodes_load (nodes, &node, &error), 0);
    ck_assert (!is_online (4));
    ck_assert_uint_eq (nodes_session (nodes, 4), 0);
    enter (4, 7, 0);
    ck_assert (is_online (4));
    ck_assert_uint_eq (nodes_session (nodes, 4), 7);
}
END_TEST

START_TEST (a_view_lists_nodes_by_number_and_never_changes)
{
    enter (9, 1, 0);
    enter (2, 2, 0);
    enter (5, 3, 0);

    struct nodes_view *view = nodes_view (nodes);
    ck_assert_uint_eq (view->count, 3);
    ck_assert_uint_eq (view->online, 3);
    ck_assert_uint_eq (view->nodes[0].number, 2);
    ck_assert_uint_eq (view->nodes[1].number, 5);
    ck_assert_uint_eq (view->nodes[2].number, 9);
    ck_assert_ptr_null (nodes_view_find (view, 3));
    ck_assert_ptr_null (nodes_view_find (view, 10));

    nodes_closed (nodes, 2, 5);
    ck_assert (nodes_view_find (view, 2)->online);
    ck_assert (!is_online (2));
    nodes_destroy (&nodes);
    ck_assert_uint_eq (view->nodes[2].number, 9);
    nodes_view_release (&view);
}
END_TEST

START_TEST (the_same_view_is_given_until_something_changes)
{
    enter (1, 1, 0);
    struct nodes_view *first = nodes_view (nodes), *second = nodes_view (nodes);

    ck_assert_ptr_eq (first, second);
    nodes_heard (nodes, 1, NULL, 10, 10);
    struct nodes_view *third = nodes_view (nodes);
    ck_assert_ptr_ne (first, third);
    nodes_view_release (&first);
    nodes_view_release (&second);
    nodes_view_release (&third);
}
END_TEST

START_TEST (a_closed_connection_takes_its_node_offline)
{
    enter (1, 11, 0);
    enter (2, 12, 0);
    ck_assert_uint_eq (nodes_closed (nodes, 13, 50), 0);
    ck_assert_uint_eq (nodes_closed (nodes, 0, 50), 0);
    ck_assert_uint_eq (nodes_closed (nodes, 12, 50), 2);
    ck_assert (is_online (1));
    ck_assert (!is_online (2));
    ck_assert_uint_eq (nodes_of_session (nodes, 12), 0);
    ck_assert_uint_eq (nodes_closed (nodes, 12, 50), 0);
}
END_TEST

START_TEST (a_node_that_left_because_of_us_stays_online_until_its_timeout_or_its_return)
{
    int64_t silent_ms = 0;

    enter (1, 11, 0);
    enter (2, 12, 0);
    ck_assert_uint_eq (nodes_detached (nodes, 13), 0);
    ck_assert_uint_eq (nodes_detached (nodes, 11), 1);
    ck_assert_uint_eq (nodes_detached (nodes, 12), 2);
    ck_assert_uint_eq (nodes_detached (nodes, 12), 0);
    ck_assert_uint_eq (nodes_of_session (nodes, 11), 0);
    ck_assert (is_online (1));
    ck_assert (is_online (2));
    enter (1, 21, 100000);
    ck_assert_uint_eq (nodes_expire (nodes, 100000, 0, &silent_ms), 2);
    ck_assert (is_online (1));
    ck_assert (!is_online (2));
}
END_TEST

START_TEST (the_close_of_an_older_session_does_not_hurt)
{
    enter (1, 11, 0);
    enter (1, 12, 100000);
    ck_assert_uint_eq (nodes_closed (nodes, 11, 0), 0);
    ck_assert (is_online (1));
    ck_assert_uint_eq (nodes_closed (nodes, 12, 0), 1);
    ck_assert (!is_online (1));
}
END_TEST

START_TEST (silence_longer_than_the_timeout_takes_a_node_offline_and_a_beat_brings_it_back)
{
    int64_t silent = 0;

    enter (1, 11, 0);
    enter (2, 12, 0);
    nodes_heard (nodes, 2, NULL, 10000, 0);
    ck_assert_uint_eq (nodes_expire (nodes, 30000, 0, &silent), 0);
    ck_assert_uint_eq (nodes_expire (nodes, 30001, 0, &silent), 1);
    ck_assert_int_eq (silent, 30001);
    ck_assert_uint_eq (nodes_expire (nodes, 30001, 0, &silent), 0);
    ck_assert (!is_online (1));
    nodes_heard (nodes, 1, NULL, 30002, 0);
    ck_assert (is_online (1));
    ck_assert_uint_eq (nodes_of_session (nodes, 11), 1);
}
END_TEST

START_TEST (silence_while_we_did_not_listen_is_forgiven)
{
    int64_t silent;

    enter (1, 11, 0);
    nodes_forgive (nodes, 60000);
    ck_assert_uint_eq (nodes_expire (nodes, 61000, 0, &silent), 0);
    ck_assert_uint_eq (nodes_expire (nodes, 90001, 0, &silent), 1);
}
END_TEST

START_TEST (a_twin_is_refused_while_the_first_one_is_heard)
{
    struct node node = make_node (1);

    enter (1, 11, 0);
    ck_assert_int_eq (nodes_check_twin (nodes, &node.uuid, 11, 100, &error), 0);
    ck_assert_int_eq (nodes_check_twin (nodes, &node.uuid, 12, 3000, &error),
                      LITEDFS_NODE_EXISTS);
    ck_assert_ptr_nonnull (strstr (error.text, "10.0.0.1"));
    ck_assert_int_eq (nodes_check_twin (nodes, &node.uuid, 12, 3001, &error), 0);
    nodes_heard (nodes, 1, NULL, 3001, 0);
    ck_assert_int_lt (nodes_check_twin (nodes, &node.uuid, 12, 3002, &error), 0);
    nodes_closed (nodes, 11, 0);
    ck_assert_int_eq (nodes_check_twin (nodes, &node.uuid, 12, 3003, &error), 0);
}
END_TEST

START_TEST (a_session_is_one_node)
{
    struct node node = make_node (2);

    enter (1, 11, 0);
    ck_assert_int_eq (nodes_register (nodes, &node, 11, 1000, 30000, 0, 0, &error),
                      LITEDFS_INVALID);
}
END_TEST

START_TEST (the_table_changes_with_what_others_see_and_not_with_heartbeats)
{
    struct node_storage storage = {.total = 100, .free = 50, .blocks = 3};

    enter (1, 11, 0);
    uint64_t version = table_version ();
    nodes_heard (nodes, 1, &storage, 10, 10);
    ck_assert_uint_eq (table_version (), version);
    enter (1, 11, 20);
    ck_assert_uint_eq (table_version (), version);
    nodes_closed (nodes, 11, 30);
    ck_assert_uint_eq (table_version (), version + 1);
    enter (1, 12, 40);
    ck_assert_uint_eq (table_version (), version + 2);

    struct nodes_view *view = nodes_view (nodes);
    ck_assert_uint_eq (nodes_view_find (view, 1)->table, version + 2);
    nodes_view_release (&view);
}
END_TEST

START_TEST (a_node_that_was_started_anew_is_noticed_though_it_was_never_seen_to_go)
{
    struct node node = make_node (1);

    node.incarnation = 7;
    ck_assert_int_eq (nodes_register (nodes, &node, 11, 1000, 30000, 0, 0, &error), 0);
    uint64_t version = table_version ();
    ck_assert_uint_eq (nodes_detached (nodes, 11), 1);
    ck_assert_int_eq (nodes_register (nodes, &node, 12, 1000, 30000, 10, 10, &error), 0);
    ck_assert_uint_eq (table_version (), version); // the same process, by another connection
    ck_assert_uint_eq (nodes_detached (nodes, 12), 1);
    node.incarnation = 8;
    ck_assert_int_eq (nodes_register (nodes, &node, 13, 1000, 30000, 20, 20, &error), 0);
    ck_assert_uint_eq (table_version (), version + 1);
}
END_TEST

START_TEST (heartbeats_tell_the_storage)
{
    struct node_storage storage = {
        .total = 100, .used = 20, .free = 80, .full = true, .blocks = 7};

    enter (1, 11, 0);
    nodes_heard (nodes, 1, &storage, 10, 12345);
    struct nodes_view *view = nodes_view (nodes);
    const struct node *node = nodes_view_find (view, 1);
    ck_assert_uint_eq (node->storage_total, 100);
    ck_assert_uint_eq (node->storage_used, 20);
    ck_assert_uint_eq (node->storage_free, 80);
    ck_assert (node->storage_full);
    ck_assert_uint_eq (node->blocks, 7);
    ck_assert_int_eq (node->heard_wall_ms, 12345);
    nodes_view_release (&view);
}
END_TEST

START_TEST (many_nodes_are_found)
{
    for (uint32_t i = 500; i > 0; i--)
        enter (i, 1000 + i, 0);
    ck_assert_uint_eq (nodes_of_session (nodes, 1317), 317);
    ck_assert_uint_eq (nodes_closed (nodes, 1123, 0), 123);
    for (uint32_t i = 1; i <= 500; i++)
        ck_assert_int_eq (is_online (i), i != 123);
}
END_TEST

static bool
is_settling (void)
{
    struct nodes_view *view = nodes_view (nodes);
    bool settling = view->settling;

    nodes_view_release (&view);
    return settling;
}

START_TEST (nodes_of_before_the_start_are_waited_for_until_all_were_heard_or_the_wait_is_over)
{
    struct node first = make_node (1), second = make_node (2);

    ck_assert (!nodes_settle (nodes, true)); // there were none
    ck_assert_int_eq (nodes_load (nodes, &first, &error), 0);
    ck_assert_int_eq (nodes_load (nodes, &second, &error), 0);
    ck_assert (nodes_settle (nodes, true));
    ck_assert (is_settling ());
    uint64_t table = table_version ();
    enter (1, 11, 0);
    ck_assert (nodes_settle (nodes, true));
    enter (2, 12, 0);
    ck_assert (!nodes_settle (nodes, true));
    ck_assert (!is_settling ());
    ck_assert_uint_gt (table_version (), table); // so that the view is handed on
    ck_assert_int_eq (nodes_load (nodes, &(struct node){.number = 3}, &error), 0);
    ck_assert (nodes_settle (nodes, true));
    ck_assert (!nodes_settle (nodes, false));
    ck_assert (!is_settling ());
}
END_TEST

static bool
is_suspect (uint32_t number)
{
    struct nodes_view *view = nodes_view (nodes);
    bool suspect = nodes_view_find (view, number)->suspect;

    nodes_view_release (&view);
    return suspect;
}

START_TEST (two_uploads_make_a_node_suspect_for_a_minute_and_one_does_not)
{
    enter (1, 11, 0);
    enter (2, 12, 0);
    ck_assert (!nodes_suspected (nodes, 1, 100, 1000));
    ck_assert (!nodes_suspected (nodes, 1, 100, 2000)); // the same one
    ck_assert (!is_suspect (1));
    uint64_t table = table_version ();
    ck_assert (nodes_suspected (nodes, 1, 200, 3000));
    ck_assert (is_suspect (1));
    ck_assert (!is_suspect (2));
    ck_assert_uint_gt (table_version (), table);         // so that the view is handed on
    ck_assert (!nodes_suspected (nodes, 1, 300, 13000)); // it was before; but for longer now
    enter (1, 21, 14000);
    ck_assert (is_suspect (1));
    nodes_pardon (nodes, 13000 + NODES_SUSPECT_MS - 1);
    ck_assert (is_suspect (1));
    table = table_version ();
    nodes_pardon (nodes, 13000 + NODES_SUSPECT_MS);
    ck_assert (!is_suspect (1));
    ck_assert_uint_gt (table_version (), table);
    ck_assert (!nodes_suspected (nodes, 9, 1, 0));
}
END_TEST

START_TEST (what_was_said_long_ago_makes_nobody_suspect)
{
    enter (1, 11, 0);
    ck_assert (!nodes_suspected (nodes, 1, 100, 1000));
    ck_assert (!nodes_suspected (nodes, 1, 200, 1001 + NODES_SUSPECT_MS));
    ck_assert (!is_suspect (1));
    ck_assert (nodes_suspected (nodes, 1, 100, 1001 + 2 * NODES_SUSPECT_MS));
}
END_TEST

/* ---- what is wanted of a node ---------------------------------------------------------------------- */

static uint64_t
steady_version (void)
{
    struct nodes_view *view = nodes_view (nodes);
    uint64_t steady = view->steady;

    nodes_view_release (&view);
    return steady;
}

static void
want (uint32_t number, struct node_duty duty)
{
    nodes_set_duty (nodes, number, &duty, 1000000);
}

static bool
takes_blocks (uint32_t number)
{
    struct nodes_view *view = nodes_view (nodes);
    bool takes = node_takes_blocks (nodes_view_find (view, number));

    nodes_view_release (&view);
    return takes;
}

START_TEST (a_node_that_drains_stays_online_and_the_view_is_handed_on)
{
    enter (1, 11, 0);
    uint64_t table = table_version ();
    want (1, (struct node_duty){.duty = DUTY_DRAIN});
    ck_assert_uint_gt (table_version (), table);
    ck_assert (is_online (1));
    ck_assert (!takes_blocks (1));
    table = table_version ();
    want (1, (struct node_duty){.duty = DUTY_DRAIN, .survey.blocks = 3});
    ck_assert_uint_eq (table_version (), table); // only its counts
    want (1, (struct node_duty){.duty = DUTY_SERVE});
    ck_assert (takes_blocks (1));
    want (9, (struct node_duty){.duty = DUTY_DRAIN}); // there is none
}
END_TEST

START_TEST (a_node_is_excused_until_its_maintenance_ends)
{
    enter (1, 11, 0);
    want (1, (struct node_duty){.excused = 1060000});
    ck_assert (!takes_blocks (1));
    ck_assert (is_online (1));
    uint64_t table = table_version ();
    nodes_excuse (nodes, 1059999);
    ck_assert_uint_eq (table_version (), table);
    ck_assert (!takes_blocks (1));
    nodes_excuse (nodes, 1060000);
    ck_assert_uint_gt (table_version (), table);
    ck_assert (takes_blocks (1));
}
END_TEST

START_TEST (a_node_that_was_removed_has_no_session_and_nobody_waits_for_it)
{
    struct node node = make_node (2);

    enter (1, 11, 0);
    ck_assert_int_eq (nodes_load (nodes, &node, &error), 0);
    want (1, (struct node_duty){.duty = DUTY_REMOVED});
    ck_assert (!is_online (1));
    ck_assert_uint_eq (nodes_session (nodes, 1), 0);
    ck_assert_uint_eq (nodes_of_session (nodes, 11), 0);
    nodes_heard (nodes, 1, NULL, 2000, 1002000);
    ck_assert (!is_online (1));
    struct nodes_view *view = nodes_view (nodes);
    ck_assert_uint_eq (view->count, 2);
    ck_assert_uint_eq (view->removed, 1);
    ck_assert_uint_eq (view->online, 0);
    nodes_view_release (&view);
    ck_assert (nodes_settle (nodes, true));
    want (2, (struct node_duty){.duty = DUTY_REMOVED});
    ck_assert (!nodes_settle (nodes, true));
}
END_TEST

START_TEST (who_goes_or_leaves_makes_the_view_unsteady_and_who_comes_or_is_full_does_not)
{
    const struct node_storage full = {.full = true};

    enter (1, 11, 0);
    uint64_t steady = steady_version (), table = table_version ();
    enter (2, 12, 0);
    nodes_heard (nodes, 1, &full, 10, 1000010);
    ck_assert_uint_gt (table_version (), table);
    ck_assert_uint_eq (steady_version (), steady);
    nodes_closed (nodes, 12, 1000020);
    ck_assert_uint_gt (steady_version (), steady);
    steady = steady_version ();
    enter (2, 13, 30);
    ck_assert_uint_eq (steady_version (), steady);
    want (2, (struct node_duty){.duty = DUTY_DRAIN});
    ck_assert_uint_gt (steady_version (), steady);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "namenode_nodes", setup, teardown,
    a_node_that_drains_stays_online_and_the_view_is_handed_on,
    a_node_is_excused_until_its_maintenance_ends,
    a_node_that_was_removed_has_no_session_and_nobody_waits_for_it,
    who_goes_or_leaves_makes_the_view_unsteady_and_who_comes_or_is_full_does_not,
    a_loaded_node_is_offline_until_it_registers, a_view_lists_nodes_by_number_and_never_changes,
    the_same_view_is_given_until_something_changes, a_closed_connection_takes_its_node_offline,
    the_close_of_an_older_session_does_not_hurt,
    a_node_that_left_because_of_us_stays_online_until_its_timeout_or_its_return,
    silence_longer_than_the_timeout_takes_a_node_offline_and_a_beat_brings_it_back,
    silence_while_we_did_not_listen_is_forgiven, a_twin_is_refused_while_the_first_one_is_heard,
    a_session_is_one_node, the_table_changes_with_what_others_see_and_not_with_heartbeats,
    a_node_that_was_started_anew_is_noticed_though_it_was_never_seen_to_go,
    heartbeats_tell_the_storage, two_uploads_make_a_node_suspect_for_a_minute_and_one_does_not,
    what_was_said_long_ago_makes_nobody_suspect, many_nodes_are_found,
    nodes_of_before_the_start_are_waited_for_until_all_were_heard_or_the_wait_is_over)
