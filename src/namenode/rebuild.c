/* SPDX-License-Identifier: MIT */
/*
 * Two passes, in transactions of some thousand rows.  The first one reads the lists: a block row for each
 * block, under the inode number that its file's id has, with the nodes that have it; and a draft of each
 * file, what its trailers say, as a row of the table `reply`, where nothing else is yet.  The second one walks
 * the drafts in order of the inodes, which is that in which the files were made, and links those that are
 * complete.  So nothing grows in memory.
 */
#include "namenode/rebuild.h"

#include "namenode/held.h"
#include "namenode/mark.h"
#include "namenode/namespace.h"
#include "namenode/rebuild_file.h"
#include "namenode/restored.h"
#include "namenode/row.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Rows of a transaction, about. */
#define BATCH 4096

/* The longest line: a path of 4096 bytes, each as %XX, and what stands before it. */
#define LINE_MAX_SIZE (3 * 4096 + 512)

struct rebuild {
    const struct rebuild_options *options;
    struct rebuild_result *result;
    struct metastore *store;
    litedfs_error_t *error;
    struct txn *txn;
    size_t written;  // in this transaction
    uint64_t line;   // number
    uint32_t node;   // whose list it is; 0: before its node line
    uint64_t listed; // blocks of this list so far
    bool open;       // a list has begun and not ended
    uint32_t last_node;
    uint64_t last_inode;
    uint64_t last_epoch;
};

/* ---- transactions -------------------------------------------------------------------------------- */

static int
begin (struct rebuild *self)
{
    const struct txn_frame frame = {.wall_ms = self->options->wall_ms};

    self->written = 0;
    return txn_begin_write (self->store, &frame, &self->txn, self->error);
}

/* Something was written: a full transaction is committed, and the next one begun. */
static int
wrote (struct rebuild *self)
{
    if (++self->written < BATCH)
        return 0;
    int rc = txn_commit (&self->txn, self->error);
    return rc == 0 ? begin (self) : rc;
}

/* ---- lines --------------------------------------------------------------------------------------- */

static int
refuse (const struct rebuild *self, const char *why)
{
    return err_set (self->error, LITEDFS_INVALID, "line %" PRIu64 " of the lists: %s",
                    self->line, why);
}

/* Cut the next word off a line; NULL if there is none. */
static char *
next_word (char **line)
{
    char *word = strsep (line, " ");

    return word && *word ? word : NULL;
}

static bool
next_number (char **line, uint64_t max, uint64_t *out)
{
    char *word = next_word (line);
    int64_t number;

    if (!word ||
        !text_parse_int (word, 0, max > INT64_MAX ? INT64_MAX : (int64_t) max, &number))
        return false;
    *out = (uint64_t) number;
    return true;
}

static bool
next_uuid (char **line, struct uuid *out)
{
    char *word = next_word (line);

    return word && uuid_parse (out, word, strlen (word));
}

static int
hex_digit (char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Read a path in place; its size, or -1. */
static int
unescape (char *text)
{
    int size = 0;

    for (const char *at = text; *at; at++) {
        if (*at != '%') {
            text[size++] = *at;
            continue;
        }
        int high = hex_digit (at[1]);
        int low = high < 0 ? -1 : hex_digit (at[2]);
        if (low < 0)
            return -1;
        text[size++] = (char) (high << 4 | low);
        at += 2;
    }
    return size;
}

/* ---- the first pass ------------------------------------------------------------------------------ */

static int
take_node (struct rebuild *self, char *rest)
{
    struct node_row row = {.time = (uint64_t) self->options->wall_ms}, before;
    uint64_t number;
    struct uuid cluster;

    if (!next_number (&rest, UINT32_MAX, &number) || number == 0 ||
        !next_uuid (&rest, &row.uuid) || !next_uuid (&rest, &cluster))
        return refuse (self, "it should say 'node NUMBER UUID CLUSTER'");
    if (self->result->nodes > 0 && !uuid_equal (&cluster, &self->result->cluster))
        return refuse (self, "it is of another cluster than the list before");
    self->result->cluster = cluster;
    row.number = (uint32_t) number;
    int rc = node_row_get (self->txn, row.number, &before, self->error);
    if (rc == 0)
        return refuse (self, "a node of this number was listed before");
    if (rc != LITEDFS_NOT_FOUND)
        return rc;
    self->node = row.number;
    if (row.number > self->last_node)
        self->last_node = row.number;
    self->result->nodes++;
    rc = node_row_put (self->txn, &row, self->error);
    return rc == 0 ? wrote (self) : rc;
}

/* Take one copy of a block into the row of its place. */
static int
add_copy (struct rebuild *self, const struct block_row *found)
{
    struct block_row row;
    int rc = block_row_get (self->txn, found->inode, found->index, &row, self->error);

    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    bool same = rc == 0 && row.block == found->block;
    if (rc == 0 && !same && row.block > found->block)
        return 0; // of an attempt before that one
    if (same && (row.size != found->size || row.crc != found->crc))
        return 0; // it cannot be told which one is right; the first one was listed first
    if (!same) {
        row = *found;
        row.nodes_count = 0;
        self->result->blocks++;
    }
    if (row.nodes_count < ROW_NODES_MAX && !block_row_has_node (&row, self->node))
        row.nodes[row.nodes_count++] = self->node;
    rc = block_row_put (self->txn, &row, self->error);
    return rc == 0 ? wrote (self) : rc;
}

static int
take_block (struct rebuild *self, char *rest)
{
    struct block_row row = {.state = BLOCK_FINISHED};
    struct rebuild_draft draft = {0};
    struct uuid file;
    uint64_t index;
    char *id = next_word (&rest), *crc, *end;

    if (self->node == 0 || !id || !block_id_parse (&row.block, id, strlen (id)) ||
        row.block == 0 || !next_uuid (&rest, &file) ||
        !next_number (&rest, UINT32_MAX, &index) ||
        !next_number (&rest, (uint64_t) UINT32_MAX + 1, &draft.count) ||
        !next_number (&rest, UINT64_MAX, &row.size) || !(crc = next_word (&rest)) || !rest)
        return refuse (self,
                       "it should say 'block ID FILE INDEX COUNT SIZE CRC PATH' after a node");
    row.crc = (uint32_t) strtoul (crc, &end, 16);
    int size = *end ? -1 : unescape (rest);
    if (size < 0 || size > PATH_BYTES_MAX || row.size == 0)
        return refuse (self, "its CRC, size or path cannot be read");
    self->listed++;
    row.inode = uuid_v8_number (&file);
    row.index = (uint32_t) index;
    if (!uuid_is_v8 (&file) || row.inode <= ROOT_INODE)
        return 0; // of no file of ours
    if (block_id_epoch (row.block) > self->last_epoch)
        self->last_epoch = block_id_epoch (row.block);
    if (row.inode > self->last_inode)
        self->last_inode = row.inode;
    draft.inode = row.inode;
    draft.bits = uuid_v8_bits (&file);
    draft.path = slice_of (rest, (size_t) size);
    int rc = rebuild_draft_add (self->txn, &draft, self->error);
    return rc == 0 ? add_copy (self, &row) : rc;
}

static int
take_line (struct rebuild *self, char *line)
{
    char *rest = line;
    char *word = strsep (&rest, " ");
    uint64_t blocks;

    self->line++;
    if (strcmp (word, "LiteDFS") == 0 && rest && strcmp (rest, "blocks 1") == 0 &&
        !self->open) {
        self->open = true;
        self->node = 0;
        self->listed = 0;
        return 0;
    }
    if (!self->open)
        return refuse (self, "a list begins with 'LiteDFS blocks 1'");
    if (strcmp (word, "node") == 0 && self->node == 0)
        return take_node (self, rest);
    if (strcmp (word, "block") == 0)
        return take_block (self, rest);
    if (strcmp (word, "end") != 0 || !next_number (&rest, UINT64_MAX, &blocks))
        return refuse (self, "it is none of a list of blocks");
    self->open = false;
    return blocks == self->listed ? 0 : refuse (self, "lines of this list are missing");
}

static int
read_lists (struct rebuild *self)
{
    char *line = malloc (LINE_MAX_SIZE);
    int rc = line ? 0 : err_set (self->error, LITEDFS_MEMORY, "rebuild: out of memory");

    while (rc == 0 && fgets (line, LINE_MAX_SIZE, self->options->lists)) {
        size_t size = strcspn (line, "\n");
        if (line[size] == '\n')
            line[size] = '\0';
        rc = take_line (self, line);
    }
    free (line);
    if (rc == 0 && ferror (self->options->lists))
        rc = err_set (self->error, LITEDFS_IO, "the lists cannot be read");
    if (rc == 0 && (self->open || self->result->nodes == 0))
        rc = refuse (self, self->open ? "the list is cut off here" : "there is no list");
    return rc;
}

/* ---- the second pass ----------------------------------------------------------------------------- */

static void
say (const struct rebuild *self, const struct rebuild_draft *draft, const char *what)
{
    char quoted[PATH_QUOTE_SIZE], line[PATH_QUOTE_SIZE + 128];

    if (!self->options->say)
        return;
    snprintf (line, sizeof line, "file[%s]: %s (inode %" PRIu64 ")",
              path_quote (draft->path, quoted), what, draft->inode);
    self->options->say (self->options->arg, line);
}

static int
finish_file (struct rebuild *self, const struct rebuild_draft *draft)
{
    enum rebuild_outcome outcome;
    int rc = rebuild_file (self->txn, draft, self->options->block_size, &outcome, self->error);

    if (rc < 0)
        return rc;
    self->result->files += outcome != REBUILD_INCOMPLETE;
    self->result->renamed += outcome == REBUILD_RENAMED || outcome == REBUILD_MOVED_OTHER;
    self->result->incomplete += outcome == REBUILD_INCOMPLETE;
    if (outcome == REBUILD_INCOMPLETE)
        say (self, draft, "blocks are missing, it is not there");
    else if (outcome == REBUILD_RENAMED)
        say (self, draft, "it cannot be at this path, it is in /rebuilt");
    else if (outcome == REBUILD_MOVED_OTHER)
        say (self, draft, "an older one was at this path, it is beside it");
    return wrote (self);
}

static int
finish_files (struct rebuild *self)
{
    struct rebuild_draft draft;
    struct buf path = {0};
    int rc = 0;

    for (uint64_t after = 0; rc == 0; after = draft.inode) {
        rc = rebuild_draft_next (self->txn, after, &draft, &path, self->error);
        if (rc == 0)
            rc = finish_file (self, &draft);
    }
    buf_free (&path);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

static int
put_counters (struct rebuild *self)
{
    uint64_t epoch;
    int rc = meta_put (self->txn, META_NODE, self->last_node, self->error);

    if (rc == 0 && self->last_inode > ROOT_INODE)
        rc = meta_put (self->txn, META_INODE, self->last_inode, self->error);
    if (rc == 0)
        rc = restored_enter (self->txn, self->last_epoch, &epoch, self->error);
    return rc == 0 ? meta_put_cluster (self->txn, &self->result->cluster, self->error) : rc;
}

int
rebuild_store (struct metastore *store, const struct rebuild_options *options,
               struct rebuild_result *out, litedfs_error_t *error)
{
    litedfs_error_t own;
    struct rebuild self = {
        .options = options, .result = out, .store = store, .error = error ? error : &own};

    *out = (struct rebuild_result){0};
    int rc = begin (&self);
    if (rc == 0)
        rc = read_lists (&self);
    if (rc == 0)
        rc = put_counters (&self);
    if (rc == 0)
        rc = finish_files (&self);
    if (rc == 0)
        return txn_commit (&self.txn, self.error);
    txn_abort (&self.txn);
    return rc;
}
