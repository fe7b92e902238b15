/* SPDX-License-Identifier: MIT */
/*
 * Scans of marks.  Ranges of blocks that are not fine are collected as the scan goes, and put in the
 * mark's place at its end; where nothing changed, nothing is written.
 */
#include "namenode/repair_scan.h"

#include "namenode/agenda.h"
#include "namenode/blocks.h"

/* What a transaction does at most: blocks, milliseconds. */
enum { BLOCKS_MAX = 256, TIME_MS = 4 };

/* Ranges with fewer fine blocks than this between them are left one. */
enum { GAP = 32 };

/* A scan begins at the start of the mark if that is no further away than this. */
enum { NEAR = 2 * GAP };

/* Milliseconds: when a block with a claim that is young is looked at again, and what a scan had no time
 * for. */
enum { SOON_MS = 1000, REST_MS = 12 };

/* Ranges that one scan leaves, at most. */
enum { PIECES_MAX = BLOCKS_MAX / GAP + 4 };

/* What is left of a mark while it is scanned. */
struct scan {
    struct repair_row row;
    uint64_t run_end; // of the range that is open; 0: none is
    uint32_t run_first;
    struct repair_row pieces[PIECES_MAX];
    size_t pieces_count;
};

/* The open range is complete. */
static void
end_run (struct scan *scan)
{
    if (scan->run_end == 0)
        return;
    scan->pieces[scan->pieces_count++] = (struct repair_row){
        .inode = scan->row.inode, .first = scan->run_first, .end = scan->run_end};
    scan->run_end = 0;
}

/* Blocks that are not fine, or were not looked at. */
static void
keep (struct scan *scan, uint32_t first, uint64_t end)
{
    if (first >= end)
        return;
    if (scan->run_end != 0 && first - scan->run_end >= GAP)
        end_run (scan);
    if (scan->run_end == 0)
        scan->run_first = first;
    scan->run_end = end;
}

/* Put the ranges in the place of the mark, as far as they differ from it. */
static int
replace_mark (struct txn *txn, const struct scan *scan, litedfs_error_t *error)
{
    const struct repair_row *row = &scan->row;
    struct repair_row there;
    int rc = 0;

    if (scan->pieces_count == 0 || scan->pieces[0].first != row->first)
        rc = repair_row_del (txn, row->inode, row->first, error);
    for (size_t i = 0; i < scan->pieces_count && (rc == 0 || rc == LITEDFS_NOT_FOUND); i++) {
        struct repair_row piece = scan->pieces[i];
        if (piece.first == row->first && piece.end == row->end)
            return 0;
        if (piece.first != row->first) {
            rc = repair_row_get (txn, piece.inode, piece.first, &there, error);
            if (rc == 0 && there.end > piece.end)
                piece.end = there.end;
        }
        if (rc == 0 || rc == LITEDFS_NOT_FOUND)
            rc = repair_row_put (txn, &piece, error);
    }
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

bool
repair_has_time (const struct repair_run *run)
{
    return run->blocks < BLOCKS_MAX && clock_mono (run->clock) - run->now_ms < TIME_MS;
}

/* Take note of what became of a block. */
static void
note (struct repair_run *run, struct scan *scan, uint32_t index, enum repair_verdict verdict)
{
    const struct agenda_item item = {scan->row.inode, index, (uint64_t) index + 1};

    if (verdict == REPAIR_SOON)
        agenda_add_later (run->agenda, item, run->now_ms + SOON_MS);
    if (verdict != REPAIR_FINE)
        keep (scan, index, item.end);
}

/* Mend blocks `from` to `to` - 1.  *stop is the block at which there was no time left, or at which the
 * nodes were busy (*busy); `to` if it came to the end. */
static int
scan_blocks (struct repair_run *run, struct scan *scan, uint32_t from, uint64_t to,
             uint32_t wanted, uint64_t *stop, bool *busy, litedfs_error_t *error)
{
    struct blocks_walk walk;
    struct block_row row;
    enum repair_verdict verdict;

    *stop = to;
    *busy = false;
    int rc = blocks_open (&walk, run->txn, scan->row.inode, from, error);
    while (rc == 0 && (rc = blocks_next (&walk, &row, error)) == 0) {
        if (row.index >= to)
            break;
        if (row.state == BLOCK_ALLOCATED)
            continue;
        *stop = row.index;
        if (!repair_has_time (run))
            break;
        rc = repair_block_mend (run, &row, wanted, &verdict, error);
        *busy = rc == 0 && verdict == REPAIR_BUSY;
        if (rc < 0 || *busy)
            break;
        note (run, scan, row.index, verdict);
        *stop = to;
    }
    blocks_close (&walk);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* The mark of what is no visible file (any more) goes. */
static int
drop_mark (struct txn *txn, const struct repair_row *mark, litedfs_error_t *error)
{
    int rc = repair_row_del (txn, mark->inode, mark->first, error);

    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

int
repair_scan (struct repair_run *run, const struct repair_row *mark, uint32_t from, uint64_t to,
             litedfs_error_t *error)
{
    struct scan scan = {.row = *mark};
    struct inode_row file;
    uint64_t stop;
    bool busy;

    run->blocks++; // a mark without a block takes time too
    int rc = inode_row_get (run->txn, mark->inode, &file, error);
    if (rc == LITEDFS_NOT_FOUND || (rc == 0 && file.kind != KIND_FILE))
        return drop_mark (run->txn, mark, error);
    if (rc < 0)
        return rc;
    if (from < mark->first || from - mark->first < NEAR)
        from = mark->first;
    if (to > mark->end)
        to = mark->end;
    keep (&scan, mark->first, from);
    rc = scan_blocks (run, &scan, from, to, file.replica > 0 ? file.replica : 1, &stop, &busy,
                      error);
    if (rc < 0)
        return rc;
    const struct agenda_item rest = {mark->inode, (uint32_t) stop, to};
    if (busy)
        agenda_add_busy (run->agenda, rest, run->level);
    else if (stop < to)
        agenda_add_later (run->agenda, rest, run->now_ms + REST_MS);
    if (stop < mark->end) {
        end_run (&scan); // so that the agenda finds a mark that begins at the rest
        keep (&scan, (uint32_t) stop, mark->end);
    }
    end_run (&scan);
    return replace_mark (run->txn, &scan, error);
}
