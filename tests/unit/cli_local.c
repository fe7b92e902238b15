/* SPDX-License-Identifier: MIT */
/*
 * cli/local: a download's name appears when all is there, and nothing else of it is ever left.
 */
#include "cli/local.h"

#include "base/buf.h"
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static char directory[] = "/tmp/litedfs-cli-local-XXXXXX";
static litedfs_error_t error;

static void
setup (void)
{
    ck_assert_ptr_nonnull (mkdtemp (directory));
    ck_assert_int_eq (chdir (directory), 0);
    umask (022);
}

// How many names are in the directory; remove_all: and take them away.
static int
count_names (bool remove_all)
{
    int count = 0;
    DIR *dir = opendir (directory);
    ck_assert_ptr_nonnull (dir);
    for (struct dirent *entry; (entry = readdir (dir));) {
        if (strcmp (entry->d_name, ".") == 0 || strcmp (entry->d_name, "..") == 0)
            continue;
        count++;
        if (remove_all && unlink (entry->d_name) < 0)
            rmdir (entry->d_name);
    }
    closedir (dir);
    return count;
}

static void
teardown (void)
{
    count_names (true);
    ck_assert_int_eq (chdir ("/"), 0);
    ck_assert_int_eq (rmdir (directory), 0);
}

static void
check_content (const char *path, const char *expected)
{
    struct buf content = {0};
    ck_assert_int_eq (file_read_all (path, 1024, &content, &error), 0);
    ck_assert_str_eq (buf_text (&content), expected);
    buf_free (&content);
}

static unsigned
mode_of (const char *path)
{
    struct stat status;
    ck_assert_int_eq (stat (path, &status), 0);
    return status.st_mode & 07777;
}

// A download of "new" to path, up to its name.
static int
deliver (const char *path, bool replace)
{
    struct local_target target;
    int rc = local_target_check (&target, path, replace, &error);
    if (rc == 0)
        rc = local_target_open (&target, &error);
    if (rc == 0) {
        ck_assert_int_eq (write (target.fd, "new", 3), 3);
        rc = local_target_commit (&target, &error);
    }
    local_target_discard (&target);
    return rc;
}

START_TEST (the_name_appears_when_it_is_committed)
{
    struct local_target target;
    ck_assert_int_eq (local_target_check (&target, "a", false, &error), 0);
    ck_assert_int_eq (count_names (false), 0);
    ck_assert_int_eq (local_target_open (&target, &error), 0);
    ck_assert_int_ne (access ("a", F_OK), 0);
    ck_assert_int_eq (count_names (false), 1);
    ck_assert_int_eq (write (target.fd, "new", 3), 3);
    ck_assert_int_eq (local_target_commit (&target, &error), 0);
    local_target_discard (&target);
    ck_assert_int_eq (count_names (false), 1);
    check_content ("a", "new");
    ck_assert_uint_eq (mode_of ("a"), 0644);
}
END_TEST

START_TEST (what_is_not_committed_leaves_nothing)
{
    struct local_target target;
    ck_assert_int_eq (local_target_check (&target, "a", false, &error), 0);
    ck_assert_int_eq (local_target_open (&target, &error), 0);
    local_target_discard (&target);
    ck_assert_int_eq (count_names (false), 0);
}
END_TEST

START_TEST (an_existing_file_stays_unless_it_may_be_replaced)
{
    ck_assert_int_eq (file_write_atomic ("a", "old", 3, 0640, &error), 0);
    ck_assert_int_eq (deliver ("a", false), LITEDFS_EXISTS);
    ck_assert_ptr_nonnull (strstr (error.text, "--force"));
    check_content ("a", "old");
    ck_assert_int_eq (deliver ("a", true), 0);
    check_content ("a", "new");
    ck_assert_uint_eq (mode_of ("a"), 0640);
    ck_assert_int_eq (count_names (false), 1);
}
END_TEST

START_TEST (a_file_that_appears_meanwhile_stays)
{
    struct local_target target;
    ck_assert_int_eq (local_target_check (&target, "a", false, &error), 0);
    ck_assert_int_eq (local_target_open (&target, &error), 0);
    ck_assert_int_eq (file_write_atomic ("a", "old", 3, 0640, &error), 0);
    ck_assert_int_eq (local_target_commit (&target, &error), LITEDFS_EXISTS);
    local_target_discard (&target);
    check_content ("a", "old");
    ck_assert_int_eq (count_names (false), 1);
}
END_TEST

START_TEST (a_link_is_followed_and_stays_a_link)
{
    struct stat status;
    ck_assert_int_eq (file_write_atomic ("a", "old", 3, 0640, &error), 0);
    ck_assert_int_eq (symlink ("a", "link"), 0);
    ck_assert_int_eq (deliver ("link", false), LITEDFS_EXISTS);
    ck_assert_int_eq (deliver ("link", true), 0);
    ck_assert_int_eq (lstat ("link", &status), 0);
    ck_assert (S_ISLNK (status.st_mode));
    check_content ("a", "new");
}
END_TEST

START_TEST (a_link_to_nothing_counts_as_there)
{
    ck_assert_int_eq (symlink ("nothing", "link"), 0);
    ck_assert_int_eq (deliver ("link", false), LITEDFS_EXISTS);
    ck_assert_int_eq (deliver ("link", true), 0);
    check_content ("link", "new");
}
END_TEST

START_TEST (a_long_name_has_room_for_its_temporary_one)
{
    char name[256];
    memset (name, 'x', 255);
    name[255] = '\0';
    ck_assert_int_eq (deliver (name, false), 0);
    check_content (name, "new");
}
END_TEST

START_TEST (targets_that_cannot_be_are_told_before_anything_is_made)
{
    ck_assert_int_eq (mkdir ("d", 0755), 0);
    ck_assert_int_eq (deliver ("d", true), LITEDFS_IS_DIRECTORY);
    ck_assert_int_eq (deliver ("no/a", false), LITEDFS_NOT_FOUND);
    ck_assert_int_eq (deliver ("d/", false), LITEDFS_IS_DIRECTORY);
    ck_assert_int_eq (deliver ("no/", false), LITEDFS_NOT_FOUND);
    ck_assert_int_eq (deliver ("", false), LITEDFS_NOT_FOUND);
    ck_assert_int_eq (count_names (false), 1);
}
END_TEST

START_TEST (a_device_is_written_and_not_replaced)
{
    struct stat status;
    ck_assert_int_eq (deliver ("/dev/null", false), 0);
    ck_assert_int_eq (stat ("/dev/null", &status), 0);
    ck_assert (S_ISCHR (status.st_mode));
}
END_TEST

START_TEST (sources_are_opened_or_named)
{
    struct local_source source;
    ck_assert_int_eq (local_source_open (&source, "no\nfile", &error), LITEDFS_NOT_FOUND);
    ck_assert_ptr_nonnull (strstr (error.text, "local file[no\\nfile]: "));
    ck_assert_int_eq (local_source_open (&source, ".", &error), LITEDFS_IS_DIRECTORY);
    ck_assert_int_eq (file_write_atomic ("a", "old", 3, 0640, &error), 0);
    ck_assert_int_eq (local_source_open (&source, "a", &error), 0);
    ck_assert (source.regular && !source.stream);
    local_source_close (&source);
}
END_TEST

START_TEST (standard_input_is_read_from_where_it_stands)
{
    struct local_source source;
    char byte;

    ck_assert_int_eq (file_write_atomic ("a", "old", 3, 0640, &error), 0);
    int fd = open ("a", O_RDONLY);
    ck_assert_int_eq (dup2 (fd, STDIN_FILENO), STDIN_FILENO);
    close (fd);
    ck_assert_int_eq (local_source_open (&source, "-", &error), 0);
    ck_assert (!source.regular && !source.stream);
    ck_assert_int_eq (read (STDIN_FILENO, &byte, 1), 1);
    ck_assert_int_eq (local_source_open (&source, "-", &error), 0);
    ck_assert (!source.regular && source.stream);
    local_source_close (&source);
    ck_assert_int_eq (read (STDIN_FILENO, &byte, 1), 1); // it is not ours to close
}
END_TEST

UNIT_MAIN_FIXTURE ("cli_local", setup, teardown, the_name_appears_when_it_is_committed,
                   what_is_not_committed_leaves_nothing,
                   an_existing_file_stays_unless_it_may_be_replaced,
                   a_file_that_appears_meanwhile_stays, a_link_is_followed_and_stays_a_link,
                   a_link_to_nothing_counts_as_there,
                   a_long_name_has_room_for_its_temporary_one,
                   targets_that_cannot_be_are_told_before_anything_is_made,
                   a_device_is_written_and_not_replaced, sources_are_opened_or_named,
                   standard_input_is_read_from_where_it_stands)
