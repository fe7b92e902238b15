/* SPDX-License-Identifier: MIT */
/*
 * A data node and its name node: it registers, reports, carries orders out, and outlives restarts of
 * either.
 */
#include "datanode_world.h"

#include "base/file.h"

START_TEST (a_node_registers_once_and_sends_heartbeats)
{
    start_registered ();
    ck_assert_uint_eq (name.registration.tcp_port, (uint64_t) datanode_tcp_port (node));
    ck_assert_uint_eq (name.registration.node, 0);
    ck_assert_uint_eq (name.registration.host.size, 0);
    ck_assert_uint_gt (name.registration.storage_total, 0);
    WAIT_FOR (name.heartbeats >= 3);
    ck_assert_uint_eq (name.registered, 1);
    ck_assert (!datanode_failed (node, &error));
}
END_TEST

START_TEST (a_delete_order_is_carried_out_reported_and_confirmed)
{
    struct block_read_reply out;
    struct block_write_reply written;

    start_registered ();
    put_block (BLOCK, 2 * CHUNK);
    put_block (BLOCK + 1, CHUNK);
    order_delete (5, BLOCK);
    WAIT_FOR (name.confirmed == 5);
    WAIT_FOR (name.change_count == 3);
    ck_assert_int_eq (name.changes[2].kind, CHANGE_REMOVED);
    ck_assert_uint_eq (name.changes[2].block, BLOCK);
    ck_assert_int_eq (get (BLOCK, 0, CHUNK, &out), LITEDFS_NOT_FOUND);
    ck_assert_int_eq (get (BLOCK + 1, 0, CHUNK, &out), 0);
    ck_assert_int_eq (put (BLOCK, 0, CHUNK, false, &written), LITEDFS_LEASE_LOST);
    order_delete (6, BLOCK + 1);
    WAIT_FOR (name.confirmed == 6);
}
END_TEST

START_TEST (a_delete_order_ends_a_block_in_write)
{
    struct block_write_reply out;

    start_registered ();
    ck_assert_int_eq (put (BLOCK, 0, CHUNK, false, &out), 0);
    order_delete (1, BLOCK);
    WAIT_FOR (name.confirmed == 1);
    ck_assert_int_eq (put (BLOCK, CHUNK, CHUNK, false, &out), LITEDFS_LEASE_LOST);
    ck_assert_uint_eq (name.change_count, 0);
}
END_TEST

START_TEST (number_blocks_and_port_outlive_a_restart_and_are_served_without_a_name_node)
{
    struct block_read_reply out;

    start_registered ();
    put_block (BLOCK, 2 * CHUNK);
    WAIT_FOR (name.change_count == 1);
    int port = datanode_tcp_port (node);
    stop_node ();
    int name_port = router_port (name.router);
    stop_name ();
    start_node ();
    ck_assert_int_eq (datanode_tcp_port (node), port);
    ck_assert_int_eq (get (BLOCK, 0, 2 * CHUNK, &out), 0);
    put_block (BLOCK + 1, CHUNK);

    start_name (name_port);
    WAIT_FOR (name.change_count == 2);
    ck_assert_uint_eq (name.registration.node, NODE);
    ck_assert_uint_eq (name.changes[1].block, BLOCK + 1);
}
END_TEST

START_TEST (a_session_that_the_name_node_forgot_registers_again)
{
    start_registered ();
    name.session = 0;
    WAIT_FOR (name.registered == 2);
    unsigned beats = name.heartbeats;
    WAIT_FOR (name.heartbeats > beats && name.parked != NULL);
}
END_TEST

/* The digest of the bucket of BLOCK, as it was sent: big endian. */
static const uint8_t *
digest_of_block (void)
{
    return name.digests + 16 * block_id_bucket (BLOCK);
}

START_TEST (inventories_are_compared_after_each_registration)
{
    start_registered ();
    WAIT_FOR (name.inventories == 1);
    ck_assert_uint_eq (name.inventory_seq, 0);
    put_block (BLOCK, CHUNK);
    WAIT_FOR (name.change_count == 1);
    name.session = 0;
    WAIT_FOR (name.inventories == 2);
    ck_assert_uint_eq (name.inventory_seq, 1);
    for (int i = 0; i < 8; i++)
        ck_assert_uint_eq (digest_of_block ()[i],
                           (uint8_t) (block_id_hash (BLOCK) >> (56 - 8 * i)));
    ck_assert_uint_eq (digest_of_block ()[15], 1);
    ck_assert_uint_eq (name.listings, 0); // nothing differed
}
END_TEST

START_TEST (a_name_node_with_other_changes_gets_what_differs)
{
    start_registered ();
    put_block (BLOCK, CHUNK);
    put_block (BLOCK + 1, CHUNK);
    WAIT_FOR (name.change_count == 2);
    name.seq = 100; // it knows more than this index ever had
    name.session = 0;
    uint32_t bucket = block_id_bucket (BLOCK);
    name.differ[bucket / 8] = (uint8_t) (1u << bucket % 8);
    WAIT_FOR (name.listings == 1);
    ck_assert_uint_eq (name.inventory_seq, 100);
    ck_assert_uint_eq (name.listed_count, 1);
    ck_assert_uint_eq (name.listed[0].block, BLOCK);
    ck_assert_uint_eq (name.listed[0].size, CHUNK);
    put_block (BLOCK + 2, CHUNK);
    WAIT_FOR (name.change_count == 3);
    ck_assert_uint_eq (name.changes[2].seq, 101);
}
END_TEST

START_TEST (a_name_node_that_missed_changes_gets_a_comparison)
{
    start_registered ();
    WAIT_FOR (name.inventories == 1);
    name.compare = true;
    put_block (BLOCK, CHUNK);
    WAIT_FOR (name.inventories == 2);
    ck_assert_uint_eq (name.inventory_seq, 1);
}
END_TEST

START_TEST (a_listing_that_is_not_taken_begins_with_another_comparison)
{
    start_registered ();
    WAIT_FOR (name.inventories == 1);
    name.refuse_listings = true;
    memset (name.differ, 0xff, sizeof name.differ);
    name.session = 0;
    WAIT_FOR (name.inventories == 3 && name.listings == 2);
    name.refuse_listings = false;
    WAIT_FOR (name.listings >= 3);
}
END_TEST

START_TEST (inventories_are_compared_every_inventory_interval)
{
    set ("inventory_interval", "1");
    start_registered ();
    WAIT_FOR (name.inventories == 3);
    ck_assert_uint_eq (name.registered, 1);
}
END_TEST

START_TEST (another_cluster_is_not_joined)
{
    struct block_read_reply out;

    start_registered ();
    put_block (BLOCK, CHUNK);
    stop_node ();
    name.cluster.bytes[3] ^= 1;
    unsigned before = name.registered;
    start_node ();
    WAIT_FOR (name.registered > before);
    unsigned beats = name.heartbeats;
    for (int i = 0; i < 50; i++)
        pump (10);
    ck_assert_uint_eq (name.heartbeats, beats);
    ck_assert_int_eq (get (BLOCK, 0, CHUNK, &out), 0);
}
END_TEST

/* ---- the node table and copies by order --------------------------------------------------------- */

#define OTHER 7 // a node that is played here, as far as its PULL goes

static void *pull;
static int pull_port;

static void
start_other (void)
{
    const struct socket_options options = {.zap_domain = "name"};

    socket_close (&pull);
    pull = socket_new (SOCKET_PULL_PEER, &options, &error);
    ck_assert_msg (pull != NULL && socket_bind (pull, "127.0.0.1", 0, &pull_port, &error) == 0,
                   "%s", error.text);
}

/* Whether a chain.write of the block has come to the other node; what else comes is let go. */
static bool
other_got (uint64_t block, struct chain_write_request *out)
{
    struct socket_body body;
    struct message *message;
    uint64_t id;
    bool found = false;

    while (!found && socket_receive_body (pull, &body) == 0) {
        struct slice frame =
            slice_of (zmq_msg_data (&body.header), zmq_msg_size (&body.header));
        ck_assert_msg (message_parse_request (frame, &message, &id, &error) == 0, "%s",
                       error.text);
        ck_assert_ptr_nonnull (message->type);
        if (message->type->number == MESSAGE_chain_write) {
            ck_assert_int_eq (message_request_fields (message, out, &error), 0);
            found = out->block == block;
        }
        message_destroy (&message);
        socket_body_close (&body);
    }
    return found;
}

/* Send the first chunk of a block that the other node shall have too; nobody waits for the answer. */
static void
send_chained (uint64_t block)
{
    static uint64_t chain[] = {OTHER};
    struct block_write_request request = chunk_of (block, 0, CHUNK, false);
    struct block_write_reply out;
    zmq_msg_t payload;

    request.chain = chain;
    request.chain_count = 1;
    zmq_msg_init_size (&payload, CHUNK);
    memcpy (zmq_msg_data (&payload), bytes, CHUNK);
    dealer_call (client, &message_types[MESSAGE_block_write], &request, &payload, &out, NULL,
                 100, -1, &error);
    zmq_msg_close (&payload);
}

static const char *
nodes_path (void)
{
    static char path[128];

    snprintf (path, sizeof path, "%s/data/nodes", directory);
    return path;
}

/* Whether the file of the node table has an entry for the other node at this port. */
static bool
is_saved (int chain_port)
{
    char line[64];
    struct buf text = {0};

    snprintf (line, sizeof line, "\nnode %d 127.0.0.1 1 %d\n", OTHER, chain_port);
    bool found = file_read_all (nodes_path (), 65536, &text, &error) == 0 &&
                 strstr (buf_text (&text), line) != NULL;
    buf_free (&text);
    return found;
}

START_TEST (the_chain_port_is_registered_and_kept)
{
    start_registered ();
    uint64_t port = name.registration.chain_port;
    ck_assert_uint_eq (port, (uint64_t) datanode_chain_port (node));
    ck_assert_uint_ne (port, name.registration.tcp_port);
    stop_node ();
    start_registered ();
    ck_assert_uint_eq (name.registration.chain_port, port);
}
END_TEST

START_TEST (what_heartbeats_say_of_nodes_is_asked_for_by_version_and_saved)
{
    name_node (OTHER, 28007, true);
    start_registered ();
    WAIT_FOR (name.heard_table == name.table);
    WAIT_FOR (is_saved (28007));
    name_node (OTHER, 28008, true);
    WAIT_FOR (name.heard_table == name.table);
    WAIT_FOR (is_saved (28008));
    ck_assert_uint_eq (name.lists, 0);

    name.session = 0; // another name node, or the same one after a restart
    unsigned beats = name.heartbeats;
    name.heard_table = 99;
    WAIT_FOR (name.heartbeats > beats && name.heard_table == 0);
    WAIT_FOR (name.heard_table == name.table);
}
END_TEST

START_TEST (entries_that_make_no_sense_are_left_out)
{
    name_node (8, 28008, true);
    name.nodes[0].host = slice_str ("no.address");
    name_node (OTHER, 28007, true);
    start_registered ();
    WAIT_FOR (is_saved (28007));
    struct buf text = {0};
    ck_assert_int_eq (file_read_all (nodes_path (), 65536, &text, &error), 0);
    ck_assert_ptr_null (strstr (buf_text (&text), "node 8"));
    buf_free (&text);
}
END_TEST

START_TEST (a_number_that_is_not_known_costs_one_node_list_a_second)
{
    struct chain_write_request got;

    start_registered ();
    start_other ();
    name_node (OTHER, pull_port, false); // the heartbeats will not say it
    send_chained (BLOCK);
    WAIT_FOR (other_got (BLOCK, &got));
    ck_assert_uint_ge (name.lists, 1);
    WAIT_FOR (is_saved (pull_port));
    socket_close (&pull);
}
END_TEST

START_TEST (a_number_that_nobody_knows_is_asked_for_again_and_not_more_often_than_once_a_second)
{
    int64_t begin_ms = clock_mono (clock_system ());

    start_registered ();
    for (uint64_t i = 0; name.lists < 3; i++) {
        send_chained (BLOCK + i);
        pump (10);
        ck_assert_int_lt (clock_mono (clock_system ()), begin_ms + WAIT_MS);
    }
    ck_assert_int_ge (clock_mono (clock_system ()) - begin_ms, 2000);
}
END_TEST

START_TEST (the_table_outlives_a_restart_and_chains_work_without_a_name_node)
{
    struct chain_write_request got;

    start_other ();
    name_node (OTHER, pull_port, true);
    start_registered ();
    WAIT_FOR (is_saved (pull_port));
    stop_node ();
    stop_name ();
    start_node ();
    send_chained (BLOCK);
    WAIT_FOR (other_got (BLOCK, &got));
    ck_assert (got.node == OTHER && got.from == NODE && !got.copy);
    socket_close (&pull);
}
END_TEST

START_TEST (a_table_that_is_damaged_is_asked_for_anew)
{
    name_node (OTHER, 28007, true);
    start_registered ();
    WAIT_FOR (is_saved (28007));
    stop_node ();
    ck_assert_int_eq (file_write_atomic (nodes_path (), "rubbish", 7, 0644, &error), 0);
    start_registered ();
    WAIT_FOR (is_saved (28007));
}
END_TEST

START_TEST (an_order_to_copy_is_confirmed_when_it_is_queued_and_carried_out)
{
    struct chain_write_request got;

    start_other ();
    name_node (OTHER, pull_port, true);
    start_registered ();
    put_block (BLOCK, 2 * CHUNK);
    put_block (BLOCK + 1, CHUNK);
    order_copy (5, BLOCK, OTHER);
    WAIT_FOR (name.confirmed == 5);
    WAIT_FOR (other_got (BLOCK, &got));
    ck_assert (got.copy && got.node == OTHER && got.from == NODE && got.offset == 0);
    ck_assert_uint_eq (got.file.bytes[0], 9);
    order_copy (6, BLOCK + 1, 99);    // of whom nobody has heard
    order_copy (7, BLOCK + 2, OTHER); // that is not here
    order_copy (8, BLOCK + 1, NODE);  // to whom has it
    order_delete (9, BLOCK + 1);
    WAIT_FOR (name.confirmed == 9);
    WAIT_FOR (name.change_count == 3);
    ck_assert (name.changes[2].kind == CHANGE_REMOVED && name.changes[2].block == BLOCK + 1);
    socket_close (&pull);
}
END_TEST

/* Send a whole block of one chunk to the node, as the other one. */
static void
send_from_other (void *push, uint64_t block, bool copy)
{
    struct chain_write_request fields;
    const struct envelope envelope = {.id = 1, .seen = WIRE_UNKNOWN};
    struct buf header = {0};
    zmq_msg_t frames[2];

    message_request_init (&message_types[MESSAGE_chain_write], &fields);
    fields.block = block;
    fields.node = NODE;
    fields.from = OTHER;
    fields.crc32 = crc32_of (0, bytes, CHUNK);
    fields.last = true;
    fields.copy = copy;
    fields.file.bytes[0] = 9;
    fields.path = slice_str ("/a/b");
    ck_assert_msg (message_encode_request (&header, &message_types[MESSAGE_chain_write],
                                           &fields, &envelope, &error) == 0,
                   "%s", error.text);
    zmq_msg_init_size (&frames[0], header.size);
    memcpy (zmq_msg_data (&frames[0]), header.data, header.size);
    zmq_msg_init_size (&frames[1], CHUNK);
    memcpy (zmq_msg_data (&frames[1]), bytes, CHUNK);
    zmq_pollitem_t item = {push, 0, ZMQ_POLLOUT, 0};
    ck_assert_int_eq (zmq_poll (&item, 1, WAIT_MS), 1);
    ck_assert_int_eq (socket_send_frame (push, &frames[0], true), 0);
    ck_assert_int_eq (socket_send_frame (push, &frames[1], false), 0);
    buf_free (&header);
}

START_TEST (a_copy_that_is_sent_here_brings_a_deleted_block_back)
{
    struct block_read_reply out;

    start_other ();
    name_node (OTHER, pull_port, true);
    start_registered ();
    put_block (BLOCK, CHUNK);
    order_delete (1, BLOCK);
    WAIT_FOR (name.confirmed == 1 && name.change_count == 2);
    WAIT_FOR (is_saved (pull_port));
    void *push = socket_new (SOCKET_PUSH_PEER, NULL, &error);
    ck_assert_int_eq (socket_connect (push, "127.0.0.1", datanode_chain_port (node), &error),
                      0);
    send_from_other (push, BLOCK, false); // a chunk that was late
    send_from_other (push, BLOCK + 1, false);
    WAIT_FOR (name.change_count == 3);
    ck_assert_uint_eq (name.changes[2].block, BLOCK + 1);
    ck_assert_int_eq (get (BLOCK, 0, CHUNK, &out), LITEDFS_NOT_FOUND);
    send_from_other (push, BLOCK, true);
    WAIT_FOR (name.change_count == 4);
    ck_assert (name.changes[3].kind == CHANGE_ADDED && name.changes[3].block == BLOCK);
    ck_assert_int_eq (get (BLOCK, 0, CHUNK, &out), 0);
    order_delete (2, BLOCK);
    WAIT_FOR (name.confirmed == 2 && name.change_count == 5);
    ck_assert_int_eq (get (BLOCK, 0, CHUNK, &out), LITEDFS_NOT_FOUND);
    socket_close (&push);
    socket_close (&pull);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "datanode_uplink", setup, teardown, a_node_registers_once_and_sends_heartbeats,
    a_delete_order_is_carried_out_reported_and_confirmed, a_delete_order_ends_a_block_in_write,
    number_blocks_and_port_outlive_a_restart_and_are_served_without_a_name_node,
    a_session_that_the_name_node_forgot_registers_again,
    inventories_are_compared_after_each_registration,
    a_name_node_with_other_changes_gets_what_differs,
    a_name_node_that_missed_changes_gets_a_comparison,
    a_listing_that_is_not_taken_begins_with_another_comparison,
    inventories_are_compared_every_inventory_interval, another_cluster_is_not_joined,
    the_chain_port_is_registered_and_kept,
    what_heartbeats_say_of_nodes_is_asked_for_by_version_and_saved,
    entries_that_make_no_sense_are_left_out,
    a_number_that_is_not_known_costs_one_node_list_a_second,
    a_number_that_nobody_knows_is_asked_for_again_and_not_more_often_than_once_a_second,
    the_table_outlives_a_restart_and_chains_work_without_a_name_node,
    a_table_that_is_damaged_is_asked_for_anew,
    an_order_to_copy_is_confirmed_when_it_is_queued_and_carried_out,
    a_copy_that_is_sent_here_brings_a_deleted_block_back)
