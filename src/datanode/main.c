/* SPDX-License-Identifier: MIT */
/*
 * litedata: a data node as a program.  base/daemon has what it shares with litename.
 */
#include "base/daemon.h"
#include "base/err.h"
#include "datanode/datanode.h"
#include "web/web.h"

#include <stdlib.h>

/* What runs, from the first started to the last. */
struct service {
    struct zap *zap;
    struct datanode *node;
    struct web *web;
};

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

static int
check (const char *path, void *config, litedfs_error_t *error)
{
    return datanode_config_check (path, config, error);
}

static void
stop (void **service_p)
{
    struct service *service = *service_p;

    *service_p = NULL;
    web_stop (&service->web);
    datanode_stop (&service->node);
    zap_stop (&service->zap);
    free (service);
}

static int
start (struct daemon *daemon, void **out, litedfs_error_t *error)
{
    const struct datanode_config *config = daemon->config;
    struct service *service = calloc (1, sizeof *service);
    struct datanode_options node = {.config = config,
                                    .config_path = daemon->config_path,
                                    .version = PACKAGE_VERSION,
                                    .log = daemon->log,
                                    .clock = daemon->clock};
    struct web_options web = {.greeting = "LiteDFS data service",
                              .host = config->http_host,
                              .port = (int) config->http_port,
                              .allow_file = daemon->config_path,
                              .log = daemon->log,
                              .clock = daemon->clock};

    if (service == NULL)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    *out = service;
    int rc = zap_start (&service->zap, daemon->log, daemon->clock, error);
    node.zap = web.zap = service->zap;
    if (rc == 0)
        rc = datanode_start (&service->node, &node, error);
    if (rc == 0) {
        web.domain = datanode_domain (service->node);
        rc = web_start (&service->web, &web, error);
    }
    if (rc < 0)
        stop (out);
    return rc;
}

static void
reload (struct daemon *daemon, void *service)
{
    litedfs_error_t error;

    if (datanode_allow (((struct service *) service)->node, &error) < 0)
        log_error (daemon->log, "allow stays as it was: %s", error.text);
}

static bool
failed (void *service, litedfs_error_t *why)
{
    const struct service *self = service;

    return datanode_failed (self->node, why) || web_ended (self->web);
}

int
main (int argc, char **argv)
{
    static const struct daemon_program program = {
        .name = "litedata",
        .service = "litedfs-data",
        .title = "LiteDFS data node",
        .usage = "-g DIR [--allow NET] [--http-port N] [--name-node HOST[:PORT]] | -c FILE | "
                 "-v | -h",
        .options = datanode_options,
        .config_size = sizeof (struct datanode_config),
        .log_path_offset = offsetof (struct datanode_config, log_path),
        .log_level_offset = offsetof (struct datanode_config, log_level),
        .opt_rows = opt_rows,
        .generate = generate,
        .check = check,
        .start = start,
        .stop = stop,
        .reload = reload,
        .failed = failed,
    };

    return daemon_main (&program, argc, argv);
}
