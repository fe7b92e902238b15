/* SPDX-License-Identifier: MIT */
/*
 * namenode/metastore: a process that only reads, beside the one that writes.
 */
#include "namenode/metastore.h"

#include <sys/wait.h>

#include "namenode_store.h"

/* A child process looks at the store, before and after the map of this one has become larger. */
START_TEST (a_reader_in_another_process_follows_a_map_that_grows)
{
    struct metastore_options options = {
        .directory = fixture.directory, .map_size = 1 << 16, .read_only = true};
    struct metastore *reader;
    struct metastore_statistics statistics;
    struct buf value = {0};
    int grown[2], opened[2], status;
    char byte = 0;

    ck_assert (pipe (grown) == 0 && pipe (opened) == 0);
    pid_t child = fork ();
    if (child == 0) {
        if (metastore_open (&reader, &options, E) < 0)
            _exit (1);
        if (write (opened[1], &byte, 1) != 1 || read (grown[0], &byte, 1) != 1)
            _exit (2);
        if (metastore_statistics (reader, &statistics, E) < 0)
            _exit (3);
        _exit (statistics.pages_used * statistics.page_size > 1 << 21 ? 0 : 4);
    }
    ck_assert (read (opened[0], &byte, 1) == 1);
    for (int i = 0; i < 1 << 20; i++)
        buf_put_u64 (&value, 0);
    struct txn *txn = begin ();
    ck_ok (txn_put (txn, TABLE_REPLY, S ("large"), buf_slice (&value), E));
    commit (&txn);
    buf_free (&value);
    ck_assert (write (grown[1], &byte, 1) == 1);
    ck_assert_int_eq (waitpid (child, &status, 0), child);
    ck_assert_int_eq (status, 0);
}
END_TEST

START_TEST (a_reader_makes_nothing)
{
    char path[96];
    snprintf (path, sizeof path, "%s/missing", fixture.directory);
    const struct metastore_options options = {.directory = path, .read_only = true};
    struct metastore *reader;

    ck_fails (LITEDFS_NOT_FOUND, metastore_open (&reader, &options, E));
    ck_assert_int_lt (access (path, F_OK), 0);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_metastore_reader", store_setup, store_teardown,
                   a_reader_in_another_process_follows_a_map_that_grows, a_reader_makes_nothing)
