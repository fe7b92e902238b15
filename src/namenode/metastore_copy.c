/* SPDX-License-Identifier: MIT */
/*
 * A copy of the store as of a snapshot, without the pages that are free.  LMDB writes it into a pipe, in a
 * thread of its own; here it is read piece by piece, as fast as who takes it wants.
 */
#include "namenode/metastore_lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct copier {
    struct metastore *store;
    int fd; // the pipe's end to write to
    int rc; // of LMDB
};

static void *
copy (void *arg)
{
    struct copier *self = arg;

    do // nothing is written before its snapshot has begun
        self->rc = mdb_env_copyfd2 (self->store->env, self->fd, MDB_CP_COMPACT);
    while (metastore_follow_map (self->store, self->rc));
    close (self->fd);
    return NULL;
}

/* Fill the piece as far as there is something; *size is 0 at the end. */
static int
read_piece (const struct metastore *self, int fd, uint8_t *piece, size_t *size,
            litedfs_error_t *error)
{
    *size = 0;
    while (*size < METASTORE_COPY_PIECE) {
        ssize_t got = read (fd, piece + *size, METASTORE_COPY_PIECE - *size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno (error, LITEDFS_IO, errno, "metadata[%s]: copy",
                                  self->directory);
        if (got == 0)
            return 0;
        *size += (size_t) got;
    }
    return 0;
}

static int
take_pieces (const struct metastore *self, int fd, metastore_take_fn *take, void *arg,
             litedfs_error_t *error)
{
    uint8_t *piece = malloc (METASTORE_COPY_PIECE);
    size_t size = 0;
    int rc = piece ? 0
                   : err_set (error, LITEDFS_MEMORY, "metadata[%s]: copy: out of memory",
                              self->directory);

    while (rc == 0 && (rc = read_piece (self, fd, piece, &size, error)) == 0 && size > 0)
        rc = take (arg, piece, size, error);
    free (piece);
    return rc;
}

int
metastore_copy (struct metastore *self, metastore_take_fn *take, void *arg,
                litedfs_error_t *error)
{
    struct copier copier = {.store = self};
    pthread_t thread;
    int ends[2];

    if (pipe2 (ends, O_CLOEXEC) < 0)
        return err_set_errno (error, LITEDFS_FAILED, errno, "metadata[%s]: copy: no pipe",
                              self->directory);
    copier.fd = ends[1];
    metastore_enter (self);
    int rc = pthread_create (&thread, NULL, copy, &copier);
    if (rc != 0) {
        close (ends[1]);
        rc = err_set_errno (error, LITEDFS_FAILED, rc, "metadata[%s]: copy: no thread",
                            self->directory);
        close (ends[0]);
    } else {
        rc = take_pieces (self, ends[0], take, arg, error);
        close (ends[0]); // if it is early, LMDB is told so by its next write
        pthread_join (thread, NULL);
        if (rc == 0 && copier.rc != 0)
            rc = metastore_error (self, copier.rc, "copy", error);
    }
    metastore_leave (self);
    return rc;
}
