/* SPDX-License-Identifier: MIT */
/*
 * Uploads: create, allocate, commit, abandon.
 *
 * Each is two halves.  The first checks: the lease, the finished blocks that the client names, what is
 * in the way, and asks the placer for nodes.  The second writes, and fails only when the store does.
 * What a request that is repeated has done already is found in the rows and left as it is.
 */
#include "namenode/upload.h"

#include "base/crc.h"
#include "namenode/blocks.h"
#include "namenode/lease.h"
#include "namenode/namespace.h"

#include <assert.h>
#include <string.h>

/* Blocks that were allocated beyond the end of a file and are freed by its commit: those that a client
 * had under way when its input ended. */
#define EXTRA_BLOCKS_MAX 64

/* A block that is going to be allocated. */
struct planned {
    uint32_t index;
    bool keep; // the block that the index has
    struct block_row row;
};

/* How many blocks a file has; UINT32_MAX + 1 at most, also while its size is not known. */
static uint64_t
blocks_of_lease (const struct lease_row *lease)
{
    return lease->size == WIRE_UNKNOWN ? (uint64_t) UINT32_MAX + 1
                                       : block_count_of (lease->size, lease->block_size);
}

/* How many bytes a block will have, or has at most when the size is not known. */
static uint64_t
size_of_block (const struct lease_row *lease, uint64_t index)
{
    if (lease->size == WIRE_UNKNOWN || index + 1 < blocks_of_lease (lease))
        return lease->block_size;
    return lease->size - index * lease->block_size;
}

/* ---- finished blocks ----------------------------------------------------------------------------- */

static int
finished_error (const struct upload_finished *done, const char *why, litedfs_error_t *error)
{
    return err_set (error, LITEDFS_INVALID, "block[%016llx] of index %llu: %s",
                    (unsigned long long) done->block, (unsigned long long) done->index, why);
}

/* Whether its nodes are some of those that were to take it, each once. */
static bool
nodes_fit (const struct upload_finished *done, const struct block_row *row)
{
    if (done->nodes_count < 1 || done->nodes_count > ROW_NODES_MAX)
        return false;
    for (size_t i = 0; i < done->nodes_count; i++) {
        if (done->nodes[i] > UINT32_MAX || !block_row_has_node (row, (uint32_t) done->nodes[i]))
            return false;
        for (size_t other = 0; other < i; other++)
            if (done->nodes[other] == done->nodes[i])
                return false;
    }
    return true;
}

/* Check one finished block against its row, which is returned. */
static int
check_finished (struct txn *txn, const struct lease_row *lease,
                const struct upload_finished *done, struct block_row *row,
                litedfs_error_t *error)
{
    int rc = LITEDFS_NOT_FOUND;

    if (done->index < blocks_of_lease (lease))
        rc = block_row_get (txn, lease->inode, (uint32_t) done->index, row, error);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    if (rc == LITEDFS_NOT_FOUND || row->block != done->block)
        return finished_error (done, "it is not the block that was allocated", error);
    if (row->state == BLOCK_FINISHED) {
        if (row->size != done->size || row->crc != done->crc)
            return finished_error (done, "it was finished with other content", error);
        return 0;
    }
    if (done->size < 1 || done->size > lease->block_size)
        return finished_error (done, "its size is not between 1 and the block size", error);
    if (lease->size != WIRE_UNKNOWN && done->size != size_of_block (lease, done->index))
        return finished_error (done, "its size does not fit the size of the file", error);
    if (!nodes_fit (done, row))
        return finished_error (done, "its nodes are not those that were to take it", error);
    return 0;
}

static int
check_all_finished (struct txn *txn, const struct lease_row *lease,
                    const struct upload_finished *done, size_t count, litedfs_error_t *error)
{
    struct block_row row;

    for (size_t i = 0; i < count; i++) {
        for (size_t other = 0; other < i; other++)
            if (done[other].index == done[i].index)
                return finished_error (&done[i], "it is named twice", error);
        int rc = check_finished (txn, lease, &done[i], &row, error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
write_all_finished (struct txn *txn, const struct lease_row *lease,
                    const struct upload_finished *done, size_t count, uint64_t due,
                    litedfs_error_t *error)
{
    uint32_t nodes[ROW_NODES_MAX];
    struct block_row row;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = block_row_get (txn, lease->inode, (uint32_t) done[i].index, &row, error);
        if (rc < 0 || row.state == BLOCK_FINISHED)
            continue;
        for (size_t n = 0; n < done[i].nodes_count; n++)
            nodes[n] = (uint32_t) done[i].nodes[n];
        rc = blocks_finish (txn, &row, done[i].size, done[i].crc, nodes, done[i].nodes_count,
                            due, error);
    }
    return rc;
}

/* ---- allocating ---------------------------------------------------------------------------------- */

static bool
is_suspect (const struct lease_row *lease, uint32_t node)
{
    for (size_t i = 0; i < lease->suspects_count; i++)
        if (lease->suspects[i] == node)
            return true;
    return false;
}

static bool
has_suspect (const struct lease_row *lease, const struct block_row *row)
{
    for (size_t i = 0; i < row->nodes_count; i++)
        if (is_suspect (lease, row->nodes[i]))
            return true;
    return false;
}

/* Ask for nodes for one block and fill the row, but for its id. */
static int
place (struct txn *txn, const struct lease_row *lease, uint32_t index,
       const struct upload_placer *placer, struct block_row *row, litedfs_error_t *error)
{
    struct upload_ask ask = {
        .seed = lease->bits,
        .index = index,
        .size = size_of_block (lease, index),
        .replica = lease->replica,
        .suspects = lease->suspects,
        .suspects_count = lease->suspects_count,
    };

    *row = (struct block_row){.inode = lease->inode, .index = index, .size = ask.size};
    int rc = placer->place (placer->arg, txn, &ask, row->nodes, &row->nodes_count, error);
    assert (rc < 0 || (row->nodes_count >= 1 && row->nodes_count <= ROW_NODES_MAX));
    return rc;
}

/* Decide what each index gets; writes nothing. */
static int
plan_blocks (struct txn *txn, const struct lease_row *lease, uint64_t first, size_t count,
             const struct upload_placer *placer, struct planned *plan, litedfs_error_t *error)
{
    for (size_t i = 0; i < count; i++) {
        struct planned *here = &plan[i];
        here->index = (uint32_t) (first + i);
        int rc = block_row_get (txn, lease->inode, here->index, &here->row, error);
        if (rc < 0 && rc != LITEDFS_NOT_FOUND)
            return rc;
        here->keep = rc == 0 && !has_suspect (lease, &here->row);
        if (here->keep)
            continue;
        rc = place (txn, lease, here->index, placer, &here->row, error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Write what was planned; the block that an index had before is freed. */
static int
write_blocks (struct txn *txn, struct planned *plan, size_t count, uint64_t due,
              struct upload_allocation *out, litedfs_error_t *error)
{
    for (size_t i = 0; i < count; i++) {
        struct block_row *row = &plan[i].row;
        struct block_row old;
        int rc = 0;

        if (!plan[i].keep) {
            rc = block_row_get (txn, row->inode, row->index, &old, error);
            if (rc == 0)
                rc = blocks_free (txn, &old, due, error);
            if (rc == 0 || rc == LITEDFS_NOT_FOUND)
                rc = meta_next_block (txn, &row->block, error);
            if (rc == 0)
                rc = blocks_allocate (txn, row, error);
        }
        if (rc < 0)
            return rc;
        out[i].index = row->index;
        out[i].block = row->block;
        out[i].nodes_count = row->nodes_count;
        memcpy (out[i].nodes, row->nodes, row->nodes_count * sizeof *row->nodes);
    }
    return 0;
}

/* Add suspects to the lease; *changed if there was a new one. */
static int
merge_suspects (struct lease_row *lease, const struct upload_allocate *ask, bool *changed,
                litedfs_error_t *error)
{
    *changed = false;
    for (size_t i = 0; i < ask->suspects_count; i++) {
        if (ask->suspects[i] < 1 || ask->suspects[i] > UINT32_MAX)
            return err_set (error, LITEDFS_INVALID, "suspects: %llu is no node's number",
                            (unsigned long long) ask->suspects[i]);
        if (is_suspect (lease, (uint32_t) ask->suspects[i]))
            continue;
        if (lease->suspects_count == ROW_NODES_MAX)
            return err_set (error, LITEDFS_NO_NODE, "more than %d nodes failed this upload",
                            ROW_NODES_MAX);
        lease->suspects[lease->suspects_count++] = (uint32_t) ask->suspects[i];
        *changed = true;
    }
    return 0;
}

/* How many blocks to give from an index on. */
static int
clip_count (const struct lease_row *lease, uint32_t index, size_t *count,
            litedfs_error_t *error)
{
    uint64_t total = blocks_of_lease (lease);

    if (*count == 0)
        return 0;
    if (*count > UPLOAD_BLOCKS_MAX)
        return err_set (error, LITEDFS_INVALID, "count: at most %d blocks a request",
                        UPLOAD_BLOCKS_MAX);
    if (index >= total)
        return err_set (error, LITEDFS_INVALID, "index: the file has %llu blocks only",
                        (unsigned long long) total);
    if (*count > total - index)
        *count = (size_t) (total - index);
    return 0;
}

int
upload_allocate (struct txn *txn, const struct upload_allocate *ask,
                 const struct upload_placer *placer, struct upload_allocation *out,
                 size_t *out_count, litedfs_error_t *error)
{
    struct planned plan[UPLOAD_BLOCKS_MAX];
    struct lease_row lease;
    size_t count = ask->count;
    bool changed = false;
    uint64_t due = (uint64_t) txn_frame (txn)->wall_ms + ask->delay_ms;

    int rc = lease_show (txn, ask->token, &ask->file, &lease, error);
    if (rc == 0)
        rc = clip_count (&lease, ask->index, &count, error);
    if (rc == 0)
        rc = check_all_finished (txn, &lease, ask->done, ask->done_count, error);
    if (rc == 0)
        rc = merge_suspects (&lease, ask, &changed, error);
    if (rc == 0)
        rc = plan_blocks (txn, &lease, ask->index, count, placer, plan, error);
    if (rc < 0)
        return rc;

    if (changed)
        rc = lease_row_put (txn, &lease, error);
    if (rc == 0)
        rc = write_all_finished (txn, &lease, ask->done, ask->done_count, due, error);
    if (rc == 0)
        rc = write_blocks (txn, plan, count, due, out, error);
    if (rc == 0)
        *out_count = count;
    return rc;
}

/* ---- creating ------------------------------------------------------------------------------------ */

/* Whether the file could be made: what is in its place, who writes there.  A directory that does not
 * exist yet is no obstacle. */
static int
check_place (struct txn *txn, const struct upload_create *ask, struct slice above,
             struct slice name, litedfs_error_t *error)
{
    struct inode_row directory;

    int rc = namespace_lookup_kind (txn, above, KIND_DIRECTORY, &directory, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    rc = namespace_can_link (txn, directory.number, name, ask->replace, error);
    return rc == 0 ? lease_check_free (txn, directory.number, name, error) : rc;
}

/* An empty file is there at once. */
static int
link_empty (struct txn *txn, const struct upload_create *ask, const struct lease_row *lease,
            litedfs_error_t *error)
{
    struct inode_row row = {
        .number = lease->inode,
        .kind = KIND_FILE,
        .parent = lease->parent,
        .ctime = lease->time,
        .bits = lease->bits,
        .replica = lease->replica,
        .replica_min = lease->replica,
        .replica_max = lease->replica,
        .block_size = lease->block_size,
    };

    inode_row_set_name (&row, lease_row_name (lease));
    int rc = lease_clear (txn, lease->parent, lease_row_name (lease), error);
    return rc == 0 ? namespace_link (txn, &row, ask->replace, error) : rc;
}

/* Check what create is asked for and plan its first blocks; fills the lease but for parent and inode. */
static int
check_create (struct txn *txn, const struct upload_create *ask,
              const struct upload_placer *placer, struct slice above, struct slice name,
              struct lease_row *lease, struct planned *plan, size_t *count,
              litedfs_error_t *error)
{
    *lease = (struct lease_row){
        .bits = ask->bits & UUID_V8_BITS_MAX,
        .size = ask->size,
        .replica = ask->replica,
        .block_size = ask->block_size,
        .replace = ask->replace,
        .ttl = ask->ttl,
        .time = (uint64_t) txn_frame (txn)->wall_ms,
        .name_size = name.size,
    };
    memcpy (lease->name, name.data, name.size);
    memcpy (lease->token, ask->token, TOKEN_SIZE);
    if (blocks_of_lease (lease) > (uint64_t) UINT32_MAX + 1)
        return err_set (error, LITEDFS_INVALID, "it would have more than 2^32 blocks");
    int rc = check_place (txn, ask, above, name, error);
    if (rc < 0)
        return rc;
    *count = ask->first < UPLOAD_BLOCKS_MAX ? ask->first : UPLOAD_BLOCKS_MAX;
    if (ask->size == WIRE_UNKNOWN || ask->size == 0)
        *count = 0;
    else if (*count > blocks_of_lease (lease))
        *count = (size_t) blocks_of_lease (lease);
    for (size_t i = 0; rc == 0 && i < *count; i++) {
        plan[i].index = (uint32_t) i;
        plan[i].keep = false;
        rc = place (txn, lease, (uint32_t) i, placer, &plan[i].row, error);
    }
    return rc;
}

int
upload_create (struct txn *txn, const struct upload_create *ask,
               const struct upload_placer *placer, struct upload_created *out,
               litedfs_error_t *error)
{
    struct planned plan[UPLOAD_BLOCKS_MAX];
    char quoted[PATH_QUOTE_SIZE];
    struct lease_row lease;
    struct slice above;
    struct slice name;
    bool made;

    memset (out, 0, sizeof *out);
    int rc = path_check (ask->path, error);
    if (rc < 0)
        return rc;
    path_quote (ask->path, quoted);
    if (!path_split (ask->path, &above, &name))
        return err_set (error, LITEDFS_IS_DIRECTORY, "file[%s]: it is a directory", quoted);
    rc = check_create (txn, ask, placer, above, name, &lease, plan, &out->blocks_count, error);
    if (rc < 0)
        return err_prefix (error, "file[%s]", quoted);

    rc = namespace_make_directory (txn, above, true, &made, &lease.parent, error);
    if (rc == 0)
        rc = meta_next (txn, META_INODE, &lease.inode, error);
    if (rc < 0)
        return rc;
    lease_row_id (&lease, &out->file);
    if (ask->size == 0)
        return link_empty (txn, ask, &lease, error);
    out->leased = true;
    rc = lease_take (txn, &lease, error);
    for (size_t i = 0; i < out->blocks_count; i++)
        plan[i].row.inode = lease.inode;
    return rc == 0 ? write_blocks (txn, plan, out->blocks_count, 0, out->blocks, error) : rc;
}

/* ---- committing ---------------------------------------------------------------------------------- */

/* What the walk over a file's blocks finds. */
struct content {
    uint64_t count;
    uint64_t size;
    uint32_t crc;
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
        finished = true;
    }
    if (!finished)
        return incomplete (row->index, "it is not finished", error);
    if (row->index + 1 < ask->count && size != lease->block_size)
        return incomplete (row->index, "it is not the last one and not full", error);
    content->crc = crc32_join (content->crc, crc, size);
    content->size += size;
    content->count++;
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
    rc = check_all_finished (txn, &lease, ask->done, ask->done_count, error);
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

    rc = write_all_finished (txn, &lease, ask->done, ask->done_count, due, error);
    for (size_t i = 0; rc == 0 && i < content.extras_count; i++)
        rc = blocks_free (txn, &content.extras[i], due, error);
    if (rc == 0)
        rc = write_file (txn, &lease, &content, error);
    if (rc == 0)
        rc = lease_release (txn, &lease, error);
    if (rc == 0)
        *crc = content.crc;
    return rc;
}

int
upload_abandon (struct txn *txn, const struct uuid *file, const uint8_t token[TOKEN_SIZE],
                litedfs_error_t *error)
{
    struct lease_row lease;

    int rc = lease_row_get (txn, token, &lease, error);
    if (rc == LITEDFS_NOT_FOUND)
        return 0;
    if (rc == 0)
        rc = lease_show (txn, token, file, &lease, error);
    return rc == 0 ? lease_end (txn, token, error) : rc;
}
