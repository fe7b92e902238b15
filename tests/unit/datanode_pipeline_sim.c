/* SPDX-License-Identifier: MIT */
/*
 * Thousands of short lives of a few nodes that write blocks down a chain, each from its seed.  A case is a
 * kind of weather: none, slow disks and pauses, a network that loses and doubles, disks that fail, nodes
 * that crash and come back, memory that is short, all of it.
 *
 * What the world checks at every moment is said in its header.  Here is checked besides: in good weather
 * every node gets its copy and nobody is passed over; every write ends, and soon after the last fault; at
 * the end, when everybody had time, nothing is left anywhere.  PIPELINE_SEED runs one seed of each case
 * and tells what happens.
 */
#include "datanode_pipeline_world.h"

#include "unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS 400 // of each case; PIPELINE_RUNS asks for more
#define PENDING 8
#define ASK_MS 1500
#define GIVE_UP_MS 600000 // no write takes so long

enum client_state { CLIENT_WRITING, CLIENT_DURABLE, CLIENT_FAILED };

/* Who writes one block to the chain that begins with `node`. */
struct client {
    uint64_t block;
    uint32_t node;
    uint64_t chain[WORLD_NODES];
    size_t chain_count;
    enum client_state state;
    int error;
    uint64_t next;
    uint64_t acked;
    uint64_t limit;
    size_t pending[PENDING];
    size_t pending_count;
    bool asking;
    bool rewind;
    bool all_sent;
    int64_t heard_ms;
    int64_t resume_ms;
    int64_t ended_ms;
    struct pipeline_replica replicas[WORLD_NODES];
    size_t replica_count;
};

struct weather {
    const char *name;
    bool slow;      // disks
    bool stalls;    // shorter than pipeline_timeout
    bool lossy;     // network
    bool bad_disks; // at later nodes
    bool crashes;
    bool stops; // long stalls
    bool tight; // memory, and several blocks at once
    bool copies;
    bool forgets;
    bool all_copies; // everybody gets one
};

static struct world world;
static struct client clients[WORLD_BLOCKS + 1];
static size_t client_count;

/* ---- a client --------------------------------------------------------------------------------- */

static void
forget_pending (struct client *client)
{
    client->pending_count = 0;
    client->asking = false;
}

static void
ask (struct client *client, uint64_t wait_ms)
{
    forget_pending (client);
    client->asking = true;
    client->heard_ms = world.now_ms;
    client->pending[client->pending_count++] =
        world_stat (&world, client->node, client->block, wait_ms);
}

static void
send_chunk (struct client *client)
{
    uint64_t left = world.size[client->block] - client->next;
    size_t size = left < WORLD_CHUNK ? (size_t) left : WORLD_CHUNK;
    bool last = size == left;

    client->pending[client->pending_count++] =
        world_write (&world, client->node, client->block, client->next, size, last,
                     client->chain, client->chain_count);
    client->next += size;
    client->all_sent = last;
}

/* Do what can be done now. */
static void
push (struct client *client)
{
    if (client->state != CLIENT_WRITING || world.nodes[client->node].pipeline == NULL)
        return;
    if (client->rewind && world.now_ms >= client->resume_ms) {
        client->rewind = false;
        ask (client, 0);
    }
    if (client->rewind)
        return;
    if (client->pending_count > 0 && world.now_ms - client->heard_ms >= ASK_MS)
        ask (client, 0);
    if (client->asking)
        return;
    if (client->all_sent && client->pending_count == 0)
        ask (client, 1000);
    while (!client->all_sent && client->pending_count < PENDING &&
           (client->pending_count == 0 || client->next + WORLD_CHUNK <= client->limit)) {
        if (client->pending_count == 0)
            client->heard_ms = world.now_ms;
        send_chunk (client);
    }
}

static void
end (struct client *client, enum client_state state, int error)
{
    client->state = state;
    client->error = error;
    client->ended_ms = world.now_ms;
    world_say (&world, "block %" PRIu64 " ends: %s", client->block,
               state == CLIENT_DURABLE ? "durable" : err_word (error));
}

static void
take_error (struct client *client, int error)
{
    if (error != LITEDFS_GAP && error != LITEDFS_BUSY && error != LITEDFS_CORRUPT) {
        end (client, CLIENT_FAILED, error);
        return;
    }
    client->rewind = true;
    client->resume_ms = world.now_ms + 50;
    forget_pending (client);
}

static void
take_state (struct client *client, const struct letter *reply, bool asked)
{
    const struct pipeline_state *state = &reply->state;

    if (state->state == REPLICA_DURABLE || state->state == REPLICA_FAILED) {
        memcpy (client->replicas, reply->replicas, sizeof client->replicas);
        client->replica_count = reply->replica_count;
        if (state->state == REPLICA_DURABLE)
            CHECK (&world,
                   state->size == world.size[client->block] &&
                       state->crc32 == world.crc[client->block],
                   "size %" PRIu64, state->size);
        end (client, state->state == REPLICA_DURABLE ? CLIENT_DURABLE : CLIENT_FAILED,
             LITEDFS_FAILED);
        return;
    }
    bool has_all = state->state == REPLICA_SYNCING ||
                   (state->state == REPLICA_RECEIVING && state->credit == 0);
    if (asked && !(client->all_sent && has_all)) {
        client->next = client->acked = state->offset;
        client->limit = state->offset + state->credit;
        client->all_sent = false;
    }
    if (state->offset > client->acked)
        client->acked = state->offset;
    if (state->offset + state->credit > client->limit)
        client->limit = state->offset + state->credit;
}

void
world_reply (struct world *self, const struct letter *reply)
{
    struct client *client = &clients[reply->block];
    size_t i = 0;

    while (i < client->pending_count && client->pending[i] != reply->request)
        i++;
    if (i == client->pending_count || client->state != CLIENT_WRITING)
        return; // of a request that was given up
    client->pending[i] = client->pending[--client->pending_count];
    client->heard_ms = self->now_ms;
    bool asked = client->asking;
    client->asking = false;
    if (reply->error != 0)
        take_error (client, reply->error);
    else
        take_state (client, reply, asked);
}

/* ---- weather ---------------------------------------------------------------------------------- */

static uint32_t
some_node (void)
{
    return 1 + (uint32_t) world_dice (&world, (int) world.node_count);
}

/* Blocks that begin anywhere and go on in any order. */
static void
set_up_clients (size_t count)
{
    client_count = count;
    memset (clients, 0, sizeof clients);
    for (size_t i = 1; i <= count; i++) {
        struct client *client = &clients[i];
        uint64_t nodes[WORLD_NODES] = {1, 2, 3, 4};
        for (size_t j = 0; j < world.node_count; j++) {
            size_t other = j + (size_t) world_dice (&world, (int) (world.node_count - j));
            uint64_t node = nodes[j];
            nodes[j] = nodes[other];
            nodes[other] = node;
        }
        client->block = i;
        client->node = (uint32_t) nodes[0];
        client->chain_count = world.node_count - 1;
        memcpy (client->chain, nodes + 1, client->chain_count * sizeof *nodes);
        uint64_t units = 1 + (uint64_t) world_dice (&world, i == 1 ? 20 : 8);
        world_block (&world, i, units * CRC_UNIT - (uint64_t) world_dice (&world, 2) * 1000);
    }
}

static void
set_up (const struct weather *weather, uint64_t seed)
{
    struct rng rng;
    uint64_t memory = (uint64_t) 4 << 20;

    rng_seed (&rng, seed * 7919);
    if (weather->tight)
        memory = (8 + rng_below (&rng, 8)) * CRC_UNIT;
    world_init (&world, seed, 1 + (size_t) rng_below (&rng, WORLD_NODES), memory);
    world.name = weather->name;
    world.trace = getenv ("PIPELINE_SEED") != NULL;
    set_up_clients (weather->tight ? WORLD_BLOCKS : 1 + rng_below (&rng, 2));
    if (weather->lossy) {
        world.faults_end_ms = world.now_ms + 10000;
        world.lose_percent = (int) rng_below (&rng, 30);
        world.double_percent = (int) rng_below (&rng, 20);
        world.delay_ms = (int) rng_below (&rng, 100);
    }
    for (uint32_t i = 1; i <= world.node_count; i++) {
        if (weather->slow && rng_below (&rng, 2)) {
            world.nodes[i].write_ms = (int) rng_below (&rng, 3000);
            world.nodes[i].sync_ms = (int) rng_below (&rng, 20000);
        }
        if (weather->bad_disks && rng_below (&rng, 2))
            world.nodes[i].fail_percent = (int) rng_below (&rng, 30);
    }
}

/* Now and then something happens. */
static void
befall (const struct weather *weather)
{
    uint32_t node = some_node ();
    int dice = world_dice (&world, 100);

    if (weather->stalls && dice < 10)
        world_stall (&world, node, 100 + world_dice (&world, 3000));
    else if (weather->stops && dice < 20)
        world_stall (&world, node, 1000 + world_dice (&world, 20000));
    else if (weather->crashes && dice < 30)
        world_crash (&world, node);
    else if (weather->crashes && dice < 60)
        world_restart (&world, node);
    else if (weather->copies && dice < 80)
        world_copy (&world, node, 1 + (uint64_t) world_dice (&world, (int) client_count),
                    node % (uint32_t) world.node_count + 1);
    else if (weather->forgets && dice < 85)
        world_forget (&world, node, 1 + (uint64_t) world_dice (&world, (int) client_count));
}

/* ---- a life ----------------------------------------------------------------------------------- */

static bool
all_ended (void)
{
    for (size_t i = 1; i <= client_count; i++)
        if (clients[i].state == CLIENT_WRITING && world.nodes[clients[i].node].pipeline != NULL)
            return false;
    return true;
}

/* How long a write may take after the last fault: each node that befell something may cost
 * pipeline_timeout, and slow disks their time. */
static int64_t
allowance_ms (const struct weather *weather)
{
    int64_t ms = 2000 + (int64_t) world.node_count * PIPELINE_TIMEOUT_MS;

    if (weather->slow)
        ms += 150000;
    return ms;
}

static void
check_clients (const struct weather *weather)
{
    for (size_t i = 1; i <= client_count; i++) {
        const struct client *client = &clients[i];
        bool first_fell = world.nodes[client->node].restarts > 0;
        if (client->state == CLIENT_FAILED)
            CHECK (&world, weather->bad_disks || weather->forgets || first_fell,
                   "block %zu: %s", i, err_word (client->error));
        if (!weather->all_copies)
            continue;
        CHECK (&world, client->replica_count == world.node_count, "block %zu", i);
        for (size_t j = 0; j < client->replica_count; j++)
            CHECK (&world, client->replicas[j].state == REPLICA_DURABLE, "block %zu, node %u",
                   i, client->replicas[j].node);
    }
    if (weather->all_copies)
        CHECK (&world, world.passed == 0, "%u were passed over", world.passed);
}

static void
live (const struct weather *weather, uint64_t seed)
{
    set_up (weather, seed);
    int64_t began_ms = world.now_ms;
    int64_t trouble_ms = began_ms + 15000;
    int64_t next_ms = began_ms;
    while (!all_ended () || world.now_ms < began_ms + 2000) {
        for (size_t i = 1; i <= client_count; i++)
            push (&clients[i]);
        if (world.now_ms >= next_ms && world.now_ms < trouble_ms)
            befall (weather);
        if (world.now_ms >= next_ms)
            next_ms = world.now_ms + 50;
        world_step (&world, next_ms);
        int64_t last_ms = world.last_fault_ms > began_ms ? world.last_fault_ms : began_ms;
        CHECK (&world, world.now_ms - last_ms < 1000 + allowance_ms (weather),
               "a write does not end");
        for (size_t i = 1; i <= client_count; i++)
            if (clients[i].state != CLIENT_WRITING && clients[i].ended_ms == world.now_ms)
                CHECK (&world, world.now_ms - last_ms < allowance_ms (weather),
                       "block %zu ended late", i);
    }
    check_clients (weather);
    for (uint32_t i = 1; i <= world.node_count; i++)
        world_restart (&world, i);
    for (int64_t end_ms = world.now_ms + GIVE_UP_MS; world.now_ms < end_ms;)
        world_step (&world, end_ms);
    world_check_empty (&world);
    world_free (&world);
}

/* The runs of a case: of this weather, or with `mixed` of one that the seed makes. */
static void
run_seeds (const struct weather *weather, void (*mixed) (uint64_t seed))
{
    const char *one = getenv ("PIPELINE_SEED");
    const char *only = getenv ("PIPELINE_WEATHER");
    const char *runs = getenv ("PIPELINE_RUNS");
    uint64_t first = one != NULL ? strtoull (one, NULL, 10) : 1;
    uint64_t last = one != NULL ? first : runs != NULL ? strtoull (runs, NULL, 10) : RUNS;
    unsigned passed = 0;
    unsigned copied = 0;

    if (only != NULL && strcmp (only, weather->name) != 0)
        return;
    for (uint64_t seed = first; seed <= last; seed++) {
        if (mixed != NULL)
            mixed (seed);
        else
            live (weather, seed);
        passed += world.passed;
        copied += world.copies_good;
    }
    if (one != NULL)
        return;
    ck_assert_msg (passed > 0 || weather->all_copies, "nobody was passed over");
    ck_assert_msg (copied > 0 || !weather->copies, "nothing was copied");
}

static void
live_often (const struct weather *weather)
{
    run_seeds (weather, NULL);
}

START_TEST (in_good_weather_everybody_gets_a_copy)
{
    live_often (&(struct weather){.name = "good", .all_copies = true});
}
END_TEST

START_TEST (slow_disks_and_short_pauses_cost_nobody_its_part)
{
    live_often (
        &(struct weather){.name = "slow", .slow = true, .stalls = true, .all_copies = true});
}
END_TEST

START_TEST (nodes_that_write_to_each_other_do_not_wait_for_one_another)
{
    live_often (&(struct weather){.name = "tight", .tight = true, .all_copies = true});
}
END_TEST

START_TEST (what_the_network_loses_is_sent_again)
{
    live_often (&(struct weather){.name = "lossy", .lossy = true});
}
END_TEST

START_TEST (nodes_whose_disks_fail_pass_chunks_on)
{
    live_often (&(struct weather){.name = "disks", .bad_disks = true});
}
END_TEST

START_TEST (stopped_and_crashed_nodes_are_linked_round)
{
    live_often (&(struct weather){.name = "crashes", .crashes = true, .stops = true});
}
END_TEST

START_TEST (blocks_are_copied_by_order_through_all_of_it)
{
    live_often (&(struct weather){
        .name = "copies", .lossy = true, .crashes = true, .stops = true, .copies = true});
}
END_TEST

/* A part of everything, another one for each seed. */
static void
live_mixed (uint64_t seed)
{
    uint64_t bits = seed * UINT64_C (0x9e3779b97f4a7c15) >> 32;
    struct weather weather = {.name = "mixed",
                              .slow = bits & 1,
                              .stalls = bits & 2,
                              .lossy = bits & 4,
                              .bad_disks = bits & 8,
                              .crashes = bits & 16,
                              .stops = bits & 32,
                              .tight = bits & 64,
                              .copies = bits & 128,
                              .forgets = bits & 256};

    live (&weather, seed);
}

START_TEST (in_any_mixture_what_was_said_is_true)
{
    run_seeds (&(struct weather){.name = "mixed"}, live_mixed);
}
END_TEST

START_TEST (in_all_weathers_at_once_what_was_said_is_true)
{
    live_often (&(struct weather){.name = "all",
                                  .slow = true,
                                  .stalls = true,
                                  .lossy = true,
                                  .bad_disks = true,
                                  .crashes = true,
                                  .stops = true,
                                  .tight = true,
                                  .copies = true,
                                  .forgets = true});
}
END_TEST

UNIT_MAIN ("datanode_pipeline_sim", in_good_weather_everybody_gets_a_copy,
           slow_disks_and_short_pauses_cost_nobody_its_part,
           nodes_that_write_to_each_other_do_not_wait_for_one_another,
           what_the_network_loses_is_sent_again, nodes_whose_disks_fail_pass_chunks_on,
           stopped_and_crashed_nodes_are_linked_round,
           blocks_are_copied_by_order_through_all_of_it, in_any_mixture_what_was_said_is_true,
           in_all_weathers_at_once_what_was_said_is_true)
