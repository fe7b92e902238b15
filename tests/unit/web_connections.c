/* SPDX-License-Identifier: MIT */
/*
 * web/connections: who is silent makes room, who is being answered stays.
 */
#include "web/connections.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

#define PAIRS 5

static int ours[PAIRS], theirs[PAIRS];
static struct connections all;

static void
setup (void)
{
    int pair[2];

    for (int i = 0; i < PAIRS; i++) {
        ck_assert_int_eq (socketpair (AF_UNIX, SOCK_STREAM, 0, pair), 0);
        ours[i] = pair[0];
        theirs[i] = pair[1];
    }
    memset (&all, 0, sizeof all);
}

static void
teardown (void)
{
    while (all.first)
        connections_remove (&all, all.first);
    for (int i = 0; i < PAIRS; i++) {
        close (ours[i]);
        close (theirs[i]);
    }
}

/* Whether the other side of a connection sees its end. */
static bool
has_ended (int i)
{
    char byte;
    return recv (theirs[i], &byte, 1, MSG_DONTWAIT) == 0;
}

START_TEST (the_longest_without_a_request_goes_when_there_are_too_many)
{
    struct connection *c[PAIRS];

    all.limit = 3;
    for (int i = 0; i < 3; i++)
        c[i] = connections_add (&all, ours[i]);
    ck_assert (!has_ended (0));
    connections_set_busy (&all, c[0], true);
    connections_set_busy (&all, c[0], false);
    connections_add (&all, ours[3]);
    ck_assert (!has_ended (0));
    ck_assert (has_ended (1));
    ck_assert (!has_ended (2));
    ck_assert_uint_eq (all.count, 3);
}
END_TEST

START_TEST (one_whose_request_is_being_answered_stays_and_then_the_newest_goes)
{
    all.limit = 2;
    for (int i = 0; i < 2; i++)
        connections_set_busy (&all, connections_add (&all, ours[i]), true);
    connections_add (&all, ours[2]);
    ck_assert (!has_ended (0) && !has_ended (1));
    ck_assert (has_ended (2));
    ck_assert_uint_eq (all.count, 2);
}
END_TEST

START_TEST (what_was_closed_counts_once)
{
    struct connection *c[PAIRS];

    all.limit = 2;
    for (int i = 0; i < PAIRS; i++)
        c[i] = connections_add (&all, ours[i]);
    ck_assert_uint_eq (all.count, 2);
    connections_remove (&all, c[0]); // was shut
    ck_assert_uint_eq (all.count, 2);
    connections_remove (&all, c[4]);
    ck_assert_uint_eq (all.count, 1);
    connections_remove (&all, c[2]);
    connections_remove (&all, c[1]);
    connections_remove (&all, c[3]);
    ck_assert_uint_eq (all.count, 0);
    ck_assert_ptr_null (all.first);
    ck_assert_ptr_null (all.last);
    connections_remove (&all, NULL);
    connections_set_busy (&all, NULL, true);
}
END_TEST

UNIT_MAIN_FIXTURE ("web_connections", setup, teardown,
                   the_longest_without_a_request_goes_when_there_are_too_many,
                   one_whose_request_is_being_answered_stays_and_then_the_newest_goes,
                   what_was_closed_counts_once)
