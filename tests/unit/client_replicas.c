/* SPDX-License-Identifier: MIT */
/*
 * client/replicas: who has a block, as replies say it.
 */
#include "client/replicas.h"

#include "unit.h"

#define SIZE 1000

static struct replicas replicas;

static void
setup (void)
{
    static const uint64_t chain[] = {2, 3};

    replicas_start (&replicas, 1, chain, 2);
}

static bool
take (uint64_t node, enum replica_state state, uint64_t offset)
{
    const struct wire_replica said = {.node = node, .state = state, .offset = offset};

    return replicas_take (&replicas, &said, 1);
}

START_TEST (at_first_nobody_has_anything)
{
    ck_assert_uint_eq (replicas.count, 3);
    for (uint32_t node = 1; node <= 3; node++) {
        const struct replica *replica = replicas_find (&replicas, node);
        ck_assert_ptr_nonnull (replica);
        ck_assert_uint_eq (replica->offset, 0);
        ck_assert (!replica_has_failed (replica));
    }
    ck_assert_ptr_null (replicas_find (&replicas, 4));
    ck_assert_uint_eq (replicas_durable (&replicas, 0, NULL), 0);
}
END_TEST

START_TEST (those_that_are_durable_with_all_bytes_are_named)
{
    uint64_t nodes[REPLICAS_MAX];

    take (1, REPLICA_DURABLE, SIZE);
    take (2, REPLICA_SYNCING, SIZE);
    take (3, REPLICA_DURABLE, SIZE);
    ck_assert_uint_eq (replicas_durable (&replicas, SIZE, nodes), 2);
    ck_assert_uint_eq (nodes[0], 1);
    ck_assert_uint_eq (nodes[1], 3);
    ck_assert_uint_eq (replicas_durable (&replicas, SIZE + 1, NULL), 0);
}
END_TEST

START_TEST (a_node_that_is_durable_stays_so)
{
    take (2, REPLICA_DURABLE, SIZE);
    ck_assert (!take (2, REPLICA_UNKNOWN, 0));
    ck_assert (!take (2, REPLICA_FAILED, 0));
    ck_assert_uint_eq (replicas_durable (&replicas, SIZE, NULL), 1);
}
END_TEST

START_TEST (a_node_that_has_failed_may_come_back)
{
    take (2, REPLICA_FAILED, 10);
    ck_assert (replica_has_failed (replicas_find (&replicas, 2)));
    take (3, REPLICA_RELAY, 10);
    ck_assert (replica_has_failed (replicas_find (&replicas, 3)));
    take (2, REPLICA_RECEIVING, 0);
    ck_assert (!replica_has_failed (replicas_find (&replicas, 2)));
}
END_TEST

START_TEST (nodes_that_are_not_of_the_block_change_nothing)
{
    struct replicas before = replicas;

    ck_assert (!take (9, REPLICA_DURABLE, SIZE));
    ck_assert (!take ((1ull << 32) + 1, REPLICA_DURABLE, SIZE));
    ck_assert_mem_eq (&before, &replicas, sizeof before);
}
END_TEST

START_TEST (progress_is_more_than_ever_before_and_cannot_go_on_for_ever)
{
    ck_assert (take (1, REPLICA_RECEIVING, 10));
    ck_assert (!take (1, REPLICA_RECEIVING, 10));
    ck_assert (take (1, REPLICA_RECEIVING, 20));
    ck_assert (take (1, REPLICA_SYNCING, 20));
    for (int i = 0; i < 10; i++) {
        ck_assert (!take (1, REPLICA_RECEIVING, 5));
        ck_assert (!take (1, REPLICA_SYNCING, 20));
    }
    ck_assert (take (1, REPLICA_DURABLE, 20));
}
END_TEST

START_TEST (no_more_than_64_nodes_are_kept)
{
    uint64_t chain[100];

    for (uint64_t i = 0; i < 100; i++)
        chain[i] = i + 2;
    replicas_start (&replicas, 1, chain, 100);
    ck_assert_uint_eq (replicas.count, REPLICAS_MAX);
    ck_assert_uint_eq (replicas.list[REPLICAS_MAX - 1].node, 64);
}
END_TEST

UNIT_MAIN_FIXTURE ("client_replicas", setup, NULL, at_first_nobody_has_anything,
                   those_that_are_durable_with_all_bytes_are_named,
                   a_node_that_is_durable_stays_so, a_node_that_has_failed_may_come_back,
                   nodes_that_are_not_of_the_block_change_nothing,
                   progress_is_more_than_ever_before_and_cannot_go_on_for_ever,
                   no_more_than_64_nodes_are_kept)
