/* SPDX-License-Identifier: MIT */
/*
 * Data nodes as words and JSON.
 */
#include "cli/node.h"

#include "cli/print.h"

#include <inttypes.h>

const char *
node_status (const litedfs_node_t *node)
{
    return node->online ? "online" : "offline";
}

void
node_put_state (const litedfs_node_t *node, struct buf *out)
{
    char time[PRINT_TIME_SIZE];

    buf_printf (out, "%s%s", node_status (node), node->storage_full ? ", full" : "");
    if (node->drained)
        buf_printf (out, ", drained");
    else if (node->duty == LITEDFS_DRAIN && node->surveyed)
        buf_printf (out, ", drains: %" PRIu64 " blocks left", node->blocks_left);
    else if (node->duty == LITEDFS_DRAIN)
        buf_printf (out, ", drains");
    if (node->maintenance_until_ms > 0)
        buf_printf (out, ", in maintenance until %s",
                    print_time (node->maintenance_until_ms, time));
}

// What an operator wants of the node, and how far that is.
static json_t *
duty_json (const litedfs_node_t *node)
{
    return json_pack ("{ss sb sb so so so so so}", "wanted",
                      node->duty == LITEDFS_DRAIN ? "drain" : "serve", "drained", node->drained,
                      "surveyed", node->surveyed, "blocks_left",
                      print_json_number (node->blocks_left), "bytes_left",
                      print_json_number (node->bytes_left), "blocks_sole",
                      print_json_number (node->blocks_sole), "bytes_sole",
                      print_json_number (node->bytes_sole), "blocks_stuck",
                      print_json_number (node->blocks_stuck));
}

/* Blocks that nobody owns. */
static json_t *
quarantined_json (const litedfs_node_t *node)
{
    return json_pack ("{so so so}", "blocks", print_json_number (node->quarantined), "bytes",
                      print_json_number (node->quarantined_bytes), "since",
                      print_json_time (node->quarantined_since_ms));
}

json_t *
node_json (const litedfs_node_t *node)
{
    return json_pack (
        "{so ss so so so ss so so so sb so so so so so so}", "id", print_json_number (node->id),
        "node_id", node->node_id, "host", print_json_text (node->host), "http_port",
        print_json_number (node->http_port), "version", print_json_text (node->version),
        "status", node_status (node), "storage_total", print_json_number (node->storage_total),
        "storage_used", print_json_number (node->storage_used), "storage_free",
        print_json_number (node->storage_free), "storage_full", node->storage_full, "blocks",
        print_json_number (node->blocks), "zone", print_json_text (node->zone),
        "last_heartbeat", print_json_time (node->last_heartbeat_ms), "duty", duty_json (node),
        "maintenance_until",
        node->maintenance_until_ms ? print_json_time (node->maintenance_until_ms)
                                   : json_null (),
        "quarantined", quarantined_json (node));
}
