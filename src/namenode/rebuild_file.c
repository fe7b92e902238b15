/* SPDX-License-Identifier: MIT */
/*
 * A file from its blocks: all of them, full but for the last; then owner rows, claims that its nodes confirm
 * when they register, the inode, and the entry.
 */
#include "namenode/rebuild_file.h"

#include "base/crc.h"
#include "namenode/blocks.h"
#include "namenode/held.h"
#include "namenode/mark.h"
#include "namenode/namespace.h"
#include "namenode/row.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- drafts -------------------------------------------------------------------------------------- */

static int
draft_decode (struct slice key, struct slice value, struct rebuild_draft *out,
              litedfs_error_t *error)
{
    struct reader at = reader_of (key), reader;
    int rc = row_open (TABLE_REPLY, key, value, &reader, error);

    if (rc < 0)
        return rc;
    out->inode = reader_be64 (&at);
    out->bits = reader_u64 (&reader);
    out->count = reader_u64 (&reader);
    out->path = reader_str (&reader);
    return reader_done (&at) && reader_done (&reader) ? 0
                                                      : row_corrupt (TABLE_REPLY, key, error);
}

int
rebuild_draft_add (struct txn *txn, const struct rebuild_draft *draft, litedfs_error_t *error)
{
    struct buf key = {0}, row = {0};
    struct rebuild_draft before;
    struct slice value;

    buf_put_be64 (&key, draft->inode);
    int rc = key.failed ? err_set (error, LITEDFS_MEMORY, "rebuild: out of memory")
                        : txn_get (txn, TABLE_REPLY, buf_slice (&key), &value, error);
    if (rc == 0)
        rc = draft_decode (buf_slice (&key), value, &before, error);
    if ((rc == 0 && (before.count > 0 || draft->count == 0)) ||
        (rc < 0 && rc != LITEDFS_NOT_FOUND)) {
        buf_free (&key);
        return rc;
    }
    row_begin (&row);
    buf_put_u64 (&row, draft->bits);
    buf_put_u64 (&row, draft->count);
    buf_put_str (&row, draft->path);
    return row_put (txn, TABLE_REPLY, &key, &row, error);
}

int
rebuild_draft_next (struct txn *txn, uint64_t after, struct rebuild_draft *out,
                    struct buf *path, litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct slice none = {0}, key, value;
    uint8_t start[8];

    int rc = cursor_open (&cursor, txn, TABLE_REPLY, none, key_be64 (start, after + 1), error);
    if (rc == 0)
        rc = cursor_next (&cursor, &key, &value, error);
    if (rc == 0)
        rc = draft_decode (key, value, out, error);
    if (rc == 0) {
        buf_clear (path);
        buf_put (path, out->path.data, out->path.size);
        out->path = buf_slice (path);
        if (path->failed)
            rc = err_set (error, LITEDFS_MEMORY, "rebuild: out of memory");
    }
    cursor_close (&cursor);
    return rc;
}

static int
draft_del (struct txn *txn, uint64_t inode, litedfs_error_t *error)
{
    struct buf key = {0};

    buf_put_be64 (&key, inode);
    return row_del (txn, TABLE_REPLY, &key, error);
}

/* ---- content ------------------------------------------------------------------------------------- */

struct sum {
    uint64_t count;
    uint64_t size;
    uint64_t block_size; // of the first one
    uint64_t last_size;
    uint32_t crc;
    uint32_t most; // copies
    uint32_t least;
    bool odd; // one that is not the last is not full, or one is missing
};

static void
add (struct sum *sum, const struct block_row *row)
{
    uint32_t copies = (uint32_t) row->nodes_count;

    if (sum->count == 0)
        sum->block_size = row->size;
    sum->odd = sum->odd || row->index != sum->count ||
               (sum->count > 0 && sum->last_size != sum->block_size) ||
               row->size > sum->block_size;
    sum->most = copies > sum->most ? copies : sum->most;
    sum->least = sum->count == 0 || copies < sum->least ? copies : sum->least;
    sum->crc = crc32_join (sum->crc, row->crc, row->size);
    sum->size += row->size;
    sum->last_size = row->size;
    sum->count++;
}

/* What has to be done with each block row of a file. */
static int
each_block (struct txn *txn, uint64_t inode, void *arg,
            int (*visit) (struct txn *txn, void *arg, const struct block_row *row,
                          litedfs_error_t *error),
            litedfs_error_t *error)
{
    struct blocks_walk walk;
    struct block_row row;

    int rc = blocks_open (&walk, txn, inode, 0, error);
    while (rc == 0 && (rc = blocks_next (&walk, &row, error)) == 0)
        rc = visit (txn, arg, &row, error);
    blocks_close (&walk);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

static int
visit_sum (struct txn *txn, void *arg, const struct block_row *row, litedfs_error_t *error)
{
    (void) txn;
    (void) error;
    add (arg, row);
    return 0;
}

static int
visit_drop (struct txn *txn, void *arg, const struct block_row *row, litedfs_error_t *error)
{
    (void) arg;
    return block_row_del (txn, row->inode, row->index, error);
}

static int
visit_own (struct txn *txn, void *arg, const struct block_row *row, litedfs_error_t *error)
{
    const struct owner_row owner = {
        .block = row->block, .inode = row->inode, .index = row->index};
    (void) arg;

    int rc = owner_row_put (txn, &owner, error);
    for (size_t i = 0; i < row->nodes_count && rc == 0; i++)
        rc = held_claim (txn, row->nodes[i], row->block, row->size, error);
    return rc;
}

/* ---- its place ----------------------------------------------------------------------------------- */

/* Give a file that is in the way a name beside its own; *moved if there was one. */
static int
move_aside (struct txn *txn, struct slice path, bool *moved, litedfs_error_t *error)
{
    char name[NAME_BYTES_MAX + 1];
    struct inode_row row;
    struct buf out = {0};

    *moved = false;
    int rc = namespace_lookup_kind (txn, path, KIND_FILE, &row, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    int size = snprintf (name, sizeof name, "%.*s~%" PRIu64, (int) row.name_size, row.name,
                         row.number);
    if (size < 0 || (size_t) size >= sizeof name)
        return err_set (error, LITEDFS_INVALID, "its name is too long");
    rc = namespace_rename (txn, KIND_FILE, path, slice_of (name, (size_t) size), &out, error);
    buf_free (&out);
    *moved = rc == 0;
    return rc;
}

/* Link it at a path; errors of the path's rules are those of namespace.h. */
static int
link_at (struct txn *txn, struct inode_row *row, struct slice path, bool *moved,
         litedfs_error_t *error)
{
    struct slice above, name;
    bool made;

    int rc = path_check (path, error);
    if (rc < 0)
        return rc;
    if (!path_split (path, &above, &name))
        return err_set (error, LITEDFS_INVALID, "it is the root");
    rc = namespace_make_directory (txn, above, true, &made, &row->parent, error);
    if (rc == 0)
        rc = move_aside (txn, path, moved, error);
    inode_row_set_name (row, name);
    return rc == 0 ? namespace_link (txn, row, false, error) : rc;
}

/* Whether an error says that the path cannot be, and not that the store fails. */
static bool
is_of_path (int rc)
{
    return rc == LITEDFS_INVALID || rc == LITEDFS_EXISTS || rc == LITEDFS_NOT_DIRECTORY ||
           rc == LITEDFS_IS_DIRECTORY || rc == LITEDFS_NOT_FOUND;
}

static int
link_file (struct txn *txn, struct inode_row *row, struct slice path, enum rebuild_outcome *out,
           litedfs_error_t *error)
{
    char other[64];
    bool moved = false;

    int rc = link_at (txn, row, path, &moved, error);
    *out = moved ? REBUILD_MOVED_OTHER : REBUILD_LINKED;
    if (rc == 0 || !is_of_path (rc))
        return rc;
    *out = REBUILD_RENAMED;
    snprintf (other, sizeof other, "/rebuilt/%" PRIu64, row->number);
    return link_at (txn, row, slice_str (other), &moved, error);
}

/* ---- one file ------------------------------------------------------------------------------------ */

int
rebuild_file (struct txn *txn, const struct rebuild_draft *draft, uint64_t block_size,
              enum rebuild_outcome *out, litedfs_error_t *error)
{
    struct sum sum = {0};
    struct inode_row row = {.number = draft->inode, .kind = KIND_FILE, .bits = draft->bits};

    int rc = draft_del (txn, draft->inode, error);
    if (rc == 0)
        rc = each_block (txn, draft->inode, &sum, visit_sum, error);
    if (rc < 0)
        return rc;
    if (draft->count == 0 || sum.count != draft->count || sum.odd) {
        *out = REBUILD_INCOMPLETE;
        return each_block (txn, draft->inode, NULL, visit_drop, error);
    }
    row.ctime = (uint64_t) txn_frame (txn)->wall_ms;
    row.size = sum.size;
    row.crc = sum.crc;
    row.block_size = sum.count > 1 || sum.size > block_size ? sum.block_size : block_size;
    row.replica = row.replica_min = row.replica_max = sum.most;
    rc = each_block (txn, draft->inode, NULL, visit_own, error);
    if (rc == 0)
        rc = link_file (txn, &row, draft->path, out, error);
    if (rc == 0 && sum.least != sum.most)
        rc = mark_blocks (txn, row.number, 0, sum.count, error);
    return rc;
}
