/* SPDX-License-Identifier: MIT */
/*
 * datanode/blockstore: whose data it is, who may use it, what it holds.
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

START_TEST (an_identity_is_drawn_once_and_kept)
{
    struct blockstore_identity first;
    struct blockstore_identity again;
    blockstore_identity (store, &first);
    ck_assert (!uuid_is_nil (&first.uuid));
    ck_assert (uuid_is_nil (&first.cluster));
    ck_assert_uint_eq (first.node, 0);
    store_reopen ();
    blockstore_identity (store, &again);
    ck_assert (uuid_equal (&first.uuid, &again.uuid));
}
END_TEST

START_TEST (joining_a_cluster_is_durable_and_for_good)
{
    struct uuid cluster;
    struct uuid other;
    struct blockstore_identity identity;
    expect (0, uuid_random (&cluster, &error));
    expect (0, uuid_random (&other, &error));
    expect (LITEDFS_INVALID, blockstore_join (store, &cluster, 0, &error));
    expect (0, blockstore_join (store, &cluster, 7, &error));
    expect (0, blockstore_join (store, &cluster, 7, &error));
    expect (LITEDFS_WRONG_CLUSTER, blockstore_join (store, &cluster, 8, &error));
    expect (LITEDFS_WRONG_CLUSTER, blockstore_join (store, &other, 7, &error));
    store_reopen ();
    blockstore_identity (store, &identity);
    ck_assert (uuid_equal (&identity.cluster, &cluster));
    ck_assert_uint_eq (identity.node, 7);
    expect (LITEDFS_WRONG_CLUSTER, blockstore_join (store, &other, 7, &error));
    expect (0, blockstore_join (store, &cluster, 7, &error));
}
END_TEST

static void
open_in_child (void)
{
    litedfs_error_t reason;
    struct blockstore *other;
    struct blockstore_options options = store_options ();
    _exit (-blockstore_open (&other, &options, &reason));
}

START_TEST (a_second_process_is_refused_until_the_first_is_gone)
{
    ck_assert_int_eq (WEXITSTATUS (store_run_child (open_in_child)), -LITEDFS_IN_USE);
    ck_assert_int_eq (try_open (store_data), LITEDFS_IN_USE);
    blockstore_close (&store);
    ck_assert_int_eq (WEXITSTATUS (store_run_child (open_in_child)), 0);
    store_open ();
}
END_TEST

START_TEST (space_counts_finished_and_unfinished_bytes)
{
    struct blockstore_space space;
    store_put (1, 100000);
    store_put (2, 1);
    struct writing *writing = store_write (3, 50);
    expect (0, blockstore_space (store, &space, &error));
    ck_assert_uint_eq (space.blocks, 2);
    ck_assert_uint_eq (space.used, 100051);
    ck_assert_uint_eq (space.total, space.used + space.free);
    ck_assert (!space.full);
    blockstore_abandon (&writing);
    store_reopen ();
    expect (0, blockstore_space (store, &space, &error));
    ck_assert_uint_eq (space.blocks, 2);
    ck_assert_uint_eq (space.used, 100001);
}
END_TEST

START_TEST (preserved_space_makes_the_disk_full)
{
    struct blockstore_space space;
    struct blockstore_options options = store_options ();
    struct writing *writing;
    struct uuid file = store_file (1);
    blockstore_close (&store);
    options.preserve = UINT64_MAX;
    expect (0, blockstore_open (&store, &options, &error));
    expect (0, blockstore_space (store, &space, &error));
    ck_assert (space.full);
    ck_assert_uint_eq (space.free, 0);
    expect (LITEDFS_NO_SPACE,
            blockstore_begin (store, 1, &file, 0, "", 0, &writing, NULL, &error));
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_blockstore", store_setup, store_teardown,
                   an_identity_is_drawn_once_and_kept,
                   joining_a_cluster_is_durable_and_for_good,
                   a_second_process_is_refused_until_the_first_is_gone,
                   space_counts_finished_and_unfinished_bytes,
                   preserved_space_makes_the_disk_full)
