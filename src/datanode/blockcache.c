/* SPDX-License-Identifier: MIT */
/*
 * A hash table and a list by age, under one lock that is held for a few instructions at a time.
 *
 * A deleted block must not stay open for ever.  Its drop may come between a reader's look at the index and
 * its blockcache_add, so drops are counted, and an entry that was looked up before the last of them is not
 * kept.
 */

#include "datanode/blockcache.h"

#include "base/crc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define BUCKETS 512 // a power of two

struct blockcache {
    pthread_mutex_t lock;
    struct open_block *buckets[BUCKETS];
    struct open_block *newest;
    struct open_block *oldest;
    size_t files;
    size_t bytes;
    size_t max_files;
    size_t max_bytes;
    uint64_t generation;
};

struct blockcache *
blockcache_new (size_t max_files, size_t max_bytes)
{
    struct blockcache *self = calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->max_files = max_files;
    self->max_bytes = max_bytes;
    pthread_mutex_init (&self->lock, NULL);
    return self;
}

static void
close_entry (struct open_block *entry)
{
    if (!entry)
        return;
    close (entry->fd);
    blockfile_free (&entry->trailer);
    free (entry);
}

static struct open_block **
bucket_of (struct blockcache *self, uint64_t block)
{
    return &self->buckets[block & (BUCKETS - 1)];
}

static struct open_block *
lookup (struct blockcache *self, uint64_t block)
{
    struct open_block *entry = *bucket_of (self, block);
    while (entry && entry->trailer.block != block)
        entry = entry->next_in_bucket;
    return entry;
}

static void
unlink_age (struct blockcache *self, struct open_block *entry)
{
    *(entry->newer ? &entry->newer->older : &self->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &self->oldest) = entry->newer;
}

static void
link_newest (struct blockcache *self, struct open_block *entry)
{
    entry->newer = NULL;
    entry->older = self->newest;
    *(self->newest ? &self->newest->newer : &self->oldest) = entry;
    self->newest = entry;
}

/* Take an entry out; gives it back if nobody uses it, for the caller to close without the lock. */
static struct open_block *
unlist (struct blockcache *self, struct open_block *entry)
{
    struct open_block **at = bucket_of (self, entry->trailer.block);
    while (*at != entry)
        at = &(*at)->next_in_bucket;
    *at = entry->next_in_bucket;
    unlink_age (self, entry);
    entry->listed = false;
    self->files--;
    self->bytes -= entry->bytes;
    return entry->users == 0 ? entry : NULL;
}

struct open_block *
blockcache_find (struct blockcache *self, uint64_t block)
{
    pthread_mutex_lock (&self->lock);
    struct open_block *entry = lookup (self, block);
    if (entry) {
        entry->users++;
        unlink_age (self, entry);
        link_newest (self, entry);
    }
    pthread_mutex_unlock (&self->lock);
    return entry;
}

uint64_t
blockcache_generation (struct blockcache *self)
{
    pthread_mutex_lock (&self->lock);
    uint64_t generation = self->generation;
    pthread_mutex_unlock (&self->lock);
    return generation;
}

struct open_block *
blockcache_add (struct blockcache *self, int fd, struct blockfile *trailer, uint64_t generation)
{
    struct open_block *entry = calloc (1, sizeof *entry);
    if (!entry)
        return NULL;
    entry->fd = fd;
    entry->trailer = *trailer;
    entry->users = 1;
    entry->bytes = sizeof *entry + trailer->path_size +
                   (size_t) crc_unit_count (trailer->size) * sizeof (uint32_t);
    *trailer = (struct blockfile){0};

    pthread_mutex_lock (&self->lock);
    if (generation == self->generation && !lookup (self, entry->trailer.block)) {
        struct open_block **bucket = bucket_of (self, entry->trailer.block);
        entry->next_in_bucket = *bucket;
        *bucket = entry;
        entry->listed = true;
        link_newest (self, entry);
        self->files++;
        self->bytes += entry->bytes;
    }
    while (self->oldest && (self->files > self->max_files || self->bytes > self->max_bytes)) {
        struct open_block *unused = unlist (self, self->oldest);
        pthread_mutex_unlock (&self->lock);
        close_entry (unused);
        pthread_mutex_lock (&self->lock);
    }
    pthread_mutex_unlock (&self->lock);
    return entry;
}

void
blockcache_release (struct blockcache *self, struct open_block *entry)
{
    if (!entry)
        return;
    pthread_mutex_lock (&self->lock);
    bool unused = --entry->users == 0 && !entry->listed;
    pthread_mutex_unlock (&self->lock);
    if (unused)
        close_entry (entry);
}

void
blockcache_drop (struct blockcache *self, uint64_t block)
{
    struct open_block *unused = NULL;
    pthread_mutex_lock (&self->lock);
    self->generation++;
    struct open_block *entry = lookup (self, block);
    if (entry)
        unused = unlist (self, entry);
    pthread_mutex_unlock (&self->lock);
    close_entry (unused);
}

void
blockcache_destroy (struct blockcache **self)
{
    int saved = errno;
    if (*self) {
        struct open_block *entry = (*self)->oldest;
        while (entry) {
            struct open_block *newer = entry->newer;
            close_entry (entry);
            entry = newer;
        }
        pthread_mutex_destroy (&(*self)->lock);
        free (*self);
        *self = NULL;
    }
    errno = saved;
}
