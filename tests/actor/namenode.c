/* SPDX-License-Identifier: MIT */
/*
 * A real name node: its namespace and its data_path, group commit, retries, leases, hostile peers.
 */
#include "namenode_world.h"

#include "base/err.h"

#include <stdio.h>
#include <string.h>

/* ---- namespace --------------------------------------------------------------------------------------- */

START_TEST (directories_are_made_and_listed_through_the_router)
{
    struct peer peer = make_peer ();
    struct directory_list_reply reply;

    ck_assert_int_eq (make_directory (&peer, "/a/b"), 0);
    ck_assert_int_eq (make_directory (&peer, "/a/c"), 0);
    ck_assert_int_eq (CALL (&peer, directory_list, &reply, .path = slice_str ("/a")), 0);
    ck_assert_uint_eq (reply.total, 2);
    ck_assert_uint_eq (reply.entries_count, 2);
    ck_assert (slice_equal (reply.entries[0].name, slice_str ("b")));
    ck_assert_int_eq (CALL (&peer, directory_list, &reply, .path = slice_str ("/x")),
                      LITEDFS_NOT_FOUND);
    end_peer (&peer);
}
END_TEST

START_TEST (a_long_listing_is_paged_by_its_cursor)
{
    struct peer peer = make_peer ();
    struct directory_list_reply reply;
    char name[300], cursor[300];
    size_t cursor_size = 0, seen = 0;

    for (int i = 0; i < 1500; i++) {
        int size = snprintf (name, sizeof name, "/%04d", i);
        memset (name + size, 'x', 200);
        name[size + 200] = '\0';
        struct directory_create_request request = {.path = slice_str (name), .parents = true};
        ask (&peer, MESSAGE_directory_create, &request);
    }
    struct directory_create_reply made;
    for (int i = 0; i < 1500; i++)
        ck_assert_int_eq (get (&peer, MESSAGE_directory_create, &made), 0);
    do {
        struct slice from = {cursor_size ? cursor : NULL, cursor_size};
        ck_assert_int_eq (
            CALL (&peer, directory_list, &reply, .path = slice_str ("/"), .cursor = from), 0);
        ck_assert_uint_le (zmq_msg_size (&peer.frame), WIRE_PAGE_MAX);
        ck_assert_uint_gt (reply.entries_count, 0);
        seen += reply.entries_count;
        cursor_size = reply.cursor.size;
        if (cursor_size)
            memcpy (cursor, reply.cursor.data, cursor_size);
    } while (cursor_size);
    ck_assert_uint_eq (seen, 1500);
    end_peer (&peer);
}
END_TEST

START_TEST (what_was_answered_is_there_after_a_restart)
{
    struct peer peer = make_peer ();

    ck_assert_int_eq (make_directory (&peer, "/kept"), 0);
    struct uuid cluster = *namenode_cluster (namenode);
    int port = namenode_port (namenode);
    end_peer (&peer);
    restart_namenode ();
    ck_assert (uuid_equal (&cluster, namenode_cluster (namenode)));
    ck_assert_int_eq (namenode_port (namenode), port);
    peer = make_peer ();
    ck_assert_uint_eq (count_entries (&peer, "/kept"), 0);
    end_peer (&peer);
}
END_TEST

START_TEST (two_name_nodes_run_in_one_process)
{
    struct namenode *other = NULL;
    struct namenode_config second = config;
    char path[128];

    snprintf (path, sizeof path, "%s/other", directory);
    second.data_path = path;
    ck_assert_int_eq (namenode_start (&other, &second, NULL, &fake.clock, &error), 0);
    ck_assert (!uuid_equal (namenode_cluster (other), namenode_cluster (namenode)));
    namenode_stop (&other);
    struct peer peer = make_peer ();
    ck_assert_int_eq (make_directory (&peer, "/a"), 0);
    end_peer (&peer);
}
END_TEST

START_TEST (a_data_path_that_is_not_ours_is_refused)
{
    struct namenode *other = NULL;
    struct namenode_config second = config;

    ck_assert_int_eq (namenode_start (&other, &second, NULL, &fake.clock, &error),
                      LITEDFS_IN_USE);
    second.data_path = directory; // has data/ in it, and no VERSION
    ck_assert_int_eq (namenode_start (&other, &second, NULL, &fake.clock, &error),
                      LITEDFS_INVALID);
    ck_assert_ptr_nonnull (strstr (error.text, "VERSION"));
    ck_assert_ptr_null (other);
}
END_TEST

START_TEST (metadata_that_are_lost_are_not_made_anew)
{
    char path[128];

    namenode_stop (&namenode);
    snprintf (path, sizeof path, "%s/data/meta", directory);
    nftw (path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    ck_assert_int_eq (namenode_start (&namenode, &config, NULL, &fake.clock, &error),
                      LITEDFS_CORRUPT);
    ck_assert_ptr_nonnull (strstr (error.text, "metadata are lost"));
}
END_TEST

START_TEST (a_disk_below_its_reserve_takes_deletes_only)
{
    struct peer peer = make_peer ();
    struct file_create_reply created;
    struct file_delete_reply deleted;

    ck_assert_int_eq (CALL (&peer, file_create, &created, .path = slice_str ("/f"), .size = 0),
                      0);
    end_peer (&peer);
    config.storage_preserve_space = INT64_MAX;
    restart_namenode ();
    peer = make_peer ();
    ck_assert_int_eq (make_directory (&peer, "/a"), LITEDFS_NO_SPACE);
    ck_assert_ptr_nonnull (strstr (error.text, "name node's disk is full"));
    ck_assert_int_eq (CALL (&peer, file_delete, &deleted, .path = slice_str ("/f")), 0);
    ck_assert_uint_eq (count_entries (&peer, "/"), 0);
    end_peer (&peer);
}
END_TEST

/* ---- batches and retries -------------------------------------------------------------------------------- */

START_TEST (a_thousand_creates_at_once_share_their_commits)
{
    struct peer peer = make_peer ();
    struct data_node node = make_node (1);
    struct node_heartbeat_reply before, after;
    struct file_create_reply created;
    char path[32];

    ck_assert_int_eq (beat (&node, &before), 0);
    for (int i = 0; i < 1000; i++) {
        snprintf (path, sizeof path, "/f%d", i);
        ask (&peer, MESSAGE_file_create,
             fill_file_create ((struct file_create_request){.path = slice_str (path)}));
    }
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq (get (&peer, MESSAGE_file_create, &created), 0);
    ck_assert_int_eq (beat (&node, &after), 0);
    ck_assert_uint_gt (after.transaction, before.transaction);
    ck_assert_uint_lt (after.transaction - before.transaction, 250);
    ck_assert_uint_eq (count_entries (&peer, "/"), 1000);
    end_peer (&peer);
    end_peer (&node.peer);
}
END_TEST

START_TEST (the_map_grows_under_a_large_batch)
{
    struct peer peer = make_peer ();
    struct directory_create_reply made;
    char path[300];

    for (int i = 0; i < 12000; i++) {
        int size = snprintf (path, sizeof path, "/%05d", i);
        memset (path + size, 'y', 220);
        path[size + 220] = '\0';
        ask (&peer, MESSAGE_directory_create,
             fill_directory_create (
                 (struct directory_create_request){.path = slice_str (path)}));
        if (i >= 500)
            ck_assert_int_eq (get (&peer, MESSAGE_directory_create, &made), 0);
    }
    for (int i = 0; i < 500; i++)
        ck_assert_int_eq (get (&peer, MESSAGE_directory_create, &made), 0);
    ck_assert_uint_eq (count_entries (&peer, "/"), 12000);
    end_peer (&peer);
}
END_TEST

START_TEST (a_retry_gets_the_first_answer_and_has_no_second_effect)
{
    struct peer peer = make_peer ();
    struct file_create_reply first, second;
    const void *request =
        fill_file_create ((struct file_create_request){.path = slice_str ("/f")});

    memcpy (peer.client, "0123456789abcdef", sizeof peer.client);
    ask_again (&peer, MESSAGE_file_create, request, 7);
    ck_assert_int_eq (get (&peer, MESSAGE_file_create, &first), 0);
    ask_again (&peer, MESSAGE_file_create, request, 7);
    ck_assert_int_eq (get (&peer, MESSAGE_file_create, &second), 0);
    ck_assert (uuid_equal (&first.file, &second.file));

    end_peer (&peer);
    restart_namenode ();
    peer = make_peer ();
    memcpy (peer.client, "0123456789abcdef", sizeof peer.client);
    ask_again (&peer, MESSAGE_file_create, request, 7);
    ck_assert_int_eq (get (&peer, MESSAGE_file_create, &second), 0);
    ck_assert (uuid_equal (&first.file, &second.file));
    ck_assert_uint_eq (count_entries (&peer, "/"), 1);

    // Another id is another request; the same id with another request is an error.
    ask_again (&peer, MESSAGE_file_create, request, 8);
    ck_assert_int_eq (get (&peer, MESSAGE_file_create, &second), LITEDFS_EXISTS);
    request = fill_file_create ((struct file_create_request){.path = slice_str ("/g")});
    ask_again (&peer, MESSAGE_file_create, request, 7);
    ck_assert_int_eq (get (&peer, MESSAGE_file_create, &second), LITEDFS_ID_REUSED);
    end_peer (&peer);
}
END_TEST

START_TEST (retries_in_one_batch_have_one_effect)
{
    struct peer peer = make_peer ();
    struct directory_create_reply reply;
    const void *request =
        fill_directory_create ((struct directory_create_request){.path = slice_str ("/once")});
    unsigned created = 0;

    memcpy (peer.client, "0123456789abcdef", sizeof peer.client);
    for (int i = 0; i < 200; i++)
        ask_again (&peer, MESSAGE_directory_create, request, 1);
    for (int i = 0; i < 200; i++) {
        ck_assert_int_eq (get (&peer, MESSAGE_directory_create, &reply), 0);
        created += reply.created;
    }
    ck_assert_uint_eq (created, 200); // each of them is the first answer
    end_peer (&peer);
}
END_TEST

/* ---- leases ----------------------------------------------------------------------------------------------- */

START_TEST (a_lease_that_expired_frees_the_name)
{
    struct peer peer = make_peer ();
    struct file_create_reply reply;

    ck_assert_int_eq (
        CALL (&peer, file_create, &reply, .path = slice_str ("/f"), .size = WIRE_UNKNOWN), 0);
    ck_assert_int_eq (
        CALL (&peer, file_create, &reply, .path = slice_str ("/f"), .size = WIRE_UNKNOWN),
        LITEDFS_LOCKED);
    fake_clock_advance (&fake, 59000);
    ck_assert_int_eq (
        CALL (&peer, file_create, &reply, .path = slice_str ("/f"), .size = WIRE_UNKNOWN),
        LITEDFS_LOCKED);
    fake_clock_advance (&fake, 1001);
    ck_assert_int_eq (
        CALL (&peer, file_create, &reply, .path = slice_str ("/f"), .size = WIRE_UNKNOWN), 0);
    end_peer (&peer);
}
END_TEST

START_TEST (locks_are_listed_with_what_is_left_of_them_until_they_end)
{
    struct peer peer = make_peer ();
    struct file_create_reply created;
    struct lock_list_request request = {.limit = 0};
    struct lock_list_reply locks;

    ck_assert_int_eq (
        CALL (&peer, file_create, &created, .path = slice_str ("/d/f"), .size = WIRE_UNKNOWN),
        0);
    fake_clock_advance (&fake, 20000);
    ask (&peer, MESSAGE_lock_list, &request);
    ck_assert_int_eq (get (&peer, MESSAGE_lock_list, &locks), 0);
    ck_assert_uint_eq (locks.locks_count, 1);
    ck_assert_uint_eq (locks.locks[0].ttl, 60);
    ck_assert_uint_eq (locks.locks[0].remaining, 40);
    ck_assert (slice_equal (locks.locks[0].path, slice_str ("/d/f")));

    fake_clock_advance (&fake, 100001);
    for (int64_t end = clock_mono (clock_system ()) + PATIENCE_MS; locks.locks_count > 0;) {
        ck_assert_msg (clock_mono (clock_system ()) < end, "the lease was not ended");
        ask (&peer, MESSAGE_lock_list, &request);
        ck_assert_int_eq (get (&peer, MESSAGE_lock_list, &locks), 0);
    }
    end_peer (&peer);
}
END_TEST

/* ---- hostile peers ------------------------------------------------------------------------------------------ */

START_TEST (garbage_does_not_hurt)
{
    static const char *const frames[] = {
        "",
        "\xc1",
        "\xdd\x10\x00\x00\x00",
        "\xdf\x02\x00\x00\x00",
        "\x80",
        "\x81\xa2op\xc0",
        "\x82\xa2op\xabnode.orders\xa2id\x01",
        "\x82\xa2op\xadnode.register\xa2id\x01",
        "\x83\xa2op\xab"
        "file.commit\xa2id\x01\xa5lease\xc4\x01x",
        "\x83\xa2op\xaa"
        "file.renew\xa2id\x01\xa4"
        "file\xa3"
        "abc",
    };
    struct rng rng;

    rng_seed (&rng, 4711);
    for (size_t i = 0; i < 500; i++) {
        struct peer hostile = make_peer ();
        uint8_t noise[64];
        for (size_t n = 0; n < sizeof noise; n++)
            noise[n] = (uint8_t) rng_next (&rng);
        if (i < sizeof frames / sizeof *frames)
            send_bytes (&hostile, frames[i], strlen (frames[i]), 0);
        else if (i % 3)
            send_bytes (&hostile, noise, (size_t) rng_below (&rng, sizeof noise), 0);
        else {
            for (int n = 0; n < 12; n++)
                send_bytes (&hostile, noise, 8, ZMQ_SNDMORE);
            send_bytes (&hostile, noise, 8, 0);
        }
        end_peer (&hostile);
    }
    struct peer peer = make_peer ();
    ck_assert_int_eq (make_directory (&peer, "/alive"), 0);
    end_peer (&peer);
}
END_TEST

START_TEST (requests_that_lie_about_a_lease_change_nothing)
{
    struct peer peer = make_peer ();
    struct file_create_reply created;
    uint8_t lease[WIRE_LEASE_SIZE] = {1, 2, 3};

    ck_assert_int_eq (
        CALL (&peer, file_create, &created, .path = slice_str ("/f"), .size = WIRE_UNKNOWN), 0);
    struct file_allocate_request request = {
        .file = created.file, .lease = slice_of (lease, sizeof lease), .count = 1};
    struct file_allocate_reply reply;
    ask (&peer, MESSAGE_file_allocate, &request);
    ck_assert_int_eq (get (&peer, MESSAGE_file_allocate, &reply), LITEDFS_LEASE_LOST);
    end_peer (&peer);
}
END_TEST

UNIT_MAIN_FIXTURE (
    "namenode", setup, teardown, directories_are_made_and_listed_through_the_router,
    a_long_listing_is_paged_by_its_cursor, what_was_answered_is_there_after_a_restart,
    two_name_nodes_run_in_one_process, a_data_path_that_is_not_ours_is_refused,
    metadata_that_are_lost_are_not_made_anew, a_disk_below_its_reserve_takes_deletes_only,
    a_thousand_creates_at_once_share_their_commits, the_map_grows_under_a_large_batch,
    a_retry_gets_the_first_answer_and_has_no_second_effect,
    retries_in_one_batch_have_one_effect, a_lease_that_expired_frees_the_name,
    locks_are_listed_with_what_is_left_of_them_until_they_end, garbage_does_not_hurt,
    requests_that_lie_about_a_lease_change_nothing)
