/* SPDX-License-Identifier: MIT */
/*
 * Actors: a thread and a pipe.
 *
 * zactor ends by a message in the pipe and waits for one that comes back, so a full pipe or a
 * signal makes it return while the thread still runs.  Here the end is a flag and pthread_join,
 * and the pipe only wakes the body up.  The wake-up is sent twice: the body may take one
 * message while the flag is being set and takes none when it sees the flag, so one is left and
 * the pipe stays readable; and if the pipe is full, there is something to read anyway.
 *
 * Both ends of the pipe are made before the thread and closed after it, by the parent: creating
 * and joining a thread are the full fences that libzmq wants when a socket changes threads.
 */
#include "base/actor.h"

#include "base/err.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_TERM "$TERM"

// A thread's name may have this many bytes with its NUL.
#define NAME_SIZE 16

struct actor_pipe {
    struct actor *actor;
    zsock_t *socket;
    bool answered; // ready or failed
    char command[ACTOR_COMMAND_SIZE];
};

struct actor {
    char name[NAME_SIZE];
    pthread_t thread;
    actor_run_fn *run;
    void *args;

    zsock_t *socket; // the parent's end
    struct actor_pipe pipe;

    sem_t answer; // posted once, when rc and error are set
    int rc;
    litedfs_error_t error;

    atomic_bool stopping;
    atomic_bool ended;
};

// Send without blocking; 0 or -1 with errno.
static int
send_text (zsock_t *socket, const char *text)
{
    int rc;
    do
        rc = zmq_send (zsock_resolve (socket), text, strlen (text), ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -1 : 0;
}

static void
answer (struct actor_pipe *self, int rc)
{
    if (self->answered)
        return;
    self->answered = true;
    self->actor->rc = rc;
    sem_post (&self->actor->answer);
}

void
actor_ready (struct actor_pipe *self)
{
    answer (self, 0);
}

void
actor_failed (struct actor_pipe *self, const litedfs_error_t *error)
{
    if (self->answered)
        return;
    self->actor->error = *error;
    answer (self, error->number < 0 ? error->number : LITEDFS_FAILED);
}

bool
actor_stopping (const struct actor_pipe *self)
{
    return atomic_load (&self->actor->stopping);
}

const char *
actor_recv_command (struct actor_pipe *self)
{
    if (actor_stopping (self))
        return NULL;

    int size;
    do
        size = zmq_recv (zsock_resolve (self->socket), self->command, sizeof self->command - 1,
                         ZMQ_DONTWAIT);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return NULL;

    size_t length = (size_t) size;
    if (length > sizeof self->command - 1)
        length = sizeof self->command - 1;
    self->command[length] = 0;
    return strcmp (self->command, COMMAND_TERM) == 0 ? NULL : self->command;
}

void *
actor_pipe_socket (struct actor_pipe *self)
{
    return zsock_resolve (self->socket);
}

static void *
thread_main (void *arg)
{
    struct actor *self = arg;
    pthread_setname_np (pthread_self (), self->name);

    self->run (&self->pipe, self->args);

    if (!self->pipe.answered) {
        litedfs_error_t error;
        err_set (&error, LITEDFS_FAILED, "actor[%s]: it ended before it was ready", self->name);
        actor_failed (&self->pipe, &error);
    }
    atomic_store (&self->ended, true);
    // A full pipe wakes the parent too.
    if (!atomic_load (&self->stopping))
        (void) send_text (self->pipe.socket, ACTOR_ENDED);
    return NULL;
}

// Start the thread with all signals blocked but those that report a fault of the program
// itself.
static int
start_thread (struct actor *self)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t blocked;
    sigset_t before;

    sigfillset (&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset (&blocked, faults[i]);

    int errnum = pthread_sigmask (SIG_SETMASK, &blocked, &before);
    if (errnum)
        return errnum;
    errnum = pthread_create (&self->thread, NULL, thread_main, self);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    return errnum;
}

static void
free_actor (struct actor *self)
{
    zsock_destroy (&self->socket);
    zsock_destroy (&self->pipe.socket);
    sem_destroy (&self->answer);
    free (self);
}

int
actor_start (struct actor **out, const char *name, actor_run_fn *run, void *args,
             litedfs_error_t *error)
{
    struct actor *self = calloc (1, sizeof *self);
    if (!self)
        return err_set (error, LITEDFS_MEMORY, "actor[%s]: no memory", name);

    strncpy (self->name, name, sizeof self->name - 1);
    self->run = run;
    self->args = args;
    sem_init (&self->answer, 0, 0);
    self->socket = zsys_create_pipe (&self->pipe.socket);
    zsock_set_sndtimeo (self->socket, 0);
    zsock_set_sndtimeo (self->pipe.socket, 0);
    self->pipe.actor = self;

    int errnum = start_thread (self);
    if (errnum) {
        free_actor (self);
        return err_set_errno (error, LITEDFS_FAILED, errnum, "actor[%s]: no thread", name);
    }
    while (sem_wait (&self->answer) < 0 && errno == EINTR)
        ;

    int rc = self->rc;
    if (rc == 0) {
        *out = self;
        return 0;
    }
    if (error)
        *error = self->error;
    pthread_join (self->thread, NULL);
    free_actor (self);
    return rc;
}

void
actor_ask_to_stop (struct actor *self)
{
    if (atomic_exchange (&self->stopping, true))
        return;
    // Both may find the pipe full; see above.
    (void) send_text (self->socket, COMMAND_TERM);
    (void) send_text (self->socket, COMMAND_TERM);
}

void
actor_stop (struct actor **self)
{
    int saved = errno;
    if (*self) {
        actor_ask_to_stop (*self);
        pthread_join ((*self)->thread, NULL);
        free_actor (*self);
        *self = NULL;
    }
    errno = saved;
}

int
actor_send (struct actor *self, const char *command, litedfs_error_t *error)
{
    if (strlen (command) >= ACTOR_COMMAND_SIZE)
        return err_set (error, LITEDFS_FAILED, "actor[%s]: the command is too long",
                        self->name);
    if (actor_ended (self))
        return err_set (error, LITEDFS_FAILED, "actor[%s]: it has ended", self->name);
    if (send_text (self->socket, command) == 0)
        return 0;
    if (errno == EAGAIN)
        return err_set (error, LITEDFS_BUSY, "actor[%s]: it does not read its commands",
                        self->name);
    return err_set_errno (error, LITEDFS_FAILED, errno, "actor[%s]: command", self->name);
}

bool
actor_ended (const struct actor *self)
{
    return atomic_load (&self->ended);
}

zsock_t *
actor_socket (struct actor *self)
{
    return self->socket;
}
