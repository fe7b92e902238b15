/* SPDX-License-Identifier: MIT */
/*
 * Handlers of data nodes: who they are, what they hold, what they shall do, and where the others are.
 *
 * A node has its number from its first registration on, whatever happens to its addresses.  What it
 * has seen of us (epoch, transaction) tells whether this store is older than it should be, a copy that
 * was put back: then block ids go on in a new epoch, because those drawn since are in use.
 */
#include "base/err.h"
#include "base/net.h"
#include "namenode/agenda.h"
#include "namenode/garbage.h"
#include "namenode/held.h"
#include "namenode/ops.h"
#include "namenode/quarantine.h"
#include "namenode/restored.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- register ---------------------------------------------------------------------------------------- */

static void
copy_text (char *out, size_t size, struct slice text)
{
    size_t length = text.size < size ? text.size : size - 1;

    if (length > 0)
        memcpy (out, text.data, length);
    out[length] = '\0';
}

/* The address that others shall use: what the node says, else what we see; empty for this machine. */
static int
find_host (struct op *op, struct slice said, char out[NODES_HOST_SIZE])
{
    struct net net;
    litedfs_error_t reason;

    copy_text (out, NODES_HOST_SIZE, said.size > 0 ? said : slice_str (op->sender->peer));
    if (out[0] == '\0' || net_is_loopback (out)) {
        out[0] = '\0';
        return 0;
    }
    if (strlen (out) != strcspn (out, "/") || net_parse (&net, out, &reason) < 0 ||
        net_is_any (out))
        return err_set (
            op->error, LITEDFS_INVALID,
            "host: '%.64s' is not a numeric address that others can connect to; set "
            "advertise_host",
            out);
    return 0;
}

static int
check_cluster (struct op *op, const struct node_register_request *request)
{
    char theirs[UUID_TEXT_SIZE], ours[UUID_TEXT_SIZE];

    if (uuid_is_nil (&request->cluster) ||
        uuid_equal (&request->cluster, &op->settings->cluster))
        return 0;
    return err_set (
        op->error, LITEDFS_WRONG_CLUSTER,
        "this data node belongs to cluster %s, and this is the name node of cluster %s; "
        "correct name_tcp_host and name_tcp_port, or give it an empty data_path",
        uuid_print (&request->cluster, theirs), uuid_print (&op->settings->cluster, ours));
}

/* How far above the numbers that were drawn here one may be that a node says it has: a store that was
 * put back is behind, but nobody shall use all numbers up by having the last one. */
#define NUMBERS_AHEAD_MAX 65536

/* The row of the UUID, or a new one, whose number is the one that the node has if that is free. */
static int
find_or_make_node (struct op *op, const struct node_register_request *request,
                   struct node_row *row, bool *made)
{
    struct node_row other;
    uint64_t number = request->node, last;
    int rc = node_row_find (op->txn, &request->uuid, row, op->error);

    *made = rc == LITEDFS_NOT_FOUND;
    if (rc != LITEDFS_NOT_FOUND)
        return rc;
    rc = meta_get (op->txn, META_NODE, &last, op->error);
    if (rc == 0 && number != 0)
        rc = node_row_get (op->txn, (uint32_t) number, &other, op->error);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    *row = (struct node_row){.uuid = request->uuid,
                             .time = (uint64_t) txn_frame (op->txn)->wall_ms};
    if (rc == LITEDFS_NOT_FOUND && number <= last + NUMBERS_AHEAD_MAX)
        rc = number > last ? meta_put (op->txn, META_NODE, number, op->error) : 0;
    else
        rc = meta_next (op->txn, META_NODE, &number, op->error);
    row->number = (uint32_t) number;
    return rc;
}

/* The epoch is below what the node has seen, or we do not know changes that were confirmed to it: this store
 * is a copy from before. */
static int
raise_epoch (struct op *op, const struct node_register_request *request,
             const struct node_row *row, uint64_t *epoch)
{
    bool older = request->epoch > *epoch ||
                 (request->epoch == *epoch && (request->transaction >= txn_number (op->txn) ||
                                               request->confirmed > row->seq));

    if (!older || uuid_is_nil (&request->cluster))
        return 0;
    uint64_t own = *epoch;
    int rc = restored_enter (op->txn, request->epoch, epoch, op->error);
    if (rc < 0)
        return rc;
    snprintf (op->effects->note, sizeof op->effects->note,
              "a data node has seen a later state (epoch %" PRIu64 ", transaction %" PRIu64
              ") than this one (epoch %" PRIu64 "): metadata were restored from a copy; new "
              "blocks are of epoch %" PRIu64
              " from now on, and nothing is deleted on data nodes "
              "until litename --accept-restore",
              request->epoch, request->transaction, own, *epoch);
    op->effects->epoch = (uint32_t) *epoch;
    return 0;
}

/* Take over what it says of itself; whether that differs from what was there. */
static bool
take_over (const struct node_register_request *request, const char *host, struct node_row *row)
{
    struct node_row before = *row;

    memset (row->host, 0, sizeof row->host);
    memset (row->zone, 0, sizeof row->zone);
    memset (row->version, 0, sizeof row->version);
    copy_text (row->host, sizeof row->host, slice_str (host));
    copy_text (row->zone, sizeof row->zone, request->zone);
    copy_text (row->version, sizeof row->version, request->version);
    row->http_port = (uint16_t) request->http_port;
    row->tcp_port = (uint16_t) request->tcp_port;
    row->chain_port = (uint16_t) request->chain_port;
    return strcmp (before.host, row->host) != 0 || strcmp (before.zone, row->zone) != 0 ||
           strcmp (before.version, row->version) != 0 || before.http_port != row->http_port ||
           before.tcp_port != row->tcp_port || before.chain_port != row->chain_port;
}

int
op_node_register (struct op *op)
{
    const struct node_register_request *request = op->request;
    struct node_register_reply *reply = op->reply;
    struct node_row row;
    char host[NODES_HOST_SIZE];
    uint64_t epoch;
    bool made = false;

    if (uuid_is_nil (&request->uuid))
        return err_set (op->error, LITEDFS_INVALID, "uuid: a data node's identity is not nil");
    int rc = check_cluster (op, request);
    if (rc == 0)
        rc = find_host (op, request->host, host);
    if (rc == 0)
        rc = meta_get (op->txn, META_EPOCH, &epoch, op->error);
    if (rc == 0)
        rc = find_or_make_node (op, request, &row, &made);
    if (rc == 0 && row.duty.duty == DUTY_REMOVED)
        return err_set (op->error, LITEDFS_NODE_REMOVED,
                        "node %u was removed from this cluster; give this machine an empty "
                        "data_path if it shall come back",
                        row.number);
    if (rc == 0)
        rc = raise_epoch (op, request, &row, &epoch);
    if (rc < 0)
        return rc;

    if ((take_over (request, host, &row) || made) &&
        (rc = node_row_put (op->txn, &row, op->error)) < 0)
        return rc;
    if (request->seq < row.seq) // the reply's seq makes it go on above that, and compare
        snprintf (op->effects->note, sizeof op->effects->note,
                  "node %u: its index is older than what it has reported (change %" PRIu64
                  ", known up to %" PRIu64 "): was it restored from a copy?",
                  row.number, request->seq, row.seq);
    reply->cluster = op->settings->cluster;
    reply->node = row.number;
    reply->epoch = epoch;
    reply->transaction = txn_number (op->txn) - 1; // this one may come to nothing
    reply->seq = row.seq;
    reply->table = op->nodes->table;
    return 0;
}

/* ---- reports and orders ------------------------------------------------------------------------------ */

int
ops_note_report (struct op *op, uint32_t node, const struct held_report *report)
{
    struct op_effects *effects = op->effects;
    struct quarantine_totals totals = {.blocks = UINT64_MAX};
    char block[BLOCK_ID_TEXT_SIZE];
    int used = 0, rc = 0;

    if (report->unknown > 0)
        rc = quarantine_totals (op->txn, node, &totals, op->error);
    if (report->lost > 0)
        used = snprintf (effects->note, sizeof effects->note,
                         "node %" PRIu32 " %s %" PRIu64
                         " blocks that no other node has, as %s: their files cannot be read",
                         node, report->damaged > 0 ? "found damage in" : "lost", report->lost,
                         block_id_print (report->block, block));
    else if (totals.blocks <= report->unknown) // said once, not for each page
        used = snprintf (effects->note, sizeof effects->note,
                         "node %" PRIu32
                         " holds blocks that these metadata do not know, as %s: they "
                         "are in quarantine for %" PRIu64 " s",
                         node, block_id_print (report->block, block),
                         op->settings->quarantine_grace_ms / 1000);
    if (report->missed > 0)
        snprintf (effects->note + used, sizeof effects->note - (size_t) used,
                  "%snode %" PRIu32 " left out %" PRIu64 " changes in its report",
                  used ? "; " : "", node, report->missed);
    return rc;
}

int
op_node_report (struct op *op)
{
    const struct node_report_request *request = op->request;
    struct node_report_reply *reply = op->reply;
    struct held_report report;
    int rc = ops_check_sender (op, request->node);

    if (rc == 0)
        rc = held_apply (op->txn, (uint32_t) request->node, request->changes,
                         request->changes_count, &report, op->error);
    if (rc == LITEDFS_NOT_FOUND)
        return err_set (op->error, rc, "node[%" PRIu64 "]: it has no row", request->node);
    if (rc < 0)
        return rc;
    reply->seq = report.seq;
    reply->compare = report.missed > 0;
    if (report.ordered > 0)
        op->effects->orders_for = (uint32_t) request->node;
    return ops_note_report (op, (uint32_t) request->node, &report);
}

/* How many orders a request confirms, and how many a reply lists; the rest comes with the next one.  A
 * reply is short, because who asks and asks and does not read is not stopped as other readers are. */
enum { CONFIRM_MAX = 4096, ORDERS_MAX = 512 };

/* Orders of another epoch are numbered by nobody we know: the node begins anew. */
static int
orders_done (struct op *op, const struct node_orders_request *request, uint64_t *epoch,
             uint64_t *after)
{
    int rc = ops_check_sender (op, request->node);

    *epoch = *after = 0;
    if (rc == 0)
        rc = meta_get (op->txn, META_EPOCH, epoch, op->error);
    if (rc == 0)
        *after = request->epoch == *epoch ? request->after : 0;
    return rc;
}

int
op_node_confirm (struct op *op)
{
    const struct node_orders_request *request = op->request;
    uint64_t epoch, after;
    size_t confirmed;
    int rc = orders_done (op, request, &epoch, &after);

    return rc < 0 || after == 0 ? rc
                                : orders_confirm (op->txn, (uint32_t) request->node, after,
                                                  CONFIRM_MAX, &confirmed, op->error);
}

int
op_node_orders (struct op *op)
{
    const struct node_orders_request *request = op->request;
    struct node_orders_reply *reply = op->reply;
    uint64_t after = 0;
    size_t count = 0;
    struct order_row *orders = ops_array (op, ORDERS_MAX, sizeof *orders);

    reply->orders = ops_array (op, ORDERS_MAX, sizeof *reply->orders);
    int rc = orders && reply->orders ? orders_done (op, request, &reply->epoch, &after)
                                     : op->error->number;
    if (rc == 0)
        rc = orders_after (op->txn, (uint32_t) request->node, after, orders, ORDERS_MAX, &count,
                           op->error);
    reply->transaction = txn_number (op->txn);
    for (size_t i = 0; i < count && rc == 0; i++)
        reply->orders[reply->orders_count++] = (struct wire_order){.number = orders[i].number,
                                                                   .kind = orders[i].kind,
                                                                   .block = orders[i].block,
                                                                   .target = orders[i].target};
    return rc;
}

/* It changes nothing that is stored: repair looks at what it is told, and at what is there. */
int
op_node_failed (struct op *op)
{
    const struct node_failed_request *request = op->request;
    int rc = ops_check_sender (op, request->node);

    for (size_t i = 0; i < request->copies_count && rc == 0; i++)
        agenda_add_failure (
            txn_frame (op->txn)->agenda,
            (struct agenda_failure){.block = request->copies[i].block,
                                    .source = (uint32_t) request->node,
                                    .target = (uint32_t) request->copies[i].target});
    return rc;
}

/* ---- the node table ---------------------------------------------------------------------------------- */

/* The most endpoints in a page, as messages.def has it. */
enum { ENDPOINTS_MAX = 4096 };

int
op_node_list (struct op *op)
{
    const struct message_type *type = &message_types[MESSAGE_node_list];
    const struct node_list_request *request = op->request;
    struct node_list_reply *reply = op->reply;
    size_t bytes = 0;

    reply->table = op->nodes->table;
    reply->nodes = ops_array (op, op->nodes->count, sizeof *reply->nodes);
    if (!reply->nodes)
        return op->error->number;
    for (size_t i = 0; i < op->nodes->count; i++) {
        if (op->nodes->nodes[i].number <= request->cursor)
            continue;
        if (reply->nodes_count == ENDPOINTS_MAX || bytes > OPS_PAGE_BYTES) {
            reply->cursor = reply->nodes[reply->nodes_count - 1].node;
            break;
        }
        struct wire_endpoint *endpoint = &reply->nodes[reply->nodes_count++];
        ops_endpoint (&op->nodes->nodes[i], endpoint);
        bytes += message_record_size (type, "nodes", endpoint);
    }
    return 0;
}

static int
by_table (const void *a, const void *b)
{
    const struct node *left = *(const struct node *const *) a;
    const struct node *right = *(const struct node *const *) b;

    return left->table < right->table ? -1 : left->table > right->table;
}

/* The nodes that changed after the version that the sender has, the oldest change first, so that a
 * page that is full ends at a version that it can ask on from. */
static int
fill_changed (struct op *op, uint64_t since)
{
    const struct message_type *type = &message_types[MESSAGE_node_heartbeat];
    struct node_heartbeat_reply *reply = op->reply;
    size_t count = 0, bytes = 0;
    const struct node **changed = ops_array (op, op->nodes->count, sizeof *changed);

    reply->nodes = ops_array (op, op->nodes->count, sizeof *reply->nodes);
    if (!changed || !reply->nodes)
        return op->error->number;
    for (size_t i = 0; i < op->nodes->count; i++)
        if (op->nodes->nodes[i].table > since)
            changed[count++] = &op->nodes->nodes[i];
    qsort (changed, count, sizeof *changed, by_table);
    for (size_t i = 0; i < count; i++) {
        if (reply->nodes_count == ENDPOINTS_MAX || bytes > OPS_PAGE_BYTES) {
            reply->table = changed[i - 1]->table;
            break;
        }
        struct wire_endpoint *endpoint = &reply->nodes[reply->nodes_count++];
        ops_endpoint (changed[i], endpoint);
        bytes += message_record_size (type, "nodes", endpoint);
    }
    return 0;
}

/* What it says of its disk was taken by the namenode actor before. */
int
op_node_heartbeat (struct op *op)
{
    const struct node_heartbeat_request *request = op->request;
    struct node_heartbeat_reply *reply = op->reply;
    uint64_t epoch;
    int rc = ops_check_sender (op, request->node);

    if (rc == 0)
        rc = meta_get (op->txn, META_EPOCH, &epoch, op->error);
    if (rc < 0)
        return rc;
    reply->epoch = epoch;
    reply->transaction = txn_number (op->txn);
    reply->table = op->nodes->table;
    if (request->table == op->nodes->table)
        return 0;
    return fill_changed (op, request->table < op->nodes->table ? request->table : 0);
}
