/* SPDX-License-Identifier: MIT */
/*
 * namenode/storedir: whose a data_path is, and the room on its disk.
 */
#include "namenode/storedir.h"

#include "base/err.h"
#include "base/file.h"
#include "base/id.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#define BALLAST ((uint64_t) 1 << 20)
#define WALL_MS 1700000000000

static char root[] = "/tmp/litedfs-storedir-XXXXXX";
static char data[64];
static struct storedir_options options;
static struct storedir *dir;
static litedfs_error_t error;

static int
remove_one (const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void) status;
    (void) kind;
    (void) at;
    return remove (path);
}

static void
setup (void)
{
    ck_assert_ptr_nonnull (mkdtemp (root));
    snprintf (data, sizeof data, "%s/a/data", root);
    options = (struct storedir_options){
        .path = data, .map_size = 1 << 20, .ballast_size = BALLAST, .sync = false};
}

static void
teardown (void)
{
    storedir_close (&dir);
    nftw (root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void
open_dir (void)
{
    int rc = storedir_open (&dir, &options, WALL_MS, &error);

    ck_assert_msg (rc == 0, "%s", error.text);
}

static void
check_refused (int number, const char *expected)
{
    ck_assert_int_eq (storedir_open (&dir, &options, WALL_MS, &error), number);
    ck_assert_ptr_null (dir);
    ck_assert_int_eq (error.number, number);
    ck_assert_msg (strstr (error.text, expected) != NULL, "%s", error.text);
    ck_assert_msg (strstr (error.text, data) != NULL, "%s", error.text);
}

static const char *
path_of (const char *name)
{
    static char path[128];

    snprintf (path, sizeof path, "%s/%s", data, name);
    return path;
}

static bool
has (const char *name)
{
    return access (path_of (name), F_OK) == 0;
}

static void
put (const char *name, const char *text)
{
    ck_assert_int_eq (file_make_directories (data, 0755, &error), 0);
    ck_assert_int_eq (file_write_atomic (path_of (name), text, strlen (text), 0644, &error), 0);
}

/* Forget the metadata, as a disk that was replaced does. */
static void
lose_store (void)
{
    nftw (path_of ("meta"), remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

START_TEST (a_missing_directory_is_made_with_a_cluster_of_its_own)
{
    char id[UUID_TEXT_SIZE], expected[128];
    struct buf text = {0};

    open_dir ();
    struct uuid cluster = *storedir_cluster (dir);
    ck_assert_int_eq (file_read_all (path_of ("VERSION"), 4096, &text, &error), 0);
    snprintf (expected, sizeof expected, "LiteDFS name node\nlayout %d\ncluster %s\n",
              METASTORE_LAYOUT, uuid_print (&cluster, id));
    ck_assert_str_eq (buf_text (&text), expected);
    buf_free (&text);
    storedir_close (&dir);
    open_dir ();
    ck_assert (uuid_equal (&cluster, storedir_cluster (dir)));
}
END_TEST

START_TEST (a_directory_with_other_things_in_it_is_left_alone)
{
    put ("letter.txt", "dear all\n");
    check_refused (LITEDFS_INVALID, "'letter.txt'");
    ck_assert (!has ("lock") && !has ("meta") && !has ("VERSION") && !has ("ballast"));
    unlink (path_of ("letter.txt"));
    put ("VERSION", "LiteDFS data node\nlayout 1\n");
    check_refused (LITEDFS_INVALID, "not that of a name node");
    ck_assert (!has ("lock") && !has ("meta"));
}
END_TEST

START_TEST (two_name_nodes_do_not_share_it)
{
    struct storedir *first;

    open_dir ();
    first = dir;
    dir = NULL;
    check_refused (LITEDFS_IN_USE, "data_path");
    storedir_close (&first);
    open_dir ();
}
END_TEST

START_TEST (a_version_that_is_newer_or_damaged_is_refused)
{
    put ("VERSION", "LiteDFS name node\nlayout 999\ncluster x\n");
    check_refused (LITEDFS_LAYOUT, "written by a newer LiteDFS (layout 999");
    put ("VERSION", "LiteDFS name node\nlayout -1\n");
    check_refused (LITEDFS_CORRUPT, "no layout");
    put ("VERSION", "LiteDFS name node\n");
    check_refused (LITEDFS_CORRUPT, "no layout");
    put ("VERSION", "LiteDFS name node\nlayout 1\ncluster 12\n");
    check_refused (LITEDFS_CORRUPT, "no cluster id");
    put ("VERSION", "");
    check_refused (LITEDFS_INVALID, "not that of a name node");
}
END_TEST

START_TEST (metadata_that_were_lost_are_not_made_anew)
{
    open_dir ();
    storedir_close (&dir);
    lose_store ();
    check_refused (LITEDFS_CORRUPT, "the metadata are lost");
    ck_assert_int_eq (unlink (path_of ("VERSION")), 0);
    lose_store ();
    open_dir (); // who removes VERSION wants an empty tree
}
END_TEST

START_TEST (a_store_of_another_cluster_is_refused)
{
    open_dir ();
    storedir_close (&dir);
    put ("VERSION", "LiteDFS name node\nlayout 1\n"
                    "cluster 01234567-89ab-4def-8123-456789abcdef\n");
    check_refused (LITEDFS_WRONG_CLUSTER, "different clusters");
}
END_TEST

START_TEST (a_first_start_that_died_before_version_is_completed)
{
    open_dir ();
    struct uuid cluster = *storedir_cluster (dir);
    storedir_close (&dir);
    ck_assert_int_eq (unlink (path_of ("VERSION")), 0);
    put ("VERSION.new", "litedfs na");
    open_dir ();
    ck_assert (uuid_equal (&cluster, storedir_cluster (dir)));
    ck_assert (has ("VERSION"));
}
END_TEST

START_TEST (the_port_is_remembered)
{
    open_dir ();
    ck_assert_int_eq (storedir_port (dir), 0);
    ck_assert_int_eq (storedir_set_port (dir, 20123, &error), 0);
    storedir_close (&dir);
    open_dir ();
    ck_assert_int_eq (storedir_port (dir), 20123);
    storedir_close (&dir);
    put ("port", "70000\n");
    open_dir ();
    ck_assert_int_eq (storedir_port (dir), 0);
}
END_TEST

START_TEST (the_ballast_is_given_up_once_and_comes_back)
{
    struct stat status;

    open_dir ();
    ck_assert_int_eq (stat (path_of ("ballast"), &status), 0);
    ck_assert_uint_eq ((uint64_t) status.st_size, BALLAST);
    ck_assert_uint_ge ((uint64_t) status.st_blocks * 512, BALLAST);
    ck_assert (storedir_drop_ballast (dir));
    ck_assert (!has ("ballast"));
    ck_assert (!storedir_drop_ballast (dir));
    storedir_restore_ballast (dir);
    ck_assert (has ("ballast"));
    storedir_close (&dir);
    put ("ballast", "too short");
    open_dir ();
    ck_assert_int_eq (stat (path_of ("ballast"), &status), 0);
    ck_assert_uint_eq ((uint64_t) status.st_size, BALLAST);
}
END_TEST

START_TEST (a_disk_below_its_reserve_has_no_room_and_no_ballast)
{
    open_dir ();
    ck_assert_int_eq (storedir_check_room (dir, &error), 0);
    storedir_close (&dir);
    ck_assert_int_eq (unlink (path_of ("ballast")), 0);
    options.reserve = (uint64_t) 1 << 60;
    open_dir ();
    ck_assert (!has ("ballast"));
    ck_assert_int_eq (storedir_check_room (dir, &error), LITEDFS_NO_SPACE);
    ck_assert_ptr_nonnull (strstr (error.text, "storage_preserve_space"));
    ck_assert_ptr_nonnull (strstr (error.text, "delete files or make room"));
}
END_TEST

UNIT_MAIN_FIXTURE (
    "namenode_storedir", setup, teardown, a_missing_directory_is_made_with_a_cluster_of_its_own,
    a_directory_with_other_things_in_it_is_left_alone, two_name_nodes_do_not_share_it,
    a_version_that_is_newer_or_damaged_is_refused, metadata_that_were_lost_are_not_made_anew,
    a_store_of_another_cluster_is_refused, a_first_start_that_died_before_version_is_completed,
    the_port_is_remembered, the_ballast_is_given_up_once_and_comes_back,
    a_disk_below_its_reserve_has_no_room_and_no_ballast)
