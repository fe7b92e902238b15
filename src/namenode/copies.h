/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_COPIES_H
#define LITEDFS_NAMENODE_COPIES_H

/*
 * The copies that were ordered and have not arrived: who sends which block to whom, and by when it should
 * be there.  In memory: what a name node forgets with its end, repair orders again.
 *
 * Copies that failed are remembered for a while, too, so that another source is tried, and none again and
 * again.
 *
 * A data node sends and takes so many copies at a time, by count and by bytes, so that a copy's deadline
 * can be one, and so many bytes a second, if that is limited.  What is opened or closed holds from now on and is taken back by copies_settle if the
 * transaction that it belongs to came to nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most copies at a time: of all, and from or to one data node.  One copy a node is always allowed,
 * however large. */
#define COPIES_MAX 1024
#define COPIES_NODE_MAX 64
#define COPIES_NODE_BYTES ((uint64_t) 256 << 20)

struct copy {
    uint64_t block;
    uint64_t inode;
    uint32_t index;
    uint32_t source;
    uint32_t target;
    uint64_t order; // its number at the source
    uint64_t size;
    bool spare; // as many copies as are wanted are there: it is for balance
    int64_t deadline_ms;
    uint64_t
        source_table; // `table` of both nodes when it was ordered; it changes when a node goes
    uint64_t target_table; // or comes, and then the copy is lost.  0: not known
};

struct copies;

/* What a node sends, or takes, at most: copies at a time (1 to COPIES_NODE_MAX), bytes a second (0: no
 * limit; half a second's worth may be ahead). */
struct copies_limits {
    unsigned streams;
    uint64_t bandwidth;
};

struct copies *copies_new (void); // NULL: out of memory
void copies_destroy (struct copies **self);

/* A copy that goes its own way; NULL: out of memory. */
struct copies *copies_clone (const struct copies *self);

/* From now on these are the limits, and the time is now_ms. */
void copies_set_limits (struct copies *self, struct copies_limits limits, int64_t now_ms);

/* When a node that has had its bytes of late may have another copy: of the monotonic clock; INT64_MAX if
 * there is none. */
int64_t copies_pace_ms (const struct copies *self);

/* Remember one.  Its deadline is the caller's; false if there are too many. */
bool copies_open (struct copies *self, const struct copy *copy);

/* Forget the one with this place.  The others keep theirs until copies_settle. */
void copies_close (struct copies *self, size_t at);

/* The place of the first copy of a block at or after a place; SIZE_MAX if there is none.  copies_at
 * gives what is there, NULL if it was closed. */
size_t copies_find (const struct copies *self, uint64_t block, size_t from);
const struct copy *copies_at (const struct copies *self, size_t at);

/* The one with this place has failed: it is over at now_ms and a pause, which grows with each failure of
 * the same source. */
void copies_fail (struct copies *self, size_t at, int64_t now_ms);

/* How often copies of the block from this source have failed, as far as is remembered; 0 once one of the
 * block has arrived (copies_forget_failures). */
unsigned copies_failures (const struct copies *self, uint64_t block, uint32_t source);
void copies_forget_failures (struct copies *self, uint64_t block);

/* How many places there are, closed ones included. */
size_t copies_count (const struct copies *self);

/* Whether the node can send, or take, another one of this size; how many bytes it has to send, or
 * will be sent. */
bool copies_may_send (const struct copies *self, uint32_t node, uint64_t size);
bool copies_may_take (const struct copies *self, uint32_t node, uint64_t size);
uint64_t copies_bytes_from (const struct copies *self, uint32_t node);
uint64_t copies_bytes_to (const struct copies *self, uint32_t node);

/* The transaction has ended: keep what was opened and closed in it, or take it back. */
void copies_settle (struct copies *self, bool committed);

#endif
