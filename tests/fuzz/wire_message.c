/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target for the codec: any bytes as a request, and as a reply to each op.  What the
 * decoder takes, the encoder must take too, and what it writes must come back as the same
 * bytes.
 */
#include "wire/message.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* Room for the struct of any message. */
union fields {
#define REQUEST(name, op, from, to, effect) struct name##_request name##_request;
#define REPLY(name) struct name##_reply name##_reply;
#include "wire/messages.def"
};

static void
must (bool holds, const char *what, const litedfs_error_t *error)
{
    if (holds)
        return;
    fprintf (stderr, "%s: %s\n", what, error->text);
    abort ();
}

/* Decode a request and encode it again; false if it is not one. */
static bool
recode_request (struct slice frame, struct buf *out, litedfs_error_t *error)
{
    union fields fields;
    struct message *message;
    uint64_t id;

    if (message_parse_request (frame, &message, &id, error) < 0)
        return false;
    bool taken = message_request_fields (message, &fields, error) == 0;
    must (message->envelope.id == id, "the id is the envelope's", error);
    if (taken)
        must (message_encode_request (out, message->type, &fields, &message->envelope, error) ==
                  0,
              "a decoded request is encoded", error);
    message_destroy (&message);
    return taken;
}

/* Encode a parsed reply again, as one to this type; false if its fields are not that. */
static bool
encode_reply (struct message *message, const struct message_type *type, struct buf *out,
              litedfs_error_t *error)
{
    union fields fields;
    uint64_t id = message->envelope.id;

    if (!message->ok) {
        message_encode_error (out, id, message->error.number, message->error.text);
        return true;
    }
    if (message_reply_fields (message, type, &fields, error) < 0)
        return false;
    must (message_encode_reply (out, type, &fields, id, error) == 0,
          "a decoded reply is encoded", error);
    return true;
}

static void
check_reply (struct message *message, const struct message_type *type, litedfs_error_t *error)
{
    struct buf once = {0};
    struct buf twice = {0};
    struct message *again;

    if (encode_reply (message, type, &once, error)) {
        must (message_parse_reply (buf_slice (&once), &again, error) == 0, "a reply is read",
              error);
        must (encode_reply (again, type, &twice, error), "a reply's fields are read", error);
        must (slice_equal (buf_slice (&once), buf_slice (&twice)), "a reply stays", error);
        message_destroy (&again);
    }
    buf_free (&once);
    buf_free (&twice);
}

static void
check_request (struct slice frame, litedfs_error_t *error)
{
    struct buf once = {0};
    struct buf twice = {0};

    if (recode_request (frame, &once, error)) {
        must (recode_request (buf_slice (&once), &twice, error), "a request is read", error);
        must (slice_equal (buf_slice (&once), buf_slice (&twice)), "a request stays", error);
    }
    buf_free (&once);
    buf_free (&twice);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    struct slice frame = slice_of (data, size);
    struct message *reply;
    litedfs_error_t error = {0};

    check_request (frame, &error);
    if (message_parse_reply (frame, &reply, &error) == 0) {
        for (size_t i = 0; i < (reply->ok ? MESSAGE_COUNT : 1); i++)
            check_reply (reply, &message_types[i], &error);
        message_destroy (&reply);
    }
    return 0;
}
