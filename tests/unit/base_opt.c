/* SPDX-License-Identifier: MIT */
/*
 * base/opt: options in every form and order, and one clear line for what is wrong.
 */
#include "base/opt.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

enum { REMOTE, LOCAL, FORCE, JSON, ROWS };

static const struct opt_row rows[] = {
    {'r', "remote-path", "PATH", "the remote path"},
    {'l', "local-path", "PATH", "the local path"},
    {'f', "force", NULL, "overwrite"},
    {0, "json", NULL, "print JSON"},
    {0, NULL, NULL, NULL},
};

static const char *values[ROWS];
static char *argv[16];
static int argc;
static int first;
static litedfs_error_t error;

// Parse a command line whose words stand apart by single blanks.
static int
parse (const char *line)
{
    static char copy[256];
    strcpy (copy, line);
    argc = 0;
    argv[argc++] = "litedfs";
    char *rest = copy[0] ? copy : NULL;
    for (char *word; (word = strsep (&rest, " "));)
        argv[argc++] = word;
    argv[argc] = NULL;
    return opt_parse (rows, argc, argv, values, &first, &error);
}

START_TEST (every_form_of_an_option_is_read)
{
    static const char *const lines[] = {
        "-r /a -l b -f",
        "-r/a -lb -f",
        "-fr /a -l b",
        "--remote-path /a -f -l=b",
        "--remote-path=/a --local-path=b --force",
        "--remote /a --local b --force",
        "--remote_path /a --local_path=b --fo",
        "--remote_p=/a --local_ b --force",
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        ck_assert_msg (parse (lines[i]) == 0, "%s: %s", lines[i], error.text);
        ck_assert_str_eq (values[REMOTE], "/a");
        ck_assert_str_eq (values[LOCAL], i == 3 ? "=b" : "b");
        ck_assert_str_eq (values[FORCE], "");
        ck_assert_ptr_null (values[JSON]);
        ck_assert_int_eq (first, argc);
    }
}
END_TEST

START_TEST (a_beginning_of_a_name_is_told)
{
    ck_assert (opt_begins ("remote-path", "remote-path", 11));
    ck_assert (opt_begins ("remote-path", "remote_p", 8));
    ck_assert (opt_begins ("remote-path", "remote=", 6));
    ck_assert (!opt_begins ("remote-path", "remote-paths", 12));
    ck_assert (!opt_begins ("remote-path", "local", 5));
}
END_TEST

START_TEST (other_arguments_may_stand_anywhere_and_keep_their_order)
{
    ck_assert_int_eq (parse ("localhost:9000 -r /a file --json info"), 0);
    ck_assert_str_eq (values[REMOTE], "/a");
    ck_assert_str_eq (values[JSON], "");
    ck_assert_int_eq (argc - first, 3);
    ck_assert_str_eq (argv[first], "localhost:9000");
    ck_assert_str_eq (argv[first + 1], "file");
    ck_assert_str_eq (argv[first + 2], "info");
}
END_TEST

START_TEST (two_dashes_end_the_options_and_one_is_an_argument)
{
    ck_assert_int_eq (parse ("-l - -- -f"), 0);
    ck_assert_str_eq (values[LOCAL], "-");
    ck_assert_ptr_null (values[FORCE]);
    ck_assert_int_eq (argc - first, 1);
    ck_assert_str_eq (argv[first], "-f");
    ck_assert_int_eq (parse ("-"), 0);
    ck_assert_int_eq (argc - first, 1);
}
END_TEST

START_TEST (values_may_be_empty_or_look_like_options)
{
    ck_assert_int_eq (parse ("--local-path= -r -1"), 0);
    ck_assert_str_eq (values[LOCAL], "");
    ck_assert_str_eq (values[REMOTE], "-1");
}
END_TEST

START_TEST (what_was_given_before_is_forgotten)
{
    ck_assert_int_eq (parse ("-f -r /a"), 0);
    ck_assert_int_eq (parse ("-x"), LITEDFS_USAGE);
    ck_assert_int_eq (parse ("-l b c"), 0);
    ck_assert_ptr_null (values[FORCE]);
    ck_assert_ptr_null (values[REMOTE]);
    ck_assert_str_eq (values[LOCAL], "b");
    ck_assert_int_eq (parse (""), 0);
    ck_assert_ptr_null (values[LOCAL]);
    ck_assert_int_eq (first, 1);
}
END_TEST

START_TEST (each_mistake_has_a_line_of_its_own)
{
    static const struct {
        const char *line;
        const char *text;
    } cases[] = {
        {"-x", "option -x: there is none; see -h"},
        {"-fx", "option -x: there is none; see -h"},
        {"-\x1b", "option -\\x1b: there is none; see -h"},
        {"-r", "option --remote-path: it needs a value, PATH"},
        {"--remote-path", "option --remote-path: it needs a value, PATH"},
        {"--force=yes", "option --force: it takes no value"},
        {"-f -f", "option --force: it is given twice"},
        {"-r a --remote-path=b", "option --remote-path: it is given twice"},
        {"--remotepath=a",
         "option --remotepath: there is none, or more than one; did you mean --remote-path?; "
         "see -h"},
        {"--what", "option --what: there is none, or more than one; see -h"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq (parse (cases[i].line), LITEDFS_USAGE);
        ck_assert_int_eq (error.number, LITEDFS_USAGE);
        ck_assert_str_eq (error.text, cases[i].text);
    }
}
END_TEST

START_TEST (a_table_that_is_too_long_is_refused)
{
    static struct opt_row many[OPT_MAX + 2];
    static const char *many_values[OPT_MAX + 1];

    for (int i = 0; i <= OPT_MAX; i++)
        many[i] = (struct opt_row){0, "name", NULL, ""};
    char *only[] = {"litedfs", NULL};
    ck_assert_int_eq (opt_parse (many, 1, only, many_values, &first, NULL), LITEDFS_USAGE);
    many[OPT_MAX].name = NULL;
    ck_assert_int_eq (opt_parse (many, 1, only, many_values, &first, NULL), 0);
}
END_TEST

START_TEST (the_help_is_aligned_and_comes_from_the_rows)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream (&text, &size);

    opt_help (rows, "litedfs ADDRESS file info -r PATH", stream);
    fclose (stream);
    ck_assert_str_eq (text, "usage: litedfs ADDRESS file info -r PATH\n"
                            "\n"
                            "  -r, --remote-path PATH  the remote path\n"
                            "  -l, --local-path PATH   the local path\n"
                            "  -f, --force             overwrite\n"
                            "      --json              print JSON\n");
    free (text);
}
END_TEST

UNIT_MAIN ("base_opt", every_form_of_an_option_is_read, a_beginning_of_a_name_is_told,
           other_arguments_may_stand_anywhere_and_keep_their_order,
           two_dashes_end_the_options_and_one_is_an_argument,
           values_may_be_empty_or_look_like_options, what_was_given_before_is_forgotten,
           each_mistake_has_a_line_of_its_own, a_table_that_is_too_long_is_refused,
           the_help_is_aligned_and_comes_from_the_rows)
