/* SPDX-License-Identifier: MIT */
/*
 * namenode/agenda: items come out once, in order and in time, and what is dropped is said to be.
 */
#include "namenode/agenda.h"

#include "unit.h"

static struct agenda *agenda;

static void
setup (void)
{
    agenda = agenda_new ();
    ck_assert_ptr_nonnull (agenda);
}

static void
teardown (void)
{
    agenda_destroy (&agenda);
}

static struct agenda_item
item (uint64_t inode, uint32_t first, uint64_t end)
{
    return (struct agenda_item){inode, first, end};
}

/* The next item is this one. */
static void
check_next (int64_t now_ms, uint64_t inode, uint32_t first, uint64_t end)
{
    struct agenda_item next;

    ck_assert (agenda_next (agenda, now_ms, &next));
    ck_assert_uint_eq (next.inode, inode);
    ck_assert_uint_eq (next.first, first);
    ck_assert_uint_eq (next.end, end);
}

static void
check_none (int64_t now_ms)
{
    struct agenda_item next;

    ck_assert (!agenda_next (agenda, now_ms, &next));
}

START_TEST (items_come_out_in_the_order_in_which_they_came)
{
    check_none (0);
    ck_assert_int_eq (agenda_next_ms (agenda), INT64_MAX);
    agenda_add (agenda, item (2, 0, 5));
    agenda_add_block (agenda, 1, 7);
    agenda_add (agenda, item (2, 9, 10));
    ck_assert_int_eq (agenda_next_ms (agenda), 0);
    check_next (0, 2, 0, 5);
    check_next (0, 1, 7, 8);
    check_next (0, 2, 9, 10);
    check_none (0);
}
END_TEST

START_TEST (ranges_that_touch_are_one_item)
{
    agenda_add (agenda, item (1, 5, 10));
    agenda_add (agenda, item (1, 10, 12));
    agenda_add (agenda, item (1, 3, 5));
    agenda_add (agenda, item (1, 4, 6));
    agenda_add (agenda, item (1, 14, 15));
    check_next (0, 1, 3, 12);
    check_next (0, 1, 14, 15);
    check_none (0);
}
END_TEST

START_TEST (later_items_come_at_their_time)
{
    agenda_add_later (agenda, item (1, 0, 1), 300);
    agenda_add_later (agenda, item (2, 0, 1), 100);
    agenda_add_later (agenda, item (1, 1, 2), 200);
    ck_assert_int_eq (agenda_next_ms (agenda), 100);
    check_none (99);
    check_next (100, 2, 0, 1);
    check_none (199);
    ck_assert_int_eq (agenda_next_ms (agenda), 200);
    check_next (200, 1, 0, 2); // one item, at the earlier time
    check_none (1000);
}
END_TEST

START_TEST (busy_items_wait_until_they_are_released)
{
    for (uint64_t inode = 1; inode <= 3; inode++)
        agenda_add_busy (agenda, item (inode, 0, 1), 1);
    check_none (0);
    ck_assert_int_eq (agenda_next_ms (agenda), INT64_MAX);
    agenda_release (agenda, 2);
    check_next (0, 1, 0, 1);
    check_next (0, 2, 0, 1);
    check_none (0);
    agenda_release (agenda, SIZE_MAX);
    check_next (0, 3, 0, 1);
}
END_TEST

START_TEST (the_most_urgent_is_released_first)
{
    for (unsigned level = AGENDA_LEVELS; level-- > 0;)
        agenda_add_busy (agenda, item (level + 1, 0, 1), level);
    agenda_add_busy (agenda, item (9, 0, 1), 0);
    ck_assert (agenda_any_busy (agenda));
    agenda_add (agenda, item (7, 0, 1));
    agenda_release (agenda, 1);
    for (uint64_t inode = 1; inode <= AGENDA_LEVELS; inode++)
        check_next (0, inode, 0, 1);
    check_next (0, 7, 0, 1);
    check_none (0);
    agenda_release (agenda, 1);
    check_next (0, 9, 0, 1);
    ck_assert (!agenda_any_busy (agenda));
}
END_TEST

START_TEST (what_does_not_fit_is_dropped_and_said_to_be_missed)
{
    for (uint64_t inode = 1; inode <= AGENDA_MAX; inode++) {
        agenda_add (agenda, item (inode, 0, 1));
        ck_assert (!agenda_is_choked (agenda, 1));
        agenda_add_busy (agenda, item (inode, 0, 1), 1);
    }
    ck_assert (agenda_is_choked (agenda, 1));
    ck_assert (!agenda_missed (agenda));
    agenda_add (agenda, item (5, 1, 2)); // it has room
    ck_assert (!agenda_missed (agenda));
    agenda_add (agenda, item (AGENDA_MAX + 1, 0, 1));
    ck_assert (agenda_missed (agenda));
    ck_assert (!agenda_missed (agenda));
    agenda_add_busy (agenda, item (AGENDA_MAX + 1, 0, 1), 1);
    ck_assert (agenda_missed (agenda));
    for (uint64_t inode = 1; inode <= AGENDA_MAX + 1; inode++)
        agenda_add_later (agenda, item (inode, 0, 1), 10);
    ck_assert (agenda_missed (agenda));
    agenda_clear (agenda);
    check_none (1000);
    agenda_release (agenda, 1);
    check_none (1000);
}
END_TEST

START_TEST (rings_go_round)
{
    for (uint64_t inode = 1; inode <= 5 * AGENDA_MAX; inode++) {
        agenda_add_later (agenda, item (inode, 0, 1), (int64_t) inode);
        if (inode > 100)
            check_next ((int64_t) inode - 100, inode - 100, 0, 1);
    }
    ck_assert (!agenda_missed (agenda));
}
END_TEST

START_TEST (failures_are_kept_apart_and_taken_once)
{
    struct agenda_failure out;

    ck_assert (!agenda_next_failure (agenda, &out));
    for (uint32_t i = 0; i < 2 * AGENDA_MAX; i++)
        agenda_add_failure (agenda,
                            (struct agenda_failure){.block = 7, .source = 1, .target = 2});
    check_none (0);
    for (int i = 0; i < AGENDA_MAX; i++)
        ck_assert (agenda_next_failure (agenda, &out));
    ck_assert (out.block == 7 && out.source == 1 && out.target == 2);
    ck_assert (!agenda_next_failure (agenda, &out));
    ck_assert (!agenda_missed (agenda));
}
END_TEST

START_TEST (who_has_no_agenda_may_add_to_it)
{
    agenda_add_failure (NULL, (struct agenda_failure){.block = 1});
    agenda_add_block (NULL, 1, 1);
    agenda_add (NULL, item (1, 0, 1));
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_agenda", setup, teardown,
                   items_come_out_in_the_order_in_which_they_came,
                   ranges_that_touch_are_one_item, later_items_come_at_their_time,
                   busy_items_wait_until_they_are_released, the_most_urgent_is_released_first,
                   what_does_not_fit_is_dropped_and_said_to_be_missed, rings_go_round,
                   failures_are_kept_apart_and_taken_once, who_has_no_agenda_may_add_to_it)
