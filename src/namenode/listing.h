/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_LISTING_H
#define LITEDFS_NAMENODE_LISTING_H

/*
 * A walk over a directory: directories, then files, each by name (bytes).  It goes on from a cursor, also
 * when the entry that the cursor was after is gone.  On the stack; within one transaction.
 */

#include "namenode/records.h"

struct listing {
    struct txn *txn;
    uint64_t directory;
    bool directories;
    bool files;
    enum kind kind; // being walked
    bool ended;
    uint64_t total; // entries of the kinds asked for, whatever offset and cursor
    struct cursor at;
    struct dirent_row last; // the entry given last
    size_t after_size;      // of the cursor that it goes on after
    uint8_t after[1 + NAME_BYTES_MAX];
};

/* Start at `offset` entries from the first, or after `cursor` (data NULL: none), not both.
 * LITEDFS_INVALID for a cursor that no listing gave, or with an offset. */
int listing_open (struct listing *self, struct txn *txn, uint64_t directory, bool directories,
                  bool files, uint64_t offset, struct slice cursor, litedfs_error_t *error);

/* The next entry's inode; LITEDFS_NOT_FOUND with error untouched after the last. */
int listing_next (struct listing *self, struct inode_row *out, litedfs_error_t *error);

/* Append the cursor that goes on after this entry, of those that listing_next gave: at most 256 bytes. */
void listing_cursor (const struct inode_row *entry, struct buf *out);

void listing_close (struct listing *self);

#endif
