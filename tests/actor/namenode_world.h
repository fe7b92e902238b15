/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_NAMENODE_WORLD_H
#define LITEDFS_TESTS_NAMENODE_WORLD_H

/*
 * A name node in this process, behind real TCP sockets, on a directory that goes with the test and
 * with a clock that moves when it is told to; and peers that talk to it: clients and data nodes.
 * What cannot go wrong is checked in here; what a test is about comes back.
 */

#include "namenode/namenode.h"
#include "wire/message.h"

#include <ftw.h>
#include <zmq.h>

#include "../unit/unit.h"

/* The CRC of every block that is uploaded here. */
#define CONTENT_CRC 7

/* How long an answer may take, milliseconds. */
enum { PATIENCE_MS = 20000 };

/* The world of the case that runs: made by setup, gone with teardown. */
extern char directory[64];
extern struct fake_clock fake;
extern struct namenode_config config; // changes count from the next start
extern struct namenode *namenode;
extern litedfs_error_t error; // of what failed last

void setup (void);
void teardown (void);
void start_namenode (void);
void restart_namenode (void);

/* For nftw: remove it. */
int remove_one (const char *path, const struct stat *status, int kind, struct FTW *at);

/* ---- a peer ---- */

struct peer {
    void *socket;
    uint64_t id;
    uint8_t client[WIRE_CLIENT_SIZE]; // all zero: no retries
    struct message *reply;            // of the last call; what its fields point to
    zmq_msg_t frame;
};

struct peer make_peer (void);
void end_peer (struct peer *self);

/* Send a frame as it is. */
void send_bytes (struct peer *self, const void *data, size_t size, int flags);

/* Send a request, with the next id or with this one. */
void ask (struct peer *self, enum message_number number, const void *fields);
void ask_again (struct peer *self, enum message_number number, const void *fields, uint64_t id);

/* Wait for a reply: 0 and its fields, or its error; get_within: 1 if there was none for wait_ms. */
int get (struct peer *self, enum message_number number, void *fields);
int get_within (struct peer *self, enum message_number number, void *fields, long wait_ms);

/* Ask and get: CALL (&peer, file_delete, &reply, .path = ...). */
#define CALL(peer, name, reply, ...)                                                           \
    (ask ((peer), MESSAGE_##name, fill_##name ((struct name##_request){__VA_ARGS__})),         \
     get ((peer), MESSAGE_##name, (reply)))

/* Requests with the defaults of what a test does not say. */
const void *fill_directory_create (struct directory_create_request given);
const void *fill_directory_list (struct directory_list_request given);
const void *fill_file_create (struct file_create_request given);
const void *fill_file_delete (struct file_delete_request given);
const void *fill_file_info (struct file_info_request given);
const void *fill_file_update (struct file_update_request given);
const void *fill_node_orders (struct node_orders_request given);
const void *fill_cluster_info (struct cluster_info_request given);
const void *fill_node_drain (struct node_drain_request given);
const void *fill_node_maintenance (struct node_maintenance_request given);
const void *fill_node_remove (struct node_remove_request given);

int make_directory (struct peer *peer, const char *path);
uint64_t count_entries (struct peer *peer, const char *path);

/* ---- a data node ---- */

struct data_node {
    struct peer peer;
    struct node_register_request identity;
    uint32_t number;
    uint64_t seq;
};

/* One that has registered; its UUID ends in `which`, it beats each second and has 1 GiB. */
struct data_node make_node (uint8_t which);

/* Register (again). */
int enter (struct data_node *self);
int beat (struct data_node *self, struct node_heartbeat_reply *reply);

/* As cluster.info says; each question is a turn of the name node's actor. */
uint64_t online_nodes (struct peer *peer);
void wait_for_online (struct peer *peer, uint64_t count);

/* Let time pass in steps that are no stall of the name node's. */
void pass_time (struct peer *peer, int64_t ms);

/* Report a change of a block with CONTENT_CRC. */
void report (struct data_node *self, enum change_kind kind, uint64_t block, uint64_t size);

/* Upload a file of one block, 100 bytes, and report it; the block's id. */
uint64_t upload (struct peer *client, struct data_node *node, const char *path);

/* The same with so many replicas wanted, all of these nodes having it. */
uint64_t upload_to (struct peer *client, struct data_node *const *nodes, size_t count,
                    const char *path, uint64_t replica);

/* Wait for the node's next orders after a number, while time passes; how many there were. */
size_t wait_for_orders (struct data_node *self, struct peer *client, uint64_t after,
                        struct node_orders_reply *reply);

/* How many replicas a file has now; wait until it has so many, while time passes. */
uint64_t current_replica (struct peer *client, const char *path);
void wait_for_replicas (struct peer *client, const char *path, uint64_t count);

#endif
