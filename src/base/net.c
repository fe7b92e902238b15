/* SPDX-License-Identifier: MIT */
/*
 * Networks, addresses and host:port.
 *
 * Everything numeric goes through inet_pton, which knows one form of an IPv4 address and not
 * the old ones (10.1, 012.0.0.1, 0x7f000001).  What cannot be read matches nothing: who may
 * come in is decided with these lists.
 */
#include "base/net.h"

#include "base/err.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PREFIX_MAX_4 32
#define PREFIX_MAX_6 128

// ::ffff:0:0/96 holds the IPv4 addresses.
#define MAPPED_BITS 96

static bool
is_mapped (const uint8_t address[16])
{
    static const uint8_t head[MAPPED_BITS / 8] = {[10] = 0xff, [11] = 0xff};
    return memcmp (address, head, sizeof head) == 0;
}

static unsigned
prefix_max (const struct net *self)
{
    return self->ipv6 ? PREFIX_MAX_6 : PREFIX_MAX_4;
}

// Read a numeric address as a network of one, IPv6 as it stands.
static bool
read_address (struct net *out, const char *text)
{
    struct net net = {.ipv6 = strchr (text, ':') != NULL};
    if (inet_pton (net.ipv6 ? AF_INET6 : AF_INET, text, net.address) != 1)
        return false;
    net.prefix = (uint8_t) prefix_max (&net);
    *out = net;
    return true;
}

// Make an IPv4-mapped network the IPv4 one that it is.
static void
unmap (struct net *self)
{
    if (!self->ipv6 || self->prefix < MAPPED_BITS || !is_mapped (self->address))
        return;
    memmove (self->address, self->address + 12, 4);
    memset (self->address + 4, 0, 12);
    self->prefix = (uint8_t) (self->prefix - MAPPED_BITS);
    self->ipv6 = false;
}

// Clear the bits after the prefix; returns whether one was set.
static bool
mask (struct net *self)
{
    bool was_set = false;
    for (unsigned bit = self->prefix; bit < prefix_max (self); bit++) {
        uint8_t one = (uint8_t) (0x80 >> bit % 8);
        was_set |= (self->address[bit / 8] & one) != 0;
        self->address[bit / 8] &= (uint8_t) ~one;
    }
    return was_set;
}

static int
refuse (litedfs_error_t *error, const char *text, const char *why)
{
    char shown[NET_TEXT_SIZE];
    return err_set (error, LITEDFS_INVALID, "network[%s]: %s",
                    text_escape (text, strlen (text), shown, sizeof shown), why);
}

int
net_parse (struct net *out, const char *text, litedfs_error_t *error)
{
    const char *slash = strchr (text, '/');
    size_t size = slash ? (size_t) (slash - text) : strlen (text);
    char address[NET_ADDRESS_SIZE];
    struct net net;

    if (size >= sizeof address)
        return refuse (error, text, "it is too long for an address");
    memcpy (address, text, size);
    address[size] = 0;
    if (!read_address (&net, address))
        return refuse (error, text,
                       "it is not an address such as 10.0.0.7, 10.0.0.0/8 or fd00::/8");

    if (slash) {
        int64_t prefix;
        if (!text_parse_int (slash + 1, 0, prefix_max (&net), &prefix))
            return refuse (error, text,
                           net.ipv6 ? "after the slash belongs a number from 0 to 128"
                                    : "after the slash belongs a number from 0 to 32");
        net.prefix = (uint8_t) prefix;
    }
    unmap (&net);

    if (mask (&net)) {
        char meant[NET_TEXT_SIZE + 64];
        char masked[NET_TEXT_SIZE];
        snprintf (meant, sizeof meant, "bits are set after the prefix; did you mean %s?",
                  net_print (&net, masked));
        return refuse (error, text, meant);
    }
    *out = net;
    return 0;
}

char *
net_print (const struct net *self, char out[NET_TEXT_SIZE])
{
    char address[NET_ADDRESS_SIZE] = "";
    inet_ntop (self->ipv6 ? AF_INET6 : AF_INET, self->address, address, sizeof address);
    if (self->prefix == prefix_max (self))
        snprintf (out, NET_TEXT_SIZE, "%s", address);
    else
        snprintf (out, NET_TEXT_SIZE, "%s/%u", address, self->prefix);
    return out;
}

static bool
net_equal (const struct net *a, const struct net *b)
{
    return a->ipv6 == b->ipv6 && a->prefix == b->prefix &&
           memcmp (a->address, b->address, sizeof a->address) == 0;
}

// Add one network; false if the list is full.
static bool
add (struct net_list *self, const struct net *net)
{
    for (size_t i = 0; i < self->count; i++)
        if (net_equal (&self->items[i], net))
            return true;
    if (self->count == NET_LIST_MAX)
        return false;
    self->items[self->count++] = *net;
    return true;
}

int
net_list_add (struct net_list *self, const char *text, litedfs_error_t *error)
{
    size_t count = self->count;
    int rc = 0;

    for (const char *at = text; rc == 0 && at;) {
        at += strspn (at, " \t");
        size_t size = strcspn (at, ",");
        const char *next = at[size] ? at + size + 1 : NULL;
        while (size > 0 && strchr (" \t", at[size - 1]))
            size--;

        char item[2 * NET_TEXT_SIZE];
        struct net net;
        snprintf (item, sizeof item, "%.*s", (int) (size < sizeof item ? size : sizeof item),
                  at);
        rc = net_parse (&net, item, error);
        if (rc == 0 && !add (self, &net))
            rc = refuse (error, item, "the list is full");
        at = next;
    }
    if (rc < 0)
        self->count = count;
    return rc;
}

void
net_list_add_loopback (struct net_list *self)
{
    static const struct net ipv4 = {.address = {127}, .prefix = 8};
    static const struct net ipv6 = {.address = {[15] = 1}, .prefix = 128, .ipv6 = true};
    add (self, &ipv4);
    add (self, &ipv6);
}

// Read an address of a peer, which may name the interface that it came by.
static bool
read_peer (struct net *out, const char *text)
{
    char address[NET_ADDRESS_SIZE];
    size_t size = strcspn (text, "%");

    if (size >= sizeof address)
        return false;
    memcpy (address, text, size);
    address[size] = 0;
    if (!read_address (out, address))
        return false;
    unmap (out);
    return true;
}

static bool
contains (const struct net *self, const struct net *address)
{
    struct net masked = *address; // of the other family it stays unequal
    masked.prefix = self->prefix;
    mask (&masked);
    return net_equal (self, &masked);
}

bool
net_list_matches (const struct net_list *self, const char *address)
{
    struct net peer;
    if (!read_peer (&peer, address))
        return false;
    for (size_t i = 0; i < self->count; i++)
        if (contains (&self->items[i], &peer))
            return true;
    return false;
}

void
net_list_print (const struct net_list *self, struct buf *out)
{
    char text[NET_TEXT_SIZE];

    if (self->count == 0)
        buf_printf (out, "nobody");
    for (size_t i = 0; i < self->count; i++)
        buf_printf (out, "%s%s", i > 0 ? ", " : "", net_print (&self->items[i], text));
}

bool
net_is_loopback (const char *address)
{
    struct net_list loopback = {.count = 0};
    net_list_add_loopback (&loopback);
    return net_list_matches (&loopback, address);
}

bool
net_is_any (const char *address)
{
    static const uint8_t zeros[16];
    struct net net;
    return read_peer (&net, address) && memcmp (net.address, zeros, sizeof zeros) == 0;
}

/* Add the addresses of one family; the resolver has sorted them, and may name one twice. */
static int
add_family (const struct addrinfo *found, int family, char (*out)[NET_ADDRESS_SIZE], size_t max,
            size_t *count)
{
    for (; found && *count < max; found = found->ai_next) {
        if (found->ai_family != family)
            continue;
        int rc = getnameinfo (found->ai_addr, found->ai_addrlen, out[*count], NET_ADDRESS_SIZE,
                              NULL, 0, NI_NUMERICHOST);
        if (rc)
            return rc;
        bool known = false;
        for (size_t i = 0; i < *count; i++)
            known = known || strcmp (out[i], out[*count]) == 0;
        *count += !known;
    }
    return 0;
}

int
net_resolve_all (const char *host, char (*out)[NET_ADDRESS_SIZE], size_t max, size_t *count,
                 litedfs_error_t *error)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char shown[NET_HOST_SIZE];

    *count = 0;
    text_escape (host, strlen (host), shown, sizeof shown);
    int rc = host[0] ? getaddrinfo (host, NULL, &hints, &found) : EAI_NONAME;
    if (rc == 0) {
        rc = add_family (found, AF_INET, out, max, count);
        if (rc == 0)
            rc = add_family (found, AF_INET6, out, max, count);
        freeaddrinfo (found);
    }
    if (rc == 0 && *count == 0)
        rc = EAI_NONAME;
    if (rc == EAI_MEMORY)
        return err_set (error, LITEDFS_MEMORY, "host[%s]: no memory", shown);
    if (rc == EAI_SYSTEM)
        return err_set_errno (error, LITEDFS_UNREACHABLE, errno, "host[%s]", shown);
    if (rc)
        return err_set (error, LITEDFS_UNREACHABLE, "host[%s]: %s", shown, gai_strerror (rc));
    return 0;
}

int
net_resolve (const char *host, char out[NET_ADDRESS_SIZE], litedfs_error_t *error)
{
    char all[1][NET_ADDRESS_SIZE];
    size_t count;

    int rc = net_resolve_all (host, all, 1, &count, error);
    if (rc == 0)
        memcpy (out, all[0], NET_ADDRESS_SIZE);
    return rc;
}

int
net_split_host_port (const char *text, int default_port, char out_host[NET_HOST_SIZE],
                     int *out_port, litedfs_error_t *error)
{
    const char *host = text;
    const char *port = NULL; // after the colon, if there is one
    size_t size = strlen (text);
    const char *colon = strchr (text, ':');
    const char *close = text[0] == '[' ? strchr (text, ']') : NULL;
    bool good = true;

    if (text[0] == '[') {
        good = close && (close[1] == 0 || close[1] == ':');
        host = text + 1;
        size = close ? (size_t) (close - host) : 0;
        port = good && close[1] ? close + 2 : NULL;
    } else if (colon &&
               !strchr (colon + 1, ':')) { // two colons are an IPv6 address without port
        size = (size_t) (colon - text);
        port = colon + 1;
    }

    char shown[NET_HOST_SIZE];
    text_escape (text, strlen (text), shown, sizeof shown);
    if (!good || size == 0 || size >= NET_HOST_SIZE || memchr (host, '/', size))
        return err_set (
            error, LITEDFS_INVALID,
            "address[%s]: it is not host:port, such as localhost:9000 or [::1]:9000", shown);
    int64_t number = default_port;
    if (port ? !text_parse_int (port, 1, 65535, &number) : default_port == 0)
        return err_set (error, LITEDFS_INVALID,
                        port ? "address[%s]: the port is not a number from 1 to 65535"
                             : "address[%s]: the port is missing; write host:port",
                        shown);
    memcpy (out_host, host, size);
    out_host[size] = 0;
    *out_port = (int) number;
    return 0;
}

char *
net_join_host_port (const char *host, int port, char *out, size_t size)
{
    snprintf (out, size, strchr (host, ':') ? "[%s]:%d" : "%s:%d", host, port);
    return out;
}
