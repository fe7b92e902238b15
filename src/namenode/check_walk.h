/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_CHECK_WALK_H
#define LITEDFS_NAMENODE_CHECK_WALK_H

/*
 * What the parts of check.h share: check.c (the walk over all tables, meta, replies), check_tree.c
 * (entries, inodes, leases), check_blocks.c (blocks and owners), check_nodes.c (data nodes and what they
 * hold and shall do).  Each looks at one row of its tables; a row that is damaged is found by the walk over
 * its own table, so whoever looks it up takes it as being there.
 */

#include "namenode/check.h"
#include "namenode/records.h"

/* A data node's row, and what its counts should be. */
struct check_tally {
    struct node_row row;
    uint64_t reserved;
    uint64_t blocks;
    uint64_t bytes;
};

struct check {
    struct check_report *report;
    struct txn *txn;
    litedfs_error_t *error;

    uint64_t meta[META_COUNT];
    struct check_tally *nodes; // by number
    size_t nodes_count;
    uint64_t *leased; // inodes of leases, ascending
    size_t leased_count;

    struct digest_row digest; // of the held rows so far of one node's bucket
};

/* Note a finding: table, key as people read it, and what is wrong. */
void check_find (struct check *self, enum metastore_table table, const char *key,
                 const char *format, ...) __attribute__ ((format (printf, 4, 5)));

/* What a lookup came to: 1 it is there (perhaps damaged), 0 it is missing, or an error that ends the
 * check.  *readable (may be NULL) is whether it could be read. */
int check_found (int rc, bool *readable);

/* A number as the key of a row. */
#define CHECK_KEY_SIZE 64
const char *check_key (char room[CHECK_KEY_SIZE], uint64_t number);

/* The tally of a data node, or NULL if it has no row. */
struct check_tally *check_node (struct check *self, uint32_t number);

/* Whether a block id is one that can have been drawn; says so if it is not. */
void check_block_id (struct check *self, enum metastore_table table, const char *key,
                     uint64_t block);

/* Whether an inode is being written, or is doomed: 1, 0, or an error. */
bool check_is_leased (const struct check *self, uint64_t inode);
int check_is_doomed (struct check *self, uint64_t inode);

/* One row of a table.  0 or an error that ends the check. */
int check_dirent (struct check *self, struct slice key, struct slice value);
int check_inode (struct check *self, struct slice key, struct slice value);
int check_doomed (struct check *self, struct slice key, struct slice value);
int check_lease (struct check *self, struct slice key, struct slice value);
int check_lock (struct check *self, struct slice key, struct slice value);

int check_block (struct check *self, struct slice key, struct slice value);
int check_owner (struct check *self, struct slice key, struct slice value);
int check_repair (struct check *self, struct slice key, struct slice value);

/* Whether the blocks of a visible file are what the file is. */
int check_content (struct check *self, const struct inode_row *file);

int check_held (struct check *self, struct slice key, struct slice value);
int check_digest (struct check *self, struct slice key, struct slice value);
int check_order (struct check *self, struct slice key, struct slice value);
int check_garbage (struct check *self, struct slice key, struct slice value);
int check_quarantine (struct check *self, struct slice key, struct slice value);
int check_damaged (struct check *self, struct slice key, struct slice value);

/* After the walk: the last bucket of held rows, the counts of every node. */
int check_held_end (struct check *self);
int check_nodes_end (struct check *self);

#endif
