/* SPDX-License-Identifier: MIT */
/*
 * When the next copy is due is read off the names of those that are there, so it outlives restarts; after
 * one that failed it is tried again in a while.  A copy that a process left half done has a name of its own
 * and goes before the next one.
 */
#include "namenode/backups.h"

#include "base/err.h"
#include "base/file.h"
#include "namenode/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* No copy is begun right after a start, which has enough to do; nor right after one that failed. */
enum { START_MS = 60000, AGAIN_MS = 600000 };

/* How long the end waits for a copy to be given up. */
enum { GIVE_UP_MS = 2000, GIVE_UP_STEP_MS = 10 };

/* What a copy's process says at most. */
#define SAID_MAX 4096

extern char **environ;

struct backups {
    struct backups_options options;
    struct buf texts[4]; // of the options
    int64_t due_wall_ms;
    int64_t not_before_ms; // monotonic
    pid_t child;           // 0: none
    int said;              // from where it is read what the child says
    int64_t child_wall_ms; // when it began
};

/* ---- names --------------------------------------------------------------------------------------- */

char *
backups_name (int64_t wall_ms, char out[BACKUPS_NAME_SIZE])
{
    time_t seconds = (time_t) (wall_ms / 1000);
    struct tm at;

    if (!gmtime_r (&seconds, &at) ||
        strftime (out, BACKUPS_NAME_SIZE, "%Y%m%d-%H%M%S", &at) == 0)
        snprintf (out, BACKUPS_NAME_SIZE, "00000000-000000");
    return out;
}

bool
backups_time (const char *name, int64_t *wall_ms)
{
    struct tm at = {0};
    const char *end = strptime (name, "%Y%m%d-%H%M%S", &at);
    char again[BACKUPS_NAME_SIZE];

    if (!end || *end)
        return false;
    *wall_ms = (int64_t) timegm (&at) * 1000;
    return strcmp (backups_name (*wall_ms, again), name) == 0;
}

/* ---- what is there ------------------------------------------------------------------------------- */

/* What a look at the directory finds. */
struct found {
    size_t count;
    int64_t oldest_ms;
    int64_t newest_ms; // 0: there is none
};

static void
look (const struct backups *self, struct found *out)
{
    DIR *directory = opendir (self->options.directory);
    struct dirent *entry;
    int64_t wall_ms;

    *out = (struct found){.oldest_ms = INT64_MAX};
    while (directory && (entry = readdir (directory))) {
        if (!backups_time (entry->d_name, &wall_ms))
            continue;
        out->count++;
        if (wall_ms < out->oldest_ms)
            out->oldest_ms = wall_ms;
        if (wall_ms > out->newest_ms)
            out->newest_ms = wall_ms;
    }
    if (directory)
        closedir (directory);
}

/* directory/name of a copy of that time, and what stands behind it. */
static const char *
path_of (const struct backups *self, int64_t wall_ms, const char *behind, struct buf *out)
{
    char name[BACKUPS_NAME_SIZE];

    buf_clear (out);
    buf_printf (out, "%s/%s%s", self->options.directory, backups_name (wall_ms, name), behind);
    return buf_text (out);
}

/* Remove the oldest ones, so that as many stay as are kept. */
static void
prune (struct backups *self)
{
    struct found found;
    struct buf path = {0};
    litedfs_error_t error;

    for (look (self, &found); found.count > self->options.keep; look (self, &found))
        if (backup_remove (path_of (self, found.oldest_ms, "", &path), &error) < 0) {
            log_warning (self->options.log, "%s", error.text);
            break;
        }
    buf_free (&path);
}

/* Remove what processes that died have left. */
static void
remove_partials (struct backups *self)
{
    DIR *directory = opendir (self->options.directory);
    struct buf path = {0};
    struct dirent *entry;
    litedfs_error_t error;
    int64_t wall_ms;

    while (directory && (entry = readdir (directory))) {
        char name[BACKUPS_NAME_SIZE] = "";
        size_t size = strlen (entry->d_name);
        if (size != sizeof name - 1 + strlen (".partial"))
            continue;
        memcpy (name, entry->d_name, sizeof name - 1);
        if (!backups_time (name, &wall_ms) ||
            strcmp (entry->d_name + sizeof name - 1, ".partial") != 0)
            continue;
        if (backup_remove (path_of (self, wall_ms, ".partial", &path), &error) < 0)
            log_warning (self->options.log, "%s", error.text);
    }
    if (directory)
        closedir (directory);
    buf_free (&path);
}

/* When the next one is due. */
static void
plan (struct backups *self)
{
    struct found found;
    struct stat status;

    look (self, &found);
    int64_t last_ms = found.newest_ms;
    if (last_ms == 0 && stat (self->options.made, &status) == 0)
        last_ms = (int64_t) status.st_mtime * 1000;
    int64_t now_ms = clock_wall (self->options.clock);
    if (last_ms > now_ms) // the clock was set back
        last_ms = now_ms;
    self->due_wall_ms = last_ms + self->options.interval_ms;
}

/* ---- the other process --------------------------------------------------------------------------- */

/* Start it with both its outputs at fd. */
static int
spawn (struct backups *self, const char *target, int fd, litedfs_error_t *error)
{
    const struct backups_options *options = &self->options;
    char *const arguments[] = {(char *) options->program,     "--backup", (char *) target, "-c",
                               (char *) options->config_path, NULL};
    posix_spawn_file_actions_t actions;

    int rc = posix_spawn_file_actions_init (&actions);
    if (rc != 0)
        return err_set_errno (error, LITEDFS_FAILED, rc, "%s", options->program);
    rc = posix_spawn_file_actions_addopen (&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2 (&actions, fd, STDOUT_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2 (&actions, fd, STDERR_FILENO);
    if (rc == 0)
        rc = posix_spawn (&self->child, options->program, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy (&actions);
    if (rc == 0)
        return 0;
    self->child = 0;
    return err_set_errno (error, LITEDFS_FAILED, rc, "%s cannot be started", options->program);
}

/* The next time, after one that came to nothing. */
static void
try_later (struct backups *self)
{
    int64_t ms = self->options.interval_ms < AGAIN_MS ? self->options.interval_ms : AGAIN_MS;

    self->not_before_ms = clock_mono (self->options.clock) + ms;
}

static int
begin (struct backups *self, litedfs_error_t *error)
{
    struct buf target = {0};
    int ends[2];

    if (pipe2 (ends, O_CLOEXEC) < 0)
        return err_set_errno (error, LITEDFS_FAILED, errno, "no pipe");
    remove_partials (self);
    self->child_wall_ms = clock_wall (self->options.clock);
    int rc = spawn (self, path_of (self, self->child_wall_ms, "", &target), ends[1], error);
    buf_free (&target);
    close (ends[1]);
    if (rc < 0)
        close (ends[0]);
    else
        self->said = ends[0];
    return rc;
}

/* It has ended: take what it said. */
static void
take_outcome (struct backups *self, int status)
{
    char said[SAID_MAX];
    ssize_t size = read (self->said, said, sizeof said - 1);

    close (self->said);
    self->said = -1;
    self->child = 0;
    said[size > 0 ? size : 0] = '\0';
    said[strcspn (said, "\n")] = '\0';
    if (WIFEXITED (status) && WEXITSTATUS (status) == EXIT_SUCCESS) {
        log_info (self->options.log, "metadata copied: %s", said);
        prune (self);
    } else {
        log_error (self->options.log, "the metadata were not copied: %s",
                   said[0]                ? said
                   : WIFSIGNALED (status) ? "it was killed"
                                          : "no reason was given");
        try_later (self);
    }
    plan (self);
}

void
backups_tick (struct backups *self)
{
    const struct clock *clock = self->options.clock;
    litedfs_error_t error;
    int status;

    if (self->child > 0) {
        pid_t ended = waitpid (self->child, &status, WNOHANG);
        if (ended == self->child)
            take_outcome (self, status);
        return;
    }
    if (clock_mono (clock) < self->not_before_ms || clock_wall (clock) < self->due_wall_ms)
        return;
    if (begin (self, &error) < 0) {
        log_error (self->options.log, "the metadata were not copied: %s", error.text);
        try_later (self);
    }
}

/* ---- beginning and end --------------------------------------------------------------------------- */

int
backups_new (struct backups **out, const struct backups_options *options,
             litedfs_error_t *error)
{
    struct backups *self = calloc (1, sizeof *self);

    if (!self)
        return err_set (error, LITEDFS_MEMORY, "backups: out of memory");
    const char **texts[] = {&self->options.program, &self->options.config_path,
                            &self->options.made, &self->options.directory};
    self->options = *options;
    self->said = -1;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        buf_printf (&self->texts[i], "%s", *texts[i]);
        *texts[i] = buf_text (&self->texts[i]);
        if (self->texts[i].failed) {
            backups_destroy (&self);
            return err_set (error, LITEDFS_MEMORY, "backups: out of memory");
        }
    }
    plan (self);
    self->not_before_ms = clock_mono (options->clock) +
                          (options->interval_ms < START_MS ? options->interval_ms : START_MS);
    *out = self;
    return 0;
}

/* A copy under way is told to give up, and killed if it does not. */
static void
end_child (struct backups *self)
{
    int status;

    kill (self->child, SIGTERM);
    for (int ms = 0; ms < GIVE_UP_MS; ms += GIVE_UP_STEP_MS) {
        if (waitpid (self->child, &status, WNOHANG) != 0)
            return;
        poll (NULL, 0, GIVE_UP_STEP_MS);
    }
    kill (self->child, SIGKILL);
    waitpid (self->child, &status, 0);
}

void
backups_destroy (struct backups **self)
{
    if (!*self)
        return;
    if ((*self)->child > 0)
        end_child (*self);
    if ((*self)->said >= 0)
        close ((*self)->said);
    for (size_t i = 0; i < sizeof (*self)->texts / sizeof *(*self)->texts; i++)
        buf_free (&(*self)->texts[i]);
    free (*self);
    *self = NULL;
}
