/* SPDX-License-Identifier: MIT */
/*
 * The tasks of litename.  They look at the data beside a name node that serves them: as another process,
 * in a snapshot, without its lock.
 */
#include "namenode/tasks.h"

#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "namenode/backup.h"
#include "namenode/check.h"
#include "namenode/config.h"
#include "namenode/namespace.h"
#include "namenode/rebuild.h"
#include "namenode/restored.h"
#include "namenode/storedir.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Findings that --check prints. */
#define LINES_MAX 100

/* Bytes a second of a copy, where no configuration says it. */
#define RATE_DEFAULT ((uint64_t) 32 << 20)

#define ROW(option) (1ul << (option))

/* Open the data that -c or --data-path names, to look at them.  *path (the caller frees it) is theirs. */
static int
open_data (const struct daemon *self, const char *const *values, struct storedir **out,
           char **path, litedfs_error_t *error)
{
    const struct namenode_config *config = self->config;
    const char *given = values[TASK_OPT_DATA_PATH];

    if (!config == !given)
        return err_set (error, LITEDFS_USAGE,
                        "say either -c FILE or --data-path DIR; litename -h tells more");
    int rc = file_absolute (NULL, given ? given : config->data_path, path, error);
    if (rc < 0)
        return rc;
    const struct storedir_options options = {
        .path = *path,
        .map_size = config ? (uint64_t) config->map_size : 0,
        .read_only = true,
    };
    return storedir_open (out, &options, 0, error);
}

/* ---- --check ------------------------------------------------------------------------------------- */

static void
print_line (void *arg, const char *line)
{
    (void) arg;
    printf ("%s\n", line);
}

static int
run_check (struct daemon *self, const char *const *values, int *status, litedfs_error_t *error)
{
    struct check_report report = {.say = print_line, .say_max = LINES_MAX};
    struct storedir *data = NULL;
    char *path = NULL;

    int rc = open_data (self, values, &data, &path, error);
    if (rc == 0)
        rc = check_store (storedir_store (data), &report, error);
    if (report.findings > LINES_MAX)
        printf ("... and %" PRIu64 " more\n", report.findings - LINES_MAX);
    if (rc == 0) {
        printf ("%s: %" PRIu64 " files, %" PRIu64 " directories, %" PRIu64 " blocks, %" PRIu64
                " rows: %" PRIu64 " %s\n",
                path, report.files, report.directories, report.blocks, report.rows,
                report.findings, report.findings == 1 ? "finding" : "findings");
        *status = report.findings == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    storedir_close (&data);
    free (path);
    return rc;
}

/* ---- --backup ------------------------------------------------------------------------------------ */

/* A signal ends the wait, and the copy. */
static bool
wait_for_signal (void *arg, int ms)
{
    int number = process_wait_signal (ms);
    (void) arg;

    return number == SIGINT || number == SIGTERM || number == SIGHUP;
}

static int
make_backup (const struct daemon *self, struct storedir *data, const char *target,
             litedfs_error_t *error)
{
    const struct namenode_config *config = self->config;
    const struct backup_options options = {
        .path = target,
        .rate = config ? (uint64_t) config->backup_bandwidth : RATE_DEFAULT,
        .reserve =
            config ? (uint64_t) (config->storage_preserve_space + config->ballast_size) : 0,
        .pause = wait_for_signal,
    };
    struct backup_result result;

    int rc = backup_make (&options, data, self->clock, &result, error);
    if (rc == 0)
        printf ("%s: a copy of %s, %" PRIu64 " bytes in %.1f s\n", target, storedir_path (data),
                result.bytes, (double) result.elapsed_ms / 1000);
    return rc;
}

static int
run_backup (struct daemon *self, const char *const *values, int *status, litedfs_error_t *error)
{
    struct storedir *data = NULL;
    char *path = NULL, *target = NULL;
    (void) status;

    int rc = process_init (1, error); // signals are looked at between two pieces
    if (rc == 0)
        rc = file_absolute (NULL, values[TASK_OPT_BACKUP], &target, error);
    if (rc == 0)
        rc = open_data (self, values, &data, &path, error);
    if (rc == 0)
        rc = make_backup (self, data, target, error);
    storedir_close (&data);
    process_end ();
    free (target);
    free (path);
    return rc;
}

/* ---- --accept-restore ---------------------------------------------------------------------------- */

static int
accept (struct storedir *data, const struct clock *clock, bool *was, litedfs_error_t *error)
{
    const struct txn_frame frame = {.wall_ms = clock_wall (clock)};
    struct txn *txn;
    uint64_t since = 0;

    int rc = txn_begin_write (storedir_store (data), &frame, &txn, error);
    if (rc < 0)
        return rc;
    rc = restored_since (txn, &since, error);
    *was = since > 0;
    if (rc == 0 && *was)
        rc = restored_accept (txn, error);
    if (rc == 0)
        return txn_commit (&txn, error);
    txn_abort (&txn);
    return rc;
}

static int
run_accept (struct daemon *self, const char *const *values, int *status, litedfs_error_t *error)
{
    const struct namenode_config *config = self->config;
    struct storedir *data = NULL;
    bool was = false;
    (void) values;
    (void) status;

    if (!config)
        return err_set (error, LITEDFS_USAGE, "--accept-restore needs -c FILE");
    const struct storedir_options options = {
        .path = config->data_path,
        .map_size = (uint64_t) config->map_size,
        .ballast_size = (uint64_t) config->ballast_size,
        .reserve = (uint64_t) config->storage_preserve_space,
        .sync = config->sync,
    };
    int rc = storedir_open (&data, &options, clock_wall (self->clock), error);
    if (rc == 0)
        rc = accept (data, self->clock, &was, error);
    if (rc == 0)
        printf (
            was ? "%s: what is deleted is deleted on data nodes again, from the next start on\n"
                : "%s: it was not put back from a copy; nothing was changed\n",
            config->data_path);
    storedir_close (&data);
    return rc;
}

/* ---- --rebuild ----------------------------------------------------------------------------------- */

/* Make a store in a directory that is locked, and fill it. */
static int
fill_store (const struct namenode_config *config, const struct clock *clock, const char *path,
            struct rebuild_result *result, litedfs_error_t *error)
{
    const struct rebuild_options options = {.lists = stdin,
                                            .wall_ms = clock_wall (clock),
                                            .block_size = (uint64_t) config->block_size,
                                            .say = print_line};
    const struct txn_frame frame = {.wall_ms = options.wall_ms};
    struct metastore *store = NULL;
    struct txn *txn = NULL;
    struct buf meta = {0};

    buf_printf (&meta, "%s/meta", path);
    const struct metastore_options store_options = {
        .directory = buf_text (&meta), .map_size = (uint64_t) config->map_size, .sync = true};
    int rc = metastore_open (&store, &store_options, error);
    if (rc == 0)
        rc = txn_begin_write (store, &frame, &txn, error);
    if (rc == 0)
        rc = namespace_format (txn, error);
    if (rc == 0)
        rc = txn_commit (&txn, error);
    txn_abort (&txn);
    if (rc == 0)
        rc = rebuild_store (store, &options, result, error);
    metastore_close (&store);
    buf_free (&meta);
    return rc;
}

/* Make a whole data_path of it, and give it its name. */
static int
finish_data (const char *partial, const char *path, int64_t wall_ms, litedfs_error_t *error)
{
    const struct storedir_options options = {.path = partial, .sync = true};
    struct storedir *data = NULL;
    struct buf above = {0};

    int rc = storedir_open (&data, &options, wall_ms, error); // writes VERSION
    storedir_close (&data);
    if (rc == 0 && rename (partial, path) < 0)
        rc = err_set_errno (error, LITEDFS_IO, errno, "data_path[%s]", path);
    buf_printf (&above, "%s/..", path);
    if (rc == 0)
        rc = file_sync_directory (buf_text (&above), error);
    buf_free (&above);
    return rc;
}

static int
rebuild_data (const struct daemon *self, const char *partial, struct rebuild_result *result,
              litedfs_error_t *error)
{
    const struct namenode_config *config = self->config;
    struct buf path = {0};
    int lock = -1;

    if (rmdir (config->data_path) < 0 && errno != ENOENT)
        return err_set_errno (error, LITEDFS_EXISTS, errno,
                              "data_path[%s]: it is there already; move it away first",
                              config->data_path);
    int rc = backup_remove (partial, error);
    if (rc == 0)
        rc = file_make_directories (partial, 0755, error);
    buf_printf (&path, "%s/lock", partial);
    if (rc == 0)
        rc = file_lock (buf_text (&path), &lock, error);
    if (rc == 0)
        rc = fill_store (config, self->clock, partial, result, error);
    if (lock >= 0)
        close (lock);
    if (rc == 0)
        rc = finish_data (partial, config->data_path, clock_wall (self->clock), error);
    if (rc < 0 && lock >= 0)
        backup_remove (partial, NULL); // what went wrong is said already
    buf_free (&path);
    return rc;
}

static int
run_rebuild (struct daemon *self, const char *const *values, int *status,
             litedfs_error_t *error)
{
    const struct namenode_config *config = self->config;
    struct rebuild_result result;
    struct buf partial = {0};
    char cluster[UUID_TEXT_SIZE];
    (void) values;
    (void) status;

    if (!config)
        return err_set (error, LITEDFS_USAGE, "--rebuild needs -c FILE");
    buf_printf (&partial, "%s.partial", config->data_path);
    int rc = rebuild_data (self, buf_text (&partial), &result, error);
    if (rc == 0)
        printf ("%s: cluster %s, %" PRIu64 " data nodes, %" PRIu64 " blocks: %" PRIu64
                " files are there again, %" PRIu64 " under another name, %" PRIu64
                " are incomplete and are not\n",
                config->data_path, uuid_print (&result.cluster, cluster), result.nodes,
                result.blocks, result.files, result.renamed, result.incomplete);
    buf_free (&partial);
    return rc;
}

const struct daemon_task namenode_tasks[] = {
    {TASK_OPT_CHECK, ROW (DAEMON_OPT_CONFIG) | ROW (TASK_OPT_DATA_PATH), run_check},
    {TASK_OPT_BACKUP, ROW (DAEMON_OPT_CONFIG) | ROW (TASK_OPT_DATA_PATH), run_backup},
    {TASK_OPT_ACCEPT, ROW (DAEMON_OPT_CONFIG), run_accept},
    {TASK_OPT_REBUILD, ROW (DAEMON_OPT_CONFIG), run_rebuild},
    {0, 0, NULL},
};
