/* SPDX-License-Identifier: MIT */
/*
 * client/download: the bytes of a file come back as they were written, or not at all, whatever nodes do.
 *
 * One thread plays the name node and two data nodes on one ROUTER, with the admission of the real ones:
 * what they hold is the same file of `block_count` blocks; a test says what each node does with the reads of
 * a block.
 */
#include "litedfs.h"

#include "base/crc.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "rpc_fixture.h"

#define MIB ((uint64_t) 1 << 20)
#define BLOCK_SIZE (8 * MIB)
#define SIZE (4 * BLOCK_SIZE + 12345)
#define BLOCKS 5
#define SILENT_READS 5 // that one who falls silent has answered before

/* What a node does with a read. */
enum deed {
    GIVE,
    GIVE_OTHER,
    GIVE_SHORT,
    GIVE_ELSEWHERE,
    REFUSE,
    HOLD_FIRST,
    SAY_BUSY,
    FALL_SILENT // after some reads; it does not answer block.stat either
};

static uint8_t *content;
static enum deed deeds[2]; // by node number - 1
static bool second_later;  // the second node is named only when asked again
static bool wrong_crc;     // of a block, as the name node has it
static bool wrong_sizes;
static int held_ms = 400; // how long a range that is held is held
static atomic_int stats[2];
static atomic_int doubts[2];
static atomic_bool back; // who fell silent speaks again
static int warnings;
static atomic_int infos;
static atomic_int reads[2];
static struct actor *actor;
static struct log *logbook;
static char directory[64];
static int port;
static litedfs_t *session;
static int file_fd;

/* A range that is held. */
static struct route held_route;
static uint64_t held_id;
static struct block_read_request held_fields;
static int64_t held_until_ms;

static uint64_t
size_of (uint64_t index)
{
    return index + 1 < BLOCKS ? BLOCK_SIZE : SIZE - index * BLOCK_SIZE;
}

/* ---- the cluster -------------------------------------------------------------------------------- */

static void
give_info (struct router *router, const struct request *request)
{
    struct file_info_request fields;
    struct file_info_reply reply;
    struct wire_block blocks[BLOCKS];
    static const uint64_t both[] = {1, 2};
    struct wire_endpoint nodes[2] = {{.node = 1, .tcp_port = (uint64_t) port, .online = true},
                                     {.node = 2, .tcp_port = (uint64_t) port, .online = true}};

    bool again = atomic_fetch_add (&infos, 1) > 0;
    ck_assert_int_eq (message_request_fields (request->message, &fields, &error), 0);
    ck_assert (again == (fields.path.data == NULL)); // by its id from then on
    message_reply_init (TYPE (file_info), &reply);
    size_t count = 0;
    for (uint64_t i = fields.offset; i < BLOCKS && count < (fields.limit ? fields.limit : 2);
         i++)
        blocks[count++] = (struct wire_block){
            .index = i,
            .id = 100 + i,
            .size = size_of (i) - (wrong_sizes && i == 1),
            .crc32 = crc32_of (0, content + i * BLOCK_SIZE, size_of (i)) ^ wrong_crc,
            .nodes = (uint64_t *) both,
            .nodes_count = second_later && (!again || !fields.limit) ? 1 : 2};
    reply.path = slice_str ("/f");
    reply.file.bytes[0] = 1;
    reply.size = SIZE;
    reply.block_size = BLOCK_SIZE;
    reply.count = BLOCKS;
    reply.checksum = slice_str ("");
    reply.blocks = blocks;
    reply.blocks_count = count;
    reply.nodes = nodes;
    reply.nodes_count = 2;
    if (fields.offset + count < BLOCKS)
        reply.next = fields.offset + count;
    router_reply (router, &request->route, request->message->envelope.id, TYPE (file_info),
                  &reply, NULL);
}

static void
give_range (struct router *router, const struct route *route, uint64_t id,
            const struct block_read_request *fields, enum deed deed)
{
    struct block_read_reply reply = {.offset = fields->offset, .size = fields->size};
    zmq_msg_t payload;

    if (deed == GIVE_SHORT)
        reply.size--;
    if (deed == GIVE_ELSEWHERE)
        reply.offset += 65536;
    zmq_msg_init_size (&payload, reply.size);
    memcpy (zmq_msg_data (&payload),
            content + (fields->block - 100) * BLOCK_SIZE + fields->offset, reply.size);
    reply.crc32 = crc32_of (0, zmq_msg_data (&payload), reply.size);
    if (deed == GIVE_OTHER)
        ((uint8_t *) zmq_msg_data (&payload))[7] ^= 1;
    router_reply (router, route, id, TYPE (block_read), &reply, &payload);
    zmq_msg_close (&payload);
}

static void
on_read (struct router *router, const struct request *request)
{
    struct block_read_request fields;
    uint64_t id = request->message->envelope.id;

    ck_assert_int_eq (message_request_fields (request->message, &fields, &error), 0);
    int number = atomic_fetch_add (&reads[fields.node - 1], 1);
    enum deed deed = deeds[fields.node - 1];
    if (deed == FALL_SILENT && number >= SILENT_READS && !back)
        return;
    if (deed == REFUSE || (deed == SAY_BUSY && number < 100)) {
        router_reply_error (router, &request->route, id,
                            deed == REFUSE ? LITEDFS_CORRUPT : LITEDFS_BUSY, "no");
    } else if (deed == HOLD_FIRST && number == 0) {
        held_route = request->route;
        held_id = id;
        held_fields = fields;
        held_until_ms = now_ms () + held_ms;
    } else {
        give_range (router, &request->route, id, &fields, deed);
    }
}

static void
on_stat (struct router *router, const struct request *request)
{
    struct block_stat_request fields;
    struct block_stat_reply reply = {.state = REPLICA_DURABLE};

    ck_assert_int_eq (message_request_fields (request->message, &fields, &error), 0);
    atomic_fetch_add (&stats[fields.node - 1], 1);
    if (deeds[fields.node - 1] != FALL_SILENT || back)
        router_reply (router, &request->route, request->message->envelope.id, TYPE (block_stat),
                      &reply, NULL);
}

static void
on_verify (struct router *router, const struct request *request)
{
    struct block_verify_request fields;
    struct block_verify_reply reply = {.running = false};

    ck_assert_int_eq (message_request_fields (request->message, &fields, &error), 0);
    ck_assert (fields.block != 0 && !fields.all);
    atomic_fetch_add (&doubts[fields.node - 1], 1);
    router_reply (router, &request->route, request->message->envelope.id, TYPE (block_verify),
                  &reply, NULL);
}

static void
answer (struct router *router, struct request *request)
{
    struct node_list_reply list;

    if (request->message->type->number == MESSAGE_file_info) {
        give_info (router, request);
    } else if (request->message->type->number == MESSAGE_block_read) {
        on_read (router, request);
    } else if (request->message->type->number == MESSAGE_block_stat) {
        on_stat (router, request);
    } else if (request->message->type->number == MESSAGE_block_verify) {
        on_verify (router, request);
    } else {
        message_reply_init (TYPE (node_list), &list);
        router_reply (router, &request->route, request->message->envelope.id, TYPE (node_list),
                      &list, NULL);
    }
    request_destroy (&request);
}

static void
run_cluster (struct actor_pipe *pipe, void *args)
{
    struct router_options options = {.role = SOCKET_DATA_ROUTER,
                                     .domain = "test",
                                     .host = "127.0.0.1",
                                     .log = logbook,
                                     .clock = clock_system ()};
    struct router *router;
    struct request *request;
    uint64_t ended;
    (void) args;

    ck_assert_int_eq (router_new (&router, &options, &error), 0);
    port = router_port (router);
    actor_ready (pipe);
    while (!actor_stopping (pipe)) {
        zmq_pollitem_t items[] = {{actor_pipe_socket (pipe), 0, ZMQ_POLLIN, 0},
                                  {router_socket (router), 0, ZMQ_POLLIN, 0},
                                  {router_monitor_socket (router), 0, ZMQ_POLLIN, 0}};
        zmq_poll (items, 3, 10);
        while (actor_recv_command (pipe))
            ;
        while (router_receive (router, &request))
            answer (router, request);
        while (router_closed (router, &ended))
            ;
        if (held_until_ms != 0 && now_ms () >= held_until_ms) {
            held_until_ms = 0;
            give_range (router, &held_route, held_id, &held_fields, GIVE);
        }
    }
    router_destroy (&router);
}

static void
setup (void)
{
    char address[64];
    char path[] = "/tmp/litedfs-download-XXXXXX";

    rpc_setup ();
    content = malloc (SIZE);
    for (uint64_t at = 0; at < SIZE; at++)
        content[at] = (uint8_t) (at * 31 + (at >> 16));
    strcpy (directory, "/tmp/litedfs-download-log-XXXXXX");
    ck_assert_ptr_nonnull (mkdtemp (directory));
    ck_assert_int_eq (log_open (&logbook, directory, "router", LOG_LEVEL_DEBUG, false, &error),
                      0);
    ck_assert_int_eq (actor_start (&actor, "cluster", run_cluster, NULL, &error), 0);
    snprintf (address, sizeof address, "tcp://127.0.0.1:%d", port);
    ck_assert_msg (litedfs_open (&session, address, NULL, &error) == 0, "%s", error.text);
    file_fd = mkstemp (path);
    unlink (path);
}

static void
teardown (void)
{
    char path[128];

    litedfs_close (&session);
    actor_stop (&actor);
    log_close (&logbook);
    snprintf (path, sizeof path, "%s/router.log", directory);
    unlink (path);
    rmdir (directory);
    close (file_fd);
    free (content);
    rpc_teardown ();
}

/* ---- the tests ------------------------------------------------------------------------------------ */

/* How many requests the router has refused by itself. */
static int
refused (void)
{
    char path[128], line[512];
    int count = 0;

    snprintf (path, sizeof path, "%s/router.log", directory);
    FILE *file = fopen (path, "r");
    while (file && fgets (line, sizeof line, file))
        count += strstr (line, "too many answers") != NULL;
    if (file)
        fclose (file);
    return count;
}

static void
on_warning (void *arg, const char *text)
{
    ck_assert_ptr_eq (arg, &warnings);
    ck_assert_ptr_nonnull (strstr (text, "data node"));
    ck_assert_ptr_null (strchr (text, '\n'));
    warnings++;
}

static int
download (bool in_order)
{
    const litedfs_download_options_t options = {
        .stream = in_order, .warning = on_warning, .warning_arg = &warnings};

    ck_assert_int_eq (ftruncate (file_fd, 0), 0);
    lseek (file_fd, 0, SEEK_SET);
    return litedfs_download (session, "/f", file_fd, &options, &error);
}

static void
check_file (void)
{
    uint8_t *got = malloc (SIZE + 1);

    ck_assert_int_eq (pread (file_fd, got, SIZE + 1, 0), (ssize_t) SIZE);
    ck_assert (memcmp (got, content, SIZE) == 0);
    free (got);
}

START_TEST (a_file_comes_back_in_any_order_and_in_its_own)
{
    ck_assert_msg (download (false) == 0, "%s", error.text);
    check_file ();
    atomic_store (&infos, 0);
    ck_assert_msg (download (true) == 0, "%s", error.text);
    check_file ();
    ck_assert_int_gt (reads[0], 0); // both nodes are read from
    ck_assert_int_gt (reads[1], 0);
    ck_assert_int_eq (refused (), 0);
}
END_TEST

START_TEST (what_a_node_gives_wrong_is_taken_from_the_other)
{
    static const enum deed wrong[] = {GIVE_OTHER, GIVE_SHORT, GIVE_ELSEWHERE, REFUSE};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        deeds[i % 2] = wrong[i];
        deeds[1 - i % 2] = GIVE;
        atomic_store (&infos, 0);
        ck_assert_msg (download (i / 2) == 0, "%s", error.text);
        check_file ();
        bool refused = wrong[i] == REFUSE; // it knows that its copy is damaged
        ck_assert_int_eq (warnings, refused ? (int) i : (int) i + 1); // of each thing one
        ck_assert (refused || atomic_load (&doubts[i % 2]) > 0);
        ck_assert_int_eq (atomic_load (&doubts[1 - i % 2]), 0);
        atomic_store (&doubts[i % 2], 0);
    }
}
END_TEST

START_TEST (without_a_good_node_it_is_an_error_that_names_one)
{
    deeds[0] = GIVE_OTHER;
    deeds[1] = REFUSE;
    ck_assert_int_eq (download (false), LITEDFS_CORRUPT);
    ck_assert_ptr_nonnull (strstr (error.text, "data node"));
    ck_assert_int_ge (infos, 4); // three pages, and once more
}
END_TEST

START_TEST (a_holder_that_is_named_later_is_found)
{
    deeds[0] = REFUSE;
    second_later = true;
    ck_assert_msg (download (false) == 0, "%s", error.text);
    check_file ();
}
END_TEST

START_TEST (a_block_that_is_not_the_name_node_s_is_an_error)
{
    wrong_crc = true;
    ck_assert_int_eq (download (false), LITEDFS_CORRUPT);
    wrong_crc = false;
    wrong_sizes = true;
    atomic_store (&infos, 0);
    ck_assert_int_eq (download (false), LITEDFS_CORRUPT);
}
END_TEST

START_TEST (a_node_that_is_busy_is_asked_again)
{
    deeds[0] = SAY_BUSY;
    ck_assert_msg (download (false) == 0, "%s", error.text);
    check_file ();
}
END_TEST

START_TEST (one_late_answer_makes_no_node_busy)
{
    deeds[0] = HOLD_FIRST;
    second_later = true; // all of it from the first node
    ck_assert_msg (download (false) == 0, "%s", error.text);
    check_file ();
    ck_assert_int_gt (reads[0], 30);
    ck_assert_int_eq (refused (), 0);
}
END_TEST

START_TEST (a_node_that_falls_silent_is_left_after_five_seconds)
{
    for (int in_order = 0; in_order <= 1; in_order++) {
        deeds[in_order] = FALL_SILENT;
        deeds[1 - in_order] = GIVE;
        atomic_store (&reads[in_order], 0);
        atomic_store (&infos, 0);
        int64_t begin_ms = now_ms ();
        ck_assert_msg (download (in_order) == 0, "%s", error.text);
        ck_assert_int_lt (now_ms () - begin_ms, 6500);
        ck_assert_int_eq (warnings, in_order + 1);
        ck_assert_int_ge (stats[in_order], 1); // it was asked for a sign of life
        check_file ();
    }
}
END_TEST

START_TEST (a_node_that_is_slow_and_alive_is_waited_for)
{
    deeds[0] = HOLD_FIRST;
    held_ms = 7000;
    second_later = true;
    ck_assert_msg (download (false) == 0, "%s", error.text);
    check_file ();
    ck_assert_int_eq (warnings, 0);
    ck_assert_int_eq (reads[1], 0);
    ck_assert_int_ge (stats[0], 3);
}
END_TEST

static void *
come_back (void *arg)
{
    (void) arg;
    zmq_poll (NULL, 0, 8000);
    atomic_store (&back, true);
    return NULL;
}

START_TEST (the_only_holder_has_its_time_again_when_the_name_node_says_that_it_is_there)
{
    pthread_t thread;

    deeds[0] = deeds[1] = FALL_SILENT;
    pthread_create (&thread, NULL, come_back, NULL);
    ck_assert_msg (download (false) == 0, "%s", error.text);
    pthread_join (thread, NULL);
    check_file ();
}
END_TEST

START_TEST (a_cancelled_one_ends_at_once)
{
    litedfs_cancel (session);
    ck_assert_int_eq (download (false), LITEDFS_CANCELLED);
}
END_TEST

UNIT_MAIN_FIXTURE ("client_download", setup, teardown,
                   a_file_comes_back_in_any_order_and_in_its_own,
                   what_a_node_gives_wrong_is_taken_from_the_other,
                   without_a_good_node_it_is_an_error_that_names_one,
                   a_holder_that_is_named_later_is_found,
                   a_block_that_is_not_the_name_node_s_is_an_error,
                   a_node_that_is_busy_is_asked_again, one_late_answer_makes_no_node_busy,
                   a_node_that_falls_silent_is_left_after_five_seconds,
                   a_node_that_is_slow_and_alive_is_waited_for,
                   the_only_holder_has_its_time_again_when_the_name_node_says_that_it_is_there,
                   a_cancelled_one_ends_at_once)
