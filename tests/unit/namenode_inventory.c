/* SPDX-License-Identifier: MIT */
/*
 * namenode/inventory: digests tell which buckets differ, listings bring them together, and what is newer than
 * a listing stays as it is.
 */
#include "namenode/inventory.h"

#include "namenode/quarantine.h"

#include "namenode_store.h"

enum { NODE = 1, BLOCKS = 400 };

/* ---- the data node that is played ---------------------------------------------------------------- */

static uint64_t ids[BLOCKS]; // every other one somebody owns
static bool has[BLOCKS];
static uint64_t seq;      // of the last change
static uint64_t reported; // up to here
static struct wire_change changes[100000];

/* Block i comes or goes. */
static void
turn (size_t i)
{
    has[i] = !has[i];
    changes[seq] = (struct wire_change){.seq = seq + 1,
                                        .kind = has[i] ? CHANGE_ADDED : CHANGE_REMOVED,
                                        .block = ids[i],
                                        .size = 100,
                                        .crc32 = 5};
    seq++;
}

static void
turn_some (struct rng *rng, uint64_t most)
{
    for (uint64_t n = rng_below (rng, most + 1); n > 0; n--)
        turn ((size_t) rng_below (rng, BLOCKS));
}

/* Report all changes; with lost, about one in so many goes astray. */
static void
report (struct rng *rng, uint64_t lost)
{
    struct held_report result;
    struct txn *txn = begin ();

    for (uint64_t i = reported; i < seq; i++)
        if (lost == 0 || rng_below (rng, lost) != 0)
            ck_ok (held_apply (txn, NODE, &changes[i], 1, &result, E));
    reported = seq;
    commit (&txn);
}

static void
digests_of (uint8_t out[BLOCK_ID_BUCKETS * INVENTORY_DIGEST_SIZE])
{
    uint64_t hash[BLOCK_ID_BUCKETS] = {0}, count[BLOCK_ID_BUCKETS] = {0};

    for (size_t i = 0; i < BLOCKS; i++)
        if (has[i]) {
            hash[block_id_bucket (ids[i])] ^= block_id_hash (ids[i]);
            count[block_id_bucket (ids[i])]++;
        }
    for (size_t i = 0; i < BLOCK_ID_BUCKETS; i++) {
        key_be64 (out + i * INVENTORY_DIGEST_SIZE, hash[i]);
        key_be64 (out + i * INVENTORY_DIGEST_SIZE + 8, count[i]);
    }
}

/* Compare as of `at`; how many buckets differ. */
static unsigned
compare (uint64_t at, uint8_t differ[BLOCK_ID_BUCKETS / 8], bool *compared)
{
    uint8_t digests[BLOCK_ID_BUCKETS * INVENTORY_DIGEST_SIZE];
    struct txn *txn = begin ();
    uint64_t known;
    unsigned count = 0;

    digests_of (digests);
    ck_ok (inventory_compare (txn, NODE, at, slice_of (digests, sizeof digests), differ, &known,
                              compared, E));
    commit (&txn);
    for (uint32_t i = 0; i < BLOCK_ID_BUCKETS; i++)
        count += differ[i / 8] >> i % 8 & 1;
    return count;
}

/* ---- what the name node has ---------------------------------------------------------------------- */

static void
set_up (void)
{
    struct txn *txn = begin ();

    seq = reported = 0;
    memset (has, 0, sizeof has);
    add_node (txn, NODE);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        struct block_row row = {.inode = 50,
                                .index = i,
                                .state = BLOCK_FINISHED,
                                .size = 100,
                                .crc = 5,
                                .nodes = {9},
                                .nodes_count = 1};
        struct owner_row owner = {.inode = 50, .index = i};
        ids[i] = block_id (9, i + 1);
        if (i % 2 != 0)
            continue;
        ck_ok (meta_next_block (txn, &row.block, E));
        owner.block = ids[i] = row.block;
        ck_ok (block_row_put (txn, &row, E));
        ck_ok (owner_row_put (txn, &owner, E));
    }
    commit (&txn);
}

/* Check rows, holders and quarantine against what the node has. */
static void
check_equal (void)
{
    struct txn *txn = begin_read ();
    struct quarantine_totals totals;
    struct node_row node;
    uint64_t blocks = 0, unknown = 0;

    for (uint32_t i = 0; i < BLOCKS; i++) {
        struct held_row held;
        struct block_row row;
        int rc = held_row_get (txn, NODE, ids[i], &held, E);
        ck_assert_int_eq (rc, has[i] ? 0 : LITEDFS_NOT_FOUND);
        blocks += has[i];
        unknown += has[i] && i % 2 != 0;
        if (has[i])
            ck_assert_int_eq (held.state, i % 2 == 0 ? HELD_CONFIRMED : HELD_UNKNOWN);
        if (i % 2 != 0)
            continue;
        ck_ok (block_row_get (txn, 50, i, &row, E));
        ck_assert_int_eq (block_row_has_node (&row, NODE), has[i]);
    }
    ck_ok (node_row_get (txn, NODE, &node, E));
    ck_assert_uint_eq (node.blocks, blocks);
    ck_assert_uint_eq (node.bytes, blocks * 100);
    ck_ok (quarantine_totals (txn, NODE, &totals, E));
    ck_assert_uint_eq (totals.blocks, unknown);
    ck_assert_uint_eq (totals.bytes, unknown * 100);
    txn_abort (&txn);
}

/* ---- listings ------------------------------------------------------------------------------------ */

static uint64_t listed[BLOCKS]; // what was there when the listing was begun, in order
static size_t listed_count;

static int
by_place (const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

    if (block_id_bucket (x) != block_id_bucket (y))
        return block_id_bucket (x) < block_id_bucket (y) ? -1 : 1;
    return (x > y) - (x < y);
}

static bool
is_there (uint64_t block)
{
    for (size_t i = 0; i < BLOCKS; i++)
        if (ids[i] == block)
            return has[i];
    return false;
}

static void
begin_listing (const uint8_t *differ)
{
    listed_count = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        uint32_t bucket = block_id_bucket (ids[i]);
        if (has[i] && (differ[bucket / 8] >> bucket % 8 & 1) != 0)
            listed[listed_count++] = ids[i];
    }
    qsort (listed, listed_count, sizeof *listed, by_place);
}

struct place {
    uint32_t bucket;
    uint64_t after;
};

static bool
is_after (uint64_t block, struct place place)
{
    uint32_t bucket = block_id_bucket (block);

    return bucket > place.bucket || (bucket == place.bucket && block > place.after);
}

struct page {
    struct node_listing_request request;
    struct wire_range ranges[BLOCK_ID_BUCKETS];
    struct wire_present blocks[BLOCKS];
};

/* Fill a page of at most max blocks after a place; false if there is nothing after it. */
static bool
fill_page (struct page *page, const uint8_t *differ, struct place from, size_t max,
           uint64_t complete)
{
    struct place end = {BLOCK_ID_BUCKETS - 1, WIRE_MAX};
    size_t lines = 0;

    page->request = (struct node_listing_request){.node = NODE,
                                                  .complete = complete,
                                                  .seq = seq,
                                                  .ranges = page->ranges,
                                                  .blocks = page->blocks};
    for (size_t i = 0; i < listed_count; i++) {
        if (!is_after (listed[i], from))
            continue;
        if (++lines > max)
            break;
        if (lines == max)
            end = (struct place){block_id_bucket (listed[i]), listed[i]};
        if (is_there (listed[i]))
            page->blocks[page->request.blocks_count++] =
                (struct wire_present){.block = listed[i], .size = 100, .crc32 = 5};
    }
    for (uint32_t i = from.bucket; i <= end.bucket; i++) {
        struct wire_range range = {i, i == from.bucket ? from.after : 0,
                                   i == end.bucket ? end.after : WIRE_MAX};
        if ((differ[i / 8] >> i % 8 & 1) != 0 && range.after < range.last)
            page->ranges[page->request.ranges_count++] = range;
    }
    return page->request.ranges_count > 0;
}

static struct inventory_taken
take (const struct page *page)
{
    struct inventory_taken taken;
    struct txn *txn = begin ();

    ck_ok (inventory_take (txn, &page->request, &taken, E));
    commit (&txn);
    return taken;
}

/* Compare and list until the end; the node goes on changing things meanwhile if there is an rng. */
static void
heal (struct rng *rng)
{
    static struct page page;
    uint8_t differ[BLOCK_ID_BUCKETS / 8];
    struct place place = {0};
    bool compared;

    compare (seq, differ, &compared);
    ck_assert (compared);
    if (rng)
        turn_some (rng, 20);
    begin_listing (differ);
    uint64_t complete = seq;
    for (;;) {
        if (rng)
            turn_some (rng, 3);
        if (!fill_page (&page, differ, place, 1 + (rng ? rng_below (rng, 30) : 10), complete))
            break;
        if (rng && rng_below (rng, 2) == 0 && page.request.seq == seq)
            report (rng, 0); // up to the page's change
        if (rng && rng_below (rng, 4) == 0) {
            turn ((size_t) rng_below (rng, BLOCKS));
            report (rng, 0); // beyond it
        }
        struct inventory_taken taken = take (&page);
        ck_assert (taken.taken == (reported <= page.request.seq));
        if (!taken.taken)
            continue; // read again
        ck_assert (taken.bucket > place.bucket || taken.block > place.after);
        place = (struct place){taken.bucket, taken.block};
    }
}

/* ---- the tests ----------------------------------------------------------------------------------- */

START_TEST (equal_inventories_differ_in_no_bucket)
{
    uint8_t differ[BLOCK_ID_BUCKETS / 8];
    bool compared;

    set_up ();
    for (size_t i = 0; i < BLOCKS; i += 3)
        turn (i);
    report (NULL, 0);
    ck_assert_uint_eq (compare (seq, differ, &compared), 0);
    ck_assert (compared);
    check_equal ();
}
END_TEST

START_TEST (the_bucket_of_a_change_that_was_lost_differs)
{
    uint8_t differ[BLOCK_ID_BUCKETS / 8];
    bool compared;

    set_up ();
    turn (0);
    report (NULL, 0);
    turn (1);
    ck_assert_uint_eq (compare (seq, differ, &compared), 1);
    uint32_t bucket = block_id_bucket (ids[1]);
    ck_assert ((differ[bucket / 8] >> bucket % 8 & 1) != 0);
    ck_assert_uint_eq (compare (seq - 1, differ, &compared), 0);
    ck_assert (!compared); // seq is known by now
    reported = seq;
    heal (NULL);
    check_equal ();
}
END_TEST

START_TEST (what_is_not_in_order_or_not_of_a_node_is_refused)
{
    static struct page page;
    uint8_t digests[16] = {0}, differ[BLOCK_ID_BUCKETS / 8];
    struct inventory_taken taken;
    uint64_t known;
    bool compared;

    set_up ();
    struct txn *txn = begin ();
    ck_fails (LITEDFS_INVALID, inventory_compare (txn, NODE, 1, slice_of (digests, 16), differ,
                                                  &known, &compared, E));
    page.request = (struct node_listing_request){.node = 7,
                                                 .ranges = page.ranges,
                                                 .ranges_count = 1,
                                                 .blocks = page.blocks,
                                                 .blocks_count = 1};
    page.blocks[0] = (struct wire_present){.block = ids[0], .size = 1};
    page.ranges[0] = (struct wire_range){block_id_bucket (ids[0]), 0, WIRE_MAX};
    ck_fails (LITEDFS_NOT_FOUND, inventory_take (txn, &page.request, &taken, E));
    page.request.node = NODE;
    page.request.complete = 1;
    ck_fails (LITEDFS_INVALID, inventory_take (txn, &page.request, &taken, E));
    page.request.complete = 0;
    page.ranges[0].bucket ^= 1;
    ck_fails (LITEDFS_INVALID, inventory_take (txn, &page.request, &taken, E));
    page.ranges[0] = (struct wire_range){block_id_bucket (ids[0]), ids[0], WIRE_MAX};
    ck_fails (LITEDFS_INVALID, inventory_take (txn, &page.request, &taken, E));
    page.ranges[0].last = ids[0];
    ck_fails (LITEDFS_INVALID, inventory_take (txn, &page.request, &taken, E));
    page.ranges[0].after = 0;
    page.blocks[1] = page.blocks[0];
    page.request.blocks_count = 2;
    ck_fails (LITEDFS_INVALID, inventory_take (txn, &page.request, &taken, E));
    ck_assert_uint_eq (txn_written (txn), 0);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_listing_touches_nothing_that_is_newer)
{
    static struct page page;
    uint8_t differ[BLOCK_ID_BUCKETS / 8];

    set_up ();
    memset (differ, 0xff, sizeof differ);
    turn (0);
    turn (2);
    report (NULL, 0);
    begin_listing (differ);
    uint64_t complete = seq;
    turn (4);
    report (NULL, 0);
    ck_assert (fill_page (&page, differ, (struct place){0}, BLOCKS + 1, complete));
    ck_assert_uint_eq (page.request.blocks_count, 2); // 4 is not in it
    struct inventory_taken taken = take (&page);
    ck_assert (taken.taken);
    ck_assert_uint_eq (taken.added + taken.removed, 0);
    check_equal ();
    turn (0);
    report (NULL, 0); // the page is older than that
    ck_assert (!take (&page).taken);
    check_equal ();
}
END_TEST

START_TEST (a_large_listing_is_taken_in_parts)
{
    enum { MANY = 4000 };
    static struct wire_present blocks[MANY];
    static struct wire_range ranges[BLOCK_ID_BUCKETS];
    struct node_listing_request request = {.node = NODE, .blocks = blocks, .ranges = ranges};
    struct inventory_taken taken;
    uint64_t sorted[MANY];
    unsigned parts = 0;
    struct node_row node;

    set_up ();
    for (uint64_t i = 0; i < MANY; i++)
        sorted[i] = block_id (9, i + 1);
    qsort (sorted, MANY, sizeof *sorted, by_place);
    struct txn *txn = begin ();
    do { // what was taken is sent again, too: nothing happens to it
        request.blocks_count = request.ranges_count = 0;
        for (size_t i = 0; i < MANY; i++)
            blocks[request.blocks_count++] =
                (struct wire_present){.block = sorted[i], .size = 1};
        for (uint32_t i = 0; i < BLOCK_ID_BUCKETS; i++)
            ranges[request.ranges_count++] = (struct wire_range){i, 0, WIRE_MAX};
        ck_ok (inventory_take (txn, &request, &taken, E));
        ck_assert (taken.taken);
        parts++;
    } while (taken.added > 0);
    ck_assert_uint_ge (parts, 4);
    ck_assert (taken.bucket == BLOCK_ID_BUCKETS - 1 && taken.block == WIRE_MAX);
    ck_ok (node_row_get (txn, NODE, &node, E));
    ck_assert_uint_eq (node.blocks, MANY);
    txn_abort (&txn);
}
END_TEST

START_TEST (any_divergence_is_healed_while_changes_go_on)
{
    struct rng rng;
    uint8_t differ[BLOCK_ID_BUCKETS / 8];
    bool compared;

    set_up ();
    rng_seed (&rng, 11);
    for (int round = 0; round < 60; round++) {
        turn_some (&rng, 200);
        report (&rng, 1 + rng_below (&rng, 10)); // some, or all of it, go astray
        heal (&rng);
        report (&rng, 0);
        check_equal ();
        ck_assert_uint_eq (compare (seq, differ, &compared), 0);
        ck_assert (compared);
    }
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_inventory", store_setup, store_teardown,
                   equal_inventories_differ_in_no_bucket,
                   the_bucket_of_a_change_that_was_lost_differs,
                   what_is_not_in_order_or_not_of_a_node_is_refused,
                   a_listing_touches_nothing_that_is_newer, a_large_listing_is_taken_in_parts,
                   any_divergence_is_healed_while_changes_go_on)
