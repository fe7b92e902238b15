/* SPDX-License-Identifier: MIT */
/*
 * Local files of uploads and downloads.
 *
 * Without --force the name is given by a rename that refuses to replace; where the file system does
 * not know that, by a look before it.  A file that is replaced keeps its permissions, a new one has
 * those that the umask leaves.
 */
#include "cli/local.h"

#include "base/err.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Room for a path in an error's text.
#define SHOWN_SIZE 256

static const char temporary_suffix[] = ".litedfs-XXXXXX";

static int
fail (const char *path, int number, int errnum, litedfs_error_t *error)
{
    char shown[SHOWN_SIZE];
    if (errnum == ENOENT || errnum == ENOTDIR)
        number = LITEDFS_NOT_FOUND;
    return err_set_errno (error, number, errnum, "local file[%s]",
                          text_escape (path, strlen (path), shown, sizeof shown));
}

static int
refuse (const char *path, int number, const char *why, litedfs_error_t *error)
{
    char shown[SHOWN_SIZE];
    return err_set (error, number, "local file[%s]: %s",
                    text_escape (path, strlen (path), shown, sizeof shown), why);
}

static bool
is_standard (const char *path)
{
    return strcmp (path, "-") == 0;
}

void
local_keep_standard (void)
{
    static const int flags[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl (fd, F_GETFD) < 0 && open ("/dev/null", flags[fd]) != fd)
            _exit (EXIT_FAILURE);
}

/* ---- upload --------------------------------------------------------------------------------------- */

int
local_source_open (struct local_source *self, const char *path, litedfs_error_t *error)
{
    bool standard = is_standard (path);
    struct stat status;

    *self = (struct local_source){.fd = standard ? STDIN_FILENO
                                                 : open (path, O_RDONLY | O_CLOEXEC)};
    if (self->fd < 0)
        return fail (path, LITEDFS_IO, errno, error);
    if (fstat (self->fd, &status) < 0) {
        int errnum = errno;
        local_source_close (self);
        return fail (path, LITEDFS_IO, errnum, error);
    }
    if (S_ISDIR (status.st_mode)) {
        local_source_close (self);
        return refuse (path, LITEDFS_IS_DIRECTORY, "it is a directory", error);
    }
    self->regular = S_ISREG (status.st_mode) && !standard;
    self->stream = standard && lseek (self->fd, 0, SEEK_CUR) > 0;
    return 0;
}

void
local_source_close (struct local_source *self)
{
    if (self->fd > STDERR_FILENO)
        close (self->fd);
    self->fd = -1;
}

/* ---- download --------------------------------------------------------------------------------------- */

// What is at the target already decides where the bytes go.
static int
take_existing (struct local_target *self, const struct stat *status, litedfs_error_t *error)
{
    if (S_ISDIR (status->st_mode))
        return refuse (self->shown, LITEDFS_IS_DIRECTORY,
                       "it is a directory; say the file's name too", error);
    if (S_ISREG (status->st_mode)) {
        if (!self->replace)
            return refuse (self->shown, LITEDFS_EXISTS,
                           "it exists already; --force overwrites it", error);
        self->mode = status->st_mode & 0777;
    }
    self->path = realpath (self->shown, NULL); // the file that a link leads to, not the link
    return self->path ? 0 : fail (self->shown, LITEDFS_IO, errno, error);
}

// Whether the directory that the target shall be in is there.
static int
check_directory (struct local_target *self, litedfs_error_t *error)
{
    const char *slash = strrchr (self->path, '/');
    struct stat status;

    if (!self->path[0] || (slash && !slash[1]))
        return refuse (self->shown, LITEDFS_NOT_FOUND, "it names no file", error);
    char *directory =
        slash ? strndup (self->path, (size_t) (slash - self->path + 1)) : strdup (".");
    if (!directory)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    int rc = stat (directory, &status) < 0 ? fail (directory, LITEDFS_IO, errno, error) : 0;
    free (directory);
    return rc;
}

int
local_target_check (struct local_target *self, const char *path, bool replace,
                    litedfs_error_t *error)
{
    struct stat status;

    *self = (struct local_target){.shown = path, .fd = -1, .replace = replace};
    if (is_standard (path))
        return 0;
    if (stat (path, &status) == 0)
        return take_existing (self, &status, error);
    if (errno != ENOENT)
        return fail (path, LITEDFS_IO, errno, error);
    if (lstat (path, &status) == 0 && !replace)
        return refuse (path, LITEDFS_EXISTS,
                       "it exists already, as a link to nothing; --force overwrites it", error);

    mode_t mask = umask (0);
    umask (mask);
    self->mode = 0666 & ~mask;
    self->path = strdup (path);
    return self->path ? check_directory (self, error)
                      : err_set (error, LITEDFS_MEMORY, "out of memory");
}

// A name beside the target: ".NAME.litedfs-XXXXXX", where a long NAME is cut.
static char *
temporary_name (const char *path)
{
    const char *slash = strrchr (path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t room = NAME_MAX - strlen (".") - strlen (temporary_suffix);
    size_t kept = strlen (name) < room ? strlen (name) : room;
    char *out;

    if (asprintf (&out, "%.*s.%.*s%s", (int) (name - path), path, (int) kept, name,
                  temporary_suffix) < 0)
        return NULL;
    return out;
}

// Whether bytes go straight to what is there: it is no regular file.
static bool
is_special (const char *path)
{
    struct stat status;
    return stat (path, &status) == 0 && !S_ISREG (status.st_mode);
}

int
local_target_open (struct local_target *self, litedfs_error_t *error)
{
    if (!self->path) {
        self->fd = STDOUT_FILENO;
        return 0;
    }
    if (is_special (self->path)) {
        self->fd = open (self->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return self->fd < 0 ? fail (self->shown, LITEDFS_IO, errno, error) : 0;
    }
    char *temporary = temporary_name (self->path);
    if (!temporary)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    self->fd = mkostemp (temporary, O_CLOEXEC);
    if (self->fd < 0) {
        int rc = fail (self->shown, LITEDFS_IO, errno, error);
        free (temporary);
        return rc;
    }
    self->temporary = temporary;
    return 0;
}

// Rename the temporary file; -1 with errno, EEXIST if a file is there that must stay.
static int
give_name (const struct local_target *self)
{
    struct stat status;

    if (self->replace)
        return rename (self->temporary, self->path);
    if (renameat2 (AT_FDCWD, self->temporary, AT_FDCWD, self->path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (lstat (self->path, &status) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename (self->temporary, self->path);
}

// Make the new name durable.
static int
sync_directory_of (const char *path, litedfs_error_t *error)
{
    const char *slash = strrchr (path, '/');
    char *directory = slash ? strndup (path, (size_t) (slash - path + 1)) : strdup (".");
    int rc = directory ? file_sync_directory (directory, error)
                       : err_set (error, LITEDFS_MEMORY, "out of memory");
    free (directory);
    return rc;
}

int
local_target_commit (struct local_target *self, litedfs_error_t *error)
{
    if (!self->temporary) {
        // A device or a pipe tells at its end, if ever, that bytes did not go out.
        int fd = self->fd;
        self->fd = -1;
        if (fd > STDERR_FILENO && close (fd) < 0)
            return fail (self->shown, LITEDFS_IO, errno, error);
        return 0;
    }
    if (fchmod (self->fd, self->mode) < 0 && errno != EPERM)
        return fail (self->shown, LITEDFS_IO, errno, error);
    if (fsync (self->fd) < 0)
        return fail (self->shown, LITEDFS_IO, errno, error);
    if (give_name (self) < 0)
        return errno == EEXIST
                   ? refuse (self->shown, LITEDFS_EXISTS,
                             "it has appeared meanwhile; --force overwrites it", error)
                   : fail (self->shown, LITEDFS_IO, errno, error);
    free (self->temporary);
    self->temporary = NULL;
    return sync_directory_of (self->path, error);
}

void
local_target_discard (struct local_target *self)
{
    if (self->temporary)
        unlink (self->temporary);
    if (self->fd > STDERR_FILENO)
        close (self->fd);
    free (self->temporary);
    free (self->path);
    *self = (struct local_target){.fd = -1};
}
