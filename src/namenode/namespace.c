/* SPDX-License-Identifier: MIT */
/*
 * The rules of the tree.
 *
 * Each operation reads: it finds its inodes, climbs from the directories that it will change to the
 * root (which also shows that none of them is in a deleted tree), and looks for what is in its way.
 * Then it writes: entry, inode, and a delta of counts for every directory on the way up (chain.h).
 *
 * Rows of directories are written as they were read from the store, without what is pending for them:
 * that is added when the transaction commits.
 */
#include "namenode/namespace.h"

#include "namenode/chain.h"
#include "namenode/lease.h"
#include "namenode/mark.h"
#include "namenode/totals.h"

#include <string.h>

static const char *const kind_words[] = {[KIND_DIRECTORY] = "directory", [KIND_FILE] = "file"};

int
namespace_format (struct txn *txn, litedfs_error_t *error)
{
    struct inode_row root;
    uint64_t last;

    int rc = inode_row_get (txn, ROOT_INODE, &root, error);
    if (rc != LITEDFS_NOT_FOUND)
        return rc;
    rc = meta_get (txn, META_INODE, &last, error);
    if (rc < 0)
        return rc;
    if (last != 0)
        return err_set (
            error, LITEDFS_CORRUPT,
            "metadata: the root directory is missing; restore the store from a backup");
    memset (&root, 0, sizeof root);
    root.number = ROOT_INODE;
    root.kind = KIND_DIRECTORY;
    root.ctime = root.mtime = (uint64_t) txn_frame (txn)->wall_ms;
    rc = inode_row_put (txn, &root, error);
    return rc == 0 ? meta_put (txn, META_INODE, ROOT_INODE, error) : rc;
}

/* ---- finding ------------------------------------------------------------------------------------- */

int
namespace_child (struct txn *txn, uint64_t parent, struct slice name, enum kind *kind,
                 uint64_t *inode, litedfs_error_t *error)
{
    *kind = KIND_DIRECTORY;
    int rc = dirent_row_get (txn, parent, KIND_DIRECTORY, name, inode, error);
    if (rc != LITEDFS_NOT_FOUND)
        return rc;
    *kind = KIND_FILE;
    return dirent_row_get (txn, parent, KIND_FILE, name, inode, error);
}

/* How far a path leads. */
struct walk {
    uint64_t parent; // of the inode; without meaning for the root
    uint64_t inode;  // the last one that exists
    enum kind kind;
    struct slice found;   // the part of the path that leads to it
    struct slice missing; // the first name that does not exist; size 0: all of it exists
    struct slice rest;    // what follows the missing name
};

/* Follow a path.  LITEDFS_NOT_DIRECTORY if a file stands in the middle; what is missing is no error. */
static int
walk_path (struct txn *txn, struct slice path, const char *what, struct walk *out,
           litedfs_error_t *error)
{
    char quoted[PATH_QUOTE_SIZE];
    char file[PATH_QUOTE_SIZE];
    const char *start = path.data;
    struct slice name;

    int rc = path_check (path, error);
    if (rc < 0)
        return rc;
    memset (out, 0, sizeof *out);
    out->inode = ROOT_INODE;
    out->kind = KIND_DIRECTORY;
    out->rest = path;
    while (path_next (&out->rest, &name)) {
        enum kind kind;
        uint64_t inode;

        if (out->kind == KIND_FILE)
            return err_set (error, LITEDFS_NOT_DIRECTORY, "%s[%s]: %s is a file", what,
                            path_quote (path, quoted), path_quote (out->found, file));
        rc = namespace_child (txn, out->inode, name, &kind, &inode, error);
        if (rc == LITEDFS_NOT_FOUND) {
            out->missing = name;
            return 0;
        }
        if (rc < 0)
            return rc;
        out->parent = out->inode;
        out->inode = inode;
        out->kind = kind;
        out->found = slice_of (start, (size_t) ((const char *) name.data - start) + name.size);
    }
    return 0;
}

/* Say which part of the path is missing. */
static int
missing_error (const struct walk *walk, struct slice path, const char *what,
               litedfs_error_t *error)
{
    char quoted[PATH_QUOTE_SIZE];
    char part[PATH_QUOTE_SIZE];
    struct slice rest = walk->rest;
    struct slice name;
    const char *end = (const char *) walk->missing.data + walk->missing.size;

    if (!path_next (&rest, &name))
        return err_set (error, LITEDFS_NOT_FOUND, "%s[%s]: no such file or directory", what,
                        path_quote (path, quoted));
    struct slice above = slice_of (path.data, (size_t) (end - (const char *) path.data));
    return err_set (error, LITEDFS_NOT_FOUND, "%s[%s]: %s does not exist", what,
                    path_quote (path, quoted), path_quote (above, part));
}

/* The row of an inode that an entry leads to. */
static int
read_inode (struct txn *txn, uint64_t number, struct inode_row *out, litedfs_error_t *error)
{
    int rc = inode_row_get (txn, number, out, error);

    if (rc == LITEDFS_NOT_FOUND)
        return err_set (error, LITEDFS_CORRUPT,
                        "metadata row[inode %llu]: an entry leads to it and it is missing",
                        (unsigned long long) number);
    return rc;
}

/* Follow a path to its end; the row is as stored, without what is pending. */
static int
find (struct txn *txn, struct slice path, const char *what, struct inode_row *out,
      litedfs_error_t *error)
{
    struct walk walk;

    int rc = walk_path (txn, path, what, &walk, error);
    if (rc < 0)
        return rc;
    if (walk.missing.size > 0)
        return missing_error (&walk, path, what, error);
    return read_inode (txn, walk.inode, out, error);
}

static int
find_kind (struct txn *txn, struct slice path, enum kind kind, struct inode_row *out,
           litedfs_error_t *error)
{
    char quoted[PATH_QUOTE_SIZE];

    int rc = find (txn, path, kind_words[kind], out, error);
    if (rc < 0 || out->kind == kind)
        return rc;
    if (kind == KIND_DIRECTORY)
        return err_set (error, LITEDFS_NOT_DIRECTORY, "directory[%s]: it is a file",
                        path_quote (path, quoted));
    return err_set (error, LITEDFS_IS_DIRECTORY, "file[%s]: it is a directory",
                    path_quote (path, quoted));
}

int
namespace_lookup (struct txn *txn, struct slice path, struct inode_row *out,
                  litedfs_error_t *error)
{
    int rc = find (txn, path, "path", out, error);

    if (rc == 0)
        totals_pending (txn, out);
    return rc;
}

int
namespace_lookup_kind (struct txn *txn, struct slice path, enum kind kind,
                       struct inode_row *out, litedfs_error_t *error)
{
    int rc = find_kind (txn, path, kind, out, error);

    if (rc == 0)
        totals_pending (txn, out);
    return rc;
}

int
namespace_file_by_id (struct txn *txn, const struct uuid *id, struct inode_row *out,
                      litedfs_error_t *error)
{
    char text[UUID_TEXT_SIZE];
    int rc = LITEDFS_NOT_FOUND;

    if (uuid_is_v8 (id))
        rc = inode_row_get (txn, uuid_v8_number (id), out, error);
    if (rc == 0 && (out->kind != KIND_FILE || out->bits != uuid_v8_bits (id)))
        rc = LITEDFS_NOT_FOUND;
    if (rc == LITEDFS_NOT_FOUND)
        return err_set (error, rc, "file[%s]: no file has this id", uuid_print (id, text));
    return rc;
}

/* ---- paths of inodes ----------------------------------------------------------------------------- */

int
namespace_path_of (struct txn *txn, uint64_t parent, struct slice name, struct buf *out,
                   litedfs_error_t *error)
{
    char room[NAMESPACE_PATH_OF_MAX];
    size_t at = sizeof room;
    struct inode_row row;
    uint64_t next = parent;

    for (;;) {
        if (name.size > 0) {
            if (at < name.size + 1)
                return err_set (error, LITEDFS_INVALID,
                                "path: it is longer than %d bytes; move it up first",
                                NAMESPACE_PATH_OF_MAX);
            at -= name.size;
            memcpy (room + at, name.data, name.size);
            room[--at] = '/';
        }
        if (next == ROOT_INODE)
            break;
        int rc = inode_row_get (txn, next, &row, error);
        if (rc == LITEDFS_NOT_FOUND || (rc == 0 && row.flags & INODE_DOOMED))
            return err_set (error, LITEDFS_NOT_FOUND, "path: its directory was deleted");
        if (rc < 0)
            return rc;
        name = inode_row_name (&row);
        next = row.parent;
    }
    if (at == sizeof room)
        room[--at] = '/';
    buf_put (out, room + at, sizeof room - at);
    return out->failed ? err_set (error, LITEDFS_MEMORY, "path: out of memory") : 0;
}

/* ---- making directories -------------------------------------------------------------------------- */

/* Write `count` new directories, each in the one before; the first in chain's directory. */
static int
write_directories (struct txn *txn, const struct chain *chain, const struct walk *walk,
                   size_t count, uint64_t *inode, litedfs_error_t *error)
{
    struct totals_delta below = {.directories = (int64_t) count};
    struct slice rest = walk->rest;
    struct slice name = walk->missing;
    struct inode_row row = {.kind = KIND_DIRECTORY};
    uint64_t parent = walk->inode;

    row.ctime = row.mtime = (uint64_t) txn_frame (txn)->wall_ms;
    for (size_t left = count; left > 0; left--) {
        int rc = meta_next (txn, META_INODE, &row.number, error);
        row.parent = parent;
        row.directories = left - 1;
        row.child_directories = left > 1 ? 1 : 0;
        inode_row_set_name (&row, name);
        if (rc == 0)
            rc = inode_row_put (txn, &row, error);
        if (rc == 0)
            rc = dirent_row_put (txn, parent, KIND_DIRECTORY, name, row.number, error);
        if (rc < 0)
            return rc;
        parent = row.number;
        path_next (&rest, &name);
    }
    *inode = parent;
    return chain_spread (txn, chain, &below, 1, 0, error);
}

int
namespace_make_directory (struct txn *txn, struct slice path, bool parents, bool *created,
                          uint64_t *inode, litedfs_error_t *error)
{
    char quoted[PATH_QUOTE_SIZE];
    struct walk walk;
    struct chain chain;
    struct slice name;
    uint64_t number = 0;
    size_t count = 1;

    int rc = walk_path (txn, path, "directory", &walk, error);
    if (rc < 0)
        return rc;
    if (walk.missing.size == 0) {
        if (walk.kind == KIND_FILE)
            return err_set (error, LITEDFS_EXISTS,
                            "directory[%s]: a file of this name is there",
                            path_quote (path, quoted));
        *created = false;
        if (inode)
            *inode = walk.inode;
        return 0;
    }
    for (struct slice rest = walk.rest; path_next (&rest, &name);)
        count++;
    if (count > 1 && !parents)
        return missing_error (&walk, path, "directory", error);
    rc = lease_check_free (txn, walk.inode, walk.missing, error);
    if (rc == 0)
        rc = chain_climb (txn, walk.inode, &chain, error);
    if (rc == 0 && chain.count + count > NAMESPACE_DEPTH_MAX)
        rc = err_set (error, LITEDFS_INVALID, "it would be more than %d levels deep",
                      NAMESPACE_DEPTH_MAX);
    if (rc < 0)
        return err_prefix (error, "directory[%s]", path_quote (path, quoted));
    rc = totals_reserve (txn, chain.count, error);
    if (rc == 0)
        rc = write_directories (txn, &chain, &walk, count, &number, error);
    if (rc < 0)
        return rc;
    *created = true;
    if (inode)
        *inode = number;
    return 0;
}

/* ---- moving -------------------------------------------------------------------------------------- */

/* Refuse a name that is taken or locked in a directory. */
static int
check_vacant (struct txn *txn, uint64_t parent, struct slice name, litedfs_error_t *error)
{
    char quoted[PATH_QUOTE_SIZE];
    enum kind kind;
    uint64_t inode;

    int rc = namespace_child (txn, parent, name, &kind, &inode, error);
    if (rc == 0)
        return err_set (error, LITEDFS_EXISTS, "a %s %s is there already", kind_words[kind],
                        path_quote (name, quoted));
    return rc == LITEDFS_NOT_FOUND ? lease_check_free (txn, parent, name, error) : rc;
}

/* The path that (parent, name) will have, which must stay within what a request can say. */
static int
new_path (struct txn *txn, uint64_t parent, struct slice name, struct buf *out,
          litedfs_error_t *error)
{
    struct buf path = {0};

    int rc = namespace_path_of (txn, parent, name, &path, error);
    if (rc == 0 && path.size > PATH_BYTES_MAX)
        rc = err_set (error, LITEDFS_INVALID, "its new path would have %zu bytes of at most %d",
                      path.size, PATH_BYTES_MAX);
    if (rc == 0)
        buf_put (out, path.data, path.size);
    if (rc == 0 && out->failed)
        rc = err_set (error, LITEDFS_MEMORY, "path: out of memory");
    buf_free (&path);
    return rc;
}

/* Write an inode's new place: entry away, entry there, its own row. */
static int
relink (struct txn *txn, const struct inode_row *row, uint64_t parent, struct slice name,
        litedfs_error_t *error)
{
    struct inode_row moved = *row;

    int rc = dirent_row_del (txn, row->parent, row->kind, inode_row_name (row), error);
    if (rc == LITEDFS_NOT_FOUND)
        return err_set (error, LITEDFS_CORRUPT, "metadata row[inode %llu]: it has no entry",
                        (unsigned long long) row->number);
    if (rc == 0)
        rc = dirent_row_put (txn, parent, row->kind, name, row->number, error);
    moved.parent = parent;
    inode_row_set_name (&moved, name);
    return rc == 0 ? inode_row_put (txn, &moved, error) : rc;
}

/* What move and rename check alike, `from` being the chain of the directory that it is in. */
static int
check_movable (struct txn *txn, const struct inode_row *row, struct chain *from,
               litedfs_error_t *error)
{
    if (row->number == ROOT_INODE)
        return err_set (error, LITEDFS_INVALID, "the root stays where it is");
    int rc = lease_check_free (txn, row->parent, inode_row_name (row), error);
    return rc == 0 ? chain_climb (txn, row->parent, from, error) : rc;
}

static int
check_move (struct txn *txn, const struct inode_row *row, const struct inode_row *target,
            struct chain *from, struct chain *to, struct buf *out, litedfs_error_t *error)
{
    int rc = check_movable (txn, row, from, error);

    if (rc == 0)
        rc = chain_climb (txn, target->number, to, error);
    if (rc == 0 && chain_has (to, row->number))
        rc = err_set (error, LITEDFS_INVALID, "it cannot go into itself");
    if (rc == 0)
        rc = check_vacant (txn, target->number, inode_row_name (row), error);
    if (rc == 0)
        rc = totals_reserve (txn, from->count + to->count, error);
    return rc == 0 ? new_path (txn, target->number, inode_row_name (row), out, error) : rc;
}

int
namespace_move (struct txn *txn, enum kind kind, struct slice source, struct slice target,
                struct buf *out, litedfs_error_t *error)
{
    char quoted[PATH_QUOTE_SIZE];
    struct inode_row row;
    struct inode_row directory;
    struct chain from;
    struct chain to;

    int rc = find_kind (txn, source, kind, &row, error);
    if (rc == 0)
        rc = find_kind (txn, target, KIND_DIRECTORY, &directory, error);
    if (rc < 0)
        return rc;
    rc = check_move (txn, &row, &directory, &from, &to, out, error);
    if (rc < 0)
        return err_prefix (error, "%s[%s]", kind_words[kind], path_quote (source, quoted));
    rc = chain_weigh (txn, &from, &row, -1, error);
    if (rc == 0)
        rc = chain_weigh (txn, &to, &row, 1, error);
    return rc == 0 ? relink (txn, &row, directory.number, inode_row_name (&row), error) : rc;
}

int
namespace_rename (struct txn *txn, enum kind kind, struct slice path, struct slice name,
                  struct buf *out, litedfs_error_t *error)
{
    static const struct totals_delta nothing = {0};
    char quoted[PATH_QUOTE_SIZE];
    struct inode_row row;
    struct chain chain;

    int rc = path_check_name (name, error);
    if (rc == 0)
        rc = find_kind (txn, path, kind, &row, error);
    if (rc < 0)
        return rc;
    bool same = slice_equal (name, inode_row_name (&row));
    rc = check_movable (txn, &row, &chain, error);
    if (rc == 0 && !same)
        rc = check_vacant (txn, row.parent, name, error);
    if (rc == 0)
        rc = totals_reserve (txn, 1, error);
    if (rc == 0)
        rc = new_path (txn, row.parent, name, out, error);
    if (rc < 0)
        return err_prefix (error, "%s[%s]", kind_words[kind], path_quote (path, quoted));
    if (same)
        return 0;
    chain.count = 1; // nothing above the directory itself changes
    rc = chain_spread (txn, &chain, &nothing, 0, 0, error);
    return rc == 0 ? relink (txn, &row, row.parent, name, error) : rc;
}

/* ---- deleting and linking ------------------------------------------------------------------------ */

/* Take an inode out of its directory and doom it. */
static int
doom (struct txn *txn, const struct inode_row *row, litedfs_error_t *error)
{
    struct doomed_row doomed = {.inode = row->number, .kind = row->kind};
    struct inode_row marked = *row;
    int rc;

    if (row->kind == KIND_DIRECTORY) {
        marked.flags |= INODE_DOOMED;
        rc = inode_row_put (txn, &marked, error);
    } else {
        rc = inode_row_del (txn, row->number, error);
        if (rc == 0)
            rc = mark_drop (txn, row->number, error);
    }
    return rc == 0 ? doomed_row_put (txn, &doomed, error) : rc;
}

int
namespace_delete (struct txn *txn, enum kind kind, struct slice path, litedfs_error_t *error)
{
    char quoted[PATH_QUOTE_SIZE];
    struct inode_row row;
    struct chain chain;

    int rc = find_kind (txn, path, kind, &row, error);
    if (rc < 0)
        return rc;
    if (row.number == ROOT_INODE)
        return err_set (error, LITEDFS_INVALID, "directory[/]: the root cannot be deleted");
    rc = chain_climb (txn, row.parent, &chain, error);
    if (rc == 0)
        rc = totals_reserve (txn, chain.count, error);
    if (rc < 0)
        return err_prefix (error, "%s[%s]", kind_words[kind], path_quote (path, quoted));
    rc = chain_weigh (txn, &chain, &row, -1, error);
    if (rc == 0)
        rc = dirent_row_del (txn, row.parent, kind, inode_row_name (&row), error);
    return rc == 0 ? doom (txn, &row, error) : rc;
}

int
namespace_set_replica (struct txn *txn, struct slice path, uint32_t replica,
                       const struct uuid *id, litedfs_error_t *error)
{
    char quoted[PATH_QUOTE_SIZE];
    struct inode_row row;
    struct uuid now;

    int rc = find_kind (txn, path, KIND_FILE, &row, error);
    if (rc < 0)
        return rc;
    inode_row_id (&row, &now);
    if (id && !uuid_equal (id, &now))
        return err_set (error, LITEDFS_NOT_FOUND, "file[%s]: another file has this path now",
                        path_quote (path, quoted));
    if (row.replica == replica)
        return 0;
    row.replica = replica;
    rc = inode_row_put (txn, &row, error);
    return rc == 0 && row.size > 0 ? mark_blocks (txn, row.number, 0, REPAIR_END, error) : rc;
}

/* What is under the name now: *victim's number is 0, or that of a file to be replaced. */
static int
check_link (struct txn *txn, uint64_t parent, struct slice name, bool replace,
            struct chain *chain, struct inode_row *victim, litedfs_error_t *error)
{
    enum kind kind;
    uint64_t inode;

    victim->number = 0;
    int rc = chain_climb (txn, parent, chain, error);
    if (rc < 0)
        return rc;
    rc = namespace_child (txn, parent, name, &kind, &inode, error);
    if (rc == LITEDFS_NOT_FOUND)
        return 0;
    if (rc < 0)
        return rc;
    if (kind == KIND_DIRECTORY)
        return err_set (error, LITEDFS_IS_DIRECTORY, "a directory of this name is there");
    if (!replace)
        return err_set (error, LITEDFS_EXISTS, "it exists already");
    return read_inode (txn, inode, victim, error);
}

int
namespace_can_link (struct txn *txn, uint64_t parent, struct slice name, bool replace,
                    litedfs_error_t *error)
{
    struct chain chain;
    struct inode_row victim;

    return check_link (txn, parent, name, replace, &chain, &victim, error);
}

int
namespace_link (struct txn *txn, const struct inode_row *row, bool replace,
                litedfs_error_t *error)
{
    struct chain chain;
    struct inode_row victim;
    struct inode_row linked = *row;

    int rc =
        check_link (txn, row->parent, inode_row_name (row), replace, &chain, &victim, error);
    if (rc == 0)
        rc = totals_reserve (txn, chain.count, error);
    if (rc < 0)
        return rc;
    if (victim.number != 0) {
        rc = chain_weigh (txn, &chain, &victim, -1, error);
        if (rc == 0)
            rc = doom (txn, &victim, error);
    }
    linked.mtime = (uint64_t) txn_frame (txn)->wall_ms;
    if (rc == 0)
        rc = chain_weigh (txn, &chain, &linked, 1, error);
    if (rc == 0)
        rc = dirent_row_put (txn, row->parent, KIND_FILE, inode_row_name (row), row->number,
                             error);
    return rc == 0 ? inode_row_put (txn, &linked, error) : rc;
}
