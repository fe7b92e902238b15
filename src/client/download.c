/* SPDX-License-Identifier: MIT */
/*
 * Downloads: litedfs_download.
 *
 * The file's blocks are read in ranges, several under way over several blocks and nodes at once.  Each
 * range is checked against the CRC that came with it, each block against the CRC that the name node
 * has.  A range that a node cannot give is asked of the next holder; when none is left the name node is
 * asked once more who holds the block.  A regular file is written in any order; anything else gets the
 * bytes in order, from one block after the other.
 */
#include "client/session.h"

#include "base/crc.h"
#include "base/err.h"
#include "base/file.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RANGE_SIZE ((uint64_t) 1 << 20)
#define RANGES 12     // under way or waiting for their turn
#define SPAN_MAX 15   // from the oldest that a node owes to the last: it counts all of them
#define LANES 4       // blocks that are read at once, if the order does not matter
#define HOLDERS_MAX 8 // of a block, that we remember
#define REQUEST_MS 60000
#define BUSY_MS 20         // pause before a node that is busy is asked again, doubled
#define BUSY_DOUBLINGS 4   // so often
#define BUSY_MAX_MS 600000 // and then it counts as one that cannot give the range
#define LOOK_MS 500        // how often nodes that are away are looked after

struct download;

struct block {
    uint64_t id;
    uint64_t size;
    uint32_t crc32;
    struct peer *holders[HOLDERS_MAX];
    size_t holder_count;
    uint32_t *crcs; // of its ranges, while it is read
    uint64_t left;  // ranges that are not there yet
};

enum range_state { RANGE_FREE, RANGE_TO_ASK, RANGE_ASKED, RANGE_READ };

struct range {
    struct download *download;
    enum range_state state;
    uint64_t block;  // index
    uint64_t offset; // in the block
    size_t size;
    size_t holder;     // which one is asked
    unsigned failures; // holders that could not give it
    bool looked_again; // the name node was asked once more
    struct peer *peer;
    int64_t request_id;
    int64_t not_before_ms;
    unsigned busy_answers; // of this holder
    int64_t busy_since_ms; // monotonic; of the first of them
    zmq_msg_t payload;
    litedfs_error_t error; // of the last holder
};

struct lane {
    bool used;
    uint64_t block;
    uint64_t offset;
};

struct download {
    litedfs_t *session;
    litedfs_download_options_t options;
    const char *path;
    int fd;
    bool ordered;

    struct uuid file;
    uint64_t size;
    uint64_t block_size;
    struct block *blocks;
    uint64_t block_count;

    struct lane lanes[LANES];
    struct range ranges[RANGES];
    uint64_t next_block;
    uint64_t position; // ordered: bytes written
    uint64_t done;     // bytes written, in all

    int failed;
    litedfs_error_t error;
};

static void
fail (struct download *self, const litedfs_error_t *error)
{
    if (self->failed == 0) {
        self->failed = error->number;
        self->error = *error;
    }
}

/* ---- where the blocks are ---------------------------------------------------------------------------- */

static const struct wire_endpoint *
find_endpoint (const struct file_info_reply *page, uint64_t node)
{
    for (size_t i = 0; i < page->nodes_count; i++)
        if (page->nodes[i].node == node)
            return &page->nodes[i];
    return NULL;
}

/* Nodes that are online first: the others may be back sooner than we are told. */
static int
take_holders (struct download *self, struct block *block, const struct wire_block *from,
              const struct file_info_reply *page, litedfs_error_t *error)
{
    block->holder_count = 0;
    for (int online = 1; online >= 0; online--)
        for (size_t i = 0; i < from->nodes_count && block->holder_count < HOLDERS_MAX; i++) {
            const struct wire_endpoint *endpoint = find_endpoint (page, from->nodes[i]);
            if (!endpoint || endpoint->online != (bool) online)
                continue;
            int rc = session_peer (self->session, endpoint,
                                   &block->holders[block->holder_count], error);
            if (rc < 0)
                return rc;
            block->holder_count++;
        }
    return 0;
}

static int
take_page (struct download *self, const struct file_info_reply *page, litedfs_error_t *error)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < page->blocks_count; i++) {
        const struct wire_block *from = &page->blocks[i];
        if (from->index >= self->block_count)
            return err_set (error, LITEDFS_INVALID, "the name node named block %llu of %llu",
                            (unsigned long long) from->index,
                            (unsigned long long) self->block_count);
        struct block *block = &self->blocks[from->index];
        block->id = from->id;
        block->size = from->size;
        block->crc32 = (uint32_t) from->crc32;
        rc = take_holders (self, block, from, page, error);
    }
    return rc;
}

static int
take_file (struct download *self, const struct file_info_reply *page, litedfs_error_t *error)
{
    self->file = page->file;
    self->size = page->size;
    self->block_size = page->block_size;
    self->block_count = page->count;
    if (page->count > SIZE_MAX / sizeof *self->blocks)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    self->blocks = calloc (page->count ? (size_t) page->count : 1, sizeof *self->blocks);
    return self->blocks ? 0 : err_set (error, LITEDFS_MEMORY, "out of memory");
}

static int
locate (struct download *self, litedfs_error_t *error)
{
    struct file_info_request request = {.path = slice_str (self->path)};
    struct file_info_reply page = {.next = 0};
    int rc = 0;

    for (bool first = true; rc == 0 && page.next != WIRE_UNKNOWN; first = false) {
        struct dealer_reply *reply = NULL;
        request.offset = page.next;
        rc = session_call (self->session, MESSAGE_file_info, &request, &page, &reply, error);
        if (rc == 0 && first) {
            rc = take_file (self, &page, error);
            request.file = page.file; // the same file, whatever happens to its path meanwhile
            request.path = slice_of (NULL, 0);
        }
        if (rc == 0)
            rc = take_page (self, &page, error);
        dealer_reply_destroy (&reply);
    }
    return rc;
}

/* Where one block is now, asked by the file's id. */
static int
locate_again (struct download *self, uint64_t index, litedfs_error_t *error)
{
    const struct file_info_request request = {.file = self->file, .offset = index, .limit = 1};
    struct file_info_reply page;
    struct dealer_reply *reply = NULL;

    int rc = session_call (self->session, MESSAGE_file_info, &request, &page, &reply, error);
    if (rc == 0)
        rc = take_page (self, &page, error);
    dealer_reply_destroy (&reply);
    return rc;
}

/* ---- what has come --------------------------------------------------------------------------------------- */

/* Write to what cannot be written at an offset: a descriptor that blocks is in the hands of its reader. */
static int
write_all (const litedfs_t *session, int fd, const uint8_t *data, size_t size,
           litedfs_error_t *error)
{
    while (size > 0) {
        struct pollfd fds[] = {{.fd = fd, .events = POLLOUT},
                               {.fd = session->cancel_fd, .events = POLLIN}};
        poll (fds, 2, -1);
        if (fds[1].revents)
            return err_set (error, LITEDFS_CANCELLED, "cancelled");
        ssize_t put = write (fd, data, size);
        if (put < 0 && errno == EAGAIN) {
            continue;
        } else if (put < 0 && errno != EINTR) {
            return err_set_errno (error, LITEDFS_IO, errno, "local file");
        } else if (put > 0) {
            data += put;
            size -= (size_t) put;
        }
    }
    return 0;
}

/* A range is written: note its CRC, and check the block when it was the last one missing. */
static int
end_range (struct download *self, struct range *range, uint32_t crc, litedfs_error_t *error)
{
    struct block *block = &self->blocks[range->block];
    uint32_t whole = 0;

    block->crcs[range->offset / RANGE_SIZE] = crc;
    self->done += range->size;
    if (--block->left > 0)
        return 0;
    for (uint64_t at = 0; at < block->size; at += RANGE_SIZE) {
        uint64_t left = block->size - at;
        whole = crc32_join (whole, block->crcs[at / RANGE_SIZE],
                            left < RANGE_SIZE ? left : RANGE_SIZE);
    }
    free (block->crcs);
    block->crcs = NULL;
    if (whole == block->crc32)
        return 0;
    return err_set (error, LITEDFS_CORRUPT, "block %llu of the file has CRC-32 %08x, not %08x",
                    (unsigned long long) range->block, whole, block->crc32);
}

static int
put_range (struct download *self, struct range *range, litedfs_error_t *error)
{
    const uint8_t *data = zmq_msg_data (&range->payload);
    uint64_t at = range->block * self->block_size + range->offset;

    int rc = self->ordered
                 ? write_all (self->session, self->fd, data, range->size, error)
                 : file_pwrite_full (self->fd, data, range->size, at, "local file", error);
    if (rc == 0)
        rc = end_range (self, range, crc32_of (0, data, range->size), error);
    zmq_msg_close (&range->payload);
    range->state = RANGE_FREE;
    self->position = at + range->size;
    return rc;
}

/* Write what is there and whose turn it is. */
static int
put_ranges (struct download *self, litedfs_error_t *error)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < RANGES; i++) {
        struct range *range = &self->ranges[i];
        if (range->state != RANGE_READ)
            continue;
        if (self->ordered && range->block * self->block_size + range->offset != self->position)
            continue;
        rc = put_range (self, range, error);
        if (self->ordered)
            i = -1; // the next one may stand before this
    }
    return rc;
}

/* ---- asking ------------------------------------------------------------------------------------------------- */

/* This holder cannot give it: the next one is asked. */
static void
next_holder (struct range *range, const litedfs_error_t *error)
{
    range->state = RANGE_TO_ASK;
    range->request_id = 0;
    range->holder++;
    range->failures++;
    range->busy_answers = 0;
    range->error = *error;
    err_prefix (&range->error, "%s", range->peer->name);
}

/* The node has no room for another answer to us: whether it shall be asked again, in a while. */
static bool
wait_for_room (struct range *range)
{
    int64_t now_ms = clock_mono (range->download->session->clock);
    unsigned doublings =
        range->busy_answers < BUSY_DOUBLINGS ? range->busy_answers : BUSY_DOUBLINGS;

    if (range->busy_answers++ == 0)
        range->busy_since_ms = now_ms;
    range->state = RANGE_TO_ASK;
    range->not_before_ms = now_ms + (BUSY_MS << doublings);
    return now_ms - range->busy_since_ms < BUSY_MAX_MS;
}

static void
on_read (void *arg, struct message *message, zmq_msg_t *payload, const litedfs_error_t *failure)
{
    struct range *range = arg;
    struct block_read_reply reply;
    litedfs_error_t error;

    range->request_id = 0;
    if (failure && failure->number == LITEDFS_BUSY && wait_for_room (range))
        return;
    if (failure) {
        next_holder (range, failure);
        return;
    }
    if (message_reply_fields (message, &message_types[MESSAGE_block_read], &reply, &error) <
        0) {
        next_holder (range, &error);
        return;
    }
    if (!payload || zmq_msg_size (payload) != range->size || reply.offset != range->offset ||
        crc32_of (0, zmq_msg_data (payload), range->size) != reply.crc32) {
        err_set (&error, LITEDFS_CORRUPT, "the bytes that came are not those that were sent");
        next_holder (range, &error);
        return;
    }
    zmq_msg_init (&range->payload);
    zmq_msg_move (&range->payload, payload);
    range->state = RANGE_READ;
}

/* All holders have failed: ask the name node once more, then give up. */
static bool
find_holder (struct download *self, struct range *range)
{
    struct block *block = &self->blocks[range->block];
    litedfs_error_t error;

    if (range->failures < block->holder_count) {
        range->holder %= block->holder_count;
        return true;
    }
    if (!range->looked_again) {
        range->looked_again = true;
        range->failures = 0;
        range->holder = 0;
        if (locate_again (self, range->block, &error) < 0) {
            fail (self, &error);
            return false;
        }
        if (block->holder_count > 0)
            return true;
    }
    if (range->error.number == 0)
        err_set (&range->error, LITEDFS_UNREACHABLE, "no data node holds it");
    if (range->error.number == LITEDFS_NOT_FOUND) // the block is not there, but the file is
        range->error.number = LITEDFS_CORRUPT;
    err_prefix (&range->error, "block %llu of the file cannot be read",
                (unsigned long long) range->block);
    fail (self, &range->error);
    return false;
}

static void
ask_range (struct download *self, struct range *range)
{
    struct block *block = &self->blocks[range->block];
    litedfs_error_t error;

    if (clock_mono (self->session->clock) < range->not_before_ms || !find_holder (self, range))
        return;
    range->peer = block->holders[range->holder];
    if (session_connect (self->session, range->peer, &error) < 0) {
        next_holder (range, &error);
        return;
    }
    if (dealer_span (range->peer->dealer) >= SPAN_MAX)
        return; // the node would say that it is busy
    const struct block_read_request request = {.block = block->id,
                                               .node = range->peer->node,
                                               .offset = range->offset,
                                               .size = range->size};
    range->state = RANGE_ASKED;
    range->request_id = dealer_send (range->peer->dealer, &message_types[MESSAGE_block_read],
                                     &request, NULL, REQUEST_MS, on_read, range, &error);
    if (range->request_id < 0)
        fail (self, &error);
}

/* Nodes without a connection are not waited for as long as a slow one. */
static void
watch_range (struct range *range)
{
    litedfs_error_t error;

    if (session_peer_silent (range->peer, &error)) {
        dealer_cancel (range->peer->dealer, range->request_id);
        next_holder (range, &error);
    }
}

/* Put the next block into a lane. */
static bool
fill_lane (struct download *self, struct lane *lane)
{
    struct block *block = &self->blocks[self->next_block];
    litedfs_error_t error;

    block->left = (block->size + RANGE_SIZE - 1) / RANGE_SIZE;
    block->crcs = calloc (block->left ? (size_t) block->left : 1, sizeof *block->crcs);
    if (!block->crcs) {
        err_set (&error, LITEDFS_MEMORY, "out of memory");
        fail (self, &error);
        return false;
    }
    lane->used = true;
    lane->block = self->next_block++;
    lane->offset = 0;
    return true;
}

/* The next range of a lane; false when there is nothing left for it. */
static bool
next_range (struct download *self, struct lane *lane, struct range *range)
{
    if (lane->used && lane->offset >= self->blocks[lane->block].size)
        lane->used = false;
    if (!lane->used && (self->next_block >= self->block_count || !fill_lane (self, lane)))
        return false;

    uint64_t left = self->blocks[lane->block].size - lane->offset;
    *range = (struct range){
        .download = self,
        .state = RANGE_TO_ASK,
        .block = lane->block,
        .offset = lane->offset,
        .size = (size_t) (left < RANGE_SIZE ? left : RANGE_SIZE),
        .holder = lane->block, // holders take turns
    };
    lane->offset += range->size;
    return true;
}

/* Keep all ranges busy; lanes take turns. */
static void
fill_ranges (struct download *self)
{
    int lanes = self->ordered ? 1 : LANES;
    int lane = 0;
    int empty = 0;

    for (int i = 0; i < RANGES && self->failed == 0; i++) {
        struct range *range = &self->ranges[i];
        while (range->state == RANGE_FREE && empty < lanes) {
            empty = next_range (self, &self->lanes[lane], range) ? 0 : empty + 1;
            lane = (lane + 1) % lanes;
        }
        if (range->state == RANGE_TO_ASK)
            ask_range (self, range);
        else if (range->state == RANGE_ASKED)
            watch_range (range);
    }
}

static long
sleep_ms (const struct download *self)
{
    for (int i = 0; i < RANGES; i++)
        if (self->ranges[i].state == RANGE_TO_ASK)
            return BUSY_MS;
    return LOOK_MS;
}

static int
read_blocks (struct download *self, litedfs_error_t *error)
{
    while (self->done < self->size) {
        fill_ranges (self);
        if (self->failed < 0) {
            if (error)
                *error = self->error;
            return self->failed;
        }
        int rc = session_poll (self->session, NULL, 0, sleep_ms (self), error);
        if (rc == 0)
            rc = put_ranges (self, error);
        if (rc < 0)
            return rc;
        if (self->options.progress)
            self->options.progress (self->options.progress_arg, self->done, self->size);
    }
    return 0;
}

/* ---- the call --------------------------------------------------------------------------------------------------- */

static void
release (struct download *self)
{
    for (int i = 0; i < RANGES; i++) {
        struct range *range = &self->ranges[i];
        if (range->state == RANGE_ASKED && range->request_id > 0)
            dealer_cancel (range->peer->dealer, range->request_id);
        if (range->state == RANGE_READ)
            zmq_msg_close (&range->payload);
    }
    for (uint64_t i = 0; self->blocks && i < self->block_count; i++)
        free (self->blocks[i].crcs);
    free (self->blocks);
    free (self);
}

/* The blocks must make the file, or its bytes would be written to wrong places. */
static int
check_blocks (const struct download *self, litedfs_error_t *error)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < self->block_count; i++) {
        if (i + 1 < self->block_count && self->blocks[i].size != self->block_size)
            return err_set (error, LITEDFS_CORRUPT,
                            "block %llu of the file has %llu bytes, not %llu",
                            (unsigned long long) i, (unsigned long long) self->blocks[i].size,
                            (unsigned long long) self->block_size);
        sum += self->blocks[i].size;
    }
    if (sum != self->size)
        return err_set (error, LITEDFS_CORRUPT, "the file's blocks have %llu bytes, not %llu",
                        (unsigned long long) sum, (unsigned long long) self->size);
    return 0;
}

int
litedfs_download (litedfs_t *session, const char *path, int fd,
                  const litedfs_download_options_t *options, litedfs_error_t *error)
{
    struct stat about;
    struct download *self = calloc (1, sizeof *self);
    if (!self)
        return err_set (error, LITEDFS_MEMORY, "out of memory");

    self->session = session;
    self->path = path;
    self->fd = fd;
    if (options)
        self->options = *options;
    self->ordered = self->options.stream || fstat (fd, &about) < 0 || !S_ISREG (about.st_mode);

    int rc = locate (self, error);
    if (rc == 0)
        rc = check_blocks (self, error);
    if (rc == 0)
        rc = read_blocks (self, error);
    if (rc == 0 && !self->ordered && ftruncate (fd, (off_t) self->size) < 0)
        rc = err_set_errno (error, LITEDFS_IO, errno, "local file");
    release (self);
    return rc;
}
