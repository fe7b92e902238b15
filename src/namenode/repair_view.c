/* SPDX-License-Identifier: MIT */
/*
 * Views of repair.  One is about 150 KiB, so they are made ten times a second at most.
 */
#include "namenode/repair_view.h"

#include <stdatomic.h>
#include <stdlib.h>

/* The least time between two views, milliseconds. */
enum { VIEW_MS = 100 };

struct repair_view *
repair_view_keep (struct repair_view *self)
{
    if (self)
        atomic_fetch_add_explicit (&self->references, 1, memory_order_relaxed);
    return self;
}

static void
destroy (struct repair_view *self)
{
    presence_destroy (&self->presence);
    copies_destroy (&self->copies);
    free (self);
}

void
repair_view_release (struct repair_view **self)
{
    if (*self && atomic_fetch_sub_explicit (&(*self)->references, 1, memory_order_acq_rel) == 1)
        destroy (*self);
    *self = NULL;
}

void
repair_publisher_nodes (struct repair_publisher *self)
{
    self->news = true;
    repair_census_restart (&self->census, true);
}

void
repair_publisher_walk (struct repair_publisher *self, bool hurried)
{
    if (self->walking && !hurried) {
        self->news = true;
        repair_census_restart (&self->census, false);
    }
    self->walking = hurried;
}

void
repair_publisher_copies (struct repair_publisher *self, int64_t now_ms, uint64_t arrived)
{
    self->news = true;
    rate_add (&self->rate, now_ms, arrived);
}

struct repair_view *
repair_publisher_view (struct repair_publisher *self, const struct presence *presence,
                       const struct copies *copies, int64_t now_ms)
{
    if (self->published_ms != 0 && now_ms - self->published_ms < VIEW_MS)
        return NULL;
    uint64_t rate = rate_now (&self->rate, now_ms);
    if (self->published_ms != 0 && !self->news && rate == self->shown_rate)
        return NULL;
    struct repair_view *view = calloc (1, sizeof *view);
    if (!view)
        return NULL;
    view->references = 1;
    view->presence = presence_clone (presence);
    view->copies = copies_clone (copies);
    view->counted = repair_census_queue (&self->census, &view->queue) && !self->walking;
    view->rate = rate;
    if (!view->presence || !view->copies) {
        destroy (view);
        return NULL;
    }
    self->news = false;
    self->shown_rate = rate;
    self->published_ms = now_ms;
    return view;
}
