/* SPDX-License-Identifier: MIT */
/*
 * Leases: a row by token with what the file will be, a lock row by name, a deadline in memory.
 *
 * Both rows come and go together.  Ending a lease does not look for its blocks: the inode is doomed, and
 * garbage.c finds them.
 */
#include "namenode/lease.h"

#include <string.h>

int64_t
lease_remaining (struct txn *txn, const struct lease_row *row)
{
    const struct txn_frame *frame = txn_frame (txn);

    if (!frame->leases)
        return (int64_t) row->ttl * 1000;
    return lease_clock_remaining (frame->leases, row->token, frame->now_ms);
}

/* The lease that holds a name; LITEDFS_NOT_FOUND with error untouched if none does. */
static int
holder_of (struct txn *txn, uint64_t parent, struct slice name, struct lease_row *out,
           litedfs_error_t *error)
{
    uint8_t token[TOKEN_SIZE];

    int rc = lock_row_get (txn, parent, name, token, error);
    if (rc < 0)
        return rc;
    rc = lease_row_get (txn, token, out, error);
    if (rc == LITEDFS_NOT_FOUND)
        return err_set (error, LITEDFS_CORRUPT, "metadata: a lock leads to no lease");
    return rc;
}

int
lease_check_free (struct txn *txn, uint64_t parent, struct slice name, litedfs_error_t *error)
{
    struct lease_row row;

    int rc = holder_of (txn, parent, name, &row, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    int64_t remaining = lease_remaining (txn, &row);
    if (remaining == 0)
        return 0;
    return err_set (error, LITEDFS_LOCKED,
                    "somebody else writes it now; the lock ends in %lld s unless it is renewed",
                    (long long) (remaining + 999) / 1000);
}

int
lease_clear (struct txn *txn, uint64_t parent, struct slice name, litedfs_error_t *error)
{
    struct lease_row row;

    int rc = lease_check_free (txn, parent, name, error);
    if (rc < 0)
        return rc;
    rc = holder_of (txn, parent, name, &row, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    return lease_end (txn, row.token, error);
}

/* Let it run from now, if there is a clock. */
static int
start_clock (struct txn *txn, const struct lease_row *row, litedfs_error_t *error)
{
    const struct txn_frame *frame = txn_frame (txn);

    if (!frame->leases)
        return 0;
    return lease_clock_set (frame->leases, row->token, (int64_t) row->ttl * 1000, frame->now_ms,
                            error);
}

int
lease_take (struct txn *txn, const struct lease_row *row, litedfs_error_t *error)
{
    int rc = lease_clear (txn, row->parent, lease_row_name (row), error);

    if (rc == 0)
        rc = lease_row_put (txn, row, error);
    if (rc == 0)
        rc = lock_row_put (txn, row->parent, lease_row_name (row), row->token, error);
    return rc == 0 ? start_clock (txn, row, error) : rc;
}

int
lease_show (struct txn *txn, const uint8_t token[TOKEN_SIZE], const struct uuid *file,
            struct lease_row *out, litedfs_error_t *error)
{
    char text[UUID_TEXT_SIZE];
    struct uuid id;

    int rc = lease_row_get (txn, token, out, error);
    if (rc == 0) {
        lease_row_id (out, &id);
        if (uuid_equal (&id, file))
            return 0;
    }
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    return err_set (error, LITEDFS_LEASE_LOST,
                    "file[%s]: its lease has ended or was taken over; write it anew",
                    uuid_print (file, text));
}

int
lease_renew (struct txn *txn, const uint8_t token[TOKEN_SIZE], const struct uuid *file,
             uint32_t *ttl, litedfs_error_t *error)
{
    struct lease_row row;

    int rc = lease_show (txn, token, file, &row, error);
    if (rc == 0)
        rc = start_clock (txn, &row, error);
    if (rc == 0)
        *ttl = row.ttl;
    return rc;
}

int
lease_release (struct txn *txn, const struct lease_row *row, litedfs_error_t *error)
{
    struct lease_clock *clock = txn_frame (txn)->leases;
    uint8_t token[TOKEN_SIZE];

    int rc = lease_row_del (txn, row->token, error);
    if (rc == 0 || rc == LITEDFS_NOT_FOUND)
        rc = lock_row_get (txn, row->parent, lease_row_name (row), token, error);
    if (rc == 0 && memcmp (token, row->token, TOKEN_SIZE) == 0)
        rc = lock_row_del (txn, row->parent, lease_row_name (row), error);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    return clock ? lease_clock_drop (clock, row->token, error) : 0;
}

int
lease_end (struct txn *txn, const uint8_t token[TOKEN_SIZE], litedfs_error_t *error)
{
    struct lease_clock *clock = txn_frame (txn)->leases;
    struct lease_row row;

    int rc = lease_row_get (txn, token, &row, error);
    if (rc == LITEDFS_NOT_FOUND)
        return clock ? lease_clock_drop (clock, token, error) : 0;
    if (rc < 0)
        return rc;
    struct doomed_row doomed = {.inode = row.inode, .kind = KIND_FILE};
    rc = lease_release (txn, &row, error);
    return rc == 0 ? doomed_row_put (txn, &doomed, error) : rc;
}

int
lease_list (struct txn *txn, struct slice cursor, size_t max, struct lease_row *out,
            size_t *count, struct buf *next, litedfs_error_t *error)
{
    struct cursor at = {0};
    struct slice none = {0};
    struct slice key;
    struct slice value;
    uint8_t token[TOKEN_SIZE];
    uint8_t last[METASTORE_KEY_MAX];
    size_t last_size = 0;

    *count = 0;
    if (cursor.data && (cursor.size < 9 || cursor.size > 8 + NAME_BYTES_MAX))
        return err_set (error, LITEDFS_INVALID,
                        "cursor: it is not one that a list of locks gave");
    int rc = cursor_open (&at, txn, TABLE_LOCK, none, cursor, error);
    while (rc == 0 && (rc = cursor_next (&at, &key, &value, error)) == 0) {
        if (cursor.data && slice_equal (key, cursor))
            continue;
        if (*count == max) {
            buf_put (next, last, last_size);
            break;
        }
        last_size = key.size;
        memcpy (last, key.data, key.size);
        rc = lock_row_decode (key, value, token, error);
        if (rc == 0)
            rc = lease_row_get (txn, token, &out[*count], error);
        if (rc == LITEDFS_NOT_FOUND)
            rc = err_set (error, LITEDFS_CORRUPT, "metadata: a lock leads to no lease");
        if (rc < 0)
            break;
        *count += 1;
    }
    cursor_close (&at);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}
