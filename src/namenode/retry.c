/* SPDX-License-Identifier: MIT */
/*
 * Stored replies.  Table `reply` has a row for each client, key (client), and behind it its replies, keys
 * (client, id).  The client's row keeps the floor, the highest id of which nothing is kept any more, and
 * how many replies there are.  Rows leave from the lowest id upwards, so that the floor says it all.
 */
#include "namenode/retry.h"

#include "namenode/records.h"
#include "namenode/row.h"

#include <string.h>

#define REPLY_KEY_SIZE (WIRE_CLIENT_SIZE + 8)

struct client_row {
    uint64_t floor;
    uint64_t count;
    uint64_t time; // of the last reply stored
};

struct reply_row {
    uint64_t time;
    uint32_t crc;
    struct slice op;
    struct slice reply;
};

static int
client_decode (struct slice key, struct slice value, struct client_row *out,
               litedfs_error_t *error)
{
    struct reader reader;

    int rc = row_open (TABLE_REPLY, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->floor = reader_u64 (&reader);
    out->count = reader_u64 (&reader);
    out->time = reader_u64 (&reader);
    return reader_done (&reader) ? 0 : row_corrupt (TABLE_REPLY, key, error);
}

/* A client that is not known has a row of zeros. */
static int
client_get (struct txn *txn, const uint8_t *client, struct client_row *out,
            litedfs_error_t *error)
{
    struct slice key = slice_of (client, WIRE_CLIENT_SIZE);
    struct slice value;

    memset (out, 0, sizeof *out);
    int rc = txn_get (txn, TABLE_REPLY, key, &value, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    return client_decode (key, value, out, error);
}

static int
client_put (struct txn *txn, const uint8_t *client, const struct client_row *row,
            litedfs_error_t *error)
{
    struct buf key = {0};
    struct buf value = {0};

    buf_put (&key, client, WIRE_CLIENT_SIZE);
    row_begin (&value);
    buf_put_u64 (&value, row->floor);
    buf_put_u64 (&value, row->count);
    buf_put_u64 (&value, row->time);
    return row_put (txn, TABLE_REPLY, &key, &value, error);
}

static struct slice
reply_key (uint8_t room[REPLY_KEY_SIZE], const uint8_t *client, uint64_t id)
{
    memcpy (room, client, WIRE_CLIENT_SIZE);
    key_be64 (room + WIRE_CLIENT_SIZE, id);
    return slice_of (room, REPLY_KEY_SIZE);
}

static int
reply_decode (struct slice key, struct slice value, struct reply_row *out,
              litedfs_error_t *error)
{
    struct reader reader;

    int rc = row_open (TABLE_REPLY, key, value, &reader, error);
    if (rc < 0)
        return rc;
    out->time = reader_u64 (&reader);
    out->crc = reader_u32 (&reader);
    out->op = reader_str (&reader);
    size_t size = reader_left (&reader);
    out->reply = slice_of (reader_bytes (&reader, size), size);
    return reader_done (&reader) ? 0 : row_corrupt (TABLE_REPLY, key, error);
}

static bool
is_old (struct txn *txn, uint64_t time)
{
    uint64_t now = (uint64_t) txn_frame (txn)->wall_ms;

    return now > time && now - time > RETRY_AGE_MS;
}

static uint64_t
seen_of (const struct retry_key *key)
{
    return key->seen == WIRE_UNKNOWN ? 0 : key->seen;
}

int
retry_find (struct txn *txn, const struct retry_key *key, struct slice op, struct slice *reply,
            litedfs_error_t *error)
{
    uint8_t room[REPLY_KEY_SIZE];
    struct slice stored = reply_key (room, key->client, key->id);
    struct client_row client;
    struct reply_row row;
    struct slice value;

    *reply = slice_of (NULL, 0);
    int rc = client_get (txn, key->client, &client, error);
    if (rc < 0)
        return rc;
    uint64_t floor = client.floor > seen_of (key) ? client.floor : seen_of (key);
    if (key->id <= floor)
        return err_set (error, LITEDFS_STALE,
                        "id: %llu is not above %llu, up to which every request is answered",
                        (unsigned long long) key->id, (unsigned long long) floor);
    rc = txn_get (txn, TABLE_REPLY, stored, &value, error);
    if (rc < 0)
        return rc == LITEDFS_NOT_FOUND ? 0 : rc;
    rc = reply_decode (stored, value, &row, error);
    if (rc < 0)
        return rc;
    if (row.crc != key->crc || !slice_equal (row.op, op))
        return err_set (error, LITEDFS_ID_REUSED, "id: %llu was another request of this client",
                        (unsigned long long) key->id);
    *reply = row.reply;
    return 0;
}

/* Drop a client's lowest replies: those up to its floor, too old, or too many, but none at or above
 * `keep`; at most max rows.  Raises the floor to the last one. */
static int
drop_lowest (struct txn *txn, const uint8_t *client_id, struct client_row *client,
             uint64_t keep, size_t max, size_t *dropped, litedfs_error_t *error)
{
    uint8_t room[REPLY_KEY_SIZE];
    struct cursor cursor = {0};
    struct reply_row row;
    struct slice key;
    struct slice value;

    *dropped = 0;
    int rc = cursor_open (&cursor, txn, TABLE_REPLY, slice_of (client_id, WIRE_CLIENT_SIZE),
                          reply_key (room, client_id, 0), error);
    while (rc == 0 && *dropped < max &&
           (rc = cursor_next (&cursor, &key, &value, error)) == 0) {
        struct reader reader = reader_of (key);
        reader_bytes (&reader, WIRE_CLIENT_SIZE);
        uint64_t id = reader_be64 (&reader);
        rc = reader_done (&reader) ? reply_decode (key, value, &row, error)
                                   : row_corrupt (TABLE_REPLY, key, error);
        if (rc < 0 || id >= keep ||
            (id > client->floor && client->count <= RETRY_ROWS_MAX && !is_old (txn, row.time)))
            break;
        rc = txn_del (txn, TABLE_REPLY, reply_key (room, client_id, id), error);
        if (rc < 0)
            break;
        client->floor = id > client->floor ? id : client->floor;
        client->count -= client->count > 0;
        *dropped += 1;
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

static int
reply_put (struct txn *txn, const struct retry_key *key, struct slice op, struct slice reply,
           litedfs_error_t *error)
{
    uint8_t room[REPLY_KEY_SIZE];
    struct buf row_key = {0};
    struct buf value = {0};

    reply_key (room, key->client, key->id);
    buf_put (&row_key, room, sizeof room);
    row_begin (&value);
    buf_put_u64 (&value, (uint64_t) txn_frame (txn)->wall_ms);
    buf_put_u32 (&value, key->crc);
    buf_put_str (&value, op);
    buf_put (&value, reply.data, reply.size);
    return row_put (txn, TABLE_REPLY, &row_key, &value, error);
}

int
retry_store (struct txn *txn, const struct retry_key *key, struct slice op, struct slice reply,
             litedfs_error_t *error)
{
    uint8_t room[REPLY_KEY_SIZE];
    struct client_row client;
    struct slice before;
    size_t dropped;

    int rc = client_get (txn, key->client, &client, error);
    if (rc == 0)
        rc = txn_get (txn, TABLE_REPLY, reply_key (room, key->client, key->id), &before, error);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        return rc;
    client.count += rc == LITEDFS_NOT_FOUND;
    client.time = (uint64_t) txn_frame (txn)->wall_ms;
    if (seen_of (key) > client.floor)
        client.floor = seen_of (key);
    rc = reply_put (txn, key, op, reply, error);
    if (rc == 0)
        rc = drop_lowest (txn, key->client, &client, key->id, RETRY_DROP_MAX, &dropped, error);
    return rc == 0 ? client_put (txn, key->client, &client, error) : rc;
}

/* ---- sweeping ------------------------------------------------------------------------------------ */

/* The client after a key; LITEDFS_NOT_FOUND. */
static int
next_client (struct txn *txn, struct slice after, uint8_t *client, struct client_row *row,
             litedfs_error_t *error)
{
    uint8_t start[REPLY_KEY_SIZE + 1];
    struct cursor cursor = {0};
    struct slice none = {0};
    struct slice key;
    struct slice value;

    // Behind all replies of the client before.
    memset (start, 0xff, sizeof start);
    if (after.size == WIRE_CLIENT_SIZE)
        memcpy (start, after.data, after.size);
    int rc = cursor_open (&cursor, txn, TABLE_REPLY, none,
                          after.size > 0 ? slice_of (start, sizeof start) : none, error);
    if (rc == 0)
        rc = cursor_next (&cursor, &key, &value, error);
    if (rc == 0 && key.size != WIRE_CLIENT_SIZE)
        rc = row_corrupt (TABLE_REPLY, key, error);
    if (rc == 0)
        rc = client_decode (key, value, row, error);
    if (rc == 0)
        memcpy (client, key.data, WIRE_CLIENT_SIZE);
    cursor_close (&cursor);
    return rc;
}

/* Drop what is old of one client, and itself when nothing of it is left. */
static int
sweep_client (struct txn *txn, const uint8_t *id, struct client_row *client, size_t max,
              size_t *removed, litedfs_error_t *error)
{
    size_t dropped;

    int rc = drop_lowest (txn, id, client, UINT64_MAX, max, &dropped, error);
    if (rc < 0)
        return rc;
    *removed += dropped;
    if (client->count == 0 && is_old (txn, client->time)) {
        *removed += 1;
        return txn_del (txn, TABLE_REPLY, slice_of (id, WIRE_CLIENT_SIZE), error);
    }
    return dropped > 0 ? client_put (txn, id, client, error) : 0;
}

int
retry_sweep (struct txn *txn, struct buf *cursor, size_t max, size_t *removed,
             litedfs_error_t *error)
{
    uint8_t id[WIRE_CLIENT_SIZE];
    struct client_row client;
    int rc = 0;

    *removed = 0;
    for (size_t i = 0; i < max && *removed < 4 * max; i++) {
        rc = next_client (txn, buf_slice (cursor), id, &client, error);
        if (rc < 0)
            break;
        rc = sweep_client (txn, id, &client, 4 * max - *removed, removed, error);
        if (rc < 0)
            return rc;
        buf_clear (cursor);
        buf_put (cursor, id, sizeof id);
    }
    if (rc == LITEDFS_NOT_FOUND)
        buf_clear (cursor);
    if (cursor->failed)
        return err_set (error, LITEDFS_MEMORY, "retries: out of memory");
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}

/* ---- counting ------------------------------------------------------------------------------------ */

int
retry_count_rows (struct txn *txn, struct slice key, struct slice value,
                  struct retry_count *out, litedfs_error_t *error)
{
    uint8_t room[REPLY_KEY_SIZE];
    struct cursor cursor = {0};
    struct client_row client;
    struct reply_row row;

    out->said = out->there = 0;
    if (key.size == REPLY_KEY_SIZE)
        return reply_decode (key, value, &row, error);
    if (key.size != WIRE_CLIENT_SIZE)
        return row_corrupt (TABLE_REPLY, key, error);
    int rc = client_decode (key, value, &client, error);
    if (rc < 0)
        return rc;
    out->said = client.count;
    rc = cursor_open (&cursor, txn, TABLE_REPLY, key, reply_key (room, key.data, 0), error);
    while (rc == 0 && (rc = cursor_next (&cursor, NULL, NULL, error)) == 0)
        out->there++;
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND ? 0 : rc;
}
