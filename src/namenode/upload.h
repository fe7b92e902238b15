/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_UPLOAD_H
#define LITEDFS_NAMENODE_UPLOAD_H

/*
 * How a file comes to be: create takes the lease and the inode number, allocate draws blocks that
 * nobody sees, commit makes the whole file visible or nothing.
 *
 * Rules check first and write after.  Who takes a block is asked of a placer, before the first write;
 * randomness (token, id bits) is the caller's.  allocate, commit and abandon may be repeated: they find
 * what they did.  Errors: those of namespace.h and metastore.h, and as listed.
 */

#include "namenode/records.h"

#define UPLOAD_BLOCKS_MAX 8 // a request

/* What a placer is asked for: nodes for one block. */
struct upload_ask {
    uint64_t seed; // the same for all blocks of a file, and another for the next file
    uint32_t index;
    uint64_t size;    // bytes that the block will have at most
    uint32_t replica; // wanted for the file; how many nodes it chooses is the placer's decision
    const uint32_t *suspects; // never to be chosen
    size_t suspects_count;
};

struct upload_placer {
    /* Fill nodes (1 to ROW_NODES_MAX, all different, in the order of the chain).  Writes nothing.
     * LITEDFS_NO_NODE when none can take it. */
    int (*place) (void *arg, struct txn *txn, const struct upload_ask *ask, uint32_t *nodes,
                  size_t *nodes_count, litedfs_error_t *error);
    void *arg;
};

struct upload_allocation {
    uint32_t index;
    uint64_t block;
    uint32_t nodes[ROW_NODES_MAX];
    size_t nodes_count;
};

/* A block that the client says is written. */
struct upload_finished {
    uint64_t index;
    uint64_t block;
    uint64_t size;
    uint32_t crc;
    const uint64_t *nodes; // numbers as they came; checked here
    size_t nodes_count;
};

struct upload_create {
    struct slice path;
    uint64_t size; // WIRE_UNKNOWN: not known yet
    uint32_t replica;
    uint32_t ttl; // seconds
    bool replace;
    uint64_t block_size; // 1 or more
    uint8_t token[TOKEN_SIZE];
    uint64_t bits;
    size_t
        first; // how many blocks to allocate with it, if the size is known, up to UPLOAD_BLOCKS_MAX
};

struct upload_created {
    struct uuid file;
    bool leased; // false: the file is empty, and visible
    struct upload_allocation blocks[UPLOAD_BLOCKS_MAX];
    size_t blocks_count;
};

/* Begin a file; missing parents are made.  LITEDFS_EXISTS (and not replace), LITEDFS_IS_DIRECTORY,
 * LITEDFS_NOT_DIRECTORY, LITEDFS_LOCKED, LITEDFS_NO_NODE, LITEDFS_INVALID (more than 2^32 blocks). */
int upload_create (struct txn *txn, const struct upload_create *ask,
                   const struct upload_placer *placer, struct upload_created *out,
                   litedfs_error_t *error);

struct upload_allocate {
    struct uuid file;
    uint8_t token[TOKEN_SIZE];
    uint32_t index; // of the first block
    size_t count; // 0 to UPLOAD_BLOCKS_MAX; ends at the file's last block if the size is known
    const struct upload_finished *done;
    size_t done_count;
    const uint64_t *suspects;
    size_t suspects_count;
    uint64_t delay_ms; // after which blocks that are given up become delete orders
};

/* Suspects of this lease that are new, and the number of the upload. */
struct upload_suspicion {
    uint64_t reporter;
    uint32_t nodes[ROW_NODES_MAX];
    size_t count;
};

/* Record finished blocks, then give those to write next; out has room for UPLOAD_BLOCKS_MAX.  An index
 * that has a block keeps it, unless one of its nodes is a suspect of this lease: then the old block is
 * freed.  *suspicion is for the registry of nodes.  LITEDFS_LEASE_LOST; LITEDFS_INVALID (a finished block that is not as allocated, an index beyond
 * the size); LITEDFS_NO_NODE. */
int upload_allocate (struct txn *txn, const struct upload_allocate *ask,
                     const struct upload_placer *placer, struct upload_allocation *out,
                     size_t *out_count, struct upload_suspicion *suspicion,
                     litedfs_error_t *error);

struct upload_commit {
    struct uuid file;
    uint8_t token[TOKEN_SIZE];
    uint64_t size;  // 1 or more
    uint64_t count; // of blocks
    const struct upload_finished *done;
    size_t done_count;
    uint64_t delay_ms; // as above
};

/* Make it visible; *crc is of the whole content.  The same commit again, of a file that is visible and
 * has this size, gives the same.  LITEDFS_LEASE_LOST; LITEDFS_INVALID: a block is missing or unfinished,
 * or sizes do not add up; LITEDFS_NOT_FOUND: its directory was deleted; LITEDFS_EXISTS,
 * LITEDFS_IS_DIRECTORY: the name was taken.  Reads a row a block; marks those that have not as many
 * holders as are wanted. */
int upload_commit (struct txn *txn, const struct upload_commit *ask, uint32_t *crc,
                   litedfs_error_t *error);

/* Set how many replicas a file shall have: of a visible one as namespace_set_replica, of one that is only
 * being written so that its next blocks and its commit go by it. */
int upload_set_replica (struct txn *txn, struct slice path, uint32_t replica,
                        const struct uuid *id, litedfs_error_t *error);

/* Give it up; fine if it was given up, ended or committed before.  LITEDFS_LEASE_LOST if the token is
 * for another file. */
int upload_abandon (struct txn *txn, const struct uuid *file, const uint8_t token[TOKEN_SIZE],
                    litedfs_error_t *error);

#endif
