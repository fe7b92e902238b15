/* SPDX-License-Identifier: MIT */
/*
 * The uplink's node table: fed by heartbeats and by node.list, told to the datanode actor, and saved.
 *
 * After each registration the heartbeats bring all of it, then what changes.  So node.list is for numbers
 * that the datanode actor needs before: a chain may name a node that has just come.  Whatever is in the
 * replies comes from the network: an entry that makes no sense is left out, and the number of entries is
 * bounded.
 */
#include "datanode/uplink_impl.h"

#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>

#define LIST_INTERVAL_MS 1000   // between two times that the whole table is asked for
#define SAVE_INTERVAL_MS 1000   // between two saves
#define SAVE_AGAIN_MS 60000     // after one that failed
#define COMPLAIN_AGAIN_MS 60000 // how often entries that make no sense are logged

int
uplink_load_nodes (struct uplink *self, litedfs_error_t *error)
{
    litedfs_error_t reason;

    self->nodes = nodetable_new ();
    if (self->nodes == NULL ||
        asprintf (&self->nodes_path, "%s/nodes", self->options.config->data_path) < 0) {
        self->nodes_path = NULL;
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    }
    int rc = nodetable_load (self->nodes, self->nodes_path, &reason);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        log_warning (self->options.log, "%s; where other nodes are is asked for anew",
                     reason.text);
    return 0;
}

void
uplink_take_nodes (struct uplink *self, const struct wire_endpoint *nodes, size_t count)
{
    struct nodetable_entry entry;
    litedfs_error_t error;
    size_t wrong = 0;

    for (size_t i = 0; i < count; i++)
        if (nodetable_entry_of (&entry, &nodes[i], self->name_host, &error) < 0 ||
            nodetable_put (self->nodes, &entry, &error) < 0)
            wrong++;
    int64_t now_ms = uplink_now (self);
    if (wrong > 0 &&
        (!self->nodes_complained || now_ms - self->nodes_complained_ms >= COMPLAIN_AGAIN_MS)) {
        log_warning (self->options.log, "%s: %zu entries of its node table are left out: %s",
                     self->peer, wrong, error.text);
        self->nodes_complained = true;
        self->nodes_complained_ms = now_ms;
    }
    uplink_tell_nodes (self);
}

/* ---- to the datanode actor ---------------------------------------------------------------------- */

static bool
send_entries (struct uplink *self, const struct nodetable_entry *entries, size_t count)
{
    const struct note note = {.kind = NOTE_TABLE, .count = count};

    return note_send (self->notes, &note, entries, count * sizeof *entries);
}

void
uplink_tell_nodes (struct uplink *self)
{
    uint64_t stamp = nodetable_stamp (self->nodes);
    uint32_t node = 0;
    size_t count;

    if (stamp == self->nodes_told)
        return;
    struct nodetable_entry *page = calloc (NOTE_TABLE_PAGE, sizeof *page);
    if (page == NULL)
        return; // told at the next beat
    bool sent = true;
    do {
        count = nodetable_changed (self->nodes, self->nodes_told, &node, page, NOTE_TABLE_PAGE);
        if (count > 0)
            sent = send_entries (self, page, count);
    } while (sent && count == NOTE_TABLE_PAGE);
    if (sent)
        self->nodes_told = stamp;
    free (page);
}

void
uplink_find_node (struct uplink *self, uint32_t node)
{
    const struct nodetable_entry *entry = nodetable_find (self->nodes, node);

    if (entry == NULL)
        self->list_wanted = true;
    else
        send_entries (self, entry, 1);
}

/* ---- node.list ---------------------------------------------------------------------------------- */

static void
on_list (void *arg, struct message *message, zmq_msg_t *payload, const litedfs_error_t *problem)
{
    struct uplink *self = arg;
    struct node_list_reply reply;
    uint64_t cursor = self->list_cursor;
    (void) payload;

    self->list_pending = false;
    self->list_cursor = 0;
    if (!uplink_take_reply (self, MESSAGE_node_list, message, problem, &reply, &self->list_ms))
        return;
    uplink_take_nodes (self, reply.nodes, reply.nodes_count);
    if (reply.cursor > cursor)
        self->list_cursor = reply.cursor;
}

/* Whether a page of the table is to be asked for, and when. */
static bool
list_due (const struct uplink *self, int64_t *out_ms)
{
    if (self->stage != UPLINK_REGISTERED || self->list_pending)
        return false;
    *out_ms = self->list_cursor > 0 ? 0 : self->list_ms;
    return self->list_cursor > 0 || self->list_wanted;
}

static void
ask_for_list (struct uplink *self)
{
    struct node_list_request request;

    message_request_init (&message_types[MESSAGE_node_list], &request);
    request.cursor = self->list_cursor;
    if (self->list_cursor == 0) {
        self->list_wanted = false;
        self->list_ms = uplink_now (self) + LIST_INTERVAL_MS;
    }
    self->list_pending =
        uplink_ask (self, MESSAGE_node_list, &request,
                    uplink_ms (self->options.config->heartbeat_timeout), on_list, NULL);
}

/* ---- when what ---------------------------------------------------------------------------------- */

static void
save (struct uplink *self)
{
    litedfs_error_t error;

    int rc = nodetable_save (self->nodes, self->nodes_path, &error);
    self->save_ms = uplink_now (self) + (rc < 0 ? SAVE_AGAIN_MS : SAVE_INTERVAL_MS);
    if (rc < 0)
        log_warning (self->options.log, "where other nodes are is not saved: %s", error.text);
}

void
uplink_tend_nodes (struct uplink *self)
{
    int64_t now_ms = uplink_now (self);
    int64_t due_ms;

    if (list_due (self, &due_ms) && now_ms >= due_ms)
        ask_for_list (self);
    if (nodetable_unsaved (self->nodes) && now_ms >= self->save_ms)
        save (self);
}

int64_t
uplink_nodes_ms (const struct uplink *self)
{
    int64_t next_ms = INT64_MAX;

    if (!list_due (self, &next_ms))
        next_ms = INT64_MAX;
    if (nodetable_unsaved (self->nodes) && self->save_ms < next_ms)
        next_ms = self->save_ms;
    return next_ms;
}
