/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLI_PRINT_H
#define LITEDFS_CLI_PRINT_H

/*
 * What litedfs(1) prints: sentences, fields, tables, JSON.
 *
 * Text of others (paths, names) is escaped by base/text, so that it stays on its line and cannot
 * drive a terminal.  Widths are those of what is printed, in cells of a terminal: 2 for wide
 * characters, 0 for combining ones, whatever the locale.  Errors of the stream are left to its
 * owner, who looks at ferror at the end.
 */

#include "base/buf.h"
#include "litedfs.h"

#include <jansson.h>
#include <stdio.h>

/* The most columns of a table, "#" included. */
#define PRINT_COLUMNS 16

/* "DONE[PATH] success" and a newline, as in "create file[/a] success"; with `to`,
 * "DONE[PATH] to TO success". */
void print_success (FILE *out, const char *done, const char *path, const char *to);

/* "KEY: " and formatted text, which begins in the same column for all keys of up to 15 letters. */
void print_field (FILE *out, const char *key, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

/* How many cells a line of text takes; it must be escaped. */
size_t print_cells (const char *text, size_t size);

/* A table.  The first column, "#", is made here: it counts rows from `first`.  cell appends the
 * text of a row's column (0 is the one after "#"), not escaped; it is asked for each cell twice and
 * must say the same. */
struct print_table {
    const char *const *names; // of the columns, NULL after the last
    uint64_t first;
    size_t rows;
    void (*cell) (const void *arg, size_t row, size_t column, struct buf *out);
    const void *arg;
};

/* Print it: " | " between columns, each one padded to its widest cell, the names included; the last
 * one too.  width, if it is not 0, cuts each column to so many cells.  LITEDFS_MEMORY. */
int print_table (const struct print_table *table, uint64_t width, FILE *out,
                 litedfs_error_t *error);

/* Print the document and a newline, and free it.  NULL, which jansson gives when memory is short,
 * is LITEDFS_MEMORY; nothing is printed then. */
int print_json (json_t *document, FILE *out, litedfs_error_t *error);

/* A string; what is not UTF-8 is escaped.  A time as "2024-05-01T12:00:00.123Z".  A number; above
 * 2^63 - 1, which no size or count reaches, it is that. */
json_t *print_json_text (const char *text);
json_t *print_json_time (uint64_t time_ms);
json_t *print_json_number (uint64_t number);

/* Room for a time as text. */
#define PRINT_TIME_SIZE 32

/* Milliseconds since 1970 as above, in UTC; returns out. */
char *print_time (uint64_t time_ms, char out[PRINT_TIME_SIZE]);

#endif
