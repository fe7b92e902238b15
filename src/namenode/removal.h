/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_REMOVAL_H
#define LITEDFS_NAMENODE_REMOVAL_H

/*
 * What is left of a node that was removed, taken away a little at a time: what it held, so that it is no
 * holder of anything any more, its digests, orders and garbage, what is damaged and what is in quarantine.
 * Its own row stays for ever: it says that the UUID is refused.
 */

#include "namenode/records.h"

/* Take up to max rows of the node away; *count is how many were.  Blocks of which it was a holder are
 * marked.  Errors: those of metastore.h. */
int removal_slice (struct txn *txn, uint32_t node, size_t max, size_t *count,
                   litedfs_error_t *error);

/* Whether anything is left. */
int removal_wanted (struct txn *txn, uint32_t node, bool *out, litedfs_error_t *error);

#endif
