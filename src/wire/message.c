/* SPDX-License-Identifier: MIT */
/*
 * The table of messages, made from messages.def, and what goes round their fields: the envelope
 * of requests and replies, errors, and the search for an op.  The fields themselves are
 * schema.c's.
 *
 * messages.def is included three times here: for the layouts of all structs, for the table, and
 * for the list of records.  The envelopes are layouts too, so that their keys obey the same
 * rules.
 */
#include "wire/message.h"

#include "base/text.h"
#include "wire/pack.h"
#include "wire/schema.h"

#include <stdlib.h>
#include <string.h>

#define OP_MAX 64         // bytes of an op's name
#define ERROR_WORD_MAX 64 // bytes of an error's word

/* Decoded lists take at most this much, and so many times the frame: see struct wire_entry, and
 * arrays of numbers of one byte. */
#define ARENA_FREE ((size_t) 64 << 10)
#define ARENA_FACTOR 16

const char *const words_kind[] = {"directory", "file", NULL};
const char *const words_node_status[] = {"offline", "online", NULL};
const char *const words_duty[] = {"serve", "drain", "removed", NULL};
const char *const words_balance_set[] = {"keep", "on", "off", NULL};
const char *const words_change_kind[] = {"added", "removed", "damaged", NULL};
const char *const words_order_kind[] = {"delete", "copy", NULL};
const char *const words_check_state[] = {
    "healthy", "over_replicated", "under_replicated", "away",
    "missing", "corrupt",         "orphaned",         NULL};
const char *const words_standing[] = {"live",    "away",   "excused", "leaving",
                                      "claimed", "denied", "gone",    NULL};
const char *const words_awaits[] = {"turn",   "settling", "copy",    "confirmation",
                                    "return", "source",   "busy",    "room",
                                    "node",   "deletion", "nothing", NULL};
const char *const words_replica_state[] = {"unknown", "receiving", "syncing", "durable",
                                           "failed",  "relay",     NULL};

/* ---- layouts ----------------------------------------------------------------------------- */

enum need { OPTIONAL, REQUIRED };

/* A function that has the layout of one struct; within it, T is the struct. */
#define LAYOUT(name, struct_name)                                                              \
    static const struct layout *name##_layout (void)                                           \
    {                                                                                          \
        typedef struct struct_name T;                                                          \
        static const struct field fields[] = {
#define END_LAYOUT(name, text)                                                                 \
    {                                                                                          \
        .key = NULL                                                                            \
    }                                                                                          \
    }                                                                                          \
    ;                                                                                          \
    static const struct layout layout = {fields, sizeof fields / sizeof *fields - 1,           \
                                         sizeof (T)};                                          \
    return &layout;                                                                            \
    }                                                                                          \
    static const struct schema name##_schema = {text, name##_layout};

#define FIELD(type_, name_, need_, ...)                                                        \
    {.key = #name_,                                                                            \
     .key_size = sizeof #name_ - 1,                                                            \
     .type = type_,                                                                            \
     .required = need_,                                                                        \
     .offset = offsetof (T, name_),                                                            \
     __VA_ARGS__},
#define UINT(key, min_, max_, need, fallback_)                                                 \
    FIELD (FIELD_UINT, key, need, .min = min_, .max = max_, .fallback = fallback_)
#define BOOL(key, need, fallback_) FIELD (FIELD_BOOL, key, need, .fallback = fallback_)
#define TEXT(key, min_, max_, need) FIELD (FIELD_TEXT, key, need, .min = min_, .max = max_)
#define BYTES(key, min_, max_, need) FIELD (FIELD_BYTES, key, need, .min = min_, .max = max_)
#define ID(key, need) FIELD (FIELD_ID, key, need, .fallback = 0)
#define WORD(key, set, need, fallback_)                                                        \
    FIELD (FIELD_WORD, key, need, .words = words_##set, .fallback = fallback_)
#define UINTS(key, max_, need)                                                                 \
    FIELD (FIELD_UINTS, key, need, .count_offset = offsetof (T, key##_count), .max = max_)
#define LIST(key, element, max_, need)                                                         \
    FIELD (FIELD_LIST, key, need, .count_offset = offsetof (T, key##_count), .max = max_,      \
           .record = &record_##element##_schema)

/* What stands before a request's own fields and before a reply's. */
struct request_head {
    struct slice op;
    uint64_t id;
    uint64_t v;
    struct slice client;
    uint64_t seen;
};

struct reply_head {
    uint64_t id;
    bool ok;
    struct slice error;
    struct slice message;
};

/* clang-format off */
LAYOUT (request_head, request_head)
    TEXT (op, 1, OP_MAX, REQUIRED)
    UINT (id, 0, WIRE_MAX, REQUIRED, 0)
    UINT (v, 0, WIRE_MAX, OPTIONAL, 1)
    BYTES (client, WIRE_CLIENT_SIZE, WIRE_CLIENT_SIZE, OPTIONAL)
    UINT (seen, 0, WIRE_MAX, OPTIONAL, WIRE_UNKNOWN)
END_LAYOUT (request_head, "request")

LAYOUT (reply_head, reply_head)
    UINT (id, 0, WIRE_MAX, REQUIRED, 0)
    BOOL (ok, REQUIRED, false)
    TEXT (error, 1, ERROR_WORD_MAX, OPTIONAL)
    TEXT (message, 0, PACK_FRAME_MAX, OPTIONAL)
END_LAYOUT (reply_head, "reply")

#define RECORD(name) LAYOUT (record_##name, wire_##name)
#define END_RECORD(name) END_LAYOUT (record_##name, #name)
#define REQUEST(name, op, from, to, effect)                                                    \
    static const char name##_op[] = op;                                                        \
    LAYOUT (name##_request, name##_request)
#define REPLY(name)                                                                            \
    END_LAYOUT (name##_request, name##_op)                                                     \
    LAYOUT (name##_reply, name##_reply)
#define END(name) END_LAYOUT (name##_reply, name##_op)
#include "wire/messages.def"

/* ---- tables ------------------------------------------------------------------------------ */

const struct message_type message_types[MESSAGE_COUNT] = {
#define REQUEST(name, op, from, to, effect)                                                    \
    {op, MESSAGE_##name, PEER_##from, PEER_##to, EFFECT_##effect, &name##_request_schema,      \
     &name##_reply_schema},
#include "wire/messages.def"
};

static const size_t op_sizes[MESSAGE_COUNT] = {
#define REQUEST(name, op, from, to, effect) sizeof op - 1,
#include "wire/messages.def"
};

static const struct schema *const records[] = {
#define RECORD(name) &record_##name##_schema,
#include "wire/messages.def"
};
/* clang-format on */

const struct message_type *
message_find (struct slice op)
{
    for (size_t i = 0; i < MESSAGE_COUNT; i++)
        if (op_sizes[i] == op.size && memcmp (message_types[i].op, op.data, op.size) == 0)
            return &message_types[i];
    return NULL;
}

void
message_request_init (const struct message_type *type, void *fields)
{
    schema_init (type->request, fields);
}

void
message_reply_init (const struct message_type *type, void *fields)
{
    schema_init (type->reply, fields);
}

/* ---- parsing ----------------------------------------------------------------------------- */

/* A message and what msgpack-c unpacked, in one allocation. */
struct parsed {
    struct message message;
    msgpack_unpacked unpacked;
};

static const msgpack_object_map *
map_of (const struct message *message)
{
    const msgpack_unpacked *unpacked = message->unpacked;

    return &unpacked->data.via.map;
}

/* Unpack the frame, which must be one map. */
static int
parse (struct slice frame, size_t objects_max, struct message **out, litedfs_error_t *error)
{
    struct parsed *parsed = calloc (1, sizeof *parsed);
    if (!parsed)
        return err_set (error, LITEDFS_MEMORY, "message: no memory to parse it");

    int result = pack_unpack (frame, objects_max, &parsed->unpacked, error);
    if (result < 0) {
        free (parsed);
        return result;
    }
    parsed->message.unpacked = &parsed->unpacked;
    parsed->message.frame = frame;
    parsed->message.arena.limit = ARENA_FREE + ARENA_FACTOR * frame.size;
    *out = &parsed->message;
    if (parsed->unpacked.data.type == MSGPACK_OBJECT_MAP)
        return 0;
    err_set (error, LITEDFS_INVALID, "message: it is %s; a map is expected",
             pack_type_name (&parsed->unpacked.data));
    message_destroy (out);
    return LITEDFS_INVALID;
}

/* Refuse another version, before the rest of the envelope, which that version may have
 * changed. */
static int
check_version (const msgpack_object_map *map, litedfs_error_t *error)
{
    const msgpack_object *v = pack_find (map, "v");

    if (!v || v->type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        (v->via.u64 >= WIRE_VERSION_MIN && v->via.u64 <= WIRE_VERSION_MAX))
        return 0;
    return err_set (error, LITEDFS_UNSUPPORTED_VERSION,
                    "field[v]: version %llu is not spoken here; min %d, max %d",
                    (unsigned long long) v->via.u64, WIRE_VERSION_MIN, WIRE_VERSION_MAX);
}

static int
parse_request_head (struct message *self, uint64_t *id, litedfs_error_t *error)
{
    const msgpack_object_map *map = map_of (self);
    const msgpack_object *object = pack_find (map, "id");
    struct request_head head;

    if (object && object->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
        object->via.u64 <= WIRE_MAX)
        *id = object->via.u64;
    int result = check_version (map, error);
    if (result == 0)
        result = schema_decode (&request_head_schema, map, NULL, &self->arena, &head, error);
    if (result < 0)
        return result;
    self->op = head.op;
    self->type = message_find (head.op);
    self->envelope = (struct envelope){
        .id = head.id, .version = head.v, .client = head.client, .seen = head.seen};
    self->ok = true;
    return 0;
}

int
message_parse_request (struct slice frame, struct message **out, uint64_t *id,
                       litedfs_error_t *error)
{
    struct message *self = NULL;

    *id = 0;
    int result = parse (frame, PACK_REQUEST_OBJECTS, &self, error);
    if (result == 0)
        result = parse_request_head (self, id, error);
    if (result < 0) {
        message_destroy (&self);
        return result;
    }
    *out = self;
    return 0;
}

int
message_request_fields (struct message *self, void *fields, litedfs_error_t *error)
{
    if (!self->type) {
        char op[2 * OP_MAX];
        return err_set (error, LITEDFS_UNSUPPORTED, "op[%s]: it is not known here",
                        text_escape (self->op.data, self->op.size, op, sizeof op));
    }
    int result =
        schema_decode (self->type->request, map_of (self), NULL, &self->arena, fields, error);
    if (result < 0)
        err_prefix (error, "%s", self->type->op);
    return result;
}

/* Number and text of a reply that is not ok; the text is made safe to print. */
static void
take_error (litedfs_error_t *out, const struct reply_head *head)
{
    out->number = err_from_word (head->error.data, head->error.size);
    if (head->message.size > 0)
        text_escape (head->message.data, head->message.size, out->text, sizeof out->text);
    else
        err_set (out, out->number, "%s", err_text (out->number));
}

static int
parse_reply_head (struct message *self, litedfs_error_t *error)
{
    struct reply_head head;
    int result =
        schema_decode (&reply_head_schema, map_of (self), NULL, &self->arena, &head, error);

    if (result < 0)
        return err_prefix (error, "reply");
    if (!head.ok && !head.error.data)
        return err_set (
            error, LITEDFS_INVALID,
            "reply: field[error]: it is missing; a word is expected as ok is false");
    self->ok = head.ok;
    self->envelope = (struct envelope){.id = head.id, .version = 1, .seen = WIRE_UNKNOWN};
    if (!head.ok)
        take_error (&self->error, &head);
    return 0;
}

int
message_parse_reply (struct slice frame, struct message **out, litedfs_error_t *error)
{
    struct message *self = NULL;
    int result = parse (frame, PACK_REPLY_OBJECTS, &self, error);

    if (result == 0)
        result = parse_reply_head (self, error);
    if (result < 0) {
        message_destroy (&self);
        return result;
    }
    *out = self;
    return 0;
}

int
message_reply_fields (struct message *self, const struct message_type *type, void *fields,
                      litedfs_error_t *error)
{
    int result = schema_decode (type->reply, map_of (self), NULL, &self->arena, fields, error);

    if (result < 0)
        err_prefix (error, "reply to %s", type->op);
    return result;
}

void
message_destroy (struct message **message)
{
    struct message *self = *message;

    if (!self)
        return;
    *message = NULL;
    msgpack_unpacked_destroy (self->unpacked);
    arena_free (&self->arena);
    free (self); // the first member of a struct parsed
}

/* ---- encoding ---------------------------------------------------------------------------- */

/* Write a head and fields as one map, or take back what was written. */
static int
encode (struct buf *out, const struct schema *head_schema, const void *head,
        const struct schema *fields_schema, const void *fields, litedfs_error_t *error)
{
    size_t start = out->size;
    msgpack_packer packer;

    pack_to_buf (&packer, out);
    msgpack_pack_map (&packer,
                      schema_count (head_schema, head) + schema_count (fields_schema, fields));
    int result = schema_encode (head_schema, head, NULL, &packer, error);
    if (result == 0)
        result = schema_encode (fields_schema, fields, NULL, &packer, error);
    if (result < 0)
        err_prefix (error, "%s", fields_schema->name);
    else if (out->failed)
        result =
            err_set (error, LITEDFS_MEMORY, "%s: no memory to encode it", fields_schema->name);
    if (result < 0)
        out->size = start;
    return result;
}

int
message_encode_request (struct buf *out, const struct message_type *type, const void *fields,
                        const struct envelope *envelope, litedfs_error_t *error)
{
    struct request_head head = {.op = slice_of (type->op, op_sizes[type->number]),
                                .id = envelope->id,
                                .v = envelope->version ? envelope->version : 1,
                                .client = envelope->client,
                                .seen = envelope->seen};

    return encode (out, &request_head_schema, &head, type->request, fields, error);
}

int
message_encode_reply (struct buf *out, const struct message_type *type, const void *fields,
                      uint64_t id, litedfs_error_t *error)
{
    struct reply_head head = {.id = id, .ok = true};

    return encode (out, &reply_head_schema, &head, type->reply, fields, error);
}

void
message_encode_error (struct buf *out, uint64_t id, int number, const char *text)
{
    const char *word = err_word (number);
    msgpack_packer packer;

    if (!text)
        text = err_text (number);
    pack_to_buf (&packer, out);
    msgpack_pack_map (&packer, 4);
    pack_text (&packer, "id", 2);
    msgpack_pack_uint64 (&packer, id);
    pack_text (&packer, "ok", 2);
    msgpack_pack_false (&packer);
    pack_text (&packer, "error", 5);
    pack_text (&packer, word, strlen (word));
    pack_text (&packer, "message", 7);
    pack_text (&packer, text, strlen (text));
}

size_t
message_record_size (const struct message_type *type, const char *list_key, const void *record)
{
    const struct field *list = schema_find (type->reply, list_key);
    msgpack_packer packer;
    size_t size;

    if (!list)
        list = schema_find (type->request, list_key);
    if (!list || list->type != FIELD_LIST)
        return 0;
    pack_to_count (&packer, &size);
    if (schema_encode_map (list->record, record, NULL, &packer, NULL) < 0)
        return 0;
    return size;
}

/* ---- description ------------------------------------------------------------------------- */

static void
describe_number (uint64_t value, struct buf *out)
{
    if (value == WIRE_MAX)
        buf_printf (out, "max");
    else
        buf_printf (out, "%llu", (unsigned long long) value);
}

static void
describe_range (const struct field *field, struct buf *out)
{
    describe_number (field->min, out);
    if (field->max == field->min)
        return;
    buf_printf (out, "..");
    describe_number (field->max, out);
}

static const char *
type_name (enum field_type type)
{
    static const char *const names[] = {
        [FIELD_UINT] = "integer", [FIELD_BOOL] = "boolean", [FIELD_TEXT] = "text",
        [FIELD_BYTES] = "binary", [FIELD_ID] = "uuid",      [FIELD_WORD] = "word",
        [FIELD_UINTS] = "nodes",  [FIELD_LIST] = "list of "};

    return names[type];
}

static void
describe_bounds (const struct field *field, struct buf *out)
{
    switch (field->type) {
    case FIELD_UINT:
    case FIELD_TEXT:
    case FIELD_BYTES:
        describe_range (field, out);
        break;
    case FIELD_BOOL:
    case FIELD_ID:
        buf_printf (out, "-");
        break;
    case FIELD_WORD:
        for (size_t i = 0; field->words[i]; i++)
            buf_printf (out, "%s%s", i == 0 ? "" : "|", field->words[i]);
        break;
    case FIELD_UINTS:
    case FIELD_LIST:
        describe_range (field, out);
        break;
    }
}

static void
describe_default (const struct field *field, struct buf *out)
{
    if (field->required || field->fallback == WIRE_UNKNOWN)
        buf_printf (out, "-");
    else if (field->type == FIELD_UINT)
        describe_number (field->fallback, out);
    else if (field->type == FIELD_BOOL)
        buf_printf (out, field->fallback ? "true" : "false");
    else if (field->type == FIELD_WORD)
        buf_printf (out, "%s", field->words[field->fallback]);
    else
        buf_printf (out, "-");
}

static void
describe_schema (const struct schema *self, const char *role, struct buf *out)
{
    const struct layout *layout = self->layout ();

    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        buf_printf (out, "%s\t%s\t%s\t%s%s\t%s\t", self->name, role, field->key,
                    type_name (field->type), field->record ? field->record->name : "",
                    field->required ? "required" : "optional");
        describe_bounds (field, out);
        buf_printf (out, "\t");
        describe_default (field, out);
        buf_printf (out, "\n");
    }
}

static const char *
peer_name (enum message_peer peer)
{
    switch (peer) {
    case PEER_CLIENT:
        return "client";
    case PEER_NODE:
        return "node";
    case PEER_NAME:
        return "name";
    case PEER_ANY:
        break;
    }
    return "any";
}

void
message_describe (struct buf *out)
{
    static const char *const effects[] = {[EFFECT_READS] = "reads",
                                          [EFFECT_MUTATES] = "mutates",
                                          [EFFECT_IDEMPOTENT] = "idempotent",
                                          [EFFECT_PUSHED] = "pushed"};

    describe_schema (&request_head_schema, "envelope", out);
    describe_schema (&reply_head_schema, "envelope", out);
    for (size_t i = 0; i < sizeof records / sizeof *records; i++)
        describe_schema (records[i], "record", out);
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        const struct message_type *type = &message_types[i];
        buf_printf (out, "%s\top\t%s\t%s\t%s\n", type->op, peer_name (type->from),
                    peer_name (type->to), effects[type->effect]);
        describe_schema (type->request, "request", out);
        describe_schema (type->reply, "reply", out);
    }
}
