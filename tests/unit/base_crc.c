/* SPDX-License-Identifier: MIT */
/*
 * base/crc: the polynomial is zlib's, joined pieces give the CRC of the whole.
 */
#include "base/crc.h"

#include "base/id.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "unit.h"

// Bytes that repeat with no power of two.
static uint8_t *
make_bytes (size_t size)
{
    uint8_t *bytes = malloc (size ? size : 1);
    struct rng rng;

    ck_assert_ptr_nonnull (bytes);
    rng_seed (&rng, 42);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t) rng_next (&rng);
    return bytes;
}

START_TEST (the_check_value_of_the_polynomial_is_right)
{
    ck_assert_uint_eq (crc32_of (0, "123456789", 9), 0xcbf43926);
    ck_assert_uint_eq (crc32_of (0, "", 0), 0);
    ck_assert_uint_eq (crc32_of (0, NULL, 0), 0);
    ck_assert_uint_eq (crc32_of (0x1234, NULL, 0), 0x1234);
}
END_TEST

START_TEST (it_agrees_with_zlib_in_one_go_and_in_pieces)
{
    uint8_t *bytes = make_bytes (100000);

    for (size_t size = 0; size < 100000; size = size * 3 + 1) {
        uint32_t expected = (uint32_t) crc32 (0, bytes, (uInt) size);
        uint32_t first = crc32_of (0, bytes, size / 3);
        ck_assert_uint_eq (crc32_of (0, bytes, size), expected);
        ck_assert_uint_eq (crc32_of (first, bytes + size / 3, size - size / 3), expected);
    }
    free (bytes);
}
END_TEST

START_TEST (joined_crcs_are_those_of_joined_bytes)
{
    uint8_t *bytes = make_bytes (5000);
    static const size_t cuts[] = {0, 1, 7, 2500, 4999, 5000};

    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        uint32_t a = crc32_of (0, bytes, cuts[i]);
        uint32_t b = crc32_of (0, bytes + cuts[i], 5000 - cuts[i]);
        ck_assert_uint_eq (crc32_join (a, b, 5000 - cuts[i]), crc32_of (0, bytes, 5000));
    }
    free (bytes);
}
END_TEST

START_TEST (the_length_of_a_join_may_pass_32_and_63_bits)
{
    uint64_t half = (uint64_t) 1 << 32;
    uint32_t all = 0x12345678;

    // Joining twice 2^32 zero bytes is joining 2^33 of them, and so on.
    uint32_t zeros = 0;
    for (int i = 0; i < 16; i++)
        zeros = crc32_join (zeros, crc32_of (0, "\0\0\0\0\0\0\0\0", 8), 8);
    ck_assert_uint_eq (zeros, crc32_of (0, (char[128]){0}, 128));

    uint32_t twice = crc32_join (crc32_join (all, 0, half), 0, half);
    ck_assert_uint_eq (crc32_join (all, 0, 2 * half), twice);
    uint32_t largest = crc32_join (crc32_join (all, 0, UINT64_MAX / 2), 0, UINT64_MAX / 2 + 1);
    ck_assert_uint_eq (crc32_join (all, 0, UINT64_MAX), largest);
}
END_TEST

START_TEST (units_are_counted_with_the_short_one_at_the_end)
{
    ck_assert_uint_eq (crc_unit_count (0), 0);
    ck_assert_uint_eq (crc_unit_count (1), 1);
    ck_assert_uint_eq (crc_unit_count (CRC_UNIT), 1);
    ck_assert_uint_eq (crc_unit_count (CRC_UNIT + 1), 2);
    ck_assert_uint_eq (crc_unit_count (UINT64_MAX), UINT64_MAX / CRC_UNIT + 1);
}
END_TEST

START_TEST (the_crc_of_the_whole_follows_from_those_of_its_units)
{
    static const size_t sizes[] = {
        0, 1, CRC_UNIT - 1, CRC_UNIT, CRC_UNIT + 1, 2 * CRC_UNIT, 5 * CRC_UNIT + 17};
    uint8_t *bytes = make_bytes (6 * CRC_UNIT);

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t units[6];
        ck_assert_uint_eq (crc_units (bytes, sizes[i], units), crc_unit_count (sizes[i]));
        ck_assert_uint_eq (crc_units_join (units, sizes[i]), crc32_of (0, bytes, sizes[i]));
    }
    free (bytes);
}
END_TEST

START_TEST (a_changed_bit_in_any_unit_changes_the_whole)
{
    uint8_t *bytes = make_bytes (3 * CRC_UNIT);
    uint32_t units[3];
    size_t count = crc_units (bytes, 3 * CRC_UNIT, units);
    uint32_t whole = crc_units_join (units, 3 * CRC_UNIT);

    for (size_t i = 0; i < count; i++) {
        units[i] ^= 1;
        ck_assert_uint_ne (crc_units_join (units, 3 * CRC_UNIT), whole);
        units[i] ^= 1;
    }
    free (bytes);
}
END_TEST

START_TEST (it_prints_with_all_its_zeros)
{
    char text[CRC_TEXT_SIZE];

    ck_assert_str_eq (crc_print (0xab, text), "crc32:000000ab");
    ck_assert_str_eq (crc_print (UINT32_MAX, text), "crc32:ffffffff");
}
END_TEST

UNIT_MAIN ("base_crc", the_check_value_of_the_polynomial_is_right,
           it_agrees_with_zlib_in_one_go_and_in_pieces, joined_crcs_are_those_of_joined_bytes,
           the_length_of_a_join_may_pass_32_and_63_bits,
           units_are_counted_with_the_short_one_at_the_end,
           the_crc_of_the_whole_follows_from_those_of_its_units,
           a_changed_bit_in_any_unit_changes_the_whole, it_prints_with_all_its_zeros)
