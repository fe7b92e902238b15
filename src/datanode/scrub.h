/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_SCRUB_H
#define LITEDFS_DATANODE_SCRUB_H

/*
 * Verifies in the background what the block store holds, so that rot is found while there is another copy.
 *
 * The model.  A pass goes over all blocks by their ids and verifies each with blockstore_verify, which sets
 * aside what is damaged.  A pass begins a period after the one before began, or at once if that is over.
 * Where it is stands in a file in data_path: it goes on there after a restart (after a kill, where it was up
 * to SCRUB_SAVE_MS before).  A store without blocks costs nothing, and nothing is written for it.
 *
 * Pace.  Never more than `bandwidth` bytes/s.  It goes twice as fast as the period asks, or with a sixteenth
 * of the bandwidth if that is more; while others read or write it waits, unless it is behind what
 * the period asks: then it takes the bandwidth and does not wait.  Its thread has a low priority, for the
 * processor and, where the disk's scheduler knows one, for the disk.
 *
 * Besides, it looks at once at blocks that somebody doubts (a word of a client: the block is looked at, and
 * nothing else happens if it is good), and begins a pass at once when it is told to; neither waits
 * for others.
 *
 * scrub_start runs it in an actor.  scrub_new and scrub_turn are the same without a thread.  scrub_look,
 * scrub_begin and scrub_status may come from any thread, except that with an actor scrub_look and
 * scrub_begin come from the one that started it.
 */

#include "base/actor.h"
#include "datanode/blockstore.h"

#define SCRUB_STEP ((size_t) 256 << 10) // bytes that are read at once
#define SCRUB_LOOKS_MAX 256             // doubted blocks that wait
#define SCRUB_SAVE_MS 60000             // between two writes of the position
#define SCRUB_YIELD_MS 100              // how long it waits for others, each time

struct scrub;

struct scrub_options {
    struct blockstore *store; // borrowed
    const char *path;         // of the file with the position; copied
    int64_t period_ms;        // 0: no passes but those that are asked for
    uint64_t bandwidth;       // bytes/s, not 0
    const struct clock *clock;
    struct log *log; // NULL: silent
};

/* The pass that is under way or, if none is, the last one; all 0 if there was none. */
struct scrub_status {
    bool running;
    int64_t started_ms; // since 1970
    uint64_t blocks;    // looked at
    uint64_t bytes;     // likewise
    uint64_t damaged;   // found by it
    uint64_t verified;  // bytes, of anything, since the process began
};

/* LITEDFS_MEMORY.  A position that cannot be read is logged, and the pass begins anew. */
int scrub_new (struct scrub **out, const struct scrub_options *options, litedfs_error_t *error);

/* Save the position, if it moved, and free it.  Takes NULL, sets it to NULL. */
void scrub_destroy (struct scrub **self);

/* Do what is due, up to SCRUB_STEP bytes.  In how many ms to come again.  Blocks for as long as the
 * disk does. */
int64_t scrub_turn (struct scrub *self);

/* The same as an actor.  Errors of actor_start.  scrub_stop takes NULL. */
int scrub_start (struct scrub **out, const struct scrub_options *options,
                 litedfs_error_t *error);
void scrub_stop (struct scrub **self);

/* Readable when a damaged block was found; scrub_found gives its id, false when there is none (it may be
 * that not every one is told, if many are found and nobody listens).  With an actor only. */
zsock_t *scrub_socket (struct scrub *self);
bool scrub_found (struct scrub *self, uint64_t *block);

/* Look at a block soon.  LITEDFS_BUSY if too many wait.  Does not block. */
int scrub_look (struct scrub *self, uint64_t block, litedfs_error_t *error);

/* Begin a pass now, anew if one is under way.  Does not block. */
void scrub_begin (struct scrub *self);

void scrub_status (struct scrub *self, struct scrub_status *out);

#endif
