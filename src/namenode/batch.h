/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_BATCH_H
#define LITEDFS_NAMENODE_BATCH_H

/*
 * Many requests, one transaction, one wait for the disk.
 *
 * A batch is run as a whole and committed.  If something unexpected happens in it, it is aborted and
 * its requests are run again one a transaction, so that one request's trouble is nobody else's.  A
 * full map grows; on a full disk the ballast goes and only requests that free space are taken.  Only
 * a disk that fails (LITEDFS_IO) ends it all: what is on it is not known then.
 *
 * Belongs to one thread, the writer's.
 */

#include "base/clock.h"
#include "namenode/lease_clock.h"
#include "namenode/ops.h"
#include "namenode/storedir.h"

/* One request on its way through the writer. */
struct job {
    struct route route;
    struct op_sender sender;
    uint64_t token; // the namenode actor's
    zmq_msg_t frame;
    struct message *message; // parsed from frame
    struct buf reply;        // the encoded answer
    bool ok;                 // it is not an error
    int error;               // of err.def if it is one, else 0
    struct op_effects effects;
};

/* What a batch works with. */
struct batch_context {
    struct storedir *dir;
    const struct op_settings *settings;
    struct lease_clock *leases;
    struct agenda *agenda;         // what repair shall look at next; may be NULL
    const struct balance *balance; // may be NULL
    const struct clock *clock;
    struct log *log;
    struct metrics *metrics;        // may be NULL
    const struct nodes_view *nodes; // for this batch
    bool full;                      // the disk was full at the last commit
    int64_t full_until_ms;          // monotonic; then it is tried again
    litedfs_error_t
        no_room; // why requests that need room are refused now; number 0: they are not
};

/* Run the jobs; each has its reply when this returns 0.  LITEDFS_IO: the disk failed, nothing may be
 * answered, the process must end.  LITEDFS_MEMORY: not even error replies could be made. */
int batch_run (struct batch_context *context, struct job *jobs, size_t count,
               litedfs_error_t *error);

/* Run work in a transaction of its own and commit it, with the same care: it may be run several
 * times.  Errors: its own, and as batch_run. */
typedef int (batch_work_fn) (void *arg, struct txn *txn, litedfs_error_t *error);
int batch_work (struct batch_context *context, batch_work_fn *work, void *arg,
                litedfs_error_t *error);

#endif
