/* SPDX-License-Identifier: MIT */
/*
 * Handlers of directories: create, list, delete, move, rename.
 */
#include "base/err.h"
#include "namenode/listing.h"
#include "namenode/namespace.h"
#include "namenode/ops.h"

#include <string.h>

int
op_directory_create (struct op *op)
{
    const struct directory_create_request *request = op->request;
    struct directory_create_reply *reply = op->reply;

    return namespace_make_directory (op->txn, request->path, request->parents, &reply->created,
                                     NULL, op->error);
}

static int
fill_entry (struct op *op, const struct inode_row *row, struct wire_entry *out)
{
    *out = (struct wire_entry){.kind = row->kind, .ctime = row->ctime, .mtime = row->mtime};
    if (row->kind == KIND_FILE) {
        inode_row_id (row, &out->id);
        out->size = row->size;
        out->replica = row->replica;
    } else {
        out->size = row->bytes;
        out->files = row->files;
        out->directories = row->directories;
    }
    return ops_copy (op, inode_row_name (row), &out->name);
}

/* The most entries in a page, as messages.def has it. */
enum { ENTRIES_MAX = 8192 };

/* Entries until the page is full.  *last is the last one, *more whether others may follow it. */
static int
fill_page (struct op *op, struct listing *listing, struct inode_row *last, bool *more)
{
    const struct message_type *type = &message_types[MESSAGE_directory_list];
    const struct directory_list_request *request = op->request;
    struct directory_list_reply *reply = op->reply;
    size_t max = request->limit > 0 && request->limit < ENTRIES_MAX ? (size_t) request->limit
                                                                    : ENTRIES_MAX;
    size_t bytes = 0;
    int rc = 0;

    reply->entries = ops_array (op, max, sizeof *reply->entries);
    if (!reply->entries)
        return op->error->number;
    while (reply->entries_count < max && bytes < OPS_PAGE_BYTES &&
           (rc = listing_next (listing, last, op->error)) == 0) {
        struct wire_entry *entry = &reply->entries[reply->entries_count++];
        if ((rc = fill_entry (op, last, entry)) < 0)
            break;
        bytes += message_record_size (type, "entries", entry);
    }
    *more = rc == 0 && reply->entries_count > 0;
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* If there is an entry after the page that was filled, say where to go on. */
static int
put_cursor (struct op *op, struct listing *listing, const struct inode_row *last)
{
    struct directory_list_reply *reply = op->reply;
    struct buf cursor = {0};
    struct inode_row beyond;
    int rc = listing_next (listing, &beyond, op->error);

    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    listing_cursor (last, &cursor);
    rc = ops_copy (op, buf_slice (&cursor), &reply->cursor);
    buf_free (&cursor);
    return rc;
}

int
op_directory_list (struct op *op)
{
    const struct directory_list_request *request = op->request;
    struct directory_list_reply *reply = op->reply;
    struct inode_row directory, last;
    struct listing listing;
    bool more = false;

    int rc =
        namespace_lookup_kind (op->txn, request->path, KIND_DIRECTORY, &directory, op->error);
    if (rc == 0)
        rc = listing_open (&listing, op->txn, directory.number, request->directories,
                           request->files, request->offset, request->cursor, op->error);
    if (rc < 0)
        return rc;
    reply->total = listing.total;
    rc = fill_page (op, &listing, &last, &more);
    if (rc == 0 && more)
        rc = put_cursor (op, &listing, &last);
    listing_close (&listing);
    return rc;
}

int
op_directory_delete (struct op *op)
{
    const struct directory_delete_request *request = op->request;

    return namespace_delete (op->txn, KIND_DIRECTORY, request->path, op->error);
}

int
op_directory_move (struct op *op)
{
    const struct directory_move_request *request = op->request;
    struct directory_move_reply *reply = op->reply;
    struct buf path = {0};
    int rc = namespace_move (op->txn, KIND_DIRECTORY, request->source, request->target, &path,
                             op->error);

    if (rc == 0)
        rc = ops_copy (op, buf_slice (&path), &reply->path);
    buf_free (&path);
    return rc;
}

int
op_directory_rename (struct op *op)
{
    const struct directory_rename_request *request = op->request;
    struct directory_rename_reply *reply = op->reply;
    struct buf path = {0};
    int rc = namespace_rename (op->txn, KIND_DIRECTORY, request->path, request->name, &path,
                               op->error);

    if (rc == 0)
        rc = ops_copy (op, buf_slice (&path), &reply->path);
    buf_free (&path);
    return rc;
}
