/* SPDX-License-Identifier: MIT */
/*
 * Blocks: a file has as many as its size wants, full but for the last, and their CRCs make its own; every
 * block has an owner row that leads back to it; what nobody sees is being written or is doomed.
 */
#include "namenode/check_walk.h"

#include "base/crc.h"
#include "namenode/blocks.h"

#include <inttypes.h>
#include <stdio.h>

static const char *
block_key (char room[CHECK_KEY_SIZE], uint64_t inode, uint32_t index)
{
    snprintf (room, CHECK_KEY_SIZE, "%" PRIu64 " %" PRIu32, inode, index);
    return room;
}

/* ---- the content of a file ----------------------------------------------------------------------- */

struct content {
    uint64_t count;
    uint64_t size;
    uint32_t crc;
    bool whole; // no finding so far
};

static void
add_block (struct check *self, const struct inode_row *file, const struct block_row *row,
           struct content *content)
{
    uint64_t last = block_count_of (file->size, file->block_size) - 1;
    char text[CHECK_KEY_SIZE];
    const char *wrong = NULL;

    block_key (text, row->inode, row->index);
    if (row->index != content->count)
        wrong = "blocks before it are missing";
    else if (row->index > last)
        wrong = "it is beyond the end of its file";
    else if (row->state != BLOCK_FINISHED)
        wrong = "its file is visible, and it is not finished";
    else if (row->index < last && row->size != file->block_size)
        wrong = "it is not the last one and not full";
    if (wrong)
        check_find (self, TABLE_BLOCK, text, "%s", wrong);
    content->whole = content->whole && !wrong;
    content->crc = crc32_join (content->crc, row->crc, row->size);
    content->size += row->size;
    content->count = (uint64_t) row->index + 1;
}

int
check_content (struct check *self, const struct inode_row *file)
{
    uint64_t count = block_count_of (file->size, file->block_size);
    struct content content = {.whole = true};
    char text[CHECK_KEY_SIZE];
    struct blocks_walk walk;
    struct block_row row;

    int rc = blocks_open (&walk, self->txn, file->number, 0, self->error);
    while (rc == 0 && (rc = blocks_next (&walk, &row, self->error)) == 0)
        add_block (self, file, &row, &content);
    blocks_close (&walk);
    if (rc == LITEDFS_CORRUPT)
        return 0; // found among the blocks
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    check_key (text, file->number);
    if (content.count < count)
        check_find (self, TABLE_INODE, text,
                    "it has %" PRIu64 " bytes and the last %" PRIu64 " of %" PRIu64
                    " blocks are missing",
                    file->size, count - content.count, count);
    else if (content.whole && content.size != file->size)
        check_find (self, TABLE_INODE, text, "it has %" PRIu64 " bytes and its blocks %" PRIu64,
                    file->size, content.size);
    else if (content.whole && content.crc != file->crc)
        check_find (self, TABLE_INODE, text, "its checksum is not that of its blocks");
    return 0;
}

/* ---- blocks -------------------------------------------------------------------------------------- */

/* Those that shall take it, or have it. */
static int
check_holders (struct check *self, const struct block_row *row, const char *text)
{
    struct held_row held;

    for (size_t i = 0; i < row->nodes_count; i++) {
        uint32_t number = row->nodes[i];
        struct check_tally *node = check_node (self, number);
        for (size_t other = 0; other < i; other++)
            if (row->nodes[other] == number)
                check_find (self, TABLE_BLOCK, text, "node %" PRIu32 " stands in it twice",
                            number);
        if (!node)
            check_find (self, TABLE_BLOCK, text, "node %" PRIu32 " in it is missing", number);
        if (node && row->state == BLOCK_ALLOCATED)
            node->reserved += row->size;
        if (row->state == BLOCK_ALLOCATED)
            continue;
        bool readable;
        int rc = check_found (held_row_get (self->txn, number, row->block, &held, self->error),
                              &readable);
        if (rc < 0)
            return rc;
        if (rc == 0)
            check_find (self, TABLE_BLOCK, text,
                        "node %" PRIu32 " is a holder and has no held row for it", number);
        else if (readable && held.state == HELD_CONFIRMED && held.size != row->size)
            check_find (self, TABLE_BLOCK, text,
                        "it has %" PRIu64 " bytes and on node %" PRIu32 " %" PRIu64, row->size,
                        number, held.size);
    }
    return 0;
}

/* Whose it is: of a file that is there, of one that is being written, or of what was deleted. */
static int
check_inode_of (struct check *self, const struct block_row *row, const char *text)
{
    struct inode_row inode;
    bool readable;

    int rc =
        check_found (inode_row_get (self->txn, row->inode, &inode, self->error), &readable);
    if (rc < 0)
        return rc;
    if (rc > 0 && readable && inode.kind != KIND_FILE)
        check_find (self, TABLE_BLOCK, text, "its inode is a directory");
    if (rc > 0 || check_is_leased (self, row->inode))
        return 0;
    rc = check_is_doomed (self, row->inode);
    if (rc == 0)
        check_find (self, TABLE_BLOCK, text,
                    "it is of no file, of none that is being written and of none that was "
                    "deleted");
    return rc < 0 ? rc : 0;
}

int
check_block (struct check *self, struct slice key, struct slice value)
{
    char text[CHECK_KEY_SIZE], id[BLOCK_ID_TEXT_SIZE];
    struct owner_row owner;
    struct block_row row;
    bool readable;

    int rc = block_row_decode (key, value, &row, self->error);
    if (rc < 0)
        return rc;
    self->report->blocks++;
    block_key (text, row.inode, row.index);
    block_id_print (row.block, id);
    check_block_id (self, TABLE_BLOCK, text, row.block);
    rc = check_found (owner_row_get (self->txn, row.block, &owner, self->error), &readable);
    if (rc < 0)
        return rc;
    if (rc == 0)
        check_find (self, TABLE_BLOCK, text, "block %s has no owner row", id);
    else if (readable && (owner.inode != row.inode || owner.index != row.index))
        check_find (self, TABLE_BLOCK, text,
                    "the owner of block %s is %" PRIu64 " %" PRIu32 " instead", id, owner.inode,
                    owner.index);
    rc = check_inode_of (self, &row, text);
    return rc == 0 ? check_holders (self, &row, text) : rc;
}

int
check_owner (struct check *self, struct slice key, struct slice value)
{
    char text[BLOCK_ID_TEXT_SIZE];
    struct owner_row owner;
    struct block_row row;
    struct reader at = reader_of (key);
    uint64_t block = reader_be64 (&at);
    bool readable;
    (void) value;

    if (!reader_done (&at)) {
        check_find (self, TABLE_OWNER, "?", "a key of %zu bytes", key.size);
        return 0;
    }
    int rc = owner_row_get (self->txn, block, &owner, self->error);
    if (rc < 0)
        return rc;
    rc = check_found (block_row_get (self->txn, owner.inode, owner.index, &row, self->error),
                      &readable);
    if (rc == 0 || (rc > 0 && readable && row.block != block))
        check_find (self, TABLE_OWNER, block_id_print (block, text),
                    "inode %" PRIu64 " has no such block at %" PRIu32, owner.inode,
                    owner.index);
    return rc < 0 ? rc : 0;
}

int
check_repair (struct check *self, struct slice key, struct slice value)
{
    char text[CHECK_KEY_SIZE];
    struct repair_row row;
    struct inode_row inode;
    bool readable;

    int rc = repair_row_decode (key, value, &row, self->error);
    if (rc < 0)
        return rc;
    block_key (text, row.inode, row.first);
    if (row.inode <= ROOT_INODE || row.inode > self->meta[META_INODE])
        check_find (self, TABLE_REPAIR, text, "no such inode was ever drawn");
    rc = check_found (inode_row_get (self->txn, row.inode, &inode, self->error), &readable);
    if (rc > 0 && readable && inode.kind != KIND_FILE)
        check_find (self, TABLE_REPAIR, text, "its inode is a directory");
    return rc < 0 ? rc : 0; // one of a file that is gone goes by itself
}
