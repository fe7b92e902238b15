/* SPDX-License-Identifier: MIT */
/*
 * The tasks of litename.  They look at the data beside a name node that serves them: as another process,
 * in a snapshot, without its lock.
 */
#include "namenode/tasks.h"

#include "base/err.h"
#include "base/file.h"
#include "namenode/check.h"
#include "namenode/config.h"
#include "namenode/storedir.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Findings that --check prints. */
#define LINES_MAX 100

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

const struct daemon_task namenode_tasks[] = {
    {TASK_OPT_CHECK, ROW (DAEMON_OPT_CONFIG) | ROW (TASK_OPT_DATA_PATH), run_check},
    {0, 0, NULL},
};
