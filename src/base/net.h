/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_NET_H
#define LITEDFS_BASE_NET_H

/*
 * Addresses: lists of networks that may come in, host:port as people write it, names to
 * numbers.
 *
 * An IPv4-mapped IPv6 address (::ffff:10.0.0.1) is the IPv4 address, in lists and in what is
 * asked.  Apart from that an IPv4 network contains no IPv6 address and the other way round:
 * ::/0 lets no IPv4 in.
 */

#include "base/buf.h"
#include "litedfs.h"

/* Room for a numeric address, for a network, for a host name, each with its NUL. */
#define NET_ADDRESS_SIZE 64
#define NET_TEXT_SIZE 68
#define NET_HOST_SIZE 256

/* The most networks in a list. */
#define NET_LIST_MAX 256

/* A network: the first prefix bits of address, IPv4 in its first four bytes. */
struct net {
    uint8_t address[16];
    uint8_t prefix; // 0..32 or 0..128
    bool ipv6;
};

/* Networks; valid when zero-initialised, and then contains nothing. */
struct net_list {
    struct net items[NET_LIST_MAX];
    size_t count;
};

/* Read "10.0.0.0/8", "192.168.1.7", "::1", "fd00::/8".  LITEDFS_INVALID with the reason, also
 * if bits are set after the prefix (10.0.0.1/8: somebody meant something else). */
int net_parse (struct net *out, const char *text, litedfs_error_t *error);

/* Write it as net_parse reads it, without "/32" and "/128"; returns out. */
char *net_print (const struct net *self, char out[NET_TEXT_SIZE]);

/* Add what net_parse reads, or several with commas between; one that is there already is not
 * added again.  LITEDFS_INVALID, and the list is as before. */
int net_list_add (struct net_list *self, const char *text, litedfs_error_t *error);

/* Add 127.0.0.0/8 and ::1. */
void net_list_add_loopback (struct net_list *self);

/* Whether a numeric address is in one of them.  False for what is not an address; "%eth0" after
 * one is ignored. */
bool net_list_matches (const struct net_list *self, const char *address);

/* Append the list for people: "127.0.0.0/8, ::1"; "nobody" for an empty one. */
void net_list_print (const struct net_list *self, struct buf *out);

/* Whether a numeric address is of this machine alone (127.0.0.0/8, ::1); is "any" (0.0.0.0,
 * ::). */
bool net_is_loopback (const char *address);
bool net_is_any (const char *address);

/* The numeric addresses of a host name or address, at most max of them, in the order in which to try
 * them: IPv4 before IPv6, because daemons listen on 0.0.0.0 unless they are told otherwise, while a
 * resolver puts ::1 first for localhost.  Asks the resolver and blocks as long as it does.  *count is
 * at least 1.  LITEDFS_UNREACHABLE with the reason. */
int net_resolve_all (const char *host, char (*out)[NET_ADDRESS_SIZE], size_t max, size_t *count,
                     litedfs_error_t *error);

/* The first of them, for who can try but one. */
int net_resolve (const char *host, char out[NET_ADDRESS_SIZE], litedfs_error_t *error);

/* Take "host:port", "[::1]:9000", "host" or "::1" apart.  Without a port *out_port is
 * default_port, and it is an error if that is 0.  Ports are 1 to 65535.  LITEDFS_INVALID with
 * the reason. */
int net_split_host_port (const char *text, int default_port, char out_host[NET_HOST_SIZE],
                         int *out_port, litedfs_error_t *error);

/* The opposite: host:port, with brackets round an IPv6 address; returns out. */
char *net_join_host_port (const char *host, int port, char *out, size_t size);

#endif
