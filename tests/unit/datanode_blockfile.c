/* SPDX-License-Identifier: MIT */
/*
 * datanode/blockfile: what is encoded comes back; whatever else a file holds is told apart, to the bit.
 */
#include "datanode_store.h"

static int fd;

static void
setup (void)
{
    store_make_root ();
    snprintf (store_data, sizeof store_data, "%s/file", store_root);
    fd = open (store_data, O_RDWR | O_CREAT, 0644);
    ck_assert_int_ge (fd, 0);
}

static void
teardown (void)
{
    close (fd);
    nftw (store_root, store_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Write a block's file; its bytes are those of store_bytes. */
static void
make_file (uint64_t block, size_t size, const char *path)
{
    uint8_t *bytes = store_bytes (block, size);
    uint32_t *units = calloc (crc_unit_count (size) + 1, sizeof *units);
    crc_units (bytes, size, units);
    struct blockfile trailer = {.block = block,
                                .file = store_file (block),
                                .index = 5,
                                .count = 6,
                                .size = size,
                                .ctime_ms = 1700000000000,
                                .crc = crc32_of (0, bytes, size),
                                .units = units,
                                .path = (char *) path,
                                .path_size = strlen (path)};
    ck_assert_int_eq (ftruncate (fd, 0), 0);
    expect (0, file_pwrite_full (fd, bytes, size, 0, "file", &error));
    expect (0, blockfile_write_trailer (fd, "file", &trailer, &error));
    free (bytes);
    free (units);
}

/* What reading everything gives. */
static int
read_all (void)
{
    struct blockfile trailer;
    int rc = blockfile_read_trailer (fd, "file", &trailer, &error);
    if (rc == 0)
        rc = blockfile_check (fd, "file", &trailer, &error);
    blockfile_free (&trailer);
    return rc;
}

START_TEST (what_is_written_comes_back_for_every_size)
{
    size_t sizes[] = {0,      1,       100,     65535,         65536,         65537,
                      131072, 1000000, 1 << 20, (1 << 20) - 1, (1 << 20) + 1, 3 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct blockfile trailer;
        make_file (42, sizes[i], "/some/where");
        expect (0, blockfile_read_trailer (fd, "file", &trailer, &error));
        struct uuid file = store_file (42);
        ck_assert_uint_eq (trailer.block, 42);
        ck_assert (uuid_equal (&trailer.file, &file));
        ck_assert_uint_eq (trailer.index, 5);
        ck_assert_uint_eq (trailer.count, 6);
        ck_assert_uint_eq (trailer.size, sizes[i]);
        ck_assert_int_eq (trailer.ctime_ms, 1700000000000);
        ck_assert_str_eq (trailer.path, "/some/where");
        expect (0, blockfile_check (fd, "file", &trailer, &error));
        blockfile_free (&trailer);
    }
}
END_TEST

START_TEST (the_bytes_of_the_trailer_are_as_documented)
{
    uint8_t bytes[300];
    make_file (0x0102030405060708, 3, "/p");
    ssize_t size = pread (fd, bytes, sizeof bytes, 0);
    ck_assert_int_eq (size, 3 + 96 + 2 + 4);
    const uint8_t *trailer = bytes + 3;
    ck_assert_mem_eq (trailer, "LITEBLK1\x01\x00\x00\x00\x00\x00\x01\x00", 16);
    ck_assert_mem_eq (trailer + 16, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    ck_assert_mem_eq (trailer + 40, "\x05\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0",
                      24);
    ck_assert_mem_eq (trailer + 72, trailer + 82, 4); // one unit: its CRC is that of all
    ck_assert_mem_eq (trailer + 76, "\x02\0\0\0/p", 6);
    ck_assert_mem_eq (trailer + 86, "\x66\0\0\0", 4);
    ck_assert_mem_eq (trailer + 94, "LITEBLK1", 8);
}
END_TEST

START_TEST (every_flipped_bit_of_a_small_file_is_noticed)
{
    struct stat st;
    make_file (7, 200, "/a");
    ck_assert_int_eq (fstat (fd, &st), 0);
    for (off_t at = 0; at < st.st_size; at++)
        for (int bit = 0; bit < 8; bit++) {
            store_flip (store_data, at, (uint8_t) (1 << bit));
            ck_assert_msg (read_all () == LITEDFS_CORRUPT, "byte %ld bit %d", (long) at, bit);
            store_flip (store_data, at, (uint8_t) (1 << bit));
        }
    expect (0, read_all ());
}
END_TEST

START_TEST (a_file_that_is_cut_or_longer_is_corrupt)
{
    struct stat st;
    uint8_t copy[1000];
    make_file (7, 200, "/a");
    ck_assert_int_eq (fstat (fd, &st), 0);
    ck_assert_int_eq (pread (fd, copy, sizeof copy, 0), st.st_size);
    for (off_t size = 0; size < st.st_size; size++) {
        ck_assert_int_eq (ftruncate (fd, size), 0);
        ck_assert_int_eq (read_all (), LITEDFS_CORRUPT);
        ck_assert_int_eq (pwrite (fd, copy, (size_t) st.st_size, 0), st.st_size);
    }
    ck_assert_int_eq (ftruncate (fd, st.st_size + 1), 0);
    ck_assert_int_eq (read_all (), LITEDFS_CORRUPT);
    // A whole trailer behind other data: everything in it is right but the size.
    ck_assert_int_eq (pwrite (fd, copy, (size_t) st.st_size, 8), st.st_size);
    ck_assert_int_eq (read_all (), LITEDFS_CORRUPT);
}
END_TEST

/* Put a trailer together by hand, with a CRC that matches. */
static void
forge (uint32_t tail_size, uint64_t size, uint32_t path_size, unsigned version)
{
    struct buf bytes = {0};
    buf_put (&bytes, "LITEBLK1", 8);
    buf_put_u16 (&bytes, (uint16_t) version);
    buf_put_u16 (&bytes, 0);
    buf_put_u32 (&bytes, 65536);
    buf_put_u64 (&bytes, 9);
    buf_put (&bytes, "0123456789abcdef", 16);
    buf_put_u64 (&bytes, 0);
    buf_put_u64 (&bytes, 0);
    buf_put_u64 (&bytes, size);
    buf_put_u64 (&bytes, 0);
    buf_put_u32 (&bytes, 0);
    buf_put_u32 (&bytes, path_size);
    buf_put_u32 (&bytes, tail_size ? tail_size : 96);
    buf_put_u32 (&bytes, crc32_of (0, bytes.data, bytes.size));
    buf_put (&bytes, "LITEBLK1", 8);
    ck_assert_int_eq (ftruncate (fd, 0), 0);
    expect (0, file_pwrite_full (fd, bytes.data, bytes.size, 0, "file", &error));
    buf_free (&bytes);
}

START_TEST (lengths_that_lie_allocate_nothing_and_are_corrupt)
{
    forge (0, 0, 0, 1);
    expect (0, read_all ());
    forge (0, UINT64_MAX, 0, 1);
    ck_assert_int_eq (read_all (), LITEDFS_CORRUPT);
    forge (0, (uint64_t) 4 << 30, 0, 1);
    ck_assert_int_eq (read_all (), LITEDFS_CORRUPT);
    forge (0, 0, UINT32_MAX, 1);
    ck_assert_int_eq (read_all (), LITEDFS_CORRUPT);
    forge (UINT32_MAX, 0, 0, 1);
    ck_assert_int_eq (read_all (), LITEDFS_CORRUPT);
    forge (97, 0, 0, 1);
    ck_assert_int_eq (read_all (), LITEDFS_CORRUPT);
}
END_TEST

START_TEST (a_whole_trailer_of_a_newer_version_is_not_called_damaged)
{
    forge (0, 0, 0, 2);
    ck_assert_int_eq (read_all (), LITEDFS_LAYOUT);
}
END_TEST

START_TEST (any_range_is_read_with_the_crc_of_exactly_its_bytes)
{
    enum { SIZE = 300000 };
    struct blockfile trailer;
    struct rng rng;
    uint8_t *bytes = store_bytes (3, SIZE);
    make_file (3, SIZE, "");
    expect (0, blockfile_read_trailer (fd, "file", &trailer, &error));
    rng_seed (&rng, 1);
    for (int i = 0; i < 2000; i++) {
        uint64_t offset = rng_below (&rng, SIZE + 1);
        size_t size = (size_t) rng_below (&rng, 200000);
        if (i % 3 == 0)
            offset -= offset % CRC_UNIT;
        // The room is as small as may be, so that a sanitizer sees a byte too many.
        uint8_t *room = malloc (blockfile_read_room (offset, size));
        struct slice range;
        uint32_t crc;
        expect (
            0, blockfile_read (fd, "file", &trailer, offset, size, room, &range, &crc, &error));
        ck_assert_uint_eq (range.size, size < SIZE - offset ? size : SIZE - offset);
        ck_assert (range.size == 0 || memcmp (range.data, bytes + offset, range.size) == 0);
        ck_assert_uint_eq (crc, crc32_of (0, bytes + offset, range.size));
        free (room);
    }
    struct slice range;
    uint32_t crc;
    expect (LITEDFS_INVALID,
            blockfile_read (fd, "file", &trailer, SIZE + 1, 1, bytes, &range, &crc, &error));
    blockfile_free (&trailer);
    free (bytes);
}
END_TEST

START_TEST (damage_is_found_in_the_unit_that_has_it_and_in_no_other)
{
    struct blockfile trailer;
    struct slice range;
    uint32_t crc;
    uint8_t *room = malloc (4 * CRC_UNIT);
    make_file (3, 4 * CRC_UNIT, "");
    expect (0, blockfile_read_trailer (fd, "file", &trailer, &error));
    store_flip (store_data, 2 * CRC_UNIT + 77, 1);
    expect (0, blockfile_read (fd, "f", &trailer, 0, 2 * CRC_UNIT, room, &range, &crc, &error));
    expect (0, blockfile_read (fd, "f", &trailer, 3 * CRC_UNIT, 9, room, &range, &crc, &error));
    expect (LITEDFS_CORRUPT,
            blockfile_read (fd, "f", &trailer, 2 * CRC_UNIT, 1, room, &range, &crc, &error));
    ck_assert_ptr_nonnull (strstr (error.text, "block[0000000000000003]: unit 2 is damaged"));
    expect (LITEDFS_CORRUPT, blockfile_read (fd, "f", &trailer, CRC_UNIT, 3 * CRC_UNIT, room,
                                             &range, &crc, &error));
    blockfile_free (&trailer);
    free (room);
}
END_TEST

START_TEST (what_no_trailer_can_say_is_refused)
{
    struct buf out = {0};
    struct blockfile trailer = {.block = 0};
    expect (LITEDFS_INVALID, blockfile_encode (&out, &trailer, &error));
    trailer.block = 1;
    trailer.size = BLOCKFILE_SIZE_MAX + 1;
    expect (LITEDFS_INVALID, blockfile_encode (&out, &trailer, &error));
    trailer.size = 0;
    trailer.path_size = BLOCKFILE_PATH_MAX + 1;
    expect (LITEDFS_INVALID, blockfile_encode (&out, &trailer, &error));
    ck_assert_uint_eq (out.size, 0);
    buf_free (&out);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "datanode_blockfile", setup, teardown, what_is_written_comes_back_for_every_size,
    the_bytes_of_the_trailer_are_as_documented, every_flipped_bit_of_a_small_file_is_noticed,
    a_file_that_is_cut_or_longer_is_corrupt, lengths_that_lie_allocate_nothing_and_are_corrupt,
    a_whole_trailer_of_a_newer_version_is_not_called_damaged,
    any_range_is_read_with_the_crc_of_exactly_its_bytes,
    damage_is_found_in_the_unit_that_has_it_and_in_no_other, what_no_trailer_can_say_is_refused)
