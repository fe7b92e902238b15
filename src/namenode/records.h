/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_RECORDS_H
#define LITEDFS_NAMENODE_RECORDS_H

/*
 * The rows of the metastore: a struct for each table, and get, put and del for it.
 *
 * Keys are big endian, so that they sort as their numbers do; values are little endian and begin with
 * a version byte.  A row that cannot be decoded is LITEDFS_CORRUPT, and the text names table and key.
 * get and del give LITEDFS_NOT_FOUND with error untouched when there is no row (the caller knows how to
 * say what is missing); all calls give the errors of metastore.h besides.  decode is for rows that a
 * cursor found.
 *
 * Structs hold copies and no pointers into the store.  Sizes are bytes, times milliseconds since 1970.
 */

#include "base/id.h"
#include "namenode/duty.h"
#include "namenode/metastore.h"
#include "wire/message.h"

#define ROOT_INODE ((uint64_t) 1)
#define NAME_BYTES_MAX 255
#define ROW_NODES_MAX 64 // nodes of a block, suspects of a lease
#define TOKEN_SIZE 16    // of a lease

/* ---- meta: single numbers ------------------------------------------------------------------------ */

enum meta_key {
    META_EPOCH,    // 0 to BLOCK_EPOCH_MAX: the upper bits of new block ids
    META_INODE,    // the last inode number drawn
    META_BLOCK,    // the last block counter drawn in this epoch
    META_NODE,     // the last node number drawn
    META_RESTORED, // wall clock at which it was found to be a copy (restored.h); 0: it is none
    META_BALANCE,  // 1: it is switched off
    META_COUNT
};

/* The number; 0 if it was never set. */
int meta_get (struct txn *txn, enum meta_key key, uint64_t *out, litedfs_error_t *error);
int meta_put (struct txn *txn, enum meta_key key, uint64_t value, litedfs_error_t *error);

/* Draw the next one: adds 1 and gives it.  LITEDFS_NO_SPACE if it would pass its maximum (inodes 2^60,
 * blocks 2^40 an epoch, nodes 2^32). */
int meta_next (struct txn *txn, enum meta_key key, uint64_t *out, litedfs_error_t *error);

/* Draw a block id of the current epoch. */
int meta_next_block (struct txn *txn, uint64_t *out, litedfs_error_t *error);

/* Go to a higher epoch, whose block counter starts at 0.  LITEDFS_INVALID if it is not higher, or over
 * BLOCK_EPOCH_MAX. */
int meta_set_epoch (struct txn *txn, uint32_t epoch, litedfs_error_t *error);

/* The cluster's id; LITEDFS_NOT_FOUND before it was put. */
int meta_get_cluster (struct txn *txn, struct uuid *out, litedfs_error_t *error);
int meta_put_cluster (struct txn *txn, const struct uuid *cluster, litedfs_error_t *error);

/* ---- dirent: parent, kind, name -> inode ------------------------------------------------------------ */

struct dirent_row {
    uint64_t parent;
    enum kind kind;
    char name[NAME_BYTES_MAX + 1]; // with a NUL after it
    size_t name_size;
    uint64_t inode;
};

int dirent_row_get (struct txn *txn, uint64_t parent, enum kind kind, struct slice name,
                    uint64_t *inode, litedfs_error_t *error);
int dirent_row_put (struct txn *txn, uint64_t parent, enum kind kind, struct slice name,
                    uint64_t inode, litedfs_error_t *error);
int dirent_row_del (struct txn *txn, uint64_t parent, enum kind kind, struct slice name,
                    litedfs_error_t *error);
int dirent_row_decode (struct slice key, struct slice value, struct dirent_row *out,
                       litedfs_error_t *error);

/* Append the key, or its start when name.data is NULL. */
void dirent_row_key (struct buf *out, uint64_t parent, enum kind kind, struct slice name);

/* ---- inode ------------------------------------------------------------------------------------------ */

#define INODE_DOOMED 1u    // a directory that was deleted and is not freed yet
#define INODE_PINNED 2u    // kept for the cache's eviction
#define INODE_EVICTABLE 4u // likewise

struct inode_row {
    uint64_t number;
    enum kind kind;
    uint64_t parent; // 0: the root
    char name[NAME_BYTES_MAX + 1];
    size_t name_size; // 0: the root
    uint32_t flags;
    uint64_t ctime; // made
    uint64_t mtime; // content changed
    // files
    uint64_t bits; // of the file id
    uint64_t size;
    uint32_t replica; // wanted
    uint32_t replica_min;
    uint32_t replica_max;
    uint64_t block_size;
    uint64_t atime;
    uint64_t expires; // 0: never
    uint32_t crc;     // CRC-32 of the content
    // directories: children, and everything below (of which the children are a part)
    uint64_t child_directories;
    uint64_t child_files;
    uint64_t directories;
    uint64_t files;
    uint64_t bytes;
};

int inode_row_get (struct txn *txn, uint64_t number, struct inode_row *out,
                   litedfs_error_t *error);
int inode_row_put (struct txn *txn, const struct inode_row *row, litedfs_error_t *error);
int inode_row_del (struct txn *txn, uint64_t number, litedfs_error_t *error);
struct slice inode_row_name (const struct inode_row *row);

/* Copy a name of 1 to 255 bytes into it. */
void inode_row_set_name (struct inode_row *row, struct slice name);

/* The id of a file. */
void inode_row_id (const struct inode_row *row, struct uuid *out);

/* How many blocks a file of this size has; all but the last are of block_size (not 0). */
uint64_t block_count_of (uint64_t size, uint64_t block_size);

/* ---- block: inode, index -> id and holders; owner: id -> inode, index ---------------------------------- */

enum block_state { BLOCK_ALLOCATED, BLOCK_FINISHED };

struct block_row {
    uint64_t inode;
    uint32_t index;
    uint64_t block;
    enum block_state state;
    uint64_t size; // while allocated: what is reserved for it on each of its nodes
    uint32_t crc;
    uint32_t nodes[ROW_NODES_MAX]; // while allocated: who shall take it; finished: who has it
    size_t nodes_count;
};

int block_row_get (struct txn *txn, uint64_t inode, uint32_t index, struct block_row *out,
                   litedfs_error_t *error);
int block_row_put (struct txn *txn, const struct block_row *row, litedfs_error_t *error);
int block_row_del (struct txn *txn, uint64_t inode, uint32_t index, litedfs_error_t *error);
int block_row_decode (struct slice key, struct slice value, struct block_row *out,
                      litedfs_error_t *error);
bool block_row_has_node (const struct block_row *row, uint32_t node);

struct owner_row {
    uint64_t block;
    uint64_t inode;
    uint32_t index;
};

int owner_row_get (struct txn *txn, uint64_t block, struct owner_row *out,
                   litedfs_error_t *error);
int owner_row_put (struct txn *txn, const struct owner_row *row, litedfs_error_t *error);
int owner_row_del (struct txn *txn, uint64_t block, litedfs_error_t *error);

/* ---- held: node, bucket, block -> claimed or confirmed; digest: node, bucket -> XOR, count --------------- */

enum held_state {
    HELD_CLAIMED,   // a client says so
    HELD_CONFIRMED, // the node says so
    HELD_UNKNOWN,   // the node says so, and nobody owns it: quarantine.h
};

/* What became of a delete order for a block that somebody owns.  While one is out the node is no holder,
 * whatever it reports, and gets no copy: the order may be carried out at any moment. */
enum held_order {
    HELD_KEPT,    // none is out
    HELD_ORDERED, // one is out
    HELD_RETAKEN, // one is out, and the node had no such block: it has it anew
    HELD_DELETED, // it was confirmed; that the block is gone the node has not reported yet
};

struct held_row {
    uint32_t node;
    uint64_t block;
    enum held_state state;
    enum held_order order;
    uint64_t seq;  // the number of the change, or the listing, that said so; 0 while claimed
    uint64_t size; // bytes
    uint64_t time; // claimed, unknown: since when
};

int held_row_get (struct txn *txn, uint32_t node, uint64_t block, struct held_row *out,
                  litedfs_error_t *error);
int held_row_put (struct txn *txn, const struct held_row *row, litedfs_error_t *error);
int held_row_del (struct txn *txn, uint32_t node, uint64_t block, litedfs_error_t *error);
int held_row_decode (struct slice key, struct slice value, struct held_row *out,
                     litedfs_error_t *error);

/* Open a walk over a node's rows of a bucket, from a block id on. */
int held_rows_open (struct cursor *cursor, struct txn *txn, uint32_t node, uint32_t bucket,
                    uint64_t first, litedfs_error_t *error);

/* Of all rows but claimed ones: so that it equals what the node computes of its index as of the last
 * change that it reported. */
struct digest_row {
    uint32_t node;
    uint32_t bucket;
    uint64_t hash; // XOR of block_id_hash of the blocks
    uint64_t count;
};

/* A digest that is not there is all zero; one that becomes so is deleted by put. */
int digest_row_get (struct txn *txn, uint32_t node, uint32_t bucket, struct digest_row *out,
                    litedfs_error_t *error);
int digest_row_put (struct txn *txn, const struct digest_row *row, litedfs_error_t *error);

/* ---- lease: token -> what is being written; lock: parent, name -> token ----------------------------------- */

struct lease_row {
    uint8_t token[TOKEN_SIZE];
    uint64_t parent;
    char name[NAME_BYTES_MAX + 1];
    size_t name_size;
    uint64_t inode;
    uint64_t bits;
    uint64_t size; // WIRE_UNKNOWN: not known yet
    uint32_t replica;
    uint64_t block_size;
    bool replace;
    uint32_t ttl;  // seconds
    uint64_t time; // taken
    uint32_t suspects[ROW_NODES_MAX];
    size_t suspects_count;
};

int lease_row_get (struct txn *txn, const uint8_t token[TOKEN_SIZE], struct lease_row *out,
                   litedfs_error_t *error);
int lease_row_put (struct txn *txn, const struct lease_row *row, litedfs_error_t *error);
int lease_row_del (struct txn *txn, const uint8_t token[TOKEN_SIZE], litedfs_error_t *error);
int lease_row_decode (struct slice key, struct slice value, struct lease_row *out,
                      litedfs_error_t *error);
struct slice lease_row_name (const struct lease_row *row);
void lease_row_id (const struct lease_row *row, struct uuid *out);

int lock_row_get (struct txn *txn, uint64_t parent, struct slice name,
                  uint8_t token[TOKEN_SIZE], litedfs_error_t *error);
int lock_row_put (struct txn *txn, uint64_t parent, struct slice name,
                  const uint8_t token[TOKEN_SIZE], litedfs_error_t *error);
int lock_row_del (struct txn *txn, uint64_t parent, struct slice name, litedfs_error_t *error);
int lock_row_decode (struct slice key, struct slice value, uint8_t token[TOKEN_SIZE],
                     litedfs_error_t *error);

/* ---- node, order, garbage, doomed -------------------------------------------------------------------------- */

struct node_row {
    uint32_t number;
    struct uuid uuid;
    char host[256]; // numeric; "": the host on which one reached the name node
    uint16_t http_port;
    uint16_t tcp_port;
    uint16_t chain_port;
    char zone[256];
    char version[65];
    uint64_t seq;      // of the last change stored
    uint64_t reserved; // bytes of allocated blocks
    uint64_t blocks;   // confirmed
    uint64_t bytes;    // likewise
    uint64_t order;    // the last order number given
    uint64_t time;     // registered first
    struct node_duty duty;
};

int node_row_get (struct txn *txn, uint32_t number, struct node_row *out,
                  litedfs_error_t *error);
int node_row_put (struct txn *txn, const struct node_row *row, litedfs_error_t *error);
int node_row_del (struct txn *txn, uint32_t number, litedfs_error_t *error);
int node_row_decode (struct slice key, struct slice value, struct node_row *out,
                     litedfs_error_t *error);

/* The node with this UUID (a walk over the table); LITEDFS_NOT_FOUND. */
int node_row_find (struct txn *txn, const struct uuid *uuid, struct node_row *out,
                   litedfs_error_t *error);

struct order_row {
    uint32_t node;
    uint64_t number;
    enum order_kind kind;
    uint64_t block;
    uint32_t target; // of a copy
};

int order_row_put (struct txn *txn, const struct order_row *row, litedfs_error_t *error);
int order_row_del (struct txn *txn, uint32_t node, uint64_t number, litedfs_error_t *error);
int order_row_decode (struct slice key, struct slice value, struct order_row *out,
                      litedfs_error_t *error);

struct garbage_row {
    uint32_t node;
    uint64_t due; // wall clock
    uint64_t block;
};

int garbage_row_put (struct txn *txn, const struct garbage_row *row, litedfs_error_t *error);
int garbage_row_del (struct txn *txn, const struct garbage_row *row, litedfs_error_t *error);
int garbage_row_decode (struct slice key, struct slice value, struct garbage_row *out,
                        litedfs_error_t *error);

struct doomed_row {
    uint64_t inode;
    enum kind kind;
};

int doomed_row_put (struct txn *txn, const struct doomed_row *row, litedfs_error_t *error);
int doomed_row_del (struct txn *txn, uint64_t inode, litedfs_error_t *error);
int doomed_row_decode (struct slice key, struct slice value, struct doomed_row *out,
                       litedfs_error_t *error);

/* ---- repair: inode, first index -> end --------------------------------------------------------------------- */

/* Blocks of a visible file whose holders may not be those that are wanted: first to end - 1.  The rows
 * of an inode may overlap; mark.h writes them. */
struct repair_row {
    uint64_t inode;
    uint32_t first;
    uint64_t end; // at most REPAIR_END: all that follow
};

#define REPAIR_END ((uint64_t) UINT32_MAX + 1)

int repair_row_get (struct txn *txn, uint64_t inode, uint32_t first, struct repair_row *out,
                    litedfs_error_t *error);
int repair_row_put (struct txn *txn, const struct repair_row *row, litedfs_error_t *error);
int repair_row_del (struct txn *txn, uint64_t inode, uint32_t first, litedfs_error_t *error);
int repair_row_decode (struct slice key, struct slice value, struct repair_row *out,
                       litedfs_error_t *error);

/* ---- damaged: block, node -> size, time --------------------------------------------------------------------- */

/* A node found its copy of a block damaged and keeps it aside.  It is no holder for that, and may take a
 * new copy, which takes the row away. */
struct damaged_row {
    uint64_t block;
    uint32_t node;
    uint64_t size; // bytes
    uint64_t time; // when the node said so
};

int damaged_row_get (struct txn *txn, uint64_t block, uint32_t node, struct damaged_row *out,
                     litedfs_error_t *error);
int damaged_row_put (struct txn *txn, const struct damaged_row *row, litedfs_error_t *error);
int damaged_row_del (struct txn *txn, uint64_t block, uint32_t node, litedfs_error_t *error);
int damaged_row_decode (struct slice key, struct slice value, struct damaged_row *out,
                        litedfs_error_t *error);

/* Append the start of a key: a number of 4 or 8 bytes. */
struct slice key_be32 (uint8_t room[4], uint32_t number);
struct slice key_be64 (uint8_t room[8], uint64_t number);

#endif
