/* SPDX-License-Identifier: MIT */
/*
 * UUIDs of version 4 (random) and 8 (a number and random bits), block ids, and where randomness
 * comes from.  The texts are read strictly: a form that we would not write is not one.
 */
#include "base/id.h"

#include "base/err.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define VERSION_RANDOM 4
#define VERSION_CUSTOM 8

int
random_bytes (void *out, size_t size, litedfs_error_t *error)
{
    uint8_t *at = out;

    while (size > 0) {
        ssize_t got = getrandom (at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno (error, LITEDFS_FAILED, errno, "random bytes of the kernel");
        at += got;
        size -= (size_t) got;
    }
    return 0;
}

static void
set_version (struct uuid *self, unsigned version)
{
    self->bytes[6] = (uint8_t) ((self->bytes[6] & 0x0f) | version << 4);
    self->bytes[8] = (uint8_t) ((self->bytes[8] & 0x3f) | 0x80);
}

int
uuid_random (struct uuid *out, litedfs_error_t *error)
{
    struct uuid fresh;
    int rc = random_bytes (&fresh, sizeof fresh, error);
    if (rc < 0)
        return rc;
    set_version (&fresh, VERSION_RANDOM);
    *out = fresh;
    return 0;
}

bool
uuid_is_nil (const struct uuid *self)
{
    static const struct uuid nil;
    return uuid_equal (self, &nil);
}

bool
uuid_equal (const struct uuid *a, const struct uuid *b)
{
    return memcmp (a->bytes, b->bytes, sizeof a->bytes) == 0;
}

// Whether a hyphen stands before the byte with this index.
static bool
hyphen_before (size_t index)
{
    return index == 4 || index == 6 || index == 8 || index == 10;
}

char *
uuid_print (const struct uuid *self, char out[UUID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    char *at = out;

    for (size_t i = 0; i < sizeof self->bytes; i++) {
        if (hyphen_before (i))
            *at++ = '-';
        *at++ = digits[self->bytes[i] >> 4];
        *at++ = digits[self->bytes[i] & 0x0f];
    }
    *at = 0;
    return out;
}

// The value of a hex digit, or -1.
static int
hex_value (char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool
uuid_parse (struct uuid *out, const char *text, size_t size)
{
    struct uuid read;
    const char *at = text;

    if (size != UUID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < sizeof read.bytes; i++) {
        if (hyphen_before (i) && *at++ != '-')
            return false;
        int high = hex_value (at[0]);
        int low = hex_value (at[1]);
        if (high < 0 || low < 0)
            return false;
        read.bytes[i] = (uint8_t) (high << 4 | low);
        at += 2;
    }
    *out = read;
    return true;
}

void
uuid_v8 (struct uuid *out, uint64_t number, uint64_t bits)
{
    uint64_t high = (number & UUID_V8_NUMBER_MAX) >> 12;

    for (size_t i = 0; i < 6; i++)
        out->bytes[i] = (uint8_t) (high >> (8 * (5 - i)));
    out->bytes[6] = (uint8_t) (number >> 8 & 0x0f);
    out->bytes[7] = (uint8_t) number;
    for (size_t i = 0; i < 8; i++)
        out->bytes[8 + i] = (uint8_t) (bits >> (8 * (7 - i)));
    set_version (out, VERSION_CUSTOM);
}

bool
uuid_is_v8 (const struct uuid *self)
{
    return self->bytes[6] >> 4 == VERSION_CUSTOM && self->bytes[8] >> 6 == 2;
}

uint64_t
uuid_v8_number (const struct uuid *self)
{
    uint64_t number = 0;
    for (size_t i = 0; i < 6; i++)
        number = number << 8 | self->bytes[i];
    return number << 12 | (uint64_t) (self->bytes[6] & 0x0f) << 8 | self->bytes[7];
}

uint64_t
uuid_v8_bits (const struct uuid *self)
{
    uint64_t bits = 0;
    for (size_t i = 8; i < 16; i++)
        bits = bits << 8 | self->bytes[i];
    return bits & UUID_V8_BITS_MAX;
}

void
rng_seed (struct rng *self, uint64_t seed)
{
    self->state = seed;
}

uint64_t
rng_next (struct rng *self)
{
    uint64_t z = self->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t
rng_below (struct rng *self, uint64_t limit)
{
    if (limit == 0)
        return 0;

    // Numbers below 2^64 mod limit would make the small results likelier: draw again.
    uint64_t uneven = -limit % limit;
    uint64_t drawn;
    do
        drawn = rng_next (self);
    while (drawn < uneven);
    return drawn % limit;
}

uint64_t
block_id (uint32_t epoch, uint64_t counter)
{
    return (uint64_t) (epoch & BLOCK_EPOCH_MAX) << 40 | (counter & BLOCK_COUNTER_MAX);
}

uint32_t
block_id_epoch (uint64_t id)
{
    return (uint32_t) (id >> 40);
}

uint64_t
block_id_counter (uint64_t id)
{
    return id & BLOCK_COUNTER_MAX;
}

uint64_t
block_id_hash (uint64_t id)
{
    uint64_t z = id + UINT64_C (0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C (0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C (0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t
block_id_bucket (uint64_t id)
{
    return (uint32_t) (block_id_hash (id) >> 54);
}

char *
block_id_print (uint64_t id, char out[BLOCK_ID_TEXT_SIZE])
{
    snprintf (out, BLOCK_ID_TEXT_SIZE, "%016" PRIx64, id);
    return out;
}

bool
block_id_parse (uint64_t *out, const char *text, size_t size)
{
    uint64_t id = 0;

    if (size != BLOCK_ID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < size; i++) {
        int value = hex_value (text[i]);
        if (value < 0 || (text[i] >= 'A' && text[i] <= 'F'))
            return false;
        id = id << 4 | (uint64_t) value;
    }
    *out = id;
    return true;
}
