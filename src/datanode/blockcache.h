/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_BLOCKCACHE_H
#define LITEDFS_DATANODE_BLOCKCACHE_H

/*
 * Open block files with their trailers, for readers: the least recently used goes when there are too many.
 * For blockstore alone.
 *
 * An entry that was found or added is used until it is released, even if it is dropped meanwhile; its
 * descriptor is closed by whoever comes last.  All calls may come from any thread and do not block on the
 * disk, except that a close(2) may.
 */

#include "datanode/blockfile.h"

struct blockcache;

/* An open block.  fd and trailer are for reading only. */
struct open_block {
    int fd;
    struct blockfile trailer;
    size_t bytes;
    unsigned users;
    bool listed;
    struct open_block *next_in_bucket;
    struct open_block *newer;
    struct open_block *older;
};

/* Keep up to max_files open files, and up to max_bytes of memory for their trailers.  NULL when memory is
 * short. */
struct blockcache *blockcache_new (size_t max_files, size_t max_bytes);

/* Close everything; nothing may be in use.  Takes NULL, sets it to NULL, keeps errno. */
void blockcache_destroy (struct blockcache **self);

/* The entry of a block, to be released, or NULL. */
struct open_block *blockcache_find (struct blockcache *self, uint64_t block);

/* A number that changes with every blockcache_drop: to be fetched before the index is asked whether the
 * block exists. */
uint64_t blockcache_generation (struct blockcache *self);

/* Add an open file; takes fd, and what trailer points to (it is emptied), on success.  The entry is to be
 * released.  If anything was dropped since `generation`, or the block is there already, the entry serves
 * its user alone and is not kept.  NULL when memory is short. */
struct open_block *blockcache_add (struct blockcache *self, int fd, struct blockfile *trailer,
                                   uint64_t generation);

/* Done with an entry.  Takes NULL. */
void blockcache_release (struct blockcache *self, struct open_block *entry);

/* Forget a block, so that nothing keeps its file once its users are done. */
void blockcache_drop (struct blockcache *self, uint64_t block);

#endif
