/* SPDX-License-Identifier: MIT */
/*
 * Rot: looking at a block anew, and setting it aside when it is damaged.
 *
 * Whoever meets damage, or is told of some, comes here, and only what is seen here counts: the row is read
 * again, the file opened again and its bytes read again.  So neither a client's word nor a reader that
 * was slow, and has still the file of a copy that was replaced meanwhile, costs a good copy.
 *
 * How a block is set aside, and what a crash leaves after each step:
 *
 *   1  commit: no row, a damaged row, a change       damaged row, file in blocks/xx/: the start moves it
 *   2  rename to damaged/<id>, not synced            as 1, or row and file in its place
 *
 * Nothing is there to be moved when the file was missing.  From there a new copy leads back (its finish
 * takes the damaged row away, and then the file), or a delete order out (it takes the row away, buries the
 * id, and then removes the file).  A file in damaged/ without its row is what a crash left of these, if the
 * index has the block or has buried it; else a rebuild of the index put it there, and it gets a row.
 */

#include "datanode/blockstore_impl.h"

#include "base/err.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAMAGED_AT_ONCE 512

char *
blockstore_damaged_name (uint64_t block, char out[BLOCKSTORE_NAME_SIZE])
{
    snprintf (out, BLOCKSTORE_NAME_SIZE, "damaged/%016" PRIx64, block);
    return out;
}

/* ---- setting aside ------------------------------------------------------------------------------ */

/* Under `commit`, when the index has it as damaged: put the file where nobody looks. */
static void
move_aside (struct blockstore *self, uint64_t block)
{
    char from[BLOCKSTORE_NAME_SIZE];
    char to[BLOCKSTORE_NAME_SIZE];
    blockstore_damaged_name (block, to);
    int rc = renameat (self->root, blockstore_name (block, from), self->root, to);
    // It may have stayed in writing/ when it was finished.
    if (rc < 0 && errno == ENOENT && !blockstore_is_writing (self, block))
        rc = renameat (self->root, blockstore_writing_name (block, from), self->root, to);
    if (rc < 0 && errno != ENOENT)
        log_warning (self->log,
                     "block[%016" PRIx64 "]: it stays in %s until the next start: %s", block,
                     from, strerror (errno));
    blockcache_drop (self->cache, block);
}

/* Take a block that was found damaged out of the index, unless it is not that one any more. */
static int
set_aside (struct blockstore *self, const struct blockstore_block *row, litedfs_error_t *error)
{
    struct index_txn txn;
    struct blockstore_block now;
    FAULT ("blockstore_before_damage");
    int rc = blockstore_change_begin (self, &txn, error);
    if (rc < 0)
        return rc;
    rc = index_block (&txn, row->block, &now, error);
    if (rc == 0 && now.seq != row->seq)
        rc = err_set (error, LITEDFS_NOT_FOUND, "block[%016" PRIx64 "]: it was replaced",
                      row->block);
    if (rc == 0)
        rc = index_damage (&txn, row->block, row->size, clock_wall (self->clock), error);
    rc = blockstore_change_end (self, &txn, rc, error);
    FAULT ("blockstore_after_damage");
    if (rc == 0) {
        move_aside (self, row->block);
        atomic_fetch_add (&self->damaged, 1);
    }
    blockstore_change_done (self);
    FAULT ("blockstore_after_aside");
    return rc;
}

/* ---- looking ------------------------------------------------------------------------------------ */

/* Read a range without the cache of open files and, if asked to, from the disk and not from memory. */
static int
look (struct blockstore *self, const struct blockstore_block *row, bool from_disk,
      uint64_t offset, size_t size, void *room, struct slice *out, uint32_t *out_crc,
      litedfs_error_t *error)
{
    struct blockfile trailer = {0};
    char name[BLOCKSTORE_NAME_SIZE];
    int fd = -1;
    int rc = blockstore_open_file (self, row, name, &fd, &trailer, error);
    if (rc < 0)
        return rc;
    // Advice: pages that are not written yet, or that others use, stay.
    if (from_disk)
        (void) posix_fadvise (fd, (off_t) offset, (off_t) size, POSIX_FADV_DONTNEED);
    rc = blockfile_read (fd, name, &trailer, offset, size, room, out, out_crc, error);
    if (from_disk)
        (void) posix_fadvise (fd, (off_t) offset, (off_t) size, POSIX_FADV_DONTNEED);
    blockfile_free (&trailer);
    close (fd);
    return rc;
}

/* A block was found damaged: what is to be said of it. */
static int
on_damage (struct blockstore *self, struct blockstore_block *row, litedfs_error_t *why)
{
    litedfs_error_t trouble;
    int rc = set_aside (self, row, &trouble);
    if (rc == 0) {
        log_error (self->log,
                   "block %016" PRIx64 " is damaged and set aside until another copy replaces "
                   "it: %s",
                   row->block, why->text);
        return LITEDFS_CORRUPT;
    }
    if (rc != LITEDFS_NOT_FOUND) {
        blockstore_complain (self, row->block, why);
        return LITEDFS_CORRUPT;
    }
    // Somebody else was faster, or it was replaced.
    rc = blockstore_find_row (self, row->block, row, why);
    return rc < 0 ? rc : err_set (why, LITEDFS_NOT_FOUND, "%s", trouble.text);
}

static int
examine (struct blockstore *self, uint64_t block, bool from_disk, uint64_t offset, size_t size,
         void *room, struct slice *out, uint32_t *out_crc, litedfs_error_t *error)
{
    struct blockstore_block row;
    litedfs_error_t why;
    int rc = blockstore_find_row (self, block, &row, &why);
    if (rc == 0) {
        rc = look (self, &row, from_disk, offset, size, room, out, out_crc, &why);
        if (rc == LITEDFS_CORRUPT)
            rc = on_damage (self, &row, &why);
    }
    if (rc < 0 && error)
        *error = why;
    return rc;
}

int
blockstore_examine (struct blockstore *self, uint64_t block, uint64_t offset, size_t size,
                    void *room, struct slice *out, uint32_t *out_crc, litedfs_error_t *error)
{
    // What the cache has of it is not worth much, whatever comes out.
    blockcache_drop (self->cache, block);
    return examine (self, block, false, offset, size, room, out, out_crc, error);
}

int
blockstore_verify (struct blockstore *self, uint64_t block, uint64_t offset, size_t size,
                   void *room, litedfs_error_t *error)
{
    struct slice range;
    uint32_t crc;
    return examine (self, block, true, offset, size, room, &range, &crc, error);
}

uint64_t
blockstore_damaged (const struct blockstore *self)
{
    return atomic_load (&self->damaged);
}

uint64_t
blockstore_traffic (const struct blockstore *self)
{
    return atomic_load (&self->traffic);
}

/* ---- at the start ------------------------------------------------------------------------------- */

/* Move the files of damaged rows that a crash left in blocks/. */
static int
finish_moves (struct blockstore *self, struct index_txn *txn, litedfs_error_t *error)
{
    uint64_t page[DAMAGED_AT_ONCE];
    size_t count = DAMAGED_AT_ONCE;
    uint64_t from = 0;
    int rc = 0;
    while (rc == 0 && count == DAMAGED_AT_ONCE) {
        rc = index_damaged_blocks (txn, from, DAMAGED_AT_ONCE, page, &count, error);
        for (size_t i = 0; rc == 0 && i < count; i++) {
            char name[BLOCKSTORE_NAME_SIZE];
            if (faccessat (self->root, blockstore_name (page[i], name), F_OK, 0) == 0)
                move_aside (self, page[i]);
        }
        if (rc == 0 && count > 0)
            from = page[count - 1] + 1;
    }
    return rc;
}

/* What a file in damaged/ is for: 0 if it was replaced or deleted and is to go, else LITEDFS_NOT_FOUND. */
static int
is_done_with (struct index_txn *txn, uint64_t block, litedfs_error_t *error)
{
    struct blockstore_block row;
    int rc = index_block (txn, block, &row, error);
    return rc == LITEDFS_NOT_FOUND ? index_buried (txn, block, error) : rc;
}

/* The transaction of a start, and how many blocks got a row in it. */
struct adoption {
    struct index_txn txn;
    uint64_t count;
};

static int
resolve_file (struct blockstore *self, const char *name, uint64_t block, void *arg,
              litedfs_error_t *error)
{
    struct adoption *adoption = arg;
    struct stat st;
    int rc = index_damaged (&adoption->txn, block, error);
    if (rc != LITEDFS_NOT_FOUND)
        return rc;
    rc = is_done_with (&adoption->txn, block, error);
    if (rc == 0 && unlinkat (self->root, name, 0) < 0)
        return err_set_errno (error, LITEDFS_IO, errno, "%s/%s", self->path, name);
    if (rc != LITEDFS_NOT_FOUND)
        return rc;
    uint64_t size = fstatat (self->root, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0
                        ? (uint64_t) st.st_size
                        : 0;
    adoption->count++;
    return index_damage (&adoption->txn, block, size, clock_wall (self->clock), error);
}

int
blockstore_resolve_damaged (struct blockstore *self, litedfs_error_t *error)
{
    struct adoption adoption = {.count = 0};
    int rc = blockstore_change_begin (self, &adoption.txn, error);
    if (rc < 0)
        return rc;
    rc = finish_moves (self, &adoption.txn, error);
    if (rc == 0)
        rc = blockstore_visit (self, "damaged", resolve_file, &adoption, error);
    if (rc == 0 && adoption.count == 0)
        index_abort (&adoption.txn); // what changes nothing writes nothing
    else
        rc = blockstore_change_end (self, &adoption.txn, rc, error);
    blockstore_change_done (self);
    return rc;
}
