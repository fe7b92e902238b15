/* SPDX-License-Identifier: MIT */
/*
 * namenode/repair, what comes first: blocks of which one copy is left, then those that lack most, then
 * moves; and no more at a time than is allowed.
 */
#include "namenode_cluster.h"

#include <stdio.h>

enum { FILES = 20, LASTS = 90, ROUNDS = 600 };

/* What a file lacks when nodes 3 and 4 are gone. */
enum kind_of { LAST, FEW, SHORT, KINDS };

static uint64_t first_inode[KINDS], last_inode[KINDS];

static void
make_files (enum kind_of kind, int count, uint32_t replica, const uint32_t *nodes)
{
    char path[32];

    for (int i = 0; i < count; i++) {
        snprintf (path, sizeof path, "/%d-%d", kind, i);
        uint64_t inode = settled_file (path, replica, nodes, replica);
        if (i == 0)
            first_inode[kind] = inode;
        last_inode[kind] = inode;
    }
}

/* The least urgent ones first. */
static void
make_all_files (void)
{
    static const uint32_t short_of[] = {1, 2, 3}, few[] = {1, 2, 3, 4}, last[] = {1, 3};

    make_files (SHORT, FILES, 3, short_of);
    make_files (FEW, FILES, 4, few);
    make_files (LAST, LASTS, 2, last);
}

static enum kind_of
kind_of_inode (uint64_t inode)
{
    for (int kind = 0; kind < KINDS; kind++)
        if (inode >= first_inode[kind] && inode <= last_inode[kind])
            return (enum kind_of) kind;
    ck_abort_msg ("inode %llu is no file of the test", (unsigned long long) inode);
    return KINDS;
}

static uint64_t
inode_of_block (uint64_t block)
{
    struct owner_row owner;
    struct txn *txn = begin_read ();

    ck_ok (owner_row_get (txn, block, &owner, E));
    txn_abort (&txn);
    return owner.inode;
}

/* Files whose first copy was ordered. */
static size_t begun[KINDS];
static bool seen[THINGS_MAX];

/* Look at the new orders of a node. */
static void
look_at_orders (uint32_t node)
{
    struct order_row orders[16];
    size_t count = orders_of (node, orders);

    ck_assert_uint_le (count, cluster.streams);
    for (size_t i = 0; i < count; i++) {
        uint64_t inode = inode_of_block (orders[i].block);
        enum kind_of kind = kind_of_inode (inode);
        // Only node 1 has blocks of which one copy is left: it does nothing else until they are safe.
        if (node == 1 && kind != LAST)
            ck_assert_uint_eq (begun[LAST], LASTS);
        if (!seen[inode])
            begun[kind]++;
        seen[inode] = true;
    }
    if (begun[SHORT] >
        FILES / 2) // what lacks two may wait for a node of which it has no copy yet
        ck_assert_uint_eq (begun[FEW], FILES);
}

START_TEST (the_most_endangered_blocks_are_copied_first)
{
    memset (begun, 0, sizeof begun);
    memset (seen, 0, sizeof seen);
    make_all_files ();
    cluster.streams = 1;
    leave (3);
    leave (4);
    // After GONE_MS the others lack copies too; by then two thirds of the last copies are safe.
    for (int round = 0; round < ROUNDS; round++) {
        keep_house ();
        look_at_orders (1);
        look_at_orders (2);
        work_all ();
        pass (1000);
    }
    ck_assert_uint_eq (begun[SHORT], FILES);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
}
END_TEST

START_TEST (what_becomes_urgent_meanwhile_overtakes)
{
    static const uint32_t three[] = {1, 2, 3}, two[] = {1, 5};
    struct order_row orders[16];

    make_files (SHORT, FILES, 3, three);
    make_files (LAST, 1, 2, two);
    cluster.streams = 1;
    leave (3);
    for (int round = 0; round < GONE_MS / 1000 + 3; round++) {
        keep_house ();
        work_all ();
        pass (1000);
    }
    ck_assert_uint_gt (rows_of (TABLE_REPAIR), 0);
    leave (5);
    keep_house ();
    pass (100); // the walk finds it
    keep_house ();
    ck_assert_uint_eq (orders_of (1, orders), 1);
    ck_assert_int_eq (kind_of_inode (inode_of_block (orders[0].block)), LAST);
}
END_TEST

START_TEST (a_bandwidth_is_kept)
{
    static const uint32_t one[] = {1};
    char path[32];
    size_t done = 0;

    for (int i = 0; i < 100; i++) {
        snprintf (path, sizeof path, "/%d", i);
        settled_file (path, 1, one, 1);
    }
    cluster.bandwidth = 2 * BLOCK; // a second
    for (int i = 0; i < 100; i++) {
        snprintf (path, sizeof path, "/%d", i);
        set_replica (path, 2);
    }
    for (int second = 0; second < 40; second++) {
        keep_house ();
        work_all ();
        pass (1000);
    }
    for (uint32_t node = 2; node <= NODES; node++)
        done += cluster.disks[node].blocks_count;
    ck_assert_uint_ge (done, 76);
    ck_assert_uint_le (done, 84);
    live_on (30000);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_repair_order", cluster_setup, cluster_teardown,
                   the_most_endangered_blocks_are_copied_first,
                   what_becomes_urgent_meanwhile_overtakes, a_bandwidth_is_kept)
