/* SPDX-License-Identifier: MIT */
#include "namenode_batch_fixture.h"

#include "namenode/namespace.h"

#include <ftw.h>
#include <stdio.h>

static char root[] = "/tmp/litedfs-batch-XXXXXX";
static struct op_settings settings = {.block_size = 1 << 20,
                                      .delete_delay_ms = 1000,
                                      .repair_streams = 64,
                                      .walk_interval_ms = 10000};
static struct nodes *nodes;
static struct nodes_view *view;

struct storedir_options dir_options;
struct batch_context context;
struct fake_clock fake;
litedfs_error_t error;

static int
remove_one (const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void) status;
    (void) kind;
    (void) at;
    return remove (path);
}

/* One that is online and has room. */
static void
add_data_node (void)
{
    const struct node node = {.number = 1,
                              .uuid.bytes = {1},
                              .host = "127.0.0.1",
                              .tcp_port = 1,
                              .storage_total = 1 << 30,
                              .storage_free = 1 << 30};

    nodes = nodes_new (clock_wall (&fake.clock));
    ck_assert_ptr_nonnull (nodes);
    ck_assert_int_eq (nodes_register (nodes, &node, 1, 1000, 10000, clock_mono (&fake.clock),
                                      clock_wall (&fake.clock), &error),
                      0);
    view = nodes_view (nodes);
    ck_assert_ptr_nonnull (view);
}

void
reopen (void)
{
    storedir_close (&context.dir);
    int rc = storedir_open (&context.dir, &dir_options, clock_wall (&fake.clock), &error);
    ck_assert_msg (rc == 0, "%s", error.text);
}

void
batch_setup (void)
{
    ck_assert_ptr_nonnull (mkdtemp (root));
    fake_clock_init (&fake, 1000, 1700000000000);
    dir_options = (struct storedir_options){.path = root, .map_size = 1 << 20};
    add_data_node ();
    context = (struct batch_context){.settings = &settings,
                                     .leases = lease_clock_new (),
                                     .clock = &fake.clock,
                                     .nodes = view};
    ck_assert_ptr_nonnull (context.leases);
    reopen ();
}

void
batch_teardown (void)
{
    storedir_close (&context.dir);
    lease_clock_destroy (&context.leases);
    nodes_view_release (&view);
    nodes_destroy (&nodes);
    nftw (root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

struct job
job_of (const struct message_type *type, const void *fields, uint64_t id, uint8_t who)
{
    uint8_t client[WIRE_CLIENT_SIZE] = {who};
    struct envelope envelope = {.id = id, .version = 1, .seen = 0};
    struct job job = {.token = id};
    struct buf frame = {0};

    if (who != 0)
        envelope.client = slice_of (client, sizeof client);
    ck_assert_int_eq (message_encode_request (&frame, type, fields, &envelope, &error), 0);
    zmq_msg_init_size (&job.frame, frame.size);
    memcpy (zmq_msg_data (&job.frame), frame.data, frame.size);
    buf_free (&frame);
    struct slice bytes = slice_of (zmq_msg_data (&job.frame), zmq_msg_size (&job.frame));
    ck_assert_int_eq (message_parse_request (bytes, &job.message, &id, &error), 0);
    return job;
}

struct job
create_directory (const char *path, uint64_t id, uint8_t who)
{
    const struct directory_create_request fields = {.path = S (path), .parents = true};

    return job_of (TYPE (directory_create), &fields, id, who);
}

struct job
delete_directory (const char *path, uint64_t id)
{
    const struct directory_delete_request fields = {.path = S (path)};

    return job_of (TYPE (directory_delete), &fields, id, 0);
}

struct job
create_file (const char *path, uint64_t id, uint64_t ttl)
{
    struct file_create_request fields;

    message_request_init (TYPE (file_create), &fields);
    fields.path = S (path);
    fields.ttl = ttl;
    return job_of (TYPE (file_create), &fields, id, 0);
}

void
run (struct job *jobs, size_t count)
{
    int rc = batch_run (&context, jobs, count, &error);

    ck_assert_msg (rc == 0, "%s", error.text);
}

int
answer_of (const struct job *job)
{
    struct message *reply;

    int rc = message_parse_reply (buf_slice (&job->reply), &reply, &error);
    ck_assert_msg (rc == 0, "%s", error.text);
    ck_assert_uint_eq (reply->envelope.id, job->token);
    ck_assert_int_eq (reply->ok, job->ok);
    error = reply->error;
    int number = reply->ok ? 0 : reply->error.number;
    message_destroy (&reply);
    return number;
}

void
end (struct job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        message_destroy (&jobs[i].message);
        zmq_msg_close (&jobs[i].frame);
        buf_free (&jobs[i].reply);
    }
}

bool
exists (const char *path)
{
    struct inode_row row;
    struct txn *txn;

    ck_assert_int_eq (txn_begin_read (storedir_store (context.dir), &txn, &error), 0);
    int rc = namespace_lookup (txn, S (path), &row, &error);
    ck_assert_msg (rc == 0 || rc == LITEDFS_NOT_FOUND, "%s", error.text);
    txn_abort (&txn);
    return rc == 0;
}

uint64_t
rows_of (enum metastore_table table)
{
    struct metastore_statistics statistics;

    ck_assert_int_eq (metastore_statistics (storedir_store (context.dir), &statistics, &error),
                      0);
    return statistics.rows[table];
}
