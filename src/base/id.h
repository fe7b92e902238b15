/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_ID_H
#define LITEDFS_BASE_ID_H

/*
 * Names that nobody hands out twice: UUIDs, block ids, and the randomness behind them.
 *
 * Two sources of randomness.  random_bytes is the kernel's and is for what must not be guessed
 * or repeated (tokens, UUIDs).  struct rng is a seeded generator and is for decisions that a
 * test wants to repeat (placement, jitter); it is not for secrets.
 */

#include "litedfs.h"

/* Room for a UUID's 36 characters and a NUL; for a block id's 16 and a NUL. */
#define UUID_TEXT_SIZE 37
#define BLOCK_ID_TEXT_SIZE 17

/* A UUID in network byte order.  All zero is the nil UUID: "none". */
struct uuid {
    uint8_t bytes[16];
};

/* Fill with random bytes of the kernel.  Blocks only in the first seconds after the machine's
 * boot.  LITEDFS_FAILED when the kernel gives none. */
int random_bytes (void *out, size_t size, litedfs_error_t *error);

/* A random UUID (version 4).  Errors as random_bytes. */
int uuid_random (struct uuid *out, litedfs_error_t *error);

bool uuid_is_nil (const struct uuid *self);
bool uuid_equal (const struct uuid *a, const struct uuid *b);

/* Write the usual text in lower case; returns out. */
char *uuid_print (const struct uuid *self, char out[UUID_TEXT_SIZE]);

/* Read exactly 36 characters of the usual form, either case; a size of 36 has no NUL to follow.
 * False, and out unchanged, for anything else. */
bool uuid_parse (struct uuid *out, const char *text, size_t size);

/*
 * A version-8 UUID (RFC 9562) that carries a number and checking bits:
 *
 *   bits   0..47   the upper 48 bits of the number
 *   bits  48..51   version, 8
 *   bits  52..63   the lower 12 bits of the number
 *   bits  64..65   variant, binary 10
 *   bits  66..127  62 bits that were drawn at random
 *
 * so number < 2^60; of both arguments only the lower 60 and 62 bits are used.
 */
#define UUID_V8_NUMBER_MAX (((uint64_t) 1 << 60) - 1)
#define UUID_V8_BITS_MAX (((uint64_t) 1 << 62) - 1)

void uuid_v8 (struct uuid *out, uint64_t number, uint64_t bits);

/* Whether version and variant are those of a UUID made by uuid_v8. */
bool uuid_is_v8 (const struct uuid *self);

/* What uuid_v8 was given; without meaning for another UUID. */
uint64_t uuid_v8_number (const struct uuid *self);
uint64_t uuid_v8_bits (const struct uuid *self);

/* A seeded generator (splitmix64): equal seeds give equal rows. */
struct rng {
    uint64_t state;
};

void rng_seed (struct rng *self, uint64_t seed);
uint64_t rng_next (struct rng *self);

/* A number from 0 to limit - 1, each as likely as the others; 0 if limit is 0. */
uint64_t rng_below (struct rng *self, uint64_t limit);

/* A block id: 24 bits of epoch, then 40 bits of counter, so that ids sort by age.  Bits above
 * are not used. */
#define BLOCK_EPOCH_MAX (((uint32_t) 1 << 24) - 1)
#define BLOCK_COUNTER_MAX (((uint64_t) 1 << 40) - 1)

uint64_t block_id (uint32_t epoch, uint64_t counter);
uint32_t block_id_epoch (uint64_t id);
uint64_t block_id_counter (uint64_t id);

/* What data nodes and the name node compare inventories by.  A block id is hashed with splitmix64's last
 * step,
 *   z = id + 0x9e3779b97f4a7c15; z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
 *   z = (z ^ z >> 27) * 0x94d049bb133111eb; z = z ^ z >> 31
 * and belongs to the bucket that the hash's upper 10 bits name. */
#define BLOCK_ID_BUCKETS 1024

uint64_t block_id_hash (uint64_t id);
uint32_t block_id_bucket (uint64_t id);

/* 16 lower-case hex digits; returns out. */
char *block_id_print (uint64_t id, char out[BLOCK_ID_TEXT_SIZE]);

/* Read exactly 16 lower-case hex digits.  False, and out unchanged, for anything else. */
bool block_id_parse (uint64_t *out, const char *text, size_t size);

#endif
