/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_DATANODE_WORLD_H
#define LITEDFS_TESTS_DATANODE_WORLD_H

/*
 * A real data node in this process, between a name node that is played here and a client that speaks to
 * it over TCP.  Time is the machine's; every wait ends with the event or fails after WAIT_MS.  What
 * cannot go wrong is checked in here; what a test is about comes back.
 */

#include "base/crc.h"
#include "base/err.h"
#include "datanode/datanode.h"
#include "rpc/dealer.h"
#include "rpc/router.h"
#include "rpc/socket.h"

#include <string.h>

#include "../unit/unit.h"

#define WAIT_MS 20000
#define CALL_MS 10000
#define NODE 3
#define CHUNK (2 * CRC_UNIT) // small: the thread sanitizer is slow with what libzmq sends
#define BIG ((size_t) WIRE_CHUNK_MAX)
#define BLOCK 0x10000000007
#define CHANGES_MAX 256
#define ORDERS_MAX 16
#define NODES_MAX 8

/* The world of the case that runs: made by setup, gone with teardown. */
extern char directory[];
extern struct datanode *node;
extern struct dealer *client;
extern uint8_t bytes[WIRE_CHUNK_MAX]; // what blocks hold, CHUNK of it again and again
extern litedfs_error_t error;         // of what failed last

void setup (void);
void teardown (void);

/* ---- the name node ---- */

/* What it is to say, and what it has heard. */
struct played_name {
    struct router *router;
    struct uuid cluster;
    uint64_t session; // that has registered, 0: none
    unsigned registered;
    unsigned heartbeats;
    struct node_register_request registration;
    struct wire_change changes[CHANGES_MAX];
    size_t change_count;
    uint64_t seq;
    struct wire_order orders[ORDERS_MAX];
    size_t order_count;
    uint64_t confirmed;                    // orders
    struct wire_endpoint nodes[NODES_MAX]; // the node table
    size_t node_count;
    uint64_t table;       // its version
    uint64_t heard_table; // that the last heartbeat said
    unsigned lists;       // how often node.list came
    bool compare;         // the next report's reply asks for a comparison
    unsigned inventories;
    uint64_t inventory_seq;
    uint8_t digests[16384];
    uint8_t differ[128]; // what the answers say
    bool refuse_listings;
    unsigned listings;
    struct wire_present listed[CHANGES_MAX];
    size_t listed_count;
    struct request *parked;
};

extern struct played_name name;

void start_name (int port);
void stop_name (void);

/* Let it answer what has come, for up to ms if nothing has. */
void pump (long ms);

#define WAIT_FOR(condition)                                                                    \
    for (int64_t until = clock_mono (clock_system ()) + WAIT_MS; !(condition);) {              \
        ck_assert_msg (clock_mono (clock_system ()) < until, "waited in vain: %s",             \
                       #condition);                                                            \
        pump (10);                                                                             \
    }

/* Order the deletion of a block, or a copy of it, in the next reply to node.orders. */
void order_delete (uint64_t number, uint64_t block);
void order_copy (uint64_t number, uint64_t block, uint32_t target);

/* Put a node into the table (or another address in place of its entry's), for node.list; and, if told,
 * for the next heartbeat. */
void name_node (uint32_t number, int chain_port, bool told);

/* ---- the data node ---- */

/* Set a key of its configuration, for its next start. */
void set (const char *key, const char *text);

/* Start it, with a client to it; start_registered: and wait until it is registered.  Stop it, and wait until
 * its ports are free for the next one. */
void start_node (void);
void stop_node (void);
void start_registered (void);

/* ---- the client ---- */

struct block_write_request chunk_of (uint64_t block, uint64_t offset, size_t size, bool last);
int send_chunk (const struct block_write_request *request, size_t size,
                struct block_write_reply *out);
int put (uint64_t block, uint64_t offset, size_t size, bool last,
         struct block_write_reply *out);
int stat_block (uint64_t block, struct block_stat_reply *out);

/* Write a whole block in chunks, until it is durable. */
void put_block (uint64_t block, size_t size);

/* Read a range, and check that what comes is what put_block wrote. */
int get (uint64_t block, uint64_t offset, size_t size, struct block_read_reply *out);

#endif
