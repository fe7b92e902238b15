/* SPDX-License-Identifier: MIT */
/*
 * A short list of unused buffers under a lock.
 *
 * Reads come in few sizes, most of them equal, so the first buffer that is large enough and not far too
 * large will do.  The pool counts its buffers and itself, because a message may lie in a socket's queue
 * longer than the pool is used.
 */

#include "datanode/readbuf.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define TOO_LARGE 4 // times the wanted size

struct readbuf_pool {
    pthread_mutex_t lock;
    struct readbuf *unused;
    size_t unused_bytes;
    size_t keep_bytes;
    size_t out_bytes;
    size_t users; // buffers that are out, and 1 until readbuf_pool_destroy
};

struct readbuf_pool *
readbuf_pool_new (size_t keep_bytes)
{
    struct readbuf_pool *self = calloc (1, sizeof *self);
    if (!self)
        return NULL;
    pthread_mutex_init (&self->lock, NULL);
    self->keep_bytes = keep_bytes;
    self->users = 1;
    return self;
}

/* One user less; the lock is held and is gone afterwards. */
static void
leave (struct readbuf_pool *self)
{
    bool last = --self->users == 0;
    pthread_mutex_unlock (&self->lock);
    if (!last)
        return;
    while (self->unused) {
        struct readbuf *buffer = self->unused;
        self->unused = buffer->next;
        free (buffer);
    }
    pthread_mutex_destroy (&self->lock);
    free (self);
}

void
readbuf_pool_destroy (struct readbuf_pool **self)
{
    if (!*self)
        return;
    pthread_mutex_lock (&(*self)->lock);
    (*self)->keep_bytes = 0;
    leave (*self);
    *self = NULL;
}

struct readbuf *
readbuf_get (struct readbuf_pool *self, size_t size)
{
    pthread_mutex_lock (&self->lock);
    struct readbuf **at = &self->unused;
    while (*at && ((*at)->capacity < size || (*at)->capacity / TOO_LARGE > size))
        at = &(*at)->next;
    struct readbuf *buffer = *at;
    if (buffer) {
        *at = buffer->next;
        self->unused_bytes -= buffer->capacity;
    }
    self->users++;
    self->out_bytes += buffer ? buffer->capacity : size;
    pthread_mutex_unlock (&self->lock);
    if (buffer)
        return buffer;

    buffer = malloc (sizeof *buffer + size);
    if (!buffer) {
        pthread_mutex_lock (&self->lock);
        self->out_bytes -= size;
        leave (self);
        return NULL;
    }
    buffer->pool = self;
    buffer->capacity = size;
    return buffer;
}

size_t
readbuf_out (struct readbuf_pool *self)
{
    pthread_mutex_lock (&self->lock);
    size_t bytes = self->out_bytes;
    pthread_mutex_unlock (&self->lock);
    return bytes;
}

void
readbuf_release (void *data, void *buffer)
{
    struct readbuf *self = buffer;
    struct readbuf_pool *pool = self->pool;
    (void) data;
    pthread_mutex_lock (&pool->lock);
    pool->out_bytes -= self->capacity;
    if (pool->unused_bytes + self->capacity <= pool->keep_bytes) {
        self->next = pool->unused;
        pool->unused = self;
        pool->unused_bytes += self->capacity;
        self = NULL;
    }
    leave (pool);
    free (self);
}
