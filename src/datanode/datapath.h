/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_DATAPATH_H
#define LITEDFS_DATANODE_DATAPATH_H

/*
 * The directory data_path: whose it is, that only one process uses it, and its sub-directories.  For
 * blockstore alone.  VERSION is
 *
 *   LiteDFS data node
 *   layout 1
 *   uuid 1f0c2a9e-...
 *   cluster 7ad14e5b-...    (once it has joined one)
 *   node 3                  (with it)
 */

#include "datanode/blockstore.h"

/* Take the directory for this process: it is made if missing, gets a VERSION if it is empty ("lost+found"
 * and what an interrupted start left do not count), is locked by *out_lock (close unlocks), and has its
 * sub-directories afterwards.  *out_fresh: VERSION was made just now.  Errors as blockstore_open. */
int datapath_take (const char *path, struct blockstore_identity *identity, int *out_lock,
                   bool *out_fresh, litedfs_error_t *error);

/* Read whose it is, without taking it.  LITEDFS_NOT_FOUND if there is no VERSION; LITEDFS_INVALID,
 * LITEDFS_CORRUPT, LITEDFS_LAYOUT, LITEDFS_IO. */
int datapath_identity (const char *path, struct blockstore_identity *out,
                       litedfs_error_t *error);

/* Write VERSION anew, durably. */
int datapath_write_version (const char *path, const struct blockstore_identity *identity,
                            litedfs_error_t *error);

#endif
