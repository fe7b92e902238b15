/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_NAMESPACE_H
#define LITEDFS_NAMENODE_NAMESPACE_H

/*
 * The rules of the tree, over a transaction.
 *
 * The model.  A directory entry (parent, kind, name) leads to an inode; the inode knows parent and
 * name, so a move or rename changes three rows whatever hangs below.  A name is a file or a directory,
 * never both.  The root is inode 1, has no name, and cannot be moved, renamed or deleted.  What is
 * deleted is unreachable at once and `doomed`; garbage.h frees it in slices.
 *
 * Every rule checks first and writes after: a call that fails has written nothing, and a transaction
 * that was aborted can be run again.  Texts are "what[path]: why".  Errors besides those listed:
 * LITEDFS_INVALID for a path or name that path.h refuses, and those of metastore.h.
 *
 * Names under a running lease are LITEDFS_LOCKED for create, move and rename, from and to.  A path of a
 * directory that is moved must stay within 4096 bytes; what is below it may get longer, and is then
 * reached again by moving it up.
 */

#include "namenode/listing.h"
#include "namenode/path.h"
#include "namenode/records.h"

/* Longest path that namespace_path_of gives, in bytes, and the most levels that a rule climbs. */
#define NAMESPACE_PATH_OF_MAX 8192
#define NAMESPACE_DEPTH_MAX 4096

/* Make the root if the store is new.  Write. */
int namespace_format (struct txn *txn, litedfs_error_t *error);

/* The inode at a path, a directory's counts with what is pending in this transaction (so never put such a
 * row back: read it with inode_row_get).  LITEDFS_NOT_FOUND names the first
 * part that is missing; LITEDFS_NOT_DIRECTORY if a file stands in the middle. */
int namespace_lookup (struct txn *txn, struct slice path, struct inode_row *out,
                      litedfs_error_t *error);

/* The same, when it must be a directory (else LITEDFS_NOT_DIRECTORY) or a file (LITEDFS_IS_DIRECTORY). */
int namespace_lookup_kind (struct txn *txn, struct slice path, enum kind kind,
                           struct inode_row *out, litedfs_error_t *error);

/* The child of a directory, of either kind; LITEDFS_NOT_FOUND with error untouched. */
int namespace_child (struct txn *txn, uint64_t parent, struct slice name, enum kind *kind,
                     uint64_t *inode, litedfs_error_t *error);

/* The file with an id.  LITEDFS_NOT_FOUND also when the checking bits are wrong.  It may stand in a tree
 * that was deleted: namespace_path_of tells. */
int namespace_file_by_id (struct txn *txn, const struct uuid *id, struct inode_row *out,
                          litedfs_error_t *error);

/* Append the path of (inode parent)/(name); an empty name gives the path of parent itself.
 * LITEDFS_NOT_FOUND if it is in a tree that was deleted; LITEDFS_INVALID if it is longer than
 * NAMESPACE_PATH_OF_MAX. */
int namespace_path_of (struct txn *txn, uint64_t parent, struct slice name, struct buf *out,
                       litedfs_error_t *error);

/* Make a directory; parents: and those above it that are missing (else LITEDFS_NOT_FOUND).  An existing
 * one is fine: *created is false.  LITEDFS_EXISTS: it is a file; LITEDFS_NOT_DIRECTORY; LITEDFS_LOCKED.
 * *inode (may be NULL) is its number. */
int namespace_make_directory (struct txn *txn, struct slice path, bool parents, bool *created,
                              uint64_t *inode, litedfs_error_t *error);

/* Move into the directory target.  LITEDFS_NOT_FOUND, LITEDFS_NOT_DIRECTORY, LITEDFS_IS_DIRECTORY
 * (source is not of this kind), LITEDFS_INVALID (the root; into itself or below; path too long),
 * LITEDFS_EXISTS (the name is taken there), LITEDFS_LOCKED.  Appends the new path to out. */
int namespace_move (struct txn *txn, enum kind kind, struct slice source, struct slice target,
                    struct buf *out, litedfs_error_t *error);

/* Give another name in the same directory; its own name is fine.  Errors as namespace_move. */
int namespace_rename (struct txn *txn, enum kind kind, struct slice path, struct slice name,
                      struct buf *out, litedfs_error_t *error);

/* Delete a file, or a directory with all that is below, in a few rows.  LITEDFS_NOT_FOUND,
 * LITEDFS_NOT_DIRECTORY, LITEDFS_IS_DIRECTORY, LITEDFS_INVALID (the root). */
int namespace_delete (struct txn *txn, enum kind kind, struct slice path,
                      litedfs_error_t *error);

/* Set how many replicas a file shall have, and mark its blocks; with id (not NULL) only if the path still
 * names that file, else LITEDFS_NOT_FOUND. */
int namespace_set_replica (struct txn *txn, struct slice path, uint32_t replica,
                           const struct uuid *id, litedfs_error_t *error);

/* Whether a file could be linked as (parent, name) now; the same errors as namespace_link, and writes
 * nothing. */
int namespace_can_link (struct txn *txn, uint64_t parent, struct slice name, bool replace,
                        litedfs_error_t *error);

/* Put a finished file, complete but for mtime, into its directory (row->parent, row->name).  replace:
 * swaps a file that is there, which is doomed.  LITEDFS_NOT_FOUND: the directory, or one above, was
 * deleted; LITEDFS_EXISTS: the name is taken; LITEDFS_IS_DIRECTORY: by a directory; LITEDFS_INVALID:
 * deeper than NAMESPACE_DEPTH_MAX.  Leases are not looked at: that is upload.h's. */
int namespace_link (struct txn *txn, const struct inode_row *row, bool replace,
                    litedfs_error_t *error);

#endif
