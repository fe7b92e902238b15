/* SPDX-License-Identifier: MIT */
/*
 * The common part of the codecs of rows.  A damaged row is reported with its table and its key in hex,
 * which is what one needs to find it with mdb_dump.
 */
#include "namenode/row.h"

#include <stdio.h>

/* Bytes of a key that a text shows. */
#define KEY_SHOWN 48

void
row_begin (struct buf *value)
{
    buf_put_u8 (value, ROW_VERSION);
}

int
row_put (struct txn *txn, enum metastore_table table, struct buf *key, struct buf *value,
         litedfs_error_t *error)
{
    int rc;

    if (key->failed || value->failed)
        rc = err_set (error, LITEDFS_MEMORY, "metadata table[%s]: out of memory",
                      metastore_table_name (table));
    else
        rc = txn_put (txn, table, buf_slice (key), buf_slice (value), error);
    buf_free (key);
    buf_free (value);
    return rc;
}

int
row_del (struct txn *txn, enum metastore_table table, struct buf *key, litedfs_error_t *error)
{
    int rc;

    if (key->failed)
        rc = err_set (error, LITEDFS_MEMORY, "metadata table[%s]: out of memory",
                      metastore_table_name (table));
    else
        rc = txn_del (txn, table, buf_slice (key), error);
    buf_free (key);
    return rc;
}

int
row_open (enum metastore_table table, struct slice key, struct slice value, struct reader *out,
          litedfs_error_t *error)
{
    *out = reader_of (value);
    return reader_u8 (out) == ROW_VERSION ? 0 : row_corrupt (table, key, error);
}

int
row_corrupt (enum metastore_table table, struct slice key, litedfs_error_t *error)
{
    const uint8_t *bytes = key.data;
    char hex[2 * KEY_SHOWN + 1] = "";

    for (size_t i = 0; i < key.size && i < KEY_SHOWN; i++)
        snprintf (hex + 2 * i, 3, "%02x", bytes[i]);
    return err_set (error, LITEDFS_CORRUPT,
                    "metadata row[%s %s]: it cannot be read; restore the store from a backup",
                    metastore_table_name (table), hex);
}
