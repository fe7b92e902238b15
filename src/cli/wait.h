/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLI_WAIT_H
#define LITEDFS_CLI_WAIT_H

/*
 * Asking again and again until something is so: pauses that grow from a tenth of a second to a second, and
 * a time at which one gives up.
 */

#include "base/clock.h"

#include <stdbool.h>

struct wait {
    const struct clock *clock;
    int64_t deadline_ms; // monotonic; INT64_MAX: never
    int64_t pause_ms;    // the next one
};

/* Begin; timeout_s 0: for ever. */
void wait_start (struct wait *self, const struct clock *clock, int64_t timeout_s);

/* Pauses are short again. */
void wait_again (struct wait *self);

/* Sleep; false, at once, if the time is over. */
bool wait_pause (struct wait *self);

#endif
