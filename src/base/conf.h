/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_CONF_H
#define LITEDFS_BASE_CONF_H

/*
 * Configuration: a YAML mapping of keys to values, read into a struct by a table of options.
 * The one table of a daemon gives parser, defaults, checks, the file that `-g` writes, and the
 * rows that a test compares with the man page.
 *
 * The file is taken whole or not at all, and the first thing wrong with it is one line:
 *
 *   FILE:LINE: KEY: what is wrong; allowed: ...; did you mean 'key'?
 */

#include "base/buf.h"
#include "base/option.h"
#include "litedfs.h"

#include <stdio.h>

/* The largest file, in bytes. */
#define CONF_FILE_MAX ((size_t) 1 << 20)

/* Fill the struct at out with the defaults; texts go to the arena and live as long.
 * LITEDFS_CONFIG names a row whose default is not right (a bug), LITEDFS_MEMORY. */
int conf_defaults (const struct option_row *table, void *out, struct arena *arena,
                   litedfs_error_t *error);

/* Read the file at path: defaults, then what it says.  out is written only on success.
 * LITEDFS_CONFIG with the line above, LITEDFS_MEMORY. */
int conf_load (const char *path, const struct option_row *table, void *out, struct arena *arena,
               litedfs_error_t *error);

/* The same from text; path is for the messages and for relative paths. */
int conf_load_text (const char *path, struct slice text, const struct option_row *table,
                    void *out, struct arena *arena, litedfs_error_t *error);

/* Put the line's number into an error "PATH: KEY: why" that was found after the file was read, if
 * the file sets that key: "PATH:LINE: KEY: why". */
void conf_add_line (const char *path, const struct option_row *table, litedfs_error_t *error);

/* Set one option from text as a command line gives it ("a, b" for a list); checked as in a
 * file.  LITEDFS_CONFIG "KEY: what is wrong; allowed: ...", LITEDFS_MEMORY. */
int conf_set (const struct option_row *table, void *values, const char *key, const char *text,
              struct arena *arena, litedfs_error_t *error);

/* Append the file that says what the struct holds: every key that is not obsolete, with its
 * comment, aligned.  conf_load reads it back to the same.  Check out->failed. */
void conf_write (const struct option_row *table, const void *values, struct buf *out);

/* Take the reloadable options from loaded into current (whose texts then live in loaded's
 * arena).  The keys that differ but cannot be reloaded are appended to not_taken, "key, key";
 * returns how many options changed in current. */
size_t conf_reload (const struct option_row *table, void *current, const void *loaded,
                    struct buf *not_taken);

/* Print a line `key<TAB>default<TAB>range` for each row that is not obsolete, in the words that
 * the man page uses: for the test that compares the two. */
void conf_table_print (const struct option_row *table, FILE *out);

#endif
