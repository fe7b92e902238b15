/* SPDX-License-Identifier: MIT */
/*
 * base/clock: the machine's time goes on, the fake one moves when it is told to.
 */
#include "base/clock.h"

#include <pthread.h>
#include <time.h>

#include "unit.h"

START_TEST (the_monotonic_time_never_goes_back)
{
    int64_t before = clock_mono (clock_system ());

    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_mono (clock_system ());
        ck_assert_int_ge (now, before);
        before = now;
    }
}
END_TEST

START_TEST (the_wall_time_is_milliseconds_since_1970)
{
    int64_t before = (int64_t) time (NULL);
    int64_t now = clock_wall (clock_system ());

    ck_assert_int_ge (now, before * 1000);
    ck_assert_int_le (now, before * 1000 + 60000);
}
END_TEST

START_TEST (the_fake_clock_stands_until_it_is_moved)
{
    struct fake_clock fake;

    fake_clock_init (&fake, 1000, 5000);
    ck_assert_int_eq (clock_mono (&fake.clock), 1000);
    ck_assert_int_eq (clock_wall (&fake.clock), 5000);
    fake_clock_advance (&fake, 250);
    ck_assert_int_eq (clock_mono (&fake.clock), 1250);
    ck_assert_int_eq (clock_wall (&fake.clock), 5250);
}
END_TEST

START_TEST (a_jump_of_the_wall_clock_leaves_the_monotonic_one)
{
    struct fake_clock fake;

    fake_clock_init (&fake, 10, 20);
    fake_clock_set_wall (&fake, -7);
    ck_assert_int_eq (clock_mono (&fake.clock), 10);
    ck_assert_int_eq (clock_wall (&fake.clock), -7);
}
END_TEST

START_TEST (the_patient_clock_leaves_out_the_time_in_which_nobody_looked)
{
    struct fake_clock fake;
    struct patient_clock patient;

    fake_clock_init (&fake, 1000, 5000);
    patient_clock_init (&patient, &fake.clock);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq (clock_mono (&patient.clock), 1000 + i * PATIENT_SLEEP_MS);
        fake_clock_advance (&fake, PATIENT_SLEEP_MS);
    }
    ck_assert_int_eq (clock_mono (&patient.clock), 11000);
    fake_clock_advance (&fake, 60000);
    ck_assert_int_eq (clock_mono (&patient.clock), 11000);
    fake_clock_advance (&fake, PATIENT_GAP_MS);
    ck_assert_int_eq (clock_mono (&patient.clock), 11000 + PATIENT_GAP_MS);
    ck_assert_int_eq (clock_wall (&patient.clock), clock_wall (&fake.clock));
}
END_TEST

static void *
advance_often (void *arg)
{
    for (int i = 0; i < 10000; i++)
        fake_clock_advance (arg, 1);
    return NULL;
}

START_TEST (no_advance_of_any_thread_is_lost)
{
    struct fake_clock fake;
    pthread_t threads[2];

    fake_clock_init (&fake, 0, 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq (pthread_create (&threads[i], NULL, advance_often, &fake), 0);
    for (int i = 0; i < 2; i++)
        pthread_join (threads[i], NULL);
    ck_assert_int_eq (clock_mono (&fake.clock), 20000);
    ck_assert_int_eq (clock_wall (&fake.clock), 20000);
}
END_TEST

UNIT_MAIN ("base_clock", the_monotonic_time_never_goes_back,
           the_wall_time_is_milliseconds_since_1970, the_fake_clock_stands_until_it_is_moved,
           a_jump_of_the_wall_clock_leaves_the_monotonic_one,
           the_patient_clock_leaves_out_the_time_in_which_nobody_looked,
           no_advance_of_any_thread_is_lost)
