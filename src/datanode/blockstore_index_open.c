/* SPDX-License-Identifier: MIT */
/*
 * The index as a whole: opened, made anew, kept in shape, closed.
 *
 * A data file that is shorter than its meta page says would end the process with SIGBUS at the first look
 * beyond its end, so the length is compared at open.  An index that was being built when its process ended
 * lacks its layout and is not taken for a whole one.
 *
 * The map grows before it is full, between two transactions that write and while no other one is open: they
 * hold `map` for reading and are short.
 *
 * Commits need pages even for deletes.  So that a full disk does not forbid the deletes that would make
 * room, space of the file system is reserved behind the data file's end, without changing its size.
 */

#include "datanode/blockstore_index_impl.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MAX_READERS 256
#define RESERVE ((off_t) 8 << 20) // bytes reserved behind the end of the data file

// The address space that an index starts with, and what a transaction may need besides a copy of all
// that there is.
#define MAP_DEFAULT (sizeof (void *) > 4 ? (uint64_t) 1 << 30 : (uint64_t) 256 << 20)
#define MAP_MARGIN ((uint64_t) 16 << 20)

static int
open_tables (struct blockstore_index *self, litedfs_error_t *error)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin (self->env, NULL, 0, &txn);
    if (rc != 0)
        return index_error (self, rc, error);
    rc = mdb_dbi_open (txn, "block", MDB_CREATE, &self->block);
    if (rc == 0)
        rc = mdb_dbi_open (txn, "change", MDB_CREATE, &self->change);
    if (rc == 0)
        rc = mdb_dbi_open (txn, "tombstone", MDB_CREATE, &self->tombstone);
    if (rc == 0)
        rc = mdb_dbi_open (txn, "meta", MDB_CREATE, &self->meta);
    if (rc == 0)
        rc = mdb_dbi_open (txn, "damaged", MDB_CREATE, &self->damaged);
    if (rc != 0) {
        mdb_txn_abort (txn);
        return index_error (self, rc, error);
    }
    rc = mdb_txn_commit (txn);
    return rc == 0 ? 0 : index_error (self, rc, error);
}

/* Whether the data file has the pages that its meta page promises. */
static int
check_length (struct blockstore_index *self, litedfs_error_t *error)
{
    mdb_filehandle_t fd;
    struct stat st;
    MDB_stat pages;
    MDB_envinfo info;
    int rc = mdb_env_get_fd (self->env, &fd);
    if (rc == 0)
        rc = mdb_env_info (self->env, &info);
    if (rc == 0)
        rc = mdb_env_stat (self->env, &pages);
    if (rc != 0)
        return index_error (self, rc, error);
    if (fstat (fd, &st) < 0)
        return err_set_errno (error, LITEDFS_IO, errno, "index");
    uint64_t wanted = ((uint64_t) info.me_last_pgno + 1) * pages.ms_psize;
    if ((uint64_t) st.st_size < wanted)
        return err_set (error, LITEDFS_CORRUPT,
                        "index: it has %" PRIu64 " bytes and should have %" PRIu64,
                        (uint64_t) st.st_size, wanted);
    return 0;
}

static int
open_env (struct blockstore_index **out, const char *path, uint64_t map_size, bool sync,
          litedfs_error_t *error)
{
    struct blockstore_index *self = calloc (1, sizeof *self);
    if (!self)
        return err_set (error, LITEDFS_MEMORY, "index[%s]: out of memory", path);
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init (&attributes);
    // Readers come without a pause when a node is busy; the map's growth must not wait for one.
    pthread_rwlockattr_setkind_np (&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init (&self->map, &attributes);
    pthread_rwlockattr_destroy (&attributes);
    pthread_mutex_init (&self->digests_lock, NULL);
    int rc = mdb_env_create (&self->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize (self->env, (size_t) (map_size ? map_size : MAP_DEFAULT));
    if (rc == 0)
        rc = mdb_env_set_maxdbs (self->env, 8);
    if (rc == 0)
        rc = mdb_env_set_maxreaders (self->env, MAX_READERS);
    if (rc == 0)
        rc = mdb_env_open (self->env, path, MDB_NOTLS | (sync ? 0 : MDB_NOSYNC), 0644);
    if (rc == 0)
        rc = check_length (self, error);
    else
        rc = index_error (self, rc, error);
    if (rc == 0)
        rc = open_tables (self, error);
    if (rc < 0) {
        blockstore_index_close (&self);
        return rc;
    }
    blockstore_index_maintain (self);
    *out = self;
    return 0;
}

/* The path of the data file, of at most PATH_MAX bytes. */
static int
data_path (const char *path, const char *suffix, char out[PATH_MAX], litedfs_error_t *error)
{
    int size = snprintf (out, PATH_MAX, "%s/data.mdb%s", path, suffix);
    if (size < 0 || size >= PATH_MAX)
        return err_set (error, LITEDFS_INVALID, "index[%s]: the path is too long", path);
    return 0;
}

int
blockstore_index_open (struct blockstore_index **out, const char *path, uint64_t map_size,
                       bool sync, litedfs_error_t *error)
{
    char data[PATH_MAX];
    struct stat st;
    *out = NULL;
    int rc = data_path (path, "", data, error);
    if (rc < 0)
        return rc;
    if (stat (data, &st) < 0)
        return err_set_errno (error, errno == ENOENT ? LITEDFS_NOT_FOUND : LITEDFS_IO, errno,
                              "index[%s]", data);
    rc = open_env (out, path, map_size, sync, error);
    if (rc < 0)
        return rc;

    struct index_txn txn;
    uint64_t layout = 0;
    rc = index_begin (*out, true, &txn, error);
    if (rc == 0)
        rc = index_layout (&txn, &layout, error);
    index_abort (&txn);
    if (rc == 0 && layout != INDEX_LAYOUT)
        rc = err_set (error, LITEDFS_LAYOUT, "index[%s]: a newer program wrote it", path);
    if (rc == LITEDFS_NOT_FOUND)
        rc = err_set (error, LITEDFS_CORRUPT, "index[%s]: it was not completed", path);
    if (rc < 0)
        blockstore_index_close (out);
    return rc;
}

int
blockstore_index_create (struct blockstore_index **out, const char *path, uint64_t map_size,
                         bool sync, litedfs_error_t *error)
{
    char data[PATH_MAX];
    char damaged[PATH_MAX];
    *out = NULL;
    int rc = data_path (path, "", data, error);
    if (rc == 0)
        rc = data_path (path, ".damaged", damaged, error);
    if (rc < 0)
        return rc;
    if (rename (data, damaged) < 0 && errno != ENOENT)
        return err_set_errno (error, LITEDFS_IO, errno, "index[%s]", data);
    return open_env (out, path, map_size, sync, error);
}

int
blockstore_index_complete (struct blockstore_index *self, litedfs_error_t *error)
{
    struct index_txn txn;
    int rc = index_begin (self, true, &txn, error);
    if (rc < 0)
        return rc;
    rc = index_put_layout (&txn, error);
    if (rc == 0)
        rc = index_commit (&txn, error);
    index_abort (&txn);
    if (rc == 0)
        rc = blockstore_index_sync (self, error);
    return rc;
}

int
blockstore_index_sync (struct blockstore_index *self, litedfs_error_t *error)
{
    int rc = mdb_env_sync (self->env, 1);
    return rc == 0 ? 0 : index_error (self, rc, error);
}

void
blockstore_index_close (struct blockstore_index **self)
{
    int saved = errno;
    if (*self) {
        if ((*self)->env)
            mdb_env_close ((*self)->env);
        pthread_rwlock_destroy (&(*self)->map);
        pthread_mutex_destroy (&(*self)->digests_lock);
        free (*self);
        *self = NULL;
    }
    errno = saved;
}

void
blockstore_index_maintain (struct blockstore_index *self)
{
    mdb_filehandle_t fd;
    struct stat st;
    int dead;
    (void) mdb_reader_check (self->env, &dead);
    if (mdb_env_get_fd (self->env, &fd) == 0 && fstat (fd, &st) == 0)
        (void) fallocate (fd, FALLOC_FL_KEEP_SIZE, st.st_size, RESERVE);
}

void
index_make_room (struct blockstore_index *self)
{
    MDB_stat pages;
    MDB_envinfo info;
    if (mdb_env_info (self->env, &info) != 0 || mdb_env_stat (self->env, &pages) != 0)
        return;
    uint64_t used = ((uint64_t) info.me_last_pgno + 1) * pages.ms_psize;
    uint64_t wanted = 2 * used + MAP_MARGIN;
    if (info.me_mapsize >= wanted || wanted > SIZE_MAX / 4)
        return;
    pthread_rwlock_wrlock (&self->map);
    if (mdb_env_set_mapsize (self->env, (size_t) (wanted + wanted / 2)) != 0 &&
        mdb_env_set_mapsize (self->env, info.me_mapsize) != 0)
        atomic_store (&self->failed, true); // it has no map now
    pthread_rwlock_unlock (&self->map);
}

bool
blockstore_index_failed (const struct blockstore_index *self)
{
    return atomic_load (&self->failed);
}
