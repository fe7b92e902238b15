/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_BACKUP_H
#define LITEDFS_NAMENODE_BACKUP_H

/*
 * A copy of a name node's data_path, of one moment, made beside the name node that serves it.
 *
 * The copy is a data_path itself: VERSION, meta/, and the file COPY, by which the name node that is
 * started on it knows that it is none that it left (restored.h).  It is made as PATH.partial and gets its
 * name when all of it is on the disk.  A snapshot is held for as long as it takes, so the store's file
 * grows by what is written meanwhile; yet it is made slowly, because what serves comes first.
 */

#include "base/clock.h"
#include "namenode/storedir.h"

struct backup_options {
    const char *path; // of the copy, absolute; missing, or an empty directory
    uint64_t rate;    // bytes a second, at most; 0: as fast as the disk is
    uint64_t reserve; // bytes that stay free if it is on the disk of the original

    /* Let ms pass, 0 or more; true: give up.  NULL: there is no pause, and no giving up. */
    bool (*pause) (void *arg, int ms);
    void *arg;
};

struct backup_result {
    uint64_t bytes; // of the copy
    int64_t elapsed_ms;
};

/* Make it.  `from` may be read-only.  LITEDFS_EXISTS: something is at the path; LITEDFS_IN_USE: another
 * process makes the same copy now; LITEDFS_NO_SPACE; LITEDFS_CANCELLED: it was given up; LITEDFS_IO, and
 * those of metastore.h.  After a failure nothing is left of it. */
int backup_make (const struct backup_options *options, struct storedir *from,
                 const struct clock *clock, struct backup_result *out, litedfs_error_t *error);

/* Remove a copy that was made, or what a process that died has left of one (PATH.partial).  Fine if there
 * is none; LITEDFS_INVALID if that is something else.  Returns errors of the disk. */
int backup_remove (const char *path, litedfs_error_t *error);

#endif
