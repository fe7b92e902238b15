/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLIENT_UPLOAD_IMPL_H
#define LITEDFS_CLIENT_UPLOAD_IMPL_H

/*
 * An upload: upload.c has its beginning and its end (lease, commit), upload_blocks.c what is between
 * (allocations, blocks under way, nodes that fail).
 */

#include "client/blockwriter.h"
#include "client/renewer.h"

#define UPLOAD_BLOCKS 4    // under way at once, and allocated beforehand
#define UPLOAD_DONE_MAX 64 // finished blocks in one message
#define UPLOAD_SUSPECTS_MAX 64
#define UPLOAD_TTL_S 60
#define UPLOAD_BUSY_MS 200 // pause before a name node that is busy is asked again

/* A block that the name node has given us and that nobody has begun to write. */
struct allocated {
    uint64_t index;
    uint64_t block;
    struct peer *nodes[REPLICAS_MAX]; // in the order of the chain
    size_t node_count;
};

/* A node that has failed this upload. */
struct suspect {
    uint32_t node;
    bool lost; // we have heard nothing from it ourselves
};

struct upload {
    litedfs_t *session;
    const char *path;
    litedfs_upload_options_t options;
    struct source *source;
    struct renewer *renewer;

    struct uuid file;
    uint8_t lease[WIRE_LEASE_SIZE];
    bool leased;
    uint64_t block_size;

    struct blockwriter blocks[UPLOAD_BLOCKS];
    struct allocated allocated[UPLOAD_BLOCKS];
    size_t allocated_count;
    uint64_t next_index;          // the first one that was never asked for
    uint64_t redo[UPLOAD_BLOCKS]; // indices that need another block
    size_t redo_count;
    bool asking;          // an allocate is under way
    uint64_t asked_index; // for these blocks
    uint64_t asked_count;
    int64_t ask_after_ms;  // monotonic; not before
    int64_t busy_since_ms; // monotonic; the name node has had no node for us since; 0: it has
    int64_t away_ms;       // monotonic; when a node of ours was seen to be away while we waited

    struct wire_finished done[UPLOAD_DONE_MAX]; // not yet told to the name node
    uint64_t done_nodes[UPLOAD_DONE_MAX][REPLICAS_MAX];
    size_t done_count;
    size_t done_asked; // of them are in the allocate under way
    uint64_t finished; // blocks, in all
    uint64_t durable;  // bytes of them

    struct suspect suspects[UPLOAD_SUSPECTS_MAX];
    size_t suspects_count;
    litedfs_error_t last_failure; // of a node, for the text when no other is left

    int failed;
    litedfs_error_t error;
};

/* How long the name node is waited for, in ms: as long as the lease lasts. */
int64_t upload_patience_ms (const struct upload *self);

/* The name node is busy, or has just started and waits for its data nodes; or, in mid-transfer, none of
 * them can take a block, and some are perhaps only being restarted: whether it shall be asked again, after
 * UPLOAD_BUSY_MS. */
bool upload_waits_for_name (struct upload *self, const litedfs_error_t *failure);

/* Take the blocks that the name node gives, from the index `first` on.  LITEDFS_INVALID if it gives
 * others; LITEDFS_MEMORY. */
int upload_take_allocations (struct upload *self, uint64_t first,
                             const struct wire_allocation *list, size_t count,
                             litedfs_error_t *error);

/* Write everything, until all blocks are finished. */
int upload_write_blocks (struct upload *self, litedfs_error_t *error);

#endif
