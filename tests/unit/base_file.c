/* SPDX-License-Identifier: MIT */
/*
 * base/file: files are read whole or refused, replaced whole or not at all, and locked by one.
 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

static char directory[64];

static void
setup (void)
{
    strcpy (directory, "/tmp/litedfs-file-XXXXXX");
    ck_assert_ptr_nonnull (mkdtemp (directory));
    ck_assert_int_eq (chdir (directory), 0);
}

static void
teardown (void)
{
    char command[128];
    snprintf (command, sizeof command, "rm -rf '%s'", directory);
    ck_assert_int_eq (chdir ("/"), 0);
    ck_assert_int_eq (system (command), 0);
}

static void
write_file (const char *path, const char *text)
{
    int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ck_assert_int_ge (fd, 0);
    ck_assert_int_eq (write (fd, text, strlen (text)), (ssize_t) strlen (text));
    close (fd);
}

static void
check_content (const char *path, const char *expected)
{
    struct buf buf = {0};
    ck_assert_int_eq (file_read_all (path, 1000, &buf, NULL), 0);
    ck_assert_str_eq (buf_text (&buf), expected);
    buf_free (&buf);
}

static int
count_entries (const char *path)
{
    DIR *dir = opendir (path);
    int count = -2; // "." and ".."
    ck_assert_ptr_nonnull (dir);
    while (readdir (dir))
        count++;
    closedir (dir);
    return count;
}

START_TEST (a_file_is_read_up_to_its_limit_and_refused_above_it)
{
    struct buf buf = {0};
    litedfs_error_t error;

    write_file ("f", "0123456789");
    buf_put (&buf, "before:", 7);
    ck_assert_int_eq (file_read_all ("f", 10, &buf, &error), 0);
    ck_assert_str_eq (buf_text (&buf), "before:0123456789");

    ck_assert_int_eq (file_read_all ("f", 9, &buf, &error), LITEDFS_INVALID);
    ck_assert_ptr_nonnull (strstr (error.text, "read[f]: it is larger than 9 bytes"));
    ck_assert_str_eq (buf_text (&buf), "before:0123456789");
    ck_assert_int_eq (file_read_all ("f", 0, &buf, NULL), LITEDFS_INVALID);
    buf_free (&buf);
}
END_TEST

START_TEST (a_large_file_is_read_in_full)
{
    struct buf buf = {0};
    char *bytes = malloc (300001);

    ck_assert_ptr_nonnull (bytes);
    for (int i = 0; i < 300001; i++)
        bytes[i] = (char) (i % 251);
    ck_assert_int_eq (file_write_atomic ("f", bytes, 300001, 0600, NULL), 0);
    ck_assert_int_eq (file_read_all ("f", 300001, &buf, NULL), 0);
    ck_assert_uint_eq (buf.size, 300001);
    ck_assert_mem_eq (buf.data, bytes, buf.size);
    buf_free (&buf);
    free (bytes);
}
END_TEST

START_TEST (an_empty_file_reads_as_nothing)
{
    struct buf buf = {0};

    write_file ("f", "");
    ck_assert_int_eq (file_read_all ("f", 0, &buf, NULL), 0);
    ck_assert_uint_eq (buf.size, 0);
    buf_free (&buf);
}
END_TEST

START_TEST (what_is_missing_or_no_file_is_told_apart)
{
    struct buf buf = {0};
    litedfs_error_t error;

    write_file ("f", "x");
    ck_assert_int_eq (file_read_all ("no", 10, &buf, &error), LITEDFS_NOT_FOUND);
    ck_assert_str_eq (error.text, "open[no]: No such file or directory");
    ck_assert_int_eq (file_read_all ("f/x", 10, &buf, &error), LITEDFS_NOT_DIRECTORY);
    ck_assert_int_eq (file_read_all (".", 10, &buf, &error), LITEDFS_INVALID);
    ck_assert_int_eq (file_read_all ("/dev/zero", 10, &buf, &error), LITEDFS_INVALID);
    ck_assert_uint_eq (buf.size, 0);
    ck_assert (!buf.failed);
    buf_free (&buf);
}
END_TEST

START_TEST (a_pipe_that_nobody_writes_does_not_hold_the_reader)
{
    struct buf buf = {0};

    ck_assert_int_eq (mkfifo ("p", 0600), 0);
    ck_assert_int_eq (file_read_all ("p", 10, &buf, NULL), LITEDFS_INVALID);
    buf_free (&buf);
}
END_TEST

START_TEST (a_descriptor_is_read_to_its_end_in_pieces)
{
    struct buf buf = {0};
    int fds[2];

    ck_assert_int_eq (pipe (fds), 0);
    pid_t child = fork ();
    ck_assert_int_ge (child, 0);
    if (child == 0) {
        close (fds[0]);
        for (int i = 0; i < 1000; i++)
            if (write (fds[1], "0123456789", 10) != 10)
                _exit (1);
        _exit (0);
    }
    close (fds[1]);
    ck_assert_int_eq (file_read_fd (fds[0], "pipe", 10000, &buf, NULL), 0);
    ck_assert_uint_eq (buf.size, 10000);
    ck_assert_int_eq (waitpid (child, NULL, 0), child);
    ck_assert_int_eq (file_read_fd (-1, "nothing", 10, &buf, NULL), LITEDFS_IO);
    ck_assert_uint_eq (buf.size, 10000);
    close (fds[0]);
    buf_free (&buf);
}
END_TEST

START_TEST (bytes_at_an_offset_are_all_there_or_it_is_corrupt)
{
    litedfs_error_t error;
    char bytes[8] = "";
    int fd = open ("f", O_RDWR | O_CREAT, 0600);

    ck_assert_int_ge (fd, 0);
    ck_assert_int_eq (file_pwrite_full (fd, "abcdef", 6, 100000, "f", &error), 0);
    ck_assert_int_eq (file_pread_full (fd, bytes, 6, 100000, "f", &error), 0);
    ck_assert_str_eq (bytes, "abcdef");
    ck_assert_int_eq (file_pread_full (fd, bytes, 0, 999999, "f", &error), 0);
    ck_assert_int_eq (file_pread_full (fd, bytes, 7, 100000, "f", &error), LITEDFS_CORRUPT);
    ck_assert_str_eq (error.text, "read[f]: it ends at 100006, 1 bytes too early");
    ck_assert_int_eq (file_pread_full (fd, bytes, 1, UINT64_MAX, "f", &error), LITEDFS_IO);
    ck_assert_int_eq (file_pwrite_full (fd, bytes, 1, UINT64_MAX, "f", &error), LITEDFS_IO);
    close (fd);
    ck_assert_int_eq (file_pread_full (fd, bytes, 1, 0, "f", &error), LITEDFS_IO);
}
END_TEST

START_TEST (a_full_disk_is_told_as_such)
{
    litedfs_error_t error;
    int fd = open ("/dev/full", O_WRONLY);

    ck_assert_int_ge (fd, 0);
    ck_assert_int_eq (file_pwrite_full (fd, "x", 1, 0, "full", &error), LITEDFS_NO_SPACE);
    ck_assert_int_eq (error.number, LITEDFS_NO_SPACE);
    ck_assert_str_eq (error.text, "write[full]: No space left on device");
    close (fd);
}
END_TEST

START_TEST (an_atomic_write_replaces_all_with_its_mode_and_leaves_nothing_else)
{
    struct stat status;

    umask (0077);
    ck_assert_int_eq (file_write_atomic ("f", "first and long", 14, 0600, NULL), 0);
    ck_assert_int_eq (file_write_atomic ("f", "second", 6, 0754, NULL), 0);
    check_content ("f", "second");
    ck_assert_int_eq (stat ("f", &status), 0);
    ck_assert_uint_eq (status.st_mode & 07777, 0754);
    ck_assert_int_eq (file_write_atomic ("f", NULL, 0, 0644, NULL), 0);
    check_content ("f", "");
    ck_assert_int_eq (count_entries ("."), 1);
}
END_TEST

START_TEST (an_atomic_write_that_fails_changes_nothing)
{
    litedfs_error_t error;

    write_file ("f", "old");
    ck_assert_int_eq (mkdir ("d", 0700), 0);
    ck_assert_int_eq (mkdir ("d/x", 0700), 0);
    ck_assert_int_eq (file_write_atomic ("d", "new", 3, 0644, &error), LITEDFS_IO);
    ck_assert_ptr_nonnull (strstr (error.text, "rename[d]: "));
    ck_assert_int_eq (file_write_atomic ("no/f", "new", 3, 0644, &error), LITEDFS_NOT_FOUND);
    ck_assert_ptr_nonnull (strstr (error.text, "write[no/f]: "));
    ck_assert_int_eq (file_write_atomic ("f/f", "new", 3, 0644, NULL), LITEDFS_NOT_DIRECTORY);

    // A write past the largest file that this process may have fails half-way.
    struct rlimit limit = {1000, 1000};
    signal (SIGXFSZ, SIG_IGN);
    ck_assert_int_eq (setrlimit (RLIMIT_FSIZE, &limit), 0);
    static const char large[2000];
    ck_assert_int_eq (file_write_atomic ("f", large, sizeof large, 0644, NULL), LITEDFS_IO);
    check_content ("f", "old");
    ck_assert_int_eq (count_entries ("."), 2);
}
END_TEST

START_TEST (directories_are_made_with_those_above_them)
{
    char absolute[128];

    ck_assert_int_eq (file_make_directories ("a/b//c/", 0755, NULL), 0);
    ck_assert_int_eq (file_make_directories ("a/b/c", 0755, NULL), 0);
    ck_assert_int_eq (file_make_directories ("a/./b/../d", 0755, NULL), 0);
    ck_assert_int_eq (file_make_directories (".", 0755, NULL), 0);
    ck_assert_int_eq (file_make_directories ("/", 0755, NULL), 0);
    snprintf (absolute, sizeof absolute, "%s//x/y", directory);
    ck_assert_int_eq (file_make_directories (absolute, 0755, NULL), 0);
    ck_assert_int_eq (access ("a/b/c", X_OK), 0);
    ck_assert_int_eq (access ("a/d", X_OK), 0);
    ck_assert_int_eq (access ("x/y", X_OK), 0);
}
END_TEST

START_TEST (a_directory_is_not_made_through_a_file)
{
    litedfs_error_t error;

    write_file ("f", "x");
    ck_assert_int_eq (file_make_directories ("f", 0755, &error), LITEDFS_NOT_DIRECTORY);
    ck_assert_int_eq (file_make_directories ("f/d", 0755, &error), LITEDFS_NOT_DIRECTORY);
    ck_assert_ptr_nonnull (strstr (error.text, "make directory[f]: "));
    ck_assert_int_eq (file_make_directories ("", 0755, &error), LITEDFS_NOT_FOUND);
}
END_TEST

START_TEST (a_directory_can_be_synced_and_a_file_cannot_pass_for_one)
{
    write_file ("f", "x");
    ck_assert_int_eq (file_sync_directory (".", NULL), 0);
    ck_assert_int_eq (file_sync_directory ("f", NULL), LITEDFS_NOT_DIRECTORY);
    ck_assert_int_eq (file_sync_directory ("no", NULL), LITEDFS_NOT_FOUND);
}
END_TEST

START_TEST (one_process_has_the_lock_and_the_other_learns_which)
{
    litedfs_error_t error;
    char expected[64];
    int first = -1;
    int second = -1;

    ck_assert_int_eq (file_lock ("lock", &first, &error), 0);
    ck_assert_int_eq (file_lock ("lock", &second, &error), LITEDFS_IN_USE);
    ck_assert_int_eq (second, -1);
    snprintf (expected, sizeof expected, "lock[lock]: process %ld uses it", (long) getpid ());
    ck_assert_str_eq (error.text, expected);

    close (first);
    ck_assert_int_eq (file_lock ("lock", &second, &error), 0);
    close (second);
}
END_TEST

START_TEST (a_lock_ends_with_its_process_and_garbage_in_it_does_not_matter)
{
    litedfs_error_t error;
    int fd = -1;
    int ready[2];

    write_file ("lock", "not a number, and longer than a pid");
    ck_assert_int_eq (pipe (ready), 0);
    pid_t child = fork ();
    ck_assert_int_ge (child, 0);
    if (child == 0) {
        char mark = file_lock ("lock", &fd, NULL) == 0 ? 'y' : 'n';
        if (write (ready[1], &mark, 1) != 1)
            _exit (1);
        for (;;)
            pause ();
    }
    char mark = 0;
    ck_assert_int_eq (read (ready[0], &mark, 1), 1);
    ck_assert_int_eq (mark, 'y');
    ck_assert_int_eq (file_lock ("lock", &fd, &error), LITEDFS_IN_USE);
    char expected[64];
    snprintf (expected, sizeof expected, "lock[lock]: process %ld uses it", (long) child);
    ck_assert_str_eq (error.text, expected);

    kill (child, SIGKILL);
    ck_assert_int_eq (waitpid (child, NULL, 0), child);
    ck_assert_int_eq (file_lock ("lock", &fd, &error), 0);
    close (fd);
    ck_assert_int_eq (file_lock ("no/lock", &fd, &error), LITEDFS_NOT_FOUND);
}
END_TEST

static void
check_absolute (const char *from, const char *path, const char *expected)
{
    char *absolute = NULL;
    char full[256];

    ck_assert_int_eq (file_absolute (from, path, &absolute, NULL), 0);
    snprintf (full, sizeof full, "%s%s", expected[0] == '/' ? "" : directory, expected);
    if (expected[0] != '/' && expected[0])
        snprintf (full, sizeof full, "%s/%s", directory, expected);
    ck_assert_str_eq (absolute, full);
    free (absolute);
}

START_TEST (paths_become_absolute_without_looking_at_the_disk)
{
    char *absolute = NULL;

    check_absolute (NULL, "x", "x");
    check_absolute (NULL, ".", "");
    check_absolute (NULL, "./x//y/", "x/y");
    check_absolute (NULL, "..", "/tmp");
    check_absolute (NULL, "../x", "/tmp/x");
    check_absolute (NULL, "../../../../..", "/");
    check_absolute (NULL, "x/../y", "x/../y"); // x may be a link
    check_absolute (NULL, "/", "/");
    check_absolute (NULL, "//a/./b/", "/a/b");
    check_absolute (NULL, "/../a", "/a");
    check_absolute (NULL, "/a/../b", "/a/../b");
    check_absolute ("/etc/x", "y", "/etc/x/y");
    check_absolute ("/etc/x", "../y", "/etc/x/../y");
    check_absolute ("/etc/x", "/y", "/y");
    check_absolute ("d", "y", "d/y");
    check_absolute (".", "y", "y");
    check_absolute ("/", "y", "/y");
    ck_assert_int_eq (file_absolute (NULL, "", &absolute, NULL), LITEDFS_INVALID);
    ck_assert_ptr_null (absolute);
}
END_TEST

START_TEST (a_removed_current_directory_is_an_error)
{
    char *absolute = NULL;

    ck_assert_int_eq (mkdir ("gone", 0700), 0);
    ck_assert_int_eq (chdir ("gone"), 0);
    ck_assert_int_eq (rmdir ("../gone"), 0);
    ck_assert_int_eq (file_absolute (NULL, "x", &absolute, NULL), LITEDFS_NOT_FOUND);
    ck_assert_ptr_null (absolute);
}
END_TEST

START_TEST (the_disk_has_no_more_free_than_in_all)
{
    uint64_t total = 0;
    uint64_t available = 0;

    ck_assert_int_eq (file_free_bytes (".", &total, &available, NULL), 0);
    ck_assert_uint_gt (total, 0);
    ck_assert_uint_le (available, total);
    ck_assert_int_eq (file_free_bytes ("no", &total, &available, NULL), LITEDFS_NOT_FOUND);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "base_file", setup, teardown, a_file_is_read_up_to_its_limit_and_refused_above_it,
    a_large_file_is_read_in_full, an_empty_file_reads_as_nothing,
    what_is_missing_or_no_file_is_told_apart,
    a_pipe_that_nobody_writes_does_not_hold_the_reader,
    a_descriptor_is_read_to_its_end_in_pieces,
    bytes_at_an_offset_are_all_there_or_it_is_corrupt, a_full_disk_is_told_as_such,
    an_atomic_write_replaces_all_with_its_mode_and_leaves_nothing_else,
    an_atomic_write_that_fails_changes_nothing, directories_are_made_with_those_above_them,
    a_directory_is_not_made_through_a_file,
    a_directory_can_be_synced_and_a_file_cannot_pass_for_one,
    one_process_has_the_lock_and_the_other_learns_which,
    a_lock_ends_with_its_process_and_garbage_in_it_does_not_matter,
    paths_become_absolute_without_looking_at_the_disk, a_removed_current_directory_is_an_error,
    the_disk_has_no_more_free_than_in_all)
