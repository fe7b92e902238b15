/* SPDX-License-Identifier: MIT */
/*
 * datanode/blockcache: the oldest goes, what is used stays open, what was dropped is not kept.
 */
#include "datanode/blockcache.h"

#include "datanode_store.h"

static struct blockcache *cache;

static void
teardown (void)
{
    blockcache_destroy (&cache);
}

static struct open_block *
add (uint64_t block, uint64_t size, uint64_t generation)
{
    struct blockfile trailer = {.block = block, .size = size};
    int fd = open ("/dev/null", O_RDONLY);
    trailer.units = calloc (crc_unit_count (size) + 1, sizeof (uint32_t));
    struct open_block *entry = blockcache_add (cache, fd, &trailer, generation);
    ck_assert_ptr_nonnull (entry);
    ck_assert_ptr_null (trailer.units);
    return entry;
}

static void
put (uint64_t block, uint64_t size)
{
    blockcache_release (cache, add (block, size, blockcache_generation (cache)));
}

static bool
has (uint64_t block)
{
    struct open_block *entry = blockcache_find (cache, block);
    ck_assert (!entry || entry->trailer.block == block);
    blockcache_release (cache, entry);
    return entry != NULL;
}

static bool
is_open (int fd)
{
    return fcntl (fd, F_GETFD) >= 0;
}

START_TEST (the_least_recently_used_goes_first)
{
    cache = blockcache_new (3, SIZE_MAX);
    for (uint64_t block = 1; block <= 3; block++)
        put (block * 512, 1); // all in one bucket
    ck_assert (has (512));
    put (4 * 512, 1);
    ck_assert (has (512) && !has (2 * 512) && has (3 * 512) && has (4 * 512));
}
END_TEST

START_TEST (memory_for_trailers_is_bounded_too)
{
    cache = blockcache_new (1000, 100000);
    for (uint64_t block = 1; block <= 100; block++)
        put (block, 64 << 20); // 4 KiB of CRCs each
    size_t there = 0;
    for (uint64_t block = 1; block <= 100; block++)
        there += has (block);
    ck_assert (there >= 20 && there <= 24);
    ck_assert (has (100));
}
END_TEST

START_TEST (what_is_used_stays_open_until_its_last_user_is_done)
{
    cache = blockcache_new (10, SIZE_MAX);
    struct open_block *first = add (1, 100, blockcache_generation (cache));
    struct open_block *second = blockcache_find (cache, 1);
    ck_assert_ptr_eq (first, second);
    int fd = first->fd;
    blockcache_drop (cache, 1);
    ck_assert (!has (1));
    blockcache_release (cache, first);
    ck_assert (is_open (fd));
    blockcache_release (cache, second);
    ck_assert (!is_open (fd));
}
END_TEST

START_TEST (an_entry_looked_up_before_a_drop_serves_its_user_alone)
{
    cache = blockcache_new (10, SIZE_MAX);
    uint64_t generation = blockcache_generation (cache);
    blockcache_drop (cache, 1);
    struct open_block *entry = add (1, 100, generation);
    int fd = entry->fd;
    ck_assert (!has (1));
    ck_assert (is_open (fd));
    blockcache_release (cache, entry);
    ck_assert (!is_open (fd));
}
END_TEST

START_TEST (a_block_is_kept_once)
{
    cache = blockcache_new (10, SIZE_MAX);
    struct open_block *first = add (1, 100, blockcache_generation (cache));
    struct open_block *second = add (1, 100, blockcache_generation (cache));
    int fd = second->fd;
    ck_assert_ptr_ne (first, second);
    blockcache_release (cache, second);
    ck_assert (!is_open (fd) && is_open (first->fd));
    blockcache_release (cache, first);
    ck_assert (has (1));
}
END_TEST

START_TEST (a_cache_of_no_files_works)
{
    cache = blockcache_new (0, 0);
    struct open_block *entry = add (1, 100, 0);
    ck_assert (is_open (entry->fd) && !has (1));
    blockcache_release (cache, entry);
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_blockcache", NULL, teardown, the_least_recently_used_goes_first,
                   memory_for_trailers_is_bounded_too,
                   what_is_used_stays_open_until_its_last_user_is_done,
                   an_entry_looked_up_before_a_drop_serves_its_user_alone, a_block_is_kept_once,
                   a_cache_of_no_files_works)
