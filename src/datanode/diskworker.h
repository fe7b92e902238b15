/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_DISKWORKER_H
#define LITEDFS_DATANODE_DISKWORKER_H

/*
 * The threads of a diskpool, and the frames that it exchanges with them.  For diskpool alone.
 *
 * A job is two frames: struct disk_frame with what belongs to it behind it, and the payload (empty if there
 * is none).  A result is two frames as well: struct disk_result_frame and the payload.  Frames are copies;
 * nothing in them points anywhere.
 */

#include "base/actor.h"
#include "datanode/diskpool.h"
#include "datanode/readbuf.h"

/* A message's bytes go to another thread, or came from one.  libzmq orders the two, but the thread sanitizer
 * does not see it, so it is told. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define DISKWORKER_TSAN
#endif
#endif
#if defined DISKWORKER_TSAN || defined __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define diskworker_hand_over(msg) __tsan_release (zmq_msg_data (msg))
#define diskworker_take_over(msg) __tsan_acquire (zmq_msg_data (msg))
#else
#define diskworker_hand_over(msg) ((void) (msg))
#define diskworker_take_over(msg) ((void) (msg))
#endif

/* Beside the kinds of a job: look whether blocks that are being written were deleted by the orders in the
 * payload.  It has no result. */
#define DISK_SWEEP 100

/* A job.  order_count struct blockstore_order follow, then unit_count CRCs, then path_size bytes. */
struct disk_frame {
    uint64_t token;
    uint64_t block;
    uint64_t offset;
    uint64_t index;
    uint64_t count;
    struct uuid file;
    int kind;
    uint32_t epoch;
    bool last;
    bool copy;
    size_t size;
    size_t order_count;
    size_t unit_count;
    size_t path_size;
};

struct disk_result_frame {
    struct disk_result result;
    unsigned worker; // whose it is
    bool owes;       // another result of the same job follows
};

/* What a worker is given.  It is the pool's and outlives the thread. */
struct diskworker {
    struct blockstore *store;
    struct log *log;
    struct metrics *metrics;
    struct readbuf_pool *buffers;
    struct readbuf_pool *copy_buffers; // for reads of copies
    unsigned number;
    char jobs[64];    // endpoint to pull jobs from
    char results[64]; // endpoint to push results to
};

/* Bodies of actors; args is a struct diskworker. */
void diskworker_write (struct actor_pipe *pipe, void *args);
void diskworker_read (struct actor_pipe *pipe, void *args);
void diskworker_execute (struct actor_pipe *pipe, void *args);

#endif
