/* SPDX-License-Identifier: MIT */
/*
 * Placement by rounds.  Each candidate has a pace, 0 to 4: it takes part in one of 2^pace rounds.
 * In a round everyone who takes part gets one block, in an order that depends on file and round, so
 * the rounds repeat every 16 and the round of a block follows from its index without a walk over the
 * blocks before.  Order and turns come from a hash of (seed, round, node): no state, no lock, and a
 * handler that is run again decides the same.
 */
#include "namenode/placement.h"

#include "base/buf.h"
#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A node of pace n is in one round of 2^n. */
enum { PACE_MAX = 4, ROUNDS = 1 << PACE_MAX };

struct candidate {
    uint32_t number;
    uint64_t room; // free bytes that nobody was promised
    unsigned pace;
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
is_suspect (const struct placement_question *question, uint32_t number)
{
    for (size_t i = 0; i < question->suspects_count; i++)
        if (question->suspects[i] == number)
            return true;
    return false;
}

static uint64_t
room_of (const struct node *node, const struct placement_question *question)
{
    uint64_t reserved =
        question->reserved ? question->reserved (question->arg, node->number) : 0;

    return node->storage_free > reserved ? node->storage_free - reserved : 0;
}

static size_t
collect (const struct nodes_view *view, const struct placement_question *question,
         struct candidate *out)
{
    size_t count = 0;

    for (size_t i = 0; i < view->count; i++) {
        const struct node *node = &view->nodes[i];
        if (!node->online || node->storage_full || is_suspect (question, node->number))
            continue;
        uint64_t room = room_of (node, question);
        if (room >= question->size)
            out[count++] = (struct candidate){.number = node->number, .room = room};
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
    uint64_t turn = mix (seed ^ mix (candidate->number));

    return ((turn + round) & (((uint64_t) 1 << candidate->pace) - 1)) == 0;
}

static int
by_order (const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;

    if (left->order != right->order)
        return left->order < right->order ? -1 : 1;
    return left->number < right->number ? -1 : left->number > right->number;
}

/* At least one candidate has pace 0 (the emptiest), so every round has somebody. */
static uint32_t
choose (struct candidate *candidates, size_t count, const struct placement_question *question)
{
    size_t present[ROUNDS] = {0}, period = 0;

    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < count; i++)
            present[round] += takes_part (&candidates[i], question->seed, round);
        period += present[round];
    }

    uint64_t cycle = question->index / period;
    size_t place = (size_t) (question->index % period), round = 0;
    while (place >= present[round])
        place -= present[round++];

    size_t chosen = 0;
    for (size_t i = 0; i < count; i++)
        if (takes_part (&candidates[i], question->seed, round)) {
            struct candidate candidate = candidates[i];
            candidate.order =
                mix (mix (question->seed + cycle * ROUNDS + round) ^ candidate.number);
            candidates[chosen++] = candidate;
        }
    qsort (candidates, chosen, sizeof *candidates, by_order);
    return candidates[place].number;
}

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
    } else if (is_suspect (question, node->number)) {
        buf_printf (out, "this upload could not write to it");
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
    struct buf text = {0};
    size_t said = 0;

    if (view->count == 0)
        return err_set (
            error, LITEDFS_NO_NODE,
            "no data node can take this block: none has ever registered here; start "
            "litedata with this name node's address");
    for (; said < view->count; said++) {
        size_t before = text.size;
        buf_printf (&text, "%s", said ? "; " : "");
        put_reason (&text, &view->nodes[said], question);
        if (text.size + TAIL_SIZE + sizeof "no data node can take this block: " >
            sizeof error->text) {
            text.size = before;
            break;
        }
    }
    if (said < view->count)
        buf_printf (&text, "; and %zu more", view->count - said);
    int number = view->settling ? LITEDFS_BUSY : LITEDFS_NO_NODE;
    err_set (error, number, "no data node can take this block%s: %s",
             view->settling ? " yet" : "", buf_text (&text));
    buf_free (&text);
    return number;
}

int
placement_choose (const struct nodes_view *view, const struct placement_question *question,
                  uint32_t *out, litedfs_error_t *error)
{
    struct candidate *candidates = calloc (view->count + 1, sizeof *candidates);

    if (!candidates)
        return err_set (error, LITEDFS_MEMORY, "placement: out of memory");

    size_t count = collect (view, question, candidates);
    set_paces (candidates, count);
    if (count > 0)
        *out = choose (candidates, count, question);
    free (candidates);
    return count > 0 ? 0 : explain (view, question, error);
}
