/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLI_PROGRESS_H
#define LITEDFS_CLI_PROGRESS_H

/*
 * A bar on a terminal while a transfer lasts: what is done, of what, how fast, how long still.  It
 * appears after a second, is drawn ten times a second at most, and is wiped away at the end.
 */

#include "base/buf.h"
#include "base/clock.h"

/* How long a transfer lasts before it has a bar, and between two drawings. */
#define PROGRESS_DELAY_MS 1000
#define PROGRESS_INTERVAL_MS 100

struct progress {
    int fd;         // the terminal
    size_t columns; // 0: there is no bar
    const struct clock *clock;
    const char *unit;   // of what is counted, such as "files"; NULL, as at first: bytes
    int64_t started_ms; // monotonic, as all here
    int64_t sampled_ms; // when `sampled` bytes were done
    int64_t drawn_ms;
    uint64_t sampled;
    double rate;        // bytes a second of late
    size_t drawn_cells; // of the bar that is on the terminal
};

/* The columns of the terminal on fd; 0 if it is none, or too narrow, or we are not in front of
 * it. */
size_t progress_columns (int fd);

/* Begin.  fd, which stays the caller's, is written to only if columns is not 0. */
void progress_start (struct progress *self, int fd, size_t columns, const struct clock *clock);

/* A litedfs_progress_fn; arg is the struct progress. */
void progress_update (void *arg, uint64_t done, uint64_t total);

/* Wipe the bar away. */
void progress_end (struct progress *self);

/* Append the bar's text, of at most `columns` cells, all of them ASCII.  total UINT64_MAX: unknown; unit
 * as above. */
void progress_format (struct buf *out, size_t columns, const char *unit, uint64_t done,
                      uint64_t total, double rate, int64_t elapsed_ms);

#endif
