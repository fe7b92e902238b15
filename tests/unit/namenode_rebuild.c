/* SPDX-License-Identifier: MIT */
/*
 * namenode/rebuild: a tree from lists of blocks; what is not whole is not in it, and lists that are not are
 * refused.
 */
#include "namenode/rebuild.h"

#include "namenode/check.h"
#include "namenode/restored.h"

#include "namenode_store.h"

#define CLUSTER "11111111-1111-4111-8111-111111111111"
#define HEAD1 "LiteDFS blocks 1\nnode 1 00000000-0000-4000-8000-000000000001 " CLUSTER "\n"
#define HEAD2 "LiteDFS blocks 1\nnode 4 00000000-0000-4000-8000-000000000004 " CLUSTER "\n"

static struct rebuild_result result;
static char said[1024];

static void
keep_line (void *arg, const char *line)
{
    size_t size = strlen (said);
    (void) arg;

    snprintf (said + size, sizeof said - size, "%s\n", line);
}

static int
rebuild (const char *lists)
{
    FILE *in = fmemopen ((void *) lists, strlen (lists), "r");
    const struct rebuild_options options = {
        .lists = in, .wall_ms = 1700000000000, .block_size = 65536, .say = keep_line};

    ck_assert_ptr_nonnull (in);
    said[0] = '\0';
    int rc = rebuild_store (fixture.store, &options, &result, E);
    fclose (in);
    return rc;
}

/* A block's line, as the data nodes write them. */
static const char *
block (uint32_t epoch, uint64_t counter, uint64_t inode, int index, int count, int size,
       const char *path)
{
    static char lines[16][256];
    static int next = 0;
    char *line = lines[next++ % 16], file[UUID_TEXT_SIZE], id[BLOCK_ID_TEXT_SIZE];
    struct uuid uuid;

    uuid_v8 (&uuid, inode, 5);
    snprintf (line, 256, "block %s %s %d %d %d 0000002a %s\n",
              block_id_print (block_id (epoch, counter), id), uuid_print (&uuid, file), index,
              count, size, path);
    return line;
}

static const char *
text (const char *format, ...)
{
    static char out[8192];
    va_list arguments;

    va_start (arguments, format);
    vsnprintf (out, sizeof out, format, arguments);
    va_end (arguments);
    return out;
}

static struct inode_row
find (const char *path)
{
    struct inode_row row;
    struct txn *txn = begin_read ();

    ck_ok (namespace_lookup (txn, S (path), &row, E));
    txn_abort (&txn);
    return row;
}

static void
is_consistent (void)
{
    struct check_report report = {.say = keep_line, .say_max = 9};

    ck_ok (check_store (fixture.store, &report, E));
    ck_assert_msg (report.findings == 0, "%s", said);
}

START_TEST (files_of_which_all_blocks_are_listed_are_there_again)
{
    uint64_t since, epoch, id;

    ck_ok (rebuild (text (
        HEAD1 "%s%s%send 3\n" HEAD2 "%s%send 2\n", block (3, 7, 20, 0, 0, 100, "/a/b/big"),
        block (3, 8, 20, 1, 2, 30, "/a/b/big"), block (0, 5, 9, 0, 1, 10, "/sp%20ace%25"),
        block (3, 7, 20, 0, 0, 100, "/a/b/big"), block (0, 6, 10, 0, 1, 11, "/a/other"))));
    ck_assert_uint_eq (result.nodes, 2);
    ck_assert_uint_eq (result.blocks, 4);
    ck_assert_uint_eq (result.files, 3);
    ck_assert_uint_eq (result.renamed + result.incomplete, 0);
    struct inode_row big = find ("/a/b/big");
    ck_assert_uint_eq (big.size, 130);
    ck_assert_uint_eq (big.number, 20);
    ck_assert_uint_eq (big.bits, 5);
    ck_assert_uint_eq (big.replica, 2);
    ck_assert_uint_eq (big.block_size, 100);
    ck_assert_uint_eq (find ("/sp ace%").size, 10);
    ck_assert_uint_eq (find ("/a").files, 2);
    struct txn *txn = begin ();
    ck_ok (restored_since (txn, &since, E));
    ck_assert_uint_gt (since, 0);
    ck_ok (meta_get (txn, META_EPOCH, &epoch, E));
    ck_assert_uint_eq (epoch, 4);
    ck_ok (meta_next (txn, META_INODE, &id, E));
    ck_assert_uint_gt (id, 20);
    ck_ok (meta_next (txn, META_NODE, &id, E));
    ck_assert_uint_eq (id, 5);
    rollback (&txn);
    ck_assert_uint_eq (rows_of (TABLE_REPLY), 0);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 1); // the block with one copy too few
    is_consistent ();
}
END_TEST

START_TEST (a_file_of_which_anything_is_missing_is_not_there)
{
    ck_ok (rebuild (text (HEAD1 "%s%s%s%s%send 5\n", block (0, 1, 5, 1, 2, 30, "/no-first"),
                          block (0, 2, 6, 0, 0, 100, "/no-last"),
                          block (0, 3, 7, 0, 0, 100, "/gap"), block (0, 4, 7, 2, 3, 9, "/gap"),
                          block (0, 5, 8, 0, 1, 9, "/whole"))));
    ck_assert_uint_eq (result.files, 1);
    ck_assert_uint_eq (result.incomplete, 3);
    ck_assert_ptr_nonnull (strstr (said, "file[/no-last]: blocks are missing"));
    ck_assert_uint_eq (rows_of (TABLE_BLOCK), 1);
    ck_assert_uint_eq (rows_of (TABLE_OWNER), 1);
    is_consistent ();
}
END_TEST

START_TEST (of_two_files_with_one_path_the_later_one_has_it)
{
    ck_ok (rebuild (text (HEAD1 "%s%s%s%send 4\n", block (0, 1, 5, 0, 1, 30, "/x/name"),
                          block (0, 2, 6, 0, 1, 40, "/x/name"),
                          block (0, 3, 7, 0, 1, 50, "/x/name/below-a-file"),
                          block (0, 4, 8, 0, 1, 60, "no-path"))));
    ck_assert_uint_eq (result.files, 4);
    ck_assert_uint_eq (result.renamed, 3);
    ck_assert_uint_eq (find ("/x/name").size, 40);
    ck_assert_uint_eq (find ("/x/name~5").size, 30);
    ck_assert_uint_eq (find ("/rebuilt/7").size, 50);
    ck_assert_uint_eq (find ("/rebuilt/8").size, 60);
    is_consistent ();
}
END_TEST

START_TEST (of_two_blocks_at_one_place_the_later_one_counts)
{
    ck_ok (rebuild (
        text (HEAD1 "%s%send 2\n" HEAD2 "%send 1\n", block (0, 9, 5, 0, 1, 30, "/name"),
              block (0, 2, 5, 0, 1, 20, "/name"), block (0, 2, 5, 0, 1, 20, "/name"))));
    ck_assert_uint_eq (find ("/name").size, 30);
    ck_assert_uint_eq (find ("/name").replica, 1);
    is_consistent ();
}
END_TEST

START_TEST (many_blocks_are_many_transactions)
{
    static char lists[1 << 21];
    size_t used = (size_t) snprintf (lists, sizeof lists, HEAD1);

    for (int i = 0; i < 9000; i++)
        used += (size_t) snprintf (lists + used, sizeof lists - used, "%s",
                                   block (0, (uint64_t) i + 1, (uint64_t) i / 3 + 2, i % 3,
                                          i % 3 == 2 ? 3 : 0, 100, "/many"));
    snprintf (lists + used, sizeof lists - used, "end 9000\n");
    ck_ok (rebuild (lists));
    ck_assert_uint_eq (result.files, 3000);
    ck_assert_uint_eq (find ("/").child_files, 3000);
    is_consistent ();
}
END_TEST

START_TEST (what_is_no_list_is_refused_with_its_line)
{
    static const struct {
        const char *lists;
        const char *expected;
    } wrong[] = {
        {"hello\n", "line 1 of the lists: a list begins with"},
        {HEAD1, "the list is cut off here"},
        {HEAD1 "end 1\n", "line 3 of the lists: lines of this list are missing"},
        {HEAD1 "end\n", "line 3 of the lists: it is none of a list of blocks"},
        {HEAD1 "end 0\n" HEAD1 "end 0\n", "a node of this number was listed before"},
        {HEAD1 "end 0\nLiteDFS blocks 1\nnode 2 " CLUSTER " " CLUSTER "\nnode\n", "line 6"},
        {HEAD1 "end 0\nLiteDFS blocks 1\nnode 2 " CLUSTER
               " 22222222-1111-4111-8111-111111111111\n",
         "it is of another cluster"},
        {"LiteDFS blocks 1\nnode 0 " CLUSTER " " CLUSTER "\n", "it should say 'node"},
        {"LiteDFS blocks 1\nblock 1\n", "it should say 'block"},
        {HEAD1 "block\n", "it should say 'block"},
        {HEAD1 "block 0000000000000001 " CLUSTER " 0 1 5 xyz /a\n", "cannot be read"},
        {HEAD1 "block 0000000000000001 " CLUSTER " 0 1 5 00 /a%4\n", "cannot be read"},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_fails (LITEDFS_INVALID, rebuild (wrong[i].lists));
        ck_assert_msg (strstr (E->text, wrong[i].expected) != NULL, "%zu: %s", i, E->text);
        store_teardown (); // a store is of no use then
        store_setup ();
    }
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_rebuild", store_setup, store_teardown,
                   files_of_which_all_blocks_are_listed_are_there_again,
                   a_file_of_which_anything_is_missing_is_not_there,
                   of_two_files_with_one_path_the_later_one_has_it,
                   of_two_blocks_at_one_place_the_later_one_counts,
                   many_blocks_are_many_transactions, what_is_no_list_is_refused_with_its_line)
