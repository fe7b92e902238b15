/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_STOREDIR_H
#define LITEDFS_NAMENODE_STOREDIR_H

/*
 * data_path of a name node:
 *
 *   VERSION    "LiteDFS name node", layout and cluster id, for people and for the next start
 *   lock       held while a name node runs here
 *   meta/      the store (metastore.h)
 *   ballast    space that is given up on a full disk, so that deletes still work
 *   port       the TCP port that was chosen, if the configuration says 0
 *   COPY       this is a copy (backup.h), and when it was made; gone after the first start
 *
 * A directory that has other things in it and no VERSION is nobody's to write into, and refused.
 * All calls block for as long as the disk does.
 */

#include "base/log.h"
#include "namenode/metastore.h"

struct storedir;

struct storedir_options {
    const char *path;        // data_path, absolute
    uint64_t map_size;       // of the store, in bytes
    uint64_t ballast_size;   // in bytes; 0: none
    uint64_t reserve;        // bytes of the disk that only deletes may use
    bool sync;               // of the store
    bool read_only;          // as below
    struct log *log;         // may be NULL; must outlive it
    struct metrics *metrics; // may be NULL; must outlive it
};

/* Lock it, check it, open the store, or make all of that in an empty or missing directory: with a new
 * cluster and an empty tree.  LITEDFS_IN_USE: another name node runs here; LITEDFS_LAYOUT: written by
 * a newer version; LITEDFS_INVALID: something else is in it; LITEDFS_CORRUPT: VERSION or the store is
 * damaged, or the store is gone; LITEDFS_NO_SPACE, LITEDFS_IO, LITEDFS_MEMORY. */
int storedir_open (struct storedir **out, const struct storedir_options *options,
                   int64_t wall_ms, litedfs_error_t *error);

/* With read_only: look at what is there, also while another process serves it.  Nothing is made, locked
 * or written, and there are snapshots only.  LITEDFS_NOT_FOUND: there is none. */

/* Close the store and unlock.  Takes NULL, sets it to NULL. */
void storedir_close (struct storedir **self);

/* Write what a copy of this directory has besides its store into another directory: VERSION and COPY. */
int storedir_write_copy (const struct storedir *self, const char *directory, int64_t wall_ms,
                         litedfs_error_t *error);

const char *storedir_path (const struct storedir *self);
struct metastore *storedir_store (struct storedir *self);
const struct uuid *storedir_cluster (const struct storedir *self);

/* The port that was chosen before; 0 if none was. */
int storedir_port (const struct storedir *self);

/* Remember the port. */
int storedir_set_port (const struct storedir *self, int port, litedfs_error_t *error);

/* Whether there is room for requests that need some: LITEDFS_NO_SPACE, with a text that says what is
 * full and how to go on, if less than the reserve is free, or less than reserve and ballast while the
 * ballast is not there.  A disk that cannot be asked has room. */
int storedir_check_room (const struct storedir *self, litedfs_error_t *error);

/* Give the ballast up; true if there was one. */
bool storedir_drop_ballast (struct storedir *self);

/* Make the ballast again if it is not there and the disk has room for it beyond the reserve. */
void storedir_restore_ballast (struct storedir *self);

#endif
