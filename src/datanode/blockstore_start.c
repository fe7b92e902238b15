/* SPDX-License-Identifier: MIT */
/*
 * The start: what the process before left is brought in order (blockstore.c lists the cases), and an index
 * that is missing or damaged is built anew from the trailers.
 *
 * A rebuild reads every trailer, not the data: that is checked when it is read.  Files in writing/ are taken
 * if they are whole to the last unit, because a commit of the lost index may have promised them; taking one
 * too many is harmless, for the name node orders what it does not know to be deleted.  No change is listed:
 * the numbers begin anew, and the name node finds out what differs by comparing inventories.  A file that
 * is not what its name says is moved to damaged/ and listed as such.  The order numbers and the tombstones
 * are gone with the old index.
 *
 * With `sync: false` nothing says in which order pages reach the disk, so after a power loss an index may be
 * nonsense that looks right.  index/unsynced names the boot during which it was last in use like that; if
 * the machine has booted since, it is rebuilt.
 */

#include "datanode/blockstore_impl.h"

#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_LIMIT 256  // bytes
#define REBUILD_BATCH 4096 // rows in a transaction of a rebuild
#define TOMBSTONES_AT_ONCE 512
#define FANOUT 256

/* ---- walking over directories ------------------------------------------------------------------- */

int
blockstore_visit (struct blockstore *self, const char *directory, blockstore_visit_fn *visit,
                  void *arg, litedfs_error_t *error)
{
    int fd = openat (self->root, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir (fd) : NULL;
    if (!dir) {
        int rc = err_set_errno (error, LITEDFS_IO, errno, "%s/%s", self->path, directory);
        if (fd >= 0)
            close (fd);
        return rc;
    }
    int rc = 0;
    const struct dirent *entry;
    while (rc == 0 && (errno = 0, entry = readdir (dir))) {
        char name[sizeof entry->d_name + BLOCKSTORE_NAME_SIZE];
        uint64_t block;
        if (strcmp (entry->d_name, ".") == 0 || strcmp (entry->d_name, "..") == 0)
            continue;
        snprintf (name, sizeof name, "%s/%s", directory, entry->d_name);
        if (block_id_parse (&block, entry->d_name, strlen (entry->d_name)))
            rc = visit (self, name, block, arg, error);
        else
            log_warning (self->log, "%s/%s: not a block's file; it is left alone", self->path,
                         name);
    }
    if (rc == 0 && errno != 0)
        rc = err_set_errno (error, LITEDFS_IO, errno, "%s/%s", self->path, directory);
    closedir (dir);
    return rc;
}

/* ---- rebuild ------------------------------------------------------------------------------------ */

struct rebuild {
    struct index_txn txn;
    size_t batch;   // rows in the transaction
    uint64_t taken; // all
    uint64_t damaged;
};

static int
set_aside (struct blockstore *self, const char *name, uint64_t block, const char *why,
           litedfs_error_t *error)
{
    char to[BLOCKSTORE_NAME_SIZE];
    blockstore_damaged_name (block, to);
    for (unsigned n = 1; faccessat (self->root, to, F_OK, 0) == 0; n++)
        snprintf (to, sizeof to, "damaged/%016" PRIx64 ".%u", block, n);
    if (renameat (self->root, name, self->root, to) < 0)
        return err_set_errno (error, LITEDFS_IO, errno, "%s/%s", self->path, name);
    log_error (self->log, "%s; moved to %s/%s", why, self->path, to);
    return 0;
}

static int
add_row (struct blockstore *self, struct rebuild *rebuild, const struct blockfile *trailer,
         litedfs_error_t *error)
{
    struct blockstore_block row = {.block = trailer->block,
                                   .file = trailer->file,
                                   .index = trailer->index,
                                   .size = trailer->size,
                                   .ctime_ms = trailer->ctime_ms,
                                   .crc = trailer->crc};
    int rc = 0;
    if (rebuild->batch == REBUILD_BATCH) {
        rc = index_commit (&rebuild->txn, error);
        FAULT ("blockstore_in_rebuild");
        if (rc == 0)
            rc = index_begin (self->index, true, &rebuild->txn, error);
        rebuild->batch = 0;
    }
    if (rc == 0)
        rc = index_add (&rebuild->txn, &row, error);
    if (rc ==
        LITEDFS_EXISTS) { // in blocks/ and, after a crash that repeated a rename, in writing/
        log_warning (self->log, "%s", error->text);
        return 0;
    }
    rebuild->batch++;
    rebuild->taken++;
    return rc;
}

/* The trailer of a file, and the data too if `whole`.  LITEDFS_CORRUPT also for another block's. */
static int
read_file (struct blockstore *self, const char *name, uint64_t block, bool whole,
           struct blockfile *out, litedfs_error_t *error)
{
    *out = (struct blockfile){0};
    int fd = openat (self->root, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno (error, LITEDFS_IO, errno, "%s/%s", self->path, name);
    int rc = blockfile_read_trailer (fd, name, out, error);
    if (rc == 0 && out->block != block)
        rc = err_set (error, LITEDFS_CORRUPT, "%s: it is block %016" PRIx64, name, out->block);
    if (rc == 0 && whole)
        rc = blockfile_check (fd, name, out, error);
    close (fd);
    return rc;
}

static int
rebuild_finished (struct blockstore *self, const char *name, uint64_t block, void *arg,
                  litedfs_error_t *error)
{
    struct rebuild *rebuild = arg;
    struct blockfile trailer;
    char expected[BLOCKSTORE_NAME_SIZE];
    int rc = read_file (self, name, block, false, &trailer, error);
    if (rc == 0 && strcmp (name, blockstore_name (block, expected)) != 0)
        rc = err_set (error, LITEDFS_CORRUPT, "%s: it is in the wrong directory", name);
    if (rc == 0)
        rc = add_row (self, rebuild, &trailer, error);
    else if (rc == LITEDFS_CORRUPT) {
        char why[sizeof error->text];
        snprintf (why, sizeof why, "%s", error->text);
        rebuild->damaged++;
        rc = set_aside (self, name, block, why, error);
    } else if (rc == LITEDFS_IO) {
        log_error (self->log, "%s; it is left where it is", error->text);
        rebuild->damaged++;
        rc = 0;
    }
    blockfile_free (&trailer);
    return rc;
}

static int
rebuild_writing (struct blockstore *self, const char *name, uint64_t block, void *arg,
                 litedfs_error_t *error)
{
    struct rebuild *rebuild = arg;
    struct blockfile trailer;
    int rc = read_file (self, name, block, true, &trailer, error);
    if (rc == 0)
        rc = add_row (self, rebuild, &trailer, error);
    else if (rc == LITEDFS_CORRUPT || rc == LITEDFS_IO)
        rc = 0; // it was never finished, and goes when writing/ is resolved
    blockfile_free (&trailer);
    return rc;
}

static int
rebuild_rows (struct blockstore *self, struct rebuild *rebuild, litedfs_error_t *error)
{
    int rc = index_begin (self->index, true, &rebuild->txn, error);
    for (unsigned i = 0; rc == 0 && i < FANOUT; i++) {
        char directory[BLOCKSTORE_NAME_SIZE];
        snprintf (directory, sizeof directory, "blocks/%02x", i);
        rc = blockstore_visit (self, directory, rebuild_finished, rebuild, error);
    }
    if (rc == 0)
        rc = blockstore_visit (self, "writing", rebuild_writing, rebuild, error);
    FAULT ("blockstore_in_rebuild");
    if (rc == 0)
        rc = index_resume (&rebuild->txn, 0, error);
    // Below what the name node has seen of us: else its number might by chance seem to be one of ours, and
    // what is listed from here on seem to be known there.
    rebuild->txn.state.seq = rebuild->txn.state.confirmed = 0;
    if (rc == 0)
        rc = index_commit (&rebuild->txn, error);
    index_abort (&rebuild->txn);
    return rc;
}

static int
rebuild_index (struct blockstore *self, const char *path, bool fresh, litedfs_error_t *error)
{
    struct rebuild rebuild = {.batch = 0};
    litedfs_error_t local;
    error = error ? error : &local; // its text is used
    int rc = blockstore_index_create (&self->index, path, self->index_map, self->sync, error);
    if (rc == 0)
        rc = rebuild_rows (self, &rebuild, error);
    if (rc == 0)
        rc = blockstore_index_complete (self->index, error);
    if (rc == 0 && !fresh)
        log_warning (self->log,
                     "data_path[%s]: the index was built anew: %" PRIu64 " blocks, %" PRIu64
                     " damaged",
                     self->path, rebuild.taken, rebuild.damaged);
    return rc;
}

/* ---- sync: false -------------------------------------------------------------------------------- */

static int
unsynced_name (const struct blockstore *self, char out[PATH_MAX], litedfs_error_t *error)
{
    int size = snprintf (out, PATH_MAX, "%s/index/unsynced", self->path);
    if (size < 0 || size >= PATH_MAX)
        return err_set (error, LITEDFS_INVALID, "data_path[%s]: the path is too long",
                        self->path);
    return 0;
}

/* Whether pages of the index may be lost: it was in use without sync before the machine's last start. */
static int
was_unsynced (struct blockstore *self, bool *out, litedfs_error_t *error)
{
    char name[PATH_MAX];
    struct buf then = {0};
    struct buf now = {0};
    *out = false;
    int rc = unsynced_name (self, name, error);
    if (rc == 0)
        rc = file_read_all (name, BOOT_ID_LIMIT, &then, error);
    if (rc == 0) {
        file_read_all (BOOT_ID, BOOT_ID_LIMIT, &now, NULL); // not readable: equal to nothing
        *out = now.size == 0 || !slice_equal (buf_slice (&then), buf_slice (&now));
    } else if (rc == LITEDFS_NOT_FOUND)
        rc = 0;
    buf_free (&then);
    buf_free (&now);
    return rc;
}

/* Say that the index is in use without sync, or that all of it is on disk. */
static int
mark_synced (struct blockstore *self, litedfs_error_t *error)
{
    char name[PATH_MAX];
    struct buf now = {0};
    int rc = unsynced_name (self, name, error);
    if (rc == 0 && !self->sync) {
        file_read_all (BOOT_ID, BOOT_ID_LIMIT, &now, NULL);
        rc = file_write_atomic (name, now.data, now.size, 0644, error);
    } else if (rc == 0 && access (name, F_OK) == 0) {
        // Blocks that were finished without sync are promised from now on.
        if (syncfs (self->root) < 0)
            rc = err_set_errno (error, LITEDFS_IO, errno, "%s", self->path);
        else if (unlink (name) < 0)
            rc = err_set_errno (error, LITEDFS_IO, errno, "%s", name);
    }
    buf_free (&now);
    return rc;
}

/* ---- start -------------------------------------------------------------------------------------- */

static int
open_index (struct blockstore *self, bool fresh, litedfs_error_t *error)
{
    char path[PATH_MAX];
    litedfs_error_t reason;
    bool unsynced = false;
    int size = snprintf (path, sizeof path, "%s/index", self->path);
    if (size < 0 || size >= (int) sizeof path)
        return err_set (error, LITEDFS_INVALID, "data_path[%s]: the path is too long",
                        self->path);
    int rc = was_unsynced (self, &unsynced, error);
    if (rc < 0)
        return rc;
    if (unsynced)
        rc =
            err_set (&reason, LITEDFS_CORRUPT,
                     "index[%s]: the machine went down while it was in use without sync", path);
    else
        rc = blockstore_index_open (&self->index, path, self->index_map, self->sync, &reason);
    if (rc == LITEDFS_NOT_FOUND || rc == LITEDFS_CORRUPT) {
        if (!fresh)
            log_warning (self->log, "%s; it is built anew", reason.text);
        rc = rebuild_index (self, path, fresh, error);
    } else if (rc < 0)
        err_set (error, rc, "%s", reason.text);
    return rc == 0 ? mark_synced (self, error) : rc;
}

/* A file in writing/: finished and not renamed, or nothing. */
static int
resolve_writing (struct blockstore *self, const char *name, uint64_t block, void *arg,
                 litedfs_error_t *error)
{
    char to[BLOCKSTORE_NAME_SIZE];
    struct blockstore_block row;
    uint64_t *removed = arg;
    int rc = blockstore_stat (self, block, &row, error);
    if (rc == 0 && renameat (self->root, name, self->root, blockstore_name (block, to)) < 0)
        return err_set_errno (error, LITEDFS_IO, errno, "%s/%s", self->path, name);
    if (rc == 0)
        return 0;
    if (rc != LITEDFS_NOT_FOUND && rc != LITEDFS_LEASE_LOST)
        return rc;
    if (unlinkat (self->root, name, 0) < 0)
        return err_set_errno (error, LITEDFS_IO, errno, "%s/%s", self->path, name);
    ++*removed;
    return 0;
}

/* Remove files whose delete was committed and not carried out. */
static int
resolve_tombstones (struct blockstore *self, litedfs_error_t *error)
{
    struct index_tombstone page[TOMBSTONES_AT_ONCE];
    size_t count = TOMBSTONES_AT_ONCE;
    uint64_t from = 0;
    int rc = 0;
    while (rc == 0 && count == TOMBSTONES_AT_ONCE) {
        struct index_txn txn;
        rc = index_begin (self->index, false, &txn, error);
        if (rc < 0)
            return rc;
        rc = index_tombstones (&txn, from, TOMBSTONES_AT_ONCE, page, &count, error);
        index_abort (&txn);
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = blockstore_unlink (self, page[i].block, error);
        if (rc == 0 && count > 0)
            from = page[count - 1].block + 1;
    }
    return rc;
}

static int
load_state (struct blockstore *self, litedfs_error_t *error)
{
    struct index_txn txn;
    int rc = index_begin (self->index, true, &txn, error);
    if (rc < 0)
        return rc;
    self->state = txn.state;
    index_abort (&txn);
    return blockstore_index_count (self->index, error);
}

int
blockstore_start (struct blockstore *self, bool fresh, litedfs_error_t *error)
{
    uint64_t removed = 0;
    FAULT ("blockstore_after_version");
    int rc = open_index (self, fresh, error);
    if (rc == 0)
        rc = load_state (self, error);
    if (rc == 0)
        rc = blockstore_visit (self, "writing", resolve_writing, &removed, error);
    if (rc == 0)
        rc = resolve_tombstones (self, error);
    if (rc == 0)
        rc = blockstore_resolve_damaged (self, error);
    if (rc == 0 && removed > 0)
        log_info (self->log, "data_path[%s]: %" PRIu64 " unfinished blocks were removed",
                  self->path, removed);
    return rc;
}

/* Store what blockstore_saw keeps in memory, if it is not there yet. */
static int
store_seen (struct blockstore *self, litedfs_error_t *error)
{
    struct index_txn txn;
    int rc = index_begin (self->index, true, &txn, error);
    if (rc < 0)
        return rc;
    if (txn.state.seen_epoch == self->state.seen_epoch &&
        txn.state.seen_transaction == self->state.seen_transaction) {
        index_abort (&txn);
        return 0;
    }
    txn.state.seen_epoch = self->state.seen_epoch;
    txn.state.seen_transaction = self->state.seen_transaction;
    return index_commit (&txn, error);
}

void
blockstore_leave (struct blockstore *self)
{
    char name[PATH_MAX];
    litedfs_error_t error;
    int rc = store_seen (self, &error);
    if (rc == 0 && !self->sync) {
        rc = blockstore_index_sync (self->index, &error);
        if (rc == 0)
            rc = unsynced_name (self, name, &error);
        if (rc == 0 && unlink (name) < 0)
            rc = err_set_errno (&error, LITEDFS_IO, errno, "%s", name);
    }
    if (rc < 0)
        log_warning (self->log, "data_path[%s]: at the end: %s", self->path, error.text);
}
