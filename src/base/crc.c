/* SPDX-License-Identifier: MIT */
/*
 * CRC-32: libdeflate computes it, because it is several times faster than zlib where the
 * machine has carry-less multiplication or CRC instructions; zlib joins, because libdeflate
 * cannot.
 *
 * Joining costs a multiplication of polynomials modulo the CRC's.  For whole units the one
 * factor is always the same, so it is worked out once a call and not once a unit.
 */
#include "base/crc.h"

#include <libdeflate.h>
#include <stdio.h>
#include <sys/types.h>
#include <zlib.h>

// zlib takes the length of the second part as an off_t; a block of 4 GiB must fit on any
// machine.
_Static_assert(sizeof (off_t) == 8, "build with -D_FILE_OFFSET_BITS=64");

uint32_t
crc32_of (uint32_t crc, const void *data, size_t size)
{
    // libdeflate gives the initial value for NULL, whatever crc is.
    return size == 0 ? crc : libdeflate_crc32 (crc, data, size);
}

uint32_t
crc32_join (uint32_t a, uint32_t b, uint64_t size_b)
{
    // The operator of a length has the period 2^32 - 1 bits; reducing keeps it within any
    // off_t.
    return size_b == 0 ? a : (uint32_t) crc32_combine (a, b, (z_off_t) (size_b % UINT32_MAX));
}

uint64_t
crc_unit_count (uint64_t size)
{
    return size / CRC_UNIT + (size % CRC_UNIT != 0);
}

size_t
crc_units (const void *data, size_t size, uint32_t *units)
{
    const unsigned char *bytes = data;
    size_t count = 0;

    for (size_t at = 0; at < size; at += CRC_UNIT) {
        size_t length = size - at < CRC_UNIT ? size - at : CRC_UNIT;
        units[count++] = crc32_of (0, bytes + at, length);
    }
    return count;
}

uint32_t
crc_units_join (const uint32_t *units, uint64_t total_size)
{
    uint64_t whole = total_size / CRC_UNIT;
    uint64_t rest = total_size % CRC_UNIT;
    uint32_t crc = 0;

    if (whole > 0) {
        uLong shift = crc32_combine_gen ((z_off_t) CRC_UNIT);
        crc = units[0];
        for (uint64_t i = 1; i < whole; i++)
            crc = (uint32_t) crc32_combine_op (crc, units[i], shift);
    }
    return rest > 0 ? crc32_join (crc, units[whole], rest) : crc;
}

char *
crc_print (uint32_t crc, char out[CRC_TEXT_SIZE])
{
    snprintf (out, CRC_TEXT_SIZE, "crc32:%08x", (unsigned) crc);
    return out;
}
