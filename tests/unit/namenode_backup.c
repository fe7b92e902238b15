/* SPDX-License-Identifier: MIT */
/*
 * namenode/backup: a copy of a data_path is one, or there is none.
 */
#include "namenode/backup.h"

#include "base/clock.h"
#include "base/file.h"
#include "namenode/check.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "namenode_store.h"

static char root[] = "/tmp/litedfs-backup-XXXXXX";
static char data[64], target[64];
static struct storedir *from;
static struct backup_options options;
static struct backup_result result;
static int pauses;

static struct storedir *
open_data (const char *path, bool read_only)
{
    struct storedir *out = NULL;
    const struct storedir_options store = {
        .path = path, .map_size = 1 << 28, .read_only = read_only};

    ck_ok (storedir_open (&out, &store, 1700000000000, E));
    return out;
}

/* Some megabytes of rows, of which half go again. */
static void
setup (void)
{
    struct txn_frame frame = {.wall_ms = 1700000000000};
    char path[64];
    struct txn *txn;
    bool made;

    ck_assert_ptr_nonnull (mkdtemp (root));
    snprintf (data, sizeof data, "%s/data", root);
    snprintf (target, sizeof target, "%s/copy", root);
    from = open_data (data, false);
    ck_ok (txn_begin_write (storedir_store (from), &frame, &txn, E));
    for (int i = 0; i < 12000; i++) {
        snprintf (path, sizeof path, "/%d/a-name-that-is-not-short-%d", i % 50, i);
        ck_ok (namespace_make_directory (txn, S (path), true, &made, NULL, E));
    }
    ck_ok (txn_commit (&txn, E));
    pauses = 0;
    options = (struct backup_options){.path = target};
}

static void
teardown (void)
{
    storedir_close (&from);
    nftw (root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int
make (void)
{
    return backup_make (&options, from, clock_system (), &result, E);
}

/* How many things are in the directory above the copy. */
static int
things (void)
{
    int count = 0;
    DIR *directory = opendir (root);

    ck_assert_ptr_nonnull (directory);
    while (readdir (directory))
        count++;
    closedir (directory);
    return count - 2;
}

static bool
pause_and_count (void *arg, int ms)
{
    (void) ms;
    pauses++;
    return arg && pauses == *(int *) arg;
}

static uint64_t
rows_in (struct storedir *dir, enum metastore_table table)
{
    struct metastore_statistics statistics;

    ck_ok (metastore_statistics (storedir_store (dir), &statistics, E));
    return statistics.rows[table];
}

START_TEST (a_copy_has_every_row_and_is_consistent)
{
    struct check_report report = {0};
    uint64_t rows = rows_in (from, TABLE_DIRENT);

    options.pause = pause_and_count;
    ck_ok (make ());
    ck_assert_int_eq (things (), 2);
    ck_assert_int_ge (pauses, 2);
    ck_assert_uint_gt (result.bytes, 1 << 20);
    struct storedir *copy = open_data (target, true);
    ck_ok (check_store (storedir_store (copy), &report, E));
    ck_assert_uint_eq (report.findings, 0);
    ck_assert_uint_eq (rows_in (copy, TABLE_DIRENT), rows);
    ck_assert (uuid_equal (storedir_cluster (copy), storedir_cluster (from)));
    storedir_close (&copy);
    copy = open_data (target, false); // a name node may serve it
    storedir_close (&copy);
}
END_TEST

/* Writes a directory at each pause. */
static bool
pause_and_write (void *arg, int ms)
{
    struct txn_frame frame = {.wall_ms = 1700000000000};
    char path[64];
    struct txn *txn;
    bool made;
    (void) arg;
    (void) ms;

    snprintf (path, sizeof path, "/written-meanwhile-%d", pauses++);
    ck_ok (txn_begin_write (storedir_store (from), &frame, &txn, E));
    ck_ok (namespace_make_directory (txn, S (path), false, &made, NULL, E));
    ck_ok (txn_commit (&txn, E));
    return false;
}

START_TEST (a_copy_is_of_one_moment_and_does_not_keep_others_from_writing)
{
    uint64_t rows = rows_in (from, TABLE_DIRENT);

    options.pause = pause_and_write;
    ck_ok (make ());
    ck_assert_int_ge (pauses, 2);
    ck_assert_uint_eq (rows_in (from, TABLE_DIRENT), rows + (uint64_t) pauses);
    struct storedir *copy = open_data (target, true);
    ck_assert_uint_ge (rows_in (copy, TABLE_DIRENT), rows);
    ck_assert_uint_lt (rows_in (copy, TABLE_DIRENT), rows + (uint64_t) pauses);
    storedir_close (&copy);
}
END_TEST

START_TEST (what_is_there_is_not_overwritten)
{
    ck_ok (mkdir (target, 0755));
    ck_ok (make ()); // an empty directory is fine
    ck_fails (LITEDFS_EXISTS, make ());
    ck_assert_ptr_nonnull (strstr (E->text, target));
    options.path = data;
    ck_fails (LITEDFS_EXISTS, make ());
    ck_assert_int_eq (things (), 2);
}
END_TEST

START_TEST (nothing_is_left_of_one_that_is_given_up_or_finds_no_room)
{
    int when = 2;

    options.pause = pause_and_count;
    options.arg = &when;
    ck_fails (LITEDFS_CANCELLED, make ());
    ck_assert_int_eq (things (), 1);
    options.pause = NULL;
    options.reserve = UINT64_MAX / 2;
    ck_fails (LITEDFS_NO_SPACE, make ());
    ck_assert_ptr_nonnull (strstr (E->text, "no room for it"));
    ck_assert_int_eq (things (), 1);
}
END_TEST

START_TEST (what_a_process_that_died_left_is_replaced)
{
    char path[96];
    int fd;

    snprintf (path, sizeof path, "%s.partial", target);
    ck_ok (mkdir (path, 0755));
    snprintf (path, sizeof path, "%s.partial/lock", target);
    ck_ok (file_lock (path, &fd, E));
    pid_t child = fork (); // the lock goes with its descriptors: it has one
    if (child == 0) {
        ck_assert_int_eq (make (), LITEDFS_IN_USE);
        _exit (0);
    }
    int status;
    ck_assert_int_eq (waitpid (child, &status, 0), child);
    ck_assert_int_eq (status, 0);
    close (fd);
    snprintf (path, sizeof path, "%s.partial/meta", target);
    ck_ok (mkdir (path, 0755));
    snprintf (path, sizeof path, "%s.partial/meta/data.mdb", target);
    ck_ok (file_write_atomic (path, "half", 4, 0644, E));
    ck_ok (make ());
    ck_assert_int_eq (things (), 2);
    struct storedir *copy = open_data (target, true);
    storedir_close (&copy);
}
END_TEST

START_TEST (only_copies_are_removed)
{
    ck_ok (make ());
    ck_ok (backup_remove (target, E));
    ck_ok (backup_remove (target, E));
    ck_assert_int_eq (things (), 1);
    ck_fails (LITEDFS_INVALID, backup_remove (root, E));
    ck_assert_int_eq (things (), 1);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_backup", setup, teardown, a_copy_has_every_row_and_is_consistent,
                   a_copy_is_of_one_moment_and_does_not_keep_others_from_writing,
                   what_is_there_is_not_overwritten,
                   nothing_is_left_of_one_that_is_given_up_or_finds_no_room,
                   what_a_process_that_died_left_is_replaced, only_copies_are_removed)
