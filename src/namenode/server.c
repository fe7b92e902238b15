/* SPDX-License-Identifier: MIT */
/*
 * What all requests have in common: the snapshot that a turn reads from, the view of the nodes, and
 * the two usual ways, reading and changing.
 *
 * Views are copies of all nodes, so they are not made anew for each heartbeat: one that is up to a
 * tenth of a second old will do where only free bytes have changed.
 */
#include "namenode/server.h"

#include "base/err.h"

#include <string.h>

/* ---- snapshot and views ---------------------------------------------------------------------------- */

int
server_take_snapshot (struct server *self, litedfs_error_t *error)
{
    return self->snapshot ? 0
                          : txn_begin_read (storedir_store (self->dir), &self->snapshot, error);
}

void
server_end_snapshot (struct server *self)
{
    txn_abort (&self->snapshot);
}

int
server_take_view (struct server *self, bool exact, litedfs_error_t *error)
{
    int64_t now = clock_mono (self->clock);

    if (self->view && !exact && self->view->table == nodes_table (self->nodes) &&
        now - self->view_ms < SERVER_VIEW_MS)
        return 0;
    nodes_view_release (&self->view);
    self->view = nodes_view (self->nodes);
    self->view_ms = now;
    return self->view ? 0 : err_set (error, LITEDFS_MEMORY, "out of memory");
}

void
server_update_writer (struct server *self, bool always)
{
    int64_t now = clock_mono (self->clock);
    litedfs_error_t error;

    if (!always && self->written_table == nodes_table (self->nodes) &&
        now - self->written_ms < SERVER_VIEW_MS)
        return;
    if (server_take_view (self, true, &error) < 0) {
        log_error (self->log, "the writer's view of the nodes is old: %s", error.text);
        return;
    }
    writer_update_nodes (self->writer, self->view);
    self->written_table = self->view->table;
    self->written_ms = now;
}

/* ---- the ways of a request ---------------------------------------------------------------------------- */

struct op_sender
server_sender (const struct server *self, const struct request *request)
{
    struct op_sender sender = {.node = nodes_of_session (self->nodes, request->route.session)};

    memcpy (sender.peer, request->peer, sizeof sender.peer);
    return sender;
}

void
server_send (struct server *self, const struct route *route, uint64_t id, int number,
             const void *data, size_t size)
{
    int rc = router_reply_encoded (self->router, route, id, number, data, size);

    if (rc < 0)
        log_debug (self->log, "a reply was not delivered: %s", err_text (rc));
}

int
server_answer (struct server *self, const struct op_row *row, struct request *request,
               bool exact, litedfs_error_t *error)
{
    struct op_effects effects;
    struct buf out = {0};
    const struct op_sender sender = server_sender (self, request);
    int rc = server_take_snapshot (self, error);

    if (rc == 0)
        rc = server_take_view (self, exact, error);
    if (rc < 0)
        return rc;
    struct op op = {
        .txn = self->snapshot,
        .settings = &self->settings,
        .nodes = self->view,
        .repair = self->view->settling ? NULL : self->repair,
        .clock = self->clock,
        .settling_ms = self->view->settling ? self->settled_ms - clock_mono (self->clock) : 0,
        .sender = &sender,
        .effects = &effects,
        .error = error,
    };
    rc = ops_run (row, &op, request->message, &out);
    if (rc == 0 && out.failed)
        rc = err_set (error, LITEDFS_MEMORY, "out of memory");
    if (rc == 0)
        server_send (self, &request->route, request->message->envelope.id, 0, out.data,
                     out.size);
    buf_free (&out);
    return rc;
}

int
server_on_read (void *context, struct request *request, litedfs_error_t *error)
{
    int rc = server_answer (context, ops_find (request->message->type->number), request, true,
                            error);

    if (rc == 0)
        request_destroy (&request);
    return rc;
}

int
server_on_change (void *context, struct request *request, litedfs_error_t *error)
{
    struct server *self = context;
    const struct op_sender sender = server_sender (self, request);

    server_update_writer (self, false);
    int rc = writer_submit (self->writer, request, &sender, 0, error);
    if (rc == 0)
        request_destroy (&request);
    return rc;
}
