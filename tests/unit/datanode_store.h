/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_DATANODE_STORE_H
#define LITEDFS_TESTS_DATANODE_STORE_H

/*
 * A block store in a directory of its own, and blocks with known bytes, for the tests of the data node.
 * store_setup and store_teardown are a checked fixture; the directory goes with it.
 */

#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "datanode/blockfile.h"
#include "datanode/blockstore.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char store_root[64];      // a temporary directory
static char store_data[96];      // data_path in it
static struct blockstore *store; // open during a test
static struct fake_clock store_clock;
static litedfs_error_t error;

static inline int
store_remove_entry (const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void) st;
    (void) type;
    (void) walk;
    return remove (path);
}

/* Fail with the error's text unless rc is `expected`. */
#define expect(expected, rc)                                                                   \
    do {                                                                                       \
        int expect_rc = (rc);                                                                  \
        ck_assert_msg (expect_rc == (expected), "%s: %d (%s), expected %d", #rc, expect_rc,    \
                       expect_rc < 0 ? error.text : "", (expected));                           \
    } while (0)

static inline struct blockstore_options
store_options (void)
{
    return (struct blockstore_options){.path = store_data,
                                       .sync = true,
                                       .index_map = (uint64_t) 64 << 20,
                                       .clock = &store_clock.clock};
}

static inline void
store_open (void)
{
    struct blockstore_options options = store_options ();
    expect (0, blockstore_open (&store, &options, &error));
}

static inline void
store_reopen (void)
{
    blockstore_close (&store);
    store_open ();
}

static inline void
store_make_root (void)
{
    strcpy (store_root, "/tmp/litedfs-store-XXXXXX");
    ck_assert (mkdtemp (store_root) != NULL);
    snprintf (store_data, sizeof store_data, "%s/data", store_root);
    fake_clock_init (&store_clock, 1000, 1700000000000);
}

static inline void
store_setup (void)
{
    store_make_root ();
    store_open ();
}

static inline void
store_teardown (void)
{
    blockstore_close (&store);
    nftw (store_root, store_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Bytes that differ from block to block and from place to place. */
static inline uint8_t *
store_bytes (uint64_t block, size_t size)
{
    uint8_t *bytes = malloc (size + 1);
    struct rng rng;
    rng_seed (&rng, block);
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = rng_next (&rng);
        memcpy (bytes + i, &word, size - i < 8 ? size - i : 8);
    }
    return bytes;
}

static inline struct uuid
store_file (uint64_t block)
{
    struct uuid file;
    uuid_v8 (&file, block, ~block);
    return file;
}

/* Begin a block and append its bytes. */
static inline struct writing *
store_write (uint64_t block, size_t size)
{
    struct writing *writing;
    struct uuid file = store_file (block);
    expect (0, blockstore_begin (store, block, &file, block % 7, "/a/path", 7, &writing, NULL,
                                 &error));
    uint8_t *bytes = store_bytes (block, size);
    expect (0, blockstore_append (writing, 0, bytes, size, NULL, &error));
    free (bytes);
    return writing;
}

/* Write and finish a block; returns its number. */
static inline uint64_t
store_put (uint64_t block, size_t size)
{
    struct blockstore_finish item = {.writing = store_write (block, size), .count = 3};
    expect (0, blockstore_finish (store, &item, 1, &error));
    ck_assert (item.writing == NULL);
    ck_assert_uint_eq (item.size, size);
    return item.seq;
}

/* Check every byte of a block. */
static inline void
store_check (uint64_t block, size_t size)
{
    size_t step = (size_t) 1 << 20;
    uint8_t *room = malloc (blockstore_read_room (0, step) + 1);
    uint8_t *bytes = store_bytes (block, size);
    struct blockstore_block row;
    expect (0, blockstore_stat (store, block, &row, &error));
    ck_assert_uint_eq (row.size, size);
    ck_assert_uint_eq (row.crc, crc32_of (0, bytes, size));
    for (size_t at = 0; at <= size; at += step) {
        struct slice range;
        uint32_t crc;
        expect (0, blockstore_read (store, block, at, step, room, &range, &crc, &error));
        ck_assert_uint_eq (range.size, size - at < step ? size - at : step);
        ck_assert (range.size == 0 || memcmp (range.data, bytes + at, range.size) == 0);
        ck_assert_uint_eq (crc, crc32_of (0, range.data, range.size));
    }
    free (bytes);
    free (room);
}

static inline int
store_stat (uint64_t block)
{
    struct blockstore_block row;
    return blockstore_stat (store, block, &row, &error);
}

/* Names below data_path. */
static inline const char *
store_path (const char *format, uint64_t block)
{
    static char path[256];
    size_t size = (size_t) snprintf (path, sizeof path, "%s/", store_data);
    if (strcmp (format, "blocks") == 0)
        snprintf (path + size, sizeof path - size, "blocks/%02x/%016" PRIx64,
                  (unsigned) (block & 0xff), block);
    else
        snprintf (path + size, sizeof path - size, "%s/%016" PRIx64, format, block);
    return path;
}

static inline bool
store_has_file (const char *directory, uint64_t block)
{
    return access (store_path (directory, block), F_OK) == 0;
}

/* XOR a byte of a file, counted from its end if at is negative. */
static inline void
store_flip (const char *path, off_t at, uint8_t mask)
{
    uint8_t byte;
    int fd = open (path, O_RDWR);
    ck_assert_int_ge (fd, 0);
    at = at < 0 ? lseek (fd, 0, SEEK_END) + at : at;
    ck_assert_int_eq (pread (fd, &byte, 1, at), 1);
    byte ^= mask;
    ck_assert_int_eq (pwrite (fd, &byte, 1, at), 1);
    close (fd);
}

/* Run a function in a child process and give its wait status.  The child opens the store itself. */
static inline int
store_run_child (void (*body) (void))
{
    fflush (NULL);
    pid_t pid = fork ();
    ck_assert_int_ge (pid, 0);
    if (pid == 0) {
        body ();
        _exit (0);
    }
    int status;
    ck_assert_int_eq (waitpid (pid, &status, 0), pid);
    return status;
}

#endif
