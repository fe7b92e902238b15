/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_UPLINK_IMPL_H
#define LITEDFS_DATANODE_UPLINK_IMPL_H

/*
 * The uplink's state, for uplink.c (the actor, and how the name node is found), uplink_ops.c (what is said
 * to the name node), uplink_nodes.c (the node table) and uplink_inventory.c (what is here, compared with what
 * the name node thinks) alone.
 */

#include "base/actor.h"
#include "datanode/nodetable.h"
#include "datanode/note.h"
#include "datanode/uplink.h"
#include "rpc/dealer.h"

#define UPLINK_REPORT_PAGE 1000 // changes in a report
#define UPLINK_FAILED_MAX 1024  // failed copies that wait to be told

/* Without a dealer; node.register is under way; everything else is. */
enum uplink_stage { UPLINK_AWAY, UPLINK_REGISTERING, UPLINK_REGISTERED };

struct uplink {
    struct actor *actor;
    struct uplink_options options;
    uint64_t incarnation;

    // Of the actor's thread from here on.
    struct actor_pipe *pipe;
    void *notes;
    struct dealer *dealer;
    char peer[NET_HOST_SIZE + 64]; // the name node, for texts
    char name_host[NET_HOST_SIZE]; // its numeric address
    enum uplink_stage stage;
    uint32_t node;
    struct blockstore_space space;
    bool full_noted;
    bool heartbeat_pending;
    bool report_pending;
    bool failed_pending;   // node.failed is under way
    bool orders_pending;   // node.orders is under way
    bool orders_executing; // the datanode actor has orders
    int64_t orders_sent_ms;
    uint64_t orders_seq;   // changes up to here are to be reported before orders are confirmed
    int64_t connected_ms;  // when the dealer was last seen connected
    bool lost;             // a callback found that the connection is of no use
    bool was_registered;   // since the process started
    litedfs_error_t fatal; // why this actor ends; number 0: it does not
    int trouble;           // error number that was complained of last, 0: none
    int64_t complained_ms;

    struct uplink_inventory *inventory; // of uplink_inventory.c

    // The node table.
    struct nodetable *nodes;
    char *nodes_path;       // of its file
    uint64_t nodes_version; // that the last heartbeat brought
    uint64_t nodes_told;    // stamp up to which the datanode actor was told
    bool list_wanted;       // the datanode actor asked for a number that is not in it
    bool list_pending;      // node.list is under way
    uint64_t list_cursor;   // of the next page, 0: the first
    int64_t list_ms;        // not before
    int64_t save_ms;        // not before
    bool nodes_complained;  // of an entry that makes no sense
    int64_t nodes_complained_ms;

    // When to do what next.
    int64_t attempt_ms;
    int64_t beat_ms;
    int64_t report_ms;
    int64_t failed_ms;
    int64_t orders_ms;
    int64_t expire_ms;

    struct blockstore_change *changes; // UPLINK_REPORT_PAGE
    struct wire_change *page;          // UPLINK_REPORT_PAGE

    size_t failed_count;
    size_t failed_sent; // of these, the first ones: in the node.failed that is under way
    struct wire_failed failed[UPLINK_FAILED_MAX];
};

/* The time now, monotonic; seconds of the configuration in ms. */
int64_t uplink_now (const struct uplink *self);
int64_t uplink_ms (double seconds);

/* Log what is wrong, unless it was said a short while ago. */
void uplink_complain (struct uplink *self, const litedfs_error_t *error);

/* The connection is of no use any more.  The loop drops it: a dealer's callback must not. */
void uplink_lose (struct uplink *self, const litedfs_error_t *error);

/* Send a request that its callback ends; false if that is not possible now.  *out_id (may be NULL) is its
 * number. */
bool uplink_ask (struct uplink *self, enum message_number number, const void *fields,
                 int64_t timeout_ms, dealer_fn *fn, int64_t *out_id);

/* What the dealer brought: decode it into fields, of an op.  False if it failed in any way; then it is
 * seen to: if the connection failed it is lost, if the name node said no *next_ms says when to ask
 * again. */
bool uplink_take_reply (struct uplink *self, enum message_number number, struct message *reply,
                        const litedfs_error_t *error, void *fields, int64_t *next_ms);

/* Ask to be registered. */
void uplink_register (struct uplink *self);

/* Look how much room there is and tell the datanode actor and the name node. */
void uplink_beat (struct uplink *self);

/* Send the next page of changes that are not confirmed. */
void uplink_report (struct uplink *self);

/* A copy has failed; tell the name node of those that have. */
void uplink_note_failed (struct uplink *self, const struct note *note);
void uplink_tell_failed (struct uplink *self);

/* Confirm the orders that were carried out and ask for more. */
void uplink_ask_for_orders (struct uplink *self);

/* At the start: read the table that was saved.  LITEDFS_MEMORY; a file that cannot be read is no error. */
int uplink_load_nodes (struct uplink *self, litedfs_error_t *error);

/* Take over what the name node says of nodes. */
void uplink_take_nodes (struct uplink *self, const struct wire_endpoint *nodes, size_t count);

/* Tell the datanode actor what changed; what it cannot take now is told next time. */
void uplink_tell_nodes (struct uplink *self);

/* The datanode actor does not know where a node is. */
void uplink_find_node (struct uplink *self, uint32_t node);

/* Ask for the table, and save it, if that is due; when it is next, or INT64_MAX. */
void uplink_tend_nodes (struct uplink *self);
int64_t uplink_nodes_ms (const struct uplink *self);

/* The comparison of inventories: begin it, anew if it is under way, when the clock is there; go on with it
 * if that is due; when it is next, or INT64_MAX.  LITEDFS_MEMORY. */
int uplink_inventory_new (struct uplink *self, litedfs_error_t *error);
void uplink_inventory_free (struct uplink *self);
void uplink_inventory_begin (struct uplink *self, int64_t when_ms);
void uplink_tend_inventory (struct uplink *self);
int64_t uplink_inventory_ms (const struct uplink *self);

/* The datanode actor has carried orders out, or has not. */
void uplink_executed (struct uplink *self, const struct note *note);

#endif
