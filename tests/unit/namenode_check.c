/* SPDX-License-Identifier: MIT */
/*
 * namenode/check: a store that rules have written has no finding; each kind of damage has one that says
 * what it is.
 */
#include "namenode/check.h"

#include "namenode/blocks.h"
#include "namenode/garbage.h"
#include "namenode/held.h"
#include "namenode/lease.h"
#include "namenode/mark.h"
#include "namenode/retry.h"
#include "namenode/upload.h"

#include "namenode_store.h"

enum { BLOCK = 100, LINES = 64 };

static char lines[LINES][1024];
static struct check_report report;
static uint64_t file;      // of two blocks on nodes 1 and 2
static uint64_t deep;      // a directory in a directory
static uint64_t blocks[2]; // of the file
static struct upload_created being_written;

static void
keep_line (void *arg, const char *line)
{
    uint64_t at = report.findings - 1;
    (void) arg;

    ck_assert (at < LINES);
    snprintf (lines[at], sizeof lines[at], "%s", line);
}

static void
look (void)
{
    report = (struct check_report){.say = keep_line, .say_max = LINES};
    memset (lines, 0, sizeof lines);
    ck_ok (check_store (fixture.store, &report, E));
}

static void
finds_nothing (void)
{
    look ();
    ck_assert_msg (report.findings == 0, "%s", lines[0]);
}

/* Commit the damage and look: one of the findings is this. */
static void
finds (struct txn **txn, const char *expected)
{
    char all[LINES * 128] = "";

    commit (txn);
    look ();
    for (uint64_t i = 0; i < report.findings; i++) {
        if (strstr (lines[i], expected))
            return;
        snprintf (all + strlen (all), sizeof all - strlen (all), "%s\n", lines[i]);
    }
    ck_abort_msg ("'%s' is not among\n%s", expected, all);
}

/* ---- a store with something of everything -------------------------------------------------------- */

static int
place_on_both (void *arg, struct txn *txn, const struct upload_ask *ask, uint32_t *nodes,
               size_t *count, litedfs_error_t *error)
{
    (void) arg;
    (void) txn;
    (void) ask;
    (void) error;
    nodes[0] = 1;
    nodes[1] = 2;
    *count = 2;
    return 0;
}

static const struct upload_placer placer = {.place = place_on_both};

static struct upload_created
create (struct txn *txn, const char *path, uint64_t size)
{
    static uint8_t last = 0;
    struct upload_created made;
    struct upload_create ask = {.path = S (path),
                                .size = size,
                                .replica = 2,
                                .block_size = BLOCK,
                                .ttl = 30,
                                .first = 8,
                                .bits = 7};

    ask.token[0] = ++last;
    ck_ok (upload_create (txn, &ask, &placer, &made, E));
    return made;
}

/* The nodes say that they have a block. */
static void
report_block (struct txn *txn, uint64_t block, uint64_t size, uint64_t seq)
{
    struct held_report done;
    const struct wire_change change = {
        .seq = seq, .kind = CHANGE_ADDED, .block = block, .size = size, .crc32 = 5};

    for (uint32_t node = 1; node <= 2; node++)
        ck_ok (held_apply (txn, node, &change, 1, &done, E));
}

static struct lease_row
lease_of (struct txn *txn, const struct uuid *id)
{
    struct lease_row lease;
    struct cursor cursor = {0};
    struct slice none = {0}, key, value;

    ck_ok (cursor_open (&cursor, txn, TABLE_LEASE, none, none, E));
    do {
        ck_ok (cursor_next (&cursor, &key, &value, E));
        ck_ok (lease_row_decode (key, value, &lease, E));
    } while (lease.inode != uuid_v8_number (id));
    cursor_close (&cursor);
    return lease;
}

static uint64_t
write_file (struct txn *txn, const char *path)
{
    struct upload_created made = create (txn, path, 150);
    static const uint64_t nodes[] = {1, 2};
    static uint64_t seq = 0;
    struct upload_finished done[2];
    struct lease_row lease = lease_of (txn, &made.file);
    uint32_t crc;

    ck_assert (made.blocks_count == 2);
    for (size_t i = 0; i < 2; i++)
        done[i] = (struct upload_finished){.index = i,
                                           .block = made.blocks[i].block,
                                           .size = i == 0 ? 100 : 50,
                                           .crc = 5,
                                           .nodes = nodes,
                                           .nodes_count = 2};
    struct upload_commit ask = {
        .file = made.file, .size = 150, .count = 2, .done = done, .done_count = 2};
    memcpy (ask.token, lease.token, TOKEN_SIZE);
    ck_ok (upload_commit (txn, &ask, &crc, E));
    for (size_t i = 0; i < 2; i++) {
        report_block (txn, made.blocks[i].block, done[i].size, ++seq);
        blocks[i] = made.blocks[i].block;
    }
    return lease.inode;
}

static void
setup (void)
{
    static const struct uuid cluster = {{1}};
    bool made;

    store_setup ();
    struct txn *txn = begin ();
    add_node (txn, 1);
    add_node (txn, 2);
    ck_ok (meta_put (txn, META_NODE, 2, E));
    ck_ok (meta_put_cluster (txn, &cluster, E));
    ck_ok (namespace_make_directory (txn, S ("/a/deep/er"), true, &made, NULL, E));
    ck_ok (namespace_make_directory (txn, S ("/a/deep"), true, &made, &deep, E));
    ck_ok (namespace_make_directory (txn, S ("/gone/with/all"), true, &made, NULL, E));
    write_file (txn, "/gone/with/it");
    write_file (txn, "/single");
    file = write_file (txn, "/a/deep/file");
    being_written = create (txn, "/a/open", 150);
    ck_ok (namespace_delete (txn, KIND_DIRECTORY, S ("/gone"), E));
    ck_ok (namespace_delete (txn, KIND_FILE, S ("/single"), E));
    ck_ok (mark_blocks (txn, file, 0, 2, E));
    ck_ok (orders_add (txn, 1, ORDER_COPY, blocks[0], 2, NULL, E));
    const struct retry_key key = {.client = {1}, .id = 3};
    ck_ok (retry_store (txn, &key, S ("directory.create"), S ("reply"), E));
    commit (&txn);
    finds_nothing ();
    ck_assert_uint_eq (report.blocks, 8);
}

/* ---- what is well -------------------------------------------------------------------------------- */

START_TEST (a_store_is_well_at_every_step_of_freeing_a_tree)
{
    size_t freed = 1, steps = 0;

    for (; freed > 0; steps++) {
        struct txn *txn = begin ();
        ck_ok (garbage_free_slice (txn, 1, 0, &freed, E));
        commit (&txn);
        finds_nothing ();
    }
    ck_assert_uint_ge (steps, 6);
    ck_assert_uint_eq (rows_of (TABLE_DOOMED), 0);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 8);
}
END_TEST

START_TEST (an_upload_that_is_given_up_is_well)
{
    struct txn *txn = begin ();
    struct lease_row lease = lease_of (txn, &being_written.file);

    ck_ok (upload_abandon (txn, &being_written.file, lease.token, E));
    commit (&txn);
    finds_nothing ();
}
END_TEST

START_TEST (only_so_many_findings_are_said)
{
    struct txn *txn = begin ();

    for (uint64_t inode = 100; inode < 120; inode++)
        ck_ok (dirent_row_put (txn, ROOT_INODE, KIND_FILE, slice_of (&inode, 1), inode, E));
    commit (&txn);
    report = (struct check_report){.say = keep_line, .say_max = 3};
    memset (lines, 0, sizeof lines);
    ck_ok (check_store (fixture.store, &report, E));
    ck_assert_uint_ge (report.findings, 20);
    ck_assert (lines[2][0] && !lines[3][0]);
}
END_TEST

/* ---- the tree ------------------------------------------------------------------------------------ */

START_TEST (an_entry_without_an_inode_is_found)
{
    struct txn *txn = begin ();

    ck_ok (inode_row_del (txn, file, E));
    finds (&txn, "is missing");
}
END_TEST

START_TEST (an_entry_of_the_other_kind_is_found)
{
    struct txn *txn = begin ();

    ck_ok (dirent_row_put (txn, deep, KIND_DIRECTORY, S ("file"), file, E));
    finds (&txn, "a directory and a file have this name");
    txn = begin ();
    finds (&txn, "is of the other kind");
}
END_TEST

START_TEST (an_inode_without_its_entry_is_found)
{
    struct txn *txn = begin ();

    ck_ok (dirent_row_del (txn, deep, KIND_FILE, S ("file"), E));
    finds (&txn, "has no entry for it: it is not reachable");
}
END_TEST

START_TEST (an_inode_that_says_another_place_is_found)
{
    struct inode_row row;
    struct txn *txn = begin ();

    ck_ok (inode_row_get (txn, file, &row, E));
    row.parent = ROOT_INODE;
    ck_ok (inode_row_put (txn, &row, E));
    finds (&txn, "says that it is in directory 1");
}
END_TEST

START_TEST (a_directory_above_that_is_missing_is_found)
{
    struct txn *txn = begin ();

    ck_ok (inode_row_del (txn, deep, E));
    finds (&txn, "the directory above");
}
END_TEST

START_TEST (a_circle_is_found)
{
    struct inode_row row, below;
    struct txn *txn = begin ();

    ck_ok (inode_row_get (txn, deep, &row, E));
    ck_ok (namespace_lookup (txn, S ("/a/deep/er"), &below, E));
    ck_ok (dirent_row_del (txn, row.parent, KIND_DIRECTORY, S ("deep"), E));
    row.parent = below.number;
    ck_ok (inode_row_put (txn, &row, E));
    ck_ok (dirent_row_put (txn, below.number, KIND_DIRECTORY, S ("deep"), deep, E));
    finds (&txn, "its way up is a circle");
}
END_TEST

START_TEST (counts_of_a_directory_that_are_wrong_are_found)
{
    struct inode_row row;
    struct txn *txn = begin ();

    ck_ok (inode_row_get (txn, deep, &row, E));
    row.child_files++;
    row.child_directories++;
    row.directories++;
    row.files++;
    row.bytes++;
    ck_ok (inode_row_put (txn, &row, E));
    finds (&txn, "files in it: it says 2, there are 1");
    ck_assert_uint_eq (report.findings, 8); // and the directory above counts otherwise
}
END_TEST

START_TEST (a_deleted_directory_that_nothing_frees_is_found)
{
    struct doomed_row row;
    struct cursor cursor = {0};
    struct slice none = {0}, key, value;
    struct txn *txn = begin ();

    ck_ok (cursor_open (&cursor, txn, TABLE_DOOMED, none, none, E));
    do {
        ck_ok (cursor_next (&cursor, &key, &value, E));
        ck_ok (doomed_row_decode (key, value, &row, E));
    } while (row.kind != KIND_DIRECTORY);
    cursor_close (&cursor);
    ck_ok (doomed_row_del (txn, row.inode, E));
    finds (&txn, "it is marked as deleted and nothing frees it");
}
END_TEST

START_TEST (a_doomed_row_that_leads_astray_is_found)
{
    const struct doomed_row visible = {.inode = file, .kind = KIND_FILE};
    const struct doomed_row nobody = {.inode = 1000, .kind = KIND_DIRECTORY};
    struct txn *txn = begin ();

    ck_ok (doomed_row_put (txn, &visible, E));
    ck_ok (doomed_row_put (txn, &nobody, E));
    finds (&txn, "the blocks of an inode that is there would go");
    txn = begin ();
    finds (&txn, "no such inode was ever drawn");
}
END_TEST

START_TEST (counters_that_are_behind_are_found)
{
    struct txn *txn = begin ();

    ck_ok (meta_put (txn, META_INODE, 3, E));
    ck_ok (meta_put (txn, META_NODE, 1, E));
    ck_ok (meta_put (txn, META_BLOCK, 1, E));
    finds (&txn, "its number was never drawn: the counter is at 3");
    txn = begin ();
    finds (&txn, "node[2]: its number was never drawn: the counter is at 1");
    txn = begin ();
    finds (&txn, "was never drawn: the counter is at 1 of epoch 0");
}
END_TEST

/* ---- leases -------------------------------------------------------------------------------------- */

START_TEST (a_lock_without_its_lease_is_found_and_a_lease_without_its_lock)
{
    static const uint8_t strange[TOKEN_SIZE] = {0xee};
    struct txn *txn = begin ();
    struct inode_row above;

    ck_ok (namespace_lookup (txn, S ("/a"), &above, E));
    ck_ok (lock_row_put (txn, above.number, S ("open"), strange, E));
    finds (&txn, "open]: it leads to no lease");
    txn = begin ();
    ck_ok (lock_row_del (txn, above.number, S ("open"), E));
    finds (&txn, "is not locked");
}
END_TEST

/* ---- blocks -------------------------------------------------------------------------------------- */

START_TEST (a_block_without_its_owner_is_found)
{
    struct txn *txn = begin ();

    ck_ok (owner_row_del (txn, blocks[1], E));
    finds (&txn, "has no owner row");
}
END_TEST

START_TEST (an_owner_that_leads_elsewhere_is_found)
{
    const struct owner_row owner = {.block = blocks[1], .inode = file, .index = 0};
    struct txn *txn = begin ();

    ck_ok (owner_row_put (txn, &owner, E));
    finds (&txn, "has no such block at 0");
    txn = begin ();
    finds (&txn, "the owner of block");
}
END_TEST

START_TEST (a_block_that_a_file_lacks_is_found)
{
    struct txn *txn = begin ();

    ck_ok (block_row_del (txn, file, 1, E));
    finds (&txn, "it has 150 bytes and the last 1 of 2 blocks are missing");
    txn = begin ();
    ck_ok (owner_row_del (txn, blocks[1], E));
    ck_ok (owner_row_del (txn, blocks[0], E));
    ck_ok (block_row_del (txn, file, 0, E));
    finds (&txn, "the last 2 of 2 blocks");
}
END_TEST

START_TEST (blocks_that_do_not_make_the_file_are_found)
{
    struct block_row row;
    struct txn *txn = begin ();

    ck_ok (block_row_get (txn, file, 1, &row, E));
    row.crc++;
    ck_ok (block_row_put (txn, &row, E));
    finds (&txn, "its checksum is not that of its blocks");
    txn = begin ();
    row.size--;
    ck_ok (block_row_put (txn, &row, E));
    finds (&txn, "it has 150 bytes and its blocks 149");
    txn = begin ();
    finds (&txn, "it has 49 bytes and on node 1 50");
    txn = begin ();
    row.state = BLOCK_ALLOCATED;
    ck_ok (block_row_put (txn, &row, E));
    finds (&txn, "its file is visible, and it is not finished");
}
END_TEST

START_TEST (a_block_of_nobody_is_found)
{
    struct block_row row;
    struct txn *txn = begin ();

    ck_ok (block_row_get (txn, file, 1, &row, E));
    row.inode = 2000;
    ck_ok (block_row_put (txn, &row, E));
    finds (&txn, "it is of no file");
}
END_TEST

START_TEST (holders_that_are_none_are_found)
{
    struct block_row row;
    struct txn *txn = begin ();

    ck_ok (held_row_del (txn, 2, blocks[0], E));
    finds (&txn, "node 2 is a holder and has no held row for it");
    txn = begin ();
    ck_ok (block_row_get (txn, file, 0, &row, E));
    row.nodes[0] = 9;
    row.nodes[1] = 9;
    ck_ok (block_row_put (txn, &row, E));
    finds (&txn, "node 9 in it is missing");
    txn = begin ();
    finds (&txn, "node 9 stands in it twice");
}
END_TEST

/* ---- data nodes ---------------------------------------------------------------------------------- */

START_TEST (a_digest_that_is_not_of_its_rows_is_found)
{
    struct digest_row digest;
    struct txn *txn = begin ();

    ck_ok (digest_row_get (txn, 1, block_id_bucket (blocks[0]), &digest, E));
    digest.hash ^= 1;
    ck_ok (digest_row_put (txn, &digest, E));
    finds (&txn, "it is not that of the 1 blocks");
    txn = begin ();
    digest.bucket = (digest.bucket + 1) % BLOCK_ID_BUCKETS;
    ck_ok (digest_row_put (txn, &digest, E));
    finds (&txn, "nothing is confirmed there");
}
END_TEST

START_TEST (counts_of_a_data_node_that_are_wrong_are_found)
{
    struct node_row row;
    struct txn *txn = begin ();

    ck_ok (node_row_get (txn, 1, &row, E));
    row.blocks++;
    row.bytes--;
    row.reserved += 5;
    row.seq = 1;
    ck_ok (node_row_put (txn, &row, E));
    finds (&txn, "node[1]: blocks: it says 7, its rows make 6");
    txn = begin ();
    finds (&txn, "node[1]: bytes: it says 449, its rows make 450");
    txn = begin ();
    finds (&txn, "node[1]: bytes reserved: it says 155, its rows make 150");
    txn = begin ();
    finds (&txn, "and the node is at 1");
}
END_TEST

START_TEST (what_is_of_a_data_node_that_is_missing_is_found)
{
    const struct order_row order = {.node = 2, .number = 1, .block = blocks[0]};
    struct txn *txn = begin ();

    ck_ok (order_row_put (txn, &order, E));
    finds (&txn, "the node has orders up to 0");
    txn = begin ();
    ck_ok (node_row_del (txn, 2, E));
    finds (&txn, "order[2 1]: the node is missing");
    txn = begin ();
    finds (&txn, "held[2 ");
    txn = begin ();
    finds (&txn, "a copy to node 2, which is missing or itself");
}
END_TEST

START_TEST (two_data_nodes_with_one_identity_are_found)
{
    struct node_row row;
    struct txn *txn = begin ();

    ck_ok (node_row_get (txn, 1, &row, E));
    row.number = 3;
    ck_ok (node_row_put (txn, &row, E));
    finds (&txn, "node 1 has the same UUID");
}
END_TEST

START_TEST (garbage_and_marks_of_what_never_was_are_found)
{
    const struct garbage_row garbage = {.node = 1, .due = 1, .block = block_id (0, 77)};
    struct txn *txn = begin ();

    ck_ok (garbage_row_put (txn, &garbage, E));
    ck_ok (mark_blocks (txn, 3000, 0, 1, E));
    finds (&txn, "block 000000000000004d was never drawn");
    txn = begin ();
    finds (&txn, "repair[3000 0]: no such inode was ever drawn");
}
END_TEST

START_TEST (a_reply_that_is_missing_is_found)
{
    uint8_t key[WIRE_CLIENT_SIZE + 8] = {1};
    struct txn *txn = begin ();

    key[WIRE_CLIENT_SIZE + 7] = 3;
    ck_ok (txn_del (txn, TABLE_REPLY, slice_of (key, sizeof key), E));
    finds (&txn, "it says that it has 1 replies and has 0");
}
END_TEST

/* In each table: the row after a damaged one is looked at, too. */
START_TEST (rows_that_cannot_be_read_are_found_in_every_table)
{
    for (int table = 0; table < TABLE_COUNT; table++) {
        char expected[64];
        struct txn *txn = begin ();
        ck_ok (txn_put (txn, (enum metastore_table) table, slice_of ("\0\0", 2), S ("?"), E));
        snprintf (expected, sizeof expected, "row[%s 0000]: it cannot be read",
                  metastore_table_name ((enum metastore_table) table));
        if (table == TABLE_META) // rows that nobody knows are of a later version
            rollback (&txn);
        else if (table == TABLE_INODE || table == TABLE_OWNER || table == TABLE_DIGEST)
            finds (&txn, "?]: a key of 2 bytes");
        else
            finds (&txn, expected);
    }
}
END_TEST

UNIT_MAIN_FIXTURE (
    "namenode_check", setup, store_teardown, a_store_is_well_at_every_step_of_freeing_a_tree,
    an_upload_that_is_given_up_is_well, only_so_many_findings_are_said,
    an_entry_without_an_inode_is_found, an_entry_of_the_other_kind_is_found,
    an_inode_without_its_entry_is_found, an_inode_that_says_another_place_is_found,
    a_directory_above_that_is_missing_is_found, a_circle_is_found,
    counts_of_a_directory_that_are_wrong_are_found,
    a_deleted_directory_that_nothing_frees_is_found, a_doomed_row_that_leads_astray_is_found,
    counters_that_are_behind_are_found,
    a_lock_without_its_lease_is_found_and_a_lease_without_its_lock,
    a_block_without_its_owner_is_found, an_owner_that_leads_elsewhere_is_found,
    a_block_that_a_file_lacks_is_found, blocks_that_do_not_make_the_file_are_found,
    a_block_of_nobody_is_found, holders_that_are_none_are_found,
    a_digest_that_is_not_of_its_rows_is_found, counts_of_a_data_node_that_are_wrong_are_found,
    what_is_of_a_data_node_that_is_missing_is_found, two_data_nodes_with_one_identity_are_found,
    garbage_and_marks_of_what_never_was_are_found, a_reply_that_is_missing_is_found,
    rows_that_cannot_be_read_are_found_in_every_table)
