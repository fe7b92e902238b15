/* SPDX-License-Identifier: MIT */
/*
 * Bytes to struct blockfile and back, and the checked read of a block's data.
 *
 * A trailer that is read may be anything: the file may have been cut, overwritten or made by somebody
 * else.  Its tail is believed only as far as the file is long, nothing is allocated for a length that the
 * file does not have, and no field is looked at before the CRC over all of them has matched.  What passes
 * that and still breaks a bound was written by a program with a bug and is corrupt as well.
 *
 * The data is not covered by the trailer's CRC but by those of its units, so that a range is checked
 * without reading the rest.  The CRC of a range is joined from those of the units that lie in it; only
 * what is cut off at its two ends is computed a second time.
 */

#include "datanode/blockfile.h"

#include "base/crc.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "LITEBLK1"
#define MAGIC_SIZE 8
#define VERSION 1
#define UNCOVERED 12 // last bytes of the tail, which the trailer's CRC does not cover

// What blockfile_check reads at once.
#define CHECK_STEP ((size_t) 1 << 20)

static size_t
trailer_size (const struct blockfile *trailer)
{
    return BLOCKFILE_TRAILER_MIN + trailer->path_size +
           (size_t) crc_unit_count (trailer->size) * sizeof (uint32_t);
}

int
blockfile_encode (struct buf *out, const struct blockfile *trailer, litedfs_error_t *error)
{
    if (trailer->block == 0 || trailer->size > BLOCKFILE_SIZE_MAX ||
        trailer->path_size > BLOCKFILE_PATH_MAX)
        return err_set (error, LITEDFS_INVALID,
                        "block[%016" PRIx64 "]: no trailer can say %" PRIu64
                        " bytes and a path of %zu bytes",
                        trailer->block, trailer->size, trailer->path_size);

    size_t start = out->size;
    size_t size = trailer_size (trailer);
    uint64_t units = crc_unit_count (trailer->size);
    if (!buf_reserve (out, size))
        return err_set (error, LITEDFS_MEMORY,
                        "block[%016" PRIx64 "]: no memory for its trailer", trailer->block);
    buf_put (out, MAGIC, MAGIC_SIZE);
    buf_put_u16 (out, VERSION);
    buf_put_u16 (out, 0);
    buf_put_u32 (out, CRC_UNIT);
    buf_put_u64 (out, trailer->block);
    buf_put (out, trailer->file.bytes, sizeof trailer->file.bytes);
    buf_put_u64 (out, trailer->index);
    buf_put_u64 (out, trailer->count);
    buf_put_u64 (out, trailer->size);
    buf_put_u64 (out, (uint64_t) trailer->ctime_ms);
    buf_put_u32 (out, trailer->crc);
    buf_put_u32 (out, (uint32_t) trailer->path_size);
    buf_put (out, trailer->path, trailer->path_size);
    for (uint64_t unit = 0; unit < units; unit++)
        buf_put_u32 (out, trailer->units[unit]);
    buf_put_u32 (out, (uint32_t) size);
    buf_put_u32 (out, crc32_of (0, out->data + start, size - UNCOVERED));
    buf_put (out, MAGIC, MAGIC_SIZE);
    return 0;
}

/* Copy the fields out of a trailer whose CRC has matched. */
static int
decode_fields (struct reader *in, const char *name, struct blockfile *out,
               litedfs_error_t *error)
{
    uint32_t unit_size = reader_u32 (in);
    out->block = reader_u64 (in);
    const uint8_t *file = reader_bytes (in, sizeof out->file.bytes);
    if (file)
        memcpy (out->file.bytes, file, sizeof out->file.bytes);
    out->index = reader_u64 (in);
    out->count = reader_u64 (in);
    out->size = reader_u64 (in);
    out->ctime_ms = (int64_t) reader_u64 (in);
    out->crc = reader_u32 (in);
    uint32_t path_size = reader_u32 (in);
    const uint8_t *path = reader_bytes (in, path_size);
    if (in->failed || unit_size != CRC_UNIT || out->block == 0 ||
        path_size > BLOCKFILE_PATH_MAX || out->size > BLOCKFILE_SIZE_MAX ||
        reader_left (in) != crc_unit_count (out->size) * sizeof (uint32_t))
        return err_set (error, LITEDFS_CORRUPT, "%s: its trailer contradicts itself", name);

    size_t units = (size_t) crc_unit_count (out->size);
    out->path_size = path_size;
    out->path = malloc ((size_t) path_size + 1);
    out->units = malloc (units ? units * sizeof (uint32_t) : 1);
    if (!out->path || !out->units)
        return err_set (error, LITEDFS_MEMORY, "%s: no memory for its trailer", name);
    memcpy (out->path, path, path_size);
    out->path[path_size] = 0;
    for (size_t unit = 0; unit < units; unit++)
        out->units[unit] = reader_u32 (in);
    return 0;
}

int
blockfile_decode (struct slice bytes, uint64_t file_size, const char *name,
                  struct blockfile *out, litedfs_error_t *error)
{
    *out = (struct blockfile){0};
    if (bytes.size < BLOCKFILE_TRAILER_MIN || bytes.size > file_size)
        return err_set (error, LITEDFS_CORRUPT, "%s: too short for a trailer", name);

    const uint8_t *data = bytes.data;
    struct reader tail =
        reader_of (slice_of (data + bytes.size - BLOCKFILE_TAIL_SIZE, BLOCKFILE_TAIL_SIZE));
    uint32_t size = reader_u32 (&tail);
    uint32_t crc = reader_u32 (&tail);
    if (memcmp (data + bytes.size - MAGIC_SIZE, MAGIC, MAGIC_SIZE) != 0 || size != bytes.size ||
        crc != crc32_of (0, data, bytes.size - UNCOVERED) ||
        memcmp (data, MAGIC, MAGIC_SIZE) != 0)
        return err_set (error, LITEDFS_CORRUPT, "%s: its trailer is damaged", name);

    struct reader in = reader_of (slice_of (data, bytes.size - BLOCKFILE_TAIL_SIZE));
    reader_bytes (&in, MAGIC_SIZE);
    unsigned version = reader_u16 (&in);
    unsigned flags = reader_u16 (&in);
    if (version != VERSION || flags != 0)
        return err_set (error, LITEDFS_LAYOUT,
                        "%s: its trailer has version %u and flags %u; a newer program wrote it",
                        name, version, flags);

    int rc = decode_fields (&in, name, out, error);
    if (rc == 0 && out->size != file_size - bytes.size)
        rc = err_set (error, LITEDFS_CORRUPT,
                      "%s: it should have %" PRIu64 " bytes of data and has %" PRIu64, name,
                      out->size, file_size - bytes.size);
    if (rc == 0 && crc_units_join (out->units, out->size) != out->crc)
        rc = err_set (error, LITEDFS_CORRUPT, "%s: its checksums contradict each other", name);
    if (rc < 0)
        blockfile_free (out);
    return rc;
}

/* Read what must be there.  A disk that cannot give it (EIO) has lost it: that is damage too. */
static int
read_all (int fd, void *data, size_t size, uint64_t offset, const char *name,
          litedfs_error_t *error)
{
    errno = 0;
    int rc = file_pread_full (fd, data, size, offset, name, error);
    bool lost = rc == LITEDFS_IO && errno == EIO;
    if (rc == 0 && FAULT_ERROR ("blockfile_read_error")) {
        err_set_errno (error, LITEDFS_IO, EIO, "read[%s]", name);
        lost = true;
    }
    if (lost && error)
        error->number = LITEDFS_CORRUPT;
    return lost ? LITEDFS_CORRUPT : rc;
}

/* The trailer's length as the tail of an open file says it, if that can be. */
static int
find_trailer (int fd, const char *name, uint64_t *out_file_size, size_t *out_size,
              litedfs_error_t *error)
{
    struct stat st;
    if (fstat (fd, &st) < 0)
        return err_set_errno (error, LITEDFS_IO, errno, "%s", name);
    if (st.st_size < BLOCKFILE_TRAILER_MIN)
        return err_set (error, LITEDFS_CORRUPT, "%s: too short for a trailer", name);

    uint64_t file_size = (uint64_t) st.st_size;
    uint8_t tail[BLOCKFILE_TAIL_SIZE];
    int rc = read_all (fd, tail, sizeof tail, file_size - sizeof tail, name, error);
    if (rc < 0)
        return rc;

    struct reader in = reader_of (slice_of (tail, sizeof tail));
    uint32_t size = reader_u32 (&in);
    size_t most = BLOCKFILE_TRAILER_MIN + BLOCKFILE_PATH_MAX +
                  (size_t) crc_unit_count (BLOCKFILE_SIZE_MAX) * sizeof (uint32_t);
    if (memcmp (tail + sizeof tail - MAGIC_SIZE, MAGIC, MAGIC_SIZE) != 0 ||
        size < BLOCKFILE_TRAILER_MIN || size > most || size > file_size)
        return err_set (error, LITEDFS_CORRUPT, "%s: no trailer at its end", name);
    *out_file_size = file_size;
    *out_size = size;
    return 0;
}

int
blockfile_read_trailer (int fd, const char *name, struct blockfile *out, litedfs_error_t *error)
{
    uint64_t file_size = 0;
    size_t size = 0;
    *out = (struct blockfile){0};
    int rc = find_trailer (fd, name, &file_size, &size, error);
    if (rc < 0)
        return rc;

    uint8_t *bytes = malloc (size);
    if (!bytes)
        return err_set (error, LITEDFS_MEMORY, "%s: no memory for its trailer", name);
    rc = read_all (fd, bytes, size, file_size - size, name, error);
    if (rc == 0)
        rc = blockfile_decode (slice_of (bytes, size), file_size, name, out, error);
    free (bytes);
    return rc;
}

int
blockfile_write_trailer (int fd, const char *name, const struct blockfile *trailer,
                         litedfs_error_t *error)
{
    struct buf bytes = {0};
    int rc = blockfile_encode (&bytes, trailer, error);
    if (rc == 0)
        rc = file_pwrite_full (fd, bytes.data, bytes.size, trailer->size, name, error);
    if (rc == 0 && ftruncate (fd, (off_t) (trailer->size + bytes.size)) < 0)
        rc = err_set_errno (error, LITEDFS_IO, errno, "%s", name);
    buf_free (&bytes);
    return rc;
}

size_t
blockfile_read_room (uint64_t offset, size_t size)
{
    if (size == 0)
        return 0;
    uint64_t before = offset % CRC_UNIT;
    return (size_t) (crc_unit_count (before + size) * CRC_UNIT);
}

/* Check the units that were read into data, from unit `first` on; the CRC of [begin, end) comes out. */
static int
check_units (const char *name, const struct blockfile *trailer, const uint8_t *data,
             uint64_t first, uint64_t begin, uint64_t end, uint32_t *out_crc,
             litedfs_error_t *error)
{
    uint32_t crc = 0;
    for (uint64_t unit = first; unit * CRC_UNIT < end; unit++) {
        uint64_t from = unit * CRC_UNIT;
        uint64_t left = trailer->size - from;
        size_t size = left < CRC_UNIT ? (size_t) left : CRC_UNIT;
        const uint8_t *bytes = data + (from - first * CRC_UNIT);
        uint32_t found = crc32_of (0, bytes, size);
        if (found != trailer->units[unit])
            return err_set (error, LITEDFS_CORRUPT,
                            "block[%016" PRIx64 "]: unit %" PRIu64
                            " is damaged: CRC-32 is %08x and should be %08x, in %s",
                            trailer->block, unit, (unsigned) found,
                            (unsigned) trailer->units[unit], name);
        size_t skip = begin > from ? (size_t) (begin - from) : 0;
        size_t stop = end - from < size ? (size_t) (end - from) : size;
        if (stop - skip < size)
            found = crc32_of (0, bytes + skip, stop - skip);
        crc = crc32_join (crc, found, stop - skip);
    }
    *out_crc = crc;
    return 0;
}

int
blockfile_read (int fd, const char *name, const struct blockfile *trailer, uint64_t offset,
                size_t size, void *room, struct slice *out, uint32_t *out_crc,
                litedfs_error_t *error)
{
    if (offset > trailer->size)
        return err_set (error, LITEDFS_INVALID,
                        "block[%016" PRIx64 "]: offset %" PRIu64 " is beyond its %" PRIu64
                        " bytes",
                        trailer->block, offset, trailer->size);
    if (size > trailer->size - offset)
        size = (size_t) (trailer->size - offset);
    *out = slice_of (room, 0);
    *out_crc = 0;
    if (size == 0)
        return 0;

    uint64_t end = offset + size;
    uint64_t first = offset / CRC_UNIT;
    uint64_t from = first * CRC_UNIT;
    uint64_t to = crc_unit_count (end) * CRC_UNIT;
    if (to > trailer->size)
        to = trailer->size;
    int rc = read_all (fd, room, (size_t) (to - from), from, name, error);
    if (rc < 0) {
        err_prefix (error, "block[%016" PRIx64 "]: unit %" PRIu64 " and on", trailer->block,
                    first);
        return rc;
    }
    rc = check_units (name, trailer, room, first, offset, end, out_crc, error);
    if (rc == 0)
        *out = slice_of ((uint8_t *) room + (offset - from), size);
    return rc;
}

int
blockfile_check (int fd, const char *name, const struct blockfile *trailer,
                 litedfs_error_t *error)
{
    uint8_t *room = malloc (CHECK_STEP);
    if (!room)
        return err_set (error, LITEDFS_MEMORY, "%s: no memory to check it", name);
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < trailer->size; at += CHECK_STEP) {
        struct slice range;
        uint32_t crc;
        rc = blockfile_read (fd, name, trailer, at, CHECK_STEP, room, &range, &crc, error);
    }
    free (room);
    return rc;
}

void
blockfile_free (struct blockfile *self)
{
    int saved = errno;
    free (self->units);
    free (self->path);
    *self = (struct blockfile){0};
    errno = saved;
}
