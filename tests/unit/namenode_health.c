/* SPDX-License-Identifier: MIT */
/*
 * cluster.check, file.why and cluster.repair: what they say of blocks is what repair finds, however many
 * parts it takes, and what repair shows of its memory is how things are.
 */
#include "namenode/ops.h"

#include "namenode_cluster.h"

static const uint32_t one[] = {1}, two[] = {1, 2}, three[] = {1, 2, 3};

static struct repair_view *shown;
static struct arena arena;

/* A clock that goes on by a millisecond whenever it is looked at. */
static int64_t
tick (void *arg)
{
    int64_t *now_ms = arg;

    return ++*now_ms;
}

static int64_t
wall (void *arg)
{
    (void) arg;
    return fixture.frame.wall_ms;
}

static int64_t ticking_ms;
static const struct clock ticking = {tick, wall, &ticking_ms};

static void
health_teardown (void)
{
    repair_view_release (&shown);
    arena_free (&arena);
    cluster_teardown ();
}

/* See what repair has to show now. */
static void
look_at_repair (void)
{
    struct repair_view *view = repair_publish (cluster.repair, &cluster.clock.clock);

    if (!view)
        return;
    repair_view_release (&shown);
    shown = view;
}

/* Give repair the time to count and to show. */
static void
let_it_count (void)
{
    for (int i = 0; i < 4; i++) {
        pass (300);
        keep_house ();
    }
    look_at_repair ();
    ck_assert_ptr_nonnull (shown);
}

static int
run_on (const struct clock *clock, enum message_number number, op_fn *run, const void *request,
        void *reply)
{
    static const struct op_settings settings = {.repair_delay_ms = GONE_MS};
    static const struct op_sender sender = {0};
    struct op_effects effects = {0};
    struct txn *txn = begin_read ();
    struct op op = {.txn = txn,
                    .settings = &settings,
                    .nodes = cluster.view,
                    .repair = cluster.view->settling ? NULL : shown,
                    .clock = clock,
                    .settling_ms = cluster.view->settling ? 9000 : 0,
                    .sender = &sender,
                    .request = request,
                    .reply = reply,
                    .arena = &arena,
                    .effects = &effects,
                    .error = E};
    struct buf encoded = {0};

    message_reply_init (&message_types[number], reply);
    int rc = run (&op);
    if (rc == 0)
        ck_ok (message_encode_reply (&encoded, &message_types[number], reply, 1, E));
    ck_assert_uint_le (encoded.size, WIRE_PAGE_MAX);
    buf_free (&encoded);
    txn_abort (&txn);
    return rc;
}

/* ---- cluster.check ------------------------------------------------------------------------------- */

static struct {
    struct wire_tally tallies[CHECK_STATES];
    struct wire_concern concerns[4096];
    size_t concerns_count;
    size_t parts;
    bool settling;
} found;

static void
check_on (const struct clock *clock)
{
    struct cluster_check_request request = {.files = true};
    struct cluster_check_reply reply;

    memset (&found, 0, sizeof found);
    do {
        ck_ok (run_on (clock, MESSAGE_cluster_check, op_cluster_check, &request, &reply));
        for (size_t i = 0; i < reply.tallies_count; i++) {
            struct wire_tally *sum = &found.tallies[reply.tallies[i].state];
            sum->files += reply.tallies[i].files;
            sum->blocks += reply.tallies[i].blocks;
            sum->bytes += reply.tallies[i].bytes;
            if (reply.tallies[i].since)
                sum->since = reply.tallies[i].since;
        }
        for (size_t i = 0; i < reply.concerns_count; i++)
            found.concerns[found.concerns_count++] = reply.concerns[i];
        found.settling = reply.settling;
        request.cursor = reply.cursor;
        ck_assert_uint_lt (++found.parts, 10000);
    } while (request.cursor.data);
}

static void
check (void)
{
    check_on (&cluster.clock.clock);
}

static void
assert_tally (enum check_state state, uint64_t files, uint64_t blocks)
{
    ck_assert_uint_eq (found.tallies[state].files, files);
    ck_assert_uint_eq (found.tallies[state].blocks, blocks);
    ck_assert_uint_eq (found.tallies[state].bytes, blocks * BLOCK);
}

START_TEST (all_is_healthy)
{
    check ();
    assert_tally (CHECK_HEALTHY, 0, 0);
    settled_file ("/f", 3, three, 3);
    write_file ("/g", 2, 5, two, 2, 2); // only claimed: it has time to confirm
    let_it_count ();
    check ();
    assert_tally (CHECK_HEALTHY, 2, 6);
    ck_assert_uint_eq (found.concerns_count, 0);
    for (int state = CHECK_OVER; state < CHECK_STATES; state++)
        assert_tally ((enum check_state) state, 0, 0);
}
END_TEST

START_TEST (each_block_counts_in_its_state_and_each_file_in_its_worst)
{
    settled_file ("/few", 3, two, 2);
    settled_file ("/one", 1, two, 1);
    settled_file ("/many", 1, three, 3);
    settled_file ("/fine", 2, three + 1, 2);
    leave (1);
    check ();
    assert_tally (CHECK_UNDER, 1, 1);
    assert_tally (CHECK_AWAY, 1, 1); // node 1 is expected back
    assert_tally (CHECK_OVER, 1, 1);
    assert_tally (CHECK_HEALTHY, 1, 1);
    ck_assert_uint_eq (found.concerns_count, 3);
    ck_assert_uint_eq (found.tallies[CHECK_AWAY].since, (uint64_t) fixture.frame.wall_ms);
    ck_assert_uint_eq (found.tallies[CHECK_OVER].since, 0);
    ck_assert_uint_eq (found.concerns[0].copies, 1);
    ck_assert_uint_eq (found.concerns[0].replica, 3);
    ck_assert_mem_eq (found.concerns[0].path.data, "/few", 4);
}
END_TEST

START_TEST (what_nobody_has_who_is_expected_back_is_missing)
{
    settled_file ("/f", 1, one, 1);
    leave (1);
    for (int i = 0; i < 3; i++) {
        keep_house ();
        pass (GONE_MS / 2 + 1000);
    }
    keep_house ();
    let_it_count ();
    check ();
    assert_tally (CHECK_MISSING, 1, 1);
    ck_assert_uint_eq (found.concerns[0].state, CHECK_MISSING);
    ck_assert_uint_eq (found.concerns[0].copies, 0);
    come (1);
    check (); // at once, whatever repair has noticed
    assert_tally (CHECK_HEALTHY, 1, 1);
}
END_TEST

START_TEST (a_deleted_tree_and_an_upload_are_not_looked_at)
{
    struct txn *txn = begin ();
    bool created;

    ck_ok (namespace_make_directory (txn, S ("/d"), true, &created, NULL, E));
    commit (&txn);
    write_file ("/d/f", 3, 2, one, 1, 1);
    settled_file ("/g", 1, one, 1);
    check ();
    assert_tally (CHECK_UNDER, 1, 2);
    txn = begin ();
    ck_ok (namespace_delete (txn, KIND_DIRECTORY, S ("/d"), E));
    commit (&txn);
    check ();
    assert_tally (CHECK_UNDER, 0, 0);
    assert_tally (CHECK_HEALTHY, 1, 1);
}
END_TEST

START_TEST (many_files_come_in_parts_each_once)
{
    enum { FILES = 1500 };
    char path[32];
    struct txn *txn = begin ();

    for (int i = 0; i < FILES; i++) {
        snprintf (path, sizeof path, "/f%d", i);
        add_file (txn, path, BLOCK);
    }
    commit (&txn);
    keep_house ();
    pass (2 * REPAIR_CLAIM_MS);
    let_it_count (); // whoever was said to have them has not confirmed it: they are nobody's now
    check ();
    ck_assert_uint_gt (found.parts, 1);
    assert_tally (CHECK_MISSING, FILES, FILES);
    ck_assert_uint_eq (found.concerns_count, FILES);
    for (int i = 0; i < FILES; i++) {
        snprintf (path, sizeof path, "/f%d", i);
        ck_assert_uint_eq (found.concerns[i].path.size, strlen (path));
        ck_assert_mem_eq (found.concerns[i].path.data, path, strlen (path));
    }
}
END_TEST

START_TEST (a_long_file_counts_once_however_many_parts_it_takes)
{
    enum { BLOCKS = 3000 };
    struct inode_row row;
    uint64_t inode = settled_file ("/f", 1, one, 1);

    settled_file ("/g", 1, one, 1);
    struct txn *txn = begin ();
    ck_ok (inode_row_get (txn, inode, &row, E));
    row.size = (uint64_t) BLOCKS * BLOCK;
    ck_ok (inode_row_put (txn, &row, E));
    for (uint32_t i = 1; i < BLOCKS; i++) {
        struct block_row block = {.inode = inode,
                                  .index = i,
                                  .state = BLOCK_FINISHED,
                                  .size = BLOCK,
                                  .nodes = {2},
                                  .nodes_count = 1};
        struct held_row held = {.node = 2, .state = HELD_CONFIRMED, .seq = i, .size = BLOCK};
        ck_ok (meta_next_block (txn, &block.block, E));
        held.block = block.block;
        ck_ok (block_row_put (txn, &block, E));
        ck_ok (held_row_put (txn, &held, E));
    }
    commit (&txn);
    leave (1); // which has the first block
    ticking_ms = fixture.frame.now_ms;
    check_on (&ticking);
    ck_assert_uint_gt (found.parts, 10);
    assert_tally (CHECK_AWAY, 2, 2);
    assert_tally (CHECK_HEALTHY, 0, BLOCKS - 1);
    ck_assert_uint_eq (found.concerns_count, 2);
    ck_assert_uint_eq (found.concerns[0].blocks, 1);
    ck_assert_uint_eq (found.concerns[0].copies, 0);
}
END_TEST

START_TEST (a_cursor_that_is_none_is_refused)
{
    uint8_t bytes[2 + 7 * 8 + 33] = {1}; // version, phase, numbers, key
    struct cluster_check_request request = {.cursor = slice_of (bytes, 2)};
    struct cluster_check_reply reply;
    const struct clock *clock = &cluster.clock.clock;
    const struct {
        size_t size;
        size_t at;
        uint8_t byte;
    } broken[] = {{1, 0, 1},   {57, 0, 1},   {58, 0, 2},    {58, 1, 99},
                  {58, 18, 7}, {58, 26, 65}, {58, 57, 128}, {91, 1, 1}};

    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        memset (bytes, 0, sizeof bytes);
        bytes[0] = 1;
        bytes[broken[i].at] = broken[i].byte;
        request.cursor.size = broken[i].size;
        ck_fails (LITEDFS_INVALID,
                  run_on (clock, MESSAGE_cluster_check, op_cluster_check, &request, &reply));
    }
    memset (bytes, 0xff, sizeof bytes);
    bytes[0] = 1;
    bytes[1] = 1;
    memset (bytes + 2, 0, 7 * 8);
    request.cursor.size = 2 + 7 * 8 + 32; // of some table, after its end
    ck_ok (run_on (clock, MESSAGE_cluster_check, op_cluster_check, &request, &reply));
    ck_assert_ptr_null (reply.cursor.data);
}
END_TEST

START_TEST (while_it_settles_everybody_is_waited_for)
{
    settled_file ("/f", 1, one, 1);
    cluster.view->settling = true;
    leave (1);
    cluster.view->settling = true;
    check ();
    ck_assert (found.settling);
    assert_tally (CHECK_AWAY, 1, 1);
}
END_TEST

/* ---- file.why ------------------------------------------------------------------------------------ */

static struct file_why_reply
why (const char *path)
{
    const struct file_why_request request = {.path = S (path)};
    struct file_why_reply reply;

    look_at_repair ();
    ck_ok (run_on (&cluster.clock.clock, MESSAGE_file_why, op_file_why, &request, &reply));
    return reply;
}

/* The only block that is not as wanted. */
static struct wire_stray
stray_of (const char *path)
{
    struct file_why_reply reply = why (path);

    ck_assert_uint_eq (reply.blocks_count, 1);
    return reply.blocks[0];
}

START_TEST (a_file_that_is_as_wanted_has_nothing_to_say)
{
    settled_file ("/f", 3, three, 3);
    let_it_count ();
    struct file_why_reply reply = why ("/f");
    ck_assert_uint_eq (reply.blocks_count, 0);
    ck_assert_uint_eq (reply.copies, 3);
    ck_assert_uint_eq (reply.replica, 3);
    ck_assert_uint_eq (reply.count, 1);
    ck_assert (reply.next == WIRE_UNKNOWN);
}
END_TEST

START_TEST (it_tells_of_copies_that_are_under_way)
{
    settled_file ("/f", 1, one, 1);
    let_it_count ();
    set_replica ("/f", 2);
    ck_assert_uint_eq (stray_of ("/f").awaits, AWAITS_TURN);
    keep_house ();
    pass (200);
    struct wire_stray stray = stray_of ("/f");
    ck_assert_uint_eq (stray.awaits, AWAITS_COPY);
    ck_assert_uint_eq (stray.copies_count, 1);
    ck_assert_uint_eq (stray.copies[0].source, 1);
    ck_assert_uint_ne (stray.copies[0].target, 1);
    ck_assert_uint_gt (stray.copies[0].left, 0);
    work_all ();
    ck_assert_uint_eq (why ("/f").blocks_count, 0);
    ck_assert_uint_eq (why ("/f").copies, 2);
}
END_TEST

START_TEST (it_tells_for_how_long_a_node_is_waited_for)
{
    settled_file ("/f", 3, three, 3);
    settled_file ("/g", 1, three, 1);
    let_it_count ();
    leave (1);
    keep_house ();
    pass (GONE_MS / 4);
    keep_house ();
    struct wire_stray stray = stray_of ("/f");
    ck_assert_uint_eq (stray.awaits, AWAITS_RETURN);
    ck_assert_uint_eq (stray.left, GONE_MS - GONE_MS / 4);
    ck_assert_uint_eq (stray.holders_count, 3);
    ck_assert_uint_eq (stray.holders[0].standing, STANDING_AWAY);
    ck_assert_uint_eq (stray.holders[0].left, stray.left);
    ck_assert_uint_eq (stray.holders[1].standing, STANDING_LIVE);
    ck_assert_uint_eq (stray_of ("/g").awaits, AWAITS_SOURCE);
    pass (GONE_MS);
    stray = stray_of ("/g");
    ck_assert_uint_eq (stray.awaits, AWAITS_NOTHING);
    ck_assert_uint_eq (stray.holders[0].standing, STANDING_GONE);
}
END_TEST

START_TEST (it_tells_why_there_is_no_other_node)
{
    settled_file ("/f", 1, one, 1);
    set_replica ("/f", 2);
    for (uint32_t node = 3; node <= NODES; node++)
        leave (node);
    cluster.free_bytes[2] = BLOCK - 1;
    leave (2);
    come (2);
    struct wire_stray stray = stray_of ("/f");
    ck_assert_uint_eq (stray.awaits, AWAITS_ROOM);
    ck_assert_uint_eq (stray.full, 1);
    ck_assert_uint_eq (stray.offline, NODES - 2);
    leave (2);
    stray = stray_of ("/f");
    ck_assert_uint_eq (stray.awaits, AWAITS_NODE);
    ck_assert_uint_eq (stray.offline, NODES - 1);
}
END_TEST

START_TEST (it_tells_of_too_many_and_of_claims)
{
    settled_file ("/f", 1, three, 3);
    write_file ("/g", 3, 1, one, 1, 1);
    ck_assert_uint_eq (stray_of ("/f").awaits, AWAITS_DELETION);
    ck_assert_uint_eq (stray_of ("/g").awaits, AWAITS_CONFIRMATION);
    ck_assert_uint_eq (stray_of ("/g").holders[0].standing, STANDING_CLAIMED);
    cluster.view->settling = true;
    ck_assert_uint_eq (stray_of ("/g").awaits, AWAITS_SETTLING);
    ck_assert_uint_eq (stray_of ("/g").left, 9000);
}
END_TEST

START_TEST (what_a_node_has_that_drains_is_there_but_to_be_moved)
{
    settled_file ("/f", 2, two, 2);
    let_it_count ();
    want (1, DUTY_DRAIN, 0);
    check ();
    assert_tally (CHECK_HEALTHY, 1, 1);
    struct wire_stray stray = stray_of ("/f");
    ck_assert_uint_eq (stray.awaits, AWAITS_TURN);
    ck_assert_uint_eq (stray.holders[0].standing, STANDING_LEAVING);
    ck_assert_uint_eq (why ("/f").copies, 2);
    for (int i = 0; i < 15; i++) { // until the walk comes by
        pass (1000);
        keep_house ();
    }
    let_it_count ();
    ck_assert_uint_eq (shown->queue.move, 1);
    ck_assert_uint_eq (shown->queue.last + shown->queue.few, 0);
    ck_assert_uint_eq (stray_of ("/f").awaits, AWAITS_COPY);
    live_on (5000);
    ck_assert_uint_eq (why ("/f").blocks_count, 0);
}
END_TEST

START_TEST (a_node_in_maintenance_is_waited_for_until_that_ends)
{
    settled_file ("/f", 3, three, 3);
    settled_file ("/g", 1, one, 1);
    let_it_count ();
    want (1, DUTY_SERVE, (uint64_t) fixture.frame.wall_ms + 10 * GONE_MS);
    leave (1);
    for (int i = 0; i < 5; i++) {
        keep_house ();
        pass (GONE_MS);
    }
    let_it_count ();
    check ();
    assert_tally (CHECK_HEALTHY, 1, 1);
    assert_tally (CHECK_AWAY, 1, 1);
    struct wire_stray stray = stray_of ("/f");
    ck_assert_uint_eq (stray.awaits, AWAITS_RETURN);
    ck_assert_uint_eq (stray.holders[0].standing, STANDING_EXCUSED);
    ck_assert_uint_gt (stray.left, 4 * GONE_MS);
    ck_assert_uint_eq (stray_of ("/g").awaits, AWAITS_SOURCE);
}
END_TEST

START_TEST (why_needs_a_file)
{
    struct file_why_request request = {.path = S ("/none")};
    struct file_why_reply reply;
    const struct clock *clock = &cluster.clock.clock;

    ck_fails (LITEDFS_NOT_FOUND,
              run_on (clock, MESSAGE_file_why, op_file_why, &request, &reply));
    request.path = slice_of (NULL, 0);
    ck_fails (LITEDFS_INVALID, run_on (clock, MESSAGE_file_why, op_file_why, &request, &reply));
}
END_TEST

/* ---- cluster.repair ------------------------------------------------------------------------------ */

static struct cluster_repair_reply
queue (void)
{
    struct cluster_repair_reply reply;

    look_at_repair ();
    ck_ok (
        run_on (&cluster.clock.clock, MESSAGE_cluster_repair, op_cluster_repair, NULL, &reply));
    return reply;
}

START_TEST (an_idle_cluster_has_nothing_to_repair)
{
    ck_assert (!queue ().counted); // it has not begun
    settled_file ("/f", 3, three, 3);
    let_it_count ();
    struct cluster_repair_reply reply = queue ();
    ck_assert (reply.counted);
    ck_assert_uint_eq (reply.last + reply.few + reply.surplus + reply.missing + reply.bytes, 0);
    ck_assert_uint_eq (reply.settling, 0);
    ck_assert_ptr_null (repair_publish (cluster.repair, &cluster.clock.clock));
}
END_TEST

START_TEST (blocks_are_counted_by_priority)
{
    for (uint32_t node = 4; node <= NODES; node++)
        leave (node); // so that nobody can take anything
    pass (2 * GONE_MS);
    settled_file ("/last", 6, two, 1);
    settled_file ("/few", 5, three, 3);
    settled_file ("/missing", 2, one, 1);
    let_it_count ();
    struct cluster_repair_reply reply = queue ();
    ck_assert (reply.counted);
    ck_assert_uint_eq (reply.last, 2); // their copies are under way
    ck_assert_uint_eq (reply.few, 1);
    ck_assert_uint_eq (reply.bytes, (5 + 2 + 1) * BLOCK);
    ck_assert_uint_eq (reply.copies, 3);
    ck_assert_uint_eq (reply.copying, 3 * BLOCK);
    work_all ();
    let_it_count ();
    reply = queue ();
    ck_assert_uint_eq (reply.copies, 0);
    ck_assert_uint_gt (reply.rate, 0);
    ck_assert_uint_eq (reply.few, 2);
    ck_assert_uint_eq (reply.last, 0);
    leave (1);
    leave (2);
    leave (3);
    keep_house ();
    pass (2 * GONE_MS);
    let_it_count ();
    reply = queue ();
    ck_assert_uint_eq (reply.missing, 3);
    ck_assert_uint_eq (reply.rate, 0);
}
END_TEST

START_TEST (it_tells_whom_a_name_node_awaits)
{
    struct node node = {.number = 9, .tcp_port = 1};

    node.uuid.bytes[0] = 9;
    ck_ok (nodes_load (cluster.nodes, &node, E));
    look_at_nodes ();
    cluster.view->settling = true;
    struct cluster_repair_reply reply = queue ();
    ck_assert_uint_eq (reply.settling, 9000);
    ck_assert_uint_eq (reply.awaited_count, 1);
    ck_assert_uint_eq (reply.awaited[0], 9);
    ck_assert (!reply.counted);
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_health", cluster_setup, health_teardown, all_is_healthy,
                   each_block_counts_in_its_state_and_each_file_in_its_worst,
                   what_nobody_has_who_is_expected_back_is_missing,
                   a_deleted_tree_and_an_upload_are_not_looked_at,
                   many_files_come_in_parts_each_once,
                   a_long_file_counts_once_however_many_parts_it_takes,
                   a_cursor_that_is_none_is_refused, while_it_settles_everybody_is_waited_for,
                   a_file_that_is_as_wanted_has_nothing_to_say,
                   it_tells_of_copies_that_are_under_way,
                   it_tells_for_how_long_a_node_is_waited_for,
                   it_tells_why_there_is_no_other_node, it_tells_of_too_many_and_of_claims,
                   what_a_node_has_that_drains_is_there_but_to_be_moved,
                   a_node_in_maintenance_is_waited_for_until_that_ends, why_needs_a_file,
                   an_idle_cluster_has_nothing_to_repair, blocks_are_counted_by_priority,
                   it_tells_whom_a_name_node_awaits)
