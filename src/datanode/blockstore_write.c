/* SPDX-License-Identifier: MIT */
/*
 * Blocks that are being written: begun, appended to, finished together or abandoned.
 *
 * A writing keeps its units' CRCs as they come, so finishing computes nothing over the data.  Every 8 MiB
 * the kernel is told to start to write them, and what was started 16 MiB ago is waited for: so the disk
 * works while the bytes come in, and the sync at the end finds little left.  An error of that write-back
 * is remembered, because the kernel tells it once and fdatasync would not know any more.
 *
 * Steps and crashes of blockstore_finish: blockstore.c.
 */

#include "datanode/blockstore_impl.h"

#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITEBACK_STEP ((uint64_t) 8 << 20)    // bytes after which write-back is started
#define WRITEBACK_BEHIND ((uint64_t) 16 << 20) // bytes that may be under way in it
#define UNITS_FIRST 64                         // room for unit CRCs that a writing starts with

/* ---- the table of writings ---------------------------------------------------------------------- */

static struct writing **
find_writing (struct blockstore *self, uint64_t block)
{
    struct writing **at = &self->writings[block & (BLOCKSTORE_BUCKETS - 1)];
    while (*at && (*at)->block != block)
        at = &(*at)->next;
    return at;
}

void
blockstore_bury_writing (struct blockstore *self, uint64_t block)
{
    pthread_mutex_lock (&self->lock);
    struct writing *writing = *find_writing (self, block);
    if (writing)
        atomic_store (&writing->buried, true);
    pthread_mutex_unlock (&self->lock);
}

bool
blockstore_is_writing (struct blockstore *self, uint64_t block)
{
    pthread_mutex_lock (&self->lock);
    bool found = *find_writing (self, block) != NULL;
    pthread_mutex_unlock (&self->lock);
    return found;
}

static bool
enlist (struct writing *writing)
{
    struct blockstore *self = writing->store;
    pthread_mutex_lock (&self->lock);
    struct writing **at = find_writing (self, writing->block);
    bool fits = !*at;
    if (fits)
        *at = writing;
    pthread_mutex_unlock (&self->lock);
    return fits;
}

/* Take it out of the table, close and free it; the file stays. */
static void
dismiss (struct writing *writing)
{
    struct blockstore *self = writing->store;
    pthread_mutex_lock (&self->lock);
    struct writing **at = find_writing (self, writing->block);
    if (*at == writing)
        *at = writing->next;
    pthread_mutex_unlock (&self->lock);
    atomic_fetch_sub (&self->writing_bytes, (int64_t) writing->offset);
    if (writing->fd >= 0)
        close (writing->fd);
    free (writing->path);
    free (writing->units);
    free (writing);
}

/* ---- begin -------------------------------------------------------------------------------------- */

static struct writing *
create (struct blockstore *self, uint64_t block, const struct uuid *file, uint64_t index,
        const char *path, size_t path_size)
{
    struct writing *writing = calloc (1, sizeof *writing);
    if (!writing)
        return NULL;
    writing->store = self;
    writing->block = block;
    writing->file = *file;
    writing->index = index;
    writing->fd = -1;
    writing->path = malloc (path_size + 1);
    writing->path_size = path_size;
    writing->unit_room = UNITS_FIRST;
    writing->units = malloc (UNITS_FIRST * sizeof *writing->units);
    if (!writing->path || !writing->units) {
        free (writing->path);
        free (writing->units);
        free (writing);
        return NULL;
    }
    if (path_size)
        memcpy (writing->path, path, path_size);
    writing->path[path_size] = 0;
    return writing;
}

/* Until nobody removes files of a delete from before.  Who begins to after this sees the writing. */
static void
await_removal (struct blockstore *self)
{
    pthread_mutex_lock (&self->removal);
    pthread_mutex_unlock (&self->removal);
}

/* Whether the index lets a block be written, and the disk has room. */
static int
check_begin (struct blockstore *self, uint64_t block, bool copy,
             struct blockstore_block *existing, litedfs_error_t *error)
{
    struct blockstore_block row;
    uint64_t left = 0;
    int rc = blockstore_stat (self, block, &row, error);
    if (rc == 0) {
        if (existing)
            *existing = row;
        return err_set (error, LITEDFS_EXISTS, "block[%016" PRIx64 "]: it is finished here",
                        block);
    }
    if (rc == LITEDFS_LEASE_LOST && copy) {
        await_removal (self);
        rc = LITEDFS_NOT_FOUND;
    }
    if (rc != LITEDFS_NOT_FOUND)
        return rc;
    rc = blockstore_free (self, &left, error);
    if (rc == 0 && left == 0)
        rc = err_set (error, LITEDFS_NO_SPACE,
                      "data_path[%s]: no space left, with %" PRIu64 " bytes preserved",
                      self->path, self->preserve);
    return rc;
}

/* Begin; copy: by order. */
static int
begin (struct blockstore *self, bool copy, uint64_t block, const struct uuid *file,
       uint64_t index, const char *path, size_t path_size, struct writing **out,
       struct blockstore_block *existing, litedfs_error_t *error)
{
    char name[BLOCKSTORE_NAME_SIZE];
    *out = NULL;
    if (block == 0 || path_size > BLOCKFILE_PATH_MAX)
        return err_set (error, LITEDFS_INVALID,
                        "block[%016" PRIx64 "]: not an id, or a path of %zu bytes", block,
                        path_size);
    struct writing *writing = create (self, block, file, index, path, path_size);
    if (!writing)
        return err_set (error, LITEDFS_MEMORY, "block[%016" PRIx64 "]: out of memory", block);
    writing->copy = copy;
    if (!enlist (writing)) {
        dismiss (writing);
        return err_set (error, LITEDFS_LOCKED, "block[%016" PRIx64 "]: it is being written",
                        block);
    }
    int rc = check_begin (self, block, copy, existing, error);
    if (rc == 0) {
        writing->fd = openat (self->root, blockstore_writing_name (block, name),
                              O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (writing->fd < 0)
            rc = err_set_errno (error, LITEDFS_IO, errno, "%s/%s", self->path, name);
    }
    if (rc < 0) {
        dismiss (writing);
        return rc;
    }
    *out = writing;
    return 0;
}

int
blockstore_begin (struct blockstore *self, uint64_t block, const struct uuid *file,
                  uint64_t index, const char *path, size_t path_size, struct writing **out,
                  struct blockstore_block *existing, litedfs_error_t *error)
{
    return begin (self, false, block, file, index, path, path_size, out, existing, error);
}

int
blockstore_begin_copy (struct blockstore *self, uint64_t block, const struct uuid *file,
                       uint64_t index, const char *path, size_t path_size, struct writing **out,
                       struct blockstore_block *existing, litedfs_error_t *error)
{
    return begin (self, true, block, file, index, path, path_size, out, existing, error);
}

/* ---- append ------------------------------------------------------------------------------------- */

uint64_t
writing_offset (const struct writing *self)
{
    return self->offset;
}

uint64_t
writing_block (const struct writing *self)
{
    return self->block;
}

bool
writing_buried (const struct writing *self)
{
    return atomic_load (&self->buried);
}

static int
make_unit_room (struct writing *self, uint64_t units, litedfs_error_t *error)
{
    size_t room = self->unit_room;
    while (room < units)
        room *= 2;
    if (room == self->unit_room)
        return 0;
    uint32_t *larger = realloc (self->units, room * sizeof *larger);
    if (!larger)
        return err_set (error, LITEDFS_MEMORY, "block[%016" PRIx64 "]: out of memory",
                        self->block);
    self->units = larger;
    self->unit_room = room;
    return 0;
}

/* What the kernel said about write-back that was started before. */
static void
note_writeback (struct writing *self, int rc)
{
    if (rc == 0 || (errno != EIO && errno != ENOSPC && errno != EDQUOT) || self->lost.number)
        return;
    err_set_errno (&self->lost, LITEDFS_IO, errno, "block[%016" PRIx64 "]: write-back",
                   self->block);
}

void
writing_hurry (struct writing *self)
{
    if (!self->store->sync || self->offset == self->started)
        return;
    note_writeback (self, sync_file_range (self->fd, (off_t) self->started,
                                           (off_t) (self->offset - self->started),
                                           SYNC_FILE_RANGE_WRITE));
    self->started = self->offset;
}

static void
write_back (struct writing *self)
{
    if (!self->store->sync || self->offset - self->started < WRITEBACK_STEP)
        return;
    writing_hurry (self);
    if (self->offset > WRITEBACK_BEHIND) {
        uint64_t until = self->offset - WRITEBACK_BEHIND;
        uint64_t from = until > WRITEBACK_BEHIND ? until - WRITEBACK_BEHIND : 0;
        note_writeback (self,
                        sync_file_range (self->fd, (off_t) from, (off_t) (until - from),
                                         SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                             SYNC_FILE_RANGE_WAIT_AFTER));
    }
}

/* What forbids any more bytes, if something does. */
static int
check_usable (const struct writing *self, litedfs_error_t *error)
{
    if (atomic_load (&self->buried))
        return err_set (error, LITEDFS_LEASE_LOST,
                        "block[%016" PRIx64 "]: it was deleted by order while it was written",
                        self->block);
    if (self->lost.number)
        return err_set (error, self->lost.number, "%s", self->lost.text);
    return 0;
}

static int
check_append (const struct writing *self, uint64_t offset, size_t size, litedfs_error_t *error)
{
    int rc = check_usable (self, error);
    if (rc < 0)
        return rc;
    if (offset % CRC_UNIT != 0 || offset > BLOCKFILE_SIZE_MAX ||
        size > BLOCKFILE_SIZE_MAX - offset)
        return err_set (error, LITEDFS_INVALID,
                        "block[%016" PRIx64 "]: %zu bytes at %" PRIu64
                        ": offsets are multiples of 65536 and blocks have at most %" PRIu64
                        " bytes",
                        self->block, size, offset, BLOCKFILE_SIZE_MAX);
    if (self->sealed && offset + size > self->offset)
        return err_set (error, LITEDFS_INVALID, "block[%016" PRIx64 "]: it ended at %" PRIu64,
                        self->block, self->offset);
    if (offset > self->offset)
        return err_set (error, LITEDFS_GAP,
                        "block[%016" PRIx64 "]: bytes at %" PRIu64
                        " are missing before %" PRIu64,
                        self->block, self->offset, offset);
    return 0;
}

/* Compare what is there already with what comes again, by their CRCs. */
static int
compare_units (const struct writing *self, uint64_t offset, size_t size, const uint32_t *units,
               litedfs_error_t *error)
{
    uint64_t again = self->offset - offset < size ? self->offset - offset : size;
    bool cut = again % CRC_UNIT != 0 && offset + again != self->offset; // within a unit of ours
    if (!cut && memcmp (self->units + offset / CRC_UNIT, units,
                        (size_t) crc_unit_count (again) * sizeof *units) == 0)
        return 0;
    return err_set (error, LITEDFS_DIFFERENT,
                    "block[%016" PRIx64 "]: other bytes were written at %" PRIu64 " before",
                    self->block, offset);
}

/* Write the bytes and keep their CRCs; offset is where the block ends now. */
static int
extend (struct writing *self, const uint8_t *data, size_t size, const uint32_t *units,
        litedfs_error_t *error)
{
    char name[BLOCKSTORE_NAME_SIZE];
    blockstore_writing_name (self->block, name);
    int rc = make_unit_room (self, crc_unit_count (self->offset + size), error);
    if (rc == 0 && FAULT_ERROR ("blockstore_pwrite_error"))
        rc = err_set_errno (error, LITEDFS_IO, EIO, "%s", name);
    if (rc == 0 && FAULT_ERROR ("blockstore_full_error"))
        rc = err_set_errno (error, LITEDFS_IO, ENOSPC, "%s", name);
    if (rc == 0)
        rc = file_pwrite_full (self->fd, data, size, self->offset, name, error);
    if (rc < 0)
        return rc;
    memcpy (self->units + self->offset / CRC_UNIT, units,
            (size_t) crc_unit_count (size) * sizeof *units);
    self->offset += size;
    self->sealed = size % CRC_UNIT != 0;
    atomic_fetch_add (&self->store->writing_bytes, (int64_t) size);
    atomic_fetch_add (&self->store->traffic, size);
    write_back (self);
    return 0;
}

int
blockstore_append (struct writing *self, uint64_t offset, const void *data, size_t size,
                   const uint32_t *units, litedfs_error_t *error)
{
    int rc = check_append (self, offset, size, error);
    if (rc < 0 || size == 0)
        return rc;
    uint32_t *computed = NULL;
    if (!units) {
        computed = malloc ((size_t) crc_unit_count (size) * sizeof *computed);
        if (!computed)
            return err_set (error, LITEDFS_MEMORY, "block[%016" PRIx64 "]: out of memory",
                            self->block);
        crc_units (data, size, computed);
        units = computed;
    }
    rc = compare_units (self, offset, size, units, error);
    size_t again = (size_t) (self->offset - offset);
    if (rc == 0 && again < size)
        rc = extend (self, (const uint8_t *) data + again, size - again,
                     units + again / CRC_UNIT, error);
    free (computed);
    return rc;
}

/* ---- finish ------------------------------------------------------------------------------------- */

/* Write the trailer and have the kernel start on it. */
static int
write_trailer (struct blockstore *self, struct blockstore_finish *item, int64_t now_ms)
{
    char name[BLOCKSTORE_NAME_SIZE];
    struct writing *writing = item->writing;
    struct blockfile trailer = {
        .block = writing->block,
        .file = writing->file,
        .index = writing->index,
        .count = item->count,
        .size = writing->offset,
        .ctime_ms = now_ms,
        .crc = crc_units_join (writing->units, writing->offset),
        .units = writing->units,
        .path = writing->path,
        .path_size = writing->path_size,
    };
    int rc = check_usable (writing, &item->error);
    if (rc < 0)
        return rc;
    FAULT ("blockstore_after_data");
    writing->sealed = true;
    item->size = trailer.size;
    item->crc = trailer.crc;
    rc = blockfile_write_trailer (writing->fd, blockstore_writing_name (writing->block, name),
                                  &trailer, &item->error);
    if (rc == 0 && self->sync)
        note_writeback (writing, sync_file_range (writing->fd, (off_t) writing->started, 0,
                                                  SYNC_FILE_RANGE_WRITE));
    FAULT ("blockstore_after_trailer");
    return rc;
}

static int
sync_file (struct blockstore_finish *item)
{
    struct writing *writing = item->writing;
    int rc = fdatasync (writing->fd);
    if (FAULT_ERROR ("blockstore_sync_error")) {
        errno = EIO;
        rc = -1;
    }
    if (rc < 0 && !writing->lost.number)
        err_set_errno (&writing->lost, LITEDFS_IO, errno, "block[%016" PRIx64 "]: sync",
                       writing->block);
    return check_usable (writing, &item->error);
}

/* Have the files of the items without an error, and their names, on disk. */
static void
sync_items (struct blockstore *self, struct blockstore_finish *items, size_t n)
{
    if (!self->sync)
        return;
    size_t good = 0;
    for (size_t i = 0; i < n; i++)
        if (!items[i].error.number && sync_file (&items[i]) == 0)
            good++;
    FAULT ("blockstore_after_file_sync");
    if (good == 0 || fsync (self->writing) == 0)
        return;
    int errnum = errno;
    for (size_t i = 0; i < n; i++)
        if (!items[i].error.number)
            err_set_errno (&items[i].error, LITEDFS_IO, errnum, "%s/writing: sync", self->path);
}

/* Whether a block that was written may be added: 0 if it was deleted since it began, LITEDFS_NOT_FOUND if it
 * was not.  The tombstone of before that a copy may have leaves with this transaction. */
static int
find_buried (struct index_txn *txn, const struct writing *writing, litedfs_error_t *error)
{
    if (!writing->copy)
        return index_buried (txn, writing->block, error);
    if (atomic_load (&writing->buried))
        return 0;
    int rc = index_unbury (txn, writing->block, error);
    return rc == 0 ? LITEDFS_NOT_FOUND : rc;
}

/* Add the rows of the items without an error, in one transaction; an item that was deleted meanwhile gets
 * its error.  Anything else fails them all. */
static int
add_rows (struct index_txn *txn, struct blockstore_finish *items, size_t n, int64_t now_ms,
          litedfs_error_t *error)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i].error.number)
            continue;
        struct writing *writing = items[i].writing;
        int rc = find_buried (txn, writing, error);
        if (rc == 0) {
            err_set (&items[i].error, LITEDFS_LEASE_LOST,
                     "block[%016" PRIx64 "]: it was deleted by order while it was written",
                     writing->block);
            continue;
        }
        struct blockstore_block row = {.block = writing->block,
                                       .file = writing->file,
                                       .index = writing->index,
                                       .size = items[i].size,
                                       .ctime_ms = now_ms,
                                       .crc = items[i].crc};
        if (rc == LITEDFS_NOT_FOUND)
            rc = index_add (txn, &row, error);
        if (rc < 0)
            return rc;
        items[i].seq = row.seq;
    }
    return 0;
}

/* Put a finished block's file in its place. */
static void
move_file (struct blockstore *self, uint64_t block)
{
    char from[BLOCKSTORE_NAME_SIZE];
    char to[BLOCKSTORE_NAME_SIZE];
    if (renameat (self->root, blockstore_writing_name (block, from), self->root,
                  blockstore_name (block, to)) < 0)
        log_warning (self->log,
                     "block[%016" PRIx64 "]: it stays in %s until the next start: %s", block,
                     from, strerror (errno));
    FAULT ("blockstore_after_rename");
    // The damaged copy that this one replaces, if it does; what stays goes with the next start.
    (void) unlinkat (self->root, blockstore_damaged_name (block, to), 0);
}

static void
commit_items (struct blockstore *self, struct blockstore_finish *items, size_t n,
              int64_t now_ms)
{
    struct index_txn txn;
    litedfs_error_t error;
    FAULT ("blockstore_before_commit");
    int rc = blockstore_change_begin (self, &txn, &error);
    bool begun = rc == 0;
    if (begun) {
        rc = add_rows (&txn, items, n, now_ms, &error);
        if (rc == 0 && FAULT_ERROR ("blockstore_finish_error"))
            rc = err_set_errno (&error, LITEDFS_IO, EIO, "index: commit");
        rc = blockstore_change_end (self, &txn, rc, &error);
    }
    FAULT ("blockstore_after_commit");
    for (size_t i = 0; i < n; i++) {
        if (items[i].error.number)
            continue;
        if (rc == 0)
            move_file (self, items[i].writing->block);
        else
            items[i].error = error;
    }
    if (begun)
        blockstore_change_done (self);
}

int
blockstore_finish (struct blockstore *self, struct blockstore_finish *items, size_t n,
                   litedfs_error_t *error)
{
    int64_t now_ms = clock_wall (self->clock);
    for (size_t i = 0; i < n; i++) {
        items[i].error = (litedfs_error_t){.number = 0};
        items[i].seq = 0;
        write_trailer (self, &items[i], now_ms); // its error is in the item
    }
    sync_items (self, items, n);
    bool some = false;
    for (size_t i = 0; i < n; i++)
        some = some || !items[i].error.number;
    if (some)
        commit_items (self, items, n, now_ms);

    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        if (!items[i].error.number) {
            dismiss (items[i].writing);
            items[i].writing = NULL;
            continue;
        }
        struct writing *writing = items[i].writing;
        if (!writing->lost.number)
            writing->lost = items[i].error;
        if (rc == 0)
            rc = err_set (error, items[i].error.number, "%s", items[i].error.text);
    }
    return rc;
}

void
blockstore_abandon (struct writing **self)
{
    struct writing *writing = *self;
    char name[BLOCKSTORE_NAME_SIZE];
    if (!writing)
        return;
    struct blockstore *store = writing->store;
    // After a commit with an unknown outcome the file may be a finished block's: the next start knows.
    if (!blockstore_failed (store) &&
        unlinkat (store->root, blockstore_writing_name (writing->block, name), 0) < 0 &&
        errno != ENOENT)
        log_warning (store->log, "block[%016" PRIx64 "]: cannot remove %s now: %s",
                     writing->block, name, strerror (errno));
    dismiss (writing);
    *self = NULL;
}
