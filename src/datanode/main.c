/* SPDX-License-Identifier: MIT */
/*
 * litedata(8): a data node as a program.  What a daemon does is in base/daemon, what this one runs in
 * datanode/service; here is its command line.
 */
#include "base/err.h"
#include "datanode/blocklist.h"
#include "datanode/config.h"
#include "datanode/service.h"

#include <stdlib.h>

enum { OPT_ALLOW = DAEMON_OPT_OWN, OPT_HTTP_PORT, OPT_NAME_NODE, OPT_LIST_BLOCKS };

static const struct opt_row opt_rows[] = {
    DAEMON_OPT_ROWS,
    {0, "allow", "NET", "with -g: networks that may connect, as 192.168.1.0/24,fd00::/8"},
    {0, "http-port", "N", "with -g: the HTTP port; the others follow from it"},
    {0, "name-node", "HOST[:PORT]", "with -g: the name node, by its HTTP port"},
    {0, "list-blocks", NULL, "print what every block is of, for litename --rebuild, and end"},
    {0, NULL, NULL, NULL},
};

static int
generate (const char *const *values, void *config, struct arena *arena, litedfs_error_t *error)
{
    return datanode_config_generate (config, values[OPT_ALLOW], values[OPT_HTTP_PORT],
                                     values[OPT_NAME_NODE], arena, error);
}

/* --list-blocks */
static int
list_blocks (struct daemon *self, const char *const *values, int *status,
             litedfs_error_t *error)
{
    const struct datanode_config *config = self->config;
    struct blocklist_result result;
    (void) values;

    if (!config)
        return err_set (error, LITEDFS_USAGE, "--list-blocks needs -c FILE");
    int rc = blocklist_write (config->data_path, stdout, &result, error);
    *status = rc == 0 && result.damaged == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    return rc;
}

static const struct daemon_task tasks[] = {
    {OPT_LIST_BLOCKS, 1ul << DAEMON_OPT_CONFIG, list_blocks},
    {0, 0, NULL},
};

int
main (int argc, char **argv)
{
    struct daemon_program program = datanode_service;

    program.usage =
        "-g DIR [--allow NET] [--http-port N] [--name-node HOST[:PORT]] | -c FILE | "
        "--list-blocks -c FILE | -v | -h";
    program.opt_rows = opt_rows;
    program.generate = generate;
    program.tasks = tasks;
    return daemon_main (&program, argc, argv);
}
