/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_LANE_H
#define LITEDFS_DATANODE_LANE_H

/*
 * One PUSH socket to one other data node, and what waits until it takes it.  For peers.c alone.
 *
 * libzmq is given what it takes at once; the rest waits here, where it can still be taken back.  Of what
 * waits, chunks of a block are kept in the order of their offsets, each once; only a block's newest ack
 * is kept; and a sign of life is none where chunks wait.  So what is sent again and again costs nothing.
 *
 * How the connection is doing is heard from the socket's monitor.  A node is taken for lost when its
 * connection has ended and is not back within a second, or when two attempts to connect found nobody:
 * a process that died is found dead in half a second.  Silence is no loss; that is for who awaits acks.
 *
 * No call blocks.
 */

#include "base/buf.h"
#include "rpc/socket.h"

enum parcel_kind {
    PARCEL_CHUNK,
    PARCEL_SIGN, // a chunk without anything: a sign of life
    PARCEL_ACK
};

/* A message to be sent. */
struct parcel {
    enum parcel_kind kind;
    uint64_t block;
    uint64_t offset;     // of a CHUNK, in its block
    bool urgent;         // overtakes what is not
    struct slice header; // copied
    zmq_msg_t *payload;  // a reference to it is sent; NULL: one frame only
    const void *owner;   // whose bytes the payload is
};

struct lane_item;

/* Valid when zero-initialised: closed and empty. */
struct lane {
    void *socket; // NULL: closed
    void *monitor;
    bool connected;
    bool refused;      // the other side does not let us in
    bool foreign;      // whoever listens there does not speak our protocol
    unsigned failures; // attempts that found nobody since there was a connection
    bool ended;        // there was a connection, or half of one, and it is not back
    int64_t ended_ms;  // since when
    struct lane_item *first;
    size_t count; // of items
};

/* What can be said of the node at the other end. */
enum lane_health { LANE_WELL, LANE_LOST, LANE_REFUSED, LANE_FOREIGN };

/* Begin to connect to a numeric host.  send_hwm as in socket.h.  Errors as socket_new and
 * socket_connect; the lane is closed then, and what waits stays. */
int lane_open (struct lane *self, const char *host, int port, int send_hwm,
               litedfs_error_t *error);

/* Close the socket, with all that libzmq has not sent; what waits stays. */
void lane_close (struct lane *self);

/* Send, or let it wait.  LITEDFS_MEMORY, or LITEDFS_BUSY if too much waits: then it is dropped. */
int lane_send (struct lane *self, const struct parcel *parcel, litedfs_error_t *error);

/* Send what waits, as far as it goes. */
void lane_flush (struct lane *self);

/* Drop what waits: what carries this owner's bytes; the chunks of a block; everything. */
void lane_forget (struct lane *self, const void *owner);
void lane_forget_block (struct lane *self, uint64_t block);
void lane_clear (struct lane *self);

/* Take in what the monitor says; true if a connection was made. */
bool lane_hear (struct lane *self, int64_t now_ms);
enum lane_health lane_health (const struct lane *self, int64_t now_ms);

#endif
