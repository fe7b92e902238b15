/* SPDX-License-Identifier: MIT */
/*
 * namenode/quarantine: blocks that nobody knows are kept for the grace, then ordered away; those that get an
 * owner are copies again; the totals are those of the rows.
 */
#include "namenode/quarantine.h"

#include "namenode/garbage.h"
#include "namenode/held.h"

#include "namenode_store.h"

enum { NODE = 1, GRACE = 1000 };

static const struct nodes_view *
view_of (bool online)
{
    static union {
        struct nodes_view view;
        char room[sizeof (struct nodes_view) + sizeof (struct node)];
    } out;

    out.view.count = 1;
    out.view.nodes[0].number = NODE;
    out.view.nodes[0].online = online;
    return &out.view;
}

static uint64_t seq;

static struct held_report
report (struct txn *txn, unsigned kind, uint64_t block, uint64_t size)
{
    struct wire_change change = {++seq, kind, block, size, 5};
    struct held_report out;

    ck_ok (held_apply (txn, NODE, &change, 1, &out, E));
    return out;
}

static struct quarantine_totals
totals (struct txn *txn)
{
    struct quarantine_totals out;

    ck_ok (quarantine_totals (txn, NODE, &out, E));
    return out;
}

static struct held_row
held (struct txn *txn, uint64_t block)
{
    struct held_row out;

    ck_ok (held_row_get (txn, NODE, block, &out, E));
    return out;
}

/* Somebody owns the block, of this size and CRC-32 5. */
static void
own (struct txn *txn, uint32_t index, uint64_t block, uint64_t size)
{
    struct block_row row = {
        .inode = 50, .index = index, .block = block, .state = BLOCK_FINISHED, .size = size};
    struct owner_row owner = {.block = block, .inode = 50, .index = index};

    row.crc = 5;
    ck_ok (block_row_put (txn, &row, E));
    ck_ok (owner_row_put (txn, &owner, E));
}

static bool
is_holder (struct txn *txn, uint32_t index)
{
    struct block_row row;

    ck_ok (block_row_get (txn, 50, index, &row, E));
    return block_row_has_node (&row, NODE);
}

static struct quarantine_done
expel (struct txn *txn, bool online, size_t max)
{
    struct quarantine_done done = {0};
    uint32_t touched[4];
    size_t count = 0;

    ck_ok (quarantine_due (txn, view_of (online), GRACE, max, &done, touched, 4, &count, E));
    ck_assert_uint_eq (count, done.ordered > 0);
    return done;
}

static struct txn *
begin_later (int64_t ms)
{
    fixture.frame.wall_ms += ms;
    return begin ();
}

static struct txn *
set_up (void)
{
    struct txn *txn = begin ();

    seq = 0;
    add_node (txn, NODE);
    ck_ok (meta_set_epoch (txn, 3, E));
    return txn;
}

START_TEST (unknown_blocks_are_counted_with_bytes_and_age)
{
    struct txn *txn = set_up ();
    uint64_t began = (uint64_t) fixture.frame.wall_ms;

    ck_assert_uint_eq (totals (txn).blocks, 0);
    ck_assert_uint_eq (report (txn, CHANGE_ADDED, block_id (2, 1), 10).unknown, 1);
    commit (&txn);
    txn = begin_later (500);
    ck_assert_uint_eq (report (txn, CHANGE_ADDED, block_id (4, 1), 20).unknown, 1);
    report (txn, CHANGE_ADDED, block_id (2, 1), 11); // once more: as old as before
    ck_assert_uint_eq (totals (txn).blocks, 2);
    ck_assert_uint_eq (totals (txn).bytes, 31);
    ck_assert_uint_eq (totals (txn).oldest, began);
    ck_assert_int_eq (held (txn, block_id (2, 1)).state, HELD_UNKNOWN);
    report (txn, CHANGE_REMOVED, block_id (2, 1), 0);
    ck_assert_uint_eq (totals (txn).blocks, 1);
    ck_assert_uint_eq (totals (txn).bytes, 20);
    ck_assert_uint_eq (totals (txn).oldest, began + 500);
    report (txn, CHANGE_REMOVED, block_id (4, 1), 0);
    ck_assert_uint_eq (totals (txn).blocks + totals (txn).bytes + totals (txn).oldest, 0);
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_QUARANTINE), 0);
    ck_assert_uint_eq (rows_of (TABLE_HELD), 0);
    ck_assert_uint_eq (rows_of (TABLE_DIGEST), 0);
}
END_TEST

START_TEST (they_are_ordered_away_when_their_grace_is_over_and_not_before)
{
    struct order_row orders[4];
    size_t count;
    uint64_t due;
    struct txn *txn = set_up ();

    ck_ok (quarantine_next_due (txn, view_of (true), GRACE, &due, E));
    ck_assert_uint_eq (due, UINT64_MAX);
    for (uint64_t i = 1; i <= 3; i++)
        report (txn, CHANGE_ADDED, block_id (2, i), 10);
    ck_ok (quarantine_next_due (txn, view_of (true), GRACE, &due, E));
    ck_assert_uint_eq (due, (uint64_t) fixture.frame.wall_ms + GRACE);
    ck_ok (quarantine_next_due (txn, view_of (false), GRACE, &due, E));
    ck_assert_uint_eq (due, UINT64_MAX);
    commit (&txn);

    txn = begin_later (GRACE - 1);
    ck_assert_uint_eq (expel (txn, true, 10).looked, 0);
    commit (&txn);
    txn = begin_later (1);
    ck_assert_uint_eq (expel (txn, false, 10).looked, 0);
    ck_assert_uint_eq (expel (txn, true, 2).ordered, 2);
    ck_assert_uint_eq (totals (txn).blocks, 1);
    ck_assert_uint_eq (expel (txn, true, 2).ordered, 1);
    ck_assert_uint_eq (totals (txn).blocks, 0);
    ck_ok (orders_after (txn, NODE, 0, orders, 4, &count, E));
    ck_assert_uint_eq (count, 3);
    ck_assert (orders[0].kind == ORDER_DELETE && orders[0].block == block_id (2, 1));

    // The node says again that it has one, then that they are gone.
    ck_assert_uint_eq (report (txn, CHANGE_ADDED, block_id (2, 1), 10).unknown, 0);
    for (uint64_t i = 1; i <= 3; i++)
        report (txn, CHANGE_REMOVED, block_id (2, i), 10);
    ck_ok (orders_confirm (txn, NODE, 3, 10, &count, E));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_HELD), 0);
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0);
}
END_TEST

START_TEST (what_somebody_owns_by_now_is_a_copy_if_it_is_what_was_written)
{
    struct quarantine_walk walk = {0};
    struct quarantine_done done = {0};
    struct txn *txn = set_up ();

    for (uint64_t i = 1; i <= 4; i++)
        report (txn, CHANGE_ADDED, block_id (2, i), 10);
    own (txn, 0, block_id (2, 1), 10);
    own (txn, 1, block_id (2, 2), 99); // something else
    ck_ok (quarantine_adopt (txn, &walk, 3, &done, E));
    ck_assert_uint_eq (done.looked, 3);
    ck_assert_uint_eq (done.adopted, 1);
    ck_assert (is_holder (txn, 0));
    ck_assert (!is_holder (txn, 1));
    ck_assert_int_eq (held (txn, block_id (2, 1)).state, HELD_CONFIRMED);
    own (txn, 2, block_id (2, 4), 10);
    done = (struct quarantine_done){0};
    ck_ok (quarantine_adopt (txn, &walk, 3, &done, E)); // it goes on, and is at its end
    ck_assert_uint_eq (done.looked, 1);
    ck_assert (is_holder (txn, 2));
    ck_assert_uint_eq (totals (txn).blocks, 2);

    own (txn, 3, block_id (2, 3), 10);
    commit (&txn);
    txn = begin_later (GRACE);
    done = expel (txn, true, 10);
    ck_assert_uint_eq (done.adopted, 1);
    ck_assert_uint_eq (done.ordered, 1);
    ck_assert (is_holder (txn, 3));
    ck_assert_uint_eq (totals (txn).blocks, 0);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_report_of_a_block_that_has_an_owner_now_takes_it_out)
{
    struct txn *txn = set_up ();

    report (txn, CHANGE_ADDED, block_id (2, 1), 10);
    own (txn, 0, block_id (2, 1), 10);
    report (txn, CHANGE_ADDED, block_id (2, 1), 10);
    ck_assert (is_holder (txn, 0));
    ck_assert_int_eq (held (txn, block_id (2, 1)).state, HELD_CONFIRMED);
    ck_assert_uint_eq (totals (txn).blocks, 0);
    txn_abort (&txn);
}
END_TEST

START_TEST (what_was_seen_after_now_begins_anew)
{
    struct quarantine_walk walk = {0};
    struct quarantine_done done = {0};
    struct txn *txn = set_up ();

    report (txn, CHANGE_ADDED, block_id (2, 1), 10);
    commit (&txn);
    txn = begin_later (-5000); // the clock was set back
    ck_ok (quarantine_adopt (txn, &walk, 10, &done, E));
    ck_assert_uint_eq (totals (txn).oldest, (uint64_t) fixture.frame.wall_ms);
    ck_assert_uint_eq (totals (txn).blocks, 1);
    ck_assert_uint_eq (held (txn, block_id (2, 1)).time, (uint64_t) fixture.frame.wall_ms);
    txn_abort (&txn);
}
END_TEST

/* Look at all damaged copies, one or two at a time; they become orders. */
static size_t
sift (struct txn *txn)
{
    struct quarantine_damaged walk = {0};
    struct order_row orders[4];
    size_t looked, count, done;

    do
        ck_ok (quarantine_damaged (txn, &walk, GRACE, 2, &looked, E));
    while (looked == 2);
    ck_ok (garbage_due (txn, view_of (true), 0, (uint64_t) fixture.frame.wall_ms, 10, &done,
                        NULL, 0, NULL, E));
    ck_ok (orders_after (txn, NODE, 0, orders, 4, &count, E));
    return count;
}

START_TEST (damaged_copies_of_what_nobody_owns_go_when_their_grace_is_over)
{
    struct txn *txn = set_up ();

    for (uint64_t i = 1; i <= 3; i++) {
        report (txn, CHANGE_ADDED, block_id (2, i), 10);
        report (txn, CHANGE_DAMAGED, block_id (2, i), 10);
    }
    ck_assert_uint_eq (totals (txn).blocks, 0);
    own (txn, 0, block_id (2, 3), 10);
    ck_assert_uint_eq (sift (txn), 0);
    commit (&txn);
    txn = begin_later (GRACE - 1);
    ck_assert_uint_eq (sift (txn), 0);
    commit (&txn);
    txn = begin_later (1);
    ck_assert_uint_eq (sift (txn), 2); // the third one has an owner now
    report (txn, CHANGE_REMOVED, block_id (2, 1), 10);
    ck_assert_uint_eq (sift (txn), 3); // what is not gone is ordered once more
    txn_abort (&txn);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_quarantine", store_setup, store_teardown,
                   unknown_blocks_are_counted_with_bytes_and_age,
                   they_are_ordered_away_when_their_grace_is_over_and_not_before,
                   what_somebody_owns_by_now_is_a_copy_if_it_is_what_was_written,
                   a_report_of_a_block_that_has_an_owner_now_takes_it_out,
                   what_was_seen_after_now_begins_anew,
                   damaged_copies_of_what_nobody_owns_go_when_their_grace_is_over)
