/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_DATANODE_CONFIG_H
#define LITEDFS_DATANODE_CONFIG_H

/*
 * The configuration of a data node: the keys of litedata.yml(5), once, and what follows from them.
 */

#include "base/conf.h"
#include "base/net.h"

/* Ports that are not set are this much above http_port. */
#define DATANODE_TCP_PORT_OFFSET 10000
#define DATANODE_CHAIN_PORT_OFFSET 20000

/* Every member is a key of the same name; units are those of the file unless the name says another.
 * Texts belong to the arena that the options were read into. */
struct datanode_config {
    enum log_level log_level;
    char *log_path;
    char *http_host;
    int64_t http_port;
    char *tcp_host;
    int64_t tcp_port;   // LISTEN_PORT_FOLLOWS until checked; 0: choose one and keep it
    int64_t chain_port; // the same
    char *name_http_host;
    int64_t name_http_port;
    char *name_tcp_host;   // "": the host of name_http_host
    int64_t name_tcp_port; // 0: ask name_http_port
    double heartbeat_interval;
    double heartbeat_timeout;
    double retry_interval;
    char *data_path;
    char *advertise_host;
    char *zone;
    struct option_list allow;
    int64_t storage_preserve_space;
    bool sync;
    int64_t memory_limit;
    double write_timeout;
    double pipeline_timeout;
    double inventory_interval;
    int64_t disk_workers;
    int64_t read_workers;
    double scrub_period; // 0: only when asked for
    int64_t scrub_bandwidth;
};

extern const struct option_row datanode_options[];

/* Set the ports that follow from http_port, and check what no single key can: that ports fit and
 * differ, that the heartbeat's timeout is longer than its interval, that `allow` can be read.  path is
 * the file's, for the text.  LITEDFS_CONFIG with one line. */
int datanode_config_check (const char *path, struct datanode_config *config,
                           litedfs_error_t *error);

/* Take what `-g` was told over into a configuration of defaults; each may be NULL: networks, the HTTP
 * port, and the name node as HOST or HOST:HTTP_PORT.  LITEDFS_CONFIG, LITEDFS_USAGE with one line. */
int datanode_config_generate (struct datanode_config *config, const char *allow,
                              const char *http_port, const char *name_node, struct arena *arena,
                              litedfs_error_t *error);

#endif
