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
struct pipeline_replica answer_lines[TOKENS][LINES];
size_t answer_count[TOKENS];
struct pipeline_action writes[WRITES];
size_t write_count;
size_t write_done;
struct pipeline_action compared;
struct pipeline_action reading;
struct pipeline_action copied;
unsigned copied_count;
unsigned abandoned;
struct sent_chunk forwards[SENT];
size_t forward_count;
struct sent_ack acks[SENT];
size_t ack_count;
uint32_t passed[SENT];
int passed_error[SENT];
size_t passed_count;

static char payloads[TOKENS]; // 0: not ours; 1: taken; 2: back
static size_t next_payload;

void
make_pipeline (uint64_t memory)
{
    struct pipeline_limits limits = {.memory = memory,
                                     .write_timeout_ms = WRITE_TIMEOUT_MS,
                                     .pipeline_timeout_ms = PIPELINE_TIMEOUT_MS};

    pipeline_destroy (&pipeline);
    pipeline = pipeline_new (&limits);
    ck_assert_ptr_nonnull (pipeline);
    pipeline_set_node (pipeline, SELF);
}

void
setup (void)
{
    make_pipeline (36 * MIB);
    now_ms = 1000000;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) (i * 131 >> 3);
}

static void
on_reply (const struct pipeline_action *action)
{
    ck_assert_uint_lt (action->token, next_token);
    answers[action->token]++;
    answer_error[action->token] = action->error;
    answer_state[action->token] = action->state;
    snprintf (answer_text[action->token], sizeof answer_text[0], "%s",
              action->error != 0 ? action->text : "");
    if (action->error != 0)
        return;
    ck_assert_uint_ge (action->replica_count, 1);
    ck_assert_uint_eq (action->replicas[0].node, SELF);
    answer_count[action->token] = action->replica_count;
    for (size_t i = 0; i < action->replica_count && i < LINES; i++)
        answer_lines[action->token][i] = action->replicas[i];
}

static void
on_sent (const struct pipeline_action *action)
{
    if (action->kind == PIPELINE_FORWARD) {
        struct sent_chunk *sent = &forwards[forward_count++ % SENT];
        sent->action = *action;
        for (size_t i = 0; i < action->chain_count; i++)
            sent->chain[i] = action->chain[i];
        ck_assert (action->size == 0 || payloads[(char *) action->payload - payloads] == 1);
    } else if (action->kind == PIPELINE_ACK) {
        struct sent_ack *sent = &acks[ack_count++ % SENT];
        sent->action = *action;
        for (size_t i = 0; i < action->replica_count; i++)
            sent->replicas[i] = action->replicas[i];
    } else {
        passed_error[passed_count % SENT] = action->error;
        passed[passed_count++ % SENT] = action->node;
    }
}

void
drain (void)
{
    struct pipeline_action action;

    while (pipeline_next (pipeline, &action)) {
        switch (action.kind) {
        case PIPELINE_REPLY:
            on_reply (&action);
            break;
        case PIPELINE_WRITE:
            ck_assert_uint_lt (write_count, WRITES);
            writes[write_count++] = action;
            break;
        case PIPELINE_FORWARD:
        case PIPELINE_ACK:
        case PIPELINE_PASSED:
            on_sent (&action);
            break;
        case PIPELINE_RELEASE:
            ck_assert_int_eq (*(char *) action.payload, 1);
            *(char *) action.payload = 2;
            break;
        case PIPELINE_COMPARE:
            compared = action;
            break;
        case PIPELINE_ABANDON:
            abandoned++;
            break;
        case PIPELINE_READ:
            reading = action;
            break;
        case PIPELINE_COPIED:
            copied = action;
            copied_count++;
            break;
        }
    }
}

/* Every request has one answer, every payload is back. */
static void
check_all (void)
{
    pipeline_forget (pipeline, now_ms, BLOCK);
    drain ();
    for (uint64_t i = 0; i < next_token; i++)
        ck_assert_msg (answers[i] == 1, "request %u has %u answers", (unsigned) i, answers[i]);
    pipeline_stop (pipeline);
    drain ();
    for (size_t i = 0; i < next_payload; i++)
        ck_assert_msg (payloads[i] != 1, "payload %u is not back", (unsigned) i);
}

void
forget_all (void)
{
    check_all ();
    memset (answers, 0, sizeof answers);
    memset (payloads, 0, sizeof payloads);
    next_token = next_payload = 0;
    write_count = write_done = forward_count = ack_count = passed_count = 0;
    abandoned = copied_count = 0;
}

void
teardown (void)
{
    check_all ();
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
                                   .payload = &payloads[next_payload++]};

    ck_assert_uint_le (next_payload, TOKENS);
    if (offset == 0) {
        chunk.file.bytes[0] = 1;
        chunk.path = slice_str ("/a");
    }
    return chunk;
}

void *
new_payload (void)
{
    ck_assert_uint_lt (next_payload, TOKENS);
    return &payloads[next_payload++];
}

void
payload_taken (void *payload, bool taken)
{
    char *state = payload;

    // What was taken may be back already.
    ck_assert_int_eq (*state, 0);
    if (taken)
        *state = 1;
}

uint64_t
send_chunk (const struct pipeline_chunk *chunk, const struct pipeline_known *known)
{
    uint64_t token = chunk->from == 0 ? next_token++ : 0;

    payload_taken (chunk->payload, pipeline_write (pipeline, now_ms, chunk, known, token));
    drain ();
    return token;
}

uint64_t
put_chain (const uint64_t *chain, uint64_t offset, size_t size, bool last)
{
    struct pipeline_chunk chunk = chunk_of (BLOCK, offset, size, last);

    chunk.chain = chain;
    while (chain[chunk.chain_count] != 0)
        chunk.chain_count++;
    return send_chunk (&chunk, &unknown);
}

void
put_from (uint32_t from, const uint64_t *chain, uint64_t offset, size_t size, bool last)
{
    struct pipeline_chunk chunk = chunk_of (BLOCK, offset, size, last);

    chunk.from = from;
    chunk.chain = chain;
    while (chain[chunk.chain_count] != 0)
        chunk.chain_count++;
    send_chunk (&chunk, &unknown);
}

void
take_ack (int failure, uint64_t credit, const struct pipeline_replica *replicas, size_t count)
{
    struct pipeline_ack ack = {.block = BLOCK,
                               .from = replicas[0].node,
                               .credit = credit,
                               .replicas = replicas,
                               .replica_count = count,
                               .failure = failure,
                               .why = "it says no"};

    pipeline_acked (pipeline, now_ms, &ack);
    drain ();
}

void
lose (uint32_t node)
{
    pipeline_node_lost (pipeline, now_ms, node);
    drain ();
}

const struct pipeline_action *
last_forward (void)
{
    ck_assert_uint_gt (forward_count, 0);
    return &forwards[(forward_count - 1) % SENT].action;
}

const struct sent_ack *
last_ack (void)
{
    ck_assert_uint_gt (ack_count, 0);
    return &acks[(ack_count - 1) % SENT];
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

void
assert_line (uint64_t token, size_t line, uint32_t node, enum replica_state state,
             uint64_t offset)
{
    ck_assert_uint_lt (line, answer_count[token]);
    ck_assert_uint_eq (answer_lines[token][line].node, node);
    ck_assert_int_eq (answer_lines[token][line].state, state);
    ck_assert_uint_eq (answer_lines[token][line].offset, offset);
}

void
assert_forward (size_t count, uint32_t node, uint64_t from, uint64_t to, bool last)
{
    ck_assert_uint_eq (forward_count, count);
    ck_assert_uint_eq (last_forward ()->node, node);
    ck_assert_uint_eq (last_forward ()->offset, from);
    ck_assert_uint_eq (last_forward ()->offset + last_forward ()->size, to);
    ck_assert_int_eq (last_forward ()->last, last);
}
