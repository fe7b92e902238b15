/* SPDX-License-Identifier: MIT */
/*
 * A socket, its monitor, and a list.
 *
 * A message is sent by references to its frames, so that it is whole when libzmq takes the first of them
 * back.  The list is short: the pipeline sends no more than its credit, and takes back what nobody needs
 * any more.  So it is simply searched.
 *
 * libzmq tells of an attempt that found nobody by ZMQ_EVENT_CLOSED, and of the end of a connection, or
 * of one that never got through the handshake, by ZMQ_EVENT_DISCONNECTED.  It goes on by itself after
 * both, but not after a refusal.
 */
#include "datanode/lane.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MAX 65536
#define LOST_AFTER_MS 1000
#define LOST_FAILURES 2

#define EVENTS                                                                                 \
    (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |                         \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED)

/* What waits. */
struct lane_item {
    struct lane_item *next;
    enum parcel_kind kind;
    uint64_t block;
    uint64_t offset;
    const void *owner;
    bool has_payload;
    zmq_msg_t header;
    zmq_msg_t payload;
};

int
lane_open (struct lane *self, const char *host, int port, int send_hwm, litedfs_error_t *error)
{
    struct socket_options options = {.send_hwm = send_hwm};
    void *monitor = NULL;
    void *socket = socket_new (SOCKET_PUSH_PEER, &options, error);

    if (!socket)
        return error->number;
    monitor = socket_monitor (socket, EVENTS, error);
    if (!monitor || socket_connect (socket, host, port, error) < 0) {
        socket_monitor_close (socket, &monitor);
        socket_close (&socket);
        return error->number;
    }
    self->socket = socket;
    self->monitor = monitor;
    self->connected = self->refused = self->foreign = self->ended = false;
    self->failures = 0;
    return 0;
}

void
lane_close (struct lane *self)
{
    if (self->socket)
        socket_monitor_close (self->socket, &self->monitor);
    socket_close (&self->socket);
    self->connected = false;
}

/* ---- what waits --------------------------------------------------------------------------------- */

static void
remove_item (struct lane *self, struct lane_item **place)
{
    struct lane_item *item = *place;

    *place = item->next;
    self->count--;
    zmq_msg_close (&item->header);
    zmq_msg_close (&item->payload);
    free (item);
}

/* Where a message belongs, and whether it takes the place of what stands there.  NULL if it need not wait
 * at all. */
static struct lane_item **
find_place (struct lane *self, const struct parcel *parcel, bool *replaces)
{
    struct lane_item **place = &self->first;

    *replaces = false;
    for (; *place; place = &(*place)->next) {
        const struct lane_item *item = *place;
        if (item->block != parcel->block ||
            (item->kind == PARCEL_ACK) != (parcel->kind == PARCEL_ACK))
            continue;
        if (parcel->kind == PARCEL_SIGN)
            return NULL;
        if (parcel->kind == PARCEL_CHUNK && item->kind == PARCEL_CHUNK &&
            item->offset < parcel->offset)
            continue;
        *replaces = item->kind != PARCEL_CHUNK || item->offset == parcel->offset;
        break;
    }
    return place;
}

static int
set_header (zmq_msg_t *frame, struct slice header)
{
    if (zmq_msg_init_size (frame, header.size) < 0) {
        zmq_msg_init (frame);
        return ENOMEM;
    }
    memcpy (zmq_msg_data (frame), header.data, header.size);
    return 0;
}

/* Let a message wait; its header is taken. */
static int
enqueue (struct lane *self, const struct parcel *parcel, zmq_msg_t *header,
         litedfs_error_t *error)
{
    bool replaces;
    struct lane_item **place = find_place (self, parcel, &replaces);
    struct lane_item *item;

    if (!place)
        return 0;
    if (self->count >= ITEMS_MAX)
        return err_set (error, LITEDFS_BUSY, "%zu messages wait for this node", self->count);
    item = calloc (1, sizeof *item);
    if (!item)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    item->kind = parcel->kind;
    item->block = parcel->block;
    item->offset = parcel->offset;
    item->owner = parcel->owner;
    zmq_msg_init (&item->header);
    zmq_msg_move (&item->header, header);
    zmq_msg_init (&item->payload);
    if (parcel->payload) {
        item->has_payload = true;
        zmq_msg_copy (&item->payload, parcel->payload);
    }
    if (replaces)
        remove_item (self, place);
    item->next = *place;
    *place = item;
    self->count++;
    return 0;
}

void
lane_forget (struct lane *self, const void *owner)
{
    for (struct lane_item **place = &self->first; *place;)
        if ((*place)->owner == owner)
            remove_item (self, place);
        else
            place = &(*place)->next;
}

void
lane_forget_block (struct lane *self, uint64_t block)
{
    for (struct lane_item **place = &self->first; *place;)
        if ((*place)->block == block && (*place)->kind != PARCEL_ACK)
            remove_item (self, place);
        else
            place = &(*place)->next;
}

void
lane_clear (struct lane *self)
{
    while (self->first)
        remove_item (self, &self->first);
}

/* ---- sending ------------------------------------------------------------------------------------ */

static int
send_reference (void *socket, zmq_msg_t *frame, bool more)
{
    zmq_msg_t copy;

    zmq_msg_init (&copy);
    if (zmq_msg_copy (&copy, frame) < 0) {
        int errnum = errno;
        zmq_msg_close (&copy);
        return errnum;
    }
    int errnum = socket_send_frame (socket, &copy, more);
    zmq_msg_close (&copy);
    return errnum;
}

/* Send a message: 0 or an errno.  If its second frame is not taken, libzmq gives up the first too. */
static int
send_frames (void *socket, zmq_msg_t *header, zmq_msg_t *payload)
{
    int errnum = send_reference (socket, header, payload != NULL);

    if (errnum == 0 && payload)
        errnum = send_reference (socket, payload, false);
    return errnum;
}

int
lane_send (struct lane *self, const struct parcel *parcel, litedfs_error_t *error)
{
    zmq_msg_t header;
    int rc = 0;

    if (set_header (&header, parcel->header) != 0)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    if (!self->socket || self->first ||
        send_frames (self->socket, &header, parcel->payload) != 0)
        rc = enqueue (self, parcel, &header, error);
    zmq_msg_close (&header);
    return rc;
}

void
lane_flush (struct lane *self)
{
    while (self->socket && self->first &&
           send_frames (self->socket, &self->first->header,
                        self->first->has_payload ? &self->first->payload : NULL) == 0)
        remove_item (self, &self->first);
}

/* ---- the connection ----------------------------------------------------------------------------- */

bool
lane_hear (struct lane *self, int64_t now_ms)
{
    struct socket_event event;
    bool made = false;

    while (self->monitor && socket_monitor_next (self->monitor, &event))
        switch (event.event) {
        case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
            self->connected = made = true;
            self->ended = false;
            self->failures = 0;
            break;
        case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
            self->refused = true;
            break;
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
            self->foreign = true;
            break;
        case ZMQ_EVENT_CLOSED:
            self->failures++;
            break;
        default: // ZMQ_EVENT_DISCONNECTED
            self->connected = false;
            if (!self->ended)
                self->ended_ms = now_ms;
            self->ended = true;
        }
    return made;
}

enum lane_health
lane_health (const struct lane *self, int64_t now_ms)
{
    if (self->refused)
        return LANE_REFUSED;
    if (self->foreign)
        return LANE_FOREIGN;
    if (self->failures >= LOST_FAILURES ||
        (self->ended && now_ms - self->ended_ms > LOST_AFTER_MS))
        return LANE_LOST;
    return LANE_WELL;
}
