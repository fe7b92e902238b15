/* SPDX-License-Identifier: MIT */
/*
 * The commit of an upload: every block is there, finished and full, the sizes add up; then all of the
 * file is visible, or nothing.  Blocks that have fewer or more holders than are wanted are marked for
 * repair in the same breath; and all of them if a holder may have gone while nobody looked, because what is
 * not visible is not repaired.
 */
#include "namenode/upload.h"

#include "base/crc.h"
#include "namenode/blocks.h"
#include "namenode/finished.h"
#include "namenode/lease.h"
#include "namenode/mark.h"
#include "namenode/namespace.h"

#include <string.h>

/* Blocks that were allocated beyond the end of a file and are freed by its commit: those that a client
 * had under way when its input ended. */
#define EXTRA_BLOCKS_MAX 64

/* An upload that takes longer than this, milliseconds, is a long one. */
#define LONG_MS 30000

/* What the walk over a file's blocks finds. */
struct content {
    uint64_t count;
    uint64_t size;
    uint32_t crc;
    uint32_t odd_first; // blocks whose holders are not as many as wanted: from here
    uint64_t odd_end;   // to before here; 0: there are none
    struct block_row extras[EXTRA_BLOCKS_MAX]; // allocated beyond the end
    size_t extras_count;
};

static int
incomplete (uint64_t index, const char *why, litedfs_error_t *error)
{
    return err_set (error, LITEDFS_INVALID, "block %llu: %s", (unsigned long long) index, why);
}

/* Take the next block into account, as it will be when the finished ones are written. */
static int
count_block (struct content *content, const struct upload_commit *ask,
             const struct lease_row *lease, const struct block_row *row, litedfs_error_t *error)
{
    uint64_t size = row->size;
    uint32_t crc = row->crc;
    size_t holders = row->nodes_count;
    bool finished = row->state == BLOCK_FINISHED;

    if (row->index >= ask->count) {
        if (finished)
            return incomplete (row->index, "it is finished and beyond the end", error);
        if (content->extras_count == EXTRA_BLOCKS_MAX)
            return incomplete (row->index, "too many blocks were allocated beyond the end",
                               error);
        content->extras[content->extras_count++] = *row;
        return 0;
    }
    if (row->index != content->count)
        return incomplete (content->count, "it is missing", error);
    for (size_t i = 0; !finished && i < ask->done_count; i++) {
        if (ask->done[i].index != row->index)
            continue;
        size = ask->done[i].size;
        crc = ask->done[i].crc;
        holders = ask->done[i].nodes_count;
        finished = true;
    }
    if (!finished)
        return incomplete (row->index, "it is not finished", error);
    if (row->index + 1 < ask->count && size != lease->block_size)
        return incomplete (row->index, "it is not the last one and not full", error);
    content->crc = crc32_join (content->crc, crc, size);
    content->size += size;
    content->count++;
    if (holders != lease->replica) {
        if (content->odd_end == 0)
            content->odd_first = row->index;
        content->odd_end = (uint64_t) row->index + 1;
    }
    return 0;
}

/* Walk over all blocks.  The sizes must add up to what the client says. */
static int
check_content (struct txn *txn, const struct upload_commit *ask, const struct lease_row *lease,
               struct content *content, litedfs_error_t *error)
{
    struct blocks_walk walk;
    struct block_row row;

    memset (content, 0, sizeof *content);
    if (lease->size != WIRE_UNKNOWN && lease->size != ask->size)
        return err_set (error, LITEDFS_INVALID, "size: %llu was said when it was created",
                        (unsigned long long) lease->size);
    int rc = blocks_open (&walk, txn, lease->inode, 0, error);
    while (rc == 0 && (rc = blocks_next (&walk, &row, error)) == 0)
        rc = count_block (content, ask, lease, &row, error);
    blocks_close (&walk);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    if (content->count < ask->count)
        return incomplete (content->count, "it is missing", error);
    if (content->size != ask->size)
        return err_set (error, LITEDFS_INVALID, "size: its blocks have %llu bytes, not %llu",
                        (unsigned long long) content->size, (unsigned long long) ask->size);
    return 0;
}

/* The file is visible already: the first commit's reply was lost. */
static int
commit_again (struct txn *txn, const struct upload_commit *ask, uint32_t *crc,
              litedfs_error_t *error)
{
    char text[UUID_TEXT_SIZE];
    struct inode_row row;

    int rc = namespace_file_by_id (txn, &ask->file, &row, error);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    if (rc < 0 || row.size != ask->size ||
        ask->count != block_count_of (row.size, row.block_size))
        return err_set (error, LITEDFS_LEASE_LOST,
                        "file[%s]: its lease has ended or was taken over; write it anew",
                        uuid_print (&ask->file, text));
    *crc = row.crc;
    return 0;
}

/* Whether the upload lasted so long, or so went, that data nodes may have gone meanwhile. */
static bool
may_have_lost (struct txn *txn, const struct lease_row *lease)
{
    return lease->suspects_count > 0 ||
           (uint64_t) txn_frame (txn)->wall_ms > lease->time + LONG_MS;
}

static int
write_file (struct txn *txn, const struct lease_row *lease, const struct content *content,
            litedfs_error_t *error)
{
    struct inode_row row = {
        .number = lease->inode,
        .kind = KIND_FILE,
        .parent = lease->parent,
        .ctime = lease->time,
        .bits = lease->bits,
        .size = content->size,
        .replica = lease->replica,
        .replica_min = lease->replica,
        .replica_max = lease->replica,
        .block_size = lease->block_size,
        .crc = content->crc,
    };

    inode_row_set_name (&row, lease_row_name (lease));
    return namespace_link (txn, &row, lease->replace, error);
}

int
upload_commit (struct txn *txn, const struct upload_commit *ask, uint32_t *crc,
               litedfs_error_t *error)
{
    char quoted[PATH_QUOTE_SIZE];
    struct lease_row lease;
    struct content content;
    uint64_t due = (uint64_t) txn_frame (txn)->wall_ms + ask->delay_ms;

    int rc = lease_show (txn, ask->token, &ask->file, &lease, error);
    if (rc == LITEDFS_LEASE_LOST)
        return commit_again (txn, ask, crc, error);
    if (rc < 0)
        return rc;
    rc = finished_check (txn, &lease, ask->done, ask->done_count, error);
    for (size_t i = 0; rc == 0 && i < ask->done_count; i++)
        if (ask->done[i].index >= ask->count)
            rc = finished_error (&ask->done[i], "it is beyond the end", error);
    if (rc == 0)
        rc = namespace_can_link (txn, lease.parent, lease_row_name (&lease), lease.replace,
                                 error);
    if (rc == 0)
        rc = check_content (txn, ask, &lease, &content, error);
    if (rc < 0)
        return err_prefix (error, "file[%s]", path_quote (lease_row_name (&lease), quoted));

    rc = finished_write (txn, &lease, ask->done, ask->done_count, due, error);
    for (size_t i = 0; rc == 0 && i < content.extras_count; i++)
        rc = blocks_free (txn, &content.extras[i], due, error);
    if (rc == 0)
        rc = write_file (txn, &lease, &content, error);
    if (rc == 0 && content.odd_end > 0)
        rc = mark_blocks (txn, lease.inode, content.odd_first, content.odd_end, error);
    if (rc == 0 && may_have_lost (txn, &lease) && content.count > 0)
        rc = mark_blocks (txn, lease.inode, 0, content.count, error);
    if (rc == 0)
        rc = lease_release (txn, &lease, error);
    if (rc == 0)
        *crc = content.crc;
    return rc;
}
