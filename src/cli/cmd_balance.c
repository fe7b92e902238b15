/* SPDX-License-Identifier: MIT */
/*
 * litedfs ADDRESS cluster balance: how it is with balance, on or off, and what is to move.
 */
#include "cli/cmd_balance.h"

#include "base/err.h"
#include "cli/print.h"

#include <inttypes.h>

// What the line wants; at most one of its options says so.
static int
read_options (const struct cmd_call *call, litedfs_balance_set_t *out, litedfs_error_t *error)
{
    bool on = call->text[CMD_ON], off = call->text[CMD_OFF], dry = call->text[CMD_DRY_RUN];

    *out = on ? LITEDFS_BALANCE_ON : off ? LITEDFS_BALANCE_OFF : LITEDFS_BALANCE_KEEP;
    return on + off + dry <= 1 ? 0
                               : err_set (error, LITEDFS_USAGE,
                                          "only one of --on, --off and --dry-run may be given");
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static json_t *
moves_json (const litedfs_balance_t *balance)
{
    json_t *list = json_array ();

    for (size_t i = 0; i < balance->move_count; i++) {
        const litedfs_balance_move_t *move = &balance->moves[i];
        if (json_array_append_new (
                list, json_pack ("{so so so sb}", "from", print_json_number (move->from), "to",
                                 print_json_number (move->to), "bytes",
                                 print_json_number (move->bytes), "stuck", move->stuck)) < 0) {
            json_decref (list);
            return NULL;
        }
    }
    return list;
}

static json_t *
balance_json (const litedfs_balance_t *balance)
{
    return json_pack ("{sb so so so so}", "enabled", balance->enabled, "threshold",
                      print_json_number (balance->threshold), "copies",
                      print_json_number (balance->copies), "bytes",
                      print_json_number (balance->bytes), "moves", moves_json (balance));
}

/* ---- for people ------------------------------------------------------------------------------------------ */

static void
move_cell (const void *arg, size_t row, size_t column, struct buf *out)
{
    const litedfs_balance_move_t *move = &((const litedfs_balance_t *) arg)->moves[row];

    if (column == 0)
        buf_printf (out, "%" PRIu32, move->from);
    else if (column == 1)
        buf_printf (out, "%" PRIu32, move->to);
    else if (column == 2)
        buf_printf (out, "%" PRIu64, move->bytes);
    else
        buf_printf (out, "%s", move->stuck ? "no block was found that may go" : "");
}

static int
print_moves (const litedfs_balance_t *balance, uint64_t width, litedfs_error_t *error)
{
    static const char *const names[] = {"from", "to", "bytes", "remark", NULL};
    const struct print_table table = {.names = names,
                                      .first = 1,
                                      .rows = balance->move_count,
                                      .cell = move_cell,
                                      .arg = balance};

    return print_table (&table, width, stdout, error);
}

static int
print_plan (const litedfs_balance_t *balance, uint64_t width, litedfs_error_t *error)
{
    if (balance->move_count > 0)
        return print_moves (balance, width, error);
    printf ("nothing would move\n");
    return 0;
}

static int
print_state (const litedfs_balance_t *balance, uint64_t width, litedfs_error_t *error)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < balance->move_count; i++)
        bytes += balance->moves[i].bytes;
    print_field (stdout, "balance", "%s", balance->enabled ? "on" : "off");
    if (balance->threshold > 0)
        print_field (stdout, "threshold", "%" PRIu32 " points", balance->threshold);
    else
        print_field (stdout, "threshold", "0: nothing ever moves");
    print_field (stdout, "under way", "%" PRIu64 " copies, %" PRIu64 " bytes", balance->copies,
                 balance->bytes);
    print_field (stdout, "to move", "%" PRIu64 " bytes", bytes);
    return balance->move_count > 0 ? print_moves (balance, width, error) : 0;
}

int
cmd_cluster_balance (struct cmd_call *call, litedfs_error_t *error)
{
    uint64_t width = (uint64_t) call->number[CMD_WIDTH];
    litedfs_balance_set_t set;
    litedfs_balance_t balance;
    int rc = read_options (call, &set, error);

    if (rc == 0)
        rc = cmd_open (call, error);
    if (rc == 0)
        rc = litedfs_balance (call->session, set, &balance, error);
    if (rc < 0)
        return rc;
    if (call->text[CMD_JSON])
        rc = print_json (balance_json (&balance), stdout, error);
    else if (call->text[CMD_DRY_RUN])
        rc = print_plan (&balance, width, error);
    else
        rc = print_state (&balance, width, error);
    litedfs_balance_free (&balance);
    return rc;
}
