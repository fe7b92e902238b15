/* SPDX-License-Identifier: MIT */
/*
 * From a message to its handler and back: the table of handlers, and the decoding and encoding that
 * is the same for all of them.
 */
#include "namenode/ops.h"

#include "base/err.h"

#include <string.h>

/* Room for any request or reply. */
#define REQUEST(name, op, from, to, effect) struct name##_request name;
union any_request {
#include "wire/messages.def"
};
#define REPLY(name) struct name##_reply name;
union any_reply {
#include "wire/messages.def"
};

void
ops_endpoint (const struct node *node, struct wire_endpoint *out)
{
    *out = (struct wire_endpoint){
        .node = node->number,
        .host = slice_str (node->host),
        .tcp_port = node->tcp_port,
        .chain_port = node->chain_port,
        .zone = node->zone[0] ? slice_str (node->zone) : (struct slice){NULL, 0},
        .online = node->online,
    };
}

int
ops_copy (struct op *op, struct slice bytes, struct slice *out)
{
    char *copy = arena_copy (op->arena, bytes.data, bytes.size);

    if (!copy)
        return err_set (op->error, LITEDFS_MEMORY, "the reply is too large for the memory");
    *out = slice_of (copy, bytes.size);
    return 0;
}

void *
ops_array (struct op *op, size_t count, size_t size)
{
    void *array = arena_alloc_array (op->arena, count, size);

    if (!array)
        err_set (op->error, LITEDFS_MEMORY, "the reply is too large for the memory");
    return array;
}

int
ops_check_sender (struct op *op, uint64_t node)
{
    if (op->sender->node == node)
        return 0;
    return err_set (op->error, LITEDFS_WRONG_NODE,
                    "node[%llu]: this session has registered as node %u",
                    (unsigned long long) node, op->sender->node);
}

/* In the order of messages.def. */
static const struct op_row rows[] = {
    {MESSAGE_directory_create, op_directory_create, false},
    {MESSAGE_directory_list, op_directory_list, true},
    {MESSAGE_directory_delete, op_directory_delete, true},
    {MESSAGE_directory_move, op_directory_move, false},
    {MESSAGE_directory_rename, op_directory_rename, false},
    {MESSAGE_file_create, op_file_create, false},
    {MESSAGE_file_allocate, op_file_allocate, false},
    {MESSAGE_file_renew, op_file_renew, true},
    {MESSAGE_file_commit, op_file_commit, true},
    {MESSAGE_file_abandon, op_file_abandon, true},
    {MESSAGE_file_info, op_file_info, true},
    {MESSAGE_file_why, op_file_why, true},
    {MESSAGE_file_update, op_file_update, false},
    {MESSAGE_file_delete, op_file_delete, true},
    {MESSAGE_file_move, op_file_move, false},
    {MESSAGE_file_rename, op_file_rename, false},
    {MESSAGE_path_info, op_path_info, true},
    {MESSAGE_lock_list, op_lock_list, true},
    {MESSAGE_cluster_info, op_cluster_info, true},
    {MESSAGE_cluster_repair, op_cluster_repair, true},
    {MESSAGE_cluster_check, op_cluster_check, true},
    {MESSAGE_cluster_balance, op_cluster_balance, true},
    {MESSAGE_node_register, op_node_register, true},
    {MESSAGE_node_heartbeat, op_node_heartbeat, true},
    {MESSAGE_node_report, op_node_report, true},
    {MESSAGE_node_inventory, op_node_inventory, true},
    {MESSAGE_node_listing, op_node_listing, true},
    {MESSAGE_node_orders, op_node_confirm, true},
    {MESSAGE_node_failed, op_node_failed, true},
    {MESSAGE_node_list, op_node_list, true},
    {MESSAGE_node_drain, op_node_drain, true},
    {MESSAGE_node_maintenance, op_node_maintenance, true},
    {MESSAGE_node_remove, op_node_remove, true},
};

const struct op_row *
ops_find (enum message_number number)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].number == number)
            return &rows[i];
    return NULL;
}

int
ops_run (const struct op_row *row, struct op *in, struct message *message, struct buf *out)
{
    union any_request request;
    union any_reply reply;
    struct arena arena = {0};
    size_t before = out->size;

    memset (in->effects, 0, sizeof *in->effects);
    int rc = message_request_fields (message, &request, in->error);
    if (rc == 0) {
        message_reply_init (message->type, &reply);
        in->request = &request;
        in->reply = &reply;
        in->arena = &arena;
        rc = row->run (in);
    }
    if (rc == 0)
        rc = message_encode_reply (out, message->type, &reply, message->envelope.id, in->error);
    if (rc < 0)
        out->size = before;
    arena_free (&arena);
    return rc;
}
