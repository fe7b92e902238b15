/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_RPC_ZAP_H
#define LITEDFS_RPC_ZAP_H

/*
 * Who may connect: the process's ZAP handler (ZeroMQ RFC 27), an actor of its own.
 *
 * libzmq asks it about each new connection to a bound network socket, naming the socket's
 * domain and the peer's address, before a single frame of the peer is read.  A domain is
 * whatever its owner calls it (one a daemon); it has a list of networks.  A domain without a
 * list lets nobody in, nor does a process whose handler does not run.  Who is connected stays
 * connected when a list is replaced.
 *
 * Start it before the first bind, one a process: it is the one that libzmq knows.  Several
 * daemons in one process share it.  All calls but zap_start and zap_stop may come from any
 * thread at any time.
 */

#include "base/clock.h"
#include "base/log.h"
#include "base/net.h"

/* Room for the name of a domain with its NUL. */
#define ZAP_DOMAIN_SIZE 64

struct zap;

/* Start it.  clock and log must outlive it; log may be NULL.  LITEDFS_IN_USE if the process has
 * one already, else as actor_start. */
int zap_start (struct zap **out, struct log *log, const struct clock *clock,
               litedfs_error_t *error);

/* Stop it and free it; nobody new can connect from then on.  Takes NULL, sets it to NULL. */
void zap_stop (struct zap **self);

/* Let these networks, and nobody else, connect to sockets of the domain; replaces what was said
 * before.  The list is copied.  source is the file that has the list, for the line in the log
 * ("refused 10.1.2.3: not in allow: of SOURCE"); NULL if there is none.  LITEDFS_INVALID if the
 * domain's name is empty or too long, LITEDFS_MEMORY. */
int zap_allow (struct zap *self, const char *domain, const struct net_list *list,
               const char *source, litedfs_error_t *error);

/* Forget the domain: nobody can connect to its sockets any more. */
void zap_forget (struct zap *self, const char *domain);

/* Whether a numeric address may come in: the same list for those who do not come by ZeroMQ
 * (HTTP). Refusals count and are logged as the others are: one line an address a minute. */
bool zap_allows (struct zap *self, const char *domain, const char *address);

/* How many connections were refused since the start, in all domains. */
uint64_t zap_refused (struct zap *self);

#endif
