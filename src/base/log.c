/* SPDX-License-Identifier: MIT */
/*
 * The log of a daemon.
 *
 * There is no lock: a line is built on the stack and goes out in one write(2), which O_APPEND
 * keeps whole.  The descriptor never changes its number; a reopen puts the new file behind it
 * with dup3, which is atomic, so writers need not know.  A line of which only a part was
 * written (the disk filled up) counts as lost, and the next line begins with a newline of its
 * own.
 */
#include "base/log.h"

#include "base/err.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

struct log {
    char *path; // NULL without a file
    int fd;     // -1 without a file
    bool to_stderr;
    atomic_int level;
    atomic_uint lost; // lines since it last worked
    atomic_int cause; // errno of the last line that was lost
    atomic_bool torn; // the file does not end in a newline
};

static const struct {
    enum log_level level;
    const char *word;
} levels[] = {
    {LOG_LEVEL_NOSET, "NOSET"}, {LOG_LEVEL_DEBUG, "DEBUG"},
    {LOG_LEVEL_INFO, "INFO"},   {LOG_LEVEL_WARNING, "WARNING"},
    {LOG_LEVEL_ERROR, "ERROR"}, {LOG_LEVEL_CRITICAL, "CRITICAL"},
};

bool
log_level_parse (const char *word, enum log_level *out)
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcasecmp (levels[i].word, word) == 0) {
            *out = levels[i].level;
            return true;
        }
    return false;
}

const char *
log_level_word (enum log_level level)
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (levels[i].level == level)
            return levels[i].word;
    return levels[0].word;
}

static int
open_file (const char *path, int *out, litedfs_error_t *error)
{
    int fd = open (path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
    if (fd < 0)
        return err_set_errno (error, LITEDFS_IO, errno, "log[%s]", path);
    *out = fd;
    return 0;
}

int
log_open (struct log **out, const char *directory, const char *name, enum log_level level,
          bool to_stderr, litedfs_error_t *error)
{
    struct log *self = calloc (1, sizeof *self);
    if (!self)
        return err_set (error, LITEDFS_MEMORY, "log[%s]: no memory", name);
    self->fd = -1;
    self->to_stderr = to_stderr;
    atomic_init (&self->level, (int) level);

    int rc = 0;
    if (directory && asprintf (&self->path, "%s/%s.log", directory, name) < 0) {
        self->path = NULL;
        rc = err_set (error, LITEDFS_MEMORY, "log[%s]: no memory", name);
    }
    if (rc == 0 && directory)
        rc = file_make_directories (directory, 0755, error);
    if (rc == 0 && directory)
        rc = open_file (self->path, &self->fd, error);
    if (rc < 0) {
        log_close (&self);
        return rc;
    }
    *out = self;
    return 0;
}

void
log_close (struct log **self)
{
    int saved = errno;
    if (*self) {
        if ((*self)->fd >= 0)
            close ((*self)->fd);
        free ((*self)->path);
        free (*self);
        *self = NULL;
    }
    errno = saved;
}

int
log_reopen (struct log *self, litedfs_error_t *error)
{
    int fresh = -1;

    if (!self || self->fd < 0)
        return 0;
    int rc = open_file (self->path, &fresh, error);
    if (rc < 0)
        return rc;
    if (dup3 (fresh, self->fd, O_CLOEXEC) < 0)
        rc = err_set_errno (error, LITEDFS_IO, errno, "log[%s]", self->path);
    else
        atomic_store (&self->torn, false);
    close (fresh);
    return rc;
}

void
log_set_level (struct log *self, enum log_level level)
{
    if (self)
        atomic_store (&self->level, (int) level);
}

bool
log_enabled (const struct log *self, enum log_level level)
{
    return self && (int) level >= atomic_load (&self->level);
}

// Start a line: a newline that is only written after a torn line, time, level, who speaks.
// Returns the size.
static size_t
put_head (char line[LOG_LINE_MAX + 1], enum log_level level, const char *file, int number)
{
    struct timespec now;
    struct tm parts;
    clock_gettime (CLOCK_REALTIME, &now);
    localtime_r (&now.tv_sec, &parts);

    const char *slash = strrchr (file, '/');
    const char *base = slash ? slash + 1 : file;
    size_t base_size = strcspn (base, ".");

    line[0] = '\n';
    size_t size = 1 + strftime (line + 1, 32, "%Y-%m-%d %H:%M:%S", &parts);
    size += (size_t) snprintf (line + size, 128, ".%03d %-5s %.*s",
                               (int) (now.tv_nsec / 1000000), log_level_word (level),
                               (int) (base_size < 40 ? base_size : 40), base);
    if (level == LOG_LEVEL_DEBUG)
        size += (size_t) snprintf (line + size, 16, ":%d", number);
    size += (size_t) snprintf (line + size, 3, ": ");
    return size;
}

// write(2) once, and again after a signal.  How many bytes, or -1.
static ssize_t
write_once (int fd, const char *data, size_t size)
{
    ssize_t put;
    do
        put = write (fd, data, size);
    while (put < 0 && errno == EINTR);
    return put;
}

// Write a line, which starts with a spare newline, to the file.
static bool
write_line (struct log *self, const char *line, size_t size)
{
    bool torn = atomic_exchange (&self->torn, false);
    size_t skip = torn ? 0 : 1;
    ssize_t put = write_once (self->fd, line + skip, size - skip);

    if (put == (ssize_t) (size - skip))
        return true;
    if (torn || put > 0)
        atomic_store (&self->torn, true);
    atomic_store (&self->cause, put < 0 ? errno : ENOSPC);
    return false;
}

// Say how many lines were lost, if any; false if that does not work either.
static bool
tell_lost (struct log *self)
{
    unsigned lost = atomic_exchange (&self->lost, 0);
    if (lost == 0)
        return true;

    char line[LOG_LINE_MAX + 1];
    size_t size = put_head (line, LOG_LEVEL_ERROR, __FILE__, __LINE__);
    size += (size_t) snprintf (line + size, 256, "%u lines were lost: %s\n", lost,
                               strerror (atomic_load (&self->cause)));
    if (write_line (self, line, size))
        return true;
    atomic_fetch_add (&self->lost, lost);
    return false;
}

void
log_write (struct log *self, enum log_level level, const char *file, int number,
           const char *format, ...)
{
    if (!log_enabled (self, level))
        return;

    int saved = errno;
    char text[LOG_LINE_MAX];
    va_list args;
    va_start (args, format);
    int length = vsnprintf (text, sizeof text, format, args);
    va_end (args);
    size_t text_size = length < 0 ? 0 : strnlen (text, sizeof text);

    // Text that was cut above is longer than what is left of the line, so it is cut visibly
    // below.
    char line[LOG_LINE_MAX + 1];
    size_t size = put_head (line, level, file, number);
    text_escape (text, text_size, line + size, sizeof line - size);
    size += strlen (line + size);
    line[size++] = '\n';

    if (self->to_stderr)
        (void) write_once (STDERR_FILENO, line + 1, size - 1); // nobody is left to tell
    if (self->fd >= 0 && !(tell_lost (self) && write_line (self, line, size)))
        atomic_fetch_add (&self->lost, 1);
    errno = saved;
}
