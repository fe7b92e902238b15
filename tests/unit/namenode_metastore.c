/* SPDX-License-Identifier: MIT */
/*
 * namenode/metastore and metastore_txn: transactions, snapshots, cursors, a map that grows, damage.
 */
#include "namenode/metastore.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "namenode_store.h"

static void
put (struct txn *txn, const char *key, const char *value)
{
    ck_ok (txn_put (txn, TABLE_OWNER, S (key), S (value), E));
}

static void
expect (struct txn *txn, const char *key, const char *value)
{
    struct slice found;

    ck_ok (txn_get (txn, TABLE_OWNER, S (key), &found, E));
    ck_assert (slice_equal (found, S (value)));
}

static void
expect_none (struct txn *txn, const char *key)
{
    struct slice found;

    ck_fails (LITEDFS_NOT_FOUND, txn_get (txn, TABLE_OWNER, S (key), &found, E));
    ck_assert_str_eq (fixture.error.text, "");
}

START_TEST (what_was_committed_is_there_after_opening_again)
{
    struct txn *txn = begin ();
    put (txn, "a", "1");
    put (txn, "b", "");
    expect (txn, "a", "1");
    commit (&txn);
    ck_assert_ptr_null (txn);
    uint64_t number = metastore_transaction (fixture.store);
    metastore_close (&fixture.store);
    ck_assert_ptr_null (fixture.store);
    open_store (1 << 28);
    txn = begin_read ();
    expect (txn, "a", "1");
    expect (txn, "b", "");
    ck_assert_uint_eq (txn_number (txn), number);
    ck_assert_uint_eq (metastore_transaction (fixture.store), number);
    txn_abort (&txn);
}
END_TEST

START_TEST (an_aborted_transaction_leaves_no_trace)
{
    uint64_t number = metastore_transaction (fixture.store);
    struct txn *txn = begin ();
    put (txn, "a", "1");
    ck_assert_uint_eq (txn_written (txn), 1);
    txn_abort (&txn);
    txn_abort (&txn);
    txn = begin_read ();
    expect_none (txn, "a");
    txn_abort (&txn);
    ck_assert_uint_eq (metastore_transaction (fixture.store), number);
}
END_TEST

START_TEST (a_snapshot_does_not_change)
{
    struct txn *txn = begin ();
    put (txn, "a", "1");
    commit (&txn);
    struct txn *snapshot = begin_read ();
    txn = begin ();
    put (txn, "a", "2");
    put (txn, "b", "2");
    expect (snapshot, "a", "1");
    commit (&txn);
    expect (snapshot, "a", "1");
    expect_none (snapshot, "b");
    txn_abort (&snapshot);
    snapshot = begin_read ();
    expect (snapshot, "a", "2");
    txn_abort (&snapshot);
}
END_TEST

START_TEST (transactions_that_write_are_numbered_and_others_are_not)
{
    uint64_t number = metastore_transaction (fixture.store);
    struct txn *txn = begin ();
    commit (&txn);
    ck_assert_uint_eq (metastore_transaction (fixture.store), number);
    txn = begin ();
    ck_assert_uint_eq (txn_number (txn), number + 1);
    put (txn, "a", "1");
    commit (&txn);
    ck_assert_uint_eq (metastore_transaction (fixture.store), number + 1);
}
END_TEST

START_TEST (deleting_what_is_not_there_says_so_and_writes_nothing)
{
    struct txn *txn = begin ();
    ck_fails (LITEDFS_NOT_FOUND, txn_del (txn, TABLE_OWNER, S ("a"), E));
    ck_assert_uint_eq (txn_written (txn), 0);
    put (txn, "a", "1");
    ck_ok (txn_del (txn, TABLE_OWNER, S ("a"), E));
    expect_none (txn, "a");
    txn_abort (&txn);
}
END_TEST

/* Walk and put the keys, each followed by a comma, into out. */
static void
walk (struct txn *txn, const char *prefix, const char *start, struct buf *out)
{
    struct cursor cursor = {0};
    struct slice key;
    int rc;

    buf_clear (out);
    ck_ok (cursor_open (&cursor, txn, TABLE_OWNER, S (prefix), S (start), E));
    while ((rc = cursor_next (&cursor, &key, NULL, E)) == 0)
        buf_printf (out, "%.*s,", (int) key.size, (const char *) key.data);
    ck_assert_int_eq (rc, LITEDFS_NOT_FOUND);
    cursor_close (&cursor);
    cursor_close (&cursor);
}

START_TEST (cursors_walk_a_prefix_from_a_start)
{
    static const char *const keys[] = {"a", "b", "ba", "bb", "bc", "c"};
    struct buf out = {0};
    struct txn *txn = begin ();

    walk (txn, "", "", &out);
    ck_assert_str_eq (buf_text (&out), "");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        put (txn, keys[i], "x");
    walk (txn, "", "", &out);
    ck_assert_str_eq (buf_text (&out), "a,b,ba,bb,bc,c,");
    walk (txn, "b", "", &out);
    ck_assert_str_eq (buf_text (&out), "b,ba,bb,bc,");
    walk (txn, "b", "bb", &out);
    ck_assert_str_eq (buf_text (&out), "bb,bc,");
    walk (txn, "b", "a", &out);
    ck_assert_str_eq (buf_text (&out), "b,ba,bb,bc,");
    walk (txn, "b", "c", &out);
    ck_assert_str_eq (buf_text (&out), "");
    walk (txn, "", "bab", &out);
    ck_assert_str_eq (buf_text (&out), "bb,bc,c,");
    walk (txn, "d", "", &out);
    ck_assert_str_eq (buf_text (&out), "");
    buf_free (&out);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_cursor_finds_its_place_when_rows_change_on_the_way)
{
    struct txn *txn = begin ();
    struct cursor cursor = {0};
    struct slice none = {0};
    struct slice key;
    struct slice value;
    char text[16];
    unsigned seen = 0;

    for (unsigned i = 0; i < 2000; i++) {
        snprintf (text, sizeof text, "%04u", i * 2);
        put (txn, text, text);
    }
    ck_ok (cursor_open (&cursor, txn, TABLE_OWNER, none, none, E));
    while (cursor_next (&cursor, &key, &value, E) == 0) {
        ck_assert (slice_equal (key, value));
        memcpy (text, key.data, 4);
        text[4] = '\0';
        unsigned number = (unsigned) atoi (text);
        ck_assert_uint_eq (number, seen * 2);
        seen++;
        ck_ok (txn_del (txn, TABLE_OWNER, slice_of (text, 4), E));
        snprintf (text, sizeof text, "%04u", number > 0 ? number - 1 : 9999);
        if (number > 0)
            put (txn, text, "behind"); // what is put behind it is not seen
        else
            ck_ok (txn_put (txn, TABLE_HELD, S ("x"), S ("y"), E));
    }
    cursor_close (&cursor);
    ck_assert_uint_eq (seen, 2000);
    txn_abort (&txn);
}
END_TEST

/* The floor of a key among those with a prefix; "" if there is none. */
static const char *
floor_of (struct txn *txn, const char *prefix, const char *key)
{
    static char text[16];
    struct cursor cursor = {0};
    struct slice none = {0};
    struct slice found;

    ck_ok (cursor_open (&cursor, txn, TABLE_OWNER, S (prefix), none, E));
    int rc = cursor_floor (&cursor, S (key), &found, NULL, E);
    ck_assert (rc == 0 || rc == LITEDFS_NOT_FOUND);
    snprintf (text, sizeof text, "%.*s", rc == 0 ? (int) found.size : 0,
              rc == 0 ? (const char *) found.data : "");
    cursor_close (&cursor);
    return text;
}

START_TEST (the_floor_of_a_key_is_the_last_row_that_is_not_above_it)
{
    struct cursor cursor = {0};
    struct slice key;
    struct txn *txn = begin ();

    ck_assert_str_eq (floor_of (txn, "b", "b5"), "");
    for (const char *const *at = (const char *const[]){"a9", "b1", "b3", "b33", "c1", NULL};
         *at; at++)
        ck_ok (txn_put (txn, TABLE_OWNER, S (*at), S ("x"), E));
    ck_assert_str_eq (floor_of (txn, "b", "b3"), "b3");
    ck_assert_str_eq (floor_of (txn, "b", "b2"), "b1");
    ck_assert_str_eq (floor_of (txn, "b", "b30"), "b3");
    ck_assert_str_eq (floor_of (txn, "b", "b9"), "b33");
    ck_assert_str_eq (floor_of (txn, "b", "b0"), "");
    ck_assert_str_eq (floor_of (txn, "c", "c9"), "c1");
    ck_assert_str_eq (floor_of (txn, "d", "d1"), "");
    ck_ok (cursor_open (&cursor, txn, TABLE_OWNER, S ("b"), S ("b"), E));
    ck_ok (cursor_floor (&cursor, S ("b2"), &key, NULL, E));
    ck_ok (cursor_next (&cursor, &key, NULL, E)); // the walk goes on there
    ck_assert (slice_equal (key, S ("b3")));
    cursor_close (&cursor);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_full_map_says_so_and_grows_between_batches)
{
    struct txn *txn;
    char big[3000];
    char key[16];
    int rc = 0;

    metastore_close (&fixture.store);
    store_teardown ();
    strcpy (fixture.directory, "/tmp/litedfs-unit-XXXXXX");
    ck_assert_ptr_nonnull (mkdtemp (fixture.directory));
    open_store (256 * 1024);
    memset (big, 'x', sizeof big);
    for (unsigned batch = 0, grown = 0; batch < 40; batch++) {
        do {
            txn = begin ();
            rc = 0;
            for (unsigned i = 0; rc == 0 && i < 20; i++) {
                snprintf (key, sizeof key, "%u.%u", batch, i);
                rc = txn_put (txn, TABLE_BLOCK, S (key), slice_of (big, sizeof big), E);
            }
            if (rc == 0)
                rc = txn_commit (&txn, E);
            txn_abort (&txn);
            if (rc == METASTORE_MAP_FULL) {
                ck_ok (metastore_grow (fixture.store, E));
                grown++;
            }
        } while (rc == METASTORE_MAP_FULL);
        ck_ok (rc);
        ck_assert (batch < 39 || grown >= 3);
    }
    ck_assert_uint_eq (rows_of (TABLE_BLOCK), 800);
    metastore_close (&fixture.store);
    open_store (64 * 1024); // less than it has already
    ck_assert_uint_eq (rows_of (TABLE_BLOCK), 800);
}
END_TEST

static _Atomic bool stop;
static _Atomic unsigned reads;

static void *
read_on_and_on (void *arg)
{
    struct txn *txn;
    struct slice value;

    (void) arg;
    while (!stop) {
        litedfs_error_t error;
        if (txn_begin_read (fixture.store, &txn, &error) < 0 ||
            txn_get (txn, TABLE_OWNER, S ("a"), &value, &error) < 0 || value.size != 1)
            abort ();
        txn_abort (&txn);
        reads++;
        sched_yield ();
    }
    return NULL;
}

START_TEST (the_map_grows_under_readers)
{
    pthread_t threads[3];
    struct metastore_statistics statistics;
    struct txn *txn = begin ();

    put (txn, "a", "1");
    commit (&txn);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq (pthread_create (&threads[i], NULL, read_on_and_on, NULL), 0);
    for (int i = 0; i < 6; i++) {
        unsigned before = reads;
        ck_ok (metastore_grow (fixture.store, E));
        txn = begin ();
        put (txn, "b", "2");
        commit (&txn);
        while (reads < before + 10)
            sched_yield ();
    }
    stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join (threads[i], NULL);
    ck_ok (metastore_statistics (fixture.store, &statistics, E));
    ck_assert_uint_eq (statistics.map_size, (uint64_t) (1 << 28) << 6);
    ck_assert_uint_eq (statistics.readers, 0);
}
END_TEST

static _Atomic bool grown;

static void *
grow_once (void *arg)
{
    litedfs_error_t error;

    (void) arg;
    if (metastore_grow (fixture.store, &error) < 0)
        abort ();
    grown = true;
    return NULL;
}

START_TEST (growing_waits_for_the_last_snapshot)
{
    struct txn *txn = begin ();
    put (txn, "a", "1");
    commit (&txn);
    struct txn *snapshot = begin_read ();
    pthread_t thread;
    ck_assert_int_eq (pthread_create (&thread, NULL, grow_once, NULL), 0);
    for (int i = 0; i < 1000; i++) {
        ck_assert (!grown);
        expect (snapshot, "a", "1");
        sched_yield ();
    }
    txn_abort (&snapshot);
    pthread_join (thread, NULL);
    ck_assert (grown);
}
END_TEST

START_TEST (statistics_count_rows_and_pages)
{
    struct metastore_statistics before;
    struct metastore_statistics after;
    char key[16];
    struct txn *txn = begin ();

    ck_ok (metastore_statistics (fixture.store, &before, E));
    for (int i = 0; i < 5000; i++) {
        snprintf (key, sizeof key, "%d", i);
        put (txn, key, "some value of some length");
    }
    commit (&txn);
    ck_ok (metastore_statistics (fixture.store, &after, E));
    ck_assert_uint_eq (after.rows[TABLE_OWNER], 5000);
    ck_assert_uint_eq (after.rows[TABLE_META], before.rows[TABLE_META]);
    ck_assert_uint_gt (after.pages_used, before.pages_used);
    ck_assert_uint_gt (after.page_size, 0);
    txn = begin ();
    for (int i = 0; i < 5000; i++) {
        snprintf (key, sizeof key, "%d", i);
        ck_ok (txn_del (txn, TABLE_OWNER, S (key), E));
    }
    commit (&txn);
    ck_ok (metastore_statistics (fixture.store, &before, E));
    ck_assert_uint_gt (before.pages_free, 50);
}
END_TEST

/* Try to open what is in the directory. */
static int
try_open (void)
{
    struct metastore_options options = {.directory = fixture.directory, .map_size = 1 << 24};

    return metastore_open (&fixture.store, &options, E);
}

START_TEST (a_newer_layout_is_refused)
{
    struct txn *txn = begin ();
    ck_ok (txn_put (txn, TABLE_META, S ("layout"), slice_of ("\2\0\0", 4), E));
    commit (&txn);
    metastore_close (&fixture.store);
    ck_fails (LITEDFS_LAYOUT, try_open ());
    ck_assert_ptr_null (fixture.store);
    ck_assert (strstr (fixture.error.text, "newer") != NULL);
}
END_TEST

START_TEST (rows_without_a_layout_are_refused)
{
    struct txn *txn = begin ();
    ck_ok (txn_del (txn, TABLE_META, S ("layout"), E));
    commit (&txn);
    metastore_close (&fixture.store);
    ck_fails (LITEDFS_CORRUPT, try_open ());
}
END_TEST

START_TEST (a_damaged_layout_is_refused)
{
    struct txn *txn = begin ();
    ck_ok (txn_put (txn, TABLE_META, S ("layout"), S ("x"), E));
    commit (&txn);
    metastore_close (&fixture.store);
    ck_fails (LITEDFS_CORRUPT, try_open ());
}
END_TEST

static FILE *
open_data (const char *mode)
{
    char path[128];

    snprintf (path, sizeof path, "%s/data.mdb", fixture.directory);
    FILE *file = fopen (path, mode);
    ck_assert_ptr_nonnull (file);
    return file;
}

START_TEST (a_file_that_is_no_store_is_refused)
{
    char noise[8192];

    metastore_close (&fixture.store);
    memset (noise, 0x5a, sizeof noise);
    FILE *file = open_data ("r+");
    ck_assert_uint_eq (fwrite (noise, 1, sizeof noise, file), sizeof noise);
    fclose (file);
    ck_fails (LITEDFS_CORRUPT, try_open ());
}
END_TEST

START_TEST (a_flipped_bit_in_a_value_is_noticed)
{
    static const char text[] = "a value that is easy to find in the file";
    static char bytes[1 << 20];
    struct cursor cursor = {0};
    struct slice none = {0};
    struct slice value;

    struct txn *txn = begin ();
    put (txn, "key", text);
    commit (&txn);
    metastore_close (&fixture.store);
    FILE *file = open_data ("r+");
    size_t size = fread (bytes, 1, sizeof bytes, file);
    char *found = memmem (bytes, size, text, strlen (text));
    ck_assert_ptr_nonnull (found);
    ck_assert_int_eq (fseek (file, found - bytes + 3, SEEK_SET), 0);
    ck_assert_int_eq (fputc (found[3] ^ 4, file), found[3] ^ 4);
    fclose (file);
    open_store (1 << 28);
    txn = begin_read ();
    ck_fails (LITEDFS_CORRUPT, txn_get (txn, TABLE_OWNER, S ("key"), &value, E));
    ck_assert (strstr (fixture.error.text, "owner 6b6579") != NULL);
    ck_ok (cursor_open (&cursor, txn, TABLE_OWNER, none, none, E));
    ck_fails (LITEDFS_CORRUPT, cursor_next (&cursor, NULL, &value, E));
    cursor_close (&cursor);
    txn_abort (&txn);
}
END_TEST

START_TEST (a_directory_that_cannot_be_made_is_named)
{
    struct metastore_options options = {.directory = "/nowhere/at/all", .sync = true};
    struct metastore *store = NULL;

    ck_fails (LITEDFS_IO, metastore_open (&store, &options, E));
    ck_assert_ptr_null (store);
    ck_assert (strstr (fixture.error.text, "/nowhere/at/all") != NULL);
}
END_TEST

START_TEST (it_makes_its_directory_for_itself_alone)
{
    char path[96];
    struct stat status;
    struct metastore *store = NULL;

    snprintf (path, sizeof path, "%s/deeper", fixture.directory);
    struct metastore_options options = {.directory = path, .sync = true};
    ck_ok (metastore_open (&store, &options, E));
    ck_assert_int_eq (stat (path, &status), 0);
    ck_assert_uint_eq (status.st_mode & 0777, 0700);
    ck_ok (metastore_check_readers (store, E));
    metastore_close (&store);
    metastore_close (&store);
}
END_TEST

/* Fill a small file system until a commit fails. */
static int
fill (void)
{
    char big[4000];
    char key[16];
    int rc = 0;

    memset (big, 'x', sizeof big);
    for (unsigned i = 0; rc == 0; i++) {
        struct txn *txn = begin ();
        for (unsigned n = 0; rc == 0 && n < 20; n++) {
            snprintf (key, sizeof key, "%u.%u", i, n);
            rc = txn_put (txn, TABLE_BLOCK, S (key), slice_of (big, sizeof big), E);
        }
        if (rc == 0)
            rc = txn_commit (&txn, E);
        txn_abort (&txn);
    }
    return rc;
}

START_TEST (a_full_disk_is_refused_and_deletes_work_with_the_ballast_gone)
{
    char ballast[128];
    struct metastore_statistics statistics;

    metastore_close (&fixture.store);
    if (mount ("tmpfs", fixture.directory, "tmpfs", 0, "size=8m") < 0) {
        printf ("# skipped: no tmpfs can be mounted: %s\n", strerror (errno));
        return;
    }
    snprintf (ballast, sizeof ballast, "%s/ballast", fixture.directory);
    FILE *file = fopen (ballast, "w");
    ck_assert_ptr_nonnull (file);
    for (int i = 0; i < 1 << 20; i++)
        fputc ('x', file);
    fclose (file);
    open_store (1 << 28);
    int rc = fill ();
    char text[sizeof fixture.error.text];
    strcpy (text, fixture.error.text);

    // The store is whole, can be read, and takes deletes once the ballast is gone.
    ck_ok (metastore_statistics (fixture.store, &statistics, E));
    uint64_t rows = statistics.rows[TABLE_BLOCK];
    ck_assert_uint_eq (rows % 20, 0);
    ck_assert_int_eq (unlink (ballast), 0);
    struct txn *txn = begin ();
    for (unsigned i = 0; i < 20; i++) {
        char key[16];
        snprintf (key, sizeof key, "0.%u", i);
        ck_ok (txn_del (txn, TABLE_BLOCK, S (key), E));
    }
    commit (&txn);
    metastore_close (&fixture.store);
    open_store (1 << 28);
    uint64_t after = rows_of (TABLE_BLOCK);
    metastore_close (&fixture.store);
    umount (fixture.directory);
    ck_assert_msg (rc == LITEDFS_NO_SPACE, "%d %s", rc, text);
    ck_assert_uint_eq (after, rows - 20);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "namenode_metastore", store_setup, store_teardown,
    what_was_committed_is_there_after_opening_again, an_aborted_transaction_leaves_no_trace,
    a_snapshot_does_not_change, transactions_that_write_are_numbered_and_others_are_not,
    deleting_what_is_not_there_says_so_and_writes_nothing, cursors_walk_a_prefix_from_a_start,
    a_cursor_finds_its_place_when_rows_change_on_the_way,
    the_floor_of_a_key_is_the_last_row_that_is_not_above_it,
    a_full_map_says_so_and_grows_between_batches, the_map_grows_under_readers,
    growing_waits_for_the_last_snapshot, statistics_count_rows_and_pages,
    a_newer_layout_is_refused, rows_without_a_layout_are_refused, a_damaged_layout_is_refused,
    a_file_that_is_no_store_is_refused, a_flipped_bit_in_a_value_is_noticed,
    a_directory_that_cannot_be_made_is_named, it_makes_its_directory_for_itself_alone,
    a_full_disk_is_refused_and_deletes_work_with_the_ballast_gone)
