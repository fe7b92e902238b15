/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_DUTY_H
#define LITEDFS_NAMENODE_DUTY_H

/*
 * What an operator wants of a data node: that it serves, that its blocks go to others (drain), that it is
 * forgotten (removed), that nobody makes copies because it is away for a while (maintenance).
 *
 * Its duty is to serve; to drain: it gets no new blocks, and those that it has do not count; or it was
 * removed: it is no node of the cluster any more, and never will be, and only its row is left.
 *
 * Stored in the node's row, so that it outlives restarts of everybody.  Pure.
 */

#include "wire/message.h"

/* What a survey of all blocks of a node that drains came to (survey.h).  All zero: none has ended since it
 * was told to. */
struct duty_survey {
    uint64_t time;       // wall clock, when it ended; 0: none has
    uint64_t steady;     // nobody went away or was told to leave since (nodes.h), to its end
    uint64_t blocks;     // finished blocks of files that it still has
    uint64_t bytes;      // theirs
    uint64_t sole;       // of these: nobody else has them who is online and stays
    uint64_t sole_bytes; // theirs
    uint64_t stuck;      // of these: more copies are wanted than there are nodes that serve
    uint64_t
        writing; // bytes that it has, or was promised, of files that are not to be seen yet
};

struct node_duty {
    enum duty duty;
    uint64_t excused; // wall clock: maintenance ends then; 0: there is none
    struct duty_survey survey;
};

/* Whether new blocks may be put on the node. */
bool duty_takes_blocks (const struct node_duty *self, int64_t wall_ms);

/* Whether maintenance is under way. */
bool duty_is_excused (const struct node_duty *self, int64_t wall_ms);

/* Whether everything that the node had is elsewhere, in as many copies as are wanted: it may go. */
bool duty_is_drained (const struct node_duty *self);

/* Whether nothing would be lost if the node went now, as far as is known: 0; LITEDFS_BUSY if that is being
 * found out, or uploads are under way to it; LITEDFS_REFUSED with the count if it has blocks that nobody
 * else has.  steady is that of the view of now. */
int duty_check_removal (const struct node_duty *self, uint32_t node, uint64_t steady,
                        litedfs_error_t *error);

#endif
