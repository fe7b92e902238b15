/* SPDX-License-Identifier: MIT */
/*
 * namenode/retry: a request that comes again gets its first reply, for as long as it may.
 */
#include "namenode/retry.h"

#include "namenode_store.h"

static struct retry_key
key_of (char client, uint64_t id, uint64_t seen)
{
    struct retry_key key = {.id = id, .seen = seen, .crc = (uint32_t) id * 17};

    memset (key.client, client, sizeof key.client);
    return key;
}

static void
store (struct txn *txn, char client, uint64_t id, uint64_t seen)
{
    char reply[32];
    struct retry_key key = key_of (client, id, seen);

    snprintf (reply, sizeof reply, "%c%llu", client, (unsigned long long) id);
    ck_ok (retry_store (txn, &key, S ("op"), S (reply), E));
}

/* "new", "stale", or the reply. */
static const char *
find (struct txn *txn, char client, uint64_t id, uint64_t seen)
{
    static char text[64];
    struct retry_key key = key_of (client, id, seen);
    struct slice reply;

    int rc = retry_find (txn, &key, S ("op"), &reply, E);
    if (rc == LITEDFS_STALE)
        return "stale";
    ck_ok (rc);
    if (!reply.data)
        return "new";
    snprintf (text, sizeof text, "%.*s", (int) reply.size, (const char *) reply.data);
    return text;
}

START_TEST (a_request_that_comes_again_gets_its_first_reply)
{
    struct txn *txn = begin ();
    ck_assert_str_eq (find (txn, 'a', 1, 0), "new");
    ck_assert_uint_eq (txn_written (txn), 0);
    store (txn, 'a', 1, 0);
    store (txn, 'a', 2, 0);
    store (txn, 'b', 1, 0);
    commit (&txn);
    txn = begin_read ();
    ck_assert_str_eq (find (txn, 'a', 1, 0), "a1");
    ck_assert_str_eq (find (txn, 'a', 2, WIRE_UNKNOWN), "a2");
    ck_assert_str_eq (find (txn, 'b', 1, 0), "b1");
    ck_assert_str_eq (find (txn, 'b', 2, 0), "new");
    ck_assert_str_eq (find (txn, 'c', 1, 0), "new");
    txn_abort (&txn);
}
END_TEST

START_TEST (the_reply_goes_with_the_change_that_is_aborted)
{
    struct txn *txn = begin ();
    store (txn, 'a', 1, 0);
    txn_abort (&txn);
    txn = begin_read ();
    ck_assert_str_eq (find (txn, 'a', 1, 0), "new");
    txn_abort (&txn);
}
END_TEST

START_TEST (an_id_that_was_another_request_is_refused)
{
    struct retry_key key = key_of ('a', 1, 0);
    struct slice reply;
    struct txn *txn = begin ();

    store (txn, 'a', 1, 0);
    ck_fails (LITEDFS_ID_REUSED, retry_find (txn, &key, S ("other"), &reply, E));
    key.crc++;
    ck_fails (LITEDFS_ID_REUSED, retry_find (txn, &key, S ("op"), &reply, E));
    ck_assert_ptr_null (reply.data);
    txn_abort (&txn);
}
END_TEST

START_TEST (what_the_client_has_seen_is_dropped_and_stale)
{
    struct txn *txn = begin ();
    for (uint64_t id = 1; id <= 10; id++)
        store (txn, 'a', id, id - 1);
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_REPLY), 2);
    txn = begin ();
    ck_assert_str_eq (find (txn, 'a', 10, 0), "a10");
    ck_assert_str_eq (find (txn, 'a', 9, 0), "stale");
    ck_assert_str_eq (find (txn, 'a', 10, 10), "stale");
    ck_assert_str_eq (find (txn, 'b', 5, 5), "stale");
    txn_abort (&txn);
}
END_TEST

START_TEST (dropping_many_is_spread_over_requests)
{
    struct txn *txn = begin ();
    for (uint64_t id = 1; id <= 1000; id++)
        store (txn, 'a', id, 0);
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_REPLY), 1001);
    for (uint64_t id = 1001; id <= 1020; id++) {
        txn = begin ();
        uint64_t before = txn_written (txn);
        store (txn, 'a', id, 1000);
        ck_assert_uint_le (txn_written (txn) - before, RETRY_DROP_MAX + 2);
        ck_assert_str_eq (find (txn, 'a', 999, 0), "stale");
        commit (&txn);
    }
    ck_assert_uint_eq (rows_of (TABLE_REPLY), 21);
}
END_TEST

START_TEST (a_client_has_a_bounded_number_of_replies)
{
    struct txn *txn = begin ();
    for (uint64_t id = 1; id <= RETRY_ROWS_MAX + 100; id++)
        store (txn, 'a', id, 0);
    store (txn, 'b', 1, 0);
    for (uint64_t id = RETRY_ROWS_MAX + 1; id > 0; id--)
        store (txn, 'c', id, 0);
    ck_assert_str_eq (find (txn, 'c', 1, 0), "c1"); // the reply just stored stays
    ck_assert_str_eq (find (txn, 'a', 100, 0), "stale");
    ck_assert_str_eq (find (txn, 'a', 101, 0), "a101");
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_REPLY), RETRY_ROWS_MAX + 3 + RETRY_ROWS_MAX + 2);
}
END_TEST

START_TEST (old_replies_go_with_the_next_request_of_their_client)
{
    struct txn *txn = begin ();
    store (txn, 'a', 1, 0);
    store (txn, 'a', 2, 0);
    commit (&txn);
    pass_ms ((int64_t) RETRY_AGE_MS);
    txn = begin ();
    store (txn, 'a', 3, 0);
    ck_assert_str_eq (find (txn, 'a', 1, 0), "a1");
    commit (&txn);
    pass_ms (1);
    txn = begin ();
    store (txn, 'a', 4, 0);
    ck_assert_str_eq (find (txn, 'a', 1, 0), "stale");
    ck_assert_str_eq (find (txn, 'a', 2, 0), "stale");
    ck_assert_str_eq (find (txn, 'a', 3, 0), "a3");
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_REPLY), 3);
}
END_TEST

/* Sweep all clients, `max` a call; how many rows went. */
static size_t
sweep (size_t max)
{
    struct buf cursor = {0};
    size_t removed;
    size_t all = 0;

    do {
        struct txn *txn = begin ();
        uint64_t before = txn_written (txn);
        ck_ok (retry_sweep (txn, &cursor, max, &removed, E));
        ck_assert_uint_le (removed, 4 * max + 1);
        ck_assert_uint_le (txn_written (txn) - before, 5 * max + 1);
        all += removed;
        commit (&txn);
    } while (cursor.size > 0);
    buf_free (&cursor);
    return all;
}

START_TEST (sweeping_forgets_clients_that_are_silent)
{
    struct txn *txn = begin ();
    for (int client = 0; client < 200; client++)
        for (uint64_t id = 1; id <= 3; id++)
            store (txn, (char) client, id, 0);
    commit (&txn);
    ck_assert_uint_eq (sweep (1000), 0);
    ck_assert_uint_eq (sweep (7), 0);
    pass_ms ((int64_t) RETRY_AGE_MS / 2);
    txn = begin ();
    for (int client = 0; client < 200; client += 2)
        store (txn, (char) client, 4, 0);
    commit (&txn);
    pass_ms ((int64_t) RETRY_AGE_MS / 2 + 1);
    ck_assert_uint_eq (sweep (7), 200 * 3 + 100);
    ck_assert_uint_eq (rows_of (TABLE_REPLY), 100 * 2);
    txn = begin_read ();
    ck_assert_str_eq (find (txn, 0, 3, 0), "stale");
    ck_assert_str_eq (find (txn, 0, 4, 0), "\0004");
    ck_assert_str_eq (find (txn, 1, 3, 0), "new");
    txn_abort (&txn);
    pass_ms ((int64_t) RETRY_AGE_MS);
    while (sweep (7) > 0)
        continue;
    ck_assert_uint_eq (rows_of (TABLE_REPLY), 0);
}
END_TEST

START_TEST (sweeping_a_large_client_is_bounded_and_gets_done)
{
    struct txn *txn = begin ();
    for (uint64_t id = 1; id <= 3000; id++)
        store (txn, 'a', id, 0);
    commit (&txn);
    pass_ms ((int64_t) RETRY_AGE_MS + 1);
    while (sweep (10) > 0)
        continue;
    ck_assert_uint_eq (rows_of (TABLE_REPLY), 0);
}
END_TEST

START_TEST (damaged_rows_are_corrupt)
{
    struct retry_key key = key_of ('a', 1, 0);
    struct slice reply;
    uint8_t bytes[WIRE_CLIENT_SIZE + 8];
    struct buf cursor = {0};
    size_t removed;
    struct txn *txn = begin ();

    store (txn, 'a', 1, 0);
    memset (bytes, 'a', sizeof bytes);
    key_be64 (bytes + WIRE_CLIENT_SIZE, 1);
    ck_ok (txn_put (txn, TABLE_REPLY, slice_of (bytes, sizeof bytes), S ("\1short"), E));
    ck_fails (LITEDFS_CORRUPT, retry_find (txn, &key, S ("op"), &reply, E));
    ck_ok (txn_put (txn, TABLE_REPLY, slice_of (bytes, WIRE_CLIENT_SIZE), S ("\1"), E));
    ck_fails (LITEDFS_CORRUPT, retry_find (txn, &key, S ("op"), &reply, E));
    ck_ok (txn_put (txn, TABLE_REPLY, S ("\1"), S ("\1"), E));
    ck_fails (LITEDFS_CORRUPT, retry_sweep (txn, &cursor, 10, &removed, E));
    buf_free (&cursor);
    txn_abort (&txn);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_retry", store_setup, store_teardown,
                   a_request_that_comes_again_gets_its_first_reply,
                   the_reply_goes_with_the_change_that_is_aborted,
                   an_id_that_was_another_request_is_refused,
                   what_the_client_has_seen_is_dropped_and_stale,
                   dropping_many_is_spread_over_requests,
                   a_client_has_a_bounded_number_of_replies,
                   old_replies_go_with_the_next_request_of_their_client,
                   sweeping_forgets_clients_that_are_silent,
                   sweeping_a_large_client_is_bounded_and_gets_done, damaged_rows_are_corrupt)
