/* SPDX-License-Identifier: MIT */
/*
 * Numbers with units, UTF-8, escapes and near misses.
 *
 * Numbers are read by hand and not by strtol and strtod, which take leading spaces, hex, "inf"
 * and whatever point the locale has, and tell overflow through errno.
 */
#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

// The longest escape: \xNN twice, and a NUL.
#define PIECE_SIZE 9

// The longest text that text_distance compares, in bytes.
#define DISTANCE_MAX 64

size_t
text_utf8_next (const void *text, size_t size)
{
    const uint8_t *at = text;
    size_t length;
    uint32_t lowest; // what would fit in a shorter sequence is not valid

    if (size == 0)
        return 0;
    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        length = 2, lowest = 0x80;
    else if (at[0] >= 0xe0 && at[0] <= 0xef)
        length = 3, lowest = 0x800;
    else if (at[0] >= 0xf0 && at[0] <= 0xf4)
        length = 4, lowest = 0x10000;
    else
        return 0;
    if (length > size)
        return 0;

    uint32_t point = at[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (at[i] & 0x3fu);
    }
    bool surrogate = point >= 0xd800 && point <= 0xdfff;
    return point < lowest || point > 0x10ffff || surrogate ? 0 : length;
}

bool
text_utf8_valid (const void *text, size_t size)
{
    const uint8_t *at = text;
    while (size > 0) {
        size_t length = text_utf8_next (at, size);
        if (length == 0)
            return false;
        at += length;
        size -= length;
    }
    return true;
}

// Write how the first character is shown to piece; gives the piece's size in *piece_size and
// returns how many bytes of text it stands for.  size is not 0.
static size_t
escape_first (const uint8_t *text, size_t size, char piece[PIECE_SIZE], size_t *piece_size)
{
    size_t length = text_utf8_next (text, size);
    bool control = length == 1 && (text[0] < 0x20 || text[0] == 0x7f);
    bool control_c1 = length == 2 && text[0] == 0xc2 && text[1] < 0xa0;

    if (length > 0 && !control && !control_c1) {
        memcpy (piece, text, length);
        *piece_size = length;
        return length;
    }

    const char *letter = length == 1 ? strchr ("\nn\rr\tt", text[0]) : NULL;
    if (control && text[0] && letter)
        *piece_size = (size_t) snprintf (piece, PIECE_SIZE, "\\%c", letter[1]);
    else if (control_c1)
        *piece_size = (size_t) snprintf (piece, PIECE_SIZE, "\\x%02x\\x%02x", text[0], text[1]);
    else
        *piece_size = (size_t) snprintf (piece, PIECE_SIZE, "\\x%02x", text[0]);
    return length ? length : 1;
}

void
text_put_escaped (struct buf *out, const void *text, size_t size)
{
    const uint8_t *at = text;
    while (size > 0) {
        char piece[PIECE_SIZE];
        size_t piece_size;
        size_t taken = escape_first (at, size, piece, &piece_size);
        buf_put (out, piece, piece_size);
        at += taken;
        size -= taken;
    }
}

char *
text_escape (const void *text, size_t size, char *out, size_t out_size)
{
    static const char ellipsis[] = "...";
    const uint8_t *at = text;
    size_t used = 0;
    size_t safe = 0; // the last end of a character after which the ellipsis still fits

    if (out_size == 0)
        return out;
    while (size > 0) {
        char piece[PIECE_SIZE];
        size_t piece_size;
        size_t taken = escape_first (at, size, piece, &piece_size);
        if (used + piece_size >= out_size) {
            size_t room = out_size - 1 - safe;
            size_t length = room < sizeof ellipsis - 1 ? room : sizeof ellipsis - 1;
            memcpy (out + safe, ellipsis, length);
            used = safe + length;
            break;
        }
        memcpy (out + used, piece, piece_size);
        used += piece_size;
        if (used + sizeof ellipsis <= out_size)
            safe = used;
        at += taken;
        size -= taken;
    }
    out[used] = 0;
    return out;
}

// Read digits at *at as a number up to max, without leading zeros; moves *at behind them.
static bool
take_digits (const char **at, uint64_t max, uint64_t *out)
{
    const char *digits = *at;
    uint64_t value = 0;

    if (!isdigit ((unsigned char) digits[0]) ||
        (digits[0] == '0' && isdigit ((unsigned char) digits[1])))
        return false;
    for (; isdigit ((unsigned char) *digits); digits++) {
        uint64_t digit = (uint64_t) (*digits - '0');
        if (value > (max - digit) / 10 || digit > max)
            return false;
        value = value * 10 + digit;
    }
    *at = digits;
    *out = value;
    return true;
}

bool
text_parse_int (const char *text, int64_t min, int64_t max, int64_t *out)
{
    bool negative = text[0] == '-';
    const char *at = text + negative;
    uint64_t value;

    if (!take_digits (&at, (uint64_t) INT64_MAX + negative, &value) || *at)
        return false;
    int64_t number = negative ? (int64_t) (0 - value) : (int64_t) value;
    if (number < min || number > max)
        return false;
    *out = number;
    return true;
}

bool
text_parse_size (const char *text, int64_t *out)
{
    static const char letters[] = "kmgt";
    const char *at = text;
    uint64_t value;
    unsigned shift = 0;

    if (!take_digits (&at, INT64_MAX, &value))
        return false;
    if (*at == ' ' && at[1])
        at++;

    const char *letter = *at ? strchr (letters, tolower ((unsigned char) *at)) : NULL;
    if (letter) {
        shift = 10 * (unsigned) (letter - letters + 1);
        at++;
        if (strcasecmp (at, "ib") == 0)
            at += 2;
    }
    if (strcasecmp (at, "b") == 0)
        at++;
    if (*at || value > (uint64_t) INT64_MAX >> shift)
        return false;
    *out = (int64_t) (value << shift);
    return true;
}

bool
text_parse_seconds (const char *text, double *out)
{
    const char *at = text;
    uint64_t whole;
    uint64_t fraction = 0;
    uint64_t scale = 1;

    if (!take_digits (&at, 1000000000000, &whole))
        return false;
    if (*at == '.') {
        at++;
        if (!isdigit ((unsigned char) *at))
            return false;
        for (; isdigit ((unsigned char) *at) && scale < 1000000000; at++) {
            fraction = fraction * 10 + (uint64_t) (*at - '0');
            scale *= 10;
        }
    }
    if (*at)
        return false;
    *out = (double) whole + (double) fraction / (double) scale;
    return true;
}

static size_t
least (size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t
text_distance (const char *a, const char *b)
{
    // rows[i % 3][j]: the distance of the first i letters of a and the first j of b
    size_t rows[3][DISTANCE_MAX + 1];
    size_t size_a = strlen (a);
    size_t size_b = strlen (b);

    if (size_a > DISTANCE_MAX || size_b > DISTANCE_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= size_b; j++)
        rows[0][j] = j;

    for (size_t i = 1; i <= size_a; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= size_b; j++) {
            int x = tolower ((unsigned char) a[i - 1]);
            int y = tolower ((unsigned char) b[j - 1]);
            row[j] = least (least (above[j] + 1, row[j - 1] + 1), above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower ((unsigned char) b[j - 2]) &&
                y == tolower ((unsigned char) a[i - 2]))
                row[j] = least (row[j], rows[(i - 2) % 3][j - 2] + 1);
        }
    }
    return rows[size_a % 3][size_b];
}

const char *
text_nearest (const char *text, const char *const *candidates, size_t count)
{
    size_t limit = least (3, (strlen (text) + 2) / 3);
    size_t best = limit + 1;
    const char *nearest = NULL;

    for (size_t i = 0; i < count; i++) {
        size_t distance = candidates[i] ? text_distance (text, candidates[i]) : SIZE_MAX;
        if (distance < best) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}
