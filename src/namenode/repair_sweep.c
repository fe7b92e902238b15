/* SPDX-License-Identifier: MIT */
/*
 * The sweep over all marks.
 */
#include "namenode/repair_sweep.h"

#include "namenode/agenda.h"
#include "namenode/repair_scan.h"

/* Milliseconds: when marks with which nothing can be done are looked at again, later if the last round
 * took long; the pause after a part of a round, in terms of its length. */
enum { RETRY_MS = 60000, RETRY_TIMES = 100, PAUSE_TIMES = 3 };

enum repair_urgency
repair_sweep_upto (const struct repair_sweep *self)
{
    if (self->running)
        return self->pass;
    return self->again ? REPAIR_LAST : REPAIR_MOVE;
}

void
repair_sweep_take_waits (struct repair_sweep *self, struct repair_run *run)
{
    if (run->waits < self->waits)
        self->waits = run->waits;
    run->waits = REPAIR_URGENCIES;
}

/* The first mark at or after the sweep's place. */
static int
next_mark (const struct repair_sweep *self, struct txn *txn, struct repair_row *out,
           litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct slice none = {0};
    struct slice key;
    struct slice value;
    uint8_t start[12];

    key_be64 (start, self->inode);
    key_be32 (start + 8, self->index);
    int rc =
        cursor_open (&cursor, txn, TABLE_REPAIR, none, slice_of (start, sizeof start), error);
    if (rc == 0)
        rc = cursor_next (&cursor, &key, &value, error);
    if (rc == 0)
        rc = repair_row_decode (key, value, out, error);
    cursor_close (&cursor);
    return rc;
}

/* A pass is over; with the last one the round is. */
static void
end_pass (struct repair_sweep *self, int64_t now_ms)
{
    int64_t rest_ms = RETRY_TIMES * self->spent_ms;

    if (self->waits < REPAIR_URGENCIES && self->waits > self->pass) {
        self->pass = self->waits;
        self->waits = REPAIR_URGENCIES;
        self->inode = 0;
        self->index = 0;
        return;
    }
    self->running = false;
    self->retry_ms = now_ms + (rest_ms > RETRY_MS ? rest_ms : RETRY_MS);
    self->next_ms = now_ms + PAUSE_TIMES * self->spent_ms;
}

static int
go_on (struct repair_sweep *self, struct repair_run *run, litedfs_error_t *error)
{
    struct repair_row mark;
    int rc = 0;

    while (rc == 0 && self->running && repair_has_time (run) &&
           !agenda_is_choked (run->agenda, self->pass)) {
        rc = next_mark (self, run->txn, &mark, error);
        if (rc == LITEDFS_NOT_FOUND) {
            repair_sweep_take_waits (self, run);
            end_pass (self, run->now_ms);
            return 0;
        }
        if (rc < 0)
            return rc;
        self->any = true;
        self->inode = mark.inode + (mark.first == UINT32_MAX);
        self->index = mark.first + 1;
        rc = repair_scan (run, &mark, mark.first, mark.end, error);
    }
    return rc;
}

/* Begin a round if it is time for one. */
static void
begin (struct repair_sweep *self, int64_t now_ms)
{
    if (self->running || !(self->again || (self->any && now_ms >= self->retry_ms)))
        return;
    *self = (struct repair_sweep){.running = true, .waits = REPAIR_URGENCIES};
}

int
repair_sweep_step (struct repair_sweep *self, struct repair_run *run, litedfs_error_t *error)
{
    int64_t began_ms = clock_mono (run->clock);

    if (began_ms < self->next_ms)
        return 0;
    begin (self, began_ms);
    run->upto = repair_sweep_upto (self);
    int rc = go_on (self, run, error);
    int64_t now_ms = clock_mono (run->clock), spent_ms = now_ms - began_ms;
    if (self->running) {
        self->spent_ms += spent_ms;
        self->next_ms = now_ms + PAUSE_TIMES * spent_ms;
    }
    return rc;
}

bool
repair_sweep_is_due (const struct repair_sweep *self, const struct agenda *agenda,
                     int64_t now_ms)
{
    if (now_ms < self->next_ms)
        return false;
    return self->running ? !agenda_is_choked (agenda, self->pass)
                         : self->again || (self->any && now_ms >= self->retry_ms);
}

int64_t
repair_sweep_next_ms (const struct repair_sweep *self, const struct agenda *agenda)
{
    bool sweeping = self->running ? !agenda_is_choked (agenda, self->pass) : self->again;

    return sweeping ? self->next_ms : INT64_MAX;
}
