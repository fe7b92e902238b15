/* SPDX-License-Identifier: MIT */
#include "datanode_pipeline_fixture.h"

struct pipeline *pipeline;
int64_t now_ms;
uint8_t bytes[WIRE_CHUNK_MAX];
uint64_t next_token;
const struct pipeline_known unknown;

unsigned answers[TOKENS];
int answer_error[TOKENS];
struct pipeline_state answer_state[TOKENS];
char answer_text[TOKENS][128];
struct pipeline_action writes[WRITES];
size_t write_count;
size_t write_done;
struct pipeline_action compared;
unsigned abandoned;

void
make_pipeline (uint64_t memory)
{
    struct pipeline_limits limits = {.memory = memory, .write_timeout_ms = 60000};

    pipeline_destroy (&pipeline);
    pipeline = pipeline_new (&limits);
    ck_assert_ptr_nonnull (pipeline);
}

void
setup (void)
{
    make_pipeline (36 * MIB);
    now_ms = 1000000;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) (i * 131 >> 3);
}

void
drain (void)
{
    struct pipeline_action action;

    while (pipeline_next (pipeline, &action)) {
        switch (action.kind) {
        case PIPELINE_REPLY:
            ck_assert_uint_lt (action.token, next_token);
            answers[action.token]++;
            answer_error[action.token] = action.error;
            answer_state[action.token] = action.state;
            snprintf (answer_text[action.token], sizeof answer_text[0], "%s",
                      action.error != 0 ? action.text : "");
            break;
        case PIPELINE_WRITE:
            ck_assert_uint_lt (write_count, WRITES);
            writes[write_count++] = action;
            break;
        case PIPELINE_COMPARE:
            compared = action;
            break;
        case PIPELINE_ABANDON:
            abandoned++;
            break;
        }
    }
}

void
teardown (void)
{
    for (uint64_t i = 0; i < next_token; i++)
        ck_assert_msg (answers[i] == 1, "request %u has %u answers", (unsigned) i, answers[i]);
    pipeline_destroy (&pipeline);
}

struct pipeline_chunk
chunk_of (uint64_t block, uint64_t offset, size_t size, bool last)
{
    struct pipeline_chunk chunk = {.block = block,
                                   .offset = offset,
                                   .data = bytes,
                                   .size = size,
                                   .crc32 = crc32_of (0, bytes, size),
                                   .last = last,
                                   .payload = bytes};

    if (offset == 0) {
        chunk.file.bytes[0] = 1;
        chunk.path = slice_str ("/a");
    }
    return chunk;
}

uint64_t
send_chunk (const struct pipeline_chunk *chunk, const struct pipeline_known *known)
{
    uint64_t token = next_token++;
    size_t before = write_count;
    bool taken = pipeline_write (pipeline, now_ms, chunk, known, token);

    drain ();
    bool wrote = write_count > before && writes[before].payload != NULL;
    ck_assert_int_eq (taken, wrote);
    return token;
}

uint64_t
put (uint64_t block, uint64_t offset, size_t size, bool last)
{
    struct pipeline_chunk chunk = chunk_of (block, offset, size, last);

    return send_chunk (&chunk, &unknown);
}

uint64_t
stat_block (uint64_t block, uint64_t wait_ms)
{
    uint64_t token = next_token++;

    pipeline_stat (pipeline, now_ms, block, wait_ms, &unknown, token);
    drain ();
    return token;
}

void
disk_writes (int number)
{
    litedfs_error_t error = {.number = number, .text = "the disk says no"};
    struct pipeline_action *action = &writes[write_done++];

    ck_assert_uint_le (write_done, write_count);
    pipeline_written (pipeline, now_ms, action->block, action->size,
                      number != 0 ? &error : NULL);
    drain ();
}

void
disk_is_durable (uint64_t block, int number)
{
    litedfs_error_t error = {.number = number, .text = "the disk says no"};

    pipeline_durable (pipeline, now_ms, block, number != 0 ? &error : NULL);
    drain ();
}

void
tick (int64_t ms)
{
    now_ms += ms;
    pipeline_tick (pipeline, now_ms);
    drain ();
}

void
assert_answer (uint64_t token, int error)
{
    ck_assert_uint_eq (answers[token], 1);
    ck_assert_msg (answer_error[token] == error, "%s: %s", err_word (answer_error[token]),
                   answer_text[token]);
}

void
assert_state (uint64_t token, enum replica_state state, uint64_t offset)
{
    assert_answer (token, 0);
    ck_assert_int_eq (answer_state[token].state, state);
    ck_assert_uint_eq (answer_state[token].offset, offset);
}
