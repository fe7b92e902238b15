/* SPDX-License-Identifier: MIT */
/*
 * namenode/lease_clock: deadlines, in any order, of many leases.
 */
#include "namenode/lease_clock.h"

#include "namenode_store.h"

static void
token_of (uint32_t number, uint8_t token[TOKEN_SIZE])
{
    memset (token, 0, TOKEN_SIZE);
    memcpy (token, &number, sizeof number);
}

static void
set (struct lease_clock *leases, uint32_t number, int64_t ttl_ms, int64_t now_ms)
{
    uint8_t token[TOKEN_SIZE];

    token_of (number, token);
    ck_ok (lease_clock_set (leases, token, ttl_ms, now_ms, E));
}

static int64_t
remaining (struct lease_clock *leases, uint32_t number, int64_t now_ms)
{
    uint8_t token[TOKEN_SIZE];

    token_of (number, token);
    return lease_clock_remaining (leases, token, now_ms);
}

START_TEST (a_lease_runs_for_its_ttl_and_is_ended_after_as_long_again)
{
    struct lease_clock *leases = lease_clock_new ();
    uint8_t tokens[4][TOKEN_SIZE];

    ck_assert_int_eq (lease_clock_next (leases), INT64_MAX);
    ck_assert_uint_eq (lease_clock_ended (leases, INT64_MAX, tokens, 4), 0);
    set (leases, 1, 1000, 500);
    ck_assert_int_eq (remaining (leases, 1, 500), 1000);
    ck_assert_int_eq (remaining (leases, 1, 1499), 1);
    ck_assert_int_eq (remaining (leases, 1, 1500), 0);
    ck_assert_int_eq (remaining (leases, 2, 500), 0);
    ck_assert_int_eq (lease_clock_next (leases), 2500);
    ck_assert_uint_eq (lease_clock_ended (leases, 2499, tokens, 4), 0);
    ck_assert_uint_eq (lease_clock_ended (leases, 2500, tokens, 4), 1);
    ck_assert_uint_eq (lease_clock_ended (leases, 2500, tokens, 0), 0);
    set (leases, 1, 1000, 2400);
    ck_assert_int_eq (remaining (leases, 1, 2500), 900);
    ck_assert_uint_eq (lease_clock_ended (leases, 2500, tokens, 4), 0);
    lease_clock_destroy (&leases);
    lease_clock_destroy (&leases);
}
END_TEST

START_TEST (a_lease_is_forgotten_only_when_the_transaction_commits)
{
    struct lease_clock *leases = lease_clock_new ();
    uint8_t token[TOKEN_SIZE];

    set (leases, 1, 1000, 0);
    token_of (1, token);
    ck_ok (lease_clock_drop (leases, token, E));
    ck_assert_int_eq (remaining (leases, 1, 0), 1000);
    lease_clock_settle (leases, false);
    ck_assert_int_eq (remaining (leases, 1, 0), 1000);
    lease_clock_settle (leases, true);
    ck_assert_uint_eq (lease_clock_count (leases), 1);
    ck_ok (lease_clock_drop (leases, token, E));
    ck_ok (lease_clock_drop (leases, token, E));
    lease_clock_settle (leases, true);
    ck_assert_uint_eq (lease_clock_count (leases), 0);
    lease_clock_destroy (&leases);
}
END_TEST

START_TEST (thousands_of_leases_end_in_the_order_of_their_time)
{
    enum { COUNT = 5000 };
    static int64_t ends[COUNT];
    struct lease_clock *leases = lease_clock_new ();
    struct rng rng;

    rng_seed (&rng, 7);
    for (int round = 0; round < 3; round++)
        for (uint32_t i = 0; i < COUNT; i++) {
            int64_t ttl = (int64_t) rng_below (&rng, 100000) + 1;
            int64_t now = (int64_t) rng_below (&rng, 1000);
            set (leases, i, ttl, now);
            ends[i] = now + 2 * ttl;
        }
    for (uint32_t i = 0; i < COUNT; i += 3) {
        uint8_t token[TOKEN_SIZE];
        token_of (i, token);
        ck_ok (lease_clock_drop (leases, token, E));
        ends[i] = INT64_MAX;
    }
    lease_clock_settle (leases, true);
    for (int64_t now = 0; now < 210000; now += 997) {
        uint8_t tokens[16][TOKEN_SIZE];
        size_t count;
        while ((count = lease_clock_ended (leases, now, tokens, 16)) > 0) {
            for (size_t i = 0; i < count; i++) {
                uint32_t number;
                memcpy (&number, tokens[i], sizeof number);
                ck_assert_int_le (ends[number], now);
                ends[number] = INT64_MAX;
                ck_ok (lease_clock_drop (leases, tokens[i], E));
            }
            lease_clock_settle (leases, true);
        }
        int64_t least = INT64_MAX;
        for (int i = 0; i < COUNT; i++)
            least = ends[i] < least ? ends[i] : least;
        ck_assert_int_eq (lease_clock_next (leases), least);
        ck_assert_int_gt (least, now);
    }
    ck_assert_uint_eq (lease_clock_count (leases), 0);
    lease_clock_destroy (&leases);
}
END_TEST

START_TEST (after_a_restart_every_lease_has_its_whole_ttl)
{
    struct lease_row row = {.parent = 1, .inode = 5, .size = 1, .block_size = 1, .ttl = 60};
    struct lease_clock *leases = lease_clock_new ();
    struct txn *txn = begin ();

    row.name[0] = 'f';
    row.name_size = 1;
    token_of (1, row.token);
    ck_ok (lease_row_put (txn, &row, E));
    token_of (2, row.token);
    row.ttl = 86400;
    ck_ok (lease_row_put (txn, &row, E));
    ck_ok (lease_clock_load (leases, txn, 100, E));
    ck_assert_uint_eq (lease_clock_count (leases), 2);
    ck_assert_int_eq (remaining (leases, 1, 100), 60000);
    ck_assert_int_eq (remaining (leases, 2, 100), 86400000);
    txn_abort (&txn);
    lease_clock_destroy (&leases);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_lease_clock", store_setup, store_teardown,
                   a_lease_runs_for_its_ttl_and_is_ended_after_as_long_again,
                   a_lease_is_forgotten_only_when_the_transaction_commits,
                   thousands_of_leases_end_in_the_order_of_their_time,
                   after_a_restart_every_lease_has_its_whole_ttl)
