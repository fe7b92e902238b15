/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_TEXT_H
#define LITEDFS_BASE_TEXT_H

/*
 * Text that people typed or will read: numbers with units, UTF-8, escapes, near misses.
 * Nothing here depends on the locale.
 */

#include "base/buf.h"

/* The length in bytes of the UTF-8 sequence at the start of the text, 1 to 4; 0 if there is
 * none or it is not valid (overlong forms, surrogates and what is above U+10FFFF are not). */
size_t text_utf8_next (const void *text, size_t size);

/* Whether all of it is valid UTF-8.  NUL counts as a character. */
bool text_utf8_valid (const void *text, size_t size);

/* Append text so that it stays on its line and cannot drive a terminal: control characters
 * become \n, \r, \t or \xNN (those of C1 two of them), and so do bytes that are not UTF-8.  A
 * backslash stays as it is. */
void text_put_escaped (struct buf *out, const void *text, size_t size);

/* The same into a fixed buffer, with a NUL; what does not fit is cut at a character and ends in
 * "...".  Returns out.  For messages. */
char *text_escape (const void *text, size_t size, char *out, size_t out_size);

/* A whole decimal number from min to max: an optional minus and digits without leading zeros.
 * False, and out unchanged, for anything else. */
bool text_parse_int (const char *text, int64_t min, int64_t max, int64_t *out);

/* A number of bytes: digits, then nothing, B, K, M, G or T (powers of 1024), KB or KiB and so
 * on, in either case, with or without a space before it.  False as above. */
bool text_parse_size (const char *text, int64_t *out);

/* A number of seconds: digits, and a fraction of up to nine digits after a point.  False as
 * above.  At most 10^12 seconds. */
bool text_parse_seconds (const char *text, double *out);

/* How many letters must be inserted, deleted, changed or swapped with their neighbour to turn a
 * into b; case is ignored.  Texts over 64 bytes give SIZE_MAX. */
size_t text_distance (const char *a, const char *b);

/* The candidate nearest to text, or NULL if none is near enough to be meant (a third of its
 * letters, at most three).  candidates: count pointers, NULL ones are skipped. */
const char *text_nearest (const char *text, const char *const *candidates, size_t count);

#endif
