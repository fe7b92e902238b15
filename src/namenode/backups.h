/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_BACKUPS_H
#define LITEDFS_NAMENODE_BACKUPS_H

/*
 * Copies that a name node has made of its metadata by itself, every so often, of which it keeps the last
 * few.  Each is made by another process, `litename --backup`, because a snapshot in this one would hold the
 * store's map back; what it says goes into the log.
 *
 * They stand in a directory of their own under the time of their beginning (UTC), as 20261130-152625.  What
 * has another name there is left alone.  The first one is due an interval after the store was made.
 *
 * For one thread, which calls backups_tick several times a second.
 */

#include "base/clock.h"
#include "base/log.h"
#include "litedfs.h"

#include <stdbool.h>
#include <stddef.h>

struct backups;

struct backups_options {
    const char *program;     // litename, absolute
    const char *config_path; // with which it is started
    const char *made;        // a file that is as old as the store
    const char *directory;   // of the copies, absolute; made when the first one is
    int64_t interval_ms;     // between two beginnings; 1 or more
    size_t keep;             // 1 or more
    struct log *log;
    const struct clock *clock;
};

/* The options' texts are copied, log and clock borrowed.  LITEDFS_MEMORY. */
int backups_new (struct backups **out, const struct backups_options *options,
                 litedfs_error_t *error);

/* Begin a copy if it is time to, look whether the one under way has ended.  Does not wait for it. */
void backups_tick (struct backups *self);

/* End; a copy under way is given up, which is waited for, 2 s at most.  Takes NULL, sets it to NULL. */
void backups_destroy (struct backups **self);

/* The name of a copy of this time, and the other way: false if it is no such name. */
#define BACKUPS_NAME_SIZE 16
char *backups_name (int64_t wall_ms, char out[BACKUPS_NAME_SIZE]);
bool backups_time (const char *name, int64_t *wall_ms);

#endif
