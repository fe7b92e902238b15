/* SPDX-License-Identifier: MIT */
/*
 * litedfs ADDRESS node drain, undrain, remove, maintenance: what is wanted of a data node.
 *
 * The name node only says yes or no; whoever waits asks it again and again.
 */
#include "cli/cmd_duty.h"

#include "base/err.h"
#include "base/text.h"
#include "cli/print.h"
#include "cli/progress.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Milliseconds: between two questions; how long `node remove` waits for the name node to have looked at
// all blocks of the node; how long `node drain` waits for other nodes to come, one that is restarted for one.
enum { ASK_MS = 300, SURVEY_MS = 60000, STUCK_MS = 5000 };

static void
sleep_ms (long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep (&time, NULL);
}

// The number of the node that the line names.
static int
node_of (const struct cmd_call *call, uint32_t *out, litedfs_error_t *error)
{
    int64_t number;
    char shown[64];

    if (!text_parse_int (call->operand, 1, UINT32_MAX, &number))
        return err_set (
            error, LITEDFS_USAGE, "ID[%s]: it is the number of a data node; node list has them",
            text_escape (call->operand, strlen (call->operand), shown, sizeof shown));
    *out = (uint32_t) number;
    return 0;
}

// Parse the operand, open the session.
static int
begin (struct cmd_call *call, uint32_t *node, litedfs_error_t *error)
{
    int rc = node_of (call, node, error);
    return rc == 0 ? cmd_open (call, error) : rc;
}

// How the node is now.  LITEDFS_NOT_FOUND.
static int
look (struct cmd_call *call, uint32_t number, litedfs_node_t *out, litedfs_error_t *error)
{
    litedfs_cluster_t cluster;
    int rc = litedfs_cluster (call->session, &cluster, error);

    if (rc < 0)
        return rc;
    rc = LITEDFS_NOT_FOUND;
    for (size_t i = 0; i < cluster.node_count; i++)
        if (cluster.nodes[i].id == number) {
            *out = cluster.nodes[i];
            out->host = out->version = out->zone = NULL; // they end with the cluster
            rc = 0;
        }
    litedfs_cluster_free (&cluster);
    return rc == 0 ? 0
                   : err_set (error, rc, "node[%" PRIu32 "]: there is no such node", number);
}

/* ---- drain -------------------------------------------------------------------------------------------- */

// Whether nothing that is left on it can go anywhere.
static bool
is_stuck (const litedfs_node_t *node)
{
    return node->surveyed && node->blocks_left > 0 && node->blocks_left == node->blocks_stuck;
}

// Wait until the node may go, with a bar that shows the bytes that have left.
static int
wait_drained (struct cmd_call *call, uint32_t number, litedfs_error_t *error)
{
    struct progress progress;
    litedfs_node_t node;
    uint64_t most = 0;
    int stuck_ms = 0, rc;

    progress_start (&progress, STDERR_FILENO, progress_columns (STDERR_FILENO),
                    clock_system ());
    while ((rc = look (call, number, &node, error)) == 0 && !node.drained) {
        if (node.duty != LITEDFS_DRAIN) {
            rc = err_set (error, LITEDFS_CANCELLED, "somebody has told it to serve again");
            break;
        }
        stuck_ms = is_stuck (&node) ? stuck_ms + ASK_MS : 0;
        if (stuck_ms >= STUCK_MS) {
            rc = err_set (
                error, LITEDFS_NO_NODE,
                "%" PRIu64 " blocks can go nowhere: more copies of them are wanted than other "
                "nodes serve; start another node, ask for fewer copies, or remove this one as "
                "it is (node remove %" PRIu32 "); it goes on draining",
                node.blocks_left, number);
            break;
        }
        most = node.bytes_left > most ? node.bytes_left : most;
        if (most > 0)
            progress_update (&progress, most - node.bytes_left, most);
        sleep_ms (ASK_MS);
    }
    progress_end (&progress);
    return rc;
}

int
cmd_node_drain (struct cmd_call *call, litedfs_error_t *error)
{
    uint32_t node;
    int rc = begin (call, &node, error);

    if (rc == 0)
        rc = litedfs_node_drain (call->session, node, true, error);
    if (rc == 0 && call->text[CMD_WAIT])
        rc = wait_drained (call, node, error);
    if (rc == 0)
        print_success (stdout, "drain node", call->operand, NULL);
    return rc;
}

int
cmd_node_undrain (struct cmd_call *call, litedfs_error_t *error)
{
    uint32_t node;
    int rc = begin (call, &node, error);

    if (rc == 0)
        rc = litedfs_node_drain (call->session, node, false, error);
    if (rc == 0)
        print_success (stdout, "undrain node", call->operand, NULL);
    return rc;
}

/* ---- remove ------------------------------------------------------------------------------------------- */

// Ask until the name node has looked at all blocks of the node.
static int
remove_patiently (struct cmd_call *call, uint32_t node, litedfs_error_t *error)
{
    int rc = LITEDFS_BUSY;

    for (int asked_ms = 0; asked_ms < SURVEY_MS; asked_ms += ASK_MS) {
        rc = litedfs_node_remove (call->session, node, false, error);
        if (rc != LITEDFS_BUSY)
            break;
        sleep_ms (ASK_MS);
    }
    return rc;
}

// It is not removed: it serves again if it did before.
static int
give_up (struct cmd_call *call, const litedfs_node_t *before, int rc)
{
    litedfs_error_t ignored; // the reason why it was not removed says more
    if (before->duty == LITEDFS_SERVE)
        litedfs_node_drain (call->session, before->id, false, &ignored);
    return rc;
}

int
cmd_node_remove (struct cmd_call *call, litedfs_error_t *error)
{
    litedfs_node_t before;
    uint32_t node;

    int rc = begin (call, &node, error);
    if (rc == 0)
        rc = look (call, node, &before, error);
    if (rc == 0)
        rc = litedfs_node_drain (call->session, node, true, error);
    if (rc < 0)
        return rc;
    rc = remove_patiently (call, node, error);
    if ((rc == LITEDFS_REFUSED || rc == LITEDFS_BUSY) && call->text[CMD_LOSE]) {
        fprintf (stderr, "litedfs: warning: %s%s\n",
                 rc == LITEDFS_BUSY ? "what is lost by it is not known: " : "", error->text);
        rc = litedfs_node_remove (call->session, node, true, error);
    }
    if (rc < 0)
        return give_up (call, &before, rc);
    print_success (stdout, "remove node", call->operand, NULL);
    return 0;
}

/* ---- maintenance -------------------------------------------------------------------------------------- */

// "90s", "30m", "2h", "1d", "0"; a number alone is seconds.
static int
duration_of (const char *text, uint64_t *out_s, litedfs_error_t *error)
{
    static const char units[] = "smhd";
    static const int64_t seconds[] = {1, 60, 3600, 86400};
    const int64_t max = LITEDFS_MAINTENANCE_MAX_S;
    char digits[16], shown[64];
    size_t size = strlen (text);
    int64_t unit = 1, number;
    const char *at = size > 0 ? strchr (units, text[size - 1]) : NULL;

    if (at) {
        unit = seconds[at - units];
        size--;
    }
    snprintf (digits, sizeof digits, "%.*s", (int) size, text);
    if (size >= sizeof digits || !text_parse_int (digits, 0, max / unit, &number))
        return err_set (error, LITEDFS_USAGE,
                        "option --for[%s]: it is a time of up to 30 days, such as 90s, 30m, 2h "
                        "or 1d; 0 ends a maintenance",
                        text_escape (text, strlen (text), shown, sizeof shown));
    *out_s = (uint64_t) (number * unit);
    return 0;
}

int
cmd_node_maintenance (struct cmd_call *call, litedfs_error_t *error)
{
    uint64_t seconds = 0, until_ms = 0;
    char time[PRINT_TIME_SIZE];
    uint32_t node;

    int rc = duration_of (call->text[CMD_FOR], &seconds, error);
    if (rc == 0)
        rc = begin (call, &node, error);
    if (rc == 0)
        rc = litedfs_node_maintenance (call->session, node, seconds, &until_ms, error);
    if (rc < 0)
        return rc;
    if (seconds > 0)
        printf ("maintenance node[%s] until %s\n", call->operand, print_time (until_ms, time));
    else
        printf ("maintenance node[%s] is over\n", call->operand);
    return 0;
}
