/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_NAMENODE_CLIENT_H
#define LITEDFS_TESTS_NAMENODE_CLIENT_H

/*
 * A client that uploads, for the tests of namenode/upload: what it knows, and its requests, without a
 * wire.  client_setup is the fixture of every case: a store with three data nodes.
 */

#include "namenode/upload.h"

#include "base/crc.h"
#include "namenode/blocks.h"
#include "namenode/garbage.h"
#include "namenode/lease.h"

#include "namenode_store.h"

enum { BLOCK = 100 };

/* A placer that takes the first nodes, of `nodes`, that are no suspects. */
struct shelf {
    uint32_t nodes;
    unsigned asked;
    uint64_t size; // asked for last
};

static inline int
place (void *arg, struct txn *txn, const struct upload_ask *ask, uint32_t *nodes,
       size_t *nodes_count, litedfs_error_t *error)
{
    struct shelf *shelf = arg;

    (void) txn;
    shelf->asked++;
    shelf->size = ask->size;
    *nodes_count = 0;
    for (uint32_t node = 1; node <= shelf->nodes && *nodes_count < ask->replica; node++) {
        bool suspect = false;
        for (size_t i = 0; i < ask->suspects_count; i++)
            suspect = suspect || ask->suspects[i] == node;
        if (!suspect)
            nodes[(*nodes_count)++] = node;
    }
    if (*nodes_count > 0)
        return 0;
    return err_set (error, LITEDFS_NO_NODE, "no data node can take this block");
}

static struct shelf shelf = {.nodes = 3};
static const struct upload_placer placer = {place, &shelf};

static inline struct upload_create
create_of (const char *path, uint64_t size, const char *token)
{
    struct upload_create ask = {.path = S (path),
                                .size = size,
                                .replica = 1,
                                .ttl = 60,
                                .block_size = BLOCK,
                                .bits = 0x1234,
                                .first = 2};

    memcpy (ask.token, token, strlen (token));
    return ask;
}

/* What a client knows of its upload. */
struct client {
    struct upload_create ask;
    struct upload_created created;
    struct upload_allocation blocks[64]; // by index
};

static inline void
begin_upload (struct client *client, const char *path, uint64_t size, const char *token)
{
    struct txn *txn = begin ();

    memset (client, 0, sizeof *client);
    client->ask = create_of (path, size, token);
    ck_ok (upload_create (txn, &client->ask, &placer, &client->created, E));
    commit (&txn);
    for (size_t i = 0; i < client->created.blocks_count; i++)
        client->blocks[client->created.blocks[i].index] = client->created.blocks[i];
}

static uint64_t node_numbers[8];
static struct upload_suspicion suspicion; // of the last allocate

/* The block of an index, written to its nodes. */
static inline struct upload_finished
finished (const struct client *client, uint32_t index, uint64_t size)
{
    const struct upload_allocation *block = &client->blocks[index];

    for (size_t i = 0; i < block->nodes_count; i++)
        node_numbers[i] = block->nodes[i];
    return (struct upload_finished){.index = index,
                                    .block = block->block,
                                    .size = size,
                                    .crc = 1000 + index,
                                    .nodes = node_numbers,
                                    .nodes_count = block->nodes_count};
}

static inline int
allocate (struct txn *txn, struct client *client, uint32_t index, size_t count,
          const struct upload_finished *done, size_t done_count, const uint64_t *suspects,
          size_t suspects_count)
{
    struct upload_allocation out[UPLOAD_BLOCKS_MAX];
    size_t out_count;
    struct upload_allocate ask = {.file = client->created.file,
                                  .index = index,
                                  .count = count,
                                  .done = done,
                                  .done_count = done_count,
                                  .suspects = suspects,
                                  .suspects_count = suspects_count,
                                  .delay_ms = 60000};

    memcpy (ask.token, client->ask.token, sizeof ask.token);
    int rc = upload_allocate (txn, &ask, &placer, out, &out_count, &suspicion, E);
    for (size_t i = 0; rc == 0 && i < out_count; i++)
        client->blocks[out[i].index] = out[i];
    return rc;
}

static inline int
finish (struct txn *txn, struct client *client, uint32_t index, uint64_t size)
{
    struct upload_finished done = finished (client, index, size);

    return allocate (txn, client, 0, 0, &done, 1, NULL, 0);
}

static inline int
commit_upload (struct txn *txn, const struct client *client, uint64_t size, uint64_t count,
               const struct upload_finished *done, size_t done_count, uint32_t *crc)
{
    struct upload_commit ask = {.file = client->created.file,
                                .size = size,
                                .count = count,
                                .done = done,
                                .done_count = done_count,
                                .delay_ms = 60000};

    memcpy (ask.token, client->ask.token, sizeof ask.token);
    return upload_commit (txn, &ask, crc, E);
}

static inline uint64_t
reserved (struct txn *txn, uint32_t node)
{
    struct node_row row;

    ck_ok (node_row_get (txn, node, &row, E));
    return row.reserved;
}

static inline void
client_setup (void)
{
    store_setup ();
    struct txn *txn = begin ();
    for (uint32_t node = 1; node <= 3; node++)
        add_node (txn, node);
    commit (&txn);
}

#endif
