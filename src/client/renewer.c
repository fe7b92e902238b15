/* SPDX-License-Identifier: MIT */
/*
 * One thread, one DEALER, one eventfd that ends it.  A name node that is away is asked until it is
 * back: whether the lease has outlived that, it will say itself.  The timer counts the time in which
 * the machine slept too, because the lease's does: after a long sleep it is renewed at once.
 */
#include "client/renewer.h"

#include "base/err.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct renewer {
    pthread_t thread;
    struct patient_clock patient;
    struct dealer *dealer; // the thread's, from its start on
    struct uuid file;
    uint8_t lease[WIRE_LEASE_SIZE];
    int64_t every_ms;
    int timer_fd;
    int stop_fd;
    atomic_bool lost;
};

/* Sleep until it is time again; false when it is the end. */
static bool
wait_turn (const struct renewer *self)
{
    struct pollfd fds[] = {{.fd = self->stop_fd, .events = POLLIN},
                           {.fd = self->timer_fd, .events = POLLIN}};
    uint64_t turns;

    while (poll (fds, 2, -1) < 0 && errno == EINTR)
        ;
    if (fds[0].revents)
        return false;
    ssize_t unused =
        read (self->timer_fd, &turns, sizeof turns); // those that were missed are one
    (void) unused;
    return true;
}

static void *
run (void *arg)
{
    struct renewer *self = arg;
    const struct file_renew_request request = {
        .file = self->file, .lease = slice_of (self->lease, WIRE_LEASE_SIZE)};

    while (wait_turn (self)) {
        litedfs_error_t error;
        int rc = dealer_call (self->dealer, &message_types[MESSAGE_file_renew], &request, NULL,
                              NULL, NULL, 2 * self->every_ms, self->stop_fd, &error);
        if (rc == LITEDFS_LEASE_LOST || rc == LITEDFS_NOT_FOUND)
            atomic_store (&self->lost, true);
    }
    return NULL;
}

static int
start_timer (struct renewer *self, litedfs_error_t *error)
{
    const struct timespec every = {.tv_sec = self->every_ms / 1000,
                                   .tv_nsec = self->every_ms % 1000 * 1000000};
    const struct itimerspec timer = {.it_interval = every, .it_value = every};

    self->timer_fd = timerfd_create (CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (self->timer_fd < 0 || timerfd_settime (self->timer_fd, 0, &timer, NULL) < 0)
        return err_set_errno (error, LITEDFS_FAILED, errno, "timerfd");
    return 0;
}

static int
start_thread (struct renewer *self, litedfs_error_t *error)
{
    sigset_t all, before;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before); // signals are for the caller's threads
    int why = pthread_create (&self->thread, NULL, run, self);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    return why == 0
               ? 0
               : err_set_errno (error, LITEDFS_FAILED, why, "thread that renews the lease");
}

static void
destroy (struct renewer *self)
{
    dealer_destroy (&self->dealer);
    if (self->timer_fd >= 0)
        close (self->timer_fd);
    if (self->stop_fd >= 0)
        close (self->stop_fd);
    free (self);
}

int
renewer_start (struct renewer **out, const litedfs_t *session, const struct uuid *file,
               const uint8_t lease[WIRE_LEASE_SIZE], uint64_t ttl_s, litedfs_error_t *error)
{
    struct renewer *self = calloc (1, sizeof *self);
    if (!self)
        return err_set (error, LITEDFS_MEMORY, "out of memory");

    self->file = *file;
    memcpy (self->lease, lease, WIRE_LEASE_SIZE);
    self->every_ms = (int64_t) ttl_s * 1000 / 3;
    self->timer_fd = -1;
    self->stop_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    patient_clock_init (&self->patient, clock_system ());
    int rc = self->stop_fd < 0 ? err_set_errno (error, LITEDFS_FAILED, errno, "eventfd")
                               : start_timer (self, error);
    if (rc == 0)
        rc = session_name_dealer (session, &self->patient.clock, &self->dealer, error);
    if (rc == 0)
        rc = start_thread (self, error);
    if (rc < 0) {
        destroy (self);
        return rc;
    }
    *out = self;
    return 0;
}

bool
renewer_lost (const struct renewer *self)
{
    return self && atomic_load (&self->lost);
}

void
renewer_stop (struct renewer **self)
{
    const uint64_t one = 1;

    if (!*self)
        return;
    ssize_t unused = write ((*self)->stop_fd, &one, sizeof one);
    (void) unused;
    pthread_join ((*self)->thread, NULL);
    destroy (*self);
    *self = NULL;
}
