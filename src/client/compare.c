/* SPDX-License-Identifier: MIT */
/*
 * litedfs_compare: whether a local file is what a remote one holds, by size and the CRC-32 of every
 * block.  Only the local file is read.
 */
#include "client/session.h"

#include "base/crc.h"
#include "base/err.h"
#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define READ_SIZE ((size_t) 1 << 20)

static int
block_crc (const litedfs_t *session, int fd, uint64_t offset, uint64_t size, uint8_t *room,
           uint32_t *out, litedfs_error_t *error)
{
    *out = 0;
    while (size > 0) {
        size_t part = size < READ_SIZE ? (size_t) size : READ_SIZE;
        int rc = session_cancelled (session)
                     ? err_set (error, LITEDFS_CANCELLED, "cancelled")
                     : file_pread_full (fd, room, part, offset, "local file", error);
        if (rc < 0)
            return rc;
        *out = crc32_of (*out, room, part);
        offset += part;
        size -= part;
    }
    return 0;
}

static int
compare_blocks (const litedfs_t *session, int fd, const litedfs_file_t *file,
                litedfs_error_t *error)
{
    uint8_t *room = malloc (READ_SIZE);
    uint64_t offset = 0;
    int rc = room ? 0 : err_set (error, LITEDFS_MEMORY, "out of memory");

    for (size_t i = 0; rc == 0 && i < file->block_count; i++) {
        uint32_t crc;
        rc = block_crc (session, fd, offset, file->blocks[i].size, room, &crc, error);
        if (rc == 0 && crc != file->blocks[i].crc32)
            rc = err_set (error, LITEDFS_DIFFERENT,
                          "it exists with other content: bytes %llu to %llu differ",
                          (unsigned long long) offset,
                          (unsigned long long) (offset + file->blocks[i].size - 1));
        offset += file->blocks[i].size;
    }
    free (room);
    return rc;
}

int
litedfs_compare (litedfs_t *session, int fd, const char *path, char *id, litedfs_error_t *error)
{
    litedfs_file_t file;
    struct stat about;

    if (fstat (fd, &about) < 0)
        return err_set_errno (error, LITEDFS_IO, errno, "local file");
    if (!S_ISREG (about.st_mode))
        return err_set (error, LITEDFS_INVALID, "only a regular local file can be compared");
    int rc = litedfs_file_info (session, path, &file, error);
    if (rc < 0)
        return rc;
    if ((uint64_t) about.st_size != file.size)
        rc = err_set (error, LITEDFS_DIFFERENT,
                      "it exists with other content: it has %llu bytes, not %llu",
                      (unsigned long long) file.size, (unsigned long long) about.st_size);
    else
        rc = compare_blocks (session, fd, &file, error);
    if (rc == 0 && id)
        memcpy (id, file.id, LITEDFS_ID_SIZE);
    litedfs_file_free (&file);
    return rc;
}
