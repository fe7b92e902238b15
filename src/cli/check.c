/* SPDX-License-Identifier: MIT */
/*
 * litedfs ADDRESS cluster check [--files] [--scrub] [--wait]
 *
 * What was found is printed although the command fails when it is not good: that is what one asks for.
 */
#include "cli/check.h"

#include "base/err.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/wait.h"

#include <inttypes.h>
#include <unistd.h>

/* ---- JSON ----------------------------------------------------------------------------------------- */

// A time, or null if it is not known.
static json_t *
since_json (uint64_t since_ms)
{
    return since_ms ? print_json_time (since_ms) : json_null ();
}

static json_t *
states_json (const litedfs_check_t *check)
{
    json_t *states = json_object ();

    for (size_t i = 0; i < LITEDFS_STATES; i++) {
        const litedfs_tally_t *tally = &check->tallies[i];
        json_t *one =
            json_pack ("{so so so so}", "files", print_json_number (tally->files), "blocks",
                       print_json_number (tally->blocks), "bytes",
                       print_json_number (tally->bytes), "since", since_json (tally->since_ms));
        if (json_object_set_new (states, tally->state, one) < 0) {
            json_decref (states);
            return NULL;
        }
    }
    return states;
}

static json_t *
concerns_json (const litedfs_check_t *check)
{
    json_t *list = json_array ();

    for (size_t i = 0; i < check->concern_count; i++) {
        const litedfs_concern_t *file = &check->concerns[i];
        json_t *one = json_pack (
            "{so ss ss so so so so so}", "path", print_json_text (file->path), "id", file->id,
            "state", file->state, "replica", print_json_number (file->replica),
            "current_replica", print_json_number (file->copies), "blocks",
            print_json_number (file->blocks), "bytes", print_json_number (file->bytes), "since",
            since_json (file->since_ms));
        if (json_array_append_new (list, one) < 0) {
            json_decref (list);
            return NULL;
        }
    }
    return list;
}

static json_t *
check_json (const litedfs_check_t *check, bool files)
{
    json_t *document = json_pack ("{sb sb so}", "healthy", check->healthy, "settling",
                                  check->settling, "states", states_json (check));

    if (files && document &&
        json_object_set_new (document, "files", concerns_json (check)) < 0) {
        json_decref (document);
        return NULL;
    }
    return document;
}

/* ---- for people ------------------------------------------------------------------------------------ */

static void
put_since (struct buf *out, uint64_t since_ms)
{
    char time[PRINT_TIME_SIZE];

    buf_printf (out, "%s", since_ms ? print_time (since_ms, time) : "-");
}

static void
tally_cell (const void *arg, size_t row, size_t column, struct buf *out)
{
    const litedfs_check_t *check = arg;
    const litedfs_tally_t *tally = &check->tallies[row];
    const uint64_t numbers[] = {tally->files, tally->blocks, tally->bytes};

    if (column == 0)
        buf_printf (out, "%s", tally->state);
    else if (column < 4)
        buf_printf (out, "%" PRIu64, numbers[column - 1]);
    else
        put_since (out, tally->since_ms);
}

static void
concern_cell (const void *arg, size_t row, size_t column, struct buf *out)
{
    const litedfs_check_t *check = arg;
    const litedfs_concern_t *file = &check->concerns[row];
    const uint64_t numbers[] = {file->replica, file->copies, file->blocks, file->bytes};

    if (column == 0)
        buf_printf (out, "%s", file->state);
    else if (column < 5)
        buf_printf (out, "%" PRIu64, numbers[column - 1]);
    else if (column == 5)
        put_since (out, file->since_ms);
    else
        buf_printf (out, "%s", file->path);
}

static int
print_check (const litedfs_check_t *check, bool files, uint64_t width, litedfs_error_t *error)
{
    static const char *const states[] = {"state", "files", "blocks", "bytes", "since", NULL};
    static const char *const concerns[] = {"state", "replica", "current", "blocks",
                                           "bytes", "since",   "path",    NULL};
    const struct print_table tallies = {
        .names = states, .first = 1, .rows = LITEDFS_STATES, .cell = tally_cell, .arg = check};
    const struct print_table list = {.names = concerns,
                                     .first = 1,
                                     .rows = check->concern_count,
                                     .cell = concern_cell,
                                     .arg = check};

    int rc = print_table (&tallies, width, stdout, error);
    return rc == 0 && files ? print_table (&list, width, stdout, error) : rc;
}

/* ---- scrub ---------------------------------------------------------------------------------------------- */

// Bytes that all data nodes hold, as they said last.
static int
bytes_held (struct cmd_call *call, uint64_t *out, litedfs_error_t *error)
{
    litedfs_cluster_t cluster;
    int rc = litedfs_cluster (call->session, &cluster, error);

    *out = 0;
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < cluster.node_count; i++)
        *out += cluster.nodes[i].online ? cluster.nodes[i].storage_used : 0;
    litedfs_cluster_free (&cluster);
    return 0;
}

// Begin, and with --wait stay until every node is through, with a bar.
static int
scrub (struct cmd_call *call, struct wait *wait, litedfs_error_t *error)
{
    struct progress progress;
    litedfs_scrub_t found;
    uint64_t all;

    int rc = bytes_held (call, &all, error);
    if (rc == 0)
        rc = litedfs_scrub (call->session, true, &found, error);
    if (rc < 0 || !call->text[CMD_WAIT])
        return rc;
    progress_start (&progress, STDERR_FILENO, progress_columns (STDERR_FILENO),
                    clock_system ());
    while (found.running > 0 && wait_pause (wait)) {
        rc = litedfs_scrub (call->session, false, &found, error);
        if (rc < 0)
            break;
        progress_update (&progress, found.bytes, found.bytes > all ? found.bytes : all);
    }
    progress_end (&progress);
    if (rc == 0 && found.damaged > 0) {
        fprintf (stderr,
                 "litedfs: warning: %" PRIu64 " blocks were damaged, and are replaced\n",
                 found.damaged);
        wait_pause (wait); // until the name node knows of all of them
    }
    if (rc == 0 && found.running > 0)
        rc = err_set (error, LITEDFS_TIMEOUT,
                      "%" PRIu64 " of %" PRIu64 " data nodes are not through; they go on",
                      found.running, found.nodes);
    return rc;
}

/* ---- the command ------------------------------------------------------------------------------------- */

// Look until all is well, or the time is over; with a bar of the blocks that are.
static int
wait_for_health (struct cmd_call *call, struct wait *wait, litedfs_check_t *check,
                 litedfs_error_t *error)
{
    struct progress progress;
    int rc;

    wait_again (wait);
    progress_start (&progress, STDERR_FILENO, progress_columns (STDERR_FILENO),
                    clock_system ());
    progress.unit = "blocks";
    for (;;) {
        uint64_t healthy = 0, all = 0;
        rc = litedfs_check (call->session, false, check, error);
        if (rc < 0)
            break;
        for (size_t i = 0; i < LITEDFS_STATES; i++)
            all += check->tallies[i].blocks;
        healthy = check->tallies[0].blocks + check->tallies[1].blocks;
        progress_update (&progress, healthy, all);
        if (check->healthy || !wait_pause (wait))
            break;
        litedfs_check_free (check);
    }
    progress_end (&progress);
    return rc;
}

// What is not well, as an error.
static int
judge (const litedfs_check_t *check, litedfs_error_t *error)
{
    struct buf what = {0};

    if (check->healthy)
        return 0;
    for (size_t i = 2; i < LITEDFS_STATES; i++)
        if (check->tallies[i].blocks > 0)
            buf_printf (&what, "%s%" PRIu64 " %s", what.size ? ", " : "",
                        check->tallies[i].blocks, check->tallies[i].state);
    if (what.size)
        err_set (error, LITEDFS_UNHEALTHY, "not all blocks are healthy: %s", buf_text (&what));
    else
        err_set (error, LITEDFS_UNHEALTHY,
                 "the name node has just started and waits for data nodes; see cluster info");
    buf_free (&what);
    return LITEDFS_UNHEALTHY;
}

int
check_run (struct cmd_call *call, litedfs_error_t *error)
{
    bool files = call->text[CMD_FILES] != NULL;
    litedfs_check_t check = {0};
    struct wait wait;
    int rc = cmd_open (call, error);

    wait_start (&wait, clock_system (), call->number[CMD_TIMEOUT]);
    if (rc == 0 && call->text[CMD_SCRUB])
        rc = scrub (call, &wait, error);
    if (rc == 0 && call->text[CMD_WAIT]) {
        rc = wait_for_health (call, &wait, &check, error);
        if (rc == 0 && files)
            litedfs_check_free (&check);
    }
    if (rc == 0 && (files || !call->text[CMD_WAIT]))
        rc = litedfs_check (call->session, files, &check, error);
    if (rc == 0)
        rc = call->text[CMD_JSON]
                 ? print_json (check_json (&check, files), stdout, error)
                 : print_check (&check, files, (uint64_t) call->number[CMD_WIDTH], error);
    if (rc == 0)
        rc = judge (&check, error);
    litedfs_check_free (&check);
    return rc;
}
