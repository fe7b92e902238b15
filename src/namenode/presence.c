/* SPDX-License-Identifier: MIT */
/*
 * Presence: an array in the order of the view, which is that of the numbers.  When memory is short the
 * new nodes of a view are not seen until the next update.
 */
#include "namenode/presence.h"

#include <stdlib.h>
#include <string.h>

struct seen {
    uint32_t number;
    bool online;
    bool gone;
    int64_t since_ms; // when it came or went
};

struct presence {
    struct seen *seen;
    size_t count;
};

struct presence *
presence_new (void)
{
    return calloc (1, sizeof (struct presence));
}

void
presence_destroy (struct presence **self)
{
    if (*self)
        free ((*self)->seen);
    free (*self);
    *self = NULL;
}

struct presence *
presence_clone (const struct presence *self)
{
    struct presence *clone = presence_new ();

    if (!clone)
        return NULL;
    clone->seen = calloc (self->count + 1, sizeof *clone->seen);
    if (!clone->seen)
        presence_destroy (&clone);
    else if (self->count > 0) {
        memcpy (clone->seen, self->seen, self->count * sizeof *clone->seen);
        clone->count = self->count;
    }
    return clone;
}

static struct seen *
find (const struct presence *self, uint32_t number)
{
    size_t low = 0, high = self->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->seen[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < self->count && self->seen[low].number == number ? &self->seen[low] : NULL;
}

/* Whether the array has the nodes of the view and no others. */
static bool
fits (const struct presence *self, const struct nodes_view *view)
{
    if (self->count != view->count)
        return false;
    for (size_t i = 0; i < view->count; i++)
        if (self->seen[i].number != view->nodes[i].number)
            return false;
    return true;
}

static void
make_fit (struct presence *self, const struct nodes_view *view, int64_t now_ms)
{
    struct seen *seen = calloc (view->count + 1, sizeof *seen);

    if (!seen)
        return;
    for (size_t i = 0; i < view->count; i++) {
        const struct node *node = &view->nodes[i];
        const struct seen *old = find (self, node->number);
        seen[i] = old ? *old
                      : (struct seen){
                            .number = node->number, .online = node->online, .since_ms = now_ms};
    }
    free (self->seen);
    self->seen = seen;
    self->count = view->count;
}

bool
presence_update (struct presence *self, const struct nodes_view *view, int64_t now_ms,
                 int64_t delay_ms)
{
    bool changed = false;

    if (!fits (self, view))
        make_fit (self, view, now_ms);
    for (size_t i = 0; i < self->count; i++) {
        struct seen *seen = &self->seen[i];
        const struct node *node = nodes_view_find (view, seen->number);
        bool online = node && node->online;
        if (online != seen->online) {
            changed = true;
            seen->online = online;
            seen->since_ms = now_ms;
        }
        bool expected = node && (node->excused || now_ms - seen->since_ms < delay_ms);
        bool gone = !online && !(expected && node->duty.duty != DUTY_REMOVED);
        changed = changed || gone != seen->gone;
        seen->gone = gone;
    }
    return changed;
}

bool
presence_counts (const struct presence *self, uint32_t number)
{
    const struct seen *seen = find (self, number);

    return seen && !seen->gone;
}

int64_t
presence_online_ms (const struct presence *self, uint32_t number, int64_t now_ms)
{
    const struct seen *seen = find (self, number);

    return seen && seen->online ? now_ms - seen->since_ms : -1;
}

int64_t
presence_left_ms (const struct presence *self, uint32_t number, int64_t now_ms,
                  int64_t delay_ms)
{
    const struct seen *seen = find (self, number);

    if (!seen || seen->gone)
        return 0;
    if (seen->online)
        return -1;
    int64_t left_ms = seen->since_ms + delay_ms - now_ms;
    return left_ms > 0 ? left_ms : 0;
}
