/* SPDX-License-Identifier: MIT */
/*
 * Uploads: create, allocate, abandon.  Commit is in upload_commit.c.
 *
 * Each is two halves.  The first checks: the lease, the finished blocks that the client names, what is
 * in the way, and asks the placer for nodes.  The second writes, and fails only when the store does.
 * What a request that is repeated has done already is found in the rows and left as it is.
 */
#include "namenode/upload.h"

#include "namenode/blocks.h"
#include "namenode/finished.h"
#include "namenode/lease.h"
#include "namenode/namespace.h"

#include <assert.h>
#include <string.h>

/* A block that is going to be allocated. */
struct planned {
    uint32_t index;
    bool keep; // the block that the index has
    struct block_row row;
};

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
        .size = finished_block_size (lease, index),
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

/* Add suspects to the lease; those that are new are in *suspicion too. */
static int
merge_suspects (struct lease_row *lease, const struct upload_allocate *ask,
                struct upload_suspicion *suspicion, litedfs_error_t *error)
{
    suspicion->reporter = lease->inode;
    suspicion->count = 0;
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
        suspicion->nodes[suspicion->count++] = (uint32_t) ask->suspects[i];
    }
    return 0;
}

/* How many blocks to give from an index on. */
static int
clip_count (const struct lease_row *lease, uint32_t index, size_t *count,
            litedfs_error_t *error)
{
    uint64_t total = finished_block_count (lease);

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
                 size_t *out_count, struct upload_suspicion *suspicion, litedfs_error_t *error)
{
    struct planned plan[UPLOAD_BLOCKS_MAX];
    struct lease_row lease;
    size_t count = ask->count;
    uint64_t due = (uint64_t) txn_frame (txn)->wall_ms + ask->delay_ms;

    int rc = lease_show (txn, ask->token, &ask->file, &lease, error);
    if (rc == 0)
        rc = clip_count (&lease, ask->index, &count, error);
    if (rc == 0)
        rc = finished_check (txn, &lease, ask->done, ask->done_count, error);
    if (rc == 0)
        rc = merge_suspects (&lease, ask, suspicion, error);
    if (rc == 0)
        rc = plan_blocks (txn, &lease, ask->index, count, placer, plan, error);
    if (rc < 0)
        return rc;

    if (suspicion->count > 0)
        rc = lease_row_put (txn, &lease, error);
    if (rc == 0)
        rc = finished_write (txn, &lease, ask->done, ask->done_count, due, error);
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
    if (finished_block_count (lease) > (uint64_t) UINT32_MAX + 1)
        return err_set (error, LITEDFS_INVALID, "it would have more than 2^32 blocks");
    int rc = check_place (txn, ask, above, name, error);
    if (rc < 0)
        return rc;
    *count = ask->first < UPLOAD_BLOCKS_MAX ? ask->first : UPLOAD_BLOCKS_MAX;
    if (ask->size == WIRE_UNKNOWN || ask->size == 0)
        *count = 0;
    else if (*count > finished_block_count (lease))
        *count = (size_t) finished_block_count (lease);
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

/* The lease on a path, if the path is being written and, with id, is that file.  LITEDFS_NOT_FOUND. */
static int
find_lease (struct txn *txn, struct slice path, const struct uuid *id, struct lease_row *out,
            litedfs_error_t *error)
{
    uint8_t token[TOKEN_SIZE];
    struct inode_row directory;
    struct slice above;
    struct slice name;
    struct uuid own;

    if (!path_split (path, &above, &name))
        return LITEDFS_NOT_FOUND;
    int rc = namespace_lookup_kind (txn, above, KIND_DIRECTORY, &directory, error);
    if (rc == 0)
        rc = lock_row_get (txn, directory.number, name, token, error);
    if (rc == 0)
        rc = lease_row_get (txn, token, out, error);
    if (rc < 0)
        return rc;
    lease_row_id (out, &own);
    return id && !uuid_equal (id, &own) ? LITEDFS_NOT_FOUND : 0;
}

int
upload_set_replica (struct txn *txn, struct slice path, uint32_t replica, const struct uuid *id,
                    litedfs_error_t *error)
{
    struct lease_row lease;
    litedfs_error_t ignored;

    int rc = namespace_set_replica (txn, path, replica, id, error);
    if (rc != LITEDFS_NOT_FOUND)
        return rc;
    int found = find_lease (txn, path, id, &lease, &ignored);
    if (found == LITEDFS_NOT_FOUND)
        return rc; // as the namespace says it
    if (found < 0) {
        if (error)
            *error = ignored;
        return found;
    }
    if (lease.replica == replica)
        return 0;
    lease.replica = replica;
    return lease_row_put (txn, &lease, error);
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
