/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_NAMENODE_CONFIG_H
#define LITEDFS_NAMENODE_CONFIG_H

/*
 * The configuration of litename: the struct, the one table that says everything about its keys, and
 * the checks that concern more than one key.
 */

#include "base/conf.h"
#include "litedfs.h"

/* tcp_port is this much above http_port unless the configuration sets it. */
#define NAMENODE_TCP_PORT_OFFSET 10000

/* Sizes of blocks are multiples of this, in bytes: chunks and checksummed units are. */
#define NAMENODE_BLOCK_UNIT 65536

struct namenode_config {
    enum log_level log_level;
    char *log_path;
    char *http_host;
    int64_t http_port;
    char *tcp_host;
    int64_t tcp_port; // 0: choose one and remember it; LISTEN_PORT_FOLLOWS until checked
    int64_t block_size;
    char *data_path;
    struct option_list allow;
    bool sync;
    int64_t map_size;
    int64_t ballast_size;
    int64_t storage_preserve_space;
    double delete_delay;
    double repair_delay;
    int64_t repair_streams;
    int64_t repair_bandwidth;
    double backup_interval;
    char *backup_path; // empty: in data_path
    int64_t backup_keep;
    int64_t backup_bandwidth;
    double quarantine_grace;
    double repair_walk_interval;
    int64_t balance_threshold;
};

/* The table of its keys, for base/conf and for what prints or compares it. */
extern const struct option_row namenode_options[];

/* Check what concerns more than one key, and derive tcp_port.  path is for the text.  LITEDFS_CONFIG
 * "FILE: KEY: what is wrong; allowed: ...". */
int namenode_config_check (const char *path, struct namenode_config *config,
                           litedfs_error_t *error);

#endif
