/* SPDX-License-Identifier: MIT */
/*
 * Local files: read whole with a bound, read and written at an offset to the last byte,
 * replaced atomically, locked.
 *
 * What was made is made durable: a new name is only there after a crash when its directory was
 * synced, so whoever makes a name here syncs the directory that it is in.
 */
#include "base/file.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

// What a read asks for at a time, in bytes.
#define READ_SIZE ((size_t) 64 << 10)

// The pid in a lock file has this width, so that writing it again needs no new room on the
// disk.
#define PID_WIDTH 10

_Static_assert(sizeof (off_t) == 8, "build with -D_FILE_OFFSET_BITS=64");

// Tell that `action` on path failed with errno; returns the number.
static int
fail (litedfs_error_t *error, const char *action, const char *path)
{
    int errnum = errno;
    int number = errnum == ENOENT    ? LITEDFS_NOT_FOUND
                 : errnum == ENOTDIR ? LITEDFS_NOT_DIRECTORY
                                     : LITEDFS_IO;
    return err_set_errno (error, number, errnum, "%s[%s]", action, path);
}

static void
close_keeping_errno (int fd)
{
    int saved = errno;
    close (fd);
    errno = saved;
}

// Append what fd still has, up to limit bytes; out may have grown when it fails.
static int
append_all (int fd, const char *name, size_t limit, struct buf *out, litedfs_error_t *error)
{
    size_t start = out->size;

    for (;;) {
        size_t left = limit - (out->size - start);
        size_t wanted =
            left < READ_SIZE ? left + 1 : READ_SIZE; // one more shows what is too long
        if (!buf_reserve (out, wanted))
            return err_set (error, LITEDFS_MEMORY, "read[%s]: no memory for its content", name);

        ssize_t got = read (fd, out->data + out->size, wanted);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail (error, "read", name);
        if (got == 0)
            return 0;
        if ((size_t) got > left)
            return err_set (error, LITEDFS_INVALID,
                            "read[%s]: it is larger than %zu bytes, which is the most allowed",
                            name, limit);
        out->size += (size_t) got;
    }
}

int
file_read_fd (int fd, const char *name, size_t limit, struct buf *out, litedfs_error_t *error)
{
    size_t size = out->size;
    bool failed = out->failed;
    int rc = append_all (fd, name, limit, out, error);

    if (rc < 0) {
        out->size = size;
        out->failed = failed;
    }
    return rc;
}

int
file_read_all (const char *path, size_t limit, struct buf *out, litedfs_error_t *error)
{
    // Without O_NONBLOCK the open of a pipe waits for a writer.
    int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fail (error, "open", path);

    struct stat status;
    int rc;
    if (fstat (fd, &status) < 0)
        rc = fail (error, "stat", path);
    else if (!S_ISREG (status.st_mode))
        rc = err_set (error, LITEDFS_INVALID, "read[%s]: it is not a regular file", path);
    else
        rc = file_read_fd (fd, path, limit, out, error);
    close (fd);
    return rc;
}

int
file_pread_full (int fd, void *data, size_t size, uint64_t offset, const char *name,
                 litedfs_error_t *error)
{
    uint8_t *at = data;

    while (size > 0) {
        ssize_t got = pread (fd, at, size, (off_t) offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail (error, "read", name);
        if (got == 0)
            return err_set (error, LITEDFS_CORRUPT,
                            "read[%s]: it ends at %" PRIu64 ", %zu bytes too early", name,
                            offset, size);
        at += got;
        offset += (uint64_t) got;
        size -= (size_t) got;
    }
    return 0;
}

int
file_pwrite_full (int fd, const void *data, size_t size, uint64_t offset, const char *name,
                  litedfs_error_t *error)
{
    const uint8_t *at = data;

    while (size > 0) {
        ssize_t put = pwrite (fd, at, size, (off_t) offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put == 0) // no progress and no reason: do not turn for ever
            errno = EIO;
        if (put <= 0)
            return fail (error, "write", name);
        at += put;
        offset += (uint64_t) put;
        size -= (size_t) put;
    }
    return 0;
}

int
file_sync_directory (const char *path, litedfs_error_t *error)
{
    int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail (error, "open", path);

    int rc = fsync (fd);
    // Some file systems cannot sync a directory and say EINVAL; there is nothing better to do
    // there.
    if (rc < 0 && errno == EINVAL)
        rc = 0;
    close_keeping_errno (fd);
    return rc < 0 ? fail (error, "sync", path) : 0;
}

// Sync the directory that path is in.
static int
sync_parent (const char *path, litedfs_error_t *error)
{
    const char *slash = strrchr (path, '/');
    if (!slash)
        return file_sync_directory (".", error);
    if (slash == path)
        return file_sync_directory ("/", error);

    char *parent = strndup (path, (size_t) (slash - path));
    if (!parent)
        return err_set (error, LITEDFS_MEMORY, "sync[%s]: no memory", path);
    int rc = file_sync_directory (parent, error);
    free (parent);
    return rc;
}

// Fill the new file and make it durable; closes fd.
static int
write_new (int fd, const char *name, const void *data, size_t size, unsigned mode,
           litedfs_error_t *error)
{
    int rc = file_pwrite_full (fd, data, size, 0, name, error);
    if (rc == 0 && fchmod (fd, (mode_t) mode) < 0)
        rc = fail (error, "chmod", name);
    if (rc == 0 && fsync (fd) < 0)
        rc = fail (error, "sync", name);
    if (close (fd) < 0 && rc == 0)
        rc = fail (error, "close", name);
    return rc;
}

int
file_write_atomic (const char *path, const void *data, size_t size, unsigned mode,
                   litedfs_error_t *error)
{
    char *fresh;
    if (asprintf (&fresh, "%s.XXXXXX", path) < 0)
        return err_set (error, LITEDFS_MEMORY, "write[%s]: no memory", path);

    int rc;
    int fd = mkostemp (fresh, O_CLOEXEC);
    if (fd < 0)
        rc = fail (error, "write", path);
    else {
        rc = write_new (fd, path, data, size, mode, error);
        if (rc == 0 && rename (fresh, path) < 0)
            rc = fail (error, "rename", path);
        if (rc < 0)
            unlink (fresh);
    }
    free (fresh);
    return rc < 0 ? rc : sync_parent (path, error);
}

// Make one directory, whose parent exists.
static int
make_directory (const char *path, unsigned mode, litedfs_error_t *error)
{
    if (mkdir (path, (mode_t) mode) == 0)
        return sync_parent (path, error);

    // It may exist, or be on a read-only disk and exist.
    int errnum = errno;
    struct stat status;
    if (stat (path, &status) == 0) {
        if (S_ISDIR (status.st_mode))
            return 0;
        errnum = ENOTDIR;
    }
    errno = errnum;
    return fail (error, "make directory", path);
}

int
file_make_directories (const char *path, unsigned mode, litedfs_error_t *error)
{
    char *partial = strdup (path);
    if (!partial)
        return err_set (error, LITEDFS_MEMORY, "make directory[%s]: no memory", path);

    size_t size = strlen (partial);
    while (size > 1 && partial[size - 1] == '/')
        partial[--size] = 0;

    int rc = 0;
    for (char *at = partial + 1; size > 0 && rc == 0 && *at; at++) {
        if (*at != '/' || at[-1] == '/')
            continue;
        *at = 0;
        rc = make_directory (partial, mode, error);
        *at = '/';
    }
    if (rc == 0)
        rc = make_directory (partial, mode, error);
    free (partial);
    return rc;
}

// Tell who holds the lock, as far as the file says it.
static int
tell_holder (int fd, const char *path, litedfs_error_t *error)
{
    char text[PID_WIDTH + 2] = "";
    ssize_t got = pread (fd, text, sizeof text - 1, 0);
    long pid = got > 0 ? strtol (text, NULL, 10) : 0;

    if (pid > 0)
        return err_set (error, LITEDFS_IN_USE, "lock[%s]: process %ld uses it", path, pid);
    return err_set (error, LITEDFS_IN_USE, "lock[%s]: another process uses it", path);
}

int
file_lock (const char *path, int *out_fd, litedfs_error_t *error)
{
    int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);
    if (fd < 0)
        return fail (error, "lock", path);

    int rc;
    do
        rc = flock (fd, LOCK_EX | LOCK_NB);
    while (rc < 0 && errno == EINTR);
    if (rc < 0) {
        rc = errno == EWOULDBLOCK ? tell_holder (fd, path, error) : fail (error, "lock", path);
        close (fd);
        return rc;
    }

    // Only a courtesy to who comes second: on a full disk the lock holds without it.
    char text[PID_WIDTH + 2];
    int size = snprintf (text, sizeof text, "%-*ld\n", PID_WIDTH, (long) getpid ());
    (void) file_pwrite_full (fd, text, (size_t) size, 0, path, NULL);
    *out_fd = fd;
    return 0;
}

// Append the components of path to out, which holds an absolute path without a slash at its
// end. fixed: up to where out is known to be free of links, so that ".." may take a name away
// there.
static void
append_components (struct buf *out, const char *path, bool fixed)
{
    for (; *path; path += *path == '/') {
        size_t size = strcspn (path, "/");
        const char *name = path;
        path += size;
        if (size == 0 || (size == 1 && name[0] == '.'))
            continue;
        if (size == 2 && name[0] == '.' && name[1] == '.' && (fixed || out->size == 0)) {
            while (out->size > 0 && out->data[--out->size] != '/')
                ;
            continue;
        }
        fixed = false;
        buf_put (out, "/", 1);
        buf_put (out, name, size);
    }
}

int
file_absolute (const char *directory, const char *path, char **out, litedfs_error_t *error)
{
    struct buf joined = {0};

    if (!path[0])
        return err_set (error, LITEDFS_INVALID, "path[]: it is empty");
    if (path[0] != '/' && (!directory || directory[0] != '/')) {
        char *current = getcwd (NULL, 0);
        if (!current)
            return fail (error, "current directory of", path);
        append_components (&joined, current, false);
        free (current);
    }
    // The current directory comes without links; what the caller named may have some.
    bool fixed = true;
    if (path[0] != '/' && directory) {
        fixed = false;
        append_components (&joined, directory, directory[0] != '/');
    }
    append_components (&joined, path, fixed && path[0] != '/');
    if (joined.size == 0)
        buf_put (&joined, "/", 1);

    *out = strdup (buf_text (&joined));
    bool failed = joined.failed || !*out;
    buf_free (&joined);
    if (failed) {
        free (*out);
        *out = NULL;
        return err_set (error, LITEDFS_MEMORY, "path[%s]: no memory", path);
    }
    return 0;
}

int
file_free_bytes (const char *path, uint64_t *out_total, uint64_t *out_free,
                 litedfs_error_t *error)
{
    struct statvfs status;
    int rc;
    do
        rc = statvfs (path, &status);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return fail (error, "free space of", path);
    *out_total = (uint64_t) status.f_blocks * status.f_frsize;
    *out_free = (uint64_t) status.f_bavail * status.f_frsize;
    return 0;
}
