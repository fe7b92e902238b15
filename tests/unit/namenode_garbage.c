/* SPDX-License-Identifier: MIT */
/*
 * namenode/garbage: what was deleted is freed in bounded slices, to the last row, and then ordered away.
 */
#include "namenode/garbage.h"

#include "namenode/blocks.h"
#include "namenode/held.h"

#include "namenode_store.h"

/* Without a view of the nodes nobody is offline. */
static const struct nodes_view *const nobody = &(const struct nodes_view){.count = 0};

/* Free everything, `max` rows a batch; how many batches. */
static unsigned
free_all (size_t max)
{
    unsigned batches = 0;
    size_t freed;
    bool any;

    do {
        struct txn *txn = begin ();
        uint64_t before = txn_written (txn);
        ck_ok (garbage_free_slice (txn, max, 60000, &freed, E));
        ck_assert_uint_le (freed, max);
        ck_assert_uint_le (txn_written (txn) - before, 6 * max + 4);
        ck_ok (garbage_any_doomed (txn, &any, E));
        ck_assert (freed == max || !any);
        commit (&txn);
        batches++;
    } while (freed == max);
    return batches;
}

static void
make (struct txn *txn, const char *path)
{
    bool created;

    ck_ok (namespace_make_directory (txn, S (path), true, &created, NULL, E));
}

/* A tree of directories, files and blocks below /top. */
static void
plant (struct txn *txn)
{
    char path[64];

    add_node (txn, 1);
    for (int i = 0; i < 12; i++) {
        snprintf (path, sizeof path, "/top/d%d/e", i);
        make (txn, path);
        for (int file = 0; file < 20; file++) {
            snprintf (path, sizeof path, "/top/d%d/e/f%d", i, file);
            add_file (txn, path, file % 4 == 0 ? 0 : 10);
        }
    }
    make (txn, "/kept");
    add_file (txn, "/kept/f", 10);
}

static void
check_freed (void)
{
    ck_assert_uint_eq (rows_of (TABLE_DOOMED), 0);
    ck_assert_uint_eq (rows_of (TABLE_INODE), 3);
    ck_assert_uint_eq (rows_of (TABLE_DIRENT), 2);
    ck_assert_uint_eq (rows_of (TABLE_BLOCK), 1);
    ck_assert_uint_eq (rows_of (TABLE_OWNER), 1);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 12 * 15);
}

static void
free_tree_in (size_t max)
{
    struct txn *txn = begin ();
    plant (txn);
    commit (&txn);
    txn = begin ();
    ck_ok (namespace_delete (txn, KIND_DIRECTORY, S ("/top"), E));
    commit (&txn);
    unsigned batches = free_all (max);
    ck_assert_uint_ge (batches, (12 * 2 + 12 * 20 + 12 * 15) / max);
    check_freed ();
}

START_TEST (a_tree_is_freed_one_row_at_a_time)
{
    free_tree_in (1);
}
END_TEST

START_TEST (a_tree_is_freed_in_slices)
{
    free_tree_in (7);
}
END_TEST

START_TEST (a_tree_is_freed_in_one_slice)
{
    free_tree_in (100000);
}
END_TEST

START_TEST (the_blocks_of_a_large_file_are_freed_in_slices)
{
    struct block_row row = {
        .state = BLOCK_FINISHED, .size = 10, .nodes = {1}, .nodes_count = 1};
    struct txn *txn = begin ();

    add_node (txn, 1);
    row.inode = add_file (txn, "/f", 0);
    for (row.index = 0; row.index < 1000; row.index++) {
        ck_ok (meta_next_block (txn, &row.block, E));
        struct owner_row owner = {.block = row.block, .inode = row.inode, .index = row.index};
        ck_ok (block_row_put (txn, &row, E));
        ck_ok (owner_row_put (txn, &owner, E));
    }
    ck_ok (namespace_delete (txn, KIND_FILE, S ("/f"), E));
    commit (&txn);
    ck_assert_uint_ge (free_all (64), 1000 / 64);
    ck_assert_uint_eq (rows_of (TABLE_BLOCK) + rows_of (TABLE_OWNER) + rows_of (TABLE_DOOMED),
                       0);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 1000);
}
END_TEST

START_TEST (totals_stay_right_while_a_tree_is_freed)
{
    struct inode_row root;
    struct txn *txn = begin ();
    plant (txn);
    ck_ok (namespace_delete (txn, KIND_DIRECTORY, S ("/top/d3"), E));
    ck_ok (namespace_delete (txn, KIND_DIRECTORY, S ("/top"), E));
    size_t freed;
    ck_ok (garbage_free_slice (txn, 50, 0, &freed, E));
    add_file (txn, "/kept/g", 5);
    commit (&txn);
    free_all (100);
    txn = begin_read ();
    ck_ok (inode_row_get (txn, ROOT_INODE, &root, E));
    ck_assert_uint_eq (root.directories, 1);
    ck_assert_uint_eq (root.files, 2);
    ck_assert_uint_eq (root.bytes, 15);
    txn_abort (&txn);
}
END_TEST

/* ---- orders -------------------------------------------------------------------------------------- */

static void
add_garbage (struct txn *txn, uint32_t node, uint64_t due, uint64_t block)
{
    struct garbage_row row = {node, due, block};

    ck_ok (garbage_row_put (txn, &row, E));
}

/* The blocks of a node's orders after a number, as text. */
static const char *
orders (struct txn *txn, uint32_t node, uint64_t after)
{
    static char text[256];
    struct order_row rows[16];
    size_t count;

    text[0] = '\0';
    ck_ok (orders_after (txn, node, after, rows, 16, &count, E));
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq (rows[i].node, node);
        snprintf (text + strlen (text), 32, "%d:%d ", (int) rows[i].number,
                  (int) rows[i].block);
    }
    return text;
}

START_TEST (garbage_becomes_numbered_orders_when_it_is_due)
{
    uint32_t touched[4];
    size_t touched_count;
    size_t ordered;
    uint64_t next;
    struct txn *txn = begin ();

    for (uint32_t node = 1; node <= 3; node++)
        add_node (txn, node);
    add_garbage (txn, 1, 100, 11);
    add_garbage (txn, 1, 200, 12);
    add_garbage (txn, 3, 100, 31);
    add_garbage (txn, 3, 50, 32);
    add_garbage (txn, 9, 10, 91); // a node that is not there any more
    ck_ok (garbage_next_due (txn, nobody, &next, E));
    ck_assert_uint_eq (next, 10);
    ck_ok (garbage_due (txn, nobody, 0, 100, 100, &ordered, touched, 4, &touched_count, E));
    ck_assert_uint_eq (ordered, 4);
    ck_assert_uint_eq (touched_count, 2);
    ck_assert_uint_eq (touched[0], 1);
    ck_assert_uint_eq (touched[1], 3);
    ck_assert_str_eq (orders (txn, 1, 0), "1:11 ");
    ck_assert_str_eq (orders (txn, 3, 0), "1:32 2:31 ");
    ck_assert_str_eq (orders (txn, 2, 0), "");
    ck_ok (garbage_next_due (txn, nobody, &next, E));
    ck_assert_uint_eq (next, 200);
    ck_ok (garbage_due (txn, nobody, 1, UINT64_MAX, 100, &ordered, NULL, 0, NULL, E));
    ck_assert_uint_eq (ordered, 1);
    ck_assert_str_eq (orders (txn, 1, 1), "2:12 ");
    ck_ok (garbage_next_due (txn, nobody, &next, E));
    ck_assert_uint_eq (next, UINT64_MAX);
    ck_ok (garbage_due (txn, nobody, 0, UINT64_MAX, 100, &ordered, NULL, 0, NULL, E));
    ck_assert_uint_eq (ordered, 0);
    txn_abort (&txn);
}
END_TEST

START_TEST (garbage_of_a_clock_that_was_ahead_does_not_wait_for_it)
{
    uint64_t now = (uint64_t) fixture.frame.wall_ms, next;
    size_t moved;
    struct txn *txn = begin ();

    for (uint32_t node = 1; node <= 3; node++)
        add_node (txn, node);
    add_garbage (txn, 1, now - 1, 11);
    add_garbage (txn, 1, now + 1000, 12);
    add_garbage (txn, 2, now + 1000 * 86400000ull, 21);
    add_garbage (txn, 2, now + 1001, 22);
    add_garbage (txn, 3, UINT64_MAX, 31);
    ck_ok (garbage_pull_in (txn, 1000, 2, &moved, E));
    ck_assert_uint_eq (moved, 2);
    ck_ok (garbage_pull_in (txn, 1000, 2, &moved, E));
    ck_assert_uint_eq (moved, 1);
    ck_ok (garbage_pull_in (txn, 1000, 2, &moved, E));
    ck_assert_uint_eq (moved, 0);
    ck_ok (garbage_next_due (txn, nobody, &next, E));
    ck_assert_uint_eq (next, now - 1);
    ck_ok (garbage_due (txn, nobody, 0, now + 999, 100, &moved, NULL, 0, NULL, E));
    ck_assert_uint_eq (moved, 1);
    ck_ok (garbage_due (txn, nobody, 0, now + 1000, 100, &moved, NULL, 0, NULL, E));
    ck_assert_uint_eq (moved, 4);
    ck_assert_str_eq (orders (txn, 1, 0), "1:11 2:12 ");
    ck_assert_str_eq (orders (txn, 2, 0), "1:21 2:22 ");
    ck_assert_str_eq (orders (txn, 3, 0), "1:31 ");
    txn_abort (&txn);
}
END_TEST

START_TEST (only_so_many_are_ordered_a_call)
{
    size_t ordered;
    struct txn *txn = begin ();

    add_node (txn, 1);
    add_node (txn, 2);
    for (uint64_t block = 0; block < 10; block++)
        add_garbage (txn, 1 + (uint32_t) block % 2, 1, block + 1);
    for (size_t left = 10; left > 0; left -= ordered) {
        ck_ok (garbage_due (txn, nobody, 0, 1, 3, &ordered, NULL, 0, NULL, E));
        ck_assert_uint_ge (ordered, 1);
        ck_assert_uint_le (ordered, 3);
    }
    ck_assert_str_eq (orders (txn, 1, 0), "1:1 2:3 3:5 4:7 5:9 ");
    ck_assert_str_eq (orders (txn, 2, 3), "4:8 5:10 ");
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 0);
}
END_TEST

START_TEST (confirmed_orders_go_and_the_numbers_go_on)
{
    struct held_row held;
    size_t confirmed;
    struct txn *txn = begin ();

    add_node (txn, 1);
    add_node (txn, 2);
    for (uint64_t block = 1; block <= 5; block++)
        ck_ok (orders_add (txn, 1, ORDER_DELETE, block, 0, NULL, E));
    ck_ok (orders_add (txn, 2, ORDER_DELETE, 1, 0, NULL, E));
    ck_ok (held_claim (txn, 1, 2, 10, E));
    ck_ok (held_claim (txn, 1, 4, 10, E));
    ck_ok (orders_confirm (txn, 1, 3, 2, &confirmed, E));
    ck_assert_uint_eq (confirmed, 2);
    ck_ok (orders_confirm (txn, 1, 3, 100, &confirmed, E));
    ck_assert_uint_eq (confirmed, 1);
    ck_ok (orders_confirm (txn, 1, 3, 100, &confirmed, E));
    ck_assert_uint_eq (confirmed, 0);
    ck_assert_str_eq (orders (txn, 1, 0), "4:4 5:5 ");
    ck_assert_str_eq (orders (txn, 1, UINT64_MAX), "");
    ck_assert_str_eq (orders (txn, 2, 0), "1:1 ");
    ck_fails (LITEDFS_NOT_FOUND, held_row_get (txn, 1, 2, &held, E));
    ck_ok (held_row_get (txn, 1, 4, &held, E));
    ck_ok (orders_confirm (txn, 1, UINT64_MAX, 100, &confirmed, E));
    ck_ok (orders_add (txn, 1, ORDER_DELETE, 6, 0, NULL, E));
    ck_assert_str_eq (orders (txn, 1, 0), "6:6 ");
    ck_fails (LITEDFS_NOT_FOUND, orders_add (txn, 3, ORDER_DELETE, 6, 0, NULL, E));
    txn_abort (&txn);
}
END_TEST

START_TEST (a_confirmed_holding_stays_until_the_node_reports_it_removed)
{
    struct wire_change added = {1, CHANGE_ADDED, 1, 10, 5};
    struct wire_change removed = {2, CHANGE_REMOVED, 1, 10, 5};
    struct held_report report;
    struct held_row held;
    size_t confirmed;
    struct txn *txn = begin ();

    add_node (txn, 1);
    ck_ok (held_apply (txn, 1, &added, 1, &report, E));
    ck_ok (orders_add (txn, 1, ORDER_DELETE, 1, 0, NULL, E));
    ck_ok (orders_confirm (txn, 1, 100, 100, &confirmed, E));
    ck_ok (held_row_get (txn, 1, 1, &held, E));
    ck_ok (held_apply (txn, 1, &removed, 1, &report, E));
    ck_fails (LITEDFS_NOT_FOUND, held_row_get (txn, 1, 1, &held, E));
    txn_abort (&txn);
}
END_TEST

/* ---- garbage of blocks that somebody owns ---------------------------------------------------------- */

/* A block of a visible file that wants one copy, on node 1; nodes 1 to 3 have it confirmed. */
static uint64_t
own_block (struct txn *txn)
{
    struct block_row row;
    uint64_t inode = add_file (txn, "/f", 10);

    ck_ok (block_row_get (txn, inode, 0, &row, E));
    for (uint32_t node = 1; node <= 3; node++) {
        struct held_row held = {
            .node = node, .block = row.block, .state = HELD_CONFIRMED, .seq = 1, .size = 10};
        add_node (txn, node);
        ck_ok (held_row_put (txn, &held, E));
    }
    return row.block;
}

/* Nodes 1 to 3, online ('+') or not ('-'). */
static const struct nodes_view *
view_of (const char *states)
{
    static union {
        struct nodes_view view;
        char room[sizeof (struct nodes_view) + 3 * sizeof (struct node)];
    } out;

    memset (&out, 0, sizeof out);
    out.view.count = 3;
    for (size_t i = 0; i < 3; i++) {
        out.view.nodes[i].number = (uint32_t) i + 1;
        out.view.nodes[i].online = states[i] == '+';
    }
    return &out.view;
}

static size_t
dispose_of (struct txn *txn, const char *states)
{
    size_t done;

    ck_ok (garbage_due (txn, view_of (states), 0, 100, 100, &done, NULL, 0, NULL, E));
    return done;
}

START_TEST (garbage_is_ordered_away_only_while_enough_holders_are_online_and_have_confirmed)
{
    struct block_row row;
    struct txn *txn = begin ();
    uint64_t block = own_block (txn);

    add_garbage (txn, 2, 1, block);
    add_garbage (txn, 3, 1, block);
    ck_assert_uint_eq (dispose_of (txn, "++-"), 1); // of node 3 it waits
    ck_assert_uint_eq (dispose_of (txn, "++-"), 0);
    ck_assert_str_eq (orders (txn, 2, 0), "1:1 ");
    ck_assert_uint_eq (dispose_of (txn, "-++"), 1); // node 1 is away: 3 is a holder again
    ck_assert_str_eq (orders (txn, 3, 0), "");
    ck_ok (held_find_block (txn, block, &row, E));
    ck_assert_uint_eq (row.nodes_count, 2);
    ck_assert_uint_eq (row.nodes[1], 3);
    txn_abort (&txn);
}
END_TEST

START_TEST (orders_to_delete_what_somebody_owns_are_taken_back_and_decided_on_anew)
{
    struct held_row held;
    uint64_t after = 0;
    size_t revoked;
    struct txn *txn = begin ();
    uint64_t block = own_block (txn);

    add_garbage (txn, 3, 1, block);
    add_garbage (txn, 3, 2, 999); // of nobody
    ck_assert_uint_eq (dispose_of (txn, "+++"), 2);
    ck_ok (orders_add (txn, 3, ORDER_COPY, block, 1, NULL, E));
    ck_ok (held_row_get (txn, 3, block, &held, E));
    ck_assert_int_eq (held.order, HELD_ORDERED);
    for (int calls = 0; after != UINT64_MAX; calls++) {
        ck_assert_int_lt (calls, 5);
        ck_ok (orders_revoke (txn, 3, &after, 1, &revoked, E));
        ck_assert_uint_eq (revoked, calls == 0);
    }
    ck_assert_str_eq (orders (txn, 3, 0), "2:999 3:1 ");
    ck_ok (held_row_get (txn, 3, block, &held, E));
    ck_assert_int_eq (held.order, HELD_KEPT);
    // The holder has died meanwhile, and node 3 is back: it is a holder now.
    struct block_row row;
    size_t done;
    ck_ok (garbage_due (txn, view_of ("--+"), 0, (uint64_t) fixture.frame.wall_ms, 100, &done,
                        NULL, 0, NULL, E));
    ck_assert_uint_eq (done, 1);
    ck_ok (held_find_block (txn, block, &row, E));
    ck_assert (block_row_has_node (&row, 3));
    txn_abort (&txn);
}
END_TEST

START_TEST (garbage_of_a_holder_is_dropped_and_of_who_was_told_already)
{
    struct txn *txn = begin ();
    uint64_t block = own_block (txn);

    add_garbage (txn, 1, 1, block);
    add_garbage (txn, 2, 1, block);
    add_garbage (txn, 2, 2, block);
    ck_assert_uint_eq (dispose_of (txn, "+++"), 3);
    ck_assert_str_eq (orders (txn, 1, 0), "");
    ck_assert_str_eq (orders (txn, 2, 0), "1:1 ");
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_GARBAGE), 0);
}
END_TEST

START_TEST (what_was_left_of_a_failed_write_is_ordered_away)
{
    struct txn *txn = begin ();
    uint64_t block = own_block (txn), next;

    ck_ok (held_row_del (txn, 3, block, E));
    add_garbage (txn, 3, 1, block);
    ck_ok (garbage_next_due (txn, view_of ("++-"), &next, E));
    ck_assert_uint_eq (next, UINT64_MAX);
    ck_ok (garbage_next_due (txn, view_of ("--+"), &next, E));
    ck_assert_uint_eq (next, 1);
    ck_assert_uint_eq (dispose_of (txn, "+++"), 1);
    ck_assert_str_eq (orders (txn, 3, 0), "1:1 ");
    txn_abort (&txn);
}
END_TEST

START_TEST (what_was_left_of_a_failed_write_is_left_alone_where_a_copy_may_be_on_its_way)
{
    struct txn *txn = begin ();
    uint64_t block = own_block (txn);

    ck_ok (held_row_del (txn, 3, block, E));
    add_garbage (txn, 3, 1, block);
    ck_assert_uint_eq (dispose_of (txn, "-++"), 1);
    ck_assert_str_eq (orders (txn, 3, 0), "");
    txn_abort (&txn);
}
END_TEST

START_TEST (a_damaged_copy_is_ordered_away_only_while_there_are_enough_good_ones)
{
    struct damaged_row damaged = {.node = 3, .size = 10};
    struct txn *txn = begin ();

    damaged.block = own_block (txn);
    ck_ok (held_row_del (txn, 3, damaged.block, E));
    ck_ok (damaged_row_put (txn, &damaged, E));
    add_garbage (txn, 3, 1, damaged.block);
    ck_assert_uint_eq (dispose_of (txn, "-++"), 1);
    ck_assert_str_eq (orders (txn, 3, 0), "");
    struct held_row claimed = {.node = 1, .block = damaged.block, .size = 10};
    ck_ok (held_row_put (txn, &claimed, E));
    add_garbage (txn, 3, 1, damaged.block);
    ck_assert_uint_eq (dispose_of (txn, "+++"), 1);
    ck_assert_str_eq (orders (txn, 3, 0), ""); // a client's word is not enough
    claimed.state = HELD_CONFIRMED;
    ck_ok (held_row_put (txn, &claimed, E));
    add_garbage (txn, 3, 1, damaged.block);
    ck_assert_uint_eq (dispose_of (txn, "+++"), 1);
    ck_assert_str_eq (orders (txn, 3, 0), "1:1 ");
    txn_abort (&txn);
}
END_TEST

START_TEST (damaged_copies_are_garbage_when_their_file_goes)
{
    struct damaged_row damaged = {.node = 3, .size = 10};
    struct block_row row;
    struct txn *txn = begin ();

    damaged.block = own_block (txn);
    ck_ok (held_row_del (txn, 3, damaged.block, E));
    ck_ok (damaged_row_put (txn, &damaged, E));
    ck_ok (held_find_block (txn, damaged.block, &row, E));
    ck_ok (blocks_free (txn, &row, 1, E));
    ck_assert_uint_eq (dispose_of (txn, "+++"), 2);
    ck_assert_str_eq (orders (txn, 1, 0), "1:1 ");
    ck_assert_str_eq (orders (txn, 3, 0), "1:1 ");
    txn_abort (&txn);
}
END_TEST

START_TEST (a_copy_that_was_begun_is_confirmed_and_its_source_keeps_the_block)
{
    struct held_row held;
    size_t confirmed;
    uint64_t number;
    struct txn *txn = begin ();

    add_node (txn, 1);
    ck_ok (held_claim (txn, 1, 5, 10, E));
    ck_ok (orders_add (txn, 1, ORDER_COPY, 5, 2, &number, E));
    ck_assert_uint_eq (number, 1);
    ck_ok (orders_confirm (txn, 1, 1, 10, &confirmed, E));
    ck_assert_uint_eq (confirmed, 1);
    ck_ok (held_row_get (txn, 1, 5, &held, E));
    txn_abort (&txn);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "namenode_garbage", store_setup, store_teardown, a_tree_is_freed_one_row_at_a_time,
    a_tree_is_freed_in_slices, a_tree_is_freed_in_one_slice,
    the_blocks_of_a_large_file_are_freed_in_slices, totals_stay_right_while_a_tree_is_freed,
    garbage_becomes_numbered_orders_when_it_is_due,
    garbage_of_a_clock_that_was_ahead_does_not_wait_for_it, only_so_many_are_ordered_a_call,
    confirmed_orders_go_and_the_numbers_go_on,
    a_confirmed_holding_stays_until_the_node_reports_it_removed,
    garbage_is_ordered_away_only_while_enough_holders_are_online_and_have_confirmed,
    orders_to_delete_what_somebody_owns_are_taken_back_and_decided_on_anew,
    garbage_of_a_holder_is_dropped_and_of_who_was_told_already,
    a_damaged_copy_is_ordered_away_only_while_there_are_enough_good_ones,
    damaged_copies_are_garbage_when_their_file_goes,
    what_was_left_of_a_failed_write_is_ordered_away,
    what_was_left_of_a_failed_write_is_left_alone_where_a_copy_may_be_on_its_way,
    a_copy_that_was_begun_is_confirmed_and_its_source_keeps_the_block)
