/* SPDX-License-Identifier: MIT */
/*
 * The ledger of balance.
 *
 * A move is being copied until the target has confirmed the block.  Then repair takes one holder off, and if
 * that is the one that the block shall leave, it is dropped; it stays in the ledger until that node has told
 * that the block is deleted.  Bytes of nodes change in the same transactions, so that nothing counts twice.
 */
#include "namenode/balance_ledger.h"

#include "namenode/held.h"

/* A deletion that takes longer than this after it is due is not waited for, milliseconds: the node may have
 * become a holder again. */
enum { DELETE_MS = 60000 };

void
balance_ledger_add (struct balance_ledger *self, const struct balance_entry *entry)
{
    self->entries[self->count++] = *entry;
}

/* ---- what became of them ------------------------------------------------------------------------- */

static bool
is_copied (const struct repair_run *run, const struct balance_entry *entry)
{
    for (size_t at = copies_find (run->copies, entry->block, 0); at != SIZE_MAX;
         at = copies_find (run->copies, entry->block, at + 1))
        if (copies_at (run->copies, at)->target == entry->to)
            return true;
    return false;
}

static int
look_at_copying (struct repair_run *run, struct balance_entry *entry, bool *over,
                 litedfs_error_t *error)
{
    struct held_row held;
    int rc = held_row_get (run->txn, entry->to, entry->block, &held, error);

    if (rc == 0 && held.state == HELD_CONFIRMED)
        entry->state = BALANCE_ARRIVED;
    else if (rc == 0 || rc == LITEDFS_NOT_FOUND)
        *over = !is_copied (run, entry); // else it has failed
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* Repair has let the block go where it was; or it has not yet; or it will not, because it chose another
 * holder, or more copies are wanted now, or it is no block any more. */
static int
look_at_arrived (struct balance_ledger *self, struct repair_run *run,
                 struct balance_entry *entry, bool *over, litedfs_error_t *error)
{
    struct inode_row file;
    struct block_row row;
    int rc = held_find_block (run->txn, entry->block, &row, error);

    if (rc == 0)
        rc = inode_row_get (run->txn, row.inode, &file, error);
    if (rc < 0) {
        *over = true;
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    }
    if (!block_row_has_node (&row, entry->to) || row.nodes_count <= file.replica)
        *over = !is_copied (run, entry);
    if (block_row_has_node (&row, entry->from) || !block_row_has_node (&row, entry->to))
        return 0;
    *over = false;
    entry->state = BALANCE_DROPPED;
    entry->until_ms = run->now_ms + (int64_t) run->delete_delay_ms + DELETE_MS;
    self->moved_bytes += entry->size;
    return 0;
}

static int
look_at_dropped (struct repair_run *run, const struct balance_entry *entry, bool *over,
                 litedfs_error_t *error)
{
    struct held_row held;
    int rc = held_row_get (run->txn, entry->from, entry->block, &held, error);

    *over = rc == LITEDFS_NOT_FOUND || run->now_ms >= entry->until_ms;
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* *over: it need not be remembered any more. */
static int
check (struct balance_ledger *self, struct repair_run *run, struct balance_entry *entry,
       bool *over, litedfs_error_t *error)
{
    int rc = 0;

    *over = false;
    if (entry->state == BALANCE_COPYING)
        rc = look_at_copying (run, entry, over, error);
    if (rc == 0 && entry->state == BALANCE_ARRIVED)
        rc = look_at_arrived (self, run, entry, over, error);
    if (rc == 0 && entry->state == BALANCE_DROPPED)
        rc = look_at_dropped (run, entry, over, error);
    return rc;
}

int
balance_ledger_check (struct balance_ledger *self, struct repair_run *run,
                      litedfs_error_t *error)
{
    bool over;
    int rc = 0;

    for (size_t i = self->count; i-- > 0 && rc == 0;) {
        rc = check (self, run, &self->entries[i], &over, error);
        if (rc == 0 && over)
            self->entries[i] = self->entries[--self->count];
    }
    return rc;
}

/* ---- what they come to --------------------------------------------------------------------------- */

static struct balance_use *
find_use (struct balance_use *uses, size_t count, uint32_t node)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (uses[middle].node < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && uses[low].node == node ? &uses[low] : NULL;
}

void
balance_ledger_apply (const struct balance_ledger *self, struct balance_use *uses, size_t count)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct balance_entry *entry = &self->entries[i];
        struct balance_use *from = find_use (uses, count, entry->from);
        struct balance_use *to = find_use (uses, count, entry->to);
        if (from)
            from->used -= entry->size < from->used ? entry->size : from->used;
        if (to && entry->state == BALANCE_COPYING)
            to->used += entry->size;
    }
}

void
balance_ledger_sum (const struct balance_ledger *self, uint32_t from, uint32_t to,
                    size_t *copies, uint64_t *bytes)
{
    *copies = 0;
    *bytes = 0;
    for (size_t i = 0; i < self->count; i++) {
        const struct balance_entry *entry = &self->entries[i];
        if (entry->state != BALANCE_COPYING ||
            (from != 0 && (entry->from != from || entry->to != to)))
            continue;
        ++*copies;
        *bytes += entry->size;
    }
}
