/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_ERR_H
#define LITEDFS_BASE_ERR_H

/*
 * Errors: one negative number from err.def and one line of text for people.
 *
 * A function that can fail returns 0 or a negative number of err.def and fills the caller's
 * litedfs_error_t, which may be NULL when nobody wants the text.  A failed call changes nothing.
 */

#include "litedfs.h"

/* Fill error with number and a formatted line; returns number, so that one may return it. */
int err_set (litedfs_error_t *error, int number, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

/* As err_set, with ": " and the text of the system error errnum after the line.  The number is
 * LITEDFS_NO_SPACE for ENOSPC and EDQUOT, LITEDFS_MEMORY for ENOMEM, else `number`. */
int err_set_errno (litedfs_error_t *error, int number, int errnum, const char *format, ...)
    __attribute__ ((format (printf, 4, 5)));

/* Put a formatted text and ": " in front of what error says; keeps and returns its number. */
int err_prefix (litedfs_error_t *error, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

/* The word on the wire for a number; "failed" for one that is not in the table. */
const char *err_word (int number);

/* The number for a word of `size` bytes; LITEDFS_FAILED for a word that is not in the table. */
int err_from_word (const char *word, size_t size);

/* The text of the table for a number. */
const char *err_text (int number);

/* The exit status of litedfs(1) and the HTTP status that stand for a number. */
int err_exit_status (int number);
int err_http_status (int number);

#endif
