/* SPDX-License-Identifier: MIT */
/*
 * Numbers in one array of atomics.  A metric has a part of it: a cell for each value of its labels, or,
 * if it is a histogram, a cell for each bucket, one for what is above them, and one for the sum.  Buckets
 * are counted each for itself and added up when they are shown, so that a value costs two additions.
 */
#include "base/metric.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/process.h"
#include "base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LABELS_MAX 5

enum type { COUNTER, GAUGE, SECONDS_COUNTER, DURATION, SIZE };
enum kind { STORED, GIVEN };

enum label_set {
#define LABELS(set, kind, ...) LABELS_##set,
#include "base/metric.def"
    LABELS_COUNT
};

static const struct label_row {
    enum kind kind;
    const char *names[LABELS_MAX + 1]; // NULL at the end
} label_rows[LABELS_COUNT] = {
#define LABELS(set, kind, ...) {kind, {__VA_ARGS__}},
#include "base/metric.def"
};

#define NAME METRIC_NAME
#define DATA METRIC_DATA
#define BOTH METRIC_BOTH
static const struct metric_row {
    enum type type;
    const char *name;
    enum metric_where where;
    enum label_set labels;
    const char *help;
} rows[METRIC_COUNT] = {
#define METRIC(id, type, name, where, labels, help) {type, name, where, LABELS_##labels, help},
#include "base/metric.def"
};

/* Upper bounds of the buckets: microseconds; things. */
static const int64_t durations[] = {100,     250,     500,     1000,    2500,   5000,
                                    10000,   25000,   50000,   100000,  250000, 500000,
                                    1000000, 2500000, 5000000, 10000000};
static const int64_t sizes[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};

static const char *const outcomes[METRIC_OUTCOMES] = {
    [METRIC_OK] = "ok", [METRIC_FAILED] = "error"};
static const char *const accesses[] = {
    [METRIC_READ] = "read", [METRIC_WRITE] = "write", [METRIC_SYNC] = "sync"};

/* By -number - 1: numbers of err.def are given out without gaps. */
#define ERROR(name, number, word, exit_status, http_status, text) [-(number) -1] = word,
static const char *const errors[] = {
#include "base/err.def"
};
#undef ERROR

#define COUNT(array) (sizeof (array) / sizeof *(array))

struct metrics {
    enum metric_where where;
    const char *version;
    struct metric_words words[LABELS_COUNT][2]; // of STORED sets
    size_t first[METRIC_COUNT];                 // of the metric's cells
    size_t values[METRIC_COUNT]; // how many values its labels have; 0: it has no cells
    _Atomic uint64_t *cells;
};

/* ---- making it --------------------------------------------------------------------------------- */

static bool
is_histogram (enum type type)
{
    return type == DURATION || type == SIZE;
}

static size_t
bounds_of (enum type type, const int64_t **out)
{
    *out = type == DURATION ? durations : sizes;
    return type == DURATION ? COUNT (durations) : COUNT (sizes);
}

/* How many cells a value of the labels has. */
static size_t
width_of (enum type type)
{
    const int64_t *bounds;

    return is_histogram (type) ? bounds_of (type, &bounds) + 2 : 1;
}

static void
set_words (struct metrics *self, const struct metrics_options *options)
{
    static const char *const nothing[] = {""};
    const struct metric_words none = {nothing, 1};
    const struct metric_words outcome = {outcomes, COUNT (outcomes)};

    for (size_t i = 0; i < LABELS_COUNT; i++)
        self->words[i][0] = self->words[i][1] = none;
    self->words[LABELS_VERSION][0] = (struct metric_words){&self->version, 1};
    self->words[LABELS_OP][0] = self->words[LABELS_OP_OUTCOME][0] = options->ops;
    self->words[LABELS_OUTCOME][0] = self->words[LABELS_OP_OUTCOME][1] = outcome;
    self->words[LABELS_ERROR][0] = (struct metric_words){errors, COUNT (errors)};
    self->words[LABELS_LOOP][0] = options->loops;
    self->words[LABELS_TABLE][0] = options->tables;
    self->words[LABELS_ACCESS][0] = (struct metric_words){accesses, COUNT (accesses)};
}

struct metrics *
metrics_new (const struct metrics_options *options)
{
    struct metrics *self = calloc (1, sizeof *self);
    size_t count = 0;

    if (!self)
        return NULL;
    self->where = options->where;
    self->version = options->version;
    set_words (self, options);
    for (size_t id = 0; id < METRIC_COUNT; id++) {
        const struct metric_row *row = &rows[id];
        self->first[id] = count;
        if ((row->where & self->where) && label_rows[row->labels].kind == STORED)
            self->values[id] =
                self->words[row->labels][0].count * self->words[row->labels][1].count;
        count += self->values[id] * width_of (row->type);
    }
    self->cells = calloc (count, sizeof *self->cells);
    if (!self->cells) {
        metrics_destroy (&self);
        return NULL;
    }
    metric_set (self, METRIC_BUILD_INFO, 0, 1);
    metric_set (self, METRIC_START_TIME, 0, (uint64_t) clock_wall (clock_system ()) / 1000);
    return self;
}

void
metrics_destroy (struct metrics **self)
{
    if (!*self)
        return;
    free ((void *) (*self)->cells);
    free (*self);
    *self = NULL;
}

/* ---- counting ---------------------------------------------------------------------------------- */

/* The cells of a value of the labels; NULL if this set does not have the metric. */
static _Atomic uint64_t *
cells_of (struct metrics *self, enum metric_id id, size_t at)
{
    if (!self || self->values[id] == 0)
        return NULL;
    assert (at < self->values[id]);
    return self->cells + self->first[id] + at * width_of (rows[id].type);
}

static void
add (_Atomic uint64_t *cell, uint64_t count)
{
    atomic_fetch_add_explicit (cell, count, memory_order_relaxed);
}

static uint64_t
read_cell (const _Atomic uint64_t *cell)
{
    return atomic_load_explicit (cell, memory_order_relaxed);
}

void
metric_add (struct metrics *self, enum metric_id id, size_t at, uint64_t count)
{
    _Atomic uint64_t *cell = cells_of (self, id, at);

    assert (!is_histogram (rows[id].type));
    if (cell)
        add (cell, count);
}

void
metric_set (struct metrics *self, enum metric_id id, size_t at, uint64_t value)
{
    _Atomic uint64_t *cell = cells_of (self, id, at);

    assert (!is_histogram (rows[id].type));
    if (cell)
        atomic_store_explicit (cell, value, memory_order_relaxed);
}

void
metric_observe (struct metrics *self, enum metric_id id, size_t at, int64_t value)
{
    _Atomic uint64_t *cells = cells_of (self, id, at);
    const int64_t *bounds;
    size_t count = bounds_of (rows[id].type, &bounds);
    size_t bucket = 0;

    assert (is_histogram (rows[id].type));
    if (!cells)
        return;
    while (bucket < count && value > bounds[bucket])
        bucket++;
    add (&cells[bucket], 1);
    if (value > 0)
        add (&cells[count + 1], (uint64_t) value);
}

void
metric_error (struct metrics *self, int number)
{
    size_t at = number < 0 ? (size_t) - (number + 1) : SIZE_MAX;

    if (at >= COUNT (errors) || !errors[at])
        at = -LITEDFS_FAILED - 1;
    metric_add (self, METRIC_ERRORS, at, 1);
}

int64_t
metric_now_us (const struct metrics *self)
{
    struct timespec now;

    if (!self)
        return 0;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void
metric_loop_sleep (struct metric_loop *self, long wait_ms)
{
    int64_t now = metric_now_us (self->metrics);

    self->turn_us = self->woke_us ? now - self->woke_us : 0;
    self->due_us = wait_ms < 0 ? INT64_MAX : now + (int64_t) wait_ms * 1000;
}

void
metric_loop_wake (struct metric_loop *self)
{
    int64_t now = metric_now_us (self->metrics);
    int64_t over = now > self->due_us ? now - self->due_us : 0;

    metric_observe (self->metrics, METRIC_LOOP_LAG, self->at, self->turn_us + over);
    self->woke_us = now;
}

/* ---- showing ----------------------------------------------------------------------------------- */

static void
put_text (struct buf *out, const char *text)
{
    buf_put (out, text, strlen (text));
}

/* The text between the quotes of a label's value. */
static void
put_quoted (struct buf *out, struct slice text)
{
    const char *bytes = text.data;

    for (size_t i = 0; i < text.size; i++)
        if (bytes[i] == '\n')
            put_text (out, "\\n");
        else if (bytes[i] == '\\' || bytes[i] == '"')
            buf_printf (out, "\\%c", bytes[i]);
        else
            buf_put (out, &bytes[i], 1);
}

/* A label with its value; first: none came before it. */
static void
put_label (struct buf *out, bool first, const char *name, struct slice value)
{
    struct buf escaped = {0};

    buf_printf (out, "%s%s=\"", first ? "{" : ",", name);
    if (text_utf8_valid (value.data, value.size)) {
        put_quoted (out, value);
    } else {
        text_put_escaped (&escaped, value.data, value.size);
        put_quoted (out, buf_slice (&escaped));
        out->failed = out->failed || escaped.failed;
        buf_free (&escaped);
    }
    put_text (out, "\"");
}

/* Name, suffix and labels of a sample; le (a histogram's bucket) may be NULL. */
static void
put_sample (struct buf *out, enum metric_id id, const char *suffix, const struct slice *values,
            const char *le)
{
    const char *const *names = label_rows[rows[id].labels].names;
    bool first = true;

    put_text (out, rows[id].name);
    put_text (out, suffix);
    for (size_t i = 0; names[i]; i++, first = false)
        put_label (out, first, names[i], values[i]);
    if (le)
        put_label (out, first, "le", slice_str (le));
    put_text (out, first && !le ? " " : "} ");
}

/* A number that is counted in microseconds if it is one of seconds. */
static void
put_number (struct buf *out, enum type type, uint64_t value)
{
    if (type == DURATION || type == SECONDS_COUNTER)
        buf_printf (out, "%" PRIu64 ".%06" PRIu64 "\n", value / 1000000, value % 1000000);
    else
        buf_printf (out, "%" PRIu64 "\n", value);
}

/* "0.00025", "10": without the zeros at the end. */
static void
put_bound (enum type type, int64_t bound, char *out, size_t size)
{
    struct buf text = {0};

    put_number (&text, type, (uint64_t) bound);
    snprintf (out, size, "%s", buf_text (&text));
    buf_free (&text);
    size_t end = strcspn (out, "\n");
    if (strchr (out, '.'))
        while (out[end - 1] == '0')
            end--;
    out[end - (out[end - 1] == '.')] = '\0';
}

static void
put_histogram (struct buf *out, enum metric_id id, const _Atomic uint64_t *cells,
               const struct slice *values)
{
    enum type type = rows[id].type;
    const int64_t *bounds;
    size_t count = bounds_of (type, &bounds);
    uint64_t sum = read_cell (&cells[count + 1]);
    uint64_t seen = 0;
    char le[32];

    for (size_t i = 0; i <= count; i++) {
        seen += read_cell (&cells[i]);
        if (i < count)
            put_bound (type, bounds[i], le, sizeof le);
        put_sample (out, id, "_bucket", values, i < count ? le : "+Inf");
        buf_printf (out, "%" PRIu64 "\n", seen);
    }
    put_sample (out, id, "_sum", values, NULL);
    put_number (out, type, sum);
    put_sample (out, id, "_count", values, NULL);
    buf_printf (out, "%" PRIu64 "\n", seen);
}

static void
put_stored (struct metrics *self, enum metric_id id, struct buf *out)
{
    const struct metric_words *words = self->words[rows[id].labels];

    for (size_t at = 0; at < self->values[id]; at++) {
        const char *first = words[0].words[at / words[1].count];
        const char *second = words[1].words[at % words[1].count];
        if (!first || !second)
            continue;
        const struct slice values[2] = {slice_str (first), slice_str (second)};
        const _Atomic uint64_t *cells = cells_of (self, id, at);
        if (is_histogram (rows[id].type)) {
            put_histogram (out, id, cells, values);
        } else {
            put_sample (out, id, "", values, NULL);
            put_number (out, rows[id].type, read_cell (cells));
        }
    }
}

static void
put_head (enum metric_id id, struct buf *out)
{
    enum type type = rows[id].type;
    const char *word = is_histogram (type) ? "histogram" : type == GAUGE ? "gauge" : "counter";

    buf_printf (out, "# HELP %s %s\n# TYPE %s %s\n", rows[id].name, rows[id].help,
                rows[id].name, word);
}

static void
look_at_process (struct metrics *self)
{
    struct process_usage usage;

    process_usage (&usage);
    metric_set (self, METRIC_CPU, 0, usage.cpu_us);
    metric_set (self, METRIC_RESIDENT, 0, usage.resident_bytes);
    metric_set (self, METRIC_OPEN_FDS, 0, usage.open_fds);
    metric_set (self, METRIC_MAX_FDS, 0, usage.max_fds);
}

void
metrics_render (struct metrics *self, const struct metrics_given *given, struct buf *out)
{
    look_at_process (self);
    for (size_t id = 0; id < METRIC_COUNT; id++) {
        bool stored = label_rows[rows[id].labels].kind == STORED;
        if (!(rows[id].where & self->where) || (!stored && !given))
            continue;
        put_head ((enum metric_id) id, out);
        if (stored)
            put_stored (self, (enum metric_id) id, out);
        else
            given->put (given->context, (enum metric_id) id, out);
    }
}

void
metric_put (struct buf *out, enum metric_id id, const struct slice *labels, uint64_t value)
{
    put_sample (out, id, "", labels, NULL);
    put_number (out, rows[id].type, value);
}
