/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_DATANODE_PIPELINE_FIXTURE_H
#define LITEDFS_TESTS_DATANODE_PIPELINE_FIXTURE_H

/*
 * A pipeline, that of node 1, with its clients, its disk and the other nodes played here.  Each request
 * gets a token, the next number, under which its answers are collected; writes wait until the disk of the
 * test does them; what is sent to other nodes is collected in order; time moves when it is told to.
 *
 * Every chunk has a payload of its own, and at the end each that was taken must have come back once.
 */

#include "datanode/pipeline.h"

#include "base/err.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define UNIT CRC_UNIT
#define MIB ((size_t) 1 << 20)
#define BLOCK 7
#define TOKENS 4096
#define WRITES 4096
#define SENT 1024
#define SELF 1
#define LINES 4
#define PIPELINE_TIMEOUT_MS 5000
#define WRITE_TIMEOUT_MS 60000

extern struct pipeline *pipeline;
extern int64_t now_ms;
extern uint64_t next_token;
extern uint8_t bytes[WIRE_CHUNK_MAX];       // what every chunk holds, from its first
extern const struct pipeline_known unknown; // a block of which the store knows nothing

/* What came out, by token, */
extern unsigned answers[TOKENS];
extern int answer_error[TOKENS];
extern struct pipeline_state answer_state[TOKENS];
extern char answer_text[TOKENS][128];
extern struct pipeline_replica answer_lines[TOKENS][LINES]; // the first lines of its replicas
extern size_t answer_count[TOKENS];

/* and what the disk was asked for: all writes, of which write_done are done. */
extern struct pipeline_action writes[WRITES];
extern size_t write_count;
extern size_t write_done;
extern struct pipeline_action compared; // the last
extern struct pipeline_action reading;  // the last READ
extern struct pipeline_action copied;   // the last COPIED
extern unsigned copied_count;
extern unsigned abandoned;

/* What was sent to other nodes, in order. */
struct sent_chunk {
    struct pipeline_action action; // its pointers are of no use any more
    uint64_t chain[PIPELINE_NODES_MAX];
};
struct sent_ack {
    struct pipeline_action action;
    struct pipeline_replica replicas[PIPELINE_NODES_MAX];
};
extern struct sent_chunk forwards[SENT];
extern size_t forward_count;
extern struct sent_ack acks[SENT];
extern size_t ack_count;
extern uint32_t passed[SENT]; // nodes that were passed over
extern int passed_error[SENT];
extern size_t passed_count;

/* A pipeline of 36 MiB; at the end each request must have exactly one answer, and each payload be back. */
void setup (void);
void teardown (void);

/* Another one in its place. */
void make_pipeline (uint64_t memory);

/* Check as at the end, and begin anew with nothing collected; make_pipeline is to follow. */
void forget_all (void);

/* Collect what the pipeline wants done; after each event here it is done already. */
void drain (void);

/* A payload that is the caller's; whether an event took it. */
void *new_payload (void);
void payload_taken (void *payload, bool taken);

/* A chunk as a client sends it.  send_chunk and put return its token. */
struct pipeline_chunk chunk_of (uint64_t block, uint64_t offset, size_t size, bool last);
uint64_t send_chunk (const struct pipeline_chunk *chunk, const struct pipeline_known *known);
uint64_t put (uint64_t block, uint64_t offset, size_t size, bool last);

/* The same with nodes that shall follow (a list that ends with 0); from a node instead of a client. */
uint64_t put_chain (const uint64_t *chain, uint64_t offset, size_t size, bool last);
void put_from (uint32_t from, const uint64_t *chain, uint64_t offset, size_t size, bool last);

uint64_t stat_block (uint64_t block, uint64_t wait_ms);

/* The disk does the next write, or syncs a block: with this error, 0 for none. */
void disk_writes (int number);
void disk_is_durable (uint64_t block, int number);

/* A line of an ack, and an ack of BLOCK from the node of its first line. */
#define LINE(number, is, at)                                                                   \
    ((struct pipeline_replica){.node = number, .state = REPLICA_##is, .offset = at})
#define ACKED(credit, ...)                                                                     \
    take_ack (0, credit, (struct pipeline_replica[]){__VA_ARGS__},                             \
              sizeof ((struct pipeline_replica[]){__VA_ARGS__}) /                              \
                  sizeof (struct pipeline_replica))
#define REFUSED(failure, ...)                                                                  \
    take_ack (failure, 0, (struct pipeline_replica[]){__VA_ARGS__},                            \
              sizeof ((struct pipeline_replica[]){__VA_ARGS__}) /                              \
                  sizeof (struct pipeline_replica))
void take_ack (int failure, uint64_t credit, const struct pipeline_replica *replicas,
               size_t count);

/* A node is lost. */
void lose (uint32_t node);

/* The last chunk or ack that was sent. */
const struct pipeline_action *last_forward (void);
const struct sent_ack *last_ack (void);

/* So much time passes. */
void tick (int64_t ms);

/* The token has its answer: this error, or this state. */
void assert_answer (uint64_t token, int error);
void assert_state (uint64_t token, enum replica_state state, uint64_t offset);

/* The answer's line about a node. */
void assert_line (uint64_t token, size_t line, uint32_t node, enum replica_state state,
                  uint64_t offset);

/* So many chunks were sent, the last one to this node, from and to these offsets. */
void assert_forward (size_t count, uint32_t node, uint64_t from, uint64_t to, bool last);

#endif
