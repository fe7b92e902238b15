/* SPDX-License-Identifier: MIT */
/*
 * A data node and its name node: it registers, reports, carries orders out, and outlives restarts of
 * either.
 */
#include "datanode_world.h"

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
    datanode_stop (&node);
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

START_TEST (a_name_node_with_other_changes_gets_every_block_anew)
{
    start_registered ();
    put_block (BLOCK, CHUNK);
    WAIT_FOR (name.change_count == 1);
    name.seq = 100; // it knows more than this index ever had
    name.session = 0;
    WAIT_FOR (name.change_count == 2);
    ck_assert_uint_gt (name.changes[1].seq, 100);
    ck_assert_uint_eq (name.changes[1].block, BLOCK);
}
END_TEST

START_TEST (another_cluster_is_not_joined)
{
    struct block_read_reply out;

    start_registered ();
    put_block (BLOCK, CHUNK);
    datanode_stop (&node);
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

UNIT_MAIN_FIXTURE ("datanode_uplink", setup, teardown,
                   a_node_registers_once_and_sends_heartbeats,
                   a_delete_order_is_carried_out_reported_and_confirmed,
                   a_delete_order_ends_a_block_in_write,
                   number_blocks_and_port_outlive_a_restart_and_are_served_without_a_name_node,
                   a_session_that_the_name_node_forgot_registers_again,
                   a_name_node_with_other_changes_gets_every_block_anew,
                   another_cluster_is_not_joined)
