/* SPDX-License-Identifier: MIT */
/*
 * client/blockwriter: a block arrives whole, whatever its node does meanwhile.
 *
 * The node is played here: a ROUTER, and what it has of one block.  A test says what it shall do with
 * the n-th block.write that comes: take it as a good node does, or lose it, lose its answer, answer twice,
 * refuse it, forget everything.  Time moves when the test says so.
 */
#include "client/blockwriter.h"

#include "base/crc.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "rpc_fixture.h"

#define NODE 7
#define BLOCK 77
#define MIB ((uint64_t) 1 << 20)
#define ROOM (20 * MIB) // the node's, for the block
#define TURN_MS 5

/* What the node does with a block.write. */
enum deed {
    TAKE,
    LOSE,
    LOSE_ANSWER,
    ANSWER_TWICE,
    REFUSE_BUSY,
    REFUSE_CORRUPT,
    REFUSE_IO,
    FORGET
};

static struct fake_clock fake;
static struct litedfs session;
static struct router *router;
static struct peer *peer;
static struct source *source;
static struct blockwriter writer;
static int file_fd;
static int stream[2];

/* The node. */
static uint8_t node_bytes[ROOM];
static uint64_t node_offset;
static bool node_complete; // `last` was taken
static bool node_syncs;    // and it says syncing, not durable
static bool node_slow;     // it has all, and says receiving
static bool node_knows;    // anything of the block
static uint64_t node_credit;
static uint64_t node_lies; // bytes that it says are missing when it is durable
static unsigned writes;    // that came
static unsigned stats;
static enum deed (*deed_of) (unsigned n);
static enum deed always; // TAKE at first

static enum deed
do_always (unsigned n)
{
    (void) n;
    return always;
}

static void
setup (void)
{
    char endpoint[64];
    char path[] = "/tmp/litedfs-blockwriter-XXXXXX";
    struct router_options options = {.role = SOCKET_DATA_ROUTER,
                                     .domain = "test",
                                     .host = "127.0.0.1",
                                     .clock = clock_system ()};
    rpc_setup ();
    fake_clock_init (&fake, 1000000, 0);
    ck_assert_int_eq (router_new (&router, &options, &error), 0);
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", router_port (router));
    session.clock = &fake.clock;
    session.cancel_fd = eventfd (0, EFD_NONBLOCK);
    const struct dealer_options name = {.endpoint = endpoint, .clock = &fake.clock};
    ck_assert_int_eq (dealer_new (&session.name, &name, &error), 0);
    struct wire_endpoint where = {.node = NODE,
                                  .host = slice_str ("127.0.0.1"),
                                  .tcp_port = (uint64_t) router_port (router)};
    ck_assert_int_eq (session_peer (&session, &where, &peer, &error), 0);
    while (!dealer_connected (peer->dealer))
        ck_assert_int_eq (session_poll (&session, NULL, 0, 1, &error), 0);
    file_fd = mkstemp (path);
    unlink (path);
    ck_assert_int_eq (pipe (stream), 0);
    node_credit = 4 * MIB;
    deed_of = do_always;
    writer.session = &session;
    writer.path = "/a";
    writer.file.bytes[0] = 1;
}

static void
teardown (void)
{
    blockwriter_stop (&writer);
    free (writer.chunk_crcs);
    source_close (&source);
    close (file_fd);
    close (stream[0]);
    close (stream[1]);
    dealer_destroy (&session.name);
    if (session.peers)
        dealer_destroy (&session.peers->dealer);
    free (session.peers);
    router_destroy (&router);
    rpc_teardown ();
}

/* ---- the node --------------------------------------------------------------------------------- */

static enum replica_state
node_state (void)
{
    if (!node_knows)
        return REPLICA_UNKNOWN;
    if (!node_complete || node_slow)
        return REPLICA_RECEIVING;
    return node_syncs ? REPLICA_SYNCING : REPLICA_DURABLE;
}

static uint64_t
said_offset (void)
{
    if (node_slow)
        return node_offset / 2;
    return node_state () == REPLICA_DURABLE ? node_offset - node_lies : node_offset;
}

static void
node_forget (void)
{
    node_knows = node_complete = false;
    node_offset = 0;
}

static void
answer_write (const struct request *request)
{
    struct block_write_reply reply = {.offset = said_offset (),
                                      .state = node_state (),
                                      .credit = node_complete ? 0 : node_credit};
    router_reply (router, &request->route, request->message->envelope.id, TYPE (block_write),
                  &reply, NULL);
}

static void
refuse (const struct request *request, int number)
{
    router_reply_error (router, &request->route, request->message->envelope.id, number, "no");
}

/* Take a chunk as a good node does: false if it comes too early. */
static bool
node_takes (struct request *request)
{
    struct block_write_request fields;
    size_t size = request->has_payload ? zmq_msg_size (&request->payload) : 0;

    ck_assert_int_eq (message_request_fields (request->message, &fields, &error), 0);
    ck_assert_uint_eq (fields.block, BLOCK);
    ck_assert_uint_eq (fields.crc32, crc32_of (0, zmq_msg_data (&request->payload), size));
    if (fields.offset > node_offset)
        return false;
    if (fields.offset == 0)
        ck_assert (!uuid_is_nil (&fields.file) && fields.path.size == 2);
    if (fields.offset + size > node_offset) {
        memcpy (node_bytes + fields.offset, zmq_msg_data (&request->payload), size);
        node_offset = fields.offset + size;
    }
    node_knows = true;
    node_complete = node_complete || fields.last;
    return true;
}

static void
on_write (struct request *request)
{
    enum deed deed = deed_of (writes++);

    if (deed == FORGET)
        node_forget ();
    if (deed == REFUSE_BUSY)
        refuse (request, LITEDFS_BUSY);
    else if (deed == REFUSE_CORRUPT)
        refuse (request, LITEDFS_CORRUPT);
    else if (deed == REFUSE_IO)
        refuse (request, LITEDFS_IO);
    else if (deed != LOSE && !node_takes (request))
        refuse (request, LITEDFS_GAP);
    else if (deed != LOSE && deed != LOSE_ANSWER)
        answer_write (request);
    if (deed == ANSWER_TWICE)
        answer_write (request);
}

static void
on_stat (const struct request *request)
{
    struct block_stat_reply reply = {.offset = node_knows ? said_offset () : 0,
                                     .state = node_state (),
                                     .credit = node_knows && !node_complete ? node_credit : 0};
    stats++;
    router_reply (router, &request->route, request->message->envelope.id, TYPE (block_stat),
                  &reply, NULL);
}

static void
run_node (void)
{
    struct request *request;
    uint64_t ended;

    while (router_receive (router, &request)) {
        if (request->message->type->number == MESSAGE_block_write)
            on_write (request);
        else
            on_stat (request);
        request_destroy (&request);
    }
    while (router_closed (router, &ended))
        ;
}

/* ---- the test's side ---------------------------------------------------------------------------- */

static uint8_t
byte_at (uint64_t at)
{
    return (uint8_t) (at * 31 + (at >> 16));
}

static void
fill (int fd, uint64_t from, uint64_t to)
{
    uint8_t *bytes = malloc (to - from);
    for (uint64_t at = from; at < to; at++)
        bytes[at - from] = byte_at (at);
    ck_assert_int_eq (write (fd, bytes, to - from), (ssize_t) (to - from));
    free (bytes);
}

static void
start_file (uint64_t size, uint64_t block_size)
{
    fill (file_fd, 0, size);
    ck_assert_int_eq (source_open (&source, file_fd, false, &error), 0);
    source_set_block_size (source, block_size);
    writer.source = source;
    ck_assert_int_eq (blockwriter_start (&writer, 0, BLOCK, block_size, peer, &error), 0);
}

/* One turn of everything, and so much time: what is on its way has arrived before time moves again. */
static int
turn (int64_t ms)
{
    fake_clock_advance (&fake, ms);
    int rc = blockwriter_push (&writer, &error);
    for (int i = 0; rc == 0 && i < 20; i++) {
        ck_assert_int_eq (session_poll (&session, NULL, 0, 1, &error), 0);
        run_node ();
        if (dealer_pending (peer->dealer) == 0)
            break;
    }
    return rc;
}

/* Turn until the block has ended, in a bounded time. */
static int
run_to_end (int64_t step_ms, int64_t limit_ms)
{
    int64_t end_ms = clock_mono (&fake.clock) + limit_ms;
    int rc = 0;

    while (rc == 0 && writer.state != BLOCKWRITER_DURABLE &&
           writer.state != BLOCKWRITER_FAILED) {
        rc = turn (step_ms);
        ck_assert_msg (clock_mono (&fake.clock) < end_ms, "state %d, next %llu, acked %llu",
                       writer.state, (unsigned long long) writer.next,
                       (unsigned long long) writer.acked);
    }
    return rc;
}

/* The node has exactly the block, and the writer knows its CRC. */
static void
check_block (uint64_t size)
{
    ck_assert_msg (writer.state == BLOCKWRITER_DURABLE, "%s", writer.error.text);
    ck_assert (node_complete);
    ck_assert_uint_eq (node_offset, size);
    for (uint64_t at = 0; at < size; at++)
        if (node_bytes[at] != byte_at (at))
            ck_abort_msg ("byte %llu is another", (unsigned long long) at);
    ck_assert_uint_eq (writer.size, size);
    ck_assert_uint_eq (writer.crc32, crc32_of (0, node_bytes, size));
}

static void
write_block (uint64_t size, uint64_t block_size, int64_t step_ms)
{
    start_file (size, block_size);
    ck_assert_int_eq (run_to_end (step_ms, 120000), 0);
    check_block (size);
}

/* All as at first, for another block. */
static void
clear (void)
{
    blockwriter_stop (&writer);
    source_close (&source);
    node_forget ();
    writes = 0;
    ck_assert_int_eq (ftruncate (file_fd, 0), 0);
    lseek (file_fd, 0, SEEK_SET);
}

START_TEST (a_block_of_any_size_arrives_whole)
{
    static const uint64_t sizes[] = {1,       65535,       65536,   65537,      MIB - 1,    MIB,
                                     MIB + 1, MIB + 65536, 2 * MIB, 17 * 65536, 5 * MIB + 7};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        write_block (sizes[i], (sizes[i] + 65535) / 65536 * 65536, TURN_MS);
        clear ();
    }
}
END_TEST

static enum deed
lose_the_fourth (unsigned n)
{
    return n == 3 ? LOSE : TAKE;
}

static enum deed
lose_the_fourth_answer (unsigned n)
{
    return n == 3 ? LOSE_ANSWER : TAKE;
}

static enum deed
lose_the_last_answer (unsigned n)
{
    return n == 5 ? LOSE_ANSWER : TAKE;
}

START_TEST (a_lost_chunk_or_answer_is_made_up_for)
{
    enum deed (*const losses[]) (unsigned) = {lose_the_fourth, lose_the_fourth_answer,
                                              lose_the_last_answer};
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        deed_of = losses[i];
        write_block (6 * MIB, 8 * MIB, 200);
        clear ();
    }
}
END_TEST

START_TEST (answers_that_come_twice_do_no_harm)
{
    always = ANSWER_TWICE;
    write_block (7 * MIB, 8 * MIB, TURN_MS);
}
END_TEST

static enum deed
change_one_on_the_way (unsigned n)
{
    return n == 2 || n == 7 ? REFUSE_CORRUPT : TAKE;
}

START_TEST (a_chunk_that_was_damaged_on_the_way_is_sent_again)
{
    deed_of = change_one_on_the_way;
    write_block (7 * MIB, 8 * MIB, TURN_MS);
    ck_assert_uint_ge (stats, 1);
}
END_TEST

static enum deed
be_busy_for_long (unsigned n)
{
    return n < 50 || (n > 52 && n < 100) ? REFUSE_BUSY : TAKE;
}

START_TEST (a_node_that_is_busy_is_waited_for)
{
    deed_of = be_busy_for_long;
    start_file (5 * MIB, 8 * MIB);
    ck_assert_int_eq (run_to_end (500, 900000), 0);
    check_block (5 * MIB);
    ck_assert_uint_eq (writer.restarts, 0);
}
END_TEST

START_TEST (a_node_that_is_busy_for_ten_minutes_is_given_up)
{
    always = REFUSE_BUSY;
    start_file (5 * MIB, 8 * MIB);
    int64_t begin_ms = clock_mono (&fake.clock);
    ck_assert_int_eq (run_to_end (2000, 700000), 0);
    ck_assert_int_eq (writer.state, BLOCKWRITER_FAILED);
    ck_assert_int_eq (writer.error.number, LITEDFS_BUSY);
    ck_assert_int_ge (clock_mono (&fake.clock) - begin_ms, 600000);
    ck_assert_uint_ge (writes, 50); // and was asked now and then
}
END_TEST

static enum deed
forget_now_and_then (unsigned n)
{
    return n == 3 || n == 8 ? FORGET : TAKE;
}

START_TEST (a_node_that_was_restarted_gets_it_all_again)
{
    deed_of = forget_now_and_then;
    write_block (6 * MIB, 8 * MIB, TURN_MS);
}
END_TEST

static enum deed
forget_always (unsigned n)
{
    return n % 3 == 2 ? FORGET : TAKE;
}

START_TEST (a_node_that_forgets_again_and_again_is_given_up)
{
    deed_of = forget_always;
    start_file (6 * MIB, 8 * MIB);
    ck_assert_int_eq (run_to_end (TURN_MS, 120000), 0);
    ck_assert_int_eq (writer.state, BLOCKWRITER_FAILED);
}
END_TEST

static enum deed
fail_at_the_third (unsigned n)
{
    return n == 2 ? REFUSE_IO : TAKE;
}

START_TEST (a_node_whose_disk_fails_is_given_up_at_once)
{
    deed_of = fail_at_the_third;
    start_file (6 * MIB, 8 * MIB);
    ck_assert_int_eq (run_to_end (TURN_MS, 1000), 0);
    ck_assert_int_eq (writer.state, BLOCKWRITER_FAILED);
    ck_assert_int_eq (writer.error.number, LITEDFS_IO);
}
END_TEST

START_TEST (a_node_that_never_answers_is_given_up_after_a_minute)
{
    always = LOSE;
    start_file (6 * MIB, 8 * MIB);
    ck_assert_int_eq (run_to_end (1000, 90000), 0);
    ck_assert_int_eq (writer.state, BLOCKWRITER_FAILED);
}
END_TEST

START_TEST (a_long_sync_is_waited_for_and_nothing_sent_again)
{
    start_file (3 * MIB, 4 * MIB);
    node_syncs = true;
    while (!node_complete)
        turn (TURN_MS);
    unsigned sent = writes;
    for (int i = 0; i < 100; i++)
        turn (TURN_MS);
    node_syncs = false;
    ck_assert_int_eq (run_to_end (TURN_MS, 10000), 0);
    check_block (3 * MIB);
    ck_assert_uint_eq (writes, sent);
}
END_TEST

START_TEST (a_node_that_has_all_and_writes_slowly_gets_nothing_again)
{
    start_file (3 * MIB, 4 * MIB);
    node_slow = true;
    node_credit = 8 * MIB;
    while (!node_complete)
        turn (TURN_MS);
    unsigned sent = writes;
    for (int i = 0; i < 100; i++)
        turn (TURN_MS);
    node_slow = false;
    ck_assert_int_eq (run_to_end (TURN_MS, 10000), 0);
    check_block (3 * MIB);
    ck_assert_uint_eq (writes, sent);
}
END_TEST

START_TEST (a_node_that_finished_fewer_bytes_is_not_believed)
{
    node_lies = 65536;
    start_file (3 * MIB, 4 * MIB);
    ck_assert_int_eq (run_to_end (TURN_MS, 10000), 0);
    ck_assert_int_eq (writer.state, BLOCKWRITER_FAILED);
    ck_assert_int_eq (writer.error.number, LITEDFS_DIFFERENT);
}
END_TEST

START_TEST (a_file_that_changes_between_two_sendings_is_an_error)
{
    deed_of = forget_now_and_then;
    start_file (6 * MIB, 8 * MIB);
    while (writes < 3)
        turn (TURN_MS);
    ck_assert_int_eq (pwrite (file_fd, "changed", 7, 10), 7);
    ck_assert_int_eq (run_to_end (TURN_MS, 10000), LITEDFS_IO);
    ck_assert_ptr_nonnull (strstr (error.text, "changed"));
}
END_TEST

START_TEST (a_node_hears_of_a_writer_whose_source_is_slow)
{
    ck_assert_int_eq (source_open (&source, stream[0], true, &error), 0);
    source_set_block_size (source, 4 * MIB);
    writer.source = source;
    ck_assert_int_eq (blockwriter_start (&writer, 0, BLOCK, 4 * MIB, peer, &error), 0);
    fcntl (stream[1], F_SETPIPE_SZ, 1 << 20);
    for (uint64_t at = 0; at < 2 * MIB; at += 65536) {
        fill (stream[1], at, at + 65536);
        ck_assert_int_eq (source_fill (source, &error), 0);
        turn (TURN_MS);
    }
    while (writer.acked < MIB)
        turn (TURN_MS);
    for (int i = 0; i < 60; i++)
        turn (1000);
    ck_assert_uint_ge (stats, 8);
    ck_assert_uint_le (stats, 16);
    close (stream[1]);
    stream[1] = -1;
    ck_assert_int_eq (source_fill (source, &error), 0);
    ck_assert_int_eq (run_to_end (TURN_MS, 10000), 0);
    check_block (2 * MIB);
}
END_TEST

START_TEST (no_callback_comes_after_a_stop)
{
    start_file (6 * MIB, 8 * MIB);
    while (writes < 2)
        turn (TURN_MS);
    blockwriter_stop (&writer);
    ck_assert_int_eq (writer.state, BLOCKWRITER_IDLE);
    for (int i = 0; i < 20; i++)
        turn (TURN_MS);
    ck_assert_uint_eq (writer.under_way, 0);
    ck_assert_uint_eq (dealer_pending (peer->dealer), 0);
}
END_TEST

START_TEST (a_node_that_cannot_be_connected_to_leaves_the_session_usable)
{
    struct wire_endpoint where = {
        .node = NODE + 1, .host = slice_str ("not an address"), .tcp_port = 1};
    struct peer *other;

    ck_assert_int_lt (session_peer (&session, &where, &other, &error), 0);
    write_block (3 * MIB, 4 * MIB, TURN_MS);
}
END_TEST

UNIT_MAIN_FIXTURE ("client_blockwriter", setup, teardown, a_block_of_any_size_arrives_whole,
                   a_lost_chunk_or_answer_is_made_up_for, answers_that_come_twice_do_no_harm,
                   a_chunk_that_was_damaged_on_the_way_is_sent_again,
                   a_node_that_is_busy_is_waited_for,
                   a_node_that_is_busy_for_ten_minutes_is_given_up,
                   a_node_that_was_restarted_gets_it_all_again,
                   a_node_that_forgets_again_and_again_is_given_up,
                   a_node_whose_disk_fails_is_given_up_at_once,
                   a_node_that_never_answers_is_given_up_after_a_minute,
                   a_long_sync_is_waited_for_and_nothing_sent_again,
                   a_node_that_has_all_and_writes_slowly_gets_nothing_again,
                   a_node_that_finished_fewer_bytes_is_not_believed,
                   a_file_that_changes_between_two_sendings_is_an_error,
                   a_node_hears_of_a_writer_whose_source_is_slow,
                   no_callback_comes_after_a_stop,
                   a_node_that_cannot_be_connected_to_leaves_the_session_usable)
