/* SPDX-License-Identifier: MIT */
/*
 * client/source: the bytes of an upload, from a file or a stream, can be read block by block and again.
 */
#include "client/source.h"

#include "base/err.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#define BLOCK ((uint64_t) 65536)

static char path[64];
static int file_fd;
static int stream[2];
static struct source *source;

static void
setup (void)
{
    strcpy (path, "/tmp/litedfs-source-XXXXXX");
    file_fd = mkstemp (path);
    ck_assert_int_ge (file_fd, 0);
    ck_assert_int_eq (pipe (stream), 0);
    fcntl (stream[1], F_SETPIPE_SZ, 1 << 20);
}

static void
teardown (void)
{
    source_close (&source);
    ck_assert_ptr_null (source);
    close (file_fd);
    close (stream[0]);
    if (stream[1] >= 0)
        close (stream[1]);
    unlink (path);
}

/* Bytes that differ from block to block. */
static uint8_t
byte_at (uint64_t at)
{
    return (uint8_t) (at * 31 + at / BLOCK);
}

static void
put (int fd, uint64_t from, uint64_t size)
{
    uint8_t *bytes = malloc (size);
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = byte_at (from + i);
    ck_assert_int_eq (write (fd, bytes, size), (ssize_t) size);
    free (bytes);
}

static void
check_block (uint64_t index, uint64_t size)
{
    uint8_t bytes[BLOCK];
    litedfs_error_t error;
    ck_assert_msg (source_read (source, index, 0, bytes, size, &error) == 0, "%s", error.text);
    for (uint64_t i = 0; i < size; i++)
        ck_assert_uint_eq (bytes[i], byte_at (index * BLOCK + i));
}

static void
open_stream (void)
{
    ck_assert_int_eq (source_open (&source, stream[0], false, NULL), 0);
    source_set_block_size (source, BLOCK);
}

static void
end_stream (void)
{
    close (stream[1]);
    stream[1] = -1;
}

START_TEST (a_file_knows_its_size_and_all_its_blocks_at_once)
{
    bool complete;
    put (file_fd, 0, 2 * BLOCK + 5);
    ck_assert_int_eq (source_open (&source, file_fd, false, NULL), 0);
    source_set_block_size (source, BLOCK);

    ck_assert (source_begun (source));
    ck_assert (!source_wants_input (source));
    ck_assert_uint_eq (source_size (source), 2 * BLOCK + 5);
    ck_assert_uint_eq (source_count (source), 3);
    ck_assert_uint_eq (source_available (source, 1, &complete), BLOCK);
    ck_assert (complete);
    ck_assert_uint_eq (source_available (source, 2, &complete), 5);
    ck_assert (complete);
    check_block (2, 5);
    check_block (0, BLOCK);
}
END_TEST

START_TEST (a_file_that_becomes_shorter_is_an_error_and_not_zeros)
{
    uint8_t bytes[16];
    litedfs_error_t error;
    put (file_fd, 0, 100);
    ck_assert_int_eq (source_open (&source, file_fd, false, NULL), 0);
    source_set_block_size (source, BLOCK);
    ck_assert_int_eq (ftruncate (file_fd, 50), 0);
    ck_assert_int_eq (source_read (source, 0, 40, bytes, sizeof bytes, &error), LITEDFS_IO);
    ck_assert_ptr_nonnull (strstr (error.text, "shorter"));
}
END_TEST

START_TEST (a_directory_is_refused)
{
    int fd = open ("/tmp", O_RDONLY);
    ck_assert_int_eq (source_open (&source, fd, false, NULL), LITEDFS_IS_DIRECTORY);
    close (fd);
}
END_TEST

START_TEST (an_empty_stream_has_no_block)
{
    open_stream ();
    ck_assert (!source_begun (source));
    end_stream ();
    ck_assert_int_eq (source_fill (source, NULL), 0);
    ck_assert (source_begun (source));
    ck_assert_uint_eq (source_size (source), 0);
    ck_assert_uint_eq (source_count (source), 0);
}
END_TEST

START_TEST (a_full_block_is_complete_only_when_it_is_known_whether_it_is_the_last)
{
    bool complete;
    open_stream ();
    put (stream[1], 0, BLOCK);
    ck_assert_int_eq (source_fill (source, NULL), 0);
    ck_assert_uint_eq (source_available (source, 0, &complete), BLOCK);
    ck_assert (!complete);
    ck_assert_uint_eq (source_count (source), UINT64_MAX);
    end_stream ();
    ck_assert_int_eq (source_fill (source, NULL), 0);
    ck_assert_uint_eq (source_available (source, 0, &complete), BLOCK);
    ck_assert (complete);
    ck_assert_uint_eq (source_count (source), 1);
}
END_TEST

START_TEST (a_stream_waits_when_its_spools_are_full_and_goes_on_when_a_block_is_released)
{
    open_stream ();
    put (stream[1], 0, 3 * BLOCK);
    end_stream ();
    while (source_wants_input (source))
        ck_assert_int_eq (source_fill (source, NULL), 0);
    ck_assert_uint_eq (source_size (source), UINT64_MAX);
    check_block (0, BLOCK);
    check_block (1, BLOCK);
    check_block (0, BLOCK); // again: it was not released
    source_release (source, 0);
    while (source_wants_input (source))
        ck_assert_int_eq (source_fill (source, NULL), 0);
    check_block (2, BLOCK);
    check_block (1, BLOCK);
    source_release (source, 1);
    while (source_wants_input (source))
        ck_assert_int_eq (source_fill (source, NULL), 0);
    ck_assert_uint_eq (source_count (source), 3);
}
END_TEST

START_TEST (a_spool_that_cannot_be_made_names_tmpdir)
{
    litedfs_error_t error;
    setenv ("TMPDIR", "/nowhere/at/all", 1);
    open_stream ();
    put (stream[1], 0, 10);
    ck_assert_int_lt (source_fill (source, &error), 0);
    ck_assert_ptr_nonnull (strstr (error.text, "/nowhere/at/all"));
}
END_TEST

UNIT_MAIN_FIXTURE ("client_source", setup, teardown,
                   a_file_knows_its_size_and_all_its_blocks_at_once,
                   a_file_that_becomes_shorter_is_an_error_and_not_zeros,
                   a_directory_is_refused, an_empty_stream_has_no_block,
                   a_full_block_is_complete_only_when_it_is_known_whether_it_is_the_last,
                   a_stream_waits_when_its_spools_are_full_and_goes_on_when_a_block_is_released,
                   a_spool_that_cannot_be_made_names_tmpdir)
