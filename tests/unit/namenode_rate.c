/* SPDX-License-Identifier: MIT */
/*
 * namenode/rate: an amount a second, of the last seconds.
 */
#include "namenode/rate.h"

#include "unit.h"

START_TEST (nothing_has_no_rate)
{
    struct rate rate = {0};

    ck_assert_uint_eq (rate_now (&rate, 0), 0);
    rate_add (&rate, 500, 0);
    ck_assert_uint_eq (rate_now (&rate, 500), 0);
}
END_TEST

START_TEST (a_rate_is_that_of_the_time_since_it_began)
{
    struct rate rate = {0};

    rate_add (&rate, 100000, 300);
    ck_assert_uint_eq (rate_now (&rate, 100100), 300);
    rate_add (&rate, 101000, 100);
    ck_assert_uint_eq (rate_now (&rate, 101900), 200);
    ck_assert_uint_eq (rate_now (&rate, 103900), 100);
}
END_TEST

START_TEST (what_is_old_does_not_count)
{
    struct rate rate = {0};

    for (int64_t second = 0; second < 100; second++)
        rate_add (&rate, second * 1000, second < 50 ? 1000 : 10);
    ck_assert_uint_eq (rate_now (&rate, 99999), 10);
    ck_assert_uint_gt (rate_now (&rate, 103000), 0);
    ck_assert_uint_eq (rate_now (&rate, 108000), 0);
    rate_add (&rate, 200000, 77); // and it begins anew
    ck_assert_uint_eq (rate_now (&rate, 200000), 77);
}
END_TEST

UNIT_MAIN ("namenode_rate", nothing_has_no_rate, a_rate_is_that_of_the_time_since_it_began,
           what_is_old_does_not_count)
