/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_DATANODE_PIPELINE_WORLD_H
#define LITEDFS_TESTS_DATANODE_PIPELINE_WORLD_H

/*
 * Up to four data nodes in one thread and one clock: a pipeline each, with a disk that takes its time and
 * may fail, and a network between them that loses, doubles and delays messages.  Everything that happens
 * follows from the seed.  Nodes can crash (what was not synced is gone, the pipeline starts anew), come
 * back, and stand still for a while.
 *
 * The world checks what holds at every moment: payloads come back once, memory keeps its limit, requests
 * have one answer, whoever is said to be durable has every byte on its disk, and nobody is passed over
 * who acks and advances.  A failed check aborts with the seed.
 */

#include "datanode/pipeline.h"

#include "base/err.h"

#define WORLD_NODES 4 // numbers 1 to 4
#define WORLD_BLOCKS 4
#define WORLD_REQUESTS 8192
#define WORLD_JOBS 512
#define WORLD_CHUNK CRC_UNIT
#define WORLD_CONTENT ((size_t) 2 << 20)
#define PIPELINE_TIMEOUT_MS 5000
#define WRITE_TIMEOUT_MS 60000

struct payload {
    uint32_t owner; // the node that took it; 0: nobody
    const uint8_t *data;
    size_t size;
};

/* A chunk, an ack, a request of a client or the answer to one. */
enum letter_kind { LETTER_CHUNK, LETTER_ACK, LETTER_STAT, LETTER_REPLY };

struct letter {
    struct letter *next;
    enum letter_kind kind;
    int64_t due_ms;
    bool again;    // it is a double, and may come late
    uint32_t from; // 0: a client
    uint32_t to;   // 0: a client
    uint64_t block;
    uint64_t offset; // CHUNK
    const uint8_t *data;
    size_t size;
    uint32_t crc32;
    bool last;
    bool copy;
    uint64_t chain[WORLD_NODES];
    size_t chain_count;
    uint64_t credit; // ACK
    struct pipeline_replica replicas[WORLD_NODES];
    size_t replica_count;
    int error;
    char text[256];
    size_t request; // of a client
    uint64_t wait_ms;
    struct pipeline_state state; // REPLY
};

struct job {
    enum pipeline_action_kind kind; // WRITE, ABANDON, READ
    bool sync;                      // the second half of a WRITE with `last`
    int64_t due_ms;
    uint64_t block;
    uint64_t offset;
    size_t size;
    bool last;
    bool copy;
};

/* What a node's disk has of a block. */
struct stored {
    bool started;
    bool finished;
    bool buried;
    uint64_t written;
};

struct node {
    uint32_t number;
    struct pipeline *pipeline; // NULL: it is down
    bool lost;                 // and the others know
    int64_t down_ms;
    int64_t stalled_ms; // since when it stands still; 0: it does not
    int64_t resumes_ms;
    struct stored stored[WORLD_BLOCKS + 1];
    struct job jobs[WORLD_JOBS]; // a ring
    size_t job_first;
    size_t job_count;
    int write_ms; // a write takes up to so long
    int sync_ms;
    int fail_percent; // of its jobs fail
    unsigned restarts;
    unsigned refused; // chunks that it refused for good
    // When each other node last heard of it about a block, and heard something new.
    int64_t heard_ms[WORLD_NODES + 1][WORLD_BLOCKS + 1];
    int64_t copied[WORLD_BLOCKS + 1]; // copies under way from here
};

struct request {
    uint32_t node;
    unsigned restarts; // of the node, when it was asked
    uint64_t block;
    bool delivered;
    unsigned answers;
};

struct world {
    uint64_t seed;
    const char *name; // of the case
    struct rng rng;
    int64_t now_ms;
    uint64_t memory;
    size_t node_count;
    struct node nodes[WORLD_NODES + 1]; // by number
    struct letter *letters;             // by due time
    int lose_percent;
    int double_percent;
    int delay_ms;
    int64_t faults_end_ms; // the network is good from here on
    int64_t last_fault_ms; // when something bad last happened
    unsigned faults;       // nodes that crashed or stood still
    uint64_t size[WORLD_BLOCKS + 1];
    uint32_t crc[WORLD_BLOCKS + 1];
    struct request requests[WORLD_REQUESTS];
    size_t request_count;
    size_t payloads; // alive
    unsigned passed;
    unsigned passed_silent;
    unsigned copies_started;
    unsigned copies_ended;
    unsigned copies_good;
    bool trace;
};

/* The end of the test, with the seed. */
#define CHECK(world, holds, ...)                                                               \
    do {                                                                                       \
        if (!(holds))                                                                          \
            world_fail (world, __FILE__, __LINE__, #holds, __VA_ARGS__);                       \
    } while (0)
void world_fail (const struct world *self, const char *file, int line, const char *what,
                 const char *format, ...) __attribute__ ((noreturn, format (printf, 5, 6)));

/* Tell what happens, if the world is traced. */
void world_say (const struct world *self, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

/* Nodes with good disks and a good network. */
void world_init (struct world *self, uint64_t seed, size_t node_count, uint64_t memory);

/* Say what a block's writer will write: so many bytes. */
void world_block (struct world *self, uint64_t block, uint64_t size);

/* Less than `below`, from the world's dice. */
int world_dice (struct world *self, int below);

/* A client's request to a node; they return its number.  Answers come to world_reply. */
size_t world_write (struct world *self, uint32_t node, uint64_t block, uint64_t offset,
                    size_t size, bool last, const uint64_t *chain, size_t chain_count);
size_t world_stat (struct world *self, uint32_t node, uint64_t block, uint64_t wait_ms);

/* The test's own: an answer has come. */
void world_reply (struct world *self, const struct letter *reply);

void world_crash (struct world *self, uint32_t node);
void world_restart (struct world *self, uint32_t node);
void world_stall (struct world *self, uint32_t node, int64_t ms);

/* A copy by order. */
void world_copy (struct world *self, uint32_t node, uint64_t block, uint32_t target);

/* Delete a block by order. */
void world_forget (struct world *self, uint32_t node, uint64_t block);

/* Let the time pass up to the next thing that happens, or until_ms. */
void world_step (struct world *self, int64_t until_ms);

/* At the end, when everybody had time: nothing is left anywhere. */
void world_check_empty (struct world *self);
void world_free (struct world *self);

/* ---- between its files ------------------------------------------------------------------------ */

extern uint8_t world_content[WORLD_CONTENT]; // of every block, from its first byte

bool world_percent (struct world *self, int chance);
void world_note_fault (struct world *self, int64_t at_ms);
void world_send (struct world *self, const struct letter *letter);

/* The disk does this job; a letter comes to a node that runs; its pipeline's actions. */
void world_run_job (struct world *self, struct node *node, struct job *job);
void world_deliver (struct world *self, const struct letter *letter);
void world_run_actions (struct world *self, struct node *node);

#endif
