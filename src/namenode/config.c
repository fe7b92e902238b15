/* SPDX-License-Identifier: MIT */
/*
 * The option table of litename.  The first eight keys are those of the original, in its order and
 * with its comments; the others are ours.  What one key may be is in its row; what keys mean to each
 * other is in namenode_config_check.
 */
#include "namenode/config.h"

#include "base/err.h"
#include "base/listen.h"
#include "namenode/copies.h"

#include <inttypes.h>
#include <stddef.h>

#define AT(member) offsetof (struct namenode_config, member)
#define KIB ((int64_t) 1 << 10)
#define MIB ((int64_t) 1 << 20)
#define GIB ((int64_t) 1 << 30)

/* Address space, not memory; on a 32-bit machine that is short. */
#if SIZE_MAX > UINT32_MAX
#define MAP_SIZE_DEFAULT "68719476736"
#define MAP_SIZE_MAX (16384 * GIB)
#else
#define MAP_SIZE_DEFAULT "1073741824"
#define MAP_SIZE_MAX (2 * GIB - MIB)
#endif

/* The aliases are NULL throughout: the original knew each of its keys by one name. */
const struct option_row namenode_options[] = {
    {"log_level", NULL, OPTION_LEVEL, AT (log_level), "NOSET", 0, 0, true,
     "NOSET, DEBUG, INFO, WARNING, ERROR, CRITICAL", NULL, false},
    {"log_path", NULL, OPTION_PATH, AT (log_path), "logs", 1, 4095, false,
     "log file directory, can auto generate by litename", "a path", false},
    {"http_host", NULL, OPTION_STRING, AT (http_host), "0.0.0.0", 1, 255, false,
     "name node's http host", "an address of this machine", false},
    {"http_port", NULL, OPTION_INT, AT (http_port), "9000", 1, 65535, false,
     "name node's http port", NULL, false},
    {"tcp_host", NULL, OPTION_STRING, AT (tcp_host), "0.0.0.0", 1, 255, false,
     "name node's tcp host", "an address of this machine", false},
    {"tcp_port", NULL, OPTION_INT, AT (tcp_port), "-1", -1, 65535, false,
     "name node's tcp port; -1: http_port + 10000, 0: choose a free one and keep it",
     "1 to 65535, 0 to choose one, -1 for http_port + 10000", false},
    {"block_size", NULL, OPTION_SIZE, AT (block_size), "67108864", 64 * KIB, 4 * GIB, false,
     "file block size", "64 KiB to 4 GiB in steps of 64 KiB", false},
    {"data_path", NULL, OPTION_PATH, AT (data_path), "data", 1, 4095, false,
     "name node data store directory, can auto generate by litename", "a path", false},
    {"allow", NULL, OPTION_LIST, AT (allow), NULL, 0, 0, true,
     "networks that may connect besides this machine, as in [192.168.1.0/24, fd00::/8]",
     "addresses and networks, as in [192.168.1.0/24, fd00::/8]", false},
    {"sync", NULL, OPTION_BOOL, AT (sync), "true", 0, 0, false,
     "false: faster, and a power loss may cost all metadata; for tests", NULL, false},
    {"map_size", NULL, OPTION_SIZE, AT (map_size), MAP_SIZE_DEFAULT, 1 * MIB, MAP_SIZE_MAX,
     false, "address space for the metadata in bytes; it grows by itself", NULL, false},
    {"ballast_size", NULL, OPTION_SIZE, AT (ballast_size), "16777216", 0, 1 * GIB, false,
     "a file that is given up on a full disk, so that deletes still work; 0: none", NULL,
     false},
    {"storage_preserve_space", NULL, OPTION_SIZE, AT (storage_preserve_space), "67108864", 0,
     1024 * GIB, false,
     "with less free bytes on data_path's disk nothing new is taken; deletes and commits are",
     NULL, false},
    {"delete_delay", NULL, OPTION_SECONDS, AT (delete_delay), "60", 0, 86400, false,
     "seconds for which readers may still have the blocks of a deleted file", NULL, false},
    {"repair_delay", NULL, OPTION_SECONDS, AT (repair_delay), "60", 0, 86400, false,
     "seconds after which the copies of a data node that is offline are made elsewhere", NULL,
     false},
    {"repair_streams", NULL, OPTION_INT, AT (repair_streams), "64", 1, COPIES_NODE_MAX, false,
     "copies that a data node sends, or takes, at a time to restore redundancy", NULL, false},
    {"repair_bandwidth", NULL, OPTION_SIZE, AT (repair_bandwidth), "0", 0, 1024 * GIB, false,
     "bytes a second that a data node sends, or takes, for that; 0: no limit", NULL, false},
    {"backup_interval", NULL, OPTION_SECONDS, AT (backup_interval), "21600", 0, 31536000, false,
     "seconds between two copies of the metadata that are made by themselves; 0: none", NULL,
     false},
    {"backup_path", NULL, OPTION_PATH, AT (backup_path), "", 0, 0, false,
     "directory of these copies, best on another disk; empty: backup in data_path", NULL,
     false},
    {"backup_keep", NULL, OPTION_INT, AT (backup_keep), "3", 1, 1000, false,
     "how many of these copies are kept", NULL, false},
    {"backup_bandwidth", NULL, OPTION_SIZE, AT (backup_bandwidth), "33554432", 64 * KIB,
     64 * GIB, false, "bytes a second at which copies of the metadata are written, at most",
     NULL, false},
    {"quarantine_grace", NULL, OPTION_SECONDS, AT (quarantine_grace), "86400", 0, 31536000,
     false, "seconds for which data nodes keep blocks that the metadata do not know", NULL,
     false},
    {"repair_walk_interval", NULL, OPTION_SECONDS, AT (repair_walk_interval), "10", 0, 86400,
     false, "seconds between two walks over all blocks for what nobody has told of", NULL,
     false},
    {"balance_threshold", NULL, OPTION_INT, AT (balance_threshold), "10", 0, 100, false,
     "points by which the use of two data nodes may differ before blocks move; 0: never", NULL,
     false},
    {NULL, NULL, 0, 0, NULL, 0, 0, false, NULL, NULL, false},
};

int
namenode_config_check (const char *path, struct namenode_config *config, litedfs_error_t *error)
{
    struct net_list allowed;

    if (config->block_size % NAMENODE_BLOCK_UNIT != 0)
        return err_set (error, LITEDFS_CONFIG,
                        "%s: block_size: %" PRId64 " is not a multiple of 65536; allowed: "
                        "64 KiB to 4 GiB in steps of 64 KiB",
                        path, config->block_size);
    if (listen_allowed (path, &config->allow, &allowed, error) < 0 ||
        listen_follow_port (path, "tcp_port", config->http_port, NAMENODE_TCP_PORT_OFFSET,
                            &config->tcp_port, error) < 0 ||
        listen_ports_differ (path, "http_port", config->http_port, "tcp_port", config->tcp_port,
                             error) < 0)
        return LITEDFS_CONFIG;
    return 0;
}
