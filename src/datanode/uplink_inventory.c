/* SPDX-License-Identifier: MIT */
/*
 * The comparison of inventories: after each registration, when the name node asks for it, and every
 * inventory_interval.
 *
 * First the digests of all buckets go out, as of the change that was confirmed last; no report is under way
 * then, so that the name node is at the same change.  What it says differs is listed, some buckets at a time
 * (blockstore_listing_new), page after page.  Reports go on in between.  The name node gets what was sent in
 * the order in which it was sent, so a page is never older than a report that came before it; where that is
 * not so, after the connection was lost, it takes nothing and all begins anew.
 */
#include "datanode/uplink_impl.h"

#include "base/err.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LISTING_PAGE 2048       // blocks in a message
#define AGAIN_MS 1000           // until a comparison that came to nothing is begun anew
#define UNCONFIRMED_MAX 10000   // changes; with more, they are reported first
#define DIGEST_SIZE 16          // bytes on the wire
#define LISTING_TIMEOUT_MS 5000 // of a node.listing, at least; else heartbeat_timeout

struct uplink_inventory {
    bool pending; // a message is under way
    int64_t due_ms;
    uint8_t differ[BLOCK_ID_BUCKETS / 8]; // buckets that are not listed yet
    struct blockstore_listing *listing;   // NULL: none is being sent
    struct blockstore_page page;
    struct blockstore_digest digests[BLOCK_ID_BUCKETS];
    uint8_t wire[BLOCK_ID_BUCKETS * DIGEST_SIZE];
    uint64_t seq; // that the digests are of
    uint64_t buckets;
    uint64_t added;
    uint64_t removed;
    struct wire_present blocks[LISTING_PAGE];
};

int
uplink_inventory_new (struct uplink *self, litedfs_error_t *error)
{
    struct uplink_inventory *inventory = calloc (1, sizeof *inventory);

    if (inventory == NULL)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    inventory->page.blocks = inventory->blocks;
    inventory->page.max = LISTING_PAGE;
    self->inventory = inventory;
    return 0;
}

void
uplink_inventory_free (struct uplink *self)
{
    if (self->inventory != NULL)
        blockstore_listing_destroy (&self->inventory->listing);
    free (self->inventory);
    self->inventory = NULL;
}

void
uplink_inventory_begin (struct uplink *self, int64_t when_ms)
{
    struct uplink_inventory *inventory = self->inventory;

    blockstore_listing_destroy (&inventory->listing);
    memset (inventory->differ, 0, sizeof inventory->differ);
    inventory->pending = false;
    inventory->due_ms = when_ms;
}

/* What was done comes to nothing; once more, a little later. */
static void
begin_again (struct uplink *self)
{
    uplink_inventory_begin (self, uplink_now (self) + AGAIN_MS);
}

/* It cannot be done now. */
static void
fail (struct uplink *self, const litedfs_error_t *error)
{
    uplink_complain (self, error);
    uplink_inventory_begin (self, uplink_now (self) +
                                      uplink_ms (self->options.config->retry_interval));
}

static int64_t
timeout_ms (const struct uplink *self)
{
    int64_t beat_ms = uplink_ms (self->options.config->heartbeat_timeout);

    return beat_ms > LISTING_TIMEOUT_MS ? beat_ms : LISTING_TIMEOUT_MS;
}

static bool
any_differs (const struct uplink_inventory *inventory)
{
    for (size_t i = 0; i < sizeof inventory->differ; i++)
        if (inventory->differ[i] != 0)
            return true;
    return false;
}

/* All that differed has been listed. */
static void
complete (struct uplink *self)
{
    struct uplink_inventory *inventory = self->inventory;

    log_info (self->options.log,
              "inventories were compared: %" PRIu64 " of %d buckets differed; %s did not know "
              "%" PRIu64 " blocks and counted %" PRIu64 " that are not here",
              inventory->buckets, BLOCK_ID_BUCKETS, self->peer, inventory->added,
              inventory->removed);
}

/* ---- digests ------------------------------------------------------------------------------------ */

static void
on_inventory (void *arg, struct message *message, zmq_msg_t *payload,
              const litedfs_error_t *problem)
{
    struct uplink *self = arg;
    struct uplink_inventory *inventory = self->inventory;
    struct node_inventory_reply reply;
    (void) payload;

    inventory->pending = false;
    if (!uplink_take_reply (self, MESSAGE_node_inventory, message, problem, &reply,
                            &inventory->due_ms))
        return;
    if (reply.buckets.data == NULL) {
        log_debug (self->options.log,
                   "inventories are compared later: changes up to %" PRIu64
                   " are known, the digests are of %" PRIu64,
                   reply.seq, inventory->seq);
        begin_again (self);
        return;
    }
    memcpy (inventory->differ, reply.buckets.data, sizeof inventory->differ);
    inventory->buckets = inventory->added = inventory->removed = 0;
    for (uint32_t bucket = 0; bucket < BLOCK_ID_BUCKETS; bucket++)
        inventory->buckets += inventory->differ[bucket / 8] >> bucket % 8 & 1;
}

static void
put_big_endian (uint8_t *out, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t) (number >> (56 - 8 * i));
}

static void
send_digests (struct uplink *self)
{
    struct uplink_inventory *inventory = self->inventory;
    struct node_inventory_request request;
    litedfs_error_t error;

    inventory->due_ms =
        uplink_now (self) + uplink_ms (self->options.config->inventory_interval);
    if (blockstore_digests (self->options.store, inventory->digests, &inventory->seq, &error) <
        0) {
        fail (self, &error);
        return;
    }
    for (size_t i = 0; i < BLOCK_ID_BUCKETS; i++) {
        put_big_endian (inventory->wire + i * DIGEST_SIZE, inventory->digests[i].hash);
        put_big_endian (inventory->wire + i * DIGEST_SIZE + 8, inventory->digests[i].count);
    }
    message_request_init (&message_types[MESSAGE_node_inventory], &request);
    request.node = self->node;
    request.seq = inventory->seq;
    request.digests = slice_of (inventory->wire, sizeof inventory->wire);
    inventory->pending = uplink_ask (self, MESSAGE_node_inventory, &request, timeout_ms (self),
                                     on_inventory, NULL);
}

/* ---- listings ----------------------------------------------------------------------------------- */

static void
on_listing (void *arg, struct message *message, zmq_msg_t *payload,
            const litedfs_error_t *problem)
{
    struct uplink *self = arg;
    struct uplink_inventory *inventory = self->inventory;
    const struct wire_range *first = &inventory->page.ranges[0];
    struct node_listing_reply reply;
    (void) payload;

    inventory->pending = false;
    if (inventory->listing == NULL)
        return; // a comparison was begun anew meanwhile
    if (!uplink_take_reply (self, MESSAGE_node_listing, message, problem, &reply,
                            &inventory->due_ms)) {
        uplink_inventory_begin (self, inventory->due_ms); // not the same page at once again
        return;
    }
    bool moved = reply.bucket > first->bucket ||
                 (reply.bucket == first->bucket && reply.block > first->after);
    if (!reply.taken || !moved) {
        begin_again (self);
        return;
    }
    inventory->added += reply.added;
    inventory->removed += reply.removed;
    blockstore_listing_advance (inventory->listing, (uint32_t) reply.bucket, reply.block);
}

/* The next page; when there is none the listing is at its end. */
static void
send_page (struct uplink *self)
{
    struct uplink_inventory *inventory = self->inventory;
    struct blockstore_page *page = &inventory->page;
    struct node_listing_request request;
    litedfs_error_t error;

    if (blockstore_listing_page (inventory->listing, page, &error) < 0) {
        fail (self, &error);
        return;
    }
    if (page->ranges_count == 0) {
        blockstore_listing_destroy (&inventory->listing);
        if (!any_differs (inventory))
            complete (self);
        return;
    }
    message_request_init (&message_types[MESSAGE_node_listing], &request);
    request.node = self->node;
    request.complete = blockstore_listing_seq (inventory->listing);
    request.seq = page->seq;
    request.ranges = page->ranges;
    request.ranges_count = page->ranges_count;
    request.blocks = page->blocks;
    request.blocks_count = page->count;
    inventory->pending =
        uplink_ask (self, MESSAGE_node_listing, &request, timeout_ms (self), on_listing, NULL);
}

static void
begin_listing (struct uplink *self)
{
    struct uplink_inventory *inventory = self->inventory;
    litedfs_error_t error;

    if (blockstore_listing_new (&inventory->listing, self->options.store, inventory->differ,
                                &error) < 0)
        fail (self, &error);
}

/* ---- when what ---------------------------------------------------------------------------------- */

/* Whether the digests may be sent: nothing is on its way that would change what they are compared with. */
static bool
may_compare (const struct uplink *self)
{
    struct blockstore *store = self->options.store;

    return !self->report_pending &&
           blockstore_seq (store) - blockstore_confirmed (store) <= UNCONFIRMED_MAX;
}

void
uplink_tend_inventory (struct uplink *self)
{
    struct uplink_inventory *inventory = self->inventory;

    if (self->stage != UPLINK_REGISTERED || inventory->pending)
        return;
    if (inventory->listing == NULL && any_differs (inventory))
        begin_listing (self);
    if (inventory->listing != NULL)
        send_page (self);
    else if (uplink_now (self) >= inventory->due_ms && may_compare (self))
        send_digests (self);
}

int64_t
uplink_inventory_ms (const struct uplink *self)
{
    const struct uplink_inventory *inventory = self->inventory;

    if (self->stage != UPLINK_REGISTERED || inventory->pending)
        return INT64_MAX;
    if (inventory->listing != NULL || any_differs (inventory))
        return 0;
    return may_compare (self) ? inventory->due_ms : INT64_MAX;
}
