/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_BLOCKLIST_H
#define LITEDFS_DATANODE_BLOCKLIST_H

/*
 * A list of a data node's blocks as text, from the trailers of their files alone: what `litename --rebuild`
 * makes a tree from when all metadata are lost.
 *
 *   LiteDFS blocks 1
 *   node NUMBER UUID CLUSTER
 *   block ID FILE INDEX COUNT SIZE CRC PATH      (for each; ID and CRC in hex, COUNT 0 if it is not the
 *                                                 file's last one; in PATH what is no printable ASCII
 *                                                 letter, and %, is %XX)
 *   end BLOCKS
 */

#include "litedfs.h"

#include <stdint.h>
#include <stdio.h>

struct blocklist_result {
    uint64_t blocks;
    uint64_t damaged; // files that could not be read; each is said on stderr
};

/* Write it.  Nothing is changed or locked: the data node may serve meanwhile; what it deletes then may be
 * in the list or not.  LITEDFS_NOT_FOUND: no data node has data at path, or it has joined no cluster yet;
 * LITEDFS_IO. */
int blocklist_write (const char *path, FILE *out, struct blocklist_result *result,
                     litedfs_error_t *error);

#endif
