/* SPDX-License-Identifier: MIT */
/*
 * base/id: UUIDs keep what they carry and are read strictly, block ids sort, the seeded
 * generator repeats itself and favours nobody.
 */
#include "base/id.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

START_TEST (random_uuids_are_version_4_and_differ)
{
    struct uuid uuids[100];

    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq (uuid_random (&uuids[i], NULL), 0);
        ck_assert_uint_eq (uuids[i].bytes[6] >> 4, 4);
        ck_assert_uint_eq (uuids[i].bytes[8] >> 6, 2);
        ck_assert (!uuid_is_nil (&uuids[i]));
        for (int other = 0; other < i; other++)
            ck_assert (!uuid_equal (&uuids[i], &uuids[other]));
    }
}
END_TEST

START_TEST (random_bytes_fill_all_and_no_more)
{
    uint8_t bytes[5002] = {0};
    int zeros = 0;

    ck_assert_int_eq (random_bytes (bytes + 1, 5000, NULL), 0);
    ck_assert_int_eq (random_bytes (bytes, 0, NULL), 0);
    ck_assert_uint_eq (bytes[0], 0);
    ck_assert_uint_eq (bytes[5001], 0);
    for (int i = 1; i <= 5000; i++)
        zeros += bytes[i] == 0;
    ck_assert_int_lt (zeros, 200);
}
END_TEST

START_TEST (a_uuid_reads_as_it_prints)
{
    struct uuid uuid;
    struct uuid again;
    char text[UUID_TEXT_SIZE];

    for (size_t i = 0; i < 16; i++)
        uuid.bytes[i] = (uint8_t) (i * 17);
    ck_assert_str_eq (uuid_print (&uuid, text), "00112233-4455-6677-8899-aabbccddeeff");
    ck_assert (uuid_parse (&again, text, 36));
    ck_assert (uuid_equal (&uuid, &again));
    ck_assert (uuid_parse (&again, "00112233-4455-6677-8899-AABBCCDDEEFF", 36));
    ck_assert (uuid_equal (&uuid, &again));
}
END_TEST

START_TEST (other_forms_of_a_uuid_are_refused)
{
    static const char *const wrong[] = {
        "",
        "00112233-4455-6677-8899-aabbccddeef",
        "00112233-4455-6677-8899-aabbccddeefff",
        "{0112233-4455-6677-8899-aabbccddeef}",
        "0011223-34455-6677-8899-aabbccddeeff",
        "00112233445566778899aabbccddeeff----",
        "00112233-4455-6677-8899-aabbccddeegf",
        "00112233-4455-6677-8899-aabbccddee f",
        "00112233_4455-6677-8899-aabbccddeeff",
        "+0112233-4455-6677-8899-aabbccddeeff",
    };
    struct uuid uuid = {{7}};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg (!uuid_parse (&uuid, wrong[i], strlen (wrong[i])), "%s", wrong[i]);
    ck_assert (!uuid_parse (&uuid, "00112233-4455-6677-8899-aabbccddeef\0", 36));
    ck_assert_uint_eq (uuid.bytes[0], 7);
}
END_TEST

START_TEST (nil_is_all_zero_only)
{
    struct uuid uuid = {{0}};

    ck_assert (uuid_is_nil (&uuid));
    uuid.bytes[15] = 1;
    ck_assert (!uuid_is_nil (&uuid));
}
END_TEST

START_TEST (a_file_id_carries_60_bits_of_number_and_62_of_chance)
{
    static const uint64_t numbers[] = {
        0, 1, 0xfff, 0x1000, 0x123456789abcdef, UUID_V8_NUMBER_MAX};
    static const uint64_t chances[] = {0, 1, 0x2aaaaaaaaaaaaaaa, UUID_V8_BITS_MAX};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (size_t j = 0; j < sizeof chances / sizeof *chances; j++) {
            struct uuid uuid;
            uuid_v8 (&uuid, numbers[i], chances[j]);
            ck_assert (uuid_is_v8 (&uuid));
            ck_assert_uint_eq (uuid_v8_number (&uuid), numbers[i]);
            ck_assert_uint_eq (uuid_v8_bits (&uuid), chances[j]);
        }
}
END_TEST

START_TEST (a_file_id_has_the_layout_that_is_written_down)
{
    struct uuid uuid;
    char text[UUID_TEXT_SIZE];

    uuid_v8 (&uuid, 0x123456789abcdef, 0x0fedcba987654321);
    ck_assert_str_eq (uuid_print (&uuid, text), "12345678-9abc-8def-8fed-cba987654321");
    uuid_v8 (&uuid, UINT64_MAX, UINT64_MAX); // what does not fit is cut off
    ck_assert_str_eq (uuid_print (&uuid, text), "ffffffff-ffff-8fff-bfff-ffffffffffff");
}
END_TEST

START_TEST (a_random_uuid_is_no_file_id)
{
    struct uuid uuid;

    ck_assert_int_eq (uuid_random (&uuid, NULL), 0);
    ck_assert (!uuid_is_v8 (&uuid));
    memset (&uuid, 0xff, sizeof uuid);
    ck_assert (!uuid_is_v8 (&uuid));
}
END_TEST

START_TEST (equal_seeds_give_equal_rows_and_others_do_not)
{
    struct rng a;
    struct rng b;
    struct rng c;

    rng_seed (&a, 1);
    rng_seed (&b, 1);
    rng_seed (&c, 2);
    for (int i = 0; i < 100; i++) {
        uint64_t drawn = rng_next (&a);
        ck_assert_uint_eq (drawn, rng_next (&b));
        ck_assert_uint_ne (drawn, rng_next (&c));
    }
}
END_TEST

START_TEST (the_generator_is_splitmix64)
{
    struct rng rng;

    rng_seed (&rng, 1234567);
    ck_assert_uint_eq (rng_next (&rng), 6457827717110365317u);
    ck_assert_uint_eq (rng_next (&rng), 3203168211198807973u);
}
END_TEST

START_TEST (numbers_below_a_limit_are_below_it_and_spread)
{
    struct rng rng;
    int counts[7] = {0};

    rng_seed (&rng, 99);
    for (int i = 0; i < 70000; i++) {
        uint64_t drawn = rng_below (&rng, 7);
        ck_assert_uint_lt (drawn, 7);
        counts[drawn]++;
    }
    for (int i = 0; i < 7; i++) {
        ck_assert_int_gt (counts[i], 9500);
        ck_assert_int_lt (counts[i], 10500);
    }
    ck_assert_uint_eq (rng_below (&rng, 1), 0);
    ck_assert_uint_eq (rng_below (&rng, 0), 0);
    ck_assert_uint_lt (rng_below (&rng, UINT64_MAX), UINT64_MAX);
}
END_TEST

START_TEST (block_ids_sort_by_epoch_and_counter)
{
    ck_assert_uint_lt (block_id (1, BLOCK_COUNTER_MAX), block_id (2, 0));
    ck_assert_uint_lt (block_id (1, 1), block_id (1, 2));
    ck_assert_uint_eq (block_id_epoch (block_id (BLOCK_EPOCH_MAX, 5)), BLOCK_EPOCH_MAX);
    ck_assert_uint_eq (block_id_counter (block_id (3, BLOCK_COUNTER_MAX)), BLOCK_COUNTER_MAX);
    ck_assert_uint_eq (block_id (UINT32_MAX, UINT64_MAX), UINT64_MAX);
}
END_TEST

START_TEST (a_block_id_reads_as_it_prints_and_in_no_other_form)
{
    char text[BLOCK_ID_TEXT_SIZE];
    uint64_t id = 7;

    ck_assert_str_eq (block_id_print (block_id (1, 0xab), text), "00000100000000ab");
    ck_assert (block_id_parse (&id, text, 16));
    ck_assert_uint_eq (id, block_id (1, 0xab));
    ck_assert (block_id_parse (&id, "ffffffffffffffff", 16));
    ck_assert_uint_eq (id, UINT64_MAX);

    ck_assert (!block_id_parse (&id, "00000100000000AB", 16));
    ck_assert (!block_id_parse (&id, "00000100000000a", 15));
    ck_assert (!block_id_parse (&id, "00000100000000abc", 17));
    ck_assert (!block_id_parse (&id, "0x000100000000ab", 16));
    ck_assert (!block_id_parse (&id, " 0000100000000ab", 16));
    ck_assert_uint_eq (id, UINT64_MAX);
}
END_TEST

UNIT_MAIN ("base_id", random_uuids_are_version_4_and_differ, random_bytes_fill_all_and_no_more,
           a_uuid_reads_as_it_prints, other_forms_of_a_uuid_are_refused, nil_is_all_zero_only,
           a_file_id_carries_60_bits_of_number_and_62_of_chance,
           a_file_id_has_the_layout_that_is_written_down, a_random_uuid_is_no_file_id,
           equal_seeds_give_equal_rows_and_others_do_not, the_generator_is_splitmix64,
           numbers_below_a_limit_are_below_it_and_spread, block_ids_sort_by_epoch_and_counter,
           a_block_id_reads_as_it_prints_and_in_no_other_form)
