/* SPDX-License-Identifier: MIT */
/*
 * datanode/blockstore_inventory: digests are those of the blocks that are here, as of what was confirmed, and
 * listings have every block of their buckets once, whatever happens meanwhile.
 */
#include "datanode_store.h"

#include "base/id.h"

static struct blockstore_digest digests[BLOCK_ID_BUCKETS];

/* The digests, which must be of change `seq`. */
static void
take_digests (uint64_t seq)
{
    uint64_t of;
    expect (0, blockstore_digests (store, digests, &of, &error));
    ck_assert_uint_eq (of, seq);
}

/* Check that the digests are those of blocks 1 to `last`, without `except`. */
static void
check_digests (uint64_t last, uint64_t except)
{
    static struct blockstore_digest expected[BLOCK_ID_BUCKETS];
    memset (expected, 0, sizeof expected);
    for (uint64_t block = 1; block <= last; block++) {
        struct blockstore_digest *digest = &expected[block_id_bucket (block)];
        if (block == except)
            continue;
        digest->hash ^= block_id_hash (block);
        digest->count++;
    }
    ck_assert (memcmp (expected, digests, sizeof expected) == 0);
}

static void
put_blocks (uint64_t first, uint64_t last)
{
    while (first <= last) {
        struct blockstore_finish items[50] = {0};
        size_t n = 0;
        for (; n < 50 && first <= last; n++)
            items[n].writing = store_write (first++, 1);
        expect (0, blockstore_finish (store, items, n, &error));
    }
}

static void
delete_block (uint64_t number, uint64_t block)
{
    struct blockstore_order order = {.number = number, .block = block, .kind = ORDER_DELETE};
    expect (0, blockstore_execute (store, 1, &order, 1, &error));
}

START_TEST (digests_are_of_the_change_that_was_confirmed_last)
{
    take_digests (0);
    check_digests (0, 0);
    put_blocks (1, 20);
    take_digests (0);
    check_digests (0, 0);
    expect (0, blockstore_confirm (store, 15, &error));
    take_digests (15);
    check_digests (15, 0);
    delete_block (1, 7);
    take_digests (15);
    check_digests (15, 0);
    expect (0, blockstore_confirm (store, 21, &error));
    take_digests (21);
    check_digests (20, 7);
    store_reopen ();
    take_digests (21);
    check_digests (20, 7);
}
END_TEST

START_TEST (many_changes_that_are_not_confirmed_are_taken_back)
{
    put_blocks (1, 700);
    expect (0, blockstore_confirm (store, 3, &error));
    take_digests (3);
    check_digests (3, 0);
}
END_TEST

#ifdef LITEDFS_FAULT
START_TEST (what_is_not_committed_is_not_counted)
{
    put_blocks (1, 3);
    ck_assert_int_eq (fault_set ("blockstore_commit_error=error", &error), 0);
    struct blockstore_finish item = {.writing = store_write (4, 1)};
    ck_assert_int_lt (blockstore_finish (store, &item, 1, &error), 0);
    ck_assert_int_eq (fault_set (NULL, &error), 0);
    blockstore_abandon (&item.writing);
    expect (0, blockstore_confirm (store, 3, &error));
    take_digests (3);
    check_digests (3, 0);
    put_blocks (4, 4);
    expect (0, blockstore_confirm (store, 4, &error));
    take_digests (4);
    check_digests (4, 0);
}
END_TEST
#endif

/* ---- listings ----------------------------------------------------------------------------------- */

enum { PAGE = 16 };

static struct wire_present room[PAGE];
static struct blockstore_page page = {.blocks = room, .max = PAGE};

static void
all_buckets (uint8_t buckets[BLOCK_ID_BUCKETS / 8])
{
    memset (buckets, 0xff, BLOCK_ID_BUCKETS / 8);
}

/* Check a page: its blocks in order and in its ranges, as of the store's last change. */
static void
check_page (void)
{
    size_t at = 0;
    ck_assert_uint_eq (page.seq, blockstore_seq (store));
    for (size_t i = 0; i < page.ranges_count; i++) {
        const struct wire_range *range = &page.ranges[i];
        uint64_t after = range->after;
        ck_assert (i == 0 || range->bucket > page.ranges[i - 1].bucket);
        for (; at < page.count && block_id_bucket (room[at].block) == range->bucket; at++) {
            ck_assert (room[at].block > after && room[at].block <= range->last);
            after = room[at].block;
        }
    }
    ck_assert_uint_eq (at, page.count);
}

/* The next page is taken as a whole; false at the end. */
static bool
next_page (struct blockstore_listing *listing)
{
    expect (0, blockstore_listing_page (listing, &page, &error));
    check_page ();
    if (page.ranges_count == 0)
        return false;
    const struct wire_range *last = &page.ranges[page.ranges_count - 1];
    blockstore_listing_advance (listing, (uint32_t) last->bucket, last->last);
    return true;
}

START_TEST (a_listing_has_every_block_of_its_buckets_once)
{
    enum { BLOCKS = 100 };
    uint8_t buckets[BLOCK_ID_BUCKETS / 8];
    struct blockstore_listing *listing;
    unsigned seen[BLOCKS + 1] = {0};
    put_blocks (1, BLOCKS);
    all_buckets (buckets);
    uint32_t left_out = block_id_bucket (1);
    buckets[left_out / 8] &= (uint8_t) ~(1u << left_out % 8);
    expect (0, blockstore_listing_new (&listing, store, buckets, &error));
    ck_assert_uint_eq (blockstore_listing_seq (listing), BLOCKS);
    for (size_t i = 0; i < sizeof buckets; i++)
        ck_assert_uint_eq (buckets[i], 0);
    while (next_page (listing))
        for (size_t i = 0; i < page.count; i++)
            seen[room[i].block]++;
    for (uint64_t block = 1; block <= BLOCKS; block++)
        ck_assert_uint_eq (seen[block], block_id_bucket (block) != left_out);
    blockstore_listing_destroy (&listing);
}
END_TEST

START_TEST (a_listing_goes_on_where_the_last_page_was_left)
{
    enum { BLOCKS = 100 };
    uint8_t buckets[BLOCK_ID_BUCKETS / 8];
    struct blockstore_listing *listing;
    unsigned count = 0;
    put_blocks (1, BLOCKS);
    all_buckets (buckets);
    expect (0, blockstore_listing_new (&listing, store, buckets, &error));
    for (;;) { // one block of each page is taken
        expect (0, blockstore_listing_page (listing, &page, &error));
        check_page ();
        if (page.count == 0)
            break;
        blockstore_listing_advance (listing, block_id_bucket (room[0].block), room[0].block);
        count++;
    }
    ck_assert_uint_eq (count, BLOCKS);
    ck_assert (next_page (listing)); // ranges in which nothing is left
    ck_assert (!next_page (listing));
    blockstore_listing_destroy (&listing);
}
END_TEST

START_TEST (blocks_that_go_while_it_is_sent_are_not_listed)
{
    uint8_t buckets[BLOCK_ID_BUCKETS / 8];
    struct blockstore_listing *listing;
    unsigned count = 0;
    put_blocks (1, 40);
    all_buckets (buckets);
    expect (0, blockstore_listing_new (&listing, store, buckets, &error));
    for (uint64_t block = 1; block <= 30; block++)
        delete_block (block, block);
    put_blocks (41, 50);
    while (next_page (listing))
        for (size_t i = 0; i < page.count; i++) {
            ck_assert_uint_gt (room[i].block, 30);
            count++;
        }
    ck_assert_uint_eq (count, 10);
    ck_assert_uint_eq (blockstore_listing_seq (listing), 40);
    blockstore_listing_destroy (&listing);
}
END_TEST

#ifdef LITEDFS_FAULT
#define FAULT_CASES , what_is_not_committed_is_not_counted
#else
#define FAULT_CASES
#endif

UNIT_MAIN_FIXTURE ("datanode_blockstore_inventory", store_setup, store_teardown,
                   digests_are_of_the_change_that_was_confirmed_last,
                   many_changes_that_are_not_confirmed_are_taken_back,
                   a_listing_has_every_block_of_its_buckets_once,
                   a_listing_goes_on_where_the_last_page_was_left,
                   blocks_that_go_while_it_is_sent_are_not_listed FAULT_CASES)
