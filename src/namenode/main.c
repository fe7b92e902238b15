/* SPDX-License-Identifier: MIT */
/*
 * litename(8): the name node as a program.  What a daemon does is in base/daemon; this is what is
 * special to this one: its options, and what has to be started, in which order.
 */
#include "base/daemon.h"
#include "base/err.h"
#include "namenode/namenode.h"
#include "rpc/zap.h"
#include "web/web.h"

#include <stddef.h>
#include <stdlib.h>

struct service {
    struct zap *zap;
    struct namenode *namenode;
    struct web *web;
};

enum { OPT_ALLOW = DAEMON_OPT_OWN, OPT_HTTP_PORT, OPT_BLOCK_SIZE };

static const struct opt_row opt_rows[] = {
    DAEMON_OPT_ROWS,
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

static int
check (const char *path, void *config, litedfs_error_t *error)
{
    return namenode_config_check (path, config, error);
}

static void
stop (void **service)
{
    struct service *self = *service;

    web_stop (&self->web);
    namenode_stop (&self->namenode);
    zap_stop (&self->zap);
    free (self);
    *service = NULL;
}

static int
start_web (struct daemon *daemon, struct service *self, litedfs_error_t *error)
{
    const struct namenode_config *config = daemon->config;
    const struct web_options options = {
        .greeting = "LiteDFS name service",
        .host = config->http_host,
        .port = (int) config->http_port,
        .zap = self->zap,
        .domain = NAMENODE_DOMAIN,
        .allow_file = daemon->config_path,
        .router = namenode_inproc (self->namenode),
        .router_port = namenode_port (self->namenode),
        .cluster = *namenode_cluster (self->namenode),
        .log = daemon->log,
        .clock = daemon->clock,
    };

    return web_start (&self->web, &options, error);
}

static int
start (struct daemon *daemon, void **service, litedfs_error_t *error)
{
    const struct namenode_config *config = daemon->config;
    struct service *self = calloc (1, sizeof *self);
    struct net_list allowed;
    struct buf who = {0};

    if (!self)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    int rc = namenode_config_allowed (config, &allowed, error);
    if (rc == 0)
        rc = zap_start (&self->zap, daemon->log, daemon->clock, error);
    if (rc == 0)
        rc = zap_allow (self->zap, NAMENODE_DOMAIN, &allowed, daemon->config_path, error);
    if (rc == 0)
        rc = namenode_start (&self->namenode, config, daemon->log, daemon->clock, error);
    if (rc == 0)
        rc = start_web (daemon, self, error);
    *service = self;
    if (rc < 0) {
        stop (service);
        return rc;
    }
    net_list_print (&allowed, &who);
    log_info (daemon->log, "HTTP on %s port %d, requests on %s port %d, data in %s",
              config->http_host, (int) config->http_port, config->tcp_host,
              namenode_port (self->namenode), config->data_path);
    log_info (daemon->log, "who may connect: %s (allow: in %s)", buf_text (&who),
              daemon->config_path);
    buf_free (&who);
    return 0;
}

static bool
failed (void *service)
{
    struct service *self = service;

    return namenode_ended (self->namenode) || web_ended (self->web);
}

static const struct daemon_program program = {
    .name = "litename",
    .service = "litedfs-name",
    .title = "LiteDFS name node",
    .usage = "-g DIR [--allow NET] [--http-port N] [--block-size BYTES] | -c FILE | -v | -h",
    .options = namenode_options,
    .config_size = sizeof (struct namenode_config),
    .log_path_offset = offsetof (struct namenode_config, log_path),
    .log_level_offset = offsetof (struct namenode_config, log_level),
    .opt_rows = opt_rows,
    .generate = generate,
    .check = check,
    .start = start,
    .stop = stop,
    .failed = failed,
};

int
main (int argc, char **argv)
{
    return daemon_main (&program, argc, argv);
}
