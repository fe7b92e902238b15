/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_NAMENODE_BATCH_FIXTURE_H
#define LITEDFS_TESTS_NAMENODE_BATCH_FIXTURE_H

/*
 * What the writer of a name node works with, without its actor: a data_path, leases, a clock that moves
 * when it is told to, one data node; and jobs from requests.
 */

#include "namenode/batch.h"

#include "base/err.h"
#include "namenode/records.h"

#include <string.h>

#include "unit.h"

#define TYPE(name) (&message_types[MESSAGE_##name])
#define S(text) slice_str (text)

extern struct storedir_options dir_options; // for reopen
extern struct batch_context context;
extern struct fake_clock fake;
extern litedfs_error_t error;

/* The checked fixture. */
void batch_setup (void);
void batch_teardown (void);

/* Close data_path and open it with what dir_options says now. */
void reopen (void);

/* A job from a request with this id; who != 0: of a client that wants its reply kept. */
struct job job_of (const struct message_type *type, const void *fields, uint64_t id,
                   uint8_t who);
struct job create_directory (const char *path, uint64_t id, uint8_t who);
struct job delete_directory (const char *path, uint64_t id);
struct job create_file (const char *path, uint64_t id, uint64_t ttl);

/* Run jobs as one batch. */
void run (struct job *jobs, size_t count);

/* The number of a job's reply: 0 if it is ok. */
int answer_of (const struct job *job);

/* Free what jobs have. */
void end (struct job *jobs, size_t count);

/* Whether there is something at this path; how many rows a table has. */
bool exists (const char *path);
uint64_t rows_of (enum metastore_table table);

#endif
