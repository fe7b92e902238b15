/* SPDX-License-Identifier: MIT */
/*
 * Several daemons as one.  What a daemon is, is said by base/daemon and the two services; here is only
 * what they have to do with each other: the order in which they start and stop, the ZAP handler, of which
 * a process can have one, and that the data nodes ask this name node.
 *
 * Each has its own configuration and its own log, as if it were a process of its own; only what they
 * have in common is shared: the process's limits, ZeroMQ's threads, and the fate.  When one ends by
 * itself, all do.
 */
#include "cluster/cluster.h"

#include "base/err.h"
#include "base/net.h"
#include "datanode/config.h"
#include "datanode/service.h"
#include "namenode/config.h"
#include "namenode/service.h"
#include "rpc/zap.h"

#include <inttypes.h>
#include <string.h>

/* How long the name node has to say how many data nodes are online. */
#define ASK_MS 2000

/* Load part after part.  The name node's HTTP port says what the others' configuration is to be. */
static int
load (struct cluster *self, size_t part, litedfs_error_t *error)
{
    self->loaded = part + 1;
    return daemon_load (&self->daemons[part], part == 0 ? &namenode_service : &datanode_service,
                        self->layout.parts[part].config_path, error);
}

static const struct namenode_config *
name_config (const struct cluster *self)
{
    return self->daemons[0].config;
}

/* The port that the configuration has, if there is one, else the one that is asked for. */
static int
settle_port (struct cluster *self, int http_port, int *out, litedfs_error_t *error)
{
    *out = http_port ? http_port : LAYOUT_HTTP_PORT_DEFAULT;
    if (!self->layout.parts[0].exists)
        return 0;
    int rc = load (self, 0, error);
    if (rc < 0)
        return rc;
    *out = (int) name_config (self)->http_port;
    if (http_port && http_port != *out)
        return err_set (
            error, LITEDFS_USAGE,
            "-p %d: %s has http_port %d, and a configuration is never overwritten; leave -p "
            "out, or change it and name_http_port of the data nodes",
            http_port, self->layout.parts[0].config_path, *out);
    return 0;
}

static int
check_name_node (const struct cluster *self, size_t part, litedfs_error_t *error)
{
    const struct datanode_config *config = self->daemons[part].config;
    int64_t port = name_config (self)->http_port;

    if (config->name_http_port == port)
        return 0;
    return err_set (error, LITEDFS_CONFIG,
                    "%s: name_http_port: %" PRId64 " is not that of this cluster's name node; "
                    "allowed: %" PRId64,
                    self->layout.parts[part].config_path, config->name_http_port, port);
}

/* Where a client of this machine reaches the name node. */
static void
write_address (struct cluster *self)
{
    const char *host = name_config (self)->http_host;

    net_join_host_port (net_is_any (host) || net_is_loopback (host) ? "localhost" : host,
                        (int) name_config (self)->http_port, self->address,
                        sizeof self->address);
}

int
cluster_open (struct cluster *self, const char *directory, size_t nodes, int http_port,
              litedfs_error_t *error)
{
    int rc = layout_look (&self->layout, directory, nodes, error);

    if (rc == 0)
        rc = settle_port (self, http_port, &http_port, error);
    if (rc == 0)
        rc = layout_make (&self->layout, http_port, error);
    for (size_t part = self->loaded; rc == 0 && part <= self->layout.nodes; part++)
        rc = load (self, part, error);
    for (size_t part = 1; rc == 0 && part <= self->layout.nodes; part++)
        rc = check_name_node (self, part, error);
    if (rc < 0)
        return rc;
    for (size_t part = 0; part <= self->layout.nodes; part++)
        self->made += !self->layout.parts[part].exists;
    write_address (self);
    return 0;
}

int
cluster_start (struct cluster *self, litedfs_error_t *error)
{
    int rc = 0;

    for (size_t part = 0; rc == 0 && part < self->loaded; part++)
        rc = daemon_open_log (&self->daemons[part], false, error);
    if (rc == 0)
        rc = zap_start (&self->zap, self->daemons[0].log, self->daemons[0].clock, error);
    for (size_t part = 0; rc == 0 && part < self->loaded; part++) {
        self->daemons[part].zap = self->zap;
        rc = daemon_start (&self->daemons[part], error);
        if (rc < 0) {
            log_critical (self->daemons[part].log, "%s", error->text);
            err_prefix (error, "%s", self->layout.parts[part].directory);
        }
    }
    return rc;
}

bool
cluster_is_complete (const struct cluster *self)
{
    const litedfs_options_t options = {.connect_timeout_ms = ASK_MS,
                                       .request_timeout_ms = ASK_MS};
    litedfs_t *session;
    litedfs_cluster_t seen;

    if (litedfs_open (&session, self->address, &options, NULL) < 0)
        return false;
    bool complete = litedfs_cluster (session, &seen, NULL) == 0;
    if (complete) {
        complete = seen.online_count >= self->layout.nodes;
        litedfs_cluster_free (&seen);
    }
    litedfs_close (&session);
    return complete;
}

void
cluster_stop (struct cluster *self)
{
    for (size_t part = self->loaded; part > 0; part--)
        daemon_stop (&self->daemons[part - 1]);
    zap_stop (&self->zap);
}

void
cluster_close (struct cluster *self)
{
    for (size_t part = 0; part < self->loaded; part++)
        daemon_close (&self->daemons[part]);
    layout_free (&self->layout);
}
