/* SPDX-License-Identifier: MIT */
/*
 * litecluster(1): a whole cluster in one process, in the foreground, for one machine.  What it runs is in
 * cluster/cluster; here is its command line, and what it says.
 */
#include "base/err.h"
#include "base/fault.h"
#include "base/opt.h"
#include "base/option.h"
#include "base/process.h"
#include "cluster/cluster.h"

#include <stdlib.h>
#include <string.h>

#define IO_THREADS 4 // of ZeroMQ, for all daemons together
#define COMPLETE_MS                                                                            \
    10000 // how long data nodes have to register before it is said that some lack
#define ASK_AGAIN_MS 50

enum { OPT_NODES, OPT_HTTP_PORT, OPT_VERSION, OPT_HELP, OPT_COUNT };

static const struct opt_row opt_rows[] = {
    {'n', "nodes", "N",
     "data nodes, 1 to 16; those that DIR has, or 3 in a new one, unless given"},
    {'p', "http-port", "N", "the name node's HTTP port in a new DIR; 9000 unless given"},
    {'v', "version", NULL, "print the version"},
    {'h', "help", NULL, "print this help"},
    {0, NULL, NULL, NULL},
};

/* The value of an option; 0 if it was not given. */
static int
read_number (const char *const *values, int which, int64_t max, int *out,
             litedfs_error_t *error)
{
    const struct option_row row = {.type = OPTION_INT, .min = 1, .max = max};
    struct arena arena = {0};
    union option_value value;
    int rc = 0;

    *out = 0;
    if (values[which]) {
        rc = option_read_line (&row, values[which], NULL, &arena, &value, error);
        if (rc == 0)
            *out = (int) value.number;
        else
            err_prefix (error, "-%c", opt_rows[which].letter);
    }
    arena_free (&arena);
    return rc;
}

static const char *
plural (size_t count)
{
    return count == 1 ? "" : "s";
}

/* Wait until the data nodes have registered, and say where to go.  0, or what daemon_wait says. */
static int
announce (struct cluster *cluster, size_t *failed, litedfs_error_t *error)
{
    size_t nodes = cluster->layout.nodes;
    const struct clock *clock = clock_system ();
    int64_t end_ms = clock_mono (clock) + COMPLETE_MS;
    bool complete;

    while (!(complete = cluster_is_complete (cluster)) && clock_mono (clock) < end_ms) {
        int rc = daemon_wait (cluster->daemons, cluster->loaded, ASK_AGAIN_MS, failed, error);
        if (rc != 0)
            return rc;
    }
    printf ("litecluster: ready with %zu data node%s; try: litedfs %s cluster info\n", nodes,
            plural (nodes), cluster->address);
    fflush (stdout);
    if (!complete)
        fprintf (
            stderr,
            "litecluster: not all data nodes are online after %d s; the logs in %s/data-*/logs "
            "say why\n",
            COMPLETE_MS / 1000, cluster->layout.directory);
    return 0;
}

/* Serve until the end; the exit status. */
static int
serve (struct cluster *cluster)
{
    litedfs_error_t error;
    size_t failed = 0;

    int rc = announce (cluster, &failed, &error);
    if (rc == 0)
        rc = daemon_wait (cluster->daemons, cluster->loaded, -1, &failed, &error);
    if (rc > 0)
        return EXIT_SUCCESS;
    err_prefix (&error, "%s", cluster->layout.parts[failed].directory);
    return daemon_complain (&cluster->daemons[failed], "litecluster", &error);
}

static int
run (struct cluster *cluster, const char *const *values, const char *directory)
{
    litedfs_error_t error;
    int nodes;
    int http_port = 0;

    int rc = read_number (values, OPT_NODES, LAYOUT_NODES_MAX, &nodes, &error);
    if (rc == 0)
        rc = read_number (values, OPT_HTTP_PORT, 65535, &http_port, &error);
    if (rc == 0)
        rc = FAULT_INIT (&error);
    if (rc == 0)
        rc = cluster_open (cluster, directory, (size_t) nodes, http_port, &error);
    if (rc == 0 && cluster->made > 0)
        printf ("litecluster: made %zu director%s in %s\n", cluster->made,
                cluster->made == 1 ? "y" : "ies", cluster->layout.directory);
    if (rc == 0)
        rc = process_init_czmq (IO_THREADS, &error);
    if (rc == 0)
        rc = cluster_start (cluster, &error);
    return rc < 0 ? daemon_complain (NULL, "litecluster", &error) : serve (cluster);
}

int
main (int argc, char **argv)
{
    const char *values[OPT_COUNT] = {NULL};
    struct cluster cluster = {0};
    litedfs_error_t error;
    int first = 0;

    if (opt_parse (opt_rows, argc, argv, values, &first, &error) < 0)
        return daemon_complain (NULL, "litecluster", &error);
    if (values[OPT_HELP]) {
        opt_help (opt_rows, "litecluster [-n N] [-p HTTP_PORT] DIR | -v | -h", stdout);
        return EXIT_SUCCESS;
    }
    if (values[OPT_VERSION]) {
        printf ("litecluster %s\n", PACKAGE_VERSION);
        return EXIT_SUCCESS;
    }
    if (first + 1 != argc) {
        err_set (&error, LITEDFS_USAGE, "say one directory, DIR; litecluster -h tells more");
        return daemon_complain (NULL, "litecluster", &error);
    }
    int status = run (&cluster, values, argv[first]);
    cluster_stop (&cluster);
    process_end ();
    cluster_close (&cluster);
    return status;
}
