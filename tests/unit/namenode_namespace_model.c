/* SPDX-License-Identifier: MIT */
/*
 * namenode/namespace with chain, totals and listing: a long random row of operations against a model that
 * knows only parents, names and sizes; both must agree on every answer and on every count.
 */
#include "namenode/namespace.h"

#include "namenode_store.h"

static int
move (struct txn *txn, enum kind kind, const char *source, const char *target)
{
    struct buf path = {0};
    int rc = namespace_move (txn, kind, S (source), S (target), &path, E);

    buf_free (&path);
    return rc;
}

static int
change_name (struct txn *txn, enum kind kind, const char *path, const char *name)
{
    struct buf out = {0};
    int rc = namespace_rename (txn, kind, S (path), S (name), &out, E);

    buf_free (&out);
    return rc;
}

enum { MODEL_MAX = 400 };

static struct {
    bool used;
    bool directory;
    int parent;
    char name[8];
    int size;
} model[MODEL_MAX];

static void
model_path (int node, char *out)
{
    if (node == 0) {
        strcpy (out, "/");
        return;
    }
    model_path (model[node].parent, out);
    if (out[1] != '\0')
        strcat (out, "/");
    strcat (out, model[node].name);
}

static int
model_child (int parent, const char *name)
{
    for (int i = 1; i < MODEL_MAX; i++)
        if (model[i].used && model[i].parent == parent && strcmp (model[i].name, name) == 0)
            return i;
    return -1;
}

static bool
model_below (int node, int top)
{
    for (; node != 0; node = model[node].parent)
        if (node == top)
            return true;
    return node == top;
}

static void
model_delete (int node)
{
    for (int i = 1; i < MODEL_MAX; i++)
        if (model[i].used && model[i].parent == node && i != node)
            model_delete (i);
    model[node].used = false;
}

static int
model_any (struct rng *rng)
{
    int node;

    do
        node = (int) rng_below (rng, MODEL_MAX);
    while (!model[node].used);
    return node;
}

static int
model_add (int parent, const char *name, bool directory, int size)
{
    for (int i = 1; i < MODEL_MAX; i++) {
        if (model[i].used)
            continue;
        model[i].used = true;
        model[i].directory = directory;
        model[i].parent = parent;
        model[i].size = size;
        strcpy (model[i].name, name);
        return i;
    }
    return -1;
}

static void
random_add (struct txn *txn, struct rng *rng, const char *name)
{
    char path[4096];
    bool created;
    int parent = model_any (rng);
    bool directory = rng_below (rng, 2) == 0;
    int size = (int) rng_below (rng, 1000);
    int there = model_child (parent, name);
    int count = 0;

    for (int i = 0; i < MODEL_MAX; i++)
        count += model[i].used;
    model_path (parent, path);
    if (count > MODEL_MAX - 2 || strlen (path) > 3000)
        return;
    snprintf (path + strlen (path), 16, "/%s", name);
    if (directory) {
        int rc = namespace_make_directory (txn, S (path), false, &created, NULL, E);
        if (!model[parent].directory)
            ck_assert_int_eq (rc, LITEDFS_NOT_DIRECTORY);
        else if (there >= 0)
            ck_assert_int_eq (rc, model[there].directory ? 0 : LITEDFS_EXISTS);
        else
            ck_ok (rc);
        if (rc == 0 && created)
            ck_assert_int_ge (model_add (parent, name, true, 0), 0);
    } else if (model[parent].directory && there < 0) {
        add_file (txn, path, (uint64_t) size);
        ck_assert_int_ge (model_add (parent, name, false, size), 0);
    }
}

static void
random_move (struct txn *txn, struct rng *rng)
{
    char source[4096];
    char target[4096];
    int node = model_any (rng);
    int parent = model_any (rng);
    enum kind kind = model[node].directory ? KIND_DIRECTORY : KIND_FILE;

    model_path (node, source);
    model_path (parent, target);
    int rc = move (txn, kind, source, target);
    if (!model[parent].directory)
        ck_assert_int_eq (rc, LITEDFS_NOT_DIRECTORY);
    else if (node == 0 || model_below (parent, node))
        ck_assert_int_eq (rc, LITEDFS_INVALID);
    else if (model_child (parent, model[node].name) >= 0)
        ck_assert_int_eq (rc, LITEDFS_EXISTS);
    else
        ck_ok (rc);
    if (rc == 0)
        model[node].parent = parent;
}

static void
random_rename (struct txn *txn, struct rng *rng, const char *name)
{
    char path[4096];
    int node = model_any (rng);
    enum kind kind = model[node].directory ? KIND_DIRECTORY : KIND_FILE;

    model_path (node, path);
    int rc = change_name (txn, kind, path, name);
    int there = node == 0 ? -1 : model_child (model[node].parent, name);
    if (node == 0)
        ck_assert_int_eq (rc, LITEDFS_INVALID);
    else if (there >= 0 && there != node)
        ck_assert_int_eq (rc, LITEDFS_EXISTS);
    else
        ck_ok (rc);
    if (rc == 0)
        strcpy (model[node].name, name);
}

static void
random_delete (struct txn *txn, struct rng *rng)
{
    char path[4096];
    int node = model_any (rng);

    if (node == 0 || (model[node].directory && rng_below (rng, 4) > 0))
        return;
    model_path (node, path);
    ck_ok (namespace_delete (txn, model[node].directory ? KIND_DIRECTORY : KIND_FILE, S (path),
                             E));
    model_delete (node);
}

/* Compare a directory with what the model has below it; adds to what the caller counts. */
static void
compare (struct txn *txn, uint64_t inode, int node, uint64_t sums[3])
{
    struct inode_row row;
    struct inode_row child;
    struct listing listing;
    uint64_t below[3] = {0};
    uint64_t directories = 0;
    uint64_t files = 0;
    char last[NAME_BYTES_MAX + 2] = "";

    ck_ok (inode_row_get (txn, inode, &row, E));
    for (int i = 1; i < MODEL_MAX; i++)
        if (model[i].used && model[i].parent == node) {
            directories += model[i].directory;
            files += !model[i].directory;
        }
    ck_assert_uint_eq (row.child_directories, directories);
    ck_assert_uint_eq (row.child_files, files);
    struct slice none = {0};
    ck_ok (listing_open (&listing, txn, inode, true, true, 0, none, E));
    ck_assert_uint_eq (listing.total, directories + files);
    while (listing_next (&listing, &child, E) == 0) {
        char order[NAME_BYTES_MAX + 2];
        int there = model_child (node, child.name);
        ck_assert_int_ge (there, 0);
        ck_assert_int_eq (child.kind == KIND_DIRECTORY, model[there].directory);
        ck_assert_uint_eq (child.parent, inode);
        snprintf (order, sizeof order, "%c%s", child.kind == KIND_DIRECTORY ? '0' : '1',
                  child.name);
        ck_assert_int_gt (strcmp (order, last), 0);
        strcpy (last, order);
        if (child.kind == KIND_DIRECTORY) {
            directories--;
            below[0]++;
            compare (txn, child.number, there, below);
        } else {
            files--;
            below[1]++;
            below[2] += child.size;
            ck_assert_uint_eq (child.size, (uint64_t) model[there].size);
        }
    }
    listing_close (&listing);
    ck_assert_uint_eq (directories + files, 0);
    ck_assert_uint_eq (row.directories, below[0]);
    ck_assert_uint_eq (row.files, below[1]);
    ck_assert_uint_eq (row.bytes, below[2]);
    for (int i = 0; i < 3; i++)
        sums[i] += below[i];
}

START_TEST (a_long_row_of_operations_leaves_the_tree_of_the_model)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    struct rng rng;
    uint64_t sums[3];

    rng_seed (&rng, 20240607);
    model[0].used = model[0].directory = true;
    for (int batch = 0; batch < 250; batch++) {
        struct txn *txn = begin ();
        for (uint64_t i = rng_below (&rng, 60); i > 0; i--) {
            const char *name = names[rng_below (&rng, sizeof names / sizeof *names)];
            uint64_t dice = rng_below (&rng, 100);
            if (dice < 45)
                random_add (txn, &rng, name);
            else if (dice < 65)
                random_move (txn, &rng);
            else if (dice < 85)
                random_rename (txn, &rng, name);
            else
                random_delete (txn, &rng);
        }
        commit (&txn);
        txn = begin_read ();
        memset (sums, 0, sizeof sums);
        compare (txn, ROOT_INODE, 0, sums);
        txn_abort (&txn);
    }
    ck_assert_uint_gt (rows_of (TABLE_DOOMED), 100);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_namespace_model", store_setup, store_teardown,
                   a_long_row_of_operations_leaves_the_tree_of_the_model)
