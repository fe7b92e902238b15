/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_METRIC_H
#define LITEDFS_BASE_METRIC_H

/*
 * What a daemon counts, and how Prometheus is told (text format 0.0.4).
 *
 * The model.  metric.def has a row for each metric.  A daemon (a name node, a data node) makes one set of
 * numbers, a struct metrics, hands it down to its parts as it does with its log, and destroys it after them;
 * so each of several daemons in one process, as in litecluster, has numbers of its own, but for those that
 * begin with process_.  A set has the metrics of its kind of daemon; counting another one does nothing.  NULL
 * may be handed down instead of a set and counts nothing.
 *
 * Threads.  Any thread may count at any time: a count is one relaxed atomic addition (of a histogram two), no
 * lock, no memory, nothing that blocks.  Who renders reads number by number, so two of them need not be
 * of the same moment; a histogram's buckets, count and +Inf agree always, its sum nearly.
 *
 * Labels.  `at` is the place of a label's value among its words (of two labels: the first one's place times
 * the number of the second one's words, plus that one's place).  The words:
 *
 *   op, table, loop   metrics_options; a word that is NULL has no sample, it is another daemon's
 *   outcome           METRIC_OK, METRIC_FAILED
 *   error             those of err.def, see metric_error
 *   access            enum metric_access
 *   version           of the program
 */

#include "base/buf.h"

enum metric_id {
#define METRIC(id, type, name, where, labels, help) METRIC_##id,
#include "base/metric.def"
    METRIC_COUNT
};

enum metric_outcome { METRIC_OK, METRIC_FAILED, METRIC_OUTCOMES };
enum metric_access { METRIC_READ, METRIC_WRITE, METRIC_SYNC };

/* Kinds of daemons. */
enum metric_where { METRIC_NAME = 1, METRIC_DATA = 2, METRIC_BOTH = 3 };

struct metric_words {
    const char *const *words;
    size_t count;
};

struct metrics_options {
    enum metric_where where; // one of the two
    const char *version;     // of the program
    struct metric_words ops;
    struct metric_words tables;
    struct metric_words loops;
};

struct metrics;

/* All numbers are 0.  What the options point to is borrowed until the end.  NULL: out of memory. */
struct metrics *metrics_new (const struct metrics_options *options);

/* Takes NULL, sets it to NULL. */
void metrics_destroy (struct metrics **self);

/* ---- counting ---------------------------------------------------------------------------------- */

/* Add to a counter; set a gauge.  Without labels `at` is 0. */
void metric_add (struct metrics *self, enum metric_id id, size_t at, uint64_t count);
void metric_set (struct metrics *self, enum metric_id id, size_t at, uint64_t value);

/* Put a value into a histogram: microseconds (less than 0 counts as 0), or a number of things. */
void metric_observe (struct metrics *self, enum metric_id id, size_t at, int64_t value);

/* Count an answer that says this number of err.def. */
void metric_error (struct metrics *self, int number);

/* Time to measure with, monotonic, in microseconds; 0 without a set, which costs nothing. */
int64_t metric_now_us (const struct metrics *self);

/* The lag of a loop.  A timer that falls due while a turn of the loop runs is looked at when that turn is
 * over and the next poll has returned: the length of a turn, plus what the poll returned later than
 * it was asked to, is the longest that a timer may have waited in it.  All zero but for metrics and at:
 *
 *   struct metric_loop lag = {.metrics = metrics, .at = place of the loop's word};
 *   for (;;) {
 *       metric_loop_sleep (&lag, wait_ms);    // -1: no timer
 *       zmq_poll (items, count, wait_ms);
 *       metric_loop_wake (&lag);
 *       ...
 *   } */
struct metric_loop {
    struct metrics *metrics;
    size_t at;
    int64_t woke_us; // 0: not yet
    int64_t turn_us;
    int64_t due_us; // INT64_MAX: no timer
};

void metric_loop_sleep (struct metric_loop *self, long wait_ms);
void metric_loop_wake (struct metric_loop *self);

/* ---- showing ----------------------------------------------------------------------------------- */

/* Who has the values of GIVEN labels: put is called for each such metric of this kind of daemon and puts
 * its samples with metric_put, none or many. */
struct metrics_given {
    void (*put) (void *context, enum metric_id id, struct buf *out);
    void *context;
};

/* Append all metrics.  given NULL: those of GIVEN labels are left out.  Looks at the process, too, so it
 * may take a millisecond.  Memory that is short fails the buffer. */
void metrics_render (struct metrics *self, const struct metrics_given *given, struct buf *out);

/* Append a sample of a metric with GIVEN labels: a value for each of its labels, in the order of metric.def
 * (NULL if it has none).  What is no UTF-8 in them is escaped as text.h does. */
void metric_put (struct buf *out, enum metric_id id, const struct slice *labels,
                 uint64_t value);

/* The media type of what is rendered. */
#define METRIC_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

#endif
