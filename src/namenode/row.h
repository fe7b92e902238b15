/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_ROW_H
#define LITEDFS_NAMENODE_ROW_H

/*
 * What every row's codec does alike: the version byte, the put that checks the buffer once, the text of
 * a damaged row.  For metastore.c, records*.c and retry.c only.
 */

#include "namenode/metastore.h"

#define ROW_VERSION 1

/* Start a value: its version byte. */
void row_begin (struct buf *value);

/* Put the row and free both buffers; LITEDFS_MEMORY if one of them has failed. */
int row_put (struct txn *txn, enum metastore_table table, struct buf *key, struct buf *value,
             litedfs_error_t *error);

/* Delete the row and free the key. */
int row_del (struct txn *txn, enum metastore_table table, struct buf *key,
             litedfs_error_t *error);

/* Read a value after its version byte; LITEDFS_CORRUPT for another version. */
int row_open (enum metastore_table table, struct slice key, struct slice value,
              struct reader *out, litedfs_error_t *error);

/* The row cannot be read: fill error, return LITEDFS_CORRUPT. */
int row_corrupt (enum metastore_table table, struct slice key, litedfs_error_t *error);

#endif
