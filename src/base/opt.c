/* SPDX-License-Identifier: MIT */
/*
 * Options of a command line, by getopt_long: the tables that it wants are made from ours, and
 * what it finds is put where our row stands.  Its own messages are switched off; ours say the
 * option as it was written.
 */
#include "base/opt.h"

#include "base/err.h"
#include "base/text.h"

#include <getopt.h>
#include <string.h>

// getopt gives this plus the index of the row, out of the way of letters.
#define ROW_BASE 1000

// The longest name, with its NUL.
#define NAME_SIZE 32

struct tables {
    char letters[2 + 2 * OPT_MAX + 1];
    struct option names[2 * OPT_MAX + 1];
    size_t name_count;
    char underscored[OPT_MAX][NAME_SIZE];
    size_t count; // of rows
};

// Add a name of the row to what getopt looks for.
static void
add_name (struct tables *out, const char *name, const struct opt_row *row)
{
    out->names[out->name_count++] =
        (struct option){name, row->value_name ? required_argument : no_argument, NULL,
                        ROW_BASE + (int) out->count};
}

static int
make_tables (const struct opt_row *rows, struct tables *out, litedfs_error_t *error)
{
    char *letter = out->letters;

    memset (out, 0, sizeof *out);
    *letter++ = ':'; // a missing value is told apart from an unknown option
    for (; rows->name; rows++) {
        if (out->count == OPT_MAX)
            return err_set (error, LITEDFS_USAGE, "options: the table has more than %d",
                            OPT_MAX);
        add_name (out, rows->name, rows);
        if (strchr (rows->name, '-')) { // getopt takes the two for one, cut short too
            char *other = out->underscored[out->count];
            snprintf (other, NAME_SIZE, "%s", rows->name);
            for (char *at = other; (at = strchr (at, '-'));)
                *at = '_';
            add_name (out, other, rows);
        }
        out->count++;
        if (rows->letter) {
            *letter++ = rows->letter;
            if (rows->value_name)
                *letter++ = ':';
        }
    }
    return 0;
}

// The row that getopt has found, or NULL.
static const struct opt_row *
found_row (const struct opt_row *rows, size_t count, int found)
{
    if (found >= ROW_BASE && (size_t) (found - ROW_BASE) < count)
        return &rows[found - ROW_BASE];
    for (size_t i = 0; i < count; i++)
        if (found > 0 && rows[i].letter == found)
            return &rows[i];
    return NULL;
}

// Tell what is wrong with what getopt has just refused: found is ':' or '?'.
static int
tell (const struct opt_row *rows, size_t count, int found, char **argv, litedfs_error_t *error)
{
    const struct opt_row *row = found_row (rows, count, optopt);
    char shown[64];

    if (found == ':' && row)
        return err_set (error, LITEDFS_USAGE, "option --%s: it needs a value, %s", row->name,
                        row->value_name);
    if (row && optopt >= ROW_BASE)
        return err_set (error, LITEDFS_USAGE, "option --%s: it takes no value", row->name);
    if (optopt > 0 && optopt < ROW_BASE) {
        char letter = (char) optopt;
        return err_set (error, LITEDFS_USAGE, "option -%s: there is none; see -h",
                        text_escape (&letter, 1, shown, sizeof shown));
    }

    // Behind a long name that is unknown, or short for several.
    const char *written = argv[optind - 1];
    size_t size = strcspn (written, "=");
    const char *candidates[OPT_MAX];
    char name[64];
    for (size_t i = 0; i < count; i++)
        candidates[i] = rows[i].name;
    text_escape (written, size, shown, sizeof shown);
    snprintf (name, sizeof name, "%s", shown + strspn (shown, "-"));
    const char *near = text_nearest (name, candidates, count);
    return err_set (error, LITEDFS_USAGE,
                    "option %s: there is none, or more than one%s%s%s; see -h", shown,
                    near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
}

bool
opt_begins (const char *name, const char *written, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (name[i] != (written[i] == '_' ? '-' : written[i]))
            return false; // at the latest at the end of name
    return true;
}

int
opt_parse (const struct opt_row *rows, int argc, char **argv, const char **values, int *first,
           litedfs_error_t *error)
{
    struct tables tables;
    int rc = make_tables (rows, &tables, error);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < tables.count; i++)
        values[i] = NULL;

    optind = 0; // glibc: from the start, whatever was parsed before
    opterr = 0;
    for (;;) {
        int found = getopt_long (argc, argv, tables.letters, tables.names, NULL);
        if (found == -1)
            break;
        const struct opt_row *row = found_row (rows, tables.count, found);
        if (found == ':' || found == '?' || !row)
            return tell (rows, tables.count, found, argv, error);
        const char **value = &values[row - rows];
        if (*value)
            return err_set (error, LITEDFS_USAGE, "option --%s: it is given twice", row->name);
        *value = row->value_name ? optarg : "";
    }
    *first = optind;
    return 0;
}

// Print "  -r, --remote-path PATH" in out; returns its width.
static int
print_left (const struct opt_row *row, char *out, size_t size)
{
    char letter[8] = "    ";
    if (row->letter)
        snprintf (letter, sizeof letter, "-%c, ", row->letter);
    return snprintf (out, size, "  %s--%s%s%s", letter, row->name, row->value_name ? " " : "",
                     row->value_name ? row->value_name : "");
}

void
opt_help (const struct opt_row *rows, const char *usage, FILE *out)
{
    char left[128];
    int widest = 0;

    for (const struct opt_row *row = rows; row->name; row++) {
        int width = print_left (row, left, sizeof left);
        widest = width > widest ? width : widest;
    }
    fprintf (out, "usage: %s\n", usage);
    if (rows->name)
        fprintf (out, "\n");
    for (const struct opt_row *row = rows; row->name; row++) {
        print_left (row, left, sizeof left);
        fprintf (out, "%-*s  %s\n", widest, left, row->help);
    }
}
