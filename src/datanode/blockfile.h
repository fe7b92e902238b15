/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_BLOCKFILE_H
#define LITEDFS_DATANODE_BLOCKFILE_H

/*
 * The format of a finished block's file: the block's bytes from offset 0, then a trailer that says what
 * they are, so that an index can be rebuilt from the files alone.  All numbers are little endian.
 *
 *   offset             bytes  what
 *   0                  size   the block's bytes
 *   size + 0           8      magic "LITEBLK1"
 *   size + 8           2      version of the trailer, 1
 *   size + 10          2      flags, 0
 *   size + 12          4      bytes in a unit, 65536
 *   size + 16          8      block id, not 0
 *   size + 24          16     file id, a UUID in network byte order
 *   size + 40          8      index of the block in its file, from 0
 *   size + 48          8      how many blocks the file has, in its last block; 0: not known here
 *   size + 56          8      size of the block in bytes, up to BLOCKFILE_SIZE_MAX
 *   size + 64          8      when it was finished, milliseconds since 1970
 *   size + 72          4      CRC-32 of all its bytes
 *   size + 76          4      length P of the path, 0 to BLOCKFILE_PATH_MAX
 *   size + 80          P      the file's path when it was written; no NUL
 *   size + 80 + P      4 * U  CRC-32 of each unit, U = size / 65536 rounded up
 *   then the tail:
 *                      4      length T of the trailer, this tail included: 96 + P + 4 * U
 *                      4      CRC-32 of the trailer's first T - 12 bytes
 *                      8      magic "LITEBLK1"
 *
 * The file ends there, so the tail is found from its end and T leads to the trailer's start.  A file
 * whose parts do not agree with each other to the byte is corrupt, and so is one that the disk cannot give
 * (EIO; fault point blockfile_read_error).  CRC-32 is zlib's.
 *
 * Nothing here keeps state; the calls read and write with pread and pwrite and may block for as long as
 * the disk does.  `name` is what errors call the file.
 */

#include "base/buf.h"
#include "base/id.h"
#include "litedfs.h"

/* The largest block, in bytes; the longest path, in bytes. */
#define BLOCKFILE_SIZE_MAX ((uint64_t) 4 << 30)
#define BLOCKFILE_PATH_MAX 4096

/* Bytes of the tail, and of the shortest trailer. */
#define BLOCKFILE_TAIL_SIZE 16
#define BLOCKFILE_TRAILER_MIN 96

/* What a trailer says.  units has crc_unit_count (size) elements; units and path (with a NUL after its
 * last byte, which path_size does not count) belong to the struct once blockfile_decode made it. */
struct blockfile {
    uint64_t block;
    struct uuid file;
    uint64_t index;
    uint64_t count;
    uint64_t size;
    int64_t ctime_ms;
    uint32_t crc;
    uint32_t *units;
    char *path;
    size_t path_size;
};

/* Append the trailer to out.  crc must be that of the units.  LITEDFS_INVALID if a field is out of its
 * bounds, LITEDFS_MEMORY. */
int blockfile_encode (struct buf *out, const struct blockfile *trailer, litedfs_error_t *error);

/* Read a trailer from its T bytes, where the file has file_size.  LITEDFS_CORRUPT if it is not one or
 * disagrees with itself or with file_size; LITEDFS_LAYOUT if it is whole but of a version that is not
 * known here; LITEDFS_MEMORY.  On success out is freed with blockfile_free, on failure it is empty. */
int blockfile_decode (struct slice bytes, uint64_t file_size, const char *name,
                      struct blockfile *out, litedfs_error_t *error);

/* Find and read the trailer of an open file.  Reads at most one trailer's worth, whatever the file says.
 * Errors as blockfile_decode, and LITEDFS_IO. */
int blockfile_read_trailer (int fd, const char *name, struct blockfile *out,
                            litedfs_error_t *error);

/* Write the trailer behind the data, at offset trailer->size, and cut the file behind it.
 * Errors as blockfile_encode, LITEDFS_NO_SPACE, LITEDFS_IO. */
int blockfile_write_trailer (int fd, const char *name, const struct blockfile *trailer,
                             litedfs_error_t *error);

/* Bytes of room that blockfile_read needs for a range: that of the whole units it touches. */
size_t blockfile_read_room (uint64_t offset, size_t size);

/* Read a range, cut at the block's end, and check every unit that it touches.  room has
 * blockfile_read_room (offset, size) bytes.  *out is the range, within room; *out_crc the CRC of exactly
 * these bytes.  LITEDFS_CORRUPT names the block and the unit; LITEDFS_IO; LITEDFS_INVALID for an offset
 * beyond the block's end. */
int blockfile_read (int fd, const char *name, const struct blockfile *trailer, uint64_t offset,
                    size_t size, void *room, struct slice *out, uint32_t *out_crc,
                    litedfs_error_t *error);

/* Read all of it and check every unit.  Errors as blockfile_read, LITEDFS_MEMORY. */
int blockfile_check (int fd, const char *name, const struct blockfile *trailer,
                     litedfs_error_t *error);

/* Free what blockfile_decode allocated and make it empty.  Keeps errno. */
void blockfile_free (struct blockfile *self);

#endif
