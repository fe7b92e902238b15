/* SPDX-License-Identifier: MIT */
/*
 * litedfs ADDRESS file why: a line for each block that has not as many copies as are wanted.
 */
#include "cli/why.h"

#include "cli/print.h"

#include <inttypes.h>
#include <string.h>

// The file, and the nodes that its holders are among.
struct answer {
    litedfs_why_t why;
    litedfs_cluster_t cluster;
};

static const litedfs_node_t *
find_node (const litedfs_cluster_t *cluster, uint32_t id)
{
    for (size_t i = 0; i < cluster->node_count; i++)
        if (cluster->nodes[i].id == id)
            return &cluster->nodes[i];
    return NULL;
}

// Whole seconds, never 0 for a time that is not over.
static uint64_t
seconds (uint64_t ms)
{
    return ms / 1000 + (ms % 1000 > 0);
}

/* ---- JSON ----------------------------------------------------------------------------------------- */

static json_t *
holder_json (const litedfs_holder_t *holder, const litedfs_cluster_t *cluster)
{
    const litedfs_node_t *node = find_node (cluster, holder->node);

    return json_pack ("{so so so ss so}", "id", print_json_number (holder->node), "host",
                      node ? print_json_text (node->host) : json_null (), "http_port",
                      node ? print_json_number (node->http_port) : json_null (), "standing",
                      holder->standing, "seconds_left",
                      print_json_number (seconds (holder->left_ms)));
}

static json_t *
copy_json (const litedfs_transfer_t *copy)
{
    return json_pack ("{so so so}", "source", print_json_number (copy->source), "target",
                      print_json_number (copy->target), "seconds_left",
                      print_json_number (seconds (copy->left_ms)));
}

static json_t *
stray_json (const litedfs_stray_t *block, const litedfs_cluster_t *cluster)
{
    json_t *holders = json_array (), *copies = json_array ();
    char id[17];
    bool whole = true;

    for (size_t i = 0; i < block->holder_count; i++)
        whole &=
            json_array_append_new (holders, holder_json (&block->holders[i], cluster)) == 0;
    for (size_t i = 0; i < block->copy_count; i++)
        whole &= json_array_append_new (copies, copy_json (&block->copies[i])) == 0;
    if (!whole) {
        json_decref (holders);
        json_decref (copies);
        return NULL;
    }
    snprintf (id, sizeof id, "%016" PRIx64, block->id);
    return json_pack (
        "{so ss so ss so so so so so so so}", "index", print_json_number (block->index), "id",
        id, "size", print_json_number (block->size), "awaits", block->awaits, "seconds_left",
        print_json_number (seconds (block->left_ms)), "holders", holders, "copies", copies,
        "nodes_offline", print_json_number (block->offline), "nodes_full",
        print_json_number (block->full), "nodes_busy", print_json_number (block->busy),
        "failures", print_json_number (block->failures));
}

static json_t *
answer_json (const struct answer *answer)
{
    const litedfs_why_t *why = &answer->why;
    json_t *blocks = json_array ();

    for (size_t i = 0; i < why->block_count; i++)
        if (json_array_append_new (blocks, stray_json (&why->blocks[i], &answer->cluster)) <
            0) {
            json_decref (blocks);
            return NULL;
        }
    return json_pack ("{so ss so so so so}", "path", print_json_text (why->path), "id", why->id,
                      "replica", print_json_number (why->replica), "current_replica",
                      print_json_number (why->copies), "number_of_blocks",
                      print_json_number (why->count), "blocks", blocks);
}

/* ---- for people ------------------------------------------------------------------------------------ */

// What stands in the protocol, in words.
static const struct {
    const char *awaits;
    const char *text;
} sentences[] = {
    {"turn", "its turn"},
    {"settling", "data nodes of before the name node's start"},
    {"copy", "the copies under way"},
    {"confirmation", "a data node to confirm its copy"},
    {"return", "repair_delay to be over, or the data node to be back"},
    {"source", "a data node that has it to be back: none is online"},
    {"busy", "data nodes that have enough to do"},
    {"room", "room: no other data node has any"},
    {"node", "another data node: there is none online"},
    {"deletion", "copies that are too many to go"},
    {"nothing", "nothing: no copy is left"},
};

static const char *
sentence_of (const char *awaits)
{
    for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++)
        if (strcmp (sentences[i].awaits, awaits) == 0)
            return sentences[i].text;
    return awaits;
}

static void
put_holders (struct buf *out, const litedfs_stray_t *block, const litedfs_cluster_t *cluster)
{
    for (size_t i = 0; i < block->holder_count; i++) {
        const litedfs_holder_t *holder = &block->holders[i];
        const litedfs_node_t *node = find_node (cluster, holder->node);
        buf_printf (out, "%s%" PRIu32, i ? ", " : "", holder->node);
        if (node)
            buf_printf (out, " (%s:%" PRIu32 ")", node->host, node->http_port);
        buf_printf (out, " %s", holder->standing);
        if (holder->left_ms)
            buf_printf (out, " for %" PRIu64 " s yet", seconds (holder->left_ms));
    }
    if (block->holder_count == 0)
        buf_printf (out, "-");
}

static void
put_copies (struct buf *out, const litedfs_stray_t *block)
{
    for (size_t i = 0; i < block->copy_count; i++)
        buf_printf (out, "%s%" PRIu32 " -> %" PRIu32 " within %" PRIu64 " s", i ? ", " : "",
                    block->copies[i].source, block->copies[i].target,
                    seconds (block->copies[i].left_ms));
    if (block->copy_count == 0)
        buf_printf (out, "-");
}

static void
put_awaits (struct buf *out, const litedfs_stray_t *block)
{
    buf_printf (out, "%s", sentence_of (block->awaits));
    if (block->left_ms)
        buf_printf (out, ", %" PRIu64 " s left", seconds (block->left_ms));
    if (block->failures)
        buf_printf (out, ", %" PRIu64 " copies failed", block->failures);
}

static void
stray_cell (const void *arg, size_t row, size_t column, struct buf *out)
{
    const struct answer *answer = arg;
    const litedfs_stray_t *block = &answer->why.blocks[row];

    if (column == 0)
        buf_printf (out, "%" PRIu64, block->index);
    else if (column == 1)
        buf_printf (out, "%016" PRIx64, block->id);
    else if (column == 2)
        put_holders (out, block, &answer->cluster);
    else if (column == 3)
        put_copies (out, block);
    else
        put_awaits (out, block);
}

static int
print_answer (const struct answer *answer, uint64_t width, litedfs_error_t *error)
{
    static const char *const names[] = {"index", "id", "holders", "copies", "waits for", NULL};
    const litedfs_why_t *why = &answer->why;
    const struct print_table table = {.names = names,
                                      .first = 1,
                                      .rows = why->block_count,
                                      .cell = stray_cell,
                                      .arg = answer};

    print_field (stdout, "path", "%s", why->path);
    print_field (stdout, "id", "%s", why->id);
    print_field (stdout, "replica", "%" PRIu32, why->replica);
    print_field (stdout, "current_replica", "%" PRIu32, why->copies);
    if (why->block_count == 0) {
        print_field (stdout, "blocks", "%" PRIu64 ", all as wanted", why->count);
        return 0;
    }
    print_field (stdout, "blocks", "%" PRIu64 ", %zu of them not as wanted", why->count,
                 why->block_count);
    return print_table (&table, width, stdout, error);
}

int
why_run (struct cmd_call *call, litedfs_error_t *error)
{
    struct answer answer = {0};
    int rc = cmd_open (call, error);

    if (rc == 0)
        rc = litedfs_why (call->session, call->text[CMD_REMOTE_PATH], &answer.why, error);
    if (rc == 0)
        rc = litedfs_cluster (call->session, &answer.cluster, error);
    if (rc == 0)
        rc = call->text[CMD_JSON]
                 ? print_json (answer_json (&answer), stdout, error)
                 : print_answer (&answer, (uint64_t) call->number[CMD_WIDTH], error);
    litedfs_why_free (&answer.why);
    litedfs_cluster_free (&answer.cluster);
    return rc;
}
