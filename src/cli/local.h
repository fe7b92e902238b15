/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLI_LOCAL_H
#define LITEDFS_CLI_LOCAL_H

/*
 * The local side of a transfer: where an upload's bytes come from and where a download's go.
 *
 * A download is written to a temporary file in the directory of its target and gets its name when
 * all is verified and durable, so that whoever sees the name sees the whole file.  "-" is standard
 * input or output; that, and what exists and is no regular file (a pipe, a device), is written in
 * order and has no temporary file.
 */

#include "litedfs.h"

#include <sys/types.h>

/* Take the place of standard descriptors that were closed when we started with ones that fail as
 * they should: else the next file or socket would get the number, and what is printed would go
 * there. */
void local_keep_standard (void);

/* What an upload reads. */
struct local_source {
    int fd;
    bool regular; // a file with a name, which can be compared with a remote one
    bool stream;  // standard input that stands in the middle of a file
};

/* Open it.  LITEDFS_NOT_FOUND, LITEDFS_IS_DIRECTORY, LITEDFS_IO. */
int local_source_open (struct local_source *self, const char *path, litedfs_error_t *error);

/* Close it, unless it is standard input. */
void local_source_close (struct local_source *self);

/* The target of a download.  Zero-initialised and closed is valid for local_discard. */
struct local_target {
    const char *shown; // as the user wrote it
    char *path;        // what gets the name; links are followed
    char *temporary;   // NULL: the bytes go straight to fd
    int fd;            // -1: not open
    bool replace;
    mode_t mode;
};

/* Look at the target and decide; makes nothing yet.  LITEDFS_EXISTS if a regular file is there and
 * replace is false; LITEDFS_IS_DIRECTORY, LITEDFS_NOT_FOUND (its directory), LITEDFS_IO,
 * LITEDFS_MEMORY. */
int local_target_check (struct local_target *self, const char *path, bool replace,
                        litedfs_error_t *error);

/* Open it: `fd`, and `temporary` if there is one.  Errors as above, LITEDFS_NO_SPACE. */
int local_target_open (struct local_target *self, litedfs_error_t *error);

/* Make the bytes durable and give them the name.  LITEDFS_EXISTS if a file has appeared there
 * meanwhile and replace is false; the temporary file is then still to be discarded. */
int local_target_commit (struct local_target *self, litedfs_error_t *error);

/* Close, and remove the temporary file if it was not committed. */
void local_target_discard (struct local_target *self);

#endif
