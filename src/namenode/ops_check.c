/* SPDX-License-Identifier: MIT */
/*
 * cluster.check: a walk over all blocks, and then over copies that are damaged or nobody's, in parts that
 * hold up nobody.
 *
 * Where the walk is, and what it knows of the file that it is in the middle of, is the cursor: nothing is
 * kept here between two parts.  A file counts when its end is passed.
 */
#include "base/err.h"
#include "namenode/blocks.h"
#include "namenode/held.h"
#include "namenode/namespace.h"
#include "namenode/ops_look.h"
#include "namenode/quarantine.h"

#include <string.h>

/* How many tables are walked through after the blocks. */
enum { PHASES = 2 };

/* The most files in a page, as messages.def has it; the version of the cursor; bytes of a key in it. */
enum { CONCERNS_MAX = 1024, CURSOR_VERSION = 1, KEY_MAX = 32 };

/* Where the walk goes on: what a cursor has. */
struct place {
    uint8_t phase;  // 0: blocks; then the tables of `phases`
    uint64_t inode; // of the file that was looked at last
    uint64_t next;  // the index of its next block
    // that file, as far as it was looked at
    uint64_t state;  // the worst of its blocks, enum check_state
    uint64_t copies; // the fewest
    uint64_t blocks; // that are concerned
    uint64_t bytes;
    uint64_t since; // 0: not known
    // of tables: the key of the last row
    size_t key_size;
    uint8_t key[KEY_MAX];
};

struct check {
    struct ops_look look;
    struct place at;
    struct inode_row file; // of at.inode, if its number is that
    bool visible;          // it has a path
    bool want_files;
    struct wire_tally tallies[CHECK_STATES];
    size_t bytes; // of the page
};

/* ---- the cursor --------------------------------------------------------------------------------- */

static int
put_cursor (struct op *op, const struct place *at, struct slice *out)
{
    const uint64_t numbers[] = {at->inode,  at->next,  at->state, at->copies,
                                at->blocks, at->bytes, at->since};
    struct buf text = {0};

    buf_put_u8 (&text, CURSOR_VERSION);
    buf_put_u8 (&text, at->phase);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        buf_put_u64 (&text, numbers[i]);
    buf_put (&text, at->key, at->key_size);
    int rc = text.failed ? err_set (op->error, LITEDFS_MEMORY, "out of memory")
                         : ops_copy (op, buf_slice (&text), out);
    buf_free (&text);
    return rc;
}

static int
take_cursor (struct slice cursor, struct place *at, litedfs_error_t *error)
{
    uint64_t *const numbers[] = {&at->inode,  &at->next,  &at->state, &at->copies,
                                 &at->blocks, &at->bytes, &at->since};
    struct reader reader = reader_of (cursor);

    *at = (struct place){0};
    if (!cursor.data)
        return 0;
    uint8_t version = reader_u8 (&reader);
    at->phase = reader_u8 (&reader);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        *numbers[i] = reader_u64 (&reader);
    at->key_size = reader_left (&reader);
    const uint8_t *key = at->key_size <= KEY_MAX ? reader_bytes (&reader, at->key_size) : NULL;
    if (key)
        memcpy (at->key, key, at->key_size);
    if (!reader_done (&reader) || version != CURSOR_VERSION || at->phase > PHASES ||
        at->state >= CHECK_STATES || at->copies > ROW_NODES_MAX || at->blocks > WIRE_MAX ||
        at->bytes > WIRE_MAX || at->since > WIRE_MAX)
        return err_set (error, LITEDFS_INVALID, "cursor: it is not one that a check gave");
    return 0;
}

/* ---- counting ------------------------------------------------------------------------------------ */

static void
note_since (uint64_t *since, uint64_t other)
{
    if (other != 0 && (*since == 0 || other < *since))
        *since = other;
}

static void
tally (struct check *self, enum check_state state, uint64_t bytes, uint64_t since)
{
    struct wire_tally *tally = &self->tallies[state];

    tally->blocks++;
    tally->bytes += bytes;
    note_since (&tally->since, since);
}

static bool
has_room (const struct check *self)
{
    const struct cluster_check_reply *reply = self->look.op->reply;

    return reply->concerns_count < CONCERNS_MAX && self->bytes < OPS_PAGE_BYTES;
}

/* List a file; has_room was true. */
static int
list_concern (struct check *self, const struct inode_row *file, enum check_state state,
              const struct place *at)
{
    const struct message_type *type = &message_types[MESSAGE_cluster_check];
    struct cluster_check_reply *reply = self->look.op->reply;
    struct wire_concern *out = &reply->concerns[reply->concerns_count];

    *out = (struct wire_concern){
        .state = state,
        .replica = file->replica,
        .copies = at->copies,
        .blocks = at->blocks,
        .bytes = at->bytes,
        .since = at->since,
    };
    inode_row_id (file, &out->file);
    int rc = ops_look_path (self->look.op, file, &out->path);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc; // its directory was deleted
    reply->concerns_count++;
    self->bytes += message_record_size (type, "concerns", out);
    return 0;
}

/* ---- blocks of files ------------------------------------------------------------------------------ */

/* The file that the walk was in the middle of has ended. */
static int
end_file (struct check *self)
{
    const struct place at = self->at;
    int rc = 0;

    if (at.inode == 0 || self->file.number != at.inode || !self->visible)
        return 0;
    self->tallies[at.state].files++;
    if (at.state != CHECK_HEALTHY && self->want_files)
        rc = list_concern (self, &self->file, (enum check_state) at.state, &at);
    return rc;
}

/* Read the inode of the file that the walk is in.  One that is being written has none, and nobody sees
 * one in a tree that was deleted. */
static int
load_file (struct check *self)
{
    struct op *op = self->look.op;
    struct buf path = {0};
    int rc = inode_row_get (op->txn, self->at.inode, &self->file, op->error);

    self->visible = rc == 0 && self->file.kind == KIND_FILE && self->file.replica > 0;
    if (rc == 0 && self->visible) {
        rc = namespace_path_of (op->txn, self->file.parent, inode_row_name (&self->file), &path,
                                op->error);
        self->visible = rc == 0 || rc == LITEDFS_INVALID;
        rc = rc == LITEDFS_INVALID ? 0 : rc;
    }
    buf_free (&path);
    self->file.number = self->at.inode;
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

static enum check_state
state_of (const struct repair_look *look, uint32_t wanted)
{
    if (look->there + look->expected == 0)
        return CHECK_MISSING;
    if (look->there == 0)
        return CHECK_AWAY;
    if (look->good + look->counts[REPAIR_LEAVING] < wanted)
        return CHECK_UNDER; // what is on nodes that drain is there until it is elsewhere
    return look->counts[REPAIR_LIVE] > wanted ? CHECK_OVER : CHECK_HEALTHY;
}

/* Since when a holder has not been there. */
static uint64_t
since_of (const struct check *self, const struct block_row *row, const struct repair_look *look)
{
    uint64_t since = 0;

    for (size_t i = 0; i < row->nodes_count; i++) {
        const struct node *node = nodes_view_find (self->look.run.nodes, row->nodes[i]);
        if (node && !node->online && look->holders[i] != REPAIR_LIVE)
            note_since (&since, (uint64_t) node->changed_wall_ms);
    }
    return since;
}

static int
check_block (struct check *self, const struct block_row *row)
{
    struct place *at = &self->at;
    struct repair_look look;

    if (!self->visible || row->state != BLOCK_FINISHED)
        return 0;
    int rc = repair_block_look (&self->look.run, row, self->file.replica, &look,
                                self->look.op->error);
    if (rc < 0)
        return rc;
    enum check_state state = state_of (&look, self->file.replica);
    uint64_t since = state > CHECK_OVER ? since_of (self, row, &look) : 0;
    tally (self, state, row->size, since);
    if (at->next == 0 || look.there < at->copies)
        at->copies = look.there;
    if (state > at->state)
        at->state = state;
    if (state != CHECK_HEALTHY) {
        at->blocks++;
        at->bytes += row->size;
        note_since (&at->since, since);
    }
    return 0;
}

static int
take_block (struct check *self, const struct block_row *row)
{
    int rc = 0;

    if (row->inode != self->at.inode) {
        rc = end_file (self);
        self->at = (struct place){.inode = row->inode};
    }
    if (rc == 0 && self->file.number != row->inode)
        rc = load_file (self);
    if (rc == 0)
        rc = check_block (self, row);
    self->at.next = (uint64_t) row->index + 1;
    return rc;
}

/* True in *end when the last block was looked at. */
static int
walk_blocks (struct check *self, bool *end)
{
    struct op *op = self->look.op;
    struct cursor cursor = {0};
    struct slice key;
    struct slice value;
    struct block_row row;
    uint8_t start[12];
    uint64_t inode = self->at.inode + (self->at.next > UINT32_MAX);
    int rc = self->at.inode != 0 ? load_file (self) : 0;

    key_be64 (start, inode);
    key_be32 (start + 8, (uint32_t) self->at.next);
    if (rc == 0)
        rc = cursor_open (&cursor, op->txn, TABLE_BLOCK, slice_str (NULL),
                          slice_of (start, sizeof start), op->error);
    while (rc == 0 && has_room (self)) {
        rc = cursor_next (&cursor, &key, &value, op->error);
        if (rc == LITEDFS_NOT_FOUND) {
            *end = true;
            rc = end_file (self);
            break;
        }
        if (rc == 0)
            rc = block_row_decode (key, value, &row, op->error);
        if (rc == 0)
            rc = take_block (self, &row);
        if (!ops_look_goes_on (&self->look))
            break;
    }
    cursor_close (&cursor);
    return rc;
}

/* ---- copies ---------------------------------------------------------------------------------------- */

/* Count a copy that a node has, and list the file that it is of, if it is anybody's.  A file that has
 * several such copies one after the other counts once. */
static int
note_copy (struct check *self, enum check_state state, uint64_t block, uint64_t bytes,
           uint64_t since)
{
    struct op *op = self->look.op;
    const struct place at = {.blocks = 1, .bytes = bytes, .since = since};
    struct owner_row owner;
    struct inode_row file;

    tally (self, state, bytes, since);
    int rc = owner_row_get (op->txn, block, &owner, op->error);
    if (rc == 0)
        rc = inode_row_get (op->txn, owner.inode, &file, op->error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    if (file.kind == KIND_FILE) {
        self->tallies[state].files += owner.inode != self->at.inode;
        self->at.inode = owner.inode;
        rc = self->want_files ? list_concern (self, &file, state, &at) : 0;
    }
    return rc;
}

/* A copy that its node keeps aside because it is damaged. */
static int
check_damaged (struct check *self, struct slice key, struct slice value)
{
    struct damaged_row row;
    int rc = damaged_row_decode (key, value, &row, self->look.op->error);

    return rc < 0 ? rc : note_copy (self, CHECK_CORRUPT, row.block, row.size, row.time);
}

/* A copy of a block that nobody owns. */
static int
check_orphan (struct check *self, struct slice key, struct slice value)
{
    struct quarantine_row row;

    if (quarantine_is_sum (key))
        return 0;
    int rc = quarantine_row_decode (key, value, &row, self->look.op->error);
    return rc < 0 ? rc : note_copy (self, CHECK_ORPHANED, row.block, row.size, row.since);
}

/* The tables that are walked through after the blocks. */
static const struct phase {
    enum metastore_table table;
    int (*row) (struct check *self, struct slice key, struct slice value);
} phases[PHASES] = {
    {TABLE_DAMAGED, check_damaged},
    {TABLE_QUARANTINE, check_orphan},
};

/* True in *end when the last row was looked at. */
static int
walk_table (struct check *self, const struct phase *phase, bool *end)
{
    struct op *op = self->look.op;
    struct place *at = &self->at;
    struct cursor cursor = {0};
    struct slice key;
    struct slice value;
    int rc = cursor_open (&cursor, op->txn, phase->table, slice_str (NULL),
                          slice_of (at->key, at->key_size), op->error);

    while (rc == 0 && has_room (self)) {
        rc = cursor_next (&cursor, &key, &value, op->error);
        if (rc == LITEDFS_NOT_FOUND) {
            *end = true;
            rc = 0;
            break;
        }
        if (rc == 0 && key.size > KEY_MAX)
            rc = err_set (op->error, LITEDFS_CORRUPT, "metadata: a key of %zu bytes", key.size);
        if (rc < 0)
            break;
        if (key.size != at->key_size || memcmp (key.data, at->key, key.size) != 0)
            rc = phase->row (self, key, value);
        at->key_size = key.size;
        memcpy (at->key, key.data, key.size);
        if (!ops_look_goes_on (&self->look))
            break;
    }
    cursor_close (&cursor);
    return rc;
}

/* ---- the page ------------------------------------------------------------------------------------- */

static int
walk (struct check *self, bool *end)
{
    int rc = 0;

    for (*end = false; rc == 0 && !*end;) {
        bool phase_ended = false;
        rc = self->at.phase == 0 ? walk_blocks (self, &phase_ended)
                                 : walk_table (self, &phases[self->at.phase - 1], &phase_ended);
        if (!phase_ended)
            break;
        *end = self->at.phase == PHASES;
        self->at = (struct place){.phase = (uint8_t) (self->at.phase + 1)};
    }
    return rc;
}

static int
fill_tallies (struct check *self, struct cluster_check_reply *reply)
{
    reply->tallies = ops_array (self->look.op, CHECK_STATES, sizeof *reply->tallies);
    if (!reply->tallies)
        return self->look.op->error->number;
    for (unsigned state = 0; state < CHECK_STATES; state++) {
        struct wire_tally *tally = &self->tallies[state];
        tally->state = state;
        if (tally->files > 0 || tally->blocks > 0)
            reply->tallies[reply->tallies_count++] = *tally;
    }
    return 0;
}

int
op_cluster_check (struct op *op)
{
    const struct cluster_check_request *request = op->request;
    struct cluster_check_reply *reply = op->reply;
    struct check *self = ops_array (op, 1, sizeof *self);
    bool end = false;

    reply->concerns = ops_array (op, CONCERNS_MAX, sizeof *reply->concerns);
    if (!self || !reply->concerns)
        return op->error->number;
    self->want_files = request->files;
    int rc = take_cursor (request->cursor, &self->at, op->error);
    if (rc < 0)
        return rc;
    rc = ops_look_begin (&self->look, op);
    if (rc == 0)
        rc = walk (self, &end);
    if (rc == 0)
        rc = fill_tallies (self, reply);
    if (rc == 0 && !end)
        rc = put_cursor (op, &self->at, &reply->cursor);
    reply->settling = op->nodes->settling;
    ops_look_end (&self->look);
    return rc;
}
