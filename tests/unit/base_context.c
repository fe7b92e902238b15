/* SPDX-License-Identifier: MIT */
/*
 * base/context: one context, whoever asks first.
 */
#include "base/context.h"

#include "base/process.h"

#include <pthread.h>
#include <zmq.h>

#include "unit.h"

static void *
join (void *arg)
{
    *(int *) arg = process_join (NULL);
    return context_get ();
}

START_TEST (threads_that_join_at_the_same_time_have_one_context)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    int codes[THREADS];
    void *contexts[THREADS];

    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq (pthread_create (&threads[i], NULL, join, &codes[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq (pthread_join (threads[i], &contexts[i]), 0);
        ck_assert_int_eq (codes[i], 0);
        ck_assert_ptr_nonnull (contexts[i]);
        ck_assert_ptr_eq (contexts[i], contexts[0]);
    }
    process_end ();
    ck_assert_ptr_null (context_get ());
}
END_TEST

START_TEST (a_context_of_our_own_has_room_for_many_sockets)
{
    ck_assert_int_eq (process_init (2, NULL), 0);
    ck_assert_int_eq (zmq_ctx_get (context_get (), ZMQ_MAX_SOCKETS), PROCESS_MAX_SOCKETS);
    ck_assert_int_eq (zmq_ctx_get (context_get (), ZMQ_IO_THREADS), 2);
    process_end ();
}
END_TEST

UNIT_MAIN ("base_context", threads_that_join_at_the_same_time_have_one_context,
           a_context_of_our_own_has_room_for_many_sockets)
