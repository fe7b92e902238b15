/* SPDX-License-Identifier: MIT */
/*
 * The least that a download can be: one process reads chunks of a file, computes their CRC and answers
 * from a ROUTER, another asks on a DEALER, checks and writes.  No protocol, no block store, no cluster:
 * what LiteDFS is measured against.
 *
 *   bare_pair SOURCE TARGET     prints the seconds that it took, and the CPU seconds of both processes
 */
#include "base/crc.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define CHUNK ((size_t) 1 << 20)
#define WINDOW 32

/* Chunks stay with malloc when they are freed, as in the daemons. */
#define KEEP (64 << 20)

/* What is asked for and, with its CRC, answered. */
struct header {
    uint64_t offset;
    uint64_t size;
    uint32_t crc;
};

static void
die (const char *what)
{
    fprintf (stderr, "bare_pair: %s: %s\n", what, strerror (errno));
    exit (1);
}

static void
check (int rc, const char *what)
{
    if (rc < 0)
        die (what);
}

/* Answer until a request of size 0 comes. */
static void
serve (void *router, int fd)
{
    struct header header;
    zmq_msg_t id;

    zmq_msg_init (&id);
    for (;;) {
        check (zmq_msg_recv (&id, router, 0), "receive");
        check (zmq_recv (router, &header, sizeof header, 0), "receive");
        if (header.size == 0)
            break;
        zmq_msg_t payload;
        check (zmq_msg_init_size (&payload, header.size), "message");
        if (pread (fd, zmq_msg_data (&payload), header.size, (off_t) header.offset) !=
            (ssize_t) header.size)
            die ("read");
        header.crc = crc32_of (0, zmq_msg_data (&payload), header.size);
        check (zmq_msg_send (&id, router, ZMQ_SNDMORE), "send");
        check (zmq_send (router, &header, sizeof header, ZMQ_SNDMORE), "send");
        check (zmq_msg_send (&payload, router, 0), "send");
    }
    zmq_msg_close (&id);
}

static void
ask (void *dealer, uint64_t offset, uint64_t size)
{
    const struct header header = {.offset = offset, .size = size};

    check (zmq_send (dealer, &header, sizeof header, 0), "send");
}

static void
take (void *dealer, int fd)
{
    struct header header;
    zmq_msg_t payload;

    zmq_msg_init (&payload);
    check (zmq_recv (dealer, &header, sizeof header, 0), "receive");
    check (zmq_msg_recv (&payload, dealer, 0), "receive");
    if (crc32_of (0, zmq_msg_data (&payload), header.size) != header.crc) {
        fprintf (stderr, "bare_pair: a chunk was damaged on its way\n");
        exit (1);
    }
    if (pwrite (fd, zmq_msg_data (&payload), header.size, (off_t) header.offset) !=
        (ssize_t) header.size)
        die ("write");
    zmq_msg_close (&payload);
}

/* Fetch it all with a window of requests under way. */
static void
fetch (void *dealer, int fd, uint64_t size)
{
    uint64_t asked = 0;

    for (uint64_t taken = 0; taken < size; taken += CHUNK) {
        for (; asked < size && asked < taken + WINDOW * CHUNK; asked += CHUNK)
            ask (dealer, asked, size - asked < CHUNK ? size - asked : CHUNK);
        take (dealer, fd);
    }
    ask (dealer, 0, 0);
}

static double
cpu_seconds (int who)
{
    struct rusage usage;

    getrusage (who, &usage);
    return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double
now (void)
{
    struct timespec time;

    clock_gettime (CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

/* The serving process: tells its port through the pipe. */
static int
run_server (const char *path, int pipe_fd)
{
    char endpoint[64];
    size_t length = sizeof endpoint;
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    void *context = zmq_ctx_new ();
    void *router = zmq_socket (context, ZMQ_ROUTER);

    check (fd, path);
    check (zmq_bind (router, "tcp://127.0.0.1:*"), "bind");
    check (zmq_getsockopt (router, ZMQ_LAST_ENDPOINT, endpoint, &length), "endpoint");
    check ((int) write (pipe_fd, endpoint, sizeof endpoint), "pipe");
    serve (router, fd);
    zmq_close (router);
    zmq_ctx_term (context);
    return 0;
}

int
main (int argc, char **argv)
{
    char endpoint[64];
    struct stat about;
    int pipes[2];

    if (argc != 3) {
        fprintf (stderr, "usage: bare_pair SOURCE TARGET\n");
        return 2;
    }
    mallopt (M_MMAP_THRESHOLD, KEEP);
    mallopt (M_TRIM_THRESHOLD, KEEP);
    check (stat (argv[1], &about), argv[1]);
    check (pipe (pipes), "pipe");
    pid_t server = fork ();
    check (server, "fork");
    if (server == 0)
        return run_server (argv[1], pipes[1]);
    close (pipes[1]);
    if (read (pipes[0], endpoint, sizeof endpoint) != sizeof endpoint)
        die ("the serving process");
    double began = now ();
    int fd = open (argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    check (fd, argv[2]);
    void *context = zmq_ctx_new ();
    void *dealer = zmq_socket (context, ZMQ_DEALER);
    check (zmq_connect (dealer, endpoint), "connect");
    fetch (dealer, fd, (uint64_t) about.st_size);
    double took = now () - began;
    close (fd);
    check (waitpid (server, NULL, 0), "wait");
    printf ("%.3f %.3f\n", took, cpu_seconds (RUSAGE_SELF) + cpu_seconds (RUSAGE_CHILDREN));
    zmq_close (dealer);
    zmq_ctx_term (context);
    return 0;
}
