/* SPDX-License-Identifier: MIT */
/*
 * The error table of err.def and the functions that read it.  The public numbers of litedfs.h are
 * written there by hand, because it is installed alone; the assertions below keep the two equal.
 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ERROR(name, number, word, exit_status, http_status, text)                              \
    _Static_assert(LITEDFS_##name == number, "litedfs.h and err.def differ: " word);
#include "base/err.def"
#undef ERROR

struct row {
    int number;
    const char *word;
    int exit_status;
    int http_status;
    const char *text;
};

#define ERROR(name, number, word, exit_status, http_status, text)                              \
    {number, word, exit_status, http_status, text},
static const struct row rows[] = {
#include "base/err.def"
};
#undef ERROR

static const struct row *
find (int number)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].number == number)
            return &rows[i];
    return &rows[0];
}

int
err_set (litedfs_error_t *error, int number, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start (args, format);
        error->number = number;
        vsnprintf (error->text, sizeof error->text, format, args);
        va_end (args);
    }
    return number;
}

static int
number_for_errno (int number, int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return LITEDFS_NO_SPACE;
    case ENOMEM:
        return LITEDFS_MEMORY;
    default:
        return number;
    }
}

int
err_set_errno (litedfs_error_t *error, int number, int errnum, const char *format, ...)
{
    number = number_for_errno (number, errnum);
    if (error) {
        va_list args;
        va_start (args, format);
        error->number = number;
        vsnprintf (error->text, sizeof error->text, format, args);
        va_end (args);

        size_t used = strlen (error->text);
        snprintf (error->text + used, sizeof error->text - used, ": %s", strerror (errnum));
    }
    return number;
}

int
err_prefix (litedfs_error_t *error, const char *format, ...)
{
    if (!error)
        return LITEDFS_FAILED;

    char said[sizeof error->text];
    memcpy (said, error->text, sizeof said);

    va_list args;
    va_start (args, format);
    vsnprintf (error->text, sizeof error->text, format, args);
    va_end (args);

    size_t used = strlen (error->text);
    snprintf (error->text + used, sizeof error->text - used, ": %s", said);
    return error->number;
}

const char *
err_word (int number)
{
    return find (number)->word;
}

int
err_from_word (const char *word, size_t size)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strlen (rows[i].word) == size && memcmp (rows[i].word, word, size) == 0)
            return rows[i].number;
    return LITEDFS_FAILED;
}

const char *
err_text (int number)
{
    return find (number)->text;
}

int
err_exit_status (int number)
{
    return number == 0 ? 0 : find (number)->exit_status;
}

int
err_http_status (int number)
{
    return number == 0 ? 200 : find (number)->http_status;
}
