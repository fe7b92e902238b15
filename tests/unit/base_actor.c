/* SPDX-License-Identifier: MIT */
/*
 * base/actor: a start that fails says why, a stop waits until the thread is gone, whatever the
 * pipe holds.
 */
#include "base/actor.h"

#include "base/err.h"
#include "base/process.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "unit.h"

static void
setup (void)
{
    ck_assert_int_eq (process_init_czmq (1, NULL), 0);
}

static void
teardown (void)
{
    process_end ();
}

// What a body does and has seen.
struct script {
    bool read_commands;
    bool slow_end;
    atomic_int commands;
    atomic_bool ended;
    char last[ACTOR_COMMAND_SIZE];
};

// Wait until the pipe can be read.
static void
wait_pipe (struct actor_pipe *pipe)
{
    zmq_pollitem_t item = {actor_pipe_socket (pipe), 0, ZMQ_POLLIN, 0};
    zmq_poll (&item, 1, -1);
}

static void
run_script (struct actor_pipe *pipe, void *args)
{
    struct script *script = args;

    actor_ready (pipe);
    while (!actor_stopping (pipe)) {
        const char *command;
        wait_pipe (pipe);
        while (script->read_commands && (command = actor_recv_command (pipe))) {
            strcpy (script->last, command);
            atomic_fetch_add (&script->commands, 1);
            if (strcmp (command, "ECHO") == 0)
                zmq_send (actor_pipe_socket (pipe), "ECHOED", 6, ZMQ_DONTWAIT);
        }
    }
    if (script->slow_end) {
        struct timespec pause = {0, 50000000};
        nanosleep (&pause, NULL);
    }
    atomic_store (&script->ended, true);
}

static struct actor *
start_script (struct script *script)
{
    struct actor *actor = NULL;
    litedfs_error_t error;
    int rc = actor_start (&actor, "script", run_script, script, &error);
    ck_assert_msg (rc == 0, "%s", error.text);
    return actor;
}

START_TEST (an_actor_starts_and_has_ended_when_stop_returns)
{
    struct script script = {.slow_end = true};
    struct actor *actor = start_script (&script);

    ck_assert (!actor_ended (actor));
    ck_assert (!atomic_load (&script.ended));
    errno = EXDEV;
    actor_stop (&actor);
    ck_assert_int_eq (errno, EXDEV);
    ck_assert (atomic_load (&script.ended));
    ck_assert_ptr_null (actor);
    actor_stop (&actor);
}
END_TEST

START_TEST (commands_arrive_in_order_and_answers_come_back)
{
    struct script script = {.read_commands = true};
    struct actor *actor = start_script (&script);

    ck_assert_int_eq (actor_send (actor, "RELOAD", NULL), 0);
    ck_assert_int_eq (actor_send (actor, "ECHO", NULL), 0);
    char *answer = zstr_recv (actor_socket (actor));
    ck_assert_str_eq (answer, "ECHOED");
    zstr_free (&answer);
    ck_assert_int_eq (atomic_load (&script.commands), 2);
    actor_stop (&actor);
    ck_assert_str_eq (script.last, "ECHO");
}
END_TEST

START_TEST (a_command_has_a_largest_size)
{
    struct script script = {.read_commands = true};
    struct actor *actor = start_script (&script);
    char command[ACTOR_COMMAND_SIZE + 1];

    memset (command, 'x', sizeof command);
    command[ACTOR_COMMAND_SIZE] = 0;
    ck_assert_int_eq (actor_send (actor, command, NULL), LITEDFS_FAILED);
    command[ACTOR_COMMAND_SIZE - 1] = 0;
    ck_assert_int_eq (actor_send (actor, command, NULL), 0);
    ck_assert_int_eq (actor_send (actor, "ECHO", NULL), 0);
    char *answer = zstr_recv (actor_socket (actor));
    zstr_free (&answer);
    ck_assert_int_eq (atomic_load (&script.commands), 2);
    actor_stop (&actor);
}
END_TEST

static void
run_failing (struct actor_pipe *pipe, void *args)
{
    litedfs_error_t error;

    err_set (&error, LITEDFS_IN_USE, "bind[%s]: the port is taken", (const char *) args);
    actor_failed (pipe, &error);
    actor_ready (pipe); // too late
}

START_TEST (a_start_that_fails_says_why)
{
    struct actor *actor = NULL;
    litedfs_error_t error;

    ck_assert_int_eq (actor_start (&actor, "failing", run_failing, "tcp://x", &error),
                      LITEDFS_IN_USE);
    ck_assert_int_eq (error.number, LITEDFS_IN_USE);
    ck_assert_str_eq (error.text, "bind[tcp://x]: the port is taken");
    ck_assert_ptr_null (actor);
    ck_assert_int_eq (actor_start (&actor, "failing", run_failing, "tcp://x", NULL),
                      LITEDFS_IN_USE);
}
END_TEST

static void
run_nothing (struct actor_pipe *pipe, void *args)
{
    (void) pipe;
    (void) args;
}

START_TEST (a_body_that_returns_without_a_word_has_failed)
{
    struct actor *actor = NULL;
    litedfs_error_t error;

    ck_assert_int_eq (actor_start (&actor, "nothing", run_nothing, NULL, &error),
                      LITEDFS_FAILED);
    ck_assert_str_eq (error.text, "actor[nothing]: it ended before it was ready");
    ck_assert_ptr_null (actor);
}
END_TEST

static void
run_short (struct actor_pipe *pipe, void *args)
{
    (void) args;
    actor_ready (pipe);
}

START_TEST (a_body_that_ends_by_itself_wakes_its_parent)
{
    struct actor *actor = NULL;

    ck_assert_int_eq (actor_start (&actor, "short", run_short, NULL, NULL), 0);
    char *text = zstr_recv (actor_socket (actor));
    ck_assert_str_eq (text, ACTOR_ENDED);
    zstr_free (&text);
    ck_assert (actor_ended (actor));
    ck_assert_int_eq (actor_send (actor, "RELOAD", NULL), LITEDFS_FAILED);
    actor_stop (&actor);
}
END_TEST

// Fill the pipe until it takes no more; returns how many commands it took.
static int
fill (struct actor *actor)
{
    int sent = 0;
    int rc;
    while ((rc = actor_send (actor, "FILL", NULL)) == 0)
        sent++;
    ck_assert_int_eq (rc, LITEDFS_BUSY);
    return sent;
}

static void
run_deaf (struct actor_pipe *pipe, void *args)
{
    struct script *script = args;
    actor_ready (pipe);
    while (!actor_stopping (pipe)) {
        struct timespec pause = {0, 1000000};
        nanosleep (&pause, NULL);
    }
    wait_pipe (pipe); // readable, because it was told to stop
    ck_assert_ptr_null (actor_recv_command (pipe));
    wait_pipe (pipe); // and stays so
    atomic_store (&script->ended, true);
}

START_TEST (a_full_pipe_blocks_neither_send_nor_stop)
{
    struct script script = {0};
    struct actor *actor = NULL;

    ck_assert_int_eq (actor_start (&actor, "deaf", run_deaf, &script, NULL), 0);
    ck_assert_int_ge (fill (actor), 100);
    actor_stop (&actor);
    ck_assert (atomic_load (&script.ended));
}
END_TEST

START_TEST (a_stop_wakes_a_body_that_reads_its_commands_at_that_moment)
{
    // The body takes commands while it is told to stop; it must wake up every time.
    for (int round = 0; round < 300; round++) {
        struct script script = {.read_commands = true};
        struct actor *actor = start_script (&script);
        for (int i = 0; i < round % 7; i++)
            ck_assert_int_eq (actor_send (actor, "WORK", NULL), 0);
        actor_stop (&actor);
        ck_assert (atomic_load (&script.ended));
    }
}
END_TEST

static void
run_taking_one (struct actor_pipe *pipe, void *args)
{
    struct script *script = args;
    char text[16];

    actor_ready (pipe);
    while (!actor_stopping (pipe))
        wait_pipe (pipe);
    // What actor_recv_command does when it looked at the flag just before it was set.
    wait_pipe (pipe);
    ck_assert_int_eq (zmq_recv (actor_pipe_socket (pipe), text, sizeof text, 0), 5);
    zmq_pollitem_t item = {actor_pipe_socket (pipe), 0, ZMQ_POLLIN, 0};
    atomic_store (&script->ended, zmq_poll (&item, 1, 10000) == 1);
}

START_TEST (a_wake_up_is_left_when_one_was_taken_by_mistake)
{
    struct script script = {0};
    struct actor *actor = NULL;

    ck_assert_int_eq (actor_start (&actor, "taking", run_taking_one, &script, NULL), 0);
    actor_stop (&actor);
    ck_assert (atomic_load (&script.ended));
}
END_TEST

START_TEST (several_can_be_told_before_one_is_waited_for)
{
    struct script scripts[3] = {{.slow_end = true}, {.slow_end = true}, {.slow_end = true}};
    struct actor *actors[3];

    for (int i = 0; i < 3; i++)
        actors[i] = start_script (&scripts[i]);
    for (int i = 0; i < 3; i++) {
        actor_ask_to_stop (actors[i]);
        actor_ask_to_stop (actors[i]);
    }
    for (int i = 0; i < 3; i++) {
        actor_stop (&actors[i]);
        ck_assert (atomic_load (&scripts[i].ended));
    }
}
END_TEST

static void
run_flooding (struct actor_pipe *pipe, void *args)
{
    struct script *script = args;
    actor_ready (pipe);
    while (zmq_send (actor_pipe_socket (pipe), "NEWS", 4, 0) == 4)
        ;
    ck_assert_int_eq (errno, EAGAIN);
    atomic_store (&script->ended, true);
}

START_TEST (a_body_whose_parent_does_not_read_is_not_held_up)
{
    struct script script = {0};
    struct actor *actor = NULL;

    ck_assert_int_eq (actor_start (&actor, "flooding", run_flooding, &script, NULL), 0);
    actor_stop (&actor);
    ck_assert (atomic_load (&script.ended));
}
END_TEST

static void
on_alarm (int number)
{
    (void) number;
}

START_TEST (signals_neither_end_a_start_nor_a_stop)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval timer = {{0, 1000}, {0, 1000}};

    ck_assert_int_eq (sigaction (SIGALRM, &action, NULL), 0);
    ck_assert_int_eq (setitimer (ITIMER_REAL, &timer, NULL), 0);
    for (int i = 0; i < 5; i++) {
        struct script script = {.read_commands = true, .slow_end = true};
        struct actor *actor = start_script (&script);
        ck_assert_int_eq (actor_send (actor, "WORK", NULL), 0);
        actor_stop (&actor);
        ck_assert (atomic_load (&script.ended));
    }
    timer = (struct itimerval){{0, 0}, {0, 0}};
    ck_assert_int_eq (setitimer (ITIMER_REAL, &timer, NULL), 0);
}
END_TEST

static void
run_signals (struct actor_pipe *pipe, void *args)
{
    sigset_t *blocked = args;
    char name[16] = "";
    pthread_sigmask (SIG_BLOCK, NULL, blocked);
    pthread_getname_np (pthread_self (), name, sizeof name);
    ck_assert_str_eq (name, "a-name-that-is-");
    actor_ready (pipe);
}

START_TEST (the_thread_has_its_name_and_no_signals)
{
    struct actor *actor = NULL;
    sigset_t blocked;
    sigset_t mine;

    ck_assert_int_eq (
        actor_start (&actor, "a-name-that-is-too-long", run_signals, &blocked, NULL), 0);
    actor_stop (&actor);
    ck_assert_int_eq (sigismember (&blocked, SIGALRM), 1);
    ck_assert_int_eq (sigismember (&blocked, SIGTERM), 1);
    ck_assert_int_eq (sigismember (&blocked, SIGSEGV), 0);
    pthread_sigmask (SIG_BLOCK, NULL, &mine);
    ck_assert_int_eq (sigismember (&mine, SIGALRM), 0);
}
END_TEST

UNIT_MAIN_FIXTURE ("base_actor", setup, teardown,
                   an_actor_starts_and_has_ended_when_stop_returns,
                   commands_arrive_in_order_and_answers_come_back, a_command_has_a_largest_size,
                   a_start_that_fails_says_why, a_body_that_returns_without_a_word_has_failed,
                   a_body_that_ends_by_itself_wakes_its_parent,
                   a_full_pipe_blocks_neither_send_nor_stop,
                   a_stop_wakes_a_body_that_reads_its_commands_at_that_moment,
                   a_wake_up_is_left_when_one_was_taken_by_mistake,
                   several_can_be_told_before_one_is_waited_for,
                   a_body_whose_parent_does_not_read_is_not_held_up,
                   signals_neither_end_a_start_nor_a_stop,
                   the_thread_has_its_name_and_no_signals)
