/* SPDX-License-Identifier: MIT */
/*
 * litedfs ADDRESS file update -r REMOTE -R REPLICA [--recursive] [--wait]
 *
 * A tree is walked directory by directory.  A file that cannot be changed is counted, and the walk goes on;
 * only what would go wrong with every file ends it.  Waiting is a second walk, which stays at each file until
 * that is as wanted.
 */
#include "cli/update.h"

#include "base/err.h"
#include "base/text.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/wait.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* Errors that are told one by one; the others are counted. */
enum { TOLD_MAX = 20 };

struct update {
    struct cmd_call *call;
    uint32_t replica;
    struct progress progress;
    struct wait wait;
    uint64_t total; // files, as the tree's totals say
    uint64_t done;
    uint64_t failed;
    litedfs_error_t first; // of those
    struct buf told;       // lines for standard error
};

// What is done with each file of a tree.
typedef int (file_fn) (struct update *self, const char *path, const litedfs_entry_t *entry,
                       litedfs_error_t *error);

/* ---- one file -------------------------------------------------------------------------------------- */

static int
set_one (struct update *self, const char *path, const litedfs_entry_t *entry,
         litedfs_error_t *error)
{
    if (entry && entry->replica == self->replica)
        return 0;
    return litedfs_set_replica (self->call->session, path, self->replica,
                                entry ? entry->id : NULL, error);
}

// Wait until each block has as many copies as are wanted.  A file that is gone is waited for no longer.
static int
wait_for_one (struct update *self, const char *path, const litedfs_entry_t *entry,
              litedfs_error_t *error)
{
    wait_again (&self->wait);
    for (;;) {
        litedfs_why_t why;
        int rc = litedfs_why (self->call->session, path, &why, error);
        if (rc < 0)
            return rc == LITEDFS_NOT_FOUND && entry ? 0 : rc;
        uint64_t strays = why.block_count, count = why.count;
        litedfs_why_free (&why);
        if (strays == 0)
            return 0;
        if (entry)
            progress_update (&self->progress, self->done, self->total);
        else
            progress_update (&self->progress, count - strays, count);
        if (!wait_pause (&self->wait))
            return err_set (error, LITEDFS_TIMEOUT,
                            "%" PRIu64 " of its %" PRIu64
                            " blocks have not the wanted copies yet; see file why",
                            strays, count);
    }
}

/* ---- a tree ---------------------------------------------------------------------------------------- */

// Whether the same would happen to every other file.
static bool
is_fatal (int number)
{
    return number == LITEDFS_CANCELLED || number == LITEDFS_UNREACHABLE ||
           number == LITEDFS_TIMEOUT || number == LITEDFS_REFUSED || number == LITEDFS_MEMORY;
}

// Count an error; 0 if the walk goes on.
static int
note_failure (struct update *self, const char *path, litedfs_error_t *error)
{
    char shown[256];

    if (is_fatal (error->number))
        return err_prefix (error, "file[%s]",
                           text_escape (path, strlen (path), shown, sizeof shown));
    if (self->failed++ == 0)
        self->first = *error;
    if (self->failed <= TOLD_MAX) {
        buf_printf (&self->told, "litedfs: file update[");
        text_put_escaped (&self->told, path, strlen (path));
        buf_printf (&self->told, "]: ");
        text_put_escaped (&self->told, error->text, strlen (error->text));
        buf_put (&self->told, "\n", 1);
    }
    return 0;
}

static int
walk (struct update *self, struct buf *path, file_fn *run, litedfs_error_t *error)
{
    litedfs_list_t list;
    size_t size = path->size;
    int rc = litedfs_list (self->call->session, buf_text (path), NULL, &list, error);

    if (rc < 0)
        return note_failure (self, buf_text (path), error);
    for (size_t i = 0; i < list.count && rc == 0; i++) {
        const litedfs_entry_t *entry = &list.entries[i];
        buf_printf (path, "%s%s", size == 1 ? "" : "/", entry->name);
        if (path->failed)
            rc = err_set (error, LITEDFS_MEMORY, "out of memory");
        else if (entry->kind == LITEDFS_DIRECTORY)
            rc = walk (self, path, run, error);
        else {
            rc = run (self, buf_text (path), entry, error);
            if (rc < 0)
                rc = note_failure (self, buf_text (path), error);
            progress_update (&self->progress, ++self->done, self->total);
        }
        path->size = size;
    }
    litedfs_list_free (&list);
    return rc;
}

static int
walk_all (struct update *self, file_fn *run, litedfs_error_t *error)
{
    const char *root = self->call->text[CMD_REMOTE_PATH];
    struct buf path = {0};

    self->done = 0;
    buf_printf (&path, "%s", root);
    while (path.size > 1 && path.data[path.size - 1] == '/')
        path.size--;
    int rc = walk (self, &path, run, error);
    buf_free (&path);
    return rc;
}

// What has become of the tree.
static int
sum_up (struct update *self, litedfs_error_t *error)
{
    if (self->told.size > 0)
        fprintf (stderr, "%s", buf_text (&self->told));
    if (self->failed == 0)
        return 0;
    return err_set (error, self->first.number,
                    "%" PRIu64 " of about %" PRIu64 " files could not be changed", self->failed,
                    self->total);
}

static int
update_tree (struct update *self, litedfs_error_t *error)
{
    litedfs_entry_t root;
    int rc =
        litedfs_stat (self->call->session, self->call->text[CMD_REMOTE_PATH], &root, error);

    if (rc < 0)
        return rc;
    bool directory = root.kind == LITEDFS_DIRECTORY;
    self->total = root.files;
    litedfs_entry_free (&root);
    if (!directory)
        return err_set (error, LITEDFS_NOT_DIRECTORY, "it is a file; leave --recursive out");
    self->progress.unit = "files";
    rc = walk_all (self, set_one, error);
    uint64_t done = self->done;
    if (rc == 0 && self->call->text[CMD_WAIT])
        rc = walk_all (self, wait_for_one, error);
    self->done = done;
    progress_end (&self->progress);
    int summed = sum_up (self, rc < 0 ? NULL : error);
    return rc < 0 ? rc : summed;
}

/* ---- the command ------------------------------------------------------------------------------------- */

static int
update_file (struct update *self, litedfs_error_t *error)
{
    const char *path = self->call->text[CMD_REMOTE_PATH];
    int rc = set_one (self, path, NULL, error);

    self->progress.unit = "blocks";
    if (rc == 0 && self->call->text[CMD_WAIT])
        rc = wait_for_one (self, path, NULL, error);
    progress_end (&self->progress);
    return rc;
}

static void
say_done (const struct update *self, bool tree)
{
    char done[64] = "update file";

    if (tree)
        snprintf (done, sizeof done, "update %" PRIu64 " file%s", self->done,
                  self->done == 1 ? "" : "s");
    print_success (stdout, done, self->call->text[CMD_REMOTE_PATH], NULL);
}

int
update_run (struct cmd_call *call, litedfs_error_t *error)
{
    bool tree = call->text[CMD_RECURSIVE] != NULL;
    struct update self = {.call = call, .replica = (uint32_t) call->number[CMD_REPLICA]};
    int rc = cmd_open (call, error);

    if (rc < 0)
        return rc;
    wait_start (&self.wait, clock_system (), call->number[CMD_TIMEOUT]);
    progress_start (&self.progress, STDERR_FILENO, progress_columns (STDERR_FILENO),
                    clock_system ());
    rc = tree ? update_tree (&self, error) : update_file (&self, error);
    if (rc == 0)
        say_done (&self, tree);
    buf_free (&self.told);
    return rc;
}
