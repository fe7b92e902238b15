/* SPDX-License-Identifier: MIT */
/*
 * base/metric: numbers go in from any thread, and come out as Prometheus reads them.
 */
#include "base/metric.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "unit.h"

static const char *const ops[] = {"file.create", NULL, "file.info"};
static const char *const loops[] = {"one", "two"};
static const char *const tables[] = {"inode"};
static struct metrics *metrics;
static struct buf out;

static struct metrics *
make (enum metric_where where)
{
    const struct metrics_options options = {
        .where = where,
        .version = "1.2 \"x\"",
        .ops = {ops, 3},
        .tables = {tables, 1},
        .loops = {loops, 2},
    };

    return metrics_new (&options);
}

static void
setup (void)
{
    metrics = make (METRIC_NAME);
    ck_assert_ptr_nonnull (metrics);
}

static void
teardown (void)
{
    metrics_destroy (&metrics);
    buf_free (&out);
}

static const char *
shown (const struct metrics_given *given)
{
    buf_clear (&out);
    metrics_render (metrics, given, &out);
    ck_assert (!out.failed);
    return buf_text (&out);
}

/* Whether these whole lines are there, one after the other. */
static bool
has (const char *lines)
{
    const char *text = shown (NULL);
    const char *at = strstr (text, lines);

    return at && (at == text || at[-1] == '\n');
}

START_TEST (a_metric_has_help_and_type_and_then_its_samples)
{
    metric_add (metrics, METRIC_RECEIVED_BYTES, 0, 40);
    metric_add (metrics, METRIC_RECEIVED_BYTES, 0, 2);
    ck_assert (
        has ("# HELP litedfs_received_bytes_total Bytes of requests, with their payloads.\n"
             "# TYPE litedfs_received_bytes_total counter\n"
             "litedfs_received_bytes_total 42\n"));
}
END_TEST

START_TEST (a_gauge_has_the_value_that_was_set_last)
{
    metric_set (metrics, METRIC_REPAIR_COPIES, 0, 7);
    metric_set (metrics, METRIC_REPAIR_COPIES, 0, 3);
    ck_assert (has ("# TYPE litedfs_repair_copies gauge\nlitedfs_repair_copies 3\n"));
}
END_TEST

START_TEST (two_labels_have_a_sample_for_each_pair_but_not_for_what_is_not_served)
{
    metric_add (metrics, METRIC_REQUESTS, 0 * METRIC_OUTCOMES + METRIC_FAILED, 5);
    metric_add (metrics, METRIC_REQUESTS, 1 * METRIC_OUTCOMES + METRIC_OK, 9);
    metric_add (metrics, METRIC_REQUESTS, 2 * METRIC_OUTCOMES + METRIC_OK, 1);
    ck_assert (has ("# TYPE litedfs_requests_total counter\n"
                    "litedfs_requests_total{op=\"file.create\",outcome=\"ok\"} 0\n"
                    "litedfs_requests_total{op=\"file.create\",outcome=\"error\"} 5\n"
                    "litedfs_requests_total{op=\"file.info\",outcome=\"ok\"} 1\n"
                    "litedfs_requests_total{op=\"file.info\",outcome=\"error\"} 0\n"
                    "# HELP "));
}
END_TEST

START_TEST (buckets_are_cumulative_and_end_with_all_there_are)
{
    const int64_t values[] = {-5, 0, 100, 101, 250, 9999999, 10000000, 10000001, 3600000000};

    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        metric_observe (metrics, METRIC_COMMIT_DURATION, 0, values[i]);
    ck_assert (has ("# TYPE litedfs_commit_duration_seconds histogram\n"
                    "litedfs_commit_duration_seconds_bucket{le=\"0.0001\"} 3\n"
                    "litedfs_commit_duration_seconds_bucket{le=\"0.00025\"} 5\n"
                    "litedfs_commit_duration_seconds_bucket{le=\"0.0005\"} 5\n"
                    "litedfs_commit_duration_seconds_bucket{le=\"0.001\"} 5\n"));
    ck_assert (has ("litedfs_commit_duration_seconds_bucket{le=\"5\"} 5\n"
                    "litedfs_commit_duration_seconds_bucket{le=\"10\"} 7\n"
                    "litedfs_commit_duration_seconds_bucket{le=\"+Inf\"} 9\n"
                    "litedfs_commit_duration_seconds_sum 3630.000451\n"
                    "litedfs_commit_duration_seconds_count 9\n"));
}
END_TEST

START_TEST (a_histogram_of_numbers_shows_them_as_they_are)
{
    metric_observe (metrics, METRIC_BATCH_SIZE, 0, 1);
    metric_observe (metrics, METRIC_BATCH_SIZE, 0, 3);
    metric_observe (metrics, METRIC_BATCH_SIZE, 0, 5000);
    ck_assert (has ("litedfs_batch_requests_bucket{le=\"1\"} 1\n"
                    "litedfs_batch_requests_bucket{le=\"2\"} 1\n"
                    "litedfs_batch_requests_bucket{le=\"4\"} 2\n"));
    ck_assert (has ("litedfs_batch_requests_bucket{le=\"1024\"} 2\n"
                    "litedfs_batch_requests_bucket{le=\"+Inf\"} 3\n"
                    "litedfs_batch_requests_sum 5004\n"
                    "litedfs_batch_requests_count 3\n"));
}
END_TEST

START_TEST (a_histogram_with_a_label_has_it_before_le)
{
    metric_observe (metrics, METRIC_LOOP_LAG, 1, 1500);
    ck_assert (has ("litedfs_loop_lag_seconds_bucket{loop=\"two\",le=\"0.001\"} 0\n"
                    "litedfs_loop_lag_seconds_bucket{loop=\"two\",le=\"0.0025\"} 1\n"));
    ck_assert (has ("litedfs_loop_lag_seconds_sum{loop=\"one\"} 0.000000\n"));
    ck_assert (has ("litedfs_loop_lag_seconds_sum{loop=\"two\"} 0.001500\n"
                    "litedfs_loop_lag_seconds_count{loop=\"two\"} 1\n"));
}
END_TEST

START_TEST (errors_are_counted_by_their_words_and_unknown_ones_as_failed)
{
    metric_error (metrics, LITEDFS_NOT_FOUND);
    metric_error (metrics, LITEDFS_IN_USE);
    metric_error (metrics, LITEDFS_FAILED);
    metric_error (metrics, 0);
    metric_error (metrics, 17);
    metric_error (metrics, -5000);
    ck_assert (has ("litedfs_errors_total{error=\"not_found\"} 1\n"));
    ck_assert (has ("litedfs_errors_total{error=\"in_use\"} 1\n"));
    ck_assert (has ("litedfs_errors_total{error=\"failed\"} 4\n"));
    for (int number = -1; strcmp (err_word (number), "failed") != 0 || number == -1; number--) {
        char line[96];
        snprintf (line, sizeof line, "\nlitedfs_errors_total{error=\"%s\"} ",
                  err_word (number));
        ck_assert_msg (strstr (shown (NULL), line) != NULL, "%s", line);
    }
}
END_TEST

START_TEST (quotes_backslashes_and_line_ends_of_a_label_are_escaped)
{
    const struct slice status = slice_str ("a\"b\\c\nd \xc3\xa9");
    const struct slice bad = slice_of ("\xff\"", 2);

    ck_assert (has ("litedfs_build_info{version=\"1.2 \\\"x\\\"\"} 1\n"));
    buf_clear (&out);
    metric_put (&out, METRIC_NODES, &status, 4);
    metric_put (&out, METRIC_NODES, &bad, 5);
    ck_assert_str_eq (buf_text (&out), "litedfs_nodes{status=\"a\\\"b\\\\c\\nd \xc3\xa9\"} 4\n"
                                       "litedfs_nodes{status=\"\\\\xff\\\"\"} 5\n");
}
END_TEST

static void
give (void *context, enum metric_id id, struct buf *into)
{
    const struct slice labels[] = {slice_str ("3"), slice_str ("online")};
    int *calls = context;

    ++*calls;
    if (id == METRIC_NODE_STATUS)
        metric_put (into, id, labels, 1);
    if (id == METRIC_NAMESPACE_FILES)
        metric_put (into, id, NULL, 12);
}

START_TEST (what_is_given_stands_among_the_others_and_nothing_of_it_without_who_gives_it)
{
    int calls = 0;
    const struct metrics_given given = {give, &calls};

    const char *text = shown (&given);
    ck_assert_ptr_nonnull (strstr (text, "# TYPE litedfs_namespace_files gauge\n"
                                         "litedfs_namespace_files 12\n"));
    ck_assert_ptr_nonnull (strstr (text,
                                   "# TYPE litedfs_node_status gauge\n"
                                   "litedfs_node_status{node=\"3\",status=\"online\"} 1\n"));
    ck_assert_int_gt (calls, 5);
    ck_assert_ptr_null (strstr (shown (NULL), "namespace_files"));
}
END_TEST

START_TEST (a_daemon_has_what_is_its_own_and_counting_the_rest_does_nothing)
{
    struct metrics *data = make (METRIC_DATA);

    metric_add (metrics, METRIC_DISK_READ, 0, 1);
    metric_observe (data, METRIC_COMMIT_DURATION, 0, 1);
    metric_add (data, METRIC_DISK_READ, 0, 77);
    ck_assert_ptr_null (strstr (shown (NULL), "disk_read"));
    buf_clear (&out);
    metrics_render (data, NULL, &out);
    ck_assert_ptr_nonnull (strstr (buf_text (&out), "\nlitedfs_disk_read_bytes_total 77\n"));
    ck_assert_ptr_null (strstr (buf_text (&out), "commit"));
    metrics_destroy (&data);
    ck_assert_ptr_null (data);
}
END_TEST

START_TEST (without_a_set_nothing_is_counted)
{
    struct metrics *none = NULL;

    metric_add (none, METRIC_RECEIVED_BYTES, 0, 1);
    metric_set (none, METRIC_REPAIR_COPIES, 0, 1);
    metric_observe (none, METRIC_LOOP_LAG, 1, 1);
    metric_error (none, LITEDFS_BUSY);
    ck_assert_int_eq (metric_now_us (none), 0);
    metrics_destroy (&none);
}
END_TEST

START_TEST (the_process_is_looked_at)
{
    const char *names[] = {"\nprocess_cpu_seconds_total ", "\nprocess_resident_memory_bytes ",
                           "\nprocess_open_fds ", "\nprocess_start_time_seconds "};
    const char *text = shown (NULL);

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *at = strstr (text, names[i]);
        ck_assert_msg (at != NULL, "%s", names[i]);
        if (i > 0)
            ck_assert_double_gt (strtod (at + strlen (names[i]), NULL), 2.0);
    }
}
END_TEST

START_TEST (the_lag_of_a_loop_is_the_length_of_its_turns)
{
    struct metric_loop lag = {.metrics = metrics, .at = 0};
    const struct timespec pause = {0, 12000000};

    metric_loop_sleep (&lag, -1);
    metric_loop_wake (&lag); // no turn before it, and no timer
    ck_assert (has ("litedfs_loop_lag_seconds_bucket{loop=\"one\",le=\"0.0001\"} 1\n"));
    nanosleep (&pause, NULL);
    metric_loop_sleep (&lag, 60000);
    metric_loop_wake (&lag);
    ck_assert (has ("litedfs_loop_lag_seconds_bucket{loop=\"one\",le=\"0.01\"} 1\n"));
    metric_loop_sleep (&lag, 0);
    nanosleep (&pause, NULL); // the poll returns later than it was asked to
    metric_loop_wake (&lag);
    ck_assert (has ("litedfs_loop_lag_seconds_bucket{loop=\"one\",le=\"0.01\"} 1\n"));
    ck_assert (has ("litedfs_loop_lag_seconds_count{loop=\"one\"} 3\n"));
}
END_TEST

enum { ROUNDS = 200000 };

static void *
count_much (void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        metric_add (metrics, METRIC_SENT_BYTES, 0, 3);
        metric_observe (metrics, METRIC_BATCH_SIZE, 0, i % 4 + 1);
        metric_error (metrics, LITEDFS_BUSY);
    }
    return arg;
}

/* The count and the bucket of all agree at any moment. */
static void
check_agreement (void)
{
    const char *text = shown (NULL);
    const char *all = strstr (text, "litedfs_batch_requests_bucket{le=\"+Inf\"} ");
    const char *count = strstr (text, "\nlitedfs_batch_requests_count ");

    ck_assert_ptr_nonnull (all);
    ck_assert_ptr_nonnull (count);
    ck_assert_uint_eq (strtoull (strchr (all, '}') + 1, NULL, 10),
                       strtoull (strchr (count, ' '), NULL, 10));
}

START_TEST (two_threads_count_and_nothing_is_lost)
{
    pthread_t threads[2];

    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq (pthread_create (&threads[i], NULL, count_much, NULL), 0);
    for (int i = 0; i < 20; i++)
        check_agreement ();
    for (size_t i = 0; i < 2; i++)
        pthread_join (threads[i], NULL);
    ck_assert (has ("litedfs_sent_bytes_total 1200000\n"));
    ck_assert (has ("litedfs_errors_total{error=\"busy\"} 400000\n"));
    ck_assert (has ("litedfs_batch_requests_bucket{le=\"1\"} 100000\n"
                    "litedfs_batch_requests_bucket{le=\"2\"} 200000\n"
                    "litedfs_batch_requests_bucket{le=\"4\"} 400000\n"));
    ck_assert (has ("litedfs_batch_requests_sum 1000000\n"
                    "litedfs_batch_requests_count 400000\n"));
}
END_TEST

UNIT_MAIN_FIXTURE ("base_metric", setup, teardown,
                   a_metric_has_help_and_type_and_then_its_samples,
                   a_gauge_has_the_value_that_was_set_last,
                   two_labels_have_a_sample_for_each_pair_but_not_for_what_is_not_served,
                   buckets_are_cumulative_and_end_with_all_there_are,
                   a_histogram_of_numbers_shows_them_as_they_are,
                   a_histogram_with_a_label_has_it_before_le,
                   errors_are_counted_by_their_words_and_unknown_ones_as_failed,
                   quotes_backslashes_and_line_ends_of_a_label_are_escaped,
                   what_is_given_stands_among_the_others_and_nothing_of_it_without_who_gives_it,
                   a_daemon_has_what_is_its_own_and_counting_the_rest_does_nothing,
                   without_a_set_nothing_is_counted, the_process_is_looked_at,
                   the_lag_of_a_loop_is_the_length_of_its_turns,
                   two_threads_count_and_nothing_is_lost)
