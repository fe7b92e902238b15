/* SPDX-License-Identifier: MIT */
/*
 * namenode/namespace and chain: the rules of the tree, one by one.
 */
#include "namenode/namespace.h"

#include "namenode/lease.h"

#include "namenode_store.h"

static const char *
make (struct txn *txn, const char *path)
{
    bool created;

    ck_ok (namespace_make_directory (txn, S (path), true, &created, NULL, E));
    return created ? "created" : "there";
}

static int
move (struct txn *txn, enum kind kind, const char *source, const char *target)
{
    struct buf path = {0};
    int rc = namespace_move (txn, kind, S (source), S (target), &path, E);

    buf_free (&path);
    return rc;
}

static int
change_name (struct txn *txn, enum kind kind, const char *path, const char *name)
{
    struct buf out = {0};
    int rc = namespace_rename (txn, kind, S (path), S (name), &out, E);

    buf_free (&out);
    return rc;
}

static int
look (struct txn *txn, const char *path)
{
    struct inode_row row;

    return namespace_lookup (txn, S (path), &row, E);
}

static struct inode_row
row_of (struct txn *txn, const char *path)
{
    struct inode_row row;

    ck_ok (namespace_lookup (txn, S (path), &row, E));
    return row;
}

/* directories, files and bytes below, and children, as text. */
static const char *
totals (struct txn *txn, const char *path)
{
    static char text[128];
    struct inode_row row = row_of (txn, path);

    snprintf (text, sizeof text, "%d %d %d; %d %d", (int) row.directories, (int) row.files,
              (int) row.bytes, (int) row.child_directories, (int) row.child_files);
    return text;
}

/* The lease of somebody who writes this name. */
static struct lease_row
lock_name (struct txn *txn, uint64_t parent, const char *name, const char *token, uint32_t ttl)
{
    struct lease_row row = {.parent = parent, .inode = 1000, .size = 1, .block_size = 1};

    memcpy (row.token, token, strlen (token));
    row.ttl = ttl;
    row.name_size = strlen (name);
    strcpy (row.name, name);
    ck_ok (lease_take (txn, &row, E));
    return row;
}

/* ---- making and finding -------------------------------------------------------------------------- */

START_TEST (the_root_is_there_and_empty)
{
    struct txn *txn = begin ();
    struct inode_row root = row_of (txn, "/");

    ck_assert_uint_eq (root.number, ROOT_INODE);
    ck_assert_str_eq (totals (txn, "//"), "0 0 0; 0 0");
    ck_assert_str_eq (make (txn, "/"), "there");
    uint64_t before = txn_written (txn);
    ck_ok (namespace_format (txn, E));
    ck_assert_uint_eq (txn_written (txn), before);
    txn_abort (&txn);
}
END_TEST

START_TEST (missing_parents_are_made_only_when_asked_for)
{
    bool created;
    struct txn *txn = begin ();

    ck_fails (LITEDFS_NOT_FOUND,
              namespace_make_directory (txn, S ("/a/b"), false, &created, NULL, E));
    ck_assert_uint_eq (txn_written (txn), 0);
    ck_assert_str_eq (make (txn, "/a/b//c/"), "created");
    ck_assert_str_eq (make (txn, "/a/b/c"), "there");
    ck_ok (namespace_make_directory (txn, S ("/a/d"), false, &created, NULL, E));
    ck_assert (created);
    ck_assert_str_eq (totals (txn, "/"), "4 0 0; 1 0");
    ck_assert_str_eq (totals (txn, "/a"), "3 0 0; 2 0");
    ck_assert_str_eq (totals (txn, "/a/b"), "1 0 0; 1 0");
    commit (&txn);
    txn = begin_read ();
    ck_assert_str_eq (totals (txn, "/"), "4 0 0; 1 0");
    ck_assert_str_eq (totals (txn, "/a"), "3 0 0; 2 0");
    ck_assert_str_eq (totals (txn, "/a/b/c"), "0 0 0; 0 0");
    txn_abort (&txn);
}
END_TEST

START_TEST (errors_name_the_part_that_is_missing_or_no_directory)
{
    struct inode_row row;
    bool created;
    struct txn *txn = begin ();

    make (txn, "/a");
    add_file (txn, "/a/f", 5);
    ck_fails (LITEDFS_NOT_FOUND, look (txn, "/a/b"));
    ck_assert_str_eq (fixture.error.text, "path[/a/b]: no such file or directory");
    ck_fails (LITEDFS_NOT_FOUND, look (txn, "/a/b/c/d"));
    ck_assert_str_eq (fixture.error.text, "path[/a/b/c/d]: /a/b does not exist");
    ck_fails (LITEDFS_NOT_DIRECTORY, look (txn, "/a/f/x"));
    ck_assert_str_eq (fixture.error.text, "path[/a/f/x]: /a/f is a file");
    ck_fails (LITEDFS_NOT_DIRECTORY,
              namespace_lookup_kind (txn, S ("/a/f"), KIND_DIRECTORY, &row, E));
    ck_fails (LITEDFS_IS_DIRECTORY, namespace_lookup_kind (txn, S ("/a"), KIND_FILE, &row, E));
    ck_fails (LITEDFS_EXISTS,
              namespace_make_directory (txn, S ("/a/f"), true, &created, NULL, E));
    ck_fails (LITEDFS_NOT_DIRECTORY,
              namespace_make_directory (txn, S ("/a/f/g"), true, &created, NULL, E));
    ck_fails (LITEDFS_INVALID, look (txn, "a"));
    txn_abort (&txn);
}
END_TEST

START_TEST (inodes_know_their_path)
{
    struct buf path = {0};
    struct slice none = {0};
    struct txn *txn = begin ();

    make (txn, "/a/b");
    uint64_t inode = add_file (txn, "/a/b/c", 1);
    struct inode_row row = row_of (txn, "/a/b/c");
    ck_assert_uint_eq (row.number, inode);
    ck_ok (namespace_path_of (txn, row.parent, inode_row_name (&row), &path, E));
    ck_assert_str_eq (buf_text (&path), "/a/b/c");
    buf_clear (&path);
    ck_ok (namespace_path_of (txn, ROOT_INODE, none, &path, E));
    ck_assert_str_eq (buf_text (&path), "/");
    buf_clear (&path);
    ck_ok (namespace_path_of (txn, ROOT_INODE, S ("x"), &path, E));
    ck_assert_str_eq (buf_text (&path), "/x");
    ck_fails (LITEDFS_NOT_FOUND, namespace_path_of (txn, 4711, none, &path, E));
    buf_free (&path);
    txn_abort (&txn);
}
END_TEST

START_TEST (files_are_found_by_id_only_with_the_right_bits)
{
    struct inode_row row;
    struct inode_row found;
    struct uuid id;
    struct txn *txn = begin ();

    make (txn, "/a");
    add_file (txn, "/a/f", 1);
    row = row_of (txn, "/a/f");
    inode_row_id (&row, &id);
    ck_ok (namespace_file_by_id (txn, &id, &found, E));
    ck_assert_uint_eq (found.number, row.number);
    ck_ok (move (txn, KIND_FILE, "/a/f", "/"));
    ck_ok (namespace_file_by_id (txn, &id, &found, E));
    uuid_v8 (&id, row.number, row.bits + 1);
    ck_fails (LITEDFS_NOT_FOUND, namespace_file_by_id (txn, &id, &found, E));
    uuid_v8 (&id, ROOT_INODE, 0);
    ck_fails (LITEDFS_NOT_FOUND, namespace_file_by_id (txn, &id, &found, E));
    memset (&id, 0, sizeof id);
    ck_fails (LITEDFS_NOT_FOUND, namespace_file_by_id (txn, &id, &found, E));
    txn_abort (&txn);
}
END_TEST

START_TEST (directories_change_their_mtime_with_their_children)
{
    struct txn *txn = begin ();
    make (txn, "/a/b");
    commit (&txn);
    uint64_t start = (uint64_t) fixture.frame.wall_ms;
    pass_ms (1000);
    txn = begin ();
    add_file (txn, "/a/f", 1);
    commit (&txn);
    txn = begin ();
    ck_assert_uint_eq (row_of (txn, "/a").mtime, start + 1000);
    ck_assert_uint_eq (row_of (txn, "/a").ctime, start);
    ck_assert_uint_eq (row_of (txn, "/a/b").mtime, start);
    ck_assert_uint_eq (row_of (txn, "/").mtime, start);
    commit (&txn);
    pass_ms (1000);
    txn = begin ();
    ck_ok (change_name (txn, KIND_DIRECTORY, "/a/b", "c"));
    commit (&txn);
    txn = begin ();
    ck_assert_uint_eq (row_of (txn, "/a").mtime, start + 2000);
    ck_assert_uint_eq (row_of (txn, "/a/c").mtime, start);
    txn_abort (&txn);
}
END_TEST

/* ---- moving and renaming ------------------------------------------------------------------------- */

START_TEST (a_directory_moves_with_everything_below_in_a_few_rows)
{
    struct buf path = {0};
    struct txn *txn = begin ();
    make (txn, "/a/b/c");
    make (txn, "/x/y");
    for (int i = 0; i < 100; i++) {
        char name[32];
        snprintf (name, sizeof name, "/a/b/c/%d", i);
        add_file (txn, name, 10);
    }
    commit (&txn);
    txn = begin ();
    uint64_t before = txn_written (txn);
    ck_ok (namespace_move (txn, KIND_DIRECTORY, S ("/a/b"), S ("/x/y"), &path, E));
    ck_assert_uint_eq (txn_written (txn) - before, 3);
    ck_assert_str_eq (buf_text (&path), "/x/y/b");
    buf_free (&path);
    ck_assert_str_eq (totals (txn, "/a"), "0 0 0; 0 0");
    ck_assert_str_eq (totals (txn, "/x"), "3 100 1000; 1 0");
    ck_assert_str_eq (totals (txn, "/"), "5 100 1000; 2 0");
    ck_ok (look (txn, "/x/y/b/c/77"));
    ck_fails (LITEDFS_NOT_FOUND, look (txn, "/a/b"));
    commit (&txn);
    txn = begin_read ();
    ck_assert_str_eq (totals (txn, "/a"), "0 0 0; 0 0");
    ck_assert_str_eq (totals (txn, "/x/y"), "2 100 1000; 1 0");
    txn_abort (&txn);
}
END_TEST

START_TEST (a_directory_moved_in_the_batch_of_its_own_growth_takes_that_along)
{
    struct txn *txn = begin ();
    make (txn, "/a/b");
    make (txn, "/x");
    commit (&txn);
    txn = begin ();
    add_file (txn, "/a/b/f", 10);
    ck_ok (move (txn, KIND_DIRECTORY, "/a/b", "/x"));
    add_file (txn, "/x/b/g", 20);
    ck_ok (move (txn, KIND_DIRECTORY, "/x", "/a"));
    ck_ok (namespace_delete (txn, KIND_FILE, S ("/a/x/b/f"), E));
    commit (&txn);
    txn = begin_read ();
    ck_assert_str_eq (totals (txn, "/"), "3 1 20; 1 0");
    ck_assert_str_eq (totals (txn, "/a"), "2 1 20; 1 0");
    ck_assert_str_eq (totals (txn, "/a/x"), "1 1 20; 1 0");
    ck_assert_str_eq (totals (txn, "/a/x/b"), "0 1 20; 0 1");
    txn_abort (&txn);
}
END_TEST

START_TEST (nothing_goes_into_itself_or_below)
{
    struct txn *txn = begin ();
    make (txn, "/a/b/c");
    uint64_t before = txn_written (txn);
    ck_fails (LITEDFS_INVALID, move (txn, KIND_DIRECTORY, "/a", "/a"));
    ck_fails (LITEDFS_INVALID, move (txn, KIND_DIRECTORY, "/a", "/a/b"));
    ck_fails (LITEDFS_INVALID, move (txn, KIND_DIRECTORY, "/a", "/a/b/c"));
    ck_assert_str_eq (fixture.error.text, "directory[/a]: it cannot go into itself");
    ck_assert_uint_eq (txn_written (txn), before);
    txn_abort (&txn);
}
END_TEST

START_TEST (the_root_is_not_moved_renamed_or_deleted)
{
    struct txn *txn = begin ();
    make (txn, "/a");
    uint64_t before = txn_written (txn);
    ck_fails (LITEDFS_INVALID, move (txn, KIND_DIRECTORY, "/", "/a"));
    ck_fails (LITEDFS_INVALID, change_name (txn, KIND_DIRECTORY, "/", "x"));
    ck_fails (LITEDFS_INVALID, namespace_delete (txn, KIND_DIRECTORY, S ("///"), E));
    ck_fails (LITEDFS_IS_DIRECTORY, namespace_delete (txn, KIND_FILE, S ("/"), E));
    ck_assert_uint_eq (txn_written (txn), before);
    txn_abort (&txn);
}
END_TEST

START_TEST (names_that_are_taken_are_refused)
{
    struct txn *txn = begin ();
    make (txn, "/a/x");
    make (txn, "/b/x");
    add_file (txn, "/a/f", 1);
    add_file (txn, "/b/f", 1);
    make (txn, "/c/f");
    add_file (txn, "/x", 1);
    uint64_t before = txn_written (txn);
    ck_fails (LITEDFS_EXISTS, move (txn, KIND_DIRECTORY, "/a/x", "/b"));
    ck_fails (LITEDFS_EXISTS, move (txn, KIND_DIRECTORY, "/a/x", "/"));
    ck_fails (LITEDFS_EXISTS, move (txn, KIND_FILE, "/a/f", "/b"));
    ck_fails (LITEDFS_EXISTS, move (txn, KIND_FILE, "/a/f", "/c"));
    ck_fails (LITEDFS_EXISTS, move (txn, KIND_FILE, "/a/f", "/a"));
    ck_fails (LITEDFS_EXISTS, change_name (txn, KIND_FILE, "/a/f", "x"));
    ck_fails (LITEDFS_EXISTS, change_name (txn, KIND_DIRECTORY, "/a", "b"));
    ck_fails (LITEDFS_EXISTS, change_name (txn, KIND_DIRECTORY, "/a", "x"));
    ck_ok (change_name (txn, KIND_FILE, "/a/f", "f"));
    ck_assert_uint_eq (txn_written (txn), before);
    txn_abort (&txn);
}
END_TEST

START_TEST (kinds_are_not_mixed_up)
{
    struct txn *txn = begin ();
    make (txn, "/d/e");
    add_file (txn, "/f", 1);
    uint64_t before = txn_written (txn);
    ck_fails (LITEDFS_IS_DIRECTORY, move (txn, KIND_FILE, "/d", "/"));
    ck_fails (LITEDFS_NOT_DIRECTORY, move (txn, KIND_DIRECTORY, "/f", "/d"));
    ck_fails (LITEDFS_NOT_DIRECTORY, move (txn, KIND_DIRECTORY, "/d/e", "/f"));
    ck_fails (LITEDFS_NOT_FOUND, move (txn, KIND_FILE, "/f", "/nowhere"));
    ck_fails (LITEDFS_NOT_FOUND, move (txn, KIND_FILE, "/nothing", "/d"));
    ck_fails (LITEDFS_IS_DIRECTORY, change_name (txn, KIND_FILE, "/d", "x"));
    ck_fails (LITEDFS_NOT_DIRECTORY, change_name (txn, KIND_DIRECTORY, "/f", "x"));
    ck_fails (LITEDFS_NOT_DIRECTORY, namespace_delete (txn, KIND_DIRECTORY, S ("/f"), E));
    ck_fails (LITEDFS_IS_DIRECTORY, namespace_delete (txn, KIND_FILE, S ("/d"), E));
    ck_fails (LITEDFS_INVALID, change_name (txn, KIND_FILE, "/f", "a/b"));
    ck_fails (LITEDFS_INVALID, change_name (txn, KIND_FILE, "/f", ".."));
    ck_fails (LITEDFS_INVALID, change_name (txn, KIND_FILE, "/f", ""));
    ck_assert_uint_eq (txn_written (txn), before);
    txn_abort (&txn);
}
END_TEST

START_TEST (names_under_a_running_lease_are_locked)
{
    bool created;
    struct txn *txn = begin ();
    make (txn, "/d");
    make (txn, "/e");
    add_file (txn, "/d/f", 1);
    lock_name (txn, ROOT_INODE, "f", "token", 60);
    lock_name (txn, row_of (txn, "/d").number, "f", "other", 60);
    commit (&txn);
    txn = begin ();
    ck_fails (LITEDFS_LOCKED,
              namespace_make_directory (txn, S ("/f"), true, &created, NULL, E));
    ck_assert_str_eq (fixture.error.text, "directory[/f]: somebody else writes it now; the "
                                          "lock ends in 60 s unless it is renewed");
    ck_fails (LITEDFS_LOCKED,
              namespace_make_directory (txn, S ("/f/g"), true, &created, NULL, E));
    ck_fails (LITEDFS_LOCKED, change_name (txn, KIND_DIRECTORY, "/d", "f"));
    ck_fails (LITEDFS_LOCKED, move (txn, KIND_FILE, "/d/f", "/e"));
    ck_fails (LITEDFS_LOCKED, change_name (txn, KIND_FILE, "/d/f", "g"));
    ck_assert_uint_eq (txn_written (txn), 0);
    txn_abort (&txn);
    pass_ms (60000);
    txn = begin ();
    ck_ok (namespace_make_directory (txn, S ("/f"), true, &created, NULL, E));
    ck_ok (move (txn, KIND_FILE, "/d/f", "/e"));
    txn_abort (&txn);
}
END_TEST

/* ---- depth and length ---------------------------------------------------------------------------- */

/* "/x" n times. */
static char *
deep_path (int levels, char letter)
{
    char *path = malloc ((size_t) levels * 2 + 1);

    for (int i = 0; i < levels; i++) {
        path[2 * i] = '/';
        path[2 * i + 1] = letter;
    }
    path[2 * levels] = '\0';
    return path;
}

START_TEST (the_longest_paths_work)
{
    char *path = deep_path (2048, 'd');
    struct buf found = {0};
    struct txn *txn = begin ();

    ck_assert_str_eq (make (txn, path), "created");
    commit (&txn);
    txn = begin ();
    struct inode_row row = row_of (txn, path);
    ck_ok (namespace_path_of (txn, row.parent, inode_row_name (&row), &found, E));
    ck_assert_str_eq (buf_text (&found), path);
    ck_assert_uint_eq (row_of (txn, "/").directories, 2048);
    ck_fails (LITEDFS_INVALID, change_name (txn, KIND_DIRECTORY, path, "longer"));
    ck_ok (namespace_delete (txn, KIND_DIRECTORY, S ("/d"), E));
    ck_assert_uint_eq (row_of (txn, "/").directories, 0);
    buf_free (&found);
    free (path);
    txn_abort (&txn);
}
END_TEST

START_TEST (trees_that_grow_beyond_any_path_by_moving_can_be_moved_up_and_deleted)
{
    char *path = deep_path (1500, 'd');
    char *other = deep_path (1500, 'e');
    char *third = deep_path (1500, 'g');
    struct buf found = {0};
    struct txn *txn = begin ();

    make (txn, path);
    make (txn, other);
    make (txn, third);
    uint64_t bottom = row_of (txn, path).number;
    ck_ok (move (txn, KIND_DIRECTORY, "/d", other));
    ck_fails (LITEDFS_INVALID, look (txn, "x"));
    struct slice none = {0};
    ck_ok (namespace_path_of (txn, bottom, none, &found, E));
    ck_assert_uint_eq (found.size, 6000);
    ck_ok (move (txn, KIND_DIRECTORY, "/e", third));
    ck_assert_uint_eq (row_of (txn, "/").directories, 4500);
    ck_fails (LITEDFS_INVALID, namespace_path_of (txn, bottom, none, &found, E));
    ck_fails (LITEDFS_INVALID, namespace_can_link (txn, bottom, S ("f"), false, E));
    ck_assert_str_eq (make (txn, "/z"), "created");
    char up[4097];
    snprintf (up, sizeof up, "%s/e", third);
    ck_ok (move (txn, KIND_DIRECTORY, up, "/z"));
    ck_ok (namespace_can_link (txn, bottom, S ("f"), false, E));
    ck_assert_uint_eq (row_of (txn, "/z").directories, 3000);
    commit (&txn);
    txn = begin ();
    ck_ok (namespace_delete (txn, KIND_DIRECTORY, S ("/z"), E));
    commit (&txn);
    txn = begin_read ();
    ck_assert_uint_eq (row_of (txn, "/").directories, 1500);
    ck_fails (LITEDFS_NOT_FOUND, namespace_path_of (txn, bottom, none, &found, E));
    txn_abort (&txn);
    buf_free (&found);
    free (path);
    free (other);
    free (third);
}
END_TEST

/* ---- deleting and linking ------------------------------------------------------------------------ */

START_TEST (a_deleted_tree_is_gone_at_once_in_a_few_rows)
{
    struct slice none = {0};
    struct buf path = {0};
    struct txn *txn = begin ();
    make (txn, "/a/b/c");
    add_file (txn, "/a/b/f", 10);
    uint64_t inner = row_of (txn, "/a/b/c").number;
    commit (&txn);
    txn = begin ();
    ck_ok (namespace_delete (txn, KIND_DIRECTORY, S ("/a/b"), E));
    ck_assert_uint_eq (txn_written (txn), 3);
    ck_fails (LITEDFS_NOT_FOUND, look (txn, "/a/b/f"));
    ck_fails (LITEDFS_NOT_FOUND, namespace_path_of (txn, inner, none, &path, E));
    ck_fails (LITEDFS_NOT_FOUND, namespace_can_link (txn, inner, S ("f"), false, E));
    ck_assert_str_eq (totals (txn, "/"), "1 0 0; 1 0");
    ck_assert_str_eq (make (txn, "/a/b"), "created");
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_DOOMED), 1);
    buf_free (&path);
}
END_TEST

START_TEST (a_file_is_linked_once_and_replaced_when_asked_for)
{
    struct txn *txn = begin ();
    make (txn, "/d");
    uint64_t first = add_file (txn, "/d/f", 10);
    struct inode_row row = row_of (txn, "/d/f");
    row.number = 99;
    row.size = 30;
    ck_fails (LITEDFS_EXISTS, namespace_link (txn, &row, false, E));
    ck_ok (namespace_link (txn, &row, true, E));
    ck_assert_uint_eq (row_of (txn, "/d/f").number, 99);
    ck_assert_str_eq (totals (txn, "/"), "1 1 30; 1 0");
    row.number = 100;
    make (txn, "/d/g");
    inode_row_set_name (&row, S ("g"));
    ck_fails (LITEDFS_IS_DIRECTORY, namespace_link (txn, &row, true, E));
    ck_fails (LITEDFS_IS_DIRECTORY, namespace_link (txn, &row, false, E));
    struct inode_row old;
    ck_fails (LITEDFS_NOT_FOUND, inode_row_get (txn, first, &old, E));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_DOOMED), 1);
}
END_TEST

START_TEST (the_wanted_replicas_change_only_for_the_file_that_is_meant)
{
    struct uuid id;
    struct txn *txn = begin ();
    add_file (txn, "/f", 10);
    struct inode_row row = row_of (txn, "/f");
    inode_row_id (&row, &id);
    ck_ok (namespace_set_replica (txn, S ("/f"), 3, &id, E));
    ck_assert_uint_eq (row_of (txn, "/f").replica, 3);
    ck_ok (namespace_set_replica (txn, S ("/f"), 2, NULL, E));
    id.bytes[15] ^= 1;
    ck_fails (LITEDFS_NOT_FOUND, namespace_set_replica (txn, S ("/f"), 4, &id, E));
    ck_fails (LITEDFS_IS_DIRECTORY, namespace_set_replica (txn, S ("/"), 4, NULL, E));
    ck_assert_uint_eq (row_of (txn, "/f").replica, 2);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_batch_that_is_aborted_and_run_again_gives_the_same)
{
    for (int run = 0; run < 2; run++) {
        struct txn *txn = begin ();
        make (txn, "/a/b");
        add_file (txn, "/a/f", 10);
        ck_ok (move (txn, KIND_FILE, "/a/f", "/a/b"));
        ck_assert_str_eq (totals (txn, "/"), "2 1 10; 1 0");
        if (run == 0)
            txn_abort (&txn);
        else
            commit (&txn);
    }
    struct txn *txn = begin_read ();
    ck_assert_str_eq (totals (txn, "/"), "2 1 10; 1 0");
    ck_assert_uint_eq (row_of (txn, "/a").number, 2);
    txn_abort (&txn);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_namespace", store_setup, store_teardown,
                   the_root_is_there_and_empty, missing_parents_are_made_only_when_asked_for,
                   errors_name_the_part_that_is_missing_or_no_directory, inodes_know_their_path,
                   files_are_found_by_id_only_with_the_right_bits,
                   directories_change_their_mtime_with_their_children,
                   a_directory_moves_with_everything_below_in_a_few_rows,
                   a_directory_moved_in_the_batch_of_its_own_growth_takes_that_along,
                   nothing_goes_into_itself_or_below, the_root_is_not_moved_renamed_or_deleted,
                   names_that_are_taken_are_refused, kinds_are_not_mixed_up,
                   names_under_a_running_lease_are_locked, the_longest_paths_work,
                   trees_that_grow_beyond_any_path_by_moving_can_be_moved_up_and_deleted,
                   a_deleted_tree_is_gone_at_once_in_a_few_rows,
                   a_file_is_linked_once_and_replaced_when_asked_for,
                   the_wanted_replicas_change_only_for_the_file_that_is_meant,

                   a_batch_that_is_aborted_and_run_again_gives_the_same)
