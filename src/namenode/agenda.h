/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_AGENDA_H
#define LITEDFS_NAMENODE_AGENDA_H

/*
 * What repair shall look at next: ranges of blocks of files, in memory.
 *
 * Lists of ranges.  Items of the first are looked at now, in the order in which they came; those of the
 * second at their time; the others wait until some data node can take another copy, a list for each level
 * of urgency.  Ranges of a file that touch each other are one item of their list.  Beside them stand the
 * copies that are said to have failed.
 *
 * An agenda holds hints: what really is to be done stands in the table `repair`.  So it is told outside of
 * transactions what may come to nothing, and when a list is full, items are dropped and agenda_missed
 * says that the table must be walked through.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most items in each list. */
#define AGENDA_MAX 1024

/* Levels of urgency: 0 is the most urgent one. */
#define AGENDA_LEVELS 4

/* Blocks first to end - 1 of an inode. */
struct agenda_item {
    uint64_t inode;
    uint32_t first;
    uint64_t end;
};

/* A copy of a block that its source could not make. */
struct agenda_failure {
    uint64_t block;
    uint32_t source;
    uint32_t target;
};

struct agenda;

struct agenda *agenda_new (void); // NULL: out of memory
void agenda_destroy (struct agenda **self);

/* Look at it now.  self may be NULL: nobody is told. */
void agenda_add (struct agenda *self, struct agenda_item item);

/* The same for one block. */
void agenda_add_block (struct agenda *self, uint64_t inode, uint32_t index);

/* Look at it when the clock is there; with what it becomes one with, at the earlier time. */
void agenda_add_later (struct agenda *self, struct agenda_item item, int64_t when_ms);

/* It waits for a data node that is busy; agenda_release lets the oldest `count` of each level be
 * looked at before all others, the most urgent ones first. */
void agenda_add_busy (struct agenda *self, struct agenda_item item, unsigned level);
void agenda_release (struct agenda *self, size_t count);

/* Whether no more item of this level may wait for busy data nodes; whether any item waits. */
bool agenda_is_choked (const struct agenda *self, unsigned level);
bool agenda_any_busy (const struct agenda *self);

/* A copy has failed; take the next one that has, false if there is none.  What does not fit is forgotten:
 * a copy's time is over some day.  self of the first may be NULL. */
void agenda_add_failure (struct agenda *self, struct agenda_failure failure);
bool agenda_next_failure (struct agenda *self, struct agenda_failure *out);

/* Take the next one to be looked at; false if there is none now. */
bool agenda_next (struct agenda *self, int64_t now_ms, struct agenda_item *out);

/* When agenda_next will give one if nothing is added: 0 for now, INT64_MAX for never. */
int64_t agenda_next_ms (const struct agenda *self);

/* Whether items were dropped since this was asked last. */
bool agenda_missed (struct agenda *self);

/* Forget everything. */
void agenda_clear (struct agenda *self);

#endif
