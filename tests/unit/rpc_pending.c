/* SPDX-License-Identifier: MIT */
/*
 * rpc/pending: the ring of requests without an answer.
 */
#include "rpc/pending.h"

#include "unit.h"

static struct pending_ring ring;

static void
setup (void)
{
    ck_assert_int_eq (pending_ring_init (&ring, 100), 0);
}

static void
teardown (void)
{
    pending_ring_free (&ring);
}

static uint64_t
add (void)
{
    struct pending *pending = pending_new (&ring);

    ck_assert_ptr_nonnull (pending);
    pending_ring_add (&ring, pending);
    return pending->id;
}

static void
take (uint64_t id)
{
    struct pending *pending = pending_ring_find (&ring, id);

    ck_assert_ptr_nonnull (pending);
    pending_ring_take (&ring, pending);
    pending_free (pending);
}

START_TEST (ids_ascend_from_the_first)
{
    ck_assert_uint_eq (add (), 100);
    ck_assert_uint_eq (add (), 101);
    ck_assert_uint_eq (ring.first_id, 100);
    ck_assert_uint_eq (ring.next_id, 102);
    ck_assert_ptr_null (pending_ring_find (&ring, 99));
    ck_assert_ptr_null (pending_ring_find (&ring, 102));
}
END_TEST

START_TEST (an_id_that_was_not_used_is_given_out_again)
{
    pending_free (pending_new (&ring));
    ck_assert_uint_eq (add (), 100);
}
END_TEST

START_TEST (the_lowest_is_the_first_that_is_pending)
{
    for (int i = 0; i < 5; i++)
        add ();
    take (101);
    take (102);
    ck_assert_uint_eq (ring.first_id, 100);
    take (100);
    ck_assert_uint_eq (ring.first_id, 103);
    take (104);
    take (103);
    ck_assert_uint_eq (ring.first_id, 105);
    ck_assert_uint_eq (ring.count, 0);
    ck_assert_uint_eq (add (), 105);
}
END_TEST

START_TEST (one_that_stays_lets_the_ring_grow_and_is_found_in_it)
{
    add ();
    for (uint64_t id = 101; id < 10000; id++) {
        ck_assert_uint_eq (add (), id);
        take (id);
    }
    ck_assert_uint_eq (ring.first_id, 100);
    ck_assert_uint_eq (ring.count, 1);
    ck_assert_uint_eq (pending_ring_find (&ring, 100)->id, 100);
    ck_assert_ptr_null (pending_ring_find (&ring, 5000));
}
END_TEST

START_TEST (what_is_left_is_freed_with_the_ring)
{
    for (int i = 0; i < 100; i++)
        add ();
}
END_TEST

UNIT_MAIN_FIXTURE ("rpc_pending", setup, teardown, ids_ascend_from_the_first,
                   an_id_that_was_not_used_is_given_out_again,
                   the_lowest_is_the_first_that_is_pending,
                   one_that_stays_lets_the_ring_grow_and_is_found_in_it,
                   what_is_left_is_freed_with_the_ring)
