/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_CHAIN_H
#define LITEDFS_DATANODE_CHAIN_H

/*
 * What data nodes say to each other: a bound PULL on which chain.write and chain.ack come in and are made
 * events of the pipeline, and the way back from its actions to frames.
 *
 * A PULL answers nothing, so what is not a message for this node is dropped: garbage, other ops, another
 * node's number (the port may have been another's yesterday).  That is counted, and said in the log once
 * a minute.
 *
 * No call blocks; all belongs to one thread.
 */

#include "base/clock.h"
#include "base/log.h"
#include "datanode/pipeline.h"
#include "rpc/socket.h"

struct chain;

struct chain_options {
    const char *domain;    // of the ZAP handler; must have its list before
    const char *host;      // to bind to, as socket_bind
    int port;              // as ports_bind_socket, with
    const char *port_path; // its file
    struct log *log;       // may be NULL
    const struct clock *clock;
};

/* Make it and bind it.  The strings need not outlive the call.  Errors as socket_new and
 * ports_bind_socket, LITEDFS_MEMORY. */
int chain_new (struct chain **out, const struct chain_options *options, litedfs_error_t *error);

/* Close the socket and free it.  Takes NULL, sets it to NULL. */
void chain_destroy (struct chain **self);

/* The port that it is bound to; the socket, for zmq_poll with ZMQ_POLLIN. */
int chain_port (const struct chain *self);
void *chain_socket (struct chain *self);

#define CHAIN_WHY_SIZE 256

/* A message that came.  What it points at lives until chain_event_close. */
struct chain_event {
    enum message_number kind; // MESSAGE_chain_write or MESSAGE_chain_ack
    uint32_t from;
    struct pipeline_chunk chunk; // of a chain.write; its data and payload are not set
    zmq_msg_t payload;           // of a chain.write: its bytes; may be moved away
    struct pipeline_ack ack;     // of a chain.ack
    struct pipeline_replica replicas[PIPELINE_NODES_MAX];
    char why[CHAIN_WHY_SIZE];
    zmq_msg_t header;
    struct message *message;
};

/* The next message for this node, whose number is node (0: it has none, and nothing is for it): true, and
 * *out is the caller's to be closed.  False if there is none now, or if it has been busy with garbage for
 * a while and wants to be called after the next zmq_poll.  Whether `from` is a node of this cluster is for
 * the caller to say. */
bool chain_receive (struct chain *self, uint32_t node, struct chain_event *out);
void chain_event_close (struct chain_event *self);

/* Count a message as dropped. */
void chain_dropped (struct chain *self, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

/* How many were dropped. */
uint64_t chain_drops (const struct chain *self);

/* The first frame for a PIPELINE_FORWARD, a PIPELINE_ACK of this node; *out is valid until the next call.
 * LITEDFS_INVALID if the action breaks the bounds of the message, which is a bug; LITEDFS_MEMORY. */
int chain_encode_write (struct chain *self, uint32_t node, const struct pipeline_action *action,
                        struct slice *out, litedfs_error_t *error);
int chain_encode_ack (struct chain *self, uint32_t node, const struct pipeline_action *action,
                      struct slice *out, litedfs_error_t *error);

#endif
