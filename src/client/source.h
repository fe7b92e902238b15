/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLIENT_SOURCE_H
#define LITEDFS_CLIENT_SOURCE_H

/*
 * Where an upload's bytes come from, block by block, any of them more than once.
 *
 * A regular file is read where it is.  Anything else (a pipe, a terminal) is a stream: its bytes are
 * spooled to unlinked files in $TMPDIR, one a block and SOURCE_SPOOLS at a time, so that a block can be
 * sent again to another node.  The caller polls source_fd while source_wants_input and then calls
 * source_fill; nothing here waits for a stream.
 */

#include "litedfs.h"

#define SOURCE_SPOOLS 2

struct source;

/* Take a descriptor, which stays the caller's.  stream: even a regular file counts as one.
 * LITEDFS_IS_DIRECTORY, LITEDFS_IO, LITEDFS_MEMORY. */
int source_open (struct source **out, int fd, bool stream, litedfs_error_t *error);

/* Takes NULL, sets it to NULL. */
void source_close (struct source **self);

/* Say how many bytes a block has, at least 64 KiB.  Before it is said a stream may be filled once. */
void source_set_block_size (struct source *self, uint64_t block_size);

/* The size in bytes; UINT64_MAX for a stream that has not ended. */
uint64_t source_size (const struct source *self);

/* The number of blocks; UINT64_MAX while the size is not known. */
uint64_t source_count (const struct source *self);

/* Whether a byte, or the end, was seen: always for a regular file. */
bool source_begun (const struct source *self);

/* Whether a stream has room for more bytes, and its descriptor. */
bool source_wants_input (const struct source *self);
int source_fd (const struct source *self);

/* Read once from a stream.  LITEDFS_IO, LITEDFS_NO_SPACE (the spool's disk). */
int source_fill (struct source *self, litedfs_error_t *error);

/* How many bytes of a block are there.  *complete: all that the block will have, and it is known whether
 * it is the last one.  0 for a block whose turn has not come. */
uint64_t source_available (const struct source *self, uint64_t index, bool *complete);

/* Read bytes that are available.  LITEDFS_IO: also if a regular file has become shorter. */
int source_read (struct source *self, uint64_t index, uint64_t offset, void *data, size_t size,
                 litedfs_error_t *error);

/* The block will not be read any more. */
void source_release (struct source *self, uint64_t index);

#endif
