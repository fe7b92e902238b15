/* SPDX-License-Identifier: MIT */
/*
 * namenode/lease: one writer a name, for as long as it renews.
 */
#include "namenode/lease.h"

#include "namenode_store.h"

static struct lease_row
lease_of (const char *token, const char *name, uint64_t inode)
{
    struct lease_row row = {.parent = ROOT_INODE,
                            .inode = inode,
                            .bits = 42,
                            .size = 100,
                            .replica = 2,
                            .block_size = 10,
                            .ttl = 60,
                            .suspects = {3},
                            .suspects_count = 1};

    memcpy (row.token, token, strlen (token));
    row.name_size = strlen (name);
    strcpy (row.name, name);
    return row;
}

static int
take (struct txn *txn, const char *token, const char *name, uint64_t inode)
{
    struct lease_row row = lease_of (token, name, inode);

    return lease_take (txn, &row, E);
}

START_TEST (a_name_has_one_lease_at_a_time)
{
    struct txn *txn = begin ();
    ck_ok (lease_check_free (txn, ROOT_INODE, S ("f"), E));
    ck_ok (take (txn, "one", "f", 10));
    uint64_t before = txn_written (txn);
    ck_fails (LITEDFS_LOCKED, take (txn, "two", "f", 11));
    ck_fails (LITEDFS_LOCKED, lease_check_free (txn, ROOT_INODE, S ("f"), E));
    ck_fails (LITEDFS_LOCKED, lease_clear (txn, ROOT_INODE, S ("f"), E));
    ck_assert_uint_eq (txn_written (txn), before);
    ck_ok (take (txn, "two", "g", 11));
    ck_ok (lease_check_free (txn, 2, S ("f"), E));
    txn_abort (&txn);
}
END_TEST

START_TEST (an_expired_lease_can_be_taken_over_and_what_it_wrote_is_doomed)
{
    struct lease_row row = lease_of ("one", "f", 10);
    struct lease_row found;
    struct uuid id;
    uint32_t ttl;

    lease_row_id (&row, &id);
    struct txn *txn = begin ();
    ck_ok (lease_take (txn, &row, E));
    commit (&txn);
    pass_ms (59999);
    txn = begin ();
    ck_fails (LITEDFS_LOCKED, take (txn, "two", "f", 11));
    ck_assert_ptr_nonnull (strstr (fixture.error.text, " 1 s "));
    txn_abort (&txn);
    pass_ms (1);
    txn = begin ();
    ck_assert_int_eq (lease_remaining (txn, &row), 0);
    ck_ok (lease_check_free (txn, ROOT_INODE, S ("f"), E));
    ck_ok (lease_show (txn, row.token, &id, &found, E)); // nobody has taken it
    ck_ok (take (txn, "two", "f", 11));
    ck_fails (LITEDFS_LEASE_LOST, lease_show (txn, row.token, &id, &found, E));
    ck_fails (LITEDFS_LEASE_LOST, lease_renew (txn, row.token, &id, &ttl, E));
    ck_fails (LITEDFS_LOCKED, take (txn, "three", "f", 12));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_DOOMED), 1);
    ck_assert_uint_eq (rows_of (TABLE_LEASE), 1);
    ck_assert_uint_eq (rows_of (TABLE_LOCK), 1);
    ck_assert_uint_eq (lease_clock_count (fixture.frame.leases), 1);
}
END_TEST

START_TEST (renewing_lets_it_run_in_full_again_and_writes_nothing)
{
    struct lease_row row = lease_of ("one", "f", 10);
    struct uuid id;
    uint32_t ttl;

    lease_row_id (&row, &id);
    struct txn *txn = begin ();
    ck_ok (lease_take (txn, &row, E));
    commit (&txn);
    for (int i = 0; i < 3; i++) {
        pass_ms (70000); // an expired one that nobody took is renewed too
        txn = begin ();
        ck_ok (lease_renew (txn, row.token, &id, &ttl, E));
        ck_assert_uint_eq (ttl, 60);
        ck_assert_uint_eq (txn_written (txn), 0);
        ck_assert_int_eq (lease_remaining (txn, &row), 60000);
        commit (&txn);
    }
}
END_TEST

START_TEST (token_and_file_must_belong_together)
{
    struct lease_row row = lease_of ("one", "f", 10);
    struct lease_row found;
    struct uuid id;
    struct txn *txn = begin ();

    ck_ok (lease_take (txn, &row, E));
    lease_row_id (&row, &id);
    ck_ok (lease_show (txn, row.token, &id, &found, E));
    ck_assert_mem_eq (&found, &row, sizeof row);
    id.bytes[15] ^= 1;
    ck_fails (LITEDFS_LEASE_LOST, lease_show (txn, row.token, &id, &found, E));
    id.bytes[15] ^= 1;
    row.token[5] ^= 1;
    ck_fails (LITEDFS_LEASE_LOST, lease_show (txn, row.token, &id, &found, E));
    txn_abort (&txn);
}
END_TEST

START_TEST (ending_dooms_and_releasing_does_not)
{
    struct lease_row row = lease_of ("one", "f", 10);
    struct txn *txn = begin ();

    ck_ok (lease_take (txn, &row, E));
    ck_ok (take (txn, "two", "g", 11));
    commit (&txn);
    txn = begin ();
    ck_ok (lease_release (txn, &row, E));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_DOOMED), 0);
    row = lease_of ("two", "g", 11);
    txn = begin ();
    ck_ok (lease_end (txn, row.token, E));
    commit (&txn);
    txn = begin ();
    ck_ok (lease_end (txn, row.token, E));
    ck_assert_uint_eq (txn_written (txn), 0);
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_DOOMED), 1);
    ck_assert_uint_eq (rows_of (TABLE_LEASE) + rows_of (TABLE_LOCK), 0);
    ck_assert_uint_eq (lease_clock_count (fixture.frame.leases), 0);
}
END_TEST

START_TEST (a_take_that_was_aborted_leaves_nothing_but_a_deadline_that_ends)
{
    uint8_t tokens[2][TOKEN_SIZE];
    struct txn *txn = begin ();

    ck_ok (take (txn, "one", "f", 10));
    rollback (&txn);
    txn = begin ();
    ck_ok (lease_check_free (txn, ROOT_INODE, S ("f"), E));
    rollback (&txn);
    pass_ms (120000);
    ck_assert_uint_eq (
        lease_clock_ended (fixture.frame.leases, fixture.frame.now_ms, tokens, 2), 1);
    txn = begin ();
    ck_ok (lease_end (txn, tokens[0], E));
    commit (&txn);
    ck_assert_uint_eq (lease_clock_count (fixture.frame.leases), 0);
    ck_assert_uint_eq (rows_of (TABLE_DOOMED), 0);
}
END_TEST

START_TEST (without_a_clock_every_lease_counts_as_running)
{
    struct lease_clock *leases = fixture.frame.leases;
    struct txn *txn = begin ();

    ck_ok (take (txn, "one", "f", 10));
    commit (&txn);
    pass_ms (1000000);
    txn = begin_read ();
    ck_fails (LITEDFS_LOCKED, lease_check_free (txn, ROOT_INODE, S ("f"), E));
    txn_abort (&txn);
    ck_assert_ptr_eq (leases, fixture.frame.leases);
}
END_TEST

START_TEST (locks_are_listed_in_pages)
{
    struct lease_row rows[8];
    struct buf cursor = {0};
    struct buf next = {0};
    char name[16];
    size_t count;
    unsigned seen = 0;
    struct txn *txn = begin ();

    for (unsigned i = 0; i < 25; i++) {
        snprintf (name, sizeof name, "f%02u", i);
        ck_ok (take (txn, name, name, 100 + i));
    }
    commit (&txn);
    txn = begin_read ();
    do {
        buf_clear (&next);
        ck_ok (lease_list (txn, buf_slice (&cursor), 8, rows, &count, &next, E));
        for (size_t i = 0; i < count; i++) {
            snprintf (name, sizeof name, "f%02u", seen++);
            ck_assert_str_eq (rows[i].name, name);
        }
        buf_clear (&cursor);
        buf_put (&cursor, next.data, next.size);
    } while (next.size > 0);
    ck_assert_uint_eq (seen, 25);
    ck_fails (LITEDFS_INVALID, lease_list (txn, S ("12345678"), 8, rows, &count, &next, E));
    buf_free (&cursor);
    buf_free (&next);
    txn_abort (&txn);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_lease", store_setup, store_teardown,
                   a_name_has_one_lease_at_a_time,
                   an_expired_lease_can_be_taken_over_and_what_it_wrote_is_doomed,
                   renewing_lets_it_run_in_full_again_and_writes_nothing,
                   token_and_file_must_belong_together, ending_dooms_and_releasing_does_not,
                   a_take_that_was_aborted_leaves_nothing_but_a_deadline_that_ends,
                   without_a_clock_every_lease_counts_as_running, locks_are_listed_in_pages)
