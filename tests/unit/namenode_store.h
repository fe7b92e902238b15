/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_NAMENODE_STORE_H
#define LITEDFS_TESTS_NAMENODE_STORE_H

/*
 * A metastore in a temporary directory for the tests of the name node's rules: store_setup and
 * store_teardown are the fixture of every case.
 *
 *   struct txn *txn = begin ();        a write transaction at the time of `fixture.frame`
 *   ck_ok (rule (txn, ...));           0, or the case fails with the error's text
 *   commit (&txn);
 */

#include "namenode/lease_clock.h"
#include "namenode/metastore.h"
#include "namenode/namespace.h"
#include "namenode/records.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#define S(text) slice_str (text)

static struct {
    char directory[64];
    struct metastore *store;
    struct txn_frame frame;
    litedfs_error_t error;
} fixture;

#define E (&fixture.error)
#define ck_ok(call)                                                                            \
    do {                                                                                       \
        fixture.error.text[0] = '\0';                                                          \
        int ck_ok_rc = (call);                                                                 \
        ck_assert_msg (ck_ok_rc == 0, "%s: %d %s", #call, ck_ok_rc, fixture.error.text);       \
    } while (0)
#define ck_fails(number, call)                                                                 \
    do {                                                                                       \
        fixture.error.text[0] = '\0';                                                          \
        int ck_fails_rc = (call);                                                              \
        ck_assert_msg (ck_fails_rc == (number), "%s: %d %s", #call, ck_fails_rc,               \
                       fixture.error.text);                                                    \
    } while (0)

static inline int
remove_one (const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void) status;
    (void) type;
    (void) where;
    return remove (path);
}

static inline void
open_store (uint64_t map_size)
{
    const struct metastore_options options = {.directory = fixture.directory,
                                              .map_size = map_size};

    ck_ok (metastore_open (&fixture.store, &options, E));
}

static inline struct txn *
begin (void)
{
    struct txn *txn;

    ck_ok (txn_begin_write (fixture.store, &fixture.frame, &txn, E));
    return txn;
}

static inline struct txn *
begin_read (void)
{
    struct txn *txn;

    ck_ok (txn_begin_read (fixture.store, &txn, E));
    return txn;
}

static inline void
commit (struct txn **txn)
{
    ck_ok (txn_commit (txn, E));
    if (fixture.frame.leases)
        lease_clock_settle (fixture.frame.leases, true);
}

static inline void
rollback (struct txn **txn)
{
    txn_abort (txn);
    if (fixture.frame.leases)
        lease_clock_settle (fixture.frame.leases, false);
}

/* Move both clocks on. */
static inline void
pass_ms (int64_t ms)
{
    fixture.frame.now_ms += ms;
    fixture.frame.wall_ms += ms;
}

static inline void
store_setup (void)
{
    strcpy (fixture.directory, "/tmp/litedfs-unit-XXXXXX");
    ck_assert_ptr_nonnull (mkdtemp (fixture.directory));
    fixture.frame = (struct txn_frame){
        .now_ms = 1000, .wall_ms = 1700000000000, .leases = lease_clock_new ()};
    ck_assert_ptr_nonnull (fixture.frame.leases);
    open_store (1 << 28);
    struct txn *txn = begin ();
    ck_ok (namespace_format (txn, E));
    commit (&txn);
}

static inline void
store_teardown (void)
{
    metastore_close (&fixture.store);
    lease_clock_destroy (&fixture.frame.leases);
    nftw (fixture.directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* How many rows a table has. */
static inline uint64_t
rows_of (enum metastore_table table)
{
    struct metastore_statistics statistics;

    ck_ok (metastore_statistics (fixture.store, &statistics, E));
    return statistics.rows[table];
}

/* Make a node with this number. */
static inline void
add_node (struct txn *txn, uint32_t number)
{
    struct node_row row = {.number = number, .host = "127.0.0.1", .tcp_port = 1};

    row.uuid.bytes[0] = (uint8_t) number;
    ck_ok (node_row_put (txn, &row, E));
}

/* Make a visible file of one finished block on node 1 without an upload; size 0: without a block.  Its
 * parent is there.  Returns the inode's number. */
static inline uint64_t
add_file (struct txn *txn, const char *path, uint64_t size)
{
    struct inode_row parent;
    struct inode_row row = {.kind = KIND_FILE, .bits = 7, .size = size, .replica = 1};
    struct slice above;
    struct slice name;

    ck_assert (path_split (S (path), &above, &name));
    ck_ok (namespace_lookup_kind (txn, above, KIND_DIRECTORY, &parent, E));
    ck_ok (meta_next (txn, META_INODE, &row.number, E));
    row.parent = parent.number;
    row.block_size = size > 0 ? size : 1;
    inode_row_set_name (&row, name);
    ck_ok (namespace_link (txn, &row, false, E));
    if (size > 0) {
        struct block_row block = {.inode = row.number, .state = BLOCK_FINISHED, .size = size};
        struct owner_row owner = {.inode = row.number};
        block.nodes[block.nodes_count++] = 1;
        ck_ok (meta_next_block (txn, &block.block, E));
        owner.block = block.block;
        ck_ok (block_row_put (txn, &block, E));
        ck_ok (owner_row_put (txn, &owner, E));
    }
    return row.number;
}

#endif
