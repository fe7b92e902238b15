/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_RESOLVER_H
#define LITEDFS_TESTS_RESOLVER_H

/*
 * A resolver with names of its own, for one source file of a test program: its getaddrinfo goes before
 * the C library's, and knows these names besides.  Their addresses come in the order written, as the C
 * library would sort them on some machine.
 */

#include <check.h>
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>

struct resolver_name {
    const char *name;
    const char *addresses[6];
};

static const struct resolver_name resolver_names[] = {
    {"both.test", {"::1", "127.0.0.2", "::1", "127.0.0.1", "127.0.0.2"}},
    {"four.test", {"127.0.0.2", "127.0.0.3", "127.0.0.1"}},
    {"six.test", {"::1"}},
    {"away.test", {"127.0.0.2", "::1"}},
};

typedef int resolver_fn (const char *, const char *, const struct addrinfo *,
                         struct addrinfo **);

/* Each address is resolved by the C library, whose freeaddrinfo takes the chain. */
int
getaddrinfo (const char *host, const char *service, const struct addrinfo *hints,
             struct addrinfo **out)
{
    resolver_fn *real;
    *(void **) &real = dlsym (RTLD_NEXT, "getaddrinfo");
    for (size_t i = 0; i < sizeof resolver_names / sizeof *resolver_names; i++) {
        if (!host || strcmp (host, resolver_names[i].name) != 0)
            continue;
        for (const char *const *address = resolver_names[i].addresses; *address; address++) {
            ck_assert_int_eq (real (*address, service, hints, out), 0);
            while (*out)
                out = &(*out)->ai_next;
        }
        return 0;
    }
    return real (host, service, hints, out);
}

#endif
