/* SPDX-License-Identifier: MIT */
/*
 * namenode/batch: requests that share a transaction do not share their trouble.
 */
#include "namenode_batch_fixture.h"

#include "namenode/namespace.h"

START_TEST (a_refused_request_leaves_the_others_of_its_batch_alone)
{
    struct job jobs[] = {create_directory ("/a", 1, 0), delete_directory ("/none", 2),
                         create_directory ("/a/b", 3, 0)};

    run (jobs, 3);
    ck_assert_int_eq (answer_of (&jobs[0]), 0);
    ck_assert_int_eq (answer_of (&jobs[1]), LITEDFS_NOT_FOUND);
    ck_assert_ptr_nonnull (strstr (error.text, "/none"));
    ck_assert_int_eq (answer_of (&jobs[2]), 0);
    ck_assert (exists ("/a/b"));
    end (jobs, 3);
}
END_TEST

/* Make the row of a directory unreadable. */
static int
damage (void *arg, struct txn *txn, litedfs_error_t *e)
{
    struct inode_row row;
    struct buf key = {0};

    int rc = namespace_lookup (txn, S (arg), &row, e);
    ck_assert_int_eq (rc, 0);
    buf_put_be64 (&key, row.number);
    rc = txn_put (txn, TABLE_INODE, buf_slice (&key), S ("?"), e);
    buf_free (&key);
    return rc;
}

START_TEST (a_request_that_meets_a_damaged_row_fails_alone)
{
    struct job before[] = {create_directory ("/bad", 1, 0)};
    struct job jobs[] = {create_directory ("/a", 2, 0), create_directory ("/bad/x", 3, 0),
                         create_directory ("/b", 4, 0)};

    run (before, 1);
    ck_assert_int_eq (batch_work (&context, damage, "/bad", &error), 0);
    run (jobs, 3);
    ck_assert_int_eq (answer_of (&jobs[0]), 0);
    ck_assert_int_eq (answer_of (&jobs[1]), LITEDFS_CORRUPT);
    ck_assert_int_eq (answer_of (&jobs[2]), 0);
    ck_assert (exists ("/a") && exists ("/b"));
    end (before, 1);
    end (jobs, 3);
}
END_TEST

START_TEST (a_retry_gets_the_first_answer_in_the_same_batch_and_in_a_later_one)
{
    struct job jobs[] = {create_directory ("/a", 7, 1), create_directory ("/a", 7, 1),
                         create_directory ("/a", 7, 2)};
    struct job later[] = {create_directory ("/a", 7, 1), create_directory ("/other", 7, 1)};

    run (jobs, 3);
    run (later, 2);
    ck_assert_int_eq (answer_of (&jobs[0]), 0);
    ck_assert (slice_equal (buf_slice (&jobs[0].reply), buf_slice (&jobs[1].reply)));
    ck_assert (slice_equal (buf_slice (&jobs[0].reply), buf_slice (&later[0].reply)));
    // The other client's is a request of its own: the directory was there.
    ck_assert (!slice_equal (buf_slice (&jobs[0].reply), buf_slice (&jobs[2].reply)));
    ck_assert_int_eq (answer_of (&later[1]), LITEDFS_ID_REUSED);
    ck_assert (!exists ("/other"));
    end (jobs, 3);
    end (later, 2);
}
END_TEST

START_TEST (the_map_grows_as_far_as_a_batch_needs)
{
    enum { COUNT = 1000 };
    static struct job jobs[COUNT];
    char path[300];

    for (uint64_t i = 0; i < COUNT; i++) {
        memset (path, 'x', sizeof path);
        path[snprintf (path, sizeof path, "/%u-", (unsigned) i)] = 'x';
        path[250] = '\0';
        jobs[i] = create_directory (path, i + 1, 1);
    }
    for (int round = 0; round < 5; round++)
        run (jobs, COUNT);
    for (uint64_t i = 0; i < COUNT; i++)
        ck_assert_int_eq (answer_of (&jobs[i]), 0);
    ck_assert_uint_eq (rows_of (TABLE_DIRENT), COUNT);
    end (jobs, COUNT);
}
END_TEST

START_TEST (on_a_full_disk_only_what_frees_space_is_taken)
{
    struct job before[] = {create_directory ("/a", 1, 0)};
    struct job jobs[] = {create_directory ("/b", 2, 0), delete_directory ("/a", 3)};
    struct job after[] = {create_directory ("/b", 4, 0)};

    run (before, 1);
    dir_options.reserve = (uint64_t) 1 << 60;
    reopen ();
    run (jobs, 2);
    ck_assert_int_eq (answer_of (&jobs[0]), LITEDFS_NO_SPACE);
    ck_assert_ptr_nonnull (strstr (error.text, "storage_preserve_space"));
    ck_assert_int_eq (answer_of (&jobs[1]), 0);
    ck_assert (!exists ("/a") && !exists ("/b"));
    dir_options.reserve = 0;
    reopen ();
    run (after, 1);
    ck_assert_int_eq (answer_of (&after[0]), 0);
    end (before, 1);
    end (jobs, 2);
    end (after, 1);
}
END_TEST

static unsigned worked;

/* Write, and fail the first so many times. */
static int
work (void *arg, struct txn *txn, litedfs_error_t *e)
{
    const unsigned *failures = arg;
    bool created;

    int rc = namespace_make_directory (txn, S ("/w"), false, &created, NULL, e);
    if (rc == 0 && worked++ < *failures)
        rc = err_set (e, LITEDFS_CORRUPT, "no");
    return rc;
}

START_TEST (work_that_fails_has_written_nothing)
{
    unsigned failures = 1;

    ck_assert_int_eq (batch_work (&context, work, &failures, &error), LITEDFS_CORRUPT);
    ck_assert (!exists ("/w"));
    ck_assert_int_eq (batch_work (&context, work, &failures, &error), 0);
    ck_assert (exists ("/w"));
    ck_assert_uint_eq (worked, 2);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_batch", batch_setup, batch_teardown,
                   a_refused_request_leaves_the_others_of_its_batch_alone,
                   a_request_that_meets_a_damaged_row_fails_alone,
                   a_retry_gets_the_first_answer_in_the_same_batch_and_in_a_later_one,
                   the_map_grows_as_far_as_a_batch_needs,
                   on_a_full_disk_only_what_frees_space_is_taken,
                   work_that_fails_has_written_nothing)
