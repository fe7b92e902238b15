/* SPDX-License-Identifier: MIT */
/*
 * Listing a directory: two walks over its entries, one a kind, because the kind stands before the name
 * in the key.  A cursor is the kind and the name given last.  An offset is counted in entries, without
 * reading their inodes; the total comes from the directory's own counts.
 */
#include "namenode/listing.h"

#include "namenode/totals.h"

#include <string.h>

/* Open the walk over one kind, behind `after` if it has that kind. */
static int
open_kind (struct listing *self, enum kind kind, litedfs_error_t *error)
{
    struct slice none = {0};
    struct buf prefix = {0};
    struct buf start = {0};
    int rc;

    cursor_close (&self->at);
    self->kind = kind;
    dirent_row_key (&prefix, self->directory, kind, none);
    if (self->after_size > 0 && self->after[0] == (kind == KIND_DIRECTORY ? 0 : 1))
        dirent_row_key (&start, self->directory, kind,
                        slice_of (self->after + 1, self->after_size - 1));
    if (prefix.failed || start.failed)
        rc = err_set (error, LITEDFS_MEMORY, "directory: out of memory");
    else
        rc = cursor_open (&self->at, self->txn, TABLE_DIRENT, buf_slice (&prefix),
                          buf_slice (&start), error);
    buf_free (&prefix);
    buf_free (&start);
    return rc;
}

/* Whether the entry is the one that the cursor was after. */
static bool
is_after (const struct listing *self, const struct dirent_row *entry)
{
    return self->after_size == entry->name_size + 1 &&
           self->after[0] == (entry->kind == KIND_DIRECTORY ? 0 : 1) &&
           memcmp (self->after + 1, entry->name, entry->name_size) == 0;
}

/* The next entry into last. */
static int
next_entry (struct listing *self, litedfs_error_t *error)
{
    struct slice key;
    struct slice value;
    int rc;

    while (!self->ended) {
        rc = cursor_next (&self->at, &key, &value, error);
        if (rc == 0)
            rc = dirent_row_decode (key, value, &self->last, error);
        if (rc == 0 && is_after (self, &self->last))
            continue;
        if (rc != LITEDFS_NOT_FOUND)
            return rc;
        if (self->kind == KIND_FILE || !self->files) {
            self->ended = true;
            break;
        }
        rc = open_kind (self, KIND_FILE, error);
        if (rc < 0)
            return rc;
    }
    return LITEDFS_NOT_FOUND;
}

static int
check_cursor (struct slice cursor, uint64_t offset, litedfs_error_t *error)
{
    const uint8_t *bytes = cursor.data;

    if (!cursor.data)
        return 0;
    if (cursor.size < 2 || cursor.size > 1 + NAME_BYTES_MAX || bytes[0] > 1)
        return err_set (error, LITEDFS_INVALID, "cursor: it is not one that a listing gave");
    if (offset > 0)
        return err_set (error, LITEDFS_INVALID, "cursor: it cannot be used with an offset");
    return 0;
}

int
listing_open (struct listing *self, struct txn *txn, uint64_t directory, bool directories,
              bool files, uint64_t offset, struct slice cursor, litedfs_error_t *error)
{
    struct inode_row row;

    memset (self, 0, sizeof *self);
    int rc = check_cursor (cursor, offset, error);
    if (rc == 0)
        rc = inode_row_get (txn, directory, &row, error);
    if (rc == LITEDFS_NOT_FOUND)
        return err_set (error, rc, "directory: it is gone");
    if (rc < 0)
        return rc;
    totals_pending (txn, &row);
    self->txn = txn;
    self->directory = directory;
    self->directories = directories;
    self->files = files;
    self->total = (directories ? row.child_directories : 0) + (files ? row.child_files : 0);
    self->ended = !directories && !files;
    if (cursor.data) {
        self->after_size = cursor.size;
        memcpy (self->after, cursor.data, cursor.size);
    }
    if (self->ended)
        return 0;
    bool skip_directories = !directories || (self->after_size > 0 && self->after[0] == 1);
    if (skip_directories && !files) {
        self->ended = true;
        return 0;
    }
    rc = open_kind (self, skip_directories ? KIND_FILE : KIND_DIRECTORY, error);
    if (rc == 0 && offset >= self->total)
        self->ended = true;
    for (uint64_t i = 0; rc == 0 && i < offset && !self->ended; i++)
        rc = next_entry (self, error);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND) {
        listing_close (self);
        return rc;
    }
    return 0;
}

int
listing_next (struct listing *self, struct inode_row *out, litedfs_error_t *error)
{
    int rc = next_entry (self, error);
    if (rc < 0)
        return rc;
    rc = inode_row_get (self->txn, self->last.inode, out, error);
    if (rc == LITEDFS_NOT_FOUND)
        return err_set (error, LITEDFS_CORRUPT,
                        "metadata row[inode %llu]: an entry without inode",
                        (unsigned long long) self->last.inode);
    if (rc == 0)
        totals_pending (self->txn, out);
    return rc;
}

void
listing_cursor (const struct inode_row *entry, struct buf *out)
{
    buf_put_u8 (out, entry->kind == KIND_DIRECTORY ? 0 : 1);
    buf_put (out, entry->name, entry->name_size);
}

void
listing_close (struct listing *self)
{
    cursor_close (&self->at);
}
