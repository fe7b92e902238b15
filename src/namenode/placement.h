/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_PLACEMENT_H
#define LITEDFS_NAMENODE_PLACEMENT_H

/*
 * Which data nodes shall take a block.
 *
 * A node can take one if it is online, does not drain and is not in maintenance, is not full (the bytes
 * that open uploads were promised count as taken) and not a suspect of this upload.  Nodes that several uploads could not write to lately are
 * left out as long as there are others.  Among those the blocks of one file go round, in an order that
 * is the file's own, so that seven blocks over three nodes are 3, 2 and 2; nodes that have less room than
 * the others are passed over in some rounds: one with half the room of the emptiest in every second,
 * with a quarter in three of four, down to one round in sixteen.
 *
 * A block that shall have several copies gets as many nodes as there are, up to what is wanted: the first
 * one on the client's own host if that has any, the next ones of the round after it, those first whose
 * zone has no copy yet.  A node without a zone is in the zone that is its host.
 *
 * Pure: the same question has the same answer.
 */

#include "litedfs.h"
#include "namenode/nodes.h"

struct placement_question {
    uint64_t seed;  // the file's own: its random bits
    uint64_t index; // of the block in the file
    uint64_t size;  // bytes that it may take
    size_t count;   // nodes that are wanted, 1 or more

    /* The client's numeric address, a loopback one or "" if it is on this machine; NULL: it does not
     * matter where it is. */
    const char *client;

    const uint32_t *taken; // nodes that have the block: not chosen, and their zones count
    size_t taken_count;
    const uint32_t *suspects; // nodes that must not be chosen
    size_t suspects_count;

    /* Bytes that are promised on a node; whether it must not be chosen for a reason of the caller's.
     * NULL: none; no. */
    uint64_t (*reserved) (void *arg, uint32_t node);
    bool (*barred) (void *arg, uint32_t node);
    void *arg;
};

/* Choose nodes: their numbers, the first one first, in out, which has room for question->count; *chosen
 * is how many, 1 or more.  LITEDFS_NO_NODE with the reason of every node, as many as the text holds;
 * LITEDFS_BUSY with the same text while the view is settling: ask again; or LITEDFS_MEMORY. */
int placement_choose (const struct nodes_view *view, const struct placement_question *question,
                      uint32_t *out, size_t *chosen, litedfs_error_t *error);

/* Whether two nodes are in one zone. */
bool placement_same_zone (const struct node *a, const struct node *b);

#endif
