/* SPDX-License-Identifier: MIT */
/*
 * The metastore on LMDB: one environment, one database a table.
 *
 * All databases are opened, and made, in one transaction at the start, together with the check of the
 * layout row.  Readers are counted, so that the map is moved only while nobody has a pointer into it:
 * metastore_grow closes the gate, waits for the count to reach 0, and doubles.  Before LMDB gives the old
 * map back, the address space for the new one is tried, because LMDB cannot return to the old map.
 *
 * No WRITEMAP: with it a full disk is a SIGBUS.  Read snapshots are not tied to a thread (NOTLS).
 */
#include "namenode/metastore_lmdb.h"

#include "base/file.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Snapshots at a time, over all processes: threads of the daemon, tools. */
#define READERS_MAX 128

#define MAP_SIZE_DEFAULT (sizeof (void *) >= 8 ? (uint64_t) 64 << 30 : (uint64_t) 1 << 30)

/* LMDB calls a short write EIO.  With less than this free it is taken for a full disk. */
#define DISK_FULL_BYTES ((uint64_t) 4 << 20)

static const char *const table_names[TABLE_COUNT] = {
    [TABLE_DIRENT] = "dirent",         [TABLE_INODE] = "inode",     [TABLE_BLOCK] = "block",
    [TABLE_OWNER] = "owner",           [TABLE_HELD] = "held",       [TABLE_DIGEST] = "digest",
    [TABLE_LEASE] = "lease",           [TABLE_LOCK] = "lock",       [TABLE_NODE] = "node",
    [TABLE_ORDER] = "order",           [TABLE_GARBAGE] = "garbage", [TABLE_DOOMED] = "doomed",
    [TABLE_REPLY] = "reply",           [TABLE_META] = "meta",       [TABLE_REPAIR] = "repair",
    [TABLE_QUARANTINE] = "quarantine", [TABLE_DAMAGED] = "damaged",
};

const char *
metastore_table_name (enum metastore_table table)
{
    return table_names[table];
}

static bool
disk_is_full (const struct metastore *self)
{
    uint64_t total;
    uint64_t available;

    return file_free_bytes (self->directory, &total, &available, NULL) == 0 &&
           available < DISK_FULL_BYTES;
}

int
metastore_error (const struct metastore *self, int rc, const char *what, litedfs_error_t *error)
{
    const char *where = self->directory;

    switch (rc) {
    case MDB_MAP_FULL:
        return err_set (error, METASTORE_MAP_FULL, "metadata[%s]: %s: the map is full", where,
                        what);
    case MDB_PANIC:
        return err_set (error, LITEDFS_IO, "metadata[%s]: %s: the disk failed before", where,
                        what);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
        return err_set (error, LITEDFS_CORRUPT,
                        "metadata[%s]: %s: %s; restore it from a backup", where, what,
                        mdb_strerror (rc));
    case MDB_VERSION_MISMATCH:
        return err_set (error, LITEDFS_LAYOUT,
                        "metadata[%s]: %s: written by another version of LMDB", where, what);
    case EIO:
        if (disk_is_full (self))
            return err_set (error, LITEDFS_NO_SPACE, "metadata[%s]: %s: the disk is full",
                            where, what);
        break;
    default:
        break;
    }
    if (rc > 0)
        return err_set_errno (error, rc == EIO ? LITEDFS_IO : LITEDFS_FAILED, rc,
                              "metadata[%s]: %s", where, what);
    return err_set (error, LITEDFS_FAILED, "metadata[%s]: %s: %s", where, what,
                    mdb_strerror (rc));
}

/* ---- growing, watching --------------------------------------------------------------------------- */

/* Whether size bytes of address space can be had, beside those in use. */
static bool
address_space_for (uint64_t size)
{
    if (size > SIZE_MAX / 2)
        return false;
    void *room = mmap (NULL, (size_t) size, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return false;
    munmap (room, (size_t) size);
    return true;
}

int
metastore_grow (struct metastore *self, litedfs_error_t *error)
{
    uint64_t size = self->map_size * 2;

    if (!address_space_for (size))
        return err_set (error, LITEDFS_NO_SPACE,
                        "metadata[%s]: no address space for a map of %llu bytes",
                        self->directory, (unsigned long long) size);
    pthread_mutex_lock (&self->mutex);
    self->growing = true;
    while (self->readers > 0)
        pthread_cond_wait (&self->changed, &self->mutex);
    int rc = mdb_env_set_mapsize (self->env, (size_t) size);
    if (rc == 0)
        self->map_size = size;
    self->growing = false;
    pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->mutex);
    if (rc)
        return err_set (error, LITEDFS_IO, "metadata[%s]: cannot map %llu bytes: %s",
                        self->directory, (unsigned long long) size, mdb_strerror (rc));
    return 0;
}

bool
metastore_follow_map (struct metastore *self, int rc)
{
    return rc == MDB_MAP_RESIZED && self->read_only && mdb_env_set_mapsize (self->env, 0) == 0;
}

uint64_t
metastore_transaction (struct metastore *self)
{
    pthread_mutex_lock (&self->mutex);
    uint64_t number = self->transaction;
    pthread_mutex_unlock (&self->mutex);
    return number;
}

int
metastore_check_readers (struct metastore *self, litedfs_error_t *error)
{
    int dead;
    int rc = mdb_reader_check (self->env, &dead);

    return rc ? metastore_error (self, rc, "check the readers", error) : 0;
}

/* The pages on the free list: each of its records begins with their number. */
static int
count_free_pages (struct txn *txn, uint64_t *out)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val pages;
    size_t count;

    *out = 0;
    int rc = mdb_cursor_open (txn->handle, 0, &cursor); // LMDB's own table of free pages
    if (rc)
        return rc;
    while ((rc = mdb_cursor_get (cursor, &key, &pages, MDB_NEXT)) == 0) {
        if (pages.mv_size < sizeof count)
            continue;
        memcpy (&count, pages.mv_data, sizeof count);
        *out += count;
    }
    mdb_cursor_close (cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int
metastore_statistics (struct metastore *self, struct metastore_statistics *out,
                      litedfs_error_t *error)
{
    struct txn *txn;
    MDB_envinfo info;
    MDB_stat stat;

    int rc = txn_begin_read (self, &txn, error);
    if (rc < 0)
        return rc;
    memset (out, 0, sizeof *out);
    rc = mdb_env_info (self->env, &info);
    for (int table = 0; rc == 0 && table < TABLE_COUNT; table++) {
        rc = mdb_stat (txn->handle, self->tables[table], &stat);
        out->rows[table] = stat.ms_entries;
    }
    if (rc == 0)
        rc = count_free_pages (txn, &out->pages_free);
    if (rc) {
        txn_abort (&txn);
        return metastore_error (self, rc, "statistics", error);
    }
    out->map_size = info.me_mapsize;
    out->page_size = stat.ms_psize;
    out->pages_used = (uint64_t) info.me_last_pgno + 1;
    txn_abort (&txn);
    pthread_mutex_lock (&self->mutex);
    out->transaction = self->transaction;
    out->readers = self->readers;
    pthread_mutex_unlock (&self->mutex);
    return 0;
}

/* ---- open and close ------------------------------------------------------------------------------ */

/* Check the layout row, or put it into a store that has no row at all. */
static int
check_layout (struct txn *txn, litedfs_error_t *error)
{
    struct metastore *store = txn->store;
    struct slice value;
    struct buf row = {0};
    MDB_stat stat;

    int rc = txn_get (txn, TABLE_META, slice_str ("layout"), &value, error);
    if (rc == 0) {
        struct reader reader = reader_of (value);
        uint32_t layout = reader_u32 (&reader);
        if (!reader_done (&reader) || layout == 0)
            return err_set (error, LITEDFS_CORRUPT, "metadata[%s]: the layout row is damaged",
                            store->directory);
        if (layout > METASTORE_LAYOUT)
            return err_set (error, LITEDFS_LAYOUT,
                            "metadata[%s]: layout %u was written by a newer version (this one "
                            "knows %d); install that version",
                            store->directory, layout, METASTORE_LAYOUT);
        return 0;
    }
    if (rc != LITEDFS_NOT_FOUND)
        return rc;
    for (int table = 0; table < TABLE_COUNT; table++) {
        rc = mdb_stat (txn->handle, store->tables[table], &stat);
        if (rc)
            return metastore_error (store, rc, table_names[table], error);
        if (stat.ms_entries > 0)
            return err_set (error, LITEDFS_CORRUPT,
                            "metadata[%s]: it has rows but no layout; restore it from a backup",
                            store->directory);
    }
    buf_put_u32 (&row, METASTORE_LAYOUT);
    rc = row.failed ? err_set (error, LITEDFS_MEMORY, "out of memory")
                    : txn_put (txn, TABLE_META, slice_str ("layout"), buf_slice (&row), error);
    buf_free (&row);
    return rc;
}

/* Open the tables that are there; those that are missing are not made. */
static int
open_tables_read_only (struct metastore *self, litedfs_error_t *error)
{
    struct slice layout;
    struct txn *txn;

    int rc = txn_begin_read (self, &txn, error);
    if (rc < 0)
        return rc;
    for (int table = 0; table < TABLE_COUNT && rc == 0; table++) {
        int status = mdb_dbi_open (txn->handle, table_names[table], 0, &self->tables[table]);
        if (status == MDB_NOTFOUND)
            rc =
                err_set (error, LITEDFS_LAYOUT,
                         "metadata[%s]: it has no table '%s': an older version wrote it; start "
                         "litename on it once",
                         self->directory, table_names[table]);
        else if (status)
            rc = metastore_error (self, status, table_names[table], error);
    }
    if (rc == 0)
        rc = txn_get (txn, TABLE_META, slice_str ("layout"), &layout, error);
    if (rc == LITEDFS_NOT_FOUND)
        rc = err_set (error, LITEDFS_CORRUPT,
                      "metadata[%s]: it has no layout; restore it from a backup",
                      self->directory);
    if (rc == 0)
        rc = check_layout (txn, error);
    if (rc < 0) {
        txn_abort (&txn);
        return rc;
    }
    self->transaction = txn_number (txn);
    int status = mdb_txn_commit (txn->handle); // keeps the handles of the tables
    txn_release (&txn);
    return status ? metastore_error (self, status, "open", error) : 0;
}

static int
open_tables (struct metastore *self, litedfs_error_t *error)
{
    struct txn_frame frame = {0};
    struct txn *txn;

    int rc = txn_begin_write (self, &frame, &txn, error);
    if (rc < 0)
        return rc;
    self->transaction = txn_number (txn) - 1;
    for (int table = 0; table < TABLE_COUNT; table++) {
        int status =
            mdb_dbi_open (txn->handle, table_names[table], MDB_CREATE, &self->tables[table]);
        if (status) {
            txn_abort (&txn);
            return metastore_error (self, status, table_names[table], error);
        }
    }
    rc = check_layout (txn, error);
    if (rc < 0) {
        txn_abort (&txn);
        return rc;
    }
    return txn_commit (&txn, error);
}

static int
open_environment (struct metastore *self, const struct metastore_options *options,
                  litedfs_error_t *error)
{
    unsigned flags =
        MDB_NOTLS | (options->sync ? 0 : MDB_NOSYNC) | (options->read_only ? MDB_RDONLY : 0);
    MDB_envinfo info;

    int rc = mdb_env_create (&self->env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs (self->env, TABLE_COUNT);
    if (rc == 0)
        rc = mdb_env_set_maxreaders (self->env, READERS_MAX);
    if (rc == 0)
        rc = mdb_env_set_mapsize (self->env, (size_t) self->map_size);
    if (rc == 0)
        rc = mdb_env_open (self->env, self->directory, flags, 0600);
    if (rc == 0)
        rc = mdb_env_info (self->env, &info);
    if (rc == ENOENT)
        return err_set (error, LITEDFS_NOT_FOUND, "metadata[%s]: there is no store",
                        self->directory);
    if (rc)
        return metastore_error (self, rc, "open", error);
    self->map_size = info.me_mapsize; // the store's own, if it is larger
    return 0;
}

int
metastore_open (struct metastore **out, const struct metastore_options *options,
                litedfs_error_t *error)
{
    struct metastore *self = calloc (1, sizeof *self);

    if (!self)
        return err_set (error, LITEDFS_MEMORY, "metadata[%s]: out of memory",
                        options->directory);
    pthread_mutex_init (&self->mutex, NULL);
    pthread_cond_init (&self->changed, NULL);
    self->map_size = options->map_size > 0 ? options->map_size : MAP_SIZE_DEFAULT;
    self->read_only = options->read_only;
    self->directory = strdup (options->directory);

    int rc = 0;
    if (!self->directory)
        rc = err_set (error, LITEDFS_MEMORY, "metadata[%s]: out of memory", options->directory);
    else if (self->map_size > SIZE_MAX / 2)
        rc = err_set (error, LITEDFS_INVALID,
                      "metadata[%s]: a map of %llu bytes is too large here", self->directory,
                      (unsigned long long) self->map_size);
    else if (!options->read_only && mkdir (self->directory, 0700) < 0 && errno != EEXIST)
        rc = err_set_errno (error, LITEDFS_IO, errno, "metadata[%s]: cannot make it",
                            self->directory);
    if (rc == 0)
        rc = open_environment (self, options, error);
    if (rc == 0)
        rc = metastore_check_readers (self, error);
    if (rc == 0)
        rc = options->read_only ? open_tables_read_only (self, error)
                                : open_tables (self, error);
    if (rc < 0) {
        metastore_close (&self);
        return rc;
    }
    *out = self;
    return 0;
}

void
metastore_close (struct metastore **self)
{
    struct metastore *store = *self;

    if (!store)
        return;
    assert (store->readers == 0);
    int saved = errno;
    if (store->env)
        mdb_env_close (store->env);
    pthread_cond_destroy (&store->changed);
    pthread_mutex_destroy (&store->mutex);
    free (store->directory);
    free (store);
    *self = NULL;
    errno = saved;
}
