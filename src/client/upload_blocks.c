/* SPDX-License-Identifier: MIT */
/*
 * The blocks of an upload: they are allocated a few at a time and written to their nodes at once
 * (blockwriter.c).
 *
 * A node that fails is a suspect for the rest of the upload: blocks that were not begun do without it,
 * the name node gives no more of them to it, and blocks that are under way and cannot go on because of it are
 * allocated anew and sent again, all at once.  Those are the blocks whose first node it is, and those for
 * which it should be in the chain and has had nothing of them yet: a node that had something was
 * passed over already, or will be at the same time everywhere.
 */
#include "client/upload_impl.h"

#include "base/err.h"

#include <assert.h>
#include <string.h>

#define NO_NODE_MS 4000 // a node that restarts is back so soon after its connection is

/* ---- nodes that fail --------------------------------------------------------------------------------- */

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

static struct suspect *
find_suspect (struct upload *self, uint64_t node)
{
    for (size_t i = 0; i < self->suspects_count; i++)
        if (self->suspects[i].node == node)
            return &self->suspects[i];
    return NULL;
}

/* Tell the caller that it goes on without a node. */
static void
warn (const struct upload *self, uint32_t node, const litedfs_error_t *why)
{
    const struct peer *peer = self->session->peers;
    litedfs_error_t text;

    while (peer && peer->node != node)
        peer = peer->next;
    if (why)
        text = *why;
    else
        err_set (&text, LITEDFS_UNREACHABLE,
                 "%s: other data nodes do not reach it, or it cannot write",
                 peer ? peer->name : "a data node");
    if (self->options.warning)
        self->options.warning (self->options.warning_arg, text.text);
}

/* The node shall have nothing more of this upload.  why: its text, or NULL if others say so. */
static void
add_suspect (struct upload *self, uint32_t node, bool lost, const litedfs_error_t *why)
{
    struct suspect *suspect = find_suspect (self, node);
    litedfs_error_t error;

    if (why)
        self->last_failure = *why;
    if (suspect) {
        suspect->lost = suspect->lost || lost;
        return;
    }
    if (self->suspects_count == UPLOAD_SUSPECTS_MAX) {
        err_set (&error, LITEDFS_NO_NODE, "more than %d nodes failed this upload",
                 UPLOAD_SUSPECTS_MAX);
        fail (self, &error);
        return;
    }
    self->suspects[self->suspects_count++] = (struct suspect){.node = node, .lost = lost};
    warn (self, node, why);
}

/* Note the nodes that have failed a block. */
static void
look_for_suspects (struct upload *self, const struct blockwriter *block)
{
    const struct replicas *replicas = &block->replicas;

    if (block->error.number != 0)
        add_suspect (self, block->peer->node, block->lost, &block->error);
    for (size_t i = 0; i < replicas->count; i++)
        if (replica_has_failed (&replicas->list[i]))
            add_suspect (self, replicas->list[i].node, false, NULL);
}

/* Whether the first node of a block under way has failed in the eyes of others, and owes us something
 * too. */
static bool
first_has_failed (struct upload *self, const struct blockwriter *block)
{
    const struct suspect *suspect = find_suspect (self, block->peer->node);

    return suspect && (suspect->lost || session_silent_ms (block->peer) >= SESSION_DOUBT_MS);
}

/* Whether a block under way stands still, and a node of its chain that has failed before has had nothing
 * of it. */
static bool
chain_is_stuck (struct upload *self, const struct blockwriter *block)
{
    if (blockwriter_stalled_ms (block) < SESSION_DOUBT_MS)
        return false;
    for (size_t i = 1; i < block->replicas.count; i++) {
        const struct replica *replica = &block->replicas.list[i];
        if (replica->furthest == 0 && replica->state != REPLICA_DURABLE &&
            !replica_has_failed (replica) && find_suspect (self, replica->node))
            return true;
    }
    return false;
}

/* ---- allocation -------------------------------------------------------------------------------------- */

/* The peers of one block, in the order of the chain. */
static int
take_nodes (struct upload *self, const struct wire_allocation *from, struct allocated *to,
            litedfs_error_t *error)
{
    if (from->nodes_count == 0)
        return err_set (error, LITEDFS_INVALID, "the name node gave block %llu without a node",
                        (unsigned long long) from->index);
    for (to->node_count = 0; to->node_count < from->nodes_count; to->node_count++) {
        int rc = session_peer (self->session, &from->nodes[to->node_count],
                               &to->nodes[to->node_count], error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int
upload_take_allocations (struct upload *self, uint64_t first,
                         const struct wire_allocation *list, size_t count,
                         litedfs_error_t *error)
{
    for (size_t i = 0; i < count && self->allocated_count < UPLOAD_BLOCKS; i++) {
        struct allocated *to = &self->allocated[self->allocated_count];
        if (list[i].index != first + i)
            return err_set (
                error, LITEDFS_INVALID, "the name node gave block %llu instead of block %llu",
                (unsigned long long) list[i].index, (unsigned long long) (first + i));
        int rc = take_nodes (self, &list[i], to, error);
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

/* Whether a node that may still write for us has no connection now. */
static bool
node_is_away (struct upload *self)
{
    for (const struct peer *peer = self->session->peers; peer; peer = peer->next)
        if (peer->dealer && !dealer_connected (peer->dealer) &&
            !find_suspect (self, peer->node))
            return true;
    return false;
}

bool
upload_waits_for_name (struct upload *self, const litedfs_error_t *failure)
{
    int64_t now_ms = clock_mono (self->session->clock);
    bool no_node = failure->number == LITEDFS_NO_NODE && self->leased;

    if (failure->number != LITEDFS_BUSY && !no_node)
        return false;
    if (self->busy_since_ms == 0)
        self->busy_since_ms = self->away_ms = now_ms;
    if (node_is_away (self))
        self->away_ms = now_ms;
    self->ask_after_ms = now_ms + UPLOAD_BUSY_MS;
    return now_ms - self->busy_since_ms < upload_patience_ms (self) &&
           (!no_node || now_ms - self->away_ms < NO_NODE_MS);
}

/* Forget the finished blocks that the name node has been told. */
static void
drop_told (struct upload *self)
{
    size_t left = self->done_count - self->done_asked;

    memmove (self->done, self->done + self->done_asked, left * sizeof *self->done);
    memmove (self->done_nodes, self->done_nodes + self->done_asked,
             left * sizeof *self->done_nodes);
    for (size_t i = 0; i < left; i++)
        self->done[i].nodes = self->done_nodes[i];
    self->done_count = left;
}

static int
take_reply (struct upload *self, struct message *message, litedfs_error_t *error)
{
    struct file_allocate_reply reply;

    int rc =
        message_reply_fields (message, &message_types[MESSAGE_file_allocate], &reply, error);
    if (rc == 0 && self->asked_count > 0 && reply.blocks_count == 0)
        rc = err_set (error, LITEDFS_INVALID, "the name node gave no block %llu",
                      (unsigned long long) self->asked_index);
    if (rc == 0 && reply.blocks_count > self->asked_count)
        reply.blocks_count = (size_t) self->asked_count;
    if (rc == 0)
        rc = upload_take_allocations (self, self->asked_index, reply.blocks, reply.blocks_count,
                                      error);
    return rc;
}

static void
on_allocate (void *arg, struct message *message, zmq_msg_t *payload,
             const litedfs_error_t *failure)
{
    struct upload *self = arg;
    litedfs_error_t error;
    (void) payload;

    self->asking = false;
    if (failure) {
        if (!upload_waits_for_name (self, failure))
            fail (self, failure);
        return;
    }
    if (take_reply (self, message, &error) < 0) {
        fail (self, &error);
        return;
    }
    self->busy_since_ms = 0;
    drop_told (self);
    if (self->redo_count > 0 && self->asked_count > 0 && self->asked_index == self->redo[0]) {
        self->redo_count--;
        memmove (self->redo, self->redo + 1, self->redo_count * sizeof *self->redo);
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
    for (int i = 0; i < UPLOAD_BLOCKS; i++)
        wanted += self->blocks[i].state == BLOCKWRITER_IDLE;
    if (count == UINT64_MAX) {
        bool complete;
        return wanted && source_available (self->source, self->next_index, &complete) > 0;
    }
    return wanted < count - self->next_index ? wanted : count - self->next_index;
}

/* Ask for the next blocks, or for another one in place of one that failed; tell what is finished. */
static void
ask_for_blocks (struct upload *self)
{
    uint64_t suspects[UPLOAD_SUSPECTS_MAX];
    uint64_t wanted = blocks_wanted (self);
    bool redo = self->redo_count > 0 && self->allocated_count == 0;

    if (self->asking || clock_mono (self->session->clock) < self->ask_after_ms ||
        (!redo && wanted == 0 && self->done_count < UPLOAD_DONE_MAX / 2))
        return;
    for (size_t i = 0; i < self->suspects_count; i++)
        suspects[i] = self->suspects[i].node;
    struct file_allocate_request request = {
        .file = self->file,
        .lease = slice_of (self->lease, WIRE_LEASE_SIZE),
        .index = redo ? self->redo[0] : self->next_index,
        .count = redo ? 1 : wanted,
        .done = self->done,
        .done_count = self->done_count,
        .suspects = suspects,
        .suspects_count = self->suspects_count,
    };
    litedfs_error_t error;

    if (dealer_send (self->session->name, &message_types[MESSAGE_file_allocate], &request, NULL,
                     upload_patience_ms (self), on_allocate, self, &error) < 0) {
        fail (self, &error);
        return;
    }
    self->asking = true;
    self->asked_index = request.index;
    self->asked_count = request.count;
    self->done_asked = self->done_count;
}

/* ---- blocks ------------------------------------------------------------------------------------------- */

static void
finish_block (struct upload *self, struct blockwriter *block)
{
    uint64_t *nodes = self->done_nodes[self->done_count];

    self->done[self->done_count] = (struct wire_finished){
        .index = block->index,
        .block = block->block,
        .size = block->size,
        .crc32 = block->crc32,
        .nodes = nodes,
        .nodes_count = replicas_durable (&block->replicas, block->size, nodes),
    };
    self->done_count++;
    self->finished++;
    self->durable += block->size;
    source_release (self->source, block->index);
    blockwriter_stop (block);
}

/* The index needs another block.  All that are under way, allocated or wait for another one are no more
 * than may be under way: new ones are asked for only in place of finished ones. */
static void
redo (struct upload *self, uint64_t index)
{
    assert (self->redo_count < sizeof self->redo / sizeof *self->redo);
    self->redo[self->redo_count++] = index;
}

static void
redo_block (struct upload *self, struct blockwriter *block)
{
    redo (self, block->index);
    blockwriter_stop (block);
}

/* Begin with the next block that was allocated, on those of its nodes that have not failed meanwhile. */
static void
start_block (struct upload *self, struct blockwriter *block)
{
    struct allocated next = self->allocated[0];
    uint64_t chain[REPLICAS_MAX];
    litedfs_error_t error;

    self->allocated_count--;
    memmove (self->allocated, self->allocated + 1,
             self->allocated_count * sizeof *self->allocated);
    struct blockwriter_job job = {.index = next.index,
                                  .block = next.block,
                                  .block_size = self->block_size,
                                  .chain = chain};
    for (size_t i = 0; i < next.node_count; i++) {
        if (find_suspect (self, next.nodes[i]->node))
            continue;
        if (job.peer)
            chain[job.chain_count++] = next.nodes[i]->node;
        else
            job.peer = next.nodes[i];
    }
    if (!job.peer) {
        redo (self, next.index);
        return;
    }
    block->session = self->session;
    block->source = self->source;
    block->path = self->path;
    block->file = self->file;
    if (blockwriter_start (block, &job, &error) < 0)
        fail (self, &error);
}

/* Let a block that is under way go on, or not. */
static void
push_block (struct upload *self, struct blockwriter *block)
{
    litedfs_error_t error;

    if (blockwriter_push (block, &error) < 0)
        fail (self, &error);
    else if (block->state != BLOCKWRITER_IDLE)
        look_for_suspects (self, block);
}

/* What has become of a block, now that it is known which nodes have failed. */
static void
settle_block (struct upload *self, struct blockwriter *block)
{
    bool open = block->state == BLOCKWRITER_WRITING || block->state == BLOCKWRITER_WAITING;

    if (open && first_has_failed (self, block))
        blockwriter_give_up (block);
    else if (open && chain_is_stuck (self, block))
        redo_block (self, block);
    if (block->state == BLOCKWRITER_FAILED)
        redo_block (self, block);
    if (block->state == BLOCKWRITER_DURABLE && self->done_count < UPLOAD_DONE_MAX)
        finish_block (self, block);
}

/* One look at everything: begin, send, finish, fail. */
static void
advance (struct upload *self)
{
    litedfs_error_t error;

    for (int i = 0; i < UPLOAD_BLOCKS && self->failed == 0; i++) {
        while (self->blocks[i].state == BLOCKWRITER_IDLE && self->allocated_count > 0 &&
               self->failed == 0)
            start_block (self, &self->blocks[i]);
        push_block (self, &self->blocks[i]);
    }
    for (int i = 0; i < UPLOAD_BLOCKS && self->failed == 0; i++)
        settle_block (self, &self->blocks[i]);
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
    for (int i = 0; i < UPLOAD_BLOCKS; i++)
        if (self->blocks[i].state != BLOCKWRITER_IDLE)
            bytes += self->blocks[i].acked;
    return bytes;
}

static long
sleep_ms (const struct upload *self)
{
    long ms =
        self->busy_since_ms ? UPLOAD_BUSY_MS : 1000; // the lease is looked after this often
    for (int i = 0; i < UPLOAD_BLOCKS; i++) {
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

int
upload_write_blocks (struct upload *self, litedfs_error_t *error)
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
