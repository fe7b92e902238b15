/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_WIRE_SCHEMA_H
#define LITEDFS_WIRE_SCHEMA_H

/*
 * Schemas: how a C struct and a msgpack map correspond, as data.  One decoder and one encoder
 * serve every struct; what is checked here is checked nowhere else.
 *
 * Unknown keys are ignored, however often they come; a known key twice is refused.  Errors are
 * one line that starts with field[NAME], where NAME leads through lists:
 * field[blocks[2].nodes[0].host].
 */

#include "base/buf.h"
#include "base/err.h"
#include "wire/pack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_type {
    FIELD_UINT,
    FIELD_BOOL,
    FIELD_TEXT,
    FIELD_BYTES,
    FIELD_ID,
    FIELD_WORD,
    FIELD_UINTS,
    FIELD_LIST
};

struct field {
    const char *key;
    size_t key_size;
    enum field_type type;
    bool required;
    size_t offset;       // of the value in the struct; FIELD_UINTS, FIELD_LIST: of the pointer
    size_t count_offset; // FIELD_UINTS, FIELD_LIST: of the count
    uint64_t min;        // least value (FIELD_UINT) or size
    uint64_t max;        // greatest value, size or count
    uint64_t fallback;   // what is set when it is absent: FIELD_UINT, FIELD_BOOL, FIELD_WORD
    const char *const *words;    // FIELD_WORD: ends with NULL
    const struct schema *record; // FIELD_LIST: its elements
};

/* A struct's fields, in the order in which they are sent; at most 64. */
struct layout {
    const struct field *fields;
    size_t count;
    size_t size; // of the struct
};

/* The layout comes from a function, because only in one can a table give its struct a short
 * name. */
struct schema {
    const char *name; // op, or name of the record
    const struct layout *(*layout) (void);
};

/* Where in a message a field is, from the inside outwards; NULL is the message itself. */
struct place {
    const struct place *up;
    const char *key;
    size_t index; // element of a list, else SIZE_MAX
};

/* Set every field to what an absent one has. */
void schema_init (const struct schema *self, void *fields);

/* Fill the struct from a map.  Lists come from the arena, text and bytes point into the frame.
 * LITEDFS_INVALID names the field, LITEDFS_MEMORY; *fields is of no use then. */
int schema_decode (const struct schema *self, const msgpack_object_map *map,
                   const struct place *place, struct arena *arena, void *fields,
                   litedfs_error_t *error);

/* How many fields of the struct will be written: required ones, and others that are not at
 * their default. */
size_t schema_count (const struct schema *self, const void *fields);

/* Write these keys and values; the head of the map is the caller's.  LITEDFS_INVALID names
 * the field that breaks its bounds; some bytes may have been written then. */
int schema_encode (const struct schema *self, const void *fields, const struct place *place,
                   msgpack_packer *packer, litedfs_error_t *error);

/* The same with the head of the map. */
int schema_encode_map (const struct schema *self, const void *fields, const struct place *place,
                       msgpack_packer *packer, litedfs_error_t *error);

/* The field with this key, or NULL. */
const struct field *schema_find (const struct schema *self, const char *key);

/* What a field takes, for people: "an integer from 0 to 65535". */
void schema_put_expected (const struct field *field, struct buf *out);

#endif
