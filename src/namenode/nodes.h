/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_NODES_H
#define LITEDFS_NAMENODE_NODES_H

/*
 * The data nodes as the name node sees them now.
 *
 * The model.  A node is known by its number for ever; it is online while it has a session that was
 * heard lately.  A session is a connection; its number comes from rpc/router, is never 0 and never used
 * again.  Every change that others care about (a node is new, moved, came or went, or its process is
 * another one) takes the next version of the node table, so that a heartbeat can be
 * answered with what changed since.  What others need is handed out as a view: a copy that never
 * changes, counted, to be read by any thread.
 *
 * Pure: time comes in as arguments, mono in milliseconds of the monotonic clock, wall in
 * milliseconds since 1970.  The registry belongs to one thread.
 */

#include "base/id.h"
#include "base/net.h"
#include "litedfs.h"
#include "namenode/duty.h"

/* Two uploads that could not write to a node within this time make it suspect for as long. */
#define NODES_SUSPECT_MS 60000

/* A registered session is not taken from a node that was heard within this many heartbeats. */
#define NODES_TWIN_HEARTBEATS 3

#define NODES_HOST_SIZE 256
#define NODES_VERSION_SIZE 65

/* A data node.  host is numeric, or empty for a node on the name node's own machine. */
struct node {
    uint32_t number;
    struct uuid uuid;
    char host[NODES_HOST_SIZE];
    uint16_t http_port;
    uint16_t tcp_port;
    uint16_t chain_port; // 0: it has none
    char zone[NODES_HOST_SIZE];
    char version[NODES_VERSION_SIZE];
    bool online;
    uint64_t incarnation; // another one each time its process starts
    bool suspect;         // several uploads could not write to it lately
    bool excused;         // in maintenance
    struct node_duty duty;
    int64_t changed_wall_ms; // when it came or went; 0: not since the name node started
    int64_t heard_wall_ms;   // 0: not since the name node started
    uint64_t storage_total;
    uint64_t storage_used;
    uint64_t storage_free;
    bool storage_full;
    uint64_t blocks;
    uint64_t table; // version of the node table in which it changed last
};

/* All nodes at one moment, in order of their numbers. */
struct nodes_view {
    _Atomic int references;
    uint64_t table;  // version of the node table
    uint64_t steady; // the version since which nobody went away or was told to leave
    size_t count;
    size_t online;
    size_t removed; // they are among those counted
    bool settling;  // nodes of before our start may be about to come back
    struct node nodes[];
};

/* Another owner for the view; each owner releases it once.  Any thread. */
struct nodes_view *nodes_view_keep (struct nodes_view *self);

/* Give it up.  Takes NULL, sets it to NULL. */
void nodes_view_release (struct nodes_view **self);

/* Whether it may get new blocks, for all that is wanted of it. */
bool node_takes_blocks (const struct node *self);

/* How full it is, percent of what it can hold; 0 if that is not known. */
double node_use (const struct node *self);

/* The node of a number, or NULL. */
const struct node *nodes_view_find (const struct nodes_view *self, uint64_t number);

/* What a heartbeat, or a register, says of a node's disk. */
struct node_storage {
    uint64_t total;
    uint64_t used;
    uint64_t free;
    bool full;
    uint64_t blocks;
};

struct nodes;

/* Make an empty registry; NULL when memory is short.  The first version of its table is above any
 * that a registry before it handed out, if wall_ms is: a version is milliseconds since 1970 to begin
 * with, and counts. */
struct nodes *nodes_new (int64_t wall_ms);
void nodes_destroy (struct nodes **self);

/* Add a node that is known from the store; it is offline.  Of *node only what the store holds counts.
 * LITEDFS_MEMORY. */
int nodes_load (struct nodes *self, const struct node *node, litedfs_error_t *error);

/* What is wanted of a node has changed.  One that is removed has no session any more, and never gets one;
 * it stays in views, offline. */
void nodes_set_duty (struct nodes *self, uint32_t number, const struct node_duty *duty,
                     int64_t wall_ms);

/* See whose maintenance has ended, or begun. */
void nodes_excuse (struct nodes *self, int64_t wall_ms);

/* Whether this session may register as the UUID: LITEDFS_NODE_EXISTS if another session of it is
 * open and was heard within three heartbeats. */
int nodes_check_twin (const struct nodes *self, const struct uuid *uuid, uint64_t session,
                      int64_t mono_ms, litedfs_error_t *error);

/* The node is here: identity, addresses and storage as in *node, which it now is online with.  A
 * session that it had before is forgotten.  LITEDFS_INVALID if the session is another node's,
 * LITEDFS_MEMORY. */
int nodes_register (struct nodes *self, const struct node *node, uint64_t session,
                    int64_t interval_ms, int64_t timeout_ms, int64_t mono_ms, int64_t wall_ms,
                    litedfs_error_t *error);

/* The number of the node that has registered on this session; 0 if none has. */
uint32_t nodes_of_session (const struct nodes *self, uint64_t session);

/* The session of a node; 0 if it has none. */
uint64_t nodes_session (const struct nodes *self, uint32_t number);

/* A message came from the node; with storage, unless NULL, as it is now.  A node that was counted
 * offline because it was silent is online again. */
void nodes_heard (struct nodes *self, uint32_t number, const struct node_storage *storage,
                  int64_t mono_ms, int64_t wall_ms);

/* A session has ended: the number of the node whose it was and that is offline now; 0 if it was
 * nobody's. */
uint32_t nodes_closed (struct nodes *self, uint64_t session, int64_t wall_ms);

/* The same for a connection that its node may have given up because we were silent: the node has no
 * session any more and stays online until it registers again or its timeout is over.  0 if it was
 * nobody's. */
uint32_t nodes_detached (struct nodes *self, uint64_t session);

/* Count the nodes offline that were silent for longer than their timeout.  Call it again until it
 * gives 0; each call gives one number, and how long that node was silent in *silent_ms. */
uint32_t nodes_expire (struct nodes *self, int64_t mono_ms, int64_t wall_ms,
                       int64_t *silent_ms);

/* An upload, known by a number of its own, could not write to the node.  One upload says nothing, it may
 * be its own fault; two within NODES_SUSPECT_MS do: true if the node is suspect because of this one. */
bool nodes_suspected (struct nodes *self, uint32_t number, uint64_t reporter, int64_t mono_ms);

/* End suspicions whose time is over. */
void nodes_pardon (struct nodes *self, int64_t mono_ms);

/* We did not listen for ms: nobody's silence in that time counts. */
void nodes_forgive (struct nodes *self, int64_t ms);

/* The version of the node table; nodes_view's has it too, and costs more. */
uint64_t nodes_table (const struct nodes *self);

/* Say in views whether nodes that were not heard since our start are still waited for.  Returns whether
 * any is. */
bool nodes_settle (struct nodes *self, bool wait);

/* The current view; NULL when memory is short.  The caller owns one reference.  The same view as
 * before if nothing changed. */
struct nodes_view *nodes_view (struct nodes *self);

#endif
