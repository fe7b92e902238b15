/* SPDX-License-Identifier: MIT */
/*
 * The handler of cluster.balance.  It is run by the writer, whose balance is.
 */
#include "namenode/balance.h"
#include "namenode/ops.h"

#include <stdio.h>
#include <stdlib.h>

/* The most moves in the reply, as messages.def has it. */
enum { MOVES_MAX = 1024 };

/* Switch it, if it is to be and is not so yet; *on is how it is then. */
static int
set_balance (struct op *op, enum balance_set set, bool *on)
{
    bool wanted = set == BALANCE_ON;
    int rc = balance_is_on (op->txn, on, op->error);

    if (rc < 0 || set == BALANCE_KEEP || *on == wanted)
        return rc;
    *on = wanted;
    snprintf (op->effects->note, sizeof op->effects->note, "balance is switched %s",
              wanted ? "on" : "off");
    return balance_switch (op->txn, wanted, op->error);
}

static int
fill_moves (struct op *op, struct cluster_balance_reply *reply)
{
    struct balance_move *moves;
    size_t count;
    int rc = balance_moves (op->balance, op->txn, op->nodes, op->settings->balance_threshold,
                            &moves, &count, op->error);

    if (rc < 0)
        return rc;
    if (count > MOVES_MAX)
        count = MOVES_MAX;
    reply->moves = ops_array (op, count, sizeof *reply->moves);
    for (size_t i = 0; i < count && reply->moves; i++)
        reply->moves[reply->moves_count++] = (struct wire_balance_move){
            .from = moves[i].from,
            .to = moves[i].to,
            .bytes = moves[i].bytes,
            .stuck = op->balance && balance_is_stuck (op->balance, moves[i].from),
        };
    free (moves);
    return reply->moves ? 0 : op->error->number;
}

int
op_cluster_balance (struct op *op)
{
    const struct cluster_balance_request *request = op->request;
    struct cluster_balance_reply *reply = op->reply;
    size_t copies = 0;
    int rc = set_balance (op, request->set, &reply->enabled);

    if (rc < 0)
        return rc;
    if (op->balance)
        balance_ledger_sum (&op->balance->ledger, 0, 0, &copies, &reply->bytes);
    reply->copies = copies;
    reply->threshold = op->settings->balance_threshold;
    return fill_moves (op, reply);
}
