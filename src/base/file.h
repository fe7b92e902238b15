/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_FILE_H
#define LITEDFS_BASE_FILE_H

/*
 * Local files, whole or not at all.  Every call blocks for as long as the disk does and starts
 * again after a signal.  Unless said otherwise they give 0, or LITEDFS_NOT_FOUND (it or a
 * directory on the way is missing), LITEDFS_NO_SPACE, LITEDFS_MEMORY or LITEDFS_IO with a text
 * that names the path.
 */

#include "base/buf.h"
#include "litedfs.h"

/* Append the whole file to out; LITEDFS_INVALID if it has more than limit bytes or is not a
 * regular file (a pipe or a device might never end).  On failure out is as before. */
int file_read_all (const char *path, size_t limit, struct buf *out, litedfs_error_t *error);

/* The same from where an open descriptor stands to its end, whatever it is; name is for the
 * text. */
int file_read_fd (int fd, const char *name, size_t limit, struct buf *out,
                  litedfs_error_t *error);

/* Read size bytes at offset; LITEDFS_CORRUPT if the file ends before.  name is for the text. */
int file_pread_full (int fd, void *data, size_t size, uint64_t offset, const char *name,
                     litedfs_error_t *error);

/* Write size bytes at offset.  After a failure some may be written.  name is for the text. */
int file_pwrite_full (int fd, const void *data, size_t size, uint64_t offset, const char *name,
                      litedfs_error_t *error);

/* Replace or make the file at path so that after a crash it is the old one or the new one: a
 * temporary file in the same directory, fsync, rename, fsync of the directory.  mode as
 * open(2), independent of the umask. */
int file_write_atomic (const char *path, const void *data, size_t size, unsigned mode,
                       litedfs_error_t *error);

/* Make the directory and those above it that are missing, durably; fine if it exists.  mode as
 * mkdir(2), less the umask.  LITEDFS_NOT_DIRECTORY if something else is in the way. */
int file_make_directories (const char *path, unsigned mode, litedfs_error_t *error);

/* Make the names in a directory durable. */
int file_sync_directory (const char *path, litedfs_error_t *error);

/* Lock the file (made if missing) for this process, write our pid into it and give the
 * descriptor; closing it, or dying, unlocks.  LITEDFS_IN_USE with the other's pid if somebody
 * has it.  A full disk is no reason to fail: then the file may name no pid. */
int file_lock (const char *path, int *out_fd, litedfs_error_t *error);

/* The absolute form of a path, seen from directory (NULL: the current one), without "." and
 * double slashes; it need not exist, and links are not followed.  A ".." after a name of the
 * caller's stays, because that name may be a link.  LITEDFS_INVALID for an empty path.  The
 * caller frees *out. */
int file_absolute (const char *directory, const char *path, char **out, litedfs_error_t *error);

/* Total and available bytes (for who is not root) of the file system that path is on. */
int file_free_bytes (const char *path, uint64_t *out_total, uint64_t *out_free,
                     litedfs_error_t *error);

#endif
