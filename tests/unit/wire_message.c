/* SPDX-License-Identifier: MIT */
/*
 * wire/message: envelopes, versions, errors, and hostile frames through the whole
 * codec.  That every field of every message is checked is wire_schema's to show.
 */
#include "wire/message.h"

#include "wire/pack.h"

#include <string.h>

#include "unit.h"

#define TYPE(name) (&message_types[MESSAGE_##name])

static const uint8_t client[WIRE_CLIENT_SIZE] = {1, 2, 3};
static const uint8_t lease[WIRE_LEASE_SIZE] = {9, 8, 7};

/* A request with lists in lists. */
static void
encode_allocate (struct buf *out)
{
    static uint64_t nodes[] = {1, 70000, UINT32_MAX};
    static struct wire_finished done[] = {{0, 77, 1 << 20, 0xdeadbeef, nodes, 3},
                                          {1, WIRE_MAX, WIRE_MAX, 0, nodes, 1}};
    struct file_allocate_request msg;
    struct envelope envelope = {
        .id = 300, .client = slice_of (client, sizeof client), .seen = 7};
    litedfs_error_t error;

    message_request_init (TYPE (file_allocate), &msg);
    uuid_v8 (&msg.file, 5, 6);
    msg.lease = slice_of (lease, sizeof lease);
    msg.index = 2;
    msg.done = done;
    msg.done_count = 2;
    msg.suspects = nodes;
    msg.suspects_count = 2;
    ck_assert_int_eq (
        message_encode_request (out, TYPE (file_allocate), &msg, &envelope, &error), 0);
}

/* A reply with lists in lists. */
static void
encode_created (struct buf *out)
{
    static struct wire_endpoint nodes[] = {{1, {"10.0.0.1", 8}, 18002, 28002, {"a", 1}, true},
                                           {2, {"", 0}, 18003, 0, {NULL, 0}, false}};
    static struct wire_allocation blocks[] = {{0, 1, nodes, 2}, {1, 2, nodes, 1}};
    struct file_create_reply msg;
    litedfs_error_t error;

    message_reply_init (TYPE (file_create), &msg);
    uuid_v8 (&msg.file, 5, 6);
    msg.lease = slice_of (lease, sizeof lease);
    msg.block_size = 64 << 20;
    msg.blocks = blocks;
    msg.blocks_count = 2;
    ck_assert_int_eq (message_encode_reply (out, TYPE (file_create), &msg, 300, &error), 0);
}

/* ---- requests ---------------------------------------------------------------------------- */

START_TEST (absent_fields_have_their_defaults)
{
    struct file_create_request msg;
    struct directory_list_request list;
    struct file_info_reply info;

    memset (&msg, 0xff, sizeof msg);
    message_request_init (TYPE (file_create), &msg);
    ck_assert_ptr_null (msg.path.data);
    ck_assert_uint_eq (msg.size, WIRE_UNKNOWN);
    ck_assert_uint_eq (msg.replica, 1);
    ck_assert_uint_eq (msg.ttl, 60);
    ck_assert (!msg.replace);
    message_request_init (TYPE (directory_list), &list);
    ck_assert (list.files && list.directories);
    message_reply_init (TYPE (file_info), &info);
    ck_assert (uuid_is_nil (&info.file));
    ck_assert_uint_eq (info.next, WIRE_UNKNOWN);
    ck_assert_ptr_null (info.blocks);
    ck_assert_uint_eq (info.blocks_count, 0);
}
END_TEST

START_TEST (a_request_comes_back_with_its_envelope)
{
    struct buf out = {0};
    struct message *message;
    struct file_allocate_request msg;
    uint64_t id;

    encode_allocate (&out);
    ck_assert_int_eq (message_parse_request (buf_slice (&out), &message, &id, NULL), 0);
    ck_assert_uint_eq (id, 300);
    ck_assert_ptr_eq (message->type, TYPE (file_allocate));
    ck_assert (slice_equal (message->op, slice_str ("file.allocate")));
    ck_assert_uint_eq (message->envelope.id, 300);
    ck_assert_uint_eq (message->envelope.version, 1);
    ck_assert_uint_eq (message->envelope.seen, 7);
    ck_assert (slice_equal (message->envelope.client, slice_of (client, sizeof client)));

    ck_assert_int_eq (message_request_fields (message, &msg, NULL), 0);
    ck_assert_uint_eq (uuid_v8_number (&msg.file), 5);
    ck_assert (slice_equal (msg.lease, slice_of (lease, sizeof lease)));
    ck_assert_uint_eq (msg.index, 2);
    ck_assert_uint_eq (msg.count, 1);
    ck_assert_uint_eq (msg.done_count, 2);
    ck_assert_uint_eq (msg.done[0].crc32, 0xdeadbeef);
    ck_assert_uint_eq (msg.done[0].nodes_count, 3);
    ck_assert_uint_eq (msg.done[0].nodes[2], UINT32_MAX);
    ck_assert_uint_eq (msg.done[1].block, WIRE_MAX);
    ck_assert_uint_eq (msg.suspects_count, 2);
    ck_assert_uint_eq (msg.suspects[1], 70000);
    message_destroy (&message);
    ck_assert_ptr_null (message);
    message_destroy (&message);
    buf_free (&out);
}
END_TEST

static int
parse (const void *frame, size_t size, struct message **message, uint64_t *id,
       litedfs_error_t *error)
{
    *message = NULL;
    return message_parse_request (slice_of (frame, size), message, id, error);
}

#define PARSE(text) parse (text, sizeof text - 1, &message, &id, &error)

START_TEST (an_envelope_has_defaults)
{
    static const char frame[] = "\x82\xa2op\xa9lock.list\xa2id\x05";
    struct message *message;
    struct lock_list_request msg;
    litedfs_error_t error;
    uint64_t id;

    ck_assert_int_eq (PARSE (frame), 0);
    ck_assert_uint_eq (message->envelope.version, 1);
    ck_assert_uint_eq (message->envelope.seen, WIRE_UNKNOWN);
    ck_assert_ptr_null (message->envelope.client.data);
    ck_assert_int_eq (message_request_fields (message, &msg, &error), 0);
    message_destroy (&message);
}
END_TEST

START_TEST (an_unknown_op_is_parsed_and_has_no_fields)
{
    struct message *message;
    char fields[1];
    litedfs_error_t error;
    uint64_t id;

    ck_assert_int_eq (PARSE ("\x82\xa2op\xa4"
                             "bo\x1bm\xa2id\x05"),
                      0);
    ck_assert_uint_eq (id, 5);
    ck_assert_ptr_null (message->type);
    ck_assert_uint_eq (message->op.size, 4);
    ck_assert_int_eq (message_request_fields (message, fields, &error), LITEDFS_UNSUPPORTED);
    ck_assert_str_eq (error.text, "op[bo\\x1bm]: it is not known here");
    message_destroy (&message);
}
END_TEST

START_TEST (a_wrong_envelope_is_refused_with_its_id)
{
    struct message *message;
    litedfs_error_t error;
    uint64_t id;

    ck_assert_int_eq (PARSE ("\x81\xa2id\x05"), LITEDFS_INVALID);
    ck_assert_uint_eq (id, 5);
    ck_assert_str_eq (error.text,
                      "field[op]: it is missing; text of 1 to 64 bytes is expected");
    ck_assert_int_eq (PARSE ("\x82\xa2id\x05\xa2op\xa0"), LITEDFS_INVALID);
    ck_assert_int_eq (PARSE ("\x82\xa2id\x05\xa2op\x01"), LITEDFS_INVALID);
    ck_assert_uint_eq (id, 5);
    ck_assert_int_eq (PARSE ("\x81\xa2op\xa1x"), LITEDFS_INVALID);
    ck_assert_uint_eq (id, 0);
    ck_assert_str_eq (error.text, "field[id]: it is missing; an integer from 0 to "
                                  "9223372036854775807 is expected");
    ck_assert_int_eq (PARSE ("\x82\xa2op\xa1x\xa2id\xff"), LITEDFS_INVALID);
    ck_assert_int_eq (PARSE ("\x82\xa2op\xa1x\xa2id\xcf\x80\x00\x00\x00\x00\x00\x00\x00"),
                      LITEDFS_INVALID);
    ck_assert_uint_eq (id, 0);
    ck_assert_int_eq (PARSE ("\x82\xa2op\xa1x\xa2id\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), 0);
    ck_assert_uint_eq (id, WIRE_MAX);
    message_destroy (&message);
    ck_assert_int_eq (PARSE ("\x83\xa2op\xa1x\xa2id\x05\xa2id\x06"), LITEDFS_INVALID);
    ck_assert_ptr_nonnull (strstr (error.text, "field[id]: it is there twice"));
    ck_assert_int_eq (PARSE ("\x83\xa2op\xa1x\xa2id\x05\xa6"
                             "client\xc4\x02xy"),
                      LITEDFS_INVALID);
    ck_assert_str_eq (error.text,
                      "field[client]: it has 2 bytes; binary of 16 bytes is expected");
    ck_assert_int_eq (PARSE ("\x83\xa2op\xa1x\xa2id\x05\xa4seen\xff"), LITEDFS_INVALID);
    ck_assert_int_eq (PARSE ("\x91\xc0"), LITEDFS_INVALID);
    ck_assert_str_eq (error.text, "message: it is a list; a map is expected");
    ck_assert_int_eq (PARSE ("\x80\x80"), LITEDFS_INVALID);
    ck_assert_ptr_null (message);
}
END_TEST

START_TEST (other_versions_are_told_which_are_spoken)
{
    struct message *message;
    litedfs_error_t error;
    uint64_t id;

    ck_assert_int_eq (PARSE ("\x82\xa2id\x05\xa1v\x02"), LITEDFS_UNSUPPORTED_VERSION);
    ck_assert_uint_eq (id, 5);
    ck_assert_int_eq (error.number, LITEDFS_UNSUPPORTED_VERSION);
    ck_assert_str_eq (error.text, "field[v]: version 2 is not spoken here; min 1, max 1");
    ck_assert_int_eq (PARSE ("\x82\xa2id\x05\xa1v\x00"), LITEDFS_UNSUPPORTED_VERSION);
    ck_assert_int_eq (PARSE ("\x83\xa2op\xa1x\xa2id\x05\xa1v\xa1x"), LITEDFS_INVALID);
    ck_assert_int_eq (PARSE ("\x83\xa2op\xa1x\xa2id\x05\xa1v\x01"), 0);
    message_destroy (&message);
}
END_TEST

START_TEST (wrong_fields_are_named_with_their_op)
{
    struct message *message;
    struct directory_create_request msg;
    litedfs_error_t error;
    uint64_t id;

    ck_assert_int_eq (PARSE ("\x82\xa2op\xb0"
                             "directory.create\xa2id\x05"),
                      0);
    ck_assert_int_eq (message_request_fields (message, &msg, &error), LITEDFS_INVALID);
    ck_assert_str_eq (
        error.text,
        "directory.create: field[path]: it is missing; text of 1 to 4096 bytes is expected");
    message_destroy (&message);
}
END_TEST

START_TEST (a_refused_struct_leaves_the_buffer_as_it_was)
{
    struct buf out = {0};
    struct directory_create_request msg;
    struct envelope envelope = {.id = 1, .seen = WIRE_UNKNOWN};
    litedfs_error_t error;

    buf_put (&out, "before", 6);
    message_request_init (TYPE (directory_create), &msg);
    ck_assert_int_eq (
        message_encode_request (&out, TYPE (directory_create), &msg, &envelope, &error),
        LITEDFS_INVALID);
    ck_assert_str_eq (error.text, "directory.create: field[path]: it has 0 bytes; text of 1 to "
                                  "4096 bytes is expected");
    msg.path = slice_str ("/a");
    envelope.id = (uint64_t) WIRE_MAX + 1;
    ck_assert_int_eq (
        message_encode_request (&out, TYPE (directory_create), &msg, &envelope, &error),
        LITEDFS_INVALID);
    envelope.id = 1;
    envelope.client = slice_of (client, 15);
    ck_assert_int_eq (
        message_encode_request (&out, TYPE (directory_create), &msg, &envelope, &error),
        LITEDFS_INVALID);
    ck_assert_uint_eq (out.size, 6);
    out.failed = true;
    envelope.client = slice_of (NULL, 0);
    ck_assert_int_eq (
        message_encode_request (&out, TYPE (directory_create), &msg, &envelope, &error),
        LITEDFS_MEMORY);
    buf_free (&out);
}
END_TEST

/* ---- replies ----------------------------------------------------------------------------- */

START_TEST (a_reply_comes_back)
{
    struct buf out = {0};
    struct message *message;
    struct file_create_reply msg;

    encode_created (&out);
    ck_assert_int_eq (message_parse_reply (buf_slice (&out), &message, NULL), 0);
    ck_assert (message->ok);
    ck_assert_uint_eq (message->envelope.id, 300);
    ck_assert_int_eq (message_reply_fields (message, TYPE (file_create), &msg, NULL), 0);
    ck_assert_uint_eq (msg.blocks_count, 2);
    ck_assert_uint_eq (msg.blocks[0].nodes_count, 2);
    ck_assert (slice_equal (msg.blocks[0].nodes[0].host, slice_str ("10.0.0.1")));
    ck_assert_uint_eq (msg.blocks[0].nodes[1].host.size, 0);
    ck_assert_ptr_nonnull (msg.blocks[0].nodes[1].host.data);
    ck_assert_ptr_null (msg.blocks[0].nodes[1].zone.data);
    ck_assert (msg.blocks[0].nodes[0].online);
    ck_assert (!msg.blocks[0].nodes[1].online);
    message_destroy (&message);
    buf_free (&out);
}
END_TEST

START_TEST (an_error_comes_back_as_number_and_text)
{
    struct buf out = {0};
    struct message *message;

    message_encode_error (&out, 9, LITEDFS_NOT_FOUND, "file[/a]: no such file");
    ck_assert_int_eq (message_parse_reply (buf_slice (&out), &message, NULL), 0);
    ck_assert (!message->ok);
    ck_assert_uint_eq (message->envelope.id, 9);
    ck_assert_int_eq (message->error.number, LITEDFS_NOT_FOUND);
    ck_assert_str_eq (message->error.text, "file[/a]: no such file");
    message_destroy (&message);
    buf_clear (&out);
    message_encode_error (&out, 9, LITEDFS_BUSY, NULL);
    ck_assert_int_eq (message_parse_reply (buf_slice (&out), &message, NULL), 0);
    ck_assert_str_eq (message->error.text, "too much is under way; try again");
    message_destroy (&message);
    buf_free (&out);
}
END_TEST

#define PARSE_REPLY(text)                                                                      \
    message_parse_reply (slice_of (text, sizeof text - 1), &message, &error)

START_TEST (errors_of_strangers_are_safe_to_print)
{
    struct message *message;
    litedfs_error_t error;

    ck_assert_int_eq (PARSE_REPLY ("\x84\xa2id\x05\xa2ok\xc2\xa5"
                                   "error\xa5world\xa7message\xa5"
                                   "a\x1b[0m"),
                      0);
    ck_assert_int_eq (message->error.number, LITEDFS_FAILED);
    ck_assert_str_eq (message->error.text, "a\\x1b[0m");
    message_destroy (&message);

    struct buf out = {0};
    char *text = calloc (1, 100001);
    memset (text, 'x', 100000);
    message_encode_error (&out, 1, LITEDFS_IO, text);
    ck_assert_int_eq (message_parse_reply (buf_slice (&out), &message, &error), 0);
    ck_assert_uint_eq (strlen (message->error.text), sizeof message->error.text - 1);
    message_destroy (&message);
    free (text);
    buf_free (&out);
}
END_TEST

START_TEST (wrong_replies_are_refused)
{
    struct message *message = NULL;
    litedfs_error_t error;

    ck_assert_int_eq (PARSE_REPLY ("\x80"), LITEDFS_INVALID);
    ck_assert_int_eq (PARSE_REPLY ("\x81\xa2ok\xc3"), LITEDFS_INVALID);
    ck_assert_int_eq (PARSE_REPLY ("\x81\xa2id\x01"), LITEDFS_INVALID);
    ck_assert_str_eq (error.text, "reply: field[ok]: it is missing; true or false is expected");
    ck_assert_int_eq (PARSE_REPLY ("\x82\xa2id\x01\xa2ok\x01"), LITEDFS_INVALID);
    ck_assert_int_eq (PARSE_REPLY ("\x82\xa2id\x01\xa2ok\xc2"), LITEDFS_INVALID);
    ck_assert_ptr_nonnull (strstr (error.text, "field[error]"));
    ck_assert_int_eq (PARSE_REPLY ("\x90"), LITEDFS_INVALID);
    ck_assert_ptr_null (message);

    struct file_renew_reply msg;
    ck_assert_int_eq (PARSE_REPLY ("\x82\xa2id\x01\xa2ok\xc3"), 0);
    ck_assert_int_eq (message_reply_fields (message, TYPE (file_renew), &msg, &error),
                      LITEDFS_INVALID);
    ck_assert_str_eq (error.text,
                      "reply to file.renew: field[ttl]: it is missing; an integer from "
                      "0 to 86400 is expected");
    message_destroy (&message);
}
END_TEST

/* ---- hostile frames ---------------------------------------------------------------------- */

/* Take a frame apart as far as it goes, in a copy of exactly its size: as a request, as a
 * reply to each type.  Whether it was taken as a request. */
static bool
take (const uint8_t *bytes, size_t size)
{
    uint8_t *copy = calloc (1, size ? size : 1);
    union {
#define REQUEST(name, op, from, to, effect) struct name##_request name##_request;
#define REPLY(name) struct name##_reply name##_reply;
#include "wire/messages.def"
    } fields;
    struct message *message;
    litedfs_error_t error;
    uint64_t id;
    bool taken = false;

    memcpy (copy, bytes, size);
    if (message_parse_request (slice_of (copy, size), &message, &id, &error) == 0) {
        taken = message_request_fields (message, &fields, &error) == 0;
        ck_assert_uint_le (message->arena.used, (64u << 10) + 16 * size);
        message_destroy (&message);
    }
    if (message_parse_reply (slice_of (copy, size), &message, &error) == 0) {
        for (size_t i = 0; message->ok && i < MESSAGE_COUNT; i++)
            message_reply_fields (message, &message_types[i], &fields, &error);
        message_destroy (&message);
    }
    free (copy);
    return taken;
}

START_TEST (frames_cut_at_any_byte_are_refused)
{
    struct buf out = {0};

    encode_allocate (&out);
    ck_assert (take (out.data, out.size));
    for (size_t size = 0; size < out.size; size++)
        ck_assert (!take (out.data, size));
    buf_put_u8 (&out, 0xc0);
    ck_assert (!take (out.data, out.size));
    buf_clear (&out);
    encode_created (&out);
    for (size_t size = 0; size <= out.size; size++)
        take (out.data, size);
    buf_free (&out);
}
END_TEST

START_TEST (frames_with_any_byte_changed_do_no_harm)
{
    struct buf out = {0};

    for (int which = 0; which < 2; which++) {
        buf_clear (&out);
        if (which == 0)
            encode_allocate (&out);
        else
            encode_created (&out);
        for (size_t at = 0; at < out.size; at++) {
            uint8_t was = out.data[at];
            for (unsigned value = 0; value < 256; value += which == 0 ? 1 : 7) {
                out.data[at] = (uint8_t) value;
                take (out.data, out.size);
            }
            out.data[at] = was;
        }
    }
    buf_free (&out);
}
END_TEST

/* A list of 65,000 empty maps in a field that takes 64, or 4,096, of large structs. */
START_TEST (lists_take_no_more_than_their_frame_justifies)
{
    static const char head[] = "\x84\xa2op\xabnode.report\xa2id\x05\xa4node\x01\xa7"
                               "changes\xdc";
    struct buf out = {0};
    struct message *message;
    struct node_report_request msg;
    litedfs_error_t error;
    uint64_t id;

    for (int which = 0; which < 2; which++) {
        unsigned count = which == 0 ? 4096 : 4097;
        buf_clear (&out);
        buf_put (&out, head, sizeof head - 1);
        buf_put_u8 (&out, (uint8_t) (count >> 8));
        buf_put_u8 (&out, (uint8_t) count);
        for (unsigned i = 0; i < count; i++)
            buf_put_u8 (&out, 0x80);
        ck_assert_int_eq (parse (out.data, out.size, &message, &id, &error), 0);
        ck_assert_int_eq (message_request_fields (message, &msg, &error), LITEDFS_INVALID);
        ck_assert_str_eq (error.text,
                          which == 0 ? "node.report: field[changes]: its elements are empty; a "
                                       "list of at most 4096 maps is expected"
                                     : "node.report: field[changes]: it has 4097 elements; a "
                                       "list of at most 4096 maps is expected");
        ck_assert_uint_eq (message->arena.used, 0);
        message_destroy (&message);
    }
    buf_free (&out);
}
END_TEST

/* ---- sizes ------------------------------------------------------------------------------- */

START_TEST (the_size_of_a_record_is_what_it_adds_to_a_reply)
{
    struct wire_entry entries[] = {{.kind = KIND_FILE,
                                    .name = {"a", 1},
                                    .size = 70000,
                                    .replica = 2,
                                    .ctime = 1,
                                    .mtime = 2},
                                   {.kind = KIND_DIRECTORY,
                                    .name = {"directory", 9},
                                    .files = 3,
                                    .directories = WIRE_MAX}};
    struct directory_list_reply msg;
    struct buf out = {0};
    size_t sizes[3];

    uuid_v8 (&entries[0].id, 1, 2);
    for (size_t count = 0; count < 3; count++) {
        buf_clear (&out);
        message_reply_init (TYPE (directory_list), &msg);
        msg.entries = entries;
        msg.entries_count = count;
        ck_assert_int_eq (message_encode_reply (&out, TYPE (directory_list), &msg, 1, NULL), 0);
        sizes[count] = out.size;
    }
    ck_assert_uint_eq (message_record_size (TYPE (directory_list), "entries", &entries[0]),
                       sizes[1] - sizes[0]);
    ck_assert_uint_eq (message_record_size (TYPE (directory_list), "entries", &entries[1]),
                       sizes[2] - sizes[1]);
    entries[0].name.size = 0;
    ck_assert_uint_eq (message_record_size (TYPE (directory_list), "entries", &entries[0]), 0);
    ck_assert_uint_eq (message_record_size (TYPE (directory_list), "total", &entries[1]), 0);
    ck_assert_uint_eq (message_record_size (TYPE (directory_list), "nothing", &entries[1]), 0);
    buf_free (&out);
}
END_TEST

UNIT_MAIN ("wire_message", absent_fields_have_their_defaults,
           a_request_comes_back_with_its_envelope, an_envelope_has_defaults,
           an_unknown_op_is_parsed_and_has_no_fields, a_wrong_envelope_is_refused_with_its_id,
           other_versions_are_told_which_are_spoken, wrong_fields_are_named_with_their_op,
           a_refused_struct_leaves_the_buffer_as_it_was, a_reply_comes_back,
           an_error_comes_back_as_number_and_text, errors_of_strangers_are_safe_to_print,
           wrong_replies_are_refused, frames_cut_at_any_byte_are_refused,
           frames_with_any_byte_changed_do_no_harm,
           lists_take_no_more_than_their_frame_justifies,
           the_size_of_a_record_is_what_it_adds_to_a_reply)
