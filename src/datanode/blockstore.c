/* SPDX-License-Identifier: MIT */
/*
 * The block store's centre: open and close, who it is, what is free, how the index is changed.
 *
 * How a block becomes finished, and what a crash leaves after each step:
 *
 *   1  data is appended to writing/<id>              no row: the start removes the file
 *   2  the trailer is written behind it              the same (a rebuild of the index takes the file, if
 *                                                    every unit matches: its bytes are what was sent)
 *   3  fdatasync of the file                         the same
 *   4  fsync of writing/, shared by many             the same
 *   5  commit of the row and its change              row, file in writing/: the start renames it.  This
 *                                                    is the moment; what comes after is tidying
 *   6  rename to blocks/xx/<id>, not synced          as 5, or row and file in its place
 *
 * How a block goes:
 *
 *   1  commit: no row, a `removed` change, a         file without a row, but with a tombstone: the start
 *      tombstone, the order's number                 removes the files of every tombstone
 *   2  unlink, not synced                            as 1.  The tombstone leaves only after the file has
 *
 * A block in writing that is deleted by order is marked; finishing it asks the tombstones in the very
 * transaction that would add the row, so no order is overtaken.  An id with a tombstone is refused whether
 * it is due or not, until blockstore_expire has removed it together with the file.
 *
 * How a deleted block comes back, by an order to copy it here (blockstore_begin_copy):
 *
 *   1  data, trailer and syncs as above              tombstone, file in writing/: the start removes the file
 *   2  commit of the row and its change, without     row, file in writing/: the start renames it, over a
 *      the tombstone                                 file of the deleted block that could not be removed
 *   3  rename                                        as for any block
 *
 * The copy began after the delete that its tombstone tells of.  A delete that is ordered after it began
 * marks the writing between its commit and the next one, so the finish of the copy either comes before
 * that order, and the block is deleted, or is refused.  Files of buried ids are removed under a lock of
 * its own, for which a copy waits before it makes its file: so nobody who removes what an old delete left
 * meets the new file.
 *
 * A rename that fails costs nothing: readers look into writing/ too, the next start renames.
 *
 * fdatasync that fails is not tried again: the kernel may have dropped the pages and say yes the second
 * time.  Such a block can only be abandoned.
 */

#include "datanode/blockstore_impl.h"

#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "datanode/datapath.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CACHE_FILES 256
#define CACHE_BYTES ((size_t) 4 << 20)
#define TOMBSTONE_MS 3600000

char *
blockstore_name (uint64_t block, char out[BLOCKSTORE_NAME_SIZE])
{
    snprintf (out, BLOCKSTORE_NAME_SIZE, "blocks/%02x/%016" PRIx64, (unsigned) (block & 0xff),
              block);
    return out;
}

char *
blockstore_writing_name (uint64_t block, char out[BLOCKSTORE_NAME_SIZE])
{
    snprintf (out, BLOCKSTORE_NAME_SIZE, "writing/%016" PRIx64, block);
    return out;
}

/* ---- changing the index ------------------------------------------------------------------------- */

int
blockstore_change_begin (struct blockstore *self, struct index_txn *txn, litedfs_error_t *error)
{
    pthread_mutex_lock (&self->commit);
    int rc = index_begin (self->index, true, txn, error);
    if (rc < 0) {
        pthread_mutex_unlock (&self->commit);
        return rc;
    }
    pthread_mutex_lock (&self->lock);
    txn->state.seen_epoch = self->state.seen_epoch;
    txn->state.seen_transaction = self->state.seen_transaction;
    pthread_mutex_unlock (&self->lock);
    return 0;
}

int
blockstore_change_end (struct blockstore *self, struct index_txn *txn, int rc,
                       litedfs_error_t *error)
{
    if (rc == 0)
        rc = index_commit (txn, error);
    else
        index_abort (txn);
    if (rc < 0)
        return rc;
    pthread_mutex_lock (&self->lock);
    uint64_t epoch = self->state.seen_epoch;
    uint64_t transaction = self->state.seen_transaction;
    self->state = txn->state;
    self->state.seen_epoch = epoch; // may have risen meanwhile
    self->state.seen_transaction = transaction;
    pthread_mutex_unlock (&self->lock);
    return 0;
}

void
blockstore_change_done (struct blockstore *self)
{
    pthread_mutex_unlock (&self->commit);
}

bool
blockstore_failed (const struct blockstore *self)
{
    return blockstore_index_failed (self->index);
}

/* ---- who this is -------------------------------------------------------------------------------- */

void
blockstore_identity (struct blockstore *self, struct blockstore_identity *out)
{
    pthread_mutex_lock (&self->lock);
    *out = self->identity;
    pthread_mutex_unlock (&self->lock);
}

int
blockstore_join (struct blockstore *self, const struct uuid *cluster, uint32_t node,
                 litedfs_error_t *error)
{
    char ours[UUID_TEXT_SIZE];
    char theirs[UUID_TEXT_SIZE];
    struct blockstore_identity identity;
    if (uuid_is_nil (cluster) || node == 0)
        return err_set (error, LITEDFS_INVALID,
                        "data_path[%s]: a cluster has an id and a node a number", self->path);
    pthread_mutex_lock (&self->commit);
    blockstore_identity (self, &identity);
    int rc = 0;
    if (!uuid_is_nil (&identity.cluster)) {
        if (!uuid_equal (&identity.cluster, cluster) || identity.node != node)
            rc = err_set (error, LITEDFS_WRONG_CLUSTER,
                          "data_path[%s]: its data belongs to node %" PRIu32
                          " of cluster %s, not to "
                          "node %" PRIu32 " of cluster %s; use another data_path or name node",
                          self->path, identity.node, uuid_print (&identity.cluster, ours), node,
                          uuid_print (cluster, theirs));
    } else {
        identity.cluster = *cluster;
        identity.node = node;
        FAULT ("blockstore_before_join");
        rc = datapath_write_version (self->path, &identity, error);
        if (rc == 0) {
            pthread_mutex_lock (&self->lock);
            self->identity = identity;
            pthread_mutex_unlock (&self->lock);
        }
    }
    pthread_mutex_unlock (&self->commit);
    return rc;
}

/* ---- space -------------------------------------------------------------------------------------- */

int
blockstore_free (struct blockstore *self, uint64_t *out, litedfs_error_t *error)
{
    uint64_t total;
    int rc = file_free_bytes (self->path, &total, out, error);
    if (rc == 0)
        *out -= *out < self->preserve ? *out : self->preserve;
    return rc;
}

int
blockstore_space (struct blockstore *self, struct blockstore_space *out, litedfs_error_t *error)
{
    uint64_t left = 0;
    int rc = blockstore_free (self, &left, error);
    if (rc < 0)
        return rc;
    int64_t writing = atomic_load (&self->writing_bytes);
    pthread_mutex_lock (&self->lock);
    out->blocks = self->state.blocks;
    out->used = self->state.bytes;
    pthread_mutex_unlock (&self->lock);
    out->used += writing > 0 ? (uint64_t) writing : 0;
    out->free = left;
    out->total = out->used + left;
    out->full = left == 0;
    return 0;
}

/* ---- open and close ----------------------------------------------------------------------------- */

static void
destroy (struct blockstore *self)
{
    blockcache_destroy (&self->cache);
    blockstore_index_close (&self->index);
    if (self->writing >= 0)
        close (self->writing);
    if (self->root >= 0)
        close (self->root);
    if (self->lock_fd >= 0)
        close (self->lock_fd); // the last: another process may go on from here
    pthread_mutex_destroy (&self->removal);
    pthread_mutex_destroy (&self->commit);
    pthread_mutex_destroy (&self->lock);
    free (self->path);
    free (self);
}

static struct blockstore *
create (const struct blockstore_options *options)
{
    struct blockstore *self = calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->root = self->writing = self->lock_fd = -1;
    self->sync = options->sync;
    self->index_map = options->index_map;
    self->preserve = options->preserve;
    self->tombstone_ms = options->tombstone_ms ? options->tombstone_ms : TOMBSTONE_MS;
    self->clock = options->clock ? options->clock : clock_system ();
    self->log = options->log;
    pthread_mutex_init (&self->removal, NULL);
    pthread_mutex_init (&self->commit, NULL);
    pthread_mutex_init (&self->lock, NULL);
    self->path = strdup (options->path);
    self->cache = blockcache_new (options->cache_files ? options->cache_files : CACHE_FILES,
                                  options->cache_bytes ? options->cache_bytes : CACHE_BYTES);
    if (!self->path || !self->cache) {
        destroy (self);
        return NULL;
    }
    return self;
}

static int
open_directories (struct blockstore *self, litedfs_error_t *error)
{
    self->root = open (self->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->root >= 0)
        self->writing = openat (self->root, "writing", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->writing < 0)
        return err_set_errno (error, LITEDFS_IO, errno, "data_path[%s]", self->path);
    return 0;
}

int
blockstore_open (struct blockstore **out, const struct blockstore_options *options,
                 litedfs_error_t *error)
{
    bool fresh = false;
    *out = NULL;
    struct blockstore *self = create (options);
    if (!self)
        return err_set (error, LITEDFS_MEMORY, "data_path[%s]: out of memory", options->path);
    int rc = datapath_take (self->path, &self->identity, &self->lock_fd, &fresh, error);
    if (rc == 0)
        rc = open_directories (self, error);
    if (rc == 0)
        rc = blockstore_start (self, fresh, error);
    if (rc < 0)
        destroy (self);
    else
        *out = self;
    return rc;
}

void
blockstore_close (struct blockstore **self)
{
    int saved = errno;
    if (*self) {
        blockstore_leave (*self);
        destroy (*self);
        *self = NULL;
    }
    errno = saved;
}
