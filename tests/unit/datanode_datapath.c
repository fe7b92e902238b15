/* SPDX-License-Identifier: MIT */
/*
 * datanode/datapath: a directory is taken when it is ours or empty, and otherwise left as it is.
 */
#include "datanode_store.h"

static int
try_open (const char *path)
{
    struct blockstore *other = NULL;
    struct blockstore_options options = store_options ();
    options.path = path;
    error.text[0] = 0;
    int rc = blockstore_open (&other, &options, &error);
    ck_assert ((rc == 0) == (other != NULL));
    blockstore_close (&other);
    return rc;
}

static void
write_text (const char *name, const char *text)
{
    char path[200];
    snprintf (path, sizeof path, "%s/%s", store_data, name);
    expect (0, file_write_atomic (path, text, strlen (text), 0644, &error));
}

START_TEST (a_directory_that_is_not_empty_is_refused_and_left_as_it_was)
{
    char path[128];
    char file[160];
    snprintf (path, sizeof path, "%s/home", store_root);
    snprintf (file, sizeof file, "%s/letter", path);
    ck_assert_int_eq (mkdir (path, 0755), 0);
    expect (0, file_write_atomic (file, "x", 1, 0644, &error));
    ck_assert_int_eq (try_open (path), LITEDFS_INVALID);
    ck_assert_ptr_nonnull (strstr (error.text, "letter"));
    ck_assert_int_eq (unlink (file), 0);
    ck_assert_int_eq (rmdir (path), 0); // nothing else was put there
    ck_assert_int_eq (try_open (path), 0);
}
END_TEST

START_TEST (what_is_not_a_directory_is_refused)
{
    char path[128];
    snprintf (path, sizeof path, "%s/letter", store_root);
    expect (0, file_write_atomic (path, "x", 1, 0644, &error));
    ck_assert_int_eq (try_open (path), LITEDFS_NOT_DIRECTORY);
}
END_TEST

START_TEST (a_start_that_was_interrupted_is_completed_by_the_next)
{
    char path[128];
    char name[160];
    snprintf (path, sizeof path, "%s/new", store_root);
    ck_assert_int_eq (mkdir (path, 0755), 0);
    static const char *const left[] = {"lock", "VERSION.Xy12ab"};
    for (size_t i = 0; i < 2; i++) {
        snprintf (name, sizeof name, "%s/%s", path, left[i]);
        expect (0, file_write_atomic (name, "", 0, 0644, &error));
    }
    snprintf (name, sizeof name, "%s/lost+found", path);
    ck_assert_int_eq (mkdir (name, 0700), 0);
    ck_assert_int_eq (try_open (path), 0);
}
END_TEST

START_TEST (versions_that_are_newer_damaged_or_of_others_are_told_apart)
{
    blockstore_close (&store);
    write_text ("VERSION", "LiteDFS data node\nlayout 2\nanything else\n");
    ck_assert_int_eq (try_open (store_data), LITEDFS_LAYOUT);
    write_text ("VERSION", "LiteDFS name node\nlayout 1\n");
    ck_assert_int_eq (try_open (store_data), LITEDFS_INVALID);
    static const char *const damaged[] = {
        "LiteDFS data node\n",
        "LiteDFS data node\nlayout 1\n",
        "LiteDFS data node\nlayout x\nuuid 6f0b1e5e-58f3-4b0e-9d3a-0f8b4d9f6a10\n",
        "LiteDFS data node\nlayout 1\nuuid 6f0b1e5e-58f3-4b0e-9d3a-0f8b4d9f6a1\n",
        "LiteDFS data node\nlayout 1\nuuid 6f0b1e5e-58f3-4b0e-9d3a-0f8b4d9f6a10\nnode 3\n",
        "LiteDFS data node\nlayout 1\nuuid 6f0b1e5e-58f3-4b0e-9d3a-0f8b4d9f6a10\nnode 0\n",
        "LiteDFS data node\nlayout 1\nuuid 6f0b1e5e-58f3-4b0e-9d3a-0f8b4d9f6a10\ncolour red\n",
    };
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        write_text ("VERSION", damaged[i]);
        ck_assert_msg (try_open (store_data) == LITEDFS_CORRUPT, "case %zu: %s", i, error.text);
    }
    write_text ("VERSION", "LiteDFS data node\nlayout 1\n"
                           "uuid 6f0b1e5e-58f3-4b0e-9d3a-0f8b4d9f6a10\n");
    ck_assert_int_eq (try_open (store_data), 0);
}
END_TEST

START_TEST (a_path_that_cannot_be_written_is_refused)
{
    ck_assert_int_eq (try_open ("/proc/litedfs"), LITEDFS_NOT_FOUND);
    if (access ("/sys/kernel", F_OK) == 0) // it is mounted
        ck_assert_int_eq (try_open ("/sys/kernel/litedfs"), LITEDFS_IO);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_datapath", store_setup, store_teardown,
                   a_directory_that_is_not_empty_is_refused_and_left_as_it_was,
                   what_is_not_a_directory_is_refused,
                   a_start_that_was_interrupted_is_completed_by_the_next,
                   versions_that_are_newer_damaged_or_of_others_are_told_apart,
                   a_path_that_cannot_be_written_is_refused)
