/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_DATANODE_LANE_FIXTURE_H
#define LITEDFS_TESTS_DATANODE_LANE_FIXTURE_H

/*
 * What the tests of lane and peers share: a node at the other end (a PULL that takes what comes), and
 * parcels whose headers are words.
 */

#include "base/buf.h"
#include "datanode/lane.h"

#include "rpc_fixture.h"

/* The other end: bound to a port of this machine, 0: a free one. */
static inline void *
bind_pull (int port, int *out_port)
{
    struct socket_options options = {.zap_domain = "test"};
    void *pull = socket_new (SOCKET_PULL_PEER, &options, &error);

    ck_assert_msg (pull != NULL, "%s", error.text);
    ck_assert_msg (socket_bind (pull, "127.0.0.1", port, out_port, &error) == 0, "%s",
                   error.text);
    return pull;
}

static inline struct parcel
chunk (uint64_t block, uint64_t offset, const char *header)
{
    return (struct parcel){
        .kind = PARCEL_CHUNK, .block = block, .offset = offset, .header = slice_str (header)};
}

static inline struct parcel
ack (uint64_t block, const char *header)
{
    return (struct parcel){
        .kind = PARCEL_ACK, .block = block, .urgent = true, .header = slice_str (header)};
}

/* Bytes to be sent along, full of one letter. */
static inline zmq_msg_t
bytes_of (char letter, size_t size)
{
    zmq_msg_t bytes;

    ck_assert_int_eq (zmq_msg_init_size (&bytes, size), 0);
    memset (zmq_msg_data (&bytes), letter, size);
    return bytes;
}

/* Whether the next message is there, and its header this word; its payload has so many bytes. */
static inline bool
arrived (void *pull, const char *header, size_t size)
{
    struct socket_body body;

    if (socket_receive_body (pull, &body) != 0)
        return false;
    ck_assert_uint_eq (zmq_msg_size (&body.header), strlen (header));
    ck_assert_msg (memcmp (zmq_msg_data (&body.header), header, strlen (header)) == 0,
                   "%.*s came, not %s", (int) zmq_msg_size (&body.header),
                   (const char *) zmq_msg_data (&body.header), header);
    ck_assert_uint_eq (zmq_msg_size (&body.payload), size);
    socket_body_close (&body);
    return true;
}

/* Do something again and again until a condition holds. */
#define UNTIL(condition, again)                                                                \
    for (int64_t end_ms = now_ms () + WAIT_MS; !(condition);) {                                \
        ck_assert_msg (now_ms () < end_ms, "waited in vain: %s", #condition);                  \
        again;                                                                                 \
        zmq_poll (NULL, 0, 2);                                                                 \
    }

#endif
