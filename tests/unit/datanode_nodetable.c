/* SPDX-License-Identifier: MIT */
/*
 * datanode/nodetable: where nodes are is found, told once, and read again as it was saved or not at all.
 */
#include "datanode/nodetable.h"

#include "base/crc.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/litedfs-nodetable-XXXXXX";
static char path[64];
static struct nodetable *table;
static litedfs_error_t error;

static void
setup (void)
{
    ck_assert_ptr_nonnull (mkdtemp (directory));
    snprintf (path, sizeof path, "%s/nodes", directory);
    table = nodetable_new ();
    ck_assert_ptr_nonnull (table);
}

static void
teardown (void)
{
    char command[128];

    nodetable_destroy (&table);
    snprintf (command, sizeof command, "rm -rf %s", directory);
    ck_assert_int_eq (system (command), 0);
}

static struct nodetable_entry
entry_of (uint32_t node, const char *host, uint16_t chain_port, const char *zone)
{
    struct nodetable_entry entry = {
        .node = node, .tcp_port = 18002, .chain_port = chain_port, .online = true};

    snprintf (entry.host, sizeof entry.host, "%s", host);
    snprintf (entry.zone, sizeof entry.zone, "%s", zone);
    return entry;
}

static void
put (uint32_t node, const char *host, uint16_t chain_port, const char *zone)
{
    struct nodetable_entry entry = entry_of (node, host, chain_port, zone);

    ck_assert_msg (nodetable_put (table, &entry, &error) == 0, "%s", error.text);
}

static void
check (uint32_t node, const char *host, uint16_t chain_port, const char *zone)
{
    const struct nodetable_entry *entry = nodetable_find (table, node);

    ck_assert_ptr_nonnull (entry);
    ck_assert_uint_eq (entry->node, node);
    ck_assert_str_eq (entry->host, host);
    ck_assert_uint_eq (entry->tcp_port, 18002);
    ck_assert_uint_eq (entry->chain_port, chain_port);
    ck_assert_str_eq (entry->zone, zone);
}

static void
reload (void)
{
    nodetable_destroy (&table);
    table = nodetable_new ();
    ck_assert_msg (nodetable_load (table, path, &error) == 0, "%s", error.text);
}

static void
save (void)
{
    ck_assert_msg (nodetable_save (table, path, &error) == 0, "%s", error.text);
}

START_TEST (entries_are_found_by_number_whatever_order_they_come_in)
{
    static const uint32_t numbers[] = {7, 1, UINT32_MAX, 3, 2, 100};

    ck_assert_ptr_null (nodetable_find (table, 7));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        put (numbers[i], "10.0.0.1", (uint16_t) (numbers[i] & 0xff), "");
    ck_assert_uint_eq (nodetable_count (table), 6);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        check (numbers[i], "10.0.0.1", (uint16_t) (numbers[i] & 0xff), "");
    ck_assert_ptr_null (nodetable_find (table, 4));
    ck_assert_ptr_null (nodetable_find (table, 0));
}
END_TEST

START_TEST (only_what_changed_has_a_new_stamp)
{
    struct nodetable_entry entry = entry_of (3, "10.0.0.3", 28002, "z");

    put (3, "10.0.0.3", 28002, "z");
    uint64_t stamp = nodetable_stamp (table);
    put (3, "10.0.0.3", 28002, "z");
    ck_assert_uint_eq (nodetable_stamp (table), stamp);
    put (3, "10.0.0.4", 28002, "z");
    ck_assert_uint_gt (nodetable_stamp (table), stamp);
    stamp = nodetable_stamp (table);
    entry.online = false;
    ck_assert_int_eq (nodetable_put (table, &entry, &error), 0);
    ck_assert_uint_gt (nodetable_stamp (table), stamp);
    ck_assert (!nodetable_find (table, 3)->online);
}
END_TEST

START_TEST (changes_after_a_stamp_are_listed_page_by_page)
{
    struct nodetable_entry page[4];
    uint32_t node = 0;

    for (uint32_t i = 10; i > 0; i--)
        put (i * 2, "10.0.0.1", 1, "");
    ck_assert_uint_eq (nodetable_changed (table, 0, &node, page, 4), 4);
    ck_assert (page[0].node == 2 && page[3].node == 8 && node == 8);
    ck_assert_uint_eq (nodetable_changed (table, 0, &node, page, 4), 4);
    ck_assert_uint_eq (nodetable_changed (table, 0, &node, page, 4), 2);
    ck_assert (page[1].node == 20 && node == 20);
    ck_assert_uint_eq (nodetable_changed (table, 0, &node, page, 4), 0);

    uint64_t stamp = nodetable_stamp (table);
    put (14, "10.0.0.2", 1, "");
    put (UINT32_MAX, "10.0.0.2", 1, "");
    node = 0;
    ck_assert_uint_eq (nodetable_changed (table, stamp, &node, page, 4), 2);
    ck_assert (page[0].node == 14 && page[1].node == UINT32_MAX);
    ck_assert_uint_eq (nodetable_changed (table, 0, &node, page, 4), 0);
}
END_TEST

START_TEST (a_full_table_takes_no_new_number_and_changes_of_old_ones)
{
    struct nodetable_entry entry = entry_of (1, "10.0.0.1", 5, "");

    for (entry.node = 1; entry.node <= NODETABLE_MAX; entry.node++)
        ck_assert_int_eq (nodetable_put (table, &entry, &error), 0);
    uint64_t stamp = nodetable_stamp (table);
    ck_assert_int_eq (nodetable_put (table, &entry, &error), LITEDFS_NO_SPACE);
    ck_assert_uint_eq (nodetable_stamp (table), stamp);
    ck_assert_ptr_null (nodetable_find (table, NODETABLE_MAX + 1));
    put (17, "10.0.0.2", 6, "zone");
    save ();
    reload ();
    ck_assert_uint_eq (nodetable_count (table), NODETABLE_MAX);
    check (17, "10.0.0.2", 6, "zone");
    check (NODETABLE_MAX, "10.0.0.1", 5, "");
}
END_TEST

/* ---- what the wire says ---- */

static int
take (uint64_t node, const char *host, const char *name_host, struct nodetable_entry *out)
{
    struct wire_endpoint endpoint = {.node = node,
                                     .host = slice_str (host),
                                     .tcp_port = 18002,
                                     .chain_port = 28002,
                                     .zone = slice_str ("rack 2"),
                                     .online = true};

    return nodetable_entry_of (out, &endpoint, name_host, &error);
}

START_TEST (an_empty_host_is_the_name_nodes)
{
    struct nodetable_entry entry;

    ck_assert_int_eq (take (3, "", "192.168.1.9", &entry), 0);
    ck_assert_str_eq (entry.host, "192.168.1.9");
    ck_assert_int_eq (take (3, "", "fe80::1%eth0", &entry), 0);
    ck_assert_str_eq (entry.host, "fe80::1%eth0");
    ck_assert_int_eq (take (3, "fd00::2", "192.168.1.9", &entry), 0);
    ck_assert_str_eq (entry.host, "fd00::2");
    ck_assert_str_eq (entry.zone, "rack 2");
    ck_assert (entry.node == 3 && entry.tcp_port == 18002 && entry.chain_port == 28002);
    ck_assert (entry.online);
}
END_TEST

START_TEST (what_nobody_can_connect_to_is_refused)
{
    static const char *const wrong[] = {
        "",
        "example.org",
        "10.0.0.0/8",
        "0.0.0.0",
        "::",
        "10.0.0.1 ",
        "10.0.0.1%eth 0",
        "%eth0",
        "10.0.0.1%aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    struct nodetable_entry entry;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg (take (3, wrong[i], "", &entry) == LITEDFS_INVALID, "%s", wrong[i]);
    ck_assert_int_eq (take (0, "10.0.0.1", "", &entry), LITEDFS_INVALID);
    ck_assert_int_eq (take ((uint64_t) 1 << 32, "10.0.0.1", "", &entry), LITEDFS_INVALID);
}
END_TEST

START_TEST (a_text_with_a_nul_in_it_is_refused)
{
    struct wire_endpoint endpoint = {.node = 3, .host = slice_of ("10.0.0.1\0x", 10)};
    struct nodetable_entry entry;

    ck_assert_int_eq (nodetable_entry_of (&entry, &endpoint, "", &error), LITEDFS_INVALID);
    endpoint.host = slice_str ("10.0.0.1");
    ck_assert_int_eq (nodetable_entry_of (&entry, &endpoint, "", &error), 0);
    endpoint.zone = slice_of ("a\0b", 3);
    ck_assert_int_eq (nodetable_entry_of (&entry, &endpoint, "", &error), LITEDFS_INVALID);
}
END_TEST

/* ---- the file ---- */

START_TEST (what_was_saved_is_loaded_and_all_of_it_counts_as_changed_and_online)
{
    struct nodetable_entry offline = entry_of (9, "10.0.0.9", 0, "");
    char zone[NODETABLE_ZONE_SIZE];
    struct nodetable_entry page[8];
    uint32_t node = 0;

    for (size_t i = 0; i < sizeof zone - 1; i++)
        zone[i] = (char) (i + 1);
    zone[sizeof zone - 1] = '\0';
    put (3, "10.0.0.3", 28003, zone);
    put (4, "fd00::4", 28004, "rack 2/%41\n");
    offline.online = false;
    ck_assert_int_eq (nodetable_put (table, &offline, &error), 0);
    ck_assert (nodetable_unsaved (table));
    save ();
    ck_assert (!nodetable_unsaved (table));
    reload ();
    ck_assert_uint_eq (nodetable_count (table), 3);
    check (3, "10.0.0.3", 28003, zone);
    check (4, "fd00::4", 28004, "rack 2/%41\n");
    check (9, "10.0.0.9", 0, "");
    ck_assert (nodetable_find (table, 9)->online);
    ck_assert (!nodetable_unsaved (table));
    ck_assert_uint_eq (nodetable_changed (table, 0, &node, page, 8), 3);
}
END_TEST

START_TEST (a_node_that_comes_and_goes_is_nothing_to_save)
{
    struct nodetable_entry entry = entry_of (3, "10.0.0.3", 1, "");

    put (3, "10.0.0.3", 1, "");
    save ();
    entry.online = false;
    ck_assert_int_eq (nodetable_put (table, &entry, &error), 0);
    ck_assert (!nodetable_unsaved (table));
    entry.chain_port = 2;
    ck_assert_int_eq (nodetable_put (table, &entry, &error), 0);
    ck_assert (nodetable_unsaved (table));
}
END_TEST

START_TEST (an_empty_table_is_saved_and_loaded)
{
    save ();
    reload ();
    ck_assert_uint_eq (nodetable_count (table), 0);
    unlink (path);
    ck_assert_int_eq (nodetable_load (table, path, &error), LITEDFS_NOT_FOUND);
}
END_TEST

static void
check_damaged (const void *data, size_t size)
{
    ck_assert_int_eq (file_write_atomic (path, data, size, 0644, &error), 0);
    nodetable_destroy (&table);
    table = nodetable_new ();
    ck_assert_msg (nodetable_load (table, path, &error) == LITEDFS_CORRUPT, "%.*s", (int) size,
                   (const char *) data);
    ck_assert_uint_eq (nodetable_count (table), 0);
    ck_assert (!nodetable_unsaved (table));
}

START_TEST (a_file_with_any_byte_changed_or_cut_anywhere_is_damaged)
{
    struct buf text = {0};

    put (3, "10.0.0.3", 28003, "rack 2");
    put (4, "fd00::4", 28004, "");
    save ();
    ck_assert_int_eq (file_read_all (path, 65536, &text, &error), 0);
    for (size_t i = 0; i < text.size; i++) {
        check_damaged (text.data, i);
        text.data[i] ^= 1;
        check_damaged (text.data, text.size);
        text.data[i] ^= 1;
    }
    buf_put (&text, "\n", 1);
    check_damaged (text.data, text.size);
    buf_free (&text);
}
END_TEST

START_TEST (lines_that_this_program_never_writes_are_damage_though_their_sum_is_right)
{
    static const char *const wrong[] = {
        "node 3 10.0.0.3 18002\n",
        "node 3 10.0.0.3 18002 28002 a b\n",
        "node 3 10.0.0.3 18002 28002 a b c\n",
        "node 3 10.0.0.3 18002 28002 \n",
        "node 3  10.0.0.3 18002 28002\n",
        "none 3 10.0.0.3 18002 28002\n",
        "node 0 10.0.0.3 18002 28002\n",
        "node 4294967296 10.0.0.3 18002 28002\n",
        "node 3 example 18002 28002\n",
        "node 3 10.0.0.3 65536 28002\n",
        "node 3 10.0.0.3 18002 -1\n",
        "node 3 10.0.0.3 18002 28002 %0\n",
        "node 3 10.0.0.3 18002 28002 %00\n",
        "node 3 10.0.0.3 18002 28002 %zz\n",
        "node 3 10.0.0.3 18002 28002\nnode 3 10.0.0.3 18002 28002\n",
        "node 4 10.0.0.3 18002 28002\nnode 3 10.0.0.3 18002 28002\n",
        "\n",
        "node 3 10.0.0.3 18002 28002",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct buf text = {0};
        buf_printf (&text, "LiteDFS node table 1\n%s", wrong[i]);
        buf_printf (&text, "crc32 %08x\n", (unsigned) crc32_of (0, text.data, text.size));
        check_damaged (text.data, text.size);
        buf_free (&text);
    }
}
END_TEST

START_TEST (what_is_no_file_is_damage_and_a_table_that_cannot_be_saved_stays_unsaved)
{
    put (3, "10.0.0.3", 1, "");
    ck_assert_int_eq (mkdir (path, 0700), 0);
    ck_assert_int_lt (nodetable_save (table, path, &error), 0);
    ck_assert (nodetable_unsaved (table));
    struct nodetable *other = nodetable_new ();
    ck_assert_int_lt (nodetable_load (other, path, &error), 0);
    ck_assert_uint_eq (nodetable_count (other), 0);
    nodetable_destroy (&other);
    rmdir (path);
    save ();
}
END_TEST

#ifdef LITEDFS_FAULT

static void
die_at (const char *fault, const char *expected)
{
    put (3, "10.0.0.1", 1, "");
    save ();
    put (3, "10.0.0.2", 1, "");
    fflush (NULL);
    pid_t pid = fork ();
    ck_assert_int_ge (pid, 0);
    if (pid == 0) {
        fault_set (fault, &error);
        nodetable_save (table, path, &error);
        _exit (0);
    }
    int status;
    ck_assert_int_eq (waitpid (pid, &status, 0), pid);
    ck_assert_int_eq (WEXITSTATUS (status), FAULT_EXIT_STATUS);
    reload ();
    check (3, expected, 1, "");
}

START_TEST (a_process_that_dies_in_a_save_leaves_the_old_table_or_the_new_one)
{
    die_at ("nodetable_before_save=exit", "10.0.0.1");
    die_at ("nodetable_after_save=exit", "10.0.0.2");
}
END_TEST

START_TEST (a_save_that_fails_is_tried_again)
{
    put (3, "10.0.0.3", 1, "");
    ck_assert_int_eq (fault_set ("nodetable_save_error=error:1", &error), 0);
    ck_assert_int_eq (nodetable_save (table, path, &error), LITEDFS_IO);
    ck_assert (nodetable_unsaved (table));
    save ();
    reload ();
    check (3, "10.0.0.3", 1, "");
}
END_TEST

#define FAULT_CASES                                                                            \
    , a_process_that_dies_in_a_save_leaves_the_old_table_or_the_new_one,                       \
        a_save_that_fails_is_tried_again
#else
#define FAULT_CASES
#endif

UNIT_MAIN_FIXTURE (
    "datanode_nodetable", setup, teardown,
    entries_are_found_by_number_whatever_order_they_come_in, only_what_changed_has_a_new_stamp,
    changes_after_a_stamp_are_listed_page_by_page,
    a_full_table_takes_no_new_number_and_changes_of_old_ones, an_empty_host_is_the_name_nodes,
    what_nobody_can_connect_to_is_refused, a_text_with_a_nul_in_it_is_refused,
    what_was_saved_is_loaded_and_all_of_it_counts_as_changed_and_online,
    a_node_that_comes_and_goes_is_nothing_to_save, an_empty_table_is_saved_and_loaded,
    a_file_with_any_byte_changed_or_cut_anywhere_is_damaged,
    lines_that_this_program_never_writes_are_damage_though_their_sum_is_right,
    what_is_no_file_is_damage_and_a_table_that_cannot_be_saved_stays_unsaved FAULT_CASES)
