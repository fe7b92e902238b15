/* SPDX-License-Identifier: MIT */
/*
 * litedfs ADDRESS cluster info: totals, what there is to repair, and the data nodes.
 */
#include "cli/check.h"
#include "cli/cmd.h"
#include "cli/cmd_balance.h"
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

// Milliseconds until all is repaired at the rate of late; 0 if there is nothing to do, or no rate.
static uint64_t
time_left_ms (const litedfs_repair_t *repair)
{
    return repair->rate ? (uint64_t) ((double) repair->bytes / (double) repair->rate * 1000)
                        : 0;
}

static json_t *
awaited_json (const litedfs_repair_t *repair)
{
    json_t *list = json_array ();
    for (size_t i = 0; i < repair->awaited_count; i++)
        if (json_array_append_new (list, print_json_number (repair->awaited[i])) < 0) {
            json_decref (list);
            return NULL;
        }
    return list;
}

static json_t *
repair_json (const litedfs_repair_t *repair)
{
    uint64_t left_ms = time_left_ms (repair);
    return json_pack (
        "{sb so so so so so so so so so so so so}", "counted", repair->counted,
        "missing_blocks", print_json_number (repair->missing), "last_copy_blocks",
        print_json_number (repair->last), "under_replicated_blocks",
        print_json_number (repair->few), "draining_blocks", print_json_number (repair->move),
        "over_replicated_blocks", print_json_number (repair->surplus), "bytes",
        print_json_number (repair->bytes), "copies", print_json_number (repair->copies),
        "copying_bytes", print_json_number (repair->copying), "bytes_per_second",
        print_json_number (repair->rate), "seconds_left",
        left_ms || repair->bytes == 0 ? print_json_number ((left_ms + 999) / 1000)
                                      : json_null (),
        "settling_seconds_left", print_json_number ((repair->settling_ms + 999) / 1000),
        "awaited_nodes", awaited_json (repair));
}

static json_t *
cluster_json (const litedfs_cluster_t *cluster, const litedfs_repair_t *repair)
{
    return json_pack ("{ss so so so so so so so so so so so}", "cluster", cluster->id,
                      "version", print_json_text (cluster->version), "block_size",
                      print_json_number (cluster->block_size), "files",
                      print_json_number (cluster->files), "directories",
                      print_json_number (cluster->directories), "bytes",
                      print_json_number (cluster->bytes), "number_of_nodes",
                      print_json_number (cluster->node_count), "number_of_online_nodes",
                      print_json_number (cluster->online_count), "number_of_offline_nodes",
                      print_json_number (cluster->node_count - cluster->online_count),
                      "online_nodes", nodes_json (cluster, true), "offline_nodes",
                      nodes_json (cluster, false), "repair", repair_json (repair));
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

// "at least 12 with one copy left, 300 with too few, 0 with too many, 1 missing".
static void
print_repair (const litedfs_repair_t *repair)
{
    const char *least = repair->counted ? "" : "at least ";
    uint64_t left_s = (time_left_ms (repair) + 999) / 1000;
    struct buf nodes = {0};

    if (repair->settling_ms) {
        for (size_t i = 0; i < repair->awaited_count; i++)
            buf_printf (&nodes, "%s%" PRIu32, i ? ", " : "", repair->awaited[i]);
        print_field (stdout, "waiting for", "nodes %s, %" PRIu64 " s at most",
                     buf_text (&nodes), (repair->settling_ms + 999) / 1000);
        buf_free (&nodes);
        return;
    }
    print_field (
        stdout, "to repair",
        "%s%" PRIu64 " blocks with one copy left, %" PRIu64 " others with too few, %" PRIu64
        " on nodes that drain, %" PRIu64 " with too many, %" PRIu64 " missing",
        least, repair->last, repair->few, repair->move, repair->surplus, repair->missing);
    print_field (stdout, "to copy",
                 "%s%" PRIu64 " bytes, %" PRIu64 " copies under way, %" PRIu64 " bytes/s",
                 least, repair->bytes, repair->copies, repair->rate);
    if (left_s)
        print_field (stdout, "time left", "%s%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, least,
                     left_s / 3600, left_s / 60 % 60, left_s % 60);
}

/* How many blocks nobody owns, on all nodes; nothing if there is none. */
static void
print_quarantined (const litedfs_cluster_t *cluster)
{
    uint64_t blocks = 0, bytes = 0;

    for (size_t i = 0; i < cluster->node_count; i++) {
        blocks += cluster->nodes[i].quarantined;
        bytes += cluster->nodes[i].quarantined_bytes;
    }
    if (blocks > 0)
        print_field (stdout, "quarantined", "%" PRIu64 " blocks, %" PRIu64 " bytes", blocks,
                     bytes);
}

static int
print_cluster (const litedfs_cluster_t *cluster, const litedfs_repair_t *repair, uint64_t width,
               litedfs_error_t *error)
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
    print_quarantined (cluster);
    print_repair (repair);
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
    litedfs_cluster_t cluster = {0};
    litedfs_repair_t repair = {0};

    int rc = cmd_open (call, error);
    if (rc == 0)
        rc = litedfs_cluster (call->session, &cluster, error);
    if (rc == 0)
        rc = litedfs_repair (call->session, &repair, error);
    if (rc == 0)
        rc = call->text[CMD_JSON] || call->text[CMD_RAW]
                 ? print_json (cluster_json (&cluster, &repair), stdout, error)
                 : print_cluster (&cluster, &repair, (uint64_t) call->number[CMD_WIDTH], error);
    litedfs_cluster_free (&cluster);
    litedfs_repair_free (&repair);
    return rc;
}

const struct cmd cmd_cluster[] = {
    {"cluster", "check", NULL, "Say how the blocks of all files are", 0,
     CMD_BIT (CMD_FILES) | CMD_BIT (CMD_JSON) | CMD_BIT (CMD_SCRUB) | CMD_BIT (CMD_WAIT) |
         CMD_BIT (CMD_TIMEOUT),
     check_run},
    {"cluster", "info", NULL, "Show totals, what there is to repair, and data nodes", 0,
     CMD_BIT (CMD_RAW) | CMD_BIT (CMD_JSON), run_info},
    {"cluster", "balance", NULL, "Show what moves from full data nodes to others, or switch it",
     0, CMD_BIT (CMD_ON) | CMD_BIT (CMD_OFF) | CMD_BIT (CMD_DRY_RUN) | CMD_BIT (CMD_JSON),
     cmd_cluster_balance},
    {0},
};
