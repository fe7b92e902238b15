/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_RPC_SESSION_H
#define LITEDFS_RPC_SESSION_H

/*
 * The sessions of a router: which connection a request came by, when it has ended, and how much
 * is under way to it.  Pure: no socket, no clock.
 *
 * A session is found by routing id and descriptor.  What is known about descriptors comes from
 * the socket monitor in the order in which it happened, and the caller hands it over before it
 * looks up the session of a message that it has received: then the end of an earlier connection
 * with the same descriptor has been told.  A message may still come out of the socket after its
 * connection has ended; it gets a session that the caller ends at once
 * (session_table_is_open).  Numbers of sessions start at 1 and are not used twice.
 *
 * Requests that return bytes are admitted or not: `outstanding` are those that the peer may not
 * have got yet, see router.h.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A peer without descriptor (in this process) that was silent so long is forgotten, in ms. */
#define SESSION_IDLE_MS (10 * 60 * 1000)

struct session_limits {
    uint64_t bytes;
    unsigned requests;
};

/* A request that returns bytes: how many it will return, or has returned. */
struct outstanding {
    uint64_t id;
    uint64_t bytes;
    bool answered;
};

struct session {
    uint64_t number;
    int fd;         // -1: a peer in this process
    bool left_over; // of a connection that had the descriptor before
    int64_t used_ms;
    struct outstanding *items; // by id; items[first] to items[first + count - 1]
    size_t first;
    size_t count;
    size_t capacity;
    uint64_t bytes; // sum of what is outstanding
    uint64_t
        other_bytes; // of replies that are not outstanding, since the connection was last empty
    struct session *next; // in its bucket
    uint8_t id_size;
    uint8_t id[32];
};

struct session_table;

/* A table, or NULL when memory is short. */
struct session_table *session_table_new (void);

/* Takes NULL, sets it to NULL. */
void session_table_destroy (struct session_table **self);

/* A connection with this descriptor was accepted; has ended. */
void session_table_opened (struct session_table *self, int fd);
void session_table_closed (struct session_table *self, int fd);

/* The session of a message that came by this routing id (1 to 32 bytes) and descriptor; made if
 * it is new.  Valid until the next call but session_admit and session_answered; NULL when
 * memory is short. */
struct session *session_table_get (struct session_table *self, const uint8_t *id, size_t size,
                                   int fd, int64_t now_ms);

/* Whether its connection is open; if not, this message is the last that is left of it. */
bool session_table_is_open (const struct session_table *self, const struct session *session);

/* The session of a routing id, if it has this number; else NULL.  Valid as above. */
struct session *session_table_find (struct session_table *self, const uint8_t *id, size_t size,
                                    uint64_t number);

/* A reply found nobody: the session has ended. */
void session_table_gone (struct session_table *self, struct session *session);

/* The next session that has ended: true and its number. */
bool session_table_next_ended (struct session_table *self, uint64_t *out_number);

/* Whether one waits there. */
bool session_table_has_ended (const struct session_table *self);

/* How many sessions are open. */
size_t session_table_count (const struct session_table *self);

/* What a request says about itself when it asks to be admitted. */
struct session_claim {
    uint64_t id;
    bool has_seen;
    uint64_t seen;
    uint64_t bytes;  // how many it will return at most
    uint64_t unread; // bytes that the connection holds and the peer has not taken
};

/* Admit a request that returns bytes: true, and it is outstanding; or false: too much is, or
 * the peer has not taken what it says it has, or memory is short. */
bool session_admit (struct session *self, const struct session_limits *limits,
                    const struct session_claim *claim);

/* A reply of so many bytes was given to the socket for this id; 0: none was, it was dropped. */
void session_answered (struct session *self, uint64_t id, uint64_t bytes);

#endif
