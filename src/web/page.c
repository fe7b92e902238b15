/* SPDX-License-Identifier: MIT */
/*
 * JSON of the HTTP answers.  One-line documents with a space after each colon and comma, as the
 * Python original prints them.  Text that came from elsewhere and is not UTF-8 is escaped first:
 * JSON has no other way to say it.
 */
#include "web/page.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static json_t *
text_value (struct slice text)
{
    struct buf escaped = {0};
    if (!text_utf8_valid (text.data, text.size))
        text_put_escaped (&escaped, text.data, text.size);
    else
        buf_put (&escaped, text.data, text.size);

    json_t *value =
        escaped.failed ? NULL
                       : json_stringn (escaped.size ? (char *) escaped.data : "", escaped.size);
    buf_free (&escaped);
    return value;
}

/* Print and free; a document that could not be made fails the buffer. */
static void
put_document (json_t *document, struct buf *out)
{
    char *text = document ? json_dumps (document, JSON_PRESERVE_ORDER) : NULL;
    if (text)
        buf_put (out, text, strlen (text));
    else
        out->failed = true;
    free (text);
    json_decref (document);
}

void
page_greeting (struct buf *out, const char *text)
{
    put_document (json_pack ("{ss}", "message", text), out);
}

void
page_error (struct buf *out, int number, const char *text)
{
    put_document (json_pack ("{ss so}", "error", err_word (number), "message",
                             text_value (slice_str (text))),
                  out);
}

void
page_endpoint (struct buf *out, int port, const struct uuid *cluster)
{
    char id[UUID_TEXT_SIZE];
    put_document (json_pack ("{ss si ss s[ii]}", "host", "", "port", port, "cluster",
                             uuid_print (cluster, id), "versions", WIRE_VERSION_MIN,
                             WIRE_VERSION_MAX),
                  out);
}

static json_t *
node_document (const struct wire_node *node)
{
    char id[UUID_TEXT_SIZE];
    return json_pack (
        "{sI ss so sI sI sI so so ss sI sI sI sb sI sI s{sI sI sI}}", "id",
        (json_int_t) node->id, "node_id", uuid_print (&node->node_id, id), "host",
        text_value (node->host), "http_port", (json_int_t) node->http_port, "tcp_port",
        (json_int_t) node->tcp_port, "chain_port", (json_int_t) node->chain_port, "zone",
        text_value (node->zone), "version", text_value (node->version), "status",
        words_node_status[node->status], "storage_total", (json_int_t) node->storage_total,
        "storage_used", (json_int_t) node->storage_used, "storage_free",
        (json_int_t) node->storage_free, "storage_full", node->storage_full, "blocks",
        (json_int_t) node->blocks, "last_heartbeat", (json_int_t) node->last_heartbeat,
        "quarantined", "blocks", (json_int_t) node->quarantined, "bytes",
        (json_int_t) node->quarantined_bytes, "since", (json_int_t) node->quarantined_since);
}

json_t *
page_cluster_begin (const struct cluster_info_reply *page)
{
    char id[UUID_TEXT_SIZE];
    return json_pack ("{ss so sI sI sI sI sI sI sI s[] s[]}", "cluster",
                      uuid_print (&page->cluster, id), "version", text_value (page->version),
                      "block_size", (json_int_t) page->block_size, "files",
                      (json_int_t) page->files, "directories", (json_int_t) page->directories,
                      "bytes", (json_int_t) page->bytes, "number_of_nodes",
                      (json_int_t) page->number_of_nodes, "number_of_online_nodes",
                      (json_int_t) page->number_of_online_nodes, "number_of_offline_nodes",
                      (json_int_t) (page->number_of_nodes - page->number_of_online_nodes),
                      "online_nodes", "offline_nodes");
}

void
page_cluster_add (json_t **document, const struct cluster_info_reply *page)
{
    for (size_t i = 0; *document && i < page->nodes_count; i++) {
        const struct wire_node *node = &page->nodes[i];
        const char *list = node->status == NODE_ONLINE ? "online_nodes" : "offline_nodes";
        if (json_array_append_new (json_object_get (*document, list), node_document (node)) <
            0) {
            json_decref (*document);
            *document = NULL;
        }
    }
}

void
page_cluster_print (json_t **document, struct buf *out)
{
    put_document (*document, out);
    *document = NULL;
}
