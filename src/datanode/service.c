/* SPDX-License-Identifier: MIT */
/*
 * What has to be started, in which order, and stopped in the opposite one.  The data node says itself
 * who may connect, before it binds.
 */
#include "datanode/service.h"

#include "base/err.h"
#include "datanode/config.h"
#include "datanode/datanode.h"
#include "rpc/zap.h"
#include "web/web.h"

#include <stddef.h>
#include <stdlib.h>

struct service {
    struct zap *own_zap; // NULL if the process has one for all
    struct datanode *node;
    struct web *web;
};

static int
check (const char *path, void *config, litedfs_error_t *error)
{
    return datanode_config_check (path, config, error);
}

static void
stop (void **service)
{
    struct service *self = *service;

    web_stop (&self->web);
    datanode_stop (&self->node);
    zap_stop (&self->own_zap);
    free (self);
    *service = NULL;
}

static int
start_node (struct daemon *daemon, struct service *self, struct zap *zap,
            litedfs_error_t *error)
{
    const struct datanode_options options = {
        .config = daemon->config,
        .config_path = daemon->config_path,
        .version = PACKAGE_VERSION,
        .zap = zap,
        .log = daemon->log,
        .clock = daemon->clock,
    };

    return datanode_start (&self->node, &options, error);
}

static void
measure (void *node)
{
    datanode_measure (node);
}

static int
start_web (struct daemon *daemon, struct service *self, struct zap *zap, litedfs_error_t *error)
{
    const struct datanode_config *config = daemon->config;
    const struct web_options options = {
        .greeting = "LiteDFS data service",
        .host = config->http_host,
        .port = (int) config->http_port,
        .zap = zap,
        .domain = datanode_domain (self->node),
        .allow_file = daemon->config_path,
        .metrics = datanode_metrics (self->node),
        .measure = measure,
        .context = self->node,
        .log = daemon->log,
        .clock = daemon->clock,
    };

    return web_start (&self->web, &options, error);
}

static int
start (struct daemon *daemon, void **service, litedfs_error_t *error)
{
    struct service *self = calloc (1, sizeof *self);
    struct zap *zap = daemon->zap;
    int rc = 0;

    if (!self)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    if (!zap) {
        rc = zap_start (&self->own_zap, daemon->log, daemon->clock, error);
        zap = self->own_zap;
    }
    if (rc == 0)
        rc = start_node (daemon, self, zap, error);
    if (rc == 0)
        rc = start_web (daemon, self, zap, error);
    *service = self;
    if (rc < 0)
        stop (service);
    return rc;
}

static void
reload (struct daemon *daemon, void *service)
{
    struct service *self = service;
    litedfs_error_t error;

    if (datanode_allow (self->node, &error) < 0)
        log_error (daemon->log, "allow stays as it was: %s", error.text);
}

static bool
failed (void *service, litedfs_error_t *why)
{
    const struct service *self = service;

    return datanode_failed (self->node, why) || web_ended (self->web);
}

const struct daemon_program datanode_service = {
    .name = "litedata",
    .service = "litedfs-data",
    .title = "LiteDFS data node",
    .options = datanode_options,
    .config_size = sizeof (struct datanode_config),
    .log_path_offset = offsetof (struct datanode_config, log_path),
    .log_level_offset = offsetof (struct datanode_config, log_level),
    .check = check,
    .start = start,
    .stop = stop,
    .reload = reload,
    .failed = failed,
};
