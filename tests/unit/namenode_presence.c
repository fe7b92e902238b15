/* SPDX-License-Identifier: MIT */
/*
 * namenode/presence: a node that is away for a while counts, and one that is gone does not.
 */
#include "namenode/presence.h"

#include "unit.h"

enum { GONE_MS = 60000 };

static struct presence *presence;
static struct nodes_view *view;

static void
setup (void)
{
    presence = presence_new ();
    ck_assert_ptr_nonnull (presence);
}

static void
teardown (void)
{
    presence_destroy (&presence);
    free (view);
    view = NULL;
}

/* Nodes 1, 2, ... that are online ('+') or not ('-'), for maintenance ('m'), or removed ('x'). */
static bool
update (const char *states, int64_t now_ms)
{
    size_t count = 0;

    while (states[count])
        count++;
    free (view);
    view = calloc (1, sizeof *view + count * sizeof view->nodes[0]);
    ck_assert_ptr_nonnull (view);
    view->count = count;
    for (size_t i = 0; i < count; i++) {
        view->nodes[i].number = (uint32_t) i + 1;
        view->nodes[i].online = states[i] == '+';
        view->nodes[i].excused = states[i] == 'm';
        if (states[i] == 'x')
            view->nodes[i].duty.duty = DUTY_REMOVED;
    }
    return presence_update (presence, view, now_ms, GONE_MS);
}

START_TEST (a_node_that_is_away_counts_until_it_is_gone)
{
    ck_assert (!update ("++", 1000));
    ck_assert (update ("+-", 2000));
    ck_assert (presence_counts (presence, 2));
    ck_assert (!update ("+-", 2000 + GONE_MS - 1));
    ck_assert (presence_counts (presence, 2));
    ck_assert (update ("+-", 2000 + GONE_MS));
    ck_assert (!presence_counts (presence, 2));
    ck_assert (!update ("+-", 3000 + GONE_MS));
    ck_assert (update ("++", 4000 + GONE_MS));
    ck_assert (presence_counts (presence, 2));
    ck_assert (presence_counts (presence, 1));
}
END_TEST

START_TEST (each_absence_has_its_own_time)
{
    int64_t now = 0;

    for (int i = 0; i < 10; i++) {
        ck_assert (update ("-", now) == (i > 0));
        now += GONE_MS - 1;
        ck_assert (update ("+", now));
        now += 1;
    }
    ck_assert (presence_counts (presence, 1));
}
END_TEST

START_TEST (it_knows_how_long_a_node_is_online)
{
    update ("+-", 1000);
    ck_assert_int_eq (presence_online_ms (presence, 1, 5000), 4000);
    ck_assert_int_eq (presence_online_ms (presence, 2, 5000), -1);
    ck_assert_int_eq (presence_online_ms (presence, 3, 5000), -1);
    update ("++", 6000);
    ck_assert_int_eq (presence_online_ms (presence, 2, 6500), 500);
    ck_assert_int_eq (presence_online_ms (presence, 1, 6500), 5500);
}
END_TEST

START_TEST (a_node_that_nobody_knows_does_not_count)
{
    ck_assert (!presence_counts (presence, 1));
    update ("+", 0);
    ck_assert (!presence_counts (presence, 2));
    ck_assert (!update ("+-+", 10)); // new ones are no change
    ck_assert (presence_counts (presence, 2));
    ck_assert_int_eq (presence_online_ms (presence, 1, 10), 10);
    ck_assert_int_eq (presence_online_ms (presence, 3, 10), 0);
}
END_TEST

START_TEST (a_node_in_maintenance_counts_until_that_has_ended)
{
    update ("++", 1000);
    ck_assert (update ("+m", 2000));
    ck_assert (!update ("+m", 2000 + 10 * GONE_MS));
    ck_assert (presence_counts (presence, 2));
    ck_assert (update ("+-", 2000 + 10 * GONE_MS));
    ck_assert (!presence_counts (presence, 2));
}
END_TEST

START_TEST (a_node_that_was_removed_is_gone_at_once)
{
    update ("++", 1000);
    ck_assert (update ("+x", 1001));
    ck_assert (!presence_counts (presence, 2));
    ck_assert (presence_counts (presence, 1));
}
END_TEST

START_TEST (it_knows_for_how_long_a_node_is_waited_for)
{
    update ("++", 1000);
    update ("+-", 2000);
    ck_assert_int_eq (presence_left_ms (presence, 1, 3000, GONE_MS), -1);
    ck_assert_int_eq (presence_left_ms (presence, 2, 3000, GONE_MS), GONE_MS - 1000);
    ck_assert_int_eq (presence_left_ms (presence, 3, 3000, GONE_MS), 0);
    struct presence *clone = presence_clone (presence);
    ck_assert_ptr_nonnull (clone);
    update ("+-", 2000 + GONE_MS);
    ck_assert_int_eq (presence_left_ms (presence, 2, 3000 + GONE_MS, GONE_MS), 0);
    ck_assert (presence_counts (clone, 2)); // it has its own memory
    presence_destroy (&clone);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_presence", setup, teardown,
                   a_node_in_maintenance_counts_until_that_has_ended,
                   a_node_that_was_removed_is_gone_at_once,
                   a_node_that_is_away_counts_until_it_is_gone, each_absence_has_its_own_time,
                   it_knows_how_long_a_node_is_online, a_node_that_nobody_knows_does_not_count,
                   it_knows_for_how_long_a_node_is_waited_for)
