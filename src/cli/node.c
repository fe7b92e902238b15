/* SPDX-License-Identifier: MIT */
/*
 * Data nodes as words and JSON.
 */
#include "cli/node.h"

#include "cli/print.h"

const char *
node_status (const litedfs_node_t *node)
{
    return node->online ? "online" : "offline";
}

json_t *
node_json (const litedfs_node_t *node)
{
    return json_pack (
        "{so ss so so so ss so so so sb so so so}", "id", print_json_number (node->id),
        "node_id", node->node_id, "host", print_json_text (node->host), "http_port",
        print_json_number (node->http_port), "version", print_json_text (node->version),
        "status", node_status (node), "storage_total", print_json_number (node->storage_total),
        "storage_used", print_json_number (node->storage_used), "storage_free",
        print_json_number (node->storage_free), "storage_full", node->storage_full, "blocks",
        print_json_number (node->blocks), "zone", print_json_text (node->zone),
        "last_heartbeat", print_json_time (node->last_heartbeat_ms));
}
