/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_SERVE_H
#define LITEDFS_DATANODE_SERVE_H

/*
 * The read path: ranges of finished blocks, from the disk to who asked, without a copy.
 *
 * The model.  Reads wait in a queue for each session and go to the disk pool in turn, one of each
 * session, while no more than `memory` bytes are on their way from it: a session that asks for much
 * waits for itself and not the others for it, and the writers' share of the disk stays theirs.  How
 * much a session may ask for at all is the router's admission.
 *
 * Replies that their readers do not take lie in memory.  While those of all sessions have `memory` bytes,
 * only sessions whose connection is empty are read for: a reader that is slow, or asleep, then costs one
 * read, and stops nobody else.
 *
 * Two things come this way: block.read, which is answered here, and the comparison of a range with a
 * CRC (a chunk that was sent again for a finished block), whose end the owner is told.
 *
 * Belongs to the thread of the pool and the router.  No call blocks.
 */

#include "datanode/diskpool.h"
#include "rpc/router.h"

struct serve;

/* The end of a comparison; error is NULL or why the range could not be read. */
typedef void (serve_compared_fn) (void *context, uint64_t block, uint64_t token, bool equal,
                                  const litedfs_error_t *error);

/* memory: bytes that may be read and not yet handed on; one read is always allowed.  NULL when memory is
 * short. */
struct serve *serve_new (struct router *router, struct diskpool *pool, uint64_t memory,
                         serve_compared_fn *compared, void *context);

/* Free it; reads that wait are not answered.  Before the router and after the pool, or with results of
 * the pool that nobody fetches any more.  Takes NULL, sets it to NULL. */
void serve_destroy (struct serve **self);

/* Serve a block.read that was decoded.  The request stays the caller's.  LITEDFS_BUSY, LITEDFS_MEMORY:
 * the caller answers. */
int serve_read (struct serve *self, const struct request *request,
                const struct block_read_request *fields, litedfs_error_t *error);

/* Compare a range of a finished block with a CRC; the token comes back to the owner.  Errors as
 * serve_read. */
int serve_compare (struct serve *self, uint64_t session, uint64_t block, uint64_t offset,
                   size_t size, uint32_t crc, uint64_t token, litedfs_error_t *error);

/* Read on, if reads waited for room; to be called each turn.  How soon again, in ms, at most most_ms. */
long serve_resume (struct serve *self, long most_ms);

/* A DISK_READ_DONE of the pool.  The payload is taken. */
void serve_result (struct serve *self, const struct disk_result *result, zmq_msg_t *payload);

/* The session has ended: what it waits for is not read any more. */
void serve_forget (struct serve *self, uint64_t session);

#endif
