/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_CLIENT_NODE_FIXTURE_H
#define LITEDFS_TESTS_CLIENT_NODE_FIXTURE_H

/*
 * What the tests of a block's writer share: its node, played here as a ROUTER and what it has of one
 * block.  A test says what it shall do with the n-th block.write that comes: take it as a good node does,
 * or lose it, lose its answer, answer twice, refuse it, forget everything; and what it says of the nodes
 * after it.  The same ROUTER answers for the name node.  Time moves when the test says so.
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
    REFUSE_TIMEOUT,
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
static uint64_t chain[4]; // the nodes after it
static size_t chain_count;
static struct wire_replica said[8]; // what it says of itself and the others; none: nothing
static size_t said_count;
static bool node_mute; // it says nothing at all
static bool name_mute; // and so does the name node

/* What was asked last of who said nothing. */
static struct asked {
    struct route route;
    uint64_t id;
} unanswered, unanswered_list;

static unsigned name_requests; // that came
static enum deed (*deed_of) (unsigned n);
static enum deed always; // TAKE at first

static inline enum deed
do_always (unsigned n)
{
    (void) n;
    return always;
}

static inline void
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
    ck_assert_int_eq (session_connect (&session, peer, &error), 0);
    while (!dealer_connected (peer->dealer) || !dealer_connected (session.name))
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

static inline void
teardown (void)
{
    blockwriter_stop (&writer);
    free (writer.chunk_crcs);
    source_close (&source);
    close (file_fd);
    close (stream[0]);
    close (stream[1]);
    dealer_destroy (&session.name);
    while (session.peers) {
        struct peer *gone = session.peers;
        session.peers = gone->next;
        dealer_destroy (&gone->dealer);
        free (gone);
    }
    router_destroy (&router);
    rpc_teardown ();
}

/* ---- the node --------------------------------------------------------------------------------- */

static inline enum replica_state
node_state (void)
{
    if (!node_knows)
        return REPLICA_UNKNOWN;
    if (!node_complete || node_slow)
        return REPLICA_RECEIVING;
    return node_syncs ? REPLICA_SYNCING : REPLICA_DURABLE;
}

static inline uint64_t
said_offset (void)
{
    if (node_slow)
        return node_offset / 2;
    return node_state () == REPLICA_DURABLE ? node_offset - node_lies : node_offset;
}

static inline void
node_forget (void)
{
    node_knows = node_complete = false;
    node_offset = 0;
}

static inline void
answer_write (const struct request *request)
{
    struct block_write_reply reply = {.offset = said_offset (),
                                      .state = node_state (),
                                      .credit = node_complete ? 0 : node_credit,
                                      .nodes = said,
                                      .nodes_count = said_count};
    router_reply (router, &request->route, request->message->envelope.id, TYPE (block_write),
                  &reply, NULL);
}

static inline void
refuse (const struct request *request, int number)
{
    router_reply_error (router, &request->route, request->message->envelope.id, number, "no");
}

/* Take a chunk as a good node does: false if it comes too early. */
static inline bool
node_takes (struct request *request)
{
    struct block_write_request fields;
    size_t size = request->has_payload ? zmq_msg_size (&request->payload) : 0;

    ck_assert_int_eq (message_request_fields (request->message, &fields, &error), 0);
    ck_assert_uint_eq (fields.block, BLOCK);
    ck_assert_uint_eq (fields.chain_count, chain_count);
    for (size_t i = 0; i < chain_count; i++)
        ck_assert_uint_eq (fields.chain[i], chain[i]);
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

static inline void
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
    else if (deed == REFUSE_TIMEOUT)
        refuse (request, LITEDFS_TIMEOUT);
    else if (deed != LOSE && !node_takes (request))
        refuse (request, LITEDFS_GAP);
    else if (deed != LOSE && deed != LOSE_ANSWER)
        answer_write (request);
    if (deed == ANSWER_TWICE)
        answer_write (request);
}

static inline void
answer_stat (const struct route *route, uint64_t id)
{
    struct block_stat_reply reply = {.offset = node_knows ? said_offset () : 0,
                                     .state = node_state (),
                                     .credit = node_knows && !node_complete ? node_credit : 0,
                                     .nodes = said,
                                     .nodes_count = said_count};
    stats++;
    router_reply (router, route, id, TYPE (block_stat), &reply, NULL);
}

static inline void
answer_list (const struct request *request)
{
    const struct node_list_reply reply = {.table = 1};

    name_requests++;
    if (name_mute)
        unanswered_list = (struct asked){request->route, request->message->envelope.id};
    else
        router_reply (router, &request->route, request->message->envelope.id, TYPE (node_list),
                      &reply, NULL);
}

/* Name node and data node are there again, and answer what they were asked last. */
static inline void
unmute_name (void)
{
    const struct node_list_reply reply = {.table = 1};

    name_mute = false;
    router_reply (router, &unanswered_list.route, unanswered_list.id, TYPE (node_list), &reply,
                  NULL);
}

static inline void
unmute_node (void)
{
    node_mute = false;
    answer_stat (&unanswered.route, unanswered.id);
}

static inline void
run_node (void)
{
    struct request *request;
    uint64_t ended;

    while (router_receive (router, &request)) {
        if (request->message->type->number == MESSAGE_node_list)
            answer_list (request);
        else if (node_mute && request->message->type->number == MESSAGE_block_stat)
            unanswered = (struct asked){request->route, request->message->envelope.id};
        else if (node_mute)
            ;
        else if (request->message->type->number == MESSAGE_block_write)
            on_write (request);
        else
            answer_stat (&request->route, request->message->envelope.id);
        request_destroy (&request);
    }
    while (router_closed (router, &ended))
        ;
}

/* ---- the test's side ---------------------------------------------------------------------------- */

static inline uint8_t
byte_at (uint64_t at)
{
    return (uint8_t) (at * 31 + (at >> 16));
}

static inline void
fill (int fd, uint64_t from, uint64_t to)
{
    uint8_t *bytes = malloc (to - from);
    for (uint64_t at = from; at < to; at++)
        bytes[at - from] = byte_at (at);
    ck_assert_int_eq (write (fd, bytes, to - from), (ssize_t) (to - from));
    free (bytes);
}

static inline void
start_block (uint64_t block_size)
{
    const struct blockwriter_job job = {.block = BLOCK,
                                        .block_size = block_size,
                                        .peer = peer,
                                        .chain = chain,
                                        .chain_count = chain_count};

    ck_assert_int_eq (blockwriter_start (&writer, &job, &error), 0);
}

static inline void
start_file (uint64_t size, uint64_t block_size)
{
    fill (file_fd, 0, size);
    ck_assert_int_eq (source_open (&source, file_fd, false, &error), 0);
    source_set_block_size (source, block_size);
    writer.source = source;
    start_block (block_size);
}

/* One turn of everything, and so much time: what is on its way has arrived before time moves again. */
static inline int
turn (int64_t ms)
{
    fake_clock_advance (&fake, ms);
    int rc = blockwriter_push (&writer, &error);
    for (int i = 0; rc == 0 && i < 20; i++) {
        ck_assert_int_eq (session_poll (&session, NULL, 0, 1, &error), 0);
        run_node ();
        if (dealer_pending (peer->dealer) == 0 && dealer_pending (session.name) == 0)
            break;
    }
    return rc;
}

/* Turn until the block has ended, in a bounded time. */
static inline int
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
static inline void
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

static inline void
write_block (uint64_t size, uint64_t block_size, int64_t step_ms)
{
    start_file (size, block_size);
    ck_assert_int_eq (run_to_end (step_ms, 120000), 0);
    check_block (size);
}

/* All as at first, for another block. */
static inline void
clear (void)
{
    blockwriter_stop (&writer);
    source_close (&source);
    node_forget ();
    writes = 0;
    ck_assert_int_eq (ftruncate (file_fd, 0), 0);
    lseek (file_fd, 0, SEEK_SET);
}

#endif
