/* SPDX-License-Identifier: MIT */
/*
 * namenode/path: what may be a path and what may not.
 */
#include "namenode/path.h"

#include <string.h>

#include "unit.h"

static bool
is_path (const void *text, size_t size)
{
    litedfs_error_t error = {0};
    int rc = path_check (slice_of (text, size), &error);

    ck_assert (rc == 0 || (rc == LITEDFS_INVALID && error.text[0] != '\0'));
    return rc == 0;
}

/* The names of a path, each in brackets. */
static const char *
names (const char *path)
{
    static char out[256];
    struct slice rest = slice_str (path);
    struct slice name;

    out[0] = '\0';
    while (path_next (&rest, &name)) {
        strcat (out, "[");
        strncat (out, name.data, name.size);
        strcat (out, "]");
    }
    return out;
}

START_TEST (absolute_utf8_paths_are_paths)
{
    static const char *const paths[] = {
        "/",    "/a",  "/a/b", "//", "/a/",   "//a///b/",
        "/...", "/.a", "/a..", "/ ", "/\n\t", "/gr\303\274n/\360\237\220\237"};

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        ck_assert_msg (is_path (paths[i], strlen (paths[i])), "%s", paths[i]);
}
END_TEST

START_TEST (everything_else_is_refused_with_a_reason)
{
    static const char *const paths[] = {"",        "a",         "a/b",
                                        "./a",     "/.",        "/..",
                                        "/a/../b", "/a/./b",    "/a/..",
                                        "/\377",   "/\300\257", "/\355\240\200",
                                        "/a\303",  "/\200",     "/\364\220\200\200"};

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        ck_assert_msg (!is_path (paths[i], strlen (paths[i])), "%s", paths[i]);
    ck_assert (!is_path ("/a\0b", 4));
    ck_assert (!is_path ("/\0", 2));
    ck_assert (!is_path ("\0", 1));
    ck_assert (!is_path (NULL, 0));
}
END_TEST

START_TEST (lengths_are_bounded)
{
    char path[PATH_BYTES_MAX + 2];

    memset (path, 'x', sizeof path);
    path[0] = '/';
    ck_assert (is_path (path, 256));
    ck_assert (!is_path (path, 257));
    for (size_t i = 0; i < sizeof path; i += 2)
        path[i] = '/';
    ck_assert (is_path (path, PATH_BYTES_MAX));
    ck_assert (!is_path (path, PATH_BYTES_MAX + 1));
}
END_TEST

START_TEST (names_have_no_slash_and_are_not_empty)
{
    litedfs_error_t error;
    char name[256];

    memset (name, 'n', sizeof name);
    ck_assert_int_eq (path_check_name (slice_of (name, 255), &error), 0);
    ck_assert_int_eq (path_check_name (slice_of (name, 256), &error), LITEDFS_INVALID);
    ck_assert_int_eq (path_check_name (slice_str (""), &error), LITEDFS_INVALID);
    ck_assert_int_eq (path_check_name (slice_of (NULL, 0), &error), LITEDFS_INVALID);
    ck_assert_int_eq (path_check_name (slice_str ("a/b"), &error), LITEDFS_INVALID);
    ck_assert_int_eq (path_check_name (slice_str ("/"), &error), LITEDFS_INVALID);
    ck_assert_int_eq (path_check_name (slice_str ("."), &error), LITEDFS_INVALID);
    ck_assert_int_eq (path_check_name (slice_str (".."), &error), LITEDFS_INVALID);
    ck_assert_int_eq (path_check_name (slice_str ("..."), &error), 0);
    ck_assert_int_eq (path_check_name (slice_of ("a\0", 2), &error), LITEDFS_INVALID);
    ck_assert_int_eq (path_check_name (slice_str ("\xff"), &error), LITEDFS_INVALID);
    ck_assert_str_eq (error.text, "name[\\xff]: a name is not valid UTF-8");
}
END_TEST

START_TEST (slashes_more_than_one_count_as_one)
{
    ck_assert_str_eq (names ("/"), "");
    ck_assert_str_eq (names ("///"), "");
    ck_assert_str_eq (names ("/a"), "[a]");
    ck_assert_str_eq (names ("//a///bc/"), "[a][bc]");
}
END_TEST

START_TEST (a_path_splits_into_parent_and_name)
{
    struct slice parent;
    struct slice name;

    ck_assert (!path_split (slice_str ("/"), &parent, &name));
    ck_assert (!path_split (slice_str ("//"), &parent, &name));
    ck_assert (path_split (slice_str ("/a"), &parent, &name));
    ck_assert (slice_equal (parent, slice_str ("/")) && slice_equal (name, slice_str ("a")));
    ck_assert (path_split (slice_str ("/a//b//"), &parent, &name));
    ck_assert (slice_equal (parent, slice_str ("/a")) && slice_equal (name, slice_str ("b")));
    ck_assert (path_split (slice_str ("//b"), &parent, &name));
    ck_assert (slice_equal (parent, slice_str ("/")) && slice_equal (name, slice_str ("b")));
}
END_TEST

START_TEST (texts_show_control_characters_escaped_and_long_paths_cut)
{
    litedfs_error_t error;
    char path[PATH_BYTES_MAX + 1];

    ck_assert_int_eq (path_check (slice_str ("a\033[2J\n"), &error), LITEDFS_INVALID);
    ck_assert_ptr_null (strchr (error.text, '\033'));
    ck_assert_ptr_null (strchr (error.text, '\n'));
    memset (path, 'x', sizeof path);
    ck_assert_int_eq (path_check (slice_of (path, sizeof path), &error), LITEDFS_INVALID);
    ck_assert_ptr_nonnull (strstr (error.text, "4096 bytes"));
}
END_TEST

UNIT_MAIN ("namenode_path", absolute_utf8_paths_are_paths,
           everything_else_is_refused_with_a_reason, lengths_are_bounded,
           names_have_no_slash_and_are_not_empty, slashes_more_than_one_count_as_one,
           a_path_splits_into_parent_and_name,
           texts_show_control_characters_escaped_and_long_paths_cut)
