/* SPDX-License-Identifier: MIT */
/*
 * datanode/note: what two actors tell each other arrives as it was, or is dropped, and nobody waits.
 */
#include "datanode/note.h"

#include "base/process.h"
#include "datanode/nodetable.h"
#include "rpc/socket.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static void *here;
static void *there;
static litedfs_error_t error;

static void
setup (void)
{
    ck_assert_int_eq (process_init_czmq (1, &error), 0);
    here = socket_new (SOCKET_INPROC_PAIR, NULL, &error);
    there = socket_new (SOCKET_INPROC_PAIR, NULL, &error);
    ck_assert_int_eq (socket_bind_endpoint (here, "inproc://notes", &error), 0);
    ck_assert_int_eq (socket_connect_endpoint (there, "inproc://notes", &error), 0);
}

static void
teardown (void)
{
    socket_close (&here);
    socket_close (&there);
    process_end ();
}

START_TEST (a_note_arrives_with_all_that_it_says)
{
    const struct note sent = {.kind = NOTE_EXECUTED,
                              .node = 7,
                              .full = true,
                              .epoch = 3,
                              .error = {.number = -5, .text = "why"}};
    struct note note;
    void *more = &note;

    ck_assert (!note_receive (there, &note, &more));
    ck_assert (note_send (here, &sent, NULL, 0));
    ck_assert (note_receive (there, &note, &more));
    ck_assert_ptr_null (more);
    ck_assert_int_eq (note.kind, NOTE_EXECUTED);
    ck_assert_uint_eq (note.node, 7);
    ck_assert (note.full);
    ck_assert_uint_eq (note.epoch, 3);
    ck_assert_int_eq (note.error.number, -5);
    ck_assert_str_eq (note.error.text, "why");
    ck_assert (!note_receive (there, &note, &more));
}
END_TEST

START_TEST (what_comes_with_a_note_is_the_receivers)
{
    uint64_t orders[] = {1, 2, 3};
    struct note note = {.kind = NOTE_ORDERS, .count = 3};
    void *more;

    ck_assert (note_send (here, &note, orders, sizeof orders));
    memset (orders, 0, sizeof orders);
    ck_assert (note_receive (there, &note, &more));
    ck_assert_uint_eq (note.count, 3);
    ck_assert_uint_eq (((const uint64_t *) more)[2], 3);
    free (more);
}
END_TEST

START_TEST (a_page_of_the_node_table_comes_with_a_note)
{
    struct nodetable_entry page[NOTE_TABLE_PAGE];
    struct note note = {.kind = NOTE_TABLE, .count = NOTE_TABLE_PAGE};
    void *more;

    memset (page, 0, sizeof page);
    page[NOTE_TABLE_PAGE - 1].node = 77;
    snprintf (page[NOTE_TABLE_PAGE - 1].host, sizeof page[0].host, "10.0.0.1");
    ck_assert (note_send (there, &note, page, sizeof page));
    memset (page, 0, sizeof page);
    ck_assert (note_receive (here, &note, &more));
    ck_assert_int_eq (note.kind, NOTE_TABLE);
    ck_assert_uint_eq (note.count, NOTE_TABLE_PAGE);
    const struct nodetable_entry *last = (struct nodetable_entry *) more + NOTE_TABLE_PAGE - 1;
    ck_assert_uint_eq (last->node, 77);
    ck_assert_str_eq (last->host, "10.0.0.1");
    free (more);
}
END_TEST

START_TEST (notes_that_nobody_takes_are_dropped_and_those_before_stay)
{
    struct note note = {.kind = NOTE_STATE};
    void *more;
    uint32_t sent = 0;

    while (note_send (here, &note, NULL, 0)) {
        note.node = ++sent;
        ck_assert_uint_lt (sent, 1000000);
    }
    ck_assert_uint_gt (sent, 100);
    for (uint32_t i = 0; i < sent; i++) {
        ck_assert (note_receive (there, &note, &more));
        ck_assert_uint_eq (note.node, i);
    }
    ck_assert (!note_receive (there, &note, &more));
    ck_assert (note_send (there, &note, NULL, 0));
    ck_assert (note_receive (here, &note, &more));
}
END_TEST

UNIT_MAIN_FIXTURE ("datanode_note", setup, teardown, a_note_arrives_with_all_that_it_says,
                   what_comes_with_a_note_is_the_receivers,
                   a_page_of_the_node_table_comes_with_a_note,
                   notes_that_nobody_takes_are_dropped_and_those_before_stay)
