/* SPDX-License-Identifier: MIT */
/*
 * rpc/session: which connection is which session, and how much may be outstanding.
 */
#include "rpc/session.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

static struct session_table *table;
static const struct session_limits limits = {.bytes = 1000000, .requests = 3};

static void
setup (void)
{
    table = session_table_new ();
    ck_assert_ptr_nonnull (table);
}

static void
teardown (void)
{
    session_table_destroy (&table);
}

static struct session *
get (const char *id, int fd)
{
    return session_table_get (table, (const uint8_t *) id, strlen (id), fd, 0);
}

static uint64_t
number (const char *id, int fd)
{
    return get (id, fd)->number;
}

static uint64_t
next_ended (void)
{
    uint64_t ended = 0;

    return session_table_next_ended (table, &ended) ? ended : 0;
}

static bool
admit (struct session *session, uint64_t id, int64_t seen, uint64_t bytes, uint64_t unread)
{
    struct session_claim claim = {.id = id,
                                  .has_seen = seen >= 0,
                                  .seen = seen >= 0 ? (uint64_t) seen : 0,
                                  .bytes = bytes,
                                  .unread = unread};

    return session_admit (session, &limits, &claim);
}

START_TEST (a_connection_keeps_its_session)
{
    session_table_opened (table, 7);
    uint64_t first = number ("a", 7);
    ck_assert_uint_eq (number ("a", 7), first);
    session_table_opened (table, 8);
    ck_assert_uint_ne (number ("b", 8), first);
    ck_assert_uint_eq (session_table_count (table), 2);
    ck_assert_uint_eq (next_ended (), 0);
}
END_TEST

START_TEST (a_closed_connection_ends_its_session_once)
{
    session_table_opened (table, 7);
    uint64_t first = number ("a", 7);
    session_table_closed (table, 7);
    session_table_closed (table, 7);
    session_table_closed (table, 99999);
    ck_assert (session_table_has_ended (table));
    ck_assert_uint_eq (next_ended (), first);
    ck_assert_uint_eq (next_ended (), 0);
    ck_assert_uint_eq (session_table_count (table), 0);
}
END_TEST

START_TEST (a_descriptor_that_is_used_again_is_another_session)
{
    session_table_opened (table, 7);
    uint64_t first = number ("a", 7);
    session_table_closed (table, 7);
    session_table_opened (table, 7);
    uint64_t second = number ("b", 7);
    ck_assert_uint_ne (first, second);
    ck_assert_uint_eq (next_ended (), first);
    session_table_closed (table, 7);
    ck_assert_uint_eq (next_ended (), second);
}
END_TEST

/* The session of an id as libzmq gives them. */
static struct session *
get_counted (uint32_t count, int fd)
{
    const uint8_t id[5] = {0, (uint8_t) (count >> 24), (uint8_t) (count >> 16),
                           (uint8_t) (count >> 8), (uint8_t) count};

    return session_table_get (table, id, sizeof id, fd, 0);
}

START_TEST (what_is_left_of_an_older_connection_does_not_end_the_session_of_a_newer_one)
{
    static const uint32_t counts[] = {7, 0xffffffff, 0x7fffffff};

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        session_table_opened (table, 7);
        uint64_t first = get_counted (counts[i], 7)->number;
        session_table_closed (table, 7);
        ck_assert_uint_eq (next_ended (), first);
        session_table_opened (table, 7);
        uint64_t second = get_counted (counts[i] + 1, 7)->number;
        for (int again = 0; again < 3; again++) {
            struct session *left = get_counted (counts[i], 7);
            uint64_t left_number = left->number;
            ck_assert (!session_table_is_open (table, left));
            session_table_gone (table, left);
            ck_assert_uint_eq (next_ended (), left_number);
            ck_assert_uint_eq (get_counted (counts[i] + 1, 7)->number, second);
            ck_assert (session_table_is_open (table, get_counted (counts[i] + 1, 7)));
        }
        session_table_closed (table, 7);
        ck_assert_uint_eq (next_ended (), second);
    }
    ck_assert_uint_eq (session_table_count (table), 0);
}
END_TEST

START_TEST (a_routing_id_that_comes_by_another_connection_is_another_session)
{
    session_table_opened (table, 7);
    session_table_opened (table, 8);
    uint64_t first = number ("same", 7);
    uint64_t second = number ("same", 8);
    ck_assert_uint_ne (first, second);
    ck_assert_uint_eq (next_ended (), first);
    ck_assert_ptr_null (session_table_find (table, (const uint8_t *) "same", 4, first));
    ck_assert_ptr_nonnull (session_table_find (table, (const uint8_t *) "same", 4, second));
}
END_TEST

START_TEST (a_message_after_the_end_has_a_session_that_is_not_open)
{
    session_table_opened (table, 7);
    ck_assert (session_table_is_open (table, get ("a", 7)));
    session_table_closed (table, 7);
    struct session *late = get ("a", 7);
    ck_assert (!session_table_is_open (table, late));
    session_table_gone (table, late);
    next_ended ();
    ck_assert_uint_gt (next_ended (), 0);
    ck_assert (session_table_is_open (table, get ("local", -1)));
}
END_TEST

START_TEST (peers_of_this_process_are_forgotten_when_they_are_silent)
{
    const uint8_t a[] = "a", b[] = "b", c[] = "c";

    uint64_t first = session_table_get (table, a, 1, -1, 0)->number;
    session_table_get (table, b, 1, -1, SESSION_IDLE_MS / 2);
    ck_assert_uint_eq (next_ended (), 0);
    session_table_get (table, c, 1, -1, SESSION_IDLE_MS);
    ck_assert_uint_eq (next_ended (), first);
    ck_assert_uint_eq (next_ended (), 0);
}
END_TEST

START_TEST (a_thousand_sessions_end_in_their_order)
{
    char id[16];

    for (int round = 0; round < 3; round++) {
        uint64_t base = 0;
        for (int i = 0; i < 1000; i++) {
            snprintf (id, sizeof id, "%d", i);
            session_table_opened (table, i);
            uint64_t got = number (id, i);
            base = i == 0 ? got : base;
            ck_assert_uint_eq (got, base + (uint64_t) i);
        }
        for (int i = 0; i < 1000; i++)
            session_table_closed (table, i);
        for (int i = 0; i < 1000; i++)
            ck_assert_uint_eq (next_ended (), base + (uint64_t) i);
        ck_assert_uint_eq (session_table_count (table), 0);
    }
}
END_TEST

START_TEST (without_seen_one_request_at_a_time_is_admitted)
{
    struct session *session = get ("a", -1);

    for (int i = 0; i < 100; i++) {
        ck_assert (admit (session, 1, -1, 500, 0));
        ck_assert (!admit (session, 2, -1, 500, 0));
        session_answered (session, 1, 5000000);
    }
}
END_TEST

START_TEST (with_seen_as_many_as_the_limit_are_outstanding)
{
    struct session *session = get ("a", -1);

    ck_assert (admit (session, 1, 0, 10, 0));
    ck_assert (admit (session, 2, 0, 10, 0));
    ck_assert (admit (session, 3, 0, 10, 0));
    ck_assert (!admit (session, 4, 0, 10, 0));
    session_answered (session, 1, 10);
    ck_assert (!admit (session, 4, 0, 10, 0)); // answered, but nobody said that it arrived
    ck_assert (admit (session, 4, 1, 10, 0));
    ck_assert (!admit (session, 5, 1, 10, 0));
    ck_assert (admit (session, 5, 4, 10, 0));
}
END_TEST

START_TEST (bytes_are_limited_by_what_was_announced_and_then_by_what_was_sent)
{
    struct session *session = get ("a", -1);

    ck_assert (admit (session, 1, 0, 600000, 0));
    ck_assert (!admit (session, 2, 0, 600000, 0));
    session_answered (session, 1, 100);
    ck_assert (admit (session, 2, 0, 600000, 0));
    session_answered (session, 2, 999900);
    ck_assert (!admit (session, 3, 0, 10, 0));
    ck_assert (admit (session, 3, 2, 10, 0));
}
END_TEST

START_TEST (one_request_is_admitted_whatever_its_size)
{
    struct session *session = get ("a", -1);

    ck_assert (admit (session, 1, 0, 5000000, 0));
    ck_assert (!admit (session, 2, 0, 1, 0));
}
END_TEST

START_TEST (a_reply_that_was_dropped_is_not_outstanding)
{
    struct session *session = get ("a", -1);

    for (uint64_t id = 1; id < 100; id++) {
        ck_assert (admit (session, id, 0, 900000, 0));
        session_answered (session, id, 0);
    }
}
END_TEST

START_TEST (ids_in_any_order_are_counted_and_confirmed)
{
    struct session *session = get ("a", -1);

    ck_assert (admit (session, 30, 0, 10, 0));
    ck_assert (admit (session, 10, 0, 10, 0));
    ck_assert (admit (session, 20, 0, 10, 0));
    session_answered (session, 20, 10);
    session_answered (session, 77, 10);
    ck_assert (!admit (session, 40, 9, 10, 0));
    ck_assert (admit (session, 40, 20, 10, 0));
    ck_assert (admit (session, 50, 20, 10, 0));
    ck_assert (!admit (session, 60, 20, 10, 0));
}
END_TEST

START_TEST (who_does_not_take_what_it_says_it_has_is_not_admitted)
{
    struct session *session = get ("a", -1);

    ck_assert (admit (session, 1, 0, 10, 0));
    session_answered (session, 1, 500000);
    ck_assert (admit (session, 2, 0, 10, 400000));
    ck_assert (!admit (session, 3, 2, 10, 400000));
    ck_assert (!admit (session, 3, -1, 10, 400000));
    ck_assert (admit (session, 3, 2, 10, 0));
}
END_TEST

START_TEST (replies_that_are_not_counted_may_be_unread)
{
    struct session *session = get ("a", -1);

    session_answered (session, 5, 100000); // of a request that was not admitted here
    ck_assert (admit (session, 6, 5, 10, 90000));
    session_answered (session, 6, 10);
    ck_assert (admit (session, 7, 6, 10, 0));
    session_answered (session, 7, 10);
    ck_assert (!admit (session, 8, 7, 10, 90000));
}
END_TEST

UNIT_MAIN_FIXTURE ("rpc_session", setup, teardown, a_connection_keeps_its_session,
                   what_is_left_of_an_older_connection_does_not_end_the_session_of_a_newer_one,
                   a_closed_connection_ends_its_session_once,
                   a_descriptor_that_is_used_again_is_another_session,
                   a_routing_id_that_comes_by_another_connection_is_another_session,
                   a_message_after_the_end_has_a_session_that_is_not_open,
                   peers_of_this_process_are_forgotten_when_they_are_silent,
                   a_thousand_sessions_end_in_their_order,
                   without_seen_one_request_at_a_time_is_admitted,
                   with_seen_as_many_as_the_limit_are_outstanding,
                   bytes_are_limited_by_what_was_announced_and_then_by_what_was_sent,
                   one_request_is_admitted_whatever_its_size,
                   a_reply_that_was_dropped_is_not_outstanding,
                   ids_in_any_order_are_counted_and_confirmed,
                   who_does_not_take_what_it_says_it_has_is_not_admitted,
                   replies_that_are_not_counted_may_be_unread)
