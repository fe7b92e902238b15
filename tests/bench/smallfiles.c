/* SPDX-License-Identifier: MIT */
/*
 * Small files through liblitedfs, one after the other in one session.
 *
 *   smallfiles HOST:HTTP_PORT DIRECTORY COUNT SIZE REPLICAS     prints the seconds to write and to read
 */
#include "litedfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void
die (const char *what, const litedfs_error_t *error)
{
    fprintf (stderr, "smallfiles: %s: %s\n", what, error->text);
    exit (1);
}

static double
now (void)
{
    struct timespec time;

    clock_gettime (CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

/* A file in memory with so many bytes. */
static int
make_local (size_t size)
{
    int fd = memfd_create ("small", MFD_CLOEXEC);

    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char) (i * 31);
        if (write (fd, &byte, 1) != 1)
            return -1;
    }
    return fd;
}

static void
write_all (litedfs_t *session, const char *directory, int count, int fd, unsigned replicas)
{
    litedfs_upload_options_t options = {.replica = replicas};
    litedfs_error_t error;
    char path[256];

    for (int i = 0; i < count; i++) {
        snprintf (path, sizeof path, "%s/%06d", directory, i);
        if (litedfs_upload (session, fd, path, &options, &error) < 0)
            die (path, &error);
    }
}

static void
read_all (litedfs_t *session, const char *directory, int count)
{
    litedfs_error_t error;
    char path[256];
    int fd = memfd_create ("back", MFD_CLOEXEC);

    for (int i = 0; i < count; i++) {
        snprintf (path, sizeof path, "%s/%06d", directory, i);
        if (litedfs_download (session, path, fd, NULL, &error) < 0)
            die (path, &error);
    }
    close (fd);
}

int
main (int argc, char **argv)
{
    litedfs_error_t error;
    litedfs_t *session;

    if (argc != 6) {
        fprintf (stderr, "usage: smallfiles HOST:HTTP_PORT DIRECTORY COUNT SIZE REPLICAS\n");
        return 2;
    }
    int count = atoi (argv[3]);
    int fd = make_local ((size_t) atoi (argv[4]));
    if (litedfs_open (&session, argv[1], NULL, &error) < 0)
        die (argv[1], &error);
    double began = now ();
    write_all (session, argv[2], count, fd, (unsigned) atoi (argv[5]));
    double written = now ();
    read_all (session, argv[2], count);
    printf ("%.3f %.3f\n", written - began, now () - written);
    litedfs_close (&session);
    return 0;
}
