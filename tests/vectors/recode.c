/* SPDX-License-Identifier: MIT */
/*
 * Decodes and encodes again what stands on standard input, for vectors.py.  Lines "request
 * HEX", "reply OP HEX"; for each one line, the hex of what the codec writes for what it has
 * read, or "error: " and why not.
 */
#include "wire/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for the struct of any message. */
union fields {
#define REQUEST(name, op, from, to, effect) struct name##_request name##_request;
#define REPLY(name) struct name##_reply name##_reply;
#include "wire/messages.def"
};

static int
recode_request (struct slice frame, struct buf *out, litedfs_error_t *error)
{
    union fields fields;
    struct message *message;
    uint64_t id;
    int result = message_parse_request (frame, &message, &id, error);

    if (result < 0)
        return result;
    result = message_request_fields (message, &fields, error);
    if (result == 0)
        result =
            message_encode_request (out, message->type, &fields, &message->envelope, error);
    message_destroy (&message);
    return result;
}

static int
recode_reply (const char *op, struct slice frame, struct buf *out, litedfs_error_t *error)
{
    const struct message_type *type = message_find (slice_str (op));
    union fields fields;
    struct message *message;
    int result = message_parse_reply (frame, &message, error);

    if (result < 0)
        return result;
    uint64_t id = message->envelope.id;
    if (!message->ok)
        message_encode_error (out, id, message->error.number, message->error.text);
    else if (!type)
        result = err_set (error, LITEDFS_UNSUPPORTED, "op[%s]: it is not known", op);
    else
        result = message_reply_fields (message, type, &fields, error);
    if (result == 0 && message->ok)
        result = message_encode_reply (out, type, &fields, id, error);
    message_destroy (&message);
    return result;
}

/* Append the bytes that hex stands for; false if it does not stand for any. */
static bool
put_hex (struct buf *out, const char *hex)
{
    for (; hex[0]; hex += 2) {
        unsigned byte;
        if (strspn (hex, "0123456789abcdef") < 2 || sscanf (hex, "%2x", &byte) != 1)
            return false;
        buf_put_u8 (out, (uint8_t) byte);
    }
    return true;
}

static void
answer (char *line)
{
    struct buf frame = {0};
    struct buf out = {0};
    litedfs_error_t error = {0};
    char *save;
    const char *kind = strtok_r (line, " \n", &save);
    const char *op = kind && strcmp (kind, "reply") == 0 ? strtok_r (NULL, " \n", &save) : NULL;
    const char *hex = strtok_r (NULL, " \n", &save);
    int result = LITEDFS_USAGE;

    if (hex && put_hex (&frame, hex))
        result = op ? recode_reply (op, buf_slice (&frame), &out, &error)
                    : recode_request (buf_slice (&frame), &out, &error);
    if (result < 0)
        printf ("error: %s", error.text);
    for (size_t i = 0; result == 0 && i < out.size; i++)
        printf ("%02x", out.data[i]);
    printf ("\n");
    buf_free (&frame);
    buf_free (&out);
}

int
main (void)
{
    char *line = NULL;
    size_t size = 0;

    while (getline (&line, &size, stdin) > 0)
        answer (line);
    free (line);
    return fflush (stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
