/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_READBUF_H
#define LITEDFS_DATANODE_READBUF_H

/*
 * Memory that blocks are read into and sent from, kept for the next read instead of going back and forth
 * between malloc and the kernel.  For diskpool alone.
 *
 * All calls may come from any thread and do not block; readbuf_release is called by libzmq's I/O threads.
 */

#include <stddef.h>

struct readbuf_pool;

struct readbuf {
    struct readbuf_pool *pool;
    struct readbuf *next; // in the pool's list
    size_t capacity;
    unsigned char data[];
};

/* A pool that keeps up to keep_bytes of unused memory.  NULL when memory is short. */
struct readbuf_pool *readbuf_pool_new (size_t keep_bytes);

/* Done with the pool: it goes when the last of its buffers has been released.  Takes NULL, sets it to
 * NULL. */
void readbuf_pool_destroy (struct readbuf_pool **self);

/* A buffer of at least size bytes, or NULL when memory is short. */
struct readbuf *readbuf_get (struct readbuf_pool *self, size_t size);

/* The bytes of the buffers that are out. */
size_t readbuf_out (struct readbuf_pool *self);

/* Give a buffer back.  The shape is that of zmq_msg_init_data's callback: data is not looked at. */
void readbuf_release (void *data, void *buffer);

#endif
