/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_CRC_H
#define LITEDFS_BASE_CRC_H

/*
 * CRC-32 with zlib's polynomial, so that a script checks it with its standard library:
 * `python3 -c 'import zlib; print (zlib.crc32 (b"..."))'`.  The CRC of no bytes is 0.
 *
 * A block is checked in units of 64 KiB; the CRC of the whole follows from those of its units
 * without the bytes.
 */

#include <stddef.h>
#include <stdint.h>

/* The bytes that one unit CRC covers; the last unit of a block may be shorter. */
#define CRC_UNIT ((size_t) 65536)

/* Room for "crc32:xxxxxxxx" and its NUL. */
#define CRC_TEXT_SIZE 15

/* The CRC of all bytes so far, when `crc` is that of the bytes before (0 at the start). */
uint32_t crc32_of (uint32_t crc, const void *data, size_t size);

/* The CRC of A followed by B, when a and b are theirs and B has size_b bytes. */
uint32_t crc32_join (uint32_t a, uint32_t b, uint64_t size_b);

/* How many units size bytes have: 0 for 0. */
uint64_t crc_unit_count (uint64_t size);

/* Write the CRC of each unit of data, each from 0, to units, which has room for
 * crc_unit_count (size); returns how many. */
size_t crc_units (const void *data, size_t size, uint32_t *units);

/* The CRC of total_size bytes from those of its units. */
uint32_t crc_units_join (const uint32_t *units, uint64_t total_size);

/* Write "crc32:" and eight lower-case hex digits; returns out. */
char *crc_print (uint32_t crc, char out[CRC_TEXT_SIZE]);

#endif
