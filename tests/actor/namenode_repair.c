/* SPDX-License-Identifier: MIT */
/*
 * A real name node and scripted data nodes: replicas come by orders to copy, go by orders to delete, and
 * what the name node says of them is true at every moment.
 */
#include "namenode_world.h"

#include "base/err.h"

#include <stdio.h>
#include <string.h>

static void
update (struct peer *client, const char *path, uint64_t replica)
{
    struct file_update_reply reply;

    ck_assert_msg (
        CALL (client, file_update, &reply, .path = slice_str (path), .replica = replica) == 0,
        "%s", error.text);
    ck_assert_uint_eq (reply.replica, replica);
}

/* A node that is not taken for dead when it is silent: time passes quickly here. */
static struct data_node
patient_node (uint8_t which)
{
    struct data_node node = make_node (which);

    node.identity.heartbeat_timeout = 600000;
    ck_assert_int_eq (enter (&node), 0);
    return node;
}

/* Nothing is ordered to the node. */
static void
check_no_orders (struct data_node *node)
{
    struct node_orders_reply orders;

    ask (&node->peer, MESSAGE_node_orders,
         fill_node_orders ((struct node_orders_request){.node = node->number}));
    ck_assert_int_eq (get_within (&node->peer, MESSAGE_node_orders, &orders, 400), 1);
}

START_TEST (more_replicas_come_by_an_order_to_copy)
{
    struct peer peer = make_peer ();
    struct data_node first = patient_node (1);
    struct node_orders_reply orders;
    uint64_t block = upload (&peer, &first, "/f");
    struct data_node second = patient_node (2);

    update (&peer, "/f", 2);
    ck_assert_uint_eq (current_replica (&peer, "/f"), 1);
    ck_assert_uint_eq (wait_for_orders (&first, &peer, 0, &orders), 1);
    ck_assert_uint_eq (orders.orders[0].kind, ORDER_COPY);
    ck_assert_uint_eq (orders.orders[0].block, block);
    ck_assert_uint_eq (orders.orders[0].target, 2);
    ck_assert_uint_eq (current_replica (&peer, "/f"), 1);
    report (&second, CHANGE_ADDED, block, 100);
    ck_assert_uint_eq (current_replica (&peer, "/f"), 2);
    end_peer (&second.peer);
    wait_for_online (&peer, 1);
    ck_assert_uint_eq (current_replica (&peer, "/f"), 1);
    end_peer (&first.peer);
    end_peer (&peer);
}
END_TEST

START_TEST (what_is_missing_comes_when_a_node_comes)
{
    struct peer peer = make_peer ();
    struct data_node first = patient_node (1);
    struct data_node *holders[] = {&first};
    struct node_orders_reply orders;
    uint64_t block = upload_to (&peer, holders, 1, "/f", 3);

    pass_time (&peer, 5000);
    check_no_orders (&first);
    end_peer (&first.peer);
    wait_for_online (&peer, 0);
    first = patient_node (1);
    struct data_node second = patient_node (2);
    first.seq = 1;
    ck_assert_uint_eq (wait_for_orders (&first, &peer, 0, &orders), 1);
    ck_assert_uint_eq (orders.orders[0].target, 2);
    report (&second, CHANGE_ADDED, block, 100);
    wait_for_replicas (&peer, "/f", 2);
    struct data_node third = patient_node (3);
    struct data_node *source = &first;
    struct node_orders_request request = {.node = 1, .after = orders.orders[0].number};
    ask (&first.peer, MESSAGE_node_orders, &request);
    request = (struct node_orders_request){.node = 2};
    ask (&second.peer, MESSAGE_node_orders, &request);
    int rc = 1;
    while (rc == 1) {
        rc = get_within (&source->peer, MESSAGE_node_orders, &orders, 50);
        pass_time (&peer, 100);
        source = rc == 1 && source == &first ? &second : rc == 1 ? &first : source;
    }
    ck_assert_int_eq (rc, 0);
    ck_assert_uint_eq (orders.orders_count, 1);
    ck_assert_uint_eq (orders.orders[0].kind, ORDER_COPY);
    ck_assert_uint_eq (orders.orders[0].target, 3);
    report (&third, CHANGE_ADDED, block, 100);
    wait_for_replicas (&peer, "/f", 3);
    end_peer (&first.peer);
    end_peer (&second.peer);
    end_peer (&third.peer);
    end_peer (&peer);
}
END_TEST

START_TEST (fewer_replicas_at_once_and_the_surplus_is_ordered_away_after_the_delay)
{
    struct peer peer = make_peer ();
    struct data_node nodes[] = {patient_node (1), patient_node (2)};
    struct data_node *holders[] = {&nodes[0], &nodes[1]};
    struct node_orders_reply orders;
    struct file_info_reply info;
    uint64_t block = upload_to (&peer, holders, 2, "/f", 2);

    int64_t began = clock_mono (&fake.clock);
    update (&peer, "/f", 1);
    wait_for_replicas (&peer, "/f", 1);
    ck_assert_int_eq (CALL (&peer, file_info, &info, .path = slice_str ("/f")), 0);
    ck_assert_uint_eq (info.blocks[0].nodes_count, 1);
    struct data_node *left = &nodes[info.blocks[0].nodes[0] == 1 ? 1 : 0];
    struct data_node *kept = &nodes[info.blocks[0].nodes[0] == 1 ? 0 : 1];
    check_no_orders (kept);
    ck_assert_uint_eq (wait_for_orders (left, &peer, 0, &orders), 1);
    ck_assert_uint_eq (orders.orders[0].kind, ORDER_DELETE);
    ck_assert_int_ge (clock_mono (&fake.clock) - began, 60000);
    ck_assert_uint_eq (orders.orders[0].block, block);
    report (left, CHANGE_REMOVED, block, 0);
    ck_assert_uint_eq (current_replica (&peer, "/f"), 1);
    end_peer (&nodes[0].peer);
    end_peer (&nodes[1].peer);
    end_peer (&peer);
}
END_TEST

START_TEST (up_again_within_the_delay_takes_the_copy_back_that_is_still_there)
{
    struct peer peer = make_peer ();
    struct data_node nodes[] = {patient_node (1), patient_node (2), patient_node (3)};
    struct data_node *holders[] = {&nodes[0], &nodes[1], &nodes[2]};

    upload_to (&peer, holders, 3, "/f", 3);
    update (&peer, "/f", 1);
    wait_for_replicas (&peer, "/f", 1);
    update (&peer, "/f", 3);
    wait_for_replicas (&peer, "/f", 3);
    pass_time (&peer, 10000);
    for (int i = 0; i < 3; i++)
        check_no_orders (&nodes[i]);
    pass_time (&peer, 55000);
    ck_assert_uint_eq (current_replica (&peer, "/f"), 3);
    for (int i = 0; i < 3; i++)
        end_peer (&nodes[i].peer);
    end_peer (&peer);
}
END_TEST

START_TEST (a_copy_that_is_lost_is_ordered_again)
{
    struct peer peer = make_peer ();
    struct data_node nodes[] = {patient_node (1), patient_node (2)};
    struct data_node *holders[] = {&nodes[0], &nodes[1]};
    struct node_orders_reply orders;

    // Node 2 takes back what it said.
    uint64_t block = upload_to (&peer, holders, 2, "/f", 2);
    report (&nodes[1], CHANGE_REMOVED, block, 0);
    ck_assert_uint_eq (current_replica (&peer, "/f"), 1);
    ck_assert_uint_eq (wait_for_orders (&nodes[0], &peer, 0, &orders), 1);
    ck_assert_uint_eq (orders.orders[0].kind, ORDER_COPY);
    ck_assert_uint_eq (orders.orders[0].target, 2);

    // It never comes: it is ordered again.
    struct node_orders_reply again;
    ck_assert_uint_eq (wait_for_orders (&nodes[0], &peer, orders.orders[0].number, &again), 1);
    ck_assert_uint_eq (again.orders[0].kind, ORDER_COPY);
    ck_assert_uint_eq (again.orders[0].target, 2);
    end_peer (&nodes[0].peer);
    end_peer (&nodes[1].peer);
    end_peer (&peer);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_repair", setup, teardown, more_replicas_come_by_an_order_to_copy,
                   what_is_missing_comes_when_a_node_comes,
                   fewer_replicas_at_once_and_the_surplus_is_ordered_away_after_the_delay,
                   up_again_within_the_delay_takes_the_copy_back_that_is_still_there,
                   a_copy_that_is_lost_is_ordered_again)
