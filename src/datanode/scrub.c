/* SPDX-License-Identifier: MIT */
/*
 * A turn is one step: some bytes of one block, then a pause that the pace makes of them.  What is between
 * two turns is a block and an offset, so the thread holds nothing while it sleeps.
 *
 * Behind or not is judged by the wall clock, which goes on while the node is down; if it was set back the
 * pass counts as begun now.
 */
#include "datanode/scrub.h"

#include "base/err.h"
#include "base/file.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define POSITION_LIMIT 512 // bytes of the file with the position
#define COST_OF_BLOCK 4096 // bytes that opening one counts for
#define FASTER 2           // than the period asks, while nobody is kept waiting
#define LEAST_SHARE 16     // one part in so many of the bandwidth is always used
#define IDLE_MS 60000      // longest sleep
#define TOTAL_MS 10000     // how often it is looked how much there is
#define NICE 10            // of the thread
#define IO_CLASS_BEST 2    // best effort
#define IO_LEAST 7         // the last in it
#define IO_CLASS_SHIFT 13

/* The block that is looked at. */
struct look {
    uint64_t block; // 0: none
    uint64_t size;
    uint64_t offset;
    bool of_pass;
};

struct scrub {
    struct scrub_options options;
    char *path;
    struct actor *actor;     // NULL without
    struct actor_pipe *pipe; // its body's end

    pthread_mutex_t lock; // of what follows
    struct scrub_status pass;
    bool wanted;       // a pass is to begin, which was asked for
    int64_t wanted_ms; // then; since 1970
    uint64_t looks[SCRUB_LOOKS_MAX];
    size_t look_count;
    uint64_t verified; // bytes, since the process began

    // Of the thread alone.
    struct look now;
    uint64_t next;    // id from which the pass goes on
    bool urgent;      // the pass was asked for
    bool known;       // when the last pass began
    bool moved;       // since the position was saved
    bool save_failed; // which was said
    bool complained;  // in this pass, of a block that could not be looked at
    int64_t save_ms;  // not before
    int64_t again_ms; // next turn
    uint64_t debt_us; // less than a ms that is still to be waited
    uint64_t traffic; // when it was looked at last
    uint64_t total;   // bytes that the store has
    int64_t total_ms; // when that is looked up again
    uint8_t *room;
};

/* ---- the position ------------------------------------------------------------------------------- */

static int
print_position (const struct scrub *self, char out[POSITION_LIMIT])
{
    int size = snprintf (out, POSITION_LIMIT,
                         "litedfs-scrub 1 next %016" PRIx64 " running %d started %" PRId64
                         " blocks %" PRIu64 " bytes %" PRIu64 " damaged %" PRIu64,
                         self->next, self->pass.running, self->pass.started_ms,
                         self->pass.blocks, self->pass.bytes, self->pass.damaged);
    uint32_t check = crc32_of (0, out, (size_t) size);
    return size + snprintf (out + size, POSITION_LIMIT - (size_t) size,
                            " check %08" PRIx32 "\n", check);
}

static void
save (struct scrub *self)
{
    char text[POSITION_LIMIT];
    litedfs_error_t error;

    pthread_mutex_lock (&self->lock);
    int size = print_position (self, text);
    pthread_mutex_unlock (&self->lock);
    self->save_ms = clock_mono (self->options.clock) + SCRUB_SAVE_MS;
    self->moved = false;
    int rc = file_write_atomic (self->path, text, (size_t) size, 0644, &error);
    if (rc < 0 && !self->save_failed)
        log_warning (self->options.log, "scrub: its position is not saved: %s", error.text);
    self->save_failed = rc < 0;
}

/* Take a position over; false if it is none. */
static bool
parse_position (struct scrub *self, const char *text)
{
    char again[POSITION_LIMIT];
    struct scrub_status *pass = &self->pass;
    int running = 0;

    if (sscanf (text,
                "litedfs-scrub 1 next %" SCNx64 " running %d started %" SCNd64
                " blocks %" SCNu64 " bytes %" SCNu64 " damaged %" SCNu64,
                &self->next, &running, &pass->started_ms, &pass->blocks, &pass->bytes,
                &pass->damaged) != 6)
        return false;
    pass->running = running != 0;
    print_position (self, again);
    return strcmp (text, again) == 0;
}

static void
load (struct scrub *self)
{
    struct buf text = {0};
    litedfs_error_t error;

    int rc = file_read_all (self->path, POSITION_LIMIT - 1, &text, &error);
    self->known = rc == 0 && parse_position (self, buf_text (&text));
    if (!self->known) {
        self->pass = (struct scrub_status){.running = false};
        self->next = 0;
        if (rc != LITEDFS_NOT_FOUND)
            log_warning (self->options.log, "scrub: %s cannot be read, it begins anew: %s",
                         self->path, rc < 0 ? error.text : "damaged");
    }
    buf_free (&text);
}

/* ---- passes ------------------------------------------------------------------------------------- */

/* How long the pass goes on, or ended, after its begin. */
static int64_t
since_begin (struct scrub *self)
{
    int64_t wall_ms = clock_wall (self->options.clock);

    pthread_mutex_lock (&self->lock);
    if (self->pass.started_ms > wall_ms)
        self->pass.started_ms = wall_ms;
    int64_t since_ms = wall_ms - self->pass.started_ms;
    pthread_mutex_unlock (&self->lock);
    return since_ms;
}

static void
count_bytes (struct scrub *self)
{
    struct blockstore_space space;
    int64_t now_ms = clock_mono (self->options.clock);

    if (now_ms < self->total_ms)
        return;
    self->total_ms = now_ms + TOTAL_MS;
    if (blockstore_space (self->options.store, &space, NULL) == 0)
        self->total = space.used;
}

static void
begin_pass (struct scrub *self, bool urgent)
{
    const struct scrub_options *options = &self->options;
    uint64_t period_s = (uint64_t) options->period_ms / 1000;

    pthread_mutex_lock (&self->lock);
    self->pass = (struct scrub_status){
        .running = true,
        .started_ms = self->wanted ? self->wanted_ms : clock_wall (options->clock)};
    self->wanted = false;
    pthread_mutex_unlock (&self->lock);
    self->urgent = urgent;
    self->known = true;
    self->complained = false;
    self->next = 0;
    self->total_ms = INT64_MIN;
    count_bytes (self);
    if (period_s > 0 && self->total / options->bandwidth > period_s)
        log_warning (options->log,
                     "scrub: %" PRIu64 " MiB take longer than scrub_period (%" PRIu64
                     " s) at scrub_bandwidth (%" PRIu64 " KiB/s)",
                     self->total >> 20, period_s, options->bandwidth >> 10);
}

static void
end_pass (struct scrub *self)
{
    struct scrub_status pass;

    pthread_mutex_lock (&self->lock);
    self->pass.running = false;
    pass = self->pass;
    pthread_mutex_unlock (&self->lock);
    self->urgent = false;
    if (pass.blocks == 0)
        return;
    save (self);
    log_info (self->options.log,
              "scrub: %" PRIu64 " blocks with %" PRIu64 " MiB were verified in %" PRId64
              " s, %" PRIu64 " are damaged",
              pass.blocks, pass.bytes >> 20, since_begin (self) / 1000, pass.damaged);
}

/* ---- what to look at ---------------------------------------------------------------------------- */

static uint64_t
take_id (struct scrub *self)
{
    uint64_t block = 0;

    pthread_mutex_lock (&self->lock);
    if (self->look_count > 0) {
        block = self->looks[0];
        self->look_count--;
        memmove (self->looks, self->looks + 1, self->look_count * sizeof *self->looks);
    }
    pthread_mutex_unlock (&self->lock);
    return block;
}

/* The next block that somebody doubts and that is here. */
static bool
take_doubted (struct scrub *self)
{
    struct blockstore_block row;
    uint64_t block;

    while ((block = take_id (self)) != 0)
        if (blockstore_stat (self->options.store, block, &row, NULL) == 0) {
            self->now = (struct look){.block = block, .size = row.size};
            return true;
        }
    return false;
}

/* The next block of the pass, or the pass's end. */
static void
take_next (struct scrub *self)
{
    struct blockstore_block row;
    litedfs_error_t error;

    int rc = blockstore_next (self->options.store, self->next, &row, &error);
    if (rc == 0) {
        self->now = (struct look){.block = row.block, .size = row.size, .of_pass = true};
        return;
    }
    if (rc != LITEDFS_NOT_FOUND)
        log_warning (self->options.log, "scrub: the pass ends early: %s", error.text);
    end_pass (self);
}

/* Go on with the pass, or begin one if it is time. */
static void
go_on (struct scrub *self)
{
    int64_t period_ms = self->options.period_ms;

    pthread_mutex_lock (&self->lock);
    bool wanted = self->wanted;
    bool running = self->pass.running;
    pthread_mutex_unlock (&self->lock);
    bool due = !running && period_ms > 0 && (!self->known || since_begin (self) >= period_ms);
    if (wanted || due)
        begin_pass (self, wanted);
    if (wanted || due || running)
        take_next (self);
}

/* Have something to look at; false if there is nothing. */
static bool
find_work (struct scrub *self)
{
    pthread_mutex_lock (&self->lock);
    if (self->wanted && self->now.of_pass)
        self->now.block = 0;
    pthread_mutex_unlock (&self->lock);
    if (self->now.block == 0 && !take_doubted (self))
        go_on (self);
    return self->now.block != 0;
}

/* How long there is nothing to do. */
static int64_t
idle_ms (struct scrub *self)
{
    int64_t left_ms = self->options.period_ms - since_begin (self);

    if (self->options.period_ms == 0 || left_ms > IDLE_MS)
        return IDLE_MS;
    return left_ms > 0 ? left_ms : 0;
}

/* ---- pace --------------------------------------------------------------------------------------- */

/* Whether the pass has done less than the period asks for. */
static bool
is_behind (struct scrub *self)
{
    double part = self->options.period_ms > 0
                      ? (double) since_begin (self) / (double) self->options.period_ms
                      : 0;

    return (double) self->pass.bytes < part * (double) self->total;
}

/* Whether somebody who matters more is at work. */
static bool
must_wait (struct scrub *self)
{
    uint64_t traffic = blockstore_traffic (self->options.store);
    bool quiet = traffic == self->traffic;

    self->traffic = traffic;
    return !quiet && self->now.of_pass && !self->urgent && !is_behind (self);
}

/* How long to wait for what was read just now. */
static void
pause_for (struct scrub *self, uint64_t bytes)
{
    double bandwidth = (double) self->options.bandwidth;
    double rate = bandwidth;

    if (self->now.of_pass && !self->urgent && !is_behind (self)) {
        rate = FASTER * 1000.0 * (double) self->total / (double) self->options.period_ms;
        if (rate < bandwidth / LEAST_SHARE)
            rate = bandwidth / LEAST_SHARE;
        if (rate > bandwidth)
            rate = bandwidth;
    }
    self->debt_us += (uint64_t) ((double) bytes * 1e6 / rate);
    self->again_ms = clock_mono (self->options.clock) + (int64_t) (self->debt_us / 1000);
    self->debt_us %= 1000;
}

/* ---- a turn ------------------------------------------------------------------------------------- */

/* The block is done with, damaged or not. */
static void
end_look (struct scrub *self, int rc, const litedfs_error_t *error)
{
    bool of_pass = self->now.of_pass;

    pthread_mutex_lock (&self->lock);
    self->pass.damaged += of_pass && rc == LITEDFS_CORRUPT;
    self->pass.blocks += of_pass && (rc == 0 || rc == LITEDFS_CORRUPT);
    pthread_mutex_unlock (&self->lock);
    if (of_pass)
        self->next = self->now.block + 1;
    if (rc < 0 && rc != LITEDFS_CORRUPT && rc != LITEDFS_NOT_FOUND && !self->complained) {
        log_warning (self->options.log, "scrub: block %016" PRIx64 " is passed over: %s",
                     self->now.block, error->text);
        self->complained = true;
    }
    if (rc == LITEDFS_CORRUPT && self->pipe) // who does not listen misses it
        (void) zmq_send (actor_pipe_socket (self->pipe), &self->now.block,
                         sizeof self->now.block, ZMQ_DONTWAIT);
    self->now.block = 0;
}

static void
step (struct scrub *self)
{
    struct look *now = &self->now;
    uint64_t left = now->size - now->offset;
    size_t size = left < SCRUB_STEP ? (size_t) left : SCRUB_STEP;
    litedfs_error_t error;

    int rc = blockstore_verify (self->options.store, now->block, now->offset, size, self->room,
                                &error);
    pause_for (self, size + (now->offset == 0 ? COST_OF_BLOCK : 0));
    now->offset += size;
    pthread_mutex_lock (&self->lock);
    self->pass.bytes += now->of_pass ? size : 0;
    self->verified += size;
    pthread_mutex_unlock (&self->lock);
    self->moved = self->moved || now->of_pass;
    if (rc < 0 || now->offset >= now->size)
        end_look (self, rc, &error);
}

int64_t
scrub_turn (struct scrub *self)
{
    int64_t now_ms = clock_mono (self->options.clock);

    if (now_ms < self->again_ms)
        return self->again_ms - now_ms;
    if (!find_work (self))
        return idle_ms (self);
    count_bytes (self);
    if (must_wait (self))
        return SCRUB_YIELD_MS;
    step (self);
    if (self->moved && now_ms >= self->save_ms)
        save (self);
    int64_t wait_ms = self->again_ms - clock_mono (self->options.clock);
    return wait_ms > 0 ? wait_ms : 0;
}

/* ---- what others ask ---------------------------------------------------------------------------- */

int
scrub_look (struct scrub *self, uint64_t block, litedfs_error_t *error)
{
    bool known = false;

    pthread_mutex_lock (&self->lock);
    for (size_t i = 0; i < self->look_count; i++)
        known = known || self->looks[i] == block;
    bool full = !known && self->look_count == SCRUB_LOOKS_MAX;
    if (!known && !full)
        self->looks[self->look_count++] = block;
    pthread_mutex_unlock (&self->lock);
    if (full)
        return err_set (error, LITEDFS_BUSY, "%d blocks wait to be looked at; try again",
                        SCRUB_LOOKS_MAX);
    if (self->actor) // when its pipe is full it is awake
        (void) actor_send (self->actor, "look", NULL);
    return 0;
}

void
scrub_begin (struct scrub *self)
{
    pthread_mutex_lock (&self->lock);
    self->wanted = true;
    self->wanted_ms = clock_wall (self->options.clock);
    pthread_mutex_unlock (&self->lock);
    if (self->actor)
        (void) actor_send (self->actor, "begin", NULL);
}

void
scrub_status (struct scrub *self, struct scrub_status *out)
{
    pthread_mutex_lock (&self->lock);
    *out = self->pass;
    if (self->wanted)
        *out = (struct scrub_status){.running = true, .started_ms = self->wanted_ms};
    out->verified = self->verified;
    pthread_mutex_unlock (&self->lock);
}

/* ---- life --------------------------------------------------------------------------------------- */

int
scrub_new (struct scrub **out, const struct scrub_options *options, litedfs_error_t *error)
{
    struct scrub *self = calloc (1, sizeof *self);

    *out = NULL;
    if (self == NULL)
        return err_set (error, LITEDFS_MEMORY, "scrub: out of memory");
    self->options = *options;
    pthread_mutex_init (&self->lock, NULL);
    self->path = strdup (options->path);
    self->room = malloc (blockstore_read_room (0, SCRUB_STEP));
    self->again_ms = self->total_ms = INT64_MIN;
    self->traffic = blockstore_traffic (options->store);
    self->save_ms = clock_mono (options->clock) + SCRUB_SAVE_MS;
    if (self->path == NULL || self->room == NULL) {
        scrub_destroy (&self);
        return err_set (error, LITEDFS_MEMORY, "scrub: out of memory");
    }
    load (self);
    *out = self;
    return 0;
}

void
scrub_destroy (struct scrub **self_p)
{
    struct scrub *self = *self_p;

    if (self == NULL)
        return;
    *self_p = NULL;
    if (self->moved)
        save (self);
    pthread_mutex_destroy (&self->lock);
    free (self->path);
    free (self->room);
    free (self);
}

/* Let others go first.  Where that is not possible, or not known, the pace alone does it. */
static void
lower_priority (void)
{
    (void) setpriority (PRIO_PROCESS, 0, NICE); // of this thread, on Linux
    (void) syscall (SYS_ioprio_set, 1, 0, IO_CLASS_BEST << IO_CLASS_SHIFT | IO_LEAST);
}

static void
run (struct actor_pipe *pipe, void *args)
{
    struct scrub *self = args;

    lower_priority ();
    self->pipe = pipe;
    actor_ready (pipe);
    while (!actor_stopping (pipe)) {
        zmq_pollitem_t items[] = {{actor_pipe_socket (pipe), 0, ZMQ_POLLIN, 0}};
        zmq_poll (items, 1, (long) scrub_turn (self));
        while (actor_recv_command (pipe) != NULL)
            continue;
    }
}

int
scrub_start (struct scrub **out, const struct scrub_options *options, litedfs_error_t *error)
{
    int rc = scrub_new (out, options, error);

    if (rc == 0)
        rc = actor_start (&(*out)->actor, "scrub", run, *out, error);
    if (rc < 0)
        scrub_destroy (out);
    return rc;
}

void
scrub_stop (struct scrub **self)
{
    if (*self == NULL)
        return;
    actor_stop (&(*self)->actor);
    scrub_destroy (self);
}

zsock_t *
scrub_socket (struct scrub *self)
{
    return actor_socket (self->actor);
}

bool
scrub_found (struct scrub *self, uint64_t *block)
{
    return zmq_recv (zsock_resolve (actor_socket (self->actor)), block, sizeof *block,
                     ZMQ_DONTWAIT) == sizeof *block;
}
