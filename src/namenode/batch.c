/* SPDX-License-Identifier: MIT */
/*
 * Group commit.  Everything that goes through a transaction does so as `work`: a function that may
 * be run again.  once() runs it and commits; steadily() adds what is done about a full map and a full
 * disk; batch_run makes work of many jobs first and of single jobs if that fails.
 *
 * A rule that refuses a request has written nothing, so the others of its batch go on.  If rows moved
 * all the same, or the store itself is in trouble, the transaction is good for abort only.
 */
#include "namenode/batch.h"

#include "base/crc.h"
#include "base/err.h"
#include "namenode/retry.h"

#include <string.h>

/* The map doubles from 1 MiB to all address space in fewer steps than this. */
enum { GROW_MAX = 48 };

/* How long after a full disk it is tried again, milliseconds. */
enum { FULL_PAUSE_MS = 1000 };

/* Whether an error says nothing about the request but something about the transaction. */
static bool
is_trouble (int rc)
{
    switch (rc) {
    case METASTORE_MAP_FULL:
    case LITEDFS_NO_SPACE:
    case LITEDFS_IO:
    case LITEDFS_CORRUPT:
    case LITEDFS_MEMORY:
    case LITEDFS_FAILED:
        return true;
    default:
        return false;
    }
}

static int
once (struct batch_context *context, batch_work_fn *work, void *arg, litedfs_error_t *error)
{
    const struct txn_frame frame = {
        .now_ms = clock_mono (context->clock),
        .wall_ms = clock_wall (context->clock),
        .leases = context->leases,
        .agenda = context->agenda,
    };
    struct txn *txn;
    int rc = txn_begin_write (storedir_store (context->dir), &frame, &txn, error);

    if (rc < 0)
        return rc;
    rc = work (arg, txn, error);
    if (rc < 0)
        txn_abort (&txn);
    else
        rc = txn_commit (&txn, error);
    lease_clock_settle (context->leases, rc == 0);
    return rc;
}

/* See whether the disk has room for requests that are not let through on a full one. */
static void
look_for_room (struct batch_context *context)
{
    context->no_room.number = 0;
    if (storedir_check_room (context->dir, &context->no_room) < 0)
        return;
    if (context->full && clock_mono (context->clock) >= context->full_until_ms)
        context->full = false;
    if (context->full)
        err_set (&context->no_room, LITEDFS_NO_SPACE,
                 "the name node's disk is full; delete files or make room for its data_path");
}

static int
steadily (struct batch_context *context, batch_work_fn *work, void *arg, litedfs_error_t *error)
{
    int rc = once (context, work, arg, error);

    for (int i = 0; i < GROW_MAX && rc == METASTORE_MAP_FULL; i++) {
        rc = metastore_grow (storedir_store (context->dir), error);
        if (rc == 0)
            rc = once (context, work, arg, error);
    }
    if (rc == LITEDFS_NO_SPACE) {
        context->full = true;
        context->full_until_ms = clock_mono (context->clock) + FULL_PAUSE_MS;
        // The ballast is for deletes: what else is in the batch is refused when it is run again.
        if (storedir_drop_ballast (context->dir)) {
            look_for_room (context);
            rc = once (context, work, arg, error);
        }
    }
    return rc;
}

int
batch_work (struct batch_context *context, batch_work_fn *work, void *arg,
            litedfs_error_t *error)
{
    return steadily (context, work, arg, error);
}

/* ---- one job ------------------------------------------------------------------------------------ */

static void
answer_error (struct job *job, int number, const char *text)
{
    buf_clear (&job->reply);
    message_encode_error (&job->reply, job->message->envelope.id, number, text);
    job->ok = false;
    job->error = number;
    memset (&job->effects, 0, sizeof job->effects);
}

static bool
wants_stored_reply (const struct job *job)
{
    return job->message->type->effect == EFFECT_MUTATES && job->message->envelope.client.data;
}

static void
retry_key_of (const struct job *job, struct retry_key *out)
{
    const struct envelope *envelope = &job->message->envelope;

    memcpy (out->client, envelope->client.data, sizeof out->client);
    out->id = envelope->id;
    out->seen = envelope->seen == WIRE_UNKNOWN ? 0 : envelope->seen;
    out->crc = crc32_of (0, job->message->frame.data, job->message->frame.size);
}

static int
handle (struct batch_context *context, struct job *job, struct txn *txn, litedfs_error_t *error)
{
    const struct op_row *row = ops_find (job->message->type->number);
    struct op op = {
        .txn = txn,
        .settings = context->settings,
        .nodes = context->nodes,
        .balance = context->balance,
        .sender = &job->sender,
        .effects = &job->effects,
        .error = error,
    };

    if (!row)
        return err_set (error, LITEDFS_UNSUPPORTED, "%s: not known here",
                        job->message->type->op);
    if (!row->when_full && context->no_room.number < 0) {
        *error = context->no_room;
        return LITEDFS_REFUSED; // for run_job: it is no trouble of the transaction's
    }
    return ops_run (row, &op, job->message, &job->reply);
}

/* The stored reply of a request that was answered before, or handle it and store the reply. */
static int
handle_once (struct batch_context *context, struct job *job, struct txn *txn,
             litedfs_error_t *error)
{
    struct retry_key key;
    struct slice op = slice_str (job->message->type->op), stored;

    if (!wants_stored_reply (job))
        return handle (context, job, txn, error);
    retry_key_of (job, &key);
    int rc = retry_find (txn, &key, op, &stored, error);
    if (rc < 0)
        return rc;
    if (stored.data) {
        buf_put (&job->reply, stored.data, stored.size);
        return 0;
    }
    rc = handle (context, job, txn, error);
    return rc < 0 ? rc : retry_store (txn, &key, op, buf_slice (&job->reply), error);
}

/* 0 when the job has its reply; trouble otherwise. */
static int
run_job (struct batch_context *context, struct job *job, struct txn *txn,
         litedfs_error_t *error)
{
    uint64_t written = txn_written (txn);

    buf_clear (&job->reply);
    memset (&job->effects, 0, sizeof job->effects);
    job->ok = true;
    job->error = 0;
    int rc = handle_once (context, job, txn, error);
    if (rc == 0)
        return job->reply.failed ? err_set (error, LITEDFS_MEMORY, "out of memory") : 0;
    if (is_trouble (rc) || txn_written (txn) != written)
        return rc;
    answer_error (job, error->number, error->text);
    return 0;
}

/* ---- all of them --------------------------------------------------------------------------------- */

struct group {
    struct batch_context *context;
    struct job *jobs;
    size_t count;
};

static int
run_group (void *arg, struct txn *txn, litedfs_error_t *error)
{
    struct group *group = arg;
    int rc = 0;

    for (size_t i = 0; i < group->count && rc == 0; i++)
        rc = run_job (group->context, &group->jobs[i], txn, error);
    return rc;
}

static int
run_single (struct batch_context *context, struct job *job, litedfs_error_t *error)
{
    struct group alone = {context, job, 1};

    look_for_room (context);
    int rc = steadily (context, run_group, &alone, error);

    if (rc == LITEDFS_IO)
        return rc;
    if (rc < 0) {
        int number = rc == METASTORE_MAP_FULL ? LITEDFS_NO_SPACE : rc;
        log_error (context->log, "%s: %s", job->message->type->op, error->text);
        answer_error (job, number, error->text);
    }
    return job->reply.failed ? err_set (error, LITEDFS_MEMORY, "out of memory") : 0;
}

int
batch_run (struct batch_context *context, struct job *jobs, size_t count,
           litedfs_error_t *error)
{
    struct group all = {context, jobs, count};

    look_for_room (context);
    int rc = steadily (context, run_group, &all, error);

    if (rc == 0 || rc == LITEDFS_IO)
        return rc;
    if (count > 1)
        log_warning (context->log, "%zu requests are run again one by one: %s", count,
                     error->text);
    rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = run_single (context, &jobs[i], error);
    return rc;
}
