/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_TASKS_H
#define LITEDFS_NAMENODE_TASKS_H

/*
 * What litename does once instead of serving, on the data of a name node that may run or not: look
 * whether all is well with them, copy them, make them anew.  Each prints what it has to say and ends.
 */

#include "base/daemon.h"

/* Where the rows of litename's command line are that tasks look at. */
enum {
    TASK_OPT_CHECK = DAEMON_OPT_OWN,
    TASK_OPT_BACKUP,
    TASK_OPT_ACCEPT,
    TASK_OPT_REBUILD,
    TASK_OPT_DATA_PATH,
    TASK_OPT_END
};

/* Their rows, in that order. */
#define TASK_OPT_ROWS                                                                          \
    {0, "check", NULL, "look whether the metadata are consistent, and end"},                   \
        {0, "backup", "DIR", "copy the data to DIR, also while they are served, and end"},     \
        {0, "accept-restore", NULL, "after a copy was put back: delete on data nodes again"},  \
        {0, "rebuild", NULL, "make the data anew, from lists of blocks on standard input"},    \
    {                                                                                          \
        0, "data-path", "DIR",                                                                 \
            "with --check, --backup: the data, instead of those that -c names"                 \
    }

/* The table, for struct daemon_program. */
extern const struct daemon_task namenode_tasks[];

#endif
