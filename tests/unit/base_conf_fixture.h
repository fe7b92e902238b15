/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_BASE_CONF_FIXTURE_H
#define LITEDFS_TESTS_BASE_CONF_FIXTURE_H

/*
 * A table with an option of each kind, the struct that it fills, and a file that is a text of the test:
 * /etc/litedfs/c.yml.
 */

#include "base/conf.h"

#include "base/err.h"

#include <string.h>

#include "unit.h"

struct settings {
    enum log_level log_level;
    char *log_path;
    char *http_host;
    int64_t http_port;
    char *name_host;
    int64_t block_size;
    double interval;
    bool sync;
    struct option_list allow;
    char *old;
};

#define PLACE(member) .offset = offsetof (struct settings, member)

extern const struct option_row table[];

extern struct settings settings; // of the last load
extern struct arena arena;       // what they point to
extern litedfs_error_t error;    // of what failed last

/* Frees the arena: for UNIT_MAIN_FIXTURE. */
void conf_teardown (void);

int load_bytes (const void *text, size_t size);
int load (const char *text);

/* A mistake gives the number and FILE:expected, and nothing is taken. */
void check_refused (const char *text, const char *expected);

#endif
