/* SPDX-License-Identifier: MIT */
/*
 * datanode/readbuf: buffers come back, a bounded part of them, and may come back late.
 */
#include "datanode/readbuf.h"

#include "unit.h"

#include <string.h>

START_TEST (a_buffer_that_came_back_is_used_again)
{
    struct readbuf_pool *pool = readbuf_pool_new (1 << 20);
    struct readbuf *first = readbuf_get (pool, 100000);
    memset (first->data, 1, 100000);
    readbuf_release (NULL, first);
    struct readbuf *second = readbuf_get (pool, 90000);
    ck_assert_ptr_eq (first, second);
    struct readbuf *third = readbuf_get (pool, 100000);
    ck_assert_ptr_ne (first, third);
    readbuf_release (NULL, second);
    readbuf_release (NULL, third);
    readbuf_pool_destroy (&pool);
    ck_assert_ptr_null (pool);
}
END_TEST

START_TEST (a_large_buffer_is_not_spent_on_a_small_read)
{
    struct readbuf_pool *pool = readbuf_pool_new (1 << 20);
    struct readbuf *large = readbuf_get (pool, 1 << 20);
    readbuf_release (NULL, large);
    struct readbuf *small = readbuf_get (pool, 1000);
    ck_assert_uint_eq (small->capacity, 1000);
    ck_assert_uint_eq (readbuf_get (pool, 1 << 19)->capacity, 1 << 20);
    readbuf_release (NULL, large);
    readbuf_release (NULL, small);
    readbuf_pool_destroy (&pool);
}
END_TEST

START_TEST (a_buffer_may_come_back_after_its_pool_is_done)
{
    struct readbuf_pool *pool = readbuf_pool_new (1 << 20);
    struct readbuf *kept = readbuf_get (pool, 1000);
    struct readbuf *late = readbuf_get (pool, 1000);
    readbuf_release (NULL, kept);
    readbuf_pool_destroy (&pool);
    memset (late->data, 1, 1000);
    readbuf_release (NULL, late); // a leak checker sees whether all of it went
    readbuf_pool_destroy (&pool);
}
END_TEST

START_TEST (buffers_that_are_out_are_counted)
{
    struct readbuf_pool *pool = readbuf_pool_new (1 << 20);
    struct readbuf *large = readbuf_get (pool, 1000);
    ck_assert_uint_eq (readbuf_out (pool), 1000);
    readbuf_release (NULL, large);
    ck_assert_uint_eq (readbuf_out (pool), 0);
    large = readbuf_get (pool, 900); // the same, with all that it has
    struct readbuf *small = readbuf_get (pool, 10);
    ck_assert_uint_eq (readbuf_out (pool), 1010);
    readbuf_release (NULL, large);
    readbuf_release (NULL, small);
    ck_assert_uint_eq (readbuf_out (pool), 0);
    readbuf_pool_destroy (&pool);
}
END_TEST

UNIT_MAIN ("datanode_readbuf", a_buffer_that_came_back_is_used_again,
           a_large_buffer_is_not_spent_on_a_small_read,
           a_buffer_may_come_back_after_its_pool_is_done, buffers_that_are_out_are_counted)
