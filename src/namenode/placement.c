/* SPDX-License-Identifier: MIT */
/*
 * Placement by rounds.  Each candidate has a pace, 0 to 4: it takes part in one of 2^pace rounds.
 * In a round everyone who takes part gets one block, in an order that depends on file and round, so
 * the rounds repeat every 16 and the round of a block follows from its index without a walk over the
 * blocks before.  Order and turns come from a hash of (seed, round, node): no state, no lock, and a
 * handler that is run again decides the same.
 *
 * The copies of a block go to the one whose turn it is and to those after it in the round, so that a round
 * gives everyone as many copies as everyone else; who does not take part in the round comes last.
 */
#include "namenode/placement.h"

#include "base/buf.h"
#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A node of pace n is in one round of 2^n. */
enum { PACE_MAX = 4, ROUNDS = 1 << PACE_MAX };

struct candidate {
    const struct node *node;
    uint64_t room; // free bytes that nobody was promised
    unsigned pace;
    bool present; // takes part in the round
    bool chosen;
    uint64_t order;
};

/* The finalizer of splitmix64: every bit of the result depends on every bit of the input. */
static uint64_t
mix (uint64_t value)
{
    value += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

static bool
is_among (const uint32_t *numbers, size_t count, uint32_t number)
{
    for (size_t i = 0; i < count; i++)
        if (numbers[i] == number)
            return true;
    return false;
}

static bool
is_suspect (const struct placement_question *question, uint32_t number)
{
    return is_among (question->suspects, question->suspects_count, number);
}

static uint64_t
room_of (const struct node *node, const struct placement_question *question)
{
    uint64_t reserved =
        question->reserved ? question->reserved (question->arg, node->number) : 0;

    return node->storage_free > reserved ? node->storage_free - reserved : 0;
}

static bool
can_take (const struct node *node, const struct placement_question *question)
{
    return node->online && node_takes_blocks (node) && !node->storage_full &&
           !is_suspect (question, node->number) &&
           !is_among (question->taken, question->taken_count, node->number) &&
           !(question->barred && question->barred (question->arg, node->number));
}

/* Those that can take the block; of nodes that are suspect to everybody only with `suspect`. */
static size_t
collect (const struct nodes_view *view, const struct placement_question *question, bool suspect,
         struct candidate *out)
{
    size_t count = 0;

    for (size_t i = 0; i < view->count; i++) {
        const struct node *node = &view->nodes[i];
        if ((node->suspect && !suspect) || !can_take (node, question))
            continue;
        uint64_t room = room_of (node, question);
        if (room >= question->size)
            out[count++] = (struct candidate){.node = node, .room = room};
    }
    return count;
}

/* Half the room of the emptiest node, or more, is as good as all of it: what is left is the noise of
 * uploads under way, and files shall spread evenly. */
static void
set_paces (struct candidate *candidates, size_t count)
{
    uint64_t most = 0;

    for (size_t i = 0; i < count; i++)
        if (candidates[i].room > most)
            most = candidates[i].room;
    for (size_t i = 0; i < count; i++) {
        unsigned pace = 0;
        while (pace < PACE_MAX && candidates[i].room < (most >> (pace + 1)))
            pace++;
        candidates[i].pace = pace;
    }
}

static bool
takes_part (const struct candidate *candidate, uint64_t seed, uint64_t round)
{
    uint64_t turn = mix (seed ^ mix (candidate->node->number));

    return ((turn + round) & (((uint64_t) 1 << candidate->pace) - 1)) == 0;
}

static int
by_order (const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;

    if (left->present != right->present)
        return left->present ? -1 : 1;
    if (left->order != right->order)
        return left->order < right->order ? -1 : 1;
    return left->node->number < right->node->number ? -1
                                                    : left->node->number > right->node->number;
}

/* Put the candidates in the order of the block's round, those that take part first.  *place is whose
 * turn it is, *present how many take part.  At least one candidate has pace 0 (the emptiest), so every
 * round has somebody. */
static void
line_up (struct candidate *candidates, size_t count, const struct placement_question *question,
         size_t *place, size_t *present)
{
    size_t parts[ROUNDS] = {0}, period = 0, round = 0;

    for (size_t at = 0; at < ROUNDS; at++) {
        for (size_t i = 0; i < count; i++)
            parts[at] += takes_part (&candidates[i], question->seed, at);
        period += parts[at];
    }
    uint64_t cycle = question->index / period;
    *place = (size_t) (question->index % period);
    while (*place >= parts[round])
        *place -= parts[round++];
    *present = parts[round];
    for (size_t i = 0; i < count; i++) {
        struct candidate *candidate = &candidates[i];
        candidate->present = takes_part (candidate, question->seed, round);
        candidate->order =
            mix (mix (question->seed + cycle * ROUNDS + round) ^ candidate->node->number);
    }
    qsort (candidates, count, sizeof *candidates, by_order);
}

/* ---- the copies of a block --------------------------------------------------------------------------- */

static const char *
zone_of (const struct node *node)
{
    return node->zone[0] ? node->zone : node->host;
}

bool
placement_same_zone (const struct node *a, const struct node *b)
{
    return strcmp (zone_of (a), zone_of (b)) == 0;
}

/* What is being put together. */
struct choice {
    const struct nodes_view *view;
    const struct placement_question *question;
    struct candidate *candidates; // in the order in which they are asked, from `place` on
    size_t count;
    size_t place;
    size_t present;
    uint32_t *out;
    size_t chosen;
};

/* The candidate whom one asks as number i: the round from `place` on, then those who sit it out. */
static struct candidate *
asked (const struct choice *choice, size_t i)
{
    return &choice->candidates[i < choice->present ? (choice->place + i) % choice->present : i];
}

/* Whether a copy is, or will be, in the zone of a node. */
static bool
is_zone_used (const struct choice *choice, const struct node *node)
{
    const struct placement_question *question = choice->question;

    for (size_t i = 0; i < question->taken_count + choice->chosen; i++) {
        uint32_t number = i < question->taken_count ? question->taken[i]
                                                    : choice->out[i - question->taken_count];
        const struct node *other = nodes_view_find (choice->view, number);
        if (other && placement_same_zone (other, node))
            return true;
    }
    return false;
}

static void
take (struct choice *choice, struct candidate *candidate)
{
    candidate->chosen = true;
    choice->out[choice->chosen++] = candidate->node->number;
}

/* Whether a node is on the client's host.  One that registered from this machine has no host. */
static bool
is_clients_own (const struct node *node, const char *client)
{
    if (client[0] == '\0' || net_is_loopback (client))
        return node->host[0] == '\0';
    return strcmp (node->host, client) == 0;
}

static void
choose_own (struct choice *choice)
{
    for (size_t i = 0; i < choice->count; i++)
        if (is_clients_own (asked (choice, i)->node, choice->question->client)) {
            take (choice, asked (choice, i));
            return;
        }
}

static void
choose (struct choice *choice)
{
    const struct placement_question *question = choice->question;

    if (question->client && question->count > 1)
        choose_own (choice);
    for (int again = 0; again < 2; again++)
        for (size_t i = 0; i < choice->count && choice->chosen < question->count; i++) {
            struct candidate *candidate = asked (choice, i);
            if (!candidate->chosen && (again || !is_zone_used (choice, candidate->node)))
                take (choice, candidate);
        }
}

/* ---- nobody -------------------------------------------------------------------------------------------- */

static void
put_time (struct buf *out, int64_t wall_ms)
{
    time_t seconds = (time_t) (wall_ms / 1000);
    struct tm local;
    char text[32];

    if (!localtime_r (&seconds, &local) || !strftime (text, sizeof text, "%F %T", &local))
        snprintf (text, sizeof text, "%lld", (long long) wall_ms);
    buf_printf (out, " since %s", text);
}

static void
put_reason (struct buf *out, const struct node *node, const struct placement_question *question)
{
    buf_printf (out, "node %u%s%s%s: ", node->number, node->host[0] ? " (" : "", node->host,
                node->host[0] ? ")" : "");
    if (!node->online) {
        buf_printf (out, "offline");
        if (node->changed_wall_ms)
            put_time (out, node->changed_wall_ms);
        else
            buf_printf (out, ", not seen since the name node started");
    } else if (!node_takes_blocks (node)) {
        buf_printf (out, "it %s", node->excused ? "is in maintenance" : "drains");
    } else if (is_suspect (question, node->number)) {
        buf_printf (out, "this upload could not write to it");
    } else if (is_among (question->taken, question->taken_count, node->number)) {
        buf_printf (out, "it has the block");
    } else {
        uint64_t room = room_of (node, question);
        buf_printf (out, "full: %" PRIu64 " bytes free of %" PRIu64, node->storage_free,
                    node->storage_total);
        if (room < node->storage_free)
            buf_printf (out, ", %" PRIu64 " of them promised to uploads under way",
                        node->storage_free - room);
    }
}

/* Room for what an error's text says after the reasons that do fit. */
enum { TAIL_SIZE = 32 };

static int
explain (const struct nodes_view *view, const struct placement_question *question,
         litedfs_error_t *error)
{
    int number = view->settling ? LITEDFS_BUSY : LITEDFS_NO_NODE;
    struct buf text = {0};
    size_t said = 0,
           left = view->count - view->removed; // nobody asks for those that were removed

    if (!error)
        return number;
    if (left == 0)
        return err_set (error, LITEDFS_NO_NODE,
                        "no data node can take this block: %s; start litedata with this name "
                        "node's address",
                        view->count == 0 ? "none has ever registered here"
                                         : "all were removed");
    for (size_t i = 0; i < view->count; i++) {
        size_t before = text.size;
        if (view->nodes[i].duty.duty == DUTY_REMOVED)
            continue;
        buf_printf (&text, "%s", said ? "; " : "");
        put_reason (&text, &view->nodes[i], question);
        if (text.size + TAIL_SIZE + sizeof "no data node can take this block: " >
            sizeof error->text) {
            text.size = before;
            break;
        }
        said++;
    }
    if (said < left)
        buf_printf (&text, "; and %zu more", left - said);
    err_set (error, number, "no data node can take this block%s: %s",
             view->settling ? " yet" : "", buf_text (&text));
    buf_free (&text);
    return number;
}

int
placement_choose (const struct nodes_view *view, const struct placement_question *question,
                  uint32_t *out, size_t *chosen, litedfs_error_t *error)
{
    struct candidate *candidates = calloc (view->count + 1, sizeof *candidates);
    struct choice choice = {
        .view = view, .question = question, .candidates = candidates, .out = out};

    *chosen = 0;
    if (!candidates)
        return err_set (error, LITEDFS_MEMORY, "placement: out of memory");

    choice.count = collect (view, question, false, candidates);
    if (choice.count == 0)
        choice.count = collect (view, question, true, candidates);
    if (choice.count > 0) {
        set_paces (candidates, choice.count);
        line_up (candidates, choice.count, question, &choice.place, &choice.present);
        choose (&choice);
    }
    free (candidates);
    *chosen = choice.chosen;
    return choice.chosen > 0 ? 0 : explain (view, question, error);
}
