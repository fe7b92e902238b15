/* SPDX-License-Identifier: MIT */
/*
 * wire/schema: every struct of the protocol, by its own layout.  Fields are filled at random
 * and come back as they were; and for each field of each message, at each depth, a frame is
 * made by hand that is right but for this field.
 */
#include "wire/message.h"

#include "wire/pack.h"
#include "wire/schema.h"

#include <string.h>

#include "unit.h"

#define SEED 20240229
#define ROUNDS 40

/* ---- structs filled at random ------------------------------------------------------------ */

static uint64_t
pick (struct rng *rng, uint64_t min, uint64_t max)
{
    switch (rng_below (rng, 4)) {
    case 0:
        return min;
    case 1:
        return max;
    case 2:
        return max - min < 200 ? max : min + rng_below (rng, 200);
    default:
        return max - min == UINT64_MAX ? rng_next (rng) : min + rng_below (rng, max - min + 1);
    }
}

static struct slice
pick_bytes (struct rng *rng, struct arena *arena, const struct field *field)
{
    size_t size = pick (rng, field->min, field->max);
    uint8_t *bytes = arena_alloc (arena, size + 1);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t) rng_next (rng); // not UTF-8, with NULs
    return slice_of (bytes, size);
}

static void fill (const struct schema *schema, struct rng *rng, struct arena *arena,
                  uint8_t *fields);

static void
fill_list (const struct field *field, struct rng *rng, struct arena *arena, uint8_t *fields)
{
    size_t count = rng_below (rng, field->max < 4 ? field->max + 1 : 4);
    size_t size =
        field->type == FIELD_LIST ? field->record->layout ()->size : sizeof (uint64_t);
    uint8_t *list = arena_alloc_array (arena, count, size);

    for (size_t i = 0; i < count; i++) {
        if (field->type == FIELD_LIST)
            fill (field->record, rng, arena, list + i * size);
        else
            ((uint64_t *) (void *) list)[i] = pick (rng, 1, UINT32_MAX);
    }
    memcpy (fields + field->offset, &list, sizeof list);
    *(size_t *) (void *) (fields + field->count_offset) = count;
}

static void
fill (const struct schema *schema, struct rng *rng, struct arena *arena, uint8_t *fields)
{
    const struct layout *layout = schema->layout ();

    schema_init (schema, fields);
    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        void *at = fields + field->offset;
        if (!field->required && rng_below (rng, 2) == 0)
            continue;
        if (field->type == FIELD_UINT)
            *(uint64_t *) at = pick (rng, field->min, field->max);
        else if (field->type == FIELD_BOOL)
            *(bool *) at = rng_below (rng, 2) == 1;
        else if (field->type == FIELD_TEXT || field->type == FIELD_BYTES)
            *(struct slice *) at = pick_bytes (rng, arena, field);
        else if (field->type == FIELD_ID)
            uuid_v8 (at, rng_next (rng), rng_next (rng));
        else if (field->type == FIELD_WORD)
            *(unsigned *) at = field->words[1] ? (unsigned) rng_below (rng, 2) : 0;
        else
            fill_list (field, rng, arena, fields);
    }
}

static void compare (const struct schema *schema, const uint8_t *a, const uint8_t *b);

static void
compare_field (const struct field *field, const uint8_t *a, const uint8_t *b)
{
    const void *at_a = a + field->offset;
    const void *at_b = b + field->offset;

    if (field->type == FIELD_UINT)
        ck_assert_uint_eq (*(const uint64_t *) at_a, *(const uint64_t *) at_b);
    else if (field->type == FIELD_BOOL)
        ck_assert_int_eq (*(const bool *) at_a, *(const bool *) at_b);
    else if (field->type == FIELD_WORD)
        ck_assert_uint_eq (*(const unsigned *) at_a, *(const unsigned *) at_b);
    else if (field->type == FIELD_ID)
        ck_assert (uuid_equal (at_a, at_b));
    else if (field->type == FIELD_TEXT || field->type == FIELD_BYTES) {
        const struct slice *slice_a = at_a, *slice_b = at_b;
        ck_assert (slice_equal (*slice_a, *slice_b));
        ck_assert_int_eq (slice_a->data == NULL, slice_b->data == NULL);
    } else {
        size_t count = *(const size_t *) (const void *) (a + field->count_offset);
        const uint8_t *list_a, *list_b;
        memcpy (&list_a, at_a, sizeof list_a);
        memcpy (&list_b, at_b, sizeof list_b);
        ck_assert_uint_eq (count, *(const size_t *) (const void *) (b + field->count_offset));
        if (field->type == FIELD_UINTS && count > 0)
            ck_assert_mem_eq (list_a, list_b, count * sizeof (uint64_t));
        for (size_t i = 0; field->type == FIELD_LIST && i < count; i++) {
            size_t size = field->record->layout ()->size;
            compare (field->record, list_a + i * size, list_b + i * size);
        }
    }
}

static void
compare (const struct schema *schema, const uint8_t *a, const uint8_t *b)
{
    const struct layout *layout = schema->layout ();

    for (size_t i = 0; i < layout->count; i++)
        compare_field (&layout->fields[i], a, b);
}

static void
send_and_compare (const struct schema *schema, struct rng *rng)
{
    struct arena arena = {0};
    struct arena decoded = {.limit = 1 << 20};
    struct buf out = {0};
    size_t size = schema->layout ()->size;
    uint8_t *sent = arena_alloc (&arena, size + 1);
    uint8_t *received = arena_alloc (&arena, size + 1);
    litedfs_error_t error = {0};
    msgpack_packer packer;
    msgpack_unpacked unpacked;

    fill (schema, rng, &arena, sent);
    pack_to_buf (&packer, &out);
    ck_assert_msg (schema_encode_map (schema, sent, NULL, &packer, &error) == 0, "%s: %s",
                   schema->name, error.text);
    ck_assert_int_eq (pack_unpack (buf_slice (&out), PACK_REPLY_OBJECTS, &unpacked, &error), 0);
    ck_assert_msg (
        schema_decode (schema, &unpacked.data.via.map, NULL, &decoded, received, &error) == 0,
        "%s: %s", schema->name, error.text);
    ck_assert_uint_eq (unpacked.data.via.map.size, schema_count (schema, sent));
    compare (schema, sent, received);
    msgpack_unpacked_destroy (&unpacked);
    buf_free (&out);
    arena_free (&decoded);
    arena_free (&arena);
}

START_TEST (every_struct_comes_back_as_it_was)
{
    struct rng rng;

    rng_seed (&rng, SEED);
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < MESSAGE_COUNT; i++) {
            send_and_compare (message_types[i].request, &rng);
            send_and_compare (message_types[i].reply, &rng);
        }
}
END_TEST

/* ---- frames that are right but for one field --------------------------------------------- */

enum variant {
    GOOD,
    AT_MAX, // as many or as much as may be
    MISSING,
    TWICE,
    NIL,
    OTHER_TYPE,
    NEGATIVE,
    FLOAT,
    BELOW, // less than may be, if that can be said
    ABOVE,
    VARIANTS
};

static const char *const variant_names[] = {"good",  "at max",     "missing",  "twice",
                                            "nil",   "other type", "negative", "float",
                                            "below", "above"};

/* The field that is different, and how. */
struct plan {
    const struct field *target;
    enum variant variant;
};

static const char good_id[] = "01234567-89ab-8def-8123-456789ABCDEF";

static void pack_struct (const struct schema *schema, msgpack_packer *packer,
                         const struct plan *plan, bool brief);

static void
pack_sized (const struct field *field, size_t size, msgpack_packer *packer,
            const struct plan *plan)
{
    uint8_t *bytes = calloc (1, size + 1);

    if (field->type == FIELD_TEXT)
        pack_text (packer, bytes, size);
    else if (field->type == FIELD_BYTES)
        pack_bytes (packer, bytes, size);
    else
        msgpack_pack_array (packer, size);
    for (size_t i = 0; field->type == FIELD_UINTS && i < size; i++)
        msgpack_pack_uint64 (packer, 1);
    for (size_t i = 0; field->type == FIELD_LIST && i < size; i++)
        pack_struct (field->record, packer, plan, size > 1);
    free (bytes);
}

/* The value at its least, or, for max 1, at its greatest, or, for 2, above that. */
static void
pack_good (const struct field *field, msgpack_packer *packer, const struct plan *plan, int max)
{
    const uint64_t sizes[] = {field->type == FIELD_LIST && field->min == 0 ? 1 : field->min,
                              field->max, field->max + 1};

    switch (field->type) {
    case FIELD_UINT:
        msgpack_pack_uint64 (packer, max == 0 ? field->min : sizes[max]);
        break;
    case FIELD_BOOL:
        msgpack_pack_true (packer);
        break;
    case FIELD_ID:
        pack_text (packer, good_id, max < 2 ? 36 : 37);
        break;
    case FIELD_WORD:
        if (max < 2)
            pack_text (packer, field->words[0], strlen (field->words[0]));
        else
            pack_text (packer, "Directory\n", 10);
        break;
    default:
        pack_sized (field, sizes[max], packer, plan);
    }
}

/* Less than may be. */
static void
pack_below (const struct field *field, msgpack_packer *packer)
{
    if (field->type == FIELD_UINT)
        msgpack_pack_uint64 (packer, field->min - 1);
    else if (field->type == FIELD_ID)
        pack_text (packer, "00000000-0000-0000-0000-000000000000", 36);
    else if (field->type == FIELD_WORD)
        pack_text (packer, field->words[0], strlen (field->words[0]) - 1);
    else
        pack_sized (field, field->min - 1, packer, NULL);
}

static void
pack_target (const struct field *field, msgpack_packer *packer, enum variant variant)
{
    switch (variant) {
    case NIL:
        msgpack_pack_nil (packer);
        break;
    case OTHER_TYPE: // what a careless writer might send for it
        if (field->type == FIELD_TEXT || field->type == FIELD_ID || field->type == FIELD_WORD)
            pack_bytes (packer, good_id, 36);
        else if (field->type == FIELD_UINTS || field->type == FIELD_LIST)
            msgpack_pack_map (packer, 0);
        else
            pack_text (packer, "1", 1);
        break;
    case NEGATIVE:
        msgpack_pack_int64 (packer, -1);
        break;
    case FLOAT:
        msgpack_pack_double (packer, 1.0);
        break;
    case BELOW:
        pack_below (field, packer);
        break;
    default:
        pack_good (field, packer, NULL, variant == AT_MAX ? 1 : variant == ABOVE ? 2 : 0);
    }
}

static void
pack_fields (const struct layout *layout, msgpack_packer *packer, const struct plan *plan,
             bool brief)
{
    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        bool target = plan && field == plan->target;
        if ((brief && !field->required) || (target && plan->variant == MISSING))
            continue;
        for (int times = target && plan->variant == TWICE ? 2 : 1; times > 0; times--) {
            pack_text (packer, field->key, field->key_size);
            if (target)
                pack_target (field, packer, plan->variant);
            else
                pack_good (field, packer, plan, 0);
        }
    }
}

/* How many keys pack_fields writes. */
static size_t
count_fields (const struct layout *layout, const struct plan *plan, bool brief)
{
    size_t count = 0;

    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        bool target = plan && field == plan->target;
        if (brief && !field->required)
            continue;
        count += target && plan->variant == MISSING ? 0 : 1;
        count += target && plan->variant == TWICE ? 1 : 0;
    }
    return count;
}

/* All fields, or, brief, the required ones, and the keys that nobody knows. */
static void
pack_struct (const struct schema *schema, msgpack_packer *packer, const struct plan *plan,
             bool brief)
{
    const struct layout *layout = schema->layout ();

    msgpack_pack_map (packer, count_fields (layout, plan, brief) + (brief ? 0 : 2));
    pack_fields (layout, packer, plan, brief);
    for (int i = 0; !brief && i < 2; i++) { // twice the same: nobody minds
        pack_text (packer, "x-unknown", 9);
        msgpack_pack_array (packer, 1);
        msgpack_pack_double (packer, 0.5);
    }
}

/* Whether there is such a wrong value for the field. */
static bool
applies (const struct field *field, enum variant variant)
{
    if (variant == MISSING)
        return field->required;
    if (variant == BELOW)
        return field->min > 0 || field->type == FIELD_ID || field->type == FIELD_WORD;
    if (variant == ABOVE)
        return field->type != FIELD_BOOL;
    return true;
}

static int
decode_plan (const struct schema *schema, const struct plan *plan, litedfs_error_t *error)
{
    struct arena decoded = {.limit = 4 << 20};
    struct buf out = {0};
    uint8_t *fields = calloc (1, schema->layout ()->size + 1);
    msgpack_packer packer;
    msgpack_unpacked unpacked;

    pack_to_buf (&packer, &out);
    pack_struct (schema, &packer, plan, false);
    ck_assert_msg (pack_unpack (buf_slice (&out), PACK_REPLY_OBJECTS, &unpacked, error) == 0,
                   "%s: %s", schema->name, error->text);
    int result = schema_decode (schema, &unpacked.data.via.map, NULL, &decoded, fields, error);
    msgpack_unpacked_destroy (&unpacked);
    free (fields);
    buf_free (&out);
    arena_free (&decoded);
    return result;
}

static void
check_field (const struct schema *root, const struct field *field, const char *path)
{
    char expected[256];

    snprintf (expected, sizeof expected, "field[%s]: ", path);
    for (enum variant variant = GOOD; variant < VARIANTS; variant++) {
        litedfs_error_t error = {0};
        if (!applies (field, variant))
            continue;
        int result = decode_plan (root, &(struct plan){field, variant}, &error);
        if (variant == GOOD || variant == AT_MAX)
            ck_assert_msg (result == 0, "%s %s: %s", root->name, variant_names[variant],
                           error.text);
        else {
            ck_assert_msg (result == LITEDFS_INVALID, "%s: %s %s: taken", root->name, path,
                           variant_names[variant]);
            ck_assert_int_eq (error.number, LITEDFS_INVALID);
            ck_assert_msg (strncmp (error.text, expected, strlen (expected)) == 0,
                           "%s: wanted \"%s...\", got \"%s\"", root->name, expected,
                           error.text);
            ck_assert_ptr_nonnull (strstr (error.text, " expected"));
            ck_assert_ptr_null (strchr (error.text, '\n'));
        }
    }
}

static unsigned
check_fields (const struct schema *root, const struct schema *schema, const char *prefix)
{
    const struct layout *layout = schema->layout ();
    unsigned checked = 0;

    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        char path[128];
        snprintf (path, sizeof path, "%s%s", prefix, field->key);
        check_field (root, field, path);
        checked++;
        if (field->type == FIELD_LIST) {
            snprintf (path, sizeof path, "%s%s[0].", prefix, field->key);
            checked += check_fields (root, field->record, path);
        }
    }
    return checked;
}

START_TEST (each_wrong_field_is_named_and_bounds_are_inclusive)
{
    unsigned checked = 0;

    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        checked += check_fields (message_types[i].request, message_types[i].request, "");
        checked += check_fields (message_types[i].reply, message_types[i].reply, "");
    }
    ck_assert_uint_gt (checked, 250);
}
END_TEST

/* ---- the encoder's own bounds ------------------------------------------------------------ */

/* Put a value below or above its bounds into the struct; false if there is none. */
static bool
spoil (const struct field *field, bool above, uint8_t *fields)
{
    static const uint64_t no_node[] = {0, (uint64_t) UINT32_MAX + 1};
    void *at = fields + field->offset;

    switch (field->type) {
    case FIELD_UINT:
        *(uint64_t *) at = above ? field->max + 1 : field->min - 1;
        return above ||
               (field->min > 0 && (field->required || field->fallback != field->min - 1));
    case FIELD_TEXT:
    case FIELD_BYTES:
        *(struct slice *) at = slice_of ("", above ? field->max + 1 : field->min - 1);
        return above || field->min > 0;
    case FIELD_ID:
        memset (at, 0, sizeof (struct uuid));
        return field->required;
    case FIELD_WORD:
        *(unsigned *) at = 99;
        return true;
    case FIELD_UINTS:
        *(const uint64_t **) at = &no_node[above];
        *(size_t *) (void *) (fields + field->count_offset) = 1;
        return true;
    case FIELD_LIST:
        *(size_t *) (void *) (fields + field->count_offset) = field->max + 1;
        return true;
    case FIELD_BOOL:
        break;
    }
    return false;
}

static void
check_encoder (const struct schema *schema, const struct field *field, bool above,
               struct rng *rng)
{
    struct arena arena = {0};
    uint8_t *fields = arena_alloc (&arena, schema->layout ()->size);
    size_t count;
    msgpack_packer packer;
    char expected[128];
    litedfs_error_t error = {0};

    fill (schema, rng, &arena, fields);
    if (spoil (field, above, fields)) {
        snprintf (expected, sizeof expected, "field[%s", field->key);
        pack_to_count (&packer, &count);
        ck_assert_int_eq (schema_encode_map (schema, fields, NULL, &packer, &error),
                          LITEDFS_INVALID);
        ck_assert_msg (strncmp (error.text, expected, strlen (expected)) == 0, "%s: %s",
                       schema->name, error.text);
    }
    arena_free (&arena);
}

static void
check_encoders (const struct schema *schema, struct rng *rng)
{
    const struct layout *layout = schema->layout ();

    for (size_t i = 0; i < layout->count; i++)
        for (int above = 0; above < 2; above++)
            check_encoder (schema, &layout->fields[i], above, rng);
}

START_TEST (the_encoder_refuses_what_breaks_its_bounds)
{
    struct rng rng;

    rng_seed (&rng, SEED);
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        check_encoders (message_types[i].request, &rng);
        check_encoders (message_types[i].reply, &rng);
    }
}
END_TEST

UNIT_MAIN ("wire_schema", every_struct_comes_back_as_it_was,
           each_wrong_field_is_named_and_bounds_are_inclusive,
           the_encoder_refuses_what_breaks_its_bounds)
