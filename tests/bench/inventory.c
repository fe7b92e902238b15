/* SPDX-License-Identifier: MIT */
/*
 * A name node's store with many blocks on two data nodes, without any daemon, and how long it takes for what
 * concerns a whole data node: listings of its inventory, the walk after its death, the freeing of its files.
 *
 *   inventory DIRECTORY BLOCKS [BLOCKS-OF-A-FILE]     prints a line for each: what, how many a second, the longest single step
 */
#include "namenode/inventory.h"
#include "base/clock.h"
#include "namenode/garbage.h"
#include "namenode/lease_clock.h"
#include "namenode/namespace.h"
#include "namenode/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static unsigned file_blocks = 10;

enum { FILES_IN_DIRECTORY = 1000, BATCH = 1000, PAGE = 2048, SIZE = 65536 };

static struct metastore *store;
static struct lease_clock *leases;
static litedfs_error_t error;
static uint64_t blocks;
static uint64_t *ids; // in the order of their buckets

static void
check (int rc)
{
    if (rc == 0)
        return;
    fprintf (stderr, "inventory: %s\n", error.text);
    exit (1);
}

/* ---- time ---------------------------------------------------------------------------------------- */

/* Seconds, of the clock on the wall and of this thread's work: on a busy machine they differ. */
struct watch {
    double began;
    double work_began;
    double step;
    double longest; // of a step: work
};

static double
read_clock (clockid_t id)
{
    struct timespec time;

    clock_gettime (id, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

static void
step_begins (struct watch *watch)
{
    watch->step = read_clock (CLOCK_THREAD_CPUTIME_ID);
}

static void
step_ends (struct watch *watch)
{
    double at = read_clock (CLOCK_THREAD_CPUTIME_ID);

    if (at - watch->step > watch->longest)
        watch->longest = at - watch->step;
    watch->step = at;
}

static struct watch
watch_begin (void)
{
    double work = read_clock (CLOCK_THREAD_CPUTIME_ID);

    return (struct watch){read_clock (CLOCK_MONOTONIC), work, work, 0};
}

static void
say (const struct watch *watch, const char *what, uint64_t count)
{
    double work = read_clock (CLOCK_THREAD_CPUTIME_ID) - watch->work_began;

    printf ("%-40s %7.2f s, %7.2f s at work: %9.0f /s, longest step %6.2f ms\n", what,
            read_clock (CLOCK_MONOTONIC) - watch->began, work, (double) count / work,
            watch->longest * 1000);
    fflush (stdout);
}

/* ---- the store ----------------------------------------------------------------------------------- */

static struct txn *
begin (struct agenda *agenda)
{
    const struct txn_frame frame = {.now_ms = clock_mono (clock_system ()),
                                    .wall_ms = clock_wall (clock_system ()),
                                    .leases = leases,
                                    .agenda = agenda};
    struct txn *txn;

    check (txn_begin_write (store, &frame, &txn, &error));
    return txn;
}

static void
commit (struct txn **txn)
{
    check (txn_commit (txn, &error));
}

static int
by_place (const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

    if (block_id_bucket (x) != block_id_bucket (y))
        return block_id_bucket (x) < block_id_bucket (y) ? -1 : 1;
    return (x > y) - (x < y);
}

static void
add_file (struct txn *txn, uint64_t number, uint64_t parent)
{
    struct inode_row row = {
        .kind = KIND_FILE, .parent = parent, .size = file_blocks * SIZE, .replica = 2};
    char name[32];

    snprintf (name, sizeof name, "%08llu", (unsigned long long) number);
    row.block_size = SIZE;
    inode_row_set_name (&row, slice_str (name));
    check (meta_next (txn, META_INODE, &row.number, &error));
    check (namespace_link (txn, &row, false, &error));
    for (uint32_t i = 0; i < file_blocks; i++) {
        struct block_row block = {.inode = row.number,
                                  .index = i,
                                  .state = BLOCK_FINISHED,
                                  .size = SIZE,
                                  .crc = 5,
                                  .nodes = {1, 2},
                                  .nodes_count = 2};
        struct owner_row owner = {.inode = row.number, .index = i};
        check (meta_next_block (txn, &block.block, &error));
        owner.block = ids[number * file_blocks + i] = block.block;
        check (block_row_put (txn, &block, &error));
        check (owner_row_put (txn, &owner, &error));
    }
}

static void
add_files (void)
{
    struct txn *txn = begin (NULL);
    uint64_t directory = 0;
    char path[64];

    for (uint64_t i = 0; i < blocks / file_blocks; i++) {
        if (i % FILES_IN_DIRECTORY == 0) {
            bool made;
            snprintf (path, sizeof path, "/tree/%06llu", (unsigned long long) i);
            check (namespace_make_directory (txn, slice_str (path), true, &made, &directory,
                                             &error));
        }
        add_file (txn, i, directory);
        if (i % BATCH == BATCH - 1) {
            commit (&txn);
            txn = begin (NULL);
        }
    }
    commit (&txn);
    qsort (ids, blocks, sizeof *ids, by_place);
}

static void
open_store (const char *path)
{
    const struct metastore_options options = {.directory = path,
                                              .map_size = (uint64_t) 8 << 30};

    leases = lease_clock_new ();
    ids = calloc (blocks, sizeof *ids);
    if (!leases || !ids)
        exit (1);
    check (metastore_open (&store, &options, &error));
    struct txn *txn = begin (NULL);
    check (namespace_format (txn, &error));
    for (uint32_t i = 1; i <= 3; i++) {
        struct node_row row = {.number = i, .host = "127.0.0.1", .tcp_port = 1};
        row.uuid.bytes[0] = (uint8_t) i;
        check (node_row_put (txn, &row, &error));
    }
    commit (&txn);
}

/* ---- listings ------------------------------------------------------------------------------------ */

static struct wire_present lines[PAGE];
static struct wire_range ranges[BLOCK_ID_BUCKETS];

/* The page after a place; none of the blocks is listed if `empty`. */
static struct node_listing_request
make_page (uint32_t node, uint32_t bucket, uint64_t after, size_t *at, bool empty)
{
    struct node_listing_request out = {
        .node = node, .complete = blocks, .seq = blocks, .ranges = ranges, .blocks = lines};
    uint32_t end = BLOCK_ID_BUCKETS - 1;
    uint64_t last = WIRE_MAX;

    for (; !empty && *at < blocks && out.blocks_count < PAGE; ++*at)
        lines[out.blocks_count++] =
            (struct wire_present){.block = ids[*at], .size = SIZE, .crc32 = 5};
    if (!empty && *at < blocks) {
        last = lines[out.blocks_count - 1].block;
        end = block_id_bucket (last);
    }
    for (uint32_t i = bucket; i <= end; i++) {
        struct wire_range range = {i, i == bucket ? after : 0, i == end ? last : WIRE_MAX};
        if (range.after < range.last)
            ranges[out.ranges_count++] = range;
    }
    return out;
}

/* Where an id is among the sorted ones, or where one would be that is after it. */
static size_t
index_after (uint32_t bucket, uint64_t block)
{
    size_t low = 0, high = blocks;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t its = block_id_bucket (ids[middle]);
        if (its < bucket || (its == bucket && ids[middle] <= block))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Encode and decode it as if it came from the network, and take it in a transaction. */
static struct inventory_taken
take_page (const struct node_listing_request *request)
{
    const struct message_type *type = &message_types[MESSAGE_node_listing];
    struct node_listing_request decoded;
    struct inventory_taken taken;
    struct message *message;
    struct buf frame = {0};
    uint64_t id;

    const struct envelope envelope = {.id = 1};
    check (message_encode_request (&frame, type, request, &envelope, &error));
    check (message_parse_request (buf_slice (&frame), &message, &id, &error));
    check (message_request_fields (message, &decoded, &error));
    struct txn *txn = begin (NULL);
    check (inventory_take (txn, &decoded, &taken, &error));
    commit (&txn);
    message_destroy (&message);
    buf_free (&frame);
    return taken;
}

static void
list_all (uint32_t node, bool empty, const char *what)
{
    struct watch watch = watch_begin ();
    struct inventory_taken taken = {0};
    size_t at = 0;

    for (;;) {
        struct node_listing_request page =
            make_page (node, taken.bucket, taken.block, &at, empty);
        if (page.ranges_count == 0)
            break;
        step_begins (&watch);
        taken = take_page (&page);
        step_ends (&watch);
        if (!empty)
            at = index_after (taken.bucket, taken.block);
    }
    say (&watch, what, blocks);
}

/* ---- a dead node --------------------------------------------------------------------------------- */

static struct nodes_view *
make_view (bool dead)
{
    struct nodes_view *view = calloc (1, sizeof *view + 3 * sizeof (struct node));

    if (!view)
        exit (1);
    view->count = 3;
    view->online = dead ? 2 : 3;
    view->table = dead ? 2 : 1;
    for (uint32_t i = 0; i < 3; i++)
        view->nodes[i] = (struct node){.number = i + 1,
                                       .online = !(dead && i == 0),
                                       .storage_total = (uint64_t) 1 << 50,
                                       .storage_free = (uint64_t) 1 << 50,
                                       .table = dead && i == 0 ? 2 : 1};
    return view;
}

static uint64_t
marks (void)
{
    struct metastore_statistics statistics;

    check (metastore_statistics (store, &statistics, &error));
    return statistics.rows[TABLE_REPAIR];
}

/* Do what the writer does of repair when it has nothing else to do, until every file is marked. */
static void
classify (void)
{
    struct repair *repair = repair_new ();
    struct repair_frame frame = {
        .nodes = make_view (false), .clock = clock_system (), .repair_delay_ms = 60000};

    if (!repair)
        exit (1);
    repair_wanted (repair, store, &frame);
    frame.nodes = make_view (true);
    struct watch watch = watch_begin ();
    for (int turn = 0;; turn++) {
        step_begins (&watch);
        if (repair_wanted (repair, store, &frame)) {
            struct txn *txn = begin (repair_agenda (repair));
            check (repair_step (repair, &frame, txn, &error));
            commit (&txn);
            repair_settle (repair, true);
        }
        step_ends (&watch);
        if (turn % 16 == 0 && marks () >= blocks / file_blocks)
            break;
        int64_t idle_ms = repair_next_ms (repair) - clock_mono (clock_system ());
        if (idle_ms > 0)
            nanosleep (
                &(struct timespec){.tv_nsec = (idle_ms > 100 ? 100 : idle_ms) * 1000000L},
                NULL);
    }
    say (&watch, "a dead node's blocks are classified", blocks);
    repair_destroy (&repair);
}

/* ---- a deleted tree ------------------------------------------------------------------------------ */

static void
delete_tree (void)
{
    struct watch watch = watch_begin ();
    struct txn *txn = begin (NULL);
    size_t freed;

    check (namespace_delete (txn, KIND_DIRECTORY, slice_str ("/tree"), &error));
    commit (&txn);
    step_ends (&watch);
    say (&watch, "a tree is deleted", 1);
    watch = watch_begin ();
    do {
        txn = begin (NULL);
        check (garbage_free_slice (txn, 512, 0, &freed, &error));
        commit (&txn);
        step_ends (&watch);
    } while (freed >= 512);
    say (&watch, "its blocks become garbage of two nodes", 2 * blocks);
}

static void
order_deletes (void)
{
    struct nodes_view *view = make_view (false);
    struct watch watch = watch_begin ();
    uint32_t touched[4];
    size_t done, count;

    do {
        struct txn *txn = begin (NULL);
        check (garbage_due (txn, view, 0, UINT64_MAX, 1024, &done, touched, 4, &count, &error));
        commit (&txn);
        step_ends (&watch);
    } while (done >= 1024);
    say (&watch, "garbage becomes delete orders", 2 * blocks);
    free (view);
}

int
main (int argc, char **argv)
{
    if (argc < 3)
        return 2;
    if (argc > 3)
        file_blocks = (unsigned) strtoul (argv[3], NULL, 10);
    blocks = strtoull (argv[2], NULL, 10) / (file_blocks * BATCH) * (file_blocks * BATCH);
    open_store (argv[1]);
    struct watch watch = watch_begin ();
    add_files ();
    say (&watch, "files are made", blocks);
    list_all (1, false, "an inventory that is all new");
    list_all (2, false, "the same of another node");
    list_all (1, false, "an inventory that is all known");
    classify ();
    list_all (2, true, "an inventory of which all is gone");
    delete_tree ();
    order_deletes ();
    metastore_close (&store);
    return 0;
}
