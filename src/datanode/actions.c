/* SPDX-License-Identifier: MIT */
/*
 * What the pipeline wants, carried out: answers go to the router, bytes to the disk pool, chunks and acks
 * to the peers.
 *
 * Bytes are never copied.  A payload is one message that the pipeline holds; the disk pool and the peers
 * get references to it.  When the pipeline gives it back, what still waits in a queue is taken out of it:
 * nobody needs it any more.
 */
#include "base/err.h"
#include "datanode/datanode_impl.h"

#include <inttypes.h>
#include <stdlib.h>

#define URGENT_MAX ((size_t) 256 << 10) // bytes of a chunk that overtakes

int
actions_look_up (struct datanode *self, uint64_t block, struct pipeline_known *out,
                 litedfs_error_t *error)
{
    struct blockstore_block found;
    int rc = blockstore_stat (self->store, block, &found, error);

    *out = (struct pipeline_known){.finished = false};
    if (rc == 0)
        *out =
            (struct pipeline_known){.finished = true, .size = found.size, .crc32 = found.crc};
    else if (rc == LITEDFS_LEASE_LOST)
        out->buried = true;
    else if (rc != LITEDFS_NOT_FOUND)
        return rc;
    return 0;
}

/* ---- payloads ----------------------------------------------------------------------------------- */

zmq_msg_t *
actions_hold (zmq_msg_t *from)
{
    zmq_msg_t *held = malloc (sizeof *held);

    if (held != NULL) {
        zmq_msg_init (held);
        zmq_msg_move (held, from);
    }
    return held;
}

void
actions_release (struct datanode *self, zmq_msg_t *payload)
{
    if (payload == NULL)
        return;
    peers_forget (self->peers, payload);
    zmq_msg_close (payload);
    free (payload);
}

/* ---- to who asked ------------------------------------------------------------------------------- */

static void
reply_action (struct datanode *self, const struct pipeline_action *action)
{
    struct parked parked = parking_leave (&self->parking, action->token);

    if (action->error == 0)
        parked_reply (&parked, self->router, action);
    else
        router_reply_error (self->router, &parked.route, parked.id, action->error,
                            action->text);
}

/* ---- to the disk -------------------------------------------------------------------------------- */

/* Give bytes to the disk.  The job's token is their number, for pipeline_written. */
static void
write_action (struct datanode *self, const struct pipeline_action *action)
{
    struct disk_job job = {.kind = DISK_WRITE,
                           .token = action->size,
                           .block = action->block,
                           .offset = action->offset,
                           .last = action->last,
                           .copy = action->copy,
                           .count = action->count,
                           .file = action->file,
                           .index = action->index,
                           .path = action->path,
                           .units = action->size > 0 ? action->units : NULL,
                           .unit_count = action->unit_count};
    zmq_msg_t bytes;
    litedfs_error_t error;

    zmq_msg_init (&bytes);
    if (action->payload != NULL)
        zmq_msg_copy (&bytes, action->payload);
    int rc = diskpool_submit (self->pool, &job, &bytes, &error);
    zmq_msg_close (&bytes);
    if (rc < 0)
        pipeline_written (self->pipeline, datanode_now (self), action->block, action->size,
                          &error);
}

static void
compare_action (struct datanode *self, const struct pipeline_action *action)
{
    litedfs_error_t error;

    if (serve_compare (self->serve, parking_session (&self->parking, action->token),
                       action->block, action->offset, action->size, action->crc32,
                       action->token, &error) < 0)
        pipeline_compared (self->pipeline, action->block, action->token, false, NULL, &error);
}

void
actions_compared (void *context, uint64_t block, uint64_t token, bool equal,
                  const litedfs_error_t *problem)
{
    struct datanode *self = context;
    struct pipeline_known known = {.finished = false};
    litedfs_error_t error;

    if (problem == NULL && actions_look_up (self, block, &known, &error) < 0)
        problem = &error;
    pipeline_compared (self->pipeline, block, token, equal, &known, problem);
    actions_run (self);
}

static void
abandon_action (struct datanode *self, const struct pipeline_action *action)
{
    struct disk_job job = {.kind = DISK_ABANDON, .block = action->block};
    litedfs_error_t error;

    if (diskpool_submit (self->pool, &job, NULL, &error) < 0)
        log_warning (self->options.log, "block %016" PRIx64 " keeps its space: %s",
                     action->block, error.text);
}

/* ---- to other nodes ----------------------------------------------------------------------------- */

static void
send_parcel (struct datanode *self, uint32_t node, const struct parcel *parcel)
{
    litedfs_error_t error;

    if (!peers_know (self->peers, node))
        intake_ask_for (self, node);
    if (peers_send (self->peers, node, parcel, &error) < 0)
        log_debug (self->options.log, "block %016" PRIx64 ": not sent to node %" PRIu32 ": %s",
                   parcel->block, node, error.text);
}

/* Pass a chunk on.  What cannot be sent is not acked, and the pipeline goes on from there. */
static void
forward_action (struct datanode *self, const struct pipeline_action *action)
{
    bool nothing = action->size == 0 && !action->last;
    struct parcel parcel = {.kind = nothing ? PARCEL_SIGN : PARCEL_CHUNK,
                            .block = action->block,
                            .offset = action->offset,
                            .urgent = action->offset == 0 && action->last &&
                                      action->size <= URGENT_MAX,
                            .payload = action->payload,
                            .owner = action->payload};
    litedfs_error_t error;

    if (action->node == self->node)
        err_set (&error, LITEDFS_WRONG_NODE, "this node is no part of its own chain");
    else if (chain_encode_write (self->chain, self->node, action, &parcel.header, &error) ==
             0) {
        send_parcel (self, action->node, &parcel);
        metric_add (self->metrics, METRIC_CHAIN_FORWARDED, 0, action->size);
        return;
    }
    log_error (self->options.log, "block %016" PRIx64 " is not passed on: %s", action->block,
               error.text);
}

static void
ack_action (struct datanode *self, const struct pipeline_action *action)
{
    struct parcel parcel = {.kind = PARCEL_ACK, .block = action->block, .urgent = true};
    litedfs_error_t error;

    if (chain_encode_ack (self->chain, self->node, action, &parcel.header, &error) == 0)
        send_parcel (self, action->node, &parcel);
    else
        log_error (self->options.log, "block %016" PRIx64 " is not acked: %s", action->block,
                   error.text);
}

void
actions_refuse (struct datanode *self, uint32_t node, uint64_t block,
                const litedfs_error_t *error)
{
    const struct pipeline_replica own = {.node = self->node, .state = REPLICA_FAILED};
    const struct pipeline_action action = {.kind = PIPELINE_ACK,
                                           .block = block,
                                           .node = node,
                                           .error = error->number,
                                           .text = error->text,
                                           .replicas = &own,
                                           .replica_count = 1};

    ack_action (self, &action);
}

/* A node is passed over in a block: what waits for it there must not reach it, and an operator may want
 * to know. */
static void
passed_action (struct datanode *self, const struct pipeline_action *action)
{
    peers_pass_over (self->peers, action->node, action->block);
    log_warning (self->options.log, "block %016" PRIx64 ": node %" PRIu32 " is passed over: %s",
                 action->block, action->node, action->text);
}

/* ---- copies by order ---------------------------------------------------------------------------- */

static int
copy_submit (void *context, const struct disk_job *job, litedfs_error_t *error)
{
    struct datanode *self = context;

    return diskpool_submit (self->pool, job, NULL, error);
}

static int
copy_start (void *context, const struct pipeline_copy *copy, litedfs_error_t *error)
{
    struct datanode *self = context;

    if (copy->target == self->node)
        return err_set (error, LITEDFS_INVALID, "the target is this node");
    return pipeline_start_copy (self->pipeline, datanode_now (self), copy, error);
}

static void
copy_was_read (void *context, uint64_t block, uint64_t offset, zmq_msg_t *payload,
               const litedfs_error_t *error)
{
    struct datanode *self = context;
    litedfs_error_t own;
    zmq_msg_t *held = error == NULL ? actions_hold (payload) : NULL;

    if (error == NULL && held == NULL) {
        err_set (&own, LITEDFS_MEMORY, "out of memory");
        error = &own;
    }
    if (!pipeline_was_read (self->pipeline, datanode_now (self), block, offset,
                            held != NULL ? zmq_msg_data (held) : NULL,
                            held != NULL ? zmq_msg_size (held) : 0, held, error))
        actions_release (self, held);
}

static void
copy_failed (void *context, uint64_t block, uint32_t target, int number)
{
    struct datanode *self = context;
    const struct note note = {
        .kind = NOTE_FAILED, .node = target, .block = block, .error.number = number};

    if (target != 0)
        note_send (self->notes, &note, NULL, 0);
}

struct copy_calls
actions_copy_calls (struct datanode *self)
{
    return (struct copy_calls){.context = self,
                               .submit = copy_submit,
                               .start = copy_start,
                               .was_read = copy_was_read,
                               .failed = copy_failed};
}

/* ---- all of them -------------------------------------------------------------------------------- */

void
actions_run (struct datanode *self)
{
    struct pipeline_action action;

    while (pipeline_next (self->pipeline, &action)) {
        switch (action.kind) {
        case PIPELINE_REPLY:
            reply_action (self, &action);
            break;
        case PIPELINE_WRITE:
            write_action (self, &action);
            break;
        case PIPELINE_FORWARD:
            forward_action (self, &action);
            break;
        case PIPELINE_ACK:
            ack_action (self, &action);
            break;
        case PIPELINE_RELEASE:
            actions_release (self, action.payload);
            break;
        case PIPELINE_COMPARE:
            compare_action (self, &action);
            break;
        case PIPELINE_ABANDON:
            abandon_action (self, &action);
            break;
        case PIPELINE_READ:
            copy_read (self->copy, datanode_now (self), &action);
            break;
        case PIPELINE_COPIED:
            copy_ended (self->copy, datanode_now (self), &action);
            break;
        case PIPELINE_PASSED:
            passed_action (self, &action);
            break;
        }
    }
}
