/* SPDX-License-Identifier: MIT */
/*
 * data_path: whose it is, and how full its disk is.
 *
 * The store has the last word on the cluster id; VERSION repeats it and is written after it.  So a
 * start that died in between is completed by the next one, while a VERSION whose store has lost its
 * id means that the metadata are gone: then nothing is made anew, because data nodes would be told
 * to delete what nobody knows any more.
 */
#include "namenode/storedir.h"

#include "base/err.h"
#include "base/file.h"
#include "base/text.h"
#include "namenode/namespace.h"
#include "namenode/restored.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_LINE "LiteDFS name node"

/* VERSION and port are a few lines; what is longer is not ours. */
#define SMALL_FILE_MAX 4096

struct storedir {
    struct storedir_options options;
    char *path;
    int lock;
    struct metastore *store;
    struct uuid cluster;
    int port;
    bool has_ballast;
};

/* path/name, in a buffer that the caller frees. */
static const char *
below (const struct storedir *self, const char *name, struct buf *out)
{
    buf_clear (out);
    buf_printf (out, "%s/%s", self->path, name);
    return buf_text (out);
}

/* What a start that died early may have left, and what file systems put there. */
static bool
is_ours (const char *name)
{
    static const char *const names[] = {".",       "..",   "lock",       "meta",
                                        "ballast", "port", "lost+found", "backup"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp (name, names[i]) == 0)
            return true;
    return strncmp (name, "VERSION", strlen ("VERSION")) == 0;
}

static int
check_nothing_else (const struct storedir *self, litedfs_error_t *error)
{
    DIR *directory = opendir (self->path);
    struct dirent *entry;
    int rc = 0;

    if (!directory)
        return err_set_errno (error, LITEDFS_IO, errno, "data_path[%s]: cannot be read",
                              self->path);
    while (rc == 0 && (entry = readdir (directory)))
        if (!is_ours (entry->d_name))
            rc = err_set (
                error, LITEDFS_INVALID,
                "data_path[%s]: it has no VERSION but other things in it, as '%s'; set "
                "data_path to an empty directory",
                self->path, entry->d_name);
    closedir (directory);
    return rc;
}

/* Read the number or id that stands behind `key ` on a line of its own; false if there is none. */
static bool
find_line (const char *text, const char *key, char *out, size_t size)
{
    size_t key_size = strlen (key);

    for (const char *line = text; line; line = strchr (line, '\n')) {
        line += *line == '\n';
        if (strncmp (line, key, key_size) != 0 || line[key_size] != ' ')
            continue;
        size_t length = strcspn (line + key_size + 1, "\n");
        if (length >= size)
            return false;
        memcpy (out, line + key_size + 1, length);
        out[length] = '\0';
        return true;
    }
    return false;
}

static int
parse_version (struct storedir *self, const char *text, struct uuid *cluster,
               litedfs_error_t *error)
{
    char value[64];
    int64_t layout;

    if (strncmp (text, FIRST_LINE "\n", strlen (FIRST_LINE "\n")) != 0)
        return err_set (
            error, LITEDFS_INVALID,
            "data_path[%s]: its VERSION is not that of a name node; set data_path to a "
            "directory of its own",
            self->path);
    if (!find_line (text, "layout", value, sizeof value) ||
        !text_parse_int (value, 1, INT64_MAX, &layout))
        return err_set (error, LITEDFS_CORRUPT, "data_path[%s]: VERSION has no layout",
                        self->path);
    if (layout > METASTORE_LAYOUT)
        return err_set (error, LITEDFS_LAYOUT,
                        "data_path[%s]: written by a newer LiteDFS (layout %" PRId64
                        ", known here: up to %d); install that version or a newer one",
                        self->path, layout, METASTORE_LAYOUT);
    if (!find_line (text, "cluster", value, sizeof value) ||
        !uuid_parse (cluster, value, strlen (value)))
        return err_set (error, LITEDFS_CORRUPT, "data_path[%s]: VERSION has no cluster id",
                        self->path);
    return 0;
}

/* 1 and the cluster, or 0 if there is no VERSION. */
static int
read_version (struct storedir *self, struct uuid *cluster, litedfs_error_t *error)
{
    struct buf path = {0}, text = {0};
    int rc = file_read_all (below (self, "VERSION", &path), SMALL_FILE_MAX, &text, error);

    if (rc == 0)
        rc = parse_version (self, buf_text (&text), cluster, error);
    buf_free (&path);
    buf_free (&text);
    return rc == 0 ? 1 : rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* Write VERSION into a directory: this one or that of a copy. */
static int
write_version (const struct storedir *self, const char *directory, litedfs_error_t *error)
{
    struct buf path = {0}, text = {0};
    char cluster[UUID_TEXT_SIZE];

    buf_printf (&path, "%s/VERSION", directory);
    buf_printf (&text, FIRST_LINE "\nlayout %d\ncluster %s\n", METASTORE_LAYOUT,
                uuid_print (&self->cluster, cluster));
    int rc = file_write_atomic (buf_text (&path), text.data, text.size, 0644, error);
    buf_free (&path);
    buf_free (&text);
    return rc;
}

int
storedir_write_copy (const struct storedir *self, const char *directory, int64_t wall_ms,
                     litedfs_error_t *error)
{
    struct buf path = {0}, text = {0};

    buf_printf (&path, "%s/COPY", directory);
    buf_printf (&text, "LiteDFS name node, a copy\ntime %" PRId64 "\n", wall_ms);
    int rc = file_write_atomic (buf_text (&path), text.data, text.size, 0644, error);
    buf_free (&path);
    buf_free (&text);
    return rc == 0 ? write_version (self, directory, error) : rc;
}

/* Give a new store its cluster and its root. */
static int
format (struct storedir *self, struct txn *txn, litedfs_error_t *error)
{
    int rc = uuid_random (&self->cluster, error);

    if (rc == 0)
        rc = meta_put_cluster (txn, &self->cluster, error);
    return rc == 0 ? namespace_format (txn, error) : rc;
}

/* The store's cluster; a store without one is new, and is given one unless `known` (VERSION is there,
 * so it was not new). */
static int
read_or_make_cluster (struct storedir *self, bool known, int64_t wall_ms,
                      litedfs_error_t *error)
{
    const struct txn_frame frame = {.wall_ms = wall_ms};
    struct txn *txn;
    int rc = txn_begin_write (self->store, &frame, &txn, error);

    if (rc < 0)
        return rc;
    rc = meta_get_cluster (txn, &self->cluster, error);
    if (rc == LITEDFS_NOT_FOUND && known)
        rc = err_set (
            error, LITEDFS_CORRUPT,
            "data_path[%s]: VERSION is there but meta/ is empty: the metadata are lost; "
            "restore meta/ from a copy, or remove VERSION to begin with an empty tree",
            self->path);
    else if (rc == LITEDFS_NOT_FOUND)
        rc = format (self, txn, error);
    else if (rc == 0) {
        txn_abort (&txn);
        return 0;
    }
    if (rc < 0) {
        txn_abort (&txn);
        return rc;
    }
    return txn_commit (&txn, error);
}

/* Whether the directory may be used: 1 and the cluster if there is a VERSION, 0 if nothing is in it. */
static int
check_directory (struct storedir *self, struct uuid *cluster, litedfs_error_t *error)
{
    int known = read_version (self, cluster, error);

    return known == 0 ? check_nothing_else (self, error) : known;
}

static int
open_store (struct storedir *self, int64_t wall_ms, litedfs_error_t *error)
{
    struct buf path = {0};
    struct uuid cluster;
    int known = check_directory (self, &cluster, error);
    int rc = known < 0 ? known : 0;

    if (rc == 0) {
        const struct metastore_options options = {
            .directory = below (self, "meta", &path),
            .map_size = self->options.map_size,
            .sync = self->options.sync,
        };
        rc = metastore_open (&self->store, &options, error);
    }
    if (rc == 0)
        metastore_set_metrics (self->store, self->options.metrics);
    buf_free (&path);
    if (rc == 0)
        rc = read_or_make_cluster (self, known > 0, wall_ms, error);
    if (rc == 0 && known > 0 && !uuid_equal (&cluster, &self->cluster))
        rc = err_set (error, LITEDFS_WRONG_CLUSTER,
                      "data_path[%s]: VERSION and meta/ are of different clusters", self->path);
    if (rc == 0 && known == 0)
        rc = write_version (self, self->path, error);
    return rc;
}

/* Say that the store is a copy for as long as nobody accepted it. */
static void
note_copy (const struct storedir *self, uint64_t epoch, uint64_t restored)
{
    if (restored > 0)
        log_warning (self->options.log,
                     "%s was put back from a copy: new blocks are of epoch %" PRIu64
                     ", and nothing is deleted on data nodes until litename --accept-restore",
                     self->path, epoch);
}

/* At the first start on a copy the store is told so; then COPY goes.  A start that dies in between does it
 * again, which costs an epoch. */
static int
take_copy (struct storedir *self, int64_t wall_ms, litedfs_error_t *error)
{
    const struct txn_frame frame = {.wall_ms = wall_ms};
    struct buf path = {0};
    uint64_t epoch = 0, restored = 0;
    struct txn *txn = NULL;
    bool copy = access (below (self, "COPY", &path), F_OK) == 0;

    int rc = copy ? txn_begin_write (self->store, &frame, &txn, error)
                  : txn_begin_read (self->store, &txn, error);
    if (rc == 0 && copy)
        rc = restored_enter (txn, 0, &epoch, error);
    if (rc == 0)
        rc = meta_get (txn, META_EPOCH, &epoch, error);
    if (rc == 0)
        rc = restored_since (txn, &restored, error);
    if (rc == 0 && copy)
        rc = txn_commit (&txn, error);
    txn_abort (&txn);
    if (rc == 0 && copy && unlink (buf_text (&path)) < 0)
        rc = err_set_errno (error, LITEDFS_IO, errno, "data_path[%s]", buf_text (&path));
    buf_free (&path);
    if (rc == 0)
        note_copy (self, epoch, restored);
    return rc;
}

/* Open what is there to look at it. */
static int
open_read_only (struct storedir *self, litedfs_error_t *error)
{
    struct buf path = {0};
    struct txn *txn = NULL;
    struct uuid cluster;

    int rc = read_version (self, &cluster, error);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set (error, LITEDFS_NOT_FOUND,
                        "data_path[%s]: it has no VERSION: no name node has data here",
                        self->path);
    const struct metastore_options options = {
        .directory = below (self, "meta", &path),
        .map_size = self->options.map_size,
        .sync = true,
        .read_only = true,
    };
    rc = metastore_open (&self->store, &options, error);
    buf_free (&path);
    if (rc == 0)
        rc = txn_begin_read (self->store, &txn, error);
    if (rc == 0)
        rc = meta_get_cluster (txn, &self->cluster, error);
    txn_abort (&txn);
    if (rc == LITEDFS_NOT_FOUND && self->store)
        return err_set (error, LITEDFS_CORRUPT,
                        "data_path[%s]: meta/ is empty: the metadata are lost; restore meta/ "
                        "from a copy",
                        self->path);
    if (rc == 0 && !uuid_equal (&cluster, &self->cluster))
        rc = err_set (error, LITEDFS_WRONG_CLUSTER,
                      "data_path[%s]: VERSION and meta/ are of different clusters", self->path);
    return rc;
}

static void
read_port (struct storedir *self)
{
    struct buf path = {0}, text = {0};
    int64_t port;

    if (file_read_all (below (self, "port", &path), SMALL_FILE_MAX, &text, NULL) == 0) {
        if (text.size > 0 && text.data[text.size - 1] == '\n')
            text.size--;
        if (text_parse_int (buf_text (&text), 1, 65535, &port))
            self->port = (int) port;
    }
    buf_free (&path);
    buf_free (&text);
}

static int
set_up (struct storedir *self, int64_t wall_ms, litedfs_error_t *error)
{
    struct buf path = {0};
    struct stat status;
    struct uuid cluster;

    if (file_make_directories (self->path, 0755, error) < 0)
        return err_prefix (error, "data_path");
    // Nothing is put into a directory that is not ours, not even the lock.
    int rc = check_directory (self, &cluster, error);
    if (rc < 0)
        return rc;
    rc = file_lock (below (self, "lock", &path), &self->lock, error);
    if (rc < 0)
        err_prefix (error, "data_path[%s]", self->path);
    else
        rc = open_store (self, wall_ms, error);
    if (rc == 0)
        rc = take_copy (self, wall_ms, error);
    if (rc == 0) {
        self->has_ballast = stat (below (self, "ballast", &path), &status) == 0 &&
                            (uint64_t) status.st_size == self->options.ballast_size;
        read_port (self);
        storedir_restore_ballast (self);
    }
    buf_free (&path);
    return rc;
}

int
storedir_open (struct storedir **out, const struct storedir_options *options, int64_t wall_ms,
               litedfs_error_t *error)
{
    struct storedir *self = calloc (1, sizeof *self);

    if (!self || !(self->path = strdup (options->path))) {
        free (self);
        return err_set (error, LITEDFS_MEMORY, "data_path[%s]: out of memory", options->path);
    }
    self->options = *options;
    self->options.path = self->path;
    self->lock = -1;
    int rc = options->read_only ? open_read_only (self, error) : set_up (self, wall_ms, error);
    if (rc < 0)
        storedir_close (&self);
    else
        *out = self;
    return rc;
}

void
storedir_close (struct storedir **self)
{
    if (!*self)
        return;
    if ((*self)->store)
        metastore_close (&(*self)->store);
    if ((*self)->lock >= 0)
        close ((*self)->lock);
    free ((*self)->path);
    free (*self);
    *self = NULL;
}

const char *
storedir_path (const struct storedir *self)
{
    return self->path;
}

struct metastore *
storedir_store (struct storedir *self)
{
    return self->store;
}

const struct uuid *
storedir_cluster (const struct storedir *self)
{
    return &self->cluster;
}

int
storedir_port (const struct storedir *self)
{
    return self->port;
}

int
storedir_set_port (const struct storedir *self, int port, litedfs_error_t *error)
{
    struct buf path = {0};
    char text[16];
    int size = snprintf (text, sizeof text, "%d\n", port);
    int rc = file_write_atomic (below (self, "port", &path), text, (size_t) size, 0644, error);

    buf_free (&path);
    return rc;
}

int
storedir_check_room (const struct storedir *self, litedfs_error_t *error)
{
    uint64_t total, left;
    uint64_t keep = self->options.reserve;

    // Without its ballast, that room is kept in another way, or the deletes that it is for would not
    // find it.
    if (!self->has_ballast)
        keep += self->options.ballast_size;
    if (file_free_bytes (self->path, &total, &left, NULL) < 0 || left >= keep)
        return 0;
    return err_set (error, LITEDFS_NO_SPACE,
                    "the name node's disk is full: %s has %" PRIu64 " of %" PRIu64
                    " bytes free and keeps %" PRIu64
                    " for deletes (storage_preserve_space%s); delete files or make room there",
                    self->path, left, total, keep,
                    self->has_ballast || keep == self->options.reserve ? "" : ", ballast_size");
}

bool
storedir_drop_ballast (struct storedir *self)
{
    struct buf path = {0};
    bool dropped = unlink (below (self, "ballast", &path)) == 0;

    if (dropped)
        log_warning (self->options.log,
                     "%s is full: the ballast of %" PRIu64 " bytes is given up", self->path,
                     self->options.ballast_size);
    self->has_ballast = false;
    buf_free (&path);
    return dropped;
}

void
storedir_restore_ballast (struct storedir *self)
{
    uint64_t size = self->options.ballast_size, total, left;
    struct buf path = {0};

    if (self->has_ballast || size == 0 ||
        file_free_bytes (self->path, &total, &left, NULL) < 0 ||
        left < self->options.reserve + size)
        return;
    int fd = open (below (self, "ballast", &path), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int failed = fd < 0 ? errno : posix_fallocate (fd, 0, (off_t) size);
    if (fd >= 0)
        close (fd);
    self->has_ballast = failed == 0;
    if (failed) {
        log_warning (self->options.log, "%s: no ballast: %s", buf_text (&path),
                     strerror (failed));
        unlink (buf_text (&path));
    }
    buf_free (&path);
}
