/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_LEASE_CLOCK_H
#define LITEDFS_NAMENODE_LEASE_CLOCK_H

/*
 * When leases expire: token -> deadline, in memory, on the monotonic clock.  The writer's thread alone
 * uses it.  Nothing of it is on disk: after a restart every lease runs for its full ttl again.
 *
 * It outlives transactions that abort.  So setting a deadline takes effect at once, which is harmless
 * for a lease that then is not there; forgetting one waits for lease_clock_settle, because its row may
 * yet stay.
 */

#include "namenode/records.h"

struct lease_clock *lease_clock_new (void); // NULL: out of memory
void lease_clock_destroy (struct lease_clock **self);

/* Read every lease; each gets its ttl in full. */
int lease_clock_load (struct lease_clock *self, struct txn *txn, int64_t now_ms,
                      litedfs_error_t *error);

/* Let a lease run ttl_ms from now.  LITEDFS_MEMORY. */
int lease_clock_set (struct lease_clock *self, const uint8_t token[TOKEN_SIZE], int64_t ttl_ms,
                     int64_t now_ms, litedfs_error_t *error);

/* Milliseconds until it expires; 0 if it has, or is not known. */
int64_t lease_clock_remaining (const struct lease_clock *self, const uint8_t token[TOKEN_SIZE],
                               int64_t now_ms);

/* Forget a lease, if the transaction under way commits.  LITEDFS_MEMORY. */
int lease_clock_drop (struct lease_clock *self, const uint8_t token[TOKEN_SIZE],
                      litedfs_error_t *error);

/* The transaction has ended: call it after every commit and abort. */
void lease_clock_settle (struct lease_clock *self, bool committed);

/* Leases that have been expired for as long as their ttl, at most max of them in no order; they stay
 * known.  Returns how many; give each to lease_end. */
size_t lease_clock_ended (const struct lease_clock *self, int64_t now_ms,
                          uint8_t (*tokens)[TOKEN_SIZE], size_t max);

/* When the next one has been expired long enough, on the same clock; INT64_MAX if there is none. */
int64_t lease_clock_next (const struct lease_clock *self);

size_t lease_clock_count (const struct lease_clock *self);

#endif
