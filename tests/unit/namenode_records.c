/* SPDX-License-Identifier: MIT */
/*
 * namenode/records, records_lease and records_node: every row survives the store unchanged, and no row
 * that was cut, lengthened or made of noise is taken for one.
 */
#include "namenode/records.h"

#include "namenode_store.h"

/* ---- one row of each table ----------------------------------------------------------------------- */

static struct inode_row
some_file (void)
{
    struct inode_row row = {.number = 77,
                            .kind = KIND_FILE,
                            .parent = 5,
                            .flags = INODE_PINNED,
                            .ctime = 1,
                            .mtime = 2,
                            .bits = UUID_V8_BITS_MAX,
                            .size = (uint64_t) 1 << 45,
                            .replica = 3,
                            .replica_min = 1,
                            .replica_max = 9,
                            .block_size = (uint64_t) 5 << 30,
                            .atime = 3,
                            .expires = UINT64_MAX,
                            .crc = 0xdeadbeef};

    inode_row_set_name (&row, S ("n\303\244me"));
    return row;
}

static struct inode_row
some_directory (void)
{
    struct inode_row row = {.number = 78,
                            .kind = KIND_DIRECTORY,
                            .parent = 1,
                            .ctime = 1,
                            .mtime = 2,
                            .child_directories = 3,
                            .child_files = 4,
                            .directories = (uint64_t) 1 << 40,
                            .files = (uint64_t) 1 << 41,
                            .bytes = UINT64_MAX};

    inode_row_set_name (&row, S ("d"));
    return row;
}

static struct block_row
some_block (void)
{
    struct block_row row = {.inode = 77,
                            .index = UINT32_MAX,
                            .block = block_id (BLOCK_EPOCH_MAX, BLOCK_COUNTER_MAX),
                            .state = BLOCK_FINISHED,
                            .size = (uint64_t) 1 << 40,
                            .crc = 7,
                            .nodes_count = ROW_NODES_MAX};

    for (uint32_t i = 0; i < ROW_NODES_MAX; i++)
        row.nodes[i] = UINT32_MAX - i;
    return row;
}

static struct held_row
some_held (void)
{
    return (struct held_row){
        .node = 9, .block = 12345, .state = HELD_CONFIRMED, .seq = 1, .size = 2, .time = 3};
}

static struct lease_row
some_lease (void)
{
    struct lease_row row = {.token = "0123456789abcde",
                            .parent = 4,
                            .name = "file",
                            .name_size = 4,
                            .inode = 99,
                            .bits = 5,
                            .size = WIRE_UNKNOWN,
                            .replica = 2,
                            .block_size = 65536,
                            .replace = true,
                            .ttl = 60,
                            .time = 8,
                            .suspects = {3, UINT32_MAX},
                            .suspects_count = 2};

    return row;
}

static struct node_row
some_node (void)
{
    struct node_row row = {.number = UINT32_MAX,
                           .uuid = {{1, 2, 3}},
                           .host = "fe80::1",
                           .http_port = 8002,
                           .tcp_port = 18002,
                           .chain_port = 28002,
                           .zone = "rack",
                           .version = "1.0",
                           .seq = 4,
                           .reserved = (uint64_t) 1 << 50,
                           .blocks = 6,
                           .bytes = 7,
                           .order = 8,
                           .time = 9,
                           .duty = {DUTY_DRAIN, 10, {11, 12, 13, 14, 15, 16, 17, 18}}};

    return row;
}

static const uint8_t token[TOKEN_SIZE] = "tokentokentoken";

/* Put one row into each table. */
static void
put_all (struct txn *txn)
{
    struct inode_row file = some_file ();
    struct inode_row directory = some_directory ();
    struct block_row block = some_block ();
    struct owner_row owner = {.block = block.block, .inode = 77, .index = 3};
    struct held_row held = some_held ();
    struct digest_row digest = {.node = 9, .bucket = 1023, .hash = UINT64_MAX, .count = 2};
    struct lease_row lease = some_lease ();
    struct node_row node = some_node ();
    struct order_row order = {.node = 9, .number = 3, .kind = ORDER_DELETE, .block = 5};
    struct garbage_row garbage = {.node = 9, .due = 100, .block = 5};
    struct order_row copy = {
        .node = 9, .number = 4, .kind = ORDER_COPY, .block = 5, .target = UINT32_MAX};
    struct doomed_row doomed = {.inode = 55, .kind = KIND_FILE};
    struct repair_row repair = {.inode = 77, .first = 3, .end = REPAIR_END};
    struct damaged_row damaged = {0x10000000002, 9, 4096, 5};

    ck_ok (dirent_row_put (txn, 5, KIND_FILE, S ("name"), 77, E));
    ck_ok (inode_row_put (txn, &file, E));
    ck_ok (inode_row_put (txn, &directory, E));
    ck_ok (block_row_put (txn, &block, E));
    ck_ok (owner_row_put (txn, &owner, E));
    ck_ok (held_row_put (txn, &held, E));
    ck_ok (digest_row_put (txn, &digest, E));
    ck_ok (lease_row_put (txn, &lease, E));
    ck_ok (lock_row_put (txn, 4, S ("file"), token, E));
    ck_ok (node_row_put (txn, &node, E));
    ck_ok (order_row_put (txn, &order, E));
    ck_ok (order_row_put (txn, &copy, E));
    ck_ok (garbage_row_put (txn, &garbage, E));
    ck_ok (doomed_row_put (txn, &doomed, E));
    ck_ok (repair_row_put (txn, &repair, E));
    ck_ok (damaged_row_put (txn, &damaged, E));
}

/* Read every table's first row in its own way; what that gives. */
static int
read_table (struct txn *txn, enum metastore_table table, struct slice key, struct slice value)
{
    union {
        struct dirent_row dirent;
        struct inode_row inode;
        struct block_row block;
        struct owner_row owner;
        struct held_row held;
        struct digest_row digest;
        struct lease_row lease;
        struct node_row node;
        struct order_row order;
        struct garbage_row garbage;
        struct doomed_row doomed;
        struct repair_row repair;
        struct damaged_row damaged;
        uint8_t token[TOKEN_SIZE];
    } row;
    struct reader at = reader_of (key);

    switch (table) {
    case TABLE_DIRENT:
        return dirent_row_decode (key, value, &row.dirent, E);
    case TABLE_INODE:
        return inode_row_get (txn, reader_be64 (&at), &row.inode, E);
    case TABLE_BLOCK:
        return block_row_decode (key, value, &row.block, E);
    case TABLE_OWNER:
        return owner_row_get (txn, reader_be64 (&at), &row.owner, E);
    case TABLE_HELD:
        return held_row_decode (key, value, &row.held, E);
    case TABLE_DIGEST:
        return digest_row_get (txn, 9, 1023, &row.digest, E);
    case TABLE_LEASE:
        return lease_row_decode (key, value, &row.lease, E);
    case TABLE_LOCK:
        return lock_row_decode (key, value, row.token, E);
    case TABLE_NODE:
        return node_row_decode (key, value, &row.node, E);
    case TABLE_ORDER:
        return order_row_decode (key, value, &row.order, E);
    case TABLE_GARBAGE:
        return garbage_row_decode (key, value, &row.garbage, E);
    case TABLE_DOOMED:
        return doomed_row_decode (key, value, &row.doomed, E);
    case TABLE_REPAIR:
        return repair_row_decode (key, value, &row.repair, E);
    case TABLE_DAMAGED:
        return damaged_row_decode (key, value, &row.damaged, E);
    default:
        ck_abort_msg ("no row of this table");
    }
    return 0;
}

/* Call with each row of each table but meta and reply, its bytes copied. */
static void
each_row (struct txn *txn,
          void (*call) (struct txn *, enum metastore_table, struct slice, struct slice))
{
    static uint8_t key_bytes[METASTORE_KEY_MAX];
    static uint8_t value_bytes[4096];

    for (int table = 0; table < TABLE_COUNT; table++) {
        if (table == TABLE_REPLY || table == TABLE_META || table == TABLE_QUARANTINE)
            continue;
        struct cursor cursor = {0};
        struct slice none = {0};
        struct slice key;
        struct slice value;
        unsigned rows = 0;
        ck_ok (cursor_open (&cursor, txn, (enum metastore_table) table, none, none, E));
        while (cursor_next (&cursor, &key, &value, E) == 0) {
            ck_assert_uint_le (value.size, sizeof value_bytes);
            memcpy (key_bytes, key.data, key.size);
            memcpy (value_bytes, value.data, value.size);
            if (table == TABLE_INODE && key_bytes[7] == ROOT_INODE)
                continue;
            call (txn, (enum metastore_table) table, slice_of (key_bytes, key.size),
                  slice_of (value_bytes, value.size));
            rows++;
        }
        cursor_close (&cursor);
        ck_assert_uint_ge (rows, 1);
    }
}

/* ---- round trips --------------------------------------------------------------------------------- */

START_TEST (inodes_come_back_as_they_were)
{
    struct inode_row file = some_file ();
    struct inode_row directory = some_directory ();
    struct inode_row row;
    struct uuid id;
    struct txn *txn = begin ();

    put_all (txn);
    ck_ok (inode_row_get (txn, 77, &row, E));
    ck_assert_mem_eq (&row, &file, sizeof row);
    inode_row_id (&row, &id);
    ck_assert (uuid_is_v8 (&id));
    ck_assert_uint_eq (uuid_v8_number (&id), 77);
    ck_assert_uint_eq (uuid_v8_bits (&id), UUID_V8_BITS_MAX);
    ck_ok (inode_row_get (txn, 78, &row, E));
    ck_assert_mem_eq (&row, &directory, sizeof row);
    ck_ok (inode_row_del (txn, 78, E));
    ck_fails (LITEDFS_NOT_FOUND, inode_row_get (txn, 78, &row, E));
    ck_fails (LITEDFS_NOT_FOUND, inode_row_del (txn, 78, E));
    txn_abort (&txn);
}
END_TEST

START_TEST (entries_blocks_and_owners_come_back_as_they_were)
{
    struct block_row block = some_block ();
    struct block_row row;
    struct owner_row owner;
    uint64_t inode;
    struct txn *txn = begin ();

    put_all (txn);
    ck_ok (dirent_row_get (txn, 5, KIND_FILE, S ("name"), &inode, E));
    ck_assert_uint_eq (inode, 77);
    ck_fails (LITEDFS_NOT_FOUND,
              dirent_row_get (txn, 5, KIND_DIRECTORY, S ("name"), &inode, E));
    ck_ok (dirent_row_del (txn, 5, KIND_FILE, S ("name"), E));
    ck_fails (LITEDFS_NOT_FOUND, dirent_row_get (txn, 5, KIND_FILE, S ("name"), &inode, E));
    ck_ok (block_row_get (txn, 77, UINT32_MAX, &row, E));
    ck_assert_uint_eq (row.inode, 77);
    ck_assert_uint_eq (row.index, UINT32_MAX);
    ck_assert_uint_eq (row.block, block.block);
    ck_assert_int_eq (row.state, BLOCK_FINISHED);
    ck_assert_uint_eq (row.size, block.size);
    ck_assert_uint_eq (row.crc, 7);
    ck_assert_uint_eq (row.nodes_count, ROW_NODES_MAX);
    ck_assert_mem_eq (row.nodes, block.nodes, sizeof row.nodes);
    ck_assert (block_row_has_node (&row, UINT32_MAX - 63));
    ck_assert (!block_row_has_node (&row, 1));
    ck_ok (block_row_del (txn, 77, UINT32_MAX, E));
    ck_fails (LITEDFS_NOT_FOUND, block_row_get (txn, 77, UINT32_MAX, &row, E));
    ck_ok (owner_row_get (txn, block.block, &owner, E));
    ck_assert_uint_eq (owner.inode, 77);
    ck_assert_uint_eq (owner.index, 3);
    ck_ok (owner_row_del (txn, block.block, E));
    ck_fails (LITEDFS_NOT_FOUND, owner_row_get (txn, block.block, &owner, E));
    txn_abort (&txn);
}
END_TEST

START_TEST (leases_and_locks_come_back_as_they_were)
{
    struct lease_row lease = some_lease ();
    struct lease_row row;
    uint8_t found[TOKEN_SIZE];
    struct txn *txn = begin ();

    put_all (txn);
    ck_ok (lease_row_get (txn, lease.token, &row, E));
    ck_assert_mem_eq (&row, &lease, sizeof row);
    ck_assert (slice_equal (lease_row_name (&row), S ("file")));
    ck_ok (lease_row_del (txn, lease.token, E));
    ck_fails (LITEDFS_NOT_FOUND, lease_row_get (txn, lease.token, &row, E));
    ck_ok (lock_row_get (txn, 4, S ("file"), found, E));
    ck_assert_mem_eq (found, token, sizeof found);
    ck_ok (lock_row_del (txn, 4, S ("file"), E));
    ck_fails (LITEDFS_NOT_FOUND, lock_row_get (txn, 4, S ("file"), found, E));
    txn_abort (&txn);
}
END_TEST

START_TEST (rows_of_nodes_come_back_as_they_were)
{
    struct node_row node = some_node ();
    struct node_row row;
    struct held_row held;
    struct digest_row digest;
    struct uuid other = {{9}};
    struct txn *txn = begin ();

    put_all (txn);
    ck_ok (node_row_get (txn, UINT32_MAX, &row, E));
    ck_assert (uuid_equal (&row.uuid, &node.uuid));
    ck_assert_str_eq (row.host, node.host);
    ck_assert_str_eq (row.zone, node.zone);
    ck_assert_str_eq (row.version, node.version);
    ck_assert_uint_eq (row.http_port, 8002);
    ck_assert_uint_eq (row.tcp_port, 18002);
    ck_assert_uint_eq (row.chain_port, 28002);
    ck_assert_uint_eq (row.seq, 4);
    ck_assert_uint_eq (row.reserved, node.reserved);
    ck_assert_uint_eq (row.blocks, 6);
    ck_assert_uint_eq (row.bytes, 7);
    ck_assert_uint_eq (row.order, 8);
    ck_assert_uint_eq (row.time, 9);
    ck_assert_int_eq (row.duty.duty, DUTY_DRAIN);
    ck_assert_uint_eq (row.duty.excused, 10);
    ck_assert_mem_eq (&row.duty.survey, &node.duty.survey, sizeof row.duty.survey);
    ck_ok (node_row_find (txn, &node.uuid, &row, E));
    ck_fails (LITEDFS_NOT_FOUND, node_row_find (txn, &other, &row, E));
    ck_ok (held_row_get (txn, 9, 12345, &held, E));
    ck_assert_int_eq (held.state, HELD_CONFIRMED);
    ck_assert_uint_eq (held.seq, 1);
    ck_assert_uint_eq (held.size, 2);
    ck_assert_uint_eq (held.time, 3);
    for (enum held_order order = HELD_KEPT; order <= HELD_DELETED; order++)
        for (enum held_state state = HELD_CLAIMED; state <= HELD_CONFIRMED; state++) {
            held.order = order;
            held.state = state;
            ck_ok (held_row_put (txn, &held, E));
            ck_ok (held_row_get (txn, 9, 12345, &held, E));
            ck_assert_int_eq (held.order, order);
            ck_assert_int_eq (held.state, state);
        }
    ck_ok (digest_row_get (txn, 9, 1023, &digest, E));
    ck_assert_uint_eq (digest.hash, UINT64_MAX);
    ck_assert_uint_eq (digest.count, 2);
    digest.hash = digest.count = 0;
    ck_ok (digest_row_put (txn, &digest, E));
    ck_ok (digest_row_put (txn, &digest, E));
    ck_ok (digest_row_get (txn, 9, 1023, &digest, E));
    ck_assert_uint_eq (digest.count, 0);
    ck_ok (node_row_del (txn, UINT32_MAX, E));
    ck_fails (LITEDFS_NOT_FOUND, node_row_get (txn, UINT32_MAX, &row, E));
    commit (&txn);
    ck_assert_uint_eq (rows_of (TABLE_DIGEST), 0);
}
END_TEST

START_TEST (orders_and_marks_come_back_as_they_were)
{
    struct repair_row repair;
    struct cursor cursor = {0};
    struct order_row order;
    struct slice none = {0};
    struct slice key;
    struct slice value;
    struct txn *txn = begin ();

    put_all (txn);
    ck_ok (cursor_open (&cursor, txn, TABLE_ORDER, none, none, E));
    for (unsigned number = 3; number <= 4; number++) {
        ck_ok (cursor_next (&cursor, &key, &value, E));
        ck_ok (order_row_decode (key, value, &order, E));
        ck_assert_uint_eq (order.node, 9);
        ck_assert_uint_eq (order.number, number);
        ck_assert_int_eq (order.kind, number == 3 ? ORDER_DELETE : ORDER_COPY);
        ck_assert_uint_eq (order.block, 5);
        ck_assert_uint_eq (order.target, number == 3 ? 0 : UINT32_MAX);
    }
    cursor_close (&cursor);
    ck_ok (repair_row_get (txn, 77, 3, &repair, E));
    ck_assert (repair.inode == 77 && repair.first == 3 && repair.end == REPAIR_END);
    ck_fails (LITEDFS_NOT_FOUND, repair_row_get (txn, 77, 4, &repair, E));
    ck_ok (repair_row_del (txn, 77, 3, E));
    ck_fails (LITEDFS_NOT_FOUND, repair_row_del (txn, 77, 3, E));
    txn_abort (&txn);
}
END_TEST

/* ---- damage -------------------------------------------------------------------------------------- */

static void
read_as_it_is (struct txn *txn, enum metastore_table table, struct slice key,
               struct slice value)
{
    ck_ok (read_table (txn, table, key, value));
}

/* Bytes of a node's row that say what is wanted of it, at its end. */
enum { DUTY_SIZE = 1 + 9 * 8 };

static void
cut_and_lengthen (struct txn *txn, enum metastore_table table, struct slice key,
                  struct slice value)
{
    uint8_t bytes[4097];

    for (size_t size = 0; size <= value.size + 1; size++) {
        if (size == value.size || (table == TABLE_NODE && size + DUTY_SIZE == value.size))
            continue; // a node's row of before there were duties is one
        memset (bytes, 0, sizeof bytes);
        memcpy (bytes, value.data, size < value.size ? size : value.size);
        ck_ok (txn_put (txn, table, key, slice_of (bytes, size), E));
        ck_fails (LITEDFS_CORRUPT, read_table (txn, table, key, slice_of (bytes, size)));
        ck_assert (strstr (fixture.error.text, metastore_table_name (table)) != NULL);
    }
    ck_ok (txn_put (txn, table, key, value, E));
}

static void
change_version (struct txn *txn, enum metastore_table table, struct slice key,
                struct slice value)
{
    uint8_t bytes[4096];

    memcpy (bytes, value.data, value.size);
    bytes[0] = 2;
    ck_ok (txn_put (txn, table, key, slice_of (bytes, value.size), E));
    ck_fails (LITEDFS_CORRUPT, read_table (txn, table, key, slice_of (bytes, value.size)));
    ck_ok (txn_put (txn, table, key, value, E));
}

/* Noise is refused or read as something; what counts is that nothing is read beyond it (asan). */
static void
make_noise (struct txn *txn, enum metastore_table table, struct slice key, struct slice value)
{
    struct rng rng;
    uint8_t *bytes;

    rng_seed (&rng, 1 + (uint64_t) table);
    for (int i = 0; i < 300; i++) {
        size_t size = (size_t) rng_below (&rng, value.size + 20) + 1;
        bytes = malloc (size);
        for (size_t at = 0; at < size; at++)
            bytes[at] = at < value.size && i % 2 ? ((const uint8_t *) value.data)[at]
                                                 : (uint8_t) rng_next (&rng);
        if (i % 2)
            bytes[rng_below (&rng, size)] = (uint8_t) rng_next (&rng);
        else
            bytes[0] = 1;
        ck_ok (txn_put (txn, table, key, slice_of (bytes, size), E));
        int rc = read_table (txn, table, key, slice_of (bytes, size));
        ck_assert (rc == 0 || rc == LITEDFS_CORRUPT);
        free (bytes);
    }
    ck_ok (txn_put (txn, table, key, value, E));
}

/* Keys of another length than the table's are refused by whoever finds them with a cursor. */
static void
cut_key (struct txn *txn, enum metastore_table table, struct slice key, struct slice value)
{
    if (table == TABLE_HELD) { // a bucket that is not the block's
        uint8_t other[14];
        memcpy (other, key.data, sizeof other);
        other[5] ^= 1;
        ck_fails (LITEDFS_CORRUPT,
                  read_table (txn, table, slice_of (other, sizeof other), value));
    }
    if (table == TABLE_INODE || table == TABLE_OWNER || table == TABLE_DIGEST ||
        table == TABLE_LOCK)
        return;
    ck_fails (
        LITEDFS_CORRUPT,
        read_table (txn, table, slice_of (key.data, table == TABLE_DIRENT ? 9 : 3), value));
}

START_TEST (every_table_can_be_walked)
{
    struct txn *txn = begin ();
    put_all (txn);
    each_row (txn, read_as_it_is);
    txn_abort (&txn);
}
END_TEST

START_TEST (rows_that_were_cut_or_lengthened_are_corrupt)
{
    struct txn *txn = begin ();
    put_all (txn);
    each_row (txn, cut_and_lengthen);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_row_of_before_there_were_duties_is_of_a_node_that_serves)
{
    struct node_row row = some_node ();
    struct slice key, value;
    uint8_t bytes[4096], room[4];
    struct txn *txn = begin ();

    put_all (txn);
    key = key_be32 (room, row.number);
    ck_ok (txn_get (txn, TABLE_NODE, key, &value, E));
    memcpy (bytes, value.data, value.size);
    ck_ok (txn_put (txn, TABLE_NODE, key, slice_of (bytes, value.size - DUTY_SIZE), E));
    ck_ok (node_row_get (txn, UINT32_MAX, &row, E));
    ck_assert_uint_eq (row.time, 9);
    ck_assert_int_eq (row.duty.duty, DUTY_SERVE);
    ck_assert_uint_eq (row.duty.excused, 0);
    ck_assert_uint_eq (row.duty.survey.time, 0);
    bytes[value.size - DUTY_SIZE] = DUTY_REMOVED + 1;
    ck_ok (txn_put (txn, TABLE_NODE, key, slice_of (bytes, value.size), E));
    ck_fails (LITEDFS_CORRUPT, node_row_get (txn, UINT32_MAX, &row, E));
    txn_abort (&txn);
}
END_TEST

START_TEST (rows_of_another_version_are_corrupt)
{
    struct txn *txn = begin ();
    put_all (txn);
    each_row (txn, change_version);
    txn_abort (&txn);
}
END_TEST

START_TEST (noise_is_read_no_further_than_it_goes)
{
    struct txn *txn = begin ();
    put_all (txn);
    each_row (txn, make_noise);
    txn_abort (&txn);
}
END_TEST

START_TEST (keys_of_the_wrong_length_are_corrupt)
{
    struct txn *txn = begin ();
    put_all (txn);
    each_row (txn, cut_key);
    txn_abort (&txn);
}
END_TEST

START_TEST (the_error_of_a_damaged_row_names_table_and_key)
{
    struct inode_row row;
    uint8_t key[8];
    struct txn *txn = begin ();

    ck_ok (txn_put (txn, TABLE_INODE, key_be64 (key, 0x1234), S ("\1"), E));
    ck_fails (LITEDFS_CORRUPT, inode_row_get (txn, 0x1234, &row, E));
    ck_assert_ptr_nonnull (strstr (fixture.error.text, "[inode 0000000000001234]"));
    txn_abort (&txn);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "namenode_records", store_setup, store_teardown, inodes_come_back_as_they_were,
    entries_blocks_and_owners_come_back_as_they_were, leases_and_locks_come_back_as_they_were,
    rows_of_nodes_come_back_as_they_were, orders_and_marks_come_back_as_they_were,
    every_table_can_be_walked, rows_that_were_cut_or_lengthened_are_corrupt,
    a_row_of_before_there_were_duties_is_of_a_node_that_serves,
    rows_of_another_version_are_corrupt, noise_is_read_no_further_than_it_goes,
    keys_of_the_wrong_length_are_corrupt, the_error_of_a_damaged_row_names_table_and_key)
