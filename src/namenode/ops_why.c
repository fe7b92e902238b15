/* SPDX-License-Identifier: MIT */
/*
 * file.why: the blocks of a file that are not where they should be, what is under way, what they wait for.
 *
 * It says what repair (repair_block.c) would find now, from the rows, the view of the nodes and what repair
 * has shown of its memory; nothing is asked of the writer, so a moment may lie between the two.
 */
#include "base/err.h"
#include "namenode/blocks.h"
#include "namenode/namespace.h"
#include "namenode/ops_look.h"

/* The most blocks that are listed in a page, as messages.def has it. */
enum { STRAYS_MAX = 1024 };

/* ---- one block ---------------------------------------------------------------------------------- */

struct case_file {
    struct ops_look *look;
    const struct block_row *row;
    uint32_t wanted;
    struct repair_look found;
    bool free_node; // a node could take a copy at once
    bool free_source;
    struct wire_stray *out;
};

static int64_t
larger (int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* For how long a holder that is away is waited for. */
static uint64_t
left_of (const struct case_file *self, uint32_t number, enum repair_standing standing)
{
    const struct node *node = nodes_view_find (self->look->run.nodes, number);
    int64_t left_ms = presence_left_ms (self->look->presence, number, self->look->run.now_ms,
                                        self->look->op->settings->repair_delay_ms);

    if (standing != REPAIR_AWAY && standing != REPAIR_EXCUSED)
        return 0;
    if (standing == REPAIR_EXCUSED && node)
        left_ms = larger (left_ms, (int64_t) node->duty.excused - self->look->run.wall_ms);
    return (uint64_t) larger (left_ms, 1);
}

/* Copies that can be read now and may stay where they are. */
static uint32_t
serving (const struct case_file *self)
{
    return self->found.counts[REPAIR_LIVE] + self->found.counts[REPAIR_YOUNG];
}

static enum holder_standing
standing_of (enum repair_standing standing)
{
    switch (standing) {
    case REPAIR_LIVE:
        return STANDING_LIVE;
    case REPAIR_EXCUSED:
        return STANDING_EXCUSED;
    case REPAIR_AWAY:
        return STANDING_AWAY;
    case REPAIR_YOUNG:
        return STANDING_CLAIMED;
    case REPAIR_LEAVING:
        return STANDING_LEAVING;
    case REPAIR_LEFT:
    case REPAIR_GONE:
        return STANDING_GONE;
    default:
        return STANDING_DENIED;
    }
}

static int
fill_holders (struct case_file *self)
{
    const struct copies *copies = self->look->run.copies;
    struct wire_stray *out = self->out;

    out->holders = ops_array (self->look->op, self->row->nodes_count, sizeof *out->holders);
    if (!out->holders)
        return self->look->op->error->number;
    for (size_t i = 0; i < self->row->nodes_count; i++) {
        struct wire_holder *holder = &out->holders[out->holders_count++];
        uint32_t number = self->row->nodes[i];
        *holder = (struct wire_holder){.node = number,
                                       .standing = standing_of (self->found.holders[i]),
                                       .left = left_of (self, number, self->found.holders[i])};
        if (!copies)
            continue;
        out->failures += copies_failures (copies, self->row->block, number);
        self->free_source |= (self->found.holders[i] == REPAIR_LIVE ||
                              self->found.holders[i] == REPAIR_LEAVING) &&
                             copies_may_send (copies, number, self->row->size);
    }
    return 0;
}

/* The copies under way that have not made their target a holder. */
static int
fill_copies (struct case_file *self)
{
    const struct copies *copies = self->look->run.copies;
    struct wire_stray *out = self->out;

    out->copies = ops_array (self->look->op, ROW_NODES_MAX, sizeof *out->copies);
    if (!out->copies)
        return self->look->op->error->number;
    if (!copies)
        return 0;
    for (size_t at = copies_find (copies, self->row->block, 0);
         at != SIZE_MAX && out->copies_count < ROW_NODES_MAX;
         at = copies_find (copies, self->row->block, at + 1)) {
        const struct copy *copy = copies_at (copies, at);
        int64_t left_ms = copy->deadline_ms - self->look->run.now_ms;
        if (block_row_has_node (self->row, copy->target))
            continue;
        out->copies[out->copies_count++] = (struct wire_transfer){
            .source = copy->source,
            .target = copy->target,
            .left = left_ms > 0 ? (uint64_t) left_ms : 0,
        };
    }
    return 0;
}

static bool
is_concerned (const struct case_file *self, uint32_t number)
{
    for (size_t i = 0; i < self->row->nodes_count; i++)
        if (self->row->nodes[i] == number && self->found.holders[i] != REPAIR_GONE)
            return true;
    for (size_t i = 0; i < self->out->copies_count; i++)
        if (self->out->copies[i].target == number)
            return true;
    return false;
}

/* See why a node that has no copy gets none. */
static int
judge_node (struct case_file *self, const struct node *node)
{
    const struct copies *copies = self->look->run.copies;
    struct op *op = self->look->op;
    struct node_row row = {0};
    struct held_row held;

    if (node->duty.duty == DUTY_REMOVED || (node->online && !node_takes_blocks (node)))
        return 0; // it is no candidate
    if (!node->online) {
        self->out->offline++;
        return 0;
    }
    int rc = held_row_get (op->txn, node->number, self->row->block, &held, op->error);
    if (rc == 0) { // it has it, and is told to delete it, or will be a holder
        self->out->busy++;
        return 0;
    }
    if (rc == LITEDFS_NOT_FOUND)
        rc = node_row_get (op->txn, node->number, &row, op->error);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    uint64_t promised = row.reserved + (copies ? copies_bytes_to (copies, node->number) : 0);
    if (node->storage_full || node->storage_free < promised ||
        node->storage_free - promised < self->row->size)
        self->out->full++;
    else if (copies && !copies_may_take (copies, node->number, self->row->size))
        self->out->busy++;
    else
        self->free_node = true;
    return 0;
}

static int
judge_nodes (struct case_file *self)
{
    const struct nodes_view *nodes = self->look->op->nodes;
    int rc = 0;

    for (size_t i = 0; i < nodes->count && rc == 0; i++)
        if (!is_concerned (self, nodes->nodes[i].number))
            rc = judge_node (self, &nodes->nodes[i]);
    return rc;
}

/* How long the first holder that is away is waited for. */
static uint64_t
shortest_wait (const struct case_file *self)
{
    uint64_t left = 0;

    for (size_t i = 0; i < self->out->holders_count; i++) {
        const struct wire_holder *holder = &self->out->holders[i];
        if (holder->left > 0 && (left == 0 || holder->left < left))
            left = holder->left;
    }
    return left;
}

static enum awaits
judge_few (const struct case_file *self)
{
    const uint32_t *counts = self->found.counts;

    if (self->out->copies_count > 0)
        return AWAITS_COPY;
    if (self->found.there + self->found.expected == 0)
        return AWAITS_NOTHING;
    if (self->found.there == 0)
        return AWAITS_SOURCE;
    if (self->found.good >= self->wanted)
        return AWAITS_RETURN;
    if (counts[REPAIR_LIVE] + counts[REPAIR_LEAVING] == 0)
        return AWAITS_CONFIRMATION;
    if (self->free_node)
        return self->free_source || !self->look->run.copies ? AWAITS_TURN : AWAITS_BUSY;
    if (self->out->busy > 0)
        return AWAITS_BUSY;
    return self->out->full > 0 ? AWAITS_ROOM : AWAITS_NODE;
}

static void
judge (struct case_file *self)
{
    struct wire_stray *out = self->out;

    if (self->look->op->nodes->settling) {
        out->awaits = AWAITS_SETTLING;
        out->left =
            self->look->op->settling_ms > 0 ? (uint64_t) self->look->op->settling_ms : 0;
    } else if (serving (self) >= self->wanted)
        out->awaits = self->found.counts[REPAIR_LIVE] >= self->wanted ? AWAITS_DELETION
                                                                      : AWAITS_CONFIRMATION;
    else
        out->awaits = judge_few (self);
    if (out->awaits == AWAITS_RETURN || out->awaits == AWAITS_SOURCE)
        out->left = shortest_wait (self);
}

/* ---- the page ----------------------------------------------------------------------------------- */

struct page {
    struct ops_look look;
    struct inode_row file;
    uint32_t least; // copies that each block has
    size_t bytes;
};

/* Look at a block, and list it if it is not as wanted. */
static int
look_at (struct page *page, const struct block_row *row)
{
    const struct message_type *type = &message_types[MESSAGE_file_why];
    struct file_why_reply *reply = page->look.op->reply;
    struct case_file self = {.look = &page->look,
                             .row = row,
                             .wanted = page->file.replica > 0 ? page->file.replica : 1};
    int rc = repair_block_look (&page->look.run, row, self.wanted, &self.found,
                                page->look.op->error);

    if (rc < 0)
        return rc;
    if (self.found.there < page->least)
        page->least = self.found.there;
    if (serving (&self) == self.wanted && self.found.counts[REPAIR_LEAVING] == 0)
        return 0;
    self.out = &reply->blocks[reply->blocks_count++];
    *self.out = (struct wire_stray){.index = row->index, .id = row->block, .size = row->size};
    rc = fill_holders (&self);
    if (rc == 0)
        rc = fill_copies (&self);
    if (rc == 0)
        rc = judge_nodes (&self);
    if (rc < 0)
        return rc;
    judge (&self);
    page->look.rows = OPS_LOOK_ROWS - 1; // that took a while: look at the clock
    page->bytes += message_record_size (type, "blocks", self.out);
    return 0;
}

static int
fill_blocks (struct page *page, uint64_t from)
{
    struct op *op = page->look.op;
    struct file_why_reply *reply = op->reply;
    struct blocks_walk walk;
    struct block_row row;

    reply->blocks = ops_array (op, STRAYS_MAX, sizeof *reply->blocks);
    if (!reply->blocks)
        return op->error->number;
    if (from >= reply->count)
        return 0;
    int rc = blocks_open (&walk, op->txn, page->file.number, (uint32_t) from, op->error);
    if (rc < 0)
        return rc;
    for (bool more = true; more && (rc = blocks_next (&walk, &row, op->error)) == 0;) {
        rc = look_at (page, &row);
        if (rc < 0)
            break;
        more = reply->blocks_count < STRAYS_MAX && page->bytes < OPS_PAGE_BYTES &&
               ops_look_goes_on (&page->look);
        if (!more && (uint64_t) row.index + 1 < reply->count)
            reply->next = (uint64_t) row.index + 1;
    }
    blocks_close (&walk);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

int
op_file_why (struct op *op)
{
    const struct file_why_request *request = op->request;
    struct file_why_reply *reply = op->reply;
    struct page page = {.least = UINT32_MAX};
    struct inode_row *file = &page.file;

    int rc = ops_find_file (op, request->path, &request->file, file);
    if (rc == 0)
        rc = ops_look_path (op, file, &reply->path);
    if (rc < 0)
        return rc;
    inode_row_id (file, &reply->file);
    reply->replica = file->replica;
    reply->count = file->size > 0 ? block_count_of (file->size, file->block_size) : 0;
    rc = ops_look_begin (&page.look, op);
    if (rc == 0)
        rc = fill_blocks (&page, request->offset);
    ops_look_end (&page.look);
    reply->copies = page.least < UINT32_MAX ? page.least : file->replica;
    return rc;
}
