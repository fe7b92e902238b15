/* SPDX-License-Identifier: MIT */
/*
 * The digests that the index keeps beside its tables: `working` is what the transaction that writes will leave,
 * `digests` what the last commit did.  They differ only while `counted` is set.
 */

#include "datanode/blockstore_index_impl.h"

#include <string.h>

enum { COUNT_PAGE = 4096 };

void
index_count_block (struct blockstore_index *self, uint64_t block, int sign)
{
    struct blockstore_digest *digest = &self->working[block_id_bucket (block)];
    digest->hash ^= block_id_hash (block);
    digest->count += sign > 0 ? 1 : UINT64_MAX;
    self->counted = true;
}

void
index_publish_digests (struct blockstore_index *self, uint64_t seq)
{
    pthread_mutex_lock (&self->digests_lock);
    if (self->counted)
        memcpy (self->digests, self->working, sizeof self->digests);
    self->digests_seq = seq;
    pthread_mutex_unlock (&self->digests_lock);
    self->counted = false;
}

void
index_restore_digests (struct blockstore_index *self)
{
    if (self->counted)
        memcpy (self->working, self->digests, sizeof self->working);
    self->counted = false;
}

void
blockstore_index_digests (struct blockstore_index *self, struct blockstore_digest *out,
                          uint64_t *out_seq)
{
    pthread_mutex_lock (&self->digests_lock);
    memcpy (out, self->digests, sizeof self->digests);
    *out_seq = self->digests_seq;
    pthread_mutex_unlock (&self->digests_lock);
}

int
blockstore_index_count (struct blockstore_index *self, litedfs_error_t *error)
{
    uint64_t page[COUNT_PAGE];
    struct index_txn txn;
    size_t count = COUNT_PAGE;
    uint64_t from = 0;
    uint64_t seq;
    int rc = index_begin (self, false, &txn, error);
    if (rc < 0)
        return rc;
    memset (self->working, 0, sizeof self->working);
    self->counted = true;
    while (rc == 0 && count == COUNT_PAGE) {
        rc = index_ids (&txn, from, COUNT_PAGE, page, &count, error);
        for (size_t i = 0; i < count && rc == 0; i++)
            index_count_block (self, page[i], 1);
        from = count > 0 ? page[count - 1] + 1 : 0;
    }
    if (rc == 0)
        rc = index_seq (&txn, &seq, error);
    index_abort (&txn);
    if (rc == 0)
        index_publish_digests (self, seq);
    return rc;
}
