/* SPDX-License-Identifier: MIT */
/*
 * What has to be started, in which order, and stopped in the opposite one: who may connect is known
 * before anything is bound, and HTTP comes last, because it tells others that we serve.
 */
#include "namenode/service.h"

#include "base/err.h"
#include "base/listen.h"
#include "namenode/backups.h"
#include "namenode/config.h"
#include "namenode/namenode.h"
#include "rpc/zap.h"
#include "web/web.h"

#include <stddef.h>
#include <stdlib.h>

struct service {
    struct zap *own_zap; // NULL if the process has one for all
    struct zap *zap;
    struct namenode *namenode;
    struct web *web;
    struct backups *backups; // NULL if none are wanted
};

static int
check (const char *path, void *config, litedfs_error_t *error)
{
    return namenode_config_check (path, config, error);
}

static void
stop (void **service)
{
    struct service *self = *service;

    backups_destroy (&self->backups);
    web_stop (&self->web);
    namenode_stop (&self->namenode);
    zap_stop (&self->own_zap);
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
        .metrics = namenode_metrics (self->namenode),
        .log = daemon->log,
        .clock = daemon->clock,
    };

    return web_start (&self->web, &options, error);
}

/* Have copies of the metadata made from now on. */
static int
start_backups (struct daemon *daemon, struct service *self, litedfs_error_t *error)
{
    const struct namenode_config *config = daemon->config;
    struct buf program = {0}, made = {0}, directory = {0};

    if (config->backup_interval == 0)
        return 0;
    buf_printf (&made, "%s/VERSION", config->data_path);
    if (config->backup_path[0])
        buf_printf (&directory, "%s", config->backup_path);
    else
        buf_printf (&directory, "%s/backup", config->data_path);
    int rc = daemon_program_path ("litename", &program, error);
    if (rc == 0 && (made.failed || directory.failed))
        rc = err_set (error, LITEDFS_MEMORY, "out of memory");
    const struct backups_options options = {
        .program = buf_text (&program),
        .config_path = daemon->config_path,
        .made = buf_text (&made),
        .directory = buf_text (&directory),
        .interval_ms = (int64_t) (config->backup_interval * 1000) + 1,
        .keep = (size_t) config->backup_keep,
        .log = daemon->log,
        .clock = daemon->clock,
    };
    if (rc == 0)
        rc = backups_new (&self->backups, &options, error);
    buf_free (&program);
    buf_free (&made);
    buf_free (&directory);
    return rc;
}

/* Say who may connect from now on. */
static int
allow (struct daemon *daemon, struct service *self, litedfs_error_t *error)
{
    const struct namenode_config *config = daemon->config;
    struct net_list allowed;
    struct buf who = {0};

    int rc = listen_allowed (daemon->config_path, &config->allow, &allowed, error);
    if (rc == 0)
        rc = zap_allow (self->zap, NAMENODE_DOMAIN, &allowed, daemon->config_path, error);
    if (rc < 0)
        return rc;
    net_list_print (&allowed, &who);
    log_info (daemon->log, "who may connect: %s (allow: in %s)", buf_text (&who),
              daemon->config_path);
    buf_free (&who);
    return 0;
}

static int
start (struct daemon *daemon, void **service, litedfs_error_t *error)
{
    const struct namenode_config *config = daemon->config;
    struct service *self = calloc (1, sizeof *self);
    int rc = 0;

    if (!self)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    if (!daemon->zap)
        rc = zap_start (&self->own_zap, daemon->log, daemon->clock, error);
    self->zap = daemon->zap ? daemon->zap : self->own_zap;
    if (rc == 0)
        rc = allow (daemon, self, error);
    if (rc == 0)
        rc = namenode_start (&self->namenode, config, daemon->log, daemon->clock, error);
    if (rc == 0)
        rc = start_web (daemon, self, error);
    if (rc == 0)
        rc = start_backups (daemon, self, error);
    *service = self;
    if (rc < 0) {
        stop (service);
        return rc;
    }
    log_info (daemon->log, "HTTP on %s port %d, requests on %s port %d, data in %s",
              config->http_host, (int) config->http_port, config->tcp_host,
              namenode_port (self->namenode), config->data_path);
    return 0;
}

static void
tick (void *service)
{
    struct service *self = service;

    if (self->backups)
        backups_tick (self->backups);
}

static void
reload (struct daemon *daemon, void *service)
{
    litedfs_error_t error;

    if (allow (daemon, service, &error) < 0)
        log_error (daemon->log, "allow stays as it was: %s", error.text);
}

static bool
failed (void *service, litedfs_error_t *why)
{
    struct service *self = service;
    (void) why;

    return namenode_ended (self->namenode) || web_ended (self->web);
}

const struct daemon_program namenode_service = {
    .name = "litename",
    .service = "litedfs-name",
    .title = "LiteDFS name node",
    .options = namenode_options,
    .config_size = sizeof (struct namenode_config),
    .log_path_offset = offsetof (struct namenode_config, log_path),
    .log_level_offset = offsetof (struct namenode_config, log_level),
    .check = check,
    .start = start,
    .stop = stop,
    .tick = tick,
    .reload = reload,
    .failed = failed,
};
