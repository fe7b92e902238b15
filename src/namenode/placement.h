/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_PLACEMENT_H
#define LITEDFS_NAMENODE_PLACEMENT_H

/*
 * Which data node shall take a block.
 *
 * A node can take one if it is online, not full (the bytes that open uploads were promised count as
 * taken) and not a suspect of this upload.  Among those the blocks of one file go round, in an order
 * that is the file's own, so that seven blocks over three nodes are 3, 2 and 2; nodes that have less
 * room than the others are passed over in some rounds: one with half the room of the emptiest in
 * every second, with a quarter in three of four, down to one round in sixteen.
 *
 * Pure: the same question has the same answer.
 */

#include "litedfs.h"
#include "namenode/nodes.h"

struct placement_question {
    uint64_t seed;            // the file's own: its random bits
    uint64_t index;           // of the block in the file
    uint64_t size;            // bytes that it may take
    const uint32_t *suspects; // nodes that must not be chosen
    size_t suspects_count;

    /* Bytes that open uploads were promised on a node; NULL: none. */
    uint64_t (*reserved) (void *arg, uint32_t node);
    void *arg;
};

/* Choose a node; its number is in *out.  LITEDFS_NO_NODE with the reason of every node, as many as
 * the text holds; LITEDFS_BUSY with the same text while the view is settling: ask again; or
 * LITEDFS_MEMORY. */
int placement_choose (const struct nodes_view *view, const struct placement_question *question,
                      uint32_t *out, litedfs_error_t *error);

#endif
