/* SPDX-License-Identifier: MIT */
/*
 * namenode/upload: what is refused, and that a refused request has written nothing.
 */
#include "namenode/upload.h"

#include "namenode_client.h"

START_TEST (what_cannot_be_created_is_refused_and_writes_nothing)
{
    struct upload_created created;
    struct client other;
    bool made;

    begin_upload (&other, "/d/locked", 10, "other");
    struct txn *txn = begin ();
    add_file (txn, "/d/f", 10);
    ck_ok (namespace_make_directory (txn, S ("/d/e"), true, &made, NULL, E));
    commit (&txn);
    static const struct {
        const char *path;
        int number;
    } cases[] = {
        {"/d/f", LITEDFS_EXISTS},      {"/d/e", LITEDFS_IS_DIRECTORY},
        {"/", LITEDFS_IS_DIRECTORY},   {"/d/f/g", LITEDFS_NOT_DIRECTORY},
        {"/d/locked", LITEDFS_LOCKED}, {"/d/locked/f", LITEDFS_LOCKED},
        {"d", LITEDFS_INVALID},        {"/d/f/g/h", LITEDFS_NOT_DIRECTORY},
    };
    static const uint64_t sizes[] = {0, 10, WIRE_UNKNOWN};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t size = 0; size < 3; size++) {
            struct upload_create ask = create_of (cases[i].path, sizes[size], "token");
            txn = begin ();
            ck_fails (cases[i].number, upload_create (txn, &ask, &placer, &created, E));
            ck_assert_uint_eq (txn_written (txn), 0);
            rollback (&txn);
        }
    txn = begin ();
    struct upload_create ask = create_of ("/x/y/z", ((uint64_t) 1 << 32) * BLOCK + 1, "token");
    ck_fails (LITEDFS_INVALID, upload_create (txn, &ask, &placer, &created, E));
    ask.size = 100;
    shelf.nodes = 0;
    ck_fails (LITEDFS_NO_NODE, upload_create (txn, &ask, &placer, &created, E));
    ck_assert_str_eq (fixture.error.text, "file[/x/y/z]: no data node can take this block");
    ck_assert_uint_eq (txn_written (txn), 0);
    txn_abort (&txn);
}
END_TEST

START_TEST (finished_blocks_that_are_not_as_allocated_are_refused)
{
    struct client client;
    struct upload_finished done;
    uint64_t nodes[2] = {1, 1};

    begin_upload (&client, "/f", 150, "token");
    struct txn *txn = begin ();
#define REFUSED(change)                                                                        \
    do {                                                                                       \
        done = finished (&client, 0, 100);                                                     \
        change;                                                                                \
        ck_fails (LITEDFS_INVALID, allocate (txn, &client, 0, 0, &done, 1, NULL, 0));          \
        ck_assert_uint_eq (txn_written (txn), 0);                                              \
    } while (0)
    REFUSED (done.index = 1);
    REFUSED (done.index = 2);
    REFUSED (done.index = UINT64_MAX);
    REFUSED (done.index = (uint64_t) 1 << 32);
    REFUSED (done.block++);
    REFUSED (done.size = 99);
    REFUSED (done.size = 0);
    REFUSED (done.size = UINT64_MAX);
    REFUSED (done.nodes_count = 0);
    REFUSED (nodes[0] = 2; done.nodes = nodes);
    REFUSED (nodes[0] = ((uint64_t) 1 << 32) + 1; done.nodes = nodes);
    REFUSED (nodes[0] = 1; done.nodes = nodes; done.nodes_count = 2);
    done = finished (&client, 0, 100);
    struct upload_finished twice[] = {done, done};
    ck_fails (LITEDFS_INVALID, allocate (txn, &client, 0, 0, twice, 2, NULL, 0));
    ck_assert_uint_eq (txn_written (txn), 0);
    ck_ok (finish (txn, &client, 0, 100));
    done = finished (&client, 0, 100);
    done.crc++;
    ck_fails (LITEDFS_INVALID, allocate (txn, &client, 0, 0, &done, 1, NULL, 0));
    txn_abort (&txn);
}
END_TEST

START_TEST (blocks_beyond_the_end_are_not_given)
{
    struct client client;

    begin_upload (&client, "/f", 150, "token");
    struct txn *txn = begin ();
    ck_fails (LITEDFS_INVALID, allocate (txn, &client, 2, 1, NULL, 0, NULL, 0));
    ck_fails (LITEDFS_INVALID,
              allocate (txn, &client, 0, UPLOAD_BLOCKS_MAX + 1, NULL, 0, NULL, 0));
    ck_fails (LITEDFS_INVALID, allocate (txn, &client, UINT32_MAX, 1, NULL, 0, NULL, 0));
    ck_ok (allocate (txn, &client, 0, UPLOAD_BLOCKS_MAX, NULL, 0, NULL, 0));
    ck_assert_uint_eq (txn_written (txn), 0);
    client.created.file.bytes[15] ^= 1;
    ck_fails (LITEDFS_LEASE_LOST, allocate (txn, &client, 0, 1, NULL, 0, NULL, 0));
    txn_abort (&txn);
}
END_TEST

START_TEST (a_commit_that_lacks_something_is_refused_and_writes_nothing)
{
    struct client client;
    uint32_t crc;

    begin_upload (&client, "/f", 150, "token");
    struct txn *txn = begin ();
    ck_ok (finish (txn, &client, 0, 100));
    uint64_t before = txn_written (txn);
    struct upload_finished last = finished (&client, 1, 50);
    ck_fails (LITEDFS_INVALID, commit_upload (txn, &client, 150, 2, NULL, 0, &crc));
    ck_assert_str_eq (fixture.error.text, "file[f]: block 1: it is not finished");
    ck_fails (LITEDFS_INVALID, commit_upload (txn, &client, 150, 3, &last, 1, &crc));
    ck_fails (LITEDFS_INVALID, commit_upload (txn, &client, 150, 1, &last, 1, &crc));
    ck_fails (LITEDFS_INVALID, commit_upload (txn, &client, 100, 1, NULL, 0, &crc));
    ck_fails (LITEDFS_INVALID, commit_upload (txn, &client, 149, 2, &last, 1, &crc));
    ck_fails (LITEDFS_INVALID, commit_upload (txn, &client, 150, UINT64_MAX, &last, 1, &crc));
    ck_assert_uint_eq (txn_written (txn), before);
    ck_ok (commit_upload (txn, &client, 150, 2, &last, 1, &crc));
    txn_abort (&txn);
}
END_TEST

START_TEST (only_the_last_block_may_be_less_than_full)
{
    struct client client;
    uint32_t crc;

    begin_upload (&client, "/f", WIRE_UNKNOWN, "token");
    struct txn *txn = begin ();
    ck_ok (allocate (txn, &client, 0, 2, NULL, 0, NULL, 0));
    ck_ok (finish (txn, &client, 0, 50));
    ck_ok (finish (txn, &client, 1, 100));
    ck_fails (LITEDFS_INVALID, commit_upload (txn, &client, 150, 2, NULL, 0, &crc));
    ck_assert_str_eq (fixture.error.text,
                      "file[f]: block 0: it is not the last one and not full");
    txn_abort (&txn);
}
END_TEST

START_TEST (a_commit_into_a_deleted_tree_or_onto_a_taken_name_is_refused)
{
    struct client client;
    struct client other;
    bool made;
    uint32_t crc;

    begin_upload (&client, "/a/b/f", 50, "token");
    begin_upload (&other, "/c/f", 50, "other");
    struct txn *txn = begin ();
    ck_ok (finish (txn, &client, 0, 50));
    ck_ok (namespace_delete (txn, KIND_DIRECTORY, S ("/a"), E));
    uint64_t before = txn_written (txn);
    ck_fails (LITEDFS_NOT_FOUND, commit_upload (txn, &client, 50, 1, NULL, 0, &crc));
    ck_assert_uint_eq (txn_written (txn), before);
    commit (&txn);
    size_t freed;
    txn = begin ();
    ck_ok (garbage_free_slice (txn, 1000, 0, &freed, E));
    ck_fails (LITEDFS_NOT_FOUND, commit_upload (txn, &client, 50, 1, NULL, 0, &crc));
    ck_ok (upload_abandon (txn, &client.created.file, client.ask.token, E));
    commit (&txn);

    pass_ms (60000); // the other's lease expires, and somebody makes a directory of the name
    txn = begin ();
    ck_ok (finish (txn, &other, 0, 50));
    ck_ok (namespace_make_directory (txn, S ("/c/f"), true, &made, NULL, E));
    ck_fails (LITEDFS_IS_DIRECTORY, commit_upload (txn, &other, 50, 1, NULL, 0, &crc));
    ck_ok (namespace_delete (txn, KIND_DIRECTORY, S ("/c/f"), E));
    ck_ok (commit_upload (txn, &other, 50, 1, NULL, 0, &crc));
    txn_abort (&txn);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_upload_refused", client_setup, store_teardown,
                   what_cannot_be_created_is_refused_and_writes_nothing,
                   finished_blocks_that_are_not_as_allocated_are_refused,
                   blocks_beyond_the_end_are_not_given,
                   a_commit_that_lacks_something_is_refused_and_writes_nothing,
                   only_the_last_block_may_be_less_than_full,
                   a_commit_into_a_deleted_tree_or_onto_a_taken_name_is_refused)
