/* SPDX-License-Identifier: MIT */
/*
 * namenode/upkeep: what was left behind goes away in steps, and an idle name node writes nothing.
 */
#include "namenode/upkeep.h"

#include "namenode/garbage.h"
#include "namenode/held.h"
#include "namenode/namespace.h"

#include "namenode_batch_fixture.h"

static struct upkeep upkeep;

static void
setup (void)
{
    batch_setup ();
    upkeep = (struct upkeep){.doomed = true};
}

static void
teardown (void)
{
    upkeep_free (&upkeep);
    batch_teardown ();
}

static void
step (void)
{
    int rc = upkeep_step (&upkeep, &context, &error);

    ck_assert_msg (rc == 0, "%s", error.text);
}

/* Steps until there is nothing to do. */
static unsigned
settle (void)
{
    unsigned steps = 0;

    for (; upkeep_wanted (&upkeep, &context); steps++) {
        ck_assert_uint_lt (steps, 1000);
        step ();
    }
    return steps;
}

static void
do_job (struct job job)
{
    run (&job, 1);
    ck_assert_msg (answer_of (&job) == 0, "%s", error.text);
    end (&job, 1);
}

static uint64_t
last_transaction (void)
{
    struct txn *txn;

    ck_assert_int_eq (txn_begin_read (storedir_store (context.dir), &txn, &error), 0);
    uint64_t number = txn_number (txn);
    txn_abort (&txn);
    return number;
}

START_TEST (an_idle_name_node_writes_nothing)
{
    settle ();
    uint64_t before = last_transaction ();
    for (int i = 0; i < 50; i++) {
        fake_clock_advance (&fake, 1000);
        ck_assert (!upkeep_wanted (&upkeep, &context));
    }
    ck_assert_uint_eq (last_transaction (), before);
}
END_TEST

START_TEST (a_lease_that_has_expired_long_enough_is_ended)
{
    settle ();
    do_job (create_file ("/f", 1, 10));
    fake_clock_advance (&fake, 19999);
    settle ();
    ck_assert_uint_eq (rows_of (TABLE_LEASE), 1);
    fake_clock_advance (&fake, 1);
    ck_assert (upkeep_wanted (&upkeep, &context));
    settle ();
    ck_assert_uint_eq (rows_of (TABLE_LEASE), 0);
    ck_assert_uint_eq (rows_of (TABLE_LOCK), 0);
    ck_assert_uint_eq (rows_of (TABLE_DOOMED), 0);
}
END_TEST

START_TEST (a_tree_that_was_deleted_goes_in_steps)
{
    enum { COUNT = 1500 };
    char path[32];

    settle ();
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf (path, sizeof path, "/tree/%u", i);
        do_job (create_directory (path, i, 0));
    }
    do_job (delete_directory ("/tree", COUNT));
    ck_assert (!exists ("/tree"));
    upkeep.doomed = true; // as the writer does after a delete
    ck_assert_uint_gt (settle (), 2);
    ck_assert_uint_eq (rows_of (TABLE_INODE), 1);
    ck_assert_uint_eq (rows_of (TABLE_DOOMED), 0);
}
END_TEST

/* Garbage of node 1 that is due in so many milliseconds. */
static int
throw_away (void *arg, struct txn *txn, litedfs_error_t *e)
{
    const struct node_row node = {.number = 1, .host = "127.0.0.1", .tcp_port = 1};
    struct garbage_row row = {.node = 1, .block = 77};

    row.due = (uint64_t) (txn_frame (txn)->wall_ms + *(const int64_t *) arg);
    int rc = node_row_put (txn, &node, e);
    return rc == 0 ? garbage_row_put (txn, &row, e) : rc;
}

START_TEST (garbage_that_is_due_becomes_orders_and_names_their_node)
{
    int64_t delay_ms = 1000;

    settle ();
    ck_assert_int_eq (batch_work (&context, throw_away, &delay_ms, &error), 0);
    settle ();
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0);
    fake_clock_advance (&fake, 1000);
    ck_assert (upkeep_wanted (&upkeep, &context));
    step ();
    ck_assert_uint_eq (upkeep.touched_count, 1);
    ck_assert_uint_eq (upkeep.touched[0], 1);
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 1);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 0);
}
END_TEST

/* Node 1 is to delete a block that somebody owns. */
static int
order_away (void *arg, struct txn *txn, litedfs_error_t *e)
{
    const struct node_row node = {.number = 1, .host = "127.0.0.1", .tcp_port = 1};
    const struct owner_row owner = {.block = 77, .inode = 5};
    (void) arg;

    int rc = node_row_put (txn, &node, e);
    if (rc == 0)
        rc = owner_row_put (txn, &owner, e);
    return rc == 0 ? orders_add (txn, 1, ORDER_DELETE, 77, 0, NULL, e) : rc;
}

/* Node 1, and whether it is online. */
static struct nodes_view *
view_with (bool online, uint64_t table)
{
    static union {
        struct nodes_view view;
        char room[sizeof (struct nodes_view) + sizeof (struct node)];
    } out;

    memset (&out, 0, sizeof out);
    out.view.count = 1;
    out.view.table = table;
    out.view.nodes[0].number = 1;
    out.view.nodes[0].online = online;
    return &out.view;
}

START_TEST (orders_of_a_node_that_goes_are_garbage_again_until_it_is_back)
{
    settle ();
    ck_assert_int_eq (batch_work (&context, order_away, NULL, &error), 0);
    context.nodes = view_with (true, 1000);
    settle ();
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 1);
    context.nodes = view_with (false, 1001);
    ck_assert (upkeep_wanted (&upkeep, &context));
    settle ();
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 1);
    uint64_t before = last_transaction ();
    fake_clock_advance (&fake, 1000);
    ck_assert_uint_eq (settle (), 0);
    ck_assert_uint_eq (last_transaction (), before);
    context.nodes = view_with (true, 1002);
    fake_clock_advance (&fake, 1000);
    settle ();
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 0);
}
END_TEST

/* Node 1 is told to do this, and has a block of nobody. */
static int
want (void *arg, struct txn *txn, litedfs_error_t *e)
{
    const struct node_row node = {
        .number = 1, .host = "127.0.0.1", .tcp_port = 1, .duty.duty = *(const enum duty *) arg};

    int rc = node_row_put (txn, &node, e);
    return rc == 0 ? held_claim (txn, 1, 78, 1, e) : rc;
}

static const struct nodes_view *
view_of_removed (uint64_t table)
{
    struct nodes_view *view = view_with (false, table);

    view->nodes[0].duty.duty = DUTY_REMOVED;
    view->removed = 1;
    return view;
}

START_TEST (what_is_left_of_a_node_that_was_removed_goes_and_what_comes_later_too)
{
    enum duty removed = DUTY_REMOVED;
    int64_t later_ms = 3600000;

    settle ();
    ck_assert_int_eq (batch_work (&context, want, &removed, &error), 0);
    context.nodes = view_of_removed (1000);
    ck_assert (upkeep_wanted (&upkeep, &context));
    settle ();
    ck_assert_uint_eq (rows_of (TABLE_HELD), 0);
    ck_assert_uint_eq (rows_of (TABLE_NODE), 1);
    ck_assert_int_eq (batch_work (&context, throw_away, &later_ms, &error), 0);
    ck_assert_int_eq (batch_work (&context, want, &removed, &error), 0);
    settle ();
    fake_clock_advance (&fake, 61000);
    settle ();
    ck_assert_uint_eq (rows_of (TABLE_HELD), 0);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 0);
    uint64_t before = last_transaction ();
    for (int i = 0; i < 5; i++) {
        fake_clock_advance (&fake, 61000);
        settle ();
    }
    ck_assert_uint_eq (last_transaction (), before);
}
END_TEST

START_TEST (a_survey_names_its_node_once_and_an_idle_one_writes_nothing)
{
    enum duty drain = DUTY_DRAIN;

    settle ();
    ck_assert_int_eq (batch_work (&context, want, &drain, &error), 0);
    struct nodes_view *view = view_with (true, 1000);
    view->nodes[0].duty.duty = DUTY_DRAIN;
    context.nodes = view;
    ck_assert (upkeep_wanted (&upkeep, &context));
    step ();
    ck_assert_uint_eq (upkeep.surveyed, 1);
    settle ();
    uint64_t before = last_transaction ();
    for (int i = 0; i < 20; i++) {
        fake_clock_advance (&fake, 1000);
        settle ();
        ck_assert_uint_eq (upkeep.surveyed, 0);
    }
    ck_assert_uint_eq (last_transaction (), before);
    ck_assert_int_le (upkeep_idle_ms (&upkeep, &context), 1000);
}
END_TEST

/* A doomed row that cannot be read. */
static int
damage (void *arg, struct txn *txn, litedfs_error_t *e)
{
    (void) arg;
    return txn_put (txn, TABLE_DOOMED, S ("12345678"), S ("?"), e);
}

START_TEST (a_step_that_fails_is_tried_again_after_a_while)
{
    settle ();
    ck_assert_int_eq (batch_work (&context, damage, NULL, &error), 0);
    upkeep.doomed = true;
    ck_assert (upkeep_wanted (&upkeep, &context));
    ck_assert_int_eq (upkeep_step (&upkeep, &context, &error), LITEDFS_CORRUPT);
    ck_assert (!upkeep_wanted (&upkeep, &context));
    fake_clock_advance (&fake, 5000);
    ck_assert (upkeep_wanted (&upkeep, &context));
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_upkeep", setup, teardown, an_idle_name_node_writes_nothing,
                   a_lease_that_has_expired_long_enough_is_ended,
                   a_tree_that_was_deleted_goes_in_steps,
                   garbage_that_is_due_becomes_orders_and_names_their_node,
                   orders_of_a_node_that_goes_are_garbage_again_until_it_is_back,
                   what_is_left_of_a_node_that_was_removed_goes_and_what_comes_later_too,
                   a_survey_names_its_node_once_and_an_idle_one_writes_nothing,
                   a_step_that_fails_is_tried_again_after_a_while)
