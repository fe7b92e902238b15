/* SPDX-License-Identifier: MIT */
/*
 * The one table of litedata's options, and the checks that take more than one of them.
 *
 * The keys of the original README come first and keep their names; manager_* are the older names of
 * name_*.  name_tcp_port may be given, as in the original, or left at 0: then the HTTP port says it.
 */

#include "datanode/config.h"

#include "base/err.h"
#include "base/listen.h"

#include <stddef.h>
#include <stdio.h>

#define AT(member) offsetof (struct datanode_config, member)
#define MIB ((int64_t) 1 << 20)
#define TIB ((int64_t) 1 << 40)

const struct option_row datanode_options[] = {
    {"log_level", NULL, OPTION_LEVEL, AT (log_level), "NOSET", 0, 0, true,
     "NOSET, DEBUG, INFO, WARNING, ERROR, CRITICAL", NULL, false},
    {"log_path", NULL, OPTION_PATH, AT (log_path), "logs", 1, 4095, false,
     "log file directory, can auto generate by litedata", "a path", false},
    {"http_host", NULL, OPTION_STRING, AT (http_host), "0.0.0.0", 1, 255, false,
     "data node's http host", "an address of this machine", false},
    {"http_port", NULL, OPTION_INT, AT (http_port), "8002", 1, 65535, false,
     "data node's http port", NULL, false},
    {"tcp_host", NULL, OPTION_STRING, AT (tcp_host), "0.0.0.0", 1, 255, false,
     "data node's tcp host", "an address of this machine", false},
    {"tcp_port", NULL, OPTION_INT, AT (tcp_port), "-1", -1, 65535, false,
     "data node's tcp port; -1: http_port + 10000, 0: choose a free one and keep it",
     "1 to 65535, 0 to choose one, -1 for http_port + 10000", false},
    {"chain_port", NULL, OPTION_INT, AT (chain_port), "-1", -1, 65535, false,
     "port for other data nodes; -1: http_port + 20000, 0: choose a free one and keep it",
     "1 to 65535, 0 to choose one, -1 for http_port + 20000", false},
    {"name_http_host", "manager_http_host", OPTION_STRING, AT (name_http_host), "127.0.0.1", 1,
     255, false, "name node's http host", "a name or an address", false},
    {"name_http_port", "manager_http_port", OPTION_INT, AT (name_http_port), "9000", 1, 65535,
     false, "name node's http port", NULL, false},
    {"name_tcp_host", "manager_tcp_host", OPTION_STRING, AT (name_tcp_host), "", 0, 0, false,
     "name node's tcp host; empty: name_http_host", NULL, false},
    {"name_tcp_port", "manager_tcp_port", OPTION_INT, AT (name_tcp_port), "0", 0, 65535, false,
     "name node's tcp port; 0: ask its http port", "1 to 65535, 0 to ask name_http_port",
     false},
    {"heartbeat_interval", NULL, OPTION_SECONDS, AT (heartbeat_interval), "1", 0, 3600, false,
     "heartbeat interval, 1 seconds", "0.1 to 3600", false},
    {"heartbeat_timeout", NULL, OPTION_SECONDS, AT (heartbeat_timeout), "30", 0, 86400, false,
     "heartbeat timeout, 30 seconds", "0.1 to 86400", false},
    {"retry_interval", NULL, OPTION_SECONDS, AT (retry_interval), "5", 0, 3600, false,
     "retry to connect name node interval, when lost connection, 5 seconds", "0.1 to 3600",
     false},
    {"data_path", NULL, OPTION_PATH, AT (data_path), "data", 1, 4095, false,
     "data node data store directory, can auto generate by litedata", "a path", false},
    {"advertise_host", NULL, OPTION_STRING, AT (advertise_host), "", 0, 0, false,
     "address at which others reach this node; empty: the one that the name node sees", NULL,
     false},
    {"zone", NULL, OPTION_STRING, AT (zone), "", 0, 0, false,
     "what fails together, as a rack or a site; empty: this host", NULL, false},
    {"allow", NULL, OPTION_LIST, AT (allow), NULL, 0, 0, true,
     "networks that may connect besides this machine, as in [192.168.1.0/24, fd00::/8]",
     "addresses and networks, as in [192.168.1.0/24, fd00::/8]", false},
    {"storage_preserve_space", NULL, OPTION_SIZE, AT (storage_preserve_space), "1073741824", 0,
     1024 * TIB, false, "with less free bytes on data_path's disk no new blocks are taken",
     NULL, false},
    {"sync", NULL, OPTION_BOOL, AT (sync), "true", 0, 0, false,
     "false: faster, and a power loss may cost blocks; for tests", NULL, false},
    {"memory_limit", NULL, OPTION_SIZE, AT (memory_limit), "50331648", 16 * MIB, TIB, false,
     "memory for bytes on their way in and out", NULL, false},
    {"write_timeout", NULL, OPTION_SECONDS, AT (write_timeout), "60", 1, 86400, false,
     "seconds after which a block that does not advance is given up", NULL, false},
    {"pipeline_timeout", NULL, OPTION_SECONDS, AT (pipeline_timeout), "5", 1, 3600, false,
     "seconds of silence after which the next node of a chain counts as failed", NULL, false},
    {"inventory_interval", NULL, OPTION_SECONDS, AT (inventory_interval), "3600", 1, 604800,
     false, "seconds between two comparisons of what is here with what the name node thinks",
     NULL, false},
    {"disk_workers", NULL, OPTION_INT, AT (disk_workers), "2", 1, 32, false,
     "threads that write blocks", NULL, false},
    {"read_workers", NULL, OPTION_INT, AT (read_workers), "2", 1, 32, false,
     "threads that read blocks", NULL, false},
    {"scrub_period", NULL, OPTION_SECONDS, AT (scrub_period), "1209600", 0, 315360000, false,
     "seconds in which every block is verified once, 14 days; 0: only when asked for",
     "0, or 1 to 315360000", false},
    {"scrub_bandwidth", NULL, OPTION_SIZE, AT (scrub_bandwidth), "8388608", 65536, TIB, false,
     "bytes a second that the verifying reads at most", NULL, false},
    {NULL, NULL, 0, 0, NULL, 0, 0, false, NULL, NULL, false},
};

/* Durations that the protocol wants to be at least 100 ms. */
static int
at_least_100_ms (const char *path, const char *key, double seconds, litedfs_error_t *error)
{
    if (seconds >= 0.1)
        return 0;
    return err_set (error, LITEDFS_CONFIG, "%s: %s: %g is too short; allowed: 0.1 and more",
                    path, key, seconds);
}

int
datanode_config_check (const char *path, struct datanode_config *config, litedfs_error_t *error)
{
    int64_t http_port = config->http_port;
    struct net_list allowed;

    if (listen_allowed (path, &config->allow, &allowed, error) < 0 ||
        listen_follow_port (path, "tcp_port", http_port, DATANODE_TCP_PORT_OFFSET,
                            &config->tcp_port, error) < 0 ||
        listen_follow_port (path, "chain_port", http_port, DATANODE_CHAIN_PORT_OFFSET,
                            &config->chain_port, error) < 0 ||
        listen_ports_differ (path, "http_port", http_port, "tcp_port", config->tcp_port,
                             error) < 0 ||
        listen_ports_differ (path, "http_port", http_port, "chain_port", config->chain_port,
                             error) < 0 ||
        listen_ports_differ (path, "tcp_port", config->tcp_port, "chain_port",
                             config->chain_port, error) < 0 ||
        at_least_100_ms (path, "heartbeat_interval", config->heartbeat_interval, error) < 0 ||
        at_least_100_ms (path, "retry_interval", config->retry_interval, error) < 0)
        return LITEDFS_CONFIG;
    if (config->scrub_period != 0 && config->scrub_period < 1)
        return err_set (error, LITEDFS_CONFIG,
                        "%s: scrub_period: %g is too short; allowed: 0, and 1 and more", path,
                        config->scrub_period);
    if (config->heartbeat_timeout <= config->heartbeat_interval)
        return err_set (error, LITEDFS_CONFIG,
                        "%s: heartbeat_timeout: %g is not more than heartbeat_interval, %g",
                        path, config->heartbeat_timeout, config->heartbeat_interval);
    return 0;
}

int
datanode_config_generate (struct datanode_config *config, const char *allow,
                          const char *http_port, const char *name_node, struct arena *arena,
                          litedfs_error_t *error)
{
    char host[NET_HOST_SIZE];
    char port_text[16];
    int port;

    if ((allow != NULL &&
         conf_set (datanode_options, config, "allow", allow, arena, error) < 0) ||
        (http_port != NULL &&
         conf_set (datanode_options, config, "http_port", http_port, arena, error) < 0))
        return error->number;
    if (name_node == NULL)
        return 0;
    if (net_split_host_port (name_node, (int) config->name_http_port, host, &port, error) < 0)
        return err_set (error, LITEDFS_USAGE, "--name-node %s: HOST or HOST:PORT is wanted",
                        name_node);
    snprintf (port_text, sizeof port_text, "%d", port);
    if (conf_set (datanode_options, config, "name_http_host", host, arena, error) < 0 ||
        conf_set (datanode_options, config, "name_http_port", port_text, arena, error) < 0)
        return error->number;
    return 0;
}
