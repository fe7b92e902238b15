/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_OPT_H
#define LITEDFS_BASE_OPT_H

/*
 * Command-line options by a table, on getopt_long: -r VALUE, -rVALUE, --remote-path VALUE,
 * --remote-path=VALUE, in any order, before and after other arguments; "--" ends them.  A long
 * name may be cut short, and written with underscores for dashes.  For main's thread alone, as
 * getopt is.
 */

#include "litedfs.h"

#include <stdbool.h>
#include <stdio.h>

/* The most rows of a table. */
#define OPT_MAX 64

/* One option.  A table is an array of these; the row after the last has name NULL. */
struct opt_row {
    char letter;            // 0 if it has only a name
    const char *name;       // up to 31 letters
    const char *value_name; // NULL for a flag
    const char *help;
};

/* Read the options of argv (argv[0] is skipped) into values, which has an element for each row:
 * NULL if it was not given, else its value, "" for a flag.  Values point into argv.  argv is
 * put into another order: other arguments are at argv[*first] to argv[argc - 1] afterwards.
 * LITEDFS_USAGE with one line: unknown option, value missing or not wanted, given twice. */
int opt_parse (const struct opt_row *rows, int argc, char **argv, const char **values,
               int *first, litedfs_error_t *error);

/* Whether `size` bytes without NUL, as written after "--", are name or a beginning of it. */
bool opt_begins (const char *name, const char *written, size_t size);

/* Print "usage: " and usage, then a line for each row. */
void opt_help (const struct opt_row *rows, const char *usage, FILE *out);

#endif
