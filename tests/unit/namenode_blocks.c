/* SPDX-License-Identifier: MIT */
/*
 * namenode/blocks: rows, owners and reserved bytes change together.
 */
#include "namenode/blocks.h"

#include "namenode_store.h"

static uint64_t
reserved (struct txn *txn, uint32_t node)
{
    struct node_row row;

    ck_ok (node_row_get (txn, node, &row, E));
    return row.reserved;
}

static struct block_row
block_on (uint64_t block, uint32_t index, size_t nodes)
{
    struct block_row row = {.inode = 50, .index = index, .block = block, .size = 100};

    row.nodes_count = nodes;
    for (uint32_t i = 0; i < nodes; i++)
        row.nodes[i] = i + 1;
    return row;
}

START_TEST (what_is_allocated_is_reserved_until_it_is_finished)
{
    static const uint32_t holders[] = {3, 1};
    struct block_row row = block_on (7, 0, 3);
    struct block_row found;
    struct owner_row owner;
    struct held_row held;
    struct txn *txn = begin ();

    for (uint32_t node = 1; node <= 3; node++)
        add_node (txn, node);
    ck_ok (blocks_allocate (txn, &row, E));
    ck_assert_uint_eq (reserved (txn, 1), 100);
    ck_assert_uint_eq (reserved (txn, 3), 100);
    ck_ok (owner_row_get (txn, 7, &owner, E));
    ck_assert_uint_eq (owner.inode, 50);
    ck_ok (blocks_finish (txn, &row, 60, 0xabc, holders, 2, 999, E));
    ck_ok (block_row_get (txn, 50, 0, &found, E));
    ck_assert_int_eq (found.state, BLOCK_FINISHED);
    ck_assert_uint_eq (found.size, 60);
    ck_assert_uint_eq (found.crc, 0xabc);
    ck_assert_uint_eq (found.nodes_count, 2);
    ck_assert_uint_eq (found.nodes[0], 3);
    for (uint32_t node = 1; node <= 3; node++)
        ck_assert_uint_eq (reserved (txn, node), 0);
    ck_ok (held_row_get (txn, 1, 7, &held, E));
    ck_assert_int_eq (held.state, HELD_CLAIMED);
    ck_fails (LITEDFS_NOT_FOUND, held_row_get (txn, 2, 7, &held, E));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 1); // what node 2 may have of it
}
END_TEST

START_TEST (what_is_freed_becomes_garbage_on_each_of_its_nodes)
{
    struct block_row row = block_on (7, 0, 2);
    struct txn *txn = begin ();

    add_node (txn, 1); // and none with number 2: it may be gone
    ck_ok (blocks_allocate (txn, &row, E));
    ck_ok (blocks_free (txn, &row, 1234, E));
    ck_assert_uint_eq (reserved (txn, 1), 0);
    struct garbage_row garbage = {.node = 2, .due = 1234, .block = 7};
    ck_ok (garbage_row_del (txn, &garbage, E));
    ck_fails (LITEDFS_CORRUPT, blocks_free (txn, &row, 1234, E));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 1);
    ck_assert_uint_eq (rows_of (TABLE_BLOCK) + rows_of (TABLE_OWNER), 0);
}
END_TEST

START_TEST (freeing_a_finished_block_leaves_what_others_reserve)
{
    static const uint32_t holders[] = {1};
    struct block_row row = block_on (7, 0, 1);
    struct block_row other = block_on (8, 1, 1);
    struct txn *txn = begin ();

    add_node (txn, 1);
    ck_ok (blocks_allocate (txn, &row, E));
    ck_ok (blocks_allocate (txn, &other, E));
    ck_ok (blocks_finish (txn, &row, 60, 1, holders, 1, 0, E));
    ck_ok (blocks_free (txn, &row, 0, E));
    ck_assert_uint_eq (reserved (txn, 1), 100);
    txn_abort (&txn);
}
END_TEST

static bool
not_two (void *arg, uint32_t node)
{
    (void) arg;
    return node != 2;
}

START_TEST (the_worst_block_says_how_many_copies_a_file_has)
{
    struct inode_row file = {.number = 50, .kind = KIND_FILE, .size = 300, .replica = 3};
    uint32_t copies;
    struct txn *txn = begin ();

    ck_ok (blocks_current_replica (txn, &file, NULL, NULL, &copies, E));
    ck_assert_uint_eq (copies, 0);
    for (uint32_t i = 0; i < 3; i++) {
        struct block_row row = block_on (i + 1, i, 2 + i);
        row.state = BLOCK_FINISHED;
        ck_ok (block_row_put (txn, &row, E));
    }
    ck_ok (blocks_current_replica (txn, &file, NULL, NULL, &copies, E));
    ck_assert_uint_eq (copies, 2);
    ck_ok (blocks_current_replica (txn, &file, not_two, NULL, &copies, E));
    ck_assert_uint_eq (copies, 1);
    file.number = 51;
    file.size = 0;
    ck_ok (blocks_current_replica (txn, &file, not_two, NULL, &copies, E));
    ck_assert_uint_eq (copies, 3);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_walk_begins_where_it_is_told_and_stays_in_its_file)
{
    struct blocks_walk walk;
    struct block_row row;
    struct txn *txn = begin ();

    for (uint32_t i = 0; i < 300; i++) {
        struct block_row put = block_on (i + 1, i, 1);
        ck_ok (block_row_put (txn, &put, E));
        put.inode = 51;
        ck_ok (block_row_put (txn, &put, E));
    }
    ck_ok (blocks_open (&walk, txn, 50, 250, E));
    for (uint32_t i = 250; i < 300; i++) {
        ck_ok (blocks_next (&walk, &row, E));
        ck_assert_uint_eq (row.index, i);
        ck_assert_uint_eq (row.inode, 50);
    }
    ck_fails (LITEDFS_NOT_FOUND, blocks_next (&walk, &row, E));
    blocks_close (&walk);
    txn_abort (&txn);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_blocks", store_setup, store_teardown,
                   what_is_allocated_is_reserved_until_it_is_finished,
                   what_is_freed_becomes_garbage_on_each_of_its_nodes,
                   freeing_a_finished_block_leaves_what_others_reserve,
                   the_worst_block_says_how_many_copies_a_file_has,
                   a_walk_begins_where_it_is_told_and_stays_in_its_file)
