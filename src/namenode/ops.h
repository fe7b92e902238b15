/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_OPS_H
#define LITEDFS_NAMENODE_OPS_H

/*
 * Handlers: what the name node does for each request.
 *
 * A handler is a function of a transaction, a decoded request and a view of the nodes.  It checks
 * first and writes after, fills the reply, and sends nothing; it may be run again, in another
 * transaction, and then only the last run counts.  What shall happen besides, once the transaction
 * is durable, it says in op->effects.
 *
 * Handlers that read run in the ROUTER's actor with a snapshot, the others in the writer's actor
 * with the write transaction of their batch.
 */

#include "base/clock.h"
#include "base/log.h"
#include "namenode/metastore.h"
#include "namenode/nodes.h"
#include "namenode/repair_view.h"
#include "rpc/router.h"
#include "wire/message.h"

/* The loops of a name node, as its metrics call them. */
enum namenode_loop { NAMENODE_LOOP_NAMENODE, NAMENODE_LOOP_WRITER };

/* What does not change while a name node runs. */
struct op_settings {
    struct uuid cluster;
    uint64_t block_size;
    uint64_t delete_delay_ms;
    int64_t repair_delay_ms;
    unsigned repair_streams;
    uint64_t repair_bandwidth;
    int64_t walk_interval_ms;
    uint64_t quarantine_grace_ms;
    unsigned balance_threshold;
    struct log *log;
};

/* Who sent it: the number of the node that registered on its session (0: none) and its address, as
 * router.h. */
struct op_sender {
    uint32_t node;
    char peer[ROUTER_PEER_SIZE];
};

#define OP_NOTE_SIZE 256
#define OP_SUSPECTS_MAX 8

/* What shall follow the commit. */
struct op_effects {
    uint32_t orders_for;                // this node has new orders; 0: none
    uint32_t node_changed;              // what is wanted of this node; 0: of none
    uint32_t epoch;                     // block ids are of this epoch now; 0: as before
    uint64_t reporter;                  // this upload could not write to these nodes
    uint32_t suspects[OP_SUSPECTS_MAX]; // 0: the end
    char note[OP_NOTE_SIZE];            // a line for the log, WARNING; "": none
};

struct op {
    struct txn *txn;
    const struct op_settings *settings;
    const struct nodes_view *nodes;
    const struct repair_view
        *repair;               // of reads; NULL: repair has not begun, everybody is waited for
    const struct clock *clock; // of reads
    int64_t
        settling_ms; // of reads: how long nodes of before our start are waited for at most; 0: not
    const struct balance *balance; // in the writer's actor; else, or if there is none, NULL
    const struct op_sender *sender;
    const void *request; // struct <name>_request
    void *reply;         // struct <name>_reply, set to its defaults
    struct arena *arena; // what the reply points to; lives until the reply is encoded
    struct op_effects *effects;
    litedfs_error_t *error; // never NULL
};

typedef int (op_fn) (struct op *op);

/* One row an op. */
struct op_row {
    enum message_number number;
    op_fn *run;
    bool
        when_full; // is let through when the disk is nearly full: it frees space, or needs none
};

/* The row of an op; NULL if the name node has no handler for it. */
const struct op_row *ops_find (enum message_number number);

/* Decode the message's fields, run the handler, and append the encoded reply to out.  in->request,
 * reply and arena are set here; the rest is the caller's.  0, or the handler's error, or that of
 * the codec; then out is as before. */
int ops_run (const struct op_row *row, struct op *in, struct message *message, struct buf *out);

/* The handlers, by file.  node.orders has two: op_node_confirm writes what the node has done, and is
 * the one of its row; op_node_orders reads what it shall do next. */
op_fn op_directory_create, op_directory_list, op_directory_delete, op_directory_move,
    op_directory_rename;
op_fn op_file_create, op_file_allocate, op_file_renew, op_file_commit, op_file_abandon,
    op_file_info, op_file_update, op_file_delete, op_file_move, op_file_rename;
op_fn op_node_register, op_node_report, op_node_confirm, op_node_orders, op_node_failed,
    op_node_list, op_node_heartbeat;
op_fn op_node_drain, op_node_maintenance, op_node_remove;
op_fn op_node_inventory, op_node_listing;
op_fn op_path_info, op_lock_list, op_cluster_info;
op_fn op_cluster_repair, op_cluster_check, op_file_why;
op_fn op_cluster_balance;

/* Fill a record with a node's endpoint; it points into the node. */
void ops_endpoint (const struct node *node, struct wire_endpoint *out);

/* The file that a request names by its path or, without one, by its id; LITEDFS_INVALID without either. */
int ops_find_file (struct op *op, struct slice path, const struct uuid *id,
                   struct inode_row *out);

/* A copy of the bytes in the arena as a slice; LITEDFS_MEMORY. */
int ops_copy (struct op *op, struct slice bytes, struct slice *out);

/* An array in the arena; NULL, and op->error says so, when memory is short. */
void *ops_array (struct op *op, size_t count, size_t size);

/* LITEDFS_WRONG_NODE unless the session that sent the request registered as this node. */
int ops_check_sender (struct op *op, uint64_t node);

/* Put what an operator should know of a report or a listing into the effects' note; nothing if it is as it
 * should be. */
struct held_report;
int ops_note_report (struct op *op, uint32_t node, const struct held_report *report);

/* The bytes that lists may take in a page: WIRE_PAGE_MAX without what surrounds them. */
#define OPS_PAGE_BYTES ((size_t) WIRE_PAGE_MAX - 16384)

#endif
