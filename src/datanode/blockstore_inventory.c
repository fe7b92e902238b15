/* SPDX-License-Identifier: MIT */
/*
 * What is here, to be compared with what the name node thinks: digests, and listings of some buckets.
 *
 * The index keeps the digests as of its last commit.  The name node has them as of the change that was
 * confirmed last, so what is listed as a change after that is taken back: an id that was added goes, one
 * that was removed comes.
 *
 * A listing reads all ids, some thousand in a snapshot, and keeps those of its buckets; their rows are looked
 * up page by page.  A block that was here when it began, and still is, is found, whatever happens meanwhile.
 * One that was removed in between and came back has a newer number than the listing, and so the name node
 * leaves it alone.
 */

#include "datanode/blockstore_impl.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

enum { CHANGES_PAGE = 256, IDS_PAGE = 4096 };

/* ---- digests ------------------------------------------------------------------------------------ */

int
blockstore_digests (struct blockstore *self, struct blockstore_digest *out, uint64_t *out_seq,
                    litedfs_error_t *error)
{
    struct blockstore_change page[CHANGES_PAGE];
    size_t count;
    uint64_t seq;
    *out_seq = blockstore_confirmed (self);
    blockstore_index_digests (self->index, out, &seq);
    for (uint64_t after = *out_seq; after < seq;) {
        int rc = blockstore_changes (self, after, CHANGES_PAGE, page, &count, error);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < count && page[i].seq <= seq; i++) {
            if (page[i].beside)
                continue;
            struct blockstore_digest *digest = &out[block_id_bucket (page[i].block)];
            digest->hash ^= block_id_hash (page[i].block);
            digest->count += page[i].kind == CHANGE_ADDED ? UINT64_MAX : 1;
        }
        after = count > 0 ? page[count - 1].seq : seq;
    }
    return 0;
}

/* ---- listings ----------------------------------------------------------------------------------- */

struct blockstore_listing {
    struct blockstore *store;
    uint64_t seq;
    uint8_t buckets[BLOCK_ID_BUCKETS / 8];
    uint64_t *ids; // in order of bucket, then id
    size_t count;
    size_t room;
    uint32_t bucket; // the position: all up to this id of this bucket is done
    uint64_t after;
};

static bool
has_bucket (const uint8_t *buckets, uint32_t bucket)
{
    return (buckets[bucket / 8] >> bucket % 8 & 1) != 0;
}

static int
compare_places (uint32_t bucket, uint64_t block, uint32_t other_bucket, uint64_t other)
{
    if (bucket != other_bucket)
        return bucket < other_bucket ? -1 : 1;
    return (block > other) - (block < other);
}

static int
compare_ids (const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a;
    uint64_t y = *(const uint64_t *) b;
    return compare_places (block_id_bucket (x), x, block_id_bucket (y), y);
}

/* Move buckets from `wanted` to the listing, as many as fit; how many blocks they have. */
static uint64_t
choose_buckets (struct blockstore_listing *self, uint8_t *wanted,
                const struct blockstore_digest *digests)
{
    uint64_t blocks = 0;
    bool any = false;
    for (uint32_t bucket = 0; bucket < BLOCK_ID_BUCKETS; bucket++) {
        if (!has_bucket (wanted, bucket))
            continue;
        if (any && blocks + digests[bucket].count > BLOCKSTORE_LISTING_MAX)
            break;
        any = true;
        blocks += digests[bucket].count;
        self->buckets[bucket / 8] |= (uint8_t) (1u << bucket % 8);
        wanted[bucket / 8] &= (uint8_t) ~(1u << bucket % 8);
    }
    return blocks;
}

static bool
keep_id (struct blockstore_listing *self, uint64_t id)
{
    if (self->count == self->room) {
        size_t room = self->room + self->room / 4 + 1024;
        uint64_t *ids = realloc (self->ids, room * sizeof *ids);
        if (!ids)
            return false;
        self->ids = ids;
        self->room = room;
    }
    self->ids[self->count++] = id;
    return true;
}

/* Read a page of ids from *from on, which moves behind them; *more is false when there are none left. */
static int
scan_page (struct blockstore_listing *self, uint64_t *from, bool *more, litedfs_error_t *error)
{
    uint64_t page[IDS_PAGE];
    size_t count = 0;
    struct index_txn txn;
    int rc = index_begin (self->store->index, false, &txn, error);
    if (rc < 0)
        return rc;
    rc = index_ids (&txn, *from, IDS_PAGE, page, &count, error);
    index_abort (&txn);
    for (size_t i = 0; i < count && rc == 0; i++)
        if (has_bucket (self->buckets, block_id_bucket (page[i])) && !keep_id (self, page[i]))
            rc = err_set (error, LITEDFS_MEMORY, "inventory: out of memory");
    *more = count == IDS_PAGE && page[count - 1] != UINT64_MAX;
    if (*more)
        *from = page[count - 1] + 1;
    return rc;
}

int
blockstore_listing_new (struct blockstore_listing **out, struct blockstore *store,
                        uint8_t buckets[BLOCK_ID_BUCKETS / 8], litedfs_error_t *error)
{
    struct blockstore_listing *self = calloc (1, sizeof *self);
    struct blockstore_digest *digests = calloc (BLOCK_ID_BUCKETS, sizeof *digests);
    uint64_t from = 0;
    bool more = true;
    int rc = 0;
    *out = NULL;
    if (!self || !digests) {
        free (self);
        free (digests);
        return err_set (error, LITEDFS_MEMORY, "inventory: out of memory");
    }
    self->store = store;
    blockstore_index_digests (store->index, digests, &self->seq);
    self->room = (size_t) choose_buckets (self, buckets, digests);
    free (digests);
    self->ids = calloc (self->room + 1, sizeof *self->ids);
    if (!self->ids)
        rc = err_set (error, LITEDFS_MEMORY, "inventory: out of memory");
    while (rc == 0 && more)
        rc = scan_page (self, &from, &more, error);
    if (rc < 0) {
        blockstore_listing_destroy (&self);
        return rc;
    }
    qsort (self->ids, self->count, sizeof *self->ids, compare_ids);
    *out = self;
    return 0;
}

void
blockstore_listing_destroy (struct blockstore_listing **self)
{
    if (!*self)
        return;
    free ((*self)->ids);
    free (*self);
    *self = NULL;
}

uint64_t
blockstore_listing_seq (const struct blockstore_listing *self)
{
    return self->seq;
}

/* The first id after the position. */
static size_t
first_left (const struct blockstore_listing *self)
{
    size_t low = 0;
    size_t high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t id = self->ids[middle];
        if (compare_places (block_id_bucket (id), id, self->bucket, self->after) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The ranges from the position to id `last` of bucket `end`. */
static void
fill_ranges (const struct blockstore_listing *self, uint32_t end, uint64_t last,
             struct blockstore_page *page)
{
    page->ranges_count = 0;
    for (uint32_t bucket = self->bucket; bucket <= end; bucket++) {
        struct wire_range range = {.bucket = bucket,
                                   .after = bucket == self->bucket ? self->after : 0,
                                   .last = bucket == end ? last : WIRE_MAX};
        if (has_bucket (self->buckets, bucket) && range.after < range.last)
            page->ranges[page->ranges_count++] = range;
    }
}

int
blockstore_listing_page (struct blockstore_listing *self, struct blockstore_page *page,
                         litedfs_error_t *error)
{
    struct index_txn txn;
    struct blockstore_block row;
    size_t from = first_left (self);
    size_t end = self->count - from > page->max ? from + page->max : self->count;
    if (end < self->count)
        fill_ranges (self, block_id_bucket (self->ids[end - 1]), self->ids[end - 1], page);
    else
        fill_ranges (self, BLOCK_ID_BUCKETS - 1, WIRE_MAX, page);
    page->count = 0;
    int rc = index_begin (self->store->index, false, &txn, error);
    if (rc < 0)
        return rc;
    rc = index_seq (&txn, &page->seq, error);
    for (size_t i = from; i < end && rc == 0; i++) {
        rc = index_block (&txn, self->ids[i], &row, error);
        if (rc == 0)
            page->blocks[page->count++] = (struct wire_present){
                .block = self->ids[i], .size = row.size, .crc32 = row.crc};
        else if (rc == LITEDFS_NOT_FOUND) // removed meanwhile
            rc = 0;
    }
    index_abort (&txn);
    return rc;
}

void
blockstore_listing_advance (struct blockstore_listing *self, uint32_t bucket, uint64_t block)
{
    self->bucket = bucket;
    self->after = block;
}
