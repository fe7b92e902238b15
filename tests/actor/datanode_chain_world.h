/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_DATANODE_CHAIN_WORLD_H
#define LITEDFS_TESTS_DATANODE_CHAIN_WORLD_H

/*
 * Real data nodes in this process, numbered from 1 in the order in which they register, with a name node
 * that is played here, which tells each of them where the others are, and clients that speak to them over
 * TCP.  Time is the machine's; every wait ends with the event or fails after WAIT_MS.  What cannot go wrong
 * is checked in here; what a test is about comes back.
 */

#include "base/crc.h"
#include "base/err.h"
#include "datanode/datanode.h"
#include "rpc/dealer.h"
#include "rpc/router.h"
#include "rpc/socket.h"

#include <string.h>

#include "../unit/unit.h"

#define WAIT_MS 30000
#define CALL_MS 30000
#define NODES 3   // real ones: 1, 2, 3
#define SILENT 4  // takes everything and answers nothing
#define DEAD 5    // nobody listens there
#define UNKNOWN 6 // nobody knows where it is
#define ENTRIES 6
#define CHUNK (2 * CRC_UNIT)
#define BLOCK UINT64_C (0x10000000007)
#define REPORTS_MAX 1024

/* A real node. */
struct world_node {
    struct datanode *node;
    struct dealer *client;
    struct datanode_config config;
    char path[128];
    struct uuid uuid;
    uint64_t session; // in which it is registered
    unsigned lists;   // how often it asked for node.list
    struct request *parked;
    struct wire_order order; // to be sent; number 0: none
    uint64_t confirmed;
    struct wire_failed failed; // the copy of which it said last that it failed; block 0: none
    int failed_word;           // and why
};

/* The world of the case that runs: made by setup, gone with teardown. */
extern struct world_node nodes[NODES + 1]; // by number
extern struct wire_endpoint table[ENTRIES + 1];
extern uint8_t bytes[WIRE_CHUNK_MAX]; // what blocks hold, CHUNK of it again and again
extern litedfs_error_t error;         // of what failed last
extern void *silent;                  // the PULL of SILENT

/* Start the name node and the nodes, and wait until each knows where the others are. */
void setup (void);
void teardown (void);

/* Let the name node answer what has come, for up to ms if nothing has. */
void pump (long ms);
void stop_name (void);

#define WAIT_FOR(condition)                                                                    \
    for (int64_t until = clock_mono (clock_system ()) + WAIT_MS; !(condition);) {              \
        ck_assert_msg (clock_mono (clock_system ()) < until, "waited in vain: %s",             \
                       #condition);                                                            \
        pump (10);                                                                             \
    }

/* Set a key of a node's configuration, for its next start. */
void set (uint32_t number, const char *key, const char *text);

/* Start a node (again); stop it, and wait until its ports are free for the next one. */
void start_node (uint32_t number);
void stop_node (uint32_t number);

/* Whether a node has reported that it has a block. */
bool has_reported (uint32_t number, uint64_t block);

/* Order a node to copy a block to another one, as order `order`. */
void order_copy (uint32_t number, uint64_t order, uint64_t block, uint32_t target);

/* A block on its way down a chain of numbers. */
struct writing {
    uint64_t block;
    const uint64_t *chain; // the first one is who is written to
    size_t count;
    struct block_write_reply reply; // the last one; its nodes are in `nodes`
    struct wire_replica nodes[64];
};

/* Send a chunk of it and take the reply. */
int put (struct writing *self, uint64_t offset, size_t size, bool last);

/* Send chunks from offset `from` to offset `to`; with `last` that is the end, and wait for the block to be
 * durable (or fail).  Returns its state. */
enum replica_state put_range (struct writing *self, uint64_t from, uint64_t to, bool last);

/* What the last reply said of a node; REPLICA_UNKNOWN if it is not in the list. */
enum replica_state state_of (const struct writing *self, uint32_t number);

/* Read a whole block from a node and check it byte for byte.  0 or the error. */
int check_block (uint32_t number, uint64_t block, size_t size);

#endif
