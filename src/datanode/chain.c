/* SPDX-License-Identifier: MIT */
/*
 * A PULL and the codec of two messages.
 *
 * Every field is checked by the schema, and here what the schema cannot know: who a message is meant for,
 * how large its payload is, that lists fit.  What a pipeline makes of offsets, states and numbers is its
 * own affair; it takes any.
 */
#include "datanode/chain.h"

#include "base/err.h"
#include "base/text.h"
#include "datanode/ports.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GARBAGE_MAX 64 // messages in a row that are dropped before the owner has its turn
#define DROPS_LOG_MS 60000
#define DROP_TEXT_SIZE 256
#define CHAIN_MAX 63 // nodes that follow, on the wire

struct chain {
    void *socket;
    int port;
    uint64_t id; // of the last message that was encoded
    struct buf encoded;
    uint64_t drops;
    uint64_t logged_drops;
    int64_t log_ms; // when drops may be logged again
    struct log *log;
    const struct clock *clock;
};

/* ---- what is dropped ---------------------------------------------------------------------------- */

void
chain_dropped (struct chain *self, const char *format, ...)
{
    int64_t now_ms = clock_mono (self->clock);
    char text[DROP_TEXT_SIZE];
    va_list args;

    self->drops++;
    if (self->logged_drops > 0 && now_ms < self->log_ms)
        return;
    va_start (args, format);
    vsnprintf (text, sizeof text, format, args);
    va_end (args);
    log_warning (self->log, "chain port %d: %" PRIu64 " messages dropped, the last one: %s",
                 self->port, self->drops - self->logged_drops, text);
    self->logged_drops = self->drops;
    self->log_ms = now_ms + DROPS_LOG_MS;
}

uint64_t
chain_drops (const struct chain *self)
{
    return self->drops;
}

/* ---- coming in ---------------------------------------------------------------------------------- */

static int
read_write (struct chain_event *event, uint64_t *to, litedfs_error_t *error)
{
    struct chain_write_request fields;

    if (message_request_fields (event->message, &fields, error) < 0)
        return error->number;
    if (zmq_msg_size (&event->payload) > WIRE_CHUNK_MAX)
        return err_set (error, LITEDFS_INVALID, "the payload is larger than a chunk");
    *to = fields.node;
    event->from = (uint32_t) fields.from;
    event->chunk = (struct pipeline_chunk){.block = fields.block,
                                           .offset = fields.offset,
                                           .size = zmq_msg_size (&event->payload),
                                           .crc32 = (uint32_t) fields.crc32,
                                           .last = fields.last,
                                           .file = fields.file,
                                           .index = fields.index,
                                           .path = fields.path,
                                           .count = fields.count,
                                           .chain = fields.chain,
                                           .chain_count = fields.chain_count,
                                           .from = (uint32_t) fields.from,
                                           .copy = fields.copy};
    return 0;
}

static int
read_ack (struct chain_event *event, uint64_t *to, litedfs_error_t *error)
{
    struct chain_ack_request fields;

    if (message_request_fields (event->message, &fields, error) < 0)
        return error->number;
    if (fields.nodes_count == 0 || fields.nodes_count > PIPELINE_NODES_MAX)
        return err_set (error, LITEDFS_INVALID, "the list of nodes has %zu entries",
                        fields.nodes_count);
    for (size_t i = 0; i < fields.nodes_count; i++)
        event->replicas[i] =
            (struct pipeline_replica){.node = (uint32_t) fields.nodes[i].node,
                                      .state = (enum replica_state) fields.nodes[i].state,
                                      .offset = fields.nodes[i].offset,
                                      .awaits = (uint32_t) fields.nodes[i].awaits};
    *to = fields.node;
    event->from = (uint32_t) fields.from;
    event->ack = (struct pipeline_ack){
        .block = fields.block,
        .from = event->from,
        .credit = fields.credit,
        .replicas = event->replicas,
        .replica_count = fields.nodes_count,
        .why = text_escape (fields.why.data, fields.why.size, event->why, sizeof event->why)};
    if (fields.failure.size > 0)
        event->ack.failure = err_from_word (fields.failure.data, fields.failure.size);
    return 0;
}

/* Make an event of frames, or say why not. */
static int
read_event (struct chain_event *event, unsigned frames, uint32_t node, litedfs_error_t *error)
{
    uint64_t id;
    uint64_t to = 0;
    int rc;

    if (frames == 0 || frames > SOCKET_FRAMES_MAX)
        return err_set (error, LITEDFS_INVALID, "a message of %u frames", frames);
    struct slice frame =
        slice_of (zmq_msg_data (&event->header), zmq_msg_size (&event->header));
    if (message_parse_request (frame, &event->message, &id, error) < 0)
        return error->number;
    event->kind = event->message->type != NULL ? event->message->type->number : MESSAGE_COUNT;
    if (event->kind == MESSAGE_chain_write)
        rc = read_write (event, &to, error);
    else if (event->kind == MESSAGE_chain_ack)
        rc = read_ack (event, &to, error);
    else
        rc = err_set (error, LITEDFS_UNSUPPORTED, "an op that is not for data nodes");
    if (rc == 0 && (node == 0 || to != node || event->from == node))
        rc = err_set (error, LITEDFS_WRONG_NODE,
                      "it is for node %" PRIu64 " from node %" PRIu32 "; this is node %" PRIu32,
                      to, event->from, node);
    return rc;
}

bool
chain_receive (struct chain *self, uint32_t node, struct chain_event *out)
{
    struct socket_body body;
    litedfs_error_t error;

    for (int i = 0; i < GARBAGE_MAX && socket_receive_body (self->socket, &body) == 0; i++) {
        out->message = NULL;
        zmq_msg_init (&out->header);
        zmq_msg_init (&out->payload);
        zmq_msg_move (&out->header, &body.header);
        zmq_msg_move (&out->payload, &body.payload);
        socket_body_close (&body);
        if (read_event (out, body.frames, node, &error) == 0)
            return true;
        chain_dropped (self, "%s", error.text);
        chain_event_close (out);
    }
    return false;
}

void
chain_event_close (struct chain_event *self)
{
    message_destroy (&self->message);
    zmq_msg_close (&self->header);
    zmq_msg_close (&self->payload);
}

/* ---- going out ---------------------------------------------------------------------------------- */

static int
encode (struct chain *self, enum message_number number, const void *fields, struct slice *out,
        litedfs_error_t *error)
{
    struct envelope envelope = {.id = ++self->id, .seen = WIRE_UNKNOWN};

    buf_clear (&self->encoded);
    if (message_encode_request (&self->encoded, &message_types[number], fields, &envelope,
                                error) < 0)
        return error->number;
    *out = buf_slice (&self->encoded);
    return 0;
}

int
chain_encode_write (struct chain *self, uint32_t node, const struct pipeline_action *action,
                    struct slice *out, litedfs_error_t *error)
{
    struct chain_write_request fields;
    uint64_t chain[CHAIN_MAX];

    if (action->chain_count > CHAIN_MAX)
        return err_set (error, LITEDFS_INVALID, "a chain of %zu nodes", action->chain_count);
    if (action->chain_count > 0)
        memcpy (chain, action->chain, action->chain_count * sizeof *chain);
    message_request_init (&message_types[MESSAGE_chain_write], &fields);
    fields.block = action->block;
    fields.node = action->node;
    fields.from = node;
    fields.offset = action->offset;
    fields.crc32 = action->crc32;
    fields.last = action->last;
    fields.chain = chain;
    fields.chain_count = action->chain_count;
    fields.file = action->file;
    fields.index = action->index;
    if (action->path.size > 0)
        fields.path = action->path;
    fields.count = action->count;
    fields.copy = action->copy;
    return encode (self, MESSAGE_chain_write, &fields, out, error);
}

int
chain_encode_ack (struct chain *self, uint32_t node, const struct pipeline_action *action,
                  struct slice *out, litedfs_error_t *error)
{
    struct chain_ack_request fields;
    struct wire_replica nodes[PIPELINE_NODES_MAX];

    if (action->replica_count > PIPELINE_NODES_MAX)
        return err_set (error, LITEDFS_INVALID, "a list of %zu nodes", action->replica_count);
    message_request_init (&message_types[MESSAGE_chain_ack], &fields);
    for (size_t i = 0; i < action->replica_count; i++)
        nodes[i] = (struct wire_replica){.node = action->replicas[i].node,
                                         .offset = action->replicas[i].offset,
                                         .state = action->replicas[i].state,
                                         .awaits = action->replicas[i].awaits};
    fields.block = action->block;
    fields.node = action->node;
    fields.from = node;
    fields.credit = action->state.credit;
    fields.nodes = nodes;
    fields.nodes_count = action->replica_count;
    if (action->error != 0) {
        const char *why = action->text != NULL && *action->text != '\0'
                              ? action->text
                              : err_text (action->error);
        fields.failure = slice_str (err_word (action->error));
        fields.why = slice_of (why, strnlen (why, CHAIN_WHY_SIZE));
    }
    return encode (self, MESSAGE_chain_ack, &fields, out, error);
}

/* ---- life --------------------------------------------------------------------------------------- */

int
chain_port (const struct chain *self)
{
    return self->port;
}

void *
chain_socket (struct chain *self)
{
    return self->socket;
}

int
chain_new (struct chain **out, const struct chain_options *options, litedfs_error_t *error)
{
    struct socket_options socket_options = {.zap_domain = options->domain};
    struct chain *self = calloc (1, sizeof *self);

    if (self == NULL)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    self->log = options->log;
    self->clock = options->clock;
    self->socket = socket_new (SOCKET_PULL_PEER, &socket_options, error);
    if (self->socket == NULL ||
        ports_bind_socket (self->socket, options->host, options->port, options->port_path,
                           &self->port, options->log, error) < 0) {
        chain_destroy (&self);
        return error->number;
    }
    *out = self;
    return 0;
}

void
chain_destroy (struct chain **self_p)
{
    struct chain *self = *self_p;

    if (self == NULL)
        return;
    *self_p = NULL;
    socket_close (&self->socket);
    buf_free (&self->encoded);
    free (self);
}
