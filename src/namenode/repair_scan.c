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

/* When a block with a claim that is young is looked at again, milliseconds. */
enum { SOON_MS = 1000 };

/* Ranges that one scan leaves, at most. */
enum { PIECES_MAX = BLOCKS_MAX / GAP + 4 };

/* What is left of a mark while it is scanned. */
struct scan {
    struct repair_row row;
    uint32_t next;    // the block to look at
    uint64_t run_end; // of the range that is open; 0: none is
    uint32_t run_first;
    bool soon; // a block of it is to be looked at soon
    struct repair_row pieces[PIECES_MAX];
    size_t pieces_count;
};

/* The open range is complete. */
static void
end_run (struct repair_run *run, struct scan *scan)
{
    if (scan->run_end == 0)
        return;
    scan->pieces[scan->pieces_count++] = (struct repair_row){
        .inode = scan->row.inode, .first = scan->run_first, .end = scan->run_end};
    if (scan->soon)
        agenda_add_later (run->agenda, scan->row.inode, scan->run_first, run->now_ms + SOON_MS);
    scan->run_end = 0;
    scan->soon = false;
}

/* A block that is not fine. */
static void
keep_block (struct repair_run *run, struct scan *scan, uint32_t index, bool soon)
{
    if (scan->run_end != 0 && index - scan->run_end >= GAP)
        end_run (run, scan);
    if (scan->run_end == 0)
        scan->run_first = index;
    scan->run_end = (uint64_t) index + 1;
    scan->soon = scan->soon || soon;
}

/* Everything from a block on stays marked. */
static void
keep_rest (struct repair_run *run, struct scan *scan, uint32_t index)
{
    if (scan->row.end <= index)
        return;
    keep_block (run, scan, index, false);
    scan->run_end = scan->row.end;
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

/* Mend the blocks of a mark from scan->next on.  *stop is the block at which there was no time left, or
 * at which the nodes were busy (*busy); REPAIR_END if it came to the end. */
static int
scan_blocks (struct repair_run *run, struct scan *scan, uint32_t wanted, uint64_t *stop,
             bool *busy, litedfs_error_t *error)
{
    struct blocks_walk walk;
    struct block_row row;
    enum repair_verdict verdict;

    *stop = REPAIR_END;
    *busy = false;
    int rc = blocks_open (&walk, run->txn, scan->row.inode, scan->next, error);
    while (rc == 0 && (rc = blocks_next (&walk, &row, error)) == 0) {
        if (row.index >= scan->row.end)
            break;
        if (row.state == BLOCK_ALLOCATED)
            continue;
        if (!repair_has_time (run)) {
            *stop = row.index;
            break;
        }
        rc = repair_block_mend (run, &row, wanted, &verdict, error);
        if (rc < 0)
            break;
        if (verdict == REPAIR_BUSY) {
            *stop = row.index;
            *busy = true;
            break;
        }
        if (verdict != REPAIR_FINE)
            keep_block (run, scan, row.index, verdict == REPAIR_SOON);
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
repair_scan (struct repair_run *run, const struct repair_row *mark, uint32_t from, bool *left,
             struct repair_row *rest, uint32_t *next, litedfs_error_t *error)
{
    struct scan scan = {.row = *mark, .next = from};
    struct inode_row file;
    uint64_t stop;
    bool busy;

    *left = false;
    run->blocks++; // a mark without a block takes time too
    int rc = inode_row_get (run->txn, mark->inode, &file, error);
    if (rc == LITEDFS_NOT_FOUND || (rc == 0 && file.kind != KIND_FILE))
        return drop_mark (run->txn, mark, error);
    if (rc < 0)
        return rc;
    if (from > mark->first) {
        scan.run_first = mark->first;
        scan.run_end = from;
    }
    rc = scan_blocks (run, &scan, file.replica > 0 ? file.replica : 1, &stop, &busy, error);
    if (rc < 0)
        return rc;
    if (stop < REPAIR_END)
        keep_rest (run, &scan, (uint32_t) stop);
    end_run (run, &scan);
    if (busy) {
        agenda_add_busy (run->agenda, mark->inode, (uint32_t) stop);
    } else if (stop < REPAIR_END) {
        *rest = scan.pieces[scan.pieces_count - 1];
        *next = (uint32_t) stop;
        *left = true;
    }
    return replace_mark (run->txn, &scan, error);
}
