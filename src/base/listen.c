/* SPDX-License-Identifier: MIT */
/*
 * Checks of the configuration that concern ports and networks; the same for every daemon.
 */
#include "base/listen.h"

#include "base/err.h"

#include <inttypes.h>

#define PORT_MAX 65535

int
listen_follow_port (const char *path, const char *key, int64_t http_port, int64_t offset,
                    int64_t *port, litedfs_error_t *error)
{
    if (*port != LISTEN_PORT_FOLLOWS)
        return 0;
    if (http_port + offset > PORT_MAX)
        return err_set (error, LITEDFS_CONFIG,
                        "%s: %s: it is http_port + %" PRId64 " unless set, and that is %" PRId64
                        "; allowed: up to 65535, set %s or a lower http_port",
                        path, key, offset, http_port + offset, key);
    *port = http_port + offset;
    return 0;
}

int
listen_ports_differ (const char *path, const char *key_a, int64_t a, const char *key_b,
                     int64_t b, litedfs_error_t *error)
{
    if (a == 0 || a != b)
        return 0;
    return err_set (error, LITEDFS_CONFIG,
                    "%s: %s: %" PRId64 " is %s already; allowed: another port", path, key_b, b,
                    key_a);
}

int
listen_allowed (const char *path, const struct option_list *allow, struct net_list *out,
                litedfs_error_t *error)
{
    litedfs_error_t reason;

    *out = (struct net_list){0};
    net_list_add_loopback (out);
    for (size_t i = 0; i < allow->count; i++)
        if (net_list_add (out, allow->items[i], &reason) < 0)
            return err_set (error, LITEDFS_CONFIG, "%s: allow: %s", path, reason.text);
    return 0;
}
