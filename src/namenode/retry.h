/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_RETRY_H
#define LITEDFS_NAMENODE_RETRY_H

/*
 * Replies of requests that changed something, so that the same request again gets the first answer and
 * no second effect.
 *
 * (client, id) -> op, CRC of the request, reply; stored in the transaction of the change itself.  Rows
 * go when the client says that it has seen the reply, after RETRY_AGE_MS, and when a client has more
 * than RETRY_ROWS_MAX (its lowest ids first).  An id below what was let go is LITEDFS_STALE, for as long
 * as the client is known: RETRY_AGE_MS after its last stored reply it is forgotten.  Ages are of the wall
 * clock, because they outlive the process.
 */

#include "namenode/metastore.h"
#include "wire/message.h"

#define RETRY_AGE_MS ((uint64_t) 10 * 60 * 1000)
#define RETRY_ROWS_MAX 4096

struct retry_key {
    uint8_t client[WIRE_CLIENT_SIZE];
    uint64_t id;
    uint64_t seen; // every id up to it is answered; 0: says nothing
    uint32_t crc;  // of the request's frame
};

/* Was this request answered?  *reply is the stored reply (a slice into the store: copy it before a
 * write), or data NULL if the request is new.  LITEDFS_STALE; LITEDFS_ID_REUSED: op or CRC differ. */
int retry_find (struct txn *txn, const struct retry_key *key, struct slice op,
                struct slice *reply, litedfs_error_t *error);

/* Keep the reply, drop what the client has seen (RETRY_DROP_MAX rows at most; the rest next time). */
int retry_store (struct txn *txn, const struct retry_key *key, struct slice op,
                 struct slice reply, litedfs_error_t *error);

#define RETRY_DROP_MAX 64

/* What a client's row says of its replies, and what is there. */
struct retry_count {
    uint64_t said;
    uint64_t there;
};

/* Look at a row of the table: of a client, whose replies are counted (and decoded), or of a reply, which is
 * passed over.  LITEDFS_CORRUPT. */
int retry_count_rows (struct txn *txn, struct slice key, struct slice value,
                      struct retry_count *out, litedfs_error_t *error);

/* Forget replies and clients that are too old: looks at up to max clients after *cursor (empty: from the
 * first) and leaves in it where to go on, empty after the last; *removed is how many rows went, at most
 * about 4 * max. */
int retry_sweep (struct txn *txn, struct buf *cursor, size_t max, size_t *removed,
                 litedfs_error_t *error);

#endif
