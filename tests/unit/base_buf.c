/* SPDX-License-Identifier: MIT */
/*
 * base/buf: what was put is read again, nothing is read beyond the end, failures stick, and
 * limits hold.
 */
#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

START_TEST (slices_are_equal_by_their_bytes)
{
    ck_assert (slice_equal (slice_str ("abc"), slice_of ("abcd", 3)));
    ck_assert (!slice_equal (slice_str ("abc"), slice_str ("abd")));
    ck_assert (!slice_equal (slice_str ("abc"), slice_str ("ab")));
    ck_assert (slice_equal (slice_of (NULL, 0), slice_str ("")));
    ck_assert_uint_eq (slice_str (NULL).size, 0);
}
END_TEST

START_TEST (numbers_are_little_endian)
{
    static const uint8_t expected[] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f,
                                       0x0e, 0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08};
    struct buf buf = {0};

    buf_put_u8 (&buf, 0x01);
    buf_put_u16 (&buf, 0x0203);
    buf_put_u32 (&buf, 0x04050607);
    buf_put_u64 (&buf, 0x08090a0b0c0d0e0f);
    ck_assert (!buf.failed);
    ck_assert (slice_equal (buf_slice (&buf), slice_of (expected, sizeof expected)));
    buf_free (&buf);
}
END_TEST

START_TEST (keys_are_big_endian_and_sort_as_their_numbers)
{
    struct buf low = {0};
    struct buf high = {0};

    buf_put_be32 (&low, 0x010203ff);
    buf_put_be64 (&low, 255);
    buf_put_be32 (&high, 0x010203ff);
    buf_put_be64 (&high, 256);
    ck_assert_uint_eq (low.data[0], 1);
    ck_assert_uint_eq (low.size, 12);
    ck_assert_int_lt (memcmp (low.data, high.data, low.size), 0);
    buf_free (&low);
    buf_free (&high);
}
END_TEST

START_TEST (what_was_put_is_read_again)
{
    struct buf buf = {0};

    buf_put_u8 (&buf, UINT8_MAX);
    buf_put_u16 (&buf, UINT16_MAX);
    buf_put_u32 (&buf, UINT32_MAX);
    buf_put_u64 (&buf, UINT64_MAX);
    buf_put_be32 (&buf, 0xfedcba98);
    buf_put_be64 (&buf, 0xfedcba9876543210);
    buf_put_str (&buf, slice_str (""));
    buf_put_str (&buf, slice_of ("a\0b", 3));

    struct reader reader = reader_of (buf_slice (&buf));
    ck_assert_uint_eq (reader_u8 (&reader), UINT8_MAX);
    ck_assert_uint_eq (reader_u16 (&reader), UINT16_MAX);
    ck_assert_uint_eq (reader_u32 (&reader), UINT32_MAX);
    ck_assert_uint_eq (reader_u64 (&reader), UINT64_MAX);
    ck_assert_uint_eq (reader_be32 (&reader), 0xfedcba98);
    ck_assert_uint_eq (reader_be64 (&reader), 0xfedcba9876543210);
    ck_assert_uint_eq (reader_str (&reader).size, 0);
    ck_assert (!reader_done (&reader));
    ck_assert_uint_eq (reader_left (&reader), 5);
    ck_assert (slice_equal (reader_str (&reader), slice_of ("a\0b", 3)));
    ck_assert (reader_done (&reader));
    buf_free (&buf);
}
END_TEST

START_TEST (a_read_beyond_the_end_fails_and_stays_failed)
{
    static const uint8_t bytes[] = {1, 2, 3};
    struct reader reader = reader_of (slice_of (bytes, sizeof bytes));

    ck_assert_uint_eq (reader_u16 (&reader), 0x0201);
    ck_assert_uint_eq (reader_u16 (&reader), 0);
    ck_assert (reader.failed);
    ck_assert_uint_eq (reader_u8 (&reader), 0);
    ck_assert_ptr_null (reader_bytes (&reader, 0));
    ck_assert_uint_eq (reader_left (&reader), 0);
    ck_assert (!reader_done (&reader));
}
END_TEST

START_TEST (no_size_is_too_large_for_the_reader_to_refuse)
{
    static const uint8_t bytes[] = {1};
    struct reader reader = reader_of (slice_of (bytes, sizeof bytes));

    ck_assert_uint_eq (reader_u8 (&reader), 1);
    ck_assert_ptr_null (reader_bytes (&reader, SIZE_MAX));
    ck_assert (reader.failed);
}
END_TEST

START_TEST (a_text_that_is_shorter_than_its_length_is_refused_whole)
{
    static const uint8_t bytes[] = {4, 0, 'a', 'b', 'c'};
    struct reader reader = reader_of (slice_of (bytes, sizeof bytes));
    struct slice text = reader_str (&reader);

    ck_assert_ptr_null (text.data);
    ck_assert_uint_eq (text.size, 0);
    ck_assert (reader.failed);
    ck_assert_uint_eq (reader.at, 0);
}
END_TEST

START_TEST (an_empty_slice_is_done_and_gives_nothing)
{
    struct reader reader = reader_of (slice_of (NULL, 0));

    ck_assert (reader_done (&reader));
    ck_assert_ptr_nonnull (reader_bytes (&reader, 0));
    ck_assert (reader_done (&reader));
    ck_assert_uint_eq (reader_u8 (&reader), 0);
    ck_assert (reader.failed);
}
END_TEST

START_TEST (a_buffer_takes_its_maximum_and_not_a_byte_more)
{
    struct buf buf = {0};
    uint8_t *bytes = calloc (1, BUF_MAX);

    ck_assert_ptr_nonnull (bytes);
    buf_put (&buf, bytes, BUF_MAX);
    ck_assert (!buf.failed);
    ck_assert_uint_eq (buf.size, BUF_MAX);
    ck_assert_ptr_nonnull (buf_text (&buf));
    ck_assert (!buf.failed);

    buf_put_u8 (&buf, 1);
    ck_assert (buf.failed);
    ck_assert_uint_eq (buf.size, BUF_MAX);
    buf_clear (&buf);
    buf_put_u8 (&buf, 1);
    ck_assert (!buf.failed);
    ck_assert_uint_eq (buf.size, 1);
    buf_free (&buf);
    free (bytes);
}
END_TEST

START_TEST (a_failed_buffer_takes_nothing_until_it_is_cleared)
{
    struct buf buf = {0};

    buf_put_u8 (&buf, 1);
    ck_assert (!buf_reserve (&buf, SIZE_MAX));
    ck_assert (buf.failed);
    buf_put_u8 (&buf, 2);
    buf_printf (&buf, "text");
    buf_put_str (&buf, slice_str ("text"));
    ck_assert_uint_eq (buf.size, 1);
    ck_assert_str_eq (buf_text (&buf), "");
    buf_free (&buf);
    ck_assert (!buf.failed);
}
END_TEST

START_TEST (a_text_over_64_kib_fails)
{
    struct buf buf = {0};
    static char text[UINT16_MAX + 1];

    buf_put_str (&buf, slice_of (text, UINT16_MAX));
    ck_assert (!buf.failed);
    ck_assert_uint_eq (buf.size, 2 + UINT16_MAX);
    buf_put_str (&buf, slice_of (text, UINT16_MAX + 1));
    ck_assert (buf.failed);
    ck_assert_uint_eq (buf.size, 2 + UINT16_MAX);
    buf_free (&buf);
}
END_TEST

START_TEST (formatted_text_grows_the_buffer_and_counts_no_nul)
{
    struct buf buf = {0};

    for (int i = 0; i < 1000; i++)
        buf_printf (&buf, "%d,", i);
    ck_assert (!buf.failed);
    ck_assert_uint_eq (buf.size, strlen (buf_text (&buf)));
    ck_assert_int_eq (strncmp (buf_text (&buf), "0,1,2,", 6), 0);
    buf_free (&buf);
}
END_TEST

START_TEST (the_text_of_an_empty_buffer_is_empty)
{
    struct buf buf = {0};

    ck_assert_str_eq (buf_text (&buf), "");
    ck_assert (!buf.failed);
    ck_assert_uint_eq (buf.size, 0);
    buf_put (&buf, NULL, 0);
    ck_assert (!buf.failed);
    buf_free (&buf);
}
END_TEST

START_TEST (a_buffer_can_be_put_into_itself)
{
    struct buf buf = {0};

    buf_put (&buf, "0123456789abcdef", 16);
    for (int i = 0; i < 4; i++)
        buf_put (&buf, buf.data, buf.size);
    ck_assert_uint_eq (buf.size, 256);
    for (size_t at = 0; at < buf.size; at += 16)
        ck_assert_mem_eq (buf.data + at, "0123456789abcdef", 16);
    buf_free (&buf);
}
END_TEST

START_TEST (freeing_keeps_errno)
{
    struct buf buf = {0};
    struct arena arena = {0};

    buf_put_u8 (&buf, 1);
    ck_assert_ptr_nonnull (arena_alloc (&arena, 1));
    errno = EXDEV;
    buf_free (&buf);
    arena_free (&arena);
    ck_assert_int_eq (errno, EXDEV);
}
END_TEST

START_TEST (an_arena_gives_zeroed_aligned_memory_of_its_own)
{
    struct arena arena = {0};
    uint8_t *seen[200];

    for (size_t i = 0; i < 200; i++) {
        seen[i] = arena_alloc (&arena, i * 7);
        ck_assert_ptr_nonnull (seen[i]);
        ck_assert_uint_eq ((uintptr_t) seen[i] % _Alignof(max_align_t), 0);
        for (size_t at = 0; at < i * 7; at++)
            ck_assert_uint_eq (seen[i][at], 0);
        memset (seen[i], (int) i, i * 7);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t at = 0; at < i * 7; at++)
            ck_assert_uint_eq (seen[i][at], i);
    arena_free (&arena);
    ck_assert_ptr_null (arena.chunks);
    ck_assert_uint_eq (arena.used, 0);
}
END_TEST

START_TEST (an_arena_keeps_its_limit)
{
    struct arena arena = {.limit = 4096};

    ck_assert_ptr_null (arena_alloc (&arena, 4097));
    ck_assert_ptr_nonnull (arena_alloc (&arena, 4096));
    ck_assert_ptr_null (arena_alloc (&arena, 1));
    ck_assert_ptr_null (arena_alloc (&arena, 0));
    arena_free (&arena);
    ck_assert_uint_eq (arena.limit, 4096);
    ck_assert_ptr_nonnull (arena_alloc (&arena, 4000));
    arena_free (&arena);
}
END_TEST

START_TEST (empty_allocations_count_against_the_limit_too)
{
    struct arena arena = {.limit = 1024};
    int given = 0;

    while (given < 2000 && arena_alloc (&arena, 0))
        given++;
    ck_assert_int_le (given, 1024);
    arena_free (&arena);
}
END_TEST

START_TEST (an_arena_refuses_what_overflows)
{
    struct arena arena = {.limit = SIZE_MAX};

    ck_assert_ptr_null (arena_alloc (&arena, SIZE_MAX));
    ck_assert_ptr_null (arena_alloc (&arena, SIZE_MAX - 40));
    ck_assert_ptr_null (arena_alloc_array (&arena, SIZE_MAX / 2, 3));
    ck_assert_ptr_null (arena_copy (&arena, "", SIZE_MAX));
    ck_assert_ptr_nonnull (arena_alloc_array (&arena, 3, 5));
    arena_free (&arena);
}
END_TEST

START_TEST (large_allocations_leave_room_for_small_ones)
{
    struct arena arena = {0};

    char *small = arena_copy (&arena, "small", 5);
    char *large = arena_alloc (&arena, 1 << 20);
    char *next = arena_copy (&arena, NULL, 0);
    ck_assert_ptr_nonnull (large);
    ck_assert_str_eq (small, "small");
    ck_assert_str_eq (next, "");
    ck_assert (next > small && next < small + 1024); // in the same chunk
    memset (large, 1, 1 << 20);
    ck_assert_str_eq (small, "small");
    arena_free (&arena);
}
END_TEST

UNIT_MAIN ("base_buf", slices_are_equal_by_their_bytes, numbers_are_little_endian,
           keys_are_big_endian_and_sort_as_their_numbers, what_was_put_is_read_again,
           a_read_beyond_the_end_fails_and_stays_failed,
           no_size_is_too_large_for_the_reader_to_refuse,
           a_text_that_is_shorter_than_its_length_is_refused_whole,
           an_empty_slice_is_done_and_gives_nothing,
           a_buffer_takes_its_maximum_and_not_a_byte_more,
           a_failed_buffer_takes_nothing_until_it_is_cleared, a_text_over_64_kib_fails,
           formatted_text_grows_the_buffer_and_counts_no_nul,
           the_text_of_an_empty_buffer_is_empty, a_buffer_can_be_put_into_itself,
           freeing_keeps_errno, an_arena_gives_zeroed_aligned_memory_of_its_own,
           an_arena_keeps_its_limit, empty_allocations_count_against_the_limit_too,
           an_arena_refuses_what_overflows, large_allocations_leave_room_for_small_ones)
