/* SPDX-License-Identifier: MIT */
/*
 * A data node and its clients: blocks are written, read, refused and damaged.
 */
#include "datanode/pipeline.h"

#include <fcntl.h>
#include <unistd.h>

#include "datanode_world.h"

START_TEST (a_block_is_written_read_and_reported)
{
    struct block_read_reply out;

    start_registered ();
    put_block (BLOCK, 3 * CHUNK + 100);
    int64_t durable_ms = clock_mono (clock_system ());
    WAIT_FOR (name.change_count == 1);
    ck_assert_int_lt (clock_mono (clock_system ()) - durable_ms, 1000);
    ck_assert_int_eq (name.changes[0].kind, CHANGE_ADDED);
    ck_assert_uint_eq (name.changes[0].block, BLOCK);
    ck_assert_uint_eq (name.changes[0].size, 3 * CHUNK + 100);

    ck_assert_int_eq (get (BLOCK, 0, CHUNK, &out), 0);
    ck_assert_int_eq (get (BLOCK, 1, 4 * CHUNK - 1, &out), 0);
    ck_assert_uint_eq (out.size, 3 * CHUNK + 99);
    ck_assert_int_eq (get (BLOCK, 3 * CHUNK + 99, 1, &out), 0);
    ck_assert_uint_eq (out.size, 1);
    ck_assert_int_eq (get (BLOCK, 3 * CHUNK + 101, 1, &out), LITEDFS_INVALID);
    ck_assert_int_eq (get (BLOCK + 1, 0, 1, &out), LITEDFS_NOT_FOUND);
}
END_TEST

START_TEST (gaps_and_doubled_chunks_are_answered)
{
    struct block_write_reply out;
    struct block_stat_reply state;

    start_registered ();
    ck_assert_int_eq (put (BLOCK, CHUNK, CHUNK, false, &out), LITEDFS_GAP);
    ck_assert_int_eq (stat_block (BLOCK, &state), 0);
    ck_assert_int_eq (state.state, REPLICA_UNKNOWN);
    ck_assert_int_eq (put (BLOCK, 0, CHUNK, false, &out), 0);
    ck_assert_uint_eq (out.offset, CHUNK);
    ck_assert_uint_ge (out.credit, CHUNK);
    ck_assert_int_eq (put (BLOCK, 0, CHUNK, false, &out), 0);
    ck_assert_uint_eq (out.offset, CHUNK);
    ck_assert_int_eq (put (BLOCK, 3 * CHUNK, CHUNK, false, &out), LITEDFS_GAP);
    ck_assert_ptr_nonnull (strstr (error.text, "131072"));
    ck_assert_int_eq (put (BLOCK, CHUNK, 10, true, &out), 0);
    ck_assert_int_eq (stat_block (BLOCK, &state), 0);
    ck_assert_int_eq (state.state, REPLICA_DURABLE);

    // Finished: each chunk again is fine, other bytes are not.
    ck_assert_int_eq (put (BLOCK, 0, CHUNK, false, &out), 0);
    ck_assert_int_eq (out.state, REPLICA_DURABLE);
    ck_assert_uint_eq (out.offset, CHUNK + 10);
    ck_assert_int_eq (put (BLOCK, CHUNK, 10, true, &out), 0);
    bytes[1000] ^= 1;
    ck_assert_int_eq (put (BLOCK, 0, CHUNK, false, &out), LITEDFS_EXISTS);
}
END_TEST

START_TEST (wrong_bytes_and_wrong_nodes_are_refused)
{
    struct block_write_request request = chunk_of (BLOCK, 0, CHUNK, false);
    struct block_write_reply out;

    start_registered ();
    request.crc32 ^= 1;
    ck_assert_int_eq (send_chunk (&request, CHUNK, &out), LITEDFS_CORRUPT);
    request.crc32 ^= 1;
    request.node = NODE + 1;
    ck_assert_int_eq (send_chunk (&request, CHUNK, &out), LITEDFS_WRONG_NODE);
    request.node = NODE;
    request.offset = 1;
    ck_assert_int_eq (send_chunk (&request, CHUNK, &out), LITEDFS_INVALID);
    put_block (BLOCK, CHUNK);
}
END_TEST

START_TEST (more_than_memory_limit_is_answered_busy)
{
    struct block_write_reply out;
    uint64_t block = BLOCK;

    set ("memory_limit", "16M");
    start_registered ();
    while (put (block, 0, BIG, false, &out) == 0)
        ck_assert_uint_lt (block++ - BLOCK, 8);
    ck_assert_int_eq (error.number, LITEDFS_BUSY);
    ck_assert_uint_gt (block, BLOCK);
    ck_assert_int_eq (put (BLOCK, BIG, 0, true, &out), 0);
    WAIT_FOR (put (block, 0, BIG, false, &out) == 0);
}
END_TEST

START_TEST (a_damaged_unit_is_an_error_and_the_block_is_set_aside_and_reported)
{
    struct block_read_reply out;
    char path[256];
    uint8_t wrong = 0;

    start_registered ();
    put_block (BLOCK, 8 * CRC_UNIT);
    snprintf (path, sizeof path, "%s/data/blocks/%02x/%016llx", directory,
              (unsigned) (BLOCK & 0xff), (unsigned long long) BLOCK);
    int fd = open (path, O_RDWR);
    ck_assert_int_ge (fd, 0);
    ck_assert_int_eq (pread (fd, &wrong, 1, 3 * CRC_UNIT), 1);
    wrong ^= 0xff;
    ck_assert_int_eq (pwrite (fd, &wrong, 1, 3 * CRC_UNIT), 1);
    close (fd);
    ck_assert_int_eq (get (BLOCK, 0, 3 * CRC_UNIT, &out), 0);
    ck_assert_int_eq (get (BLOCK, 0, 8 * CRC_UNIT, &out), LITEDFS_CORRUPT);
    ck_assert_int_eq (get (BLOCK, 4 * CRC_UNIT, CRC_UNIT, &out), LITEDFS_CORRUPT);
    WAIT_FOR (name.change_count == 2);
    ck_assert_int_eq (name.changes[1].kind, CHANGE_DAMAGED);
    ck_assert_uint_eq (name.changes[1].block, BLOCK);
    put_block (BLOCK, 8 * CRC_UNIT); // it is not remembered as finished
    WAIT_FOR (name.change_count == 3);
    ck_assert_int_eq (name.changes[2].kind, CHANGE_ADDED);
    ck_assert_int_eq (get (BLOCK, 0, 8 * CRC_UNIT, &out), 0);
}
END_TEST

static int
verify (const struct block_verify_request *request, struct block_verify_reply *out)
{
    return dealer_call (client, &message_types[MESSAGE_block_verify], request, NULL, out, NULL,
                        CALL_MS, -1, &error);
}

START_TEST (a_doubted_block_is_looked_at_and_a_pass_begins_when_it_is_told_to)
{
    struct block_verify_request doubt = {.node = NODE, .block = BLOCK};
    struct block_verify_request all = {.node = NODE, .all = true};
    struct block_verify_request ask = {.node = NODE};
    struct block_verify_reply begun, out;
    char path[256];

    start_registered ();
    put_block (BLOCK, 8 * CRC_UNIT);
    put_block (BLOCK + 1, 8 * CRC_UNIT);
    snprintf (path, sizeof path, "%s/data/blocks/%02x/%016llx", directory,
              (unsigned) (BLOCK & 0xff), (unsigned long long) BLOCK);
    ck_assert_int_eq (unlink (path), 0);
    ck_assert_int_eq (verify (&doubt, &out), 0);
    WAIT_FOR (name.change_count == 3);
    ck_assert_int_eq (name.changes[2].kind, CHANGE_DAMAGED);
    ck_assert_uint_eq (name.changes[2].block, BLOCK);
    doubt.block = BLOCK + 1;
    ck_assert_int_eq (verify (&doubt, &out), 0);
    ck_assert_int_eq (verify (&all, &begun), 0);
    ck_assert (begun.running && begun.started > 0);
    do
        ck_assert_int_eq (verify (&ask, &out), 0);
    while (out.running);
    ck_assert_uint_eq (out.started, begun.started);
    ck_assert (out.blocks == 1 && out.bytes == 8 * CRC_UNIT && out.damaged == 0);
    ck_assert_uint_eq (name.change_count, 3);
    ask.node = NODE + 1;
    ck_assert_int_eq (verify (&ask, &out), LITEDFS_WRONG_NODE);
}
END_TEST

static unsigned reads_done;

static void
on_read (void *arg, struct message *message, zmq_msg_t *payload, const litedfs_error_t *problem)
{
    (void) arg;
    (void) message;
    ck_assert_msg (problem == NULL, "%s", problem != NULL ? problem->text : "");
    ck_assert_uint_eq (zmq_msg_size (payload), CHUNK);
    reads_done++;
}

START_TEST (many_reads_at_once_are_answered)
{
    struct block_read_request request = {.block = BLOCK, .node = NODE, .size = CHUNK};

    start_registered ();
    put_block (BLOCK, 4 * CHUNK);
    for (unsigned i = 0; i < 8; i++) {
        request.offset = i % 4 * CHUNK;
        ck_assert_int_gt (dealer_send (client, &message_types[MESSAGE_block_read], &request,
                                       NULL, CALL_MS, on_read, NULL, &error),
                          0);
    }
    WAIT_FOR ((dealer_process (client), reads_done == 8));
}
END_TEST

START_TEST (hostile_frames_change_nothing)
{
    static const char *const garbage[] = {"", "x", "\xdd\x10\x00\x00\x00", "\x81\xa2op\xc0",
                                          ("\x82\xa2op\xab"
                                           "block.write\xa2id\x01")};
    char endpoint[64];
    void *socket = socket_new (SOCKET_DEALER, NULL, &error);

    start_registered ();
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", datanode_tcp_port (node));
    ck_assert_int_eq (socket_connect_endpoint (socket, endpoint, &error), 0);
    zmq_pollitem_t item = {socket, 0, ZMQ_POLLOUT, 0};
    ck_assert_int_eq (zmq_poll (&item, 1, WAIT_MS), 1);
    for (int round = 0; round < 200; round++) {
        const char *frame = garbage[round % 5];
        size_t size = round % 5 == 2 ? 5 : strlen (frame);
        for (int more = round % 20; more > 0; more--)
            zmq_send (socket, frame, size, ZMQ_SNDMORE);
        zmq_send (socket, bytes, (size_t) round * 100, 0);
    }
    put_block (BLOCK, 2 * CHUNK);
    socket_close (&socket);
    ck_assert (!datanode_failed (node, &error));
}
END_TEST

static void
on_chunk (void *arg, struct message *message, zmq_msg_t *payload,
          const litedfs_error_t *problem)
{
    (void) arg;
    (void) message;
    (void) payload;
    (void) problem;
}

START_TEST (it_stops_at_once_in_mid_transfer)
{
    zmq_msg_t payload;

    start_registered ();
    for (unsigned i = 0; i < 8; i++) {
        struct block_write_request request = chunk_of (BLOCK, i * CHUNK, CHUNK, false);
        zmq_msg_init_size (&payload, CHUNK);
        memcpy (zmq_msg_data (&payload), bytes, CHUNK);
        dealer_send (client, &message_types[MESSAGE_block_write], &request, &payload, CALL_MS,
                     on_chunk, NULL, &error);
        zmq_msg_close (&payload);
    }
    for (int i = 0; i < 5; i++) {
        pump (1);
        dealer_process (client);
    }
    int64_t begun_ms = clock_mono (clock_system ());
    datanode_stop (&node);
    ck_assert_int_lt (clock_mono (clock_system ()) - begun_ms, 4000);
    struct block_stat_reply state;
    start_node (); // what was on its way is gone
    ck_assert_int_eq (stat_block (BLOCK, &state), 0);
    ck_assert_int_eq (state.state, REPLICA_UNKNOWN);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode", setup, teardown, a_block_is_written_read_and_reported,
                   gaps_and_doubled_chunks_are_answered,
                   wrong_bytes_and_wrong_nodes_are_refused,
                   more_than_memory_limit_is_answered_busy,
                   a_damaged_unit_is_an_error_and_the_block_is_set_aside_and_reported,
                   a_doubted_block_is_looked_at_and_a_pass_begins_when_it_is_told_to,
                   many_reads_at_once_are_answered, hostile_frames_change_nothing,
                   it_stops_at_once_in_mid_transfer)
