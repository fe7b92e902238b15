/* SPDX-License-Identifier: MIT */
/*
 * The walk.  First what everybody asks for is read: the counters, the data nodes, the inodes of open
 * leases.  Then each table is walked once, a row at a time, and each row looks up what it names.  What can
 * only be known at the end, the counts of data nodes, is summed on the way.
 */
#include "namenode/check.h"

#include "namenode/check_walk.h"
#include "namenode/retry.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longest line of a finding. */
#define LINE_SIZE 768

/* ---- what the parts share ------------------------------------------------------------------------ */

static void
say (struct check *self, const char *line)
{
    struct check_report *report = self->report;

    report->findings++;
    if (report->say && report->findings <= report->say_max)
        report->say (report->arg, line);
}

void
check_find (struct check *self, enum metastore_table table, const char *key, const char *format,
            ...)
{
    char line[LINE_SIZE];
    va_list arguments;
    int used = snprintf (line, sizeof line, "%s[%s]: ", metastore_table_name (table), key);

    va_start (arguments, format);
    if (used >= 0 && (size_t) used < sizeof line)
        vsnprintf (line + used, sizeof line - (size_t) used, format, arguments);
    va_end (arguments);
    say (self, line);
}

int
check_found (int rc, bool *readable)
{
    if (readable)
        *readable = rc == 0;
    return rc == 0 || rc == LITEDFS_CORRUPT ? 1 : rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

const char *
check_key (char room[CHECK_KEY_SIZE], uint64_t number)
{
    snprintf (room, CHECK_KEY_SIZE, "%llu", (unsigned long long) number);
    return room;
}

static int
by_number (const void *a, const void *b)
{
    const struct check_tally *left = a, *right = b;

    return (left->row.number > right->row.number) - (left->row.number < right->row.number);
}

struct check_tally *
check_node (struct check *self, uint32_t number)
{
    const struct check_tally key = {.row.number = number};

    return self->nodes_count == 0
               ? NULL
               : bsearch (&key, self->nodes, self->nodes_count, sizeof *self->nodes, by_number);
}

void
check_block_id (struct check *self, enum metastore_table table, const char *key, uint64_t block)
{
    char text[BLOCK_ID_TEXT_SIZE];
    uint32_t epoch = block_id_epoch (block);

    if (epoch > self->meta[META_EPOCH] || block_id_counter (block) == 0 ||
        (epoch == self->meta[META_EPOCH] && block_id_counter (block) > self->meta[META_BLOCK]))
        check_find (self, table, key,
                    "block %s was never drawn: the counter is at %llu of epoch %llu",
                    block_id_print (block, text), (unsigned long long) self->meta[META_BLOCK],
                    (unsigned long long) self->meta[META_EPOCH]);
}

static int
by_inode (const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

bool
check_is_leased (const struct check *self, uint64_t inode)
{
    return self->leased_count > 0 && bsearch (&inode, self->leased, self->leased_count,
                                              sizeof *self->leased, by_inode) != NULL;
}

int
check_is_doomed (struct check *self, uint64_t inode)
{
    uint8_t room[8];
    struct slice value;

    return check_found (
        txn_get (self->txn, TABLE_DOOMED, key_be64 (room, inode), &value, self->error), NULL);
}

/* ---- walking ------------------------------------------------------------------------------------- */

/* Look at every row of a table.  Rows that cannot be read are findings. */
static int
walk (struct check *self, enum metastore_table table,
      int (*look) (struct check *self, struct slice key, struct slice value))
{
    struct cursor cursor = {0};
    struct slice none = {0};
    struct slice value;
    litedfs_error_t *error = self->error;

    int rc = cursor_open (&cursor, self->txn, table, none, none, error);
    while (rc == 0) {
        struct slice key = {0};
        rc = cursor_next (&cursor, &key, &value, error);
        if (rc == LITEDFS_NOT_FOUND)
            break;
        self->report->rows += rc == 0 || key.data != NULL;
        if (rc == 0)
            rc = look (self, key, value);
        if (rc != LITEDFS_CORRUPT)
            continue;
        say (self, error->text);
        if (!key.data)
            break; // the tree of the table itself
        rc = 0;
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND || rc == LITEDFS_CORRUPT ? 0 : rc;
}

/* ---- what is read first -------------------------------------------------------------------------- */

static int
read_counters (struct check *self)
{
    struct uuid cluster;
    int rc = 0;

    for (int key = 0; key < META_COUNT && rc == 0; key++) {
        rc = meta_get (self->txn, (enum meta_key) key, &self->meta[key], self->error);
        if (rc == LITEDFS_CORRUPT) {
            say (self, self->error->text);
            self->meta[key] = UINT64_MAX; // whatever is in use is not above it
            rc = 0;
        }
    }
    if (rc == 0)
        rc = meta_get_cluster (self->txn, &cluster, self->error);
    if (rc == LITEDFS_NOT_FOUND)
        check_find (self, TABLE_META, "cluster", "it is missing");
    else if (rc == LITEDFS_CORRUPT)
        say (self, self->error->text);
    return rc == LITEDFS_NOT_FOUND || rc == LITEDFS_CORRUPT ? 0 : rc;
}

/* What is known by its name was read before; others are of somebody's later version. */
static int
look_at_meta (struct check *self, struct slice key, struct slice value)
{
    (void) self;
    (void) key;
    (void) value;
    return 0;
}

/* Make room for one more element; LITEDFS_MEMORY. */
static int
grow (struct check *self, void **array, size_t count, size_t size)
{
    if (count > 0 && (count & (count - 1)) != 0)
        return 0; // it has as many as the next power of 2
    void *larger = realloc (*array, (count > 0 ? 2 * count : 1) * size);
    if (!larger)
        return err_set (self->error, LITEDFS_MEMORY, "check: out of memory");
    *array = larger;
    return 0;
}

static int
look_at_node (struct check *self, struct slice key, struct slice value)
{
    struct check_tally tally = {0};
    char text[CHECK_KEY_SIZE];

    int rc = node_row_decode (key, value, &tally.row, self->error);
    if (rc == 0)
        rc = grow (self, (void **) &self->nodes, self->nodes_count, sizeof *self->nodes);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < self->nodes_count; i++)
        if (uuid_equal (&self->nodes[i].row.uuid, &tally.row.uuid))
            check_find (self, TABLE_NODE, check_key (text, tally.row.number),
                        "node %u has the same UUID", self->nodes[i].row.number);
    if (tally.row.number > self->meta[META_NODE])
        check_find (self, TABLE_NODE, check_key (text, tally.row.number),
                    "its number was never drawn: the counter is at %llu",
                    (unsigned long long) self->meta[META_NODE]);
    self->nodes[self->nodes_count++] = tally;
    return 0;
}

static int
collect_lease (struct check *self, struct slice key, struct slice value)
{
    struct lease_row row;

    if (lease_row_decode (key, value, &row, self->error) < 0)
        return 0; // found when the leases are looked at
    int rc = grow (self, (void **) &self->leased, self->leased_count, sizeof *self->leased);
    if (rc == 0)
        self->leased[self->leased_count++] = row.inode;
    return rc;
}

/* The leases' inodes; the rows are looked at, and counted, later. */
static int
collect_leases (struct check *self)
{
    struct check_report aside = {0}, *report = self->report;

    self->report = &aside;
    int rc = walk (self, TABLE_LEASE, collect_lease);
    self->report = report;
    if (self->leased_count > 0)
        qsort (self->leased, self->leased_count, sizeof *self->leased, by_inode);
    return rc;
}

/* ---- stored replies ------------------------------------------------------------------------------ */

static int
look_at_reply (struct check *self, struct slice key, struct slice value)
{
    struct retry_count count;
    char text[CHECK_KEY_SIZE] = "";

    int rc = retry_count_rows (self->txn, key, value, &count, self->error);
    if (rc < 0 || count.said == count.there)
        return rc;
    const uint8_t *bytes = key.data;
    for (size_t i = 0; i < key.size && i < WIRE_CLIENT_SIZE; i++)
        snprintf (text + 2 * i, 3, "%02x", bytes[i]);
    check_find (self, TABLE_REPLY, text, "it says that it has %llu replies and has %llu",
                (unsigned long long) count.said, (unsigned long long) count.there);
    return 0;
}

/* ---- everything ---------------------------------------------------------------------------------- */

static const struct {
    enum metastore_table table;
    int (*look) (struct check *self, struct slice key, struct slice value);
} tables[] = {
    {TABLE_META, look_at_meta},           {TABLE_DIRENT, check_dirent},
    {TABLE_INODE, check_inode},           {TABLE_DOOMED, check_doomed},
    {TABLE_LEASE, check_lease},           {TABLE_LOCK, check_lock},
    {TABLE_BLOCK, check_block},           {TABLE_OWNER, check_owner},
    {TABLE_REPAIR, check_repair},         {TABLE_HELD, check_held},
    {TABLE_DIGEST, check_digest},         {TABLE_ORDER, check_order},
    {TABLE_GARBAGE, check_garbage},       {TABLE_REPLY, look_at_reply},
    {TABLE_QUARANTINE, check_quarantine}, {TABLE_DAMAGED, check_damaged},
};

static int
run (struct check *self)
{
    int rc = read_counters (self);

    if (rc == 0)
        rc = walk (self, TABLE_NODE, look_at_node);
    if (rc == 0)
        rc = collect_leases (self);
    for (size_t i = 0; i < sizeof tables / sizeof *tables && rc == 0; i++) {
        rc = walk (self, tables[i].table, tables[i].look);
        if (rc == 0 && tables[i].table == TABLE_HELD)
            rc = check_held_end (self);
    }
    return rc == 0 ? check_nodes_end (self) : rc;
}

int
check_store (struct metastore *store, struct check_report *report, litedfs_error_t *error)
{
    litedfs_error_t own;
    struct check self = {.report = report, .error = error ? error : &own};

    report->findings = report->rows = 0;
    report->files = report->directories = report->blocks = 0;
    int rc = txn_begin_read (store, &self.txn, self.error);
    if (rc == 0)
        rc = run (&self);
    txn_abort (&self.txn);
    free (self.nodes);
    free (self.leased);
    return rc;
}
