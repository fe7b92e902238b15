/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_REBUILD_FILE_H
#define LITEDFS_NAMENODE_REBUILD_FILE_H

/*
 * One file of rebuild.h: its draft, and what becomes of it.  Errors: those of metastore.h.
 */

#include "namenode/records.h"

/* What the trailers of a file's blocks say of it. */
struct rebuild_draft {
    uint64_t inode;
    uint64_t bits;     // of the file id
    uint64_t count;    // of its blocks; 0: no trailer has said it
    struct slice path; // at which it was written
};

/* Keep a draft; a count that is known stays known. */
int rebuild_draft_add (struct txn *txn, const struct rebuild_draft *draft,
                       litedfs_error_t *error);

/* The draft of the next higher inode; its path is put into a buffer.  LITEDFS_NOT_FOUND. */
int rebuild_draft_next (struct txn *txn, uint64_t after, struct rebuild_draft *out,
                        struct buf *path, litedfs_error_t *error);

enum rebuild_outcome {
    REBUILD_LINKED,      // it is at its path
    REBUILD_MOVED_OTHER, // likewise, and who was there has another name now
    REBUILD_RENAMED,     // it is /rebuilt/INODE
    REBUILD_INCOMPLETE   // it is not there, and its block rows are gone
};

/* Make a visible file of a draft and its block rows if they are complete.  The draft goes.  block_size is
 * for a file of one block. */
int rebuild_file (struct txn *txn, const struct rebuild_draft *draft, uint64_t block_size,
                  enum rebuild_outcome *out, litedfs_error_t *error);

#endif
