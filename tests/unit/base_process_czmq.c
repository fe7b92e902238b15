/* SPDX-License-Identifier: MIT */
/*
 * base/process_czmq: CZMQ's context is everybody's, and its habits are gone.
 */
#include "base/context.h"
#include "base/process.h"

#include <czmq.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "unit.h"

START_TEST (a_socket_does_not_bring_signal_handlers_back)
{
    struct sigaction before;
    struct sigaction after;

    ck_assert_int_eq (process_init_czmq (1, NULL), 0);
    ck_assert_int_eq (sigaction (SIGTERM, NULL, &before), 0);
    zsock_t *socket = zsock_new (ZMQ_DEALER);
    ck_assert_ptr_nonnull (socket);
    ck_assert_int_eq (sigaction (SIGTERM, NULL, &after), 0);
    ck_assert (before.sa_handler == after.sa_handler);
    zsock_destroy (&socket);
    process_end ();
}
END_TEST

START_TEST (the_context_is_that_of_czmq_where_there_are_actors)
{
    ck_assert_int_eq (process_init_czmq (1, NULL), 0);
    ck_assert_ptr_eq (context_get (), zsys_init ());
    process_end ();
    ck_assert_ptr_null (context_get ());
    process_end (); // no harm
}
END_TEST

START_TEST (more_sockets_than_the_default_of_czmq_can_be_had)
{
    enum { MANY = 1100 };
    zsock_t *sockets[MANY];
    struct rlimit limit;

    ck_assert_int_eq (process_init_czmq (1, NULL), 0);
    ck_assert_int_eq (getrlimit (RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur >= 2 * MANY) {
        for (int i = 0; i < MANY; i++)
            ck_assert_ptr_nonnull (sockets[i] = zsock_new (ZMQ_PUSH));
        for (int i = 0; i < MANY; i++)
            zsock_destroy (&sockets[i]);
    }
    process_end ();
}
END_TEST

START_TEST (the_environment_does_not_reach_zsys)
{
    setenv ("ZSYS_LINGER", "5000", 1);
    setenv ("ZSYS_SNDHWM", "7", 1);
    setenv ("ZSYSX", "stays", 1);
    ck_assert_int_eq (process_init_czmq (1, NULL), 0);
    ck_assert_ptr_null (getenv ("ZSYS_LINGER"));
    ck_assert_ptr_null (getenv ("ZSYS_SNDHWM"));
    ck_assert_str_eq (getenv ("ZSYSX"), "stays");

    zsock_t *socket = zsock_new (ZMQ_PUSH);
    ck_assert_int_eq (zsock_linger (socket), 0);
    ck_assert_int_eq (zsock_sndhwm (socket), 1000);
    zsock_destroy (&socket);
    process_end ();
}
END_TEST

UNIT_MAIN ("base_process_czmq", a_socket_does_not_bring_signal_handlers_back,
           the_context_is_that_of_czmq_where_there_are_actors,
           more_sockets_than_the_default_of_czmq_can_be_had,
           the_environment_does_not_reach_zsys)
