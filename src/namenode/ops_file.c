/* SPDX-License-Identifier: MIT */
/*
 * Handlers of files: the steps of an upload, and info, update, delete, move, rename.
 *
 * Which nodes take a block is placement's decision; here it is asked with the view of the nodes, with
 * what the store says is promised on each, and with where the client is.
 */
#include "base/crc.h"
#include "base/err.h"
#include "namenode/blocks.h"
#include "namenode/held.h"
#include "namenode/lease.h"
#include "namenode/namespace.h"
#include "namenode/ops.h"
#include "namenode/placement.h"
#include "namenode/upload.h"

#include <string.h>

/* How many blocks the first allocation has, at most. */
enum { FIRST_BLOCKS = 4 };

/* ---- where blocks go ---------------------------------------------------------------------------- */

struct reserved_question {
    struct txn *txn;
    litedfs_error_t *error;
    int rc;
};

static uint64_t
reserved_on (void *arg, uint32_t node)
{
    struct reserved_question *question = arg;
    struct node_row row;
    int rc = node_row_get (question->txn, node, &row, question->error);

    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        question->rc = rc;
    return rc == 0 ? row.reserved : 0;
}

static int
place (void *arg, struct txn *txn, const struct upload_ask *ask, uint32_t *nodes,
       size_t *nodes_count, litedfs_error_t *error)
{
    const struct op *op = arg;
    litedfs_error_t broken;
    struct reserved_question reserved = {.txn = txn, .error = &broken};
    const struct placement_question question = {
        .seed = ask->seed,
        .index = ask->index,
        .size = ask->size,
        .count = ask->replica < ROW_NODES_MAX ? ask->replica : ROW_NODES_MAX,
        .client = op->sender->peer,
        .suspects = ask->suspects,
        .suspects_count = ask->suspects_count,
        .reserved = reserved_on,
        .arg = &reserved,
    };
    int rc = placement_choose (op->nodes, &question, nodes, nodes_count, error);

    if (reserved.rc < 0) {
        *error = broken;
        return reserved.rc;
    }
    return rc;
}

static int
fill_allocation (struct op *op, const struct upload_allocation *from,
                 struct wire_allocation *out)
{
    *out = (struct wire_allocation){.index = from->index, .block = from->block};
    out->nodes = ops_array (op, from->nodes_count, sizeof *out->nodes);
    if (!out->nodes)
        return op->error->number;
    for (size_t i = 0; i < from->nodes_count; i++) {
        const struct node *node = nodes_view_find (op->nodes, from->nodes[i]);
        if (node)
            ops_endpoint (node, &out->nodes[out->nodes_count++]);
    }
    return 0;
}

static int
fill_allocations (struct op *op, const struct upload_allocation *from, size_t count,
                  struct wire_allocation **out, size_t *out_count)
{
    *out = ops_array (op, count, sizeof **out);
    if (!*out)
        return op->error->number;
    for (*out_count = 0; *out_count < count; ++*out_count)
        if (fill_allocation (op, &from[*out_count], &(*out)[*out_count]) < 0)
            return op->error->number;
    return 0;
}

/* ---- an upload ------------------------------------------------------------------------------------ */

int
op_file_create (struct op *op)
{
    const struct file_create_request *request = op->request;
    struct file_create_reply *reply = op->reply;
    struct upload_placer placer = {place, op};
    struct upload_created created;
    struct upload_create ask = {
        .path = request->path,
        .size = request->size,
        .replica = (uint32_t) request->replica,
        .ttl = (uint32_t) request->ttl,
        .replace = request->replace,
        .block_size = op->settings->block_size,
        .first = FIRST_BLOCKS,
    };

    int rc = random_bytes (ask.token, sizeof ask.token, op->error);
    if (rc == 0)
        rc = random_bytes (&ask.bits, sizeof ask.bits, op->error);
    ask.bits &= UUID_V8_BITS_MAX;
    if (rc == 0)
        rc = upload_create (op->txn, &ask, &placer, &created, op->error);
    if (rc < 0)
        return rc;

    reply->file = created.file;
    reply->block_size = ask.block_size;
    if (created.leased) {
        reply->ttl = request->ttl;
        rc = ops_copy (op, slice_of (ask.token, sizeof ask.token), &reply->lease);
    }
    return rc < 0 ? rc
                  : fill_allocations (op, created.blocks, created.blocks_count, &reply->blocks,
                                      &reply->blocks_count);
}

/* What the client says is written, in the shape of upload.h. */
static int
take_finished (struct op *op, const struct wire_finished *done, size_t count,
               struct upload_finished **out)
{
    *out = ops_array (op, count, sizeof **out);
    if (!*out)
        return op->error->number;
    for (size_t i = 0; i < count; i++)
        (*out)[i] = (struct upload_finished){
            .index = done[i].index,
            .block = done[i].block,
            .size = done[i].size,
            .crc = (uint32_t) done[i].crc32,
            .nodes = done[i].nodes,
            .nodes_count = done[i].nodes_count,
        };
    return 0;
}

int
op_file_allocate (struct op *op)
{
    const struct file_allocate_request *request = op->request;
    struct file_allocate_reply *reply = op->reply;
    struct upload_placer placer = {place, op};
    struct upload_allocation blocks[UPLOAD_BLOCKS_MAX];
    struct upload_suspicion suspicion;
    struct upload_finished *done;
    size_t count = 0;
    struct upload_allocate ask = {
        .file = request->file,
        .index = (uint32_t) request->index,
        .count = (size_t) request->count,
        .done_count = request->done_count,
        .suspects = request->suspects,
        .suspects_count = request->suspects_count,
        .delay_ms = op->settings->delete_delay_ms,
    };

    memcpy (ask.token, request->lease.data, sizeof ask.token);
    int rc = take_finished (op, request->done, request->done_count, &done);
    ask.done = done;
    if (rc == 0)
        rc = upload_allocate (op->txn, &ask, &placer, blocks, &count, &suspicion, op->error);
    if (rc < 0)
        return rc;
    op->effects->reporter = suspicion.reporter;
    for (size_t i = 0; i < suspicion.count && i < OP_SUSPECTS_MAX; i++)
        op->effects->suspects[i] = suspicion.nodes[i];
    return fill_allocations (op, blocks, count, &reply->blocks, &reply->blocks_count);
}

int
op_file_renew (struct op *op)
{
    const struct file_renew_request *request = op->request;
    struct file_renew_reply *reply = op->reply;
    uint32_t ttl = 0;
    int rc = lease_renew (op->txn, request->lease.data, &request->file, &ttl, op->error);

    reply->ttl = ttl;
    return rc;
}

static int
put_checksum (struct op *op, uint32_t crc, struct slice *out)
{
    char text[CRC_TEXT_SIZE];

    return ops_copy (op, slice_str (crc_print (crc, text)), out);
}

int
op_file_commit (struct op *op)
{
    const struct file_commit_request *request = op->request;
    struct file_commit_reply *reply = op->reply;
    struct upload_finished *done;
    uint32_t crc = 0;
    struct upload_commit ask = {
        .file = request->file,
        .size = request->size,
        .count = request->count,
        .done_count = request->done_count,
        .delay_ms = op->settings->delete_delay_ms,
    };

    memcpy (ask.token, request->lease.data, sizeof ask.token);
    int rc = take_finished (op, request->done, request->done_count, &done);
    ask.done = done;
    if (rc == 0)
        rc = upload_commit (op->txn, &ask, &crc, op->error);
    return rc < 0 ? rc : put_checksum (op, crc, &reply->checksum);
}

int
op_file_abandon (struct op *op)
{
    const struct file_abandon_request *request = op->request;

    return upload_abandon (op->txn, &request->file, request->lease.data, op->error);
}

/* ---- info ------------------------------------------------------------------------------------------ */

/* The most blocks in a page, as messages.def has it. */
enum { BLOCKS_MAX = 4096 };

static bool
is_online (void *arg, uint32_t number)
{
    const struct node *node = nodes_view_find (arg, number);

    return node && node->online;
}

/* Of a block that nobody holds: who has a damaged copy of it. */
static int
fill_damaged (struct op *op, struct wire_block *out)
{
    uint32_t nodes[ROW_NODES_MAX];
    size_t count;

    int rc = held_damaged (op->txn, out->id, nodes, ROW_NODES_MAX, &count, op->error);
    if (rc < 0 || count == 0)
        return rc;
    out->damaged = ops_array (op, count, sizeof *out->damaged);
    if (!out->damaged)
        return op->error->number;
    for (size_t i = 0; i < count; i++)
        out->damaged[out->damaged_count++] = nodes[i];
    return 0;
}

static int
fill_block (struct op *op, const struct block_row *row, struct wire_block *out)
{
    *out = (struct wire_block){
        .index = row->index, .id = row->block, .size = row->size, .crc32 = row->crc};
    out->nodes = ops_array (op, row->nodes_count, sizeof *out->nodes);
    if (!out->nodes)
        return op->error->number;
    for (size_t i = 0; i < row->nodes_count; i++)
        out->nodes[out->nodes_count++] = row->nodes[i];
    return row->nodes_count == 0 ? fill_damaged (op, out) : 0;
}

static int
fill_blocks (struct op *op, const struct inode_row *file)
{
    const struct message_type *type = &message_types[MESSAGE_file_info];
    const struct file_info_request *request = op->request;
    struct file_info_reply *reply = op->reply;
    struct blocks_walk walk;
    struct block_row row;
    uint64_t left = request->offset < reply->count ? reply->count - request->offset : 0;
    size_t max = request->limit > 0 && request->limit < BLOCKS_MAX ? (size_t) request->limit
                                                                   : BLOCKS_MAX;
    size_t bytes = 0;
    if (left < max)
        max = (size_t) left;

    // The page is shared with the endpoints of the holders.
    reply->blocks = ops_array (op, max, sizeof *reply->blocks);
    if (!reply->blocks)
        return op->error->number;
    if (max == 0)
        return 0;
    int rc = blocks_open (&walk, op->txn, file->number, (uint32_t) request->offset, op->error);
    if (rc < 0)
        return rc;
    while (reply->blocks_count < max && bytes < OPS_PAGE_BYTES / 2 &&
           (rc = blocks_next (&walk, &row, op->error)) == 0) {
        struct wire_block *block = &reply->blocks[reply->blocks_count++];
        if ((rc = fill_block (op, &row, block)) < 0)
            break;
        bytes += message_record_size (type, "blocks", block);
    }
    blocks_close (&walk);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    if (reply->blocks_count > 0 &&
        reply->blocks[reply->blocks_count - 1].index + 1 < reply->count)
        reply->next = reply->blocks[reply->blocks_count - 1].index + 1;
    return 0;
}

/* The endpoints of the page's holders, each once.  What does not fit is found with node.list. */
static int
fill_nodes (struct op *op)
{
    const struct message_type *type = &message_types[MESSAGE_file_info];
    struct file_info_reply *reply = op->reply;
    bool *named = ops_array (op, op->nodes->count, sizeof *named);
    size_t bytes = 0;

    reply->nodes = ops_array (op, op->nodes->count, sizeof *reply->nodes);
    if (!named || !reply->nodes)
        return op->error->number;
    for (size_t i = 0; i < reply->blocks_count; i++)
        for (size_t n = 0; n < reply->blocks[i].nodes_count; n++) {
            const struct node *node = nodes_view_find (op->nodes, reply->blocks[i].nodes[n]);
            if (!node || named[node - op->nodes->nodes] || bytes > OPS_PAGE_BYTES / 2)
                continue;
            struct wire_endpoint *endpoint = &reply->nodes[reply->nodes_count++];
            named[node - op->nodes->nodes] = true;
            ops_endpoint (node, endpoint);
            bytes += message_record_size (type, "nodes", endpoint);
        }
    return 0;
}

int
ops_find_file (struct op *op, struct slice path, const struct uuid *id, struct inode_row *out)
{
    if (path.data)
        return namespace_lookup_kind (op->txn, path, KIND_FILE, out, op->error);
    if (!uuid_is_nil (id))
        return namespace_file_by_id (op->txn, id, out, op->error);
    return err_set (op->error, LITEDFS_INVALID, "path or file: one of them is needed");
}

int
op_file_info (struct op *op)
{
    const struct file_info_request *request = op->request;
    struct file_info_reply *reply = op->reply;
    struct inode_row file;
    struct buf path = {0};
    uint32_t current = 0;

    int rc = ops_find_file (op, request->path, &request->file, &file);
    if (rc == 0)
        rc = namespace_path_of (op->txn, file.parent, inode_row_name (&file), &path, op->error);
    if (rc == 0)
        rc = ops_copy (op, buf_slice (&path), &reply->path);
    buf_free (&path);
    if (rc == 0)
        rc = put_checksum (op, file.crc, &reply->checksum);
    if (rc == 0)
        rc = blocks_current_replica (op->txn, &file, is_online, (void *) (uintptr_t) op->nodes,
                                     &current, op->error);
    if (rc < 0)
        return rc;

    inode_row_id (&file, &reply->file);
    reply->size = file.size;
    reply->replica = file.replica;
    reply->current_replica = current;
    reply->ctime = file.ctime;
    reply->mtime = file.mtime;
    reply->block_size = file.block_size;
    reply->count = file.size > 0 ? block_count_of (file.size, file.block_size) : 0;
    rc = fill_blocks (op, &file);
    return rc < 0 ? rc : fill_nodes (op);
}

/* ---- the rest --------------------------------------------------------------------------------------- */

int
op_file_update (struct op *op)
{
    const struct file_update_request *request = op->request;
    struct file_update_reply *reply = op->reply;

    reply->replica = request->replica;
    return upload_set_replica (op->txn, request->path, (uint32_t) request->replica,
                               uuid_is_nil (&request->file) ? NULL : &request->file, op->error);
}

int
op_file_delete (struct op *op)
{
    const struct file_delete_request *request = op->request;

    return namespace_delete (op->txn, KIND_FILE, request->path, op->error);
}

int
op_file_move (struct op *op)
{
    const struct file_move_request *request = op->request;
    struct file_move_reply *reply = op->reply;
    struct buf path = {0};
    int rc =
        namespace_move (op->txn, KIND_FILE, request->source, request->target, &path, op->error);

    if (rc == 0)
        rc = ops_copy (op, buf_slice (&path), &reply->path);
    buf_free (&path);
    return rc;
}

int
op_file_rename (struct op *op)
{
    const struct file_rename_request *request = op->request;
    struct file_rename_reply *reply = op->reply;
    struct buf path = {0};
    int rc =
        namespace_rename (op->txn, KIND_FILE, request->path, request->name, &path, op->error);

    if (rc == 0)
        rc = ops_copy (op, buf_slice (&path), &reply->path);
    buf_free (&path);
    return rc;
}
