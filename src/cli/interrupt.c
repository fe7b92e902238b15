/* SPDX-License-Identifier: MIT */
/*
 * The thread that reads signals.
 *
 * A thread and not a handler: it may take a mutex, so that it never cancels a session that is being
 * closed, and it can see to it that a process which hangs in a write to a pipe ends all the same.
 */
#include "cli/interrupt.h"

#include "base/err.h"
#include "base/process.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct interrupt {
    pthread_t thread;
    int signal_fd;
    int stop_fd;
    pthread_mutex_t mutex; // for what follows
    int signal_number;     // the first that came, or 0
    litedfs_t *session;
    const char *temporary;
};

_Noreturn void
interrupt_die (int signal_number)
{
    sigset_t set;
    signal (signal_number, SIG_DFL);
    sigemptyset (&set);
    sigaddset (&set, signal_number);
    pthread_sigmask (SIG_UNBLOCK, &set, NULL);
    raise (signal_number);
    _exit (128 + signal_number);
}

// Whether the program that started us wants this signal to be ignored.
static bool
is_ignored (int signal_number)
{
    struct sigaction action;
    return sigaction (signal_number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

// What a signal does: cancel, or end the process.
static void
on_signal (struct interrupt *self, int signal_number)
{
    pthread_mutex_lock (&self->mutex);
    if (self->signal_number || !self->session) {
        if (self->temporary)
            unlink (self->temporary);
        interrupt_die (self->signal_number ? self->signal_number : signal_number);
    }
    self->signal_number = signal_number;
    litedfs_cancel (self->session);
    pthread_mutex_unlock (&self->mutex);
}

static void *
listen_for_signals (void *arg)
{
    struct interrupt *self = arg;
    struct pollfd fds[] = {{.fd = self->stop_fd, .events = POLLIN},
                           {.fd = self->signal_fd, .events = POLLIN}};

    for (;;) {
        int ready = poll (fds, 2, self->signal_number ? INTERRUPT_GRACE_MS : -1);
        if (ready < 0)
            continue; // EINTR: stopped and continued
        if (fds[0].revents)
            return NULL;
        if (ready == 0)
            on_signal (self, self->signal_number);

        struct signalfd_siginfo info;
        if (!fds[1].revents || read (self->signal_fd, &info, sizeof info) != sizeof info)
            continue;
        int number = (int) info.ssi_signo;
        if (number != SIGUSR1 && !is_ignored (number))
            on_signal (self, number);
    }
}

int
interrupt_start (struct interrupt **out, litedfs_error_t *error)
{
    struct interrupt *self = calloc (1, sizeof *self);
    if (!self)
        return err_set (error, LITEDFS_MEMORY, "out of memory");

    pthread_mutex_init (&self->mutex, NULL);
    self->signal_fd = -1;
    self->stop_fd = eventfd (0, EFD_CLOEXEC);
    int rc = self->stop_fd < 0 ? err_set_errno (error, LITEDFS_FAILED, errno, "eventfd")
                               : process_signal_fd (&self->signal_fd, error);
    if (rc == 0) {
        int errnum = pthread_create (&self->thread, NULL, listen_for_signals, self);
        if (errnum)
            rc = err_set_errno (error, LITEDFS_FAILED, errnum, "thread for signals");
    }
    if (rc < 0) {
        if (self->signal_fd >= 0)
            close (self->signal_fd);
        if (self->stop_fd >= 0)
            close (self->stop_fd);
        pthread_mutex_destroy (&self->mutex);
        free (self);
        return rc;
    }
    *out = self;
    return 0;
}

void
interrupt_set_session (struct interrupt *self, litedfs_t *session)
{
    pthread_mutex_lock (&self->mutex);
    self->session = session;
    pthread_mutex_unlock (&self->mutex);
}

void
interrupt_set_temporary (struct interrupt *self, const char *path)
{
    pthread_mutex_lock (&self->mutex);
    self->temporary = path;
    pthread_mutex_unlock (&self->mutex);
}

int
interrupt_stop (struct interrupt **self_p)
{
    struct interrupt *self = *self_p;
    const uint64_t one = 1;

    if (!self)
        return 0;
    *self_p = NULL;
    if (write (self->stop_fd, &one, sizeof one) == sizeof one)
        pthread_join (self->thread, NULL);
    int signal_number = self->signal_number;
    close (self->signal_fd);
    close (self->stop_fd);
    pthread_mutex_destroy (&self->mutex);
    free (self);
    return signal_number;
}
