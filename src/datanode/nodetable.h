/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_NODETABLE_H
#define LITEDFS_DATANODE_NODETABLE_H

/*
 * Where the data nodes are: number to endpoint, as the name node said last.
 *
 * The model.  Entries are put, found, and never go: a number stays its node's for ever.  Every put that
 * changes something takes the next stamp, so that who has seen the table up to a stamp can be told what
 * changed since.  The uplink has the table that is loaded and saved; the datanode actor has one of its
 * own, which it fills from notes.
 *
 * The file.  Text, one line an entry, and a CRC at the end; whether a node is online is not in it, so it
 * changes as seldom as addresses do.  It is a convenience, and no promise: with it chains work while the
 * name node is away.  One that is damaged is as good as none.
 *
 * A table belongs to one thread.  Only load and save block, for as long as the disk does.
 *
 * Fault points (base/fault.h):
 *
 *   nodetable_before_save  nothing is written yet
 *   nodetable_save_error   the save fails with EIO
 *   nodetable_after_save   the new file is in its place
 */

#include "base/net.h"
#include "litedfs.h"
#include "wire/message.h"

/* The most nodes that a table takes; bytes of a zone with its NUL. */
#define NODETABLE_MAX 4096
#define NODETABLE_ZONE_SIZE 256

struct nodetable;

/* A data node; a plain value without pointers.  Those that were loaded count as online. */
struct nodetable_entry {
    uint32_t node;
    uint16_t tcp_port;
    uint16_t chain_port; // 0: it has none
    bool online;
    char host[NET_ADDRESS_SIZE];    // numeric, never empty
    char zone[NODETABLE_ZONE_SIZE]; // "": none
};

/* An empty table; NULL when memory is short. */
struct nodetable *nodetable_new (void);

/* Free it.  Takes NULL, sets it to NULL. */
void nodetable_destroy (struct nodetable **self);

/* What an endpoint of the wire says.  name_host is what its empty host stands for, numeric.
 * LITEDFS_INVALID for one that nobody can connect to: no number, a host that is no address of one
 * machine, a zone with a NUL in it. */
int nodetable_entry_of (struct nodetable_entry *out, const struct wire_endpoint *endpoint,
                        const char *name_host, litedfs_error_t *error);

/* Put an entry in place of the one of its number.  One that says the same changes nothing.
 * LITEDFS_NO_SPACE for a new number in a table of NODETABLE_MAX, LITEDFS_MEMORY. */
int nodetable_put (struct nodetable *self, const struct nodetable_entry *entry,
                   litedfs_error_t *error);

/* The entry of a number, valid until the next put; NULL if there is none. */
const struct nodetable_entry *nodetable_find (const struct nodetable *self, uint32_t node);

size_t nodetable_count (const struct nodetable *self);

/* The highest stamp given, 0 for none. */
uint64_t nodetable_stamp (const struct nodetable *self);

/* Copy entries whose stamp is above `after`, in the order of their numbers, from the one behind number
 * *node on; up to max of them.  Returns how many; *node is the last one's number.  Begin with 0, and go
 * on until fewer than max come. */
size_t nodetable_changed (const struct nodetable *self, uint64_t after, uint32_t *node,
                          struct nodetable_entry *out, size_t max);

/* Whether something is to be saved: an entry is new, or says another address, since the last load or
 * save. */
bool nodetable_unsaved (const struct nodetable *self);

/* Put what the file at path has into an empty table.  On failure the table stays empty.
 * LITEDFS_NOT_FOUND; LITEDFS_CORRUPT if it is damaged, LITEDFS_IO, LITEDFS_MEMORY. */
int nodetable_load (struct nodetable *self, const char *path, litedfs_error_t *error);

/* Replace the file, so that after a crash it is the old one or the new one.  Errors as
 * file_write_atomic. */
int nodetable_save (struct nodetable *self, const char *path, litedfs_error_t *error);

#endif
