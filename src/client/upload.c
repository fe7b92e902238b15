/* SPDX-License-Identifier: MIT */
/*
 * Uploads: litedfs_upload.
 *
 * A lease on the name is taken, blocks are allocated a few at a time and written to their nodes at once
 * (blockwriter.c), and one commit makes the file visible.  A block whose node fails is allocated anew,
 * naming the node as a suspect, and sent again.  Any failure gives the lease up, so that nothing
 * is left but garbage that the name node knows.  Memory is a few chunks a block, whatever the file's size.
 */
#include "client/blockwriter.h"
#include "client/renewer.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define BLOCKS_AT_ONCE 4
#define DONE_MAX 64 // finished blocks in one message
#define SUSPECTS_MAX 64
#define ABANDON_MS 2000 // how long giving up may take
#define TTL_S 60
#define BUSY_MS 200     // pause before a name node that is busy is asked again
#define NO_NODE_MS 4000 // a node that restarts is back so soon after its connection is

/* A block that the name node has given us and that nobody has begun to write. */
struct allocated {
    uint64_t index;
    uint64_t block;
    struct peer *peer;
};

struct upload {
    litedfs_t *session;
    const char *path;
    litedfs_upload_options_t options;
    struct source *source;
    struct renewer *renewer;

    struct uuid file;
    uint8_t lease[WIRE_LEASE_SIZE];
    bool leased;
    uint64_t block_size;

    struct blockwriter blocks[BLOCKS_AT_ONCE];
    struct allocated allocated[BLOCKS_AT_ONCE];
    size_t allocated_count;
    uint64_t next_index;           // the first one that was never asked for
    uint64_t redo[BLOCKS_AT_ONCE]; // indices whose node has failed
    size_t redo_count;
    bool asking;           // an allocate is under way
    int64_t ask_after_ms;  // monotonic; not before
    int64_t busy_since_ms; // monotonic; the name node has had no node for us since; 0: it has
    int64_t away_ms;       // monotonic; when a node of ours was seen to be away while we waited

    struct wire_finished done[DONE_MAX]; // not yet told to the name node
    uint64_t done_nodes[DONE_MAX];
    size_t done_count;
    size_t done_asked; // of them are in the allocate under way
    uint64_t finished; // blocks, in all
    uint64_t durable;  // bytes of them

    uint64_t suspects[SUSPECTS_MAX];
    size_t suspects_count;
    litedfs_error_t last_failure; // of a node, for the text when no other is left

    int failed;
    litedfs_error_t error;
};

static int64_t
patience_ms (const struct upload *self)
{
    return (int64_t) (self->options.ttl_s ? self->options.ttl_s : TTL_S) * 1000;
}

/* A request about the lease, which goes on through a restart of the name node for the lease's TTL. */
static int
call (struct upload *self, enum message_number number, const void *fields,
      litedfs_error_t *error)
{
    return dealer_call (self->session->name, &message_types[number], fields, NULL, NULL, NULL,
                        patience_ms (self), self->session->cancel_fd, error);
}

/* ---- allocation --------------------------------------------------------------------------------------- */

static int
take_allocations (struct upload *self, const struct wire_allocation *list, size_t count,
                  litedfs_error_t *error)
{
    for (size_t i = 0; i < count && self->allocated_count < BLOCKS_AT_ONCE; i++) {
        struct allocated *to = &self->allocated[self->allocated_count];
        if (list[i].nodes_count == 0)
            return err_set (error, LITEDFS_INVALID,
                            "the name node gave block %llu without a node",
                            (unsigned long long) list[i].index);
        int rc = session_peer (self->session, &list[i].nodes[0], &to->peer, error);
        if (rc < 0)
            return rc;
        to->index = list[i].index;
        to->block = list[i].block;
        self->allocated_count++;
        if (to->index >= self->next_index)
            self->next_index = to->index + 1;
    }
    return 0;
}

static void
fail (struct upload *self, const litedfs_error_t *error)
{
    if (self->failed == 0) {
        self->failed = error->number;
        self->error = *error;
        if (error->number == LITEDFS_NO_NODE && self->last_failure.number)
            err_prefix (&self->error, "%s; then", self->last_failure.text);
    }
}

static bool
is_suspect (const struct upload *self, uint32_t node)
{
    for (size_t i = 0; i < self->suspects_count; i++)
        if (self->suspects[i] == node)
            return true;
    return false;
}

/* Whether a node that may still write for us has no connection now. */
static bool
node_is_away (const struct upload *self)
{
    for (const struct peer *peer = self->session->peers; peer; peer = peer->next)
        if (!dealer_connected (peer->dealer) && !is_suspect (self, peer->node))
            return true;
    return false;
}

/* The name node is busy, or has just started and waits for its data nodes; or, in mid-transfer, none of
 * them can take a block, and some are perhaps only being restarted: whether it shall be asked again. */
static bool
wait_for_name (struct upload *self, const litedfs_error_t *failure)
{
    int64_t now_ms = clock_mono (self->session->clock);
    bool no_node = failure->number == LITEDFS_NO_NODE && self->leased;

    if (failure->number != LITEDFS_BUSY && !no_node)
        return false;
    if (self->busy_since_ms == 0)
        self->busy_since_ms = self->away_ms = now_ms;
    if (node_is_away (self))
        self->away_ms = now_ms;
    self->ask_after_ms = now_ms + BUSY_MS;
    return now_ms - self->busy_since_ms < patience_ms (self) &&
           (!no_node || now_ms - self->away_ms < NO_NODE_MS);
}

static void
on_allocate (void *arg, struct message *message, zmq_msg_t *payload,
             const litedfs_error_t *failure)
{
    struct upload *self = arg;
    struct file_allocate_reply reply;
    litedfs_error_t error;
    (void) payload;

    self->asking = false;
    if (failure) {
        if (!wait_for_name (self, failure))
            fail (self, failure);
    } else if (message_reply_fields (message, &message_types[MESSAGE_file_allocate], &reply,
                                     &error) < 0 ||
               take_allocations (self, reply.blocks, reply.blocks_count, &error) < 0) {
        fail (self, &error);
    } else {
        self->busy_since_ms = 0;
        // What was told need not be told again.
        size_t left = self->done_count - self->done_asked;
        memmove (self->done, self->done + self->done_asked, left * sizeof *self->done);
        memmove (self->done_nodes, self->done_nodes + self->done_asked,
                 left * sizeof *self->done_nodes);
        for (size_t i = 0; i < left; i++)
            self->done[i].nodes = &self->done_nodes[i];
        self->done_count = left;
        if (self->redo_count > 0 && reply.blocks_count > 0 &&
            reply.blocks[0].index == self->redo[0]) {
            self->redo_count--;
            memmove (self->redo, self->redo + 1, self->redo_count * sizeof *self->redo);
        }
    }
}

/* How many new blocks to ask for: none while some wait, nor past the end. */
static uint64_t
blocks_wanted (const struct upload *self)
{
    uint64_t count = source_count (self->source);
    uint64_t wanted = 0;

    if (self->allocated_count > 0)
        return 0;
    for (int i = 0; i < BLOCKS_AT_ONCE; i++)
        wanted += self->blocks[i].state == BLOCKWRITER_IDLE;
    if (count == UINT64_MAX) {
        bool complete;
        return wanted && source_available (self->source, self->next_index, &complete) > 0;
    }
    return wanted < count - self->next_index ? wanted : count - self->next_index;
}

/* Ask for the next blocks, or for another node for one that failed; tell what is finished. */
static void
ask_for_blocks (struct upload *self)
{
    uint64_t wanted = blocks_wanted (self);
    bool redo = self->redo_count > 0 && self->allocated_count == 0;

    if (self->asking || clock_mono (self->session->clock) < self->ask_after_ms ||
        (!redo && wanted == 0 && self->done_count < DONE_MAX / 2))
        return;
    struct file_allocate_request request = {
        .file = self->file,
        .lease = slice_of (self->lease, WIRE_LEASE_SIZE),
        .index = redo ? self->redo[0] : self->next_index,
        .count = redo ? 1 : wanted,
        .done = self->done,
        .done_count = self->done_count,
        .suspects = self->suspects,
        .suspects_count = self->suspects_count,
    };
    litedfs_error_t error;

    if (dealer_send (self->session->name, &message_types[MESSAGE_file_allocate], &request, NULL,
                     patience_ms (self), on_allocate, self, &error) < 0) {
        fail (self, &error);
        return;
    }
    self->asking = true;
    self->done_asked = self->done_count;
}

/* ---- blocks --------------------------------------------------------------------------------------------- */

static void
add_suspect (struct upload *self, uint32_t node)
{
    if (!is_suspect (self, node) && self->suspects_count < SUSPECTS_MAX)
        self->suspects[self->suspects_count++] = node;
}

static void
finish_block (struct upload *self, struct blockwriter *block)
{
    self->done_nodes[self->done_count] = block->peer->node;
    self->done[self->done_count] = (struct wire_finished){
        .index = block->index,
        .block = block->block,
        .size = block->size,
        .crc32 = block->crc32,
        .nodes = &self->done_nodes[self->done_count],
        .nodes_count = 1,
    };
    self->done_count++;
    self->finished++;
    self->durable += block->size;
    source_release (self->source, block->index);
    blockwriter_stop (block);
}

/* The node will not take it: another shall. */
static void
redo_block (struct upload *self, struct blockwriter *block)
{
    self->last_failure = block->error;
    add_suspect (self, block->peer->node);
    self->redo[self->redo_count++] = block->index;
    blockwriter_stop (block);
}

static void
start_block (struct upload *self, struct blockwriter *block)
{
    struct allocated next = self->allocated[0];
    litedfs_error_t error;

    self->allocated_count--;
    memmove (self->allocated, self->allocated + 1,
             self->allocated_count * sizeof *self->allocated);
    block->session = self->session;
    block->source = self->source;
    block->path = self->path;
    block->file = self->file;
    if (blockwriter_start (block, next.index, next.block, self->block_size, next.peer, &error) <
        0)
        fail (self, &error);
}

/* One look at everything: begin, send, finish, fail. */
static void
advance (struct upload *self)
{
    litedfs_error_t error;

    for (int i = 0; i < BLOCKS_AT_ONCE && self->failed == 0; i++) {
        struct blockwriter *block = &self->blocks[i];
        if (block->state == BLOCKWRITER_IDLE && self->allocated_count > 0)
            start_block (self, block);
        if (self->failed == 0 && blockwriter_push (block, &error) < 0)
            fail (self, &error);
        if (block->state == BLOCKWRITER_FAILED && self->redo_count < BLOCKS_AT_ONCE)
            redo_block (self, block);
        if (block->state == BLOCKWRITER_DURABLE && self->done_count < DONE_MAX)
            finish_block (self, block);
    }
    if (renewer_lost (self->renewer)) {
        err_set (&error, LITEDFS_LEASE_LOST, "the lock has expired while it was written");
        fail (self, &error);
    }
    if (self->failed == 0)
        ask_for_blocks (self);
}

static uint64_t
bytes_sent (const struct upload *self)
{
    uint64_t bytes = self->durable;
    for (int i = 0; i < BLOCKS_AT_ONCE; i++)
        if (self->blocks[i].state != BLOCKWRITER_IDLE)
            bytes += self->blocks[i].acked;
    return bytes;
}

static long
sleep_ms (const struct upload *self)
{
    long ms = self->busy_since_ms ? BUSY_MS : 1000; // the lease is looked after this often
    for (int i = 0; i < BLOCKS_AT_ONCE; i++) {
        long block_ms = blockwriter_timeout_ms (&self->blocks[i]);
        if (block_ms >= 0 && block_ms < ms)
            ms = block_ms;
    }
    return ms;
}

/* Wait for the next event, which may be input. */
static int
wait_event (struct upload *self, litedfs_error_t *error)
{
    bool input = source_wants_input (self->source);
    zmq_pollitem_t item = {NULL, source_fd (self->source), ZMQ_POLLIN, 0};

    int rc = session_poll (self->session, &item, input ? 1 : 0, sleep_ms (self), error);
    if (rc == 0 && input && item.revents)
        rc = source_fill (self->source, error);
    return rc;
}

static int
write_blocks (struct upload *self, litedfs_error_t *error)
{
    while (source_count (self->source) != self->finished) {
        advance (self);
        if (self->failed < 0) {
            if (error)
                *error = self->error;
            return self->failed;
        }
        if (source_count (self->source) == self->finished)
            break;
        int rc = wait_event (self, error);
        if (rc < 0)
            return rc;
        if (self->options.progress)
            self->options.progress (self->options.progress_arg, bytes_sent (self),
                                    source_size (self->source));
    }
    return 0;
}

/* ---- the file --------------------------------------------------------------------------------------------- */

/* A stream's first byte, or its end, decides whether there is a lease to take at all. */
static int
wait_first_byte (struct upload *self, litedfs_error_t *error)
{
    int rc = 0;

    while (rc == 0 && !source_begun (self->source)) {
        zmq_pollitem_t item = {NULL, source_fd (self->source), ZMQ_POLLIN, 0};
        rc = session_poll (self->session, &item, 1, -1, error);
        if (rc == 0 && item.revents)
            rc = source_fill (self->source, error);
    }
    return rc;
}

static int
take_lease (struct upload *self, litedfs_error_t *error)
{
    const struct file_create_request request = {
        .path = slice_str (self->path),
        .size = source_size (self->source),
        .replica = self->options.replica ? self->options.replica : 1,
        .ttl = self->options.ttl_s ? self->options.ttl_s : TTL_S,
        .replace = self->options.replace,
    };
    struct file_create_reply reply;
    struct dealer_reply *kept = NULL;

    litedfs_error_t why;
    int rc = session_call (self->session, MESSAGE_file_create, &request, &reply, &kept, &why);
    while (rc < 0 && wait_for_name (self, &why)) {
        rc = session_poll (self->session, NULL, 0, BUSY_MS, &why);
        if (rc == 0)
            rc = session_call (self->session, MESSAGE_file_create, &request, &reply, &kept,
                               &why);
    }
    if (rc < 0) {
        if (error)
            *error = why;
        return rc;
    }
    self->busy_since_ms = 0;
    self->file = reply.file;
    self->block_size = reply.block_size;
    if (reply.lease.data) {
        memcpy (self->lease, reply.lease.data, WIRE_LEASE_SIZE);
        self->leased = true;
        source_set_block_size (self->source, self->block_size);
        rc = renewer_start (&self->renewer, self->session, &self->file, self->lease, reply.ttl,
                            error);
        if (rc == 0)
            rc = take_allocations (self, reply.blocks, reply.blocks_count, error);
    }
    dealer_reply_destroy (&kept);
    return rc;
}

static int
commit (struct upload *self, litedfs_error_t *error)
{
    const struct file_commit_request request = {
        .file = self->file,
        .lease = slice_of (self->lease, WIRE_LEASE_SIZE),
        .size = source_size (self->source),
        .count = self->finished,
        .done = self->done,
        .done_count = self->done_count,
    };
    litedfs_error_t why;
    int rc = call (self, MESSAGE_file_commit, &request, &why);
    while (rc == LITEDFS_BUSY && wait_for_name (self, &why)) {
        rc = session_poll (self->session, NULL, 0, BUSY_MS, &why);
        if (rc == 0)
            rc = call (self, MESSAGE_file_commit, &request, &why);
    }
    if (rc < 0 && error)
        *error = why;
    return rc;
}

/* Nothing shall be left.  If the name node does not hear it, the lease's end says it. */
static void
abandon (struct upload *self)
{
    const struct file_abandon_request request = {
        .file = self->file, .lease = slice_of (self->lease, WIRE_LEASE_SIZE)};
    dealer_call (self->session->name, &message_types[MESSAGE_file_abandon], &request, NULL,
                 NULL, NULL, ABANDON_MS, -1, NULL);
}

static int
upload (struct upload *self, litedfs_error_t *error)
{
    int rc = wait_first_byte (self, error);
    if (rc == 0)
        rc = take_lease (self, error);
    if (rc == 0 && self->leased)
        rc = write_blocks (self, error);
    if (rc == 0 && self->leased)
        rc = commit (self, error);
    if (rc == 0 && self->options.progress)
        self->options.progress (self->options.progress_arg, self->durable, self->durable);
    return rc;
}

int
litedfs_upload (litedfs_t *session, int fd, const char *path,
                const litedfs_upload_options_t *options, litedfs_error_t *error)
{
    struct upload *self = calloc (1, sizeof *self);
    if (!self)
        return err_set (error, LITEDFS_MEMORY, "out of memory");

    self->session = session;
    self->path = path;
    if (options)
        self->options = *options;
    int rc = source_open (&self->source, fd, self->options.stream, error);
    if (rc == 0)
        rc = upload (self, error);

    for (int i = 0; i < BLOCKS_AT_ONCE; i++) {
        blockwriter_stop (&self->blocks[i]);
        free (self->blocks[i].chunk_crcs);
    }
    dealer_cancel_all (session->name); // an allocate that is under way
    renewer_stop (&self->renewer);
    if (rc < 0 && self->leased)
        abandon (self);
    source_close (&self->source);
    free (self);
    return rc;
}
