/* SPDX-License-Identifier: MIT */
/*
 * namenode/check and the damaged copies that nodes keep aside, and their row as it is stored.
 */
#include "namenode/check.h"

#include "namenode_store.h"

static char said[2048];

static void
keep_line (void *arg, const char *line)
{
    size_t size = strlen (said);

    (void) arg;
    snprintf (said + size, sizeof said - size, "%s\n", line);
}

/* Commit, check, and look for a finding; NULL: there is none of this table. */
static void
finds (struct txn **txn, const char *expected)
{
    struct check_report report = {.say = keep_line, .say_max = 16};

    commit (txn);
    said[0] = 0;
    ck_ok (check_store (fixture.store, &report, E));
    const char *found = strstr (said, expected ? expected : "damaged[");
    ck_assert_msg ((found != NULL) == (expected != NULL), "%s", said);
}

START_TEST (a_damaged_row_comes_back_as_it_was)
{
    struct damaged_row out, row = {.block = 1 << 20, .node = 9, .size = 4096, .time = 5};
    struct txn *txn = begin ();

    ck_ok (damaged_row_put (txn, &row, E));
    ck_ok (damaged_row_get (txn, row.block, 9, &out, E));
    ck_assert (out.block == row.block && out.node == 9 && out.size == 4096 && out.time == 5);
    ck_fails (LITEDFS_NOT_FOUND, damaged_row_get (txn, row.block, 8, &out, E));
    ck_ok (damaged_row_del (txn, row.block, 9, E));
    ck_fails (LITEDFS_NOT_FOUND, damaged_row_del (txn, row.block, 9, E));
    txn_abort (&txn);
}
END_TEST

START_TEST (damaged_copies_of_no_node_and_beside_good_ones_are_found)
{
    struct damaged_row damaged = {.block = 7, .node = 1};
    struct held_row held = {.node = 1, .block = 7, .state = HELD_CONFIRMED};
    struct txn *txn = begin ();

    add_node (txn, 1);
    ck_ok (damaged_row_put (txn, &damaged, E));
    finds (&txn, NULL);
    txn = begin ();
    ck_ok (held_row_put (txn, &held, E));
    finds (&txn, "the node has a good copy as well");
    txn = begin ();
    damaged.node = 77;
    ck_ok (damaged_row_put (txn, &damaged, E));
    finds (&txn, "the node is missing");
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_check_damaged", store_setup, store_teardown,
                   a_damaged_row_comes_back_as_it_was,
                   damaged_copies_of_no_node_and_beside_good_ones_are_found)
