/* SPDX-License-Identifier: MIT */
/*
 * Slices, a growing buffer, a bounded reader and an arena.
 *
 * A put either takes all its bytes or marks the buffer as failed; after that nothing is put
 * until it is cleared.  The reader does the same in the other direction.  The arena takes
 * chunks from malloc that double in size up to a bound, and gives what is large a chunk of its
 * own.
 */
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN ((size_t) 64)

// The first chunk of an arena and the largest that is taken ahead of need, in bytes.
#define CHUNK_MIN ((size_t) 1 << 10)
#define CHUNK_MAX ((size_t) 64 << 10)

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; // of the bytes below
    size_t used;
    _Alignas(max_align_t) uint8_t bytes[];
};

struct slice
slice_of (const void *data, size_t size)
{
    return (struct slice){data, size};
}

struct slice
slice_str (const char *text)
{
    return slice_of (text, text ? strlen (text) : 0);
}

bool
slice_equal (struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp (a.data, b.data, a.size) == 0);
}

// Make the capacity at least `wanted`, which is not over BUF_MAX plus one for a NUL.
static bool
grow (struct buf *self, size_t wanted)
{
    size_t capacity = self->capacity < CAPACITY_MIN ? CAPACITY_MIN : self->capacity;
    while (capacity < wanted)
        capacity *= 2;
    if (capacity > BUF_MAX + 1)
        capacity = BUF_MAX + 1;

    uint8_t *data = realloc (self->data, capacity);
    if (!data)
        return false;
    self->data = data;
    self->capacity = capacity;
    return true;
}

bool
buf_reserve (struct buf *self, size_t size)
{
    if (self->failed)
        return false;
    if (size > BUF_MAX - self->size ||
        (self->capacity - self->size < size && !grow (self, self->size + size))) {
        self->failed = true;
        return false;
    }
    return true;
}

void
buf_put (struct buf *self, const void *data, size_t size)
{
    if (size == 0)
        return;

    // Bytes of the buffer itself move with it.
    const uint8_t *from = data;
    bool inside = self->data && from >= self->data && from < self->data + self->size;
    size_t offset = inside ? (size_t) (from - self->data) : 0;

    if (!buf_reserve (self, size))
        return;
    memmove (self->data + self->size, inside ? self->data + offset : from, size);
    self->size += size;
}

static void
put_little (struct buf *self, uint64_t value, size_t size)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t) (value >> (8 * i));
    buf_put (self, bytes, size);
}

static void
put_big (struct buf *self, uint64_t value, size_t size)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t) (value >> (8 * (size - 1 - i)));
    buf_put (self, bytes, size);
}

void
buf_put_u8 (struct buf *self, uint8_t value)
{
    put_little (self, value, 1);
}

void
buf_put_u16 (struct buf *self, uint16_t value)
{
    put_little (self, value, 2);
}

void
buf_put_u32 (struct buf *self, uint32_t value)
{
    put_little (self, value, 4);
}

void
buf_put_u64 (struct buf *self, uint64_t value)
{
    put_little (self, value, 8);
}

void
buf_put_be32 (struct buf *self, uint32_t value)
{
    put_big (self, value, 4);
}

void
buf_put_be64 (struct buf *self, uint64_t value)
{
    put_big (self, value, 8);
}

void
buf_put_str (struct buf *self, struct slice text)
{
    if (text.size > UINT16_MAX) {
        self->failed = true;
        return;
    }
    if (!buf_reserve (self, 2 + text.size))
        return;
    buf_put_u16 (self, (uint16_t) text.size);
    buf_put (self, text.data, text.size);
}

void
buf_vprintf (struct buf *self, const char *format, va_list args)
{
    va_list again;
    va_copy (again, args);
    int size = vsnprintf (NULL, 0, format, args);
    if (size < 0)
        self->failed = true;
    // One more byte than counts, for the NUL that vsnprintf writes.
    else if (buf_reserve (self, (size_t) size + 1))
        self->size += (size_t) vsnprintf ((char *) self->data + self->size, (size_t) size + 1,
                                          format, again);
    va_end (again);
}

void
buf_printf (struct buf *self, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    buf_vprintf (self, format, args);
    va_end (args);
}

const char *
buf_text (struct buf *self)
{
    if (self->failed || (self->capacity == self->size && !grow (self, self->size + 1))) {
        self->failed = true;
        return "";
    }
    self->data[self->size] = 0;
    return (const char *) self->data;
}

struct slice
buf_slice (const struct buf *self)
{
    return slice_of (self->data, self->size);
}

void
buf_clear (struct buf *self)
{
    self->size = 0;
    self->failed = false;
}

void
buf_free (struct buf *self)
{
    int saved = errno;
    free (self->data);
    *self = (struct buf){0};
    errno = saved;
}

struct reader
reader_of (struct slice bytes)
{
    return (struct reader){bytes.data, bytes.size, 0, false};
}

const uint8_t *
reader_bytes (struct reader *self, size_t size)
{
    if (self->failed || size > self->size - self->at) {
        self->failed = true;
        return NULL;
    }
    if (!self->data) // an empty slice of nothing: still a place to point at
        return (const uint8_t *) "";

    const uint8_t *bytes = self->data + self->at;
    self->at += size;
    return bytes;
}

static uint64_t
read_little (struct reader *self, size_t size)
{
    const uint8_t *bytes = reader_bytes (self, size);
    uint64_t value = 0;
    for (size_t i = 0; bytes && i < size; i++)
        value |= (uint64_t) bytes[i] << (8 * i);
    return value;
}

static uint64_t
read_big (struct reader *self, size_t size)
{
    const uint8_t *bytes = reader_bytes (self, size);
    uint64_t value = 0;
    for (size_t i = 0; bytes && i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

uint8_t
reader_u8 (struct reader *self)
{
    return (uint8_t) read_little (self, 1);
}

uint16_t
reader_u16 (struct reader *self)
{
    return (uint16_t) read_little (self, 2);
}

uint32_t
reader_u32 (struct reader *self)
{
    return (uint32_t) read_little (self, 4);
}

uint64_t
reader_u64 (struct reader *self)
{
    return read_little (self, 8);
}

uint32_t
reader_be32 (struct reader *self)
{
    return (uint32_t) read_big (self, 4);
}

uint64_t
reader_be64 (struct reader *self)
{
    return read_big (self, 8);
}

struct slice
reader_str (struct reader *self)
{
    // Both or nothing: a length without its bytes is not consumed either.
    struct reader ahead = *self;
    size_t size = reader_u16 (&ahead);
    const uint8_t *bytes = reader_bytes (&ahead, size);
    if (!bytes) {
        self->failed = true;
        return slice_of (NULL, 0);
    }
    self->at = ahead.at;
    return slice_of (bytes, size);
}

size_t
reader_left (const struct reader *self)
{
    return self->failed ? 0 : self->size - self->at;
}

bool
reader_done (const struct reader *self)
{
    return !self->failed && self->at == self->size;
}

// A new chunk for at least size bytes, put where the next allocation looks for room.
static struct arena_chunk *
add_chunk (struct arena *self, size_t size)
{
    size_t room = self->chunks ? self->chunks->size * 2 : CHUNK_MIN;
    if (room > CHUNK_MAX)
        room = CHUNK_MAX;
    if (room < size)
        room = size;

    struct arena_chunk *chunk = calloc (1, sizeof *chunk + room);
    if (!chunk)
        return NULL;
    chunk->size = room;

    // A chunk that will be full at once goes behind the one that still has room.
    if (self->chunks && room == size) {
        chunk->next = self->chunks->next;
        self->chunks->next = chunk;
    } else {
        chunk->next = self->chunks;
        self->chunks = chunk;
    }
    return chunk;
}

void *
arena_alloc (struct arena *self, size_t size)
{
    const size_t align = _Alignof(max_align_t);
    size_t limit = self->limit ? self->limit : ARENA_LIMIT_DEFAULT;

    if (size > SIZE_MAX - sizeof (struct arena_chunk) - align)
        return NULL;
    size_t taken = (size ? size + align - 1 : align) / align * align;
    if (taken > limit - self->used)
        return NULL;

    struct arena_chunk *chunk = self->chunks;
    if (!chunk || taken > chunk->size - chunk->used)
        chunk = add_chunk (self, taken);
    if (!chunk)
        return NULL;

    void *bytes = chunk->bytes + chunk->used;
    chunk->used += taken;
    self->used += taken;
    return bytes;
}

void *
arena_alloc_array (struct arena *self, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow (count, size, &total))
        return NULL;
    return arena_alloc (self, total);
}

char *
arena_copy (struct arena *self, const void *data, size_t size)
{
    if (size == SIZE_MAX)
        return NULL;
    char *copy = arena_alloc (self, size + 1);
    if (copy && size > 0)
        memcpy (copy, data, size);
    return copy;
}

void
arena_free (struct arena *self)
{
    int saved = errno;
    while (self->chunks) {
        struct arena_chunk *next = self->chunks->next;
        free (self->chunks);
        self->chunks = next;
    }
    self->used = 0;
    errno = saved;
}
