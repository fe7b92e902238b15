/* SPDX-License-Identifier: MIT */
/*
 * A real name node and its data nodes: they come and go, are refused, get blocks, and get orders.
 */
#include "namenode_world.h"

#include "base/err.h"

#include <stdio.h>
#include <string.h>

/* ---- data nodes ------------------------------------------------------------------------------------------- */

START_TEST (a_node_keeps_its_number_and_goes_offline_with_its_connection)
{
    struct peer peer = make_peer ();
    struct data_node first = make_node (1), second = make_node (2);

    ck_assert_uint_eq (first.number, 1);
    ck_assert_uint_eq (second.number, 2);
    ck_assert_uint_eq (online_nodes (&peer), 2);
    end_peer (&first.peer);
    wait_for_online (&peer, 1);
    end_peer (&peer);
    end_peer (&second.peer);
    restart_namenode ();

    peer = make_peer ();
    ck_assert_uint_eq (online_nodes (&peer), 0);
    second = make_node (2);
    ck_assert_uint_eq (second.number, 2);
    ck_assert_uint_eq (online_nodes (&peer), 1);
    end_peer (&second.peer);
    end_peer (&peer);
}
END_TEST

START_TEST (silence_takes_a_node_offline_and_a_heartbeat_brings_it_back)
{
    struct peer peer = make_peer ();
    struct data_node node = make_node (1);
    struct node_heartbeat_reply reply;

    pass_time (&peer, 30000);
    ck_assert_uint_eq (online_nodes (&peer), 1);
    for (int i = 0; i < 60 && online_nodes (&peer) > 0; i++)
        pass_time (&peer, 500);
    ck_assert_uint_eq (online_nodes (&peer), 0);
    ck_assert_int_eq (beat (&node, &reply), 0);
    wait_for_online (&peer, 1);
    end_peer (&peer);
    end_peer (&node.peer);
}
END_TEST

START_TEST (a_name_node_that_was_stopped_itself_counts_nobody_dead)
{
    struct peer peer = make_peer ();
    struct data_node node = make_node (1);

    fake_clock_advance (&fake, 60000);
    for (int i = 0; i < 10; i++)
        ck_assert_uint_eq (online_nodes (&peer), 1);
    end_peer (&peer);
    end_peer (&node.peer);
}
END_TEST

START_TEST (strangers_twins_and_liars_are_refused)
{
    struct data_node node = make_node (1), other = make_node (2);
    struct data_node twin = {.peer = make_peer (), .identity = node.identity};
    struct node_heartbeat_reply reply;

    twin.number = 1;
    ck_assert_int_eq (beat (&twin, &reply), LITEDFS_REGISTER_FIRST);
    ck_assert_int_eq (enter (&twin), LITEDFS_NODE_EXISTS);
    pass_time (&other.peer, 6000);
    ck_assert_int_eq (enter (&twin), 0);
    ck_assert_uint_eq (twin.number, 1);
    other.number = 1;
    ck_assert_int_eq (beat (&other, &reply), LITEDFS_WRONG_NODE);
    struct data_node foreign = {.peer = make_peer (), .identity = node.identity};
    foreign.identity.uuid.bytes[15] = 3;
    foreign.identity.cluster.bytes[0] = 1;
    ck_assert_int_eq (enter (&foreign), LITEDFS_WRONG_CLUSTER);
    foreign.identity.cluster = *namenode_cluster (namenode);
    foreign.identity.host = slice_str ("somewhere");
    ck_assert_int_eq (enter (&foreign), LITEDFS_INVALID);
    end_peer (&node.peer);
    end_peer (&other.peer);
    end_peer (&twin.peer);
    end_peer (&foreign.peer);
}
END_TEST

START_TEST (heartbeats_carry_what_changed_in_the_node_table)
{
    struct data_node first = make_node (1);
    struct node_heartbeat_request request = {.node = 1};
    struct node_heartbeat_reply reply;

    ck_assert_int_eq (beat (&first, &reply), 0);
    ck_assert_uint_eq (reply.nodes_count, 1);
    request.table = reply.table;
    struct data_node second = make_node (2);
    ask (&first.peer, MESSAGE_node_heartbeat, &request);
    ck_assert_int_eq (get (&first.peer, MESSAGE_node_heartbeat, &reply), 0);
    ck_assert_uint_eq (reply.nodes_count, 1);
    ck_assert_uint_eq (reply.nodes[0].node, 2);
    ck_assert_uint_gt (reply.table, request.table);
    request.table = reply.table;
    ask (&first.peer, MESSAGE_node_heartbeat, &request);
    ck_assert_int_eq (get (&first.peer, MESSAGE_node_heartbeat, &reply), 0);
    ck_assert_uint_eq (reply.nodes_count, 0);
    end_peer (&first.peer);
    end_peer (&second.peer);
}
END_TEST

START_TEST (a_store_older_than_what_a_node_has_seen_begins_a_new_epoch)
{
    struct data_node node = make_node (1);

    node.identity.cluster = *namenode_cluster (namenode);
    node.identity.epoch = 0;
    node.identity.transaction = 1000000;
    struct node_register_reply reply;
    ask (&node.peer, MESSAGE_node_register, &node.identity);
    ck_assert_int_eq (get (&node.peer, MESSAGE_node_register, &reply), 0);
    ck_assert_uint_eq (reply.epoch, 1);
    node.identity.epoch = 1;
    node.identity.transaction = reply.transaction;
    ask (&node.peer, MESSAGE_node_register, &node.identity);
    ck_assert_int_eq (get (&node.peer, MESSAGE_node_register, &reply), 0);
    ck_assert_uint_eq (reply.epoch, 1);
    end_peer (&node.peer);
}
END_TEST

START_TEST (seven_blocks_go_round_over_three_nodes)
{
    struct peer peer = make_peer ();
    struct data_node nodes[] = {make_node (1), make_node (2), make_node (3)};
    struct file_create_reply created;
    struct file_allocate_reply more;
    unsigned got[4] = {0};

    ck_assert_int_eq (
        CALL (&peer, file_create, &created, .path = slice_str ("/f"), .size = 7 * 65536 - 1),
        0);
    size_t given = created.blocks_count;
    for (size_t i = 0; i < given; i++) {
        ck_assert_uint_eq (created.blocks[i].nodes_count, 1);
        got[created.blocks[i].nodes[0].node]++;
    }
    struct file_allocate_request request = {.file = created.file, .index = given, .count = 8};
    uint8_t lease[WIRE_LEASE_SIZE];
    memcpy (lease, created.lease.data, sizeof lease);
    request.lease = slice_of (lease, sizeof lease);
    ask (&peer, MESSAGE_file_allocate, &request);
    ck_assert_int_eq (get (&peer, MESSAGE_file_allocate, &more), 0);
    for (size_t i = 0; i < more.blocks_count; i++)
        got[more.blocks[i].nodes[0].node]++;
    ck_assert_uint_eq (given + more.blocks_count, 7);
    for (int i = 1; i <= 3; i++) {
        ck_assert_uint_ge (got[i], 2);
        end_peer (&nodes[i - 1].peer);
    }
    end_peer (&peer);
}
END_TEST

/* ---- orders ------------------------------------------------------------------------------------------------ */

START_TEST (a_deleted_file_becomes_an_order_that_is_confirmed)
{
    struct peer peer = make_peer ();
    struct data_node node = make_node (1);
    struct file_delete_reply deleted;
    struct node_orders_reply orders;
    uint64_t block = upload (&peer, &node, "/f");

    ask (&node.peer, MESSAGE_node_orders,
         fill_node_orders ((struct node_orders_request){.node = 1}));
    ck_assert_int_eq (CALL (&peer, file_delete, &deleted, .path = slice_str ("/f")), 0);
    ck_assert_int_eq (get_within (&node.peer, MESSAGE_node_orders, &orders, 600), 1);

    // Readers may have it for a minute; in between the parked request is answered with nothing.
    fake_clock_advance (&fake, 30001);
    ck_assert_int_eq (get (&node.peer, MESSAGE_node_orders, &orders), 0);
    ck_assert_uint_eq (orders.orders_count, 0);
    ask (&node.peer, MESSAGE_node_orders,
         fill_node_orders ((struct node_orders_request){.node = 1}));
    fake_clock_advance (&fake, 29000);
    ck_assert_int_eq (get_within (&node.peer, MESSAGE_node_orders, &orders, 600), 1);
    fake_clock_advance (&fake, 1000);
    ck_assert_int_eq (get (&node.peer, MESSAGE_node_orders, &orders), 0);
    ck_assert_uint_eq (orders.orders_count, 1);
    ck_assert_uint_eq (orders.orders[0].block, block);
    ck_assert_uint_eq (orders.orders[0].kind, ORDER_DELETE);
    uint64_t number = orders.orders[0].number;

    // Not confirmed: it comes again, after a restart too.
    end_peer (&node.peer);
    end_peer (&peer);
    restart_namenode ();
    node = make_node (1);
    ck_assert_int_eq (CALL (&node.peer, node_orders, &orders, .node = 1), 0);
    ck_assert_uint_eq (orders.orders_count, 1);

    node.seq = 1;
    report (&node, CHANGE_REMOVED, block, 0);
    ask (&node.peer, MESSAGE_node_orders,
         fill_node_orders ((struct node_orders_request){.node = 1, .after = number}));
    ck_assert_int_eq (get_within (&node.peer, MESSAGE_node_orders, &orders, 300), 1);
    ask (&node.peer, MESSAGE_node_orders,
         fill_node_orders ((struct node_orders_request){.node = 1, .after = 0}));
    ck_assert_int_eq (get_within (&node.peer, MESSAGE_node_orders, &orders, 300), 1);
    end_peer (&node.peer);
}
END_TEST

START_TEST (garbage_of_a_full_node_is_due_at_once)
{
    struct peer peer = make_peer ();
    struct data_node node = make_node (1);
    struct file_delete_reply deleted;
    struct node_orders_reply orders;
    struct node_heartbeat_request full = {.node = 1, .storage_full = true};
    struct node_heartbeat_reply reply;

    upload (&peer, &node, "/f");
    ask (&node.peer, MESSAGE_node_heartbeat, &full);
    ck_assert_int_eq (get (&node.peer, MESSAGE_node_heartbeat, &reply), 0);
    fake_clock_advance (&fake, 200);
    ck_assert_int_eq (CALL (&peer, file_delete, &deleted, .path = slice_str ("/f")), 0);
    ask (&node.peer, MESSAGE_node_orders,
         fill_node_orders ((struct node_orders_request){.node = 1}));
    fake_clock_advance (&fake, 300);
    ck_assert_int_eq (get (&node.peer, MESSAGE_node_orders, &orders), 0);
    ck_assert_uint_eq (orders.orders_count, 1);
    end_peer (&peer);
    end_peer (&node.peer);
}
END_TEST

START_TEST (a_block_that_nobody_owns_is_ordered_away)
{
    struct peer peer = make_peer ();
    struct data_node node = make_node (1);
    struct file_create_reply created;
    struct node_orders_reply orders;

    ck_assert_int_eq (
        CALL (&peer, file_create, &created, .path = slice_str ("/f"), .size = 100), 0);
    uint64_t block = created.blocks[0].block;
    fake_clock_advance (&fake, 120001);
    struct directory_list_reply list; // the name is free, the block is dead
    ck_assert_int_eq (CALL (&peer, directory_list, &list, .path = slice_str ("/")), 0);
    ask (&node.peer, MESSAGE_node_orders,
         fill_node_orders ((struct node_orders_request){.node = 1}));
    int rc = 1;
    for (int i = 0; i < 60 && (rc != 0 || orders.orders_count == 0); i++) {
        if (rc == 0)
            ask (&node.peer, MESSAGE_node_orders,
                 fill_node_orders ((struct node_orders_request){.node = 1}));
        fake_clock_advance (&fake, 10000);
        rc = get_within (&node.peer, MESSAGE_node_orders, &orders, 300);
    }
    ck_assert_int_eq (rc, 0);
    ck_assert_uint_eq (orders.orders_count, 1);
    ck_assert_uint_eq (orders.orders[0].block, block);
    end_peer (&peer);
    end_peer (&node.peer);
}
END_TEST

START_TEST (a_node_whose_index_fell_back_is_told_to_number_above_what_was_reported)
{
    struct peer peer = make_peer ();
    struct data_node node = make_node (1);
    struct node_register_reply reply;

    upload (&peer, &node, "/f");
    uint64_t reported = node.seq;
    ck_assert_uint_gt (reported, 0);
    node.identity.seq = 0;
    ask (&node.peer, MESSAGE_node_register, &node.identity);
    ck_assert_int_eq (get (&node.peer, MESSAGE_node_register, &reply), 0);
    ck_assert_uint_eq (reply.seq, reported);
    end_peer (&node.peer);
    end_peer (&peer);
}
END_TEST

START_TEST (orders_are_listed_for_a_node_that_knows_another_epoch)
{
    struct peer peer = make_peer ();
    struct data_node node = make_node (1);
    struct file_delete_reply deleted;
    struct node_orders_reply orders;

    uint64_t block = upload (&peer, &node, "/f");
    ck_assert_int_eq (CALL (&peer, file_delete, &deleted, .path = slice_str ("/f")), 0);
    pass_time (&peer, 61000);
    ask (
        &node.peer, MESSAGE_node_orders,
        fill_node_orders ((struct node_orders_request){.node = 1, .epoch = 77, .after = 1000}));
    ck_assert_int_eq (get (&node.peer, MESSAGE_node_orders, &orders), 0);
    ck_assert_uint_eq (orders.orders_count, 1);
    ck_assert_uint_eq (orders.orders[0].block, block);
    end_peer (&node.peer);
    end_peer (&peer);
}
END_TEST

START_TEST (a_node_that_was_removed_is_refused_for_ever)
{
    struct peer peer = make_peer ();
    struct data_node node = make_node (1);
    struct node_drain_reply drained;
    struct node_remove_reply removed;
    struct node_maintenance_reply away;
    struct node_heartbeat_reply reply;
    struct cluster_info_reply info;

    ck_assert_int_eq (CALL (&peer, node_remove, &removed, .node = 1), LITEDFS_INVALID);
    ck_assert_int_eq (CALL (&peer, node_drain, &drained, .node = 2), LITEDFS_NOT_FOUND);
    ck_assert_int_eq (CALL (&peer, node_drain, &drained, .node = 1, .drain = true), 0);
    ck_assert_int_eq (CALL (&peer, node_remove, &removed, .node = 1, .force = true), 0);
    ck_assert_int_eq (CALL (&peer, cluster_info, &info), 0);
    ck_assert_uint_eq (info.number_of_nodes, 0);
    ck_assert_uint_eq (info.nodes_count, 0);
    ck_assert_int_eq (CALL (&peer, node_drain, &drained, .node = 1), LITEDFS_NOT_FOUND);
    ck_assert_int_eq (CALL (&peer, node_remove, &removed, .node = 1), LITEDFS_NOT_FOUND);
    ck_assert_int_eq (CALL (&peer, node_maintenance, &away, .node = 1), LITEDFS_NOT_FOUND);
    ck_assert_int_eq (beat (&node, &reply), LITEDFS_REGISTER_FIRST);
    ck_assert_int_eq (enter (&node), LITEDFS_NODE_REMOVED);
    end_peer (&node.peer);
    end_peer (&peer);
    restart_namenode ();
    node.peer = make_peer ();
    ck_assert_int_eq (enter (&node), LITEDFS_NODE_REMOVED);
    struct data_node fresh = make_node (2);
    ck_assert_uint_eq (fresh.number, 2); // its number is not given again
    end_peer (&fresh.peer);
    end_peer (&node.peer);
}
END_TEST

START_TEST (a_node_is_removed_when_its_blocks_were_looked_at_and_others_have_them)
{
    struct peer peer = make_peer ();
    struct data_node one = make_node (1);
    struct node_drain_reply drained;
    struct node_remove_reply removed;
    int rc = LITEDFS_BUSY;

    uint64_t block = upload (&peer, &one, "/g");
    struct data_node two = make_node (2);
    struct data_node *both[] = {&one, &two};
    upload_to (&peer, both, 2, "/f", 2);
    ck_assert_int_eq (CALL (&peer, node_drain, &drained, .node = 1, .drain = true), 0);
    for (int i = 0; i < 200 && rc == LITEDFS_BUSY; i++) {
        pass_time (&peer, 100);
        rc = CALL (&peer, node_remove, &removed, .node = 1);
    }
    ck_assert_int_eq (rc, LITEDFS_REFUSED);
    ck_assert_msg (strstr (error.text, "the last copy of 1 blocks (100 bytes)") != NULL, "%s",
                   error.text);
    report (&two, CHANGE_ADDED, block, 100);
    for (int i = 0; i < 200 && rc != 0; i++) {
        pass_time (&peer, 100);
        rc = CALL (&peer, node_remove, &removed, .node = 1);
    }
    ck_assert_int_eq (rc, 0);
    wait_for_replicas (&peer, "/f", 1);
    ck_assert_uint_eq (current_replica (&peer, "/g"), 1);
    end_peer (&two.peer);
    end_peer (&one.peer);
    end_peer (&peer);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "namenode_nodes", setup, teardown, a_node_that_was_removed_is_refused_for_ever,
    a_node_is_removed_when_its_blocks_were_looked_at_and_others_have_them,
    a_node_keeps_its_number_and_goes_offline_with_its_connection,
    silence_takes_a_node_offline_and_a_heartbeat_brings_it_back,
    a_name_node_that_was_stopped_itself_counts_nobody_dead,
    strangers_twins_and_liars_are_refused, heartbeats_carry_what_changed_in_the_node_table,
    a_store_older_than_what_a_node_has_seen_begins_a_new_epoch,
    seven_blocks_go_round_over_three_nodes, a_deleted_file_becomes_an_order_that_is_confirmed,
    garbage_of_a_full_node_is_due_at_once, a_block_that_nobody_owns_is_ordered_away,
    a_node_whose_index_fell_back_is_told_to_number_above_what_was_reported,
    orders_are_listed_for_a_node_that_knows_another_epoch)
