/* SPDX-License-Identifier: MIT */
/*
 * Rows in the order of their numbers, each with the stamp of its last change, and the file of them:
 *
 *   LiteDFS node table 1
 *   node 3 192.168.1.13 18002 28002 rack%202
 *   crc32 5a0f9e33
 *
 * A line a node: number, host, tcp_port, chain_port, and the zone if it has one, whose bytes are written as
 * %XX unless they are letters, digits or one of "._:/+-".  The last line is the CRC-32 of all before it.
 * Whatever is not exactly so is damage: the file is written by this program only, and as a whole.
 */
#include "datanode/nodetable.h"

#include "base/buf.h"
#include "base/crc.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TITLE "LiteDFS node table 1\n"
#define CRC_LINE_SIZE 15  // "crc32 5a0f9e33\n"
#define ROW_LINE_MAX 1024 // more than a line can have: a zone of 255 bytes is at most 765 here
#define FILE_MAX ((size_t) NODETABLE_MAX * ROW_LINE_MAX)
#define FILE_MODE 0644
#define ROWS_FIRST 16 // room that a table starts with
#define FIELDS_MAX 6  // of a line

struct row {
    struct nodetable_entry entry;
    uint64_t stamp;
};

struct nodetable {
    struct row *rows;
    size_t count;
    size_t room;
    uint64_t stamp;
    bool unsaved;
};

struct nodetable *
nodetable_new (void)
{
    return calloc (1, sizeof (struct nodetable));
}

void
nodetable_destroy (struct nodetable **self_p)
{
    struct nodetable *self = *self_p;

    if (self == NULL)
        return;
    *self_p = NULL;
    free (self->rows);
    free (self);
}

size_t
nodetable_count (const struct nodetable *self)
{
    return self->count;
}

uint64_t
nodetable_stamp (const struct nodetable *self)
{
    return self->stamp;
}

bool
nodetable_unsaved (const struct nodetable *self)
{
    return self->unsaved;
}

/* ---- entries ------------------------------------------------------------------------------------ */

/* Whether a byte stands for itself in the file. */
static bool
is_plain (unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || memchr ("._:/+-", byte, 6) != NULL;
}

/* Whether it is the numeric address of one machine, perhaps with the interface to reach it by (%eth0). */
static bool
is_address_of_one (const char *host)
{
    char address[NET_ADDRESS_SIZE];
    size_t size = strcspn (host, "%");
    struct net net;
    litedfs_error_t reason;

    if (size == 0 || size >= sizeof address || memchr (host, '/', size) != NULL)
        return false;
    for (const char *at = host + size; *at != '\0'; at++)
        if (at > host + size && !is_plain ((unsigned char) *at))
            return false;
    memcpy (address, host, size);
    address[size] = '\0';
    return net_parse (&net, address, &reason) == 0 && !net_is_any (address);
}

/* A slice as a C string; false if it has a NUL or does not fit. */
static bool
copy_text (char *out, size_t size, struct slice text)
{
    if (text.size >= size || (text.size > 0 && memchr (text.data, '\0', text.size) != NULL))
        return false;
    if (text.size > 0)
        memcpy (out, text.data, text.size);
    out[text.size] = '\0';
    return true;
}

int
nodetable_entry_of (struct nodetable_entry *out, const struct wire_endpoint *endpoint,
                    const char *name_host, litedfs_error_t *error)
{
    struct slice host = endpoint->host.size > 0 ? endpoint->host : slice_str (name_host);

    memset (out, 0, sizeof *out); // its padding goes along in notes
    out->node = (uint32_t) endpoint->node;
    out->tcp_port = (uint16_t) endpoint->tcp_port;
    out->chain_port = (uint16_t) endpoint->chain_port;
    out->online = endpoint->online;
    if (endpoint->node == 0 || endpoint->node > UINT32_MAX || endpoint->tcp_port > UINT16_MAX ||
        endpoint->chain_port > UINT16_MAX)
        return err_set (error, LITEDFS_INVALID,
                        "node[%" PRIu64 "]: no number or port of a data node", endpoint->node);
    if (!copy_text (out->host, sizeof out->host, host) || !is_address_of_one (out->host))
        return err_set (error, LITEDFS_INVALID,
                        "node[%" PRIu64 "]: its host is not a numeric address", endpoint->node);
    if (!copy_text (out->zone, sizeof out->zone, endpoint->zone))
        return err_set (error, LITEDFS_INVALID, "node[%" PRIu64 "]: its zone is not a text",
                        endpoint->node);
    return 0;
}

/* Where the row of a number is, or would be. */
static size_t
position_of (const struct nodetable *self, uint32_t node)
{
    size_t low = 0, high = self->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->rows[middle].entry.node < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct nodetable_entry *
nodetable_find (const struct nodetable *self, uint32_t node)
{
    size_t at = position_of (self, node);

    return at < self->count && self->rows[at].entry.node == node ? &self->rows[at].entry : NULL;
}

/* Make room for a row before the one at `at`. */
static int
insert_row (struct nodetable *self, size_t at, uint32_t node, litedfs_error_t *error)
{
    if (self->count == NODETABLE_MAX)
        return err_set (error, LITEDFS_NO_SPACE,
                        "node[%" PRIu32 "]: the node table has %d entries and takes no more",
                        node, NODETABLE_MAX);
    if (self->count == self->room) {
        size_t room = self->room > 0 ? self->room * 2 : ROWS_FIRST;
        struct row *rows = realloc (self->rows, room * sizeof *rows);
        if (rows == NULL)
            return err_set (error, LITEDFS_MEMORY, "node table: out of memory");
        self->rows = rows;
        self->room = room;
    }
    memmove (self->rows + at + 1, self->rows + at, (self->count - at) * sizeof *self->rows);
    self->count++;
    memset (&self->rows[at], 0, sizeof self->rows[at]);
    return 0;
}

/* Whether two entries say the same address. */
static bool
same_address (const struct nodetable_entry *a, const struct nodetable_entry *b)
{
    return a->tcp_port == b->tcp_port && a->chain_port == b->chain_port &&
           strcmp (a->host, b->host) == 0 && strcmp (a->zone, b->zone) == 0;
}

int
nodetable_put (struct nodetable *self, const struct nodetable_entry *entry,
               litedfs_error_t *error)
{
    size_t at = position_of (self, entry->node);
    bool known = at < self->count && self->rows[at].entry.node == entry->node;

    int rc = known ? 0 : insert_row (self, at, entry->node, error);
    if (rc < 0)
        return rc;
    struct row *row = &self->rows[at];
    bool moved = !known || !same_address (&row->entry, entry);
    if (!moved && row->entry.online == entry->online)
        return 0;
    row->entry = *entry;
    row->stamp = ++self->stamp;
    self->unsaved = self->unsaved || moved;
    return 0;
}

size_t
nodetable_changed (const struct nodetable *self, uint64_t after, uint32_t *node,
                   struct nodetable_entry *out, size_t max)
{
    size_t count = 0;
    size_t at = *node < UINT32_MAX ? position_of (self, *node + 1) : self->count;

    for (; at < self->count && count < max; at++) {
        if (self->rows[at].stamp <= after)
            continue;
        out[count++] = self->rows[at].entry;
        *node = self->rows[at].entry.node;
    }
    return count;
}

/* ---- the file ----------------------------------------------------------------------------------- */

static void
put_zone (struct buf *out, const char *zone)
{
    for (const unsigned char *at = (const unsigned char *) zone; *at != '\0'; at++)
        buf_printf (out, is_plain (*at) ? "%c" : "%%%02X", *at);
}

static int
hex_digit (char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* What put_zone wrote. */
static bool
parse_zone (const char *text, char out[NODETABLE_ZONE_SIZE])
{
    size_t size = 0;

    for (; *text != '\0'; text++) {
        int byte = (unsigned char) *text;
        if (*text == '%') {
            int high = hex_digit (text[1]);
            int low = high < 0 ? -1 : hex_digit (text[2]);
            if (low < 0)
                return false;
            byte = high * 16 + low;
            text += 2;
        }
        if (byte == 0 || size == NODETABLE_ZONE_SIZE - 1)
            return false;
        out[size++] = (char) byte;
    }
    out[size] = '\0';
    return size > 0;
}

static bool
parse_entry (char *line, struct nodetable_entry *out)
{
    char *fields[FIELDS_MAX + 1];
    size_t count = 0;
    int64_t node, tcp_port, chain_port;

    for (char *field; count <= FIELDS_MAX && (field = strsep (&line, " ")) != NULL; count++)
        fields[count] = field;
    memset (out, 0, sizeof *out);
    if (count < FIELDS_MAX - 1 || count > FIELDS_MAX || strcmp (fields[0], "node") != 0 ||
        !text_parse_int (fields[1], 1, UINT32_MAX, &node) || !is_address_of_one (fields[2]) ||
        !copy_text (out->host, sizeof out->host, slice_str (fields[2])) ||
        !text_parse_int (fields[3], 0, UINT16_MAX, &tcp_port) ||
        !text_parse_int (fields[4], 0, UINT16_MAX, &chain_port) ||
        (count == FIELDS_MAX && !parse_zone (fields[5], out->zone)))
        return false;
    out->node = (uint32_t) node;
    out->tcp_port = (uint16_t) tcp_port;
    out->chain_port = (uint16_t) chain_port;
    out->online = true;
    return true;
}

static int
damaged (const char *path, size_t line, litedfs_error_t *error)
{
    return err_set (error, LITEDFS_CORRUPT, "%s: damaged in line %zu", path, line);
}

/* Take the lines between the title and the CRC; text ends with a newline and a NUL. */
static int
parse_lines (struct nodetable *self, const char *path, char *text, litedfs_error_t *error)
{
    uint32_t last = 0;
    size_t number = 2;

    for (; *text != '\0'; number++) {
        struct nodetable_entry entry;
        char *line = strsep (&text, "\n");
        if (!parse_entry (line, &entry) || entry.node <= last)
            return damaged (path, number, error);
        last = entry.node;
        int rc = nodetable_put (self, &entry, error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Check title and CRC, and take what is between them. */
static int
parse_file (struct nodetable *self, const char *path, struct buf *text, litedfs_error_t *error)
{
    const size_t title = sizeof TITLE - 1;
    char crc_line[CRC_LINE_SIZE + 1];

    if (text->size < title + CRC_LINE_SIZE || memcmp (text->data, TITLE, title) != 0)
        return damaged (path, 1, error);
    size_t size = text->size - CRC_LINE_SIZE;
    snprintf (crc_line, sizeof crc_line, "crc32 %08x\n",
              (unsigned) crc32_of (0, text->data, size));
    if (memcmp (text->data + size, crc_line, CRC_LINE_SIZE) != 0 ||
        text->data[size - 1] != '\n' || memchr (text->data, '\0', size) != NULL)
        return err_set (error, LITEDFS_CORRUPT, "%s: it does not match its checksum", path);
    text->data[size] = '\0';
    return parse_lines (self, path, (char *) text->data + title, error);
}

int
nodetable_load (struct nodetable *self, const char *path, litedfs_error_t *error)
{
    struct buf text = {0};

    int rc = file_read_all (path, FILE_MAX, &text, error);
    if (rc == LITEDFS_INVALID)
        rc = err_set (error, LITEDFS_CORRUPT, "%s: it is no file of this program", path);
    if (rc == 0)
        rc = parse_file (self, path, &text, error);
    buf_free (&text);
    if (rc < 0)
        self->count = 0;
    self->unsaved = false;
    return rc;
}

int
nodetable_save (struct nodetable *self, const char *path, litedfs_error_t *error)
{
    struct buf text = {0};

    buf_printf (&text, "%s", TITLE);
    for (size_t i = 0; i < self->count; i++) {
        const struct nodetable_entry *entry = &self->rows[i].entry;
        buf_printf (&text, "node %" PRIu32 " %s %u %u", entry->node, entry->host,
                    entry->tcp_port, entry->chain_port);
        if (entry->zone[0] != '\0')
            buf_printf (&text, " ");
        put_zone (&text, entry->zone);
        buf_printf (&text, "\n");
    }
    buf_printf (&text, "crc32 %08x\n", (unsigned) crc32_of (0, text.data, text.size));
    FAULT ("nodetable_before_save");
    int rc = 0;
    if (text.failed)
        rc = err_set (error, LITEDFS_MEMORY, "%s: out of memory", path);
    else if (FAULT_ERROR ("nodetable_save_error"))
        rc = err_set_errno (error, LITEDFS_IO, EIO, "%s", path);
    else
        rc = file_write_atomic (path, text.data, text.size, FILE_MODE, error);
    FAULT ("nodetable_after_save");
    buf_free (&text);
    if (rc == 0)
        self->unsaved = false;
    return rc;
}
