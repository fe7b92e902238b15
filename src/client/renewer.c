/* SPDX-License-Identifier: MIT */
/*
 * One thread, one DEALER, one eventfd that ends it.  A name node that is away is asked until it is
 * back: whether the lease has outlived that, it will say itself.
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
#include <unistd.h>

struct renewer {
    pthread_t thread;
    struct dealer *dealer; // the thread's, from its start on
    struct uuid file;
    uint8_t lease[WIRE_LEASE_SIZE];
    int64_t every_ms;
    int stop_fd;
    atomic_bool lost;
};

static void *
run (void *arg)
{
    struct renewer *self = arg;
    const struct file_renew_request request = {
        .file = self->file, .lease = slice_of (self->lease, WIRE_LEASE_SIZE)};
    struct pollfd stop = {.fd = self->stop_fd, .events = POLLIN};

    while (poll (&stop, 1, (int) self->every_ms) == 0) {
        litedfs_error_t error;
        int rc = dealer_call (self->dealer, &message_types[MESSAGE_file_renew], &request, NULL,
                              NULL, NULL, 2 * self->every_ms, self->stop_fd, &error);
        if (rc == LITEDFS_LEASE_LOST || rc == LITEDFS_NOT_FOUND)
            atomic_store (&self->lost, true);
    }
    return NULL;
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
    self->stop_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = self->stop_fd < 0 ? err_set_errno (error, LITEDFS_FAILED, errno, "eventfd") : 0;
    if (rc == 0)
        rc = session_name_dealer (session, &self->dealer, error);
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
