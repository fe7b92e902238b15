/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_RATE_H
#define LITEDFS_NAMENODE_RATE_H

/*
 * How fast something went of late: an amount a second over the last RATE_SECONDS seconds.  Pure; now_ms
 * never goes back.  Zero-initialised it has seen nothing.
 */

#include <stdint.h>

#define RATE_SECONDS 8

struct rate {
    int64_t began_s; // the first second with something after a pause; 0: there is none
    int64_t last_s;  // the second that the last of `amounts` is of
    uint64_t amounts[RATE_SECONDS];
};

void rate_add (struct rate *self, int64_t now_ms, uint64_t amount);

/* Amount a second; 0 when nothing came for RATE_SECONDS. */
uint64_t rate_now (struct rate *self, int64_t now_ms);

#endif
