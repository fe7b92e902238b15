/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_DISKPOOL_H
#define LITEDFS_DATANODE_DISKPOOL_H

/*
 * The threads that wait for the disk, so that the actor above them never does.
 *
 * The model.  The owner submits jobs and gets results on one socket.  Jobs of a block that change it run
 * in the order of their submission, on the writer that the block's id chooses; reads go to the reader
 * with the least to do; orders have a thread of their own.  Different blocks overtake each other.  A
 * writer takes what waits in its queue before it syncs, and the blocks whose last bytes were among it
 * are made durable together.
 *
 * Results.  Every job has one result with its token, except a WRITE with `last`: it has a second one,
 * DISK_DURABLE, if the first one, DISK_WRITTEN, has no error.
 *
 * Payloads.  diskpool_submit takes the bytes as a zmq_msg_t and moves it; a read's result brings them as
 * a zmq_msg_t that may be sent on.  Nothing is copied on the way.
 *
 * Caveats.  A pool belongs to the thread that started it.  Nothing here blocks that thread except start
 * and stop, and nothing here bounds the queues: admission is the caller's.  The pool's threads use the
 * block store, which must outlive it.  The memory of a read's payload may outlive the pool.
 */

#include "base/crc.h"
#include "base/metric.h"
#include "datanode/blockstore.h"

#include <czmq.h>

/* The most unit CRCs that come with a WRITE: those of 4 MiB.  The longest range of a READ, in bytes. */
#define DISK_UNITS_MAX 64
#define DISK_READ_MAX ((size_t) 4 << 20)

/* The most workers of each kind. */
#define DISK_WORKERS_MAX 32

struct diskpool;

enum disk_job_kind {
    DISK_WRITE = 1, // append the payload to a block; offset 0 starts it
    DISK_ABANDON,   // remove a block that is not finished; one that is not there is no error
    DISK_READ,      // read a range of a finished block
    DISK_DESCRIBE,  // say what the trailer of a finished block says
    DISK_EXECUTE    // run orders (blockstore_execute)
};

/* A job; members that its kind does not name are not looked at.  What the pointers point at is the
 * caller's and is copied. */
struct disk_job {
    enum disk_job_kind kind;
    uint64_t token;  // the caller's, comes back with the result
    uint64_t block;  // WRITE, ABANDON, READ, DESCRIBE
    uint64_t offset; // WRITE, READ
    size_t size;     // READ: up to DISK_READ_MAX
    bool last;       // WRITE: these are the block's last bytes (may be none)
    bool
        copy; // WRITE at offset 0: by order, so a tombstone does not refuse it; READ: for such a
              // copy, so its memory is not of diskpool_read_bytes
    uint64_t count;        // WRITE with last: the file's blocks, 0: not its last block
    struct uuid file;      // WRITE at offset 0: whose block this is
    uint64_t index;        // WRITE at offset 0
    struct slice path;     // WRITE at offset 0
    const uint32_t *units; // WRITE: CRC of each unit of the payload, or NULL
    size_t unit_count;     // WRITE with units: crc_unit_count of the payload's size
    uint32_t epoch;        // EXECUTE
    const struct blockstore_order *orders; // EXECUTE: up to BLOCKSTORE_ORDERS_MAX
    size_t order_count;                    // EXECUTE
};

enum disk_result_kind {
    DISK_WRITTEN =
        1,        // of a WRITE: offset is how far the block is now, with or without an error
    DISK_DURABLE, // of a WRITE with last: size, crc and seq, or an error and the block is gone
    DISK_ABANDONED, // of an ABANDON
    DISK_READ_DONE, // of a READ: offset as asked, size and crc of the payload
    DISK_DESCRIBED, // of a DESCRIBE: size, crc, file, index, count; the payload is the path
    DISK_EXECUTED // of an EXECUTE: the orders of epoch up to number are done and durable; the payload
    // is those that were asked for, struct blockstore_order, unless memory is short
};

/* A result.  error.number is 0 or says what went wrong.  Errors of a WRITE:
 *
 *   LITEDFS_EXISTS      the block is finished here; size and crc are its own
 *   LITEDFS_GAP         offset says where to go on; 0 if the block is not known
 *   LITEDFS_LEASE_LOST  it was deleted by order; what was there is gone
 *   others              as blockstore_append; the block stays until it is abandoned
 *
 * Errors of a READ as blockstore_read, of a DESCRIBE as blockstore_describe, of an EXECUTE as
 * blockstore_execute. */
struct disk_result {
    enum disk_result_kind kind;
    uint64_t token;
    uint64_t block;
    uint64_t offset;
    uint64_t size;
    uint32_t crc;
    uint64_t seq;
    struct uuid file; // DESCRIBED
    uint64_t index;   // DESCRIBED
    uint64_t count;   // DESCRIBED
    uint32_t epoch;   // EXECUTED
    uint64_t number;  // EXECUTED: of the last order of the job
    litedfs_error_t error;
};

/* Start writers and readers (1 to DISK_WORKERS_MAX each).  store, log and metrics (both may be NULL)
 * are borrowed until diskpool_stop.  LITEDFS_INVALID, LITEDFS_FAILED if no thread can be had, LITEDFS_MEMORY. */
int diskpool_start (struct diskpool **out, struct blockstore *store, unsigned writers,
                    unsigned readers, struct log *log, struct metrics *metrics,
                    litedfs_error_t *error);

/* Let the jobs that run end, drop the others without a result, abandon every block that is not finished,
 * join.  Takes NULL, sets it to NULL, keeps errno. */
void diskpool_stop (struct diskpool **self);

/* Submit a job.  payload (WRITE; may be NULL for no bytes) is moved: *payload is empty afterwards, on
 * failure too.  Does not block.  LITEDFS_INVALID if a member is out of its bounds, LITEDFS_MEMORY. */
int diskpool_submit (struct diskpool *self, const struct disk_job *job, zmq_msg_t *payload,
                     litedfs_error_t *error);

/* The socket that is readable when a result waits.  It stays the pool's. */
zsock_t *diskpool_socket (struct diskpool *self);

/* The next result; false if none waits.  *payload, which need not be initialised, is always the caller's
 * to close with zmq_msg_close or to send; it is empty unless a READ, a DESCRIBE or an EXECUTE succeeded.
 * Does not block. */
bool diskpool_result (struct diskpool *self, struct disk_result *out, zmq_msg_t *payload);

/* The bytes of memory of reads that are running, or whose payloads were not yet sent and closed; those
 * with `copy` do not count. */
size_t diskpool_read_bytes (struct diskpool *self);

/* How many jobs wait for their (last) result. */
size_t diskpool_pending (const struct diskpool *self);

#endif
