/* SPDX-License-Identifier: MIT */
/*
 * Options, the search for the command that a line means, and help.
 *
 * Which words of a line are values depends on the command, and the command is among the words.  So
 * each command reads the line with its own options, and the one that then finds its own name in the
 * second and third word is meant.  getopt reads the line again, strictly, with that command's
 * options.  A line that no command finds itself in is told what is nearest.
 */
#include "cli/cmd.h"

#include "base/err.h"
#include "base/opt.h"
#include "base/text.h"

#include <string.h>

// ADDRESS OBJECT OPERATION
#define WORDS 3

// Room for a path in an error's text.
#define SHOWN_SIZE 256

// The most candidates for what was meant by a word.
#define CANDIDATES 16

struct option_row {
    struct opt_row row;
    bool number; // if so: the range that is allowed, and the default
    int64_t min;
    int64_t max;
    int64_t fallback;
};

// By enum cmd_option.
static const struct option_row options[CMD_OPTIONS] = {
    {{'r', "remote-path", "REMOTE", "path in the cluster"}, false, 0, 0, 0},
    {{'l', "local-path", "LOCAL", "local file; - is standard input or output"}, false, 0, 0, 0},
    {{'R', "replica", "REPLICA", "copies wanted, 1 to 64 (1)"}, true, 1, 64, 1},
    {{'L', "lock-ttl", "TTL", "seconds that the write lock outlives us (60)"},
     true,
     1,
     86400,
     60},
    {{'s', "source-path", "SOURCE", "what is moved"}, false, 0, 0, 0},
    {{'t', "target-path", "TARGET", "the directory that it is moved into"}, false, 0, 0, 0},
    {{'n', "new-name", "NAME", "the new name, without a directory"}, false, 0, 0, 0},
    {{'o', "offset", "N", "leave the first N entries out (0)"}, true, 0, INT64_MAX, 0},
    {{'l', "limit", "N", "list at most N entries; 0: all (0)"}, true, 0, INT64_MAX, 0},
    {{'f', "files", NULL, "list files"}, false, 0, 0, 0},
    {{'d', "directories", NULL, "list directories"}, false, 0, 0, 0},
    {{0, "force", NULL, "overwrite an existing local file"}, false, 0, 0, 0},
    {{0, "force", NULL, "even if it has the last copy of blocks: say so, and lose them"},
     false,
     0,
     0,
     0},
    {{0, "wait", NULL, "wait until it is done"}, false, 0, 0, 0},
    {{0, "scrub", NULL, "let every data node verify all that it has, now"}, false, 0, 0, 0},
    {{0, "for", "TIME", "for how long, such as 90s, 30m, 2h or 1d; 0: not any more"},
     false,
     0,
     0,
     0},
    {{0, "recursive", NULL, "all files below a directory"}, false, 0, 0, 0},
    {{0, "timeout", "SECONDS", "with --wait: give up after so long; 0: never (0)"},
     true,
     0,
     1000000000,
     0},
    {{0, "on", NULL, "switch it on"}, false, 0, 0, 0},
    {{0, "off", NULL, "switch it off"}, false, 0, 0, 0},
    {{0, "dry-run", NULL, "only say what would move"}, false, 0, 0, 0},
    {{'r', "raw", NULL, "the same as --json"}, false, 0, 0, 0},
    {{0, "json", NULL, "print a JSON document"}, false, 0, 0, 0},
    {{'w', "column-width", "N", "cut each column of a table to N cells; 0: never (0)"},
     true,
     0,
     1000000,
     0},
    {{'v', "version", NULL, "print the version"}, false, 0, 0, 0},
    {{'h', "help", NULL, "print this help"}, false, 0, 0, 0},
};

static const struct cmd *const objects[] = {cmd_file,    cmd_directory, cmd_path,
                                            cmd_cluster, cmd_node,      cmd_lock};

#define OBJECTS (sizeof objects / sizeof *objects)

static unsigned
accepted (const struct cmd *cmd)
{
    return cmd ? cmd->required | cmd->optional | CMD_COMMON : CMD_COMMON;
}

/* ---- words ------------------------------------------------------------------------------------ */

struct words {
    const char *word[WORDS]; // NULL: there are fewer
    bool help;
    bool version;
};

// Whether an option of mask takes a value and has this letter; without a letter: or a name that
// begins like this.
static bool
takes_value (unsigned mask, char letter, const char *name)
{
    for (int i = 0; i < CMD_OPTIONS; i++) {
        const struct opt_row *row = &options[i].row;
        if (!(mask & CMD_BIT (i)) || !row->value_name)
            continue;
        if (letter ? row->letter == letter : opt_begins (row->name, name, strlen (name)))
            return true;
    }
    return false;
}

// Whether "--name" or the last letter of "-abc" wants the next argument.
static bool
wants_next (const char *argument, unsigned mask)
{
    if (argument[1] == '-')
        return !strchr (argument, '=') && takes_value (mask, 0, argument + 2);
    for (const char *letter = argument + 1; *letter; letter++)
        if (takes_value (mask, *letter, NULL))
            return letter[1] == '\0'; // what follows is its value
    return false;
}

// Pick the first words out of the arguments, with the options of mask.
static void
find_words (int argc, char **argv, unsigned mask, struct words *out)
{
    size_t count = 0;
    bool ended = false; // by "--"

    *out = (struct words){0};
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (ended || argument[0] != '-' || argument[1] == '\0') {
            if (count < WORDS)
                out->word[count++] = argument;
            continue;
        }
        if (strcmp (argument, "--") == 0) {
            ended = true;
            continue;
        }
        out->help |= strcmp (argument, "-h") == 0 || strcmp (argument, "--help") == 0;
        out->version |= strcmp (argument, "-v") == 0 || strcmp (argument, "--version") == 0;
        i += wants_next (argument, mask);
    }
}

// The table of an object, or NULL.
static const struct cmd *
find_object (const char *word)
{
    for (size_t i = 0; word && i < OBJECTS; i++)
        if (strcmp (objects[i]->object, word) == 0)
            return objects[i];
    return NULL;
}

static const struct cmd *
find_operation (const struct cmd *object, const char *word)
{
    for (const struct cmd *cmd = object; word && cmd && cmd->object; cmd++)
        if (strcmp (cmd->operation, word) == 0)
            return cmd;
    return NULL;
}

// The command that finds its name in the line, or NULL.
static const struct cmd *
find_cmd (int argc, char **argv)
{
    for (size_t i = 0; i < OBJECTS; i++) {
        for (const struct cmd *cmd = objects[i]; cmd->object; cmd++) {
            struct words words;
            find_words (argc, argv, accepted (cmd), &words);
            if (words.word[2] && strcmp (words.word[1], cmd->object) == 0 &&
                strcmp (words.word[2], cmd->operation) == 0)
                return cmd;
        }
    }
    return NULL;
}

/* ---- what is wrong with a line ------------------------------------------------------------------ */

// Append "a, b, c".
static void
put_names (struct buf *out, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_printf (out, "%s%s", i ? ", " : "", names[i]);
}

static int
refuse_word (const char *what, const char *word, const char *const *names, size_t count,
             litedfs_error_t *error)
{
    struct buf all = {0};
    char shown[128];
    const char *nearest = word ? text_nearest (word, names, count) : NULL;

    put_names (&all, names, count);
    if (!word)
        err_set (error, LITEDFS_USAGE, "%s: it is missing, one of %s; see -h", what,
                 buf_text (&all));
    else if (nearest)
        err_set (error, LITEDFS_USAGE, "%s[%s]: there is none; did you mean %s?", what,
                 text_escape (word, strlen (word), shown, sizeof shown), nearest);
    else
        err_set (error, LITEDFS_USAGE, "%s[%s]: there is none; there are %s", what,
                 text_escape (word, strlen (word), shown, sizeof shown), buf_text (&all));
    buf_free (&all);
    return LITEDFS_USAGE;
}

static int
refuse_object (const char *word, litedfs_error_t *error)
{
    const char *names[OBJECTS];
    for (size_t i = 0; i < OBJECTS; i++)
        names[i] = objects[i]->object;
    return refuse_word ("object", word, names, OBJECTS, error);
}

static int
refuse_operation (const struct cmd *object, const char *word, litedfs_error_t *error)
{
    const char *names[CANDIDATES];
    char what[64];
    size_t count = 0;

    for (const struct cmd *cmd = object; cmd->object && count < CANDIDATES; cmd++)
        names[count++] = cmd->operation;
    snprintf (what, sizeof what, "%s operation", object->object);
    return refuse_word (what, word, names, count, error);
}

// A line in which no command finds itself: help of a higher level, the version, or a mistake.
static int
parse_without_cmd (int argc, char **argv, struct cmd_call *out, litedfs_error_t *error)
{
    struct words words;
    find_words (argc, argv, CMD_BIT (CMD_OPTIONS) - 1, &words);

    // Help may leave the address out.
    const char **word = words.word;
    if (words.help && find_object (word[0]))
        word[2] = word[1], word[1] = word[0];
    const struct cmd *object = find_object (word[1]);

    if (words.version)
        out->text[CMD_VERSION] = "";
    if (words.help)
        out->text[CMD_HELP] = "";
    if (words.version || (words.help && !word[1]))
        return 0;
    if (word[1] && !object && find_operation (find_object (word[0]), word[1]))
        return err_set (error, LITEDFS_USAGE,
                        "ADDRESS: it is missing; it comes before %s %s, as in localhost:9000",
                        word[0], word[1]);
    if (!word[0])
        return err_set (error, LITEDFS_USAGE, "ADDRESS: it is missing; see -h");
    if (!object)
        return refuse_object (word[1], error);
    out->object = object->object;
    out->cmd = find_operation (object, word[2]);
    if (words.help && (!word[2] || out->cmd))
        return 0;
    return refuse_operation (object, word[2], error);
}

/* ---- one command --------------------------------------------------------------------------------- */

// The rows for getopt of the options in mask, and which option each is.
static void
make_rows (unsigned mask, struct opt_row rows[CMD_OPTIONS + 1], int which[CMD_OPTIONS])
{
    size_t count = 0;
    for (int i = 0; i < CMD_OPTIONS; i++) {
        if (!(mask & CMD_BIT (i)))
            continue;
        which[count] = i;
        rows[count++] = options[i].row;
    }
    rows[count] = (struct opt_row){0};
}

static int
refuse_absent (const struct opt_row *row, litedfs_error_t *error)
{
    if (!row->letter)
        return err_set (error, LITEDFS_USAGE, "option --%s %s: it is missing; see -h",
                        row->name, row->value_name);
    return err_set (error, LITEDFS_USAGE, "option -%c, --%s %s: it is missing; see -h",
                    row->letter, row->name, row->value_name);
}

static int
take_values (const struct cmd *cmd, struct cmd_call *out, litedfs_error_t *error)
{
    for (int i = 0; i < CMD_OPTIONS; i++) {
        const struct option_row *option = &options[i];
        const char *text = out->text[i];
        char shown[64];
        if (!text && cmd->required & CMD_BIT (i))
            return refuse_absent (&option->row, error);
        out->number[i] = option->fallback;
        if (text && option->number &&
            !text_parse_int (text, option->min, option->max, &out->number[i]))
            return err_set (
                error, LITEDFS_USAGE, "option --%s[%s]: it is a whole number from %lld to %lld",
                option->row.name, text_escape (text, strlen (text), shown, sizeof shown),
                (long long) option->min, (long long) option->max);
    }
    return 0;
}

static int
parse_cmd (const struct cmd *cmd, int argc, char **argv, struct cmd_call *out,
           litedfs_error_t *error)
{
    struct opt_row rows[CMD_OPTIONS + 1];
    const char *values[CMD_OPTIONS];
    int which[CMD_OPTIONS];
    int first, words = WORDS + (cmd->operand != NULL);
    char shown[64];

    out->cmd = cmd;
    out->object = cmd->object;
    make_rows (accepted (cmd), rows, which);
    int rc = opt_parse (rows, argc, argv, values, &first, error);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rows[i].name; i++)
        out->text[which[i]] = values[i];
    if (out->text[CMD_HELP] || out->text[CMD_VERSION])
        return 0;
    out->address = argv[first];
    if (argc - first > words)
        return err_set (error, LITEDFS_USAGE, "argument[%s]: it is one too many; see -h",
                        text_escape (argv[first + words], strlen (argv[first + words]), shown,
                                     sizeof shown));
    if (argc - first < words)
        return err_set (error, LITEDFS_USAGE, "%s: it is missing; see -h", cmd->operand);
    out->operand = cmd->operand ? argv[first + WORDS] : NULL;
    return take_values (cmd, out, error);
}

int
cmd_parse (int argc, char **argv, struct cmd_call *out, litedfs_error_t *error)
{
    *out = (struct cmd_call){0};
    const struct cmd *cmd = find_cmd (argc, argv);
    if (!cmd)
        return parse_without_cmd (argc, argv, out, error);
    int rc = parse_cmd (cmd, argc, argv, out, error);
    return rc < 0 ? err_prefix (error, "%s %s", cmd->object, cmd->operation) : 0;
}

/* ---- help ------------------------------------------------------------------------------------------- */

// Append "file create -r REMOTE [-R REPLICA]"; what every command takes is left out.
static void
put_usage (struct buf *out, const struct cmd *cmd)
{
    buf_printf (out, "%s %s%s%s", cmd->object, cmd->operation, cmd->operand ? " " : "",
                cmd->operand ? cmd->operand : "");
    for (int required = 1; required >= 0; required--) {
        unsigned mask = required ? cmd->required : cmd->optional;
        for (int i = 0; i < CMD_OPTIONS; i++) {
            const struct opt_row *row = &options[i].row;
            if (!(mask & CMD_BIT (i)))
                continue;
            buf_printf (out, required ? " " : " [");
            if (row->letter)
                buf_printf (out, "-%c", row->letter);
            else
                buf_printf (out, "--%s", row->name);
            if (row->value_name)
                buf_printf (out, " %s", row->value_name);
            buf_printf (out, required ? "" : "]");
        }
    }
}

static void
print_usage_lines (const struct cmd *object, FILE *out)
{
    for (const struct cmd *cmd = object; cmd->object; cmd++) {
        struct buf usage = {0};
        put_usage (&usage, cmd);
        fprintf (out, "  %s\n        %s\n", buf_text (&usage), cmd->help);
        buf_free (&usage);
    }
}

static void
print_options (unsigned mask, const char *usage, FILE *out)
{
    struct opt_row rows[CMD_OPTIONS + 1];
    int which[CMD_OPTIONS];
    make_rows (mask, rows, which);
    opt_help (rows, usage, out);
}

void
cmd_help (const struct cmd_call *call, FILE *out)
{
    struct buf usage = {0};
    buf_printf (&usage, "litedfs ADDRESS ");

    if (call->cmd) {
        put_usage (&usage, call->cmd);
        print_options (accepted (call->cmd), buf_text (&usage), out);
        fprintf (out, "\n%s.\n", call->cmd->help);
    } else {
        buf_printf (&usage, "%s OPERATION [OPTION]...", call->object ? call->object : "OBJECT");
        print_options (CMD_COMMON, buf_text (&usage), out);
        fprintf (out,
                 "\nADDRESS is HOST[:PORT], where the name node answers HTTP (port 9000 if "
                 "none is\ngiven), or tcp://HOST:PORT, where it takes messages.\n");
        for (size_t i = 0; i < OBJECTS; i++) {
            if (call->object && strcmp (call->object, objects[i]->object) != 0)
                continue;
            fprintf (out, "\n");
            print_usage_lines (objects[i], out);
        }
    }
    buf_free (&usage);
}

/* ---- running one --------------------------------------------------------------------------------------- */

int
cmd_open (struct cmd_call *call, litedfs_error_t *error)
{
    int rc = litedfs_open (&call->session, call->address, NULL, error);
    if (rc == 0) {
        interrupt_set_session (call->interrupt, call->session);
        return 0;
    }
    call->connecting = true;
    if (rc == LITEDFS_INVALID)
        error->number = LITEDFS_USAGE;
    return error->number;
}

// The cluster often begins with the same subject, "file[/a]: " or "path[/a]: "; once is enough.
static void
cut_subject (const char *object, const char *shown, litedfs_error_t *error)
{
    const char *words[] = {object, "path"};
    char subject[SHOWN_SIZE + 32];

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t size = (size_t) snprintf (subject, sizeof subject, "%s[%s]: ", words[i], shown);
        if (strncmp (error->text, subject, size) == 0) {
            memmove (error->text, error->text + size, strlen (error->text + size) + 1);
            return;
        }
    }
}

void
cmd_name_error (const struct cmd_call *call, litedfs_error_t *error)
{
    const char *path = call->operand
                           ? call->operand
                           : call->text[call->text[CMD_SOURCE] ? CMD_SOURCE : CMD_REMOTE_PATH];
    char shown[SHOWN_SIZE];

    if (call->connecting)
        return;
    if (!path) {
        err_prefix (error, "%s %s", call->cmd->object, call->cmd->operation);
        return;
    }
    text_escape (path, strlen (path), shown, sizeof shown);
    cut_subject (call->cmd->object, shown, error);
    err_prefix (error, "%s %s[%s]", call->cmd->object, call->cmd->operation, shown);
}
