/* SPDX-License-Identifier: MIT */
/*
 * Handlers of operators: what is wanted of a data node.
 *
 * A node is removed only when it drains, so that nothing new comes to it while it is looked at.
 */
#include "base/err.h"
#include "namenode/ops.h"
#include "namenode/quarantine.h"
#include "namenode/records.h"

#include <inttypes.h>
#include <stdio.h>

/* The row of a node that is not removed. */
static int
find_node (struct op *op, uint64_t number, struct node_row *out)
{
    int rc = node_row_get (op->txn, (uint32_t) number, out, op->error);

    if (rc == LITEDFS_NOT_FOUND || (rc == 0 && out->duty.duty == DUTY_REMOVED))
        return err_set (op->error, LITEDFS_NOT_FOUND,
                        "node[%" PRIu64 "]: there is no such data node%s; see node list",
                        number, rc == 0 ? " any more" : "");
    return rc;
}

static int
put_node (struct op *op, const struct node_row *row)
{
    op->effects->node_changed = row->number;
    return node_row_put (op->txn, row, op->error);
}

int
op_node_drain (struct op *op)
{
    const struct node_drain_request *request = op->request;
    enum duty duty = request->drain ? DUTY_DRAIN : DUTY_SERVE;
    struct node_row row;
    int rc = find_node (op, request->node, &row);

    if (rc < 0 || row.duty.duty == duty)
        return rc;
    row.duty.duty = duty;
    row.duty.survey = (struct duty_survey){.time = 0};
    snprintf (op->effects->note, sizeof op->effects->note, "node %" PRIu32 " %s", row.number,
              duty == DUTY_DRAIN ? "drains: its blocks are copied to others"
                                 : "does not drain any more");
    return put_node (op, &row);
}

int
op_node_maintenance (struct op *op)
{
    const struct node_maintenance_request *request = op->request;
    struct node_maintenance_reply *reply = op->reply;
    struct node_row row;
    int rc = find_node (op, request->node, &row);

    if (rc < 0)
        return rc;
    row.duty.excused = request->duration == 0
                           ? 0
                           : (uint64_t) txn_frame (op->txn)->wall_ms + request->duration;
    reply->until = row.duty.excused;
    if (request->duration > 0)
        snprintf (op->effects->note, sizeof op->effects->note,
                  "node %" PRIu32 " is in maintenance for %" PRIu64 " s", row.number,
                  request->duration / 1000);
    else
        snprintf (op->effects->note, sizeof op->effects->note,
                  "node %" PRIu32 ": maintenance is over", row.number);
    return put_node (op, &row);
}

/* Blocks that nobody owns may be all that is left of files whose metadata were lost. */
static int
check_quarantine (struct op *op, uint32_t node)
{
    struct quarantine_totals totals;
    int rc = quarantine_totals (op->txn, node, &totals, op->error);

    if (rc < 0 || totals.blocks == 0)
        return rc;
    return err_set (op->error, LITEDFS_REFUSED,
                    "node[%" PRIu32 "]: it has %" PRIu64 " blocks (%" PRIu64
                    " bytes) in quarantine, which these metadata do not know; wait until their "
                    "time is over (quarantine_grace), or leave them with --force",
                    node, totals.blocks, totals.bytes);
}

int
op_node_remove (struct op *op)
{
    const struct node_remove_request *request = op->request;
    struct node_row row;
    char uuid[UUID_TEXT_SIZE];
    int rc = find_node (op, request->node, &row);

    if (rc == 0 && !request->force)
        rc = check_quarantine (op, row.number);
    if (rc == 0 && !request->force)
        rc = duty_check_removal (&row.duty, row.number, op->nodes->steady, op->error);
    if (rc < 0)
        return rc;
    snprintf (op->effects->note, sizeof op->effects->note,
              "node %" PRIu32 " (%s) is removed%s; its identity is refused from now on",
              row.number, uuid_print (&row.uuid, uuid),
              request->force ? " by force, whatever it had" : "");
    row.duty = (struct node_duty){.duty = DUTY_REMOVED};
    return put_node (op, &row);
}
