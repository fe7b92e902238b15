/* SPDX-License-Identifier: MIT */
/*
 * Scanning, unpacking and writing msgpack.  The scan walks over the frame once, object by
 * object, and keeps for each map or list that is open how many objects it still has to see; a
 * declared count is refused when fewer bytes are left than it needs, so that nothing is
 * believed that the frame does not hold.  What it accepts, msgpack_unpack_next unpacks without
 * surprise; its result is checked all the same.
 */
#include "wire/pack.h"

#include <string.h>

/* What follows a tag of 0xc0 to 0xdf: so many bytes; or a length or count in so many bytes. */
enum tag_kind { TAG_REFUSED, TAG_PLAIN, TAG_TEXT, TAG_BYTES, TAG_LIST, TAG_MAP };

struct tag {
    enum tag_kind kind;
    size_t bytes;
};

/* clang-format off */
static const struct tag tags[32] = {
    [0x00] = {TAG_PLAIN, 0}, // nil
    [0x02] = {TAG_PLAIN, 0}, [0x03] = {TAG_PLAIN, 0}, // false, true
    [0x04] = {TAG_BYTES, 1}, [0x05] = {TAG_BYTES, 2}, [0x06] = {TAG_BYTES, 4},
    [0x0a] = {TAG_PLAIN, 4}, [0x0b] = {TAG_PLAIN, 8}, // floats
    [0x0c] = {TAG_PLAIN, 1}, [0x0d] = {TAG_PLAIN, 2}, // unsigned integers
    [0x0e] = {TAG_PLAIN, 4}, [0x0f] = {TAG_PLAIN, 8},
    [0x10] = {TAG_PLAIN, 1}, [0x11] = {TAG_PLAIN, 2}, // signed integers
    [0x12] = {TAG_PLAIN, 4}, [0x13] = {TAG_PLAIN, 8},
    [0x19] = {TAG_TEXT, 1},  [0x1a] = {TAG_TEXT, 2},  [0x1b] = {TAG_TEXT, 4},
    [0x1c] = {TAG_LIST, 2},  [0x1d] = {TAG_LIST, 4},
    [0x1e] = {TAG_MAP, 2},   [0x1f] = {TAG_MAP, 4},
}; // the others, ext types and 0xc1, are TAG_REFUSED
/* clang-format on */

/* A map or list that is open: how many objects it still holds; a map's keys count too. */
struct level {
    size_t left;
    bool map;
};

struct scan {
    const uint8_t *start;
    const uint8_t *at;
    const uint8_t *end;
    size_t objects;
    size_t depth;
    struct level levels[PACK_DEPTH_MAX];
};

static int
refuse (const struct scan *self, const char *why, litedfs_error_t *error)
{
    return err_set (error, LITEDFS_INVALID, "message: %s (at byte %zu of %zu)", why,
                    (size_t) (self->at - self->start), (size_t) (self->end - self->start));
}

static size_t
left (const struct scan *self)
{
    return (size_t) (self->end - self->at);
}

static int
skip (struct scan *self, size_t bytes, litedfs_error_t *error)
{
    if (bytes > left (self))
        return refuse (self, "it is cut short", error);
    self->at += bytes;
    return 0;
}

/* Read a big-endian number of 1, 2 or 4 bytes. */
static int
read_number (struct scan *self, size_t bytes, size_t *out, litedfs_error_t *error)
{
    if (bytes > left (self))
        return refuse (self, "it is cut short", error);
    size_t number = 0;
    for (size_t i = 0; i < bytes; i++)
        number = number << 8 | *self->at++;
    *out = number;
    return 0;
}

static int
open_level (struct scan *self, size_t count, bool map, litedfs_error_t *error)
{
    if (self->depth == PACK_DEPTH_MAX)
        return refuse (self, "its maps and lists are nested too deep", error);
    if (count > left (self) / (map ? 2 : 1))
        return refuse (self, "a map or list has fewer elements than it says", error);
    self->levels[self->depth++] = (struct level){map ? 2 * count : count, map};
    return 0;
}

/* What follows a tag of 0xc0 to 0xdf. */
static int
scan_tagged (struct scan *self, const struct tag *tag, litedfs_error_t *error)
{
    size_t number = 0;

    if (tag->kind == TAG_PLAIN)
        return skip (self, tag->bytes, error);
    if (tag->kind == TAG_REFUSED) {
        self->at--;
        return refuse (self, "this type is not used here", error);
    }
    if (read_number (self, tag->bytes, &number, error) < 0)
        return LITEDFS_INVALID;
    if (tag->kind == TAG_LIST || tag->kind == TAG_MAP)
        return open_level (self, number, tag->kind == TAG_MAP, error);
    return skip (self, number, error);
}

static bool
is_text (uint8_t tag)
{
    return (tag & 0xe0) == 0xa0 || (tag >= 0xd9 && tag <= 0xdb);
}

/* One object, without the elements of a map or list. */
static int
scan_object (struct scan *self, litedfs_error_t *error)
{
    if (left (self) == 0)
        return refuse (self, "it is cut short", error);
    uint8_t tag = *self->at;

    if (self->depth > 0) {
        struct level *level = &self->levels[self->depth - 1];
        if (level->map && level->left % 2 == 0 && !is_text (tag))
            return refuse (self, "a key is not text", error);
        level->left--;
    }
    self->at++;
    if (tag < 0x80 || tag >= 0xe0) // small integers
        return 0;
    if (tag < 0xa0)
        return open_level (self, tag & 0x0f, tag < 0x90, error);
    if (tag < 0xc0)
        return skip (self, tag & 0x1f, error);
    return scan_tagged (self, &tags[tag - 0xc0], error);
}

int
pack_scan (struct slice frame, size_t objects_max, litedfs_error_t *error)
{
    if (frame.size > PACK_FRAME_MAX)
        return err_set (error, LITEDFS_INVALID,
                        "message: it has %zu bytes; at most %zu are taken", frame.size,
                        PACK_FRAME_MAX);
    if (frame.size == 0)
        return err_set (error, LITEDFS_INVALID,
                        "message: it is empty; a msgpack map is expected");

    struct scan scan = {.start = frame.data, .at = frame.data};
    scan.end = scan.start + frame.size;
    do {
        if (scan.objects++ == objects_max)
            return refuse (&scan, "it has too many elements", error);
        if (scan_object (&scan, error) < 0)
            return LITEDFS_INVALID;
        while (scan.depth > 0 && scan.levels[scan.depth - 1].left == 0)
            scan.depth--;
    } while (scan.depth > 0);

    if (left (&scan) > 0)
        return refuse (&scan, "something follows its end", error);
    return 0;
}

int
pack_unpack (struct slice frame, size_t objects_max, msgpack_unpacked *out,
             litedfs_error_t *error)
{
    if (pack_scan (frame, objects_max, error) < 0)
        return LITEDFS_INVALID;

    size_t end = 0;
    msgpack_unpacked_init (out);
    msgpack_unpack_return result = msgpack_unpack_next (out, frame.data, frame.size, &end);
    if (result == MSGPACK_UNPACK_SUCCESS && end == frame.size)
        return 0;
    msgpack_unpacked_destroy (out);
    if (result == MSGPACK_UNPACK_NOMEM_ERROR)
        return err_set (error, LITEDFS_MEMORY, "message: no memory to unpack %zu bytes",
                        frame.size);
    return err_set (error, LITEDFS_INVALID,
                    "message: it is not msgpack (%d at byte %zu of %zu)", (int) result, end,
                    frame.size);
}

const msgpack_object *
pack_find (const msgpack_object_map *map, const char *key)
{
    size_t size = strlen (key);

    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object_str *name = &map->ptr[i].key.via.str;
        if (name->size == size && memcmp (name->ptr, key, size) == 0)
            return &map->ptr[i].val;
    }
    return NULL;
}

const char *
pack_type_name (const msgpack_object *object)
{
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        return "nil";
    case MSGPACK_OBJECT_BOOLEAN:
        return "true or false";
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return "an integer";
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return "a negative integer";
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return "a float";
    case MSGPACK_OBJECT_STR:
        return "text";
    case MSGPACK_OBJECT_BIN:
        return "binary";
    case MSGPACK_OBJECT_ARRAY:
        return "a list";
    case MSGPACK_OBJECT_MAP:
        return "a map";
    default:
        return "an ext type";
    }
}

static int
write_to_buf (void *data, const char *bytes, size_t size)
{
    struct buf *out = data;

    buf_put (out, bytes, size);
    return out->failed ? -1 : 0;
}

static int
write_to_count (void *data, const char *bytes, size_t size)
{
    size_t *count = data;

    (void) bytes;
    *count += size;
    return 0;
}

void
pack_to_buf (msgpack_packer *packer, struct buf *out)
{
    msgpack_packer_init (packer, out, write_to_buf);
}

void
pack_to_count (msgpack_packer *packer, size_t *count)
{
    *count = 0;
    msgpack_packer_init (packer, count, write_to_count);
}

void
pack_text (msgpack_packer *packer, const void *data, size_t size)
{
    msgpack_pack_str (packer, size);
    msgpack_pack_str_body (packer, data, size);
}

void
pack_bytes (msgpack_packer *packer, const void *data, size_t size)
{
    msgpack_pack_bin (packer, size);
    msgpack_pack_bin_body (packer, data, size);
}
