/* SPDX-License-Identifier: MIT */
/*
 * One switch says which value of a node, or of the cluster, a metric shows.
 */
#include "web/scrape.h"

#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>

static int
keep_text (struct scrape *self, struct slice *text)
{
    text->data = arena_copy (&self->strings, text->size > 0 ? text->data : "", text->size);
    return text->data ? 0 : LITEDFS_MEMORY;
}

static int
keep_node (struct scrape *self, const struct wire_node *node)
{
    struct wire_node kept = *node;

    if (self->count == self->room) {
        size_t room = self->room > 0 ? 2 * self->room : 64;
        struct wire_node *nodes = realloc (self->nodes, room * sizeof *nodes);
        if (!nodes)
            return LITEDFS_MEMORY;
        self->nodes = nodes;
        self->room = room;
    }
    if (keep_text (self, &kept.host) < 0 || keep_text (self, &kept.zone) < 0 ||
        keep_text (self, &kept.version) < 0)
        return LITEDFS_MEMORY;
    self->nodes[self->count++] = kept;
    return 0;
}

int
scrape_add (struct scrape *self, const struct cluster_info_reply *page, litedfs_error_t *error)
{
    self->files = page->files;
    self->directories = page->directories;
    self->bytes = page->bytes;
    for (size_t i = 0; i < page->nodes_count; i++)
        if (keep_node (self, &page->nodes[i]) < 0)
            return err_set (error, LITEDFS_MEMORY, "out of memory");
    return 0;
}

/* ---- showing ------------------------------------------------------------------------------------ */

static void
put_statuses (const struct scrape *self, struct buf *out)
{
    for (size_t status = 0; words_node_status[status]; status++) {
        const struct slice label = slice_str (words_node_status[status]);
        uint64_t count = 0;
        for (size_t i = 0; i < self->count; i++)
            count += self->nodes[i].status == status;
        metric_put (out, METRIC_NODES, &label, count);
    }
}

static void
put_status (const struct wire_node *node, struct slice number, struct buf *out)
{
    for (size_t status = 0; words_node_status[status]; status++) {
        const struct slice labels[] = {number, slice_str (words_node_status[status])};
        metric_put (out, METRIC_NODE_STATUS, labels, node->status == status);
    }
}

static void
put_info (const struct wire_node *node, struct slice number, struct buf *out)
{
    char uuid[UUID_TEXT_SIZE];
    const struct slice labels[] = {number, slice_str (uuid_print (&node->node_id, uuid)),
                                   node->host, node->zone, node->version};

    metric_put (out, METRIC_NODE_INFO, labels, 1);
}

static void
put_node (const struct wire_node *node, enum metric_id id, struct buf *out)
{
    char text[24];
    struct slice number;

    snprintf (text, sizeof text, "%llu", (unsigned long long) node->id);
    number = slice_str (text);
    switch (id) {
    case METRIC_NODE_INFO:
        put_info (node, number, out);
        break;
    case METRIC_NODE_STATUS:
        put_status (node, number, out);
        break;
    case METRIC_NODE_CAPACITY:
        metric_put (out, id, &number, node->storage_total);
        break;
    case METRIC_NODE_USED:
        metric_put (out, id, &number, node->storage_used);
        break;
    case METRIC_NODE_FREE:
        metric_put (out, id, &number, node->storage_free);
        break;
    case METRIC_NODE_FULL:
        metric_put (out, id, &number, node->storage_full);
        break;
    case METRIC_NODE_BLOCKS:
        metric_put (out, id, &number, node->blocks);
        break;
    case METRIC_NODE_HEARTBEAT:
        metric_put (out, id, &number, node->last_heartbeat / 1000);
        break;
    default:
        break;
    }
}

void
scrape_put (void *context, enum metric_id id, struct buf *out)
{
    const struct scrape *self = context;

    switch (id) {
    case METRIC_NAMESPACE_FILES:
        metric_put (out, id, NULL, self->files);
        break;
    case METRIC_NAMESPACE_DIRECTORIES:
        metric_put (out, id, NULL, self->directories);
        break;
    case METRIC_NAMESPACE_BYTES:
        metric_put (out, id, NULL, self->bytes);
        break;
    case METRIC_NODES:
        put_statuses (self, out);
        break;
    default:
        for (size_t i = 0; i < self->count; i++)
            put_node (&self->nodes[i], id, out);
        break;
    }
}

void
scrape_free (struct scrape *self)
{
    arena_free (&self->strings);
    free (self->nodes);
    *self = (struct scrape){.count = 0};
}
