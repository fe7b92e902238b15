/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_LEASE_H
#define LITEDFS_NAMENODE_LEASE_H

/*
 * Leases: who writes (parent, name) now.
 *
 * A lease is a random token that every later request shows.  It runs for its ttl and is renewed; once
 * expired somebody else may take the name, until then its owner may still renew and commit; expired for
 * as long again it is ended, and what it wrote is doomed.  Deadlines are in the frame's lease_clock; a
 * frame without one counts every lease as running.  Errors: those of metastore.h, and as listed.
 */

#include "namenode/lease_clock.h"

/* LITEDFS_LOCKED, and how many seconds are left, if a running lease holds the name; else 0. */
int lease_check_free (struct txn *txn, uint64_t parent, struct slice name,
                      litedfs_error_t *error);

/* The same, and end an expired lease on the name. */
int lease_clear (struct txn *txn, uint64_t parent, struct slice name, litedfs_error_t *error);

/* Take the name for row->token: writes lease and lock, ends an expired lease on the name.
 * LITEDFS_LOCKED. */
int lease_take (struct txn *txn, const struct lease_row *row, litedfs_error_t *error);

/* The lease of a token, if it is for this file.  LITEDFS_LEASE_LOST. */
int lease_show (struct txn *txn, const uint8_t token[TOKEN_SIZE], const struct uuid *file,
                struct lease_row *out, litedfs_error_t *error);

/* Let it run its ttl from now; writes no row.  *ttl in seconds.  LITEDFS_LEASE_LOST. */
int lease_renew (struct txn *txn, const uint8_t token[TOKEN_SIZE], const struct uuid *file,
                 uint32_t *ttl, litedfs_error_t *error);

/* Remove lease and lock, the file having become visible. */
int lease_release (struct txn *txn, const struct lease_row *row, litedfs_error_t *error);

/* End it: what was written is doomed.  A token that is not there (any more) is fine. */
int lease_end (struct txn *txn, const uint8_t token[TOKEN_SIZE], litedfs_error_t *error);

/* The locks after `cursor` (data NULL: from the first), by parent and name; at most max.  *count is how
 * many, and next gets the cursor to go on with, or stays empty after the last. */
int lease_list (struct txn *txn, struct slice cursor, size_t max, struct lease_row *out,
                size_t *count, struct buf *next, litedfs_error_t *error);

/* Milliseconds left of a lease in a write transaction; its whole ttl if the frame has no clock. */
int64_t lease_remaining (struct txn *txn, const struct lease_row *row);

#endif
