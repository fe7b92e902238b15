/* SPDX-License-Identifier: MIT */
/*
 * namenode/repair against a model: files come, change and go; data nodes come, go and forget; reports are
 * late; orders are carried out late, twice or never, and copies get lost.  No block is ever without its
 * last copy, and when all is quiet everybody has exactly what is wanted.
 */
#include "namenode_cluster.h"

#include <stdio.h>

enum { FILES = 24, ROUNDS = 3000 };

static struct {
    uint64_t inode; // 0: there is none
    uint32_t blocks;
    uint32_t replica;
} files[FILES];

static struct rng rng;

static uint32_t
below (uint32_t count)
{
    return (uint32_t) rng_below (&rng, count);
}

static uint32_t
any_node (void)
{
    return 1 + below (NODES);
}

static const char *
path_of (unsigned file)
{
    static char path[32];

    snprintf (path, sizeof path, "/f%u", file);
    return path;
}

/* ---- what happens -------------------------------------------------------------------------------- */

static void
make_file (void)
{
    uint32_t nodes[NODES], at = below (FILES), replica = 1 + below (4);
    size_t count = 0;

    if (files[at].inode != 0)
        return;
    uint32_t first = below (NODES);
    for (uint32_t i = 0; i < NODES && count < replica; i++)
        if (is_here (1 + (first + i) % NODES))
            nodes[count++] = 1 + (first + i) % NODES;
    if (count == 0)
        return;
    files[at].blocks = 1 + below (5);
    files[at].replica = replica;
    files[at].inode = write_file (path_of (at), replica, files[at].blocks, nodes, count,
                                  1 + below ((uint32_t) count));
}

static void
change_replica (void)
{
    uint32_t at = below (FILES);

    if (files[at].inode == 0)
        return;
    files[at].replica = 1 + below (4);
    set_replica (path_of (at), files[at].replica);
}

static void
delete_file (void)
{
    uint32_t at = below (FILES);

    if (files[at].inode == 0 || below (4) > 0)
        return;
    struct txn *txn = begin ();
    ck_ok (namespace_delete (txn, KIND_FILE, S (path_of (at)), E));
    commit (&txn);
    files[at].inode = 0;
}

static void
come_or_leave (void)
{
    uint32_t node = any_node ();
    struct disk *disk = &cluster.disks[node];

    if (!is_here (node)) {
        come (node);
        if (below (2) == 0) { // it was killed: what was not carried out is forgotten
            disk->orders_count = 0;
            disk->fetched = disk->done;
        }
        return;
    }
    unsigned others = 0;
    for (uint32_t other = 1; other <= NODES; other++)
        others += other != node && is_here (other);
    if (others > 0 && below (4) == 0)
        leave (node);
}

/* Whether a node is one of those that repair counts on. */
static bool
is_counted_on (struct txn *txn, const struct block_row *row, uint32_t node)
{
    struct held_row held;

    return block_row_has_node (row, node) && is_here (node) && has (node, row->block) &&
           held_row_get (txn, node, row->block, &held, E) == 0 &&
           held.state == HELD_CONFIRMED && held.order == HELD_KEPT;
}

/* The node finds its copy damaged, and sets it aside. */
static void
damage_block (uint32_t number, uint64_t block)
{
    struct disk *disk = &cluster.disks[number];

    for (size_t i = 0; i < disk->blocks_count; i++)
        if (disk->blocks[i].block == block) {
            ck_assert_uint_lt (disk->damaged_count, THINGS_MAX);
            disk->damaged[disk->damaged_count++] = disk->blocks[i];
            note_change (disk, CHANGE_DAMAGED, disk->blocks[i]);
            disk->blocks[i] = disk->blocks[--disk->blocks_count];
            return;
        }
}

/* A copy rots or is lost, of a block of which there is another good one. */
static void
rot (void)
{
    uint32_t at = below (FILES), node = any_node ();

    if (files[at].inode == 0 || below (3) > 0)
        return;
    struct block_row row = block_of (files[at].inode, below (files[at].blocks));
    struct txn *txn = begin_read ();
    bool other = false;
    for (uint32_t n = 1; n <= NODES; n++)
        other = other || (n != node && is_counted_on (txn, &row, n));
    txn_abort (&txn);
    if (other) {
        if (below (2) == 0 && has (node, row.block))
            damage_block (node, row.block);
        else
            lose_block (node, row.block);
        report (node, THINGS_MAX); // what is lost is known before a minute is over
    }
}

static void
something_happens (void)
{
    uint32_t node = any_node ();

    switch (below (14)) {
    case 0:
        make_file ();
        break;
    case 1:
        change_replica ();
        break;
    case 2:
        delete_file ();
        break;
    case 3:
        come_or_leave ();
        break;
    case 4:
        rot ();
        break;
    case 5:
    case 6:
        report (node, 1 + below (20));
        break;
    case 7:
        fetch (node);
        break;
    case 8:
    case 9:
        carry_out (node);
        break;
    case 10:
        confirm_orders (node);
        break;
    case 11: // an order that was not confirmed is carried out again
        cluster.disks[node].fetched = 0;
        cluster.disks[node].orders_count = 0;
        break;
    case 12:
        if (cluster.flights_count > 0)
            land (below ((uint32_t) cluster.flights_count), below (4) > 0);
        break;
    default:
        pass (below (5000));
        break;
    }
    if (below (500) == 0)
        new_repair (); // the name node was restarted
    if (below (3) == 0)
        collect_garbage ();
    if (below (3) == 0)
        repair_once (below (8) > 0);
}

/* ---- what holds ---------------------------------------------------------------------------------- */

static void
check_copies (void)
{
    for (unsigned at = 0; at < FILES; at++)
        for (uint32_t i = 0; files[at].inode != 0 && i < files[at].blocks; i++) {
            struct block_row row = block_of (files[at].inode, i);
            ck_assert_msg (copies_of (row.block) > 0, "block %d of %s has no copy left",
                           (int) i, path_of (at));
            for (size_t n = 0; n < row.nodes_count; n++)
                for (size_t other = 0; other < n; other++)
                    ck_assert_uint_ne (row.nodes[n], row.nodes[other]);
        }
}

/* Everybody is here and has exactly what is wanted. */
static void
check_rest (unsigned seed)
{
    size_t blocks = 0, copies = 0;

    for (unsigned at = 0; at < FILES; at++)
        for (uint32_t i = 0; files[at].inode != 0 && i < files[at].blocks; i++) {
            struct block_row row = block_of (files[at].inode, i);
            ck_assert_msg (row.nodes_count == files[at].replica,
                           "seed %u: block %u of %s has %zu of %u holders", seed, i,
                           path_of (at), row.nodes_count, files[at].replica);
            for (size_t n = 0; n < row.nodes_count; n++)
                ck_assert (has (row.nodes[n], row.block));
            blocks++;
            copies += row.nodes_count;
        }
    size_t there = 0;
    for (uint32_t node = 1; node <= NODES; node++) {
        there += cluster.disks[node].blocks_count;
        ck_assert_msg (cluster.disks[node].damaged_count == 0,
                       "seed %u: node %u keeps %zu damaged copies", seed, node,
                       cluster.disks[node].damaged_count);
    }
    ck_assert_msg (there == copies, "seed %u: %zu copies on disks, %zu wanted", seed, there,
                   copies);
    ck_assert_uint_eq (rows_of (TABLE_HELD), copies);
    ck_assert_uint_eq (rows_of (TABLE_BLOCK), blocks);
    ck_assert_uint_eq (rows_of (TABLE_DAMAGED), 0);
    ck_assert_uint_eq (rows_of (TABLE_REPAIR), 0);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 0);
    ck_assert_uint_eq (rows_of (TABLE_ORDER), 0);
}

static void
check_idle (void)
{
    uint64_t before = metastore_transaction (fixture.store);

    live_on (300000);
    ck_assert_uint_eq (metastore_transaction (fixture.store), before);
}

static void
live_through (unsigned seed)
{
    memset (files, 0, sizeof files);
    rng_seed (&rng, seed);
    for (unsigned round = 0; round < ROUNDS; round++) {
        something_happens ();
        check_copies ();
    }
    for (uint32_t node = 1; node <= NODES; node++)
        if (!is_here (node))
            come (node);
    live_on (600000);
    check_rest (seed);
    check_idle ();
}

/* Some seeds; LITEDFS_MODEL_SEEDS=FIRST,COUNT has others tried too. */
START_TEST (replicas_converge_and_no_last_copy_goes)
{
    live_through (1);
}
END_TEST

START_TEST (so_they_do_when_other_things_happen)
{
    live_through (2);
}
END_TEST

START_TEST (and_whatever_else_happens)
{
    unsigned first = 3, count = 1;
    const char *others = getenv ("LITEDFS_MODEL_SEEDS");

    if (others)
        sscanf (others, "%u,%u", &first, &count);
    for (unsigned seed = first; seed < first + count; seed++) {
        if (seed > first) {
            cluster_teardown ();
            cluster_setup ();
        }
        live_through (seed);
    }
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_repair_model", cluster_setup, cluster_teardown,
                   replicas_converge_and_no_last_copy_goes, so_they_do_when_other_things_happen,
                   and_whatever_else_happens)
