/* SPDX-License-Identifier: MIT */
/*
 * One decoder and one encoder for every struct of the protocol, driven by its layout.
 *
 * The decoder walks over the map once.  Keys usually come in the order of the layout, so the
 * search for a key starts behind the one before and ends at the first step.  Which fields were
 * there is one bit each.  Lists are allocated for the count that the map declares, which the
 * scan before has found to be there; the arena's limit bounds what structs may take above that.
 *
 * The encoder checks the same bounds, so that what it writes is what a decoder takes.
 */
#include "wire/schema.h"

#include "base/id.h"
#include "base/text.h"

#include <string.h>

#define WORD_SHOWN 48 // bytes of a wrong word that an error shows

/* The elements of FIELD_UINTS. */
static const struct field node_number = {
    .key = "node", .key_size = 4, .type = FIELD_UINT, .min = 1, .max = UINT32_MAX};

/* ---- errors ------------------------------------------------------------------------------ */

static void
put_place (const struct place *place, struct buf *out)
{
    if (place->up) {
        put_place (place->up, out);
        buf_printf (out, ".");
    }
    buf_printf (out, "%s", place->key);
    if (place->index != SIZE_MAX)
        buf_printf (out, "[%zu]", place->index);
}

static void
put_range (const struct field *field, const char *unit, struct buf *out)
{
    if (field->min == field->max)
        buf_printf (out, "%llu%s", (unsigned long long) field->max, unit);
    else
        buf_printf (out, "%llu to %llu%s", (unsigned long long) field->min,
                    (unsigned long long) field->max, unit);
}

void
schema_put_expected (const struct field *field, struct buf *out)
{
    switch (field->type) {
    case FIELD_UINT:
        buf_printf (out, "an integer from ");
        put_range (field, "", out);
        break;
    case FIELD_BOOL:
        buf_printf (out, "true or false");
        break;
    case FIELD_TEXT:
        buf_printf (out, "text of ");
        put_range (field, " bytes", out);
        break;
    case FIELD_BYTES:
        buf_printf (out, "binary of ");
        put_range (field, " bytes", out);
        break;
    case FIELD_ID:
        buf_printf (out, "a UUID of 36 characters, not all zero,");
        break;
    case FIELD_WORD:
        for (unsigned i = 0; field->words[i]; i++)
            buf_printf (out, "%s%s", i == 0 ? "" : " or ", field->words[i]);
        break;
    case FIELD_UINTS:
        buf_printf (out, "a list of at most %llu node numbers",
                    (unsigned long long) field->max);
        break;
    case FIELD_LIST:
        buf_printf (out, "a list of at most %llu maps", (unsigned long long) field->max);
        break;
    }
}

/* "field[PLACE]: WHY; WHAT is expected". */
static int __attribute__ ((format (printf, 4, 5)))
refuse (const struct field *field, const struct place *place, litedfs_error_t *error,
        const char *format, ...)
{
    struct buf text = {0};
    va_list args;

    buf_printf (&text, "field[");
    put_place (place, &text);
    buf_printf (&text, "]: ");
    va_start (args, format);
    buf_vprintf (&text, format, args);
    va_end (args);
    buf_printf (&text, "; ");
    schema_put_expected (field, &text);
    buf_printf (&text, " is expected");
    err_set (error, LITEDFS_INVALID, "%s", text.failed ? field->key : buf_text (&text));
    buf_free (&text);
    return LITEDFS_INVALID;
}

static int
refuse_type (const struct field *field, const struct place *place, const msgpack_object *value,
             litedfs_error_t *error)
{
    return refuse (field, place, error, "it is %s", pack_type_name (value));
}

/* ---- decoding ---------------------------------------------------------------------------- */

static int
decode_uint (const struct field *field, const struct place *place, const msgpack_object *value,
             uint64_t *out, litedfs_error_t *error)
{
    if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return refuse_type (field, place, value, error);
    if (value->via.u64 < field->min || value->via.u64 > field->max)
        return refuse (field, place, error, "it is %llu", (unsigned long long) value->via.u64);
    *out = value->via.u64;
    return 0;
}

static int
decode_slice (const struct field *field, const struct place *place, const msgpack_object *value,
              struct slice *out, litedfs_error_t *error)
{
    struct slice slice;

    if (field->type == FIELD_TEXT && value->type == MSGPACK_OBJECT_STR)
        slice = slice_of (value->via.str.ptr, value->via.str.size);
    else if (field->type == FIELD_BYTES && value->type == MSGPACK_OBJECT_BIN)
        slice = slice_of (value->via.bin.ptr, value->via.bin.size);
    else
        return refuse_type (field, place, value, error);
    if (slice.size < field->min || slice.size > field->max)
        return refuse (field, place, error, "it has %zu bytes", slice.size);
    *out = slice;
    return 0;
}

static int
decode_id (const struct field *field, const struct place *place, const msgpack_object *value,
           struct uuid *out, litedfs_error_t *error)
{
    if (value->type != MSGPACK_OBJECT_STR)
        return refuse_type (field, place, value, error);
    if (!uuid_parse (out, value->via.str.ptr, value->via.str.size) || uuid_is_nil (out))
        return refuse (field, place, error, "it is other text");
    return 0;
}

static int
decode_word (const struct field *field, const struct place *place, const msgpack_object *value,
             unsigned *out, litedfs_error_t *error)
{
    if (value->type != MSGPACK_OBJECT_STR)
        return refuse_type (field, place, value, error);

    struct slice word = slice_of (value->via.str.ptr, value->via.str.size);
    for (unsigned i = 0; field->words[i]; i++)
        if (slice_equal (word, slice_str (field->words[i]))) {
            *out = i;
            return 0;
        }
    char shown[WORD_SHOWN];
    return refuse (field, place, error, "it is \"%s\"",
                   text_escape (word.data, word.size, shown, sizeof shown));
}

/* Check that it is a list and take memory for it.  The limit of the arena is what the frame
 * justifies. */
static int
decode_count (const struct field *field, const struct place *place, const msgpack_object *value,
              struct arena *arena, size_t size, void **list, size_t *count,
              litedfs_error_t *error)
{
    if (value->type != MSGPACK_OBJECT_ARRAY)
        return refuse_type (field, place, value, error);
    *list = NULL;
    *count = value->via.array.size;
    if (*count > field->max)
        return refuse (field, place, error, "it has %zu elements", *count);
    if (*count == 0)
        return 0;
    if (*count > (arena->limit - arena->used) / size)
        return refuse (field, place, error, "its elements are empty");
    *list = arena_alloc_array (arena, *count, size);
    if (!*list)
        return err_set (error, LITEDFS_MEMORY, "field[%s]: no memory for %zu elements",
                        field->key, *count);
    return 0;
}

static int
decode_uints (const struct field *field, const struct place *place, const msgpack_object *value,
              struct arena *arena, uint8_t *fields, litedfs_error_t *error)
{
    void *list;
    size_t count;
    int result =
        decode_count (field, place, value, arena, sizeof (uint64_t), &list, &count, error);

    if (result < 0)
        return result;
    uint64_t *numbers = list;
    for (size_t i = 0; i < count; i++) {
        struct place at = {place->up, place->key, i};
        if (decode_uint (&node_number, &at, &value->via.array.ptr[i], &numbers[i], error) < 0)
            return LITEDFS_INVALID;
    }
    *(uint64_t **) (fields + field->offset) = numbers;
    *(size_t *) (fields + field->count_offset) = count;
    return 0;
}

static int
decode_list (const struct field *field, const struct place *place, const msgpack_object *value,
             struct arena *arena, uint8_t *fields, litedfs_error_t *error)
{
    size_t size = field->record->layout ()->size;
    void *list;
    size_t count;
    int result = decode_count (field, place, value, arena, size, &list, &count, error);

    if (result < 0)
        return result;
    for (size_t i = 0; i < count; i++) {
        struct place at = {place->up, place->key, i};
        const msgpack_object *element = &value->via.array.ptr[i];
        if (element->type != MSGPACK_OBJECT_MAP)
            return refuse (field, &at, error, "it is %s", pack_type_name (element));
        result = schema_decode (field->record, &element->via.map, &at, arena,
                                (uint8_t *) list + i * size, error);
        if (result < 0)
            return result;
    }
    memcpy (fields + field->offset, &list, sizeof list); // a pointer of another type there
    *(size_t *) (fields + field->count_offset) = count;
    return 0;
}

static int
decode_field (const struct field *field, const struct place *place, const msgpack_object *value,
              struct arena *arena, uint8_t *fields, litedfs_error_t *error)
{
    void *at = fields + field->offset;

    switch (field->type) {
    case FIELD_UINT:
        return decode_uint (field, place, value, at, error);
    case FIELD_BOOL:
        if (value->type != MSGPACK_OBJECT_BOOLEAN)
            return refuse_type (field, place, value, error);
        *(bool *) at = value->via.boolean;
        return 0;
    case FIELD_TEXT:
    case FIELD_BYTES:
        return decode_slice (field, place, value, at, error);
    case FIELD_ID:
        return decode_id (field, place, value, at, error);
    case FIELD_WORD:
        return decode_word (field, place, value, at, error);
    case FIELD_UINTS:
        return decode_uints (field, place, value, arena, fields, error);
    case FIELD_LIST:
        return decode_list (field, place, value, arena, fields, error);
    }
    return 0;
}

/* The number of the field with this key, searched from `next` on and then from the start;
 * the count of fields if there is none. */
static size_t
find_key (const struct layout *layout, const msgpack_object_str *key, size_t next)
{
    for (size_t step = 0; step < layout->count; step++) {
        size_t i = next + step < layout->count ? next + step : next + step - layout->count;
        const struct field *field = &layout->fields[i];
        if (field->key_size == key->size && memcmp (field->key, key->ptr, key->size) == 0)
            return i;
    }
    return layout->count;
}

static void
init_fields (const struct layout *layout, uint8_t *fields)
{
    memset (fields, 0, layout->size);
    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        void *at = fields + field->offset;
        if (field->type == FIELD_UINT)
            *(uint64_t *) at = field->fallback;
        else if (field->type == FIELD_BOOL)
            *(bool *) at = field->fallback != 0;
        else if (field->type == FIELD_WORD)
            *(unsigned *) at = (unsigned) field->fallback;
    }
}

void
schema_init (const struct schema *self, void *fields)
{
    init_fields (self->layout (), fields);
}

int
schema_decode (const struct schema *self, const msgpack_object_map *map,
               const struct place *place, struct arena *arena, void *fields,
               litedfs_error_t *error)
{
    const struct layout *layout = self->layout ();
    uint64_t seen = 0;
    size_t next = 0;

    init_fields (layout, fields);
    for (uint32_t i = 0; i < map->size; i++) {
        size_t number = find_key (layout, &map->ptr[i].key.via.str, next);
        if (number == layout->count)
            continue;
        const struct field *field = &layout->fields[number];
        struct place at = {place, field->key, SIZE_MAX};
        if (seen >> number & 1)
            return refuse (field, &at, error, "it is there twice");
        seen |= (uint64_t) 1 << number;
        next = number + 1;
        int result = decode_field (field, &at, &map->ptr[i].val, arena, fields, error);
        if (result < 0)
            return result;
    }
    for (size_t i = 0; i < layout->count; i++)
        if (layout->fields[i].required && !(seen >> i & 1)) {
            struct place at = {place, layout->fields[i].key, SIZE_MAX};
            return refuse (&layout->fields[i], &at, error, "it is missing");
        }
    return 0;
}

/* ---- encoding ---------------------------------------------------------------------------- */

/* Whether a field is written. */
static bool
is_written (const struct field *field, const uint8_t *fields)
{
    const void *at = fields + field->offset;

    if (field->required)
        return true;
    switch (field->type) {
    case FIELD_UINT:
        return *(const uint64_t *) at != field->fallback;
    case FIELD_BOOL:
        return *(const bool *) at != (field->fallback != 0);
    case FIELD_TEXT:
    case FIELD_BYTES:
        return ((const struct slice *) at)->data != NULL;
    case FIELD_ID:
        return !uuid_is_nil (at);
    case FIELD_WORD:
        return *(const unsigned *) at != field->fallback;
    case FIELD_UINTS:
    case FIELD_LIST:
        return *(const size_t *) (fields + field->count_offset) > 0;
    }
    return true;
}

size_t
schema_count (const struct schema *self, const void *fields)
{
    const struct layout *layout = self->layout ();
    size_t count = 0;

    for (size_t i = 0; i < layout->count; i++)
        count += is_written (&layout->fields[i], fields);
    return count;
}

static int
encode_uint (const struct field *field, const struct place *place, uint64_t value,
             msgpack_packer *packer, litedfs_error_t *error)
{
    if (value < field->min || value > field->max)
        return refuse (field, place, error, "it is %llu", (unsigned long long) value);
    msgpack_pack_uint64 (packer, value);
    return 0;
}

static int
encode_slice (const struct field *field, const struct place *place, const struct slice *value,
              msgpack_packer *packer, litedfs_error_t *error)
{
    if (value->size < field->min || value->size > field->max)
        return refuse (field, place, error, "it has %zu bytes", value->size);
    if (field->type == FIELD_TEXT)
        pack_text (packer, value->data, value->size);
    else
        pack_bytes (packer, value->data, value->size);
    return 0;
}

static int
encode_id (const struct field *field, const struct place *place, const struct uuid *value,
           msgpack_packer *packer, litedfs_error_t *error)
{
    char text[UUID_TEXT_SIZE];

    if (uuid_is_nil (value))
        return refuse (field, place, error, "it is all zero");
    pack_text (packer, uuid_print (value, text), sizeof text - 1);
    return 0;
}

static int
encode_word (const struct field *field, const struct place *place, unsigned value,
             msgpack_packer *packer, litedfs_error_t *error)
{
    unsigned i = 0;

    while (field->words[i] && i < value)
        i++;
    if (!field->words[i])
        return refuse (field, place, error, "its number is %u", value);
    pack_text (packer, field->words[i], strlen (field->words[i]));
    return 0;
}

/* The head of a list. */
static int
encode_count (const struct field *field, const struct place *place, size_t count,
              msgpack_packer *packer, litedfs_error_t *error)
{
    if (count > field->max)
        return refuse (field, place, error, "it has %zu elements", count);
    msgpack_pack_array (packer, count);
    return 0;
}

static int
encode_uints (const struct field *field, const struct place *place, const uint8_t *fields,
              msgpack_packer *packer, litedfs_error_t *error)
{
    const uint64_t *numbers = *(uint64_t *const *) (fields + field->offset);
    size_t count = *(const size_t *) (fields + field->count_offset);
    int result = encode_count (field, place, count, packer, error);

    for (size_t i = 0; result == 0 && i < count; i++) {
        struct place at = {place->up, place->key, i};
        result = encode_uint (&node_number, &at, numbers[i], packer, error);
    }
    return result;
}

static int
encode_list (const struct field *field, const struct place *place, const uint8_t *fields,
             msgpack_packer *packer, litedfs_error_t *error)
{
    size_t size = field->record->layout ()->size;
    size_t count = *(const size_t *) (fields + field->count_offset);
    const uint8_t *records;
    int result = encode_count (field, place, count, packer, error);

    memcpy (&records, fields + field->offset, sizeof records);
    for (size_t i = 0; result == 0 && i < count; i++) {
        struct place at = {place->up, place->key, i};
        result = schema_encode_map (field->record, records + i * size, &at, packer, error);
    }
    return result;
}

static int
encode_field (const struct field *field, const struct place *place, const uint8_t *fields,
              msgpack_packer *packer, litedfs_error_t *error)
{
    const void *at = fields + field->offset;

    pack_text (packer, field->key, field->key_size);
    switch (field->type) {
    case FIELD_UINT:
        return encode_uint (field, place, *(const uint64_t *) at, packer, error);
    case FIELD_BOOL:
        if (*(const bool *) at)
            msgpack_pack_true (packer);
        else
            msgpack_pack_false (packer);
        return 0;
    case FIELD_TEXT:
    case FIELD_BYTES:
        return encode_slice (field, place, at, packer, error);
    case FIELD_ID:
        return encode_id (field, place, at, packer, error);
    case FIELD_WORD:
        return encode_word (field, place, *(const unsigned *) at, packer, error);
    case FIELD_UINTS:
        return encode_uints (field, place, fields, packer, error);
    case FIELD_LIST:
        return encode_list (field, place, fields, packer, error);
    }
    return 0;
}

int
schema_encode (const struct schema *self, const void *fields, const struct place *place,
               msgpack_packer *packer, litedfs_error_t *error)
{
    const struct layout *layout = self->layout ();
    int result = 0;

    for (size_t i = 0; result == 0 && i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        struct place at = {place, field->key, SIZE_MAX};
        if (is_written (field, fields))
            result = encode_field (field, &at, fields, packer, error);
    }
    return result;
}

int
schema_encode_map (const struct schema *self, const void *fields, const struct place *place,
                   msgpack_packer *packer, litedfs_error_t *error)
{
    msgpack_pack_map (packer, schema_count (self, fields));
    return schema_encode (self, fields, place, packer, error);
}

const struct field *
schema_find (const struct schema *self, const char *key)
{
    const struct layout *layout = self->layout ();

    for (size_t i = 0; i < layout->count; i++)
        if (strcmp (layout->fields[i].key, key) == 0)
            return &layout->fields[i];
    return NULL;
}
