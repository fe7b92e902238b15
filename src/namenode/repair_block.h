/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_REPAIR_BLOCK_H
#define LITEDFS_NAMENODE_REPAIR_BLOCK_H

/*
 * One block: who holds it, whether that is what is wanted, and what brings it nearer.
 *
 * A holder counts if it is online or expected back, and has confirmed the block or has still time to.  When
 * only one of several is online, nobody is waited for who is not away for maintenance: one of those that are
 * away counts no more.  Too few: a node that has the block although it is no holder becomes one again; else
 * an online holder that has confirmed it is ordered to copy it to a node that placement chooses.  Too many
 * that are online and have confirmed it: some are taken off the row, and their copies become garbage, so
 * that a reader has its time.  Holders that drain do not count and are taken off when there are enough others;
 * until then they are sources.  A holder that was claimed and did not confirm it in time is none any more.
 *
 * A copy that its node has set aside as damaged counts for nothing, and does not keep the node from taking a
 * new one; it goes when as many as wanted are online and have confirmed the block.
 *
 * Errors: those of metastore.h.
 */

#include "base/clock.h"
#include "base/log.h"
#include "namenode/agenda.h"
#include "namenode/copies.h"
#include "namenode/presence.h"
#include "namenode/records.h"

/* How long a client's word that a node has a block is taken for it. */
#define REPAIR_CLAIM_MS 60000

/* The most nodes that get orders in one transaction. */
#define REPAIR_TOUCHED_MAX 64

/* How urgent what a block needs is; these are levels of the agenda. */
enum repair_urgency {
    REPAIR_LAST,  // several copies are wanted, and one is there
    REPAIR_FEW,   // two or more are missing
    REPAIR_SHORT, // one is missing
    REPAIR_MOVE,  // none is missing: some are on nodes that drain, or too many
    REPAIR_URGENCIES
};

/* What works on blocks in one transaction; a snapshot is enough for repair_block_is_fine. */
struct repair_run {
    struct txn *txn;
    const struct nodes_view *nodes;
    const struct presence *presence;
    struct copies *copies;
    struct agenda *agenda;
    const struct clock *clock;
    struct log *log;
    int64_t now_ms;
    int64_t wall_ms;
    uint64_t delete_delay_ms;
    enum repair_urgency upto;  // what is less urgent waits
    enum repair_urgency waits; // the most urgent that does; REPAIR_URGENCIES: none
    enum repair_urgency level; // of the block that was looked at last
    bool *barred;              // room for each node of the view
    size_t closed;             // how many copies ended
    size_t ordered;            // copies
    size_t arrived;            // of those that ended
    uint64_t arrived_bytes;    // their bytes
    size_t blocks;             // how many blocks were looked at
    size_t touched_count;
    uint32_t touched[REPAIR_TOUCHED_MAX]; // nodes that have new orders
};

/* What a holder is good for. */
enum repair_standing {
    REPAIR_LIVE,    // online, and has confirmed it
    REPAIR_EXCUSED, // the same, but away for maintenance
    REPAIR_AWAY,    // has confirmed it, and is expected back
    REPAIR_YOUNG,   // claimed; it has still time to confirm
    REPAIR_STALE,   // claimed, and its time is over
    REPAIR_LEAVING, // drains: what it has does not count, but is a source
    REPAIR_LEFT,    // drains, and is away or gone
    REPAIR_GONE,    // offline for long
    REPAIR_STANDINGS
};

/* A block's holders as repair sees them. */
struct repair_look {
    enum repair_standing holders[ROW_NODES_MAX]; // in the order of the row's
    uint32_t counts[REPAIR_STANDINGS];
    uint32_t there;    // copies that can be read now
    uint32_t expected; // that are on nodes that are expected back
    uint32_t good;     // how many count: as many as are wanted is enough
};

enum repair_verdict {
    REPAIR_FINE,
    REPAIR_COPYING, // copies are under way; their arrival or end is on the agenda
    REPAIR_SOON,    // a holder has still time to confirm it: look again soon
    REPAIR_BUSY,    // the data nodes have enough to do for now
    REPAIR_WAITS,   // it is less urgent than run->upto
    REPAIR_STUCK,   // nobody can do anything until other data nodes are there
};

/* See who holds a finished block of a visible file, and how many of them count.  Writes nothing, and needs
 * of the run the transaction, nodes, presence and both times only. */
int repair_block_look (struct repair_run *run, const struct block_row *row, uint32_t wanted,
                       struct repair_look *out, litedfs_error_t *error);

/* Whether a finished block of a visible file needs nothing.  Writes nothing. */
int repair_block_is_fine (struct repair_run *run, const struct block_row *row, uint32_t wanted,
                          bool *out, litedfs_error_t *error);

/* Do what can be done for it now. */
int repair_block_mend (struct repair_run *run, struct block_row *row, uint32_t wanted,
                       enum repair_verdict *out, litedfs_error_t *error);

/* End the copies of a block whose targets have become holders. */
void repair_block_close (struct repair_run *run, const struct block_row *row);

#endif
