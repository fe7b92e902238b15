/* SPDX-License-Identifier: MIT */
/*
 * Readers: any number of threads at a time, through the cache of open files.
 *
 * A block is looked up in the index first, which alone says that it is finished; what the file's trailer
 * says must agree with the row.  The file is in blocks/xx/, or, between a commit and its rename or after a
 * rename that failed, in writing/: so who misses it looks again while no commit is under way.  A file that
 * is nowhere although the index has it is damage, not an unknown block.
 *
 * What is damaged is looked at once more, without the cache, and set aside: blockstore_damage.c.
 */

#include "datanode/blockstore_impl.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
blockstore_stat (struct blockstore *self, uint64_t block, struct blockstore_block *out,
                 litedfs_error_t *error)
{
    struct index_txn txn;
    int rc = index_begin (self->index, false, &txn, error);
    if (rc < 0)
        return rc;
    rc = index_block (&txn, block, out, error);
    if (rc == LITEDFS_NOT_FOUND) {
        int buried = index_buried (&txn, block, error);
        if (buried == 0)
            rc = err_set (error, LITEDFS_LEASE_LOST,
                          "block[%016" PRIx64 "]: it was deleted by order", block);
        else if (buried == LITEDFS_NOT_FOUND)
            err_set (error, rc, "block[%016" PRIx64 "]: it is not here", block);
        else
            rc = buried;
    }
    index_abort (&txn);
    return rc;
}

size_t
blockstore_read_room (uint64_t offset, size_t size)
{
    return blockfile_read_room (offset, size);
}

/* Open the file of a block that the index has. */
static int
open_file (struct blockstore *self, uint64_t block, char name[BLOCKSTORE_NAME_SIZE],
           int *out_fd, litedfs_error_t *error)
{
    int flags = O_RDONLY | O_CLOEXEC;
    int fd = openat (self->root, blockstore_name (block, name), flags);
    if (fd < 0 && errno == ENOENT) {
        pthread_mutex_lock (&self->commit);
        fd = openat (self->root, name, flags);
        if (fd < 0 && errno == ENOENT) {
            fd = openat (self->root, blockstore_writing_name (block, name), flags);
            if (fd < 0)
                blockstore_name (block, name); // what the error shall say
        }
        pthread_mutex_unlock (&self->commit);
    }
    if (fd < 0 && errno == ENOENT)
        return err_set (error, LITEDFS_CORRUPT, "block[%016" PRIx64 "]: its file %s/%s is gone",
                        block, self->path, name);
    if (fd < 0)
        return err_set_errno (error, LITEDFS_IO, errno, "block[%016" PRIx64 "]: %s/%s", block,
                              self->path, name);
    *out_fd = fd;
    return 0;
}

static int
check_trailer (const struct blockfile *trailer, const struct blockstore_block *row,
               const char *name, litedfs_error_t *error)
{
    if (trailer->block == row->block && trailer->size == row->size && trailer->crc == row->crc)
        return 0;
    return err_set (error, LITEDFS_CORRUPT,
                    "block[%016" PRIx64 "]: %s says block %016" PRIx64 ", %" PRIu64
                    " bytes, CRC-32 %08x; the index %" PRIu64 " bytes, CRC-32 %08x",
                    row->block, name, trailer->block, trailer->size, (unsigned) trailer->crc,
                    row->size, (unsigned) row->crc);
}

int
blockstore_open_file (struct blockstore *self, const struct blockstore_block *row,
                      char name[BLOCKSTORE_NAME_SIZE], int *out_fd, struct blockfile *out,
                      litedfs_error_t *error)
{
    int rc = open_file (self, row->block, name, out_fd, error);
    if (rc < 0)
        return rc;
    rc = blockfile_read_trailer (*out_fd, name, out, error);
    if (rc < 0)
        err_prefix (error, "block[%016" PRIx64 "]", row->block);
    else
        rc = check_trailer (out, row, name, error);
    if (rc < 0) {
        blockfile_free (out);
        close (*out_fd);
    }
    return rc;
}

int
blockstore_find_row (struct blockstore *self, uint64_t block, struct blockstore_block *out,
                     litedfs_error_t *error)
{
    struct index_txn txn;
    int rc = index_begin (self->index, false, &txn, error);
    if (rc < 0)
        return rc;
    rc = index_block (&txn, block, out, error);
    if (rc == LITEDFS_NOT_FOUND) {
        int damaged = index_damaged (&txn, block, error);
        if (damaged == 0)
            rc = err_set (error, LITEDFS_CORRUPT,
                          "block[%016" PRIx64 "]: it is damaged and was set aside", block);
        else if (damaged == LITEDFS_NOT_FOUND)
            err_set (error, rc, "block[%016" PRIx64 "]: it is not here", block);
        else
            rc = damaged;
    }
    index_abort (&txn);
    return rc;
}

int
blockstore_next (struct blockstore *self, uint64_t from, struct blockstore_block *out,
                 litedfs_error_t *error)
{
    struct index_txn txn;
    int rc = index_begin (self->index, false, &txn, error);
    if (rc < 0)
        return rc;
    rc = index_next_block (&txn, from, out, error);
    if (rc == LITEDFS_NOT_FOUND)
        err_set (error, rc, "index: no block after %016" PRIx64, from);
    index_abort (&txn);
    return rc;
}

/* Look a block up, open it and put it into the cache. */
static int
open_block (struct blockstore *self, uint64_t block, struct open_block **out,
            litedfs_error_t *error)
{
    struct blockstore_block row;
    struct blockfile trailer = {0};
    char name[BLOCKSTORE_NAME_SIZE];
    int fd = -1;
    uint64_t generation = blockcache_generation (self->cache);
    int rc = blockstore_find_row (self, block, &row, error);
    if (rc == 0)
        rc = blockstore_open_file (self, &row, name, &fd, &trailer, error);
    if (rc < 0)
        return rc;
    *out = blockcache_add (self->cache, fd, &trailer, generation);
    if (*out)
        return 0;
    blockfile_free (&trailer);
    close (fd);
    return err_set (error, LITEDFS_MEMORY, "block[%016" PRIx64 "]: out of memory", block);
}

/* A reader that looked the row up before a delete and opened the file after it finds none. */
static bool
was_deleted (struct blockstore *self, uint64_t block)
{
    struct blockstore_block row;
    return blockstore_find_row (self, block, &row, NULL) == LITEDFS_NOT_FOUND;
}

/* The entry of a block in the cache, to be released. */
static int
find_block (struct blockstore *self, uint64_t block, struct open_block **out,
            litedfs_error_t *error)
{
    *out = blockcache_find (self->cache, block);
    if (*out)
        return 0;
    int rc = open_block (self, block, out, error);
    if (rc == LITEDFS_CORRUPT && was_deleted (self, block))
        rc = err_set (error, LITEDFS_NOT_FOUND, "block[%016" PRIx64 "]: it was deleted", block);
    return rc;
}

void
blockstore_complain (struct blockstore *self, uint64_t block, const litedfs_error_t *why)
{
    if (atomic_exchange (&self->bad_block, block) != block)
        log_error (self->log, "block %016" PRIx64 " cannot be read: %s", block, why->text);
}

static int
read_range (struct blockstore *self, uint64_t block, uint64_t offset, size_t size, void *room,
            struct slice *out, uint32_t *out_crc, litedfs_error_t *error)
{
    char name[BLOCKSTORE_NAME_SIZE];
    struct open_block *entry;
    int rc = find_block (self, block, &entry, error);
    if (rc < 0)
        return rc;
    rc = blockfile_read (entry->fd, blockstore_name (block, name), &entry->trailer, offset,
                         size, room, out, out_crc, error);
    blockcache_release (self->cache, entry);
    return rc;
}

int
blockstore_read (struct blockstore *self, uint64_t block, uint64_t offset, size_t size,
                 void *room, struct slice *out, uint32_t *out_crc, litedfs_error_t *error)
{
    litedfs_error_t why;
    int rc = read_range (self, block, offset, size, room, out, out_crc, &why);
    if (rc == LITEDFS_CORRUPT)
        rc = blockstore_examine (self, block, offset, size, room, out, out_crc, &why);
    atomic_fetch_add (&self->traffic, size);
    if (rc == LITEDFS_IO)
        blockstore_complain (self, block, &why);
    if (rc < 0 && error)
        *error = why;
    return rc;
}

/* The entry of a block, as find_block; what cannot be opened is looked at anew, and then set aside. */
static int
find_to_describe (struct blockstore *self, uint64_t block, struct open_block **out,
                  litedfs_error_t *error)
{
    struct slice none;
    uint32_t crc;
    int rc = find_block (self, block, out, error);
    if (rc == LITEDFS_CORRUPT)
        rc = blockstore_examine (self, block, 0, 0, NULL, &none, &crc, error);
    else
        return rc;
    return rc == 0 ? find_block (self, block, out, error) : rc;
}

int
blockstore_describe (struct blockstore *self, uint64_t block,
                     struct blockstore_description *out, litedfs_error_t *error)
{
    litedfs_error_t why;
    struct open_block *entry;
    int rc = find_to_describe (self, block, &entry, &why);
    if (rc < 0) {
        if (rc == LITEDFS_IO)
            blockstore_complain (self, block, &why);
        if (error)
            *error = why;
        return rc;
    }
    const struct blockfile *trailer = &entry->trailer;
    *out = (struct blockstore_description){.file = trailer->file,
                                           .index = trailer->index,
                                           .count = trailer->count,
                                           .size = trailer->size,
                                           .crc = trailer->crc,
                                           .path = malloc (trailer->path_size + 1),
                                           .path_size = trailer->path_size};
    if (out->path)
        memcpy (out->path, trailer->path, trailer->path_size + 1);
    else
        rc = err_set (error, LITEDFS_MEMORY, "block[%016" PRIx64 "]: out of memory", block);
    blockcache_release (self->cache, entry);
    return rc;
}
