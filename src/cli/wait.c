/* SPDX-License-Identifier: MIT */
/*
 * Pauses.  A signal does not end one: it cancels the session, which the next call says.
 */
#include "cli/wait.h"

#include <poll.h>
#include <stddef.h>

enum { PAUSE_MS = 100, PAUSE_MAX_MS = 1000 };

void
wait_start (struct wait *self, const struct clock *clock, int64_t timeout_s)
{
    *self = (struct wait){.clock = clock, .deadline_ms = INT64_MAX, .pause_ms = PAUSE_MS};
    if (timeout_s > 0)
        self->deadline_ms = clock_mono (clock) + timeout_s * 1000;
}

void
wait_again (struct wait *self)
{
    self->pause_ms = PAUSE_MS;
}

bool
wait_pause (struct wait *self)
{
    int64_t left_ms = self->deadline_ms - clock_mono (self->clock);

    if (left_ms <= 0)
        return false;
    poll (NULL, 0, (int) (left_ms < self->pause_ms ? left_ms : self->pause_ms));
    self->pause_ms = 2 * self->pause_ms < PAUSE_MAX_MS ? 2 * self->pause_ms : PAUSE_MAX_MS;
    return true;
}
