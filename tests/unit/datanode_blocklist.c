/* SPDX-License-Identifier: MIT */
/*
 * datanode/blocklist: a list says of each block what its trailer does.
 */
#include "datanode/blocklist.h"

#include "datanode_store.h"

#define CLUSTER "11111111-1111-4111-8111-111111111111"

static struct blocklist_result result;

/* The list as text, which is the caller's to free; or NULL and error. */
static char *
list (void)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream (&text, &size);

    ck_assert_ptr_nonnull (out);
    int rc = blocklist_write (store_data, out, &result, &error);
    fclose (out);
    if (rc == 0)
        return text;
    free (text);
    return NULL;
}

static void
join (void)
{
    struct uuid cluster;

    ck_assert (uuid_parse (&cluster, CLUSTER, strlen (CLUSTER)));
    expect (0, blockstore_join (store, &cluster, 3, &error));
}

static void
put_at (uint64_t block, const char *path)
{
    struct uuid file = store_file (block);
    struct writing *writing;

    expect (0, blockstore_begin (store, block, &file, 2, path, strlen (path), &writing, NULL,
                                 &error));
    expect (0, blockstore_append (writing, 0, "abc", 3, NULL, &error));
    struct blockstore_finish item = {.writing = writing, .count = 3};
    expect (0, blockstore_finish (store, &item, 1, &error));
}

START_TEST (every_finished_block_is_a_line)
{
    char uuid[UUID_TEXT_SIZE];
    struct uuid file = store_file (0x102);
    char expected[256];

    join ();
    put_at (0x102, "/a b/\xc3\xa4%\n");
    put_at (0x2ff, "/plain");
    struct writing *unfinished = store_write (0x300, 10);
    char *text = list ();
    ck_assert_msg (text != NULL, "%s", error.text);
    ck_assert_int_eq (strncmp (text, "LiteDFS blocks 1\nnode 3 ", 24), 0);
    ck_assert_ptr_nonnull (strstr (text, " " CLUSTER "\n"));
    snprintf (expected, sizeof expected,
              "\nblock 0000000000000102 %s 2 3 3 352441c2 /a%%20b/%%C3%%A4%%25%%0A\n",
              uuid_print (&file, uuid));
    ck_assert_msg (strstr (text, expected) != NULL, "%s", text);
    ck_assert_ptr_nonnull (strstr (text, "\nblock 00000000000002ff "));
    ck_assert_ptr_nonnull (strstr (text, " /plain\nend 2\n"));
    ck_assert_uint_eq (result.blocks, 2);
    ck_assert_uint_eq (result.damaged, 0);
    free (text);
    blockstore_abandon (&unfinished);
}
END_TEST

START_TEST (a_file_that_is_damaged_is_left_out)
{
    char path[160];

    join ();
    put_at (0x102, "/a");
    put_at (0x2ff, "/b");
    snprintf (path, sizeof path, "%s/blocks/02/0000000000000102", store_data);
    ck_assert_int_eq (truncate (path, 20), 0);
    char *text = list ();
    ck_assert_ptr_nonnull (text);
    ck_assert_ptr_null (strstr (text, "0000000000000102"));
    ck_assert_ptr_nonnull (strstr (text, "end 1\n"));
    ck_assert_uint_eq (result.damaged, 1);
    free (text);
}
END_TEST

START_TEST (what_has_joined_no_cluster_has_no_list)
{
    ck_assert_ptr_null (list ());
    ck_assert_int_eq (error.number, LITEDFS_NOT_FOUND);
    snprintf (store_data, sizeof store_data, "%s/elsewhere", store_root);
    ck_assert_ptr_null (list ());
    ck_assert_int_eq (error.number, LITEDFS_NOT_FOUND);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_blocklist", store_setup, store_teardown,
                   every_finished_block_is_a_line, a_file_that_is_damaged_is_left_out,
                   what_has_joined_no_cluster_has_no_list)
