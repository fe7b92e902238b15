/* SPDX-License-Identifier: MIT */
/*
 * Sentences, fields, tables and JSON.
 *
 * A table goes over its rows twice, once to measure and once to print, and keeps none: a listing may
 * have millions.  Text is UTF-8 whatever the locale says, as names in the cluster are; only what a
 * character's width is, wcwidth takes from the locale, and main sets that to one that knows.
 */
#include "cli/print.h"

#include "base/err.h"
#include "base/text.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

// Where the values of print_field begin.
#define FIELD_COLUMN 17

static const char separator[] = " | ";

/* ---- sentences ------------------------------------------------------------------------------------ */

void
print_success (FILE *out, const char *done, const char *path, const char *to)
{
    struct buf text = {0};

    buf_printf (&text, "%s[", done);
    text_put_escaped (&text, path, strlen (path));
    buf_put (&text, "]", 1);
    if (to) {
        buf_put (&text, " to ", 4);
        text_put_escaped (&text, to, strlen (to));
    }
    fprintf (out, "%s success\n", buf_text (&text));
    buf_free (&text);
}

void
print_field (FILE *out, const char *key, const char *format, ...)
{
    struct buf raw = {0};
    struct buf shown = {0};
    va_list args;

    va_start (args, format);
    buf_vprintf (&raw, format, args);
    va_end (args);
    text_put_escaped (&shown, raw.data, raw.size);
    fprintf (out, "%s:%*s%s\n", key, FIELD_COLUMN - 1 - (int) strlen (key), "",
             buf_text (&shown));
    buf_free (&raw);
    buf_free (&shown);
}

/* ---- cells ------------------------------------------------------------------------------------------ */

// The cells of the character at the start of the text, whose length goes to *length.
static size_t
character_cells (const char *text, size_t size, size_t *length)
{
    static const unsigned char lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};

    *length = text_utf8_next (text, size);
    if (*length < 2) {
        *length = 1;
        return 1;
    }
    uint32_t point = (unsigned char) text[0] & lead_bits[*length];
    for (size_t i = 1; i < *length; i++)
        point = point << 6 | ((unsigned char) text[i] & 0x3f);
    int cells = wcwidth ((wchar_t) point);
    return cells < 0 ? 1 : (size_t) cells; // younger than the locale's table
}

// How many bytes at the start of the text take at most limit cells; *cells: how many they take.
static size_t
fitting (const char *text, size_t size, uint64_t limit, size_t *cells)
{
    size_t used = 0;

    *cells = 0;
    while (used < size) {
        size_t length;
        size_t more = character_cells (text + used, size - used, &length);
        if (*cells + more > limit)
            break;
        *cells += more;
        used += length;
    }
    return used;
}

size_t
print_cells (const char *text, size_t size)
{
    size_t cells;
    fitting (text, size, SIZE_MAX, &cells);
    return cells;
}

/* ---- tables ----------------------------------------------------------------------------------------- */

// Buffers of one cell, used for each.
struct scratch {
    struct buf raw;
    struct buf shown;
};

// The text of a cell, escaped, in scratch->shown.  Row SIZE_MAX is that of the names, column 0 "#".
static void
make_cell (const struct print_table *table, size_t row, size_t column, struct scratch *scratch)
{
    buf_clear (&scratch->raw);
    buf_clear (&scratch->shown);
    if (row == SIZE_MAX)
        buf_printf (&scratch->raw, "%s", column == 0 ? "#" : table->names[column - 1]);
    else if (column == 0)
        buf_printf (&scratch->raw, "%llu", (unsigned long long) (table->first + row));
    else
        table->cell (table->arg, row, column - 1, &scratch->raw);
    text_put_escaped (&scratch->shown, scratch->raw.data, scratch->raw.size);
    scratch->shown.failed |= scratch->raw.failed;
}

static bool
measure_row (const struct print_table *table, size_t row, size_t columns, uint64_t limit,
             size_t *widths, struct scratch *scratch)
{
    for (size_t i = 0; i < columns; i++) {
        size_t cells;
        make_cell (table, row, i, scratch);
        if (scratch->shown.failed)
            return false;
        fitting ((const char *) scratch->shown.data, scratch->shown.size, limit, &cells);
        widths[i] = cells > widths[i] ? cells : widths[i];
    }
    return true;
}

static void
print_row (const struct print_table *table, size_t row, size_t columns, const size_t *widths,
           struct scratch *scratch, FILE *out)
{
    for (size_t i = 0; i < columns; i++) {
        size_t cells;
        make_cell (table, row, i, scratch);
        size_t size = fitting ((const char *) scratch->shown.data, scratch->shown.size,
                               widths[i], &cells);
        fputs (i ? separator : "", out);
        if (size)
            fwrite (scratch->shown.data, 1, size, out);
        fprintf (out, "%*s", (int) (widths[i] - cells), "");
    }
    fputc ('\n', out);
}

int
print_table (const struct print_table *table, uint64_t width, FILE *out, litedfs_error_t *error)
{
    size_t widths[PRINT_COLUMNS] = {0};
    struct scratch scratch = {0};
    uint64_t limit = width ? width : SIZE_MAX;
    size_t columns = 1;
    bool fine = true;

    while (columns < PRINT_COLUMNS && table->names[columns - 1])
        columns++;
    fine = measure_row (table, SIZE_MAX, columns, limit, widths, &scratch);
    for (size_t i = 0; fine && i < table->rows; i++)
        fine = measure_row (table, i, columns, limit, widths, &scratch);
    if (fine) {
        print_row (table, SIZE_MAX, columns, widths, &scratch, out);
        for (size_t i = 0; i < table->rows; i++)
            print_row (table, i, columns, widths, &scratch, out);
    }
    buf_free (&scratch.raw);
    buf_free (&scratch.shown);
    return fine ? 0 : err_set (error, LITEDFS_MEMORY, "out of memory");
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

int
print_json (json_t *document, FILE *out, litedfs_error_t *error)
{
    char *text = document ? json_dumps (document, JSON_INDENT (2)) : NULL;

    json_decref (document);
    if (!text)
        return err_set (error, LITEDFS_MEMORY, "JSON: out of memory");
    fprintf (out, "%s\n", text);
    free (text);
    return 0;
}

json_t *
print_json_text (const char *text)
{
    struct buf escaped = {0};

    if (text_utf8_valid (text, strlen (text)))
        return json_string (text);
    text_put_escaped (&escaped, text, strlen (text));
    json_t *value = json_string (buf_text (&escaped));
    buf_free (&escaped);
    return value;
}

json_t *
print_json_number (uint64_t number)
{
    return json_integer (number > INT64_MAX ? INT64_MAX : (json_int_t) number);
}

char *
print_time (uint64_t time_ms, char out[PRINT_TIME_SIZE])
{
    time_t seconds = (time_t) (time_ms / 1000);
    struct tm tm;
    size_t size = 0;

    if ((uint64_t) seconds == time_ms / 1000 && gmtime_r (&seconds, &tm))
        size = strftime (out, PRINT_TIME_SIZE - 8, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf (out + size, PRINT_TIME_SIZE - size, size ? ".%03uZ" : "?",
              (unsigned) (time_ms % 1000));
    return out;
}

json_t *
print_json_time (uint64_t time_ms)
{
    char text[PRINT_TIME_SIZE];
    return json_string (print_time (time_ms, text));
}
