/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLIENT_BLOCKMAP_H
#define LITEDFS_CLIENT_BLOCKMAP_H

/*
 * The blocks of a file that is read, and the nodes that hold them, as the name node says.
 *
 * The file is looked up by its path once, and by its id from then on: it stays the same file whatever
 * happens to the path.  Of a block up to BLOCKMAP_HOLDERS_MAX holders are remembered.
 */

#include "client/session.h"

#define BLOCKMAP_HOLDERS_MAX 8

struct mapped_block {
    uint64_t id;
    uint64_t size;
    uint32_t crc32;
    unsigned looked; // how often it was looked up again
    struct peer *holders[BLOCKMAP_HOLDERS_MAX];
    size_t holder_count;
    size_t online_count; // so many of them are online, and the first ones
    uint64_t damaged;    // without holders: a node that has a damaged copy, or 0
};

struct blockmap {
    litedfs_t *session;
    struct uuid file;
    uint64_t size;
    uint64_t block_size;
    struct mapped_block *blocks;
    uint64_t count;
    int64_t look_id; // of the request that looks a block up again; 0: none does
    uint64_t look_index;
    litedfs_error_t error; // why that failed; number 0: it did not
};

/* Look the file up, and wait for it.  The map is to be cleared afterwards in any case.
 * LITEDFS_CORRUPT if its blocks do not make a file of its size; LITEDFS_INVALID, LITEDFS_MEMORY, errors
 * as session_call. */
int blockmap_load (struct blockmap *self, litedfs_t *session, const char *path,
                   litedfs_error_t *error);

/* Begin to look up once more who holds a block, unless one is being looked up: its `looked` changes
 * when that is done, in session_poll; `error` is set if it fails. */
void blockmap_look_again (struct blockmap *self, uint64_t index);

/* Free what is in it; nothing is looked up any more. */
void blockmap_clear (struct blockmap *self);

#endif
