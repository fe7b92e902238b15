/* SPDX-License-Identifier: MIT */
/*
 * namenode/chain: the way up to the root, and what the directories on it count.
 */
#include "namenode/chain.h"

#include "namenode_store.h"

static struct chain chain;

static uint64_t
make_directory (struct txn *txn, const char *path)
{
    bool created;
    uint64_t inode;

    ck_ok (namespace_make_directory (txn, S (path), true, &created, &inode, E));
    return inode;
}

static struct inode_row
look (struct txn *txn, const char *path)
{
    struct inode_row row;

    ck_ok (namespace_lookup (txn, S (path), &row, E));
    return row;
}

START_TEST (climbing_gives_the_directory_first_and_the_root_last)
{
    struct txn *txn = begin ();
    uint64_t b = make_directory (txn, "/a/b");
    uint64_t a = make_directory (txn, "/a");
    uint64_t other = make_directory (txn, "/c");

    ck_ok (chain_climb (txn, b, &chain, E));
    ck_assert_uint_eq (chain.count, 3);
    ck_assert_uint_eq (chain.numbers[0], b);
    ck_assert_uint_eq (chain.numbers[1], a);
    ck_assert_uint_eq (chain.numbers[2], ROOT_INODE);
    ck_assert (chain_has (&chain, a) && chain_has (&chain, ROOT_INODE));
    ck_assert (!chain_has (&chain, other));
    ck_ok (chain_climb (txn, ROOT_INODE, &chain, E));
    ck_assert_uint_eq (chain.count, 1);
    commit (&txn);
}
END_TEST

START_TEST (there_is_no_way_out_of_a_tree_that_was_deleted)
{
    struct txn *txn = begin ();
    uint64_t b = make_directory (txn, "/a/b");

    ck_ok (namespace_delete (txn, KIND_DIRECTORY, S ("/a"), E));
    ck_fails (LITEDFS_NOT_FOUND, chain_climb (txn, b, &chain, E));
    ck_assert_str_eq (fixture.error.text, "directory: it was deleted");
    ck_fails (LITEDFS_NOT_FOUND, chain_climb (txn, 4711, &chain, E));
    commit (&txn);
}
END_TEST

START_TEST (a_way_that_is_too_long_ends)
{
    struct txn *txn = begin ();
    struct inode_row row = {.kind = KIND_DIRECTORY, .parent = ROOT_INODE};
    uint64_t first;

    ck_ok (meta_next (txn, META_INODE, &first, E));
    for (uint64_t i = 0; i < NAMESPACE_DEPTH_MAX; i++) {
        row.number = first + i;
        inode_row_set_name (&row, S ("d"));
        ck_ok (inode_row_put (txn, &row, E));
        row.parent = row.number;
    }
    ck_ok (chain_climb (txn, first + NAMESPACE_DEPTH_MAX - 2, &chain, E));
    ck_assert_uint_eq (chain.count, NAMESPACE_DEPTH_MAX);
    ck_fails (LITEDFS_INVALID, chain_climb (txn, first + NAMESPACE_DEPTH_MAX - 1, &chain, E));
    // A circle, as only a damaged store has one, ends like that too.
    row.number = row.parent = first;
    ck_ok (inode_row_put (txn, &row, E));
    ck_fails (LITEDFS_INVALID, chain_climb (txn, first, &chain, E));
    rollback (&txn);
}
END_TEST

START_TEST (a_change_is_the_directorys_own_and_counts_below_all_above)
{
    const struct totals_delta below = {.files = 2, .bytes = 100};
    struct txn *txn = begin ();
    uint64_t b = make_directory (txn, "/a/b");

    commit (&txn);
    pass_ms (5000);
    txn = begin ();
    ck_ok (chain_climb (txn, b, &chain, E));
    ck_ok (chain_spread (txn, &chain, &below, 0, 2, E));
    commit (&txn);
    txn = begin_read ();
    struct inode_row inner = look (txn, "/a/b"), outer = look (txn, "/a"),
                     root = look (txn, "/");
    ck_assert_uint_eq (inner.child_files, 2);
    ck_assert_uint_eq (outer.child_files, 0);
    ck_assert_uint_eq (root.child_files, 0);
    ck_assert_uint_eq (inner.files, 2);
    ck_assert_uint_eq (outer.files, 2);
    ck_assert_uint_eq (root.files, 2);
    ck_assert_uint_eq (root.bytes, 100);
    ck_assert_uint_eq (inner.mtime, (uint64_t) fixture.frame.wall_ms);
    ck_assert_uint_lt (outer.mtime, inner.mtime);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_tree_weighs_what_is_in_it_and_as_much_when_it_goes)
{
    struct txn *txn = begin ();
    struct inode_row row;

    make_directory (txn, "/a/b/c");
    uint64_t to = make_directory (txn, "/x/y");
    commit (&txn);
    txn = begin ();
    add_file (txn, "/a/b/f", 10);
    add_file (txn, "/a/b/c/g", 5);
    ck_ok (inode_row_get (txn, look (txn, "/a/b").number, &row, E)); // files are pending
    ck_ok (chain_climb (txn, to, &chain, E));
    ck_ok (chain_weigh (txn, &chain, &row, 1, E));
    struct inode_row x = look (txn, "/x"), y = look (txn, "/x/y");
    ck_assert_uint_eq (y.child_directories, 1);
    ck_assert_uint_eq (x.child_directories, 1); // y
    ck_assert_uint_eq (x.directories, 3);       // y, b and c
    ck_assert_uint_eq (x.files, 2);
    ck_assert_uint_eq (x.bytes, 15);
    ck_ok (chain_weigh (txn, &chain, &row, -1, E));
    x = look (txn, "/x");
    y = look (txn, "/x/y");
    ck_assert_uint_eq (y.child_directories, 0);
    ck_assert_uint_eq (x.directories, 1);
    ck_assert_uint_eq (x.files, 0);
    ck_assert_uint_eq (x.bytes, 0);
    rollback (&txn);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_chain", store_setup, store_teardown,
                   climbing_gives_the_directory_first_and_the_root_last,
                   there_is_no_way_out_of_a_tree_that_was_deleted, a_way_that_is_too_long_ends,
                   a_change_is_the_directorys_own_and_counts_below_all_above,
                   a_tree_weighs_what_is_in_it_and_as_much_when_it_goes)
