/* SPDX-License-Identifier: MIT */
/*
 * Balance: the walk and the orders.
 *
 * A slice is one pair's turn: it looks at some rows of `held` of the node that is too full, from where the
 * slice before stopped.  When a whole round has found nothing, that node's blocks rest for a while: all of
 * them may be on too many of the others.
 */
#include "namenode/balance.h"

#include "base/err.h"
#include "namenode/held.h"
#include "namenode/repair_move.h"
#include "namenode/repair_scan.h"
#include "namenode/restored.h"

#include <inttypes.h>
#include <stdlib.h>

/* Milliseconds: from one turn of a pair to its next one, when blocks were found and when not; the shortest
 * pause; when nothing is to move; after a round that found nothing; after an error. */
enum { FOUND_MS = 500, WALK_MS = 100, TURN_MS = 50, LOOK_MS = 1000 };
enum { ROUND_MS = 30000, ERROR_MS = 5000 };

/* Rows of `held` a slice. */
enum { SLICE_ROWS = 512 };

/* Copies from one node to another at a time; more of them if they are small, together. */
enum { PAIR_COPIES = 2, PAIR_COPIES_MAX = 32, PAIR_BYTES = 8 << 20 };

/* ---- on and off ---------------------------------------------------------------------------------- */

int
balance_is_on (struct txn *txn, bool *out, litedfs_error_t *error)
{
    uint64_t off = 0, restored = 0;
    int rc = meta_get (txn, META_BALANCE, &off, error);

    // What was moved could not be deleted before a store that was put back is accepted.
    if (rc == 0)
        rc = restored_since (txn, &restored, error);
    *out = rc == 0 && off == 0 && restored == 0;
    return rc;
}

int
balance_switch (struct txn *txn, bool on, litedfs_error_t *error)
{
    return meta_put (txn, META_BALANCE, on ? 0 : 1, error);
}

/* ---- the plan ------------------------------------------------------------------------------------ */

/* What the nodes hold as far as we know; heartbeats are late. */
static int
read_uses (struct txn *txn, struct balance_use *uses, size_t count, litedfs_error_t *error)
{
    struct node_row row;
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = node_row_get (txn, uses[i].node, &row, error);
        if (rc == 0)
            uses[i].used = row.bytes;
        else if (rc == LITEDFS_NOT_FOUND)
            rc = 0;
    }
    return rc;
}

int
balance_moves (const struct balance *self, struct txn *txn, const struct nodes_view *view,
               unsigned threshold, struct balance_move **out, size_t *count,
               litedfs_error_t *error)
{
    struct balance_use *uses = calloc (view->count + 1, sizeof *uses);
    struct balance_move *moves = calloc (view->count + 1, sizeof *moves);
    int rc = uses && moves ? 0 : err_set (error, LITEDFS_MEMORY, "balance: out of memory");
    size_t nodes = rc == 0 ? balance_uses (view, uses) : 0;

    *count = 0;
    if (rc == 0)
        rc = read_uses (txn, uses, nodes, error);
    if (rc == 0) {
        if (self)
            balance_ledger_apply (&self->ledger, uses, nodes);
        *count = balance_plan (uses, nodes, threshold, self && self->going, moves);
        *out = moves;
        moves = NULL;
    }
    free (moves);
    free (uses);
    return rc;
}

/* Tell the log when a balance begins, and when it ends. */
static void
tell (struct balance *self, struct repair_run *run, const struct balance_move *moves,
      size_t count)
{
    const struct node *from, *to;
    uint64_t bytes = 0;

    if (self->going == (count > 0))
        return;
    self->going = count > 0;
    if (!self->going) {
        log_info (run->log, "nothing is to move between the data nodes any more");
        return;
    }
    for (size_t i = 0; i < count; i++)
        bytes += moves[i].bytes;
    from = nodes_view_find (run->nodes, moves[0].from);
    to = nodes_view_find (run->nodes, moves[0].to);
    log_info (run->log,
              "the data nodes are being balanced: %" PRIu64 " bytes shall move; node %" PRIu32
              " is %.0f %% full, node %" PRIu32 " %.0f %%",
              bytes, moves[0].from, from ? node_use (from) : 0, moves[0].to,
              to ? node_use (to) : 0);
}

/* ---- places -------------------------------------------------------------------------------------- */

static bool
is_among (const struct balance_move *moves, size_t count, uint32_t from)
{
    for (size_t i = 0; i < count; i++)
        if (moves[i].from == from)
            return true;
    return false;
}

/* Forget the places of nodes that are not in the plan any more. */
static void
forget_places (struct balance *self, const struct balance_move *moves, size_t count)
{
    for (size_t i = 0; i < BALANCE_PAIRS_MAX; i++)
        if (self->places[i].node != 0 && !is_among (moves, count, self->places[i].node))
            self->places[i] = (struct balance_place){.node = 0};
}

/* The place of a node of the plan; there is one for each pair. */
static struct balance_place *
take_place (struct balance *self, uint32_t node)
{
    struct balance_place *unused = NULL;

    for (size_t i = 0; i < BALANCE_PAIRS_MAX; i++) {
        if (self->places[i].node == node)
            return &self->places[i];
        if (self->places[i].node == 0 && !unused)
            unused = &self->places[i];
    }
    *unused = (struct balance_place){.node = node};
    return unused;
}

bool
balance_is_stuck (const struct balance *self, uint32_t from)
{
    for (size_t i = 0; i < BALANCE_PAIRS_MAX; i++)
        if (self->places[i].node == from)
            return self->places[i].stuck;
    return false;
}

/* The walk came to the end of what the node holds. */
static void
end_round (struct balance_place *place, int64_t now_ms)
{
    place->bucket = 0;
    place->block = 0;
    place->stuck = !place->found;
    if (place->stuck)
        place->rest_ms = now_ms + ROUND_MS;
    place->found = false;
}

/* ---- a slice ------------------------------------------------------------------------------------- */

/* What one slice does. */
struct walk {
    struct balance *self;
    struct repair_run *run;
    struct balance_place *place;
    uint32_t from;
    uint32_t to;
    uint64_t bytes;      // that may go
    size_t copies;       // of this pair, under way and found
    uint64_t copy_bytes; // theirs
};

/* Whether the pair may have another copy, of this size. */
static bool
has_room (const struct walk *walk, uint64_t size)
{
    const struct balance *self = walk->self;

    if (self->found_count == BALANCE_FOUND_MAX ||
        self->ledger.count + self->found_count >= BALANCE_LEDGER_MAX)
        return false;
    return walk->copies < PAIR_COPIES ||
           (walk->copies < PAIR_COPIES_MAX && walk->copy_bytes + size <= PAIR_BYTES);
}

/* The copies that are wanted of a block; 0 if its file is not to be seen yet, or freed. */
static int
find_wanted (struct txn *txn, const struct block_row *row, uint32_t *out,
             litedfs_error_t *error)
{
    struct inode_row file;
    int rc = inode_row_get (txn, row->inode, &file, error);

    *out = rc == 0 && file.kind == KIND_FILE ? file.replica : 0;
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* Look at one block that the node holds. */
static int
look_at (struct walk *walk, uint64_t block, litedfs_error_t *error)
{
    struct balance *self = walk->self;
    struct repair_run *run = walk->run;
    struct block_row row;
    uint32_t wanted = 0;
    bool fits = false;

    run->blocks++;
    int rc = held_find_block (run->txn, block, &row, error);
    if (rc == 0)
        rc = find_wanted (run->txn, &row, &wanted, error);
    if (rc == 0 && wanted > 0)
        rc = repair_move_fits (run, &row, wanted, walk->from, walk->to, &fits, error);
    if (rc < 0 || !fits)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    self->found[self->found_count++] = (struct balance_entry){.block = block,
                                                              .inode = row.inode,
                                                              .index = row.index,
                                                              .from = walk->from,
                                                              .to = walk->to,
                                                              .size = row.size};
    walk->place->found = true;
    walk->place->stuck = false;
    walk->bytes -= row.size;
    walk->copies++;
    walk->copy_bytes += row.size;
    return 0;
}

/* Whether a row of the walk's node may be of a block that can go. */
static bool
may_go (const struct walk *walk, const struct held_row *held)
{
    return held->state == HELD_CONFIRMED && held->order == HELD_KEPT && held->size > 0 &&
           held->size <= walk->bytes;
}

static int
walk_on (struct walk *walk, litedfs_error_t *error)
{
    struct balance_place *place = walk->place;
    struct cursor cursor = {0};
    struct held_row held;
    struct slice key, value;
    uint8_t prefix[4], start[14];

    key_be32 (prefix, place->node);
    key_be32 (start, place->node);
    start[4] = (uint8_t) (place->bucket >> 8);
    start[5] = (uint8_t) place->bucket;
    key_be64 (start + 6, place->block);
    int rc = cursor_open (&cursor, walk->run->txn, TABLE_HELD, slice_of (prefix, sizeof prefix),
                          slice_of (start, sizeof start), error);
    for (int i = 0; i < SLICE_ROWS && rc == 0 && repair_has_time (walk->run); i++) {
        rc = cursor_next (&cursor, &key, &value, error);
        if (rc == LITEDFS_NOT_FOUND)
            end_round (place, walk->run->now_ms);
        if (rc == 0)
            rc = held_row_decode (key, value, &held, error);
        if (rc < 0 || !has_room (walk, held.size))
            break;
        if (may_go (walk, &held))
            rc = look_at (walk, held.block, error);
        place->bucket = block_id_bucket (held.block);
        place->block = held.block + 1;
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* The turn of one move of the plan. */
static int
take_turn (struct balance *self, struct repair_run *run, const struct balance_move *move,
           litedfs_error_t *error)
{
    struct walk walk = {.self = self,
                        .run = run,
                        .place = take_place (self, move->from),
                        .from = move->from,
                        .to = move->to,
                        .bytes = move->bytes};

    balance_ledger_sum (&self->ledger, move->from, move->to, &walk.copies, &walk.copy_bytes);
    if (run->now_ms < walk.place->rest_ms || !has_room (&walk, 0) ||
        !copies_may_send (run->copies, move->from, 1) ||
        !copies_may_take (run->copies, move->to, 1))
        return 0;
    return walk_on (&walk, error);
}

/* Have a plan, and give the next of its moves its turn. */
static int
go_on (struct balance *self, struct repair_run *run, unsigned threshold, litedfs_error_t *error)
{
    struct balance_move *moves;
    size_t count;
    int rc = balance_moves (self, run->txn, run->nodes, threshold, &moves, &count, error);

    if (rc < 0)
        return rc;
    tell (self, run, moves, count);
    if (count > BALANCE_PAIRS_MAX)
        count = BALANCE_PAIRS_MAX;
    forget_places (self, moves, count);
    if (count > 0) {
        rc = take_turn (self, run, &moves[self->turn++ % count], error);
        int64_t pause_ms = (self->found_count > 0 ? FOUND_MS : WALK_MS) / (int64_t) count;
        self->next_ms = run->now_ms + (pause_ms > TURN_MS ? pause_ms : TURN_MS);
    }
    free (moves);
    return rc;
}

static int
slice (struct balance *self, struct repair_run *run, unsigned threshold, bool idle,
       litedfs_error_t *error)
{
    bool on = false;
    int rc = balance_ledger_check (&self->ledger, run, error);

    if (rc == 0)
        rc = balance_is_on (run->txn, &on, error);
    if (rc < 0)
        return rc;
    if (on && threshold > 0)
        return idle ? go_on (self, run, threshold, error) : 0;
    self->going = false;
    return 0;
}

int
balance_slice (struct balance *self, struct metastore *store, struct repair_run *run,
               unsigned threshold, bool idle, litedfs_error_t *error)
{
    if (!self->begun) {
        self->begun = true;
        self->next_ms = run->now_ms + (int64_t) run->delete_delay_ms + LOOK_MS;
    }
    if (run->now_ms < self->next_ms || self->found_count > 0)
        return 0;
    self->next_ms = run->now_ms + (idle ? LOOK_MS : FOUND_MS);
    int rc = txn_begin_read (store, &run->txn, error);
    if (rc == 0) {
        rc = slice (self, run, threshold, idle, error);
        txn_abort (&run->txn);
    }
    if (rc < 0)
        self->next_ms = run->now_ms + ERROR_MS;
    return rc;
}

/* ---- a step -------------------------------------------------------------------------------------- */

/* Order one that was found, if it is as it was. */
static int
order (struct balance *self, struct repair_run *run, const struct balance_entry *entry,
       litedfs_error_t *error)
{
    struct block_row row;
    uint32_t wanted = 0;
    bool ordered = false;
    int rc = block_row_get (run->txn, entry->inode, entry->index, &row, error);

    if (rc == 0)
        rc = find_wanted (run->txn, &row, &wanted, error);
    if (rc == 0 && wanted > 0 && row.block == entry->block)
        rc = repair_move_order (run, &row, wanted, entry->from, entry->to, &ordered, error);
    if (rc == 0 && ordered)
        self->ordered[self->ordered_count++] = *entry;
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

int
balance_step (struct balance *self, struct repair_run *run, litedfs_error_t *error)
{
    bool on = false;
    int rc = 0;

    self->ordered_count = 0;
    if (self->found_count > 0)
        rc = balance_is_on (run->txn, &on, error);
    for (size_t i = 0; i < self->found_count && rc == 0 && on; i++)
        rc = order (self, run, &self->found[i], error);
    return rc;
}

void
balance_settle (struct balance *self, bool committed)
{
    for (size_t i = 0; i < self->ordered_count && committed; i++)
        balance_ledger_add (&self->ledger, &self->ordered[i]);
    self->ordered_count = 0;
    if (committed)
        self->found_count = 0;
}
