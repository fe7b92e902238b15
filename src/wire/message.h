/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_WIRE_MESSAGE_H
#define LITEDFS_WIRE_MESSAGE_H

/*
 * Messages: msgpack frames to the structs of messages.def and back.
 *
 * The model.  Each op has one row in message_types[], with a schema for its request and one for
 * its reply; one encoder and one decoder serve them all.  A request frame is parsed in two
 * steps, because the receiver must know the op before it knows the struct:
 * message_parse_request scans the frame and reads the envelope, message_request_fields decodes
 * the op's own fields.  Replies likewise.
 *
 * Caveats.  Slices in decoded structs point into the frame, which must outlive them; lists come
 * from the message's arena and live as long as the message.  Text is any bytes: not ended by a
 * NUL, perhaps with some inside, perhaps not UTF-8.  Pure: no socket, no thread, no clock.
 * Nothing in a frame is trusted: pack.h has the bounds of the frame, and decoded lists take at
 * most 64 KiB and 16 times the frame.  Unknown keys are ignored; a known one twice is refused.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION_MIN 1
#define WIRE_VERSION_MAX 1
#define WIRE_MAX INT64_MAX // largest integer on the wire: fits a signed 64-bit one anywhere
#define WIRE_UNKNOWN UINT64_MAX // "absent" for an optional integer; never encoded
#define WIRE_CHUNK_MAX 4194304  // bytes of payload in one frame
#define WIRE_PAGE_MAX 262144    // bytes of a reply's first frame
#define WIRE_CLIENT_SIZE 16     // bytes of `client`, the random id of a session that retries
#define WIRE_LEASE_SIZE 16      // bytes of a lease token

/* Words that travel as text and live as numbers; each array ends with NULL. */
enum kind { KIND_DIRECTORY, KIND_FILE };
enum node_status { NODE_OFFLINE, NODE_ONLINE };
enum duty { DUTY_SERVE, DUTY_DRAIN, DUTY_REMOVED };
enum balance_set { BALANCE_KEEP, BALANCE_ON, BALANCE_OFF };
enum change_kind { CHANGE_ADDED, CHANGE_REMOVED, CHANGE_DAMAGED };
enum order_kind { ORDER_DELETE, ORDER_COPY };
enum replica_state {
    REPLICA_UNKNOWN,
    REPLICA_RECEIVING,
    REPLICA_SYNCING,
    REPLICA_DURABLE,
    REPLICA_FAILED,
    REPLICA_RELAY
};
enum check_state { // from the best to the worst that a file's blocks can be, then copies
    CHECK_HEALTHY,
    CHECK_OVER,    // too many copies: healthy, too
    CHECK_UNDER,   // too few
    CHECK_AWAY,    // nobody has it who is there, but somebody who is expected back
    CHECK_MISSING, // nobody has it
    CHECK_CORRUPT, // a copy that is damaged
    CHECK_ORPHANED // a copy of a block that is nobody's
};
#define CHECK_STATES 7
enum holder_standing {
    STANDING_LIVE,    // online, and has confirmed that it has the block
    STANDING_AWAY,    // offline, and expected back
    STANDING_EXCUSED, // offline for maintenance
    STANDING_LEAVING, // it drains
    STANDING_CLAIMED, // a client said so, and it has not confirmed it yet
    STANDING_DENIED,  // it did not confirm it in time, or was told to delete it
    STANDING_GONE     // offline for long
};
enum awaits {
    AWAITS_TURN,         // repair will come to it
    AWAITS_SETTLING,     // the nodes of before the name node's start
    AWAITS_COPY,         // copies are under way
    AWAITS_CONFIRMATION, // of a holder
    AWAITS_RETURN,       // of a node that is offline, until repair_delay is over
    AWAITS_SOURCE,       // no copy can be read until a node is back
    AWAITS_BUSY,         // nodes that have enough to do
    AWAITS_ROOM,         // no node has room
    AWAITS_NODE,         // there is no other node
    AWAITS_DELETION,     // there are too many copies, repair will take some away
    AWAITS_NOTHING       // no copy is left, and nothing that would bring one
};
extern const char *const words_kind[];          // "directory", "file"
extern const char *const words_node_status[];   // "offline", "online"
extern const char *const words_duty[];          // "serve", "drain", "removed"
extern const char *const words_balance_set[];   // "keep", "on", "off"
extern const char *const words_change_kind[];   // "added", "removed", "damaged"
extern const char *const words_order_kind[];    // "delete", "copy"
extern const char *const words_check_state[];   // "healthy", "over_replicated", ... "orphaned"
extern const char *const words_standing[];      // "live", "away", "claimed", "denied", "gone"
extern const char *const words_awaits[];        // "turn", "settling", ... "nothing"
extern const char *const words_replica_state[]; // "unknown", "receiving", ... "relay"

/* The structs of every record, request and reply, from messages.def. */
#define RECORD(name) struct wire_##name {
#define END_RECORD(name)                                                                       \
    }                                                                                          \
    ;
#define REQUEST(name, op, from, to, effect) struct name##_request {
#define REPLY(name)                                                                            \
    }                                                                                          \
    ;                                                                                          \
    struct name##_reply {
#define END(name)                                                                              \
    }                                                                                          \
    ;
#define UINT(key, min, max, need, fallback) uint64_t key;
#define BOOL(key, need, fallback) bool key;
#define TEXT(key, min, max, need) struct slice key;
#define BYTES(key, min, max, need) struct slice key;
#define ID(key, need) struct uuid key;
#define WORD(key, words, need, fallback) unsigned key;
#define UINTS(key, max, need)                                                                  \
    uint64_t *key;                                                                             \
    size_t key##_count;
#define LIST(key, record, max, need)                                                           \
    struct wire_##record *key;                                                                 \
    size_t key##_count;
#include "wire/messages.def"

/* One number an op: MESSAGE_directory_create and so on, an index of message_types[]. */
enum message_number {
#define REQUEST(name, op, from, to, effect) MESSAGE_##name,
#include "wire/messages.def"
    MESSAGE_COUNT
};

enum message_peer { PEER_CLIENT = 1, PEER_NODE = 2, PEER_NAME = 4, PEER_ANY = 7 };
enum message_effect { EFFECT_READS, EFFECT_MUTATES, EFFECT_IDEMPOTENT, EFFECT_PUSHED };

struct schema; // how a struct and a msgpack map correspond; in message.c

struct message_type {
    const char *op;
    enum message_number number;
    enum message_peer from;
    enum message_peer to;
    enum message_effect effect;
    const struct schema *request;
    const struct schema *reply;
};

extern const struct message_type message_types[MESSAGE_COUNT];

/* The row of an op's name, or NULL. */
const struct message_type *message_find (struct slice op);

/* Set every field of a request (or reply) struct of this type to its default, lists to
 * empty. */
void message_request_init (const struct message_type *type, void *fields);
void message_reply_init (const struct message_type *type, void *fields);

/* What every request carries beside the op's own fields. */
struct envelope {
    uint64_t id;         // the caller's, echoed; any 64-bit value up to WIRE_MAX
    uint64_t version;    // `v`, 1 when absent; 0 and 1 are not sent
    struct slice client; // 16 bytes, or data NULL: nothing is stored for retries
    uint64_t seen;       // WIRE_UNKNOWN when absent; every id up to it is answered
};

/* A parsed frame.  Requests have a type; replies have ok and, when not ok, an error number
 * and text. */
struct message {
    struct envelope envelope;
    const struct message_type *type; // NULL in replies, and in requests whose op is not known
    struct slice op;                 // as sent; requests only
    struct slice frame;              // borrowed
    bool ok;
    litedfs_error_t error; // replies with ok false
    struct arena arena;    // lists of the decoded fields
    void *unpacked;        // the codec's own
};

/* Parse a request's frame.  On success *out is the caller's, to be freed with
 * message_destroy, and the frame must outlive it.  An unknown op is no failure here: type is
 * NULL.  On failure returns LITEDFS_INVALID (not one msgpack map, over a bound, envelope
 * field wrong), LITEDFS_UNSUPPORTED_VERSION or LITEDFS_MEMORY, and *id is the request's id
 * if it could be read, else 0. */
int message_parse_request (struct slice frame, struct message **out, uint64_t *id,
                           litedfs_error_t *error);

/* Decode, once, the op's own fields into the struct <name>_request of its type; after a
 * failure the struct is of no use.  LITEDFS_INVALID names the field that is missing, has the
 * wrong type or is out of bounds; LITEDFS_UNSUPPORTED if the op is not known;
 * LITEDFS_MEMORY. */
int message_request_fields (struct message *message, void *fields, litedfs_error_t *error);

/* Parse a reply's frame, as above, and decode its fields as those of `type` (only when
 * message->ok).  The text of a reply's error is made safe to print. */
int message_parse_reply (struct slice frame, struct message **out, litedfs_error_t *error);
int message_reply_fields (struct message *message, const struct message_type *type,
                          void *fields, litedfs_error_t *error);

/* Free the message and its decoded lists, and make *message NULL; NULL is taken. */
void message_destroy (struct message **message);

/* Append an encoded frame to out.  Optional fields at their default are left out.
 * LITEDFS_INVALID when a field breaks its own bounds (a bug or bad input of the caller: the
 * field is named), LITEDFS_MEMORY; out is as it was then. */
int message_encode_request (struct buf *out, const struct message_type *type,
                            const void *fields, const struct envelope *envelope,
                            litedfs_error_t *error);
int message_encode_reply (struct buf *out, const struct message_type *type, const void *fields,
                          uint64_t id, litedfs_error_t *error);

/* Append a reply that is not ok; text NULL takes that of err.def.  A failure is found in
 * out->failed. */
void message_encode_error (struct buf *out, uint64_t id, int number, const char *text);

/* How many bytes an element of this list takes when encoded: for pages that end at
 * WIRE_PAGE_MAX.  0 if the element breaks its bounds, or neither reply nor request have the
 * list. */
size_t message_record_size (const struct message_type *type, const char *list_key,
                            const void *record);

/* Append a description of the protocol, for documents and tests, in lines of columns with
 * tabs between them; max is WIRE_MAX and "-" is none:
 *
 *   OP op FROM TO EFFECT
 *   OP-OR-RECORD request|reply|record|envelope FIELD TYPE required|optional BOUNDS DEFAULT */
void message_describe (struct buf *out);

#endif
