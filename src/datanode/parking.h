/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_PARKING_H
#define LITEDFS_DATANODE_PARKING_H

/*
 * Requests that are answered later: where each answer goes, under a token.
 */

#include "datanode/pipeline.h"
#include "rpc/router.h"

/* The most that may wait. */
#define PARKING_MAX 65536

struct parked {
    enum message_number number; // of the request's type
    uint64_t id;
    struct route route;
    size_t next_free; // in the table alone
};

/* Valid when zero-initialised. */
struct parking {
    struct parked *places;
    size_t count;
    size_t first_free; // count if there is none
};

/* Remember a request's route; *out_token is good until parking_leave.  LITEDFS_BUSY when too many wait
 * or memory is short. */
int parking_enter (struct parking *self, const struct request *request, uint64_t *out_token,
                   litedfs_error_t *error);

/* Take it out.  The token was given by parking_enter and has not left. */
struct parked parking_leave (struct parking *self, uint64_t token);

/* The session that it came from. */
uint64_t parking_session (const struct parking *self, uint64_t token);

/* Answer a block.write or block.stat that has left with what a PIPELINE_REPLY without error says: the
 * state of its block, all copies together, and each one's. */
void parked_reply (const struct parked *parked, struct router *router,
                   const struct pipeline_action *action);

/* Forget all and free the memory. */
void parking_free (struct parking *self);

#endif
