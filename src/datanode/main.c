/* SPDX-License-Identifier: MIT */
/*
 * litedata(8): a data node as a program.  What a daemon does is in base/daemon, what this one runs in
 * datanode/service; here is its command line.
 */
#include "datanode/config.h"
#include "datanode/service.h"

enum { OPT_ALLOW = DAEMON_OPT_OWN, OPT_HTTP_PORT, OPT_NAME_NODE };

static const struct opt_row opt_rows[] = {
    DAEMON_OPT_ROWS,
    {0, "allow", "NET", "with -g: networks that may connect, as 192.168.1.0/24,fd00::/8"},
    {0, "http-port", "N", "with -g: the HTTP port; the others follow from it"},
    {0, "name-node", "HOST[:PORT]", "with -g: the name node, by its HTTP port"},
    {0, NULL, NULL, NULL},
};

static int
generate (const char *const *values, void *config, struct arena *arena, litedfs_error_t *error)
{
    return datanode_config_generate (config, values[OPT_ALLOW], values[OPT_HTTP_PORT],
                                     values[OPT_NAME_NODE], arena, error);
}

int
main (int argc, char **argv)
{
    struct daemon_program program = datanode_service;

    program.usage =
        "-g DIR [--allow NET] [--http-port N] [--name-node HOST[:PORT]] | -c FILE | -v | -h";
    program.opt_rows = opt_rows;
    program.generate = generate;
    return daemon_main (&program, argc, argv);
}
