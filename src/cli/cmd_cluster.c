/* SPDX-License-Identifier: MIT */
/*
 * litedfs ADDRESS cluster info: totals, and the data nodes.
 */
#include "cli/cmd.h"
#include "cli/node.h"
#include "cli/print.h"

#include <inttypes.h>

/* ---- JSON --------------------------------------------------------------------------------------------- */

// The nodes that are online, or those that are not.
static json_t *
nodes_json (const litedfs_cluster_t *cluster, bool online)
{
    json_t *list = json_array ();
    for (size_t i = 0; i < cluster->node_count; i++) {
        if (cluster->nodes[i].online != online)
            continue;
        if (json_array_append_new (list, node_json (&cluster->nodes[i])) < 0) {
            json_decref (list);
            return NULL;
        }
    }
    return list;
}

static json_t *
cluster_json (const litedfs_cluster_t *cluster)
{
    return json_pack (
        "{ss so so so so so so so so so so}", "cluster", cluster->id, "version",
        print_json_text (cluster->version), "block_size",
        print_json_number (cluster->block_size), "files", print_json_number (cluster->files),
        "directories", print_json_number (cluster->directories), "bytes",
        print_json_number (cluster->bytes), "number_of_nodes",
        print_json_number (cluster->node_count), "number_of_online_nodes",
        print_json_number (cluster->online_count), "number_of_offline_nodes",
        print_json_number (cluster->node_count - cluster->online_count), "online_nodes",
        nodes_json (cluster, true), "offline_nodes", nodes_json (cluster, false));
}

/* ---- for people ------------------------------------------------------------------------------------------ */

static void
node_cell (const void *arg, size_t row, size_t column, struct buf *out)
{
    const litedfs_cluster_t *cluster = arg;
    const litedfs_node_t *node = &cluster->nodes[row];
    const uint64_t storage[] = {node->storage_total, node->storage_used, node->storage_free};

    if (column == 0)
        buf_printf (out, "%" PRIu32, node->id);
    else if (column == 1)
        buf_printf (out, "%s", node->node_id);
    else if (column == 2)
        buf_printf (out, "%s", node->host);
    else if (column == 3)
        buf_printf (out, "%" PRIu32, node->http_port);
    else if (column == 4)
        buf_printf (out, "%s", node->version);
    else if (column == 5)
        buf_printf (out, "%s", node_status (node));
    else if (column < 9)
        buf_printf (out, "%" PRIu64, storage[column - 6]);
    else if (column == 9)
        buf_printf (out, "%s", node->storage_full ? "yes" : "no");
    else
        buf_printf (out, "%" PRIu64, node->blocks);
}

static int
print_cluster (const litedfs_cluster_t *cluster, uint64_t width, litedfs_error_t *error)
{
    static const char *const names[] = {"id",      "node_id", "host",   "http_port",
                                        "version", "status",  "total",  "used",
                                        "free",    "full",    "blocks", NULL};

    print_field (stdout, "cluster", "%s", cluster->id);
    print_field (stdout, "version", "%s", cluster->version);
    print_field (stdout, "block_size", "%" PRIu64, cluster->block_size);
    print_field (stdout, "files", "%" PRIu64, cluster->files);
    print_field (stdout, "directories", "%" PRIu64, cluster->directories);
    print_field (stdout, "bytes", "%" PRIu64, cluster->bytes);
    print_field (stdout, "nodes", "%zu (%zu online, %zu offline)", cluster->node_count,
                 cluster->online_count, cluster->node_count - cluster->online_count);
    const struct print_table table = {.names = names,
                                      .first = 1,
                                      .rows = cluster->node_count,
                                      .cell = node_cell,
                                      .arg = cluster};
    return print_table (&table, width, stdout, error);
}

static int
run_info (struct cmd_call *call, litedfs_error_t *error)
{
    litedfs_cluster_t cluster;

    int rc = cmd_open (call, error);
    if (rc == 0)
        rc = litedfs_cluster (call->session, &cluster, error);
    if (rc < 0)
        return rc;
    rc = call->text[CMD_JSON] || call->text[CMD_RAW]
             ? print_json (cluster_json (&cluster), stdout, error)
             : print_cluster (&cluster, (uint64_t) call->number[CMD_WIDTH], error);
    litedfs_cluster_free (&cluster);
    return rc;
}

const struct cmd cmd_cluster[] = {
    {"cluster", "info", NULL, "Show totals and data nodes", 0,
     CMD_BIT (CMD_RAW) | CMD_BIT (CMD_JSON), run_info},
    {0},
};
