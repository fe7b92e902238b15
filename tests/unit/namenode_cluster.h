/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_NAMENODE_CLUSTER_H
#define LITEDFS_TESTS_NAMENODE_CLUSTER_H

/*
 * A name node's store, repair, and data nodes that are a few numbers each, without wires: they have
 * blocks, report, fetch orders and carry them out when they are told to.  cluster_setup and
 * cluster_teardown are the fixture of every case.  Data nodes are 1 to NODES and online at first.
 */

#include "namenode/agenda.h"
#include "namenode/blocks.h"
#include "namenode/copies.h"
#include "namenode/garbage.h"
#include "namenode/held.h"
#include "namenode/mark.h"
#include "namenode/repair.h"
#include "namenode/upload.h"

#include "base/clock.h"

#include "namenode_store.h"

enum { NODES = 6, BLOCK = 100, DELAY_MS = 60000, GONE_MS = 60000, THINGS_MAX = 8192 };

/* What a data node has. */
struct disk_block {
    uint64_t block;
    uint32_t crc;
};

struct disk {
    uint64_t session; // 0: offline
    struct disk_block blocks[THINGS_MAX];
    size_t blocks_count;
    struct disk_block damaged[THINGS_MAX]; // set aside
    size_t damaged_count;
    struct wire_change changes[THINGS_MAX]; // not reported yet
    size_t changes_count;
    uint64_t seq;
    struct order_row orders[THINGS_MAX]; // fetched and not carried out
    size_t orders_count;
    uint64_t fetched;
    uint64_t done; // the last order that was carried out, or begun
};

/* A copy on its way. */
struct flight {
    struct disk_block block;
    uint32_t source;
    uint32_t target;
};

static struct {
    struct nodes *nodes;
    struct nodes_view *view;
    struct repair *repair;
    struct fake_clock clock;
    struct disk disks[NODES + 1];
    struct flight flights[THINGS_MAX];
    size_t flights_count;
    uint64_t last_session;
    uint64_t free_bytes[NODES + 1];
    uint64_t total_bytes[NODES + 1]; // if not 0, the node's use is that of its blocks
    const char *zones[NODES + 1];
    unsigned streams;
    uint64_t bandwidth;
    unsigned balance_threshold;
} cluster;

/* ---- the name node ------------------------------------------------------------------------------- */

static inline void
look_at_nodes (void)
{
    nodes_view_release (&cluster.view);
    cluster.view = nodes_view (cluster.nodes);
    ck_assert_ptr_nonnull (cluster.view);
}

static inline void
pass (int64_t ms)
{
    fake_clock_advance (&cluster.clock, ms);
    fixture.frame.now_ms = clock_mono (&cluster.clock.clock);
    fixture.frame.wall_ms = clock_wall (&cluster.clock.clock);
}

static inline struct repair_frame
repair_frame_now (void)
{
    return (struct repair_frame){.nodes = cluster.view,
                                 .clock = &cluster.clock.clock,
                                 .delete_delay_ms = DELAY_MS,
                                 .repair_delay_ms = GONE_MS,
                                 .streams = cluster.streams,
                                 .bandwidth = cluster.bandwidth,
                                 .walk_interval_ms = 10000,
                                 .balance_threshold = cluster.balance_threshold};
}

/* One transaction of repair, which comes to something or not; false if nothing is wanted. */
static inline bool
repair_once (bool keep)
{
    const struct repair_frame frame = repair_frame_now ();
    if (!repair_wanted (cluster.repair, fixture.store, &frame))
        return false;
    struct txn *txn = begin ();
    ck_ok (repair_step (cluster.repair, &frame, txn, E));
    if (keep)
        commit (&txn);
    else
        rollback (&txn);
    repair_settle (cluster.repair, keep);
    return true;
}

/* Garbage that is due becomes orders, trees that were deleted go. */
static inline void
collect_garbage (void)
{
    struct txn *txn = begin ();
    size_t done;

    ck_ok (garbage_free_slice (txn, 1000, DELAY_MS, &done, E));
    ck_ok (garbage_due (txn, cluster.view, 0, (uint64_t) fixture.frame.wall_ms, 1000, &done,
                        NULL, 0, NULL, E));
    commit (&txn);
}

/* What the writer does between batches, until there is nothing left to do now. */
static inline void
keep_house (void)
{
    collect_garbage ();
    for (int steps = 0; repair_once (true); steps++)
        ck_assert_int_lt (steps, 1000);
}

static inline void
new_repair (void)
{
    repair_destroy (&cluster.repair);
    cluster.repair = repair_new ();
    ck_assert_ptr_nonnull (cluster.repair);
    fixture.frame.agenda = repair_agenda (cluster.repair);
}

/* ---- data nodes ---------------------------------------------------------------------------------- */

static inline struct node_duty
duty_of (uint32_t number)
{
    struct node_row row;
    struct txn *txn = begin_read ();

    ck_ok (node_row_get (txn, number, &row, E));
    txn_abort (&txn);
    return row.duty;
}

/* The registry learns what the node's row says. */
static inline void
load_duty (uint32_t number)
{
    struct node_duty duty = duty_of (number);

    nodes_set_duty (cluster.nodes, number, &duty, fixture.frame.wall_ms);
    if (duty.duty == DUTY_REMOVED)
        cluster.disks[number].session = 0;
    look_at_nodes ();
}

/* An operator wants this of the node. */
static inline void
want (uint32_t number, enum duty duty, uint64_t excused)
{
    struct node_row row;
    struct txn *txn = begin ();

    ck_ok (node_row_get (txn, number, &row, E));
    row.duty = (struct node_duty){.duty = duty, .excused = excused};
    ck_ok (node_row_put (txn, &row, E));
    commit (&txn);
    load_duty (number);
}

/* What its heartbeats say. */
static inline struct node_storage
storage_of (uint32_t number)
{
    const struct disk *disk = &cluster.disks[number];
    struct node_storage storage = {.total = 1 << 30,
                                   .used = (1 << 30) - cluster.free_bytes[number],
                                   .free = cluster.free_bytes[number],
                                   .blocks = disk->blocks_count};

    if (cluster.total_bytes[number] > 0) {
        storage.total = cluster.total_bytes[number];
        storage.used = disk->blocks_count * BLOCK;
        storage.free = storage.total - storage.used;
        storage.full = storage.free == 0;
    }
    return storage;
}

static inline void
come (uint32_t number)
{
    const struct node_storage storage = storage_of (number);
    struct node node = {.number = number,
                        .tcp_port = 1,
                        .storage_total = storage.total,
                        .storage_used = storage.used,
                        .storage_free = storage.free,
                        .storage_full = storage.full};

    node.uuid.bytes[0] = (uint8_t) number;
    node.duty = duty_of (number);
    snprintf (node.host, sizeof node.host, "10.0.0.%u", number);
    if (cluster.zones[number])
        snprintf (node.zone, sizeof node.zone, "%s", cluster.zones[number]);
    cluster.disks[number].session = ++cluster.last_session;
    ck_ok (nodes_register (cluster.nodes, &node, cluster.last_session, 1000, 30000,
                           fixture.frame.now_ms, fixture.frame.wall_ms, E));
    look_at_nodes ();
}

static inline void
leave (uint32_t number)
{
    nodes_closed (cluster.nodes, cluster.disks[number].session, fixture.frame.wall_ms);
    cluster.disks[number].session = 0;
    look_at_nodes ();
}

static inline bool
is_here (uint32_t number)
{
    return cluster.disks[number].session != 0;
}

static inline bool
has (uint32_t number, uint64_t block)
{
    const struct disk *disk = &cluster.disks[number];

    for (size_t i = 0; i < disk->blocks_count; i++)
        if (disk->blocks[i].block == block)
            return true;
    return false;
}

static inline void
note_change (struct disk *disk, unsigned kind, struct disk_block block)
{
    ck_assert_uint_lt (disk->changes_count, THINGS_MAX);
    disk->changes[disk->changes_count++] = (struct wire_change){.seq = ++disk->seq,
                                                                .kind = kind,
                                                                .block = block.block,
                                                                .size = BLOCK,
                                                                .crc32 = block.crc};
}

static inline bool
take_damaged (struct disk *disk, uint64_t block)
{
    for (size_t i = 0; i < disk->damaged_count; i++)
        if (disk->damaged[i].block == block) {
            disk->damaged[i] = disk->damaged[--disk->damaged_count];
            return true;
        }
    return false; // nothing was set aside
}

static inline void
put_block (uint32_t number, struct disk_block block)
{
    struct disk *disk = &cluster.disks[number];

    if (has (number, block.block))
        return;
    ck_assert_uint_lt (disk->blocks_count, THINGS_MAX);
    take_damaged (disk, block.block);
    disk->blocks[disk->blocks_count++] = block;
    note_change (disk, CHANGE_ADDED, block);
}

static inline void
lose_block (uint32_t number, uint64_t block)
{
    struct disk *disk = &cluster.disks[number];

    for (size_t i = 0; i < disk->blocks_count; i++)
        if (disk->blocks[i].block == block) {
            note_change (disk, CHANGE_REMOVED, disk->blocks[i]);
            disk->blocks[i] = disk->blocks[--disk->blocks_count];
            return;
        }
    if (take_damaged (disk, block))
        note_change (disk, CHANGE_REMOVED, (struct disk_block){.block = block});
}

/* All that are here say how full they are. */
static inline void
heartbeats (void)
{
    for (uint32_t number = 1; number <= NODES; number++) {
        const struct node_storage storage = storage_of (number);
        if (is_here (number))
            nodes_heard (cluster.nodes, number, &storage, fixture.frame.now_ms,
                         fixture.frame.wall_ms);
    }
    look_at_nodes ();
}

/* The node reports its changes, at most max. */
static inline void
report (uint32_t number, size_t max)
{
    struct disk *disk = &cluster.disks[number];
    size_t count = disk->changes_count < max ? disk->changes_count : max;
    struct held_report out;

    if (!is_here (number) || count == 0)
        return;
    struct txn *txn = begin ();
    ck_ok (held_apply (txn, number, disk->changes, count, &out, E));
    commit (&txn);
    disk->changes_count -= count;
    memmove (disk->changes, disk->changes + count, disk->changes_count * sizeof *disk->changes);
}

/* The node fetches orders, and says which it has carried out. */
static inline void
fetch (uint32_t number)
{
    struct disk *disk = &cluster.disks[number];
    size_t room = THINGS_MAX - disk->orders_count, count;

    if (!is_here (number))
        return;
    struct txn *txn = begin_read ();
    ck_ok (orders_after (txn, number, disk->fetched, disk->orders + disk->orders_count, room,
                         &count, E));
    txn_abort (&txn);
    disk->orders_count += count;
    if (count > 0)
        disk->fetched = disk->orders[disk->orders_count - 1].number;
}

static inline void
confirm_orders (uint32_t number)
{
    size_t confirmed;

    if (!is_here (number) || cluster.disks[number].done == 0)
        return;
    struct txn *txn = begin ();
    ck_ok (orders_confirm (txn, number, cluster.disks[number].done, 1000, &confirmed, E));
    commit (&txn);
}

/* The node carries out its next order; false if it has none. */
static inline bool
carry_out (uint32_t number)
{
    struct disk *disk = &cluster.disks[number];

    if (!is_here (number) || disk->orders_count == 0)
        return false;
    struct order_row order = disk->orders[0];
    memmove (disk->orders, disk->orders + 1, --disk->orders_count * sizeof *disk->orders);
    disk->done = order.number;
    if (order.kind == ORDER_DELETE) {
        lose_block (number, order.block);
        return true;
    }
    for (size_t i = 0; i < disk->blocks_count; i++)
        if (disk->blocks[i].block == order.block) {
            ck_assert_uint_lt (cluster.flights_count, THINGS_MAX);
            cluster.flights[cluster.flights_count++] =
                (struct flight){disk->blocks[i], number, order.target};
        }
    return true;
}

/* A copy arrives, or does not. */
static inline void
land (size_t at, bool arrives)
{
    struct flight flight = cluster.flights[at];

    cluster.flights[at] = cluster.flights[--cluster.flights_count];
    if (arrives && is_here (flight.source) && is_here (flight.target))
        put_block (flight.target, flight.block);
}

/* Everybody does everything at once. */
static inline void
work_all (void)
{
    for (uint32_t node = 1; node <= NODES; node++) {
        fetch (node);
        while (carry_out (node))
            ;
    }
    while (cluster.flights_count > 0)
        land (0, true);
    for (uint32_t node = 1; node <= NODES; node++) {
        report (node, THINGS_MAX);
        confirm_orders (node);
    }
}

/* Time passes, and everybody works. */
static inline void
live_on (int64_t ms)
{
    for (; ms > 0; ms -= 1000) {
        keep_house ();
        work_all ();
        pass (ms < 1000 ? ms : 1000);
    }
    keep_house ();
    work_all ();
}

/* ---- files --------------------------------------------------------------------------------------- */

struct chain_of {
    const uint32_t *nodes;
    size_t count;
};

static inline int
place_on (void *arg, struct txn *txn, const struct upload_ask *ask, uint32_t *nodes,
          size_t *nodes_count, litedfs_error_t *error)
{
    const struct chain_of *chain = arg;

    (void) txn;
    (void) ask;
    (void) error;
    memcpy (nodes, chain->nodes, chain->count * sizeof *nodes);
    *nodes_count = chain->count;
    return 0;
}

/* Upload a file of up to 8 blocks to these nodes, of which the client names the first ones.  They have it
 * and have not reported it.  The file's inode. */
static inline uint64_t
write_file (const char *path, uint32_t replica, uint32_t blocks, const uint32_t *nodes,
            size_t count, size_t named)
{
    struct chain_of chain = {nodes, count};
    const struct upload_placer placer = {place_on, &chain};
    struct upload_create ask = {.path = S (path),
                                .size = (uint64_t) blocks * BLOCK,
                                .replica = replica,
                                .ttl = 60,
                                .block_size = BLOCK,
                                .bits = 1,
                                .token = {1},
                                .first = UPLOAD_BLOCKS_MAX};
    struct upload_finished done[UPLOAD_BLOCKS_MAX];
    struct upload_created created;
    uint64_t numbers[NODES];
    uint32_t crc;

    struct txn *txn = begin ();
    ck_ok (upload_create (txn, &ask, &placer, &created, E));
    commit (&txn);
    for (size_t i = 0; i < named; i++)
        numbers[i] = nodes[i];
    for (uint32_t i = 0; i < blocks; i++) {
        uint64_t block = created.blocks[i].block;
        done[i] = (struct upload_finished){.index = i,
                                           .block = block,
                                           .size = BLOCK,
                                           .crc = (uint32_t) block + 7,
                                           .nodes = numbers,
                                           .nodes_count = named};
        for (size_t n = 0; n < count; n++)
            put_block (nodes[n], (struct disk_block){block, (uint32_t) block + 7});
    }
    struct upload_commit last = {.file = created.file,
                                 .token = {1},
                                 .size = ask.size,
                                 .count = blocks,
                                 .done = done,
                                 .done_count = blocks,
                                 .delay_ms = DELAY_MS};
    txn = begin ();
    ck_ok (upload_commit (txn, &last, &crc, E));
    commit (&txn);
    return uuid_v8_number (&created.file);
}

static inline void
set_replica (const char *path, uint32_t replica)
{
    struct txn *txn = begin ();

    ck_ok (namespace_set_replica (txn, S (path), replica, NULL, E));
    commit (&txn);
}

static inline struct block_row
block_of (uint64_t inode, uint32_t index)
{
    struct block_row row;
    struct txn *txn = begin_read ();

    ck_ok (block_row_get (txn, inode, index, &row, E));
    txn_abort (&txn);
    return row;
}

static inline size_t
holders_of (uint64_t inode)
{
    return block_of (inode, 0).nodes_count;
}

/* How many data nodes have a copy on their disks. */
static inline unsigned
copies_of (uint64_t block)
{
    unsigned count = 0;

    for (uint32_t node = 1; node <= NODES; node++)
        count += has (node, block);
    return count;
}

/* A file that everybody has reported. */
static inline uint64_t
settled_file (const char *path, uint32_t replica, const uint32_t *nodes, size_t count)
{
    uint64_t inode = write_file (path, replica, 1, nodes, count, count);

    for (uint32_t node = 1; node <= NODES; node++)
        report (node, THINGS_MAX);
    return inode;
}

/* A node's orders that are out. */
static inline size_t
orders_of (uint32_t node, struct order_row *out)
{
    struct txn *txn = begin_read ();
    size_t count;

    ck_ok (orders_after (txn, node, 0, out, 16, &count, E));
    txn_abort (&txn);
    return count;
}

/* ---- the fixture --------------------------------------------------------------------------------- */

/* Before nodes come: room and zones of each may be set between this and cluster_begin. */
static inline void
cluster_prepare (void)
{
    store_setup ();
    memset (&cluster, 0, sizeof cluster);
    fake_clock_init (&cluster.clock, fixture.frame.now_ms, fixture.frame.wall_ms);
    cluster.streams = COPIES_NODE_MAX;
    cluster.nodes = nodes_new (fixture.frame.wall_ms);
    ck_assert_ptr_nonnull (cluster.nodes);
    new_repair ();
    for (uint32_t node = 1; node <= NODES; node++)
        cluster.free_bytes[node] = 1 << 29;
    struct txn *txn = begin ();
    for (uint32_t node = 1; node <= NODES; node++)
        add_node (txn, node);
    commit (&txn);
    look_at_nodes ();
}

static inline void
cluster_setup (void)
{
    cluster_prepare ();
    for (uint32_t node = 1; node <= NODES; node++)
        come (node);
}

static inline void
cluster_teardown (void)
{
    repair_destroy (&cluster.repair);
    nodes_view_release (&cluster.view);
    nodes_destroy (&cluster.nodes);
    store_teardown ();
}

#endif
