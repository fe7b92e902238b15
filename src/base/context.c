/* SPDX-License-Identifier: MIT */
/*
 * The ZeroMQ context of the process.
 */
#include "base/context.h"

#include "base/err.h"
#include "base/process.h"

#include <errno.h>
#include <pthread.h>
#include <zmq.h>

static struct {
    pthread_mutex_t mutex;
    void *context;
    void (*end) (void); // NULL: it is ours
} self = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *
make (int io_threads)
{
    void *context = zmq_ctx_new ();

    if (!context)
        return NULL;
    if (zmq_ctx_set (context, ZMQ_IO_THREADS, io_threads) == 0 &&
        zmq_ctx_set (context, ZMQ_MAX_SOCKETS, PROCESS_MAX_SOCKETS) == 0)
        return context;
    int saved = errno;
    zmq_ctx_term (context);
    errno = saved;
    return NULL;
}

int
context_start (int io_threads, litedfs_error_t *error)
{
    int rc = 0;

    pthread_mutex_lock (&self.mutex);
    if (!self.context)
        self.context = make (io_threads);
    if (!self.context)
        rc = err_set (error, LITEDFS_FAILED, "ZeroMQ cannot be started: %s",
                      zmq_strerror (errno));
    pthread_mutex_unlock (&self.mutex);
    return rc;
}

void
context_adopt (void *context, void (*end) (void))
{
    pthread_mutex_lock (&self.mutex);
    self.context = context;
    self.end = end;
    pthread_mutex_unlock (&self.mutex);
}

void *
context_get (void)
{
    pthread_mutex_lock (&self.mutex);
    void *context = self.context;
    pthread_mutex_unlock (&self.mutex);
    return context;
}

void
context_end (void)
{
    pthread_mutex_lock (&self.mutex);
    void *context = self.context;
    void (*end) (void) = self.end;
    self.context = NULL;
    self.end = NULL;
    pthread_mutex_unlock (&self.mutex);
    if (end)
        end ();
    else if (context)
        while (zmq_ctx_term (context) < 0 && errno == EINTR)
            ;
}
