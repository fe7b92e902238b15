/* SPDX-License-Identifier: MIT */
/*
 * datanode/copy: orders wait, run two at a time, and end; pipeline and disk pool are played here.
 */
#include "datanode/copy.h"

#include "base/err.h"
#include "unit.h"

#include <string.h>

#define JOBS_MAX 64

static struct copy *copy;

/* What was asked of the others, and what they say. */
static struct disk_job jobs[JOBS_MAX];
static size_t job_count;
static int submit_says;
static struct pipeline_copy started[JOBS_MAX];
static char started_path[64];
static size_t started_count;
static int start_says;
static uint64_t read_block;
static uint64_t read_offset;
static char read_bytes[64];
static int read_error;
static unsigned reads;
static unsigned failures;
static uint64_t failed_block;
static uint32_t failed_target;
static int failed_number;

static int
submit (void *context, const struct disk_job *job, litedfs_error_t *e)
{
    ck_assert_ptr_eq (context, &jobs);
    if (submit_says < 0)
        return err_set (e, submit_says, "played");
    ck_assert_uint_lt (job_count, JOBS_MAX);
    jobs[job_count++] = *job;
    return 0;
}

static int
start (void *context, const struct pipeline_copy *what, litedfs_error_t *e)
{
    ck_assert_ptr_eq (context, &jobs);
    ck_assert_uint_lt (started_count, JOBS_MAX);
    started[started_count++] = *what;
    memcpy (started_path, what->path.data, what->path.size);
    started_path[what->path.size] = '\0';
    return start_says < 0 ? err_set (e, start_says, "played") : 0;
}

static void
was_read (void *context, uint64_t block, uint64_t offset, zmq_msg_t *payload,
          const litedfs_error_t *e)
{
    ck_assert_ptr_eq (context, &jobs);
    read_block = block;
    read_offset = offset;
    memcpy (read_bytes, zmq_msg_data (payload), zmq_msg_size (payload));
    read_bytes[zmq_msg_size (payload)] = '\0';
    read_error = e != NULL ? e->number : 0;
    reads++;
}

static void
failed (void *context, uint64_t block, uint32_t target, int number)
{
    ck_assert_ptr_eq (context, &jobs);
    failures++;
    failed_block = block;
    failed_target = target;
    failed_number = number;
}

static void
setup (void)
{
    const struct copy_calls calls = {.context = &jobs,
                                     .submit = submit,
                                     .start = start,
                                     .was_read = was_read,
                                     .failed = failed};

    copy = copy_new (&calls, NULL, NULL);
    ck_assert_ptr_nonnull (copy);
}

static void
teardown (void)
{
    copy_destroy (&copy);
}

static void
order (enum order_kind kind, uint64_t block, uint32_t target)
{
    static uint64_t number;
    struct blockstore_order one = {
        .number = ++number, .block = block, .kind = kind, .target = target};

    copy_orders (copy, 1000, &one, 1);
}

static void
send_result (int64_t now_ms, struct disk_result result, const char *bytes)
{
    zmq_msg_t payload;

    zmq_msg_init_size (&payload, strlen (bytes));
    memcpy (zmq_msg_data (&payload), bytes, strlen (bytes));
    ck_assert (copy_result (copy, now_ms, &result, &payload));
}

/* The disk pool has described a block, or has not. */
static void
describe (int64_t now_ms, uint64_t block, int number)
{
    struct disk_result result = {.kind = DISK_DESCRIBED,
                                 .token = COPY_TOKEN,
                                 .block = block,
                                 .size = 1000 + block,
                                 .crc = 77,
                                 .file = {.bytes = {9}},
                                 .index = 5,
                                 .count = 6,
                                 .error = {.number = number, .text = "played"}};

    send_result (now_ms, result, number == 0 ? "/a/path" : "");
}

static void
end (int64_t now_ms, uint64_t block, int number)
{
    struct pipeline_action action = {.kind = PIPELINE_COPIED,
                                     .block = block,
                                     .error = number,
                                     .text = number != 0 ? "played" : NULL};

    copy_ended (copy, now_ms, &action);
}

static void
check (size_t waiting, size_t running)
{
    ck_assert_uint_eq (copy_waiting (copy), waiting);
    ck_assert_uint_eq (copy_running (copy), running);
}

/* So many copies have failed, the last one of this block. */
static void
check_failed (unsigned count, uint64_t block, int number)
{
    ck_assert_uint_eq (failures, count);
    ck_assert_uint_eq (failed_block, block);
    ck_assert_uint_eq (failed_target, 3);
    ck_assert_int_eq (failed_number, number);
}

START_TEST (a_block_is_described_started_with_what_its_trailer_says_and_ends)
{
    order (ORDER_COPY, 7, 3);
    check (0, 1);
    ck_assert_uint_eq (job_count, 1);
    ck_assert_int_eq (jobs[0].kind, DISK_DESCRIBE);
    ck_assert_uint_eq (jobs[0].block, 7);
    ck_assert (jobs[0].token & COPY_TOKEN);
    ck_assert_uint_eq (started_count, 0);

    describe (1000, 7, 0);
    ck_assert_uint_eq (started_count, 1);
    ck_assert (started[0].block == 7 && started[0].target == 3 && started[0].size == 1007);
    ck_assert (started[0].crc32 == 77 && started[0].index == 5 && started[0].count == 6);
    ck_assert_uint_eq (started[0].file.bytes[0], 9);
    ck_assert_str_eq (started_path, "/a/path");
    check (0, 1);
    end (1000, 7, 0);
    check (0, 0);
    ck_assert (copy_next_deadline (copy) == INT64_MAX);
}
END_TEST

START_TEST (two_run_at_a_time_in_the_order_of_their_orders)
{
    for (uint64_t block = 1; block <= 5; block++)
        order (ORDER_COPY, block, 3);
    check (3, 2);
    ck_assert_uint_eq (job_count, 2);
    describe (1000, 2, 0);
    describe (1000, 1, 0);
    check (3, 2);
    ck_assert (copy_next_deadline (copy) == INT64_MAX);
    end (1000, 2, 0);
    check (2, 2);
    ck_assert_uint_eq (jobs[2].block, 3);
    end (1000, 1, LITEDFS_UNREACHABLE);
    check (1, 2);
    ck_assert_uint_eq (jobs[3].block, 4);
    end (1000, 99, 0); // of nobody
    check (1, 2);
}
END_TEST

START_TEST (an_order_that_waits_or_runs_is_not_taken_twice)
{
    for (int round = 0; round < 2; round++) {
        order (ORDER_COPY, 1, 3);
        order (ORDER_COPY, 2, 3);
        order (ORDER_COPY, 4, 3);
    }
    check (1, 2);
    describe (1000, 1, 0);
    order (ORDER_COPY, 1, 3);
    check (1, 2);
    end (1000, 1, 0);
    order (ORDER_COPY, 1, 3); // it is over: this is another one
    check (1, 2);
}
END_TEST

START_TEST (a_block_goes_to_one_node_at_a_time_and_others_overtake)
{
    order (ORDER_COPY, 1, 3);
    order (ORDER_COPY, 1, 4);
    check (1, 1);
    ck_assert (copy_next_deadline (copy) == INT64_MAX);
    order (ORDER_COPY, 2, 3);
    check (1, 2);
    ck_assert_uint_eq (jobs[1].block, 2);
    describe (1000, 1, 0);
    end (1000, 1, 0);
    check (0, 2);
    describe (1000, 1, 0);
    ck_assert (started[1].block == 1 && started[1].target == 4);
}
END_TEST

START_TEST (a_block_that_is_busy_is_tried_again_and_given_up_after_a_minute)
{
    int64_t now_ms = 1000;
    unsigned tries = 0;

    start_says = LITEDFS_BUSY;
    order (ORDER_COPY, 1, 3);
    describe (now_ms, 1, 0);
    check (1, 0);
    ck_assert_int_eq (copy_next_deadline (copy), now_ms + COPY_AGAIN_MS);
    copy_tick (copy, now_ms + COPY_AGAIN_MS - 1);
    check (1, 0);
    order (ORDER_COPY, 2, 3); // does not wait for it
    check (1, 1);
    start_says = 0;
    describe (now_ms, 2, 0);
    end (now_ms, 2, 0);
    start_says = LITEDFS_BUSY;
    while (copy_waiting (copy) > 0) {
        now_ms = copy_next_deadline (copy);
        copy_tick (copy, now_ms);
        check (0, 1);
        job_count = started_count = 0;
        describe (now_ms, 1, 0);
        ck_assert_uint_lt (++tries, 1000);
    }
    check (0, 0);
    check_failed (1, 1, LITEDFS_BUSY);
    ck_assert_int_gt (now_ms, 1000 + COPY_PATIENCE_MS);
    ck_assert_int_le (now_ms, 1000 + COPY_PATIENCE_MS + COPY_AGAIN_MS);
}
END_TEST

START_TEST (a_block_that_was_busy_is_copied_when_it_is_free)
{
    start_says = LITEDFS_BUSY;
    order (ORDER_COPY, 1, 3);
    describe (1000, 1, 0);
    start_says = 0;
    copy_tick (copy, 1000 + COPY_AGAIN_MS);
    check (0, 1);
    ck_assert_uint_eq (job_count, 2);
    describe (1000 + COPY_AGAIN_MS, 1, 0);
    end (2000, 1, 0);
    check (0, 0);
}
END_TEST

START_TEST (what_cannot_be_described_or_started_makes_room_for_the_next)
{
    for (uint64_t block = 1; block <= 4; block++)
        order (ORDER_COPY, block, 3);
    describe (1000, 1, LITEDFS_CORRUPT);
    check (1, 2);
    check_failed (1, 1, LITEDFS_CORRUPT);
    ck_assert_uint_eq (jobs[2].block, 3);
    start_says = LITEDFS_MEMORY;
    describe (1000, 2, 0);
    check (0, 2);
    check_failed (2, 2, LITEDFS_MEMORY);
    ck_assert_uint_eq (jobs[3].block, 4);
    describe (1000, 3, LITEDFS_NOT_FOUND);
    describe (1000, 4, LITEDFS_NOT_FOUND);
    check (0, 0);
}
END_TEST

START_TEST (a_pool_that_takes_no_job_costs_the_copies_that_were_ordered_and_nothing_else)
{
    submit_says = LITEDFS_MEMORY;
    order (ORDER_COPY, 1, 3);
    check (0, 0);
    check_failed (1, 1, LITEDFS_MEMORY);
    submit_says = 0;
    order (ORDER_COPY, 1, 3);
    check (0, 1);
}
END_TEST

START_TEST (a_copy_that_comes_to_nothing_is_told_and_one_that_is_made_is_not)
{
    for (uint64_t block = 1; block <= 2; block++) {
        order (ORDER_COPY, block, 3);
        describe (1000, block, 0);
    }
    end (2000, 1, 0);
    ck_assert_uint_eq (failures, 0);
    end (2000, 2, LITEDFS_TIMEOUT);
    check_failed (1, 2, LITEDFS_TIMEOUT);
    check (0, 0);
}
END_TEST

START_TEST (a_delete_takes_the_copies_of_its_block_out_and_the_name_node_hears_of_them)
{
    struct blockstore_order both[] = {
        {.number = 101, .block = 9, .kind = ORDER_COPY, .target = 3},
        {.number = 102, .block = 9, .kind = ORDER_DELETE},
    };

    for (uint64_t block = 1; block <= 4; block++)
        for (uint32_t target = 3; target <= 4; target++)
            order (ORDER_COPY, block, target);
    check (6, 2);
    order (ORDER_DELETE, 4, 0);
    check (4, 2);
    order (ORDER_DELETE, 1, 0); // it is being described, and waits once more
    check (3, 2);
    describe (1000, 1, 0);
    ck_assert_uint_eq (started_count, 0);
    check (2, 2);
    copy_orders (copy, 1000, both, 2);
    check (2, 2);
    ck_assert_uint_eq (failures, 5); // it may have given up this source, and not the copies
    check_failed (5, 9, LITEDFS_NOT_FOUND);
}
END_TEST

START_TEST (a_block_that_was_deleted_while_it_was_described_may_be_ordered_anew)
{
    order (ORDER_COPY, 1, 3);
    order (ORDER_DELETE, 1, 0);
    order (ORDER_COPY, 1, 3);
    check (1, 1);
    describe (1000, 1, LITEDFS_NOT_FOUND);
    check (0, 1);
    describe (1000, 1, 0);
    ck_assert_uint_eq (started_count, 1);
}
END_TEST

START_TEST (an_order_without_a_target_is_dropped)
{
    order (ORDER_COPY, 1, 0);
    check (0, 0);
    ck_assert_uint_eq (job_count, 0);
}
END_TEST

START_TEST (the_queue_is_bounded_and_what_is_over_is_dropped)
{
    static struct blockstore_order many[COPY_QUEUE_MAX + 10];

    for (size_t i = 0; i < COPY_QUEUE_MAX + 10; i++)
        many[i] = (struct blockstore_order){
            .number = i + 1, .block = i + 1, .kind = ORDER_COPY, .target = 3};
    copy_orders (copy, 1000, many, COPY_QUEUE_MAX + 10);
    check (COPY_QUEUE_MAX - COPY_STREAMS, COPY_STREAMS);
    start_says = LITEDFS_BUSY; // who was in is not the one that is dropped
    describe (1000, 1, 0);
    check (COPY_QUEUE_MAX - COPY_STREAMS, COPY_STREAMS);
}
END_TEST

START_TEST (bytes_are_read_for_the_pipeline_and_handed_on)
{
    struct pipeline_action action = {
        .kind = PIPELINE_READ, .block = 7, .offset = 131072, .size = 65536};
    struct disk_result result = {
        .kind = DISK_READ_DONE, .token = COPY_TOKEN, .block = 7, .offset = 131072, .size = 5};

    copy_read (copy, 0, &action);
    ck_assert_uint_eq (job_count, 1);
    ck_assert (jobs[0].kind == DISK_READ && jobs[0].copy && (jobs[0].token & COPY_TOKEN));
    ck_assert (jobs[0].block == 7 && jobs[0].offset == 131072 && jobs[0].size == 65536);
    send_result (1000, result, "bytes");
    ck_assert (reads == 1 && read_block == 7 && read_offset == 131072 && read_error == 0);
    ck_assert_str_eq (read_bytes, "bytes");
    result.error.number = LITEDFS_CORRUPT;
    send_result (1000, result, "");
    ck_assert (reads == 2 && read_error == LITEDFS_CORRUPT);

    submit_says = LITEDFS_MEMORY;
    copy_read (copy, 0, &action);
    ck_assert (reads == 3 && read_block == 7 && read_error == LITEDFS_MEMORY);
}
END_TEST

static void
read_action (int64_t now_ms, uint64_t block)
{
    const struct pipeline_action action = {.kind = PIPELINE_READ, .block = block, .size = 10};

    copy_read (copy, now_ms, &action);
}

START_TEST (copies_give_way_to_those_who_read_and_write)
{
    order (ORDER_COPY, 7, 3);
    order (ORDER_COPY, 8, 3);
    describe (1000, 7, 0);
    describe (1000, 8, 0);
    job_count = 0;
    read_action (1000, 7);
    ck_assert_uint_eq (job_count, 1); // nobody else is here
    copy_yield (copy, 2000);
    read_action (2000, 7);
    read_action (2000, 8);
    ck_assert_uint_eq (job_count, 2); // one may go, the other one waits
    ck_assert_int_eq (copy_next_deadline (copy), 2000 + COPY_PAUSE_MS);
    copy_tick (copy, 2000 + COPY_PAUSE_MS - 1);
    ck_assert_uint_eq (job_count, 2);
    copy_tick (copy, 2000 + COPY_PAUSE_MS);
    ck_assert_uint_eq (job_count, 3);
    ck_assert_uint_eq (jobs[2].block, 8);
    read_action (2000 + COPY_PAUSE_MS, 8);
    ck_assert_uint_eq (job_count, 3);
    end (2001 + COPY_PAUSE_MS, 8, LITEDFS_UNREACHABLE); // what waited is forgotten
    copy_tick (copy, 3000);
    ck_assert_uint_eq (job_count, 3);
    read_action (3000, 7); // the others have gone
    ck_assert_uint_eq (job_count, 4);
    ck_assert_int_eq (copy_next_deadline (copy), INT64_MAX);
}
END_TEST

START_TEST (results_of_others_are_left_to_them)
{
    struct disk_result result = {.kind = DISK_READ_DONE, .token = 5, .block = 7};
    zmq_msg_t payload;

    zmq_msg_init_size (&payload, 3);
    ck_assert (!copy_result (copy, 1000, &result, &payload));
    ck_assert_uint_eq (zmq_msg_size (&payload), 3);
    zmq_msg_close (&payload);
    ck_assert_uint_eq (reads, 0);
    describe (1000, 7, 0); // nobody waits for it
    check (0, 0);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_copy", setup, teardown,
                   a_block_is_described_started_with_what_its_trailer_says_and_ends,
                   two_run_at_a_time_in_the_order_of_their_orders,
                   an_order_that_waits_or_runs_is_not_taken_twice,
                   a_block_goes_to_one_node_at_a_time_and_others_overtake,
                   a_block_that_is_busy_is_tried_again_and_given_up_after_a_minute,
                   a_block_that_was_busy_is_copied_when_it_is_free,
                   what_cannot_be_described_or_started_makes_room_for_the_next,
                   a_pool_that_takes_no_job_costs_the_copies_that_were_ordered_and_nothing_else,
                   a_copy_that_comes_to_nothing_is_told_and_one_that_is_made_is_not,
                   a_delete_takes_the_copies_of_its_block_out_and_the_name_node_hears_of_them,
                   a_block_that_was_deleted_while_it_was_described_may_be_ordered_anew,
                   an_order_without_a_target_is_dropped,
                   the_queue_is_bounded_and_what_is_over_is_dropped,
                   bytes_are_read_for_the_pipeline_and_handed_on,
                   copies_give_way_to_those_who_read_and_write,
                   results_of_others_are_left_to_them)
