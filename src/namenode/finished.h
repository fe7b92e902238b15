/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_FINISHED_H
#define LITEDFS_NAMENODE_FINISHED_H

/*
 * The finished blocks that a client names, against what it was allocated.  A part of upload.h's rules:
 * finished_check before, finished_write after.  Errors: those of metastore.h, and as listed.
 */

#include "namenode/upload.h"

/* How many blocks the file of a lease has; UINT32_MAX + 1 while its size is not known. */
uint64_t finished_block_count (const struct lease_row *lease);

/* How many bytes a block will have, or has at most when the size is not known. */
uint64_t finished_block_size (const struct lease_row *lease, uint64_t index);

/* LITEDFS_INVALID: one of them is not as allocated, or named twice. */
int finished_check (struct txn *txn, const struct lease_row *lease,
                    const struct upload_finished *done, size_t count, litedfs_error_t *error);

/* Record those that are not recorded yet; who was to take one and does not have it has garbage, due at
 * that time. */
int finished_write (struct txn *txn, const struct lease_row *lease,
                    const struct upload_finished *done, size_t count, uint64_t due,
                    litedfs_error_t *error);

/* "block[...] of index ...: why"; returns LITEDFS_INVALID. */
int finished_error (const struct upload_finished *done, const char *why,
                    litedfs_error_t *error);

#endif
