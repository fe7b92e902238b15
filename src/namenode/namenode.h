/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_NAMENODE_H
#define LITEDFS_NAMENODE_NAMENODE_H

/*
 * A name node: the actor behind the ROUTER, and the writer behind it.
 *
 * The process has done process_init_czmq, runs a ZAP handler (rpc/zap.h), and has told it who may come to
 * the domain NAMENODE_DOMAIN.  Several name nodes may run in one process, each on a data_path of its
 * own.
 */

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "namenode/config.h"

/* The ZAP domain of its sockets. */
#define NAMENODE_DOMAIN "name"

struct namenode;
struct metrics;

/* Start it: open or make what is at data_path, bind, serve.  Blocks until it serves or has failed;
 * then nothing is left behind.  config (checked), log and clock must outlive it; log may be NULL.
 * Errors as storedir_open, router_new and actor_start. */
int namenode_start (struct namenode **out, const struct namenode_config *config,
                    struct log *log, const struct clock *clock, litedfs_error_t *error);

/* Stop it: what is under way is finished and made durable, requests that were not begun are not
 * answered.  Takes NULL, sets it to NULL. */
void namenode_stop (struct namenode **self);

/* Whether it has ended by itself, because its disk failed. */
bool namenode_ended (const struct namenode *self);

/* The TCP port that it serves. */
int namenode_port (const struct namenode *self);

/* The endpoint for threads of this process, "inproc://...". */
const char *namenode_inproc (const struct namenode *self);

/* What it has counted; it is the name node's, and may be rendered from any thread until it stops. */
struct metrics *namenode_metrics (const struct namenode *self);

/* The cluster that it is the name node of. */
const struct uuid *namenode_cluster (const struct namenode *self);

#endif
