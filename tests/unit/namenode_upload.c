/* SPDX-License-Identifier: MIT */
/*
 * namenode/upload: from create to commit, in one go, repeated, moved, taken over, given up.
 */
#include "namenode/upload.h"

#include "namenode/held.h"

#include "namenode_client.h"

/* ---- the way through ----------------------------------------------------------------------------- */

START_TEST (a_file_becomes_visible_with_its_commit)
{
    struct client client;
    struct inode_row row;
    struct uuid id;
    uint32_t crc;

    begin_upload (&client, "/a/b/f", 250, "token");
    ck_assert (client.created.leased);
    ck_assert_uint_eq (client.created.blocks_count, 2);
    struct txn *txn = begin ();
    ck_fails (LITEDFS_NOT_FOUND, namespace_lookup (txn, S ("/a/b/f"), &row, E));
    ck_assert_uint_eq (reserved (txn, 1), 200);
    struct upload_finished first = finished (&client, 0, 100);
    ck_ok (allocate (txn, &client, 2, 4, &first, 1, NULL, 0));
    ck_assert_uint_eq (shelf.size, 50);
    ck_assert_uint_eq (reserved (txn, 1), 150);
    ck_ok (finish (txn, &client, 1, 100));
    struct upload_finished last = finished (&client, 2, 50);
    ck_ok (commit_upload (txn, &client, 250, 3, &last, 1, &crc));
    commit (&txn);
    txn = begin_read ();
    ck_ok (namespace_lookup (txn, S ("/a/b/f"), &row, E));
    ck_assert_uint_eq (row.size, 250);
    ck_assert_uint_eq (row.block_size, BLOCK);
    ck_assert_uint_eq (row.crc, crc);
    ck_assert_uint_eq (crc, crc32_join (crc32_join (1000, 1001, 100), 1002, 50));
    inode_row_id (&row, &id);
    ck_assert (uuid_equal (&id, &client.created.file));
    ck_ok (namespace_lookup (txn, S ("/"), &row, E));
    ck_assert_uint_eq (row.files, 1);
    ck_assert_uint_eq (row.bytes, 250);
    ck_assert_uint_eq (reserved (txn, 1), 0);
    uint32_t copies;
    ck_ok (namespace_lookup (txn, S ("/a/b/f"), &row, E));
    ck_ok (blocks_current_replica (txn, &row, NULL, NULL, &copies, E));
    ck_assert_uint_eq (copies, 1);
    txn_abort (&txn);
    ck_assert_uint_eq (rows_of (TABLE_LEASE) + rows_of (TABLE_LOCK) + rows_of (TABLE_DOOMED),
                       0);
    ck_assert_uint_eq (rows_of (TABLE_HELD), 3);
    ck_assert_uint_eq (lease_clock_count (fixture.frame.leases), 0);
}
END_TEST

START_TEST (a_long_upload_is_looked_at_by_repair_and_a_short_one_is_not)
{
    struct client client;
    struct repair_row mark;
    uint32_t crc;

    for (int i = 0; i < 2; i++) {
        begin_upload (&client, i == 0 ? "/short" : "/long", 200, "token");
        fixture.frame.wall_ms += i == 0 ? 30000 : 30001;
        struct txn *txn = begin ();
        ck_ok (finish (txn, &client, 0, 100));
        ck_ok (finish (txn, &client, 1, 100));
        ck_ok (commit_upload (txn, &client, 200, 2, NULL, 0, &crc));
        commit (&txn);
        ck_assert_uint_eq (rows_of (TABLE_REPAIR), (uint64_t) i);
    }
    struct txn *txn = begin_read ();
    ck_ok (repair_row_get (txn, uuid_v8_number (&client.created.file), 0, &mark, E));
    ck_assert_uint_eq (mark.end, 2);
    txn_abort (&txn);
}
END_TEST

START_TEST (an_empty_file_is_there_at_once)
{
    struct client client;
    struct inode_row row;

    begin_upload (&client, "/a/empty", 0, "token");
    ck_assert (!client.created.leased);
    struct txn *txn = begin ();
    ck_ok (namespace_lookup (txn, S ("/a/empty"), &row, E));
    ck_assert_uint_eq (row.size, 0);
    struct upload_create ask = create_of ("/a/empty", 0, "other");
    ck_fails (LITEDFS_EXISTS, upload_create (txn, &ask, &placer, &client.created, E));
    ask.replace = true;
    ck_ok (upload_create (txn, &ask, &placer, &client.created, E));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_LEASE), 0);
    ck_assert_uint_eq (rows_of (TABLE_DOOMED), 1);
}
END_TEST

START_TEST (a_file_of_unknown_size_ends_where_its_input_ends)
{
    struct client client;
    struct inode_row row;
    uint32_t crc;

    begin_upload (&client, "/f", WIRE_UNKNOWN, "token");
    ck_assert_uint_eq (client.created.blocks_count, 0);
    struct txn *txn = begin ();
    ck_ok (allocate (txn, &client, 0, 4, NULL, 0, NULL, 0));
    ck_assert_uint_eq (reserved (txn, 1), 400);
    ck_ok (finish (txn, &client, 0, 100));
    ck_ok (finish (txn, &client, 1, 30));
    ck_fails (LITEDFS_INVALID, commit_upload (txn, &client, 131, 2, NULL, 0, &crc));
    ck_fails (LITEDFS_INVALID, commit_upload (txn, &client, 100, 1, NULL, 0, &crc));
    ck_ok (commit_upload (txn, &client, 130, 2, NULL, 0, &crc));
    ck_ok (namespace_lookup (txn, S ("/f"), &row, E));
    ck_assert_uint_eq (row.size, 130);
    ck_assert_uint_eq (reserved (txn, 1), 0);
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_BLOCK), 2);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 2);
}
END_TEST

/* ---- again --------------------------------------------------------------------------------------- */

START_TEST (the_same_request_again_finds_what_it_did)
{
    struct client client;
    uint32_t crc = 0;
    uint32_t again = 1;

    begin_upload (&client, "/f", 150, "token");
    struct upload_allocation first = client.blocks[1];
    struct txn *txn = begin ();
    struct upload_finished done = finished (&client, 0, 100);
    ck_ok (allocate (txn, &client, 1, 1, &done, 1, NULL, 0));
    commit (&txn);
    txn = begin ();
    ck_ok (allocate (txn, &client, 1, 1, &done, 1, NULL, 0));
    ck_assert_uint_eq (txn_written (txn), 0);
    ck_assert_uint_eq (client.blocks[1].block, first.block);
    done = finished (&client, 1, 50);
    ck_ok (commit_upload (txn, &client, 150, 2, &done, 1, &crc));
    commit (&txn);
    txn = begin ();
    ck_ok (commit_upload (txn, &client, 150, 2, &done, 1, &again));
    ck_assert_uint_eq (again, crc);
    ck_assert_uint_eq (txn_written (txn), 0);
    ck_fails (LITEDFS_LEASE_LOST, commit_upload (txn, &client, 151, 2, NULL, 0, &again));
    ck_fails (LITEDFS_LEASE_LOST, commit_upload (txn, &client, 150, 1, NULL, 0, &again));
    ck_ok (upload_abandon (txn, &client.created.file, client.ask.token, E));
    ck_assert_uint_eq (txn_written (txn), 0);
    ck_fails (LITEDFS_LEASE_LOST, allocate (txn, &client, 1, 1, NULL, 0, NULL, 0));
    txn_abort (&txn);
}
END_TEST

START_TEST (a_request_that_was_aborted_and_runs_again_gives_the_same)
{
    struct upload_create ask = create_of ("/a/f", 150, "token");
    struct upload_created created[2];

    for (int run = 0; run < 2; run++) {
        struct txn *txn = begin ();
        ck_ok (upload_create (txn, &ask, &placer, &created[run], E));
        if (run == 0)
            rollback (&txn);
        else
            commit (&txn);
    }
    ck_assert (uuid_equal (&created[0].file, &created[1].file));
    ck_assert_uint_eq (created[0].blocks[1].block, created[1].blocks[1].block);
    ck_assert_uint_eq (rows_of (TABLE_LEASE), 1);
}
END_TEST

START_TEST (suspects_are_replaced_and_never_given_again)
{
    static const uint64_t suspects[] = {1};
    struct client client;

    begin_upload (&client, "/f", 250, "token");
    uint64_t old = client.blocks[0].block;
    struct txn *txn = begin ();
    ck_ok (allocate (txn, &client, 0, 1, NULL, 0, suspects, 1));
    ck_assert_uint_ne (client.blocks[0].block, old);
    ck_assert_uint_eq (client.blocks[0].nodes[0], 2);
    ck_assert_uint_eq (reserved (txn, 1), 100);
    ck_assert_uint_eq (reserved (txn, 2), 100);
    uint64_t replaced = client.blocks[0].block;
    ck_ok (allocate (txn, &client, 0, 1, NULL, 0, suspects, 1));
    ck_assert_uint_eq (client.blocks[0].block, replaced);
    ck_ok (allocate (txn, &client, 2, 1, NULL, 0, NULL, 0));
    ck_assert_uint_eq (client.blocks[2].nodes[0], 2);
    struct owner_row owner;
    ck_fails (LITEDFS_NOT_FOUND, owner_row_get (txn, old, &owner, E));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 1);
    txn = begin ();
    static const uint64_t all[] = {2, 3};
    ck_fails (LITEDFS_NO_NODE, allocate (txn, &client, 0, 1, NULL, 0, all, 2));
    ck_assert_uint_eq (txn_written (txn), 0);
    static const uint64_t wrong[] = {0};
    ck_fails (LITEDFS_INVALID, allocate (txn, &client, 0, 1, NULL, 0, wrong, 1));
    uint64_t many[ROW_NODES_MAX + 1];
    for (size_t i = 0; i <= ROW_NODES_MAX; i++)
        many[i] = 100 + i;
    ck_fails (LITEDFS_NO_NODE, allocate (txn, &client, 0, 0, NULL, 0, many, ROW_NODES_MAX + 1));
    ck_assert_uint_eq (txn_written (txn), 0);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_finished_block_whose_node_becomes_suspect_is_written_anew)
{
    static const uint64_t suspects[] = {1};
    struct client client;
    uint32_t crc;

    begin_upload (&client, "/f", 100, "token");
    struct txn *txn = begin ();
    struct upload_finished done = finished (&client, 0, 100);
    ck_ok (allocate (txn, &client, 0, 1, &done, 1, suspects, 1));
    ck_assert_uint_eq (client.blocks[0].nodes[0], 2);
    ck_assert_uint_eq (reserved (txn, 1), 0);
    ck_fails (LITEDFS_INVALID, commit_upload (txn, &client, 100, 1, NULL, 0, &crc));
    ck_ok (finish (txn, &client, 0, 100));
    ck_ok (commit_upload (txn, &client, 100, 1, NULL, 0, &crc));
    txn_abort (&txn);
}
END_TEST

/* ---- what happens on the way --------------------------------------------------------------------- */

START_TEST (an_upload_follows_its_directory_when_that_is_moved)
{
    struct client client;
    struct inode_row row;
    struct buf path = {0};
    bool made;
    uint32_t crc;

    begin_upload (&client, "/a/b/f", 50, "token");
    struct txn *txn = begin ();
    ck_ok (namespace_make_directory (txn, S ("/z"), true, &made, NULL, E));
    ck_ok (namespace_move (txn, KIND_DIRECTORY, S ("/a/b"), S ("/z"), &path, E));
    ck_ok (finish (txn, &client, 0, 50));
    ck_ok (commit_upload (txn, &client, 50, 1, NULL, 0, &crc));
    commit (&txn);
    txn = begin_read ();
    ck_ok (namespace_lookup (txn, S ("/z/b/f"), &row, E));
    ck_ok (namespace_lookup (txn, S ("/z"), &row, E));
    ck_assert_uint_eq (row.bytes, 50);
    ck_ok (namespace_lookup (txn, S ("/a"), &row, E));
    ck_assert_uint_eq (row.bytes, 0);
    txn_abort (&txn);
    buf_free (&path);
}
END_TEST

START_TEST (replacing_swaps_the_file_at_commit)
{
    struct client client;
    struct inode_row row;
    uint32_t crc;

    struct txn *txn = begin ();
    uint64_t old = add_file (txn, "/f", 77);
    commit (&txn);
    txn = begin ();
    memset (&client, 0, sizeof client);
    client.ask = create_of ("/f", 50, "token");
    client.ask.replace = true;
    ck_ok (upload_create (txn, &client.ask, &placer, &client.created, E));
    client.blocks[0] = client.created.blocks[0];
    ck_ok (namespace_lookup (txn, S ("/f"), &row, E));
    ck_assert_uint_eq (row.number, old);
    ck_ok (finish (txn, &client, 0, 50));
    ck_ok (commit_upload (txn, &client, 50, 1, NULL, 0, &crc));
    commit (&txn);
    txn = begin_read ();
    ck_ok (namespace_lookup (txn, S ("/f"), &row, E));
    ck_assert_uint_ne (row.number, old);
    ck_ok (namespace_lookup (txn, S ("/"), &row, E));
    ck_assert_uint_eq (row.files, 1);
    ck_assert_uint_eq (row.bytes, 50);
    txn_abort (&txn);
    ck_assert_uint_eq (rows_of (TABLE_DOOMED), 1);
}
END_TEST

START_TEST (what_was_abandoned_or_expired_is_freed_to_the_last_row)
{
    struct client client;
    struct client other;
    uint8_t tokens[4][TOKEN_SIZE];
    size_t freed;

    begin_upload (&client, "/f", 250, "token");
    begin_upload (&other, "/g", 250, "other");
    struct txn *txn = begin ();
    ck_ok (finish (txn, &client, 0, 100));
    ck_fails (LITEDFS_LEASE_LOST,
              upload_abandon (txn, &other.created.file, client.ask.token, E));
    ck_ok (upload_abandon (txn, &client.created.file, client.ask.token, E));
    ck_ok (upload_abandon (txn, &client.created.file, client.ask.token, E));
    commit (&txn);
    pass_ms (120000);
    ck_assert_uint_eq (
        lease_clock_ended (fixture.frame.leases, fixture.frame.now_ms, tokens, 4), 1);
    txn = begin ();
    ck_ok (lease_end (txn, tokens[0], E));
    ck_ok (garbage_free_slice (txn, 1000, 0, &freed, E));
    for (uint32_t node = 1; node <= 3; node++)
        ck_assert_uint_eq (reserved (txn, node), 0);
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_BLOCK) + rows_of (TABLE_OWNER) + rows_of (TABLE_DOOMED) +
                           rows_of (TABLE_LEASE) + rows_of (TABLE_LOCK),
                       0);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 4);
    ck_assert_uint_eq (lease_clock_count (fixture.frame.leases), 0);
}
END_TEST

START_TEST (an_expired_lease_is_taken_over_by_the_next_create)
{
    struct client client;
    struct client other;
    uint32_t crc;

    begin_upload (&client, "/f", 50, "token");
    pass_ms (60000);
    begin_upload (&other, "/f", 0, "other");
    struct txn *txn = begin ();
    struct upload_finished done = finished (&client, 0, 50);
    ck_fails (LITEDFS_LEASE_LOST, commit_upload (txn, &client, 50, 1, &done, 1, &crc));
    txn_abort (&txn);
    ck_assert_uint_eq (rows_of (TABLE_LEASE), 0);
    ck_assert_uint_eq (rows_of (TABLE_DOOMED), 1);
}
END_TEST

START_TEST (who_was_to_take_a_block_and_does_not_hold_it_is_told_to_clear_it)
{
    static const uint64_t holders[] = {3, 1};
    struct client client;
    struct block_row row;
    uint32_t crc;

    struct txn *txn = begin ();
    memset (&client, 0, sizeof client);
    client.ask = create_of ("/f", 50, "token");
    client.ask.replica = 3;
    ck_ok (upload_create (txn, &client.ask, &placer, &client.created, E));
    client.blocks[0] = client.created.blocks[0];
    ck_assert_uint_eq (client.blocks[0].nodes_count, 3);
    struct upload_finished done = finished (&client, 0, 50);
    done.nodes = holders;
    done.nodes_count = 2;
    ck_ok (commit_upload (txn, &client, 50, 1, &done, 1, &crc));
    ck_ok (block_row_get (txn, uuid_v8_number (&client.created.file), 0, &row, E));
    ck_assert_uint_eq (row.nodes_count, 2);
    ck_assert (!block_row_has_node (&row, 2));
    struct garbage_row garbage = {
        .node = 2, .due = (uint64_t) fixture.frame.wall_ms + 60000, .block = row.block};
    ck_ok (garbage_row_del (txn, &garbage, E));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 0);
}
END_TEST

/* ---- replicas ------------------------------------------------------------------------------------ */

/* Upload /f of two blocks with three replicas; of the second one the client names `second` nodes. */
static uint64_t
upload_replicas (struct client *client, struct txn *txn, size_t second)
{
    struct upload_finished done[2];
    uint32_t crc;

    memset (client, 0, sizeof *client);
    client->ask = create_of ("/f", 200, "token");
    client->ask.replica = 3;
    ck_ok (upload_create (txn, &client->ask, &placer, &client->created, E));
    for (size_t i = 0; i < 2; i++)
        client->blocks[i] = client->created.blocks[i];
    done[0] = finished (client, 0, 100);
    done[1] = finished (client, 1, 100);
    done[1].nodes_count = second;
    ck_ok (commit_upload (txn, client, 200, 2, done, 2, &crc));
    return uuid_v8_number (&client->created.file);
}

START_TEST (blocks_with_fewer_holders_than_wanted_are_marked_with_the_commit_and_others_not)
{
    struct client client;
    struct repair_row mark;
    struct txn *txn = begin ();

    uint64_t inode = upload_replicas (&client, txn, 2);
    ck_ok (repair_row_get (txn, inode, 1, &mark, E));
    ck_assert_uint_eq (mark.end, 2);
    ck_ok (namespace_delete (txn, KIND_FILE, S ("/f"), E));
    ck_fails (LITEDFS_NOT_FOUND, repair_row_get (txn, inode, 1, &mark, E));
    upload_replicas (&client, txn, 3);
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
}
END_TEST

START_TEST (a_node_that_has_reported_a_block_is_its_holder_though_the_client_does_not_know)
{
    struct client client;
    struct block_row row;
    struct held_report report;
    uint32_t crc;
    struct txn *txn = begin ();

    memset (&client, 0, sizeof client);
    client.ask = create_of ("/f", 100, "token");
    client.ask.replica = 3;
    ck_ok (upload_create (txn, &client.ask, &placer, &client.created, E));
    client.blocks[0] = client.created.blocks[0];
    struct wire_change added = {1, CHANGE_ADDED, client.blocks[0].block, 100, 1000};
    ck_ok (held_apply (txn, 3, &added, 1, &report, E));
    struct upload_finished done = finished (&client, 0, 100);
    done.nodes_count = 1;
    ck_ok (commit_upload (txn, &client, 100, 1, &done, 1, &crc));
    ck_ok (block_row_get (txn, uuid_v8_number (&client.created.file), 0, &row, E));
    ck_assert_uint_eq (row.nodes_count, 2);
    ck_assert (block_row_has_node (&row, 1) && block_row_has_node (&row, 3));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 1);
}
END_TEST

START_TEST (an_update_of_a_visible_file_marks_all_of_it)
{
    struct client client;
    struct repair_row mark;
    struct inode_row file;
    struct txn *txn = begin ();

    uint64_t inode = upload_replicas (&client, txn, 3);
    ck_ok (upload_set_replica (txn, S ("/f"), 2, NULL, E));
    ck_ok (inode_row_get (txn, inode, &file, E));
    ck_assert_uint_eq (file.replica, 2);
    ck_ok (repair_row_get (txn, inode, 0, &mark, E));
    ck_assert_uint_eq (mark.end, REPAIR_END);
    uint64_t written = txn_written (txn);
    ck_ok (upload_set_replica (txn, S ("/f"), 2, &client.created.file, E));
    ck_assert_uint_eq (txn_written (txn), written);
    txn_abort (&txn);
}
END_TEST

START_TEST (an_update_of_what_is_only_being_written_counts_for_its_next_blocks_and_its_commit)
{
    struct client client;
    struct lease_row lease;
    struct inode_row file;
    struct repair_row mark;
    struct uuid other = {{7}};
    uint32_t crc;

    begin_upload (&client, "/f", 250, "token");
    struct txn *txn = begin ();
    ck_ok (upload_set_replica (txn, S ("/f"), 3, NULL, E));
    ck_ok (lease_row_get (txn, client.ask.token, &lease, E));
    ck_assert_uint_eq (lease.replica, 3);
    ck_ok (upload_set_replica (txn, S ("/f"), 3, &client.created.file, E));
    ck_fails (LITEDFS_NOT_FOUND, upload_set_replica (txn, S ("/f"), 2, &other, E));
    ck_fails (LITEDFS_NOT_FOUND, upload_set_replica (txn, S ("/g"), 2, NULL, E));
    ck_fails (LITEDFS_NOT_FOUND, upload_set_replica (txn, S ("/x/g"), 2, NULL, E));
    ck_fails (LITEDFS_IS_DIRECTORY, upload_set_replica (txn, S ("/"), 2, NULL, E));
    ck_ok (finish (txn, &client, 0, 100));
    ck_ok (finish (txn, &client, 1, 100));
    ck_ok (allocate (txn, &client, 2, 1, NULL, 0, NULL, 0));
    ck_assert_uint_eq (client.blocks[2].nodes_count, 3);
    struct upload_finished last = finished (&client, 2, 50);
    ck_ok (commit_upload (txn, &client, 250, 3, &last, 1, &crc));
    ck_ok (namespace_lookup (txn, S ("/f"), &file, E));
    ck_assert_uint_eq (file.replica, 3);
    ck_ok (repair_row_get (txn, file.number, 0, &mark, E)); // the first two have one copy each
    ck_assert_uint_eq (mark.end, 2);
    txn_abort (&txn);
}
END_TEST

START_TEST (new_suspects_are_handed_on_with_the_number_of_the_upload)
{
    static const uint64_t first[] = {1}, both[] = {1, 2};
    struct client client;

    begin_upload (&client, "/f", 250, "token");
    struct txn *txn = begin ();
    ck_ok (allocate (txn, &client, 0, 1, NULL, 0, first, 1));
    ck_assert_uint_eq (suspicion.count, 1);
    ck_assert_uint_eq (suspicion.nodes[0], 1);
    ck_assert_uint_eq (suspicion.reporter, uuid_v8_number (&client.created.file));
    ck_ok (allocate (txn, &client, 0, 1, NULL, 0, both, 2));
    ck_assert_uint_eq (suspicion.count, 1);
    ck_assert_uint_eq (suspicion.nodes[0], 2);
    ck_ok (allocate (txn, &client, 0, 1, NULL, 0, both, 2));
    ck_assert_uint_eq (suspicion.count, 0);
    txn_abort (&txn);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "namenode_upload", client_setup, store_teardown, a_file_becomes_visible_with_its_commit,
    a_long_upload_is_looked_at_by_repair_and_a_short_one_is_not, an_empty_file_is_there_at_once,
    a_file_of_unknown_size_ends_where_its_input_ends, the_same_request_again_finds_what_it_did,
    a_request_that_was_aborted_and_runs_again_gives_the_same,
    suspects_are_replaced_and_never_given_again,
    a_finished_block_whose_node_becomes_suspect_is_written_anew,
    an_upload_follows_its_directory_when_that_is_moved, replacing_swaps_the_file_at_commit,
    what_was_abandoned_or_expired_is_freed_to_the_last_row,
    an_expired_lease_is_taken_over_by_the_next_create,
    who_was_to_take_a_block_and_does_not_hold_it_is_told_to_clear_it,
    blocks_with_fewer_holders_than_wanted_are_marked_with_the_commit_and_others_not,
    a_node_that_has_reported_a_block_is_its_holder_though_the_client_does_not_know,
    an_update_of_a_visible_file_marks_all_of_it,
    an_update_of_what_is_only_being_written_counts_for_its_next_blocks_and_its_commit,
    new_suspects_are_handed_on_with_the_number_of_the_upload)
