/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_DATANODE_PIPELINE_FIXTURE_H
#define LITEDFS_TESTS_DATANODE_PIPELINE_FIXTURE_H

/*
 * A pipeline with its clients and its disk played here.  Each request gets a token, the next number,
 * under which its answers are collected; writes wait until the disk of the test does them; time moves
 * when it is told to.
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

/* and what the disk was asked for: all writes, of which write_done are done. */
extern struct pipeline_action writes[WRITES];
extern size_t write_count;
extern size_t write_done;
extern struct pipeline_action compared; // the last
extern unsigned abandoned;

/* A pipeline of 36 MiB; at the end each request must have exactly one answer. */
void setup (void);
void teardown (void);

/* Another one in its place. */
void make_pipeline (uint64_t memory);

/* Collect what the pipeline wants done; after each event here it is done already. */
void drain (void);

/* A chunk as a client sends it.  send_chunk and put return its token. */
struct pipeline_chunk chunk_of (uint64_t block, uint64_t offset, size_t size, bool last);
uint64_t send_chunk (const struct pipeline_chunk *chunk, const struct pipeline_known *known);
uint64_t put (uint64_t block, uint64_t offset, size_t size, bool last);
uint64_t stat_block (uint64_t block, uint64_t wait_ms);

/* The disk does the next write, or syncs a block: with this error, 0 for none. */
void disk_writes (int number);
void disk_is_durable (uint64_t block, int number);

/* So much time passes. */
void tick (int64_t ms);

/* The token has its answer: this error, or this state. */
void assert_answer (uint64_t token, int error);
void assert_state (uint64_t token, enum replica_state state, uint64_t offset);

#endif
