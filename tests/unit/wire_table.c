/* SPDX-License-Identifier: MIT */
/*
 * wire/messages.def as the codec's tables have it: ops, words, keys, and the bounds that the
 * rest of the codec relies on.
 */
#include "wire/message.h"

#include "wire/schema.h"

#include <string.h>

#include "unit.h"

#define TYPE(name) (&message_types[MESSAGE_##name])

START_TEST (each_op_finds_its_row)
{
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        const struct message_type *type = &message_types[i];
        ck_assert_uint_eq (type->number, i);
        ck_assert_ptr_eq (message_find (slice_str (type->op)), type);
        ck_assert_ptr_null (message_find (slice_of (type->op, strlen (type->op) + 1)));
        ck_assert_ptr_null (message_find (slice_of (type->op, strlen (type->op) - 1)));
    }
    ck_assert_ptr_null (message_find (slice_str ("")));
    ck_assert_ptr_null (message_find (slice_str ("directory.explode")));
    ck_assert_str_eq (TYPE (file_create)->op, "file.create");
    ck_assert_int_eq (TYPE (file_create)->effect, EFFECT_MUTATES);
    ck_assert_int_eq (TYPE (node_report)->from, PEER_NODE);
    ck_assert_int_eq (TYPE (block_read)->to, PEER_NODE);
    ck_assert_int_eq (TYPE (chain_write)->effect, EFFECT_PUSHED);
}
END_TEST

START_TEST (words_stand_where_their_numbers_say)
{
    ck_assert_str_eq (words_kind[KIND_DIRECTORY], "directory");
    ck_assert_str_eq (words_kind[KIND_FILE], "file");
    ck_assert_str_eq (words_node_status[NODE_OFFLINE], "offline");
    ck_assert_str_eq (words_node_status[NODE_ONLINE], "online");
    ck_assert_str_eq (words_duty[DUTY_SERVE], "serve");
    ck_assert_str_eq (words_duty[DUTY_DRAIN], "drain");
    ck_assert_str_eq (words_duty[DUTY_REMOVED], "removed");
    ck_assert_ptr_null (words_duty[DUTY_REMOVED + 1]);
    ck_assert_str_eq (words_change_kind[CHANGE_ADDED], "added");
    ck_assert_str_eq (words_change_kind[CHANGE_REMOVED], "removed");
    ck_assert_str_eq (words_change_kind[CHANGE_DAMAGED], "damaged");
    ck_assert_str_eq (words_order_kind[ORDER_DELETE], "delete");
    ck_assert_str_eq (words_order_kind[ORDER_COPY], "copy");
    ck_assert_ptr_null (words_order_kind[ORDER_COPY + 1]);
    ck_assert_str_eq (words_check_state[CHECK_HEALTHY], "healthy");
    ck_assert_str_eq (words_check_state[CHECK_OVER], "over_replicated");
    ck_assert_str_eq (words_check_state[CHECK_UNDER], "under_replicated");
    ck_assert_str_eq (words_check_state[CHECK_AWAY], "away");
    ck_assert_str_eq (words_check_state[CHECK_MISSING], "missing");
    ck_assert_str_eq (words_check_state[CHECK_CORRUPT], "corrupt");
    ck_assert_str_eq (words_check_state[CHECK_ORPHANED], "orphaned");
    ck_assert_ptr_null (words_check_state[CHECK_STATES]);
    ck_assert_str_eq (words_standing[STANDING_LIVE], "live");
    ck_assert_str_eq (words_standing[STANDING_EXCUSED], "excused");
    ck_assert_str_eq (words_standing[STANDING_LEAVING], "leaving");
    ck_assert_str_eq (words_standing[STANDING_DENIED], "denied");
    ck_assert_str_eq (words_standing[STANDING_GONE], "gone");
    ck_assert_ptr_null (words_standing[STANDING_GONE + 1]);
    ck_assert_str_eq (words_awaits[AWAITS_TURN], "turn");
    ck_assert_str_eq (words_awaits[AWAITS_RETURN], "return");
    ck_assert_str_eq (words_awaits[AWAITS_NODE], "node");
    ck_assert_str_eq (words_awaits[AWAITS_NOTHING], "nothing");
    ck_assert_ptr_null (words_awaits[AWAITS_NOTHING + 1]);
    ck_assert_str_eq (words_replica_state[REPLICA_UNKNOWN], "unknown");
    ck_assert_str_eq (words_replica_state[REPLICA_RECEIVING], "receiving");
    ck_assert_str_eq (words_replica_state[REPLICA_SYNCING], "syncing");
    ck_assert_str_eq (words_replica_state[REPLICA_DURABLE], "durable");
    ck_assert_str_eq (words_replica_state[REPLICA_FAILED], "failed");
    ck_assert_str_eq (words_replica_state[REPLICA_RELAY], "relay");
    ck_assert_ptr_null (words_replica_state[REPLICA_RELAY + 1]);
}
END_TEST

/* The least that a struct takes on the wire. */
static size_t
least_size (const struct schema *schema)
{
    const struct layout *layout = schema->layout ();
    size_t size = 1;

    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        if (!field->required)
            continue;
        size += 1 + field->key_size + 1;
        if (field->type == FIELD_TEXT || field->type == FIELD_BYTES)
            size += field->min;
        else if (field->type == FIELD_ID)
            size += 37;
    }
    return size;
}

START_TEST (no_record_takes_16_times_the_memory_that_it_takes_on_the_wire)
{
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        const struct schema *both[] = {message_types[i].request, message_types[i].reply};
        for (int side = 0; side < 2; side++) {
            const struct layout *layout = both[side]->layout ();
            for (size_t f = 0; f < layout->count; f++)
                if (layout->fields[f].type == FIELD_LIST)
                    ck_assert_uint_le (layout->fields[f].record->layout ()->size + 16,
                                       16 * least_size (layout->fields[f].record));
        }
    }
}
END_TEST

static void
check_layout (const struct schema *schema)
{
    const struct layout *layout = schema->layout ();

    ck_assert_uint_le (layout->count, 64);
    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        ck_assert_uint_eq (field->key_size, strlen (field->key));
        ck_assert_uint_le (field->min, field->max);
        if (field->type == FIELD_UINT)
            ck_assert_uint_le (field->max, WIRE_MAX);
        for (size_t other = 0; other < i; other++)
            ck_assert_str_ne (field->key, layout->fields[other].key);
        ck_assert_ptr_eq (schema_find (schema, field->key), field);
        if (field->type == FIELD_LIST)
            check_layout (field->record);
    }
    ck_assert_ptr_null (schema_find (schema, "no_such_key"));
}

START_TEST (keys_are_unique_and_not_those_of_the_envelope)
{
    static const char *const request_keys[] = {"op", "id", "v", "client", "seen"};
    static const char *const reply_keys[] = {"id", "ok", "error", "message"};

    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        check_layout (message_types[i].request);
        check_layout (message_types[i].reply);
        for (size_t k = 0; k < sizeof request_keys / sizeof *request_keys; k++)
            ck_assert_ptr_null (schema_find (message_types[i].request, request_keys[k]));
        for (size_t k = 0; k < sizeof reply_keys / sizeof *reply_keys; k++)
            ck_assert_ptr_null (schema_find (message_types[i].reply, reply_keys[k]));
    }
}
END_TEST

START_TEST (the_description_has_every_field)
{
    struct buf out = {0};

    message_describe (&out);
    const char *text = buf_text (&out);
    ck_assert_ptr_nonnull (strstr (text, "file.create\top\tclient\tname\tmutates\n"));
    ck_assert_ptr_nonnull (
        strstr (text, "file.create\trequest\tttl\tinteger\toptional\t1..86400\t60\n"));
    ck_assert_ptr_nonnull (
        strstr (text, "file.create\treply\tblocks\tlist of allocation\trequired\t0..8\t-\n"));
    ck_assert_ptr_nonnull (
        strstr (text, "entry\trecord\tkind\tword\trequired\tdirectory|file\t-\n"));
    ck_assert_ptr_nonnull (
        strstr (text, "request\tenvelope\tid\tinteger\trequired\t0..max\t-\n"));
    buf_free (&out);
}
END_TEST

UNIT_MAIN ("wire_table", each_op_finds_its_row, words_stand_where_their_numbers_say,
           no_record_takes_16_times_the_memory_that_it_takes_on_the_wire,
           keys_are_unique_and_not_those_of_the_envelope, the_description_has_every_field)
