/* SPDX-License-Identifier: MIT */
/*
 * file.info, page by page at first, and for one block when none of its holders could give it.
 */
#include "client/blockmap.h"

#include "base/err.h"

#include <stdlib.h>

static const struct message_type *const info_type = &message_types[MESSAGE_file_info];

static const struct wire_endpoint *
find_endpoint (const struct file_info_reply *page, uint64_t node)
{
    for (size_t i = 0; i < page->nodes_count; i++)
        if (page->nodes[i].node == node)
            return &page->nodes[i];
    return NULL;
}

/* Nodes that are online first: the others may be back sooner than we are told. */
static int
take_holders (struct blockmap *self, struct mapped_block *block, const struct wire_block *from,
              const struct file_info_reply *page, litedfs_error_t *error)
{
    block->holder_count = block->online_count = 0;
    block->damaged = from->damaged_count > 0 ? from->damaged[0] : 0;
    for (int online = 1; online >= 0; online--)
        for (size_t i = 0; i < from->nodes_count && block->holder_count < BLOCKMAP_HOLDERS_MAX;
             i++) {
            const struct wire_endpoint *endpoint = find_endpoint (page, from->nodes[i]);
            if (!endpoint || endpoint->online != (bool) online)
                continue;
            int rc = session_peer (self->session, endpoint,
                                   &block->holders[block->holder_count], error);
            if (rc < 0)
                return rc;
            block->holder_count++;
            block->online_count += (size_t) online;
        }
    return 0;
}

static int
take_page (struct blockmap *self, const struct file_info_reply *page, litedfs_error_t *error)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < page->blocks_count; i++) {
        const struct wire_block *from = &page->blocks[i];
        if (from->index >= self->count)
            return err_set (error, LITEDFS_INVALID, "the name node named block %llu of %llu",
                            (unsigned long long) from->index, (unsigned long long) self->count);
        struct mapped_block *block = &self->blocks[from->index];
        block->id = from->id;
        block->size = from->size;
        block->crc32 = (uint32_t) from->crc32;
        rc = take_holders (self, block, from, page, error);
    }
    return rc;
}

static int
take_file (struct blockmap *self, const struct file_info_reply *page, litedfs_error_t *error)
{
    self->file = page->file;
    self->size = page->size;
    self->block_size = page->block_size;
    self->count = page->count;
    if (page->count > SIZE_MAX / sizeof *self->blocks)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    self->blocks = calloc (page->count ? (size_t) page->count : 1, sizeof *self->blocks);
    return self->blocks ? 0 : err_set (error, LITEDFS_MEMORY, "out of memory");
}

/* The blocks must make the file, or its bytes would be written to wrong places. */
static int
check_blocks (const struct blockmap *self, litedfs_error_t *error)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < self->count; i++) {
        if (i + 1 < self->count && self->blocks[i].size != self->block_size)
            return err_set (error, LITEDFS_CORRUPT,
                            "block %llu of the file has %llu bytes, not %llu",
                            (unsigned long long) i, (unsigned long long) self->blocks[i].size,
                            (unsigned long long) self->block_size);
        sum += self->blocks[i].size;
    }
    if (sum != self->size)
        return err_set (error, LITEDFS_CORRUPT, "the file's blocks have %llu bytes, not %llu",
                        (unsigned long long) sum, (unsigned long long) self->size);
    return 0;
}

int
blockmap_load (struct blockmap *self, litedfs_t *session, const char *path,
               litedfs_error_t *error)
{
    struct file_info_request request = {.path = slice_str (path)};
    struct file_info_reply page = {.next = 0};
    int rc = 0;

    *self = (struct blockmap){.session = session};
    for (bool first = true; rc == 0 && page.next != WIRE_UNKNOWN; first = false) {
        struct dealer_reply *reply = NULL;
        request.offset = page.next;
        rc = session_call (session, MESSAGE_file_info, &request, &page, &reply, error);
        if (rc == 0 && first) {
            rc = take_file (self, &page, error);
            request.file = page.file; // the same file, whatever happens to its path meanwhile
            request.path = slice_of (NULL, 0);
        }
        if (rc == 0)
            rc = take_page (self, &page, error);
        dealer_reply_destroy (&reply);
    }
    return rc == 0 ? check_blocks (self, error) : rc;
}

/* The holders of the block that was looked up again.  What has been read of it shows that it is the
 * block that it was. */
static int
take_block (struct blockmap *self, struct message *message, litedfs_error_t *error)
{
    struct mapped_block *block = &self->blocks[self->look_index];
    struct file_info_reply page;

    int rc = message_reply_fields (message, info_type, &page, error);
    if (rc < 0)
        return rc;
    if (page.blocks_count != 1 || page.blocks[0].index != self->look_index ||
        page.blocks[0].id != block->id)
        return err_set (error, LITEDFS_INVALID,
                        "the name node was asked for block %llu and named another",
                        (unsigned long long) self->look_index);
    block->looked++;
    return take_holders (self, block, &page.blocks[0], &page, error);
}

static void
on_info (void *arg, struct message *message, zmq_msg_t *payload, const litedfs_error_t *failure)
{
    struct blockmap *self = arg;
    litedfs_error_t error;
    (void) payload;

    self->look_id = 0;
    if (failure)
        self->error = *failure;
    else if (take_block (self, message, &error) < 0)
        self->error = error;
}

void
blockmap_look_again (struct blockmap *self, uint64_t index)
{
    const struct file_info_request request = {.file = self->file, .offset = index, .limit = 1};
    litedfs_error_t error;

    if (self->look_id != 0)
        return;
    int64_t id = dealer_send (self->session->name, info_type, &request, NULL,
                              self->session->request_timeout_ms, on_info, self, &error);
    self->look_index = index;
    self->look_id = id > 0 ? id : 0;
    if (id < 0)
        self->error = error;
}

void
blockmap_clear (struct blockmap *self)
{
    if (self->look_id > 0)
        dealer_cancel (self->session->name, self->look_id);
    free (self->blocks);
    *self = (struct blockmap){.count = 0};
}
