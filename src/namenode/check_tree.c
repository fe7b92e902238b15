/* SPDX-License-Identifier: MIT */
/*
 * The tree: an entry leads to an inode that says the same of where it is; an inode has its entry, and its
 * way up ends at the root; a directory's counts are those of its children, one level at a time, which
 * makes them right for all levels.  What is doomed is being taken apart: it need not have an entry, and
 * its counts stand still.
 */
#include "namenode/check_walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Text of "parent name", with the name as far as it fits and nothing unprintable in it. */
#define PLACE_SIZE (32 + NAME_BYTES_MAX)

static const char *
place (char room[PLACE_SIZE], uint64_t parent, struct slice name)
{
    const uint8_t *bytes = name.data;
    int used = snprintf (room, PLACE_SIZE, "%" PRIu64 " ", parent);

    for (size_t i = 0; i < name.size && used < PLACE_SIZE - 1; i++)
        room[used++] = bytes[i] < ' ' || bytes[i] == 0x7f ? '?' : (char) bytes[i];
    room[used] = '\0';
    return room;
}

/* ---- entries ------------------------------------------------------------------------------------- */

int
check_dirent (struct check *self, struct slice key, struct slice value)
{
    struct dirent_row entry;
    struct inode_row inode;
    char text[PLACE_SIZE];
    bool readable;
    uint64_t other;

    int rc = dirent_row_decode (key, value, &entry, self->error);
    if (rc < 0)
        return rc;
    struct slice name = slice_of (entry.name, entry.name_size);
    place (text, entry.parent, name);
    rc = check_found (inode_row_get (self->txn, entry.inode, &inode, self->error), &readable);
    if (rc < 0)
        return rc;
    if (rc == 0)
        check_find (self, TABLE_DIRENT, text, "inode %" PRIu64 " is missing", entry.inode);
    else if (readable && inode.kind != entry.kind)
        check_find (self, TABLE_DIRENT, text, "inode %" PRIu64 " is of the other kind",
                    entry.inode);
    else if (readable &&
             (inode.parent != entry.parent || !slice_equal (inode_row_name (&inode), name)))
        check_find (self, TABLE_DIRENT, text,
                    "inode %" PRIu64 " says that it is in directory %" PRIu64
                    " under another name, or in another",
                    entry.inode, inode.parent);
    if (entry.kind != KIND_DIRECTORY)
        return 0;
    rc = check_found (
        dirent_row_get (self->txn, entry.parent, KIND_FILE, name, &other, self->error), NULL);
    if (rc > 0)
        check_find (self, TABLE_DIRENT, text, "a directory and a file have this name");
    return rc < 0 ? rc : 0;
}

/* ---- counts of a directory ----------------------------------------------------------------------- */

/* Add one child to what its directory should count. */
static int
count_child (struct check *self, const struct dirent_row *entry, struct inode_row *sum)
{
    struct inode_row child;
    bool readable;

    int rc =
        check_found (inode_row_get (self->txn, entry->inode, &child, self->error), &readable);
    if (rc < 0)
        return rc;
    if (!readable)
        memset (&child, 0, sizeof child);
    if (entry->kind == KIND_DIRECTORY) {
        sum->child_directories++;
        sum->directories += 1 + child.directories;
        sum->files += child.files;
        sum->bytes += child.bytes;
    } else {
        sum->child_files++;
        sum->files++;
        sum->bytes += child.size;
    }
    return 0;
}

static int
sum_children (struct check *self, uint64_t directory, struct inode_row *sum)
{
    struct cursor cursor = {0};
    struct dirent_row entry;
    struct slice none = {0};
    struct slice key;
    struct slice value;
    uint8_t prefix[8];

    memset (sum, 0, sizeof *sum);
    int rc = cursor_open (&cursor, self->txn, TABLE_DIRENT, key_be64 (prefix, directory), none,
                          self->error);
    while (rc == 0) {
        key.data = NULL;
        rc = cursor_next (&cursor, &key, &value, self->error);
        if (rc == 0)
            rc = dirent_row_decode (key, value, &entry, self->error);
        if (rc == 0)
            rc = count_child (self, &entry, sum);
        else if (rc == LITEDFS_CORRUPT && key.data)
            rc = 0; // found among the entries
    }
    cursor_close (&cursor);
    return rc == LITEDFS_NOT_FOUND || rc == LITEDFS_CORRUPT ? 0 : rc;
}

static int
check_counts (struct check *self, const struct inode_row *row, const char *text)
{
    struct inode_row sum;
    int rc = sum_children (self, row->number, &sum);

    if (rc < 0)
        return rc;
    const struct {
        const char *what;
        uint64_t said;
        uint64_t there;
    } counts[] = {
        {"directories in it", row->child_directories, sum.child_directories},
        {"files in it", row->child_files, sum.child_files},
        {"directories below it", row->directories, sum.directories},
        {"files below it", row->files, sum.files},
        {"bytes below it", row->bytes, sum.bytes},
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].said != counts[i].there)
            check_find (self, TABLE_INODE, text, "%s: it says %" PRIu64 ", there are %" PRIu64,
                        counts[i].what, counts[i].said, counts[i].there);
    return 0;
}

/* ---- inodes -------------------------------------------------------------------------------------- */

/* Whether the way up ends.  One that ends anywhere but at the root is found where it ends.  Brent's
 * search for a cycle: one number is kept, and kept anew after 1, 2, 4, ... steps. */
static int
check_way_up (struct check *self, const struct inode_row *row, const char *text)
{
    struct inode_row above = *row;
    uint64_t kept = row->number, steps = 0, limit = 1;

    while (above.parent != 0) {
        bool readable;
        uint64_t next = above.parent;
        int rc = check_found (inode_row_get (self->txn, next, &above, self->error), &readable);
        if (rc < 0)
            return rc;
        if (!readable)
            return 0;
        if (next == kept) {
            check_find (self, TABLE_INODE, text, "its way up is a circle: it is not reachable");
            return 0;
        }
        if (++steps == limit) {
            steps = 0;
            limit *= 2;
            kept = next;
        }
    }
    return 0;
}

/* Whether the directory that it is in is one, and has an entry for it. */
static int
check_place (struct check *self, const struct inode_row *row, const char *text)
{
    struct inode_row parent;
    uint64_t inode;
    bool readable;

    int rc =
        check_found (inode_row_get (self->txn, row->parent, &parent, self->error), &readable);
    if (rc < 0)
        return rc;
    if (rc == 0)
        check_find (self, TABLE_INODE, text, "the directory above, %" PRIu64 ", is missing",
                    row->parent);
    else if (readable && parent.kind != KIND_DIRECTORY)
        check_find (self, TABLE_INODE, text, "what is above it, %" PRIu64 ", is a file",
                    row->parent);
    rc = check_found (dirent_row_get (self->txn, row->parent, row->kind, inode_row_name (row),
                                      &inode, self->error),
                      &readable);
    if (rc < 0)
        return rc;
    if (rc == 0 || (readable && inode != row->number))
        check_find (self, TABLE_INODE, text,
                    "directory %" PRIu64 " has no entry for it: it is not reachable",
                    row->parent);
    return 0;
}

static int
check_directory (struct check *self, const struct inode_row *row, const char *text)
{
    self->report->directories++;
    int rc = row->parent != 0 ? check_way_up (self, row, text) : 0;
    return rc < 0 ? rc : check_counts (self, row, text);
}

int
check_inode (struct check *self, struct slice key, struct slice value)
{
    char text[CHECK_KEY_SIZE];
    struct inode_row row;
    struct reader at = reader_of (key);
    uint64_t number = reader_be64 (&at);
    (void) value;

    if (!reader_done (&at)) {
        check_find (self, TABLE_INODE, "?", "a key of %zu bytes", key.size);
        return 0;
    }
    check_key (text, number);
    int rc = inode_row_get (self->txn, number, &row, self->error);
    if (rc < 0)
        return rc;
    if (number > self->meta[META_INODE] && number != ROOT_INODE)
        check_find (self, TABLE_INODE, text,
                    "its number was never drawn: the counter is at %" PRIu64,
                    self->meta[META_INODE]);
    if ((number == ROOT_INODE) != (row.parent == 0) ||
        (number == ROOT_INODE && row.kind != KIND_DIRECTORY))
        check_find (self, TABLE_INODE, text,
                    "the root is inode %" PRIu64 ", a directory, and it alone is in none",
                    ROOT_INODE);
    if (number != ROOT_INODE && check_is_leased (self, number))
        check_find (self, TABLE_INODE, text,
                    "it is visible, and a lease says that it is being written");
    int doomed = check_is_doomed (self, number);
    if (doomed < 0)
        return doomed;
    if (!doomed && row.flags & INODE_DOOMED)
        check_find (self, TABLE_INODE, text, "it is marked as deleted and nothing frees it");
    if (doomed || row.flags & INODE_DOOMED)
        return 0;
    if (number != ROOT_INODE)
        rc = check_place (self, &row, text);
    if (rc == 0 && row.kind == KIND_DIRECTORY)
        return check_directory (self, &row, text);
    self->report->files++;
    return rc == 0 ? check_content (self, &row) : rc;
}

int
check_doomed (struct check *self, struct slice key, struct slice value)
{
    char text[CHECK_KEY_SIZE];
    struct doomed_row row;
    struct inode_row inode;
    bool readable;

    int rc = doomed_row_decode (key, value, &row, self->error);
    if (rc < 0)
        return rc;
    check_key (text, row.inode);
    rc = check_found (inode_row_get (self->txn, row.inode, &inode, self->error), &readable);
    if (rc < 0)
        return rc;
    if (row.inode <= ROOT_INODE || row.inode > self->meta[META_INODE])
        check_find (self, TABLE_DOOMED, text, "no such inode was ever drawn");
    else if (row.kind == KIND_DIRECTORY && (rc == 0 || (readable && inode.kind != row.kind)))
        check_find (self, TABLE_DOOMED, text, "there is no such directory to free");
    else if (row.kind == KIND_FILE && rc > 0)
        check_find (self, TABLE_DOOMED, text, "the blocks of an inode that is there would go");
    if (check_is_leased (self, row.inode))
        check_find (self, TABLE_DOOMED, text, "a lease says that it is being written");
    return 0;
}

/* ---- leases -------------------------------------------------------------------------------------- */

static const char *
token_text (char room[CHECK_KEY_SIZE], const uint8_t token[TOKEN_SIZE])
{
    for (size_t i = 0; i < TOKEN_SIZE; i++)
        snprintf (room + 2 * i, 3, "%02x", token[i]);
    return room;
}

int
check_lease (struct check *self, struct slice key, struct slice value)
{
    char text[CHECK_KEY_SIZE];
    uint8_t token[TOKEN_SIZE];
    struct lease_row row;
    bool readable;

    int rc = lease_row_decode (key, value, &row, self->error);
    if (rc < 0)
        return rc;
    token_text (text, row.token);
    if (row.inode > self->meta[META_INODE])
        check_find (self, TABLE_LEASE, text, "inode %" PRIu64 " was never drawn", row.inode);
    rc = check_found (
        lock_row_get (self->txn, row.parent, lease_row_name (&row), token, self->error),
        &readable);
    if (rc < 0)
        return rc;
    if (rc == 0 || (readable && memcmp (token, row.token, TOKEN_SIZE) != 0))
        check_find (self, TABLE_LEASE, text, "its name in directory %" PRIu64 " is not locked",
                    row.parent);
    return 0;
}

int
check_lock (struct check *self, struct slice key, struct slice value)
{
    char text[PLACE_SIZE];
    uint8_t token[TOKEN_SIZE];
    struct lease_row lease;
    struct reader at = reader_of (key);
    uint64_t parent = reader_be64 (&at);
    size_t size = reader_left (&at);
    bool readable;

    int rc = lock_row_decode (key, value, token, self->error);
    if (rc < 0)
        return rc;
    if (at.failed || size < 1 || size > NAME_BYTES_MAX) {
        check_find (self, TABLE_LOCK, "?", "a key of %zu bytes", key.size);
        return 0;
    }
    struct slice name = slice_of (reader_bytes (&at, size), size);
    place (text, parent, name);
    rc = check_found (lease_row_get (self->txn, token, &lease, self->error), &readable);
    if (rc < 0)
        return rc;
    if (rc == 0)
        check_find (self, TABLE_LOCK, text, "it leads to no lease");
    else if (readable &&
             (lease.parent != parent || !slice_equal (lease_row_name (&lease), name)))
        check_find (self, TABLE_LOCK, text, "it leads to the lease of another name");
    return 0;
}
