/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_LOG_H
#define LITEDFS_BASE_LOG_H

/*
 * The log of a daemon: one line an event, in DIRECTORY/NAME.log and, if wanted, on stderr:
 *
 *   2026-11-23 05:51:39.123 INFO  namenode: node 3 is online
 *
 * with local time, the level, and the source file that speaks (and its line, at DEBUG).  All
 * calls but log_close may come from any thread at any time; a line is one write(2) on an
 * O_APPEND file.  Control characters are escaped, so that nobody's name can forge a line.
 *
 * A daemon does not stop because its log cannot be written: lines are then counted, and how
 * many were lost is the first thing said when it works again.
 */

#include "litedfs.h"

/* The levels that the configuration names.  NOSET logs everything. */
enum log_level {
    LOG_LEVEL_NOSET = 0,
    LOG_LEVEL_DEBUG = 10,
    LOG_LEVEL_INFO = 20,
    LOG_LEVEL_WARNING = 30,
    LOG_LEVEL_ERROR = 40,
    LOG_LEVEL_CRITICAL = 50
};

/* The longest line, in bytes with its newline; what is longer is cut and ends in "...". */
#define LOG_LINE_MAX 4096

struct log;

/* Open a log.  directory is made (0755, with its parents) if it is missing; NULL means no file.
 * LITEDFS_IO, NO_SPACE or MEMORY with the path, if the file cannot be opened or made. */
int log_open (struct log **out, const char *directory, const char *name, enum log_level level,
              bool to_stderr, litedfs_error_t *error);

/* Close it.  Takes NULL, sets it to NULL, keeps errno; no other thread may use it any more. */
void log_close (struct log **self);

/* Open the file anew, after it was renamed.  If that fails, the old one goes on being written.
 * NULL is fine.  Errors as log_open. */
int log_reopen (struct log *self, litedfs_error_t *error);

/* Change what is logged. */
void log_set_level (struct log *self, enum log_level level);

/* Whether a line of this level would be logged: for lines that cost something to make. */
bool log_enabled (const struct log *self, enum log_level level);

/* Write a line if the level is high enough.  A NULL log is silent.  Keeps errno.  Does not
 * fail; may block for as long as the disk does.  Use the macros. */
void log_write (struct log *self, enum log_level level, const char *file, int line,
                const char *format, ...) __attribute__ ((format (printf, 5, 6)));

#define log_debug(log, ...) log_write ((log), LOG_LEVEL_DEBUG, __FILE__, __LINE__, __VA_ARGS__)
#define log_info(log, ...) log_write ((log), LOG_LEVEL_INFO, __FILE__, __LINE__, __VA_ARGS__)
#define log_warning(log, ...)                                                                  \
    log_write ((log), LOG_LEVEL_WARNING, __FILE__, __LINE__, __VA_ARGS__)
#define log_error(log, ...) log_write ((log), LOG_LEVEL_ERROR, __FILE__, __LINE__, __VA_ARGS__)
#define log_critical(log, ...)                                                                 \
    log_write ((log), LOG_LEVEL_CRITICAL, __FILE__, __LINE__, __VA_ARGS__)

/* The level that a word names, in either case; false, and out unchanged, for another word. */
bool log_level_parse (const char *word, enum log_level *out);

/* The word for a level: NOSET, DEBUG, INFO, WARNING, ERROR or CRITICAL. */
const char *log_level_word (enum log_level level);

#endif
