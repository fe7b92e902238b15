/* SPDX-License-Identifier: MIT */
/*
 * litedfs ADDRESS node ...: the data nodes, a line each; what changes them is in cmd_duty.c.
 */
#include "cli/cmd_duty.h"
#include "cli/node.h"
#include "cli/print.h"

#include <inttypes.h>

static void
node_cell (const void *arg, size_t row, size_t column, struct buf *out)
{
    const litedfs_cluster_t *cluster = arg;
    const litedfs_node_t *node = &cluster->nodes[row];
    char time[PRINT_TIME_SIZE];

    if (column == 0)
        buf_printf (out, "%" PRIu32, node->id);
    else if (column == 1)
        buf_printf (out, "%s:%" PRIu32, node->host, node->http_port);
    else if (column == 2)
        buf_printf (out, "%s", node->zone);
    else if (column == 3)
        node_put_state (node, out);
    else if (column == 4)
        buf_printf (out, "%" PRIu64, node->blocks);
    else if (column == 5)
        buf_printf (out, "%" PRIu64, node->storage_used);
    else if (column == 6)
        buf_printf (out, "%" PRIu64, node->storage_free);
    else if (node->last_heartbeat_ms > 0)
        buf_printf (out, "%s", print_time (node->last_heartbeat_ms, time));
    else
        buf_printf (out, "-"); // not since the name node started
}

static json_t *
nodes_json (const litedfs_cluster_t *cluster)
{
    json_t *list = json_array ();

    for (size_t i = 0; i < cluster->node_count; i++)
        if (json_array_append_new (list, node_json (&cluster->nodes[i])) < 0) {
            json_decref (list);
            return NULL;
        }
    return json_pack ("{so}", "nodes", list);
}

static int
run_list (struct cmd_call *call, litedfs_error_t *error)
{
    static const char *const names[] = {"id",   "host", "zone",           "status", "blocks",
                                        "used", "free", "last_heartbeat", NULL};
    litedfs_cluster_t cluster;

    int rc = cmd_open (call, error);
    if (rc == 0)
        rc = litedfs_cluster (call->session, &cluster, error);
    if (rc < 0)
        return rc;
    const struct print_table table = {.names = names,
                                      .first = 1,
                                      .rows = cluster.node_count,
                                      .cell = node_cell,
                                      .arg = &cluster};
    rc = call->text[CMD_JSON]
             ? print_json (nodes_json (&cluster), stdout, error)
             : print_table (&table, (uint64_t) call->number[CMD_WIDTH], stdout, error);
    litedfs_cluster_free (&cluster);
    return rc;
}

const struct cmd cmd_node[] = {
    {"node", "list", NULL, "List the data nodes", 0, CMD_BIT (CMD_JSON), run_list},
    {"node", "drain", "ID", "Copy everything off a data node, so that it may go", 0,
     CMD_BIT (CMD_WAIT), cmd_node_drain},
    {"node", "undrain", "ID", "Let a data node that drains serve again", 0, 0,
     cmd_node_undrain},
    {"node", "remove", "ID", "Take a data node out of the cluster for ever", 0,
     CMD_BIT (CMD_LOSE), cmd_node_remove},
    {"node", "maintenance", "ID", "Let a data node be away for a while, without new copies",
     CMD_BIT (CMD_FOR), 0, cmd_node_maintenance},
    {0},
};
