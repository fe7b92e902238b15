/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_RESTORED_H
#define LITEDFS_NAMENODE_RESTORED_H

/*
 * A store that was put back from a copy knows nothing of what was done since: data nodes have blocks that
 * it does not know and should keep, and what it would have deleted may be in use.  So
 *
 * - new blocks are of an epoch above any that is known, because ids of this one were drawn since;
 * - orders that the copy has are taken back: those to delete are garbage again, those to copy go, and
 *   repair gives them anew;
 * - no delete order is written until somebody says that the tree is as it should be.
 *
 * It is noticed at the start on a copy (storedir.h), or when a data node registers that has seen more than
 * this store.  Errors: those of metastore.h.
 */

#include "namenode/records.h"

/* From now on it is one: *epoch is the new one, above `seen` and that of the store.  Rows are rewritten, one
 * for each order. */
int restored_enter (struct txn *txn, uint64_t seen, uint64_t *epoch, litedfs_error_t *error);

/* Whether no delete order may be written: *since is the wall clock at which the copy was found to be one, 0
 * if it is none or was accepted. */
int restored_since (struct txn *txn, uint64_t *since, litedfs_error_t *error);

/* The tree is as it should be: deletes are ordered again. */
int restored_accept (struct txn *txn, litedfs_error_t *error);

#endif
