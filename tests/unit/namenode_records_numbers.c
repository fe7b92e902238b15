/* SPDX-License-Identifier: MIT */
/*
 * namenode/records: numbers that are drawn, and those that follow from others.
 */
#include "namenode_store.h"

START_TEST (numbers_are_drawn_in_a_row_and_survive)
{
    uint64_t number;
    struct txn *txn = begin ();

    ck_ok (meta_get (txn, META_NODE, &number, E));
    ck_assert_uint_eq (number, 0);
    ck_ok (meta_next (txn, META_NODE, &number, E));
    ck_assert_uint_eq (number, 1);
    commit (&txn);
    txn = begin ();
    ck_ok (meta_next (txn, META_NODE, &number, E));
    ck_assert_uint_eq (number, 2);
    ck_ok (meta_put (txn, META_NODE, UINT32_MAX, E));
    ck_fails (LITEDFS_NO_SPACE, meta_next (txn, META_NODE, &number, E));
    txn_abort (&txn);
}
END_TEST

START_TEST (a_new_epoch_begins_its_blocks_anew)
{
    uint64_t block;
    struct txn *txn = begin ();

    ck_ok (meta_next_block (txn, &block, E));
    ck_assert_uint_eq (block, 1);
    ck_ok (meta_next_block (txn, &block, E));
    ck_assert_uint_eq (block, 2);
    ck_ok (meta_set_epoch (txn, 5, E));
    ck_ok (meta_next_block (txn, &block, E));
    ck_assert_uint_eq (block, block_id (5, 1));
    ck_fails (LITEDFS_INVALID, meta_set_epoch (txn, 5, E));
    ck_fails (LITEDFS_INVALID, meta_set_epoch (txn, BLOCK_EPOCH_MAX + 1, E));
    ck_ok (meta_put (txn, META_BLOCK, BLOCK_COUNTER_MAX, E));
    ck_fails (LITEDFS_NO_SPACE, meta_next_block (txn, &block, E));
    txn_abort (&txn);
}
END_TEST

START_TEST (the_cluster_has_an_id)
{
    struct uuid id = {{1, 2, 3, 4}};
    struct uuid found;
    struct txn *txn = begin ();

    ck_fails (LITEDFS_NOT_FOUND, meta_get_cluster (txn, &found, E));
    ck_ok (meta_put_cluster (txn, &id, E));
    ck_ok (meta_get_cluster (txn, &found, E));
    ck_assert (uuid_equal (&id, &found));
    ck_ok (txn_put (txn, TABLE_META, S ("cluster"), S ("\1too short"), E));
    ck_fails (LITEDFS_CORRUPT, meta_get_cluster (txn, &found, E));
    txn_abort (&txn);
}
END_TEST

START_TEST (the_hash_of_a_block_is_as_documented)
{
    ck_assert_uint_eq (block_id_hash (0), UINT64_C (0xe220a8397b1dcdaf));
    ck_assert_uint_eq (block_id_bucket (0), 0xe220a8397b1dcdaf >> 54);
    for (uint64_t block = 0; block < 5000; block++)
        ck_assert_uint_lt (block_id_bucket (block), BLOCK_ID_BUCKETS);
}
END_TEST

START_TEST (files_have_as_many_blocks_as_they_need)
{
    ck_assert_uint_eq (block_count_of (0, 10), 0);
    ck_assert_uint_eq (block_count_of (1, 10), 1);
    ck_assert_uint_eq (block_count_of (10, 10), 1);
    ck_assert_uint_eq (block_count_of (11, 10), 2);
    ck_assert_uint_eq (block_count_of (UINT64_MAX, 1), UINT64_MAX);
    ck_assert_uint_eq (block_count_of (UINT64_MAX, UINT64_MAX), 1);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_records_numbers", store_setup, store_teardown,
                   numbers_are_drawn_in_a_row_and_survive, a_new_epoch_begins_its_blocks_anew,
                   the_cluster_has_an_id, the_hash_of_a_block_is_as_documented,
                   files_have_as_many_blocks_as_they_need)
