/* SPDX-License-Identifier: MIT */
/*
 * Downloads: litedfs_download.
 *
 * The file's blocks are read in ranges, several under way over several blocks and nodes at once.  Each
 * range is checked against the CRC that came with it, each block against the CRC that the name node
 * has.  A regular file is written in any order; anything else gets the bytes in order, from one block after
 * the other.
 *
 * A range that a node cannot give is asked of the next holder; when none is left the name node is asked
 * once more who holds the block (blockmap.c).  A node that owes an answer and says nothing for a while is
 * asked for a sign of life and gets no new ranges, and when it stays silent its ranges are asked of
 * others, all at once.  The last request for a sign of life stays with it, so that it is heard when it
 * is back.  One that answers, however slowly, is not given up.
 */
#include "client/blockmap.h"

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
#define RANGES 12   // under way or waiting for their turn
#define SPAN_MAX 15 // from the oldest that a node owes to the last: it counts all of them
#define LANES 4     // blocks that are read at once, if the order does not matter
#define REQUEST_MS 60000
#define BUSY_MS 20         // pause before a node that is busy is asked again, doubled
#define BUSY_DOUBLINGS 4   // so often
#define BUSY_MAX_MS 600000 // and then it counts as one that cannot give the range
#define LOOK_MS 250        // how often nodes that are silent are looked after
#define WARNINGS_MAX 32    // that one download gives

struct download;

enum range_state { RANGE_FREE, RANGE_TO_ASK, RANGE_ASKED, RANGE_READ };

struct range {
    struct download *download;
    enum range_state state;
    uint64_t block;  // index
    uint64_t offset; // in the block
    size_t size;
    struct peer *peer;                        // who is asked, or was last
    struct peer *tried[BLOCKMAP_HOLDERS_MAX]; // who could not give it
    size_t tried_count;
    unsigned looked; // how often its block had been looked up again when it was first asked for
    bool last_chance; // the name node was asked once more
    int64_t asked_ms; // monotonic
    int64_t request_id;
    int64_t not_before_ms;
    unsigned busy_answers; // of this holder
    int64_t busy_since_ms; // monotonic; of the first of them
    zmq_msg_t payload;
    litedfs_error_t error; // of the last holder
};

/* A block that is read. */
struct lane {
    bool used;
    uint64_t block;
    uint64_t offset; // of the next range
};

/* What is being put together of a block: its ranges' CRCs. */
struct sum {
    uint32_t *crcs;
    uint64_t left; // ranges that are not there yet
};

/* What the caller was told. */
struct warning {
    uint32_t node;
    int number;
};

struct download {
    litedfs_t *session;
    litedfs_download_options_t options;
    int fd;
    bool ordered;

    struct blockmap map;
    struct sum *sums; // one a block

    struct lane lanes[LANES];
    struct range ranges[RANGES];
    uint64_t next_block;
    uint64_t position; // ordered: bytes written
    uint64_t done;     // bytes written, in all

    struct warning warnings[WARNINGS_MAX];
    size_t warnings_count;
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
    const struct mapped_block *block = &self->map.blocks[range->block];
    struct sum *sum = &self->sums[range->block];
    uint32_t whole = 0;

    sum->crcs[range->offset / RANGE_SIZE] = crc;
    self->done += range->size;
    if (--sum->left > 0)
        return 0;
    for (uint64_t at = 0; at < block->size; at += RANGE_SIZE) {
        uint64_t left = block->size - at;
        whole = crc32_join (whole, sum->crcs[at / RANGE_SIZE],
                            left < RANGE_SIZE ? left : RANGE_SIZE);
    }
    free (sum->crcs);
    sum->crcs = NULL;
    if (whole == block->crc32)
        return 0;
    return err_set (error, LITEDFS_CORRUPT, "block %llu of the file has CRC-32 %08x, not %08x",
                    (unsigned long long) range->block, whole, block->crc32);
}

static int
put_range (struct download *self, struct range *range, litedfs_error_t *error)
{
    const uint8_t *data = zmq_msg_data (&range->payload);
    uint64_t at = range->block * self->map.block_size + range->offset;

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
        if (self->ordered &&
            range->block * self->map.block_size + range->offset != self->position)
            continue;
        rc = put_range (self, range, error);
        if (self->ordered)
            i = -1; // the next one may stand before this
    }
    return rc;
}

/* ---- asking ------------------------------------------------------------------------------------------------- */

/* Tell the caller what is wrong with a holder, once. */
static void
warn (struct download *self, const struct range *range)
{
    const struct warning now = {.node = range->peer->node, .number = range->error.number};
    litedfs_error_t text = range->error;

    for (size_t i = 0; i < self->warnings_count; i++)
        if (self->warnings[i].node == now.node && self->warnings[i].number == now.number)
            return;
    if (!self->options.warning || self->warnings_count == WARNINGS_MAX)
        return;
    self->warnings[self->warnings_count++] = now;
    err_prefix (&text, "block %llu of the file", (unsigned long long) range->block);
    self->options.warning (self->options.warning_arg, text.text);
}

/* This holder cannot give it: another one is asked.  tell: the caller may want to know. */
static void
next_holder (struct range *range, const litedfs_error_t *error, bool tell)
{
    range->state = RANGE_TO_ASK;
    range->request_id = 0;
    range->busy_answers = 0;
    if (range->tried_count < BLOCKMAP_HOLDERS_MAX)
        range->tried[range->tried_count++] = range->peer;
    range->error = *error;
    err_prefix (&range->error, "%s", range->peer->name);
    if (tell && error->number != LITEDFS_CANCELLED) // that is: the node has moved
        warn (range->download, range);
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
on_verify (void *arg, struct message *message, zmq_msg_t *payload,
           const litedfs_error_t *failure)
{
    (void) arg;
    (void) message;
    (void) payload;
    (void) failure;
}

/* What a node sent is not what it says: it shall look at its copy.  What it finds is its own business. */
static void
doubt (struct range *range)
{
    const struct block_verify_request request = {
        .node = range->peer->node, .block = range->download->map.blocks[range->block].id};

    (void) dealer_send (range->peer->dealer, &message_types[MESSAGE_block_verify], &request,
                        NULL, REQUEST_MS, on_verify, NULL, NULL);
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
        // A node whose copy is damaged has logged that and gets another one.
        next_holder (range, failure, failure->number != LITEDFS_CORRUPT);
        return;
    }
    if (message_reply_fields (message, &message_types[MESSAGE_block_read], &reply, &error) <
        0) {
        next_holder (range, &error, true);
        return;
    }
    if (!payload || zmq_msg_size (payload) != range->size || reply.offset != range->offset ||
        crc32_of (0, zmq_msg_data (payload), range->size) != reply.crc32) {
        err_set (&error, LITEDFS_CORRUPT, "the bytes that came are not those that were sent");
        doubt (range);
        next_holder (range, &error, true);
        return;
    }
    zmq_msg_init (&range->payload);
    zmq_msg_move (&range->payload, payload);
    range->state = RANGE_READ;
}

static bool
was_tried (const struct range *range, const struct peer *peer)
{
    for (size_t i = 0; i < range->tried_count; i++)
        if (range->tried[i] == peer)
            return true;
    return false;
}

/* Who is asked for a range: a holder that was not tried and that has least against it; of equal ones
 * blocks take turns.  NULL if there is none.  The last chance is not for a node that is known to be
 * away. */
static struct peer *
choose_holder (const struct download *self, const struct range *range)
{
    const struct mapped_block *block = &self->map.blocks[range->block];
    struct peer *best = NULL;
    int least = 0;

    for (size_t i = 0; i < block->holder_count; i++) {
        size_t turn = (size_t) ((i + range->block) % block->holder_count);
        struct peer *peer = block->holders[turn];
        bool online = turn < block->online_count;
        int trouble = session_peer_trouble (self->session, peer);
        if (was_tried (range, peer) || (range->last_chance && !online && trouble > 0))
            continue;
        trouble = 2 * trouble + !online;
        if (!best || trouble < least) {
            best = peer;
            least = trouble;
        }
    }
    return best;
}

static void
give_up (struct download *self, struct range *range)
{
    uint64_t damaged = self->map.blocks[range->block].damaged;

    if (range->error.number == 0 && damaged != 0)
        err_set (&range->error, LITEDFS_CORRUPT,
                 "the copy on node %llu is damaged, and no data node has another one",
                 (unsigned long long) damaged);
    else if (range->error.number == 0)
        err_set (&range->error, LITEDFS_UNREACHABLE, "no data node holds it");
    if (range->error.number == LITEDFS_NOT_FOUND) // the block is not there, but the file is
        range->error.number = LITEDFS_CORRUPT;
    err_prefix (&range->error, "block %llu of the file cannot be read",
                (unsigned long long) range->block);
    fail (self, &range->error);
}

/* The holder to ask; when all have failed the name node is asked once more first.  NULL: not now. */
static struct peer *
find_holder (struct download *self, struct range *range)
{
    struct peer *peer = choose_holder (self, range);

    if (peer)
        return peer;
    if (range->last_chance) {
        give_up (self, range);
    } else if (self->map.blocks[range->block].looked == range->looked) {
        blockmap_look_again (&self->map, range->block);
    } else {
        range->last_chance = true;
        range->tried_count = 0;
        return find_holder (self, range);
    }
    return NULL;
}

static void
ask_range (struct download *self, struct range *range)
{
    int64_t now_ms = clock_mono (self->session->clock);
    litedfs_error_t error;

    if (now_ms < range->not_before_ms || !(range->peer = find_holder (self, range)))
        return;
    if (session_connect (self->session, range->peer, &error) < 0) {
        next_holder (range, &error, true);
        return;
    }
    if (dealer_span (range->peer->dealer) >= SPAN_MAX)
        return; // the node would say that it is busy
    const struct block_read_request request = {.block = self->map.blocks[range->block].id,
                                               .node = range->peer->node,
                                               .offset = range->offset,
                                               .size = range->size};
    range->state = RANGE_ASKED;
    range->asked_ms = now_ms;
    range->request_id = dealer_send (range->peer->dealer, &message_types[MESSAGE_block_read],
                                     &request, NULL, REQUEST_MS, on_read, range, &error);
    if (range->request_id < 0)
        fail (self, &error);
}

/* Begin to connect to all that hold a block of the file: by the time that they are needed, be it for the
 * next block, it is known who is there. */
static void
wake_others (struct download *self)
{
    litedfs_error_t error;

    for (struct peer *peer = self->session->peers; peer; peer = peer->next)
        session_connect (self->session, peer, &error); // who asks it is told
}

/* See whether the node that is asked has gone.  In the end it has all its time again: it may be on its way
 * back. */
static void
watch_range (struct download *self, struct range *range)
{
    int64_t waited_ms = clock_mono (self->session->clock) - range->asked_ms;
    litedfs_error_t error;

    if (session_silent_ms (range->peer) < SESSION_DOUBT_MS)
        return;
    session_ping (self->session, range->peer, self->map.blocks[range->block].id);
    wake_others (self);
    if ((!range->last_chance || waited_ms >= SESSION_SILENCE_MS) &&
        session_peer_silent (range->peer, &error)) {
        dealer_cancel (range->peer->dealer, range->request_id);
        next_holder (range, &error, true);
    }
}

/* Put the next block into a lane. */
static bool
fill_lane (struct download *self, struct lane *lane)
{
    uint64_t size = self->map.blocks[self->next_block].size;
    struct sum *sum = &self->sums[self->next_block];
    litedfs_error_t error;

    sum->left = (size + RANGE_SIZE - 1) / RANGE_SIZE;
    sum->crcs = calloc (sum->left ? (size_t) sum->left : 1, sizeof *sum->crcs);
    if (!sum->crcs) {
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
    if (lane->used && lane->offset >= self->map.blocks[lane->block].size)
        lane->used = false;
    if (!lane->used && (self->next_block >= self->map.count || !fill_lane (self, lane)))
        return false;

    uint64_t left = self->map.blocks[lane->block].size - lane->offset;
    *range = (struct range){
        .download = self,
        .state = RANGE_TO_ASK,
        .block = lane->block,
        .offset = lane->offset,
        .size = (size_t) (left < RANGE_SIZE ? left : RANGE_SIZE),
        .looked = self->map.blocks[lane->block].looked,
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
            watch_range (self, range);
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
    while (self->done < self->map.size) {
        fill_ranges (self);
        if (self->map.error.number != 0)
            fail (self, &self->map.error);
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
            self->options.progress (self->options.progress_arg, self->done, self->map.size);
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
    session_stop_pings (self->session);
    for (uint64_t i = 0; self->sums && i < self->map.count; i++)
        free (self->sums[i].crcs);
    free (self->sums);
    blockmap_clear (&self->map);
    free (self);
}

static int
prepare (struct download *self, const char *path, litedfs_error_t *error)
{
    int rc = blockmap_load (&self->map, self->session, path, error);
    if (rc < 0)
        return rc;
    self->sums = calloc (self->map.count ? (size_t) self->map.count : 1, sizeof *self->sums);
    return self->sums ? 0 : err_set (error, LITEDFS_MEMORY, "out of memory");
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
    self->fd = fd;
    if (options)
        self->options = *options;
    self->ordered = self->options.stream || fstat (fd, &about) < 0 || !S_ISREG (about.st_mode);

    int rc = prepare (self, path, error);
    if (rc == 0)
        rc = read_blocks (self, error);
    if (rc == 0 && !self->ordered && ftruncate (fd, (off_t) self->map.size) < 0)
        rc = err_set_errno (error, LITEDFS_IO, errno, "local file");
    release (self);
    return rc;
}
