/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_BUF_H
#define LITEDFS_BASE_BUF_H

/*
 * Bytes: slices that point at somebody's, a buffer that grows, a reader that never reads beyond
 * the end, and an arena that frees everything at once.
 *
 * The buffer, the reader and the arena are valid when zero-initialised.  Buffer and reader keep
 * a failure until they are cleared, so that a row of puts or reads is checked once, at its end.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most that a buffer takes, in bytes.  More is a mistake or an attack. */
#define BUF_MAX ((size_t) 64 << 20)

/* What an arena takes when its limit is 0, in bytes. */
#define ARENA_LIMIT_DEFAULT ((size_t) 64 << 20)

/* Bytes that belong to another.  data may be NULL when size is 0. */
struct slice {
    const void *data;
    size_t size;
};

/* A slice of size bytes at data; of a C string, without its NUL (NULL gives an empty slice). */
struct slice slice_of (const void *data, size_t size);
struct slice slice_str (const char *text);

/* Whether both hold the same bytes. */
bool slice_equal (struct slice a, struct slice b);

/* A buffer: `size` bytes at `data`.  failed stays set once memory was short or BUF_MAX
 * exceeded; what did not fit is not put, not even in part, and nothing is put after it. */
struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool failed;
};

/* Append bytes; data may be NULL when size is 0, and may point into the buffer itself. */
void buf_put (struct buf *self, const void *data, size_t size);

/* Append a number, little endian (what is on disk and on the wire). */
void buf_put_u8 (struct buf *self, uint8_t value);
void buf_put_u16 (struct buf *self, uint16_t value);
void buf_put_u32 (struct buf *self, uint32_t value);
void buf_put_u64 (struct buf *self, uint64_t value);

/* Append a number, big endian: keys that sort as their numbers do. */
void buf_put_be32 (struct buf *self, uint32_t value);
void buf_put_be64 (struct buf *self, uint64_t value);

/* Append a 16-bit length and the bytes; more than 65,535 of them fail. */
void buf_put_str (struct buf *self, struct slice text);

/* Append formatted text, without a NUL. */
void buf_printf (struct buf *self, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));
void buf_vprintf (struct buf *self, const char *format, va_list args)
    __attribute__ ((format (printf, 2, 0)));

/* Make room for size more bytes, so that puts up to it cannot fail; false if it cannot be
 * had. */
bool buf_reserve (struct buf *self, size_t size);

/* The text as a C string: puts a NUL after the last byte and does not count it.  Never NULL: ""
 * after a failure.  Valid until the next call on the buffer. */
const char *buf_text (struct buf *self);

/* The bytes as a slice, valid until the next call on the buffer. */
struct slice buf_slice (const struct buf *self);

/* Empty it and forget a failure; the memory is kept. */
void buf_clear (struct buf *self);

/* Free the memory and make it as new.  Keeps errno. */
void buf_free (struct buf *self);

/* Reads a slice from its start.  A read beyond the end sets failed, consumes nothing and gives
 * 0, NULL or an empty slice; all reads after it do the same. */
struct reader {
    const uint8_t *data;
    size_t size;
    size_t at;
    bool failed;
};

struct reader reader_of (struct slice bytes);

/* Read a number, little endian. */
uint8_t reader_u8 (struct reader *self);
uint16_t reader_u16 (struct reader *self);
uint32_t reader_u32 (struct reader *self);
uint64_t reader_u64 (struct reader *self);

/* Read a number, big endian. */
uint32_t reader_be32 (struct reader *self);
uint64_t reader_be64 (struct reader *self);

/* The next size bytes, which stay the property of who owns the slice; NULL on failure.  Not
 * NULL for size 0 unless it has failed. */
const uint8_t *reader_bytes (struct reader *self, size_t size);

/* What buf_put_str put. */
struct slice reader_str (struct reader *self);

/* How many bytes are left; 0 after a failure. */
size_t reader_left (const struct reader *self);

/* Whether everything was read and no read failed. */
bool reader_done (const struct reader *self);

/* Memory that is freed all at once.  limit: the most it hands out, in bytes, 0 means
 * ARENA_LIMIT_DEFAULT; used: what it has handed out, rounded up. */
struct arena {
    struct arena_chunk *chunks;
    size_t used;
    size_t limit;
};

/* Zeroed memory, aligned for any type, valid until arena_free; size 0 gives a valid pointer
 * too.  NULL when memory is short or the limit would be passed. */
void *arena_alloc (struct arena *self, size_t size);

/* The same for count elements of size bytes; NULL if the product overflows. */
void *arena_alloc_array (struct arena *self, size_t count, size_t size);

/* A copy of the bytes with a NUL after them; NULL as above. */
char *arena_copy (struct arena *self, const void *data, size_t size);

/* Free everything that came from it and make it as new, with the same limit.  Keeps errno. */
void arena_free (struct arena *self);

#endif
