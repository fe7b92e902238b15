/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_UPLINK_IMPL_H
#define LITEDFS_DATANODE_UPLINK_IMPL_H

/*
 * The uplink's state, for uplink.c (the actor, and how the name node is found) and uplink_ops.c (what is
 * said to the name node) alone.
 */

#include "base/actor.h"
#include "datanode/note.h"
#include "datanode/uplink.h"
#include "rpc/dealer.h"

#define UPLINK_REPORT_PAGE 1000 // changes in a report

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
    enum uplink_stage stage;
    uint32_t node;
    uint64_t table; // version of the node table that the last heartbeat brought
    struct blockstore_space space;
    bool full_noted;
    bool heartbeat_pending;
    bool report_pending;
    bool orders_pending;   // node.orders is under way
    bool orders_executing; // the datanode actor has orders
    int64_t orders_sent_ms;
    int64_t connected_ms;  // when the dealer was last seen connected
    bool lost;             // a callback found that the connection is of no use
    bool was_registered;   // since the process started
    litedfs_error_t fatal; // why this actor ends; number 0: it does not
    int trouble;           // error number that was complained of last, 0: none
    int64_t complained_ms;

    // When to do what next.
    int64_t attempt_ms;
    int64_t beat_ms;
    int64_t report_ms;
    int64_t orders_ms;
    int64_t expire_ms;

    struct blockstore_change *changes; // UPLINK_REPORT_PAGE
    struct wire_change *page;          // UPLINK_REPORT_PAGE
};

/* The time now, monotonic; seconds of the configuration in ms. */
int64_t uplink_now (const struct uplink *self);
int64_t uplink_ms (double seconds);

/* Log what is wrong, unless it was said a short while ago. */
void uplink_complain (struct uplink *self, const litedfs_error_t *error);

/* The connection is of no use any more.  The loop drops it: a dealer's callback must not. */
void uplink_lose (struct uplink *self, const litedfs_error_t *error);

/* Ask to be registered. */
void uplink_register (struct uplink *self);

/* Look how much room there is and tell the datanode actor and the name node. */
void uplink_beat (struct uplink *self);

/* Send the next page of changes that are not confirmed. */
void uplink_report (struct uplink *self);

/* Confirm the orders that were carried out and ask for more. */
void uplink_ask_for_orders (struct uplink *self);

/* The datanode actor has carried orders out, or has not. */
void uplink_executed (struct uplink *self, const struct note *note);

#endif
