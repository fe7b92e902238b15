/* SPDX-License-Identifier: MIT */
/*
 * Handlers of what is neither a file nor a directory: anything by its path, the locks, the cluster.
 */
#include "base/err.h"
#include "namenode/lease.h"
#include "namenode/namespace.h"
#include "namenode/ops.h"
#include "namenode/quarantine.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

static int
put_path (struct op *op, uint64_t parent, struct slice name, struct slice *out)
{
    struct buf path = {0};
    int rc = namespace_path_of (op->txn, parent, name, &path, op->error);

    if (rc == 0)
        rc = ops_copy (op, buf_slice (&path), out);
    buf_free (&path);
    return rc;
}

int
op_path_info (struct op *op)
{
    const struct path_info_request *request = op->request;
    struct path_info_reply *reply = op->reply;
    struct inode_row row;
    int rc = namespace_lookup (op->txn, request->path, &row, op->error);

    if (rc == 0)
        rc = row.number == ROOT_INODE
                 ? put_path (op, ROOT_INODE, slice_str (NULL), &reply->path)
                 : put_path (op, row.parent, inode_row_name (&row), &reply->path);
    if (rc < 0)
        return rc;
    reply->kind = row.kind;
    reply->ctime = row.ctime;
    reply->mtime = row.mtime;
    if (row.kind == KIND_FILE) {
        inode_row_id (&row, &reply->file);
        reply->size = row.size;
        reply->replica = row.replica;
    } else {
        reply->size = row.bytes;
        reply->files = row.files;
        reply->directories = row.directories;
    }
    return 0;
}

/* ---- locks ------------------------------------------------------------------------------------------ */

/* Locks are read a few at a time; a path is up to 8 KiB, so 24 of them fit into a page. */
enum { LOCKS_MAX = 24 };

static int
fill_lock (struct op *op, const struct lease_row *row, struct wire_lock *out)
{
    *out = (struct wire_lock){
        .ttl = row->ttl,
        .remaining = (uint64_t) (lease_remaining (op->txn, row) + 999) / 1000,
        .replica = row->replica,
    };
    lease_row_id (row, &out->id);
    int rc = put_path (op, row->parent, lease_row_name (row), &out->path);
    // Directories were moved until nobody can write the path out: the name has to do.
    return rc == LITEDFS_INVALID ? ops_copy (op, lease_row_name (row), &out->path) : rc;
}

int
op_lock_list (struct op *op)
{
    const struct lock_list_request *request = op->request;
    struct lock_list_reply *reply = op->reply;
    struct buf next = {0};
    size_t count = 0;
    size_t max =
        request->limit > 0 && request->limit < LOCKS_MAX ? (size_t) request->limit : LOCKS_MAX;
    struct lease_row *rows = ops_array (op, max, sizeof *rows);

    reply->locks = ops_array (op, max, sizeof *reply->locks);
    if (!rows || !reply->locks)
        return op->error->number;
    int rc = lease_list (op->txn, request->cursor, max, rows, &count, &next, op->error);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = fill_lock (op, &rows[i], &reply->locks[reply->locks_count]);
        if (rc == 0)
            reply->locks_count++;
        else if (rc == LITEDFS_NOT_FOUND) // its directory was deleted: nobody can see the name
            rc = 0;
    }
    if (rc == 0 && next.size > 0)
        rc = ops_copy (op, buf_slice (&next), &reply->cursor);
    buf_free (&next);
    return rc;
}

/* ---- the cluster ------------------------------------------------------------------------------------ */

static int
fill_node (struct op *op, const struct node *node, struct wire_node *out)
{
    const struct duty_survey *survey = &node->duty.survey;
    struct quarantine_totals totals;

    int rc = quarantine_totals (op->txn, node->number, &totals, op->error);
    *out = (struct wire_node){
        .id = node->number,
        .node_id = node->uuid,
        .host = slice_str (node->host),
        .http_port = node->http_port,
        .tcp_port = node->tcp_port,
        .chain_port = node->chain_port,
        .zone = node->zone[0] ? slice_str (node->zone) : (struct slice){NULL, 0},
        .version = slice_str (node->version),
        .status = node->online ? NODE_ONLINE : NODE_OFFLINE,
        .storage_total = node->storage_total,
        .storage_used = node->storage_used,
        .storage_free = node->storage_free,
        .storage_full = node->storage_full,
        .blocks = node->blocks,
        .last_heartbeat = (uint64_t) node->heard_wall_ms,
        .duty = node->duty.duty,
        .maintenance_until = node->excused ? node->duty.excused : 0,
        .drained = duty_is_drained (&node->duty),
        .surveyed = survey->time > 0,
        .blocks_left = survey->blocks,
        .bytes_left = survey->bytes,
        .blocks_sole = survey->sole,
        .bytes_sole = survey->sole_bytes,
        .blocks_stuck = survey->stuck,
        .quarantined = totals.blocks,
        .quarantined_bytes = totals.bytes,
        .quarantined_since = totals.oldest,
    };
    return rc;
}

/* The most nodes in a page, as messages.def has it. */
enum { NODES_MAX = 1024 };

int
op_cluster_info (struct op *op)
{
    const struct message_type *type = &message_types[MESSAGE_cluster_info];
    const struct cluster_info_request *request = op->request;
    struct cluster_info_reply *reply = op->reply;
    struct inode_row root;
    size_t bytes = 0;

    int rc = namespace_lookup (op->txn, slice_str ("/"), &root, op->error);
    if (rc < 0)
        return rc;
    reply->cluster = op->settings->cluster;
    reply->version = slice_str (PACKAGE_VERSION);
    reply->block_size = op->settings->block_size;
    reply->files = root.files;
    reply->directories = root.directories;
    reply->bytes = root.bytes;
    reply->number_of_nodes = op->nodes->count - op->nodes->removed;
    reply->number_of_online_nodes = op->nodes->online;
    reply->nodes = ops_array (op, op->nodes->count, sizeof *reply->nodes);
    if (!reply->nodes)
        return op->error->number;
    for (size_t i = 0; i < op->nodes->count; i++) {
        const struct node *node = &op->nodes->nodes[i];
        if (node->number <= request->cursor || node->duty.duty == DUTY_REMOVED)
            continue;
        if (reply->nodes_count == NODES_MAX || bytes > OPS_PAGE_BYTES) {
            reply->cursor = reply->nodes[reply->nodes_count - 1].id;
            break;
        }
        rc = fill_node (op, node, &reply->nodes[reply->nodes_count]);
        if (rc < 0)
            return rc;
        bytes += message_record_size (type, "nodes", &reply->nodes[reply->nodes_count++]);
    }
    return 0;
}
