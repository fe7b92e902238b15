/* SPDX-License-Identifier: MIT */
/*
 * One option: its value from text, to text, and in the struct of its program.
 *
 * Reading is strict where a slip would go unnoticed (010, 1e3 and 0x10 are not numbers here)
 * and lenient where it cannot (64M, 64 MiB).  Whatever is read prints back as something that
 * reads the same.
 */
#include "base/option.h"

#include "base/err.h"
#include "base/file.h"
#include "base/text.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const yes_words[] = {"true", "yes", "on"};
static const char *const no_words[] = {"false", "no", "off"};

static bool
is_any (const struct option_row *row)
{
    return row->min == 0 && row->max == 0;
}

static bool
in_range (const struct option_row *row, double value)
{
    return is_any (row) || (value >= (double) row->min && value <= (double) row->max);
}

void
option_print_size (int64_t bytes, struct buf *out)
{
    static const char *const units[] = {"", "K", "M", "G", "T"};
    size_t unit = 0;

    while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        unit++;
    }
    buf_printf (out, "%" PRId64 "%s", bytes, units[unit]);
}

static void
print_range (const struct option_row *row, const char *any, const char *unit, struct buf *out)
{
    if (is_any (row))
        buf_printf (out, "%s", any);
    else if (row->max == INT64_MAX)
        buf_printf (out, "%" PRId64 " or more%s", row->min, unit);
    else
        buf_printf (out, "%" PRId64 " to %" PRId64 "%s", row->min, row->max, unit);
}

static void
print_size_range (const struct option_row *row, struct buf *out)
{
    if (is_any (row)) {
        buf_printf (out, "a number of bytes, such as 64M");
        return;
    }
    option_print_size (row->min, out);
    if (row->max == INT64_MAX) {
        buf_printf (out, " or more");
        return;
    }
    buf_printf (out, " to ");
    option_print_size (row->max, out);
}

void
option_print_allowed (const struct option_row *row, struct buf *out)
{
    if (row->allowed) {
        buf_printf (out, "%s", row->allowed);
        return;
    }
    switch (row->type) {
    case OPTION_BOOL:
        buf_printf (out, "true or false");
        break;
    case OPTION_INT:
        print_range (row, "a whole number", "", out);
        break;
    case OPTION_SIZE:
        print_size_range (row, out);
        break;
    case OPTION_SECONDS:
        print_range (row, "a number of seconds", " seconds", out);
        break;
    case OPTION_STRING:
        print_range (row, "text", " bytes of text", out);
        break;
    case OPTION_PATH:
        buf_printf (out, "a path");
        break;
    case OPTION_LEVEL:
        buf_printf (out, "NOSET, DEBUG, INFO, WARNING, ERROR, CRITICAL");
        break;
    case OPTION_LIST:
        print_range (row, "a list of texts", " texts", out);
        break;
    }
}

// Refuse a text: "'TEXT' is not ...; allowed: ...".
static int
refuse (const struct option_row *row, const char *text, const char *what,
        litedfs_error_t *error)
{
    struct buf allowed = {0};
    char shown[96];

    option_print_allowed (row, &allowed);
    int rc = err_set (error, LITEDFS_CONFIG, "'%s' %s; allowed: %s",
                      text_escape (text, strlen (text), shown, sizeof shown), what,
                      buf_text (&allowed));
    buf_free (&allowed);
    return rc;
}

static bool
is_one_of (const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp (text, words[i]) == 0)
            return true;
    return false;
}

static int
read_bool (const struct option_row *row, const char *text, union option_value *out,
           litedfs_error_t *error)
{
    out->on = is_one_of (text, yes_words, sizeof yes_words / sizeof *yes_words);
    if (out->on || is_one_of (text, no_words, sizeof no_words / sizeof *no_words))
        return 0;
    return refuse (row, text, "is neither true nor false", error);
}

static int
read_number (const struct option_row *row, const char *text, union option_value *out,
             litedfs_error_t *error)
{
    bool good = row->type == OPTION_SIZE
                    ? text_parse_size (text, &out->number)
                    : text_parse_int (text, INT64_MIN, INT64_MAX, &out->number);
    if (!good)
        return refuse (row, text,
                       row->type == OPTION_SIZE ? "is not a number of bytes"
                                                : "is not a whole number",
                       error);
    if (!is_any (row) && (out->number < row->min || out->number > row->max))
        return refuse (row, text, "is out of range", error);
    return 0;
}

static int
read_seconds (const struct option_row *row, const char *text, union option_value *out,
              litedfs_error_t *error)
{
    if (!text_parse_seconds (text, &out->seconds))
        return refuse (row, text, "is not a number of seconds", error);
    if (!in_range (row, out->seconds))
        return refuse (row, text, "is out of range", error);
    return 0;
}

// Whether text is UTF-8 without control characters, so that it can be printed and written back.
static bool
is_clean (const char *text)
{
    const uint8_t *at = (const uint8_t *) text;
    size_t left = strlen (text);

    while (left > 0) {
        size_t length = text_utf8_next (at, left);
        if (length == 0 || at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0))
            return false;
        at += length;
        left -= length;
    }
    return true;
}

// Read one text, of a STRING, a PATH or a list.
static int
read_text (const struct option_row *row, const char *text, struct arena *arena, char **out,
           litedfs_error_t *error)
{
    if (strlen (text) > OPTION_VALUE_MAX)
        return refuse (row, text, "is too long", error);
    if (!is_clean (text))
        return refuse (row, text, "holds control characters or is not UTF-8", error);
    *out = arena_copy (arena, text, strlen (text));
    return *out ? 0 : err_set (error, LITEDFS_MEMORY, "no memory for its value");
}

static int
read_string (const struct option_row *row, const char *text, struct arena *arena,
             union option_value *out, litedfs_error_t *error)
{
    int rc = read_text (row, text, arena, &out->text, error);
    if (rc == 0 && !in_range (row, (double) strlen (text)))
        rc = refuse (row, text, text[0] ? "has not the right length" : "is empty", error);
    return rc;
}

static int
read_path (const struct option_row *row, const char *text, const char *directory,
           struct arena *arena, union option_value *out, litedfs_error_t *error)
{
    int rc = read_string (row, text, arena, out, error);
    if (rc < 0 || !directory || !text[0])
        return rc;
    if (strlen (text) >= PATH_MAX)
        return refuse (row, text, "is too long for a path", error);

    char *absolute;
    rc = file_absolute (directory, text, &absolute, error);
    if (rc < 0)
        return rc;
    rc = read_text (row, absolute, arena, &out->text, error);
    free (absolute);
    return rc;
}

static int
read_list (const struct option_row *row, const char *const *texts, size_t count,
           struct arena *arena, union option_value *out, litedfs_error_t *error)
{
    struct option_list list = {arena_alloc_array (arena, count, sizeof (char *)), 0};
    if (!list.items)
        return err_set (error, LITEDFS_MEMORY, "no memory for its value");

    for (size_t i = 0; i < count; i++) {
        int rc = read_text (row, texts[i], arena, &list.items[list.count++], error);
        if (rc == 0 && !texts[i][0])
            rc = refuse (row, texts[i], "is an empty text in the list", error);
        if (rc < 0)
            return rc;
    }
    if (!in_range (row, (double) count)) {
        char shown[32];
        snprintf (shown, sizeof shown, "%zu texts", count);
        return refuse (row, shown, "is not the right number", error);
    }
    out->list = list;
    return 0;
}

int
option_read (const struct option_row *row, const char *const *texts, size_t count,
             const char *directory, struct arena *arena, union option_value *out,
             litedfs_error_t *error)
{
    if (row->type == OPTION_LIST)
        return read_list (row, texts, count, arena, out, error);
    if (count != 1)
        return refuse (row, "a list", "is not one value", error);

    switch (row->type) {
    case OPTION_BOOL:
        return read_bool (row, texts[0], out, error);
    case OPTION_INT:
    case OPTION_SIZE:
        return read_number (row, texts[0], out, error);
    case OPTION_SECONDS:
        return read_seconds (row, texts[0], out, error);
    case OPTION_STRING:
        return read_string (row, texts[0], arena, out, error);
    case OPTION_PATH:
        return read_path (row, texts[0], directory, arena, out, error);
    case OPTION_LEVEL:
        if (log_level_parse (texts[0], &out->level))
            return 0;
        return refuse (row, texts[0], "is not a level", error);
    case OPTION_LIST:
        break;
    }
    return err_set (error, LITEDFS_CONFIG, "the table has no type for it");
}

int
option_read_line (const struct option_row *row, const char *text, const char *directory,
                  struct arena *arena, union option_value *out, litedfs_error_t *error)
{
    static const char blanks[] = " \t";

    if (row->type != OPTION_LIST)
        return option_read (row, &text, 1, directory, arena, out, error);
    if (strlen (text) > OPTION_VALUE_MAX)
        return refuse (row, text, "is too long", error);

    char *copy = arena_copy (arena, text, strlen (text));
    const char **texts = arena_alloc_array (arena, strlen (text) + 1, sizeof *texts);
    if (!copy || !texts)
        return err_set (error, LITEDFS_MEMORY, "no memory for its value");

    size_t count = 0;
    copy += strspn (copy, blanks);
    char *rest = *copy ? copy : NULL;
    for (char *item; (item = strsep (&rest, ","));) {
        item += strspn (item, blanks);
        size_t size = strlen (item);
        while (size > 0 && strchr (blanks, item[size - 1]))
            item[--size] = 0;
        texts[count++] = item;
    }
    return option_read (row, texts, count, directory, arena, out, error);
}

union option_value
option_get (const struct option_row *row, const void *values)
{
    const char *at = (const char *) values + row->offset;
    union option_value value = {.list = {NULL, 0}};

    switch (row->type) {
    case OPTION_BOOL:
        value.on = *(const bool *) at;
        break;
    case OPTION_INT:
    case OPTION_SIZE:
        value.number = *(const int64_t *) at;
        break;
    case OPTION_SECONDS:
        value.seconds = *(const double *) at;
        break;
    case OPTION_STRING:
    case OPTION_PATH:
        value.text = *(char *const *) at;
        break;
    case OPTION_LEVEL:
        value.level = *(const enum log_level *) at;
        break;
    case OPTION_LIST:
        value.list = *(const struct option_list *) at;
        break;
    }
    return value;
}

void
option_put (const struct option_row *row, void *values, const union option_value *value)
{
    char *at = (char *) values + row->offset;

    switch (row->type) {
    case OPTION_BOOL:
        *(bool *) at = value->on;
        break;
    case OPTION_INT:
    case OPTION_SIZE:
        *(int64_t *) at = value->number;
        break;
    case OPTION_SECONDS:
        *(double *) at = value->seconds;
        break;
    case OPTION_STRING:
    case OPTION_PATH:
        *(char **) at = value->text;
        break;
    case OPTION_LEVEL:
        *(enum log_level *) at = value->level;
        break;
    case OPTION_LIST:
        *(struct option_list *) at = value->list;
        break;
    }
}

static bool
lists_equal (const struct option_list *a, const struct option_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp (a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

bool
option_equal (const struct option_row *row, const union option_value *a,
              const union option_value *b)
{
    switch (row->type) {
    case OPTION_BOOL:
        return a->on == b->on;
    case OPTION_INT:
    case OPTION_SIZE:
        return a->number == b->number;
    case OPTION_SECONDS:
        return a->seconds == b->seconds;
    case OPTION_STRING:
    case OPTION_PATH:
        return strcmp (a->text, b->text) == 0;
    case OPTION_LEVEL:
        return a->level == b->level;
    case OPTION_LIST:
        return lists_equal (&a->list, &b->list);
    }
    return false;
}

// Whether text means itself in YAML without quotes, alone and in a [list].
static bool
is_plain (const char *text)
{
    static const char inside[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-:";
    size_t size = strlen (text);

    return size > 0 && strspn (text, inside) == size && !strchr ("-:", text[0]) &&
           text[size - 1] != ':' && strcasecmp (text, "null") != 0;
}

static void
print_text (const char *text, struct buf *out)
{
    if (is_plain (text)) {
        buf_printf (out, "%s", text);
        return;
    }
    buf_put_u8 (out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_put_u8 (out, '\\');
        buf_put (out, text, 1);
    }
    buf_put_u8 (out, '"');
}

// Up to nine decimals, without zeros at the end and with a point in any locale.
static void
print_seconds (double seconds, struct buf *out)
{
    int64_t whole = (int64_t) seconds;
    int64_t billionths = (int64_t) ((seconds - (double) whole) * 1e9 + 0.5);
    if (billionths == 1000000000) {
        whole++;
        billionths = 0;
    }

    buf_printf (out, "%" PRId64, whole);
    if (billionths == 0)
        return;
    int digits = 9;
    for (; billionths % 10 == 0; digits--)
        billionths /= 10;
    buf_printf (out, ".%0*" PRId64, digits, billionths);
}

void
option_print (const struct option_row *row, const union option_value *value, struct buf *out)
{
    switch (row->type) {
    case OPTION_BOOL:
        buf_printf (out, "%s", value->on ? "true" : "false");
        break;
    case OPTION_INT:
    case OPTION_SIZE:
        buf_printf (out, "%" PRId64, value->number);
        break;
    case OPTION_SECONDS:
        print_seconds (value->seconds, out);
        break;
    case OPTION_STRING:
    case OPTION_PATH:
        print_text (value->text, out);
        break;
    case OPTION_LEVEL:
        buf_printf (out, "%s", log_level_word (value->level));
        break;
    case OPTION_LIST:
        buf_put_u8 (out, '[');
        for (size_t i = 0; i < value->list.count; i++) {
            buf_printf (out, "%s", i > 0 ? ", " : "");
            print_text (value->list.items[i], out);
        }
        buf_put_u8 (out, ']');
        break;
    }
}
