/* SPDX-License-Identifier: MIT */
/*
 * What the name node orders, and what it is told: deletes, tombstones, the list of changes.
 *
 * Orders run in slices of some hundred a transaction, each of which stores the number it came to, so a
 * crash in between repeats nothing and loses nothing.  A delete needs pages of the index; on a full disk a
 * slice that does not fit is tried again smaller, and each one makes room for the next.
 *
 * Files go after the commit, without the commit's lock.  Nobody can make the same id again before its
 * tombstone is gone, and the tombstone goes only with the file (blockstore_expire, or the next start);
 * except a copy by order, which waits for the lock of removals first.
 *
 * Of an order to copy, only that it came is stored here.
 */

#include "datanode/blockstore_impl.h"

#include "base/err.h"
#include "base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define SLICE 512 // orders in a transaction

#define EXPIRE_PAGE 512 // tombstones that leave in one transaction

/* ---- orders ------------------------------------------------------------------------------------- */

static int
unlink_name (struct blockstore *self, const char *name, litedfs_error_t *error)
{
    if (unlinkat (self->root, name, 0) == 0 || errno == ENOENT)
        return 0;
    return err_set_errno (error, LITEDFS_IO, errno, "%s/%s", self->path, name);
}

int
blockstore_unlink (struct blockstore *self, uint64_t block, litedfs_error_t *error)
{
    char name[BLOCKSTORE_NAME_SIZE];
    int rc = unlink_name (self, blockstore_name (block, name), error);
    if (rc == 0)
        rc = unlink_name (self, blockstore_damaged_name (block, name), error);
    // What is being written goes with blockstore_abandon, else it is a finished block's that stayed.
    if (rc == 0 && !blockstore_is_writing (self, block))
        rc = unlink_name (self, blockstore_writing_name (block, name), error);
    return rc;
}

/* Whether an epoch is old, and otherwise the number up to which its orders have run. */
static int
last_of_epoch (const struct index_txn *txn, uint32_t epoch, uint64_t *out_last,
               litedfs_error_t *error)
{
    uint64_t newest = txn->state.order_epoch;
    if (newest < txn->state.seen_epoch)
        newest = txn->state.seen_epoch;
    if (epoch < newest)
        return err_set (error, LITEDFS_STALE,
                        "orders of epoch %" PRIu32 ": epoch %" PRIu64
                        " was seen; the name node may be an old copy",
                        epoch, newest);
    *out_last = epoch == txn->state.order_epoch ? txn->state.order_number : 0;
    return 0;
}

static int
execute_rows (struct blockstore *self, struct index_txn *txn, uint32_t epoch,
              const struct blockstore_order *orders, size_t n, litedfs_error_t *error)
{
    int64_t until_ms = clock_wall (self->clock) + self->tombstone_ms;
    for (size_t i = 0; i < n; i++) {
        int rc = 0;
        if (orders[i].kind == ORDER_DELETE) {
            rc = index_remove (txn, orders[i].block, error);
            if (rc == 0 || rc == LITEDFS_NOT_FOUND)
                rc = index_bury (txn, orders[i].block, until_ms, error);
        }
        if (rc < 0)
            return rc;
        txn->state.order_number = orders[i].number;
    }
    txn->state.order_epoch = epoch;
    return 0;
}

/* After the commit, under its lock: what is being written of these blocks cannot be finished any more. */
static void
bury_writings (struct blockstore *self, const struct blockstore_order *orders, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (orders[i].kind == ORDER_DELETE)
            blockstore_bury_writing (self, orders[i].block);
}

/* After the commit: nobody may use the files any more. */
static void
remove_files (struct blockstore *self, const struct blockstore_order *orders, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        litedfs_error_t reason;
        if (orders[i].kind != ORDER_DELETE)
            continue;
        blockcache_drop (self->cache, orders[i].block);
        if (blockstore_unlink (self, orders[i].block, &reason) < 0)
            log_warning (self->log, "block[%016" PRIx64 "]: deleted; its file goes later: %s",
                         orders[i].block, reason.text);
        FAULT ("blockstore_after_unlink");
    }
}

/* Run orders in one transaction, under the lock of removals; those that ran before are skipped. */
static int
run_slice (struct blockstore *self, uint32_t epoch, const struct blockstore_order *orders,
           size_t n, litedfs_error_t *error)
{
    struct index_txn txn;
    uint64_t last = 0;
    int rc = blockstore_change_begin (self, &txn, error);
    if (rc < 0)
        return rc;
    rc = last_of_epoch (&txn, epoch, &last, error);
    while (n > 0 && orders->number <= last) {
        orders++;
        n--;
    }
    if (rc == 0 && n > 0) {
        rc = execute_rows (self, &txn, epoch, orders, n, error);
        rc = blockstore_change_end (self, &txn, rc, error);
        if (rc == 0)
            bury_writings (self, orders, n);
    } else
        index_abort (&txn);
    blockstore_change_done (self);
    FAULT ("blockstore_after_execute");
    if (rc == 0)
        remove_files (self, orders, n);
    return rc;
}

static int
execute_slice (struct blockstore *self, uint32_t epoch, const struct blockstore_order *orders,
               size_t n, litedfs_error_t *error)
{
    pthread_mutex_lock (&self->removal);
    int rc = run_slice (self, epoch, orders, n, error);
    pthread_mutex_unlock (&self->removal);
    return rc;
}

int
blockstore_execute (struct blockstore *self, uint32_t epoch,
                    const struct blockstore_order *orders, size_t n, litedfs_error_t *error)
{
    if (n > BLOCKSTORE_ORDERS_MAX)
        return err_set (error, LITEDFS_INVALID, "orders: %zu at once, at most %d are taken", n,
                        BLOCKSTORE_ORDERS_MAX);
    for (size_t i = 0; i < n; i++)
        if (orders[i].number == 0 || (i > 0 && orders[i].number <= orders[i - 1].number))
            return err_set (error, LITEDFS_INVALID, "orders: number %" PRIu64 " does not rise",
                            orders[i].number);
    FAULT ("blockstore_before_execute");
    size_t slice = SLICE;
    size_t done = 0;
    while (done < n) {
        size_t count = n - done < slice ? n - done : slice;
        int rc = execute_slice (self, epoch, orders + done, count, error);
        if (rc == LITEDFS_NO_SPACE && count > 1)
            slice = count / 2;
        else if (rc < 0)
            return rc;
        else
            done += count;
    }
    return 0;
}

void
blockstore_last_order (struct blockstore *self, uint32_t *out_epoch, uint64_t *out_number)
{
    pthread_mutex_lock (&self->lock);
    *out_epoch = (uint32_t) self->state.order_epoch;
    *out_number = self->state.order_number;
    pthread_mutex_unlock (&self->lock);
}

/* ---- what was seen of the name node -------------------------------------------------------------- */

int
blockstore_saw (struct blockstore *self, uint32_t epoch, uint64_t transaction,
                litedfs_error_t *error)
{
    struct index_txn txn;
    pthread_mutex_lock (&self->lock);
    bool risen = epoch > self->state.seen_epoch;
    if (risen ||
        (epoch == self->state.seen_epoch && transaction > self->state.seen_transaction)) {
        self->state.seen_epoch = epoch;
        self->state.seen_transaction = transaction;
    }
    pthread_mutex_unlock (&self->lock);
    if (!risen)
        return 0;
    int rc = blockstore_change_begin (self, &txn, error); // takes it along
    if (rc < 0)
        return rc;
    rc = blockstore_change_end (self, &txn, 0, error);
    blockstore_change_done (self);
    return rc;
}

void
blockstore_seen (struct blockstore *self, uint32_t *out_epoch, uint64_t *out_transaction)
{
    pthread_mutex_lock (&self->lock);
    *out_epoch = (uint32_t) self->state.seen_epoch;
    *out_transaction = self->state.seen_transaction;
    pthread_mutex_unlock (&self->lock);
}

/* ---- reports ------------------------------------------------------------------------------------ */

uint64_t
blockstore_seq (struct blockstore *self)
{
    pthread_mutex_lock (&self->lock);
    uint64_t seq = self->state.seq;
    pthread_mutex_unlock (&self->lock);
    return seq;
}

uint64_t
blockstore_confirmed (struct blockstore *self)
{
    pthread_mutex_lock (&self->lock);
    uint64_t seq = self->state.confirmed;
    pthread_mutex_unlock (&self->lock);
    return seq;
}

int
blockstore_changes (struct blockstore *self, uint64_t after, size_t max,
                    struct blockstore_change *out, size_t *out_count, litedfs_error_t *error)
{
    struct index_txn txn;
    *out_count = 0;
    int rc = index_begin (self->index, false, &txn, error);
    if (rc < 0)
        return rc;
    rc = index_changes (&txn, after, max, out, out_count, error);
    index_abort (&txn);
    return rc;
}

int
blockstore_confirm (struct blockstore *self, uint64_t seq, litedfs_error_t *error)
{
    struct index_txn txn;
    if (seq <= blockstore_confirmed (self))
        return 0;
    int rc = blockstore_change_begin (self, &txn, error);
    if (rc < 0)
        return rc;
    if (seq > txn.state.seq)
        rc = err_set (error, LITEDFS_INVALID,
                      "report: %" PRIu64 " is confirmed, %" PRIu64 " is the last number given",
                      seq, txn.state.seq);
    else if (seq > txn.state.confirmed)
        rc = index_confirm (&txn, seq, error);
    rc = blockstore_change_end (self, &txn, rc, error);
    blockstore_change_done (self);
    return rc;
}

int
blockstore_resume (struct blockstore *self, uint64_t above, litedfs_error_t *error)
{
    struct index_txn txn;
    int rc = blockstore_change_begin (self, &txn, error);
    if (rc < 0)
        return rc;
    rc = index_resume (&txn, above, error);
    rc = blockstore_change_end (self, &txn, rc, error);
    blockstore_change_done (self);
    return rc;
}

/* ---- tombstones --------------------------------------------------------------------------------- */

/* Of a page of tombstones, those that are due leave, with what is still there of their files. */
static int
expire_page (struct blockstore *self, struct index_txn *txn, const struct index_tombstone *page,
             size_t count, int64_t now_ms, size_t *removed, litedfs_error_t *error)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        litedfs_error_t reason;
        if (page[i].until_ms > now_ms || blockstore_is_writing (self, page[i].block))
            continue;
        if (blockstore_unlink (self, page[i].block, &reason) < 0) {
            log_warning (self->log,
                         "block[%016" PRIx64 "]: its deleted file cannot be removed: %s",
                         page[i].block, reason.text);
            continue;
        }
        rc = index_unbury (txn, page[i].block, error);
        (*removed)++;
    }
    return rc;
}

/* Look at the tombstones of a page that begins at id *from, which moves on behind it. */
static int
expire_from (struct blockstore *self, uint64_t *from, size_t *count, int64_t now_ms,
             litedfs_error_t *error)
{
    struct index_txn txn;
    struct index_tombstone page[EXPIRE_PAGE];
    size_t removed = 0;
    int rc = blockstore_change_begin (self, &txn, error);
    if (rc < 0)
        return rc;
    rc = index_tombstones (&txn, *from, EXPIRE_PAGE, page, count, error);
    if (rc == 0)
        rc = expire_page (self, &txn, page, *count, now_ms, &removed, error);
    if (rc == 0 && removed == 0)
        index_abort (&txn); // what changes nothing writes nothing
    else
        rc = blockstore_change_end (self, &txn, rc, error);
    blockstore_change_done (self);
    if (rc == 0 && *count > 0)
        *from = page[*count - 1].block + 1;
    return rc;
}

int
blockstore_expire (struct blockstore *self, litedfs_error_t *error)
{
    int64_t now_ms = clock_wall (self->clock);
    uint64_t from = 0;
    size_t count = EXPIRE_PAGE;
    int rc = 0;
    blockstore_index_maintain (self->index);
    while (rc == 0 && count == EXPIRE_PAGE) {
        pthread_mutex_lock (&self->removal);
        rc = expire_from (self, &from, &count, now_ms, error);
        pthread_mutex_unlock (&self->removal);
    }
    return rc;
}
