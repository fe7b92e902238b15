/* SPDX-License-Identifier: MIT */
/*
 * Making a copy of data_path: PATH.partial is made and locked, filled, synced and renamed.
 *
 * A piece at a time is written and synced, so that no heap of dirty pages stands before the commits of the
 * name node when the disk is the same; then there is a pause, as long as the rate asks for and never shorter
 * than twice what the piece took: two thirds of a slow disk's time stay with who serves.
 */
#include "namenode/backup.h"

#include "base/err.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The longest pause between two pieces, and how many times what the piece took it is at least. */
enum { PAUSE_MS_MAX = 2000, PAUSE_FACTOR = 2 };

/* What a copy has besides its store, in bytes, and what its file system needs for that. */
#define BESIDES ((uint64_t) 1 << 20)

struct backup {
    const struct backup_options *options;
    struct storedir *from;
    const struct clock *clock;
    struct buf partial; // path of the directory
    struct buf file;    // path of its store's file
    int lock;
    int fd; // of the file
    uint64_t written;
    bool same_disk;
};

/* ---- removing ------------------------------------------------------------------------------------ */

static int
remove_one (const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void) status;
    (void) type;
    (void) where;
    return remove (path) < 0 && errno != ENOENT ? -1 : 0;
}

static int
remove_tree (const char *path, litedfs_error_t *error)
{
    if (nftw (path, remove_one, 8, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
        return err_set_errno (error, LITEDFS_IO, errno, "backup[%s]: it cannot be removed",
                              path);
    return 0;
}

/* Whether it is a directory; LITEDFS_NOT_FOUND.  *empty is whether nothing is in it. */
static int
look_at_directory (const char *path, bool *empty, litedfs_error_t *error)
{
    struct dirent *entry;
    DIR *directory = opendir (path);

    if (!directory && errno == ENOENT)
        return LITEDFS_NOT_FOUND;
    if (!directory)
        return err_set_errno (error, errno == ENOTDIR ? LITEDFS_EXISTS : LITEDFS_IO, errno,
                              "backup[%s]", path);
    *empty = true;
    while ((entry = readdir (directory)))
        *empty =
            *empty && (strcmp (entry->d_name, ".") == 0 || strcmp (entry->d_name, "..") == 0);
    closedir (directory);
    return 0;
}

static bool
has (const char *directory, const char *name)
{
    struct buf path = {0};

    buf_printf (&path, "%s/%s", directory, name);
    bool there = !path.failed && access (buf_text (&path), F_OK) == 0;
    buf_free (&path);
    return there;
}

static bool
is_partial (const char *path)
{
    size_t size = strlen (path), end = strlen (".partial");

    return size > end && strcmp (path + size - end, ".partial") == 0;
}

int
backup_remove (const char *path, litedfs_error_t *error)
{
    bool empty;
    int rc = look_at_directory (path, &empty, error);

    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    if (!empty && !has (path, "COPY") && !(is_partial (path) && has (path, "lock")))
        return err_set (error, LITEDFS_INVALID, "backup[%s]: it is no copy of metadata", path);
    return remove_tree (path, error);
}

/* ---- checking ------------------------------------------------------------------------------------ */

/* The path of the copy has to be free, the disk to have room. */
static int
check_path (const struct backup *self, litedfs_error_t *error)
{
    const char *path = self->options->path;
    bool empty;
    int rc = look_at_directory (path, &empty, error);

    if (rc == 0 && !empty)
        return err_set (error, LITEDFS_EXISTS,
                        "backup[%s]: it is there already and not empty; choose another name",
                        path);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* Whether `more` bytes can be written, and what has to stay free does. */
static int
check_room (struct backup *self, uint64_t more, litedfs_error_t *error)
{
    uint64_t total, available;
    uint64_t keep = self->same_disk ? self->options->reserve : 0;

    if (file_free_bytes (buf_text (&self->partial), &total, &available, NULL) < 0 ||
        available >= more + keep)
        return 0;
    return err_set (error, LITEDFS_NO_SPACE,
                    "backup[%s]: no room for it: %" PRIu64 " bytes are to be written, %" PRIu64
                    " of the %" PRIu64 " that are free are kept",
                    self->options->path, more, keep < available ? keep : available, available);
}

static int
check_disk (struct backup *self, litedfs_error_t *error)
{
    struct metastore_statistics statistics;
    struct stat here, there;

    int rc = metastore_statistics (storedir_store (self->from), &statistics, error);
    if (rc < 0)
        return rc;
    self->same_disk = stat (storedir_path (self->from), &here) == 0 &&
                      stat (buf_text (&self->partial), &there) == 0 &&
                      here.st_dev == there.st_dev;
    return check_room (
        self, (statistics.pages_used - statistics.pages_free) * statistics.page_size + BESIDES,
        error);
}

/* ---- copying ------------------------------------------------------------------------------------- */

/* What is left to wait after a piece that took so long. */
static int
pause_ms (const struct backup *self, size_t size, int64_t took_ms)
{
    int64_t least_ms = PAUSE_FACTOR * took_ms;
    int64_t rate_ms = self->options->rate > 0
                          ? (int64_t) ((uint64_t) size * 1000 / self->options->rate) - took_ms
                          : 0;
    int64_t ms = rate_ms > least_ms ? rate_ms : least_ms;

    return (int) (ms < 0 ? 0 : ms > PAUSE_MS_MAX ? PAUSE_MS_MAX : ms);
}

static int
take (void *arg, const void *data, size_t size, litedfs_error_t *error)
{
    struct backup *self = arg;
    const struct backup_options *options = self->options;
    const char *path = buf_text (&self->file);
    int64_t began_ms = clock_mono (self->clock);

    int rc = self->same_disk ? check_room (self, size, error) : 0;
    if (rc == 0)
        rc = file_pwrite_full (self->fd, data, size, self->written, path, error);
    if (rc == 0 && fdatasync (self->fd) < 0)
        rc = err_set_errno (error, LITEDFS_IO, errno, "backup[%s]", path);
    if (rc < 0)
        return rc;
    (void) posix_fadvise (self->fd, (off_t) self->written, (off_t) size, POSIX_FADV_DONTNEED);
    self->written += size;
    if (options->pause &&
        options->pause (options->arg,
                        pause_ms (self, size, clock_mono (self->clock) - began_ms)))
        return err_set (error, LITEDFS_CANCELLED, "backup[%s]: it was given up", options->path);
    return 0;
}

/* Make the directory for the time being, in place of what a process that died has left. */
static int
make_partial (struct backup *self, litedfs_error_t *error)
{
    const char *partial = buf_text (&self->partial);
    struct buf path = {0};

    int rc = file_make_directories (partial, 0700, error);
    buf_printf (&path, "%s/lock", partial);
    if (rc == 0)
        rc = file_lock (buf_text (&path), &self->lock, error);
    for (int i = 0; i < 3 && rc == 0; i++) {
        static const char *const names[] = {"meta", "VERSION", "COPY"};
        buf_clear (&path);
        buf_printf (&path, "%s/%s", partial, names[i]);
        rc = remove_tree (buf_text (&path), error);
    }
    buf_clear (&path);
    buf_printf (&path, "%s/meta", partial);
    if (rc == 0 && mkdir (buf_text (&path), 0700) < 0)
        rc = err_set_errno (error, LITEDFS_IO, errno, "backup[%s]", buf_text (&path));
    buf_free (&path);
    return rc;
}

static int
copy_store (struct backup *self, litedfs_error_t *error)
{
    const char *path = buf_text (&self->file);

    self->fd = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (self->fd < 0)
        return err_set_errno (error, LITEDFS_IO, errno, "backup[%s]", path);
    int rc = metastore_copy (storedir_store (self->from), take, self, error);
    if (rc == 0 && fsync (self->fd) < 0)
        rc = err_set_errno (error, LITEDFS_IO, errno, "backup[%s]", path);
    return rc;
}

/* Give it its name.  The lock goes with the file, not with the name. */
static int
publish (struct backup *self, litedfs_error_t *error)
{
    const char *partial = buf_text (&self->partial);
    struct buf path = {0};

    buf_printf (&path, "%s/meta", partial);
    int rc = file_sync_directory (buf_text (&path), error);
    buf_clear (&path);
    buf_printf (&path, "%s/lock", partial);
    if (rc == 0)
        rc = storedir_write_copy (self->from, partial, clock_wall (self->clock), error);
    if (rc == 0 && unlink (buf_text (&path)) < 0)
        rc = err_set_errno (error, LITEDFS_IO, errno, "backup[%s]", buf_text (&path));
    if (rc == 0)
        rc = file_sync_directory (partial, error);
    if (rc == 0 && rename (partial, self->options->path) < 0)
        rc = err_set_errno (error, LITEDFS_IO, errno, "backup[%s]", self->options->path);
    buf_clear (&path);
    buf_printf (&path, "%s/..", self->options->path);
    if (rc == 0)
        rc = file_sync_directory (buf_text (&path), error);
    buf_free (&path);
    return rc;
}

static int
make (struct backup *self, litedfs_error_t *error)
{
    int rc = check_path (self, error);

    if (rc == 0)
        rc = make_partial (self, error);
    if (rc == 0)
        rc = check_disk (self, error);
    if (rc == 0)
        rc = copy_store (self, error);
    return rc == 0 ? publish (self, error) : rc;
}

int
backup_make (const struct backup_options *options, struct storedir *from,
             const struct clock *clock, struct backup_result *out, litedfs_error_t *error)
{
    struct backup self = {
        .options = options, .from = from, .clock = clock, .lock = -1, .fd = -1};
    int64_t began_ms = clock_mono (clock);

    buf_printf (&self.partial, "%s.partial", options->path);
    buf_printf (&self.file, "%s/meta/data.mdb", buf_text (&self.partial));
    int rc = self.partial.failed || self.file.failed
                 ? err_set (error, LITEDFS_MEMORY, "backup: out of memory")
                 : make (&self, error);
    if (self.fd >= 0)
        close (self.fd);
    if (rc < 0 && self.lock < 0)
        (void) rmdir (buf_text (&self.partial)); // if nothing is in it
    else if (rc < 0)
        remove_tree (buf_text (&self.partial), NULL); // what went wrong is said already
    if (self.lock >= 0)
        close (self.lock);
    out->bytes = self.written;
    out->elapsed_ms = clock_mono (clock) - began_ms;
    buf_free (&self.partial);
    buf_free (&self.file);
    return rc;
}
