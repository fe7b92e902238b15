/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_NOTE_H
#define LITEDFS_DATANODE_NOTE_H

/*
 * What the datanode actor and the uplink tell each other, over a pair of inproc sockets: frames with a
 * struct by value.
 *
 * Neither side ever waits for the other: a note that does not fit is dropped, and everything that a note
 * says is also found out without it, only later.
 */

#include "litedfs.h"

/* The most entries that come with one NOTE_TABLE. */
#define NOTE_TABLE_PAGE 256

enum note_kind {
    NOTE_STATE =
        1,       // to the datanode actor: the node's number (0: none), whether the disk is full
    NOTE_ORDERS, // to it: `count` struct blockstore_order follow the note
    NOTE_TABLE,  // to it: `count` struct nodetable_entry follow, new or changed
    NOTE_CHANGED,  // to the uplink: the index has changed
    NOTE_EXECUTED, // to it: the answer to NOTE_ORDERS
    NOTE_UNKNOWN, // to it: nobody has said where `node` is; a NOTE_TABLE follows if somebody knows
    NOTE_FAILED // to it: `block` could not be copied to `node`; error.number says why
};

struct note {
    enum note_kind kind;
    uint32_t node;         // STATE, UNKNOWN, FAILED
    bool full;             // STATE
    uint32_t epoch;        // ORDERS
    size_t count;          // ORDERS, TABLE: 0 also when memory is short
    uint64_t block;        // FAILED
    litedfs_error_t error; // EXECUTED: number is 0, or why it failed; FAILED
};

/* Send a note, with `size` more bytes after it; false if the other side does not keep up. */
bool note_send (void *socket, const struct note *note, const void *more, size_t size);

/* The next note and a copy of what came with it, which is the caller's to free (NULL if nothing did; if
 * memory is short the note's count is 0).  False if there is none. */
bool note_receive (void *socket, struct note *out, void **out_more);

#endif
