/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLIENT_RENEWER_H
#define LITEDFS_CLIENT_RENEWER_H

/*
 * Keeps a lease alive from a thread of its own, with a connection of its own, so that a transfer that
 * waits for a slow disk or a slow reader does not lose it.
 */

#include "client/session.h"

struct renewer;

/* Renew every third of ttl_s from now on.  The lease is copied.  LITEDFS_MEMORY, LITEDFS_FAILED. */
int renewer_start (struct renewer **out, const litedfs_t *session, const struct uuid *file,
                   const uint8_t lease[WIRE_LEASE_SIZE], uint64_t ttl_s,
                   litedfs_error_t *error);

/* Whether the name node has said that the lease is gone.  Any thread. */
bool renewer_lost (const struct renewer *self);

/* End the thread and wait for it.  Takes NULL, sets it to NULL. */
void renewer_stop (struct renewer **self);

#endif
