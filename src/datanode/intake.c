/* SPDX-License-Identifier: MIT */
/*
 * What comes in: requests of clients, chunks and acks of other nodes, what the disk pool did, notes of the
 * uplink.  Each is made an event of the pipeline, or handed to serve or copy; what the pipeline then wants
 * is done at once.
 */
#include "base/err.h"
#include "datanode/datanode_impl.h"
#include "datanode/nodetable.h"

#include <inttypes.h>
#include <stdlib.h>

#define TURN_MESSAGES 256             // taken from the router, and from the chain, in a turn
#define TURN_BYTES ((size_t) 4 << 20) // and of payload
#define UNKNOWN_MS 200                // between questions where a node is

/* ---- requests ----------------------------------------------------------------------------------- */

/* A node answers only what is meant for it: its port may have been another's yesterday. */
static int
check_node (const struct datanode *self, uint64_t node, litedfs_error_t *error)
{
    if (self->node == 0)
        return err_set (error, LITEDFS_BUSY,
                        "this node has no number yet; it waits for the name node");
    if (node != self->node)
        return err_set (error, LITEDFS_WRONG_NODE,
                        "the request is for node %" PRIu64 "; this is node %" PRIu32, node,
                        self->node);
    return 0;
}

/* Park a request for the pipeline, and say what the store knows of a block that the pipeline does not
 * have. */
static int
prepare (struct datanode *self, const struct request *request, uint64_t block,
         struct pipeline_known *known, uint64_t *out_token, litedfs_error_t *error)
{
    *known = (struct pipeline_known){.finished = false};
    if (!pipeline_has (self->pipeline, block) &&
        actions_look_up (self, block, known, error) < 0)
        return error->number;
    return parking_enter (&self->parking, request, out_token, error);
}

static int
on_block_write (void *context, struct request *request, litedfs_error_t *error)
{
    struct datanode *self = context;
    struct block_write_request fields;
    struct pipeline_known known;
    uint64_t token;

    if (message_request_fields (request->message, &fields, error) < 0 ||
        check_node (self, fields.node, error) < 0)
        return error->number;
    copy_yield (self->copy, datanode_now (self));
    zmq_msg_t *held = actions_hold (&request->payload);
    if (held == NULL)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    if (prepare (self, request, fields.block, &known, &token, error) < 0) {
        actions_release (self, held);
        return error->number;
    }
    struct pipeline_chunk chunk = {.block = fields.block,
                                   .offset = fields.offset,
                                   .data = zmq_msg_data (held),
                                   .size = zmq_msg_size (held),
                                   .crc32 = (uint32_t) fields.crc32,
                                   .last = fields.last,
                                   .file = fields.file,
                                   .index = fields.index,
                                   .path = fields.path,
                                   .count = fields.count,
                                   .chain = fields.chain,
                                   .chain_count = fields.chain_count,
                                   .payload = held};
    if (!pipeline_write (self->pipeline, datanode_now (self), &chunk, &known, token))
        actions_release (self, held);
    request_destroy (&request);
    actions_run (self);
    return 0;
}

static int
on_block_stat (void *context, struct request *request, litedfs_error_t *error)
{
    struct datanode *self = context;
    struct block_stat_request fields;
    struct pipeline_known known;
    uint64_t token;

    if (message_request_fields (request->message, &fields, error) < 0 ||
        check_node (self, fields.node, error) < 0 ||
        prepare (self, request, fields.block, &known, &token, error) < 0)
        return error->number;
    pipeline_stat (self->pipeline, datanode_now (self), fields.block, fields.wait, &known,
                   token);
    request_destroy (&request);
    actions_run (self);
    return 0;
}

static int
on_block_read (void *context, struct request *request, litedfs_error_t *error)
{
    struct datanode *self = context;
    struct block_read_request fields;

    if (message_request_fields (request->message, &fields, error) < 0 ||
        check_node (self, fields.node, error) < 0 ||
        serve_read (self->serve, request, &fields, error) < 0)
        return error->number;
    copy_yield (self->copy, datanode_now (self));
    request_destroy (&request);
    return 0;
}

static int
on_block_verify (void *context, struct request *request, litedfs_error_t *error)
{
    struct datanode *self = context;
    struct block_verify_request fields;
    struct scrub_status status;

    if (message_request_fields (request->message, &fields, error) < 0 ||
        check_node (self, fields.node, error) < 0 ||
        (fields.block != 0 && scrub_look (self->scrub, fields.block, error) < 0))
        return error->number;
    if (fields.all)
        scrub_begin (self->scrub);
    scrub_status (self->scrub, &status);
    const struct block_verify_reply reply = {.running = status.running,
                                             .started = (uint64_t) status.started_ms,
                                             .blocks = status.blocks,
                                             .bytes = status.bytes,
                                             .damaged = status.damaged};
    router_reply (self->router, &request->route, request->message->envelope.id,
                  &message_types[MESSAGE_block_verify], &reply, NULL);
    request_destroy (&request);
    return 0;
}

/* What this node serves. */
static const struct router_row rows[] = {
    {MESSAGE_block_write, on_block_write, PEER_CLIENT},
    {MESSAGE_block_read, on_block_read, PEER_CLIENT},
    {MESSAGE_block_stat, on_block_stat, PEER_CLIENT},
    {MESSAGE_block_verify, on_block_verify, PEER_CLIENT},
};

void
intake_words (const char *words[MESSAGE_COUNT])
{
    router_words (rows, sizeof rows / sizeof *rows, words);
}

static void
take_requests (struct datanode *self)
{
    struct request *request;
    uint64_t session;
    size_t bytes = 0;

    for (int i = 0;
         i < TURN_MESSAGES && bytes < TURN_BYTES && router_receive (self->router, &request);
         i++) {
        if (request->has_payload)
            bytes += zmq_msg_size (&request->payload);
        router_dispatch (self->router, rows, sizeof rows / sizeof *rows, self, PEER_CLIENT,
                         &request);
    }
    while (router_closed (self->router, &session))
        serve_forget (self->serve, session);
}

/* ---- the chain ---------------------------------------------------------------------------------- */

void
intake_ask_for (struct datanode *self, uint32_t node)
{
    struct note note = {.kind = NOTE_UNKNOWN, .node = node};

    if (datanode_now (self) < self->unknown_ms)
        return;
    self->unknown_ms = datanode_now (self) + UNKNOWN_MS;
    note_send (self->notes, &note, NULL, 0);
}

static void
on_chain_write (struct datanode *self, struct chain_event *event)
{
    struct pipeline_chunk *chunk = &event->chunk;
    struct pipeline_known known = {.finished = false};
    litedfs_error_t error;

    if (!pipeline_has (self->pipeline, chunk->block) &&
        actions_look_up (self, chunk->block, &known, &error) < 0) {
        actions_refuse (self, event->from, chunk->block, &error);
        return;
    }
    zmq_msg_t *held = actions_hold (&event->payload);
    if (held == NULL) {
        chain_dropped (self->chain, "out of memory");
        return;
    }
    chunk->data = zmq_msg_data (held);
    chunk->payload = held;
    if (!pipeline_write (self->pipeline, datanode_now (self), chunk, &known, 0))
        actions_release (self, held);
}

/* Take what other nodes have sent: whether that was all. */
static bool
take_chain (struct datanode *self)
{
    struct chain_event event;
    size_t bytes = 0;

    for (int i = 0; i < TURN_MESSAGES && bytes < TURN_BYTES; i++) {
        if (!chain_receive (self->chain, self->node, &event))
            return true;
        bytes += zmq_msg_size (&event.payload);
        metric_add (self->metrics, METRIC_CHAIN_RECEIVED, 0, zmq_msg_size (&event.payload));
        if (!peers_know (self->peers, event.from)) {
            chain_dropped (self->chain, "node %" PRIu32 " is not known here", event.from);
            intake_ask_for (self, event.from);
        } else if (event.kind == MESSAGE_chain_write) {
            on_chain_write (self, &event);
        } else {
            pipeline_acked (self->pipeline, datanode_now (self), &event.ack);
        }
        actions_run (self);
        chain_event_close (&event);
    }
    return false;
}

/* Hear how the other nodes do, after sending what has waited. */
static void
watch_peers (struct datanode *self)
{
    uint32_t node;

    peers_process (self->peers);
    while (peers_lost (self->peers, &node)) {
        pipeline_node_lost (self->pipeline, datanode_now (self), node);
        actions_run (self);
    }
}

/* ---- the disk and the uplink ----------------------------------------------------------------------- */

static void
on_disk_result (struct datanode *self, const struct disk_result *result, zmq_msg_t *payload)
{
    const litedfs_error_t *error = result->error.number != 0 ? &result->error : NULL;
    struct note note = {.kind = NOTE_EXECUTED};

    if (error != NULL && error->number == LITEDFS_CORRUPT)
        pipeline_lost (self->pipeline, result->block);
    if (copy_result (self->copy, datanode_now (self), result, payload))
        return; // the payload was taken
    switch (result->kind) {
    case DISK_WRITTEN:
        pipeline_written (self->pipeline, datanode_now (self), result->block,
                          (size_t) result->token, error);
        break;
    case DISK_DURABLE:
        pipeline_durable (self->pipeline, datanode_now (self), result->block, error);
        break;
    case DISK_READ_DONE:
        serve_result (self->serve, result, payload);
        return; // the payload was taken
    case DISK_EXECUTED:
        if (error == NULL)
            copy_orders (self->copy, datanode_now (self), zmq_msg_data (payload),
                         zmq_msg_size (payload) / sizeof (struct blockstore_order));
        note.error = result->error;
        note_send (self->notes, &note, NULL, 0);
        break;
    case DISK_DESCRIBED: // copy's alone
    case DISK_ABANDONED:
        break;
    }
    zmq_msg_close (payload);
}

/* Blocks that were found damaged have left the store, and may come again. */
static void
take_damaged (struct datanode *self)
{
    uint64_t block;

    while (scrub_found (self->scrub, &block))
        pipeline_lost (self->pipeline, block);
}

static void
take_results (struct datanode *self)
{
    struct disk_result result;
    zmq_msg_t payload;

    for (int i = 0; i < TURN_MESSAGES && diskpool_result (self->pool, &result, &payload); i++) {
        on_disk_result (self, &result, &payload);
        actions_run (self);
    }
}

/* Orders: nobody may write the blocks to be deleted any more, and the disk pool does the rest. */
static void
execute (struct datanode *self, const struct note *orders, const struct blockstore_order *list)
{
    struct note done = {.kind = NOTE_EXECUTED};
    struct disk_job job = {.kind = DISK_EXECUTE,
                           .epoch = orders->epoch,
                           .orders = list,
                           .order_count = orders->count};

    for (size_t i = 0; i < orders->count; i++) {
        if (list[i].kind != ORDER_DELETE)
            continue;
        pipeline_forget (self->pipeline, datanode_now (self), list[i].block);
        actions_run (self);
    }
    if (diskpool_submit (self->pool, &job, NULL, &done.error) < 0)
        note_send (self->notes, &done, NULL, 0);
}

/* Where other nodes are. */
static void
learn (struct datanode *self, const struct nodetable_entry *entries, size_t count)
{
    litedfs_error_t error;

    for (size_t i = 0; i < count; i++)
        if (peers_set (self->peers, entries[i].node, entries[i].host, entries[i].chain_port,
                       &error) < 0)
            log_warning (self->options.log, "node table: %s", error.text);
}

static void
take_notes (struct datanode *self)
{
    struct note note;
    void *more;

    while (note_receive (self->notes, &note, &more)) {
        if (note.kind == NOTE_STATE) {
            self->node = note.node;
            pipeline_set_node (self->pipeline, note.node);
            pipeline_set_full (self->pipeline, note.full);
        } else if (note.kind == NOTE_ORDERS) {
            execute (self, &note, more);
        } else if (note.kind == NOTE_TABLE) {
            learn (self, more, note.count);
        }
        free (more);
    }
}

/* ---- all of it ---------------------------------------------------------------------------------- */

bool
intake_turn (struct datanode *self)
{
    take_results (self);
    take_damaged (self);
    take_notes (self);
    bool all = take_chain (self);
    take_requests (self);
    watch_peers (self);
    return all;
}
