/* SPDX-License-Identifier: MIT */
/*
 * A ring of seconds.  Seconds are counted from 1, so that 0 is none.
 */
#include "namenode/rate.h"

#include <string.h>

/* Go on to the second of now, and forget those that are too old. */
static int64_t
advance (struct rate *self, int64_t now_ms)
{
    int64_t now_s = now_ms / 1000 + 1;

    if (now_s - self->last_s >= RATE_SECONDS)
        memset (self->amounts, 0, sizeof self->amounts);
    else
        for (int64_t at = self->last_s + 1; at <= now_s; at++)
            self->amounts[at % RATE_SECONDS] = 0;
    if (now_s > self->last_s)
        self->last_s = now_s;
    return now_s;
}

static uint64_t
sum (const struct rate *self)
{
    uint64_t all = 0;

    for (int i = 0; i < RATE_SECONDS; i++)
        all += self->amounts[i];
    return all;
}

void
rate_add (struct rate *self, int64_t now_ms, uint64_t amount)
{
    int64_t now_s = advance (self, now_ms);

    if (amount == 0)
        return;
    if (sum (self) == 0)
        self->began_s = now_s;
    self->amounts[now_s % RATE_SECONDS] += amount;
}

uint64_t
rate_now (struct rate *self, int64_t now_ms)
{
    int64_t now_s = advance (self, now_ms);
    uint64_t all = sum (self);

    if (all == 0)
        return 0;
    int64_t seconds = now_s - self->began_s + 1;
    return all / (uint64_t) (seconds < RATE_SECONDS ? seconds : RATE_SECONDS);
}
