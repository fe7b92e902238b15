/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_OPTION_H
#define LITEDFS_BASE_OPTION_H

/*
 * The options of a program: a table of rows that says name, type, range and place of each, and
 * the values, from text and to text.  base/conf reads and writes whole files of them.
 */

#include "base/buf.h"
#include "base/log.h"
#include "litedfs.h"

/* The longest value, in bytes. */
#define OPTION_VALUE_MAX ((size_t) 64 << 10)

enum option_type {
    OPTION_BOOL = 1, // bool: true, false, yes, no, on, off
    OPTION_INT,      // int64_t, whole
    OPTION_SIZE,     // int64_t, bytes: 67108864, 64M, 64MiB, 1G
    OPTION_SECONDS,  // double, 0.5
    OPTION_STRING,   // char *
    OPTION_PATH,     // char *, absolute; a relative one is seen from the file's directory
    OPTION_LEVEL,    // enum log_level
    OPTION_LIST // struct option_list of texts: [a, b], one a line with "-", or a single one
};

struct option_list {
    char **items;
    size_t count;
};

/* One key.  A table is an array of these; the row after the last has key NULL.  Texts are never
 * NULL in the struct, but may be empty. */
struct option_row {
    const char *key;
    const char *alias; // the key's older name, accepted too; NULL if it has none
    enum option_type type;
    size_t offset; // offsetof the member in the program's struct

    /* As in the file, "a, b" for a list; NULL is "", 0 or an empty list. */
    const char *default_text;

    /* Of INT; of SIZE in bytes; of SECONDS; of STRING and PATH the length in bytes (1 refuses
     * an empty one); of LIST the number of texts.  min == max == 0 means any. */
    int64_t min;
    int64_t max;

    bool reloadable; // taken over on SIGHUP

    /* The comment in the generated file, one line.  That of a SIZE is led in by "N = 64M, ". */
    const char *help;

    /* What is allowed, in words, where type and range do not say it; or NULL. */
    const char *allowed;

    bool obsolete; // accepted and stored, but not written and not offered
};

/* The value of one option. */
union option_value {
    bool on;
    int64_t number;
    double seconds;
    char *text;
    enum log_level level;
    struct option_list list;
};

/* Read a value from count texts (1 for all but lists).  A relative path is seen from directory,
 * or left as it is if that is NULL.  Texts go to the arena.  LITEDFS_CONFIG with "what is
 * wrong; allowed: ...", LITEDFS_MEMORY. */
int option_read (const struct option_row *row, const char *const *texts, size_t count,
                 const char *directory, struct arena *arena, union option_value *out,
                 litedfs_error_t *error);

/* The same from one text as a command line or the table gives it: "a, b" for a list. */
int option_read_line (const struct option_row *row, const char *text, const char *directory,
                      struct arena *arena, union option_value *out, litedfs_error_t *error);

/* Take a row's value from a struct, put one into it. */
union option_value option_get (const struct option_row *row, const void *values);
void option_put (const struct option_row *row, void *values, const union option_value *value);

bool option_equal (const struct option_row *row, const union option_value *a,
                   const union option_value *b);

/* Append the value as YAML that reads back to the same, on one line. */
void option_print (const struct option_row *row, const union option_value *value,
                   struct buf *out);

/* Append a number of bytes in the largest unit that divides it: 64M, 1000. */
void option_print_size (int64_t bytes, struct buf *out);

/* Append what is allowed, in words: "1 to 65535", "true or false". */
void option_print_allowed (const struct option_row *row, struct buf *out);

#endif
