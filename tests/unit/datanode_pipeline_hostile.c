/* SPDX-License-Identifier: MIT */
/*
 * Peers that send whatever they like: chunks with any chain, offset and sender, acks with any lines, at
 * any time, among honest ones; a disk that fails; a clock that jumps.  Nothing of it may crash, grow or
 * hang a node: memory keeps its limit, every request has one answer, every payload comes back, and when
 * they are done nothing is left.
 */
#include "datanode_pipeline_fixture.h"

#define ROUNDS 400
#define STEPS 300
#define MEMORY (8 * MIB)
#define BLOCKS 6

static struct rng rng;

static uint64_t
dice (uint64_t below)
{
    return rng_below (&rng, below);
}

/* An offset as peers send them: near, far, and beyond everything. */
static uint64_t
some_offset (void)
{
    switch (dice (8)) {
    case 0:
        return UINT64_MAX - dice (3);
    case 1:
        return WIRE_MAX - dice (3);
    case 2:
        return dice (8 * UNIT);
    default:
        return dice (8) * UNIT;
    }
}

static uint32_t
some_node (void)
{
    return dice (20) == 0 ? (uint32_t) rng_next (&rng) : (uint32_t) dice (6);
}

static void
some_chunk (void)
{
    uint64_t chain[3];
    struct pipeline_chunk chunk = chunk_of (1 + dice (BLOCKS), 0, (1 + dice (2)) * UNIT, false);
    struct pipeline_known known = {
        .finished = dice (30) == 0, .size = 1 + dice (8 * UNIT), .buried = dice (30) == 0};

    chunk.from = dice (2) ? some_node () : 0;
    chunk.offset = dice (4) ? dice (6) * UNIT : some_offset ();
    chunk.last = dice (4) == 0;
    chunk.copy = dice (8) == 0;
    if (dice (10) == 0)
        chunk.size = dice (UNIT);
    if (dice (20) == 0)
        chunk.size = 0;
    chunk.crc32 = crc32_of (0, bytes, chunk.size);
    if (dice (20) == 0)
        chunk.crc32++;
    chunk.chain_count = dice (4);
    chunk.chain = chain;
    for (size_t i = 0; i < chunk.chain_count; i++)
        chain[i] = dice (8) ? 2 + i : some_node ();
    compared.kind = 0;
    send_chunk (&chunk, &known);
    if (compared.kind == PIPELINE_COMPARE) {
        pipeline_compared (pipeline, compared.block, compared.token, dice (2), &known, NULL);
        drain ();
    }
}

static void
some_ack (void)
{
    static const int failures[] = {LITEDFS_GAP, LITEDFS_BUSY,   LITEDFS_CORRUPT, LITEDFS_IO,
                                   -1000,       LITEDFS_EXISTS, LITEDFS_INVALID};
    struct pipeline_replica lines[PIPELINE_NODES_MAX];
    struct pipeline_ack ack = {.block = 1 + dice (BLOCKS),
                               .credit = dice (4) ? dice (4 * MIB) : rng_next (&rng),
                               .replicas = lines,
                               .replica_count = dice (8) ? 1 + dice (3) : dice (64)};

    for (size_t i = 0; i < ack.replica_count; i++)
        lines[i] = (struct pipeline_replica){.node = dice (4) ? 2 + (uint32_t) i : some_node (),
                                             .state = (enum replica_state) dice (7),
                                             .offset = some_offset (),
                                             .awaits = some_node ()};
    ack.from = ack.replica_count > 0 && dice (8) ? lines[0].node : some_node ();
    if (dice (3) == 0)
        ack.failure = failures[dice (sizeof failures / sizeof *failures)];
    if (dice (2))
        ack.why = "it says so";
    pipeline_acked (pipeline, now_ms, &ack);
    drain ();
}

/* The disk goes on by one write, if there is one. */
static void
disk_goes_on (void)
{
    if (write_done == write_count)
        return;
    struct pipeline_action done = writes[write_done];
    int number = dice (16) == 0 ? LITEDFS_IO : 0;
    disk_writes (number);
    if (done.last && number == 0)
        disk_is_durable (done.block, dice (8) == 0 ? LITEDFS_IO : 0);
}

static void
some_copy (void)
{
    struct pipeline_copy copy = {.block = 1 + dice (BLOCKS),
                                 .size = UNIT,
                                 .crc32 = crc32_of (0, bytes, UNIT),
                                 .file.bytes = {1},
                                 .path = slice_str ("/a"),
                                 .target = some_node ()};
    litedfs_error_t error;

    pipeline_start_copy (pipeline, now_ms, &copy, &error);
    drain ();
}

/* Bytes that were asked for, or that nobody asked for. */
static void
some_read (void)
{
    void *payload = new_payload ();
    uint64_t block = dice (2) ? reading.block : 1 + dice (BLOCKS);

    payload_taken (payload, pipeline_was_read (pipeline, now_ms, block, reading.offset, bytes,
                                               reading.size, payload, NULL));
    drain ();
}

static void
step (void)
{
    switch (dice (16)) {
    case 0:
    case 1:
    case 2:
        some_ack ();
        break;
    case 3:
    case 4:
    case 5:
        disk_goes_on ();
        break;
    case 6:
        tick ((int64_t) dice (8000));
        break;
    case 7:
        stat_block (1 + dice (BLOCKS), dice (1001));
        break;
    case 8:
        if (dice (8) == 0)
            pipeline_forget (pipeline, now_ms, 1 + dice (BLOCKS));
        else
            pipeline_forgive (pipeline, now_ms, (int64_t) dice (20000));
        drain ();
        break;
    case 9:
        if (dice (4) == 0)
            lose (some_node ());
        break;
    case 10:
        some_copy ();
        break;
    case 11:
        some_read ();
        break;
    default:
        some_chunk ();
        break;
    }
    ck_assert_uint_le (pipeline_reserved (pipeline), MEMORY);
}

/* Nobody sends any more; the disk ends its work. */
static void
end_all (void)
{
    while (write_done < write_count)
        disk_goes_on ();
    for (int i = 0; i < 100 && pipeline_next_deadline (pipeline) != INT64_MAX; i++)
        tick (WRITE_TIMEOUT_MS / 4);
    ck_assert_int_eq (pipeline_next_deadline (pipeline), INT64_MAX);
    ck_assert_uint_eq (pipeline_block_count (pipeline), 0);
    ck_assert_uint_eq (pipeline_reserved (pipeline), 0);
    for (uint64_t block = 1; block <= BLOCKS; block++)
        ck_assert (!pipeline_has (pipeline, block));
}

START_TEST (whatever_peers_send_a_node_keeps_its_bounds)
{
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        rng_seed (&rng, seed);
        make_pipeline (MEMORY);
        for (int i = 0; i < STEPS; i++)
            step ();
        end_all ();
        forget_all ();
    }
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_pipeline_hostile", setup, teardown,
                   whatever_peers_send_a_node_keeps_its_bounds)
