/* SPDX-License-Identifier: MIT */
/*
 * Every state that a block can be in here, and in each what may happen then: in every order of all
 * these events, of all but one (it is lost), and of all and one of them again (it is doubled, or late).
 * After each event what was said is held against what is true of the disk and of the other nodes.  After
 * each order a writer that retries, a disk that works and nodes that answer bring the block to its end,
 * and nobody may have lost a copy on the way without an excuse.  This is node 1; the chain is 2, 3.
 *
 * Events are words; the first letter and the number count: put piece N (3: the end without bytes, 7: only
 * a sign of life; 16 more: with other bytes, 32: with a wrong CRC); order: another node begins to put, by
 * order; stat and wait N ms; have: the block is finished; the disk does N things, or fails to; copy to node
 * 2, for which it reads, or cannot (unread); bury by order; wait N ms; node N answers what is true; mute N:
 * nothing reaches it until then; new N: it lost what it had; kill N: it dies unseen; lose N: seen.  2r1,3u0
 * is an ack: 2 is receiving and has one unit (3: all), 3 is unknown; s: syncing, d: durable, x: a relay;
 * !gap, !busy, !corrupt: it refuses.
 */
#include "datanode_pipeline_fixture.h"

#define CLIENT 0
#define NODE 9
#define END (2 * UNIT + 100)
#define ODD 16
#define TORN 32
#define WORDS 7

/* A state, how a block comes into it, and what may happen then. */
static const struct step {
    uint32_t writer;               // CLIENT, NODE, or SELF of a copy from here
    size_t chain_count;            // how many shall follow
    enum replica_state state, own; // as a stat shows it: the block's, the own copy's
    const char *reach, *events;
} * step;

static struct disk {
    uint64_t given, written; // bytes that it was to write, that it has
    bool given_last, syncs;  // it has all, and pipeline_durable is to follow
    bool durable, failed;
    int64_t back_ms; // when it last did something
} disk;

static struct peer {
    uint64_t has, said;           // bytes; the most that it ever said
    bool asked, ended, mute, gap; // it was sent something, the end; it lacks something before
    bool durable, relay, dead, alone; // alone: it does not serve node 3
    bool passed, excused, told;       // told: it was said to be durable
    int64_t gap_ms, heard_ms;
} peers[NODE + 1];

static struct {
    bool buried, by_order, refused; // the writer was told that it is over
    bool own_excused, excused; // there is a reason why this node has no copy; why nobody has
    uint64_t taken, acked;
    int64_t wrote_ms;
    unsigned copies, copies_seen, abandons_seen;
    size_t writes_seen, passed_seen, forwards_seen, acks_seen;
    bool seen[TOKENS]; // answers
} truth;

static uint64_t until[TOKENS]; // so much is to be written before it is answered
static uint32_t whole_crc, crcs[4];
static char story[1024]; // what happened
static char words[WORDS][16];
static int events[WORDS + 1], order[WORDS + 1];

// Without Check's note of each place that is passed: it would take most of the time.
#define HOLDS(truth) ((truth) ? (void) 0 : ck_abort_msg ("not so: %s; after%s", #truth, story))
#define PASSES(error)                                                                          \
    (error == 0 || error == LITEDFS_GAP || error == LITEDFS_BUSY || error == LITEDFS_CORRUPT)
#define MAY_FAIL (truth.excused || (truth.own_excused && peers[2].excused && peers[3].excused))

/* ---- whether it is what was said ---------------------------------------------------------------- */

static void
watch_disk (void)
{
    if (abandoned != truth.abandons_seen) {
        HOLDS (abandoned == ++truth.abandons_seen);
        HOLDS (write_done == write_count && !disk.syncs && !disk.durable);
        disk = (struct disk){.back_ms = disk.back_ms};
    }
    for (; truth.writes_seen < write_count; truth.writes_seen++) {
        const struct pipeline_action *action = &writes[truth.writes_seen];
        if (disk.given == 0) { // it begins, perhaps anew
            truth.acked = peers[2].passed = peers[3].passed = peers[2].told = peers[3].told = 0;
            truth.buried = truth.buried && !truth.by_order;
        }
        HOLDS (!disk.failed && !disk.given_last && action->offset == disk.given);
        HOLDS (action->size == 0 || action->units[0] == crcs[action->offset / UNIT]);
        disk.given += action->size;
        disk.given_last = action->last;
        HOLDS (!action->last || disk.given == END);
    }
}

static void
watch_chain (void)
{
    for (; truth.passed_seen < passed_count; truth.passed_seen++) {
        struct peer *peer = &peers[passed[truth.passed_seen % SENT]];
        HOLDS (peer->excused && !peer->passed && !peer->told);
        peer->passed = true;
    }
    for (; truth.forwards_seen < forward_count; truth.forwards_seen++) {
        const struct pipeline_action *action = &forwards[truth.forwards_seen % SENT].action;
        struct peer *peer = &peers[action->node];
        uint64_t end = action->offset + action->size;
        HOLDS (!peer->passed && (!action->last || end == END));
        HOLDS (action->chain_count == (action->node == 2 && step->chain_count == 2));
        HOLDS (action->size == 0 ||
               action->crc32 ==
                   (action->size == END ? whole_crc : crcs[action->offset / UNIT]));
        peer->asked = true;
        if (!peer->mute && action->offset <= peer->has) {
            peer->has = end > peer->has ? end : peer->has;
            peer->ended = peer->ended || action->last;
        } else if (!peer->mute) {
            peer->gap = true;
        }
    }
}

/* What is said of each copy, the own one first, and in an answer of all of them. */
static void
check_lines (const struct pipeline_replica *lines, size_t count,
             const struct pipeline_state *all)
{
    enum replica_state own = lines[0].state;
    bool durable = false;

    HOLDS (own != REPLICA_DURABLE || disk.durable);
    HOLDS (own != REPLICA_SYNCING || disk.written == END);
    HOLDS (own != REPLICA_FAILED || MAY_FAIL);
    HOLDS (own >= REPLICA_FAILED || lines[0].offset <= disk.written);
    HOLDS (own != REPLICA_RELAY || (truth.own_excused && lines[0].offset <= truth.taken));
    for (size_t i = 0; i < count; i++) {
        struct peer *peer = &peers[lines[i].node];
        enum replica_state state = lines[i].state;
        peer->told = peer->told || state == REPLICA_DURABLE;
        durable = durable || state == REPLICA_DURABLE;
        HOLDS (i == 0 || state != REPLICA_DURABLE || peer->durable);
        HOLDS (i == 0 || state != REPLICA_RELAY || peer->relay);
        HOLDS (i == 0 || state != REPLICA_FAILED || (peer->excused && !peer->told));
        HOLDS (i == 0 || lines[i].offset <= peer->said);
        if (all == NULL || truth.copies > 0)
            continue;
        HOLDS (state >= REPLICA_FAILED || all->offset <= lines[i].offset);
        HOLDS (state >= REPLICA_DURABLE || all->state != REPLICA_DURABLE);
    }
    HOLDS (all == NULL || all->state != REPLICA_DURABLE ||
           (durable && all->size == END && all->offset == END && all->crc32 == whole_crc));
}

static void
watch_answers (void)
{
    for (uint64_t token = 0; token < next_token; token++) {
        const struct pipeline_state *state = &answer_state[token];
        HOLDS (answers[token] <= 1);
        if (answers[token] == 0 || truth.seen[token])
            continue;
        truth.seen[token] = true;
        truth.refused = truth.refused || !PASSES (answer_error[token]);
        HOLDS (answer_error[token] == 0 || answer_text[token][0] != '\0');
        if (answer_error[token] != 0)
            continue;
        check_lines (answer_lines[token], answer_count[token], state);
        if (state->state == REPLICA_UNKNOWN || state->state == REPLICA_FAILED)
            continue;
        HOLDS (state->offset >= truth.acked && state->offset >= until[token]);
        truth.acked = state->offset;
    }
    for (; truth.acks_seen < ack_count; truth.acks_seen++) {
        const struct sent_ack *ack = &acks[truth.acks_seen % SENT];
        truth.refused = truth.refused || !PASSES (ack->action.error);
        check_lines (ack->replicas, ack->action.replica_count, NULL);
        HOLDS (ack->replicas[0].state != REPLICA_FAILED || ack->action.error != 0);
    }
}

static void
watch (void)
{
    if (compared.kind == PIPELINE_COMPARE) {
        bool equal = compared.crc32 == crc32_of (0, bytes + compared.offset, compared.size);
        compared.kind = 0;
        pipeline_compared (pipeline, BLOCK, compared.token, equal,
                           &(struct pipeline_known){true, END, whole_crc, false}, NULL);
    }
    drain ();
    if (copied_count != truth.copies_seen) {
        HOLDS (copied_count == ++truth.copies_seen && copied_count <= truth.copies);
        HOLDS (copied.error == 0 ? peers[2].durable : peers[2].excused || truth.excused);
    }
    watch_disk ();
    watch_chain ();
    watch_answers ();
    HOLDS (pipeline_reserved (pipeline) <= 36 * MIB);
    if (truth.buried && disk.given == disk.written && write_done == write_count && !disk.syncs)
        disk = (struct disk){.back_ms = disk.back_ms}; // the block store has deleted it
}

/* ---- it happens --------------------------------------------------------------------------------- */

static void
put_piece (uint64_t what)
{
    static const uint64_t chain[] = {2, 3};
    static const uint64_t ends[8] = {UNIT, 2 * UNIT, END, END};
    static const size_t sizes[8] = {UNIT, UNIT, 100};
    uint64_t end = ends[what % ODD], size = sizes[what % ODD];
    struct pipeline_chunk chunk = chunk_of (BLOCK, end - size, 0, end == END);
    struct pipeline_known known = {disk.durable && !truth.buried, END, whole_crc, truth.buried};

    chunk.data = bytes + chunk.offset + (what & ODD ? 1 : 0);
    chunk.size = size;
    chunk.crc32 = what & ODD ? crc32_of (0, chunk.data, chunk.size) : crcs[what % 4];
    chunk.crc32 ^= (uint32_t) (what & TORN);
    chunk.from = step->writer == NODE || truth.by_order ? NODE : CLIENT;
    chunk.copy = truth.by_order;
    chunk.chain = chain;
    chunk.chain_count = truth.by_order ? 0 : step->chain_count;
    truth.wrote_ms = now_ms;
    truth.taken = end > truth.taken ? end : truth.taken;
    until[next_token] = end == END ? 0 : end;
    send_chunk (&chunk, &known);
    watch ();
}

static void
look (uint64_t wait_ms)
{
    struct pipeline_known known = {disk.durable && !truth.buried, END, whole_crc, truth.buried};

    truth.wrote_ms = now_ms;
    until[next_token] = 0;
    pipeline_stat (pipeline, now_ms, BLOCK, wait_ms, &known, next_token++);
    watch ();
}

static void
disk_goes_on (bool fails)
{
    if (write_done == write_count && !disk.syncs)
        return;
    disk.failed = disk.failed || fails;
    truth.own_excused = truth.own_excused || disk.failed;
    disk.back_ms = now_ms;
    if (disk.syncs) {
        disk.syncs = false;
        disk.durable = !fails;
        disk_is_durable (BLOCK, fails ? LITEDFS_IO : 0);
    } else {
        disk.written += disk.failed ? 0 : writes[write_done].size;
        disk.syncs = !disk.failed && writes[write_done].last;
        disk_writes (disk.failed ? LITEDFS_IO : 0);
    }
    watch ();
}

static void
disk_reads (bool fails)
{
    litedfs_error_t error = {.number = LITEDFS_IO, .text = "the disk says no"};

    if (reading.kind != PIPELINE_READ)
        return;
    reading.kind = 0;
    truth.excused = truth.excused || fails;
    void *payload = new_payload ();
    payload_taken (payload, pipeline_was_read (pipeline, now_ms, BLOCK, 0, bytes, END, payload,
                                               fails ? &error : NULL));
}

/* What a node says is true then, or was.  That it lacks what it had is believed when it says so again. */
static void
deliver (int failure, uint64_t credit, const struct pipeline_replica *lines, size_t count)
{
    struct peer *from = &peers[lines[0].node];
    bool again = from->gap_ms > 0 && now_ms - from->gap_ms >= 200;

    for (size_t i = 0; i < count; i++) {
        struct peer *peer = &peers[lines[i].node];
        peer->said = lines[i].offset > peer->said ? lines[i].offset : peer->said;
        peer->has = lines[i].offset > peer->has ? lines[i].offset : peer->has;
        peer->durable = peer->durable || lines[i].state == REPLICA_DURABLE;
        peer->ended = peer->ended || peer->durable || lines[i].state == REPLICA_SYNCING;
        peer->relay = peer->relay || lines[i].state == REPLICA_RELAY;
        peer->dead = peer->dead || lines[i].state == REPLICA_FAILED;
        peer->excused = peer->excused || peer->relay || peer->dead;
    }
    from->excused = from->excused || (failure == LITEDFS_GAP && again);
    from->gap_ms = failure == LITEDFS_GAP && from->gap_ms == 0 ? now_ms : from->gap_ms;
    from->heard_ms = now_ms;
    from->alone = from->alone || (count == 1 && from->durable);
    take_ack (failure, credit, lines, count);
}

static void
deliver_word (const char *word)
{
    static const char states[] = "ursdfx"; // of enum replica_state
    static const int failures[] = {
        ['b'] = LITEDFS_BUSY, ['c'] = LITEDFS_CORRUPT, ['g'] = LITEDFS_GAP};
    const char *refusal = strchr (word, '!');
    int failure = refusal == NULL ? 0 : failures[(int) refusal[1]];
    struct pipeline_replica lines[2];
    size_t count = 0;

    do {
        uint64_t offset = (uint64_t) (word[2] - '0') * UNIT;
        enum replica_state state = (enum replica_state) (strchr (states, word[1]) - states);
        lines[count++] = (struct pipeline_replica){(uint32_t) (word[0] - '0'), state,
                                                   offset < END ? offset : END, 0};
        word += 4;
    } while (word[-1] == ',');
    deliver (failure, UNIT, lines, count);
}

/* A node acks what it was sent, after passing it on. */
static void
answer (uint32_t node)
{
    struct peer *peer = &peers[node];
    int failure = peer->gap ? LITEDFS_GAP : 0;
    struct pipeline_replica lines[2];
    size_t count = 0;

    peer->mute = peer->gap = false;
    if (peer->dead || !peer->asked)
        return;
    if (!peer->alone && peers[3].has < peer->has)
        peers[3].has = peer->has;
    peers[3].ended = peers[3].ended || (!peer->alone && peer->ended);
    uint32_t last = peer->alone ? node : 1 + (uint32_t) step->chain_count;
    for (uint32_t i = node; i <= last; i++) {
        peer = &peers[i];
        peer->durable = peer->durable || (peer->ended && peer->has == END && !peer->relay);
        enum replica_state state = peer->dead      ? REPLICA_FAILED
                                   : peer->durable ? REPLICA_DURABLE
                                   : peer->relay   ? REPLICA_RELAY
                                                   : REPLICA_RECEIVING;
        lines[count++] = (struct pipeline_replica){i, state, peer->has, 0};
    }
    deliver (failure, 4 * UNIT, lines, count);
}

/* Who was silent for so long has an excuse. */
static void
pass_time (int64_t ms)
{
    for (size_t i = 2; i < 4; i++)
        if (now_ms + ms - peers[i].heard_ms >= PIPELINE_TIMEOUT_MS)
            peers[i].excused = true;
    truth.own_excused = truth.own_excused || now_ms + ms - disk.back_ms >= WRITE_TIMEOUT_MS;
    truth.excused = truth.excused || now_ms + ms - truth.wrote_ms >= WRITE_TIMEOUT_MS;
    tick (ms);
}

static void
happen_to (char what, uint32_t node)
{
    peers[node].mute = peers[node].mute || what == 'm';
    peers[node].dead = peers[node].dead || what == 'k' || what == 'l';
    peers[node].excused = peers[node].excused || what != 'm';
    if (what == 'n' && !peers[node].durable)
        peers[node].has = peers[node].ended = 0;
    if (what == 'l')
        lose (node);
}

static void
happen_by_order (char what)
{
    struct pipeline_copy copy = {BLOCK, END, whole_crc, {{1}}, 0, slice_str ("/a"), 0, 2};
    litedfs_error_t error;

    if (what == 'o') {
        truth.by_order = peers[2].excused = peers[3].excused = true;
        truth.buried = false;
        put_piece (0);
    } else if (what == 'h') {
        disk = (struct disk){END, END, true, false, true, false, now_ms};
    } else if (what == 'b') {
        truth.buried = truth.excused = true;
        pipeline_forget (pipeline, now_ms, BLOCK);
    } else if (disk.durable && pipeline_start_copy (pipeline, now_ms, &copy, &error) == 0) {
        truth.acked = peers[2].passed = 0;
        truth.copies++;
    }
}

static void
happen (const char *word)
{
    uint64_t value = strtoull (word + strcspn (word, "0123456789"), NULL, 10);

    snprintf (story + strlen (story), sizeof story - strlen (story), " %s", word);
    if (*word == '2' || *word == '3') {
        deliver_word (word);
    } else if (*word == 'p') {
        put_piece (value);
    } else if (*word == 's') {
        look (value);
    } else if (*word == 'd' || *word == 'f') {
        for (; value > 0; value--)
            disk_goes_on (*word == 'f');
    } else if (*word == 'r' || *word == 'u') {
        disk_reads (*word == 'u');
    } else if (*word == 'a') {
        answer ((uint32_t) value);
    } else if (*word == 'w') {
        pass_time ((int64_t) value);
    } else if (value > 0) {
        happen_to (*word, (uint32_t) value);
    } else {
        happen_by_order (*word);
    }
    watch ();
}

/* The writer asks, and may send what it does not know to be written; returns whether it has its answer. */
static bool
writer_is_done (bool sends)
{
    look (0);
    const struct pipeline_state *state = &answer_state[next_token - 1];
    bool nothing = state->state == REPLICA_UNKNOWN || state->state == REPLICA_FAILED;

    truth.refused = false;
    if (step->writer == SELF || state->state == REPLICA_DURABLE)
        return copied_count == truth.copies;
    for (uint64_t piece = nothing ? 0 : state->offset / UNIT; sends && piece < 3; piece++)
        put_piece (piece);
    return truth.refused;
}

static void
bring_to_end (void)
{
    bool done = false;

    for (int i = 0; i < 300 && !done; i++) {
        while (write_done < write_count || disk.syncs)
            disk_goes_on (false);
        disk_reads (false);
        answer (2);
        answer (3);
        watch ();
        done = writer_is_done (i > 0);
        tick (done ? 0 : 1000);
        watch ();
    }
    HOLDS (done && (!truth.refused || MAY_FAIL));
    HOLDS (disk.durable || (disk.given == 0 && (truth.own_excused || truth.excused)));
    for (size_t i = 2; i < 4; i++)
        HOLDS (peers[i].durable || peers[i].excused || truth.excused);
    HOLDS (pipeline_reserved (pipeline) == 0 && pipeline_block_count (pipeline) == 0);
    for (int i = 0; i < 9 && pipeline_next_deadline (pipeline) != INT64_MAX; i++)
        tick (pipeline_next_deadline (pipeline) - now_ms);
    HOLDS (!pipeline_has (pipeline, BLOCK) && pipeline_next_deadline (pipeline) == INT64_MAX);
    forget_all ();
}

static void
reach (void)
{
    char text[256];

    make_pipeline (36 * MIB);
    memset (&truth, 0, sizeof truth);
    memset (peers, 0, sizeof peers);
    disk = (struct disk){.back_ms = now_ms};
    truth.wrote_ms = peers[2].heard_ms = peers[3].heard_ms = now_ms;
    peers[2].excused = step->chain_count < 1;
    peers[3].excused = step->chain_count < 2;
    reading.kind = compared.kind = 0;
    story[0] = '\0';
    snprintf (text, sizeof text, "%s", step->reach);
    for (char *word = strtok (text, " "); word != NULL; word = strtok (NULL, " "))
        happen (word);
    strcat (story, ";");
}

/* The event that comes twice stands at the end, and is not used before its first. */
static void
try_orders (int from, int count, unsigned used)
{
    for (int i = 0; i < count; i++) {
        if ((used >> i & 1) || (events[i] < i && !(used >> events[i] & 1)))
            continue;
        order[from] = events[i];
        try_orders (from + 1, count, used | 1U << i);
    }
    if (from < count)
        return;
    reach ();
    for (int i = 0; i < count; i++)
        happen (words[order[i]]);
    bring_to_end ();
}

static void
try_step (const struct step *its)
{
    int count = 0;
    char text[256];

    step = its;
    for (size_t i = 0; i <= END; i++)
        bytes[i] = (uint8_t) (bytes[i] + i / UNIT * 17);
    whole_crc = crc32_of (0, bytes, END);
    for (size_t i = 0; i < 3; i++)
        crcs[i] = crc32_of (0, bytes + i * UNIT, i < 2 ? UNIT : 100);
    reach ();
    look (0);
    HOLDS (answer_state[next_token - 1].state == its->state);
    HOLDS (answer_lines[next_token - 1][0].state == its->own);
    bring_to_end ();
    snprintf (text, sizeof text, "%s", its->events);
    for (char *word = strtok (text, " "); word != NULL; word = strtok (NULL, " "))
        snprintf (words[count++], sizeof words[0], "%s", word);
    for (int i = 0; i <= 2 * count; i++) { // 0: all; then one is lost; then one comes twice
        int left = 0;
        for (int j = 0; j < count; j++)
            if (j != i - 1)
                events[left++] = j;
        if (i > count)
            events[left++] = i - count - 1;
        try_orders (0, left, 0);
    }
}

#define STEPS(STEP)                                                                            \
    STEP (a_block_that_is_new, CLIENT, 2, UNKNOWN, UNKNOWN, "",                                \
          "put0 put1 put2 stat500 lose2")                                                      \
    STEP (a_block_that_the_store_has, CLIENT, 0, DURABLE, DURABLE, "have",                     \
          "put0 put17 put2 stat500 put3")                                                      \
    STEP (a_block_in_receipt, CLIENT, 2, RECEIVING, RECEIVING, "put0 put1",                    \
          "put0 put2 disk1 2r1,3r0 2u0!gap")                                                   \
    STEP (a_block_from_a_node, NODE, 0, RECEIVING, RECEIVING, "put0",                          \
          "put0 put1 put2 disk1 lose9")                                                        \
    STEP (a_block_with_bad_chunks, CLIENT, 1, RECEIVING, RECEIVING, "put0 disk1",              \
          "put16 put33 put1 put2 mute2")                                                       \
    STEP (a_block_in_trouble, CLIENT, 2, RECEIVING, RECEIVING, "put0 put1",                    \
          "disk1 fail1 put2 lose2 3r1")                                                        \
    STEP (a_silent_writer, NODE, 1, RECEIVING, RECEIVING, "put0 disk1 answer2 wait5000",       \
          "put1 put7 wait5000 answer2 wait60000")                                              \
    STEP (a_block_on_its_way_to_the_disk, CLIENT, 2, RECEIVING, RECEIVING, "put0 put1 put2",   \
          "disk9 put2 2s3,3r1 2d3,3d3 wait1000")                                               \
    STEP (a_sync, NODE, 2, RECEIVING, SYNCING, "put0 put1 put2 disk3",                         \
          "disk1 fail1 put3 2s3,3r1 2d3,3d3")                                                  \
    STEP (a_sync_at_the_end_of_a_chain, CLIENT, 0, SYNCING, SYNCING, "put0 put1 put2 disk3",   \
          "disk1 put2 stat500 bury put16")                                                     \
    STEP (a_durable_copy_that_waits, CLIENT, 2, RECEIVING, DURABLE, "put0 put1 put2 disk4",    \
          "put2 2d3,3r1 2u0!gap wait200 lose2")                                                \
    STEP (a_relay, CLIENT, 2, RECEIVING, RELAY, "put0 fail1",                                  \
          "put1 put2 answer2 kill2 stat500")                                                   \
    STEP (a_relay_whose_disk_stands_still, NODE, 1, RECEIVING, RELAY,                          \
          "put0 put1 answer2 answer2 wait60000 put7", "put2 disk1 answer2 2r0 wait1000")       \
    STEP (a_hop_that_is_busy, CLIENT, 2, RECEIVING, RECEIVING, "put0 disk1 2u0!busy",          \
          "put1 wait200 2u0!busy answer2 2u0!corrupt")                                         \
    STEP (a_hop_that_forgot, CLIENT, 2, RECEIVING, RECEIVING,                                  \
          "put0 put1 disk2 2r2,3r2 2u0!gap", "put2 wait200 2u0!gap 2r2,3r2 new2")              \
    STEP (a_link_round_a_dead_node, CLIENT, 2, RECEIVING, RECEIVING,                           \
          "put0 put1 disk2 2r1,3r0 lose2", "put2 3u0!gap 3r1 3d3 2r2,3r2")                     \
    STEP (a_durable_hop_that_is_gone, NODE, 2, RECEIVING, DURABLE,                             \
          "put0 put1 put2 disk4 2d3,3r1 lose2", "3u0!gap 3r1 3d3 2d3,3d3 wait1000")            \
    STEP (a_hop_that_left_a_node_to_us, CLIENT, 2, RECEIVING, RECEIVING, "put0 put1 put2 2d3", \
          "disk9 3r1 2d3,3d3 mute3 wait200")                                                   \
    STEP (a_hop_that_is_a_relay, CLIENT, 2, RECEIVING, RECEIVING, "put0 put1 2x1,3r1",         \
          "put2 disk9 answer2 lose2 2x3,3d3")                                                  \
    STEP (a_hop_that_was_finished_before, CLIENT, 2, RECEIVING, RECEIVING, "put0 2d3,3d3",     \
          "put1 disk1 put2 2u0!gap 2r0,3u0")                                                   \
    STEP (a_final_block, NODE, 1, DURABLE, DURABLE,                                            \
          "put0 put1 put2 disk4 answer2 answer2 answer2", "put0 put3 put16 wait10000 bury")    \
    STEP (a_final_relay, NODE, 1, DURABLE, RELAY,                                              \
          "put0 put1 put2 fail3 answer2 answer2 answer2", "order put1 put3 wait10000 disk1")   \
    STEP (a_failed_block, CLIENT, 0, FAILED, FAILED, "put0 fail1",                             \
          "put0 put1 stat500 order wait60000")                                                 \
    STEP (a_failed_block_at_the_disk, CLIENT, 1, FAILED, FAILED, "put0 put1 bury",             \
          "disk1 fail1 put0 order wait60000")                                                  \
    STEP (a_copy_that_is_read, SELF, 1, DURABLE, DURABLE, "have copy",                         \
          "read unread lose2 put0 copy")                                                       \
    STEP (a_copy_that_is_sent, SELF, 1, DURABLE, DURABLE, "have copy read",                    \
          "2r1 2u0!gap answer2 bury wait1000")                                                 \
    STEP (a_copy_that_comes, NODE, 0, RECEIVING, RECEIVING, "bury order",                      \
          "put1 put2 disk1 bury put3")

#define TEST(name, writer, chain_count, state, own, reach, events)                             \
    START_TEST (name)                                                                          \
    {                                                                                          \
        try_step (&(const struct step){writer, chain_count, REPLICA_##state, REPLICA_##own,    \
                                       reach, events});                                        \
    }                                                                                          \
    END_TEST
#define NAME(name, ...) name,

STEPS (TEST)

UNIT_MAIN_FIXTURE ("datanode_pipeline_orders", setup, teardown, STEPS (NAME))
