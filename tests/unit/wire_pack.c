/* SPDX-License-Identifier: MIT */
/*
 * wire/pack: what the scan takes and what it refuses, and that what it takes is unpacked whole
 * in bounded memory.
 */
#include "wire/pack.h"

#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include "unit.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* Scan a copy of exactly this size, so that a read beyond it is found by a sanitizer. */
static int
scan (const void *bytes, size_t size, litedfs_error_t *error)
{
    uint8_t *copy = calloc (1, size ? size : 1);
    memcpy (copy, bytes, size);
    int result = pack_scan (slice_of (copy, size), PACK_REQUEST_OBJECTS, error);
    free (copy);
    return result;
}

#define SCAN(text) scan (text, sizeof text - 1, NULL)

/* The memory of this process may grow by so much from now on; a sanitizer needs more than
 * any limit that is worth setting. */
static void
limit_memory (size_t bytes)
{
#ifdef SANITIZED
    (void) bytes;
#else
    struct rlimit limit;
    unsigned long pages = 0;
    FILE *file = fopen ("/proc/self/statm", "r");

    ck_assert_ptr_nonnull (file);
    ck_assert_int_eq (fscanf (file, "%lu", &pages), 1);
    fclose (file);
    ck_assert_int_eq (getrlimit (RLIMIT_AS, &limit), 0);
    limit.rlim_cur = pages * 4096 + bytes;
    ck_assert_int_eq (setrlimit (RLIMIT_AS, &limit), 0);
#endif
}

START_TEST (every_kind_of_object_but_ext_is_taken)
{
    ck_assert_int_eq (SCAN ("\x00"), 0);
    ck_assert_int_eq (SCAN ("\x7f"), 0);
    ck_assert_int_eq (SCAN ("\xe0"), 0);
    ck_assert_int_eq (SCAN ("\xff"), 0);
    ck_assert_int_eq (SCAN ("\xc0"), 0);
    ck_assert_int_eq (SCAN ("\xc2"), 0);
    ck_assert_int_eq (SCAN ("\xc3"), 0);
    ck_assert_int_eq (SCAN ("\xa0"), 0);
    ck_assert_int_eq (SCAN ("\xa3"
                            "abc"),
                      0);
    ck_assert_int_eq (SCAN ("\xc4\x01x"), 0);
    ck_assert_int_eq (SCAN ("\xc5\x00\x01x"), 0);
    ck_assert_int_eq (SCAN ("\xc6\x00\x00\x00\x01x"), 0);
    ck_assert_int_eq (SCAN ("\xca\x00\x00\x00\x00"), 0);
    ck_assert_int_eq (SCAN ("\xcb\x00\x00\x00\x00\x00\x00\x00\x00"), 0);
    ck_assert_int_eq (SCAN ("\xcc\x01"), 0);
    ck_assert_int_eq (SCAN ("\xcd\x01\x02"), 0);
    ck_assert_int_eq (SCAN ("\xce\x01\x02\x03\x04"), 0);
    ck_assert_int_eq (SCAN ("\xcf\x01\x02\x03\x04\x05\x06\x07\x08"), 0);
    ck_assert_int_eq (SCAN ("\xd0\x01"), 0);
    ck_assert_int_eq (SCAN ("\xd1\x01\x02"), 0);
    ck_assert_int_eq (SCAN ("\xd2\x01\x02\x03\x04"), 0);
    ck_assert_int_eq (SCAN ("\xd3\x01\x02\x03\x04\x05\x06\x07\x08"), 0);
    ck_assert_int_eq (SCAN ("\xd9\x01x"), 0);
    ck_assert_int_eq (SCAN ("\xda\x00\x01x"), 0);
    ck_assert_int_eq (SCAN ("\xdb\x00\x00\x00\x01x"), 0);
    ck_assert_int_eq (SCAN ("\x90"), 0);
    ck_assert_int_eq (SCAN ("\xdc\x00\x01\xc0"), 0);
    ck_assert_int_eq (SCAN ("\xdd\x00\x00\x00\x01\xc0"), 0);
    ck_assert_int_eq (SCAN ("\x80"), 0);
    ck_assert_int_eq (SCAN ("\xde\x00\x01\xa1k\xc0"), 0);
    ck_assert_int_eq (SCAN ("\xdf\x00\x00\x00\x01\xd9\x01k\xc0"), 0);
}
END_TEST

START_TEST (ext_types_and_the_unused_tag_are_refused)
{
    static const uint8_t refused[] = {0xc1, 0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8};

    for (size_t i = 0; i < sizeof refused; i++) {
        uint8_t frame[32] = {refused[i]};
        litedfs_error_t error;
        ck_assert_int_eq (scan (frame, sizeof frame, &error), LITEDFS_INVALID);
        ck_assert_str_eq (error.text, "message: this type is not used here (at byte 0 of 32)");
    }
}
END_TEST

START_TEST (counts_and_lengths_that_the_frame_does_not_hold_are_refused)
{
    ck_assert_int_eq (SCAN (""), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xdd\xff\xff\xff\xff"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xdd\x10\x00\x00\x00"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xdf\xff\xff\xff\xff"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xdf\x80\x00\x00\x00"),
                      LITEDFS_INVALID); // twice it is 0 in 32 bits
    ck_assert_int_eq (SCAN ("\xdf\x02\x00\x00\x00"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xdc\xff\xff"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xde\xff\xff"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\x9f"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\x8f"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\x81\xa1k"), LITEDFS_INVALID); // a key without a value
    ck_assert_int_eq (SCAN ("\xdb\xff\xff\xff\xff"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xdb\x7f\xff\xff\xff"
                            "abc"),
                      LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xda\xff\xff"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xd9\xff"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xbf"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xc6\xff\xff\xff\xff"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xc5\xff\xff"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xc4\xff"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xdd\x00\x00"), LITEDFS_INVALID); // not even the count
    ck_assert_int_eq (SCAN ("\xd9"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xcf\x01\x02"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\xca\x01"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\x92\xdd\xff\xff\xff\xff\xc0"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\x82\xa1k\xc0"), LITEDFS_INVALID);
}
END_TEST

START_TEST (what_follows_the_object_is_refused)
{
    litedfs_error_t error;

    ck_assert_int_eq (scan ("\x80\xc0", 2, &error), LITEDFS_INVALID);
    ck_assert_str_eq (error.text, "message: something follows its end (at byte 1 of 2)");
    ck_assert_int_eq (SCAN ("\x91\xc0\x00"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\x00\x00"), LITEDFS_INVALID);
}
END_TEST

START_TEST (keys_are_text)
{
    litedfs_error_t error;

    ck_assert_int_eq (scan ("\x82\xa1k\xc0\x01\xc0", 6, &error), LITEDFS_INVALID);
    ck_assert_str_eq (error.text, "message: a key is not text (at byte 4 of 6)");
    ck_assert_int_eq (SCAN ("\x81\xc4\x01k\xc0"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\x81\xc0\xc0"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\x81\x90\xc0"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\x81\x80\xc0"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\x91\x81\x01\xc0"), LITEDFS_INVALID);
    ck_assert_int_eq (SCAN ("\x82\xa1k\x91\xc0\xa1l\xc0"), 0); // a list is one value
}
END_TEST

START_TEST (nesting_ends_at_the_limit)
{
    uint8_t frame[4096];
    litedfs_error_t error;

    memset (frame, 0x91, sizeof frame); // a list of one element
    frame[PACK_DEPTH_MAX] = 0xc0;
    ck_assert_int_eq (scan (frame, PACK_DEPTH_MAX + 1, &error), 0);
    frame[PACK_DEPTH_MAX] = 0x90; // even an empty one is one more
    ck_assert_int_eq (scan (frame, PACK_DEPTH_MAX + 1, &error), LITEDFS_INVALID);
    frame[PACK_DEPTH_MAX] = 0x91;
    ck_assert_int_eq (scan (frame, sizeof frame, &error), LITEDFS_INVALID);
    ck_assert_str_eq (error.text,
                      "message: its maps and lists are nested too deep (at byte 9 of 4096)");
    for (size_t i = 0; i + 3 <= sizeof frame; i += 3)
        memcpy (frame + i, "\x81\xa1k", 3);
    ck_assert_int_eq (scan (frame, sizeof frame, &error), LITEDFS_INVALID);
}
END_TEST

START_TEST (depth_is_counted_from_open_lists_only)
{
    uint8_t frame[200];

    frame[0] = 0xdc; // a list of 198 empty ones, one after the other
    frame[1] = 0;
    frame[2] = 197;
    memset (frame + 3, 0x90, 197);
    ck_assert_int_eq (scan (frame, sizeof frame, NULL), 0);
}
END_TEST

/* A frame of `count` nils in one list. */
static uint8_t *
nils (size_t count)
{
    uint8_t *frame = malloc (count + 5);

    frame[0] = 0xdd;
    for (int i = 0; i < 4; i++)
        frame[1 + i] = (uint8_t) (count >> (8 * (3 - i)));
    memset (frame + 5, 0xc0, count);
    return frame;
}

START_TEST (elements_are_counted)
{
    uint8_t *frame = nils (PACK_REQUEST_OBJECTS);
    litedfs_error_t error;

    ck_assert_int_eq (scan (frame, PACK_REQUEST_OBJECTS + 5, &error), LITEDFS_INVALID);
    ck_assert_str_eq (error.text, "message: it has too many elements (at byte 65540 of 65541)");
    frame[1 + 1] = 0, frame[1 + 2] = 0xff, frame[1 + 3] = 0xff; // 65,535 and the list itself
    ck_assert_int_eq (scan (frame, PACK_REQUEST_OBJECTS + 4, &error), 0);
    free (frame);
}
END_TEST

START_TEST (frames_have_a_greatest_size)
{
    uint8_t *frame = malloc (PACK_FRAME_MAX + 1);
    litedfs_error_t error;

    memset (frame, 'x', PACK_FRAME_MAX + 1);
    memcpy (frame, "\xc6\x00\x0f\xff\xfb", 5);
    ck_assert_int_eq (scan (frame, PACK_FRAME_MAX, &error), 0);
    memcpy (frame, "\xc6\x00\x0f\xff\xfc", 5);
    ck_assert_int_eq (scan (frame, PACK_FRAME_MAX + 1, &error), LITEDFS_INVALID);
    ck_assert_str_eq (error.text, "message: it has 1048577 bytes; at most 1048576 are taken");
    free (frame);
}
END_TEST

START_TEST (text_and_bytes_point_into_the_frame)
{
    static const uint8_t frame[] = "\x82\xa1k\xa3"
                                   "abc\xa1l\xc4\x02xy";
    msgpack_unpacked unpacked;

    ck_assert_int_eq (pack_unpack (slice_of (frame, sizeof frame - 1), 100, &unpacked, NULL),
                      0);
    const msgpack_object *k = pack_find (&unpacked.data.via.map, "k");
    const msgpack_object *l = pack_find (&unpacked.data.via.map, "l");
    ck_assert_ptr_eq (k->via.str.ptr, frame + 4);
    ck_assert_uint_eq (k->via.str.size, 3);
    ck_assert_ptr_eq (l->via.bin.ptr, frame + 11);
    ck_assert_ptr_null (pack_find (&unpacked.data.via.map, "m"));
    ck_assert_ptr_null (pack_find (&unpacked.data.via.map, ""));
    msgpack_unpacked_destroy (&unpacked);
}
END_TEST

START_TEST (the_worst_frames_are_unpacked_or_refused_in_bounded_memory)
{
    uint8_t *frame = nils (PACK_REQUEST_OBJECTS - 1);
    msgpack_unpacked unpacked;
    litedfs_error_t error;

    limit_memory ((size_t) 8 << 20);
    ck_assert_int_eq (pack_unpack (slice_of (frame, PACK_REQUEST_OBJECTS + 4),
                                   PACK_REQUEST_OBJECTS, &unpacked, &error),
                      0);
    ck_assert_uint_eq (unpacked.data.via.array.size, PACK_REQUEST_OBJECTS - 1);
    msgpack_unpacked_destroy (&unpacked);
    free (frame);

    static const char *const hostile[] = {"\xdd\xff\xff\xff\xff", "\xdd\x10\x01\x01\x01",
                                          "\xdf\xff\xff\xff\xff", "\xdf\x02\x01\x01\x01",
                                          "\xdb\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff",
                                          "\xc9\xff\xff\xff\xff"};
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
        ck_assert_int_eq (
            pack_unpack (slice_of (hostile[i], 5), PACK_REPLY_OBJECTS, &unpacked, &error),
            LITEDFS_INVALID);
}
END_TEST

/* Random bytes, drawn so that structure is likely: what the scan takes, msgpack-c takes too. */
START_TEST (what_the_scan_takes_is_unpacked)
{
    static const uint8_t likely[] = {0x80, 0x81, 0x82, 0x90, 0x91, 0x92, 0xa0,
                                     0xa1, 0xc0, 0xc2, 0xc4, 0xca, 0xcc, 0xcd,
                                     0xd0, 0xd9, 0xdc, 0xde, 0x00, 0x01};
    unsigned long taken = 0;
    uint64_t state = 1;

    for (int round = 0; round < 60000; round++) {
        uint8_t frame[12];
        for (size_t i = 0; i < sizeof frame; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            frame[i] = likely[(state >> 33) % sizeof likely];
        }
        for (size_t size = 1; size <= sizeof frame; size++) {
            msgpack_unpacked unpacked;
            litedfs_error_t error = {0};
            int result = pack_unpack (slice_of (frame, size), 100, &unpacked, &error);
            ck_assert_msg (!strstr (error.text, "not msgpack"), "%s", error.text);
            if (result == 0) {
                taken++;
                msgpack_unpacked_destroy (&unpacked);
            }
        }
    }
    ck_assert_uint_gt (taken, 1000);
}
END_TEST

START_TEST (counting_and_writing_agree)
{
    struct buf out = {0};
    size_t count;
    msgpack_packer packer;

    for (int pass = 0; pass < 2; pass++) {
        if (pass == 0)
            pack_to_buf (&packer, &out);
        else
            pack_to_count (&packer, &count);
        msgpack_pack_map (&packer, 1);
        pack_text (&packer, "key", 3);
        pack_bytes (&packer, "\x00\x01", 2);
    }
    ck_assert_uint_eq (count, out.size);
    ck_assert_mem_eq (out.data,
                      "\x81\xa3"
                      "key\xc4\x02\x00\x01",
                      out.size);
    buf_free (&out);
}
END_TEST

UNIT_MAIN ("wire_pack", every_kind_of_object_but_ext_is_taken,
           ext_types_and_the_unused_tag_are_refused,
           counts_and_lengths_that_the_frame_does_not_hold_are_refused,
           what_follows_the_object_is_refused, keys_are_text, nesting_ends_at_the_limit,
           depth_is_counted_from_open_lists_only, elements_are_counted,
           frames_have_a_greatest_size, text_and_bytes_point_into_the_frame,
           the_worst_frames_are_unpacked_or_refused_in_bounded_memory,
           what_the_scan_takes_is_unpacked, counting_and_writing_agree)
