/* SPDX-License-Identifier: MIT */
/*
 * Uploads: litedfs_upload.
 *
 * A lease on the name is taken, the blocks are written (upload_blocks.c), and one commit makes the file
 * visible.  Any failure gives the lease up, so that nothing is left but garbage that the name node
 * knows.  Memory is a few chunks a block, whatever the file's size.
 */
#include "client/upload_impl.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define ABANDON_MS 2000 // how long giving up may take

int64_t
upload_patience_ms (const struct upload *self)
{
    return (int64_t) (self->options.ttl_s ? self->options.ttl_s : UPLOAD_TTL_S) * 1000;
}

/* A request about the lease, which goes on through a restart of the name node for the lease's TTL. */
static int
call (struct upload *self, enum message_number number, const void *fields,
      litedfs_error_t *error)
{
    return dealer_call (self->session->name, &message_types[number], fields, NULL, NULL, NULL,
                        upload_patience_ms (self), self->session->cancel_fd, error);
}

/* ---- the file --------------------------------------------------------------------------------------------- */

/* A stream's first byte, or its end, decides whether there is a lease to take at all. */
static int
wait_first_byte (struct upload *self, litedfs_error_t *error)
{
    int rc = 0;

    while (rc == 0 && !source_begun (self->source)) {
        zmq_pollitem_t item = {NULL, source_fd (self->source), ZMQ_POLLIN, 0};
        rc = session_poll (self->session, &item, 1, -1, error);
        if (rc == 0 && item.revents)
            rc = source_fill (self->source, error);
    }
    return rc;
}

static int
take_lease (struct upload *self, litedfs_error_t *error)
{
    const struct file_create_request request = {
        .path = slice_str (self->path),
        .size = source_size (self->source),
        .replica = self->options.replica ? self->options.replica : 1,
        .ttl = self->options.ttl_s ? self->options.ttl_s : UPLOAD_TTL_S,
        .replace = self->options.replace,
    };
    struct file_create_reply reply;
    struct dealer_reply *kept = NULL;

    litedfs_error_t why;
    int rc = session_call (self->session, MESSAGE_file_create, &request, &reply, &kept, &why);
    while (rc < 0 && upload_waits_for_name (self, &why)) {
        rc = session_poll (self->session, NULL, 0, UPLOAD_BUSY_MS, &why);
        if (rc == 0)
            rc = session_call (self->session, MESSAGE_file_create, &request, &reply, &kept,
                               &why);
    }
    if (rc < 0) {
        if (error)
            *error = why;
        return rc;
    }
    self->busy_since_ms = 0;
    self->file = reply.file;
    self->block_size = reply.block_size;
    if (reply.lease.data) {
        memcpy (self->lease, reply.lease.data, WIRE_LEASE_SIZE);
        self->leased = true;
        source_set_block_size (self->source, self->block_size);
        rc = renewer_start (&self->renewer, self->session, &self->file, self->lease, reply.ttl,
                            error);
        if (rc == 0)
            rc = upload_take_allocations (self, 0, reply.blocks, reply.blocks_count, error);
    }
    dealer_reply_destroy (&kept);
    return rc;
}

static int
commit (struct upload *self, litedfs_error_t *error)
{
    const struct file_commit_request request = {
        .file = self->file,
        .lease = slice_of (self->lease, WIRE_LEASE_SIZE),
        .size = source_size (self->source),
        .count = self->finished,
        .done = self->done,
        .done_count = self->done_count,
    };
    litedfs_error_t why;
    int rc = call (self, MESSAGE_file_commit, &request, &why);
    while (rc == LITEDFS_BUSY && upload_waits_for_name (self, &why)) {
        rc = session_poll (self->session, NULL, 0, UPLOAD_BUSY_MS, &why);
        if (rc == 0)
            rc = call (self, MESSAGE_file_commit, &request, &why);
    }
    if (rc < 0 && error)
        *error = why;
    return rc;
}

/* Nothing shall be left.  If the name node does not hear it, the lease's end says it. */
static void
abandon (struct upload *self)
{
    const struct file_abandon_request request = {
        .file = self->file, .lease = slice_of (self->lease, WIRE_LEASE_SIZE)};
    dealer_call (self->session->name, &message_types[MESSAGE_file_abandon], &request, NULL,
                 NULL, NULL, ABANDON_MS, -1, NULL);
}

static int
upload (struct upload *self, litedfs_error_t *error)
{
    int rc = wait_first_byte (self, error);
    if (rc == 0)
        rc = take_lease (self, error);
    if (rc == 0 && self->leased)
        rc = upload_write_blocks (self, error);
    if (rc == 0 && self->leased)
        rc = commit (self, error);
    if (rc == 0 && self->options.progress)
        self->options.progress (self->options.progress_arg, self->durable, self->durable);
    return rc;
}

int
litedfs_upload (litedfs_t *session, int fd, const char *path,
                const litedfs_upload_options_t *options, litedfs_error_t *error)
{
    struct upload *self = calloc (1, sizeof *self);
    if (!self)
        return err_set (error, LITEDFS_MEMORY, "out of memory");

    self->session = session;
    self->path = path;
    if (options)
        self->options = *options;
    int rc = source_open (&self->source, fd, self->options.stream, error);
    if (rc == 0)
        rc = upload (self, error);

    for (int i = 0; i < UPLOAD_BLOCKS; i++) {
        blockwriter_stop (&self->blocks[i]);
        free (self->blocks[i].chunk_crcs);
    }
    dealer_cancel_all (session->name); // an allocate that is under way
    renewer_stop (&self->renewer);
    if (rc < 0 && self->leased)
        abandon (self);
    source_close (&self->source);
    free (self);
    return rc;
}
