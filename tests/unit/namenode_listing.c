/* SPDX-License-Identifier: MIT */
/*
 * namenode/listing: pages put together are the whole, by cursor and by offset, whatever happens between
 * them.
 */
#include "namenode/listing.h"

#include "namenode_store.h"

enum { DIRECTORIES = 700, FILES = 1300 };

/* A directory with many entries; its number. */
static uint64_t
fill (void)
{
    char path[64];
    bool created;
    uint64_t inode;
    struct txn *txn = begin ();

    ck_ok (namespace_make_directory (txn, S ("/d"), true, &created, &inode, E));
    ck_ok (namespace_make_directory (txn, S ("/e/inner"), true, &created, NULL, E));
    add_file (txn, "/e/other", 0);
    for (int i = 0; i < DIRECTORIES; i++) {
        snprintf (path, sizeof path, "/d/%d", i * 7919 % DIRECTORIES);
        ck_ok (namespace_make_directory (txn, S (path), true, &created, NULL, E));
    }
    for (int i = 0; i < FILES; i++) {
        snprintf (path, sizeof path, "/d/f%d", i * 7919 % FILES);
        add_file (txn, path, 0);
    }
    commit (&txn);
    return inode;
}

/* Append the names of one page, a line each; how many. */
static unsigned
page (struct txn *txn, uint64_t inode, bool directories, bool files, uint64_t offset,
      struct buf *cursor, unsigned limit, struct buf *out)
{
    struct listing listing;
    struct inode_row row;
    unsigned count = 0;

    ck_ok (listing_open (&listing, txn, inode, directories, files, offset,
                         cursor ? buf_slice (cursor) : slice_of (NULL, 0), E));
    ck_assert_uint_eq (listing.total, (directories ? DIRECTORIES : 0) + (files ? FILES : 0));
    while (count < limit && listing_next (&listing, &row, E) == 0) {
        buf_printf (out, "%s\n", row.name);
        count++;
    }
    if (cursor) {
        buf_clear (cursor);
        if (count > 0)
            listing_cursor (&row, cursor);
    }
    listing_close (&listing);
    return count;
}

static void
check_paging (uint64_t inode, bool directories, bool files, unsigned limit)
{
    struct buf whole = {0};
    struct buf by_cursor = {0};
    struct buf by_offset = {0};
    struct buf cursor = {0};
    unsigned expected = (directories ? DIRECTORIES : 0) + (files ? FILES : 0);
    unsigned count = 0;
    struct txn *txn = begin_read ();

    ck_assert_uint_eq (page (txn, inode, directories, files, 0, NULL, UINT32_MAX, &whole),
                       expected);
    txn_abort (&txn);
    for (unsigned got = limit; got == limit;) {
        txn = begin_read ();
        got = page (txn, inode, directories, files, 0, &cursor, limit, &by_cursor);
        txn_abort (&txn);
    }
    txn = begin_read ();
    for (unsigned got = limit; got == limit; count += got)
        got = page (txn, inode, directories, files, count, NULL, limit, &by_offset);
    txn_abort (&txn);
    ck_assert_uint_eq (count, expected);
    ck_assert (slice_equal (buf_slice (&whole), buf_slice (&by_cursor)));
    ck_assert (slice_equal (buf_slice (&whole), buf_slice (&by_offset)));
    buf_free (&whole);
    buf_free (&by_cursor);
    buf_free (&by_offset);
    buf_free (&cursor);
}

START_TEST (pages_put_together_are_the_whole)
{
    static const unsigned limits[] = {1, 7, 100, 699, 700, 701, 3000};
    uint64_t inode = fill ();

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        check_paging (inode, true, true, limits[i]);
        check_paging (inode, true, false, limits[i]);
        check_paging (inode, false, true, limits[i]);
    }
}
END_TEST

START_TEST (directories_come_first_and_each_kind_by_name)
{
    struct buf names = {0};
    struct txn *txn = begin ();
    bool created;

    ck_ok (namespace_make_directory (txn, S ("/z"), true, &created, NULL, E));
    ck_ok (namespace_make_directory (txn, S ("/Z"), true, &created, NULL, E));
    add_file (txn, "/a", 0);
    add_file (txn, "/\303\244", 0);
    add_file (txn, "/B", 0);
    struct listing listing;
    struct inode_row row;
    struct slice none = {0};
    ck_ok (listing_open (&listing, txn, ROOT_INODE, true, true, 0, none, E));
    while (listing_next (&listing, &row, E) == 0)
        buf_printf (&names, "%s ", row.name);
    listing_close (&listing);
    ck_assert_str_eq (buf_text (&names), "Z z B a \303\244 ");
    buf_free (&names);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_cursor_goes_on_after_an_entry_that_is_gone)
{
    struct buf cursor = {0};
    struct buf names = {0};
    uint64_t inode = fill ();

    struct txn *txn = begin ();
    page (txn, inode, true, true, 0, &cursor, 3, &names);
    ck_assert_str_eq (buf_text (&names), "0\n1\n10\n");
    ck_ok (namespace_delete (txn, KIND_DIRECTORY, S ("/d/10"), E));
    ck_ok (namespace_delete (txn, KIND_DIRECTORY, S ("/d/1"), E));
    add_file (txn, "/d/zzz", 0);
    add_file (txn, "/d/zzzz", 0);
    buf_clear (&names);
    page (txn, inode, true, true, 0, &cursor, 2, &names);
    ck_assert_str_eq (buf_text (&names), "100\n101\n");
    txn_abort (&txn);
    buf_free (&cursor);
    buf_free (&names);
}
END_TEST

START_TEST (what_is_asked_for_nothing_gives_nothing)
{
    struct listing listing;
    struct inode_row row;
    struct slice none = {0};
    uint64_t inode = fill ();
    struct txn *txn = begin_read ();

    ck_ok (listing_open (&listing, txn, inode, false, false, 0, none, E));
    ck_assert_uint_eq (listing.total, 0);
    ck_fails (LITEDFS_NOT_FOUND, listing_next (&listing, &row, E));
    listing_close (&listing);
    ck_ok (listing_open (&listing, txn, inode, true, true, UINT64_MAX, none, E));
    ck_assert_uint_eq (listing.total, DIRECTORIES + FILES);
    ck_fails (LITEDFS_NOT_FOUND, listing_next (&listing, &row, E));
    listing_close (&listing);
    ck_ok (listing_open (&listing, txn, inode, true, false, 0, S ("\1f"), E));
    ck_fails (LITEDFS_NOT_FOUND, listing_next (&listing, &row, E));
    listing_close (&listing);
    ck_ok (listing_open (&listing, txn, inode, false, true, 0, slice_of ("\0f", 2), E));
    ck_ok (listing_next (&listing, &row, E));
    ck_assert_str_eq (row.name, "f0");
    listing_close (&listing);
    txn_abort (&txn);
}
END_TEST

START_TEST (cursors_that_no_listing_gave_are_refused)
{
    char long_one[300] = "";
    struct listing listing;
    struct txn *txn = begin_read ();

    ck_fails (LITEDFS_INVALID,
              listing_open (&listing, txn, ROOT_INODE, true, true, 0, S (""), E));
    listing_close (&listing);
    ck_fails (LITEDFS_INVALID,
              listing_open (&listing, txn, ROOT_INODE, true, true, 0, S ("\1"), E));
    ck_fails (LITEDFS_INVALID,
              listing_open (&listing, txn, ROOT_INODE, true, true, 0, S ("\2name"), E));
    ck_fails (LITEDFS_INVALID, listing_open (&listing, txn, ROOT_INODE, true, true, 0,
                                             slice_of (long_one, sizeof long_one), E));
    ck_fails (LITEDFS_INVALID,
              listing_open (&listing, txn, ROOT_INODE, true, true, 1, S ("\1name"), E));
    ck_fails (LITEDFS_NOT_FOUND,
              listing_open (&listing, txn, 4711, true, true, 0, slice_of (NULL, 0), E));
    listing_close (&listing);
    txn_abort (&txn);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_listing", store_setup, store_teardown,
                   pages_put_together_are_the_whole,
                   directories_come_first_and_each_kind_by_name,
                   a_cursor_goes_on_after_an_entry_that_is_gone,
                   what_is_asked_for_nothing_gives_nothing,
                   cursors_that_no_listing_gave_are_refused)
