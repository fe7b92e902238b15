/* SPDX-License-Identifier: MIT */
/*
 * datanode/chain: what nodes say to each other, there and back, and what is dropped.
 */
#include "datanode/chain.h"

#include "rpc_fixture.h"

#include <unistd.h>

#define NODE 3 // this one
#define FROM 5

static struct chain *chain;
static void *push; // of another node
static char directory[] = "/tmp/litedfs-chain-XXXXXX";
static char port_path[64];
static struct chain_event event;

static void
setup (void)
{
    rpc_setup ();
    ck_assert_ptr_nonnull (mkdtemp (directory));
    snprintf (port_path, sizeof port_path, "%s/chain_port", directory);
    struct chain_options options = {.domain = "test",
                                    .host = "127.0.0.1",
                                    .port_path = port_path,
                                    .clock = clock_system ()};
    ck_assert_msg (chain_new (&chain, &options, &error) == 0, "%s", error.text);
    push = stranger (ZMQ_PUSH, chain_port (chain));
}

static void
teardown (void)
{
    zmq_close (push);
    chain_destroy (&chain);
    unlink (port_path);
    rmdir (directory);
    rpc_teardown ();
}

static void
send_frames (struct slice header, const char *payload, size_t size)
{
    ck_assert_int_ge (
        zmq_send (push, header.data, header.size, payload != NULL ? ZMQ_SNDMORE : 0), 0);
    if (payload != NULL)
        ck_assert_int_ge (zmq_send (push, payload, size, 0), 0);
}

/* Wait for the next event; false if something was dropped instead. */
static bool
receive (void)
{
    uint64_t drops = chain_drops (chain);

    for (;;) {
        ck_assert (readable (chain_socket (chain), WAIT_MS));
        if (chain_receive (chain, NODE, &event))
            return true;
        if (chain_drops (chain) > drops)
            return false;
    }
}

static struct pipeline_action
forward (void)
{
    static const uint64_t others[] = {7, 9};
    struct pipeline_action action = {.kind = PIPELINE_FORWARD,
                                     .block = 0x10000000007,
                                     .node = NODE,
                                     .offset = 131072,
                                     .size = 5,
                                     .last = true,
                                     .count = 4,
                                     .index = 3,
                                     .path = slice_str ("/a/b"),
                                     .crc32 = 0xfedcba98,
                                     .chain = others,
                                     .chain_count = 2,
                                     .copy = true};

    action.file.bytes[0] = 9;
    return action;
}

static struct slice
encoded_forward (const struct pipeline_action *action)
{
    struct slice header;

    ck_assert_msg (chain_encode_write (chain, FROM, action, &header, &error) == 0, "%s",
                   error.text);
    return header;
}

static struct pipeline_action
acked (const struct pipeline_replica *replicas, size_t count)
{
    return (struct pipeline_action){.kind = PIPELINE_ACK,
                                    .block = 77,
                                    .node = NODE,
                                    .state = {.credit = 1 << 20},
                                    .replicas = replicas,
                                    .replica_count = count};
}

static struct slice
encoded_ack (const struct pipeline_action *action)
{
    struct slice header;

    ck_assert_msg (chain_encode_ack (chain, FROM, action, &header, &error) == 0, "%s",
                   error.text);
    return header;
}

START_TEST (a_chunk_arrives_as_it_was_passed_on)
{
    struct pipeline_action action = forward ();

    send_frames (encoded_forward (&action), "bytes", 5);
    ck_assert (receive ());
    ck_assert_int_eq (event.kind, MESSAGE_chain_write);
    ck_assert_uint_eq (event.from, FROM);
    ck_assert_uint_eq (event.chunk.from, FROM);
    ck_assert_uint_eq (event.chunk.block, action.block);
    ck_assert_uint_eq (event.chunk.offset, action.offset);
    ck_assert_uint_eq (event.chunk.size, 5);
    ck_assert_uint_eq (event.chunk.crc32, action.crc32);
    ck_assert (event.chunk.last && event.chunk.copy);
    ck_assert_uint_eq (event.chunk.count, 4);
    ck_assert_uint_eq (event.chunk.index, 3);
    ck_assert (slice_equal (event.chunk.path, action.path));
    ck_assert_int_eq (memcmp (&event.chunk.file, &action.file, sizeof action.file), 0);
    ck_assert_uint_eq (event.chunk.chain_count, 2);
    ck_assert_uint_eq (event.chunk.chain[0], 7);
    ck_assert_uint_eq (event.chunk.chain[1], 9);
    ck_assert_mem_eq (zmq_msg_data (&event.payload), "bytes", 5);
    chain_event_close (&event);

    // The same without anything that can be left out, and without a second frame.
    action = (struct pipeline_action){
        .kind = PIPELINE_FORWARD, .block = 1, .node = NODE, .offset = 65536};
    send_frames (encoded_forward (&action), NULL, 0);
    ck_assert (receive ());
    ck_assert_uint_eq (event.chunk.size, 0);
    ck_assert (!event.chunk.last && !event.chunk.copy);
    ck_assert_uint_eq (event.chunk.chain_count, 0);
    ck_assert_uint_eq (event.chunk.path.size, 0);
    chain_event_close (&event);
}
END_TEST

START_TEST (an_ack_arrives_as_it_was_sent)
{
    struct pipeline_replica replicas[PIPELINE_NODES_MAX];

    for (uint32_t i = 0; i < PIPELINE_NODES_MAX; i++)
        replicas[i] = (struct pipeline_replica){
            .node = FROM + i, .state = i % 6, .offset = i * CRC_UNIT, .awaits = i};
    struct pipeline_action action = acked (replicas, PIPELINE_NODES_MAX);
    send_frames (encoded_ack (&action), NULL, 0);
    ck_assert (receive ());
    ck_assert_int_eq (event.kind, MESSAGE_chain_ack);
    ck_assert_uint_eq (event.ack.from, FROM);
    ck_assert_uint_eq (event.ack.block, 77);
    ck_assert_uint_eq (event.ack.credit, 1 << 20);
    ck_assert_int_eq (event.ack.failure, 0);
    ck_assert_uint_eq (event.ack.replica_count, PIPELINE_NODES_MAX);
    for (uint32_t i = 0; i < PIPELINE_NODES_MAX; i++) {
        ck_assert_uint_eq (event.ack.replicas[i].node, FROM + i);
        ck_assert_int_eq ((int) event.ack.replicas[i].state, (int) (i % 6));
        ck_assert_uint_eq (event.ack.replicas[i].offset, i * CRC_UNIT);
        ck_assert_uint_eq (event.ack.replicas[i].awaits, i);
    }
    chain_event_close (&event);
}
END_TEST

START_TEST (what_a_node_says_of_its_failure_arrives_and_is_safe_to_print)
{
    const struct pipeline_replica own = {.node = FROM, .state = REPLICA_FAILED};
    struct pipeline_action action = acked (&own, 1);
    char longest[400];

    action.error = LITEDFS_GAP;
    action.text = "a line\nand \x1b[1m more";
    send_frames (encoded_ack (&action), NULL, 0);
    ck_assert (receive ());
    ck_assert_int_eq (event.ack.failure, LITEDFS_GAP);
    ck_assert_ptr_nonnull (strstr (event.ack.why, "a line"));
    ck_assert_ptr_null (strpbrk (event.ack.why, "\n\x1b"));
    chain_event_close (&event);

    memset (longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    action.text = longest;
    send_frames (encoded_ack (&action), NULL, 0);
    ck_assert (receive ());
    ck_assert_uint_lt (strlen (event.ack.why), CHAIN_WHY_SIZE);
    chain_event_close (&event);

    action.text = ""; // the table says what it means
    send_frames (encoded_ack (&action), NULL, 0);
    ck_assert (receive ());
    ck_assert_str_eq (event.ack.why, err_text (LITEDFS_GAP));
    chain_event_close (&event);
}
END_TEST

START_TEST (what_is_not_for_this_node_is_dropped)
{
    struct pipeline_action action = forward ();
    struct slice header;

    action.node = NODE + 1;
    send_frames (encoded_forward (&action), "bytes", 5);
    ck_assert (!receive ());
    action.node = NODE;
    ck_assert_int_eq (chain_encode_write (chain, NODE, &action, &header, &error), 0);
    send_frames (header, "bytes", 5); // from itself
    ck_assert (!receive ());
    send_frames (encoded_forward (&action), "bytes", 5);
    ck_assert (readable (chain_socket (chain), WAIT_MS));
    ck_assert (!chain_receive (chain, 0, &event)); // as long as it has no number
    ck_assert_uint_eq (chain_drops (chain), 3);
}
END_TEST

START_TEST (garbage_is_dropped_and_the_next_message_is_taken)
{
    static const struct slice garbage[] = {{"", 0},
                                           {"x", 1},
                                           {"\xdd\x10\x00\x00\x00", 5},
                                           {"\x81\xa2op\xc0", 5},
                                           {"\x82\xa2op\xabnode.orders\xa2id\x01", 19},
                                           {"\x82\xa2op\xab"
                                            "chain.write\xa2id\x01",
                                            19},
                                           {"\x82\xa2op\xa9"
                                            "chain.ack\xa2id\x01",
                                            17}};
    struct pipeline_action action = forward ();
    size_t count = sizeof garbage / sizeof *garbage;

    for (size_t i = 0; i < count; i++) {
        send_frames (garbage[i], i % 2 == 0 ? "payload" : NULL, 7);
        ck_assert_msg (!receive (), "%zu was taken", i);
    }
    for (int i = 0; i < 20; i++) // frames without end
        ck_assert_int_ge (zmq_send (push, "x", 1, ZMQ_SNDMORE), 0);
    ck_assert_int_ge (zmq_send (push, "x", 1, 0), 0);
    ck_assert (!receive ());
    send_frames (encoded_forward (&action), "bytes", 5);
    ck_assert (receive ());
    chain_event_close (&event);
    ck_assert_uint_eq (chain_drops (chain), count + 1);
}
END_TEST

START_TEST (much_garbage_does_not_hold_its_owner_up)
{
    static const int many = 1000;

    for (int i = 0; i < many; i++)
        ck_assert_int_ge (zmq_send (push, "x", 1, 0), 0);
    for (int turns = 0; chain_drops (chain) < (uint64_t) many; turns++) {
        uint64_t before = chain_drops (chain);
        ck_assert (readable (chain_socket (chain), WAIT_MS));
        ck_assert (!chain_receive (chain, NODE, &event));
        ck_assert_uint_le (chain_drops (chain) - before, 100);
    }
}
END_TEST

START_TEST (a_payload_above_the_largest_chunk_is_dropped)
{
    struct pipeline_action action = forward ();
    char *payload = calloc (1, WIRE_CHUNK_MAX + 1);

    send_frames (encoded_forward (&action), payload, WIRE_CHUNK_MAX + 1);
    ck_assert (!receive ());
    send_frames (encoded_forward (&action), payload, WIRE_CHUNK_MAX);
    ck_assert (receive ());
    ck_assert_uint_eq (event.chunk.size, WIRE_CHUNK_MAX);
    chain_event_close (&event);
    free (payload);
}
END_TEST

START_TEST (lists_that_are_too_long_are_not_sent)
{
    struct pipeline_replica replicas[PIPELINE_NODES_MAX + 1] = {{.node = 1}};
    uint64_t nodes[64] = {1};
    struct pipeline_action action = acked (replicas, PIPELINE_NODES_MAX + 1);
    struct slice header;

    ck_assert_int_eq (chain_encode_ack (chain, FROM, &action, &header, &error),
                      LITEDFS_INVALID);
    action = forward ();
    action.chain = nodes;
    action.chain_count = 64;
    ck_assert_int_eq (chain_encode_write (chain, FROM, &action, &header, &error),
                      LITEDFS_INVALID);
}
END_TEST

START_TEST (the_port_is_kept)
{
    struct chain_options options = {.domain = "test",
                                    .host = "127.0.0.1",
                                    .port_path = port_path,
                                    .clock = clock_system ()};
    int port = chain_port (chain);
    int rc;

    chain_destroy (&chain);
    for (int64_t end_ms = now_ms () + WAIT_MS;
         (rc = chain_new (&chain, &options, &error)) == 0 && chain_port (chain) != port;) {
        // libzmq takes a moment to give the port up, and then another one is chosen and kept
        char text[16];
        ck_assert_int_lt (now_ms (), end_ms);
        chain_destroy (&chain);
        FILE *file = fopen (port_path, "w");
        snprintf (text, sizeof text, "%d\n", port);
        ck_assert_int_ge (fputs (text, file), 0);
        fclose (file);
    }
    ck_assert_msg (rc == 0, "%s", error.text);
    ck_assert_int_eq (chain_port (chain), port);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_chain", setup, teardown, a_chunk_arrives_as_it_was_passed_on,
                   an_ack_arrives_as_it_was_sent,
                   what_a_node_says_of_its_failure_arrives_and_is_safe_to_print,
                   what_is_not_for_this_node_is_dropped,
                   garbage_is_dropped_and_the_next_message_is_taken,
                   much_garbage_does_not_hold_its_owner_up,
                   a_payload_above_the_largest_chunk_is_dropped,
                   lists_that_are_too_long_are_not_sent, the_port_is_kept)
