/* SPDX-License-Identifier: MIT */
/*
 * litename(8): the name node as a program.  What a daemon does is in base/daemon, what this one runs in
 * namenode/service; here is its command line.
 */
#include "namenode/config.h"
#include "namenode/service.h"
#include "namenode/tasks.h"

enum { OPT_ALLOW = TASK_OPT_END, OPT_HTTP_PORT, OPT_BLOCK_SIZE };

static const struct opt_row opt_rows[] = {
    DAEMON_OPT_ROWS,
    TASK_OPT_ROWS,
    {0, "allow", "NET", "with -g: networks that may connect, as 192.168.1.0/24,fd00::/8"},
    {0, "http-port", "N", "with -g: the HTTP port; the TCP port is 10000 above it"},
    {0, "block-size", "BYTES", "with -g: the size of blocks, as 64M"},
    {0, NULL, NULL, NULL},
};

static int
generate (const char *const *values, void *config, struct arena *arena, litedfs_error_t *error)
{
    static const struct {
        int value;
        const char *key;
    } own[] = {
        {OPT_ALLOW, "allow"}, {OPT_HTTP_PORT, "http_port"}, {OPT_BLOCK_SIZE, "block_size"}};
    int rc = 0;

    for (size_t i = 0; i < sizeof own / sizeof *own && rc == 0; i++)
        if (values[own[i].value])
            rc = conf_set (namenode_options, config, own[i].key, values[own[i].value], arena,
                           error);
    return rc;
}

int
main (int argc, char **argv)
{
    struct daemon_program program = namenode_service;

    program.usage = "-g DIR [--allow NET] [--http-port N] [--block-size BYTES] | -c FILE | "
                    "(--check | --backup DIR) (-c FILE | --data-path DIR) | "
                    "(--accept-restore | --rebuild) -c FILE | -v | -h";
    program.opt_rows = opt_rows;
    program.generate = generate;
    program.tasks = namenode_tasks;
    return daemon_main (&program, argc, argv);
}
