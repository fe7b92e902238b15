/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_RPC_FIXTURE_H
#define LITEDFS_TESTS_RPC_FIXTURE_H

/*
 * What the tests of rpc share: the process set up and a ZAP handler that lets loopback in to the
 * domain "test" (rpc_setup, rpc_teardown: for a checked fixture), requests as bytes, waiting, and a
 * small server in a thread.
 */

#include "base/actor.h"
#include "base/context.h"
#include "base/err.h"
#include "base/process.h"
#include "rpc/router.h"
#include "rpc/socket.h"
#include "rpc/zap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "unit.h"

#define TYPE(name) (&message_types[MESSAGE_##name])

/* Every wait of a test ends after this, in ms. */
#define WAIT_MS 10000

static struct zap *zap;
static litedfs_error_t error;

static inline void
rpc_allow (const char *networks)
{
    struct net_list list = {.count = 0};

    if (networks)
        ck_assert_int_eq (net_list_add (&list, networks, &error), 0);
    else
        net_list_add_loopback (&list);
    ck_assert_int_eq (zap_allow (zap, "test", &list, "test.yml", &error), 0);
}

static void
rpc_setup (void)
{
    ck_assert_int_eq (process_init_czmq (1, &error), 0);
    ck_assert_int_eq (zap_start (&zap, NULL, clock_system (), &error), 0);
    rpc_allow (NULL);
}

static void
rpc_teardown (void)
{
    zap_stop (&zap);
    ck_assert_int_eq (socket_count (), 0);
    process_end ();
}

static inline int64_t
now_ms (void)
{
    return clock_mono (clock_system ());
}

/* The frame of a request; with seen < 0 without it. */
static inline struct buf
encode_request (const struct message_type *type, const void *fields, uint64_t id, int64_t seen)
{
    struct buf out = {0};
    struct envelope envelope = {
        .id = id, .version = 1, .seen = seen < 0 ? WIRE_UNKNOWN : (uint64_t) seen};

    ck_assert_int_eq (message_encode_request (&out, type, fields, &envelope, &error), 0);
    return out;
}

static inline struct buf
encode_path_info (const char *path, uint64_t id, int64_t seen)
{
    struct path_info_request fields = {.path = slice_str (path)};

    return encode_request (TYPE (path_info), &fields, id, seen);
}

static inline struct buf
encode_read (uint64_t size, uint64_t id, int64_t seen)
{
    struct block_read_request fields;

    message_request_init (TYPE (block_read), &fields);
    fields.block = 1;
    fields.node = 1;
    fields.size = size;
    return encode_request (TYPE (block_read), &fields, id, seen);
}

static inline void
send_buf (void *socket, struct buf *frame, int flags)
{
    ck_assert_int_ge (zmq_send (socket, frame->data, frame->size, ZMQ_DONTWAIT | flags), 0);
    buf_free (frame);
}

/* Ask for a path; for bytes. */
static inline void
ask (void *socket, uint64_t id, int64_t seen)
{
    struct buf frame = encode_path_info ("/a", id, seen);

    send_buf (socket, &frame, 0);
}

static inline void
ask_read (void *socket, uint64_t size, uint64_t id, int64_t seen)
{
    struct buf frame = encode_read (size, id, seen);

    send_buf (socket, &frame, 0);
}

/* A socket of a stranger who sets no option of ours. */
static inline void *
stranger (int type, int port)
{
    char endpoint[64];
    int linger = 0;
    void *socket = zmq_socket (context_get (), type);

    ck_assert_ptr_nonnull (socket);
    zmq_setsockopt (socket, ZMQ_LINGER, &linger, sizeof linger);
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", port);
    ck_assert_int_eq (zmq_connect (socket, endpoint), 0);
    return socket;
}

/* Wait for a frame from a stranger's socket; false after ms. */
static inline bool
readable (void *socket, long ms)
{
    zmq_pollitem_t item = {socket, 0, ZMQ_POLLIN, 0};

    return zmq_poll (&item, 1, ms) == 1;
}

/* ---- a server ---- */

#define SERVER_HEADERS 8

struct server {
    struct router_options options;
    struct actor *actor;
    int port;
    atomic_int requests;
    atomic_int created; // directory.create
    atomic_int closed;
    atomic_bool mute; // receives and does not answer
    pthread_mutex_t mutex;
    struct buf headers[SERVER_HEADERS]; // of the first requests
    int header_count;
};

static inline int
answer_path_info (struct router *router, struct request *request)
{
    struct path_info_request fields;
    struct path_info_reply reply;

    ck_assert_int_eq (message_request_fields (request->message, &fields, &error), 0);
    message_reply_init (TYPE (path_info), &reply);
    reply.path = fields.path;
    reply.kind = KIND_FILE;
    return router_reply (router, &request->route, request->message->envelope.id,
                         TYPE (path_info), &reply, NULL);
}

static inline int
answer_read (struct router *router, struct request *request)
{
    struct block_read_request fields;
    struct block_read_reply reply;
    zmq_msg_t payload;

    ck_assert_int_eq (message_request_fields (request->message, &fields, &error), 0);
    message_reply_init (TYPE (block_read), &reply);
    reply.size = fields.size;
    zmq_msg_init_size (&payload, fields.size);
    memset (zmq_msg_data (&payload), 'x', fields.size);
    int rc = router_reply (router, &request->route, request->message->envelope.id,
                           TYPE (block_read), &reply, &payload);
    ck_assert_uint_eq (zmq_msg_size (&payload), 0);
    zmq_msg_close (&payload);
    return rc;
}

static inline int
answer_create (struct router *router, struct request *request)
{
    struct directory_create_reply reply = {.created = true};

    return router_reply (router, &request->route, request->message->envelope.id,
                         TYPE (directory_create), &reply, NULL);
}

static inline void
server_answer (struct server *self, struct router *router, struct request *request)
{
    enum message_number number = request->message->type->number;

    pthread_mutex_lock (&self->mutex);
    if (self->header_count < SERVER_HEADERS)
        buf_put (&self->headers[self->header_count++], zmq_msg_data (&request->header),
                 zmq_msg_size (&request->header));
    pthread_mutex_unlock (&self->mutex);
    if (!self->mute && number == MESSAGE_path_info)
        answer_path_info (router, request);
    else if (!self->mute && number == MESSAGE_block_read)
        answer_read (router, request);
    else if (!self->mute && number == MESSAGE_directory_create)
        answer_create (router, request);
    else if (!self->mute && number == MESSAGE_file_delete)
        router_reply_error (router, &request->route, request->message->envelope.id,
                            LITEDFS_NOT_FOUND, "file[/x]: there is none");
    if (number == MESSAGE_directory_create)
        atomic_fetch_add (&self->created, 1);
    atomic_fetch_add (&self->requests, 1); // last: a test may wait for it
}

static inline void
server_run (struct actor_pipe *pipe, void *args)
{
    struct server *self = args;
    struct router *router;
    struct request *request;
    litedfs_error_t failed;
    uint64_t session;

    if (router_new (&router, &self->options, &failed) < 0) {
        actor_failed (pipe, &failed);
        return;
    }
    self->port = router_port (router);
    actor_ready (pipe);
    while (!actor_stopping (pipe)) {
        zmq_pollitem_t items[] = {{actor_pipe_socket (pipe), 0, ZMQ_POLLIN, 0},
                                  {router_socket (router), 0, ZMQ_POLLIN, 0},
                                  {router_monitor_socket (router), 0, ZMQ_POLLIN, 0}};
        zmq_poll (items, 3, -1);
        while (actor_recv_command (pipe))
            ;
        for (int n = 0; n < 256 && router_receive (router, &request); n++) {
            server_answer (self, router, request);
            request_destroy (&request);
        }
        while (router_closed (router, &session))
            atomic_fetch_add (&self->closed, 1);
    }
    router_destroy (&router);
}

/* Start it; a port that another server has just left is free when libzmq's thread has closed it. */
static inline void
server_start (struct server *self, int port)
{
    int64_t end_ms = now_ms () + WAIT_MS;
    int rc;

    memset (self, 0, sizeof *self);
    pthread_mutex_init (&self->mutex, NULL);
    self->options = (struct router_options){.role = SOCKET_NAME_ROUTER,
                                            .domain = "test",
                                            .host = "127.0.0.1",
                                            .port = port,
                                            .clock = clock_system ()};
    do
        rc = actor_start (&self->actor, "server", server_run, self, &error);
    while (rc == LITEDFS_IN_USE && now_ms () < end_ms);
    ck_assert_msg (rc == 0, "%s", error.text);
}

static inline void
server_stop (struct server *self)
{
    actor_stop (&self->actor);
}

static inline void
server_free (struct server *self)
{
    server_stop (self);
    for (int i = 0; i < SERVER_HEADERS; i++)
        buf_free (&self->headers[i]);
    pthread_mutex_destroy (&self->mutex);
}

#endif
