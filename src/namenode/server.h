/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_SERVER_H
#define LITEDFS_NAMENODE_SERVER_H

/*
 * The state of the namenode actor and the ways of a request through it; namenode.c has the table and
 * the loop.  Everything belongs to the actor's thread.
 */

#include "namenode/nodes.h"
#include "namenode/storedir.h"
#include "namenode/writer.h"
#include "rpc/router.h"

/* A registration that the writer has. */
struct registration {
    uint64_t token;
    uint64_t session; // 0: it has ended
    struct uuid uuid;
    uint64_t incarnation;
    struct node_storage storage;
    int64_t interval_ms;
    int64_t timeout_ms;
};

/* A node.orders that waits for orders. */
struct parked {
    struct request *request;
    struct node_orders_request fields;
    uint32_t node;
    int64_t deadline_ms;
    bool look; // there may be something now
};

struct server {
    struct log *log;
    struct metrics *metrics;
    const struct clock *clock;
    int64_t listened_ms; // when the last turn began
    int64_t stalled_ms;  // when it was noticed last that we had not listened; 0: never
    struct storedir *dir;
    struct op_settings settings;
    struct nodes *nodes;
    int64_t settled_ms; // until then nodes that were here before our start are waited for
    struct writer *writer;
    struct router *router;
    struct txn *snapshot;       // of this turn, or NULL
    struct nodes_view *view;    // for reads
    int64_t view_ms;            // when it was taken
    struct repair_view *repair; // what the writer has shown last; NULL: nothing yet
    uint64_t written_table;     // the table version that the writer has
    int64_t written_ms;         // when it was given its view
    struct registration *pending;
    size_t pending_count, pending_room;
    uint64_t last_token;
    struct parked *parked;
    size_t parked_count, parked_room;
};

/* Milliseconds: how old a view of the nodes may be where only their storage has changed; how long
 * node.orders is parked. */
enum { SERVER_VIEW_MS = 100, SERVER_PARK_MS = 30000 };

/* Begin the turn's snapshot if there is none; server_end_snapshot ends it. */
int server_take_snapshot (struct server *self, litedfs_error_t *error);
void server_end_snapshot (struct server *self);

/* See that self->view is good for reads: exact, as things are now; else only the node table must be. */
int server_take_view (struct server *self, bool exact, litedfs_error_t *error);

/* Give the writer the view of now, if the one that it has is too old, or always. */
void server_update_writer (struct server *self, bool always);

/* Who sent a request. */
struct op_sender server_sender (const struct server *self, const struct request *request);

/* Send a reply that was encoded, with its error or 0; one that cannot be delivered is the peer's loss, it will ask again. */
void server_send (struct server *self, const struct route *route, uint64_t id, int number,
                  const void *data, size_t size);

/* Run a handler that reads and answer the request, which stays the caller's. */
int server_answer (struct server *self, const struct op_row *row, struct request *request,
                   bool exact, litedfs_error_t *error);

/* Handlers of router_row; the context is the server.  Reads are answered from the snapshot, changes go
 * to the writer; the others concern nodes (server_nodes.c). */
int server_on_read (void *context, struct request *request, litedfs_error_t *error);
int server_on_change (void *context, struct request *request, litedfs_error_t *error);
int server_on_register (void *context, struct request *request, litedfs_error_t *error);
int server_on_heartbeat (void *context, struct request *request, litedfs_error_t *error);
int server_on_orders (void *context, struct request *request, litedfs_error_t *error);

/* Fill the registry with the nodes that the store knows. */
int server_load_nodes (struct server *self, litedfs_error_t *error);

/* What is wanted of a node has changed in the store. */
void server_load_duty (struct server *self, uint32_t number);

/* The writer is done with a registration: the node is online.  False when its reply must not be sent,
 * because another one was or nobody is there. */
bool server_finish_register (struct server *self, const struct writer_result *result,
                             zmq_msg_t *frame);

/* A session has ended. */
void server_forget_session (struct server *self, uint64_t session);

/* Count nodes offline that, at the time now_ms, have been silent for too long.  What they said in the
 * last waiting_ms may not have been heard yet. */
void server_judge (struct server *self, int64_t now_ms, int64_t waiting_ms);

/* An upload could not write to a node; the registry says what follows from it. */
void server_suspect (struct server *self, uint32_t node, uint64_t reporter);

/* The node has new orders; they are handed out by server_hand_out. */
void server_orders_ready (struct server *self, uint32_t node);

/* Answer the parked requests for which there are orders, or whose time is over. */
void server_hand_out (struct server *self);

/* Drop all parked requests and pending registrations, at the end. */
void server_free_nodes (struct server *self);

#endif
