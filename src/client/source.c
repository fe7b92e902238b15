/* SPDX-License-Identifier: MIT */
/*
 * A regular file knows its size from the start.  A stream knows it when it has ended; whether a full
 * block is the last one is known only when a byte after it, or the end, was seen, and until then the
 * block is not complete.
 */
#include "client/source.h"

#include "base/crc.h"
#include "base/err.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILL_SIZE ((size_t) 256 << 10) // bytes of one read from a stream

/* A block of a stream. */
struct spool {
    int fd;
    uint64_t index;
    uint64_t size;
    bool used;
};

struct source {
    int fd;
    bool stream;
    bool ended;
    uint64_t size; // of a stream: bytes read so far
    uint64_t block_size;
    struct spool spools[SOURCE_SPOOLS];
    uint8_t *fill;
};

int
source_open (struct source **out, int fd, bool stream, litedfs_error_t *error)
{
    struct stat about;
    if (fstat (fd, &about) < 0)
        return err_set_errno (error, LITEDFS_IO, errno, "local file");
    if (S_ISDIR (about.st_mode))
        return err_set (error, LITEDFS_IS_DIRECTORY, "local file: it is a directory");

    struct source *self = calloc (1, sizeof *self);
    if (!self)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    self->fd = fd;
    self->stream = stream || !S_ISREG (about.st_mode);
    self->ended = !self->stream;
    self->size = self->stream ? 0 : (uint64_t) about.st_size;
    self->block_size = CRC_UNIT; // the least that a block may have: one fill stays within it
    for (int i = 0; i < SOURCE_SPOOLS; i++)
        self->spools[i].fd = -1;
    *out = self;
    return 0;
}

void
source_close (struct source **self)
{
    if (!*self)
        return;
    for (int i = 0; i < SOURCE_SPOOLS; i++)
        if ((*self)->spools[i].fd >= 0)
            close ((*self)->spools[i].fd);
    free ((*self)->fill);
    free (*self);
    *self = NULL;
}

void
source_set_block_size (struct source *self, uint64_t block_size)
{
    self->block_size = block_size;
}

bool
source_begun (const struct source *self)
{
    return self->ended || self->size > 0;
}

uint64_t
source_size (const struct source *self)
{
    return self->ended ? self->size : UINT64_MAX;
}

uint64_t
source_count (const struct source *self)
{
    return self->ended ? (self->size + self->block_size - 1) / self->block_size : UINT64_MAX;
}

int
source_fd (const struct source *self)
{
    return self->fd;
}

/* The spool that the stream's next byte goes to, or NULL while it is in use by an older block. */
static struct spool *
next_spool (const struct source *self)
{
    uint64_t index = self->size / self->block_size;
    const struct spool *spool = &self->spools[index % SOURCE_SPOOLS];
    return spool->used && spool->index != index ? NULL : (struct spool *) (uintptr_t) spool;
}

bool
source_wants_input (const struct source *self)
{
    return self->stream && !self->ended && next_spool (self);
}

static int
open_spool (int *out, litedfs_error_t *error)
{
    const char *directory = getenv ("TMPDIR");
    char path[4096];

    if (!directory || !*directory)
        directory = "/tmp";
    *out = open (directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*out >= 0)
        return 0;
    snprintf (path, sizeof path, "%s/litedfs-XXXXXX", directory);
    *out = mkostemp (path, O_CLOEXEC);
    if (*out < 0)
        return err_set_errno (error, LITEDFS_IO, errno,
                              "spool file in %s (set TMPDIR to another directory)", directory);
    unlink (path);
    return 0;
}

int
source_fill (struct source *self, litedfs_error_t *error)
{
    struct spool *spool = next_spool (self);
    uint64_t at = self->size % self->block_size;
    size_t room =
        self->block_size - at < FILL_SIZE ? (size_t) (self->block_size - at) : FILL_SIZE;

    if (!self->fill && !(self->fill = malloc (FILL_SIZE)))
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    ssize_t got = read (self->fd, self->fill, room);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN
                   ? 0
                   : err_set_errno (error, LITEDFS_IO, errno, "standard input");
    if (got == 0) {
        self->ended = true;
        return 0;
    }
    if (spool->fd < 0) {
        int rc = open_spool (&spool->fd, error);
        if (rc < 0)
            return rc;
    }
    int rc = file_pwrite_full (spool->fd, self->fill, (size_t) got, at, "spool file in TMPDIR",
                               error);
    if (rc < 0)
        return rc;
    spool->used = true;
    spool->index = self->size / self->block_size;
    spool->size = at + (uint64_t) got;
    self->size += (uint64_t) got;
    return 0;
}

uint64_t
source_available (const struct source *self, uint64_t index, bool *complete)
{
    uint64_t start = index * self->block_size;
    *complete = false;

    if (!self->stream) {
        *complete = true;
        uint64_t left = start < self->size ? self->size - start : 0;
        return left < self->block_size ? left : self->block_size;
    }
    const struct spool *spool = &self->spools[index % SOURCE_SPOOLS];
    if (!spool->used || spool->index != index)
        return 0;
    *complete = self->ended || self->size > start + self->block_size;
    return spool->size;
}

int
source_read (struct source *self, uint64_t index, uint64_t offset, void *data, size_t size,
             litedfs_error_t *error)
{
    if (self->stream)
        return file_pread_full (self->spools[index % SOURCE_SPOOLS].fd, data, size, offset,
                                "spool file in TMPDIR", error);
    int rc = file_pread_full (self->fd, data, size, index * self->block_size + offset,
                              "local file", error);
    if (rc == LITEDFS_CORRUPT)
        return err_set (error, LITEDFS_IO,
                        "local file: it has become shorter while it was read");
    return rc;
}

void
source_release (struct source *self, uint64_t index)
{
    struct spool *spool = &self->spools[index % SOURCE_SPOOLS];
    if (self->stream && spool->used && spool->index == index) {
        spool->used = false;
        spool->size = 0;
    }
}
