/* SPDX-License-Identifier: MIT */
/*
 * Durable creates of empty files, so many of them in flight on one connection.
 *
 *   creates HOST:TCP_PORT DIRECTORY COUNT IN_FLIGHT     prints the seconds
 */
#include "base/clock.h"
#include "rpc/dealer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS 60000

struct run {
    uint64_t under_way;
    uint64_t done;
};

static void
die (const litedfs_error_t *error)
{
    fprintf (stderr, "creates: %s\n", error->text);
    exit (1);
}

static void
on_created (void *arg, struct message *reply, zmq_msg_t *payload, const litedfs_error_t *error)
{
    struct run *run = arg;
    (void) reply;
    (void) payload;

    if (error)
        die (error);
    run->under_way--;
    run->done++;
}

static void
send_create (struct dealer *dealer, const char *directory, uint64_t number, struct run *run)
{
    const struct message_type *type = &message_types[MESSAGE_file_create];
    struct file_create_request request;
    char path[256];
    litedfs_error_t error;

    message_request_init (type, &request);
    snprintf (path, sizeof path, "%s/%08" PRIu64, directory, number);
    request.path = slice_str (path);
    request.size = 0;
    if (dealer_send (dealer, type, &request, NULL, TIMEOUT_MS, on_created, run, &error) < 0)
        die (&error);
    run->under_way++;
}

static void
create_all (struct dealer *dealer, const char *directory, uint64_t count, uint64_t in_flight)
{
    struct run run = {0};
    uint64_t sent = 0;

    while (run.done < count) {
        zmq_pollitem_t items[DEALER_POLL_ITEMS];
        for (; sent < count && run.under_way < in_flight; sent++)
            send_create (dealer, directory, sent, &run);
        size_t items_count = dealer_poll_items (dealer, items);
        zmq_poll (items, (int) items_count, dealer_timeout_ms (dealer));
        dealer_process (dealer);
    }
}

int
main (int argc, char **argv)
{
    static const uint8_t client[WIRE_CLIENT_SIZE] = "bench of creates";
    struct directory_create_request request = {.parents = true};
    struct dealer *dealer;
    litedfs_error_t error;
    char endpoint[300];

    if (argc != 5) {
        fprintf (stderr, "usage: creates HOST:TCP_PORT DIRECTORY COUNT IN_FLIGHT\n");
        return 2;
    }
    snprintf (endpoint, sizeof endpoint, "tcp://%s", argv[1]);
    struct dealer_options options = {.endpoint = endpoint,
                                     .client = client,
                                     .first_id = (uint64_t) clock_wall (clock_system ()) * 1000,
                                     .clock = clock_system ()};
    request.path = slice_str (argv[2]);
    if (dealer_new (&dealer, &options, &error) < 0 ||
        dealer_call (dealer, &message_types[MESSAGE_directory_create], &request, NULL, NULL,
                     NULL, TIMEOUT_MS, -1, &error) < 0)
        die (&error);
    int64_t began_ms = clock_mono (clock_system ());
    create_all (dealer, argv[2], strtoull (argv[3], NULL, 10), strtoull (argv[4], NULL, 10));
    printf ("%.3f\n", (double) (clock_mono (clock_system ()) - began_ms) / 1000.0);
    dealer_destroy (&dealer);
    return 0;
}
