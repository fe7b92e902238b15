/* SPDX-License-Identifier: MIT */
/*
 * Freeing what was deleted, a bounded number of rows a call.
 *
 * A doomed directory gives its children: a directory below becomes a doomed row of its own, a file loses
 * entry and inode and its blocks are freed as far as the call's rows reach, the rest under a doomed row.
 * So a tree is taken apart from the top, and what is left of it after a crash is exactly what the rows
 * say.  Garbage waits for its time and its node, then becomes an order; an order waits for the node.
 */
#include "namenode/garbage.h"

#include "namenode/blocks.h"
#include "namenode/held.h"
#include "namenode/mark.h"
#include "namenode/restored.h"

/* Orders that are read at a time when they are taken back. */
enum { REVOKE_ROWS = 64 };

/* What is left of a call. */
struct slice_work {
    size_t left;  // rows
    uint64_t due; // of the garbage
};

/* Free the blocks of an inode; *done if none is left. */
static int
free_blocks (struct txn *txn, uint64_t inode, struct slice_work *work, bool *done,
             litedfs_error_t *error)
{
    struct blocks_walk walk;
    struct block_row row;

    *done = false;
    int rc = blocks_open (&walk, txn, inode, 0, error);
    while (rc == 0) {
        rc = blocks_next (&walk, &row, error);
        if (rc == LITEDFS_NOT_FOUND)
            *done = true;
        if (rc < 0 || work->left == 0)
            break;
        work->left--;
        rc = blocks_free (txn, &row, work->due, error);
    }
    blocks_close (&walk);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* Take one entry out of a doomed directory. */
static int
free_child (struct txn *txn, const struct dirent_row *entry, struct slice_work *work,
            litedfs_error_t *error)
{
    struct doomed_row doomed = {.inode = entry->inode, .kind = entry->kind};
    bool done = false;

    work->left--;
    int rc = dirent_row_del (txn, entry->parent, entry->kind,
                             slice_of (entry->name, entry->name_size), error);
    if (rc == 0 && entry->kind == KIND_FILE) {
        rc = inode_row_del (txn, entry->inode, error);
        if (rc == 0 || rc == LITEDFS_NOT_FOUND)
            rc = mark_drop (txn, entry->inode, error);
        if (rc == 0)
            rc = free_blocks (txn, entry->inode, work, &done, error);
    }
    return rc == 0 && !done ? doomed_row_put (txn, &doomed, error) : rc;
}

/* Take the entries of a doomed directory; *done if none is left, and then its inode is gone. */
static int
free_directory (struct txn *txn, uint64_t inode, struct slice_work *work, bool *done,
                litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct dirent_row entry;
    struct slice none = {0};
    struct slice key;
    struct slice value;
    uint8_t prefix[8];

    *done = false;
    int rc = cursor_open (&cursor, txn, TABLE_DIRENT, key_be64 (prefix, inode), none, error);
    while (rc == 0) {
        rc = cursor_next (&cursor, &key, &value, error);
        if (rc == LITEDFS_NOT_FOUND)
            *done = true;
        if (rc < 0 || work->left == 0)
            break;
        rc = dirent_row_decode (key, value, &entry, error);
        if (rc == 0)
            rc = free_child (txn, &entry, work, error);
    }
    cursor_close (&cursor);
    if (*done)
        rc = inode_row_del (txn, inode, error);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* Any doomed inode; LITEDFS_NOT_FOUND. */
static int
first_doomed (struct txn *txn, struct doomed_row *out, litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct slice none = {0};
    struct slice key;
    struct slice value;

    int rc = cursor_open (&cursor, txn, TABLE_DOOMED, none, none, error);
    if (rc == 0)
        rc = cursor_next (&cursor, &key, &value, error);
    if (rc == 0)
        rc = doomed_row_decode (key, value, out, error);
    cursor_close (&cursor);
    return rc;
}

int
garbage_free_slice (struct txn *txn, size_t max, uint64_t delay_ms, size_t *freed,
                    litedfs_error_t *error)
{
    struct slice_work work = {.left = max,
                              .due = (uint64_t) txn_frame (txn)->wall_ms + delay_ms};
    struct doomed_row row;
    bool done = true;
    int rc = 0;

    while (work.left > 0 && (rc = first_doomed (txn, &row, error)) == 0) {
        if (row.kind == KIND_DIRECTORY)
            rc = free_directory (txn, row.inode, &work, &done, error);
        else
            rc = free_blocks (txn, row.inode, &work, &done, error);
        if (rc == 0 && done) {
            rc = doomed_row_del (txn, row.inode, error);
            work.left -= work.left > 0;
        }
        if (rc < 0)
            return rc;
    }
    *freed = max - work.left;
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

int
garbage_any_doomed (struct txn *txn, bool *out, litedfs_error_t *error)
{
    struct doomed_row row;

    int rc = first_doomed (txn, &row, error);
    *out = rc == 0;
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* ---- orders -------------------------------------------------------------------------------------- */

int
orders_write (struct txn *txn, struct node_row *node, enum order_kind kind, uint64_t block,
              uint32_t target, litedfs_error_t *error)
{
    struct order_row order = {.node = node->number,
                              .number = node->order + 1,
                              .kind = kind,
                              .block = block,
                              .target = target};

    int rc = order_row_put (txn, &order, error);
    if (rc == 0)
        node->order++;
    return rc;
}

int
orders_add (struct txn *txn, uint32_t node, enum order_kind kind, uint64_t block,
            uint32_t target, uint64_t *number, litedfs_error_t *error)
{
    struct node_row row;

    int rc = node_row_get (txn, node, &row, error);
    if (rc == LITEDFS_NOT_FOUND)
        return err_set (error, rc, "node[%u]: no node has this number", node);
    if (rc == 0)
        rc = orders_write (txn, &row, kind, block, target, error);
    if (rc == 0 && number)
        *number = row.order;
    return rc == 0 ? node_row_put (txn, &row, error) : rc;
}

/* Open a walk over a node's orders from a number on. */
static int
open_orders (struct cursor *cursor, struct txn *txn, uint32_t node, uint64_t first,
             litedfs_error_t *error)
{
    uint8_t start[12];

    struct slice prefix = key_be32 (start, node);
    key_be64 (start + 4, first);
    return cursor_open (cursor, txn, TABLE_ORDER, prefix, slice_of (start, sizeof start),
                        error);
}

int
orders_after (struct txn *txn, uint32_t node, uint64_t after, struct order_row *out, size_t max,
              size_t *count, litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct slice key;
    struct slice value;

    *count = 0;
    if (after == UINT64_MAX)
        return 0;
    int rc = open_orders (&cursor, txn, node, after + 1, error);
    while (rc == 0 && *count < max && (rc = cursor_next (&cursor, &key, &value, error)) == 0) {
        rc = order_row_decode (key, value, &out[*count], error);
        *count += rc == 0;
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

int
orders_confirm (struct txn *txn, uint32_t node, uint64_t after, size_t max, size_t *confirmed,
                litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct order_row order;
    struct slice key;
    struct slice value;

    *confirmed = 0;
    int rc = open_orders (&cursor, txn, node, 0, error);
    while (rc == 0 && *confirmed < max &&
           (rc = cursor_next (&cursor, &key, &value, error)) == 0) {
        rc = order_row_decode (key, value, &order, error);
        if (rc < 0 || order.number > after)
            break;
        rc = order_row_del (txn, node, order.number, error);
        if (rc == 0 && order.kind == ORDER_DELETE)
            rc = held_order_done (txn, node, order.block, error);
        *confirmed += rc == 0;
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* One delete order is garbage again; *counted if it is of a block that somebody owns. */
static int
revoke (struct txn *txn, const struct order_row *order, size_t *counted, litedfs_error_t *error)
{
    struct garbage_row part = {
        .node = order->node, .due = (uint64_t) txn_frame (txn)->wall_ms, .block = order->block};
    struct owner_row owner;

    int rc = owner_row_get (txn, order->block, &owner, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0
                                       : rc; // of nobody: it may go whenever the node is back
    rc = order_row_del (txn, order->node, order->number, error);
    if (rc == 0)
        rc = held_order_revoked (txn, order->node, order->block, error);
    *counted += rc == 0;
    return rc == 0 ? garbage_row_put (txn, &part, error) : rc;
}

int
orders_revoke (struct txn *txn, uint32_t node, uint64_t *after, size_t max, size_t *revoked,
               litedfs_error_t *error)
{
    struct order_row orders[REVOKE_ROWS];
    size_t count, looked = 0;
    int rc = 0;

    *revoked = 0;
    do {
        size_t room = max - looked < REVOKE_ROWS ? max - looked : REVOKE_ROWS;
        rc = orders_after (txn, node, *after, orders, room, &count, error);
        for (size_t i = 0; i < count && rc == 0; i++) {
            *after = orders[i].number;
            if (orders[i].kind == ORDER_DELETE)
                rc = revoke (txn, &orders[i], revoked, error);
        }
        looked += count;
    } while (rc == 0 && count > 0 && looked < max);
    if (rc == 0 && count == 0)
        *after = UINT64_MAX;
    return rc;
}

/* ---- garbage that is due ------------------------------------------------------------------------- */

/* The first garbage of this node or, with next, of the one after it that has any.  LITEDFS_NOT_FOUND. */
static int
first_garbage (struct txn *txn, uint32_t node, bool next, struct garbage_row *out,
               litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct slice none = {0};
    struct slice key;
    struct slice value;
    uint8_t start[4];

    if (next && node == UINT32_MAX)
        return LITEDFS_NOT_FOUND;
    struct slice from = key_be32 (start, next ? node + 1 : node);
    int rc = cursor_open (&cursor, txn, TABLE_GARBAGE, next ? none : from, from, error);
    if (rc == 0)
        rc = cursor_next (&cursor, &key, &value, error);
    if (rc == 0)
        rc = garbage_row_decode (key, value, out, error);
    cursor_close (&cursor);
    return rc;
}

/* What becomes of garbage: an order, nothing, or a holder again. */
enum fate { FATE_ORDER, FATE_DROP, FATE_ADOPT };

/* Whether as many holders of a block as its file wants are online, and have confirmed it or, with
 * claims, are said to have it; at least one. */
static int
has_enough (struct txn *txn, const struct nodes_view *view, const struct block_row *row,
            bool claims, bool *out, litedfs_error_t *error)
{
    struct inode_row file;
    struct held_row held;
    uint32_t wanted = 1, enough = 0;

    int rc = inode_row_get (txn, row->inode, &file, error);
    if (rc == 0 && file.replica > 1)
        wanted = file.replica;
    if (rc == LITEDFS_NOT_FOUND)
        rc = 0;
    for (size_t i = 0; i < row->nodes_count && rc == 0; i++) {
        const struct node *node = nodes_view_find (view, row->nodes[i]);
        if (!node || !node->online || node->duty.duty != DUTY_SERVE)
            continue;
        rc = held_row_get (txn, row->nodes[i], row->block, &held, error);
        enough +=
            rc == 0 && (claims || held.state == HELD_CONFIRMED) && held.order == HELD_KEPT;
        if (rc == LITEDFS_NOT_FOUND)
            rc = 0;
    }
    *out = enough >= wanted;
    return rc;
}

/* Decide on garbage of a node that is no holder of the finished block. */
static int
decide_unlisted (struct txn *txn, const struct nodes_view *view, const struct block_row *row,
                 uint32_t node, enum fate *out, litedfs_error_t *error)
{
    struct damaged_row aside;
    struct held_row held;
    bool enough = true;

    int rc = held_row_get (txn, node, row->block, &held, error);
    if (rc == LITEDFS_NOT_FOUND) {
        // What is left of a failed write, which the node gives up by itself too; but while copies lack
        // it may be one that is on its way.  Or a damaged copy, which stays while there may be no other.
        int damaged = damaged_row_get (txn, row->block, node, &aside, error);
        if (damaged < 0 && damaged != LITEDFS_NOT_FOUND)
            return damaged;
        rc = has_enough (txn, view, row, damaged != 0, &enough, error);
        *out = enough ? FATE_ORDER : FATE_DROP;
        return rc;
    }
    if (rc == 0 && held.order != HELD_KEPT)
        *out = FATE_DROP; // there is an order, or was
    else if (rc == 0 && held.state == HELD_CONFIRMED) {
        rc = has_enough (txn, view, row, false, &enough, error);
        *out = enough ? FATE_ORDER : FATE_ADOPT;
    }
    return rc;
}

/* Decide on one piece of garbage; *owned is whether somebody owns the block. */
static int
decide (struct txn *txn, const struct nodes_view *view, const struct garbage_row *garbage,
        enum fate *out, bool *owned, litedfs_error_t *error)
{
    struct block_row row;

    *out = FATE_ORDER;
    int rc = held_find_block (txn, garbage->block, &row, error);
    *owned = rc == 0;
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    if (row.state == BLOCK_ALLOCATED || block_row_has_node (&row, garbage->node)) {
        *out = FATE_DROP;
        return 0;
    }
    return decide_unlisted (txn, view, &row, garbage->node, out, error);
}

/* Do what was decided; the node's row counts its orders, and *count those. */
static int
dispose (struct txn *txn, const struct nodes_view *view, const struct garbage_row *garbage,
         struct node_row *node, size_t *count, litedfs_error_t *error)
{
    enum fate fate;
    bool owned;

    int rc = decide (txn, view, garbage, &fate, &owned, error);
    if (rc < 0 || fate == FATE_DROP)
        return rc;
    if (fate == FATE_ADOPT)
        return held_adopt (txn, garbage->node, garbage->block, error);
    *count += 1;
    rc = orders_write (txn, node, ORDER_DELETE, garbage->block, 0, error);
    return rc == 0 && owned ? held_order (txn, garbage->node, garbage->block, error) : rc;
}

/* Turn one node's due garbage into orders; garbage of a node that is no more just goes. */
static int
order_node (struct txn *txn, const struct nodes_view *view, uint32_t node, uint64_t until,
            size_t max, size_t *done, size_t *ordered, litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct garbage_row row;
    struct node_row target;
    struct slice none = {0};
    struct slice key;
    struct slice value;
    uint8_t prefix[4];
    size_t count = 0;

    *ordered = 0;
    int rc = node_row_get (txn, node, &target, error);
    bool there = rc == 0;
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    rc = cursor_open (&cursor, txn, TABLE_GARBAGE, key_be32 (prefix, node), none, error);
    while (rc == 0 && count < max && (rc = cursor_next (&cursor, &key, &value, error)) == 0) {
        rc = garbage_row_decode (key, value, &row, error);
        if (rc < 0 || row.due > until)
            break;
        rc = garbage_row_del (txn, &row, error);
        if (rc == 0 && there)
            rc = dispose (txn, view, &row, &target, ordered, error);
        count += rc == 0;
    }
    cursor_close (&cursor);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    *done += count;
    return *ordered > 0 ? node_row_put (txn, &target, error) : 0;
}

static bool
is_offline (const struct nodes_view *view, uint32_t number)
{
    const struct node *node = nodes_view_find (view, number);

    return node && !node->online;
}

int
garbage_due (struct txn *txn, const struct nodes_view *view, uint32_t node, uint64_t until,
             size_t max, size_t *done, uint32_t *touched, size_t touched_max,
             size_t *touched_count, litedfs_error_t *error)
{
    struct garbage_row row;
    size_t touched_now = 0, ordered;
    uint64_t restored;

    *done = 0;
    int rc = restored_since (txn, &restored, error);
    if (rc == 0)
        rc = restored > 0 ? LITEDFS_NOT_FOUND
                          : first_garbage (txn, node, node == 0, &row, error);
    while (rc == 0 && *done < max && (touched_max == 0 || touched_now < touched_max)) {
        ordered = 0;
        if (!is_offline (view, row.node))
            rc = order_node (txn, view, row.node, until, max - *done, done, &ordered, error);
        if (rc == 0 && ordered > 0 && touched_max > 0)
            touched[touched_now++] = row.node;
        if (rc < 0 || node != 0)
            break;
        rc = first_garbage (txn, row.node, true, &row, error);
    }
    if (touched_count)
        *touched_count = touched_now;
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* One node's garbage that is due after `latest` becomes due then. */
static int
pull_in_node (struct txn *txn, uint32_t node, uint64_t latest, size_t max, size_t *moved,
              litedfs_error_t *error)
{
    struct cursor cursor = {0};
    struct garbage_row row;
    struct slice key;
    struct slice value;
    uint8_t start[12];

    struct slice prefix = key_be32 (start, node);
    key_be64 (start + 4, latest + 1);
    int rc = cursor_open (&cursor, txn, TABLE_GARBAGE, prefix, slice_of (start, sizeof start),
                          error);
    while (rc == 0 && *moved < max && (rc = cursor_next (&cursor, &key, &value, error)) == 0) {
        rc = garbage_row_decode (key, value, &row, error);
        if (rc == 0)
            rc = garbage_row_del (txn, &row, error);
        row.due = latest;
        if (rc == 0)
            rc = garbage_row_put (txn, &row, error);
        *moved += rc == 0;
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

int
garbage_pull_in (struct txn *txn, uint64_t delay_ms, size_t max, size_t *moved,
                 litedfs_error_t *error)
{
    uint64_t latest = (uint64_t) txn_frame (txn)->wall_ms + delay_ms;
    struct garbage_row row;

    *moved = 0;
    int rc = first_garbage (txn, 0, true, &row, error);
    while (rc == 0 && *moved < max) {
        rc = pull_in_node (txn, row.node, latest, max, moved, error);
        if (rc == 0)
            rc = first_garbage (txn, row.node, true, &row, error);
    }
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

int
garbage_next_due (struct txn *txn, const struct nodes_view *view, uint64_t *out,
                  litedfs_error_t *error)
{
    struct garbage_row row;

    *out = UINT64_MAX;
    int rc = first_garbage (txn, 0, true, &row, error);
    while (rc == 0) {
        if (row.due < *out && !is_offline (view, row.node))
            *out = row.due;
        rc = first_garbage (txn, row.node, true, &row, error);
    }
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}
