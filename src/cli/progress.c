/* SPDX-License-Identifier: MIT */
/*
 * The bar.
 *
 *   42% [==========>               ] 44.1 MiB of 105.1 MiB, 93.2 MiB/s, 0:01 left
 *
 * Each drawing is one write, and one that fails is left alone: a bar is no reason to end a transfer.
 * What does not fit in a narrow terminal goes: first the bar itself, then the end of the text.
 */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_MIN 20  // a terminal that has fewer gets no bar
#define COLUMNS_MAX 500 // what a terminal claims beyond is not believed
#define BAR_MIN 8
#define BAR_MAX 40

// The rate is that of about so many seconds.
#define RATE_SECONDS 3.0

size_t
progress_columns (int fd)
{
    struct winsize size;

    if (!isatty (fd) || tcgetpgrp (fd) != getpgrp ())
        return 0;
    if (ioctl (fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return 80;
    if (size.ws_col > COLUMNS_MAX)
        return COLUMNS_MAX;
    return size.ws_col < COLUMNS_MIN ? 0 : size.ws_col;
}

/* ---- text --------------------------------------------------------------------------------------- */

static void
put_amount (struct buf *out, const char *unit, double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t at = 0;

    while (!unit && bytes >= 1000 && at + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        at++;
    }
    buf_printf (out, "%.*f %s", at ? 1 : 0, bytes, unit ? unit : units[at]);
}

static void
put_duration (struct buf *out, uint64_t seconds)
{
    unsigned long long hours = seconds / 3600;
    unsigned minutes = (unsigned) (seconds / 60 % 60);

    if (hours)
        buf_printf (out, "%llu:%02u:%02u", hours, minutes, (unsigned) (seconds % 60));
    else
        buf_printf (out, "%u:%02u", minutes, (unsigned) (seconds % 60));
}

// "44.1 MiB of 105.1 MiB, 93.2 MiB/s, 0:01 left"
static void
put_figures (struct buf *out, const char *unit, uint64_t done, uint64_t total, double rate,
             int64_t elapsed_ms)
{
    bool known = total != UINT64_MAX;
    double left_s = known && rate > 0 ? (double) (total - done) / rate : -1;

    if (unit && known)
        buf_printf (out, "%" PRIu64, done);
    else
        put_amount (out, unit, (double) done);
    if (known) {
        buf_printf (out, " of ");
        put_amount (out, unit, (double) total);
    }
    buf_printf (out, ", ");
    put_amount (out, unit, rate);
    buf_printf (out, "/s, ");
    if (!known)
        put_duration (out, (uint64_t) elapsed_ms / 1000);
    else if (left_s < 0 || left_s > 359999) // 99:59:59
        buf_printf (out, "-:-- left");
    else {
        put_duration (out, (uint64_t) (left_s + 0.5));
        buf_printf (out, " left");
    }
}

static void
put_bar (struct buf *out, size_t cells, double part)
{
    size_t filled = (size_t) (part * (double) cells);

    buf_put (out, "[", 1);
    for (size_t i = 0; i < cells; i++)
        buf_put (out, i < filled ? "=" : i == filled ? ">" : " ", 1);
    buf_put (out, "] ", 2);
}

void
progress_format (struct buf *out, size_t columns, const char *unit, uint64_t done,
                 uint64_t total, double rate, int64_t elapsed_ms)
{
    struct buf figures = {0};
    size_t start = out->size;

    if (total != UINT64_MAX && done > total)
        done = total;
    put_figures (&figures, unit, done, total, rate, elapsed_ms);
    if (total != UINT64_MAX) {
        double part = total ? (double) done / (double) total : 1;
        buf_printf (out, "%3u%% ", (unsigned) (part * 100));
        size_t taken = out->size - start + figures.size + strlen ("[] ");
        size_t bar = columns > taken ? columns - taken : 0;
        if (bar >= BAR_MIN)
            put_bar (out, bar < BAR_MAX ? bar : BAR_MAX, part);
    }
    buf_put (out, figures.data, figures.size);
    if (out->size - start > columns)
        out->size = start + columns;
    buf_free (&figures);
}

/* ---- on the terminal ---------------------------------------------------------------------------------- */

// Go to the start of the line, write the text, and blanks over what a longer one has left.
static void
draw (struct progress *self, const struct buf *text)
{
    struct buf line = {0};
    size_t cells = text->size;

    buf_put (&line, "\r", 1);
    buf_put (&line, text->data, cells);
    for (size_t i = cells; i < self->drawn_cells; i++)
        buf_put (&line, " ", 1);
    if (cells == 0)
        buf_put (&line, "\r", 1);
    self->drawn_cells = cells;
    if (!line.failed && write (self->fd, line.data, line.size) < 0)
        self->columns = 0; // the terminal is gone
    buf_free (&line);
}

void
progress_start (struct progress *self, int fd, size_t columns, const struct clock *clock)
{
    int64_t now_ms = clock_mono (clock);
    *self = (struct progress){.fd = fd,
                              .columns = columns,
                              .clock = clock,
                              .started_ms = now_ms,
                              .sampled_ms = now_ms,
                              .drawn_ms = now_ms};
}

// Follow the rate: of late it counts as much as its time is a part of RATE_SECONDS.
static void
sample (struct progress *self, uint64_t done, int64_t now_ms)
{
    double seconds = (double) (now_ms - self->sampled_ms) / 1000;
    double moved = done > self->sampled ? (double) (done - self->sampled) : 0;

    if (seconds <= 0)
        return;
    double weight =
        self->sampled_ms == self->started_ms ? 1 : seconds / (RATE_SECONDS + seconds);
    self->rate += (moved / seconds - self->rate) * weight;
    self->sampled = done;
    self->sampled_ms = now_ms;
}

void
progress_update (void *arg, uint64_t done, uint64_t total)
{
    struct progress *self = arg;
    struct buf text = {0};

    if (self->columns == 0)
        return;
    int64_t now_ms = clock_mono (self->clock);
    if (now_ms - self->started_ms < PROGRESS_DELAY_MS ||
        now_ms - self->drawn_ms < PROGRESS_INTERVAL_MS)
        return;
    sample (self, done, now_ms);
    self->drawn_ms = now_ms;
    // The last column stays free: some terminals go to the next line after it.
    progress_format (&text, self->columns - 1, self->unit, done, total, self->rate,
                     now_ms - self->started_ms);
    if (!text.failed)
        draw (self, &text);
    buf_free (&text);
}

void
progress_end (struct progress *self)
{
    const struct buf nothing = {0};
    if (self->columns && self->drawn_cells)
        draw (self, &nothing);
    self->columns = 0;
}
