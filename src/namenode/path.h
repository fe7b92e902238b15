/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_PATH_H
#define LITEDFS_NAMENODE_PATH_H

/*
 * Paths and names as peers send them.
 *
 * A path is absolute UTF-8 of 1 to 4096 bytes; its names have 1 to 255 bytes, no NUL, and are not "."
 * or "..".  Several slashes count as one and those at the end do not count: "//a///b/" is "/a/b".  "/"
 * is the root.  Everything else is refused with LITEDFS_INVALID and a text that says what is wrong.
 */

#include "base/buf.h"
#include "base/err.h"

#define PATH_BYTES_MAX 4096

/* Room for a path in a message for people: escaped, and cut if it is long. */
#define PATH_QUOTE_SIZE 320

int path_check (struct slice path, litedfs_error_t *error);

/* Whether a name may stand in a directory; LITEDFS_INVALID as above, and if it has a slash. */
int path_check_name (struct slice name, litedfs_error_t *error);

/* Cut the next name off the front of a path that was checked; false at its end. */
bool path_next (struct slice *rest, struct slice *name);

/* Split a checked path into the one above and its last name; false for the root. */
bool path_split (struct slice path, struct slice *parent, struct slice *name);

/* The path for people, with control characters escaped; returns out. */
char *path_quote (struct slice path, char out[PATH_QUOTE_SIZE]);

#endif
