/* SPDX-License-Identifier: MIT */
/*
 * The registry of data nodes: an array in order of numbers, which come from the store and are dense,
 * so a number is found by bisection, a UUID by walking.  Sessions stand apart in an array of their own,
 * because every request of anybody is looked up there: a thousand nodes are 8 KiB to walk.
 *
 * A node goes offline at once when its connection closes, or when it was silent for longer than the
 * timeout that it asked for (only then if its connection closed because we were silent).  Its session
 * stays known in the second case: the connection may be fine and the node only slow, and then its next
 * heartbeat brings it back.
 */
#include "namenode/nodes.h"

#include "base/err.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct member {
    struct node node;
    int64_t interval_ms;
    int64_t timeout_ms;
    int64_t heard_mono_ms;
    uint64_t reporter; // the upload that complained last; 0: none
    int64_t reported_mono_ms;
    int64_t suspect_until_ms; // of the monotonic clock, while node.suspect
};

struct nodes {
    struct member *members;
    uint64_t *sessions; // of each member; 0: it has none
    size_t count;
    size_t room;
    uint64_t table;
    uint64_t steady; // see nodes.h
    bool settling;
    struct nodes_view *view; // as of the last call of nodes_view, or NULL if something changed
};

struct nodes_view *
nodes_view_keep (struct nodes_view *self)
{
    atomic_fetch_add_explicit (&self->references, 1, memory_order_relaxed);
    return self;
}

void
nodes_view_release (struct nodes_view **self)
{
    struct nodes_view *view = *self;

    *self = NULL;
    if (view && atomic_fetch_sub_explicit (&view->references, 1, memory_order_acq_rel) == 1)
        free (view);
}

const struct node *
nodes_view_find (const struct nodes_view *self, uint64_t number)
{
    size_t low = 0, high = self->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->nodes[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < self->count && self->nodes[low].number == number ? &self->nodes[low] : NULL;
}

struct nodes *
nodes_new (int64_t wall_ms)
{
    struct nodes *self = calloc (1, sizeof *self);

    if (self)
        self->table = self->steady = wall_ms > 0 ? (uint64_t) wall_ms : 1;
    return self;
}

void
nodes_destroy (struct nodes **self)
{
    if (!*self)
        return;
    nodes_view_release (&(*self)->view);
    free ((*self)->members);
    free ((*self)->sessions);
    free (*self);
    *self = NULL;
}

/* Where the number is, or would be. */
static size_t
position (const struct nodes *self, uint32_t number)
{
    size_t low = 0, high = self->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->members[middle].node.number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct member *
find (const struct nodes *self, uint32_t number)
{
    size_t at = position (self, number);

    return at < self->count && self->members[at].node.number == number ? &self->members[at]
                                                                       : NULL;
}

static struct member *
find_session (const struct nodes *self, uint64_t session)
{
    for (size_t i = 0; i < self->count && session != 0; i++)
        if (self->sessions[i] == session)
            return &self->members[i];
    return NULL;
}

/* The session of a member. */
static uint64_t *
session_of (const struct nodes *self, const struct member *member)
{
    return &self->sessions[member - self->members];
}

static bool
make_room (struct nodes *self)
{
    if (self->count < self->room)
        return true;
    size_t room = self->room ? 2 * self->room : 16;
    struct member *members = realloc (self->members, room * sizeof *members);
    if (members)
        self->members = members;
    uint64_t *sessions = realloc (self->sessions, room * sizeof *sessions);
    if (sessions)
        self->sessions = sessions;
    if (!members || !sessions)
        return false;
    self->room = room;
    return true;
}

/* The member of a number, new and empty if there was none; NULL when memory is short. */
static struct member *
take (struct nodes *self, uint32_t number)
{
    struct member *member = find (self, number);

    if (member)
        return member;
    if (!make_room (self))
        return NULL;

    size_t at = position (self, number), after = self->count - at;
    member = &self->members[at];
    memmove (member + 1, member, after * sizeof *member);
    memmove (&self->sessions[at + 1], &self->sessions[at], after * sizeof *self->sessions);
    self->count++;
    *member = (struct member){.node.number = number};
    self->sessions[at] = 0;
    return member;
}

static void
touch (struct nodes *self)
{
    nodes_view_release (&self->view);
}

static void
touch_table (struct nodes *self, struct member *member)
{
    member->node.table = ++self->table;
    touch (self);
}

int
nodes_load (struct nodes *self, const struct node *node, litedfs_error_t *error)
{
    struct member *member = take (self, node->number);

    if (!member)
        return err_set (error, LITEDFS_MEMORY, "node[%u]: out of memory", node->number);
    member->node = *node;
    member->node.online = false;
    member->node.changed_wall_ms = 0;
    member->node.heard_wall_ms = 0;
    touch_table (self, member);
    return 0;
}

bool
node_takes_blocks (const struct node *self)
{
    return self->duty.duty == DUTY_SERVE && !self->excused;
}

double
node_use (const struct node *self)
{
    return self->storage_total > 0
               ? 100.0 * (double) self->storage_used / (double) self->storage_total
               : 0;
}

static void
turn (struct nodes *self, struct member *member, bool online, int64_t wall_ms)
{
    if (member->node.online == online)
        return;
    member->node.online = online;
    member->node.changed_wall_ms = wall_ms;
    touch_table (self, member);
    if (!online)
        self->steady = self->table;
}

void
nodes_set_duty (struct nodes *self, uint32_t number, const struct node_duty *duty,
                int64_t wall_ms)
{
    struct member *member = find (self, number);

    if (!member)
        return;
    bool news = member->node.duty.duty != duty->duty;
    member->node.duty = *duty;
    if (duty->duty == DUTY_REMOVED) {
        *session_of (self, member) = 0;
        turn (self, member, false, wall_ms);
    }
    if (news)
        self->steady = ++self->table; // whoever places blocks must know at once
    touch (self);
    nodes_excuse (self, wall_ms);
}

void
nodes_excuse (struct nodes *self, int64_t wall_ms)
{
    for (size_t i = 0; i < self->count; i++) {
        struct node *node = &self->members[i].node;
        bool excused = duty_is_excused (&node->duty, wall_ms);
        if (excused == node->excused)
            continue;
        node->excused = excused;
        self->table++;
        touch (self);
    }
}

int
nodes_check_twin (const struct nodes *self, const struct uuid *uuid, uint64_t session,
                  int64_t mono_ms, litedfs_error_t *error)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct member *member = &self->members[i];
        int64_t silent_ms = mono_ms - member->heard_mono_ms;
        if (!uuid_equal (&member->node.uuid, uuid) || self->sessions[i] == 0 ||
            self->sessions[i] == session)
            continue;
        if (silent_ms <= NODES_TWIN_HEARTBEATS * member->interval_ms) {
            char text[UUID_TEXT_SIZE];
            return err_set (
                error, LITEDFS_NODE_EXISTS,
                "node[%s]: another data node with this identity is connected (node %u, "
                "%s, heard %lld ms ago); was its disk copied? each data node needs a "
                "data_path of its own",
                uuid_print (uuid, text), member->node.number,
                member->node.host[0] ? member->node.host : "on this machine",
                (long long) silent_ms);
        }
    }
    return 0;
}

/* Whether others see a difference.  One that was started anew is another one, although its end may not have
 * been noticed, or taken for our own fault: what it had not finished is forgotten. */
static bool
looks_different (const struct node *a, const struct node *b)
{
    return a->incarnation != b->incarnation || a->online != b->online ||
           strcmp (a->host, b->host) != 0 || a->tcp_port != b->tcp_port ||
           a->chain_port != b->chain_port || strcmp (a->zone, b->zone) != 0;
}

int
nodes_register (struct nodes *self, const struct node *node, uint64_t session,
                int64_t interval_ms, int64_t timeout_ms, int64_t mono_ms, int64_t wall_ms,
                litedfs_error_t *error)
{
    struct member *before = find_session (self, session);
    if (before && before->node.number != node->number)
        return err_set (error, LITEDFS_INVALID, "node[%u]: this session is node %u already",
                        node->number, before->node.number);

    struct member *member = take (self, node->number);
    if (!member)
        return err_set (error, LITEDFS_MEMORY, "node[%u]: out of memory", node->number);

    struct node old = member->node;
    member->node = *node;
    member->node.online = true;
    member->node.suspect = old.suspect;
    member->node.excused = old.excused;
    member->node.table = old.table;
    member->node.heard_wall_ms = wall_ms;
    member->node.changed_wall_ms = old.online ? old.changed_wall_ms : wall_ms;
    *session_of (self, member) = session;
    member->interval_ms = interval_ms;
    member->timeout_ms = timeout_ms;
    member->heard_mono_ms = mono_ms;
    if (looks_different (&old, &member->node))
        touch_table (self, member);
    else
        touch (self);
    return 0;
}

uint32_t
nodes_of_session (const struct nodes *self, uint64_t session)
{
    const struct member *member = find_session (self, session);

    return member ? member->node.number : 0;
}

uint64_t
nodes_session (const struct nodes *self, uint32_t number)
{
    const struct member *member = find (self, number);

    return member ? *session_of (self, member) : 0;
}

void
nodes_heard (struct nodes *self, uint32_t number, const struct node_storage *storage,
             int64_t mono_ms, int64_t wall_ms)
{
    struct member *member = find (self, number);

    if (!member || *session_of (self, member) == 0)
        return;
    member->heard_mono_ms = mono_ms;
    member->node.heard_wall_ms = wall_ms;
    if (storage) {
        member->node.storage_total = storage->total;
        member->node.storage_used = storage->used;
        member->node.storage_free = storage->free;
        // Free bytes may be a little old in the writer's view, but not whether there are any.
        if (member->node.storage_full != storage->full)
            self->table++;
        member->node.storage_full = storage->full;
        member->node.blocks = storage->blocks;
    }
    touch (self);
    turn (self, member, true, wall_ms);
}

uint32_t
nodes_closed (struct nodes *self, uint64_t session, int64_t wall_ms)
{
    struct member *member = find_session (self, session);

    if (!member)
        return 0;
    *session_of (self, member) = 0;
    turn (self, member, false, wall_ms);
    return member->node.number;
}

uint32_t
nodes_detached (struct nodes *self, uint64_t session)
{
    struct member *member = find_session (self, session);

    if (!member)
        return 0;
    *session_of (self, member) = 0;
    return member->node.number;
}

uint32_t
nodes_expire (struct nodes *self, int64_t mono_ms, int64_t wall_ms, int64_t *silent_ms)
{
    for (size_t i = 0; i < self->count; i++) {
        struct member *member = &self->members[i];
        if (!member->node.online || mono_ms - member->heard_mono_ms <= member->timeout_ms)
            continue;
        *silent_ms = mono_ms - member->heard_mono_ms;
        turn (self, member, false, wall_ms);
        return member->node.number;
    }
    return 0;
}

/* Whoever places blocks must know, other nodes need not. */
static void
set_suspect (struct nodes *self, struct member *member, bool suspect)
{
    member->node.suspect = suspect;
    self->table++;
    touch (self);
}

bool
nodes_suspected (struct nodes *self, uint32_t number, uint64_t reporter, int64_t mono_ms)
{
    struct member *member = find (self, number);

    if (!member)
        return false;
    bool second = member->reporter != 0 && member->reporter != reporter &&
                  mono_ms - member->reported_mono_ms <= NODES_SUSPECT_MS;
    bool before = member->node.suspect;
    member->reporter = reporter;
    member->reported_mono_ms = mono_ms;
    if (!second)
        return false;
    member->suspect_until_ms = mono_ms + NODES_SUSPECT_MS;
    if (!before)
        set_suspect (self, member, true);
    return !before;
}

void
nodes_pardon (struct nodes *self, int64_t mono_ms)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->members[i].node.suspect && mono_ms >= self->members[i].suspect_until_ms)
            set_suspect (self, &self->members[i], false);
}

void
nodes_forgive (struct nodes *self, int64_t ms)
{
    for (size_t i = 0; i < self->count; i++)
        self->members[i].heard_mono_ms += ms;
}

uint64_t
nodes_table (const struct nodes *self)
{
    return self->table;
}

bool
nodes_settle (struct nodes *self, bool wait)
{
    bool settling = false;

    for (size_t i = 0; wait && i < self->count; i++)
        settling = settling || (self->members[i].node.heard_wall_ms == 0 &&
                                self->members[i].node.duty.duty != DUTY_REMOVED);
    if (settling != self->settling) {
        self->settling = settling;
        self->table++; // so that the view is handed on
        nodes_view_release (&self->view);
    }
    return settling;
}

struct nodes_view *
nodes_view (struct nodes *self)
{
    if (!self->view) {
        struct nodes_view *view =
            calloc (1, sizeof *view + self->count * sizeof view->nodes[0]);
        if (!view)
            return NULL;
        atomic_init (&view->references, 1);
        view->table = self->table;
        view->steady = self->steady;
        view->settling = self->settling;
        view->count = self->count;
        for (size_t i = 0; i < self->count; i++) {
            view->nodes[i] = self->members[i].node;
            view->online += self->members[i].node.online;
            view->removed += self->members[i].node.duty.duty == DUTY_REMOVED;
        }
        self->view = view;
    }
    return nodes_view_keep (self->view);
}
